#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "strbuf.h"

static void grows_and_stays_terminated(void **state)
{
	struct strbuf b AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	for (int i = 0; i < 1000; i++)
		strbuf_addf(&b, "%03d,", i);
	assert_int_equal(b.len, 4000);
	assert_memory_equal(b.data + 3996, "999,", 5);
}

static void escapes_what_could_steer_a_terminal(void **state)
{
	struct strbuf b AUTO_STRBUF = STRBUF_INIT;
	const char text[] = "a\033[2Jb\nc\xc3\xa9\xc2\x9b\xff";

	(void)state;
	strbuf_add_escaped(&b, text, sizeof(text) - 1);
	assert_string_equal(b.data, "a\\x1b[2Jb\\x0ac\xc3\xa9\\xc2\\x9b\\xff");
}

static void lines_stay_lines(void **state)
{
	struct strbuf b AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	strbuf_add_lines(&b, "a\033\n\nb\r\nc", 8);
	assert_string_equal(b.data, "a\\x1b\n\nb\\x0d\nc");
	strbuf_add_lines(&b, "d\n", 2);
	assert_string_equal(b.data, "a\\x1b\n\nb\\x0d\ncd\n");
}

static void a_missing_buffer_takes_nothing(void **state)
{
	(void)state;
	strbuf_addf(NULL, "%s", "why nobody asked for");
	strbuf_adds(NULL, "nothing");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_stays_terminated),
		cmocka_unit_test(escapes_what_could_steer_a_terminal),
		cmocka_unit_test(lines_stay_lines),
		cmocka_unit_test(a_missing_buffer_takes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
