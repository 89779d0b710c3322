/* Commands on the cluster: a channel each, and queues of bytes between callers and the thread. */
#include <errno.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "sshinternal.h"

#define CHANNELS_MAX 8 /* OpenSSH allows 10; SFTP has one */
#define WINDOW (2 << 20)
#define COMMAND_MAX 32000
#define OUT_MAX (1 << 20)
#define OUT_CHUNK (256 << 10)
#define KEPT_MAX (4u << 20)

struct spawn_op {
	struct ssh_op op;
	struct ssh_proc *proc; /* NULL once the caller has it */
	char *command;
};

static void proc_free(struct ssh_proc *p)
{
	chunkq_clear(&p->out);
	chunkq_clear(&p->kept[0]);
	chunkq_clear(&p->kept[1]);
	free(p->sending);
	free(p);
}

void procs_on_exit(void *arg, uint32_t channel, int status)
{
	struct ssh_transport *t = arg;

	for (struct ssh_proc *p = t->procs; p; p = p->next) {
		if (!p->id_known || p->id != channel || !p->channel)
			continue;
		pthread_mutex_lock(&t->lock);
		p->status = status;
		p->status_known = true;
		pthread_cond_broadcast(&t->changed);
		pthread_mutex_unlock(&t->lock);
		return;
	}
}

static int open_channel(struct ssh_transport *t, struct ssh_proc *p)
{
	LIBSSH2_SESSION *session = t->line.session;

	if (t->channels >= CHANNELS_MAX)
		return STEP_LATER;
	t->line.opened_seen = false;
	p->channel = libssh2_channel_open_ex(session, "session", 7, WINDOW,
		LIBSSH2_CHANNEL_PACKET_DEFAULT, NULL, 0);
	if (!p->channel) {
		int rc = libssh2_session_last_errno(session);

		return rc == LIBSSH2_ERROR_EAGAIN ? (int)STEP_AGAIN : line_errno(&t->line, rc);
	}
	p->id = t->line.opened;
	p->id_known = t->line.opened_seen;
	p->next = t->procs;
	t->procs = p;
	t->channels++;
	pthread_mutex_lock(&t->lock);
	p->listed = true;
	pthread_mutex_unlock(&t->lock);
	return STEP_MORE;
}

static int spawn_step(struct ssh_transport *t, struct ssh_op *op)
{
	struct spawn_op *s = (struct spawn_op *)op;
	int rc;

	if (!s->proc->channel)
		return open_channel(t, s->proc);
	rc = libssh2_channel_process_startup(s->proc->channel, "exec", 4, s->command,
		(unsigned)strlen(s->command));
	if (rc == LIBSSH2_ERROR_EAGAIN)
		return STEP_AGAIN;
	return line_errno(&t->line, rc);
}

static void spawn_destroy(struct ssh_op *op)
{
	struct spawn_op *s = (struct spawn_op *)op;

	if (s->proc)
		ssh_release(&s->proc->base);
	free(s->command);
	free(s);
}

int ssh_spawn(struct remote *r, const char *command, int64_t deadline, struct remote_proc **ret)
{
	struct spawn_op *s;
	int result;

	if (strlen(command) > COMMAND_MAX)
		return -E2BIG;
	s = xcalloc(1, sizeof(*s));
	s->op.step = spawn_step;
	s->op.destroy = spawn_destroy;
	s->command = xstrdup(command);
	s->proc = xcalloc(1, sizeof(*s->proc));
	s->proc->base.remote = r;
	if (!transport_do(ssh_of(r), &s->op, deadline, &result))
		return result;
	if (!result) {
		*ret = &s->proc->base;
		s->proc = NULL;
	}
	spawn_destroy(&s->op);
	return result;
}

ssize_t ssh_write(struct remote_proc *proc, const void *bytes, size_t len, int64_t deadline)
{
	struct ssh_transport *t = ssh_of(proc->remote);
	struct ssh_proc *p = (struct ssh_proc *)proc;
	size_t n = len < OUT_CHUNK ? len : OUT_CHUNK;
	struct chunk *c = chunk_new(n);
	int late = 0;
	ssize_t r;

	memcpy(c->data, bytes, n);
	c->len = n;
	pthread_mutex_lock(&t->lock);
	while (!t->aborted && !p->error && !p->closed && !p->want_eof && !late &&
		p->out.bytes >= OUT_MAX)
		late = transport_wait(t, deadline);
	if (t->aborted)
		r = -ECANCELED;
	else if (p->error || p->closed || p->want_eof)
		r = -EPIPE;
	else if (late)
		r = late;
	else
		r = (ssize_t)n;
	if (r >= 0) {
		chunkq_push(&p->out, c);
		c = NULL;
	}
	pthread_mutex_unlock(&t->lock);
	free(c);
	if (r > 0)
		transport_wake(t);
	return r;
}

int ssh_close_stdin(struct remote_proc *proc, int64_t deadline)
{
	struct ssh_transport *t = ssh_of(proc->remote);
	struct ssh_proc *p = (struct ssh_proc *)proc;
	int r;

	(void)deadline;
	pthread_mutex_lock(&t->lock);
	p->want_eof = true;
	r = t->aborted ? -ECANCELED : p->error;
	pthread_mutex_unlock(&t->lock);
	transport_wake(t);
	return r;
}

ssize_t ssh_read(struct remote_proc *proc, bool from_stderr, void *buffer, size_t size,
	int64_t deadline)
{
	struct ssh_transport *t = ssh_of(proc->remote);
	struct ssh_proc *p = (struct ssh_proc *)proc;
	struct chunkq *q = &p->kept[from_stderr];
	int late = 0;
	size_t n;

	pthread_mutex_lock(&t->lock);
	while (!t->aborted && !q->bytes && !p->ended && !p->error && !late)
		late = transport_wait(t, deadline);
	n = t->aborted ? 0 : chunkq_read(q, buffer, size);
	if (t->aborted)
		late = -ECANCELED;
	else if (n || p->ended)
		late = 0;
	else if (p->error)
		late = p->error;
	pthread_mutex_unlock(&t->lock);
	if (n)
		transport_wake(t);
	return n ? (ssize_t)n : late;
}

int ssh_wait(struct remote_proc *proc, int *status, int64_t deadline)
{
	struct ssh_transport *t = ssh_of(proc->remote);
	struct ssh_proc *p = (struct ssh_proc *)proc;
	int late = 0;

	WITH_LOCK(&t->lock);
	while (!t->aborted && !p->status_known && !p->closed && !p->error && !late)
		late = transport_wait(t, deadline);
	if (t->aborted)
		return -ECANCELED;
	if (p->status_known || p->closed) {
		*status = p->status_known ? p->status : -1;
		return 0;
	}
	return p->error ? p->error : late;
}

void ssh_release(struct remote_proc *proc)
{
	struct ssh_transport *t = ssh_of(proc->remote);
	struct ssh_proc *p = (struct ssh_proc *)proc;
	bool listed;

	pthread_mutex_lock(&t->lock);
	p->released = true;
	listed = p->listed;
	pthread_mutex_unlock(&t->lock);
	if (listed)
		transport_wake(t);
	else
		proc_free(p);
}

static int act_read(struct ssh_transport *t, void *arg, int stream)
{
	struct ssh_proc *p = arg;
	struct chunk *c;
	ssize_t n;

	n = libssh2_channel_read_ex(p->channel, stream, t->scratch, SSH_SCRATCH);
	if (n == LIBSSH2_ERROR_EAGAIN)
		return STEP_AGAIN;
	if (n <= 0)
		return STEP_LATER;
	c = chunk_new((size_t)n);
	memcpy(c->data, t->scratch, (size_t)n);
	c->len = (size_t)n;
	pthread_mutex_lock(&t->lock);
	chunkq_push(&p->kept[stream], c);
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
	return STEP_MORE;
}

static int act_write(struct ssh_transport *t, void *arg, int what)
{
	struct ssh_proc *p = arg;
	struct chunk *c = p->sending;
	bool any = false;

	(void)what;
	while (c->start < c->len) {
		ssize_t n = libssh2_channel_write_ex(p->channel, 0, c->data + c->start,
			c->len - c->start);

		if (n == LIBSSH2_ERROR_EAGAIN)
			return STEP_AGAIN;
		if (n == 0)
			return any ? STEP_MORE : STEP_LATER;
		if (n < 0) {
			/* The command does not read any more; how it ends is still to come. */
			c->start = c->len;
			break;
		}
		c->start += (size_t)n;
		any = true;
	}
	free(p->sending);
	p->sending = NULL;
	pthread_mutex_lock(&t->lock);
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
	return STEP_MORE;
}

static int act_eof(struct ssh_transport *t, void *arg, int what)
{
	struct ssh_proc *p = arg;

	(void)t;
	(void)what;
	if (libssh2_channel_send_eof(p->channel) == LIBSSH2_ERROR_EAGAIN)
		return STEP_AGAIN;
	p->eof_sent = true;
	return STEP_MORE;
}

/* After the end of the output: waits for the server to close, when no status can come any more. */
static int act_closed(struct ssh_transport *t, void *arg, int what)
{
	struct ssh_proc *p = arg;

	(void)what;
	if (libssh2_channel_wait_closed(p->channel) == LIBSSH2_ERROR_EAGAIN)
		return STEP_AGAIN;
	pthread_mutex_lock(&t->lock);
	if (!p->id_known && !p->status_known) {
		p->status = libssh2_channel_get_exit_status(p->channel);
		p->status_known = true;
	}
	p->closed = true;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
	return STEP_MORE;
}

static void unlist(struct ssh_transport *t, struct ssh_proc *p)
{
	struct ssh_proc **at = &t->procs;
	bool released;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	t->channels--;
	p->channel = NULL;
	pthread_mutex_lock(&t->lock);
	p->listed = false;
	released = p->released;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
	if (released)
		proc_free(p);
}

static int act_free(struct ssh_transport *t, void *arg, int what)
{
	struct ssh_proc *p = arg;

	(void)what;
	if (libssh2_channel_free(p->channel) == LIBSSH2_ERROR_EAGAIN)
		return STEP_AGAIN;
	unlist(t, p);
	return STEP_MORE;
}

/* Takes in output while there is room for it; true if something came. */
static bool read_round(struct ssh_transport *t, struct ssh_proc *p)
{
	bool progress = false, room[2];

	pthread_mutex_lock(&t->lock);
	room[0] = p->kept[0].bytes < KEPT_MAX;
	room[1] = p->kept[1].bytes < KEPT_MAX;
	pthread_mutex_unlock(&t->lock);
	for (int stream = 0; stream < 2 && !t->sticky; stream++)
		if (room[stream] && transport_attempt(t, act_read, p, stream) == STEP_MORE)
			progress = true;
	if (t->sticky || progress || !libssh2_channel_eof(p->channel))
		return progress;
	pthread_mutex_lock(&t->lock);
	p->ended = true;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
	return true;
}

static bool proc_round(struct ssh_transport *t, struct ssh_proc *p)
{
	bool released, want_eof, ended, closed, progress = false;

	pthread_mutex_lock(&t->lock);
	released = p->released;
	ended = p->ended;
	closed = p->closed;
	if (!p->sending && !released)
		p->sending = chunkq_pop(&p->out);
	want_eof = p->want_eof && !p->sending && !p->eof_sent;
	pthread_mutex_unlock(&t->lock);
	if (released || closed)
		return transport_attempt(t, act_free, p, 0) == STEP_MORE;
	if (ended)
		progress = transport_attempt(t, act_closed, p, 0) == STEP_MORE;
	else
		progress = read_round(t, p);
	if (p->sending && !t->sticky && transport_attempt(t, act_write, p, 0) == STEP_MORE)
		progress = true;
	if (want_eof && !t->sticky && transport_attempt(t, act_eof, p, 0) == STEP_MORE)
		progress = true;
	return progress;
}

bool procs_round(struct ssh_transport *t)
{
	bool progress = false;

	for (struct ssh_proc *p = t->procs, *next; p && !t->sticky && !t->line.dead; p = next) {
		next = p->next;
		if (proc_round(t, p))
			progress = true;
	}
	return progress;
}

void procs_fail(struct ssh_transport *t)
{
	while (t->procs) {
		pthread_mutex_lock(&t->lock);
		if (!t->procs->closed)
			t->procs->error = -EPIPE;
		pthread_mutex_unlock(&t->lock);
		unlist(t, t->procs);
	}
}
