/*
 * A TCP proxy on loopback whose line can be bad: it delays, throttles, cuts after so many bytes,
 * goes silent, and comes back.  For tests and benchmarks; a test part, not of slurmount.
 *
 *   proxy PORT [delay=MS] [rate=BYTES] [cut-up=BYTES] [cut-down=BYTES] [cuts=N] [how=cut|hush] [log=FILE]
 *
 * It forwards a port that it chooses, which it prints, to 127.0.0.1:PORT.  `delay` is added each
 * way.  `rate` is bytes a second each way.  `cut-up` and `cut-down` reset a connection once so many
 * bytes went from or to the client; `cuts` is how many connections are treated so (default 1).  With
 * `how=hush` nothing more goes either way instead, and nobody is told, as where a router is gone.  Into `log`
 * go "up BYTES" and "down BYTES", what has passed in all, behind each piece: the places to cut at.
 * Lines on its standard input change what it does: "silent", "go", "cut" (all connections now),
 * "refuse" (new ones), "count" (prints how many
 * bytes went up in all), and each option as above.  It ends with its input.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINES_MAX 64
#define PIECE 65536
/* What is under way on the line: enough for a fast one at a long delay. */
#define WINDOW (64u << 20)

struct piece {
	struct piece *next;
	int64_t due_us;
	size_t len, done;
	char bytes[];
};

/* One direction of a connection. */
struct way {
	int from, to;
	struct piece *first, **last;
	size_t held;
	uint64_t passed;
	int64_t busy_us; /* the line is busy until then, by its rate */
	bool ended, shut, is_up;
};

struct line {
	struct way up, down;
	bool doomed; /* is to be cut after so many bytes */
	bool hushed; /* and was, without a word */
};

static struct {
	int port;
	long delay_ms;
	double rate;
	uint64_t cut_up, cut_down;
	long cuts;
	bool silent, refuse, hush;
	FILE *log;
} line_is = {.cuts = 1};

static struct line *lines[LINES_MAX];
static uint64_t gone_up; /* by connections that have ended */

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int listen_anywhere(int *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 64) < 0 ||
		getsockname(fd, (struct sockaddr *)&a, &len) < 0) {
		perror("proxy");
		exit(1);
	}
	*port = ntohs(a.sin_port);
	return fd;
}

static int connect_on(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void prepare(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void free_pieces(struct way *w)
{
	while (w->first) {
		struct piece *next = w->first->next;

		free(w->first);
		w->first = next;
	}
}

/* A reset, as a router that forgot the connection answers. */
static void cut(size_t i)
{
	struct linger at_once = {.l_onoff = 1};
	struct line *l = lines[i];

	setsockopt(l->up.from, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	setsockopt(l->up.to, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(l->up.from);
	close(l->up.to);
	gone_up += l->up.passed;
	free_pieces(&l->up);
	free_pieces(&l->down);
	free(l);
	lines[i] = NULL;
}

static void take_connection(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), to = -1;
	size_t i = 0;

	while (i < LINES_MAX && lines[i])
		i++;
	if (fd >= 0 && !line_is.refuse && i < LINES_MAX)
		to = connect_on(line_is.port);
	if (to < 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	prepare(fd);
	prepare(to);
	struct line *l = calloc(1, sizeof(*l));
	l->up = (struct way){.from = fd, .to = to, .last = &l->up.first, .is_up = true};
	l->down = (struct way){.from = to, .to = fd, .last = &l->down.first};
	l->doomed = line_is.cuts > 0 && (line_is.cut_up || line_is.cut_down);
	line_is.cuts -= l->doomed;
	lines[i] = l;
}

/* Returns false where the connection is gone. */
static bool receive(struct way *w)
{
	struct piece *p = malloc(sizeof(*p) + PIECE);
	ssize_t n = read(w->from, p->bytes, PIECE);
	int64_t now = now_us();

	if (n <= 0) {
		free(p);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		w->ended = true;
		return true;
	}
	if (w->busy_us < now)
		w->busy_us = now;
	if (line_is.rate > 0)
		w->busy_us += (int64_t)((double)n * 1e6 / line_is.rate);
	*p = (struct piece){.due_us = w->busy_us + line_is.delay_ms * 1000, .len = (size_t)n};
	p = realloc(p, sizeof(*p) + (size_t)n);
	*w->last = p;
	w->last = &p->next;
	w->held += (size_t)n;
	return true;
}

/* Sends what is due, up to `limit` bytes in all; false where the connection is gone. */
static bool deliver(struct way *w, uint64_t limit, int64_t now)
{
	while (w->first && w->first->due_us <= now && w->passed < limit) {
		struct piece *p = w->first;
		size_t len = p->len - p->done;

		if (len > limit - w->passed)
			len = (size_t)(limit - w->passed);
		ssize_t n = write(w->to, p->bytes + p->done, len);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		p->done += (size_t)n;
		w->passed += (uint64_t)n;
		w->held -= (size_t)n;
		if (line_is.log)
			fprintf(line_is.log, "%s %llu\n", w->is_up ? "up" : "down",
				(unsigned long long)w->passed);
		if (p->done < p->len)
			return true;
		w->first = p->next;
		if (!w->first)
			w->last = &w->first;
		free(p);
	}
	if (w->ended && !w->first && !w->shut) {
		shutdown(w->to, SHUT_WR);
		w->shut = true;
	}
	return true;
}

static uint64_t limit_of(const struct line *l, uint64_t cut_after)
{
	return l->doomed && cut_after ? cut_after : UINT64_MAX;
}

static void run_lines(int64_t now)
{
	for (size_t i = 0; i < LINES_MAX; i++) {
		struct line *l = lines[i];

		if (!l || l->hushed || line_is.silent)
			continue;
		uint64_t up = limit_of(l, line_is.cut_up), down = limit_of(l, line_is.cut_down);
		bool gone = !deliver(&l->up, up, now) || !deliver(&l->down, down, now);
		bool over = l->up.passed >= up || l->down.passed >= down;
		if (over && line_is.hush)
			l->hushed = true;
		else if (gone || over || (l->up.shut && l->down.shut))
			cut(i);
	}
}

static void count_bytes(void)
{
	uint64_t sum = gone_up;

	for (size_t i = 0; i < LINES_MAX; i++)
		sum += lines[i] ? lines[i]->up.passed : 0;
	printf("%llu\n", (unsigned long long)sum);
	fflush(stdout);
}

/* An empty name ends it. */
static void open_log(const char *path)
{
	if (line_is.log)
		fclose(line_is.log);
	line_is.log = *path ? fopen(path, "w") : NULL;
	if (line_is.log)
		setvbuf(line_is.log, NULL, _IOLBF, 0);
}

static void obey(char *text)
{
	char *value = strchr(text, '=');

	if (value)
		*value++ = 0;
	if (strcmp(text, "silent") == 0)
		line_is.silent = true;
	else if (strcmp(text, "go") == 0)
		line_is.silent = line_is.refuse = false;
	else if (strcmp(text, "refuse") == 0)
		line_is.refuse = true;
	else if (strcmp(text, "cut") == 0)
		for (size_t i = 0; i < LINES_MAX; i++)
			lines[i] ? cut(i) : (void)0;
	else if (strcmp(text, "count") == 0)
		count_bytes();
	else if (value && strcmp(text, "delay") == 0)
		line_is.delay_ms = atol(value);
	else if (value && strcmp(text, "rate") == 0)
		line_is.rate = atof(value);
	else if (value && strcmp(text, "cut-up") == 0)
		line_is.cut_up = strtoull(value, NULL, 10);
	else if (value && strcmp(text, "cut-down") == 0)
		line_is.cut_down = strtoull(value, NULL, 10);
	else if (value && strcmp(text, "cuts") == 0)
		line_is.cuts = atol(value);
	else if (value && strcmp(text, "how") == 0)
		line_is.hush = strcmp(value, "hush") == 0;
	else if (value && strcmp(text, "log") == 0)
		open_log(value);
	else
		fprintf(stderr, "proxy: %s is not understood\n", text);
}

static void read_commands(void)
{
	char text[4096];
	ssize_t n = read(0, text, sizeof(text) - 1);

	if (n <= 0)
		exit(0);
	text[n] = 0;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		obey(line);
}

/* Whom to listen to; returns how long until something is due, in ms, or -1. */
static int ask(struct pollfd *fds, struct way **ways, nfds_t *count, int64_t now)
{
	int64_t due = INT64_MAX;

	for (size_t i = 0; i < LINES_MAX; i++) {
		for (int k = 0; lines[i] && !lines[i]->hushed && !line_is.silent && k < 2; k++) {
			struct way *w = k ? &lines[i]->down : &lines[i]->up;

			if (!w->ended && w->held < WINDOW) {
				ways[*count] = w;
				fds[(*count)++] = (struct pollfd){.fd = w->from, .events = POLLIN};
			}
			if (!w->first)
				continue;
			if (w->first->due_us > now) {
				due = w->first->due_us < due ? w->first->due_us : due;
			} else {
				ways[*count] = NULL;
				fds[(*count)++] = (struct pollfd){.fd = w->to, .events = POLLOUT};
			}
		}
	}
	return due == INT64_MAX ? -1 : (int)((due - now + 999) / 1000);
}

int main(int argc, char **argv)
{
	static struct pollfd fds[4 * LINES_MAX + 2];
	static struct way *ways[4 * LINES_MAX + 2];
	int port, listener = listen_anywhere(&port);

	if (argc < 2) {
		fprintf(stderr, "usage: proxy PORT [OPTION=VALUE...]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	line_is.port = atoi(argv[1]);
	for (int i = 2; i < argc; i++)
		obey(argv[i]);
	printf("%d\n", port);
	fflush(stdout);
	for (;;) {
		nfds_t count = 2;

		fds[0] = (struct pollfd){.fd = 0, .events = POLLIN};
		fds[1] = (struct pollfd){.fd = listener, .events = POLLIN};
		int wait_ms = ask(fds, ways, &count, now_us());
		if (poll(fds, count, wait_ms) < 0 && errno != EINTR)
			return 1;
		for (nfds_t i = 2; i < count; i++)
			if (ways[i] && fds[i].revents && !receive(ways[i]))
				/* Its writes fail next, which cuts it. */
				ways[i]->ended = true;
		run_lines(now_us());
		if (fds[1].revents)
			take_connection(listener);
		if (fds[0].revents)
			read_commands();
	}
}
