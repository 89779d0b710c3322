/*
 * One connection: its byte stream, its libssh2 session, the server's identity.  A line is one
 * thread's own, the transport's.  The functions of this file and of sshauth.h block, each wait
 * bounded by `deadline` and ended by `stop_fd`; once it is up, sshtransport.c never blocks on it.
 */
#ifndef SLURMOUNT_SSHLINE_H
#define SLURMOUNT_SSHLINE_H

#include <libssh2.h>
#include <stdatomic.h>

#include "dial.h"

struct ssh_line {
	const struct ssh_settings *settings;
	int stop_fd;
	int64_t deadline;
	const struct remote_prompter *prompter; /* NULL: nobody can be asked */
	struct strbuf *why;

	LIBSSH2_SESSION *session;
	struct dialled stream;
	bool wiping;    /* until the login has succeeded: what libssh2 frees may hold secrets */
	bool dead;      /* the stream has ended or failed */
	bool dismissed; /* the server said that it ends the connection */
	int64_t heard;  /* when bytes last came */
	uint64_t received; /* bytes, of all channels */
	int error;      /* why a wait ended early */
	/* The last refusal of a login method as it passed (see sshline.c); the caller clears it. */
	bool refusal;
	bool partial;      /* the method itself was accepted, and another is wanted besides */
	char methods[256]; /* what is taken now, separated by commas */
	/* Channel messages as they pass (see sshline.c); told of each exit status and signal. */
	uint32_t opened; /* our number of the channel confirmed last */
	bool opened_seen;
	void (*on_exit)(void *arg, uint32_t channel, int status);
	void *on_exit_arg;
};

/* Connects and checks the host key.  -EKEYREJECTED, or why the host is out of reach.  On failure
 * the line is closed. */
int line_open(struct ssh_line *line);
/* Frees all that libssh2 holds of it; sends nothing more. */
void line_close(struct ssh_line *line);
/* After a libssh2 call said EAGAIN: waits; false where the wait failed (line->error). */
bool line_again(struct ssh_line *line);
/* A libssh2 result as a negative errno, in the state that the call left. */
int line_errno(struct ssh_line *line, int rc);
/* libssh2's own words for its last error. */
const char *line_message(struct ssh_line *line);

#endif
