#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "jobfile.h"

/* 2026-11-24T10:15:00Z, by `date -u -d ... +%s`. */
#define NOON INT64_C(1795515300000000000)
#define BIT(file) (1u << (file))

static struct job *example(void)
{
	struct job *job = job_new();

	strcpy(job->state, "RUNNING");
	strcpy(job->uuid, "u-1");
	job_set(&job->name, "sim");
	job_set(&job->slurm_id, "123_4");
	job_set(&job->facts, "exit_code = 0\nnode_list = n[1-2]\n");
	job_set(&job->workdir, "/s/a\nb");
	job->created_ns = NOON;
	job->submitted_ns = NOON + INT64_C(60000000000);
	return job;
}

static void check(const struct job *job, enum job_file file, const char *expected)
{
	struct strbuf b AUTO_STRBUF = STRBUF_INIT;

	assert_int_equal(jobfile_render(job, file, NULL, &b), 0);
	assert_string_equal(b.data, expected);
	assert_int_equal(jobfile_size(job, file), strlen(expected));
}

static void contents(void **state)
{
	AUTO_JOB struct job *job = example();

	(void)state;
	check(job, JOB_FILE_STATUS, "RUNNING\n");
	check(job, JOB_FILE_SLURM_ID, "123_4\n");
	check(job, JOB_FILE_ERROR, "");
	check(job, JOB_FILE_INFO, "state = RUNNING\nname = sim\nslurm_id = 123_4\nexit_code = 0\n"
		"node_list = n[1-2]\ncreated = 2026-11-24T10:15:00Z\nsubmitted = 2026-11-24T10:16:00Z\n"
		"workdir = /s/a\\x0ab\nuuid = u-1\n");
	job_set(&job->slurm_id, "");
	check(job, JOB_FILE_SLURM_ID, "");
	job_set(&job->error, "No.\n");
	check(job, JOB_FILE_ERROR, "No.\n");
}

static void info_keeps_lines_apart(void **state)
{
	AUTO_JOB struct job *job = job_new();

	(void)state;
	strcpy(job->state, "PENDING");
	job_set(&job->reason, "Priority");
	job_set(&job->facts, "a = 1");
	job_set(&job->stdout_path, "/o");
	job_set(&job->stderr_path, "/e");
	check(job, JOB_FILE_INFO,
		"state = PENDING\nreason = Priority\na = 1\nstdout = /o\nstderr = /e\n");
}

static void ctl_lists_what_is_possible(void **state)
{
	AUTO_JOB struct job *job = example();
	struct strbuf b AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	jobfile_render(job, JOB_FILE_CTL, NULL, &b);
	assert_int_equal(strncmp(b.data, "cancel\n", 7), 0);
	assert_non_null(strstr(b.data, "sync\n"));
	assert_null(strstr(b.data, "resubmit"));
	assert_int_equal(b.len, jobfile_size(job, JOB_FILE_CTL));
	strcpy(job->state, "COMPLETED");
	check(job, JOB_FILE_CTL, "requeue\n");
}

static void names_and_modes(void **state)
{
	AUTO_JOB struct job *job = example();

	(void)state;
	for (enum job_file file = 0; file < JOB_FILE_COUNT; file++) {
		assert_int_equal(jobfile_by_name(jobfile_name(file)), file);
		assert_int_equal(jobfile_mode(job, file), file == JOB_FILE_CTL ? 0644 : 0444);
	}
	assert_int_equal(jobfile_by_name("stdout"), JOB_FILE_COUNT);
	assert_int_equal(jobfile_by_name(""), JOB_FILE_COUNT);
	strcpy(job->state, "REJECTED");
	assert_int_equal(jobfile_mode(job, JOB_FILE_CONFIG), 0644);
	assert_int_equal(jobfile_mode(job, JOB_FILE_SCRIPT), 0444);
}

static void stored_sizes_come_from_the_job(void **state)
{
	AUTO_JOB struct job *job = job_new();

	(void)state;
	job->config_size = 10;
	job->script_size = 20;
	job->log_size = 30;
	assert_int_equal(jobfile_size(job, JOB_FILE_CONFIG), 10);
	assert_int_equal(jobfile_size(job, JOB_FILE_SCRIPT), 20);
	assert_int_equal(jobfile_size(job, JOB_FILE_LOG), 30);
}

static void touch_moves_what_changed(void **state)
{
	AUTO_JOB struct job *a = example();

	(void)state;
	assert_int_equal(jobfile_touch(NULL, a, NOON), BIT(JOB_FILE_COUNT) - 1);
	assert_int_equal(a->state_ns, NOON);
	AUTO_JOB struct job *b = job_copy(a);
	assert_int_equal(jobfile_touch(a, b, NOON + 5), 0);
	assert_int_equal(b->file_ns[JOB_FILE_INFO], NOON);

	job_set(&b->reason, "Priority");
	b->log_size = 40;
	assert_int_equal(jobfile_touch(a, b, NOON + 5), BIT(JOB_FILE_INFO) | BIT(JOB_FILE_LOG));
	assert_int_equal(b->file_ns[JOB_FILE_INFO], NOON + 5);
	assert_int_equal(b->file_ns[JOB_FILE_LOG], NOON + 5);
	assert_int_equal(b->file_ns[JOB_FILE_STATUS], NOON);
	assert_int_equal(b->state_ns, NOON);

	/* Of the same length as before, which the size does not show. */
	AUTO_JOB struct job *c = job_copy(b);
	strcpy(c->state, "TIMEOUT");
	assert_int_equal(jobfile_touch(b, c, NOON + 9),
		BIT(JOB_FILE_STATUS) | BIT(JOB_FILE_INFO) | BIT(JOB_FILE_CTL));
	assert_int_equal(c->state_ns, NOON + 9);
}

static void touch_keeps_the_time_of_a_text_told(void **state)
{
	AUTO_JOB struct job *a = example();

	(void)state;
	jobfile_touch(NULL, a, NOON);
	AUTO_JOB struct job *b = job_copy(a);
	b->file_ns[JOB_FILE_CONFIG] = NOON + 3;
	assert_int_equal(jobfile_touch(a, b, NOON + 5), BIT(JOB_FILE_CONFIG));
	assert_int_equal(b->file_ns[JOB_FILE_CONFIG], NOON + 3);
}

static void two_changes_never_bear_one_time(void **state)
{
	AUTO_JOB struct job *a = example();

	(void)state;
	jobfile_touch(NULL, a, NOON);
	AUTO_JOB struct job *b = job_copy(a);
	job_set(&b->error, "x\n");
	jobfile_touch(a, b, NOON);
	assert_int_equal(b->file_ns[JOB_FILE_ERROR], NOON + 1);
	/* A clock that was far ahead and is put right. */
	AUTO_JOB struct job *c = job_copy(b);
	job_set(&c->error, "y\n");
	jobfile_touch(b, c, NOON - INT64_C(3600000000000));
	assert_int_equal(c->file_ns[JOB_FILE_ERROR], NOON - INT64_C(3600000000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contents),
		cmocka_unit_test(info_keeps_lines_apart),
		cmocka_unit_test(ctl_lists_what_is_possible),
		cmocka_unit_test(names_and_modes),
		cmocka_unit_test(stored_sizes_come_from_the_job),
		cmocka_unit_test(touch_moves_what_changed),
		cmocka_unit_test(touch_keeps_the_time_of_a_text_told),
		cmocka_unit_test(two_changes_never_bear_one_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
