/* The files that a draft's own input for a simulation program asks for. */
#ifndef SLURMOUNT_DRAFTINPUTS_H
#define SLURMOUNT_DRAFTINPUTS_H

#include <stdbool.h>

#include "jobspec.h"
#include "strbuf.h"

struct draftinputs_request {
	int folder;       /* the draft's directory */
	const char *path; /* of the input in it */
	const char *program; /* one that draftinputs_knows() */
	/* The template's: for lammps `variables` has the command line's NAME VALUE pairs, for gromacs
	 * `mdp` names the file whose settings count. */
	const struct jobspec_pairs *values;
	void *arg;        /* of the functions; paths are relative to the draft and clean */
	bool (*exists)(void *arg, const char *path);
	/* Whether the absolute `path` is on the cluster: 1, 0, or -1 where that is not known. NULL: as
	 * if it always gave -1. */
	int (*on_cluster)(void *arg, const char *path);
	/* `path` is needed for certain; `by` says which line of which file asks for it. */
	void (*need)(void *arg, const char *path, const char *by);
	/* The same of a relative path, as the input has it, that leads out of the draft. */
	void (*outside)(void *arg, const char *path, const char *by);
};

/* Whether inputs of the program can be followed: namd, lammps, gromacs (topologies). */
bool draftinputs_knows(const char *program);
/* Follows the input and calls `need` or `outside` for every file it needs.  What may be needed and is not
 * there, what is taken to be on the cluster, and what only running it would tell is said in
 * `notes`, a line each.  Returns false where something of that kind keeps the list from being
 * complete.  Blocks on local disk. */
bool draftinputs_check(const struct draftinputs_request *request, struct strbuf *notes);

#endif
