/*
 * One state query for all jobs: the queue, and the start and end records that the jobs' own batch
 * scripts left, in one command; then, for jobs that ended or are missing there, the accounting in a
 * second.
 */
#ifndef SLURMOUNT_SYNC_H
#define SLURMOUNT_SYNC_H

#include "command.h"
#include "slurm_text.h"

struct sync_answer {
	bool queue_known;       /* squeue answered: a job that is not in it is not in the queue */
	struct strbuf queue;    /* for slurm_parse_squeue() */
	struct strbuf records;  /* "record UUID.start LEN\n" and LEN bytes, repeated */
	struct strbuf words;    /* stderr */
};

/* `uuids`: a line each, of the jobs whose records are wanted.  0 or remote.h's errors, -EPROTO. */
int sync_queue(const struct cluster *cluster, const char *records, const struct strbuf *uuids,
	struct sync_answer *ret);
void sync_answer_release(struct sync_answer *answer);
/* Takes apart what that command printed, into an empty answer.  0 or -EPROTO.  Pure. */
int sync_read_queue(const struct command_result *result, struct sync_answer *ret);

typedef void (*sync_record_fn)(void *arg, const char *uuid, bool is_end,
	const struct slurm_endrecord *record);
void sync_each_record(const struct strbuf *records, sync_record_fn each, void *arg);

/* The end records that tasks of arrays left; `uuids`: a line each, of the arrays.  `ret` is text for
 * sync_each_task_record(): "record UUID_TASK.end LEN\n" and LEN bytes, repeated.  0 or an error. */
int sync_task_records(const struct cluster *cluster, const char *records,
	const struct strbuf *uuids, struct strbuf *ret);
typedef void (*sync_task_record_fn)(void *arg, const char *uuid, uint64_t task,
	const struct slurm_endrecord *record);
void sync_each_task_record(const struct strbuf *records, sync_task_record_fn each, void *arg);

/* Asks the accounting for `ids` (a line each), and where there is none, scontrol. `ret` is text for
 * slurm_parse_sacct() if `*from_sacct`, else a line each for slurm_parse_scontrol(). 0 or an error;
 * -EAGAIN: neither could be asked now. */
int sync_accounts(const struct cluster *cluster, const struct strbuf *ids, bool *from_sacct,
	struct strbuf *ret);

#endif
