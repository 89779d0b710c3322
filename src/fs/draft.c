/* jobs/new and all below it: the drafts' files, served from the spool's disk. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"
#include "fs.h"
#include "spool.h"

/* Only the mount changes drafts, and the kernel knows what it did. */
#define TIMEOUT 3600.0
#define WRITER_WAIT_MS 1000

/* A directory or file that an operation works on, and the draft that it belongs to. */
struct place {
	struct fs *fs;
	struct spool *spool;
	struct spool_node *node;
	uint64_t serial; /* of the operation that was begun; 0: in jobs/new itself */
};

static struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static struct spool_node *node_of(struct fs *fs, fuse_ino_t ino)
{
	struct spool *spool = drafts_spool(fs->drafts);

	if (ino == FIXED_NEW)
		return spool_ref(spool, spool_root(spool));
	if (ino & FS_DRAFT_NODE)
		return spool_get(spool, ino & ~FS_DRAFT_NODE);
	return fs_part(ino) == PART_DIR ? drafts_node(fs->drafts, fs_serial(ino)) : NULL;
}

static fuse_ino_t ino_of(const struct fs *fs, const struct spool_node *node)
{
	if (node == spool_root(drafts_spool(fs->drafts)))
		return FIXED_NEW;
	return node->top ? fs_job_ino(node->top, PART_DIR) : FS_DRAFT_NODE | node->id;
}

static bool is_root(const struct place *p)
{
	return p->node == spool_root(p->spool);
}

static int place_begin(fuse_req_t req, fuse_ino_t ino, struct place *p)
{
	struct fs *fs = fs_of(req);

	*p = (struct place){.fs = fs, .spool = drafts_spool(fs->drafts), .node = node_of(fs, ino)};
	if (!p->node)
		return -ESTALE;
	p->serial = p->node->serial;
	int r = drafts_begin(fs->drafts, p->serial);
	if (r < 0)
		spool_put(p->spool, p->node);
	return r;
}

/* As place_begin(), of a directory in which something that is no directory is made. */
static int place_begin_making(fuse_req_t req, fuse_ino_t ino, struct place *p)
{
	int r = place_begin(req, ino, p);

	if (r == 0 && is_root(p))
		p->serial = drafts_begin_loose(p->fs->drafts);
	return r;
}

static void place_end(struct place *p, enum draft_effect effect, int result)
{
	drafts_end(p->fs->drafts, p->serial, effect, result);
	spool_put(p->spool, p->node);
}

static int attributes(const struct fs *fs, const struct spool_node *node, struct stat *st)
{
	int r = spool_stat(node, st);

	if (r < 0)
		return r;
	st->st_ino = ino_of(fs, node);
	st->st_uid = fs->uid;
	st->st_gid = fs->gid;
	if (st->st_ino == FIXED_NEW)
		st->st_mode = S_IFDIR | 0755;
	if (S_ISDIR(st->st_mode))
		st->st_nlink = 1;
	return 0;
}

/* The entry `name` with a reference that is the kernel's. */
static int find_entry(struct place *p, const char *name, struct fuse_entry_param *e,
	struct spool_node **ret)
{
	struct spool_node *node;
	uint64_t serial = p->node->serial;

	if (is_root(p))
		serial = drafts_loose(p->fs->drafts);
	int r = spool_find(p->spool, p->node, name, serial, &node);
	if (r < 0)
		return r;
	if (is_root(p) && node->directory)
		drafts_adopt(p->fs->drafts, node, name);
	*e = (struct fuse_entry_param){.ino = ino_of(p->fs, node), .attr_timeout = TIMEOUT,
		.entry_timeout = TIMEOUT};
	r = attributes(p->fs, node, &e->attr);
	if (r < 0)
		spool_put(p->spool, node);
	else
		*ret = node;
	return r;
}

/* Directories at the top are known by their serial: their look-ups are not counted. */
static void entry_given(struct spool *spool, struct spool_node *node, bool taken)
{
	if (!taken || node->top)
		spool_put(spool, node);
}

/* Finishes an operation that made or found `name`; puts right the mode where it is new. */
static void reply_entry(fuse_req_t req, struct place *p, const char *name, int r, int mode)
{
	struct fuse_entry_param e;
	struct spool_node *node = NULL;
	struct spool *spool = p->spool;

	if (r == 0)
		r = find_entry(p, name, &e, &node);
	if (r == 0 && mode >= 0 && (e.attr.st_mode & 07777) != ((mode_t)mode & 07777)) {
		spool_chmod(node, (mode_t)mode);
		attributes(p->fs, node, &e.attr);
	}
	bool made_draft = r == 0 && mode >= 0 && is_root(p) && node->directory;
	uint64_t serial = made_draft ? (uint64_t)node->top : 0;
	if (made_draft && drafts_begin(p->fs->drafts, serial) == 0)
		drafts_end(p->fs->drafts, serial, DRAFT_CHANGE, 0);
	place_end(p, mode >= 0 ? DRAFT_CHANGE : DRAFT_READ, r);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		entry_given(spool, node, fuse_reply_entry(req, &e) == 0);
}

#define FOUND (-1) /* for reply_entry(): nothing was made */

static void draft_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct place p;

	int r = place_begin(req, parent, &p);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		reply_entry(req, &p, name, 0, FOUND);
}

static void draft_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	if (ino & FS_DRAFT_NODE)
		spool_forget(drafts_spool(fs_of(req)->drafts), ino & ~FS_DRAFT_NODE, count);
	fuse_reply_none(req);
}

static void draft_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		if (forgets[i].ino & FS_DRAFT_NODE)
			spool_forget(drafts_spool(fs_of(req)->drafts), forgets[i].ino & ~FS_DRAFT_NODE,
				forgets[i].nlookup);
	fuse_reply_none(req);
}

static void draft_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct spool_node *node = node_of(fs, ino);
	struct stat st;
	int r = node ? 0 : -ESTALE;

	/* An open file stays what it is, whatever became of its draft. */
	if (node && !fi && node->serial && !drafts_has(fs->drafts, node->serial))
		r = -ESTALE;
	if (r == 0)
		r = attributes(fs, node, &st);
	spool_put(drafts_spool(fs->drafts), node);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_attr(req, &st, TIMEOUT);
}

/* The one way to cut a file: open with O_TRUNC, and truncate with and without a handle. */
static int cut(struct place *p, struct draft_handle *handle, off_t size)
{
	int fd AUTO_CLOSE = handle ? -1 : spool_reopen(p->node, O_WRONLY);

	if (!handle && fd < 0)
		return fd;
	if (ftruncate(handle ? handle->fd : fd, size) < 0)
		return -errno;
	if (handle)
		drafts_wrote(p->fs->drafts, handle);
	return 0;
}

static int set_times(struct place *p, const struct stat *attr, int to_set)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
	char proc[SPOOL_PROC_SIZE];

	if (to_set & FUSE_SET_ATTR_ATIME_NOW)
		times[0].tv_nsec = UTIME_NOW;
	else if (to_set & FUSE_SET_ATTR_ATIME)
		times[0] = attr->st_atim;
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		times[1].tv_nsec = UTIME_NOW;
	else if (to_set & FUSE_SET_ATTR_MTIME)
		times[1] = attr->st_mtim;
	return utimensat(AT_FDCWD, spool_proc(p->node, proc), times, 0) < 0 ? -errno : 0;
}

static int set_attributes(struct place *p, const struct stat *attr, int to_set,
	struct draft_handle *handle)
{
	int r = 0;

	if (is_root(p))
		return -EPERM;
	if ((to_set & FUSE_SET_ATTR_UID && attr->st_uid != p->fs->uid) ||
		(to_set & FUSE_SET_ATTR_GID && attr->st_gid != p->fs->gid))
		return -EPERM;
	if (to_set & FUSE_SET_ATTR_MODE)
		r = spool_chmod(p->node, attr->st_mode);
	if (r == 0 && to_set & FUSE_SET_ATTR_SIZE)
		r = cut(p, handle, attr->st_size);
	if (r == 0 && to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME |
		FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW))
		r = set_times(p, attr, to_set);
	return r;
}

static struct draft_handle *handle_of(const struct fuse_file_info *fi)
{
	return fi ? (struct draft_handle *)(uintptr_t)fi->fh : NULL;
}

static void draft_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	struct fuse_file_info *fi)
{
	struct place p;
	struct stat st;

	int r = place_begin(req, ino, &p);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	r = set_attributes(&p, attr, to_set, handle_of(fi));
	if (r == 0)
		r = attributes(p.fs, p.node, &st);
	place_end(&p, DRAFT_CHANGE, r);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_attr(req, &st, TIMEOUT);
}

static void draft_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_of(req);
	struct spool_node *node = node_of(fs, ino);
	char target[4097];

	ssize_t n = node ? readlinkat(node->fd, "", target, sizeof(target) - 1) : -1;
	int error = node ? errno : ESTALE;
	spool_put(drafts_spool(fs->drafts), node);
	if (n < 0) {
		fuse_reply_err(req, error);
		return;
	}
	target[n] = 0;
	fuse_reply_readlink(req, target);
}

static void draft_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
	struct place p;

	(void)dev;
	int r = S_ISREG(mode) ? place_begin_making(req, parent, &p) : -EPERM;
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	if (mknodat(p.node->fd, name, S_IFREG | spool_real_mode(mode, false), 0) < 0)
		r = -errno;
	reply_entry(req, &p, name, r, (int)(mode & 07777));
}

static void draft_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct place p;

	int r = place_begin(req, parent, &p);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	if (mkdirat(p.node->fd, name, spool_real_mode(mode, true)) < 0)
		r = -errno;
	reply_entry(req, &p, name, r, (int)(mode & 07777));
}

static void draft_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct place p;

	int r = place_begin_making(req, parent, &p);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	if (symlinkat(target, p.node->fd, name) < 0)
		r = -errno;
	reply_entry(req, &p, name, r, 0777);
}

static void draft_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct spool_node *node = node_of(fs, ino);
	char proc[SPOOL_PROC_SIZE];
	struct stat st = {0};
	struct place p;

	int r = node ? place_begin_making(req, parent, &p) : -ESTALE;
	if (r == 0) {
		r = attributes(fs, node, &st);
		/* A file of two drafts would be changed in one after the other was submitted. */
		if (r == 0 && node->serial != p.serial)
			r = -EXDEV;
		if (r == 0 && linkat(AT_FDCWD, spool_proc(node, proc), p.node->fd, name,
			AT_SYMLINK_FOLLOW) < 0)
			r = -errno;
		reply_entry(req, &p, name, r, (int)(st.st_mode & 07777));
	} else {
		fuse_reply_err(req, -r);
	}
	spool_put(drafts_spool(fs->drafts), node);
}

static bool is_config(const struct place *p, const char *name)
{
	return strcmp(name, "config.ini") == 0 && (is_root(p) || p->node->top);
}

static void draft_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct place p;

	int r = place_begin(req, parent, &p);
	if (r == 0 && is_root(&p)) {
		p.serial = drafts_loose(p.fs->drafts);
		r = drafts_begin(p.fs->drafts, p.serial);
		if (r < 0)
			spool_put(p.spool, p.node);
	}
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	if (is_config(&p, name))
		drafts_remember_config(p.fs->drafts, p.serial);
	if (unlinkat(p.node->fd, name, 0) < 0)
		r = -errno;
	else
		drafts_mended(p.fs->drafts, p.serial);
	bool root = is_root(&p);
	struct drafts *drafts = p.fs->drafts;
	place_end(&p, DRAFT_CHANGE, r);
	if (root && r == 0)
		drafts_recount_loose(drafts);
	fuse_reply_err(req, -r);
}

static void draft_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct spool_node *node = NULL;
	struct place p;

	int r = place_begin(req, parent, &p);
	if (r == 0 && is_root(&p)) {
		r = spool_find(p.spool, p.node, name, 0, &node);
		p.serial = node ? (uint64_t)node->top : 0;
		if (r == 0)
			r = drafts_begin(p.fs->drafts, p.serial);
		spool_put(p.spool, node);
		if (r < 0)
			spool_put(p.spool, p.node);
	}
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	if (unlinkat(p.node->fd, name, AT_REMOVEDIR) < 0)
		r = -errno;
	uint64_t gone = r == 0 && node ? p.serial : 0;
	struct drafts *drafts = p.fs->drafts;
	place_end(&p, DRAFT_CHANGE, r);
	if (gone)
		drafts_removed(drafts, gone);
	fuse_reply_err(req, -r);
}

/* ---- rename ---- */

static void submitted(void *arg, int result)
{
	fuse_reply_err(arg, -result);
}

static void submit(fuse_req_t req, const char *name, const char *newname, unsigned flags)
{
	struct fs *fs = fs_of(req);
	struct spool *spool = drafts_spool(fs->drafts);
	struct spool_node *node;

	int r = spool_find(spool, spool_root(spool), name, 0, &node);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	uint64_t serial = node->directory ? drafts_adopt(fs->drafts, node, name) : 0;
	spool_put(spool, node);
	if (!serial)
		r = -EPERM;
	else if (flags & ~(unsigned)RENAME_NOREPLACE)
		r = -EINVAL;
	else
		r = drafts_wait_writers(fs->drafts, serial, WRITER_WAIT_MS);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		engine_submit(fs->engine, serial, newname, submitted, req);
}

struct renaming {
	struct place from, to;
	const char *name, *newname;
	unsigned flags;
	bool directory; /* what is renamed */
};

/* Begins the operation on both drafts.  At the top, the draft is that of the entry itself. */
static int rename_begin(fuse_req_t req, fuse_ino_t parent, fuse_ino_t newparent, struct renaming *n)
{
	struct spool_node *node = NULL;

	int r = place_begin(req, parent, &n->from);
	if (r < 0)
		return r;
	r = spool_find(n->from.spool, n->from.node, n->name, n->from.node->serial, &node);
	if (r == 0) {
		n->directory = node->directory;
		if (is_root(&n->from)) {
			n->from.serial = n->directory ? (uint64_t)node->top : drafts_loose(n->from.fs->drafts);
			r = drafts_begin(n->from.fs->drafts, n->from.serial);
			if (r < 0)
				n->from.serial = 0;
		}
		spool_put(n->from.spool, node);
	}
	if (r == 0)
		r = n->directory ? place_begin(req, newparent, &n->to) :
			place_begin_making(req, newparent, &n->to);
	if (r < 0)
		place_end(&n->from, DRAFT_READ, 0);
	return r;
}

/* Which drafts there are, and what belongs to which. */
static void rename_done(struct drafts *drafts, uint64_t from, uint64_t to, bool root, bool directory,
	bool exchange)
{
	if (root && (directory || exchange))
		drafts_rescan(drafts);
	if (from != to || exchange) {
		drafts_reown(drafts, from);
		if (exchange)
			drafts_reown(drafts, to);
	}
	if (root)
		drafts_recount_loose(drafts);
}

static void draft_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned int flags)
{
	struct fs *fs = fs_of(req);
	struct renaming n = {.name = name, .newname = newname, .flags = flags};

	if (parent == FIXED_NEW && newparent == FIXED_JOBS) {
		submit(req, name, newname, flags);
		return;
	}
	if (newparent != FIXED_NEW && !(newparent & FS_DRAFT_NODE) &&
		(fs_part(newparent) != PART_DIR || !drafts_has(fs->drafts, fs_serial(newparent)))) {
		fuse_reply_err(req, EPERM);
		return;
	}
	int r = rename_begin(req, parent, newparent, &n);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	if (is_config(&n.to, newname))
		drafts_remember_config(fs->drafts, n.to.serial);
	if (renameat2(n.from.node->fd, name, n.to.node->fd, newname, flags) < 0)
		r = -errno;
	bool root = is_root(&n.from) || is_root(&n.to);
	uint64_t from = n.from.serial, to = n.to.serial;
	place_end(&n.from, DRAFT_CHANGE, r);
	place_end(&n.to, DRAFT_CHANGE, r);
	if (r == 0)
		rename_done(fs->drafts, from, to, root, n.directory, flags & RENAME_EXCHANGE);
	fuse_reply_err(req, -r);
}

/* ---- open files ---- */

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
		int r = cut(p, handle, 0);
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

static void draft_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
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
		drafts_closed(drafts, handle_of(fi));
}

/* Makes the file; then it is looked up and opened like any other. */
static int make_file(struct place *p, const char *name, mode_t mode, int flags,
	struct fuse_entry_param *e, struct spool_node **node)
{
	int fd AUTO_CLOSE = openat(p->node->fd, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW |
		O_CLOEXEC, spool_real_mode(mode, false));
	bool made = fd >= 0;

	if (fd < 0 && (errno != EEXIST || flags & O_EXCL))
		return -errno;
	int r = find_entry(p, name, e, node);
	if (r == 0 && made && (e->attr.st_mode & 07777) != (mode & 07777)) {
		r = spool_chmod(*node, mode);
		attributes(p->fs, *node, &e->attr);
	}
	return r;
}

static void draft_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
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
	bool config = is_config(&p, name);
	r = make_file(&p, name, mode, fi->flags, &e, &node);
	if (r == 0) {
		struct place file = p;

		file.node = node;
		r = open_node(&file, fi->flags, config, fi);
		attributes(p.fs, node, &e.attr);
	}
	place_end(&p, DRAFT_CHANGE, r);
	if (r < 0) {
		spool_put(spool, node);
		fuse_reply_err(req, -r);
	} else if (fuse_reply_create(req, &e, fi) == -ENOENT) {
		drafts_closed(drafts, handle_of(fi));
		spool_put(spool, node);
	}
}

static void draft_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	struct fuse_bufvec data = FUSE_BUFVEC_INIT(size);

	(void)ino;
	data.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	data.buf[0].fd = handle_of(fi)->fd;
	data.buf[0].pos = off;
	fuse_reply_data(req, &data, FUSE_BUF_SPLICE_MOVE);
}

static void draft_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *in, off_t off,
	struct fuse_file_info *fi)
{
	struct drafts *drafts = fs_of(req)->drafts;
	struct draft_handle *handle = handle_of(fi);
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

static void draft_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fuse_reply_err(req, -drafts_flush(fs_of(req)->drafts, handle_of(fi)));
}

static void draft_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	drafts_closed(fs_of(req)->drafts, handle_of(fi));
	fuse_reply_err(req, 0);
}

static void draft_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	int fd = handle_of(fi)->fd;

	(void)ino;
	fuse_reply_err(req, (datasync ? fdatasync(fd) : fsync(fd)) < 0 ? errno : 0);
}

static void draft_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
	struct fuse_file_info *fi)
{
	struct draft_handle *handle = handle_of(fi);
	struct drafts *drafts = fs_of(req)->drafts;
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

static void draft_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
	struct fuse_file_info *fi)
{
	off_t at = lseek(handle_of(fi)->fd, off, whence);

	(void)ino;
	if (at < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_lseek(req, at);
}

static void draft_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
	struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
	struct fuse_file_info *fi_out, size_t len, int flags)
{
	struct draft_handle *handle = handle_of(fi_out);
	struct drafts *drafts = fs_of(req)->drafts;
	uint64_t serial = handle->node->serial;

	(void)ino_out;
	/* The other one may be of a group whose handles are something else. */
	int r = ino_in & FS_DRAFT_NODE ? drafts_begin(drafts, serial) : -EXDEV;
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	ssize_t n = copy_file_range(handle_of(fi_in)->fd, &off_in, handle->fd, &off_out, len,
		(unsigned)flags);
	r = n < 0 ? -errno : 0;
	drafts_wrote(drafts, handle);
	drafts_end(drafts, serial, DRAFT_CHANGE, r);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_write(req, (size_t)n);
}

/* ---- listing ---- */

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

static void draft_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
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

/* Adds one entry; false where it does not fit.  The kernel keeps its reference with `plus`. */
static bool list_one(struct fs_listing *l, struct place *p, const char *name, off_t next)
{
	struct fuse_entry_param e;
	struct spool_node *node;

	if (!fs_listing_fits(l, name))
		return false;
	/* What is gone since the snapshot is left out. */
	if (find_entry(p, name, &e, &node) < 0)
		return true;
	bool added = fs_listing_add(l, name, &e, next);
	entry_given(p->spool, node, added && l->plus);
	return added;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi,
	bool plus)
{
	struct dir_handle *d = dir_of(fi);
	struct fs_listing l;
	struct place p;

	int r = place_begin(req, ino, &p);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	WITH_LOCK(&d->lock);
	if (off == 0)
		r = dir_read(d);
	if (r < 0) {
		place_end(&p, DRAFT_READ, 0);
		fuse_reply_err(req, -r);
		return;
	}
	fs_listing_begin(&l, req, size, plus);
	/* The offsets 1 and 2 are those of . and .. */
	if (fs_listing_dots(&l, ino, FIXED_NEW, &off))
		for (size_t i = (size_t)(off < 2 ? 0 : off - 2); i < d->count; i++)
			if (!list_one(&l, &p, d->names[i], (off_t)i + 3))
				break;
	place_end(&p, DRAFT_READ, 0);
	fs_listing_end(&l);
}

static void draft_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	list(req, ino, size, off, fi, false);
}

static void draft_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	list(req, ino, size, off, fi, true);
}

static void draft_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	dir_free(dir_of(fi));
	fuse_reply_err(req, 0);
}

static void draft_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	fuse_reply_err(req, fsync(dir_of(fi)->fd) < 0 ? errno : 0);
}

static void draft_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;

	(void)ino;
	if (fstatvfs(spool_root(drafts_spool(fs_of(req)->drafts))->fd, &st) < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_statfs(req, &st);
}

const struct fuse_lowlevel_ops draft_ops = {
	.lookup = draft_lookup,
	.forget = draft_forget,
	.forget_multi = draft_forget_multi,
	.getattr = draft_getattr,
	.setattr = draft_setattr,
	.readlink = draft_readlink,
	.mknod = draft_mknod,
	.mkdir = draft_mkdir,
	.unlink = draft_unlink,
	.rmdir = draft_rmdir,
	.symlink = draft_symlink,
	.link = draft_link,
	.rename = draft_rename,
	.open = draft_open,
	.create = draft_create,
	.read = draft_read,
	.write_buf = draft_write_buf,
	.flush = draft_flush,
	.release = draft_release,
	.fsync = draft_fsync,
	.opendir = draft_opendir,
	.readdir = draft_readdir,
	.readdirplus = draft_readdirplus,
	.releasedir = draft_releasedir,
	.fsyncdir = draft_fsyncdir,
	.statfs = draft_statfs,
	.fallocate = draft_fallocate,
	.lseek = draft_lseek,
	.copy_file_range = draft_copy_file_range,
};
