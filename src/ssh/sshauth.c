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
	bool done, unasked, asked_anything;
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

/* Asks the server what it takes now: after a partial success the list is another. */
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

/* Takes in the result of one method; true where no other should be tried. */
static bool settle(struct auth *a, const char *what, int rc)
{
	if (rc == 0) {
		a->done = true;
		return true;
	}
	if (rc == LIBSSH2_ERROR_EAGAIN || a->line->dead) {
		a->error = line_errno(a->line, rc);
		if (a->line->dead && a->tried.len)
			note(a, what, "the server hung up");
		return true;
	}
	note(a, what, rc == LIBSSH2_ERROR_AUTHENTICATION_FAILED ? "refused" : line_message(a->line));
	/* The key was welcome and its signature not enough: that is how a first factor looks. */
	if (rc == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED) {
		list_methods(a);
		return a->done || a->error || !offered(a, "publickey");
	}
	return false;
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

/* With IdentitiesOnly the agent is used for those keys alone whose public half is configured. */
static bool agent_key_is_wanted(struct auth *a, const struct libssh2_agent_publickey *key)
{
	const struct ssh_settings *s = a->line->settings;
	AUTO_STRBUF struct strbuf blob = STRBUF_INIT;

	if (!s->identities_only)
		return true;
	base64_add(&blob, key->blob, key->blob_len);
	for (size_t i = 0; i <= s->identities.count; i++) {
		const char *file = i < s->identities.count ? s->identities.items[i] : s->identity;
		AUTO_FREE char *pub = file ? xasprintf("%s.pub", file) : NULL;
		AUTO_FREE char *text = pub ? read_small(pub) : NULL;

		if (text && strstr(text, blob.data))
			return true;
	}
	return false;
}

static void try_agent_key(struct auth *a, LIBSSH2_AGENT *agent,
	struct libssh2_agent_publickey *key, bool *stop)
{
	AUTO_FREE char *what = xasprintf("agent's key %s", key->comment ? key->comment : "");
	bool rsa = blob_is_rsa(key->blob, key->blob_len);
	int rc;

	if (!agent_key_is_wanted(a, key))
		return;
	if (rsa && rsa_is_hopeless(a)) {
		note(a, what, RSA_OLD);
		return;
	}
	while ((rc = libssh2_agent_userauth(agent, a->user, key)) == LIBSSH2_ERROR_EAGAIN &&
		line_again(a->line))
		;
	*stop = settle(a, what, rc);
}

static bool try_agent(struct auth *a)
{
	LIBSSH2_AGENT *agent = libssh2_agent_init(a->line->session);
	const char *path = a->line->settings->agent;
	struct libssh2_agent_publickey *key = NULL;
	bool stop = false;

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
	if (!libssh2_agent_list_identities(agent))
		while (!stop && !libssh2_agent_get_identity(agent, &key, key))
			try_agent_key(a, agent, key, &stop);
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
	bool encrypted, rsa, stop;
	char *secret = NULL;
	int rc;

	if (!text) {
		if (named)
			note(a, file, strerror(errno));
		return false;
	}
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
	while ((rc = libssh2_userauth_publickey_fromfile_ex(session, a->user,
			(unsigned)strlen(a->user), NULL, file, secret)) == LIBSSH2_ERROR_EAGAIN &&
		line_again(a->line))
		;
	secret_free(secret);
	if (rsa && rc == LIBSSH2_ERROR_AUTHENTICATION_FAILED && LIBSSH2_VERSION_NUM < 0x010b00)
		note(a, file, RSA_OLD);
	if (encrypted && rc == LIBSSH2_ERROR_FILE) {
		note(a, file, "the passphrase does not open it");
		return false;
	}
	stop = settle(a, file, rc);
	return stop;
}

static bool try_files(struct auth *a)
{
	const struct ssh_settings *s = a->line->settings;
	AUTO_FREE char *own = s->identity ? ssh_expand_home(s->identity) : NULL;

	if (own && try_file(a, own, true))
		return true;
	for (size_t i = 0; i < s->identities.count; i++)
		if ((!own || strcmp(own, s->identities.items[i])) &&
			try_file(a, s->identities.items[i], false))
			return true;
	return false;
}

/* libssh2 gives its callback no argument of ours but the session's, which leads to the line. */
static _Thread_local struct auth *answering;

static LIBSSH2_USERAUTH_KBDINT_RESPONSE_FUNC(answer_prompts)
{
	struct auth *a = answering;

	(void)abstract;
	if (a->line->prompter && (name_len || instruction_len))
		log_debug("ssh: the server says: %.*s %.*s", name_len, name, instruction_len,
			instruction);
	for (int i = 0; i < num_prompts; i++) {
		AUTO_STRBUF struct strbuf prompt = STRBUF_INIT;
		char *secret = secret_new();

		/* What a server says must not drive the terminal. */
		if (i == 0 && instruction_len)
			strbuf_add_escaped(&prompt, instruction, (size_t)instruction_len);
		if (prompt.len)
			strbuf_addc(&prompt, ' ');
		strbuf_add_escaped(&prompt, prompts[i].text, prompts[i].length);
		a->asked_anything = true;
		if (secret && !a->error && !a->unasked &&
			!ask(a, prompt.data, prompts[i].echo != 0, secret)) {
			/* libssh2 frees it through line_free(), which overwrites it. */
			responses[i].text = xstrdup(secret);
			responses[i].length = (unsigned)strlen(secret);
		}
		secret_free(secret);
	}
}

static bool try_questions(struct auth *a)
{
	LIBSSH2_SESSION *session = a->line->session;
	bool stop;
	int rc;

	if (!a->line->prompter) {
		a->unasked = true;
		return false;
	}
	answering = a;
	while ((rc = libssh2_userauth_keyboard_interactive_ex(session, a->user,
			(unsigned)strlen(a->user), answer_prompts)) == LIBSSH2_ERROR_EAGAIN &&
		line_again(a->line))
		;
	answering = NULL;
	if (a->error)
		return true;
	stop = settle(a, "answers", rc);
	if (!stop)
		list_methods(a);
	return stop || a->error || a->done;
}

static bool try_password(struct auth *a)
{
	AUTO_FREE char *prompt = xasprintf("%s@%s's password: ", a->user, a->line->settings->host);
	char *secret = secret_new();
	int rc;

	if (!secret || ask(a, prompt, false, secret)) {
		secret_free(secret);
		return a->error != 0;
	}
	while ((rc = libssh2_userauth_password_ex(a->line->session, a->user,
			(unsigned)strlen(a->user), secret, (unsigned)strlen(secret), NULL)) ==
			LIBSSH2_ERROR_EAGAIN &&
		line_again(a->line))
		;
	secret_free(secret);
	return settle(a, "password", rc);
}

/* Each method once; a first factor that was accepted changes what is offered on the way. */
static void try_all(struct auth *a)
{
	bool asked_before;

	list_methods(a);
	if (a->done || a->error)
		return;
	if (offered(a, "publickey") && !try_agent(a) && offered(a, "publickey"))
		try_files(a);
	if (a->done || a->error)
		return;
	if (offered(a, "keyboard-interactive") && try_questions(a))
		return;
	asked_before = a->asked_anything;
	/* One wrong password is enough: a second form of the same question would be a second try. */
	if (offered(a, "password") && !(asked_before && offered(a, "keyboard-interactive")))
		try_password(a);
}

int line_authenticate(struct ssh_line *line, bool *unasked)
{
	struct auth a = {.line = line, .user = line->settings->user, .tried = STRBUF_INIT};
	int r;

	line->wiping = true;
	try_all(&a);
	line->wiping = false;
	*unasked = a.unasked;
	r = a.done ? 0 : a.error ? a.error : -EACCES;
	/* A server hangs up after some refusals: coming back by itself would only repeat them. */
	if (r == -EPIPE && a.tried.len)
		r = -EACCES;
	if (r)
		strbuf_addf(line->why, "%s@%s: %s (%s%s%s)", a.user, line->settings->address,
			r == -EACCES ? "the server refuses the login" : strerror(-r),
			a.tried.len ? a.tried.data : "nothing could be tried",
			a.methods ? "; it takes " : "", a.methods ? a.methods : "");
	strbuf_release(&a.tried);
	free(a.methods);
	return r;
}
