#include "model.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "clusterinfo.h"
#include "err.h"
#include "jobfile.h"

struct entry {
	uint64_t serial;
	struct job *latest;   /* NULL: removed, until the next compaction */
	struct job *shown;
	struct job *previous; /* NULL outside an invalidation */
	unsigned given;       /* files whose attributes were given out since `shown` moved on */
	bool fresh;           /* the notifier does not know it yet */
	bool renamed;         /* shown at once, and the notifier does not know it yet */
	bool held;            /* `latest` is the engine's alone yet */
};

/* A job that was published since model_hold(). */
struct held {
	uint64_t serial;
	struct job *before;
};

struct model {
	pthread_mutex_t lock;
	struct entry *entries;   /* lock; by serial, removed ones included */
	size_t count;            /* lock; of entries */
	size_t capacity;         /* lock */
	size_t removed;          /* lock; of entries */
	struct job **gone;       /* lock; removed, and not taken by the notifier yet */
	size_t gone_count;       /* lock */
	size_t gone_capacity;    /* lock */
	uint64_t *names;         /* lock; open hash of serials by name, 0 for free */
	size_t name_slots;       /* lock; a power of two, or 0 */
	size_t names_used;       /* lock; taken slots, stale ones included */
	uint64_t last_serial;    /* lock */
	bool holding;            /* the engine's */
	struct held *held;       /* the engine's */
	size_t held_count, held_capacity; /* the engine's */
	struct connection connection; /* lock */
	struct clusterinfo *cluster; /* has a lock of its own */
	void (*changed)(void *arg, uint64_t serial); /* set before threads start */
	void *arg;
	void (*state_changed)(void *arg, const struct job *before, const struct job *now); /* set ... */
	void *state_arg;                             /* ... before threads start, too */
};

struct model *model_new(void)
{
	struct model *m = xcalloc(1, sizeof(*m));

	pthread_mutex_init(&m->lock, NULL);
	m->cluster = clusterinfo_new();
	return m;
}

struct clusterinfo *model_cluster(struct model *m)
{
	return m->cluster;
}

static void entry_clear(struct entry *entry)
{
	job_unref(STEAL(entry->latest));
	job_unref(STEAL(entry->shown));
	job_unref(STEAL(entry->previous));
}

void model_free(struct model *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->count; i++)
		entry_clear(&m->entries[i]);
	for (size_t i = 0; i < m->gone_count; i++)
		job_unref(m->gone[i]);
	free(m->gone);
	free(m->held);
	free(m->entries);
	free(m->names);
	clusterinfo_free(m->cluster);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

void model_on_change(struct model *m, void (*changed)(void *arg, uint64_t serial), void *arg)
{
	m->changed = changed;
	m->arg = arg;
}

void model_on_state(struct model *m,
	void (*changed)(void *arg, const struct job *before, const struct job *now), void *arg)
{
	m->state_changed = changed;
	m->state_arg = arg;
}

static void tell_state(struct model *m, const struct job *before, const struct job *now)
{
	if (m->state_changed && (before || now) &&
		(!before || !now || strcmp(before->state, now->state)))
		m->state_changed(m->state_arg, before, now);
}

static void tell(struct model *m, uint64_t serial)
{
	if (m->changed)
		m->changed(m->arg, serial);
}

/* ---- look-up; all under the lock ---- */

static size_t position(const struct model *m, uint64_t serial)
{
	size_t low = 0, high = m->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->entries[middle].serial < serial)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct entry *find(const struct model *m, uint64_t serial)
{
	size_t at = position(m, serial);
	struct entry *entry = at < m->count ? &m->entries[at] : NULL;

	return entry && entry->serial == serial && entry->latest ? entry : NULL;
}

static size_t hash_name(const char *name)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
	return (size_t)hash;
}

static struct entry *find_name(const struct model *m, const char *name)
{
	size_t mask = m->name_slots - 1;

	if (!m->name_slots)
		return NULL;
	for (size_t i = hash_name(name) & mask; m->names[i]; i = (i + 1) & mask) {
		struct entry *entry = find(m, m->names[i]);

		if (entry && !strcmp(entry->latest->name, name))
			return entry;
	}
	return NULL;
}

static void put_name(struct model *m, const struct entry *entry)
{
	size_t mask = m->name_slots - 1;
	size_t i = hash_name(entry->latest->name) & mask;

	while (m->names[i])
		i = (i + 1) & mask;
	m->names[i] = entry->serial;
	m->names_used++;
}

/* Makes room for one more name; slots of removed jobs and of former names are left behind. */
static void grow_names(struct model *m)
{
	if (m->names_used * 4 < m->name_slots * 3)
		return;
	size_t slots = 64;
	while (slots < 2 * (m->count - m->removed + 1))
		slots *= 2;
	free(m->names);
	m->names = xcalloc(slots, sizeof(*m->names));
	m->name_slots = slots;
	m->names_used = 0;
	for (size_t i = 0; i < m->count; i++)
		if (m->entries[i].latest)
			put_name(m, &m->entries[i]);
}

/* Once half are gone, so that removing many costs each a constant share. */
static void compact(struct model *m)
{
	size_t kept = 0;

	if (m->removed * 2 <= m->count)
		return;
	for (size_t i = 0; i < m->count; i++)
		if (m->entries[i].latest)
			m->entries[kept++] = m->entries[i];
	m->count = kept;
	m->removed = 0;
}

static struct entry *insert(struct model *m, uint64_t serial)
{
	size_t at = position(m, serial);

	if (at < m->count && m->entries[at].serial == serial) {
		m->removed--;
		m->entries[at] = (struct entry){.serial = serial};
		return &m->entries[at];
	}
	if (m->count == m->capacity) {
		m->capacity = m->capacity ? m->capacity * 2 : 64;
		m->entries = xrealloc(m->entries, m->capacity * sizeof(*m->entries));
	}
	memmove(m->entries + at + 1, m->entries + at, (m->count - at) * sizeof(*m->entries));
	m->count++;
	m->entries[at] = (struct entry){.serial = serial};
	return &m->entries[at];
}

/* ---- the engine's side ---- */

void model_hold(struct model *m)
{
	m->holding = true;
}

/* Takes over `job`, a new version of one that keeps its name; false: it is another. */
static bool hold(struct model *m, struct job *job)
{
	WITH_LOCK(&m->lock);
	struct entry *entry = find(m, job->serial);
	if (!entry || strcmp(entry->latest->name, job->name) != 0)
		return false;
	if (entry->held) {
		job_unref(entry->latest);
	} else {
		if (m->held_count == m->held_capacity) {
			m->held_capacity = m->held_capacity ? 2 * m->held_capacity : 64;
			m->held = xrealloc(m->held, m->held_capacity * sizeof(*m->held));
		}
		m->held[m->held_count++] = (struct held){job->serial, entry->latest};
		entry->held = true;
	}
	entry->latest = job;
	return true;
}

/* What is shown of the held job from now on, a reference; NULL where it is gone. */
static struct job *let_go(struct model *m, const struct held *held, bool keep)
{
	WITH_LOCK(&m->lock);
	struct entry *entry = find(m, held->serial);
	if (!entry)
		return NULL;
	entry->held = false;
	if (!keep) {
		job_unref(entry->latest);
		entry->latest = job_ref(held->before);
	}
	return job_ref(entry->latest);
}

void model_release(struct model *m, bool keep, void (*undone)(void *arg, const struct job *job),
	void *arg)
{
	m->holding = false;
	for (size_t i = 0; i < m->held_count; i++) {
		AUTO_JOB struct job *before = m->held[i].before;
		AUTO_JOB struct job *now = let_go(m, &m->held[i], keep);

		if (!now)
			continue;
		tell_state(m, before, now);
		tell(m, now->serial);
		if (!keep && undone)
			undone(arg, now);
	}
	m->held_count = 0;
}

void model_publish(struct model *m, struct job *job)
{
	uint64_t serial = job->serial;

	if (m->holding && hold(m, job))
		return;
	AUTO_JOB struct job *now = job_ref(job);

	pthread_mutex_lock(&m->lock);
	struct entry *entry = find(m, serial);
	AUTO_JOB struct job *before = entry ? job_ref(entry->latest) : NULL;
	if (entry && !strcmp(entry->latest->name, job->name)) {
		job_unref(entry->latest);
		entry->latest = job;
	} else if (entry) {
		/* Its old name finds nothing any more, so nobody can be half way through it. */
		grow_names(m);
		entry_clear(entry);
		entry->latest = job;
		entry->shown = job_ref(job);
		entry->given = 0;
		entry->renamed = true;
		put_name(m, entry);
	} else {
		grow_names(m);
		entry = insert(m, serial);
		entry->fresh = m->changed != NULL;
		entry->latest = job;
		entry->shown = job_ref(job);
		put_name(m, entry);
	}
	if (serial > m->last_serial)
		m->last_serial = serial;
	pthread_mutex_unlock(&m->lock);
	tell_state(m, before, now);
	tell(m, serial);
}

/* Under the lock. */
static void keep_gone(struct model *m, const struct job *job)
{
	if (m->gone_count == m->gone_capacity) {
		m->gone_capacity = m->gone_capacity ? m->gone_capacity * 2 : 16;
		m->gone = xrealloc(m->gone, m->gone_capacity * sizeof(*m->gone));
	}
	m->gone[m->gone_count++] = job_ref(job);
}

void model_remove(struct model *m, uint64_t serial)
{
	pthread_mutex_lock(&m->lock);
	struct entry *entry = find(m, serial);
	AUTO_JOB struct job *before = entry ? job_ref(entry->latest) : NULL;
	if (entry) {
		if (m->changed)
			keep_gone(m, entry->shown);
		entry_clear(entry);
		m->removed++;
		compact(m);
	}
	pthread_mutex_unlock(&m->lock);
	tell_state(m, before, NULL);
	if (entry)
		tell(m, serial);
}

struct job *model_latest(struct model *m, uint64_t serial)
{
	WITH_LOCK(&m->lock);
	struct entry *entry = find(m, serial);
	return entry ? job_ref(entry->latest) : NULL;
}

/* ---- the file operations' side ---- */

struct job *model_shown_giving(struct model *m, uint64_t serial, unsigned files)
{
	WITH_LOCK(&m->lock);
	struct entry *entry = find(m, serial);
	if (!entry)
		return NULL;
	entry->given |= files;
	return job_ref(entry->shown);
}

struct job *model_shown(struct model *m, uint64_t serial)
{
	return model_shown_giving(m, serial, 0);
}

struct job *model_shown_by_name(struct model *m, const char *name)
{
	WITH_LOCK(&m->lock);
	struct entry *entry = find_name(m, name);
	return entry ? job_ref(entry->shown) : NULL;
}

struct job *model_for_read(struct model *m, uint64_t serial, enum job_file file)
{
	WITH_LOCK(&m->lock);
	struct entry *entry = find(m, serial);
	if (!entry)
		return NULL;
	bool old = entry->previous && !(entry->given & 1u << file);
	return job_ref(old ? entry->previous : entry->shown);
}

bool model_is_shown(struct model *m, const struct job *job)
{
	WITH_LOCK(&m->lock);
	struct entry *entry = find(m, job->serial);
	return entry && entry->shown == job;
}

size_t model_list(struct model *m, uint64_t after, struct job **ret, size_t max)
{
	size_t n = 0;

	WITH_LOCK(&m->lock);
	if (after == UINT64_MAX)
		return 0;
	for (size_t i = position(m, after + 1); i < m->count && n < max; i++)
		if (m->entries[i].latest)
			ret[n++] = job_ref(m->entries[i].shown);
	return n;
}

size_t model_count(struct model *m)
{
	WITH_LOCK(&m->lock);
	return m->count - m->removed;
}

void model_skip_serials(struct model *m, uint64_t last)
{
	WITH_LOCK(&m->lock);
	if (last > m->last_serial)
		m->last_serial = last;
}

uint64_t model_next_serial(struct model *m)
{
	WITH_LOCK(&m->lock);
	return ++m->last_serial;
}

bool model_name_taken(struct model *m, const char *name)
{
	WITH_LOCK(&m->lock);
	return find_name(m, name) != NULL;
}

/* ---- the notifier's side ---- */

/* By what jobfile_touch() left and what costs no rendering under the lock. */
static bool file_differs(const struct job *a, const struct job *b, enum job_file file)
{
	return a->file_ns[file] != b->file_ns[file] ||
		jobfile_mode(a, file) != jobfile_mode(b, file) ||
		(file == JOB_FILE_CONFIG && a->config_size != b->config_size) ||
		(file == JOB_FILE_SCRIPT && a->script_size != b->script_size) ||
		(file == JOB_FILE_LOG && a->log_size != b->log_size);
}

unsigned model_advance(struct model *m, uint64_t serial, bool *directory)
{
	unsigned changed = 0;

	*directory = false;
	WITH_LOCK(&m->lock);
	struct entry *entry = find(m, serial);
	if (entry && entry->renamed) {
		entry->renamed = false;
		*directory = true;
		changed = (1u << JOB_FILE_COUNT) - 1;
	}
	if (!entry || entry->shown == entry->latest || entry->held)
		return changed;
	struct job *left = entry->shown;
	entry->shown = job_ref(entry->latest);
	for (enum job_file file = 0; file < JOB_FILE_COUNT; file++)
		if (file_differs(left, entry->shown, file))
			changed |= 1u << file;
	*directory |= left->state_ns != entry->shown->state_ns;
	/* Not settled, and nobody was told of `left`: what the kernel knows is older still. */
	if (entry->previous && !entry->given) {
		job_unref(left);
	} else {
		job_unref(entry->previous);
		entry->previous = left;
	}
	entry->given = 0;
	return changed;
}

bool model_take_new(struct model *m, uint64_t serial)
{
	WITH_LOCK(&m->lock);
	struct entry *entry = find(m, serial);
	bool fresh = entry && entry->fresh;

	if (fresh)
		entry->fresh = false;
	return fresh;
}

struct job **model_take_removed(struct model *m, size_t *count)
{
	WITH_LOCK(&m->lock);
	*count = m->gone_count;
	m->gone_count = m->gone_capacity = 0;
	return STEAL(m->gone);
}

void model_settle(struct model *m, uint64_t serial)
{
	WITH_LOCK(&m->lock);
	struct entry *entry = find(m, serial);
	if (entry)
		job_unref(STEAL(entry->previous));
}

void model_set_connection(struct model *m, const struct connection *connection)
{
	WITH_LOCK(&m->lock);
	m->connection = *connection;
}

void model_get_connection(struct model *m, struct connection *ret)
{
	WITH_LOCK(&m->lock);
	*ret = m->connection;
}
