/*
 * One job's way through sbatch, at most once.
 *
 * The submit RPC of Slurm has no duplicate key, so the proof must be ours.  In the job's directory
 * on the cluster, for the attempt N that the store holds:
 *   .slurmount/taken-N      a directory; only who makes it may run sbatch for attempt N.  mkdir is
 *                           atomic on every file system, so of any number of copies of our command
 *                           (delayed, repeated, started before a cut) one runs sbatch at most.
 *   .slurmount/outcome-N    exit status, stdout, stderr of sbatch, put there by one rename.
 * sbatch runs in a process of its own that does not die with the connection.  The command may
 * therefore simply be sent again after a lost answer: it finds the outcome, or sbatch still running.
 * A new N is begun (persisted first) only after outcome-N proved that Slurm took nothing, or after
 * reconcile.h proved it.  To revoke an attempt is to make taken-N oneself.
 */
#ifndef SLURMOUNT_SUBMIT_H
#define SLURMOUNT_SUBMIT_H

#include "command.h"

struct submit_item {
	const char *workdir;
	unsigned attempt;
	/* Results. */
	enum {
		SUBMIT_PENDING, /* sbatch runs or its outcome is not there (yet) */
		SUBMIT_OUTCOME, /* `outcome` is the outcome file's text */
		SUBMIT_GONE,    /* the job's directory is not there: stage again */
		SUBMIT_NO_ANSWER, /* nothing about this one came back */
	} result;
	struct strbuf outcome;
};

/* Submits up to a few hundred jobs by one command, one sbatch after the other, no more than
 * `rate` a second (0: no limit).  Returns 0 where any answer came (each item has its result), else
 * remote.h's errors or -EPROTO, and then nothing is known of any. */
int submit_run(const struct cluster *cluster, struct submit_item *items, size_t count,
	unsigned rate);

/* Takes the results out of what the command printed, `text`, which ends with a NUL.  Pure. */
void submit_read_answers(struct submit_item *items, size_t count, const char *text, size_t len);

/* Revokes the attempt: 0: sbatch did not run for it and never will; -EALREADY: it was taken
 * before; -ENOENT: there is no such directory, so nothing can run; else an error, unknown. */
int submit_revoke(const struct cluster *cluster, const char *workdir, unsigned attempt);

#endif
