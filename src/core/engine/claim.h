/*
 * Two jobs of Slurm's for one directory: sbatch queued one without saying so, and another attempt
 * was made.  Their batch scripts decide between them, by the claim that only one can make
 * (script_wrapper.h); here the claim's job is made the store's, and the other is cancelled, which would
 * end at once by itself.  Before there is a claim nothing is done: to cancel one then could hit the
 * one that is about to run.
 */
#ifndef SLURMOUNT_CLAIM_H
#define SLURMOUNT_CLAIM_H

#include "engine_internal.h"

/* Asks whose the claim is, since `rival` is another id that was seen for the directory of `job`, and acts
 * on it.  Nothing where an earlier question is under way.  Engine thread; never blocks. */
void claim_settle(struct engine *e, struct track *track, const struct job *job, const char *rival);

#endif
