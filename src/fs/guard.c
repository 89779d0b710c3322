#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "err.h"
#include "log.h"
#include "mount.h"

#define ORPHANED SIGUSR1
#define NAME "slurmount-guard"

struct mounted {
	char device[MOUNT_DEVICE_SIZE];
	char mountpoint[PATH_MAX];
};

/* What ps and pgrep show: it is not to be taken for the daemon. */
static void take_name(void)
{
	char line[4096];
	int fd AUTO_CLOSE = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line));

	prctl(PR_SET_NAME, NAME);
	if (n <= (ssize_t)sizeof(NAME))
		return;
	memset(program_invocation_name, 0, (size_t)n);
	strcpy(program_invocation_name, NAME);
}

/* The kernel's own file for it, see fuse(4) and Documentation/filesystems/fuse.rst of Linux; it is the
 * user's where it is there at all.  Without it, root may force an unmounting. */
static void end_connection(const struct mounted *m)
{
	char device[MOUNT_DEVICE_SIZE];
	const char *minor = strchr(m->device, ':');

	/* Another mount may have got the number of one that ended well. */
	mount_device(m->mountpoint, device);
	if (!minor || (strcmp(device, m->device) && mount_is_attached(m->device)))
		return;
	AUTO_FREE char *path = xasprintf("/sys/fs/fuse/connections/%s/abort", minor + 1);
	int fd AUTO_CLOSE = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "1", 1) == 1)
		return;
	if (!strcmp(device, m->device))
		umount2(m->mountpoint, MNT_FORCE | UMOUNT_NOFOLLOW);
}

static void keep_guard(int fd, pid_t parent)
{
	static const struct timespec pause = {.tv_nsec = 50000000};
	struct mounted mounted;
	sigset_t orphaned;
	int signal;

	setsid();
	if (chdir("/"))
		_exit(1);
	int null = open("/dev/null", O_RDWR);
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	dup2(fd, 3);
	close_range(4, ~0u, 0);
	take_name();
	sigfillset(&orphaned);
	sigprocmask(SIG_SETMASK, &orphaned, NULL);
	prctl(PR_SET_PDEATHSIG, ORPHANED);
	sigemptyset(&orphaned);
	sigaddset(&orphaned, ORPHANED);
	while (getppid() == parent && (sigwait(&orphaned, &signal) || signal != ORPHANED))
		;
	/* As long as one of its threads is left, it is the parent; as a rule they are gone at once. */
	for (int i = 0; i < 40 && getppid() == parent; i++)
		nanosleep(&pause, NULL);
	if (getppid() != parent)
		_exit(0);
	/* The stuck thread has its end of it open: nobody waits for more. */
	fcntl(3, F_SETFL, O_NONBLOCK);
	if (read(3, &mounted, sizeof(mounted)) == sizeof(mounted))
		end_connection(&mounted);
	_exit(0);
}

int guard_start(struct guard *guard)
{
	pid_t parent = getpid();
	int ends[2];

	*guard = (struct guard){.fd = -1};
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid_t child = fork();
	if (child == 0)
		keep_guard(ends[0], parent);
	int error = child < 0 ? -errno : 0;
	close(ends[0]);
	if (child < 0) {
		close(ends[1]);
		return error;
	}
	*guard = (struct guard){child, ends[1]};
	return 0;
}

void guard_tell(struct guard *guard, const char *mountpoint)
{
	struct mounted mounted = {0};

	if (guard->fd < 0 || strlen(mountpoint) >= sizeof(mounted.mountpoint))
		return;
	mount_device(mountpoint, mounted.device);
	strcpy(mounted.mountpoint, mountpoint);
	/* The pipe holds it. */
	if (write(guard->fd, &mounted, sizeof(mounted)) != sizeof(mounted))
		log_warning("the guard of the mount is gone: %s", strerror(errno));
}

void guard_stop(struct guard *guard)
{
	if (!guard->pid)
		return;
	kill(guard->pid, SIGKILL);
	while (waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(guard->fd);
	guard->pid = 0;
}
