#include "draftcut.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"

#define MARK "user.slurmount.writing"
#define DEPTH_MAX 64

/* Another writer may come or go meanwhile; whoever comes last sees to the mark once more. */
static void mark_file(struct spool_node *node)
{
	char proc[SPOOL_PROC_SIZE];
	const char *path = spool_proc(node, proc);
	unsigned before;

	do {
		before = node->writers;
		if (before)
			setxattr(path, MARK, "", 0, 0);
		else
			removexattr(path, MARK);
	} while (!before != !node->writers);
}

void cut_writer_came(struct spool_node *node)
{
	if (node->writers++ == 0)
		mark_file(node);
}

void cut_writer_left(struct spool_node *node)
{
	if (--node->writers == 0)
		mark_file(node);
}

void cut_writers_gone(struct spool_node *node)
{
	if (node->writers) {
		node->writers = 0;
		mark_file(node);
	}
}

static void find_below(int folder, bool deep, const char *prefix, int depth, struct strbuf *ret)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir AUTO_CLOSEDIR = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		AUTO_FREE char *path = xasprintf("%s%s", prefix, entry->d_name);
		int one AUTO_CLOSE = -1;
		struct stat st;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
			fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			(!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) ||
			(S_ISDIR(st.st_mode) && (!deep || depth == DEPTH_MAX)))
			continue;
		one = openat(fd, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (one >= 0 && S_ISDIR(st.st_mode)) {
			AUTO_FREE char *below = xasprintf("%s/", path);

			find_below(one, true, below, depth + 1, ret);
		} else if (one >= 0 && fgetxattr(one, MARK, NULL, 0) >= 0) {
			if (ret->len)
				strbuf_adds(ret, ", ");
			strbuf_add_escaped(ret, path, strlen(path));
		}
	}
}

void cut_find(int folder, bool loose, struct strbuf *ret)
{
	find_below(folder, !loose, "", 0, ret);
}
