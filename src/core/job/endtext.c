#include "endtext.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

/* The value of a fact, the caller's to free; NULL where it is not there. */
static char *fact(const char *facts, const char *key)
{
	size_t len = strlen(key);

	while (*facts) {
		size_t line = strcspn(facts, "\n");

		if (line > len + 3 && !strncmp(facts, key, len) && !strncmp(facts + len, " = ", 3))
			return xstrndup(facts + len + 3, line - len - 3);
		facts += line + (facts[line] != '\0');
	}
	return NULL;
}

static int number(const char *facts, const char *key)
{
	AUTO_FREE char *value = fact(facts, key);

	return value ? atoi(value) : -1;
}

/* " (4G asked for, 3900M used)": up to 20.11 a suffix says for what it was asked. */
static void add_memory(const char *facts, struct strbuf *out)
{
	AUTO_FREE char *asked = fact(facts, "req_mem");
	AUTO_FREE char *used = fact(facts, "max_rss");
	const char *each = "";
	size_t len = asked ? strlen(asked) : 0;

	if (len > 1 && (asked[len - 1] == 'c' || asked[len - 1] == 'n')) {
		each = asked[len - 1] == 'c' ? " per CPU" : " per node";
		asked[len - 1] = '\0';
	}
	if (asked)
		strbuf_addf(out, " (%s%s asked for%s%s%s)", asked, each, used ? ", " : "",
			used ? used : "", used ? " seen in use" : "");
	else if (used)
		strbuf_addf(out, " (%s seen in use)", used);
}

static void add(struct strbuf *out, const char *what, const char *why, const char *remedy)
{
	strbuf_addf(out, "%s\nWhy: %s\nWhat to do: %s\n", what, why, remedy);
}

/* Ends by the wrapper of our own (script_wrapper.h), by the shell, and by a signal, which the shell
 * tells as 128 and its number. */
static const struct {
	int code;
	const char *what, *why, *remedy;
} codes[] = {
	{118, "The job ended before its command ran: a job that it waited for is not what it was then "
		"(exit code 118).", "that one was requeued, or has ended otherwise since; the end of stderr "
		"names it.", "when that job has ended as [job] after asks, drop this one again."},
	{120, "The job ended before its command ran: another job holds its directory (exit code 120).",
		"Slurm had this job twice; the other one goes on.", "nothing."},
	{121, "The job ended before its command ran: it could not use its directory (exit code 121).",
		"the file system of the directory was not there on the node, was full, or had been "
		"purged; the end of stderr says which.",
		"drop it again; if it repeats, ask the cluster's help desk about that node."},
	{122, "The job ended before its command ran: a module could not be loaded (exit code 122).",
		"the name is wrong, or the module needs another one first; a line `slurmount: module ...` at the end of stderr names it.",
		"look at `module avail` and `module spider NAME` on the cluster, and mend load or use in "
		"[modules]."},
	{124, "The job's command was ended by a time limit of its own (exit code 124).",
		"`timeout` in the job's script says so.", "raise that limit."},
	{126, "A program of the job could not be run (exit code 126).",
		"the file is not executable, or is made for another kind of machine; stderr names it.",
		"make it executable (chmod +x) before it is dropped, or build it on the cluster."},
	{127, "A program of the job was not found (exit code 127).",
		"it is not installed on the node, or what brings it is not loaded; stderr names it.",
		"name its module in [modules] load, or write its whole path."},
	{134, "The job's program gave up (exit code 134, SIGABRT).",
		"it met something that it takes for impossible; its last words are in stderr.",
		"read the end of stdout and stderr."},
	{136, "The job's program crashed (exit code 136, SIGFPE).",
		"it divided by zero, or its numbers grew without bounds.",
		"look at the last values in stdout: an unstable start is the usual cause."},
	{135, "The job's program crashed (exit code 135, SIGBUS).",
		"a file that it has mapped was cut short, or a disk or /dev/shm was full.",
		"look for full quotas; else run it on another node."},
	{139, "The job's program crashed (exit code 139, SIGSEGV).",
		"it touched memory that is not its own: a fault in it, an input that it does not expect, "
		"libraries of another version than it was built with, or too small a stack.",
		"read the end of stderr; load the modules that it was built with."},
	{143, "The job's program was ended from outside (exit code 143, SIGTERM).",
		"somebody or something asked it to end.", "read the end of stderr."},
};

static void explain_kill(const char *facts, struct strbuf *out)
{
	strbuf_adds(out, "The job's program was killed (SIGKILL)");
	add_memory(facts, out);
	add(out, ".", "nearly always because the node had no memory left for it.",
		"ask for more ([slurm] mem or mem_per_cpu), or for fewer processes on a node.");
}

static void explain_failure(const char *facts, struct strbuf *out)
{
	int code = number(facts, "exit_code"), signal = number(facts, "signal");

	/* Slurm's own number for a node that could not begin the job (slurm_errno.h). */
	if (code <= 0 && signal == 53) {
		add(out, "Slurm could not start the job on its node.",
			"most often the folder of an output or error file is not there.",
			"look at output and error in [slurm].");
		return;
	}
	if (code <= 0 && signal > 0 && signal < 65)
		code = 128 + signal;
	if (code == 137) {
		explain_kill(facts, out);
		return;
	}
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (codes[i].code == code) {
			add(out, codes[i].what, codes[i].why, codes[i].remedy);
			return;
		}
	strbuf_adds(out, "The job's own command failed");
	if (code > 128 && code < 193)
		strbuf_addf(out, ": it was ended by signal %d", code - 128);
	else if (code > 0)
		strbuf_addf(out, " with exit code %d", code);
	add(out, ".", "its own words are in stdout and stderr, mostly at their ends.",
		"mend what they name.");
}

static void explain_timeout(const char *facts, struct strbuf *out)
{
	AUTO_FREE char *limit = fact(facts, "time_limit");

	strbuf_addf(out, "The job reached its time limit%s%s and was ended by Slurm",
		limit ? " of " : "", limit ? limit : "");
	add(out, ".", "it needs longer than it asked for, or hangs; progress and stdout tell which.",
		"ask for more ([slurm] time), or let it write restart files and go on from them.");
}

static void explain_memory(const char *facts, struct strbuf *out)
{
	strbuf_adds(out, "The job used more memory than it had");
	add_memory(facts, out);
	add(out, " and was ended.", "what it computes needs more than it asked for.",
		"ask for more ([slurm] mem or mem_per_cpu), or for fewer processes on a node.");
}

static void explain_node(const char *facts, struct strbuf *out)
{
	AUTO_FREE char *nodes = fact(facts, "node_list");

	strbuf_addf(out, "A node of the job failed%s%s", nodes ? ": " : "", nodes ? nodes : "");
	add(out, ".", "the machine or its network broke; this is no fault of the job.",
		"write requeue to ctl, or drop it again.");
}

static const struct {
	const char *state, *what, *why, *remedy;
} others[] = {
	{"PREEMPTED", "The job was ended in favour of another with higher priority.",
		"its partition or qos lets others go first.",
		"write requeue to ctl; [slurm] requeue = yes makes Slurm do that by itself."},
	{"BOOT_FAIL", "The job's nodes did not start.", "the machines could not be booted; this is no "
		"fault of the job.", "write requeue to ctl, or drop it again."},
	{"DEADLINE", "The job could not end before its deadline, and was removed.",
		"the queue was too long for it.", "set a later deadline in [slurm], or a shorter time."},
	{"UNKNOWN", "Slurm no longer knows the job, and nothing that it left behind proves how it "
		"ended.", "Slurm forgets ended jobs after a while, and this cluster keeps no accounts of "
		"it.", "look at its output in work/."},
};

void endtext_explain(const char *state, const char *facts, struct strbuf *out)
{
	if (!strcmp(state, "FAILED"))
		explain_failure(facts, out);
	else if (!strcmp(state, "TIMEOUT"))
		explain_timeout(facts, out);
	else if (!strcmp(state, "OUT_OF_MEMORY"))
		explain_memory(facts, out);
	else if (!strcmp(state, "NODE_FAIL"))
		explain_node(facts, out);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (!strcmp(others[i].state, state))
			add(out, others[i].what, others[i].why, others[i].remedy);
}
