#include "linkpath.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "err.h"

/* The next part of a path and its length, moving on; NULL at the end.  "." is left out. */
static const char *next_part(const char **at, size_t *len)
{
	for (;;) {
		*at += strspn(*at, "/");
		*len = strcspn(*at, "/");
		const char *part = *at;

		*at += *len;
		if (!*len)
			return NULL;
		if (*len != 1 || *part != '.')
			return part;
	}
}

static bool is_up(const char *part, size_t len)
{
	return len == 2 && part[0] == '.' && part[1] == '.';
}

/* Appends the parts of a path; false where one is "..". */
static bool add_parts(struct strbuf *b, const char *path, bool slash)
{
	size_t len;

	for (const char *part; (part = next_part(&path, &len)); slash = true) {
		if (is_up(part, len))
			return false;
		if (slash)
			strbuf_addc(b, '/');
		strbuf_add(b, part, len);
	}
	return true;
}

int linkpath_below(const char *folder, const char *path, struct strbuf *ret)
{
	size_t len = strlen(folder), before = ret->len;

	if (!len || strncmp(path, folder, len) || (path[len] && path[len] != '/') ||
		!add_parts(ret, path + len, false)) {
		strbuf_truncate(ret, before);
		return -EXDEV;
	}
	return 0;
}

/* A relative text that goes up first, no further than to the directory, and then only down: a link on
 * its way down could make a later ".." lead anywhere. */
static bool stays_inside(const char *target, size_t depth)
{
	size_t len, ups = 0;
	bool down = false;

	if (*target == '/')
		return false;
	for (const char *part; (part = next_part(&target, &len));) {
		if (!is_up(part, len))
			down = true;
		else if (down || ++ups > depth)
			return false;
	}
	return true;
}

/* Appends an absolute path, with every ".." taken back by the letter: what is shown must have none. */
static void add_clean(struct strbuf *b, const char *path)
{
	size_t len, root = b->len;

	for (const char *part; (part = next_part(&path, &len));) {
		if (is_up(part, len)) {
			size_t end = b->len;

			while (end > root && b->data[end - 1] != '/')
				end--;
			strbuf_truncate(b, end > root ? end - 1 : root);
			continue;
		}
		strbuf_addc(b, '/');
		strbuf_add(b, part, len);
	}
	if (b->len == root)
		strbuf_addc(b, '/');
}

static size_t depth_of(const char *place)
{
	size_t depth = 0;

	for (; *place; place++)
		depth += *place == '/';
	return depth;
}

void linkpath_show(const char *workdir, const char *place, const char *target, struct strbuf *ret)
{
	struct strbuf below AUTO_STRBUF = STRBUF_INIT;
	size_t depth = depth_of(place);

	if (linkpath_below(workdir, target, &below) == 0) {
		for (size_t i = 0; i < depth; i++)
			strbuf_adds(ret, "../");
		strbuf_adds(ret, below.len ? below.data : ".");
	} else if (stays_inside(target, depth)) {
		strbuf_adds(ret, target);
	} else {
		const char *slash = strrchr(place, '/');
		AUTO_FREE char *path = *target == '/' ? xstrdup(target) : xasprintf("%s/%.*s/%s", workdir,
			slash ? (int)(slash - place) : 0, place, target);

		strbuf_adds(ret, "cluster:");
		add_clean(ret, path);
	}
}
