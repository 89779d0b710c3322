/* What the kernel has to forget of drafts, until the notifier takes it. */
#include "drafts_internal.h"
#include "err.h"

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
