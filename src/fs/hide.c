/* What `rm -rf` has removed of a job's directory before it removes the directory itself. */
#include <pthread.h>
#include <stdlib.h>

#include "err.h"
#include "fs.h"

struct hidden {
	uint64_t serial;
	unsigned parts;
};

struct hides {
	pthread_mutex_t lock;
	struct hidden *items; /* lock; few: only jobs that are just being removed */
	size_t count;         /* lock */
};

struct hides *hides_new(void)
{
	struct hides *hides = xcalloc(1, sizeof(*hides));

	pthread_mutex_init(&hides->lock, NULL);
	return hides;
}

void hides_free(struct hides *hides)
{
	if (!hides)
		return;
	pthread_mutex_destroy(&hides->lock);
	free(hides->items);
	free(hides);
}

/* Under the lock. */
static struct hidden *find(struct hides *hides, uint64_t serial)
{
	for (size_t i = 0; i < hides->count; i++)
		if (hides->items[i].serial == serial)
			return &hides->items[i];
	return NULL;
}

void hides_add(struct hides *hides, uint64_t serial, unsigned parts)
{
	WITH_LOCK(&hides->lock);
	struct hidden *hidden = find(hides, serial);

	if (!hidden) {
		hides->items = xrealloc(hides->items, (hides->count + 1) * sizeof(*hides->items));
		hidden = &hides->items[hides->count++];
		*hidden = (struct hidden){.serial = serial};
	}
	hidden->parts |= parts;
}

unsigned hides_get(struct hides *hides, uint64_t serial)
{
	WITH_LOCK(&hides->lock);
	struct hidden *hidden = find(hides, serial);

	return hidden ? hidden->parts : 0;
}

void hides_drop(struct hides *hides, uint64_t serial)
{
	WITH_LOCK(&hides->lock);
	struct hidden *hidden = find(hides, serial);

	if (hidden)
		*hidden = hides->items[--hides->count];
}
