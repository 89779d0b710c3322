#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "err.h"
#include "log.h"
#include "store_schema.h"
#include "tasks.h"

#define JOB_COLUMNS \
	"serial, uuid, name, state, flags, attempt, slurm_id, workdir, records, stdout_path," \
	" stderr_path, reason, facts, error, log_size, created_ns, taken_ns, submitted_ns, ended_ns," \
	" state_ns, file_ns, project_dir, results, owner, copies, seen_ns"

enum statement {
	BEGIN, COMMIT, ROLLBACK, SAVE, SAVE_DROP, SAVE_BACK,
	JOB_ADD, JOB_UPDATE, JOB_DELETE, JOB_LOAD, TEXT_LOAD,
	TEXT_SET, LOG_ADD, ORIGIN_ADD, ORIGIN_GET,
	REMOVAL_ADD, REMOVAL_LIST, REMOVAL_DELETE,
	SETTING_GET, SETTING_SET,
	READ_TEXT, READ_LOG, /* these two are the reader's */
	STATEMENT_COUNT
};

static const char *const statements[STATEMENT_COUNT] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[SAVE] = "SAVEPOINT one",
	[SAVE_DROP] = "RELEASE one",
	[SAVE_BACK] = "ROLLBACK TO one",
	[JOB_ADD] = ("INSERT INTO job (" JOB_COLUMNS ")"
		" VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"),
	[JOB_UPDATE] = "UPDATE job SET (" JOB_COLUMNS ") ="
		" (?1,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) WHERE serial = ?1",
	[JOB_DELETE] = "DELETE FROM job WHERE serial = ?",
	[JOB_LOAD] = "SELECT " JOB_COLUMNS " FROM job ORDER BY serial",
	/* Beside it, in the same order: a look-up for each job would read its script, to compare keys. */
	[TEXT_LOAD] = "SELECT serial, kind, length(content), CASE WHEN kind IN (3, 9) THEN content END"
		" FROM text ORDER BY serial, kind",
	[TEXT_SET] = "INSERT OR REPLACE INTO text (serial, kind, content) VALUES (?, ?, ?)",
	[LOG_ADD] = ("INSERT INTO log (serial, line, time_ns, content)"
		" SELECT ?1, coalesce(max(line), 0) + 1, ?2, ?3 FROM log WHERE serial = ?1"),
	[ORIGIN_ADD] = "INSERT INTO origin (serial, draft, loose) VALUES (?, ?, ?)",
	[ORIGIN_GET] = "SELECT draft, loose FROM origin WHERE serial = ?",
	[REMOVAL_ADD] = "INSERT INTO removal (workdir, uuid, lives) VALUES (?, ?, ?)",
	[REMOVAL_LIST] = "SELECT id, workdir, uuid, lives FROM removal ORDER BY id",
	[REMOVAL_DELETE] = "DELETE FROM removal WHERE id = ?",
	[SETTING_GET] = "SELECT value FROM setting WHERE key = ?",
	[SETTING_SET] = "INSERT OR REPLACE INTO setting (key, value) VALUES (?, ?)",
	[READ_TEXT] = "SELECT content FROM text WHERE serial = ? AND kind = ?",
	[READ_LOG] = "SELECT time_ns, content FROM log WHERE serial = ? ORDER BY line",
};

enum flag {
	FLAG_CANCEL_ASKED = 1,
	FLAG_STAGED = 2,
	FLAG_TAKEN = 4,
	FLAG_MOVED = 8,
	FLAG_KEPT = 16,
	FLAG_DISCARDED = 32,
	FLAG_PURGED = 64,
	FLAG_RECORDED = 128,
};

struct store {
	char *mark;                           /* a file that says that the database was found damaged */
	sqlite3 *db;                          /* the engine thread's */
	bool batch;                           /* the engine thread's: between begin and commit */
	int lost;                             /* the engine thread's: why the batch is gone, or 0 */
	pthread_mutex_t lock;
	sqlite3 *reader;                      /* lock */
	sqlite3_stmt *kept[STATEMENT_COUNT];  /* READ_*: lock; the others the engine thread's */
};

/* ---- statements ---- */

/* Binds by the letters of `types`: i (int64), t (text), b (bytes and size_t).  The values must live
 * until done(). */
static sqlite3_stmt *query(struct store *s, enum statement which, const char *types, ...)
{
	sqlite3 *db = which == READ_TEXT || which == READ_LOG ? s->reader : s->db;
	va_list args;

	if (!s->kept[which] && sqlite3_prepare_v3(db, statements[which], -1,
		SQLITE_PREPARE_PERSISTENT, &s->kept[which], NULL) != SQLITE_OK)
		return NULL;
	sqlite3_stmt *stmt = s->kept[which];
	va_start(args, types);
	for (int i = 1; *types; i++, types++) {
		if (*types == 'i') {
			sqlite3_bind_int64(stmt, i, va_arg(args, int64_t));
		} else if (*types == 't') {
			sqlite3_bind_text(stmt, i, va_arg(args, const char *), -1, SQLITE_STATIC);
		} else {
			const void *bytes = va_arg(args, const void *);
			size_t len = va_arg(args, size_t);

			sqlite3_bind_blob64(stmt, i, bytes, len, SQLITE_STATIC);
		}
	}
	va_end(args);
	return stmt;
}

static int step(sqlite3 *db, sqlite3_stmt *stmt)
{
	return stmt ? sqlite3_step(stmt) : sqlite3_extended_errcode(db);
}

/* What is damaged may lie where no start looks: so the next one is told to look everywhere. */
static void set_mark(const struct store *s)
{
	int fd AUTO_CLOSE = open(s->mark, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		log_warning("%s: %s", s->mark, strerror(errno));
}

/* Makes a statement ready for its next use; `code` is its last step's. */
static int done(struct store *s, sqlite3 *db, sqlite3_stmt *stmt, int code)
{
	int r = store_errno(db, code);

	if (r == -EUCLEAN)
		set_mark(s);
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return r;
}

/* Runs a statement of the writer that gives no rows. */
static int finish(struct store *s, sqlite3_stmt *stmt)
{
	return done(s, s->db, stmt, step(s->db, stmt));
}

static int run(struct store *s, enum statement which)
{
	return finish(s, query(s, which, ""));
}

/* ---- transactions ---- */

int store_begin(struct store *s)
{
	if (s->batch)
		return -EBUSY;
	int r = run(s, BEGIN);
	s->batch = r == 0;
	s->lost = 0;
	return r;
}

int store_commit(struct store *s)
{
	/* Where store_begin() failed each update stood for itself. */
	if (!s->batch)
		return 0;
	int r = s->lost ? s->lost : run(s, COMMIT);
	if (r < 0 && !sqlite3_get_autocommit(s->db))
		run(s, ROLLBACK);
	s->batch = false;
	s->lost = 0;
	return r;
}

/* One change of several statements: whole or not at all, in a batch too. */
static int change_begin(struct store *s)
{
	return s->lost ? s->lost : run(s, s->batch ? SAVE : BEGIN);
}

/* `r` is how the change went; returns how it ended. */
static int change_end(struct store *s, int r)
{
	if (r == 0)
		r = run(s, s->batch ? SAVE_DROP : COMMIT);
	if (r == 0)
		return 0;
	/* A full disk makes SQLite itself roll the whole transaction back. */
	if (sqlite3_get_autocommit(s->db)) {
		if (s->batch)
			s->lost = r;
	} else if (!s->batch) {
		run(s, ROLLBACK);
	} else if (run(s, SAVE_BACK) < 0 || run(s, SAVE_DROP) < 0) {
		s->lost = r;
	}
	return r;
}

/* ---- opening ---- */

/* A file whose version is right and whose tables are not is damaged. */
static int prepare_all(struct store *s)
{
	for (enum statement which = 0; which < STATEMENT_COUNT; which++) {
		if (query(s, which, ""))
			continue;
		sqlite3 *db = which == READ_TEXT || which == READ_LOG ? s->reader : s->db;
		int code = sqlite3_extended_errcode(db);
		return (code & 0xff) == SQLITE_ERROR ? -EUCLEAN : store_errno(db, code);
	}
	return 0;
}

/* All of it, where an earlier run met with damage; the mark goes where there is none after all. */
static int check_mark(struct store *s, struct strbuf *why)
{
	if (access(s->mark, F_OK))
		return 0;
	int r = store_schema_check(s->db, NULL, why);
	if (r == 0)
		unlink(s->mark);
	return r;
}

int store_open(const char *path, struct store **ret, struct strbuf *why)
{
	struct store *s = xcalloc(1, sizeof(*s));

	s->mark = xasprintf("%s-damaged", path);
	pthread_mutex_init(&s->lock, NULL);
	int r = store_schema_open(path, &s->db, why);
	if (r == 0)
		r = check_mark(s, why);
	if (r < 0) {
		store_close(s);
		return r;
	}
	r = store_schema_open_reader(path, &s->reader);
	if (r == 0)
		r = prepare_all(s);
	if (r == 0) {
		*ret = s;
		return 0;
	}
	strbuf_addf(why, "%s", r == -EUCLEAN ? sqlite3_errmsg(s->db) : strerror(-r));
	store_close(s);
	return r;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	for (enum statement which = 0; which < STATEMENT_COUNT; which++)
		sqlite3_finalize(s->kept[which]);
	/* The writer last: the last one out folds the log into the file. */
	sqlite3_close(s->reader);
	sqlite3_close(s->db);
	pthread_mutex_destroy(&s->lock);
	free(s->mark);
	free(s);
}

/* ---- jobs ---- */

static const char *column(sqlite3_stmt *stmt, int i)
{
	const char *text = (const char *)sqlite3_column_text(stmt, i);

	return text ? text : "";
}

static struct job *read_job(sqlite3_stmt *stmt)
{
	struct job *job = job_new();
	char **const strings[] = {&job->slurm_id, &job->workdir, &job->records, &job->stdout_path,
		&job->stderr_path, &job->reason, &job->facts, &job->error};
	int64_t *const times[] = {&job->created_ns, &job->taken_ns, &job->submitted_ns,
		&job->ended_ns, &job->state_ns};
	int64_t flags = sqlite3_column_int64(stmt, 4);

	job->serial = (uint64_t)sqlite3_column_int64(stmt, 0);
	snprintf(job->uuid, sizeof(job->uuid), "%s", column(stmt, 1));
	job_set(&job->name, column(stmt, 2));
	snprintf(job->state, sizeof(job->state), "%s", column(stmt, 3));
	job->cancel_asked = flags & FLAG_CANCEL_ASKED;
	job->staged = flags & FLAG_STAGED;
	job->taken = flags & FLAG_TAKEN;
	job->moved = flags & FLAG_MOVED;
	job->kept = flags & FLAG_KEPT;
	job->discarded = flags & FLAG_DISCARDED;
	job->purged = flags & FLAG_PURGED;
	job->recorded = flags & FLAG_RECORDED;
	job->attempt = (unsigned)sqlite3_column_int64(stmt, 5);
	for (int i = 0; i < 8; i++)
		job_set(strings[i], column(stmt, 6 + i));
	job->log_size = (uint64_t)sqlite3_column_int64(stmt, 14);
	for (int i = 0; i < 5; i++)
		*times[i] = sqlite3_column_int64(stmt, 15 + i);
	/* An older version knew fewer files. */
	size_t known = (size_t)sqlite3_column_bytes(stmt, 20);
	if (known && known <= sizeof(job->file_ns))
		memcpy(job->file_ns, sqlite3_column_blob(stmt, 20), known);
	job_set(&job->project_dir, column(stmt, 21));
	job_set(&job->results, column(stmt, 22));
	job_set(&job->owner, column(stmt, 23));
	job->copies = (unsigned)sqlite3_column_int64(stmt, 24);
	job->seen_ns = sqlite3_column_int64(stmt, 25);
	return job;
}

static void read_text(sqlite3_stmt *stmt, struct job *job)
{
	uint64_t size = (uint64_t)sqlite3_column_int64(stmt, 2);

	switch (sqlite3_column_int(stmt, 1)) {
	case STORE_CONFIG:
		job->config_size = size;
		break;
	case STORE_SCRIPT:
		job->script_size = size;
		break;
	case STORE_PROGRESS:
		job_set(&job->progress, column(stmt, 3));
		break;
	case STORE_TASKS:
		job_set_tasks(job, tasks_parse(column(stmt, 3), (size_t)sqlite3_column_bytes(stmt, 3)));
		break;
	}
}

/* Goes on with the texts, which stand at `*code`, to the end of those of `job`. */
static void read_texts(struct store *s, sqlite3_stmt *stmt, int *code, struct job *job)
{
	while (*code == SQLITE_ROW && (uint64_t)sqlite3_column_int64(stmt, 0) <= job->serial) {
		if ((uint64_t)sqlite3_column_int64(stmt, 0) == job->serial)
			read_text(stmt, job);
		*code = step(s->db, stmt);
	}
}

/* A crash right behind the intent leaves a job whose files have no times yet. */
static void give_times(struct job *job)
{
	if (!job->state_ns)
		job->state_ns = job->created_ns;
	for (enum job_file file = 0; file < JOB_FILE_COUNT; file++)
		if (!job->file_ns[file])
			job->file_ns[file] = job->created_ns;
}

int store_load(struct store *s, void (*each)(void *arg, struct job *job), void *arg)
{
	sqlite3_stmt *stmt = query(s, JOB_LOAD, "");
	sqlite3_stmt *texts = query(s, TEXT_LOAD, "");
	AUTO_JOB struct job *last = NULL;
	int code, text_code = step(s->db, texts);

	while ((code = step(s->db, stmt)) == SQLITE_ROW) {
		struct job *job = read_job(stmt);

		read_texts(s, texts, &text_code, job);
		give_times(job);
		/* They have their folders in common, if nothing else. */
		job_share(job, last);
		job_unref(last);
		last = job_ref(job);
		each(arg, job);
	}
	int r = done(s, s->db, texts, text_code);
	int job_r = done(s, s->db, stmt, code);
	return r < 0 ? r : job_r;
}

static int write_job(struct store *s, enum statement which, const struct job *job)
{
	int64_t flags = (job->cancel_asked ? FLAG_CANCEL_ASKED : 0) |
		(job->staged ? FLAG_STAGED : 0) | (job->taken ? FLAG_TAKEN : 0) |
		(job->moved ? FLAG_MOVED : 0) | (job->kept ? FLAG_KEPT : 0) |
		(job->discarded ? FLAG_DISCARDED : 0) | (job->purged ? FLAG_PURGED : 0) |
		(job->recorded ? FLAG_RECORDED : 0);
	int r = finish(s, query(s, which, "itttiittttttttiiiiiibtttii", (int64_t)job->serial, job->uuid,
		job->name, job->state, flags, (int64_t)job->attempt, job->slurm_id, job->workdir,
		job->records, job->stdout_path, job->stderr_path, job->reason, job->facts, job->error,
		(int64_t)job->log_size, job->created_ns, job->taken_ns, job->submitted_ns,
		job->ended_ns, job->state_ns, (const void *)job->file_ns, sizeof(job->file_ns),
		job->project_dir, job->results, job->owner, (int64_t)job->copies, job->seen_ns));

	/* A late answer about a job that was removed must not bring it back. */
	return r == 0 && which == JOB_UPDATE && !sqlite3_changes(s->db) ? -ENOENT : r;
}

static int write_text(struct store *s, uint64_t serial, enum store_text which, const char *text,
	size_t len)
{
	/* A NULL pointer would bind NULL, where an empty text is meant. */
	return finish(s, query(s, TEXT_SET, "iib", (int64_t)serial, (int64_t)which,
		(const void *)(text ? text : ""), len));
}

int store_add(struct store *s, struct job *job, const char *config, size_t config_len,
	const char *draft, const char *loose, size_t loose_len)
{
	int r = change_begin(s);

	if (r < 0)
		return r;
	r = write_job(s, JOB_ADD, job);
	if (r == 0)
		r = write_text(s, job->serial, STORE_CONFIG, config, config_len);
	if (r == 0)
		r = finish(s, query(s, ORIGIN_ADD, "itb", (int64_t)job->serial, draft,
			(const void *)loose, loose_len));
	r = change_end(s, r);
	if (r == 0)
		job->config_size = config_len;
	return r;
}

static void render_log(struct strbuf *b, int64_t real_ns, const char *text, size_t len)
{
	char stamp[CLOCK_ISO_SIZE];

	strbuf_adds(b, clock_iso(real_ns, stamp));
	strbuf_addc(b, ' ');
	strbuf_add(b, text, len);
	strbuf_addc(b, '\n');
}

/* Adds what the line will be long, rendered, to `*size`. */
static int add_log(struct store *s, uint64_t serial, const char *log, int64_t real_ns,
	uint64_t *size)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct strbuf line AUTO_STRBUF = STRBUF_INIT;

	strbuf_add_escaped(&text, log, strlen(log));
	render_log(&line, real_ns, text.data, text.len);
	*size += line.len;
	return finish(s, query(s, LOG_ADD, "iit", (int64_t)serial, real_ns, text.data));
}

int store_update(struct store *s, struct job *job, const char *log, int64_t real_ns)
{
	uint64_t log_size = job->log_size;
	int r = change_begin(s);

	if (r < 0)
		return r;
	if (log)
		r = add_log(s, job->serial, log, real_ns, &job->log_size);
	if (r == 0)
		r = write_job(s, JOB_UPDATE, job);
	r = change_end(s, r);
	if (r < 0)
		job->log_size = log_size;
	return r;
}

int store_set_text(struct store *s, struct job *job, enum store_text which, const char *text,
	size_t len)
{
	if (which == STORE_LOG)
		return -EINVAL;
	int r = change_begin(s);
	if (r < 0)
		return r;
	r = change_end(s, write_text(s, job->serial, which, text, len));
	if (r < 0)
		return r;
	if (which == STORE_CONFIG || which == STORE_SCRIPT)
		*(which == STORE_CONFIG ? &job->config_size : &job->script_size) = len;
	return 0;
}

int store_text(struct store *s, const struct job *job, enum store_text which, struct strbuf *ret)
{
	uint64_t expected = which == STORE_LOG ? job->log_size :
		which == STORE_CONFIG ? job->config_size : job->script_size;
	size_t before = ret->len;
	int code;

	if (!expected)
		return 0;
	WITH_LOCK(&s->lock);
	sqlite3_stmt *stmt = which == STORE_LOG ?
		query(s, READ_LOG, "i", (int64_t)job->serial) :
		query(s, READ_TEXT, "ii", (int64_t)job->serial, (int64_t)which);
	while ((code = step(s->reader, stmt)) == SQLITE_ROW && ret->len - before < expected) {
		int last = which == STORE_LOG;
		const char *bytes = sqlite3_column_blob(stmt, last);
		size_t len = (size_t)sqlite3_column_bytes(stmt, last);

		if (which == STORE_LOG)
			render_log(ret, sqlite3_column_int64(stmt, 0), bytes, len);
		else
			strbuf_add(ret, bytes, len);
	}
	int r = done(s, s->reader, stmt, code);
	if (which == STORE_LOG && ret->len - before > expected)
		strbuf_truncate(ret, before + expected);
	/* Removed meanwhile. */
	return r == 0 && ret->len == before ? -ENOENT : r;
}

int store_chain(struct store *s, uint64_t serial, struct strbuf *ret)
{
	WITH_LOCK(&s->lock);
	sqlite3_stmt *stmt = query(s, READ_TEXT, "ii", (int64_t)serial, (int64_t)STORE_CHAIN);
	int code = step(s->reader, stmt);

	if (code == SQLITE_ROW)
		strbuf_add(ret, sqlite3_column_blob(stmt, 0), (size_t)sqlite3_column_bytes(stmt, 0));
	int r = done(s, s->reader, stmt, code);
	return r < 0 ? r : code == SQLITE_ROW;
}

int store_origin(struct store *s, uint64_t serial, char **draft, char **loose, size_t *loose_len)
{
	sqlite3_stmt *stmt = query(s, ORIGIN_GET, "i", (int64_t)serial);
	int code = step(s->db, stmt);

	if (code == SQLITE_ROW) {
		*draft = xstrdup((const char *)sqlite3_column_text(stmt, 0));
		*loose_len = (size_t)sqlite3_column_bytes(stmt, 1);
		*loose = NULL;
		if (sqlite3_column_type(stmt, 1) != SQLITE_NULL) {
			*loose = xmalloc(*loose_len);
			if (*loose_len)
				memcpy(*loose, sqlite3_column_blob(stmt, 1), *loose_len);
		}
	}
	int r = done(s, s->db, stmt, code);
	return code == SQLITE_DONE ? -ENOENT : r;
}

/* ---- removals, settings ---- */

uint64_t store_last_serial(struct store *s)
{
	AUTO_FREE char *value = store_setting(s, "last_serial");

	return value ? strtoull(value, NULL, 10) : 0;
}

/* The serial of a job that goes is not given again. */
static int keep_serial(struct store *s, uint64_t serial)
{
	char value[24];

	if (serial <= store_last_serial(s))
		return 0;
	snprintf(value, sizeof(value), "%llu", (unsigned long long)serial);
	return store_set_setting(s, "last_serial", value);
}

int store_add_removal(struct store *s, const char *workdir, const char *uuid)
{
	return finish(s, query(s, REMOVAL_ADD, "tti", workdir, uuid, INT64_C(1)));
}

int store_remove(struct store *s, const struct job *job, const char *workdir)
{
	int r = change_begin(s);

	if (r < 0)
		return r;
	if (workdir)
		r = finish(s, query(s, REMOVAL_ADD, "tti", workdir, job->uuid, INT64_C(0)));
	if (r == 0)
		r = keep_serial(s, job->serial);
	if (r == 0)
		r = finish(s, query(s, JOB_DELETE, "i", (int64_t)job->serial));
	return change_end(s, r);
}

int store_removals(struct store *s,
	void (*each)(void *arg, int64_t id, const char *workdir, const char *uuid, bool lives),
	void *arg)
{
	sqlite3_stmt *stmt = query(s, REMOVAL_LIST, "");
	int code;

	while ((code = step(s->db, stmt)) == SQLITE_ROW)
		each(arg, sqlite3_column_int64(stmt, 0), column(stmt, 1), column(stmt, 2),
			sqlite3_column_int64(stmt, 3));
	return done(s, s->db, stmt, code);
}

int store_removal_done(struct store *s, int64_t id)
{
	return finish(s, query(s, REMOVAL_DELETE, "i", id));
}

char *store_setting(struct store *s, const char *key)
{
	sqlite3_stmt *stmt = query(s, SETTING_GET, "t", key);
	int code = step(s->db, stmt);
	char *value = code == SQLITE_ROW ? xstrdup(column(stmt, 0)) : NULL;

	done(s, s->db, stmt, code);
	return value;
}

int store_set_setting(struct store *s, const char *key, const char *value)
{
	return finish(s, query(s, SETTING_SET, "tt", key, value));
}
