#include "drafts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "draftcut.h"
#include "drafts_internal.h"
#include "drafttree.h"
#include "err.h"
#include "log.h"

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

void draft_take_out(struct drafts *drafts, struct draft *draft)
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

char *draft_meta_name(const char *draft, const char *what)
{
	return xasprintf("%.*s.%s", META_NAME_MAX, draft ? draft : DRAFT_LOOSE_NAME, what);
}

void draft_forget_meta(struct drafts *drafts, const char *name)
{
	AUTO_FREE char *refused = draft_meta_name(name, "refused");
	AUTO_FREE char *before = draft_meta_name(name, "before");
	AUTO_FREE char *back = draft_meta_name(name, "back");

	unlinkat(drafts->meta_fd, refused, 0);
	unlinkat(drafts->meta_fd, before, 0);
	unlinkat(drafts->meta_fd, back, 0);
}

/* Under lock.  Takes over `node`. */
static struct draft *add_draft(struct drafts *drafts, const char *name, struct spool_node *node)
{
	struct draft *draft = xcalloc(1, sizeof(*draft));
	AUTO_FREE char *refused = draft_meta_name(name, "refused");
	AUTO_FREE char *back = draft_meta_name(name, "back");

	draft->serial = model_next_serial(drafts->config.model);
	draft->name = xstrdup(name);
	draft->node = node;
	draft->changed_ms = clock_mono_ms(drafts->config.clock);
	draft->changed_ns = clock_real_ns(drafts->config.clock);
	draft->refused = faccessat(drafts->meta_fd, refused, F_OK, 0) == 0;
	draft->back = faccessat(drafts->meta_fd, back, F_OK, 0) == 0;
	draft->taken_up = !drafts->taken_up;
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
		draft_take_out(drafts, draft);
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
		draft_take_out(drafts, ended);
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
	static const char *const kinds[] = {"refused", "before", "back"};

	if (draft && draft->name && strcmp(draft->name, name) != 0) {
		for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
			AUTO_FREE char *from = draft_meta_name(draft->name, kinds[i]);
			AUTO_FREE char *to = draft_meta_name(name, kinds[i]);

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

/* Drafts whose directory is not at the top any more: inside another draft, or replaced. */
static void find_elsewhere(struct drafts *drafts)
{
	size_t count;
	AUTO_FREE uint64_t *all = draft_all_serials(drafts, &count);

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

/* Whoever has it open for writing goes with it: its new draft must not be submitted before. */
static void give_node(struct drafts *drafts, struct spool_node *node, uint64_t serial)
{
	WITH_LOCK(&drafts->lock);
	struct draft *from = draft_find(drafts, node->serial);
	struct draft *to = draft_find(drafts, serial);

	if (from) {
		from->writers -= node->counted;
		from->unflushed -= node->unflushed;
	}
	if (to) {
		to->writers += node->counted;
		to->unflushed += node->unflushed;
	}
	node->serial = serial;
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
		give_node(drafts, node, drafts_loose(drafts));
		return;
	}
	if (slash)
		*slash = 0;
	if (spool_find(drafts->spool, spool_root(drafts->spool), path, 0, &top) < 0)
		return;
	give_node(drafts, node, drafts_adopt(drafts, top, path));
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

void draft_wake_engine(struct drafts *drafts)
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
		draft_wake_engine(drafts);
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
	if (writes)
		cut_writer_came(node);
	WITH_LOCK(&drafts->lock);
	/* Not the handle's, since the file may be another draft's by now. */
	struct draft *draft = draft_find(drafts, node->serial);
	node->counted += writes;
	if (writes && draft)
		draft->writers++;
	return handle;
}

static void tell_written(struct drafts *drafts, struct spool_node *node)
{
	int fd = drafts->config.written && !node->directory ? spool_reopen(node, O_RDONLY) : -1;

	if (fd >= 0)
		drafts->config.written(drafts->config.arg, fd);
}

void drafts_closed(struct drafts *drafts, struct draft_handle *handle)
{
	bool wake = false;

	if (handle->writes)
		cut_writer_left(handle->node);
	if (handle->writes && !handle->node->writers)
		tell_written(drafts, handle->node);
	pthread_mutex_lock(&drafts->lock);
	struct draft *draft = draft_find(drafts, handle->node->serial);
	bool dirty = handle->writes && handle->dirty && handle->node->unflushed;
	handle->node->counted -= handle->writes;
	handle->node->unflushed -= dirty;
	if (draft && handle->writes) {
		draft->writers--;
		/* What the check says of files cut short has changed. */
		if (draft->taken_up)
			draft->changes++;
		if (dirty && draft->unflushed)
			draft->unflushed--;
		wake = !draft->writers;
		pthread_cond_broadcast(&drafts->settled);
	}
	bool loose = draft && draft == drafts->loose;
	pthread_mutex_unlock(&drafts->lock);
	if (loose && wake)
		drafts_recount_loose(drafts);
	if (wake)
		draft_wake_engine(drafts);
	close(handle->fd);
	spool_put(drafts->spool, handle->node);
	free(handle);
}

static void forget_writers(void *arg, struct spool_node *node)
{
	(void)arg;
	cut_writers_gone(node);
}

void drafts_all_closed(struct drafts *drafts)
{
	size_t count;
	AUTO_FREE uint64_t *all = draft_all_serials(drafts, &count);

	for (size_t i = 0; i < count; i++)
		spool_each(drafts->spool, all[i], forget_writers, NULL);
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
			tree_delete(drafts->sealed_fd, entry->d_name);
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
	drafts->taken_up = true;
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
