/* When a draft is ready: checked, quiet for its settling time, and no longer being written. */
#include <errno.h>
#include <string.h>

#include "clusterinfo.h"
#include "draftcut.h"
#include "drafts_internal.h"
#include "err.h"
#include "template.h"

/* What sbatch --test-only says holds for so long before it is asked again. */
#define ANSWER_NS INT64_C(60000000000)

/* Lets the draft go that was held for a refused text, where another valid one has come. */
static bool is_held(struct drafts *drafts, uint64_t serial, const char *name, int folder)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct strbuf old AUTO_STRBUF = STRBUF_INIT;
	AUTO_FREE char *before = draft_meta_name(name, "before");

	pthread_mutex_lock(&drafts->lock);
	struct draft *draft = draft_find(drafts, serial);
	bool held = draft && draft->refused;
	pthread_mutex_unlock(&drafts->lock);
	if (!held)
		return false;
	if (draftcheck_read(folder, "config.ini", DRAFT_CONFIG_MAX, &text) < 0 || !text.len ||
		!draft_config_is_valid(&text))
		return true;
	draftcheck_read(drafts->meta_fd, before, DRAFT_CONFIG_MAX, &old);
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

/* Whether the template that the check was made with, or for want of it, is no longer the same. */
static bool template_changed(struct drafts *drafts, uint64_t serial)
{
	AUTO_FREE char *name = NULL;
	AUTO_FREE char *own = NULL;
	uint64_t stamp = 0;

	pthread_mutex_lock(&drafts->lock);
	const struct draft *draft = draft_find(drafts, serial);
	const struct draftcheck *check = draft && !draft->sealed ? draft->check : NULL;
	if (check && check->spec && check->spec->kind == JOBSPEC_TEMPLATE) {
		name = xstrdup(check->spec->template_name);
		stamp = check->template_stamp;
	}
	pthread_mutex_unlock(&drafts->lock);
	own = name ? template_own_folder() : NULL;
	return name && template_stamp(name, own) != stamp;
}

/* What to say of files that were being written when an earlier mount ended, or NULL. */
static char *cut_sentence(struct drafts *drafts, uint64_t serial, const char *name, int folder)
{
	struct strbuf files AUTO_STRBUF = STRBUF_INIT;

	pthread_mutex_lock(&drafts->lock);
	const struct draft *draft = draft_find(drafts, serial);
	bool taken_up = draft && draft->taken_up;
	pthread_mutex_unlock(&drafts->lock);
	if (taken_up)
		cut_find(folder, !name, &files);
	return files.len ? xasprintf("files may be cut short, since they were being written when the "
		"mount ended: %s; copy them again, or submit this one by mv", files.data) : NULL;
}

static bool is_back(struct drafts *drafts, uint64_t serial)
{
	WITH_LOCK(&drafts->lock);
	const struct draft *draft = draft_find(drafts, serial);

	return draft && draft->back;
}

bool draft_is_checked(const struct draft *draft)
{
	return draft->check && draft->check_changes == draft->changes &&
		draft->check_information == draft->information;
}

struct draftcheck_request draft_request(struct drafts *drafts, int folder, const char *name)
{
	return (struct draftcheck_request){.folder = folder, .name = name,
		.profile = drafts->config.profile, .cluster = model_cluster(drafts->config.model),
		.since_ns = clock_real_ns(drafts->config.clock) - ANSWER_NS};
}

/* Under lock: whether what holds the draft back may have been mended on the cluster. */
static bool is_old(const struct drafts *drafts, const struct draft *draft)
{
	return draft->check->answer_ns &&
		clock_real_ns(drafts->config.clock) - draft->check->answer_ns > ANSWER_NS;
}

static void begin_check(struct drafts *drafts, uint64_t serial)
{
	WITH_LOCK(&drafts->lock);
	struct draft *draft = draft_find(drafts, serial);

	if (draft)
		draft->evaluating++;
}

void draft_evaluate(struct drafts *drafts, uint64_t serial)
{
	AUTO_FREE char *name = NULL;
	struct spool_node *node;

	pthread_mutex_lock(&drafts->lock);
	struct draft *draft = draft_find(drafts, serial);
	bool none = !draft || draft->sealed;
	bool fresh = !none && draft_is_checked(draft) && !is_old(drafts, draft);
	uint64_t changes = draft ? draft->changes : 0;
	uint64_t information = draft ? draft->information : 0;
	pthread_mutex_unlock(&drafts->lock);
	if (none || (fresh && !template_changed(drafts, serial)) ||
		draft_open_folder(drafts, serial, &name, &node) < 0)
		return;
	struct draftcheck_request request = draft_request(drafts, node->fd, name);
	AUTO_FREE char *cut = cut_sentence(drafts, serial, name, node->fd);
	request.held = cut;
	if (is_held(drafts, serial, name, node->fd))
		request.held = "a config.ini was refused (see refused.ini) and the text before came back; "
			"write another, or submit this one by mv";
	if (is_back(drafts, serial))
		request.held = "it was a job already when the database of jobs was damaged or lost, and nothing of it "
			"was found on the cluster; see in cluster/queue that it is not there, and submit it by mv";
	struct draftcheck *check = xcalloc(1, sizeof(*check));
	begin_check(drafts, serial);
	draftcheck_each(&request, check);
	bool questions = check->questions;
	if (check->config_valid)
		draft_take_valid(drafts, serial, &check->config);
	spool_put(drafts->spool, node);

	pthread_mutex_lock(&drafts->lock);
	draft = draft_find(drafts, serial);
	struct draftcheck *old = check;
	if (draft && draft->evaluating)
		draft->evaluating--;
	if (draft && !draft->sealed) {
		old = draft->check;
		draft->check = check;
		draft->check_changes = changes;
		draft->check_information = information;
	}
	pthread_mutex_unlock(&drafts->lock);
	if (old) {
		draftcheck_release(old);
		free(old);
	}
	/* The template was mended behind the mount's back: the engine waits for no such thing. */
	if (fresh || questions)
		draft_wake_engine(drafts);
}

void drafts_cluster_told(struct drafts *drafts, bool all)
{
	pthread_mutex_lock(&drafts->lock);
	for (size_t i = 0; i < DRAFT_BUCKETS; i++)
		for (struct draft *d = drafts->table[i]; d; d = d->next)
			/* What is being checked may have put its question before the answer came. */
			d->information += all || d->evaluating || (d->check && d->check->questions);
	pthread_mutex_unlock(&drafts->lock);
	draft_wake_engine(drafts);
}

bool drafts_asking(struct drafts *drafts, uint64_t serial)
{
	draft_evaluate(drafts, serial);
	WITH_LOCK(&drafts->lock);
	const struct draft *draft = draft_find(drafts, serial);

	return draft && draft->check && draft->check->asking;
}

/* Under lock: when to look at the draft again, INT64_MIN where its time has come. */
static int64_t ready_time(const struct drafts *drafts, const struct draft *draft, int64_t now)
{
	const struct profile *profile = drafts->config.profile;
	double least = profile->settle < profile->settle_unnamed ? profile->settle :
		profile->settle_unnamed;
	int64_t quiet = 3 * draft->pause_ms;
	bool checked = draft_is_checked(draft);

	if (draft->sealed || draft->elsewhere || draft->writers || draft->running || draft->failed)
		return CLOCK_NEVER;
	if (checked && (draft->check->verdict != DRAFT_READY || draft->check->asking))
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
	if (!needed || draft_open_folder(drafts, serial, &name, &node) < 0)
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
			draft_evaluate(drafts, serial);
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

uint64_t *draft_all_serials(struct drafts *drafts, size_t *count)
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
	AUTO_FREE uint64_t *all = draft_all_serials(drafts, &count);

	*next_ms = CLOCK_NEVER;
	for (size_t i = 0; i < count && found < max; i++)
		if (is_ready(drafts, all[i], next_ms))
			serials[found++] = all[i];
	return found;
}

int drafts_writers(struct drafts *drafts, uint64_t serial)
{
	WITH_LOCK(&drafts->lock);
	const struct draft *draft = draft_find(drafts, serial);

	if (!draft)
		return -ENOENT;
	if (!draft->writers)
		return 0;
	return draft->unflushed ? -EBUSY : -EAGAIN;
}
