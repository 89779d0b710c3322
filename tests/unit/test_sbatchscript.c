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
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct jobspec *spec = jobspec_new();
	struct sbatchscript s;

	(void)state;
	jobspec_pairs_add(&spec->slurm, "time", "01:00:00", 1);
	parse("#!/bin/sh\n#SBATCH -t 10 -n 1\n#SBATCH --ntasks=2\n#SBATCH --mem=100\n#SBATCH -D /tmp\n"
	      "#SBATCH --ntask=x\n", &s,
		"2:-t 10|2:-n 1|3:--ntasks=2|4:--mem=100|5:-D /tmp|6:--ntask=x|");
	assert_int_equal(sbatchscript_apply(spec, &s, &why), -EINVAL);
	assert_string_equal(why.data, "line 5: \"-D /tmp\" cannot be taken over; the job always runs in "
		"its own directory (work/); list what it needs in [job] files or [inputs]\n"
		"line 6: \"--ntask=x\" is no option of sbatch that is known here\n");
	assert_string_equal(jobspec_slurm(spec, "time"), "01:00:00");
	assert_string_equal(jobspec_slurm(spec, "ntasks"), "2");
	assert_string_equal(jobspec_slurm(spec, "mem"), "100M");
	sbatchscript_release(&s);
	jobspec_free(spec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_slurm_reads),
		cmocka_unit_test(knows_other_files),
		cmocka_unit_test(applies_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
