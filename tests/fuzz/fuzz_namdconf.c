/* A NAMD configuration: the first part is it, each part behind a NUL byte the next file it sources. */
#include <string.h>

#include "cleanup.h"
#include "fuzz.h"
#include "namdconf.h"
#include "strbuf.h"

struct rest {
	const char *text;
	size_t len;
};

static int read_next(void *arg, const char *path, struct strbuf *out)
{
	struct rest *rest = arg;

	(void)path;
	if (!rest->len)
		return -2;
	const char *end = memchr(rest->text, 0, rest->len);
	size_t len = end ? (size_t)(end - rest->text) : rest->len;
	strbuf_add(out, rest->text, len);
	rest->text += end ? len + 1 : len;
	rest->len -= end ? len + 1 : len;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rest rest = {(const char *)data, size};
	struct inputfiles_reader reader = {.read = read_next, .arg = &rest};
	struct strbuf first AUTO_STRBUF = STRBUF_INIT;
	struct inputfiles found = {0};

	if (read_next(&rest, "", &first) == 0)
		namdconf_scan("run.namd", first.data ? first.data : "", first.len, &reader, &found);
	for (size_t i = 0; i < found.count; i++)
		MUST(found.items[i].path && found.items[i].line > 0);
	inputfiles_release(&found);
	return 0;
}
