/* How the end of a job that is no success reads in `error`: what happened, why, what to do.  Pure. */
#ifndef SLURMOUNT_ENDTEXT_H
#define SLURMOUNT_ENDTEXT_H

#include "strbuf.h"

/* Appends it for a job that ended as `state` and whose facts, `key = value` lines (struct job), say
 * exit code, signal, time limit, memory.  Nothing for COMPLETED, and for CANCELLED. */
void endtext_explain(const char *state, const char *facts, struct strbuf *out);

#endif
