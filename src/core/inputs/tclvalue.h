/* Tcl's commands that make one value of others, and what they give where all is known.  Pure. */
#ifndef SLURMOUNT_TCLVALUE_H
#define SLURMOUNT_TCLVALUE_H

#include "tclword.h"

/* Appends what the command gives to `ret`: format, string, file (names alone), list, llength,
 * lindex, concat, join.  Returns 1 where it is known, 0 where it is not, -1: not such a command. */
int tcl_value(const struct tcl_command *c, struct strbuf *ret);
/* Appends `value` to the list `list` as an element of it. */
void tcl_list_add(struct strbuf *list, const char *value);

#endif
