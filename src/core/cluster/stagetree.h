/*
 * What a job's directory is made of, before any of it is sent: the files of its draft, those that its
 * template makes or brings, and slurmount's own.
 */
#ifndef SLURMOUNT_STAGETREE_H
#define SLURMOUNT_STAGETREE_H

#include "filesum.h"
#include "stage.h"

/* From this size on a file is kept on the cluster by its content: it is sent once. */
#define STAGE_KEPT_MIN 65536
#define STAGE_KEPT_MODE 0600

struct stage_entry {
	char *path;          /* in the job's directory; a folder's ends in / */
	mode_t mode;         /* type, and the permissions that were asked for */
	uint64_t size;
	char *link;          /* text of a symbolic link */
	int source;          /* folder that `local` is below, AT_FDCWD for a path; the tree's */
	char *local;         /* a regular file's content, on this machine; or */
	const char *bytes;   /* these, the job's */
	struct filesum *sum; /* NULL: the content travels with the job */
};

struct stage_tree {
	struct stage_entry *entries;
	size_t count, capacity;
	int source;          /* the draft's folder */
	uint64_t size;       /* of all content that has no sum */
	size_t kept;         /* entries that have one */
};

#define STAGE_TREE_INIT ((struct stage_tree){.source = -1})

/* Lists all of `job`; files to be kept are hashed, which blocks on local disk.  0 or a negative errno,
 * with a sentence in job->why.  `tree` is to be released in any case. */
int stage_tree_read(const struct stage_job *job, struct filesums *sums, struct stage_tree *tree);
void stage_tree_release(struct stage_tree *tree);
/* Opens a regular file's content for reading. A descriptor or a negative errno. */
int stage_entry_open(const struct stage_entry *entry);

#endif
