#include "inputfiles.h"

#include <string.h>

#include "err.h"

static void free_item(struct inputfile *f)
{
	free(f->file);
	free(f->keyword);
	free(f->path);
}

static bool is_same(const struct inputfile *a, const struct inputfile *b)
{
	return a->line == b->line && a->found == b->found && strcmp(a->path, b->path) == 0 &&
		strcmp(a->keyword, b->keyword) == 0 && strcmp(a->file, b->file) == 0;
}

void inputfiles_add(struct inputfiles *files, const char *file, int line, const char *keyword,
	const char *path, enum inputfile_found found)
{
	struct inputfile f = {.file = xstrdup(file), .line = line, .keyword = xstrdup(keyword),
		.path = xstrdup(path), .found = found,
		.absolute = found != INPUTFILE_UNRESOLVED && *path == '/'};

	for (char *c = f.keyword; *c; c++)
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 'a' - 'A' : *c);
	/* A loop names the same file each time round. */
	for (size_t i = 0; i < files->count; i++) {
		if (is_same(&files->items[i], &f)) {
			free_item(&f);
			return;
		}
	}
	files->items = xrealloc(files->items, (files->count + 1) * sizeof(*files->items));
	files->items[files->count++] = f;
}

void inputfiles_remove(struct inputfiles *files, size_t i)
{
	free_item(&files->items[i]);
	files->count--;
	memmove(&files->items[i], &files->items[i + 1], (files->count - i) * sizeof(*files->items));
}

void inputfiles_release(struct inputfiles *files)
{
	for (size_t i = 0; i < files->count; i++)
		free_item(&files->items[i]);
	free(files->items);
	*files = (struct inputfiles){0};
}
