/* Which file systems other machines may have mounted, too. */
#ifndef SLURMOUNT_NETDISK_H
#define SLURMOUNT_NETDISK_H

#include <stdbool.h>

/* Whether `path` is on a network file system, or one of FUSE, which may be one.  False where that cannot
 * be told.  May block as long as that file system does. */
bool disk_is_network(const char *path);

#endif
