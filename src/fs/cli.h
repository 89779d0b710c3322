/* The command line, and what it and the profile settle before anything is started. */
#ifndef SLURMOUNT_CLI_H
#define SLURMOUNT_CLI_H

#include <stdbool.h>

#include "profile.h"
#include "remote.h"
#include "sshtransport.h"

enum cli_mode { CLI_MOUNT, CLI_CHECK, CLI_LOGIN };

struct cli {
	enum cli_mode mode;
	bool foreground, debug;
	const char *config;     /* -c, or NULL */
	const char *target;     /* [USER@]HOST or "local" */
	const char *mountpoint; /* as given */
	char **options;         /* of -o, one KEY[=VALUE] each, NULL-terminated */
	size_t option_count;
};

/* True: go on.  False: the program ends with `*status`; what is to be said has been. */
bool cli_parse(int argc, char **argv, struct cli *ret, int *status);

struct setup {
	bool local;
	bool xattr;              /* -o xattr */
	mode_t umask;            /* as we were started with */
	struct profile *profile;
	struct ssh_settings ssh; /* resolved; unless local */
	char *label;             /* USER@HOST, or "local" */
	struct strbuf fuse;      /* mount options for FUSE, separated by commas */
};

/* Reads the profile and resolves where to connect.  0, or a negative errno with one line. */
int setup_load(const struct cli *cli, struct setup *ret, struct strbuf *why);
struct remote *setup_remote(const struct setup *setup, remote_state_fn tell, void *arg);
void setup_finish(struct setup *setup);

/* --check: the exit status. */
int check_run(const struct setup *setup);

#endif
