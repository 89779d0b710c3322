/*
 * A job's files to the cluster: several jobs by one command, or one that has much to send alone.
 *
 * What becomes due while commands are under way waits for the end of one, so that many jobs that are
 * dropped one after another share commands.  A job for which nothing else is under way is submitted by
 * the very command that brings its files, which saves it the way there and back: it is noted as taken
 * before, and if the answer is lost the command is sent again, which finds the directory complete, or
 * brings it, and finds the outcome, or runs sbatch (submit.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine_internal.h"
#include "err.h"
#include "fault.h"
#include "jobrecord.h"
#include "profile.h"
#include "reconcile.h"
#include "script.h"
#include "sealed.h"
#include "stage.h"
#include "submit.h"
#include "tasks.h"

#define BATCH 128
/* Commands at once: the way there and back of one is the other's time. */
#define AT_ONCE 2
/* No scratch is purged within it. */
#define LOOK_AFTER_NS (INT64_C(86400) * 1000000000)

/* One job. */
struct item {
	uint64_t serial;
	struct stage_job job;
	struct submit_item submit; /* job.submit points to it, or not */
	bool first;                /* no command before could run sbatch for this attempt */
	char *source, *workdir, *project, *script, *record, *config;
	char **folders;
	struct stage_file *files;
	struct chain_gifts gifts;
	struct strbuf why;
};

/* One command; a lane's own while it works. */
struct command_of {
	struct engine *engine;
	struct item *items[BATCH];
	size_t count;
	bool alone; /* one job, that may take its time */
	char *scratch, *project, *records;
};

struct staging {
	unsigned running;      /* commands, but for those alone */
	uint64_t taken[BATCH]; /* serials of the next one */
	size_t count;
	bool closed;           /* it is one that has failed before: no other goes with it */
};

static void item_free(struct item *item)
{
	for (char **f = item->folders; f && *f; f++)
		free(*f);
	free(item->folders);
	sealed_files_free(item->files, item->job.file_count);
	chain_gifts_release(&item->gifts);
	free(item->source);
	free(item->workdir);
	free(item->project);
	free(item->script);
	free(item->record);
	free(item->config);
	free(item->job.lacks);
	strbuf_release(&item->why);
	strbuf_release(&item->submit.outcome);
	free(item);
}

void staging_free(struct staging *staging)
{
	free(staging);
}

static void command_free(struct command_of *s)
{
	for (size_t i = 0; i < s->count; i++)
		item_free(s->items[i]);
	free(s->scratch);
	free(s->project);
	free(s->records);
	free(s);
}

/* ---- its end ---- */

/* ", with NAME NAME of its template", for the log. */
static char *name_files(const struct item *item)
{
	struct strbuf text = STRBUF_INIT;

	for (size_t i = 0; i < item->job.file_count; i++)
		strbuf_addf(&text, "%s %s", i ? "" : ", with", item->files[i].name);
	if (text.len)
		strbuf_adds(&text, " of its template");
	return strbuf_steal(&text);
}

static void note_staged(struct engine *e, struct track *track, const struct job *job,
	const struct item *item)
{
	struct job *now = job_copy(job);
	AUTO_FREE char *files = name_files(item);

	now->staged = true;
	pipeline_set_state(now, "SUBMITTING", "");
	job_set(&now->error, "");
	if (engine_commit(e, now, "its files are on the cluster, verified%s%s%s", files,
		item->why.len ? "; note: " : "", item->why.data) < 0)
		return;
	track->step = STEP_SUBMIT;
	track->failures = 0;
	track->due_ms = 0;
	if (job->cancel_asked && !item->job.submit) {
		/* An earlier command may have run sbatch: revoking tells. */
		track->due_ms = clock_in(e->clock, UNWRITTEN_MS);
		verb_send_cancel(e, job);
	} else if (item->job.submit && item->submit.result != SUBMIT_NO_ANSWER) {
		struct job *then = engine_edit(e, item->serial);

		if (then && engine_commit(e, then, "sbatch is run (attempt %u)", then->attempt) == 0)
			sbatch_answer(e, item->serial, item->first, &item->submit);
	}
}

/* The cluster said that it has no directory, so sbatch was not run in it. */
static void note_not_taken(struct engine *e, const struct item *item)
{
	struct job *now = item->job.submit && item->first ? engine_edit(e, item->serial) : NULL;

	if (!now)
		return;
	now->taken = false;
	engine_commit(e, now, NULL);
}

static void not_staged(struct engine *e, struct track *track, struct item *item)
{
	int r = item->job.result;

	if (r == -ENOTCONN || r == -ECANCELED || r == -EAGAIN || r == -EINPROGRESS) {
		track->due_ms = clock_in(e->clock, 1000);
		return;
	}
	if (item->job.answered)
		note_not_taken(e, item);
	if (r == -ENODATA && item->job.submit && !item->first) {
		/* What it is to have may be gone since an earlier command, unanswered, submitted it. */
		reconcile_start(e, track);
		return;
	}
	if (r == -ENODATA) {
		strbuf_adds(&item->why, ".\nMend that, or config.ini here, then write resubmit to ctl.\n");
		pipeline_reject(e, item->serial, item->why.data);
		return;
	}
	AUTO_FREE char *what = xasprintf("Its files could not be brought to %s%s%s: %s.%s", item->workdir,
		item->project ? " and " : "", item->project ? item->project : "", strerror(-r), r == -ENOSPC || r == -EDQUOT ? " Make room there: rmdir jobs/NAME removes a "
		"job with its directory." : "");
	pipeline_try_later(e, item->serial, "STAGING", what, item->why.data);
}

static void staged(struct engine *e, struct item *item)
{
	struct track *track = engine_track(e, item->serial);
	AUTO_JOB struct job *job = model_latest(e->model, item->serial);

	if (track) {
		track->busy = false;
		track->due_ms = clock_in(e->clock, UNWRITTEN_MS);
	}
	/* Without either it was removed meanwhile; and a state query may have found it in the queue. */
	if (!track || !job || *job->slurm_id)
		return;
	if (item->job.result == 0 && !(job->cancel_asked && !job->taken)) {
		note_staged(e, track, job, item);
	} else if (job->cancel_asked && (!job->taken || (item->first && item->job.answered))) {
		pipeline_cancelled(e, item->serial);
	} else {
		not_staged(e, track, item);
	}
}

static void all_staged(struct engine *e, void *arg)
{
	struct command_of *s = arg;

	if (!s->alone)
		e->staging->running--;
	engine_group_begin(e);
	for (size_t i = 0; i < s->count; i++)
		staged(e, s->items[i]);
	engine_group_end(e);
	/* Asked for again: while one was being started, that request came to nothing. */
	e->shell_waits = false;
	command_free(s);
}

/* ---- in a lane ---- */

static struct command_of *new_command(struct engine *e, const struct command_of *like)
{
	struct command_of *s = xcalloc(1, sizeof(*s));

	s->engine = e;
	s->scratch = xstrdup(like ? like->scratch : e->scratch);
	s->project = xstrdup(like ? like->project : e->project);
	s->records = xstrdup(like ? like->records : e->records);
	return s;
}

static void run_staging(void *arg);

/* Those that have much to send go on in a lane of their own. */
static void send_alone(struct command_of *s)
{
	size_t left = 0;

	for (size_t i = 0; i < s->count; i++) {
		if (s->items[i]->job.result != -EINPROGRESS) {
			s->items[left++] = s->items[i];
			continue;
		}
		struct command_of *one = new_command(s->engine, s);
		one->alone = true;
		one->items[one->count++] = s->items[i];
		lane_post(s->engine->upload_lane, run_staging, one);
	}
	s->count = left;
}

static void run_staging(void *arg)
{
	struct command_of *s = arg;
	const struct profile *profile = s->engine->profile;
	struct stage_place place = {.scratch = s->scratch, .project = s->project,
		.records = s->records, .keep = profile->keep, .streams = (unsigned)profile->streams,
		.submit_rate = (unsigned)profile->submit_rate, .sums = s->engine->sums};
	struct stage_job *jobs[BATCH];

	for (size_t i = 0; i < s->count; i++) {
		jobs[i] = &s->items[i]->job;
		jobs[i]->why = &s->items[i]->why;
	}
	FAULT_POINT("before staging");
	stage_run(&s->engine->cluster, &place, jobs, s->count, s->alone);
	FAULT_POINT("behind staging");
	send_alone(s);
	engine_post(s->engine, all_staged, s);
}

/* ---- its beginning ---- */

/* The folders that Slurm will not make for output files (a missing one fails the job silently). */
static char **output_folders(const struct jobspec *spec)
{
	static const char *const keys[] = {"output", "error"};
	char **folders = xcalloc(3, sizeof(*folders));
	size_t count = 0;

	for (size_t i = 0; i < 2; i++) {
		const char *path = jobspec_slurm(spec, keys[i]);
		const char *slash = path && *path != '/' ? strrchr(path, '/') : NULL;

		if (slash && !strstr(path, "..") && !memchr(path, '%', (size_t)(slash - path)))
			folders[count++] = xstrndup(path, (size_t)(slash - path));
	}
	return folders;
}

/* Where the job runs: its name for people, its uuid to be unique, the attempt to be fresh. */
static char *new_workdir(struct engine *e, const struct job *job)
{
	if (job->attempt > 1)
		return xasprintf("%s/%s-%u-%.8s", e->scratch, job->name, job->attempt, job->uuid);
	return xasprintf("%s/%s-%.8s", e->scratch, job->name, job->uuid);
}

/* Renders the batch script into `now`'s store and `ret`. */
static int render(struct engine *e, struct job *now, const struct sealed_request *request,
	const struct chain_gifts *gifts, struct strbuf *ret, struct strbuf *why)
{
	struct script_place place = {.parents = gifts->parents, .parent_count = gifts->parent_count,
		.uuid = now->uuid, .name = now->name, .workdir = now->workdir,
		.records = now->records, .template = request->template};

	int r = script_render(request->spec, &place, request->body_line, ret, why);
	if (r == 0)
		r = script_verify(request->spec, &place, ret->data, ret->len, why);
	if (r == 0)
		r = store_set_text(e->store, now, STORE_SCRIPT, ret->data, ret->len);
	return r < 0 ? r : watch_set_tasks(e, now, tasks_of_script(ret->data, e->user));
}

/* What lets the job be found again, beside it. */
static void add_record(struct engine *e, const struct job *job, struct item *item)
{
	struct strbuf record = STRBUF_INIT;
	struct strbuf config = STRBUF_INIT;

	if (!e->installation)
		return;
	jobrecord_write(job, e->installation, &record);
	item->job.record = item->record = strbuf_steal(&record);
	if (store_text(e->store, job, STORE_CONFIG, &config) == 0 && config.len) {
		item->job.config_len = config.len;
		item->job.config = item->config = strbuf_steal(&config);
	}
	strbuf_release(&config);
}

/* What is wrong with the request is told; all else is this machine's disk. */
static void cannot_begin(struct engine *e, struct track *track, int error, bool moved, bool taken,
	const char *why)
{
	AUTO_FREE char *what = xasprintf("%s: %s.", moved ?
		"The batch script cannot be kept in the database" :
		"Its files cannot be moved within the spool", strerror(-error));

	if (*why && taken)
		reconcile_start(e, track);
	else if (*why)
		pipeline_reject(e, track->serial, why);
	else
		pipeline_try_later(e, track->serial, "STAGING", what, "");
}

/* Takes over what it needs of `request` and `gifts`. */
static struct item *make_item(const struct job *now, struct sealed_request *request,
	struct chain_gifts *gifts, struct strbuf *script, char *source)
{
	struct item *item = xcalloc(1, sizeof(*item));

	*item = (struct item){.serial = now->serial, .why = STRBUF_INIT, .source = source,
		.workdir = xstrdup(now->workdir),
		.project = *now->project_dir ? xstrdup(now->project_dir) : NULL,
		.folders = output_folders(request->spec), .files = STEAL(request->files),
		.gifts = *gifts};
	item->job = (struct stage_job){.source = item->source, .workdir = item->workdir,
		.project_dir = item->project, .script_len = script->len,
		.folders = (const char *const *)item->folders, .files = item->files,
		.file_count = request->file_count, .inputs = item->gifts.inputs,
		.input_count = item->gifts.input_count};
	item->job.script = item->script = strbuf_steal(script);
	request->file_count = 0;
	*gifts = (struct chain_gifts){0};
	return item;
}

/* Where it is to be, as of now. */
static void place(struct engine *e, struct job *now)
{
	AUTO_FREE char *workdir = new_workdir(e, now);
	AUTO_FREE char *project = e->project ? xasprintf("%s%s", e->project, strrchr(workdir, '/')) :
		NULL;

	job_set(&now->workdir, workdir);
	job_set(&now->project_dir, project);
	job_set(&now->records, e->records);
}

/* Has the command submit it, too; noted before anything is sent. */
static void submit_with_it(struct engine *e, struct job *now, struct item *item)
{
	item->first = !now->taken;
	item->submit = (struct submit_item){.workdir = item->workdir, .attempt = now->attempt,
		.outcome = STRBUF_INIT};
	item->job.submit = &item->submit;
	if (item->first)
		now->taken_ns = clock_real_ns(e->clock);
	now->taken = true;
}

static struct item *prepare(struct engine *e, struct track *track, bool submit)
{
	struct job *now = engine_edit(e, track->serial);
	struct sealed_request request = {0};
	struct chain_gifts gifts = {0};
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct item *item = NULL;

	if (!now)
		return NULL;
	AUTO_FREE char *source = drafts_sealed_path(e->drafts, now->uuid);
	/* Where a command may have submitted it from, no other directory is its own. */
	if (!now->taken)
		place(e, now);
	int r = now->moved ? 0 : intake_move_again(e, now);
	now->moved = r == 0;
	if (r == 0)
		r = sealed_read(source, e->profile, &request, &why);
	if (r == 0)
		r = chain_place(e, now->serial, request.spec, &gifts, &why);
	if (r == 0)
		r = render(e, now, &request, &gifts, &script, &why);
	if (r == 0) {
		item = make_item(now, &request, &gifts, &script, STEAL(source));
		add_record(e, now, item);
		if ((submit || now->taken) && !now->cancel_asked)
			submit_with_it(e, now, item);
	}
	sealed_request_release(&request);
	chain_gifts_release(&gifts);
	if (!item) {
		bool moved = now->moved, taken = now->taken;

		job_unref(now);
		cannot_begin(e, track, r, moved, taken, why.data);
		return NULL;
	}
	if (engine_commit(e, now, NULL) == 0)
		return item;
	engine_pause(e, track);
	item_free(item);
	return NULL;
}

/* ---- what is next ---- */

/* A command whose answer was lost brought it, perhaps, and submitted it: long ago, so that it may have run and been
 * purged since; or elsewhere, where scratch was then.  To bring it anew could run it twice. */
static bool must_look(struct engine *e, const struct track *track)
{
	AUTO_JOB struct job *job = model_latest(e->model, track->serial);
	size_t len = strlen(e->scratch);

	if (!job || !job->taken)
		return false;
	return clock_real_ns(e->clock) - job->taken_ns > LOOK_AFTER_NS ||
		strncmp(job->workdir, e->scratch, len) || strrchr(job->workdir, '/') != job->workdir + len;
}

bool staging_take(struct engine *e, struct track *track)
{
	if (must_look(e, track)) {
		reconcile_start(e, track);
		return true;
	}
	if (!e->staging)
		e->staging = xcalloc(1, sizeof(*e->staging));
	struct staging *s = e->staging;

	/* What failed together may be the fault of one. */
	if (s->running >= AT_ONCE || s->count == BATCH || s->closed || (s->count && track->failures))
		return false;
	s->closed = track->failures > 0;
	s->taken[s->count++] = track->serial;
	return true;
}

void staging_send(struct engine *e)
{
	struct staging *s = e->staging;

	if (!s || !s->count)
		return;
	bool submit = s->count == 1 && !s->running && sbatch_is_idle(e);
	struct command_of *c = new_command(e, NULL);
	engine_group_begin(e);
	for (size_t i = 0; i < s->count; i++) {
		struct track *track = engine_track(e, s->taken[i]);
		struct item *item = track ? prepare(e, track, submit) : NULL;

		if (item)
			c->items[c->count++] = item;
	}
	s->count = 0;
	s->closed = false;
	/* Nothing may be sent of which the database does not know. */
	if (engine_group_end(e) < 0 || !c->count) {
		command_free(c);
		return;
	}
	for (size_t i = 0; i < c->count; i++) {
		struct track *track = engine_track(e, c->items[i]->serial);

		if (track)
			track->busy = true;
	}
	s->running++;
	e->shell_waits = false;
	lane_post(e->stage_lane, run_staging, c);
}
