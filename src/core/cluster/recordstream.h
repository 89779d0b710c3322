/*
 * The jobs' own start and end records, as they are written: one command that stays, and looks at their
 * folder once a second.
 *
 * It asks for the folder's times alone, and lists it only when they have changed.  inotify would not do: it
 * says nothing of what another machine writes to a network file system, which is where jobs write.
 * What was there half a minute before it began is not told.  The same record may be told twice.  It is
 * a hint: how things stand the next state query tells.
 */
#ifndef SLURMOUNT_RECORDSTREAM_H
#define SLURMOUNT_RECORDSTREAM_H

#include <stdatomic.h>

#include "command.h"
#include "slurm_text.h"

struct recordstream_item {
	char uuid[JOB_UUID_SIZE];
	int64_t task; /* of an array; -1 for none */
	bool is_end;
	struct slurm_endrecord record;
};

/* Called in the thread that follows. */
typedef void (*recordstream_fn)(void *arg, const struct recordstream_item *item);

/* Follows the folder until `*stop` (looked at every 15 s), or an error of remote.h's or -EPROTO.  Over
 * there nothing is left: without our sign of life for 90 s, or the connection, it ends by itself.
 * `some` is called behind the items that came together.  Blocks. */
int recordstream_follow(const struct cluster *cluster, const char *folder, const atomic_bool *stop,
	recordstream_fn each, void (*some)(void *arg), void *arg);

/* Takes whole items off the front of what it printed, which ends with a NUL: how many bytes they
 * took.  -EPROTO for what is no item.  Pure. */
ssize_t recordstream_read(const char *text, size_t len, recordstream_fn each, void *arg);

#endif
