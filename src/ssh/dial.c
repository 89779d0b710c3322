#include "dial.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "childproc.h"
#include "clock.h"
#include "err.h"

#define ADDRESS_MS 10000

/* The resolver cannot be interrupted, so it runs on a thread that may outlive its question. */
struct lookup {
	atomic_int users;
	int done_fd;
	char *name, port[16];
	struct addrinfo *result;
	int error;
	atomic_bool done; /* after it `result` and `error` are the asker's to read */
};

static void lookup_drop(struct lookup *l)
{
	if (atomic_fetch_sub(&l->users, 1) > 1)
		return;
	if (l->result)
		freeaddrinfo(l->result);
	close(l->done_fd);
	free(l->name);
	free(l);
}

static void *lookup_run(void *arg)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct lookup *l = arg;

	l->error = getaddrinfo(l->name, l->port, &hints, &l->result);
	atomic_store(&l->done, true);
	eventfd_write(l->done_fd, 1);
	lookup_drop(l);
	return NULL;
}

int wait_fd(int fd, short events, int stop_fd, int64_t deadline)
{
	struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = stop_fd, .events = POLLIN}};

	for (;;) {
		int r = poll(fds, 2, poll_timeout(deadline));

		if (r == 0)
			return -ETIMEDOUT;
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r > 0 && fds[1].revents)
			return -ECANCELED;
		if (r > 0)
			return 0;
	}
}

/* 0 with the addresses in `ret`, which lives as long as `*keep`. */
static int resolve(const struct ssh_settings *s, int stop_fd, int64_t deadline,
	struct lookup **keep, struct addrinfo **ret, struct strbuf *why)
{
	struct lookup *l = xcalloc(1, sizeof(*l));
	pthread_t thread;
	int r;

	atomic_init(&l->users, 2);
	l->done_fd = eventfd(0, EFD_CLOEXEC);
	l->name = xstrdup(s->address);
	snprintf(l->port, sizeof(l->port), "%d", s->port);
	if (pthread_create(&thread, NULL, lookup_run, l)) {
		lookup_drop(l);
		lookup_drop(l);
		return -EAGAIN;
	}
	pthread_detach(thread);
	r = wait_fd(l->done_fd, POLLIN, stop_fd, deadline);
	if (!r && atomic_load(&l->done) && l->error) {
		strbuf_addf(why, "%s cannot be resolved: %s", s->address, gai_strerror(l->error));
		r = -EHOSTUNREACH;
	}
	if (r) {
		if (r == -ETIMEDOUT)
			strbuf_addf(why, "resolving %s takes too long", s->address);
		lookup_drop(l);
		return r;
	}
	*keep = l;
	*ret = l->result;
	return 0;
}

static int connect_one(const struct addrinfo *a, int64_t patience, int stop_fd, int64_t deadline)
{
	AUTO_CLOSE int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int64_t soon = clock_in(&clock_system, patience);
	socklen_t size = sizeof(int);
	int error = 0, on = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, a->ai_addr, a->ai_addrlen)) {
		if (errno != EINPROGRESS)
			return -errno;
		error = wait_fd(fd, POLLOUT, stop_fd, soon < deadline ? soon : deadline);
		if (error)
			return error;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size))
			return -errno;
		if (error)
			return -error;
	}
	return steal_fd(&fd);
}

static int dial_tcp(const struct ssh_settings *s, int stop_fd, int64_t deadline,
	struct dialled *ret, struct strbuf *why)
{
	struct addrinfo *addresses;
	struct lookup *lookup;
	int r = resolve(s, stop_fd, deadline, &lookup, &addresses, why);

	if (r)
		return r;
	r = -EHOSTUNREACH;
	for (struct addrinfo *a = addresses; a; a = a->ai_next) {
		r = connect_one(a, s->connect_timeout ? s->connect_timeout * 1000 : ADDRESS_MS, stop_fd,
			deadline);
		if (r >= 0 || r == -ECANCELED || clock_mono_ms(&clock_system) >= deadline)
			break;
	}
	lookup_drop(lookup);
	if (r < 0) {
		strbuf_addf(why, "%s, port %d: %s", s->address, s->port, strerror(-r));
		return r;
	}
	ret->fd = r;
	return 0;
}

/* The last of several jump hosts is the one that connects; ssh itself goes through the others. */
static int start_jump(const struct ssh_settings *s, bool may_ask, int socket_fd, int err_fd,
	pid_t *pid)
{
	AUTO_FREE char *hops = xstrdup(s->jump);
	AUTO_FREE char *target = xasprintf(strchr(s->address, ':') ? "[%s]:%d" : "%s:%d", s->address,
		s->port);
	char *last = strrchr(hops, ',');
	AUTO_FREE char *url = NULL;
	/* It stays in the terminal's session, where it may ask; the terminal's end must not end it.
	 * ssh leaves an ignored signal ignored (ssh(1) under nohup does the same). */
	const char *argv[20] = {"sh", "-c", "trap '' HUP; exec ssh \"$@\"", "ssh", "-W", target, "-o",
		"ClearAllForwardings=no"};
	int n = 8;

	if (last) {
		*last++ = '\0';
		argv[n++] = "-J";
		argv[n++] = hops;
	} else {
		last = hops;
	}
	if (!may_ask) {
		argv[n++] = "-o";
		argv[n++] = "BatchMode=yes";
	}
	url = xasprintf("%s%s", strncmp(last, "ssh://", 6) ? "ssh://" : "", last);
	argv[n++] = "--";
	argv[n++] = url;
	return child_start(argv, socket_fd, socket_fd, err_fd, !may_ask, pid);
}

static int dial_jump(const struct ssh_settings *s, bool may_ask, struct dialled *ret,
	struct strbuf *why)
{
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	ret->own_session = !may_ask;
	ret->jump_err = memfd_create("slurmount-jump", MFD_CLOEXEC);
	r = start_jump(s, may_ask, pair[1], ret->jump_err, &ret->jump);
	close(pair[1]);
	ret->fd = pair[0];
	if (r) {
		strbuf_addf(why, "ssh, for the jump host %s, cannot be run: %s", s->jump,
			strerror(-r));
		ret->jump = 0;
		dial_close(ret);
		return r;
	}
	fcntl(ret->fd, F_SETFL, O_NONBLOCK);
	return 0;
}

int dial(const struct ssh_settings *s, bool may_ask, int stop_fd, int64_t deadline,
	struct dialled *ret, struct strbuf *why)
{
	*ret = (struct dialled){.fd = -1, .jump_err = -1};
	if (s->jump)
		return dial_jump(s, may_ask, ret, why);
	return dial_tcp(s, stop_fd, deadline, ret, why);
}

void dial_explain(const struct dialled *d, struct strbuf *why)
{
	AUTO_STRBUF struct strbuf text = STRBUF_INIT;
	char bytes[1024];
	ssize_t n;

	if (d->jump_err < 0)
		return;
	n = pread(d->jump_err, bytes, sizeof(bytes), 0);
	if (n <= 0)
		return;
	strbuf_add(&text, bytes, (size_t)n);
	strbuf_rtrim(&text);
	strbuf_adds(why, "; the jump host's ssh says: ");
	if (why)
		strbuf_add_escaped(why, text.data, text.len);
}

void dial_close(struct dialled *d)
{
	if (d->fd >= 0)
		close(d->fd);
	if (d->jump)
		child_kill(d->jump, d->own_session);
	if (d->jump_err >= 0)
		close(d->jump_err);
	*d = (struct dialled){.fd = -1, .jump_err = -1};
}
