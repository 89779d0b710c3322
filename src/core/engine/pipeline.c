/* One job from its intent to its Slurm id: staging, then sbatch. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine_internal.h"
#include "err.h"
#include "fault.h"
#include "jobstate.h"
#include "log.h"
#include "profile.h"
#include "reconcile.h"
#include "slurm_error.h"
#include "slurm_text.h"
#include "submit.h"


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

	FAULT_POINT("adopted");
	if (job)
		drafts_drop_sealed(e->drafts, job->uuid);
	FAULT_POINT("inputs dropped");
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
		if (track->step == STEP_SUBMIT ? !sbatch_take(e, track) : !staging_take(e, track))
			continue;
		uint64_t serial = track->serial;
		track->due_ms = now_ms + UNWRITTEN_MS;
		/* A job that ended here has no track any more: the next one stands in its place. */
		track = engine_track(e, serial);
		if (!track)
			i--;
		else if (!track->busy && track->due_ms > now_ms && track->due_ms < *next_ms)
			*next_ms = track->due_ms;
	}
	staging_send(e);
	sbatch_send(e);
}
