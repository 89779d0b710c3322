/*
 * The files of jobs/NAME/: names, modes and contents.  Pure, but for the texts that the store keeps
 * (config.ini, script.sbatch, log), whose sizes are in the job and whose bytes are asked of it.
 */
#ifndef SLURMOUNT_JOBFILE_H
#define SLURMOUNT_JOBFILE_H

#include "job.h"

struct store;

/* "status" and so on. */
const char *jobfile_name(enum job_file file);
/* The file of that name, or JOB_FILE_COUNT. */
enum job_file jobfile_by_name(const char *name);
/* Permission bits now: 0444; 0644 for ctl, and for config.ini while the job is REJECTED. */
unsigned jobfile_mode(const struct job *job, enum job_file file);
/* Bytes, exactly what jobfile_render() would give. */
uint64_t jobfile_size(const struct job *job, enum job_file file);
/* Appends the content.  May read the database (local disk), never the network.
 * Returns 0 or a negative errno. */
int jobfile_render(const struct job *job, enum job_file file, struct store *store,
	struct strbuf *ret);
/* Sets file_ns (and state_ns) of `now`, an unpublished version, for every file whose content
 * differs from that in `before`; what did not change keeps its time.  `before` may be NULL.
 * Returns the changed files as bits. */
unsigned jobfile_touch(const struct job *before, struct job *now, int64_t real_ns);

#endif
