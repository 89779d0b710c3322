#include "ask_query.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "slurm_error.h"

#define SILENCE_MS 60000

/* The questions come on standard input, since a command line has no room for scripts.  Answers
 * "answer INDEX STATUS LENGTH\n" and LENGTH bytes of what was said, for each. */
static const char functions[] =
	"export LC_ALL=C\n"
	"say() { printf 'answer %d %d %d\\n%s\\n' \"$1\" \"$2\" \"${#3}\" \"$3\"; }\n"
	"try() {\n"
	"  local text words\n"
	"  text=$(head -c \"$2\")\n"
	"  words=$(printf '%s\\n' \"$text\" | timeout 20 sbatch --test-only --export=NONE --ignore-pbs"
	" 2>&1 > /dev/null)\n"
	"  say \"$1\" \"$?\" \"${words:0:4096}\"\n"
	"}\n"
	"look() {\n"
	"  local path\n"
	"  path=$(head -c \"$2\")\n"
	"  timeout 5 test -e \"$path\"\n"
	"  say \"$1\" \"$?\" ''\n"
	"}\n";

bool ask_is_refusal(int status, const char *words)
{
	/* This one may be about the number of jobs, which passes. */
	static const char policy[] = "Job violates accounting/QOS policy";
	struct slurm_error_info info;

	/* timeout(1)'s own, a command that is not there, a signal. */
	if (status == 0 || status >= 124)
		return false;
	slurm_error_lookup(words, &info);
	if (info.retry || info.wait || info.reconcile_first ||
		(info.message && !strncmp(info.message, policy, sizeof(policy) - 1)))
		return false;
	return info.class == SLURM_ERROR_PERMANENT || info.class == SLURM_ERROR_LIMIT ||
		info.class == SLURM_ERROR_AUTH;
}

static void take_answer(struct ask_question *q, int status, const char *words, size_t len)
{
	if (q->kind == ASK_PATH) {
		q->known = status == 0 || status == 1;
		q->yes = status == 0;
		return;
	}
	q->words = xstrndup(words, len);
	q->yes = status == 0;
	q->known = q->yes || ask_is_refusal(status, q->words);
}

static void read_answers(struct ask_question *questions, size_t count, const char *text, size_t len)
{
	const char *end = text + len;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t index, size;
		int status;

		if (!newline || sscanf(text, "answer %zu %d %zu", &index, &status, &size) != 3)
			return;
		text = newline + 1;
		if (index >= count || size + 1 > (size_t)(end - text))
			return;
		if (!questions[index].words)
			take_answer(&questions[index], status, text, size);
		text += size + 1;
	}
}

int ask_query(const struct cluster *cluster, struct ask_question *questions, size_t count)
{
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;
	struct strbuf input AUTO_STRBUF = STRBUF_INIT;
	struct command_result result AUTO_RESULT = COMMAND_RESULT_INIT;

	strbuf_adds(&script, functions);
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(questions[i].text);

		strbuf_addf(&script, "%s %zu %zu\n", questions[i].kind == ASK_SCRIPT ? "try" : "look", i,
			len);
		strbuf_add(&input, questions[i].text, len);
	}
	int r = command_run(cluster, script.data, input.data, input.len, SILENCE_MS, &result);
	if (r == 0)
		read_answers(questions, count, result.out.data, result.out.len);
	return r;
}
