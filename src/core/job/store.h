/*
 * SQLite: jobs, their texts, their history, and what is still to be removed on the cluster.
 *
 * WAL and synchronous=FULL (a rollback journal on a network file system).  The engine thread is the
 * only writer; store_text() may be called by any thread (a connection of its own under a mutex).
 * All calls block on local disk only.  Returns 0 or a negative errno (-ENOSPC, -EIO ...), with a
 * sentence in `why` where there is one.
 */
#ifndef SLURMOUNT_STORE_H
#define SLURMOUNT_STORE_H

#include "job.h"

struct store;

/* The numbers stand in the database. */
enum store_text { STORE_CONFIG, STORE_SCRIPT, STORE_LOG, STORE_PROGRESS,
	STORE_CHAIN = 8 /* after_print()'s */, STORE_TASKS = 9 /* tasks_print()'s */ };

/* Opens or creates `path`, migrates an older version (PRAGMA user_version); a newer one is refused
 * by name with -ENOTSUP; one that is damaged with -EUCLEAN.  What is found damaged later than that
 * leaves a mark beside the file, `path`-damaged, so that the next opening goes through all of it. */
int store_open(const char *path, struct store **ret, struct strbuf *why);
void store_close(struct store *store);

/* Calls `each` with every job in the order of serials; its reference is the callee's. */
int store_load(struct store *store, void (*each)(void *arg, struct job *job), void *arg);

/* The intent: one transaction that adds the job, its config.ini and the names of the loose files
 * that belong to it (NUL-terminated one after another; NULL: a whole folder named `draft`). Durable
 * when it returns. */
int store_add(struct store *store, struct job *job, const char *config, size_t config_len,
	const char *draft, const char *loose, size_t loose_len);
/* Writes a new version of the job, durably; together with up to one line for its log (NULL: none),
 * whose time is `real_ns`; adds the line's size to job->log_size. */
int store_update(struct store *store, struct job *job, const char *log, int64_t real_ns);
/* Many at once in one transaction. `store_begin` and `store_commit` bracket store_update()s. */
int store_begin(struct store *store);
int store_commit(struct store *store);
/* Replaces a text and sets the size in `job` (not its row: store_update follows).  The progress that
 * an ended job came to has no size there; store_load() gives it as job->progress, and an
 * array's tasks as job->tasks. */
int store_set_text(struct store *store, struct job *job, enum store_text which, const char *text,
	size_t len);
/* Appends the text. The log is given as "2026-11-24T10:15:00Z line\n" each, at most
 * job->log_size bytes of it. Any thread. */
int store_text(struct store *store, const struct job *job, enum store_text which,
	struct strbuf *ret);
/* Appends the job's STORE_CHAIN.  1 where there is one, 0 where not, or an error.  Any thread. */
int store_chain(struct store *store, uint64_t serial, struct strbuf *ret);
/* Where the bytes of a job's draft came from: a folder's name, or loose names; for finishing a seal
 * that was interrupted.  Strings are the caller's; `*loose` NULL for a folder. */
int store_origin(struct store *store, uint64_t serial, char **draft, char **loose,
	size_t *loose_len);

/* Forgets the job; if `workdir` is not NULL notes the directories to be removed on the cluster. */
int store_remove(struct store *store, const struct job *job, const char *workdir);
/* Notes one directory of a job that lives on, in another one. */
int store_add_removal(struct store *store, const char *workdir, const char *uuid);
/* Calls `each` with what is still to be removed there; `lives`: not the job's records. */
int store_removals(struct store *store,
	void (*each)(void *arg, int64_t id, const char *workdir, const char *uuid, bool lives),
	void *arg);
int store_removal_done(struct store *store, int64_t id);

/* The highest serial of the jobs that were removed, or of all there were at an earlier version. */
uint64_t store_last_serial(struct store *store);

/* Small settings of the installation (such as its id): a copy, or NULL. */
char *store_setting(struct store *store, const char *key);
int store_set_setting(struct store *store, const char *key, const char *value);

#endif
