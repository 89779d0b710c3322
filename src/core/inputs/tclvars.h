/* The variables of a Tcl script that is followed without being run: some values are not known. */
#ifndef SLURMOUNT_TCLVARS_H
#define SLURMOUNT_TCLVARS_H

#include <stdbool.h>
#include <stddef.h>

struct tcl_variable {
	char *name;  /* an array's element is "name(index)" */
	char *value; /* NULL: only running the script tells */
};

/* A variable keeps its place, so that two states of one list can be compared. */
struct tcl_variables {
	struct tcl_variable *items;
	size_t count;
};

/* The value, or NULL where it is not known.  A leading :: is as without. */
const char *tcl_variables_get(const struct tcl_variables *v, const char *name);
/* Sets it; NULL forgets it.  Returns false where there are more variables than is sane. */
bool tcl_variables_set(struct tcl_variables *v, const char *name, const char *value);
void tcl_variables_forget_all(struct tcl_variables *v);
/* Forgets what differs from `before`, an earlier copy of `v`. */
void tcl_variables_forget_changed(struct tcl_variables *v, const struct tcl_variables *before);
/* A copy, the caller's to release; `bytes` grows by its size. */
struct tcl_variables tcl_variables_copy(const struct tcl_variables *v, size_t *bytes);
void tcl_variables_release(struct tcl_variables *v);

#endif
