#include "script.h"

#include <errno.h>
#include <string.h>

#include "err.h"
#include "script_wrapper.h"
#include "shell.h"
#include "slurm_value.h"
#include "template.h"

/* sbatch's options that are slurmount's alone: a [slurm] section never sets them. */
static const char *const ours[] = {"chdir", "wait", "parsable", "test_only", "wrap", "clusters",
	"dependency", "export", "export_file", "ignore_pbs"};

/* Names that the wrapper or bash itself needs as they are. */
static const char *const reserved[] = {"UID", "EUID", "PPID", "BASHOPTS", "SHELLOPTS",
	"BASH_VERSINFO", "IFS", "POSIXLY_CORRECT"};

/* Names whose values a shell expands again, as code. */
static const char *const expanded[] = {"BASH_ENV", "ENV", "PROMPT_COMMAND", "PS0", "PS1", "PS2", "PS4"};

static int refuse(struct strbuf *why, const char *what, const char *value)
{
	strbuf_adds(why, what);
	strbuf_adds(why, ": ");
	strbuf_add_escaped(why, value, strlen(value));
	strbuf_addc(why, '\n');
	return -EINVAL;
}

static bool is_one_of(const char *word, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(word, list[i]) == 0)
			return true;
	}
	return false;
}

static int check_text(const char *what, const char *text, struct strbuf *why)
{
	if (!text) {
		strbuf_addf(why, "%s is missing\n", what);
		return -EINVAL;
	}
	if (!slurm_value_has_control(text))
		return 0;
	strbuf_addf(why, "%s holds a control character: ", what);
	strbuf_add_escaped(why, text, strlen(text));
	strbuf_addc(why, '\n');
	return -EINVAL;
}

static bool is_identifier(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

	return *name && !(*name >= '0' && *name <= '9') && strspn(name, letters) == strlen(name);
}

static bool is_option_key(const char *key)
{
	return *key >= 'a' && *key <= 'z' &&
		strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(key);
}

static int check_slurm(const struct jobspec_pairs *slurm, struct strbuf *why)
{
	int r = 0;

	for (size_t i = 0; i < slurm->count; i++) {
		const struct jobspec_pair *pair = &slurm->items[i];

		if (!is_option_key(pair->key))
			r = refuse(why, "not an option of sbatch", pair->key);
		else if (is_one_of(pair->key, ours, sizeof(ours) / sizeof(*ours)))
			r = refuse(why, "an option that slurmount sets itself", pair->key);
		else if (check_text(pair->key, pair->value, why) < 0)
			r = -EINVAL;
	}
	return r;
}

static int check_environment(const struct jobspec_pairs *environment, struct strbuf *why)
{
	int r = 0;

	for (size_t i = 0; i < environment->count; i++) {
		const struct jobspec_pair *pair = &environment->items[i];

		if (!is_identifier(pair->key) || strncmp(pair->key, "slurmount_", 10) == 0 ||
			is_one_of(pair->key, reserved, sizeof(reserved) / sizeof(*reserved)))
			r = refuse(why, "not a name for an environment variable", pair->key);
		else if (is_one_of(pair->key, expanded, sizeof(expanded) / sizeof(*expanded)) &&
			(strchr(pair->value, '`') || strstr(pair->value, "$(") || strstr(pair->value, "$[")))
			r = refuse(why, "a shell would run the value of this variable", pair->key);
		else if (check_text(pair->key, pair->value, why) < 0)
			r = -EINVAL;
	}
	return r;
}

static int check_modules(const struct jobspec_pairs *modules, struct strbuf *why)
{
	int r = 0;

	for (size_t i = 0; i < modules->count; i++) {
		const struct jobspec_pair *pair = &modules->items[i];

		if (check_text(pair->key, pair->value, why) < 0)
			r = -EINVAL;
		else if (pair->value[0] == '-' || strstr(pair->value, " -"))
			r = refuse(why, "not a module", pair->value);
	}
	return r;
}

static int check_kind(const struct jobspec *spec, const struct script_place *place,
	const char *body_line, struct strbuf *why)
{
	char *path AUTO_FREE = NULL;

	switch (spec->kind) {
	case JOBSPEC_COMMAND:
		return check_text("command", spec->command, why);
	case JOBSPEC_SCRIPT:
		if (check_text("script", spec->script, why) < 0)
			return -EINVAL;
		path = jobspec_clean_path(spec->script);
		if (!path)
			return refuse(why, "not a script within the draft", spec->script);
		for (const char *p = body_line; p && *p; p++) {
			if (*p != '\t' && ((unsigned char)*p < 0x20 || *p == 0x7f))
				return refuse(why, "the script's #! line holds a control character "
					"(DOS line ends? dos2unix mends them)", body_line);
		}
		return 0;
	case JOBSPEC_TEMPLATE:
		if (place->template)
			return 0;
		return refuse(why, "no such template", spec->template_name ? spec->template_name : "");
	case JOBSPEC_NONE:
		break;
	}
	strbuf_adds(why, "[job] names no command, script or template\n");
	return -EINVAL;
}

static int check_all(const struct jobspec *spec, const struct script_place *place,
	const char *body_line, struct strbuf *why)
{
	int r = 0;

	r |= check_text("the job's UUID", place->uuid, why);
	r |= check_text("the job's name", place->name, why);
	r |= check_text("the work directory", place->workdir, why);
	r |= check_text("the folder of records", place->records, why);
	for (size_t i = 0; i < place->parent_count; i++)
		r |= check_text("a parent's records", place->parents[i].record, why);
	r |= check_slurm(&spec->slurm, why);
	r |= check_environment(&spec->environment, why);
	r |= check_modules(&spec->modules, why);
	r |= check_kind(spec, place, body_line, why);
	return r ? -EINVAL : 0;
}

/* sbatch splits a directive at blanks, ends it at #, and reads quotes and backslashes. */
static void add_directive(struct strbuf *b, const char *key, const char *value)
{
	bool plain = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		"_./:,@%+-=*^[]()&|~") == strlen(value);

	strbuf_adds(b, "#SBATCH --");
	for (const char *p = key; *p; p++)
		strbuf_addc(b, *p == '_' ? '-' : *p);
	if (*value)
		strbuf_addc(b, '=');
	if (!plain)
		strbuf_addc(b, '"');
	for (const char *p = value; *p; p++) {
		if (*p == '"' || *p == '\\')
			strbuf_addc(b, '\\');
		strbuf_addc(b, *p);
	}
	strbuf_adds(b, plain ? "\n" : "\"\n");
}

/* What slurmount adds where the request says nothing; NULL: `key` has no default. */
static const char *default_directive(const struct jobspec *spec, const struct script_place *place,
	const char *key)
{
	if (strcmp(key, "job_name") == 0)
		return place->name;
	if (strcmp(key, "chdir") == 0)
		return place->workdir;
	if (strcmp(key, "output") == 0)
		return jobspec_slurm(spec, "array") ? "slurm-%A_%a.out" : "slurm-%j.out";
	if (strcmp(key, "open_mode") == 0)
		return "append";
	return NULL;
}

static const char *const defaulted[] = {"job_name", "chdir", "output", "open_mode"};

static void add_directives(struct strbuf *b, const struct jobspec *spec,
	const struct script_place *place)
{
	for (size_t i = 0; i < sizeof(defaulted) / sizeof(*defaulted); i++) {
		if (!jobspec_slurm(spec, defaulted[i]))
			add_directive(b, defaulted[i], default_directive(spec, place, defaulted[i]));
	}
	for (size_t i = 0; i < spec->slurm.count; i++)
		add_directive(b, spec->slurm.items[i].key, spec->slurm.items[i].value);
}

static void add_assignment(struct strbuf *b, const char *name, const char *value)
{
	strbuf_adds(b, name);
	strbuf_addc(b, '=');
	shell_quote(b, value);
	strbuf_addc(b, '\n');
}

/* `load` takes several names in one value; a path of `use` may hold blanks. */
static void add_module_list(struct strbuf *b, const struct jobspec_pairs *modules, const char *key)
{
	strbuf_addf(b, "slurmount_%s=(", key);
	for (size_t i = 0; i < modules->count; i++) {
		char *copy AUTO_FREE = xstrdup(modules->items[i].value);
		char *rest = NULL;

		if (strcmp(modules->items[i].key, key) != 0)
			continue;
		if (strcmp(key, "use") == 0) {
			strbuf_addc(b, ' ');
			shell_quote(b, copy);
			continue;
		}
		for (char *w = strtok_r(copy, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
			strbuf_addc(b, ' ');
			shell_quote(b, w);
		}
	}
	strbuf_adds(b, " )\n");
}

static void add_modules(struct strbuf *b, const struct jobspec_pairs *modules)
{
	const char *purge = "no";

	for (size_t i = 0; i < modules->count; i++) {
		if (strcmp(modules->items[i].key, "purge") == 0)
			purge = modules->items[i].value;
	}
	add_assignment(b, "slurmount_purge", purge);
	add_module_list(b, modules, "use");
	add_module_list(b, modules, "load");
}

/* The length of the variable reference at `p`, $NAME or ${NAME}; 0: there is none. */
static size_t reference_len(const char *p, char **name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
	bool braced = p[1] == '{';
	const char *start = p + 1 + braced;
	size_t len = strspn(start, letters);

	if (!len || (*start >= '0' && *start <= '9') || (braced && start[len] != '}'))
		return 0;
	*name = xstrndup(start, len);
	return 1 + braced + len + braced;
}

/* One shell word: the literal parts quoted, each reference a quoted expansion of a bare name. */
static void add_expanded(struct strbuf *b, const char *value)
{
	struct strbuf literal AUTO_STRBUF = STRBUF_INIT;

	while (*value) {
		char *name AUTO_FREE = NULL;
		size_t len = *value == '$' ? reference_len(value, &name) : 0;

		if (!len) {
			strbuf_addc(&literal, *value++);
			continue;
		}
		if (literal.len)
			shell_quote(b, literal.data);
		strbuf_reset(&literal);
		strbuf_addf(b, "\"${%s-}\"", name);
		value += len;
	}
	if (literal.len)
		shell_quote(b, literal.data);
}

static void add_environment(struct strbuf *b, const struct jobspec_pairs *environment)
{
	strbuf_adds(b, "slurmount_environment() {\n\t:\n");
	for (size_t i = 0; i < environment->count; i++) {
		strbuf_addf(b, "\texport %s=", environment->items[i].key);
		add_expanded(b, environment->items[i].value);
		strbuf_addc(b, '\n');
	}
	strbuf_adds(b, "}\n");
}

/* As the kernel reads it: the interpreter, and all the rest as one argument. */
static void add_interpreter(struct strbuf *b, const char *line)
{
	char *copy AUTO_FREE = xstrdup(line ? line : "");
	char *word = copy + strspn(copy, " \t");
	char *rest = word + strcspn(word, " \t");
	size_t len;

	if (*rest)
		*rest++ = '\0';
	rest += strspn(rest, " \t");
	len = strlen(rest);
	while (len && (rest[len - 1] == ' ' || rest[len - 1] == '\t'))
		rest[--len] = '\0';
	strbuf_adds(b, "slurmount_interpreter=( ");
	shell_quote(b, *word ? word : "/bin/sh");
	if (*rest) {
		strbuf_addc(b, ' ');
		shell_quote(b, rest);
	}
	strbuf_adds(b, " )\n");
}

static void add_parents(struct strbuf *b, const struct script_place *place)
{
	static const char *const lists[] = {"names", "records", "wants"};

	for (size_t list = 0; list < 3 && place->parent_count; list++) {
		strbuf_addf(b, "slurmount_parent_%s=(", lists[list]);
		for (size_t i = 0; i < place->parent_count; i++) {
			const struct script_parent *parent = &place->parents[i];

			strbuf_addc(b, ' ');
			shell_quote(b, list == 0 ? parent->name : list == 1 ? parent->record : parent->want);
		}
		strbuf_adds(b, " )\n");
	}
}

static int add_template(struct strbuf *b, const struct jobspec *spec,
	const struct template *template, struct strbuf *why)
{
	struct jobspec_pairs values = {0};
	int r = template_check(template, &spec->variables, &values, why);

	for (size_t i = 0; r == 0 && i < values.count; i++) {
		r = check_text(values.items[i].key, values.items[i].value, why);
		add_assignment(b, values.items[i].key, values.items[i].value);
	}
	jobspec_pairs_free(&values);
	strbuf_adds(b, "slurmount_body() {\n");
	strbuf_adds(b, template->body);
	strbuf_adds(b, "\n}\n");
	return r;
}

static int add_body(struct strbuf *b, const struct jobspec *spec, const struct script_place *place,
	const char *body_line, struct strbuf *why)
{
	switch (spec->kind) {
	case JOBSPEC_COMMAND:
		add_assignment(b, "slurmount_command", spec->command);
		strbuf_adds(b, "slurmount_body() {\n\texec /bin/bash -c \"$slurmount_command\"\n}\n");
		return 0;
	case JOBSPEC_SCRIPT:
		add_assignment(b, "slurmount_script", spec->script);
		add_interpreter(b, body_line);
		strbuf_adds(b, "slurmount_body() {\n\texec \"${slurmount_interpreter[@]}\" "
			"\"$slurmount_workdir/$slurmount_script\"\n}\n");
		return 0;
	case JOBSPEC_TEMPLATE:
		return add_template(b, spec, place->template, why);
	case JOBSPEC_NONE:
		break;
	}
	return -EINVAL;
}

int script_render(const struct jobspec *spec, const struct script_place *place,
	const char *body_line, struct strbuf *ret, struct strbuf *why)
{
	struct strbuf b AUTO_STRBUF = STRBUF_INIT;
	int r = check_all(spec, place, body_line, why);

	if (r < 0)
		return r;
	strbuf_adds(&b, "#!/bin/bash\n");
	add_directives(&b, spec, place);
	strbuf_adds(&b, "\n# Written by slurmount.  Values stand here; below they are only named.\n");
	add_assignment(&b, "slurmount_uuid", place->uuid);
	add_assignment(&b, "slurmount_workdir", place->workdir);
	add_assignment(&b, "slurmount_records", place->records);
	add_parents(&b, place);
	add_modules(&b, &spec->modules);
	add_environment(&b, &spec->environment);
	r = add_body(&b, spec, place, body_line, why);
	if (r < 0)
		return r;
	strbuf_addc(&b, '\n');
	if (place->parent_count)
		strbuf_adds(&b, script_parents);
	strbuf_adds(&b, script_wrapper);
	strbuf_add(ret, b.data, b.len);
	return 0;
}

/* Reads a directive's argument as sbatch does.  Returns false where more than one stands there. */
static bool unquote_directive(const char *p, const char *end, struct strbuf *ret)
{
	char quote = '\0';

	for (; p < end; p++) {
		if (*p == '\\' && p + 1 < end)
			strbuf_addc(ret, *++p);
		else if (quote && *p == quote)
			quote = '\0';
		else if (!quote && (*p == '"' || *p == '\''))
			quote = *p;
		else if (!quote && (*p == ' ' || *p == '\t' || *p == '#'))
			return false;
		else
			strbuf_addc(ret, *p);
	}
	return !quote;
}

/* Whether `argument`, "--key" or "--key=value", says what `pair` asks for. */
static bool is_argument(const char *argument, const char *key, const char *value)
{
	struct strbuf b AUTO_STRBUF = STRBUF_INIT;

	strbuf_adds(&b, "--");
	for (const char *p = key; *p; p++)
		strbuf_addc(&b, *p == '_' ? '-' : *p);
	if (*value)
		strbuf_addf(&b, "=%s", value);
	return strcmp(argument, b.data) == 0;
}

static bool is_asked_for(const struct jobspec *spec, const struct script_place *place,
	const char *argument)
{
	for (size_t i = 0; i < spec->slurm.count; i++) {
		if (is_argument(argument, spec->slurm.items[i].key, spec->slurm.items[i].value))
			return true;
	}
	for (size_t i = 0; i < sizeof(defaulted) / sizeof(*defaulted); i++) {
		if (!jobspec_slurm(spec, defaulted[i]) &&
			is_argument(argument, defaulted[i], default_directive(spec, place, defaulted[i])))
			return true;
	}
	return false;
}

static size_t directives_asked(const struct jobspec *spec)
{
	size_t count = spec->slurm.count;

	for (size_t i = 0; i < sizeof(defaulted) / sizeof(*defaulted); i++)
		count += !jobspec_slurm(spec, defaulted[i]);
	return count;
}

static bool begins_with(const char *line, const char *end, const char *word)
{
	size_t len = strlen(word);

	return (size_t)(end - line) >= len && memcmp(line, word, len) == 0;
}

static int verify_line(const struct jobspec *spec, const struct script_place *place,
	const char *line, const char *end, struct strbuf *why)
{
	struct strbuf argument AUTO_STRBUF = STRBUF_INIT;

	if (begins_with(line, end, "#SBATCH ") &&
		unquote_directive(line + strlen("#SBATCH "), end, &argument) &&
		strlen(argument.data) == argument.len && is_asked_for(spec, place, argument.data))
		return 1;
	if (!begins_with(line, end, "#SBATCH") && !begins_with(line, end, "#PBS") &&
		!begins_with(line, end, "#BSUB"))
		return 0;
	strbuf_adds(why, "the batch script has a directive that nobody asked for: ");
	strbuf_add_escaped(why, line, (size_t)(end - line));
	strbuf_addc(why, '\n');
	return -EINVAL;
}

int script_verify(const struct jobspec *spec, const struct script_place *place, const char *script,
	size_t len, struct strbuf *why)
{
	const char *stop = script + len;
	size_t found = 0;

	if (memchr(script, '\0', len) || memchr(script, '\r', len) ||
		!begins_with(script, stop, "#!/bin/bash\n")) {
		strbuf_adds(why, "the batch script is not a text for /bin/bash\n");
		return -EINVAL;
	}
	for (const char *line = script; line < stop;) {
		const char *newline = memchr(line, '\n', (size_t)(stop - line));
		const char *end = newline ? newline : stop;
		int r = verify_line(spec, place, line, end, why);

		if (r < 0)
			return r;
		found += (size_t)r;
		line = end + 1;
	}
	if (found == directives_asked(spec))
		return 0;
	strbuf_addf(why, "the batch script has %zu directives, the request asks for %zu\n", found,
		directives_asked(spec));
	return -EINVAL;
}
