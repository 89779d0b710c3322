/*
 * Typed values of a Slurm request: what a person may write, turned into the one form that is handed
 * to Slurm.  Pure.
 */
#ifndef SLURMOUNT_SLURM_VALUE_H
#define SLURMOUNT_SLURM_VALUE_H

#include <stdbool.h>

#include "strbuf.h"

#define SLURM_VALUE_MAX 4096

enum slurm_type {
	SLURM_FLAG,     /* yes or no */
	SLURM_YESNO,    /* "yes" or "no", handed on as a word */
	SLURM_TIME,     /* [D-]HH:MM:SS or UNLIMITED */
	SLURM_MEMORY,   /* 64G, 0 */
	SLURM_COUNT,    /* 1, 2, ... */
	SLURM_INDEX,    /* 0, 1, ... */
	SLURM_INTEGER,  /* with a sign, too */
	SLURM_NODES,    /* N or N-M */
	SLURM_GPUS,     /* N or TYPE:N, several separated by commas */
	SLURM_WORD,     /* a name */
	SLURM_WORDS,    /* names separated by commas */
	SLURM_HOSTS,    /* node01,node[02-04] */
	SLURM_ARRAY,    /* 0-9,20-40:2%5 */
	SLURM_BEGIN,    /* a point in time */
	SLURM_LICENSES, /* name[@db][:count],... */
	SLURM_GRES,     /* name[[:type]:count],... */
	SLURM_FEATURES, /* a constraint */
	SLURM_MAIL,     /* mail types */
	SLURM_ADDRESS,  /* whom to mail */
	SLURM_SIGNAL,   /* [B:]USR1[@60] */
	SLURM_SWITCHES, /* N[@TIME] */
	SLURM_CHOICE,   /* one of the words that the option's row lists */
	SLURM_SPEC,     /* a list of Slurm's own making: safe characters */
	SLURM_PATH,     /* a file name pattern */
	SLURM_TEXT,     /* anything without control characters */
};

/* Checks `text` (of SLURM_CHOICE: against `choices`, separated by blanks) and gives its canonical
 * form in `*ret`, the caller's to free.  `as_sbatch` takes what sbatch takes: a bare memory number,
 * any time.  Returns 0, or -EINVAL with "what is wrong; what is allowed" appended to `why`. */
int slurm_value_check(enum slurm_type type, const char *choices, const char *text, bool as_sbatch,
	char **ret, struct strbuf *why);
/* The seconds that a time of any of Slurm's forms means, -1 where it is UNLIMITED, or -EINVAL. */
long long slurm_value_seconds(const char *text);
/* The mebibytes, rounded up, that a memory size means (a bare number is mebibytes), or -EINVAL. */
long long slurm_value_mebibytes(const char *text);
/* yes, true, on, 1: 1.  no, false, off, 0: 0.  Else -EINVAL. */
int slurm_value_yes(const char *text);
/* Whether `text` holds a control character. */
bool slurm_value_has_control(const char *text);
/* Appends `text` for a message, between quotes, escaped, and cut where it is long. */
void slurm_value_quote(struct strbuf *b, const char *text);

#endif
