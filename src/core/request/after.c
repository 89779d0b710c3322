#include "after.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "jobstate.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const char *const words[] = {
	[AFTER_OK] = "ok", [AFTER_ANY] = "any", [AFTER_FAILED] = "failed"};

const char *after_word(enum after_kind kind)
{
	return words[kind];
}

static int kind_of(const char *text, size_t len, enum after_kind *ret)
{
	for (size_t i = 0; i < COUNT(words); i++)
		if (len == strlen(words[i]) && !memcmp(text, words[i], len)) {
			*ret = (enum after_kind)i;
			return 0;
		}
	return -EINVAL;
}

static bool names(const struct after_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (!strcmp(list->items[i].name, name))
			return true;
	return false;
}

/* Takes over `name`. */
static void add(struct after_list *list, enum after_kind kind, char *name, uint64_t parent)
{
	list->items = xrealloc(list->items, (list->count + 1) * sizeof(*list->items));
	list->items[list->count++] = (struct after_item){kind, name, parent};
}

bool after_wanted(const struct jobspec *spec)
{
	bool wanted = spec->after;

	for (size_t i = 0; i < spec->inputs.count && !wanted; i++)
		wanted = spec->inputs.items[i].value[0] != '/';
	return wanted;
}

char *after_input_job(const char *value, const char **path)
{
	const char *colon = strchr(value, ':');

	if (*value == '/' || !colon)
		return NULL;
	*path = colon + 1;
	return xstrndup(value, (size_t)(colon - value));
}

void after_from_spec(const struct jobspec *spec, struct after_list *ret)
{
	*ret = (struct after_list){0};
	for (const char *at = spec->after; at && *at;) {
		size_t len = strcspn(at, ","), word = strcspn(at, ":");
		AUTO_FREE char *name = xstrndup(at + word + 1, len - word - 1);
		enum after_kind kind;
		bool twice = false;

		/* The same job may be named with two conditions, and then must fulfil both. */
		if (kind_of(at, word, &kind) == 0) {
			for (size_t i = 0; i < ret->count; i++)
				twice |= ret->items[i].kind == kind && !strcmp(ret->items[i].name, name);
			if (!twice)
				add(ret, kind, STEAL(name), 0);
		}
		at += len + (at[len] == ',');
	}
	for (size_t i = 0; i < spec->inputs.count; i++) {
		const char *path;
		AUTO_FREE char *name = after_input_job(spec->inputs.items[i].value, &path);

		if (name && !names(ret, name))
			add(ret, AFTER_OK, STEAL(name), 0);
	}
}

void after_print(const struct after_list *list, struct strbuf *ret)
{
	for (size_t i = 0; i < list->count; i++)
		strbuf_addf(ret, "%s %llu %s\n", words[list->items[i].kind],
			(unsigned long long)list->items[i].parent, list->items[i].name);
}

static int parse_line(const char *line, size_t len, struct after_list *list)
{
	AUTO_FREE char *text = xstrndup(line, len);
	char *rest = text, *end;
	const char *word = strsep(&rest, " ");
	const char *serial = strsep(&rest, " ");
	enum after_kind kind;

	if (!rest || kind_of(word, strlen(word), &kind) < 0 || jobspec_check_name(rest) < 0 ||
		*serial < '0' || *serial > '9')
		return -EINVAL;
	errno = 0;
	unsigned long long parent = strtoull(serial, &end, 10);
	if (*end || errno)
		return -EINVAL;
	add(list, kind, xstrdup(rest), parent);
	return 0;
}

int after_parse(const char *text, size_t len, struct after_list *ret)
{
	const char *end = text + len;

	*ret = (struct after_list){0};
	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));

		if (!newline || parse_line(text, (size_t)(newline - text), ret) < 0) {
			after_release(ret);
			return -EINVAL;
		}
		text = newline + 1;
	}
	return 0;
}

void after_release(struct after_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i].name);
	free(list->items);
	*list = (struct after_list){0};
}

enum after_verdict after_judge(enum after_kind kind, const char *state)
{
	bool completed = !strcmp(state, "COMPLETED");

	switch (jobstate_class(state)) {
	case JOBSTATE_ENDED:
		if (kind == AFTER_ANY || completed == (kind == AFTER_OK))
			return AFTER_GO;
		return AFTER_NEVER;
	case JOBSTATE_LOST:
		return AFTER_NEVER;
	case JOBSTATE_BEFORE:
		return strcmp(state, "REJECTED") ? AFTER_WAIT : AFTER_NEVER;
	case JOBSTATE_ACTIVE:
		break;
	}
	return AFTER_WAIT;
}
