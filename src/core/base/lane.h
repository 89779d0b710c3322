/*
 * A lane: a few threads that do blocking work in order, so that nobody else has to wait for the
 * network.  The engine has one for staging, one for submissions and one for queries; a slow upload
 * cannot keep a state query waiting.
 */
#ifndef SLURMOUNT_LANE_H
#define SLURMOUNT_LANE_H

struct lane;

/* Starts `threads` threads with all signals blocked.  NULL where the system has no thread left. */
struct lane *lane_new(const char *name, unsigned threads);
/* Queues run(arg).  Any thread; never blocks, but behind lane_end(): then it is run here and now. */
void lane_post(struct lane *lane, void (*run)(void *arg), void *arg);
/* Runs what is queued, then joins: abort the remote first, so that it all ends soon. NULL is fine. */
void lane_end(struct lane *lane);
/* lane_end(), and frees it: nobody may post to it any more. NULL is fine. */
void lane_free(struct lane *lane);

#endif
