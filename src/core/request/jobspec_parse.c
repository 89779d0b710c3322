/* config.ini as a whole, and what the profile adds to it. */
#include "jobspec.h"

#include <errno.h>
#include <string.h>

#include "err.h"
#include "ini.h"
#include "slurm_option.h"
#include "slurm_value.h"

#define FILE_NAME "config.ini"
#define TEXT_MAX (128 * 1024)
#define PROBLEMS_MAX 50
/* All but one of them are errors, so what lies beyond would change nothing. */
#define FOREIGN_MAX 64

static const char *const sections[] = {"job", "inputs", "slurm", "modules", "environment"};

#define SECTIONS (sizeof(sections) / sizeof(*sections))

/* A section of another name: the template's, which [job] may tell later than it comes. */
struct foreign {
	char *name;
	int line;
	struct jobspec_pairs variables;
};

struct reader {
	struct jobspec *spec;
	struct jobspec_pairs seen; /* the keys of [job] */
	struct foreign foreign[FOREIGN_MAX];
	size_t foreigners;
	size_t problems;
	struct strbuf *why;
};

static int problem(struct reader *r, int line, const char *key, const char *what)
{
	if (++r->problems > PROBLEMS_MAX)
		return -EINVAL;
	strbuf_addf(r->why, FILE_NAME ":%d: ", line);
	size_t len = strnlen(key, 80);
	strbuf_add_escaped(r->why, key, len);
	strbuf_addf(r->why, "%s: %s\n", key[len] ? "..." : "", what);
	return -EINVAL;
}

static int problem_of_section(struct reader *r, int line, const char *name, const char *what)
{
	char *key AUTO_FREE = xasprintf("[%s]", name);

	return problem(r, line, key, what);
}

static bool is_section(const char *name)
{
	for (size_t i = 0; i < SECTIONS; i++)
		if (!strcmp(name, sections[i]))
			return true;
	return false;
}

static struct foreign *foreign_section(struct reader *r, const char *name, int line)
{
	for (size_t i = 0; i < r->foreigners; i++)
		if (!strcmp(r->foreign[i].name, name))
			return &r->foreign[i];
	if (r->foreigners == FOREIGN_MAX)
		return NULL;
	struct foreign *f = &r->foreign[r->foreigners++];
	*f = (struct foreign){.name = xstrdup(name), .line = line};
	return f;
}

static int take_variable(struct reader *r, struct foreign *f, const char *key, const char *value,
	int line)
{
	if (!f)
		return -EINVAL;
	const struct jobspec_pair *first = jobspec_pairs_find(&f->variables, key);
	if (first) {
		char *what AUTO_FREE = xasprintf("it is given twice, first in line %d; keep one of them",
			first->line);
		return problem(r, line, key, what);
	}
	if (slurm_value_has_control(value) || slurm_value_has_control(key))
		return problem(r, line, key, "a tab or control character; write blanks");
	jobspec_pairs_add(&f->variables, key, value, line);
	return 0;
}

static int take(void *arg, const char *section, const char *key, const char *value, int line)
{
	struct reader *r = arg;
	struct strbuf what AUTO_STRBUF = STRBUF_INIT;

	if (!*section)
		return problem(r, line, key, "it stands before any section; begin with [job]");
	if (!is_section(section)) {
		struct foreign *f = foreign_section(r, section, line);
		return key ? take_variable(r, f, key, value, line) : 0;
	}
	if (!key)
		return 0;
	if (!strcmp(section, "job")) {
		const struct jobspec_pair *first = jobspec_pairs_find(&r->seen, key);
		bool twice = first;

		if (first)
			strbuf_addf(&what, "it is given twice, first in line %d; keep one of them", first->line);
		if (twice)
			return problem(r, line, key, what.data);
	}
	if (jobspec_set(r->spec, section, key, value, line, &what) < 0)
		return problem(r, line, key, what.data);
	/* Only what is known is noted: a file of nonsense must not grow the list. */
	if (!strcmp(section, "job"))
		jobspec_pairs_add(&r->seen, key, "", line);
	return 0;
}

static void refuse_section(struct reader *r, const struct foreign *f)
{
	struct strbuf what AUTO_STRBUF = STRBUF_INIT;
	const char *names[SECTIONS + 1];
	const char *template_name = r->spec->template_name;

	memcpy(names, sections, sizeof(sections));
	names[SECTIONS] = template_name;
	const char *near = name_nearest(f->name, names, SECTIONS + !!template_name);
	if (near)
		strbuf_addf(&what, "there is no such section; did you mean [%s]?", near);
	else if (template_name)
		strbuf_addf(&what, "there is no such section, and the job's template is %s; allowed: [job], "
			"[inputs], [slurm], [modules], [environment], [%s]", template_name, template_name);
	else
		strbuf_adds(&what, "there is no such section; allowed: [job], [inputs], [slurm], [modules], "
			"[environment], and one named as [job] template");
	problem_of_section(r, f->line, f->name, what.data);
}

/* What can be judged only when all is read. */
static void finish(struct reader *r)
{
	struct jobspec *spec = r->spec;

	for (size_t i = 0; i < r->foreigners; i++) {
		struct foreign *f = &r->foreign[i];

		if (spec->template_name && !strcmp(f->name, spec->template_name)) {
			spec->variables = f->variables;
			f->variables = (struct jobspec_pairs){0};
		} else {
			refuse_section(r, f);
		}
	}
	const struct jobspec_pair *body = jobspec_pairs_find(&r->seen, "template");
	spec->template_line = body ? body->line : 0;
	if (body && is_section(spec->template_name))
		problem(r, body->line, "template", "no template can have the name of a section");
	const struct jobspec_pair *after = jobspec_pairs_find(&r->seen, "after");
	for (const char *at = spec->name && after ? spec->after : ""; *at; at += *at == ',') {
		at += strcspn(at, ":") + 1;
		size_t len = strcspn(at, ",");
		if (len == strlen(spec->name) && !strncmp(at, spec->name, len))
			problem(r, after->line, "after", "the job would wait for itself; name another job");
		at += len;
	}
}

int jobspec_parse(const char *text, size_t len, struct jobspec **ret, struct strbuf *why)
{
	struct reader *r AUTO_FREE = xcalloc(1, sizeof(*r));
	int result = -EINVAL;

	r->spec = *ret = jobspec_new();
	r->why = why;
	if (len > TEXT_MAX) {
		strbuf_addf(why, FILE_NAME ":1: the file has %zu bytes; allowed: %d\n", len, TEXT_MAX);
		return -EINVAL;
	}
	result = ini_text_parse(text, len, take, r, why, FILE_NAME);
	finish(r);
	if (r->problems > PROBLEMS_MAX)
		strbuf_addf(why, FILE_NAME ": %zu more problems\n", r->problems - PROBLEMS_MAX);
	for (size_t i = 0; i < r->foreigners; i++) {
		free(r->foreign[i].name);
		jobspec_pairs_free(&r->foreign[i].variables);
	}
	jobspec_pairs_free(&r->seen);
	return result || r->problems ? -EINVAL : 0;
}

static void append(struct jobspec_pairs *pairs, const struct jobspec_pair *pair)
{
	jobspec_pairs_add(pairs, pair->key, pair->value, pair->line);
}

/* Puts `before` first, so that a job's own words come after and win. */
static void prepend(struct jobspec_pairs *own, const struct jobspec_pairs *before,
	const char *not_if_own)
{
	struct jobspec_pairs all = {0};

	for (size_t i = 0; i < before->count; i++) {
		const struct jobspec_pair *pair = &before->items[i];
		bool settled = not_if_own && !strcmp(pair->key, not_if_own) &&
			jobspec_pairs_find(own, not_if_own);

		if (!settled)
			append(&all, pair);
	}
	for (size_t i = 0; i < own->count; i++)
		append(&all, &own->items[i]);
	jobspec_pairs_free(own);
	*own = all;
}

void jobspec_add_defaults(struct jobspec *spec, const struct jobspec *defaults)
{
	size_t own = spec->slurm.count;

	if (!defaults)
		return;
	for (size_t i = 0; i < defaults->slurm.count; i++) {
		const struct jobspec_pair *pair = &defaults->slurm.items[i];

		if (!jobspec_decides(spec, slurm_option_find(pair->key)))
			append(&spec->slurm, pair);
	}
	/* A default has no line in the job's own file. */
	for (size_t i = own; i < spec->slurm.count; i++)
		spec->slurm.items[i].line = 0;
	prepend(&spec->modules, &defaults->modules, "purge");
	prepend(&spec->environment, &defaults->environment, NULL);
}
