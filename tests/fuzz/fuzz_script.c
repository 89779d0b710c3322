/*
 * config.ini to batch script: a request that is taken renders, the last check agrees, and no value
 * stands outside of a quoted word.
 */
#include <string.h>

#include "cleanup.h"
#include "fuzz.h"
#include "jobspec.h"
#include "script.h"
#include "script_wrapper.h"
#include "strbuf.h"

#define WORD "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

/* Behind a `"$`: one expansion of a bare name, "${NAME-}". */
static const char *behind_expansion(const char *at)
{
	MUST(!strncmp(at, "\"${", 3));
	size_t len = strspn(at + 3, WORD);
	MUST(len && !strncmp(at + 3 + len, "-}\"", 3));
	return at + 3 + len + 3;
}

/* The part of a script that holds values, read as a shell reads it: nothing in it runs. */
static void must_be_data(const char *at, const char *end)
{
	while (at < end) {
		if (*at == '\'') {
			at = strchr(at + 1, '\'');
			MUST(at && at < end);
			at++;
		} else if (*at == '\\') {
			MUST(at[1] == '\'');
			at += 2;
		} else if (*at == '"') {
			at = behind_expansion(at);
		} else {
			MUST(strchr(WORD "./:,@%+-= \n\t(){}", *at));
			at++;
		}
	}
}

static void check(const struct jobspec *spec, const char *script, size_t len)
{
	static const char values[] = "\n# Written by slurmount.  Values stand here; below they are only named.\n";
	static const char body[] = "slurmount_body() {\n";
	const char *from = memmem(script, len, values, sizeof(values) - 1);
	size_t tail = sizeof(script_wrapper) - 1 + sizeof(script_parents) - 1;

	MUST(strlen(script) == len && from && len > tail);
	/* Behind the values only text that is the same for all jobs. */
	MUST(!strcmp(script + len - sizeof(script_wrapper) + 1, script_wrapper));
	const char *stop = script + len - tail;
	const char *found = NULL;
	for (const char *at = from; (at = strstr(at, body)) && at < stop; at++)
		found = at;
	MUST(found);
	MUST(!strncmp(found + sizeof(body) - 1, "\texec ", 6));
	must_be_data(from + sizeof(values) - 1, found);
	/* Ahead of them only directives, each of one option. */
	for (const char *line = script; line < from; line = strchr(line, '\n') + 1)
		MUST(!strncmp(line, "#!/bin/bash\n", 12) || !strncmp(line, "#SBATCH --", 10));
	MUST(spec->kind == JOBSPEC_COMMAND || spec->kind == JOBSPEC_SCRIPT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script_parent parent = {(char *)"par-ent", (char *)"/r/it's $(here)", "ok"};
	struct script_place place = {.uuid = "0-1", .name = "j", .workdir = "/s/$(touch x)'\"`/j",
		.records = "/s/.r ; x", .parents = &parent, .parent_count = 1};
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;
	const char *text = (const char *)data;
	const char *nul = size ? memchr(text, 0, size) : NULL;
	AUTO_FREE char *line = strndup(nul ? nul + 1 : "", nul ? size - (size_t)(nul + 1 - text) : 0);
	struct jobspec *spec = NULL;

	if (jobspec_parse(text, nul ? (size_t)(nul - text) : size, &spec, NULL) == 0) {
		int r = script_render(spec, &place, nul ? line : NULL, &script, &why);

		must_be_readable(why.data, why.len);
		MUST((r == 0) == (why.len == 0));
		if (r == 0 && spec->kind != JOBSPEC_TEMPLATE) {
			check(spec, script.data, script.len);
			MUST(script_verify(spec, &place, script.data, script.len, &why) == 0);
		}
	}
	jobspec_free(spec);
	return 0;
}
