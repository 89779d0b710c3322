#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "foundtext.h"
#include "jobrecord.h"

#define UUID "01234567-89ab-4cde-8f01-23456789abcd"
#define ID "00112233445566778899aabbccddeeff"
#define WHOLE "version = 1\ninstallation = " ID "\nowner = anna@lap-top.example\nname = water\n" \
	"uuid = " UUID "\ncreated = 1700000000\n"
#define STATE "version = 1\nuuid = " UUID "\nslurm_id = 17\nstate = FAILED\nended = 1700000100\n" \
	"results = open\n"

static int parse(const char *text, struct jobrecord *ret)
{
	return jobrecord_parse(text, strlen(text), ret);
}

static int parse_state(const char *text, struct jobrecord_state *ret)
{
	return jobrecord_parse_state(text, strlen(text), ret);
}

static struct job *make_job(void)
{
	struct job *job = job_new();

	strcpy(job->uuid, UUID);
	strcpy(job->state, "FAILED");
	job_set(&job->name, "water");
	job_set(&job->slurm_id, "17");
	job_set(&job->project_dir, "/projects/a b/water-01234567");
	job_set(&job->facts, "exit_code = 3\nnode_list = n1\nowner = root\n");
	job->created_ns = INT64_C(1700000000999999999);
	job->ended_ns = INT64_C(1700000100000000000);
	return job;
}

static void test_written_is_read(void **state)
{
	struct installation installation = {.id = ID, .owner = "anna@lap-top.example"};
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct job *job = make_job();
	struct jobrecord record;

	(void)state;
	jobrecord_write(job, &installation, &text);
	assert_string_equal(text.data, WHOLE "project_dir = /projects/a b/water-01234567\n");
	assert_int_equal(parse(text.data, &record), 0);
	assert_string_equal(record.installation, ID);
	assert_string_equal(record.owner, "anna@lap-top.example");
	assert_string_equal(record.name, "water");
	assert_string_equal(record.uuid, UUID);
	assert_int_equal(record.created_s, 1700000000);
	assert_string_equal(record.project_dir, "/projects/a b/water-01234567");
	jobrecord_release(&record);
	job_unref(job);
}

static void test_state_is_read(void **state)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct job *job = make_job();
	struct jobrecord_state end;

	(void)state;
	jobrecord_write_state(job, &text);
	/* What is no fact of a run is not written. */
	assert_string_equal(text.data, STATE "fact = exit_code = 3\nfact = node_list = n1\n");
	assert_int_equal(parse_state(text.data, &end), 0);
	assert_string_equal(end.state, "FAILED");
	assert_string_equal(end.slurm_id, "17");
	assert_int_equal(end.ended_s, 1700000100);
	assert_false(end.kept);
	assert_false(end.discarded);
	assert_string_equal(end.facts, "exit_code = 3\nnode_list = n1\n");
	jobrecord_state_release(&end);
	job_unref(job);
}

static void test_more_of_a_later_version(void **state)
{
	struct jobrecord record;

	(void)state;
	assert_int_equal(parse(WHOLE "colour = blue\n", &record), 0);
	assert_string_equal(record.project_dir, "");
	jobrecord_release(&record);
}

static void test_refused(void **state)
{
	static const char *const texts[] = {
		"", "\n", "version = 1\n",
		/* Cut: the time could have had another digit. */
		"version = 1\ninstallation = " ID "\nowner = a@b\nname = water\nuuid = " UUID
		"\ncreated = 170000000",
		WHOLE "name = twice\n", WHOLE "uuid = " UUID "\n", WHOLE "no value\n", WHOLE "k=v\n",
		WHOLE "project_dir = relative\n", WHOLE "project_dir = /a\x1b[2J\n",
		WHOLE "project_dir = /a\r\n", WHOLE "a\x7f = b\n", WHOLE "version = 2\n",
		WHOLE "created = 99999999999999999999\n", WHOLE "created = -1\n", WHOLE "created = \n",
		"installation = " ID "\nowner = a@b\nname = ../x\nuuid = " UUID "\ncreated = 1\n",
		"installation = " ID "\nowner = a@b\nname = .x\nuuid = " UUID "\ncreated = 1\n",
		"installation = " ID "\nowner = a@b\nname = new\nuuid = " UUID "\ncreated = 1\n",
		"installation = " ID "\nowner = a b\nname = x\nuuid = " UUID "\ncreated = 1\n",
		"installation = " ID "\nowner = a@b\nname = x\nuuid = 0123456789ab-4cde-8f01-23456789abcd-\n"
		"created = 1\n",
		"installation = 0\nowner = a@b\nname = x\nuuid = " UUID "\ncreated = 1\n",
		"installation = " ID "\nowner = a@b\nname = x\nuuid = " UUID "\n",
	};
	struct jobrecord record;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (parse(texts[i], &record) != -EINVAL)
			fail_msg("accepted: %s", texts[i]);
	assert_int_equal(jobrecord_parse(WHOLE "a\0b = c\n", sizeof(WHOLE "a\0b = c\n") - 1, &record),
		-EINVAL);
}

static void test_huge_is_refused(void **state)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct jobrecord record;

	(void)state;
	strbuf_adds(&text, WHOLE);
	while (text.len <= JOBRECORD_MAX)
		strbuf_adds(&text, "colour = blue\n");
	assert_int_equal(jobrecord_parse(text.data, text.len, &record), -EINVAL);
}

static void test_states_refused(void **state)
{
	static const char *const texts[] = {
		"", STATE "state = COMPLETED\n", STATE "results = lost\n", STATE "fact = owner = root\n",
		STATE "fact = exit_code\n", STATE "ended = 1e9\n",
		"uuid = " UUID "\nslurm_id = 1;reboot\nstate = FAILED\n",
		"uuid = " UUID "\nslurm_id = 1\nstate = failed\n",
		"uuid = " UUID "\nslurm_id = 1\nstate = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
		"uuid = " UUID "\nstate = FAILED\n", "slurm_id = 1\nstate = FAILED\n",
	};
	struct jobrecord_state end;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (parse_state(texts[i], &end) != -EINVAL || *end.state || *end.slurm_id)
			fail_msg("accepted: %s", texts[i]);
}

/* ---- the answer ---- */

/* base64 of WHOLE. */
#define RECORD64 "dmVyc2lvbiA9IDEKaW5zdGFsbGF0aW9uID0gMDAxMTIyMzM0NDU1NjY3Nzg4OTlhYWJiY2NkZGVlZmYK" \
	"b3duZXIgPSBhbm5hQGxhcC10b3AuZXhhbXBsZQpuYW1lID0gd2F0ZXIKdXVpZCA9IDAxMjM0NTY3LTg5YWItNGNk" \
	"ZS04ZjAxLTIzNDU2Nzg5YWJjZApjcmVhdGVkID0gMTcwMDAwMDAwMAo="

struct told {
	size_t count, valid;
	struct found last; /* its plain fields */
	char folder[100], script[64];
};

static void tell(void *arg, const struct found *f)
{
	struct told *told = arg;

	told->count++;
	told->valid += f->valid;
	told->last = *f;
	strcpy(told->folder, f->folder);
	strcpy(told->script, f->script.data);
}

static int answer(const char *text, struct told *told, bool *more)
{
	char *copy = strdup(text);

	*told = (struct told){.count = 0};
	int r = foundtext_parse(copy, more, tell, told);
	free(copy);
	return r;
}

static void test_answer(void **state)
{
	struct told told;
	bool more;

	(void)state;
	assert_int_equal(answer("folder water-2-01234567\non_scratch\nrecord " RECORD64 "\n"
		"script IyEvYmluL3NoCg==\ntaken 2\ncopies 3\nsubmitted 1700000050\nclaim 17\nmore\nend\n",
		&told, &more), 0);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.valid, 1);
	assert_true(more);
	assert_string_equal(told.folder, "water-2-01234567");
	assert_string_equal(told.script, "#!/bin/sh\n");
	assert_true(told.last.on_scratch);
	assert_false(told.last.in_project);
	assert_int_equal(told.last.attempt, 2);
	assert_int_equal(told.last.copies, 3);
	assert_int_equal(told.last.submitted_s, 1700000050);
	assert_string_equal(told.last.slurm_id, "17");
}

static void test_answer_of_outcome(void **state)
{
	struct told told;
	bool more;

	(void)state;
	/* exit 0, stdout 3 "42\n", stderr 0 */
	assert_int_equal(answer("folder water-01234567\nrecord " RECORD64 "\n"
		"outcome ZXhpdCAwCnN0ZG91dCAzCjQyCgpzdGRlcnIgMAoKCg==\nend\n", &told, &more), 0);
	assert_false(more);
	assert_string_equal(told.last.slurm_id, "42");
}

static void test_hostile_answers(void **state)
{
	static const char *const folders[] = {"fire-01234567", "water-01234568", "water-x-01234567",
		"water-01234567-01234568", "waters-01234567", "water-2-3-01234567"};
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct told told;
	bool more;

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		strbuf_reset(&text);
		strbuf_addf(&text, "folder %s\nrecord " RECORD64 "\nend\n", folders[i]);
		assert_int_equal(answer(text.data, &told, &more), 0);
		assert_int_equal(told.count, 1);
		assert_int_equal(told.valid, 0);
	}
	assert_int_equal(answer("folder ../water-01234567\nrecord " RECORD64 "\nend\n", &told, &more), 0);
	assert_int_equal(told.count, 0);
	assert_int_equal(answer("folder water-01234567\nrecord !!!!\nclaim 1;rm\nend\n", &told, &more), 0);
	assert_int_equal(told.valid, 0);
	assert_string_equal(told.last.slurm_id, "");
	/* Cut off: what came last may not be whole. */
	assert_int_equal(answer("folder water-01234567\nrecord " RECORD64 "\n", &told, &more), -EPROTO);
	assert_int_equal(told.count, 0);
	assert_int_equal(answer("", &told, &more), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written_is_read),
		cmocka_unit_test(test_state_is_read),
		cmocka_unit_test(test_more_of_a_later_version),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_huge_is_refused),
		cmocka_unit_test(test_states_refused),
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_answer_of_outcome),
		cmocka_unit_test(test_hostile_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
