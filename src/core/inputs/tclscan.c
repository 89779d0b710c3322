#include "tclscan.h"

#include <errno.h>
#include <string.h>

#include "err.h"
#include "tclexpr.h"
#include "tclscan_internal.h"
#include "tclvalue.h"

static bool is_word(const struct tcl_command *c, size_t i, const char *text)
{
	return i < c->count && strcmp(c->words[i].value.data, text) == 0;
}

/* The list that a name is in: a procedure sees its own variables, and what `global` gave it. */
static struct tcl_variables *scope(struct tclscan *s, const char *name)
{
	if (!s->globals)
		return &s->variables;
	if (strncmp(name, "::", 2) == 0)
		return s->globals;
	for (size_t i = 0; i < s->linked.len; i += strlen(s->linked.data + i) + 1) {
		if (strcmp(s->linked.data + i, name) == 0)
			return s->globals;
	}
	return &s->variables;
}

void tclscan_assign(struct tclscan *s, const char *name, const char *value)
{
	if (value && strlen(value) > TCL_VALUE_MAX)
		value = NULL;
	if (!tcl_variables_set(scope(s, name), name, value))
		s->failed = true;
}

static bool variable(void *arg, const char *name, struct strbuf *ret)
{
	struct tclscan *s = arg;
	const char *value = tcl_variables_get(scope(s, name), name);

	if (value)
		strbuf_adds(ret, value);
	return value;
}

static bool bracket(void *arg, struct tcl_piece script, struct strbuf *ret)
{
	return tclscan_piece(arg, script, ret);
}

void tclscan_body(struct tclscan *s, const struct tcl_piece *at, const struct tcl_word *w)
{
	struct tcl_piece piece = {.file = at->file, .p = w->raw, .end = w->raw + w->raw_len,
		.line = w->line, .maybe = at->maybe};

	if (!tcl_is_text(w))
		return;
	if (!w->braced) {
		piece.p = w->value.data;
		piece.end = piece.p + w->value.len;
	}
	tclscan_piece(s, piece, NULL);
}

void tclscan_maybe(struct tclscan *s, const struct tcl_piece *at, const struct tcl_word *w)
{
	struct tcl_variables before = tcl_variables_copy(&s->variables, &s->bytes);
	struct tcl_variables globals = {0};
	struct tcl_piece piece = *at;

	if (s->globals)
		globals = tcl_variables_copy(s->globals, &s->bytes);
	s->failed = s->failed || s->bytes > TCLSCAN_BYTES_MAX;
	piece.maybe = true;
	tclscan_body(s, &piece, w);
	tcl_variables_forget_changed(&s->variables, &before);
	if (s->globals)
		tcl_variables_forget_changed(s->globals, &globals);
	tcl_variables_release(&before);
	tcl_variables_release(&globals);
}

/* Anything may have been set. */
static void forget_all(struct tclscan *s)
{
	tcl_variables_forget_all(&s->variables);
	if (s->globals)
		tcl_variables_forget_all(s->globals);
}

static bool run_set(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	const struct tcl_word *name = &c->words[1];

	(void)at;
	if (!tcl_is_text(name)) {
		if (c->count > 2)
			forget_all(s);
		return false;
	}
	if (c->count == 3)
		tclscan_assign(s, name->value.data, tcl_is_text(&c->words[2]) ?
			c->words[2].value.data : NULL);
	return variable(s, name->value.data, ret);
}

static bool run_incr(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	long long value, more = 1, sum;

	(void)at;
	if (!variable(s, c->words[1].value.data, &text) || !tcl_integer(text.data, &value) ||
		(c->count > 2 && (!tcl_is_text(&c->words[2]) ||
			!tcl_integer(c->words[2].value.data, &more))) ||
		__builtin_add_overflow(value, more, &sum)) {
		tclscan_assign(s, c->words[1].value.data, NULL);
		return false;
	}
	strbuf_reset(&text);
	strbuf_addf(&text, "%lld", sum);
	tclscan_assign(s, c->words[1].value.data, text.data);
	strbuf_adds(ret, text.data);
	return true;
}

static bool run_append(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	const char *name = c->words[1].value.data;
	bool list = is_word(c, 0, "lappend");
	bool known = variable(s, name, &text);

	(void)at;
	for (size_t i = 2; i < c->count && known; i++) {
		known = tcl_is_text(&c->words[i]);
		if (list)
			tcl_list_add(&text, c->words[i].value.data);
		else
			strbuf_adds(&text, c->words[i].value.data);
	}
	tclscan_assign(s, name, known ? text.data : NULL);
	return known && variable(s, name, ret);
}

static bool run_expr(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct tcl_piece where = *at;

	for (size_t i = 1; i < c->count; i++) {
		if (!tcl_is_text(&c->words[i]))
			return false;
		strbuf_addf(&text, i > 1 ? " %s" : "%s", c->words[i].value.data);
	}
	where.line = c->words[1].line;
	return tcl_expr(text.data, text.len, where, &s->context, ret);
}

static bool run_source(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	const struct tcl_word *name = &c->words[c->count - 1];

	(void)ret;
	if (!s->caller->source || !s->caller->source(s->caller->arg, at, name, &text)) {
		/* Of one that is elsewhere nothing is known; one that is only missing will come. */
		if (!tcl_is_text(name) || *name->value.data == '/')
			forget_all(s);
		return false;
	}
	s->bytes += text.len + 4096;
	s->failed = s->failed || s->bytes > TCLSCAN_BYTES_MAX;
	tclscan_piece(s, (struct tcl_piece){.file = name->value.data, .p = text.data,
		.end = text.data + text.len, .line = 1, .maybe = at->maybe}, NULL);
	if (!at->maybe)
		s->returning = s->has_result = false;
	return false;
}

static bool run_eval(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	(void)ret;
	if (c->count == 2 && tcl_is_text(&c->words[1]))
		tclscan_body(s, at, &c->words[1]);
	else
		forget_all(s);
	return false;
}

static bool run_global(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	(void)at;
	(void)ret;
	for (size_t i = 1; i < c->count; i++) {
		if (tcl_is_text(&c->words[i]))
			strbuf_add(&s->linked, c->words[i].value.data, c->words[i].value.len + 1);
	}
	return false;
}

static bool run_return(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	(void)ret;
	/* One that may be run leaves open what comes after it: that is followed as if it was not. */
	if (at->maybe)
		return false;
	s->returning = true;
	s->has_result = c->count == 2 && tcl_is_text(&c->words[1]);
	strbuf_reset(&s->result);
	strbuf_adds(&s->result, c->count == 2 ? c->words[1].value.data : "");
	return false;
}

static bool run_exit(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	(void)c;
	(void)ret;
	s->ended = s->ended || !at->maybe;
	return false;
}

void tclscan_file(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	const struct tcl_word *name, bool writes)
{
	/* What a procedure that nothing calls would open by its arguments is nobody's to say. */
	if (s->caller->file && name->value.data[0] != '|' && !(s->uncalled && !tcl_is_text(name)))
		s->caller->file(s->caller->arg, at, c->words[0].value.data, name, writes);
}

static bool run_open(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	const char *mode = c->count > 2 ? c->words[2].value.data : "r";

	(void)ret;
	tclscan_file(s, at, c, &c->words[1], *mode == 'w' || *mode == 'a' || strstr(mode, "CREAT"));
	return false;
}

static bool run_file(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	if ((is_word(c, 1, "copy") || is_word(c, 1, "rename")) && c->count >= 4) {
		tclscan_file(s, at, c, &c->words[c->count - 2], false);
		tclscan_file(s, at, c, &c->words[c->count - 1], true);
		return false;
	}
	if (is_word(c, 1, "exists") && c->count == 3) {
		/* Not yet there says nothing: it may still be on its way. */
		if (!tcl_is_text(&c->words[2]) || !s->caller->exists ||
			!s->caller->exists(s->caller->arg, c->words[2].value.data))
			return false;
		strbuf_addc(ret, '1');
		return true;
	}
	return tcl_value(c, ret) == 1;
}

/* These set variables that they name, in ways that are not followed. */
static bool forget_named(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	(void)at;
	(void)ret;
	for (size_t i = 1; i < c->count; i++)
		tclscan_assign(s, c->words[i].value.data, NULL);
	if (is_word(c, 0, "array") || is_word(c, 0, "unset"))
		forget_all(s);
	return false;
}

static bool forget_everything(struct tclscan *s, const struct tcl_piece *at,
	const struct tcl_command *c, struct strbuf *ret)
{
	(void)ret;
	for (size_t i = 1; i < c->count; i++) {
		if (c->words[i].braced)
			tclscan_maybe(s, at, &c->words[i]);
	}
	forget_all(s);
	return false;
}

static bool do_nothing(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	(void)s;
	(void)at;
	(void)c;
	(void)ret;
	return false;
}

static const struct {
	const char *name;
	tclscan_command_fn function;
} commands[] = {{"set", run_set}, {"incr", run_incr}, {"append", run_append},
	{"lappend", run_append}, {"expr", run_expr}, {"source", run_source}, {"eval", run_eval},
	{"global", run_global}, {"return", run_return}, {"open", run_open}, {"file", run_file},
	{"exec", tclscan_exec}, {"gets", forget_named}, {"regexp", forget_named},
	{"regsub", forget_named}, {"scan", forget_named}, {"binary", forget_named},
	{"lassign", forget_named}, {"lset", forget_named}, {"array", forget_named},
	{"dict", forget_named}, {"unset", forget_named}, {"variable", forget_named},
	{"upvar", forget_everything}, {"uplevel", forget_everything},
	{"namespace", forget_everything}, {"interp", forget_everything}, {"subst", forget_everything},
	{"apply", forget_everything}, {"rename", forget_everything}, {"trace", forget_everything},
	{"try", forget_everything}, {"puts", do_nothing}, {"print", do_nothing},
	{"close", do_nothing}, {"flush", do_nothing}, {"package", do_nothing},
	{"fconfigure", do_nothing}, {"after", do_nothing}, {"clock", do_nothing},
	{"info", do_nothing}, {"error", do_nothing}, {"glob", do_nothing}, {"read", do_nothing},
	{"seek", do_nothing}, {"split", do_nothing}, {"lrange", do_nothing}, {"lsort", do_nothing},
	{"lsearch", do_nothing}, {"lreplace", do_nothing}, {"lrepeat", do_nothing}};

static bool run_command(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret)
{
	const char *name = c->words[0].value.data;
	tclscan_command_fn function;
	int known;

	if (!tcl_is_text(&c->words[0])) {
		/* The caller may know it by its beginning ("key=$value"); else it may be anything. */
		if (!strchr(name, '='))
			forget_all(s);
		else if (s->caller->command)
			s->caller->command(s->caller->arg, at, c);
		return false;
	}
	if (strncmp(name, "::", 2) == 0)
		name += 2;
	if (strcmp(name, "exit") == 0)
		return run_exit(s, at, c, ret);
	known = tclscan_call(s, at, c, ret);
	if (known >= 0)
		return known;
	if (c->count < 2) {
		if (strcmp(name, "return") == 0)
			return run_return(s, at, c, ret);
		if (s->caller->command)
			s->caller->command(s->caller->arg, at, c);
		return false;
	}
	function = tclscan_flow(name);
	for (size_t i = 0; !function && i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(name, commands[i].name) == 0)
			function = commands[i].function;
	}
	if (function)
		return function(s, at, c, ret);
	known = tcl_value(c, ret);
	if (known < 0 && s->caller->command)
		s->caller->command(s->caller->arg, at, c);
	return known == 1;
}

bool tclscan_piece(struct tclscan *s, struct tcl_piece piece, struct strbuf *ret)
{
	struct strbuf value AUTO_STRBUF = STRBUF_INIT;
	struct tcl_command *c AUTO_FREE = NULL;
	bool known = false;

	if (s->depth == TCLSCAN_DEPTH_MAX) {
		s->failed = true;
		return false;
	}
	c = xmalloc(sizeof(*c));
	s->depth++;
	while (!s->failed && !s->returning && !s->ended &&
		tcl_read_command(&piece, &s->context, c)) {
		strbuf_reset(&value);
		if (++s->commands > TCLSCAN_COMMANDS_MAX)
			s->failed = true;
		else if (c->count)
			known = run_command(s, &piece, c, &value);
		tcl_command_release(c);
	}
	s->depth--;
	if (known && ret)
		strbuf_add(ret, value.data, value.len);
	return known && ret && !s->failed;
}

int tclscan_run(const char *file, const char *text, size_t len, const struct tclscan_caller *caller)
{
	struct tclscan s = {.caller = caller, .linked = STRBUF_INIT, .result = STRBUF_INIT};

	if (len > TCLSCAN_BYTES_MAX / 4)
		return -E2BIG;
	s.context = (struct tcl_context){.arg = &s, .variable = variable, .command = bracket};
	tclscan_piece(&s, (struct tcl_piece){.file = file, .p = text, .end = text + len, .line = 1},
		NULL);
	tclscan_end_procedures(&s);
	strbuf_release(&s.linked);
	strbuf_release(&s.result);
	return s.failed ? -E2BIG : 0;
}
