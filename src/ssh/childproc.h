/* Starting and ending child processes of our own. */
#ifndef SLURMOUNT_CHILDPROC_H
#define SLURMOUNT_CHILDPROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "strbuf.h"

/* Starts argv[0] (looked for in PATH) with the three descriptors (-1: /dev/null) as its 0, 1, 2 and
 * no other that is not inheritable.  With `own_session` it leads a session and a process group;
 * without, it keeps the terminal.  0, with the caller to reap `ret_pid`, or a negative errno. */
int child_start(const char *const argv[], int in, int out, int err, bool own_session,
	pid_t *ret_pid);
/* Ends the child (its whole group where it leads one), and reaps it.  Blocks only for the kernel. */
void child_kill(pid_t pid, bool own_session);
/* Runs argv to its end and appends up to 1 MiB of its standard output; its standard error is
 * dropped.  The exit status (128 + N for signal N), or -ETIMEDOUT at `deadline`, which kills it. */
int child_run(const char *const argv[], int64_t deadline, struct strbuf *output);
/* A waitpid() status as a number: the exit status, or 128 + the signal. */
int child_status(int wait_status);
/* Milliseconds until `deadline` for poll(): 0 where it has passed, -1 for CLOCK_NEVER. */
int poll_timeout(int64_t deadline);
/* A write to a closed pipe must be an error, not the end of the process. */
void ignore_sigpipe(void);

#endif
