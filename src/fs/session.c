/*
 * Every request of the kernel, handed to the table of its inode's group.
 *
 * A group that lacks an operation is answered here.  ENOSYS switches an operation off for the whole
 * mount, so it is left to what no group has: those have no handler in `session_ops` at all.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "err.h"
#include "fs.h"
#include "log.h"

static struct fs *of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static const struct fuse_lowlevel_ops *route(fuse_req_t req, fuse_ino_t ino, const char *what)
{
	struct fs *fs = of(req);

	if (fs->debug)
		log_debug("%s %#llx", what, (unsigned long long)ino);
	return fs_ops(fs, ino);
}

/* Calls the group's handler of that name, or answers `error`. */
#define ROUTE(ino, handler, error, ...) \
	do { \
		const struct fuse_lowlevel_ops *ops_ = route(req, ino, #handler); \
		if (ops_->handler) \
			ops_->handler(__VA_ARGS__); \
		else \
			fuse_reply_err(req, error); \
	} while (0)

/* What this kernel can do of what we want; asking for more would end the session. */
static void want(struct fuse_conn_info *conn, unsigned capability)
{
	conn->want |= conn->capable & capability;
}

static void session_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	want(conn, FUSE_CAP_ASYNC_READ | FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_ATOMIC_O_TRUNC);
	want(conn, FUSE_CAP_READDIRPLUS | FUSE_CAP_PARALLEL_DIROPS);
	want(conn, FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
	conn->want &= ~(unsigned)(FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_READDIRPLUS_AUTO |
				  FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_NO_OPENDIR_SUPPORT |
				  FUSE_CAP_CACHE_SYMLINKS);
	conn->max_write = 1 << 20;
	/* RELEASE is a background request: it must not come late behind reads. */
	conn->max_background = 4096;
	conn->congestion_threshold = 3072;
}

static void session_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (!announcer_lookup(req, parent, name))
		ROUTE(parent, lookup, ENOENT, req, parent, name);
}

static void session_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	const struct fuse_lowlevel_ops *ops = fs_ops(of(req), ino);

	if (ops->forget)
		ops->forget(req, ino, nlookup);
	else
		fuse_reply_none(req);
}

static void session_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	ROUTE(ino, getattr, ENOENT, req, ino, fi);
}

static void session_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	struct fuse_file_info *fi)
{
	if (announcer_setattr(req, ino))
		return;
	ROUTE(ino, setattr, to_set & FUSE_SET_ATTR_SIZE ? EACCES : EPERM, req, ino, attr, to_set,
		fi);
}

static void session_readlink(fuse_req_t req, fuse_ino_t ino)
{
	ROUTE(ino, readlink, EINVAL, req, ino);
}

static void session_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	dev_t rdev)
{
	ROUTE(parent, mknod, EPERM, req, parent, name, mode, rdev);
}

static void session_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	if (!announcer_mkdir(req, parent, name))
		ROUTE(parent, mkdir, EPERM, req, parent, name, mode);
}

static void session_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (!announcer_remove(req, parent, name))
		ROUTE(parent, unlink, EPERM, req, parent, name);
}

static void session_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (!announcer_remove(req, parent, name))
		ROUTE(parent, rmdir, EPERM, req, parent, name);
}

static void session_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	ROUTE(parent, symlink, EPERM, req, link, parent, name);
}

/* Only drafts and templates move; anything else is refused, and never as EXDEV: mv would copy and delete. */
static void session_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
	fuse_ino_t newparent, const char *newname, unsigned flags)
{
	const struct fuse_lowlevel_ops *ops = route(req, parent, "rename");

	if ((ops == &draft_ops || ops == &template_ops) && ops->rename)
		ops->rename(req, parent, name, newparent, newname, flags);
	else
		fuse_reply_err(req, EPERM);
}

static void session_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	const struct fuse_lowlevel_ops *ops = route(req, ino, "link");

	if (ops->link && ops == fs_ops(of(req), newparent))
		ops->link(req, ino, newparent, newname);
	else
		fuse_reply_err(req, EPERM);
}

static void session_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	ROUTE(ino, open, EACCES, req, ino, fi);
}

static void session_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	ROUTE(ino, read, EBADF, req, ino, size, off, fi);
}

/* For a group that takes bytes in memory alone. */
static void write_flat(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *in, off_t off,
	struct fuse_file_info *fi, const struct fuse_lowlevel_ops *ops)
{
	size_t size = fuse_buf_size(in);
	struct fuse_bufvec out = FUSE_BUFVEC_INIT(size);
	AUTO_FREE char *bytes = xmalloc(size ? size : 1);

	out.buf[0].mem = bytes;
	ssize_t n = fuse_buf_copy(&out, in, 0);
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		ops->write(req, ino, bytes, (size_t)n, off, fi);
}

static void session_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *in, off_t off,
	struct fuse_file_info *fi)
{
	const struct fuse_lowlevel_ops *ops = route(req, ino, "write");

	if (ops->write_buf)
		ops->write_buf(req, ino, in, off, fi);
	else if (ops->write)
		write_flat(req, ino, in, off, fi, ops);
	else
		fuse_reply_err(req, EACCES);
}

static void session_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	ROUTE(ino, flush, 0, req, ino, fi);
}

static void session_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	ROUTE(ino, release, 0, req, ino, fi);
}

static void session_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	ROUTE(ino, fsync, 0, req, ino, datasync, fi);
}

static void session_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct fuse_lowlevel_ops *ops = route(req, ino, "opendir");

	if (ops->opendir)
		ops->opendir(req, ino, fi);
	else
		fuse_reply_open(req, fi);
}

static void session_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	ROUTE(ino, readdir, ENOTDIR, req, ino, size, off, fi);
}

static void session_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	ROUTE(ino, readdirplus, ENOTDIR, req, ino, size, off, fi);
}

static void session_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	ROUTE(ino, releasedir, 0, req, ino, fi);
}

static void session_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
	struct fuse_file_info *fi)
{
	ROUTE(ino, fsyncdir, 0, req, ino, datasync, fi);
}

static void session_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs disk;

	(void)ino;
	if (statvfs(of(req)->spool, &disk))
		fuse_reply_err(req, errno);
	else
		fuse_reply_statfs(req, &disk);
}

static void session_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi)
{
	ROUTE(parent, create, EPERM, req, parent, name, mode, fi);
}

static void session_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
	struct fuse_file_info *fi)
{
	ROUTE(ino, fallocate, EOPNOTSUPP, req, ino, mode, off, len, fi);
}

/* Where the data and the holes are; EINVAL is what programs take for a file system that cannot tell. */
static void session_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
	struct fuse_file_info *fi)
{
	ROUTE(ino, lseek, EINVAL, req, ino, off, whence, fi);
}

static void session_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
	struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
	struct fuse_file_info *fi_out, size_t len, int flags)
{
	const struct fuse_lowlevel_ops *ops = route(req, ino_in, "copy_file_range");

	/* EOPNOTSUPP makes the kernel copy by itself. */
	if (ops->copy_file_range && ops == fs_ops(of(req), ino_out))
		ops->copy_file_range(req, ino_in, off_in, fi_in, ino_out, off_out, fi_out, len,
			flags);
	else
		fuse_reply_err(req, EOPNOTSUPP);
}

const struct fuse_lowlevel_ops session_ops = {
	.init = session_init,
	.lookup = session_lookup,
	.forget = session_forget,
	.getattr = session_getattr,
	.setattr = session_setattr,
	.readlink = session_readlink,
	.mknod = session_mknod,
	.mkdir = session_mkdir,
	.unlink = session_unlink,
	.rmdir = session_rmdir,
	.symlink = session_symlink,
	.rename = session_rename,
	.link = session_link,
	.open = session_open,
	.read = session_read,
	.write_buf = session_write_buf,
	.flush = session_flush,
	.release = session_release,
	.fsync = session_fsync,
	.opendir = session_opendir,
	.readdir = session_readdir,
	.readdirplus = session_readdirplus,
	.releasedir = session_releasedir,
	.fsyncdir = session_fsyncdir,
	.statfs = session_statfs,
	.create = session_create,
	.fallocate = session_fallocate,
	.lseek = session_lseek,
	.copy_file_range = session_copy_file_range,
};
