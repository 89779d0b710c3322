#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "profile.h"

static void parse(struct profile *p, const char *text, const char *problems)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;

	assert_int_equal(profile_parse(p, text, strlen(text), "p.ini", &why), *problems ? -EINVAL : 0);
	assert_string_equal(why.data, problems);
}

static void reads_all_keys(void **state)
{
	struct profile *p = profile_new();

	(void)state;
	assert_int_equal(p->submit_rate, 20);
	assert_int_equal(p->work_timeout, 10);
	assert_int_equal(p->streams, 4);
	assert_true(p->keep == UINT64_C(20) << 30);
	setenv("HOME", "/home/me", 1);
	parse(p, "[cluster]\nhost = login.example.org\nuser = me\nport = 2222\nidentity = ~/.ssh/k\n"
		 "known_hosts = /etc/kh\njump = gate\nscratch = $SCRATCH/s\nproject = ~/p\n"
		 "setup = source /etc/profile; module load slurm\nsubmit_rate = 0\nwork_timeout = 25\n"
		 "[defaults]\ntime = 1:00:00\n[modules]\nload = gcc\n[environment]\nA = b\n"
		 "[sync]\ninterval = 5\nmax_interval = 60\n"
		 "[staging]\nsettle = 0.5\nsettle_unnamed = 3\nstreams = 6\nkeep = 1500M\n", "");
	assert_string_equal(p->host, "login.example.org");
	assert_int_equal(p->port, 2222);
	assert_string_equal(p->identity, "/home/me/.ssh/k");
	assert_string_equal(p->known_hosts, "/etc/kh");
	assert_string_equal(p->scratch, "$SCRATCH/s");
	assert_string_equal(p->project, "~/p");
	assert_string_equal(p->setup, "source /etc/profile; module load slurm");
	assert_int_equal(p->submit_rate, 0);
	assert_int_equal(p->work_timeout, 25);
	assert_string_equal(jobspec_slurm(p->defaults, "time"), "01:00:00");
	assert_string_equal(p->defaults->modules.items[0].value, "gcc");
	assert_string_equal(p->defaults->environment.items[0].key, "A");
	assert_true(p->sync_interval == 5 && p->sync_max_interval == 60);
	assert_true(p->settle == 0.5 && p->settle_unnamed == 3);
	assert_int_equal(p->streams, 6);
	assert_true(p->keep == UINT64_C(1500) << 20);
	profile_free(p);
}

static void names_every_problem(void **state)
{
	struct profile *p = profile_new();

	(void)state;
	parse(p, "[cluster]\nport = 70000\nhots = x\ninterval = 3\n[slurm]\ntime = 1\n[defaults]\n"
		 "time = 24:00\n[sync]\nmax_interval = 1\nmax_interval = 2\n",
		"p.ini:2: port: \"70000\" does not fit; allowed: a whole number from 1 to 65535\n"
		"p.ini:3: hots: [cluster] has no such key; did you mean host?\n"
		"p.ini:4: interval: [cluster] has no such key; interval belongs in [sync]\n"
		"p.ini:5: [slurm]: there is no such section; did you mean [defaults]?\n"
		"p.ini:8: time: 24:00 is 24 minutes and 0 seconds to Slurm; write 00:24:00 or 24:00:00\n"
		"p.ini:11: max_interval: it is given twice, first in line 10; keep one of them\n"
		"p.ini:10: max_interval: it is less than interval\n");
	profile_free(p);
}

static void takes_options(void **state)
{
	struct profile *p = profile_new();

	(void)state;
	parse(p, "[defaults]\nmem = 1G\n", "");
	assert_int_equal(profile_set(p, "port", "2222", NULL), 0);
	assert_int_equal(p->port, 2222);
	assert_int_equal(profile_set(p, "port", "0", NULL), -EINVAL);
	assert_int_equal(profile_set(p, "streams", "2.5", NULL), -EINVAL);
	assert_int_equal(profile_set(p, "keep", "2.5G", NULL), -EINVAL);
	assert_int_equal(profile_set(p, "keep", "20", NULL), -EINVAL);
	assert_int_equal(profile_set(p, "keep", "20GB", NULL), -EINVAL);
	assert_int_equal(profile_set(p, "keep", "-1G", NULL), -EINVAL);
	assert_int_equal(profile_set(p, "keep", "0", NULL), 0);
	assert_true(p->keep == 0);
	assert_int_equal(profile_set(p, "settle", "nan", NULL), -EINVAL);
	assert_int_equal(profile_set(p, "host", "-oProxyCommand=x", NULL), -EINVAL);
	assert_int_equal(profile_set(p, "scratch", "relative", NULL), -EINVAL);
	assert_int_equal(profile_set(p, "allow_other", "", NULL), -ENOENT);
	assert_int_equal(profile_set(p, "mem_per_cpu", "2G", NULL), 0);
	assert_null(jobspec_slurm(p->defaults, "mem"));
	assert_string_equal(jobspec_slurm(p->defaults, "mem_per_cpu"), "2G");
	profile_free(p);
}

static void reads_files(void **state)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct profile *p = profile_new();

	(void)state;
	assert_int_equal(profile_read_file(p, "/nonexistent/p.ini", &why), -ENOENT);
	assert_string_equal(why.data, "cannot open /nonexistent/p.ini: No such file or directory\n");
	profile_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_all_keys),
		cmocka_unit_test(names_every_problem),
		cmocka_unit_test(takes_options),
		cmocka_unit_test(reads_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
