/*
 * The jobs that lie on the cluster: what is asked there, and what its answer says.  Pure; an answer is
 * only taken where it is well-formed, whatever the folders hold.
 */
#ifndef SLURMOUNT_FOUNDTEXT_H
#define SLURMOUNT_FOUNDTEXT_H

#include "jobrecord.h"

/* Bash, behind its variables `scratch` and `project` ("" for none): reads on its stdin the endings (the
 * first eight digits of the uuid) of folders that need no look, a line each, and tells of up to 64
 * others. */
extern const char foundtext_script[];

/* A folder with a record. */
struct found {
	char *folder;          /* below scratch and project: NAME-UUID8 or NAME-ATTEMPT-UUID8 */
	bool on_scratch;
	bool in_project;
	bool valid;            /* the record is well-formed and names this folder */
	bool revoked;          /* cancelled before Slurm had it */
	unsigned attempt;      /* the last that was begun; 0 for none */
	unsigned copies;       /* to project, that were begun */
	char slurm_id[24];     /* by the claim or sbatch's outcome; "" for none known */
	int64_t submitted_s;   /* 0 unknown */
	struct jobrecord record;         /* where valid */
	struct jobrecord_state state;    /* state.state[0] is 0 where there is none */
	struct strbuf config;
	struct strbuf script;
};

/* Calls `each` with every folder told of.  `*more`: there are others yet.  0, or -EPROTO for an answer
 * that has not the form. */
int foundtext_parse(char *text, bool *more, void (*each)(void *arg, const struct found *found),
	void *arg);

#endif
