#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <errno.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "sbatchscript.h"

static void parse(const char *text, struct sbatchscript *s, const char *options)
{
	struct strbuf got AUTO_STRBUF = STRBUF_INIT;

	assert_int_equal(sbatchscript_parse(text, strlen(text), s), 0);
	for (size_t i = 0; i < s->option_count; i++)
		strbuf_addf(&got, "%d:%s|", s->options[i].line, s->options[i].text);
	assert_string_equal(got.data, options);
}

static void reads_what_slurm_reads(void **state)
{
	struct sbatchscript s;

	(void)state;
	parse("#!/bin/bash -l\n# comment\n\n#SBATCH --time 10 -N 2 -n4 # why\n#SBATCH\t-J \"a b\" --mem=1G\n"
	      "##SBATCH -c 9\n # SBATCH x\n#SBATCH --exclusive --comment='x # y'\necho\n#SBATCH -c 3\n"
	      "#SBATCH -c 4\n", &s,
		"4:--time=10|4:-N 2|4:-n4|5:-J a b|5:--mem=1G|8:--exclusive|8:--comment=x # y|");
	assert_true(s.is_batch);
	assert_false(s.crlf);
	assert_string_equal(s.interpreter, "/bin/bash -l");
	assert_int_equal(s.ignored_count, 2);
	assert_int_equal(s.ignored[0], 10);
	assert_int_equal(s.ignored[1], 11);
	sbatchscript_release(&s);
}

static void knows_other_files(void **state)
{
	struct sbatchscript s;

	(void)state;
	parse("#!/bin/sh\necho\n#SBATCH -n 1\n", &s, "");
	assert_false(s.is_batch);
	sbatchscript_release(&s);
	parse("#SBATCH -n 1\n", &s, "1:-n 1|");
	assert_false(s.is_batch);
	sbatchscript_release(&s);
	parse("", &s, "");
	assert_false(s.is_batch);
	sbatchscript_release(&s);
	parse("#!/bin/sh\r\n#SBATCH -n 1\r\n", &s, "2:-n 1|");
	assert_true(s.crlf && s.is_batch);
	assert_string_equal(s.interpreter, "/bin/sh");
	sbatchscript_release(&s);
	sbatchscript_parse("#!/bin/sh\n#SBATCH -n\0 1", 23, &s);
	assert_true(s.has_nul);
	sbatchscript_release(&s);
}

static void applies_options(void **state)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT, notes AUTO_STRBUF = STRBUF_INIT;
	struct jobspec *spec = jobspec_new();
	struct sbatchscript s;

	(void)state;
	jobspec_pairs_add(&spec->slurm, "time", "01:00:00", 1);
	parse("#!/bin/sh\n#SBATCH -t 10 -n 1\n#SBATCH --ntasks=2\n#SBATCH --mem=100\n#SBATCH -D /tmp\n"
	      "#SBATCH --ntaks=x\n", &s,
		"2:-t 10|2:-n 1|3:--ntasks=2|4:--mem=100|5:-D /tmp|6:--ntaks=x|");
	assert_int_equal(sbatchscript_apply(spec, &s, &notes, &why), -EINVAL);
	assert_string_equal(why.data, "line 5: \"-D /tmp\" cannot be taken over; the job always runs in "
		"its own directory (work/); list what it needs in [job] files or [inputs]\n"
		"line 6: \"--ntaks=x\" is no option of sbatch that is known here; did you mean --ntasks?\n");
	assert_string_equal(jobspec_slurm(spec, "time"), "01:00:00");
	assert_string_equal(jobspec_slurm(spec, "ntasks"), "2");
	assert_string_equal(jobspec_slurm(spec, "mem"), "100M");
	sbatchscript_release(&s);
	jobspec_free(spec);
}

static void expect(const char *text, const char *notes, const char *why)
{
	struct strbuf said AUTO_STRBUF = STRBUF_INIT, wrong AUTO_STRBUF = STRBUF_INIT;
	struct jobspec *spec = jobspec_new();
	struct sbatchscript s;

	sbatchscript_parse(text, strlen(text), &s);
	assert_int_equal(sbatchscript_apply(spec, &s, &said, &wrong), *why ? -EINVAL : 0);
	assert_string_equal(said.len ? said.data : "", notes);
	assert_string_equal(wrong.len ? wrong.data : "", why);
	sbatchscript_release(&s);
	jobspec_free(spec);
}

static void leaves_out_what_is_so_anyway(void **state)
{
	(void)state;
	expect("#!/bin/sh\n#SBATCH -D ./\n#SBATCH --chdir=. --export=NONE\n#SBATCH -Q --wait\n",
		"line 2: \"-D ./\" is left out: it changes nothing here\n"
		"line 3: \"--chdir=.\" is left out: it changes nothing here\n"
		"line 3: \"--export=NONE\" is left out: it changes nothing here\n"
		"line 4: \"-Q\" is left out: it changes nothing here\n"
		"line 4: \"--wait\" is left out: it changes nothing here\n", "");
	expect("#!/bin/sh\n#SBATCH --export ALL --account= --mail-user=\n",
		"line 2: \"--export=ALL\" is left out: it changes nothing here\n"
		"line 2: \"--account=\" is left out: it has no value\n"
		"line 2: \"--mail-user=\" is left out: it has no value\n", "");
	expect("#!/bin/sh\n#SBATCH --time=\n", "", "line 2: \"--time=\": \"\" is no time; allowed: "
		"MINUTES, H:MM:SS, D-H, D-H:MM, D-H:MM:SS, UNLIMITED\n");
	expect("#!/bin/sh\n#SBATCH --export=A=1\n", "", "line 2: \"--export=A=1\" cannot be taken over; "
		"write the variables to [environment]\n");
}

static void leaves_a_plugins_options_to_the_cluster(void **state)
{
	struct strbuf notes AUTO_STRBUF = STRBUF_INIT, why AUTO_STRBUF = STRBUF_INIT;
	struct jobspec *spec = jobspec_new();
	struct sbatchscript s;

	(void)state;
	parse("#!/bin/sh\n#SBATCH --container-env=A --container-image=a --mem=1G\n#SBATCH --uenv=x\n"
	      "#SBATCH --uenv=y\n", &s,
		"2:--container-env=A|2:--container-image=a|2:--mem=1G|3:--uenv=x|4:--uenv=y|");
	assert_int_equal(sbatchscript_apply(spec, &s, &notes, &why), 0);
	assert_string_equal(jobspec_slurm(spec, "container_env"), "A");
	assert_string_equal(jobspec_slurm(spec, "uenv"), "y");
	assert_string_equal(jobspec_slurm(spec, "mem"), "1G");
	assert_non_null(strstr(notes.data, "line 3: \"--uenv=x\" is not known here"));
	sbatchscript_release(&s);
	jobspec_free(spec);
	expect("#!/bin/sh\n#SBATCH --walltime=1:00\n#SBATCH -Y\n#SBATCH --Bad=1\n", "",
		"line 2: \"--walltime=1:00\" is no option of sbatch that is known here; did you mean --time?\n"
		"line 3: \"-Y\" is no option of sbatch that is known here\n"
		"line 4: \"--Bad=1\" is no option of sbatch that is known here\n");
}

static void takes_values_as_sbatch_does(void **state)
{
	static const char *const cases[][3] = {
		{"--array=[0-4]%2", "array", "0-4%2"}, {"--array=[1-100%10]", "array", "1-100%10"},
		{"--array=001,", "array", "001"}, {"--mail-type=START,end", "mail_type", "END"},
		{"--constraint=E5-2690v3@2.60GHz", "constraint", "E5-2690v3@2.60GHz"},
		{"--constraint=gpu_22g+", "constraint", "gpu_22g+"}, {"--mem=4000", "mem", "4000M"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct jobspec *spec = jobspec_new();
		struct strbuf why AUTO_STRBUF = STRBUF_INIT;

		assert_int_equal(jobspec_add_option(spec, cases[i][0], 1, &why), 0);
		assert_string_equal(jobspec_slurm(spec, cases[i][1]), cases[i][2]);
		jobspec_free(spec);
	}
	expect("#!/bin/sh\n#SBATCH --mail-type=START\n", "", "line 2: \"--mail-type=START\": \"START\" "
		"does not fit; allowed: BEGIN, END, FAIL, REQUEUE, ALL, NONE, INVALID_DEPEND, STAGE_OUT, "
		"TIME_LIMIT, TIME_LIMIT_90, TIME_LIMIT_80, TIME_LIMIT_50, ARRAY_TASKS, separated by commas\n");
}

static void says_what_is_no_option(void **state)
{
	(void)state;
	expect("#!/bin/sh\n#SBATCH -n 1\n#SBATCH hetjob\n#SBATCH --mem 16 G\n", "",
		"line 3: \"hetjob\" begins the second part of a heterogeneous job, which cannot be "
		"submitted here; ask for the nodes of all parts at once, or make each part a job\n"
		"line 4: \"G\" is no option, and Slurm refuses what else is in such a line; "
		"a remark needs a # before it, and a value no blank (--mem=16G)\n");
	expect("#!/bin/sh\n#SBATCH --array=[0-4]%2 --cluster=x\n", "", "line 2: \"--cluster=x\" cannot be "
		"taken over; a mount is one cluster; mount the other one, too\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_slurm_reads),
		cmocka_unit_test(knows_other_files),
		cmocka_unit_test(applies_options),
		cmocka_unit_test(leaves_out_what_is_so_anyway),
		cmocka_unit_test(leaves_a_plugins_options_to_the_cluster),
		cmocka_unit_test(says_what_is_no_option),
		cmocka_unit_test(takes_values_as_sbatch_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
