/* The database over its versions, under SIGKILL in each kind of transaction, and damaged while open. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>

#include "err.h"
#include "store.h"

/* What version 1 made of an empty file. */
static const char version_1[] =
	"CREATE TABLE job (serial INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, name TEXT NOT NULL"
	" UNIQUE, state TEXT NOT NULL, flags INTEGER NOT NULL, attempt INTEGER NOT NULL, slurm_id TEXT"
	" NOT NULL, workdir TEXT NOT NULL, records TEXT NOT NULL, stdout_path TEXT NOT NULL,"
	" stderr_path TEXT NOT NULL, reason TEXT NOT NULL, facts TEXT NOT NULL, error TEXT NOT NULL,"
	" log_size INTEGER NOT NULL, created_ns INTEGER NOT NULL, taken_ns INTEGER NOT NULL,"
	" submitted_ns INTEGER NOT NULL, ended_ns INTEGER NOT NULL, state_ns INTEGER NOT NULL,"
	" file_ns BLOB NOT NULL) STRICT;"
	"CREATE TABLE text (serial INTEGER NOT NULL REFERENCES job ON DELETE CASCADE, kind INTEGER NOT"
	" NULL, content BLOB NOT NULL, PRIMARY KEY (serial, kind)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE origin (serial INTEGER PRIMARY KEY REFERENCES job ON DELETE CASCADE, draft TEXT,"
	" loose BLOB) STRICT;"
	"CREATE TABLE log (serial INTEGER NOT NULL REFERENCES job ON DELETE CASCADE, line INTEGER NOT"
	" NULL, time_ns INTEGER NOT NULL, content TEXT NOT NULL, PRIMARY KEY (serial, line)) STRICT,"
	" WITHOUT ROWID;"
	"CREATE TABLE removal (id INTEGER PRIMARY KEY, workdir TEXT NOT NULL, uuid TEXT NOT NULL)"
	" STRICT;"
	"CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;"
	"PRAGMA user_version = 1;";

/* Of its jobs one has ended, one runs, one waits for its files to be staged. */
static const char jobs_of_version_1[] =
	"INSERT INTO job VALUES (3, 'd0a7f3c2-5b0e-4a3c-9f65-2f0d9a1f7a11', 'minimise', 'COMPLETED', 6, 1,"
	" '4711', '/scratch/ann/slurmount/minimise-d0a7f3c2', '/scratch/ann/slurmount/.slurmount',"
	" 'slurm-4711.out', 'slurm-4711.out', '', 'exit_code = 0', '', 31, 1795515300000000000,"
	" 1795515301000000000, 1795515302000000000, 1795515400000000000, 1795515400000000000, x'');"
	"INSERT INTO job VALUES (4, 'd0a7f3c2-5b0e-4a3c-9f65-2f0d9a1f7a12', 'run', 'RUNNING', 6, 1, '4712',"
	" '/scratch/ann/slurmount/run-d0a7f3c2', '/scratch/ann/slurmount/.slurmount', '', '', 'None', '',"
	" '', 0, 1795515300000000000, 1795515301000000000, 1795515302000000000, 0, 1795515303000000000,"
	" x'');"
	"INSERT INTO job VALUES (9, 'd0a7f3c2-5b0e-4a3c-9f65-2f0d9a1f7a13', 'next', 'STAGING', 0, 1, '', '',"
	" '', '', '', '', '', '', 0, 1795515300000000000, 0, 0, 0, 0, x'');"
	"INSERT INTO text VALUES (3, 0, CAST('[job]' AS BLOB));"
	"INSERT INTO text VALUES (4, 0, CAST('[job]' AS BLOB));"
	"INSERT INTO text VALUES (9, 0, CAST('[job]' AS BLOB));"
	"INSERT INTO origin VALUES (9, 'next', NULL);"
	"INSERT INTO log VALUES (3, 1, 1795515400000000000, 'COMPLETED');"
	"INSERT INTO removal VALUES (1, '/scratch/ann/slurmount/old-1', 'old-1');"
	"INSERT INTO setting VALUES ('scratch', '/scratch/ann/slurmount');";

struct fixture {
	char folder[64];
	char path[96];
	char mark[128];
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	strcpy(f->folder, "/tmp/test_storesafe.XXXXXX");
	if (!mkdtemp(f->folder))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/jobs.db", f->folder);
	snprintf(f->mark, sizeof(f->mark), "%s-damaged", f->path);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const ends[] = {"", "-wal", "-shm", "-journal", "-damaged"};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		AUTO_FREE char *path = xasprintf("%s%s", f->path, ends[i]);

		unlink(path);
	}
	rmdir(f->folder);
	free(f);
	return 0;
}

static void execute(const char *path, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static int is_ok(void *arg, int columns, char **values, char **names)
{
	bool *ok = arg;

	(void)columns;
	(void)names;
	*ok = !strcmp(values[0], "ok");
	return 0;
}

static void assert_sound(const char *path)
{
	sqlite3 *db;
	bool ok = false;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA integrity_check", is_ok, &ok, NULL), SQLITE_OK);
	assert_true(ok);
	sqlite3_close(db);
}

struct loaded {
	struct job *jobs[4096];
	size_t count;
};

static void keep(void *arg, struct job *job)
{
	struct loaded *l = arg;

	assert_true(l->count < 4096);
	l->jobs[l->count++] = job;
}

static void drop(struct loaded *l)
{
	while (l->count)
		job_unref(l->jobs[--l->count]);
	free(l);
}

static struct loaded *load(struct store *store)
{
	struct loaded *l = xcalloc(1, sizeof(*l));

	assert_int_equal(store_load(store, keep, l), 0);
	return l;
}

static struct store *open_store(const struct fixture *f)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct store *store;
	int r = store_open(f->path, &store, &why);

	if (r < 0)
		fail_msg("%s: %s", f->path, why.data);
	return store;
}

static void jobs_of_version_1_are_taken_over(void **state)
{
	struct strbuf log AUTO_STRBUF = STRBUF_INIT;
	struct fixture *f = *state;

	execute(f->path, version_1);
	execute(f->path, jobs_of_version_1);
	struct store *store = open_store(f);
	struct loaded *l = load(store);
	assert_int_equal(l->count, 3);
	assert_string_equal(l->jobs[0]->name, "minimise");
	assert_string_equal(l->jobs[0]->state, "COMPLETED");
	assert_string_equal(l->jobs[0]->facts, "exit_code = 0");
	assert_string_equal(l->jobs[0]->results, "");
	assert_true(l->jobs[0]->staged && l->jobs[0]->taken);
	assert_string_equal(l->jobs[1]->slurm_id, "4712");
	assert_int_equal(l->jobs[1]->config_size, 5);
	assert_string_equal(l->jobs[2]->state, "STAGING");
	assert_int_equal(l->jobs[2]->state_ns, INT64_C(1795515300000000000));
	assert_int_equal(store_text(store, l->jobs[0], STORE_LOG, &log), 0);
	/* By `date -u -d @1795515400 +%FT%TZ`. */
	assert_string_equal(log.data, "2026-11-24T10:16:40Z COMPLETED\n");
	assert_int_equal(store_last_serial(store), 9);
	drop(l);
	store_close(store);
	assert_sound(f->path);
}

static int started[2]; /* a pipe: the child has begun */

/* Runs `act` in a child and kills that so many microseconds after it has begun, if it has not ended by
 * then. */
static void kill_after(void (*act)(const char *path), const char *path, useconds_t us)
{
	char byte;

	assert_int_equal(pipe(started), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		act(path);
		_exit(0);
	}
	close(started[1]);
	assert_int_equal(read(started[0], &byte, 1), 1);
	close(started[0]);
	usleep(us);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void open_and_close(const char *path)
{
	struct store *store;

	if (write(started[1], "", 1) == 1 && store_open(path, &store, NULL) == 0)
		store_close(store);
}

static void a_migration_may_be_killed(void **state)
{
	struct fixture *f = *state;

	for (useconds_t us = 500; us < 40000; us = us * 3 / 2) {
		tear_down(state);
		assert_int_equal(set_up(state), 0);
		f = *state;
		execute(f->path, version_1);
		execute(f->path, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
			" INSERT INTO job SELECT i, 'uuid-' || i, 'job-' || i, 'COMPLETED', 6, 1, i, '/w/' || i,"
			" '', '', '', '', '', '', 0, 1, 1, 1, 1, 1, x'' FROM n");
		kill_after(open_and_close, f->path, us);
		assert_sound(f->path);
		struct store *store = open_store(f);
		struct loaded *l = load(store);
		assert_int_equal(l->count, 3000);
		assert_int_equal(store_last_serial(store), 3000);
		drop(l);
		store_close(store);
	}
}

static struct job *make(uint64_t serial)
{
	struct job *job = job_new();
	AUTO_FREE char *name = xasprintf("job-%llu", (unsigned long long)serial);

	job->serial = serial;
	snprintf(job->uuid, sizeof(job->uuid), "uuid-%llu", (unsigned long long)serial);
	job_set(&job->name, name);
	strcpy(job->state, "STAGING");
	job->attempt = 1;
	job->created_ns = 1;
	return job;
}

#define TEXT_SIZE 60000

/* One of each: the intent, a step with a line of its log, a long text, a setting, a removal noted and
 * done, a group of steps, and a job that is forgotten. */
static int turn(struct store *store, uint64_t serial, const char *text)
{
	AUTO_JOB struct job *job = make(serial), *old = make(serial - 5);
	AUTO_FREE char *number = xasprintf("%llu", (unsigned long long)serial);
	int r = store_add(store, job, text, 1000, job->name, "a\0b", 4);

	strcpy(job->state, "PENDING");
	if (r == 0)
		r = store_update(store, job, "Slurm has it", 1);
	if (r == 0)
		r = store_set_text(store, job, STORE_SCRIPT, text, TEXT_SIZE);
	if (r == 0)
		r = store_set_setting(store, "turn", number);
	if (r == 0)
		r = store_add_removal(store, "/scratch/dir", job->uuid);
	if (r == 0)
		r = store_removal_done(store, (int64_t)serial % 7);
	if (r == 0)
		r = store_begin(store);
	for (int i = 0; r == 0 && i < 20; i++)
		r = store_update(store, job, "a step", i + 2);
	if (r == 0)
		r = store_commit(store);
	if (r == 0 && serial > 5)
		r = store_remove(store, old, "/scratch/old");
	return r;
}

static void turn_for_ever(const char *path)
{
	AUTO_FREE char *text = xmalloc(TEXT_SIZE);
	struct store *store;

	memset(text, 'x', TEXT_SIZE);
	if (store_open(path, &store, NULL) < 0)
		_exit(1);
	uint64_t serial = store_last_serial(store);
	struct loaded *l = load(store);
	if (l->count)
		serial = l->jobs[l->count - 1]->serial;
	drop(l);
	if (turn(store, ++serial, text) < 0 || write(started[1], "", 1) < 0)
		_exit(1);
	while (turn(store, ++serial, text) == 0)
		;
}

static void each_kind_of_transaction_may_be_killed(void **state)
{
	struct fixture *f = *state;
	uint64_t last = 0;

	for (unsigned i = 0; i < 25; i++) {
		kill_after(turn_for_ever, f->path, i * 7919 % 50000);
		assert_sound(f->path);
		struct store *store = open_store(f);
		struct loaded *l = load(store);
		for (size_t k = 0; k < l->count; k++) {
			/* The intent is whole, and its texts and log are of the size it says. */
			struct strbuf text AUTO_STRBUF = STRBUF_INIT, log AUTO_STRBUF = STRBUF_INIT;

			assert_int_equal(store_text(store, l->jobs[k], STORE_CONFIG, &text), 0);
			assert_int_equal(text.len, 1000);
			assert_int_equal(store_text(store, l->jobs[k], STORE_LOG, &log), 0);
			assert_int_equal(log.len, l->jobs[k]->log_size);
		}
		/* A kill may come before the oldest is forgotten. */
		assert_in_range(l->count, 0, 6 + i);
		if (l->count) {
			assert_true(l->jobs[l->count - 1]->serial >= last);
			last = l->jobs[l->count - 1]->serial;
		}
		drop(l);
		store_close(store);
	}
	/* Each time a turn at least was done. */
	assert_true(last >= 25);
}

static void damage_met_later_leaves_a_mark(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE char *text = xmalloc(TEXT_SIZE);
	struct strbuf got AUTO_STRBUF = STRBUF_INIT;
	struct store *store = open_store(f), *again;
	AUTO_JOB struct job *job = make(1);
	char junk[4096];

	memset(text, 'x', TEXT_SIZE);
	assert_int_equal(store_add(store, job, text, TEXT_SIZE, "d", NULL, 0), 0);
	store_close(store);
	/* A mark without damage is nothing, and goes. */
	fclose(fopen(f->mark, "w"));
	store = open_store(f);
	assert_int_equal(access(f->mark, F_OK), -1);
	/* The end of the file is where the long text lies, which nobody has read yet. */
	int fd AUTO_CLOSE = open(f->path, O_RDWR);
	off_t size = lseek(fd, 0, SEEK_END);
	memset(junk, 0xa5, sizeof(junk));
	for (off_t at = size - 3 * 4096; at < size; at += 4096)
		assert_int_equal(pwrite(fd, junk, sizeof(junk), at), sizeof(junk));
	assert_int_equal(store_text(store, job, STORE_CONFIG, &got), -EUCLEAN);
	assert_int_equal(access(f->mark, F_OK), 0);
	store_close(store);
	strbuf_reset(&got);
	assert_int_equal(store_open(f->path, &again, &got), -EUCLEAN);
	assert_true(got.len > 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(jobs_of_version_1_are_taken_over),
		TEST(a_migration_may_be_killed),
		TEST(each_kind_of_transaction_may_be_killed),
		TEST(damage_met_later_leaves_a_mark),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
