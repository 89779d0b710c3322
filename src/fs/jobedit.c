/*
 * What the files of jobs/NAME hold, and the two that can be written: ctl, and config.ini while the
 * job is REJECTED.  What is written is collected in the handle; the engine judges it, and its
 * answer is that of the write (ctl, at the end of a line) or of the close.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "jobdir.h"

#define CTL_MAX 256
#define CONFIG_MAX (1u << 20)

struct handle {
	uint64_t serial;
	enum job_file file;
	pthread_mutex_t lock;
	struct strbuf text; /* lock: the line so far, or the new config.ini */
	bool dirty;         /* lock: written since the last flush */
};

static struct fs *of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static struct handle *handle_of(const struct fuse_file_info *fi)
{
	return fi ? (struct handle *)(uintptr_t)fi->fh : NULL;
}

static void handle_free(struct handle *h)
{
	if (!h)
		return;
	pthread_mutex_destroy(&h->lock);
	strbuf_release(&h->text);
	free(h);
}

/* ---- opening and reading ---- */

/* A handle for writing; config.ini's begins with what it holds, unless that is truncated. */
static int open_writing(struct fs *fs, const struct job *job, enum job_file file, bool truncate,
	struct handle **ret)
{
	struct handle *h;
	int r = 0;

	if (!(jobfile_mode(job, file) & 0200))
		return -EACCES;
	h = xcalloc(1, sizeof(*h));
	h->serial = job->serial;
	h->file = file;
	h->text = STRBUF_INIT;
	pthread_mutex_init(&h->lock, NULL);
	if (file == JOB_FILE_CONFIG && !truncate)
		r = jobfile_render(job, file, fs->store, &h->text);
	if (r < 0)
		handle_free(STEAL(h));
	*ret = h;
	return r;
}

void jobedit_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = of(req);
	enum job_file file = jobdir_file(ino);
	AUTO_JOB struct job *job = model_shown(fs->model, fs_serial(ino));
	bool writes = (fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC;
	struct handle *h = NULL;

	if (!job || file == JOB_FILE_COUNT) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	if (writes) {
		int r = open_writing(fs, job, file, fi->flags & O_TRUNC, &h);

		if (r < 0) {
			fuse_reply_err(req, -r);
			return;
		}
	}
	fi->fh = (uintptr_t)h;
	/* What is written is no content of the file: it must not get into the kernel's cache. */
	fi->direct_io = writes;
	fi->keep_cache = !writes;
	fi->noflush = !writes;
	if (fuse_reply_open(req, fi) == -ENOENT)
		handle_free(h);
}

void jobedit_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fs *fs = of(req);
	enum job_file file = jobdir_file(ino);
	AUTO_JOB struct job *job = model_for_read(fs->model, fs_serial(ino), file);
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	int r;

	(void)fi;
	if (!job) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	r = jobfile_render(job, file, fs->store, &text);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fs_reply_part(req, text.data, text.len, size, off);
}

void jobedit_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	handle_free(handle_of(fi));
	fuse_reply_err(req, 0);
}

/* ---- writing ---- */

struct pending_write {
	fuse_req_t req;
	size_t size;
};

static void write_done(void *arg, int result)
{
	struct pending_write *pending = arg;

	if (result < 0)
		fuse_reply_err(pending->req, -result);
	else
		fuse_reply_write(pending->req, pending->size);
	free(pending);
}

/* A whole line is a verb; what has none yet is kept for the next write or the close. */
static void write_ctl(fuse_req_t req, struct handle *h, const char *bytes, size_t size)
{
	AUTO_FREE char *verb = NULL;

	pthread_mutex_lock(&h->lock);
	bool fits = h->text.len + size <= CTL_MAX;
	if (fits) {
		strbuf_add(&h->text, bytes, size);
		h->dirty = true;
	}
	if (fits && memchr(bytes, '\n', size)) {
		strbuf_rtrim(&h->text);
		verb = strbuf_steal(&h->text);
		h->dirty = false;
	}
	pthread_mutex_unlock(&h->lock);
	if (!fits) {
		fuse_reply_err(req, EINVAL);
	} else if (!verb || !*verb) {
		fuse_reply_write(req, size);
	} else {
		struct pending_write *pending = xmalloc(sizeof(*pending));

		*pending = (struct pending_write){req, size};
		engine_ctl(of(req)->engine, h->serial, verb, write_done, pending);
	}
}

/* Under the handle's lock. */
static void set_size(struct handle *h, size_t size)
{
	if (size <= h->text.len) {
		strbuf_truncate(&h->text, size);
		return;
	}
	strbuf_reserve(&h->text, size - h->text.len);
	while (h->text.len < size)
		strbuf_addc(&h->text, '\0');
}

static void write_config(fuse_req_t req, struct handle *h, const char *bytes, size_t size,
	uint64_t off)
{
	if (off > CONFIG_MAX || size > CONFIG_MAX - off) {
		fuse_reply_err(req, EFBIG);
		return;
	}
	pthread_mutex_lock(&h->lock);
	if (h->text.len < off + size)
		set_size(h, (size_t)off + size);
	if (size)
		memcpy(h->text.data + off, bytes, size);
	h->dirty = true;
	pthread_mutex_unlock(&h->lock);
	fuse_reply_write(req, size);
}

void jobedit_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);

	(void)ino;
	if (!h || off < 0)
		fuse_reply_err(req, EBADF);
	else if (h->file == JOB_FILE_CTL)
		write_ctl(req, h, bytes, size);
	else
		write_config(req, h, bytes, size, (uint64_t)off);
}

/* A shell closes a copy of the descriptor before it has written anything: that is no change. */
void jobedit_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);
	AUTO_FREE char *text = NULL;
	size_t len = 0;

	(void)ino;
	if (h) {
		WITH_LOCK(&h->lock);
		if (h->dirty) {
			if (h->file == JOB_FILE_CTL)
				strbuf_rtrim(&h->text);
			len = h->text.len;
			text = xmalloc(len + 1);
			memcpy(text, h->text.data, len + 1);
			h->dirty = false;
			if (h->file == JOB_FILE_CTL)
				strbuf_reset(&h->text);
		}
	}
	if (!text || (h->file == JOB_FILE_CTL && !len))
		fuse_reply_err(req, 0);
	else if (h->file == JOB_FILE_CTL)
		engine_ctl(of(req)->engine, h->serial, text, fs_reply_done, req);
	else
		engine_set_config(of(req)->engine, h->serial, text, len, fs_reply_done, req);
}

/* ---- truncation ---- */

struct pending_size {
	fuse_req_t req;
	struct stat attr;
};

static void size_done(void *arg, int result)
{
	struct pending_size *pending = arg;

	if (result < 0)
		fuse_reply_err(pending->req, -result);
	else
		fuse_reply_attr(pending->req, &pending->attr, 0);
	free(pending);
}

/* truncate() by name: a change of the whole text at once. */
static void truncate_config(fuse_req_t req, const struct job *job, const struct stat *attr)
{
	struct fs *fs = of(req);
	struct handle h = {.text = STRBUF_INIT};
	struct pending_size *pending;
	int r = jobfile_render(job, JOB_FILE_CONFIG, fs->store, &h.text);

	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	set_size(&h, (size_t)attr->st_size);
	pending = xmalloc(sizeof(*pending));
	*pending = (struct pending_size){req, *attr};
	engine_set_config(fs->engine, job->serial, h.text.data, h.text.len, size_done, pending);
	strbuf_release(&h.text);
}

void jobedit_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	struct fuse_file_info *fi)
{
	struct fs *fs = of(req);
	enum job_file file = jobdir_file(ino);
	AUTO_JOB struct job *job = model_shown(fs->model, fs_serial(ino));
	struct handle *h = handle_of(fi);
	struct stat now;

	if (!job) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	if (!(to_set & FUSE_SET_ATTR_SIZE) || file == JOB_FILE_COUNT ||
		!(jobfile_mode(job, file) & 0200)) {
		fuse_reply_err(req, to_set & FUSE_SET_ATTR_SIZE ? EACCES : EPERM);
		return;
	}
	if ((uint64_t)attr->st_size > CONFIG_MAX) {
		fuse_reply_err(req, EFBIG);
		return;
	}
	jobdir_file_attr(fs, job, file, &now);
	off_t before = now.st_size;
	now.st_size = attr->st_size;
	if (file == JOB_FILE_CONFIG && !h && attr->st_size != before) {
		truncate_config(req, job, &now);
		return;
	}
	if (h && file == JOB_FILE_CONFIG) {
		WITH_LOCK(&h->lock);
		set_size(h, (size_t)attr->st_size);
	}
	fuse_reply_attr(req, &now, 0);
}
