#include "sshsftp.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "log.h"

/* What the server may send before we say that we took it: at 40 ms both ways, 400 MB a second. */
#define WINDOW (16u << 20)
#define SLOTS_FIRST 1024

/* A request under way. */
struct slot {
	struct sftp_op *op; /* NULL: whatever the answer is, nobody wants it */
	uint32_t tag, id;
	bool used;
};

/* The thread's own, but for the queue. */
struct sftp {
	LIBSSH2_CHANNEL *channel;
	struct slot *slots; /* by the number of the request */
	uint32_t slot_count, next_id;
	struct strbuf out, sending; /* libssh2 wants the same bytes again after EAGAIN */
	size_t sent;
	struct strbuf in; /* the beginning of a message */
};

/* ---- beginning and end of the session ---- */

static bool again(struct ssh_transport *t, long rc)
{
	return rc == LIBSSH2_ERROR_EAGAIN && line_again(&t->line);
}

/* INIT and VERSION; blocks as line_again() does. */
static int greet(struct ssh_transport *t, struct sftp *s)
{
	struct strbuf hello AUTO_STRBUF = STRBUF_INIT;
	struct sftp_answer answer;
	char byte[4096];
	ssize_t n, size;

	sftp_ask_init(&hello);
	for (size_t sent = 0; sent < hello.len; sent += n > 0 ? (size_t)n : 0) {
		n = libssh2_channel_write(s->channel, hello.data + sent, hello.len - sent);
		if (n < 0 && !again(t, n))
			return -EIO;
	}
	while (!(size = sftp_message_size(s->in.data, s->in.len)) || (size_t)size > s->in.len) {
		n = size < 0 ? 0 : libssh2_channel_read(s->channel, byte, sizeof(byte));
		if (n == 0 || (n < 0 && !again(t, n)))
			return -EIO;
		if (n > 0)
			strbuf_add(&s->in, byte, (size_t)n);
	}
	if (size < 0 || sftp_take_answer(s->in.data, (size_t)size, &answer) < 0 ||
		answer.type != SFTP_VERSION || (size_t)size != s->in.len)
		return -EIO;
	strbuf_reset(&s->in);
	return 0;
}

static void sftp_free(struct sftp *s)
{
	strbuf_release(&s->in);
	strbuf_release(&s->out);
	strbuf_release(&s->sending);
	free(s->slots);
	free(s);
}

int sftp_open(struct ssh_transport *t)
{
	LIBSSH2_SESSION *session = t->line.session;
	struct sftp *s = xcalloc(1, sizeof(*s));
	int rc;

	s->in = s->out = s->sending = STRBUF_INIT;
	while (!(s->channel = libssh2_channel_open_ex(session, "session", 7, WINDOW,
			 LIBSSH2_CHANNEL_PACKET_DEFAULT, NULL, 0)) &&
		again(t, libssh2_session_last_errno(session)))
		;
	if (!s->channel) {
		sftp_free(s);
		return line_errno(&t->line, libssh2_session_last_errno(session));
	}
	t->idle = s->channel;
	do
		rc = libssh2_channel_subsystem(s->channel, "sftp");
	while (again(t, rc));
	if (rc == 0)
		rc = greet(t, s);
	if (rc) {
		sftp_free(s);
		return t->line.dead || t->line.error ? line_errno(&t->line, rc) : -EOPNOTSUPP;
	}
	s->slot_count = SLOTS_FIRST;
	s->slots = xcalloc(s->slot_count, sizeof(*s->slots));
	t->sftp = s;
	return 0;
}

/* ---- requests ---- */

static void grow(struct sftp *s)
{
	uint32_t count = s->slot_count;
	struct slot *old = s->slots;

	s->slot_count *= 2;
	s->slots = xcalloc(s->slot_count, sizeof(*s->slots));
	for (uint32_t i = 0; i < count; i++)
		if (old[i].used)
			s->slots[old[i].id & (s->slot_count - 1)] = old[i];
	free(old);
}

/* The number of a new request. */
static uint32_t enter(struct sftp *s, struct sftp_op *op, uint32_t tag)
{
	uint32_t id = s->next_id++;

	while (s->slots[id & (s->slot_count - 1)].used)
		grow(s);
	s->slots[id & (s->slot_count - 1)] = (struct slot){op, tag, id, true};
	if (op)
		op->pending++;
	return id;
}

void sftp_send_path(struct ssh_transport *t, struct sftp_op *op, uint32_t tag, enum sftp_type type,
	const char *path)
{
	sftp_ask_path(&t->sftp->out, type, enter(t->sftp, op, tag), path);
}

void sftp_send_handle(struct ssh_transport *t, struct sftp_op *op, uint32_t tag,
	enum sftp_type type, const struct sftp_handle *handle)
{
	sftp_ask_handle(&t->sftp->out, type, enter(t->sftp, op, tag), handle);
}

void sftp_send_read(struct ssh_transport *t, struct sftp_op *op, uint32_t tag,
	const struct sftp_handle *handle, uint64_t offset, uint32_t len)
{
	sftp_ask_read(&t->sftp->out, enter(t->sftp, op, tag), handle, offset, len);
}

void sftp_send_close(struct ssh_transport *t, const struct sftp_handle *handle)
{
	sftp_send_handle(t, NULL, 0, SFTP_CLOSE, handle);
}

bool sftp_is_abandoned(struct ssh_transport *t, struct sftp_op *op)
{
	WITH_LOCK(&t->lock);
	return op->abandoned;
}

/* ---- operations ---- */

static void finish(struct ssh_transport *t, struct sftp_op *op)
{
	bool abandoned;

	if (op->finished) {
		op->finished(op);
		op->destroy(op);
		return;
	}
	pthread_mutex_lock(&t->lock);
	abandoned = op->abandoned;
	op->done = true;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
	if (abandoned)
		op->destroy(op);
}

/* Under the lock. */
static bool append(struct ssh_transport *t, struct sftp_op *op)
{
	if (t->aborted || t->state != REMOTE_ONLINE || (t->stuck && !op->always))
		return false;
	*t->sftp_last = op;
	t->sftp_last = &op->next;
	return true;
}

/* Under the lock. */
static void take_out(struct ssh_transport *t, struct sftp_op *op)
{
	struct sftp_op **at = &t->sftp_first;

	while (*at && *at != op)
		at = &(*at)->next;
	if (*at)
		*at = op->next;
	for (t->sftp_last = &t->sftp_first; *t->sftp_last; t->sftp_last = &(*t->sftp_last)->next)
		;
}

/* What was late may never have been sent, behind an upload that stood still: then no answer of its own would say
 * that the server is back. */
struct probe {
	struct sftp_op op;
	struct ssh_transport *transport;
};

static void begin_probe(struct ssh_transport *t, struct sftp_op *op)
{
	sftp_send_path(t, op, 0, SFTP_REALPATH, ".");
}

static void on_probe(struct ssh_transport *t, struct sftp_op *op, uint32_t tag, struct sftp_answer *answer)
{
	(void)t;
	(void)op;
	(void)tag;
	(void)answer;
}

static void probe_finished(struct sftp_op *op)
{
	struct ssh_transport *t = ((struct probe *)op)->transport;

	WITH_LOCK(&t->lock);
	t->stuck = t->probing = false;
}

static void probe_destroy(struct sftp_op *op)
{
	free(op);
}

void sftp_set_stuck(struct ssh_transport *t)
{
	struct probe *probe;

	if (t->aborted || t->state != REMOTE_ONLINE)
		return;
	t->stuck = true;
	if (t->probing)
		return;
	t->probing = true;
	probe = xcalloc(1, sizeof(*probe));
	probe->op = (struct sftp_op){.begin = begin_probe, .answer = on_probe, .finished = probe_finished,
		.destroy = probe_destroy, .always = true};
	probe->transport = t;
	append(t, &probe->op);
	transport_wake(t);
}

bool sftp_do(struct ssh_transport *t, struct sftp_op *op, int64_t deadline, int *result)
{
	int late = 0;

	WITH_LOCK(&t->lock);
	if (!append(t, op)) {
		*result = t->aborted ? -ECANCELED : -ENOTCONN;
		return true;
	}
	transport_wake(t);
	while (!op->done && !t->aborted && late != -ETIMEDOUT)
		late = transport_wait(t, deadline);
	if (op->done) {
		*result = op->result;
		return true;
	}
	*result = t->aborted ? -ECANCELED : -ETIMEDOUT;
	sftp_set_stuck(t);
	if (!op->begun) {
		take_out(t, op);
		return true;
	}
	op->abandoned = true;
	return false;
}

void sftp_post(struct ssh_transport *t, struct sftp_op *op)
{
	pthread_mutex_lock(&t->lock);
	bool queued = append(t, op);
	op->result = queued ? 0 : t->aborted ? -ECANCELED : -ENOTCONN;
	pthread_mutex_unlock(&t->lock);
	if (queued)
		transport_wake(t);
	else
		finish(t, op);
}

/* The first not begun, or NULL. */
static struct sftp_op *next_op(struct ssh_transport *t)
{
	WITH_LOCK(&t->lock);
	struct sftp_op *op = t->sftp_first;

	if (!op)
		return NULL;
	t->sftp_first = op->next;
	if (!t->sftp_first)
		t->sftp_last = &t->sftp_first;
	op->begun = true;
	return op;
}

static bool begin_all(struct ssh_transport *t)
{
	struct sftp_op *op;
	bool any = false;

	while ((op = next_op(t))) {
		any = true;
		if (t->sftp)
			op->begin(t, op);
		else
			op->result = -EOPNOTSUPP;
		if (!op->pending)
			finish(t, op);
	}
	return any;
}

static int take_message(struct ssh_transport *t, const char *message, size_t size)
{
	struct sftp_answer answer;
	struct sftp *s = t->sftp;

	if (sftp_take_answer(message, size, &answer) < 0)
		return -EPROTO;
	struct slot *slot = &s->slots[answer.id & (s->slot_count - 1)];
	if (!slot->used || slot->id != answer.id)
		return -EPROTO;
	slot->used = false;
	struct sftp_op *op = slot->op;
	if (!op)
		return 0;
	op->answer(t, op, slot->tag, &answer);
	/* Last, so that what it sent meanwhile keeps it alive. */
	if (!--op->pending)
		finish(t, op);
	return 0;
}

/* Takes in what came: whole messages from where they are, the beginning of one is kept. */
static int take_in(struct ssh_transport *t, const char *bytes, size_t len)
{
	struct sftp *s = t->sftp;

	while (len) {
		ssize_t size = s->in.len ? sftp_message_size(s->in.data, s->in.len)
					 : sftp_message_size(bytes, len);

		if (size < 0)
			return -EPROTO;
		if (!s->in.len && size && (size_t)size <= len) {
			if (take_message(t, bytes, (size_t)size) < 0)
				return -EPROTO;
			bytes += size;
			len -= (size_t)size;
			continue;
		}
		size_t want = size ? (size_t)size - s->in.len : 4 - s->in.len;
		size_t n = s->in.len || !size ? (want < len ? want : len) : len;
		strbuf_add(&s->in, bytes, n);
		bytes += n;
		len -= n;
		size = sftp_message_size(s->in.data, s->in.len);
		if (size < 0 || (size && s->in.len == (size_t)size &&
				       take_message(t, s->in.data, s->in.len) < 0))
			return -EPROTO;
		if (size && s->in.len == (size_t)size)
			strbuf_reset(&s->in);
	}
	return 0;
}

static int act_read(struct ssh_transport *t, void *arg, int what)
{
	struct sftp *s = arg;
	ssize_t n = libssh2_channel_read_ex(s->channel, 0, t->scratch, SSH_SCRATCH);

	(void)what;
	if (n == LIBSSH2_ERROR_EAGAIN)
		return STEP_AGAIN;
	if (n > 0) {
		WITH_LOCK(&t->lock);
		t->stuck = false;
	}
	if (n > 0 && take_in(t, t->scratch, (size_t)n) == 0)
		return STEP_MORE;
	if (n > 0 || libssh2_channel_eof(s->channel)) {
		log_warning("ssh: the SFTP server of %s %s", t->settings.host,
			n > 0 ? "answers what nobody asked" : "has ended");
		/* Only a new connection has another. */
		t->line.dead = true;
	}
	return STEP_LATER;
}

static int act_write(struct ssh_transport *t, void *arg, int what)
{
	struct sftp *s = arg;

	(void)what;
	(void)t;
	while (s->sent < s->sending.len) {
		ssize_t n = libssh2_channel_write(s->channel, s->sending.data + s->sent,
			s->sending.len - s->sent);

		if (n == LIBSSH2_ERROR_EAGAIN)
			return STEP_AGAIN;
		/* Its end is seen by reading. */
		if (n <= 0)
			return STEP_LATER;
		s->sent += (size_t)n;
	}
	strbuf_reset(&s->sending);
	s->sent = 0;
	return STEP_MORE;
}

bool sftp_round(struct ssh_transport *t)
{
	bool progress = begin_all(t);
	struct sftp *s = t->sftp;

	if (!s)
		return progress;
	if (transport_attempt(t, act_read, s, 0) == STEP_MORE)
		progress = true;
	if (t->sticky)
		return progress;
	if (!s->sending.len && s->out.len) {
		struct strbuf empty = s->sending;

		s->sending = s->out;
		s->out = empty;
	}
	if (s->sending.len && transport_attempt(t, act_write, s, 0) == STEP_MORE)
		progress = true;
	return progress;
}

void sftp_fail(struct ssh_transport *t)
{
	struct sftp *s = STEAL(t->sftp);
	struct sftp_op *op;

	for (uint32_t i = 0; s && i < s->slot_count; i++) {
		op = s->slots[i].used ? s->slots[i].op : NULL;
		if (!op)
			continue;
		op->result = -EPIPE;
		if (!--op->pending)
			finish(t, op);
	}
	if (s)
		sftp_free(s);
	pthread_mutex_lock(&t->lock);
	t->stuck = false;
	pthread_mutex_unlock(&t->lock);
	while ((op = next_op(t))) {
		op->result = -ENOTCONN;
		finish(t, op);
	}
}
