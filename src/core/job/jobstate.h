/*
 * The states of a job: ours before Slurm has it, Slurm's own words after.  One table; a word that is
 * not in it is shown as Slurm said it and counts as active, since no unknown word proves an end.
 */
#ifndef SLURMOUNT_JOBSTATE_H
#define SLURMOUNT_JOBSTATE_H

#include <stdbool.h>
#include <stddef.h>

#include "job.h"

enum jobstate_class {
	JOBSTATE_BEFORE, /* Slurm does not have it: WAITING, STAGING, SUBMITTING, REJECTED */
	JOBSTATE_ACTIVE, /* Slurm has it, and it has not ended */
	JOBSTATE_ENDED,
	JOBSTATE_LOST,   /* UNKNOWN */
};

/* What ctl takes, as bits. */
enum jobstate_verb {
	JOBSTATE_VERB_CANCEL = 1 << 0,
	JOBSTATE_VERB_SYNC = 1 << 1,
	JOBSTATE_VERB_RESUBMIT = 1 << 2,
	JOBSTATE_VERB_HOLD = 1 << 3,
	JOBSTATE_VERB_RELEASE = 1 << 4,
	JOBSTATE_VERB_REQUEUE = 1 << 5,
	JOBSTATE_VERB_RETRIEVE = 1 << 6,
	JOBSTATE_VERB_DISCARD = 1 << 7,
};

/* The verbs that verbs.c acts on; the others are named, and never listed as possible. */
#define JOBSTATE_VERBS_DONE (JOBSTATE_VERB_CANCEL | JOBSTATE_VERB_SYNC | JOBSTATE_VERB_RESUBMIT | \
	JOBSTATE_VERB_HOLD | JOBSTATE_VERB_RELEASE | JOBSTATE_VERB_REQUEUE | JOBSTATE_VERB_RETRIEVE | \
	JOBSTATE_VERB_DISCARD)

enum jobstate_class jobstate_class(const char *word);
/* The words of the table, numbered from 0; a word that is not in it has the number of their count. */
unsigned jobstate_count_known(void);
unsigned jobstate_number(const char *word);
const char *jobstate_word(unsigned number);
/* The verbs that are possible in that state, of JOBSTATE_VERBS_DONE. */
unsigned jobstate_verbs(const char *word);
/* Those of them that make sense, for ctl to list: of a job that waits in the queue its reason tells
 * whether it is held.  Before the reason is known both are taken. */
unsigned jobstate_verbs_listed(const char *word, const char *reason);
/* The verb of the bit 1 << `index`, or NULL behind the last. */
const char *jobstate_verb_name(unsigned index);

/* The first word of what Slurm prints ("CANCELLED by 1000") into `word`.  0, or -EINVAL where it is
 * no state at all, or one that was cut ("CANCELLED+"). */
int jobstate_from_slurm(const char *text, size_t len, char word[JOB_STATE_SIZE]);

/* Whether a job that was `from` can be `to`; false marks an answer as stale.  A state may follow
 * itself.  Steps that fell between two looks are allowed, such as an end that a requeue undid. */
bool jobstate_may_follow(const char *from, const char *to);

/* So many tasks of an array in one state. */
struct jobstate_count {
	const char *word;
	size_t count;
};

/* The word for an array job of such tasks, from the table, or NULL where there are none.  While a
 * task is active RUNNING if one holds nodes, else PENDING; after that the first bad end, UNKNOWN
 * where a task is lost and none ended badly, or COMPLETED. */
const char *jobstate_summary(const struct jobstate_count *counts, size_t n);

#endif
