#include "tclword.h"

#include <string.h>

#include "err.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool ends_word(char c)
{
	return is_blank(c) || c == '\n' || c == ';';
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
		c == ':';
}

static bool is_continued(const struct tcl_piece *p)
{
	return *p->p == '\\' && p->p + 1 < p->end && p->p[1] == '\n';
}

bool tcl_is_text(const struct tcl_word *w)
{
	return w->known && strlen(w->value.data) == w->value.len;
}

/* Goes over one byte, or over a backslash and what it protects. */
static void step(struct tcl_piece *p)
{
	p->line += *p->p == '\n';
	if (*p->p == '\\' && p->p + 1 < p->end) {
		p->p++;
		p->line += *p->p == '\n';
	}
	p->p++;
}

/* Goes over a {...} that begins at `p`. */
static void skip_braces(struct tcl_piece *p)
{
	size_t depth = 0;

	while (p->p < p->end) {
		char c = *p->p;

		step(p);
		if (c == '{')
			depth++;
		else if (c == '}' && --depth == 0)
			return;
	}
}

/* Goes over a [...] that begins at `p`; braces and quoted words in it may hold brackets. */
static void skip_brackets(struct tcl_piece *p)
{
	bool begins = true;
	size_t depth = 0;

	while (p->p < p->end) {
		char c = *p->p;

		if (c == '{' && begins) {
			skip_braces(p);
			continue;
		}
		step(p);
		if (c == '"' && begins) {
			while (p->p < p->end && *p->p != '"')
				step(p);
			if (p->p < p->end)
				p->p++;
		} else if (c == ']' && --depth == 0) {
			return;
		}
		depth += c == '[';
		begins = ends_word(c) || c == '[';
	}
}

static void substitute_command(struct tcl_piece *p, const struct tcl_context *context,
	struct tcl_word *w)
{
	struct tcl_piece script = *p;

	script.p++;
	skip_brackets(p);
	script.end = p->p[-1] == ']' ? p->p - 1 : p->p;
	if (script.end < script.p || !context->command(context->arg, script, &w->value))
		w->known = false;
}

/* The index of $name(index), which may itself be made of variables. */
static void add_index(struct tcl_piece *p, const struct tcl_context *context, struct strbuf *name,
	struct tcl_word *w)
{
	struct tcl_word index = {.value = STRBUF_INIT, .known = true};

	if (p->depth == TCL_INDEX_DEPTH_MAX) {
		p->p = p->end;
		w->known = false;
		return;
	}
	p->depth++;
	p->p++;
	while (p->p < p->end && *p->p != ')')
		tcl_substitute(p, context, &index);
	p->depth--;
	if (p->p < p->end)
		p->p++;
	strbuf_addf(name, "(%s)", index.value.data);
	w->known = w->known && tcl_is_text(&index);
	strbuf_release(&index.value);
}

static void substitute_variable(struct tcl_piece *p, const struct tcl_context *context,
	struct tcl_word *w)
{
	struct strbuf name AUTO_STRBUF = STRBUF_INIT;
	const char *start = ++p->p;

	if (p->p < p->end && *p->p == '{') {
		const char *stop;

		start++;
		stop = memchr(start, '}', (size_t)(p->end - start));
		p->p = stop ? stop + 1 : p->end;
		strbuf_add(&name, start, (size_t)((stop ? stop : p->end) - start));
	} else {
		while (p->p < p->end && is_name_char(*p->p))
			p->p++;
		if (p->p == start) {
			strbuf_addc(&w->value, '$');
			return;
		}
		strbuf_add(&name, start, (size_t)(p->p - start));
		if (p->p < p->end && *p->p == '(')
			add_index(p, context, &name, w);
	}
	if (!context->variable(context->arg, name.data, &w->value))
		w->known = false;
}

static void substitute_backslash(struct tcl_piece *p, struct tcl_word *w)
{
	static const char from[] = "abfnrtv", to[] = "\a\b\f\n\r\t\v";
	const char *known;

	p->p++;
	if (p->p == p->end)
		return;
	known = *p->p ? strchr(from, *p->p) : NULL;
	if (*p->p == '\n') {
		p->line++;
		strbuf_addc(&w->value, ' ');
	} else if (*p->p == 'x' || *p->p == 'u' || (*p->p >= '0' && *p->p <= '7')) {
		w->known = false;
	} else {
		strbuf_addc(&w->value, known ? to[known - from] : *p->p);
	}
	p->p++;
}

void tcl_substitute(struct tcl_piece *p, const struct tcl_context *context, struct tcl_word *ret)
{
	if (*p->p == '$' && context) {
		substitute_variable(p, context, ret);
	} else if (*p->p == '[' && context) {
		substitute_command(p, context, ret);
	} else if (*p->p == '\\') {
		substitute_backslash(p, ret);
	} else {
		p->line += *p->p == '\n';
		strbuf_addc(&ret->value, *p->p++);
	}
	if (ret->value.len > TCL_VALUE_MAX) {
		strbuf_reset(&ret->value);
		ret->known = false;
	}
}

static void read_braces(struct tcl_piece *p, struct tcl_word *w)
{
	w->braced = true;
	w->raw = p->p + 1;
	skip_braces(p);
	w->raw_len = (size_t)(p->p - w->raw) - (p->p[-1] == '}' && p->p > w->raw);
	strbuf_add(&w->value, w->raw, w->raw_len);
	/* {*}word stands for several words. */
	if (p->p < p->end && !ends_word(*p->p) && !is_continued(p))
		w->known = false;
}

/* A word of a command, or of a list: there neither ; nor a line's end is anything but a blank. */
static void read_word(struct tcl_piece *p, const struct tcl_context *context, struct tcl_word *w)
{
	*w = (struct tcl_word){.value = STRBUF_INIT, .raw = p->p, .line = p->line, .known = true};
	if (*p->p == '{') {
		read_braces(p, w);
		return;
	}
	if (*p->p == '"') {
		w->raw = ++p->p;
		while (p->p < p->end && *p->p != '"')
			tcl_substitute(p, context, w);
		w->raw_len = (size_t)(p->p - w->raw);
		p->p += p->p < p->end;
		return;
	}
	while (p->p < p->end && !(ends_word(*p->p) && (context || *p->p != ';')) && !is_continued(p))
		tcl_substitute(p, context, w);
	w->raw_len = (size_t)(p->p - w->raw);
}

static void skip_blanks(struct tcl_piece *p)
{
	while (p->p < p->end && (is_blank(*p->p) || is_continued(p)))
		step(p);
}

static void skip_comment(struct tcl_piece *p)
{
	while (p->p < p->end && *p->p != '\n')
		step(p);
}

bool tcl_read_command(struct tcl_piece *p, const struct tcl_context *context,
	struct tcl_command *ret)
{
	ret->count = 0;
	for (skip_blanks(p); p->p < p->end && ends_word(*p->p); skip_blanks(p))
		step(p);
	if (p->p == p->end)
		return false;
	if (*p->p == '#') {
		skip_comment(p);
		return true;
	}
	while (p->p < p->end && *p->p != '\n' && *p->p != ';') {
		if (ret->count == TCL_WORDS_MAX) {
			struct tcl_word surplus;

			read_word(p, context, &surplus);
			strbuf_release(&surplus.value);
		} else {
			read_word(p, context, &ret->words[ret->count++]);
		}
		skip_blanks(p);
	}
	return true;
}

bool tcl_read_element(struct tcl_piece *p, struct tcl_word *ret)
{
	while (p->p < p->end && (is_blank(*p->p) || *p->p == '\n' || is_continued(p)))
		step(p);
	if (p->p == p->end)
		return false;
	read_word(p, NULL, ret);
	return true;
}

void tcl_command_release(struct tcl_command *c)
{
	for (size_t i = 0; i < c->count; i++)
		strbuf_release(&c->words[i].value);
	c->count = 0;
}
