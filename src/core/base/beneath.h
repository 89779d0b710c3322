/* Opening what lies in a folder, and nothing that a path or a link leads to outside it. */
#ifndef SLURMOUNT_BENEATH_H
#define SLURMOUNT_BENEATH_H

#include <stdint.h>

/* openat2(2) with RESOLVE_BENEATH and `resolve`.  Where the kernel lacks it, or a sandbox says so, it is
 * looked where the path leads, and then that is opened.  A descriptor, closed by exec, or a negative
 * errno; -EXDEV: it would lead out. */
int open_beneath(int folder, const char *path, int flags, uint64_t resolve);

#endif
