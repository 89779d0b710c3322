/* config.ini: any bytes are parsed or refused in words, and a valid one parses again. */
#include "cleanup.h"
#include "fuzz.h"
#include "jobspec.h"
#include "strbuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct jobspec *spec = NULL;
	struct jobspec *again = NULL;

	int r = jobspec_parse((const char *)data, size, &spec, &why);
	MUST((r == 0) == (why.len == 0));
	must_be_readable(why.data, why.len);
	MUST((jobspec_parse((const char *)data, size, &again, NULL) == 0) == (r == 0));
	if (r == 0) {
		MUST(spec);
		MUST(!spec->name || jobspec_check_name(spec->name) == 0);
	}
	jobspec_free(spec);
	jobspec_free(again);
	return 0;
}
