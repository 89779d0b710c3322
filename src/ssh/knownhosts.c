#include "knownhosts.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdint.h>
#include <string.h>

#include "err.h"

#define FILE_MAX (16u << 20)
#define SHA1_SIZE 20

void knownhosts_init(struct knownhosts *k, const char *host, int port)
{
	memset(k, 0, sizeof(*k));
	k->name = port == 22 ? xstrdup(host) : xasprintf("[%s]:%d", host, port);
	for (char *c = k->name; *c; c++)
		*c = (char)tolower((unsigned char)*c);
}

void knownhosts_finish(struct knownhosts *k)
{
	for (size_t i = 0; i < k->count; i++) {
		free(k->keys[i].type);
		free(k->keys[i].base64);
		free(k->keys[i].file);
	}
	free(k->keys);
	free(k->name);
	memset(k, 0, sizeof(*k));
}

void base64_add(struct strbuf *b, const void *bytes, size_t len)
{
	AUTO_FREE unsigned char *text = xmalloc(len / 3 * 4 + 5);
	int n = EVP_EncodeBlock(text, bytes, (int)len);

	strbuf_add(b, text, (size_t)n);
}

/* |1|SALT|HMAC-SHA1(SALT, name)|, both in base64. */
static bool hashed_matches(const char *hashed, const char *name)
{
	const char *salt_text = hashed + 3, *bar = strchr(salt_text, '|');
	unsigned char salt[64], digest[EVP_MAX_MD_SIZE];
	AUTO_STRBUF struct strbuf text = STRBUF_INIT;
	size_t salt_len = bar ? (size_t)(bar - salt_text) : 0;
	unsigned digest_len = 0;
	int n;

	if (!bar || salt_len > 64)
		return false;
	n = EVP_DecodeBlock(salt, (const unsigned char *)salt_text, (int)salt_len);
	if (n < SHA1_SIZE)
		return false;
	if (!HMAC(EVP_sha1(), salt, SHA1_SIZE, (const unsigned char *)name, strlen(name), digest,
		    &digest_len))
		return false;
	base64_add(&text, digest, digest_len);
	return !strcmp(bar + 1, text.data);
}

/* Brackets are themselves in [host]:port, not fnmatch's sets; so * and ? are done here. */
static bool glob_matches(const char *pattern, const char *name)
{
	for (; *pattern; pattern++, name++) {
		if (*pattern == '*') {
			while (*pattern == '*')
				pattern++;
			if (!*pattern)
				return true;
			for (; *name; name++)
				if (glob_matches(pattern, name))
					return true;
			return false;
		}
		if (!*name || (*pattern != '?' && tolower((unsigned char)*pattern) != *name))
			return false;
	}
	return !*name;
}

bool knownhosts_name_matches(const char *patterns, const char *name)
{
	bool found = false;

	if (!strncmp(patterns, "|1|", 3))
		return hashed_matches(patterns, name);
	while (*patterns) {
		size_t n = strcspn(patterns, ",");
		AUTO_FREE char *one = xstrndup(patterns, n);
		bool negated = *one == '!';

		if (*one && glob_matches(one + negated, name)) {
			if (negated)
				return false;
			found = true;
		}
		patterns += n;
		patterns += *patterns == ',';
	}
	return found;
}

static char *word(char **at)
{
	char *start = *at + strspn(*at, " \t\r"), *end = start + strcspn(start, " \t\r");

	*at = *end ? end + 1 : end;
	*end = '\0';
	return *start ? start : NULL;
}

static void add_line(struct knownhosts *k, const char *file, int number, char *line)
{
	char *names = word(&line), *type, *base64;
	struct knownhost_key *key;
	bool revoked = false;

	if (!names || *names == '#')
		return;
	if (*names == '@') {
		revoked = !strcmp(names, "@revoked");
		/* Certificates of hosts are not understood by libssh2, so their authority is no help. */
		if (!revoked)
			return;
		names = word(&line);
	}
	type = word(&line);
	base64 = word(&line);
	if (!names || !base64 || !knownhosts_name_matches(names, k->name))
		return;
	k->keys = xrealloc(k->keys, (k->count + 1) * sizeof(*k->keys));
	key = &k->keys[k->count++];
	key->type = xstrdup(type);
	key->base64 = xstrdup(base64);
	key->file = xstrdup(file);
	key->line = number;
	key->revoked = revoked;
}

void knownhosts_add_text(struct knownhosts *k, const char *file, const char *text)
{
	for (int number = 1; *text; number++) {
		size_t n = strcspn(text, "\n");
		AUTO_FREE char *line = xstrndup(text, n);

		add_line(k, file, number, line);
		text += n;
		text += *text == '\n';
	}
}

void knownhosts_add_file(struct knownhosts *k, const char *file)
{
	AUTO_FCLOSE FILE *f = fopen(file, "re");
	AUTO_STRBUF struct strbuf text = STRBUF_INIT;
	char bytes[4096];
	size_t n;

	if (!f)
		return;
	while (text.len < FILE_MAX && (n = fread(bytes, 1, sizeof(bytes), f)) > 0)
		strbuf_add(&text, bytes, n);
	knownhosts_add_text(k, file, text.data);
}

/* The blob begins with its type as a string with a length of four bytes. */
static char *blob_type(const unsigned char *blob, size_t len)
{
	size_t n = len < 4 ? 0
			   : (size_t)blob[0] << 24 | (size_t)blob[1] << 16 | (size_t)blob[2] << 8 | blob[3];

	return len < 4 || n > len - 4 ? xstrdup("") : xstrndup((const char *)blob + 4, n);
}

enum knownhost knownhosts_check(const struct knownhosts *k, const void *blob, size_t len,
	const struct knownhost_key **which)
{
	AUTO_STRBUF struct strbuf text = STRBUF_INIT;
	AUTO_FREE char *type = blob_type(blob, len);
	enum knownhost result = KNOWNHOST_UNKNOWN;

	base64_add(&text, blob, len);
	for (size_t i = 0; i < k->count; i++) {
		const struct knownhost_key *key = &k->keys[i];
		bool same = !strcmp(key->base64, text.data);

		if (key->revoked && same) {
			if (which)
				*which = key;
			return KNOWNHOST_REVOKED;
		}
		if (key->revoked)
			continue;
		if (same) {
			result = KNOWNHOST_MATCH;
		} else if (!strcmp(key->type, type) && result == KNOWNHOST_UNKNOWN) {
			result = KNOWNHOST_CHANGED;
			if (which)
				*which = key;
		}
	}
	return result;
}

void knownhosts_methods(const struct knownhosts *k, struct strbuf *ret)
{
	static const struct {
		const char *type, *methods;
	} all[] = {
		{"ssh-ed25519", "ssh-ed25519"},
		{"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"},
		{"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"},
		{"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"},
		{"ssh-rsa", "rsa-sha2-512,rsa-sha2-256,ssh-rsa"},
	};
	const size_t n = sizeof(all) / sizeof(all[0]);

	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < n; i++) {
			bool known = false;

			for (size_t j = 0; j < k->count; j++)
				known |= !k->keys[j].revoked && !strcmp(k->keys[j].type, all[i].type);
			if (known != (pass == 0))
				continue;
			strbuf_addf(ret, "%s%s", ret->len ? "," : "", all[i].methods);
		}
	}
}
