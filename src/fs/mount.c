/*
 * fuse_session_exit() of libfuse 3.14 only sets a flag.  The main thread waits for its workers on a
 * semaphore and looks at the flag when that wait is interrupted; so the thread that waits for
 * signals interrupts it, again and again, since the first time may come just before the wait.  (A
 * request made to the mount itself would do too, but a worker may take it and leave unanswered.)
 */
#include "mount.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <stdatomic.h>

#include "err.h"
#include "log.h"

int mount_new(struct fs *fs, const char *label, const char *options, bool xattr,
	struct fuse_session **ret)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_lowlevel_ops ops = session_ops;
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	strbuf_adds(&text, "default_permissions,subtype=slurmount,fsname=slurmount:");
	/* A comma would end the option. */
	for (const char *at = label; *at; at++) {
		if (*at == ',' || *at == '\\')
			strbuf_addc(&text, '\\');
		strbuf_addc(&text, *at);
	}
	strbuf_adds(&text, options);
	fuse_opt_add_arg(&args, "slurmount");
	fuse_opt_add_arg(&args, "-o");
	fuse_opt_add_arg(&args, text.data);
	/* Without handlers the kernel is told ENOSYS once, and never asks again. */
	if (xattr) {
		ops.getxattr = xattr_get;
		ops.listxattr = xattr_list;
	}
	*ret = fuse_session_new(&args, &ops, sizeof(ops), fs);
	fuse_opt_free_args(&args);
	return *ret ? 0 : -EINVAL;
}

/* ---- /proc/self/mountinfo, see proc(5): ID PARENT MAJOR:MINOR ROOT MOUNTPOINT ... ---- */

/* Blanks and backslashes are \ooo there. */
static bool is_path(const char *escaped, const char *path)
{
	while (*escaped) {
		unsigned char c = (unsigned char)*escaped++;

		if (c == '\\' && strspn(escaped, "01234567") >= 3) {
			c = (unsigned char)((escaped[0] - '0') << 6 | (escaped[1] - '0') << 3 |
				(escaped[2] - '0'));
			escaped += 3;
		}
		if (c != (unsigned char)*path++)
			return false;
	}
	return !*path;
}

void mount_device(const char *mountpoint, char device[MOUNT_DEVICE_SIZE])
{
	FILE *file AUTO_FCLOSE = fopen("/proc/self/mountinfo", "re");
	AUTO_FREE char *line = NULL;
	size_t size = 0;

	device[0] = '\0';
	while (file && getline(&line, &size, file) >= 0) {
		AUTO_FREE char *path = xstrdup(line);
		char found[MOUNT_DEVICE_SIZE];

		/* The last one lies on top. */
		if (sscanf(line, "%*s %*s %23s %*s %s", found, path) == 2 &&
			is_path(path, mountpoint))
			strcpy(device, found);
	}
}

bool mount_is_attached(const char *device)
{
	FILE *file AUTO_FCLOSE = fopen("/proc/self/mountinfo", "re");
	AUTO_FREE char *line = NULL;
	size_t size = 0;
	char found[MOUNT_DEVICE_SIZE];

	if (!file || !*device)
		return true;
	while (getline(&line, &size, file) >= 0)
		if (sscanf(line, "%*s %*s %23s", found) == 1 && !strcmp(found, device))
			return true;
	return false;
}

static struct {
	struct fs *fs;
	sigset_t signals;
	pthread_t main_thread;
	_Atomic bool left; /* the loop */
	_Atomic bool told; /* by a signal, to end */
} watcher;             /* set before its thread starts */

void mount_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
}

static void *watch_signals(void *arg)
{
	static const struct timespec pause = {.tv_nsec = 20000000};
	int signal;

	(void)arg;
	if (sigwait(&watcher.signals, &signal) || signal == SIGUSR1)
		return NULL;
	log_info("ending on signal %d", signal);
	atomic_store(&watcher.told, true);
	/* It needs the workers to come back from the kernel. */
	announcer_stop(watcher.fs->announcer);
	fuse_session_exit(watcher.fs->session);
	while (!atomic_load(&watcher.left)) {
		pthread_kill(watcher.main_thread, SIGUSR2);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static void interrupt_wait(int signal)
{
	(void)signal;
}

bool mount_was_unmounted(void)
{
	return !atomic_load(&watcher.told);
}

int mount_serve(struct fs *fs)
{
	struct fuse_session *session = fs->session;
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	struct sigaction action = {.sa_handler = interrupt_wait};
	pthread_t thread;
	int r;

	watcher.fs = fs;
	watcher.main_thread = pthread_self();
	fuse_loop_cfg_set_max_threads(config, 16);
	fuse_loop_cfg_set_idle_threads(config, 16);
	mount_signals(&watcher.signals);
	sigaction(SIGUSR2, &action, NULL);
	r = -pthread_create(&thread, NULL, watch_signals, NULL);
	if (r == 0) {
		r = fuse_session_loop_mt(session, config);
		atomic_store(&watcher.left, true);
		pthread_kill(thread, SIGUSR1);
		pthread_join(thread, NULL);
	}
	fuse_loop_cfg_destroy(config);
	/* The loop answers with the number of a signal, or a negative errno. */
	return r < 0 ? r : 0;
}
