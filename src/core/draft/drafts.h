/*
 * What is being dropped: the tree below jobs/new/, from the first mkdir to the seal.
 *
 * The bytes lie in the spool as an ordinary tree, SPOOL/new/, so the local file system itself gives
 * drafts their POSIX semantics and their durability.  A node is one of its inodes, held by an O_PATH
 * descriptor and found by (device, inode), as libfuse's passthrough does; so hard links, renames
 * and unlinked open files come out right.
 *
 * A draft is a top directory of it, or (the loose draft) all files directly in it.  A draft bears a
 * serial from its first moment: that of the job it becomes.
 *
 * Any thread may call anything; one internal mutex, never held over disk or network.  Calls block on
 * local disk only.  0 or a negative errno; -ESTALE on nodes of a draft that has been sealed.
 */
#ifndef SLURMOUNT_DRAFTS_H
#define SLURMOUNT_DRAFTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "clock.h"
#include "jobspec.h"
#include "model.h"
#include "profile.h"

struct drafts;

struct drafts_config {
	const char *spool;             /* an absolute folder of ours */
	const struct profile *profile; /* for settling times and defaults */
	const struct clock *clock;
	struct model *model;           /* for serials and taken names */
	void (*changed)(void *arg);    /* something may become ready: wakes the engine; must not block */
	void *arg;
	void (*written)(void *arg, int fd); /* a file's last writer has left; takes over `fd`; or NULL */
	void (*stale)(void *arg);      /* drafts_take_stale() has something; must not block; or NULL */
	void *stale_arg;
};

/* Opens the spool, making it where it is missing, and takes up the drafts found there. */
int drafts_open(const struct drafts_config *config, struct drafts **ret, struct strbuf *why);
void drafts_close(struct drafts *drafts);

/* ---- what the engine uses ---- */

/* The serials of drafts that are to be submitted by themselves now; `*next_ms` is when to ask
 * again (monotonic; CLOCK_NEVER: not before drafts_config.changed is called). */
size_t drafts_ready(struct drafts *drafts, uint64_t *serials, size_t max, int64_t *next_ms);

struct sealed_draft {
	uint64_t serial;
	char *draft;          /* its folder's name below new/, or NULL for the loose draft */
	char *loose;          /* names of the loose files, each NUL-terminated, one after another */
	size_t loose_len;
	bool others;          /* further loose files stay, and are the next draft */
	char *suggested_name; /* [job] name, the folder's name, or "job" for loose files without one */
	char *config;         /* config.ini's bytes, "" where there is none */
	size_t config_len;
	struct jobspec *spec; /* checked, with the user's script's options and the profile's defaults */
	char *body_line;      /* interpreter of a user's script, or NULL */
	char *template;       /* the folder of its template, or NULL */
	bool forced;           /* by a rename, which the kernel knows of */
	struct strbuf left_out; /* names of droppings that are no part of the job, a line each */
};
/* Ends the draft: no node of it can change any more.  `forced` (a user's mv) takes it without
 * waiting for quiet, or for the cluster's answer; else it must be ready.  -EPERM: not valid; -EBUSY: a file is open for writing
 * or a transfer is under way; -ENOENT: no such draft.  Persist the intent next, then
 * drafts_move(); if that could not be persisted, drafts_unseal(). */
int drafts_seal(struct drafts *drafts, uint64_t serial, bool forced, struct sealed_draft **ret,
	struct strbuf *why);
void drafts_unseal(struct drafts *drafts, struct sealed_draft *sealed);
/* Moves the sealed bytes to SPOOL/sealed/UUID/ (droppings are removed), which bears the job's name; the
 * serial is no draft afterwards.  Frees `sealed`. */
int drafts_move(struct drafts *drafts, struct sealed_draft *sealed, const char *uuid, const char *name);
/* The disk has all moves that were made. */
int drafts_sync_moves(struct drafts *drafts);
/* At start, for a job whose intent was persisted: finishes a move that was interrupted. */
int drafts_finish_move(struct drafts *drafts, const char *uuid, const char *name, const char *draft,
	const char *loose, size_t loose_len);
void sealed_draft_free(struct sealed_draft *sealed);
/* "SPOOL/sealed/UUID", the caller's to free. */
char *drafts_sealed_path(struct drafts *drafts, const char *uuid);
/* Deletes the copy of the job's template, SPOOL/sealed/UUID.template: it is to be as it is now. */
int drafts_drop_template(struct drafts *drafts, const char *uuid);
/* Deletes SPOOL/sealed/UUID, and the copy of its template. */
int drafts_drop_sealed(struct drafts *drafts, const char *uuid);
/* Calls `each` with the UUID of everything in SPOOL/sealed/. */
void drafts_each_sealed(struct drafts *drafts, void (*each)(void *arg, const char *uuid), void *arg);
/* The sealed files of a job that no database knows are a draft again, which only `mv` submits; its name,
 * the job's or the next free one, is the caller's to free.  0 or a negative errno. */
int drafts_take_back(struct drafts *drafts, const char *uuid, char **ret_name);

/* ---- what drafts/NAME/ shows ---- */

enum draft_file { DRAFT_FILE_PROBLEMS, DRAFT_FILE_PREVIEW, DRAFT_FILE_REFUSED, DRAFT_FILE_COUNT };
/* Appends the text as it is now (evaluates the draft where it changed since); -ENOENT: there is no
 * such file now (no preview of an invalid draft, no refused text). */
int drafts_view(struct drafts *drafts, uint64_t serial, enum draft_file file, struct strbuf *ret,
	int64_t *mtime_ns);
/* The same of the file number `index` that the draft's template renders, with its name, the caller's
 * to free. */
int drafts_rendered(struct drafts *drafts, uint64_t serial, size_t index, char **name,
	struct strbuf *ret, int64_t *mtime_ns);
/* A template has changed: drafts that use one may have become ready. */
void drafts_templates_changed(struct drafts *drafts);
/* The cluster has told something new of itself (`all`), or answered what drafts asked of it: they
 * are checked again, without another settling time. */
void drafts_cluster_told(struct drafts *drafts, bool all);
/* Whether the cluster is being asked if it would take the draft.  Checks it where that is due. */
bool drafts_asking(struct drafts *drafts, uint64_t serial);
/* The draft's serial by the name that drafts/ lists ("_loose" too), or 0. */
uint64_t drafts_by_name(struct drafts *drafts, const char *name);
bool drafts_has(struct drafts *drafts, uint64_t serial);
/* Calls `each` for every draft, "_loose" included where there are loose files. */
void drafts_each(struct drafts *drafts, void (*each)(void *arg, const char *name, uint64_t serial),
	void *arg);

/* ---- what the kernel has to forget, for the notifier ---- */

enum draft_stale_kind {
	DRAFT_STALE_NODE,  /* the inode of spool node `node` */
	DRAFT_STALE_NAME,  /* the entry `name` in jobs/new: with a serial, a draft's directory */
	DRAFT_STALE_CHILD, /* the entry `name` in the directory of job `serial` */
};
struct draft_stale {
	enum draft_stale_kind kind;
	uint64_t node;
	uint64_t serial;
	char *name; /* NULL for a node */
};
/* Sets what drafts_config.stale sets, for a notifier that is made later. */
void drafts_on_stale(struct drafts *drafts, void (*stale)(void *arg), void *arg);
/* Hands out and forgets all that has become stale.  No lock is held meanwhile. */
void drafts_take_stale(struct drafts *drafts,
	void (*each)(void *arg, const struct draft_stale *stale), void *arg);

/* ---- the tree, for the FUSE handlers of drafts: see spool.h for its nodes ---- */

struct spool;
struct spool_node;

/* What an operation did to its draft. */
enum draft_effect {
	DRAFT_READ,   /* nothing: the settling time goes on */
	DRAFT_CHANGE, /* the tree or a file's content */
};

struct spool *drafts_spool(struct drafts *drafts);
/* The node of a draft's top directory, a reference of the caller's, or NULL. */
struct spool_node *drafts_node(struct drafts *drafts, uint64_t serial);
/* Before and after an operation on draft `serial`; 0 (an operation in jobs/new itself) is fine.
 * 0 or -ESTALE, in which case there is nothing to end.  `result` is the operation's. */
int drafts_begin(struct drafts *drafts, uint64_t serial);
void drafts_end(struct drafts *drafts, uint64_t serial, enum draft_effect effect, int result);
/* As drafts_begin(), for an operation that makes a loose file: the loose draft begins where there is
 * none, and one that is just being sealed is waited for. */
uint64_t drafts_begin_loose(struct drafts *drafts);
/* The loose draft's serial, or 0. */
uint64_t drafts_loose(struct drafts *drafts);
/* Makes a directory in jobs/new a draft, where it is none; returns the serial. */
uint64_t drafts_adopt(struct drafts *drafts, struct spool_node *node, const char *name);
/* The draft's top directory has been removed. */
void drafts_removed(struct drafts *drafts, uint64_t serial);
/* A loose file was removed or has left: the loose draft ends with its last one. */
void drafts_recount_loose(struct drafts *drafts);
/* A directory was renamed from, to or in jobs/new: finds out what drafts there are now. */
void drafts_rescan(struct drafts *drafts);
/* Something left draft `serial` for another one: its nodes are shared out by where they are now. */
void drafts_reown(struct drafts *drafts, uint64_t serial);

/* An open file of a draft. */
struct draft_handle {
	int fd;
	struct spool_node *node;
	uint64_t serial;
	bool writes;        /* open for writing */
	bool config;        /* it was opened as a draft's own config.ini */
	_Atomic bool wrote; /* through this handle, ever: or truncated by its opening */
	_Atomic bool dirty; /* written since its last flush */
};
/* Takes over `fd` and a reference of `node`. */
struct draft_handle *drafts_opened(struct drafts *drafts, struct spool_node *node, int fd,
	bool writes, bool config);
/* Something was written through the handle, or its opening truncated the file. */
void drafts_wrote(struct drafts *drafts, struct draft_handle *handle);
/* 0, or -EINVAL where a config.ini was written that is wrong in itself. */
int drafts_flush(struct drafts *drafts, struct draft_handle *handle);
void drafts_closed(struct drafts *drafts, struct draft_handle *handle);
/* The kernel has unmounted: no file is open any more, though not each release was heard of. */
void drafts_all_closed(struct drafts *drafts);
/* Before a draft's config.ini is changed: remembers its text, where that is valid. */
void drafts_remember_config(struct drafts *drafts, uint64_t serial);
/* A file was replaced or removed: an operation that failed before is taken to be repeated. */
void drafts_mended(struct drafts *drafts, uint64_t serial);
/* 0: nobody has a file of it open for writing; -EAGAIN: somebody has, but flushed all that was
 * written (a release comes late); -EBUSY: somebody writes; -ENOENT: no such draft. */
int drafts_writers(struct drafts *drafts, uint64_t serial);

#endif
