/*
 * The results' way from scratch to project, on the cluster, once a job has ended.
 *
 * A copier there is detached from the connection and writes its outcome by a rename, so that a lost
 * line loses nothing; each copy has a number, and mkdir gives the right to run it once.  It is asked
 * after with growing pauses.  A copier whose sign of life is old is given up for the next number:
 * two at once do no harm, since each file gets its place by a rename and all is checked afterwards.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine_internal.h"
#include "err.h"
#include "jobstate.h"
#include "shell.h"

#define ASK_MS 120000
#define LONGEST_MS 300000

struct keeping {
	struct keeping *next;
	uint64_t serial;
	int64_t due_ms;
	unsigned waits;    /* since the copy began, for the pauses */
	unsigned failures; /* in a row */
};

struct keeper {
	struct keeping *first;
	bool asking;
};

struct ask {
	struct engine *engine;
	uint64_t serial;
	unsigned number;
	struct strbuf script;
	int result;
	struct command_result answer;
};

/* Answers "kept", "copied", "copying", "dead", "gone", or "failed" and the reason. */
static const char keep_script[] =
	"keep() {\n"
	"  umask go-w\n"
	"  cd -- \"$from\" && mkdir -p -- \"$to/.slurmount\" || return\n"
	"  rm -rf -- \"$to/.slurmount/part\"*; mkdir -- \"$to/.slurmount/part-$number\" || return\n"
	"  nice rsync -rltE --force --exclude=/.slurmount/ --temp-dir=\"$to/.slurmount/part-$number\""
	" -- ./ \"$to/\" || return\n"
	"  rmdir -- \"$to/.slurmount/part-$number\"\n"
	/* By which the job is found again once scratch was purged. */
	"  for file in .slurmount/{record,state,config.ini,script.sbatch,claim,outcome-*}; do\n"
	"    [ ! -e \"$file\" ] && [ ! -L \"$file\" ] || [[ $file = *.part ]] ||\n"
	"      cp -fPp -- \"$file\" \"$to/.slurmount/\" || return\n"
	"  done\n"
	"  [ \"$check\" = yes ] || { echo copied; return; }\n"
	"  left=$(nice rsync -rlncE --out-format=%n --exclude=/.slurmount/ -- ./ \"$to/\") || return\n"
	/* Of a directory the time alone may differ.  By a pipe: a long here-string needs room in /tmp. */
	"  left=$(printf '%s\\n' \"$left\" | grep -v '/$')\n"
	"  [ $? -lt 2 ] || return\n"
	"  [ -z \"$left\" ] && { echo kept; return; }\n"
	"  echo \"these differ from the copy: ${left:0:500}\" >&2; return 1\n"
	"}\n"
	"run() {\n"
	"  ( while sleep 10 && [ -e \"$mark\" ]; do touch -c -- \"$mark\"; done ) &\n"
	"  beat=$!\n"
	"  if word=$(keep 2> \"$mark/err\"); then :\n"
	"  else word=\"failed $(head -c 1500 -- \"$mark/err\")\"; fi\n"
	"  kill $beat\n"
	"  printf '%s\\n' \"$word\" > \"$mark/out.part\" && mv -T -- \"$mark/out.part\" \"$mark/out\"\n"
	"}\n"
	"mark=$from/.slurmount/keep-$number\n"
	/* Only where scratch itself is there: a file system that is away for a while has lost nothing. */
	"if [ ! -d \"$from\" ] && [ -d \"${from%/*}/.slurmount\" ]; then echo gone; exit 0; fi\n"
	"[ -d \"$from\" ] || { echo failed its directory on scratch cannot be reached; exit 0; }\n"
	"type rsync > /dev/null 2>&1 || { echo failed the cluster has no rsync; exit 0; }\n"
	/* Nothing above it: a directory that is deleted at this moment must not come back empty, and be kept. */
	"[ -d \"$from/.slurmount\" ] || mkdir -- \"$from/.slurmount\"\n"
	"if mkdir -- \"$mark\" 2> /dev/null; then\n"
	/* Of earlier copies nobody asks any more. */
	"  for old in \"$from\"/.slurmount/keep-*; do\n"
	"    if [ \"${old##*-}\" -lt \"$number\" ]; then rm -rf -- \"$old\"; fi\n"
	"  done\n"
	"  export from to number check mark; export -f keep run\n"
	"  setsid bash -c run > /dev/null 2>&1 < /dev/null &\n"
	"fi\n"
	"[ -d \"$mark\" ] || { echo failed \"$mark cannot be made\"; exit 0; }\n"
	"left=60\n"
	"while [ ! -e \"$mark/out\" ] && [ $left -gt 0 ]; do sleep 0.05; left=$((left - 1)); done\n"
	"if [ -e \"$mark/out\" ]; then cat -- \"$mark/out\"; exit 0; fi\n"
	"now=$(date +%s) last=$(stat -c %Y -- \"$mark\")\n"
	"if [ $((now - last)) -gt 180 ]; then echo dead; else echo copying; fi\n";

static bool has_ended(const struct job *job)
{
	enum jobstate_class class = jobstate_class(job->state);

	return class == JOBSTATE_ENDED || class == JOBSTATE_LOST;
}

static struct keeping *find(struct engine *e, uint64_t serial)
{
	struct keeping *k = e->keeper ? e->keeper->first : NULL;

	while (k && k->serial != serial)
		k = k->next;
	return k;
}

static void forget(struct engine *e, uint64_t serial)
{
	struct keeping **at = &e->keeper->first;

	while (*at && (*at)->serial != serial)
		at = &(*at)->next;
	if (*at) {
		struct keeping *gone = *at;

		*at = gone->next;
		free(gone);
	}
}

static struct keeping *add(struct engine *e, uint64_t serial)
{
	struct keeping *k = find(e, serial);

	if (!e->keeper)
		e->keeper = xcalloc(1, sizeof(*e->keeper));
	if (!k) {
		k = xcalloc(1, sizeof(*k));
		k->serial = serial;
		k->next = e->keeper->first;
		e->keeper->first = k;
	}
	k->due_ms = 0;
	k->waits = k->failures = 0;
	return k;
}

void keep_take_up(struct engine *e, const struct job *job)
{
	if (job_keeps(job) && strcmp(job->state, "UNKNOWN"))
		add(e, job->serial);
}

void keep_job_ended(struct engine *e, struct job *now)
{
	now->kept = now->discarded = false;
	if (!job_keeps(now))
		return;
	if (jobstate_class(now->state) == JOBSTATE_LOST) {
		job_set(&now->results, "not copied: whether the job has ended is not known; write "
			"retrieve or discard to ctl");
		return;
	}
	now->copies++;
	job_set(&now->results, "copying");
	add(e, now->serial);
}

int keep_retrieve(struct engine *e, struct job *job)
{
	struct job *now = job_copy(job);

	if (!*job->project_dir || !*job->slurm_id) {
		verb_note(now, "ctl: `retrieve` is not possible: the job has no folder in project.");
		engine_commit(e, now, NULL);
		return -EPERM;
	}
	now->kept = now->discarded = now->purged = false;
	now->copies++;
	job_set(&now->results, "copying");
	verb_note(now, NULL);
	int r = engine_commit(e, now, "retrieve was asked for");
	if (r == 0)
		add(e, job->serial);
	return r;
}

int keep_discard(struct engine *e, struct job *job)
{
	struct job *now = job_copy(job);

	if (!job_keeps(job)) {
		verb_note(now, "ctl: `discard` is not needed: no results wait to be kept.");
		engine_commit(e, now, NULL);
		return -EPERM;
	}
	now->discarded = true;
	job_set(&now->results, "discarded: the job may be removed without a copy of its results");
	verb_note(now, NULL);
	return engine_commit(e, now, "discard was asked for");
}

/* A reason for `results` in one line. */
static void failed(struct engine *e, struct job *now, struct keeping *k, const char *words)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	int64_t pause = INT64_C(2000) << (k->failures < 8 ? k->failures : 8);

	strbuf_adds(&text, "not kept yet: ");
	strbuf_add_escaped(&text, words, strcspn(words, "\n"));
	strbuf_adds(&text, "; tried again by itself");
	bool news = strcmp(now->results, text.data);
	job_set(&now->results, text.data);
	now->copies++;
	k->failures++;
	k->waits = 0;
	k->due_ms = clock_in(e->clock, pause < LONGEST_MS ? pause : LONGEST_MS);
	engine_commit(e, now, news ? "results: %s" : NULL, text.data);
}

/* Nothing is left to copy: that is said once, and the job can be removed. */
static void lost(struct engine *e, struct job *now)
{
	char ended[CLOCK_ISO_SIZE];
	uint64_t serial = now->serial;
	AUTO_FREE char *text = xasprintf("%s%sIts directory on scratch is gone: it was purged or deleted "
		"there before its results were kept in project. The job ended at %s; what a purge "
		"takes only the site's own backups have.\n", now->error,
		*now->error && now->error[strlen(now->error) - 1] != '\n' ? "\n" : "",
		clock_iso(now->ended_ns, ended));

	now->purged = true;
	/* It was said before, and retrieve asked once more. */
	if (!strstr(now->error, "Its directory on scratch is gone"))
		job_set(&now->error, text);
	job_set(&now->results, "lost: the directory on scratch was gone before they were kept");
	if (engine_commit(e, now, "its directory on scratch is gone, and its results with it") == 0)
		forget(e, serial);
}

void keep_changed(const struct job *before, struct job *now)
{
	/* A requeue: what was kept is of the run before. */
	if (before && has_ended(before) && !has_ended(now) && *now->results) {
		now->kept = now->discarded = false;
		job_set(&now->results, NULL);
	}
}

static void take_answer(struct engine *e, struct keeping *k, struct job *now, char *word)
{
	if (!strncmp(word, "kept", 4) && has_ended(now)) {
		now->kept = true;
		job_set(&now->results, "kept");
		if (engine_commit(e, now, "its results are kept in %s, verified", now->project_dir) == 0)
			forget(e, k->serial);
	} else if (!strncmp(word, "kept", 4) || !strncmp(word, "copied", 6)) {
		job_set(&now->results, "copied while the job was active; copied again after its end");
		uint64_t serial = k->serial;
		if (has_ended(now)) {
			now->copies++;
			job_set(&now->results, "copying");
			k->due_ms = 0;
		} else {
			forget(e, serial);
		}
		engine_commit(e, now, "copied to %s while it was active", now->project_dir);
	} else if (!strncmp(word, "gone", 4) && has_ended(now)) {
		lost(e, now);
	} else if (!strncmp(word, "copying", 7)) {
		k->due_ms = clock_in(e->clock, INT64_C(1000) << (k->waits < 4 ? k->waits : 4));
		k->waits++;
		job_unref(now);
	} else {
		failed(e, now, k, strncmp(word, "failed ", 7) ? "the copying was cut off" : word + 7);
	}
}

static void asked(struct engine *e, void *arg)
{
	struct ask *a = arg;
	struct keeping *k = find(e, a->serial);
	struct job *now = k ? engine_edit(e, a->serial) : NULL;

	e->keeper->asking = false;
	if (k && !now) {
		forget(e, a->serial);
	} else if (now && (a->number != now->copies || a->result < 0)) {
		/* A later copy was begun meanwhile, or the line broke. */
		k->due_ms = a->result < 0 ? clock_in(e->clock, 2000) : 0;
		job_unref(now);
	} else if (now) {
		take_answer(e, k, now, a->answer.out.data);
	}
	command_result_release(&a->answer);
	strbuf_release(&a->script);
	free(a);
}

static void run_ask(void *arg)
{
	struct ask *a = arg;

	a->result = command_run(&a->engine->cluster, a->script.data, NULL, 0, ASK_MS, &a->answer);
	engine_post(a->engine, asked, a);
}

static void start(struct engine *e, struct keeping *k, const struct job *job)
{
	struct ask *a = xcalloc(1, sizeof(*a));

	*a = (struct ask){.engine = e, .serial = k->serial, .number = job->copies,
		.script = STRBUF_INIT, .answer = COMMAND_RESULT_INIT};
	strbuf_adds(&a->script, "from=");
	shell_quote(&a->script, job->workdir);
	strbuf_adds(&a->script, "\nto=");
	shell_quote(&a->script, job->project_dir);
	strbuf_addf(&a->script, "\nnumber=%u check=%s\n%s", job->copies,
		has_ended(job) ? "yes" : "no", keep_script);
	e->keeper->asking = true;
	lane_post(e->query_lane, run_ask, a);
}

void keep_tick(struct engine *e, int64_t now_ms, int64_t *next_ms)
{
	struct keeping *next;

	for (struct keeping *k = e->keeper ? e->keeper->first : NULL; k; k = next) {
		AUTO_JOB struct job *job = model_latest(e->model, k->serial);

		next = k->next;
		if (!job || job->discarded || job->kept || job->purged) {
			forget(e, k->serial);
		} else if (k->due_ms > now_ms) {
			if (k->due_ms < *next_ms)
				*next_ms = k->due_ms;
		} else if (!e->keeper->asking) {
			start(e, k, job);
		}
	}
}

void keep_free(struct keeper *keeper)
{
	while (keeper && keeper->first) {
		struct keeping *gone = keeper->first;

		keeper->first = gone->next;
		free(gone);
	}
	free(keeper);
}
