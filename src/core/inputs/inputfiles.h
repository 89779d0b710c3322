/* The files that a simulation program's own input names: what the scanners of such inputs return. */
#ifndef SLURMOUNT_INPUTFILES_H
#define SLURMOUNT_INPUTFILES_H

#include <stdbool.h>
#include <stddef.h>

#include "strbuf.h"

enum inputfile_found {
	INPUTFILE_PATH,       /* `path` is read */
	INPUTFILE_MAYBE,      /* `path` is read if a condition holds that only running it tells */
	INPUTFILE_UNRESOLVED, /* `path` is the expression as it stands: what it names is not known */
};

struct inputfile {
	char *file;    /* the input, or the file that it includes, that names it */
	int line;      /* there, from 1 */
	char *keyword; /* what asks for it, in lower case */
	char *path;    /* relative to the input's folder unless `absolute` */
	bool absolute;
	enum inputfile_found found;
};

struct inputfiles {
	struct inputfile *items;
	size_t count;
};

/* How a scanner sees the input's folder; `path` is as the input writes it.  The members may be
 * NULL: then no included file is followed, and nothing is known to be there. */
struct inputfiles_reader {
	void *arg;
	/* Reads an included file.  Returns 0 or a negative errno. */
	int (*read)(void *arg, const char *path, struct strbuf *out);
	bool (*exists)(void *arg, const char *path);
};

/* Appends one, unless the same file is named there already. */
void inputfiles_add(struct inputfiles *files, const char *file, int line, const char *keyword,
	const char *path, enum inputfile_found found);
/* Removes the item at `i`, keeping the order of the others. */
void inputfiles_remove(struct inputfiles *files, size_t i);
/* Frees; the list is empty afterwards. */
void inputfiles_release(struct inputfiles *files);

#endif
