#include "lammpsconf.h"

#include <errno.h>
#include <string.h>

#include "err.h"
#include "tclexpr.h"
#include "tclvars.h"

#define COMMANDS_MAX 20000
#define DEPTH_MAX 16
#define WORDS_MAX 256

struct word {
	char *text; /* as far as it is known; else as it stands */
	bool known;
};

struct command {
	struct word words[WORDS_MAX];
	size_t count;
	const char *file;
	int line;
	bool maybe;
};

struct scan {
	struct inputfiles *ret;
	const struct inputfiles_reader *reader;
	struct tcl_variables variables;
	struct strbuf stepped; /* names that `next` steps through, a NUL after each */
	struct strbuf written; /* paths, a NUL after each */
	char *style;           /* of pair_style; NULL: none, or not known */
	bool tables[4];        /* bond, angle, dihedral, improper: their style reads tables */
	bool moved;            /* `shell cd`: relative to what, is not known */
	size_t commands;
	int depth;
	bool failed;
};

/* The styles whose pair_coeff names one file behind the atom types. */
static const char *const file_styles[] = {"adp", "agni", "airebo", "airebo/morse", "bop", "comb",
	"comb3", "drip", "eam", "eam/alloy", "eam/cd", "eam/fs", "eam/he", "edip", "edip/multi",
	"extep", "gw", "gw/zbl", "lcbop", "meam/spline", "meam/sw/spline", "nb3b/harmonic", "pace",
	"polymorphic", "reax", "reax/c", "reaxff", "rebo", "sw", "table", "tersoff", "tersoff/mod",
	"tersoff/mod/c", "tersoff/table", "tersoff/zbl", "threebody/table", "vashishta",
	"vashishta/table"};
static const char *const bonded[4] = {"bond", "angle", "dihedral", "improper"};

static void scan_text(struct scan *s, const char *file, const char *text, size_t len, int line,
	bool maybe);

static bool has(const struct strbuf *list, const char *name)
{
	for (size_t i = 0; i < list->len; i += strlen(list->data + i) + 1) {
		if (strcmp(list->data + i, name) == 0)
			return true;
	}
	return false;
}

static void add(struct strbuf *list, const char *name)
{
	strbuf_add(list, name, strlen(name) + 1);
}

static bool is(const struct command *c, size_t i, const char *text)
{
	return i < c->count && strcmp(c->words[i].text, text) == 0;
}

static void found(struct scan *s, const struct command *c, size_t i, bool maybe)
{
	const struct word *w = &c->words[i];
	bool known;

	if (i >= c->count || (w->known && has(&s->written, w->text)))
		return;
	/* A pattern stands for names that are known only when it runs. */
	known = w->known && *w->text && !strpbrk(w->text, "*%") && (!s->moved || *w->text == '/');
	inputfiles_add(s->ret, c->file, c->line, c->words[0].text, w->text, !known ?
		INPUTFILE_UNRESOLVED : maybe || c->maybe ? INPUTFILE_MAYBE : INPUTFILE_PATH);
}

static void wrote(struct scan *s, const struct command *c, size_t i)
{
	if (i < c->count && c->words[i].known && !c->maybe)
		add(&s->written, c->words[i].text);
}

/* ---- lines and words ---- */

/* Appends a variable's value at `p`; returns what is behind it, or NULL where it is not known. */
static const char *substitute(struct scan *s, const char *p, struct strbuf *out)
{
	const char *stop = p[1] == '{' ? strchr(p, '}') : p + 1;
	const char *value;

	if (!stop || !p[1] || p[1] == '(')
		return NULL;
	AUTO_FREE char *name = p[1] == '{' ? xstrndup(p + 2, (size_t)(stop - p - 2)) :
		xstrndup(p + 1, 1);
	value = has(&s->stepped, name) ? NULL : tcl_variables_get(&s->variables, name);
	strbuf_adds(out, value ? value : "");
	return value ? stop + 1 : NULL;
}

/* Reads a word at `*at`; returns false at the end of the line. */
static bool read_word(struct scan *s, const char **at, struct word *ret)
{
	struct strbuf out AUTO_STRBUF = STRBUF_INIT;
	const char *p = *at + strspn(*at, " \t"), *start = p;
	const char *quote = strncmp(p, "\"\"\"", 3) == 0 ? "\"\"\"" : *p == '"' ? "\"" :
		*p == '\'' ? "'" : NULL;

	if (!*p)
		return false;
	*ret = (struct word){.known = true};
	if (quote) {
		const char *stop = strstr(p + strlen(quote), quote);

		start = p + strlen(quote);
		stop = stop ? stop : p + strlen(p);
		strbuf_add(&out, start, stop > start ? (size_t)(stop - start) : 0);
		/* Within quotes nothing is replaced here; some commands do it later. */
		ret->known = !strchr(out.data, '$');
		p = *stop ? stop + strlen(quote) : stop;
	}
	while (!quote && *p && *p != ' ' && *p != '\t') {
		const char *next = *p == '$' ? substitute(s, p, &out) : NULL;

		if (*p == '$' && !next) {
			ret->known = false;
			/* $(...) may have blanks in it. */
			next = p[1] == '(' ? strchr(p, ')') : NULL;
			next = next ? next + 1 : p + 1;
		} else if (*p != '$') {
			strbuf_addc(&out, *p);
			next = p + 1;
		}
		p = next;
	}
	ret->text = ret->known || quote ? strbuf_steal(&out) : xstrndup(start, (size_t)(p - start));
	*at = p;
	return true;
}

/* Ends a line at its comment; returns whether a quote is still open. */
static bool cut_comment(char *line)
{
	char quote = '\0';

	for (char *p = line; *p; p++) {
		if (!quote && strncmp(p, "\"\"\"", 3) == 0) {
			char *stop = strstr(p + 3, "\"\"\"");

			if (!stop)
				return true;
			p = stop + 2;
		} else if (!quote && *p == '#') {
			*p = '\0';
			return false;
		} else if (quote ? *p == quote : *p == '"' || *p == '\'') {
			quote = quote ? '\0' : *p;
		}
	}
	return false;
}

/* Reads a line with those that continue it; returns false at the end. */
static bool read_line(const char **at, const char *end, int *line, struct strbuf *ret)
{
	bool more = *at < end;

	strbuf_reset(ret);
	if (!more)
		return false;
	while (more && *at < end) {
		const char *stop = memchr(*at, '\n', (size_t)(end - *at));
		size_t len = (size_t)((stop ? stop : end) - *at);

		for (size_t i = 0; i < len; i++)
			strbuf_addc(ret, (*at)[i] && (*at)[i] != '\r' ? (*at)[i] : ' ');
		*at = stop ? stop + 1 : end;
		*line += stop != NULL;
		AUTO_FREE char *copy = xstrdup(ret->data);
		bool open = cut_comment(copy);
		strbuf_reset(ret);
		strbuf_adds(ret, copy);
		strbuf_rtrim(ret);
		more = open || (ret->len && ret->data[ret->len - 1] == '&');
		if (ret->len && ret->data[ret->len - 1] == '&')
			strbuf_truncate(ret, ret->len - 1);
		strbuf_addc(ret, ' ');
		if (ret->len > 65536)
			return true;
	}
	return true;
}

/* ---- commands ---- */

static void set(struct scan *s, const struct command *c, const char *name, const char *value)
{
	if (!tcl_variables_set(&s->variables, name, c->maybe ? NULL : value))
		s->failed = true;
}

static void run_variable(struct scan *s, const struct command *c)
{
	const char *name = c->count > 2 ? c->words[1].text : "";
	const struct word *value = &c->words[3];
	double number;

	if (c->count < 3)
		return;
	if (is(c, 2, "file") || is(c, 2, "atomfile"))
		found(s, c, 3, false);
	if (c->count < 4) {
		set(s, c, name, NULL);
	} else if (is(c, 2, "index")) {
		/* The first definition stands, so that the command line can set it. */
		if (!tcl_variables_get(&s->variables, name))
			set(s, c, name, value->known ? value->text : NULL);
	} else if (is(c, 2, "string")) {
		set(s, c, name, value->known ? value->text : NULL);
	} else if (is(c, 2, "equal") && c->count == 4) {
		set(s, c, name, value->known && tcl_number(value->text, &number) ? value->text : NULL);
	} else {
		set(s, c, name, NULL);
	}
}

static bool names_a_file(const char *style)
{
	static const char *const suffixes[] = {"/omp", "/gpu", "/kk", "/intel", "/opt"};
	size_t len = strlen(style);

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
		size_t end = strlen(suffixes[i]);

		if (len > end && strcmp(style + len - end, suffixes[i]) == 0)
			len -= end;
	}
	for (size_t i = 0; i < sizeof(file_styles) / sizeof(*file_styles); i++) {
		if (strlen(file_styles[i]) == len && strncmp(style, file_styles[i], len) == 0)
			return true;
	}
	return false;
}

static void run_pair_coeff(struct scan *s, const struct command *c)
{
	bool hybrid = s->style && strncmp(s->style, "hybrid", 6) == 0;
	const char *style = hybrid && c->count > 3 ? c->words[3].text : s->style;
	size_t first = hybrid ? 4 : 3;
	double number;

	if (!style)
		return;
	/* A style that is used several times has its number behind its name. */
	if (hybrid && first < c->count && tcl_number(c->words[first].text, &number))
		first++;
	if (names_a_file(style)) {
		found(s, c, first, true);
	} else if (strncmp(style, "snap", 4) == 0) {
		found(s, c, first, true);
		found(s, c, first + 1, true);
	} else if (strncmp(style, "meam", 4) == 0) {
		found(s, c, first, true);
		for (size_t i = first + 1; i < c->count; i++) {
			if (strstr(c->words[i].text, ".meam"))
				found(s, c, i, true);
		}
	}
}

static bool run_bonded(struct scan *s, const struct command *c)
{
	for (size_t i = 0; i < 4; i++) {
		size_t len = strlen(bonded[i]);
		const char *rest = c->words[0].text + len;

		if (strncmp(c->words[0].text, bonded[i], len) != 0)
			continue;
		if (strcmp(rest, "_style") == 0)
			s->tables[i] = is(c, 1, "table");
		else if (strcmp(rest, "_coeff") == 0 && (s->tables[i] || is(c, 2, "table")))
			found(s, c, s->tables[i] ? 2 : 3, false);
		return true;
	}
	return false;
}

static void run_shell(struct scan *s, const struct command *c)
{
	if (is(c, 1, "cd"))
		s->moved = true;
	else if ((is(c, 1, "cp") || is(c, 1, "mv")) && c->count == 4)
		wrote(s, c, 3);
}

/* `if "condition" then "command" ... elif ... else ...`: no condition is judged. */
static void run_if(struct scan *s, const struct command *c)
{
	for (size_t i = 2; i < c->count; i++) {
		if (is(c, i, "then") || is(c, i, "else") || is(c, i, "elif"))
			i += is(c, i, "elif");
		else
			scan_text(s, c->file, c->words[i].text, strlen(c->words[i].text), c->line, true);
	}
}

/* Files up to the first of `keywords`, a list with blanks around each. */
static void found_until(struct scan *s, const struct command *c, size_t i, const char *keywords)
{
	for (; i < c->count; i++) {
		AUTO_FREE char *word = xasprintf(" %s ", c->words[i].text);

		if (strstr(keywords, word))
			return;
		found(s, c, i, false);
	}
}

static void run_include(struct scan *s, const struct command *c)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	found(s, c, 1, false);
	if (c->count < 2 || !c->words[1].known || s->moved || !s->reader->read ||
		s->reader->read(s->reader->arg, c->words[1].text, &text) < 0)
		return;
	scan_text(s, c->words[1].text, text.data, text.len, 1, c->maybe);
}

/* A name that stands for values of LAMMPS' own is none of a file. */
static void found_charges(struct scan *s, const struct command *c, size_t i)
{
	static const char *const own[] = {"reaxff", "reax/c", "coul/streitz"};

	for (size_t k = 0; k < sizeof(own) / sizeof(*own); k++)
		if (is(c, i, own[k]))
			return;
	found(s, c, i, true);
}

/* The manual's pages of these styles say which word is a file. */
static void run_fix(struct scan *s, const struct command *c)
{
	static const char *const charges[] = {"qeq/reaxff", "qeq/reax", "acks2/reaxff", "qeq/point", "qeq/shielded",
		"qeq/slater", "qeq/dynamic", "qeq/fire"};

	if (is(c, 3, "cmap"))
		found(s, c, 4, true);
	if (is(c, 3, "colvars"))
		found(s, c, 4, false);
	for (size_t k = 0; k < sizeof(charges) / sizeof(*charges); k++)
		if (is(c, 3, charges[k]))
			found_charges(s, c, 8);
	for (size_t i = 4; i + 8 < c->count && is(c, 3, "bond/react"); i++)
		if (is(c, i, "react"))
			found(s, c, i + 8, true);
	for (size_t i = 4; i + 1 < c->count && is(c, 3, "plumed"); i++)
		if (is(c, i, "plumedfile"))
			found(s, c, i + 1, false);
	for (size_t i = 4; i + 1 < c->count; i++) {
		if (is(c, i, "infile"))
			found(s, c, i + 1, false);
	}
}

static void run_command(struct scan *s, const struct command *c)
{
	if (!c->words[0].known)
		return;
	if (is(c, 0, "include")) {
		run_include(s, c);
	} else if (is(c, 0, "read_data") || is(c, 0, "read_restart") || is(c, 0, "read_dump")) {
		found(s, c, 1, false);
	} else if (is(c, 0, "molecule")) {
		found_until(s, c, 2, " offset toff boff aoff doff ioff scale ");
	} else if (is(c, 0, "rerun")) {
		found_until(s, c, 1, " first last every skip start stop post dump ");
	} else if (is(c, 0, "jump")) {
		if (!is(c, 1, "SELF"))
			found(s, c, 1, true);
	} else if (is(c, 0, "variable")) {
		run_variable(s, c);
	} else if (is(c, 0, "pair_style")) {
		free(s->style);
		s->style = c->count > 1 && c->words[1].known && !c->maybe ? xstrdup(c->words[1].text) : NULL;
	} else if (is(c, 0, "pair_coeff")) {
		run_pair_coeff(s, c);
	} else if (is(c, 0, "fix")) {
		run_fix(s, c);
	} else if (is(c, 0, "shell")) {
		run_shell(s, c);
	} else if (is(c, 0, "if")) {
		run_if(s, c);
	} else if (is(c, 0, "write_data") || is(c, 0, "write_restart")) {
		wrote(s, c, 1);
	} else if (is(c, 0, "dump")) {
		wrote(s, c, 5);
	} else {
		run_bonded(s, c);
	}
}

/* What `next` steps through has another value each time round. */
static void find_stepped(struct scan *s, const char *text, size_t len)
{
	struct strbuf line AUTO_STRBUF = STRBUF_INIT;
	const char *at = text;
	char *rest = NULL;
	int number = 1;

	while (read_line(&at, text + len, &number, &line)) {
		char *word = strtok_r(line.data, " \t", &rest);

		if (!word || strcmp(word, "next") != 0)
			continue;
		while ((word = strtok_r(NULL, " \t", &rest)))
			add(&s->stepped, word);
	}
}

static void scan_text(struct scan *s, const char *file, const char *text, size_t len, int line,
	bool maybe)
{
	struct strbuf buffer AUTO_STRBUF = STRBUF_INIT;
	struct command *c AUTO_FREE = NULL;
	const char *at = text;

	if (s->depth == DEPTH_MAX) {
		s->failed = true;
		return;
	}
	c = xmalloc(sizeof(*c));
	s->depth++;
	find_stepped(s, text, len);
	for (int next = line; !s->failed && read_line(&at, text + len, &next, &buffer); line = next) {
		const char *word = buffer.data;

		c->count = 0;
		c->file = file;
		c->line = line;
		c->maybe = maybe;
		while (c->count < WORDS_MAX && read_word(s, &word, &c->words[c->count]))
			c->count++;
		if (++s->commands > COMMANDS_MAX)
			s->failed = true;
		else if (c->count)
			run_command(s, c);
		while (c->count)
			free(c->words[--c->count].text);
	}
	s->depth--;
}

int lammpsconf_scan(const char *file, const char *text, size_t len, const char *variables,
	const struct inputfiles_reader *reader, struct inputfiles *ret)
{
	struct scan s = {.ret = ret, .reader = reader, .stepped = STRBUF_INIT, .written = STRBUF_INIT};
	AUTO_FREE char *copy = xstrdup(variables ? variables : "");
	char *rest = NULL, *value;

	for (char *name = strtok_r(copy, " \t", &rest); name; name = strtok_r(NULL, " \t", &rest)) {
		value = strtok_r(NULL, " \t", &rest);
		if (value)
			tcl_variables_set(&s.variables, name, value);
	}
	scan_text(&s, file, text, len, 1, false);
	tcl_variables_release(&s.variables);
	strbuf_release(&s.stepped);
	strbuf_release(&s.written);
	free(s.style);
	return s.failed ? -E2BIG : 0;
}
