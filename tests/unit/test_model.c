#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "jobfile.h"
#include "model.h"

#define BIT(file) (1u << (file))

static struct job *make(uint64_t serial, const char *name, const char *word)
{
	struct job *job = job_new();

	job->serial = serial;
	job_set(&job->name, name);
	strcpy(job->state, word);
	jobfile_touch(NULL, job, 1000);
	return job;
}

static void publish(struct model *m, uint64_t serial, const char *word, int64_t now)
{
	AUTO_JOB struct job *before = model_latest(m, serial);
	struct job *job = job_copy(before);

	strcpy(job->state, word);
	jobfile_touch(before, job, now);
	model_publish(m, job);
}

static void is_state(struct job *job, const char *word)
{
	assert_non_null(job);
	assert_string_equal(job->state, word);
	job_unref(job);
}

static void is_read(struct model *m, const char *word)
{
	is_state(model_for_read(m, 1, JOB_FILE_STATUS), word);
}

static void give(struct model *m, unsigned files)
{
	job_unref(model_shown_giving(m, 1, files));
}

static void a_new_job_is_shown_at_once(void **state)
{
	struct model *m = model_new();

	(void)state;
	model_publish(m, make(1, "a", "STAGING"));
	is_state(model_shown(m, 1), "STAGING");
	is_state(model_shown_by_name(m, "a"), "STAGING");
	is_read(m, "STAGING");
	assert_null(model_shown(m, 2));
	assert_null(model_shown_by_name(m, "b"));
	assert_true(model_name_taken(m, "a"));
	assert_int_equal(model_next_serial(m), 2);
	assert_int_equal(model_next_serial(m), 3);
	model_free(m);
}

/* ls; the state changes; cat, before and after the kernel has forgotten. */
static void a_reader_gets_the_bytes_of_the_size_it_knows(void **state)
{
	struct model *m = model_new();
	bool directory;

	(void)state;
	model_publish(m, make(1, "a", "PENDING"));
	give(m, BIT(JOB_FILE_STATUS));
	publish(m, 1, "RUNNING", 2000);
	is_read(m, "PENDING");
	is_state(model_latest(m, 1), "RUNNING");
	AUTO_JOB struct job *old = model_shown(m, 1);
	assert_true(model_is_shown(m, old));

	assert_int_equal(model_advance(m, 1, &directory) & ~BIT(JOB_FILE_CTL),
		BIT(JOB_FILE_STATUS) | BIT(JOB_FILE_INFO));
	assert_true(directory);
	assert_false(model_is_shown(m, old));
	is_state(model_shown(m, 1), "RUNNING");
	is_read(m, "PENDING");
	/* The kernel asked again for info alone. */
	give(m, BIT(JOB_FILE_INFO));
	is_state(model_for_read(m, 1, JOB_FILE_INFO), "RUNNING");
	is_read(m, "PENDING");
	give(m, BIT(JOB_FILE_STATUS));
	is_read(m, "RUNNING");

	model_settle(m, 1);
	is_read(m, "RUNNING");
	assert_int_equal(model_advance(m, 1, &directory), 0);
	assert_false(directory);
	model_free(m);
}

static void settling_ends_the_old_version(void **state)
{
	struct model *m = model_new();
	bool directory;

	(void)state;
	model_publish(m, make(1, "a", "PENDING"));
	publish(m, 1, "RUNNING", 2000);
	model_advance(m, 1, &directory);
	is_read(m, "PENDING");
	model_settle(m, 1);
	is_read(m, "RUNNING");
	model_free(m);
}

static void advancing_jumps_over_versions(void **state)
{
	struct model *m = model_new();
	bool directory;

	(void)state;
	model_publish(m, make(1, "a", "PENDING"));
	publish(m, 1, "RUNNING", 2000);
	publish(m, 1, "COMPLETED", 3000);
	assert_true(model_advance(m, 1, &directory) & BIT(JOB_FILE_STATUS));
	is_state(model_shown(m, 1), "COMPLETED");
	is_read(m, "PENDING");
	model_free(m);
}

/* Two moves and no settling between: the kernel knows what it was last given, not what was shown
 * in between. */
static void an_unsettled_version_that_nobody_saw_is_skipped(void **state)
{
	struct model *m = model_new();
	bool directory;

	(void)state;
	model_publish(m, make(1, "a", "PENDING"));
	publish(m, 1, "RUNNING", 2000);
	model_advance(m, 1, &directory);
	publish(m, 1, "COMPLETED", 3000);
	model_advance(m, 1, &directory);
	is_read(m, "PENDING");

	give(m, BIT(JOB_FILE_STATUS));
	publish(m, 1, "REQUEUED", 4000);
	model_advance(m, 1, &directory);
	is_read(m, "COMPLETED");
	model_free(m);
}

static void a_change_without_state_leaves_the_directory(void **state)
{
	struct model *m = model_new();
	bool directory = true;

	(void)state;
	model_publish(m, make(1, "a", "PENDING"));
	AUTO_JOB struct job *before = model_latest(m, 1);
	struct job *now = job_copy(before);
	job_set(&now->error, "x\n");
	jobfile_touch(before, now, 2000);
	/* As the engine does it: the log grows behind jobfile_touch(). */
	now->log_size = 5;
	model_publish(m, now);
	assert_int_equal(model_advance(m, 1, &directory), BIT(JOB_FILE_ERROR) | BIT(JOB_FILE_LOG));
	assert_false(directory);
	model_free(m);
}

static void a_rejected_jobs_config_changes_its_mode(void **state)
{
	struct model *m = model_new();
	bool directory;

	(void)state;
	model_publish(m, make(1, "a", "STAGING"));
	publish(m, 1, "REJECTED", 2000);
	assert_true(model_advance(m, 1, &directory) & BIT(JOB_FILE_CONFIG));
	model_free(m);
}

static void removal_takes_all_at_once(void **state)
{
	struct model *m = model_new();
	bool directory;

	(void)state;
	model_publish(m, make(1, "a", "PENDING"));
	AUTO_JOB struct job *held = model_shown(m, 1);
	publish(m, 1, "RUNNING", 2000);
	model_advance(m, 1, &directory);
	model_remove(m, 1);
	model_remove(m, 1);
	assert_null(model_latest(m, 1));
	assert_null(model_shown(m, 1));
	assert_null(model_for_read(m, 1, JOB_FILE_STATUS));
	assert_null(model_shown_by_name(m, "a"));
	assert_false(model_is_shown(m, held));
	assert_int_equal(model_advance(m, 1, &directory), 0);
	model_settle(m, 1);
	assert_int_equal(model_count(m), 0);
	assert_string_equal(held->state, "PENDING");
	assert_int_equal(model_next_serial(m), 2);
	/* The name is free for another. */
	model_publish(m, make(3, "a", "STAGING"));
	is_state(model_shown_by_name(m, "a"), "STAGING");
	model_free(m);
}

static void a_new_name_is_shown_at_once(void **state)
{
	struct model *m = model_new();
	bool directory;

	(void)state;
	model_publish(m, make(1, "a", "PENDING"));
	model_publish(m, make(1, "b", "RUNNING"));
	assert_null(model_shown_by_name(m, "a"));
	is_state(model_shown_by_name(m, "b"), "RUNNING");
	assert_int_equal(model_advance(m, 1, &directory), BIT(JOB_FILE_COUNT) - 1);
	assert_true(directory);
	assert_int_equal(model_advance(m, 1, &directory), 0);
	assert_int_equal(model_count(m), 1);
	model_free(m);
}

static void lists_in_order_from_anywhere(void **state)
{
	struct model *m = model_new();
	const uint64_t serials[] = {5, 2, 9, 7};
	struct job *got[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		char name[8];

		snprintf(name, sizeof(name), "j%d", (int)serials[i]);
		model_publish(m, make(serials[i], name, "PENDING"));
	}
	model_remove(m, 7);
	assert_int_equal(model_list(m, 0, got, 2), 2);
	assert_int_equal(got[0]->serial, 2);
	assert_int_equal(got[1]->serial, 5);
	job_unref(got[0]);
	job_unref(got[1]);
	assert_int_equal(model_list(m, 5, got, 4), 1);
	assert_int_equal(got[0]->serial, 9);
	job_unref(got[0]);
	assert_int_equal(model_list(m, 9, got, 4), 0);
	assert_int_equal(model_list(m, UINT64_MAX, got, 4), 0);
	assert_int_equal(model_count(m), 3);
	/* A serial that comes again before its place was swept. */
	model_publish(m, make(7, "j7", "PENDING"));
	assert_int_equal(model_count(m), 4);
	is_state(model_shown_by_name(m, "j7"), "PENDING");
	model_free(m);
}

static void many(void **state)
{
	struct model *m = model_new();
	char name[16];

	(void)state;
	for (uint64_t i = 1; i <= 100000; i++) {
		snprintf(name, sizeof(name), "job-%d", (int)i);
		model_publish(m, make(i, name, "PENDING"));
	}
	for (uint64_t i = 1; i <= 100000; i++)
		if (i % 1000)
			model_remove(m, i);
	assert_int_equal(model_count(m), 100);
	for (int i = 1; i <= 100000; i++) {
		snprintf(name, sizeof(name), "job-%d", i);
		assert_int_equal(model_name_taken(m, name), i % 1000 == 0);
	}
	/* Names come and go: the table must be swept too. */
	for (uint64_t i = 100001; i <= 300000; i++) {
		model_publish(m, make(i, "again", "PENDING"));
		model_remove(m, i);
	}
	assert_int_equal(model_count(m), 100);
	assert_false(model_name_taken(m, "again"));
	model_free(m);
}

static void look_again(void *arg, uint64_t serial)
{
	struct model *m = arg;

	/* Would stand still for ever if it were called under the lock. */
	job_unref(model_latest(m, serial));
	model_set_connection(m, &(struct connection){.asked_ns = (int64_t)model_count(m)});
}

static void the_callback_is_outside_the_lock(void **state)
{
	struct model *m = model_new();
	struct connection connection;

	(void)state;
	model_on_change(m, look_again, m);
	model_publish(m, make(1, "a", "PENDING"));
	model_get_connection(m, &connection);
	assert_int_equal(connection.asked_ns, 1);
	model_remove(m, 1);
	model_get_connection(m, &connection);
	assert_int_equal(connection.asked_ns, 0);
	model_free(m);
}

struct race {
	struct model *model;
	_Atomic bool over;
	_Atomic unsigned wrong;
};

/* Whatever is published or removed meanwhile, a job must never be answered for another. */
static void *reader(void *arg)
{
	struct race *race = arg;
	struct job *jobs[8];

	while (!race->over) {
		size_t n = model_list(race->model, 0, jobs, 8);

		for (size_t i = 0; i < n; i++) {
			uint64_t serial = jobs[i]->serial;
			AUTO_JOB struct job *given = model_shown_giving(race->model, serial,
				BIT(JOB_FILE_STATUS));
			AUTO_JOB struct job *read = model_for_read(race->model, serial,
				JOB_FILE_STATUS);

			if ((given && given->serial != serial) || (read && read->serial != serial))
				race->wrong++;
			if (given)
				model_is_shown(race->model, given);
			job_unref(jobs[i]);
		}
		job_unref(model_shown_by_name(race->model, "job-3"));
	}
	return NULL;
}

static void *notifier(void *arg)
{
	struct race *race = arg;
	bool directory;

	while (!race->over)
		for (uint64_t serial = 1; serial <= 8; serial++) {
			model_advance(race->model, serial, &directory);
			model_settle(race->model, serial);
		}
	return NULL;
}

static void threads_do_not_mind_each_other(void **state)
{
	struct race race = {.model = model_new()};
	pthread_t threads[4];
	char name[16];

	(void)state;
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, i ? reader : notifier, &race);
	for (int i = 0; i < 20000; i++) {
		uint64_t serial = (uint64_t)(i % 8) + 1;
		AUTO_JOB struct job *before = model_latest(race.model, serial);

		snprintf(name, sizeof(name), "job-%d", (int)serial);
		if (!before)
			model_publish(race.model, make(serial, name, "PENDING"));
		else if (i % 7)
			publish(race.model, serial, i % 2 ? "RUNNING" : "PENDING", i);
		else
			model_remove(race.model, serial);
	}
	race.over = true;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(race.wrong, 0);
	model_free(race.model);
}

static void heard(void *arg, uint64_t serial)
{
	(void)arg;
	(void)serial;
}

static void the_notifier_learns_of_new_and_removed(void **state)
{
	struct model *model = model_new();
	size_t count;

	(void)state;
	/* What was loaded before anybody listened is nothing new. */
	model_publish(model, make(1, "old", "COMPLETED"));
	model_on_change(model, heard, NULL);
	model_publish(model, make(2, "new", "STAGING"));
	assert_false(model_take_new(model, 1));
	assert_true(model_take_new(model, 2));
	assert_false(model_take_new(model, 2));
	assert_false(model_take_new(model, 3));
	assert_null(model_take_removed(model, &count));
	assert_int_equal(count, 0);
	model_remove(model, 2);
	model_remove(model, 2);
	model_remove(model, 1);
	struct job **gone = model_take_removed(model, &count);
	assert_int_equal(count, 2);
	assert_string_equal(gone[0]->name, "new");
	assert_string_equal(gone[1]->state, "COMPLETED");
	job_unref(gone[0]);
	job_unref(gone[1]);
	free(gone);
	assert_null(model_take_removed(model, &count));
	/* Its name again: another job. */
	model_publish(model, make(4, "new", "STAGING"));
	assert_true(model_take_new(model, 4));
	model_remove(model, 4);
	model_free(model);
}

static void told(void *arg, uint64_t serial)
{
	*(uint64_t *)arg = *(uint64_t *)arg * 10 + serial;
}

static void undone(void *arg, const struct job *job)
{
	*(uint64_t *)arg = *(uint64_t *)arg * 10 + job->serial;
}

static void what_is_held_is_the_engines_alone(void **state)
{
	struct model *m = model_new();
	uint64_t heard_of = 0, undone_of = 0;
	bool directory;

	(void)state;
	model_publish(m, make(1, "a", "STAGING"));
	model_publish(m, make(2, "b", "STAGING"));
	model_on_change(m, told, &heard_of);
	model_hold(m);
	publish(m, 1, "SUBMITTING", 2000);
	publish(m, 1, "PENDING", 3000);
	publish(m, 2, "PENDING", 3000);
	is_state(model_latest(m, 1), "PENDING");
	is_state(model_shown(m, 1), "STAGING");
	/* The notifier, still busy with an earlier change. */
	assert_int_equal(model_advance(m, 1, &directory), 0);
	is_state(model_shown(m, 1), "STAGING");
	assert_int_equal(heard_of, 0);
	model_release(m, true, undone, &undone_of);
	assert_int_equal(heard_of, 12);
	assert_int_equal(undone_of, 0);
	assert_int_not_equal(model_advance(m, 1, &directory), 0);
	is_state(model_shown(m, 1), "PENDING");

	model_hold(m);
	publish(m, 2, "RUNNING", 4000);
	publish(m, 2, "COMPLETED", 4000);
	model_remove(m, 1);
	model_release(m, false, undone, &undone_of);
	is_state(model_latest(m, 2), "PENDING");
	assert_int_equal(undone_of, 2);
	assert_null(model_latest(m, 1));
	model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_job_is_shown_at_once),
		cmocka_unit_test(a_reader_gets_the_bytes_of_the_size_it_knows),
		cmocka_unit_test(settling_ends_the_old_version),
		cmocka_unit_test(advancing_jumps_over_versions),
		cmocka_unit_test(an_unsettled_version_that_nobody_saw_is_skipped),
		cmocka_unit_test(a_change_without_state_leaves_the_directory),
		cmocka_unit_test(a_rejected_jobs_config_changes_its_mode),
		cmocka_unit_test(removal_takes_all_at_once),
		cmocka_unit_test(a_new_name_is_shown_at_once),
		cmocka_unit_test(lists_in_order_from_anywhere),
		cmocka_unit_test(many),
		cmocka_unit_test(the_callback_is_outside_the_lock),
		cmocka_unit_test(the_notifier_learns_of_new_and_removed),
		cmocka_unit_test(what_is_held_is_the_engines_alone),
		cmocka_unit_test(threads_do_not_mind_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
