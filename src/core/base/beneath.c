#include "beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"

/* Where a descriptor leads to, or NULL; the caller's to free. */
static char *path_of(int fd)
{
	char proc[32], path[PATH_MAX];

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(proc, path, sizeof(path));
	return n < 0 || n == sizeof(path) ? NULL : xstrndup(path, (size_t)n);
}

/* Looks where it leads before it opens it. */
static int look_and_open(int folder, const char *path, int flags)
{
	if (*path == '/' || strcmp(path, "..") == 0 || strncmp(path, "../", 3) == 0)
		return -EXDEV;
	int at AUTO_CLOSE = openat(folder, path, O_PATH | O_CLOEXEC | (flags & O_NOFOLLOW));
	if (at < 0)
		return -errno;
	AUTO_FREE char *top = path_of(folder);
	AUTO_FREE char *found = path_of(at);
	size_t len = top ? strlen(top) : 0;

	if (!top || !found || strncmp(found, top, len) != 0 || (found[len] && found[len] != '/'))
		return -EXDEV;
	if (flags & O_PATH)
		return steal_fd(&at);
	char proc[32];
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", at);
	int fd = open(proc, (flags & ~O_NOFOLLOW) | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int open_beneath(int folder, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_BENEATH | resolve};
	long fd = syscall(SYS_openat2, folder, path, &how, sizeof(how));

	if (fd < 0 && errno == ENOSYS)
		return look_and_open(folder, path, flags);
	return fd < 0 ? -errno : (int)fd;
}
