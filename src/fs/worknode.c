/* The nodes below work/: numbers for (job, path), never used twice, kept while the kernel has them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "work.h"

struct node {
	struct node *next_number, *next_path; /* of its two chains */
	uint64_t number;
	uint64_t serial;
	uint64_t nlookup;
	struct remote_attr attr;   /* as last seen */
	struct remote_attr opened; /* as at the last opening */
	bool was_opened;
	char path[];
};

struct work_nodes {
	pthread_mutex_t lock;
	struct node **by_number, **by_path; /* lock */
	size_t slots, count;                /* lock; slots is a power of two */
	uint64_t last;                      /* lock */
};

struct work_nodes *work_nodes_new(void)
{
	struct work_nodes *nodes = xcalloc(1, sizeof(*nodes));

	pthread_mutex_init(&nodes->lock, NULL);
	nodes->slots = 256;
	nodes->by_number = xcalloc(nodes->slots, sizeof(*nodes->by_number));
	nodes->by_path = xcalloc(nodes->slots, sizeof(*nodes->by_path));
	return nodes;
}

void work_nodes_free(struct work_nodes *nodes)
{
	if (!nodes)
		return;
	for (size_t i = 0; i < nodes->slots; i++)
		while (nodes->by_number[i]) {
			struct node *node = nodes->by_number[i];

			nodes->by_number[i] = node->next_number;
			free(node);
		}
	free(nodes->by_number);
	free(nodes->by_path);
	pthread_mutex_destroy(&nodes->lock);
	free(nodes);
}

static uint64_t hash_path(uint64_t serial, const char *path)
{
	uint64_t hash = UINT64_C(14695981039346656037) ^ serial;

	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * UINT64_C(1099511628211);
	return hash ^ hash >> 29;
}

fuse_ino_t work_nodes_hint(const char *path)
{
	return FS_WORK_NODE | (hash_path(0, path) >> 13 & (FS_DRAFT_NODE - 1)) | 1;
}

/* ---- under the lock ---- */

static struct node **number_chain(struct work_nodes *nodes, uint64_t number)
{
	return &nodes->by_number[number & (nodes->slots - 1)];
}

static struct node **path_chain(struct work_nodes *nodes, uint64_t serial, const char *path)
{
	return &nodes->by_path[hash_path(serial, path) & (nodes->slots - 1)];
}

static void link_node(struct work_nodes *nodes, struct node *node)
{
	struct node **chain = number_chain(nodes, node->number);

	node->next_number = *chain;
	*chain = node;
	chain = path_chain(nodes, node->serial, node->path);
	node->next_path = *chain;
	*chain = node;
}

static void grow(struct work_nodes *nodes)
{
	struct node **old = nodes->by_number;
	size_t slots = nodes->slots;

	if (nodes->count < slots)
		return;
	nodes->slots *= 2;
	free(nodes->by_path);
	nodes->by_number = xcalloc(nodes->slots, sizeof(*nodes->by_number));
	nodes->by_path = xcalloc(nodes->slots, sizeof(*nodes->by_path));
	for (size_t i = 0; i < slots; i++)
		for (struct node *node = old[i], *next; node; node = next) {
			next = node->next_number;
			link_node(nodes, node);
		}
	free(old);
}

static struct node *by_ino(struct work_nodes *nodes, fuse_ino_t ino)
{
	uint64_t number = ino & ~FS_WORK_NODE;
	struct node *node = *number_chain(nodes, number);

	while (node && node->number != number)
		node = node->next_number;
	return node;
}

static void drop(struct work_nodes *nodes, struct node *node)
{
	struct node **at = number_chain(nodes, node->number);

	while (*at != node)
		at = &(*at)->next_number;
	*at = node->next_number;
	at = path_chain(nodes, node->serial, node->path);
	while (*at != node)
		at = &(*at)->next_path;
	*at = node->next_path;
	nodes->count--;
	free(node);
}

/* ---- for the handlers and the pool ---- */

fuse_ino_t work_nodes_get(struct work_nodes *nodes, uint64_t serial, const char *path,
	const struct remote_attr *attr)
{
	size_t len = strlen(path) + 1;

	WITH_LOCK(&nodes->lock);
	struct node *node = *path_chain(nodes, serial, path);

	while (node && (node->serial != serial || strcmp(node->path, path)))
		node = node->next_path;
	/* A file in place of a directory is another node: the kernel would call it stale. */
	if (node && (node->attr.mode & S_IFMT) != (attr->mode & S_IFMT))
		node = NULL;
	if (!node) {
		grow(nodes);
		node = xcalloc(1, sizeof(*node) + len);
		memcpy(node->path, path, len);
		node->serial = serial;
		node->number = ++nodes->last;
		nodes->count++;
		link_node(nodes, node);
	}
	node->attr = *attr;
	node->nlookup++;
	return FS_WORK_NODE | node->number;
}

void work_nodes_forget(struct work_nodes *nodes, fuse_ino_t ino, uint64_t nlookup)
{
	WITH_LOCK(&nodes->lock);
	struct node *node = by_ino(nodes, ino);

	if (!node)
		return;
	node->nlookup -= nlookup < node->nlookup ? nlookup : node->nlookup;
	if (!node->nlookup)
		drop(nodes, node);
}

int work_nodes_place(struct work_nodes *nodes, fuse_ino_t ino, struct work_place *ret)
{
	if (!(ino & FS_WORK_NODE)) {
		*ret = (struct work_place){.serial = fs_serial(ino), .path = xstrdup("")};
		return 0;
	}
	WITH_LOCK(&nodes->lock);
	struct node *node = by_ino(nodes, ino);

	if (!node)
		return -ESTALE;
	*ret = (struct work_place){node->serial, xstrdup(node->path), node->attr, true};
	return 0;
}

void work_nodes_note(struct work_nodes *nodes, fuse_ino_t ino, const struct remote_attr *attr)
{
	WITH_LOCK(&nodes->lock);
	struct node *node = by_ino(nodes, ino);

	if (node)
		node->attr = *attr;
}

bool work_nodes_unchanged(struct work_nodes *nodes, fuse_ino_t ino)
{
	WITH_LOCK(&nodes->lock);
	struct node *node = by_ino(nodes, ino);

	if (!node)
		return false;
	bool same = node->was_opened && node->opened.size == node->attr.size &&
		node->opened.mtime_ns == node->attr.mtime_ns;
	node->opened = node->attr;
	node->was_opened = true;
	return same;
}
