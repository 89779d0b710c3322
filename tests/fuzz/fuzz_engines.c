/* LAMMPS scripts (first byte even) and GROMACS topologies; each part behind a NUL byte is the next file
 * that is included. */
#include <string.h>

#include "cleanup.h"
#include "fuzz.h"
#include "gromacstop.h"
#include "lammpsconf.h"
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

static bool exists(void *arg, const char *path)
{
	(void)arg;
	return strlen(path) % 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	struct rest rest = {(const char *)data + 1, size - 1};
	struct inputfiles_reader reader = {.read = read_next, .exists = exists, .arg = &rest};
	struct strbuf first AUTO_STRBUF = STRBUF_INIT;
	struct strbuf second AUTO_STRBUF = STRBUF_INIT;
	struct inputfiles found = {0};

	read_next(&rest, "", &first);
	read_next(&rest, "", &second);
	if (data[0] % 2)
		gromacstop_scan("topol.top", first.data, first.len, data[0] % 4 == 1 ? second.data : NULL,
			&reader, &found);
	else
		lammpsconf_scan("in.lmp", first.data, first.len, data[0] % 4 ? second.data : NULL, &reader,
			&found);
	for (size_t i = 0; i < found.count; i++)
		MUST(found.items[i].path && found.items[i].line > 0 && found.items[i].keyword);
	inputfiles_release(&found);
	return 0;
}
