/*
 * Staging: a job's inputs -> its fresh directory on the cluster, as one verified stream.
 *
 * One command over there takes a tar stream on its stdin, unpacks it into SCRATCH/.slurmount/
 * staging/UUID, checks every file against the SHA-256 that we computed while sending, and only then
 * renames the directory to its final place.  So the final directory is either absent or complete,
 * and staging may be repeated at any point: what a broken try left behind is swept first, and one
 * whose success message was lost is found done.
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

struct stage_request {
	const char *uuid;
	const char *source;     /* local folder with the inputs */
	const char *scratch;    /* absolute, on the cluster */
	const char *workdir;    /* absolute, below scratch: becomes the job's directory */
	const char *records;    /* absolute: made where it is missing */
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
};

/* Sends and verifies; blocks as long as bytes move, at most 60 s in one silence.  0; or remote.h's
 * errors (repeat later); -EPROTO (no answer: repeat); -ENOSPC, -EDQUOT, -EACCES, -EROFS, -EIO with
 * the cluster's own words in `why`; -ENODATA: an input cannot be had there, with a sentence; -ENOENT:
 * an input vanished here.  On success `why` has what is to be noted, if anything. */
int stage_run(const struct cluster *cluster, const struct stage_request *request,
	struct strbuf *why);

#endif
