#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <setjmp.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "err.h"
#include "local.h"
#include "submit.h"

#define JOBS 4

/* A folder with the directories of JOBS jobs, and an sbatch that keeps a ledger: a line with the job's
 * directory for each run. */
struct place {
	char *folder, *setup;
	struct remote *remote;
	struct cluster cluster;
	struct submit_item items[JOBS];
};

static const char sbatch[] =
	"#!/bin/bash\n"
	"echo \"${PWD%/.slurmount}\" >> LEDGER\n"
	"sleep 0.05\n"
	"case $PWD in */refused/*) echo 'sbatch: error: no' >&2; exit 1 ;; esac\n"
	"echo $((1000 + $(wc -l < LEDGER)))\n";

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void add_job(struct place *p, size_t i, const char *name)
{
	AUTO_FREE char *folder = xasprintf("%s/%s/.slurmount", p->folder, name);
	AUTO_FREE char *command = xasprintf("mkdir -p \"%s\"", folder);

	assert_int_equal(system(command), 0);
	p->items[i] = (struct submit_item){.workdir = xasprintf("%s/%s", p->folder, name),
		.attempt = 1};
}

static void place_up(struct place *p)
{
	char folder[] = "/tmp/slurmount-submit.XXXXXX";

	*p = (struct place){.folder = xstrdup(mkdtemp(folder))};
	AUTO_FREE char *program = xasprintf("%s/sbatch", p->folder);
	AUTO_FREE char *text = xasprintf("%s", sbatch);
	AUTO_FREE char *command = xasprintf("sed -i 's|LEDGER|%s/ledger|' '%s' && chmod 755 '%s'",
		p->folder, program, program);

	write_file(program, text);
	assert_int_equal(system(command), 0);
	p->setup = xasprintf("PATH=%s:$PATH", p->folder);
	p->remote = local_remote_new(0022);
	p->cluster = (struct cluster){p->remote, p->setup, &clock_system};
	for (size_t i = 0; i < JOBS; i++) {
		AUTO_FREE char *name = xasprintf("a job's %zu", i);

		add_job(p, i, name);
	}
}

static void forget_items(struct place *p)
{
	for (size_t i = 0; i < JOBS; i++)
		strbuf_release(&p->items[i].outcome);
}

static void place_down(struct place *p)
{
	AUTO_FREE char *command = xasprintf("rm -rf '%s'", p->folder);

	forget_items(p);
	for (size_t i = 0; i < JOBS; i++)
		free((char *)p->items[i].workdir);
	remote_destroy(p->remote);
	assert_int_equal(system(command), 0);
	free(p->folder);
	free(p->setup);
}

/* How often sbatch ran in the job's directory; `folder` NULL: at all. */
static size_t runs(const struct place *p, const char *folder)
{
	AUTO_FREE char *path = xasprintf("%s/ledger", p->folder);
	FILE *file = fopen(path, "r");
	char line[4096];
	size_t count = 0;

	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		count += !folder || !strcmp(line, folder);
	}
	if (file)
		fclose(file);
	return count;
}

static int submit(struct place *p)
{
	return submit_run(&p->cluster, p->items, JOBS, 0, NULL, NULL);
}

static void outcomes_come(void **state)
{
	struct place p;

	(void)state;
	place_up(&p);
	free((char *)p.items[2].workdir);
	add_job(&p, 2, "refused");
	assert_int_equal(submit(&p), 0);
	for (size_t i = 0; i < JOBS; i++) {
		assert_int_equal(p.items[i].result, SUBMIT_OUTCOME);
		assert_int_equal(runs(&p, p.items[i].workdir), 1);
	}
	assert_string_equal(p.items[0].outcome.data, "exit 0\nstdout 4\n1001\nstderr 0\n\n");
	assert_string_equal(p.items[2].outcome.data,
		"exit 1\nstdout 0\n\nstderr 18\nsbatch: error: no\n\n");
	place_down(&p);
}

static void a_copy_finds_the_outcomes(void **state)
{
	struct place p;

	(void)state;
	place_up(&p);
	assert_int_equal(submit(&p), 0);
	AUTO_FREE char *first = strbuf_steal(&p.items[3].outcome);
	forget_items(&p);
	assert_int_equal(submit(&p), 0);
	assert_int_equal(p.items[3].result, SUBMIT_OUTCOME);
	assert_string_equal(p.items[3].outcome.data, first);
	assert_int_equal(runs(&p, NULL), JOBS);
	/* The next attempt is another. */
	p.items[3].attempt = 2;
	forget_items(&p);
	assert_int_equal(submit(&p), 0);
	assert_int_equal(p.items[3].result, SUBMIT_OUTCOME);
	assert_int_equal(runs(&p, p.items[3].workdir), 2);
	place_down(&p);
}

static void what_cannot_be_submitted_is_told(void **state)
{
	struct place p;

	(void)state;
	place_up(&p);
	AUTO_FREE char *gone = xasprintf("rm -r \"%s\"", p.items[0].workdir);
	AUTO_FREE char *blocked = xasprintf("%s/.slurmount/err-1", p.items[1].workdir);
	AUTO_FREE char *taken = xasprintf("%s/.slurmount/taken-1", p.items[1].workdir);
	assert_int_equal(system(gone), 0);
	assert_int_equal(mkdir(blocked, 0755), 0);
	assert_int_equal(submit(&p), 0);
	assert_int_equal(p.items[0].result, SUBMIT_GONE);
	/* What cannot be written there must not be taken. */
	assert_int_equal(p.items[1].result, SUBMIT_FAILED);
	assert_non_null(strstr(p.items[1].outcome.data, "directory"));
	assert_int_equal(access(taken, F_OK), -1);
	assert_int_equal(p.items[2].result, SUBMIT_OUTCOME);
	assert_int_equal(runs(&p, NULL), JOBS - 2);
	place_down(&p);
}

static void *submit_copy(void *arg)
{
	const struct place *p = arg;
	struct submit_item items[JOBS];

	for (size_t i = 0; i < JOBS; i++)
		items[i] = (struct submit_item){.workdir = p->items[i].workdir, .attempt = 1};
	int r = submit_run(&p->cluster, items, JOBS, 0, NULL, NULL);
	for (size_t i = 0; i < JOBS; i++) {
		r = items[i].result == SUBMIT_OUTCOME ? r : -ENODATA;
		strbuf_release(&items[i].outcome);
	}
	return (void *)(intptr_t)r;
}

static void of_many_copies_one_runs_sbatch(void **state)
{
	struct place p;
	pthread_t threads[5];
	void *result;

	(void)state;
	place_up(&p);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, submit_copy, &p), 0);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_int_equal((intptr_t)result, 0);
	}
	for (size_t i = 0; i < JOBS; i++)
		assert_int_equal(runs(&p, p.items[i].workdir), 1);
	place_down(&p);
}

static void no_more_than_the_rate(void **state)
{
	struct place p;

	(void)state;
	place_up(&p);
	/* Behind the last one, too, so that the next command keeps its distance. */
	int64_t began = clock_mono_ms(&clock_system);
	assert_int_equal(submit_run(&p.cluster, p.items, 2, 4, NULL, NULL), 0);
	assert_true(clock_mono_ms(&clock_system) - began >= 500);
	assert_int_equal(p.items[1].result, SUBMIT_OUTCOME);
	/* Where nothing is left to submit there is nothing to wait for: both are told at once. */
	forget_items(&p);
	assert_int_equal(submit_run(&p.cluster, p.items, 2, 1, NULL, NULL), 0);
	assert_int_equal(p.items[1].result, SUBMIT_OUTCOME);
	assert_int_equal(runs(&p, NULL), 2);
	place_down(&p);
}

static void half_an_answer_is_none(void **state)
{
	struct submit_item items[2] = {{.outcome = STRBUF_INIT}, {.outcome = STRBUF_INIT}};
	static const char text[] = "job 1 gone 0\njob 0 outcome 7\nexit 0\njob 9 gone 0\n";

	(void)state;
	assert_int_equal(submit_read_answers(text, 10, items, 2), 0);
	assert_int_equal(submit_read_answers(text, 13, items, 2), 13);
	assert_int_equal(items[1].result, SUBMIT_GONE);
	assert_int_equal(submit_read_answers(text + 13, 22, items, 2), 0);
	assert_int_equal(items[0].result, SUBMIT_NO_ANSWER);
	assert_int_equal(submit_read_answers(text + 13, 23, items, 2), 23);
	assert_int_equal(items[0].result, SUBMIT_OUTCOME);
	assert_string_equal(items[0].outcome.data, "exit 0\n");
	/* There is no such job: nobody believes the rest. */
	assert_int_equal(submit_read_answers(text + 36, sizeof(text) - 37, items, 2), 0);
	strbuf_release(&items[0].outcome);
	strbuf_release(&items[1].outcome);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outcomes_come),
		cmocka_unit_test(a_copy_finds_the_outcomes),
		cmocka_unit_test(what_cannot_be_submitted_is_told),
		cmocka_unit_test(of_many_copies_one_runs_sbatch),
		cmocka_unit_test(no_more_than_the_rate),
		cmocka_unit_test(half_an_answer_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
