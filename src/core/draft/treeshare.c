#include "treeshare.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"

#define DEPTH_MAX 100
#define COPY "unshare.copy"
#define LINK "unshare.link"
#define MODE_MAX 64

struct shared {
	dev_t dev;
	ino_t ino;
	nlink_t names; /* that the file has in all */
	nlink_t here;  /* that were found here */
	char copy[sizeof(COPY) + 24]; /* in the temporary folder; "" until it is made */
};

struct share_walk {
	int temporary;
	bool counting; /* the first time; then those found are replaced */
	struct shared *files;
	size_t count, capacity;
	void (*replaced)(void *arg, dev_t dev, ino_t ino);
	void *arg;
	int result;
};

static struct shared *find(struct share_walk *walk, const struct stat *st)
{
	for (size_t i = 0; i < walk->count; i++)
		if (walk->files[i].ino == st->st_ino && walk->files[i].dev == st->st_dev)
			return &walk->files[i];
	return NULL;
}

static void count(struct share_walk *walk, const struct stat *st)
{
	struct shared *file = find(walk, st);

	if (!file) {
		if (walk->count == walk->capacity) {
			walk->capacity = walk->capacity ? 2 * walk->capacity : 16;
			walk->files = xrealloc(walk->files, walk->capacity * sizeof(*walk->files));
		}
		file = &walk->files[walk->count++];
		*file = (struct shared){.dev = st->st_dev, .ino = st->st_ino, .names = st->st_nlink};
	}
	file->here++;
}

static int copy_bytes(int from, int to)
{
	for (;;) {
		ssize_t n = copy_file_range(from, NULL, to, NULL, SSIZE_MAX, 0);

		if (n <= 0)
			return n < 0 ? -errno : 0;
	}
}

/* Content, mode, times, and the mode that was asked for, see spool.h. */
static int copy_file(int folder, const char *name, int temporary, const char *as)
{
	int from AUTO_CLOSE = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int to AUTO_CLOSE = from < 0 ? -1 :
		openat(temporary, as, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	char mode[MODE_MAX];
	struct stat st;

	if (to < 0 || fstat(from, &st) < 0)
		return -errno;
	int r = copy_bytes(from, to);
	if (r < 0)
		return r;
	ssize_t n = fgetxattr(from, "user.slurmount.mode", mode, sizeof(mode));
	if (n > 0)
		fsetxattr(to, "user.slurmount.mode", mode, (size_t)n, 0);
	struct timespec times[2] = {st.st_atim, st.st_mtim};
	return fchmod(to, st.st_mode & 07777) < 0 || futimens(to, times) < 0 ? -errno : 0;
}

static int replace(struct share_walk *walk, struct shared *file, int folder, const char *name)
{
	if (!*file->copy) {
		snprintf(file->copy, sizeof(file->copy), COPY ".%zu", (size_t)(file - walk->files));
		int r = copy_file(folder, name, walk->temporary, file->copy);
		if (r < 0)
			return r;
	}
	unlinkat(walk->temporary, LINK, 0);
	if (linkat(walk->temporary, file->copy, walk->temporary, LINK, 0) < 0 ||
		renameat(walk->temporary, LINK, folder, name) < 0)
		return -errno;
	walk->replaced(walk->arg, file->dev, file->ino);
	return 0;
}

static void look_at(struct share_walk *walk, int folder, const char *name, const struct stat *st)
{
	struct shared *file;

	if (!S_ISREG(st->st_mode) || st->st_nlink < 2)
		return;
	if (walk->counting) {
		count(walk, st);
		return;
	}
	file = find(walk, st);
	if (file && file->here < file->names)
		walk->result = replace(walk, file, folder, name);
}

static void walk_folder(struct share_walk *walk, int parent, const char *name, int depth)
{
	int fd = depth > DEPTH_MAX ? -1 :
		openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir AUTO_CLOSEDIR = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct stat st;

	if (!dir) {
		walk->result = depth > DEPTH_MAX ? -ELOOP : -errno;
		return;
	}
	while (!walk->result && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			walk->result = -errno;
		else if (S_ISDIR(st.st_mode))
			walk_folder(walk, fd, entry->d_name, depth + 1);
		else
			look_at(walk, fd, entry->d_name, &st);
	}
}

static void walk_all(struct share_walk *walk, int folder, const char *names, size_t len)
{
	struct stat st;

	if (!names)
		walk_folder(walk, folder, ".", 0);
	for (const char *name = names; name && name < names + len && !walk->result;
		name += strlen(name) + 1)
		if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			look_at(walk, folder, name, &st);
}

int tree_unshare(int folder, const char *names, size_t len, int temporary,
	void (*replaced)(void *arg, dev_t dev, ino_t ino), void *arg)
{
	struct share_walk walk = {.temporary = temporary, .counting = true, .replaced = replaced,
		.arg = arg};

	walk_all(&walk, folder, names, len);
	walk.counting = false;
	if (!walk.result && walk.count)
		walk_all(&walk, folder, names, len);
	for (size_t i = 0; i < walk.count; i++)
		if (*walk.files[i].copy)
			unlinkat(temporary, walk.files[i].copy, 0);
	free(walk.files);
	return walk.result;
}
