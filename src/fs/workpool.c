/*
 * The threads that talk to the cluster for work/.
 *
 * Each request is answered exactly once: by the thread that ran it, or by the answering thread, at
 * once where its caller was interrupted, and where its deadline has passed though the call has not
 * come back (or was never begun: all threads may hang in a disk of this machine, with the local
 * transport); the call goes on unheard.  Whoever comes first claims it.
 *
 * libfuse calls interrupted() with the request's own lock held, perhaps from within
 * fuse_req_interrupt_func(); a reply then would free what is locked.  So it only marks the task.  A
 * task is in `tasks` before the function is registered, and `ready` only after: no mark is lost,
 * and nobody answers while the registration is still under way.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "work.h"

/* The call itself ends at its deadline as a rule, and tells more than that. */
#define LATE_MS 250
/* So long a thread may still wait on behalf of a caller who has gone. */
#define SLICE_MS 100

struct work_pool {
	struct fs *fs;
	pthread_t threads[WORK_READERS + 1]; /* the last is the answering one */
	unsigned running;
	pthread_mutex_t lock;
	pthread_cond_t work, marked;
	struct work_task *tasks;         /* lock: all not yet answered */
	struct work_task *first, **last; /* lock: the queue */
	bool stopping;                   /* lock */
	_Atomic bool ending;             /* the same, for who holds another lock */
};

struct work_pool *work_pool_new(struct fs *fs)
{
	struct work_pool *pool = xcalloc(1, sizeof(*pool));
	pthread_condattr_t monotonic;

	pool->fs = fs;
	pool->last = &pool->first;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->marked, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return pool;
}

void work_pool_free(struct work_pool *pool)
{
	if (!pool)
		return;
	pthread_cond_destroy(&pool->marked);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static void task_free(struct work_task *task)
{
	job_unref(task->job);
	work_handle_unref(task->handle);
	free(task->place.path);
	free(task->name);
	free(task);
}

/* Under the lock. */
static bool claim(struct work_pool *pool, struct work_task *task)
{
	if (task->answered)
		return false;
	task->answered = true;
	atomic_store(&task->gone, true);
	if (task->prev)
		task->prev->next = task->next;
	else
		pool->tasks = task->next;
	if (task->next)
		task->next->prev = task->prev;
	return true;
}

bool work_claim(struct work_task *task)
{
	struct work_pool *pool = task->fs->work->pool;

	if (task->direct)
		return true;
	WITH_LOCK(&pool->lock);
	return claim(pool, task);
}

void work_fail(struct work_task *task, int error)
{
	if (work_claim(task))
		fuse_reply_err(task->req, fs_remote_errno(error));
}

int work_wait(struct work_task *task, pthread_cond_t *cond, pthread_mutex_t *lock)
{
	struct work_pool *pool = task->fs->work->pool;
	int64_t now = clock_mono_ms(task->fs->clock);
	int64_t until = now + SLICE_MS < task->deadline ? now + SLICE_MS : task->deadline;
	struct timespec when = {until / 1000, until % 1000 * 1000000};

	if (now >= task->deadline)
		return -ETIMEDOUT; /* the caller tells the transport, under no lock */
	/* An atomic, since no two locks are held at once. */
	if (atomic_load(&task->gone) || atomic_load(&pool->ending))
		return -EINTR;
	pthread_cond_clockwait(cond, lock, CLOCK_MONOTONIC, &when);
	return 0;
}

static void interrupted(fuse_req_t req, void *arg)
{
	struct work_pool *pool = arg;

	WITH_LOCK(&pool->lock);
	for (struct work_task *task = pool->tasks; task; task = task->next)
		if (task->req == req) {
			task->interrupted = true;
			pthread_cond_signal(&pool->marked);
		}
}

void work_pool_run(struct work_pool *pool, struct work_task *task)
{
	pthread_mutex_lock(&pool->lock);
	task->next = pool->tasks;
	if (task->next)
		task->next->prev = task;
	pool->tasks = task;
	pthread_mutex_unlock(&pool->lock);
	fuse_req_interrupt_func(task->req, interrupted, pool);

	WITH_LOCK(&pool->lock);
	task->ready = true;
	*pool->last = task;
	pool->last = &task->queued;
	pthread_cond_signal(&pool->work);
	/* The answering thread waits for the oldest deadline, or for ever where there was no task. */
	if (task->interrupted || !task->next)
		pthread_cond_signal(&pool->marked);
}

/* NULL at the end, once the queue is empty. */
static struct work_task *take(struct work_pool *pool, bool *stopping, bool *answered)
{
	WITH_LOCK(&pool->lock);
	while (!pool->first && !pool->stopping)
		pthread_cond_wait(&pool->work, &pool->lock);
	struct work_task *task = pool->first;
	*stopping = pool->stopping;
	if (!task)
		return NULL;
	*answered = task->answered;
	pool->first = task->queued;
	if (!pool->first)
		pool->last = &pool->first;
	return task;
}

static void *reader_thread(void *arg)
{
	struct work_pool *pool = arg;
	struct work_task *task;
	bool stopping, answered;

	while ((task = take(pool, &stopping, &answered))) {
		bool late = clock_mono_ms(pool->fs->clock) >= task->deadline;

		if (stopping || late)
			work_fail(task, stopping ? -EIO : -ETIMEDOUT);
		else if (!answered)
			task->run(task);
		task_free(task);
	}
	return NULL;
}

/* The first that is to be answered by now, claimed, with how; else when to look again.  Under the
 * lock. */
static bool claim_due(struct work_pool *pool, fuse_req_t *req, int *error, int64_t *next)
{
	int64_t now = clock_mono_ms(pool->fs->clock);

	*next = CLOCK_NEVER;
	for (struct work_task *task = pool->tasks; task; task = task->next) {
		int64_t end = task->deadline + LATE_MS;

		if (task->ready && (task->interrupted || end <= now)) {
			*req = task->req;
			*error = task->interrupted ? EINTR : EIO;
			return claim(pool, task);
		}
		if (end < *next)
			*next = end;
	}
	return false;
}

/* Under the lock: until something is marked, or it is `until`. */
static void await_mark(struct work_pool *pool, int64_t until)
{
	struct timespec when = {until / 1000, until % 1000 * 1000000};

	if (until == CLOCK_NEVER)
		pthread_cond_wait(&pool->marked, &pool->lock);
	else
		pthread_cond_timedwait(&pool->marked, &pool->lock, &when);
}

static void *answering_thread(void *arg)
{
	struct work_pool *pool = arg;
	fuse_req_t req;
	int64_t next;
	int error;

	pthread_mutex_lock(&pool->lock);
	while (!pool->stopping) {
		if (!claim_due(pool, &req, &error, &next)) {
			await_mark(pool, next);
			continue;
		}
		pthread_mutex_unlock(&pool->lock);
		fuse_reply_err(req, error);
		pthread_mutex_lock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

int work_pool_start(struct work_pool *pool)
{
	sigset_t all, before;
	int r = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (!r && pool->running <= WORK_READERS) {
		r = pthread_create(&pool->threads[pool->running], NULL,
			pool->running < WORK_READERS ? reader_thread : answering_thread, pool);
		if (!r)
			pool->running++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

void work_pool_stop(struct work_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	atomic_store(&pool->ending, true);
	pthread_cond_broadcast(&pool->work);
	pthread_cond_broadcast(&pool->marked);
	pthread_mutex_unlock(&pool->lock);
	while (pool->running)
		pthread_join(pool->threads[--pool->running], NULL);
}
