#include "texttable.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"

void texttable_add(struct texttable *t, const char *text, size_t len)
{
	struct strbuf cell = STRBUF_INIT;

	strbuf_add_escaped(&cell, len ? text : "-", len ? len : 1);
	if ((t->count + 1) % t->columns)
		for (size_t i = 0; i < cell.len; i++)
			if (cell.data[i] == ' ')
				cell.data[i] = '_';
	if (t->count == t->capacity) {
		t->capacity = 2 * t->capacity + 64;
		t->cells = xrealloc(t->cells, t->capacity * sizeof(*t->cells));
	}
	t->cells[t->count++] = strbuf_steal(&cell);
}

void texttable_adds(struct texttable *t, const char *text)
{
	texttable_add(t, text, strlen(text));
}

/* In characters, not bytes. */
static size_t width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

void texttable_render(const struct texttable *t, struct strbuf *ret)
{
	AUTO_FREE size_t *widths = xcalloc(t->columns, sizeof(*widths));

	for (size_t i = 0; i < t->count; i++)
		if (width(t->cells[i]) > widths[i % t->columns])
			widths[i % t->columns] = width(t->cells[i]);
	for (size_t i = 0; i < t->count; i++) {
		size_t column = i % t->columns;

		strbuf_adds(ret, t->cells[i]);
		if (column + 1 == t->columns)
			strbuf_addc(ret, '\n');
		else
			strbuf_addf(ret, "%*s", (int)(widths[column] + 2 - width(t->cells[i])), "");
	}
}

void texttable_release(struct texttable *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->cells[i]);
	free(t->cells);
}
