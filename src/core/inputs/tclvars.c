#include "tclvars.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"

#define VARIABLES_MAX 1024

static struct tcl_variable *find(const struct tcl_variables *v, const char *name)
{
	if (strncmp(name, "::", 2) == 0)
		name += 2;
	for (size_t i = 0; i < v->count; i++) {
		if (strcmp(v->items[i].name, name) == 0)
			return &v->items[i];
	}
	return NULL;
}

static void forget(struct tcl_variable *v)
{
	free(v->value);
	v->value = NULL;
}

const char *tcl_variables_get(const struct tcl_variables *v, const char *name)
{
	const struct tcl_variable *found = find(v, name);

	return found ? found->value : NULL;
}

bool tcl_variables_set(struct tcl_variables *v, const char *name, const char *value)
{
	struct tcl_variable *old = find(v, name);

	if (!old && !value)
		return true;
	if (!old) {
		if (v->count == VARIABLES_MAX)
			return false;
		v->items = xrealloc(v->items, (v->count + 1) * sizeof(*v->items));
		old = &v->items[v->count++];
		*old = (struct tcl_variable){.name = xstrdup(name + 2 * (strncmp(name, "::", 2) == 0))};
	}
	char *copy = xstrdup(value);
	forget(old);
	old->value = copy;
	return true;
}

void tcl_variables_forget_all(struct tcl_variables *v)
{
	for (size_t i = 0; i < v->count; i++)
		forget(&v->items[i]);
}

void tcl_variables_forget_changed(struct tcl_variables *v, const struct tcl_variables *before)
{
	for (size_t i = 0; i < v->count; i++) {
		const char *old = i < before->count ? before->items[i].value : NULL;

		if (v->items[i].value && (!old || strcmp(old, v->items[i].value) != 0))
			forget(&v->items[i]);
	}
}

struct tcl_variables tcl_variables_copy(const struct tcl_variables *v, size_t *bytes)
{
	struct tcl_variables ret = {.items = xcalloc(v->count + 1, sizeof(*ret.items)),
		.count = v->count};

	for (size_t i = 0; i < v->count; i++) {
		ret.items[i].name = xstrdup(v->items[i].name);
		ret.items[i].value = xstrdup(v->items[i].value);
		*bytes += sizeof(*ret.items) + strlen(ret.items[i].name) +
			(ret.items[i].value ? strlen(ret.items[i].value) : 0);
	}
	return ret;
}

void tcl_variables_release(struct tcl_variables *v)
{
	for (size_t i = 0; i < v->count; i++) {
		free(v->items[i].name);
		free(v->items[i].value);
	}
	free(v->items);
	*v = (struct tcl_variables){0};
}
