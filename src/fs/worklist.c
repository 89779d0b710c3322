/* Listing a directory of work/: taken whole at its beginning, so that offsets stay true. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "work.h"

#define ENTRIES_MAX 1000000

struct work_dir {
	pthread_mutex_t lock; /* held while the cluster is asked: a descriptor is read by one at a time */
	struct work_item *items;   /* lock */
	size_t count;         /* lock */
	size_t capacity;      /* lock */
	bool filled;          /* lock */
	bool walks;           /* set once: see workwalk.c */
};

void work_items_free(struct work_item *items, size_t count)
{
	while (count)
		free(items[--count].name);
	free(items);
}

struct work_dir *work_dir_new(bool walks)
{
	struct work_dir *dir = xcalloc(1, sizeof(*dir));

	dir->walks = walks;

	pthread_mutex_init(&dir->lock, NULL);
	return dir;
}

static void clear(struct work_dir *dir)
{
	work_items_free(STEAL(dir->items), dir->count);
	dir->count = dir->capacity = 0;
	dir->filled = false;
}

void work_dir_free(struct work_dir *dir)
{
	if (!dir)
		return;
	clear(dir);
	pthread_mutex_destroy(&dir->lock);
	free(dir);
}

struct filling {
	struct work_dir *dir;
	const struct work_task *task;
};

/*
 * What cannot be a name is left out; what is only odd is listed as it is.  slurmount's own part is found
 * by its name but not listed: the claim in it is a link to nowhere, on which all that follow links would
 * fail (cp -rL, scp -r, Python's copytree).
 */
bool work_name_is_shown(const char *name, bool top)
{
	return *name && !strchr(name, '/') && strlen(name) <= 255 && strcmp(name, ".") &&
		strcmp(name, "..") && (!top || strcmp(name, ".slurmount"));
}

static int keep(void *arg, const char *name, const struct remote_attr *attr)
{
	const struct filling *filling = arg;
	struct work_dir *dir = filling->dir;

	if (!work_name_is_shown(name, !*filling->task->place.path))
		return 0;
	if (dir->count == ENTRIES_MAX)
		return -EOVERFLOW;
	if (dir->count % 1024 == 0 &&
		clock_mono_ms(filling->task->fs->clock) >= filling->task->deadline)
		return -ETIMEDOUT;
	if (dir->count == dir->capacity) {
		dir->capacity = dir->capacity ? dir->capacity * 2 : 64;
		dir->items = xrealloc(dir->items, dir->capacity * sizeof(*dir->items));
	}
	dir->items[dir->count++] = (struct work_item){xstrdup(name), *attr};
	return 0;
}

static int fill(struct work_task *task, struct work_dir *dir)
{
	AUTO_FREE char *path = work_path(task, NULL);
	struct filling filling = {dir, task};
	int r = 0;

	clear(dir);
	if (dir->walks && !work_is_hidden(task->fs, task->job) &&
		work_walk_take(task->fs->work->walk, task->place.serial, &dir->items, &dir->count)) {
		dir->capacity = dir->count;
		dir->filled = true;
		return 0;
	}
	/* Before it is staged, and once it has been emptied by `rm -rf`. */
	if (path && !work_is_hidden(task->fs, task->job))
		r = remote_list(task->fs->remote, path, task->deadline, keep, &filling);
	/* A job's own directory that is gone is an empty one: else `rm -rf` could not remove it. */
	if (r == -ENOENT && !*task->place.path)
		r = 0;
	/* What an endless directory has given so far is shown. */
	if (r == -EOVERFLOW)
		r = 0;
	dir->filled = r == 0;
	if (r == 0)
		work_fetch_listed(task->fs->work->fetch, task->place.serial, task->place.path, dir->items,
			dir->count);
	return r;
}

static bool add_item(struct work_task *task, struct fs_listing *l, const struct work_item *item,
	off_t next)
{
	AUTO_FREE char *below = work_below(task, item->name);
	struct fuse_entry_param entry;
	struct stat attr;
	fuse_ino_t ino;

	/* First, since a node that is found has one more look-up. */
	if (!fs_listing_fits(l, item->name))
		return false;
	ino = task->plus ? work_nodes_get(task->fs->work->nodes, task->place.serial, below,
				   &item->attr)
			 : work_nodes_hint(below);
	work_attr(task->fs, ino, &item->attr, &attr);
	entry = fs_entry(&attr, 1);
	return fs_listing_add(l, item->name, &entry, next);
}

/* The look-ups of a reply that did not arrive. */
static void undo(struct work_task *task, const struct work_dir *dir, size_t from, size_t to)
{
	struct work_nodes *nodes = task->fs->work->nodes;

	for (size_t i = from; task->plus && i < to; i++) {
		AUTO_FREE char *below = work_below(task, dir->items[i].name);
		fuse_ino_t ino = work_nodes_get(nodes, task->place.serial, below,
			&dir->items[i].attr);

		work_nodes_forget(nodes, ino, 2);
	}
}

void work_task_list(struct work_task *task)
{
	struct work_dir *dir = work_handle_listing(task->handle);
	struct fs_listing l;
	off_t off = task->off;

	WITH_LOCK(&dir->lock);
	int r = off == 0 || !dir->filled ? fill(task, dir) : 0;
	if (r < 0) {
		work_fail(task, r);
		return;
	}
	if (!work_claim(task))
		return;
	fs_listing_begin(&l, task->req, task->size, task->plus);
	bool room = fs_listing_dots(&l, task->ino, fs_job_ino(task->place.serial, PART_DIR), &off);
	size_t from = off >= 2 ? (size_t)off - 2 : 0, at = from;
	while (room && at < dir->count && add_item(task, &l, &dir->items[at], (off_t)at + 3))
		at++;
	if (fs_listing_end(&l) == -ENOENT)
		undo(task, dir, from, at);
}
