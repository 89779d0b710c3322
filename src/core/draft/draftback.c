/*
 * Sealed files whose job the database lost become a draft again.
 *
 * Whether sbatch ran for them nobody knows for certain then, so such a draft is held until somebody submits it:
 * SPOOL/meta has a file NAME.back for it, which is on the disk before the draft is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "drafts_internal.h"
#include "err.h"
#include "jobspec.h"

#define UUID_LEN 36

/* A folder of loose files that were being moved there is one, too. */
static bool is_uuid(const char *name)
{
	return strspn(name, "0123456789abcdef-") == UUID_LEN &&
		(!name[UUID_LEN] || !strcmp(name + UUID_LEN, ".part"));
}

void drafts_each_sealed(struct drafts *drafts, void (*each)(void *arg, const char *uuid), void *arg)
{
	int fd = openat(drafts->sealed_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir AUTO_CLOSEDIR = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (!is_uuid(entry->d_name))
			continue;
		AUTO_FREE char *uuid = xstrndup(entry->d_name, UUID_LEN);
		each(arg, uuid);
	}
}

/* As the job was named, or as its config.ini names it, or by its uuid; the caller's to free. */
static char *name_of(int folder, const char *uuid)
{
	struct strbuf config AUTO_STRBUF = STRBUF_INIT, why AUTO_STRBUF = STRBUF_INIT;
	char name[JOB_NAME_MAX + 1] = "";
	struct jobspec *spec = NULL;

	if (fgetxattr(folder, DRAFT_JOB_ATTRIBUTE, name, sizeof(name) - 1) > 0 && !jobspec_check_name(name))
		return xstrdup(name);
	if (draftcheck_read(folder, "config.ini", DRAFT_CONFIG_MAX, &config) == 0)
		jobspec_parse(config.data, config.len, &spec, &why);
	char *found = spec && spec->name && !jobspec_check_name(spec->name) ? xstrdup(spec->name) :
		xasprintf("job-%.8s", uuid);
	jobspec_free(spec);
	return found;
}

static int hold(struct drafts *drafts, const char *name)
{
	AUTO_FREE char *back = draft_meta_name(name, "back");
	int fd AUTO_CLOSE = openat(drafts->meta_fd, back, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	return fd < 0 || fsync(fd) < 0 || fsync(drafts->meta_fd) < 0 ? -errno : 0;
}

/* Under the first free name, where the folder is not there yet. */
static int move_back(struct drafts *drafts, const char *from, const char *wanted, char **ret)
{
	char *name = xstrdup(wanted);
	int r = -EEXIST;

	for (unsigned n = 2; r == -EEXIST; n++) {
		if (faccessat(drafts->top_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
			r = hold(drafts, name);
			if (r == 0)
				r = draft_move_entry(drafts->sealed_fd, from, drafts->top_fd, name);
			if (r == 0)
				break;
			draft_forget_meta(drafts, name);
		}
		free(name);
		name = xasprintf("%.*s-%u", JOB_NAME_MAX - 8, wanted, n);
	}
	*ret = name;
	return r;
}

int drafts_take_back(struct drafts *drafts, const char *uuid, char **ret_name)
{
	AUTO_FREE char *part = xasprintf("%s.part", uuid);
	AUTO_FREE char *name = NULL;
	const char *from = faccessat(drafts->sealed_fd, uuid, F_OK, 0) == 0 ? uuid : part;
	int fd AUTO_CLOSE = openat(drafts->sealed_fd, from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	AUTO_FREE char *wanted = name_of(fd, uuid);
	int r = move_back(drafts, from, wanted, &name);
	if (r == 0 && (fsync(drafts->top_fd) < 0 || fsync(drafts->sealed_fd) < 0))
		r = -errno;
	if (r < 0)
		return r;
	fremovexattr(fd, DRAFT_JOB_ATTRIBUTE);
	drafts_drop_template(drafts, uuid);
	drafts_rescan(drafts);
	draft_wake_engine(drafts);
	*ret_name = STEAL(name);
	return 0;
}
