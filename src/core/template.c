#include "template.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "err.h"
#include "ini.h"
#include "slurm_option.h"
#include "slurm_value.h"

#define FILE_LIMIT (1 << 20)

#ifndef SLURMOUNT_TEMPLATES
#define SLURMOUNT_TEMPLATES "/usr/share/slurmount/templates"
#endif

static const char *const type_names[] = {"text", "file", "integer", "number", "yes/no", "choice"};

struct loader {
	struct template *template;
	struct strbuf *why;
	const char *file;
};

static void free_variable(struct template_variable *v)
{
	free(v->name);
	free(v->unit);
	free(v->help);
	free(v->fallback);
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
	free(t->variables);
	free(t->name);
	free(t->description);
	free(t->body);
	free(t);
}

const char *template_builtin_folder(void)
{
	const char *folder = getenv("SLURMOUNT_TEMPLATES");

	return folder && *folder ? folder : SLURMOUNT_TEMPLATES;
}

static bool is_variable_name(const char *name)
{
	return *name >= 'a' && *name <= 'z' &&
		strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name) &&
		strncmp(name, "slurmount_", 10) != 0;
}

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

static bool parse_number(const char *text, double *ret)
{
	char *end;

	/* No hexadecimal, no "inf": what the cluster's programs read as we do. */
	if (!*text || text[strspn(text, "0123456789+-.eE")])
		return false;
	*ret = strtod(text, &end);
	return !*end && isfinite(*ret);
}

static int parse_type(const char *value, enum template_type *ret)
{
	for (size_t i = 0; i < sizeof(type_names) / sizeof(*type_names); i++) {
		if (strcmp(value, type_names[i]) == 0) {
			*ret = (enum template_type)i;
			return 0;
		}
	}
	return -EINVAL;
}

static void replace(char **text, const char *value)
{
	free(*text);
	*text = xstrdup(value);
}

static int set_property(struct template_variable *v, const char *key, const char *value)
{
	if (strcmp(key, "type") == 0)
		return parse_type(value, &v->type);
	if (strcmp(key, "unit") == 0)
		replace(&v->unit, value);
	else if (strcmp(key, "help") == 0)
		replace(&v->help, value);
	else if (strcmp(key, "default") == 0)
		replace(&v->fallback, value);
	else if (strcmp(key, "required") == 0)
		v->required = strcmp(value, "yes") == 0;
	else if (strcmp(key, "choices") == 0 && !v->choices)
		v->choices = split_words(value);
	else if (strcmp(key, "minimum") == 0)
		return (v->has_minimum = parse_number(value, &v->minimum)) ? 0 : -EINVAL;
	else if (strcmp(key, "maximum") == 0)
		return (v->has_maximum = parse_number(value, &v->maximum)) ? 0 : -EINVAL;
	else
		return -EINVAL;
	return 0;
}

static struct template_variable *find_variable(const struct template *t, const char *name)
{
	for (size_t i = 0; i < t->count; i++) {
		if (strcmp(t->variables[i].name, name) == 0)
			return &t->variables[i];
	}
	return NULL;
}

static struct template_variable *add_variable(struct template *t, const char *name)
{
	struct template_variable *v = find_variable(t, name);

	if (v)
		return v;
	t->variables = xrealloc(t->variables, (t->count + 1) * sizeof(*t->variables));
	v = &t->variables[t->count++];
	*v = (struct template_variable){.name = xstrdup(name)};
	return v;
}

static int take_line(void *arg, const char *section, const char *key, const char *value, int line)
{
	struct loader *l = arg;
	struct template_variable *v;

	if (strcmp(section, "template") == 0) {
		if (!key)
			return 0;
		if (strcmp(key, "description") == 0) {
			replace(&l->template->description, value);
			return 0;
		}
	} else if (is_variable_name(section)) {
		v = add_variable(l->template, section);
		if (!key || set_property(v, key, value) == 0)
			return 0;
	}
	strbuf_addf(l->why, "%s:%d: [%s] %s: not a part of a template\n", l->file, line, section,
		key ? key : "");
	return -EINVAL;
}

static int read_text(const char *folder, const char *name, struct strbuf *ret, struct strbuf *why)
{
	char *path AUTO_FREE = xasprintf("%s/%s", folder, name);
	FILE *file AUTO_FCLOSE = fopen(path, "re");
	char buffer[4096];
	size_t n;
	int r = 0;

	if (!file) {
		r = -errno;
	} else {
		while ((n = fread(buffer, 1, sizeof(buffer), file)) > 0 && ret->len < FILE_LIMIT)
			strbuf_add(ret, buffer, n);
		if (ferror(file))
			r = -EIO;
		else if (ret->len >= FILE_LIMIT)
			r = -EFBIG;
	}
	if (r < 0)
		strbuf_addf(why, "%s: %s\n", path, strerror(-r));
	return r;
}

/* sbatch looks at lines of this kind wherever they stand before a command. */
static int check_body(const struct strbuf *body, const char *folder, struct strbuf *why)
{
	if (memchr(body->data, '\0', body->len) || memchr(body->data, '\r', body->len) ||
		strncmp(body->data, "#SBATCH", 7) == 0 || strstr(body->data, "\n#SBATCH")) {
		strbuf_addf(why, "%s/body.sh: not a plain text, or with #SBATCH lines\n", folder);
		return -EINVAL;
	}
	return 0;
}

static int check_variables(const struct template *t, const char *file, struct strbuf *why)
{
	int r = 0;

	for (size_t i = 0; i < t->count; i++) {
		const struct template_variable *v = &t->variables[i];

		if (v->type == TEMPLATE_CHOICE && (!v->choices || !v->choices[0])) {
			strbuf_addf(why, "%s: [%s]: a choice without choices\n", file, v->name);
			r = -EINVAL;
		}
	}
	return r;
}

int template_load(const char *folder, struct template **ret, struct strbuf *why)
{
	struct strbuf ini AUTO_STRBUF = STRBUF_INIT;
	struct strbuf body AUTO_STRBUF = STRBUF_INIT;
	char *file AUTO_FREE = xasprintf("%s/template.ini", folder);
	const char *slash = strrchr(folder, '/');
	struct template *t;
	struct loader l;
	int r;

	*ret = NULL;
	r = read_text(folder, "template.ini", &ini, why);
	if (r == 0)
		r = read_text(folder, "body.sh", &body, why);
	if (r == 0)
		r = check_body(&body, folder, why);
	if (r < 0)
		return r;
	t = xcalloc(1, sizeof(*t));
	t->name = xstrdup(slash ? slash + 1 : folder);
	t->body = strbuf_steal(&body);
	l = (struct loader){.template = t, .why = why, .file = file};
	r = ini_text_parse(ini.data, ini.len, take_line, &l, why, file);
	if (r == 0)
		r = check_variables(t, file, why);
	if (r < 0)
		template_free(t);
	else
		*ret = t;
	return r;
}

int template_find(const char *name, const char *own, struct template **ret, struct strbuf *why)
{
	const char *folders[] = {own, template_builtin_folder()};

	*ret = NULL;
	for (size_t i = 0; i < 2 && jobspec_check_name(name) == 0; i++) {
		struct strbuf text AUTO_STRBUF = STRBUF_INIT;
		char *folder AUTO_FREE = folders[i] ? xasprintf("%s/%s", folders[i], name) : NULL;
		int r = folder ? template_load(folder, ret, &text) : -ENOENT;

		if (r != -ENOENT) {
			strbuf_add(why, text.data, text.len);
			return r;
		}
	}
	strbuf_adds(why, "no such template: ");
	strbuf_add_escaped(why, name, strlen(name));
	strbuf_addc(why, '\n');
	return -ENOENT;
}

static bool is_choice(const struct template_variable *v, const char *value)
{
	for (char **c = v->choices; *c; c++) {
		if (strcmp(*c, value) == 0)
			return true;
	}
	return false;
}

static bool in_range(const struct template_variable *v, double number)
{
	return (!v->has_minimum || number >= v->minimum) && (!v->has_maximum || number <= v->maximum);
}

static bool is_integer(const char *value)
{
	size_t sign = *value == '-' || *value == '+';
	size_t digits = strspn(value + sign, "0123456789");

	return digits > 0 && digits <= 15 && !value[sign + digits];
}

static bool is_allowed(const struct template_variable *v, const char *value)
{
	char *path AUTO_FREE = NULL;
	double number;

	switch (v->type) {
	case TEMPLATE_TEXT:
		return true;
	case TEMPLATE_FILE:
		/* A program must not take it for an option. */
		path = jobspec_clean_path(value);
		return path && *path != '-';
	case TEMPLATE_INTEGER:
		return is_integer(value) && parse_number(value, &number) && in_range(v, number);
	case TEMPLATE_NUMBER:
		return parse_number(value, &number) && in_range(v, number);
	case TEMPLATE_YESNO:
		return strcmp(value, "yes") == 0 || strcmp(value, "no") == 0;
	case TEMPLATE_CHOICE:
		return is_choice(v, value);
	}
	return false;
}

static void say_allowed(const struct template_variable *v, struct strbuf *why)
{
	switch (v->type) {
	case TEMPLATE_CHOICE:
		strbuf_adds(why, "one of");
		for (char **c = v->choices; *c; c++)
			strbuf_addf(why, " %s", *c);
		break;
	case TEMPLATE_FILE:
		strbuf_adds(why, "a path within the draft");
		break;
	case TEMPLATE_YESNO:
		strbuf_adds(why, "yes or no");
		break;
	default:
		strbuf_adds(why, v->type == TEMPLATE_INTEGER ? "a whole number" : "a number");
	}
	if (v->has_minimum)
		strbuf_addf(why, ", at least %g", v->minimum);
	if (v->has_maximum)
		strbuf_addf(why, ", at most %g", v->maximum);
	if (v->unit)
		strbuf_addf(why, " (%s)", v->unit);
}

static int check_value(const struct template_variable *v, const struct jobspec_pair *pair,
	struct strbuf *why)
{
	if (!slurm_value_has_control(pair->value) && is_allowed(v, pair->value))
		return 0;
	strbuf_addf(why, "config.ini:%d: %s: '", pair->line, v->name);
	strbuf_add_escaped(why, pair->value, strlen(pair->value));
	strbuf_adds(why, "' is not allowed; it takes ");
	say_allowed(v, why);
	strbuf_addc(why, '\n');
	return -EINVAL;
}

static int check_known(const struct template *t, const struct jobspec_pairs *given,
	struct strbuf *why)
{
	const char **names AUTO_FREE = xcalloc(t->count + 1, sizeof(*names));
	int r = 0;

	for (size_t i = 0; i < t->count; i++)
		names[i] = t->variables[i].name;
	for (size_t i = 0; i < given->count; i++) {
		const char *key = given->items[i].key;
		const char *near;

		if (find_variable(t, key))
			continue;
		r = -EINVAL;
		near = name_nearest(key, names, t->count);
		strbuf_addf(why, "config.ini:%d: ", given->items[i].line);
		strbuf_add_escaped(why, key, strlen(key));
		strbuf_addf(why, ": not a variable of the template %s", t->name);
		if (near)
			strbuf_addf(why, " (did you mean %s?)", near);
		strbuf_addc(why, '\n');
	}
	return r;
}

int template_check(const struct template *t, const struct jobspec_pairs *given,
	struct jobspec_pairs *values, struct strbuf *why)
{
	int r = check_known(t, given, why);

	for (size_t i = 0; i < t->count; i++) {
		const struct template_variable *v = &t->variables[i];
		const struct jobspec_pair *pair = NULL;

		for (size_t k = 0; k < given->count; k++) {
			if (strcmp(given->items[k].key, v->name) == 0)
				pair = &given->items[k];
		}
		if (pair && check_value(v, pair, why) < 0) {
			r = -EINVAL;
		} else if (!pair && v->required) {
			strbuf_addf(why, "config.ini:0: [%s] %s: missing; the template needs it", t->name,
				v->name);
			if (v->help)
				strbuf_addf(why, " (%s)", v->help);
			strbuf_addc(why, '\n');
			r = -EINVAL;
		}
		jobspec_pairs_add(values, v->name, pair ? pair->value : v->fallback ? v->fallback : "",
			pair ? pair->line : 0);
	}
	return r;
}

int template_files(const struct template *t, const struct jobspec_pairs *values,
	int (*each)(void *arg, const char *variable, const char *path), void *arg)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < values->count; i++) {
		const struct jobspec_pair *pair = &values->items[i];
		const struct template_variable *v = find_variable(t, pair->key);

		if (v && v->type == TEMPLATE_FILE && *pair->value)
			r = each(arg, pair->key, pair->value);
	}
	return r;
}
