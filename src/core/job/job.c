#include "job.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "jobstate.h"
#include "tasks.h"

/* What most strings of most jobs are: shared, since there may be 100,000 jobs. */
static char empty[1];

/* Every string of a job, for what must be done to all of them. */
static char **string_of(struct job *job, unsigned index)
{
	char **const strings[] = {&job->name, &job->slurm_id, &job->workdir, &job->records,
		&job->stdout_path, &job->stderr_path, &job->reason, &job->facts, &job->error,
		&job->progress, &job->project_dir, &job->results, &job->owner};

	return index < sizeof(strings) / sizeof(*strings) ? strings[index] : NULL;
}

struct job *job_new(void)
{
	struct job *job = xcalloc(1, sizeof(*job));
	char **string;

	atomic_init(&job->references, 1);
	for (unsigned i = 0; (string = string_of(job, i)); i++)
		*string = empty;
	return job;
}

struct job *job_copy(const struct job *job)
{
	struct job *copy = xmalloc(sizeof(*copy));
	size_t counted = offsetof(struct job, serial);
	char **string;

	/* Not the count, which other threads change meanwhile. */
	memcpy((char *)copy + counted, (const char *)job + counted, sizeof(*copy) - counted);
	atomic_init(&copy->references, 1);
	for (unsigned i = 0; (string = string_of(copy, i)); i++)
		*string = **string ? xstrdup(*string) : empty;
	tasks_ref(copy->tasks);
	return copy;
}

struct job *job_ref(const struct job *job)
{
	struct job *counted = (struct job *)job;

	atomic_fetch_add_explicit(&counted->references, 1, memory_order_relaxed);
	return counted;
}

void job_unref(const struct job *job)
{
	struct job *counted = (struct job *)job;
	char **string;

	if (!job || atomic_fetch_sub_explicit(&counted->references, 1, memory_order_acq_rel) > 1)
		return;
	for (unsigned i = 0; (string = string_of(counted, i)); i++)
		if (*string != empty)
			free(*string);
	tasks_unref(counted->tasks);
	free(counted);
}

void job_set_tasks(struct job *job, const struct tasks *tasks)
{
	tasks_unref(job->tasks);
	job->tasks = tasks;
}

bool job_keeps(const struct job *job)
{
	enum jobstate_class class = jobstate_class(job->state);

	/* One that never was Slurm's has no results. */
	return *job->project_dir && *job->slurm_id && !*job->owner && !job->kept && !job->discarded &&
		!job->purged &&
		(class == JOBSTATE_ENDED || class == JOBSTATE_LOST);
}

void job_set(char **field, const char *value)
{
	char *old = *field;

	*field = value && *value ? xstrdup(value) : empty;
	if (old != empty)
		free(old);
}
