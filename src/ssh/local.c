#include "local.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <string.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "childproc.h"
#include "chunkq.h"
#include "clock.h"
#include "err.h"

#define KEPT_MAX (4u << 20)
#define CHUNK_SIZE 65536

struct local_remote {
	struct remote base;
	int abort_fd; /* readable once aborted */
	mode_t mask;  /* of the commands */
	atomic_bool aborted;
};

struct local_proc {
	struct remote_proc base;
	pid_t pid;   /* 0 once reaped */
	int pidfd;
	int in;      /* its stdin; -1 once closed */
	int out[2];  /* its stdout and stderr; -1 at their end */
	struct chunkq kept[2];
	int status;
};

struct local_file {
	struct remote_file base;
	int fd;
};

static struct local_remote *of_remote(struct remote *r)
{
	return (struct local_remote *)r;
}

static bool is_aborted(struct remote *r)
{
	return atomic_load(&of_remote(r)->aborted);
}

static int local_connect(struct remote *r, const struct remote_prompter *prompter, int64_t deadline,
	struct strbuf *why)
{
	(void)prompter;
	(void)deadline;
	(void)why;
	return is_aborted(r) ? -ECANCELED : 0;
}

static void close_at(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_pair(int pair[2])
{
	close_at(&pair[0]);
	close_at(&pair[1]);
}

/* Three pipes; on failure none is left open. */
static int make_pipes(int pipes[3][2])
{
	for (int i = 0; i < 3; i++) {
		if (pipe2(pipes[i], O_CLOEXEC)) {
			int error = -errno;

			while (i--)
				close_pair(pipes[i]);
			return error;
		}
	}
	return 0;
}

static int local_spawn(struct remote *r, const char *command, int64_t deadline,
	struct remote_proc **ret)
{
	AUTO_FREE char *line = xasprintf("umask %03o\n%s", (unsigned)of_remote(r)->mask, command);
	const char *const argv[] = {"/bin/sh", "-c", line, NULL};
	int pipes[3][2], error;
	struct local_proc *p;
	pid_t pid;

	(void)deadline;
	if (is_aborted(r))
		return -ECANCELED;
	error = make_pipes(pipes);
	if (error)
		return error;
	error = child_start(argv, pipes[0][0], pipes[1][1], pipes[2][1], true, &pid);
	close_at(&pipes[0][0]);
	close_at(&pipes[1][1]);
	close_at(&pipes[2][1]);
	if (error) {
		for (int i = 0; i < 3; i++)
			close_pair(pipes[i]);
		return error;
	}
	p = xcalloc(1, sizeof(*p));
	p->base.remote = r;
	p->pid = pid;
	p->in = pipes[0][1];
	p->out[0] = pipes[1][0];
	p->out[1] = pipes[2][0];
	fcntl(p->in, F_SETFL, O_NONBLOCK);
	fcntl(p->out[0], F_SETFL, O_NONBLOCK);
	fcntl(p->out[1], F_SETFL, O_NONBLOCK);
	p->pidfd = pidfd_open(pid, 0);
	if (p->pidfd < 0) {
		error = -errno;
		remote_release(&p->base);
		return error;
	}
	*ret = &p->base;
	return 0;
}

/* Keeps what one output stream has to say now. */
static void drain(struct local_proc *p, int stream)
{
	struct chunk *c;
	ssize_t n;

	if (p->out[stream] < 0 || p->kept[stream].bytes >= KEPT_MAX)
		return;
	c = chunk_new(CHUNK_SIZE);
	n = read(p->out[stream], c->data, CHUNK_SIZE);
	if (n > 0) {
		c->len = (size_t)n;
		chunkq_push(&p->kept[stream], xrealloc(c, sizeof(*c) + c->len));
		return;
	}
	free(c);
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_at(&p->out[stream]);
}

/* Waits until something can go on, draining the outputs on the way.  `input` and `end`: also wake
 * when stdin takes bytes, when the process has ended. */
static int pump(struct local_proc *p, bool input, bool end, int64_t deadline)
{
	struct pollfd fds[5] = {
		{.fd = of_remote(p->base.remote)->abort_fd, .events = POLLIN},
		{.fd = input ? p->in : -1, .events = POLLOUT},
		{.fd = end ? p->pidfd : -1, .events = POLLIN},
	};
	int r;

	for (int i = 0; i < 2; i++) {
		bool room = p->kept[i].bytes < KEPT_MAX;

		fds[3 + i] = (struct pollfd){.fd = room ? p->out[i] : -1, .events = POLLIN};
	}
	r = poll(fds, 5, poll_timeout(deadline));
	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	if (fds[0].revents)
		return -ECANCELED;
	if (r == 0)
		return -ETIMEDOUT;
	for (int i = 0; i < 2; i++)
		if (fds[3 + i].revents)
			drain(p, i);
	return 0;
}

static ssize_t local_write(struct remote_proc *proc, const void *bytes, size_t len,
	int64_t deadline)
{
	struct local_proc *p = (struct local_proc *)proc;

	if (is_aborted(proc->remote))
		return -ECANCELED;
	if (p->in < 0)
		return -EPIPE;
	for (;;) {
		ssize_t n = write(p->in, bytes, len);
		int r;

		if (n >= 0)
			return n;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		r = pump(p, true, false, deadline);
		if (r)
			return r;
	}
}

static int local_close_stdin(struct remote_proc *proc, int64_t deadline)
{
	(void)deadline;
	close_at(&((struct local_proc *)proc)->in);
	return 0;
}

static ssize_t local_read(struct remote_proc *proc, bool from_stderr, void *buffer, size_t size,
	int64_t deadline)
{
	struct local_proc *p = (struct local_proc *)proc;

	if (is_aborted(proc->remote))
		return -ECANCELED;
	for (;;) {
		size_t n = chunkq_read(&p->kept[from_stderr], buffer, size);
		int r;

		if (n || p->out[from_stderr] < 0 || !size)
			return (ssize_t)n;
		r = pump(p, false, false, deadline);
		if (r)
			return r;
	}
}

static int local_wait(struct remote_proc *proc, int *status, int64_t deadline)
{
	struct local_proc *p = (struct local_proc *)proc;

	if (is_aborted(proc->remote))
		return -ECANCELED;
	while (p->pid) {
		int wait_status, r;
		pid_t pid = waitpid(p->pid, &wait_status, WNOHANG);

		if (pid) {
			p->status = pid > 0 ? child_status(wait_status) : -1;
			p->pid = 0;
			break;
		}
		r = pump(p, false, true, deadline);
		if (r)
			return r;
	}
	*status = p->status;
	return 0;
}

static void local_release(struct remote_proc *proc)
{
	struct local_proc *p = (struct local_proc *)proc;

	close_at(&p->in);
	close_pair(p->out);
	if (p->pid)
		child_kill(p->pid, true);
	close_at(&p->pidfd);
	chunkq_clear(&p->kept[0]);
	chunkq_clear(&p->kept[1]);
	free(p);
}

static void fill_attr(const struct stat *st, struct remote_attr *ret)
{
	ret->mode = st->st_mode;
	ret->size = (uint64_t)st->st_size;
	ret->mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static int local_lstat(struct remote *r, const char *path, int64_t deadline,
	struct remote_attr *ret)
{
	struct stat st;

	(void)deadline;
	if (is_aborted(r))
		return -ECANCELED;
	if (lstat(path, &st))
		return -errno;
	fill_attr(&st, ret);
	return 0;
}

/* For BASE/./REST the directory REST, reached without any link in REST, to be closed; for another path
 * AT_FDCWD; or an error.  Where `name` is not NULL the last part is left out, and `*name` is it. */
static int folder_of(const char *path, const char **name)
{
	const char *mark = strstr(path, "/./"), *slash = strrchr(path, '/');
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};

	if (name)
		*name = mark ? slash + 1 : path;
	if (!mark)
		return AT_FDCWD;
	const char *end = !name ? path + strlen(path) : slash > mark + 2 ? slash : mark + 3;
	AUTO_FREE char *base = xstrndup(path, (size_t)(mark - path) + (mark == path));
	AUTO_FREE char *rest = xstrndup(mark + 3, (size_t)(end - mark) - 3);
	int folder AUTO_CLOSE = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	long fd = folder < 0 ? -1 : syscall(SYS_openat2, folder, *rest ? rest : ".", &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

static bool is_error(int folder)
{
	return folder < 0 && folder != AT_FDCWD;
}

static int local_readlink(struct remote *r, const char *path, int64_t deadline, struct strbuf *ret)
{
	char target[4096];
	ssize_t n;

	(void)deadline;
	if (is_aborted(r))
		return -ECANCELED;
	n = readlink(path, target, sizeof(target));
	if (n < 0)
		return -errno;
	strbuf_add(ret, target, (size_t)n);
	return 0;
}

static int local_list(struct remote *r, const char *path, int64_t deadline, remote_entry_fn each,
	void *arg)
{
	int folder = folder_of(path, NULL);
	AUTO_CLOSEDIR DIR *dir = folder == AT_FDCWD ? opendir(path) : folder < 0 ? NULL : fdopendir(folder);
	struct dirent *entry;

	(void)deadline;
	if (!dir)
		return is_error(folder) ? folder : -errno;
	while (errno = 0, entry = readdir(dir)) {
		struct remote_attr attr;
		struct stat st;
		int stop;

		if (is_aborted(r))
			return -ECANCELED;
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		/* An entry that is gone by now was never listed. */
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		fill_attr(&st, &attr);
		stop = each(arg, entry->d_name, &attr);
		if (stop)
			return stop;
	}
	return -errno;
}

static int local_open(struct remote *r, const char *path, int64_t deadline,
	struct remote_file **ret)
{
	struct local_file *f;
	const char *name;
	struct stat st;
	int fd;

	(void)deadline;
	if (is_aborted(r))
		return -ECANCELED;
	/* Not blocking: opening a FIFO would wait for a writer. */
	AUTO_CLOSE int folder = folder_of(path, &name);
	if (is_error(folder))
		return folder;
	fd = openat(folder, name,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	}
	f = xcalloc(1, sizeof(*f));
	f->base.remote = r;
	f->fd = fd;
	*ret = &f->base;
	return 0;
}

static ssize_t local_pread(struct remote_file *file, void *buffer, size_t size, uint64_t offset,
	int64_t deadline)
{
	int fd = ((struct local_file *)file)->fd;
	size_t done = 0;

	(void)deadline;
	while (done < size) {
		ssize_t n;

		if (is_aborted(file->remote))
			return -ECANCELED;
		n = pread(fd, (char *)buffer + done, size - done, (off_t)(offset + done));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)done;
}

static void local_pread_begin(struct remote_file *file, void *buffer, size_t size, uint64_t offset,
	remote_read_fn done, void *arg)
{
	done(arg, local_pread(file, buffer, size, offset, 0));
}

static void local_close(struct remote_file *file)
{
	close(((struct local_file *)file)->fd);
	free(file);
}

static int remove_at(const char *path, int flags)
{
	const char *name;
	AUTO_CLOSE int folder = folder_of(path, &name);

	if (is_error(folder))
		return folder;
	return unlinkat(folder, name, flags) ? -errno : 0;
}

static int local_unlink(struct remote *r, const char *path, int64_t deadline)
{
	(void)deadline;
	return is_aborted(r) ? -ECANCELED : remove_at(path, 0);
}

static int local_rmdir(struct remote *r, const char *path, int64_t deadline)
{
	(void)deadline;
	return is_aborted(r) ? -ECANCELED : remove_at(path, AT_REMOVEDIR);
}

static void local_abort(struct remote *r)
{
	atomic_store(&of_remote(r)->aborted, true);
	eventfd_write(of_remote(r)->abort_fd, 1);
}

static void local_destroy(struct remote *r)
{
	close(of_remote(r)->abort_fd);
	free(r);
}

static const struct remote_ops local_ops = {
	.connect = local_connect,
	.spawn = local_spawn,
	.write = local_write,
	.close_stdin = local_close_stdin,
	.read = local_read,
	.wait = local_wait,
	.release = local_release,
	.lstat = local_lstat,
	.readlink = local_readlink,
	.list = local_list,
	.open = local_open,
	.pread = local_pread,
	.pread_begin = local_pread_begin,
	.close = local_close,
	.unlink = local_unlink,
	.rmdir = local_rmdir,
	.abort = local_abort,
	.destroy = local_destroy,
};

struct remote *local_remote_new(mode_t mask)
{
	struct local_remote *r = xcalloc(1, sizeof(*r));

	ignore_sigpipe();
	r->base.ops = &local_ops;
	r->mask = mask;
	r->abort_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return &r->base;
}
