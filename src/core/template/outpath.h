/*
 * Where Slurm puts a batch job's output: the patterns of --output and --error.  Pure.
 *
 * As slurmstepd's src/slurmd/slurmstepd/fname.c (22.05) has it for batch steps: %A the array's job id, %a the
 * task, %j and %J the job's own, %x its name, %u the user, %n and %t 0, %s "batch", %% a percent sign,
 * a width of at most 10 before the letter; a pattern with a backslash in it is no pattern.
 */
#ifndef SLURMOUNT_OUTPATH_H
#define SLURMOUNT_OUTPATH_H

#include <stdint.h>

/* What a job that is no array has for %a: Slurm prints its NO_VAL. */
#define OUTPATH_NO_TASK INT64_C(4294967294)

struct outpath {
	const char *workdir;  /* absolute */
	const char *job_name;
	const char *user;
	uint64_t array_id;    /* of a job that is no array its own id; 0 not known */
	uint64_t job_id;      /* of an array's task Slurm's own number for it; 0 not known */
	int64_t task;         /* -1: each task has its own */
};

/* The path, absolute, the caller's to free; NULL where it depends on what is not known (%N, the
 * node's name, never is). */
char *outpath_expand(const char *pattern, const struct outpath *values);

/* The value of the directive "#SBATCH --KEY=" in a script of ours, without its quotes; the caller's to
 * free; NULL where there is none. */
char *outpath_directive(const char *script, const char *key);

#endif
