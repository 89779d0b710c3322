/*
 * libfuse before 3.17 asks for FUSE_CAP_PARALLEL_DIROPS without telling the kernel, which then takes a
 * mutex for each look-up and listing of a directory: whoever comes behind one that waits for the
 * cluster sleeps in the kernel and cannot even be interrupted.  So the answer to INIT, the first of
 * all messages, passes through here and is given that flag.
 */
#include <linux/fuse.h>
#include <stdatomic.h>
#include <sys/uio.h>
#include <unistd.h>

#include <fcntl.h>

#include "mount.h"

static atomic_bool answered;

static ssize_t send_message(int fd, struct iovec *parts, int count, void *userdata)
{
	(void)userdata;
	if (!atomic_exchange(&answered, true) && count == 2 &&
		parts[1].iov_len > offsetof(struct fuse_init_out, flags)) {
		struct fuse_init_out *init = parts[1].iov_base;

		if (init->major == FUSE_KERNEL_VERSION)
			init->flags |= FUSE_PARALLEL_DIROPS;
	}
	return writev(fd, parts, count);
}

static ssize_t receive_message(int fd, void *buffer, size_t size, void *userdata)
{
	(void)userdata;
	return read(fd, buffer, size);
}

static ssize_t splice_message(int in, off_t *in_at, int out, off_t *out_at, size_t size,
	unsigned flags, void *userdata)
{
	(void)userdata;
	return splice(in, in_at, out, out_at, size, flags);
}

int mount_allow_parallel(struct fuse_session *session)
{
	static const struct fuse_custom_io io = {.writev = send_message, .read = receive_message,
		.splice_receive = splice_message, .splice_send = splice_message};
	int r = fuse_session_custom_io(session, &io, fuse_session_fd(session));

	return r > 0 ? -r : r;
}
