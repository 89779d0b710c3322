/* The FUSE session: made, mounted, served, ended. */
#ifndef SLURMOUNT_MOUNT_H
#define SLURMOUNT_MOUNT_H

#include <signal.h>

#include "fs.h"

/* -EINVAL for a mount option that FUSE does not know (it has said which).  `xattr`: jobs have
 * extended attributes, at the price of a request for each entry of `ls -l` and each write. */
int mount_new(struct fs *fs, const char *label, const char *options, bool xattr,
	struct fuse_session **ret);
/* Once it is mounted and before it is served: look-ups and listings of one directory may run side by
 * side.  0 or a negative errno. */
int mount_allow_parallel(struct fuse_session *session);
/* The signals that mount_serve() waits for, to be blocked before any thread is started. */
void mount_signals(sigset_t *set);
/* The mount's device, "0:45", by the kernel's table of mounts; "" where it is not found there. */
#define MOUNT_DEVICE_SIZE 24
void mount_device(const char *mountpoint, char device[MOUNT_DEVICE_SIZE]);
/* Whether it is in that table: false after a lazy unmount, while programs still use it. */
bool mount_is_attached(const char *device);

/* Serves until it is unmounted, or SIGTERM or SIGINT comes; the announcer is stopped before the
 * workers end.  Call it once. */
int mount_serve(struct fs *fs);
/* After mount_serve(): whether no signal ended it, so that the kernel had closed all files. */
bool mount_was_unmounted(void);

#endif
