/*
 * The engine: one thread that owns every job's way from intent to end.  It alone writes the store
 * and publishes to the model, in this order: persist, publish; the notifier does the rest.  It never
 * waits for the network: lanes (lane.h) do, and report back to it.
 *
 * The engine_* requests may be made from any thread and return at once; `done` is called later from
 * the engine's thread with 0 or a negative errno and must not block.
 */
#ifndef SLURMOUNT_ENGINE_H
#define SLURMOUNT_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "drafts.h"
#include "model.h"
#include "profile.h"
#include "remote.h"
#include "store.h"

struct engine;
struct installation;

typedef void (*engine_done_fn)(void *arg, int result);

struct engine_config {
	const struct profile *profile;
	const struct clock *clock;
	struct store *store;
	struct model *model;
	struct drafts *drafts;  /* may be set with engine_start() */
	struct remote *remote;
	const struct installation *installation; /* NULL: jobs get no records on the cluster */
	const char *note;       /* for cluster/connection, or NULL */
};

/* Loads the jobs of the store into the model.  The drafts are opened after it (they need serials). */
int engine_new(const struct engine_config *config, struct engine **ret, struct strbuf *why);
/* Finishes interrupted seals, starts the thread and the lanes. */
int engine_start(struct engine *engine, struct drafts *drafts, struct strbuf *why);
/* Refuses new requests (-ESHUTDOWN), aborts the remote, joins the threads within 2 s. */
void engine_stop(struct engine *engine);
void engine_free(struct engine *engine);

/* Somebody reads cluster/queue: it is asked for anew, no sooner than `interval` allows. */
void engine_want_queue(struct engine *engine);
/* For drafts_config.changed. */
void engine_drafts_changed(void *arg);
/* A file of a draft is complete, as far as one can tell: it is hashed ahead.  Takes over `fd`. */
void engine_file_written(void *arg, int fd);
/* For the transport's remote_state_fn. */
void engine_remote_changed(void *arg, enum remote_state state, const char *text);

/* mv jobs/new/DRAFT jobs/NAME. 0, -EPERM, -EBUSY, -EEXIST, -EINVAL, -ENAMETOOLONG, -ENOSPC. */
void engine_submit(struct engine *engine, uint64_t serial, const char *name, engine_done_fn done,
	void *arg);
/* rmdir jobs/NAME. 0 or -EBUSY. */
void engine_remove(struct engine *engine, uint64_t serial, engine_done_fn done, void *arg);
/* A line written to ctl. 0; -EINVAL for an unknown verb; -EBUSY or -EPERM for one that is not
 * possible now, with a line in the job's error. */
void engine_ctl(struct engine *engine, uint64_t serial, const char *verb, engine_done_fn done,
	void *arg);
/* A new config.ini of a REJECTED job. 0, -EINVAL, -EACCES. */
void engine_set_config(struct engine *engine, uint64_t serial, const char *text, size_t len,
	engine_done_fn done, void *arg);

#endif
