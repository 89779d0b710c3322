#include "treesync.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

/* Beyond this, one syncfs() costs less than a sync of each. */
#define FILES_MAX 256
#define DEPTH_MAX 100

struct sync_walk {
	bool loose;
	bool begin; /* only have the writing begin: then all of it needs one commit of the journal */
	int files;
	int result;
};

static void sync_file(struct sync_walk *walk, int folder, const char *name)
{
	int fd AUTO_CLOSE = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	walk->files++;
	if (fd < 0)
		walk->result = -errno;
	else if (walk->begin)
		sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	else if (fsync(fd) < 0)
		walk->result = -errno;
}

static void sync_folder(struct sync_walk *walk, int parent, const char *name, int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir AUTO_CLOSEDIR = fd < 0 || depth > DEPTH_MAX ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct stat st;

	if (!dir) {
		walk->result = fd < 0 ? -errno : -ELOOP;
		if (fd >= 0)
			close(fd);
		return;
	}
	while (!walk->result && walk->files <= FILES_MAX && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			walk->result = -errno;
		else if (S_ISREG(st.st_mode))
			sync_file(walk, fd, entry->d_name);
		else if (S_ISDIR(st.st_mode) && !walk->loose)
			sync_folder(walk, fd, entry->d_name, depth + 1);
	}
	walk->files++;
	if (!walk->begin && !walk->result && fsync(fd) < 0)
		walk->result = -errno;
}

int tree_sync(int folder, bool loose)
{
	struct sync_walk begin = {.loose = loose, .begin = true};
	struct sync_walk sync = {.loose = loose};

	sync_folder(&begin, folder, ".", 0);
	if (!begin.result && begin.files <= FILES_MAX) {
		sync_folder(&sync, folder, ".", 0);
		if (!sync.result && sync.files <= FILES_MAX)
			return 0;
	}
	return syncfs(folder) < 0 ? -errno : 0;
}
