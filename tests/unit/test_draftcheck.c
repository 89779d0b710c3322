#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "draftcheck.h"
#include "draftcheck.h"
#include "drafts.h"
#include "drafttree.h"

#define CONFIG "[job]\ncommand = true\n"
#define SCRIPT "#!/bin/sh\n#SBATCH --time=00:10:00\ntrue\n"

static char folder[32];
static int fd;
static struct profile *profile;

static int set_up(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/test-check-XXXXXX");
	profile = profile_new();
	fd = mkdtemp(folder) ? open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	return fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	profile_free(profile);
	close(fd);
	return tree_delete(AT_FDCWD, folder);
}

static void put(const char *name, const char *text)
{
	int to = openat(fd, name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	assert_true(to >= 0);
	assert_int_equal(write(to, text, strlen(text)), strlen(text));
	close(to);
}

/* The verdict; `says` must be among the problems. */
static enum draft_verdict verdict(const char *name, const char *says)
{
	struct draftcheck_request request = {.folder = fd, .name = name, .profile = profile};
	struct draftcheck check;

	draftcheck_run(&request, &check);
	if (!strstr(check.problems.data, says))
		fail_msg("%s", check.problems.data);
	enum draft_verdict found = check.verdict;
	draftcheck_release(&check);
	return found;
}

#define NAMD "[job]\ntemplate = namd\n%s[namd]\nconfiguration = run.namd\n"

static void put_namd(const char *job, const char *configuration)
{
	char text[200];

	snprintf(text, sizeof(text), NAMD, job);
	put("config.ini", text);
	put("run.namd", configuration);
}

static void what_a_configuration_reads_must_be_here(void **state)
{
	(void)state;
	put_namd("", "structure a.psf\n");
	assert_int_equal(verdict("d", "missing: a.psf (named by run.namd, line 1, structure)"),
		DRAFT_INCOMPLETE);
	put_namd("", "coordinates sub/../../up.pdb\n");
	assert_int_equal(verdict("d", "missing: sub/../../up.pdb (named by run.namd, line 1, "
		"coordinates): it is outside this draft"), DRAFT_INCOMPLETE);
	put_namd("", "if {$x} {source ../a.tcl}\n");
	assert_int_equal(verdict("d", "../a.tcl is outside this draft, and may be needed"), DRAFT_READY);
	/* A folder of the draft's own is left and entered. */
	mkdirat(fd, "in", 0755);
	put("in/run.namd", "structure ../a.psf\ncoordinates .././b/../in/c.pdb\nparameters ../../d.prm\n");
	put("config.ini", "[job]\ntemplate = namd\n[namd]\nconfiguration = in/run.namd\n");
	assert_int_equal(verdict("d", "missing: a.psf (named by in/run.namd, line 1, structure); copy"),
		DRAFT_INCOMPLETE);
	put("a.psf", "");
	assert_int_equal(verdict("d", "missing: in/c.pdb (named by"), DRAFT_INCOMPLETE);
	put("in/c.pdb", "");
	assert_int_equal(verdict("d", "missing: ../../d.prm (named by"), DRAFT_INCOMPLETE);
	put("in/run.namd", "structure ../a.psf\ncoordinates .././b/../in/c.pdb\n");
	assert_int_equal(verdict("d", "after 2 s"), DRAFT_READY);
	/* What config.ini says itself counts more. */
	put_namd("files = run.namd\n", "structure e.psf\ncoordinates ../up.pdb\n");
	assert_int_equal(verdict("d", "note: not here: e.psf (named by run.namd, line 1, structure, but "
		"not by [job] files)\n"), DRAFT_READY);
	assert_int_equal(verdict("d", "note: not here: ../up.pdb"), DRAFT_READY);
	put_namd("files = b.psf\n", "structure e.psf\n");
	assert_int_equal(verdict("d", "missing: b.psf (named by [job] files)"), DRAFT_INCOMPLETE);
}

static void what_is_behind_a_link_out_of_the_draft_may_be_there(void **state)
{
	(void)state;
	put_namd("", "parameters toppar/a.prm\nparameters in/b.prm\n");
	symlinkat("/nowhere/toppar", fd, "toppar");
	mkdirat(fd, "real", 0755);
	symlinkat("real", fd, "in");
	assert_int_equal(verdict("d", "missing: in/b.prm"), DRAFT_INCOMPLETE);
	put("real/b.prm", "");
	assert_int_equal(verdict("d", "toppar -> /nowhere/toppar"), DRAFT_READY);
}

static void waits_for_what_is_named(void **state)
{
	(void)state;
	assert_int_equal(verdict("d", "missing: config.ini"), DRAFT_INCOMPLETE);
	put("config.ini", "");
	assert_int_equal(verdict("d", "empty so far"), DRAFT_INCOMPLETE);
	put("config.ini", CONFIG "files = a b/c\n");
	put("a", "");
	assert_int_equal(verdict("d", "missing: b/c"), DRAFT_INCOMPLETE);
	mkdirat(fd, "b", 0755);
	put("b/c", "");
	assert_int_equal(verdict("d", "after 2 s"), DRAFT_READY);
	assert_int_equal(verdict(NULL, "missing: b/c"), DRAFT_INCOMPLETE);
	put(".a.Xy12Zz", "");
	assert_int_equal(verdict("d", ".a.Xy12Zz"), DRAFT_INCOMPLETE);
}

static void says_what_is_wrong(void **state)
{
	(void)state;
	put("config.ini", "[job]\ncommand = true\n[slurm]\nmemory = 1\n");
	assert_int_equal(verdict("d", "config.ini:4: memory"), DRAFT_INVALID);
	put("config.ini", CONFIG);
	assert_int_equal(verdict("d", "after 10 s"), DRAFT_READY);
	assert_int_equal(verdict("a b", "cannot be a job's"), DRAFT_MANUAL);
	assert_int_equal(symlinkat("../x", fd, "out"), 0);
	assert_int_equal(verdict("d", "out -> ../x"), DRAFT_READY);
	mkdirat(fd, ".slurmount", 0755);
	assert_int_equal(verdict("d", "reserved"), DRAFT_INVALID);
}

static void takes_a_script_of_the_users(void **state)
{
	(void)state;
	put("run.sbatch", SCRIPT);
	assert_int_equal(verdict("d", "mv jobs/new/d jobs/d"), DRAFT_MANUAL);
	assert_int_equal(verdict(NULL, "after 10 s"), DRAFT_READY);
	put("other.sh", SCRIPT);
	assert_int_equal(verdict("d", "several files"), DRAFT_INVALID);
	put("config.ini", "[job]\nscript = run.sbatch\n");
	assert_int_equal(verdict("d", "nothing"), DRAFT_READY);
}

static void compares_sums(void **state)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	put("a", "abc");
	put("SHA256SUMS", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a\n");
	assert_int_equal(draftcheck_sums(fd, &why), 0);
	put("a", "abd");
	assert_int_equal(draftcheck_sums(fd, &why), -EPERM);
	assert_non_null(strstr(why.data, "SHA256SUMS: a: has another"));
}

/* The script that is the next job, "" where none can be; `says` must be among the problems. */
static void expect_next(const char *script, const char *says)
{
	struct draftcheck_request request = {.folder = fd, .profile = profile};
	struct draftcheck check;

	draftcheck_each(&request, &check);
	assert_string_equal(check.verdict == DRAFT_READY ? check.spec->script : "", script);
	if (!strstr(check.problems.data, says))
		fail_msg("%s", check.problems.data);
	/* Only its own file goes with it. */
	if (check.verdict == DRAFT_READY && check.others)
		assert_int_equal(check.loose.len, strlen(script) + 1);
	draftcheck_release(&check);
}

static void says_what_a_script_lacks(void **state)
{
	(void)state;
	put("notes.txt", "# no script\n");
	put("run.sh", "#SBATCH -n 1\necho\n");
	assert_int_equal(verdict("d", "run.sh: it has #SBATCH lines, but does not begin with #!"),
		DRAFT_INCOMPLETE);
	put("run.sh", "\xef\xbb\xbf#!/bin/sh\n#SBATCH -n 1\necho\n");
	assert_int_equal(verdict(NULL, "run.sh: it has #SBATCH lines, but does not begin with #!"),
		DRAFT_INCOMPLETE);
	put("run.sh", SCRIPT);
	assert_int_equal(verdict(NULL, "nothing: "), DRAFT_READY);
	put("two.sh", SCRIPT);
	assert_int_equal(verdict("d", "several files here are batch scripts; say"), DRAFT_INVALID);
}

static void loose_scripts_are_a_job_each(void **state)
{
	(void)state;
	put("b.sh", SCRIPT);
	put("c.sh", SCRIPT);
	expect_next("b.sh", "2 batch scripts, each a job of its own:\nb.sh: nothing: ");
	put("a.sh", "#!/bin/sh\n#SBATCH -t ten\n");
	expect_next("b.sh", "\na.sh: line 2: ");
	put("b.sh", "#!/bin/sh\n#SBATCH -t ten\n");
	put("c.sh", "#!/bin/sh\n#SBATCH -t ten\n");
	expect_next("", "\nc.sh: line 2: ");
	put("b.sh", SCRIPT);
	put(".b.sh.swp", "");
	expect_next("b.sh", "each a job of its own");
	/* Which of them needs the data, or whether one starts the other, nobody can tell. */
	put("data", "");
	expect_next("", "several files here are batch scripts, beside others");
}

static void standard_input_is_a_file_that_is_named(void **state)
{
	(void)state;
	put("config.ini", CONFIG "[slurm]\ninput = in/./put\n");
	assert_int_equal(verdict("d", "missing: in/put (named by [slurm] input)"), DRAFT_INCOMPLETE);
	mkdirat(fd, "in", 0755);
	put("in/put", "");
	assert_int_equal(verdict("d", "after 2 s"), DRAFT_READY);
	put("config.ini", CONFIG "[slurm]\ninput = in/%x\n");
	assert_int_equal(verdict("d", "after 10 s"), DRAFT_READY);
	put("config.ini", CONFIG "[slurm]\ninput = /there/x\n");
	assert_int_equal(verdict("d", "after 10 s"), DRAFT_READY);
}

static void knows_names(void **state)
{
	(void)state;
	assert_true(draftcheck_dropping(".x.swp") && draftcheck_dropping("x~"));
	assert_true(draftcheck_dropping("._x") && !draftcheck_dropping("x.swp.txt"));
	assert_true(draftcheck_transfer(".x.psf.a1B2c3") && draftcheck_transfer("x.part"));
	assert_false(draftcheck_transfer(".bashrc") || draftcheck_transfer("x.psfabc"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(waits_for_what_is_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_a_configuration_reads_must_be_here, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_behind_a_link_out_of_the_draft_may_be_there, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(says_what_is_wrong, set_up, tear_down),
		cmocka_unit_test_setup_teardown(takes_a_script_of_the_users, set_up, tear_down),
		cmocka_unit_test_setup_teardown(says_what_a_script_lacks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(loose_scripts_are_a_job_each, set_up, tear_down),
		cmocka_unit_test_setup_teardown(standard_input_is_a_file_that_is_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(compares_sums, set_up, tear_down),
		cmocka_unit_test(knows_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
