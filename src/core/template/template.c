/* The variables of a template: what config.ini gives them, checked and in canonical form. */
#include "template.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "err.h"
#include "slurm_option.h"
#include "slurm_value.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define SAFE LETTERS DIGITS TEMPLATE_SAFE_MARKS

/* Files in which nothing is quoted: the value stands there as it is. */
#define BARE_KINDS (1u << TEMPLATE_TCL | 1u << TEMPLATE_SETTING | 1u << TEMPLATE_PLAIN)

struct template_variable *template_variable(const struct template *t, const char *name)
{
	for (size_t i = 0; i < t->count; i++) {
		if (strcmp(t->variables[i].name, name) == 0)
			return &t->variables[i];
	}
	return NULL;
}

const struct template_file *template_file(const struct template *t, const char *name)
{
	for (size_t i = 0; i < t->file_count; i++) {
		if (strcmp(t->files[i].name, name) == 0)
			return &t->files[i];
	}
	return NULL;
}

/* ---- numbers: one form, since "010" is eight to Tcl and to a shell, and "+.5" no number to JSON ---- */

/* Appends the whole part: no needless zeros in front, one where there is no digit. */
static void add_whole(struct strbuf *b, const char *digits, size_t len)
{
	while (len > 1 && *digits == '0') {
		digits++;
		len--;
	}
	strbuf_add(b, len ? digits : "0", len ? len : 1);
}

static char *canonical_integer(const char *value)
{
	struct strbuf b = STRBUF_INIT;
	bool negative = *value == '-';
	const char *digits = value + (negative || *value == '+');
	size_t len = strspn(digits, DIGITS);
	size_t zeros = strspn(digits, "0");

	if (!len || digits[len] || len - zeros > 15)
		return NULL;
	if (negative && zeros < len)
		strbuf_addc(&b, '-');
	add_whole(&b, digits, len);
	return strbuf_steal(&b);
}

static char *canonical_number(const char *value)
{
	struct strbuf b AUTO_STRBUF = STRBUF_INIT;
	bool negative = *value == '-';
	const char *p = value + (negative || *value == '+');
	size_t whole = strspn(p, DIGITS), fraction = 0;

	if (negative)
		strbuf_addc(&b, '-');
	add_whole(&b, p, whole);
	p += whole;
	if (*p == '.') {
		fraction = strspn(++p, DIGITS);
		strbuf_addc(&b, '.');
		strbuf_add(&b, fraction ? p : "0", fraction ? fraction : 1);
		p += fraction;
	}
	if (whole + fraction == 0)
		return NULL;
	if (*p == 'e' || *p == 'E') {
		size_t sign = p[1] == '+' || p[1] == '-';
		size_t digits = strspn(p + 1 + sign, DIGITS);

		strbuf_add(&b, p, 1 + sign + digits);
		p += digits ? 1 + sign + digits : 0;
	}
	return *p || !isfinite(strtod(b.data, NULL)) ? NULL : strbuf_steal(&b);
}

/* ---- the other types ---- */

static bool is_safe(const char *word, const char *more)
{
	size_t len = 0;

	while (word[len] && (strchr(SAFE, word[len]) || strchr(more, word[len])))
		len++;
	return !word[len];
}

static char *canonical_path(const struct template_variable *v, const char *value)
{
	char *path AUTO_FREE = jobspec_clean_path(value);

	/* A program must not take it for an option. */
	if (!path || *path == '-')
		return NULL;
	if ((v->multiple || v->kinds & BARE_KINDS) && !is_safe(path, ""))
		return NULL;
	return STEAL(path);
}

static char *canonical_paths(const struct template_variable *v, const char *value)
{
	char *copy AUTO_FREE = xstrdup(value);
	struct strbuf b AUTO_STRBUF = STRBUF_INIT;
	char *rest = NULL;

	if (!v->multiple)
		return canonical_path(v, value);
	for (char *w = strtok_r(copy, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
		char *path AUTO_FREE = canonical_path(v, w);

		if (!path)
			return NULL;
		strbuf_addf(&b, "%s%s", b.len ? " " : "", path);
	}
	return strbuf_steal(&b);
}

static char *canonical_text(const struct template_variable *v, const char *value)
{
	if (v->kinds & 1u << TEMPLATE_PLAIN && (!is_safe(value, "") || *value == '-'))
		return NULL;
	if (v->kinds & 1u << TEMPLATE_SETTING && !is_safe(value, " "))
		return NULL;
	return xstrdup(value);
}

static bool is_choice(const struct template_variable *v, const char *value)
{
	for (char **c = v->choices; c && *c; c++) {
		if (strcmp(*c, value) == 0)
			return true;
	}
	return false;
}

static bool in_range(const struct template_variable *v, double number)
{
	return (!v->has_minimum || number >= v->minimum) && (!v->has_maximum || number <= v->maximum);
}

char *template_canonical(const struct template_variable *v, const char *value)
{
	char *text AUTO_FREE = NULL;
	int yes;

	if (slurm_value_has_control(value))
		return NULL;
	switch (v->type) {
	case TEMPLATE_TEXT:
		return canonical_text(v, value);
	case TEMPLATE_FILE:
		return canonical_paths(v, value);
	case TEMPLATE_INTEGER:
	case TEMPLATE_NUMBER:
		text = v->type == TEMPLATE_INTEGER ? canonical_integer(value) : canonical_number(value);
		return text && in_range(v, strtod(text, NULL)) ? STEAL(text) : NULL;
	case TEMPLATE_YESNO:
		yes = slurm_value_yes(value);
		return yes < 0 ? NULL : xstrdup(yes ? "yes" : "no");
	case TEMPLATE_CHOICE:
		return is_choice(v, value) ? xstrdup(value) : NULL;
	}
	return NULL;
}

static void say_safe(struct strbuf *ret)
{
	strbuf_adds(ret, " of letters, digits and");
	for (const char *c = TEMPLATE_SAFE_MARKS; *c; c++)
		strbuf_addf(ret, " %c", *c);
}

static void say_text(const struct template_variable *v, struct strbuf *ret)
{
	strbuf_adds(ret, "a text");
	if (v->kinds & BARE_KINDS)
		say_safe(ret);
	if (v->kinds & 1u << TEMPLATE_PLAIN)
		strbuf_adds(ret, ", without blanks, and no - at its beginning");
	else if (v->kinds & 1u << TEMPLATE_SETTING)
		strbuf_adds(ret, " and blanks");
}

static void say_files(const struct template_variable *v, struct strbuf *ret)
{
	strbuf_adds(ret, v->multiple ? "paths within the draft, separated by blanks," :
		"a path within the draft");
	if (v->multiple || v->kinds & BARE_KINDS)
		say_safe(ret);
}

void template_say_allowed(const struct template_variable *v, struct strbuf *ret)
{
	switch (v->type) {
	case TEMPLATE_CHOICE:
		strbuf_adds(ret, "one of");
		for (char **c = v->choices; c && *c; c++)
			strbuf_addf(ret, " %s", *c);
		break;
	case TEMPLATE_FILE:
		say_files(v, ret);
		break;
	case TEMPLATE_YESNO:
		strbuf_adds(ret, "yes or no");
		break;
	case TEMPLATE_TEXT:
		say_text(v, ret);
		break;
	case TEMPLATE_INTEGER:
	case TEMPLATE_NUMBER:
		strbuf_adds(ret, v->type == TEMPLATE_INTEGER ? "a whole number" : "a number");
	}
	if (v->has_minimum)
		strbuf_addf(ret, ", at least %.15g", v->minimum);
	if (v->has_maximum)
		strbuf_addf(ret, ", at most %.15g", v->maximum);
	if (v->unit)
		strbuf_addf(ret, " (%s)", v->unit);
}

/* ---- what config.ini gives ---- */

static int check_known(const struct template *t, const struct jobspec_pairs *given,
	struct strbuf *why)
{
	const char **names AUTO_FREE = xcalloc(t->count + 1, sizeof(*names));
	int r = 0;

	for (size_t i = 0; i < t->count; i++)
		names[i] = t->variables[i].name;
	for (size_t i = 0; i < given->count; i++) {
		const char *key = given->items[i].key;

		if (template_variable(t, key))
			continue;
		r = -EINVAL;
		const char *near = name_nearest(key, names, t->count);
		strbuf_addf(why, "config.ini:%d: ", given->items[i].line);
		strbuf_add_escaped(why, key, strlen(key));
		strbuf_addf(why, ": not a variable of the template %s", t->name);
		if (near)
			strbuf_addf(why, " (did you mean %s?)", near);
		for (size_t k = 0; !near && k < t->count; k++)
			strbuf_addf(why, "%s%s", k ? ", " : "; it has ", names[k]);
		strbuf_addc(why, '\n');
	}
	return r;
}

static int refuse_value(const struct template_variable *v, const struct jobspec_pair *pair,
	struct strbuf *why)
{
	strbuf_addf(why, "config.ini:%d: %s: ", pair->line, v->name);
	slurm_value_quote(why, pair->value);
	strbuf_adds(why, " is not allowed; it takes ");
	template_say_allowed(v, why);
	strbuf_addc(why, '\n');
	return -EINVAL;
}

static int refuse_missing(const struct template *t, const struct template_variable *v,
	const struct jobspec_pair *pair, struct strbuf *why)
{
	if (pair)
		strbuf_addf(why, "config.ini:%d: %s: it has no value", pair->line, v->name);
	else
		strbuf_addf(why, "config.ini: [%s] %s: missing", t->name, v->name);
	strbuf_adds(why, "; the template needs it, and it takes ");
	template_say_allowed(v, why);
	if (v->help)
		strbuf_addf(why, ": %s", v->help);
	strbuf_addc(why, '\n');
	return -EINVAL;
}

static int take_value(const struct template *t, const struct template_variable *v,
	const struct jobspec_pair *pair, struct jobspec_pairs *values, struct strbuf *why)
{
	bool given = pair && (*pair->value || v->fallback);
	char *text AUTO_FREE = given ? template_canonical(v, pair->value) : NULL;
	int line = pair ? pair->line : 0;

	if (v->required && (!pair || !pair->value[strspn(pair->value, " ")]))
		return refuse_missing(t, v, pair, why);
	if (given && !text)
		return refuse_value(v, pair, why);
	jobspec_pairs_add(values, v->name, text ? text : v->fallback ? v->fallback : "", line);
	return 0;
}

int template_check(const struct template *t, const struct jobspec_pairs *given,
	struct jobspec_pairs *values, struct strbuf *why)
{
	int r = check_known(t, given, why);

	for (size_t i = 0; i < t->count; i++) {
		const struct template_variable *v = &t->variables[i];

		if (take_value(t, v, jobspec_pairs_find(given, v->name), values, why) < 0)
			r = -EINVAL;
	}
	return r;
}

int template_files(const struct template *t, const struct jobspec_pairs *values,
	int (*each)(void *arg, const char *variable, const char *path), void *arg)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < values->count; i++) {
		const struct jobspec_pair *pair = &values->items[i];
		const struct template_variable *v = template_variable(t, pair->key);
		char *copy AUTO_FREE = xstrdup(pair->value);
		char *rest = NULL;

		if (!v || v->type != TEMPLATE_FILE || !*pair->value)
			continue;
		if (!v->multiple)
			r = each(arg, pair->key, pair->value);
		for (char *w = v->multiple ? strtok_r(copy, " ", &rest) : NULL; r == 0 && w;
			w = strtok_r(NULL, " ", &rest))
			r = each(arg, pair->key, w);
	}
	return r;
}
