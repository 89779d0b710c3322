/*
 * Open files of work/.  What is read comes from a window of blocks that are read ahead (workblock.h),
 * or, of a small file, from what was fetched with its neighbours (workfetch.c): then the file itself
 * is opened only if that turns out not to be enough.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "work.h"
#include "workblock.h"

struct work_handle {
	_Atomic unsigned references;
	struct work_dir *dir; /* of a directory, and then nothing below */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct remote_file *file; /* lock: set once by whoever opens it */
	bool opening;             /* lock */
	struct work_bytes *whole; /* lock: all of a small file */
	struct window *window;    /* lock */
};

static struct work_handle *handle_new(struct fs *fs, struct remote_file *file, struct work_dir *dir)
{
	struct work_handle *h = xcalloc(1, sizeof(*h));

	atomic_init(&h->references, 1);
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->changed, NULL);
	h->file = file;
	h->dir = dir;
	if (!dir)
		h->window = window_new(h, &h->lock, &h->changed, fs->clock, &fs->work->held);
	return h;
}

struct work_handle *work_handle_dir(bool walks)
{
	return handle_new(NULL, NULL, work_dir_new(walks));
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
	window_free(h->window);
	work_bytes_unref(h->whole);
	work_dir_free(h->dir);
	pthread_cond_destroy(&h->changed);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

/* ---- opening ---- */

static int open_there(struct work_task *task, struct remote_file **ret)
{
	AUTO_FREE char *path = work_path(task, NULL);

	return path ? remote_open(task->fs->remote, path, task->deadline, ret) : -ENOENT;
}

/* By what there is of it: one of the two. */
static void answer_open(struct work_task *task, struct work_bytes *whole, struct remote_file *file)
{
	struct work_nodes *nodes = task->fs->work->nodes;
	int64_t mtime_ns = whole ? whole->attr.mtime_ns : task->place.attr.mtime_ns;
	struct work_handle *h = handle_new(task->fs, file, NULL);

	h->whole = whole;
	if (!work_claim(task)) {
		work_handle_unref(h);
		return;
	}
	if (whole)
		work_nodes_note(nodes, task->ino, &whole->attr);
	/* Times there are whole seconds: within two of them a change may not show. */
	int64_t age_ns = clock_real_ns(task->fs->clock) - mtime_ns;
	task->fi.keep_cache = work_nodes_unchanged(nodes, task->ino) && age_ns > 2000000000;
	task->fi.noflush = 1;
	task->fi.fh = (uintptr_t)h;
	if (fuse_reply_open(task->req, &task->fi) == -ENOENT)
		work_handle_unref(h);
}

bool work_open_now(struct work_task *task)
{
	struct work_bytes *whole = work_fetch_want(task->fs->work->fetch, task);

	if (whole)
		answer_open(task, whole, NULL);
	return whole != NULL;
}

void work_task_open(struct work_task *task)
{
	struct work_bytes *whole = work_fetch_take(task->fs->work->fetch, task);
	struct remote_file *file = NULL;
	int r = whole ? 0 : open_there(task, &file);

	if (r < 0)
		work_fail(task, r);
	else
		answer_open(task, whole, file);
}

/* ---- reading ---- */

/* The whole of it, where that is young enough; the caller's reference. */
static struct work_bytes *whole_of(struct work_handle *h, struct work_task *task)
{
	WITH_LOCK(&h->lock);
	if (!h->whole)
		return NULL;
	bool young = clock_mono_ms(task->fs->clock) - h->whole->read_ms <= WORK_AGE_MS;
	bool enough = (uint64_t)task->off + task->size <= h->whole->len ||
		!task->place.seen || task->place.attr.size <= h->whole->len;
	if (!young || !enough) {
		work_bytes_unref(STEAL(h->whole));
		return NULL;
	}
	atomic_fetch_add(&h->whole->references, 1);
	return h->whole;
}

/* Opens the file there, if that has not happened yet; once, whoever comes first. */
static int have_file(struct work_handle *h, struct work_task *task)
{
	struct remote_file *file = NULL;
	int r = 0;

	pthread_mutex_lock(&h->lock);
	while (r == 0 && !h->file && h->opening)
		r = work_wait(task, &h->changed, &h->lock);
	bool open = r == 0 && !h->file;
	if (open)
		h->opening = true;
	pthread_mutex_unlock(&h->lock);
	if (!open)
		return r;
	r = open_there(task, &file);
	pthread_mutex_lock(&h->lock);
	h->opening = false;
	if (r == 0)
		h->file = file;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
	return r;
}

/* Waits for a part at `off`; its length, 0 at the end. */
static ssize_t part_at(struct work_handle *h, struct work_task *task, uint64_t off, size_t size,
	struct window_part *part)
{
	uint64_t known = task->place.seen ? task->place.attr.size : UINT64_MAX;
	bool planned = false;
	int r = 0;

	pthread_mutex_lock(&h->lock);
	while (r == 0) {
		enum window_state state = window_look(h->window, off, size, known, part);

		if (state == WINDOW_FAILED) {
			r = part->error;
			break;
		}
		if (!planned || state == WINDOW_ASK) {
			struct block *blocks = window_plan(h->window, off, size, known);

			planned = true;
			pthread_mutex_unlock(&h->lock);
			window_begin(blocks, h->file);
			pthread_mutex_lock(&h->lock);
		}
		if (state == WINDOW_END || state == WINDOW_READY)
			break;
		if (state == WINDOW_WAITING)
			r = work_wait(task, &h->changed, &h->lock);
	}
	pthread_mutex_unlock(&h->lock);
	if (r == -ETIMEDOUT)
		remote_is_late(task->fs->remote);
	return r < 0 ? r : part->block ? (ssize_t)part->len : 0;
}

static void put_part(struct work_handle *h, struct window_part *part)
{
	WITH_LOCK(&h->lock);
	if (part->block)
		window_put(part);
	part->block = NULL;
}

/* From several blocks, where one does not have it all. */
static void reply_parts(struct work_handle *h, struct work_task *task, struct window_part *part)
{
	AUTO_FREE char *bytes = xmalloc(task->size);
	ssize_t n = (ssize_t)part->len;
	size_t done = 0;

	while (n > 0) {
		memcpy(bytes + done, part->bytes, (size_t)n);
		done += (size_t)n;
		put_part(h, part);
		/* The last block ends with the file as it was seen: no question whether there is more. */
		bool more = done < task->size &&
			(!task->place.seen || (uint64_t)task->off + done < task->place.attr.size);
		n = more ? part_at(h, task, (uint64_t)task->off + done, task->size - done, part) : 0;
	}
	if (n < 0)
		work_fail(task, (int)n);
	else if (work_claim(task))
		fuse_reply_buf(task->req, bytes, done);
}

bool work_read_now(struct work_task *task)
{
	struct work_handle *h = task->handle;
	struct work_bytes *whole = whole_of(h, task);
	struct window_part part = {.block = NULL};

	if (whole) {
		fs_reply_part(task->req, whole->bytes, whole->len, task->size, task->off);
		work_bytes_unref(whole);
		return true;
	}
	pthread_mutex_lock(&h->lock);
	bool there = task->place.seen && window_has(h->window, (uint64_t)task->off, task->size,
		task->place.attr.size, &part);
	pthread_mutex_unlock(&h->lock);
	if (!there)
		return false;
	fuse_reply_buf(task->req, part.bytes, part.len);
	put_part(h, &part);
	return true;
}

void work_task_read(struct work_task *task)
{
	struct work_handle *h = task->handle;
	struct work_bytes *whole = whole_of(h, task);
	struct window_part part = {.block = NULL};

	if (whole) {
		if (work_claim(task))
			fs_reply_part(task->req, whole->bytes, whole->len, task->size, task->off);
		work_bytes_unref(whole);
		return;
	}
	ssize_t n = have_file(h, task);
	if (n == 0)
		n = part_at(h, task, (uint64_t)task->off, task->size, &part);
	if (n < 0) {
		work_fail(task, (int)n);
	} else if (n > 0 && (size_t)n < task->size) {
		reply_parts(h, task, &part);
	} else {
		if (work_claim(task))
			fuse_reply_buf(task->req, part.bytes, (size_t)n);
		put_part(h, &part);
	}
}
