#include "clusterinfo.h"

#include <pthread.h>
#include <stdlib.h>

#include "clusterask.h"
#include "err.h"

struct clusterinfo {
	struct clusterask *ask;
	pthread_mutex_t lock;
	struct limits *limits;                       /* lock */
	struct strbuf texts[CLUSTER_TABLE_COUNT];    /* lock */
	int64_t asked_ns[CLUSTER_TABLE_COUNT];       /* lock */
};

/* Takes over `text`'s content. */
static void set_text(struct clusterinfo *info, enum cluster_table table, struct strbuf *text,
	int64_t asked_ns)
{
	WITH_LOCK(&info->lock);
	strbuf_release(&info->texts[table]);
	info->texts[table] = *text;
	*text = STRBUF_INIT;
	info->asked_ns[table] = asked_ns;
}

static void set_tables(struct clusterinfo *info, const struct limits *limits)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	int64_t asked_ns = limits ? limits->asked_ns : 0;

	limits_render_partitions(limits, &text);
	set_text(info, CLUSTER_PARTITIONS, &text, asked_ns);
	limits_render_limits(limits, &text);
	set_text(info, CLUSTER_LIMITS, &text, asked_ns);
}

struct clusterinfo *clusterinfo_new(void)
{
	struct clusterinfo *info = xcalloc(1, sizeof(*info));

	pthread_mutex_init(&info->lock, NULL);
	info->ask = clusterask_new();
	for (int i = 0; i < CLUSTER_TABLE_COUNT; i++)
		info->texts[i] = STRBUF_INIT;
	set_tables(info, NULL);
	clusterinfo_set_queue(info, "", 0, 0);
	return info;
}

void clusterinfo_free(struct clusterinfo *info)
{
	if (!info)
		return;
	for (int i = 0; i < CLUSTER_TABLE_COUNT; i++)
		strbuf_release(&info->texts[i]);
	limits_unref(info->limits);
	clusterask_free(info->ask);
	pthread_mutex_destroy(&info->lock);
	free(info);
}

void clusterinfo_set_limits(struct clusterinfo *info, struct limits *limits)
{
	set_tables(info, limits);
	pthread_mutex_lock(&info->lock);
	struct limits *before = info->limits;
	info->limits = limits;
	pthread_mutex_unlock(&info->lock);
	limits_unref(before);
}

struct limits *clusterinfo_limits(struct clusterinfo *info)
{
	WITH_LOCK(&info->lock);
	return limits_ref(info->limits);
}

struct clusterask *clusterinfo_ask(struct clusterinfo *info)
{
	return info->ask;
}

void clusterinfo_set_queue(struct clusterinfo *info, const char *text, size_t len, int64_t asked_ns)
{
	struct strbuf table AUTO_STRBUF = STRBUF_INIT;

	limits_render_queue(text, len, asked_ns, &table);
	set_text(info, CLUSTER_QUEUE, &table, asked_ns);
}

void clusterinfo_table(struct clusterinfo *info, enum cluster_table table, struct strbuf *ret,
	int64_t *asked_ns)
{
	WITH_LOCK(&info->lock);
	strbuf_add(ret, info->texts[table].data, info->texts[table].len);
	*asked_ns = info->asked_ns[table];
}
