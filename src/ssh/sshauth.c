#include "sshauth.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "clock.h"
#include "err.h"
#include "knownhosts.h"
#include "log.h"

#define SECRET_SIZE 4096
#define KEYFILE_MAX (64 << 10)
#define RSA_OLD "RSA keys need signatures with SHA-2, which this libssh2 (" LIBSSH2_VERSION \
	") does not make; use an ed25519 or ECDSA key"

struct auth {
	struct ssh_line *line;
	const char *user;
	char *methods;        /* what the server still takes; NULL: nothing more, or done */
	struct strbuf tried;
	struct strbuf agent_keys; /* public halves of those the agent was used for, in base64 */
	bool done, unasked;
	bool answers_refused; /* somebody was asked, and the answers were wrong */
	bool refused;         /* a method, by the server's own word */
	bool sent_secret;     /* what somebody was asked for went to the server */
	int error;            /* of the line, or -ECANCELED from the person */
};

/* A page of memory that is never swapped out and is overwritten at its end. */
static char *secret_new(void)
{
	char *secret = mmap(NULL, SECRET_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		0);

	if (secret == MAP_FAILED)
		return NULL;
	mlock(secret, SECRET_SIZE);
	madvise(secret, SECRET_SIZE, MADV_DONTDUMP);
	return secret;
}

static void secret_free(char *secret)
{
	if (!secret)
		return;
	explicit_bzero(secret, SECRET_SIZE);
	munlock(secret, SECRET_SIZE);
	munmap(secret, SECRET_SIZE);
}

static int ask(struct auth *a, const char *prompt, bool echo, char *answer)
{
	struct ssh_line *line = a->line;
	int64_t began = clock_mono_ms(&clock_system);
	int r;

	if (!line->prompter) {
		a->unasked = true;
		return -ENOTTY;
	}
	r = line->prompter->ask(line->prompter->arg, prompt, echo, answer, SECRET_SIZE);
	/* The time that a person takes is not the network's. */
	if (line->deadline != CLOCK_NEVER)
		line->deadline += clock_mono_ms(&clock_system) - began;
	if (r == -ENOTTY)
		a->unasked = true;
	else if (r)
		a->error = r;
	return r;
}

static bool offered(const struct auth *a, const char *method)
{
	size_t n = strlen(method);

	for (const char *at = a->methods; at && *at; at += strcspn(at, ","), at += *at == ',')
		if (strcspn(at, ",") == n && !strncmp(at, method, n))
			return true;
	return false;
}

/* Asks the server what it takes.  Each time but the first counts as a refused attempt there. */
static void list_methods(struct auth *a)
{
	LIBSSH2_SESSION *session = a->line->session;
	char *list;

	free(a->methods);
	a->methods = NULL;
	while (!(list = libssh2_userauth_list(session, a->user, (unsigned)strlen(a->user))) &&
		libssh2_session_last_errno(session) == LIBSSH2_ERROR_EAGAIN && line_again(a->line))
		;
	if (list)
		a->methods = xstrdup(list);
	else if (libssh2_userauth_authenticated(session))
		a->done = true;
	else
		a->error = line_errno(a->line, libssh2_session_last_errno(session));
}

static void note(struct auth *a, const char *what, const char *result)
{
	strbuf_addf(&a->tried, "%s%s: %s", a->tried.len ? "; " : "", what, result);
}

static void replace_methods(struct auth *a, const char *methods)
{
	free(a->methods);
	a->methods = xstrdup(methods);
}

/* Takes in the result of trying `what` by `method`; true where no other of that method should be
 * tried: all is over, or a factor was accepted and another method comes next. */
static bool settle(struct auth *a, const char *method, const char *what, int rc)
{
	struct ssh_line *line = a->line;

	if (rc == 0) {
		a->done = true;
		return true;
	}
	if (rc == LIBSSH2_ERROR_EAGAIN || line->dead) {
		a->error = line_errno(line, rc);
		if (line->dead)
			note(a, what, line->dismissed ? "the server hung up" : "the connection broke");
		return true;
	}
	if (!line->refusal) {
		note(a, what, rc == LIBSSH2_ERROR_PASSWORD_EXPIRED ?
				"expired; change it by logging in with ssh" : line_message(line));
		return false;
	}
	a->refused |= !line->partial;
	note(a, what, line->partial ? "accepted, as one of several" : "refused");
	replace_methods(a, line->methods);
	return line->partial && !offered(a, method);
}

/* Servers of OpenSSH 8.8 and later refuse RSA with SHA-1; trying would only use up attempts. */
static bool rsa_is_hopeless(struct auth *a)
{
	const char *banner = libssh2_session_banner_get(a->line->session), *at;
	int major = 0, minor = 0;

	if (LIBSSH2_VERSION_NUM >= 0x010b00 || !banner)
		return false;
	at = strstr(banner, "OpenSSH_");
	if (!at || sscanf(at, "OpenSSH_%d.%d", &major, &minor) != 2)
		return false;
	return major > 8 || (major == 8 && minor >= 8);
}

static bool blob_is_rsa(const unsigned char *blob, size_t len)
{
	return len > 11 && !memcmp(blob, "\0\0\0\007ssh-rsa", 11);
}

/* The whole of a small file; NULL where it cannot be read. */
static char *read_small(const char *path)
{
	AUTO_FCLOSE FILE *f = fopen(path, "re");
	char *text;
	size_t n;

	if (!f)
		return NULL;
	text = xcalloc(1, KEYFILE_MAX + 1);
	n = fread(text, 1, KEYFILE_MAX, f);
	text[n] = '\0';
	return text;
}

static void free_wiped(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
}

static bool agent_key_is_configured(struct auth *a, const struct libssh2_agent_publickey *key)
{
	const struct ssh_settings *s = a->line->settings;
	AUTO_STRBUF struct strbuf blob = STRBUF_INIT;

	base64_add(&blob, key->blob, key->blob_len);
	for (size_t i = 0; i <= s->identities.count; i++) {
		const char *named = i < s->identities.count ? s->identities.items[i] : s->identity;
		AUTO_FREE char *file = named ? ssh_expand_home(named) : NULL;
		AUTO_FREE char *pub = file ? xasprintf("%s.pub", file) : NULL;
		AUTO_FREE char *text = pub ? read_small(pub) : NULL;

		if (text && strstr(text, blob.data))
			return true;
	}
	return false;
}

/* A key file whose key the agent was already used for: its passphrase would be asked for in vain. */
static bool agent_had(struct auth *a, const char *file)
{
	AUTO_FREE char *pub = xasprintf("%s.pub", file);
	AUTO_FREE char *text = read_small(pub);
	char *rest, *blob = text && strtok_r(text, " \t", &rest) ? strtok_r(NULL, " \t\n", &rest) : NULL;

	return blob && strstr(a->agent_keys.data, blob);
}

static void try_agent_key(struct auth *a, LIBSSH2_AGENT *agent,
	struct libssh2_agent_publickey *key, bool *stop)
{
	AUTO_FREE char *what = xasprintf("agent's key %s", key->comment ? key->comment : "");
	bool rsa = blob_is_rsa(key->blob, key->blob_len);
	int rc;

	if (rsa && rsa_is_hopeless(a)) {
		note(a, what, RSA_OLD);
		return;
	}
	base64_add(&a->agent_keys, key->blob, key->blob_len);
	strbuf_addc(&a->agent_keys, ' ');
	a->line->refusal = false;
	while ((rc = libssh2_agent_userauth(agent, a->user, key)) == LIBSSH2_ERROR_EAGAIN &&
		line_again(a->line))
		;
	*stop = settle(a, "publickey", what, rc);
}

/* A server ends a login behind some six refused keys: those whose public half is configured come first, and with
 * IdentitiesOnly alone. */
static bool try_agent_keys(struct auth *a, LIBSSH2_AGENT *agent)
{
	bool stop = false;

	for (int configured = 1; configured >= a->line->settings->identities_only; configured--) {
		struct libssh2_agent_publickey *key = NULL;

		while (!stop && !libssh2_agent_get_identity(agent, &key, key))
			if (agent_key_is_configured(a, key) == configured)
				try_agent_key(a, agent, key, &stop);
	}
	return stop;
}

static bool try_agent(struct auth *a)
{
	LIBSSH2_AGENT *agent = libssh2_agent_init(a->line->session);
	const char *path = a->line->settings->agent;
	bool stop;

	if (!agent)
		return false;
	if (path && strcmp(path, "none")) {
		AUTO_FREE char *expanded = ssh_expand_home(path);

		libssh2_agent_set_identity_path(agent, expanded);
	}
	if ((path && !strcmp(path, "none")) || libssh2_agent_connect(agent)) {
		libssh2_agent_free(agent);
		return false;
	}
	stop = !libssh2_agent_list_identities(agent) && try_agent_keys(a, agent);
	libssh2_agent_disconnect(agent);
	libssh2_agent_free(agent);
	return stop;
}

/* OpenSSH's own form names its cipher and then the public key, all in base64. */
static void look_at_key(const char *text, bool *encrypted, bool *rsa)
{
	static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
	const char *at = strstr(text, begin);
	unsigned char raw[193];
	char base64[257];
	size_t n = 0;
	int got;

	*encrypted = strstr(text, "ENCRYPTED") != NULL;
	*rsa = strstr(text, "BEGIN RSA PRIVATE KEY") != NULL;
	if (!at)
		return;
	for (at += sizeof(begin) - 1; *at && *at != '-' && n < 256; at++)
		if (*at > ' ')
			base64[n++] = *at;
	n -= n % 4;
	got = EVP_DecodeBlock(raw, (unsigned char *)base64, (int)n);
	if (got > 23)
		*encrypted = memcmp(raw + 15, "\0\0\0\004none", 8) != 0;
	*rsa = got > 0 && memmem(raw, (size_t)got, "\0\0\0\007ssh-rsa", 11);
	explicit_bzero(raw, sizeof(raw));
	explicit_bzero(base64, sizeof(base64));
}

static bool try_file(struct auth *a, const char *file, bool named)
{
	CLEANUP(free_wiped) char *text = read_small(file);
	LIBSSH2_SESSION *session = a->line->session;
	bool encrypted, rsa;
	char *secret = NULL;
	int rc;

	if (!text) {
		if (named)
			note(a, file, strerror(errno));
		return false;
	}
	if (agent_had(a, file))
		return false;
	look_at_key(text, &encrypted, &rsa);
	if (rsa && rsa_is_hopeless(a)) {
		note(a, file, RSA_OLD);
		return false;
	}
	if (encrypted) {
		AUTO_FREE char *prompt = xasprintf("Passphrase of %s: ", file);

		secret = secret_new();
		if (!secret || ask(a, prompt, false, secret)) {
			secret_free(secret);
			note(a, file, "it needs a passphrase");
			return a->error != 0;
		}
	}
	a->line->refusal = false;
	while ((rc = libssh2_userauth_publickey_fromfile_ex(session, a->user,
			(unsigned)strlen(a->user), NULL, file, secret)) == LIBSSH2_ERROR_EAGAIN &&
		line_again(a->line))
		;
	secret_free(secret);
	if (rsa && a->line->refusal && !a->line->partial && LIBSSH2_VERSION_NUM < 0x010b00)
		note(a, file, RSA_OLD);
	/* Both come before anything is sent, and say nothing else of a file that is encrypted. */
	if (encrypted && (rc == LIBSSH2_ERROR_FILE || rc == LIBSSH2_ERROR_KEYFILE_AUTH_FAILED)) {
		note(a, file, "the passphrase does not open it");
		return false;
	}
	return settle(a, "publickey", file, rc);
}

static void try_files(struct auth *a)
{
	const struct ssh_settings *s = a->line->settings;
	AUTO_FREE char *own = s->identity ? ssh_expand_home(s->identity) : NULL;

	if (own && try_file(a, own, true))
		return;
	for (size_t i = 0; i < s->identities.count; i++)
		if ((!own || strcmp(own, s->identities.items[i])) &&
			try_file(a, s->identities.items[i], false))
			return;
}

static void try_keys(struct auth *a)
{
	if (!try_agent(a))
		try_files(a);
}

/* What a server says, for the prompter, which makes it harmless for its terminal. */
static void add_words(struct strbuf *b, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] && text[i] != '\r')
			strbuf_addc(b, text[i]);
}

/* libssh2 gives its callback no argument of ours but the session's, which leads to the line. */
static _Thread_local struct auth *answering;

static LIBSSH2_USERAUTH_KBDINT_RESPONSE_FUNC(answer_prompts)
{
	struct auth *a = answering;

	(void)abstract;
	(void)name;
	(void)name_len;
	if (!num_prompts && instruction_len)
		log_warning("%s says: %.*s", a->line->settings->host, instruction_len, instruction);
	for (int i = 0; i < num_prompts; i++) {
		AUTO_STRBUF struct strbuf prompt = STRBUF_INIT;
		char *secret = secret_new();

		if (i == 0 && instruction_len) {
			add_words(&prompt, instruction, (size_t)instruction_len);
			strbuf_addc(&prompt, '\n');
		}
		add_words(&prompt, prompts[i].text, prompts[i].length);
		if (secret && !a->error && !a->unasked &&
			!ask(a, prompt.data, prompts[i].echo != 0, secret)) {
			a->answers_refused = a->sent_secret = true;
			/* libssh2 frees it through line_free(), which overwrites it. */
			responses[i].length = (unsigned)strlen(secret);
			responses[i].text = xmalloc(responses[i].length + 1);
			mlock(responses[i].text, responses[i].length + 1);
			memcpy(responses[i].text, secret, responses[i].length + 1);
		}
		secret_free(secret);
	}
	/* An empty answer would count as a wrong one there; so nothing more is sent at all. */
	if (a->error || a->unasked)
		a->line->dead = true;
}

static void try_questions(struct auth *a)
{
	LIBSSH2_SESSION *session = a->line->session;
	int rc;

	if (!a->line->prompter) {
		a->unasked = true;
		return;
	}
	answering = a;
	a->line->refusal = false;
	while ((rc = libssh2_userauth_keyboard_interactive_ex(session, a->user,
			(unsigned)strlen(a->user), answer_prompts)) == LIBSSH2_ERROR_EAGAIN &&
		line_again(a->line))
		;
	answering = NULL;
	if (a->error || a->unasked)
		return;
	settle(a, "keyboard-interactive", "answers", rc);
	if (a->line->partial)
		a->answers_refused = false;
}

static void try_password(struct auth *a)
{
	AUTO_FREE char *prompt = xasprintf("%s@%s's password: ", a->user, a->line->settings->host);
	char *secret = secret_new();
	int rc;

	if (!secret || ask(a, prompt, false, secret)) {
		secret_free(secret);
		return;
	}
	a->line->refusal = false;
	while ((rc = libssh2_userauth_password_ex(a->line->session, a->user,
			(unsigned)strlen(a->user), secret, (unsigned)strlen(secret), NULL)) ==
			LIBSSH2_ERROR_EAGAIN &&
		line_again(a->line))
		;
	secret_free(secret);
	a->sent_secret = true;
	settle(a, "password", "password", rc);
}

/* Each method once, in our order among those that the server takes; a factor that was accepted
 * changes what it takes, and the same kind of questions may then come for a second one. */
static void try_all(struct auth *a)
{
	static const struct {
		const char *name;
		void (*run)(struct auth *a);
	} methods[] = {{"publickey", try_keys}, {"keyboard-interactive", try_questions},
		{"password", try_password}};
	enum { COUNT = sizeof(methods) / sizeof(methods[0]) };
	bool tried[COUNT] = {false};

	list_methods(a);
	for (size_t i = 0; i < COUNT && !a->done && !a->error && !a->line->dead;) {
		/* One wrong password is enough: another form of the question is a second try. */
		bool again = !strcmp(methods[i].name, "password") && a->answers_refused;

		if (tried[i] || again || !offered(a, methods[i].name)) {
			i++;
			continue;
		}
		tried[i] = true;
		a->line->partial = false;
		methods[i].run(a);
		if (a->line->partial) {
			tried[i] = methods[i].run == try_keys;
			i = 0;
		}
	}
}

int line_authenticate(struct ssh_line *line)
{
	struct auth a = {.line = line, .user = line->settings->user, .tried = STRBUF_INIT,
		.agent_keys = STRBUF_INIT};
	int r;

	line->wiping = true;
	try_all(&a);
	/* After a failure the rest is overwritten when the line is closed. */
	line->wiping = !a.done;
	r = a.done ? 0 : a.error ? a.error : -EACCES;
	/* A server hangs up after some refusals: coming back by itself would only repeat them.  A line that
	 * just broke says nothing of the login, unless nobody would be there to be asked again. */
	if (r == -EPIPE && a.tried.len && (a.refused || a.sent_secret || line->dismissed))
		r = -EACCES;
	if (r)
		strbuf_addf(line->why, "%s@%s: %s (%s%s%s%s)", a.user, line->settings->address,
			r == -EACCES ? "the server refuses the login" : strerror(-r),
			a.tried.len ? a.tried.data : "nothing could be tried",
			a.methods ? "; it takes " : "", a.methods ? a.methods : "",
			a.unasked ? "; nobody could be asked" : "");
	strbuf_release(&a.tried);
	strbuf_release(&a.agent_keys);
	free(a.methods);
	return r;
}
