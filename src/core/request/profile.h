/* The cluster profile (contract, section 2).  Nothing of it is expanded on the cluster yet. */
#ifndef SLURMOUNT_PROFILE_H
#define SLURMOUNT_PROFILE_H

#include <stdint.h>

#include "jobspec.h"
#include "strbuf.h"

struct profile {
	/* [cluster]; NULL or 0 where nothing is said */
	char *host;
	char *user;
	int port;
	char *identity;    /* ~/ expanded on this machine, as in known_hosts */
	char *known_hosts;
	char *jump;
	char *scratch;     /* ~ and $VARIABLES are the cluster's to expand, as in project */
	char *project;
	char *setup;
	int submit_rate;    /* submissions a second; 0: no limit */
	int work_timeout;   /* seconds that a request in work/ waits for the cluster */
	struct jobspec *defaults; /* slurm, modules, environment; never NULL */
	/* [sync], in seconds */
	int sync_interval;
	int sync_max_interval;
	/* [staging]; the first two in seconds */
	double settle;
	double settle_unnamed;
	int streams;
	uint64_t keep; /* bytes of inputs that stay on the cluster by their content; 0: none */
	struct jobspec_pairs seen; /* what the file said, to find what it says twice */
};

/* A profile of defaults. */
struct profile *profile_new(void);
void profile_free(struct profile *profile);

/* Reads a file into it.  Returns 0; -EINVAL with "PATH:LINE: KEY: ..." lines in `why`; or the error
 * of opening or reading it, with a sentence.  All of a file that is valid is taken. */
int profile_read_file(struct profile *profile, const char *path, struct strbuf *why);
/* The same for text that was read already; `path` is only named. */
int profile_parse(struct profile *profile, const char *text, size_t len, const char *path,
	struct strbuf *why);
/* `-o KEY=VALUE`: sets a key of [cluster], [sync], [staging] or [defaults], over what the file says.
 * Returns 0, -EINVAL with a sentence, or -ENOENT where no key is so named (a FUSE option, then). */
int profile_set(struct profile *profile, const char *key, const char *value, struct strbuf *why);

#endif
