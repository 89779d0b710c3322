/*
 * Open files of work/.  Over a line of 40 ms what counts is how much one question brings: a handle
 * reads ahead, more once it is read in order.  What was read ahead is young and within the size
 * last seen, or it is asked for again: `tail -f` follows.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "work.h"

#define AHEAD_FIRST (1u << 20)
#define AHEAD_MORE (4u << 20)
#define AHEAD_AGE_MS 2000

struct work_handle {
	_Atomic unsigned references;
	struct work_dir *dir; /* of a directory, and then nothing below */
	struct remote_file *file;
	pthread_mutex_t lock; /* held while the cluster is asked: a handle is one thread's at a time */
	char *ahead;          /* lock */
	size_t capacity;      /* lock */
	size_t len;           /* lock */
	uint64_t start;       /* lock: the offset of its first byte */
	int64_t read_ms;      /* lock: when */
	bool in_order;        /* lock: the last question went on where the one before ended */
};

static struct work_handle *handle_new(struct remote_file *file, struct work_dir *dir)
{
	struct work_handle *h = xcalloc(1, sizeof(*h));

	atomic_init(&h->references, 1);
	pthread_mutex_init(&h->lock, NULL);
	h->file = file;
	h->dir = dir;
	return h;
}

struct work_handle *work_handle_dir(void)
{
	return handle_new(NULL, work_dir_new());
}

struct work_dir *work_handle_listing(struct work_handle *h)
{
	return h->dir;
}

struct work_handle *work_handle_ref(struct work_handle *h)
{
	atomic_fetch_add(&h->references, 1);
	return h;
}

void work_handle_unref(struct work_handle *h)
{
	if (!h || atomic_fetch_sub(&h->references, 1) > 1)
		return;
	if (h->file)
		remote_close(h->file);
	work_dir_free(h->dir);
	pthread_mutex_destroy(&h->lock);
	free(h->ahead);
	free(h);
}

/* ---- opening ---- */

void work_task_open(struct work_task *task)
{
	struct work_nodes *nodes = task->fs->work->nodes;
	AUTO_FREE char *path = work_path(task, NULL);
	struct work_handle *h;
	struct remote_file *file;
	int r = path ? remote_open(task->fs->remote, path, task->deadline, &file) : -ENOENT;

	if (r < 0) {
		work_fail(task, r);
		return;
	}
	h = handle_new(file, NULL);
	if (!work_claim(task)) {
		work_handle_unref(h);
		return;
	}
	/* Times there are whole seconds: within two of them a change may not show. */
	int64_t age_ns = clock_real_ns(task->fs->clock) - task->place.attr.mtime_ns;
	task->fi.keep_cache = work_nodes_unchanged(nodes, task->ino) && age_ns > 2000000000;
	task->fi.noflush = 1;
	task->fi.fh = (uintptr_t)h;
	if (fuse_reply_open(task->req, &task->fi) == -ENOENT)
		work_handle_unref(h);
}

/* ---- reading; under the handle's lock ---- */

/* Whether what is there answers the question, given the file's size as last seen. */
static bool have(const struct work_handle *h, uint64_t off, size_t size, uint64_t known,
	int64_t now_ms)
{
	uint64_t end = h->start + h->len;

	if (!h->len || off < h->start || off >= end || now_ms - h->read_ms > AHEAD_AGE_MS)
		return false;
	return off + size <= end || end >= known;
}

static int fetch(struct work_task *task, struct work_handle *h, uint64_t off, size_t size)
{
	/* The kernel asks for several parts at a time, so they may come a little out of order. */
	bool goes_on = h->len && off + AHEAD_FIRST >= h->start + h->len &&
		off <= h->start + h->len + AHEAD_FIRST;
	size_t most = off == 0 ? AHEAD_FIRST : goes_on ? h->in_order ? AHEAD_MORE : AHEAD_FIRST : 0;
	ssize_t n;

	if (most < size)
		most = size;
	h->in_order = goes_on;
	h->len = 0;
	if (h->capacity < most) {
		free(h->ahead);
		h->ahead = xmalloc(most);
		h->capacity = most;
	}
	n = remote_pread(h->file, h->ahead, most, off, task->deadline);
	if (n < 0)
		return (int)n;
	h->start = off;
	h->len = (size_t)n;
	h->read_ms = clock_mono_ms(task->fs->clock);
	return 0;
}

void work_task_read(struct work_task *task)
{
	struct work_handle *h = task->handle;
	uint64_t off = (uint64_t)task->off;
	uint64_t known = task->place.seen ? task->place.attr.size : UINT64_MAX;

	WITH_LOCK(&h->lock);
	int r = 0;
	if (!have(h, off, task->size, known, clock_mono_ms(task->fs->clock)))
		r = fetch(task, h, off, task->size);
	if (r < 0)
		work_fail(task, r);
	else if (work_claim(task))
		fs_reply_part(task->req, h->ahead, h->len, task->size, (off_t)(off - h->start));
}
