#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>

#include "childproc.h"
#include "clock.h"
#include "err.h"

#define ENDING_MS 6000
#define ANSWER_MS 5000

char *state_path(const char *label)
{
	const char *base = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (base && *base == '/')
		return xasprintf("%s/slurmount/%s", base, label);
	return home && *home == '/' ? xasprintf("%s/.local/state/slurmount/%s", home, label) : NULL;
}

int state_make(const char *path, struct strbuf *why)
{
	AUTO_FREE char *copy = xstrdup(path);
	struct stat st;

	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(copy, 0700);
		*slash = '/';
	}
	if ((mkdir(copy, 0700) && errno != EEXIST) || stat(copy, &st) || chmod(copy, 0700)) {
		int error = -errno;

		strbuf_addf(why, "%s: %s", path, strerror(errno));
		return error;
	}
	if (S_ISDIR(st.st_mode))
		return 0;
	strbuf_addf(why, "%s: %s", path, strerror(ENOTDIR));
	return -ENOTDIR;
}

/* ---- mounts ---- */

/* \ooo, as the kernel writes blanks and such. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *at = text; *at; to++) {
		if (*at == '\\' && at[1] && at[2] && at[3]) {
			*to = (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
			at += 4;
		} else {
			*to = *at++;
		}
	}
	*to = '\0';
}

/* The source of a line of mountinfo that is a slurmount at `mountpoint`, or NULL. */
static char *source_of(char *line, const char *mountpoint)
{
	char *at = line, *where = NULL, *type, *source;

	for (int i = 0; i < 5 && at; i++)
		where = strsep(&at, " ");
	if (!at || !where)
		return NULL;
	unescape(where);
	at = strstr(at, "- ");
	if (!at || strcmp(where, mountpoint))
		return NULL;
	at += 2;
	type = strsep(&at, " ");
	source = strsep(&at, " ");
	if (!source || strcmp(type, "fuse.slurmount"))
		return NULL;
	unescape(source);
	return source;
}

char *state_mounted(const char *mountpoint)
{
	FILE *file AUTO_FCLOSE = fopen("/proc/self/mountinfo", "re");
	AUTO_FREE char *line = NULL;
	char *found = NULL;
	size_t size = 0;

	while (file && getline(&line, &size, file) > 0) {
		char *source = source_of(line, mountpoint);

		/* The last one lies on top. */
		if (source) {
			free(found);
			found = xstrdup(source);
		}
	}
	return found;
}

/* The mount point itself must not be touched: it does not answer. */
static char *resolve_parent(const char *given)
{
	AUTO_FREE char *copy = xstrdup(given);
	size_t len = strlen(copy);

	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	char *slash = strrchr(copy, '/');
	const char *base = slash ? slash + 1 : copy;
	AUTO_FREE char *name = xstrdup(base);
	if (slash)
		slash[slash == copy] = '\0';
	AUTO_FREE char *parent = realpath(slash ? copy : ".", NULL);
	return parent ? xasprintf("%s/%s", strcmp(parent, "/") ? parent : "", name) : NULL;
}

static void take_away(const char *path)
{
	const char *const argv[] = {"fusermount3", "-u", "-z", "--", path, NULL};
	struct strbuf output AUTO_STRBUF = STRBUF_INIT;

	if (umount2(path, MNT_DETACH))
		child_run(argv, clock_in(&clock_system, 5000), &output);
}

/* Who holds it: "PID MOUNTPOINT". */
static void read_holder(int fd, char *pid, size_t pid_size, char *where, size_t where_size)
{
	char text[PATH_MAX + 32];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	*pid = *where = '\0';
	if (n <= 0)
		return;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	char *blank = strchr(text, ' ');
	if (!blank)
		return;
	*blank = '\0';
	snprintf(pid, pid_size, "%.31s", text);
	snprintf(where, where_size, "%s", blank + 1);
}

/* statfs() by a child, since that of a mount whose process was stopped never comes back: 0, the
 * error, or -ETIMEDOUT. */
static int look_at(const char *path)
{
	struct statfs fs;
	pid_t child = fork();
	int status;

	if (child < 0)
		return -errno;
	if (!child)
		_exit(statfs(path, &fs) ? errno : 0);
	int fd AUTO_CLOSE = pidfd_open(child, 0);
	struct pollfd ended = {.fd = fd, .events = POLLIN};
	if (fd >= 0 && poll(&ended, 1, ANSWER_MS) != 1) {
		/* It may not die before it is answered; whoever inherits it takes it away. */
		kill(child, SIGKILL);
		return -ETIMEDOUT;
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

static bool is_stopped(const char *pid)
{
	AUTO_FREE char *path = xasprintf("/proc/%s/stat", pid);
	FILE *file AUTO_FCLOSE = fopen(path, "re");
	char state = 0;

	return file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1 && state == 'T';
}

/* What is mounted there has not answered. */
static void say_silent(const char *given, struct strbuf *why)
{
	AUTO_FREE char *where = resolve_parent(given);
	AUTO_FREE char *source = where ? state_mounted(where) : NULL;
	AUTO_FREE char *state = source ? state_path(source + strcspn(source, ":") + 1) : NULL;
	AUTO_FREE char *name = xasprintf("%s/lock", state ? state : "");
	int fd AUTO_CLOSE = state ? open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	char pid[32] = "", at[PATH_MAX];

	if (fd >= 0)
		read_holder(fd, pid, sizeof(pid), at, sizeof(at));
	strbuf_addf(why, "%s: what is mounted there does not answer", given);
	if (*pid && !strcmp(at, where) && is_stopped(pid))
		strbuf_addf(why, ", since process %s is stopped; let it go on with: kill -CONT %s", pid,
			pid);
	else
		strbuf_addf(why, "; take it away with: fusermount3 -uz %s", given);
}

char *state_mountpoint(const char *given, struct strbuf *why)
{
	struct stat st;
	int r;

	/* stat() may be answered from what the kernel kept of a dead mount, statfs() never is. */
	for (int i = 0; (r = look_at(given)) == -ENOTCONN && i < 8; i++) {
		AUTO_FREE char *path = resolve_parent(given);

		if (path)
			take_away(path);
	}
	if (r == -ETIMEDOUT) {
		say_silent(given, why);
		return NULL;
	}
	char *path = realpath(given, NULL);
	if (!path || stat(path, &st) || !S_ISDIR(st.st_mode)) {
		strbuf_addf(why, "%s: %s", given, strerror(path ? ENOTDIR : errno));
		free(STEAL(path));
	}
	return path;
}

char *state_source(const char *given)
{
	AUTO_FREE char *where = resolve_parent(given);
	char *source = where ? state_mounted(where) : NULL;

	if (source)
		return source;
	/* A link to it, or a path such as "." */
	AUTO_FREE char *real = realpath(given, NULL);
	return real ? state_mounted(real) : NULL;
}

/* ---- the lock ---- */

/* Whether the holder's mount still stands; one without may be ending, or just beginning. */
static bool stands(int fd, struct strbuf *holder)
{
	char pid[32], where[PATH_MAX];

	read_holder(fd, pid, sizeof(pid), where, sizeof(where));
	AUTO_FREE char *source = state_mounted(where);
	strbuf_reset(holder);
	strbuf_addf(holder, "process %s, mounted at %s", pid, where);
	return source != NULL;
}

int state_lock(const char *path, const char *mountpoint, struct strbuf *why)
{
	AUTO_FREE char *name = xasprintf("%s/lock", path);
	int fd AUTO_CLOSE = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int64_t until = clock_in(&clock_system, ENDING_MS);
	struct strbuf holder AUTO_STRBUF = STRBUF_INIT;

	if (fd < 0) {
		int error = -errno;

		strbuf_addf(why, "%s: %s", name, strerror(errno));
		return error;
	}
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (stands(fd, &holder) || clock_mono_ms(&clock_system) > until) {
			strbuf_addf(why, "%s is in use by %s", path, holder.data);
			return -EBUSY;
		}
		usleep(20000);
	}
	if (ftruncate(fd, 0) || dprintf(fd, "%d %s\n", (int)getpid(), mountpoint) < 0) {
		int error = -errno;

		strbuf_addf(why, "%s: %s", name, strerror(-error));
		return error;
	}
	return steal_fd(&fd);
}

/* ---- a damaged database ---- */

int state_set_aside(const char *database, const char *damage, struct strbuf *note,
	struct strbuf *why)
{
	static const char *const endings[] = {"-wal", "-shm", "-journal", "-damaged", ""};
	AUTO_FREE char *aside = xasprintf("%s.damaged-%lld", database, (long long)time(NULL));

	for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++) {
		AUTO_FREE char *from = xasprintf("%s%s", database, endings[i]);
		AUTO_FREE char *to = xasprintf("%s%s", aside, endings[i]);

		if (rename(from, to) && (errno != ENOENT || !*endings[i])) {
			int error = -errno;

			strbuf_addf(why, "%s is damaged (%s) and cannot be renamed: %s", database,
				damage, strerror(-error));
			return error;
		}
	}
	strbuf_addf(note, "the database of jobs was damaged (%s); it is kept as %s, and the jobs are looked "
		"for on the cluster", damage, aside);
	return 0;
}
