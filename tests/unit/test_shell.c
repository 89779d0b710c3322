#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shell.h"

static char home[64];

static void expect_quoted(const char *word, const char *expected)
{
	struct strbuf b AUTO_STRBUF = STRBUF_INIT;

	shell_quote(&b, word);
	assert_string_equal(b.data, expected);
}

static void quotes_only_what_needs_it(void **state)
{
	(void)state;
	expect_quoted("plain/path-1.txt", "plain/path-1.txt");
	expect_quoted("", "''");
	expect_quoted("a b", "'a b'");
	expect_quoted("it's", "'it'\\''s'");
	expect_quoted("$(touch x)", "'$(touch x)'");
	expect_quoted("~", "'~'");
	expect_quoted("A=1", "'A=1'");
	expect_quoted("a\nb", "'a\nb'");
}

/* Runs the command by `shell` -c with `input`; returns its exit status, its output in `out`. */
static int run(const char *shell, const char *command, const char *input, struct strbuf *out)
{
	char in_path[128];
	char buffer[4096];
	int fds[2];
	int status;
	pid_t pid;
	ssize_t n;
	FILE *in;

	snprintf(in_path, sizeof(in_path), "%s/input", home);
	in = fopen(in_path, "w");
	assert_non_null(in);
	fputs(input, in);
	fclose(in);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		if (!freopen(in_path, "r", stdin) || dup2(fds[1], 1) < 0)
			_exit(99);
		close(fds[0]);
		close(fds[1]);
		execl(shell, shell, "-c", command, (char *)NULL);
		_exit(98);
	}
	close(fds[1]);
	while ((n = read(fds[0], buffer, sizeof(buffer))) > 0)
		strbuf_add(out, buffer, (size_t)n);
	close(fds[0]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

static const char *const shells[] = {"/bin/sh", "/bin/dash", "/bin/bash", "/bin/tcsh", "/bin/zsh",
	"/usr/bin/fish", "/bin/ksh"};

static void any_login_shell_takes_it(void **state)
{
	struct strbuf command AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	setenv("SLURM_CONF", "kept", 1);
	setenv("SLURM_JOB_ID", "1", 1);
	setenv("SBATCH_PARTITION", "debug", 1);
	setenv("SQUEUE_STATES", "R", 1);
	setenv("SINFO_FORMAT", "x", 1);
	shell_login_command(&command, "echo setup noise; SET=up!",
		"read line\necho \"$line|$SET|$SLURM_CONF|$SLURM_JOB_ID$SBATCH_PARTITION"
		"$SQUEUE_STATES$SINFO_FORMAT|it's \\ \\\\ $'\\t' !x\"\necho \"$PROFILE\"\nexit 7\n");
	assert_null(strchr(command.data, '\n'));
	for (size_t i = 0; i < sizeof(shells) / sizeof(*shells); i++) {
		struct strbuf out AUTO_STRBUF = STRBUF_INIT;

		if (access(shells[i], X_OK) < 0)
			continue;
		assert_int_equal(run(shells[i], command.data, "first\nsecond\n", &out), 7);
		assert_string_equal(out.data, "first|up!|kept||it's \\ \\ $'\\t' !x\nread\n");
	}
}

static void every_byte_arrives(void **state)
{
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;
	struct strbuf command AUTO_STRBUF = STRBUF_INIT;
	char bytes[256];

	(void)state;
	for (int i = 0; i < 255; i++)
		bytes[i] = (char)(i + 1);
	bytes[255] = '\0';
	strbuf_adds(&script, "printf %s ");
	shell_quote(&script, bytes);
	shell_login_command(&command, NULL, script.data);
	for (size_t i = 0; i < sizeof(shells) / sizeof(*shells); i++) {
		struct strbuf out AUTO_STRBUF = STRBUF_INIT;

		if (access(shells[i], X_OK) < 0)
			continue;
		assert_int_equal(run(shells[i], command.data, "", &out), 0);
		assert_int_equal(out.len, 255);
		assert_memory_equal(out.data, bytes, 255);
	}
}

static void a_broken_setup_does_not_swallow_the_script(void **state)
{
	struct strbuf command AUTO_STRBUF = STRBUF_INIT;
	struct strbuf out AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	shell_login_command(&command, "echo 'open 2>/dev/null", "echo ran");
	assert_int_equal(run("/bin/sh", command.data, "", &out), 0);
	assert_string_equal(out.data, "ran\n");
}

static void a_bare_command_reads_no_profile(void **state)
{
	struct strbuf command AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	shell_bare_command(&command, "read line\necho \"$line|$PROFILE|it's\"\nexit 7\n");
	assert_null(strchr(command.data, '\n'));
	for (size_t i = 0; i < sizeof(shells) / sizeof(*shells); i++) {
		struct strbuf out AUTO_STRBUF = STRBUF_INIT;

		if (access(shells[i], X_OK) < 0)
			continue;
		assert_int_equal(run(shells[i], command.data, "first\nsecond\n", &out), 7);
		assert_string_equal(out.data, "first||it's\n");
	}
}

/* A home whose profile prints, and reads what is not its own. */
static int make_home(void **state)
{
	char path[128];
	FILE *profile;

	(void)state;
	snprintf(home, sizeof(home), "/tmp/test_shell.XXXXXX");
	if (!mkdtemp(home))
		return -1;
	snprintf(path, sizeof(path), "%s/.bash_profile", home);
	profile = fopen(path, "w");
	if (!profile)
		return -1;
	fputs("echo welcome; cat; PROFILE=read; export SLURM_JOB_ID=2\n", profile);
	fclose(profile);
	return setenv("HOME", home, 1);
}

static int remove_home(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/.bash_profile", home);
	unlink(path);
	snprintf(path, sizeof(path), "%s/input", home);
	unlink(path);
	rmdir(home);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quotes_only_what_needs_it),
		cmocka_unit_test(any_login_shell_takes_it),
		cmocka_unit_test(every_byte_arrives),
		cmocka_unit_test(a_broken_setup_does_not_swallow_the_script),
		cmocka_unit_test(a_bare_command_reads_no_profile),
	};

	return cmocka_run_group_tests(tests, make_home, remove_home);
}
