#include "job.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "jobstate.h"
#include "tasks.h"

/* What most strings of most jobs are: shared, since there may be 100,000 jobs. */
static char empty[1];

/* The others are counted, in front of their bytes: versions of a job share what is the same in them. */
struct text {
	_Atomic unsigned references;
	char bytes[];
};

static struct text *text_of(char *string)
{
	return (struct text *)(string - offsetof(struct text, bytes));
}

static char *text_new(const char *value)
{
	size_t size = strlen(value) + 1;
	struct text *text = xmalloc(sizeof(*text) + size);

	atomic_init(&text->references, 1);
	memcpy(text->bytes, value, size);
	return text->bytes;
}

static char *text_ref(char *string)
{
	if (string != empty)
		atomic_fetch_add_explicit(&text_of(string)->references, 1, memory_order_relaxed);
	return string;
}

static void text_unref(char *string)
{
	if (string != empty && atomic_fetch_sub_explicit(&text_of(string)->references, 1,
		memory_order_acq_rel) == 1)
		free(text_of(string));
}

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
		text_ref(*string);
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
		text_unref(*string);
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

	/* The value may be a part of the old one. */
	*field = value && *value ? text_new(value) : empty;
	text_unref(old);
}

static void share(char **field, char *with)
{
	if (*field == with || strcmp(*field, with) != 0)
		return;
	text_unref(*field);
	*field = text_ref(with);
}

void job_share(struct job *job, const struct job *like)
{
	share(&job->stderr_path, job->stdout_path);
	if (!like)
		return;
	for (unsigned i = 0; string_of(job, i); i++)
		share(string_of(job, i), *string_of((struct job *)like, i));
}
