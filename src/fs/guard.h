/*
 * A small process beside the daemon, which lets go of the mount when the daemon is killed.
 *
 * A killed daemon whose notifier or announcer is in the kernel at that moment never ends by itself:
 * that thread waits, uninterruptibly, for a directory that some program's rename holds, or for an
 * answer of its own process; the rename waits for that answer, too; and the kernel ends the connection
 * only once all threads are gone.  So somebody else has to end it.
 */
#ifndef SLURMOUNT_GUARD_H
#define SLURMOUNT_GUARD_H

#include <sys/types.h>

struct guard {
	pid_t pid; /* 0: there is none */
	int fd;    /* what is mounted is told by it */
};

/* Before any thread is started and any file opened, by the thread that ends last, the main one.  0 or a
 * negative errno; without a guard all goes on. */
int guard_start(struct guard *guard);
/* Once it is mounted. */
void guard_tell(struct guard *guard, const char *mountpoint);
/* At the end, when no thread is left.  Waits for its end, which comes at once. */
void guard_stop(struct guard *guard);

#endif
