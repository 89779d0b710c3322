/*
 * The tasks of an array job, and what is known of each.  One that has been published with its job is
 * counted, shared between the job's versions, and never changed; others are their maker's alone.
 * Pure.
 *
 * Which tasks there are the directive --array tells; which state each has, the one query for all
 * jobs.  In memory a task is a few numbers; in the store an array is one text, whose lines stand for
 * runs of tasks that are alike.
 */
#ifndef SLURMOUNT_TASKS_H
#define SLURMOUNT_TASKS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "jobstate.h"
#include "slurm_text.h"
#include "strbuf.h"

/* Slurm's own bound of MaxArraySize is 4,000,001. */
#define TASKS_MAX_ID 4000001
#define TASKS_WORDS 40

enum task_seen {
	TASK_QUEUED = 1,    /* squeue knows it */
	TASK_ACCOUNTED = 2, /* sacct or scontrol does */
	TASK_RECORDED = 4,  /* its own end record does */
};

struct task {
	uint32_t id;
	uint32_t job_id;     /* Slurm's own number of it; 0 until it has one of its own */
	uint32_t start_s;    /* since 1970; 0 unknown */
	uint32_t end_s;
	uint32_t changed_s;  /* any of these, since 1970; 0 never */
	int16_t exit_code;   /* -1: not told */
	int16_t signal;
	uint8_t word;        /* of tasks.words; 0: none of its own yet */
	/* Of the one who asks alone, neither stored nor shown. */
	uint8_t seen;        /* in this query: enum task_seen */
	bool record_signal;  /* its end record names a signal */
	int16_t record_exit;
	uint16_t told;       /* by hints: twice the newest run that told something, and 1 if its end; 0: nothing */
	uint32_t missing_s;  /* first query that did not know it, of the monotonic clock; 0: known */
};

struct tasks {
	_Atomic unsigned references;
	size_t count, capacity;
	struct task *items;       /* by id */
	char *output, *error;     /* the patterns; no error: it goes where output does */
	char *job_name, *user;    /* for them */
	unsigned word_count;
	char words[TASKS_WORDS][JOB_STATE_SIZE]; /* [0] is "" */
};

/* The tasks that a script of ours asks for, with one reference; NULL where it is no array's. */
struct tasks *tasks_of_script(const char *script, const char *user);
/* Of an array whose script is not ours: none yet. */
struct tasks *tasks_new(void);
struct tasks *tasks_copy(const struct tasks *tasks);
const struct tasks *tasks_ref(const struct tasks *tasks);
/* NULL is fine. */
void tasks_unref(const struct tasks *tasks);

/* The task, or NULL. */
const struct task *tasks_find(const struct tasks *tasks, uint64_t id);
/* Its word: its own or, as long as it has none, what the word of its job says of it. */
const char *tasks_word(const struct tasks *tasks, const struct task *task, const char *job_word);
/* The path of its output (or its error), absolute, the caller's to free; NULL while it is not known. */
char *tasks_output(const struct tasks *tasks, const struct task *task, bool error,
	const char *workdir, const char *array_id);

/* ---- for watch.c: one query ---- */

/* Ahead of it, in a copy. */
void tasks_begin(struct tasks *tasks);
/* What the queue, and behind it the accounting, says of a task or of several that wait. */
void tasks_see_queued(struct tasks *tasks, const struct slurm_record *record);
void tasks_see_accounted(struct tasks *tasks, const struct slurm_record *record);
void tasks_see_record(struct tasks *tasks, uint64_t id, const struct slurm_endrecord *record);
/* The start or end record of its `run`, from 1, was written just now: one that had not ended is RUNNING, or
 * COMPLETING.  True where that is new: it may be told again, and in any order. */
bool tasks_see_hint(struct tasks *tasks, uint64_t id, int run, bool is_end);
/* Behind a query: what hints have told of the tasks as they are in `known` stays where the query is late: one
 * that is COMPLETING runs no more, and (`older`: it was sent before the hints came) one that runs waits
 * no more. */
void tasks_keep_hints(struct tasks *tasks, const struct tasks *known, bool older);
/* Whether the accounting is to be asked: a task is in no queue, or all have ended. */
bool tasks_want_accounts(const struct tasks *tasks);
/* Whether a task has left no trace in both, and is not known to have ended. */
bool tasks_want_records(const struct tasks *tasks);
/* Behind it: for a task that has been missing for `lag_s` its own end record decides; without one its
 * word stays, and after `lost_s` it is UNKNOWN.  `now_s` is the monotonic clock's. */
void tasks_settle(struct tasks *tasks, uint32_t now_s, uint32_t lag_s, uint32_t lost_s,
	bool cancel_asked);
/* The word for all of them, of jobstate_summary(); one without a word counts as PENDING. */
const char *tasks_summary(const struct tasks *tasks);
/* Appends "tasks = 3 COMPLETED, 1 FAILED\n". */
void tasks_add_counts(const struct tasks *tasks, struct strbuf *ret);
/* Sets the time of those that differ from `before` (NULL: all); whether any does.  `*transient`: what
 * is neither stored nor shown differs. */
bool tasks_stamp(struct tasks *now, const struct tasks *before, int64_t real_ns, bool *transient);
/* Whether two are shown alike. */
bool task_same(const struct tasks *a, const struct task *x, const struct tasks *b,
	const struct task *y);

/* Gives a task, where there is one of that id, its word; nothing else of it is known then. */
void tasks_set_word(struct tasks *tasks, uint64_t id, const char *word);

/* ---- for a job's record on the cluster: taskwords.c ---- */

/* Appends a line "WORD 0-3,7" for each word, of up to `max` bytes together: what is beyond is left out. */
void tasks_print_words(const struct tasks *tasks, size_t max, struct strbuf *ret);
/* Gives the tasks that such a line names its word.  0, or -EINVAL where it is none. */
int tasks_take_words(struct tasks *tasks, const char *line);

/* ---- for the store ---- */

void tasks_print(const struct tasks *tasks, struct strbuf *ret);
/* NULL for a text that tasks_print() has not made, or an empty one. */
struct tasks *tasks_parse(const char *text, size_t len);

#endif
