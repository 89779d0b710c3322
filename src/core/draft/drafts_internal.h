/*
 * The records of drafts, which the files draft*.c of this folder share and nobody else uses.
 */
#ifndef SLURMOUNT_DRAFTS_INTERNAL_H
#define SLURMOUNT_DRAFTS_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>

#include "draftcheck.h"
#include "drafts.h"
#include "spool.h"
#include "strbuf.h"

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
	bool back;                 /* it was a job already that the database lost: only by mv */
	bool taken_up;             /* from an earlier mount: files may have been cut, see draftcut.h */
	bool armed;                /* the engine asks again by itself */
	unsigned running;          /* operations */
	unsigned writers, unflushed;
	uint64_t changes;
	int64_t changed_ms, changed_ns, pause_ms;
	struct draftcheck *check;  /* of `check_changes`, or NULL */
	uint64_t check_changes;
	uint64_t information, check_information; /* what the cluster told, as `changes` */
	unsigned evaluating;
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
	bool taken_up;             /* all that an earlier mount left */
};

/* Under lock. */
struct draft *draft_find(struct drafts *drafts, uint64_t serial);
/* Under lock: takes the draft out of the tables; draft_free() is called without it. */
void draft_take_out(struct drafts *drafts, struct draft *draft);
void draft_free(struct drafts *drafts, struct draft *draft);
/* Under lock.  Takes over `name`. */
void draft_add_stale(struct drafts *drafts, enum draft_stale_kind kind, uint64_t node,
	uint64_t serial, char *name);
/* Tells the notifier, under no lock. */
void draft_tell_stale(struct drafts *drafts);
/* Deletes what SPOOL/meta keeps of a draft. */
void draft_forget_meta(struct drafts *drafts, const char *name);
#define DRAFT_LOOSE_NAME "_loose"
/* Of a folder in SPOOL/sealed: the name of the job whose files it has. */
#define DRAFT_JOB_ATTRIBUTE "user.slurmount.job"
/* Renames an entry, never onto something else.  0 or a negative errno. */
int draft_move_entry(int from, const char *name, int to, const char *newname);

/* The longest config.ini that is read. */
#define DRAFT_CONFIG_MAX (1u << 20)
/* The name in SPOOL/meta of what is kept of `draft` (NULL: the loose one) as `what`; to be freed. */
char *draft_meta_name(const char *draft, const char *what);
/* The draft's name (NULL: the loose draft) and top directory, both the caller's; -ENOENT. */
int draft_open_folder(struct drafts *drafts, uint64_t serial, char **name, struct spool_node **node);
/* The serials of all drafts there are now, to be freed. */
uint64_t *draft_all_serials(struct drafts *drafts, size_t *count);
/* Whether the text is a valid config.ini by itself. */
bool draft_config_is_valid(const struct strbuf *text);
/* Remembers the text as the last valid config.ini, unless one has been refused since. */
void draft_take_valid(struct drafts *drafts, uint64_t serial, const struct strbuf *text);
/* Under lock: whether the check is of the present state. */
bool draft_is_checked(const struct draft *draft);
/* What is to be checked, with the profile and what is known of the cluster. */
struct draftcheck_request draft_request(struct drafts *drafts, int folder, const char *name);
/* Sees to it that the draft's check is of its present state; reads its files. */
void draft_evaluate(struct drafts *drafts, uint64_t serial);
/* Under no lock: something may have become ready. */
void draft_wake_engine(struct drafts *drafts);

#endif
