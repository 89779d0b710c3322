#include "slurm_option.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define NONE SLURM_ARG_NONE
#define OPTIONAL SLURM_ARG_OPTIONAL
#define REQUIRED SLURM_ARG_REQUIRED

#define FLAG(name, short) {.key = name, .letter = short, .arg = NONE, .type = SLURM_FLAG}
#define TAKES(name, short, what) {.key = name, .letter = short, .arg = REQUIRED, .type = what}
#define MAY_TAKE(name, short, what) {.key = name, .letter = short, .arg = OPTIONAL, .type = what}
#define ONE_OF(name, words) {.key = name, .arg = REQUIRED, .type = SLURM_CHOICE, .choices = words}
#define IN_GROUP(name, short, takes, what, which) \
	{.key = name, .letter = short, .arg = takes, .type = what, .group = which}
#define OURS(name, short, takes, text) \
	{.key = name, .letter = short, .arg = takes, .type = SLURM_TEXT, .instead = text}
#define IDLE(name, short, takes, text, values) \
	{.key = name, .letter = short, .arg = takes, .type = SLURM_TEXT, .instead = text, .idle = values}

static const struct slurm_option options[] = {
	TAKES("account", 'A', SLURM_WORD),
	TAKES("acctg_freq", 0, SLURM_SPEC),
	TAKES("array", 'a', SLURM_ARRAY),
	TAKES("batch", 0, SLURM_FEATURES),
	TAKES("bb", 0, SLURM_TEXT),
	TAKES("bbf", 0, SLURM_PATH),
	TAKES("begin", 'b', SLURM_BEGIN),
	TAKES("cluster_constraint", 0, SLURM_FEATURES),
	TAKES("comment", 0, SLURM_TEXT),
	TAKES("constraint", 'C', SLURM_FEATURES),
	TAKES("container", 0, SLURM_PATH),
	TAKES("container_id", 0, SLURM_WORD),
	FLAG("contiguous", 0),
	IN_GROUP("core_spec", 'S', REQUIRED, SLURM_INDEX, SLURM_GROUP_SPECIAL),
	TAKES("cores_per_socket", 0, SLURM_NODES),
	TAKES("cpu_freq", 0, SLURM_SPEC),
	TAKES("cpus_per_gpu", 0, SLURM_COUNT),
	TAKES("cpus_per_task", 'c', SLURM_COUNT),
	TAKES("deadline", 0, SLURM_BEGIN),
	TAKES("delay_boot", 0, SLURM_COUNT),
	TAKES("distribution", 'm', SLURM_SPEC),
	TAKES("error", 'e', SLURM_PATH),
	TAKES("exclude", 'x', SLURM_HOSTS),
	{.key = "exclusive", .arg = OPTIONAL, .type = SLURM_CHOICE, .choices = "user mcs topo"},
	TAKES("extra", 0, SLURM_TEXT),
	TAKES("extra_node_info", 'B', SLURM_SPEC),
	MAY_TAKE("get_user_env", 0, SLURM_SPEC),
	TAKES("gpu_bind", 0, SLURM_SPEC),
	TAKES("gpu_freq", 0, SLURM_SPEC),
	TAKES("gpus", 'G', SLURM_GPUS),
	TAKES("gpus_per_node", 0, SLURM_GPUS),
	TAKES("gpus_per_socket", 0, SLURM_GPUS),
	TAKES("gpus_per_task", 0, SLURM_GPUS),
	TAKES("gres", 0, SLURM_GRES),
	TAKES("gres_flags", 0, SLURM_WORDS),
	ONE_OF("hint", "compute_bound memory_bound multithread nomultithread"),
	FLAG("hold", 'H'),
	TAKES("input", 'i', SLURM_PATH),
	TAKES("job_name", 'J', SLURM_TEXT),
	TAKES("kill_on_invalid_dep", 0, SLURM_YESNO),
	TAKES("licenses", 'L', SLURM_LICENSES),
	TAKES("mail_type", 0, SLURM_MAIL),
	TAKES("mail_user", 0, SLURM_ADDRESS),
	TAKES("mcs_label", 0, SLURM_WORD),
	IN_GROUP("mem", 0, REQUIRED, SLURM_MEMORY, SLURM_GROUP_MEMORY),
	TAKES("mem_bind", 0, SLURM_SPEC),
	IN_GROUP("mem_per_cpu", 0, REQUIRED, SLURM_MEMORY, SLURM_GROUP_MEMORY),
	IN_GROUP("mem_per_gpu", 0, REQUIRED, SLURM_MEMORY, SLURM_GROUP_MEMORY),
	TAKES("mincpus", 0, SLURM_COUNT),
	TAKES("network", 0, SLURM_SPEC),
	MAY_TAKE("nice", 0, SLURM_INTEGER),
	{.key = "no_kill", .letter = 'k', .arg = OPTIONAL, .type = SLURM_CHOICE, .choices = "off"},
	IN_GROUP("no_requeue", 0, NONE, SLURM_FLAG, SLURM_GROUP_REQUEUE),
	TAKES("nodefile", 'F', SLURM_PATH),
	TAKES("nodelist", 'w', SLURM_HOSTS),
	TAKES("nodes", 'N', SLURM_NODES),
	TAKES("ntasks", 'n', SLURM_COUNT),
	TAKES("ntasks_per_core", 0, SLURM_COUNT),
	TAKES("ntasks_per_gpu", 0, SLURM_COUNT),
	TAKES("ntasks_per_node", 0, SLURM_COUNT),
	TAKES("ntasks_per_socket", 0, SLURM_COUNT),
	{.key = "oom_kill_step", .arg = OPTIONAL, .type = SLURM_CHOICE, .choices = "0 1"},
	ONE_OF("open_mode", "append truncate"),
	TAKES("output", 'o', SLURM_PATH),
	FLAG("overcommit", 'O'),
	FLAG("oversubscribe", 's'),
	TAKES("partition", 'p', SLURM_WORDS),
	TAKES("power", 0, SLURM_SPEC),
	TAKES("prefer", 0, SLURM_FEATURES),
	TAKES("priority", 0, SLURM_WORD),
	TAKES("profile", 0, SLURM_WORDS),
	MAY_TAKE("propagate", 0, SLURM_WORDS),
	TAKES("qos", 'q', SLURM_WORDS),
	FLAG("reboot", 0),
	IN_GROUP("requeue", 0, NONE, SLURM_FLAG, SLURM_GROUP_REQUEUE),
	TAKES("reservation", 0, SLURM_WORDS),
	MAY_TAKE("resv_ports", 0, SLURM_COUNT),
	TAKES("segment", 0, SLURM_COUNT),
	TAKES("signal", 0, SLURM_SIGNAL),
	TAKES("sockets_per_node", 0, SLURM_NODES),
	FLAG("spread_job", 0),
	FLAG("stepmgr", 0),
	TAKES("switches", 0, SLURM_SWITCHES),
	IN_GROUP("thread_spec", 0, REQUIRED, SLURM_INDEX, SLURM_GROUP_SPECIAL),
	TAKES("threads_per_core", 0, SLURM_COUNT),
	TAKES("time", 't', SLURM_TIME),
	TAKES("time_min", 0, SLURM_TIME),
	TAKES("tmp", 0, SLURM_MEMORY),
	TAKES("tres_bind", 0, SLURM_SPEC),
	TAKES("tres_per_task", 0, SLURM_SPEC),
	FLAG("use_min_nodes", 0),
	ONE_OF("wait_all_nodes", "0 1"),
	TAKES("wckey", 0, SLURM_WORD),

	IDLE("chdir", 'D', REQUIRED, "the job always runs in its own directory (work/); list what it needs "
		"in [job] files or [inputs]", ". ./ $PWD $SLURM_SUBMIT_DIR"),
	IDLE("wait", 'W', NONE, "read wait/NAME in the mount to wait for the job's end", "*"),
	IDLE("parsable", 0, NONE, "read the job's slurm_id file instead", "*"),
	OURS("test_only", 0, NONE, "drafts/NAME/problems shows what is wrong before anything is submitted"),
	OURS("wrap", 0, REQUIRED, "write the command line to [job] command"),
	OURS("clusters", 'M', REQUIRED, "a mount is one cluster; mount the other one, too"),
	OURS("dependency", 'd', REQUIRED, "name the other job in [job] after"),
	IDLE("export", 0, REQUIRED, "write the variables to [environment]", "ALL NONE all none"),
	OURS("export_file", 0, REQUIRED, "write the variables to [environment]"),
	IDLE("ignore_pbs", 0, NONE, "it is always in force; leave it out", "*"),
	OURS("uid", 0, REQUIRED, "a job runs as the user who mounted"),
	OURS("gid", 0, REQUIRED, "a job runs as the user who mounted"),
	IDLE("quiet", 'Q', NONE, "nothing is printed; leave it out", "*"),
	IDLE("verbose", 'v', NONE, "nothing is printed; leave it out", "*"),
	OURS("help", 'h', NONE, "it makes no job; leave it out"),
	OURS("usage", 0, NONE, "it makes no job; leave it out"),
	OURS("version", 'V', NONE, "it makes no job; leave it out"),
};

#define OPTIONS (sizeof(options) / sizeof(*options))

struct rename {
	const char *wrong, *right;
};

/* What older versions of sbatch were told, and still understand. */
static const struct rename older[] = {
	{"share", "oversubscribe"}, {"tasks", "ntasks"}, {"tasks_per_node", "ntasks_per_node"},
	{"workdir", "chdir"}, {"cluster", "clusters"},
};

/* Names from other schedulers and from the tongue; distance alone would lead astray. */
static const struct rename wrong_names[] = {
	{"memory", "mem"}, {"ram", "mem"}, {"vmem", "mem"}, {"mem_per_node", "mem"},
	{"memory_per_cpu", "mem_per_cpu"}, {"mem_per_core", "mem_per_cpu"},
	{"walltime", "time"}, {"wall_time", "time"}, {"wall", "time"}, {"timelimit", "time"},
	{"time_limit", "time"}, {"duration", "time"}, {"runtime", "time"}, {"max_time", "time"},
	{"cores", "ntasks"}, {"tasks", "ntasks"}, {"nproc", "ntasks"}, {"nprocs", "ntasks"},
	{"procs", "ntasks"}, {"processes", "ntasks"}, {"np", "ntasks"}, {"ranks", "ntasks"},
	{"cpus", "cpus_per_task"}, {"ncpus", "cpus_per_task"}, {"threads", "cpus_per_task"},
	{"ppn", "ntasks_per_node"}, {"tasks_per_node", "ntasks_per_node"},
	{"cores_per_node", "ntasks_per_node"}, {"node", "nodes"}, {"nnodes", "nodes"},
	{"queue", "partition"}, {"email", "mail_user"}, {"mail", "mail_user"}, {"e_mail", "mail_user"},
	{"notify", "mail_type"}, {"notification", "mail_type"}, {"gpu", "gpus"}, {"ngpus", "gpus"},
	{"stdout", "output"}, {"stderr", "error"}, {"stdin", "input"}, {"host", "nodelist"},
	{"hosts", "nodelist"}, {"feature", "constraint"}, {"features", "constraint"},
	{"license", "licenses"}, {"project", "account"}, {"charge", "account"}, {"start", "begin"},
	{"share", "oversubscribe"}, {"shared", "oversubscribe"}, {"workdir", "chdir"},
	{"depend", "dependency"}, {"after", "dependency"}, {"cluster", "clusters"},
	{"env", "export"}, {"name", "job_name"}, {"quality", "qos"}, {"rerun", "requeue"},
};

static const char *renamed(const struct rename *table, size_t count, const char *name, size_t len)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(table[i].wrong) == len && !strncasecmp(table[i].wrong, name, len))
			return table[i].right;
	return NULL;
}

const struct slurm_option *slurm_option_find(const char *key)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (!strcmp(options[i].key, key))
			return &options[i];
	return NULL;
}

const struct slurm_option *slurm_option_by_letter(char letter)
{
	for (size_t i = 0; letter && i < OPTIONS; i++)
		if (options[i].letter == letter)
			return &options[i];
	return NULL;
}

const struct slurm_option *slurm_option_of_sbatch(const char *name, size_t len)
{
	char key[40];
	const struct slurm_option *found = NULL;

	if (!len || len >= sizeof(key))
		return NULL;
	for (size_t i = 0; i < len; i++) {
		if (name[i] == '_')
			return NULL;
		key[i] = name[i] == '-' ? '_' : name[i];
	}
	key[len] = '\0';
	const struct slurm_option *exact = slurm_option_find(key);
	const char *other = renamed(older, sizeof(older) / sizeof(*older), key, len);
	if (exact || other)
		return exact ? exact : slurm_option_find(other);
	for (size_t i = 0; i < OPTIONS; i++) {
		if (strncmp(options[i].key, key, len))
			continue;
		if (found)
			return NULL;
		found = &options[i];
	}
	return found;
}

static char folded(char c)
{
	return c == '-' || c == ' ' ? '_' : (char)tolower((unsigned char)c);
}

#define NAME_LONGEST 40

/* Levenshtein's distance, two neighbours swapped counting as one edit. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][NAME_LONGEST + 1];
	size_t *before = rows[0], *last = rows[1], *now = rows[2];
	size_t m = strlen(a), n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		last[j] = j;
	for (size_t i = 1; i <= m; i++) {
		now[0] = i;
		for (size_t j = 1; j <= n; j++) {
			char x = folded(a[i - 1]), y = folded(b[j - 1]);
			size_t d = last[j - 1] + (x != y);

			d = last[j] + 1 < d ? last[j] + 1 : d;
			d = now[j - 1] + 1 < d ? now[j - 1] + 1 : d;
			if (i > 1 && j > 1 && x == folded(b[j - 2]) && y == folded(a[i - 2]) &&
				before[j - 2] + 1 < d)
				d = before[j - 2] + 1;
			now[j] = d;
		}
		size_t *oldest = before;
		before = last;
		last = now;
		now = oldest;
	}
	return last[n];
}

const char *name_nearest(const char *name, const char *const *names, size_t count)
{
	const char *best = NULL;
	size_t len = strlen(name);
	size_t limit = len < 3 ? 1 : len < 6 ? 2 : len / 3 + 1; /* the first distance too far */

	if (len > NAME_LONGEST)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		if (strlen(names[i]) > NAME_LONGEST)
			continue;
		size_t d = distance(name, names[i]);
		if (d < limit) {
			limit = d;
			best = names[i];
		}
	}
	return best;
}

/* The right key for a common wrong name, or NULL. */
static const char *right_name(const char *key)
{
	char tidy[NAME_LONGEST + 1];
	size_t len = strlen(key);

	if (len > NAME_LONGEST)
		return NULL;
	for (size_t i = 0; i <= len; i++)
		tidy[i] = key[i] ? folded(key[i]) : '\0';
	return renamed(wrong_names, sizeof(wrong_names) / sizeof(*wrong_names), tidy, len);
}

const char *slurm_option_suggest(const char *key)
{
	const char *names[OPTIONS];
	const char *right = right_name(key);

	for (size_t i = 0; i < OPTIONS; i++)
		names[i] = options[i].key;
	return right ? right : name_nearest(key, names, OPTIONS);
}

const char *slurm_option_slip(const char *key)
{
	const char *near = slurm_option_suggest(key);

	return near && (near == right_name(key) || distance(key, near) <= 2) ? near : NULL;
}
