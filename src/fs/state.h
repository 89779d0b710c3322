/* Where an installation keeps its state, who holds it, and what is mounted where. */
#ifndef SLURMOUNT_STATE_H
#define SLURMOUNT_STATE_H

#include "strbuf.h"

/* $XDG_STATE_HOME/slurmount/LABEL; the caller's to free, NULL where there is no home. */
char *state_path(const char *label);
/* Makes it and all above it, 0700. */
int state_make(const char *path, struct strbuf *why);
/* Takes the lock; waits for a holder that is ending.  Its descriptor, or -EBUSY with who it is. */
int state_lock(const char *path, const char *mountpoint, struct strbuf *why);

/* Renames a damaged database, and what SQLite keeps beside it, out of the way; `note` then says so and
 * what was wrong.  0 or a negative errno with a sentence in `why`. */
int state_set_aside(const char *database, const char *damage, struct strbuf *note,
	struct strbuf *why);

/* The source ("slurmount:LABEL") of the slurmount at `mountpoint`, the caller's to free, or NULL. */
char *state_mounted(const char *mountpoint);
/* The same of a path as a user gives it, without touching what is mounted there. */
char *state_source(const char *given);
/* The mount point as an absolute path without links, the caller's to free; a dead mount left there
 * is taken away.  One that does not answer is refused after some seconds, named. */
char *state_mountpoint(const char *given, struct strbuf *why);

#endif
