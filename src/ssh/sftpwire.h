/*
 * The messages of SFTP, version 3 (draft-ietf-secsh-filexfer-02), as OpenSSH and all others speak it:
 * requests are made, answers taken apart.  Pure.
 *
 * libssh2's own SFTP waits for each answer before it asks the next question of a kind, so that over a
 * long line each file costs several round trips.  The protocol itself does not: every request has a
 * number, and the server answers as many as are under way.
 */
#ifndef SLURMOUNT_SFTPWIRE_H
#define SLURMOUNT_SFTPWIRE_H

#include "remote.h"
#include "strbuf.h"

enum sftp_type {
	SFTP_INIT = 1,
	SFTP_VERSION = 2,
	SFTP_OPEN = 3,
	SFTP_CLOSE = 4,
	SFTP_READ = 5,
	SFTP_LSTAT = 7,
	SFTP_FSTAT = 8,
	SFTP_OPENDIR = 11,
	SFTP_READDIR = 12,
	SFTP_REMOVE = 13,
	SFTP_RMDIR = 15,
	SFTP_REALPATH = 16,
	SFTP_READLINK = 19,
	SFTP_STATUS = 101,
	SFTP_HANDLE = 102,
	SFTP_DATA = 103,
	SFTP_NAME = 104,
	SFTP_ATTRS = 105,
};

#define SFTP_STATUS_OK 0
#define SFTP_STATUS_EOF 1

/* A server may use up to 256 bytes. */
#define SFTP_HANDLE_MAX 256
/* What every server gives in one answer: older ones of OpenSSH's give no more. */
#define SFTP_READ_MAX (64u << 10)
/* No answer to a request of ours is longer. */
#define SFTP_ANSWER_MAX (1u << 20)

struct sftp_handle {
	size_t len;
	char bytes[SFTP_HANDLE_MAX];
};

/* Each appends one request to `out`. */
void sftp_ask_init(struct strbuf *out);
/* OPEN (for reading), LSTAT, OPENDIR, REMOVE, RMDIR, REALPATH, READLINK. */
void sftp_ask_path(struct strbuf *out, enum sftp_type type, uint32_t id, const char *path);
/* CLOSE, FSTAT, READDIR. */
void sftp_ask_handle(struct strbuf *out, enum sftp_type type, uint32_t id,
	const struct sftp_handle *handle);
void sftp_ask_read(struct strbuf *out, uint32_t id, const struct sftp_handle *handle,
	uint64_t offset, uint32_t len);

/* One answer; the bytes are those of the message. */
struct sftp_answer {
	enum sftp_type type;
	uint32_t id;
	uint32_t number; /* STATUS: its code; NAME: how many; VERSION: which */
	const char *bytes; /* HANDLE, DATA: these; NAME, ATTRS: what sftp_take_*() takes from */
	size_t len;
};

/* The length of the message that `bytes` begin with, its own four bytes included; 0 where they do not
 * tell yet, -EPROTO where it is no answer to anything that was asked. */
ssize_t sftp_message_size(const char *bytes, size_t len);
/* Takes a whole message apart; 0 or -EPROTO. */
int sftp_take_answer(const char *message, size_t size, struct sftp_answer *ret);
/* The next attributes of an ATTRS answer; 0 or -EPROTO. */
int sftp_take_attr(struct sftp_answer *answer, struct remote_attr *ret);
/* The next entry of a NAME answer; `name` is not terminated. */
int sftp_take_name(struct sftp_answer *answer, const char **name, size_t *len,
	struct remote_attr *ret);
/* For a path BASE/./REST (remote.h): whether REALPATH's answer for its first `len` bytes, `real`, is where
 * REST leads from BASE without a link.  `base` is what BASE itself really is, NULL: as it is written. */
bool sftp_is_there(const char *path, size_t len, const char *real, const char *base);
/* The length of BASE; 0: the path is no such one. */
size_t sftp_base_len(const char *path);
int sftp_take_handle(const struct sftp_answer *answer, struct sftp_handle *ret);
/* What a STATUS says; 0 for SFTP_STATUS_OK.  `removing_dir`: version 3 has no code for a directory
 * that has entries. */
int sftp_status_errno(uint32_t code, bool removing_dir);

#endif
