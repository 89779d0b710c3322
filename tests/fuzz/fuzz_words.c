/* Slurm's own words in a refusal: what is made of them for people. */
#include <string.h>

#include "ask_query.h"
#include "cleanup.h"
#include "fuzz.h"
#include "jobstate.h"
#include "shell.h"
#include "slurm_error.h"
#include "slurm_text.h"
#include "strbuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf out AUTO_STRBUF = STRBUF_INIT;
	struct strbuf quoted AUTO_STRBUF = STRBUF_INIT;
	AUTO_FREE char *text = strndup((const char *)data, size);
	struct slurm_error_info info;
	char state[JOB_STATE_SIZE];

	slurm_error_lookup(text, &info);
	slurm_error_explain(text, &out);
	must_be_readable(out.data, out.len);
	ask_is_refusal(1, text);
	strbuf_reset(&out);
	strbuf_add_escaped(&out, (const char *)data, size);
	must_be_readable(out.data, out.len);
	strbuf_reset(&out);
	slurm_add_duration(&out, (struct span){text, strlen(text)});
	must_be_readable(out.data, out.len);
	if (jobstate_from_slurm(text, strlen(text), state) == 0)
		MUST(*state && strspn(state, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == strlen(state));
	/* A quoted word is one word: unquoted again it is the same. */
	shell_quote(&quoted, text);
	strbuf_reset(&out);
	bool inside = false;
	for (const char *c = quoted.data; *c; c++) {
		if (*c == '\'') {
			inside = !inside;
		} else if (!inside && *c == '\\') {
			MUST(*++c == '\'');
			strbuf_addc(&out, *c);
		} else {
			MUST(inside || strspn(quoted.data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				"0123456789_./:,@%+-") == quoted.len);
			strbuf_addc(&out, *c);
		}
	}
	MUST(!inside && !strcmp(out.data, text));
	return 0;
}
