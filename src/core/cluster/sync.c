#include "sync.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "shell.h"

#define QUERY_MS 120000

/* Answers "queue STATUS LENGTH\n" and the bytes. */
static const char queue_script[] =
	"export SLURM_TIME_FORMAT=%s SLURM_BITSTR_LEN=0\n"
	"queue=$(squeue -a -t all -u \"$(id -un)\" -h -o \"$format\")\n"
	"status=$?\n"
	"LC_ALL=C\n"
	"printf 'queue %d %d\\n%s\\n' \"$status\" \"${#queue}\" \"$queue\"\n";

int sync_read_queue(const struct command_result *result, struct sync_answer *ret)
{
	const char *newline = strchr(result->out.data, '\n');
	int status;
	size_t len;

	if (!newline || sscanf(result->out.data, "queue %d %zu", &status, &len) != 2)
		return -EPROTO;
	const char *body = newline + 1;
	if (len > (size_t)(result->out.data + result->out.len - body))
		return -EPROTO;
	ret->queue_known = status == 0;
	strbuf_add(&ret->queue, body, len);
	strbuf_add(&ret->words, result->err.data, result->err.len);
	return 0;
}

int sync_queue(const struct cluster *cluster, struct sync_answer *ret)
{
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;
	struct command_result result AUTO_RESULT = COMMAND_RESULT_INIT;

	*ret = (struct sync_answer){.queue = STRBUF_INIT, .words = STRBUF_INIT};
	strbuf_adds(&script, "format=");
	shell_quote(&script, slurm_squeue_format);
	strbuf_addc(&script, '\n');
	strbuf_adds(&script, queue_script);
	int r = command_run(cluster, script.data, NULL, 0, QUERY_MS, &result);
	return r < 0 ? r : sync_read_queue(&result, ret);
}

void sync_answer_release(struct sync_answer *answer)
{
	strbuf_release(&answer->queue);
	strbuf_release(&answer->words);
}

/* The next line, copied, so that it alone is scanned: false where there is none. */
static bool next_header(const char **at, const char *end, char line[128])
{
	const char *newline = memchr(*at, '\n', (size_t)(end - *at));

	if (!newline || newline - *at >= 128)
		return false;
	memcpy(line, *at, (size_t)(newline - *at));
	line[newline - *at] = '\0';
	*at = newline + 1;
	return true;
}

void sync_each_record(const struct strbuf *records, sync_record_fn each, void *arg)
{
	const char *at = records->data, *end = records->data + records->len;
	struct slurm_endrecord record;
	char line[128], uuid[JOB_UUID_SIZE], kind[8];
	size_t len;

	while (at < end) {
		if (!next_header(&at, end, line) ||
			sscanf(line, "record %36[0-9a-f-].%7s %zu", uuid, kind, &len) != 3)
			return;
		if (len > (size_t)(end - at))
			return;
		slurm_parse_endrecord(at, len, &record);
		each(arg, uuid, !strcmp(kind, "end"), &record);
		at += len + (at + len < end);
	}
}

/* One process for thousands of small files. */
static const char task_records_script[] =
	"cd -- \"$records\" || exit\n"
	"export LC_ALL=C\n"
	"shopt -s nullglob\n"
	"while read -r uuid; do\n"
	"  files=(\"$uuid\"_*.end)\n"
	"  [ ${#files[@]} = 0 ] || printf '%s\\0' \"${files[@]}\"\n"
	"done | xargs -0 -r awk '\n"
	"  function tell() { if (name != \"\") printf \"record %s %d\\n%s\\n\", name, length(text), text }\n"
	"  FNR == 1 { tell(); name = FILENAME; text = \"\" }\n"
	"  { text = text $0 \"\\n\" }\n"
	"  END { tell() }'\n"
	"true\n";

int sync_task_records(const struct cluster *cluster, const char *records,
	const struct strbuf *uuids, struct strbuf *ret)
{
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;
	struct command_result result AUTO_RESULT = COMMAND_RESULT_INIT;

	strbuf_adds(&script, "records=");
	shell_quote(&script, records);
	strbuf_addc(&script, '\n');
	strbuf_adds(&script, task_records_script);
	int r = command_run(cluster, script.data, uuids->data, uuids->len, QUERY_MS, &result);
	if (r < 0)
		return r;
	strbuf_add(ret, result.out.data, result.out.len);
	return 0;
}

void sync_each_task_record(const struct strbuf *records, sync_task_record_fn each, void *arg)
{
	const char *at = records->data, *end = records->data + records->len;
	struct slurm_endrecord record;
	char line[128], uuid[JOB_UUID_SIZE];
	unsigned long long task;
	size_t len;

	while (at < end) {
		if (!next_header(&at, end, line) ||
			sscanf(line, "record %36[0-9a-f-]_%llu.end %zu", uuid, &task, &len) != 3)
			return;
		if (len > (size_t)(end - at))
			return;
		slurm_parse_endrecord(at, len, &record);
		each(arg, uuid, task, &record);
		at += len + (at + len < end);
	}
}

/* Chunks of 10,000, since 20,000 ids do not fit one argument; a step line tells of lost memory.  The
 * first line says who answered, "WHO LENGTH"; behind the bytes come the records. */
static const char accounts_script[] =
	"export SLURM_TIME_FORMAT=%s SLURM_BITSTR_LEN=0\n"
	"mapfile -t jobs\n"
	"ids=(\"${jobs[@]%% *}\")\n"
	"since=$(date -d '-400 days' +%Y-%m-%dT%H:%M:%S)\n"
	"ask_sacct() {\n"
	"  local i\n"
	"  for ((i = 0; i < ${#ids[@]}; i += 10000)); do\n"
	"    sacct -n -P --delimiter=$'\\x1f' -S \"$since\" -o \"$format\" \\\n"
	"      -j \"$(IFS=,; echo \"${ids[*]:i:10000}\")\" || return\n"
	"  done\n"
	"}\n"
	"if answer=$(ask_sacct); then who=sacct\n"
	"else\n"
	"  who=scontrol\n"
	"  answer=$(for id in \"${ids[@]}\"; do scontrol -a show job -o \"$id\"; done)\n"
	"fi\n"
	"LC_ALL=C\n"
	"printf '%s %d\\n%s\\n' $who \"${#answer}\" \"$answer\"\n"
	"for uuid in \"${jobs[@]#* }\"; do\n"
	"  for kind in start end; do\n"
	"    file=$records/$uuid.$kind\n"
	"    [ -e \"$file\" ] || continue\n"
	"    text=$(< \"$file\") || continue\n"
	"    printf 'record %s.%s %d\\n%s\\n' \"$uuid\" \"$kind\" \"${#text}\" \"$text\"\n"
	"  done\n"
	"done\n"
	"true\n";

int sync_read_accounts(const struct command_result *result, struct sync_accounts *ret)
{
	const char *at = result->out.data, *end = at + result->out.len;
	char line[128], who[16];
	size_t len;

	if (!next_header(&at, end, line) || sscanf(line, "%15s %zu", who, &len) != 2 ||
		len > (size_t)(end - at))
		return -EPROTO;
	ret->from_sacct = !strcmp(who, "sacct");
	strbuf_add(&ret->text, at, len);
	at += len;
	if (at < end)
		strbuf_add(&ret->records, at + 1, (size_t)(end - at) - 1);
	return 0;
}

int sync_accounts(const struct cluster *cluster, const char *records, const struct strbuf *jobs,
	struct sync_accounts *ret)
{
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;
	struct command_result result AUTO_RESULT = COMMAND_RESULT_INIT;

	strbuf_adds(&script, "format=");
	shell_quote(&script, slurm_sacct_format);
	strbuf_adds(&script, "\nrecords=");
	shell_quote(&script, records);
	strbuf_addc(&script, '\n');
	strbuf_adds(&script, accounts_script);
	int r = command_run(cluster, script.data, jobs->data, jobs->len, QUERY_MS, &result);
	return r < 0 ? r : sync_read_accounts(&result, ret);
}

void sync_accounts_release(struct sync_accounts *answer)
{
	strbuf_release(&answer->text);
	strbuf_release(&answer->records);
}
