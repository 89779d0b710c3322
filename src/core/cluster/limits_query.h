/* One command that asks a cluster for its partitions, nodes, accounts and QOS. */
#ifndef SLURMOUNT_LIMITS_QUERY_H
#define SLURMOUNT_LIMITS_QUERY_H

#include "command.h"

/* The text for limits_parse().  Blocks up to its deadline; 0, remote.h's errors, -EPROTO. */
int limits_query(const struct cluster *cluster, struct strbuf *ret);

#endif
