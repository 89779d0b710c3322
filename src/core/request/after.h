/*
 * For which other jobs a job waits ([job] after, and the jobs that [inputs] names): what config.ini
 * asks for, bound to jobs by their serials, and what the state of such a job says.  Pure.
 */
#ifndef SLURMOUNT_AFTER_H
#define SLURMOUNT_AFTER_H

#include <stddef.h>
#include <stdint.h>

#include "jobspec.h"

enum after_kind {
	AFTER_OK,     /* NAME: it must have COMPLETED */
	AFTER_ANY,    /* any:NAME: it must have ended */
	AFTER_FAILED, /* failed:NAME: it must have ended otherwise than COMPLETED */
};

struct after_item {
	enum after_kind kind;
	char *name;      /* of the parent, as the child's config.ini has it */
	uint64_t parent; /* its serial, once a job had that name; 0 before */
};

struct after_list {
	struct after_item *items;
	size_t count;
};

/* Whether the request waits for any job. */
bool after_wanted(const struct jobspec *spec);
/* What it waits for, in the order of the file, each once; a job that only [inputs] names must have
 * COMPLETED.  Unbound. */
void after_from_spec(const struct jobspec *spec, struct after_list *ret);
/* The list as the store keeps it: lines "KIND SERIAL NAME". */
void after_print(const struct after_list *list, struct strbuf *ret);
/* 0, or -EINVAL for a text that after_print() did not make; `ret` is then empty. */
int after_parse(const char *text, size_t len, struct after_list *ret);
void after_release(struct after_list *list);

/* "ok", "any", "failed". */
const char *after_word(enum after_kind kind);

enum after_verdict {
	AFTER_WAIT,  /* it has not ended */
	AFTER_GO,
	AFTER_NEVER, /* as it stands, this cannot come true; a requeue or a resubmission may change it */
};
/* By the parent's state, which no word but Slurm's own proof makes an end: UNKNOWN waits for ever
 * and is AFTER_NEVER. */
enum after_verdict after_judge(enum after_kind kind, const char *state);

/* The job of an input JOB:PATH, the caller's to free, and where PATH begins; NULL for a path on the
 * cluster. */
char *after_input_job(const char *value, const char **path);

#endif
