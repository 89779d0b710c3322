/*
 * The one thread that tells the kernel what to forget.  A notification may block on requests that
 * others serve, so it is never sent from a handler nor under a lock.
 *
 * Order for each job: the model moves `shown` on, the kernel forgets, the model lets go of what was
 * shown before.  A job that changes again meanwhile is queued again.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "fs.h"
#include "taskdir.h"

struct news {
	uint64_t serial;
	bool all; /* everything of it, changed or not */
};

struct notifier {
	struct fs *fs;
	pthread_t thread;
	bool running; /* of the starting thread */
	size_t jobs;  /* the thread's: how many there were last */
	uint64_t states; /* the thread's: which of by-state changed in this round, as bits */

	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct news *queue;    /* lock */
	size_t count;          /* lock */
	size_t capacity;       /* lock */
	bool drafts;           /* lock: drafts_take_stale() has something */
	bool stopping;         /* lock */
};

static void queue(struct notifier *n, uint64_t serial, bool all)
{
	WITH_LOCK(&n->lock);
	if (n->stopping)
		return;
	/* The last few only: a whole search would make many changes cost their square. */
	for (size_t i = n->count; i > 0 && i + 8 > n->count; i--)
		if (n->queue[i - 1].serial == serial) {
			n->queue[i - 1].all |= all;
			return;
		}
	if (n->count == n->capacity) {
		n->capacity = n->capacity ? n->capacity * 2 : 64;
		n->queue = xrealloc(n->queue, n->capacity * sizeof(*n->queue));
	}
	n->queue[n->count++] = (struct news){serial, all};
	pthread_cond_signal(&n->wake);
}

static void model_changed(void *arg, uint64_t serial)
{
	queue(arg, serial, false);
}

static void drafts_stale(void *arg)
{
	struct notifier *n = arg;

	WITH_LOCK(&n->lock);
	n->drafts = true;
	pthread_cond_signal(&n->wake);
}

struct notifier *notifier_new(struct fs *fs)
{
	struct notifier *n = xcalloc(1, sizeof(*n));

	n->fs = fs;
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->wake, NULL);
	n->jobs = model_count(fs->model);
	/* Before the engine starts: a change that nobody is told of would not be shown. */
	model_on_change(fs->model, model_changed, n);
	drafts_on_stale(fs->drafts, drafts_stale, n);
	return n;
}

void notifier_again(struct notifier *n, uint64_t serial)
{
	queue(n, serial, true);
}

static bool is_stopping(void *arg)
{
	struct notifier *n = arg;

	WITH_LOCK(&n->lock);
	return n->stopping;
}

/* ---- the thread; an inode that the kernel does not know is fine ---- */

static void forget_data(struct notifier *n, fuse_ino_t ino)
{
	if (!is_stopping(n))
		fuse_lowlevel_notify_inval_inode(n->fs->session, ino, 0, 0);
}

static void forget_attr(struct notifier *n, fuse_ino_t ino)
{
	if (!is_stopping(n))
		fuse_lowlevel_notify_inval_inode(n->fs->session, ino, -1, 0);
}

static void forget_name(struct notifier *n, fuse_ino_t parent, const char *name)
{
	if (!is_stopping(n))
		fuse_lowlevel_notify_inval_entry(n->fs->session, parent, name, strlen(name));
}

static void forget_link(struct notifier *n, uint64_t serial, unsigned part, const char *name)
{
	forget_attr(n, fs_job_ino(serial, part));
	forget_name(n, fs_job_ino(serial, PART_DIR), name);
}

/* A job has left a state, or come to it. */
static void state_changed(struct notifier *n, const struct job *job)
{
	unsigned number = bystate_number(n->fs->bystate, job->state);

	if (number == BYSTATE_MAX)
		return;
	n->states |= UINT64_C(1) << number;
	forget_name(n, bystate_ino(number), job->name);
}

/* Replies that were on their way may have put its link anywhere. */
static void forget_links(struct notifier *n, const struct job *job)
{
	for (unsigned i = 0; i < bystate_count(n->fs->bystate); i++)
		forget_name(n, bystate_ino(i), job->name);
}

static void tell_states(struct notifier *n)
{
	int64_t now_ns = clock_real_ns(n->fs->clock);

	for (unsigned i = 0; i < BYSTATE_MAX; i++)
		if (n->states & UINT64_C(1) << i) {
			bystate_changed(n->fs->bystate, i, now_ns);
			forget_attr(n, bystate_ino(i));
		}
	n->states = 0;
}

static void tell_removed(struct notifier *n)
{
	size_t count;
	AUTO_FREE struct job **gone = model_take_removed(n->fs->model, &count);

	for (size_t i = 0; i < count; i++) {
		state_changed(n, gone[i]);
		job_unref(gone[i]);
	}
	if (count)
		waits_look(n->fs->waits);
}

static void tell_job(struct notifier *n, const struct news *news)
{
	struct model *model = n->fs->model;
	uint64_t serial = news->serial;
	AUTO_JOB struct job *before = model_shown(model, serial);
	bool directory;
	unsigned files = model_advance(model, serial, &directory);
	unsigned changed = files;
	bool state = directory;

	if (news->all) {
		files = HIDE_FILES;
		directory = true;
	}
	for (unsigned file = 0; file < JOB_FILE_COUNT; file++)
		if (files & 1u << file)
			forget_data(n, fs_job_ino(serial, PART_FILE + file));
	/* Where the output goes is a line of info. */
	if (files & 1u << JOB_FILE_INFO) {
		forget_link(n, serial, PART_STDOUT, "stdout");
		forget_link(n, serial, PART_STDERR, "stderr");
	}
	/* The kernel keeps its listing, and of a name that comes it knows nothing that it could forget. */
	if (files || directory)
		forget_data(n, fs_job_ino(serial, PART_DIR));
	AUTO_JOB struct job *now = model_shown(model, serial);
	if (now)
		taskdir_forget(n->fs, before, now, news->all, is_stopping, n);
	bool fresh = model_take_new(model, serial);
	/* All of its files at once: it may have another name. */
	if (!fresh && changed == HIDE_FILES)
		forget_data(n, FIXED_JOBS);
	if (now && (fresh || directory))
		state_changed(n, now);
	if (before && now && strcmp(before->state, now->state))
		state_changed(n, before);
	if (now && news->all)
		forget_links(n, now);
	model_settle(model, serial);
	if (directory)
		waits_look(n->fs->waits);
	if (now && fresh && !now->by_rename)
		announcer_new_job(n->fs->announcer, serial);
	if (now && (changed || state))
		announcer_changed(n->fs->announcer, serial, changed, state);
}

static void tell_jobs(struct notifier *n, const struct news *news, size_t count)
{
	size_t jobs = model_count(n->fs->model);
	bool changed = jobs != n->jobs;

	for (size_t i = 0; i < count && !changed; i++) {
		AUTO_JOB struct job *job = model_latest(n->fs->model, news[i].serial);

		changed = !job;
	}
	if (changed) {
		n->jobs = jobs;
		atomic_store(&n->fs->jobs_ns, clock_real_ns(n->fs->clock));
		forget_attr(n, FIXED_JOBS);
	}
	for (size_t i = 0; i < count; i++)
		tell_job(n, &news[i]);
	tell_removed(n);
	tell_states(n);
}

static void tell_draft(void *arg, const struct draft_stale *stale)
{
	struct notifier *n = arg;

	switch (stale->kind) {
	case DRAFT_STALE_NODE:
		forget_data(n, stale->node | FS_DRAFT_NODE);
		break;
	case DRAFT_STALE_NAME:
		forget_name(n, FIXED_NEW, stale->name);
		announcer_gone_draft(n->fs->announcer, stale->name, stale->serial);
		break;
	case DRAFT_STALE_CHILD:
		forget_name(n, fs_job_ino(stale->serial, PART_DIR), stale->name);
		forget_attr(n, fs_job_ino(stale->serial, PART_DIR));
		break;
	}
}

static void *notifier_thread(void *arg)
{
	struct notifier *n = arg;

	for (;;) {
		pthread_mutex_lock(&n->lock);
		while (!n->stopping && !n->count && !n->drafts)
			pthread_cond_wait(&n->wake, &n->lock);
		AUTO_FREE struct news *news = STEAL(n->queue);
		size_t count = n->count;
		bool drafts = n->drafts, stopping = n->stopping;
		n->count = n->capacity = 0;
		n->drafts = false;
		pthread_mutex_unlock(&n->lock);
		if (stopping)
			return NULL;
		if (drafts)
			drafts_take_stale(n->fs->drafts, tell_draft, n);
		tell_jobs(n, news, count);
	}
}

int notifier_start(struct notifier *n)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&n->thread, NULL, notifier_thread, n);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	n->running = r == 0;
	return -r;
}

void notifier_stop(struct notifier *n)
{
	WITH_LOCK(&n->lock);
	n->stopping = true;
	pthread_cond_signal(&n->wake);
}

bool notifier_join(struct notifier *n)
{
	struct timespec until;

	if (!n->running)
		return true;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 2;
	n->running = pthread_timedjoin_np(n->thread, NULL, &until) != 0;
	return !n->running;
}

void notifier_free(struct notifier *n)
{
	if (!n)
		return;
	pthread_cond_destroy(&n->wake);
	pthread_mutex_destroy(&n->lock);
	free(n->queue);
	free(n);
}
