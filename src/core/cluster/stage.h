/*
 * Staging: jobs' inputs -> their fresh directories on the cluster, verified.
 *
 * One command over there takes the small files of several jobs as one tar stream, unpacks them in
 * SCRATCH/.slurmount/staging/BATCH, checks every file against the SHA-256 that we computed while
 * sending, and only then renames each job's directory to its final place.  So the final directory is
 * either absent or complete, and staging may be repeated at any point: a batch has a folder of its
 * own that no other command touches, and a job whose success message was lost is found done.
 *
 * Files from STAGE_KEPT_MIN bytes on go by their content (filesum.h) through SCRATCH/.slurmount/keep:
 * what lies there is not sent again, and a job gets a copy of it.  What is missing there and large is
 * brought first, in pieces over several channels (upload.h).
 *
 * With a project folder the directory stands there, complete and verified, before it does on scratch.
 */
#ifndef SLURMOUNT_STAGE_H
#define SLURMOUNT_STAGE_H

#include <sys/types.h>

#include "command.h"

/* A file of the job that does not lie among its inputs: bytes, or another local file. */
struct stage_file {
	char *name;  /* in the job's directory */
	mode_t mode; /* permission bits */
	char *bytes; /* NULL: the content of `path` */
	size_t len;
	char *path;
};

struct stage_input;
struct submit_item;

struct stage_job {
	const char *source;     /* local folder with the inputs */
	const char *workdir;    /* absolute, right below scratch: becomes the job's directory */
	const char *project_dir; /* absolute, right below project: a copy of it; NULL for none */
	const char *script;     /* becomes .slurmount/script.sbatch */
	size_t script_len;
	const char *record;     /* becomes .slurmount/record; NULL for none */
	const char *config;     /* becomes .slurmount/config.ini; NULL for none */
	size_t config_len;
	const char *const *folders; /* NULL-terminated, below workdir: made for output files */
	const struct stage_file *files; /* that its template makes or brings */
	size_t file_count;
	const struct stage_input *inputs; /* that are on the cluster already: stageinput.h */
	size_t input_count;
	struct submit_item *submit; /* submitted by the same command once it is staged; NULL: it is not */
	/* Results. */
	int result;         /* see stage_run() */
	bool answered;      /* the cluster itself said so: the command did nothing more with it */
	struct strbuf *why; /* the caller's, to be added to */
	char *lacks;        /* with -EINPROGRESS what the keep there lacks, for the run alone; the caller frees it */
};

struct filesums;

struct stage_place {
	const char *scratch; /* absolute, on the cluster */
	const char *project; /* likewise; NULL for none */
	const char *records; /* likewise: made where it is missing */
	uint64_t keep;       /* bytes that may be kept by content there; 0: nothing is */
	unsigned streams;    /* channels for large files */
	unsigned submit_rate; /* submissions a second, 0 for no limit */
	struct filesums *sums;
};

/* Sends and verifies; blocks as long as bytes move, at most 60 s in one silence.  Each job's result:
 * 0; or remote.h's errors (repeat later); -EPROTO (no answer: repeat); -ENOSPC, -EDQUOT, -EACCES,
 * -EROFS, -EIO with the cluster's own words in `why`; -ENODATA: an input cannot be had there, with a
 * sentence; -ENOENT: an input vanished here; -EINPROGRESS where not `alone`: it has so much to send
 * that others should not wait for it, and nothing was done.  With 0 `why` has what is to be noted, if
 * anything, and `submit` its result (submit.h). */
void stage_run(const struct cluster *cluster, const struct stage_place *place,
	struct stage_job *const *jobs, size_t count, bool alone);

#endif
