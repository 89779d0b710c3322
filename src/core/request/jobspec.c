#include "jobspec.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "err.h"
#include "slurm_option.h"
#include "slurm_value.h"

#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

struct jobspec *jobspec_new(void)
{
	return xcalloc(1, sizeof(struct jobspec));
}

void jobspec_free(struct jobspec *spec)
{
	if (!spec)
		return;
	free(spec->name);
	free(spec->command);
	free(spec->script);
	free(spec->template_name);
	for (char **file = spec->files; file && *file; file++)
		free(*file);
	free(spec->files);
	free(spec->after);
	jobspec_pairs_free(&spec->inputs);
	jobspec_pairs_free(&spec->slurm);
	jobspec_pairs_free(&spec->slurm_off);
	jobspec_pairs_free(&spec->modules);
	jobspec_pairs_free(&spec->environment);
	jobspec_pairs_free(&spec->variables);
	free(spec);
}

const char *jobspec_slurm(const struct jobspec *spec, const char *key)
{
	const struct jobspec_pair *pair = jobspec_pairs_find(&spec->slurm, key);

	return pair ? pair->value : NULL;
}

int jobspec_check_name(const char *name)
{
	if (!*name || !strchr(ALNUM, *name) || name[strspn(name, ALNUM "._-")] || !strcmp(name, "new"))
		return -EINVAL;
	return strlen(name) > JOB_NAME_MAX ? -ENAMETOOLONG : 0;
}

char *jobspec_clean_path(const char *path)
{
	struct strbuf clean AUTO_STRBUF = STRBUF_INIT;

	if (*path == '/' || slurm_value_has_control(path) || strlen(path) > SLURM_VALUE_MAX)
		return NULL;
	while (*path) {
		size_t len = strcspn(path, "/");
		bool dot = !len || (len == 1 && *path == '.');

		if (len == 2 && !strncmp(path, "..", 2))
			return NULL;
		if (!dot && !clean.len && len == 10 && !strncmp(path, ".slurmount", 10))
			return NULL;
		if (!dot) {
			if (clean.len)
				strbuf_addc(&clean, '/');
			strbuf_add(&clean, path, len);
		}
		path += len + (path[len] == '/');
	}
	return clean.len ? strbuf_steal(&clean) : NULL;
}

/* Appends `what`, quoted, and the sentence behind it. */
static int refuse(struct strbuf *why, const char *what, const char *sentence)
{
	slurm_value_quote(why, what);
	strbuf_adds(why, sentence);
	return -EINVAL;
}

static int refuse_twice(const struct jobspec_pairs *pairs, const char *key, struct strbuf *why)
{
	const struct jobspec_pair *first = jobspec_pairs_find(pairs, key);

	if (!first)
		return 0;
	strbuf_addf(why, "it is given twice, first in line %d; keep one of them", first->line);
	return -EINVAL;
}

/* [job] */

#define NAME_RULE \
	"allowed: a letter or digit, then letters, digits and ._-, 64 characters at most, and not \"new\""

static int set_name(struct jobspec *spec, const char *key, const char *value, struct strbuf *why)
{
	(void)key;
	if (jobspec_check_name(value) < 0)
		return refuse(why, value, " cannot name a job; " NAME_RULE);
	free(spec->name);
	spec->name = xstrdup(value);
	return 0;
}

static int set_body(struct jobspec *spec, const char *key, const char *value, struct strbuf *why)
{
	static const char *const names[] = {
		[JOBSPEC_COMMAND] = "command", [JOBSPEC_SCRIPT] = "script",
		[JOBSPEC_TEMPLATE] = "template",
	};
	char **fields[] = {NULL, &spec->command, &spec->script, &spec->template_name};
	enum jobspec_kind kind = JOBSPEC_COMMAND;

	while (strcmp(names[kind], key))
		kind++;
	if (spec->kind != JOBSPEC_NONE && spec->kind != kind) {
		strbuf_addf(why, "[job] already names a %s; keep one of template, command and script",
			names[spec->kind]);
		return -EINVAL;
	}
	if (kind == JOBSPEC_TEMPLATE && jobspec_check_name(value) < 0)
		return refuse(why, value, " cannot name a template; see templates/ for those there are");
	char *text = kind == JOBSPEC_SCRIPT ? jobspec_clean_path(value) : xstrdup(value);
	if (!text)
		return refuse(why, value, " is not a path within the draft; allowed: a relative path "
			"without \"..\"");
	spec->kind = kind;
	free(*fields[kind]);
	*fields[kind] = text;
	return 0;
}

/* The next of several words, blanks between them; one with blanks stands in double quotes. */
static char *next_word(const char **at)
{
	const char *from = *at + strspn(*at, " \t");
	bool quoted = *from == '"' && strchr(from + 1, '"');

	from += quoted;
	size_t len = strcspn(from, quoted ? "\"" : " \t");
	*at = from + len + quoted;
	return len || quoted ? xstrndup(from, len) : NULL;
}

static size_t count_of(const char *text, char wanted)
{
	size_t count = 0;

	while ((text = strchr(text, wanted)) && *text++)
		count++;
	return count;
}

static int set_files(struct jobspec *spec, const char *key, const char *value, struct strbuf *why)
{
	size_t count = 0;
	char *word;

	(void)key;
	if (spec->files)
		return refuse(why, value, " comes after other files; name all of them in one line");
	if (count_of(value, '"') % 2)
		return refuse(why, value, " has a quote that is not closed");
	while ((word = next_word(&value))) {
		char *given AUTO_FREE __attribute__((unused)) = word;
		char *path = jobspec_clean_path(word);

		if (!path)
			return refuse(why, word, " is not a path within the draft; allowed: relative paths "
				"without \"..\", separated by blanks; \"a name with blanks\" in quotes");
		if (!(count & (count + 1)))
			spec->files = xrealloc(spec->files, 2 * (count + 1) * sizeof(char *));
		spec->files[count++] = path;
		spec->files[count] = NULL;
	}
	return 0;
}

static int set_submit(struct jobspec *spec, const char *key, const char *value, struct strbuf *why)
{
	(void)key;
	if (strcmp(value, "auto") && strcmp(value, "manual"))
		return refuse(why, value, " is neither; allowed: auto, manual");
	spec->manual = !strcmp(value, "manual");
	return 0;
}

static int add_after(struct strbuf *after, char *item, struct strbuf *why)
{
	static const char *const kinds[] = {"ok", "any", "failed"};
	char *colon = strchr(item, ':');
	const char *kind = colon ? item : "ok", *name = colon ? colon + 1 : item;
	bool known = false;

	if (colon)
		*colon = '\0';
	for (size_t i = 0; i < COUNT(kinds); i++)
		known = known || !strcmp(kind, kinds[i]);
	if (!known)
		return refuse(why, kind, " is no condition; allowed: NAME, any:NAME, failed:NAME");
	if (jobspec_check_name(name) < 0)
		return refuse(why, name, " cannot name a job; allowed: NAME, any:NAME, failed:NAME, "
			"separated by commas");
	strbuf_addf(after, "%s%s:%s", after->len ? "," : "", kind, name);
	return 0;
}

static int set_after(struct jobspec *spec, const char *key, const char *value, struct strbuf *why)
{
	struct strbuf after AUTO_STRBUF = STRBUF_INIT;

	(void)key;
	for (;;) {
		value += strspn(value, " \t");
		size_t len = strcspn(value, ","), used = len;

		while (used && strchr(" \t", value[used - 1]))
			used--;
		char *item AUTO_FREE = xstrndup(value, used);
		int result = add_after(&after, item, why);
		if (result)
			return result;
		if (!value[len])
			break;
		value += len + 1;
	}
	free(spec->after);
	spec->after = strbuf_steal(&after);
	return 0;
}

static const char *const job_keys[] = {"name", "template", "command", "script", "files", "submit",
	"after"};

static int set_job(struct jobspec *spec, const char *key, const char *value, int line,
	struct strbuf *why)
{
	static int (*const setters[])(struct jobspec *, const char *, const char *,
		struct strbuf *) = {set_name, set_body, set_body, set_body, set_files, set_submit,
		set_after};

	(void)line;
	for (size_t i = 0; i < COUNT(job_keys); i++)
		if (!strcmp(key, job_keys[i]))
			return setters[i](spec, key, value, why);
	const char *near = name_nearest(key, job_keys, COUNT(job_keys));
	strbuf_adds(why, "[job] has no such key");
	if (slurm_option_find(key))
		strbuf_addf(why, "; %s belongs in [slurm]", key);
	else if (near)
		strbuf_addf(why, "; did you mean %s?", near);
	else
		strbuf_adds(why, "; allowed: name, template, command, script, files, submit, after");
	return -EINVAL;
}

/* [modules] and [environment] */

static int set_module(struct jobspec *spec, const char *key, const char *value, int line,
	struct strbuf *why)
{
	static const char *const keys[] = {"load", "purge", "use"};
	const char *near = name_nearest(key, keys, COUNT(keys));
	char *word;

	if (!strcmp(key, "purge")) {
		int yes = slurm_value_yes(value);

		if (yes < 0)
			return refuse(why, value, " is neither; allowed: yes, no");
		if (refuse_twice(&spec->modules, key, why))
			return -EINVAL;
		jobspec_pairs_add(&spec->modules, key, yes ? "yes" : "no", line);
		return 0;
	}
	if (!strcmp(key, "use")) {
		jobspec_pairs_add(&spec->modules, key, value, line);
		return 0;
	}
	if (strcmp(key, "load")) {
		strbuf_adds(why, "[modules] has no such key; ");
		strbuf_addf(why, near ? "did you mean %s?" : "allowed: load, purge, use", near);
		return -EINVAL;
	}
	while ((word = next_word(&value))) {
		char *name AUTO_FREE = word;

		if (*name == '-' || !*name || name[strspn(name, ALNUM "._-+/@:=~%")])
			return refuse(why, name, " is no module; allowed: NAME or NAME/VERSION, separated by "
				"blanks");
		jobspec_pairs_add(&spec->modules, key, name, line);
	}
	return 0;
}

static int set_environment(struct jobspec *spec, const char *key, const char *value, int line,
	struct strbuf *why)
{
	/* bash would run a file before our script, refuse the assignment, or lose its own state. */
	static const char *const refused[] = {"BASHOPTS", "BASH_ENV", "BASH_VERSINFO", "ENV", "EUID",
		"IFS", "POSIXLY_CORRECT", "PPID", "SHELLOPTS", "SLURM_CONF", "SLURM_EXPORT_ENV",
		"SLURM_JOBID", "SLURM_JOB_ID", "UID"};

	if (isdigit((unsigned char)*key) || !*key || key[strspn(key, ALNUM "_")] ||
		!strncmp(key, "slurmount_", 10))
		return refuse(why, key, " is no variable's name; allowed: letters, digits and _, no digit "
			"first, and not slurmount_");
	for (size_t i = 0; i < COUNT(refused); i++)
		if (!strcmp(key, refused[i])) {
			strbuf_adds(why, "the job's script or Slurm itself needs this variable; choose another "
				"name, or set it within your own script");
			return -EINVAL;
		}
	if (refuse_twice(&spec->environment, key, why))
		return -EINVAL;
	jobspec_pairs_add(&spec->environment, key, value, line);
	return 0;
}

/* [inputs] */

static int set_input(struct jobspec *spec, const char *key, const char *value, int line,
	struct strbuf *why)
{
	char *name AUTO_FREE = jobspec_clean_path(key);
	const char *colon = strchr(value, ':');

	if (!name)
		return refuse(why, key, " is not a path within the job; allowed: a relative path without "
			"\"..\"");
	if (refuse_twice(&spec->inputs, name, why))
		return -EINVAL;
	if (*value == '/') {
		jobspec_pairs_add(&spec->inputs, name, value, line);
		return 0;
	}
	char *job AUTO_FREE = colon ? xstrndup(value, (size_t)(colon - value)) : NULL;
	char *path AUTO_FREE = colon ? jobspec_clean_path(colon + 1) : NULL;
	if (!job || !path || jobspec_check_name(job) < 0)
		return refuse(why, value, " is no source; allowed: JOB:PATH, a file that another job "
			"leaves, or an absolute path on the cluster");
	char *clean AUTO_FREE = xasprintf("%s:%s", job, path);
	jobspec_pairs_add(&spec->inputs, name, clean, line);
	return 0;
}

/* [slurm] */

/* The first pair that says something of `row` or excludes it. */
static const struct jobspec_pair *decided_by(const struct jobspec *spec,
	const struct slurm_option *row)
{
	const struct jobspec_pair *pair = jobspec_pairs_find(&spec->slurm, row->key);

	if (!pair)
		pair = jobspec_pairs_find(&spec->slurm_off, row->key);
	for (size_t i = 0; !pair && row->group && i < spec->slurm.count; i++) {
		/* A plugin's option of the user's own script has no row. */
		const struct slurm_option *other = slurm_option_find(spec->slurm.items[i].key);

		if (other && other->group == row->group)
			pair = &spec->slurm.items[i];
	}
	return pair;
}

bool jobspec_decides(const struct jobspec *spec, const struct slurm_option *row)
{
	return decided_by(spec, row);
}

static int unknown_option(const char *key, struct strbuf *why)
{
	const char *near = slurm_option_suggest(key);
	const struct slurm_option *row = near ? slurm_option_find(near) : NULL;

	strbuf_adds(why, "sbatch has no such option");
	for (size_t i = 0; i < COUNT(job_keys); i++)
		if (!strcmp(key, job_keys[i])) {
			strbuf_addf(why, "; %s belongs in [job]", key);
			return -EINVAL;
		}
	if (row && row->instead)
		strbuf_addf(why, "; %s", row->instead);
	else if (near)
		strbuf_addf(why, "; did you mean %s?", near);
	else
		strbuf_adds(why, "; allowed: the long options of sbatch, with _ for -");
	return -EINVAL;
}

/* Whether `value` switches an option that may stand alone on (1) or off (0), or is its value (-1). */
static int switched(const struct slurm_option *row, const char *value)
{
	bool word = isalpha((unsigned char)*value);

	if (row->arg == SLURM_ARG_REQUIRED || (row->arg == SLURM_ARG_OPTIONAL && !word))
		return -1;
	int yes = slurm_value_yes(value);
	return yes < 0 ? -1 : yes;
}

static int set_slurm(struct jobspec *spec, const char *key, const char *value, int line,
	struct strbuf *why)
{
	const struct slurm_option *row = slurm_option_find(key);

	if (!row)
		return unknown_option(key, why);
	if (row->instead) {
		strbuf_addf(why, "it is not for [slurm] to set; %s", row->instead);
		return -EINVAL;
	}
	if (refuse_twice(&spec->slurm, key, why) || refuse_twice(&spec->slurm_off, key, why))
		return -EINVAL;
	const struct jobspec_pair *other = decided_by(spec, row);
	if (other) {
		strbuf_addf(why, "it excludes %s in line %d; keep one of them", other->key, other->line);
		return -EINVAL;
	}
	int on = switched(row, value);
	if (on == 0) {
		jobspec_pairs_add(&spec->slurm_off, key, "no", line);
		/* A cluster may requeue unless it is told otherwise. */
		if (!strcmp(key, "requeue"))
			jobspec_pairs_add(&spec->slurm, "no_requeue", "", line);
		return 0;
	}
	char *clean AUTO_FREE = NULL;
	if (on < 0 && slurm_value_check(row->type, row->choices, value, false, &clean, why) < 0) {
		if (row->arg == SLURM_ARG_OPTIONAL && row->type == SLURM_CHOICE)
			strbuf_adds(why, ", or yes or no alone");
		return -EINVAL;
	}
	jobspec_pairs_add(&spec->slurm, key, clean ? clean : "", line);
	return 0;
}

int jobspec_set(struct jobspec *spec, const char *section, const char *key, const char *value,
	int line, struct strbuf *why)
{
	static const struct {
		const char *section;
		int (*set)(struct jobspec *, const char *, const char *, int, struct strbuf *);
		bool may_be_empty;
	} sections[] = {
		{"job", set_job, false},
		{"inputs", set_input, false},
		{"slurm", set_slurm, false},
		{"modules", set_module, false},
		{"environment", set_environment, true},
	};

	for (size_t i = 0; i < COUNT(sections); i++) {
		if (strcmp(section, sections[i].section))
			continue;
		if (slurm_value_has_control(value)) {
			strbuf_adds(why, "a tab or control character in the value; write blanks");
			return -EINVAL;
		}
		if (!*value && !sections[i].may_be_empty) {
			/* A wrong key is worth more than its missing value. */
			if (sections[i].set == set_slurm && !slurm_option_find(key))
				return unknown_option(key, why);
			strbuf_adds(why, "it has no value; write one, or leave the line out");
			return -EINVAL;
		}
		return sections[i].set(spec, key, value, line, why);
	}
	strbuf_adds(why, "there is no such section");
	return -EINVAL;
}
