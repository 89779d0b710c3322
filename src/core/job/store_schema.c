#include "store_schema.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "err.h"
#include "netdisk.h"

#define SCHEMA_VERSION 2
#define BUSY_MS 5000
#define CHECK_ALL_MAX (64 << 20) /* bytes, which are checked in some tenths of a second */

/* One step for each version: what the database needs to become the next. */
static const char *const migrations[SCHEMA_VERSION] = {
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
	"CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;",
	"ALTER TABLE job ADD COLUMN project_dir TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE job ADD COLUMN results TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE job ADD COLUMN owner TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE job ADD COLUMN copies INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN seen_ns INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE removal ADD COLUMN lives INTEGER NOT NULL DEFAULT 0;"
	"INSERT INTO setting (key, value) SELECT 'last_serial', serial FROM job"
	" ORDER BY serial DESC LIMIT 1;",
};

/* A quota reaches SQLite as an error like any other; the system's own word is clearer. */
static int io_errno(sqlite3 *db)
{
	int system = db ? sqlite3_system_errno(db) : 0;

	return system == ENOSPC || system == EDQUOT || system == EROFS ? -system : -EIO;
}

int store_errno(sqlite3 *db, int code)
{
	if (code == SQLITE_CONSTRAINT_FOREIGNKEY)
		return -ENOENT;
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_CANTOPEN:
		return -EACCES;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_TOOBIG:
		return -EFBIG;
	case SQLITE_NOMEM:
		return -ENOMEM;
	default:
		return io_errno(db);
	}
}

/* The first column of the first row of `sql`. */
static int read_number(sqlite3 *db, const char *sql, int *ret)
{
	sqlite3_stmt *stmt = NULL;
	int code = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(stmt);
	*ret = code == SQLITE_ROW ? sqlite3_column_int(stmt, 0) : 0;
	sqlite3_finalize(stmt);
	return store_errno(db, code);
}

static int run(sqlite3 *db, const char *sql)
{
	return store_errno(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

/* Before anything is changed, so that what is not ours is left as it was. */
static int check_version(sqlite3 *db, int *version, struct strbuf *why)
{
	int tables = 0;
	int r = read_number(db, "PRAGMA user_version", version);

	if (r == 0)
		r = read_number(db, "SELECT count(*) FROM sqlite_schema", &tables);
	if (r < 0)
		return r;
	if (*version > SCHEMA_VERSION) {
		strbuf_addf(why, "it was written by a newer slurmount (its version is %d, this "
			"program's is %d)", *version, SCHEMA_VERSION);
		return -ENOTSUP;
	}
	if (*version < 0 || (*version == 0) != (tables == 0)) {
		strbuf_addf(why, "it is no database of slurmount (version %d, %d tables and indices)",
			*version, tables);
		return -EUCLEAN;
	}
	return 0;
}

static int migrate(sqlite3 *db, int version)
{
	int r = 0;

	for (; r == 0 && version < SCHEMA_VERSION; version++) {
		AUTO_FREE char *sql = xasprintf("BEGIN IMMEDIATE;%s;PRAGMA user_version = %d;COMMIT;",
			migrations[version], version + 1);

		r = run(db, sql);
	}
	return r;
}

int store_schema_check(sqlite3 *db, const char *table, struct strbuf *why)
{
	AUTO_FREE char *sql = table ? xasprintf("PRAGMA quick_check(%s)", table) :
		xstrdup("PRAGMA quick_check(1)");
	sqlite3_stmt *stmt = NULL;
	int code = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
	int r = 0;

	if (code == SQLITE_OK)
		code = sqlite3_step(stmt);
	const char *words = code == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
	if (words && strcmp(words, "ok")) {
		/* "*** in database main ***", a line of its own, and the first thing found. */
		const char *last = strrchr(words, '\n');
		strbuf_addf(why, "it is damaged: %s", last && last[1] ? last + 1 : words);
		r = -EUCLEAN;
	}
	sqlite3_finalize(stmt);
	return r < 0 ? r : store_errno(db, code);
}

static bool is_small(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_size <= CHECK_ALL_MAX;
}

/* Made by us first, since SQLite would make it with the umask's permissions; its journals then get
 * the same. */
static int make_private(const char *path)
{
	int fd AUTO_CLOSE = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 || fchmod(fd, 0600) < 0 ? -errno : 0;
}

static int prepare(sqlite3 *db, const char *path, struct strbuf *why)
{
	int version;
	int r;

	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_timeout(db, BUSY_MS);
	r = check_version(db, &version, why);
	if (r == 0)
		/* WAL needs shared memory, which the machines of a network file system do not share. */
		r = run(db, disk_is_network(path) ? "PRAGMA journal_mode = DELETE" :
			"PRAGMA journal_mode = WAL");
	if (r == 0)
		r = run(db, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
	if (r == 0)
		r = migrate(db, version);
	/* All of it where that takes no time; else what is read at each start anyway. */
	return r < 0 ? r : store_schema_check(db, is_small(path) ? NULL : "job", why);
}

int store_schema_open(const char *path, sqlite3 **ret, struct strbuf *why)
{
	sqlite3 *db = NULL;
	size_t said = why ? why->len : 0;
	int r = make_private(path);

	if (r < 0) {
		strbuf_adds(why, strerror(-r));
		return r;
	}
	r = store_errno(NULL, sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL));
	if (r == 0)
		r = prepare(db, path, why);
	if (r == 0) {
		*ret = db;
		return 0;
	}
	if (why && why->len == said)
		strbuf_adds(why, db ? sqlite3_errmsg(db) : strerror(-r));
	sqlite3_close(db);
	return r;
}

int store_schema_open_reader(const char *path, sqlite3 **ret)
{
	int code = sqlite3_open_v2(path, ret, SQLITE_OPEN_READONLY, NULL);

	if (code != SQLITE_OK) {
		sqlite3_close(*ret);
		*ret = NULL;
		return store_errno(NULL, code);
	}
	sqlite3_extended_result_codes(*ret, 1);
	sqlite3_busy_timeout(*ret, BUSY_MS);
	return 0;
}
