/*
 * Reading the logs of running jobs: one command on the cluster for many, a bounded part of each.
 */
#ifndef SLURMOUNT_PROGRESS_QUERY_H
#define SLURMOUNT_PROGRESS_QUERY_H

#include <stddef.h>
#include <stdint.h>

#include "command.h"

/* The most that is read of one log at a time, bytes: its head and its tail where it is new, else
 * what it has grown by, or its tail where that is more.  Of what lies between, up to 512 KiB are
 * searched on the cluster for lines that begin a run, for up to 32 logs a command. */
#define PROGRESS_PART 16384

/* Appends to a request, for the caller's `index`: the file from byte `from` on (what has become
 * shorter than that is read anew), or all of a job's files that may be an engine's log. */
void progress_ask_file(struct strbuf *request, size_t index, int64_t from, const char *path);
void progress_ask_all(struct strbuf *request, size_t index, const char *workdir,
	const char *stdout_path, const char *stderr_path);

/* Some bytes of a file; those of one file follow each other in order. */
struct progress_part {
	size_t index;
	const char *path;     /* until the callback returns */
	int64_t from, next;   /* offsets in the file; `next` is where reading goes on */
	const char *bytes;
	size_t len;           /* fewer than next - from where there were NULs */
};
typedef void (*progress_part_fn)(void *arg, const struct progress_part *part);

/* Runs it; `ret` is for progress_each_part().  Blocks; 0 or remote.h's errors. */
int progress_query(const struct cluster *cluster, const struct strbuf *request,
	struct command_result *ret);
/* Pure. */
void progress_each_part(const char *text, size_t len, progress_part_fn each, void *arg);

#endif
