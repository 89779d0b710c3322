#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>

#include "err.h"
#include "store.h"

/* 2026-11-24T10:15:00Z, by `date -u -d ... +%s`. */
#define NOON INT64_C(1795515300000000000)

struct fixture {
	char folder[64];
	char path[96];
	struct store *store;
	struct strbuf why;
	struct job *jobs[16]; /* what store_load() gave */
	size_t count;
};

static int set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->why = STRBUF_INIT;
	strcpy(f->folder, "/tmp/test_store.XXXXXX");
	if (!mkdtemp(f->folder))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/jobs.db", f->folder);
	*state = f;
	return store_open(f->path, &f->store, &f->why);
}

static void drop_jobs(struct fixture *f)
{
	while (f->count)
		job_unref(f->jobs[--f->count]);
}

static int tear_down(void **state)
{
	static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
	struct fixture *f = *state;
	char path[128];

	store_close(f->store);
	drop_jobs(f);
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		snprintf(path, sizeof(path), "%s%s", f->path, ends[i]);
		unlink(path);
	}
	rmdir(f->folder);
	strbuf_release(&f->why);
	free(f);
	return 0;
}

static int reopen(struct fixture *f)
{
	store_close(STEAL(f->store));
	strbuf_reset(&f->why);
	return store_open(f->path, &f->store, &f->why);
}

static void keep(void *arg, struct job *job)
{
	struct fixture *f = arg;

	assert_true(f->count < 16);
	f->jobs[f->count++] = job;
}

static void load(struct fixture *f)
{
	drop_jobs(f);
	assert_int_equal(store_load(f->store, keep, f), 0);
}

static struct job *make(uint64_t serial, const char *name)
{
	struct job *job = job_new();

	job->serial = serial;
	snprintf(job->uuid, sizeof(job->uuid), "uuid-%d", (int)serial);
	job_set(&job->name, name);
	strcpy(job->state, "STAGING");
	job->attempt = 1;
	job->created_ns = NOON;
	return job;
}

static struct job *add(struct fixture *f, uint64_t serial, const char *name)
{
	struct job *job = make(serial, name);

	assert_int_equal(store_add(f->store, job, "[job]\n", 6, name, NULL, 0), 0);
	return job;
}

static void check_text(struct fixture *f, const struct job *job, enum store_text which,
	const char *expected)
{
	struct strbuf b AUTO_STRBUF = STRBUF_INIT;

	assert_int_equal(store_text(f->store, job, which, &b), 0);
	assert_string_equal(b.data, expected);
}

/* What another connection answers to `sql`. */
static void ask(struct fixture *f, const char *sql, char *answer, size_t size)
{
	sqlite3 *db;
	sqlite3_stmt *stmt = NULL;

	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	*answer = '\0';
	if (sqlite3_step(stmt) == SQLITE_ROW)
		snprintf(answer, size, "%s", sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	sqlite3_close(db);
}

static void the_file_is_private_and_of_version_2(void **state)
{
	struct fixture *f = *state;
	char answer[32];
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	ask(f, "PRAGMA user_version", answer, sizeof(answer));
	assert_string_equal(answer, "2");
	ask(f, "PRAGMA journal_mode", answer, sizeof(answer));
	assert_string_equal(answer, "wal");
	assert_int_equal(chmod(f->path, 0644), 0);
	assert_int_equal(reopen(f), 0);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void a_job_comes_back_whole(void **state)
{
	struct fixture *f = *state;
	AUTO_JOB struct job *job = add(f, 41, "sim");

	job_unref(add(f, 7, "earlier"));
	assert_int_equal(job->config_size, 6);
	strcpy(job->state, "RUNNING");
	job->cancel_asked = job->taken = true;
	job->moved = job->discarded = true;
	job->attempt = 3;
	job->copies = 5;
	job_set(&job->project_dir, "/p/41");
	job_set(&job->results, "copying");
	job_set(&job->owner, "me@here");
	job_set(&job->slurm_id, "123");
	job_set(&job->workdir, "/scratch/41");
	job_set(&job->records, "/scratch/records");
	job_set(&job->stdout_path, "/o");
	job_set(&job->stderr_path, "/e");
	job_set(&job->reason, "why");
	job_set(&job->facts, "a = 1\n");
	job_set(&job->error, "x\xff\n");
	job->taken_ns = 1;
	job->submitted_ns = 2;
	job->ended_ns = 3;
	job->state_ns = 4;
	job->seen_ns = 6;
	for (int i = 0; i < JOB_FILE_COUNT; i++)
		job->file_ns[i] = 100 + i;
	assert_int_equal(store_set_text(f->store, job, STORE_SCRIPT, "#!\0x", 4), 0);
	assert_int_equal(store_set_text(f->store, job, STORE_PROGRESS, "steps = 9\n", 10), 0);
	assert_int_equal(store_update(f->store, job, NULL, 0), 0);
	assert_int_equal(reopen(f), 0);
	load(f);
	assert_int_equal(f->count, 2);
	assert_string_equal(f->jobs[0]->name, "earlier");
	const struct job *got = f->jobs[1];
	assert_int_equal(got->serial, 41);
	assert_string_equal(got->uuid, "uuid-41");
	assert_string_equal(got->name, "sim");
	assert_string_equal(got->state, "RUNNING");
	assert_true(got->cancel_asked && got->taken && !got->staged);
	assert_true(got->moved && got->discarded && !got->kept && !got->purged);
	assert_int_equal(got->attempt, 3);
	assert_int_equal(got->copies, 5);
	assert_int_equal(got->seen_ns, 6);
	assert_string_equal(got->project_dir, "/p/41");
	assert_string_equal(got->results, "copying");
	assert_string_equal(got->owner, "me@here");
	assert_string_equal(got->slurm_id, "123");
	assert_string_equal(got->workdir, "/scratch/41");
	assert_string_equal(got->records, "/scratch/records");
	assert_string_equal(got->stdout_path, "/o");
	assert_string_equal(got->stderr_path, "/e");
	assert_string_equal(got->reason, "why");
	assert_string_equal(got->facts, "a = 1\n");
	assert_string_equal(got->error, "x\xff\n");
	assert_string_equal(got->progress, "steps = 9\n");
	assert_string_equal(f->jobs[0]->progress, "");
	assert_int_equal(got->config_size, 6);
	assert_int_equal(got->script_size, 4);
	assert_int_equal(got->created_ns, NOON);
	assert_int_equal(got->taken_ns, 1);
	assert_int_equal(got->submitted_ns, 2);
	assert_int_equal(got->ended_ns, 3);
	assert_int_equal(got->state_ns, 4);
	assert_memory_equal(got->file_ns, job->file_ns, sizeof(job->file_ns));
	/* The intent alone has no times of its own. */
	assert_int_equal(f->jobs[0]->file_ns[JOB_FILE_STATUS], NOON);
	assert_int_equal(f->jobs[0]->state_ns, NOON);
}

static void a_version_that_knew_fewer_files_left_their_times(void **state)
{
	struct fixture *f = *state;
	AUTO_JOB struct job *job = add(f, 7, "sim");
	char answer[32];

	for (int i = 0; i < JOB_FILE_COUNT; i++)
		job->file_ns[i] = NOON + 100 + i;
	assert_int_equal(store_update(f->store, job, NULL, 0), 0);
	ask(f, "UPDATE job SET file_ns = substr(file_ns, 1, 16)", answer, sizeof(answer));
	assert_int_equal(reopen(f), 0);
	load(f);
	assert_int_equal(f->jobs[0]->file_ns[1], NOON + 101);
	assert_int_equal(f->jobs[0]->file_ns[2], NOON);
}

static void texts(void **state)
{
	struct fixture *f = *state;
	AUTO_JOB struct job *job = add(f, 1, "sim");
	struct strbuf b AUTO_STRBUF = STRBUF_INIT;

	check_text(f, job, STORE_CONFIG, "[job]\n");
	check_text(f, job, STORE_SCRIPT, "");
	check_text(f, job, STORE_LOG, "");
	assert_int_equal(store_set_text(f->store, job, STORE_CONFIG, "new text", 8), 0);
	assert_int_equal(job->config_size, 8);
	strbuf_adds(&b, "> ");
	assert_int_equal(store_text(f->store, job, STORE_CONFIG, &b), 0);
	assert_string_equal(b.data, "> new text");
	assert_int_equal(store_set_text(f->store, job, STORE_CONFIG, NULL, 0), 0);
	check_text(f, job, STORE_CONFIG, "");
	assert_int_equal(store_set_text(f->store, job, STORE_LOG, "x", 1), -EINVAL);
	AUTO_JOB struct job *nobody = make(99, "nobody");
	assert_int_equal(store_set_text(f->store, nobody, STORE_SCRIPT, "x", 1), -ENOENT);
	assert_int_equal(nobody->script_size, 0);
}

static void the_log_has_the_size_it_says(void **state)
{
	struct fixture *f = *state;
	AUTO_JOB struct job *job = add(f, 1, "sim");

	assert_int_equal(store_update(f->store, job, "accepted", NOON), 0);
	assert_int_equal(job->log_size, 30);
	AUTO_JOB struct job *before = job_copy(job);
	assert_int_equal(store_update(f->store, job, "two\nlines\033", NOON + 1500000000), 0);
	assert_int_equal(job->log_size, 30 + 38);
	const char *both = "2026-11-24T10:15:00Z accepted\n"
		"2026-11-24T10:15:01Z two\\x0alines\\x1b\n";
	check_text(f, job, STORE_LOG, both);
	check_text(f, before, STORE_LOG, "2026-11-24T10:15:00Z accepted\n");
	assert_int_equal(reopen(f), 0);
	load(f);
	assert_int_equal(f->jobs[0]->log_size, strlen(both));
	check_text(f, f->jobs[0], STORE_LOG, both);
}

static void a_second_job_of_a_name_is_refused_whole(void **state)
{
	struct fixture *f = *state;
	AUTO_JOB struct job *job = add(f, 1, "sim");
	AUTO_JOB struct job *twin = make(2, "sim");
	AUTO_JOB struct job *again = make(1, "other");

	assert_int_equal(store_add(f->store, twin, "x", 1, "sim", NULL, 0), -EEXIST);
	assert_int_equal(store_add(f->store, again, "x", 1, "sim", NULL, 0), -EEXIST);
	load(f);
	assert_int_equal(f->count, 1);
	check_text(f, job, STORE_CONFIG, "[job]\n");
}

static void origins(void **state)
{
	struct fixture *f = *state;
	AUTO_JOB struct job *loose = make(2, "loose");
	char *draft, *names;
	size_t len;

	job_unref(add(f, 1, "folder"));
	assert_int_equal(store_add(f->store, loose, "", 0, NULL, "a\0b\0", 4), 0);
	assert_int_equal(store_origin(f->store, 1, &draft, &names, &len), 0);
	assert_string_equal(draft, "folder");
	assert_null(names);
	free(draft);
	assert_int_equal(store_origin(f->store, 2, &draft, &names, &len), 0);
	assert_null(draft);
	assert_int_equal(len, 4);
	assert_memory_equal(names, "a\0b\0", 4);
	free(names);
	assert_int_equal(store_origin(f->store, 3, &draft, &names, &len), -ENOENT);
}

static void note_removal(void *arg, int64_t id, const char *workdir, const char *uuid, bool lives)
{
	strbuf_addf(arg, "%d %s %s%s\n", (int)id, workdir, uuid, lives ? " lives" : "");
}

static void removal_leaves_what_is_to_be_removed_there(void **state)
{
	struct fixture *f = *state;
	AUTO_JOB struct job *a = add(f, 1, "a");
	AUTO_JOB struct job *b = add(f, 2, "b");
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	char answer[32];

	assert_int_equal(store_update(f->store, a, "line", NOON), 0);
	assert_int_equal(store_remove(f->store, a, "/s/a"), 0);
	assert_int_equal(store_remove(f->store, b, NULL), 0);
	/* A late answer does not bring it back. */
	assert_int_equal(store_update(f->store, b, NULL, NOON), -ENOENT);
	assert_int_equal(store_text(f->store, a, STORE_CONFIG, &text), -ENOENT);
	assert_int_equal(store_text(f->store, a, STORE_LOG, &text), -ENOENT);
	load(f);
	assert_int_equal(f->count, 0);
	ask(f, "SELECT (SELECT count(*) FROM text) + (SELECT count(*) FROM log) +"
		" (SELECT count(*) FROM origin)", answer, sizeof(answer));
	assert_string_equal(answer, "0");
	assert_int_equal(store_removals(f->store, note_removal, &text), 0);
	assert_string_equal(text.data, "1 /s/a uuid-1\n");
	assert_int_equal(store_removal_done(f->store, 1), 0);
	strbuf_reset(&text);
	assert_int_equal(store_removals(f->store, note_removal, &text), 0);
	assert_string_equal(text.data, "");
	job_unref(add(f, 3, "a"));
	/* One directory of a job that goes on in another: its records are not to be removed. */
	assert_int_equal(store_add_removal(f->store, "/s/c", "uuid-3"), 0);
	assert_int_equal(store_removals(f->store, note_removal, &text), 0);
	assert_string_equal(text.data, "1 /s/c uuid-3 lives\n");
}

static void a_removed_serial_is_remembered(void **state)
{
	struct fixture *f = *state;
	AUTO_JOB struct job *low = add(f, 4, "low");
	AUTO_JOB struct job *high = add(f, 12, "high");

	assert_int_equal(store_last_serial(f->store), 0);
	assert_int_equal(store_remove(f->store, high, NULL), 0);
	assert_int_equal(store_remove(f->store, low, NULL), 0);
	assert_int_equal(reopen(f), 0);
	assert_int_equal(store_last_serial(f->store), 12);
}

static void version_1_is_taken_over(void **state)
{
	struct fixture *f = *state;
	char answer[32];

	job_unref(add(f, 8, "a"));
	job_unref(add(f, 30, "b"));
	store_close(STEAL(f->store));
	static const char *const columns[] = {"job DROP COLUMN project_dir", "job DROP COLUMN results",
		"job DROP COLUMN owner", "job DROP COLUMN copies", "job DROP COLUMN seen_ns",
		"removal DROP COLUMN lives"};
	for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++) {
		AUTO_FREE char *sql = xasprintf("ALTER TABLE %s", columns[i]);

		ask(f, sql, answer, sizeof(answer));
	}
	ask(f, "PRAGMA user_version = 1", answer, sizeof(answer));
	assert_int_equal(reopen(f), 0);
	load(f);
	assert_int_equal(f->count, 2);
	assert_string_equal(f->jobs[1]->name, "b");
	assert_string_equal(f->jobs[1]->project_dir, "");
	assert_false(f->jobs[1]->moved);
	assert_int_equal(store_last_serial(f->store), 30);
}

static void settings(void **state)
{
	struct fixture *f = *state;

	assert_null(store_setting(f->store, "id"));
	assert_int_equal(store_set_setting(f->store, "id", "one"), 0);
	assert_int_equal(store_set_setting(f->store, "id", "two"), 0);
	assert_int_equal(reopen(f), 0);
	AUTO_FREE char *value = store_setting(f->store, "id");
	assert_string_equal(value, "two");
}

static void batches(void **state)
{
	struct fixture *f = *state;
	AUTO_JOB struct job *a = add(f, 1, "a");
	AUTO_JOB struct job *gone = make(9, "gone");
	char answer[32];

	assert_int_equal(store_begin(f->store), 0);
	strcpy(a->state, "PENDING");
	assert_int_equal(store_update(f->store, a, "one", NOON), 0);
	/* One that fails takes nothing with it, and leaves nothing. */
	assert_int_equal(store_update(f->store, gone, "two", NOON), -ENOENT);
	assert_int_equal(gone->log_size, 0);
	ask(f, "SELECT state FROM job", answer, sizeof(answer));
	assert_string_equal(answer, "STAGING");
	assert_int_equal(store_commit(f->store), 0);
	ask(f, "SELECT state || (SELECT count(*) FROM log) FROM job", answer, sizeof(answer));
	assert_string_equal(answer, "PENDING1");
	/* Behind the end each stands for itself again. */
	assert_int_equal(store_update(f->store, a, "three", NOON), 0);
	ask(f, "SELECT count(*) FROM log", answer, sizeof(answer));
	assert_string_equal(answer, "2");
}

/* Lets no file grow beyond `bytes`; a stand-in for a disk that fails. */
static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_batch_that_cannot_be_written_is_no_success(void **state)
{
	struct fixture *f = *state;
	AUTO_JOB struct job *a = add(f, 1, "a");
	AUTO_FREE char *big = xcalloc(1, 8 << 20);
	struct rlimit limit;
	char answer[32];

	getrlimit(RLIMIT_FSIZE, &limit);
	limit_files(256 << 10);
	memset(big, 'x', (8 << 20) - 1);
	assert_int_equal(store_begin(f->store), 0);
	assert_int_equal(store_update(f->store, a, "kept?", NOON), 0);
	int r = store_set_text(f->store, a, STORE_SCRIPT, big, 8 << 20);
	int later = store_update(f->store, a, "and this?", NOON);
	int end = store_commit(f->store);
	setrlimit(RLIMIT_FSIZE, &limit);
	assert_true(r < 0 || end < 0);
	/* Either the whole batch is gone and the commit says so, or it holds all but what failed. */
	ask(f, "SELECT count(*) FROM log", answer, sizeof(answer));
	assert_string_equal(answer, end < 0 ? "0" : later < 0 ? "1" : "2");
	ask(f, "PRAGMA integrity_check", answer, sizeof(answer));
	assert_string_equal(answer, "ok");
	assert_int_equal(store_update(f->store, a, "afterwards", NOON), 0);
}

static void a_newer_one_is_left_alone(void **state)
{
	struct fixture *f = *state;
	char answer[32];

	store_close(STEAL(f->store));
	ask(f, "PRAGMA journal_mode = DELETE", answer, sizeof(answer));
	ask(f, "PRAGMA user_version = 9", answer, sizeof(answer));
	assert_int_equal(reopen(f), -ENOTSUP);
	assert_non_null(strstr(f->why.data, "9"));
	assert_non_null(strstr(f->why.data, "2"));
	ask(f, "PRAGMA journal_mode", answer, sizeof(answer));
	assert_string_equal(answer, "delete");
}

static void put(const char *path, const void *bytes, size_t len, off_t at, int flags)
{
	int fd AUTO_CLOSE = open(path, O_WRONLY | flags);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, at), len);
}

static void damage_is_named(void **state)
{
	struct fixture *f = *state;
	char answer[32];
	char junk[4096];

	/* Version and tables do not fit. */
	job_unref(add(f, 1, "a"));
	store_close(STEAL(f->store));
	ask(f, "DROP TABLE setting", answer, sizeof(answer));
	assert_int_equal(reopen(f), -EUCLEAN);
	assert_true(f->why.len > 0);
	/* The page of the schema is overwritten. */
	memset(junk, 0xa5, sizeof(junk));
	put(f->path, junk, 3000, 100, 0);
	assert_int_equal(reopen(f), -EUCLEAN);
	/* No database at all. */
	put(f->path, junk, sizeof(junk), 0, O_TRUNC);
	assert_int_equal(reopen(f), -EUCLEAN);
	assert_true(f->why.len > 0);
	/* Another program's. */
	unlink(f->path);
	ask(f, "CREATE TABLE x (y)", answer, sizeof(answer));
	assert_int_equal(reopen(f), -EUCLEAN);
}

static void a_damaged_table_is_named(void **state)
{
	struct fixture *f = *state;
	char answer[32];
	char junk[4096];

	job_unref(add(f, 1, "a"));
	store_close(STEAL(f->store));
	ask(f, "SELECT rootpage FROM sqlite_schema WHERE name = 'job'", answer, sizeof(answer));
	memset(junk, 0xa5, sizeof(junk));
	put(f->path, junk, sizeof(junk), (atoi(answer) - 1) * 4096L, 0);
	assert_int_equal(reopen(f), -EUCLEAN);
	assert_true(f->why.len > 0);
}

static void places_that_cannot_be_opened(void **state)
{
	struct fixture *f = *state;
	struct store *other = NULL;
	char path[128];

	snprintf(path, sizeof(path), "%s/none/jobs.db", f->folder);
	assert_int_equal(store_open(path, &other, &f->why), -ENOENT);
	snprintf(path, sizeof(path), "%s/link", f->folder);
	assert_int_equal(symlink(f->path, path), 0);
	assert_int_equal(store_open(path, &other, NULL), -ELOOP);
	unlink(path);
}

static void *read_on(void *arg)
{
	struct fixture *f = arg;
	AUTO_JOB struct job *job = make(1, "a");

	job->config_size = 6;
	for (int i = 0; i < 2000; i++) {
		struct strbuf b AUTO_STRBUF = STRBUF_INIT;

		if (store_text(f->store, job, STORE_CONFIG, &b) < 0 || strcmp(b.data, "[job]\n"))
			return (void *)"wrong";
	}
	return NULL;
}

static void readers_and_the_writer_go_on_together(void **state)
{
	struct fixture *f = *state;
	AUTO_JOB struct job *job = add(f, 1, "a");
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, f), 0);
	for (int i = 0; i < 200; i++)
		assert_int_equal(store_update(f->store, job, "line", NOON), 0);
	for (int i = 0; i < 3; i++) {
		void *wrong;

		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
}

/* Counts in `attempt` and says each number once it is durable. */
static void count_for_ever(const char *path, uint64_t serial, int said)
{
	struct store *store;
	AUTO_JOB struct job *job = make(serial, "counted");

	if (store_open(path, &store, NULL) < 0 || store_add(store, job, "x", 1, "d", NULL, 0) < 0)
		_exit(1);
	for (job->attempt = 2;; job->attempt++)
		if (store_update(store, job, "counted", NOON) < 0 ||
			write(said, &job->attempt, sizeof(job->attempt)) < 0)
			_exit(1);
}

static unsigned kill_a_writer(const char *path, uint64_t serial, useconds_t after_us)
{
	unsigned number, last = 0;
	int pipes[2], status;

	assert_int_equal(pipe(pipes), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(pipes[0]);
		count_for_ever(path, serial, pipes[1]);
	}
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &last, sizeof(last)), sizeof(last));
	usleep(after_us);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	assert_true(WIFSIGNALED(status));
	while (read(pipes[0], &number, sizeof(number)) == sizeof(number))
		last = number;
	close(pipes[0]);
	return last;
}

static void what_was_acknowledged_survives_kill_9(void **state)
{
	struct fixture *f = *state;
	char answer[32];

	for (int i = 0; i < 8; i++) {
		store_close(STEAL(f->store));
		unsigned last = kill_a_writer(f->path, 5, (useconds_t)(i * 7919 + 20000));
		ask(f, "PRAGMA integrity_check", answer, sizeof(answer));
		assert_string_equal(answer, "ok");
		assert_int_equal(reopen(f), 0);
		load(f);
		assert_int_equal(f->count, 1);
		assert_in_range(f->jobs[0]->attempt, last, last + 1);
		/* One line a number from 2 on, each 29 bytes; log and job are of one moment. */
		assert_int_equal(f->jobs[0]->log_size, (f->jobs[0]->attempt - 1) * 29);
		assert_int_equal(store_remove(f->store, f->jobs[0], NULL), 0);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_file_is_private_and_of_version_2),
		TEST(a_job_comes_back_whole),
		TEST(a_version_that_knew_fewer_files_left_their_times),
		TEST(texts),
		TEST(the_log_has_the_size_it_says),
		TEST(a_second_job_of_a_name_is_refused_whole),
		TEST(origins),
		TEST(removal_leaves_what_is_to_be_removed_there),
		TEST(a_removed_serial_is_remembered),
		TEST(version_1_is_taken_over),
		TEST(settings),
		TEST(batches),
		TEST(a_batch_that_cannot_be_written_is_no_success),
		TEST(a_newer_one_is_left_alone),
		TEST(damage_is_named),
		TEST(a_damaged_table_is_named),
		TEST(places_that_cannot_be_opened),
		TEST(readers_and_the_writer_go_on_together),
		TEST(what_was_acknowledged_survives_kill_9),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
