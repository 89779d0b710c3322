/*
 * What the parts of the SSH transport share.
 *
 * One thread owns the libssh2 session.  Callers queue operations (struct ssh_op), served in order, one
 * at a time, and move bytes through queues of their processes; what concerns files has a queue of its
 * own (sshsftp.h).  The thread goes round: the first operation, each process's queues, the SFTP
 * session; every libssh2 call is one `act`.  A libssh2 call that says EAGAIN with part of a packet sent must be repeated before any
 * other call on the session: that act is then `sticky`, and the round stops for it.
 */
#ifndef SLURMOUNT_SSHINTERNAL_H
#define SLURMOUNT_SSHINTERNAL_H

#include <pthread.h>

#include "chunkq.h"
#include "sshline.h"
#include "sshtransport.h"

#define SSH_SCRATCH (256 << 10)

/* What an act says; 0 and less are an operation's own final result. */
enum step {
	STEP_AGAIN = 1, /* libssh2 waits */
	STEP_LATER,     /* not yet, and nothing was begun */
	STEP_MORE,      /* something was done */
};

struct ssh_transport;
struct sftp;
struct sftp_op;

struct ssh_op {
	struct ssh_op *next; /* lock */
	int (*step)(struct ssh_transport *t, struct ssh_op *op);
	void (*destroy)(struct ssh_op *op); /* frees it, and what nobody took of its result */
	bool begun;     /* lock */
	bool done;      /* lock */
	bool abandoned; /* lock: the thread frees it */
	int result;     /* lock */
};

struct ssh_proc {
	struct remote_proc base;
	struct chunkq out, kept[2]; /* lock */
	bool want_eof;              /* lock */
	bool released;              /* lock: the thread frees it */
	bool listed;                /* lock: the thread has it */
	bool ended;                 /* lock: all output is in `kept` */
	bool closed;                /* lock: the server has nothing more to say */
	bool status_known;          /* lock */
	int status;                 /* lock */
	int error;                  /* lock: the connection broke */
	/* The thread's own: */
	struct ssh_proc *next;
	LIBSSH2_CHANNEL *channel;
	struct chunk *sending;
	uint32_t id;
	bool id_known, eof_sent;
};

struct connect_request {
	const struct remote_prompter *prompter;
	int64_t deadline;
	struct strbuf *why;
	bool taken, done;
	int result;
};

typedef int (*ssh_act)(struct ssh_transport *t, void *arg, int what);

struct ssh_transport {
	struct remote base;
	struct ssh_settings settings; /* unchanged once made */
	remote_state_fn tell;
	void *tell_arg;
	pthread_t thread;
	int wake_fd, abort_fd;

	pthread_mutex_t lock;
	pthread_cond_t changed;            /* any op, process or request has */
	enum remote_state state;           /* lock */
	bool aborted;                      /* lock */
	struct ssh_op *ops;                /* lock */
	struct sftp_op *sftp_first, **sftp_last; /* lock: not begun */
	bool stuck; /* lock: an operation on files passed its deadline, and no answer has come since */
	bool probing; /* lock: a request is on its way whose answer ends that */
	struct connect_request *request;   /* lock */

	/* The thread's own: */
	struct ssh_line line;
	struct sftp *sftp;     /* NULL where the server has none */
	LIBSSH2_CHANNEL *idle; /* reading its empty stderr takes in what belongs to no channel */
	struct ssh_proc *procs;
	unsigned channels;
	unsigned generation;   /* of the session: handles of an earlier one are void */
	ssh_act sticky;
	void *sticky_arg;
	int sticky_what;
	int64_t next_try, online_since, last_ping;
	unsigned broken_logins; /* in a row, without a word from the server */
	int64_t slept_ms; /* as last looked at */
	int pause_ms;
	bool again; /* connect by itself */
	char scratch[SSH_SCRATCH];
};

static inline struct ssh_transport *ssh_of(struct remote *r)
{
	return (struct ssh_transport *)r;
}

/* Runs an operation and waits for its end.  True: `op` is the caller's again and `*result` its
 * result; false: it belongs to the thread now, and `*result` says why. */
bool transport_do(struct ssh_transport *t, struct ssh_op *op, int64_t deadline, int *result);
/* Hands over an operation for whose end nobody waits. */
void transport_post(struct ssh_transport *t, struct ssh_op *op);
/* Waits for `changed` under the lock; -ETIMEDOUT at the deadline. */
int transport_wait(struct ssh_transport *t, int64_t deadline);
void transport_wake(struct ssh_transport *t);
/* Calls an act and keeps note of whether it must be repeated first. */
int transport_attempt(struct ssh_transport *t, ssh_act act, void *arg, int what);

/* sshproc.c; the first three on the thread.  proc_round() is true if anything was done. */
bool procs_round(struct ssh_transport *t);
void procs_fail(struct ssh_transport *t);
void procs_on_exit(void *arg, uint32_t channel, int status);
int ssh_spawn(struct remote *r, const char *command, int64_t deadline, struct remote_proc **ret);
ssize_t ssh_write(struct remote_proc *p, const void *bytes, size_t len, int64_t deadline);
int ssh_close_stdin(struct remote_proc *p, int64_t deadline);
ssize_t ssh_read(struct remote_proc *p, bool from_stderr, void *buffer, size_t size,
	int64_t deadline);
int ssh_wait(struct remote_proc *p, int *status, int64_t deadline);
void ssh_release(struct remote_proc *p);

/* sshsftp.c; all on the thread.  sftp_open() blocks as line_again() does: -EOPNOTSUPP where the server
 * has none.  sftp_round() is true if anything was done. */
int sftp_open(struct ssh_transport *t);
bool sftp_round(struct ssh_transport *t);
void sftp_fail(struct ssh_transport *t);

/* sshfile.c, sshfetch.c */
int sftp_is_file(const struct remote_attr *attr);
int ssh_lstat(struct remote *r, const char *path, int64_t deadline, struct remote_attr *ret);
int ssh_readlink(struct remote *r, const char *path, int64_t deadline, struct strbuf *ret);
int ssh_list(struct remote *r, const char *path, int64_t deadline, remote_entry_fn each, void *arg);
int ssh_open(struct remote *r, const char *path, int64_t deadline, struct remote_file **ret);
ssize_t ssh_pread(struct remote_file *f, void *buffer, size_t size, uint64_t offset,
	int64_t deadline);
void ssh_pread_begin(struct remote_file *f, void *buffer, size_t size, uint64_t offset,
	remote_read_fn done, void *arg);
int ssh_fetch(struct remote *r, const char *const *paths, size_t count, size_t most,
	remote_fetched_fn each, void *arg);
int ssh_look(struct remote *r, const char *path, int64_t known_ns, remote_looked_fn done, void *arg);
void ssh_is_late(struct remote *r);
void ssh_close(struct remote_file *f);
int ssh_unlink(struct remote *r, const char *path, int64_t deadline);
int ssh_rmdir(struct remote *r, const char *path, int64_t deadline);

#endif
