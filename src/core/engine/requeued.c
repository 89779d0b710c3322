/*
 * Jobs that run again without our having asked: by `scontrol requeue` of an administrator, after an end that was
 * taken for the last.  Nothing is asked for their sake; a state query that is made anyway shows them.
 */
#include <stdlib.h>
#include <string.h>

#include "cycle.h"
#include "err.h"
#include "jobstate.h"

static int by_workdir(const void *a, const void *b)
{
	return strcmp(((const struct stray *)a)->workdir, ((const struct stray *)b)->workdir);
}

static int compare_workdir(const void *key, const void *stray)
{
	return strcmp(key, ((const struct stray *)stray)->workdir);
}

static bool take_up_again(struct engine *e, const struct job *job, const struct stray *stray)
{
	struct job *now = job_copy(job);

	now->cancel_asked = false;
	now->ended_ns = 0;
	job_set(&now->error, "");
	job_set(&now->facts, "");
	pipeline_set_state(now, stray->state, "");
	if (engine_commit(e, now, "%s: it is in the queue again", stray->state) < 0)
		return false;
	engine_add_track(e, job->serial)->step = STEP_WATCH;
	return true;
}

/* COMPLETING, say, may be of the end that is known. */
static bool is_again(const struct job *job, const struct stray *stray)
{
	enum jobstate_class class = jobstate_class(job->state);

	return stray && (class == JOBSTATE_ENDED || class == JOBSTATE_LOST) && !strcmp(job->slurm_id, stray->id) &&
		jobstate_may_follow(job->state, stray->state);
}

bool requeued_look(struct engine *e, struct cycle *c)
{
	struct job *jobs[256];
	uint64_t after = 0;
	bool any = false;
	size_t n;

	if (!c->stray_count)
		return false;
	qsort(c->strays, c->stray_count, sizeof(*c->strays), by_workdir);
	do {
		n = model_list(e->model, after, jobs, 256);
		for (size_t i = 0; i < n; i++) {
			AUTO_JOB struct job *job = model_latest(e->model, jobs[i]->serial);
			const struct stray *stray = job && !engine_track(e, job->serial) ?
				bsearch(job->workdir, c->strays, c->stray_count, sizeof(*c->strays), compare_workdir) :
				NULL;

			if (is_again(job, stray))
				any |= take_up_again(e, job, stray);
			after = jobs[i]->serial;
			job_unref(jobs[i]);
		}
	} while (n == 256);
	return any;
}
