/*
 * One job, as everything but the engine sees it: an immutable snapshot, counted, shared between
 * threads.  The engine alone makes new versions (copy, change, publish); nobody changes one that
 * has been published.
 */
#ifndef SLURMOUNT_JOB_H
#define SLURMOUNT_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "strbuf.h"

#define JOB_UUID_SIZE 37
#define JOB_STATE_SIZE 24

/* The files of jobs/NAME/ whose content we make, in the order of their listing. */
enum job_file {
	JOB_FILE_STATUS,
	JOB_FILE_SLURM_ID,
	JOB_FILE_INFO,
	JOB_FILE_ERROR,
	JOB_FILE_LOG,
	JOB_FILE_CTL,
	JOB_FILE_CONFIG,
	JOB_FILE_SCRIPT,
	JOB_FILE_PROGRESS,
	JOB_FILE_COUNT
};

struct tasks;

struct job {
	_Atomic unsigned references;
	uint64_t serial;               /* never used twice; the inode id comes from it */
	char uuid[JOB_UUID_SIZE];      /* names the job on the cluster */
	char state[JOB_STATE_SIZE];    /* a word of jobstate.h, or Slurm's own */
	bool cancel_asked;             /* by us: proves what a signal in the end record means */
	bool needed;                   /* another job waits for it; follows from that one */
	bool staged;                   /* the work directory is complete and verified */
	bool taken;                    /* the submission was begun: only reconciling may say no */
	bool moved;                    /* the spool has its files apart from the drafts, or lost them */
	bool kept;                     /* the results are in project, verified */
	bool discarded;                /* they need not be: it may be removed without */
	bool recorded;                 /* its record on the cluster says how it ended */
	bool purged;                   /* its directory on scratch is gone, and not by us */
	unsigned copies;               /* of its results to project: numbers them, see keep.h */
	bool by_rename;                /* made by a user's mv, of which the kernel knows; not stored */
	unsigned attempt;              /* of sbatch, from 1: see submit.h */
	char *name;
	char *slurm_id;                /* "" until there is one */
	char *workdir;                 /* absolute, on the cluster; "" until scratch is known */
	char *records;                 /* folder of the start and end records there */
	char *project_dir;             /* where inputs and results are kept there; "" for nowhere */
	char *results;                 /* copying, kept, or why not yet; "" where there is nothing to say */
	char *owner;                   /* the installation that submitted it; "" for this one */
	char *stdout_path;             /* where output really goes, absolute; "" until known */
	char *stderr_path;
	char *reason;                  /* Slurm's, or ours while WAITING; "" for none */
	char *facts;                   /* `key = value` lines from Slurm, part of info */
	char *error;                   /* what the file error says; "" while all is well */
	const struct tasks *tasks;     /* of an array; counted; NULL for another job */
	char *progress;                /* what the file progress says; "" without figures */
	uint64_t config_size;          /* bytes of the texts that the store keeps */
	uint64_t script_size;
	uint64_t log_size;
	int64_t created_ns;            /* the commit of its intent, since 1970 */
	int64_t taken_ns;              /* the last try of sbatch began; 0 for none */
	int64_t submitted_ns;          /* Slurm's id was learned; 0 before */
	int64_t ended_ns;              /* we learned of its end; 0 before */
	int64_t seen_ns;               /* its directory on scratch was last seen; 0 for never */
	int64_t state_ns;              /* the state last changed: the directory's mtime */
	int64_t file_ns[JOB_FILE_COUNT]; /* each file's content last changed */
};

/* A new, unpublished job with one reference and empty strings. */
struct job *job_new(void);
/* An unpublished copy with one reference, to change. */
struct job *job_copy(const struct job *job);
struct job *job_ref(const struct job *job);
/* NULL is fine. */
void job_unref(const struct job *job);
#define AUTO_JOB CLEANUP(cleanup_job_unref)
static inline void cleanup_job_unref(void *variable)
{
	job_unref(*(struct job **)variable);
}
/* Whether results are still to be copied to project: until then the job cannot be removed. */
bool job_keeps(const struct job *job);
/* Replaces an unpublished job's tasks; takes over the reference. */
void job_set_tasks(struct job *job, const struct tasks *tasks);
/* Replaces one of an unpublished job's strings; NULL stands for "". */
void job_set(char **field, const char *value);

/* Lets an unpublished job share the strings that it has in common with `like` (NULL: with none), and
 * such as it has twice: what 100,000 jobs need is decided by that. */
void job_share(struct job *job, const struct job *like);

#endif
