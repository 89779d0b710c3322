#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "job.h"

static void empty_strings_are_one(void **state)
{
	AUTO_JOB struct job *a = job_new();
	AUTO_JOB struct job *b = job_new();

	(void)state;
	assert_string_equal(a->name, "");
	assert_ptr_equal(a->name, b->error);
	job_set(&a->name, "x");
	job_set(&a->name, NULL);
	assert_ptr_equal(a->name, b->name);
	job_set(&a->name, "");
	assert_ptr_equal(a->name, b->name);
}

static void a_copy_stands_alone(void **state)
{
	AUTO_JOB struct job *a = job_new();

	(void)state;
	a->serial = 7;
	a->taken = true;
	strcpy(a->state, "RUNNING");
	strcpy(a->uuid, "3a6c");
	a->file_ns[JOB_FILE_SCRIPT] = 99;
	job_set(&a->name, "first");
	AUTO_JOB struct job *extra = job_ref(a);
	AUTO_JOB struct job *b = job_copy(a);
	job_set(&a->name, "second");
	assert_int_equal(b->references, 1);
	assert_int_equal(b->serial, 7);
	assert_true(b->taken);
	assert_string_equal(b->state, "RUNNING");
	assert_string_equal(b->uuid, "3a6c");
	assert_int_equal(b->file_ns[JOB_FILE_SCRIPT], 99);
	assert_string_equal(b->name, "first");
	assert_string_equal(extra->name, "second");
}

static void a_value_may_be_set_from_itself(void **state)
{
	AUTO_JOB struct job *a = job_new();

	(void)state;
	job_set(&a->error, "one two");
	job_set(&a->error, a->error + 4);
	assert_string_equal(a->error, "two");
}

static void what_is_the_same_is_shared(void **state)
{
	AUTO_JOB struct job *a = job_new();
	AUTO_JOB struct job *b = job_new();

	(void)state;
	job_set(&a->records, "/scratch/records");
	job_set(&a->stdout_path, "/scratch/out");
	job_set(&a->stderr_path, "/scratch/out");
	job_set(&b->records, "/scratch/records");
	job_set(&b->name, "b");
	job_share(a, NULL);
	assert_ptr_equal(a->stdout_path, a->stderr_path);
	job_share(b, a);
	assert_ptr_equal(a->records, b->records);
	assert_string_equal(b->name, "b");
	AUTO_JOB struct job *copy = job_copy(a);
	assert_ptr_equal(copy->stdout_path, a->stdout_path);
	job_set(&a->stdout_path, "/else");
	job_set(&a->records, "");
	assert_string_equal(a->stderr_path, "/scratch/out");
	assert_string_equal(copy->stdout_path, "/scratch/out");
	assert_string_equal(b->records, "/scratch/records");
}

static void *count_up_and_down(void *arg)
{
	for (int i = 0; i < 20000; i++) {
		struct job *copy = i % 100 ? NULL : job_copy(arg);

		job_unref(job_ref(arg));
		job_unref(copy);
	}
	return NULL;
}

static void threads_share_one(void **state)
{
	AUTO_JOB struct job *a = job_new();
	pthread_t threads[4];

	(void)state;
	job_set(&a->name, "shared");
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_up_and_down, a), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(a->references, 1);
	job_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_strings_are_one),
		cmocka_unit_test(a_copy_stands_alone),
		cmocka_unit_test(a_value_may_be_set_from_itself),
		cmocka_unit_test(what_is_the_same_is_shared),
		cmocka_unit_test(threads_share_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
