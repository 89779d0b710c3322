/*
 * Job templates: a folder with template.ini (a description, variables and their types) and body.sh,
 * the body of the batch script, in which a value is only ever a quoted variable.
 */
#ifndef SLURMOUNT_TEMPLATE_H
#define SLURMOUNT_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "jobspec.h"
#include "strbuf.h"

enum template_type {
	TEMPLATE_TEXT,
	TEMPLATE_FILE,
	TEMPLATE_INTEGER,
	TEMPLATE_NUMBER,
	TEMPLATE_YESNO,
	TEMPLATE_CHOICE,
};

struct template_variable {
	char *name;
	char *unit;     /* NULL: none */
	char *help;     /* NULL: none */
	char *fallback; /* the default, or NULL */
	char **choices; /* NULL-terminated, for TEMPLATE_CHOICE */
	enum template_type type;
	bool required;
	bool has_minimum, has_maximum;
	double minimum, maximum;
};

struct template {
	char *name;
	char *description;
	char *body; /* bash text */
	struct template_variable *variables;
	size_t count;
};

/* Reads the template in `folder`, whose last part is its name.  Returns 0, or a negative errno
 * with what is wrong, a line each; -ENOENT: there is no such template. */
int template_load(const char *folder, struct template **ret, struct strbuf *why);
/* Loads `name` from the user's own folder of templates (NULL: none), else from the built-in ones
 * ($SLURMOUNT_TEMPLATES, or where they are installed).  Errors as template_load. */
int template_find(const char *name, const char *own, struct template **ret, struct strbuf *why);
/* The folder of the built-in templates. */
const char *template_builtin_folder(void);
void template_free(struct template *t);

/* Checks what config.ini gives, `given` (its section named like the template), and appends to
 * `values` every variable of the template in canonical form; one that is neither given nor has a
 * default has the value "".  Returns 0, or -EINVAL with lines "config.ini:LINE: ..." in `why`. */
int template_check(const struct template *t, const struct jobspec_pairs *given,
	struct jobspec_pairs *values, struct strbuf *why);
/* Calls `each` with every draft file that checked `values` name, and the variable that names it.
 * Returns 0 or the first other result. */
int template_files(const struct template *t, const struct jobspec_pairs *values,
	int (*each)(void *arg, const char *variable, const char *path), void *arg);

#endif
