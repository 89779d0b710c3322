/* Commands of any length reach the cluster's bash, with their input. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "command.h"
#include "local.h"

static void expect_run(size_t padding)
{
	struct cluster cluster = {.remote = local_remote_new(0022), .clock = &clock_system};
	struct command_result answer AUTO_RESULT = COMMAND_RESULT_INIT;
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;

	strbuf_adds(&script, "text='");
	for (size_t i = 0; i < padding; i++)
		strbuf_adds(&script, "\xc3\xa4\n");
	strbuf_adds(&script, "'\nread -r line\necho \"${#text} $line\"\nexit 3\n");
	strbuf_adds(&script, "echo never\n");
	assert_int_equal(command_run(&cluster, script.data, "its input\n", 10, 60000, &answer), 0);
	assert_int_equal(answer.status, 3);
	assert_non_null(strstr(answer.out.data, " its input\n"));
	assert_null(strstr(answer.out.data, "never"));
	remote_destroy(cluster.remote);
}

static void short_and_long_ones_run(void **state)
{
	(void)state;
	expect_run(1);
	expect_run(2000);
	expect_run(100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_and_long_ones_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
