/*
 * Follows a Tcl script without running it: variables, expressions, branches, loops and procedures
 * as far as they are known.  What is not known is never guessed: a branch whose condition is not
 * known is followed as one that may be run, and what it sets is known no more.  The caller is told
 * of the commands that are not Tcl's, and of the files that Tcl's own commands read and write.
 */
#ifndef SLURMOUNT_TCLSCAN_H
#define SLURMOUNT_TCLSCAN_H

#include "tclword.h"

/* `at` says where: its file, and whether it is run for certain; the line is that of the words. */
struct tclscan_caller {
	void *arg;
	/* A command that is not Tcl's and no procedure of the script's.  Its first word may be not
	 * known, where it has a "=" in it. */
	void (*command)(void *arg, const struct tcl_piece *at, const struct tcl_command *c);
	/* `source`.  Appends the file's text and returns true, or returns false. */
	bool (*source)(void *arg, const struct tcl_piece *at, const struct tcl_word *name,
		struct strbuf *ret);
	/* `open`, `file copy`, `exec cp`: a file that is read or written. */
	void (*file)(void *arg, const struct tcl_piece *at, const char *command,
		const struct tcl_word *name, bool writes);
	/* `file exists`: true where it is known to be there. */
	bool (*exists)(void *arg, const char *name);
};

/* Returns 0, or -E2BIG where the script has more than is sane, or has no end: then not all of it
 * was followed. */
int tclscan_run(const char *file, const char *text, size_t len,
	const struct tclscan_caller *caller);

#endif
