/*
 * Nodes that have no descriptor for a while.
 *
 * A path says where a node is only as long as nothing above it is renamed, and leads to another file
 * once its own entry is removed or replaced.  Every such change goes through spool_rename() and
 * spool_unlink(), so:
 *   - while one is under way (`moving`), no descriptor is closed; and a path that was read before one (`moves`)
 *     is not used;
 *   - the nodes of the entries themselves get their descriptors back first: an unlinked node has no path,
 *     and keeps its descriptor until the kernel forgets it;
 *   - the paths of those below a renamed directory are changed with it, one rename at a time.
 * What leaves the tree otherwise (a draft becomes a job) is found nowhere any more: ESTALE.
 */
#include "spool_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "beneath.h"
#include "cleanup.h"
#include "err.h"

/* So many at a time, that no single look-up takes long. */
#define SHRINK_MAX 64

void spool_busy(struct spool *spool, struct spool_node *node)
{
	if (!node->idle)
		return;
	*(node->older ? &node->older->newer : &spool->oldest) = node->newer;
	*(node->newer ? &node->newer->older : &spool->newest) = node->older;
	node->older = node->newer = NULL;
	node->idle = false;
}

/* Under lock. */
static void make_idle(struct spool *spool, struct spool_node *node)
{
	if (node->idle || node->pins || node->fd < 0)
		return;
	node->older = spool->newest;
	*(spool->newest ? &spool->newest->newer : &spool->oldest) = node;
	spool->newest = node;
	node->idle = true;
}

void spool_pin(struct spool *spool, struct spool_node *node, int *fd)
{
	node->references++;
	node->pins++;
	spool_busy(spool, node);
	if (node->fd >= 0 || !fd)
		return;
	node->fd = steal_fd(fd);
	free(STEAL(node->path));
	spool->open++;
	spool->shut--;
}

void spool_unpin(struct spool *spool, struct spool_node *node)
{
	node->pins--;
	make_idle(spool, node);
}

void spool_limit(struct spool *spool, size_t descriptors)
{
	WITH_LOCK(&spool->lock);
	spool->limit = descriptors;
}

/* Closes one; false where there is nothing to close now. */
static bool shut_one(struct spool *spool)
{
	int fd AUTO_CLOSE = -1;

	pthread_mutex_lock(&spool->lock);
	struct spool_node *node = spool->oldest;
	uint64_t moves = spool->moves;
	if (!node || spool->open <= spool->limit || spool->moving) {
		pthread_mutex_unlock(&spool->lock);
		return false;
	}
	/* Nobody else closes it; it may be pinned meanwhile. */
	node->references++;
	spool_busy(spool, node);
	pthread_mutex_unlock(&spool->lock);

	AUTO_FREE char *path = spool_path(spool, node);
	pthread_mutex_lock(&spool->lock);
	/* What has no path, being unlinked, is not looked at again before it was in use. */
	if (path && !node->pins && (spool->moving || spool->moves != moves)) {
		make_idle(spool, node);
	} else if (path && !node->pins) {
		fd = steal_fd(&node->fd);
		node->path = STEAL(path);
		spool->open--;
		spool->shut++;
	}
	pthread_mutex_unlock(&spool->lock);
	spool_forget(spool, node->id, 1);
	return true;
}

void spool_shrink(struct spool *spool)
{
	for (unsigned n = 0; n < SHRINK_MAX && shut_one(spool); n++)
		;
}

/* A descriptor of the inode at that path, or -1. */
static int open_path(struct spool *spool, const char *path, const struct spool_node *node)
{
	int fd AUTO_CLOSE = open_beneath(spool->root->fd, path, O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_ino != node->ino || st.st_dev != node->dev)
		return -1;
	return steal_fd(&fd);
}

bool spool_open_again(struct spool *spool, struct spool_node *node)
{
	bool again = true, full = false;

	while (again) {
		pthread_mutex_lock(&spool->lock);
		AUTO_FREE char *path = xstrdup(node->path);
		uint64_t moves = spool->moves;
		pthread_mutex_unlock(&spool->lock);
		/* Another one has opened it. */
		if (!path)
			return true;
		int fd AUTO_CLOSE = open_path(spool, path, node);
		pthread_mutex_lock(&spool->lock);
		if (fd >= 0 && node->fd < 0) {
			node->fd = steal_fd(&fd);
			free(STEAL(node->path));
			spool->open++;
			spool->shut--;
		}
		again = node->fd < 0 && (spool->moving || spool->moves != moves);
		full = spool->open > spool->limit;
		pthread_mutex_unlock(&spool->lock);
		if (again)
			sched_yield();
	}
	if (full)
		spool_shrink(spool);
	return node->fd >= 0;
}

/* ---- entries that are renamed or removed ---- */

/* No descriptor is closed from now on.  True where there are nodes without one: then no other rename
 * is under way, where `alone`. */
static bool moving_begin(struct spool *spool, bool alone)
{
	WITH_LOCK(&spool->lock);
	spool->moving++;
	while (alone && spool->shut && spool->renaming)
		pthread_cond_wait(&spool->renamed, &spool->lock);
	if (!spool->shut)
		return false;
	if (alone)
		spool->renaming = true;
	return true;
}

static void moving_end(struct spool *spool, bool alone)
{
	WITH_LOCK(&spool->lock);
	spool->moving--;
	spool->moves++;
	if (!alone)
		return;
	spool->renaming = false;
	pthread_cond_broadcast(&spool->renamed);
}

/* The entry's node, where there is one, has a descriptor and a new reference. */
static struct spool_node *pin_entry(struct spool *spool, const struct spool_node *parent, const char *name)
{
	int fd AUTO_CLOSE = openat(parent->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	WITH_LOCK(&spool->lock);
	struct spool_node *node = spool_by_inode(spool, st.st_dev, st.st_ino);
	if (node)
		spool_pin(spool, node, &fd);
	return node;
}

int spool_unlink(struct spool *spool, const struct spool_node *parent, const char *name, int flags)
{
	bool shut = moving_begin(spool, false);
	struct spool_node *node = shut ? pin_entry(spool, parent, name) : NULL;

	int r = unlinkat(parent->fd, name, flags) < 0 ? -errno : 0;
	moving_end(spool, false);
	spool_put(spool, node);
	return r;
}

/* "DIRECTORY/NAME/" of a directory below the root, the caller's to free. */
static char *prefix_of(struct spool *spool, const struct spool_node *parent, const char *name)
{
	AUTO_FREE char *path = parent == spool->root ? xstrdup("") : spool_path(spool, parent);

	return path ? xasprintf("%s%s%s/", path, *path ? "/" : "", name) : NULL;
}

/* Under lock. */
static bool move_path(struct spool_node *node, const char *before, const char *now)
{
	if (!before || !now || !node->path || strncmp(node->path, before, strlen(before)) != 0)
		return false;
	char *path = xasprintf("%s%s", now, node->path + strlen(before));
	free(node->path);
	node->path = path;
	return true;
}

static void move_paths(struct spool *spool, const char *from, const char *to, bool exchange)
{
	WITH_LOCK(&spool->lock);
	for (size_t i = 0; i < SPOOL_BUCKETS; i++)
		for (struct spool_node *node = spool->by_id[i]; node; node = node->next_by_id)
			if (!move_path(node, from, to) && exchange)
				move_path(node, to, from);
}

int spool_rename(struct spool *spool, const struct spool_node *from, const char *name,
	const struct spool_node *to, const char *newname, unsigned flags)
{
	bool shut = moving_begin(spool, true);
	struct spool_node *moved = shut ? pin_entry(spool, from, name) : NULL;
	struct spool_node *replaced = shut ? pin_entry(spool, to, newname) : NULL;
	bool exchange = flags & RENAME_EXCHANGE;

	int r = renameat2(from->fd, name, to->fd, newname, flags) < 0 ? -errno : 0;
	/* NFS and sshfs do not know this; the kernel keeps others from both folders meanwhile. */
	if (r == -EINVAL && flags == RENAME_NOREPLACE)
		r = faccessat(to->fd, newname, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? -EEXIST :
			renameat(from->fd, name, to->fd, newname) < 0 ? -errno : 0;
	if (r == 0 && ((moved && moved->directory) || (exchange && replaced && replaced->directory))) {
		AUTO_FREE char *before = prefix_of(spool, from, name);
		AUTO_FREE char *now = prefix_of(spool, to, newname);

		move_paths(spool, before, now, exchange);
	}
	moving_end(spool, shut);
	spool_put(spool, moved);
	spool_put(spool, replaced);
	return r;
}
