/* Texts that slurmount itself left on the cluster or in its database, and that anybody may have changed:
 * the first byte tells which. */
#include <string.h>

#include "after.h"
#include "cleanup.h"
#include "foundtext.h"
#include "fuzz.h"
#include "jobrecord.h"
#include "outpath.h"
#include "strbuf.h"
#include "tasks.h"

#define NAME "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

static void check_record(const struct jobrecord *r)
{
	MUST(jobspec_check_name(r->name) == 0 && strlen(r->uuid) == 36);
	MUST(strspn(r->owner, NAME "@") == strlen(r->owner));
	MUST(!*r->project_dir || *r->project_dir == '/');
	must_be_readable(r->project_dir, strlen(r->project_dir));
}

static void check_state(const struct jobrecord_state *s)
{
	MUST(*s->state && strspn(s->state, NAME) == strlen(s->state));
	MUST(strspn(s->slurm_id, "0123456789") == strlen(s->slurm_id));
	must_be_readable(s->facts, strlen(s->facts));
}

static void look(void *arg, const struct found *f)
{
	(void)arg;
	MUST(f->folder && !strchr(f->folder, '/') && *f->folder != '.');
	if (f->valid) {
		check_record(&f->record);
		MUST(strspn(f->folder, NAME) == strlen(f->folder));
	}
	if (*f->state.state)
		check_state(&f->state);
	MUST(strspn(f->slurm_id, "0123456789") == strlen(f->slurm_id));
}

static void task_texts(const char *text, size_t len)
{
	struct tasks *tasks = tasks_parse(text, len), *again;
	struct strbuf once AUTO_STRBUF = STRBUF_INIT;
	struct strbuf twice AUTO_STRBUF = STRBUF_INIT;

	if (!tasks)
		return;
	tasks_print(tasks, &once);
	again = tasks_parse(once.data, once.len);
	MUST(again);
	tasks_print(again, &twice);
	MUST(once.len == twice.len && !memcmp(once.data, twice.data, once.len));
	for (size_t i = 0; i < tasks->count && i < 10; i++)
		free(tasks_output(tasks, &tasks->items[i], true, "/w", "7"));
	tasks_unref(again);
	tasks_unref(tasks);
}

static void after_texts(const char *text, size_t len)
{
	struct after_list list = {0}, again = {0};
	struct strbuf once AUTO_STRBUF = STRBUF_INIT;

	if (after_parse(text, len, &list) == 0) {
		after_print(&list, &once);
		MUST(after_parse(once.data, once.len, &again) == 0 && again.count == list.count);
	}
	after_release(&list);
	after_release(&again);
}

static void path_texts(const char *text)
{
	struct outpath values = {"/w", "j", "u", 7, 8, OUTPATH_NO_TASK};
	AUTO_FREE char *path = outpath_expand(text, &values);
	struct tasks *tasks = tasks_of_script(text, "u");

	free(outpath_directive(text, "output"));
	MUST(!path || *path == '/');
	tasks_unref(tasks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jobrecord record;
	struct jobrecord_state state;
	bool more;

	if (!size)
		return 0;
	AUTO_FREE char *text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 6) {
	case 0:
		if (jobrecord_parse(text, size - 1, &record) == 0) {
			check_record(&record);
			jobrecord_release(&record);
		}
		break;
	case 1:
		if (jobrecord_parse_state(text, size - 1, &state) == 0) {
			check_state(&state);
			jobrecord_state_release(&state);
		}
		break;
	case 2:
		foundtext_parse(text, &more, look, NULL);
		break;
	case 3:
		task_texts(text, size - 1);
		break;
	case 4:
		after_texts(text, size - 1);
		break;
	default:
		path_texts(text);
	}
	return 0;
}
