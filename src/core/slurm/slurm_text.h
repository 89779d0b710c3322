/*
 * What Slurm's commands print -> records.  Pure; any bytes are safe, what does not parse is refused
 * or skipped, never guessed.
 */
#ifndef SLURMOUNT_SLURM_TEXT_H
#define SLURMOUNT_SLURM_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "job.h"

/* The fields of a record are separated by this byte; the name, which may hold it, comes last. */
#define SLURM_SEPARATOR "\x1f"
#define SLURM_ID_SIZE 24

/* A part of the parsed text; not terminated, not owned. */
struct span {
	const char *text;
	size_t len;
};

/* An id in any of Slurm's forms: N, N_M, N_[1-10%2], N+O, and each with .STEP behind. */
struct slurm_id {
	char job[SLURM_ID_SIZE]; /* N: the job, the array or the leader */
	int64_t task;            /* M, or -1 */
	int64_t component;       /* O of a heterogeneous job, or -1 */
	struct span tasks;       /* "1-10%2": tasks that still wait as one; empty for none */
	struct span step;        /* "batch", "extern", "0"; empty for none */
};
/* Appends a duration in one form, [D-]HH:MM:SS or UNLIMITED: squeue writes 1:00 where sacct has
 * 00:01:00.  What is no duration is appended as it is, escaped. */
void slurm_add_duration(struct strbuf *b, struct span text);
/* 0, or -EINVAL where the whole text is no id. */
int slurm_parse_id(const char *text, size_t len, struct slurm_id *ret);

/* Tasks first, first + step, ... up to last. */
struct slurm_range {
	uint32_t first;
	uint32_t last;
	uint32_t step;
};
/* Takes the next range off the front of an id's `tasks`.  1; 0 at the end, which may be a %LIMIT;
 * -EINVAL for what is no list of tasks, or one that Slurm cut short ("1,2,..."). */
int slurm_tasks_next(struct span *tasks, struct slurm_range *ret);

struct slurm_record {
	char id[SLURM_ID_SIZE];     /* the job's, without task or step: an array's tasks share it */
	char raw_id[SLURM_ID_SIZE]; /* Slurm's own number of this task or component */
	int64_t task;               /* -1 for none */
	int64_t component;          /* of a heterogeneous job; -1 for none */
	struct span tasks;          /* where one record stands for many tasks: see slurm_tasks_next() */
	char state[JOB_STATE_SIZE];
	struct span workdir;
	struct span user;
	struct span reason;
	struct span nodes;
	struct span partition;
	struct span account;
	struct span qos;
	struct span time_limit;
	struct span elapsed;
	struct span cpus;
	struct span req_mem;        /* as asked for: 4G, up to 20.11 4Gn or 4Gc; from sacct alone */
	struct span max_rss;        /* of its largest step; from sacct alone */
	struct span node_count;
	struct span name;
	int64_t submit_s;           /* since 1970, 0 unknown */
	int64_t start_s;            /* expected, while it is PENDING */
	int64_t end_s;              /* by its time limit, while it runs */
	int exit_code;              /* -1: not told */
	int signal;                 /* -1: not told */
	int derived_exit_code;      /* the highest of its steps; -1: not told */
};

typedef void (*slurm_record_fn)(void *arg, const struct slurm_record *record);

/* For `squeue -h -o`, with or without -r; the environment has SLURM_TIME_FORMAT=%s and
 * SLURM_BITSTR_LEN=0. */
extern const char slurm_squeue_format[];
void slurm_parse_squeue(const char *text, size_t len, slurm_record_fn each, void *arg);
/* For `sacct -n -P --delimiter=SEPARATOR -o`, steps included: a step that ran out of memory makes
 * its failed job's state OUT_OF_MEMORY.  With -D only the newest record of a job is given. */
extern const char slurm_sacct_format[];
void slurm_parse_sacct(const char *text, size_t len, slurm_record_fn each, void *arg);
/* One line of `scontrol -a show job -o ID`. 0 or -EINVAL. */
int slurm_parse_scontrol(const char *line, size_t len, struct slurm_record *ret);

/* The text between the lines "NONCE begin" and "NONCE rc=N", and N.  The newline that ends the text
 * is not part of it.  -EPROTO where they are not. */
int slurm_frame_find(const char *out, size_t len, const char *nonce, const char **body,
	size_t *body_len, int *rc);

/* The job id in what sbatch printed: "123", "123;cluster" or "Submitted batch job 123 [on cluster
 * foo]" as a whole line, whatever stands around it.  -EINVAL for none or several. */
int slurm_parse_sbatch(const char *text, size_t len, char *id, size_t id_size, char *cluster,
	size_t cluster_size);

/* The outcome file of submit.c: "exit N\nstdout LEN\n<bytes>\nstderr LEN\n<bytes>\n". */
struct slurm_outcome {
	int exit_status;
	const char *out;
	size_t out_len;
	const char *err;
	size_t err_len;
};
/* 0, or -EINVAL, also for a text that was cut. */
int slurm_parse_outcome(const char *text, size_t len, struct slurm_outcome *ret);

/* The start or end record that the batch script writes: lines "KEY VALUE". */
struct slurm_endrecord {
	int exit_status;  /* -1: none */
	char signal[16];  /* "" for none */
	char job[SLURM_ID_SIZE];
	int restart;
	int64_t time_s;
	char node[64];
};
/* What does not parse whole is as if it were not there: "exit 1" of a text cut there could have been
 * 12.  Only the node may be without its newline. */
void slurm_parse_endrecord(const char *text, size_t len, struct slurm_endrecord *ret);

#endif
