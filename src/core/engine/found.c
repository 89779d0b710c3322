/*
 * Jobs that lie on the cluster and that the database does not know are listed again: after its loss, or
 * on another machine.
 *
 * Asked once for each database and place (the setting `looked`), since a job that is forgotten here must
 * not come back with each mount.  An answer tells of some folders; it is asked again until there are no
 * others.  This installation's jobs are taken up where they were; of other installations' those that
 * Slurm has are listed, and nothing is done to them.
 *
 * What the spool has of jobs that are then known neither to the database nor to the cluster had not come there
 * when the database was lost: it becomes drafts again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "endtext.h"
#include "engine_internal.h"
#include "err.h"
#include "foundtext.h"
#include "jobstate.h"
#include "log.h"
#include "shell.h"
#include "tasks.h"

#define QUERY_MS 300000
#define AGAIN_MS 30000
#define SETTING "looked"

struct finder {
	struct strbuf seen;  /* endings of folders that were told of, a line each */
	char *place;         /* scratch and project, as the setting has them */
	bool asking;
	bool done;
	bool fresh;          /* the database has never looked anywhere */
	int64_t due_ms;
	unsigned added;
};

struct search {
	struct engine *engine;
	struct strbuf script;
	struct strbuf known;
	int result;
	struct command_result answer;
	size_t told;
};

/* ---- one job ---- */

static bool is_known(struct engine *e, const char *uuid)
{
	struct job *jobs[256];
	uint64_t after = 0;
	bool known = false;
	size_t n;

	do {
		n = model_list(e->model, after, jobs, 256);
		for (size_t i = 0; i < n; i++) {
			known |= !strcmp(jobs[i]->uuid, uuid);
			after = jobs[i]->serial;
			job_unref(jobs[i]);
		}
	} while (n == 256 && !known);
	return known;
}

struct pending {
	const char *uuid;
	bool found;
};

static void see_removal(void *arg, int64_t id, const char *workdir, const char *uuid, bool lives)
{
	struct pending *pending = arg;

	(void)id;
	(void)workdir;
	if (!lives && !strcmp(uuid, pending->uuid))
		pending->found = true;
}

/* Removed here, and its directory not yet there. */
static bool is_being_removed(struct engine *e, const char *uuid)
{
	struct pending pending = {.uuid = uuid};

	store_removals(e->store, see_removal, &pending);
	return pending.found;
}

/* The state that is proven; what Slurm says of it now follows with the next query. */
static void set_found_state(struct engine *e, struct job *job, const struct found *f)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	enum jobstate_class class = jobstate_class(f->state.state);

	if (*f->state.state && !strcmp(f->state.slurm_id, job->slurm_id) &&
		(class == JOBSTATE_ENDED || class == JOBSTATE_LOST)) {
		strcpy(job->state, f->state.state);
		job->ended_ns = f->state.ended_s * 1000000000;
		job->state_ns = job->ended_ns;
		job->kept = f->state.kept;
		job->discarded = f->state.discarded;
		job->recorded = true;
		job_set(&job->facts, f->state.facts);
		endtext_explain(job->state, job->facts, &text);
		job_set(&job->error, text.data);
	} else if (*job->slurm_id) {
		strcpy(job->state, "PENDING");
	} else if (f->revoked) {
		strcpy(job->state, "CANCELLED");
	} else {
		strcpy(job->state, f->on_scratch ? "SUBMITTING" : "STAGING");
		job->taken = f->attempt > 0;
		job->taken_ns = job->taken ? clock_real_ns(e->clock) : 0;
	}
	if (job->kept)
		job_set(&job->results, "kept");
	else if (job->discarded)
		job_set(&job->results, "discarded");
}

static struct job *make_found(struct engine *e, const struct found *f, bool ours)
{
	struct job *job = job_new();
	AUTO_FREE char *name = intake_free_name(e, f->record.name);
	AUTO_FREE char *workdir = xasprintf("%s/%s", e->scratch, f->folder);
	AUTO_FREE char *project = e->project && (f->in_project || *f->record.project_dir) ?
		xasprintf("%s/%s", e->project, f->folder) : NULL;

	job->serial = model_next_serial(e->model);
	memcpy(job->uuid, f->record.uuid, sizeof(job->uuid));
	job_set(&job->name, name);
	job_set(&job->owner, ours ? NULL : f->record.owner);
	job_set(&job->slurm_id, f->slurm_id);
	job_set(&job->workdir, workdir);
	job_set(&job->records, e->records);
	job_set(&job->project_dir, project);
	job->staged = f->on_scratch;
	job->moved = true;
	job->attempt = f->attempt ? f->attempt : 1;
	/* What an earlier copy proved may be older than the end. */
	job->copies = f->copies + 1;
	job->created_ns = f->record.created_s * 1000000000;
	job->submitted_ns = *f->slurm_id ?
		(f->submitted_s ? f->submitted_s : f->record.created_s) * 1000000000 : 0;
	set_found_state(e, job, f);
	return job;
}

/* Which tasks an array has its script tells, and its record how they ended; what that has no room for
 * is not known any more. */
static void set_found_tasks(struct engine *e, struct job *job, const struct found *f)
{
	struct tasks *tasks = f->script.len ? tasks_of_script(f->script.data, e->user) : NULL;

	if (!tasks)
		return;
	const char *line = job->recorded ? f->state.tasks : "";
	for (unsigned n = 0; n < TASKS_WORDS && *line; n++) {
		AUTO_FREE char *copy = xstrndup(line, strcspn(line, "\n"));

		if (tasks_take_words(tasks, copy) < 0)
			log_warning("%s: its record tells of no such tasks: %s", f->folder, copy);
		line += strlen(copy) + 1;
	}
	for (size_t i = 0; job->recorded && strcmp(job->state, "COMPLETED") && i < tasks->count; i++)
		if (!tasks->items[i].word)
			tasks_set_word(tasks, tasks->items[i].id, "UNKNOWN");
	if (watch_set_tasks(e, job, tasks) < 0)
		log_error("%s: its tasks cannot be written to the database", job->name);
}

static void add_found(struct engine *e, const struct found *f)
{
	bool ours = !strcmp(f->record.installation, e->installation->id);
	struct job *job = make_found(e, f, ours);
	uint64_t serial = job->serial;

	int r = store_add(e->store, job, f->config.data, f->config.len, "", NULL, 0);
	if (r == 0 && f->script.len)
		r = store_set_text(e->store, job, STORE_SCRIPT, f->script.data, f->script.len);
	if (r < 0) {
		log_error("%s was found on the cluster and cannot be listed: %s", f->folder,
			strerror(-r));
		job_unref(job);
		return;
	}
	set_found_tasks(e, job, f);
	watch_find_outputs(e, job);
	enum jobstate_class class = jobstate_class(job->state);
	bool told = strcmp(job->name, f->record.name);
	struct job *latest = job_ref(job);
	r = engine_commit(e, job, ours ? "found on the cluster in %s, unknown to this database%s%s" :
		"found on the cluster in %s; another installation owns it%s%s", job->workdir,
		told ? "; its name there is " : "", told ? f->record.name : "");
	if (r == 0 && (class == JOBSTATE_ACTIVE || class == JOBSTATE_BEFORE))
		engine_add_track(e, serial)->step = *latest->slurm_id ? STEP_WATCH :
			latest->staged ? STEP_SUBMIT : STEP_STAGE;
	if (r == 0)
		keep_take_up(e, latest);
	job_unref(latest);
	e->finder->added++;
}

static void take_found(void *arg, const struct found *f)
{
	struct search *s = arg;
	struct engine *e = s->engine;

	strbuf_addf(&e->finder->seen, "%s\n", f->folder + strlen(f->folder) - 8);
	s->told++;
	if (!f->valid) {
		log_warning("%s: its record is not well-formed; it is not listed", f->folder);
		return;
	}
	bool ours = !strcmp(f->record.installation, e->installation->id);
	/* Before Slurm has it, a job is its own installation's alone. */
	if ((ours || *f->slurm_id) && !is_known(e, f->record.uuid) &&
		!is_being_removed(e, f->record.uuid))
		add_found(e, f);
}

/* ---- what never came there ---- */

struct strays {
	struct engine *engine;
	struct strbuf uuids;   /* a line each */
};

static void add_stray(void *arg, const char *uuid)
{
	struct strays *strays = arg;
	struct engine *e = strays->engine;
	AUTO_FREE char *ending = xasprintf("%.8s\n", uuid);

	/* A folder of that ending may be its own, whatever became of its record. */
	if (!is_known(e, uuid) && !strstr(e->finder->seen.data, ending))
		strbuf_addf(&strays->uuids, "%s\n", uuid);
}

static void say_back(struct engine *e, const char *names)
{
	char *note = e->connection.note;
	size_t len = strlen(note), size = sizeof(e->connection.note);

	snprintf(note + len, size - len, "%sjobs that had not reached the cluster are drafts again:%s", len ? "; " : "",
		names);
	/* Whole names, or none. */
	if (strlen(note) == size - 1)
		snprintf(note + len, size - len, "%sjobs that had not reached the cluster are drafts again, see drafts/",
			len ? "; " : "");
	model_set_connection(e->model, &e->connection);
}

static void take_back(struct engine *e)
{
	struct strays strays = {e, STRBUF_INIT};
	struct strbuf names AUTO_STRBUF = STRBUF_INIT;

	drafts_each_sealed(e->drafts, add_stray, &strays);
	for (char *at = strays.uuids.data, *uuid; (uuid = strsep(&at, "\n"));) {
		AUTO_FREE char *name = NULL;
		int r = *uuid ? drafts_take_back(e->drafts, uuid, &name) : 0;

		if (r < 0)
			log_error("the files of job %s cannot be taken back: %s", uuid, strerror(-r));
		if (!name)
			continue;
		log_warning("%s had not reached the cluster when the database was lost; it is a draft again", name);
		strbuf_addf(&names, " %s", name);
	}
	if (names.len)
		say_back(e, names.data);
	strbuf_release(&strays.uuids);
}

/* ---- the question ---- */

static void searched(struct engine *e, void *arg)
{
	struct search *s = arg;
	struct finder *finder = e->finder;
	bool more = false;

	finder->asking = false;
	bool whole = s->result == 0 && foundtext_parse(s->answer.out.data, &more, take_found, s) == 0;
	if (!whole) {
		if (s->result == 0)
			log_warning("the jobs on the cluster could not be listed: %.500s",
				s->answer.err.data);
		finder->due_ms = clock_in(e->clock, AGAIN_MS);
	} else if (!more || !s->told) {
		finder->done = true;
		if (finder->fresh && !more)
			take_back(e);
		store_set_setting(e->store, SETTING, finder->place);
		if (finder->added)
			log_info("%u jobs were found on the cluster", finder->added);
	}
	e->sync_ms = 0;
	command_result_release(&s->answer);
	strbuf_release(&s->script);
	strbuf_release(&s->known);
	free(s);
}

static void run_search(void *arg)
{
	struct search *s = arg;

	s->result = command_run(&s->engine->cluster, s->script.data, s->known.data, s->known.len,
		QUERY_MS, &s->answer);
	engine_post(s->engine, searched, s);
}

static void add_known(struct engine *e, struct strbuf *known)
{
	struct job *jobs[256];
	uint64_t after = 0;
	size_t n;

	do {
		n = model_list(e->model, after, jobs, 256);
		for (size_t i = 0; i < n; i++) {
			strbuf_addf(known, "%.8s\n", jobs[i]->uuid);
			after = jobs[i]->serial;
			job_unref(jobs[i]);
		}
	} while (n == 256);
}

static bool begin(struct engine *e)
{
	struct finder *finder = xcalloc(1, sizeof(*finder));

	finder->seen = STRBUF_INIT;
	finder->place = xasprintf("%s\n%s", e->scratch, e->project ? e->project : "");
	AUTO_FREE char *looked = store_setting(e->store, SETTING);
	finder->done = looked && !strcmp(looked, finder->place);
	finder->fresh = !looked;
	e->finder = finder;
	return !finder->done;
}

void found_tick(struct engine *e, int64_t now_ms, int64_t *next_ms)
{
	if (!e->installation || !e->scratch || (e->finder ? e->finder->done : !begin(e)) ||
		e->finder->asking)
		return;
	if (e->finder->due_ms > now_ms) {
		if (e->finder->due_ms < *next_ms)
			*next_ms = e->finder->due_ms;
		return;
	}
	struct search *s = xcalloc(1, sizeof(*s));
	*s = (struct search){.engine = e, .script = STRBUF_INIT, .known = STRBUF_INIT,
		.answer = COMMAND_RESULT_INIT};
	strbuf_adds(&s->script, "scratch=");
	shell_quote(&s->script, e->scratch);
	strbuf_adds(&s->script, "\nproject=");
	shell_quote(&s->script, e->project ? e->project : "");
	strbuf_addf(&s->script, "\n%s", foundtext_script);
	strbuf_add(&s->known, e->finder->seen.data, e->finder->seen.len);
	add_known(e, &s->known);
	e->finder->asking = true;
	lane_post(e->query_lane, run_search, s);
}

void found_free(struct finder *finder)
{
	if (!finder)
		return;
	strbuf_release(&finder->seen);
	free(finder->place);
	free(finder);
}
