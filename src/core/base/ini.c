#include "ini.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "err.h"

/* inih's own header is named as ours is, so what we use of it is declared here. */
typedef int (*ini_handler)(void *user, const char *section, const char *name, const char *value);
typedef char *(*ini_reader)(char *line, int size, void *stream);
int ini_parse_stream(ini_reader reader, void *stream, ini_handler handler, void *user);

#define BLANKS " \t\r\v\f"
#define PROBLEMS_MAX 50

struct source {
	const char *next, *end;
	int line;
	/* inih sees `@` in the place of these, whatever their length and characters. */
	char *section, *key, *value;
	bool key_is_due; /* a section's line was handed over, its announcement was not */
	int problems;
	ini_fn each;
	void *arg;
	int result;
	struct strbuf *why;
	const char *file;
};

static void problem(struct source *s, const char *what)
{
	s->result = s->result ? s->result : -EINVAL;
	if (++s->problems <= PROBLEMS_MAX)
		strbuf_addf(s->why, "%s:%d: %s\n", s->file, s->line, what);
}

static void assign(char **where, const char *from, const char *to)
{
	while (from < to && strchr(BLANKS, *from))
		from++;
	while (from < to && strchr(BLANKS, to[-1]))
		to--;
	free(*where);
	*where = xstrndup(from, (size_t)(to - from));
}

static bool has_control(const char *from, const char *to)
{
	for (; from < to; from++)
		if (((unsigned char)*from < 0x20 && *from != '\t') || *from == 0x7f)
			return true;
	return false;
}

static const char *section_line(struct source *s, const char *from, const char *to)
{
	const char *close = memchr(from, ']', (size_t)(to - from));
	const char *rest = close ? close + 1 : to;

	while (rest < to && strchr(BLANKS, *rest))
		rest++;
	if (!close || (rest < to && *rest != ';' && *rest != '#')) {
		problem(s, "a section is written [NAME], alone on its line");
		return "\n";
	}
	assign(&s->section, from + 1, close);
	if (!*s->section) {
		problem(s, "a section needs a name: [NAME]");
		return "\n";
	}
	s->key_is_due = true;
	return "[@]\n";
}

static const char *pair_line(struct source *s, const char *from, const char *to)
{
	const char *equals = memchr(from, '=', (size_t)(to - from));

	if (!equals) {
		problem(s, "this line has no `=`; write KEY = VALUE, all of it on one line");
		return "\n";
	}
	assign(&s->key, from, equals);
	assign(&s->value, equals + 1, to);
	if (!*s->key) {
		problem(s, "there is no key before `=`; write KEY = VALUE");
		return "\n";
	}
	return "@=@\n";
}

/* What inih is to read for the line `from`..`to`. */
static const char *line_for_inih(struct source *s, const char *from, const char *to)
{
	while (to > from && strchr(BLANKS, to[-1]))
		to--;
	while (from < to && strchr(BLANKS, *from))
		from++;
	if (from == to || *from == ';' || *from == '#')
		return "\n";
	if (has_control(from, to)) {
		problem(s, "a control character; only plain text is allowed here");
		return "\n";
	}
	return *from == '[' ? section_line(s, from, to) : pair_line(s, from, to);
}

static char *read_line(char *line, int size, void *stream)
{
	struct source *s = stream;

	if (s->key_is_due) {
		/* inih does not announce a section, and an empty one can be misspelled too. */
		s->key_is_due = false;
		free(s->key);
		s->key = NULL;
		return strncpy(line, "@=@\n", (size_t)size);
	}
	if (s->next >= s->end)
		return NULL;
	const char *from = s->next;
	const char *to = memchr(from, '\n', (size_t)(s->end - from));
	to = to ? to : s->end;
	s->next = to + 1;
	s->line++;
	if (memchr(from, '\0', (size_t)(to - from))) {
		problem(s, "a NUL byte: this is no plain text; save it as UTF-8");
		/* A binary file would give such a line over and over. */
		s->next = s->end;
		return NULL;
	}
	return strncpy(line, line_for_inih(s, from, to), (size_t)size);
}

static int handle(void *user, const char *section, const char *name, const char *value)
{
	struct source *s = user;

	(void)section;
	(void)name;
	(void)value;
	int result = s->each(s->arg, s->section, s->key, s->key ? s->value : NULL, s->line);
	if (result && !s->result)
		s->result = result;
	return 1;
}

int ini_text_parse(const char *text, size_t len, ini_fn each, void *arg, struct strbuf *why,
	const char *file)
{
	struct source s = {.each = each, .arg = arg, .why = why, .file = file,
		.section = xstrdup("")};

	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
		text += 3;
		len -= 3;
	}
	if (len) {
		s.next = text;
		s.end = text + len;
		int bad = ini_parse_stream(read_line, &s, handle, &s);
		if (bad && !s.result)
			problem(&s, "this line cannot be read");
	}
	if (s.problems > PROBLEMS_MAX)
		strbuf_addf(why, "%s: %d more lines of this kind\n", file, s.problems - PROBLEMS_MAX);
	free(s.section);
	free(s.key);
	free(s.value);
	return s.result;
}
