#include "submit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "shell.h"

/* The far side says something within 20 s. */
#define SILENCE_MS 60000

/* What runs in a session of its own; it prints "MARK INDEX WORD LENGTH\n" and LENGTH bytes for each. */
static const char runner_functions[] =
	"slurmount_sbatch() {\n"
	"  local folder=$3/.slurmount out err= status text\n"
	"  [ -d \"$folder\" ] || { printf '%s %d gone 0\\n' \"$mark\" \"$1\"; return; }\n"
	/* On a full disk it must not get as far as sbatch. */
	"  if ! text=$({ : >> \"$folder/err-$2\" && mkdir -- \"$folder/taken-$2\"; } 2>&1); then\n"
	"    if [ -e \"$folder/taken-$2\" ]; then printf '%s %d taken 0\\n' \"$mark\" \"$1\"\n"
	"    else printf '%s %d failed %d\\n%s' \"$mark\" \"$1\" \"${#text}\" \"$text\"; fi\n"
	"    return\n"
	"  fi\n"
	"  ran=yes\n"
	"  cd -- \"$folder\" || return 0\n"
	/* The job gets the user's own umask from sbatch; ours lets nobody else write. */
	"  out=$(trap - PIPE; umask \"$own\"; exec timeout 600 sbatch --parsable --export=NONE --ignore-pbs"
	" script.sbatch 2> \"err-$2\" < /dev/null)\n"
	"  status=$?\n"
	"  [ ! -s \"err-$2\" ] || IFS= read -r -d '' err < \"err-$2\"\n"
	"  printf -v text 'exit %d\\nstdout %d\\n%s\\nstderr %d\\n%s\\n' \"$status\" \"${#out}\" \"$out\""
	" \"${#err}\" \"$err\"\n"
	"  printf '%s' \"$text\" > \"outcome-$2.part\" && mv -T -- \"outcome-$2.part\" \"outcome-$2\"\n"
	"  printf '%s %d outcome %d\\n%s' \"$mark\" \"$1\" \"${#text}\" \"$text\"\n"
	"}\n"
	/* MARK PAUSE and "INDEX ATTEMPT FOLDER" of each; from one sbatch to the next PAUSE microseconds
	 * pass, behind the last one, too.  Who cannot say what came of one takes no more. */
	"slurmount_run() {\n"
	"  local LC_ALL=C mark=$1 pause=$2 one rest began ran left own\n"
	"  shift 2\n"
	"  own=${slurmount_umask:-$(umask)}\n"
	"  umask go-w\n"
	"  trap '' PIPE HUP\n"
	"  for one; do\n"
	"    rest=${one#* } ran= began=${EPOCHREALTIME-}\n"
	"    slurmount_sbatch \"${one%% *}\" \"${rest%% *}\" \"${rest#* }\" || return\n"
	"    [ \"$pause\" != 0 ] && [ -n \"$ran\" ] || continue\n"
	"    left=$pause\n"
	"    [ -z \"$began\" ] || left=$((pause - (${EPOCHREALTIME/./} - ${began/./})))\n"
	"    [ \"$left\" -le \"$pause\" ] || left=$pause\n"
	"    [ \"$left\" -le 0 ] || sleep \"$((left / 1000000)).$(printf %06d $((left % 1000000)))\"\n"
	"  done\n"
	"}\n";

/* PAUSE and "INDEX ATTEMPT FOLDER" of each: passes on what the runner says. Its own answers are the
 * outcomes that were there before, or come within 20 s, and "pending" for the rest. */
static const char front_functions[] =
	"slurmount_tell() {\n"
	"  local file=${2#* }/.slurmount/outcome-${2%% *} text\n"
	"  [ -e \"$file\" ] || return\n"
	"  IFS= read -r -d '' text < \"$file\"\n"
	"  printf 'job %d outcome %d\\n%s' \"$1\" \"${#text}\" \"$text\"\n"
	"}\n"
	"slurmount_submit() {\n"
	"  local LC_ALL=C pause=$1 mark=slm$RANDOM$RANDOM$RANDOM begun index word size text\n"
	"  local -a open=() taken=()\n"
	"  shift\n"
	"  for text; do open[${text%% *}]=${text#* }; done\n"
	"  exec 5< <(exec setsid bash -c \"$(declare -f slurmount_sbatch slurmount_run)\"'\n"
	"    slurmount_run \"$@\"' - \"$mark\" \"$pause\" \"$@\" < /dev/null 2> /dev/null)\n"
	"  while [ ${#open[@]} -gt 0 ] && read -r -t 20 begun index word size <&5; do\n"
	"    [ \"$begun\" = \"$mark\" ] && [ -n \"${open[index]}\" ] || continue\n"
	"    if [ \"$word\" = taken ]; then\n"
	"      if slurmount_tell \"$index\" \"${open[index]}\"; then unset \"open[index]\"\n"
	"      else taken[index]=yes; fi\n"
	"      [ ${#taken[@]} -lt ${#open[@]} ] || break\n"
	"      continue\n"
	"    fi\n"
	"    text=\n"
	"    [ \"$size\" = 0 ] || IFS= read -r -t 20 -N \"$size\" text <&5 || break\n"
	"    printf 'job %d %s %d\\n%s' \"$index\" \"$word\" \"$size\" \"$text\"\n"
	"    unset \"open[index]\"\n"
	"  done\n"
	/* With a pause the next command must not begin before this one's runner has ended. */
	"  [ \"$pause\" = 0 ] || [ ${#open[@]} -gt 0 ] || read -r -t 20 begun <&5\n"
	"  exec 5<&-\n"
	/* The pauses grow: what sbatch has not said at once it may not say for minutes. */
	"  for text in .05 .05 .05 .05 .1 .1 .1 .2 .2 .3 .3 .5 {1..18}; do\n"
	"    for index in \"${!taken[@]}\"; do\n"
	"      slurmount_tell \"$index\" \"${open[index]}\" || continue\n"
	"      unset \"taken[index]\" \"open[index]\"\n"
	"    done\n"
	"    [ ${#taken[@]} -gt 0 ] || break\n"
	"    sleep \"$text\"\n"
	"  done\n"
	"  for index in \"${!open[@]}\"; do printf 'job %d pending 0\\n' \"$index\"; done\n"
	"}\n";

void submit_add_functions(struct strbuf *script)
{
	strbuf_adds(script, runner_functions);
	strbuf_adds(script, front_functions);
}

static unsigned pause_us(unsigned rate)
{
	return rate ? 1000000 / rate : 0;
}

void submit_add_command(struct strbuf *script, const struct submit_item *items, size_t count,
	unsigned rate)
{
	strbuf_addf(script, "slurmount_submit %u", pause_us(rate));
	for (size_t i = 0; i < count; i++) {
		AUTO_FREE char *word = xasprintf("%zu %u %s", i, items[i].attempt, items[i].workdir);

		strbuf_addc(script, ' ');
		shell_quote(script, word);
	}
	strbuf_addc(script, '\n');
}

static int result_of(const char *word)
{
	static const struct {
		const char *word;
		int result;
	} known[] = {
		{"outcome", SUBMIT_OUTCOME},
		{"gone", SUBMIT_GONE},
		{"failed", SUBMIT_FAILED},
		{"pending", SUBMIT_PENDING},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(word, known[i].word))
			return known[i].result;
	return SUBMIT_NO_ANSWER;
}

size_t submit_read_answers(const char *text, size_t len, struct submit_item *items, size_t count)
{
	const char *at = text, *end = text + len;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t index, size;
		char word[16];

		if (!newline || sscanf(at, "job %zu %15s %zu", &index, word, &size) != 3)
			break;
		newline++;
		if (index >= count || size > (size_t)(end - newline))
			break;
		at = newline + size;
		/* The first answer counts: the script gives one. */
		if (items[index].result != SUBMIT_NO_ANSWER)
			continue;
		items[index].result = result_of(word);
		if (items[index].result == SUBMIT_OUTCOME || items[index].result == SUBMIT_FAILED)
			strbuf_add(&items[index].outcome, newline, size);
	}
	return (size_t)(at - text);
}

struct answers {
	struct submit_item *items;
	size_t count;
	submit_answered_fn answered;
	void *arg;
};

static size_t take_answers(void *arg, const char *text, size_t len)
{
	const struct answers *a = arg;
	size_t taken = submit_read_answers(text, len, a->items, a->count);

	if (taken && a->answered)
		a->answered(a->arg);
	return taken;
}

int submit_run(const struct cluster *cluster, struct submit_item *items, size_t count,
	unsigned rate, submit_answered_fn answered, void *arg)
{
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;
	struct strbuf list AUTO_STRBUF = STRBUF_INIT;
	struct command_result result AUTO_RESULT = COMMAND_RESULT_INIT;
	struct answers answers = {items, count, answered, arg};
	struct command command;

	submit_add_functions(&script);
	strbuf_addf(&script, "mapfile -t list\nslurmount_submit %u \"${list[@]}\"\n", pause_us(rate));
	for (size_t i = 0; i < count; i++) {
		items[i].result = SUBMIT_NO_ANSWER;
		items[i].outcome = STRBUF_INIT;
		strbuf_addf(&list, "%zu %u %s\n", i, items[i].attempt, items[i].workdir);
	}
	int r = command_start(&command, cluster, script.data, clock_in(cluster->clock, SILENCE_MS));
	if (r < 0)
		return r;
	r = remote_write(command.proc, list.data, list.len, clock_in(cluster->clock, SILENCE_MS));
	if (r < 0 && r != -EPIPE) {
		remote_release(command.proc);
		return r;
	}
	return command_follow(&command, SILENCE_MS, take_answers, &answers, &result);
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
