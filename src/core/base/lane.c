#include "lane.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "cleanup.h"
#include "err.h"

struct task {
	struct task *next;
	void (*run)(void *arg);
	void *arg;
};

struct lane {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct task *first;    /* lock */
	struct task **last;    /* lock */
	bool ending;           /* lock */
	unsigned count;        /* of threads; set before they start */
	pthread_t threads[16];
};

static struct task *next_task(struct lane *lane)
{
	WITH_LOCK(&lane->lock);
	while (!lane->first && !lane->ending)
		pthread_cond_wait(&lane->wake, &lane->lock);
	struct task *task = lane->first;
	if (task) {
		lane->first = task->next;
		if (!lane->first)
			lane->last = &lane->first;
	}
	return task;
}

static void *work(void *arg)
{
	struct lane *lane = arg;
	struct task *task;

	while ((task = next_task(lane))) {
		task->run(task->arg);
		free(task);
	}
	return NULL;
}

struct lane *lane_new(const char *name, unsigned threads)
{
	struct lane *lane = xcalloc(1, sizeof(*lane));
	sigset_t all, before;

	pthread_mutex_init(&lane->lock, NULL);
	pthread_cond_init(&lane->wake, NULL);
	lane->last = &lane->first;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (lane->count < threads && lane->count < 16) {
		if (pthread_create(&lane->threads[lane->count], NULL, work, lane))
			break;
		pthread_setname_np(lane->threads[lane->count++], name);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (lane->count)
		return lane;
	lane_free(lane);
	return NULL;
}

void lane_post(struct lane *lane, void (*run)(void *arg), void *arg)
{
	struct task *task = xcalloc(1, sizeof(*task));

	task->run = run;
	task->arg = arg;
	pthread_mutex_lock(&lane->lock);
	bool ending = lane->ending;
	if (!ending) {
		*lane->last = task;
		lane->last = &task->next;
		pthread_cond_signal(&lane->wake);
	}
	pthread_mutex_unlock(&lane->lock);
	/* Its threads may be gone; what it owns is given back by its own end. */
	if (ending) {
		run(arg);
		free(task);
	}
}

void lane_end(struct lane *lane)
{
	if (!lane)
		return;
	pthread_mutex_lock(&lane->lock);
	lane->ending = true;
	pthread_cond_broadcast(&lane->wake);
	pthread_mutex_unlock(&lane->lock);
	for (unsigned i = 0; i < lane->count; i++)
		pthread_join(lane->threads[i], NULL);
	lane->count = 0;
}

void lane_free(struct lane *lane)
{
	if (!lane)
		return;
	lane_end(lane);
	pthread_cond_destroy(&lane->wake);
	pthread_mutex_destroy(&lane->lock);
	free(lane);
}
