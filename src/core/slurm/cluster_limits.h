/*
 * What a cluster says of its partitions, nodes, accounts and QOS: parsed, shown as tables, and
 * compared with a job's request.  Pure.  (Not limits.h, which is the C library's.)
 *
 * The text is an outside one: what does not parse is as if it were not told, and what is not told
 * limits nothing.
 */
#ifndef SLURMOUNT_CLUSTER_LIMITS_H
#define SLURMOUNT_CLUSTER_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "strbuf.h"

/* No limit, or none that was told. */
#define LIMITS_NONE INT64_C(-1)

struct limits_partition {
	char *name;
	char *state;            /* Slurm's word: UP, DOWN, DRAIN, INACTIVE; "" where not told */
	bool is_default, hidden, root_only, needs_reservation;
	int64_t max_time_s;
	int64_t default_time_s;
	int64_t max_nodes, min_nodes, total_nodes;
	int64_t total_cpus, max_cpus_per_node;
	int64_t max_mem_per_node; /* MiB */
	char *allow_groups;     /* names separated by commas; NULL: all */
	char *allow_accounts, *deny_accounts, *allow_qos, *deny_qos;
	char *qos;              /* the partition's own, or NULL */
};

/* Nodes of one partition that are alike. */
struct limits_nodes {
	char *partition;
	int64_t cpus;           /* of each, LIMITS_NONE where not told */
	int64_t memory;         /* MiB */
	bool more_cpus, more_memory; /* Slurm says at least so much */
	char *gres;             /* as sinfo has it: "gpu:a100:4(S:0-1)"; "" for none */
	char *features;         /* separated by commas */
	char *state;            /* "idle", "down*" ... */
	int64_t count;
};

/* What the user may do under one account. */
struct limits_assoc {
	char *account;
	char *partition;        /* "" for all */
	char *qos;              /* those that may be used, separated by commas */
	char *default_qos;
	int64_t max_wall_s, max_jobs, max_submit;
	char *max_tres, *grp_tres;
};

struct limits_qos {
	char *name;
	char *flags;
	int64_t max_wall_s, max_jobs, max_submit;
	char *max_tres, *max_tres_user, *grp_tres, *min_tres;
};

struct limits {
	_Atomic unsigned refs;
	int64_t asked_ns;
	char *user;             /* who asked, "" where not told */
	char *default_account;  /* "" where not told */
	char *groups;           /* separated by commas, "" where not told */
	/* The exit status of the command that tells each; -1: it was not asked. */
	int partitions_status, nodes_status, assocs_status, qos_status;
	struct limits_partition *partitions;
	size_t partition_count;
	struct limits_nodes *nodes;
	size_t nodes_count;
	struct limits_assoc *assocs;
	size_t assoc_count;
	struct limits_qos *qos;
	size_t qos_count;
};

/* The answer of limits_query(): never fails, the caller's first reference. */
struct limits *limits_parse(const char *text, size_t len, int64_t asked_ns);
struct limits *limits_ref(struct limits *limits);
void limits_unref(struct limits *limits); /* NULL is fine */

const struct limits_partition *limits_partition(const struct limits *limits, const char *name,
	size_t len);
/* Whether `name` is one of `list`, names separated by commas; case counts for nothing, as in Slurm. */
bool limits_in_list(const char *list, const char *name);

/* One entry of a node's gres. */
struct limits_gres {
	char name[64];
	char type[64];          /* "" for none */
	int64_t count;
};
/* Takes the next one off the front of `*at`; false at the end. */
bool limits_next_gres(const char **at, struct limits_gres *ret);

/* How one partition meets the user, in one word without blanks: "yes", "no:drain", "no:account",
 * "no:group", "no:qos", "no:root-only", "reservation", "waits:down"; "unknown" where the cluster
 * does not tell enough. */
const char *limits_access(const struct limits *limits, const struct limits_partition *partition);

/* ---- tables for people: cluster/partitions, cluster/limits, cluster/queue ---- */

/* `limits` NULL: not asked for yet. */
void limits_render_partitions(const struct limits *limits, struct strbuf *ret);
void limits_render_limits(const struct limits *limits, struct strbuf *ret);
/* Of squeue's answer in slurm_squeue_format: the user's jobs that have not ended. */
void limits_render_queue(const char *text, size_t len, int64_t asked_ns, struct strbuf *ret);
/* "512000" MiB is "500G"; "?" where not told. */
void limits_add_memory(struct strbuf *b, int64_t mebibytes);
/* "1-00:00:00"; "unlimited" for LIMITS_NONE. */
void limits_add_time(struct strbuf *b, int64_t seconds);

#endif
