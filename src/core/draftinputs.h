/* The files that a draft's own input for a simulation program asks for. */
#ifndef SLURMOUNT_DRAFTINPUTS_H
#define SLURMOUNT_DRAFTINPUTS_H

#include <stdbool.h>

#include "strbuf.h"

struct draftinputs_request {
	int folder;       /* the draft's directory */
	const char *path; /* of the input in it */
	void *arg;        /* of the functions; paths are relative to the draft and clean */
	bool (*exists)(void *arg, const char *path);
	/* `path` is needed for certain; `by` says which line of which file asks for it. */
	void (*need)(void *arg, const char *path, const char *by);
};

/* Follows the input and calls `need` for every file it needs.  What may be needed and is not
 * there, what is taken to be on the cluster, and what only running it would tell is said in
 * `notes`, a line each.  Returns false where something of that kind keeps the list from being
 * complete.  Blocks on local disk. */
bool draftinputs_check(const struct draftinputs_request *request, struct strbuf *notes);

#endif
