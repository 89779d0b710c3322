/* Jobs that wait for others.  The engine's own, and its thread's alone. */
#ifndef SLURMOUNT_CHAIN_H
#define SLURMOUNT_CHAIN_H

#include <stdint.h>

#include "jobspec.h"
#include "script.h"
#include "stageinput.h"

struct engine;
struct job;
struct chains;

/* Takes up a job that the model has and that may have to wait: by what the store kept of it, or
 * (`anew`, or where nothing is kept) by its config.ini and the names that jobs have now.  False where
 * it waits for none; else its track's step is the caller's to set. */
bool chain_add(struct engine *e, uint64_t serial, bool anew);
/* Whether the job's config.ini names jobs to wait for. */
bool chain_wanted(struct engine *e, const struct job *job);
void chain_drop(struct engine *e, uint64_t serial);
/* At the start, when all jobs are in the model: those that wait. */
void chain_load(struct engine *e);
/* The job's state is another, or it is new or removed: its children are looked at with the next
 * tick. */
void chain_changed(struct engine *e, const struct job *job, bool is_new);
/* Judges the children that a change concerns, and lets go on who can.  Local disk only. */
void chain_tick(struct engine *e);
/* Whether a job waits for this one, or is about to copy its files. */
bool chain_needs(struct engine *e, uint64_t parent);
/* NULL is fine. */
void chains_free(struct chains *chains);

/* What a job that goes on gets from those that it waited for. */
struct chain_gifts {
	struct script_parent *parents;
	size_t parent_count;
	struct stage_input *inputs;
	size_t input_count;
};
/* 0; -ENODATA with a sentence: a parent has no directory; -EIO: the store does not answer.  `ret` is
 * released by the caller in any case. */
int chain_place(struct engine *e, uint64_t serial, const struct jobspec *spec,
	struct chain_gifts *ret, struct strbuf *why);
void chain_gifts_release(struct chain_gifts *gifts);

#endif
