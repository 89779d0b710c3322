#include "upload.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#include "err.h"
#include "fault.h"
#include "shell.h"
#include "stage_script.h"
#include "stagesend.h"

/* Files below this go many together. */
#define GROUPED_MAX (1u << 20)
#define GROUP_SIZE (8u << 20)
#define STREAMS_MAX 16
/* What a piece that was cut can go on from. */
#define BLOCK (UINT64_C(1) << 20)
#define SENT_AT_ONCE (256u << 10)
/* Comparing what an earlier upload left. */
#define COMPARE_MS 3600000
#define CHECK_MS 600000

static const char begin[] =
	"trap '' PIPE HUP\n"
	"renice -n 10 -p $$ > /dev/null 2>&1\n"
	"cd -- \"$keep\" || exit 73\n"
	/* libcrypto is four times as fast as coreutils alone, but may be another program altogether. */
	"sum() { sha256sum; }\n"
	"choose_sum() {\n"
	"  [ \"$(printf abc | openssl dgst -sha256 -r 2> /dev/null)\" !=\\\n"
	"    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad *stdin' ] ||\n"
	"    sum() { openssl dgst -sha256 -r; }\n"
	"}\n"
	/* sum_of FILE OFFSET LENGTH */
	"sum_of() {\n"
	"  local text\n"
	"  text=$(dd if=\"$1\" bs=1M iflag=skip_bytes,count_bytes skip=\"$2\" count=\"$3\" status=none | sum)\n"
	"  echo \"${text%% *}\"\n"
	"}\n";

/* "NAME SIZE COUNT" of each file that was begun, and COUNT sums: which of its pieces are there; and of the
 * blocks of a piece that is there in part, what they are. */
static const char compare[] =
	"blocks() {\n"
	"  local at=0\n"
	"  while [ $at -lt 16 ] && [ $((at << 20)) -lt \"$4\" ]; do\n"
	"    printf 'block %s %d %d %s\\n' \"$1\" \"$2\" $at \"$(sum_of \"$1.part\" $(($3 + (at << 20))) $((1 << 20)))\"\n"
	"    at=$((at + 1))\n"
	"  done\n"
	"}\n"
	/* look_at NAME INDEX OFFSET LENGTH SUM */
	"look_at() {\n"
	"  local have=$(sum_of \"$1.part\" \"$3\" \"$4\")\n"
	"  if [ \"$have\" = \"$5\" ]; then printf 'piece %s %d %d %s\\n' \"$1\" \"$2\" \"$inode\" \"$5\"\n"
	/* A hole is what nothing was written to. */
	"  elif ! cmp -s -n \"$4\" -i \"$3:0\" -- \"$1.part\" /dev/zero; then blocks \"$@\"; fi\n"
	"}\n"
	"choose_sum\n"
	"while read -r name size count; do\n"
	"  [ -f \"$name.part\" ] || : > \"$name.part\" || exit 74\n"
	"  have=$(stat -c %s -- \"$name.part\") inode=$(stat -c %i -- \"$name.part\")\n"
	"  for ((index = 0; index < count; index++)); do\n"
	"    read -r sum\n"
	"    [ $((index * piece)) -lt \"$have\" ] || continue\n"
	"    length=$((size - index * piece))\n"
	"    [ $length -le $piece ] || length=$piece\n"
	"    look_at \"$name\" $index $((index * piece)) $length \"$sum\" &\n"
	"    [ $((index % 2)) = 0 ] || wait\n"
	"  done\n"
	"done\n"
	"wait\n";

/* Python, where there is one, hashes a piece without a pipe and two processes for it: a third of the work.
 * What it does not do for whatever reason is done without it, now or in the next round. */
static const char check[] =
	"checker='\n"
	"import hashlib, os, sys\n"
	"block = memoryview(bytearray(1 << 20))\n"
	"for line in sys.stdin:\n"
	"    name, index, offset, length, wanted = line.split()\n"
	"    digest, at, end = hashlib.sha256(), int(offset), int(offset) + int(length)\n"
	"    with open(name + \".part\", \"rb\", 0) as part:\n"
	"        part.seek(at)\n"
	"        while at < end:\n"
	"            got = part.readinto(block[:min(len(block), end - at)])\n"
	"            if not got:\n"
	"                break\n"
	"            digest.update(block[:got])\n"
	"            at += got\n"
	"        if digest.hexdigest() == wanted:\n"
	"            print(\"piece\", name, index, os.fstat(part.fileno()).st_ino, wanted, flush=True)\n"
	"'\n"
	/* NAME INDEX OFFSET LENGTH SUM, a line for each piece */
	"check() {\n"
	"  local name index offset length sum\n"
	"  python3 -I -S -c \"$checker\" 2> /dev/null && return\n"
	"  choose_sum\n"
	"  while read -r name index offset length sum; do\n"
	"    [ \"$(sum_of \"$name.part\" \"$offset\" \"$length\")\" != \"$sum\" ] ||\n"
	"      printf 'piece %s %d %d %s\\n' \"$name\" \"$index\" \"$(stat -c %i -- \"$name.part\")\" \"$sum\"\n"
	"  done\n"
	"}\n";

/* Pieces and groups, each a line and its bytes.  The one before is checked while the next arrives. */
static const char receive[] =
	/* group BYTES */
	"group() {\n"
	"  local part=$root/staging/$batch names\n"
	"  mkdir -p -- \"$part\" && head -c \"$1\" | tar -xmf - --no-same-owner -C \"$part\" || return\n"
	"  (cd -- \"$part\" && sha256sum --quiet --strict -c SHA256SUMS >&2 && rm SHA256SUMS) || return\n"
	"  names=(\"$part\"/*)\n"
	"  mv -t . -- \"${names[@]}\" && record \"$boot\" \"${names[@]##*/}\" && rmdir -- \"$part\"\n"
	"}\n"
	"take() {\n"
	"  while read -r word name index offset length sum skip; do\n"
	"    if [ \"$word\" = group ]; then group \"$name\" || exit 75; continue; fi\n"
	"    dd of=\"$name.part\" bs=1M iflag=fullblock,count_bytes count=$((length - skip))\\\n"
	"      oflag=seek_bytes seek=$((offset + skip)) conv=notrunc status=none || exit 74\n"
	"    echo \"$name $index $offset $length $sum\"\n"
	"  done\n"
	"}\n"
	"umask 077\n"
	"trap 'rm -rf -- \"$root/staging/$batch\"' EXIT\n"
	"take | check\n"
	"exit \"${PIPESTATUS[0]}\"\n";

/* A piece of one file, or several whole files. */
struct task {
	size_t file, piece;
	unsigned begun; /* blocks of the piece that need not be sent */
	size_t count; /* of the files from `file` on that form a group; 0: it is a piece */
};

struct progress {
	bool *verified;   /* pieces */
	unsigned *begun;  /* of each piece, blocks of its front that are there */
	uint64_t inode;   /* that all verified ones have; 0: there are none yet */
	bool mixed;       /* they do not: somebody renamed the file meanwhile */
};

struct upload {
	const struct cluster *cluster;
	const struct stage_place *place;
	struct upload_file *files;
	struct progress *progress; /* of each file; lock */
	size_t count;
	struct task *tasks;
	size_t task_count;
	pthread_mutex_t lock;
	size_t next;               /* task to be taken; lock */
	int result;                /* the first error; lock */
	struct strbuf *why;        /* lock */
};

static uint64_t piece_length(const struct filesum *sum, size_t piece)
{
	uint64_t left = sum->size - piece * FILESUM_PIECE;

	return left < FILESUM_PIECE ? left : FILESUM_PIECE;
}

static bool grouped(const struct upload_file *file)
{
	return file->entry->sum->count == 1 && file->entry->size < GROUPED_MAX;
}

/* ---- the far side ---- */

static int start(const struct upload *u, struct command *command, const char *what, size_t number)
{
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;

	strbuf_adds(&script, "scratch=");
	shell_quote(&script, u->place->scratch);
	strbuf_addf(&script, "\npiece=%llu\nbatch=upload-%zu-$$-$RANDOM$RANDOM\n",
		(unsigned long long)FILESUM_PIECE, number);
	strbuf_adds(&script, STAGE_SCRIPT_KEEP);
	strbuf_adds(&script, begin);
	strbuf_adds(&script, check);
	strbuf_adds(&script, what);
	return command_start_bare(command, u->cluster, script.data,
		clock_in(u->cluster->clock, STAGE_SILENCE_MS));
}

static int by_name(const void *key, const void *file)
{
	return strcmp(key, ((const struct upload_file *)file)->entry->sum->name);
}

/* "piece NAME INDEX INODE SUM": one that lies there.  Under the lock. */
static void take_piece(struct upload *u, const char *line)
{
	struct strbuf sum AUTO_STRBUF = STRBUF_INIT;
	char name[80], hex[80];
	uint64_t inode;
	size_t index;

	if (sscanf(line, "piece %79s %zu %" SCNu64 " %79s", name, &index, &inode, hex) != 4)
		return;
	/* The batch's list of wants is in the order of the names. */
	struct upload_file *file = bsearch(name, u->files, u->count, sizeof(*file), by_name);
	if (!file || index >= file->entry->sum->count)
		return;
	filesum_add_hex(&sum, file->entry->sum->pieces[index]);
	if (strcmp(sum.data, hex))
		return;
	struct progress *p = &u->progress[file - u->files];
	p->verified[index] = true;
	p->mixed |= p->inode && p->inode != inode;
	p->inode = inode;
}

static int sum_block(int fd, uint64_t at, uint64_t length, struct strbuf *ret)
{
	AUTO_FREE char *buffer = xmalloc(BLOCK);
	unsigned char digest[FILESUM_SIZE];

	if (pread(fd, buffer, length, (off_t)at) != (ssize_t)length)
		return -EIO;
	EVP_Digest(buffer, length, digest, NULL, EVP_sha256(), NULL);
	filesum_add_hex(ret, digest);
	return 0;
}

/* "block NAME INDEX BLOCK SUM": what lies there of a piece that is not complete. */
static void take_block(struct upload *u, const char *line)
{
	struct strbuf sum AUTO_STRBUF = STRBUF_INIT;
	char name[80], hex[80];
	size_t index;
	unsigned block;

	if (sscanf(line, "block %79s %zu %u %79s", name, &index, &block, hex) != 4)
		return;
	const struct upload_file *file = bsearch(name, u->files, u->count, sizeof(*file), by_name);
	if (!file || index >= file->entry->sum->count)
		return;
	struct progress *p = &u->progress[file - u->files];
	uint64_t length = piece_length(file->entry->sum, index);
	uint64_t at = (uint64_t)block * BLOCK;
	if (p->begun[index] != block || at >= length)
		return;
	int fd AUTO_CLOSE = stage_entry_open(file->entry);
	length = length - at < BLOCK ? length - at : BLOCK;
	if (fd >= 0 && sum_block(fd, index * FILESUM_PIECE + at, length, &sum) == 0 &&
		!strcmp(sum.data, hex))
		p->begun[index]++;
}

static int take_answer(struct upload *u, struct command *command, int64_t silence_ms)
{
	struct command_result result AUTO_RESULT = COMMAND_RESULT_INIT;
	int r = command_finish(command, silence_ms, &result);

	if (r < 0)
		return r;
	WITH_LOCK(&u->lock);
	for (char *at = result.out.data, *line; (line = strsep(&at, "\n"));)
		strncmp(line, "block ", 6) ? take_piece(u, line) : take_block(u, line);
	/* What comes on stderr with 0 is the login's own noise; a piece that is wrong is asked for again. */
	if (result.status == 0)
		return 0;
	strbuf_rtrim(&result.err);
	if (u->result == 0)
		strbuf_add_escaped(u->why, result.err.data, result.err.len);
	return upload_errno(result.err.data);
}

/* Learns what an earlier upload left. */
static int look_at_begun(struct upload *u)
{
	struct strbuf list AUTO_STRBUF = STRBUF_INIT;
	struct command command;

	for (size_t i = 0; i < u->count; i++) {
		const struct filesum *sum = u->files[i].entry->sum;

		if (!u->files[i].begun || grouped(&u->files[i]))
			continue;
		strbuf_addf(&list, "%s %llu %zu\n", sum->name, (unsigned long long)sum->size, sum->count);
		for (size_t p = 0; p < sum->count; p++) {
			filesum_add_hex(&list, sum->pieces[p]);
			strbuf_addc(&list, '\n');
		}
	}
	if (!list.len)
		return 0;
	int r = start(u, &command, compare, 0);
	if (r < 0)
		return r;
	r = remote_write(command.proc, list.data, list.len,
		clock_in(u->cluster->clock, STAGE_SILENCE_MS));
	if (r == 0 || r == -EPIPE)
		return take_answer(u, &command, COMPARE_MS);
	command_abandon(&command);
	return r;
}

/* ---- sending ---- */

static int send_piece(struct upload *u, struct command *command, const struct task *task,
	char *buffer)
{
	const struct stage_entry *entry = u->files[task->file].entry;
	struct strbuf head AUTO_STRBUF = STRBUF_INIT;
	uint64_t at = task->piece * FILESUM_PIECE, left = piece_length(entry->sum, task->piece);
	/* Of a whole piece that is not what it should be nothing is of use. */
	uint64_t skip = (uint64_t)task->begun * BLOCK < left ? (uint64_t)task->begun * BLOCK : 0;
	int fd AUTO_CLOSE = stage_entry_open(entry);

	if (fd < 0)
		return fd;
	strbuf_addf(&head, "piece %s %zu %llu %llu ", entry->sum->name, task->piece,
		(unsigned long long)at, (unsigned long long)left);
	filesum_add_hex(&head, entry->sum->pieces[task->piece]);
	strbuf_addf(&head, " %llu\n", (unsigned long long)skip);
	at += skip;
	left -= skip;
	int r = remote_write(command->proc, head.data, head.len,
		clock_in(u->cluster->clock, STAGE_SILENCE_MS));
	while (r == 0 && left) {
		ssize_t n = pread(fd, buffer, left < SENT_AT_ONCE ? left : SENT_AT_ONCE, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EAGAIN;
		FAULT_POINT("sending a part");
		r = remote_write(command->proc, buffer, (size_t)n,
			clock_in(u->cluster->clock, STAGE_SILENCE_MS));
		at += (uint64_t)n;
		left -= (uint64_t)n;
	}
	return r;
}

static uint64_t tar_size(const struct upload *u, const struct task *task, size_t sums)
{
	uint64_t size = 1024; /* the end */

	for (size_t i = 0; i < task->count; i++)
		size += 512 + (u->files[task->file + i].entry->size + 511) / 512 * 512;
	return size + 512 + (sums + 511) / 512 * 512;
}

static int send_group(struct upload *u, struct command *command, const struct task *task)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct stage_sender s;
	int r = 0;

	stage_sender_init(&s, command);
	/* A line of the list: 64 letters, two blanks, the name, a newline. */
	strbuf_addf(&s.pending, "group %" PRIu64 "\n", tar_size(u, task, task->count * (64 + 2 + 64 + 1)));
	for (size_t i = 0; r == 0 && i < task->count; i++) {
		const struct stage_entry *entry = u->files[task->file + i].entry;

		r = stage_send_content(&s, entry, entry->sum->name, STAGE_KEPT_MODE, &why);
	}
	if (r == 0)
		r = stage_send_end(&s);
	stage_sender_release(&s);
	return r;
}

static void fail(struct upload *u, int error)
{
	WITH_LOCK(&u->lock);
	if (u->result == 0)
		u->result = error;
}

static const struct task *next_task(struct upload *u)
{
	WITH_LOCK(&u->lock);
	return u->result < 0 || u->next == u->task_count ? NULL : &u->tasks[u->next++];
}

/* One channel: takes tasks until there are none. */
static void *run_stream(void *arg)
{
	struct upload *u = arg;
	AUTO_FREE char *buffer = xmalloc(SENT_AT_ONCE);
	const struct task *task;
	struct command command;

	int r = start(u, &command, receive, 1);
	if (r < 0) {
		/* A server with room for few sessions: the other channels take all. */
		if (r != -EBUSY)
			fail(u, r);
		return NULL;
	}
	while (r == 0 && (task = next_task(u)))
		r = task->count ? send_group(u, &command, task) :
			send_piece(u, &command, task, buffer);
	/* A far side that stopped reading has something to say. */
	if (r == 0 || r == -EPIPE)
		r = take_answer(u, &command, CHECK_MS);
	else
		command_abandon(&command);
	if (r < 0)
		fail(u, r);
	return NULL;
}

static void run_streams(struct upload *u)
{
	pthread_t threads[STREAMS_MAX];
	size_t wanted = u->place->streams < STREAMS_MAX ? u->place->streams : STREAMS_MAX;
	size_t started = 0;

	while (started + 1 < wanted && started + 1 < u->task_count &&
		pthread_create(&threads[started], NULL, run_stream, u) == 0)
		started++;
	run_stream(u);
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	if (u->next < u->task_count)
		fail(u, -EBUSY);
}

/* ---- what is to be done ---- */

static void add_task(struct upload *u, struct task task)
{
	u->tasks = xrealloc(u->tasks, (u->task_count + 1) * sizeof(*u->tasks));
	u->tasks[u->task_count++] = task;
}

static void plan(struct upload *u)
{
	struct task *group = NULL;
	uint64_t size = 0;

	for (size_t i = 0; i < u->count; i++) {
		const struct filesum *sum = u->files[i].entry->sum;

		if (!grouped(&u->files[i])) {
			group = NULL;
			for (size_t p = 0; p < sum->count; p++)
				if (!u->progress[i].verified[p])
					add_task(u, (struct task){i, p, u->progress[i].begun[p], 0});
			continue;
		}
		if (!group || size > GROUP_SIZE) {
			add_task(u, (struct task){i, 0, 0, 0});
			group = &u->tasks[u->task_count - 1];
			size = 0;
		}
		group->count++;
		size += u->files[i].entry->size;
	}
}

static int conclude(struct upload *u)
{
	for (size_t i = 0; i < u->count; i++) {
		const struct progress *p = &u->progress[i];
		bool whole = !p->mixed;

		for (size_t n = 0; n < u->files[i].entry->sum->count; n++)
			whole &= p->verified[n];
		u->files[i].inode = !grouped(&u->files[i]) && whole ? p->inode : 0;
	}
	return u->result;
}

int upload_run(const struct cluster *cluster, const struct stage_place *place,
	struct upload_file *files, size_t count, struct strbuf *why)
{
	struct upload u = {.cluster = cluster, .place = place, .files = files, .count = count,
		.why = why};

	pthread_mutex_init(&u.lock, NULL);
	u.progress = xcalloc(count, sizeof(*u.progress));
	for (size_t i = 0; i < count; i++) {
		u.progress[i].verified = xcalloc(files[i].entry->sum->count, sizeof(bool));
		u.progress[i].begun = xcalloc(files[i].entry->sum->count, sizeof(unsigned));
	}
	int r = look_at_begun(&u);
	for (size_t i = 0; i < count; i++)
		u.progress[i].mixed = false;
	if (r == 0) {
		plan(&u);
		if (u.task_count)
			run_streams(&u);
		r = conclude(&u);
	}
	for (size_t i = 0; i < count; i++) {
		free(u.progress[i].verified);
		free(u.progress[i].begun);
	}
	free(u.progress);
	free(u.tasks);
	pthread_mutex_destroy(&u.lock);
	return r;
}
