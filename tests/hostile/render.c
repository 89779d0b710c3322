/* A config.ini on standard input becomes its batch script on standard output, or lines on standard
 * error and status 1; as a job is rendered, with a work directory and name of its own (arguments 1, 2). */
#include <stdio.h>

#include "jobspec.h"
#include "script.h"
#include "strbuf.h"

int main(int argc, char **argv)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct jobspec *spec = NULL;
	char buffer[4096];
	size_t n;

	if (argc != 3)
		return 2;
	struct script_place place = {.uuid = "01234567-89ab-4cde-8f01-23456789abcd", .name = argv[2],
		.workdir = argv[1], .records = argv[1]};
	while ((n = fread(buffer, 1, sizeof(buffer), stdin)))
		strbuf_add(&text, buffer, n);
	int r = jobspec_parse(text.data, text.len, &spec, &why);
	if (r == 0)
		r = script_render(spec, &place, NULL, &script, &why);
	if (r == 0)
		r = script_verify(spec, &place, script.data, script.len, &why);
	jobspec_free(spec);
	fputs(r == 0 ? script.data : why.data, r == 0 ? stdout : stderr);
	return r == 0 ? 0 : 1;
}
