#include "tclexpr.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "err.h"

#define DEPTH_MAX 16
#define TEXT_MAX 256 /* a longer string is no operand of interest */

enum kind { UNKNOWN, INTEGER, REAL, TEXT };

struct value {
	enum kind kind;
	long long i;
	double d;            /* of an INTEGER, too */
	char text[TEXT_MAX]; /* as it was written, or as Tcl writes the result */
};

struct parser {
	struct tcl_piece at;
	const struct tcl_context *context;
	int depth;
	bool failed; /* not an expression */
};

struct operator {
	const char *text;
	int level; /* higher binds tighter */
};

/* The longer of two that begin alike comes first. */
static const struct operator operators[] = {{"||", 1}, {"&&", 2}, {"<<", 10}, {">>", 10},
	{"==", 8}, {"!=", 8}, {"<=", 9}, {">=", 9}, {"**", 13}, {"eq", 7}, {"ne", 7}, {"in", 6},
	{"ni", 6}, {"|", 3}, {"^", 4}, {"&", 5}, {"<", 9}, {">", 9}, {"+", 11}, {"-", 11}, {"*", 12},
	{"/", 12}, {"%", 12}};

static void parse_ternary(struct parser *e, struct value *v);

bool tcl_integer(const char *text, long long *ret)
{
	char *end;

	text += strspn(text, " \t\r\n");
	/* A leading 0 would be octal in some versions of Tcl, and is not in others. */
	if (text[strspn(text, "+-")] == '0' && text[1 + strspn(text, "+-")] >= '0' &&
		text[1 + strspn(text, "+-")] <= '9')
		return false;
	errno = 0;
	*ret = strtoll(text, &end, 10);
	return end > text && errno == 0 && !end[strspn(end, " \t\r\n")];
}

bool tcl_number(const char *text, double *ret)
{
	char *end;

	text += strspn(text, " \t\r\n");
	*ret = strtod(text, &end);
	if (end == text || !isfinite(*ret) || end[strspn(end, " \t\r\n")])
		return false;
	/* Hexadecimal and names such as "inf" are read by strtod alone. */
	return strspn(text, "0123456789+-.eE") >= (size_t)(end - text);
}

static void set_text(struct value *v, const char *text, size_t len)
{
	v->kind = len < TEXT_MAX && !memchr(text, '\0', len) ? TEXT : UNKNOWN;
	if (v->kind == UNKNOWN)
		return;
	memcpy(v->text, text, len);
	v->text[len] = '\0';
	/* Tcl's versions differ in what 010 is; 0x10 and the like are of no use in a file's name. */
	text = v->text + strspn(v->text, "+-");
	if (*text == '0' && text[1] && strchr("0123456789xXoObB", text[1]))
		v->kind = UNKNOWN;
	else if (tcl_integer(v->text, &v->i)) {
		v->kind = INTEGER;
		v->d = (double)v->i;
	} else if (tcl_number(v->text, &v->d)) {
		v->kind = REAL;
	}
}

static void set_integer(struct value *v, long long i)
{
	v->kind = INTEGER;
	v->i = i;
	v->d = (double)i;
	snprintf(v->text, sizeof(v->text), "%lld", i);
}

/* As Tcl writes it: the fewest digits that read back the same, and never like a whole number. */
static void set_real(struct value *v, double d)
{
	v->kind = isfinite(d) ? REAL : UNKNOWN;
	v->d = d;
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(v->text, sizeof(v->text), "%.*g", digits, d);
		if (strtod(v->text, NULL) >= d && strtod(v->text, NULL) <= d)
			break;
	}
	if (!strpbrk(v->text, ".en"))
		strcat(v->text, ".0");
}

/* 1, 0, or -1: not known, or not a boolean. */
static int truth(const struct value *v)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};

	if (v->kind == INTEGER)
		return v->i != 0;
	if (v->kind == REAL)
		return v->d < 0 || v->d > 0;
	for (int i = 0; v->kind == TEXT && i < 6; i++) {
		if (strcasecmp(v->text, words[i]) == 0)
			return i % 2;
	}
	return -1;
}

static void set_truth(struct value *v, int t)
{
	if (t < 0)
		v->kind = UNKNOWN;
	else
		set_integer(v, t);
}

static void skip_blanks(struct parser *e)
{
	while (e->at.p < e->at.end && (strchr(" \t\r\n", *e->at.p) || (*e->at.p == '\\' &&
			e->at.p + 1 < e->at.end && e->at.p[1] == '\n')) && *e->at.p) {
		e->at.line += *e->at.p == '\n';
		e->at.p++;
	}
}

static bool take(struct parser *e, char c)
{
	skip_blanks(e);
	if (e->at.p == e->at.end || *e->at.p != c)
		return false;
	e->at.p++;
	return true;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void parse_word(struct parser *e, struct value *v, char stop)
{
	struct tcl_word w = {.value = STRBUF_INIT, .known = true};

	if (stop == '}') {
		/* As a list's element: what braces hold is not substituted. */
		if (!tcl_read_element(&e->at, &w))
			w.known = false;
	} else if (stop) {
		for (e->at.p++; e->at.p < e->at.end && *e->at.p != stop;)
			tcl_substitute(&e->at, e->context, &w);
		e->at.p += e->at.p < e->at.end;
	} else {
		tcl_substitute(&e->at, e->context, &w);
	}
	if (w.known)
		set_text(v, w.value.data, w.value.len);
	else
		v->kind = UNKNOWN;
	strbuf_release(&w.value);
}

static void call(const char *name, struct value *v, const struct value *second)
{
	double d = v->d;

	if (v->kind != INTEGER && v->kind != REAL) {
		v->kind = UNKNOWN;
	} else if (strcmp(name, "double") == 0) {
		set_real(v, d);
	} else if (strcmp(name, "abs") == 0) {
		if (v->kind == REAL)
			set_real(v, fabs(d));
		else if (v->i >= -__LONG_LONG_MAX__)
			set_integer(v, v->i < 0 ? -v->i : v->i);
	} else if (strcmp(name, "sqrt") == 0 && d >= 0) {
		set_real(v, sqrt(d));
	} else if (strcmp(name, "floor") == 0) {
		set_real(v, floor(d));
	} else if (strcmp(name, "ceil") == 0) {
		set_real(v, ceil(d));
	} else if ((strcmp(name, "int") == 0 || strcmp(name, "round") == 0) && fabs(d) < 1e15) {
		if (v->kind == REAL)
			set_integer(v, (long long)(*name == 'i' ? trunc(d) : round(d)));
	} else if (strcmp(name, "pow") == 0 && second->kind != UNKNOWN && second->kind != TEXT) {
		set_real(v, pow(d, second->d));
	} else if ((strcmp(name, "min") == 0 || strcmp(name, "max") == 0) &&
		second->kind != UNKNOWN && second->kind != TEXT) {
		if (*name == 'm' && (name[1] == 'i' ? second->d < d : second->d > d))
			*v = *second;
	} else {
		v->kind = UNKNOWN;
	}
}

static void parse_name(struct parser *e, struct value *v)
{
	const char *start = e->at.p;
	struct value second = {.kind = UNKNOWN};
	size_t count = 0;

	while (e->at.p < e->at.end && (is_letter(*e->at.p) || is_digit(*e->at.p)))
		e->at.p++;
	AUTO_FREE char *name = xstrndup(start, (size_t)(e->at.p - start));
	if (!take(e, '(')) {
		set_text(v, name, strlen(name));
		e->failed = e->failed || truth(v) < 0;
		return;
	}
	v->kind = UNKNOWN;
	for (; !take(e, ')'); count++) {
		if (e->failed || e->at.p >= e->at.end || (count && !take(e, ','))) {
			e->failed = true;
			return;
		}
		parse_ternary(e, count == 0 ? v : &second);
	}
	if (count == 1 || (count == 2 && second.kind != UNKNOWN))
		call(name, v, &second);
	else
		v->kind = UNKNOWN;
}

static void parse_digits(struct parser *e, struct value *v)
{
	const char *start = e->at.p;

	while (e->at.p < e->at.end && (is_digit(*e->at.p) || *e->at.p == '.' ||
			((*e->at.p == '+' || *e->at.p == '-') && (e->at.p[-1] == 'e' || e->at.p[-1] == 'E')) ||
			((*e->at.p == 'e' || *e->at.p == 'E') && e->at.p > start)))
		e->at.p++;
	set_text(v, start, (size_t)(e->at.p - start));
	if (v->kind == TEXT)
		v->kind = UNKNOWN;
}

static void parse_unary(struct parser *e, struct value *v)
{
	char c;

	skip_blanks(e);
	v->kind = UNKNOWN;
	if (e->at.p == e->at.end || e->depth == DEPTH_MAX || e->failed) {
		e->failed = true;
		return;
	}
	e->depth++;
	c = *e->at.p;
	if (c == '!' || c == '-' || c == '+' || c == '~') {
		e->at.p++;
		parse_unary(e, v);
		if (c == '!')
			set_truth(v, truth(v) < 0 ? -1 : !truth(v));
		else if (c == '-' && v->kind == INTEGER && v->i > -__LONG_LONG_MAX__)
			set_integer(v, -v->i);
		else if (c == '-' && v->kind == REAL)
			set_real(v, -v->d);
		else if (c != '+' || v->kind == TEXT)
			v->kind = UNKNOWN;
	} else if (take(e, '(')) {
		parse_ternary(e, v);
		e->failed = e->failed || !take(e, ')');
	} else if (is_digit(c) || c == '.') {
		parse_digits(e, v);
	} else if (is_letter(c)) {
		parse_name(e, v);
	} else if (c == '"' || c == '{') {
		parse_word(e, v, c == '{' ? '}' : c);
	} else if (c == '$' || c == '[') {
		parse_word(e, v, '\0');
	} else {
		e->failed = true;
	}
	e->depth--;
}

static const struct operator *peek_operator(struct parser *e)
{
	skip_blanks(e);
	for (size_t i = 0; i < sizeof(operators) / sizeof(*operators); i++) {
		size_t len = strlen(operators[i].text);

		if ((size_t)(e->at.end - e->at.p) >= len &&
			memcmp(e->at.p, operators[i].text, len) == 0)
			return &operators[i];
	}
	return NULL;
}

static int compare(const struct value *a, const struct value *b)
{
	if (a->kind == TEXT || b->kind == TEXT)
		return strcmp(a->text, b->text);
	if (a->kind == INTEGER && b->kind == INTEGER)
		return (a->i > b->i) - (a->i < b->i);
	return (a->d > b->d) - (a->d < b->d);
}

static void calculate(const char *op, struct value *a, const struct value *b)
{
	bool whole = a->kind == INTEGER && b->kind == INTEGER;
	long long i = 0;
	bool overflow = true;

	if (a->kind == TEXT || b->kind == TEXT) {
		a->kind = UNKNOWN;
		return;
	}
	if (whole && *op == '+')
		overflow = __builtin_add_overflow(a->i, b->i, &i);
	else if (whole && *op == '-')
		overflow = __builtin_sub_overflow(a->i, b->i, &i);
	else if (whole && strcmp(op, "*") == 0)
		overflow = __builtin_mul_overflow(a->i, b->i, &i);
	else if (whole && b->i != 0 && b->i != -1 && (*op == '/' || *op == '%')) {
		/* Tcl rounds down, and the rest has the divisor's sign. */
		long long rest = a->i % b->i;
		bool down = rest && (rest < 0) != (b->i < 0);

		i = *op == '/' ? a->i / b->i - down : rest + (down ? b->i : 0);
		overflow = false;
	}
	if (whole && !overflow)
		set_integer(a, i);
	else if (whole)
		a->kind = UNKNOWN;
	else if (*op == '+')
		set_real(a, a->d + b->d);
	else if (*op == '-')
		set_real(a, a->d - b->d);
	else if (strcmp(op, "*") == 0)
		set_real(a, a->d * b->d);
	else if (*op == '/' && (b->d < 0 || b->d > 0))
		set_real(a, a->d / b->d);
	else
		a->kind = UNKNOWN;
}

static void apply(const struct operator *o, struct value *a, const struct value *b)
{
	int left = truth(a), right = truth(b);

	if (o->level == 1)
		set_truth(a, left == 1 || right == 1 ? 1 : left < 0 || right < 0 ? -1 : 0);
	else if (o->level == 2)
		set_truth(a, left == 0 || right == 0 ? 0 : left < 0 || right < 0 ? -1 : 1);
	else if (a->kind == UNKNOWN || b->kind == UNKNOWN)
		a->kind = UNKNOWN;
	else if (o->level == 7)
		set_truth(a, (strcmp(a->text, b->text) == 0) == (*o->text == 'e'));
	else if (o->level == 8)
		set_truth(a, (compare(a, b) == 0) == (*o->text == '='));
	else if (o->level == 9)
		set_truth(a, (o->text[1] && compare(a, b) == 0) ||
			(*o->text == '<' ? compare(a, b) < 0 : compare(a, b) > 0));
	else if (o->level >= 11 && o->level <= 12)
		calculate(o->text, a, b);
	else
		a->kind = UNKNOWN;
}

static void parse_binary(struct parser *e, struct value *v, int level)
{
	const struct operator *o;

	parse_unary(e, v);
	while (!e->failed && (o = peek_operator(e)) && o->level >= level) {
		struct value right = {.kind = UNKNOWN};

		e->at.p += strlen(o->text);
		parse_binary(e, &right, o->level + 1);
		apply(o, v, &right);
	}
}

static void parse_ternary(struct parser *e, struct value *v)
{
	struct value yes = {.kind = UNKNOWN}, no = {.kind = UNKNOWN};
	int t;

	if (e->depth == DEPTH_MAX) {
		e->failed = true;
		return;
	}
	e->depth++;
	parse_binary(e, v, 1);
	if (!e->failed && take(e, '?')) {
		t = truth(v);
		parse_ternary(e, &yes);
		e->failed = e->failed || !take(e, ':');
		if (!e->failed)
			parse_ternary(e, &no);
		*v = t == 1 ? yes : no;
		if (t < 0)
			v->kind = UNKNOWN;
	}
	e->depth--;
}

static bool evaluate(const char *text, size_t len, struct tcl_piece where,
	const struct tcl_context *context, struct value *v)
{
	struct parser e = {.at = where, .context = context};

	e.at.p = text;
	e.at.end = text + len;
	parse_ternary(&e, v);
	skip_blanks(&e);
	return !e.failed && e.at.p == e.at.end && v->kind != UNKNOWN;
}

bool tcl_expr(const char *text, size_t len, struct tcl_piece where,
	const struct tcl_context *context, struct strbuf *ret)
{
	struct value v = {.kind = UNKNOWN};

	if (!evaluate(text, len, where, context, &v))
		return false;
	strbuf_adds(ret, v.text);
	return true;
}

int tcl_condition(const char *text, size_t len, struct tcl_piece where,
	const struct tcl_context *context)
{
	struct value v = {.kind = UNKNOWN};

	return evaluate(text, len, where, context, &v) ? truth(&v) : -1;
}
