/*
 * Exit statuses: libssh2 reports 0 for a channel whose server never sent one.  To tell the two
 * apart, the session is given memory functions of ours: libssh2 hands every message, decrypted, to
 * its free function when it has dealt with it, and there the few that matter are looked at:
 * CHANNEL_OPEN_CONFIRMATION, which tells our number of the channel just opened, and CHANNEL_REQUEST
 * with "exit-status" or "exit-signal".  Until the login has succeeded the same function overwrites
 * all that is freed, since it may hold secrets, and looks at USERAUTH_FAILURE, of which libssh2
 * passes on neither whether it was a partial success nor what is taken next.
 */
#include "sshline.h"

#include <errno.h>
#include <malloc.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "clock.h"
#include "ctrstream.h"
#include "err.h"
#include "knownhosts.h"
#include "log.h"

#define MSG_USERAUTH_FAILURE 51
#define MSG_OPEN_CONFIRMATION 91
#define MSG_CHANNEL_REQUEST 98
#define FREE_TRIES 1000

static uint32_t be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int signal_number(const unsigned char *name, size_t len)
{
	static const struct {
		const char *name;
		int number;
	} signals[] = {{"ABRT", SIGABRT}, {"ALRM", SIGALRM}, {"FPE", SIGFPE}, {"HUP", SIGHUP},
		{"ILL", SIGILL}, {"INT", SIGINT}, {"KILL", SIGKILL}, {"PIPE", SIGPIPE},
		{"QUIT", SIGQUIT}, {"SEGV", SIGSEGV}, {"TERM", SIGTERM}, {"USR1", SIGUSR1},
		{"USR2", SIGUSR2}};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (strlen(signals[i].name) == len && !memcmp(signals[i].name, name, len))
			return signals[i].number;
	return 0;
}

/* Looks at a message of `len` bytes or somewhat more. */
static void message_passes(struct ssh_line *line, const unsigned char *m, size_t len)
{
	static const unsigned char status[] = "\0\0\0\013exit-status", sig[] = "\0\0\0\013exit-signal";

	if (m[0] == MSG_OPEN_CONFIRMATION && len >= 17) {
		line->opened = be32(m + 1);
		line->opened_seen = true;
	}
	if (m[0] != MSG_CHANNEL_REQUEST || len < 24 || !line->on_exit)
		return;
	if (!memcmp(m + 5, status, 15)) {
		line->on_exit(line->on_exit_arg, be32(m + 1), (int)(be32(m + 21) & 0xff));
	} else if (!memcmp(m + 5, sig, 15) && be32(m + 21) <= len - 25) {
		line->on_exit(line->on_exit_arg, be32(m + 1),
			128 + signal_number(m + 25, be32(m + 21)));
	}
}

/* The same before the login.  Blocks that are no messages pass here, too: an answer that begins
 * with the digit 3, for one; none of them goes on with a small number and so many names. */
static void refusal_passes(struct ssh_line *line, const unsigned char *m, size_t len)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789@.-_,";
	uint32_t n;

	if (len < 7 || m[0] != MSG_USERAUTH_FAILURE)
		return;
	n = be32(m + 1);
	if (n < 4 || n >= sizeof(line->methods) || n > len - 6)
		return;
	for (uint32_t i = 0; i < n; i++)
		if (!m[5 + i] || !strchr(letters, m[5 + i]))
			return;
	memcpy(line->methods, m + 5, n);
	line->methods[n] = '\0';
	line->partial = m[5 + n];
	line->refusal = true;
}

/* Zeroed and never tiny: message_passes() looks a little beyond short messages.  What may hold a secret
 * is not swapped out; the few pages stay locked, since others of them may be in use. */
static void *fresh(struct ssh_line *line, size_t count)
{
	size_t size = count < 64 ? 64 : count;
	void *block = calloc(1, size);

	if (block && line && line->wiping)
		mlock(block, size);
	return block;
}

static LIBSSH2_ALLOC_FUNC(line_alloc)
{
	return fresh(*abstract, count);
}

static LIBSSH2_REALLOC_FUNC(line_realloc)
{
	struct ssh_line *line = *abstract;
	size_t size = ptr ? malloc_usable_size(ptr) : 0;
	void *larger;

	if (count < 64)
		count = 64;
	if (!ptr || !line || !line->wiping)
		return realloc(ptr, count);
	/* A private key is read by growing: nothing of it must stay behind. */
	larger = fresh(line, count);
	if (larger) {
		memcpy(larger, ptr, size < count ? size : count);
		explicit_bzero(ptr, size);
		free(ptr);
	}
	return larger;
}

static LIBSSH2_FREE_FUNC(line_free)
{
	struct ssh_line *line = *abstract;

	if (!ptr)
		return;
	if (line && line->wiping) {
		refusal_passes(line, ptr, malloc_usable_size(ptr));
		explicit_bzero(ptr, malloc_usable_size(ptr));
	} else if (line && line->session)
		message_passes(line, ptr, malloc_usable_size(ptr));
	free(ptr);
}

/* libssh2's own would raise SIGPIPE, and does not tell when bytes came. */
static LIBSSH2_DISCONNECT_FUNC(line_dismissed)
{
	struct ssh_line *line = *abstract;

	(void)session;
	(void)reason;
	(void)message;
	(void)message_len;
	(void)language;
	(void)language_len;
	line->dismissed = true;
}

/* libssh2 speaks to an agent by the same functions, on a socket that blocks: an agent may wait for a person, who
 * is not there.  What becomes of an agent is nothing of the line's. */
static int await_agent(const struct ssh_line *line, int socket, short events)
{
	return wait_fd(socket, events, line->stop_fd, line->deadline) < 0 ? -ETIMEDOUT : 0;
}

static LIBSSH2_RECV_FUNC(line_recv)
{
	struct ssh_line *line = *abstract;
	ssize_t n;

	if (socket != line->stream.fd) {
		n = await_agent(line, socket, POLLIN);
		n = n < 0 ? n : recv(socket, buffer, length, flags);
		/* libssh2 would ask again and again for what an agent that hung up did not say. */
		return n == 0 ? -ECONNRESET : n == -1 ? -errno : n;
	}
	if (line->dead)
		return -ENOTCONN;
	n = recv(socket, buffer, length, flags);
	if (n > 0) {
		line->heard = clock_mono_ms(&clock_system);
		line->received += (uint64_t)n;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		line->dead = true;
	}
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	return n;
}

static LIBSSH2_SEND_FUNC(line_send)
{
	struct ssh_line *line = *abstract;
	ssize_t n;

	if (socket != line->stream.fd) {
		n = await_agent(line, socket, POLLOUT);
		n = n < 0 ? n : send(socket, buffer, length, flags | MSG_NOSIGNAL);
		return n == -1 ? -errno : n;
	}
	if (line->dead)
		return -ENOTCONN;
	n = send(socket, buffer, length, flags | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		line->dead = true;
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	return n;
}

bool line_again(struct ssh_line *line)
{
	int directions = libssh2_session_block_directions(line->session);
	short events = 0;

	if (directions & LIBSSH2_SESSION_BLOCK_INBOUND)
		events |= POLLIN;
	if (directions & LIBSSH2_SESSION_BLOCK_OUTBOUND)
		events |= POLLOUT;
	line->error = wait_fd(line->stream.fd, events ? events : POLLIN, line->stop_fd,
		line->deadline);
	return !line->error;
}

int line_errno(struct ssh_line *line, int rc)
{
	if (rc >= 0)
		return 0;
	if (rc == LIBSSH2_ERROR_EAGAIN)
		return line->error ? line->error : -EAGAIN;
	if (line->dead)
		return -EPIPE;
	switch (rc) {
	case LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED:
		return -EACCES;
	case LIBSSH2_ERROR_CHANNEL_FAILURE:
		return -EBUSY;
	case LIBSSH2_ERROR_CHANNEL_CLOSED:
	case LIBSSH2_ERROR_CHANNEL_EOF_SENT:
		return -EPIPE;
	case LIBSSH2_ERROR_KEX_FAILURE:
	case LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE:
	case LIBSSH2_ERROR_METHOD_NONE:
		return -EPROTO;
	default:
		return -EIO;
	}
}

const char *line_message(struct ssh_line *line)
{
	char *message = NULL;

	libssh2_session_last_error(line->session, &message, NULL, 0);
	return message && *message ? message : "no reason given";
}

static void add_fingerprint(struct ssh_line *line, struct strbuf *b)
{
	const char *hash = libssh2_hostkey_hash(line->session, LIBSSH2_HOSTKEY_HASH_SHA256);
	AUTO_STRBUF struct strbuf text = STRBUF_INIT;

	if (!hash)
		return;
	base64_add(&text, hash, 32);
	while (text.len && text.data[text.len - 1] == '=')
		strbuf_truncate(&text, text.len - 1);
	strbuf_addf(b, "SHA256:%s", text.data);
}

static int refuse_key(struct ssh_line *line, const struct knownhosts *known, enum knownhost result,
	const struct knownhost_key *which)
{
	const struct ssh_settings *s = line->settings;
	const char *file = s->known_hosts_files.items[0];

	if (result == KNOWNHOST_REVOKED) {
		strbuf_addf(line->why, "the key of host %s is revoked (%s, line %d)", known->name,
			which->file, which->line);
	} else if (result == KNOWNHOST_CHANGED) {
		strbuf_addf(line->why,
			"the key of host %s has changed: it is not the one in %s, line %d. Somebody "
			"may be listening in. If the cluster's administrators confirm the new key, ",
			known->name, which->file, which->line);
		add_fingerprint(line, line->why);
		strbuf_addf(line->why, ", forget the old one with: ssh-keygen -R '%s' -f %s",
			known->name, which->file);
	} else {
		strbuf_addf(line->why, "the key of host %s is not known. Add it with: ", known->name);
		if (s->alias || s->jump)
			strbuf_addf(line->why, "ssh -o UserKnownHostsFile=%s -p %d %s@%s true", file,
				s->port, s->user, s->host);
		else
			strbuf_addf(line->why, "ssh-keyscan -p %d %s >> %s", s->port, s->address, file);
		strbuf_adds(line->why, " after comparing its fingerprint with the cluster's: ");
		add_fingerprint(line, line->why);
	}
	return -EKEYREJECTED;
}

static int check_key(struct ssh_line *line, const struct knownhosts *known)
{
	const struct knownhost_key *which = NULL;
	enum knownhost result;
	const char *blob;
	size_t len;
	int type;

	blob = libssh2_session_hostkey(line->session, &len, &type);
	if (!blob)
		return -EPROTO;
	result = knownhosts_check(known, blob, len, &which);
	if (result == KNOWNHOST_MATCH)
		return 0;
	return refuse_key(line, known, result, which);
}

/* Asks for key methods in our order.  Only those that this libssh2 has: taking out others itself, it
 * copies between overlapping bytes (1.10). */
static void prefer_methods(struct ssh_line *line, const struct knownhosts *known)
{
	AUTO_STRBUF struct strbuf wanted = STRBUF_INIT, methods = STRBUF_INIT;
	const char **supported;
	int n = libssh2_session_supported_algs(line->session, LIBSSH2_METHOD_HOSTKEY, &supported);
	char *rest, *one;

	if (n <= 0)
		return;
	knownhosts_methods(known, &wanted);
	for (one = strtok_r(wanted.data, ",", &rest); one; one = strtok_r(NULL, ",", &rest))
		for (int i = 0; i < n; i++)
			if (!strcmp(one, supported[i]))
				strbuf_addf(&methods, "%s%s", methods.len ? "," : "", one);
	libssh2_free(line->session, supported);
	libssh2_session_method_pref(line->session, LIBSSH2_METHOD_HOSTKEY, methods.data);
}

static int shake_hands(struct ssh_line *line)
{
	const struct ssh_settings *s = line->settings;
	struct knownhosts known;
	int rc, r;

	knownhosts_init(&known, s->alias ? s->alias : s->address, s->alias ? 22 : s->port);
	for (size_t i = 0; i < s->known_hosts_files.count; i++)
		knownhosts_add_file(&known, s->known_hosts_files.items[i]);
	prefer_methods(line, &known);
	while ((rc = libssh2_session_handshake(line->session, line->stream.fd)) ==
			LIBSSH2_ERROR_EAGAIN &&
		line_again(line))
		;
	if (rc) {
		r = line_errno(line, rc);
		strbuf_addf(line->why, "%s does not complete the SSH handshake: %s", s->address,
			rc == LIBSSH2_ERROR_EAGAIN ? strerror(-r) : line_message(line));
		dial_explain(&line->stream, line->why);
	} else {
		r = check_key(line, &known);
	}
	knownhosts_finish(&known);
	return r;
}

int line_open(struct ssh_line *line)
{
	/* libssh2 takes functions as object pointers, which ISO C does not convert. */
	union {
		LIBSSH2_RECV_FUNC((*function));
		void *object;
	} receive;
	union {
		LIBSSH2_SEND_FUNC((*function));
		void *object;
	} send_out;
	union {
		LIBSSH2_DISCONNECT_FUNC((*function));
		void *object;
	} dismissal;
	int r = dial(line->settings, line->prompter != NULL, line->stop_fd, line->deadline,
		&line->stream, line->why);

	if (r)
		return r;
	line->dead = line->dismissed = false;
	line->error = 0;
	line->opened_seen = false;
	line->heard = clock_mono_ms(&clock_system);
	ctrstream_ready();
	line->session = libssh2_session_init_ex(line_alloc, line_free, line_realloc, line);
	if (!line->session) {
		dial_close(&line->stream);
		return -ENOMEM;
	}
	libssh2_session_set_blocking(line->session, 0);
	receive.function = line_recv;
	send_out.function = line_send;
	libssh2_session_callback_set(line->session, LIBSSH2_CALLBACK_RECV, receive.object);
	dismissal.function = line_dismissed;
	libssh2_session_callback_set(line->session, LIBSSH2_CALLBACK_SEND, send_out.object);
	libssh2_session_callback_set(line->session, LIBSSH2_CALLBACK_DISCONNECT, dismissal.object);
	r = shake_hands(line);
	if (r)
		line_close(line);
	return r;
}

void line_close(struct ssh_line *line)
{
	LIBSSH2_SESSION *session = line->session;
	int tries = 0;

	/* With the stream dead no part of the freeing can wait for the server. */
	line->dead = true;
	line->on_exit = NULL;
	if (session) {
		while (libssh2_session_free(session) == LIBSSH2_ERROR_EAGAIN && ++tries < FREE_TRIES)
			;
		if (tries == FREE_TRIES)
			log_debug("ssh: a session could not be freed");
	}
	line->session = NULL;
	line->wiping = false;
	dial_close(&line->stream);
}
