/*
 * Who submits: an installation, which is one state folder.  Its id lies in a file of its own there, so
 * that a user who lost the database owns his jobs again.
 */
#ifndef SLURMOUNT_INSTALLATION_H
#define SLURMOUNT_INSTALLATION_H

#include "strbuf.h"

#define INSTALLATION_ID_SIZE 33
#define INSTALLATION_OWNER_SIZE 129

struct installation {
	char id[INSTALLATION_ID_SIZE];       /* 32 hexadecimal digits */
	char owner[INSTALLATION_OWNER_SIZE]; /* USER@HOST of this machine, for people */
};

/* Reads `state`/installation, or makes it, durably.  A file that holds no id is an error (-EINVAL): a
 * new id would disown all jobs.  0 or a negative errno with a sentence.  Blocks on local disk. */
int installation_load(const char *state, struct installation *ret, struct strbuf *why);

#endif
