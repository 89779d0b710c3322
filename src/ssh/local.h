/* The cluster's commands run on this machine: core/remote.h by child processes and system calls. */
#ifndef SLURMOUNT_LOCAL_H
#define SLURMOUNT_LOCAL_H

#include "remote.h"

/* Always online; the caller's to remote_destroy().  Commands run under /bin/sh -c, each in a
 * session of its own and with the umask `mask`, which sbatch hands on to the job.  File calls do not look at their deadline: the kernel's file systems have
 * none. */
struct remote *local_remote_new(mode_t mask);

#endif
