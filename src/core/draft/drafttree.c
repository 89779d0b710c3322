#include "drafttree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "draftcheck.h"
#include "err.h"
#include "sbatchscript.h"

#define DEPTH_MAX 100
/* #SBATCH lines stand at the top: more of a script need not be read to know it for one. */
#define SCRIPT_HEAD 65536

bool draftcheck_dropping(const char *name)
{
	static const char *const patterns[] = {".*.sw[a-p]", ".sw[a-p]", "*~", ".#*", "#*#",
		".~lock*", ".DS_Store", "._*", "Thumbs.db", "4913"};

	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++)
		if (fnmatch(patterns[i], name, 0) == 0)
			return true;
	return false;
}

bool draftcheck_transfer(const char *name)
{
	static const char *const patterns[] = {"?*.part", "?*.filepart", "?*.crdownload",
		".goutputstream-*", ".nfs*", "*.partial", ".~tmp~", ".rsync-partial"};

	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++)
		if (fnmatch(patterns[i], name, 0) == 0)
			return true;
	/* rsync's .NAME.XXXXXX */
	const char *dot = strrchr(name, '.');
	if (*name != '.' || !dot || dot <= name + 1 || strlen(dot + 1) != 6)
		return false;
	return strspn(dot + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") ==
		6;
}

static bool leaves(const char *path, const char *target)
{
	int depth = 0;

	if (*target == '/')
		return true;
	for (const char *p = path; (p = strchr(p, '/')); p++)
		depth++;
	while (*target) {
		size_t len = strcspn(target, "/");

		if (len == 2 && strncmp(target, "..", 2) == 0)
			depth--;
		else if (len && !(len == 1 && *target == '.'))
			depth++;
		if (depth < 0)
			return true;
		target += len + (target[len] == '/');
	}
	return false;
}

static void note_link(int folder, const char *name, const char *path, struct tree_walk *walk)
{
	char target[4096];
	ssize_t n = readlinkat(folder, name, target, sizeof(target) - 1);

	if (n < 0)
		return;
	target[n] = 0;
	if (!leaves(path, target))
		return;
	strbuf_add_escaped(&walk->leaving, path, strlen(path));
	strbuf_adds(&walk->leaving, " -> ");
	strbuf_add_escaped(&walk->leaving, target, (size_t)n);
	strbuf_addc(&walk->leaving, '\n');
}

static void note_script(int folder, const char *name, struct tree_walk *walk)
{
	AUTO_FREE char *head = xmalloc(SCRIPT_HEAD);
	struct sbatchscript script;
	int fd AUTO_CLOSE = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	ssize_t n = fd < 0 ? -1 : pread(fd, head, SCRIPT_HEAD, 0);
	/* Some editors write a mark ahead of the text, which hides its first line from Slurm. */
	size_t mark = n >= 3 && !memcmp(head, "\xef\xbb\xbf", 3) ? 3 : 0;
	if (n < (ssize_t)mark + 2 || head[mark] != '#')
		return;
	sbatchscript_parse(head + mark, (size_t)n - mark, &script);
	if (script.is_batch && !mark) {
		if (!walk->scripts++)
			walk->script = xstrdup(name);
		strbuf_add(&walk->script_names, name, strlen(name) + 1);
	} else if (script.option_count && !walk->almost) {
		walk->almost = xstrdup(name);
	}
	sbatchscript_release(&script);
}

static void note_top(int folder, const char *name, mode_t type, struct tree_walk *walk)
{
	if (strcmp(name, ".slurmount") == 0)
		walk->reserved = true;
	if (!S_ISDIR(type))
		strbuf_add(&walk->names, name, strlen(name) + 1);
	if (!S_ISREG(type) || draftcheck_dropping(name))
		return;
	if (strcmp(name, "SHA256SUMS") == 0)
		walk->sums = true;
	note_script(folder, name, walk);
}

/* FIFOs, sockets and devices have no bytes that could be brought to the cluster. */
static bool is_special(mode_t mode)
{
	return !S_ISREG(mode) && !S_ISDIR(mode) && !S_ISLNK(mode);
}

static void walk_folder(int folder, const char *prefix, int depth, bool loose,
	struct tree_walk *walk)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir AUTO_CLOSEDIR = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		const char *name = entry->d_name;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || (loose && S_ISDIR(st.st_mode)))
			continue;
		AUTO_FREE char *path = xasprintf("%s%s", prefix, name);
		if (!depth)
			note_top(fd, name, st.st_mode, walk);
		if (draftcheck_transfer(name)) {
			strbuf_add_escaped(&walk->transfers, path, strlen(path));
			strbuf_addc(&walk->transfers, '\n');
		} else if ((draftcheck_dropping(name) && !S_ISDIR(st.st_mode)) || is_special(st.st_mode)) {
			strbuf_add_escaped(&walk->left_out, path, strlen(path));
			strbuf_addc(&walk->left_out, '\n');
			continue;
		}
		if (S_ISLNK(st.st_mode))
			note_link(fd, name, path, walk);
		if (S_ISREG(st.st_mode))
			walk->files++;
		if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
			AUTO_FREE char *below = xasprintf("%s/", path);
			int sub AUTO_CLOSE = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			if (sub >= 0)
				walk_folder(sub, below, depth + 1, false, walk);
		}
	}
}

void tree_walk(int folder, bool loose, struct tree_walk *ret)
{
	*ret = (struct tree_walk){.left_out = STRBUF_INIT, .transfers = STRBUF_INIT,
		.leaving = STRBUF_INIT, .names = STRBUF_INIT, .script_names = STRBUF_INIT};
	walk_folder(folder, "", 0, loose, ret);
}

void tree_walk_release(struct tree_walk *walk)
{
	strbuf_release(&walk->left_out);
	strbuf_release(&walk->transfers);
	strbuf_release(&walk->leaving);
	strbuf_release(&walk->names);
	strbuf_release(&walk->script_names);
	free(walk->script);
	free(walk->almost);
}

/* Goes through a folder; `all` deletes everything, else droppings only. */
static int delete_in(int parent, const char *name, bool all, int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir AUTO_CLOSEDIR = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int result = 0;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		struct stat st;
		int r = 0;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode)) {
			r = depth < 4 * DEPTH_MAX ? delete_in(fd, entry->d_name, all, depth + 1) : -ELOOP;
			if (all && unlinkat(fd, entry->d_name, AT_REMOVEDIR) < 0)
				r = -errno;
		} else if (all || draftcheck_dropping(entry->d_name)) {
			r = unlinkat(fd, entry->d_name, 0) < 0 ? -errno : 0;
		}
		if (r < 0)
			result = r;
	}
	return result;
}

void tree_sweep_droppings(int folder)
{
	delete_in(folder, ".", false, 0);
}

int tree_delete(int folder, const char *name)
{
	int r = delete_in(folder, name, true, 0);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	return unlinkat(folder, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}
