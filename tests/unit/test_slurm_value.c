#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <errno.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "slurm_option.h"
#include "slurm_value.h"

static const struct {
	enum slurm_type type;
	const char *text;
	const char *canonical; /* NULL: refused */
	const char *as_sbatch; /* NULL: refused */
} cases[] = {
	{SLURM_TIME, "90", "01:30:00", "01:30:00"},
	{SLURM_TIME, "24:00", NULL, "00:24:00"},
	{SLURM_TIME, "90:30", NULL, "01:30:30"},
	{SLURM_TIME, "0", NULL, "00:00:00"},
	{SLURM_TIME, "00:00:00", NULL, "00:00:00"},
	{SLURM_TIME, "24:00:00", "1-00:00:00", "1-00:00:00"},
	{SLURM_TIME, "1:2:3", "01:02:03", "01:02:03"},
	{SLURM_TIME, "2-12", "2-12:00:00", "2-12:00:00"},
	{SLURM_TIME, "2-1:30", "2-01:30:00", "2-01:30:00"},
	{SLURM_TIME, "0-0:0:10", "00:00:10", "00:00:10"},
	{SLURM_TIME, "unlimited", "UNLIMITED", "UNLIMITED"},
	{SLURM_TIME, "1:2:3:4", NULL, NULL},
	{SLURM_TIME, "1h", NULL, NULL},
	{SLURM_TIME, "-5", NULL, NULL},
	{SLURM_TIME, "1-", NULL, NULL},
	{SLURM_TIME, "999999999-0", NULL, NULL},
	{SLURM_TIME, "99999999999999999999", NULL, NULL},
	{SLURM_MEMORY, "64G", "64G", "64G"},
	{SLURM_MEMORY, "64 GiB", "64G", "64G"},
	{SLURM_MEMORY, "500mb", "500M", "500M"},
	{SLURM_MEMORY, "1.5G", "1536M", "1536M"},
	{SLURM_MEMORY, "1.0001G", "1025M", "1025M"}, /* 1024.1024 M */
	{SLURM_MEMORY, "0.5T", "524288M", "524288M"},
	{SLURM_MEMORY, "0", "0", "0"},
	{SLURM_MEMORY, "64", NULL, "64M"},
	{SLURM_MEMORY, "64X", NULL, NULL},
	{SLURM_MEMORY, "-1G", NULL, NULL},
	{SLURM_MEMORY, "1.G", NULL, NULL},
	{SLURM_COUNT, "4", "4", "4"},
	{SLURM_COUNT, "0", NULL, NULL},
	{SLURM_COUNT, "4.5", NULL, NULL},
	{SLURM_NODES, "2-4", "2-4", "2-4"},
	{SLURM_NODES, "4-2", NULL, NULL},
	{SLURM_NODES, "2-", NULL, NULL},
	{SLURM_GPUS, "2", "2", "2"},
	{SLURM_GPUS, "a100:2", "a100:2", "a100:2"},
	{SLURM_GPUS, ":2", NULL, NULL},
	{SLURM_GPUS, "a100", NULL, NULL},
	{SLURM_WORDS, "short, long", "short,long", "short,long"},
	{SLURM_WORDS, "short long", NULL, NULL},
	{SLURM_WORDS, "a,,b", NULL, NULL},
	{SLURM_ARRAY, "0-9,20-40:2%5", "0-9,20-40:2%5", "0-9,20-40:2%5"},
	{SLURM_ARRAY, "9-0", NULL, NULL},
	{SLURM_ARRAY, "1%0", NULL, NULL},
	{SLURM_ARRAY, "1,", NULL, "1"},
	{SLURM_ARRAY, "[1-3%2]", NULL, "1-3%2"},
	{SLURM_MAIL, "START,END", NULL, "END"},
	{SLURM_BEGIN, "now+2hours", "now+2hours", "now+2hours"},
	{SLURM_BEGIN, "2030-01-31T12:00", "2030-01-31T12:00", "2030-01-31T12:00"},
	{SLURM_BEGIN, "soon", NULL, NULL},
	{SLURM_MAIL, "end, fail", "END,FAIL", "END,FAIL"},
	{SLURM_MAIL, "DONE", NULL, NULL},
	{SLURM_SIGNAL, "B:usr1@120", "B:USR1@120", "B:USR1@120"},
	{SLURM_SIGNAL, "USR1@", NULL, NULL},
	{SLURM_LICENSES, "matlab@db:2,ansys", "matlab@db:2,ansys", "matlab@db:2,ansys"},
	{SLURM_GRES, "gpu:a100:2", "gpu:a100:2", "gpu:a100:2"},
	{SLURM_GRES, "gpu;rm", NULL, NULL},
	{SLURM_FEATURES, "[(r1|r2)*1&r3*2]", "[(r1|r2)*1&r3*2]", "[(r1|r2)*1&r3*2]"},
	{SLURM_HOSTS, "n[01-03,7],m", "n[01-03,7],m", "n[01-03,7],m"},
	{SLURM_HOSTS, "n[01", NULL, NULL},
	{SLURM_PATH, "out/%x-%j.log", "out/%x-%j.log", "out/%x-%j.log"},
	{SLURM_TEXT, "a\nb", NULL, NULL},
	{SLURM_SWITCHES, "1@10:00", "1@10:00", "1@10:00"},
	{SLURM_YESNO, "True", "yes", "yes"},
	{SLURM_CHOICE, "TWO", "two", "two"},
	{SLURM_CHOICE, "tw", NULL, NULL},
};

static void checks_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (int as_sbatch = 0; as_sbatch < 2; as_sbatch++) {
			struct strbuf why AUTO_STRBUF = STRBUF_INIT;
			const char *expected = as_sbatch ? cases[i].as_sbatch : cases[i].canonical;
			char *got AUTO_FREE = NULL;
			int result = slurm_value_check(cases[i].type, "one two", cases[i].text, as_sbatch,
				&got, &why);

			if (result != (expected ? 0 : -EINVAL) || !got != !expected ||
				(got && strcmp(got, expected)) || !why.len != !result)
				fail_msg("%s: %d %s (%s)", cases[i].text, result, got ? got : "-", why.data);
		}
}

static void explains_minutes_and_seconds(void **state)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	char *got;

	(void)state;
	slurm_value_check(SLURM_TIME, NULL, "24:00", false, &got, &why);
	assert_string_equal(why.data,
		"24:00 is 24 minutes and 0 seconds to Slurm; write 00:24:00 or 24:00:00");
}

static void computes(void **state)
{
	(void)state;
	assert_int_equal(slurm_value_seconds("1-1:01:01"), 90061);
	assert_int_equal(slurm_value_seconds("UNLIMITED"), -1);
	assert_int_equal(slurm_value_seconds("x"), -EINVAL);
	assert_int_equal(slurm_value_mebibytes("1025K"), 2);
	assert_int_equal(slurm_value_mebibytes("2T"), 2097152);
	assert_int_equal(slurm_value_mebibytes("7"), 7);
}

static void finds_options(void **state)
{
	(void)state;
	assert_string_equal(slurm_option_of_sbatch("ntasks-per-node", 15)->key, "ntasks_per_node");
	assert_string_equal(slurm_option_of_sbatch("part", 4)->key, "partition");
	assert_null(slurm_option_of_sbatch("ntasks-per", 10));
	assert_string_equal(slurm_option_of_sbatch("share", 5)->key, "oversubscribe");
	assert_null(slurm_option_of_sbatch("mail_type", 9));
	assert_string_equal(slurm_option_by_letter('N')->key, "nodes");
	assert_null(slurm_option_by_letter('\0'));
	for (int c = 1; c < 128; c++)
		if (slurm_option_by_letter((char)c))
			assert_int_equal(slurm_option_by_letter((char)c)->letter, c);
}

static void suggests_the_right_name(void **state)
{
	static const char *const pairs[][2] = {{"memory", "mem"}, {"walltime", "time"},
		{"cores", "ntasks"}, {"queue", "partition"}, {"email", "mail_user"},
		{"cpus-per-task", "cpus_per_task"}, {"partiton", "partition"}, {"Time", "time"},
		{"acount", "account"}, {"WallTime", "time"}};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
		assert_string_equal(slurm_option_suggest(pairs[i][0]), pairs[i][1]);
	assert_null(slurm_option_suggest("zebra"));
	assert_null(slurm_option_suggest("x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checks_values),
		cmocka_unit_test(explains_minutes_and_seconds),
		cmocka_unit_test(computes),
		cmocka_unit_test(finds_options),
		cmocka_unit_test(suggests_the_right_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
