/* The framing of our own commands' answers, each with parts of given lengths: the first byte tells
 * which. */
#include <string.h>

#include "cleanup.h"
#include "fuzz.h"
#include "progress_query.h"
#include "recordstream.h"
#include "submit.h"
#include "sync.h"

struct bounds {
	const char *text;
	size_t len;
};

static void submit_answers(const char *text, size_t len)
{
	struct submit_item items[4];

	for (size_t i = 0; i < 4; i++)
		items[i] = (struct submit_item){.result = SUBMIT_NO_ANSWER, .outcome = STRBUF_INIT};
	MUST(submit_read_answers(text, len, items, 4) <= len);
	for (size_t i = 0; i < 4; i++) {
		MUST(items[i].outcome.len <= len);
		MUST(items[i].result == SUBMIT_OUTCOME || items[i].result == SUBMIT_FAILED ||
			!items[i].outcome.len);
		strbuf_release(&items[i].outcome);
	}
}

static void record(void *arg, const char *uuid, bool is_end, const struct slurm_endrecord *r)
{
	(void)arg;
	(void)is_end;
	MUST(strspn(uuid, "0123456789abcdef-") == strlen(uuid) && strlen(uuid) < JOB_UUID_SIZE);
	MUST(r->exit_status >= -1 && r->exit_status <= 255);
	must_be_readable(r->node, strlen(r->node));
	must_be_readable(r->signal, strlen(r->signal));
}

static void task_record(void *arg, const char *uuid, uint64_t task, const struct slurm_endrecord *r)
{
	(void)task;
	record(arg, uuid, true, r);
}

static void queue(const char *text, size_t len)
{
	struct command_result result = COMMAND_RESULT_INIT;
	struct sync_answer answer = {.queue = STRBUF_INIT, .words = STRBUF_INIT};
	struct sync_accounts accounts = SYNC_ACCOUNTS_INIT;

	strbuf_add(&result.out, text, len);
	if (sync_read_queue(&result, &answer) == 0)
		MUST(answer.queue.len <= len);
	if (sync_read_accounts(&result, &accounts) == 0) {
		MUST(accounts.text.len + accounts.records.len <= len);
		sync_each_record(&accounts.records, record, NULL);
	}
	sync_accounts_release(&accounts);
	sync_answer_release(&answer);
	command_result_release(&result);
}

static void item(void *arg, const struct recordstream_item *i)
{
	record(arg, i->uuid, i->is_end, &i->record);
	MUST(i->task >= -1);
}

static void stream(const char *text, size_t len)
{
	ssize_t used = recordstream_read(text, len, item, NULL);

	MUST(used <= (ssize_t)len);
}

static void part(void *arg, const struct progress_part *p)
{
	const struct bounds *b = arg;

	MUST(p->bytes >= b->text && p->bytes + p->len <= b->text + b->len);
	MUST(p->from >= 0 && p->next >= p->from);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	strbuf_add(&text, data + 1, size - 1);
	struct bounds b = {text.data, text.len};

	switch (data[0] % 6) {
	case 0:
		submit_answers(text.data, text.len);
		break;
	case 1:
		queue(text.data, text.len);
		break;
	case 2:
		sync_each_record(&text, record, NULL);
		break;
	case 3:
		sync_each_task_record(&text, task_record, NULL);
		break;
	case 5:
		stream(text.data, text.len);
		break;
	default:
		progress_each_part(text.data, text.len, part, &b);
	}
	return 0;
}
