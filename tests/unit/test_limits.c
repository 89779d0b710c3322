#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "err.h"
#include "cluster_limits.h"
#include "slurm_text.h"

/* 2026-11-24T10:15:00Z */
#define ASKED_NS INT64_C(1795515300000000000)
#define S SLURM_SEPARATOR

/* One line each as 22.05, 24.05 and 20.11 print them. */
static const char partitions[] =
	"PartitionName=debug AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL AllocNodes=ALL Default=YES "
	"QoS=N/A DefaultTime=00:10:00 DisableRootJobs=NO ExclusiveUser=NO GraceTime=0 Hidden=NO "
	"MaxNodes=UNLIMITED MaxTime=01:00:00 MinNodes=0 LLN=NO MaxCPUsPerNode=UNLIMITED Nodes=node1 "
	"PriorityJobFactor=1 PriorityTier=1 RootOnly=NO ReqResv=NO OverSubscribe=NO OverTimeLimit=NONE "
	"PreemptMode=OFF State=UP TotalCPUs=128 TotalNodes=1 SelectTypeParameters=NONE "
	"JobDefaults=(null) DefMemPerNode=UNLIMITED MaxMemPerNode=UNLIMITED "
	"TRES=cpu=128,mem=500G,node=1,billing=128\n"
	"PartitionName=gpu AllowGroups=ALL AllowAccounts=chem,demo AllowQos=ALL AllocNodes=ALL "
	"Default=NO QoS=gpu_limits DefaultTime=NONE DisableRootJobs=NO ExclusiveUser=NO "
	"ExclusiveTopo=NO GraceTime=0 Hidden=NO MaxNodes=4 MaxTime=7-12:00:00 MinNodes=1 LLN=NO "
	"MaxCPUsPerNode=60 MaxCPUsPerSocket=UNLIMITED NodeSets=g Nodes=g[1-6] State=UP TotalCPUs=384 "
	"TotalNodes=6 SelectTypeParameters=NONE JobDefaults=(null) DefMemPerCPU=2000 "
	"MaxMemPerNode=200000 TRES=cpu=384,mem=2534000M,node=6,billing=384,gres/gpu=20\n"
	"PartitionName=private AllowGroups=wheel DenyAccounts=demo DenyQos=slow Default=NO Hidden=YES "
	"MaxNodes=2 MaxTime=UNLIMITED MinNodes=0 Nodes=p1 RootOnly=NO ReqResv=NO State=DRAIN "
	"TotalCPUs=32 TotalNodes=2 MaxMemPerNode=3200 TRESBillingWeights=CPU=1,Mem=1.33G\n";
static const char nodes[] =
	"debug" S "128" S "512000" S "idle" S "1" S "(null)" S "(null)\n"
	"gpu" S "64" S "515317" S "mixed" S "4" S "gpu:a100:4(S:0,1)" S "a100,nvme\n"
	"gpu" S "64" S "1031000+" S "drained*" S "2" S "gpu:v100:2,lustre:1K" S "v100\n";
static const char assocs[] = "private|demo||normal,fast|normal|2-00:00:00|10|100|cpu=512|node=8\n"
			     "private|bio|debug|||||||\n";
static const char qos[] = "normal||||||||\n"
			  "fast|DenyOnLimit,PartitionTimeLimit|04:00:00|2|5|node=2||cpu=64|\n"
			  "other||||||||\n";

static struct limits *parse_all(void)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	static const struct {
		const char *name, *body;
	} sections[] = {{"partitions", partitions}, {"nodes", nodes}, {"assocs", assocs}, {"qos", qos},
		{"user", "user ann\ngroups users wheel\naccount demo"}};

	for (size_t i = 0; i < 5; i++)
		strbuf_addf(&text, "section %s 0 %zu\n%s\n", sections[i].name,
			strlen(sections[i].body), sections[i].body);
	return limits_parse(text.data, text.len, ASKED_NS);
}

static void partitions_are_read(void **state)
{
	struct limits *l = parse_all();

	(void)state;
	assert_int_equal(l->partition_count, 3);
	assert_true(l->partitions[0].is_default);
	assert_int_equal(l->partitions[0].max_time_s, 3600);
	assert_int_equal(l->partitions[0].default_time_s, 600);
	assert_int_equal(l->partitions[0].max_nodes, LIMITS_NONE);
	assert_int_equal(l->partitions[0].max_mem_per_node, LIMITS_NONE);
	assert_null(l->partitions[0].allow_accounts);
	assert_null(l->partitions[0].qos);

	const struct limits_partition *gpu = limits_partition(l, "gpu", 3);
	assert_int_equal(gpu->max_time_s, 7 * 86400 + 12 * 3600);
	assert_int_equal(gpu->default_time_s, LIMITS_NONE);
	assert_int_equal(gpu->max_nodes, 4);
	assert_int_equal(gpu->max_cpus_per_node, 60);
	assert_int_equal(gpu->max_mem_per_node, 200000);
	assert_string_equal(gpu->allow_accounts, "chem,demo");
	assert_string_equal(gpu->qos, "gpu_limits");

	const struct limits_partition *p = limits_partition(l, "private", 7);
	assert_int_equal(p->max_time_s, LIMITS_NONE);
	assert_true(p->hidden);
	assert_string_equal(p->state, "DRAIN");
	assert_string_equal(p->deny_accounts, "demo");
	assert_string_equal(p->deny_qos, "slow");
	assert_null(limits_partition(l, "privat", 6));
	limits_unref(l);
}

static void nodes_and_accounts_are_read(void **state)
{
	struct limits *l = parse_all();

	(void)state;
	assert_int_equal(l->nodes_count, 3);
	assert_int_equal(l->nodes[1].cpus, 64);
	assert_int_equal(l->nodes[1].memory, 515317);
	assert_false(l->nodes[1].more_memory);
	assert_int_equal(l->nodes[2].memory, 1031000);
	assert_true(l->nodes[2].more_memory);
	assert_int_equal(l->nodes[2].count, 2);
	assert_string_equal(l->nodes[0].gres, "");
	assert_int_equal(l->assoc_count, 2);
	assert_int_equal(l->assocs[0].max_wall_s, 2 * 86400);
	assert_int_equal(l->assocs[0].max_jobs, 10);
	assert_string_equal(l->assocs[0].grp_tres, "node=8");
	assert_string_equal(l->assocs[1].partition, "debug");
	assert_int_equal(l->assocs[1].max_submit, LIMITS_NONE);
	assert_int_equal(l->qos_count, 3);
	assert_int_equal(l->qos[1].max_wall_s, 4 * 3600);
	assert_string_equal(l->groups, "users,wheel");
	assert_string_equal(l->default_account, "demo");
	limits_unref(l);
}

static void gres_in_all_forms(void **state)
{
	static const struct {
		const char *text, *name, *type;
		int64_t count;
	} expected[] = {{"gpu", "gpu", "", 1}, {"gpu:4", "gpu", "", 4}, {"gpu:a100:4", "gpu", "a100", 4},
		{"gpu:a100:4(S:0,2)", "gpu", "a100", 4}, {"gpu:k80:no_consume:2", "gpu", "k80", 2},
		{"lustre:2K", "lustre", "", 2048}, {"gpu:3g.20gb:2", "gpu", "3g.20gb", 2}};

	(void)state;
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
		AUTO_FREE char *twice = xasprintf("%s,%s", expected[i].text, expected[i].text);
		const char *at = twice;
		struct limits_gres gres;

		for (int n = 0; n < 2; n++) {
			assert_true(limits_next_gres(&at, &gres));
			assert_string_equal(gres.name, expected[i].name);
			assert_string_equal(gres.type, expected[i].type);
			assert_int_equal(gres.count, expected[i].count);
		}
		assert_false(limits_next_gres(&at, &gres));
	}
}

static void who_may_use_a_partition(void **state)
{
	struct limits *l = parse_all();

	(void)state;
	assert_string_equal(limits_access(l, &l->partitions[0]), "yes");
	assert_string_equal(limits_access(l, &l->partitions[1]), "yes");
	assert_string_equal(limits_access(l, &l->partitions[2]), "no:drain");
	strcpy(l->partitions[2].state, "DOWN");
	assert_string_equal(limits_access(l, &l->partitions[2]), "no:account");
	/* bio is for another partition. */
	strcpy(l->partitions[2].deny_accounts, "chem");
	assert_string_equal(limits_access(l, &l->partitions[2]), "waits:down");
	strcpy(l->groups, "users");
	assert_string_equal(limits_access(l, &l->partitions[2]), "no:group");
	limits_unref(l);
}

static void tables(void **state)
{
	struct limits *l = parse_all();
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	limits_render_partitions(l, &text);
	assert_string_equal(text.data,
		"# asked for at 2026-11-24T10:15:00Z\n"
		"PARTITION  DEFAULT  STATE  MAX_TIME    NODES  MAX_NODES  CPUS  MEMORY           "
		"GPUS           ACCESS                                       TAKES_YOU\n"
		"debug      yes      UP     01:00:00    1      unlimited  128   500G             "
		"-              all                                          yes\n"
		"gpu        no       UP     7-12:00:00  6      4          64    503.2G-1006.8G+  "
		"a100:4,v100:2  accounts:chem,demo                           yes\n"
		"private    no       DRAIN  unlimited   2      2          ?     ?                "
		"-              not-accounts:demo;groups:wheel;not-qos:slow  no:drain\n");
	strbuf_reset(&text);
	limits_render_limits(l, &text);
	assert_string_equal(text.data,
		"# asked for at 2026-11-24T10:15:00Z\n"
		"ACCOUNT  DEFAULT  PARTITION  QOS          DEFAULT_QOS  LIMITS\n"
		"demo     yes      all        normal,fast  normal       a job may take 2-00:00:00; at most 10 "
		"jobs run at a time; at most 100 jobs are queued or run at a time; a job has at most cpu=512; "
		"all jobs together have at most node=8\n"
		"bio      no       debug      -            -            no limits of its own\n"
		"\n"
		"QOS     FLAGS                           LIMITS\n"
		"normal  -                               no limits of its own\n"
		"fast    DenyOnLimit,PartitionTimeLimit  a job may take 04:00:00; at most 2 of your jobs run "
		"at a time; at most 5 of your jobs are queued or run at a time; a job has at most node=2; "
		"everybody's jobs together have at most cpu=64\n");
	limits_unref(l);
}

static void what_is_cut_or_hostile_is_left_out(void **state)
{
	static const char hostile[] = "section partitions 0 72\nPartitionName=a MaxTime=x MaxNodes=-3 "
				      "State=UP TotalNodes=9999999999999\n";
	struct limits *l;

	(void)state;
	l = limits_parse("section partitions 0 100\nPartitionName=a\n", 41, ASKED_NS);
	assert_int_equal(l->partition_count, 0);
	assert_int_equal(l->partitions_status, -1);
	limits_unref(l);
	l = limits_parse(hostile, sizeof(hostile) - 1, ASKED_NS);
	assert_int_equal(l->partition_count, 1);
	assert_int_equal(l->partitions[0].max_time_s, LIMITS_NONE);
	assert_int_equal(l->partitions[0].max_nodes, LIMITS_NONE);
	assert_int_equal(l->partitions[0].total_nodes, LIMITS_NONE);
	limits_unref(l);
	l = limits_parse("", 0, 0);
	assert_int_equal(l->assocs_status, -1);
	limits_unref(l);
}

static void queue(void **state)
{
	static const char answer[] =
		"7" S "7" S "RUNNING" S "ann" S "None" S "n1" S "debug" S "demo" S "normal" S "1:00:00" S
		"0:05" S "1795515300" S "1795515300" S "1795518900" S "4" S "1" S "/w/7" S "a b\n"
		"9_[1-3]" S "9" S "PENDING" S "ann" S "ReqNodeNotAvail, down" S "" S "debug" S "demo" S
		"normal" S "1:00:00" S "0:00" S "1795515300" S "N/A" S "N/A" S "4" S "1" S "/w/9" S "c\n"
		"8" S "8" S "COMPLETED" S "ann" S "None" S "n1" S "debug" S "demo" S "normal" S "1:00:00" S
		"0:05" S "1795515300" S "1795515300" S "1795518900" S "4" S "1" S "/w/8" S "old\n";
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	limits_render_queue(answer, sizeof(answer) - 1, ASKED_NS, &text);
	assert_string_equal(text.data,
		"# asked for at 2026-11-24T10:15:00Z\n"
		"ID       PARTITION  STATE    TIME  TIME_LIMIT  NODES  REASON                 NAME\n"
		"7        debug      RUNNING  0:05  1:00:00     1      None                   a b\n"
		"9_[1-3]  debug      PENDING  0:00  1:00:00     1      ReqNodeNotAvail,_down  c\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(partitions_are_read),
		cmocka_unit_test(nodes_and_accounts_are_read),
		cmocka_unit_test(gres_in_all_forms),
		cmocka_unit_test(who_may_use_a_partition),
		cmocka_unit_test(tables),
		cmocka_unit_test(what_is_cut_or_hostile_is_left_out),
		cmocka_unit_test(queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
