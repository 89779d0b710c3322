/*
 * What Slurm's commands say when they refuse, in words a scientist can act on.  The catalogue is
 * slurm_errors.tsv, compiled in.  Pure.
 */
#ifndef SLURMOUNT_SLURM_ERROR_H
#define SLURMOUNT_SLURM_ERROR_H

#include <stdbool.h>

#include "strbuf.h"

enum slurm_error_class {
	SLURM_ERROR_UNKNOWN,   /* in no catalogue */
	SLURM_ERROR_TRANSIENT,
	SLURM_ERROR_LIMIT,     /* a ceiling */
	SLURM_ERROR_QUOTA,     /* a budget that is spent */
	SLURM_ERROR_AUTH,      /* identity or entitlement, in Slurm's eyes */
	SLURM_ERROR_PERMANENT,
};

struct slurm_error_info {
	const char *message;     /* the catalogue's, with printf's slots; NULL: in no catalogue */
	const char *explanation; /* NULL: the words are in no catalogue */
	const char *remedy;
	enum slurm_error_class class;
	bool reconcile_first;    /* the job may be queued all the same */
	bool retry;              /* the same request may be taken later */
	bool wait;               /* ... when other jobs have ended: a limit on their number */
};

/* Classes the stderr of a failed command.  Words that are not known count as permanent: a person
 * should read them.  No word at all proves nothing: reconcile_first.  So does one line that leaves
 * it open, whatever the others say: an earlier try of sbatch's own may have been taken. */
void slurm_error_lookup(const char *stderr_text, struct slurm_error_info *ret);
/* Appends what happened, the likely cause, what to do, and Slurm's own words (escaped), as lines. */
void slurm_error_explain(const char *stderr_text, struct strbuf *out);

#endif
