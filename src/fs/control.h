/* The socket through which `slurmount --login` authenticates for a mount that runs. */
#ifndef SLURMOUNT_CONTROL_H
#define SLURMOUNT_CONTROL_H

#include <sys/types.h>

#include "remote.h"

struct control;

/* Listens on `path` (0600) and serves one client at a time on a thread of its own. */
int control_start(const char *path, uid_t owner, struct remote *remote, struct control **ret,
	struct strbuf *why);
/* No new client; one that is being asked is let go.  Call before the remote is aborted. */
void control_stop(struct control *control);
/* Joins and frees; the remote has been aborted.  NULL is fine. */
void control_free(struct control *control);

/* The client: the exit status. */
int control_login(const char *mountpoint);

#endif
