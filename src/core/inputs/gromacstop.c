#include "gromacstop.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "err.h"
#include "tclvars.h"

#define DEPTH_MAX 16
#define INCLUDES_MAX 2000
#define CONDITIONS_MAX 32

struct scan {
	struct inputfiles *ret;
	const struct inputfiles_reader *reader;
	struct tcl_variables macros; /* "1", "0", or forgotten: not known */
	struct strbuf folders;       /* of `include`, a NUL after each */
	bool elsewhere;              /* one of them is on the cluster */
	bool knows_all;              /* a macro that was never named is not defined */
	bool library;                /* a file of GROMACS's own has been included */
	size_t includes;
	int depth;
	bool failed;
};

/* What GROMACS 2022 brings beside its force fields' folders, in share/top. */
static const char *const brought[] = {"spc.itp", "spce.itp", "flexspc.itp", "flexspce.itp",
	"flexwat-ferguson.itp", "ions.itp", "sw.itp", "ffG43a1.itp", "ffG43a2.itp", "ffG45a3.itp",
	"ffG53a5.itp", "ffG53a6.itp", "ffoplsaa.itp"};
static const char *const force_fields[] = {"amber03", "amber14sb", "amber19sb", "amber94", "amber96",
	"amber99", "amber99sb", "amber99sb-ildn", "amberGS", "charmm27", "gromos43a1", "gromos43a2",
	"gromos45a3", "gromos53a5", "gromos53a6", "gromos54a7", "oplsaa"};

static bool is_brought(const char *name)
{
	const char *folder = strstr(name, ".ff/");

	for (size_t i = 0; i < sizeof(brought) / sizeof(*brought); i++) {
		if (strcmp(name, brought[i]) == 0)
			return true;
	}
	for (size_t i = 0; folder && i < sizeof(force_fields) / sizeof(*force_fields); i++) {
		if (strlen(force_fields[i]) == (size_t)(folder - name) &&
			strncmp(name, force_fields[i], (size_t)(folder - name)) == 0)
			return true;
	}
	return false;
}

static bool exists(const struct scan *s, const char *path)
{
	return s->reader->exists && s->reader->exists(s->reader->arg, path);
}

/* Where the file is, the caller's to free; where it would first be looked for if it is nowhere. */
static char *search(const struct scan *s, const char *from, const char *name, bool *there)
{
	const char *slash = strrchr(from, '/');
	char *beside = xasprintf("%.*s%s", slash ? (int)(slash + 1 - from) : 0, from, name);

	*there = true;
	if (*name == '/') {
		free(beside);
		return xstrdup(name);
	}
	if (exists(s, beside))
		return beside;
	for (size_t i = 0; i <= s->folders.len; i += strlen(s->folders.data + i) + 1) {
		char *path = i < s->folders.len ? xasprintf("%s/%s", s->folders.data + i, name) :
			xstrdup(name);

		if (exists(s, path)) {
			free(beside);
			return path;
		}
		free(path);
	}
	*there = false;
	return beside;
}

/* ---- conditions ---- */

/* 1, 0, or -1: not known. */
static int is_defined(const struct scan *s, const char *name)
{
	const char *value = tcl_variables_get(&s->macros, name);

	if (value)
		return *value == '1' ? 1 : *value == '0' ? 0 : -1;
	/* What GROMACS's own files define begins so. */
	return s->knows_all && !(s->library && *name == '_') ? 0 : -1;
}

struct conditions {
	int values[CONDITIONS_MAX];
	size_t count;
};

/* 1: what stands here counts, 0: it does not, -1: it may. */
static int counts(const struct conditions *c)
{
	int ret = 1;

	for (size_t i = 0; i < c->count; i++) {
		if (c->values[i] == 0)
			return 0;
		if (c->values[i] < 0)
			ret = -1;
	}
	return ret;
}

/* Returns whether the line was one of them. */
static bool take_condition(struct scan *s, struct conditions *c, const char *word, const char *name)
{
	if (strcmp(word, "ifdef") == 0 || strcmp(word, "ifndef") == 0) {
		int value = is_defined(s, name);

		if (c->count == CONDITIONS_MAX) {
			s->failed = true;
			return true;
		}
		c->values[c->count++] = value < 0 || word[2] == 'd' ? value : !value;
	} else if (strcmp(word, "else") == 0) {
		if (c->count && c->values[c->count - 1] >= 0)
			c->values[c->count - 1] = !c->values[c->count - 1];
	} else if (strcmp(word, "endif") == 0) {
		c->count -= c->count > 0;
	} else {
		return false;
	}
	return true;
}

/* ---- files ---- */

static void scan_file(struct scan *s, const char *file, const char *text, size_t len, bool maybe);

static void include(struct scan *s, const char *file, int line, const char *argument, bool maybe)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	const char *stop = *argument == '"' ? strchr(argument + 1, '"') :
		*argument == '<' ? strchr(argument, '>') : NULL;
	bool there;

	if (!stop || stop == argument + 1)
		return;
	AUTO_FREE char *name = xstrndup(argument + 1, (size_t)(stop - argument - 1));
	AUTO_FREE char *path = search(s, file, name, &there);
	if (!there && is_brought(name)) {
		s->library = true;
		return;
	}
	/* A force field that GROMACS does not bring may be in the cluster's GMXLIB. */
	maybe = maybe || (!there && (s->elsewhere || strstr(name, ".ff/")));
	inputfiles_add(s->ret, file, line, "#include", path, maybe ? INPUTFILE_MAYBE : INPUTFILE_PATH);
	if (++s->includes > INCLUDES_MAX)
		s->failed = true;
	if (!there || !s->reader->read || s->failed || *path == '/' ||
		s->reader->read(s->reader->arg, path, &text) < 0)
		return;
	scan_file(s, path, text.data, text.len, maybe);
}

static void define(struct scan *s, const char *name, const char *value, bool maybe)
{
	if (*name && !tcl_variables_set(&s->macros, name, maybe ? "?" : value))
		s->failed = true;
}

static void scan_line(struct scan *s, struct conditions *c, const char *file, int line, char *text,
	bool maybe)
{
	char *rest = NULL;
	char *word = text + strspn(text, " \t");

	if (*word != '#')
		return;
	word = strtok_r(word + 1, " \t\r", &rest);
	if (!word)
		return;
	rest += strspn(rest, " \t");
	AUTO_FREE char *name = xstrndup(rest, strcspn(rest, " \t\r"));
	if (take_condition(s, c, word, name) || counts(c) == 0)
		return;
	maybe = maybe || counts(c) < 0;
	if (strcmp(word, "include") == 0)
		include(s, file, line, rest, maybe);
	else if (strcmp(word, "define") == 0)
		define(s, name, "1", maybe);
	else if (strcmp(word, "undef") == 0)
		define(s, name, "0", maybe);
}

static void scan_file(struct scan *s, const char *file, const char *text, size_t len, bool maybe)
{
	struct conditions c = {.count = 0};
	const char *end = text + len;

	if (s->depth == DEPTH_MAX) {
		s->failed = true;
		return;
	}
	s->depth++;
	for (int line = 1; text < end && !s->failed; line++) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		AUTO_FREE char *copy = xstrndup(text, (size_t)((stop ? stop : end) - text));

		scan_line(s, &c, file, line, copy, maybe);
		text = stop ? stop + 1 : end;
	}
	s->depth--;
}

/* ---- the .mdp file ---- */

static void take_setting(struct scan *s, const char *key, char *value)
{
	bool include = strcasecmp(key, "include") == 0;
	char *rest = NULL;

	if (!include && strcasecmp(key, "define") != 0)
		return;
	for (char *word = strtok_r(value, " \t\r", &rest); word; word = strtok_r(NULL, " \t\r", &rest)) {
		if (!include && strncmp(word, "-D", 2) == 0) {
			word[strcspn(word, "=")] = '\0';
			define(s, word + 2, "1", false);
		} else if (include && strncmp(word, "-I", 2) == 0 && word[2] && word[2] != '/') {
			strbuf_add(&s->folders, word + 2, strlen(word + 2) + 1);
		} else if (include) {
			s->elsewhere = true;
		}
	}
}

static void read_mdp(struct scan *s, const char *mdp)
{
	AUTO_FREE char *copy = xstrdup(mdp);
	char *rest = NULL;

	for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *equals;

		line[strcspn(line, ";")] = '\0';
		line += strspn(line, " \t");
		equals = strchr(line, '=');
		if (!equals)
			continue;
		*equals = '\0';
		line[strcspn(line, " \t")] = '\0';
		take_setting(s, line, equals + 1);
	}
}

int gromacstop_scan(const char *file, const char *text, size_t len, const char *mdp,
	const struct inputfiles_reader *reader, struct inputfiles *ret)
{
	struct scan s = {.ret = ret, .reader = reader, .folders = STRBUF_INIT, .knows_all = mdp};

	if (mdp)
		read_mdp(&s, mdp);
	scan_file(&s, file, text, len, false);
	tcl_variables_release(&s.macros);
	strbuf_release(&s.folders);
	return s.failed ? -E2BIG : 0;
}
