/* Which host keys are known for one host, from files in the form of OpenSSH's known_hosts. */
#ifndef SLURMOUNT_KNOWNHOSTS_H
#define SLURMOUNT_KNOWNHOSTS_H

#include <stdbool.h>
#include <stddef.h>

#include "strbuf.h"

enum knownhost { KNOWNHOST_UNKNOWN, KNOWNHOST_MATCH, KNOWNHOST_CHANGED, KNOWNHOST_REVOKED };

struct knownhost_key {
	char *type;   /* "ssh-ed25519" */
	char *base64; /* the key's blob */
	char *file;
	int line;
	bool revoked;
};

struct knownhosts {
	char *name; /* as the files spell it: host, or [host]:port */
	struct knownhost_key *keys;
	size_t count;
};

/* For `host` at `port`; finish with knownhosts_finish(). */
void knownhosts_init(struct knownhosts *k, const char *host, int port);
void knownhosts_finish(struct knownhosts *k);
/* Keeps the keys of this host among the lines of `text`; lines it cannot read are passed over. */
void knownhosts_add_text(struct knownhosts *k, const char *file, const char *text);
/* The same with a file's content, up to 16 MiB; a file that is not there has none. Reads the disk. */
void knownhosts_add_file(struct knownhosts *k, const char *file);
/* Judges a key blob; `which` (may be NULL) is the line that is contradicted or that revokes. */
enum knownhost knownhosts_check(const struct knownhosts *k, const void *blob, size_t len,
	const struct knownhost_key **which);
/* Names of key methods, separated by commas, those of known keys first: what to ask a server for. */
void knownhosts_methods(const struct knownhosts *k, struct strbuf *ret);
/* Whether a comma-separated list of patterns (with ! * ?) or a hashed name means `name`. */
bool knownhosts_name_matches(const char *patterns, const char *name);
/* Appends `len` bytes in base64, with padding. */
void base64_add(struct strbuf *b, const void *bytes, size_t len);

#endif
