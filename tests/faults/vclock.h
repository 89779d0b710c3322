/*
 * A clock for tests that jumps: while a group of processes has something to do it is the real one, and
 * when all of them only wait, it jumps to the first moment that one of them waits for.  So hours pass in
 * seconds, and no test depends on how fast a machine is.
 *
 * vclock_preload.c, loaded into every process of the group ($LD_PRELOAD), tells it that time and
 * registers what is waited for in a page that all share ($VCLOCK); vclock.c, outside of the group, decides
 * when to jump.
 */
#ifndef SLURMOUNT_TEST_VCLOCK_H
#define SLURMOUNT_TEST_VCLOCK_H

#include <stdatomic.h>
#include <stdint.h>

#define VCLOCK_PROCESSES 1024
#define VCLOCK_WAITS 1024

enum vclock_kind {
	VCLOCK_SLEEP = 1, /* on `woken`, a futex */
	VCLOCK_POLL,      /* woken by SIGURG, which is ignored where it comes late */
	VCLOCK_COND,      /* woken by a thread of its process, which waits on `conditions`, a futex */
	VCLOCK_ALARM,     /* wants a SIGALRM then; nobody waits */
};

struct vclock_wait {
	_Atomic int32_t tid;      /* 0: free */
	int32_t pid, kind;
	_Atomic uint32_t woken;   /* how often, by the clock */
	void *_Atomic condition;
	_Atomic int64_t until_ns; /* of the monotonic clock, jumps added; 0: not yet set */
};

struct vclock_page {
	_Atomic int64_t jumped_ns;      /* what is added to both clocks */
	_Atomic uint32_t conditions; /* how often the time of any had come */
	_Atomic int32_t forking;        /* children that are not registered yet */
	_Atomic int32_t pids[VCLOCK_PROCESSES];
	struct vclock_wait waits[VCLOCK_WAITS];
};

#endif
