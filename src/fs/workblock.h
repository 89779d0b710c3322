/*
 * Reading ahead in one open file of work/: blocks that are under way or there.  What counts on a long
 * line is how much is under way at once, so the further somebody reads in order, the more blocks are
 * asked for before they are wanted.  Nothing given out is older than WORK_AGE_MS: `tail -f` follows.
 *
 * A window is part of its handle, and under the handle's lock but where it says otherwise.
 */
#ifndef SLURMOUNT_WORKBLOCK_H
#define SLURMOUNT_WORKBLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "remote.h"

struct block;
struct work_handle;

struct window {
	struct work_handle *handle; /* referred to by each read under way */
	pthread_mutex_t *lock;
	pthread_cond_t *changed; /* a read has ended */
	const struct clock *clock;
	struct block *blocks;
	uint64_t reached; /* the end of what was read furthest in order */
	uint64_t edge;    /* the end of what was asked for in order */
	unsigned ahead;   /* blocks; 0: it is not read in order */
	_Atomic uint64_t *held; /* no lock: bytes of the blocks of all windows */
};

struct window *window_new(struct work_handle *h, pthread_mutex_t *lock, pthread_cond_t *changed,
	const struct clock *clock, _Atomic uint64_t *held);
/* Without a lock: nobody refers to the handle any more. */
void window_free(struct window *w);

enum window_state {
	WINDOW_READY,   /* a part is there */
	WINDOW_WAITING, /* until `changed` */
	WINDOW_ASK,     /* window_plan() it */
	WINDOW_END,     /* of the file */
	WINDOW_FAILED,  /* see `error`; asked for anew the next time */
};

struct window_part {
	struct block *block; /* to be window_put() */
	const char *bytes;
	size_t len; /* may be less than was asked for, also before the end */
	int error;
};

/* What there is for a read; `known` is the file's size as last seen. */
enum window_state window_look(struct window *w, uint64_t off, size_t size, uint64_t known,
	struct window_part *ret);
void window_put(struct window_part *part);
/* The whole part, where it is there and nothing has to be planned. */
bool window_has(struct window *w, uint64_t off, size_t size, uint64_t known, struct window_part *ret);
/* What has to be begun for a read: what is wanted, and what will be. */
struct block *window_plan(struct window *w, uint64_t off, size_t size, uint64_t known);
/* Without a lock: begins it; NULL is fine. */
void window_begin(struct block *planned, struct remote_file *file);

#endif
