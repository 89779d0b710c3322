/* What tclscan's files share: the commands that branch, exec, and all the rest. */
#ifndef SLURMOUNT_TCLSCAN_INTERNAL_H
#define SLURMOUNT_TCLSCAN_INTERNAL_H

#include "tclscan.h"
#include "tclvars.h"

/* No configuration that a person wrote comes near these; what does is not followed for ever. */
#define TCLSCAN_COMMANDS_MAX 20000
#define TCLSCAN_DEPTH_MAX 24
#define TCLSCAN_ROUNDS_MAX 200
#define TCLSCAN_BYTES_MAX (64u << 20)

struct tcl_procedure {
	char *name, *arguments, *body, *file;
	int line;
	bool called;
};

struct tclscan {
	const struct tclscan_caller *caller;
	struct tcl_context context;
	struct tcl_variables variables;
	struct tcl_variables *globals; /* within a procedure */
	struct strbuf linked;          /* there: the names that `global` gave, a NUL after each */
	struct tcl_procedure *procedures;
	size_t procedure_count;
	struct strbuf result; /* of `return` */
	size_t commands, bytes;
	int depth;
	bool returning, has_result;
	bool ended;  /* `exit` */
	bool uncalled; /* within a procedure that nothing calls */
	bool failed; /* too much */
};

/* Each appends what the command gives to `ret` and returns true where that is known. */
typedef bool (*tclscan_command_fn)(struct tclscan *s, const struct tcl_piece *at,
	const struct tcl_command *c, struct strbuf *ret);

/* Follows a piece; appends what its last command gives to `ret` (may be NULL), true: it is known. */
bool tclscan_piece(struct tclscan *s, struct tcl_piece piece, struct strbuf *ret);
/* Follows a word as a script, where its text is known. */
void tclscan_body(struct tclscan *s, const struct tcl_piece *at, const struct tcl_word *w);
/* The same as one that may be run: what it sets is known no more afterwards. */
void tclscan_maybe(struct tclscan *s, const struct tcl_piece *at, const struct tcl_word *w);
void tclscan_assign(struct tclscan *s, const char *name, const char *value);

/* Tells the caller of a file that the Tcl command `c` reads or writes. */
void tclscan_file(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	const struct tcl_word *name, bool writes);
/* exec: the files of the programs that configurations prepare others with. */
bool tclscan_exec(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret);

/* if, while, for, foreach, switch, catch, proc; NULL: not such a command. */
tclscan_command_fn tclscan_flow(const char *name);
/* Calls a procedure of the script's, if `c` names one: 1 its result is known, 0 not, -1 none. */
int tclscan_call(struct tclscan *s, const struct tcl_piece *at, const struct tcl_command *c,
	struct strbuf *ret);
/* Follows the procedures that nothing called, then frees them all. */
void tclscan_end_procedures(struct tclscan *s);

#endif
