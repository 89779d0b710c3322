/*
 * A job's record on the cluster, by which another machine, or one that lost its database, finds it.
 *
 * Two small texts of lines `key = value` in the .slurmount folder of the job's own directory, on
 * scratch and in project:
 *   record   whose it is: written while staging, never changed
 *   state    how it ended: written after the end, and again when a requeue undid that
 * Slurm's id is not in the first: sbatch's outcome and the claim tell it (submit.h).  Pure; what is read
 * may be anything, and what is not well-formed as a whole is refused.
 */
#ifndef SLURMOUNT_JOBRECORD_H
#define SLURMOUNT_JOBRECORD_H

#include "installation.h"
#include "job.h"
#include "jobspec.h"

#define JOBRECORD_MAX 8192 /* bytes of a text, 4096 of them for a path */

struct jobrecord {
	char installation[INSTALLATION_ID_SIZE];
	char owner[INSTALLATION_OWNER_SIZE];
	char name[JOB_NAME_MAX + 1];
	char uuid[JOB_UUID_SIZE];
	int64_t created_s;
	char *project_dir;         /* "" for none */
};

struct jobrecord_state {
	char uuid[JOB_UUID_SIZE];
	char slurm_id[24];
	char state[JOB_STATE_SIZE];
	int64_t ended_s;           /* 0: not ended */
	bool kept;
	bool discarded;
	char *facts;               /* as in struct job */
	char *tasks;               /* of an array: tasks_take_words()' lines */
};

/* Appends the record of `job`. */
void jobrecord_write(const struct job *job, const struct installation *installation,
	struct strbuf *ret);
void jobrecord_write_state(const struct job *job, struct strbuf *ret);

/* 0, or -EINVAL with nothing to release.  Released by the caller after 0. */
int jobrecord_parse(const char *text, size_t len, struct jobrecord *ret);
int jobrecord_parse_state(const char *text, size_t len, struct jobrecord_state *ret);
void jobrecord_release(struct jobrecord *record);
void jobrecord_state_release(struct jobrecord_state *state);

#endif
