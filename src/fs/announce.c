/*
 * Telling programs that watch the mount (inotify): the kernel says nothing of what a file system
 * changes by itself, only of what is asked of it.  So one thread makes the calls of a user through the
 * mount itself, and its handlers, who know the thread by its id, answer without doing anything:
 *
 *   a job's file changed      its modification time is set: MODIFY
 *   its directory changed     both times are set: ATTRIB
 *   a job came into being     mkdir jobs/NAME: CREATE
 *   a draft became a job      rmdir jobs/new/NAME, or unlink for a loose file: DELETE
 *
 * What a user does (mv jobs/new/X jobs/X, rmdir jobs/X) the kernel itself announces.
 *
 * A mkdir needs a name that is not there, a rmdir one that is; so before each of the two the kernel
 * forgets the name, and the thread's own look-up is answered as the call needs it.  The directory
 * that it removes is a ghost with an inode of its own, used once: the kernel declares a removed
 * directory's inode dead, and the draft's is the job's.  The kernel holds jobs/new locked from that
 * look-up to the answer, so a draft of that name either is there before, and is seen, or comes after.
 *
 * By path, not through a descriptor kept open, which would make the mount busy for ever; and only
 * where that path still leads into this mount.  One call at a time, with pauses, since each makes the
 * mount busy for some microseconds.  The same thing waiting twice is said once, and only of files
 * that the kernel has (a watched one is never forgotten).
 *
 * While a call is in the kernel the workers of the session must live, or it never returns: so the
 * thread is stopped and joined before anything else ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "err.h"
#include "fs.h"
#include "jobfile.h"
#include "log.h"
#include "mount.h"

/* So many calls at once after a rest, then one in so many milliseconds. */
#define BURST 64
#define PACE_MS 2
#define EVENTS_MS 250 /* the file events changes with every state: no more often than this */
#define TRIES 5
#define GHOST_NODE (FS_STATE_NODE | UINT64_C(1) << 49) /* no serial comes so far */

#define PARTS (PART_FILE + JOB_FILE_COUNT) /* the directory and its files */

enum { SAY_CHANGED, SAY_NEW, SAY_GONE };

/* What the kernel has of a job, and what of that is to be announced. */
struct known {
	struct known *next;       /* in its slot */
	uint64_t serial;
	uint32_t lookups[PARTS];
	unsigned pending;         /* parts, as bits; in the queue if any */
};

struct call {
	struct call *next;
	int what;
	uint64_t serial; /* 0: SAY_CHANGED, the file events; SAY_GONE, a loose file */
	char *name;      /* SAY_GONE */
};

struct announcer {
	struct fs *fs;
	pthread_t thread;
	bool running;               /* the stopping threads', in turn */
	dev_t device;               /* the thread's */
	uint64_t ghosts;            /* the thread's */
	unsigned burst;             /* the thread's: calls left of it */
	int64_t last_ms;            /* the thread's */
	_Atomic pid_t tid;          /* 0 until the thread runs */

	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct known **slots;       /* lock; by serial */
	size_t slot_count;          /* lock; a power of two, or 0 */
	size_t count;               /* lock */
	struct call *first, **last; /* lock */
	bool events;                /* lock: the file events changed, too */
	int64_t events_ms;          /* lock: when that is to be said */
	bool stopping;              /* lock */
	/* The call that is under way, which only its own thread's requests ask for. */
	int what;                   /* lock */
	const char *name;           /* lock; of an entry that is made or removed, else NULL */
	fuse_ino_t ghost;           /* lock; SAY_GONE */
	bool directory;             /* lock; SAY_GONE */
};

struct announcer *announcer_new(struct fs *fs)
{
	struct announcer *a = xcalloc(1, sizeof(*a));
	pthread_condattr_t monotonic;

	a->fs = fs;
	a->last = &a->first;
	a->burst = BURST;
	pthread_mutex_init(&a->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&a->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return a;
}

static void call_free(struct call *call)
{
	if (call)
		free(call->name);
	free(call);
}

void announcer_free(struct announcer *a)
{
	if (!a)
		return;
	for (struct call *call = a->first, *next; call; call = next) {
		next = call->next;
		call_free(call);
	}
	for (size_t i = 0; i < a->slot_count; i++)
		for (struct known *k = a->slots[i], *next; k; k = next) {
			next = k->next;
			free(k);
		}
	free(a->slots);
	pthread_cond_destroy(&a->wake);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

/* ---- what the kernel has; under the lock ---- */

static struct known **slot_of(const struct announcer *a, uint64_t serial)
{
	/* Serials count up: their low bits spread well. */
	return &a->slots[serial & (a->slot_count - 1)];
}

/* Where the job's entry hangs, or would. */
static struct known **find(const struct announcer *a, uint64_t serial)
{
	struct known **at = slot_of(a, serial);

	while (*at && (*at)->serial != serial)
		at = &(*at)->next;
	return at;
}

static void grow(struct announcer *a)
{
	size_t before = a->slot_count;
	struct known **old = a->slots;

	if (a->count < before)
		return;
	a->slot_count = before ? before * 2 : 64;
	a->slots = xcalloc(a->slot_count, sizeof(struct known *));
	for (size_t i = 0; i < before; i++)
		for (struct known *k = old[i], *next; k; k = next) {
			struct known **at = slot_of(a, k->serial);

			next = k->next;
			k->next = *at;
			*at = k;
		}
	free(old);
}

void announcer_given(struct announcer *a, fuse_ino_t ino)
{
	unsigned part = fs_part(ino);

	if (part >= PARTS)
		return;
	WITH_LOCK(&a->lock);
	grow(a);
	struct known **at = find(a, fs_serial(ino));
	if (!*at) {
		*at = xcalloc(1, sizeof(**at));
		(*at)->serial = fs_serial(ino);
		a->count++;
	}
	(*at)->lookups[part]++;
}

void announcer_forgotten(struct announcer *a, fuse_ino_t ino, uint64_t nlookup)
{
	unsigned part = fs_part(ino);

	WITH_LOCK(&a->lock);
	struct known **at = a->slot_count && part < PARTS ? find(a, fs_serial(ino)) : NULL;
	struct known *k = at ? *at : NULL;
	if (!k)
		return;
	/* Some were counted while the directory was a draft's. */
	k->lookups[part] = nlookup < k->lookups[part] ? k->lookups[part] - (uint32_t)nlookup : 0;
	for (unsigned i = 0; i < PARTS; i++)
		if (k->lookups[i])
			return;
	*at = k->next;
	a->count--;
	free(k);
}

/* ---- what is to be said ---- */

/* Under the lock. */
static void queue(struct announcer *a, struct call call)
{
	struct call *copy = xmalloc(sizeof(*copy));

	*copy = call;
	*a->last = copy;
	a->last = &copy->next;
	pthread_cond_signal(&a->wake);
}

void announcer_changed(struct announcer *a, uint64_t serial, unsigned files, bool directory)
{
	unsigned parts = (files & HIDE_FILES) << PART_FILE | (directory ? 1u << PART_DIR : 0);

	WITH_LOCK(&a->lock);
	struct known *k = a->slot_count ? *find(a, serial) : NULL;
	for (unsigned i = 0; i < PARTS; i++)
		if (!k || !k->lookups[i])
			parts &= ~(1u << i);
	if (!parts || a->stopping)
		return;
	if (!k->pending)
		queue(a, (struct call){.what = SAY_CHANGED, .serial = serial});
	k->pending |= parts;
}

void announcer_new_job(struct announcer *a, uint64_t serial)
{
	WITH_LOCK(&a->lock);
	if (!a->stopping)
		queue(a, (struct call){.what = SAY_NEW, .serial = serial});
}

void announcer_gone_draft(struct announcer *a, const char *name, uint64_t serial)
{
	WITH_LOCK(&a->lock);
	if (!a->stopping)
		queue(a, (struct call){.what = SAY_GONE, .serial = serial, .name = xstrdup(name)});
}

void announcer_events(struct announcer *a)
{
	WITH_LOCK(&a->lock);
	if (a->stopping || a->events)
		return;
	a->events = true;
	pthread_cond_signal(&a->wake);
}

/* ---- its own requests ---- */

static bool is_ours(const struct fs *fs, fuse_req_t req)
{
	pid_t tid = atomic_load(&fs->announcer->tid);

	return tid && fuse_req_ctx(req)->pid == tid;
}

/* Whether the call under way is of that kind and name; its ghost. */
static bool is_call(struct announcer *a, int what, const char *name, struct fuse_entry_param *ghost)
{
	WITH_LOCK(&a->lock);
	if (a->what != what || !a->name || strcmp(a->name, name) != 0)
		return false;
	if (ghost) {
		struct stat attr;

		fs_attr(a->fs, a->ghost, a->directory ? S_IFDIR | 0755 : S_IFREG | 0644, 0,
			a->fs->started_ns, &attr);
		*ghost = fs_entry(&attr, 1);
	}
	return true;
}

/* Dropped again meanwhile: nothing is removed that is really there. */
static bool is_in_new(const struct fs *fs, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/new/%s", fs->spool, name);
	struct stat st;

	return lstat(path, &st) == 0;
}

bool announcer_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fuse_req_userdata(req);
	struct fuse_entry_param ghost;

	if (!is_ours(fs, req))
		return false;
	if (parent == FIXED_JOBS && is_call(fs->announcer, SAY_NEW, name, NULL)) {
		fuse_reply_err(req, ENOENT);
		return true;
	}
	if (parent == FIXED_NEW && is_call(fs->announcer, SAY_GONE, name, &ghost) &&
		!is_in_new(fs, name)) {
		fuse_reply_entry(req, &ghost);
		return true;
	}
	return false;
}

bool announcer_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fuse_req_userdata(req);

	if (!is_ours(fs, req))
		return false;
	AUTO_JOB struct job *job = parent == FIXED_JOBS &&
			is_call(fs->announcer, SAY_NEW, name, NULL)
		? model_shown_by_name(fs->model, name)
		: NULL;
	if (job)
		jobdir_reply_entry(req, job);
	else
		fuse_reply_err(req, EPERM);
	return true;
}

bool announcer_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fuse_req_userdata(req);

	if (!is_ours(fs, req))
		return false;
	bool gone = parent == FIXED_NEW && is_call(fs->announcer, SAY_GONE, name, NULL) &&
		!is_in_new(fs, name);
	fuse_reply_err(req, gone ? 0 : EPERM);
	return true;
}

bool announcer_setattr(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fuse_req_userdata(req);

	if (!is_ours(fs, req))
		return false;
	/* The answer to both is the attributes, and they stay what they are. */
	fs_ops(fs, ino)->getattr(req, ino, NULL);
	return true;
}

/* ---- the thread ---- */

static bool is_stopping(struct announcer *a)
{
	WITH_LOCK(&a->lock);
	return a->stopping;
}

/* Up to so long, or until it is woken; under the lock. */
static int wait_for(struct announcer *a, int64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += ms % 1000 * 1000000;
	until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	return pthread_cond_timedwait(&a->wake, &a->lock, &until);
}

static void rest(struct announcer *a)
{
	WITH_LOCK(&a->lock);
	while (!a->stopping && wait_for(a, PACE_MS) != ETIMEDOUT)
		;
}

/* Before each call; false at the end. */
static bool pace(struct announcer *a)
{
	int64_t now_ms = clock_mono_ms(a->fs->clock);

	if (now_ms - a->last_ms >= BURST * PACE_MS)
		a->burst = BURST;
	if (a->burst)
		a->burst--;
	else
		rest(a);
	a->last_ms = clock_mono_ms(a->fs->clock);
	return !is_stopping(a);
}

/* The mount's own root, or -1 where it is not mounted there any more. */
static int open_root(const struct announcer *a)
{
	int root AUTO_CLOSE = open(a->fs->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (root < 0 || !a->device || fstat(root, &st) || st.st_dev != a->device)
		return -1;
	return steal_fd(&root);
}

static void say_changed(struct announcer *a, const char *path, bool directory)
{
	static const struct timespec both[2];
	static const struct timespec modified[2] = {{.tv_nsec = UTIME_OMIT}};

	if (!pace(a))
		return;
	int root AUTO_CLOSE = open_root(a);
	if (root >= 0)
		utimensat(root, path, directory ? both : modified, AT_SYMLINK_NOFOLLOW);
}

static void say_job_changed(struct announcer *a, uint64_t serial)
{
	AUTO_JOB struct job *job = model_shown(a->fs->model, serial);
	unsigned pending = 0;

	pthread_mutex_lock(&a->lock);
	struct known *k = *find(a, serial);
	if (k) {
		pending = k->pending;
		k->pending = 0;
	}
	pthread_mutex_unlock(&a->lock);
	for (unsigned part = 0; job && part < PARTS; part++) {
		if (!(pending & 1u << part))
			continue;
		AUTO_FREE char *path = part == PART_DIR ? xasprintf("jobs/%s", job->name)
			: xasprintf("jobs/%s/%s", job->name,
				jobfile_name((enum job_file)(part - PART_FILE)));
		say_changed(a, path, part == PART_DIR);
	}
}

/* What the thread's requests are answered by from now on; `name` NULL: nothing special. */
static void begin(struct announcer *a, int what, const char *name, bool directory)
{
	WITH_LOCK(&a->lock);
	a->what = what;
	a->name = name;
	a->directory = directory;
	a->ghost = GHOST_NODE | ++a->ghosts;
}

static void forget_name(struct announcer *a, fuse_ino_t parent, const char *name)
{
	fuse_lowlevel_notify_inval_entry(a->fs->session, parent, name, strlen(name));
}

static void say_new(struct announcer *a, const struct call *call)
{
	AUTO_JOB struct job *job = model_shown(a->fs->model, call->serial);

	if (!job || !pace(a))
		return;
	int root AUTO_CLOSE = open_root(a);
	if (root < 0)
		return;
	AUTO_FREE char *path = xasprintf("jobs/%s", job->name);
	begin(a, SAY_NEW, job->name, true);
	/* Others may look the name up between the two. */
	for (int i = 0; i < TRIES; i++) {
		forget_name(a, FIXED_JOBS, job->name);
		if (mkdirat(root, path, 0755) == 0 || errno != EEXIST)
			break;
	}
	begin(a, SAY_CHANGED, NULL, false);
}

static void say_gone(struct announcer *a, const struct call *call)
{
	if (!pace(a))
		return;
	int root AUTO_CLOSE = open_root(a);
	if (root < 0 || is_in_new(a->fs, call->name))
		return;
	AUTO_FREE char *path = xasprintf("jobs/new/%s", call->name);
	begin(a, SAY_GONE, call->name, call->serial != 0);
	forget_name(a, FIXED_NEW, call->name);
	unlinkat(root, path, call->serial ? AT_REMOVEDIR : 0);
	begin(a, SAY_CHANGED, NULL, false);
}

static void say(struct announcer *a, const struct call *call)
{
	if (call->what == SAY_NEW)
		say_new(a, call);
	else if (call->what == SAY_GONE)
		say_gone(a, call);
	else if (call->serial)
		say_job_changed(a, call->serial);
	else
		say_changed(a, "events", false);
}

/* What is next, NULL at the end.  events has its own time, so that it is not said with each line. */
static struct call *take(struct announcer *a)
{
	WITH_LOCK(&a->lock);
	while (!a->stopping) {
		int64_t left = a->events ? a->events_ms - clock_mono_ms(a->fs->clock) : 0;
		struct call *call = a->first;

		if (a->events && left <= 0) {
			a->events = false;
			a->events_ms = clock_mono_ms(a->fs->clock) + EVENTS_MS;
			return xcalloc(1, sizeof(*call));
		}
		if (call) {
			a->first = call->next;
			if (!a->first)
				a->last = &a->first;
			return call;
		}
		if (a->events)
			wait_for(a, left);
		else
			pthread_cond_wait(&a->wake, &a->lock);
	}
	return NULL;
}

static void find_device(struct announcer *a)
{
	char text[MOUNT_DEVICE_SIZE];
	unsigned major, minor;

	mount_device(a->fs->mountpoint, text);
	if (sscanf(text, "%u:%u", &major, &minor) == 2)
		a->device = makedev(major, minor);
	else
		log_info("the mount is not in the kernel's table: who watches it is told nothing");
}

static void *announcer_thread(void *arg)
{
	struct announcer *a = arg;
	struct call *call;

	find_device(a);
	atomic_store(&a->tid, gettid());
	while ((call = take(a))) {
		say(a, call);
		call_free(call);
	}
	return NULL;
}

int announcer_start(struct announcer *a)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&a->thread, NULL, announcer_thread, a);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	a->running = r == 0;
	return -r;
}

bool announcer_stop(struct announcer *a)
{
	struct timespec until;

	pthread_mutex_lock(&a->lock);
	a->stopping = true;
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
	if (!a->running)
		return true;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 5;
	a->running = pthread_timedjoin_np(a->thread, NULL, &until) != 0;
	return !a->running;
}
