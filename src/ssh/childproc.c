#include "childproc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "clock.h"

#define OUTPUT_MAX (1 << 20)

int child_status(int wait_status)
{
	if (WIFSIGNALED(wait_status))
		return 128 + WTERMSIG(wait_status);
	return WEXITSTATUS(wait_status);
}

int poll_timeout(int64_t deadline)
{
	int64_t left;

	if (deadline == CLOCK_NEVER)
		return -1;
	left = deadline - clock_mono_ms(&clock_system);
	if (left <= 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}

void ignore_sigpipe(void)
{
	struct sigaction old;

	if (!sigaction(SIGPIPE, NULL, &old) && old.sa_handler == SIG_DFL)
		signal(SIGPIPE, SIG_IGN);
}

static void set_stream(posix_spawn_file_actions_t *actions, int fd, int target)
{
	if (fd < 0)
		posix_spawn_file_actions_addopen(actions, target, "/dev/null", O_RDWR, 0);
	else
		posix_spawn_file_actions_adddup2(actions, fd, target);
}

int child_start(const char *const argv[], int in, int out, int err, bool own_session,
	pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	if (own_session)
		flags |= POSIX_SPAWN_SETSID;
	posix_spawnattr_setflags(&attr, flags);
	posix_spawn_file_actions_init(&actions);
	set_stream(&actions, in, 0);
	set_stream(&actions, out, 1);
	set_stream(&actions, err, 2);
	r = posix_spawnp(ret_pid, argv[0], &actions, &attr, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return -r;
}

void child_kill(pid_t pid, bool own_session)
{
	kill(own_session ? -pid : pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Reads to the end or the deadline. */
static int read_output(int fd, int64_t deadline, struct strbuf *output)
{
	char bytes[4096];

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int r = poll(&p, 1, poll_timeout(deadline));
		ssize_t n;

		if (r == 0)
			return -ETIMEDOUT;
		if (r < 0)
			continue;
		n = read(fd, bytes, sizeof(bytes));
		if (n <= 0)
			return 0;
		if (output->len < OUTPUT_MAX)
			strbuf_add(output, bytes, (size_t)n);
	}
}

int child_run(const char *const argv[], int64_t deadline, struct strbuf *output)
{
	AUTO_CLOSE int from = -1;
	int ends[2], r, status;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	from = ends[0];
	r = child_start(argv, -1, ends[1], -1, true, &pid);
	close(ends[1]);
	if (r)
		return r;
	r = read_output(from, deadline, output);
	if (r) {
		child_kill(pid, true);
		return r;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return child_status(status);
}
