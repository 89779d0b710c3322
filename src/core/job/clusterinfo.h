/*
 * What the mount knows of its cluster besides the jobs: its limits, and the texts of cluster/.  The
 * engine writes, file operations and drafts read.  Any thread; one internal mutex, held for a copy.
 */
#ifndef SLURMOUNT_CLUSTERINFO_H
#define SLURMOUNT_CLUSTERINFO_H

#include "cluster_limits.h"

struct clusterinfo;

enum cluster_table { CLUSTER_PARTITIONS, CLUSTER_LIMITS, CLUSTER_QUEUE, CLUSTER_TABLE_COUNT };

struct clusterask;

struct clusterinfo *clusterinfo_new(void);
void clusterinfo_free(struct clusterinfo *info);

/* Takes over the reference; renders its two tables. */
void clusterinfo_set_limits(struct clusterinfo *info, struct limits *limits);
/* A reference of the caller's, or NULL: they were never told. */
struct limits *clusterinfo_limits(struct clusterinfo *info);
/* What drafts ask of the cluster: the clusterinfo's own. */
struct clusterask *clusterinfo_ask(struct clusterinfo *info);
/* The text of squeue that limits_render_queue() takes. */
void clusterinfo_set_queue(struct clusterinfo *info, const char *text, size_t len, int64_t asked_ns);

/* Appends the table's text; `*asked_ns` is when the cluster was asked, 0: never. */
void clusterinfo_table(struct clusterinfo *info, enum cluster_table table, struct strbuf *ret,
	int64_t *asked_ns);

#endif
