/*
 * Rendered files: where {{variable}} may stand in each kind of file, and how its value is written.
 * The places are checked once, when a template is loaded; the values whenever a config.ini is.
 */
#include "template.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "err.h"
#include "shell.h"
#include "slurm_option.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define IDENTIFIER LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

static const struct {
	const char *ending;
	enum template_kind kind;
} endings[] = {
	{".namd", TEMPLATE_TCL},
	{".conf", TEMPLATE_TCL},
	{".tcl", TEMPLATE_TCL},
	{".sh", TEMPLATE_SHELL},
	{".bash", TEMPLATE_SHELL},
	{".json", TEMPLATE_JSON},
	{".ini", TEMPLATE_SETTING},
	{".mdp", TEMPLATE_SETTING},
};

enum template_kind template_kind_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < sizeof(endings) / sizeof(*endings); i++) {
		if (strcasecmp(dot, endings[i].ending) == 0)
			return endings[i].kind;
	}
	return TEMPLATE_PLAIN;
}

/* ---- placeholders ---- */

struct placeholder {
	const char *from, *to; /* the braces included */
	char *name;
};

/* The next {{variable}}, written exactly so; any other braces are the file's own. */
static bool next_placeholder(const char *text, struct placeholder *ret)
{
	for (const char *at = strstr(text, "{{"); at; at = strstr(at + 1, "{{")) {
		size_t len = strspn(at + 2, LOWER "0123456789_");

		if (!len || !strchr(LOWER, at[2]) || strncmp(at + 2 + len, "}}", 2) != 0)
			continue;
		*ret = (struct placeholder){at, at + len + 4, xstrndup(at + 2, len)};
		return true;
	}
	return false;
}

/* Something in double braces that was meant for a placeholder: {{ name }}, {{#if}}, {{Name}}, and
 * {{name} with a variable's name. Left in the file, it would be read as something else there. */
static bool is_meant(const struct template *t, const char *at, const char **end)
{
	const char *word = at + 2 + strspn(at + 2, " #/^&!>");
	size_t len = strspn(word, IDENTIFIER);
	const char *close = word + len + strspn(word + len, " ");
	char *name AUTO_FREE = xstrndup(word, len);

	*end = close + strspn(close, "}");
	if (at[2] == '#' && strstr(at, "}}")) {
		*end = strstr(at, "}}") + 2;
		return true;
	}
	if (!len || *close != '}')
		return false;
	return close[1] == '}' || (word == at + 2 && template_variable(t, name));
}

/* ---- which places are allowed ---- */

struct scan {
	const struct template *template;
	const struct template_file *file;
	struct strbuf *why;
	int line;
	bool in_string; /* of JSON */
	bool began;     /* something else than assignments has come: SHELL */
	int result;
};

static void problem(struct scan *s, const char *name, const char *what)
{
	s->result = -EINVAL;
	strbuf_addf(s->why, "templates/%s/%s.in:%d: {{%s}}: %s\n", s->template->name, s->file->name,
		s->line, name, what);
}

static bool is_numeric(const struct template_variable *v)
{
	return v->type == TEMPLATE_INTEGER || v->type == TEMPLATE_NUMBER;
}

/* Follows JSON's strings from `from` to `to`. */
static void follow_json(struct scan *s, const char *from, const char *to)
{
	for (; from < to; from++) {
		if (s->in_string && *from == '\\' && from + 1 < to)
			from++;
		else if (*from == '"')
			s->in_string = !s->in_string;
	}
}

/* Whether the line `from`..`to` is an assignment of nothing but the placeholder to a name. */
static bool is_assignment(const struct placeholder *p, const char *from, const char *to)
{
	from += strspn(from, " \t");
	if (strncmp(from, "export ", 7) == 0)
		from += 7;
	size_t len = strspn(from, IDENTIFIER);

	return len && !(*from >= '0' && *from <= '9') && from[len] == '=' && from + len + 1 == p->from &&
		p->to == to;
}

static bool is_comment_or_blank(const char *from, const char *to)
{
	from += strspn(from, " \t");
	return from >= to || *from == '#';
}

static void check_place(struct scan *s, const struct template_variable *v,
	const struct placeholder *p, const char *line, const char *end)
{
	const char *equals = memchr(line, '=', (size_t)(p->from - line));

	switch (s->file->kind) {
	case TEMPLATE_TCL:
		if (v->type == TEMPLATE_TEXT)
			problem(s, p->name, "a text could be a command in this file, which is Tcl; make it a "
				"choice, a number, yes/no or a file");
		break;
	case TEMPLATE_SHELL:
		if (s->began || !is_assignment(p, line, end))
			problem(s, p->name, "in a shell script a value is assigned at the top, before any "
				"command, alone on its line: name={{variable}}; below, write \"$name\"");
		break;
	case TEMPLATE_JSON:
		if (!s->in_string && !is_numeric(v))
			problem(s, p->name, "it needs double quotes around it: only a number stands without");
		else if (!s->in_string && !v->required && !v->has_default)
			problem(s, p->name, "it may be empty, which is no number in JSON; give it a default, or "
				"required = yes");
		break;
	case TEMPLATE_SETTING:
		if (!equals)
			problem(s, p->name, "it may stand only behind the = of a line");
		break;
	case TEMPLATE_PLAIN:
		break;
	}
}

static void check_placeholder(struct scan *s, const struct placeholder *p, const char *line,
	const char *end)
{
	struct template_variable *v = template_variable(s->template, p->name);
	struct strbuf what AUTO_STRBUF = STRBUF_INIT;

	if (v) {
		v->kinds |= 1u << s->file->kind;
		check_place(s, v, p, line, end);
		return;
	}
	const char **names AUTO_FREE = xcalloc(s->template->count + 1, sizeof(*names));
	for (size_t i = 0; i < s->template->count; i++)
		names[i] = s->template->variables[i].name;
	const char *near = name_nearest(p->name, names, s->template->count);
	strbuf_addf(&what, "template.ini has no section [%s]", p->name);
	if (near)
		strbuf_addf(&what, "; did you mean %s?", near);
	problem(s, p->name, what.data);
}

/* All placeholders of one line, which is terminated at `end`. */
static void check_line(struct scan *s, const char *line, const char *end)
{
	struct placeholder p;
	const char *at = line, *close;
	bool any = false;

	for (; next_placeholder(at, &p); at = p.to, any = true) {
		if (s->file->kind == TEMPLATE_JSON)
			follow_json(s, at, p.from);
		check_placeholder(s, &p, line, end);
		free(p.name);
	}
	if (s->file->kind == TEMPLATE_JSON)
		follow_json(s, at, end);
	if (!any && !is_comment_or_blank(line, end))
		s->began = true;
	for (at = strstr(line, "{{"); at; at = strstr(at + 1, "{{")) {
		if (!is_meant(s->template, at, &close))
			continue;
		char *found AUTO_FREE = xstrndup(at, (size_t)(close - at));
		if (next_placeholder(at, &p)) {
			free(p.name);
			if (p.from == at)
				continue;
		}
		s->result = -EINVAL;
		strbuf_addf(s->why, "templates/%s/%s.in:%d: ", s->template->name, s->file->name, s->line);
		strbuf_add_escaped(s->why, found, strlen(found));
		strbuf_adds(s->why, ": a placeholder is written {{variable}}, in lower case and without "
			"blanks, and there are no conditions\n");
	}
}

int template_check_file(const struct template *t, const struct template_file *file,
	struct strbuf *why)
{
	struct scan s = {.template = t, .file = file, .why = why};
	char *text AUTO_FREE = xstrdup(file->text);

	if (strlen(text) != file->len || memchr(text, '\r', file->len)) {
		strbuf_addf(why, "templates/%s/%s.in: it is no plain text, or its lines end as on DOS (run "
			"dos2unix on it)\n", t->name, file->name);
		return -EINVAL;
	}
	for (char *line = text; *line;) {
		char *end = line + strcspn(line, "\n");
		bool last = !*end;

		*end = '\0';
		s.line++;
		check_line(&s, line, end);
		line = last ? end : end + 1;
	}
	return s.result;
}

/* ---- body.sh ---- */

static bool is_whole_word(const char *text, const char *at, size_t len)
{
	return (at == text || !strchr(IDENTIFIER, at[-1])) &&
		(!at[len] || !strchr(IDENTIFIER, at[len]));
}

bool template_body_uses(const char *body, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = strstr(body, name); at; at = strstr(at + 1, name)) {
		if (at == body || !is_whole_word(body, at, len))
			continue;
		/* $name, ${name, ${#name, ${!name */
		if (at[-1] == '$' || (at - body >= 2 && at[-1] == '{' && at[-2] == '$') ||
			(at - body >= 3 && strchr("#!", at[-1]) && at[-2] == '{' && at[-3] == '$'))
			return true;
		/* Arithmetic knows variables by their bare names. */
		const char *line = at, *open;
		while (line > body && line[-1] != '\n')
			line--;
		open = strstr(line, "((");
		if (open && open < at)
			return true;
	}
	return false;
}

/* ---- values ---- */

static void add_json(struct strbuf *ret, const char *value)
{
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			strbuf_addc(ret, '\\');
		strbuf_addc(ret, *value);
	}
}

void template_render(const struct template_file *file, const struct jobspec_pairs *values,
	struct strbuf *ret)
{
	const char *at = file->text;
	struct placeholder p;

	for (; next_placeholder(at, &p); at = p.to) {
		const struct jobspec_pair *pair = jobspec_pairs_find(values, p.name);
		const char *value = pair ? pair->value : "";

		strbuf_add(ret, at, (size_t)(p.from - at));
		if (file->kind == TEMPLATE_SHELL)
			shell_quote(ret, value);
		else if (file->kind == TEMPLATE_JSON)
			add_json(ret, value);
		else
			strbuf_adds(ret, value);
		free(p.name);
	}
	strbuf_adds(ret, at);
}
