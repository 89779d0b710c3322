/*
 * Files that are brought into the keep on the cluster (see stage_script.h) over several channels.
 *
 * A file goes in pieces, each written to its place in NAME.part, read back and compared with its SHA-256;
 * small files go many together.  What an upload that was cut left in a NAME.part is compared first, and
 * only what differs is sent.
 */
#ifndef SLURMOUNT_UPLOAD_H
#define SLURMOUNT_UPLOAD_H

#include <stdbool.h>

#include "stagetree.h"

struct upload_file {
	const struct stage_entry *entry; /* with a sum */
	bool begun;     /* there is a NAME.part */
	uint64_t inode; /* result: of NAME.part, all pieces of which were verified; 0: it is done */
};

/* Blocks as long as bytes move.  0; remote.h's errors; -EIO, -ENOSPC and the like with the cluster's own
 * words in `why`: what was verified stays there for the next try. */
int upload_run(const struct cluster *cluster, const struct stage_place *place,
	struct upload_file *files, size_t count, struct strbuf *why);
/* Which errno the cluster's words mean; -EIO where none. */
int upload_errno(const char *words);

#endif
