#include "tclvalue.h"

#include <ctype.h>
#include <string.h>

#include "err.h"
#include "tclexpr.h"

static const char *word(const struct tcl_command *c, size_t i)
{
	return i < c->count ? c->words[i].value.data : "";
}

static bool is(const struct tcl_command *c, size_t i, const char *text)
{
	return i < c->count && strcmp(c->words[i].value.data, text) == 0;
}

void tcl_list_add(struct strbuf *list, const char *value)
{
	bool plain = *value && !strpbrk(value, " \t\r\n;\"$[]{}\\#");

	if (list->len)
		strbuf_addc(list, ' ');
	if (plain) {
		strbuf_adds(list, value);
	} else if (strpbrk(value, "{}\\")) {
		for (const char *p = value; *p; p++) {
			if (strchr(" \t\r\n;\"$[]{}\\#", *p))
				strbuf_addc(list, '\\');
			strbuf_addc(list, *p);
		}
	} else {
		strbuf_addf(list, "{%s}", value);
	}
}

/* One conversion of format(n), `spec` being "%..." with its letter last. */
static bool convert(char *spec, size_t len, const char *value, struct strbuf *ret)
{
	char kind = spec[len - 1];
	AUTO_FREE char *with = NULL;
	long long i;
	double d;

	/* No name needs a width or precision of four digits. */
	for (const char *p = spec; *p; p++) {
		if (strspn(p, "0123456789") > 3)
			return false;
	}
	spec[len - 1] = '\0';
	if (kind == 's') {
		with = xasprintf("%ss", spec);
		strbuf_addf(ret, with, value);
	} else if (strchr("dixXo", kind) && tcl_integer(value, &i)) {
		with = xasprintf("%sll%c", spec, kind);
		strbuf_addf(ret, with, i);
	} else if (strchr("feEgG", kind) && tcl_number(value, &d)) {
		with = xasprintf("%s%c", spec, kind);
		strbuf_addf(ret, with, d);
	} else {
		return false;
	}
	return true;
}

static bool format(const struct tcl_command *c, struct strbuf *ret)
{
	size_t next = 2;

	if (c->count < 2)
		return false;
	for (const char *p = c->words[1].value.data; *p;) {
		size_t len = *p == '%' ? 1 + strspn(p + 1, "-+ 0#.123456789") : 0;

		if (!len) {
			strbuf_addc(ret, *p++);
		} else if (p[1] == '%') {
			strbuf_addc(ret, '%');
			p += 2;
		} else {
			AUTO_FREE char *spec = xstrndup(p, len + 1);

			if (!p[len] || len > 20 || next >= c->count ||
				!convert(spec, len + 1, word(c, next++), ret))
				return false;
			p += len + 1;
		}
	}
	return true;
}

static bool join_path(const struct tcl_command *c, struct strbuf *ret)
{
	struct strbuf path AUTO_STRBUF = STRBUF_INIT;

	for (size_t i = 2; i < c->count; i++) {
		const char *part = word(c, i);

		if (*part == '/')
			strbuf_reset(&path);
		else if (path.len && path.data[path.len - 1] != '/')
			strbuf_addc(&path, '/');
		strbuf_adds(&path, part);
		while (path.len > 1 && path.data[path.len - 1] == '/')
			strbuf_truncate(&path, path.len - 1);
	}
	strbuf_add(ret, path.data, path.len);
	return true;
}

static bool file(const struct tcl_command *c, struct strbuf *ret)
{
	const char *name = word(c, 2);
	const char *slash = strrchr(name, '/');
	const char *tail = slash ? slash + 1 : name;
	const char *dot = strrchr(tail, '.');

	if (is(c, 1, "join"))
		return join_path(c, ret);
	/* A name with a slash at its end has rules of its own. */
	if (c->count != 3 || !*tail)
		return false;
	if (is(c, 1, "tail"))
		strbuf_adds(ret, tail);
	else if (is(c, 1, "rootname"))
		strbuf_add(ret, name, dot ? (size_t)(dot - name) : strlen(name));
	else if (is(c, 1, "extension"))
		strbuf_adds(ret, dot ? dot : "");
	else if (is(c, 1, "dirname"))
		strbuf_add(ret, slash == name ? "/" : slash ? name : ".",
			slash > name ? (size_t)(slash - name) : 1);
	else
		return false;
	return true;
}

static bool trim(const struct tcl_command *c, struct strbuf *ret)
{
	const char *set = c->count > 3 ? word(c, 3) : " \t\r\n\f\v";
	const char *start = word(c, 2);
	size_t len = strlen(start);

	if (!is(c, 1, "trimright")) {
		start += strspn(start, set);
		len = strlen(start);
	}
	while (!is(c, 1, "trimleft") && len && strchr(set, start[len - 1]))
		len--;
	strbuf_add(ret, start, len);
	return true;
}

static bool string(const struct tcl_command *c, struct strbuf *ret)
{
	bool lower = is(c, 1, "tolower");

	if ((lower || is(c, 1, "toupper")) && c->count == 3) {
		for (const char *p = word(c, 2); *p; p++)
			strbuf_addc(ret, (char)(lower ? tolower((unsigned char)*p) :
				toupper((unsigned char)*p)));
	} else if ((is(c, 1, "trim") || is(c, 1, "trimleft") || is(c, 1, "trimright")) &&
		(c->count == 3 || c->count == 4)) {
		return trim(c, ret);
	} else if (is(c, 1, "length") && c->count == 3) {
		strbuf_addf(ret, "%zu", c->words[2].value.len);
	} else if (is(c, 1, "equal") && c->count == 4) {
		strbuf_addc(ret, strcmp(word(c, 2), word(c, 3)) == 0 ? '1' : '0');
	} else if (is(c, 1, "compare") && c->count == 4) {
		int r = strcmp(word(c, 2), word(c, 3));

		strbuf_addf(ret, "%d", (r > 0) - (r < 0));
	} else {
		return false;
	}
	return true;
}

/* Appends the element `wanted` of a list, or counts them all. */
static size_t walk_list(const struct tcl_word *list, long long wanted, struct strbuf *ret)
{
	struct tcl_piece p = {.p = list->value.data, .end = list->value.data + list->value.len};
	struct tcl_word element;
	size_t count = 0;

	for (; tcl_read_element(&p, &element); count++) {
		if ((long long)count == wanted)
			strbuf_add(ret, element.value.data, element.value.len);
		strbuf_release(&element.value);
	}
	return count;
}

static bool list_part(const struct tcl_command *c, struct strbuf *ret)
{
	long long i = -1;

	if (is(c, 0, "llength") && c->count == 2) {
		strbuf_addf(ret, "%zu", walk_list(&c->words[1], -1, NULL));
		return true;
	}
	if (c->count != 3 || (!is(c, 2, "end") && !tcl_integer(word(c, 2), &i)))
		return false;
	if (is(c, 2, "end"))
		i = (long long)walk_list(&c->words[1], -1, NULL) - 1;
	walk_list(&c->words[1], i, ret);
	return true;
}

static bool join_list(const struct tcl_command *c, struct strbuf *ret)
{
	struct tcl_piece p = {.p = word(c, 1)};
	struct tcl_word element;

	p.end = p.p + strlen(p.p);
	for (size_t i = 0; tcl_read_element(&p, &element); i++) {
		strbuf_adds(ret, i == 0 ? "" : c->count > 2 ? word(c, 2) : " ");
		strbuf_add(ret, element.value.data, element.value.len);
		strbuf_release(&element.value);
	}
	return true;
}

int tcl_value(const struct tcl_command *c, struct strbuf *ret)
{
	static const char *const names[] = {"format", "file", "string", "list", "llength", "lindex",
		"concat", "join"};
	size_t which = 0, count = sizeof(names) / sizeof(*names);

	while (which < count && !is(c, 0, names[which]))
		which++;
	if (which == count)
		return -1;
	for (size_t i = 0; i < c->count; i++) {
		if (!tcl_is_text(&c->words[i]))
			return 0;
	}
	if (which < 3)
		return which == 0 ? format(c, ret) : which == 1 ? file(c, ret) : string(c, ret);
	if (which == 4 || which == 5)
		return list_part(c, ret);
	if (which == 7)
		return join_list(c, ret);
	for (size_t i = 1; i < c->count; i++) {
		if (which == 3)
			tcl_list_add(ret, word(c, i));
		else
			strbuf_addf(ret, i > 1 ? " %s" : "%s", word(c, i));
	}
	return 1;
}
