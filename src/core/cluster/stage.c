#include "stage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "err.h"
#include "shell.h"
#include "stage_script.h"
#include "stageinput.h"
#include "stagesend.h"
#include "stagetree.h"
#include "submit.h"
#include "upload.h"

/* Checking may take 3 s a GiB on a busy login node; that is silence, too. */
#define CHECK_MS 1800000
/* What one command sends besides others' jobs; more than that goes alone. */
#define SHARED_MAX (8u << 20)
/* Files of the keep that are missing travel with the jobs up to this; more is brought before. */
#define INLINE_MAX (4u << 20)
/* What is part of the script itself, and not of its input. */
#define LAST_MAX 4000
/* Between looking and copying an entry of the keep may go. */
#define ROUNDS 5
#define AGAIN_EXIT 79

/* A content that the batch wants from the keep. */
struct want {
	const struct stage_entry *entry;
	const struct stage_entry *last; /* of the batch; a large content is given to it */
	bool missing, begun;
	uint64_t inode; /* of its NAME.part once an upload has verified that; 0: none */
};

struct batch {
	const struct cluster *cluster;
	const struct stage_place *place;
	struct stage_job **jobs;
	struct stage_tree *trees; /* of the jobs, in their order */
	size_t count;
	bool alone;
	struct want *wants;       /* by name */
	size_t want_count;
	struct strbuf lacks;      /* what the far side said of them */
	struct command command;
	struct submit_item *items; /* of the jobs that are to be submitted, while a command runs */
	size_t item_count;
};

static const char *base_name(const struct stage_job *job)
{
	const char *slash = strrchr(job->workdir, '/');

	return slash ? slash + 1 : job->workdir;
}

static const char *want_name(const struct want *want)
{
	return want->entry->sum->name;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(want_name(a), want_name(b));
}

static struct want *find_want(struct batch *b, const char *name)
{
	size_t low = 0, high = b->want_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(want_name(&b->wants[middle]), name);

		if (order == 0)
			return &b->wants[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static void list_wants(struct batch *b)
{
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < b->count; i++)
		kept += b->trees[i].kept;
	b->wants = xcalloc(kept ? kept : 1, sizeof(*b->wants));
	for (size_t i = 0; i < b->count; i++)
		for (size_t e = 0; e < b->trees[i].count; e++)
			if (b->trees[i].entries[e].sum)
				b->wants[count++].entry = &b->trees[i].entries[e];
	qsort(b->wants, count, sizeof(*b->wants), by_name);
	for (size_t i = 0; i < count; i++)
		if (b->want_count == 0 ||
			strcmp(want_name(&b->wants[b->want_count - 1]), want_name(&b->wants[i])))
			b->wants[b->want_count++] = b->wants[i];
	for (size_t i = 0; i < b->count; i++)
		for (size_t e = 0; e < b->trees[i].count; e++)
			if (b->trees[i].entries[e].sum)
				find_want(b, b->trees[i].entries[e].sum->name)->last = &b->trees[i].entries[e];
}

/* ---- what the far side is told ---- */

static void add_variable(struct strbuf *script, const char *name, const char *value)
{
	strbuf_addf(script, "%s=", name);
	shell_quote(script, value);
	strbuf_addc(script, '\n');
}

static int add_batch_name(struct strbuf *script)
{
	unsigned char bytes[16];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	strbuf_adds(script, "batch=");
	for (size_t i = 0; i < sizeof(bytes); i++)
		strbuf_addf(script, "%02x", bytes[i]);
	strbuf_addc(script, '\n');
	return 0;
}

static void add_wanted(struct batch *b, struct strbuf *text)
{
	for (size_t i = 0; i < b->want_count; i++) {
		const struct want *want = &b->wants[i];

		strbuf_addf(text, "%s %llu ", want_name(want), (unsigned long long)want->entry->size);
		if (want->inode)
			strbuf_addf(text, "%llu\n", (unsigned long long)want->inode);
		else
			strbuf_adds(text, "-\n");
	}
}

static bool is_given(struct batch *b, const struct stage_entry *entry)
{
	return entry->sum && entry->sum->count > 1 && find_want(b, entry->sum->name)->last == entry;
}

/* Of the files from the keep those that are given, or the others. */
static void add_fills(struct batch *b, const struct stage_tree *tree, bool given, struct strbuf *text)
{
	for (size_t e = 0; e < tree->count; e++) {
		const struct stage_entry *entry = &tree->entries[e];

		if (!entry->sum || is_given(b, entry) != given)
			continue;
		strbuf_addf(text, "%s %s %04o ", given ? "give" : "fill", entry->sum->name,
			entry->mode & 07777);
		shell_quote(text, entry->path);
		strbuf_addc(text, '\n');
	}
}

static void add_given(struct batch *b, size_t index, struct strbuf *text)
{
	const struct stage_tree *tree = &b->trees[index];

	for (size_t e = 0; e < tree->count; e++) {
		if (!is_given(b, &tree->entries[e]))
			continue;
		AUTO_FREE char *path = xasprintf("%s/%s", base_name(b->jobs[index]), tree->entries[e].path);
		strbuf_addf(text, "gave %s ", tree->entries[e].sum->name);
		shell_quote(text, path);
		strbuf_addc(text, '\n');
	}
}

/* What is done in one job's directory once it is unpacked. */
static void add_job(struct batch *b, size_t index, struct strbuf *text)
{
	const struct stage_job *job = b->jobs[index];
	const struct stage_tree *tree = &b->trees[index];
	bool plain = !tree->kept && !job->input_count;

	if (!plain) {
		strbuf_adds(text, "(\ncd -- \"$part/jobs/\"");
		shell_quote(text, base_name(job));
		strbuf_adds(text, " || exit 74\n");
		add_fills(b, tree, false, text);
		strbuf_adds(text, "filled\n");
		add_fills(b, tree, true, text);
		stageinput_add(text, job->inputs, job->input_count);
		strbuf_addf(text, "exit 0\n) > \"$part/%zu.out\" 2> \"$part/%zu.err\"\n", index, index);
	}
	strbuf_addf(text, "judge %zu ", index);
	shell_quote(text, base_name(job));
	strbuf_adds(text, plain ? " 0\n" : " $?\n");
	add_given(b, index, text);
}

static void list_items(struct batch *b)
{
	b->item_count = 0;
	for (size_t i = 0; i < b->count; i++)
		if (b->jobs[i]->submit)
			b->items[b->item_count++] = *b->jobs[i]->submit;
}

/* Of what is staged by then: slurmount_submit finds no directory of the others. */
static void add_submission(struct batch *b, struct strbuf *script)
{
	if (!b->item_count)
		return;
	submit_add_functions(script);
	strbuf_adds(script, "trap - PIPE HUP\nsubmit_all\n");
}

static int start(struct batch *b)
{
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;
	struct strbuf wanted AUTO_STRBUF = STRBUF_INIT;
	struct strbuf last AUTO_STRBUF = STRBUF_INIT;
	struct strbuf input AUTO_STRBUF = STRBUF_INIT;
	const struct clock *clock = b->cluster->clock;

	add_variable(&script, "scratch", b->place->scratch);
	add_variable(&script, "project", b->place->project ? b->place->project : "");
	add_variable(&script, "records", b->place->records);
	strbuf_addf(&script, "limit=%llu\n", (unsigned long long)b->place->keep);
	int r = add_batch_name(&script);
	if (r < 0)
		return r;
	strbuf_adds(&script, STAGE_SCRIPT_KEEP);
	list_items(b);
	add_wanted(b, &wanted);
	for (size_t i = 0; i < b->count; i++)
		add_job(b, i, &last);
	strbuf_adds(&last, "submit_all() {\n:\n");
	if (b->item_count)
		submit_add_command(&last, b->items, b->item_count, b->place->submit_rate);
	strbuf_adds(&last, "}\n");
	bool apart = wanted.len || last.len > LAST_MAX;
	if (apart)
		strbuf_adds(&script, STAGE_SCRIPT_INPUT);
	else
		strbuf_addf(&script, "read_input() { :; }\nlast() {\n%s}\n", last.data);
	strbuf_adds(&script, STAGE_SCRIPT_BEGIN);
	strbuf_adds(&script, STAGE_SCRIPT_PROJECT);
	strbuf_adds(&script, STAGE_SCRIPT_END);
	add_submission(b, &script);
	if (apart) {
		strbuf_addf(&input, "%zu %zu\n", wanted.len, last.len);
		strbuf_add(&input, wanted.data, wanted.len);
		strbuf_add(&input, last.data, last.len);
	}
	r = command_start_prepared(&b->command, b->cluster, script.data, clock_in(clock, STAGE_SILENCE_MS));
	if (r < 0)
		return r;
	r = remote_write(b->command.proc, input.data, input.len, clock_in(clock, STAGE_SILENCE_MS));
	if (r < 0 && r != -EPIPE)
		command_abandon(&b->command);
	return r == -EPIPE ? 0 : r;
}

/* ---- what it lacks ---- */

static void note_missing(struct batch *b, char *text)
{
	for (size_t i = 0; i < b->want_count; i++)
		b->wants[i].missing = b->wants[i].begun = false;
	for (char *line; (line = strsep(&text, "\n"));) {
		bool begun = !strncmp(line, "part ", 5);
		struct want *want = begun || !strncmp(line, "need ", 5) ?
			find_want(b, line + 5) : NULL;

		if (!want)
			continue;
		want->missing = true;
		want->begun = begun;
	}
}

/* Asks which of the wanted files are to be sent. */
static int ask_missing(struct batch *b)
{
	strbuf_reset(&b->lacks);
	if (!b->want_count)
		return 0;
	/* Files whose trust is lost are not hashed there: they are compared by the upload. */
	int r = command_expect(&b->command, "ready", CHECK_MS, &b->lacks);
	AUTO_FREE char *text = xstrdup(b->lacks.data);
	note_missing(b, text);
	/* With -EPROTO it ended early, and has something to say. */
	return r == -EPROTO ? 0 : r;
}

/* Whether what is missing is so much that it must be brought before. */
static bool must_upload(const struct batch *b)
{
	uint64_t bytes = 0;
	bool large = false;

	for (size_t i = 0; i < b->want_count; i++) {
		if (!b->wants[i].missing)
			continue;
		bytes += b->wants[i].entry->size;
		large |= b->wants[i].entry->sum->count > 1;
	}
	return large || bytes > INLINE_MAX;
}

static bool lacks(struct batch *b, size_t index)
{
	const struct stage_tree *tree = &b->trees[index];

	for (size_t e = 0; e < tree->count; e++)
		if (tree->entries[e].sum && find_want(b, tree->entries[e].sum->name)->missing)
			return true;
	return false;
}

static int upload(struct batch *b)
{
	AUTO_FREE struct upload_file *files = xcalloc(b->want_count, sizeof(*files));
	size_t count = 0;

	for (size_t i = 0; i < b->want_count; i++)
		if (b->wants[i].missing)
			files[count++] = (struct upload_file){b->wants[i].entry, b->wants[i].begun, 0};
	int r = upload_run(b->cluster, b->place, files, count, b->jobs[0]->why);
	for (size_t i = 0; r == 0 && i < count; i++)
		find_want(b, files[i].entry->sum->name)->inode = files[i].inode;
	return r;
}

/* ---- the stream ---- */

static int send_job(struct batch *b, struct stage_sender *s, size_t index)
{
	struct stage_job *job = b->jobs[index];
	const struct stage_tree *tree = &b->trees[index];
	AUTO_FREE char *folder = xasprintf("jobs/%s/", base_name(job));

	int r = stage_send_folder(s, folder, 0755);
	for (size_t e = 0; r == 0 && e < tree->count; e++)
		if (!tree->entries[e].sum)
			r = stage_send_entry(s, &tree->entries[e], folder, job->why);
	/* What is known to be wrong with this job alone. */
	if (r < 0 && job->why->len)
		job->result = r;
	return r;
}

static int send_all(struct batch *b)
{
	struct stage_sender s;
	int r;

	stage_sender_init(&s, &b->command);
	strbuf_adds(&s.pending, "go\n");
	r = 0;
	for (size_t i = 0; r == 0 && i < b->want_count; i++) {
		const struct want *want = &b->wants[i];
		AUTO_FREE char *name = xasprintf("new/%s", want_name(want));

		if (want->missing)
			r = stage_send_content(&s, want->entry, name, STAGE_KEPT_MODE, b->jobs[0]->why);
	}
	for (size_t i = 0; r == 0 && i < b->count; i++)
		r = send_job(b, &s, i);
	if (r == 0)
		r = stage_send_end(&s);
	stage_sender_release(&s);
	return r;
}

/* ---- the answer ---- */

int upload_errno(const char *words)
{
	static const struct {
		const char *text;
		int error;
	} known[] = {
		{"No space left", -ENOSPC},
		{"quota exceeded", -EDQUOT},
		{"Quota exceeded", -EDQUOT},
		{"Permission denied", -EACCES},
		{"Not a directory", -ENOTDIR},
		{"Read-only file system", -EROFS},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strstr(words, known[i].text))
			return known[i].error;
	return -EIO;
}

static void take_job(struct stage_job *job, int status, const char *text, size_t len)
{
	/* Up to a NUL, which only something broken sends. */
	AUTO_FREE char *words = xstrndup(text, len);
	bool one_line = len && memchr(text, '\n', len) == text + len - 1;

	strbuf_reset(job->why);
	strbuf_add_escaped(job->why, text, one_line ? len - 1 : len);
	job->answered = true;
	job->result = status == 0 ? 0 : status == STAGEINPUT_EXIT ? -ENODATA :
		status == AGAIN_EXIT ? -EAGAIN : upload_errno(words);
}

/* In the order of list_items(). */
static void take_submissions(struct batch *b, const char *text, size_t len)
{
	size_t next = 0;

	submit_read_answers(text, len, b->items, b->item_count);
	for (size_t i = 0; i < b->count; i++)
		if (b->jobs[i]->submit)
			*b->jobs[i]->submit = b->items[next++];
}

/* "staged INDEX STATUS LENGTH" and LENGTH bytes, for each; behind what was said before the stream, and
 * before what submitting says. */
static void take_jobs(struct batch *b, const char *text, size_t len)
{
	const char *end = text + len;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t index, size;
		int status;

		if (!newline)
			return;
		if (!strncmp(text, "job ", 4)) {
			take_submissions(b, text, (size_t)(end - text));
			return;
		}
		if (sscanf(text, "staged %zu %d %zu", &index, &status, &size) != 3) {
			text = newline + 1;
			continue;
		}
		text = newline + 1;
		if (index >= b->count || size > (size_t)(end - text))
			return;
		take_job(b->jobs[index], status, text, size);
		text += size;
	}
}

/* What ended the command is everybody's who has no answer. */
static int finish(struct batch *b)
{
	struct command_result result AUTO_RESULT = COMMAND_RESULT_INIT;

	int r = command_finish(&b->command, CHECK_MS, &result);
	if (r < 0)
		return r;
	take_jobs(b, result.out.data, result.out.len);
	if (result.status == 0)
		return -EPROTO;
	strbuf_rtrim(&result.err);
	for (size_t i = 0; i < b->count; i++)
		if (b->jobs[i]->result == -EPROTO)
			take_job(b->jobs[i], result.status, result.err.data, result.err.len);
	return -EPROTO;
}

static void set_results(struct batch *b, int result)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->jobs[i]->result == -EPROTO)
			b->jobs[i]->result = result;
}

/* Takes the jobs that lack much out, for a command of their own. */
static void leave_out(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++) {
		if (!lacks(b, i))
			continue;
		b->jobs[i]->result = -EINPROGRESS;
		free(b->jobs[i]->lacks);
		b->jobs[i]->lacks = xstrdup(b->lacks.data);
	}
}

/* What was asked a moment ago need not be asked again.  (What was brought meanwhile is sent once more.) */
static int upload_at_once(struct batch *b)
{
	AUTO_FREE char *text = STEAL(b->jobs[0]->lacks);

	note_missing(b, text);
	int r = upload(b);
	return r < 0 ? r : 1;
}

/* One command: 0: all that could be done is; 1: another round. */
static int go_round(struct batch *b)
{
	if (b->alone && b->jobs[0]->lacks)
		return upload_at_once(b);
	int r = start(b);

	if (r < 0)
		return r;
	r = ask_missing(b);
	if (r < 0) {
		command_abandon(&b->command);
		return r;
	}
	if (must_upload(b)) {
		struct command_result result AUTO_RESULT = COMMAND_RESULT_INIT;

		/* Without the stream it clears away what it made. */
		command_finish(&b->command, STAGE_SILENCE_MS, &result);
		if (b->alone)
			r = upload(b);
		else
			leave_out(b);
		return r < 0 ? r : 1;
	}
	r = send_all(b);
	/* A far side that stopped reading has something to say. */
	if (r == 0 || r == -EPIPE)
		return finish(b);
	command_abandon(&b->command);
	return r;
}

/* Drops the jobs that have their result. */
static void drop_done(struct batch *b)
{
	size_t left = 0;

	for (size_t i = 0; i < b->count; i++) {
		if (b->jobs[i]->result != -EPROTO) {
			stage_tree_release(&b->trees[i]);
			continue;
		}
		b->jobs[left] = b->jobs[i];
		b->trees[left] = b->trees[i];
		if (left++ != i)
			b->trees[i] = STAGE_TREE_INIT;
	}
	b->count = left;
}

static void read_trees(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++) {
		int r = stage_tree_read(b->jobs[i], b->place->sums, &b->trees[i]);

		if (r < 0)
			b->jobs[i]->result = r;
		else if (!b->alone && b->trees[i].size > SHARED_MAX)
			b->jobs[i]->result = -EINPROGRESS;
	}
	drop_done(b);
}

void stage_run(const struct cluster *cluster, const struct stage_place *place,
	struct stage_job *const *jobs, size_t count, bool alone)
{
	struct batch b = {.cluster = cluster, .place = place, .count = count, .alone = alone,
		.lacks = STRBUF_INIT};
	int r = 1;

	b.jobs = xcalloc(count, sizeof(struct stage_job *));
	b.trees = xcalloc(count, sizeof(*b.trees));
	b.items = xcalloc(count, sizeof(*b.items));
	for (size_t i = 0; i < count; i++) {
		b.jobs[i] = jobs[i];
		b.jobs[i]->result = -EPROTO;
		b.trees[i] = STAGE_TREE_INIT;
	}
	read_trees(&b);
	for (int round = 0; r == 1 && b.count && round < ROUNDS; round++) {
		if (!round || !alone) {
			free(b.wants);
			b.want_count = 0;
			list_wants(&b);
		}
		r = go_round(&b);
		if (r == 1)
			drop_done(&b);
	}
	set_results(&b, r == 1 ? -EAGAIN : r);
	for (size_t i = 0; i < b.count; i++)
		stage_tree_release(&b.trees[i]);
	free(b.wants);
	free(b.jobs);
	free(b.trees);
	free(b.items);
	strbuf_release(&b.lacks);
}
