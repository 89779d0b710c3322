/*
 * Reaching the cluster: the one interface through which core runs commands and reads files there.
 * ssh/ fills it twice, over libssh2 and by child processes on this machine ("local").
 *
 * Every call may be made from any thread, may block up to its deadline (milliseconds of the
 * monotonic clock, clock.h), and answers 0 or a count, or a negative errno:
 *   -ENOTCONN   there is no connection now; nothing was sent
 *   -ETIMEDOUT  the deadline passed; whether the far side acted is unknown
 *   -EPIPE      the connection broke on the way; likewise unknown
 *   -ECANCELED  remote_abort() was called
 *   -EACCES, -ENOENT, -ENOTDIR, -EISDIR, -EIO ...   the far side's own answer
 * A path BASE/./REST of a file is refused with -ELOOP by remote_open(), remote_list(), remote_unlink() and
 * remote_rmdir(), and not fetched, where what they reach lies elsewhere: REST is a way of directories alone, no link.
 * One process or file handle is used by one thread at a time.  Deadlines pass for one call only:
 * others on the same connection are not failed, unless the whole line is found silent.
 */
#ifndef SLURMOUNT_REMOTE_H
#define SLURMOUNT_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "strbuf.h"

struct remote;
struct remote_proc;
struct remote_file;

enum remote_state {
	REMOTE_OFFLINE,      /* out of reach; the transport tries again by itself, with growing pauses */
	REMOTE_CONNECTING,
	REMOTE_ONLINE,
	REMOTE_LOGIN_NEEDED, /* authentication or the host key was refused: only remote_connect() helps */
};

/* Asks the person at a terminal.  `answer` is the caller's buffer in locked memory; returns 0, or
 * -ENOTTY where nobody can be asked, or -ECANCELED.  `echo` is false for secrets. */
struct remote_prompter {
	int (*ask)(void *arg, const char *prompt, bool echo, char *answer, size_t size);
	void *arg;
};

struct remote_attr {
	mode_t mode;      /* type and permission bits; a link is described itself, not its target */
	uint64_t size;    /* bytes */
	int64_t mtime_ns; /* since 1970; whole seconds over SFTP */
};

/* Called for each entry but . and ..; a value other than 0 ends the listing and is its result.  A directory
 * without end gives -EOVERFLOW, and its first entries. */
typedef int (*remote_entry_fn)(void *arg, const char *name, const struct remote_attr *attr);

/* The end of a read that was begun: a count or a negative errno.  From the transport's thread, or
 * from within the call that began it; must not block. */
typedef void (*remote_read_fn)(void *arg, ssize_t result);

/* One of many files that were fetched: 0 and all its bytes, which are the callee's only for the
 * duration of the call, or a negative errno.  Threads as above. */
typedef void (*remote_fetched_fn)(void *arg, size_t index, int result, const struct remote_attr *attr,
	const char *bytes, size_t len);

/* A directory that was looked at; all of it the callee's only for the duration of the call. */
struct remote_looked {
	int result; /* 0 or a negative errno */
	struct remote_attr self;
	bool unchanged; /* its time is what was known; then there is no listing */
	const char *names; /* each with its NUL; without . and .. */
	const struct remote_attr *entries;
	size_t count;
};
/* Threads as above. */
typedef void (*remote_looked_fn)(void *arg, const struct remote_looked *looked);

/* Told of each change of the connection's state, from the transport's thread; must not block. */
typedef void (*remote_state_fn)(void *arg, enum remote_state state, const char *text);

struct remote_ops {
	int (*connect)(struct remote *r, const struct remote_prompter *prompter, int64_t deadline,
		struct strbuf *why);
	int (*spawn)(struct remote *r, const char *command, int64_t deadline,
		struct remote_proc **ret);
	ssize_t (*write)(struct remote_proc *p, const void *bytes, size_t len, int64_t deadline);
	int (*close_stdin)(struct remote_proc *p, int64_t deadline);
	ssize_t (*read)(struct remote_proc *p, bool from_stderr, void *buffer, size_t size,
		int64_t deadline);
	int (*wait)(struct remote_proc *p, int *status, int64_t deadline);
	void (*release)(struct remote_proc *p);
	int (*lstat)(struct remote *r, const char *path, int64_t deadline, struct remote_attr *ret);
	int (*readlink)(struct remote *r, const char *path, int64_t deadline, struct strbuf *ret);
	int (*list)(struct remote *r, const char *path, int64_t deadline, remote_entry_fn each,
		void *arg);
	int (*open)(struct remote *r, const char *path, int64_t deadline, struct remote_file **ret);
	ssize_t (*pread)(struct remote_file *f, void *buffer, size_t size, uint64_t offset,
		int64_t deadline);
	void (*pread_begin)(struct remote_file *f, void *buffer, size_t size, uint64_t offset,
		remote_read_fn done, void *arg);
	int (*fetch)(struct remote *r, const char *const *paths, size_t count, size_t most,
		remote_fetched_fn each, void *arg); /* may be NULL */
	int (*look)(struct remote *r, const char *path, int64_t known_ns, remote_looked_fn done,
		void *arg); /* may be NULL */
	void (*is_late)(struct remote *r); /* may be NULL */
	void (*close)(struct remote_file *f);
	int (*unlink)(struct remote *r, const char *path, int64_t deadline);
	int (*rmdir)(struct remote *r, const char *path, int64_t deadline);
	void (*abort)(struct remote *r);
	void (*destroy)(struct remote *r);
};

/* A transport's own struct begins with this. */
struct remote {
	const struct remote_ops *ops;
};
struct remote_proc {
	struct remote *remote;
};
struct remote_file {
	struct remote *remote;
};

/* The first connection, or a new one after REMOTE_LOGIN_NEEDED: authenticates once, asking through
 * `prompter` (NULL: nobody).  -EACCES: refused (why: what was tried); -EKEYREJECTED: the host key
 * is unknown or changed (why: the command that mends it); other errors: out of reach, and the
 * transport goes on trying by itself where no question needs asking. */
int remote_connect(struct remote *r, const struct remote_prompter *prompter, int64_t deadline,
	struct strbuf *why);
/* Starts `command` under the login shell there (shell.h makes commands that any shell takes). */
int remote_spawn(struct remote *r, const char *command, int64_t deadline,
	struct remote_proc **ret);
/* Sends all `len` bytes or fails. */
int remote_write(struct remote_proc *p, const void *bytes, size_t len, int64_t deadline);
int remote_close_stdin(struct remote_proc *p, int64_t deadline);
/* Some bytes of its output, 0 at the end.  Output that nobody reads yet is kept, both streams up
 * to 4 MiB each, so that a command that is still being fed does not stall on a warning. */
ssize_t remote_read(struct remote_proc *p, bool from_stderr, void *buffer, size_t size,
	int64_t deadline);
/* Waits for the end.  `status` is the exit status, 128 + N for signal N, or -1 where the far side
 * never said (the outcome is unknown: libssh2 would call it 0). */
int remote_wait(struct remote_proc *p, int *status, int64_t deadline);
/* Frees; a command that still runs is left to its closed streams (local: killed). NULL is fine. */
void remote_release(struct remote_proc *p);

int remote_lstat(struct remote *r, const char *path, int64_t deadline, struct remote_attr *ret);
/* Appends the link's text to `ret`. */
int remote_readlink(struct remote *r, const char *path, int64_t deadline, struct strbuf *ret);
int remote_list(struct remote *r, const char *path, int64_t deadline, remote_entry_fn each,
	void *arg);
/* For reading; a link at the end of the path is not followed. */
int remote_open(struct remote *r, const char *path, int64_t deadline, struct remote_file **ret);
/* Up to `size` bytes at `offset`; fewer only at the end of the file. */
ssize_t remote_pread(struct remote_file *f, void *buffer, size_t size, uint64_t offset,
	int64_t deadline);
/* The same without waiting: `done` is called once, in any case.  Until then the buffer must be there,
 * and the file open.  One file may have several reads under way. */
void remote_pread_begin(struct remote_file *f, void *buffer, size_t size, uint64_t offset,
	remote_read_fn done, void *arg);
/* Begins to read files of at most `most` bytes (no more than 64 KiB) whole, many in a few round trips;
 * `each` is called once for each of them, in any order and in any case; a link is not followed.
 * -EOPNOTSUPP where the transport has no such round trips to save: then nothing is called. */
int remote_fetch(struct remote *r, const char *const *paths, size_t count, size_t most,
	remote_fetched_fn each, void *arg);
/* Begins to look at a directory: its own attributes, and its entries unless its mtime is still `known_ns`
 * (-1: not known).  `done` is called once, in any case.  -EOPNOTSUPP as above. */
int remote_look(struct remote *r, const char *path, int64_t known_ns, remote_looked_fn done,
	void *arg);
/* Somebody's deadline has passed while what was so begun is still under way: until the far side is heard
 * again, calls on files answer -ENOTCONN at once. */
void remote_is_late(struct remote *r);
void remote_close(struct remote_file *f);
int remote_unlink(struct remote *r, const char *path, int64_t deadline);
int remote_rmdir(struct remote *r, const char *path, int64_t deadline);
/* Every call under way and to come answers -ECANCELED, soon; for the end of the program. */
void remote_abort(struct remote *r);
void remote_destroy(struct remote *r);

#endif
