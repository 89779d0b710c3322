/*
 * jobs/NAME: what is in it.
 *
 * The kernel keeps names, attributes and contents until the notifier tells it to forget them.  An
 * invalidation may come before the kernel has the inode of a reply that is still on its way, so each
 * handler asks afterwards whether what it gave out is still what is shown.
 */
#include "jobdir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "linkpath.h"
#include "taskdir.h"
#include "work.h"

static struct fs *of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* After a reply. */
static void recheck(struct fs *fs, const struct job *job)
{
	if (!model_is_shown(fs->model, job))
		notifier_again(fs->notifier, job->serial);
}

/* ---- attributes ---- */

void jobdir_file_attr(const struct fs *fs, const struct job *job, enum job_file file,
	struct stat *ret)
{
	fs_attr(fs, fs_job_ino(job->serial, PART_FILE + file), S_IFREG | jobfile_mode(job, file),
		jobfile_size(job, file), job->file_ns[file], ret);
}

/* The target of stdout or stderr, the caller's to free; NULL while it is not known, or where the
 * output goes outside the job's directory. */
static char *link_target(const struct job *job, unsigned part)
{
	const char *path = part == PART_STDOUT ? job->stdout_path : job->stderr_path;
	struct strbuf below AUTO_STRBUF = STRBUF_INIT;

	if (linkpath_below(job->workdir, path, &below) < 0 || !below.len)
		return NULL;
	return xasprintf("work/%s", below.data);
}

static unsigned hide_bit(unsigned part)
{
	switch (part) {
	case PART_WORK:
		return HIDE_WORK;
	case PART_STDOUT:
		return HIDE_STDOUT;
	case PART_STDERR:
		return HIDE_STDERR;
	case PART_TASKS:
		return HIDE_TASKS;
	default:
		return 1u << (part - PART_FILE);
	}
}

static unsigned hidden_parts(struct fs *fs, const struct job *job)
{
	return fs_job_removable(job) ? hides_get(fs->hides, job->serial) : 0;
}

/* The attributes of one part; false where it is not there. */
static bool part_attr(struct fs *fs, const struct job *job, unsigned part, struct stat *ret)
{
	fuse_ino_t ino = fs_job_ino(job->serial, part);

	if (part == PART_DIR) {
		fs_attr(fs, ino, S_IFDIR | 0755, 0, job->state_ns, ret);
		return true;
	}
	if (part > PART_TASKS || hidden_parts(fs, job) & hide_bit(part))
		return false;
	if (part == PART_TASKS)
		return taskdir_attr(fs, job, ret);
	if (part == PART_WORK) {
		fs_attr(fs, ino, S_IFDIR | 0755, 0, job->state_ns, ret);
		return true;
	}
	if (part == PART_STDOUT || part == PART_STDERR) {
		AUTO_FREE char *target = link_target(job, part);

		if (target)
			fs_attr(fs, ino, S_IFLNK | 0777, strlen(target), job->submitted_ns, ret);
		return target != NULL;
	}
	jobdir_file_attr(fs, job, (enum job_file)(part - PART_FILE), ret);
	return true;
}

static const char *part_name(unsigned part)
{
	if (part == PART_WORK)
		return "work";
	if (part == PART_STDOUT)
		return "stdout";
	if (part == PART_STDERR)
		return "stderr";
	if (part == PART_TASKS)
		return "tasks";
	return jobfile_name((enum job_file)(part - PART_FILE));
}

/* PART_DIR for a name that no part has. */
static unsigned part_by_name(const char *name)
{
	for (unsigned part = PART_FILE; part <= PART_TASKS; part++)
		if (!strcmp(part_name(part), name))
			return part;
	return PART_DIR;
}

/* What a reply about that part gives out: the model answers a READ from the same version. */
static unsigned giving(unsigned part)
{
	return part >= PART_FILE && part < PART_WORK ? 1u << (part - PART_FILE) : 0;
}

struct fuse_entry_param jobdir_entry(const struct fs *fs, const struct job *job)
{
	struct stat attr;

	fs_attr(fs, fs_job_ino(job->serial, PART_DIR), S_IFDIR | 0755, 0, job->state_ns, &attr);
	return fs_entry(&attr, FS_LONG);
}

void jobdir_reply_entry(fuse_req_t req, const struct job *job)
{
	struct fs *fs = of(req);
	struct fuse_entry_param entry = jobdir_entry(fs, job);

	announcer_given(fs->announcer, entry.ino);
	fuse_reply_entry(req, &entry);
	recheck(fs, job);
}

static void jobdir_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = of(req);
	unsigned part = part_by_name(name);
	AUTO_JOB struct job *job = model_shown_giving(fs->model, fs_serial(parent), giving(part));
	struct stat attr;

	if (!job || fs_part(parent) != PART_DIR || part == PART_DIR ||
		!part_attr(fs, job, part, &attr)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	struct fuse_entry_param entry = fs_entry(&attr, FS_LONG);
	announcer_given(fs->announcer, entry.ino);
	fuse_reply_entry(req, &entry);
	recheck(fs, job);
}

static void jobdir_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	announcer_forgotten(of(req)->announcer, ino, nlookup);
	fuse_reply_none(req);
}

static void jobdir_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = of(req);
	unsigned part = fs_part(ino);
	AUTO_JOB struct job *job = model_shown_giving(fs->model, fs_serial(ino), giving(part));
	struct stat attr;

	(void)fi;
	if (!job || !part_attr(fs, job, part, &attr)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	fuse_reply_attr(req, &attr, FS_LONG);
	recheck(fs, job);
}

static void jobdir_readlink(fuse_req_t req, fuse_ino_t ino)
{
	AUTO_JOB struct job *job = model_shown(of(req)->model, fs_serial(ino));
	unsigned part = fs_part(ino);

	if (part != PART_STDOUT && part != PART_STDERR) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	AUTO_FREE char *target = job ? link_target(job, part) : NULL;
	if (target)
		fuse_reply_readlink(req, target);
	else
		fuse_reply_err(req, ENOENT);
}

/* ---- listing; tasks and work come last: `rm -rf` has removed all else before it gets there ---- */

static const unsigned char listed[] = {PART_FILE, PART_FILE + 1, PART_FILE + 2, PART_FILE + 3,
	PART_FILE + 4, PART_FILE + 5, PART_FILE + 6, PART_FILE + 7, PART_FILE + 8, PART_STDOUT, PART_STDERR,
	PART_TASKS, PART_WORK};
#define LISTED ((off_t)(sizeof(listed) / sizeof(*listed)))

_Static_assert(sizeof(listed) == PART_VIEW - PART_FILE, "every part of a job is listed");

static void list(fuse_req_t req, fuse_ino_t self, size_t size, off_t off, bool plus)
{
	struct fs *fs = of(req);
	AUTO_JOB struct job *job = model_shown_giving(fs->model, fs_serial(self),
		plus ? HIDE_FILES : 0);
	struct fs_listing l;

	if (!job || fs_part(self) != PART_DIR) {
		fuse_reply_err(req, job ? ENOTDIR : ENOENT);
		return;
	}
	fs_listing_begin(&l, req, size, plus);
	bool room = fs_listing_dots(&l, self, FIXED_JOBS, &off);
	for (off_t i = off - 2; room && i < LISTED; i++) {
		struct stat attr;

		if (!part_attr(fs, job, listed[i], &attr))
			continue;
		struct fuse_entry_param entry = fs_entry(&attr, FS_LONG);
		room = fs_listing_add(&l, part_name(listed[i]), &entry, i + 3);
		if (room && plus)
			announcer_given(fs->announcer, entry.ino);
	}
	fs_listing_end(&l);
	recheck(fs, job);
}

static void jobdir_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, false);
}

static void jobdir_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, true);
}

static void jobdir_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fs_reply_opendir_kept(req, fi);
}

/* A directory that was opened as a draft's has a handle of that kind. */
static void jobdir_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (fi->fh)
		draft_ops.releasedir(req, ino, fi);
	else
		fuse_reply_err(req, 0);
}

/* ---- removing its parts ---- */

static void jobdir_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = of(req);
	AUTO_JOB struct job *job = model_shown(fs->model, fs_serial(parent));
	unsigned part = part_by_name(name);
	struct stat attr;

	if (!job || part == PART_DIR || !part_attr(fs, job, part, &attr)) {
		fuse_reply_err(req, ENOENT);
	} else if (part == PART_WORK || part == PART_TASKS) {
		fuse_reply_err(req, EISDIR);
	} else if (!fs_job_removable(job)) {
		fuse_reply_err(req, EBUSY);
	} else {
		hides_add(fs->hides, job->serial, hide_bit(part));
		fuse_reply_err(req, 0);
	}
}

static void jobdir_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = of(req);
	AUTO_JOB struct job *job = model_shown(fs->model, fs_serial(parent));
	unsigned part = part_by_name(name);
	struct stat attr;

	if (!job || part == PART_DIR || !part_attr(fs, job, part, &attr)) {
		fuse_reply_err(req, ENOENT);
	} else if (part != PART_WORK && part != PART_TASKS) {
		fuse_reply_err(req, ENOTDIR);
	} else if (!fs_job_removable(job)) {
		fuse_reply_err(req, EBUSY);
	} else if (part == PART_TASKS) {
		bool empty = taskdir_is_hidden(fs, job);

		if (empty)
			hides_add(fs->hides, job->serial, HIDE_TASKS);
		fuse_reply_err(req, empty ? 0 : ENOTEMPTY);
	} else if (work_is_hidden(fs, job)) {
		hides_add(fs->hides, job->serial, HIDE_WORK);
		fuse_reply_err(req, 0);
	} else {
		/* Only where it is really empty; the directory itself goes with the job. */
		work_rmdir_top(req, parent);
	}
}

const struct fuse_lowlevel_ops job_ops = {
	.lookup = jobdir_lookup,
	.forget = jobdir_forget,
	.getattr = jobdir_getattr,
	.setattr = jobedit_setattr,
	.readlink = jobdir_readlink,
	.unlink = jobdir_unlink,
	.rmdir = jobdir_rmdir,
	.open = jobedit_open,
	.read = jobedit_read,
	.write = jobedit_write,
	.flush = jobedit_flush,
	.release = jobedit_release,
	.opendir = jobdir_opendir,
	.readdir = jobdir_readdir,
	.readdirplus = jobdir_readdirplus,
	.releasedir = jobdir_releasedir,
};
