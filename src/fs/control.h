/* The socket through which `slurmount --login` authenticates for a mount that runs. */
#ifndef SLURMOUNT_CONTROL_H
#define SLURMOUNT_CONTROL_H

#include <sys/types.h>

#include "remote.h"

struct control;

/* Listens on `path` (0600) and serves one client at a time on a thread of its own.  Where that file
 * system takes no socket, in the user's runtime directory. */
int control_start(const char *path, uid_t owner, struct remote *remote, struct control **ret,
	struct strbuf *why);
/* Where it listens; lives as long as it. */
const char *control_path(const struct control *control);
/* No new client; one that is being asked is let go.  Call before the remote is aborted. */
void control_stop(struct control *control);
/* Joins and frees; the remote has been aborted.  NULL is fine. */
void control_free(struct control *control);

/* The client: the exit status. */
int control_login(const char *mountpoint);

#endif
