/* The files of jobs/NAME/tasks/N/ that have content: names and texts.  Pure. */
#ifndef SLURMOUNT_TASKFILE_H
#define SLURMOUNT_TASKFILE_H

#include "job.h"
#include "tasks.h"

enum task_file { TASK_FILE_STATUS, TASK_FILE_SLURM_ID, TASK_FILE_INFO, TASK_FILE_COUNT };

/* "status" and so on. */
const char *taskfile_name(enum task_file file);
/* Appends the content for a task of the job's. */
void taskfile_render(const struct job *job, const struct task *task, enum task_file file,
	struct strbuf *ret);
/* When that last changed, since 1970. */
int64_t taskfile_ns(const struct job *job, const struct task *task, enum task_file file);
/* Whether tasks/N of that task, which both versions have, is the same in both. */
bool taskfile_same(const struct job *before, const struct task *old, const struct job *now,
	const struct task *task);

#endif
