#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "endtext.h"

/* The text of an end has these words in it. */
static void says(const char *state, const char *facts, const char *const *words)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	endtext_explain(state, facts, &text);
	for (; *words; words++)
		if (!strstr(text.data, *words))
			fail_msg("%s, %s: no \"%s\" in:\n%s", state, facts, *words, text.data);
	assert_non_null(strstr(text.data, "\nWhy: "));
	assert_non_null(strstr(text.data, "\nWhat to do: "));
	assert_int_equal(text.data[text.len - 1], '\n');
}
#define SAYS(state, facts, ...) says(state, facts, (const char *const[]){__VA_ARGS__, NULL})

static void a_time_limit(void **state)
{
	(void)state;
	SAYS("TIMEOUT", "time_limit = 00:10:00\nelapsed = 00:10:02\n",
		"The job reached its time limit of 00:10:00 and was ended", "[slurm] time");
	SAYS("TIMEOUT", "", "reached its time limit and was");
}

static void memory(void **state)
{
	(void)state;
	SAYS("OUT_OF_MEMORY", "exit_code = 0\nsignal = 125\nreq_mem = 4G\nmax_rss = 3900M\n",
		"(4G asked for, 3900M seen in use)", "[slurm] mem");
	/* Slurm up to 20.11. */
	SAYS("OUT_OF_MEMORY", "req_mem = 4Gc\n", "(4G per CPU asked for)");
	SAYS("OUT_OF_MEMORY", "req_mem = 4Gn\n", "(4G per node asked for)");
	SAYS("OUT_OF_MEMORY", "", "more memory than it had and was ended");
	SAYS("FAILED", "exit_code = 137\nreq_mem = 4G\n", "killed", "(4G asked for)", "memory");
	SAYS("FAILED", "exit_code = 0\nsignal = 9\n", "killed", "memory");
}

static void exit_codes(void **state)
{
	(void)state;
	SAYS("FAILED", "exit_code = 1\n", "failed with exit code 1.", "stderr");
	SAYS("FAILED", "exit_code = 127\n", "not found", "[modules] load");
	SAYS("FAILED", "exit_code = 126\n", "could not be run", "chmod +x");
	SAYS("FAILED", "exit_code = 139\n", "SIGSEGV");
	SAYS("FAILED", "exit_code = 0\nsignal = 11\n", "SIGSEGV");
	SAYS("FAILED", "exit_code = 122\n", "a module could not be loaded", "module avail");
	SAYS("FAILED", "exit_code = 121\n", "could not use its directory");
	SAYS("FAILED", "exit_code = 140\n", "ended by signal 12");
	SAYS("FAILED", "exit_code = 0\nsignal = 53\n", "could not start", "output");
	SAYS("FAILED", "derived_exit_code = 127\n", "The job's own command failed.\n");
	SAYS("FAILED", "", "The job's own command failed.\n");
}

static void the_cluster(void **state)
{
	(void)state;
	SAYS("NODE_FAIL", "node_list = c[1-2]\n", "failed: c[1-2].", "requeue");
	SAYS("PREEMPTED", "", "higher priority", "requeue");
	SAYS("BOOT_FAIL", "", "did not start");
	SAYS("DEADLINE", "", "deadline");
	SAYS("UNKNOWN", "", "no longer knows");
}

static void no_fault_no_text(void **state)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	endtext_explain("COMPLETED", "exit_code = 0\n", &text);
	endtext_explain("CANCELLED", "exit_code = 0\nsignal = 15\n", &text);
	assert_int_equal(text.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_time_limit),
		cmocka_unit_test(memory),
		cmocka_unit_test(exit_codes),
		cmocka_unit_test(the_cluster),
		cmocka_unit_test(no_fault_no_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
