/*
 * The progress of running jobs: asked for after a state query, never more often, by one command for
 * all.  Where there are more running jobs than one command may read, they take turns.  What is shown
 * while a job runs is not persisted: after a restart the next query reads it again.  A job that has
 * ended is read once more, and that stays.
 */
#include <stdlib.h>
#include <string.h>

#include "engine_internal.h"
#include "err.h"
#include "jobstate.h"
#include "progress.h"
#include "progress_query.h"

/* What one command may cost, in logs; looking for a log costs as many as it may look at. */
#define BUDGET 128
#define SEARCH_COST 8
/* A job of no engine that we know is looked at again after 1, 2, 4 ... up to so many queries. */
#define MOST_ROUNDS 32

struct watched {
	uint64_t serial;
	char *path;             /* the log; NULL: it is still to be found */
	int64_t offset;         /* what of it was read */
	struct progress_reader *reader; /* NULL before */
	unsigned rounds;        /* queries until the next search, */
	unsigned waited;        /* ... and how many have passed */
	bool ended;             /* to be read once more, then forgotten */
	bool seen;              /* it is still to be asked for; else what is under way is the last */
	/* Its rate is measured between two changes of `done` in one run of the engine. */
	int64_t run;            /* the run's first step */
	int64_t since_step, since_ms; /* -1: no change was seen yet */
	int64_t last_step, last_ms;
};

struct progress_watch {
	struct watched *jobs;   /* by serial */
	size_t count, capacity;
	uint64_t turn;          /* the next query begins behind this serial */
	bool busy;              /* a query is under way */
	int64_t retry_ms;       /* jobs that ended are still to be read: no sooner than this; 0: none */
};

/* ---- the table ---- */

static void forget_log(struct watched *w)
{
	free(STEAL(w->path));
	free(STEAL(w->reader));
	w->offset = 0;
	w->since_step = w->last_step = -1;
}

static size_t place(const struct progress_watch *p, uint64_t serial)
{
	size_t low = 0, high = p->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (p->jobs[middle].serial < serial)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct watched *find(struct progress_watch *p, uint64_t serial)
{
	size_t at = place(p, serial);

	return at < p->count && p->jobs[at].serial == serial ? &p->jobs[at] : NULL;
}

static struct watched *add(struct progress_watch *p, uint64_t serial)
{
	size_t at = place(p, serial);

	if (at < p->count && p->jobs[at].serial == serial)
		return &p->jobs[at];
	if (p->count == p->capacity) {
		p->capacity = p->capacity ? 2 * p->capacity : 16;
		p->jobs = xrealloc(p->jobs, p->capacity * sizeof(*p->jobs));
	}
	memmove(p->jobs + at + 1, p->jobs + at, (p->count - at) * sizeof(*p->jobs));
	p->count++;
	p->jobs[at] = (struct watched){.serial = serial, .since_step = -1, .last_step = -1,
		.rounds = 1, .waited = 1};
	return &p->jobs[at];
}

static void drop(struct progress_watch *p, struct watched *w)
{
	size_t at = (size_t)(w - p->jobs);

	forget_log(w);
	p->count--;
	memmove(w, w + 1, (p->count - at) * sizeof(*w));
}

static struct progress_watch *watch_of(struct engine *e)
{
	if (!e->progress)
		e->progress = xcalloc(1, sizeof(*e->progress));
	return e->progress;
}

void progress_watch_free(struct progress_watch *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->count; i++)
		forget_log(&p->jobs[i]);
	free(p->jobs);
	free(p);
}

/* ---- what a query brought ---- */

struct query {
	struct engine *engine;
	struct strbuf request;
	uint64_t serials[BUDGET];
	size_t count;
	int result;
	struct command_result answer;
};

/* A log that is being looked at: the best of a job's is kept. */
struct look {
	struct query *query;
	size_t index;           /* SIZE_MAX: none yet */
	char *path;
	int64_t offset;
	struct progress_reader *reader;
};

static unsigned worth(const struct progress *p)
{
	if (p->engine == PROGRESS_NONE)
		return 0;
	return 1 + (p->done >= 0 ? 2 : 0) + (p->total >= 0 ? 4 : 0);
}

/* Takes up a log that was looked at where it tells more than the one before. */
static void end_look(struct look *look)
{
	struct progress_watch *p = look->query->engine->progress;
	struct watched *w = look->path ? find(p, look->query->serials[look->index]) : NULL;
	unsigned now = w && w->reader ? worth(&w->reader->progress) : 0;

	if (w && worth(&look->reader->progress) > now) {
		free(w->path);
		free(w->reader);
		w->path = STEAL(look->path);
		w->reader = STEAL(look->reader);
		w->offset = look->offset;
	}
	free(STEAL(look->path));
	free(STEAL(look->reader));
}

static void feed(struct progress_reader *reader, int64_t *offset, const struct progress_part *part)
{
	/* It was written anew. */
	if (part->from < *offset)
		progress_reader_init(reader);
	else if (part->from > *offset)
		progress_gap(reader);
	progress_feed(reader, part->bytes, part->len);
	*offset = part->next;
}

static void take_part(void *arg, const struct progress_part *part)
{
	struct look *look = arg;

	if (part->index >= look->query->count)
		return;
	struct watched *w = find(look->query->engine->progress, look->query->serials[part->index]);
	if (!w)
		return;
	/* What is looked at may be another job's, whose parts have all come then. */
	if (look->path && look->index != part->index)
		end_look(look);
	if (w->path && !strcmp(w->path, part->path) && !look->path) {
		feed(w->reader, &w->offset, part);
		return;
	}
	if (!look->path || look->index != part->index || strcmp(look->path, part->path)) {
		end_look(look);
		look->index = part->index;
		look->path = xstrdup(part->path);
		look->offset = 0;
		look->reader = xmalloc(sizeof(*look->reader));
		progress_reader_init(look->reader);
	}
	feed(look->reader, &look->offset, part);
}

/* Steps a second as the log's growth shows them, 0 unknown. */
static double rate_of(struct watched *w, int64_t now_ms)
{
	const struct progress *p = &w->reader->progress;

	if (w->last_step < 0 || p->done < w->last_step || p->first != w->run) {
		/* These figures may be old ones: time counts from the first change. */
		w->since_step = -1;
		w->last_step = p->done;
		w->run = p->first;
	} else if (p->done > w->last_step) {
		w->last_step = p->done;
		w->last_ms = now_ms;
		if (w->since_step < 0) {
			w->since_step = p->done;
			w->since_ms = now_ms;
		}
	}
	if (w->since_step < 0 || w->last_ms <= w->since_ms)
		return 0;
	return (double)(w->last_step - w->since_step) * 1000 / (double)(w->last_ms - w->since_ms);
}

/* Why a job failed, as its engine says it: the last line of what `error` says. */
static bool add_words(const struct watched *w, const struct job *job, struct strbuf *error)
{
	const struct progress *p = w->ended && w->reader ? &w->reader->progress : NULL;

	if (!p || !*p->fatal || strcmp(job->state, "FAILED"))
		return false;
	struct strbuf line AUTO_STRBUF = STRBUF_INIT;
	strbuf_addf(&line, "Words of %s: ", *p->version ? p->version : "the program");
	strbuf_add_escaped(&line, p->fatal, strlen(p->fatal));
	strbuf_addc(&line, '\n');
	if (strstr(job->error, line.data))
		return false;
	strbuf_adds(error, job->error);
	if (error->len && error->data[error->len - 1] != '\n')
		strbuf_addc(error, '\n');
	strbuf_add(error, line.data, line.len);
	return true;
}

static void show(struct engine *e, struct watched *w)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct strbuf error AUTO_STRBUF = STRBUF_INIT;
	AUTO_JOB struct job *job = model_latest(e->model, w->serial);

	if (!job)
		return;
	if (w->reader)
		progress_render(&w->reader->progress, rate_of(w, clock_mono_ms(e->clock)), w->ended,
			&text);
	else
		strbuf_adds(&text, job->progress);
	bool steps = w->ended ? text.len > 0 : strcmp(text.data, job->progress) != 0;
	bool words = add_words(w, job, &error);
	if (!steps && !words)
		return;
	struct job *now = job_copy(job);
	if (steps)
		job_set(&now->progress, text.data);
	if (words)
		job_set(&now->error, error.data);
	if (!w->ended) {
		engine_show(e, now);
		return;
	}
	if (steps)
		store_set_text(e->store, now, STORE_PROGRESS, text.data, text.len);
	engine_commit(e, now, NULL);
}

/* Until it is read once more: nothing is left of a job that has ended. */
static void show_ended(struct engine *e, struct watched *w, const struct job *job)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	if (!w->reader || !*job->progress)
		return;
	progress_render(&w->reader->progress, rate_of(w, clock_mono_ms(e->clock)), true, &text);
	if (!strcmp(text.data, job->progress))
		return;
	struct job *now = job_copy(job);
	job_set(&now->progress, text.data);
	engine_show(e, now);
}

static void queried(struct engine *e, void *arg)
{
	struct query *q = arg;
	struct progress_watch *p = e->progress;
	struct look look = {.query = q, .index = SIZE_MAX};

	p->busy = false;
	if (q->result == 0)
		progress_each_part(q->answer.out.data, q->answer.out.len, take_part, &look);
	end_look(&look);
	for (size_t i = 0; i < q->count && q->result == 0; i++) {
		struct watched *w = find(p, q->serials[i]);

		if (!w)
			continue;
		show(e, w);
		/* One that ended meanwhile is read once more. */
		if (w->ended && !w->seen)
			drop(p, w);
	}
	p->retry_ms = 0;
	for (size_t i = 0; i < p->count; i++)
		if (p->jobs[i].ended)
			p->retry_ms = clock_in(e->clock, (int64_t)e->profile->sync_interval * 1000);
	command_result_release(&q->answer);
	strbuf_release(&q->request);
	free(q);
}

static void run_query(void *arg)
{
	struct query *q = arg;

	q->result = progress_query(&q->engine->cluster, &q->request, &q->answer);
	engine_post(q->engine, queried, q);
}

/* ---- asking ---- */

/* A log that tells steps and their number is the right one. */
static bool is_found(const struct watched *w)
{
	return w->path && worth(&w->reader->progress) == 7;
}

/* Adds what is to be read of the job; its cost, 0 for nothing. */
static unsigned ask(struct engine *e, struct query *q, struct watched *w, unsigned left)
{
	AUTO_JOB struct job *job = model_latest(e->model, w->serial);
	bool search = !is_found(w) && (w->ended || w->waited >= w->rounds);

	if (!job || (!search && !w->path) || (search && left < SEARCH_COST))
		return 0;
	w->seen = false;
	q->serials[q->count] = w->serial;
	if (search) {
		forget_log(w);
		w->waited = 0;
		w->rounds = w->rounds < MOST_ROUNDS ? 2 * w->rounds : MOST_ROUNDS;
		progress_ask_all(&q->request, q->count, job->workdir, job->stdout_path,
			job->stderr_path);
	} else {
		progress_ask_file(&q->request, q->count, w->offset, w->path);
	}
	q->count++;
	return search ? SEARCH_COST : 1;
}

/* Forgets what need not be asked for: jobs that were removed, or do not run any more. */
static void tidy(struct engine *e)
{
	struct progress_watch *p = e->progress;
	size_t kept = 0;

	for (size_t i = 0; i < p->count; i++) {
		struct watched *w = &p->jobs[i];
		AUTO_JOB struct job *job = model_latest(e->model, w->serial);

		if (job && w->seen)
			p->jobs[kept++] = *w;
		else
			forget_log(w);
	}
	p->count = kept;
}

static void send_query(struct engine *e)
{
	struct progress_watch *p = e->progress;
	struct query *q = xcalloc(1, sizeof(*q));
	unsigned left = BUDGET;
	size_t start = place(p, p->turn + 1);

	q->engine = e;
	q->request = STRBUF_INIT;
	q->answer = COMMAND_RESULT_INIT;
	for (size_t i = 0; i < p->count && left; i++) {
		struct watched *w = &p->jobs[(start + i) % p->count];

		unsigned cost = ask(e, q, w, left);
		left -= cost;
		if (cost)
			p->turn = w->serial;
	}
	if (!q->count) {
		strbuf_release(&q->request);
		free(q);
		return;
	}
	p->busy = true;
	lane_post(e->query_lane, run_query, q);
}

/* Whether its output is being written, one log for the whole job. */
static bool can_have_progress(const struct job *job)
{
	return (!strcmp(job->state, "RUNNING") || !strcmp(job->state, "COMPLETING")) &&
		*job->stdout_path;
}

void progress_job_ended(struct engine *e, uint64_t serial)
{
	AUTO_JOB struct job *job = model_latest(e->model, serial);

	if (!job || !*job->stdout_path || !*job->workdir)
		return;
	struct watched *w = add(watch_of(e), serial);
	w->ended = w->seen = true;
	show_ended(e, w, job);
	e->progress->retry_ms = clock_mono_ms(e->clock);
}

void progress_renew(struct engine *e)
{
	struct progress_watch *p = watch_of(e);

	if (p->busy)
		return;
	for (size_t i = 0; i < p->count; i++)
		p->jobs[i].seen = p->jobs[i].ended;
	for (size_t i = 0; i < e->track_count; i++) {
		AUTO_JOB struct job *job = model_latest(e->model, e->tracks[i].serial);

		if (e->tracks[i].step == STEP_WATCH && job && can_have_progress(job)) {
			struct watched *w = add(p, job->serial);

			w->seen = true;
			w->waited++;
		} else if (job && *job->progress && !strcmp(job->state, "PENDING")) {
			/* It was requeued: what it did before is done again. */
			struct job *now = job_copy(job);

			job_set(&now->progress, "");
			engine_show(e, now);
		}
	}
	tidy(e);
	if (p->count)
		send_query(e);
}

void progress_tick(struct engine *e, int64_t now_ms, int64_t *next_ms)
{
	struct progress_watch *p = e->progress;

	if (!p || !p->retry_ms || p->busy)
		return;
	if (p->retry_ms <= now_ms) {
		p->retry_ms = 0;
		for (size_t i = 0; i < p->count; i++)
			p->jobs[i].seen = true;
		tidy(e);
		send_query(e);
	} else if (p->retry_ms < *next_ms) {
		*next_ms = p->retry_ms;
	}
}
