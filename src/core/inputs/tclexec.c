/*
 * Tcl's `exec`: configurations prepare files by cp, mv, cat, sed, and by what any program writes
 * behind a ">".  Of other programs' arguments nothing is said: which are files only they know.
 */
#include <string.h>

#include "tclscan_internal.h"

static bool is_word(const struct tcl_command *c, size_t i, const char *text)
{
	return i < c->count && strcmp(c->words[i].value.data, text) == 0;
}

/* The files of one program of a pipeline, whose name is the word `first`. */
static void plain_arguments(struct tclscan *s, const struct tcl_piece *at,
	const struct tcl_command *c, size_t first, size_t end)
{
	bool copies = is_word(c, first, "cp") || is_word(c, first, "mv");
	bool edits = is_word(c, first, "sed"), links = is_word(c, first, "ln");
	bool script = edits; /* its first plain argument is one, unless an option brings it */
	size_t last = 0;

	if (!copies && !edits && !links && !is_word(c, first, "cat"))
		return;
	for (size_t i = first + 1; i < end; i++) {
		const char *word = c->words[i].value.data;

		if (edits && (strcmp(word, "-e") == 0 || strcmp(word, "-f") == 0)) {
			script = false;
			i++;
		} else if (*word == '-' && word[1]) {
			continue;
		} else if (script) {
			script = false;
		} else {
			if (last && !links)
				tclscan_file(s, at, c, &c->words[last], false);
			last = i;
		}
	}
	if (last)
		tclscan_file(s, at, c, &c->words[last], copies || links);
}

/* "< FILE" and "<FILE", "> FILE" and so on; returns how many words that is. */
static size_t redirection(struct tclscan *s, const struct tcl_piece *at,
	const struct tcl_command *c, size_t i)
{
	const char *word = c->words[i].value.data;
	size_t signs = strspn(word, *word == '<' ? "<" : ">&");
	struct tcl_word name = c->words[i];

	if (word[signs]) {
		name.value.data += signs;
		name.value.len -= signs;
		tclscan_file(s, at, c, &name, *word == '>');
		return 1;
	}
	if (i + 1 < c->count)
		tclscan_file(s, at, c, &c->words[i + 1], *word == '>');
	return 2;
}

/* Where the arguments of the program at `first` end. */
static size_t arguments_end(const struct tcl_command *c, size_t first)
{
	size_t i = first + 1;

	while (i < c->count && !strchr("<>|", *c->words[i].value.data))
		i++;
	return i;
}

bool tclscan_exec(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	size_t first = 1;

	(void)ret;
	while (first < c->count && *c->words[first].value.data == '-')
		first++;
	while (first < c->count) {
		size_t i = arguments_end(c, first);

		plain_arguments(s, at, c, first, i);
		while (i < c->count && *c->words[i].value.data != '|') {
			char sign = *c->words[i].value.data;

			i += sign == '<' || sign == '>' ? redirection(s, at, c, i) : 1;
		}
		first = i + 1;
	}
	return false;
}
