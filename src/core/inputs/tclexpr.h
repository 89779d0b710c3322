/* Tcl's expressions as expr(n) has them, as far as their operands are known.  Pure. */
#ifndef SLURMOUNT_TCLEXPR_H
#define SLURMOUNT_TCLEXPR_H

#include "tclword.h"

/* Appends the value of the expression `text` to `ret`; `where` says what piece it stands in.
 * Returns false where it is not known, or is no expression. */
bool tcl_expr(const char *text, size_t len, struct tcl_piece where,
	const struct tcl_context *context, struct strbuf *ret);
/* The same as a condition: 1, 0, or -1 where it is not known. */
int tcl_condition(const char *text, size_t len, struct tcl_piece where,
	const struct tcl_context *context);
/* Reads the whole of `text`, blanks around it allowed, as Tcl reads a whole number. */
bool tcl_integer(const char *text, long long *ret);
/* The same for any number. */
bool tcl_number(const char *text, double *ret);

#endif
