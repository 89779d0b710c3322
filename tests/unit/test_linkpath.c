#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "linkpath.h"

#define MUST_SHOW(place, target, shown) \
	do { \
		struct strbuf text AUTO_STRBUF = STRBUF_INIT; \
		linkpath_show("/s/j", place, target, &text); \
		assert_string_equal(text.data, shown); \
	} while (0)

static void shows_links_that_stay_inside_as_they_are(void **state)
{
	(void)state;
	MUST_SHOW("l", "out.dat", "out.dat");
	MUST_SHOW("l", "a/./b//c", "a/./b//c");
	MUST_SHOW("a/b/l", "../../c", "../../c");
	MUST_SHOW("a/l", ".././x", ".././x");
	MUST_SHOW("a/l", "..", "..");
	MUST_SHOW("l", ".", ".");
	MUST_SHOW("l", "..dots/...", "..dots/...");
}

static void leads_absolute_ones_to_the_shown_directory(void **state)
{
	(void)state;
	MUST_SHOW("l", "/s/j/out.dat", "out.dat");
	MUST_SHOW("a/b/l", "/s/j//out/./x/", "../../out/x");
	MUST_SHOW("a/l", "/s/j", "../.");
}

static void names_those_that_leave_without_leading_there(void **state)
{
	(void)state;
	MUST_SHOW("l", "/etc/passwd", "cluster:/etc/passwd");
	MUST_SHOW("l", "/", "cluster:/");
	MUST_SHOW("l", "/s/j2/x", "cluster:/s/j2/x");
	MUST_SHOW("l", "../j2/x", "cluster:/s/j2/x");
	MUST_SHOW("a/l", "../../../../../../etc/passwd", "cluster:/etc/passwd");
	MUST_SHOW("l", "/s/j/../j2/x", "cluster:/s/j2/x");
	MUST_SHOW("l", "/s/j/a/../../../../..", "cluster:/");
	/* A link `b` to "." would make each of these lead out, one step with each part. */
	MUST_SHOW("l", "b/b/b/../../../../x", "cluster:/s/x");
	MUST_SHOW("l", "b/../x", "cluster:/s/j/x");
	MUST_SHOW("a/l", "../b/../x", "cluster:/s/j/x");
}

static void finds_what_is_below_a_folder(void **state)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	assert_int_equal(linkpath_below("/s/j", "/s/j/./logs//x.out", &text), 0);
	assert_string_equal(text.data, "logs/x.out");
	assert_int_equal(linkpath_below("/s/j", "/s/j/../../etc/passwd", &text), -EXDEV);
	assert_int_equal(linkpath_below("/s/j", "/s/j/a/../b", &text), -EXDEV);
	assert_int_equal(linkpath_below("/s/j", "/s/jj/x", &text), -EXDEV);
	assert_int_equal(linkpath_below("", "/x", &text), -EXDEV);
	assert_string_equal(text.data, "logs/x.out");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_links_that_stay_inside_as_they_are),
		cmocka_unit_test(leads_absolute_ones_to_the_shown_directory),
		cmocka_unit_test(names_those_that_leave_without_leading_there),
		cmocka_unit_test(finds_what_is_below_a_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
