#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "jobstate.h"

static void knows_what_has_ended(void **state)
{
	static const char *const ended[] = {"COMPLETED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY",
		"NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "CANCELLED"};
	static const char *const active[] = {"PENDING", "CONFIGURING", "RUNNING", "SUSPENDED",
		"COMPLETING", "STAGE_OUT", "STOPPED", "SIGNALING", "RESIZING", "REQUEUED",
		"REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD", "POWER_UP_NODE",
		"LAUNCH_FAILED", "REVOKED", "A_WORD_OF_2031", ""};
	static const char *const before[] = {"WAITING", "STAGING", "SUBMITTING", "REJECTED"};

	(void)state;
	for (size_t i = 0; i < sizeof(ended) / sizeof(*ended); i++)
		assert_int_equal(jobstate_class(ended[i]), JOBSTATE_ENDED);
	for (size_t i = 0; i < sizeof(active) / sizeof(*active); i++)
		assert_int_equal(jobstate_class(active[i]), JOBSTATE_ACTIVE);
	for (size_t i = 0; i < sizeof(before) / sizeof(*before); i++)
		assert_int_equal(jobstate_class(before[i]), JOBSTATE_BEFORE);
	assert_int_equal(jobstate_class("UNKNOWN"), JOBSTATE_LOST);
}

static void takes_the_first_word(void **state)
{
	char word[JOB_STATE_SIZE];

	(void)state;
	assert_int_equal(jobstate_from_slurm("CANCELLED by 1000", 17, word), 0);
	assert_string_equal(word, "CANCELLED");
	assert_int_equal(jobstate_from_slurm("RUNNINGxyz", 7, word), 0);
	assert_string_equal(word, "RUNNING");
	assert_int_equal(jobstate_from_slurm("NOT_YET_INVENTED", 16, word), 0);
	assert_string_equal(word, "NOT_YET_INVENTED");
	assert_int_equal(jobstate_from_slurm("TWENTY_THREE_LETTERS_AB", 23, word), 0);
	assert_int_equal(jobstate_from_slurm("TWENTY_FOUR_LETTERS_ABCD", 24, word), -EINVAL);
	assert_int_equal(jobstate_from_slurm("", 0, word), -EINVAL);
	assert_int_equal(jobstate_from_slurm("running", 7, word), -EINVAL);
	assert_int_equal(jobstate_from_slurm("CANCELLED+", 10, word), -EINVAL);
	assert_int_equal(jobstate_from_slurm(" RUNNING", 8, word), -EINVAL);
	assert_int_equal(jobstate_from_slurm("RUN\0NING", 8, word), -EINVAL);
}

static void allows_only_what_can_happen(void **state)
{
	static const struct {
		const char *from, *to;
		bool may;
	} steps[] = {
		{"WAITING", "STAGING", true}, {"STAGING", "SUBMITTING", true},
		{"SUBMITTING", "PENDING", true}, {"SUBMITTING", "COMPLETED", true},
		{"SUBMITTING", "REJECTED", true}, {"SUBMITTING", "WAITING", true},
		{"SUBMITTING", "UNKNOWN", true}, {"WAITING", "CANCELLED", true},
		{"STAGING", "CANCELLED", true}, {"STAGING", "RUNNING", false},
		{"REJECTED", "STAGING", true}, {"REJECTED", "WAITING", true},
		{"REJECTED", "PENDING", false}, {"REJECTED", "SUBMITTING", false},
		{"PENDING", "RUNNING", true}, {"RUNNING", "PENDING", true},
		{"RUNNING", "COMPLETED", true}, {"PENDING", "SUBMITTING", false},
		{"RUNNING", "REJECTED", false}, {"COMPLETED", "STAGING", false},
		{"COMPLETED", "COMPLETING", false}, {"COMPLETED", "SUSPENDED", false},
		{"COMPLETED", "PENDING", true}, {"NODE_FAIL", "RUNNING", true},
		{"FAILED", "OUT_OF_MEMORY", true}, {"COMPLETED", "UNKNOWN", false},
		{"RUNNING", "UNKNOWN", true}, {"UNKNOWN", "COMPLETED", true},
		{"UNKNOWN", "WAITING", false}, {"RUNNING", "RUNNING", true},
		{"RUNNING", "A_NEW_WORD", true}, {"A_NEW_WORD", "FAILED", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		if (jobstate_may_follow(steps[i].from, steps[i].to) != steps[i].may)
			fail_msg("%s to %s", steps[i].from, steps[i].to);
}

static void sums_up_an_array(void **state)
{
	struct jobstate_count counts[] = {{"COMPLETED", 7}, {"PENDING", 2}, {"RUNNING", 1}};
	struct jobstate_count bad[] = {{"COMPLETED", 5}, {"CANCELLED", 1}, {"FAILED", 1},
		{"TIMEOUT", 1}, {"OUT_OF_MEMORY", 1}, {"NODE_FAIL", 1}};
	static const char *const order[] = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT",
		"OUT_OF_MEMORY", "NODE_FAIL"};
	struct jobstate_count odd[] = {{"COMPLETED", 5}, {"DEADLINE", 1}};
	struct jobstate_count lost[] = {{"COMPLETED", 5}, {"UNKNOWN", 1}, {"FAILED", 0}};

	(void)state;
	assert_string_equal(jobstate_summary(counts, 3), "RUNNING");
	counts[2].count = 0;
	assert_string_equal(jobstate_summary(counts, 3), "PENDING");
	counts[1].word = "COMPLETING";
	assert_string_equal(jobstate_summary(counts, 3), "RUNNING");
	counts[1].word = "UNHEARD_OF";
	assert_string_equal(jobstate_summary(counts, 3), "PENDING");
	assert_string_equal(jobstate_summary(counts, 1), "COMPLETED");
	for (size_t n = 1; n <= 6; n++)
		assert_string_equal(jobstate_summary(bad, n), order[n - 1]);
	assert_string_equal(jobstate_summary(odd, 2), "DEADLINE");
	assert_string_equal(jobstate_summary(lost, 3), "UNKNOWN");
	lost[2].count = 1;
	assert_string_equal(jobstate_summary(lost, 3), "FAILED");
	assert_null(jobstate_summary(counts, 0));
}

static void lists_the_verbs(void **state)
{
	static const char *const names[] = {"cancel", "sync", "resubmit", "hold", "release",
		"requeue", "retrieve", "discard"};

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		assert_string_equal(jobstate_verb_name(i), names[i]);
	assert_null(jobstate_verb_name(8));
	assert_int_equal(jobstate_verbs("REJECTED"), JOBSTATE_VERB_RESUBMIT);
	assert_int_equal(jobstate_verbs("WAITING"), JOBSTATE_VERB_CANCEL | JOBSTATE_VERB_SYNC);
	assert_int_equal(jobstate_verbs("RUNNING"),
		JOBSTATE_VERB_CANCEL | JOBSTATE_VERB_SYNC | JOBSTATE_VERB_REQUEUE |
		JOBSTATE_VERB_RETRIEVE);
	assert_int_equal(jobstate_verbs("UNHEARD_OF"),
		JOBSTATE_VERB_CANCEL | JOBSTATE_VERB_SYNC | JOBSTATE_VERB_REQUEUE |
		JOBSTATE_VERB_RETRIEVE);
	assert_int_equal(jobstate_verbs("PENDING"), JOBSTATE_VERB_CANCEL | JOBSTATE_VERB_SYNC |
		JOBSTATE_VERB_HOLD | JOBSTATE_VERB_RELEASE);
	assert_int_equal(jobstate_verbs_listed("PENDING", ""),
		JOBSTATE_VERB_CANCEL | JOBSTATE_VERB_SYNC | JOBSTATE_VERB_HOLD);
	assert_int_equal(jobstate_verbs_listed("PENDING", "JobHeldUser"),
		JOBSTATE_VERB_CANCEL | JOBSTATE_VERB_SYNC | JOBSTATE_VERB_RELEASE);
	assert_int_equal(jobstate_verbs_listed("PENDING", "launch failed requeued held"),
		JOBSTATE_VERB_CANCEL | JOBSTATE_VERB_SYNC | JOBSTATE_VERB_RELEASE);
	assert_int_equal(jobstate_verbs_listed("RUNNING", ""), jobstate_verbs("RUNNING"));
	assert_int_equal(jobstate_verbs("COMPLETED"),
		JOBSTATE_VERB_REQUEUE | JOBSTATE_VERB_RETRIEVE | JOBSTATE_VERB_DISCARD);
	assert_int_equal(jobstate_verbs("UNKNOWN"),
		JOBSTATE_VERB_RETRIEVE | JOBSTATE_VERB_DISCARD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_what_has_ended),
		cmocka_unit_test(takes_the_first_word),
		cmocka_unit_test(allows_only_what_can_happen),
		cmocka_unit_test(sums_up_an_array),
		cmocka_unit_test(lists_the_verbs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
