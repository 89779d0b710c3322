/* What the parts of the spool share: its tables, and nodes that may lose their descriptors. */
#ifndef SLURMOUNT_SPOOL_INTERNAL_H
#define SLURMOUNT_SPOOL_INTERNAL_H

#include <pthread.h>

#include "spool.h"

#define SPOOL_BUCKETS 16384 /* a power of two; chains stay short up to 100,000 nodes */

struct spool {
	pthread_mutex_t lock;
	pthread_cond_t renamed; /* `renaming` is false again */
	char *folder;
	struct spool_node *root;
	/* under lock, as all below */
	struct spool_node *by_id[SPOOL_BUCKETS];
	struct spool_node *by_inode[SPOOL_BUCKETS];
	uint64_t next_id;
	struct spool_node *oldest, *newest; /* idle nodes that have a descriptor */
	size_t open, shut;                  /* nodes with a descriptor, and without */
	size_t limit;                       /* of `open` */
	unsigned moving;                    /* entries are being renamed or removed: no path holds */
	uint64_t moves;                     /* so often has one been */
	bool renaming;                      /* while there are nodes without: one at a time */
};

/* All under lock.  A known inode's node, or NULL. */
struct spool_node *spool_by_inode(struct spool *spool, dev_t dev, ino_t ino);
/* One more reference, not the kernel's.  A node without a descriptor takes `*fd` over, where
 * given, and leaves -1 there. */
void spool_pin(struct spool *spool, struct spool_node *node, int *fd);
/* One pin less; the reference stays. */
void spool_unpin(struct spool *spool, struct spool_node *node);
/* It is not idle. */
void spool_busy(struct spool *spool, struct spool_node *node);

/* Under no lock.  Closes descriptors of nodes that were idle for longest until `limit` holds, or
 * none can be closed. */
void spool_shrink(struct spool *spool);
/* Opens a pinned node's descriptor again.  False: it is not where it was. */
bool spool_open_again(struct spool *spool, struct spool_node *node);

#endif
