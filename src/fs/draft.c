/* Drafts: what their files are, and the table of all their handlers. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "draftplace.h"
#include "err.h"
#include "log.h"

struct fs *draft_fs(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

struct spool_node *draft_node(struct fs *fs, fuse_ino_t ino)
{
	struct spool *spool = drafts_spool(fs->drafts);

	if (ino == FIXED_NEW)
		return spool_ref(spool, spool_root(spool));
	if (ino & FS_DRAFT_NODE)
		return spool_get(spool, ino & ~FS_DRAFT_NODE);
	return fs_part(ino) == PART_DIR ? drafts_node(fs->drafts, fs_serial(ino)) : NULL;
}

fuse_ino_t draft_ino(const struct fs *fs, const struct spool_node *node)
{
	if (node == spool_root(drafts_spool(fs->drafts)))
		return FIXED_NEW;
	return node->top ? fs_job_ino(node->top, PART_DIR) : FS_DRAFT_NODE | node->id;
}

bool place_is_root(const struct place *p)
{
	return p->node == spool_root(p->spool);
}

int place_begin(fuse_req_t req, fuse_ino_t ino, struct place *p)
{
	struct fs *fs = draft_fs(req);

	*p = (struct place){.fs = fs, .spool = drafts_spool(fs->drafts), .node = draft_node(fs, ino)};
	if (!p->node)
		return -ESTALE;
	p->serial = p->node->serial;
	int r = drafts_begin(fs->drafts, p->serial);
	if (r < 0)
		spool_put(p->spool, p->node);
	return r;
}

/* As place_begin(), of a directory in which something that is no directory is made. */
int place_begin_making(fuse_req_t req, fuse_ino_t ino, struct place *p)
{
	int r = place_begin(req, ino, p);

	if (r == 0 && place_is_root(p))
		p->serial = drafts_begin_loose(p->fs->drafts);
	return r;
}

void place_end(struct place *p, enum draft_effect effect, int result)
{
	drafts_end(p->fs->drafts, p->serial, effect, result);
	spool_put(p->spool, p->node);
}

int draft_attributes(const struct fs *fs, const struct spool_node *node, struct stat *st)
{
	int r = spool_stat(node, st);

	if (r < 0)
		return r;
	st->st_ino = draft_ino(fs, node);
	/* Only root's files can be others'; a network disk may call the user's own nobody's. */
	if (fs->uid)
		st->st_uid = fs->uid;
	if (st->st_ino == FIXED_NEW) {
		st->st_mode = S_IFDIR | 0755;
		st->st_uid = fs->uid;
		st->st_gid = fs->gid;
		st->st_nlink = 1;
	}
	/* cp and others write in pieces of this size, each of which is a request. */
	if (S_ISREG(st->st_mode))
		st->st_blksize = 1 << 20;
	return 0;
}

int place_find(struct place *p, const char *name, struct fuse_entry_param *e,
	struct spool_node **ret)
{
	struct spool_node *node;
	uint64_t serial = p->node->serial;

	if (place_is_root(p))
		serial = drafts_loose(p->fs->drafts);
	int r = spool_find(p->spool, p->node, name, serial, &node);
	if (r < 0)
		return r;
	if (place_is_root(p) && node->directory)
		drafts_adopt(p->fs->drafts, node, name);
	*e = (struct fuse_entry_param){.ino = draft_ino(p->fs, node), .attr_timeout = DRAFT_TIMEOUT,
		.entry_timeout = DRAFT_TIMEOUT};
	r = draft_attributes(p->fs, node, &e->attr);
	if (r < 0)
		spool_put(p->spool, node);
	else
		*ret = node;
	return r;
}

void draft_give_entry(struct spool *spool, struct spool_node *node, fuse_ino_t ino)
{
	if (ino & FS_DRAFT_NODE)
		spool_hand_over(spool, node);
	else
		spool_put(spool, node);
}

void draft_entry_not_taken(struct spool *spool, fuse_ino_t ino)
{
	if (ino & FS_DRAFT_NODE)
		spool_forget(spool, ino & ~FS_DRAFT_NODE, 1);
}

/* Finishes an operation that made or found `name`; puts right the mode where it is new. */
void place_reply_entry(fuse_req_t req, struct place *p, const char *name, int r, int mode)
{
	struct fuse_entry_param e;
	struct spool_node *node = NULL;
	struct spool *spool = p->spool;

	if (r == 0)
		r = place_find(p, name, &e, &node);
	if (r == 0 && mode >= 0 && (e.attr.st_mode & 07777) != ((mode_t)mode & 07777)) {
		spool_chmod(node, (mode_t)mode);
		draft_attributes(p->fs, node, &e.attr);
	}
	bool made_draft = r == 0 && mode >= 0 && place_is_root(p) && node->directory;
	uint64_t serial = made_draft ? (uint64_t)node->top : 0;
	if (made_draft && drafts_begin(p->fs->drafts, serial) == 0)
		drafts_end(p->fs->drafts, serial, DRAFT_CHANGE, 0);
	place_end(p, mode >= 0 ? DRAFT_CHANGE : DRAFT_READ, r);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	draft_give_entry(spool, node, e.ino);
	if (fuse_reply_entry(req, &e) < 0)
		draft_entry_not_taken(spool, e.ino);
}

static void draft_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct place p;

	int r = place_begin(req, parent, &p);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		place_reply_entry(req, &p, name, 0, PLACE_FOUND);
}

static void draft_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	if (ino & FS_DRAFT_NODE)
		spool_forget(drafts_spool(draft_fs(req)->drafts), ino & ~FS_DRAFT_NODE, count);
	fuse_reply_none(req);
}

static void draft_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		if (forgets[i].ino & FS_DRAFT_NODE)
			spool_forget(drafts_spool(draft_fs(req)->drafts), forgets[i].ino & ~FS_DRAFT_NODE,
				forgets[i].nlookup);
	fuse_reply_none(req);
}

static void draft_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = draft_fs(req);
	struct spool_node *node = draft_node(fs, ino);
	struct stat st;
	int r = node ? 0 : -ESTALE;

	/* An open file stays what it is, whatever became of its draft. */
	if (node && !fi && node->serial && !drafts_has(fs->drafts, node->serial))
		r = -ESTALE;
	if (r == 0)
		r = draft_attributes(fs, node, &st);
	spool_put(drafts_spool(fs->drafts), node);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_attr(req, &st, DRAFT_TIMEOUT);
}

/* The one way to place_cut a file: open with O_TRUNC, and truncate with and without a handle. */
int place_cut(struct place *p, struct draft_handle *handle, off_t size)
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

bool place_hands_down_group(const struct place *p)
{
	struct stat st;

	return !place_is_root(p) && spool_stat(p->node, &st) == 0 && st.st_mode & S_ISGID;
}

void place_own(fuse_req_t req, const struct place *p, const char *name)
{
	const struct fuse_ctx *caller = fuse_req_ctx(req);
	uid_t uid = caller->uid == p->fs->uid ? (uid_t)-1 : caller->uid;
	gid_t gid = caller->gid == p->fs->gid ? (gid_t)-1 : caller->gid;

	if (gid != (gid_t)-1 && place_hands_down_group(p))
		gid = (gid_t)-1;
	if (uid == (uid_t)-1 && gid == (gid_t)-1)
		return;
	if (fchownat(p->node->fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		log_debug("%s keeps the owner that it was made with: %s", name, strerror(errno));
}

/* Neither owner nor group, nor anything else, is what chown(-1, -1) comes as. */
static int set_owner(const struct place *p, const struct stat *attr, int to_set)
{
	uid_t uid = to_set & FUSE_SET_ATTR_UID ? attr->st_uid : (uid_t)-1;
	gid_t gid = to_set & FUSE_SET_ATTR_GID ? attr->st_gid : (gid_t)-1;

	if (to_set & ~(FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID) && uid == (uid_t)-1 && gid == (gid_t)-1)
		return 0;
	if (p->fs->uid && uid == p->fs->uid)
		uid = (uid_t)-1;
	return spool_chown(p->node, uid, gid);
}

static int set_attributes(struct place *p, const struct stat *attr, int to_set,
	struct draft_handle *handle)
{
	if (place_is_root(p))
		return -EPERM;
	/* A new owner takes the set-user-id bit away, so the mode comes after it. */
	int r = set_owner(p, attr, to_set);
	if (r == 0 && to_set & FUSE_SET_ATTR_MODE)
		r = spool_chmod(p->node, attr->st_mode);
	if (r == 0 && to_set & FUSE_SET_ATTR_SIZE)
		r = place_cut(p, handle, attr->st_size);
	if (r == 0 && to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME |
		FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW))
		r = set_times(p, attr, to_set);
	return r;
}

struct draft_handle *draft_handle_of(const struct fuse_file_info *fi)
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
	r = set_attributes(&p, attr, to_set, draft_handle_of(fi));
	if (r == 0)
		r = draft_attributes(p.fs, p.node, &st);
	place_end(&p, DRAFT_CHANGE, r);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_attr(req, &st, DRAFT_TIMEOUT);
}

static void draft_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = draft_fs(req);
	struct spool_node *node = draft_node(fs, ino);
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

static void draft_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;

	(void)ino;
	if (fstatvfs(spool_root(drafts_spool(draft_fs(req)->drafts))->fd, &st) < 0)
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
