#include "claim.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "shell.h"
#include "slurm_text.h"

#define ASK_MS 60000

struct claim {
	struct engine *engine;
	uint64_t serial;
	char ours[SLURM_ID_SIZE];
	char rival[SLURM_ID_SIZE];
	char *workdir;
	bool cancel;
	int result;
	struct command_result answer;
};

/* "holder ID" where there is a claim; if it is one of the two's, the other is cancelled.  "foreign" where that is no
 * copy of the job, but what the job itself, or its user there, has queued: only what Slurm has as our script is
 * ours to cancel.  Before there is a claim both are cancelled, if the user wants that, or none. */
static const char claim_script[] =
	"if holder=$(readlink -- \"$workdir/.slurmount/claim\"); then\n"
	"  case $holder in\n"
	"  \"$ours\") other=$rival ;;\n"
	"  \"$rival\") other=$ours ;;\n"
	"  *) other= ;;\n"
	"  esac\n"
	"else\n"
	"  [ -n \"$cancel\" ] || exit 0\n"
	"  other=$rival\n"
	"fi\n"
	"command=\n"
	"[ -z \"$other\" ] || read -r command < <(squeue -a -h -j \"$other\" -o %o)\n"
	"case $command in\n"
	"*/\"${workdir##*/}\"/.slurmount/script.sbatch) scancel -- \"$other\" ;;\n"
	"*) [ \"$holder\" != \"$ours\" ] || { echo foreign; exit 0; } ;;\n"
	"esac\n"
	"echo holder \"$holder\"\n"
	"true\n";

static void claim_free(struct claim *c)
{
	command_result_release(&c->answer);
	free(c->workdir);
	free(c);
}

static void take_holder(struct engine *e, struct track *track, struct claim *c, const char *holder)
{
	struct job *now = engine_edit(e, c->serial);
	bool adopt = !strcmp(holder, c->rival);

	if (!now)
		return;
	/* A record of an earlier directory tells nothing, nor does an answer that is out of date. */
	if (strcmp(now->slurm_id, c->ours) || (!adopt && strcmp(holder, c->ours))) {
		job_unref(now);
		return;
	}
	if (adopt) {
		job_set(&now->slurm_id, c->rival);
		track->cancel_sent = false;
		/* They have the id in their names. */
		job_set(&now->stdout_path, "");
		job_set(&now->stderr_path, "");
	}
	engine_commit(e, now, "Slurm had queued it twice, as %s and %s: the first to start was %s, the other is "
		"cancelled", c->ours, c->rival, holder);
	e->sync_ms = 0;
}

static void settled(struct engine *e, void *arg)
{
	struct claim *c = arg;
	struct track *track = engine_track(e, c->serial);
	char holder[SLURM_ID_SIZE];

	if (track)
		track->claim_asked = false;
	if (track && c->result == 0 && c->answer.status == 0 && !strcmp(c->answer.out.data, "foreign\n"))
		strcpy(track->settled, c->rival);
	else if (track && c->result == 0 && c->answer.status == 0 &&
		sscanf(c->answer.out.data, "holder %23[0-9]", holder) == 1) {
		strcpy(track->settled, c->rival);
		take_holder(e, track, c, holder);
	}
	claim_free(c);
}

static void ask_holder(void *arg)
{
	struct claim *c = arg;
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;

	strbuf_adds(&script, "workdir=");
	shell_quote(&script, c->workdir);
	strbuf_adds(&script, "\nours=");
	shell_quote(&script, c->ours);
	strbuf_adds(&script, "\nrival=");
	shell_quote(&script, c->rival);
	strbuf_addf(&script, "\ncancel=%s\n", c->cancel ? "yes" : "");
	strbuf_adds(&script, claim_script);
	c->result = command_run(&c->engine->cluster, script.data, NULL, 0, ASK_MS, &c->answer);
	engine_post(c->engine, settled, c);
}

void claim_settle(struct engine *e, struct track *track, const struct job *job, const char *rival)
{
	if (track->claim_asked || !strcmp(track->settled, rival) || strspn(rival, "0123456789") !=
		strlen(rival))
		return;
	struct claim *c = xcalloc(1, sizeof(*c));
	*c = (struct claim){.engine = e, .serial = job->serial, .workdir = xstrdup(job->workdir),
		.cancel = job->cancel_asked, .answer = COMMAND_RESULT_INIT};
	snprintf(c->ours, sizeof(c->ours), "%s", job->slurm_id);
	snprintf(c->rival, sizeof(c->rival), "%s", rival);
	track->claim_asked = true;
	lane_post(e->query_lane, ask_holder, c);
}
