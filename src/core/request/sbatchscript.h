/*
 * A user's own batch script: its interpreter, and the #SBATCH lines that Slurm would obey.  Pure.
 */
#ifndef SLURMOUNT_SBATCHSCRIPT_H
#define SLURMOUNT_SBATCHSCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "jobspec.h"
#include "strbuf.h"

struct sbatchscript_option {
	char *text; /* as jobspec_add_option takes it: "--time=10", "-t 10", "-N2" */
	int line;
};

struct sbatchscript {
	bool is_batch;     /* begins with #! and has a leading #SBATCH line */
	char *interpreter; /* the first line behind "#!", or NULL */
	struct sbatchscript_option *options;
	size_t option_count;
	int *ignored; /* lines with #SBATCH after the first command, which Slurm ignores */
	size_t ignored_count;
	bool crlf;    /* lines end as on DOS: Slurm refuses such a script */
	bool has_nul; /* a NUL byte: Slurm refuses it as well */
};

/* Reads a script of any bytes.  Always 0; `*ret` is to be released with sbatchscript_release. */
int sbatchscript_parse(const char *bytes, size_t len, struct sbatchscript *ret);
void sbatchscript_release(struct sbatchscript *script);
/* Adds the options that `spec` does not decide itself; of a repeated one the last counts, as with
 * sbatch.  A long option that is not known here may be a plugin's of the cluster, and is taken over
 * as it stands: `notes` says so in a "line N: ..." line, as of what asks for nothing else than is so
 * anyway.  Returns 0, or -EINVAL with such lines in `why`, the rest being applied. */
int sbatchscript_apply(struct jobspec *spec, const struct sbatchscript *script,
	struct strbuf *notes, struct strbuf *why);

#endif
