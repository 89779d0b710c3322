/*
 * What is to be said of a draft: is it a job already, is it wrong, what is missing.  Works on a
 * directory's descriptor alone and keeps nothing; the caller sees to it that a result is thrown
 * away when the draft has changed.
 */
#ifndef SLURMOUNT_DRAFTCHECK_H
#define SLURMOUNT_DRAFTCHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "jobspec.h"
#include "profile.h"
#include "strbuf.h"

struct clusterinfo;
struct template;

enum draft_verdict {
	DRAFT_INCOMPLETE, /* a file is missing, or a transfer is under way */
	DRAFT_INVALID,    /* something is wrong that more files do not cure */
	DRAFT_MANUAL,     /* could be a job, but only a `mv` makes it one */
	DRAFT_READY,      /* becomes a job after `settle_ms` of quiet */
};

struct draftcheck_request {
	int folder;         /* a directory's descriptor, of any kind */
	const char *name;   /* the folder's, or NULL for the loose files */
	const struct profile *profile;
	const char *held;   /* why it must not be submitted by itself, a sentence, or NULL */
	/* What is known of the cluster, NULL: nothing; what it answered before `since_ns`
	 * (CLOCK_REALTIME) is asked for again. */
	struct clusterinfo *cluster;
	int64_t since_ns;
	const char *kept;   /* a folder of templates that come before all others, or NULL */
	/* Of loose files: this batch script is to be looked at as if it was the only file, or NULL. */
	const char *script;
};

struct draftcheck {
	enum draft_verdict verdict;
	bool transfer;          /* files are still under way */
	bool sums;              /* there is a SHA256SUMS to be checked by draftcheck_sums() */
	bool asking;            /* sbatch is being asked whether it would take it; till then it waits */
	bool questions;         /* the cluster is being asked that, or something that holds nothing back */
	int64_t answer_ns;      /* when sbatch was asked what makes it wrong; 0: never */
	int64_t settle_ms;
	struct strbuf problems; /* text for people, a line each; never empty */
	struct strbuf preview;  /* the batch script; empty where there is none */
	struct strbuf config;   /* config.ini's bytes */
	bool config_valid;      /* and config.ini is there */
	struct jobspec *spec;   /* with the script's options and the defaults; NULL where invalid */
	char *body_line;        /* interpreter of a user's script, or NULL */
	struct template *template; /* of JOBSPEC_TEMPLATE, or NULL */
	struct jobspec_pairs values; /* of its variables, where config.ini gives good ones */
	bool values_good;
	uint64_t template_stamp; /* template_stamp(), before the template was read */
	struct strbuf left_out; /* droppings, a line each: paths within the draft */
	struct strbuf loose;    /* of loose files: their names, droppings too, each NUL-terminated */
	bool others;            /* more loose batch scripts are there, which are jobs of their own */
};

/* Blocks on local disk only.  `ret` is released by draftcheck_release(). */
void draftcheck_run(const struct draftcheck_request *request, struct draftcheck *ret);
/* The same, but where the loose files are several batch scripts and nothing else, each is a job of its
 * own: `ret` is of the first by name that could be submitted, and says what keeps others back. */
void draftcheck_each(const struct draftcheck_request *request, struct draftcheck *ret);
void draftcheck_release(struct draftcheck *check);

/* Compares all that SHA256SUMS names.  0, or -EPERM with a line per file that differs. */
int draftcheck_sums(int folder, struct strbuf *why);

/* Opens below `folder` for reading, following no link out of it: a descriptor or a negative errno,
 * -EXDEV where a link leads out. */
int draftcheck_open(int folder, const char *path);
/* Reads a regular file within `folder`, following no link out of it.  0, -ENOENT, -EFBIG above
 * `limit`, -EINVAL for what is no regular file, or another negative errno. */
int draftcheck_read(int folder, const char *path, size_t limit, struct strbuf *ret);
/* An editor's or a system's own file, which is no part of a job. */
bool draftcheck_dropping(const char *name);
/* A name that a program gives to what it has not received in full. */
bool draftcheck_transfer(const char *name);

#endif
