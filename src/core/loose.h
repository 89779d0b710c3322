/*
 * What the parts of drafts share and nobody else uses: the records of drafts.c, and what loose.c
 * does with whole trees of files: a walk that tells what kinds of names there are, and the way from
 * a draft in SPOOL/new to a job's folder in SPOOL/sealed.
 */
#ifndef SLURMOUNT_LOOSE_H
#define SLURMOUNT_LOOSE_H

#include <pthread.h>
#include <stdbool.h>

#include "draftcheck.h"
#include "drafts.h"
#include "spool.h"
#include "strbuf.h"

/* ---- records ---- */

#define DRAFT_BUCKETS 4096

struct draft {
	uint64_t serial;
	struct draft *next;
	/* under drafts->lock */
	char *name;                /* NULL: the loose draft */
	struct spool_node *node;   /* its top directory; NULL for the loose draft */
	bool sealed;
	bool gone;                 /* its job has begun, but its bytes could not be moved yet */
	bool elsewhere;            /* its directory was moved into another draft */
	bool failed;               /* an operation failed for want of room, or of a sound disk */
	bool refused;              /* a config.ini was refused: not by itself until another comes */
	bool armed;                /* the engine asks again by itself */
	unsigned running;          /* operations */
	unsigned writers, unflushed;
	uint64_t changes;
	int64_t changed_ms, changed_ns, pause_ms;
	struct draftcheck *check;  /* of `check_changes`, or NULL */
	uint64_t check_changes;
	char *sums;                /* what SHA256SUMS showed at `sums_changes`; NULL: not looked */
	uint64_t sums_changes;
	char *valid;               /* the last config.ini that was valid, or NULL */
};

struct drafts {
	struct drafts_config config;
	struct spool *spool;
	int top_fd, sealed_fd, meta_fd; /* SPOOL/new, SPOOL/sealed, SPOOL/meta */
	pthread_mutex_t lock;
	pthread_cond_t settled;    /* an operation, a writer or a seal has ended */
	/* under lock */
	struct draft *table[DRAFT_BUCKETS];
	struct draft *loose;
	struct draft_stale *stale;
	size_t stale_count, stale_capacity;
	bool stopped;
};

/* Under lock. */
struct draft *draft_find(struct drafts *drafts, uint64_t serial);
/* Under lock: takes the draft out of the tables; draft_free() is called without it. */
void draft_unlink(struct drafts *drafts, struct draft *draft);
void draft_free(struct drafts *drafts, struct draft *draft);
/* Under lock.  Takes over `name`. */
void draft_add_stale(struct drafts *drafts, enum draft_stale_kind kind, uint64_t node,
	uint64_t serial, char *name);
/* Tells the notifier, under no lock. */
void draft_tell_stale(struct drafts *drafts);
/* Deletes what SPOOL/meta keeps of a draft. */
void draft_forget_meta(struct drafts *drafts, const char *name);
#define DRAFT_LOOSE_NAME "_loose"

/* ---- trees ---- */

struct loose_walk {
	struct strbuf left_out;  /* droppings, paths, a line each */
	struct strbuf transfers; /* names under way, a line each */
	struct strbuf leaving;   /* "PATH -> TARGET", a line each */
	struct strbuf names;     /* of files at the top, each NUL-terminated */
	char *script;            /* the first batch script at the top, or NULL */
	size_t scripts;          /* how many there are */
	size_t files;            /* regular files that are part of the job */
	bool reserved;           /* something at the top is named .slurmount */
	bool sums;               /* SHA256SUMS is at the top */
};

/* Walks the tree below `folder`, or the files directly in it where `loose`. */
void loose_walk(int folder, bool loose, struct loose_walk *ret);
void loose_walk_release(struct loose_walk *walk);

/* Deletes droppings everywhere below `folder`. */
void loose_sweep(int folder);
/* Deletes `name` in `folder` and all below it.  0 or a negative errno. */
int loose_delete_tree(int folder, const char *name);

#endif
