/* One job from its intent to its Slurm id: staging, then sbatch. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine_internal.h"
#include "err.h"
#include "jobstate.h"
#include "jobrecord.h"
#include "log.h"
#include "profile.h"
#include "reconcile.h"
#include "script.h"
#include "sealed.h"
#include "slurm_error.h"
#include "slurm_text.h"
#include "stage.h"
#include "submit.h"
#include "tasks.h"


/* ---- ends on this side ---- */

void pipeline_set_state(struct job *job, const char *state, const char *reason)
{
	snprintf(job->state, sizeof(job->state), "%s", state);
	job_set(&job->reason, reason);
}

void pipeline_reject(struct engine *e, uint64_t serial, const char *error)
{
	struct job *now = engine_edit(e, serial);

	if (!now)
		return;
	pipeline_set_state(now, "REJECTED", "");
	job_set(&now->error, error);
	if (engine_commit(e, now, "rejected: %.*s", (int)strcspn(error, "\n"), error) == 0)
		engine_drop_track(e, serial);
	limits_renew(e);
}

void pipeline_cancelled(struct engine *e, uint64_t serial)
{
	struct job *now = engine_edit(e, serial);

	if (!now)
		return;
	pipeline_set_state(now, "CANCELLED", "");
	job_set(&now->facts, "");
	job_set(&now->error, "");
	now->ended_ns = clock_real_ns(e->clock);
	if (engine_commit(e, now, "cancelled before it reached Slurm") == 0)
		engine_drop_track(e, serial);
}

/* Not needed here any more. */
static void drop_sealed(struct engine *e, uint64_t serial)
{
	AUTO_JOB struct job *job = model_latest(e->model, serial);

	if (job)
		drafts_drop_sealed(e->drafts, job->uuid);
}

void pipeline_adopt_id(struct engine *e, uint64_t serial, const char *id, const char *how)
{
	struct track *track = engine_track(e, serial);
	struct job *now = engine_edit(e, serial);

	if (!now || !track)
		return;
	pipeline_set_state(now, "PENDING", "");
	job_set(&now->slurm_id, id);
	job_set(&now->error, "");
	now->submitted_ns = clock_real_ns(e->clock);
	if (engine_commit(e, now, "Slurm has it as job %s%s", id, how) < 0)
		return;
	*track = (struct track){.serial = serial, .step = STEP_WATCH, .busy = track->busy};
	engine_when_written(e, drop_sealed, serial);
	e->interval_ms = (int64_t)e->profile->sync_interval * 1000;
	if (now->cancel_asked)
		verb_send_cancel(e, now);
}

long long pipeline_seconds_until(struct engine *e, const struct track *track)
{
	return (track->due_ms - clock_mono_ms(e->clock) + 999) / 1000;
}

void pipeline_try_later(struct engine *e, uint64_t serial, const char *state, const char *what,
	const char *words)
{
	struct track *track = engine_track(e, serial);
	struct job *now = engine_edit(e, serial);

	if (!now || !track)
		return;
	AUTO_FREE char *text = xasprintf("%s It is tried again by itself.\n%s%s", what, words,
		*words ? "\n" : "");
	pipeline_set_state(now, state, "");
	job_set(&now->error, text);
	engine_pause(e, track);
	engine_commit(e, now, "%s It is tried again in %lld s.", what, pipeline_seconds_until(e, track));
}

/* ---- staging ---- */

struct staging {
	struct engine *engine;
	uint64_t serial;
	struct stage_request request;
	char *source, *workdir, *records, *scratch, *script, *uuid, *record, *config;
	char **folders;
	struct stage_file *files;
	struct chain_gifts gifts;
	struct strbuf why;
	int result;
};

static void staging_free(struct staging *s)
{
	for (char **f = s->folders; f && *f; f++)
		free(*f);
	free(s->folders);
	sealed_files_free(s->files, s->request.file_count);
	chain_gifts_release(&s->gifts);
	free(s->source);
	free(s->workdir);
	free(s->records);
	free(s->scratch);
	free(s->script);
	free(s->uuid);
	free(s->record);
	free(s->config);
	strbuf_release(&s->why);
	free(s);
}

/* ", with NAME NAME of its template", for the log. */
static char *name_files(const struct staging *s)
{
	struct strbuf text = STRBUF_INIT;

	for (size_t i = 0; i < s->request.file_count; i++)
		strbuf_addf(&text, "%s %s", i ? "" : ", with", s->files[i].name);
	if (text.len)
		strbuf_adds(&text, " of its template");
	return strbuf_steal(&text);
}

static void staged(struct engine *e, void *arg)
{
	struct staging *s = arg;
	struct track *track = engine_track(e, s->serial);
	AUTO_JOB struct job *job = model_latest(e->model, s->serial);

	if (track) {
		track->busy = false;
		track->due_ms = clock_in(e->clock, UNWRITTEN_MS);
	}
	if (!track || !job) {
		/* It was removed meanwhile. */
	} else if (job->cancel_asked) {
		pipeline_cancelled(e, s->serial);
	} else if (s->result == 0) {
		struct job *now = job_copy(job);
		AUTO_FREE char *files = name_files(s);

		now->staged = true;
		pipeline_set_state(now, "SUBMITTING", "");
		job_set(&now->error, "");
		if (engine_commit(e, now, "its files are on the cluster, verified%s%s%s", files,
			s->why.len ? "; note: " : "", s->why.data) == 0) {
			track->step = STEP_SUBMIT;
			track->failures = 0;
			track->due_ms = 0;
		}
	} else if (s->result == -ENOTCONN || s->result == -ECANCELED) {
		track->due_ms = clock_in(e->clock, 1000);
	} else if (s->result == -ENODATA) {
		strbuf_adds(&s->why, ".\nMend that, or config.ini here, then write resubmit to ctl.\n");
		pipeline_reject(e, s->serial, s->why.data);
	} else {
		AUTO_FREE char *what = xasprintf("Its files could not be brought to %s: %s.",
			s->workdir, strerror(-s->result));
		pipeline_try_later(e, s->serial, "STAGING", what, s->why.data);
	}
	staging_free(s);
}

static void run_staging(void *arg)
{
	struct staging *s = arg;

	s->result = stage_run(&s->engine->cluster, &s->request, &s->why);
	engine_post(s->engine, staged, s);
}

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
static void add_record(struct engine *e, const struct job *job, struct staging *s)
{
	struct strbuf record = STRBUF_INIT;
	struct strbuf config = STRBUF_INIT;

	if (!e->installation)
		return;
	jobrecord_write(job, e->installation, &record);
	s->request.record = s->record = strbuf_steal(&record);
	if (store_text(e->store, job, STORE_CONFIG, &config) == 0 && config.len) {
		s->request.config_len = config.len;
		s->request.config = s->config = strbuf_steal(&config);
	}
	strbuf_release(&config);
}

static void start_staging(struct engine *e, struct track *track)
{
	struct job *now = engine_edit(e, track->serial);
	struct sealed_request request = {0};
	struct chain_gifts gifts = {0};
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;

	if (!now)
		return;
	AUTO_FREE char *source = drafts_sealed_path(e->drafts, now->uuid);
	AUTO_FREE char *workdir = new_workdir(e, now);
	job_set(&now->workdir, workdir);
	AUTO_FREE char *project = e->project ? xasprintf("%s%s", e->project, strrchr(workdir, '/')) :
		NULL;
	job_set(&now->project_dir, project);
	job_set(&now->records, e->records);
	int r = sealed_read(source, e->profile, &request, &why);
	if (r == 0)
		r = chain_place(e, now->serial, request.spec, &gifts, &why);
	if (r == 0)
		r = render(e, now, &request, &gifts, &script, &why);
	if (r < 0) {
		uint64_t serial = now->serial;

		job_unref(now);
		sealed_request_release(&request);
		chain_gifts_release(&gifts);
		/* What is wrong with the request is told; all else is this machine's disk. */
		AUTO_FREE char *what = xasprintf("The batch script cannot be kept in the database: %s.",
			strerror(-r));
		if (why.len)
			pipeline_reject(e, serial, why.data);
		else
			pipeline_try_later(e, serial, "STAGING", what, "");
		return;
	}
	struct staging *s = xcalloc(1, sizeof(*s));
	*s = (struct staging){.engine = e, .serial = now->serial, .why = STRBUF_INIT,
		.source = STEAL(source), .workdir = xstrdup(now->workdir),
		.records = xstrdup(e->records), .scratch = xstrdup(e->scratch),
		.uuid = xstrdup(now->uuid), .folders = output_folders(request.spec),
		.files = STEAL(request.files), .gifts = gifts};
	s->request = (struct stage_request){.uuid = s->uuid, .source = s->source,
		.scratch = s->scratch, .workdir = s->workdir, .records = s->records,
		.script_len = script.len, .folders = (const char *const *)s->folders,
		.files = s->files, .file_count = request.file_count,
		.inputs = gifts.inputs, .input_count = gifts.input_count};
	request.file_count = 0;
	s->request.script = s->script = strbuf_steal(&script);
	sealed_request_release(&request);
	add_record(e, now, s);
	if (engine_commit(e, now, NULL) < 0) {
		engine_pause(e, track);
		staging_free(s);
		return;
	}
	track->busy = true;
	lane_post(e->stage_lane, run_staging, s);
}

/* ---- what is next ---- */

void pipeline_tick(struct engine *e, int64_t now_ms, int64_t *next_ms)
{
	if (!e->scratch)
		return;
	for (size_t i = 0; i < e->track_count; i++) {
		struct track *track = &e->tracks[i];

		if (track->busy || track->step == STEP_WATCH || track->step == STEP_WAIT)
			continue;
		if (track->due_ms > now_ms) {
			if (track->due_ms < *next_ms)
				*next_ms = track->due_ms;
			continue;
		}
		if (track->step == STEP_SUBMIT && !sbatch_take(e, track))
			continue;
		uint64_t serial = track->serial;
		track->due_ms = now_ms + UNWRITTEN_MS;
		if (track->step == STEP_STAGE)
			start_staging(e, track);
		/* A job that ended here has no track any more: the next one stands in its place. */
		track = engine_track(e, serial);
		if (!track)
			i--;
		else if (!track->busy && track->due_ms > now_ms && track->due_ms < *next_ms)
			*next_ms = track->due_ms;
	}
	sbatch_send(e);
}
