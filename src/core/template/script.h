/*
 * The batch script: request -> bytes.  Pure.
 *
 * The wrapper: #SBATCH lines, the claim, the start record, modules, environment, then the user's
 * body as a child in the background, its signals forwarded, the end record, exit with its status.
 * Values are data: they stand at the top as quoted shell words, and the body names variables.
 */
#ifndef SLURMOUNT_SCRIPT_H
#define SLURMOUNT_SCRIPT_H

#include "jobspec.h"
#include "strbuf.h"

struct template;

/* Exit statuses of the wrapper's own, none of which a body gives in the usual course. */
enum {
	SCRIPT_EXIT_PARENT = 118,   /* a job that this one waited for is not what it was then */
	SCRIPT_EXIT_CLAIMED = 120,  /* another job holds the directory: this one is the surplus one */
	SCRIPT_EXIT_NO_CLAIM = 121, /* the directory is gone or cannot be written to */
	SCRIPT_EXIT_MODULE = 122,   /* a module could not be loaded */
};

/* A job that this one waited for, for one more look when it starts. */
struct script_parent {
	char *name;
	char *record;     /* absolute on the cluster: RECORDS/UUID, without .end or _TASK.end */
	const char *want; /* "ok", "any" or "failed" */
};

struct script_place {
	const char *uuid;    /* of the job */
	const char *name;    /* of the job: --job-name where [slurm] has none */
	const char *workdir; /* absolute path on the cluster; the preview has a readable placeholder */
	const char *records; /* absolute folder on the cluster for UUID.start and UUID.end */
	const struct template *template; /* for JOBSPEC_TEMPLATE, loaded */
	const struct script_parent *parents;
	size_t parent_count;
};

/* Appends the batch script to `ret`.  `body_line` is, for JOBSPEC_SCRIPT, the interpreter line of
 * the user's script without "#!" (NULL: none, run by /bin/sh), which runs from its own file.
 * Returns 0, or -EINVAL with the template's problems, a line each, in `why`. */
int script_render(const struct jobspec *spec, const struct script_place *place,
	const char *body_line, struct strbuf *ret, struct strbuf *why);
/* The last look before a script is sent: every #SBATCH line is one that the request asked for.
 * Returns 0 or -EINVAL with a sentence. */
int script_verify(const struct jobspec *spec, const struct script_place *place, const char *script,
	size_t len, struct strbuf *why);

#endif
