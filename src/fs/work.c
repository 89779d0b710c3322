/*
 * jobs/NAME/work: the job's directory on the cluster.  Its handlers only write down what is asked;
 * the pool's threads ask the cluster and answer.  Paths are those the kernel has looked up, name by
 * name, so none leads out of the directory.
 */
#include "work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "linkpath.h"

static struct fs *of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

struct work *work_new(struct fs *fs)
{
	struct work *work = xcalloc(1, sizeof(*work));

	work->fs = fs;
	work->nodes = work_nodes_new();
	work->pool = work_pool_new(fs);
	work->fetch = work_fetch_new(fs);
	work->walk = work_walk_new(fs);
	return work;
}

int work_start(struct work *work)
{
	return work_pool_start(work->pool);
}

void work_stop(struct work *work)
{
	work_pool_stop(work->pool);
}

void work_free(struct work *work)
{
	if (!work)
		return;
	work_pool_free(work->pool);
	work_fetch_free(work->fetch);
	work_walk_free(work->walk);
	work_nodes_free(work->nodes);
	free(work);
}

bool work_is_hidden(struct fs *fs, const struct job *job)
{
	return fs_job_removable(job) &&
		(hides_get(fs->hides, job->serial) & HIDE_FILES) == HIDE_FILES;
}

/* ---- paths and attributes ---- */

char *work_below(const struct work_task *task, const char *name)
{
	if (!name)
		return xstrdup(task->place.path);
	return *task->place.path ? xasprintf("%s/%s", task->place.path, name) : xstrdup(name);
}

char *work_path(const struct work_task *task, const char *name)
{
	AUTO_FREE char *below = work_below(task, name);

	if (!*task->job->workdir)
		return NULL;
	/* See remote.h: what was a directory when it was looked up may be a link by now. */
	return xasprintf("%s/./%s", task->job->workdir, below);
}

static bool name_is_fine(const char *name)
{
	return *name && strlen(name) <= 255 && !strchr(name, '/') && strcmp(name, ".") &&
		strcmp(name, "..");
}

void work_attr(const struct fs *fs, fuse_ino_t ino, const struct remote_attr *attr,
	struct stat *ret)
{
	mode_t mode = (attr->mode & S_IFMT) | (attr->mode & 0777);

	/* A directory's entries may have to be removed; files are read alone. */
	if (S_ISDIR(attr->mode))
		mode |= 0700;
	fs_attr(fs, ino, mode, S_ISDIR(attr->mode) ? 0 : attr->size, attr->mtime_ns, ret);
}

/* ---- tasks, on the pool's threads ---- */

/* What came with the contents that were read ahead need not be asked for once more. */
static int ask_attr(struct work_task *task, const char *below, const char *path,
	struct remote_attr *ret)
{
	if (work_fetch_attr(task->fs->work->fetch, task->place.serial, below, ret))
		return 0;
	return remote_lstat(task->fs->remote, path, task->deadline, ret);
}

static void answer_lookup(struct work_task *task, const char *below, const struct remote_attr *remote)
{
	struct work_nodes *nodes = task->fs->work->nodes;
	struct stat attr;

	if (!work_claim(task))
		return;
	fuse_ino_t ino = work_nodes_get(nodes, task->place.serial, below, remote);
	work_attr(task->fs, ino, remote, &attr);
	struct fuse_entry_param entry = fs_entry(&attr, 1);
	if (fuse_reply_entry(task->req, &entry) == -ENOENT)
		work_nodes_forget(nodes, ino, 1);
}

static void run_lookup(struct work_task *task)
{
	AUTO_FREE char *below = work_below(task, task->name);
	AUTO_FREE char *path = work_path(task, task->name);
	struct remote_attr remote;
	int r = path ? ask_attr(task, below, path, &remote) : -ENOENT;

	if (r < 0)
		work_fail(task, r);
	else
		answer_lookup(task, below, &remote);
}

static void answer_getattr(struct work_task *task, const struct remote_attr *remote)
{
	struct stat attr;

	if (task->place.seen && (remote->mode & S_IFMT) != (task->place.attr.mode & S_IFMT)) {
		work_fail(task, -ESTALE);
		return;
	}
	work_nodes_note(task->fs->work->nodes, task->ino, remote);
	work_attr(task->fs, task->ino, remote, &attr);
	if (work_claim(task))
		fuse_reply_attr(task->req, &attr, 1);
}

static void run_getattr(struct work_task *task)
{
	AUTO_FREE char *path = work_path(task, NULL);
	struct remote_attr remote;
	int r = path ? ask_attr(task, task->place.path, path, &remote) : -ENOENT;

	if (r < 0)
		work_fail(task, r);
	else
		answer_getattr(task, &remote);
}

static void run_readlink(struct work_task *task)
{
	AUTO_FREE char *path = work_path(task, NULL);
	struct strbuf target AUTO_STRBUF = STRBUF_INIT;
	struct strbuf shown AUTO_STRBUF = STRBUF_INIT;
	int r = path ? remote_readlink(task->fs->remote, path, task->deadline, &target) : -ENOENT;

	if (r < 0) {
		work_fail(task, r);
		return;
	}
	linkpath_show(task->job->workdir, task->place.path, target.data, &shown);
	if (work_claim(task))
		fuse_reply_readlink(task->req, shown.data);
}

static void run_unlink(struct work_task *task)
{
	AUTO_FREE char *path = work_path(task, task->name);

	work_fail(task, path ? remote_unlink(task->fs->remote, path, task->deadline) : -ENOENT);
}

static void run_rmdir(struct work_task *task)
{
	AUTO_FREE char *path = work_path(task, task->name);

	work_fail(task, path ? remote_rmdir(task->fs->remote, path, task->deadline) : -ENOENT);
}

/* But for what is not listed, and so cannot be removed before. */
static int not_empty(void *arg, const char *name, const struct remote_attr *attr)
{
	(void)arg;
	(void)attr;
	return strcmp(name, ".slurmount") ? -ENOTEMPTY : 0;
}

static void run_rmdir_top(struct work_task *task)
{
	AUTO_FREE char *path = work_path(task, NULL);
	int r = path ? remote_list(task->fs->remote, path, task->deadline, not_empty, NULL) : 0;

	if (r == -ENOENT)
		r = 0;
	if (r == 0)
		hides_add(task->fs->hides, task->place.serial, HIDE_WORK);
	work_fail(task, r);
}

/* ---- handlers ---- */

/* A task for `ino`, or NULL where that is gone: the request is answered then. */
static struct work_task *task_new(fuse_req_t req, fuse_ino_t ino,
	void (*run)(struct work_task *task))
{
	struct fs *fs = of(req);
	struct work_place place;
	int r = work_nodes_place(fs->work->nodes, ino, &place);

	if (r < 0) {
		fuse_reply_err(req, -r);
		return NULL;
	}
	struct job *job = model_shown(fs->model, place.serial);
	if (!job) {
		free(place.path);
		fuse_reply_err(req, ENOENT);
		return NULL;
	}
	struct work_task *task = xcalloc(1, sizeof(*task));
	task->req = req;
	task->fs = fs;
	task->run = run;
	task->ino = ino;
	task->place = place;
	task->job = job;
	task->deadline = clock_in(fs->clock, fs->profile->work_timeout * 1000);
	return task;
}

/* Frees a task that was not handed over. */
static void drop(struct work_task *task)
{
	job_unref(task->job);
	work_handle_unref(task->handle);
	free(task->place.path);
	free(task->name);
	free(task);
}

static void refuse(struct work_task *task, int error)
{
	fuse_reply_err(task->req, error);
	drop(task);
}

static void hand_over(struct work_task *task)
{
	work_pool_run(task->fs->work->pool, task);
}

/* What is known already is answered without another thread: each that has to wake costs its share of
 * a busy machine. */
static bool lookup_now(struct work_task *task)
{
	AUTO_FREE char *below = work_below(task, task->name);
	struct remote_attr remote;

	if (!work_fetch_attr(task->fs->work->fetch, task->place.serial, below, &remote))
		return false;
	answer_lookup(task, below, &remote);
	return true;
}

static bool getattr_now(struct work_task *task)
{
	struct remote_attr remote;

	if (!work_fetch_attr(task->fs->work->fetch, task->place.serial, task->place.path, &remote))
		return false;
	answer_getattr(task, &remote);
	return true;
}

static void now_or_later(struct work_task *task, bool (*now)(struct work_task *task))
{
	task->direct = true;
	if (now(task)) {
		drop(task);
		return;
	}
	task->direct = false;
	hand_over(task);
}

static void work_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct work_task *task = task_new(req, parent, run_lookup);

	if (!task)
		return;
	if (strlen(name) > 255) {
		refuse(task, ENAMETOOLONG);
	} else if (!name_is_fine(name) || !*task->job->workdir ||
		work_is_hidden(task->fs, task->job)) {
		refuse(task, ENOENT);
	} else {
		task->name = xstrdup(name);
		now_or_later(task, lookup_now);
	}
}

static void work_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	if (ino & FS_WORK_NODE)
		work_nodes_forget(of(req)->work->nodes, ino, nlookup);
	fuse_reply_none(req);
}

/* work/ itself is part of the job's directory, and so never asked of the cluster. */
static void work_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	if (!(ino & FS_WORK_NODE)) {
		job_ops.getattr(req, ino, fi);
		return;
	}
	struct work_task *task = task_new(req, ino, run_getattr);
	if (task)
		now_or_later(task, getattr_now);
}

static void work_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct work_task *task = task_new(req, ino, run_readlink);

	if (task)
		hand_over(task);
}

static void work_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if ((fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC) {
		fuse_reply_err(req, EACCES);
		return;
	}
	struct work_task *task = task_new(req, ino, work_task_open);
	if (!task)
		return;
	task->fi = *fi;
	now_or_later(task, work_open_now);
}

static void work_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	struct work_task *task = task_new(req, ino, work_task_read);

	if (!task)
		return;
	task->handle = work_handle_ref((struct work_handle *)(uintptr_t)fi->fh);
	task->size = size;
	task->off = off;
	now_or_later(task, work_read_now);
}

static void work_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	work_handle_unref((struct work_handle *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

static void reply_opendir(fuse_req_t req, struct fuse_file_info *fi, bool walks, bool keep)
{
	struct work_handle *h = work_handle_dir(walks);

	fi->fh = (uintptr_t)h;
	fi->cache_readdir = walks;
	fi->keep_cache = keep;
	if (fuse_reply_open(req, fi) == -ENOENT)
		work_handle_unref(h);
}

static void run_opendir(struct work_task *task)
{
	bool keep = work_walk_await(task->fs->work->walk, task);

	if (work_claim(task))
		reply_opendir(task->req, &task->fi, true, keep);
}

static void work_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	bool keep = false;
	enum work_walked walked = ino & FS_WORK_NODE ? WORK_WALKED_NOT :
		work_walk_open(of(req)->work->walk, fs_serial(ino), &keep);

	if (walked != WORK_WALKED_SOON) {
		reply_opendir(req, fi, walked == WORK_WALKED, keep);
		return;
	}
	struct work_task *task = task_new(req, ino, run_opendir);
	if (!task)
		return;
	task->fi = *fi;
	hand_over(task);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus,
	const struct fuse_file_info *fi)
{
	struct work_task *task = task_new(req, ino, work_task_list);

	if (!task)
		return;
	task->handle = work_handle_ref((struct work_handle *)(uintptr_t)fi->fh);
	task->size = size;
	task->off = off;
	task->plus = plus;
	hand_over(task);
}

static void work_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	list(req, ino, size, off, false, fi);
}

static void work_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	list(req, ino, size, off, true, fi);
}

static void removal(fuse_req_t req, fuse_ino_t parent, const char *name,
	void (*run)(struct work_task *task))
{
	struct work_task *task = task_new(req, parent, run);

	if (!task)
		return;
	if (*task->job->owner) {
		refuse(task, EPERM);
	} else if (!fs_job_removable(task->job)) {
		refuse(task, EBUSY);
	} else if (!name_is_fine(name)) {
		refuse(task, EINVAL);
	} else {
		task->name = xstrdup(name);
		hand_over(task);
	}
}

static void work_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	removal(req, parent, name, run_unlink);
}

static void work_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	removal(req, parent, name, run_rmdir);
}

void work_rmdir_top(fuse_req_t req, fuse_ino_t parent)
{
	struct work_task *task = task_new(req, fs_job_ino(fs_serial(parent), PART_WORK),
		run_rmdir_top);

	if (task)
		hand_over(task);
}

/* ---- nothing else changes there ---- */

static void work_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	(void)parent;
	(void)name;
	(void)mode;
	(void)rdev;
	fuse_reply_err(req, EROFS);
}

static void work_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	work_mknod(req, parent, name, mode, 0);
}

static void work_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	(void)link;
	work_mknod(req, parent, name, 0, 0);
}

static void work_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi)
{
	(void)fi;
	work_mknod(req, parent, name, mode, 0);
}

const struct fuse_lowlevel_ops work_ops = {
	.lookup = work_lookup,
	.forget = work_forget,
	.getattr = work_getattr,
	.readlink = work_readlink,
	.mknod = work_mknod,
	.mkdir = work_mkdir,
	.symlink = work_symlink,
	.create = work_create,
	.unlink = work_unlink,
	.rmdir = work_rmdir,
	.open = work_open,
	.read = work_read,
	.release = work_release,
	.opendir = work_opendir,
	.readdir = work_readdir,
	.readdirplus = work_readdirplus,
	.releasedir = work_release,
};
