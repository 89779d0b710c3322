/*
 * The database file itself: opening it, the ladder of its versions, and what SQLite's codes mean.
 * For store.c alone.
 */
#ifndef SLURMOUNT_STORE_SCHEMA_H
#define SLURMOUNT_STORE_SCHEMA_H

#include <sqlite3.h>

#include "strbuf.h"

/* SQLite's code, the last that `db` gave, as 0 or a negative errno. */
int store_errno(sqlite3 *db, int code);
/* Opens or creates `path` for writing, at this program's version. Errors as store_open(). */
int store_schema_open(const char *path, sqlite3 **ret, struct strbuf *why);
/* Goes through a table (NULL: the whole file) and says in `why` what is wrong with it: -EUCLEAN. */
int store_schema_check(sqlite3 *db, const char *table, struct strbuf *why);
/* A second connection, that only reads, to what store_schema_open() has opened. */
int store_schema_open_reader(const char *path, sqlite3 **ret);

#endif
