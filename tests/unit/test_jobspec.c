#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <errno.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "err.h"
#include "jobspec.h"

static struct jobspec *parse(const char *text, const char *problems)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct jobspec *spec;
	int result = jobspec_parse(text, strlen(text), &spec, &why);

	assert_string_equal(why.data, problems);
	assert_int_equal(result, *problems ? -EINVAL : 0);
	return spec;
}

static void refused(const char *text, const char *problems)
{
	jobspec_free(parse(text, problems));
}

static void reads_a_request(void **state)
{
	struct jobspec *s = parse(
		"[namd-npt]\ntemperature = 300\n"
		"[job]\nname = run-1\ntemplate = namd-npt\nfiles = a.psf ./b//c.pdb \"d e\"\n"
		"submit = manual\nafter = prep, any:other\n"
		"[inputs]\nrst = prep:out/x.rst\ndb = /data/db\n"
		"[slurm]\ntime = 24:00:00\nmem = 1.5G\nexclusive = yes\noversubscribe = no\nnice = 1\n"
		"[modules]\nload = namd/2.14 cuda\nload = gcc\npurge = yes\n"
		"[environment]\nA = $HOME/x; y # z\nB =\n", "");

	(void)state;
	assert_string_equal(s->name, "run-1");
	assert_int_equal(s->kind, JOBSPEC_TEMPLATE);
	assert_string_equal(s->template_name, "namd-npt");
	assert_string_equal(s->files[0], "a.psf");
	assert_string_equal(s->files[1], "b/c.pdb");
	assert_string_equal(s->files[2], "d e");
	assert_null(s->files[3]);
	assert_true(s->manual);
	assert_string_equal(s->after, "ok:prep,any:other");
	assert_string_equal(s->inputs.items[0].value, "prep:out/x.rst");
	assert_string_equal(s->inputs.items[1].value, "/data/db");
	assert_string_equal(jobspec_slurm(s, "time"), "1-00:00:00");
	assert_string_equal(jobspec_slurm(s, "mem"), "1536M");
	assert_string_equal(jobspec_slurm(s, "exclusive"), "");
	assert_string_equal(jobspec_slurm(s, "nice"), "1");
	assert_null(jobspec_slurm(s, "oversubscribe"));
	assert_int_equal(s->modules.count, 4);
	assert_string_equal(s->modules.items[1].value, "cuda");
	assert_string_equal(s->environment.items[0].value, "$HOME/x; y # z");
	assert_string_equal(s->environment.items[1].value, "");
	assert_string_equal(s->variables.items[0].key, "temperature");
	assert_int_equal(s->variables.items[0].line, 2);
	jobspec_free(s);
}

static void names_every_problem(void **state)
{
	(void)state;
	refused("[slurm]\nmemory = 4G\nwalltime = 1\nmem = 64\nntasks = 0\nchdir = /tmp\n",
		"config.ini:2: memory: sbatch has no such option; did you mean mem?\n"
		"config.ini:3: walltime: sbatch has no such option; did you mean time?\n"
		"config.ini:4: mem: 64 has no unit (to Slurm it would be megabytes); write 64G or 64M\n"
		"config.ini:5: ntasks: \"0\" does not fit; allowed: a positive whole number\n"
		"config.ini:6: chdir: it is not for [slurm] to set; the job always runs in its own "
		"directory (work/); list what it needs in [job] files or [inputs]\n");
	refused("[job]\nfiles = a \"b c\n[slurm]\nexclusive = maybe\ntime = 1:00\n",
		"config.ini:2: files: \"a \"b c\" has a quote that is not closed\n"
		"config.ini:4: exclusive: \"maybe\" is not one of the words allowed: user mcs topo, or yes or "
		"no alone\n"
		"config.ini:5: time: 1:00 is 1 minutes and 0 seconds to Slurm; write 00:01:00 or 01:00:00\n");
	refused("[slrum]\ntime = 1\n", "config.ini:1: [slrum]: there is no such section; did you mean "
		"[slurm]?\n");
	refused("[job]\ncommand = x\nscript = y\n", "config.ini:3: script: [job] already names a "
		"command; keep one of template, command and script\n");
	refused("[job]\ntime = 1\n", "config.ini:2: time: [job] has no such key; time belongs in "
		"[slurm]\n");
	refused("[job]\nnmae = x\n", "config.ini:2: nmae: [job] has no such key; did you mean name?\n");
	refused("name = x\n", "config.ini:1: name: it stands before any section; begin with [job]\n");
	refused("[slurm]\ntime = 10\ntime = 20\n", "config.ini:3: time: it is given twice, first in "
		"line 2; keep one of them\n");
	refused("[slurm]\nmem = 1G\nmem_per_cpu = 1G\n", "config.ini:3: mem_per_cpu: it excludes mem in "
		"line 2; keep one of them\n");
	refused("[job]\nname = a\nname = b\n", "config.ini:3: name: it is given twice, first in line 2; "
		"keep one of them\n");
	refused("[job]\nname = a\nafter = b,any:a\n", "config.ini:3: after: the job would wait for "
		"itself; name another job\n");
}

static void refuses_what_is_unsafe(void **state)
{
	static const char *const texts[] = {
		"[job]\nscript = ../x\n", "[job]\nscript = /x\n", "[job]\nfiles = a ../b\n",
		"[job]\nfiles = .slurmount/ticket\n", "[inputs]\n../x = /data\n", "[inputs]\nx = data\n",
		"[inputs]\nx = job:../y\n", "[inputs]\nx = new:y\n", "[environment]\n1A = x\n",
		"[environment]\nBASH_ENV = x\n", "[environment]\nA-B = x\n", "[modules]\nload = a;b\n",
		"[modules]\nload = --x\n", "[job]\nname = new\n", "[job]\nname = a/b\n",
		"[job]\nafter = ok:\n", "[job]\nafter =\n", "[job]\ntemplate = ../t\n",
		"[slurm]\npartition = a\tb\n", "[slurm]\npartition = -x\n", "[job]\nsubmit = later\n",
		"[job]\ntemplate = job\n", "[other]\n", "[slurm]\nexport = ALL\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct jobspec *spec;
		int result = jobspec_parse(texts[i], strlen(texts[i]), &spec, NULL);

		if (result != -EINVAL)
			fail_msg("taken: %s", texts[i]);
		jobspec_free(spec);
	}
}

static void checks_names(void **state)
{
	char name[JOB_NAME_MAX + 2];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[JOB_NAME_MAX + 1] = '\0';
	assert_int_equal(jobspec_check_name(name), -ENAMETOOLONG);
	name[JOB_NAME_MAX] = '\0';
	assert_int_equal(jobspec_check_name(name), 0);
	assert_int_equal(jobspec_check_name("7.a_b-c"), 0);
	assert_int_equal(jobspec_check_name(""), -EINVAL);
	assert_int_equal(jobspec_check_name(".a"), -EINVAL);
	assert_int_equal(jobspec_check_name("new"), -EINVAL);
	assert_int_equal(jobspec_check_name("a b"), -EINVAL);
}

static void takes_options_of_sbatch(void **state)
{
	struct jobspec *s = parse("[slurm]\ntime = 1:00:00\n", "");
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	assert_int_equal(jobspec_add_option(s, "--time=10", 1, NULL), 0);
	assert_string_equal(jobspec_slurm(s, "time"), "01:00:00");
	assert_int_equal(jobspec_add_option(s, "-N2", 2, NULL), 0);
	assert_int_equal(jobspec_add_option(s, "-n 8", 3, NULL), 0);
	assert_int_equal(jobspec_add_option(s, "--mem=4000", 4, NULL), 0);
	assert_int_equal(jobspec_add_option(s, "--exclusive", 5, NULL), 0);
	assert_string_equal(jobspec_slurm(s, "nodes"), "2");
	assert_string_equal(jobspec_slurm(s, "ntasks"), "8");
	assert_string_equal(jobspec_slurm(s, "mem"), "4000M");
	assert_string_equal(jobspec_slurm(s, "exclusive"), "");
	assert_int_equal(jobspec_add_option(s, "-D /tmp", 6, NULL), -ENOTSUP);
	assert_int_equal(jobspec_add_option(s, "--requeue=1", 7, NULL), -EINVAL);
	assert_int_equal(jobspec_add_option(s, "--time", 8, NULL), -EINVAL);
	assert_int_equal(jobspec_add_option(s, "-", 9, NULL), -EINVAL);
	assert_int_equal(jobspec_add_option(s, "", 9, NULL), -EINVAL);
	assert_int_equal(jobspec_add_option(s, "--foo=1", 10, &why), -EINVAL);
	assert_string_equal(why.data, "\"--foo=1\" is no option of sbatch that is known here");
	jobspec_free(s);
}

static void adds_defaults(void **state)
{
	struct jobspec *s = parse("[slurm]\ntime = 10\nmem_per_cpu = 1G\nexclusive = no\nrequeue = no\n"
				  "[modules]\nload = b\n[environment]\nP = 2\n", "");
	struct jobspec *d = parse("[slurm]\ntime = 20\nmem = 2G\nexclusive = yes\nrequeue = yes\n"
				  "partition = short\n[modules]\nload = a\n[environment]\nP = 1\n", "");

	(void)state;
	jobspec_add_defaults(s, d);
	assert_string_equal(jobspec_slurm(s, "time"), "00:10:00");
	assert_null(jobspec_slurm(s, "mem"));
	assert_null(jobspec_slurm(s, "exclusive"));
	assert_null(jobspec_slurm(s, "requeue"));
	assert_string_equal(jobspec_slurm(s, "no_requeue"), "");
	assert_string_equal(jobspec_slurm(s, "partition"), "short");
	assert_string_equal(s->modules.items[0].value, "a");
	assert_string_equal(s->modules.items[1].value, "b");
	assert_string_equal(s->environment.items[0].value, "1");
	assert_string_equal(s->environment.items[1].value, "2");
	jobspec_free(s);
	jobspec_free(d);
}

/* Any bytes must be survived; the sanitizers watch. */
static void survives_any_bytes(void **state)
{
	static const char seeds[] = "[job]\nname = a\ntemplate = t\nafter = b\n[t]\nx = \"1\n[slurm]\n"
		"time = 1-0\narray = 1-2:3%4\nmem = 1.5G\n[inputs]\na = b:c\n[zz]\nsignal=B:1@\n";
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char text[sizeof(seeds)];
		struct jobspec *spec;

		memcpy(text, seeds, sizeof(seeds));
		for (int i = 0; i < 4; i++) {
			seed = seed * 1103515245u + 12345u;
			text[(seed >> 8) % sizeof(text)] = (char)(seed >> 22);
		}
		jobspec_parse(text, sizeof(text) - 1, &spec, NULL);
		jobspec_free(spec);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_request),
		cmocka_unit_test(names_every_problem),
		cmocka_unit_test(refuses_what_is_unsafe),
		cmocka_unit_test(checks_names),
		cmocka_unit_test(takes_options_of_sbatch),
		cmocka_unit_test(adds_defaults),
		cmocka_unit_test(survives_any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
