#include "sshtransport.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "childproc.h"
#include "clock.h"
#include "err.h"
#include "log.h"
#include "sshauth.h"
#include "sshinternal.h"

#define PAUSE_MIN_MS 1000
#define PAUSE_MAX_MS 300000
#define STEADY_MS 60000 /* a connection that held this long makes the pauses short again */
/* A server that lets us in is there: only the line is bad, and its user waits. */
#define PAUSE_FLAPPING_MS 8000
#define BROKEN_LOGINS 6
#define RETRY_MS 30000  /* for one automatic attempt */
#define SLEPT_MS 2000   /* the machine was suspended, and it was no reading of two clocks one by one */
#define AWAKE_MS 5000   /* then an answer is waited for no longer than this */
#define LOOK_MS 5000    /* how often that is looked at */

static int64_t now_ms(void)
{
	return clock_mono_ms(&clock_system);
}

void transport_wake(struct ssh_transport *t)
{
	eventfd_write(t->wake_fd, 1);
}

int transport_wait(struct ssh_transport *t, int64_t deadline)
{
	struct timespec when = {.tv_sec = deadline / 1000, .tv_nsec = deadline % 1000 * 1000000};

	if (deadline == CLOCK_NEVER)
		return -pthread_cond_wait(&t->changed, &t->lock);
	return -pthread_cond_timedwait(&t->changed, &t->lock, &when);
}

static void append_op(struct ssh_transport *t, struct ssh_op *op)
{
	struct ssh_op **at = &t->ops;

	while (*at)
		at = &(*at)->next;
	*at = op;
}

static void unlink_op(struct ssh_transport *t, struct ssh_op *op)
{
	struct ssh_op **at = &t->ops;

	while (*at && *at != op)
		at = &(*at)->next;
	if (*at)
		*at = op->next;
	op->next = NULL;
}

bool transport_do(struct ssh_transport *t, struct ssh_op *op, int64_t deadline, int *result)
{
	WITH_LOCK(&t->lock);
	int late = 0;

	if (t->aborted || t->state != REMOTE_ONLINE) {
		*result = t->aborted ? -ECANCELED : -ENOTCONN;
		return true;
	}
	append_op(t, op);
	transport_wake(t);
	while (!op->done && !t->aborted && late != -ETIMEDOUT)
		late = transport_wait(t, deadline);
	if (op->done) {
		*result = op->result;
		return true;
	}
	*result = t->aborted ? -ECANCELED : -ETIMEDOUT;
	if (!op->begun) {
		unlink_op(t, op);
		return true;
	}
	op->abandoned = true;
	return false;
}

static void finish_op(struct ssh_transport *t, struct ssh_op *op, int result)
{
	bool abandoned;

	pthread_mutex_lock(&t->lock);
	unlink_op(t, op);
	op->result = result;
	abandoned = op->abandoned;
	op->done = true;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
	if (abandoned)
		op->destroy(op);
}

static int act_op(struct ssh_transport *t, void *arg, int what)
{
	struct ssh_op *op = arg;
	int r = op->step(t, op);

	(void)what;
	if (r > 0)
		return r;
	finish_op(t, op, r);
	return STEP_MORE;
}

int transport_attempt(struct ssh_transport *t, ssh_act act, void *arg, int what)
{
	int r = act(t, arg, what);

	t->sticky = NULL;
	if (r == STEP_AGAIN &&
		libssh2_session_block_directions(t->line.session) & LIBSSH2_SESSION_BLOCK_OUTBOUND) {
		t->sticky = act;
		t->sticky_arg = arg;
		t->sticky_what = what;
	}
	return r;
}

static int act_idle(struct ssh_transport *t, void *arg, int what)
{
	(void)arg;
	(void)what;
	if (libssh2_channel_read_ex(t->idle, SSH_EXTENDED_DATA_STDERR, t->scratch, 4096) ==
		LIBSSH2_ERROR_EAGAIN)
		return STEP_AGAIN;
	return STEP_LATER;
}

static void set_state(struct ssh_transport *t, enum remote_state state, const char *text)
{
	bool told;

	pthread_mutex_lock(&t->lock);
	told = t->state == state;
	t->state = state;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
	if (!told && t->tell)
		t->tell(t->tell_arg, state, text);
}

/* One round over all that could go on; true if anything did. */
static bool go_round(struct ssh_transport *t)
{
	uint64_t received = t->line.received;
	bool progress = false;

	if (t->sticky) {
		transport_attempt(t, t->sticky, t->sticky_arg, t->sticky_what);
		if (t->sticky)
			return false;
		progress = true;
	}
	struct ssh_op *op;

	pthread_mutex_lock(&t->lock);
	op = t->ops;
	if (op)
		op->begun = true;
	pthread_mutex_unlock(&t->lock);
	if (op && transport_attempt(t, act_op, op, 0) == STEP_MORE)
		progress = true;
	if (!t->sticky && sftp_round(t))
		progress = true;
	if (t->sticky || t->line.dead)
		return progress;
	if (procs_round(t))
		progress = true;
	if (!progress && !t->sticky)
		transport_attempt(t, act_idle, NULL, 0);
	/* Whoever reads takes in what is others', too, which no poll() tells any more. */
	return progress || t->line.received != received;
}

/* A question that the server must answer, so that a silent line is noticed.  Only where it fits in
 * whole: libssh2 does not say when it was sent in part. */
static void ping(struct ssh_transport *t)
{
	struct pollfd p = {.fd = t->line.stream.fd, .events = POLLOUT};
	int next;

	if (t->sticky || now_ms() - t->last_ping < t->settings.keepalive * 1000)
		return;
	if (poll(&p, 1, 0) == 1 && p.revents & POLLOUT) {
		libssh2_keepalive_send(t->line.session, &next);
		t->last_ping = now_ms();
	}
}

/* Sleeps until the server or a caller has something, or a keepalive is due. */
static void sleep_online(struct ssh_transport *t)
{
	int64_t ping_at = t->last_ping + t->settings.keepalive * 1000;
	int64_t silent_at = t->line.heard + t->settings.keepalive * 3000;
	int64_t until = now_ms() + LOOK_MS;
	bool sending = t->sticky != NULL;
	struct pollfd fds[3] = {
		{.fd = t->line.stream.fd, .events = sending ? POLLOUT : POLLIN},
		{.fd = t->wake_fd, .events = POLLIN},
		{.fd = t->abort_fd, .events = POLLIN},
	};
	eventfd_t count;

	if (silent_at < until)
		until = silent_at;
	if (!sending && ping_at < until)
		until = ping_at;
	poll(fds, 3, poll_timeout(until));
	if (fds[1].revents)
		eventfd_read(t->wake_fd, &count);
}

static bool is_aborted(struct ssh_transport *t)
{
	WITH_LOCK(&t->lock);
	return t->aborted;
}

/* Serves until the connection breaks or the transport is aborted. */
static bool has_slept(struct ssh_transport *t)
{
	int64_t before = t->slept_ms;

	t->slept_ms = clock_slept_ms();
	return t->slept_ms - before > SLEPT_MS;
}

/* The server may have given the line up meanwhile, or this machine may have another address: it answers
 * soon, or is connected to anew. */
static void doubt(struct ssh_transport *t)
{
	int64_t limit = t->settings.keepalive * 3000;

	t->last_ping = 0;
	if (limit > AWAKE_MS)
		t->line.heard = now_ms() - limit + AWAKE_MS;
}

static const char *serve(struct ssh_transport *t)
{
	while (!is_aborted(t)) {
		bool progress = go_round(t);

		if (has_slept(t))
			doubt(t);
		if (t->line.dead)
			return "the connection broke";
		if (now_ms() - t->line.heard > t->settings.keepalive * 3000)
			return "the server has fallen silent";
		ping(t);
		if (!progress)
			sleep_online(t);
	}
	return "ended";
}

/* All calls under way end; the state is no longer ONLINE, so no new ones come. */
static void tear_down(struct ssh_transport *t)
{
	for (;;) {
		struct ssh_op *op;

		pthread_mutex_lock(&t->lock);
		op = t->ops;
		pthread_mutex_unlock(&t->lock);
		if (!op)
			break;
		finish_op(t, op, op->begun ? -EPIPE : -ENOTCONN);
	}
	sftp_fail(t);
	t->sticky = NULL;
	t->line.dead = true;
	procs_fail(t);
	line_close(&t->line);
	t->idle = NULL;
	t->generation++;
}

/* The SFTP session, whose channel also is the one that is always there to be read. */
static int open_sftp(struct ssh_transport *t)
{
	struct ssh_line *line = &t->line;
	int r = sftp_open(t);

	if (r != -EOPNOTSUPP)
		return r;
	log_warning("ssh: %s offers no SFTP", t->settings.host);
	while (!t->idle && !(t->idle = libssh2_channel_open_session(line->session)) &&
		libssh2_session_last_errno(line->session) == LIBSSH2_ERROR_EAGAIN && line_again(line))
		;
	return t->idle ? 0 : -EIO;
}

/* Until a host has shown its key, nothing there takes long but a jump host's ssh that asks a person.
 * Afterwards logins may: the person's answers, and servers that ask a telephone. */
static int64_t opening_deadline(const struct ssh_transport *t, bool may_ask, int64_t deadline)
{
	const struct ssh_settings *s = &t->settings;
	int64_t soon = now_ms() + 1000 * (s->connect_timeout ? s->connect_timeout : SSH_CONNECT_S);

	return (s->jump && may_ask) || soon > deadline ? deadline : soon;
}

static int attempt_line(struct ssh_transport *t, const struct remote_prompter *prompter,
	int64_t deadline, struct strbuf *why)
{
	struct ssh_line *line = &t->line;
	int r;

	set_state(t, REMOTE_CONNECTING, "connecting");
	*line = (struct ssh_line){
		.settings = &t->settings,
		.stop_fd = t->abort_fd,
		.deadline = opening_deadline(t, prompter != NULL, deadline),
		.prompter = prompter,
		.why = why,
		.stream = {.fd = -1, .jump_err = -1},
		.on_exit = procs_on_exit,
		.on_exit_arg = t,
	};
	r = line_open(line);
	if (r)
		return r;
	line->deadline = deadline;
	r = line_authenticate(line);
	/* Some servers refuse so: a login is not repeated for ever. */
	t->broken_logins = r == -EPIPE ? t->broken_logins + 1 : 0;
	if (t->broken_logins >= BROKEN_LOGINS)
		r = -EACCES;
	if (!r)
		r = open_sftp(t);
	line->prompter = NULL;
	line->why = NULL;
	if (r) {
		sftp_fail(t);
		line_close(line);
		t->idle = NULL;
		return r;
	}
	libssh2_keepalive_config(line->session, 1, 1);
	t->last_ping = now_ms();
	return 0;
}

/* What follows from an attempt's result; true where the connection stands. */
static bool judge(struct ssh_transport *t, int r, const char *why)
{
	bool refused = r == -EACCES || r == -EKEYREJECTED || r == -ECANCELED;

	t->again = !refused;
	if (!r) {
		t->online_since = now_ms();
		set_state(t, REMOTE_ONLINE, "connected");
		return true;
	}
	if (t->pause_ms < PAUSE_MIN_MS)
		t->pause_ms = PAUSE_MIN_MS;
	t->next_try = now_ms() + t->pause_ms * 3 / 4 + random() % (t->pause_ms / 2);
	t->pause_ms = t->pause_ms * 2 < PAUSE_MAX_MS ? t->pause_ms * 2 : PAUSE_MAX_MS;
	set_state(t, refused ? REMOTE_LOGIN_NEEDED : REMOTE_OFFLINE, why);
	return false;
}

/* Waits for a request or the time of the next automatic attempt; NULL for the latter. */
static struct connect_request *next_request(struct ssh_transport *t)
{
	for (;;) {
		struct pollfd fds[2] = {{.fd = t->wake_fd, .events = POLLIN},
			{.fd = t->abort_fd, .events = POLLIN}};
		eventfd_t count;

		pthread_mutex_lock(&t->lock);
		if (t->request || t->aborted) {
			struct connect_request *request = t->aborted ? NULL : t->request;

			if (request)
				request->taken = true;
			pthread_mutex_unlock(&t->lock);
			return request;
		}
		pthread_mutex_unlock(&t->lock);
		if (has_slept(t)) {
			t->next_try = now_ms();
			t->pause_ms = PAUSE_MIN_MS;
		}
		if (t->again && now_ms() >= t->next_try)
			return NULL;
		int64_t look = now_ms() + LOOK_MS;
		poll(fds, 2, poll_timeout(!t->again ? CLOCK_NEVER : look < t->next_try ? look : t->next_try));
		if (fds[0].revents)
			eventfd_read(t->wake_fd, &count);
	}
}

static void answer(struct ssh_transport *t, struct connect_request *request, int result)
{
	if (!request)
		return;
	pthread_mutex_lock(&t->lock);
	request->result = result;
	request->done = true;
	t->request = NULL;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

static void *thread_main(void *arg)
{
	struct ssh_transport *t = arg;

	for (;;) {
		struct connect_request *request = next_request(t);
		AUTO_STRBUF struct strbuf why = STRBUF_INIT;
		const char *end;
		bool up;
		int r;

		if (is_aborted(t)) {
			answer(t, request, -ECANCELED);
			return NULL;
		}
		r = attempt_line(t, request ? request->prompter : NULL,
			request ? request->deadline : now_ms() + RETRY_MS, &why);
		if (r && why.len == 0)
			strbuf_adds(&why, strerror(-r));
		if (request && r)
			strbuf_adds(request->why, why.data);
		up = judge(t, r, why.data);
		answer(t, request, r);
		if (!up)
			continue;
		end = serve(t);
		if (now_ms() - t->online_since > STEADY_MS)
			t->pause_ms = 0;
		else if (t->pause_ms > PAUSE_FLAPPING_MS)
			t->pause_ms = PAUSE_FLAPPING_MS;
		judge(t, -ENOTCONN, end);
		tear_down(t);
	}
}

static int ssh_connect(struct remote *r, const struct remote_prompter *prompter, int64_t deadline,
	struct strbuf *why)
{
	struct connect_request request = {.prompter = prompter, .deadline = deadline, .why = why};
	struct ssh_transport *t = ssh_of(r);
	int late = 0;

	WITH_LOCK(&t->lock);
	while (t->request && !t->aborted && t->state != REMOTE_ONLINE && !late)
		late = transport_wait(t, deadline);
	if (t->aborted || late || t->state == REMOTE_ONLINE)
		return t->aborted ? -ECANCELED : late;
	t->request = &request;
	transport_wake(t);
	/* Once it is taken the thread uses the caller's prompter, and ends in time by itself. */
	while (!request.done && (request.taken || (!late && !t->aborted && t->state != REMOTE_ONLINE)))
		late = transport_wait(t, request.taken ? CLOCK_NEVER : deadline);
	if (request.done)
		return request.result;
	t->request = NULL;
	pthread_cond_broadcast(&t->changed);
	return t->aborted ? -ECANCELED : t->state == REMOTE_ONLINE ? 0 : late;
}

static void ssh_abort(struct remote *r)
{
	struct ssh_transport *t = ssh_of(r);

	pthread_mutex_lock(&t->lock);
	t->aborted = true;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
	eventfd_write(t->abort_fd, 1);
}

static void ssh_destroy(struct remote *r)
{
	struct ssh_transport *t = ssh_of(r);

	ssh_abort(r);
	pthread_join(t->thread, NULL);
	close(t->wake_fd);
	close(t->abort_fd);
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
	ssh_settings_finish(&t->settings);
	free(t);
}

static const struct remote_ops ssh_ops = {
	.connect = ssh_connect,
	.spawn = ssh_spawn,
	.write = ssh_write,
	.close_stdin = ssh_close_stdin,
	.read = ssh_read,
	.wait = ssh_wait,
	.release = ssh_release,
	.lstat = ssh_lstat,
	.readlink = ssh_readlink,
	.list = ssh_list,
	.open = ssh_open,
	.pread = ssh_pread,
	.pread_begin = ssh_pread_begin,
	.fetch = ssh_fetch,
	.look = ssh_look,
	.is_late = ssh_is_late,
	.close = ssh_close,
	.unlink = ssh_unlink,
	.rmdir = ssh_rmdir,
	.abort = ssh_abort,
	.destroy = ssh_destroy,
};

struct remote *ssh_remote_new(const struct ssh_settings *settings, remote_state_fn tell, void *arg)
{
	struct ssh_transport *t = xcalloc(1, sizeof(*t));
	pthread_condattr_t attr;
	sigset_t all, old;

	ignore_sigpipe();
	libssh2_init(0);
	t->base.ops = &ssh_ops;
	ssh_settings_copy(&t->settings, settings);
	t->tell = tell;
	t->tell_arg = arg;
	t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	t->abort_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	t->line.stream.fd = -1;
	t->line.stream.jump_err = -1;
	t->state = REMOTE_OFFLINE;
	t->slept_ms = clock_slept_ms();
	t->sftp_last = &t->sftp_first;
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->changed, &attr);
	pthread_condattr_destroy(&attr);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&t->thread, NULL, thread_main, t)) {
		log_error("ssh: no thread can be started");
		abort();
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return &t->base;
}
