/*
 * The jobs in memory: the only thing that file operations read.  Any thread may call anything here;
 * one internal mutex, held for no longer than a table look-up.  Nothing blocks.
 *
 * Why a job has up to three versions here.  The kernel caches sizes and contents until it is told
 * to forget them.  Between our publishing a version and the end of that telling, a reader whose
 * kernel knows the old size must get the old bytes, or its file would be cut or padded.  So:
 *   latest    what the engine published last
 *   shown     what file operations answer with; moved on to `latest` by the notifier alone
 *   previous  the one shown before, kept until the notifier's invalidation has returned
 * READ answers from the version whose attributes were last given out for that file: `shown` if they
 * were given since it was moved on (a bit in `given`), else `previous`.
 */
#ifndef SLURMOUNT_MODEL_H
#define SLURMOUNT_MODEL_H

#include <stdbool.h>

#include "job.h"

struct model;
struct clusterinfo;

struct model *model_new(void);
void model_free(struct model *model);

/* What is known of the cluster itself: the model's own. */
struct clusterinfo *model_cluster(struct model *model);

/* Called after every publication and removal, from the publisher's thread; must not block. */
void model_on_change(struct model *model, void (*changed)(void *arg, uint64_t serial), void *arg);

/* Called after a publication or removal that changes the state, before model_on_change()'s, from the
 * publisher's thread: `before` is NULL for a new job, `now` for a removed one. */
void model_on_state(struct model *model,
	void (*changed)(void *arg, const struct job *before, const struct job *now), void *arg);

/* Takes over one reference of `job`.  A new job, or one whose name is new, is shown at once.
 * Engine only. */
void model_publish(struct model *model, struct job *job);
/* Engine only.  Between model_hold() and model_release() new versions of jobs that were there are the
 * engine's alone: model_latest() gives them, nobody else sees them or is told.  Behind it they are
 * published; or, where `keep` is false, each job is again what it was before, which `undone` (NULL: nobody)
 * is told. */
void model_hold(struct model *model);
void model_release(struct model *model, bool keep, void (*undone)(void *arg, const struct job *job),
	void *arg);
/* Engine only.  The directory is gone for every look-up from now on. */
void model_remove(struct model *model, uint64_t serial);
/* The engine's newest version, a reference of the caller's, or NULL. */
struct job *model_latest(struct model *model, uint64_t serial);

/* What file operations answer with, a reference of the caller's, or NULL. */
struct job *model_shown(struct model *model, uint64_t serial);
struct job *model_shown_by_name(struct model *model, const char *name);
/* As model_shown(), for a reply that carries attributes of `file` (bits of 1 << job_file). */
struct job *model_shown_giving(struct model *model, uint64_t serial, unsigned files);
/* The version that a READ of `file` answers from. */
struct job *model_for_read(struct model *model, uint64_t serial, enum job_file file);
/* Whether `job` is still what is shown: asked by a handler after its reply is out; if not, the
 * inodes of that reply are invalidated again. */
bool model_is_shown(struct model *model, const struct job *job);

/* Notifier only.  Moves `shown` on to `latest`; returns the bits of the files that differ, 0 where
 * there is nothing new; `*directory` says that the directory's own attributes changed. */
unsigned model_advance(struct model *model, uint64_t serial, bool *directory);
/* Notifier only.  True once for each job that was added since model_on_change(). */
bool model_take_new(struct model *model, uint64_t serial);
/* Notifier only.  The jobs that were removed since then and the last call, as they were shown, in
 * order: an array of references, all of them the caller's to free; NULL where there are none. */
struct job **model_take_removed(struct model *model, size_t *count);
/* Notifier only.  The invalidation returned: `previous` is let go. */
void model_settle(struct model *model, uint64_t serial);

/* Up to `max` shown jobs with a serial above `after`, in order; references of the caller's.
 * Cost is linear in what is returned. */
size_t model_list(struct model *model, uint64_t after, struct job **ret, size_t max);
size_t model_count(struct model *model);
/* Engine only: no serial up to this one is given any more. */
void model_skip_serials(struct model *model, uint64_t last);
/* The next serial, for a draft and the job it becomes; above every one seen. */
uint64_t model_next_serial(struct model *model);
bool model_name_taken(struct model *model, const char *name);

/* The connection, for cluster/connection and --check. Strings are copied. */
struct connection {
	int state;               /* enum remote_state */
	char text[512];          /* a sentence: with whom, or what fails and since when */
	int64_t since_ns;        /* in this state */
	int64_t asked_ns;        /* the states were last asked for and answered; 0 never */
	char problem[512];       /* what the cluster lacks (sbatch, squeue, tar ...), or "" */
	char note[512];          /* what is to be known of this mount, or "" */
	char unwritten[512];     /* why the database takes nothing, while it does not, or "" */
};
void model_set_connection(struct model *model, const struct connection *connection);
void model_get_connection(struct model *model, struct connection *ret);

#endif
