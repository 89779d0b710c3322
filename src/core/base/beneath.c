#include "beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "err.h"

static int open_without_links(int folder, const char *path, int flags)
{
	AUTO_FREE char *rest = xstrdup(path);
	int at AUTO_CLOSE = -1;
	char *next = rest;

	if (*path == '/')
		return -EXDEV;
	for (char *name; (name = strsep(&next, "/"));) {
		if (strcmp(name, "..") == 0)
			return -EXDEV;
		if (next && (!*name || strcmp(name, ".") == 0))
			continue;
		int fd = openat(at < 0 ? folder : at, *name ? name : ".",
			(next ? O_PATH | O_DIRECTORY : flags) | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || !next)
			return fd < 0 ? -errno : fd;
		if (at >= 0)
			close(at);
		at = fd;
	}
	return -ENOENT;
}

int open_beneath(int folder, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_BENEATH | resolve};
	long fd = syscall(SYS_openat2, folder, path, &how, sizeof(how));

	if (fd < 0 && errno == ENOSYS)
		return open_without_links(folder, path, flags);
	return fd < 0 ? -errno : (int)fd;
}
