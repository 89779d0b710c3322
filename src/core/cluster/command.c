#include "command.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "err.h"
#include "fault.h"
#include "shell.h"
#include "slurm_text.h"

#define MAX_OUTPUT (256u << 20)
#define MAX_STDERR (64u << 10)
/* What a command says in excess is passed over up to here. */
#define MAX_PASSED_OVER (64u << 20)
/* One that never falls silent ends all the same: after so many times its silence. */
#define LONGEST 10
/* A longer one goes as input: an SSH server takes some 32 KiB as a command. */
#define COMMAND_LINE_MAX 24000

/* The script's length, then the script; what follows is the script's own input. */
static const char read_script[] =
	"IFS= read -r slurmount_n && slurmount_s=$(head -c \"$slurmount_n\"; echo .) &&"
	" eval \"${slurmount_s%.}\"\n";

static int make_nonce(char *nonce)
{
	unsigned char bytes[16];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	memcpy(nonce, "slm", 3);
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(nonce + 3 + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

static int frame(struct command *command, const char *script, struct strbuf *ret)
{
	int r = make_nonce(command->nonce);

	/* The error stream has an opening line, too: what a login prints there are not Slurm's words. */
	if (r == 0)
		strbuf_addf(ret, "printf '\\n%s begin\\n' >&2\nprintf '\\n%s begin\\n'\n(\n%s\n)\n"
			"printf '\\n%s rc=%%d\\n' \"$?\"\n", command->nonce, command->nonce, script,
			command->nonce);
	return r;
}

static int write_script(struct remote_proc *proc, const struct strbuf *framed, int64_t deadline)
{
	struct strbuf input AUTO_STRBUF = STRBUF_INIT;

	strbuf_addf(&input, "%zu\n", framed->len);
	strbuf_add(&input, framed->data, framed->len);
	return remote_write(proc, input.data, input.len, deadline);
}

static void add_line(struct strbuf *line, const struct cluster *cluster, const char *script, bool bare)
{
	if (bare)
		shell_bare_command(line, script);
	else
		shell_login_command(line, cluster->setup, script);
}

static int spawn(struct command *command, const struct cluster *cluster, const char *script, bool bare,
	int64_t deadline)
{
	struct strbuf framed AUTO_STRBUF = STRBUF_INIT;
	struct strbuf line AUTO_STRBUF = STRBUF_INIT;

	*command = (struct command){.cluster = cluster, .early = STRBUF_INIT};
	int r = frame(command, script, &framed);
	if (r < 0)
		return r;
	add_line(&line, cluster, framed.data, bare);
	bool apart = line.len > COMMAND_LINE_MAX;
	if (apart) {
		strbuf_reset(&line);
		add_line(&line, cluster, read_script, bare);
	}
	FAULT_POINT("command");
	r = remote_spawn(cluster->remote, line.data, deadline, &command->proc);
	FAULT_POINT("command sent");
	if (r == -EBUSY) {
		/* The next try finds the room of the shell that only waits. */
		command_unprepare(cluster);
		if (cluster->crowded)
			atomic_store(cluster->crowded, true);
	}
	if (r == 0 && apart && (r = write_script(command->proc, &framed, deadline)) < 0)
		remote_release(STEAL(command->proc));
	return r;
}

int command_start(struct command *command, const struct cluster *cluster, const char *script,
	int64_t deadline)
{
	return spawn(command, cluster, script, false, deadline);
}

int command_start_bare(struct command *command, const struct cluster *cluster, const char *script,
	int64_t deadline)
{
	return spawn(command, cluster, script, true, deadline);
}

/* ---- a shell that was started ahead ---- */

struct command_spare {
	pthread_mutex_t lock;
	pthread_cond_t made;
	struct remote_proc *proc; /* lock */
	bool making;              /* lock */
};

struct command_spare *command_spare_new(void)
{
	struct command_spare *spare = xcalloc(1, sizeof(*spare));

	pthread_mutex_init(&spare->lock, NULL);
	pthread_cond_init(&spare->made, NULL);
	return spare;
}

void command_spare_free(struct command_spare *spare)
{
	if (!spare)
		return;
	pthread_cond_destroy(&spare->made);
	pthread_mutex_destroy(&spare->lock);
	free(spare);
}

int command_prepare(const struct cluster *cluster, int64_t deadline)
{
	struct command_spare *spare = cluster->spare;
	struct strbuf line AUTO_STRBUF = STRBUF_INIT;
	struct remote_proc *proc = NULL;

	if (!spare)
		return 0;
	pthread_mutex_lock(&spare->lock);
	bool wanted = !spare->proc && !spare->making;
	spare->making |= wanted;
	pthread_mutex_unlock(&spare->lock);
	if (!wanted)
		return 0;
	shell_login_command(&line, cluster->setup, read_script);
	int r = remote_spawn(cluster->remote, line.data, deadline, &proc);
	WITH_LOCK(&spare->lock);
	spare->making = false;
	spare->proc = r == 0 ? proc : NULL;
	pthread_cond_broadcast(&spare->made);
	return r;
}

/* The shell, which is the caller's then, or NULL. */
static struct remote_proc *take_spare(struct command_spare *spare)
{
	if (!spare)
		return NULL;
	WITH_LOCK(&spare->lock);
	while (spare->making)
		pthread_cond_wait(&spare->made, &spare->lock);
	return STEAL(spare->proc);
}

void command_unprepare(const struct cluster *cluster)
{
	remote_release(take_spare(cluster->spare));
}

int command_start_prepared(struct command *command, const struct cluster *cluster, const char *script,
	int64_t deadline)
{
	struct strbuf framed AUTO_STRBUF = STRBUF_INIT;
	struct remote_proc *proc = take_spare(cluster->spare);

	if (!proc)
		return command_start(command, cluster, script, deadline);
	*command = (struct command){.cluster = cluster, .proc = proc, .early = STRBUF_INIT};
	int r = frame(command, script, &framed);
	if (r == 0)
		r = write_script(proc, &framed, deadline);
	if (r == 0)
		return 0;
	/* It has ended meanwhile, and ran nothing. */
	remote_release(proc);
	return r == -EPIPE ? command_start(command, cluster, script, deadline) : r;
}

static int read_stream(struct command *command, bool from_stderr, int64_t timeout_ms, int64_t end,
	struct strbuf *ret)
{
	size_t limit = from_stderr ? MAX_STDERR : MAX_OUTPUT, over = 0;
	char buffer[32768];

	for (;;) {
		int64_t silence = clock_in(command->cluster->clock, timeout_ms);
		ssize_t n = remote_read(command->proc, from_stderr, buffer, sizeof(buffer),
			silence < end ? silence : end);

		if (n <= 0)
			return (int)n;
		if (ret->len + (size_t)n <= limit)
			strbuf_add(ret, buffer, (size_t)n);
		else
			over += (size_t)n;
		if (over > (from_stderr ? MAX_PASSED_OVER : 0))
			return -EFBIG;
		if (clock_mono_ms(command->cluster->clock) >= end)
			return -ETIMEDOUT;
	}
}

int command_expect(struct command *command, const char *line, int64_t timeout_ms,
	struct strbuf *ret)
{
	AUTO_FREE char *opening = xasprintf("\n%s begin\n", command->nonce);
	AUTO_FREE char *closing = xasprintf("\n%s\n", line);
	char buffer[32768];

	for (;;) {
		const char *begin = strstr(command->early.data, opening);
		const char *end = begin ? strstr(begin + strlen(opening) - 1, closing) : NULL;

		if (end) {
			begin += strlen(opening);
			if (end > begin)
				strbuf_add(ret, begin, (size_t)(end + 1 - begin));
			return 0;
		}
		ssize_t n = remote_read(command->proc, false, buffer, sizeof(buffer),
			clock_in(command->cluster->clock, timeout_ms));
		if (n <= 0 || command->early.len + (size_t)n > MAX_OUTPUT)
			return n < 0 ? (int)n : -EPROTO;
		strbuf_add(&command->early, buffer, (size_t)n);
	}
}

void command_abandon(struct command *command)
{
	remote_release(STEAL(command->proc));
	strbuf_release(&command->early);
}

/* Without its opening line all of it is kept: it may say why the script was not even begun. */
static void drop_noise(const struct command *command, struct strbuf *err)
{
	char opening[64];
	size_t len = (size_t)snprintf(opening, sizeof(opening), "\n%s begin\n", command->nonce);
	const char *found = memmem(err->data, err->len, opening, len);

	if (!found)
		return;
	size_t noise = (size_t)(found - err->data) + len;
	memmove(err->data, err->data + noise, err->len - noise);
	strbuf_truncate(err, err->len - noise);
}

static int take_frame(struct command *command, struct command_result *ret)
{
	const char *body;
	size_t len;

	FAULT_POINT("answered");
	int r = slurm_frame_find(ret->out.data, ret->out.len, command->nonce, &body, &len,
		&ret->status);
	if (r < 0)
		return r;
	struct strbuf answer = STRBUF_INIT;
	strbuf_add(&answer, body, len);
	strbuf_release(&ret->out);
	ret->out = answer;
	return 0;
}

int command_finish(struct command *command, int64_t timeout_ms, struct command_result *ret)
{
	int64_t end = clock_in(command->cluster->clock, LONGEST * timeout_ms);
	int status;

	strbuf_add(&ret->out, command->early.data, command->early.len);
	strbuf_release(&command->early);
	int r = remote_close_stdin(command->proc, clock_in(command->cluster->clock, timeout_ms));
	if (r == 0 || r == -EPIPE)
		r = read_stream(command, false, timeout_ms, end, &ret->out);
	if (r == 0)
		r = read_stream(command, true, timeout_ms, end, &ret->err);
	if (r == 0)
		remote_wait(command->proc, &status, clock_in(command->cluster->clock, timeout_ms));
	remote_release(STEAL(command->proc));
	drop_noise(command, &ret->err);
	return r < 0 ? r : take_frame(command, ret);
}

/* Hands over what came behind the frame's opening line, and forgets what is used of it. */
static void hand_over(const struct command *command, struct strbuf *out, command_take_fn take,
	void *arg)
{
	char opening[64];
	size_t len = (size_t)snprintf(opening, sizeof(opening), "\n%s begin\n", command->nonce);
	const char *found = memmem(out->data, out->len, opening, len);

	if (!found)
		return;
	size_t body = (size_t)(found - out->data) + len;
	size_t used = take(arg, out->data + body, out->len - body);
	memmove(out->data + body, out->data + body + used, out->len - body - used);
	strbuf_truncate(out, out->len - used);
}

int command_follow(struct command *command, int64_t timeout_ms, command_take_fn take, void *arg,
	struct command_result *ret)
{
	const struct clock *clock = command->cluster->clock;
	int64_t end = clock_in(clock, LONGEST * timeout_ms);
	char buffer[32768];
	ssize_t n = 0;
	int status;

	int r = remote_close_stdin(command->proc, clock_in(clock, timeout_ms));
	while ((r == 0 || r == -EPIPE) && (n = remote_read(command->proc, false, buffer, sizeof(buffer),
		clock_in(clock, timeout_ms))) > 0) {
		strbuf_add(&ret->out, buffer, (size_t)n);
		hand_over(command, &ret->out, take, arg);
		r = ret->out.len > MAX_OUTPUT ? -EFBIG :
			clock_mono_ms(clock) >= end ? -ETIMEDOUT : 0;
	}
	if (r == 0 || r == -EPIPE)
		r = (int)n;
	if (r == 0)
		r = read_stream(command, true, timeout_ms, end, &ret->err);
	if (r == 0)
		remote_wait(command->proc, &status, clock_in(clock, timeout_ms));
	remote_release(STEAL(command->proc));
	drop_noise(command, &ret->err);
	return r < 0 ? r : take_frame(command, ret);
}

int command_run(const struct cluster *cluster, const char *script, const char *input,
	size_t input_len, int64_t timeout_ms, struct command_result *ret)
{
	struct command command;

	int r = command_start(&command, cluster, script, clock_in(cluster->clock, timeout_ms));
	if (r < 0)
		return r;
	if (input_len)
		r = remote_write(command.proc, input, input_len,
			clock_in(cluster->clock, timeout_ms));
	/* A script that ended early has an answer all the same. */
	if (r < 0 && r != -EPIPE) {
		remote_release(command.proc);
		return r;
	}
	return command_finish(&command, timeout_ms, ret);
}

void command_result_release(struct command_result *result)
{
	strbuf_release(&result->out);
	strbuf_release(&result->err);
}
