#include "waiting.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cleanup.h"
#include "err.h"

#define PATIENCE_S 3

struct waiting {
	pthread_t thread;
	char *text;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool hushed; /* lock */
};

static void *waiting_thread(void *arg)
{
	struct waiting *w = arg;
	struct timespec until;
	int late = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	WITH_LOCK(&w->lock);
	while (!w->hushed && late != ETIMEDOUT)
		late = pthread_cond_timedwait(&w->wake, &w->lock, &until);
	/* Under the lock: whoever hushes it may write to the terminal next. */
	if (!w->hushed)
		fprintf(stderr, "slurmount: %s\n", w->text);
	return NULL;
}

static void waiting_free(struct waiting *w)
{
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w->text);
	free(w);
}

struct waiting *waiting_start(const char *text)
{
	struct waiting *w = xcalloc(1, sizeof(*w));

	w->text = xstrdup(text);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	if (pthread_create(&w->thread, NULL, waiting_thread, w)) {
		waiting_free(w);
		return NULL;
	}
	return w;
}

void waiting_hush(struct waiting *w)
{
	if (!w)
		return;
	WITH_LOCK(&w->lock);
	w->hushed = true;
	pthread_cond_signal(&w->wake);
}

void waiting_stop(struct waiting *w)
{
	if (!w)
		return;
	waiting_hush(w);
	pthread_join(w->thread, NULL);
	waiting_free(w);
}
