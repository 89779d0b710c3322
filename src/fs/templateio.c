/* Open files and directories of templates/. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "templates.h"

struct open_file {
	int fd;
	_Atomic bool wrote;
};

struct dir_handle {
	pthread_mutex_t lock;
	struct template_place place; /* with a reference; its node is NULL at a top without own ones */
	char **names;                /* lock, as `count`: the snapshot */
	size_t count;
};

static struct open_file *file_of(const struct fuse_file_info *fi)
{
	return (struct open_file *)(uintptr_t)fi->fh;
}

static struct dir_handle *dir_of(const struct fuse_file_info *fi)
{
	return (struct dir_handle *)(uintptr_t)fi->fh;
}

/* ---- files ---- */

static int open_node(struct template_place *p, struct fuse_file_info *fi)
{
	bool writes = (fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC;

	if (p->builtin && writes)
		return -EACCES;
	/* The kernel gives the offset of what is appended. */
	int fd = spool_reopen(p->node, fi->flags & ~(O_APPEND | O_DIRECT));
	if (fd < 0)
		return fd;
	struct open_file *file = xcalloc(1, sizeof(*file));
	file->fd = fd;
	atomic_init(&file->wrote, fi->flags & O_TRUNC);
	fi->fh = (uintptr_t)file;
	return 0;
}

static void close_file(struct open_file *file)
{
	close(file->fd);
	free(file);
}

void templates_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct template_place p;

	int r = templates_begin(req, ino, false, &p);
	if (r == 0) {
		r = open_node(&p, fi);
		templates_end(&p);
	}
	if (r < 0)
		fuse_reply_err(req, -r);
	else if (fuse_reply_open(req, fi) == -ENOENT)
		close_file(file_of(fi));
}

/* Makes the file; then it is looked up and opened like any other. */
static int make_file(struct template_place *p, const char *name, mode_t mode,
	struct fuse_entry_param *e, struct template_place *made, struct fuse_file_info *fi)
{
	if (p->top)
		return -EPERM;
	int fd AUTO_CLOSE = openat(p->node->fd, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW |
		O_CLOEXEC, spool_real_mode(S_IFREG | mode));
	if (fd < 0 && (errno != EEXIST || fi->flags & O_EXCL))
		return -errno;
	int r = templates_entry(p, name, e, made);
	if (r < 0)
		return r;
	if (fd >= 0 && (e->attr.st_mode & 07777) != (mode & 07777))
		spool_chmod(made->node, mode);
	r = open_node(made, fi);
	templates_attributes(made, &e->attr);
	if (r < 0)
		templates_end(made);
	return r;
}

void templates_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi)
{
	struct template_place p, made;
	struct fuse_entry_param e;

	int r = templates_begin_change(req, parent, false, &p);
	if (r == 0) {
		r = make_file(&p, name, mode, &e, &made, fi);
		templates_changed(p.fs);
		templates_end(&p);
	}
	if (r < 0) {
		fuse_reply_err(req, -r);
	} else if (fuse_reply_create(req, &e, fi) == -ENOENT) {
		close_file(file_of(fi));
		templates_end(&made);
	}
}

void templates_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	struct fuse_bufvec data = FUSE_BUFVEC_INIT(size);

	(void)ino;
	data.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	data.buf[0].fd = file_of(fi)->fd;
	data.buf[0].pos = off;
	fuse_reply_data(req, &data, FUSE_BUF_SPLICE_MOVE);
}

void templates_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *in, off_t off,
	struct fuse_file_info *fi)
{
	struct fuse_bufvec out = FUSE_BUFVEC_INIT(fuse_buf_size(in));

	(void)ino;
	out.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	out.buf[0].fd = file_of(fi)->fd;
	out.buf[0].pos = off;
	atomic_store(&file_of(fi)->wrote, true);
	ssize_t n = fuse_buf_copy(&out, in, 0);
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_write(req, (size_t)n);
}

/* A copy that has been written is complete when its writer closes it. */
void templates_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if (atomic_exchange(&file_of(fi)->wrote, false))
		templates_changed(templates_fs(req));
	fuse_reply_err(req, 0);
}

void templates_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if (atomic_load(&file_of(fi)->wrote))
		templates_changed(templates_fs(req));
	close_file(file_of(fi));
	fuse_reply_err(req, 0);
}

void templates_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	int fd = file_of(fi)->fd;

	(void)ino;
	fuse_reply_err(req, (datasync ? fdatasync(fd) : fsync(fd)) < 0 ? errno : 0);
}

int templates_cut(struct template_place *p, const struct fuse_file_info *fi, off_t size)
{
	int fd AUTO_CLOSE = fi ? -1 : spool_reopen(p->node, O_WRONLY);

	if (!fi && fd < 0)
		return fd;
	return ftruncate(fi ? file_of(fi)->fd : fd, size) < 0 ? -errno : 0;
}

/* ---- directories ---- */

static void dir_clear(struct dir_handle *d)
{
	for (size_t i = 0; i < d->count; i++)
		free(d->names[i]);
	free(d->names);
	d->names = NULL;
	d->count = 0;
}

static void dir_free(struct dir_handle *d)
{
	dir_clear(d);
	templates_end(&d->place);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static int dir_read(struct dir_handle *d)
{
	struct dirent *entry;

	dir_clear(d);
	if (d->place.top) {
		d->names = templates_names(d->place.fs, false, &d->count);
		return 0;
	}
	int fd = spool_reopen(d->place.node, O_RDONLY | O_DIRECTORY);
	DIR *dir AUTO_CLOSEDIR = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return fd < 0 ? fd : -errno;
	while ((errno = 0, entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		d->names = xrealloc(d->names, (d->count + 1) * sizeof(*d->names));
		d->names[d->count++] = xstrdup(entry->d_name);
	}
	return -errno;
}

void templates_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct dir_handle *d = xcalloc(1, sizeof(*d));

	int r = templates_begin(req, ino, false, &d->place);
	if (r < 0 && ino != FIXED_TEMPLATES) {
		free(d);
		fuse_reply_err(req, -r);
		return;
	}
	pthread_mutex_init(&d->lock, NULL);
	fi->fh = (uintptr_t)d;
	if (fuse_reply_open(req, fi) == -ENOENT)
		dir_free(d);
}

/* Adds one entry; false where it does not fit.  The kernel keeps its reference with `plus`. */
static bool list_one(struct fs_listing *l, struct template_place *p, const char *name, off_t next)
{
	struct fuse_entry_param e;
	struct template_place found;

	if (!fs_listing_fits(l, name))
		return false;
	/* What is gone since the snapshot is left out. */
	if (templates_entry(p, name, &e, &found) < 0)
		return true;
	bool added = fs_listing_add(l, name, &e, next);
	if (!added || !l->plus)
		templates_end(&found);
	return added;
}

static int fill(struct fs_listing *l, struct dir_handle *d, fuse_ino_t ino, off_t off)
{
	WITH_LOCK(&d->lock);
	int r = off == 0 ? dir_read(d) : 0;

	if (r < 0)
		return r;
	/* The offsets 1 and 2 are those of . and .. */
	if (fs_listing_dots(l, ino, d->place.top ? (fuse_ino_t)FIXED_ROOT : (fuse_ino_t)FIXED_TEMPLATES,
		&off))
		for (size_t i = (size_t)(off < 2 ? 0 : off - 2); i < d->count; i++)
			if (!list_one(l, &d->place, d->names[i], (off_t)i + 3))
				break;
	return 0;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi,
	bool plus)
{
	struct fs_listing l;

	fs_listing_begin(&l, req, size, plus);
	int r = fill(&l, dir_of(fi), ino, off);
	if (r < 0) {
		fuse_reply_err(req, -r);
		free(l.bytes);
	} else {
		fs_listing_end(&l);
	}
}

void templates_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	list(req, ino, size, off, fi, false);
}

void templates_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	list(req, ino, size, off, fi, true);
}

void templates_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	dir_free(dir_of(fi));
	fuse_reply_err(req, 0);
}

void templates_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	const struct template_place *p = &dir_of(fi)->place;
	int fd AUTO_CLOSE = p->node ? spool_reopen(p->node, O_RDONLY | O_DIRECTORY) : -1;

	(void)ino;
	(void)datasync;
	fuse_reply_err(req, fd >= 0 && fsync(fd) < 0 ? errno : 0);
}
