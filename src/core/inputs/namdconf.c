#include "namdconf.h"

#include <string.h>
#include <strings.h>

#include "colvarsconf.h"
#include "err.h"
#include "tclscan.h"

#define NEVER ((size_t)-1)

/* `file` is read where `turned_on_by`, if it has one, is on. */
static const struct keyword {
	const char *name, *turned_on_by;
} keywords[] = {{"accelmdgrestartfile", "accelmdgrestart"}, {"adapttempinfile", "adapttempmd"},
	{"alchfile", "alch"}, {"ambercoor", "amber"}, {"bincoordinates", NULL},
	{"binrefcoords", NULL}, {"binvelocities", NULL}, {"colvarsconfig", "colvars"},
	{"colvarsinput", "colvars"}, {"consatomlistfile", "constraints"},
	{"consforcefile", "constantforce"}, {"conskfile", "constraints"}, {"consref", "constraints"},
	{"constorqueaxisfile", "constorqueon"}, {"constorquefile", "constorqueon"},
	{"constorquepivotfile", "constorqueon"}, {"constorquevalfile", "constorqueon"},
	{"coordinates", NULL}, {"excludefrompressurefile", "excludefrompressure"},
	{"extendedsystem", NULL}, {"extrabondsfile", "extrabonds"}, {"fepfile", "fep"},
	{"fixedatomlistfile", "fixedatoms"}, {"fixedatomsfile", "fixedatoms"},
	{"freeenergyconfig", "freeenergy"}, {"gocoordinates", "goforceson"},
	{"goparameters", "goforceson"}, {"gridforcefile", "gridforce"},
	{"gridforcepotfile", "gridforce"}, {"grocoorfile", "gromacs"}, {"grotopfile", "gromacs"},
	{"langevinfile", "langevin"}, {"lesfile", "les"}, {"mgridforcefile", "mgridforce"},
	{"mgridforcepotfile", "mgridforce"}, {"miscforcesscript", "miscforces"},
	{"movdragfile", "movdragon"}, {"movdragvelfile", "movdragon"},
	{"openatomdriverfile", "openatom"}, {"openatompdbfile", "openatom"},
	{"openatomphysicsfile", "openatom"}, {"pairinteractionfile", "pairinteraction"},
	{"parameters", NULL}, {"parmfile", "amber"}, {"plumedfile", "plumed"},
	{"pressureprofileatomtypesfile", "pressureprofile"}, {"qmcustompcfile", "qmforces"},
	{"qmparampdb", "qmforces"}, {"rotdragaxisfile", "rotdragon"}, {"rotdragfile", "rotdragon"},
	{"rotdragpivotfile", "rotdragon"}, {"rotdragvelfile", "rotdragon"}, {"smdfile", "smd"},
	{"solutescalingfile", "solutescaling"}, {"stirfilename", "stiron"}, {"structure", NULL},
	{"symmetryfile", "symmetryrestraints"}, {"symmetrykfile", "symmetryrestraints"},
	{"symmetrymatrixfile", "symmetryrestraints"},
	{"tabulatedenergiesfile", "tabulatedenergies"}, {"tclbcscript", "tclbc"},
	{"tclforcesscript", "tclforces"}, {"tcouplefile", "tcouple"}, {"tmdfile", "tmd"},
	{"tmdfile2", "tmddiffrmsd"}, {"velocities", NULL}};

#define KEYWORDS (sizeof(keywords) / sizeof(*keywords))

struct written {
	char *path;
	char *from; /* the file that the same command read, or NULL */
	size_t when;
	bool maybe;
};

struct scan {
	struct inputfiles *ret;
	size_t *read_at;  /* of each item of `ret`: its command's number, or NEVER: at the first run */
	const struct inputfiles_reader *reader;
	struct written *written;
	size_t written_count;
	size_t now, first_run; /* numbers of commands */
	const char *reader_at; /* the last Tcl command that read a file, and that file's number */
	size_t reader_item;
	bool on[KEYWORDS], off[KEYWORDS]; /* what turns it on has been set so, or not for certain */
	char *output, *restart; /* NULL: not known */
	char *folder;           /* of `cwd`; NULL: none */
	bool folder_unknown;
};

static bool is_word(const struct tcl_command *c, size_t i, const char *text)
{
	return i < c->count && strcmp(c->words[i].value.data, text) == 0;
}

static void found(struct scan *s, const struct tcl_piece *at, const char *keyword,
	const struct tcl_word *w, const char *suffix, size_t when)
{
	bool known = tcl_is_text(w) && w->value.len;
	AUTO_FREE char *raw = xstrndup(w->raw, w->raw_len);
	AUTO_FREE char *path = xasprintf("%s%s", known ? w->value.data : raw, suffix);
	size_t count = s->ret->count;

	inputfiles_add(s->ret, at->file, w->line, keyword, path,
		!known ? INPUTFILE_UNRESOLVED : at->maybe ? INPUTFILE_MAYBE : INPUTFILE_PATH);
	if (s->ret->count == count)
		return;
	s->read_at = xrealloc(s->read_at, s->ret->count * sizeof(*s->read_at));
	s->read_at[count] = when;
}

static void wrote(struct scan *s, const struct tcl_piece *at, const char *base, const char *suffix)
{
	if (!base)
		return;
	s->written = xrealloc(s->written, (s->written_count + 1) * sizeof(*s->written));
	s->written[s->written_count++] = (struct written){.path = xasprintf("%s%s", base, suffix),
		.when = s->now, .maybe = at->maybe};
}

static void wrote_state(struct scan *s, const struct tcl_piece *at, const char *base)
{
	static const char *const suffixes[] = {".coor", ".vel", ".xsc", ".dcd", ".xst",
		".colvars.state"};

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++)
		wrote(s, at, base, suffixes[i]);
}

static void on_run(struct scan *s, const struct tcl_piece *at)
{
	AUTO_FREE char *restart = s->restart ? xstrdup(s->restart) : s->output ?
		xasprintf("%s.restart", s->output) : NULL;

	if (s->first_run == NEVER && !at->maybe)
		s->first_run = s->now;
	wrote_state(s, at, s->output);
	wrote_state(s, at, restart);
}

/* NAMD's own commands that are no keywords.  Returns false for any other. */
static bool namd_command(struct scan *s, const struct tcl_piece *at, const struct tcl_command *c)
{
	const struct tcl_word *last = &c->words[c->count - 1];

	if (is_word(c, 0, "run") || is_word(c, 0, "minimize") || is_word(c, 0, "startup")) {
		on_run(s, at);
	} else if (c->count == 1) {
		return false;
	} else if (is_word(c, 0, "output")) {
		wrote_state(s, at, tcl_is_text(last) ? last->value.data : NULL);
	} else if (is_word(c, 0, "reinitatoms")) {
		found(s, at, "reinitatoms", last, ".coor", s->now);
		found(s, at, "reinitatoms", last, ".vel", s->now);
		found(s, at, "reinitatoms", last, ".xsc", s->now);
	} else if (is_word(c, 0, "coorfile")) {
		if (is_word(c, 1, "open") && c->count == 4)
			found(s, at, "coorfile", last, "", s->now);
	} else if (is_word(c, 0, "reloadCharges")) {
		found(s, at, "reloadCharges", last, "", s->now);
	} else if (is_word(c, 0, "cv")) {
		if (is_word(c, 1, "configfile") && c->count == 3)
			found(s, at, "cv configfile", last, "", s->now);
	} else {
		return false;
	}
	return true;
}

/* The value of one word or several, as NAMD joins them. */
static void join_value(const struct tcl_command *c, size_t first, const char *rest,
	struct tcl_word *ret)
{
	size_t count = first;

	while (count < c->count && *c->words[count].value.data != '#')
		count++;
	*ret = (struct tcl_word){.value = STRBUF_INIT, .known = true, .line = c->words[0].line,
		.raw = rest, .raw_len = strlen(rest)};
	strbuf_adds(&ret->value, rest);
	for (size_t i = first; i < count; i++) {
		const struct tcl_word *w = &c->words[i];
		/* The "=" of "key =value" is no part of it. */
		size_t skip = i == first && !*rest && *w->value.data == '=';

		if (ret->value.len)
			strbuf_addc(&ret->value, ' ');
		strbuf_add(&ret->value, w->value.data + skip, w->value.len - skip);
		ret->known = ret->known && tcl_is_text(w);
		if (!ret->raw_len) {
			ret->raw = w->raw + skip;
			ret->line = w->line;
		}
		if (w->raw + w->raw_len > ret->raw)
			ret->raw_len = (size_t)(w->raw + w->raw_len - ret->raw);
	}
}

static void set_known(char **to, const struct tcl_piece *at, const struct tcl_word *value)
{
	free(*to);
	*to = tcl_is_text(value) && !at->maybe ? xstrdup(value->value.data) : NULL;
}

static void set_switches(struct scan *s, const struct tcl_piece *at, const char *name,
	const struct tcl_word *value)
{
	bool off = tcl_is_text(value) && !at->maybe && (strcasecmp(value->value.data, "off") == 0 ||
		strcasecmp(value->value.data, "no") == 0 || strcasecmp(value->value.data, "false") == 0 ||
		strcmp(value->value.data, "0") == 0);

	for (size_t i = 0; i < KEYWORDS; i++) {
		if (keywords[i].turned_on_by && strcasecmp(name, keywords[i].turned_on_by) == 0) {
			s->on[i] = s->on[i] || !off;
			s->off[i] = s->off[i] || off;
		}
	}
}

static const struct keyword *find_keyword(const char *name)
{
	for (size_t i = 0; i < KEYWORDS; i++) {
		if (strcasecmp(name, keywords[i].name) == 0)
			return &keywords[i];
	}
	return NULL;
}

static void file_keyword(struct scan *s, const struct tcl_piece *at, const struct tcl_command *c,
	size_t name, const char *keyword, const struct tcl_word *value)
{
	bool tagged = strncasecmp(keyword, "mgrid", 5) == 0;

	/* Some take a script in the place of its file's name. */
	if (strchr(value->value.data, '\n') || (strcasestr(keyword, "script") && value->known &&
			strpbrk(value->value.data, " \t")))
		return;
	if (tagged || (strcasecmp(keyword, "structure") == 0 && is_word(c, name + 2, "pdb"))) {
		if (c->count > name + 1 && !tagged)
			found(s, at, keyword, &c->words[name + 1], "", s->now);
		if (c->count > name + 2 + !tagged)
			found(s, at, tagged ? keyword : "coordinates", &c->words[name + 2 + !tagged], "",
				s->now);
		return;
	}
	if (strcasecmp(keyword, "colvarsinput") == 0 && !strstr(value->value.data, ".state")) {
		/* Its name may be given without .colvars.state. */
		struct tcl_piece unsure = *at;

		unsure.maybe = true;
		found(s, &unsure, keyword, value, "", NEVER);
		return;
	}
	found(s, at, keyword, value, "", NEVER);
}

static void keyword(struct scan *s, const struct tcl_piece *at, const struct tcl_command *c)
{
	size_t first = is_word(c, 0, "param") ? 1 : 0;
	struct tcl_word value;
	const char *equals;

	if (c->count <= first)
		return;
	equals = strchr(c->words[first].value.data, '=');
	AUTO_FREE char *name = xstrndup(c->words[first].value.data, equals ?
		(size_t)(equals - c->words[first].value.data) : c->words[first].value.len);
	join_value(c, first + 1, equals ? equals + 1 : "", &value);
	if (!tcl_is_text(&c->words[first])) {
		value.known = false;
		value.raw = c->words[first].raw;
		value.raw_len = c->words[first].raw_len;
	}
	if (value.value.len || !value.known) {
		set_switches(s, at, name, &value);
		if (strcasecmp(name, "outputname") == 0)
			set_known(&s->output, at, &value);
		else if (strcasecmp(name, "restartname") == 0)
			set_known(&s->restart, at, &value);
		else if (strcasecmp(name, "cwd") == 0) {
			set_known(&s->folder, at, &value);
			s->folder_unknown = !s->folder;
		} else if (find_keyword(name)) {
			file_keyword(s, at, c, first, name, &value);
		}
	}
	strbuf_release(&value.value);
}

static void on_command(void *arg, const struct tcl_piece *at, const struct tcl_command *c)
{
	struct scan *s = arg;

	s->now++;
	if (!tcl_is_text(&c->words[0]) || !namd_command(s, at, c))
		keyword(s, at, c);
}

static bool on_source(void *arg, const struct tcl_piece *at, const struct tcl_word *name,
	struct strbuf *ret)
{
	struct scan *s = arg;

	s->now++;
	found(s, at, "source", name, "", s->now);
	return tcl_is_text(name) && s->reader->read &&
		s->reader->read(s->reader->arg, name->value.data, ret) == 0;
}

static void on_file(void *arg, const struct tcl_piece *at, const char *command,
	const struct tcl_word *name, bool writes)
{
	struct scan *s = arg;

	s->now++;
	if (!writes) {
		size_t count = s->ret->count;

		found(s, at, command, name, "", s->now);
		if (s->ret->count > count) {
			s->reader_at = at->p;
			s->reader_item = count;
		}
	} else if (tcl_is_text(name)) {
		wrote(s, at, name->value.data, "");
		if (s->reader_at == at->p)
			s->written[s->written_count - 1].from = xstrdup(s->ret->items[s->reader_item].path);
	}
}

static bool on_exists(void *arg, const char *name)
{
	struct scan *s = arg;

	return s->reader->exists && s->reader->exists(s->reader->arg, name);
}

static void free_written(struct written *w)
{
	free(w->path);
	free(w->from);
}

static bool is_off(const struct scan *s, const char *name)
{
	const struct keyword *k = find_keyword(name);

	return k && s->off[k - keywords] && !s->on[k - keywords];
}

/* 2: the run itself writes it before it reads it; 1: it may; 0: it does not. */
static int is_written(const struct scan *s, const char *path, size_t when)
{
	int ret = 0;

	for (size_t i = 0; i < s->written_count && ret < 2; i++) {
		if (s->written[i].when < when && strcmp(s->written[i].path, path) == 0)
			ret = s->written[i].maybe ? 1 : 2;
	}
	return ret;
}

/* The text of a Colvars configuration, or of what sed makes it from; `ret` is the file's name. */
static bool read_colvars(const struct scan *s, const char *path, struct strbuf *text,
	const char **ret)
{
	*ret = path;
	for (size_t i = 0; i < s->written_count; i++) {
		if (strcmp(s->written[i].path, path) == 0 && s->written[i].from)
			*ret = s->written[i].from;
	}
	return s->reader->read(s->reader->arg, *ret, text) == 0;
}

/* Its own files are read when it is: after the folder of `cwd` was entered. */
static void scan_colvars(struct scan *s)
{
	size_t count = s->ret->count;

	if (!s->reader->read || s->folder || s->folder_unknown || is_off(s, "colvarsconfig"))
		return;
	for (size_t i = 0; i < count; i++) {
		const struct inputfile *f = &s->ret->items[i];
		struct strbuf text AUTO_STRBUF = STRBUF_INIT;
		const char *name;

		if (strcmp(f->keyword, "colvarsconfig") == 0 && f->found != INPUTFILE_UNRESOLVED &&
				read_colvars(s, f->path, &text, &name)) {
			AUTO_FREE char *file = xstrdup(name);

			colvarsconf_scan(file, text.data, f->found == INPUTFILE_MAYBE, s->ret);
		}
	}
	s->read_at = xrealloc(s->read_at, (s->ret->count + 1) * sizeof(*s->read_at));
	for (; count < s->ret->count; count++)
		s->read_at[count] = NEVER;
}

static void enter_folder(const struct scan *s, struct inputfile *f)
{
	if (s->folder_unknown)
		f->found = INPUTFILE_UNRESOLVED;
	if (!s->folder || f->found == INPUTFILE_UNRESOLVED || *f->path == '/')
		return;
	char *joined = xasprintf("%s/%s", s->folder, f->path);
	free(f->path);
	f->path = joined;
	f->absolute = *joined == '/';
}

static void finish(struct scan *s)
{
	size_t kept = 0;

	scan_colvars(s);
	for (size_t i = 0, at = 0; at < s->ret->count; i++) {
		struct inputfile *f = &s->ret->items[at];
		size_t when = s->read_at[i] == NEVER ? s->first_run : s->read_at[i];
		int written = f->found == INPUTFILE_UNRESOLVED ? 0 : is_written(s, f->path, when);

		if (written == 2 || is_off(s, f->keyword)) {
			inputfiles_remove(s->ret, at);
			continue;
		}
		if (written == 1)
			f->found = INPUTFILE_MAYBE;
		if (s->read_at[i] == NEVER)
			enter_folder(s, f);
		at = ++kept;
	}
	for (size_t i = 0; i < s->written_count; i++)
		free_written(&s->written[i]);
	free(s->written);
	free(s->read_at);
	free(s->output);
	free(s->restart);
	free(s->folder);
}

int namdconf_scan(const char *file, const char *text, size_t len,
	const struct inputfiles_reader *reader, struct inputfiles *ret)
{
	struct scan s = {.ret = ret, .reader = reader, .first_run = NEVER};
	struct tclscan_caller caller = {.arg = &s, .command = on_command, .source = on_source,
		.file = on_file, .exists = on_exists};
	int r = tclscan_run(file, text, len, &caller);

	finish(&s);
	return r;
}
