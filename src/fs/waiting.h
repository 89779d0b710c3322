/* A word on standard error when the first connection takes long, so that nobody wonders. */
#ifndef SLURMOUNT_WAITING_H
#define SLURMOUNT_WAITING_H

struct waiting;

/* Prints "slurmount: TEXT" after three seconds, once, unless stopped before.  NULL where no thread
 * can be started: then nothing is said. */
struct waiting *waiting_start(const char *text);
/* From now on nothing is printed: a person is being asked.  NULL is fine. */
void waiting_hush(struct waiting *w);
/* Ends its thread and frees it.  NULL is fine. */
void waiting_stop(struct waiting *w);

#endif
