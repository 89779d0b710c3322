/*
 * One round of state queries, and what it learned of each job.  Its making and its end are the engine
 * thread's; cycle_run() is a lane's, which shares nothing with it.
 */
#ifndef SLURMOUNT_CYCLE_H
#define SLURMOUNT_CYCLE_H

#include "engine_internal.h"
#include "slurm_text.h"
#include "tasks.h"

/* What one cycle learned of one job. */
struct sight {
	struct job *job;                /* as it was when the cycle began */
	uint64_t before;                /* what the queue said of it last, as a number; 0: not told */
	uint64_t now;                   /* ... and says now */
	char id[24];
	char rival[24];                 /* another id that has its directory, see claim.h; "" for none */
	bool rival_queued;              /* squeue has that one */
	bool queued;                    /* squeue knows it */
	bool accounted;                 /* sacct or scontrol knows it */
	struct tasks *tasks;            /* of an array: what is known of each; NULL: it is none */
	char state[JOB_STATE_SIZE];
	char *reason, *facts;           /* NULL, too, where the queue says the same as before */
	int exit_code, signal;
	bool started, ended;            /* by its own records */
	struct slurm_endrecord start, end;
};

/* What is active in the queue, below scratch, and is none of the jobs that were asked for. */
struct stray {
	char id[SLURM_ID_SIZE];
	char state[JOB_STATE_SIZE];
	char *workdir;
};

struct cycle {
	struct engine *engine;
	struct sight *sights;
	struct sight **by_uuid;
	size_t count;
	struct stray *strays;
	size_t stray_count, stray_capacity;
	char *scratch;
	char *records;
	char *user;
	int64_t sent_ms;
	int result;
	bool queue_known;
	struct strbuf words;
};

/* With room for `most` jobs. */
struct cycle *cycle_new(struct engine *e, size_t most);
/* `before`: the sight's `now` of an earlier cycle that changed nothing since; 0 for none. */
void cycle_add(struct cycle *c, struct job *job, uint64_t before);
/* Asks the cluster.  Blocks. */
void cycle_run(struct cycle *c);
void cycle_free(struct cycle *c);

/* requeued.c: takes up jobs at their end that the queue shows again; whether there was any. */
bool requeued_look(struct engine *e, struct cycle *c);

#endif
