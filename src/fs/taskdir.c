/*
 * jobs/NAME/tasks of an array job: a directory for each task.  There may be thousands of them, so
 * there is no table: inodes are numbers that say job, task and part, and what is shown is made from
 * the job's version when it is asked for.
 *
 * A file here is read past the kernel's cache, from the version that it was opened with: so its bytes are
 * never cut to a size that the kernel knows from another version, and only attributes need to be forgotten.
 */
#include "taskdir.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "linkpath.h"
#include "taskfile.h"

#define PART_OF_TASK_BITS 3
#define TASK_BITS 22
#define SERIAL_SHIFT (TASK_BITS + PART_OF_TASK_BITS)

_Static_assert(TASKS_MAX_ID < 1 << TASK_BITS, "every task has an inode");

enum task_part {
	TASK_DIR,
	TASK_FILE,
	TASK_STDOUT = TASK_FILE + TASK_FILE_COUNT,
	TASK_STDERR,
	TASK_PARTS,
};

_Static_assert(TASK_PARTS <= 1 << PART_OF_TASK_BITS, "every part of a task has an inode");

/* What an inode stands for: tasks/ itself where there is no task. */
struct place {
	struct job *job; /* as shown; a reference */
	const struct task *task;
	unsigned part;
};

static struct fs *of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static bool is_top(fuse_ino_t ino)
{
	return (ino & FS_TASK_NODE) != FS_TASK_NODE;
}

static fuse_ino_t task_ino(uint64_t serial, uint32_t task, unsigned part)
{
	return FS_TASK_NODE | serial << SERIAL_SHIFT | (uint64_t)task << PART_OF_TASK_BITS | part;
}

static uint64_t serial_of(fuse_ino_t ino)
{
	return is_top(ino) ? fs_serial(ino) : (ino & ~FS_TASK_NODE) >> SERIAL_SHIFT;
}

static void place_release(struct place *place)
{
	job_unref(place->job);
}
#define AUTO_PLACE CLEANUP(place_release)

/* False where it is not there any more; the place is to be released either way. */
static bool find(struct fs *fs, fuse_ino_t ino, struct place *ret)
{
	*ret = (struct place){.job = model_shown(fs->model, serial_of(ino))};
	if (!ret->job || !ret->job->tasks)
		return false;
	if (is_top(ino))
		return true;
	ret->part = (unsigned)(ino & ((1u << PART_OF_TASK_BITS) - 1));
	ret->task = tasks_find(ret->job->tasks,
		ino >> PART_OF_TASK_BITS & ((1u << TASK_BITS) - 1));
	return ret->task != NULL;
}

/* After a reply. */
static void recheck(struct fs *fs, const struct job *job)
{
	if (!model_is_shown(fs->model, job))
		notifier_again(fs->notifier, job->serial);
}

/* ---- attributes ---- */

static const char *part_name(unsigned part)
{
	if (part == TASK_STDOUT)
		return "stdout";
	if (part == TASK_STDERR)
		return "stderr";
	return taskfile_name((enum task_file)(part - TASK_FILE));
}

/* The link's text, the caller's to free; NULL while it is not known, or where the output goes outside the
 * job's directory. */
static char *link_target(const struct place *p)
{
	AUTO_FREE char *path = tasks_output(p->job->tasks, p->task, p->part == TASK_STDERR,
		p->job->workdir, p->job->slurm_id);
	struct strbuf below AUTO_STRBUF = STRBUF_INIT;

	if (!path || linkpath_below(p->job->workdir, path, &below) < 0 || !below.len)
		return NULL;
	return xasprintf("../../work/%s", below.data);
}

/* False where the part is not there. */
static bool part_attr(struct fs *fs, const struct place *p, struct stat *ret)
{
	const struct job *job = p->job;
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	if (!p->task) {
		fs_attr(fs, fs_job_ino(job->serial, PART_TASKS), S_IFDIR | 0755, 0, job->state_ns,
			ret);
		return true;
	}
	fuse_ino_t ino = task_ino(job->serial, p->task->id, p->part);
	int64_t ns = taskfile_ns(job, p->task, TASK_FILE_STATUS);
	if (p->part == TASK_DIR) {
		fs_attr(fs, ino, S_IFDIR | 0755, 0, ns, ret);
		return true;
	}
	if (p->part >= TASK_STDOUT) {
		AUTO_FREE char *target = p->part < TASK_PARTS ? link_target(p) : NULL;

		if (target)
			fs_attr(fs, ino, S_IFLNK | 0777, strlen(target), job->submitted_ns, ret);
		return target != NULL;
	}
	enum task_file file = (enum task_file)(p->part - TASK_FILE);
	taskfile_render(job, p->task, file, &text);
	fs_attr(fs, ino, S_IFREG | 0444, text.len, taskfile_ns(job, p->task, file), ret);
	return true;
}

bool taskdir_attr(struct fs *fs, const struct job *job, struct stat *ret)
{
	struct place place = {.job = (struct job *)job};

	return job->tasks && part_attr(fs, &place, ret);
}

/* ---- handlers ---- */

/* A task's name has no zeros in front: each has one. */
static const struct task *task_by_name(const struct tasks *tasks, const char *name)
{
	char *end;
	unsigned long long id = strtoull(name, &end, 10);

	if (*end || *name < '0' || *name > '9' || (*name == '0' && name[1]) || strlen(name) > 10)
		return NULL;
	return tasks_find(tasks, id);
}

/* Turns the place of a directory into that of an entry; false where there is none. */
static bool enter(struct fs *fs, struct place *p, const char *name)
{
	if (!p->task) {
		if (!taskdir_is_hidden(fs, p->job))
			p->task = task_by_name(p->job->tasks, name);
		return p->task != NULL;
	}
	for (p->part = TASK_FILE; p->part < TASK_PARTS; p->part++)
		if (!strcmp(part_name(p->part), name))
			return true;
	return false;
}

static void task_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = of(req);
	struct place place AUTO_PLACE;
	struct stat attr;

	if (!find(fs, parent, &place) || place.part != TASK_DIR || !enter(fs, &place, name) ||
		!part_attr(fs, &place, &attr)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	struct fuse_entry_param entry = fs_entry(&attr, FS_LONG);
	fuse_reply_entry(req, &entry);
	recheck(fs, place.job);
}

static void task_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = of(req);
	struct place place AUTO_PLACE;
	struct stat attr;

	(void)fi;
	if (is_top(ino)) {
		/* Part of the job's directory, where it may be hidden. */
		place.job = NULL;
		job_ops.getattr(req, ino, fi);
		return;
	}
	if (!find(fs, ino, &place) || !part_attr(fs, &place, &attr)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	fuse_reply_attr(req, &attr, FS_LONG);
	recheck(fs, place.job);
}

static void task_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct place place AUTO_PLACE;
	bool found = find(of(req), ino, &place);
	bool is_link = place.part == TASK_STDOUT || place.part == TASK_STDERR;
	AUTO_FREE char *target = found && is_link ? link_target(&place) : NULL;

	if (target)
		fuse_reply_readlink(req, target);
	else
		fuse_reply_err(req, found && !is_link ? EINVAL : ENOENT);
}

static void task_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct place place AUTO_PLACE;

	if (!find(of(req), ino, &place) || place.part < TASK_FILE || place.part >= TASK_STDOUT) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	if ((fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC) {
		fuse_reply_err(req, EACCES);
		return;
	}
	struct job *opened = job_ref(place.job);
	fi->fh = (uintptr_t)opened;
	fi->direct_io = 1;
	fi->noflush = 1;
	if (fuse_reply_open(req, fi) == -ENOENT)
		job_unref(opened);
}

static void task_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	const struct job *job = (const struct job *)(uintptr_t)fi->fh;
	const struct task *task = tasks_find(job->tasks,
		ino >> PART_OF_TASK_BITS & ((1u << TASK_BITS) - 1));
	unsigned part = (unsigned)(ino & ((1u << PART_OF_TASK_BITS) - 1));
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	if (task)
		taskfile_render(job, task, (enum task_file)(part - TASK_FILE), &text);
	fs_reply_part(req, text.data, text.len, size, off);
}

static void task_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	job_unref((const struct job *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

/* Adds the entry of that place, whose offset is `next`; true also for one that is not there. */
static bool list_entry(struct fs *fs, struct fs_listing *l, const struct place *p, const char *name,
	off_t next)
{
	struct stat attr;

	if (!part_attr(fs, p, &attr))
		return true;
	struct fuse_entry_param entry = fs_entry(&attr, FS_LONG);
	return fs_listing_add(l, name, &entry, next);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
	struct fs *fs = of(req);
	struct place place AUTO_PLACE;
	struct fs_listing l;

	if (!find(fs, ino, &place) || place.part != TASK_DIR) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	const struct tasks *tasks = place.job->tasks;
	uint64_t serial = place.job->serial;
	fs_listing_begin(&l, req, size, plus);
	if (place.task) {
		bool room = fs_listing_dots(&l, ino, fs_job_ino(serial, PART_TASKS), &off);
		struct place entry = place;

		for (entry.part = (unsigned)off - 1; room && entry.part < TASK_PARTS; entry.part++)
			room = list_entry(fs, &l, &entry, part_name(entry.part), entry.part + 2);
	} else {
		bool room = fs_listing_dots(&l, ino, fs_job_ino(serial, PART_DIR), &off) &&
			!taskdir_is_hidden(fs, place.job);
		struct place entry = place;

		/* The offset is the task's id, so that a listing goes on where it was. */
		for (size_t i = 0; room && i < tasks->count; i++) {
			char name[16];

			entry.task = &tasks->items[i];
			if ((off_t)entry.task->id < off - 2)
				continue;
			snprintf(name, sizeof(name), "%u", entry.task->id);
			room = list_entry(fs, &l, &entry, name, (off_t)entry.task->id + 3);
		}
	}
	fs_listing_end(&l);
	if (plus)
		recheck(fs, place.job);
}

static void task_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, false);
}

static void task_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, true);
}

/* ---- removal: with the job alone ---- */

bool taskdir_is_hidden(struct fs *fs, const struct job *job)
{
	return fs_job_removable(job) &&
		(hides_get(fs->hides, job->serial) & HIDE_FILES) == HIDE_FILES;
}

static void task_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = of(req);
	struct place place AUTO_PLACE;

	if (!find(fs, parent, &place) || !enter(fs, &place, name))
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_err(req, fs_job_removable(place.job) ? EPERM : EBUSY);
}

/* ---- telling the kernel ---- */

static void forget_task(struct fs *fs, uint64_t serial, uint32_t id)
{
	for (unsigned part = TASK_DIR; part < TASK_PARTS; part++)
		fuse_lowlevel_notify_inval_inode(fs->session, task_ino(serial, id, part), -1, 0);
	for (unsigned part = TASK_STDOUT; part < TASK_PARTS; part++)
		fuse_lowlevel_notify_inval_entry(fs->session, task_ino(serial, id, TASK_DIR),
			part_name(part), strlen(part_name(part)));
}

static void forget_name(struct fs *fs, uint64_t serial, uint32_t id)
{
	char name[16];
	int len = snprintf(name, sizeof(name), "%u", id);

	fuse_lowlevel_notify_inval_entry(fs->session, fs_job_ino(serial, PART_TASKS), name,
		(size_t)len);
}

void taskdir_forget(struct fs *fs, const struct job *before, const struct job *now, bool all,
	bool (*stopping)(void *arg), void *arg)
{
	const struct tasks *old = before ? before->tasks : NULL;
	uint64_t serial = now->serial;

	if (!old && !now->tasks)
		return;
	for (size_t i = 0; old && old != now->tasks && i < old->count && !stopping(arg); i++)
		if (!now->tasks || !tasks_find(now->tasks, old->items[i].id))
			forget_name(fs, serial, old->items[i].id);
	for (size_t i = 0; now->tasks && i < now->tasks->count && !stopping(arg); i++) {
		const struct task *task = &now->tasks->items[i];
		const struct task *was = old ? tasks_find(old, task->id) : NULL;

		if (all || (was && !taskfile_same(before, was, now, task)))
			forget_task(fs, serial, task->id);
	}
}

const struct fuse_lowlevel_ops task_ops = {
	.lookup = task_lookup,
	.getattr = task_getattr,
	.readlink = task_readlink,
	.unlink = task_unlink,
	.rmdir = task_unlink,
	.open = task_open,
	.read = task_read,
	.release = task_release,
	.readdir = task_readdir,
	.readdirplus = task_readdirplus,
};
