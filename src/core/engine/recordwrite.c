/*
 * How jobs ended is written beside them on the cluster, for whoever finds them there: many jobs' in one
 * command, behind their ends, again and again until it is there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine_internal.h"
#include "err.h"
#include "jobrecord.h"
#include "jobstate.h"
#include "log.h"
#include "shell.h"

#define AT_ONCE 64
#define WRITE_MS 120000
#define FIRST_PAUSE_MS 5000
#define LONGEST_PAUSE_MS 600000

struct recorder {
	uint64_t *serials;
	size_t count, capacity;
	bool writing;
	int64_t due_ms, pause_ms;
};

struct writing {
	struct engine *engine;
	uint64_t serials[AT_ONCE];
	struct job *jobs[AT_ONCE];  /* as they were written */
	size_t count;
	struct strbuf script;
	int result;
	struct command_result answer;
};

/* A directory that is gone needs no record; that a whole scratch is not there says nothing of it. */
static const char put_function[] =
	"umask go-w\n"
	"put() {\n"
	"  local number=$1 text=$2 folder gone=\n"
	"  shift 2\n"
	"  [ -d \"$1\" ] || [ ! -d \"${1%/*}\" ] || gone=' gone'\n"
	"  for folder in \"$@\"; do\n"
	"    [ -d \"$folder/.slurmount\" ] || continue\n"
	"    printf '%s' \"$text\" > \"$folder/.slurmount/state.part\" &&\n"
	"      mv -fT -- \"$folder/.slurmount/state.part\" \"$folder/.slurmount/state\" || return\n"
	"  done\n"
	"  echo \"$number$gone\"\n"
	"}\n";

static bool has_ended(const struct job *job)
{
	enum jobstate_class class = jobstate_class(job->state);

	return class == JOBSTATE_ENDED || class == JOBSTATE_LOST;
}

/* A record of an end that was undone, or of results that were not kept then, is wrong. */
static bool says_the_same(const struct job *a, const struct job *b)
{
	return !strcmp(a->state, b->state) && a->kept == b->kept && a->discarded == b->discarded &&
		!strcmp(a->facts, b->facts);
}

static void add(struct engine *e, uint64_t serial)
{
	struct recorder *r = e->recorder;

	if (!r)
		r = e->recorder = xcalloc(1, sizeof(*r));
	for (size_t i = r->count; i-- > 0 && r->count - i <= AT_ONCE;)
		if (r->serials[i] == serial)
			return;
	if (r->count == r->capacity) {
		r->capacity = r->capacity ? 2 * r->capacity : 64;
		r->serials = xrealloc(r->serials, r->capacity * sizeof(*r->serials));
	}
	r->serials[r->count++] = serial;
}

void record_take_up(struct engine *e, const struct job *job)
{
	if (e->installation && has_ended(job) && !job->recorded && *job->slurm_id && !*job->owner)
		add(e, job->serial);
}

void record_changed(struct engine *e, const struct job *before, struct job *now)
{
	if (!e->installation || !*now->slurm_id || *now->owner || !before ||
		says_the_same(before, now) || (!has_ended(now) && !has_ended(before)))
		return;
	now->recorded = false;
	add(e, now->serial);
}

/* Where results are kept in project, keep.c finds that out and says it. */
static bool is_lost(const struct engine *e, const struct job *job, bool gone)
{
	return gone && !e->project && !job->purged && !*job->owner && has_ended(job);
}

static void say_lost(struct job *now)
{
	char ended[CLOCK_ISO_SIZE];
	AUTO_FREE char *text = xasprintf("%s%sIts directory on the cluster is gone, and what it had written "
		"there: purged or deleted before the job ended at %s, or right behind that.\nWhat to do: "
		"drop it again; what must outlive a purge of scratch is kept by project in the profile.\n",
		now->error, *now->error && now->error[strlen(now->error) - 1] != '\n' ? "\n" : "",
		clock_iso(now->ended_ns, ended));

	now->purged = true;
	job_set(&now->error, text);
}

static void note_written(struct engine *e, const struct job *written, bool gone)
{
	struct job *now = engine_edit(e, written->serial);

	if (!now)
		return;
	if (says_the_same(written, now)) {
		bool lost = is_lost(e, now, gone);

		now->recorded = true;
		if (lost)
			say_lost(now);
		engine_commit(e, now, lost ? "its directory on the cluster is gone" : NULL);
	} else {
		add(e, now->serial);
		job_unref(now);
	}
}

static void wrote(struct engine *e, void *arg)
{
	struct writing *w = arg;
	struct recorder *r = e->recorder;
	size_t done = 0;

	r->writing = false;
	for (char *at = w->answer.out.data, *line; w->result == 0 && (line = strsep(&at, "\n"));) {
		char *rest = line;
		size_t i = *line ? strtoul(line, &rest, 10) : w->count;

		if (i < w->count && w->jobs[i]) {
			note_written(e, w->jobs[i], !strcmp(rest, " gone"));
			job_unref(STEAL(w->jobs[i]));
			done++;
		}
	}
	for (size_t i = 0; i < w->count; i++) {
		if (w->jobs[i])
			add(e, w->serials[i]);
		job_unref(w->jobs[i]);
	}
	if (done == w->count) {
		r->pause_ms = r->due_ms = 0;
	} else {
		r->pause_ms = r->pause_ms ? 2 * r->pause_ms : FIRST_PAUSE_MS;
		if (r->pause_ms > LONGEST_PAUSE_MS)
			r->pause_ms = LONGEST_PAUSE_MS;
		r->due_ms = clock_in(e->clock, r->pause_ms);
	}
	command_result_release(&w->answer);
	strbuf_release(&w->script);
	free(w);
}

static void run_write(void *arg)
{
	struct writing *w = arg;

	w->result = command_run(&w->engine->cluster, w->script.data, NULL, 0, WRITE_MS, &w->answer);
	engine_post(w->engine, wrote, w);
}

static void add_put(struct writing *w, struct job *job)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	jobrecord_write_state(job, &text);
	strbuf_addf(&w->script, "put %zu ", w->count);
	shell_quote(&w->script, text.data);
	strbuf_addc(&w->script, ' ');
	shell_quote(&w->script, job->workdir);
	if (*job->project_dir) {
		strbuf_addc(&w->script, ' ');
		shell_quote(&w->script, job->project_dir);
	}
	strbuf_addc(&w->script, '\n');
	w->serials[w->count] = job->serial;
	w->jobs[w->count++] = job;
}

void record_tick(struct engine *e, int64_t now_ms, int64_t *next_ms)
{
	struct recorder *r = e->recorder;

	if (!r || !r->count || r->writing)
		return;
	if (r->due_ms > now_ms) {
		if (r->due_ms < *next_ms)
			*next_ms = r->due_ms;
		return;
	}
	struct writing *w = xcalloc(1, sizeof(*w));
	*w = (struct writing){.engine = e, .script = STRBUF_INIT, .answer = COMMAND_RESULT_INIT};
	strbuf_adds(&w->script, put_function);
	/* The newest first: taking from the end moves nothing. */
	while (r->count && w->count < AT_ONCE) {
		struct job *job = model_latest(e->model, r->serials[--r->count]);

		if (job)
			add_put(w, job);
	}
	r->writing = true;
	lane_post(e->query_lane, run_write, w);
}

void record_free(struct recorder *recorder)
{
	if (!recorder)
		return;
	free(recorder->serials);
	free(recorder);
}
