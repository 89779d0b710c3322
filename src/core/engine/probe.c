/* What the cluster is like: asked once for each connection, before anything else is done there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine_internal.h"
#include "err.h"
#include "log.h"
#include "remote.h"
#include "shell.h"

struct probe {
	struct engine *engine;
	int result;
	struct command_result answer;
	struct strbuf script;
};

/* A path with ~ and $VARIABLES as a shell word in which nothing else is expanded. */
static void add_path_word(struct strbuf *b, const char *path)
{
	if (*path == '~' && (path[1] == '/' || !path[1])) {
		strbuf_adds(b, "\"$HOME\"");
		path++;
	}
	while (*path) {
		size_t plain = strcspn(path, "$");
		AUTO_FREE char *text = xstrndup(path, plain);

		if (plain)
			shell_quote(b, text);
		path += plain;
		if (*path != '$')
			continue;
		bool braces = path[1] == '{';
		const char *name = path + 1 + braces;
		size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					  "0123456789_");
		if (len)
			strbuf_addf(b, "\"${%.*s-}\"", (int)len, name);
		else
			strbuf_adds(b, "'$'");
		path = name + len + (braces && name[len] == '}');
	}
}

static void write_script(struct engine *e, struct strbuf *b)
{
	strbuf_adds(b, "missing=\n"
		       "for tool in tar sha256sum setsid timeout sbatch squeue scancel; do\n"
		       "  type \"$tool\" > /dev/null 2>&1 || missing=\"$missing $tool\"\n"
		       "done\n"
		       "scratch=");
	if (e->profile->scratch)
		add_path_word(b, e->profile->scratch);
	else
		strbuf_adds(b, "${SCRATCH:-$HOME}/slurmount");
	/* Where somebody else can put another script in the place of a job's, nothing is submitted. */
	strbuf_adds(b, "\numask go-w\n"
		       "mkdir -p -- \"$scratch/.slurmount/records\" \"$scratch/.slurmount/staging\""
		       " || exit 1\n"
		       "for folder in \"$scratch/.slurmount\"{,/records,/staging}; do\n"
		       "  if [ ! -O \"$folder\" ] || ! chmod go-w -- \"$folder\"; then\n"
		       "    echo \"$folder is somebody else's, who could change what your jobs run; name "
		       "another scratch in the profile\" >&2; exit 1\n"
		       "  fi\n"
		       "done\n"
		       "if [ -n \"$(find \"$scratch/\" -maxdepth 0 -perm -0002 ! -perm -1000)\" ]; then\n"
		       "  echo \"everybody can write to $scratch and change what your jobs run; run: chmod "
		       "go-w $scratch\" >&2; exit 1\n"
		       "fi\n"
		       "cd -- \"$scratch\" && pwd -P && id -un && echo \"$missing\"\n");
	if (e->profile->project) {
		strbuf_adds(b, "echo ");
		add_path_word(b, e->profile->project);
		strbuf_addc(b, '\n');
	}
}

/* The next line of `*at`, cut off in place. */
static char *next_line(char **at)
{
	return strsep(at, "\n");
}

static void learn(struct engine *e, struct probe *probe)
{
	char *at = probe->answer.out.data;
	char *scratch = next_line(&at), *user = next_line(&at), *missing = next_line(&at);
	char *project = e->profile->project ? next_line(&at) : NULL;

	if (!user || *scratch != '/') {
		snprintf(e->connection.problem, sizeof(e->connection.problem),
			"the scratch folder is no absolute path: %s", scratch);
		return;
	}
	if (e->profile->project && (!project || *project != '/')) {
		snprintf(e->connection.problem, sizeof(e->connection.problem),
			"the project folder is no absolute path: %s", project ? project : "");
		return;
	}
	free(e->project);
	e->project = project ? xstrdup(project) : NULL;
	free(e->scratch);
	free(e->records);
	free(e->user);
	e->scratch = xstrdup(scratch);
	e->records = xasprintf("%s/.slurmount/records", scratch);
	e->user = xstrdup(user);
	e->connection.problem[0] = '\0';
	if (missing && *missing)
		snprintf(e->connection.problem, sizeof(e->connection.problem),
			"the cluster lacks:%s (a `setup` line in the profile may be needed to find "
			"them)", missing);
}

static void probed(struct engine *e, void *arg)
{
	struct probe *probe = arg;

	e->probing = false;
	if (probe->result == 0 && probe->answer.status == 0) {
		learn(e, probe);
	} else if (probe->result == 0) {
		struct strbuf words AUTO_STRBUF = STRBUF_INIT;

		strbuf_rtrim(&probe->answer.err);
		strbuf_add_escaped(&words, probe->answer.err.data, probe->answer.err.len);
		snprintf(e->connection.problem, sizeof(e->connection.problem),
			"the scratch folder cannot be used: %s", words.data);
	} else {
		log_warning("the cluster was asked what it is like: %s", strerror(-probe->result));
	}
	/* What failed is asked again no sooner than this. */
	e->probe_ms = clock_in(e->clock, e->scratch ? 3600000 : 15000);
	model_set_connection(e->model, &e->connection);
	verb_sweep(e);
	command_result_release(&probe->answer);
	strbuf_release(&probe->script);
	free(probe);
}

static void run_probe(void *arg)
{
	struct probe *probe = arg;

	probe->result = command_run(&probe->engine->cluster, probe->script.data, NULL, 0, 60000,
		&probe->answer);
	engine_post(probe->engine, probed, probe);
}

void probe_tick(struct engine *e, int64_t now_ms, int64_t *next_ms)
{
	if (e->scratch || e->probing)
		return;
	if (now_ms < e->probe_ms) {
		if (e->probe_ms < *next_ms)
			*next_ms = e->probe_ms;
		return;
	}
	struct probe *probe = xcalloc(1, sizeof(*probe));
	probe->engine = e;
	probe->answer = COMMAND_RESULT_INIT;
	probe->script = STRBUF_INIT;
	write_script(e, &probe->script);
	e->probing = true;
	lane_post(e->query_lane, run_probe, probe);
}
