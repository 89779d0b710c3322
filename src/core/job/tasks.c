#include "tasks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "outpath.h"

struct tasks *tasks_new(void)
{
	struct tasks *t = xcalloc(1, sizeof(*t));

	atomic_init(&t->references, 1);
	t->word_count = 1;
	t->output = xstrdup("");
	t->error = xstrdup("");
	t->job_name = xstrdup("");
	t->user = xstrdup("");
	return t;
}

struct tasks *tasks_copy(const struct tasks *t)
{
	struct tasks *copy = xmalloc(sizeof(*copy));
	size_t counted = offsetof(struct tasks, count);

	/* Not the count of references, which other threads change meanwhile. */
	memcpy((char *)copy + counted, (const char *)t + counted, sizeof(*copy) - counted);
	atomic_init(&copy->references, 1);
	copy->capacity = t->count;
	copy->items = xcalloc(t->count + 1, sizeof(*copy->items));
	if (t->count)
		memcpy(copy->items, t->items, t->count * sizeof(*copy->items));
	copy->output = xstrdup(t->output);
	copy->error = xstrdup(t->error);
	copy->job_name = xstrdup(t->job_name);
	copy->user = xstrdup(t->user);
	return copy;
}

const struct tasks *tasks_ref(const struct tasks *t)
{
	struct tasks *counted = (struct tasks *)t;

	if (t)
		atomic_fetch_add_explicit(&counted->references, 1, memory_order_relaxed);
	return t;
}

void tasks_unref(const struct tasks *t)
{
	struct tasks *counted = (struct tasks *)t;

	if (!t || atomic_fetch_sub_explicit(&counted->references, 1, memory_order_acq_rel) > 1)
		return;
	free(counted->items);
	free(counted->output);
	free(counted->error);
	free(counted->job_name);
	free(counted->user);
	free(counted);
}

/* ---- which there are ---- */

/* Where the task is, or would be. */
static size_t position(const struct tasks *t, uint64_t id)
{
	size_t low = 0, high = t->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->items[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct task *tasks_find(const struct tasks *t, uint64_t id)
{
	size_t at = position(t, id);

	return at < t->count && t->items[at].id == id ? &t->items[at] : NULL;
}

/* The task, added where it is new; NULL for an id that Slurm cannot have. */
static struct task *get(struct tasks *t, uint64_t id)
{
	size_t at = position(t, id);

	if (at < t->count && t->items[at].id == id)
		return &t->items[at];
	if (id > TASKS_MAX_ID)
		return NULL;
	if (t->count == t->capacity) {
		t->capacity = 2 * t->capacity + 16;
		t->items = xrealloc(t->items, t->capacity * sizeof(*t->items));
	}
	memmove(t->items + at + 1, t->items + at, (t->count - at) * sizeof(*t->items));
	t->count++;
	t->items[at] = (struct task){.id = (uint32_t)id, .exit_code = -1, .signal = -1};
	return &t->items[at];
}

struct tasks *tasks_of_script(const char *script, const char *user)
{
	AUTO_FREE char *array = outpath_directive(script, "array");
	AUTO_FREE char *output = outpath_directive(script, "output");
	AUTO_FREE char *error = outpath_directive(script, "error");
	AUTO_FREE char *name = outpath_directive(script, "job-name");
	struct slurm_range range;
	int r;

	if (!array)
		return NULL;
	struct tasks *t = tasks_new();
	struct span left = {array, strlen(array)};
	while ((r = slurm_tasks_next(&left, &range)) == 1)
		for (uint64_t id = range.first; id <= range.last && id <= TASKS_MAX_ID; id += range.step)
			get(t, id);
	if (r < 0 || !t->count) {
		tasks_unref(t);
		return NULL;
	}
	char **const fields[] = {&t->output, &t->error, &t->job_name, &t->user};
	const char *const values[] = {output, error, name, user};
	for (size_t i = 0; i < 4; i++) {
		free(*fields[i]);
		*fields[i] = xstrdup(values[i] ? values[i] : "");
	}
	return t;
}

/* ---- what each is ---- */

/* The word's number; 0 for one that is none, or one too many. */
static uint8_t number_of(struct tasks *t, const char *word)
{
	unsigned i = 0;

	while (i < t->word_count && strcmp(t->words[i], word))
		i++;
	if (i == TASKS_WORDS)
		return 0;
	if (i == t->word_count)
		snprintf(t->words[t->word_count++], JOB_STATE_SIZE, "%s", word);
	return (uint8_t)i;
}

static bool has_ended(const struct tasks *t, const struct task *task)
{
	return task->word && jobstate_class(t->words[task->word]) == JOBSTATE_ENDED;
}

const char *tasks_word(const struct tasks *t, const struct task *task, const char *job_word)
{
	if (task->word)
		return t->words[task->word];
	/* Ahead of the first look at the queue; the job's own word then is of other tasks. */
	return jobstate_class(job_word) == JOBSTATE_ACTIVE ? "PENDING" : job_word;
}

char *tasks_output(const struct tasks *t, const struct task *task, bool error, const char *workdir,
	const char *array_id)
{
	const char *pattern = error && *t->error ? t->error : t->output;
	struct outpath values = {.workdir = workdir, .job_name = t->job_name, .user = t->user,
		.array_id = strtoull(array_id, NULL, 10), .job_id = task->job_id,
		.task = (int64_t)task->id};

	if (!*workdir || !*pattern || !values.array_id)
		return NULL;
	return outpath_expand(pattern, &values);
}

/* ---- one query ---- */

void tasks_begin(struct tasks *t)
{
	for (size_t i = 0; i < t->count; i++)
		t->items[i].seen = 0;
}

static void take(struct tasks *t, struct task *task, const struct slurm_record *r, uint8_t seen)
{
	bool ended = jobstate_class(r->state) == JOBSTATE_ENDED;
	bool waits = !strcmp(r->state, "PENDING");

	task->seen |= seen;
	task->missing_s = 0;
	task->word = number_of(t, r->state);
	/* A record for several has the number of the array, which is one task's alone in the end. */
	task->job_id = r->task >= 0 ? (uint32_t)strtoul(r->raw_id, NULL, 10) : 0;
	task->start_s = waits ? 0 : (uint32_t)r->start_s;
	task->end_s = ended ? (uint32_t)r->end_s : 0;
	/* The queue does not tell it, but what was known of the same end stays. */
	if (r->exit_code >= 0 || !ended) {
		task->exit_code = (int16_t)r->exit_code;
		task->signal = (int16_t)r->signal;
	}
}

static void each_task(struct tasks *t, const struct slurm_record *r,
	void (*see)(struct tasks *t, struct task *task, const struct slurm_record *r))
{
	struct span left = r->tasks;
	struct slurm_range range;
	struct task *task = r->task >= 0 ? get(t, (uint64_t)r->task) : NULL;

	if (task)
		see(t, task, r);
	while (slurm_tasks_next(&left, &range) == 1)
		for (uint64_t id = range.first; id <= range.last && (task = get(t, id)); id += range.step)
			see(t, task, r);
}

static void see_queued(struct tasks *t, struct task *task, const struct slurm_record *r)
{
	take(t, task, r, TASK_QUEUED);
}

static void see_accounted(struct tasks *t, struct task *task, const struct slurm_record *r)
{
	/* The accounting may lag behind: an end that is known, and the queue, are newer. */
	if (jobstate_class(r->state) != JOBSTATE_ENDED ?
		task->seen & TASK_QUEUED || has_ended(t, task) :
		task->seen & TASK_QUEUED && !has_ended(t, task))
		return;
	take(t, task, r, TASK_ACCOUNTED);
}

void tasks_see_queued(struct tasks *t, const struct slurm_record *r)
{
	each_task(t, r, see_queued);
}

void tasks_see_accounted(struct tasks *t, const struct slurm_record *r)
{
	each_task(t, r, see_accounted);
}

void tasks_see_record(struct tasks *t, uint64_t id, const struct slurm_endrecord *record)
{
	struct task *task = (struct task *)tasks_find(t, id);

	if (!task || record->exit_status < 0)
		return;
	task->seen |= TASK_RECORDED;
	task->record_exit = (int16_t)record->exit_status;
	task->record_signal = *record->signal != '\0';
	if (!task->end_s && record->time_s > 0)
		task->end_s = (uint32_t)record->time_s;
}

/* Its place on the way from waiting to its end; 0 for one that is not on it. */
static int progress_of(const struct tasks *t, const struct task *task)
{
	static const char *const words[] = {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING"};

	for (int i = 0; i < 4; i++)
		if (!strcmp(task->word ? t->words[task->word] : "PENDING", words[i]))
			return i + 1;
	return 0;
}

bool tasks_see_hint(struct tasks *t, uint64_t id, int run, bool is_end)
{
	struct task *task = (struct task *)tasks_find(t, id);
	uint8_t number = number_of(t, is_end ? "COMPLETING" : "RUNNING");
	uint16_t told = run > 0 && run < UINT16_MAX / 2 ? (uint16_t)(2 * run + is_end) : 0;

	if (!task || !number || told <= task->told)
		return false;
	task->told = told;
	if (progress_of(t, task))
		task->word = number;
	return true;
}

void tasks_keep_hints(struct tasks *t, const struct tasks *known, bool older)
{
	for (size_t i = 0; i < t->count; i++) {
		struct task *task = &t->items[i];
		const struct task *before = tasks_find(known, task->id);
		int was = before ? progress_of(known, before) : 0, is = progress_of(t, task);

		if (before)
			task->told = before->told;
		if (is && was > is && was >= 3 && (older || is == 3))
			task->word = number_of(t, known->words[before->word]);
	}
}

static bool is_known(const struct task *task)
{
	return task->seen & (TASK_QUEUED | TASK_ACCOUNTED);
}

bool tasks_want_accounts(const struct tasks *t)
{
	bool active = false;

	for (size_t i = 0; i < t->count; i++) {
		const struct task *task = &t->items[i];

		if (has_ended(t, task))
			continue;
		if (!is_known(task))
			return true;
		active = true;
	}
	return !active;
}

bool tasks_want_records(const struct tasks *t)
{
	for (size_t i = 0; i < t->count; i++)
		if (!is_known(&t->items[i]) && !has_ended(t, &t->items[i]))
			return true;
	return false;
}

/* What its end record proves. */
static const char *recorded_word(const struct task *task, bool cancel_asked)
{
	if (task->record_signal)
		return cancel_asked ? "CANCELLED" : "UNKNOWN";
	return task->record_exit ? "FAILED" : "COMPLETED";
}

static void settle(struct tasks *t, struct task *task, uint32_t missing_for, uint32_t lag_s,
	uint32_t lost_s, bool cancel_asked)
{
	if (task->seen & TASK_RECORDED && missing_for >= lag_s) {
		task->word = number_of(t, recorded_word(task, cancel_asked));
		task->exit_code = task->record_exit;
		task->signal = 0;
	} else if (missing_for >= lost_s) {
		task->word = number_of(t, "UNKNOWN");
	}
}

void tasks_settle(struct tasks *t, uint32_t now_s, uint32_t lag_s, uint32_t lost_s,
	bool cancel_asked)
{
	for (size_t i = 0; i < t->count; i++) {
		struct task *task = &t->items[i];

		if (is_known(task) || has_ended(t, task)) {
			task->missing_s = 0;
			continue;
		}
		if (!task->missing_s)
			task->missing_s = now_s ? now_s : 1;
		settle(t, task, now_s - task->missing_s, lag_s, lost_s, cancel_asked);
	}
}

/* How many have each word, by their numbers. */
static void count(const struct tasks *t, struct jobstate_count counts[TASKS_WORDS])
{
	for (unsigned i = 0; i < TASKS_WORDS; i++)
		counts[i] = (struct jobstate_count){.word = i && i < t->word_count ? t->words[i] : "PENDING"};
	for (size_t i = 0; i < t->count; i++)
		counts[t->items[i].word].count++;
	for (unsigned i = 1; i < t->word_count; i++)
		if (!strcmp(t->words[i], "PENDING")) {
			counts[i].count += counts[0].count;
			counts[0].count = 0;
		}
}

const char *tasks_summary(const struct tasks *t)
{
	struct jobstate_count counts[TASKS_WORDS];

	count(t, counts);
	const char *word = jobstate_summary(counts, TASKS_WORDS);
	return word ? word : "PENDING";
}

void tasks_add_counts(const struct tasks *t, struct strbuf *ret)
{
	struct jobstate_count counts[TASKS_WORDS];
	const char *separator = "";

	count(t, counts);
	strbuf_adds(ret, "tasks =");
	for (unsigned i = 0; i < TASKS_WORDS; i++) {
		if (!counts[i].count)
			continue;
		strbuf_addf(ret, "%s %zu %s", separator, counts[i].count, counts[i].word);
		separator = ",";
	}
	strbuf_addc(ret, '\n');
}

bool task_same(const struct tasks *a, const struct task *x, const struct tasks *b,
	const struct task *y)
{
	return x->id == y->id && x->job_id == y->job_id && x->start_s == y->start_s &&
		x->end_s == y->end_s && x->exit_code == y->exit_code && x->signal == y->signal &&
		!strcmp(a->words[x->word], b->words[y->word]);
}

bool tasks_stamp(struct tasks *now, const struct tasks *before, int64_t real_ns, bool *transient)
{
	bool changed = !before || before->count != now->count;

	*transient = false;
	for (size_t i = 0; i < now->count; i++) {
		struct task *task = &now->items[i];
		const struct task *old = before ? tasks_find(before, task->id) : NULL;

		*transient |= old && (old->missing_s != task->missing_s || old->told != task->told);
		if (old && task_same(before, old, now, task))
			continue;
		task->changed_s = (uint32_t)(real_ns / 1000000000);
		changed = true;
	}
	return changed;
}

void tasks_set_word(struct tasks *t, uint64_t id, const char *word)
{
	size_t at = position(t, id);

	if (at < t->count && t->items[at].id == id)
		t->items[at].word = number_of(t, word);
}

/* ---- the store's text ---- */

/* Whether `b` goes on the run that begins with `first` and has come to `a`. */
static bool goes_on(const struct task *first, const struct task *a, const struct task *b)
{
	return b->word == a->word && b->exit_code == a->exit_code && b->signal == a->signal &&
		b->start_s == a->start_s && b->end_s == a->end_s && b->changed_s == a->changed_s &&
		b->job_id == (a->job_id ? a->job_id + 1 : 0) &&
		(a == first || b->id - a->id == first[1].id - first->id);
}

void tasks_print(const struct tasks *t, struct strbuf *ret)
{
	strbuf_addf(ret, "%s\n%s\n%s\n%s\n", t->output, t->error, t->job_name, t->user);
	for (size_t i = 0, n; i < t->count; i += n) {
		const struct task *first = &t->items[i];

		for (n = 1; i + n < t->count && goes_on(first, first + n - 1, first + n); n++)
			;
		strbuf_addf(ret, "%u %zu %u %s %d %d %u %u %u %u\n", first->id, n,
			n > 1 ? first[1].id - first->id : 1, first->word ? t->words[first->word] : "-",
			first->exit_code, first->signal, first->job_id, first->start_s, first->end_s,
			first->changed_s);
	}
}

static bool read_run(struct tasks *t, const char *line)
{
	char word[JOB_STATE_SIZE];
	struct task run = {0};
	unsigned step;
	size_t n;

	if (sscanf(line, "%u %zu %u %23s %hd %hd %u %u %u %u", &run.id, &n, &step, word,
		&run.exit_code, &run.signal, &run.job_id, &run.start_s, &run.end_s,
		&run.changed_s) != 10 || !step)
		return false;
	run.word = strcmp(word, "-") ? number_of(t, word) : 0;
	for (uint64_t id = run.id; n; n--, id += step) {
		struct task *task = get(t, id);

		if (!task)
			return false;
		run.id = (uint32_t)id;
		*task = run;
		run.job_id += run.job_id != 0;
	}
	return true;
}

struct tasks *tasks_parse(const char *text, size_t len)
{
	struct tasks *t = tasks_new();
	AUTO_FREE char *copy = xstrndup(text, len);
	char **const fields[] = {&t->output, &t->error, &t->job_name, &t->user};
	char *at = copy, *line;
	bool fine = true;

	for (size_t i = 0; i < 4 && (line = strsep(&at, "\n")); i++) {
		free(*fields[i]);
		*fields[i] = xstrdup(line);
	}
	while (fine && (line = strsep(&at, "\n")) && *line)
		fine = read_run(t, line);
	if (fine && t->count)
		return t;
	tasks_unref(t);
	return NULL;
}
