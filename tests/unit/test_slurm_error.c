#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "slurm_error.h"

#define FAILED "sbatch: error: Batch job submission failed: "

static void classes_what_sbatch_says(void **state)
{
	/* The first twelve were printed by sbatch 22.05.8. */
	static const struct {
		const char *words;
		enum slurm_error_class class;
		bool reconcile, retry, wait;
	} cases[] = {
		{"sbatch: error: invalid partition specified: nosuch\n" FAILED
			"Invalid partition name specified\n", SLURM_ERROR_PERMANENT, 0, 0, 0},
		{FAILED "Requested time limit is invalid (missing or exceeds some limit)\n",
			SLURM_ERROR_LIMIT, 0, 0, 0},
		{"sbatch: error: Memory specification can not be satisfied\n" FAILED
			"Requested node configuration is not available\n", SLURM_ERROR_LIMIT, 0, 0, 0},
		{"sbatch: error: Invalid --time specification\n", SLURM_ERROR_PERMANENT, 0, 0, 0},
		{FAILED "Node count specification invalid\n", SLURM_ERROR_PERMANENT, 0, 0, 0},
		{"sbatch: error: Unable to open file /nosuch\n", SLURM_ERROR_PERMANENT, 0, 0, 0},
		{FAILED "Invalid job array specification\n", SLURM_ERROR_PERMANENT, 0, 0, 0},
		{"sbatch: error: Invalid generic resource (gres) specification\n",
			SLURM_ERROR_PERMANENT, 0, 0, 0},
		{"sbatch: error: Batch script contains DOS line breaks (\\r\\n)\n"
			"sbatch: error: instead of expected UNIX line breaks (\\n).\n",
			SLURM_ERROR_PERMANENT, 0, 0, 0},
		{"sbatch: error: This does not look like a batch script.  The first\n"
			"sbatch: error: line must start with #! followed by the path to an "
			"interpreter.\n", SLURM_ERROR_PERMANENT, 0, 0, 0},
		{"sbatch: fatal: Unable to process configuration file\n",
			SLURM_ERROR_UNKNOWN, 0, 0, 0},
		{"slurm_load_jobs error: Invalid job id specified\n",
			SLURM_ERROR_PERMANENT, 0, 0, 0},
		{FAILED "Socket timed out on send/recv operation\n",
			SLURM_ERROR_TRANSIENT, 1, 1, 0},
		{FAILED "Unable to contact slurm controller (connect failure)\n",
			SLURM_ERROR_TRANSIENT, 0, 1, 0},
		{FAILED "UNABLE TO CONTACT slurm controller (Receive failure)\n",
			SLURM_ERROR_TRANSIENT, 1, 1, 0},
		{"sbatch: error: QOSMaxSubmitJobPerUserLimit\n" FAILED "Job violates accounting/QOS "
			"policy (job submit limit, user's size and/or time limits)\n",
			SLURM_ERROR_LIMIT, 0, 1, 1},
		{"sbatch: error: QOSMaxWallDurationPerJobLimit\n" FAILED "Job violates accounting/QOS "
			"policy (job submit limit, user's size and/or time limits)\n",
			SLURM_ERROR_LIMIT, 0, 0, 0},
		{FAILED "Job violates accounting/QOS policy (job submit limit, user's size and/or "
			"time limits)\n", SLURM_ERROR_LIMIT, 0, 0, 0},
		{"sbatch: Slurm temporarily unable to accept job, sleeping and retrying\n" FAILED
			"Job violates accounting/QOS policy (job submit limit, user's size and/or time "
			"limits)\n", SLURM_ERROR_LIMIT, 0, 0, 0},
		{FAILED "MaxJobCount limit reached\n", SLURM_ERROR_TRANSIENT, 0, 1, 1},
		{FAILED "Invalid account or account/partition combination specified\n",
			SLURM_ERROR_AUTH, 0, 0, 0},
		{"sbatch: error: AssocGrpCPUMinutesLimit\n" FAILED "Job violates accounting/QOS policy "
			"(job submit limit, user's size and/or time limits)", SLURM_ERROR_QUOTA, 0, 0, 0},
		{"sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\n",
			SLURM_ERROR_TRANSIENT, 1, 1, 0},
		/* The first try may have been taken, whatever the second was told. */
		{"sbatch: error: Socket timed out on send/recv operation\n" FAILED
			"Invalid account or account/partition combination specified\n",
			SLURM_ERROR_AUTH, 1, 0, 0},
		{FAILED "Something of the year 2031\n", SLURM_ERROR_UNKNOWN, 0, 0, 0},
		{"", SLURM_ERROR_UNKNOWN, 1, 0, 0},
		{" \n", SLURM_ERROR_UNKNOWN, 1, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct slurm_error_info info;

		slurm_error_lookup(cases[i].words, &info);
		if (info.class != cases[i].class || info.reconcile_first != cases[i].reconcile ||
			info.retry != cases[i].retry || info.wait != cases[i].wait)
			fail_msg("%s: class %d, %d %d %d", cases[i].words, info.class,
				info.reconcile_first, info.retry, info.wait);
		assert_int_equal(info.explanation == NULL, info.class == SLURM_ERROR_UNKNOWN);
	}
}

static void slots_stand_for_anything_within_a_line(void **state)
{
	struct slurm_error_info info;

	(void)state;
	slurm_error_lookup("sbatch: error: '2-' is bad\nsbatch: error: invalid number of nodes "
		"(-N 5-2)\n", &info);
	assert_string_equal(info.remedy, "Give min <= max.");
	slurm_error_lookup("invalid number of nodes (-N 5\n-2)\n", &info);
	assert_null(info.explanation);
	slurm_error_lookup("sbatch: error: \"x\" is not a valid node count\n", &info);
	assert_string_equal(info.remedy, "Use 2 or 2-4.");
}

static void explains_for_people(void **state)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	slurm_error_explain("sbatch: error: invalid partition specified: \033[1m\n" FAILED
		"Invalid partition name specified\n", &text);
	assert_string_equal(text.data,
		"Slurm did not take it: Invalid partition name specified\n"
		"Why: No partition (queue) of that name exists on this cluster.\n"
		"What to do: Pick a name from \"sinfo -s\" and set it as partition in config.ini; "
		"check spelling and target cluster.\n"
		"Slurm's own words:\n"
		"  sbatch: error: invalid partition specified: \\x1b[1m\n"
		"  sbatch: error: Batch job submission failed: Invalid partition name specified\n");
}

static void says_nothing_of_how_it_reconciles(void **state)
{
	static const char *const words[] = {FAILED "Socket timed out on send/recv operation\n",
		FAILED "Slurm internal error, contact system administrator\n", "", "what?"};

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		struct strbuf text AUTO_STRBUF = STRBUF_INIT;

		slurm_error_explain(words[i], &text);
		assert_null(strstr(text.data, "RECONCILE"));
		assert_non_null(strstr(text.data, "What to do: "));
		assert_int_equal(text.data[text.len - 1], '\n');
	}
}

static void takes_hostile_text_in_time(void **state)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct slurm_error_info info;

	(void)state;
	/* 64 KiB, the most that is kept, of a letter that opens a message with slots. */
	for (int i = 0; i < 65536; i++)
		strbuf_addc(&text, '\'');
	slurm_error_lookup(text.data, &info);
	assert_null(info.explanation);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes_what_sbatch_says),
		cmocka_unit_test(slots_stand_for_anything_within_a_line),
		cmocka_unit_test(explains_for_people),
		cmocka_unit_test(says_nothing_of_how_it_reconciles),
		cmocka_unit_test(takes_hostile_text_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
