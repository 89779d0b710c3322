/*
 * hold, release, requeue: verbs of ctl that are one scontrol command on the cluster.
 *
 * The write is answered at once, since no file operation outside work/ may wait for the network:
 * what can be judged here fails it (the job's state, that it is not held, a connection that is down); what Slurm itself
 * refuses is a line in the job's error and log.  One lane runs the commands in the order of the
 * writes, and a state query follows each.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine_internal.h"
#include "err.h"
#include "jobstate.h"
#include "shell.h"

#define SCONTROL_MS 60000

struct slurmverb {
	struct engine *engine;
	uint64_t serial;
	const char *word; /* of ctl */
	char *id;
	struct strbuf script;
	int result;
	struct command_result answer;
};

static void slurmverb_free(struct slurmverb *v)
{
	command_result_release(&v->answer);
	strbuf_release(&v->script);
	free(v->id);
	free(v);
}

/* Slurm runs the job again: what was known of its end is over. */
static void begin_again(struct job *now)
{
	now->cancel_asked = false;
	now->ended_ns = 0;
	job_set(&now->error, "");
}

static bool has_ended(const struct job *job)
{
	enum jobstate_class class = jobstate_class(job->state);

	return class == JOBSTATE_ENDED || class == JOBSTATE_LOST;
}

static void refused(struct engine *e, struct job *now, const struct slurmverb *v)
{
	struct strbuf words AUTO_STRBUF = STRBUF_INIT;

	if (v->result < 0) {
		verb_note(now, "ctl: whether `%s` was done is not known: %s. Write it again once "
			"cluster/connection says online.", v->word, strerror(-v->result));
		engine_commit(e, now, "%s: no answer (%s)", v->word, strerror(-v->result));
		return;
	}
	const char *text = *v->answer.err.data ? v->answer.err.data : v->answer.out.data;
	strbuf_add_escaped(&words, text, strcspn(text, "\n"));
	verb_note(now, "ctl: `%s` was refused. Slurm's words: %s", v->word, words.data);
	engine_commit(e, now, "scontrol %s %s failed: %s", v->word, v->id, words.data);
}

static void slurmverb_done(struct engine *e, void *arg)
{
	struct slurmverb *v = arg;
	struct job *now = engine_edit(e, v->serial);
	struct track *track = engine_track(e, v->serial);
	bool done = v->result == 0 && v->answer.status == 0;

	if (track)
		track->verbs--;
	if (!now) {
		slurmverb_free(v);
		return;
	}
	bool ended = has_ended(now);
	if (!done) {
		/* What is not known may have been done: it is looked after until its end is seen. */
		if (ended && v->result == 0)
			now->ended_ns = clock_real_ns(e->clock);
		refused(e, now, v);
	} else {
		if (!strcmp(v->word, "requeue")) {
			begin_again(now);
			if (track)
				track->cancel_sent = false;
		}
		/* Till the next query tells: whether the other verb is possible is judged by it. */
		if (!strcmp(v->word, "hold") && !strcmp(now->state, "PENDING"))
			job_set(&now->reason, "JobHeldUser");
		else if (!strcmp(v->word, "release"))
			job_set(&now->reason, "");
		engine_commit(e, now, "scontrol %s %s was accepted", v->word, v->id);
	}
	/* An ended job was only looked after for the sake of its requeue. */
	if (track && ended && !done && v->result == 0 && !track->verbs)
		engine_drop_track(e, v->serial);
	e->sync_ms = 0;
	slurmverb_free(v);
}

static void run_slurmverb(void *arg)
{
	struct slurmverb *v = arg;

	v->result = command_run(&v->engine->cluster, v->script.data, NULL, 0, SCONTROL_MS,
		&v->answer);
	engine_post(v->engine, slurmverb_done, v);
}

/* `command` is scontrol's own word. */
static int send(struct engine *e, struct job *job, const char *word, const char *command)
{
	struct track *track = engine_track(e, job->serial);
	struct job *now = job_copy(job);

	if (!*job->slurm_id || !e->online) {
		verb_note(now, "ctl: `%s` was not done: %s", word, e->online ?
			"Slurm has not given the job an id yet." :
			"the cluster is out of reach. cluster/connection says since when.");
		engine_commit(e, now, NULL);
		return e->online ? -EPERM : -EIO;
	}
	verb_note(now, NULL);
	/* From here on it may run again, which a later start of this program must look after. */
	if (!strcmp(word, "requeue"))
		now->ended_ns = 0;
	int r = engine_commit(e, now, "%s was asked for", word);
	if (r < 0)
		return r;
	if (!track) {
		track = engine_add_track(e, job->serial);
		track->step = STEP_WATCH;
	}
	track->verbs++;
	struct slurmverb *v = xcalloc(1, sizeof(*v));
	*v = (struct slurmverb){.engine = e, .serial = job->serial, .word = word,
		.id = xstrdup(job->slurm_id), .script = STRBUF_INIT,
		.answer = COMMAND_RESULT_INIT};
	strbuf_addf(&v->script, "scontrol %s ", command);
	shell_quote(&v->script, v->id);
	lane_post(e->query_lane, run_slurmverb, v);
	return 0;
}

int slurmverb_hold(struct engine *e, struct job *job)
{
	/* As the job's owner even where the user is an operator: an administrator's hold is one that
	 * the owner cannot release (scontrol(1), hold and uhold). */
	return send(e, job, "hold", "uhold");
}

/* Without a reason it is not known; a hold may be on its way; and of an array each task has its own. */
static bool is_free(struct engine *e, const struct job *job)
{
	const struct track *track = engine_track(e, job->serial);

	return *job->reason && !job->tasks && !(track && track->verbs) &&
		!(jobstate_verbs_listed(job->state, job->reason) & JOBSTATE_VERB_RELEASE);
}

int slurmverb_release(struct engine *e, struct job *job)
{
	if (is_free(e, job)) {
		struct job *now = job_copy(job);

		verb_note(now, "ctl: `release` is not possible: the job is not held; it waits for Slurm's "
			"reason %s, as of the last query (sync asks again).", job->reason);
		engine_commit(e, now, NULL);
		return -EPERM;
	}
	return send(e, job, "release", "release");
}

int slurmverb_requeue(struct engine *e, struct job *job)
{
	return send(e, job, "requeue", "requeue");
}
