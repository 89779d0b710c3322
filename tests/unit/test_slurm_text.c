#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "slurm_text.h"

#define LITERAL(text) text, sizeof(text) - 1
#define S "\x1f"

/* The records of one parse. */
struct seen {
	struct slurm_record records[8];
	size_t count;
};

static void see(void *arg, const struct slurm_record *record)
{
	struct seen *seen = arg;

	assert_true(seen->count < 8);
	seen->records[seen->count++] = *record;
}

static void assert_span(struct span s, const char *text)
{
	assert_int_equal(s.len, strlen(text));
	assert_memory_equal(s.text, text, s.len);
}

static void reads_ids(void **state)
{
	struct slurm_id id;
	static const char *const bad[] = {"", "x", "5_", "5_x", "5+", "5.", "5_[]", "5_[1-2", "5 ",
		"-5", "5_[1]x", "1234567890123", "_5", "5_3.a b"};

	(void)state;
	assert_int_equal(slurm_parse_id(LITERAL("123"), &id), 0);
	assert_string_equal(id.job, "123");
	assert_true(id.task == -1 && id.component == -1 && !id.tasks.len && !id.step.len);
	assert_int_equal(slurm_parse_id(LITERAL("123_7.batch"), &id), 0);
	assert_int_equal(id.task, 7);
	assert_span(id.step, "batch");
	assert_int_equal(slurm_parse_id(LITERAL("5_[5-20%2]"), &id), 0);
	assert_string_equal(id.job, "5");
	assert_span(id.tasks, "5-20%2");
	assert_int_equal(slurm_parse_id(LITERAL("10+1"), &id), 0);
	assert_int_equal(id.component, 1);
	assert_int_equal(slurm_parse_id(LITERAL("10+1.0"), &id), 0);
	assert_span(id.step, "0");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (slurm_parse_id(bad[i], strlen(bad[i]), &id) != -EINVAL)
			fail_msg("%s", bad[i]);
}

static void walks_through_tasks(void **state)
{
	struct span tasks = {LITERAL("1-10:3,15,20-30%4")}, cut = {LITERAL("1,2,...")};
	struct span bad[] = {{LITERAL("5-1")}, {LITERAL("1-9:0")}, {LITERAL("1,")}, {LITERAL("a")},
		{LITERAL("1-")}, {LITERAL("4294967296")}, {LITERAL("1;2")}};
	struct slurm_range r;

	(void)state;
	assert_int_equal(slurm_tasks_next(&tasks, &r), 1);
	assert_true(r.first == 1 && r.last == 10 && r.step == 3);
	assert_int_equal(slurm_tasks_next(&tasks, &r), 1);
	assert_true(r.first == 15 && r.last == 15 && r.step == 1);
	assert_int_equal(slurm_tasks_next(&tasks, &r), 1);
	assert_true(r.first == 20 && r.last == 30);
	assert_int_equal(slurm_tasks_next(&tasks, &r), 0);
	assert_int_equal(slurm_tasks_next(&cut, &r), 1);
	assert_int_equal(slurm_tasks_next(&cut, &r), 1);
	assert_int_equal(slurm_tasks_next(&cut, &r), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(slurm_tasks_next(&bad[i], &r), -EINVAL);
}

/* squeue 22.05.8's own lines. */
static const char queue[] =
	"CLUSTER: private\n"
	"5_[5-20%2]" S "5" S "PENDING" S "root" S "JobArrayTaskLimit" S "" S "debug" S "demo" S
	"normal" S "10:00" S "0:00" S "1795489337" S "N/A" S "N/A" S "1" S "1" S "/tmp/w" S "j.sh\n"
	"3" S "3" S "RUNNING" S "root" S "None" S "node1" S "debug" S "demo" S "normal" S "10:00" S
	"2:06" S "1795489337" S "1795489338" S "1795489938" S "1" S "2" S "/tmp/w/a b" S
	"odd" S "name\n"
	"5_3" S "16" S "RUNNING" S "root" S "None" S "node1" S "debug" S "demo" S "normal" S "10:00" S
	"0:26" S "1795489337" S "1795489438" S "1795490038" S "1" S "1" S "/tmp/w" S "j.sh\n"
	"6" S "6" S "PENDING" S "root" S "JobHeldUser";

static void reads_the_queue(void **state)
{
	struct seen seen = {0};

	(void)state;
	slurm_parse_squeue(queue, sizeof(queue) - 1, see, &seen);
	assert_int_equal(seen.count, 3);
	const struct slurm_record *r = seen.records;
	assert_string_equal(r->id, "5");
	assert_int_equal(r->task, -1);
	assert_span(r->tasks, "5-20%2");
	assert_string_equal(r->state, "PENDING");
	assert_span(r->reason, "JobArrayTaskLimit");
	assert_span(r->nodes, "");
	assert_int_equal(r->submit_s, 1795489337);
	assert_true(r->start_s == 0 && r->end_s == 0 && r->exit_code == -1 && r->signal == -1);
	r++;
	assert_string_equal(r->id, "3");
	assert_span(r->workdir, "/tmp/w/a b");
	assert_span(r->name, "odd" S "name");
	assert_span(r->user, "root");
	assert_span(r->time_limit, "10:00");
	assert_span(r->elapsed, "2:06");
	assert_span(r->node_count, "2");
	assert_int_equal(r->start_s, 1795489338);
	assert_int_equal(r->end_s, 1795489938);
	r++;
	assert_string_equal(r->id, "5");
	assert_string_equal(r->raw_id, "16");
	assert_int_equal(r->task, 3);
}

#define ACCOUNT(id, raw, word, submit, start, code) \
	id S raw S word S "root" S "None" S "node1" S "debug" S "demo" S "normal" S "00:10:00" S \
	"00:00:01" S submit S start S "Unknown" S "1" S "1" S "/tmp/w" S code S "0:0" S "4G" S S "j.sh\n"
#define STEP(id, raw, word) STEP_RSS(id, raw, word, "")
#define STEP_RSS(id, raw, word, rss) \
	id S raw S word S S S "node1" S S "demo" S S S "00:00:01" S "1" S "1" S "2" S "1" S "1" S S \
	"0:0" S S S rss S "batch\n"

static void reads_the_accounts(void **state)
{
	static const char text[] =
		ACCOUNT("4", "4", "FAILED", "100", "101", "3:0") STEP("4.batch", "4.batch", "FAILED")
		ACCOUNT("7", "7", "REQUEUED", "100", "101", "0:0") STEP("7.batch", "7.batch", "CANCELLED")
		ACCOUNT("9", "9", "FAILED", "100", "101", "0:125")
		STEP("9.batch", "9.batch", "OUT_OF_MEMORY") STEP("9.extern", "9.extern", "COMPLETED")
		ACCOUNT("5_1", "12", "COMPLETED", "100", "101", "0:0")
		STEP("5_1.0", "12.0", "OUT_OF_MEMORY")
		ACCOUNT("5_[2-3]", "5", "PENDING", "100", "Unknown", "0:0")
		/* sacct -D: the second run stands at the end, as 22.05 has it. */
		ACCOUNT("7", "7", "CANCELLED by 1000", "104", "225", "0:15");
	struct seen seen = {0};
	const struct slurm_record *r = seen.records;

	(void)state;
	slurm_parse_sacct(text, sizeof(text) - 1, see, &seen);
	assert_int_equal(seen.count, 5);
	assert_string_equal(r[0].id, "4");
	assert_string_equal(r[0].state, "FAILED");
	assert_true(r[0].exit_code == 3 && r[0].signal == 0 && r[0].derived_exit_code == 0);
	assert_true(r[0].submit_s == 100 && r[0].start_s == 101 && r[0].end_s == 0);
	assert_string_equal(r[1].id, "5");
	assert_int_equal(r[1].task, -1);
	assert_span(r[1].tasks, "2-3");
	assert_string_equal(r[2].id, "5");
	assert_string_equal(r[2].raw_id, "12");
	assert_int_equal(r[2].task, 1);
	assert_string_equal(r[2].state, "COMPLETED");
	assert_string_equal(r[3].id, "7");
	assert_string_equal(r[3].state, "CANCELLED");
	assert_true(r[3].submit_s == 104 && r[3].signal == 15);
	assert_string_equal(r[4].state, "OUT_OF_MEMORY");
	assert_int_equal(r[4].signal, 125);
	assert_span(r[4].name, "j.sh");
}

static void reads_scontrol(void **state)
{
	/* scontrol 22.05.8's, with a name that a user chose to mislead. */
	static const char job[] = "JobId=3 JobName=x UserId=evil JobState=FAILED UserId=root(0) "
		"GroupId=root(0) MCS_label=N/A Account=demo QOS=normal JobState=RUNNING Reason=None "
		"Dependency=(null) ExitCode=1:2 RunTime=00:02:07 TimeLimit=00:10:00 "
		"SubmitTime=1795489337 StartTime=1795489338 EndTime=Unknown Partition=debug "
		"AllocNode:Sid=vm:3891 ReqNodeList=(null) NodeList=node1 NumNodes=1 NumCPUs=4 "
		"CPUs/Task=1 Command=j.sh 200 WorkDir=/tmp/w/a b StdErr=/tmp/w/a b/e Power= ";
	static const char task[] = "JobId=17 ArrayJobId=5 ArrayTaskId=4 ArrayTaskThrottle=2 "
		"JobName=j.sh UserId=root(0) GroupId=root(0) JobState=PENDING";
	static const char waiting[] = "JobId=5 ArrayJobId=5 ArrayTaskId=5-20%2 ArrayTaskThrottle=2 "
		"JobName=j.sh UserId=root(0) GroupId=root(0) JobState=PENDING";
	static const char het[] = "JobId=21 HetJobId=20 HetJobOffset=1 JobName=j.sh UserId=me(5) "
		"GroupId=us(0) JobState=COMPLETED";
	struct slurm_record r;

	(void)state;
	assert_int_equal(slurm_parse_scontrol(job, sizeof(job) - 1, &r), 0);
	assert_string_equal(r.id, "3");
	assert_string_equal(r.state, "RUNNING");
	assert_span(r.user, "root");
	assert_span(r.nodes, "node1");
	assert_span(r.workdir, "/tmp/w/a b");
	assert_span(r.cpus, "4");
	assert_true(r.exit_code == 1 && r.signal == 2 && r.derived_exit_code == -1);
	assert_true(r.submit_s == 1795489337 && r.end_s == 0 && r.task == -1);
	assert_int_equal(slurm_parse_scontrol(task, sizeof(task) - 1, &r), 0);
	assert_string_equal(r.id, "5");
	assert_string_equal(r.raw_id, "17");
	assert_int_equal(r.task, 4);
	assert_int_equal(slurm_parse_scontrol(waiting, sizeof(waiting) - 1, &r), 0);
	assert_int_equal(r.task, -1);
	assert_span(r.tasks, "5-20%2");
	assert_int_equal(slurm_parse_scontrol(het, sizeof(het) - 1, &r), 0);
	assert_string_equal(r.id, "20");
	assert_int_equal(r.component, 1);
	assert_int_equal(slurm_parse_scontrol(LITERAL(""), &r), -EINVAL);
	assert_int_equal(slurm_parse_scontrol(job, 60, &r), -EINVAL);
	assert_int_equal(slurm_parse_scontrol(LITERAL("slurm_load_jobs error: Invalid job id "
		"specified"), &r), -EINVAL);
}

static int frame(const char *out, size_t len, const char *want, int want_rc)
{
	const char *body;
	size_t body_len;
	int rc;

	int r = slurm_frame_find(out, len, "n0", &body, &body_len, &rc);
	if (r < 0)
		return r;
	assert_int_equal(body_len, strlen(want));
	assert_memory_equal(body, want, body_len);
	assert_int_equal(rc, want_rc);
	return 0;
}

static void finds_the_frame(void **state)
{
	(void)state;
	assert_int_equal(frame(LITERAL("Welcome!\nn0 begin\na\nb\nn0 rc=0\nbye\n"), "a\nb", 0), 0);
	assert_int_equal(frame(LITERAL("n0 begin\na\n\nn0 rc=124\n"), "a\n", 124), 0);
	assert_int_equal(frame(LITERAL("\nn0 begin\n\nn0 rc=1\n"), "", 1), 0);
	assert_int_equal(frame(LITERAL("\nn0 begin\nn0 rc=1\n"), "", 1), 0);
	assert_int_equal(frame(LITERAL("x n0 begin\na\nn0 rc=1\n"), "", 1), -EPROTO);
	assert_int_equal(frame(LITERAL("n0 begin\na\n"), "", 0), -EPROTO);
	assert_int_equal(frame(LITERAL("n0 begin\na\nn0 rc="), "", 0), -EPROTO);
	assert_int_equal(frame(LITERAL("n0 begin\na\nn0 rc=1"), "", 0), -EPROTO);
	assert_int_equal(frame(LITERAL("n0 begin\na\nn0 rc=1x\n"), "", 0), -EPROTO);
	assert_int_equal(frame(LITERAL("n0 begin\na\nn0 rc=999\n"), "", 0), -EPROTO);
	assert_int_equal(frame(LITERAL("a\nn0 rc=0\n"), "", 0), -EPROTO);
	assert_int_equal(frame(LITERAL(""), "", 0), -EPROTO);
}

static void reads_sbatch(void **state)
{
	static const struct {
		const char *text, *id, *cluster; /* id NULL: refused */
	} cases[] = {
		{"123\n", "123", ""}, {"123", "123", ""}, {"123;alpine\n", "123", "alpine"},
		{"Submitted batch job 4\n", "4", ""},
		{"Submitted batch job 77 on cluster foo-2\n", "77", "foo-2"},
		{"Welcome to Stampede3\n--> ok\n99\r\n\n", "99", ""},
		{"No reservation for this job\n--> Verifying 5 nodes...OK\n", NULL, NULL},
		{"123\n124\n", NULL, NULL}, {"123;\n", NULL, NULL}, {"123 4\n", NULL, NULL},
		{"0\n", NULL, NULL}, {"-1\n", NULL, NULL}, {"123;a b\n", NULL, NULL}, {"", NULL, NULL},
		{"Submitted batch job \n", NULL, NULL}, {"Submitted batch job 5 on\n", NULL, NULL},
		{"Submitted batch job 5 on cluster \n", NULL, NULL}, {"1234567890123\n", NULL, NULL},
	};
	char id[32], cluster[64], small[3];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int r = slurm_parse_sbatch(cases[i].text, strlen(cases[i].text), id, sizeof(id),
			cluster, sizeof(cluster));

		if (r != (cases[i].id ? 0 : -EINVAL))
			fail_msg("%s: %d", cases[i].text, r);
		assert_string_equal(id, cases[i].id ? cases[i].id : "");
		assert_string_equal(cluster, cases[i].cluster ? cases[i].cluster : "");
	}
	assert_int_equal(slurm_parse_sbatch(LITERAL("123"), small, 3, cluster, 64), -EINVAL);
	assert_string_equal(small, "");
}

static void reads_an_outcome(void **state)
{
	static const char text[] = "exit 1\nstdout 4\n5\nx\n\nstderr 3\na\0b\n";
	struct slurm_outcome o;

	(void)state;
	assert_int_equal(slurm_parse_outcome(text, sizeof(text) - 1, &o), 0);
	assert_true(o.exit_status == 1 && o.out_len == 4 && o.err_len == 3);
	assert_memory_equal(o.out, "5\nx\n", 4);
	assert_memory_equal(o.err, "a\0b", 3);
	for (size_t len = 0; len < sizeof(text) - 2; len++)
		assert_int_equal(slurm_parse_outcome(text, len, &o), -EINVAL);
	assert_int_equal(slurm_parse_outcome(LITERAL("exit 0\nstdout 0\n\nstderr 0\n\n"), &o), 0);
	assert_int_equal(slurm_parse_outcome(LITERAL("exit 0\nstdout 1\nabstderr 0\n\n"), &o), -EINVAL);
	assert_int_equal(slurm_parse_outcome(LITERAL("exit 256\nstdout 0\n\nstderr 0\n\n"), &o), -EINVAL);
	assert_int_equal(slurm_parse_outcome(LITERAL("exit 0\nstdout 99999999999\n\n"), &o), -EINVAL);
}

static void reads_an_end_record(void **state)
{
	struct slurm_endrecord r;

	(void)state;
	/* Without the last newline: the shell that hands it on takes it away. */
	slurm_parse_endrecord(LITERAL("exit 143\nsignal TERM\njob 77\nrestart 2\ntime 1795489338\n"
		"node c-1.example"), &r);
	assert_true(r.exit_status == 143 && r.restart == 2 && r.time_s == 1795489338);
	assert_string_equal(r.signal, "TERM");
	assert_string_equal(r.job, "77");
	assert_string_equal(r.node, "c-1.example");
	slurm_parse_endrecord(LITERAL("job 77\ntime 5\n"), &r);
	assert_int_equal(r.exit_status, -1);
	/* Nothing that is not wholly a number proves an end. */
	slurm_parse_endrecord(LITERAL("exit abc\n"), &r);
	assert_int_equal(r.exit_status, -1);
	slurm_parse_endrecord(LITERAL("exit 0x\nexit \nexit\nexit 256\n exit 0\n"), &r);
	assert_int_equal(r.exit_status, -1);
	slurm_parse_endrecord(LITERAL("exit 0\0\n"), &r);
	assert_int_equal(r.exit_status, -1);
	slurm_parse_endrecord(LITERAL("exit 1"), &r);
	assert_int_equal(r.exit_status, -1);
	slurm_parse_endrecord(LITERAL("job 7;rm\nsignal A_VERY_LONG_SIGNAL\nnode a b\nrestart -1\n"), &r);
	assert_string_equal(r.job, "");
	assert_string_equal(r.signal, "");
	assert_string_equal(r.node, "");
	assert_int_equal(r.restart, 0);
}

static int sbatch(const char *text, char id[24])
{
	char cluster[64];

	return slurm_parse_sbatch(text, strlen(text), id, 24, cluster, sizeof(cluster));
}

static void the_id_is_a_whole_line_of_its_own(void **state)
{
	char id[24];

	(void)state;
	assert_int_equal(sbatch("123\n", id), 0);
	assert_string_equal(id, "123");
	assert_int_equal(sbatch("123;blue\n", id), 0);
	assert_int_equal(sbatch("Welcome to Stampede3!\nSubmitted batch job 77 on cluster blue\n", id), 0);
	assert_string_equal(id, "77");
	assert_int_equal(sbatch("Welcome to Stampede3!\n", id), -EINVAL);
	assert_int_equal(sbatch("12 nodes are idle\n", id), -EINVAL);
	assert_int_equal(sbatch("1\n2\n", id), -EINVAL);
	assert_int_equal(sbatch("", id), -EINVAL);
}

static void a_frame_is_found_in_noise_and_only_whole(void **state)
{
	const char *body;
	size_t len;
	int rc;
	const char good[] = "motd\n\nN1 begin\nanswer\n\nN1 rc=3\nbye\n";
	const char cut[] = "motd\n\nN1 begin\nanswer\n\nN1 rc=";
	const char empty[] = "\nN1 begin\n\nN1 rc=0\n";

	(void)state;
	assert_int_equal(slurm_frame_find(good, strlen(good), "N1", &body, &len, &rc), 0);
	assert_int_equal(rc, 3);
	assert_int_equal(len, 7);
	assert_memory_equal(body, "answer\n", 7);
	assert_int_equal(slurm_frame_find(cut, strlen(cut), "N1", &body, &len, &rc), -EPROTO);
	assert_int_equal(slurm_frame_find(empty, strlen(empty), "N1", &body, &len, &rc), 0);
	assert_int_equal(len, 0);
}

static void an_outcome_carries_any_bytes(void **state)
{
	struct slurm_outcome outcome;
	const char text[] = "exit 1\nstdout 0\n\nstderr 14\nsbatch: error\n\n\n";

	(void)state;
	assert_int_equal(slurm_parse_outcome(text, strlen(text), &outcome), 0);
	assert_int_equal(outcome.exit_status, 1);
	assert_int_equal(outcome.err_len, 14);
	assert_memory_equal(outcome.err, "sbatch: error\n", 14);
	assert_int_equal(slurm_parse_outcome(text, 20, &outcome), -EINVAL);
	assert_int_equal(slurm_parse_outcome("exit 1\nstdout 999\n", 18, &outcome), -EINVAL);
}

static void a_step_without_memory_is_the_jobs_end(void **state)
{
	static const char text[] = ACCOUNT("7", "7", "FAILED", "100", "110", "0:125")
		STEP_RSS("7.batch", "7.batch", "OUT_OF_MEMORY", "9812K")
		STEP_RSS("7.0", "7.0", "FAILED", "1.50G") STEP_RSS("7.1", "7.1", "FAILED", "1200M");
	struct seen seen = {0};

	(void)state;
	slurm_parse_sacct(text, sizeof(text) - 1, see, &seen);
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.records[0].state, "OUT_OF_MEMORY");
	assert_string_equal(seen.records[0].id, "7");
	assert_int_equal(seen.records[0].submit_s, 100);
	assert_int_equal(seen.records[0].signal, 125);
	assert_span(seen.records[0].req_mem, "4G");
	assert_span(seen.records[0].max_rss, "1.50G");
}

static void the_queue_says_who_cancelled_and_where_it_ran(void **state)
{
	static const char text[] = "12" S "12" S "CANCELLED by 1000" S "ann" S "Dependency" S "" S "p"
		S "a" S "q" S "1:00" S "0:00" S "100" S "N/A" S "N/A" S "1" S "1" S "/scratch/x y" S
		"n\n13" S "garbage line\n";
	struct seen seen = {0};

	(void)state;
	slurm_parse_squeue(text, sizeof(text) - 1, see, &seen);
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.records[0].state, "CANCELLED");
	assert_int_equal(seen.records[0].start_s, 0);
	assert_span(seen.records[0].workdir, "/scratch/x y");
}

static void scontrol_is_read_where_there_is_no_accounting(void **state)
{
	struct slurm_record r;
	const char line[] = "JobId=9 JobName=x UserId=ann(1000) GroupId=g(1) JobState=FAILED "
		"Reason=NonZeroExitCode ExitCode=3:0 RunTime=00:00:01 NodeList=n1 WorkDir=/w";

	(void)state;
	assert_int_equal(slurm_parse_scontrol(line, strlen(line), &r), 0);
	assert_string_equal(r.state, "FAILED");
	assert_int_equal(r.exit_code, 3);
	assert_int_equal(r.user.len, 3);
	assert_int_equal(slurm_parse_scontrol("JobId=9", 7, &r), -EINVAL);
}

/* Runs all parsers over a copy of exactly `len` bytes, so that a sanitizer sees a step too far. */
static void parse_all(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);
	struct slurm_record record;
	struct slurm_endrecord end;
	struct slurm_outcome outcome;
	struct slurm_id id;
	const char *body;
	size_t body_len;
	char job[32], cluster[64];
	int rc;
	struct seen seen = {0};

	memcpy(copy, text, len);
	slurm_parse_squeue(copy, len, see, &seen);
	seen.count = 0;
	slurm_parse_sacct(copy, len, see, &seen);
	slurm_parse_scontrol(copy, len, &record);
	slurm_parse_endrecord(copy, len, &end);
	slurm_parse_outcome(copy, len, &outcome);
	slurm_parse_id(copy, len, &id);
	slurm_parse_sbatch(copy, len, job, sizeof(job), cluster, sizeof(cluster));
	slurm_frame_find(copy, len, "n0", &body, &body_len, &rc);
	free(copy);
}

static void survives_cut_and_spoilt_texts(void **state)
{
	static const char more[] = "\nn0 begin\nexit 0\nstdout 3\nabc\nstderr 0\n\nn0 rc=0\n"
		"JobId=1 JobName= UserId=a(1) GroupId=b(2) JobState=RUNNING WorkDir=/x\nnode ";
	const struct { const char *text; size_t len; } texts[] = {
		{queue, sizeof(queue) - 1}, {more, sizeof(more) - 1}};
	char spoilt[2048];
	unsigned seed = 1;

	(void)state;
	for (size_t t = 0; t < 2; t++) {
		for (size_t from = 0; from < texts[t].len; from += 7)
			for (size_t len = 0; from + len <= texts[t].len; len++)
				parse_all(texts[t].text + from, len);
		for (int round = 0; round < 20000; round++) {
			memcpy(spoilt, texts[t].text, texts[t].len);
			for (int k = 0; k < 4; k++) {
				seed = seed * 1103515245 + 12345;
				spoilt[(seed >> 8) % texts[t].len] = "\n\x1f\0[]_.+=%9 "[(seed >> 24) % 12];
			}
			parse_all(spoilt, texts[t].len);
		}
	}
}

static void says_duration(const char *text, const char *expected)
{
	struct strbuf b AUTO_STRBUF = STRBUF_INIT;

	slurm_add_duration(&b, (struct span){text, strlen(text)});
	assert_string_equal(b.data, expected);
}

static void durations_have_one_form(void **state)
{
	(void)state;
	says_duration("1:00", "00:01:00");
	says_duration("0:00", "00:00:00");
	says_duration("00:01:00", "00:01:00");
	says_duration("2:03:04", "02:03:04");
	says_duration("30-00:00:00", "30-00:00:00");
	says_duration("UNLIMITED", "UNLIMITED");
	says_duration("INVALID", "INVALID");
	says_duration("Partition_Limit", "Partition_Limit");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_ids),
		cmocka_unit_test(walks_through_tasks),
		cmocka_unit_test(reads_the_queue),
		cmocka_unit_test(reads_the_accounts),
		cmocka_unit_test(reads_scontrol),
		cmocka_unit_test(finds_the_frame),
		cmocka_unit_test(reads_sbatch),
		cmocka_unit_test(reads_an_outcome),
		cmocka_unit_test(reads_an_end_record),
		cmocka_unit_test(the_id_is_a_whole_line_of_its_own),
		cmocka_unit_test(a_frame_is_found_in_noise_and_only_whole),
		cmocka_unit_test(an_outcome_carries_any_bytes),
		cmocka_unit_test(a_step_without_memory_is_the_jobs_end),
		cmocka_unit_test(the_queue_says_who_cancelled_and_where_it_ran),
		cmocka_unit_test(scontrol_is_read_where_there_is_no_accounting),
		cmocka_unit_test(durations_have_one_form),
		cmocka_unit_test(survives_cut_and_spoilt_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
