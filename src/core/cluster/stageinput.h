/*
 * The shell text that puts a job's [inputs] into its directory while it is staged: copies of files
 * that other jobs left, and links to files of the cluster.  Pure.
 */
#ifndef SLURMOUNT_STAGEINPUT_H
#define SLURMOUNT_STAGEINPUT_H

#include <stddef.h>

#include "strbuf.h"

struct stage_input {
	char *name;   /* where it is to be, a clean path below the job's directory */
	char *job;    /* the name of the job that left it; NULL: `path` is absolute, and linked */
	char *folder; /* that job's directory on the cluster, absolute */
	char *path;   /* clean and below `folder`, or absolute */
};

/* What the text exits with where an input cannot be had, with a sentence on stderr. */
#define STAGEINPUT_EXIT 78

/* Appends bash text that is to be run in the job's new directory.  A copy is made of an ordinary
 * file only, reached by no link out of `folder`, and has the size of its source before and after.
 * It exits 78 where one is not there, 74 where copying failed (words on stderr), and goes on
 * otherwise; a link whose target is not there is a line on stdout. */
void stageinput_add(struct strbuf *script, const struct stage_input *inputs, size_t count);
void stageinput_free(struct stage_input *inputs, size_t count);

#endif
