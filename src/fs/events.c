/*
 * events: every change of a job's state since the mount, a line each, in an ordinary file of the
 * state's folder that this mount alone appends to; so memory stays small, however long it grows.
 *
 *     2026-11-24T10:15:00Z mysim 4711 PENDING -> RUNNING
 *
 * The engine's thread writes, when it has published the change.  The kernel may cache what it reads:
 * it asks for size and time before each read, and forgets its pages when those have changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "err.h"
#include "fs.h"
#include "log.h"

struct events {
	struct fs *fs;
	int fd;
	bool failing;            /* the engine's thread's */
	_Atomic uint64_t size;
	_Atomic int64_t time_ns; /* of the last line */
};

int events_new(struct fs *fs, const char *path, struct events **ret, struct strbuf *why)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0) {
		int error = errno;

		strbuf_addf(why, "%s: %s", path, strerror(error));
		return -error;
	}
	struct events *e = xcalloc(1, sizeof(*e));
	e->fs = fs;
	e->fd = fd;
	atomic_init(&e->time_ns, fs->started_ns);
	*ret = e;
	return 0;
}

void events_free(struct events *e)
{
	if (!e)
		return;
	close(e->fd);
	free(e);
}

/* A line is in the file whole or not at all. */
static int append(struct events *e, const struct strbuf *line)
{
	uint64_t size = atomic_load(&e->size);
	size_t done = 0;

	while (done < line->len) {
		ssize_t n = pwrite(e->fd, line->data + done, line->len - done, (off_t)(size + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	atomic_store(&e->size, size + done);
	return 0;
}

void events_state(void *arg, const struct job *before, const struct job *now)
{
	struct events *e = arg;
	const struct job *job = now ? now : before;
	struct strbuf line AUTO_STRBUF = STRBUF_INIT;
	int64_t ns = clock_real_ns(e->fs->clock);
	char time[CLOCK_ISO_SIZE];

	strbuf_addf(&line, "%s %s %s %s -> %s\n", clock_iso(ns, time), job->name,
		*job->slurm_id ? job->slurm_id : "-", before ? before->state : "-",
		now ? now->state : "-");
	int r = append(e, &line);
	if (r < 0 && !e->failing)
		log_warning("events: lines are missing: %s", strerror(-r));
	e->failing = r < 0;
	if (r < 0)
		return;
	atomic_store(&e->time_ns, ns);
	announcer_events(e->fs->announcer);
}

void events_attr(struct fs *fs, struct stat *ret)
{
	/* The time first: one that is too old is asked for again, a size that is too old would be kept. */
	int64_t ns = atomic_load(&fs->events->time_ns);

	fs_attr(fs, FIXED_EVENTS, S_IFREG | 0444, atomic_load(&fs->events->size), ns, ret);
}

void events_open(fuse_req_t req, struct fuse_file_info *fi)
{
	fi->fh = 0;
	fi->keep_cache = 1;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

void events_read(fuse_req_t req, size_t size, off_t off)
{
	const struct fs *fs = fuse_req_userdata(req);
	uint64_t end = atomic_load(&fs->events->size);

	/* What is beyond may be half a line. */
	if (off < 0 || (uint64_t)off >= end) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	struct fuse_bufvec data = FUSE_BUFVEC_INIT(size < end - (uint64_t)off ? size
		: (size_t)(end - (uint64_t)off));
	data.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	data.buf[0].fd = fs->events->fd;
	data.buf[0].pos = off;
	fuse_reply_data(req, &data, FUSE_BUF_SPLICE_MOVE);
}
