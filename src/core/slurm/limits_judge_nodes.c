/* What a job wants of its nodes, against the nodes of one partition. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "err.h"
#include "limits_judge_internal.h"
#include "slurm_value.h"

/* ---- CPUs and memory ---- */

/* The most that a node of the partition has; LIMITS_NONE where some node's share is not known. */
static int64_t most(const struct judge *j, const struct limits_partition *p, bool memory)
{
	int64_t best = LIMITS_NONE;

	for (size_t i = 0; i < j->limits->nodes_count; i++) {
		const struct limits_nodes *n = &j->limits->nodes[i];
		int64_t value = memory ? n->memory : n->cpus;

		if (strcmp(n->partition, p->name))
			continue;
		if (value < 0 || (memory ? n->more_memory : n->more_cpus))
			return LIMITS_NONE;
		if (value > best)
			best = value;
	}
	int64_t limit = memory ? p->max_mem_per_node : p->max_cpus_per_node;
	return best != LIMITS_NONE && limit > 0 && limit < best ? limit : best;
}

static void add_nodes(struct strbuf *b, int64_t nodes)
{
	if (nodes == 1)
		strbuf_adds(b, "one node");
	else
		strbuf_addf(b, "%lld nodes", (long long)nodes);
}

static const char *too_many_cpus(const char *key, int64_t wanted, int64_t nodes, int64_t have,
	const struct limits_partition *p, struct strbuf *why)
{
	strbuf_addf(why, "%lld CPUs on ", (long long)wanted);
	add_nodes(why, nodes);
	strbuf_addf(why, " are wanted, and a job may have %lld of a node in the partition %s",
		(long long)have, p->name);
	return key;
}

const char *limits_fit_cpus(const struct judge *j, const struct limits_partition *p,
	struct strbuf *why)
{
	const struct jobspec *spec = j->request->spec;
	int64_t have = most(j, p, false), all = limits_times(j->tasks, j->cpus_per_task);
	int64_t beside = limits_times(j->tasks_per_node, j->cpus_per_task);

	if (jobspec_slurm(spec, "overcommit"))
		return NULL;
	if (have != LIMITS_NONE && j->cpus_per_task > have)
		return too_many_cpus("cpus_per_task", j->cpus_per_task, 1, have, p, why);
	if (have != LIMITS_NONE && beside > have)
		return too_many_cpus("ntasks_per_node", beside, 1, have, p, why);
	if (have != LIMITS_NONE && j->most_nodes != LIMITS_NONE &&
		all > limits_times(j->most_nodes, have))
		return too_many_cpus("ntasks", all, j->most_nodes, have, p, why);
	if (p->total_cpus == LIMITS_NONE || all <= p->total_cpus)
		return NULL;
	strbuf_addf(why, "%lld CPUs are wanted, and the partition %s has %lld", (long long)all, p->name,
		(long long)p->total_cpus);
	return "ntasks";
}

const char *limits_fit_memory(const struct judge *j, const struct limits_partition *p,
	struct strbuf *why)
{
	const struct jobspec *spec = j->request->spec;
	const char *key = jobspec_slurm(spec, "mem") ? "mem" : "mem_per_cpu";
	const char *value = jobspec_slurm(spec, key);
	int64_t have = most(j, p, true), wanted = value ? slurm_value_mebibytes(value) : 0;

	if (have == LIMITS_NONE || wanted <= 0)
		return NULL;
	if (strcmp(key, "mem")) {
		int64_t tasks = j->most_nodes == 1 && j->tasks > j->tasks_per_node ? j->tasks :
			j->tasks_per_node;

		wanted = limits_times(wanted, limits_times(tasks, j->cpus_per_task));
	}
	if (wanted <= have)
		return NULL;
	limits_add_memory(why, wanted);
	strbuf_adds(why, " on one node are wanted, and a job may have ");
	limits_add_memory(why, have);
	strbuf_addf(why, " of a node in the partition %s", p->name);
	return key;
}

/* ---- GPUs and the like ---- */

/* What the nodes of a partition have of one generic resource. */
struct stock {
	bool told;          /* the partition's nodes are known */
	bool any, typed;    /* of the name; of the type, too */
	int64_t on_a_node, in_all;
	struct strbuf types;
};

static void take_stock(const struct judge *j, const struct limits_partition *p,
	const struct limits_gres *wanted, struct stock *ret)
{
	*ret = (struct stock){.types = STRBUF_INIT};
	for (size_t i = 0; i < j->limits->nodes_count; i++) {
		const char *at = j->limits->nodes[i].gres;
		int64_t here = 0;
		struct limits_gres gres;

		if (strcmp(j->limits->nodes[i].partition, p->name))
			continue;
		ret->told = true;
		while (limits_next_gres(&at, &gres)) {
			if (strcmp(gres.name, wanted->name))
				continue;
			ret->any = true;
			if (*gres.type && !limits_in_list(ret->types.data, gres.type))
				strbuf_addf(&ret->types, "%s%s", ret->types.len ? "," : "", gres.type);
			if (*wanted->type && strcasecmp(gres.type, wanted->type))
				continue;
			ret->typed = true;
			here += gres.count;
		}
		if (here > ret->on_a_node)
			ret->on_a_node = here;
		ret->in_all += limits_times(here, j->limits->nodes[i].count);
	}
}

static bool fits_stock(const struct judge *j, const struct limits_partition *p,
	const struct limits_gres *wanted, bool each_node, struct strbuf *why)
{
	bool gpu = !strcmp(wanted->name, "gpu");
	const char *name = gpu ? "GPU" : wanted->name;
	struct stock stock;
	bool good = false;

	take_stock(j, p, wanted, &stock);
	if (!stock.told || !wanted->count)
		good = true;
	else if (!stock.any)
		strbuf_addf(why, "the nodes of the partition %s have no %s", p->name, name);
	else if (!stock.typed)
		strbuf_addf(why, "the nodes of the partition %s have no %s of type %s%s%s", p->name, name,
			wanted->type, stock.types.len ? ", but " : "", stock.types.data);
	else if (each_node && wanted->count > stock.on_a_node)
		strbuf_addf(why, "%lld on one node are wanted, and the nodes of the partition %s have %lld",
			(long long)wanted->count, p->name, (long long)stock.on_a_node);
	else if (!each_node && j->most_nodes != LIMITS_NONE &&
		wanted->count > limits_times(j->most_nodes, stock.on_a_node)) {
		strbuf_addf(why, "%lld on ", (long long)wanted->count);
		add_nodes(why, j->most_nodes);
		strbuf_addf(why, " are wanted, and a node of the partition %s has %lld", p->name,
			(long long)stock.on_a_node);
	} else if (!each_node && wanted->count > stock.in_all)
		strbuf_addf(why, "%lld are wanted, and the partition %s has %lld",
			(long long)wanted->count, p->name, (long long)stock.in_all);
	else
		good = true;
	strbuf_release(&stock.types);
	return good;
}

/* "a100:2,v100:1" and "2" as entries of gres: "gpu:a100:2,gpu:v100:1" and "gpu:2"; and gres in one
 * spelling: "gres/gpu=2" and "gres:gpu:2" are "gpu:2". */
static void as_gres(const char *value, bool gpus, struct strbuf *ret)
{
	while (*value) {
		size_t len = strcspn(value, ",");
		AUTO_FREE char *entry = xstrndup(value, len);
		const char *from = !strncmp(entry, "gres/", 5) || !strncmp(entry, "gres:", 5) ?
			entry + 5 : entry;

		for (char *at = entry; *at; at++)
			if (*at == '=')
				*at = ':';
		strbuf_addf(ret, "%s%s%s", ret->len ? "," : "", gpus ? "gpu:" : "", from);
		value += len + (value[len] == ',');
	}
}

const char *limits_fit_gres(const struct judge *j, const struct limits_partition *p,
	struct strbuf *why)
{
	/* gpus_per_task is one node's, like gpus_per_socket, since a task has one node. */
	static const struct {
		const char *key;
		bool gpus, each_node;
	} rows[] = {{"gpus", true, false}, {"gpus_per_node", true, true}, {"gpus_per_task", true, true},
		{"gpus_per_socket", true, true}, {"gres", false, true}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct strbuf list AUTO_STRBUF = STRBUF_INIT;
		const char *value = jobspec_slurm(j->request->spec, rows[i].key);
		struct limits_gres gres;

		as_gres(value ? value : "", rows[i].gpus, &list);
		const char *at = list.data;
		while (limits_next_gres(&at, &gres))
			if (!fits_stock(j, p, &gres, rows[i].each_node, why))
				return rows[i].key;
	}
	return NULL;
}

/* ---- features ---- */

static bool has_feature(const struct judge *j, const struct limits_partition *p, const char *name,
	bool *told)
{
	bool found = false;

	for (size_t i = 0; i < j->limits->nodes_count; i++)
		if (!strcmp(j->limits->nodes[i].partition, p->name)) {
			*told = true;
			found |= limits_in_list(j->limits->nodes[i].features, name);
		}
	return found;
}

/* The next name of a constraint such as "[a&b*2]|(c)": no operator and no count; NULL at its end. */
static char *next_feature(const char **at)
{
	for (;;) {
		size_t before = strspn(*at, "&|,()[]*");

		*at += before;
		size_t len = strcspn(*at, "&|,()[]*");
		bool count = len && strspn(*at, "0123456789") == len;
		const char *name = *at;

		if (!len)
			return NULL;
		*at += len;
		/* "a*2" means two nodes with a; a feature may be a number, too. */
		if (!count || !before || name[-1] != '*')
			return xstrndup(name, len);
	}
}

const char *limits_fit_features(const struct judge *j, const struct limits_partition *p,
	struct strbuf *why)
{
	const char *at = jobspec_slurm(j->request->spec, "constraint");
	bool told = false, found = false, choice;
	char *name;
	struct strbuf missing AUTO_STRBUF = STRBUF_INIT;

	if (!at || strchr(at, '!'))
		return NULL;
	/* Of alternatives one is enough. */
	choice = strchr(at, '|') != NULL;
	while ((name = next_feature(&at))) {
		if (has_feature(j, p, name, &told))
			found = true;
		else
			strbuf_addf(&missing, "%s%s", missing.len ? ", " : "", name);
		free(name);
	}
	if (!told || !missing.len || (choice && found))
		return NULL;
	strbuf_addf(why, "no node of the partition %s has the feature %s", p->name, missing.data);
	return "constraint";
}
