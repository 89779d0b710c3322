/*
 * wait/NAME: a read that is answered when the job has ended.
 *
 * Readers are kept in a list and answered by one thread, so no FUSE worker waits and there may be
 * many.  The thread looks at them when the notifier has told the kernel of a job's end (so whoever
 * has read a final state here reads the same in jobs/NAME/status), when a signal interrupted one,
 * and each second while there are any: a draft may be discarded, or the mount detached from its
 * folder, with nobody to tell.
 *
 * A file bears the serial of its job, or of the draft that becomes it; so who waits for a draft
 * waits for its job, whatever name that is given.
 *
 * libfuse calls interrupted() with the request's own lock held, perhaps from within
 * fuse_req_interrupt_func(): it only marks.  A reader is in the list before the function is
 * registered, and `ready` to be answered only after.  The thread alone takes readers out, so it may
 * look at them without the lock but for the fields that name it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "fs.h"
#include "jobstate.h"
#include "mount.h"

struct wait_handle {
	pthread_mutex_t lock;
	char text[JOB_STATE_SIZE + 1]; /* lock; the state and a newline, once known */
	size_t len;                    /* lock; 0: not known yet */
	struct wait_handle *next, **at; /* lock of waits: all that are open */
};

struct reader {
	struct reader *next;
	fuse_req_t req;
	uint64_t serial;
	struct wait_handle *handle; /* not released before its reads are answered */
	size_t size;
	off_t off;
	bool patient;     /* not O_NONBLOCK */
	bool ready;       /* lock of waits */
	bool interrupted; /* lock of waits */
	int error;        /* the thread's: what to answer; 0: the text */
};

struct waits {
	struct fs *fs;
	pthread_t thread;
	bool running;                 /* of the starting thread */
	char device[MOUNT_DEVICE_SIZE]; /* the thread's */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct reader *readers;       /* lock; but for those that the thread is looking at */
	size_t count;                 /* lock; all that are not answered */
	struct wait_handle *handles;  /* lock */
	bool look;                    /* lock: something happened */
	bool stopping;                /* lock */
};

struct waits *waits_new(struct fs *fs)
{
	struct waits *w = xcalloc(1, sizeof(*w));
	pthread_condattr_t monotonic;

	w->fs = fs;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return w;
}

static struct wait_handle *handle_new(struct waits *w)
{
	struct wait_handle *h = xcalloc(1, sizeof(*h));

	pthread_mutex_init(&h->lock, NULL);
	WITH_LOCK(&w->lock);
	h->next = w->handles;
	h->at = &w->handles;
	if (h->next)
		h->next->at = &h->next;
	w->handles = h;
	return h;
}

static void handle_free(struct waits *w, struct wait_handle *h)
{
	pthread_mutex_lock(&w->lock);
	*h->at = h->next;
	if (h->next)
		h->next->at = h->at;
	pthread_mutex_unlock(&w->lock);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

void waits_free(struct waits *w)
{
	if (!w)
		return;
	/* Not each release is heard of when the mount ends. */
	while (w->handles)
		handle_free(w, w->handles);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void waits_look(struct waits *w)
{
	WITH_LOCK(&w->lock);
	if (!w->count)
		return;
	w->look = true;
	pthread_cond_signal(&w->wake);
}

/* ---- the thread ---- */

/* REJECTED is an end, too: nothing goes on by itself. */
static bool is_final(const char *word)
{
	enum jobstate_class class = jobstate_class(word);

	return class == JOBSTATE_ENDED || class == JOBSTATE_LOST || !strcmp(word, "REJECTED");
}

/* True where the reader is to be answered now, by `error` or the handle's text. */
static bool judge(struct waits *w, struct reader *r, bool stopping)
{
	AUTO_JOB struct job *job = model_shown(w->fs->model, r->serial);

	r->error = 0;
	if (job && is_final(job->state)) {
		struct wait_handle *h = r->handle;

		WITH_LOCK(&h->lock);
		if (!h->len)
			h->len = (size_t)snprintf(h->text, sizeof(h->text), "%s\n", job->state);
		return true;
	}
	/* A draft is in the model before it is no draft any more. */
	if (!job && !drafts_has(w->fs->drafts, r->serial)) {
		AUTO_JOB struct job *again = model_shown(w->fs->model, r->serial);

		if (!again) {
			r->error = ENOENT;
			return true;
		}
	}
	r->error = stopping ? EIO : r->patient ? 0 : EAGAIN;
	return r->error != 0;
}

static void answer(struct reader *r)
{
	char text[JOB_STATE_SIZE + 1];
	size_t len;

	if (r->error) {
		fuse_reply_err(r->req, r->error);
		return;
	}
	pthread_mutex_lock(&r->handle->lock);
	len = r->handle->len;
	memcpy(text, r->handle->text, len);
	pthread_mutex_unlock(&r->handle->lock);
	fs_reply_part(r->req, text, len, r->size, r->off);
}

/* Takes those out of the list that are to be looked at; under the lock. */
static struct reader *take_ready(struct waits *w)
{
	struct reader *taken = NULL;

	for (struct reader **at = &w->readers; *at;) {
		struct reader *r = *at;

		if (!r->ready) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		r->next = taken;
		taken = r;
	}
	return taken;
}

/* Answers whom it can, and at the end everybody. */
static void look_at_readers(struct waits *w, bool stopping)
{
	struct reader *done = NULL, *waiting = NULL, *next;
	size_t answered = 0;

	/* While they are out of the list an interrupt does not find them; so they are asked
	 * themselves afterwards. */
	pthread_mutex_lock(&w->lock);
	struct reader *taken = take_ready(w);
	pthread_mutex_unlock(&w->lock);
	for (struct reader *r = taken; r; r = next) {
		next = r->next;
		if (r->interrupted)
			r->error = EINTR;
		struct reader **to = r->interrupted || judge(w, r, stopping) ? &done : &waiting;
		r->next = *to;
		*to = r;
	}
	for (struct reader *r = done; r; r = next) {
		next = r->next;
		answer(r);
		free(r);
		answered++;
	}
	for (struct reader *r = waiting; r; r = next) {
		next = r->next;
		bool interrupted = fuse_req_interrupted(r->req);

		WITH_LOCK(&w->lock);
		r->interrupted |= interrupted;
		w->look |= r->interrupted;
		r->next = w->readers;
		w->readers = r;
	}
	WITH_LOCK(&w->lock);
	w->count -= answered;
}

/* Waits for something to do; false at the end.  `*tick`: a second has passed with readers waiting. */
static bool pause_for(struct waits *w, bool *tick)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	*tick = false;
	WITH_LOCK(&w->lock);
	while (!w->look && !w->stopping && !*tick) {
		if (!w->count)
			pthread_cond_wait(&w->wake, &w->lock);
		else
			*tick = pthread_cond_timedwait(&w->wake, &w->lock, &until) == ETIMEDOUT;
	}
	w->look = false;
	return !w->stopping;
}

static void *waits_thread(void *arg)
{
	struct waits *w = arg;
	bool tick;

	mount_device(w->fs->mountpoint, w->device);
	while (pause_for(w, &tick))
		/* Detached by a lazy unmount, the mount would live on for those who wait here. */
		look_at_readers(w, tick && !mount_is_attached(w->device));
	look_at_readers(w, true);
	return NULL;
}

int waits_start(struct waits *w)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&w->thread, NULL, waits_thread, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	w->running = r == 0;
	return -r;
}

void waits_stop(struct waits *w)
{
	if (!w->running)
		return;
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	w->running = false;
}

/* ---- handlers ---- */

static struct fs *of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static void file_attr(struct fs *fs, uint64_t serial, int64_t ns, struct stat *ret)
{
	fs_attr(fs, fs_job_ino(serial, PART_WAIT), S_IFREG | 0444, 0, ns, ret);
}

bool wait_lookup(struct fs *fs, const char *name, struct fuse_entry_param *ret)
{
	AUTO_JOB struct job *job = model_shown_by_name(fs->model, name);
	uint64_t serial = job ? job->serial : drafts_by_name(fs->drafts, name);
	struct stat attr;

	if (!serial) {
		/* It may have become a job between the two looks. */
		AUTO_JOB struct job *again = model_shown_by_name(fs->model, name);

		serial = again ? again->serial : 0;
	}
	if (!serial)
		return false;
	file_attr(fs, serial, job ? job->state_ns : fs->started_ns, &attr);
	/* A draft's name may be another job's a moment later. */
	*ret = fs_entry(&attr, 0);
	return true;
}

static void wait_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = of(req);
	AUTO_JOB struct job *job = model_shown(fs->model, fs_serial(ino));
	struct stat attr;

	if (!job && !fi && !drafts_has(fs->drafts, fs_serial(ino))) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	file_attr(fs, fs_serial(ino), job ? job->state_ns : fs->started_ns, &attr);
	fuse_reply_attr(req, &attr, 0);
}

static void wait_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct wait_handle *h;

	(void)ino;
	if ((fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC) {
		fuse_reply_err(req, EACCES);
		return;
	}
	h = handle_new(of(req)->waits);
	fi->fh = (uintptr_t)h;
	/* Nobody knows its size before it can be read. */
	fi->direct_io = 1;
	fi->noflush = 1;
	struct waits *waits = of(req)->waits;
	if (fuse_reply_open(req, fi) == -ENOENT)
		handle_free(waits, h);
}

static void interrupted(fuse_req_t req, void *arg)
{
	struct waits *w = arg;

	WITH_LOCK(&w->lock);
	for (struct reader *r = w->readers; r; r = r->next)
		if (r->req == req)
			r->interrupted = true;
	w->look = true;
	pthread_cond_signal(&w->wake);
}

static void wait_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	struct waits *w = of(req)->waits;
	struct reader *r = xcalloc(1, sizeof(*r));

	*r = (struct reader){.req = req, .serial = fs_serial(ino), .size = size, .off = off,
		.handle = (struct wait_handle *)(uintptr_t)fi->fh,
		.patient = !(fi->flags & O_NONBLOCK)};
	pthread_mutex_lock(&r->handle->lock);
	bool known = r->handle->len;
	pthread_mutex_unlock(&r->handle->lock);
	if (known) {
		answer(r);
		free(r);
		return;
	}
	pthread_mutex_lock(&w->lock);
	r->next = w->readers;
	w->readers = r;
	w->count++;
	pthread_mutex_unlock(&w->lock);
	fuse_req_interrupt_func(req, interrupted, w);

	WITH_LOCK(&w->lock);
	r->ready = true;
	w->look = true;
	pthread_cond_signal(&w->wake);
}

static void wait_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	handle_free(of(req)->waits, (struct wait_handle *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

const struct fuse_lowlevel_ops wait_ops = {
	.getattr = wait_getattr,
	.open = wait_open,
	.read = wait_read,
	.release = wait_release,
};
