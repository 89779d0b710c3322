/*
 * What drafts ask of the cluster: would sbatch take this script, is this path there.  Drafts put
 * the questions and read the answers, the engine has them asked (askwatch.c).  An answer stays in
 * force until a newer one comes.  Any thread; one internal mutex; nothing blocks.
 */
#ifndef SLURMOUNT_CLUSTERASK_H
#define SLURMOUNT_CLUSTERASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "strbuf.h"

struct clusterask;

enum ask_kind { ASK_SCRIPT, ASK_PATH };

struct ask_answer {
	bool asking;      /* the cluster is being asked, or is to be */
	bool known;
	bool yes;         /* where known: sbatch would take it; there is such a file */
	int64_t asked_ns; /* where known */
};

struct clusterask *clusterask_new(void);
void clusterask_free(struct clusterask *ask);

/* Whether questions are taken, as they are at first: without it what has no answer gets none, and
 * all that was not answered is given up.  Returns whether that is a change. */
bool clusterask_open(struct clusterask *ask, bool open);

/* The answer, with what sbatch said (a script that it would not take) appended to `words`.  A
 * question whose answer was asked for before `since_ns` (CLOCK_REALTIME), or failed, is put. */
struct ask_answer clusterask_get(struct clusterask *ask, enum ask_kind kind, const char *text,
	int64_t since_ns, struct strbuf *words);

/* ---- for the engine ---- */

#define ASK_KEY_SIZE 32

struct ask_question {
	enum ask_kind kind;
	unsigned char key[ASK_KEY_SIZE]; /* SHA-256 of the text */
	char *text;
	/* The answer: `known` false where none came. */
	bool known, yes;
	char *words;
};

/* Up to `max` questions that were put, which are under way from now on: the caller's. */
struct ask_question *clusterask_take(struct clusterask *ask, size_t max, size_t *count);
/* Takes over the questions with their answers, asked for at `asked_ns`. */
void clusterask_settle(struct clusterask *ask, struct ask_question *questions, size_t count,
	int64_t asked_ns);

#endif
