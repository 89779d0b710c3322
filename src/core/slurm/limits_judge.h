/* A job's request against what its cluster says of itself.  Pure. */
#ifndef SLURMOUNT_LIMITS_JUDGE_H
#define SLURMOUNT_LIMITS_JUDGE_H

#include "cluster_limits.h"
#include "jobspec.h"

struct limits_request {
	const struct jobspec *spec; /* with the script's options and the defaults */
	size_t own;         /* so many of its [slurm] pairs, the first ones, are config.ini's */
	const char *script; /* the draft's own script, whose pairs follow; or NULL */
};

/* Appends to `broken` a line for each limit that no waiting mends, "config.ini:LINE: KEY: what is
 * wrong; which partitions would take the job", and to `waits` a line for each reason why it would
 * have to wait.  What the cluster has not told limits nothing.  What a QOS lifts is not looked at,
 * nor how strictly Slurm is configured: only Slurm itself knows whether it would refuse. */
void limits_judge(const struct limits_request *request, const struct limits *limits,
	struct strbuf *broken, struct strbuf *waits);

#endif
