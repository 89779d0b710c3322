/*
 * The options of sbatch that concern a batch job (Slurm 22.05 to 25.05), one table for config.ini, the
 * profile and users' own scripts.  Pure.
 */
#ifndef SLURMOUNT_SLURM_OPTION_H
#define SLURMOUNT_SLURM_OPTION_H

#include <stdbool.h>
#include <stddef.h>

#include "slurm_value.h"

enum slurm_arg { SLURM_ARG_NONE, SLURM_ARG_OPTIONAL, SLURM_ARG_REQUIRED };

/* Of one group only one option can be given. */
enum slurm_group { SLURM_ALONE, SLURM_GROUP_MEMORY, SLURM_GROUP_REQUEUE, SLURM_GROUP_SPECIAL };

struct slurm_option {
	const char *key; /* sbatch's long name with _ for - */
	char letter;     /* its short name, or '\0' */
	enum slurm_arg arg;
	enum slurm_type type; /* of its value */
	const char *choices;  /* of SLURM_CHOICE, separated by blanks */
	enum slurm_group group;
	const char *instead; /* not NULL: ours alone; a sentence that says what to use */
	/* Its values, separated by blanks, that ask for what is so anyway: a user's own script may have
	 * them.  "" is none, "*" any. */
	const char *idle;
};

/* The row of a key of exactly this spelling, or NULL. */
const struct slurm_option *slurm_option_find(const char *key);
/* The row of a short option, or NULL. */
const struct slurm_option *slurm_option_by_letter(char letter);
/* The row that sbatch takes a long option's `len` bytes for (without "--"): also an older name,
 * and an unambiguous beginning of one.  NULL where there is none. */
const struct slurm_option *slurm_option_of_sbatch(const char *name, size_t len);
/* The right key where `key` is a common wrong name, or near enough one to be a slip; else NULL. */
const char *slurm_option_suggest(const char *key);
/* The same where nothing else than a slip can be meant: a common wrong name, or two edits. */
const char *slurm_option_slip(const char *key);

/* The one of `count` names that is nearest to `name` by edits (case and - for _ count for nothing)
 * and near enough to be meant; NULL where none is. */
const char *name_nearest(const char *name, const char *const *names, size_t count);

#endif
