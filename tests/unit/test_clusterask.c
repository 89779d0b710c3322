#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ask_query.h"
#include "clusterask.h"
#include "err.h"

static struct ask_answer get(struct clusterask *ask, const char *text, int64_t since_ns)
{
	return clusterask_get(ask, ASK_SCRIPT, text, since_ns, NULL);
}

/* Answers the one question that is there. */
static void answer(struct clusterask *ask, bool known, bool yes, const char *words, int64_t asked_ns)
{
	size_t count;
	struct ask_question *questions = clusterask_take(ask, 10, &count);

	assert_int_equal(count, 1);
	questions[0].known = known;
	questions[0].yes = yes;
	questions[0].words = xstrdup(words);
	clusterask_settle(ask, questions, count, asked_ns);
}

static void a_question_is_put_once(void **state)
{
	struct clusterask *ask = clusterask_new();
	size_t count;

	(void)state;
	assert_true(get(ask, "a", 0).asking);
	assert_true(get(ask, "a", 0).asking);
	/* A path of the same text is another question. */
	assert_true(clusterask_get(ask, ASK_PATH, "a", 0, NULL).asking);
	struct ask_question *questions = clusterask_take(ask, 1, &count);
	assert_int_equal(count, 1);
	assert_string_equal(questions[0].text, "a");
	assert_int_equal(questions[0].kind, ASK_SCRIPT);
	assert_true(get(ask, "a", 0).asking);
	questions[0].known = questions[0].yes = true;
	clusterask_settle(ask, questions, count, 5);
	struct ask_answer is = get(ask, "a", 0);
	assert_false(is.asking);
	assert_true(is.known);
	assert_true(is.yes);
	assert_int_equal(is.asked_ns, 5);
	assert_true(clusterask_get(ask, ASK_PATH, "a", 0, NULL).asking);
	answer(ask, true, false, NULL, 6);
	assert_false(clusterask_get(ask, ASK_PATH, "a", 0, NULL).yes);
	assert_null(clusterask_take(ask, 10, &count));
	assert_int_equal(count, 0);
	clusterask_free(ask);
}

static void an_old_answer_holds_until_a_new_one_comes(void **state)
{
	struct clusterask *ask = clusterask_new();
	struct strbuf words AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	get(ask, "a", 0);
	answer(ask, true, false, "too long", 100);
	assert_false(get(ask, "a", 100).asking);
	struct ask_answer is = clusterask_get(ask, ASK_SCRIPT, "a", 101, &words);
	assert_true(is.asking);
	assert_true(is.known);
	assert_false(is.yes);
	assert_string_equal(words.data, "too long");
	/* No answer: the old one stays, and nobody asks again at once. */
	answer(ask, false, false, NULL, 110);
	is = get(ask, "a", 105);
	assert_false(is.asking);
	assert_true(is.known);
	assert_int_equal(is.asked_ns, 100);
	assert_true(get(ask, "a", 111).asking);
	answer(ask, true, true, NULL, 120);
	is = get(ask, "a", 111);
	assert_true(is.yes);
	assert_int_equal(is.asked_ns, 120);
	clusterask_free(ask);
}

static void nothing_is_asked_offline(void **state)
{
	struct clusterask *ask = clusterask_new();
	size_t count;

	(void)state;
	get(ask, "known", 0);
	answer(ask, true, false, "no", 100);
	get(ask, "wanted", 0);
	assert_false(clusterask_open(ask, true));
	assert_true(clusterask_open(ask, false));
	assert_false(clusterask_open(ask, false));
	assert_false(get(ask, "wanted", 0).asking);
	assert_false(get(ask, "wanted", 0).known);
	assert_false(get(ask, "new", 0).asking);
	/* What Slurm said stays said. */
	assert_true(get(ask, "known", 200).known);
	assert_false(get(ask, "known", 200).asking);
	assert_null(clusterask_take(ask, 10, &count));
	assert_true(clusterask_open(ask, true));
	assert_true(get(ask, "wanted", 0).asking);
	clusterask_free(ask);
}

static void an_answer_may_come_after_the_line_was_cut(void **state)
{
	struct clusterask *ask = clusterask_new();
	size_t count;

	(void)state;
	get(ask, "a", 0);
	struct ask_question *questions = clusterask_take(ask, 10, &count);
	clusterask_open(ask, false);
	assert_false(get(ask, "a", 0).asking);
	questions[0].known = true;
	clusterask_settle(ask, questions, count, 7);
	assert_true(get(ask, "a", 0).known);
	clusterask_free(ask);
}

static void room_is_made_of_what_was_not_used(void **state)
{
	struct clusterask *ask = clusterask_new();
	char text[16];

	(void)state;
	for (int i = 0; i < 2048; i++) {
		snprintf(text, sizeof(text), "%d", i);
		assert_true(get(ask, text, 0).asking);
	}
	/* Nothing that is still to be asked gives way. */
	assert_false(get(ask, "more", 0).asking);
	size_t count;
	struct ask_question *questions = clusterask_take(ask, 2, &count);
	assert_int_equal(count, 2);
	questions[0].known = questions[1].known = true;
	clusterask_settle(ask, questions, count, 1);
	assert_true(get(ask, "0", 0).known);
	assert_true(get(ask, "more", 0).asking);
	assert_true(get(ask, "0", 0).known);
	assert_false(get(ask, "1", 0).known);
	clusterask_free(ask);
}

/* As Slurm 22.05 says it; a person can mend only what will never pass. */
static void only_what_waiting_does_not_mend_is_a_refusal(void **state)
{
	(void)state;
	assert_true(ask_is_refusal(1, "allocation failure: Requested time limit is invalid (missing or "
		"exceeds some limit)\n"));
	assert_true(ask_is_refusal(1, "sbatch: error: invalid partition specified: nosuch\n"
		"allocation failure: Invalid partition name specified\n"));
	assert_true(ask_is_refusal(1, "allocation failure: Requested node configuration is not available\n"));
	assert_true(ask_is_refusal(1, "sbatch: error: Invalid generic resource (gres) specification\n"));
	assert_true(ask_is_refusal(1, "allocation failure: Invalid account or account/partition combination "
		"specified\n"));
	assert_false(ask_is_refusal(0, "sbatch: Job 3 to start at 2026-11-24T17:02:48 using 1 processors on "
		"nodes node1 in partition debug\n"));
	assert_false(ask_is_refusal(1, "allocation failure: Requested nodes are busy\n"));
	assert_false(ask_is_refusal(1, "allocation failure: Partition in DOWN state\n"));
	assert_false(ask_is_refusal(1, "allocation failure: Unable to contact slurm controller (connect "
		"failure)\n"));
	assert_false(ask_is_refusal(1, "allocation failure: Job violates accounting/QOS policy (job submit "
		"limit, user's size and/or time limits)\n"));
	assert_false(ask_is_refusal(1, "words that nobody knows\n"));
	assert_false(ask_is_refusal(1, ""));
	assert_false(ask_is_refusal(124, ""));
	assert_false(ask_is_refusal(127, "bash: sbatch: command not found\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_is_put_once),
		cmocka_unit_test(an_old_answer_holds_until_a_new_one_comes),
		cmocka_unit_test(nothing_is_asked_offline),
		cmocka_unit_test(an_answer_may_come_after_the_line_was_cut),
		cmocka_unit_test(room_is_made_of_what_was_not_used),
		cmocka_unit_test(only_what_waiting_does_not_mend_is_a_refusal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
