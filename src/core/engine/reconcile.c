#include "reconcile.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "shell.h"

#define SECOND_LOOK_MS 60000
#define AGAIN_MS 5000

struct look {
	struct engine *engine;
	uint64_t serial;
	struct strbuf script;
	int result;
	struct command_result answer;
};

/* Prints "revoked", "outcome", "id N", "gone" where the job's directory is, and "failed WHAT" for a
 * source that could not be asked, or "failed revocation WORDS". */
static const char look_script[] =
	"open=\n"
	"if [ -d \"$workdir/.slurmount\" ]; then\n"
	"  [ $known = no ] && [ -e \"$workdir/.slurmount/outcome-$attempt\" ] &&"
	" { echo outcome; exit 0; }\n"
	/* Whoever makes it may run sbatch: made here, nobody did, and no late copy of ours will. */
	"  words=$(mkdir -- \"$workdir/.slurmount/taken-$attempt\" 2>&1) && { echo revoked; exit 0; }\n"
	/* As long as it is not there, the attempt can be made; and when sbatch began only its time tells, which
	 * may be long after the command was sent, behind others'.  By the clock of that disk. */
	"  touch -- \"$workdir/.slurmount/looked\" 2> /dev/null\n"
	"  now=$(stat -c %Y -- \"$workdir/.slurmount/looked\" 2> /dev/null) || now=$(date +%s)\n"
	"  began=$(stat -c %Y -- \"$workdir/.slurmount/taken-$attempt\" 2> /dev/null) &&\n"
	"    [ $((now - began)) -ge 660 ] || open=yes\n"
	/* Without the folder above it, its disk is not there just now. */
	"elif [ -d \"${workdir%/*}\" ]; then echo gone\n"
	"else echo failed directory; exit 0; fi\n"
	/* By a pipe: a long here-string would need room in /tmp, and without it nothing be found. */
	"set -o pipefail\n"
	"find_folder() {\n"
	"  local line found=\n"
	"  while IFS= read -r line; do\n"
	"    case $line in\n"
	"    *'accounting storage is disabled'*) found=${found:-disabled} ;;\n"
	"    *'oo wide of a date range'*) found=${found:-wide} ;;\n"
	"    esac\n"
	"    [ \"${line#*\"$1\"}\" != \"$workdir\" ] || { line=${line%%\"$1\"*}; found=\"id ${line%%[_+]*}\"; }\n"
	"  done\n"
	"  printf '%s' \"$found\"\n"
	"}\n"
	/* Ahead of the queue, where a job that this one has queued from its directory may be, too. */
	"has_claim() { claim=$(readlink \"$workdir/.slurmount/claim\") && echo id \"$claim\"; }\n"
	"has_claim && exit 0\n"
	"found=$(squeue -a -t all -u \"$(id -un)\" -h -o '%F %Z' | find_folder ' ') || echo failed squeue\n"
	"case $found in id*) printf '%s\\n' \"$found\"; exit 0 ;; esac\n"
	"has_claim && exit 0\n"
	/* One that was to begin later, and was cancelled, is beyond the window's usual end, now. */
	"ask_sacct() {\n"
	"  sacct -n -P -X -S \"$since\" -E \"$1\" -u \"$(id -un)\" -o JobID,WorkDir 2>&1 | find_folder '|'\n"
	"}\n"
	"found=$(ask_sacct now+400days)\n"
	"status=$?\n"
	/* A site may allow no such window (MaxQueryTimeRange): then one that it is more likely to. */
	"[ \"$found\" != wide ] || { found=$(ask_sacct now+1hour); status=$?; }\n"
	"case $found in id*) printf '%s\\n' \"$found\"; exit 0 ;; esac\n"
	/* A site without accounting has one source less; one that is down now must be asked again. */
	"[ $status = 0 ] || [ \"$found\" = disabled ] || echo failed sacct\n"
	"[ -z \"$open\" ] || if [ -e \"$workdir/.slurmount/taken-$attempt\" ]; then echo failed sbatch may still run\n"
	"else printf 'failed revocation %s\\n' \"${words//$'\\n'/ }\"; fi\n";

/* The id of a line "id N", else NULL; cut off in place. */
static char *find_id(char *text)
{
	char *line;

	while ((line = strsep(&text, "\n"))) {
		size_t digits = strncmp(line, "id ", 3) ? 0 : strspn(line + 3, "0123456789");

		if (digits && digits < 16 && !line[3 + digits])
			return line + 3;
	}
	return NULL;
}

/* What is proven not to be queued may be submitted again. */
static void next_attempt(struct engine *e, const struct job *job, const char *proof)
{
	struct job *now = job_copy(job);

	now->attempt++;
	now->taken = false;
	if (engine_commit(e, now, "attempt %u %s", job->attempt, proof) == 0 && job->cancel_asked)
		pipeline_cancelled(e, job->serial);
}

/* Nobody can submit from a directory that is not there; whether it was before, nobody can tell. */
static void give_up(struct engine *e, const struct job *job)
{
	if (job->cancel_asked)
		pipeline_cancelled(e, job->serial);
	else
		pipeline_reject(e, job->serial, "Its directory on the cluster is gone, and neither the queue "
			"nor the accounting knows the job.\nWhether Slurm ever had it cannot be told: sbatch's "
			"answer was lost. If it did not run, write resubmit to ctl.\n");
}

static void nothing_found(struct engine *e, struct track *track, const struct job *job, bool gone)
{
	int64_t now_ms = clock_mono_ms(e->clock);

	if (!track->empty_ms) {
		track->empty_ms = now_ms;
		track->due_ms = now_ms + SECOND_LOOK_MS;
		engine_commit(e, job_copy(job), "queue, claim and accounting know nothing of attempt %u; they "
			"are asked once more in %d s", job->attempt, SECOND_LOOK_MS / 1000);
		return;
	}
	if (now_ms - track->empty_ms < SECOND_LOOK_MS) {
		track->due_ms = track->empty_ms + SECOND_LOOK_MS;
		return;
	}
	track->empty_ms = 0;
	if (gone)
		give_up(e, job);
	else
		next_attempt(e, job, "left no trace in queue, claim and accounting, twice: it was not queued");
}

/* For a person, of what the look said behind "failed "; the caller's to free. */
static char *explain_failure(const struct job *job, const char *failure)
{
	static const struct {
		const char *word, *meaning;
	} known[] = {
		{"squeue", "squeue gave no answer"},
		{"sacct", "sacct gave no answer"},
		{"directory", "the disk of its directory on the cluster is not there"},
		{"sbatch", "sbatch may still run"},
	};
	static const char revocation[] = "revocation ";
	struct strbuf words AUTO_STRBUF = STRBUF_INIT;

	if (!strncmp(failure, revocation, strlen(revocation))) {
		failure += strlen(revocation);
		strbuf_add_escaped(&words, failure, strcspn(failure, "\n"));
		return xasprintf("sbatch's answer was lost, and attempt %u cannot be revoked: %s\n"
			"Why: the command that runs sbatch may still arrive there, so another one could submit "
			"the job twice.\nWhat to do: see that its directory on the cluster can be written. "
			"slurmount tries again by itself.\n", job->attempt, words.data);
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!strncmp(failure, known[i].word, strlen(known[i].word)))
			return xasprintf("sbatch's answer was lost, and whether Slurm has the job is not known yet: "
				"%s.\nWhat to do: nothing for now. slurmount looks for the job again, and "
				"submits it again only when it was not queued.\n", known[i].meaning);
	return xstrdup("");
}

/* Neither found nor known not to be there; said once. */
static void not_known(struct engine *e, struct track *track, const struct job *job, const char *failure)
{
	AUTO_FREE char *text = explain_failure(job, failure);

	engine_pause(e, track);
	if (!*text || !strcmp(job->error, text))
		return;
	struct job *now = job_copy(job);
	job_set(&now->error, text);
	engine_commit(e, now, "%.*s", (int)strcspn(text, "\n"), text);
}

/* The ordinary way reads it.  What has an outcome was there, whole, whether that was known or not. */
static void take_outcome_there(struct engine *e, struct track *track, const struct job *job)
{
	if (!job->staged) {
		struct job *now = job_copy(job);

		now->staged = true;
		pipeline_set_state(now, "SUBMITTING", "");
		if (engine_commit(e, now, "it was brought and submitted before") < 0)
			return;
		track->step = STEP_SUBMIT;
	}
	track->outcome_of = job->attempt;
}

static void looked(struct engine *e, void *arg)
{
	struct look *look = arg;
	struct track *track = engine_track(e, look->serial);
	AUTO_JOB struct job *job = model_latest(e->model, look->serial);
	const char *failure;

	if (track) {
		track->busy = false;
		/* Unless the look sets another time: what it found may not be written down. */
		track->due_ms = clock_in(e->clock, AGAIN_MS);
	}
	if (!track || !job || *job->slurm_id) {
		/* Adopted or removed meanwhile. */
	} else if (look->result < 0) {
		engine_pause(e, track);
	} else if ((failure = strstr(look->answer.out.data, "failed "))) {
		not_known(e, track, job, failure + strlen("failed "));
	} else if (strstr(look->answer.out.data, "revoked")) {
		next_attempt(e, job, "was revoked before it ran sbatch");
	} else if (strstr(look->answer.out.data, "outcome")) {
		take_outcome_there(e, track, job);
	} else {
		const char *id = find_id(look->answer.out.data);

		if (id)
			pipeline_adopt_id(e, look->serial, id, ", found there after its answer was lost");
		else
			nothing_found(e, track, job, strstr(look->answer.out.data, "gone"));
	}
	command_result_release(&look->answer);
	strbuf_release(&look->script);
	free(look);
}

static void run_look(void *arg)
{
	struct look *look = arg;

	look->result = command_run(&look->engine->cluster, look->script.data, NULL, 0, 120000,
		&look->answer);
	engine_post(look->engine, looked, look);
}

void reconcile_start(struct engine *e, struct track *track)
{
	AUTO_JOB struct job *job = model_latest(e->model, track->serial);
	struct look *look = xcalloc(1, sizeof(*look));
	char since[CLOCK_ISO_SIZE];

	*look = (struct look){.engine = e, .serial = track->serial, .script = STRBUF_INIT,
		.answer = COMMAND_RESULT_INIT};
	/* Two days before, so that no time zone and no wrong clock can hide it. */
	clock_iso(job->taken_ns - INT64_C(172800) * 1000000000, since);
	since[19] = '\0';
	strbuf_adds(&look->script, "workdir=");
	shell_quote(&look->script, job->workdir);
	strbuf_addf(&look->script, "\nattempt=%u known=%s\nsince=%s\n%s", job->attempt,
		track->doubtful_of == job->attempt ? "yes" : "no", since, look_script);
	track->busy = true;
	lane_post(e->query_lane, run_look, look);
}
