/* Plain text in aligned columns.  Pure. */
#ifndef SLURMOUNT_TEXTTABLE_H
#define SLURMOUNT_TEXTTABLE_H

#include <stddef.h>

#include "strbuf.h"

struct texttable {
	size_t columns;
	char **cells;   /* row by row */
	size_t count;
	size_t capacity;
};

#define TEXTTABLE_INIT(n) ((struct texttable){.columns = (n)})

/* The next cell.  What could break a column does not: control characters are escaped, and blanks are
 * _ but in the last column; an empty cell is "-". */
void texttable_add(struct texttable *table, const char *text, size_t len);
void texttable_adds(struct texttable *table, const char *text);
void texttable_render(const struct texttable *table, struct strbuf *ret);
void texttable_release(struct texttable *table);

#endif
