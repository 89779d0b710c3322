/*
 * What happened to an attempt whose answer was lost and whose outcome never appeared, or appeared and
 * does not tell (sbatch timed out, or was ended).
 *
 * First the attempt is revoked (submit.h): success proves that sbatch never ran.  Else sbatch was
 * allowed to run, and only evidence decides: the outcome after all, the claim that the batch script makes
 * first of all, the queue (by work directory, which no other job has but what this one queued itself), the
 * accounting.  "Not queued" needs all of them empty twice, at least 60 s apart, the first no sooner
 * than 660 s after the attempt was taken over there (sbatch is ended after 600), which may be long after
 * the command was sent; a query that failed is no evidence, nor an attempt that is neither taken nor revoked.
 * Where the job's directory is gone but the folder above it is there, nothing can be submitted from it any
 * more; then the same silence ends in REJECTED, and the user decides.
 */
#ifndef SLURMOUNT_RECONCILE_H
#define SLURMOUNT_RECONCILE_H

#include "engine_internal.h"

/* Starts a look for the track's job; its result moves the job on.  Engine thread; never blocks. */
void reconcile_start(struct engine *e, struct track *track);

#endif
