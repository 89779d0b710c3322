/*
 * A job's request: config.ini read, checked and typed (contract, section 5).  Pure: bytes in, a
 * request and messages out.
 *
 * Every value here has been checked: a typed one is in the canonical form that Slurm takes; a free
 * text holds no control character.  Nothing of it has been quoted yet.
 */
#ifndef SLURMOUNT_JOBSPEC_H
#define SLURMOUNT_JOBSPEC_H

#include <stdbool.h>
#include <stddef.h>

#include "strbuf.h"

#define JOB_NAME_MAX 64

/* One `key = value` in the order of the file. */
struct jobspec_pair {
	char *key;
	char *value;
	int line;
};

struct jobspec_pairs {
	struct jobspec_pair *items;
	size_t count;
};

enum jobspec_kind { JOBSPEC_NONE, JOBSPEC_COMMAND, JOBSPEC_SCRIPT, JOBSPEC_TEMPLATE };

struct jobspec {
	char *name;             /* [job] name, or NULL */
	enum jobspec_kind kind; /* what [job] names; NONE is an error unless a user's script is given */
	char *command;          /* JOBSPEC_COMMAND: a shell command line of the user's own */
	char *script;           /* JOBSPEC_SCRIPT: a path within the draft */
	char *template_name;    /* JOBSPEC_TEMPLATE */
	int template_line;      /* where config.ini says so; 0: nowhere */
	char **files;           /* [job] files, NULL-terminated, or NULL */
	bool manual;            /* [job] submit = manual */
	char *after;            /* checked form "ok:NAME,any:NAME,..." or NULL */
	struct jobspec_pairs inputs;      /* [inputs] */
	struct jobspec_pairs slurm;       /* key: sbatch's long option with _; value canonical;
	                                   * a flag that is on has the value "" */
	struct jobspec_pairs slurm_off;   /* keys of flags set to `no`, which defaults must not set */
	struct jobspec_pairs modules;     /* key: "load", "use", or "purge" (value "yes"/"no") */
	struct jobspec_pairs environment; /* NAME = value, with $NAME to be expanded at run time */
	struct jobspec_pairs variables;   /* the section named like the template, unchecked */
};

/* Reads `text`.  Returns 0, or -EINVAL with one line per problem appended to `why`:
 * "config.ini:LINE: KEY: what is wrong; what is allowed (did you mean X?)".
 * `*ret` is the caller's to free in both cases (as far as it could be read). */
int jobspec_parse(const char *text, size_t len, struct jobspec **ret, struct strbuf *why);
/* An empty request, for a user's own batch script without config.ini. */
struct jobspec *jobspec_new(void);
void jobspec_free(struct jobspec *spec);

/* Checks and adds one option in sbatch's own spelling ("--time=10", "-t 10", "-N2"), as the leading
 * #SBATCH lines of a user's script have them; an option already there stays (config.ini wins).
 * Unlike in config.ini, a bare memory number means megabytes and every time form is taken.
 * Returns 0, or -EINVAL with a sentence; -ENOTSUP for an option that is ours alone. */
int jobspec_add_option(struct jobspec *spec, const char *option, int line, struct strbuf *why);
/* Adds the profile's [defaults], [modules] and [environment] where the job says nothing. */
void jobspec_add_defaults(struct jobspec *spec, const struct jobspec *defaults);
/* The value of a [slurm] key, or NULL. */
const char *jobspec_slurm(const struct jobspec *spec, const char *key);

/* Whether `name` may name a job: [A-Za-z0-9][A-Za-z0-9._-]{0,63} and not "new".
 * Returns 0, -ENAMETOOLONG or -EINVAL. */
int jobspec_check_name(const char *name);

/* One key of one section ("job", "inputs", "slurm", "modules", "environment"), as config.ini has it.
 * Returns 0, or -EINVAL with a sentence without place and key.  Whether a [job] key is repeated is
 * for the caller to know. */
int jobspec_set(struct jobspec *spec, const char *section, const char *key, const char *value,
	int line, struct strbuf *why);
/* An option in sbatch's own spelling: its row, and its checked value, the caller's to free.
 * Returns as jobspec_add_option does. */
struct slurm_option;
int jobspec_read_option(const char *option, const struct slurm_option **row, char **value,
	struct strbuf *why);
/* Whether the job already says something of `row` or of what excludes it. */
bool jobspec_decides(const struct jobspec *spec, const struct slurm_option *row);

/* The clean form of a path within a job's directory ("./a//b" is "a/b"), the caller's to free, or
 * NULL: it is absolute, leaves the directory, is .slurmount's or holds control characters. */
char *jobspec_clean_path(const char *path);

const struct jobspec_pair *jobspec_pairs_find(const struct jobspec_pairs *pairs, const char *key);
/* Removes all of `key`. */
void jobspec_pairs_remove(struct jobspec_pairs *pairs, const char *key);
void jobspec_pairs_add(struct jobspec_pairs *pairs, const char *key, const char *value, int line);
void jobspec_pairs_free(struct jobspec_pairs *pairs);

#endif
