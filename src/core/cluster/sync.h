/*
 * One state query for all jobs: the queue, in one command; then, for jobs that ended or are missing
 * there, the accounting, and the start and end records that their own batch scripts left, in a second.
 */
#ifndef SLURMOUNT_SYNC_H
#define SLURMOUNT_SYNC_H

#include "command.h"
#include "slurm_text.h"

struct sync_answer {
	bool queue_known;       /* squeue answered: a job that is not in it is not in the queue */
	struct strbuf queue;    /* for slurm_parse_squeue() */
	struct strbuf words;    /* stderr */
};

/* 0 or remote.h's errors, -EPROTO. */
int sync_queue(const struct cluster *cluster, struct sync_answer *ret);
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

struct sync_accounts {
	bool from_sacct;       /* else from scontrol */
	struct strbuf text;    /* for slurm_parse_sacct(), or a line each for slurm_parse_scontrol() */
	struct strbuf records; /* for sync_each_record(): "record UUID.start LEN\n" and LEN bytes, repeated */
};

#define SYNC_ACCOUNTS_INIT ((struct sync_accounts){.text = STRBUF_INIT, .records = STRBUF_INIT})
#define AUTO_ACCOUNTS CLEANUP(sync_accounts_release)

/* Asks the accounting, and where there is none, scontrol, for `jobs`: a line "ID UUID" each; `records` is
 * the folder of their records.  0 or an error. */
int sync_accounts(const struct cluster *cluster, const char *records, const struct strbuf *jobs,
	struct sync_accounts *ret);
void sync_accounts_release(struct sync_accounts *answer);
/* Takes apart what that command printed, into an empty answer.  0 or -EPROTO.  Pure. */
int sync_read_accounts(const struct command_result *result, struct sync_accounts *ret);

#endif
