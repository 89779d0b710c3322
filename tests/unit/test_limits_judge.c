#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "err.h"
#include "limits_judge.h"
#include "slurm_text.h"

#define S SLURM_SEPARATOR

/* debug: one node of 128 CPUs and 500G; gpu: 4 nodes of 64 CPUs, 503G and 4 A100, 2 of 64, 1T and
 * 2 V100; wide: 100 nodes of 32 CPUs, for chem; off: DOWN; hidden: for whom it is named to. */
static const char partitions[] =
	"PartitionName=debug AllowAccounts=ALL AllowQos=ALL Default=YES Hidden=NO MaxNodes=UNLIMITED "
	"MaxTime=01:00:00 MinNodes=0 State=UP TotalCPUs=128 TotalNodes=1 MaxMemPerNode=UNLIMITED\n"
	"PartitionName=gpu AllowAccounts=ALL AllowQos=ALL DenyQos=slow Default=NO Hidden=NO MaxNodes=4 "
	"MaxTime=7-00:00:00 MinNodes=0 State=UP TotalCPUs=384 TotalNodes=6 MaxCPUsPerNode=60 "
	"MaxMemPerNode=200000\n"
	"PartitionName=wide AllowAccounts=chem AllowQos=ALL Default=NO Hidden=NO MaxNodes=UNLIMITED "
	"MaxTime=1-00:00:00 MinNodes=2 State=UP TotalCPUs=3200 TotalNodes=100\n"
	"PartitionName=off Default=NO Hidden=NO MaxTime=UNLIMITED State=DOWN TotalCPUs=32 TotalNodes=1\n"
	"PartitionName=hidden Default=NO Hidden=YES MaxTime=UNLIMITED State=UP TotalCPUs=99999\n";
static const char nodes[] =
	"debug" S "128" S "512000" S "idle" S "1" S "(null)" S "(null)\n"
	"gpu" S "64" S "515317" S "mixed" S "4" S "gpu:a100:4(S:0,1)" S "a100,nvme\n"
	"gpu" S "64" S "1031000" S "drained*" S "2" S "gpu:v100:2" S "v100\n"
	"wide" S "32" S "128000" S "idle" S "100" S "(null)" S "skylake\n"
	"off" S "32" S "128000" S "idle" S "1" S "(null)" S "(null)\n";
static const char assocs[] = "private|demo||normal,fast|normal|||||\n"
			     "private|bio||slow|slow|||||\n";

static struct limits *told(const char *partition_text, const char *node_text,
	const char *assoc_text, const char *user_text)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	const char *const sections[][2] = {{"partitions", partition_text}, {"nodes", node_text},
		{"assocs", assoc_text}, {"user", user_text}};

	for (size_t i = 0; i < 4; i++)
		strbuf_addf(&text, "section %s 0 %zu\n%s\n", sections[i][0], strlen(sections[i][1]),
			sections[i][1]);
	return limits_parse(text.data, text.len, 1);
}

static void judge(struct limits *limits, const char *slurm, struct strbuf *broken,
	struct strbuf *waits)
{
	AUTO_FREE char *config = xasprintf("[job]\ncommand = true\n[slurm]\n%s", slurm);
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct jobspec *spec;

	if (jobspec_parse(config, strlen(config), &spec, &why) < 0)
		fail_msg("%s", why.data);
	struct limits_request request = {.spec = spec, .own = spec->slurm.count};
	limits_judge(&request, limits, broken, waits);
	jobspec_free(spec);
}

/* The lines that are said of the [slurm] lines, whose first is line 4. */
static void says(const char *slurm, const char *expected)
{
	struct limits *limits = told(partitions, nodes, assocs, "user ann\ngroups users\naccount demo");
	struct strbuf broken AUTO_STRBUF = STRBUF_INIT;
	struct strbuf waits AUTO_STRBUF = STRBUF_INIT;

	judge(limits, slurm, &broken, &waits);
	limits_unref(limits);
	assert_string_equal(broken.data, expected);
	assert_int_equal(waits.len, 0);
}

static void what_fits_is_not_spoken_of(void **state)
{
	(void)state;
	says("", "");
	says("time = 1:00:00\nntasks = 128\nmem = 500G\nnodes = 1\n", "");
	says("partition = gpu\ntime = 7-00:00:00\ngpus_per_node = a100:4\nnodes = 4\n"
		"constraint = a100&nvme\n", "");
	says("partition = gpu\ngres = gpu:2\nconstraint = [v100|a100]\n", "");
	says("partition = gpu\nconstraint = a100*2&nvme*1\n", "");
	says("account = DEMO\nqos = fast\n", "");
	/* --mem=0 is a whole node's. */
	says("mem = 0\n", "");
	/* With the least time alone it must be let in. */
	says("time = 5:00:00\ntime_min = 0:30:00\n", "");
	says("partition = hidden\nntasks = 4000\n", "");
}

static void time_is_compared(void **state)
{
	(void)state;
	says("ntasks = 1\ntime = 2:00:00\n", "config.ini:5: time: 02:00:00 is over the 01:00:00 that the "
		"partition debug allows; gpu would take it\n");
	/* An hour and a second is 61 minutes to Slurm. */
	says("time = 1:00:01\n", "config.ini:4: time: 01:00:01 is over the 01:00:00 that the partition "
		"debug allows; gpu would take it\n");
	says("time = UNLIMITED\n", "config.ini:4: time: UNLIMITED is over the 01:00:00 that the partition "
		"debug allows; no partition would take it\n");
	says("time = 9:00:00\ntime_min = 2:00:00\n", "config.ini:5: time_min: 02:00:00 is over the "
		"01:00:00 that the partition debug allows; gpu would take it\n");
	/* Each of several is looked at. */
	says("partition = gpu,debug\ntime = 2:00:00\n", "config.ini:5: time: 02:00:00 is over the "
		"01:00:00 that the partition debug allows; gpu would take it\n");
}

static void nodes_and_cpus_are_compared(void **state)
{
	(void)state;
	says("nodes = 2\n", "config.ini:4: nodes: 2, where the partition debug has 1; gpu would take it\n");
	says("partition = gpu\nnodes = 5\n", "config.ini:5: nodes: 5 is over the 4 that the partition gpu "
		"allows a job; no partition would take it\n");
	says("nodes = 1-9\n", "");
	says("partition = wide\naccount = chem\nnodes = 1\n",
		"config.ini:6: nodes: 1 is under the 2 that the partition wide wants of a job; debug, gpu "
		"would take it\n"
		"config.ini:5: account: you have no account \"chem\"; yours: demo, bio\n");
	/* 100 tasks of 2 CPUs are 200. */
	says("ntasks = 100\ncpus_per_task = 2\n", "config.ini:4: ntasks: 200 CPUs are wanted, and the "
		"partition debug has 128; gpu would take it\n");
	says("partition = gpu\ncpus_per_task = 61\n", "config.ini:5: cpus_per_task: 61 CPUs on one node "
		"are wanted, and a job may have 60 of a node in the partition gpu; debug would take it\n");
	says("partition = gpu\nntasks_per_node = 31\ncpus_per_task = 2\n", "config.ini:5: "
		"ntasks_per_node: 62 CPUs on one node are wanted, and a job may have 60 of a node in the "
		"partition gpu; debug would take it\n");
	/* Two nodes give 120. */
	says("partition = gpu\nnodes = 2\nntasks = 121\n", "config.ini:6: ntasks: 121 CPUs on 2 nodes "
		"are wanted, and a job may have 60 of a node in the partition gpu; no partition would take "
		"it\n");
	says("ntasks = 129\novercommit = yes\n", "");
	says("ntasks = 999999999\ncpus_per_task = 100\nmem_per_cpu = 1M\n", "config.ini:4: ntasks: "
		"99999999900 CPUs are wanted, and the partition debug has 128; no partition would take it\n");
}

static void memory_is_compared(void **state)
{
	(void)state;
	/* 513M over 512000M, which are 500G; gpu's nodes are cut to 200000M = 195.3G. */
	says("mem = 501G\n", "config.ini:4: mem: 501G on one node are wanted, and a job may have 500G of "
		"a node in the partition debug; no partition would take it\n");
	says("partition = gpu\nmem = 200G\n", "config.ini:5: mem: 200G on one node are wanted, and a job "
		"may have 195.3G of a node in the partition gpu; debug would take it\n");
	/* 8 CPUs of one task: 512G. */
	says("mem_per_cpu = 64G\ncpus_per_task = 8\n", "config.ini:4: mem_per_cpu: 512G on one node are "
		"wanted, and a job may have 500G of a node in the partition debug; no partition would take "
		"it\n");
	says("mem_per_cpu = 64G\nntasks = 8\nnodes = 1\n", "config.ini:4: mem_per_cpu: 512G on one node "
		"are wanted, and a job may have 500G of a node in the partition debug; no partition would "
		"take it\n");
	/* Tasks that may be anywhere add up nowhere. */
	says("mem_per_cpu = 64G\nntasks = 8\n", "");
}

static void resources_and_features_are_compared(void **state)
{
	(void)state;
	says("gpus = 1\n", "config.ini:4: gpus: the nodes of the partition debug have no GPU; gpu would "
		"take it\n");
	says("gpus = 0\n", "");
	says("partition = gpu\ngres = gpu:h100:1\n", "config.ini:5: gres: the nodes of the partition gpu "
		"have no GPU of type h100, but a100,v100; no partition would take it\n");
	says("partition = gpu\ngres = lustre:1\n", "config.ini:5: gres: the nodes of the partition gpu "
		"have no lustre; no partition would take it\n");
	says("partition = gpu\ngpus_per_node = v100:3\n", "config.ini:5: gpus_per_node: 3 on one node are "
		"wanted, and the nodes of the partition gpu have 2; no partition would take it\n");
	/* 4 x 4 + 2 x 2 */
	says("partition = gpu\ngpus = 20\n", "");
	says("partition = gpu\ngpus = 21\n", "config.ini:5: gpus: 21 are wanted, and the partition gpu has "
		"20; no partition would take it\n");
	says("partition = gpu\ngpus = a100:5\nnodes = 1\n", "config.ini:5: gpus: 5 on one node are wanted, "
		"and a node of the partition gpu has 4; no partition would take it\n");
	says("constraint = skylake\n", "config.ini:4: constraint: no node of the partition debug has the "
		"feature skylake; no partition would take it\n");
	says("partition = gpu\nconstraint = a100|h100\n", "");
	says("partition = gpu\nconstraint = a100&h100\n", "config.ini:5: constraint: no node of the "
		"partition gpu has the feature h100; no partition would take it\n");
}

static void names_and_access_are_compared(void **state)
{
	(void)state;
	says("partition = debgu\n", "config.ini:4: partition: the cluster has no partition \"debgu\"; did "
		"you mean debug?; debug, gpu would take it\n");
	says("partition = xyz\ntime = 2:00:00\n", "config.ini:4: partition: the cluster has no partition "
		"\"xyz\"; gpu would take it\n");
	says("account = dmeo\n", "config.ini:4: account: you have no account \"dmeo\"; did you mean demo?; "
		"yours: demo, bio\n");
	says("qos = slow\n", "config.ini:4: qos: you may not use a QOS \"slow\"; those of the account demo: "
		"normal, fast\n");
	/* bio's own is refused by gpu alone. */
	says("account = bio\npartition = gpu\n", "config.ini:5: partition: the partition gpu does not take "
		"the QOS slow; debug would take it\n");
	says("partition = wide\n", "config.ini:4: partition: the partition wide takes only the accounts "
		"chem, and the job's is demo; debug, gpu would take it\n");
}

static void waiting_breaks_no_limit(void **state)
{
	struct limits *limits = told(partitions, "wide" S "32" S "128000" S "down*" S "60" S "" S "\n"
		"wide" S "32" S "128000" S "drained" S "40" S "" S "\n", "", "user ann");
	struct strbuf broken AUTO_STRBUF = STRBUF_INIT;
	struct strbuf waits AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	judge(limits, "partition = off,wide\n", &broken, &waits);
	limits_unref(limits);
	assert_string_equal(broken.data, "");
	assert_string_equal(waits.data, "the partition off is in the state DOWN: the job waits until it "
		"is UP\nall nodes of the partition wide are down or drained: the job waits\n");
}

static void what_is_not_told_limits_nothing(void **state)
{
	static const char all[] = "partition = p\ntime = 9-00:00:00\nnodes = 99\nntasks = 9999\n"
		"cpus_per_task = 999\nmem = 9T\ngpus = 9\nconstraint = x\naccount = a\nqos = q\n";
	struct strbuf broken AUTO_STRBUF = STRBUF_INIT;
	struct strbuf waits AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	judge(NULL, all, &broken, &waits);
	struct limits *limits = limits_parse("", 0, 1);
	judge(limits, all, &broken, &waits);
	limits_unref(limits);
	limits = told("PartitionName=p AllowAccounts=z AllowQos=y\n", "", "", "");
	judge(limits, "partition = p\ntime = 9-00:00:00\nnodes = 99\nntasks = 9999\n"
		"cpus_per_task = 999\nmem = 9T\ngpus = 9\nconstraint = x\n", &broken, &waits);
	limits_unref(limits);
	/* At least so much: nobody knows where it ends. */
	limits = told("PartitionName=p\n", "p" S "8+" S "1000+" S "idle" S "2" S "" S "\n", "", "");
	judge(limits, "partition = p\nntasks_per_node = 9\nmem = 9T\n", &broken, &waits);
	limits_unref(limits);
	assert_string_equal(broken.data, "");
	assert_string_equal(waits.data, "");
}

static void a_line_is_named_where_it_stands(void **state)
{
	struct limits *limits = told(partitions, nodes, assocs, "user ann");
	struct strbuf broken AUTO_STRBUF = STRBUF_INIT;
	struct strbuf waits AUTO_STRBUF = STRBUF_INIT;
	struct jobspec *spec = jobspec_new();
	struct limits_request request = {.spec = spec, .own = 1, .script = "run.sh"};

	(void)state;
	jobspec_pairs_add(&spec->slurm, "time", "02:00:00", 3);
	jobspec_pairs_add(&spec->slurm, "nodes", "2", 9);
	jobspec_pairs_add(&spec->slurm, "gpus", "1", 0);
	limits_judge(&request, limits, &broken, &waits);
	assert_string_equal(broken.data,
		"config.ini:3: time: 02:00:00 is over the 01:00:00 that the partition debug allows; gpu "
		"would take it\n"
		"run.sh:9: nodes: 2, where the partition debug has 1; gpu would take it\n"
		"the profile's [defaults]: gpus: the nodes of the partition debug have no GPU; gpu would "
		"take it\n");
	jobspec_free(spec);
	limits_unref(limits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_fits_is_not_spoken_of),
		cmocka_unit_test(time_is_compared),
		cmocka_unit_test(nodes_and_cpus_are_compared),
		cmocka_unit_test(memory_is_compared),
		cmocka_unit_test(resources_and_features_are_compared),
		cmocka_unit_test(names_and_access_are_compared),
		cmocka_unit_test(waiting_breaks_no_limit),
		cmocka_unit_test(what_is_not_told_limits_nothing),
		cmocka_unit_test(a_line_is_named_where_it_stands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
