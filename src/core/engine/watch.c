/* States: what the queries say, applied to the jobs.  A job that is absent has not ended by that. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "claim.h"
#include "cycle.h"
#include "endtext.h"
#include "engine_internal.h"
#include "err.h"
#include "jobstate.h"
#include "log.h"
#include "outpath.h"
#include "profile.h"

/* Neither queue nor accounting nor end record for this long: nobody knows any more. */
#define LOST_MS 600000
/* Slurm shows a job that it requeues as one that waits well within this. */
#define REQUEUE_MS 60000
/* The accounting may lag behind the queue; the end record decides after this. */
#define LAG_MS 20000

/* The end record of this run, not of one before a requeue. */
static bool end_is_current(const struct sight *s)
{
	return s->ended && s->end.exit_status >= 0 &&
		(!s->started || s->end.restart >= s->start.restart);
}

/* The word that the evidence allows; false: none, the last stays. */
static bool judge(struct engine *e, struct track *track, const struct job *job,
	const struct sight *s, char word[JOB_STATE_SIZE])
{
	int64_t now_ms = clock_mono_ms(e->clock);

	if (s->queued || s->accounted) {
		track->missing_ms = 0;
		strcpy(word, s->state);
		/* Its own record is quicker than the queue. */
		if (!strcmp(word, "PENDING"))
			track->run_ended = false;
		else if (!strcmp(word, "RUNNING") && track->run_ended)
			strcpy(word, "COMPLETING");
		return true;
	}
	if (!track->missing_ms)
		track->missing_ms = now_ms;
	if (end_is_current(s) && now_ms - track->missing_ms >= LAG_MS) {
		if (*s->end.signal)
			strcpy(word, job->cancel_asked ? "CANCELLED" : "UNKNOWN");
		else
			strcpy(word, s->end.exit_status ? "FAILED" : "COMPLETED");
		return true;
	}
	if (now_ms - track->missing_ms < LOST_MS)
		return false;
	strcpy(word, "UNKNOWN");
	return true;
}

/* Of one record's facts those that are the whole array's. */
static void array_facts(const struct tasks *tasks, const char *facts, struct strbuf *ret)
{
	static const char *const of_one[] = {"tasks", "exit_code", "signal", "node_list",
		"start_time", "end_time", "elapsed", "max_rss"};

	tasks_add_counts(tasks, ret);
	for (const char *line = facts; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		bool skip = false;

		for (size_t i = 0; i < sizeof(of_one) / sizeof(*of_one); i++) {
			size_t len = strlen(of_one[i]);

			skip |= !strncmp(line, of_one[i], len) && line[len] == ' ';
		}
		if (!skip)
			strbuf_addf(ret, "%.*s\n", (int)strcspn(line, "\n"), line);
	}
}

int watch_set_tasks(struct engine *e, struct job *now, const struct tasks *tasks)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	bool had = now->tasks != NULL;

	job_set_tasks(now, tasks);
	if (!tasks && !had)
		return 0;
	if (tasks)
		tasks_print(tasks, &text);
	return store_set_text(e->store, now, STORE_TASKS, text.data, text.len);
}

bool watch_show_tasks(struct engine *e, struct job *now, struct tasks *tasks, const char *facts)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	bool transient;

	strcpy(now->state, tasks_summary(tasks));
	array_facts(tasks, facts, &text);
	job_set(&now->facts, text.data);
	bool changed = tasks_stamp(tasks, now->tasks, clock_real_ns(e->clock), &transient);
	if (changed) {
		int r = watch_set_tasks(e, now, tasks_ref(tasks));

		if (r < 0)
			log_error("%s: its tasks cannot be written to the database: %s", now->name,
				strerror(-r));
	} else if (transient) {
		/* To be remembered, though nothing shows it. */
		job_set_tasks(now, tasks_ref(tasks));
	}
	return changed;
}

/* What the query says of the job's tasks, and so of the job; whether any of them changed. */
static bool judge_array(struct engine *e, const struct sight *s, struct job *now, bool older)
{
	uint32_t now_s = (uint32_t)(clock_mono_ms(e->clock) / 1000);

	if (now->tasks)
		tasks_keep_hints(s->tasks, now->tasks, older);
	tasks_settle(s->tasks, now_s, LAG_MS / 1000, LOST_MS / 1000, now->cancel_asked);
	return watch_show_tasks(e, now, s->tasks, s->facts ? s->facts : now->facts);
}

/* Where output really goes; NULL for an array whose tasks each have their own. */
static char *output_path(struct engine *e, const struct job *job, const char *key)
{
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;

	if (store_text(e->store, job, STORE_SCRIPT, &script) < 0)
		return NULL;
	AUTO_FREE char *pattern = outpath_directive(script.data, key);
	AUTO_FREE char *name = outpath_directive(script.data, "job-name");
	uint64_t id = strtoull(job->slurm_id, NULL, 10);
	struct outpath values = {.workdir = job->workdir, .job_name = name ? name : job->name,
		.user = e->user, .array_id = id, .job_id = job->tasks ? 0 : id,
		.task = job->tasks ? -1 : OUTPATH_NO_TASK};

	return pattern ? outpath_expand(pattern, &values) : NULL;
}

void watch_find_outputs(struct engine *e, struct job *now)
{
	AUTO_FREE char *out = output_path(e, now, "output");
	AUTO_FREE char *err = output_path(e, now, "error");

	job_set(&now->stdout_path, out);
	job_set(&now->stderr_path, err ? err : out);
}

static bool same(const struct job *a, const struct job *b)
{
	return !strcmp(a->state, b->state) && !strcmp(a->reason, b->reason) &&
		!strcmp(a->facts, b->facts) && !strcmp(a->stdout_path, b->stdout_path) &&
		!strcmp(a->error, b->error);
}

static void add_end_facts(struct job *now, const struct sight *s)
{
	struct strbuf b AUTO_STRBUF = STRBUF_INIT;

	if (s->exit_code < 0 && end_is_current(s))
		strbuf_addf(&b, "exit_code = %d\n", s->end.exit_status);
	strbuf_adds(&b, now->facts);
	job_set(&now->facts, b.data);
}

static void explain_end(struct job *now)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	endtext_explain(now->state, now->facts, &text);
	if (text.len)
		job_set(&now->error, text.data);
}

/* Ends from which Slurm itself may run a job again, as these do with --requeue. */
static bool slurm_may_requeue(const char *word)
{
	return !strcmp(word, "PREEMPTED") || !strcmp(word, "NODE_FAIL") || !strcmp(word, "BOOT_FAIL");
}

/* Whether it is at an end from which a requeue, asked for or Slurm's own, may still take it. */
static bool awaits_requeue(struct engine *e, struct track *track, const struct job *job,
	const char *word)
{
	int64_t now_ms = clock_mono_ms(e->clock);

	if (job->ended_ns || (strcmp(job->state, word) && !slurm_may_requeue(word)))
		return false;
	if (!track->ended_ms)
		track->ended_ms = now_ms;
	return now_ms - track->ended_ms < REQUEUE_MS;
}

/* The queue says of it what it said before, and nothing else has changed it since. */
static bool is_unchanged(struct track *track, const struct job *job, const struct sight *s)
{
	if (!s->now || s->now != s->before || *s->rival || track->seen != s->now ||
		track->seen_ns != job->file_ns[JOB_FILE_INFO])
		return false;
	track->missing_ms = track->ended_ms = 0;
	return true;
}

/* Whether its own record has told more than a query could that was sent before. */
static bool is_stale(const struct track *track, const struct cycle *c)
{
	return track->hint_ms && track->hint_ms >= c->sent_ms;
}

static void remember(struct engine *e, const struct sight *s)
{
	struct track *track = engine_track(e, s->job->serial);
	AUTO_JOB struct job *job = model_latest(e->model, s->job->serial);

	if (!track || !job)
		return;
	track->seen = s->tasks ? 0 : s->now;
	track->seen_ns = job->file_ns[JOB_FILE_INFO];
}

/* What is to be committed of a word: true where anything changed. */
static bool apply_word(struct engine *e, struct track *track, const struct job *job,
	const struct sight *s, const char *judged, bool stale)
{
	struct job *now = job_copy(job);
	char word[JOB_STATE_SIZE];
	bool tasks_changed = s->tasks && judge_array(e, s, now, stale);

	snprintf(word, sizeof(word), "%s", s->tasks ? now->state : judged);
	bool ended = jobstate_class(word) == JOBSTATE_ENDED || jobstate_class(word) == JOBSTATE_LOST;
	if (!ended) {
		track->ended_ms = 0;
	} else if (awaits_requeue(e, track, job, word)) {
		job_unref(now);
		return false;
	}
	strcpy(now->state, word);
	/* Slurm says "None" for no reason. */
	const char *reason = s->reason && strcmp(s->reason, "None") ? s->reason : "";
	job_set(&now->reason, ended && !strcmp(word, "COMPLETED") ? "" : reason);
	if (s->facts && !s->tasks)
		job_set(&now->facts, s->facts);
	if (ended) {
		add_end_facts(now, s);
		explain_end(now);
		keep_job_ended(e, now);
		now->ended_ns = clock_real_ns(e->clock);
	}
	if (!*now->stdout_path)
		watch_find_outputs(e, now);
	bool new_state = strcmp(job->state, word);
	if (new_state)
		verb_note(now, NULL);
	if (!tasks_changed && same(job, now) && job->ended_ns == now->ended_ns) {
		if (now->tasks != job->tasks)
			engine_show(e, now);
		else
			job_unref(now);
		return false;
	}
	if (engine_commit(e, now, new_state ? "%s%s%s" : NULL, word, *now->reason ? ": " : "",
		now->reason) == 0 && ended) {
		if (!track->verbs)
			engine_drop_track(e, job->serial);
		progress_job_ended(e, job->serial);
		pipeline_room(e);
	}
	return true;
}

/* Its own copy may have been cancelled in favour of the other: until the claim has told whose it is, no end of
 * this one is the job's. */
static bool is_disputed(const struct track *track, const struct sight *s, const char *word)
{
	return s->rival_queued && strcmp(track->settled, s->rival) && jobstate_class(word) != JOBSTATE_ACTIVE;
}

/* Applies what was seen; true where anything changed. */
static bool apply(struct engine *e, const struct cycle *c, const struct sight *s)
{
	struct track *track = engine_track(e, s->job->serial);
	AUTO_JOB struct job *job = model_latest(e->model, s->job->serial);
	char word[JOB_STATE_SIZE] = "";

	if (!track || !job)
		return false;
	if (track->step != STEP_WATCH) {
		/* Found in the queue by its directory, though sbatch's answer was lost. */
		if (s->queued && job->taken && !*job->slurm_id)
			pipeline_adopt_id(e, job->serial, s->id, ", found in the queue");
		return s->queued;
	}
	/* Asked for one id, and meanwhile it has another: what was seen is of a job that is not this one. */
	if (strcmp(job->slurm_id, s->job->slurm_id))
		return false;
	if (is_unchanged(track, job, s))
		return false;
	/* Something else changed it while the query was under way: what was not read is read next time. */
	if (s->now && s->now == s->before) {
		track->seen = 0;
		track->missing_ms = 0;
		return false;
	}
	if (*s->rival)
		claim_settle(e, track, job, s->rival);
	bool stale = is_stale(track, c);
	if (!s->tasks && ((stale && jobstate_class(s->state) == JOBSTATE_ACTIVE) ||
		!judge(e, track, job, s, word)))
		return false;
	if (is_disputed(track, s, *word ? word : s->state))
		return false;
	bool changed = apply_word(e, track, job, s, word, stale);
	remember(e, s);
	return changed;
}

static void applied(struct engine *e, void *arg)
{
	struct cycle *c = arg;
	bool changed = false;
	int64_t most = (int64_t)e->profile->sync_max_interval * 1000;

	e->syncing = false;
	if (c->result == 0 && c->queue_known) {
		e->connection.asked_ns = clock_real_ns(e->clock);
		engine_group_begin(e);
		for (size_t i = 0; i < c->count; i++)
			changed |= apply(e, c, &c->sights[i]);
		changed |= requeued_look(e, c);
		engine_group_end(e);
		model_set_connection(e->model, &e->connection);
		progress_renew(e);
	} else if (c->result == 0) {
		log_warning("squeue failed: %s", c->words.data);
	}
	if (changed)
		e->interval_ms = (int64_t)e->profile->sync_interval * 1000;
	else
		e->interval_ms = e->interval_ms * 3 / 2 < most ? e->interval_ms * 3 / 2 : most;
	cycle_free(c);
}

static void add_sight(struct engine *e, struct cycle *c, const struct track *track)
{
	AUTO_JOB struct job *job = model_latest(e->model, track->serial);

	if (!job || !*job->workdir || (track->step != STEP_WATCH && !job->taken))
		return;
	if (job->cancel_asked && !track->cancel_sent && *job->slurm_id)
		verb_send_cancel(e, job);
	cycle_add(c, job, track->seen_ns == job->file_ns[JOB_FILE_INFO] ? track->seen : 0);
}

static void run(void *arg)
{
	struct cycle *c = arg;

	cycle_run(c);
	engine_post(c->engine, applied, c);
}

void watch_tick(struct engine *e, int64_t now_ms, int64_t *next_ms)
{
	bool wanted = e->queue_wanted;

	for (size_t i = 0; i < e->track_count && !wanted; i++)
		wanted = e->tracks[i].step == STEP_SUBMIT || e->tracks[i].step == STEP_WATCH ||
			/* A command whose answer was lost may have submitted it. */
			(e->tracks[i].step == STEP_STAGE && e->tracks[i].failures);
	if (!wanted || e->syncing || !e->scratch)
		return;
	int64_t interval_ms = e->queue_wanted ? (int64_t)e->profile->sync_interval * 1000
					      : e->interval_ms;
	int64_t due_ms = e->sync_ms ? e->sync_ms + interval_ms : 0;
	if (due_ms > now_ms) {
		if (due_ms < *next_ms)
			*next_ms = due_ms;
		return;
	}
	struct cycle *c = cycle_new(e, e->track_count);
	for (size_t i = 0; i < e->track_count; i++)
		add_sight(e, c, &e->tracks[i]);
	e->sync_ms = now_ms;
	if (!c->count && !e->queue_wanted) {
		cycle_free(c);
		return;
	}
	e->queue_wanted = false;
	e->syncing = true;
	lane_post(e->query_lane, run, c);
}
