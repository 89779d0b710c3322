#include "drafts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "err.h"
#include "log.h"
#include "loose.h"

#define CONFIG_MAX (1u << 20)
/* A longer pause is the end of a drop, not a part of it. */
#define PAUSE_MAX_MS 10000
/* Files in SPOOL/meta bear the draft's name and a little more. */
#define META_NAME_MAX 200

/* ---- records ---- */

struct draft *draft_find(struct drafts *drafts, uint64_t serial)
{
	struct draft *draft = drafts->table[serial % DRAFT_BUCKETS];

	while (draft && draft->serial != serial)
		draft = draft->next;
	return draft;
}

void draft_unlink(struct drafts *drafts, struct draft *draft)
{
	struct draft **at = &drafts->table[draft->serial % DRAFT_BUCKETS];

	while (*at && *at != draft)
		at = &(*at)->next;
	if (*at)
		*at = draft->next;
	if (drafts->loose == draft)
		drafts->loose = NULL;
}

void draft_free(struct drafts *drafts, struct draft *draft)
{
	if (draft->node) {
		spool_detach(drafts->spool, draft->node);
		spool_put(drafts->spool, draft->node);
	}
	if (draft->check)
		draftcheck_release(draft->check);
	free(draft->check);
	free(draft->sums);
	free(draft->valid);
	free(draft->name);
	free(draft);
}

static char *meta_name(const char *draft, const char *what)
{
	return xasprintf("%.*s.%s", META_NAME_MAX, draft ? draft : DRAFT_LOOSE_NAME, what);
}

void draft_forget_meta(struct drafts *drafts, const char *name)
{
	AUTO_FREE char *refused = meta_name(name, "refused");
	AUTO_FREE char *before = meta_name(name, "before");

	unlinkat(drafts->meta_fd, refused, 0);
	unlinkat(drafts->meta_fd, before, 0);
}

/* Under lock.  Takes over `node`. */
static struct draft *add_draft(struct drafts *drafts, const char *name, struct spool_node *node)
{
	struct draft *draft = xcalloc(1, sizeof(*draft));
	AUTO_FREE char *refused = meta_name(name, "refused");

	draft->serial = model_next_serial(drafts->config.model);
	draft->name = xstrdup(name);
	draft->node = node;
	draft->changed_ms = clock_mono_ms(drafts->config.clock);
	draft->changed_ns = clock_real_ns(drafts->config.clock);
	draft->refused = faccessat(drafts->meta_fd, refused, F_OK, 0) == 0;
	draft->next = drafts->table[draft->serial % DRAFT_BUCKETS];
	drafts->table[draft->serial % DRAFT_BUCKETS] = draft;
	if (node)
		node->serial = node->top = draft->serial;
	else
		drafts->loose = draft;
	return draft;
}

uint64_t drafts_adopt(struct drafts *drafts, struct spool_node *node, const char *name)
{
	WITH_LOCK(&drafts->lock);
	if (!node->top)
		add_draft(drafts, name, spool_ref(drafts->spool, node));
	return node->top;
}

struct spool *drafts_spool(struct drafts *drafts)
{
	return drafts->spool;
}

struct spool_node *drafts_node(struct drafts *drafts, uint64_t serial)
{
	WITH_LOCK(&drafts->lock);
	const struct draft *draft = draft_find(drafts, serial);

	return draft && draft->node ? spool_ref(drafts->spool, draft->node) : NULL;
}

bool drafts_has(struct drafts *drafts, uint64_t serial)
{
	WITH_LOCK(&drafts->lock);
	const struct draft *draft = draft_find(drafts, serial);

	return draft && !draft->gone;
}

uint64_t drafts_loose(struct drafts *drafts)
{
	WITH_LOCK(&drafts->lock);
	return drafts->loose ? drafts->loose->serial : 0;
}

void drafts_removed(struct drafts *drafts, uint64_t serial)
{
	pthread_mutex_lock(&drafts->lock);
	struct draft *draft = draft_find(drafts, serial);
	if (draft)
		draft_unlink(drafts, draft);
	pthread_mutex_unlock(&drafts->lock);
	if (!draft)
		return;
	draft_forget_meta(drafts, draft->name);
	draft_free(drafts, draft);
}

/* ---- what is in jobs/new ---- */

static bool has_loose_files(struct drafts *drafts)
{
	int fd = openat(drafts->top_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir AUTO_CLOSEDIR = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_type == DT_DIR)
			continue;
		if (entry->d_type != DT_UNKNOWN ||
			(fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode)))
			return true;
	}
	return false;
}

void drafts_recount_loose(struct drafts *drafts)
{
	struct draft *ended = NULL;

	pthread_mutex_lock(&drafts->lock);
	uint64_t changes = drafts->loose ? drafts->loose->changes : 0;
	pthread_mutex_unlock(&drafts->lock);
	bool any = has_loose_files(drafts);
	pthread_mutex_lock(&drafts->lock);
	if (any && !drafts->loose)
		add_draft(drafts, NULL, NULL);
	/* One with an operation or an open file is looked at again when that ends. */
	if (!any && drafts->loose && !drafts->loose->running && !drafts->loose->writers &&
		!drafts->loose->sealed && drafts->loose->changes == changes) {
		ended = drafts->loose;
		draft_unlink(drafts, ended);
	}
	pthread_mutex_unlock(&drafts->lock);
	if (ended) {
		draft_forget_meta(drafts, NULL);
		draft_free(drafts, ended);
	}
}

/* Under lock: `name` is the directory `node` now. */
static void place(struct drafts *drafts, const char *name, struct spool_node *node)
{
	struct draft *draft = draft_find(drafts, node->top);
	static const char *const kinds[] = {"refused", "before"};

	if (draft && draft->name && strcmp(draft->name, name) != 0) {
		for (size_t i = 0; i < 2; i++) {
			AUTO_FREE char *from = meta_name(draft->name, kinds[i]);
			AUTO_FREE char *to = meta_name(name, kinds[i]);

			renameat(drafts->meta_fd, from, drafts->meta_fd, to);
		}
		free(draft->name);
		draft->name = xstrdup(name);
		/* The texts name it. */
		draft->changes++;
	}
	if (draft) {
		draft->elsewhere = false;
		node->serial = draft->serial;
	}
}

static void scan_one(struct drafts *drafts, const char *name)
{
	struct spool_node *node;

	if (spool_find(drafts->spool, spool_root(drafts->spool), name, 0, &node) < 0)
		return;
	if (node->directory && !node->top && node->serial) {
		/* It was inside a draft and is known to the kernel by a node's id. */
		spool_detach(drafts->spool, node);
		spool_put(drafts->spool, node);
		pthread_mutex_lock(&drafts->lock);
		draft_add_stale(drafts, DRAFT_STALE_NAME, 0, 0, xstrdup(name));
		pthread_mutex_unlock(&drafts->lock);
		if (spool_find(drafts->spool, spool_root(drafts->spool), name, 0, &node) < 0)
			return;
	}
	if (node->directory) {
		drafts_adopt(drafts, node, name);
		pthread_mutex_lock(&drafts->lock);
		place(drafts, name, node);
		pthread_mutex_unlock(&drafts->lock);
	}
	spool_put(drafts->spool, node);
}

static uint64_t *all_serials(struct drafts *drafts, size_t *count);

/* Drafts whose directory is not at the top any more: inside another draft, or replaced. */
static void find_elsewhere(struct drafts *drafts)
{
	size_t count;
	AUTO_FREE uint64_t *all = all_serials(drafts, &count);

	for (size_t i = 0; i < count; i++) {
		struct spool_node *node = drafts_node(drafts, all[i]);
		AUTO_FREE char *path = node ? spool_path(drafts->spool, node) : NULL;

		if (node && !path) {
			drafts_removed(drafts, all[i]);
		} else if (node) {
			WITH_LOCK(&drafts->lock);
			struct draft *draft = draft_find(drafts, all[i]);

			if (draft)
				draft->elsewhere = strchr(path, '/');
		}
		spool_put(drafts->spool, node);
	}
}

void drafts_rescan(struct drafts *drafts)
{
	int fd = openat(drafts->top_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir AUTO_CLOSEDIR = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			scan_one(drafts, entry->d_name);
	find_elsewhere(drafts);
	drafts_recount_loose(drafts);
	draft_tell_stale(drafts);
}

static void reown_node(void *arg, struct spool_node *node)
{
	struct drafts *drafts = arg;
	AUTO_FREE char *path = spool_path(drafts->spool, node);
	struct spool_node *top;

	if (!path)
		return;
	char *slash = strchr(path, '/');
	if (!slash && !node->directory) {
		node->serial = drafts_loose(drafts);
		return;
	}
	if (slash)
		*slash = 0;
	if (spool_find(drafts->spool, spool_root(drafts->spool), path, 0, &top) < 0)
		return;
	node->serial = drafts_adopt(drafts, top, path);
	spool_put(drafts->spool, top);
}

void drafts_reown(struct drafts *drafts, uint64_t serial)
{
	spool_each(drafts->spool, serial, reown_node, drafts);
}

/* ---- operations ---- */

int drafts_begin(struct drafts *drafts, uint64_t serial)
{
	WITH_LOCK(&drafts->lock);
	struct draft *draft = draft_find(drafts, serial);

	if (!serial)
		return 0;
	if (!draft || draft->sealed)
		return -ESTALE;
	draft->running++;
	return 0;
}

uint64_t drafts_begin_loose(struct drafts *drafts)
{
	WITH_LOCK(&drafts->lock);
	while (drafts->loose && drafts->loose->sealed && !drafts->loose->gone)
		pthread_cond_wait(&drafts->settled, &drafts->lock);
	if (!drafts->loose)
		add_draft(drafts, NULL, NULL);
	drafts->loose->running++;
	return drafts->loose->serial;
}

/* Under lock. */
static void note_change(struct drafts *drafts, struct draft *draft)
{
	int64_t now = clock_mono_ms(drafts->config.clock);
	int64_t pause = now - draft->changed_ms;

	draft->changes++;
	draft->changed_ms = now;
	draft->changed_ns = clock_real_ns(drafts->config.clock);
	if (pause > PAUSE_MAX_MS)
		draft->pause_ms = 0;
	else if (pause > draft->pause_ms)
		draft->pause_ms = pause;
}

static void wake_engine(struct drafts *drafts)
{
	if (drafts->config.changed)
		drafts->config.changed(drafts->config.arg);
}

void drafts_end(struct drafts *drafts, uint64_t serial, enum draft_effect effect, int result)
{
	bool wake = false, empty = false;

	if (!serial)
		return;
	pthread_mutex_lock(&drafts->lock);
	struct draft *draft = draft_find(drafts, serial);
	if (draft) {
		draft->running--;
		if (result == -ENOSPC || result == -EDQUOT || result == -EIO)
			draft->failed = true;
		if (effect == DRAFT_CHANGE && result >= 0) {
			note_change(drafts, draft);
			wake = !draft->armed && !draft->writers;
		}
		empty = effect == DRAFT_CHANGE && draft == drafts->loose && result < 0;
		if (!draft->running)
			pthread_cond_broadcast(&drafts->settled);
	}
	pthread_mutex_unlock(&drafts->lock);
	if (wake)
		wake_engine(drafts);
	/* A loose draft that was begun for a file that could not be made. */
	if (empty)
		drafts_recount_loose(drafts);
}

void drafts_mended(struct drafts *drafts, uint64_t serial)
{
	WITH_LOCK(&drafts->lock);
	struct draft *draft = draft_find(drafts, serial);

	if (draft)
		draft->failed = false;
}

struct draft_handle *drafts_opened(struct drafts *drafts, struct spool_node *node, int fd,
	bool writes, bool config)
{
	struct draft_handle *handle = xcalloc(1, sizeof(*handle));

	*handle = (struct draft_handle){.fd = fd, .node = node, .serial = node->serial,
		.writes = writes, .config = config};
	WITH_LOCK(&drafts->lock);
	struct draft *draft = draft_find(drafts, handle->serial);
	if (writes && draft)
		draft->writers++;
	return handle;
}

void drafts_closed(struct drafts *drafts, struct draft_handle *handle)
{
	bool wake = false;

	pthread_mutex_lock(&drafts->lock);
	struct draft *draft = draft_find(drafts, handle->serial);
	if (draft && handle->writes) {
		draft->writers--;
		if (handle->dirty && draft->unflushed)
			draft->unflushed--;
		wake = !draft->writers;
		pthread_cond_broadcast(&drafts->settled);
	}
	bool loose = draft && draft == drafts->loose;
	pthread_mutex_unlock(&drafts->lock);
	if (loose && wake)
		drafts_recount_loose(drafts);
	if (wake)
		wake_engine(drafts);
	close(handle->fd);
	spool_put(drafts->spool, handle->node);
	free(handle);
}

/* ---- config.ini ---- */

static int write_meta(struct drafts *drafts, const char *name, const char *text, size_t len)
{
	int fd AUTO_CLOSE = openat(drafts->meta_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		0600);

	if (fd < 0)
		return -errno;
	return write(fd, text, len) == (ssize_t)len ? 0 : -EIO;
}

static void take_valid(struct drafts *drafts, uint64_t serial, const struct strbuf *text)
{
	WITH_LOCK(&drafts->lock);
	struct draft *draft = draft_find(drafts, serial);

	if (!draft || draft->refused || !text->len)
		return;
	free(draft->valid);
	draft->valid = xstrdup(text->data);
}

static int draft_folder(struct drafts *drafts, uint64_t serial, char **name,
	struct spool_node **node)
{
	WITH_LOCK(&drafts->lock);
	const struct draft *draft = draft_find(drafts, serial);

	if (!draft)
		return -ENOENT;
	*name = xstrdup(draft->name);
	*node = spool_ref(drafts->spool, draft->node ? draft->node : spool_root(drafts->spool));
	return 0;
}

static bool is_valid(const struct strbuf *text)
{
	struct jobspec *spec = NULL;
	bool valid = jobspec_parse(text->data, text->len, &spec, NULL) == 0;

	jobspec_free(spec);
	return valid;
}

void drafts_remember_config(struct drafts *drafts, uint64_t serial)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	AUTO_FREE char *name = NULL;
	struct spool_node *node;

	if (draft_folder(drafts, serial, &name, &node) < 0)
		return;
	if (draftcheck_read(node->fd, "config.ini", CONFIG_MAX, &text) == 0 && is_valid(&text))
		take_valid(drafts, serial, &text);
	spool_put(drafts->spool, node);
}

static void refuse(struct drafts *drafts, uint64_t serial, const struct strbuf *text)
{
	AUTO_FREE char *name = NULL;
	AUTO_FREE char *valid = NULL;
	struct spool_node *node;

	if (draft_folder(drafts, serial, &name, &node) < 0)
		return;
	spool_put(drafts->spool, node);
	AUTO_FREE char *refused = meta_name(name, "refused");
	AUTO_FREE char *before = meta_name(name, "before");
	pthread_mutex_lock(&drafts->lock);
	struct draft *draft = draft_find(drafts, serial);
	bool first = draft && !draft->refused;
	if (first) {
		draft->refused = true;
		valid = xstrdup(draft->valid);
	}
	if (draft)
		draft->changes++;
	pthread_mutex_unlock(&drafts->lock);
	/* The text before stays that of before the first refusal. */
	if (first && valid)
		write_meta(drafts, before, valid, strlen(valid));
	if (write_meta(drafts, refused, text->data, text->len) < 0)
		log_warning("%s: its refused config.ini cannot be kept", name ? name : DRAFT_LOOSE_NAME);
}

int drafts_flush(struct drafts *drafts, struct draft_handle *handle)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	char buffer[16384];
	ssize_t n;

	if (!handle->writes)
		return 0;
	if (atomic_exchange(&handle->dirty, false)) {
		WITH_LOCK(&drafts->lock);
		struct draft *draft = draft_find(drafts, handle->serial);

		if (draft && draft->unflushed)
			draft->unflushed--;
	}
	if (!handle->config || !handle->wrote)
		return 0;
	int fd AUTO_CLOSE = spool_reopen(handle->node, O_RDONLY);
	while (fd >= 0 && text.len <= CONFIG_MAX && (n = read(fd, buffer, sizeof(buffer))) > 0)
		strbuf_add(&text, buffer, (size_t)n);
	if (!text.len)
		return 0;
	if (!is_valid(&text)) {
		refuse(drafts, handle->serial, &text);
		return -EINVAL;
	}
	take_valid(drafts, handle->serial, &text);
	return 0;
}

void drafts_wrote(struct drafts *drafts, struct draft_handle *handle)
{
	handle->wrote = true;
	if (atomic_exchange(&handle->dirty, true))
		return;
	WITH_LOCK(&drafts->lock);
	struct draft *draft = draft_find(drafts, handle->serial);

	if (draft)
		draft->unflushed++;
}

/* ---- readiness ---- */

/* Lets the draft go that was held for a refused text, where another valid one has come. */
static bool is_held(struct drafts *drafts, uint64_t serial, const char *name, int folder)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct strbuf old AUTO_STRBUF = STRBUF_INIT;
	AUTO_FREE char *before = meta_name(name, "before");

	pthread_mutex_lock(&drafts->lock);
	struct draft *draft = draft_find(drafts, serial);
	bool held = draft && draft->refused;
	pthread_mutex_unlock(&drafts->lock);
	if (!held)
		return false;
	if (draftcheck_read(folder, "config.ini", CONFIG_MAX, &text) < 0 || !text.len ||
		!is_valid(&text))
		return true;
	draftcheck_read(drafts->meta_fd, before, CONFIG_MAX, &old);
	if (old.len == text.len && memcmp(old.data, text.data, old.len) == 0)
		return true;
	draft_forget_meta(drafts, name);
	pthread_mutex_lock(&drafts->lock);
	draft = draft_find(drafts, serial);
	if (draft)
		draft->refused = false;
	pthread_mutex_unlock(&drafts->lock);
	return false;
}

/* Sees to it that the draft's check is of its present state. */
static void evaluate(struct drafts *drafts, uint64_t serial)
{
	AUTO_FREE char *name = NULL;
	struct spool_node *node;

	pthread_mutex_lock(&drafts->lock);
	struct draft *draft = draft_find(drafts, serial);
	bool fresh = !draft || draft->sealed || (draft->check && draft->check_changes == draft->changes);
	uint64_t changes = draft ? draft->changes : 0;
	pthread_mutex_unlock(&drafts->lock);
	if (fresh || draft_folder(drafts, serial, &name, &node) < 0)
		return;
	struct draftcheck_request request = {.folder = node->fd, .name = name,
		.profile = drafts->config.profile};
	if (is_held(drafts, serial, name, node->fd))
		request.held = "a config.ini was refused (see refused.ini) and the text before came back; "
			"write another, or submit this one by mv";
	struct draftcheck *check = xcalloc(1, sizeof(*check));
	draftcheck_run(&request, check);
	if (check->config_valid)
		take_valid(drafts, serial, &check->config);
	spool_put(drafts->spool, node);

	pthread_mutex_lock(&drafts->lock);
	draft = draft_find(drafts, serial);
	struct draftcheck *old = check;
	if (draft && !draft->sealed) {
		old = draft->check;
		draft->check = check;
		draft->check_changes = changes;
	}
	pthread_mutex_unlock(&drafts->lock);
	if (old) {
		draftcheck_release(old);
		free(old);
	}
}

/* Under lock: when to look at the draft again, INT64_MIN where its time has come. */
static int64_t ready_time(const struct drafts *drafts, const struct draft *draft, int64_t now)
{
	const struct profile *profile = drafts->config.profile;
	double least = profile->settle < profile->settle_unnamed ? profile->settle :
		profile->settle_unnamed;
	int64_t quiet = 3 * draft->pause_ms;
	bool checked = draft->check && draft->check_changes == draft->changes;

	if (draft->sealed || draft->elsewhere || draft->writers || draft->running || draft->failed)
		return CLOCK_NEVER;
	if (checked && draft->check->verdict != DRAFT_READY)
		return CLOCK_NEVER;
	if (checked && draft->sums && draft->sums_changes == draft->changes && *draft->sums)
		return CLOCK_NEVER;
	int64_t settle = checked ? draft->check->settle_ms : (int64_t)(1000 * least);
	int64_t when = draft->changed_ms + (settle > quiet ? settle : quiet);
	return when <= now ? INT64_MIN : when;
}

/* The sums of a draft whose time has come; reads all of it, once a state. */
static void check_sums(struct drafts *drafts, uint64_t serial)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	AUTO_FREE char *name = NULL;
	struct spool_node *node;

	pthread_mutex_lock(&drafts->lock);
	struct draft *draft = draft_find(drafts, serial);
	bool needed = draft && draft->check && draft->check->sums &&
		!(draft->sums && draft->sums_changes == draft->changes);
	uint64_t changes = draft ? draft->changes : 0;
	pthread_mutex_unlock(&drafts->lock);
	if (!needed || draft_folder(drafts, serial, &name, &node) < 0)
		return;
	draftcheck_sums(node->fd, &why);
	spool_put(drafts->spool, node);
	WITH_LOCK(&drafts->lock);
	draft = draft_find(drafts, serial);
	if (!draft)
		return;
	free(draft->sums);
	draft->sums = strbuf_steal(&why);
	draft->sums_changes = changes;
}

static bool is_ready(struct drafts *drafts, uint64_t serial, int64_t *next_ms)
{
	int64_t now = clock_mono_ms(drafts->config.clock);
	int64_t when = INT64_MIN;

	/* Each look may show that another, longer one is due: a check, then the sums. */
	for (int look = 0; look < 3 && when == INT64_MIN; look++) {
		if (look == 1)
			evaluate(drafts, serial);
		if (look == 2)
			check_sums(drafts, serial);
		WITH_LOCK(&drafts->lock);
		struct draft *draft = draft_find(drafts, serial);
		if (!draft)
			return false;
		when = ready_time(drafts, draft, now);
		draft->armed = when != CLOCK_NEVER && when != INT64_MIN;
	}
	if (when != INT64_MIN && when < *next_ms)
		*next_ms = when;
	return when == INT64_MIN;
}

static uint64_t *all_serials(struct drafts *drafts, size_t *count)
{
	uint64_t *list = NULL;
	size_t n = 0, capacity = 0;

	WITH_LOCK(&drafts->lock);
	for (size_t i = 0; i < DRAFT_BUCKETS; i++) {
		for (struct draft *d = drafts->table[i]; d; d = d->next) {
			if (n == capacity) {
				capacity = capacity ? 2 * capacity : 64;
				list = xrealloc(list, capacity * sizeof(*list));
			}
			list[n++] = d->serial;
		}
	}
	*count = n;
	return list;
}

size_t drafts_ready(struct drafts *drafts, uint64_t *serials, size_t max, int64_t *next_ms)
{
	size_t count, found = 0;
	AUTO_FREE uint64_t *all = all_serials(drafts, &count);

	*next_ms = CLOCK_NEVER;
	for (size_t i = 0; i < count && found < max; i++)
		if (is_ready(drafts, all[i], next_ms))
			serials[found++] = all[i];
	return found;
}

int drafts_wait_writers(struct drafts *drafts, uint64_t serial, int ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	WITH_LOCK(&drafts->lock);
	for (;;) {
		struct draft *draft = draft_find(drafts, serial);

		if (!draft)
			return -ENOENT;
		if (!draft->writers)
			return 0;
		if (draft->unflushed || drafts->stopped ||
			pthread_cond_timedwait(&drafts->settled, &drafts->lock, &until) == ETIMEDOUT)
			return -EBUSY;
	}
}

/* ---- what drafts/ shows ---- */

static int view_refused(struct drafts *drafts, uint64_t serial, struct strbuf *ret)
{
	AUTO_FREE char *name = NULL;
	struct spool_node *node;

	int r = draft_folder(drafts, serial, &name, &node);
	if (r < 0)
		return r;
	spool_put(drafts->spool, node);
	AUTO_FREE char *refused = meta_name(name, "refused");
	return draftcheck_read(drafts->meta_fd, refused, CONFIG_MAX, ret);
}

static void view_problems(const struct draft *draft, struct strbuf *ret)
{
	if (draft->failed)
		strbuf_adds(ret, "an operation failed for want of room or an error of the disk: files may be "
			"cut short; copy them again, or submit by mv\n");
	if (draft->writers)
		strbuf_addf(ret, "%u file%s open for writing\n", draft->writers,
			draft->writers == 1 ? " is" : "s are");
	if (draft->sums && draft->sums_changes == draft->changes)
		strbuf_adds(ret, draft->sums);
	strbuf_add(ret, draft->check->problems.data, draft->check->problems.len);
}

int drafts_view(struct drafts *drafts, uint64_t serial, enum draft_file file, struct strbuf *ret,
	int64_t *mtime_ns)
{
	evaluate(drafts, serial);
	pthread_mutex_lock(&drafts->lock);
	const struct draft *draft = draft_find(drafts, serial);
	int r = draft && draft->check && !draft->gone ? 0 : -ENOENT;
	if (r == 0) {
		*mtime_ns = draft->changed_ns;
		if (file == DRAFT_FILE_PROBLEMS)
			view_problems(draft, ret);
		else if (file == DRAFT_FILE_PREVIEW && draft->check->preview.len)
			strbuf_add(ret, draft->check->preview.data, draft->check->preview.len);
		else if (file != DRAFT_FILE_REFUSED || !draft->refused)
			r = -ENOENT;
	}
	pthread_mutex_unlock(&drafts->lock);
	return r == 0 && file == DRAFT_FILE_REFUSED ? view_refused(drafts, serial, ret) : r;
}

static bool is_listed(const struct draft *draft)
{
	/* A folder of that name would pass for the loose draft. */
	return !draft->gone && !draft->elsewhere &&
		(!draft->name || strcmp(draft->name, DRAFT_LOOSE_NAME) != 0);
}

uint64_t drafts_by_name(struct drafts *drafts, const char *name)
{
	WITH_LOCK(&drafts->lock);
	for (size_t i = 0; i < DRAFT_BUCKETS; i++)
		for (const struct draft *d = drafts->table[i]; d; d = d->next)
			if (is_listed(d) && strcmp(d->name ? d->name : DRAFT_LOOSE_NAME, name) == 0)
				return d->serial;
	return 0;
}

void drafts_each(struct drafts *drafts, void (*each)(void *arg, const char *name, uint64_t serial),
	void *arg)
{
	size_t count;
	AUTO_FREE uint64_t *all = all_serials(drafts, &count);

	for (size_t i = 0; i < count; i++) {
		AUTO_FREE char *name = NULL;

		pthread_mutex_lock(&drafts->lock);
		const struct draft *draft = draft_find(drafts, all[i]);
		if (draft && is_listed(draft))
			name = xstrdup(draft->name ? draft->name : DRAFT_LOOSE_NAME);
		pthread_mutex_unlock(&drafts->lock);
		if (name)
			each(arg, name, all[i]);
	}
}

/* ---- what the kernel has to forget ---- */

void draft_add_stale(struct drafts *drafts, enum draft_stale_kind kind, uint64_t node,
	uint64_t serial, char *name)
{
	if (drafts->stale_count == drafts->stale_capacity) {
		drafts->stale_capacity = drafts->stale_capacity ? 2 * drafts->stale_capacity : 64;
		drafts->stale = xrealloc(drafts->stale, drafts->stale_capacity * sizeof(*drafts->stale));
	}
	drafts->stale[drafts->stale_count++] = (struct draft_stale){kind, node, serial, name};
}

void draft_tell_stale(struct drafts *drafts)
{
	pthread_mutex_lock(&drafts->lock);
	void (*stale)(void *arg) = drafts->stale_count ? drafts->config.stale : NULL;
	void *arg = drafts->config.stale_arg;
	pthread_mutex_unlock(&drafts->lock);
	if (stale)
		stale(arg);
}

void drafts_on_stale(struct drafts *drafts, void (*stale)(void *arg), void *arg)
{
	WITH_LOCK(&drafts->lock);
	drafts->config.stale = stale;
	drafts->config.stale_arg = arg;
}

void drafts_take_stale(struct drafts *drafts,
	void (*each)(void *arg, const struct draft_stale *stale), void *arg)
{
	pthread_mutex_lock(&drafts->lock);
	struct draft_stale *list = drafts->stale;
	size_t count = drafts->stale_count;
	drafts->stale = NULL;
	drafts->stale_count = drafts->stale_capacity = 0;
	pthread_mutex_unlock(&drafts->lock);
	for (size_t i = 0; i < count; i++) {
		each(arg, &list[i]);
		free(list[i].name);
	}
	free(list);
}

/* ---- beginning and end ---- */

static int open_folder(const struct drafts *drafts, const char *name, int *ret,
	struct strbuf *why)
{
	AUTO_FREE char *path = xasprintf("%s/%s", drafts->config.spool, name);

	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*ret >= 0)
		return 0;
	int r = -errno;
	strbuf_addf(why, "%s: %s", path, strerror(-r));
	return r;
}

/* What was being deleted when the program ended. */
static void finish_drops(struct drafts *drafts)
{
	int fd = openat(drafts->sealed_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir AUTO_CLOSEDIR = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		size_t len = strlen(entry->d_name);

		if (len > 5 && strcmp(entry->d_name + len - 5, ".drop") == 0)
			loose_delete_tree(drafts->sealed_fd, entry->d_name);
	}
}

int drafts_open(const struct drafts_config *config, struct drafts **ret, struct strbuf *why)
{
	struct drafts *drafts = xcalloc(1, sizeof(*drafts));
	pthread_condattr_t attributes;

	drafts->config = *config;
	drafts->config.spool = xstrdup(config->spool);
	drafts->top_fd = drafts->sealed_fd = drafts->meta_fd = -1;
	pthread_mutex_init(&drafts->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&drafts->settled, &attributes);
	pthread_condattr_destroy(&attributes);
	/* A failure shows with the first folder in it. */
	mkdir(config->spool, 0700);
	int r = open_folder(drafts, "new", &drafts->top_fd, why);
	if (r == 0)
		r = open_folder(drafts, "sealed", &drafts->sealed_fd, why);
	if (r == 0)
		r = open_folder(drafts, "meta", &drafts->meta_fd, why);
	if (r == 0) {
		AUTO_FREE char *path = xasprintf("%s/new", config->spool);
		r = spool_open(path, &drafts->spool);
		if (r < 0)
			strbuf_addf(why, "%s: %s", path, strerror(-r));
	}
	if (r < 0) {
		drafts_close(drafts);
		return r;
	}
	finish_drops(drafts);
	drafts_rescan(drafts);
	*ret = drafts;
	return 0;
}

void drafts_close(struct drafts *drafts)
{
	if (!drafts)
		return;
	for (size_t i = 0; i < DRAFT_BUCKETS; i++) {
		while (drafts->table[i]) {
			struct draft *draft = drafts->table[i];

			drafts->table[i] = draft->next;
			draft_free(drafts, draft);
		}
	}
	for (size_t i = 0; i < drafts->stale_count; i++)
		free(drafts->stale[i].name);
	free(drafts->stale);
	spool_close(drafts->spool);
	cleanup_close(&drafts->top_fd);
	cleanup_close(&drafts->sealed_fd);
	cleanup_close(&drafts->meta_fd);
	pthread_cond_destroy(&drafts->settled);
	pthread_mutex_destroy(&drafts->lock);
	free((char *)drafts->config.spool);
	free(drafts);
}
