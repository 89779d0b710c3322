#include "spool_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/xattr.h>

#include "cleanup.h"
#include "err.h"
#include "log.h"

/* Each costs the kernel memory that it cannot take back. */
#define OPEN_MAX_NODES 65536
#define MODE_ATTRIBUTE "user.slurmount.mode"

static size_t id_bucket(uint64_t id)
{
	return id & (SPOOL_BUCKETS - 1);
}

static size_t inode_bucket(dev_t dev, ino_t ino)
{
	return ((uint64_t)ino * UINT64_C(0x9e3779b97f4a7c15) ^ dev) >> 40 & (SPOOL_BUCKETS - 1);
}

const char *spool_proc(const struct spool_node *node, char buffer[SPOOL_PROC_SIZE])
{
	snprintf(buffer, SPOOL_PROC_SIZE, "/proc/self/fd/%d", node->fd);
	return buffer;
}

mode_t spool_real_mode(mode_t mode)
{
	return (mode & 07777) | (S_ISDIR(mode) ? 0700 : S_ISREG(mode) ? 0600 : 0);
}

static int read_asked(const struct spool_node *node, mode_t type)
{
	char proc[SPOOL_PROC_SIZE], text[16];

	/* Others have no attributes of a user's. */
	if (!S_ISREG(type) && !S_ISDIR(type))
		return -1;
	ssize_t n = getxattr(spool_proc(node, proc), MODE_ATTRIBUTE, text, sizeof(text) - 1);
	if (n <= 0)
		return -1;
	text[n] = 0;
	return (int)(strtoul(text, NULL, 8) & 07777);
}

struct spool_node *spool_by_inode(struct spool *spool, dev_t dev, ino_t ino)
{
	struct spool_node *node = spool->by_inode[inode_bucket(dev, ino)];

	while (node && (node->dev != dev || node->ino != ino))
		node = node->next_by_inode;
	return node;
}

/* Under lock. */
static void insert(struct spool *spool, struct spool_node *node)
{
	struct spool_node **bucket = &spool->by_inode[inode_bucket(node->dev, node->ino)];

	node->next_by_inode = *bucket;
	*bucket = node;
	node->hashed = true;
	node->id = spool->next_id++;
	bucket = &spool->by_id[id_bucket(node->id)];
	node->next_by_id = *bucket;
	*bucket = node;
	spool->open++;
}

/* Under lock. */
static void unhash(struct spool *spool, struct spool_node *node)
{
	struct spool_node **at = &spool->by_inode[inode_bucket(node->dev, node->ino)];

	if (!node->hashed)
		return;
	while (*at != node)
		at = &(*at)->next_by_inode;
	*at = node->next_by_inode;
	node->hashed = false;
}

/* Under lock; the caller closes and frees what is returned. */
static struct spool_node *drop(struct spool *spool, struct spool_node *node, uint64_t count)
{
	struct spool_node **at = &spool->by_id[id_bucket(node->id)];

	node->references = count < node->references ? node->references - count : 0;
	if (node->references)
		return NULL;
	unhash(spool, node);
	while (*at != node)
		at = &(*at)->next_by_id;
	*at = node->next_by_id;
	spool_busy(spool, node);
	if (node->fd < 0)
		spool->shut--;
	else
		spool->open--;
	return node;
}

static void node_free(struct spool_node *node)
{
	if (!node)
		return;
	if (node->fd >= 0)
		close(node->fd);
	free(node->path);
	free(node);
}

/* Takes over `fd`. */
static int node_of(struct spool *spool, int fd, uint64_t serial, struct spool_node **ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	struct spool_node *fresh = xcalloc(1, sizeof(*fresh));
	fresh->fd = fd;
	fresh->dev = st.st_dev;
	fresh->ino = st.st_ino;
	fresh->directory = S_ISDIR(st.st_mode);
	fresh->special = !S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode);
	fresh->serial = serial;
	fresh->asked = read_asked(fresh, st.st_mode);
	fresh->references = fresh->pins = 1;

	pthread_mutex_lock(&spool->lock);
	struct spool_node *known = spool_by_inode(spool, st.st_dev, st.st_ino);
	if (known)
		spool_pin(spool, known, &fresh->fd);
	else
		insert(spool, fresh);
	bool full = spool->open > spool->limit;
	pthread_mutex_unlock(&spool->lock);
	if (known)
		node_free(fresh);
	if (full)
		spool_shrink(spool);
	*ret = known ? known : fresh;
	return 0;
}

int spool_open(const char *folder, struct spool **ret)
{
	int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	struct spool *spool = xcalloc(1, sizeof(*spool));
	struct rlimit files = {.rlim_cur = 1024};
	spool->next_id = 1;
	pthread_mutex_init(&spool->lock, NULL);
	pthread_cond_init(&spool->renamed, NULL);
	getrlimit(RLIMIT_NOFILE, &files);
	spool->limit = files.rlim_cur / 2 < OPEN_MAX_NODES ? files.rlim_cur / 2 : OPEN_MAX_NODES;
	int r = node_of(spool, fd, 0, &spool->root);
	/* What /proc says of a node begins with the folder's real path. */
	spool->folder = realpath(folder, NULL);
	if (r == 0 && !spool->folder)
		r = -errno;
	if (r < 0) {
		spool_close(spool);
		return r;
	}
	*ret = spool;
	return 0;
}

void spool_close(struct spool *spool)
{
	if (!spool)
		return;
	for (size_t i = 0; i < SPOOL_BUCKETS; i++) {
		while (spool->by_id[i]) {
			struct spool_node *node = spool->by_id[i];

			spool->by_id[i] = node->next_by_id;
			node_free(node);
		}
	}
	pthread_cond_destroy(&spool->renamed);
	pthread_mutex_destroy(&spool->lock);
	free(spool->folder);
	free(spool);
}

struct spool_node *spool_root(struct spool *spool)
{
	return spool->root;
}

struct spool_node *spool_get(struct spool *spool, uint64_t id)
{
	pthread_mutex_lock(&spool->lock);
	struct spool_node *node = spool->by_id[id_bucket(id)];
	while (node && node->id != id)
		node = node->next_by_id;
	if (node)
		spool_pin(spool, node, NULL);
	bool shut = node && node->fd < 0;
	pthread_mutex_unlock(&spool->lock);
	if (shut && !spool_open_again(spool, node)) {
		spool_put(spool, node);
		return NULL;
	}
	return node;
}

struct spool_node *spool_ref(struct spool *spool, struct spool_node *node)
{
	WITH_LOCK(&spool->lock);
	spool_pin(spool, node, NULL);
	return node;
}

void spool_put(struct spool *spool, struct spool_node *node)
{
	if (!node)
		return;
	pthread_mutex_lock(&spool->lock);
	spool_unpin(spool, node);
	struct spool_node *last = drop(spool, node, 1);
	pthread_mutex_unlock(&spool->lock);
	node_free(last);
}

void spool_hand_over(struct spool *spool, struct spool_node *node)
{
	WITH_LOCK(&spool->lock);
	spool_unpin(spool, node);
}

void spool_forget(struct spool *spool, uint64_t id, uint64_t count)
{
	struct spool_node *last = NULL;

	pthread_mutex_lock(&spool->lock);
	struct spool_node *node = spool->by_id[id_bucket(id)];
	while (node && node->id != id)
		node = node->next_by_id;
	if (node)
		last = drop(spool, node, count);
	pthread_mutex_unlock(&spool->lock);
	node_free(last);
}

int spool_find(struct spool *spool, const struct spool_node *parent, const char *name,
	uint64_t serial, struct spool_node **ret)
{
	int fd = openat(parent->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : node_of(spool, fd, serial, ret);
}

struct spool_node *spool_of_inode(struct spool *spool, dev_t dev, ino_t ino)
{
	WITH_LOCK(&spool->lock);
	struct spool_node *node = spool_by_inode(spool, dev, ino);

	if (node)
		spool_pin(spool, node, NULL);
	return node;
}

void spool_detach(struct spool *spool, struct spool_node *node)
{
	WITH_LOCK(&spool->lock);
	unhash(spool, node);
}

void spool_each(struct spool *spool, uint64_t serial,
	void (*each)(void *arg, struct spool_node *node), void *arg)
{
	struct spool_node **list = NULL;
	size_t count = 0, capacity = 0;

	pthread_mutex_lock(&spool->lock);
	for (size_t i = 0; i < SPOOL_BUCKETS; i++) {
		for (struct spool_node *n = spool->by_id[i]; n; n = n->next_by_id) {
			if (n->serial != serial)
				continue;
			if (count == capacity) {
				capacity = capacity ? 2 * capacity : 64;
				list = xrealloc(list, capacity * sizeof(*list));
			}
			spool_pin(spool, n, NULL);
			list[count++] = n;
		}
	}
	pthread_mutex_unlock(&spool->lock);
	for (size_t i = 0; i < count; i++) {
		each(arg, list[i]);
		spool_put(spool, list[i]);
	}
	free(list);
}

char *spool_path(struct spool *spool, const struct spool_node *node)
{
	char proc[SPOOL_PROC_SIZE], path[8192];
	size_t len = strlen(spool->folder);
	struct stat st;

	pthread_mutex_lock(&spool->lock);
	ssize_t n = node->fd >= 0 ? 0 : snprintf(path, sizeof(path), "%s/%s", spool->folder, node->path);
	pthread_mutex_unlock(&spool->lock);
	if (!n)
		n = readlink(spool_proc(node, proc), path, sizeof(path) - 1);
	if (n < 0 || (size_t)n >= sizeof(path) - 1)
		return NULL;
	path[n] = 0;
	if (strncmp(path, spool->folder, len) != 0 || path[len] != '/')
		return NULL;
	/* "NAME (deleted)" may be a file's own name. */
	if (lstat(path, &st) < 0 || st.st_ino != node->ino || st.st_dev != node->dev)
		return NULL;
	return xstrdup(path + len + 1);
}

int spool_stat(const struct spool_node *node, struct stat *ret)
{
	int asked = node->asked;

	if (fstatat(node->fd, "", ret, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (asked >= 0)
		ret->st_mode = (ret->st_mode & S_IFMT) | (mode_t)asked;
	return 0;
}

int spool_chmod(struct spool_node *node, mode_t mode)
{
	char proc[SPOOL_PROC_SIZE], text[16];
	mode_t type = node->special ? 0 : node->directory ? S_IFDIR : S_IFREG;

	mode &= 07777;
	mode_t real = spool_real_mode(type | mode);
	if (chmod(spool_proc(node, proc), real) < 0)
		return -errno;
	if (real == mode) {
		node->asked = -1;
		if (!node->special)
			removexattr(proc, MODE_ATTRIBUTE);
		return 0;
	}
	node->asked = (int)mode;
	int len = snprintf(text, sizeof(text), "%04o", mode);
	/* A disk without attributes: the mode asked for is then known for as long as the node is. */
	if (setxattr(proc, MODE_ATTRIBUTE, text, (size_t)len, 0) < 0 && errno != ENOTSUP)
		return -errno;
	return 0;
}

int spool_chown(const struct spool_node *node, uid_t uid, gid_t gid)
{
	return fchownat(node->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int spool_reopen(const struct spool_node *node, int flags)
{
	char proc[SPOOL_PROC_SIZE];
	int fd = open(spool_proc(node, proc), (flags & ~(O_NOFOLLOW | O_CREAT | O_EXCL)) | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}
