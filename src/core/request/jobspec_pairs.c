/* Lists of `key = value`. */
#include "jobspec.h"

#include <string.h>

#include "err.h"

void jobspec_pairs_add(struct jobspec_pairs *pairs, const char *key, const char *value, int line)
{
	/* The room doubles at each power of two, so no capacity needs to be kept. */
	if (!(pairs->count & (pairs->count - 1)))
		pairs->items = xrealloc(pairs->items,
			(pairs->count ? 2 * pairs->count : 1) * sizeof(*pairs->items));
	pairs->items[pairs->count++] = (struct jobspec_pair){xstrdup(key), xstrdup(value), line};
}

void jobspec_pairs_free(struct jobspec_pairs *pairs)
{
	for (size_t i = 0; i < pairs->count; i++) {
		free(pairs->items[i].key);
		free(pairs->items[i].value);
	}
	free(pairs->items);
	*pairs = (struct jobspec_pairs){0};
}

const struct jobspec_pair *jobspec_pairs_find(const struct jobspec_pairs *pairs, const char *key)
{
	for (size_t i = 0; i < pairs->count; i++)
		if (!strcmp(pairs->items[i].key, key))
			return &pairs->items[i];
	return NULL;
}

void jobspec_pairs_remove(struct jobspec_pairs *pairs, const char *key)
{
	struct jobspec_pairs left = {0};

	for (size_t i = 0; i < pairs->count; i++)
		if (strcmp(pairs->items[i].key, key))
			jobspec_pairs_add(&left, pairs->items[i].key, pairs->items[i].value,
				pairs->items[i].line);
	jobspec_pairs_free(pairs);
	*pairs = left;
}
