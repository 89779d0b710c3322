/* Bringing a tree of dropped files to the disk, before something on the disk may speak of it. */
#ifndef SLURMOUNT_TREESYNC_H
#define SLURMOUNT_TREESYNC_H

#include <stdbool.h>

/* All files and folders below the folder, or only the files directly in it where `loose`, are on the
 * disk afterwards, names and bytes.  `folder`: a descriptor open for reading.  A tree of few files
 * is synced by itself: whatever else is being written to that disk is not waited for.  Blocks on
 * the local disk.  0 or a negative errno. */
int tree_sync(int folder, bool loose);

#endif
