/* A copy of a template for a job that has been accepted: what it runs does not change any more. */
#include "template.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "treesync.h"

static int copy_file(int from, int to, const char *name)
{
	int in AUTO_CLOSE = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	ssize_t n;

	if (in < 0 || fstat(in, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return 0;
	int out AUTO_CLOSE = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		(st.st_mode & 0777) | 0600);
	if (out < 0)
		return -errno;
	while ((n = copy_file_range(in, NULL, out, NULL, 1 << 30, 0)) > 0)
		continue;
	/* Two file systems of different kinds: by hand. */
	if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS)) {
		AUTO_FREE char *buffer = xmalloc(1 << 16);

		if (lseek(in, 0, SEEK_SET) < 0 || lseek(out, 0, SEEK_SET) < 0)
			return -errno;
		while ((n = read(in, buffer, 1 << 16)) > 0)
			if (write(out, buffer, (size_t)n) != n)
				return errno ? -errno : -ENOSPC;
	}
	return n < 0 ? -errno : 0;
}

static int copy_files(int from, int to)
{
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir AUTO_CLOSEDIR = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	while (r == 0 && (errno = 0, entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = copy_file(from, to, entry->d_name);
	return r < 0 ? r : -errno;
}

int template_keep(const char *folder, const char *parent)
{
	const char *slash = strrchr(folder, '/');
	AUTO_FREE char *part = xasprintf("%s/%s.part", parent, slash ? slash + 1 : folder);
	AUTO_FREE char *to = xasprintf("%s/%s", parent, slash ? slash + 1 : folder);
	int in AUTO_CLOSE = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (in < 0 || mkdir(parent, 0700) < 0 || mkdir(part, 0700) < 0)
		return -errno;
	int out AUTO_CLOSE = open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = out < 0 ? -errno : copy_files(in, out);
	/* It bears the template's name only when it is complete, also after a power failure. */
	if (r == 0 && (tree_sync(out, false) < 0 || rename(part, to) < 0))
		r = -errno;
	return r;
}
