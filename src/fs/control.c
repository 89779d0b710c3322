/*
 * Messages: a type, a length of four bytes, so many bytes.  The daemon asks (PROMPT, SECRET), the
 * client answers (ANSWER, or GIVE_UP), and at the end the daemon says how it went (DONE, FAILED).
 * Secrets live in locked memory on both sides and are wiped once used.
 */
#include "control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <libgen.h>
#include <fcntl.h>

#include "clock.h"
#include "err.h"
#include "log.h"
#include "state.h"
#include "tty.h"

#define MESSAGE_MAX 4096
#define LOGIN_MS 300000

enum { PROMPT = 'P', SECRET = 'S', ANSWER = 'A', GIVE_UP = 'G', DONE = 'D', FAILED = 'F' };

struct control {
	struct remote *remote;
	uid_t owner;
	char *path;
	int listener, stop_fd;
	pthread_t thread;
};

/* ---- messages ---- */

static int send_message(int fd, char type, const char *text, size_t len)
{
	char head[5] = {type, (char)(len >> 24), (char)(len >> 16), (char)(len >> 8), (char)len};
	struct iovec parts[2] = {{head, sizeof(head)}, {(void *)(uintptr_t)text, len}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	/* Small enough for the socket's buffer: it goes out whole or the peer is gone. */
	return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)(len + sizeof(head)) ? 0 : -EPIPE;
}

/* Exactly `len` bytes; -ECANCELED once `stop_fd` (-1: none) is readable. */
static int receive(int fd, int stop_fd, char *bytes, size_t len)
{
	while (len) {
		struct pollfd fds[2] = {{.fd = fd, .events = POLLIN},
			{.fd = stop_fd, .events = POLLIN}};

		if (poll(fds, 2, LOGIN_MS) <= 0 || fds[1].revents)
			return -ECANCELED;
		ssize_t n = recv(fd, bytes, len, 0);
		if (n <= 0)
			return -EPIPE;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

/* A message of up to size - 1 bytes, terminated; its type, or a negative errno. */
static int receive_message(int fd, int stop_fd, char *text, size_t size)
{
	unsigned char head[5];
	int r = receive(fd, stop_fd, (char *)head, sizeof(head));

	if (r < 0)
		return r;
	size_t len = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
	if (len >= size)
		return -EMSGSIZE;
	r = receive(fd, stop_fd, text, len);
	if (r < 0)
		return r;
	text[len] = '\0';
	return head[0];
}

/* The directory's descriptor makes a path of any length fit into a socket's name. */
static int socket_name(const char *path, struct sockaddr_un *name)
{
	AUTO_FREE char *copy = xstrdup(path);
	int folder = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *base = strrchr(path, '/');

	*name = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(name->sun_path, sizeof(name->sun_path), "/proc/self/fd/%d/%s", folder,
		base ? base + 1 : path);
	return folder;
}

/* ---- the daemon's side ---- */

struct client {
	struct control *control;
	int fd;
};

static int ask_client(void *arg, const char *prompt, bool echo, char *answer, size_t size)
{
	struct client *client = arg;
	size_t len = strnlen(prompt, MESSAGE_MAX - 1);
	int r = send_message(client->fd, echo ? PROMPT : SECRET, prompt, len);

	if (r == 0)
		r = receive_message(client->fd, client->control->stop_fd, answer, size);
	return r == ANSWER ? 0 : -ECANCELED;
}

static void serve(struct control *c, int fd)
{
	struct client client = {c, fd};
	struct remote_prompter prompter = {ask_client, &client};
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) ||
		(peer.uid != c->owner && peer.uid != 0))
		return;
	int r = remote_connect(c->remote, &prompter, clock_in(&clock_system, LOGIN_MS), &why);
	if (r < 0 && !why.len)
		strbuf_adds(&why, strerror(-r));
	if (why.len >= MESSAGE_MAX)
		strbuf_truncate(&why, MESSAGE_MAX - 1);
	log_info("login: %s", r < 0 ? why.data : "connected");
	send_message(fd, r < 0 ? FAILED : DONE, why.data, why.len);
}

static void *control_thread(void *arg)
{
	struct control *c = arg;

	for (;;) {
		struct pollfd fds[2] = {{.fd = c->listener, .events = POLLIN},
			{.fd = c->stop_fd, .events = POLLIN}};

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (fds[1].revents)
			return NULL;
		int fd AUTO_CLOSE = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			serve(c, fd);
	}
}

/* A folder that is the user's alone, to be freed, or NULL. */
static char *runtime_folder(void)
{
	const char *base = getenv("XDG_RUNTIME_DIR");
	AUTO_FREE char *folder = base && *base == '/' ? xasprintf("%s/slurmount", base) :
		xasprintf("/tmp/slurmount-%u", (unsigned)getuid());
	struct stat st;

	if ((mkdir(folder, 0700) && errno != EEXIST) || lstat(folder, &st) || !S_ISDIR(st.st_mode) ||
		st.st_uid != getuid() || st.st_mode & 077)
		return NULL;
	return STEAL(folder);
}

/* The name of `path`'s socket there, to be freed, or NULL. */
static char *elsewhere(const char *path)
{
	AUTO_FREE char *folder = runtime_folder();
	uint64_t hash = UINT64_C(14695981039346656037);

	for (const char *at = path; *at; at++)
		hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
	return folder ? xasprintf("%s/control-%016llx", folder, (unsigned long long)hash) : NULL;
}

static int bind_at(struct control *c)
{
	struct sockaddr_un name;
	int folder AUTO_CLOSE = socket_name(c->path, &name);

	unlink(c->path);
	if (folder < 0 || bind(c->listener, (struct sockaddr *)&name, sizeof(name)))
		return -errno;
	/* Nobody else could open the folder anyway. */
	return chmod(c->path, 0600) && errno != EPERM ? -errno : 0;
}

static int listen_at(struct control *c, struct strbuf *why)
{
	c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	c->stop_fd = eventfd(0, EFD_CLOEXEC);
	int r = c->listener < 0 || c->stop_fd < 0 ? -errno : bind_at(c);
	AUTO_FREE char *other = r < 0 ? elsewhere(c->path) : NULL;
	/* sshfs and CIFS, for two, have no sockets. */
	if (other && (r == -EPERM || r == -EOPNOTSUPP || r == -ENOSYS || r == -EINVAL || r == -EIO)) {
		free(c->path);
		c->path = STEAL(other);
		r = bind_at(c);
	}
	if (r == 0 && listen(c->listener, 4))
		r = -errno;
	if (r < 0)
		strbuf_addf(why, "%s: %s", c->path, strerror(-r));
	return r;
}

const char *control_path(const struct control *c)
{
	return c->path;
}

static void release(struct control *c)
{
	if (c->listener >= 0)
		close(c->listener);
	if (c->stop_fd >= 0)
		close(c->stop_fd);
	unlink(c->path);
	free(c->path);
	free(c);
}

int control_start(const char *path, uid_t owner, struct remote *remote, struct control **ret,
	struct strbuf *why)
{
	struct control *c = xcalloc(1, sizeof(*c));
	sigset_t all, before;
	int r;

	*c = (struct control){remote, owner, xstrdup(path), -1, -1, 0};
	r = listen_at(c, why);
	if (r == 0) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		r = -pthread_create(&c->thread, NULL, control_thread, c);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	if (r < 0)
		release(STEAL(c));
	*ret = c;
	return r;
}

void control_stop(struct control *c)
{
	if (c)
		eventfd_write(c->stop_fd, 1);
}

void control_free(struct control *c)
{
	if (!c)
		return;
	control_stop(c);
	pthread_join(c->thread, NULL);
	release(c);
}

/* ---- the client ---- */

static int converse(int fd, char *text, char *answer)
{
	for (;;) {
		int type = receive_message(fd, -1, text, MESSAGE_MAX);

		if (type == PROMPT || type == SECRET) {
			bool given = tty_ask(NULL, text, type == PROMPT, answer, MESSAGE_MAX) == 0;

			send_message(fd, given ? ANSWER : GIVE_UP, answer,
				given ? strlen(answer) : 0);
			explicit_bzero(answer, MESSAGE_MAX);
		} else if (type == DONE) {
			return 0;
		} else {
			const char *words = type == FAILED ? text :
				"the mount's process does not answer";
			struct strbuf line AUTO_STRBUF = STRBUF_INIT;

			strbuf_add_lines(&line, words, strlen(words));
			fprintf(stderr, "slurmount: %s\n", line.data);
			return 1;
		}
	}
}

static int connect_to(const char *path)
{
	struct sockaddr_un name;
	int folder AUTO_CLOSE = socket_name(path, &name);
	int fd AUTO_CLOSE = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (folder < 0 || fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof(name)))
		return -errno;
	return steal_fd(&fd);
}

int control_login(const char *mountpoint)
{
	static const char prefix[] = "slurmount:";
	AUTO_FREE char *source = state_source(mountpoint);

	if (!source || strncmp(source, prefix, strlen(prefix))) {
		fprintf(stderr, "slurmount: no slurmount is mounted at %s\n", mountpoint);
		return 1;
	}
	AUTO_FREE char *state = state_path(source + strlen(prefix));
	AUTO_FREE char *path = state ? xasprintf("%s/control", state) : NULL;
	AUTO_FREE char *other = path ? elsewhere(path) : NULL;
	int fd AUTO_CLOSE = path ? connect_to(path) : -ENOENT;
	if (fd == -ENOENT && other)
		fd = connect_to(other);
	if (fd < 0) {
		fprintf(stderr, "slurmount: %s: %s\n", path ? path : mountpoint, strerror(-fd));
		return 1;
	}
	char *buffers = mmap(NULL, 2 * MESSAGE_MAX, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffers == MAP_FAILED)
		return 1;
	mlock(buffers, 2 * MESSAGE_MAX);
	int status = converse(fd, buffers, buffers + MESSAGE_MAX);
	munmap(buffers, 2 * MESSAGE_MAX);
	return status;
}
