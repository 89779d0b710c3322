/*
 * One job from its complete directory on the cluster to its Slurm id: many jobs in one command, whose
 * answers are taken as they come.  submit.h argues why sbatch runs at most once.
 *
 * Without a rate two commands are under way, so that the way there and back of one is the other's time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine_internal.h"
#include "err.h"
#include "fault.h"
#include "log.h"
#include "profile.h"
#include "reconcile.h"
#include "slurm_error.h"
#include "slurm_text.h"
#include "submit.h"

/* Jobs in one command; with a rate, a new one waits no longer than these take. */
#define BATCH 256
#define BATCH_WITH_RATE 64
#define AT_ONCE 2
/* sbatch itself is ended after 600 s; its outcome is written well within this. */
#define OUTCOME_MS 660000
/* Between two questions for an outcome that is not there yet, and for one that does not tell: it stays as it
 * is, and only the queue can show more until all is looked through. */
#define PENDING_MS 5000
#define DOUBTFUL_MS 60000

struct sbatch {
	unsigned running;        /* commands */
	uint64_t taken[BATCH];   /* serials of the next one */
	size_t count;
	int64_t lent_ms;         /* a command of others last submitted one */
};

/* What one job's sbatch came to. */
struct answer {
	struct answer *next;
	uint64_t serial;
	bool first;
	int result;
	struct strbuf outcome;
};

struct batch {
	struct engine *engine;
	uint64_t serials[BATCH];
	struct submit_item items[BATCH]; /* the lane's, while it runs */
	bool first[BATCH]; /* the first command that could run sbatch for this attempt */
	bool answered[BATCH];            /* the lane's */
	size_t count;
	int result;
	pthread_mutex_t lock;
	struct answer *answers;          /* lock: not taken by the engine yet */
	struct answer **last;            /* lock */
};

static struct sbatch *sbatch_of(struct engine *e)
{
	if (!e->sbatch)
		e->sbatch = xcalloc(1, sizeof(*e->sbatch));
	return e->sbatch;
}

void sbatch_free(struct sbatch *sbatch)
{
	free(sbatch);
}

/* ---- what sbatch said ---- */

/* No for now. A limit on the number of jobs may hold it for days: that is told once. */
static void refused_for_now(struct engine *e, const struct job *job,
	const struct slurm_error_info *info, const char *error)
{
	struct track *track = engine_track(e, job->serial);
	struct job *now = job_copy(job);
	int headline = (int)strcspn(error, "\n");
	bool waited = !strcmp(job->state, "WAITING");

	now->attempt++;
	now->taken = false;
	pipeline_set_state(now, info->wait ? "WAITING" : "SUBMITTING",
		info->wait ? info->message : "");
	job_set(&now->error, error);
	track->waits = info->wait;
	engine_pause(e, track);
	if (info->wait)
		engine_commit(e, now, waited ? NULL : "it waits: %.*s", headline, error);
	else
		engine_commit(e, now, "%.*s; it is tried again in %lld s", headline, error,
			pipeline_seconds_until(e, track));
}

static int64_t until_looked_for_ms(struct engine *e, const struct job *job)
{
	return OUTCOME_MS + 1 - (clock_real_ns(e->clock) - job->taken_ns) / 1000000;
}

/* It may be queued all the same: only the absence of every trace says no. */
static void answer_lost(struct engine *e, const struct job *job, const char *error)
{
	struct track *track = engine_track(e, job->serial);
	int64_t left_ms = until_looked_for_ms(e, job);

	track->doubtful_of = job->attempt;
	track->due_ms = clock_in(e->clock, left_ms < PENDING_MS ? PENDING_MS :
		left_ms < DOUBTFUL_MS ? left_ms : DOUBTFUL_MS);
	if (!strcmp(job->error, error))
		return;
	struct job *now = job_copy(job);
	job_set(&now->error, error);
	engine_commit(e, now, "%.*s; the job is looked for", (int)strcspn(error, "\n"), error);
}

void pipeline_room(struct engine *e)
{
	for (size_t i = 0; i < e->track_count; i++) {
		struct track *track = &e->tracks[i];

		if (track->waits && !track->busy && track->step == STEP_SUBMIT) {
			track->waits = false;
			track->due_ms = 0;
			return;
		}
	}
}

/* sbatch ended and said no. */
static void refused(struct engine *e, const struct job *job, const struct slurm_outcome *outcome)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	AUTO_FREE char *words = xstrndup(outcome->err, outcome->err_len);
	struct slurm_error_info info;

	slurm_error_lookup(words, &info);
	slurm_error_explain(words, &text);
	if (info.reconcile_first)
		answer_lost(e, job, text.data);
	else if (job->cancel_asked)
		pipeline_cancelled(e, job->serial);
	else if (!info.retry)
		pipeline_reject(e, job->serial, text.data);
	else
		refused_for_now(e, job, &info, text.data);
}

/* Nothing that was read tells whether Slurm has the job: it is looked for. */
static void answer_useless(struct engine *e, const struct job *job, const char *what)
{
	AUTO_FREE char *text = xasprintf("Slurm's answer was lost: %s.\nWhy: sbatch may have queued the job "
		"all the same.\nWhat to do: nothing for now. slurmount looks for the job, and submits it again "
		"only when it was not queued.\n", what);

	answer_lost(e, job, text);
}

static void take_outcome(struct engine *e, const struct job *job, const struct strbuf *text)
{
	struct slurm_outcome outcome;
	char id[32], cluster[64];

	if (slurm_parse_outcome(text->data, text->len, &outcome) < 0) {
		/* Cut off, as on a full disk. */
		answer_useless(e, job, "what was written down of it cannot be read");
	} else if (outcome.exit_status == 124) {
		answer_useless(e, job, "sbatch was ended after 10 minutes");
	} else if (outcome.exit_status > 128) {
		/* By a signal, whatever it had said before: it may have been done by then. */
		AUTO_FREE char *what = xasprintf("sbatch was ended by signal %d",
			outcome.exit_status - 128);
		answer_useless(e, job, what);
	} else if (outcome.exit_status != 0) {
		refused(e, job, &outcome);
	} else if (slurm_parse_sbatch(outcome.out, outcome.out_len, id, sizeof(id), cluster,
		sizeof(cluster)) == 0) {
		pipeline_adopt_id(e, job->serial, id, "");
	} else {
		answer_useless(e, job, "no job id can be read from what sbatch printed");
	}
}

static void stage_again(struct engine *e, const struct job *job, struct track *track)
{
	if (job->cancel_asked) {
		pipeline_cancelled(e, job->serial);
		return;
	}
	struct job *now = job_copy(job);

	/* No command of ours found it before, so sbatch never ran; a new one gets a new name. */
	now->staged = now->taken = false;
	now->attempt++;
	pipeline_set_state(now, "STAGING", "");
	if (engine_commit(e, now, "its directory on the cluster is gone; it is brought again") == 0)
		track->step = STEP_STAGE;
	engine_pause(e, track);
}

/* The cluster's disk, most likely. */
static void not_begun(struct engine *e, uint64_t serial, const struct strbuf *words)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	strbuf_add_escaped(&text, words->data, words->len);
	pipeline_try_later(e, serial, "SUBMITTING",
		"Nothing can be written to its directory on the cluster, so sbatch was not run.",
		text.data);
}

static void take_answer(struct engine *e, const struct answer *a)
{
	struct track *track = engine_track(e, a->serial);
	AUTO_JOB struct job *job = model_latest(e->model, a->serial);

	if (track) {
		track->busy = false;
		track->due_ms = clock_in(e->clock, UNWRITTEN_MS);
	}
	if (!track || !job || *job->slurm_id)
		return;
	if (a->result == SUBMIT_OUTCOME)
		take_outcome(e, job, &a->outcome);
	else if (a->result == SUBMIT_FAILED)
		not_begun(e, a->serial, &a->outcome);
	else if (a->result == SUBMIT_GONE && a->first)
		stage_again(e, job, track);
	else if (a->result == SUBMIT_GONE)
		/* An earlier command may have run sbatch there: absence proves nothing. */
		pipeline_try_later(e, a->serial, "SUBMITTING",
			"Its directory on the cluster is not there, and "
			"whether Slurm has the job is not known.", "");
	else
		track->due_ms = clock_in(e->clock, PENDING_MS);
}

void sbatch_answer(struct engine *e, uint64_t serial, bool first, const struct submit_item *item)
{
	struct answer answer = {NULL, serial, first, (int)item->result, item->outcome};

	take_answer(e, &answer);
}

/* ---- a command ---- */

static struct answer *steal_answers(struct batch *batch)
{
	WITH_LOCK(&batch->lock);
	struct answer *first = batch->answers;
	batch->answers = NULL;
	batch->last = &batch->answers;
	return first;
}

static void take_answers(struct engine *e, void *arg)
{
	struct answer *next;

	engine_group_begin(e);
	for (struct answer *a = steal_answers(arg); a; a = next) {
		next = a->next;
		take_answer(e, a);
		strbuf_release(&a->outcome);
		free(a);
	}
	engine_group_end(e);
}

/* Nobody knows whether sbatch ran: the next command finds its outcome, or the job is looked for. */
static void no_answer(struct engine *e, struct track *track, int result)
{
	track->busy = false;
	if (result == -ENOTCONN || result == -ECANCELED)
		track->due_ms = clock_in(e->clock, 1000);
	else
		engine_pause(e, track);
}

static void batch_done(struct engine *e, void *arg)
{
	struct batch *batch = arg;

	e->sbatch->running--;
	if (batch->result < 0)
		log_debug("a command that runs sbatch has failed: %s", strerror(-batch->result));
	for (size_t i = 0; i < batch->count; i++) {
		struct track *track = batch->answered[i] ? NULL : engine_track(e, batch->serials[i]);

		if (track)
			no_answer(e, track, batch->result);
		strbuf_release(&batch->items[i].outcome);
		free((char *)batch->items[i].workdir);
	}
	pthread_mutex_destroy(&batch->lock);
	free(batch);
}

/* In the lane.  Each job's first answer counts. */
static void note_answers(void *arg)
{
	struct batch *batch = arg;
	bool told = false;

	for (size_t i = 0; i < batch->count; i++) {
		struct submit_item *item = &batch->items[i];

		if (batch->answered[i] || item->result == SUBMIT_NO_ANSWER)
			continue;
		struct answer *a = xmalloc(sizeof(*a));
		*a = (struct answer){NULL, batch->serials[i], batch->first[i], (int)item->result,
			item->outcome};
		item->outcome = STRBUF_INIT;
		batch->answered[i] = true;
		WITH_LOCK(&batch->lock);
		told |= !batch->answers;
		*batch->last = a;
		batch->last = &a->next;
	}
	FAULT_POINT("sbatch's answer");
	if (told)
		engine_post(batch->engine, take_answers, batch);
}

static void run_batch(void *arg)
{
	struct batch *batch = arg;

	FAULT_POINT("before sbatch");
	batch->result = submit_run(&batch->engine->cluster, batch->items, batch->count,
		(unsigned)batch->engine->profile->submit_rate, note_answers, batch);
	FAULT_POINT("behind sbatch");
	engine_post(batch->engine, batch_done, batch);
}

/* Notes, before anything is sent, that from now on only evidence may say "not submitted". */
static bool note_taken(struct engine *e, const struct job *job)
{
	if (job->taken)
		return true;
	struct job *now = job_copy(job);
	now->taken = true;
	now->taken_ns = clock_real_ns(e->clock);
	/* What waits for room does so until Slurm takes it. */
	bool waits = !strcmp(job->state, "WAITING");
	if (!waits)
		pipeline_set_state(now, "SUBMITTING", "");
	return engine_commit(e, now, waits ? NULL : "sbatch is run (attempt %u)",
		job->attempt) == 0;
}

static void add_to_batch(struct engine *e, struct batch *batch, uint64_t serial)
{
	AUTO_JOB struct job *job = model_latest(e->model, serial);

	if (!job || !note_taken(e, job))
		return;
	batch->first[batch->count] = !job->taken;
	batch->serials[batch->count] = serial;
	batch->items[batch->count++] = (struct submit_item){.workdir = xstrdup(job->workdir),
		.attempt = job->attempt, .outcome = STRBUF_INIT};
}

/* An attempt whose outcome never came, or does not tell, is looked for where it must have left a
 * trace. */
static bool needs_look(struct engine *e, const struct track *track)
{
	AUTO_JOB struct job *job = model_latest(e->model, track->serial);

	return job && job->taken &&
		(track->outcome_of != job->attempt || track->doubtful_of == job->attempt) &&
		until_looked_for_ms(e, job) <= 0;
}

bool sbatch_take(struct engine *e, struct track *track)
{
	struct sbatch *s = sbatch_of(e);
	bool rate = e->profile->submit_rate;

	if (needs_look(e, track)) {
		reconcile_start(e, track);
		return true;
	}
	if (s->running >= (rate ? 1 : AT_ONCE) || s->count >= (rate ? BATCH_WITH_RATE : BATCH))
		return false;
	s->taken[s->count++] = track->serial;
	return true;
}

bool sbatch_is_idle(struct engine *e)
{
	struct sbatch *s = sbatch_of(e);
	int64_t now_ms = clock_mono_ms(e->clock);
	unsigned rate = (unsigned)e->profile->submit_rate;

	if (s->running || s->count || (rate && now_ms - s->lent_ms < 1000 / rate))
		return false;
	s->lent_ms = now_ms;
	return true;
}

void sbatch_send(struct engine *e)
{
	struct sbatch *s = sbatch_of(e);

	if (!s->count)
		return;
	struct batch *batch = xcalloc(1, sizeof(*batch));
	batch->engine = e;
	pthread_mutex_init(&batch->lock, NULL);
	batch->last = &batch->answers;
	engine_group_begin(e);
	for (size_t i = 0; i < s->count; i++)
		add_to_batch(e, batch, s->taken[i]);
	s->count = 0;
	s->running++;
	if (engine_group_end(e) < 0) {
		/* Nothing may be sent of which the database does not know. */
		for (size_t i = 0; i < batch->count; i++)
			free((char *)batch->items[i].workdir);
		batch->count = 0;
	}
	for (size_t i = 0; i < batch->count; i++) {
		struct track *track = engine_track(e, batch->serials[i]);

		if (track)
			track->busy = true;
	}
	if (batch->count)
		lane_post(e->submit_lane, run_batch, batch);
	else
		batch_done(e, batch);
}
