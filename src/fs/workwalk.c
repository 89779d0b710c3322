/*
 * One who goes through the work/ of one job after the other (find, du, grep -r, a file manager's search).
 *
 * Each of these directories costs two round trips, which no list of ten thousand jobs bears.  So once
 * somebody has opened three in the order of the jobs, the next ones are looked at together, before they
 * are opened.  One that was listed already is only asked for its time; where that is still the same the
 * kernel keeps the listing it has.  A look is good for WORK_AGE_MS: what is shown is no older than that.
 *
 * Times there are whole seconds: a directory that had changed within two of them before it was listed is
 * listed again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "work.h"

#define BUCKETS 4096
#define STREAK_MS 3000
#define STREAK_MIN 3
#define AHEAD_FIRST 16
#define AHEAD_MAX 256 /* directories open there at once */
#define SETTLED_NS INT64_C(2000000000)

enum state { NOTHING, ASKED, READY };

struct look { /* under the lock, as all below */
	struct look *next;
	struct work_walk *walk; /* set once */
	uint64_t serial;        /* set once */
	enum state state;
	unsigned ahead; /* the number of the walk for which it was looked at and not opened yet; or 0 */
	bool unchanged; /* READY: as it was listed */
	int64_t looked_ms;
	int64_t time_ns; /* its own, as looked at; ABSENT */
	bool settled;
	/* What the kernel was given, under which time. */
	bool listed;
	int64_t listed_ns;
	/* READY, until it is taken: */
	struct work_item *items;
	size_t count;
};
#define ABSENT INT64_C(-2)
#define UNKNOWN INT64_C(-1)

struct work_walk {
	struct fs *fs;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct look *table[BUCKETS];
	bool off; /* the transport has nothing to save */
	uint64_t last, edge; /* the job opened last; up to which they were looked at */
	int64_t last_ms;
	unsigned number; /* of the walk, from 1 */
	unsigned streak, ahead, batch;
	unsigned opened; /* in this walk, since: */
	int64_t since_ms;
};

struct work_walk *work_walk_new(struct fs *fs)
{
	struct work_walk *walk = xcalloc(1, sizeof(*walk));

	walk->fs = fs;
	pthread_mutex_init(&walk->lock, NULL);
	pthread_cond_init(&walk->changed, NULL);
	return walk;
}

static void drop_items(struct look *look)
{
	work_items_free(STEAL(look->items), look->count);
	look->count = 0;
}

void work_walk_free(struct work_walk *walk)
{
	if (!walk)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		while (walk->table[i]) {
			struct look *look = walk->table[i];

			walk->table[i] = look->next;
			drop_items(look);
			free(look);
		}
	pthread_cond_destroy(&walk->changed);
	pthread_mutex_destroy(&walk->lock);
	free(walk);
}

/* ---- under the lock ---- */

static struct look *find(struct work_walk *walk, uint64_t serial)
{
	struct look *look = walk->table[serial % BUCKETS];

	while (look && look->serial != serial)
		look = look->next;
	return look;
}

static struct look *find_or_add(struct work_walk *walk, uint64_t serial)
{
	struct look *look = find(walk, serial);

	if (look)
		return look;
	look = xcalloc(1, sizeof(*look));
	look->walk = walk;
	look->serial = serial;
	look->next = walk->table[serial % BUCKETS];
	walk->table[serial % BUCKETS] = look;
	return look;
}

static bool is_young(const struct look *look)
{
	return look->state == READY &&
		clock_mono_ms(look->walk->fs->clock) - look->looked_ms <= WORK_AGE_MS;
}

/* It is opened now, or comes too late. */
static void no_longer_ahead(struct look *look)
{
	if (look->ahead && look->ahead == look->walk->number)
		look->walk->ahead--;
	look->ahead = 0;
}

/* Nothing that was looked at counts any more. */
static void begin_walk(struct work_walk *walk, uint64_t serial)
{
	walk->number++;
	walk->edge = serial;
	walk->ahead = walk->opened = 0;
	walk->batch = AHEAD_FIRST;
	walk->since_ms = clock_mono_ms(walk->fs->clock);
}

/* How many more are to be looked at, now that this one is opened: as many as are opened in half the time
 * for which a look is good. */
static size_t note_opening(struct work_walk *walk, uint64_t serial)
{
	int64_t now_ms = clock_mono_ms(walk->fs->clock);
	struct look *look = find(walk, serial);

	if (serial <= walk->last || now_ms - walk->last_ms > STREAK_MS) {
		walk->streak = 0;
		begin_walk(walk, serial);
	} else if (look && look->ahead == walk->number && look->state == READY && !is_young(look)) {
		begin_walk(walk, serial);
	}
	walk->streak++;
	walk->opened++;
	walk->last = serial;
	walk->last_ms = now_ms;
	if (walk->edge < serial)
		walk->edge = serial;
	if (walk->streak < STREAK_MIN || walk->off || walk->ahead > walk->batch / 2)
		return 0;
	int64_t fits = (int64_t)walk->opened * (WORK_AGE_MS / 2) / (now_ms - walk->since_ms + 1);
	walk->batch = fits > AHEAD_MAX ? AHEAD_MAX : fits > AHEAD_FIRST ? (unsigned)fits : AHEAD_FIRST;
	return walk->batch > walk->ahead ? walk->batch - walk->ahead : 0;
}

/* ---- looking ---- */

static void keep_listing(struct look *look, const struct remote_looked *looked)
{
	const char *name = looked->names;

	look->items = xcalloc(looked->count + 1, sizeof(*look->items));
	for (size_t i = 0; i < looked->count; i++) {
		if (work_name_is_shown(name, true))
			look->items[look->count++] = (struct work_item){xstrdup(name), looked->entries[i]};
		name += strlen(name) + 1;
	}
}

/* remote_looked_fn */
static void looked_at(void *arg, const struct remote_looked *looked)
{
	struct look *look = arg;
	struct work_walk *walk = look->walk;
	int64_t now_ns = clock_real_ns(walk->fs->clock);
	bool absent = looked->result == -ENOENT;

	WITH_LOCK(&walk->lock);
	drop_items(look);
	look->looked_ms = clock_mono_ms(walk->fs->clock);
	look->state = looked->result == 0 || absent ? READY : NOTHING;
	look->time_ns = absent ? ABSENT : looked->self.mtime_ns;
	look->settled = absent || now_ns - looked->self.mtime_ns > SETTLED_NS;
	look->unchanged = absent ? look->listed && look->listed_ns == ABSENT : looked->unchanged;
	if (look->state == READY && !look->unchanged)
		keep_listing(look, looked);
	if (look->state == NOTHING)
		no_longer_ahead(look);
	pthread_cond_broadcast(&walk->changed);
}

/* Looks at a job's directory, unless that is under way or young. */
static void look_at(struct work_walk *walk, const struct job *job)
{
	int64_t known = UNKNOWN;

	pthread_mutex_lock(&walk->lock);
	struct look *look = find_or_add(walk, job->serial);
	bool ask = look->state != ASKED && !is_young(look) && *job->workdir;
	if (ask) {
		no_longer_ahead(look);
		look->state = ASKED;
		look->ahead = walk->number;
		walk->ahead++;
		known = look->listed ? look->listed_ns : UNKNOWN;
	}
	walk->edge = job->serial;
	pthread_mutex_unlock(&walk->lock);
	if (!ask || remote_look(walk->fs->remote, job->workdir, known, looked_at, look) == 0)
		return;
	WITH_LOCK(&walk->lock);
	walk->off = true;
	look->state = NOTHING;
	no_longer_ahead(look);
}

static void look_ahead(struct work_walk *walk, size_t count)
{
	struct job *jobs[AHEAD_MAX];

	pthread_mutex_lock(&walk->lock);
	uint64_t after = walk->edge;
	pthread_mutex_unlock(&walk->lock);
	size_t n = model_list(walk->fs->model, after, jobs, count);
	for (size_t i = 0; i < n; i++) {
		look_at(walk, jobs[i]);
		job_unref(jobs[i]);
	}
}

enum work_walked work_walk_open(struct work_walk *walk, uint64_t serial, bool *keep)
{
	pthread_mutex_lock(&walk->lock);
	size_t count = note_opening(walk, serial);
	pthread_mutex_unlock(&walk->lock);
	if (count)
		look_ahead(walk, count);
	*keep = false;
	WITH_LOCK(&walk->lock);
	if (walk->streak < STREAK_MIN || walk->off)
		return WORK_WALKED_NOT;
	struct look *look = find_or_add(walk, serial);
	if (look->state == ASKED)
		return WORK_WALKED_SOON;
	no_longer_ahead(look);
	*keep = is_young(look) && look->unchanged;
	return WORK_WALKED;
}

bool work_walk_await(struct work_walk *walk, struct work_task *task)
{
	int r = 0;

	pthread_mutex_lock(&walk->lock);
	struct look *look = find_or_add(walk, task->place.serial);
	while (look->state == ASKED && r == 0)
		r = work_wait(task, &walk->changed, &walk->lock);
	no_longer_ahead(look);
	bool keep = is_young(look) && look->unchanged;
	pthread_mutex_unlock(&walk->lock);
	if (r == -ETIMEDOUT)
		remote_is_late(walk->fs->remote);
	return keep;
}

bool work_walk_take(struct work_walk *walk, uint64_t serial, struct work_item **items, size_t *count)
{
	WITH_LOCK(&walk->lock);
	struct look *look = find(walk, serial);

	if (!look)
		return false;
	bool there = is_young(look) && look->items;
	look->listed = there && look->settled;
	look->listed_ns = look->time_ns;
	if (!there)
		return false;
	*items = STEAL(look->items);
	*count = look->count;
	look->count = 0;
	return true;
}
