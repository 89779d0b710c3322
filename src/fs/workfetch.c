/*
 * Small files of work/ that are read before they are asked for.
 *
 * Over a line of 40 ms a file that is opened by itself costs three round trips: `cp -r` of a thousand
 * takes two minutes.  So once somebody has listed a directory and opens a second small file of it, the
 * next of the listing are fetched together, some more each time, and always before they are needed.
 *
 * What is given out of that is never older than what reading ahead in one file gives (WORK_AGE_MS), and
 * it is the content of one moment: size and time are the same before and behind it (remote_fetch()).
 * Only names that were listed as files are asked for, and the transport opens no link.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "err.h"
#include "work.h"

#define LISTINGS 4
#define NAMES_MAX 100000
#define NAMES_MIN 3       /* fewer are not worth it */
#define STREAK_MS 3000    /* between two openings of one who goes through a directory */
#define BATCH_FIRST 16
#define BATCH_MAX 512
#define BATCH_BYTES (4u << 20)

enum state { NOTHING, ASKED, READY };

struct entry {
	const char *name; /* of the listing's text */
	uint64_t size;    /* as listed */
	struct remote_attr attr;
	struct work_bytes *bytes; /* READY, until it is taken */
	int64_t read_ms;
	enum state state;
};

/* All under the lock of struct work_fetch, but for the names. */
struct listing {
	unsigned references;
	uint64_t serial;
	char *dir;
	char *text; /* the names, each with its NUL */
	struct entry *entries;
	size_t count;
	uint32_t *slots; /* open hash: an entry's number and 1, 0 for free */
	size_t mask;
	size_t next;  /* the first behind those that were asked for */
	size_t ahead; /* asked for or there, and not taken */
	size_t batch;
	unsigned streak;
	int64_t opened_ms;
};

struct work_fetch {
	struct fs *fs;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct listing *listings[LISTINGS]; /* lock; the latest first */
	bool off;                           /* lock: the transport has nothing to save */
};

/* One call of remote_fetch(). */
struct batch {
	struct work_fetch *fetch;
	struct listing *listing; /* a reference */
	size_t *at;
	char **paths;
	size_t count, left;
};

void work_bytes_unref(struct work_bytes *bytes)
{
	if (bytes && atomic_fetch_sub(&bytes->references, 1) == 1)
		free(bytes);
}

struct work_fetch *work_fetch_new(struct fs *fs)
{
	struct work_fetch *fetch = xcalloc(1, sizeof(*fetch));

	fetch->fs = fs;
	pthread_mutex_init(&fetch->lock, NULL);
	pthread_cond_init(&fetch->changed, NULL);
	return fetch;
}

/* ---- under the lock ---- */

static void unref(struct listing *l)
{
	if (!l || --l->references)
		return;
	for (size_t i = 0; i < l->count; i++)
		work_bytes_unref(l->entries[i].bytes);
	free(l->entries);
	free(l->slots);
	free(l->text);
	free(l->dir);
	free(l);
}

static bool is_young(const struct entry *e, int64_t now_ms)
{
	return e->state == READY && now_ms - e->read_ms <= WORK_AGE_MS;
}

static void forget(struct listing *l, struct entry *e)
{
	if (e->bytes)
		l->ahead--;
	work_bytes_unref(STEAL(e->bytes));
	e->state = NOTHING;
}

static size_t hash(const char *name)
{
	uint64_t value = UINT64_C(14695981039346656037);

	for (; *name; name++)
		value = (value ^ (unsigned char)*name) * UINT64_C(1099511628211);
	return (size_t)(value ^ value >> 29);
}

/* The listing that has the path, and where in it; NULL: none has. */
static struct listing *find(struct work_fetch *fetch, uint64_t serial, const char *path, size_t *at)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	size_t dir_len = slash ? (size_t)(slash - path) : 0;

	for (size_t i = 0; i < LISTINGS && fetch->listings[i]; i++) {
		struct listing *l = fetch->listings[i];

		if (l->serial != serial || strncmp(l->dir, path, dir_len) || l->dir[dir_len])
			continue;
		for (size_t n = hash(name) & l->mask; l->slots[n]; n = (n + 1) & l->mask) {
			*at = l->slots[n] - 1;
			if (!strcmp(l->entries[*at].name, name))
				return l;
		}
	}
	return NULL;
}

/* ---- listings ---- */

static bool is_small(const struct work_item *item)
{
	return S_ISREG(item->attr.mode) && item->attr.size <= WORK_SMALL;
}

static void add_name(struct listing *l, const char *name, uint64_t size)
{
	size_t at = hash(name) & l->mask;

	while (l->slots[at])
		at = (at + 1) & l->mask;
	l->entries[l->count++] = (struct entry){.name = name, .size = size};
	l->slots[at] = (uint32_t)l->count;
}

static struct listing *listing_new(uint64_t serial, const char *dir, const struct work_item *items,
	size_t count)
{
	struct listing *l = xcalloc(1, sizeof(*l));
	size_t small = 0, length = 0;

	for (size_t i = 0; i < count; i++)
		if (is_small(&items[i]) && small < NAMES_MAX) {
			small++;
			length += strlen(items[i].name) + 1;
		}
	if (small < NAMES_MIN) {
		free(l);
		return NULL;
	}
	l->references = 1;
	l->serial = serial;
	l->dir = xstrdup(dir);
	l->text = xmalloc(length);
	l->entries = xcalloc(small, sizeof(*l->entries));
	l->batch = BATCH_FIRST;
	l->mask = 2;
	while (l->mask < 2 * small)
		l->mask *= 2;
	l->slots = xcalloc(l->mask--, sizeof(*l->slots));
	char *text = l->text;
	for (size_t i = 0; l->count < small; i++)
		if (is_small(&items[i])) {
			strcpy(text, items[i].name);
			add_name(l, text, items[i].attr.size);
			text += strlen(text) + 1;
		}
	return l;
}

/* Under the lock: takes over `l` (may be NULL) in place of what was known of that directory. */
static void replace(struct work_fetch *fetch, uint64_t serial, const char *dir, struct listing *l)
{
	struct listing *kept[LISTINGS + 1] = {l};
	size_t n = l != NULL;

	for (size_t i = 0; i < LISTINGS && fetch->listings[i]; i++) {
		struct listing *old = fetch->listings[i];

		if (n < LISTINGS && (old->serial != serial || strcmp(old->dir, dir) != 0))
			kept[n++] = old;
		else
			unref(old);
	}
	for (size_t i = 0; i < LISTINGS; i++)
		fetch->listings[i] = i < n ? kept[i] : NULL;
}

void work_fetch_listed(struct work_fetch *fetch, uint64_t serial, const char *dir,
	const struct work_item *items, size_t count)
{
	struct listing *l = listing_new(serial, dir, items, count);

	WITH_LOCK(&fetch->lock);
	replace(fetch, serial, dir, l);
}

void work_fetch_free(struct work_fetch *fetch)
{
	if (!fetch)
		return;
	for (size_t i = 0; i < LISTINGS; i++)
		unref(fetch->listings[i]);
	pthread_cond_destroy(&fetch->changed);
	pthread_mutex_destroy(&fetch->lock);
	free(fetch);
}

/* ---- batches ---- */

static void batch_free(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		free(b->paths[i]);
	free(b->paths);
	free(b->at);
	free(b);
}

/* remote_fetched_fn */
static void fetched(void *arg, size_t index, int result, const struct remote_attr *attr,
	const char *bytes, size_t len)
{
	struct batch *b = arg;
	struct work_fetch *fetch = b->fetch;
	int64_t now_ms = clock_mono_ms(fetch->fs->clock);
	struct work_bytes *copy = NULL;

	if (result == 0) {
		copy = xmalloc(sizeof(*copy) + len);
		atomic_init(&copy->references, 1);
		copy->attr = *attr;
		copy->read_ms = now_ms;
		copy->len = len;
		if (len)
			memcpy(copy->bytes, bytes, len);
	}
	pthread_mutex_lock(&fetch->lock);
	struct entry *e = &b->listing->entries[b->at[index]];
	e->state = copy ? READY : NOTHING;
	e->read_ms = now_ms;
	e->bytes = copy;
	if (copy)
		e->attr = *attr;
	else
		b->listing->ahead--;
	bool last = !--b->left;
	if (last)
		unref(b->listing);
	pthread_cond_broadcast(&fetch->changed);
	pthread_mutex_unlock(&fetch->lock);
	if (last)
		batch_free(b);
}

/* Under the lock: the next to be fetched from `from` on, or NULL. */
static struct batch *gather(struct work_fetch *fetch, struct listing *l, size_t from,
	const char *workdir)
{
	struct batch *b = xcalloc(1, sizeof(*b));
	int64_t now_ms = clock_mono_ms(fetch->fs->clock);
	uint64_t bytes = 0;

	b->fetch = fetch;
	b->at = xcalloc(l->batch, sizeof(*b->at));
	b->paths = xcalloc(l->batch, sizeof(*b->paths));
	for (l->next = from; l->next < l->count && b->count < l->batch && bytes < BATCH_BYTES; l->next++) {
		struct entry *e = &l->entries[l->next];

		if (e->state == ASKED || is_young(e, now_ms))
			continue;
		forget(l, e);
		e->state = ASKED;
		l->ahead++;
		b->at[b->count] = l->next;
		b->paths[b->count++] = *l->dir ? xasprintf("%s/./%s/%s", workdir, l->dir, e->name)
					       : xasprintf("%s/./%s", workdir, e->name);
		bytes += e->size;
	}
	if (!b->count) {
		batch_free(b);
		return NULL;
	}
	b->left = b->count;
	b->listing = l;
	l->references++;
	l->batch = l->batch * 4 < BATCH_MAX ? l->batch * 4 : BATCH_MAX;
	return b;
}

/* Under no lock. */
static void begin(struct work_fetch *fetch, struct batch *b)
{
	if (!b)
		return;
	if (remote_fetch(fetch->fs->remote, (const char *const *)b->paths, b->count, WORK_SMALL,
		    fetched, b) == 0)
		return;
	pthread_mutex_lock(&fetch->lock);
	fetch->off = true;
	for (size_t i = 0; i < b->count; i++)
		b->listing->entries[b->at[i]].state = NOTHING;
	b->listing->ahead -= b->count;
	unref(b->listing);
	pthread_mutex_unlock(&fetch->lock);
	batch_free(b);
}

/* Under the lock: what is to be fetched now that the file `at` is opened. */
static struct batch *plan(struct work_fetch *fetch, struct listing *l, size_t at, const char *workdir)
{
	int64_t now_ms = clock_mono_ms(fetch->fs->clock);
	struct entry *e = &l->entries[at];

	l->streak = now_ms - l->opened_ms <= STREAK_MS ? l->streak + 1 : 1;
	l->opened_ms = now_ms;
	if (e->state == READY && !is_young(e, now_ms)) {
		/* It came too early: fewer at a time. */
		l->batch = l->batch / 16 > BATCH_FIRST ? l->batch / 16 : BATCH_FIRST;
		forget(l, e);
	}
	if (fetch->off || l->streak < 2)
		return NULL;
	if (e->state == NOTHING)
		return gather(fetch, l, at, workdir);
	/* Half of what was fetched last is used up. */
	return l->next < l->count && l->ahead < l->batch / 8 ? gather(fetch, l, l->next, workdir) : NULL;
}

/* Under the lock: the bytes, if they are there and young. */
static struct work_bytes *take(struct work_fetch *fetch, struct listing *l, struct entry *e)
{
	if (!e->bytes || !is_young(e, clock_mono_ms(fetch->fs->clock)))
		return NULL;
	l->ahead--;
	return STEAL(e->bytes);
}

struct work_bytes *work_fetch_want(struct work_fetch *fetch, struct work_task *task)
{
	struct work_bytes *bytes = NULL;
	struct batch *b = NULL;
	size_t at;

	pthread_mutex_lock(&fetch->lock);
	struct listing *l = find(fetch, task->place.serial, task->place.path, &at);
	if (l) {
		b = plan(fetch, l, at, task->job->workdir);
		bytes = take(fetch, l, &l->entries[at]);
	}
	pthread_mutex_unlock(&fetch->lock);
	begin(fetch, b);
	return bytes;
}

struct work_bytes *work_fetch_take(struct work_fetch *fetch, struct work_task *task)
{
	size_t at;

	pthread_mutex_lock(&fetch->lock);
	struct listing *l = find(fetch, task->place.serial, task->place.path, &at);
	if (!l || l->entries[at].state != ASKED) {
		struct work_bytes *there = l ? take(fetch, l, &l->entries[at]) : NULL;

		pthread_mutex_unlock(&fetch->lock);
		return there;
	}
	l->references++;
	struct entry *e = &l->entries[at];
	int r = 0;
	while (e->state == ASKED && r == 0)
		r = work_wait(task, &fetch->changed, &fetch->lock);
	struct work_bytes *bytes = take(fetch, l, e);
	unref(l);
	pthread_mutex_unlock(&fetch->lock);
	if (r == -ETIMEDOUT)
		remote_is_late(fetch->fs->remote);
	return bytes;
}

bool work_fetch_attr(struct work_fetch *fetch, uint64_t serial, const char *path,
	struct remote_attr *ret)
{
	size_t at;

	WITH_LOCK(&fetch->lock);
	struct listing *l = find(fetch, serial, path, &at);
	if (!l || !is_young(&l->entries[at], clock_mono_ms(fetch->fs->clock)))
		return false;
	*ret = l->entries[at].attr;
	return true;
}
