/*
 * The cluster's limits, asked for when it is first reached, after each refusal by sbatch, and else
 * once an hour.  What was told last is kept in the database, so it is there before the cluster is.
 */
#include <stdlib.h>
#include <string.h>

#include "clusterinfo.h"
#include "engine_internal.h"
#include "err.h"
#include "limits_query.h"
#include "log.h"

#define HOUR_MS 3600000
/* What failed is asked again after this. */
#define RETRY_MS 60000

struct question {
	struct engine *engine;
	int result;
	struct strbuf text;
};

void limits_load(struct engine *e)
{
	AUTO_FREE char *text = store_setting(e->store, "limits");
	AUTO_FREE char *asked = store_setting(e->store, "limits_asked_ns");

	if (text && asked)
		clusterinfo_set_limits(model_cluster(e->model),
			limits_parse(text, strlen(text), strtoll(asked, NULL, 10)));
}

static void keep(struct engine *e, const char *text, int64_t asked_ns)
{
	AUTO_FREE char *asked = xasprintf("%lld", (long long)asked_ns);

	if (store_set_setting(e->store, "limits", text) < 0 ||
		store_set_setting(e->store, "limits_asked_ns", asked) < 0)
		log_warning("the cluster's limits cannot be written to the database");
}

static void answered(struct engine *e, void *arg)
{
	struct question *q = arg;
	bool good = false;

	e->limits_busy = false;
	if (q->result == 0) {
		int64_t asked_ns = clock_real_ns(e->clock);
		/* SQLite keeps a text up to its first NUL. */
		struct limits *limits = limits_parse(q->text.data, strlen(q->text.data), asked_ns);

		good = limits->partition_count > 0;
		if (good) {
			keep(e, q->text.data, asked_ns);
			clusterinfo_set_limits(model_cluster(e->model), limits);
			drafts_cluster_told(e->drafts, true);
		} else {
			limits_unref(limits);
		}
	}
	if (!good)
		log_warning("the cluster's limits are not known: %s",
			q->result ? strerror(-q->result) : "scontrol tells of no partition");
	/* A refusal meanwhile may be newer than the answer. */
	e->limits_ms = e->limits_again ? 0 : clock_in(e->clock, good ? HOUR_MS : RETRY_MS);
	e->limits_again = false;
	strbuf_release(&q->text);
	free(q);
}

static void run_question(void *arg)
{
	struct question *q = arg;

	q->result = limits_query(&q->engine->cluster, &q->text);
	engine_post(q->engine, answered, q);
}

void limits_renew(struct engine *e)
{
	e->limits_ms = 0;
	e->limits_again = e->limits_busy;
}

void limits_tick(struct engine *e, int64_t now_ms, int64_t *next_ms)
{
	if (e->limits_busy || !e->scratch)
		return;
	if (now_ms < e->limits_ms) {
		if (e->limits_ms < *next_ms)
			*next_ms = e->limits_ms;
		return;
	}
	struct question *q = xcalloc(1, sizeof(*q));
	q->engine = e;
	q->text = STRBUF_INIT;
	e->limits_busy = true;
	lane_post(e->limits_lane, run_question, q);
}
