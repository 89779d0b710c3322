/*
 * One job's way through sbatch, at most once.
 *
 * The submit RPC of Slurm has no duplicate key, so the proof must be ours.  In the job's directory
 * on the cluster, for the attempt N that the store holds:
 *   .slurmount/taken-N      a directory; only who makes it may run sbatch for attempt N.  mkdir is
 *                           atomic on every file system, so of any number of copies of our command
 *                           (delayed, repeated, started before a cut) one runs sbatch at most.
 *   .slurmount/outcome-N    exit status, stdout, stderr of sbatch, put there by one rename.
 *
 * One process for all jobs of a command, in a session of its own, takes them one after another: makes
 * taken-N, runs sbatch, writes the outcome, says it.  It does not die with the connection; but once
 * nobody listens to it any more it ends behind the sbatch that runs, and leaves to the next command
 * what it has not taken.  So a command may simply be sent again after a lost answer: for each job
 * it finds the outcome, or sbatch still running, or nothing taken.
 *
 * A new N is begun (persisted first) only after outcome-N proved that Slurm took nothing, or after
 * reconcile.h proved it.  To revoke an attempt is to make taken-N oneself.
 */
#ifndef SLURMOUNT_SUBMIT_H
#define SLURMOUNT_SUBMIT_H

#include "command.h"

struct submit_item {
	const char *workdir; /* without a newline */
	unsigned attempt;
	/* Results. */
	enum {
		SUBMIT_NO_ANSWER, /* nothing about this one came back */
		SUBMIT_PENDING, /* sbatch runs or its outcome is not there (yet) */
		SUBMIT_OUTCOME, /* `outcome` is the outcome file's text */
		SUBMIT_GONE,    /* the job's directory is not there: stage again */
		SUBMIT_FAILED,  /* sbatch was not run: taken-N could not be made; `outcome` says why */
	} result;
	struct strbuf outcome;
};

/* Called in the thread of submit_run(), each time that answers came. */
typedef void (*submit_answered_fn)(void *arg);

/* Submits up to a few hundred jobs by one command, one sbatch after the other, no more than
 * `rate` a second (0: no limit).  The items get their results as they come, between two calls of
 * `answered` (NULL: nobody is told).  Blocks; 20 s of silence end it.  Returns 0, or remote.h's
 * errors or -EPROTO: then those that have no answer may have been submitted, too. */
int submit_run(const struct cluster *cluster, struct submit_item *items, size_t count,
	unsigned rate, submit_answered_fn answered, void *arg);

/* The same as a part of somebody's own script: the functions, and the command (at the end of a line
 * of its own) that tries `count` items, which must fit into the script.  What it prints is what
 * submit_read_answers() reads. */
void submit_add_functions(struct strbuf *script);
void submit_add_command(struct strbuf *script, const struct submit_item *items, size_t count,
	unsigned rate);
/* Puts the whole answers at the front of the text, which ends with a NUL, into the items; how many
 * bytes they took.  Pure. */
size_t submit_read_answers(const char *text, size_t len, struct submit_item *items, size_t count);

/* Revokes the attempt: 0: sbatch did not run for it and never will; -EALREADY: it was taken
 * before; -ENOENT: there is no such directory, so nothing can run; else an error, unknown. */
int submit_revoke(const struct cluster *cluster, const char *workdir, unsigned attempt);

#endif
