/* Inodes, attributes and replies that all groups share. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "fs.h"
#include "jobstate.h"

/* A draft's directory keeps its inode when it becomes a job: from the moment in which jobs/NAME is there,
 * though its files are still being moved. */
static bool is_draft(struct fs *fs, uint64_t serial)
{
	if (!drafts_has(fs->drafts, serial))
		return false;
	AUTO_JOB struct job *job = model_shown(fs->model, serial);

	return !job;
}

const struct fuse_lowlevel_ops *fs_ops(struct fs *fs, fuse_ino_t ino)
{
	if ((ino & FS_TASK_NODE) == FS_TASK_NODE)
		return &task_ops;
	if (ino & FS_WORK_NODE)
		return &work_ops;
	if (ino & FS_DRAFT_NODE || ino == FIXED_NEW)
		return &draft_ops;
	if (ino & FS_STATE_NODE)
		return &state_ops;
	if (ino & FS_TEMPLATE_NODE || ino == FIXED_TEMPLATES)
		return &template_ops;
	if (ino & FS_TEMPLATE_VIEW || ino == FIXED_TEMPLATE_VIEWS)
		return &template_view_ops;
	if (!fs_serial(ino))
		return &fixed_ops;
	if (fs_part(ino) == PART_WORK)
		return &work_ops;
	if (fs_part(ino) == PART_TASKS)
		return &task_ops;
	if (fs_part(ino) == PART_WAIT)
		return &wait_ops;
	if (fs_part(ino) >= PART_VIEW)
		return &view_ops;
	return fs_part(ino) == PART_DIR && is_draft(fs, fs_serial(ino)) ? &draft_ops : &job_ops;
}

void fs_attr(const struct fs *fs, fuse_ino_t ino, mode_t mode, uint64_t size, int64_t ns,
	struct stat *ret)
{
	*ret = (struct stat){
		.st_ino = ino,
		.st_mode = mode,
		.st_nlink = 1,
		.st_uid = fs->uid,
		.st_gid = fs->gid,
		.st_size = (off_t)size,
		.st_blksize = 4096,
		.st_blocks = (blkcnt_t)((size + 511) / 512),
	};
	ret->st_mtim = clock_timespec(ns);
	ret->st_atim = ret->st_mtim;
	ret->st_ctim = ret->st_mtim;
}

struct fuse_entry_param fs_entry(const struct stat *attr, double timeout)
{
	return (struct fuse_entry_param){
		.ino = attr->st_ino,
		.attr = *attr,
		.attr_timeout = timeout,
		.entry_timeout = timeout,
	};
}

void fs_reply_part(fuse_req_t req, const char *bytes, size_t len, size_t size, off_t off)
{
	if (off < 0 || (uint64_t)off >= len) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	len -= (size_t)off;
	fuse_reply_buf(req, bytes + off, len < size ? len : size);
}

void fs_reply_text(fuse_req_t req, const struct strbuf *text, size_t size, off_t off)
{
	struct strbuf copy AUTO_STRBUF = STRBUF_INIT;

	strbuf_add(&copy, text->data, text->len);
	fs_reply_part(req, copy.data, copy.len, size, off);
}

void fs_reply_done(void *arg, int result)
{
	fuse_reply_err(arg, -result);
}

int fs_remote_errno(int error)
{
	switch (-error) {
	case ENOTCONN:
	case ETIMEDOUT:
	case EPIPE:
	case ECANCELED:
	case EPROTO:
		return EIO;
	default:
		return -error;
	}
}

bool fs_job_removable(const struct job *job)
{
	enum jobstate_class class = jobstate_class(job->state);

	if (job->needed || job_keeps(job))
		return false;
	/* It is only forgotten here. */
	if (*job->owner)
		return true;
	return class == JOBSTATE_ENDED || class == JOBSTATE_LOST || !strcmp(job->state, "REJECTED");
}

/* ---- listings ---- */

/*
 * The kernel keeps the listing, and drops it by itself where the directory's times are others the next
 * time it is opened, and where it is told to forget a name in it.
 */
void fs_reply_opendir_kept(fuse_req_t req, struct fuse_file_info *fi)
{
	fi->cache_readdir = 1;
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

void fs_listing_begin(struct fs_listing *l, fuse_req_t req, size_t size, bool plus)
{
	*l = (struct fs_listing){.req = req, .plus = plus, .bytes = xmalloc(size), .size = size};
}

bool fs_listing_fits(const struct fs_listing *l, const char *name)
{
	size_t need = l->plus ? fuse_add_direntry_plus(l->req, NULL, 0, name, NULL, 0)
			      : fuse_add_direntry(l->req, NULL, 0, name, NULL, 0);

	return need <= l->size - l->len;
}

bool fs_listing_add(struct fs_listing *l, const char *name, const struct fuse_entry_param *entry,
	off_t next)
{
	if (!fs_listing_fits(l, name))
		return false;
	if (l->plus)
		l->len += fuse_add_direntry_plus(l->req, l->bytes + l->len, l->size - l->len, name,
			entry, next);
	else
		l->len += fuse_add_direntry(l->req, l->bytes + l->len, l->size - l->len, name,
			&entry->attr, next);
	return true;
}

bool fs_listing_dots(struct fs_listing *l, fuse_ino_t self, fuse_ino_t parent, off_t *off)
{
	struct fuse_entry_param entry = {.attr.st_mode = S_IFDIR};

	/* Without a node id: the kernel takes no reference for these two. */
	entry.attr.st_ino = self;
	if (*off < 1 && !fs_listing_add(l, ".", &entry, 1))
		return false;
	entry.attr.st_ino = parent;
	if (*off < 2 && !fs_listing_add(l, "..", &entry, 2))
		return false;
	if (*off < 2)
		*off = 2;
	return true;
}

int fs_listing_end(struct fs_listing *l)
{
	int r = fuse_reply_buf(l->req, l->bytes, l->len);

	free(STEAL(l->bytes));
	return r;
}
