/* A queue of byte chunks between two threads; the user brings the lock. */
#ifndef SLURMOUNT_CHUNKQ_H
#define SLURMOUNT_CHUNKQ_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

struct chunk {
	struct chunk *next;
	size_t start; /* the first byte not yet taken */
	size_t len;
	char data[];
};

struct chunkq {
	struct chunk *head, *tail;
	size_t bytes;
};

/* An empty chunk with room for `size` bytes, the caller's until it is pushed. */
static inline struct chunk *chunk_new(size_t size)
{
	struct chunk *c = xmalloc(sizeof(*c) + size);

	c->next = NULL;
	c->start = 0;
	c->len = 0;
	return c;
}

/* Takes ownership of `c`. */
static inline void chunkq_push(struct chunkq *q, struct chunk *c)
{
	if (q->tail)
		q->tail->next = c;
	else
		q->head = c;
	q->tail = c;
	q->bytes += c->len - c->start;
}

/* The first chunk, the caller's to free; NULL where the queue is empty. */
static inline struct chunk *chunkq_pop(struct chunkq *q)
{
	struct chunk *c = q->head;

	if (!c)
		return NULL;
	q->head = c->next;
	if (!q->head)
		q->tail = NULL;
	c->next = NULL;
	q->bytes -= c->len - c->start;
	return c;
}

/* Copies up to `size` bytes out and forgets them; 0 where the queue is empty. */
static inline size_t chunkq_read(struct chunkq *q, void *buffer, size_t size)
{
	size_t done = 0;

	while (done < size && q->head) {
		struct chunk *c = q->head;
		size_t n = c->len - c->start;

		if (n > size - done)
			n = size - done;
		memcpy((char *)buffer + done, c->data + c->start, n);
		c->start += n;
		q->bytes -= n;
		done += n;
		if (c->start == c->len)
			free(chunkq_pop(q));
	}
	return done;
}

static inline void chunkq_clear(struct chunkq *q)
{
	while (q->head)
		free(chunkq_pop(q));
}

#endif
