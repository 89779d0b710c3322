/*
 * What the engine's own files share.  Everything here is the engine thread's alone, unless its
 * comment says otherwise: lanes get copies of what they need and report back by engine_post().
 */
#ifndef SLURMOUNT_ENGINE_INTERNAL_H
#define SLURMOUNT_ENGINE_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>

#include "chain.h"
#include "command.h"
#include "engine.h"
#include "installation.h"
#include "lane.h"

enum step {
	STEP_WAIT,   /* for other jobs: chain.h */
	STEP_STAGE,  /* inputs are to be brought to the cluster */
	STEP_SUBMIT, /* sbatch is to be run, or its outcome to be learned */
	STEP_WATCH,  /* Slurm has it: the state queries tell */
};

/* A job that is not at its end.  Jobs that are have none, so a cycle costs what is active. */
struct track {
	uint64_t serial;
	enum step step;
	bool busy;             /* a lane works on it */
	bool cancel_sent;
	bool claim_asked;      /* whose its directory is, is being asked: claim.h */
	char settled[24];      /* the other id for which that was answered; "" for none */
	unsigned verbs;        /* scontrol commands on their way: its track stays, whatever is seen */
	int64_t due_ms;        /* not before */
	bool waits;            /* for room among the submitted jobs, after a limit on their number */
	unsigned failures;     /* in a row, for the pauses */
	int64_t missing_ms;    /* first query that did not know the job; 0: it is known */
	int64_t empty_ms;      /* first time that no trace of a taken attempt was found; 0: none */
	int64_t ended_ms;      /* first time that it was seen at its end since a requeue; 0: not */
	uint64_t seen;         /* what the queue said of it last, as a number; 0: it is to be read */
	int64_t seen_ns;       /* the time of the job's info then: another one says that it has changed */
	int64_t hint_ms;       /* its own record told something then; 0: never */
	int run;               /* the newest of its runs that told, from 1; a requeue begins the next */
	bool run_ended;        /* it has told its end */
	unsigned outcome_of;   /* the attempt whose outcome lies on the cluster, to be read; 0: none */
	unsigned doubtful_of;  /* the attempt whose outcome was read and does not tell; 0: none */
};

/* A step that could not be written to the database is taken again after this. */
#define UNWRITTEN_MS 5000

typedef void (*engine_fn)(struct engine *engine, void *arg);

struct message {
	struct message *next;
	engine_fn run;
	void *arg;
};

/* A user's mv of a draft into jobs/, until it is answered. */
struct submission {
	struct submission *next;
	uint64_t serial;
	char *name;
	engine_done_fn done;
	void *arg;
	int64_t until_ms; /* writers that have flushed are waited for until then */
	int64_t answer_ms; /* what sbatch --test-only says is waited for until then */
};

struct engine {
	const struct profile *profile;
	const struct clock *clock;
	struct store *store;
	struct model *model;
	struct drafts *drafts;
	struct cluster cluster;

	pthread_t thread;
	bool running;              /* the thread was started */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct message *first;     /* lock */
	struct message **last;     /* lock */
	bool ending;               /* lock */

	struct lane *stage_lane;
	struct lane *upload_lane;  /* jobs that have much to send, which others do not wait for */
	struct lane *hash_lane;    /* files that were dropped, before they are staged */
	struct lane *submit_lane;
	struct lane *query_lane;
	struct lane *limits_lane;  /* sacctmgr may hang for long */
	struct lane *hint_lane;    /* a command that stays */
	struct lane *ask_lane;     /* drafts' questions, which somebody waits for */

	struct track *tracks;      /* by serial */
	size_t track_count;
	size_t track_capacity;

	struct connection connection;
	int unwritten;             /* why the database took nothing the last time, or 0 */
	bool online;
	bool probing;
	int64_t probe_ms;          /* no sooner than this */
	char *scratch;             /* absolute, on the cluster; NULL until it was asked */
	char *records;
	char *user;                /* the login name there */
	char *project;             /* as scratch; NULL where the profile names none */
	struct keeper *keeper;     /* keep.c's own */
	const struct installation *installation; /* NULL: no records are written or looked for */
	struct finder *finder;     /* found.c's own */
	struct recorder *recorder; /* recordwrite.c's own */

	struct chains *chains;     /* chain.c's own; NULL before the first */
	struct progress_watch *progress; /* progress_watch.c's own */
	struct staging *staging;   /* staging.c's own; NULL before the first */
	struct filesums *sums;     /* any thread */
	bool shell_waits;          /* there for the next command, or is being started */
	int64_t expected_ms;       /* drafts last changed; 0: not yet */
	_Atomic unsigned hashing;  /* files that wait to be hashed ahead; any thread */
	bool limits_busy;          /* the cluster is being asked for its limits */
	bool limits_again;         /* ... and is to be asked once more */
	int64_t limits_ms;         /* no sooner than this */
	bool asking;               /* drafts' questions are under way */
	bool queue_wanted;         /* somebody reads cluster/queue */
	struct sbatch *sbatch;     /* sbatch.c's own */
	struct hints *hints;       /* recordhint.c's own */
	atomic_bool crowded;       /* cluster.crowded */
	bool grouped;              /* between engine_group_begin() and _end() */
	struct after_write *after_writes; /* of the group, the last first */
	bool syncing;
	bool sweeping;             /* directories of removed jobs are being deleted */
	int64_t sync_ms;           /* the last query was sent; 0: none */
	int64_t interval_ms;       /* until the next, growing while nothing changes */
	int64_t drafts_ms;         /* when to look at the drafts again */
	bool moves_open;           /* files were moved in the spool, and the disk does not have that yet */
	struct submission *submissions; /* waiting for their writers' release */
};

/* Any thread.  Runs run(engine, arg) in the engine's thread; messages still queued at the end are
 * run, too, with engine_ending() true. */
void engine_post(struct engine *e, engine_fn run, void *arg);
bool engine_ending(struct engine *e);

/* Keeps note of how a write to the database went, for cluster/connection; returns that. */
int engine_wrote(struct engine *e, int result);

struct track *engine_track(struct engine *e, uint64_t serial);
struct track *engine_add_track(struct engine *e, uint64_t serial);
void engine_drop_track(struct engine *e, uint64_t serial);
/* A pause that grows with the track's failures, jittered: 1 s doubling up to 5 min. */
void engine_pause(struct engine *e, struct track *track);

/* A copy of the newest version, to change and commit; NULL where the job is gone. */
struct job *engine_edit(struct engine *e, uint64_t serial);
/* Persists, then publishes `now` (takes it over), with a line for its log (NULL: none).  On failure
 * nothing is published and the error is returned. */
int engine_commit(struct engine *e, struct job *now, const char *log, ...)
	__attribute__((format(printf, 3, 4)));

/* Many commits in one transaction: what is committed between the two is this thread's alone (as
 * model_latest()) until the end has written it, and is shown then.  New jobs, and such as get another
 * name, are committed outside of it.  Where the end fails, its error is returned, each of the jobs is
 * again what it was, and its track stands where that job was; so nothing that needs the commits may
 * be done before. */
void engine_group_begin(struct engine *e);
int engine_group_end(struct engine *e);
/* Calls then(e, serial) once what was committed before is written: now, or at the end of the group. */
void engine_when_written(struct engine *e, void (*then)(struct engine *e, uint64_t serial),
	uint64_t serial);

/* Publishes `now` (takes it over) without persisting it: for what the next query tells again. */
void engine_show(struct engine *e, struct job *now);

/* pipeline.c: one job from its intent to its Slurm id. */
void pipeline_tick(struct engine *e, int64_t now_ms, int64_t *next_ms);
void pipeline_adopt_id(struct engine *e, uint64_t serial, const char *id, const char *how);
/* A job of ours has ended: where a limit held others back, one of them is tried. */
void pipeline_room(struct engine *e);
void pipeline_set_state(struct job *job, const char *state, const char *reason);
/* A failure that time may mend: says so in error and waits for a growing pause. */
void pipeline_try_later(struct engine *e, uint64_t serial, const char *state, const char *what,
	const char *words);
/* Until the track is due, rounded up. */
long long pipeline_seconds_until(struct engine *e, const struct track *track);
void pipeline_reject(struct engine *e, uint64_t serial, const char *error);
void pipeline_cancelled(struct engine *e, uint64_t serial);
/* sbatch.c: the step from a complete directory to Slurm's id.  Takes the track, which is due, into the
 * next command, or looks for its attempt; false: not now, a command's end wakes. */
bool sbatch_take(struct engine *e, struct track *track);
/* Sends what was taken. */
void sbatch_send(struct engine *e);
/* NULL is fine. */
void sbatch_free(struct sbatch *sbatch);
/* An answer that another command brought; `first` as in sbatch.c's own. */
struct submit_item;
void sbatch_answer(struct engine *e, uint64_t serial, bool first, const struct submit_item *item);
/* Nothing is being submitted, nor is about to be, and the rate allows one more. */
bool sbatch_is_idle(struct engine *e);
/* staging.c: a job's files to the cluster.  Takes the track, which is due, into the next command;
 * false: not now, a command's end wakes. */
bool staging_take(struct engine *e, struct track *track);
/* Sends what was taken. */
void staging_send(struct engine *e);
/* ahead.c: drafts change, so something may soon be staged. */
void ahead_expect(struct engine *e);
void ahead_tick(struct engine *e, int64_t now_ms, int64_t *next_ms);
/* NULL is fine. */
void staging_free(struct staging *staging);
/* intake.c: a draft becomes a job. */
void intake_tick(struct engine *e, int64_t now_ms, int64_t *next_ms);
/* Of a struct submission, which it takes over: answers it now, or once its writers are gone. */
void intake_submit(struct engine *e, void *submission);
/* Answers with -ESHUTDOWN what still waits. */
void intake_end(struct engine *e);
/* The first free name: itself, then -2, -3, ...; the caller's to free. */
char *intake_free_name(struct engine *e, const char *wanted);
/* Moves a job's files from where they were dropped, where that failed before.  0 or a negative errno. */
int intake_move_again(struct engine *e, const struct job *job);
int intake_finish_moves(struct engine *e, struct strbuf *why);
/* verbs.c: what ctl, rmdir and a mended config.ini ask for. */
int verb_run(struct engine *e, uint64_t serial, const char *verb);
int verb_remove(struct engine *e, uint64_t serial);
int verb_set_config(struct engine *e, uint64_t serial, const char *text, size_t len);
void verb_send_cancel(struct engine *e, const struct job *job);
void verb_sweep(struct engine *e);
/* The one line of `error` that tells of ctl, beginning with "ctl: "; NULL takes it away. */
void verb_note(struct job *now, const char *note, ...) __attribute__((format(printf, 2, 3)));
/* slurmverb.c: what is a command of Slurm's.  0; -EPERM: it has no id yet; -EIO: out of reach. */
int slurmverb_hold(struct engine *e, struct job *job);
int slurmverb_release(struct engine *e, struct job *job);
int slurmverb_requeue(struct engine *e, struct job *job);
/* keep.c: results from scratch to project.  keep_job_ended() changes `now`, which is committed next. */
void keep_take_up(struct engine *e, const struct job *job);
void keep_job_ended(struct engine *e, struct job *now);
/* Behind each change, committed next. */
void keep_changed(const struct job *before, struct job *now);
int keep_retrieve(struct engine *e, struct job *job);
int keep_discard(struct engine *e, struct job *job);
void keep_tick(struct engine *e, int64_t now_ms, int64_t *next_ms);
/* NULL is fine. */
void keep_free(struct keeper *keeper);
/* found.c: jobs that lie on the cluster and are not in the database.  NULL is fine. */
void found_tick(struct engine *e, int64_t now_ms, int64_t *next_ms);
void found_free(struct finder *finder);
/* recordwrite.c: how jobs ended, for found.c.  record_changed() may change `now`, committed next. */
void record_take_up(struct engine *e, const struct job *job);
void record_changed(struct engine *e, const struct job *before, struct job *now);
void record_tick(struct engine *e, int64_t now_ms, int64_t *next_ms);
void record_free(struct recorder *recorder);
/* probe.c: what the cluster is like. */
void probe_tick(struct engine *e, int64_t now_ms, int64_t *next_ms);
/* limits_watch.c: what the cluster allows.  Takes up what the database has of it. */
void limits_load(struct engine *e);
/* Asks again soon: a refusal shows that what is known is old. */
void limits_renew(struct engine *e);
void limits_tick(struct engine *e, int64_t now_ms, int64_t *next_ms);
/* askwatch.c: what drafts ask of the cluster. */
void ask_state(struct engine *e, enum remote_state state);
void ask_tick(struct engine *e);
/* watch.c: states. */
/* Where the output of `now`, whose script the store has, really goes. */
void watch_find_outputs(struct engine *e, struct job *now);
void watch_tick(struct engine *e, int64_t now_ms, int64_t *next_ms);
/* Gives `now`, which is committed next, these tasks (NULL: it is no array), and persists them.  Takes
 * over the reference.  0 or an error of the store's. */
int watch_set_tasks(struct engine *e, struct job *now, const struct tasks *tasks);
/* The same for tasks that are the caller's, with the job's word and facts; whether any changed. */
bool watch_show_tasks(struct engine *e, struct job *now, struct tasks *tasks, const char *facts);
/* recordhint.c: what the jobs' own records tell as they are written. */
void hint_tick(struct engine *e, int64_t now_ms, int64_t *next_ms);
/* NULL is fine. */
void hint_free(struct hints *hints);
/* progress_watch.c: how far the running jobs are.  Renewed behind a state query. */
void progress_renew(struct engine *e);
/* Its log is to be read once more. */
void progress_job_ended(struct engine *e, uint64_t serial);
void progress_tick(struct engine *e, int64_t now_ms, int64_t *next_ms);
/* NULL is fine. */
void progress_watch_free(struct progress_watch *progress);

#endif
