/*
 * Which files a NAMD configuration reads.  It is Tcl, which is not run here: `set`, $variables,
 * `source`, quotes, braces, comments and continued lines are followed; anything that only running
 * it would tell is reported as unresolved, never guessed.  Pure but for the caller's reading.
 */
#ifndef SLURMOUNT_NAMDCONF_H
#define SLURMOUNT_NAMDCONF_H

#include <stdbool.h>
#include <stddef.h>

#include "strbuf.h"

enum namdconf_found {
	NAMDCONF_PATH,       /* `path` is read */
	NAMDCONF_MAYBE,      /* `path` is read if a condition holds that only running it tells */
	NAMDCONF_UNRESOLVED, /* `path` is the expression as it stands: what it names is not known */
};

struct namdconf_file {
	char *file;    /* the configuration or sourced file that names it */
	int line;      /* there, from 1 */
	char *keyword; /* in lower case, "source" too */
	char *path;    /* relative to the configuration's folder unless `absolute` */
	bool absolute;
	enum namdconf_found found;
};

struct namdconf {
	struct namdconf_file *items;
	size_t count;
};

/* Reads a sourced file, `path` as the configuration writes it.  Returns 0 or a negative errno. */
typedef int (*namdconf_read_fn)(void *arg, const char *path, struct strbuf *out);

/* Scans `text`, the configuration `file`.  `read` may be NULL: sourced files are named and not
 * followed.  Returns 0, or -E2BIG where the configuration has more than is sane; `ret` then holds
 * what was found before.  It must be empty or zeroed, and is freed by namdconf_release. */
int namdconf_scan(const char *file, const char *text, size_t len, namdconf_read_fn read, void *arg,
	struct namdconf *ret);
void namdconf_release(struct namdconf *c);

#endif
