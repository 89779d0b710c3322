/* The commands of Tcl that decide what is run. */
#include <string.h>

#include "err.h"
#include "tclexpr.h"
#include "tclscan_internal.h"

static bool is_word(const struct tcl_command *c, size_t i, const char *text)
{
	return i < c->count && strcmp(c->words[i].value.data, text) == 0;
}

static int condition(struct tclscan *s, const struct tcl_piece *at, const struct tcl_word *w)
{
	struct tcl_piece where = *at;

	where.line = w->line;
	return w->known ? tcl_condition(w->value.data, w->value.len, where, &s->context) : -1;
}

static bool flow_if(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	bool unsure = false;
	size_t i = 1;

	(void)ret;
	while (i < c->count) {
		int value = 1;

		if (is_word(c, i, "else"))
			i++;
		else if (i == 1 || is_word(c, i - 1, "elseif"))
			value = condition(s, at, &c->words[i++]);
		i += is_word(c, i, "then");
		if (i >= c->count)
			return false;
		if (value == 1 && !unsure)
			tclscan_body(s, at, &c->words[i]);
		else if (value != 0)
			tclscan_maybe(s, at, &c->words[i]);
		if (value == 1)
			return false;
		unsure = unsure || value < 0;
		i++;
		i += is_word(c, i, "elseif");
	}
	return false;
}

/* A round that may end early is not followed as if it did not. */
static bool leaves_early(const struct tcl_word *body)
{
	static const char *const words[] = {"break", "continue", "return", "exit"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strstr(body->value.data, words[i]))
			return true;
	}
	return false;
}

/* Twice: the first pass learns which variables the rounds change, and the second follows. */
static void round_unsure(struct tclscan *s, const struct tcl_piece *at, const struct tcl_word *step,
	const struct tcl_word *body)
{
	struct tclscan_caller nobody = {0};
	const struct tclscan_caller *caller = s->caller;

	s->caller = &nobody;
	tclscan_maybe(s, at, body);
	if (step)
		tclscan_maybe(s, at, step);
	s->caller = caller;
	tclscan_maybe(s, at, body);
}

static void loop(struct tclscan *s, const struct tcl_piece *at, const struct tcl_word *test,
	const struct tcl_word *step, const struct tcl_word *body)
{
	for (int round = 0; round < TCLSCAN_ROUNDS_MAX && !leaves_early(body); round++) {
		int more = condition(s, at, test);

		if (more == 0 || s->failed || s->ended)
			return;
		if (more < 0)
			break;
		tclscan_body(s, at, body);
		if (step)
			tclscan_body(s, at, step);
	}
	round_unsure(s, at, step, body);
}

static bool flow_while(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	(void)ret;
	if (c->count == 3 && c->words[1].braced)
		loop(s, at, &c->words[1], NULL, &c->words[2]);
	else if (c->count == 3)
		round_unsure(s, at, NULL, &c->words[2]);
	return false;
}

static bool flow_for(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	(void)ret;
	if (c->count != 5)
		return false;
	tclscan_body(s, at, &c->words[1]);
	loop(s, at, &c->words[2], &c->words[3], &c->words[4]);
	return false;
}

static void forget_list(struct tclscan *s, const struct tcl_word *names)
{
	struct tcl_piece p = {.p = names->value.data, .end = names->value.data + names->value.len};
	struct tcl_word name;

	while (tcl_read_element(&p, &name)) {
		tclscan_assign(s, name.value.data, NULL);
		strbuf_release(&name.value);
	}
}

/* Gives each name the list's next element; returns false when the list is at its end. */
static bool next_round(struct tclscan *s, const struct tcl_word *names, struct tcl_piece *list)
{
	struct tcl_piece p = {.p = names->value.data, .end = names->value.data + names->value.len};
	struct tcl_piece ahead = *list;
	struct tcl_word name, element;
	bool any = false;

	/* At the end the variables keep their last values. */
	if (!tcl_read_element(&ahead, &element))
		return false;
	strbuf_release(&element.value);
	while (tcl_read_element(&p, &name)) {
		if (tcl_read_element(list, &element)) {
			tclscan_assign(s, name.value.data, tcl_is_text(&element) ? element.value.data : NULL);
			strbuf_release(&element.value);
			any = true;
		} else {
			tclscan_assign(s, name.value.data, "");
		}
		strbuf_release(&name.value);
	}
	return any;
}

static bool flow_foreach(struct tclscan *s, const struct tcl_piece *at,
	const struct tcl_command *c, struct strbuf *ret)
{
	const struct tcl_word *body = &c->words[c->count - 1];
	struct tcl_piece list = {.line = 1};

	(void)ret;
	if (c->count < 4)
		return false;
	list.p = c->words[2].value.data;
	list.end = list.p + strlen(list.p);
	if (c->count == 4 && tcl_is_text(&c->words[1]) && tcl_is_text(&c->words[2]) &&
		!leaves_early(body)) {
		for (int i = 0; i < TCLSCAN_ROUNDS_MAX && !s->failed && !s->ended; i++) {
			if (!next_round(s, &c->words[1], &list))
				return false;
			tclscan_body(s, at, body);
		}
	}
	for (size_t i = 1; i + 1 < c->count; i += 2)
		forget_list(s, &c->words[i]);
	round_unsure(s, at, NULL, body);
	for (size_t i = 1; i + 1 < c->count; i += 2)
		forget_list(s, &c->words[i]);
	return false;
}

struct chooser {
	const char *text; /* NULL: not known */
	bool exact;       /* no pattern is more than the text it stands for */
	bool unsure, falls;
};

/* Returns true where no later branch can be the one. */
static bool choose(struct tclscan *s, const struct tcl_piece *at, struct chooser *k,
	const struct tcl_word *pattern, const struct tcl_word *body)
{
	bool any = strcmp(pattern->value.data, "default") == 0;
	bool literal = k->exact || any || !strpbrk(pattern->value.data, "*?[\\");
	bool known = k->text && literal && tcl_is_text(pattern);
	bool hit = known && (k->falls || any || strcmp(k->text, pattern->value.data) == 0);

	if (strcmp(body->value.data, "-") == 0) {
		k->falls = hit;
		k->unsure = k->unsure || !known;
		return false;
	}
	if (hit && !k->unsure)
		tclscan_body(s, at, body);
	else if (hit || !known || k->unsure)
		tclscan_maybe(s, at, body);
	k->unsure = k->unsure || !known;
	return hit;
}

static bool flow_switch(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	struct chooser k = {.exact = true};
	struct tcl_word pattern, body;
	bool done = false;
	size_t i = 1;

	(void)ret;
	for (; i < c->count && *c->words[i].value.data == '-'; i++) {
		k.exact = k.exact && !is_word(c, i, "-glob") && !is_word(c, i, "-regexp");
		if (is_word(c, i, "--")) {
			i++;
			break;
		}
	}
	if (i + 2 > c->count)
		return false;
	k.text = tcl_is_text(&c->words[i]) ? c->words[i].value.data : NULL;
	if (i + 2 < c->count) {
		for (i++; i + 1 < c->count && !done; i += 2)
			done = choose(s, at, &k, &c->words[i], &c->words[i + 1]);
		return false;
	}
	struct tcl_piece p = {.file = at->file, .p = c->words[i + 1].raw, .line = c->words[i + 1].line,
		.end = c->words[i + 1].raw + c->words[i + 1].raw_len};
	while (!done && tcl_read_element(&p, &pattern)) {
		if (tcl_read_element(&p, &body)) {
			done = choose(s, at, &k, &pattern, &body);
			strbuf_release(&body.value);
		}
		strbuf_release(&pattern.value);
	}
	return false;
}

static bool flow_catch(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	(void)ret;
	tclscan_maybe(s, at, &c->words[1]);
	for (size_t i = 2; i < c->count; i++)
		tclscan_assign(s, c->words[i].value.data, NULL);
	return false;
}

static struct tcl_procedure *find_procedure(struct tclscan *s, const char *name)
{
	for (size_t i = 0; i < s->procedure_count; i++) {
		if (strcmp(s->procedures[i].name, name) == 0)
			return &s->procedures[i];
	}
	return NULL;
}

static bool flow_proc(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	struct tcl_procedure *old;

	(void)ret;
	if (c->count != 4 || !tcl_is_text(&c->words[1]))
		return false;
	old = find_procedure(s, c->words[1].value.data);
	if (!old) {
		s->procedures = xrealloc(s->procedures,
			(s->procedure_count + 1) * sizeof(*s->procedures));
		old = &s->procedures[s->procedure_count++];
	} else {
		free(old->name);
		free(old->arguments);
		free(old->body);
		free(old->file);
	}
	*old = (struct tcl_procedure){.name = xstrdup(c->words[1].value.data),
		.arguments = xstrdup(c->words[2].value.data),
		.body = xstrndup(c->words[3].raw, c->words[3].raw_len), .file = xstrdup(at->file),
		.line = c->words[3].line};
	return false;
}

/* Binds the arguments of a call; those that have defaults are lists of two. */
static void bind(struct tclscan *s, const struct tcl_procedure *p, const struct tcl_command *c)
{
	struct tcl_piece list = {.p = p->arguments, .end = p->arguments + strlen(p->arguments)};
	struct tcl_word name;

	for (size_t i = 1; tcl_read_element(&list, &name); i++) {
		if (i < c->count && tcl_is_text(&c->words[i]) && strcmp(name.value.data, "args") != 0)
			tclscan_assign(s, name.value.data, c->words[i].value.data);
		strbuf_release(&name.value);
	}
}

static void run_procedure(struct tclscan *s, size_t which, bool maybe)
{
	/* The body may define it anew. */
	AUTO_FREE char *body = xstrdup(s->procedures[which].body);
	AUTO_FREE char *file = xstrdup(s->procedures[which].file);

	s->procedures[which].called = true;
	tclscan_piece(s, (struct tcl_piece){.file = file, .p = body, .end = body + strlen(body),
		.line = s->procedures[which].line, .maybe = maybe}, NULL);
}

int tclscan_call(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	struct tcl_procedure *p = find_procedure(s, c->words[0].value.data);
	struct tcl_variables outside = s->variables;
	struct tcl_variables *globals = s->globals;
	struct strbuf linked = s->linked;
	bool known;

	if (!p)
		return -1;
	s->variables = (struct tcl_variables){0};
	s->linked = STRBUF_INIT;
	if (!globals)
		s->globals = &outside;
	bind(s, p, c);
	run_procedure(s, (size_t)(p - s->procedures), at->maybe);
	known = s->has_result;
	if (known)
		strbuf_add(ret, s->result.data, s->result.len);
	s->returning = s->has_result = false;
	tcl_variables_release(&s->variables);
	strbuf_release(&s->linked);
	s->variables = outside;
	s->linked = linked;
	s->globals = globals;
	return known;
}

void tclscan_end_procedures(struct tclscan *s)
{
	struct tcl_variables none = {0};

	/* None of the variables outside is seen in a body, and NAMD itself may call one. */
	tcl_variables_release(&s->variables);
	s->globals = &none;
	s->uncalled = true;
	for (size_t i = 0; i < s->procedure_count && !s->failed; i++) {
		s->returning = s->ended = false;
		if (!s->procedures[i].called)
			run_procedure(s, i, true);
		tcl_variables_release(&s->variables);
		strbuf_release(&s->linked);
	}
	s->globals = NULL;
	tcl_variables_release(&none);
	for (size_t i = 0; i < s->procedure_count; i++) {
		free(s->procedures[i].name);
		free(s->procedures[i].arguments);
		free(s->procedures[i].body);
		free(s->procedures[i].file);
	}
	free(s->procedures);
	s->procedures = NULL;
	s->procedure_count = 0;
}

tclscan_command_fn tclscan_flow(const char *name)
{
	static const struct {
		const char *name;
		tclscan_command_fn function;
	} commands[] = {{"if", flow_if}, {"while", flow_while}, {"for", flow_for},
		{"foreach", flow_foreach}, {"switch", flow_switch}, {"catch", flow_catch},
		{"proc", flow_proc}};

	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(name, commands[i].name) == 0)
			return commands[i].function;
	}
	return NULL;
}
