#include "engine.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine_internal.h"
#include "err.h"
#include "fault.h"
#include "filesum.h"
#include "jobfile.h"
#include "jobstate.h"
#include "log.h"

/* ---- messages ---- */

void engine_post(struct engine *e, engine_fn run, void *arg)
{
	struct message *message = xcalloc(1, sizeof(*message));

	message->run = run;
	message->arg = arg;
	WITH_LOCK(&e->lock);
	*e->last = message;
	e->last = &message->next;
	pthread_cond_signal(&e->wake);
}

bool engine_ending(struct engine *e)
{
	WITH_LOCK(&e->lock);
	return e->ending;
}

static void wait_until(struct engine *e, int64_t next_ms)
{
	if (next_ms == CLOCK_NEVER) {
		pthread_cond_wait(&e->wake, &e->lock);
		return;
	}
	int64_t left = next_ms - clock_mono_ms(e->clock);
	if (left <= 0)
		return;
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += left / 1000;
	until.tv_nsec += left % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&e->wake, &e->lock, &until);
}

/* All queued messages, or none after a wait until `next_ms`; false: it is the end. */
static bool take_messages(struct engine *e, int64_t next_ms, struct message **ret)
{
	WITH_LOCK(&e->lock);
	if (!e->first && !e->ending)
		wait_until(e, next_ms);
	*ret = e->first;
	e->first = NULL;
	e->last = &e->first;
	return *ret || !e->ending;
}

static void run_messages(struct engine *e, struct message *message)
{
	while (message) {
		struct message *next = message->next;

		message->run(e, message->arg);
		free(message);
		message = next;
	}
}

static void *engine_thread(void *arg)
{
	struct engine *e = arg;
	struct message *messages;
	int64_t next_ms = 0;

	while (take_messages(e, next_ms, &messages)) {
		run_messages(e, messages);
		next_ms = CLOCK_NEVER;
		if (engine_ending(e))
			continue;
		int64_t now_ms = clock_mono_ms(e->clock);
		intake_tick(e, now_ms, &next_ms);
		chain_tick(e);
		if (!e->online)
			continue;
		probe_tick(e, now_ms, &next_ms);
		pipeline_tick(e, now_ms, &next_ms);
		ahead_tick(e, now_ms, &next_ms);
		watch_tick(e, now_ms, &next_ms);
		hint_tick(e, now_ms, &next_ms);
		limits_tick(e, now_ms, &next_ms);
		ask_tick(e);
		progress_tick(e, now_ms, &next_ms);
		keep_tick(e, now_ms, &next_ms);
		found_tick(e, now_ms, &next_ms);
		record_tick(e, now_ms, &next_ms);
	}
	intake_end(e);
	return NULL;
}

/* ---- tracks ---- */

static size_t track_position(struct engine *e, uint64_t serial)
{
	size_t low = 0, high = e->track_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (e->tracks[middle].serial < serial)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct track *engine_track(struct engine *e, uint64_t serial)
{
	size_t at = track_position(e, serial);

	return at < e->track_count && e->tracks[at].serial == serial ? &e->tracks[at] : NULL;
}

struct track *engine_add_track(struct engine *e, uint64_t serial)
{
	size_t at = track_position(e, serial);

	if (at < e->track_count && e->tracks[at].serial == serial)
		return &e->tracks[at];
	if (e->track_count == e->track_capacity) {
		e->track_capacity = e->track_capacity ? 2 * e->track_capacity : 64;
		e->tracks = xrealloc(e->tracks, e->track_capacity * sizeof(*e->tracks));
	}
	memmove(e->tracks + at + 1, e->tracks + at, (e->track_count - at) * sizeof(*e->tracks));
	e->track_count++;
	e->tracks[at] = (struct track){.serial = serial};
	return &e->tracks[at];
}

void engine_drop_track(struct engine *e, uint64_t serial)
{
	struct track *track = engine_track(e, serial);

	if (!track)
		return;
	size_t at = (size_t)(track - e->tracks);
	e->track_count--;
	memmove(track, track + 1, (e->track_count - at) * sizeof(*track));
}

void engine_pause(struct engine *e, struct track *track)
{
	int64_t pause = INT64_C(1000) << (track->failures < 9 ? track->failures : 9);

	if (pause > 300000)
		pause = 300000;
	track->failures++;
	track->due_ms = clock_mono_ms(e->clock) + pause * 3 / 4 + random() % (pause / 2);
}

/* ---- versions of a job ---- */

struct job *engine_edit(struct engine *e, uint64_t serial)
{
	AUTO_JOB struct job *latest = model_latest(e->model, serial);

	return latest ? job_copy(latest) : NULL;
}

/* That a job's files are apart from the drafts is not to be written before the disk has them there. */
static void settle_moves(struct engine *e, struct job *now)
{
	if (!e->moves_open || !now->moved)
		return;
	int r = drafts_sync_moves(e->drafts);
	e->moves_open = r < 0;
	if (r == 0)
		return;
	log_error("the spool's disk: %s", strerror(-r));
	now->moved = false;
}

int engine_commit(struct engine *e, struct job *now, const char *log, ...)
{
	AUTO_JOB struct job *before = model_latest(e->model, now->serial);
	struct strbuf line AUTO_STRBUF = STRBUF_INIT;
	int64_t real_ns = clock_real_ns(e->clock);
	va_list args;

	if (log) {
		va_start(args, log);
		strbuf_vaddf(&line, log, args);
		va_end(args);
	}
	bool news = !before || strcmp(before->state, now->state) != 0;
	settle_moves(e, now);
	keep_changed(before, now);
	record_changed(e, before, now);
	jobfile_touch(before, now, real_ns);
	if (log)
		now->file_ns[JOB_FILE_LOG] = real_ns;
	FAULT_POINT(now->state);
	int r = engine_wrote(e, store_update(e->store, now, log ? line.data : NULL, real_ns));
	FAULT_POINT("stored");
	if (r < 0) {
		log_error("%s: its state cannot be written to the database: %s", now->name,
			strerror(-r));
		job_unref(now);
		return r;
	}
	if (news)
		chain_changed(e, now, !*now->slurm_id);
	model_publish(e->model, now);
	FAULT_POINT("published");
	return 0;
}

void engine_show(struct engine *e, struct job *now)
{
	AUTO_JOB struct job *before = model_latest(e->model, now->serial);

	jobfile_touch(before, now, clock_real_ns(e->clock));
	model_publish(e->model, now);
}

/* The track where the job stands, added where it is missing; NULL for one at its end. */
static struct track *track_of_job(struct engine *e, const struct job *job)
{
	enum jobstate_class class = jobstate_class(job->state);

	if ((class != JOBSTATE_BEFORE || !strcmp(job->state, "REJECTED")) &&
		class != JOBSTATE_ACTIVE && (class != JOBSTATE_ENDED || job->ended_ns))
		return NULL;
	struct track *track = engine_add_track(e, job->serial);
	track->step = *job->slurm_id ? STEP_WATCH : job->staged ? STEP_SUBMIT :
		strcmp(job->state, "WAITING") ? STEP_STAGE : STEP_WAIT;
	return track;
}

/* ---- many commits in one transaction ---- */

struct after_write {
	struct after_write *next;
	void (*then)(struct engine *e, uint64_t serial);
	uint64_t serial;
};

void engine_group_begin(struct engine *e)
{
	/* Where it cannot begin, each commit stands for itself, and says what is wrong. */
	e->grouped = store_begin(e->store) == 0;
	if (e->grouped)
		model_hold(e->model);
}

/* What was done on the strength of a commit that is not written is undone where it would be wrong. */
static void stand_back(void *arg, const struct job *job)
{
	struct engine *e = arg;
	struct track *track = track_of_job(e, job);

	if (track)
		track->due_ms = clock_in(e->clock, UNWRITTEN_MS);
}

int engine_group_end(struct engine *e)
{
	if (!e->grouped)
		return 0;
	e->grouped = false;
	FAULT_POINT("before a group");
	int r = engine_wrote(e, store_commit(e->store));
	FAULT_POINT("group stored");
	if (r < 0)
		log_error("the states of several jobs cannot be written to the database: %s",
			strerror(-r));
	model_release(e->model, r == 0, r < 0 ? stand_back : NULL, e);
	for (struct after_write *a = STEAL(e->after_writes), *next; a; a = next) {
		next = a->next;
		if (r == 0)
			a->then(e, a->serial);
		free(a);
	}
	return r;
}

void engine_when_written(struct engine *e, void (*then)(struct engine *e, uint64_t serial),
	uint64_t serial)
{
	if (!e->grouped) {
		then(e, serial);
		return;
	}
	struct after_write *a = xmalloc(sizeof(*a));
	*a = (struct after_write){e->after_writes, then, serial};
	e->after_writes = a;
}

/* ---- start and end ---- */

static void take_up(void *arg, struct job *job)
{
	struct engine *e = arg;

	track_of_job(e, job);
	keep_take_up(e, job);
	record_take_up(e, job);
	model_publish(e->model, job);
}

int engine_new(const struct engine_config *config, struct engine **ret, struct strbuf *why)
{
	struct engine *e = xcalloc(1, sizeof(*e));
	pthread_condattr_t monotonic;

	e->profile = config->profile;
	e->clock = config->clock;
	e->store = config->store;
	e->model = config->model;
	e->installation = config->installation;
	e->cluster = (struct cluster){.remote = config->remote, .setup = config->profile->setup,
		.clock = config->clock, .spare = command_spare_new(),
		.crowded = &e->crowded};
	e->sums = filesums_new();
	e->last = &e->first;
	e->interval_ms = (int64_t)config->profile->sync_interval * 1000;
	e->connection.since_ns = clock_real_ns(e->clock);
	snprintf(e->connection.text, sizeof(e->connection.text), "not connected yet");
	snprintf(e->connection.note, sizeof(e->connection.note), "%s",
		config->note ? config->note : "");
	pthread_mutex_init(&e->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&e->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	srandom((unsigned)clock_real_ns(e->clock) ^ (unsigned)getpid());
	model_set_connection(e->model, &e->connection);
	model_skip_serials(e->model, store_last_serial(e->store));
	int r = store_load(e->store, take_up, e);
	if (r < 0) {
		strbuf_addf(why, "the jobs cannot be read from the database: %s", strerror(-r));
		engine_free(e);
		return r;
	}
	limits_load(e);
	*ret = e;
	return 0;
}

/* What was to be cancelled when the program ended, and what no sbatch was run for. */
static void finish_cancels(struct engine *e)
{
	for (size_t i = e->track_count; i-- > 0;) {
		AUTO_JOB struct job *job = model_latest(e->model, e->tracks[i].serial);

		if (job && job->cancel_asked && !job->taken && !*job->slurm_id)
			pipeline_cancelled(e, job->serial);
	}
}

int engine_start(struct engine *e, struct drafts *drafts, struct strbuf *why)
{
	sigset_t all, before;

	e->drafts = drafts;
	int r = intake_finish_moves(e, why);
	if (r < 0)
		return r;
	chain_load(e);
	finish_cancels(e);
	e->stage_lane = lane_new("stage", 2);
	e->upload_lane = lane_new("upload", 1);
	e->submit_lane = lane_new("submit", 2);
	e->query_lane = lane_new("query", 1);
	e->limits_lane = lane_new("limits", 1);
	e->ask_lane = lane_new("ask", 1);
	e->hash_lane = lane_new("hash", 1);
	e->hint_lane = lane_new("hint", 1);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (e->stage_lane && e->upload_lane && e->submit_lane && e->query_lane && e->limits_lane &&
		e->ask_lane && e->hint_lane)
		e->running = pthread_create(&e->thread, NULL, engine_thread, e) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (e->running)
		return 0;
	strbuf_adds(why, "no more threads can be started");
	return -EAGAIN;
}

void engine_stop(struct engine *e)
{
	if (!e->running)
		return;
	remote_abort(e->cluster.remote);
	filesums_stop(e->sums);
	/* The lanes first: what they report must still find the thread; which may still post to them. */
	lane_end(e->stage_lane);
	lane_end(e->upload_lane);
	lane_end(e->submit_lane);
	lane_end(e->query_lane);
	lane_end(e->limits_lane);
	lane_end(e->ask_lane);
	lane_end(e->hash_lane);
	command_unprepare(&e->cluster);
	lane_end(e->hint_lane);
	pthread_mutex_lock(&e->lock);
	e->ending = true;
	pthread_cond_signal(&e->wake);
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->thread, NULL);
	e->running = false;
}

static void take_state(struct engine *e, void *arg);

/* What came after the thread's end: by then only the transport has something to say. */
static void drop_messages(struct engine *e)
{
	while (e->first) {
		struct message *message = e->first;

		e->first = message->next;
		if (message->run == take_state)
			free(message->arg);
		free(message);
	}
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	drop_messages(e);
	lane_free(e->stage_lane);
	lane_free(e->upload_lane);
	lane_free(e->submit_lane);
	lane_free(e->query_lane);
	lane_free(e->limits_lane);
	lane_free(e->ask_lane);
	lane_free(e->hash_lane);
	lane_free(e->hint_lane);
	progress_watch_free(e->progress);
	chains_free(e->chains);
	sbatch_free(e->sbatch);
	hint_free(e->hints);
	free(e->tracks);
	free(e->scratch);
	free(e->records);
	free(e->project);
	keep_free(e->keeper);
	found_free(e->finder);
	record_free(e->recorder);
	free(e->user);
	staging_free(e->staging);
	filesums_free(e->sums);
	command_spare_free(e->cluster.spare);
	pthread_cond_destroy(&e->wake);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

/* ---- requests from other threads ---- */

struct request {
	uint64_t serial;
	char *text;
	size_t len;
	int (*act)(struct engine *e, const struct request *request);
	engine_done_fn done;
	void *arg;
};

static void serve(struct engine *e, void *arg)
{
	struct request *request = arg;

	int r = engine_ending(e) ? -ESHUTDOWN : request->act(e, request);
	request->done(request->arg, r);
	free(request->text);
	free(request);
}

static void ask(struct engine *e, struct request request)
{
	struct request *copy = xmalloc(sizeof(*copy));

	*copy = request;
	engine_post(e, serve, copy);
}

static int act_remove(struct engine *e, const struct request *request)
{
	return verb_remove(e, request->serial);
}

static int act_ctl(struct engine *e, const struct request *request)
{
	return verb_run(e, request->serial, request->text);
}

static int act_set_config(struct engine *e, const struct request *request)
{
	return verb_set_config(e, request->serial, request->text, request->len);
}

void engine_submit(struct engine *e, uint64_t serial, const char *name, engine_done_fn done,
	void *arg)
{
	struct submission *submission = xcalloc(1, sizeof(*submission));

	*submission = (struct submission){.serial = serial, .name = xstrdup(name), .done = done,
		.arg = arg};
	engine_post(e, intake_submit, submission);
}

void engine_remove(struct engine *e, uint64_t serial, engine_done_fn done, void *arg)
{
	ask(e, (struct request){serial, NULL, 0, act_remove, done, arg});
}

void engine_ctl(struct engine *e, uint64_t serial, const char *verb, engine_done_fn done, void *arg)
{
	ask(e, (struct request){serial, xstrdup(verb), strlen(verb), act_ctl, done, arg});
}

void engine_set_config(struct engine *e, uint64_t serial, const char *text, size_t len,
	engine_done_fn done, void *arg)
{
	/* Whatever was written, NUL bytes too. */
	char *copy = xmalloc(len + 1);

	memcpy(copy, text, len);
	copy[len] = '\0';
	ask(e, (struct request){serial, copy, len, act_set_config, done, arg});
}

static void look_at_drafts(struct engine *e, void *arg)
{
	(void)arg;
	e->drafts_ms = 0;
	ahead_expect(e);
}

static void want_queue(struct engine *e, void *arg)
{
	(void)arg;
	e->queue_wanted = true;
}

void engine_want_queue(struct engine *e)
{
	engine_post(e, want_queue, NULL);
}

void engine_drafts_changed(void *arg)
{
	engine_post(arg, look_at_drafts, NULL);
}

struct state_news {
	enum remote_state state;
	char text[];
};

static void take_state(struct engine *e, void *arg)
{
	struct state_news *news = arg;

	e->online = news->state == REMOTE_ONLINE;
	if (e->connection.state != (int)news->state)
		e->connection.since_ns = clock_real_ns(e->clock);
	e->connection.state = news->state;
	snprintf(e->connection.text, sizeof(e->connection.text), "%s", news->text);
	model_set_connection(e->model, &e->connection);
	ask_state(e, news->state);
	for (size_t i = 0; e->online && i < e->track_count; i++)
		e->tracks[i].due_ms = 0;
	/* What was removed while there was no connection. */
	verb_sweep(e);
	free(news);
}

void engine_remote_changed(void *arg, enum remote_state state, const char *text)
{
	size_t len = text ? strlen(text) : 0;
	struct state_news *news = xcalloc(1, sizeof(*news) + len + 1);

	news->state = state;
	memcpy(news->text, text ? text : "", len);
	engine_post(arg, take_state, news);
}
