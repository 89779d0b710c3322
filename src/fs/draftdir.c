/* Listings of drafts and of jobs/new. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "draftplace.h"
#include "err.h"

struct dir_handle {
	pthread_mutex_t lock;
	int fd;
	char **names; /* under lock, as `count`: the snapshot */
	size_t count;
};

static struct dir_handle *dir_of(const struct fuse_file_info *fi)
{
	return (struct dir_handle *)(uintptr_t)fi->fh;
}

static void dir_clear(struct dir_handle *d)
{
	for (size_t i = 0; i < d->count; i++)
		free(d->names[i]);
	free(d->names);
	d->names = NULL;
	d->count = 0;
}

static int dir_read(struct dir_handle *d)
{
	int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir AUTO_CLOSEDIR = fd < 0 ? NULL : fdopendir(fd);
	size_t capacity = 0;
	struct dirent *entry;

	dir_clear(d);
	if (!dir)
		return -errno;
	while ((errno = 0, entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (d->count == capacity) {
			capacity = capacity ? 2 * capacity : 32;
			d->names = xrealloc(d->names, capacity * sizeof(*d->names));
		}
		d->names[d->count++] = xstrdup(entry->d_name);
	}
	return -errno;
}

static void dir_free(struct dir_handle *d)
{
	dir_clear(d);
	close(d->fd);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void draft_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct place p;

	int r = place_begin(req, ino, &p);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	int fd = spool_reopen(p.node, O_RDONLY | O_DIRECTORY);
	place_end(&p, DRAFT_READ, 0);
	if (fd < 0) {
		fuse_reply_err(req, -fd);
		return;
	}
	struct dir_handle *d = xcalloc(1, sizeof(*d));
	pthread_mutex_init(&d->lock, NULL);
	d->fd = fd;
	fi->fh = (uintptr_t)d;
	if (fuse_reply_open(req, fi) == -ENOENT)
		dir_free(d);
}

/* Adds one entry: 1; 0 where it does not fit; or a negative errno.  The kernel keeps its reference with
 * `plus`. */
static int list_one(struct fs_listing *l, struct place *p, const char *name, off_t next)
{
	struct fuse_entry_param e;
	struct spool_node *node;

	if (!fs_listing_fits(l, name))
		return 0;
	int r = place_find(p, name, &e, &node);
	/* What is gone since the snapshot is left out. */
	if (r < 0)
		return r == -ENOENT ? 1 : r;
	bool added = fs_listing_add(l, name, &e, next);
	if (added && l->plus)
		draft_give_entry(p->spool, node, e.ino);
	else
		spool_put(p->spool, node);
	return added;
}

/* Under the handle's lock alone: the reply waits, since a releasedir may follow it at once. */
static int fill(struct fs_listing *l, struct place *p, struct dir_handle *d, fuse_ino_t ino, off_t off)
{
	WITH_LOCK(&d->lock);
	int r = off == 0 ? dir_read(d) : 0;

	if (r < 0)
		return r;
	/* The offsets 1 and 2 are those of . and .. */
	r = fs_listing_dots(l, ino, FIXED_NEW, &off);
	for (size_t i = (size_t)(off < 2 ? 0 : off - 2); r > 0 && i < d->count; i++)
		r = list_one(l, p, d->names[i], (off_t)i + 3);
	/* What the kernel has references of is answered first; the error comes with the next part. */
	return r < 0 && !l->len ? r : 0;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi,
	bool plus)
{
	struct fs_listing l;
	struct place p;

	int r = place_begin(req, ino, &p);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	fs_listing_begin(&l, req, size, plus);
	r = fill(&l, &p, dir_of(fi), ino, off);
	place_end(&p, DRAFT_READ, 0);
	if (r < 0) {
		fuse_reply_err(req, -r);
		free(l.bytes);
	} else {
		fs_listing_end(&l);
	}
}

void draft_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	list(req, ino, size, off, fi, false);
}

void draft_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	list(req, ino, size, off, fi, true);
}

void draft_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	dir_free(dir_of(fi));
	fuse_reply_err(req, 0);
}

void draft_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	fuse_reply_err(req, fsync(dir_of(fi)->fd) < 0 ? errno : 0);
}
