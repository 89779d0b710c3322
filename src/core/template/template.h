/*
 * Job templates.  A template is a flat folder:
 *
 *   template.ini   a description, and a section for each variable: its type, range and so on
 *   body.sh        the body of the batch script, in which a value is only ever a shell variable
 *   NAME.in        becomes NAME in the job's directory, with {{variable}} replaced by its value
 *   README*        about the template; stays where it is
 *   anything else  is copied into the job's directory
 *
 * A value is data.  What it may hold depends on where it goes: see enum template_kind, which
 * template_render.c puts into effect.  No value ever holds a control character, so none adds a line.
 */
#ifndef SLURMOUNT_TEMPLATE_H
#define SLURMOUNT_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "jobspec.h"
#include "strbuf.h"

#define TEMPLATE_RENDERED_MAX 16 /* files that are rendered */
#define TEMPLATE_COPIED_MAX 64   /* files that are copied */

enum template_type {
	TEMPLATE_TEXT,
	TEMPLATE_FILE,
	TEMPLATE_INTEGER,
	TEMPLATE_NUMBER,
	TEMPLATE_YESNO,
	TEMPLATE_CHOICE,
};

/* What a rendered file is, by its name, and so how a value is made safe in it.  The safe characters
 * are letters, digits and TEMPLATE_SAFE_MARKS: none of them means anything to Tcl, LAMMPS, a shell,
 * or quotes anything. */
enum template_kind {
	TEMPLATE_TCL,     /* *.namd *.conf *.tcl: no text; file names of safe characters */
	TEMPLATE_SHELL,   /* *.sh *.bash: quoted, and only in NAME={{variable}} lines at the top */
	TEMPLATE_JSON,    /* *.json: escaped within a string; outside of one only numbers */
	TEMPLATE_SETTING, /* *.ini *.mdp: behind a line's `=`; safe characters and blanks */
	TEMPLATE_PLAIN,   /* all others: safe characters, no text that begins with - */
};
#define TEMPLATE_SAFE_MARKS "._+-/:=,@"

struct template_variable {
	char *name;
	char *unit;     /* NULL: none */
	char *help;     /* NULL: none */
	char *fallback; /* the default in canonical form, or NULL */
	char **choices; /* NULL-terminated, for TEMPLATE_CHOICE */
	char *reads;    /* TEMPLATE_FILE: the program whose input it is (draftinputs.h), or NULL */
	enum template_type type;
	bool required;
	bool has_default;
	bool multiple;  /* TEMPLATE_FILE: several names separated by blanks */
	bool has_minimum, has_maximum;
	double minimum, maximum;
	int line;       /* of its section in template.ini */
	unsigned kinds; /* bits 1 << enum template_kind of the files that it is rendered into */
};

struct template_file {
	char *name;  /* in the job's directory */
	char *text;  /* with placeholders; NULL: the file is copied, from `folder` */
	size_t len;
	enum template_kind kind;
	mode_t mode; /* 0644 or 0755 */
};

struct template {
	char *name;
	char *folder; /* where it was loaded from */
	char *description;
	char *body; /* bash text */
	struct template_variable *variables;
	size_t count;
	struct template_file *files; /* the rendered ones first, each part by name */
	size_t file_count;
	size_t rendered;             /* so many of them are rendered */
};

/* ---- loading (template_load.c); these block on local disk only ---- */

/* Reads and validates the template in `folder`, whose last part is its name.  Returns 0, or a
 * negative errno with what is wrong, "templates/NAME/FILE:LINE: ..." lines; -ENOENT: there is no
 * such folder, and nothing is said. */
int template_load(const char *folder, struct template **ret, struct strbuf *why);
void template_free(struct template *t);

/* ---- where they are (template_find.c); these block on local disk only ---- */

/* The folder of the built-in templates: $SLURMOUNT_TEMPLATES, or where they are installed. */
const char *template_builtin_folder(void);
/* The folder of the user's own, $XDG_CONFIG_HOME/slurmount/templates or the like in ~/.config, the
 * caller's to free; NULL where neither variable says where.  It need not exist. */
char *template_own_folder(void);
/* Loads the template `name` from the built-in ones or from the user's own in `own` (NULL: none).
 * Returns as template_load(); -ENOENT with the nearest name and all there are; -EEXIST with a
 * sentence where both have it, since neither may stand in for the other in silence. */
int template_find(const char *name, const char *own, struct template **ret, struct strbuf *why);
/* A number that becomes another one when anything of the template changes, or another comes first. */
uint64_t template_stamp(const char *name, const char *own);

/* Copies the template in `folder` into `parent`, which is made, durably, and complete or not under
 * its name (template_keep.c).  0 or a negative errno. */
int template_keep(const char *folder, const char *parent);

/* ---- values (template.c); pure ---- */

/* Checks what config.ini gives, `given` (its section named like the template), and appends to
 * `values` every variable of the template in canonical form; one that is neither given nor has a
 * default has the value "".  Returns 0, or -EINVAL with lines "config.ini:LINE: ..." in `why`. */
int template_check(const struct template *t, const struct jobspec_pairs *given,
	struct jobspec_pairs *values, struct strbuf *why);
/* Calls `each` with every draft file that checked `values` name, and the variable that names it.
 * Returns 0 or the first other result. */
int template_files(const struct template *t, const struct jobspec_pairs *values,
	int (*each)(void *arg, const char *variable, const char *path), void *arg);
/* The file that the template brings under that name, or NULL. */
const struct template_file *template_file(const struct template *t, const char *name);
struct template_variable *template_variable(const struct template *t, const char *name);
/* Checks one value and gives its canonical form, the caller's to free; NULL: it is not allowed. */
char *template_canonical(const struct template_variable *v, const char *value);
/* Appends what a variable takes: "a whole number, at least 1 (fs)". */
void template_say_allowed(const struct template_variable *v, struct strbuf *ret);

/* ---- rendered files (template_render.c); pure ---- */

/* The kind of a rendered file by its name, the one without ".in". */
enum template_kind template_kind_of(const char *name);
/* Checks the placeholders of `file` against the variables, whose `kinds` it completes.  0, or -EINVAL
 * with lines. */
int template_check_file(const struct template *t, const struct template_file *file,
	struct strbuf *why);
/* Whether body.sh refers to the variable. */
bool template_body_uses(const char *body, const char *name);
/* Appends the rendered file; `values` are template_check()'s. */
void template_render(const struct template_file *file, const struct jobspec_pairs *values,
	struct strbuf *ret);

#endif
