#include "stagetree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "err.h"

#define DEPTH_MAX 200
/* A command on the cluster is given the path of what it copies. */
#define KEPT_PATH_MAX 2000

struct walk {
	const struct stage_job *job;
	struct filesums *sums;
	struct stage_tree *tree;
};

static struct stage_entry *add(struct stage_tree *tree, char *path, mode_t mode, uint64_t size)
{
	if (tree->count == tree->capacity) {
		tree->capacity = tree->capacity ? 2 * tree->capacity : 16;
		tree->entries = xrealloc(tree->entries, tree->capacity * sizeof(*tree->entries));
	}
	struct stage_entry *entry = &tree->entries[tree->count++];
	*entry = (struct stage_entry){.path = path, .mode = mode, .size = size,
		.source = tree->source};
	return entry;
}

/* openat() takes no path of more than PATH_MAX bytes, but a tree may be as deep. */
static int open_below(int folder, const char *path, int flags)
{
	int at AUTO_CLOSE = -1;

	for (const char *slash; strlen(path) >= 4000 && (slash = memrchr(path, '/', 3999));
		path = slash + 1) {
		AUTO_FREE char *front = xstrndup(path, (size_t)(slash - path));
		int next = openat(at >= 0 ? at : folder, front, O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (next < 0)
			return -errno;
		if (at >= 0)
			close(at);
		at = next;
	}
	int fd = openat(at >= 0 ? at : folder, path, flags | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int stage_entry_open(const struct stage_entry *entry)
{
	return open_below(entry->source, entry->local, O_RDONLY);
}

/* The mode that the user asked for; the spool's own files stay readable to us (see spool.h). */
static mode_t asked_mode(int fd, mode_t real)
{
	char text[16] = "";

	ssize_t n = fgetxattr(fd, "user.slurmount.mode", text, sizeof(text) - 1);
	if (n <= 0)
		return real;
	mode_t asked = (mode_t)strtoul(text, NULL, 8) & 07777;
	/* The owner must be able to read and check it over there. */
	return (real & S_IFMT) | asked | (S_ISDIR(real) ? 0700 : 0400);
}

static int add_content(struct walk *w, struct stage_entry *entry, int fd)
{
	if (entry->size >= STAGE_KEPT_MIN && strlen(entry->path) < KEPT_PATH_MAX) {
		int r = filesums_get(w->sums, fd, &entry->sum);

		if (r < 0) {
			strbuf_addf(w->job->why, "%s cannot be read from the spool: %s", entry->path,
				strerror(-r));
			return r;
		}
		w->tree->kept++;
	} else {
		w->tree->size += entry->size;
	}
	return 0;
}

static int add_file(struct walk *w, int parent, const char *name, const char *path)
{
	struct stat st;
	int fd AUTO_CLOSE = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	struct stage_entry *entry = add(w->tree, xstrdup(path), asked_mode(fd, st.st_mode),
		(uint64_t)st.st_size);
	entry->local = xstrdup(path);
	return add_content(w, entry, fd);
}

static int add_link(struct walk *w, int parent, const char *name, const char *path)
{
	char target[4096];
	ssize_t n = readlinkat(parent, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	add(w->tree, xstrdup(path), S_IFLNK | 0777, 0)->link = xstrndup(target, (size_t)n);
	return 0;
}

static int add_folder(struct walk *w, int fd, const char *prefix, int depth);

static int add_entry(struct walk *w, int parent, const char *name, const char *prefix, int depth)
{
	AUTO_FREE char *path = xasprintf("%s%s", prefix, name);
	struct stat st;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISREG(st.st_mode))
		return add_file(w, parent, name, path);
	if (S_ISLNK(st.st_mode))
		return add_link(w, parent, name, path);
	if (!S_ISDIR(st.st_mode))
		return 0;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	AUTO_FREE char *below = xasprintf("%s/", path);
	add(w->tree, xstrdup(below), asked_mode(fd, st.st_mode), 0);
	return add_folder(w, fd, below, depth + 1);
}

/* Owns `fd`. */
static int add_folder(struct walk *w, int fd, const char *prefix, int depth)
{
	struct dirent *entry;
	DIR *dir AUTO_CLOSEDIR = depth > DEPTH_MAX ? NULL : fdopendir(fd);

	if (!dir) {
		close(fd);
		return depth > DEPTH_MAX ? -ELOOP : -errno;
	}
	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		int r = add_entry(w, dirfd(dir), entry->d_name, prefix, depth);
		if (r < 0)
			return r;
	}
	return 0;
}

static void add_bytes(struct walk *w, const char *path, mode_t mode, const char *bytes, size_t len)
{
	add(w->tree, xstrdup(path), S_IFREG | mode, len)->bytes = bytes;
	w->tree->size += len;
}

static int add_extra(struct walk *w, const struct stage_file *file)
{
	struct stat st;

	if (file->bytes) {
		add_bytes(w, file->name, file->mode, file->bytes, file->len);
		return 0;
	}
	int fd AUTO_CLOSE = open(file->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		int error = errno;

		strbuf_addf(w->job->why, "%s: %s", file->path, strerror(error));
		return -error;
	}
	struct stage_entry *entry = add(w->tree, xstrdup(file->name), S_IFREG | file->mode,
		(uint64_t)st.st_size);
	entry->source = AT_FDCWD;
	entry->local = xstrdup(file->path);
	return add_content(w, entry, fd);
}

int stage_tree_read(const struct stage_job *job, struct filesums *sums, struct stage_tree *tree)
{
	struct walk w = {job, sums, tree};

	tree->source = open(job->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tree->source < 0)
		return -errno;
	/* An open of its own: reading the folder moves a descriptor. */
	int fd = openat(tree->source, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : add_folder(&w, fd, "", 0);
	for (size_t i = 0; r == 0 && i < job->file_count; i++)
		r = add_extra(&w, &job->files[i]);
	if (r < 0)
		return r;
	for (size_t i = 0; job->folders && job->folders[i]; i++)
		add(tree, xasprintf("%s/", job->folders[i]), S_IFDIR | 0755, 0);
	add(tree, xstrdup(".slurmount/"), S_IFDIR | 0755, 0);
	add_bytes(&w, ".slurmount/script.sbatch", 0644, job->script, job->script_len);
	if (job->record)
		add_bytes(&w, ".slurmount/record", 0644, job->record, strlen(job->record));
	if (job->config)
		add_bytes(&w, ".slurmount/config.ini", 0644, job->config, job->config_len);
	return 0;
}

void stage_tree_release(struct stage_tree *tree)
{
	for (size_t i = 0; i < tree->count; i++) {
		free(tree->entries[i].path);
		free(tree->entries[i].link);
		free(tree->entries[i].local);
		filesum_unref(tree->entries[i].sum);
	}
	free(tree->entries);
	if (tree->source >= 0)
		close(tree->source);
	*tree = STAGE_TREE_INIT;
}
