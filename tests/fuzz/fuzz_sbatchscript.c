/* A user's own batch script: its directives are taken over or refused in words. */
#include "cleanup.h"
#include "fuzz.h"
#include "jobspec.h"
#include "sbatchscript.h"
#include "strbuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char empty[] = "[job]\ncommand = true\n";
	struct strbuf why AUTO_STRBUF = STRBUF_INIT, notes AUTO_STRBUF = STRBUF_INIT;
	struct sbatchscript script = {0};
	struct jobspec *spec = NULL;

	MUST(jobspec_parse(empty, sizeof(empty) - 1, &spec, NULL) == 0);
	MUST(sbatchscript_parse((const char *)data, size, &script) == 0);
	int r = sbatchscript_apply(spec, &script, &notes, &why);
	MUST((r == 0) == (why.len == 0));
	must_be_readable(why.data, why.len);
	must_be_readable(notes.data, notes.len);
	sbatchscript_release(&script);
	jobspec_free(spec);
	return 0;
}
