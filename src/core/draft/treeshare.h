/*
 * Files of a draft that have a name outside of it, too: a hard link that was moved into another draft.
 * Whoever writes through that name would change what was submitted, so such files become copies.
 */
#ifndef SLURMOUNT_TREESHARE_H
#define SLURMOUNT_TREESHARE_H

#include <stddef.h>
#include <sys/types.h>

/* Replaces each regular file below `folder` that has more names than are found there by a copy, whose
 * names there are links of each other as before.  `names` not NULL: only these in `folder` itself,
 * each NUL-terminated, `len` bytes in all.  `temporary` is a folder of the same file system.  `replaced`
 * is called with each inode that is no part of the draft any more.  Blocks on the local disk.  0 or a
 * negative errno: then some of them may be copies already. */
int tree_unshare(int folder, const char *names, size_t len, int temporary,
	void (*replaced)(void *arg, dev_t dev, ino_t ino), void *arg);

#endif
