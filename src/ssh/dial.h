/* A byte stream to the SSH server: a TCP connection, or a child `ssh -W` through a jump host. */
#ifndef SLURMOUNT_DIAL_H
#define SLURMOUNT_DIAL_H

#include <stdint.h>

#include "sshtransport.h"
#include "strbuf.h"

struct dialled {
	int fd;       /* not blocking; -1: none */
	pid_t jump;   /* the child, 0: none */
	int jump_err; /* what the child says on its standard error, -1: none */
	bool own_session;
};

/* Waits for `events` on `fd` (-1: none).  0, -ETIMEDOUT at the deadline, or -ECANCELED once
 * `stop_fd` is readable. */
int wait_fd(int fd, short events, int stop_fd, int64_t deadline);

/* Resolves and connects, trying each address; `may_ask`: a jump host's ssh may use the terminal.
 * Blocks up to `deadline`, or until `stop_fd` is readable.  0, with `ret` to dial_close(). */
int dial(const struct ssh_settings *s, bool may_ask, int stop_fd, int64_t deadline,
	struct dialled *ret, struct strbuf *why);
/* Appends what the jump host's ssh said last, where there is one. */
void dial_explain(const struct dialled *d, struct strbuf *why);
void dial_close(struct dialled *d);

#endif
