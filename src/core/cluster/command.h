/*
 * A bash script run on the cluster, its output framed by a nonce.
 *
 * The frame is what makes an answer one: login shells print noise of their own, and libssh2 reports
 * exit status 0 where the server never sent one.  No frame, no answer.
 */
#ifndef SLURMOUNT_COMMAND_H
#define SLURMOUNT_COMMAND_H

#include <stdatomic.h>

#include "clock.h"
#include "remote.h"
#include "strbuf.h"

struct command_spare;

/* Where commands run; all of it outlives them. */
struct cluster {
	struct remote *remote;
	const char *setup; /* the profile's line, or NULL */
	const struct clock *clock;
	struct command_spare *spare; /* NULL: command_prepare() does nothing */
	atomic_bool *crowded; /* set where the server refuses a command beside others; NULL: nobody asks */
};

struct command {
	const struct cluster *cluster;
	struct remote_proc *proc;
	char nonce[40];
	struct strbuf early; /* what was read of its output before it is finished */
};

struct command_result {
	int status;        /* of the script */
	struct strbuf out; /* what it printed */
	struct strbuf err; /* what it said on stderr, the first 64 KiB; no word of the login before it */
};

#define COMMAND_RESULT_INIT ((struct command_result){.out = STRBUF_INIT, .err = STRBUF_INIT})
#define AUTO_RESULT CLEANUP(command_result_release)

/* Starts `script`; feed it with remote_write(command->proc, ...).  Blocks up to the deadline. */
int command_start(struct command *command, const struct cluster *cluster, const char *script,
	int64_t deadline);
/* The same without the login's profile and `setup` (shell_bare_command). */
int command_start_bare(struct command *command, const struct cluster *cluster, const char *script,
	int64_t deadline);
/* As command_start(), with the shell that command_prepare() started, where there is one: so neither the channel nor
 * the login's profile costs time, only the way there.  Waits for one that is being started. */
int command_start_prepared(struct command *command, const struct cluster *cluster, const char *script,
	int64_t deadline);
/* Starts a shell that waits for its script, unless there is one.  Blocks up to the deadline. */
int command_prepare(const struct cluster *cluster, int64_t deadline);
/* Ends it. */
void command_unprepare(const struct cluster *cluster);
struct command_spare *command_spare_new(void);
/* After command_unprepare(); NULL is fine. */
void command_spare_free(struct command_spare *spare);
/* Reads its output up to the line `line`, which the script prints; what comes between the frame's opening
 * and that line is appended to `ret`.  0, remote.h's errors, or -EPROTO where the output ended before: then
 * command_finish() has the answer. */
int command_expect(struct command *command, const char *line, int64_t timeout_ms,
	struct strbuf *ret);
/* Frees it instead of command_finish(): nobody wants its answer any more. */
void command_abandon(struct command *command);
/* Closes its input, reads its answer, frees it; `timeout_ms` is the longest silence allowed,
 * ten times that the longest answer.
 * 0 (whatever the status), or remote.h's errors, or -EPROTO: no whole answer came, the outcome is
 * unknown. */
int command_finish(struct command *command, int64_t timeout_ms, struct command_result *ret);
/* The same; but what it prints is handed to `take` as it comes, each time from the first byte on that
 * was not used before; `take` returns how many it uses.  The rest is in `ret`.  What was handed over
 * before the answer broke off stays so: it must tell by itself whether it is whole. */
typedef size_t (*command_take_fn)(void *arg, const char *text, size_t len);
int command_follow(struct command *command, int64_t timeout_ms, command_take_fn take, void *arg,
	struct command_result *ret);
/* Both, with `input` (NULL: none). */
int command_run(const struct cluster *cluster, const char *script, const char *input,
	size_t input_len, int64_t timeout_ms, struct command_result *ret);
void command_result_release(struct command_result *result);

#endif
