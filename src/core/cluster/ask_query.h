/* One command that puts drafts' questions to the cluster. */
#ifndef SLURMOUNT_ASK_QUERY_H
#define SLURMOUNT_ASK_QUERY_H

#include "clusterask.h"
#include "command.h"

/* Runs `sbatch --test-only` for each script and looks for each path, one after the other, and sets
 * their answers.  Blocks.  0, remote.h's errors, -EPROTO; what was answered before is set. */
int ask_query(const struct cluster *cluster, struct ask_question *questions, size_t count);

/* Whether what `sbatch --test-only` says in refusing is about the request itself, so that sbatch
 * would never take it as it is.  Pure. */
bool ask_is_refusal(int status, const char *words);

#endif
