/*
 * The jobs' own start and end records, told as they are written (recordstream.h): a start shows at once as
 * RUNNING, an end as COMPLETING until Slurm's word.  They also end the back-off of the state queries, which
 * stay no faster than `interval`.
 *
 * A requeue begins another run, whose records have a number of their own: what an earlier run left is
 * nothing new.  A query that was sent before a hint came is older than it (watch.c).
 */
#include <stdlib.h>
#include <string.h>

#include "engine_internal.h"
#include "err.h"
#include "jobstate.h"
#include "log.h"
#include "profile.h"
#include "recordstream.h"
#include "tasks.h"

/* A command that ended at once is not begun again at once. */
#define FIRST_PAUSE_MS 1000
#define LONGEST_PAUSE_MS 300000
#define LIVED_MS 60000
/* Where the server allows too few commands at once, the queries alone have to do. */
#define NO_ROOM_MS 3600000

struct hints {
	struct following *following; /* NULL: none is under way */
	int64_t due_ms;              /* no sooner than this */
	int64_t pause_ms;
};

struct following {
	struct engine *engine;
	char *records;
	atomic_bool stop;
	int64_t began_ms;
	int result;
	pthread_mutex_t lock;
	struct recordstream_item *items; /* lock: not taken by the engine yet */
	size_t count, capacity;          /* lock */
};

/* ---- in the lane ---- */

static void note_item(void *arg, const struct recordstream_item *item)
{
	struct following *f = arg;

	WITH_LOCK(&f->lock);
	if (f->count == f->capacity) {
		f->capacity = f->capacity ? 2 * f->capacity : 16;
		f->items = xrealloc(f->items, f->capacity * sizeof(*f->items));
	}
	f->items[f->count++] = *item;
}

static void take_items(struct engine *e, void *arg);
static void ended(struct engine *e, void *arg);

static void some_came(void *arg)
{
	struct following *f = arg;

	engine_post(f->engine, take_items, f);
}

static void follow(void *arg)
{
	struct following *f = arg;

	f->result = recordstream_follow(&f->engine->cluster, f->records, &f->stop, note_item,
		some_came, f);
	engine_post(f->engine, ended, f);
}

/* ---- in the engine's thread ---- */

static bool is_before_start(const char *state)
{
	return !strcmp(state, "PENDING") || !strcmp(state, "CONFIGURING");
}

/* The job's next word by the record; NULL: it tells nothing new. */
static const char *next_word(struct track *track, const char *state,
	const struct recordstream_item *item)
{
	int run = item->record.restart + 1;

	if (run < 1 || run < track->run)
		return NULL;
	if (item->is_end) {
		if (item->record.exit_status < 0 || (run == track->run && track->run_ended))
			return NULL;
		track->run = run;
		track->run_ended = true;
		return is_before_start(state) || !strcmp(state, "RUNNING") ? "COMPLETING" : NULL;
	}
	if (run == track->run)
		return NULL;
	track->run = run;
	track->run_ended = false;
	return is_before_start(state) ? "RUNNING" : NULL;
}

/* Of an array: true where any of its tasks is something else now. */
static bool take_task_items(struct engine *e, struct job *now, const struct recordstream_item *items,
	size_t count)
{
	struct tasks *tasks = tasks_copy(now->tasks);
	bool told = false;

	for (size_t i = 0; i < count; i++) {
		const struct slurm_endrecord *record = &items[i].record;

		if (items[i].task >= 0 && (!*record->job || !strcmp(record->job, now->slurm_id)) &&
			(!items[i].is_end || record->exit_status >= 0))
			told |= tasks_see_hint(tasks, (uint64_t)items[i].task, record->restart + 1,
				items[i].is_end);
	}
	bool changed = told && watch_show_tasks(e, now, tasks, now->facts);
	tasks_unref(tasks);
	return changed;
}

static bool take_job_items(struct track *track, struct job *now,
	const struct recordstream_item *items, size_t count)
{
	bool changed = false;

	for (size_t i = 0; i < count; i++) {
		if (items[i].task >= 0 || (*items[i].record.job &&
			strcmp(items[i].record.job, now->slurm_id)))
			continue;
		const char *word = next_word(track, now->state, &items[i]);
		if (!word)
			continue;
		pipeline_set_state(now, word, "");
		changed = true;
	}
	return changed;
}

static void take_hints(struct engine *e, struct track *track, const struct job *job,
	const struct recordstream_item *items, size_t count)
{
	struct job *now = job_copy(job);

	if (!(job->tasks ? take_task_items(e, now, items, count) :
		take_job_items(track, now, items, count))) {
		if (now->tasks != job->tasks)
			engine_show(e, now);
		else
			job_unref(now);
		return;
	}
	bool new_state = strcmp(job->state, now->state) != 0;
	track->hint_ms = clock_mono_ms(e->clock);
	track->seen = 0;
	e->interval_ms = (int64_t)e->profile->sync_interval * 1000;
	if (!*now->stdout_path)
		watch_find_outputs(e, now);
	engine_commit(e, now, new_state ? "%s" : NULL, now->state);
}

/* Of one job in the order in which it wrote them. */
static int by_uuid(const void *a, const void *b)
{
	const struct recordstream_item *left = a, *right = b;
	int order = strcmp(left->uuid, right->uuid);

	if (!order)
		order = left->record.restart - right->record.restart;
	return order ? order : left->is_end - right->is_end;
}

static int compare_uuid(const void *key, const void *item)
{
	return strcmp(key, ((const struct recordstream_item *)item)->uuid);
}

static void take_items(struct engine *e, void *arg)
{
	struct following *f = arg;

	pthread_mutex_lock(&f->lock);
	AUTO_FREE struct recordstream_item *items = STEAL(f->items);
	size_t count = f->count;
	f->count = f->capacity = 0;
	pthread_mutex_unlock(&f->lock);
	if (!count)
		return;
	qsort(items, count, sizeof(*items), by_uuid);
	engine_group_begin(e);
	for (size_t i = 0; i < e->track_count; i++) {
		AUTO_JOB struct job *job = e->tracks[i].step == STEP_WATCH ?
			model_latest(e->model, e->tracks[i].serial) : NULL;
		struct recordstream_item *first = job ? bsearch(job->uuid, items, count,
			sizeof(*items), compare_uuid) : NULL;

		if (!first)
			continue;
		while (first > items && !strcmp(first[-1].uuid, job->uuid))
			first--;
		size_t n = 1;
		while (first + n < items + count && !strcmp(first[n].uuid, job->uuid))
			n++;
		take_hints(e, &e->tracks[i], job, first, n);
	}
	engine_group_end(e);
}

static void ended(struct engine *e, void *arg)
{
	struct following *f = arg;
	struct hints *h = e->hints;

	if (f->result < 0 && e->online)
		log_debug("the jobs' records cannot be followed: %s", strerror(-f->result));
	h->following = NULL;
	/* One that has lived long may be begun anew at once. */
	if (clock_mono_ms(e->clock) - f->began_ms > LIVED_MS)
		h->pause_ms = 0;
	h->pause_ms = h->pause_ms ? 2 * h->pause_ms : FIRST_PAUSE_MS;
	if (h->pause_ms > LONGEST_PAUSE_MS)
		h->pause_ms = LONGEST_PAUSE_MS;
	h->due_ms = clock_in(e->clock, atomic_load(&e->crowded) ? NO_ROOM_MS :
		f->result < 0 ? h->pause_ms : 0);
	pthread_mutex_destroy(&f->lock);
	free(f->items);
	free(f->records);
	free(f);
}

static bool any_watched(const struct engine *e)
{
	for (size_t i = 0; i < e->track_count; i++)
		if (e->tracks[i].step == STEP_WATCH)
			return true;
	return false;
}

void hint_tick(struct engine *e, int64_t now_ms, int64_t *next_ms)
{
	bool wanted = e->records && any_watched(e);

	if (!e->hints)
		e->hints = xcalloc(1, sizeof(*e->hints));
	struct hints *h = e->hints;
	if (h->following) {
		/* Where others found no room beside it, it gives way. */
		atomic_store(&h->following->stop, !wanted || atomic_load(&e->crowded));
		return;
	}
	if (!wanted)
		return;
	if (h->due_ms > now_ms) {
		if (h->due_ms < *next_ms)
			*next_ms = h->due_ms;
		return;
	}
	struct following *f = h->following = xcalloc(1, sizeof(*f));
	f->engine = e;
	f->records = xstrdup(e->records);
	f->began_ms = now_ms;
	atomic_store(&e->crowded, false);
	atomic_init(&f->stop, false);
	pthread_mutex_init(&f->lock, NULL);
	lane_post(e->hint_lane, follow, f);
}

void hint_free(struct hints *hints)
{
	free(hints);
}
