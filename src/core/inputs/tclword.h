/*
 * Tcl's words: a script is cut into commands, a command into words, with Tcl's rules for braces,
 * quotes, brackets, backslashes, comments and continued lines (Tcl(n), "the dodekalogue").  A word
 * has a value where everything that it is made of is known.  Pure: nothing is run here.
 */
#ifndef SLURMOUNT_TCLWORD_H
#define SLURMOUNT_TCLWORD_H

#include <stdbool.h>
#include <stddef.h>

#include "strbuf.h"

#define TCL_WORDS_MAX 64
/* No value that names a file comes near it; what grows by itself ("set a $a$a") stops here. */
#define TCL_VALUE_MAX 65536
/* $a($a($a(...: what is deeper is not known. */
#define TCL_INDEX_DEPTH_MAX 24

/* A piece of a script, and how sure it is that it is run.  The texts are the caller's. */
struct tcl_piece {
	const char *file; /* that it is in */
	const char *p, *end;
	int line;         /* of `p` in the file, from 1 */
	bool maybe;       /* run only if a condition holds that is not known */
	unsigned depth;   /* of indices within indices that is being read */
};

struct tcl_word {
	struct strbuf value;
	const char *raw; /* as it stands, without the braces or quotes */
	size_t raw_len;
	int line;
	bool known;  /* `value` is the word's; else it is of no meaning */
	bool braced;
};

struct tcl_command {
	struct tcl_word words[TCL_WORDS_MAX]; /* words beyond are read and dropped */
	size_t count;
};

/* What a variable holds and what a command in brackets gives: each appends to `ret` and returns
 * true, or returns false where that is not known. */
struct tcl_context {
	void *arg;
	bool (*variable)(void *arg, const char *name, struct strbuf *ret);
	bool (*command)(void *arg, struct tcl_piece script, struct strbuf *ret);
};

/* Reads the next command; a comment has no words.  Returns false at the end.  What it returned
 * true for is freed by tcl_command_release. */
bool tcl_read_command(struct tcl_piece *p, const struct tcl_context *context,
	struct tcl_command *ret);
void tcl_command_release(struct tcl_command *c);
/* Reads the next element of a list, in which nothing is substituted.  Returns false at the end. */
bool tcl_read_element(struct tcl_piece *p, struct tcl_word *ret);
/* Reads one $variable, [command] or \sequence at `p`, or else a single byte. */
void tcl_substitute(struct tcl_piece *p, const struct tcl_context *context, struct tcl_word *ret);
/* Whether `text` says something by itself: of the known length, and without a NUL byte. */
bool tcl_is_text(const struct tcl_word *w);

#endif
