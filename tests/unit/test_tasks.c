/* The tasks of an array: the list, the words, the text for the store. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "outpath.h"
#include "taskfile.h"
#include "tasks.h"

static struct tasks *of_array(const char *array)
{
	AUTO_FREE char *script = xasprintf("#!/bin/bash\n#SBATCH --job-name=\"my \\\"job\\\"\"\n"
		"#SBATCH --output=out/%%A_%%a.txt\n#SBATCH --array=%s\n\ntrue\n", array);

	return tasks_of_script(script, "carol");
}

static void expect_ids(const char *array, const char *expected)
{
	struct tasks *t = of_array(array);
	struct strbuf ids AUTO_STRBUF = STRBUF_INIT;

	assert_non_null(t);
	for (size_t i = 0; i < t->count; i++)
		strbuf_addf(&ids, "%u ", t->items[i].id);
	assert_string_equal(ids.data, expected);
	tasks_unref(t);
}

static void the_list_is_what_array_asks_for(void **state)
{
	(void)state;
	expect_ids("3", "3 ");
	expect_ids("0-3%2", "0 1 2 3 ");
	expect_ids("0-10:5", "0 5 10 ");
	expect_ids("0-9:4", "0 4 8 ");
	expect_ids("7,1-3,2,100000-300000:100000", "1 2 3 7 100000 200000 300000 ");
	assert_null(tasks_of_script("#!/bin/bash\n#SBATCH --output=x\n", "carol"));
	struct tasks *t = of_array("0-9999");
	assert_int_equal(t->count, 10000);
	assert_int_equal(tasks_find(t, 9999)->id, 9999);
	assert_null(tasks_find(t, 10000));
	tasks_unref(t);
}

static struct slurm_record record(const char *id, const char *raw, const char *word)
{
	struct slurm_record r = {.exit_code = -1, .signal = -1};
	struct slurm_id parsed;

	assert_int_equal(slurm_parse_id(id, strlen(id), &parsed), 0);
	strcpy(r.id, parsed.job);
	strcpy(r.raw_id, raw);
	strcpy(r.state, word);
	r.task = parsed.task;
	r.tasks = parsed.tasks;
	return r;
}

static void queued(struct tasks *t, const char *id, const char *raw, const char *word)
{
	struct slurm_record r = record(id, raw, word);

	tasks_see_queued(t, &r);
}

static void accounted(struct tasks *t, const char *id, const char *raw, const char *word, int code)
{
	struct slurm_record r = record(id, raw, word);

	r.exit_code = code;
	r.signal = 0;
	tasks_see_accounted(t, &r);
}

static void expect_counts(const struct tasks *t, const char *expected, const char *summary)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	tasks_add_counts(t, &text);
	assert_string_equal(text.data, expected);
	assert_string_equal(tasks_summary(t), summary);
}

static void the_queue_tells_of_tasks(void **state)
{
	struct tasks *t = of_array("0-9%3");

	(void)state;
	expect_counts(t, "tasks = 10 PENDING\n", "PENDING");
	tasks_begin(t);
	queued(t, "50_[3-9%3]", "50", "PENDING");
	queued(t, "50_0", "51", "COMPLETED");
	queued(t, "50_1", "52", "RUNNING");
	queued(t, "50_2", "53", "FAILED");
	assert_false(tasks_want_accounts(t));
	assert_false(tasks_want_records(t));
	expect_counts(t, "tasks = 7 PENDING, 1 COMPLETED, 1 RUNNING, 1 FAILED\n", "RUNNING");
	assert_int_equal(tasks_find(t, 1)->job_id, 52);
	assert_int_equal(tasks_find(t, 3)->job_id, 0);
	/* The two that ended are forgotten, and stay in the counts. */
	tasks_begin(t);
	queued(t, "50_[4-9%3]", "50", "PENDING");
	queued(t, "50_1", "52", "RUNNING");
	queued(t, "50_3", "54", "RUNNING");
	tasks_settle(t, 100, 20, 600, false);
	expect_counts(t, "tasks = 6 PENDING, 1 COMPLETED, 2 RUNNING, 1 FAILED\n", "RUNNING");
	tasks_unref(t);
}

static void the_accounting_may_be_late(void **state)
{
	struct tasks *t = of_array("1-3");

	(void)state;
	tasks_begin(t);
	queued(t, "7_1", "8", "FAILED");
	queued(t, "7_2", "9", "RUNNING");
	assert_true(tasks_want_accounts(t));
	accounted(t, "7_1", "8", "OUT_OF_MEMORY", 125);
	accounted(t, "7_2", "9", "COMPLETED", 0); /* an older run of it */
	accounted(t, "7_3", "7", "COMPLETED", 0);
	expect_counts(t, "tasks = 1 RUNNING, 1 OUT_OF_MEMORY, 1 COMPLETED\n", "RUNNING");
	assert_int_equal(tasks_find(t, 1)->exit_code, 125);
	tasks_begin(t);
	queued(t, "7_2", "9", "COMPLETED");
	assert_true(tasks_want_accounts(t));
	accounted(t, "7_2", "9", "RUNNING", 0);
	expect_counts(t, "tasks = 1 OUT_OF_MEMORY, 2 COMPLETED\n", "OUT_OF_MEMORY");
	/* A requeue brings one back. */
	tasks_begin(t);
	queued(t, "7_1", "8", "PENDING");
	assert_string_equal(tasks_summary(t), "PENDING");
	assert_int_equal(tasks_find(t, 1)->exit_code, -1);
	tasks_unref(t);
}

static void forgotten_tasks_have_their_own_records(void **state)
{
	struct tasks *t = of_array("1-4");
	struct slurm_endrecord good = {.exit_status = 0}, bad = {.exit_status = 3},
		cut = {.exit_status = -1}, hit = {.exit_status = 143, .signal = "TERM"};

	(void)state;
	tasks_begin(t);
	queued(t, "7_[1-4]", "7", "PENDING");
	for (uint32_t now_s = 1000; now_s <= 1019; now_s += 19) {
		tasks_begin(t);
		assert_true(tasks_want_records(t));
		tasks_see_record(t, 1, &good);
		tasks_see_record(t, 2, &bad);
		tasks_see_record(t, 3, &cut);
		tasks_see_record(t, 4, &hit);
		tasks_see_record(t, 99, &good);
		tasks_settle(t, now_s, 20, 600, false);
		expect_counts(t, "tasks = 4 PENDING\n", "PENDING");
	}
	tasks_settle(t, 1020, 20, 600, false);
	expect_counts(t, "tasks = 1 PENDING, 1 COMPLETED, 1 FAILED, 1 UNKNOWN\n", "PENDING");
	assert_int_equal(tasks_find(t, 2)->exit_code, 3);
	/* One that left no trace: no word says that all is well. */
	tasks_begin(t);
	tasks_settle(t, 1600, 20, 600, false);
	expect_counts(t, "tasks = 1 COMPLETED, 1 FAILED, 2 UNKNOWN\n", "FAILED");
	tasks_unref(t);
	t = of_array("1-2");
	tasks_begin(t);
	queued(t, "7_1", "8", "COMPLETED");
	tasks_settle(t, 5, 20, 600, false);
	tasks_settle(t, 605, 20, 600, false);
	expect_counts(t, "tasks = 1 COMPLETED, 1 UNKNOWN\n", "UNKNOWN");
	tasks_unref(t);
}

static void the_text_is_short_and_comes_back(void **state)
{
	struct tasks *t = of_array("0-999,2000-4000:1000");
	struct strbuf text AUTO_STRBUF = STRBUF_INIT, again AUTO_STRBUF = STRBUF_INIT;
	bool transient;

	(void)state;
	tasks_begin(t);
	for (unsigned i = 0; i < 1000; i++) {
		char id[24], raw[24];

		snprintf(id, sizeof(id), "50_%u", i);
		snprintf(raw, sizeof(raw), "%u", 51 + i);
		queued(t, id, raw, i == 500 ? "FAILED" : "COMPLETED");
	}
	assert_true(tasks_stamp(t, NULL, INT64_C(1700000000000000000), &transient));
	tasks_print(t, &text);
	assert_string_equal(text.data, "out/%A_%a.txt\n\nmy \"job\"\ncarol\n"
		"0 500 1 COMPLETED -1 -1 51 0 0 1700000000\n"
		"500 1 1 FAILED -1 -1 551 0 0 1700000000\n"
		"501 499 1 COMPLETED -1 -1 552 0 0 1700000000\n"
		"2000 3 1000 - -1 -1 0 0 0 1700000000\n");
	struct tasks *back = tasks_parse(text.data, text.len);
	assert_non_null(back);
	assert_int_equal(back->count, 1003);
	assert_false(tasks_stamp(back, t, 1, &transient));
	tasks_print(back, &again);
	assert_string_equal(again.data, text.data);
	tasks_unref(back);
	tasks_unref(t);
	assert_null(tasks_parse("", 0));
	assert_null(tasks_parse("a\nb\nc\nd\n0 1 0 X 0 0 0 0 0 0\n", 31));
	assert_null(tasks_parse("a\nb\nc\nd\n5000000 1 1 X 0 0 0 0 0 0\n", 37));
}

static void only_what_differs_gets_a_new_time(void **state)
{
	struct tasks *before = of_array("1-2"), *now;
	bool transient;

	(void)state;
	tasks_begin(before);
	queued(before, "7_[1-2]", "7", "PENDING");
	tasks_stamp(before, NULL, INT64_C(1000000000000), &transient);
	now = tasks_copy(before);
	tasks_begin(now);
	queued(now, "7_1", "8", "RUNNING");
	queued(now, "7_[2]", "7", "PENDING");
	assert_true(tasks_stamp(now, before, INT64_C(2000000000000), &transient));
	assert_int_equal(tasks_find(now, 1)->changed_s, 2000);
	assert_int_equal(tasks_find(now, 2)->changed_s, 1000);
	tasks_unref(before);
	tasks_unref(now);
}

static void expect_path(const char *pattern, const struct outpath *values, const char *expected)
{
	AUTO_FREE char *path = outpath_expand(pattern, values);

	if (!expected)
		assert_null(path);
	else
		assert_string_equal(path, expected);
}

/* As measured with Slurm 22.05: a task 100 of the array 3, whose own number was 6. */
static void patterns_are_resolved_as_slurm_does(void **state)
{
	const struct outpath task = {"/s/w", "a.sh", "root", 3, 6, 100}, array = {"/s/w", "a", "u", 3, 0, -1},
		plain = {"/s/w", "a", "u", 9, 9, OUTPATH_NO_TASK};

	(void)state;
	expect_path("slurm-%A_%a.out", &task, "/s/w/slurm-3_100.out");
	expect_path("o-%A_%a_%5a_%j_%x_%n_%t_%s_%J_%u", &task, "/s/w/o-3_100_00100_6_a.sh_0_0_batch_6_root");
	expect_path("/abs/100%%-%12A", &task, "/abs/100%-0000000003");
	expect_path("a\\%j", &task, "/s/w/a%j");
	expect_path("%N.out", &task, NULL);
	expect_path("%j.out", &array, NULL);
	expect_path("%a.out", &array, NULL);
	expect_path("all-%A.out", &array, "/s/w/all-3.out");
	expect_path("%j-%A-%a", &plain, "/s/w/9-9-4294967294");
}

static void expect_file(const struct job *job, uint64_t id, enum task_file file, const char *expected)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	taskfile_render(job, tasks_find(job->tasks, id), file, &text);
	assert_string_equal(text.data, expected);
}

static void a_task_has_files(void **state)
{
	struct job *job = job_new();
	struct tasks *t = of_array("0-1");

	(void)state;
	strcpy(job->state, "STAGING");
	job_set_tasks(job, t);
	expect_file(job, 1, TASK_FILE_STATUS, "STAGING\n");
	expect_file(job, 1, TASK_FILE_SLURM_ID, "");
	expect_file(job, 1, TASK_FILE_INFO, "state = STAGING\ntask = 1\n");
	strcpy(job->state, "RUNNING");
	job_set(&job->slurm_id, "50");
	job_set(&job->workdir, "/s/w");
	expect_file(job, 1, TASK_FILE_STATUS, "PENDING\n");
	expect_file(job, 1, TASK_FILE_SLURM_ID, "50_1\n");
	tasks_begin(t);
	accounted(t, "50_1", "50", "FAILED", 3);
	expect_file(job, 1, TASK_FILE_STATUS, "FAILED\n");
	expect_file(job, 1, TASK_FILE_INFO, "state = FAILED\ntask = 1\nslurm_id = 50_1\njob_id = 50\n"
		"exit_code = 3\nstdout = /s/w/out/50_1.txt\nstderr = /s/w/out/50_1.txt\n");
	expect_file(job, 0, TASK_FILE_STATUS, "PENDING\n");
	struct job *copy = job_copy(job);
	assert_ptr_equal(copy->tasks, t);
	job_unref(job);
	expect_file(copy, 1, TASK_FILE_STATUS, "FAILED\n");
	job_unref(copy);
}

static void a_record_keeps_their_words(void **state)
{
	struct tasks *t = of_array("0-5,9"), *again = of_array("0-5,9");
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	tasks_set_word(t, 0, "COMPLETED");
	tasks_set_word(t, 1, "COMPLETED");
	tasks_set_word(t, 2, "FAILED");
	tasks_set_word(t, 5, "COMPLETED");
	tasks_set_word(t, 9, "COMPLETED");
	tasks_set_word(t, 7, "FAILED");
	tasks_print_words(t, 100, &text);
	assert_string_equal(text.data, "COMPLETED 0-1,5,9\nFAILED 2\n");
	strbuf_reset(&text);
	tasks_print_words(t, 12, &text);
	assert_string_equal(text.data, "FAILED 2\n");
	assert_int_equal(tasks_take_words(again, "COMPLETED 0-1,5,9"), 0);
	assert_int_equal(tasks_take_words(again, "FAILED 2"), 0);
	for (size_t i = 0; i < t->count; i++)
		assert_string_equal(tasks_word(again, &again->items[i], "FAILED"),
			tasks_word(t, &t->items[i], "FAILED"));
	assert_int_equal(tasks_take_words(again, "FAILED"), -EINVAL);
	assert_int_equal(tasks_take_words(again, "FAILED "), -EINVAL);
	assert_int_equal(tasks_take_words(again, "FAILED 1,x"), -EINVAL);
	assert_int_equal(tasks_take_words(again, "failed 1"), -EINVAL);
	assert_int_equal(tasks_take_words(again, "FAILED 0-3,2"), -EINVAL);
	assert_int_equal(tasks_take_words(again, "FAILED 3-2"), -EINVAL);
	assert_int_equal(tasks_take_words(again, "FAILED 0-99999999999999999999"), 0);
	tasks_unref(t);
	tasks_unref(again);
}

static const char *word_of(const struct tasks *t, uint64_t id)
{
	return tasks_word(t, tasks_find(t, id), "PENDING");
}

static void hints_are_ahead_of_the_queue(void **state)
{
	struct tasks *known = of_array("1-4"), *query = of_array("1-4");
	struct slurm_record waits = record("9_[1-4]", "9", "PENDING"), runs = record("9_2", "11", "RUNNING"),
		ends = record("9_3", "12", "COMPLETED");

	(void)state;
	tasks_see_queued(known, &waits);
	assert_true(tasks_see_hint(known, 1, 1, false));
	assert_false(tasks_see_hint(known, 1, 1, false));
	assert_true(tasks_see_hint(known, 2, 1, false));
	assert_true(tasks_see_hint(known, 2, 1, true));
	assert_true(tasks_see_hint(known, 3, 1, true));
	assert_false(tasks_see_hint(known, 5, 1, false));
	assert_string_equal(word_of(known, 1), "RUNNING");
	assert_string_equal(word_of(known, 2), "COMPLETING");
	assert_string_equal(word_of(known, 4), "PENDING");

	/* The query was sent before. */
	tasks_see_queued(query, &waits);
	tasks_see_queued(query, &runs);
	tasks_see_queued(query, &ends);
	tasks_keep_hints(query, known, true);
	assert_string_equal(word_of(query, 1), "RUNNING");
	assert_string_equal(word_of(query, 2), "COMPLETING");
	assert_string_equal(word_of(query, 3), "COMPLETED");
	assert_string_equal(word_of(query, 4), "PENDING");
	/* An end stays one. */
	assert_false(tasks_see_hint(query, 3, 1, true));
	/* One that was sent behind it: what waits was requeued. */
	tasks_see_queued(query, &waits);
	tasks_see_queued(query, &runs);
	tasks_keep_hints(query, known, false);
	assert_string_equal(word_of(query, 1), "PENDING");
	assert_string_equal(word_of(query, 2), "COMPLETING");
	tasks_unref(known);
	tasks_unref(query);
}

/* A folder is listed again and again, in the order of its hashes. */
static void hints_come_in_any_order_and_again(void **state)
{
	struct tasks *t = of_array("1-2"), *query = of_array("1-2");
	struct slurm_record waits = record("9_[1-2]", "9", "PENDING"), runs = record("9_1", "10", "RUNNING");
	bool transient;

	(void)state;
	tasks_see_queued(t, &waits);
	assert_true(tasks_see_hint(t, 1, 1, true));
	assert_false(tasks_see_hint(t, 1, 1, false));
	assert_false(tasks_see_hint(t, 1, 1, true));
	assert_string_equal(word_of(t, 1), "COMPLETING");
	/* What a query brings does not take it back either. */
	tasks_see_queued(query, &waits);
	tasks_see_queued(query, &runs);
	assert_true(tasks_stamp(query, t, 0, &transient));
	tasks_keep_hints(query, t, true);
	assert_false(tasks_see_hint(query, 1, 1, false));
	assert_string_equal(word_of(query, 1), "COMPLETING");
	/* A requeue begins another run, behind which the first one's records are nothing new. */
	tasks_see_queued(query, &waits);
	assert_true(tasks_see_hint(query, 1, 2, false));
	assert_false(tasks_see_hint(query, 1, 1, true));
	assert_string_equal(word_of(query, 1), "RUNNING");
	assert_true(tasks_see_hint(query, 1, 2, true));
	assert_string_equal(word_of(query, 1), "COMPLETING");
	/* That it runs was known, but not that it said so itself. */
	tasks_see_queued(query, &runs);
	tasks_unref(t);
	t = tasks_copy(query);
	assert_true(tasks_see_hint(t, 1, 3, false));
	assert_false(tasks_stamp(t, query, 0, &transient));
	assert_true(transient);
	/* A run that is none tells nothing. */
	assert_false(tasks_see_hint(t, 2, 0, false));
	assert_string_equal(word_of(t, 2), "PENDING");
	tasks_unref(t);
	tasks_unref(query);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_list_is_what_array_asks_for),
		cmocka_unit_test(the_queue_tells_of_tasks),
		cmocka_unit_test(the_accounting_may_be_late),
		cmocka_unit_test(forgotten_tasks_have_their_own_records),
		cmocka_unit_test(hints_are_ahead_of_the_queue),
		cmocka_unit_test(hints_come_in_any_order_and_again),
		cmocka_unit_test(the_text_is_short_and_comes_back),
		cmocka_unit_test(only_what_differs_gets_a_new_time),
		cmocka_unit_test(patterns_are_resolved_as_slurm_does),
		cmocka_unit_test(a_task_has_files),
		cmocka_unit_test(a_record_keeps_their_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
