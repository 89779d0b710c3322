#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "err.h"
#include "script.h"
#include "template.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"

static char base[64];
static char *workdir;
static char *records;

static struct script_place place_here(void)
{
	return (struct script_place){
		.uuid = UUID, .name = "mysim", .workdir = workdir, .records = records};
}

static struct jobspec *command_spec(const char *command)
{
	struct jobspec *spec = jobspec_new();

	spec->kind = JOBSPEC_COMMAND;
	spec->command = xstrdup(command);
	return spec;
}

static char *path_of(const char *folder, const char *name)
{
	return xasprintf("%s/%s", folder, name);
}

static void write_file(const char *folder, const char *name, const char *text)
{
	char *path AUTO_FREE = path_of(folder, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void read_file(const char *folder, const char *name, struct strbuf *ret)
{
	char *path AUTO_FREE = path_of(folder, name);
	FILE *file AUTO_FCLOSE = fopen(path, "r");
	char buffer[4096];
	size_t n;

	while (file && (n = fread(buffer, 1, sizeof(buffer), file)) > 0)
		strbuf_add(ret, buffer, n);
}

static bool exists(const char *folder, const char *name)
{
	char *path AUTO_FREE = path_of(folder, name);

	return access(path, F_OK) == 0;
}

static void wait_for(const char *folder, const char *name)
{
	for (int i = 0; i < 500 && !exists(folder, name); i++)
		usleep(10000);
	assert_true(exists(folder, name));
}

/* Renders, verifies, and writes the script. */
static void prepare(struct jobspec *spec, const struct script_place *place, const char *body_line)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;

	script_render(spec, place, body_line, &text, &why);
	assert_string_equal(why.data, "");
	assert_int_equal(script_verify(spec, place, text.data, text.len, &why), 0);
	write_file(base, "script", text.data);
	jobspec_free(spec);
}

static pid_t start(const char *id)
{
	char *script AUTO_FREE = path_of(base, "script");
	char *out AUTO_FREE = path_of(base, "out");
	char *err AUTO_FREE = path_of(base, "err");
	pid_t pid = fork();

	if (pid == 0) {
		setenv("SLURM_JOB_ID", id, 1);
		setenv("SLURM_CPUS_ON_NODE", "4", 1);
		if (!freopen(out, "w", stdout) || !freopen(err, "w", stderr))
			_exit(99);
		execl("/bin/bash", "bash", script, (char *)NULL);
		_exit(98);
	}
	return pid;
}

static int finish(pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void expect_output(const char *expected)
{
	struct strbuf out AUTO_STRBUF = STRBUF_INIT;

	read_file(base, "out", &out);
	assert_string_equal(out.data, expected);
}

static void expect_record(const char *name, const char *beginning)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	read_file(records, name, &text);
	text.data[strlen(text.data) < strlen(beginning) ? strlen(text.data) : strlen(beginning)] = 0;
	assert_string_equal(text.data, beginning);
}

/* A job that waited for `parent`, whose records are as they were written: its exit status. */
static int after_parent(const char *want)
{
	struct script_place place = place_here();
	AUTO_FREE char *record = path_of(records, "parent");
	struct script_parent parent = {.name = (char *)"the 'parent'", .record = record, .want = want};

	place.parents = &parent;
	place.parent_count = 1;
	prepare(command_spec("echo ran"), &place, NULL);
	return finish(start("5"));
}

static void looks_at_its_parents_once_more(void **state)
{
	struct strbuf err AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	/* Nothing is known: nothing contradicts. */
	assert_int_equal(after_parent("ok"), 0);
	expect_output("ran\n");
	write_file(records, "parent.start", "job 4\nrestart 0\n");
	write_file(records, "parent.end", "exit 0\njob 4\nrestart 0\n");
	assert_int_equal(after_parent("ok"), 0);
	assert_int_equal(after_parent("any"), 0);
	assert_int_equal(after_parent("failed"), SCRIPT_EXIT_PARENT);
	/* Ended well though a signal came: Slurm's word stands, COMPLETED or not. */
	write_file(records, "parent.end", "exit 0\nsignal TERM\njob 4\n");
	assert_int_equal(after_parent("ok"), 0);
	assert_int_equal(after_parent("failed"), 0);
	write_file(records, "parent.end", "exit 3\njob 4\nrestart 1\n");
	assert_int_equal(after_parent("failed"), 0);
	assert_int_equal(after_parent("any"), 0);
	assert_int_equal(after_parent("ok"), SCRIPT_EXIT_PARENT);
	expect_output("");
	read_file(base, "err", &err);
	assert_non_null(strstr(err.data, "the 'parent', which has ended with exit 3"));
	/* Of an array one task is enough. */
	write_file(records, "parent.end", "exit 0\njob 4\n");
	write_file(records, "parent_7.start", "job 4\n");
	write_file(records, "parent_7.end", "exit 1\njob 4\n");
	assert_int_equal(after_parent("ok"), SCRIPT_EXIT_PARENT);
	assert_int_equal(after_parent("failed"), 0);
}

static void a_parent_that_runs_again_ends_it(void **state)
{
	struct strbuf err AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	write_file(records, "parent.start", "job 4\nrestart 1\n");
	assert_int_equal(after_parent("ok"), SCRIPT_EXIT_PARENT);
	read_file(base, "err", &err);
	assert_non_null(strstr(err.data, "which runs again"));
	expect_record(UUID ".end", "exit 118\n");
	assert_int_equal(after_parent("any"), 0);
}

static void directives_stand_first(void **state)
{
	struct jobspec *spec;
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct script_place place = place_here();
	const char expected[] =
		"#!/bin/bash\n"
		"#SBATCH --job-name=mysim\n"
		"#SBATCH --chdir=/scratch/me/x\n"
		"#SBATCH --output=slurm-%A_%a.out\n"
		"#SBATCH --open-mode=append\n"
		"#SBATCH --array=0-3%2\n"
		"#SBATCH --ntasks-per-node=4\n"
		"#SBATCH --requeue\n"
		"#SBATCH --comment=\"say \\\"hi\\\" # \\\\ all\"\n"
		"\n";

	(void)state;
	place.workdir = "/scratch/me/x";
	spec = command_spec("true");
	jobspec_pairs_add(&spec->slurm, "array", "0-3%2", 1);
	jobspec_pairs_add(&spec->slurm, "ntasks_per_node", "4", 2);
	jobspec_pairs_add(&spec->slurm, "requeue", "", 3);
	jobspec_pairs_add(&spec->slurm, "comment", "say \"hi\" # \\ all", 4);
	assert_int_equal(script_render(spec, &place, NULL, &text, NULL), 0);
	assert_memory_equal(text.data, expected, sizeof(expected) - 1);
	assert_int_equal(script_verify(spec, &place, text.data, text.len, NULL), 0);
	strbuf_adds(&text, "#SBATCH --wrap=evil\n");
	assert_int_equal(script_verify(spec, &place, text.data, text.len, NULL), -EINVAL);
	jobspec_free(spec);
}

static void what_was_asked_for_must_be_there(void **state)
{
	struct jobspec *spec = command_spec("true");
	struct script_place place = place_here();
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	assert_int_equal(script_render(spec, &place, NULL, &text, NULL), 0);
	jobspec_pairs_add(&spec->slurm, "nice", "5", 1);
	assert_int_equal(script_verify(spec, &place, text.data, text.len, NULL), -EINVAL);
	jobspec_free(spec);
}

static void refuse_pair(size_t offset, const char *key, const char *value)
{
	struct jobspec *spec = command_spec("true");
	struct script_place place = place_here();
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;

	jobspec_pairs_add((struct jobspec_pairs *)(void *)((char *)spec + offset), key, value, 1);
	assert_int_equal(script_render(spec, &place, NULL, &text, &why), -EINVAL);
	assert_true(why.len > 0);
	assert_int_equal(text.len, 0);
	jobspec_free(spec);
}

static void refuses_what_could_steer(void **state)
{
	(void)state;
	refuse_pair(offsetof(struct jobspec, slurm), "comment", "a\n#SBATCH --wrap=x");
	refuse_pair(offsetof(struct jobspec, slurm), "wrap", "x");
	refuse_pair(offsetof(struct jobspec, slurm), "export", "ALL");
	refuse_pair(offsetof(struct jobspec, slurm), "nice=1 --wrap", "x");
	refuse_pair(offsetof(struct jobspec, environment), "A;B", "x");
	refuse_pair(offsetof(struct jobspec, environment), "UID", "0");
	refuse_pair(offsetof(struct jobspec, environment), "BASH_ENV", "$(touch canary)");
	refuse_pair(offsetof(struct jobspec, environment), "PS4", "`touch canary`");
	refuse_pair(offsetof(struct jobspec, environment), "slurmount_uuid", "x");
	refuse_pair(offsetof(struct jobspec, modules), "load", "--help");
}

static void runs_a_command_and_records_its_end(void **state)
{
	struct script_place place = place_here();

	(void)state;
	prepare(command_spec("pwd; read x || echo \"no input\"; echo \"$SLURM_EXPORT_ENV\"; exit 3"),
		&place, NULL);
	assert_int_equal(finish(start("77")), 3);
	char *expected AUTO_FREE = xasprintf("%s\nno input\nALL\n", workdir);
	expect_output(expected);
	expect_record(UUID ".start", "job 77\nrestart 0\ntime 1");
	expect_record(UUID ".end", "exit 3\njob 77\nrestart 0\ntime 1");
}

static void the_claim_is_one_jobs(void **state)
{
	struct script_place place = place_here();
	struct strbuf err AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	prepare(command_spec("[ -e " "../records/" UUID ".end ] && echo stale; echo run >>runs"),
		&place, NULL);
	assert_int_equal(finish(start("77")), 0);
	assert_int_equal(finish(start("78")), SCRIPT_EXIT_CLAIMED);
	read_file(base, "err", &err);
	assert_non_null(strstr(err.data, "job 77's"));
	expect_record(UUID ".end", "exit 0\njob 77\n");
	setenv("SLURM_RESTART_COUNT", "1", 1);
	assert_int_equal(finish(start("77")), 0);
	unsetenv("SLURM_RESTART_COUNT");
	expect_output("");
	expect_record(UUID ".end", "exit 0\njob 77\nrestart 1\n");
	strbuf_reset(&err);
	read_file(workdir, "runs", &err);
	assert_string_equal(err.data, "run\nrun\n");
}

static void a_directory_that_is_gone_fails_loudly(void **state)
{
	struct script_place place = place_here();
	char *gone AUTO_FREE = path_of(base, "gone");

	(void)state;
	place.workdir = gone;
	prepare(command_spec("true"), &place, NULL);
	assert_int_equal(finish(start("77")), SCRIPT_EXIT_NO_CLAIM);
	assert_false(exists(records, UUID ".start"));
}

static void array_tasks_have_records_of_their_own(void **state)
{
	struct script_place place = place_here();

	(void)state;
	prepare(command_spec("exit $SLURM_ARRAY_TASK_ID"), &place, NULL);
	setenv("SLURM_ARRAY_JOB_ID", "70", 1);
	setenv("SLURM_ARRAY_TASK_ID", "5", 1);
	assert_int_equal(finish(start("71")), 5);
	setenv("SLURM_ARRAY_TASK_ID", "6", 1);
	assert_int_equal(finish(start("72")), 6);
	unsetenv("SLURM_ARRAY_JOB_ID");
	unsetenv("SLURM_ARRAY_TASK_ID");
	expect_record(UUID "_5.end", "exit 5\njob 70\n");
	expect_record(UUID "_6.end", "exit 6\njob 70\n");
}

static void forwards_and_records_signals(void **state)
{
	struct script_place place = place_here();
	pid_t pid;

	(void)state;
	prepare(command_spec("trap 'echo usr1' USR1; trap 'echo term; sleep 0.2; exit 9' TERM; "
		">ready; while :; do sleep 0.05; done"), &place, NULL);
	pid = start("77");
	wait_for(workdir, "ready");
	kill(pid, SIGUSR1);
	usleep(300000);
	kill(pid, SIGTERM);
	assert_int_equal(finish(pid), 9);
	expect_output("usr1\nterm\n");
	expect_record(UUID ".end", "exit 9\nsignal TERM\njob 77\n");
}

static void a_child_that_dies_of_the_signal_is_waited_for(void **state)
{
	struct script_place place = place_here();
	pid_t pid;

	(void)state;
	prepare(command_spec(">ready; exec sleep 60"), &place, NULL);
	pid = start("77");
	wait_for(workdir, "ready");
	kill(pid, SIGTERM);
	assert_int_equal(finish(pid), 143);
	expect_record(UUID ".end", "exit 143\nsignal TERM\n");
}

static void values_never_run(void **state)
{
	static const char hostile[] = "x'; >canary; '$(>canary)`>canary`\"$(>canary)\"\\";
	struct script_place place = place_here();
	struct jobspec *spec = command_spec("printf '%s|' \"$A\" \"$B\" \"$C\" \"$D\"");

	(void)state;
	jobspec_pairs_add(&spec->environment, "A", hostile, 1);
	jobspec_pairs_add(&spec->environment, "B", "$A/${A}", 2);
	jobspec_pairs_add(&spec->environment, "C", "$(>canary) ${A:-x} $1 $ $$ ${!A} $NOT_SET.", 3);
	jobspec_pairs_add(&spec->environment, "D", "", 4);
	jobspec_pairs_add(&spec->slurm, "comment", hostile, 5);
	prepare(spec, &place, NULL);
	assert_int_equal(finish(start("77")), 0);
	char *expected AUTO_FREE = xasprintf("%s|%s/%s|$(>canary) ${A:-x} $1 $ $$ ${!A} .||", hostile,
		hostile, hostile);
	expect_output(expected);
	assert_false(exists(workdir, "canary"));
}

static void modules_are_loaded_in_order_or_named(void **state)
{
	struct script_place place = place_here();
	struct jobspec *spec = command_spec("echo body");
	struct strbuf err AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	setenv("BASH_FUNC_module%%", "() { echo \"module $*\"; [ \"$2\" != bad ]; }", 1);
	jobspec_pairs_add(&spec->modules, "load", "gcc/12 namd", 1);
	jobspec_pairs_add(&spec->modules, "use", "/opt/my modules", 2);
	jobspec_pairs_add(&spec->modules, "purge", "yes", 3);
	prepare(spec, &place, NULL);
	assert_int_equal(finish(start("77")), 0);
	expect_output("module purge\nmodule use /opt/my modules\nmodule load gcc/12\n"
		"module load namd\nbody\n");

	spec = command_spec("echo body");
	jobspec_pairs_add(&spec->modules, "load", "bad", 1);
	prepare(spec, &place, NULL);
	assert_int_equal(finish(start("77")), SCRIPT_EXIT_MODULE);
	unsetenv("BASH_FUNC_module%%");
	expect_output("module load bad\n");
	read_file(base, "err", &err);
	assert_non_null(strstr(err.data, "slurmount: module load bad failed"));
	expect_record(UUID ".end", "exit 122\n");
}

static void a_users_script_runs_under_its_own_interpreter(void **state)
{
	struct script_place place = place_here();
	struct jobspec *spec = jobspec_new();

	(void)state;
	write_file(workdir, "my job.sh", "#!/bin/bash -e -u\necho \"$0 $-\"\n");
	spec->kind = JOBSPEC_SCRIPT;
	spec->script = xstrdup("my job.sh");
	/* The kernel would hand on "-e -u" as one argument, which printf shows. */
	prepare(spec, &place, " /usr/bin/printf  %s|-e -u| ");
	assert_int_equal(finish(start("77")), 0);
	char *expected AUTO_FREE = xasprintf("%s/my job.sh|-e -u|", workdir);
	expect_output(expected);
}

static void a_template_sees_only_quoted_variables(void **state)
{
	struct template_variable variables[] = {
		{.name = (char *)(uintptr_t)"title", .type = TEMPLATE_TEXT},
	};
	struct template template = {.name = (char *)(uintptr_t)"t",
		.body = (char *)(uintptr_t)"printf '%s' \"$title\"\nexit 4", .variables = variables,
		.count = 1};
	struct script_place place = place_here();
	struct jobspec *spec = jobspec_new();

	(void)state;
	place.template = &template;
	spec->kind = JOBSPEC_TEMPLATE;
	jobspec_pairs_add(&spec->variables, "title", "$(>canary)';>canary;'", 1);
	prepare(spec, &place, NULL);
	assert_int_equal(finish(start("77")), 4);
	expect_output("$(>canary)';>canary;'");
	assert_false(exists(workdir, "canary"));
}

static int make_base(void **state)
{
	char *own AUTO_FREE = NULL;

	(void)state;
	snprintf(base, sizeof(base), "/tmp/test_script.XXXXXX");
	if (!mkdtemp(base))
		return -1;
	workdir = path_of(base, "it's $(work)");
	records = path_of(base, "records");
	own = path_of(workdir, ".slurmount");
	return mkdir(workdir, 0755) | mkdir(records, 0755) | mkdir(own, 0755);
}

static int remove_base(void **state)
{
	char *command AUTO_FREE = xasprintf("rm -rf %s", base);

	(void)state;
	free(workdir);
	free(records);
	return system(command);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, make_base, remove_base)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(looks_at_its_parents_once_more),
		RUN(a_parent_that_runs_again_ends_it),
		RUN(directives_stand_first),
		RUN(what_was_asked_for_must_be_there),
		RUN(refuses_what_could_steer),
		RUN(runs_a_command_and_records_its_end),
		RUN(the_claim_is_one_jobs),
		RUN(a_directory_that_is_gone_fails_loudly),
		RUN(array_tasks_have_records_of_their_own),
		RUN(forwards_and_records_signals),
		RUN(a_child_that_dies_of_the_signal_is_waited_for),
		RUN(values_never_run),
		RUN(modules_are_loaded_in_order_or_named),
		RUN(a_users_script_runs_under_its_own_interpreter),
		RUN(a_template_sees_only_quoted_variables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
