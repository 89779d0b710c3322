/* What a user asks of a job that there is: ctl, rmdir, a mended config.ini. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine_internal.h"
#include "err.h"
#include "fault.h"
#include "jobfile.h"
#include "jobspec.h"
#include "jobstate.h"
#include "log.h"
#include "sealed.h"
#include "shell.h"
#include "slurm_error.h"
#include "slurm_option.h"
#include "slurm_value.h"
#include "submit.h"

/* ---- cancel ---- */

struct cancel {
	struct engine *engine;
	uint64_t serial;
	char *id;       /* scancel this, or NULL: revoke the attempt */
	char *workdir;
	unsigned attempt;
	int result;
	struct command_result answer;
};

static void cancel_free(struct cancel *c)
{
	command_result_release(&c->answer);
	free(c->id);
	free(c->workdir);
	free(c);
}

/* What passes is asked again with a later state query, the rest only when the user asks again. */
static void scancel_refused(struct engine *e, struct cancel *c, struct track *track, struct job *now)
{
	struct strbuf words AUTO_STRBUF = STRBUF_INIT;
	struct slurm_error_info info;

	slurm_error_lookup(c->answer.err.data, &info);
	strbuf_rtrim(&c->answer.err);
	strbuf_add_escaped(&words, c->answer.err.data, c->answer.err.len);
	AUTO_FREE char *before = xstrdup(now->error);
	if (info.retry || info.reconcile_first) {
		track->cancel_sent = false;
		verb_note(now, "ctl: the job is not cancelled yet, it is tried again by itself. Slurm's "
			"words: %s", words.data);
	} else {
		verb_note(now, "ctl: the job could not be cancelled. Slurm's words: %s", words.data);
	}
	engine_commit(e, now, strcmp(before, now->error) ? "scancel %s failed: %s" : NULL, c->id,
		words.data);
}

static void scancelled(struct engine *e, struct cancel *c, struct track *track)
{
	struct job *now = engine_edit(e, c->serial);

	if (!now)
		return;
	if (c->result < 0) {
		/* Out of reach: asked again when it is back. */
		track->cancel_sent = false;
		engine_pause(e, track);
		job_unref(now);
	} else if (c->answer.status == 0) {
		e->sync_ms = 0;
		engine_commit(e, now, "scancel %s was accepted", c->id);
	} else {
		scancel_refused(e, c, track, now);
	}
}

static void cancel_done(struct engine *e, void *arg)
{
	struct cancel *c = arg;
	struct track *track = engine_track(e, c->serial);

	if (track && c->id)
		scancelled(e, c, track);
	else if (track && c->result == 0)
		pipeline_cancelled(e, c->serial);
	else if (track)
		/* Taken before, or not to be told: once its id is learned, that is cancelled. */
		track->cancel_sent = false;
	cancel_free(c);
}

static void run_cancel(void *arg)
{
	struct cancel *c = arg;
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;

	if (c->id) {
		strbuf_adds(&script, "scancel -- ");
		shell_quote(&script, c->id);
		c->result = command_run(&c->engine->cluster, script.data, NULL, 0, 60000, &c->answer);
	} else {
		c->result = submit_revoke(&c->engine->cluster, c->workdir, c->attempt);
	}
	engine_post(c->engine, cancel_done, c);
}

void verb_send_cancel(struct engine *e, const struct job *job)
{
	struct track *track = engine_track(e, job->serial);

	if (!track || track->cancel_sent)
		return;
	struct cancel *c = xcalloc(1, sizeof(*c));
	*c = (struct cancel){.engine = e, .serial = job->serial, .attempt = job->attempt,
		.answer = COMMAND_RESULT_INIT};
	c->id = *job->slurm_id ? xstrdup(job->slurm_id) : NULL;
	c->workdir = xstrdup(job->workdir);
	track->cancel_sent = true;
	/* A revocation goes behind the submission that may be under way. */
	lane_post(c->id ? e->query_lane : e->submit_lane, run_cancel, c);
}

static int cancel(struct engine *e, struct job *job)
{
	struct track *track = engine_track(e, job->serial);
	struct job *now = job_copy(job);

	now->cancel_asked = true;
	verb_note(now, NULL);
	int r = engine_commit(e, now, "cancel was asked for");
	if (r < 0)
		return r;
	if (!track || (!job->taken && !*job->slurm_id && !track->busy))
		pipeline_cancelled(e, job->serial);
	else if (job->taken || *job->slurm_id) {
		/* One that Slurm refused before is sent again. */
		track->cancel_sent = false;
		verb_send_cancel(e, job);
	}
	return 0;
}

/* ---- the others ---- */

static int sync_now(struct engine *e, struct job *job)
{
	struct track *track = engine_track(e, job->serial);

	/* As soon as the interval allows: a script may write this in a loop, and the cluster is shared. */
	e->interval_ms = (int64_t)e->profile->sync_interval * 1000;
	if (track)
		track->due_ms = 0;
	return 0;
}

static int resubmit(struct engine *e, struct job *job)
{
	struct job *now = job_copy(job);

	/* The directory is made anew: config.ini, the script or the template may have changed. */
	drafts_drop_template(e->drafts, job->uuid);
	strcpy(now->state, chain_wanted(e, job) ? "WAITING" : "STAGING");
	now->staged = now->taken = now->cancel_asked = false;
	job_set(&now->error, "");
	job_set(&now->reason, "");
	/* A fresh directory, since the old one may hold a taken ticket. */
	job_set(&now->workdir, "");
	now->attempt++;
	/* Slurm refused the job, so that nothing ran in the old one: it may go before the job is on. */
	int r = *job->workdir ? store_add_removal(e->store, job->workdir, job->uuid) : 0;
	if (r < 0) {
		job_unref(now);
		return r;
	}
	r = engine_commit(e, now, "resubmission was asked for");
	verb_sweep(e);
	if (r == 0)
		engine_add_track(e, job->serial)->step =
			chain_add(e, job->serial, true) ? STEP_WAIT : STEP_STAGE;
	return r;
}

/* The rest of `error` stays: it may say why the job was refused. */
void verb_note(struct job *now, const char *note, ...)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	va_list args;

	for (const char *line = now->error; *line;) {
		size_t len = strcspn(line, "\n");

		if (strncmp(line, "ctl: ", 5))
			strbuf_addf(&text, "%.*s\n", (int)len, line);
		line += len + (line[len] == '\n');
	}
	if (note) {
		va_start(args, note);
		strbuf_vaddf(&text, note, args);
		va_end(args);
		strbuf_addc(&text, '\n');
	}
	job_set(&now->error, text.data);
}

static const struct {
	const char *word;
	unsigned bit;
	int (*act)(struct engine *e, struct job *job);
} verbs[] = {
	{"cancel", JOBSTATE_VERB_CANCEL, cancel},
	{"sync", JOBSTATE_VERB_SYNC, sync_now},
	{"resubmit", JOBSTATE_VERB_RESUBMIT, resubmit},
	{"hold", JOBSTATE_VERB_HOLD, slurmverb_hold},
	{"release", JOBSTATE_VERB_RELEASE, slurmverb_release},
	{"requeue", JOBSTATE_VERB_REQUEUE, slurmverb_requeue},
	{"retrieve", JOBSTATE_VERB_RETRIEVE, keep_retrieve},
	{"discard", JOBSTATE_VERB_DISCARD, keep_discard},
};

/* `verb` may be anything that was written. */
static void note_unknown(struct engine *e, const struct job *job, const char *verb)
{
	struct strbuf word AUTO_STRBUF = STRBUF_INIT;
	const char *names[sizeof(verbs) / sizeof(*verbs)];
	struct job *now = job_copy(job);

	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		names[i] = verbs[i].word;
	const char *near = name_nearest(verb, names, sizeof(verbs) / sizeof(*verbs));
	slurm_value_quote(&word, verb);
	if (near)
		verb_note(now, "ctl: there is no %s; did you mean %s?", word.data, near);
	else
		verb_note(now, "ctl: there is no %s; ctl lists what can be asked for.", word.data);
	engine_commit(e, now, NULL);
}

static int owned_elsewhere(struct engine *e, const struct job *job, const char *verb)
{
	struct job *now = job_copy(job);

	verb_note(now, "ctl: `%s` is not possible here: the job is %s's, which submitted it from another "
		"installation; write it there.", verb, job->owner);
	engine_commit(e, now, NULL);
	return -EPERM;
}

int verb_run(struct engine *e, uint64_t serial, const char *verb)
{
	AUTO_JOB struct job *job = model_latest(e->model, serial);

	if (!job)
		return -ENOENT;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		if (strcmp(verbs[i].word, verb))
			continue;
		if (*job->owner && verbs[i].bit != JOBSTATE_VERB_SYNC)
			return owned_elsewhere(e, job, verb);
		if (jobstate_verbs(job->state) & verbs[i].bit)
			return verbs[i].act(e, job);
		struct job *now = job_copy(job);

		verb_note(now, "ctl: `%s` is not possible while the job is %s; ctl lists what is.", verb,
			job->state);
		engine_commit(e, now, NULL);
		return -EPERM;
	}
	note_unknown(e, job, verb);
	return -EINVAL;
}

int verb_set_config(struct engine *e, uint64_t serial, const char *text, size_t len)
{
	struct job *now = engine_edit(e, serial);
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct jobspec *spec = NULL;

	if (!now)
		return -ENOENT;
	int r = strcmp(now->state, "REJECTED") ? -EACCES : jobspec_parse(text, len, &spec, &why);
	jobspec_free(spec);
	/* Staging reads it from the inputs. */
	AUTO_FREE char *source = drafts_sealed_path(e->drafts, now->uuid);
	if (r == 0)
		r = sealed_replace_config(source, text, len);
	if (r == 0)
		r = store_set_text(e->store, now, STORE_CONFIG, text, len);
	if (r < 0 && r != -EINVAL) {
		job_unref(now);
		return r;
	}
	now->file_ns[JOB_FILE_CONFIG] = clock_real_ns(e->clock);
	if (r < 0)
		job_set(&now->error, why.data);
	int committed = engine_commit(e, now, r < 0 ? "a changed config.ini was refused"
						    : "config.ini was changed");
	return r < 0 ? r : committed;
}

/* Another installation's: nothing is done to it on the cluster. */
static int forget(struct engine *e, const struct job *job)
{
	if (chain_needs(e, job->serial))
		return -EBUSY;
	int r = store_remove(e->store, job, NULL);
	if (r < 0)
		return r;
	engine_drop_track(e, job->serial);
	chain_drop(e, job->serial);
	model_remove(e->model, job->serial);
	return 0;
}

int verb_remove(struct engine *e, uint64_t serial)
{
	AUTO_JOB struct job *job = model_latest(e->model, serial);

	if (!job)
		return -ENOENT;
	enum jobstate_class class = jobstate_class(job->state);
	struct track *track = engine_track(e, serial);
	if (*job->owner)
		return forget(e, job);
	if (job_keeps(job))
		return -EBUSY;
	/* A requeue that was asked for may make it active. */
	if (track && (track->verbs || (class == JOBSTATE_ENDED && !job->ended_ns)))
		return -EBUSY;
	if (class == JOBSTATE_ACTIVE || (class == JOBSTATE_BEFORE && strcmp(job->state, "REJECTED")))
		return -EBUSY;
	if (chain_needs(e, serial))
		return -EBUSY;
	FAULT_POINT("removal");
	int r = store_remove(e->store, job, *job->workdir ? job->workdir : NULL);
	if (r < 0)
		return r;
	FAULT_POINT("removed");
	engine_drop_track(e, serial);
	chain_drop(e, serial);
	model_remove(e->model, serial);
	drafts_drop_sealed(e->drafts, job->uuid);
	FAULT_POINT("removed from the spool");
	verb_sweep(e);
	return 0;
}

/* ---- directories of removed jobs ---- */

struct sweep {
	struct engine *engine;
	struct strbuf script; /* prints the id of each removal that was done */
	size_t count;
	int result;
	struct command_result answer;
};

/* Only what we made ourselves: a folder right below scratch whose name ends in the job's uuid. */
static bool is_ours(struct engine *e, const char *workdir, const char *uuid)
{
	size_t scratch = strlen(e->scratch), len = strlen(workdir);

	return !strncmp(workdir, e->scratch, scratch) && workdir[scratch] == '/' &&
		!strchr(workdir + scratch + 1, '/') && len > scratch + 10 &&
		!strncmp(workdir + len - 8, uuid, 8) && workdir[len - 9] == '-';
}

static void add_removal(void *arg, int64_t id, const char *workdir, const char *uuid, bool lives)
{
	struct sweep *sweep = arg;
	struct engine *e = sweep->engine;

	if (sweep->count >= 256 || !is_ours(e, workdir, uuid))
		return;
	strbuf_adds(&sweep->script, "rm -rf -- ");
	shell_quote(&sweep->script, workdir);
	if (!lives) {
		strbuf_addc(&sweep->script, ' ');
		shell_quote(&sweep->script, e->records);
		strbuf_addf(&sweep->script, "/%s{,_*}.{start,end}", uuid);
	}
	strbuf_addf(&sweep->script, " && echo %lld\n", (long long)id);
	sweep->count++;
}

static void swept(struct engine *e, void *arg)
{
	struct sweep *sweep = arg;
	size_t done = 0;

	e->sweeping = false;
	for (char *at = sweep->answer.out.data, *line; (line = strsep(&at, "\n"));)
		if (*line && store_removal_done(e->store, atoll(line)) == 0)
			done++;
	/* What could not be deleted is tried again with the next removal or connection. */
	if (sweep->result == 0 && done == sweep->count)
		verb_sweep(e);
	command_result_release(&sweep->answer);
	strbuf_release(&sweep->script);
	free(sweep);
}

static void run_sweep(void *arg)
{
	struct sweep *sweep = arg;

	sweep->result = command_run(&sweep->engine->cluster, sweep->script.data, NULL, 0, 600000,
		&sweep->answer);
	engine_post(sweep->engine, swept, sweep);
}

void verb_sweep(struct engine *e)
{
	if (!e->online || !e->scratch || e->sweeping)
		return;
	struct sweep *sweep = xcalloc(1, sizeof(*sweep));
	sweep->engine = e;
	sweep->script = STRBUF_INIT;
	sweep->answer = COMMAND_RESULT_INIT;
	store_removals(e->store, add_removal, sweep);
	if (!sweep->count) {
		free(sweep);
		return;
	}
	e->sweeping = true;
	lane_post(e->query_lane, run_sweep, sweep);
}
