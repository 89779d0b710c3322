/* The cluster over SSH: core/remote.h by libssh2, on one thread for each connection. */
#ifndef SLURMOUNT_SSHTRANSPORT_H
#define SLURMOUNT_SSHTRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "remote.h"

#define SSH_LIST_MAX 16
#define SSH_CONNECT_S 20 /* where ssh's configuration says no ConnectTimeout */

struct ssh_list {
	char *items[SSH_LIST_MAX];
	size_t count;
};

/* All strings are the struct's own.  The caller sets `host` and what it knows of the first group;
 * ssh_settings_resolve() fills the rest. */
struct ssh_settings {
	char *host;        /* as the user names it: an alias of ~/.ssh/config, or a name */
	char *user;
	int port;          /* 0: not said */
	char *identity;    /* a private key file */
	char *known_hosts; /* a file, used instead of the usual ones */
	char *jump;        /* [USER@]HOST[:PORT], several separated by commas; "none" */

	char *address;     /* where to connect to: a name or number */
	char *alias;       /* the name looked for in known_hosts, or NULL: address and port */
	char *agent;       /* socket of the agent, or NULL: $SSH_AUTH_SOCK */
	struct ssh_list identities;
	struct ssh_list known_hosts_files;
	bool identities_only;
	int connect_timeout; /* seconds until the host key is checked; 0: not said */
	int keepalive;       /* seconds */
};

/* Fills what is unset from `ssh -G`, then with defaults; where ssh is not installed, with defaults
 * alone.  Blocks up to 10 s.  -EINVAL: no host, or ssh refuses its configuration (why). */
int ssh_settings_resolve(struct ssh_settings *s, struct strbuf *why);
/* Takes from the text that `ssh -G` prints what is unset in `s`; pure. */
void ssh_settings_parse(struct ssh_settings *s, const char *text);
/* Sets what is still unset to what ssh itself would take. */
void ssh_settings_defaults(struct ssh_settings *s);
/* A copy whose strings are its own, for the caller to ssh_settings_finish(). */
void ssh_settings_copy(struct ssh_settings *to, const struct ssh_settings *from);
void ssh_settings_finish(struct ssh_settings *s);
/* `path` with a leading ~ or %d as the home directory; the caller's to free. */
char *ssh_expand_home(const char *path);

/* A transport for resolved settings, of which it keeps a copy; offline until remote_connect().
 * `tell` (may be NULL) is called from its thread.  The caller's to remote_destroy(). */
struct remote *ssh_remote_new(const struct ssh_settings *settings, remote_state_fn tell, void *arg);

#endif
