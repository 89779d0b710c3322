/* The FUSE session: made, mounted, served, ended. */
#ifndef SLURMOUNT_MOUNT_H
#define SLURMOUNT_MOUNT_H

#include <signal.h>

#include "fs.h"

/* -EINVAL for a mount option that FUSE does not know (it has said which). */
int mount_new(struct fs *fs, const char *label, const char *options, struct fuse_session **ret);
/* The signals that mount_serve() waits for, to be blocked before any thread is started. */
void mount_signals(sigset_t *set);
/* Serves until it is unmounted, or SIGTERM or SIGINT comes.  Call it once. */
int mount_serve(struct fuse_session *session);

#endif
