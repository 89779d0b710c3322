/* Names in drafts made, removed and changed; a rename out of jobs/new submits. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "draftplace.h"
#include "err.h"

void draft_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
	struct place p;

	int r = place_begin_making(req, parent, &p);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	mode_t type = mode & S_IFMT ? mode & S_IFMT : S_IFREG;
	if (mknodat(p.node->fd, name, type | spool_real_mode(type | mode), dev) < 0)
		r = -errno;
	else
		place_own(req, &p, name);
	place_reply_entry(req, &p, name, r, (int)(mode & 07777));
}

void draft_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct place p;

	int r = place_begin(req, parent, &p);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	if (place_hands_down_group(&p))
		mode |= S_ISGID;
	if (mkdirat(p.node->fd, name, spool_real_mode(S_IFDIR | mode)) < 0)
		r = -errno;
	else
		place_own(req, &p, name);
	place_reply_entry(req, &p, name, r, (int)(mode & 07777));
}

void draft_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct place p;

	int r = place_begin_making(req, parent, &p);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	if (symlinkat(target, p.node->fd, name) < 0)
		r = -errno;
	else
		place_own(req, &p, name);
	place_reply_entry(req, &p, name, r, 0777);
}

void draft_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct fs *fs = draft_fs(req);
	struct spool_node *node = draft_node(fs, ino);
	char proc[SPOOL_PROC_SIZE];
	struct stat st = {0};
	struct place p;

	int r = node ? place_begin_making(req, parent, &p) : -ESTALE;
	if (r == 0) {
		r = draft_attributes(fs, node, &st);
		/* A file of two drafts would be changed in one after the other was submitted. */
		if (r == 0 && node->serial != p.serial)
			r = -EXDEV;
		if (r == 0 && linkat(AT_FDCWD, spool_proc(node, proc), p.node->fd, name,
			AT_SYMLINK_FOLLOW) < 0)
			r = -errno;
		place_reply_entry(req, &p, name, r, (int)(st.st_mode & 07777));
	} else {
		fuse_reply_err(req, -r);
	}
	spool_put(drafts_spool(fs->drafts), node);
}

bool place_is_config(const struct place *p, const char *name)
{
	return strcmp(name, "config.ini") == 0 && (place_is_root(p) || p->node->top);
}

void draft_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct place p;

	int r = place_begin(req, parent, &p);
	if (r == 0 && place_is_root(&p)) {
		p.serial = drafts_loose(p.fs->drafts);
		r = drafts_begin(p.fs->drafts, p.serial);
		if (r < 0)
			spool_put(p.spool, p.node);
	}
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	if (place_is_config(&p, name))
		drafts_remember_config(p.fs->drafts, p.serial);
	r = spool_unlink(p.spool, p.node, name, 0);
	if (r == 0)
		drafts_mended(p.fs->drafts, p.serial);
	bool root = place_is_root(&p);
	struct drafts *drafts = p.fs->drafts;
	place_end(&p, DRAFT_CHANGE, r);
	if (root && r == 0)
		drafts_recount_loose(drafts);
	fuse_reply_err(req, -r);
}

void draft_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct spool_node *node = NULL;
	struct place p;

	int r = place_begin(req, parent, &p);
	if (r == 0 && place_is_root(&p)) {
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
	r = spool_unlink(p.spool, p.node, name, AT_REMOVEDIR);
	uint64_t gone = r == 0 && node ? p.serial : 0;
	struct drafts *drafts = p.fs->drafts;
	place_end(&p, DRAFT_CHANGE, r);
	if (gone)
		drafts_removed(drafts, gone);
	fuse_reply_err(req, -r);
}

static void submitted(void *arg, int result)
{
	fuse_reply_err(arg, -result);
}

static void submit(fuse_req_t req, const char *name, const char *newname, unsigned flags)
{
	struct fs *fs = draft_fs(req);
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
		if (place_is_root(&n->from)) {
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

void draft_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned int flags)
{
	struct fs *fs = draft_fs(req);
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
	if (place_is_config(&n.to, newname))
		drafts_remember_config(fs->drafts, n.to.serial);
	r = spool_rename(n.from.spool, n.from.node, name, n.to.node, newname, flags);
	bool root = place_is_root(&n.from) || place_is_root(&n.to);
	uint64_t from = n.from.serial, to = n.to.serial;
	place_end(&n.from, DRAFT_CHANGE, r);
	place_end(&n.to, DRAFT_CHANGE, r);
	if (r == 0)
		rename_done(fs->drafts, from, to, root, n.directory, flags & RENAME_EXCHANGE);
	fuse_reply_err(req, -r);
}
