/* A draft's request against its cluster's limits, and what sbatch itself says where one is broken. */
#ifndef SLURMOUNT_DRAFTLIMITS_H
#define SLURMOUNT_DRAFTLIMITS_H

#include "clusterinfo.h"
#include "limits_judge.h"

struct draftlimits {
	struct clusterinfo *cluster;
	struct limits_request request;
	const char *preview; /* the batch script */
	int64_t since_ns;    /* older answers of sbatch's are asked for again */
	/* Results. */
	bool held;           /* sbatch says that it would never take it */
	bool asking;         /* ... or is still being asked whether it would */
	int64_t answer_ns;   /* when sbatch was asked what holds it; 0: never */
};

/* What holds the draft, or may hold it, is said in `problems`, the rest in `notes`, a line each.
 * Nothing blocks. */
void draftlimits_check(struct draftlimits *d, struct strbuf *problems, struct strbuf *notes);

#endif
