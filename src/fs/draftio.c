/* Open files of drafts: read and written in the spool. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "draftplace.h"
#include "err.h"

/* Whether the file's only or first name is that of a draft's configuration. */
static bool node_is_config(struct place *p)
{
	AUTO_FREE char *path = spool_path(p->spool, p->node);

	if (!path)
		return false;
	const char *slash = strchr(path, '/');
	return strcmp(slash ? slash + 1 : path, "config.ini") == 0;
}

/* Opens the place's node; the handle has a reference of its own. */
static int open_node(struct place *p, int flags, bool config, struct fuse_file_info *fi)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY;

	/* The kernel gives the offset of what is appended. */
	int fd = spool_reopen(p->node, flags & ~(O_APPEND | O_TRUNC | O_DIRECT));
	if (fd < 0)
		return fd;
	struct draft_handle *handle = drafts_opened(p->fs->drafts, spool_ref(p->spool, p->node), fd,
		writes, config);
	if (flags & O_TRUNC && writes) {
		int r = place_cut(p, handle, 0);
		if (r < 0) {
			drafts_closed(p->fs->drafts, handle);
			return r;
		}
		drafts_mended(p->fs->drafts, p->serial);
	}
	fi->fh = (uintptr_t)handle;
	fi->keep_cache = 1;
	return 0;
}

void draft_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	bool writes = (fi->flags & O_ACCMODE) != O_RDONLY;
	struct place p;

	int r = place_begin(req, ino, &p);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	struct drafts *drafts = p.fs->drafts;
	bool config = writes && node_is_config(&p);
	if (config)
		drafts_remember_config(drafts, p.serial);
	r = open_node(&p, fi->flags, config, fi);
	place_end(&p, writes && fi->flags & O_TRUNC ? DRAFT_CHANGE : DRAFT_READ, r);
	if (r < 0)
		fuse_reply_err(req, -r);
	else if (fuse_reply_open(req, fi) == -ENOENT)
		drafts_closed(drafts, draft_handle_of(fi));
}

/* Makes the file; then it is looked up and opened like any other. */
static int make_file(fuse_req_t req, struct place *p, const char *name, mode_t mode, int flags,
	struct fuse_entry_param *e, struct spool_node **node)
{
	int fd AUTO_CLOSE = openat(p->node->fd, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW |
		O_CLOEXEC, spool_real_mode(S_IFREG | mode));
	bool made = fd >= 0;

	if (fd < 0 && (errno != EEXIST || flags & O_EXCL))
		return -errno;
	if (made)
		place_own(req, p, name);
	int r = place_find(p, name, e, node);
	if (r == 0 && made && (e->attr.st_mode & 07777) != (mode & 07777)) {
		r = spool_chmod(*node, mode);
		draft_attributes(p->fs, *node, &e->attr);
	}
	return r;
}

void draft_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi)
{
	struct fuse_entry_param e;
	struct spool_node *node = NULL;
	struct place p;

	int r = place_begin_making(req, parent, &p);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	struct drafts *drafts = p.fs->drafts;
	struct spool *spool = p.spool;
	bool config = place_is_config(&p, name);
	r = make_file(req, &p, name, mode, fi->flags, &e, &node);
	if (r == 0) {
		struct place file = p;

		file.node = node;
		r = open_node(&file, fi->flags, config, fi);
		draft_attributes(p.fs, node, &e.attr);
	}
	place_end(&p, DRAFT_CHANGE, r);
	if (r < 0) {
		spool_put(spool, node);
		fuse_reply_err(req, -r);
		return;
	}
	draft_give_entry(spool, node, e.ino);
	if (fuse_reply_create(req, &e, fi) == -ENOENT) {
		drafts_closed(drafts, draft_handle_of(fi));
		draft_entry_not_taken(spool, e.ino);
	}
}

void draft_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	struct fuse_bufvec data = FUSE_BUFVEC_INIT(size);

	(void)ino;
	data.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	data.buf[0].fd = draft_handle_of(fi)->fd;
	data.buf[0].pos = off;
	fuse_reply_data(req, &data, FUSE_BUF_SPLICE_MOVE);
}

void draft_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *in, off_t off,
	struct fuse_file_info *fi)
{
	struct drafts *drafts = draft_fs(req)->drafts;
	struct draft_handle *handle = draft_handle_of(fi);
	struct fuse_bufvec out = FUSE_BUFVEC_INIT(fuse_buf_size(in));
	uint64_t serial = handle->node->serial;

	(void)ino;
	int r = drafts_begin(drafts, serial);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	out.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	out.buf[0].fd = handle->fd;
	out.buf[0].pos = off;
	ssize_t n = fuse_buf_copy(&out, in, 0);
	drafts_wrote(drafts, handle);
	drafts_end(drafts, serial, DRAFT_CHANGE, n < 0 ? (int)n : 0);
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_write(req, (size_t)n);
}

void draft_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fuse_reply_err(req, -drafts_flush(draft_fs(req)->drafts, draft_handle_of(fi)));
}

void draft_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	drafts_closed(draft_fs(req)->drafts, draft_handle_of(fi));
	fuse_reply_err(req, 0);
}

void draft_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	int fd = draft_handle_of(fi)->fd;

	(void)ino;
	fuse_reply_err(req, (datasync ? fdatasync(fd) : fsync(fd)) < 0 ? errno : 0);
}

void draft_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
	struct fuse_file_info *fi)
{
	struct draft_handle *handle = draft_handle_of(fi);
	struct drafts *drafts = draft_fs(req)->drafts;
	uint64_t serial = handle->node->serial;

	(void)ino;
	int r = drafts_begin(drafts, serial);
	if (r == 0) {
		r = fallocate(handle->fd, mode, offset, length) < 0 ? -errno : 0;
		drafts_wrote(drafts, handle);
		drafts_end(drafts, serial, DRAFT_CHANGE, r);
	}
	fuse_reply_err(req, -r);
}

void draft_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
	struct fuse_file_info *fi)
{
	off_t at = lseek(draft_handle_of(fi)->fd, off, whence);

	(void)ino;
	if (at < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_lseek(req, at);
}

void draft_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
	struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
	struct fuse_file_info *fi_out, size_t len, int flags)
{
	struct draft_handle *handle = draft_handle_of(fi_out);
	struct drafts *drafts = draft_fs(req)->drafts;
	uint64_t serial = handle->node->serial;

	(void)ino_out;
	/* The other one may be of a group whose handles are something else. */
	int r = ino_in & FS_DRAFT_NODE ? drafts_begin(drafts, serial) : -EXDEV;
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	ssize_t n = copy_file_range(draft_handle_of(fi_in)->fd, &off_in, handle->fd, &off_out, len,
		(unsigned)flags);
	r = n < 0 ? -errno : 0;
	drafts_wrote(drafts, handle);
	drafts_end(drafts, serial, DRAFT_CHANGE, r);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_write(req, (size_t)n);
}
