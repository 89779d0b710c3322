/* A template's folder -> a validated template. */
#include "template.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "draftcheck.h"
#include "draftinputs.h"
#include "err.h"
#include "ini.h"

#define FILE_LIMIT (1u << 20)
#define VARIABLES_MAX 200
#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ" LOWER

static const char *const type_names[] = {"text", "file", "integer", "number", "yes/no", "choice"};

/* The raw words of a variable's section, judged when all of it is read. */
enum property {
	PROPERTY_TYPE,
	PROPERTY_UNIT,
	PROPERTY_HELP,
	PROPERTY_DEFAULT,
	PROPERTY_REQUIRED,
	PROPERTY_MULTIPLE,
	PROPERTY_CHOICES,
	PROPERTY_MINIMUM,
	PROPERTY_MAXIMUM,
	PROPERTY_READS,
	PROPERTY_COUNT,
};
static const char *const property_names[PROPERTY_COUNT] = {"type", "unit", "help", "default",
	"required", "multiple", "choices", "minimum", "maximum", "reads"};

struct raw {
	char *values[PROPERTY_COUNT];
	int lines[PROPERTY_COUNT];
};

struct loader {
	struct template *template;
	struct raw *raws; /* one for each variable */
	struct strbuf *why;
	int result;
};

static void free_variable(struct template_variable *v)
{
	free(v->name);
	free(v->unit);
	free(v->help);
	free(v->fallback);
	free(v->reads);
	for (char **c = v->choices; c && *c; c++)
		free(*c);
	free(v->choices);
}

void template_free(struct template *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->count; i++)
		free_variable(&t->variables[i]);
	for (size_t i = 0; i < t->file_count; i++) {
		free(t->files[i].name);
		free(t->files[i].text);
	}
	free(t->variables);
	free(t->files);
	free(t->name);
	free(t->folder);
	free(t->description);
	free(t->body);
	free(t);
}

static void problem(struct loader *l, int line, const char *section, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static void problem(struct loader *l, int line, const char *section, const char *format, ...)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	va_list args;

	va_start(args, format);
	strbuf_vaddf(&text, format, args);
	va_end(args);
	l->result = -EINVAL;
	strbuf_addf(l->why, "templates/%s/template.ini:%d: [", l->template->name, line);
	strbuf_add_escaped(l->why, section, strlen(section));
	strbuf_adds(l->why, "] ");
	strbuf_add_escaped(l->why, text.data, text.len);
	strbuf_addc(l->why, '\n');
}

/* ---- the lines of template.ini ---- */

/* It is a shell variable of the batch script. */
static bool is_variable_name(const char *name)
{
	return *name >= 'a' && *name <= 'z' &&
		strspn(name, LOWER DIGITS "_") == strlen(name) && strncmp(name, "slurmount_", 10) != 0;
}

static size_t index_of(const struct template *t, const char *name)
{
	size_t i = 0;

	while (i < t->count && strcmp(t->variables[i].name, name) != 0)
		i++;
	return i;
}

static void add_variable(struct loader *l, const char *name, int line)
{
	struct template *t = l->template;
	size_t i = index_of(t, name);

	if (i < t->count) {
		problem(l, line, name, "this section is there twice, first in line %d",
			t->variables[i].line);
		return;
	}
	t->variables = xrealloc(t->variables, (i + 1) * sizeof(*t->variables));
	l->raws = xrealloc(l->raws, (i + 1) * sizeof(*l->raws));
	t->variables[i] = (struct template_variable){.name = xstrdup(name), .line = line};
	l->raws[i] = (struct raw){0};
	t->count++;
}

static void take_property(struct loader *l, const char *section, const char *key,
	const char *value, int line)
{
	struct raw *raw = &l->raws[index_of(l->template, section)];
	int i = 0;

	while (i < PROPERTY_COUNT && strcmp(property_names[i], key) != 0)
		i++;
	if (i == PROPERTY_COUNT) {
		problem(l, line, section, "%s: not a part of a template; allowed: type, unit, help, "
			"default, required, multiple, choices, minimum, maximum, reads", key);
	} else if (raw->values[i]) {
		problem(l, line, section, "%s: it is there twice, first in line %d", key, raw->lines[i]);
	} else {
		raw->values[i] = xstrdup(value);
		raw->lines[i] = line;
	}
}

static void take_header(struct loader *l, const char *key, const char *value, int line)
{
	if (!key)
		return;
	if (strcmp(key, "description") != 0) {
		problem(l, line, "template", "%s: not a part of a template; allowed: description", key);
		return;
	}
	free(l->template->description);
	l->template->description = xstrdup(value);
}

static int take_line(void *arg, const char *section, const char *key, const char *value, int line)
{
	struct loader *l = arg;

	if (strcmp(section, "template") == 0) {
		take_header(l, key, value, line);
	} else if (!key && !is_variable_name(section)) {
		problem(l, line, section, "a variable's name is lower case letters, digits and _, a letter "
			"first");
	} else if (!key && l->template->count == VARIABLES_MAX) {
		problem(l, line, section, "more than %d variables", VARIABLES_MAX);
	} else if (!key) {
		add_variable(l, section, line);
	} else if (index_of(l->template, section) < l->template->count) {
		take_property(l, section, key, value, line);
	} else if (!*section) {
		problem(l, line, section, "%s: it stands before any section", key);
	}
	return 0;
}

/* ---- a variable as a whole ---- */

static char **split_words(const char *text)
{
	char *copy AUTO_FREE = xstrdup(text);
	char **words = xcalloc(strlen(text) / 2 + 2, sizeof(*words));
	char *rest = NULL;
	size_t count = 0;

	for (char *w = strtok_r(copy, " \t", &rest); w; w = strtok_r(NULL, " \t", &rest))
		words[count++] = xstrdup(w);
	return words;
}

static void set_type(struct loader *l, struct template_variable *v, const struct raw *raw)
{
	const char *type = raw->values[PROPERTY_TYPE];
	size_t i = 0;

	while (type && i < 6 && strcmp(type_names[i], type) != 0)
		i++;
	if (type && i < 6)
		v->type = (enum template_type)i;
	else
		problem(l, type ? raw->lines[PROPERTY_TYPE] : v->line, v->name,
			"type%s%s%s; allowed: text, file, integer, number, yes/no, choice",
			type ? ": \"" : " is missing", type ? type : "", type ? "\" is no type" : "");
}

static bool is_yes(struct loader *l, const struct template_variable *v, const struct raw *raw,
	enum property p)
{
	const char *value = raw->values[p];

	if (value && strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
		problem(l, raw->lines[p], v->name, "%s: it is yes or no", property_names[p]);
	return value && strcmp(value, "yes") == 0;
}

static bool set_limit(struct loader *l, const struct template_variable *v, const struct raw *raw,
	enum property p, double *ret)
{
	struct template_variable number = {.type = TEMPLATE_NUMBER};
	char *text AUTO_FREE = NULL;

	if (!raw->values[p])
		return false;
	text = template_canonical(&number, raw->values[p]);
	if (!text || (v->type != TEMPLATE_INTEGER && v->type != TEMPLATE_NUMBER))
		problem(l, raw->lines[p], v->name, "%s: %s", property_names[p],
			text ? "only an integer or a number has one" : "it is no number");
	else
		*ret = strtod(text, NULL);
	return text;
}

static void set_choices(struct loader *l, struct template_variable *v, const struct raw *raw)
{
	const char *value = raw->values[PROPERTY_CHOICES];

	if (v->type != TEMPLATE_CHOICE || !value || !*value) {
		if (value || v->type == TEMPLATE_CHOICE)
			problem(l, value ? raw->lines[PROPERTY_CHOICES] : v->line, v->name,
				v->type == TEMPLATE_CHOICE ? "a choice needs choices = WORD WORD ..." :
				"choices: only a choice has them");
		return;
	}
	v->choices = split_words(value);
	if (strspn(value, LETTERS DIGITS TEMPLATE_SAFE_MARKS " \t") != strlen(value))
		problem(l, raw->lines[PROPERTY_CHOICES], v->name, "choices: words of letters, digits and "
			TEMPLATE_SAFE_MARKS ", since they stand in programs' input as they are");
}

static void finish_variable(struct loader *l, struct template_variable *v, struct raw *raw)
{
	set_type(l, v, raw);
	set_choices(l, v, raw);
	v->has_default = raw->values[PROPERTY_DEFAULT] && *raw->values[PROPERTY_DEFAULT];
	v->required = is_yes(l, v, raw, PROPERTY_REQUIRED);
	v->multiple = is_yes(l, v, raw, PROPERTY_MULTIPLE);
	v->has_minimum = set_limit(l, v, raw, PROPERTY_MINIMUM, &v->minimum);
	v->has_maximum = set_limit(l, v, raw, PROPERTY_MAXIMUM, &v->maximum);
	v->unit = STEAL(raw->values[PROPERTY_UNIT]);
	v->help = STEAL(raw->values[PROPERTY_HELP]);
	if (v->multiple && v->type != TEMPLATE_FILE)
		problem(l, raw->lines[PROPERTY_MULTIPLE], v->name, "multiple: only a file can be several");
	v->reads = STEAL(raw->values[PROPERTY_READS]);
	if (v->reads && (v->type != TEMPLATE_FILE || !draftinputs_knows(v->reads)))
		problem(l, raw->lines[PROPERTY_READS], v->name, "reads: only a file has it; allowed: namd, "
			"lammps, gromacs");
	if (v->has_minimum && v->has_maximum && v->minimum > v->maximum)
		problem(l, raw->lines[PROPERTY_MAXIMUM], v->name, "maximum is less than minimum");
	if (v->required && raw->values[PROPERTY_DEFAULT])
		problem(l, raw->lines[PROPERTY_DEFAULT], v->name, "default: what is required has none");
}

/* When it is known which files the variable goes into. */
static void set_fallback(struct loader *l, struct template_variable *v, const struct raw *raw)
{
	const char *value = raw->values[PROPERTY_DEFAULT];
	struct strbuf allowed AUTO_STRBUF = STRBUF_INIT;

	if (!v->has_default)
		return;
	v->fallback = template_canonical(v, value);
	if (v->fallback)
		return;
	template_say_allowed(v, &allowed);
	problem(l, raw->lines[PROPERTY_DEFAULT], v->name, "default: \"%s\" is not allowed; it takes %s",
		value, allowed.data);
}

/* ---- files ---- */

static int read_text(int folder, const char *name, struct strbuf *ret)
{
	return draftcheck_read(folder, name, FILE_LIMIT, ret);
}

static void bad_file(struct loader *l, const char *name, const char *what)
{
	l->result = -EINVAL;
	strbuf_addf(l->why, "templates/%s/", l->template->name);
	strbuf_add_escaped(l->why, name, strlen(name));
	strbuf_addf(l->why, ": %s\n", what);
}

/* sbatch looks at lines of this kind wherever they stand before a command. */
static void check_body(struct loader *l, const struct strbuf *body)
{
	bool runs = false;
	int line = 0;

	if (strlen(body->data) != body->len || strchr(body->data, '\r')) {
		bad_file(l, "body.sh", "it is no plain text, or its lines end as on DOS (run dos2unix)");
		return;
	}
	for (const char *at = body->data; *at; at += *at == '\n') {
		const char *word = at + strspn(at, " \t");

		line++;
		if (strncmp(at, "#SBATCH", 7) == 0 || strncmp(at, "#PBS", 4) == 0 ||
			strncmp(at, "#BSUB", 5) == 0) {
			l->result = -EINVAL;
			strbuf_addf(l->why, "templates/%s/body.sh:%d: what the job needs of Slurm is said in "
				"config.ini's [slurm], not here\n", l->template->name, line);
		}
		runs = runs || !strchr("#\n", *word);
		at += strcspn(at, "\n");
	}
	if (!runs)
		bad_file(l, "body.sh", "it runs nothing");
}

static bool is_file_name(const char *name)
{
	return strchr(LETTERS DIGITS "_", *name) && strlen(name) <= 100 &&
		strspn(name, LETTERS DIGITS "._+-") == strlen(name);
}

static bool is_reserved(const char *name)
{
	return strcmp(name, "config.ini") == 0 || strcmp(name, "SHA256SUMS") == 0;
}

/* The template's own: no part of a job. */
static bool is_ours(const char *name)
{
	return strcmp(name, "template.ini") == 0 || strcmp(name, "body.sh") == 0 ||
		strncmp(name, "README", 6) == 0 || draftcheck_dropping(name);
}

static void add_file(struct loader *l, int folder, const char *name)
{
	struct template *t = l->template;
	size_t len = strlen(name);
	bool rendered = len > 3 && strcmp(name + len - 3, ".in") == 0;
	struct template_file file = {.name = xstrndup(name, rendered ? len - 3 : len)};
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct stat st;
	int r = 0;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		bad_file(l, name, "a template is a flat folder of ordinary files, without folders or links");
	else if (!is_file_name(name) || is_reserved(file.name))
		bad_file(l, name, "a file in a job's directory cannot have this name; allowed: letters, "
			"digits, and . _ + - inside, but config.ini and SHA256SUMS");
	else if (template_file(t, file.name))
		bad_file(l, name, "two files of the template become the same file of the job");
	else if (rendered && (r = read_text(folder, name, &text)) < 0)
		bad_file(l, name, r == -EFBIG ? "it is larger than 1 MiB" : strerror(-r));
	else {
		file.mode = st.st_mode & 0100 ? 0755 : 0644;
		file.kind = template_kind_of(file.name);
		file.len = text.len;
		file.text = rendered ? strbuf_steal(&text) : NULL;
		t->files = xrealloc(t->files, (t->file_count + 1) * sizeof(*t->files));
		t->files[t->file_count++] = file;
		t->rendered += rendered;
		return;
	}
	free(file.name);
}

static int by_kind_and_name(const void *a, const void *b)
{
	const struct template_file *x = a, *y = b;

	if (!x->text != !y->text)
		return x->text ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void read_files(struct loader *l, int folder)
{
	struct template *t = l->template;
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir AUTO_CLOSEDIR = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			is_ours(entry->d_name))
			continue;
		if (draftcheck_transfer(entry->d_name))
			bad_file(l, entry->d_name, "still under way");
		else if (t->file_count <= TEMPLATE_RENDERED_MAX + TEMPLATE_COPIED_MAX)
			add_file(l, folder, entry->d_name);
	}
	if (t->rendered > TEMPLATE_RENDERED_MAX ||
		t->file_count - t->rendered > TEMPLATE_COPIED_MAX)
		bad_file(l, "", "too many files: at most 16 are rendered and 64 copied");
	if (t->file_count)
		qsort(t->files, t->file_count, sizeof(*t->files), by_kind_and_name);
}

/* ---- all of it ---- */

static void read_ini(struct loader *l, const struct strbuf *ini)
{
	struct template *t = l->template;
	char *file AUTO_FREE = xasprintf("templates/%s/template.ini", t->name);

	if (ini_text_parse(ini->data, ini->len, take_line, l, l->why, file) < 0)
		l->result = -EINVAL;
	for (size_t i = 0; i < t->count; i++)
		finish_variable(l, &t->variables[i], &l->raws[i]);
}

/* What can be said only of all parts together. */
static void check_uses(struct loader *l)
{
	struct template *t = l->template;

	for (size_t i = 0; i < t->rendered; i++)
		if (template_check_file(t, &t->files[i], l->why) < 0)
			l->result = -EINVAL;
	for (size_t i = 0; i < t->count; i++) {
		struct template_variable *v = &t->variables[i];

		set_fallback(l, v, &l->raws[i]);
		if (!v->kinds && !template_body_uses(t->body, v->name))
			problem(l, v->line, v->name, "no file uses this variable: neither {{%s}} in a .in file "
				"nor \"$%s\" in body.sh", v->name, v->name);
	}
}

static void load(struct loader *l, int folder)
{
	struct strbuf ini AUTO_STRBUF = STRBUF_INIT;
	struct strbuf body AUTO_STRBUF = STRBUF_INIT;

	int r = read_text(folder, "template.ini", &ini);
	if (r < 0)
		bad_file(l, "template.ini", r == -ENOENT ? "missing: it says what the variables are" :
			strerror(-r));
	r = read_text(folder, "body.sh", &body);
	if (r < 0)
		bad_file(l, "body.sh", r == -ENOENT ? "missing: it is what the job runs" : strerror(-r));
	else
		check_body(l, &body);
	l->template->body = strbuf_steal(&body);
	read_ini(l, &ini);
	read_files(l, folder);
	/* Without all of the variables, every use of one would be a problem of its own. */
	if (l->result == 0)
		check_uses(l);
}

static bool is_section(const char *name)
{
	static const char *const sections[] = {"job", "inputs", "slurm", "modules", "environment"};

	for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++)
		if (strcmp(name, sections[i]) == 0)
			return true;
	return false;
}

int template_load(const char *folder, struct template **ret, struct strbuf *why)
{
	const char *slash = strrchr(folder, '/');
	int fd AUTO_CLOSE = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct loader l = {.why = why};

	*ret = NULL;
	if (fd < 0)
		return -errno;
	l.template = xcalloc(1, sizeof(*l.template));
	l.template->name = xstrdup(slash ? slash + 1 : folder);
	l.template->folder = xstrdup(folder);
	if (jobspec_check_name(l.template->name) < 0 || is_section(l.template->name))
		bad_file(&l, "", "a template cannot have this name; allowed: letters, digits, and . _ - "
			"inside, at most 64, and no section of config.ini");
	load(&l, fd);
	for (size_t i = 0; i < l.template->count; i++)
		for (int k = 0; k < PROPERTY_COUNT; k++)
			free(l.raws[i].values[k]);
	free(l.raws);
	if (l.result < 0)
		template_free(l.template);
	else
		*ret = l.template;
	return l.result;
}
