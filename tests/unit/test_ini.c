#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <errno.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "err.h"
#include "ini.h"

static int note(void *arg, const char *section, const char *key, const char *value, int line)
{
	struct strbuf *b = arg;

	if (key)
		strbuf_addf(b, "%d [%s] <%s>=<%s>\n", line, section, key, value);
	else
		strbuf_addf(b, "%d [%s]\n", line, section);
	return 0;
}

static void check(const char *text, size_t len, int result, const char *calls, const char *why)
{
	struct strbuf got AUTO_STRBUF = STRBUF_INIT, problems AUTO_STRBUF = STRBUF_INIT;

	assert_int_equal(ini_text_parse(text, len, note, &got, &problems, "x.ini"), result);
	assert_string_equal(got.data, calls);
	assert_string_equal(problems.data, why);
}

#define CHECK(text, result, calls, why) check(text, sizeof(text) - 1, result, calls, why)

static void reads_pairs(void **state)
{
	(void)state;
	CHECK("a = 1\n[s]\n  b=2 ; no comment\n# c = 3\n  ; d\n\n[ t u ] # yes\ne = x=y # z\nf =", 0,
		"1 [] <a>=<1>\n2 [s]\n3 [s] <b>=<2 ; no comment>\n7 [t u]\n8 [t u] <e>=<x=y # z>\n"
		"9 [t u] <f>=<>\n", "");
	CHECK("\xef\xbb\xbf[s]\r\na = 1\r\n", 0, "1 [s]\n2 [s] <a>=<1>\n", "");
	CHECK("", 0, "", "");
	CHECK("[s]", 0, "1 [s]\n", "");
}

static void reads_long_lines(void **state)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT, expected AUTO_STRBUF = STRBUF_INIT;
	char *longest = xmalloc(100001);

	(void)state;
	memset(longest, 'v', 100000);
	longest[100000] = '\0';
	strbuf_addf(&text, "[%.70s]\n%.300s = %s\n", longest, longest, longest);
	strbuf_addf(&expected, "1 [%.70s]\n2 [%.70s] <%.300s>=<%s>\n", longest, longest, longest, longest);
	check(text.data, text.len, 0, expected.data, "");
	free(longest);
}

static void explains_every_problem(void **state)
{
	(void)state;
	CHECK("[s\nword\n= 1\n[]\na=\001\nb=2\n[t] x\n", -EINVAL, "6 [] <b>=<2>\n",
		"x.ini:1: a section is written [NAME], alone on its line\n"
		"x.ini:2: this line has no `=`; write KEY = VALUE, all of it on one line\n"
		"x.ini:3: there is no key before `=`; write KEY = VALUE\n"
		"x.ini:4: a section needs a name: [NAME]\n"
		"x.ini:5: a control character; only plain text is allowed here\n"
		"x.ini:7: a section is written [NAME], alone on its line\n");
	CHECK("a=1\nb=\0\nc=\0\n", -EINVAL, "1 [] <a>=<1>\n",
		"x.ini:2: a NUL byte: this is no plain text; save it as UTF-8\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_pairs),
		cmocka_unit_test(reads_long_lines),
		cmocka_unit_test(explains_every_problem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
