/*
 * The engine without its mount, for tests: what is in STATE/spool/new is submitted as if it had been
 * dropped, on the real cluster of a profile, until every job has ended.
 *
 *   try PROFILE STATE SECONDS [VERB:JOB:STATE | remove:JOB:STATE | submit:DRAFT:NAME]...
 *
 * A VERB is written to the JOB's ctl when it is in that STATE.  Prints "JOB STATE ID" at each change.
 * Exits 0 when all have ended, 1 when SECONDS have passed, 2 when it could not start.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"
#include "err.h"
#include "jobstate.h"
#include "local.h"
#include "log.h"
#include "sshtransport.h"

struct try {
	struct profile *profile;
	struct store *store;
	struct model *model;
	struct drafts *drafts;
	struct remote *remote;
	struct engine *engine;
	char **actions; /* one that was begun is emptied */
	int action_count;
};

static void late_state(void *arg, enum remote_state state, const char *text)
{
	struct try *t = arg;

	if (t->engine)
		engine_remote_changed(t->engine, state, text);
}

static struct remote *make_remote(struct try *t, struct strbuf *why)
{
	const struct profile *p = t->profile;

	if (!p->host)
		return local_remote_new(022);
	struct ssh_settings s = {.host = xstrdup(p->host), .user = xstrdup(p->user), .port = p->port,
		.identity = xstrdup(p->identity), .known_hosts = xstrdup(p->known_hosts)};
	struct remote *remote = ssh_settings_resolve(&s, why) < 0 ? NULL :
		ssh_remote_new(&s, late_state, t);
	ssh_settings_finish(&s);
	return remote;
}

static void drafts_changed(void *arg)
{
	struct try *t = arg;

	if (t->engine)
		engine_drafts_changed(t->engine);
}

static int start(struct try *t, const char *profile, const char *state, struct strbuf *why)
{
	AUTO_FREE char *database = xasprintf("%s/jobs.db", state);
	AUTO_FREE char *spool = xasprintf("%s/spool", state);

	t->profile = profile_new();
	t->model = model_new();
	if (profile_read_file(t->profile, profile, why) < 0 ||
		store_open(database, &t->store, why) < 0 || !(t->remote = make_remote(t, why)))
		return -1;
	struct engine_config config = {.profile = t->profile, .clock = &clock_system,
		.store = t->store, .model = t->model, .remote = t->remote};
	if (engine_new(&config, &t->engine, why) < 0)
		return -1;
	struct drafts_config drafts = {.spool = spool, .profile = t->profile, .clock = &clock_system,
		.model = t->model, .changed = drafts_changed, .arg = t};
	if (drafts_open(&drafts, &t->drafts, why) < 0 ||
		engine_start(t->engine, t->drafts, why) < 0)
		return -1;
	int r = remote_connect(t->remote, NULL, clock_in(&clock_system, 20000), why);
	if (r == 0)
		engine_remote_changed(t->engine, REMOTE_ONLINE, "connected");
	return r;
}

/* `arg` is ours from here on. */
static void done(void *arg, int result)
{
	printf("%s: %s\n", (char *)arg, result ? strerror(-result) : "done");
	fflush(stdout);
	free(arg);
}

/* Begins the actions whose time has come. */
static void act(struct try *t, const struct job *job)
{
	for (int i = 0; i < t->action_count; i++) {
		char verb[32], name[80], state[32];

		if (sscanf(t->actions[i], "%31[^:]:%79[^:]:%31s", verb, name, state) != 3 ||
			strcmp(name, job->name) || strcmp(state, job->state))
			continue;
		if (!strcmp(verb, "remove"))
			engine_remove(t->engine, job->serial, done, xstrdup(verb));
		else
			engine_ctl(t->engine, job->serial, verb, done, xstrdup(verb));
		*t->actions[i] = '\0';
	}
}

static void submit_named(struct try *t)
{
	for (int i = 0; i < t->action_count; i++) {
		char draft[80], name[80];

		if (sscanf(t->actions[i], "submit:%79[^:]:%79s", draft, name) != 2)
			continue;
		engine_submit(t->engine, drafts_by_name(t->drafts, draft), name, done, xstrdup("submit"));
		*t->actions[i] = '\0';
	}
}

static void count_draft(void *arg, const char *name, uint64_t serial)
{
	(void)name;
	(void)serial;
	++*(size_t *)arg;
}

/* Prints what changed; true when nothing is left to wait for. */
static bool look(struct try *t, struct strbuf *before)
{
	struct strbuf now AUTO_STRBUF = STRBUF_INIT;
	struct job *jobs[256];
	size_t open = 0;
	size_t n = model_list(t->model, 0, jobs, 256);

	drafts_each(t->drafts, count_draft, &open);
	for (size_t i = 0; i < n; i++) {
		AUTO_JOB struct job *job = model_latest(t->model, jobs[i]->serial);

		job_unref(jobs[i]);
		if (!job)
			continue;
		enum jobstate_class class = jobstate_class(job->state);
		open += class == JOBSTATE_ACTIVE ||
			(class == JOBSTATE_BEFORE && strcmp(job->state, "REJECTED"));
		strbuf_addf(&now, "%s %s %s\n", job->name, job->state, job->slurm_id);
		act(t, job);
	}
	if (strcmp(now.data, before->data)) {
		printf("%s", now.data);
		fflush(stdout);
	}
	strbuf_reset(before);
	strbuf_add(before, now.data, now.len);
	for (int i = 0; i < t->action_count; i++)
		open += *t->actions[i] != '\0';
	return !open;
}

int main(int argc, char **argv)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct strbuf before AUTO_STRBUF = STRBUF_INIT;
	struct try t = {.actions = argv + 4, .action_count = argc - 4};
	bool ended = false;

	if (argc < 4)
		return 2;
	log_init(LOG_LEVEL_INFO, false);
	if (start(&t, argv[1], argv[2], &why) < 0) {
		fprintf(stderr, "try: %s\n", why.data);
		return 2;
	}
	submit_named(&t);
	for (int i = atoi(argv[3]) * 10; i > 0 && !ended; i--) {
		usleep(100000);
		ended = look(&t, &before);
	}
	/* Removed directories go a moment after the jobs; under valgrind that is a longer one. */
	const char *slower = getenv("SLOWER");
	for (int i = slower ? atoi(slower) : 1; i > 0; i--)
		usleep(3000000);
	engine_stop(t.engine);
	/* Before the engine, which its thread tells of the line. */
	remote_destroy(t.remote);
	engine_free(t.engine);
	drafts_close(t.drafts);
	store_close(t.store);
	model_free(t.model);
	profile_free(t.profile);
	return ended ? 0 : 1;
}
