/*
 * Whole trees of dropped files: a walk that tells what kinds of names there are, and deleting.
 * Calls block on local disk only, and take no lock.
 */
#ifndef SLURMOUNT_DRAFTTREE_H
#define SLURMOUNT_DRAFTTREE_H

#include <stdbool.h>

#include "strbuf.h"

struct tree_walk {
	struct strbuf left_out;  /* droppings, paths, a line each */
	struct strbuf transfers; /* names under way, a line each */
	struct strbuf leaving;   /* "PATH -> TARGET", a line each */
	struct strbuf names;     /* of files at the top, each NUL-terminated */
	char *script;            /* a batch script at the top, or NULL */
	size_t scripts;          /* how many there are */
	char *almost;            /* a file at the top that lacks only the first line of one, or NULL */
	struct strbuf script_names; /* of all of them, each NUL-terminated */
	size_t files;            /* regular files that are part of the job */
	bool reserved;           /* something at the top is named .slurmount */
	bool sums;               /* SHA256SUMS is at the top */
};

/* Walks the tree below `folder`, or the files directly in it where `loose`. */
void tree_walk(int folder, bool loose, struct tree_walk *ret);
void tree_walk_release(struct tree_walk *walk);

/* Deletes droppings everywhere below `folder`. */
void tree_sweep_droppings(int folder);
/* Deletes `name` in `folder` and all below it.  0 or a negative errno. */
int tree_delete(int folder, const char *name);

#endif
