/* Has the drafts' questions put to the cluster, some of them by one command at a time. */
#include <stdlib.h>
#include <string.h>

#include "ask_query.h"
#include "clusterinfo.h"
#include "engine_internal.h"
#include "err.h"
#include "log.h"

#define AT_ONCE 50
/* Older limits are asked for again where sbatch takes what they forbid. */
#define FRESH_NS INT64_C(60000000000)

struct asking {
	struct engine *engine;
	struct ask_question *questions;
	size_t count;
	int64_t asked_ns;
	int result;
};

static void renew_old_limits(struct engine *e, int64_t now_ns)
{
	struct limits *limits = clusterinfo_limits(model_cluster(e->model));

	if (limits && now_ns - limits->asked_ns > FRESH_NS)
		limits_renew(e);
	limits_unref(limits);
}

static void answered(struct engine *e, void *arg)
{
	struct asking *a = arg;
	bool disagrees = false;

	for (size_t i = 0; i < a->count; i++)
		disagrees |= a->questions[i].kind == ASK_SCRIPT && a->questions[i].known &&
			a->questions[i].yes;
	if (a->result < 0)
		log_warning("the drafts' questions were not answered: %s", strerror(-a->result));
	clusterask_settle(clusterinfo_ask(model_cluster(e->model)), a->questions, a->count,
		a->asked_ns);
	if (disagrees)
		renew_old_limits(e, a->asked_ns);
	e->asking = false;
	drafts_cluster_told(e->drafts, false);
	free(a);
}

static void run_asking(void *arg)
{
	struct asking *a = arg;

	a->result = ask_query(&a->engine->cluster, a->questions, a->count);
	engine_post(a->engine, answered, a);
}

void ask_state(struct engine *e, enum remote_state state)
{
	/* What was not asked yet may still be answered while the connection is made. */
	if (state != REMOTE_CONNECTING &&
		clusterask_open(clusterinfo_ask(model_cluster(e->model)), state == REMOTE_ONLINE))
		drafts_cluster_told(e->drafts, true);
}

void ask_tick(struct engine *e)
{
	size_t count;

	if (e->asking)
		return;
	struct ask_question *questions =
		clusterask_take(clusterinfo_ask(model_cluster(e->model)), AT_ONCE, &count);
	if (!count)
		return;
	struct asking *a = xcalloc(1, sizeof(*a));
	*a = (struct asking){.engine = e, .questions = questions, .count = count,
		.asked_ns = clock_real_ns(e->clock)};
	e->asking = true;
	lane_post(e->ask_lane, run_asking, a);
}
