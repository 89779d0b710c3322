/*
 * The SFTP session of a connection: one channel, and as many requests under way as its users want.
 *
 * What a caller asks for is an operation (struct sftp_op): it sends requests, is told of each answer,
 * and may send more; it is finished once nothing of it is under way.  All of that happens on the
 * transport's thread.
 */
#ifndef SLURMOUNT_SSHSFTP_H
#define SLURMOUNT_SSHSFTP_H

#include "sftpwire.h"
#include "sshinternal.h"

struct sftp_op {
	struct sftp_op *next; /* lock: of those not begun */
	/* On the thread: sends the first requests, or sets `result`. */
	void (*begin)(struct ssh_transport *t, struct sftp_op *op);
	/* On the thread: `tag` is what the request was sent with. */
	void (*answer)(struct ssh_transport *t, struct sftp_op *op, uint32_t tag,
		struct sftp_answer *answer);
	/* Frees it, and what nobody took of its result. */
	void (*destroy)(struct sftp_op *op);
	/* On the thread, under no lock, when it is finished; NULL where somebody waits for it. */
	void (*finished)(struct sftp_op *op);
	bool always;      /* set once: also where the server is silent */
	unsigned pending; /* the thread's: requests without an answer */
	int result;       /* the thread's until `done` */
	bool begun;       /* lock */
	bool done;        /* lock */
	bool abandoned;   /* lock: nobody waits any more; the thread destroys it */
};

struct ssh_file {
	struct remote_file base;
	struct sftp_handle handle;
	unsigned generation; /* of the connection that `handle` is part of */
};

/* Blocks until it is finished.  True: `op` is the caller's again and `*result` its result; false: it
 * belongs to the thread now, and `*result` says why.  It is not begun (-ENOTCONN) while another's
 * deadline has passed and the server is still silent: whoever goes through many files waits for that
 * once, not for each of them. */
bool sftp_do(struct ssh_transport *t, struct sftp_op *op, int64_t deadline, int *result);
/* Hands over an operation with a `finished`, which is called in any case, perhaps at once. */
void sftp_post(struct ssh_transport *t, struct sftp_op *op);

/* Under the lock: no operation is begun until the server has answered something; it is asked. */
void sftp_set_stuck(struct ssh_transport *t);

/* ---- on the thread, within begin() and answer() ---- */

void sftp_send_path(struct ssh_transport *t, struct sftp_op *op, uint32_t tag, enum sftp_type type,
	const char *path);
void sftp_send_handle(struct ssh_transport *t, struct sftp_op *op, uint32_t tag,
	enum sftp_type type, const struct sftp_handle *handle);
void sftp_send_read(struct ssh_transport *t, struct sftp_op *op, uint32_t tag,
	const struct sftp_handle *handle, uint64_t offset, uint32_t len);
/* Its answer interests nobody. */
void sftp_send_close(struct ssh_transport *t, const struct sftp_handle *handle);
/* Whether nobody waits for it any more: it need not go on. */
bool sftp_is_abandoned(struct ssh_transport *t, struct sftp_op *op);

#endif
