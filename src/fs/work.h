/* jobs/NAME/work inside: shared by its handlers, its pool of threads and its table of nodes. */
#ifndef SLURMOUNT_WORK_H
#define SLURMOUNT_WORK_H

#include <pthread.h>

#include "fs.h"

#define WORK_READERS 8

/* ---- nodes (worknode.c): what the kernel was given, by (job, path), counted by its look-ups ---- */

struct work_nodes;

/* A copy: nobody holds a node itself. */
struct work_place {
	uint64_t serial;
	char *path; /* below the work directory, "" for itself; the holder's to free */
	struct remote_attr attr; /* as last seen */
	bool seen;
};

struct work_nodes *work_nodes_new(void);
void work_nodes_free(struct work_nodes *nodes);
/* Finds or makes the node, with one more look-up, and notes its attributes; its inode. */
fuse_ino_t work_nodes_get(struct work_nodes *nodes, uint64_t serial, const char *path,
	const struct remote_attr *attr);
void work_nodes_forget(struct work_nodes *nodes, fuse_ino_t ino, uint64_t nlookup);
/* 0 or -ESTALE. */
int work_nodes_place(struct work_nodes *nodes, fuse_ino_t ino, struct work_place *ret);
void work_nodes_note(struct work_nodes *nodes, fuse_ino_t ino, const struct remote_attr *attr);
/* Whether size and time are those of the last opening; notes these. */
bool work_nodes_unchanged(struct work_nodes *nodes, fuse_ino_t ino);
/* A path's inode for a listing that takes no reference; any number that is no 0 will do. */
fuse_ino_t work_nodes_hint(const char *path);

/* ---- the pool (workpool.c) ---- */

struct work_handle; /* an open file or directory, counted */

struct work_task {
	struct work_task *next, *prev; /* pool's lock: of all that are not answered */
	struct work_task *queued;      /* pool's lock: the next in the queue */
	bool ready;                    /* pool's lock: handed over, may be answered */
	bool interrupted;              /* pool's lock */
	bool answered;                 /* pool's lock: somebody answers or has answered */
	_Atomic bool gone;             /* the same, for who holds another lock */
	fuse_req_t req;
	struct fs *fs;
	void (*run)(struct work_task *task);
	bool direct; /* answered by its handler: no other thread knows it */
	int64_t deadline;
	fuse_ino_t ino;
	struct work_place place; /* of `ino` */
	struct job *job;         /* whose directory it is, as shown */
	char *name;              /* in the directory `ino`, or NULL */
	struct work_handle *handle; /* a reference, or NULL */
	size_t size;
	off_t off;
	bool plus;
	struct fuse_file_info fi;
};

struct work_pool *work_pool_new(struct fs *fs);
int work_pool_start(struct work_pool *pool);
void work_pool_stop(struct work_pool *pool);
void work_pool_free(struct work_pool *pool);
/* Takes over the task; its request may be answered before this returns. */
void work_pool_run(struct work_pool *pool, struct work_task *task);
/* True for the one who may answer: everybody asks before a reply. */
bool work_claim(struct work_task *task);
void work_fail(struct work_task *task, int error);
/* Waits for `cond`, under its lock, in slices: -ETIMEDOUT at the task's deadline, -EINTR once its caller
 * has been answered; 0 otherwise, and what is waited for has to be looked at again. */
int work_wait(struct work_task *task, pthread_cond_t *cond, pthread_mutex_t *lock);

/* ---- small files that were read before they were asked for (workfetch.c); any thread ---- */

#define WORK_SMALL (64u << 10)
/* What was read so long ago is asked for again: no change stays hidden for longer. */
#define WORK_AGE_MS 2000

struct work_item { /* of a listing */
	char *name;
	struct remote_attr attr;
};

/* The whole of a small file, as it was at one moment; counted. */
struct work_bytes {
	_Atomic unsigned references;
	struct remote_attr attr;
	int64_t read_ms;
	size_t len;
	char bytes[];
};
void work_bytes_unref(struct work_bytes *bytes);

void work_items_free(struct work_item *items, size_t count);
/* Whether a listing shows it; `top`: of work/ itself. */
bool work_name_is_shown(const char *name, bool top);

struct work_fetch;
struct work_fetch *work_fetch_new(struct fs *fs);
void work_fetch_free(struct work_fetch *fetch);
/* What lies in the directory `dir`: whoever reads one file after the other is going to want these. */
void work_fetch_listed(struct work_fetch *fetch, uint64_t serial, const char *dir,
	const struct work_item *items, size_t count);
/* The file that `task` opens is wanted now, and its neighbours soon: begins to read these.  Its content,
 * the caller's reference, if it is there; does not block. */
struct work_bytes *work_fetch_want(struct work_fetch *fetch, struct work_task *task);
/* The same of one that was wanted, if it is there or on its way; else NULL.  Blocks in the latter
 * case. */
struct work_bytes *work_fetch_take(struct work_fetch *fetch, struct work_task *task);
/* Whether its attributes are that young; else they have to be asked for. */
bool work_fetch_attr(struct work_fetch *fetch, uint64_t serial, const char *path,
	struct remote_attr *ret);

/* ---- one who goes from one job's work/ to the next (workwalk.c); any thread ---- */

struct work_walk;
struct work_walk *work_walk_new(struct fs *fs);
void work_walk_free(struct work_walk *walk);
enum work_walked {
	WORK_WALKED_NOT,  /* nobody goes from job to job */
	WORK_WALKED,      /* `*keep` says whether the kernel's listing is still right */
	WORK_WALKED_SOON, /* work_walk_await() says so; blocks */
};
/* The work/ of the job is opened.  Begins to look at the next ones; does not block. */
enum work_walked work_walk_open(struct work_walk *walk, uint64_t serial, bool *keep);
bool work_walk_await(struct work_walk *walk, struct work_task *task);
/* What it holds, for one who was WORK_WALKED and lists it; the caller's to work_items_free(). */
bool work_walk_take(struct work_walk *walk, uint64_t serial, struct work_item **items,
	size_t *count);

/* ---- handles (workfile.c, worklist.c) ---- */

struct work {
	struct fs *fs;
	struct work_nodes *nodes;
	struct work_pool *pool;
	struct work_fetch *fetch;
	struct work_walk *walk;
	_Atomic uint64_t held; /* bytes that were read ahead in large files, see workblock.h */
};

struct work_handle *work_handle_ref(struct work_handle *handle);
void work_handle_unref(struct work_handle *handle);
/* `walks`: of one who goes from job to job. */
struct work_handle *work_handle_dir(bool walks);
struct work_dir;
struct work_dir *work_handle_listing(struct work_handle *handle);

/* Answers at once what needs no waiting, on the handler's thread; false where nothing is answered. */
bool work_open_now(struct work_task *task);
bool work_read_now(struct work_task *task);

/* Tasks. */
void work_task_open(struct work_task *task);
void work_task_read(struct work_task *task);
void work_task_list(struct work_task *task);

struct work_dir *work_dir_new(bool walks);
void work_dir_free(struct work_dir *dir);

/* The absolute path on the cluster of `name` (NULL: none) below the task's place. */
char *work_path(const struct work_task *task, const char *name);
/* That path below the work directory. */
char *work_below(const struct work_task *task, const char *name);
/* What stat() shows. */
void work_attr(const struct fs *fs, fuse_ino_t ino, const struct remote_attr *attr,
	struct stat *ret);

/* ---- for jobdir.c ---- */

/* All else of the job's directory has been removed: its work/ is shown empty. */
bool work_is_hidden(struct fs *fs, const struct job *job);
/* rmdir of a work/ that must first be seen to be empty. */
void work_rmdir_top(fuse_req_t req, fuse_ino_t parent);

#endif
