/* States: what the queries say, applied to the jobs.  A job that is absent has not ended by that. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "claim.h"
#include "clusterinfo.h"
#include "endtext.h"
#include "engine_internal.h"
#include "err.h"
#include "jobstate.h"
#include "log.h"
#include "outpath.h"
#include "profile.h"
#include "sync.h"
#include "tasks.h"

/* Neither queue nor accounting nor end record for this long: nobody knows any more. */
#define LOST_MS 600000
/* Slurm shows a job that it requeues as one that waits well within this. */
#define REQUEUE_MS 60000
/* The accounting may lag behind the queue; the end record decides after this. */
#define LAG_MS 20000

/* What one cycle learned of one job. */
struct sight {
	uint64_t serial;
	char uuid[JOB_UUID_SIZE];
	char id[24];
	char known[24];                 /* the job's id in the store; "" for none yet */
	char rival[24];                 /* another id that has its directory, see claim.h; "" for none */
	char *workdir;
	int64_t created_s;
	bool queued;                    /* squeue knows it */
	bool accounted;                 /* sacct or scontrol knows it */
	struct tasks *tasks;            /* of an array: what is known of each; NULL: it is none */
	char state[JOB_STATE_SIZE];
	char *reason, *facts;
	int exit_code, signal;
	bool started, ended;            /* by its own records */
	struct slurm_endrecord start, end;
};

struct cycle {
	struct engine *engine;
	struct sight *sights;
	size_t count;
	char *records;
	char *user;
	int result;
	bool queue_known;
	struct strbuf words;
};

static void cycle_free(struct cycle *c)
{
	for (size_t i = 0; i < c->count; i++) {
		free(c->sights[i].workdir);
		free(c->sights[i].reason);
		free(c->sights[i].facts);
		tasks_unref(c->sights[i].tasks);
	}
	free(c->sights);
	free(c->records);
	free(c->user);
	strbuf_release(&c->words);
	free(c);
}

/* ---- in the lane ---- */

static int by_workdir(const void *a, const void *b)
{
	return strcmp(((const struct sight *)a)->workdir, ((const struct sight *)b)->workdir);
}

/* The sight of that work directory, which no other job has. */
static struct sight *find(struct cycle *c, struct span workdir)
{
	AUTO_FREE char *text = xstrndup(workdir.text, workdir.len);
	struct sight key = {.workdir = text};

	return bsearch(&key, c->sights, c->count, sizeof(*c->sights), by_workdir);
}

static struct sight *find_uuid(struct cycle *c, const char *uuid)
{
	for (size_t i = 0; i < c->count; i++)
		if (!strcmp(c->sights[i].uuid, uuid))
			return &c->sights[i];
	return NULL;
}

static void fact(struct strbuf *b, const char *key, struct span value)
{
	if (!value.len || (value.len == 3 && !memcmp(value.text, "N/A", 3)) ||
		(value.len == 6 && !memcmp(value.text, "(null)", 6)) ||
		(value.len == 13 && !memcmp(value.text, "None assigned", 13)))
		return;
	strbuf_addf(b, "%s = ", key);
	strbuf_add_escaped(b, value.text, value.len);
	strbuf_addc(b, '\n');
}

static void duration_fact(struct strbuf *b, const char *key, struct span value)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	if (value.len)
		slurm_add_duration(&text, value);
	fact(b, key, (struct span){text.data, text.len});
}

static void time_fact(struct strbuf *b, const char *key, int64_t seconds)
{
	char text[CLOCK_ISO_SIZE];

	if (seconds)
		strbuf_addf(b, "%s = %s\n", key, clock_iso(seconds * 1000000000, text));
}

static char *facts_of(const struct slurm_record *r)
{
	struct strbuf b = STRBUF_INIT;
	bool ended = jobstate_class(r->state) == JOBSTATE_ENDED;

	if (r->exit_code >= 0)
		strbuf_addf(&b, "exit_code = %d\n", r->exit_code);
	if (r->signal > 0)
		strbuf_addf(&b, "signal = %d\n", r->signal);
	fact(&b, "node_list", r->nodes);
	fact(&b, "partition", r->partition);
	fact(&b, "account", r->account);
	fact(&b, "qos", r->qos);
	duration_fact(&b, "time_limit", r->time_limit);
	fact(&b, "req_mem", r->req_mem);
	fact(&b, "max_rss", r->max_rss);
	time_fact(&b, "submit_time", r->submit_s);
	if (ended || jobstate_class(r->state) == JOBSTATE_ACTIVE)
		time_fact(&b, "start_time", strcmp(r->state, "PENDING") ? r->start_s : 0);
	if (ended) {
		time_fact(&b, "end_time", r->end_s);
		duration_fact(&b, "elapsed", r->elapsed);
	}
	return strbuf_steal(&b);
}

/* A record is the job's only if user, work directory and time fit: ids are used again. */
static bool fits(const struct cycle *c, const struct sight *s, const struct slurm_record *r)
{
	return r->user.len == strlen(c->user) && !memcmp(r->user.text, c->user, r->user.len) &&
		(!r->submit_s || r->submit_s >= s->created_s - 86400);
}

/* Whether what came is of the job that the store knows; if not, its id is noted. */
static bool is_known(struct sight *s, const char *id)
{
	if (!*s->known || !*id || !strcmp(s->known, id))
		return true;
	snprintf(s->rival, sizeof(s->rival), "%s", id);
	return false;
}

static void take_record(struct sight *s, const struct slurm_record *r)
{
	if (!s->tasks && (r->task >= 0 || r->tasks.len))
		s->tasks = tasks_new();
	free(s->reason);
	free(s->facts);
	strcpy(s->state, r->state);
	strcpy(s->id, r->id);
	struct strbuf reason = STRBUF_INIT;
	strbuf_add_escaped(&reason, r->reason.text, r->reason.len);
	s->reason = strbuf_steal(&reason);
	s->facts = facts_of(r);
	s->exit_code = r->exit_code;
	s->signal = r->signal;
}

static void see_queued(void *arg, const struct slurm_record *r)
{
	struct cycle *c = arg;
	struct sight *s = find(c, r->workdir);

	if (!s || !fits(c, s, r) ||
		(jobstate_class(r->state) == JOBSTATE_ENDED && *s->known && strcmp(s->known, r->id)) ||
		!is_known(s, r->id))
		return;
	s->queued = true;
	take_record(s, r);
	if (s->tasks)
		tasks_see_queued(s->tasks, r);
}

static void see_accounted(void *arg, const struct slurm_record *r)
{
	struct cycle *c = arg;
	struct sight *s = find(c, r->workdir);

	if (!s || !fits(c, s, r) || (*s->known && strcmp(s->known, r->id)))
		return;
	/* squeue has it ended, the accounting not yet: the queue's word is newer. */
	if (!s->tasks && s->queued && (jobstate_class(s->state) != JOBSTATE_ENDED ||
		jobstate_class(r->state) != JOBSTATE_ENDED))
		return;
	s->accounted = true;
	take_record(s, r);
	if (s->tasks)
		tasks_see_accounted(s->tasks, r);
}

static void see_own_record(void *arg, const char *uuid, bool is_end,
	const struct slurm_endrecord *record)
{
	struct sight *s = find_uuid(arg, uuid);

	if (!s || !is_known(s, record->job))
		return;
	if (is_end) {
		s->ended = true;
		s->end = *record;
	} else {
		s->started = true;
		s->start = *record;
	}
}

static void see_task_record(void *arg, const char *uuid, uint64_t task,
	const struct slurm_endrecord *record)
{
	struct sight *s = find_uuid(arg, uuid);

	if (s && s->tasks)
		tasks_see_record(s->tasks, task, record);
}

/* For tasks that Slurm has forgotten, and no accounting remembers. */
static void ask_task_records(struct cycle *c)
{
	struct strbuf uuids AUTO_STRBUF = STRBUF_INIT;
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	for (size_t i = 0; i < c->count; i++)
		if (c->sights[i].tasks && tasks_want_records(c->sights[i].tasks))
			strbuf_addf(&uuids, "%s\n", c->sights[i].uuid);
	if (uuids.len &&
		sync_task_records(&c->engine->cluster, c->records, &uuids, &text) == 0)
		sync_each_task_record(&text, see_task_record, c);
}

static bool wants_accounts(const struct sight *s)
{
	if (s->tasks)
		return tasks_want_accounts(s->tasks);
	return !s->queued || jobstate_class(s->state) == JOBSTATE_ENDED;
}

static void ask_accounts(struct cycle *c)
{
	struct strbuf ids AUTO_STRBUF = STRBUF_INIT;
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	bool from_sacct;

	for (size_t i = 0; i < c->count; i++) {
		struct sight *s = &c->sights[i];

		if (*s->id && wants_accounts(s))
			strbuf_addf(&ids, "%s\n", s->id);
	}
	if (!ids.len || sync_accounts(&c->engine->cluster, &ids, &from_sacct, &text) < 0)
		return;
	if (from_sacct) {
		slurm_parse_sacct(text.data, text.len, see_accounted, c);
		return;
	}
	for (char *at = text.data, *line; (line = strsep(&at, "\n"));) {
		struct slurm_record record;

		if (slurm_parse_scontrol(line, strlen(line), &record) == 0)
			see_accounted(c, &record);
	}
}

static void applied(struct engine *e, void *arg);

static void run_cycle(void *arg)
{
	struct cycle *c = arg;
	struct strbuf uuids AUTO_STRBUF = STRBUF_INIT;
	struct sync_answer answer;

	qsort(c->sights, c->count, sizeof(*c->sights), by_workdir);
	for (size_t i = 0; i < c->count; i++)
		strbuf_addf(&uuids, "%s\n", c->sights[i].uuid);
	c->result = sync_queue(&c->engine->cluster, c->records, &uuids, &answer);
	if (c->result == 0) {
		c->queue_known = answer.queue_known;
		if (c->queue_known)
			clusterinfo_set_queue(model_cluster(c->engine->model), answer.queue.data,
				answer.queue.len, clock_real_ns(c->engine->clock));
		slurm_parse_squeue(answer.queue.data, answer.queue.len, see_queued, c);
		sync_each_record(&answer.records, see_own_record, c);
		strbuf_add(&c->words, answer.words.data, answer.words.len);
		if (c->queue_known) {
			ask_accounts(c);
			ask_task_records(c);
		}
	}
	sync_answer_release(&answer);
	engine_post(c->engine, applied, c);
}

/* ---- in the engine's thread ---- */

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
		if (!strcmp(word, "RUNNING") && end_is_current(s))
			strcpy(word, "COMPLETING");
		else if (!strcmp(word, "PENDING") && s->started && !s->ended && !job->submitted_ns)
			strcpy(word, "RUNNING");
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

/* What the query says of the job's tasks, and so of the job; whether any of them changed. */
static bool judge_array(struct engine *e, const struct sight *s, struct job *now)
{
	struct strbuf facts AUTO_STRBUF = STRBUF_INIT;
	uint32_t now_s = (uint32_t)(clock_mono_ms(e->clock) / 1000);
	bool transient;

	tasks_settle(s->tasks, now_s, LAG_MS / 1000, LOST_MS / 1000, now->cancel_asked);
	strcpy(now->state, tasks_summary(s->tasks));
	array_facts(s->tasks, s->facts ? s->facts : now->facts, &facts);
	job_set(&now->facts, facts.data);
	bool changed = tasks_stamp(s->tasks, now->tasks, clock_real_ns(e->clock), &transient);
	if (changed) {
		int r = watch_set_tasks(e, now, tasks_ref(s->tasks));

		if (r < 0)
			log_error("%s: its tasks cannot be written to the database: %s", now->name,
				strerror(-r));
	} else if (transient) {
		/* To be remembered, though nothing shows it. */
		job_set_tasks(now, tasks_ref(s->tasks));
	}
	return changed;
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

/* Applies what was seen; true where anything changed. */
static bool apply(struct engine *e, const struct sight *s)
{
	struct track *track = engine_track(e, s->serial);
	AUTO_JOB struct job *job = model_latest(e->model, s->serial);
	char word[JOB_STATE_SIZE];

	if (!track || !job)
		return false;
	if (track->step != STEP_WATCH) {
		/* Found in the queue by its directory, though sbatch's answer was lost. */
		if (s->queued && job->taken && !*job->slurm_id)
			pipeline_adopt_id(e, s->serial, s->id, ", found in the queue");
		return s->queued;
	}
	if (*s->rival)
		claim_settle(e, track, job, s->rival);
	if (!s->tasks && !judge(e, track, job, s, word))
		return false;
	struct job *now = job_copy(job);
	bool tasks_changed = s->tasks && judge_array(e, s, now);
	if (s->tasks)
		memcpy(word, now->state, sizeof(word));
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
			engine_drop_track(e, s->serial);
		progress_job_ended(e, s->serial);
		pipeline_room(e);
	}
	return true;
}

static void applied(struct engine *e, void *arg)
{
	struct cycle *c = arg;
	bool changed = false;
	int64_t most = (int64_t)e->profile->sync_max_interval * 1000;

	e->syncing = false;
	if (c->result == 0 && c->queue_known) {
		e->connection.asked_ns = clock_real_ns(e->clock);
		for (size_t i = 0; i < c->count; i++)
			changed |= apply(e, &c->sights[i]);
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
	struct sight *s = &c->sights[c->count++];
	*s = (struct sight){.serial = job->serial, .workdir = xstrdup(job->workdir),
		.created_s = job->created_ns / 1000000000, .exit_code = -1, .signal = -1};
	if (job->tasks) {
		s->tasks = tasks_copy(job->tasks);
		tasks_begin(s->tasks);
	}
	memcpy(s->uuid, job->uuid, sizeof(s->uuid));
	snprintf(s->id, sizeof(s->id), "%s", job->slurm_id);
	snprintf(s->known, sizeof(s->known), "%s", job->slurm_id);
}

void watch_tick(struct engine *e, int64_t now_ms, int64_t *next_ms)
{
	bool wanted = e->queue_wanted;

	for (size_t i = 0; i < e->track_count && !wanted; i++)
		wanted = e->tracks[i].step == STEP_SUBMIT || e->tracks[i].step == STEP_WATCH;
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
	struct cycle *c = xcalloc(1, sizeof(*c));
	c->engine = e;
	c->words = STRBUF_INIT;
	c->sights = xcalloc(e->track_count + 1, sizeof(*c->sights));
	c->records = xstrdup(e->records);
	c->user = xstrdup(e->user);
	for (size_t i = 0; i < e->track_count; i++)
		add_sight(e, c, &e->tracks[i]);
	e->sync_ms = now_ms;
	if (!c->count && !e->queue_wanted) {
		cycle_free(c);
		return;
	}
	e->queue_wanted = false;
	e->syncing = true;
	lane_post(e->query_lane, run_cycle, c);
}
