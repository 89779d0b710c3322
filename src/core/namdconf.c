#include "namdconf.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "err.h"

/* No configuration that a person wrote comes near these; what does is not followed for ever. */
#define COMMANDS_MAX 20000
#define VARIABLES_MAX 1024
#define DEPTH_MAX 24
#define WORDS_MAX 64
#define SOURCES_MAX 256
#define BYTES_MAX (16u << 20)

struct variable {
	char *name;
	char *value; /* NULL: only running the configuration tells */
};

struct variables {
	struct variable *items;
	size_t count;
};

struct scan {
	struct namdconf *ret;
	namdconf_read_fn read;
	void *arg;
	struct variables variables;
	size_t commands, sources, bytes;
	int depth;
	bool failed;
};

/* A piece of a file, and how sure it is that it is run. */
struct piece {
	const char *file;
	const char *p, *end;
	int line;
	bool maybe;
};

struct word {
	struct strbuf value;
	const char *raw; /* without the braces or quotes */
	size_t raw_len;
	int line;
	bool resolved, braced;
};

struct command {
	struct word words[WORDS_MAX];
	size_t count;
};

static void scan_piece(struct scan *s, struct piece piece);

static const char *const file_keywords[] = {"alchfile", "ambercoor", "bincoordinates",
	"binvelocities", "bornradiusfile", "colvarsconfig", "colvarsinput", "consforcefile",
	"conskfile", "consref", "coordinates", "extendedsystem", "extrabondsfile", "fepfile",
	"fixedatomsfile", "freeenergyconfig", "gocoordinates", "goparameters", "gridforcefile",
	"gridforcepotfile", "gridforcevfile", "grocoorfile", "grotopfile", "langevinfile", "lesfile",
	"miscforcesscript", "movdragfile", "movingconsfile", "pairinteractionfile", "parameters",
	"parmfile", "qmparampdb", "rotdragfile", "solutescalingfile", "spt_file", "stirfilename",
	"structure", "symmetryfile", "symmetryfirststepfile", "tabulatedenergiesfile", "tclbcscript",
	"tclforcesscript", "tcouplefile", "tmdfile", "tmdfile2", "velocities"};
/* These have a tag before the file. */
static const char *const tagged_keywords[] = {"mgridforcefile", "mgridforcepotfile"};

static bool is_in(const char *word, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcasecmp(word, list[i]) == 0)
			return true;
	}
	return false;
}

static struct variable *find(struct scan *s, const char *name)
{
	for (size_t i = 0; i < s->variables.count; i++) {
		if (strcmp(s->variables.items[i].name, name) == 0)
			return &s->variables.items[i];
	}
	return NULL;
}

static void assign(struct scan *s, const char *name, const char *value)
{
	struct variables *v = &s->variables;
	struct variable *old = find(s, name);

	if (!old) {
		if (v->count == VARIABLES_MAX) {
			s->failed = true;
			return;
		}
		v->items = xrealloc(v->items, (v->count + 1) * sizeof(*v->items));
		old = &v->items[v->count++];
		*old = (struct variable){.name = xstrdup(name)};
	}
	free(old->value);
	old->value = xstrdup(value);
}

static void forget(struct scan *s, const char *name)
{
	struct variable *v = find(s, name);

	if (v) {
		free(v->value);
		v->value = NULL;
	}
}

static void free_variables(struct variables *v)
{
	for (size_t i = 0; i < v->count; i++) {
		free(v->items[i].name);
		free(v->items[i].value);
	}
	free(v->items);
	*v = (struct variables){0};
}

static struct variables copy_variables(const struct variables *v)
{
	struct variables ret = {.items = xcalloc(v->count + 1, sizeof(*ret.items)), .count = v->count};

	for (size_t i = 0; i < v->count; i++) {
		ret.items[i].name = xstrdup(v->items[i].name);
		ret.items[i].value = xstrdup(v->items[i].value);
	}
	return ret;
}

/* Forgets what differs from `before`: a variable keeps its place, so places can be compared. */
static void forget_changed(struct scan *s, const struct variables *before)
{
	for (size_t i = 0; i < s->variables.count; i++) {
		struct variable *v = &s->variables.items[i];
		const char *old = i < before->count ? before->items[i].value : NULL;

		if (v->value && (!old || strcmp(old, v->value) != 0)) {
			free(v->value);
			v->value = NULL;
		}
	}
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
		c == ':';
}

/* A command in brackets may set a variable by naming it, so those are known no more. */
static void forget_named(struct scan *s, const char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t start = i;

		while (i < len && is_name_char(text[i]))
			i++;
		if (i > start && (start == 0 || text[start - 1] != '$')) {
			char *name AUTO_FREE = xstrndup(text + start, i - start);

			forget(s, name);
		}
		i += i == start;
	}
}

static void skip_brackets(struct scan *s, struct piece *p)
{
	const char *start = p->p + 1;
	size_t depth = 0;

	for (; p->p < p->end; p->p++) {
		if (*p->p == '\n')
			p->line++;
		if (*p->p == '\\' && p->p + 1 < p->end) {
			p->p++;
			p->line += *p->p == '\n';
		} else if (*p->p == '[') {
			depth++;
		} else if (*p->p == ']' && --depth == 0) {
			break;
		}
	}
	forget_named(s, start, (size_t)(p->p - start));
	if (p->p < p->end)
		p->p++;
}

static void substitute_variable(struct scan *s, struct piece *p, struct word *w)
{
	const char *start = ++p->p;
	const char *stop;
	struct variable *v;

	if (p->p < p->end && *p->p == '{') {
		start++;
		stop = memchr(start, '}', (size_t)(p->end - start));
		p->p = stop ? stop + 1 : p->end;
		stop = stop ? stop : p->end;
	} else {
		while (p->p < p->end && is_name_char(*p->p))
			p->p++;
		stop = p->p;
		if (stop == start) {
			strbuf_addc(&w->value, '$');
			return;
		}
		if (p->p < p->end && *p->p == '(') {
			w->resolved = false;
			return;
		}
	}
	char *name AUTO_FREE = xstrndup(start, (size_t)(stop - start));

	v = find(s, name);
	if (v && v->value)
		strbuf_adds(&w->value, v->value);
	else
		w->resolved = false;
	/* A value that grows by itself ("set a $a$a") must not grow for ever. */
	if (w->value.len > 65536) {
		strbuf_reset(&w->value);
		w->resolved = false;
	}
}

static void substitute_backslash(struct piece *p, struct word *w)
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
		w->resolved = false;
	} else {
		strbuf_addc(&w->value, known ? to[known - from] : *p->p);
	}
	p->p++;
}

static void substitute(struct scan *s, struct piece *p, struct word *w)
{
	switch (*p->p) {
	case '$':
		substitute_variable(s, p, w);
		break;
	case '[':
		skip_brackets(s, p);
		w->resolved = false;
		break;
	case '\\':
		substitute_backslash(p, w);
		break;
	default:
		p->line += *p->p == '\n';
		strbuf_addc(&w->value, *p->p++);
	}
}

static void read_braces(struct piece *p, struct word *w)
{
	size_t depth = 1;

	w->braced = true;
	w->raw = ++p->p;
	for (; p->p < p->end; p->p++) {
		p->line += *p->p == '\n';
		if (*p->p == '\\' && p->p + 1 < p->end) {
			p->p++;
			p->line += *p->p == '\n';
		} else if (*p->p == '{') {
			depth++;
		} else if (*p->p == '}' && --depth == 0) {
			break;
		}
	}
	w->raw_len = (size_t)(p->p - w->raw);
	strbuf_add(&w->value, w->raw, w->raw_len);
	if (p->p < p->end)
		p->p++;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool ends_word(char c)
{
	return is_blank(c) || c == '\n' || c == ';';
}

static void read_word(struct scan *s, struct piece *p, struct word *w)
{
	*w = (struct word){.value = STRBUF_INIT, .raw = p->p, .line = p->line, .resolved = true};
	if (*p->p == '{') {
		read_braces(p, w);
		return;
	}
	if (*p->p == '"') {
		w->raw = ++p->p;
		while (p->p < p->end && *p->p != '"')
			substitute(s, p, w);
		w->raw_len = (size_t)(p->p - w->raw);
		p->p += p->p < p->end;
		return;
	}
	while (p->p < p->end && !ends_word(*p->p) && !(*p->p == '\\' && p->p + 1 < p->end &&
			p->p[1] == '\n'))
		substitute(s, p, w);
	w->raw_len = (size_t)(p->p - w->raw);
}

static void skip_blanks(struct piece *p)
{
	while (p->p < p->end) {
		if (*p->p == '\\' && p->p + 1 < p->end && p->p[1] == '\n') {
			p->line++;
			p->p += 2;
		} else if (is_blank(*p->p)) {
			p->p++;
		} else {
			return;
		}
	}
}

static void skip_comment(struct piece *p)
{
	while (p->p < p->end && *p->p != '\n') {
		if (*p->p == '\\' && p->p + 1 < p->end) {
			p->p++;
			p->line += *p->p == '\n';
		}
		p->p++;
	}
}

static void free_command(struct command *c)
{
	for (size_t i = 0; i < c->count; i++)
		strbuf_release(&c->words[i].value);
	c->count = 0;
}

/* Reads the next command, which may be empty; returns false at the end. */
static bool read_command(struct scan *s, struct piece *p, struct command *c)
{
	c->count = 0;
	for (skip_blanks(p); p->p < p->end && ends_word(*p->p); skip_blanks(p)) {
		p->line += *p->p == '\n';
		p->p++;
	}
	if (p->p == p->end)
		return false;
	if (*p->p == '#') {
		skip_comment(p);
		return true;
	}
	while (p->p < p->end && *p->p != '\n' && *p->p != ';') {
		if (c->count == WORDS_MAX) {
			struct word surplus;

			read_word(s, p, &surplus);
			strbuf_release(&surplus.value);
		} else {
			read_word(s, p, &c->words[c->count++]);
		}
		skip_blanks(p);
	}
	return true;
}

static void found(struct scan *s, const struct piece *p, const char *keyword, const struct word *w)
{
	bool resolved = w->resolved && w->value.len && strlen(w->value.data) == w->value.len;
	struct namdconf *ret = s->ret;
	struct namdconf_file *f;

	if (ret->count >= COMMANDS_MAX) {
		s->failed = true;
		return;
	}
	ret->items = xrealloc(ret->items, (ret->count + 1) * sizeof(*ret->items));
	f = &ret->items[ret->count++];
	*f = (struct namdconf_file){.file = xstrdup(p->file), .line = w->line,
		.keyword = xstrdup(keyword)};
	f->path = resolved ? xstrdup(w->value.data) : xstrndup(w->raw, w->raw_len);
	f->absolute = resolved && f->path[0] == '/';
	f->found = !resolved ? NAMDCONF_UNRESOLVED : p->maybe ? NAMDCONF_MAYBE : NAMDCONF_PATH;
	for (char *c = f->keyword; *c; c++)
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 'a' - 'A' : *c);
}

static void truncate_found(struct namdconf *c, size_t count)
{
	while (c->count > count) {
		struct namdconf_file *f = &c->items[--c->count];

		free(f->file);
		free(f->keyword);
		free(f->path);
	}
}

static void scan_body(struct scan *s, const struct piece *p, const struct word *w, bool maybe)
{
	if (!w->braced)
		return;
	scan_piece(s, (struct piece){.file = p->file, .p = w->raw, .end = w->raw + w->raw_len,
		.line = w->line, .maybe = p->maybe || maybe});
}

static void scan_maybe(struct scan *s, const struct piece *p, const struct word *w)
{
	struct variables before = copy_variables(&s->variables);

	scan_body(s, p, w, true);
	forget_changed(s, &before);
	free_variables(&before);
}

/* The first pass learns which variables the rounds change; the second reports. */
static void scan_loop(struct scan *s, const struct piece *p, const struct command *c)
{
	const struct word *body = &c->words[c->count - 1];
	size_t count = s->ret->count;

	if (strcmp(c->words[0].value.data, "foreach") == 0) {
		for (size_t i = 1; i + 1 < c->count; i += 2)
			forget_named(s, c->words[i].value.data, c->words[i].value.len);
	} else if (strcmp(c->words[0].value.data, "for") == 0 && c->count == 5) {
		scan_maybe(s, p, &c->words[1]);
		scan_maybe(s, p, &c->words[3]);
	}
	scan_maybe(s, p, body);
	truncate_found(s->ret, count);
	scan_maybe(s, p, body);
}

/* 0 or 1 where the condition is that literally, as people switch parts off; else -1. */
static int constant(const struct word *w)
{
	const char *text = w->value.data + strspn(w->value.data, " \t");

	if (!w->resolved || (*text != '0' && *text != '1') || text[1 + strspn(text + 1, " \t")])
		return -1;
	return *text - '0';
}

static bool is_word(const struct command *c, size_t i, const char *text)
{
	return i < c->count && strcmp(c->words[i].value.data, text) == 0;
}

static void scan_if(struct scan *s, const struct piece *p, const struct command *c)
{
	bool unsure = false;
	size_t i = 1;

	while (i < c->count) {
		int value = 1;

		if (is_word(c, i, "else"))
			i++;
		else if (i == 1 || is_word(c, i - 1, "elseif"))
			value = constant(&c->words[i++]);
		i += is_word(c, i, "then");
		if (i >= c->count)
			return;
		if (value == 1 && !unsure)
			scan_body(s, p, &c->words[i], false);
		else if (value != 0)
			scan_maybe(s, p, &c->words[i]);
		if (value == 1)
			return;
		unsure = unsure || value < 0;
		i++;
		i += is_word(c, i, "elseif");
	}
}

/* The body of a procedure sees none of the variables outside. */
static void scan_proc(struct scan *s, const struct piece *p, const struct command *c)
{
	struct variables outside = s->variables;

	s->variables = (struct variables){0};
	scan_body(s, p, &c->words[c->count - 1], true);
	free_variables(&s->variables);
	s->variables = outside;
}

static void scan_source(struct scan *s, const struct piece *p, const struct command *c)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	const struct word *w = &c->words[c->count - 1];

	found(s, p, "source", w);
	if (!w->resolved || strlen(w->value.data) != w->value.len || !s->read || s->failed)
		return;
	if (++s->sources > SOURCES_MAX) {
		s->failed = true;
		return;
	}
	if (s->read(s->arg, w->value.data, &text) < 0)
		return;
	s->bytes += text.len;
	if (s->bytes > BYTES_MAX) {
		s->failed = true;
		return;
	}
	scan_piece(s, (struct piece){.file = w->value.data, .p = text.data,
		.end = text.data + text.len, .line = 1, .maybe = p->maybe});
}

/* `keyword value`, and the old form with "=" between. */
static void scan_keyword(struct scan *s, const struct piece *p, const struct command *c, size_t i)
{
	const char *keyword = c->words[0].value.data;
	const struct word *w;

	i += is_word(c, i, "=");
	if (i >= c->count)
		return;
	w = &c->words[i];
	/* These two take a script in the place of a file's name. */
	if ((strcasecmp(keyword, "tclbcscript") == 0 || strcasecmp(keyword, "tclforcesscript") == 0) &&
		strpbrk(w->value.data, " \t\n"))
		return;
	found(s, p, keyword, w);
}

static void scan_set(struct scan *s, const struct command *c)
{
	const struct word *name = &c->words[1];

	if (c->count != 3)
		return;
	if (name->resolved)
		assign(s, name->value.data, c->words[2].resolved &&
			strlen(c->words[2].value.data) == c->words[2].value.len ? c->words[2].value.data :
			NULL);
}

static void scan_command(struct scan *s, const struct piece *p, const struct command *c)
{
	const char *name = c->words[0].value.data;

	if (!c->words[0].resolved || c->count < 2)
		return;
	if (is_in(name, file_keywords, sizeof(file_keywords) / sizeof(*file_keywords))) {
		scan_keyword(s, p, c, 1);
	} else if (is_in(name, tagged_keywords, sizeof(tagged_keywords) / sizeof(*tagged_keywords))) {
		scan_keyword(s, p, c, 2);
	} else if (strcmp(name, "set") == 0) {
		scan_set(s, c);
	} else if (strcmp(name, "source") == 0) {
		scan_source(s, p, c);
	} else if (strcmp(name, "if") == 0) {
		scan_if(s, p, c);
	} else if (strcmp(name, "foreach") == 0 || strcmp(name, "for") == 0 ||
		strcmp(name, "while") == 0) {
		scan_loop(s, p, c);
	} else if (strcmp(name, "proc") == 0) {
		scan_proc(s, p, c);
	} else if (strcmp(name, "puts") != 0 && strcmp(name, "print") != 0) {
		/* Any other command may run a block, or set a variable that it names. */
		for (size_t i = 1; i < c->count; i++) {
			if (c->words[i].braced)
				scan_maybe(s, p, &c->words[i]);
			else
				forget(s, c->words[i].value.data);
		}
	}
}

static void scan_piece(struct scan *s, struct piece piece)
{
	struct command *c AUTO_FREE = xmalloc(sizeof(*c));

	if (s->depth == DEPTH_MAX) {
		s->failed = true;
		return;
	}
	s->depth++;
	while (!s->failed && read_command(s, &piece, c)) {
		if (++s->commands > COMMANDS_MAX)
			s->failed = true;
		else if (c->count)
			scan_command(s, &piece, c);
		free_command(c);
	}
	s->depth--;
}

int namdconf_scan(const char *file, const char *text, size_t len, namdconf_read_fn read, void *arg,
	struct namdconf *ret)
{
	struct scan s = {.ret = ret, .read = read, .arg = arg};

	if (len > BYTES_MAX)
		return -E2BIG;
	scan_piece(&s, (struct piece){.file = file, .p = text, .end = text + len, .line = 1});
	free_variables(&s.variables);
	return s.failed ? -E2BIG : 0;
}

void namdconf_release(struct namdconf *c)
{
	truncate_found(c, 0);
	free(c->items);
	*c = (struct namdconf){0};
}
