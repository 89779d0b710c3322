/* jobs/NAME/tasks, for jobdir.c and the notifier. */
#ifndef SLURMOUNT_TASKDIR_H
#define SLURMOUNT_TASKDIR_H

#include "fs.h"

/* The attributes of tasks/ itself; false where the job is no array. */
bool taskdir_attr(struct fs *fs, const struct job *job, struct stat *ret);
/* All else of the job's directory has been removed: its tasks/ is shown empty. */
bool taskdir_is_hidden(struct fs *fs, const struct job *job);
/* The notifier's thread, no lock held: the kernel forgets what differs between two shown versions of a job
 * (or `all`; `before` may be NULL), as long as stopping() says no. */
void taskdir_forget(struct fs *fs, const struct job *before, const struct job *now, bool all,
	bool (*stopping)(void *arg), void *arg);

#endif
