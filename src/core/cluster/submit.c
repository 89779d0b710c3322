#include "submit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "shell.h"

#define SILENCE_MS 60000

/* try DIRECTORY N INDEX: the atomic mkdir, the detached sbatch, up to 20 s of waiting, the answer
 * as "job INDEX WORD LENGTH\n" and LENGTH bytes. */
static const char try_function[] =
	"run_sbatch() {\n"
	"  cd -- \"$1\" || exit\n"
	"  timeout 600 sbatch --parsable --export=NONE --ignore-pbs script.sbatch"
	" > \"out-$2\" 2> \"err-$2\" < /dev/null\n"
	"  status=$?\n"
	"  { printf 'exit %d\\nstdout %d\\n' \"$status\" \"$(wc -c < \"out-$2\")\"; cat \"out-$2\"\n"
	"    printf '\\nstderr %d\\n' \"$(wc -c < \"err-$2\")\"; cat \"err-$2\"; printf '\\n'\n"
	"  } > \"outcome-$2.part\" && mv -T -- \"outcome-$2.part\" \"outcome-$2\"\n"
	"}\n"
	"export -f run_sbatch\n"
	"try() {\n"
	"  folder=$1/.slurmount\n"
	"  if [ ! -d \"$folder\" ]; then printf 'job %d gone 0\\n' \"$3\"; return; fi\n"
	"  if mkdir -- \"$folder/taken-$2\" 2> /dev/null; then\n"
	"    setsid bash -c 'run_sbatch \"$1\" \"$2\"' - \"$folder\" \"$2\""
	" > /dev/null 2>&1 < /dev/null &\n"
	"  fi\n"
	/* The pauses grow: what sbatch has not said at once it may not say for minutes. */
	"  for pause in .05 .05 .05 .05 .1 .1 .1 .2 .2 .3 .3 .5 {1..18}; do\n"
	"    [ ! -e \"$folder/outcome-$2\" ] || break\n"
	"    sleep \"$pause\"\n"
	"  done\n"
	"  if [ -e \"$folder/outcome-$2\" ]; then\n"
	"    printf 'job %d outcome %d\\n' \"$3\" \"$(wc -c < \"$folder/outcome-$2\")\"\n"
	"    cat -- \"$folder/outcome-$2\"\n"
	"  else\n"
	"    printf 'job %d pending 0\\n' \"$3\"\n"
	"  fi\n"
	"}\n";

void submit_read_answers(struct submit_item *items, size_t count, const char *text, size_t len)
{
	const char *end = text + len;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t index, size;
		char word[16];

		if (!newline || sscanf(text, "job %zu %15s %zu", &index, word, &size) != 3)
			return;
		text = newline + 1;
		if (index >= count || size > (size_t)(end - text))
			return;
		/* The first answer counts: the script gives one. */
		if (items[index].result != SUBMIT_NO_ANSWER) {
			text += size;
			continue;
		}
		if (!strcmp(word, "outcome")) {
			items[index].result = SUBMIT_OUTCOME;
			strbuf_add(&items[index].outcome, text, size);
		} else {
			items[index].result = !strcmp(word, "gone") ? SUBMIT_GONE : SUBMIT_PENDING;
		}
		text += size;
	}
}

int submit_run(const struct cluster *cluster, struct submit_item *items, size_t count,
	unsigned rate)
{
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;
	struct command_result result AUTO_RESULT = COMMAND_RESULT_INIT;

	strbuf_adds(&script, try_function);
	for (size_t i = 0; i < count; i++) {
		items[i].result = SUBMIT_NO_ANSWER;
		items[i].outcome = STRBUF_INIT;
		strbuf_adds(&script, "try ");
		shell_quote(&script, items[i].workdir);
		strbuf_addf(&script, " %u %zu\n", items[i].attempt, i);
		if (rate && i + 1 < count)
			strbuf_addf(&script, "sleep %.3f\n", 1.0 / rate);
	}
	int r = command_run(cluster, script.data, NULL, 0, SILENCE_MS, &result);
	if (r == 0)
		submit_read_answers(items, count, result.out.data, result.out.len);
	return r;
}

int submit_revoke(const struct cluster *cluster, const char *workdir, unsigned attempt)
{
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;
	struct command_result result AUTO_RESULT = COMMAND_RESULT_INIT;

	strbuf_adds(&script, "cd -- ");
	shell_quote(&script, workdir);
	strbuf_addf(&script,
		"/.slurmount || exit 2\nmkdir taken-%u && : > taken-%u/revoked || exit 1\n",
		attempt, attempt);
	int r = command_run(cluster, script.data, NULL, 0, SILENCE_MS, &result);
	if (r < 0)
		return r;
	return result.status == 0 ? 0 : result.status == 2 ? -ENOENT : -EALREADY;
}
