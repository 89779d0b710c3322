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
#include <cmocka.h>

#include "err.h"
#include "local.h"
#include "recordstream.h"

#define UUID "01234567-89ab-4cde-8f01-23456789abcd"

struct seen {
	size_t count;
	struct recordstream_item last;
	bool told[2][2]; /* an end, and of which run; in what order they come is left open */
};

static void see(void *arg, const struct recordstream_item *item)
{
	struct seen *seen = arg;

	seen->count++;
	seen->last = *item;
	if (item->record.restart >= 0 && item->record.restart < 2)
		seen->told[item->is_end][item->record.restart] = true;
}

static void items_are_taken_whole(void **state)
{
	static const char text[] = "record " UUID ".start 25\njob 77\nrestart 2\ntime 10\nrecord "
		UUID "_4099.end 14\nexit 3\njob 77\n";
	struct seen seen = {0};
	size_t first = strlen("record " UUID ".start 25\n") + 25;

	(void)state;
	for (size_t len = 0; len < first; len++)
		assert_int_equal(recordstream_read(text, len, see, &seen), 0);
	assert_int_equal(seen.count, 0);
	assert_int_equal(recordstream_read(text, first, see, &seen), first);
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.last.uuid, UUID);
	assert_int_equal(seen.last.task, -1);
	assert_false(seen.last.is_end);
	assert_int_equal(seen.last.record.restart, 2);
	assert_string_equal(seen.last.record.job, "77");
	assert_int_equal(recordstream_read(text, sizeof(text) - 1, see, &seen), sizeof(text) - 1);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.last.task, 4099);
	assert_true(seen.last.is_end);
	assert_int_equal(seen.last.record.exit_status, 3);
}

static void other_text_is_refused(void **state)
{
	static const char *const texts[] = {"squeue: error: what\n", "record ../x.start 0\n",
		"record " UUID ".begin 0\n", "record " UUID ".start 999999\n", "record " UUID ".start -1\n",
		"record " UUID "_.start 0\n", "record " UUID "_1x.start 0\n", "record 0123.start 0\n"};
	struct seen seen = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_int_equal(recordstream_read(texts[i], strlen(texts[i]), see, &seen), -EPROTO);
	assert_int_equal(seen.count, 0);
}

/* ---- the command itself ---- */

struct follower {
	struct cluster cluster;
	char *folder;
	atomic_bool stop;
	int result;
	pthread_mutex_t lock;
	struct seen seen; /* lock */
};

static void see_locked(void *arg, const struct recordstream_item *item)
{
	struct follower *f = arg;

	WITH_LOCK(&f->lock);
	see(&f->seen, item);
}

static void some(void *arg)
{
	(void)arg;
}

static void *follow(void *arg)
{
	struct follower *f = arg;

	f->result = recordstream_follow(&f->cluster, f->folder, &f->stop, see_locked, some, f);
	return NULL;
}

static void write_record(const char *folder, const char *name, const char *text)
{
	AUTO_FREE char *part = xasprintf("%s/.part", folder);
	AUTO_FREE char *path = xasprintf("%s/%s", folder, name);
	FILE *file = fopen(part, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(rename(part, path), 0);
}

static bool has_seen(struct follower *f, bool is_end, int restart)
{
	WITH_LOCK(&f->lock);
	return f->seen.told[is_end][restart];
}

/* The test's own limit is far above what it takes. */
static void expect_seen(struct follower *f, bool is_end, int restart)
{
	for (int i = 0; i < 400 && !has_seen(f, is_end, restart); i++)
		usleep(100000);
	assert_true(has_seen(f, is_end, restart));
}

static void records_are_told_as_they_are_written(void **state)
{
	char folder[] = "/tmp/slurmount-records.XXXXXX";
	struct follower f = {.folder = mkdtemp(folder), .lock = PTHREAD_MUTEX_INITIALIZER};
	AUTO_FREE char *command = xasprintf("rm -r %s", folder);
	pthread_t thread;

	(void)state;
	f.cluster = (struct cluster){.remote = local_remote_new(0022), .clock = &clock_system};
	assert_int_equal(pthread_create(&thread, NULL, follow, &f), 0);
	write_record(folder, UUID ".start", "job 5\nrestart 0\ntime 1\nnode n\n");
	expect_seen(&f, false, 0);
	write_record(folder, "notes.txt", "nothing\n");
	write_record(folder, UUID ".end", "exit 0\njob 5\nrestart 0\ntime 2\nnode n\n");
	expect_seen(&f, true, 0);
	/* Another run, in the same files. */
	write_record(folder, UUID ".start", "job 5\nrestart 1\ntime 3\nnode n\n");
	expect_seen(&f, false, 1);
	/* Told to end, it does; here by way of what ends all of this machine's commands. */
	remote_abort(f.cluster.remote);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(f.result, -ECANCELED);
	remote_destroy(f.cluster.remote);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_are_taken_whole),
		cmocka_unit_test(other_text_is_refused),
		cmocka_unit_test(records_are_told_as_they_are_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
