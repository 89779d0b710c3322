#include "sbatchscript.h"

#include <errno.h>
#include <string.h>

#include "err.h"
#include "slurm_option.h"
#include "slurm_value.h"

#define MAGIC "#SBATCH"
#define IGNORED_MAX 100
#define OPTIONS_MAX 1000

static void add_option(struct sbatchscript *s, char *text, int line)
{
	if (s->option_count == OPTIONS_MAX) {
		free(text);
		return;
	}
	if (!(s->option_count & (s->option_count - 1)))
		s->options = xrealloc(s->options,
			(s->option_count ? 2 * s->option_count : 1) * sizeof(*s->options));
	s->options[s->option_count++] = (struct sbatchscript_option){text, line};
}

/* The next word as Slurm cuts them: quotes and backslashes are resolved, an open # ends the line.
 * Returns NULL at the end. */
static char *next_token(const char **at, const char *end)
{
	struct strbuf word = STRBUF_INIT;
	const char *c = *at;
	char quote = '\0';

	while (c < end && strchr(" \t\r\v\f", *c))
		c++;
	if (c == end || *c == '#') {
		*at = end;
		return NULL;
	}
	for (; c < end && (quote || !strchr(" \t\r\v\f#", *c)); c++) {
		if (*c == '\\' && quote != '\'' && c + 1 < end)
			strbuf_addc(&word, *++c);
		else if (quote ? *c == quote : *c == '"' || *c == '\'')
			quote = quote ? '\0' : *c;
		else
			strbuf_addc(&word, *c);
	}
	*at = c;
	return strbuf_steal(&word);
}

static bool wants_value(const char *token)
{
	const struct slurm_option *row = NULL;

	if (!strncmp(token, "--", 2)) {
		if (!strchr(token, '='))
			row = slurm_option_of_sbatch(token + 2, strlen(token + 2));
	} else if (token[0] == '-' && token[1] && !token[2]) {
		row = slurm_option_by_letter(token[1]);
	}
	return row && row->arg == SLURM_ARG_REQUIRED;
}

static void read_options(struct sbatchscript *s, const char *at, const char *end, int line)
{
	char *token;

	while ((token = next_token(&at, end))) {
		char *value = wants_value(token) ? next_token(&at, end) : NULL;

		if (!value) {
			add_option(s, token, line);
			continue;
		}
		add_option(s, xasprintf("%s%c%s", token, token[1] == '-' ? '=' : ' ', value), line);
		free(token);
		free(value);
	}
}

static void note_ignored(struct sbatchscript *s, int line)
{
	if (s->ignored_count == IGNORED_MAX)
		return;
	if (!s->ignored)
		s->ignored = xcalloc(IGNORED_MAX, sizeof(int));
	s->ignored[s->ignored_count++] = line;
}

static bool is_command(const char *from, const char *to)
{
	while (from < to && strchr(" \t\r\v\f", *from))
		from++;
	return from < to && *from != '#';
}

int sbatchscript_parse(const char *bytes, size_t len, struct sbatchscript *ret)
{
	const char *end = bytes + len;
	size_t magic = strlen(MAGIC);
	bool leading = true;
	int line = 0, directives = 0;

	*ret = (struct sbatchscript){.has_nul = len && memchr(bytes, '\0', len)};
	for (const char *next, *from = bytes; len && from < end; from = next) {
		const char *to = memchr(from, '\n', (size_t)(end - from));

		to = to ? to : end;
		next = to < end ? to + 1 : end;
		line++;
		if (to > from && to[-1] == '\r') {
			ret->crlf = true;
			to--;
		}
		size_t n = (size_t)(to - from);
		bool directive = n >= magic && !memcmp(from, MAGIC, magic);
		if (line == 1 && n >= 2 && !memcmp(from, "#!", 2)) {
			from += 2;
			while (from < to && strchr(" \t", *from))
				from++;
			while (to > from && strchr(" \t", to[-1]))
				to--;
			ret->interpreter = xstrndup(from, (size_t)(to - from));
		} else if (directive && leading) {
			directives++;
			read_options(ret, from + magic, to, line);
		} else if (directive) {
			note_ignored(ret, line);
		} else if (is_command(from, to)) {
			leading = false;
		}
	}
	ret->is_batch = ret->interpreter && directives;
	return 0;
}

void sbatchscript_release(struct sbatchscript *script)
{
	for (size_t i = 0; i < script->option_count; i++)
		free(script->options[i].text);
	free(script->options);
	free(script->ignored);
	free(script->interpreter);
	*script = (struct sbatchscript){0};
}

static int refuse(struct strbuf *why, const char *option, const char *sentence)
{
	slurm_value_quote(why, option);
	strbuf_adds(why, sentence);
	return -EINVAL;
}

/* The key that a long option's name would be, or "" where it is none. */
static char *key_of(const char *option)
{
	size_t len = strncmp(option, "--", 2) ? 0 : strcspn(option + 2, "=");
	char *key = xstrndup(option + 2 * !!len, len);

	if (!len || strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
		*key = '\0';
	for (char *c = key; *c; c++)
		*c = *c == '-' ? '_' : *c;
	return key;
}

static int refuse_unknown(struct strbuf *why, const char *option)
{
	char *key AUTO_FREE = key_of(option);
	const char *near = *key ? slurm_option_slip(key) : NULL;

	if (!strcmp(option, "hetjob") || !strcmp(option, "packjob"))
		return refuse(why, option, " begins the second part of a heterogeneous job, which cannot be "
			"submitted here; ask for the nodes of all parts at once, or make each part a job");
	if (option[0] != '-')
		return refuse(why, option, " is no option, and Slurm refuses what else is in such a line; "
			"a remark needs a # before it, and a value no blank (--mem=16G)");
	refuse(why, option, " is no option of sbatch that is known here");
	if (near) {
		strbuf_adds(why, "; did you mean --");
		for (; *near; near++)
			strbuf_addc(why, *near == '_' ? '-' : *near);
		strbuf_addc(why, '?');
	}
	return -EINVAL;
}

int jobspec_read_option(const char *option, const struct slurm_option **row, char **value,
	struct strbuf *why)
{
	bool is_long = !strncmp(option, "--", 2);
	size_t len = is_long ? strcspn(option + 2, "=") : 1;
	const char *given = NULL;

	*value = NULL;
	*row = NULL;
	if (is_long) {
		*row = slurm_option_of_sbatch(option + 2, len);
		given = option[2 + len] ? option + 2 + len + 1 : NULL;
	} else if (option[0] == '-' && option[1]) {
		*row = slurm_option_by_letter(option[1]);
		given = option + 2 + strspn(option + 2, " \t");
		given = *given ? given : NULL;
	}
	if (!*row)
		return refuse_unknown(why, option);
	if ((*row)->instead) {
		refuse(why, option, " cannot be taken over; ");
		strbuf_adds(why, (*row)->instead);
		return -ENOTSUP;
	}
	if (given && (*row)->arg == SLURM_ARG_NONE)
		return refuse(why, option, " takes no value");
	if (!given && (*row)->arg == SLURM_ARG_REQUIRED)
		return refuse(why, option, " lacks its value");
	if (!given) {
		*value = xstrdup("");
		return 0;
	}
	struct strbuf what AUTO_STRBUF = STRBUF_INIT;
	int result = slurm_value_check((*row)->type, (*row)->choices, given, true, value, &what);
	if (result) {
		slurm_value_quote(why, option);
		strbuf_addf(why, ": %s", what.data);
	}
	return result;
}

int jobspec_add_option(struct jobspec *spec, const char *option, int line, struct strbuf *why)
{
	const struct slurm_option *row;
	char *value AUTO_FREE = NULL;
	int result = jobspec_read_option(option, &row, &value, why);

	if (!result && !jobspec_decides(spec, row))
		jobspec_pairs_add(&spec->slurm, row->key, value, line);
	return result;
}

/* Forgets what an earlier line said of `row`. */
static void forget(struct jobspec *own, const struct slurm_option *row)
{
	size_t i = 0;

	while (i < own->slurm.count) {
		const char *key = own->slurm.items[i].key;
		const struct slurm_option *other = slurm_option_find(key);

		if (other && (other == row || (row->group && other->group == row->group))) {
			char *gone AUTO_FREE = xstrdup(key);
			jobspec_pairs_remove(&own->slurm, gone);
		} else {
			i++;
		}
	}
}

/* What it asks for is so anyway. */
static bool is_idle(const char *option)
{
	const struct slurm_option *row;
	const char *value = "";

	if (!strncmp(option, "--", 2)) {
		row = slurm_option_of_sbatch(option + 2, strcspn(option + 2, "="));
		value = option[strcspn(option, "=")] ? strchr(option, '=') + 1 : "";
	} else {
		row = option[0] == '-' && option[1] ? slurm_option_by_letter(option[1]) : NULL;
		value = option[0] && option[1] ? option + 2 + strspn(option + 2, " \t") : "";
	}
	if (!row || !row->idle)
		return false;
	for (const char *c = row->idle; *c; c += strcspn(c, " "), c += strspn(c, " ")) {
		size_t len = strcspn(c, " ");

		if ((len == 1 && *c == '*') || (strlen(value) == len && !strncmp(c, value, len)))
			return true;
	}
	return false;
}

/* Takes over what may be the option of a plugin that the cluster's sbatch has. */
static bool take_unknown(struct jobspec *own, const struct sbatchscript_option *option,
	struct strbuf *notes)
{
	char *key AUTO_FREE = key_of(option->text);
	const char *value = strchr(option->text, '=');

	if (!*key || slurm_option_slip(key) ||
		slurm_option_of_sbatch(option->text + 2, strcspn(option->text + 2, "=")) ||
		slurm_value_has_control(option->text) || strlen(option->text) > SLURM_VALUE_MAX)
		return false;
	jobspec_pairs_remove(&own->slurm, key);
	jobspec_pairs_add(&own->slurm, key, value ? value + 1 : "", option->line);
	strbuf_addf(notes, "line %d: ", option->line);
	slurm_value_quote(notes, option->text);
	strbuf_adds(notes, " is not known here; the cluster's sbatch decides whether there is such an "
		"option\n");
	return true;
}

/* Slurm takes these without a value as if they were not there. */
static bool is_empty(const char *option)
{
	size_t len = strcspn(option, "=");
	const struct slurm_option *row = NULL;

	if (!strncmp(option, "--", 2) && option[len] && !option[len + 1])
		row = slurm_option_of_sbatch(option + 2, len - 2);
	if (!row || row->instead || !strcmp(row->key, "partition"))
		return false;
	switch (row->type) {
	case SLURM_ADDRESS:
	case SLURM_WORD:
	case SLURM_WORDS:
	case SLURM_TEXT:
	case SLURM_PATH:
	case SLURM_HOSTS:
	case SLURM_FEATURES:
	case SLURM_GPUS:
	case SLURM_ARRAY:
		return true;
	default:
		return false;
	}
}

static int take_option(struct jobspec *own, const struct sbatchscript_option *option,
	struct strbuf *notes, struct strbuf *why)
{
	struct strbuf what AUTO_STRBUF = STRBUF_INIT;
	const struct slurm_option *row;
	char *value AUTO_FREE = NULL;

	bool empty = is_empty(option->text);
	if (empty || is_idle(option->text)) {
		strbuf_addf(notes, "line %d: ", option->line);
		slurm_value_quote(notes, option->text);
		strbuf_addf(notes, " is left out: it %s\n", empty ? "has no value" : "changes nothing here");
		return 0;
	}
	if (jobspec_read_option(option->text, &row, &value, &what) == 0) {
		forget(own, row);
		jobspec_pairs_add(&own->slurm, row->key, value, option->line);
		return 0;
	}
	if (take_unknown(own, option, notes))
		return 0;
	strbuf_addf(why, "line %d: %s\n", option->line, what.data);
	return -EINVAL;
}

int sbatchscript_apply(struct jobspec *spec, const struct sbatchscript *script,
	struct strbuf *notes, struct strbuf *why)
{
	struct jobspec *own = jobspec_new();
	int result = 0;

	for (size_t i = 0; i < script->option_count; i++)
		if (take_option(own, &script->options[i], notes, why) < 0)
			result = -EINVAL;
	struct jobspec_pairs *found = &own->slurm;
	for (size_t i = 0; i < found->count; i++) {
		const struct slurm_option *row = slurm_option_find(found->items[i].key);

		if (!row || !jobspec_decides(spec, row))
			jobspec_pairs_add(&spec->slurm, found->items[i].key, found->items[i].value,
				found->items[i].line);
	}
	jobspec_free(own);
	return result;
}
