/* Several batch scripts among the loose files, and nothing else: each is a job of its own. */
#include <stdlib.h>
#include <string.h>

#include "draftcheck.h"
#include "drafttree.h"
#include "err.h"

/* Each is looked at whenever one of them has become a job. */
#define SCRIPTS_MAX 1000

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names in the walk, in order; to be freed. */
static const char **sorted(const struct tree_walk *walk)
{
	const char **names = xcalloc(walk->scripts, sizeof(*names));
	const char *name = walk->script_names.data;

	for (size_t i = 0; i < walk->scripts; i++, name += strlen(name) + 1)
		names[i] = name;
	qsort(names, walk->scripts, sizeof(*names), by_name);
	return names;
}

static bool are_all_scripts(const struct draftcheck_request *request, const struct tree_walk *walk)
{
	return !request->name && walk->scripts > 1 && walk->scripts <= SCRIPTS_MAX &&
		walk->files == walk->scripts && !walk->transfers.len;
}

/* What is said of one, a line each, with its name. */
static void add_problems(struct strbuf *out, const char *name, const struct draftcheck *check)
{
	size_t len = strlen(name);

	for (const char *line = check->problems.data; *line; line = strchr(line, '\n') + 1) {
		bool named = strncmp(line, name, len) == 0 && line[len] == ':';

		if (!named) {
			strbuf_add_escaped(out, name, len);
			strbuf_adds(out, ": ");
		}
		strbuf_addf(out, "%.*s\n", (int)strcspn(line, "\n"), line);
	}
}

static bool is_better(const struct draftcheck *check, const struct draftcheck *best)
{
	bool ready = check->verdict == DRAFT_READY, was = best->verdict == DRAFT_READY;

	return ready != was ? ready : ready && best->asking && !check->asking;
}

static void run_each(const struct draftcheck_request *request, const char **names, size_t count,
	struct draftcheck *ret)
{
	struct strbuf others AUTO_STRBUF = STRBUF_INIT;
	struct draftcheck_request one = *request;
	int64_t answer_ns = 0;
	bool questions = false;
	const char *chosen = NULL;

	for (size_t i = 0; i < count && !(chosen && ret->verdict == DRAFT_READY && !ret->asking); i++) {
		struct draftcheck check;

		one.script = names[i];
		draftcheck_run(&one, &check);
		questions = questions || check.questions;
		if (check.answer_ns && (!answer_ns || check.answer_ns < answer_ns))
			answer_ns = check.answer_ns;
		if (chosen && !is_better(&check, ret)) {
			add_problems(&others, names[i], &check);
			draftcheck_release(&check);
			continue;
		}
		if (chosen) {
			add_problems(&others, chosen, ret);
			draftcheck_release(ret);
		}
		*ret = check;
		chosen = names[i];
	}
	ret->others = true;
	ret->questions = questions;
	ret->answer_ns = answer_ns;
	struct strbuf own AUTO_STRBUF = STRBUF_INIT;
	add_problems(&own, chosen, ret);
	strbuf_reset(&ret->problems);
	strbuf_addf(&ret->problems, "%zu batch scripts, each a job of its own:\n%s%s", count, own.data,
		others.len ? others.data : "");
}

void draftcheck_each(const struct draftcheck_request *request, struct draftcheck *ret)
{
	struct tree_walk walk;

	if (request->name) {
		draftcheck_run(request, ret);
		return;
	}
	tree_walk(request->folder, true, &walk);
	if (are_all_scripts(request, &walk)) {
		AUTO_FREE const char **names = sorted(&walk);

		run_each(request, names, walk.scripts, ret);
	} else {
		draftcheck_run(request, ret);
	}
	tree_walk_release(&walk);
}
