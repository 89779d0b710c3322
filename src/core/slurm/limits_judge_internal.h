/* What the files limits_judge*.c share and nobody else uses. */
#ifndef SLURMOUNT_LIMITS_JUDGE_INTERNAL_H
#define SLURMOUNT_LIMITS_JUDGE_INTERNAL_H

#include "limits_judge.h"

/* A request in numbers; LIMITS_NONE where nothing is said. */
struct judge {
	const struct limits_request *request;
	const struct limits *limits;
	const char *time_key;
	int64_t time_s;             /* INT64_MAX: UNLIMITED */
	int64_t nodes, most_nodes;
	int64_t tasks, cpus_per_task, tasks_per_node; /* 1 where nothing is said */
	const char *account, *qos;  /* NULL where it is not known */
};

/* The product, INT64_MAX where that is no room for it. */
int64_t limits_times(int64_t a, int64_t b);

/* limits_judge_nodes.c: each returns the key that no node of the partition satisfies, with a
 * sentence in `why` (NULL: none is wanted), or NULL where it fits or nothing is known. */
const char *limits_fit_cpus(const struct judge *j, const struct limits_partition *p,
	struct strbuf *why);
const char *limits_fit_memory(const struct judge *j, const struct limits_partition *p,
	struct strbuf *why);
const char *limits_fit_gres(const struct judge *j, const struct limits_partition *p,
	struct strbuf *why);
const char *limits_fit_features(const struct judge *j, const struct limits_partition *p,
	struct strbuf *why);

#endif
