#include "limits_judge.h"

#include <string.h>
#include <strings.h>

#include "err.h"
#include "limits_judge_internal.h"
#include "slurm_option.h"
#include "slurm_value.h"

/* More names make no sentence. */
#define MOST_NAMES 12

int64_t limits_times(int64_t a, int64_t b)
{
	int64_t product;

	return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

/* ---- sentences ---- */

/* Names separated by ", ", only so many. */
struct names {
	struct strbuf text;
	size_t count;
};

static void add_name(struct names *n, const char *name, size_t len)
{
	if (n->count++ >= MOST_NAMES)
		return;
	strbuf_adds(&n->text, n->count > 1 ? ", " : "");
	strbuf_add_escaped(&n->text, name, len);
}

static void end_names(struct names *n)
{
	if (n->count > MOST_NAMES)
		strbuf_addf(&n->text, " and %zu more", n->count - MOST_NAMES);
}

/* "config.ini:7: time: ": where it stands, as far as it stands anywhere. */
static void add_place(const struct judge *j, const char *key, struct strbuf *b)
{
	const struct jobspec_pairs *pairs = &j->request->spec->slurm;
	const struct jobspec_pair *pair = jobspec_pairs_find(pairs, key);

	if (pair && (size_t)(pair - pairs->items) < j->request->own)
		strbuf_addf(b, "config.ini:%d: ", pair->line);
	else if (pair && pair->line && j->request->script)
		strbuf_addf(b, "%s:%d: ", j->request->script, pair->line);
	else if (pair)
		strbuf_adds(b, "the profile's [defaults]: ");
	strbuf_addf(b, "%s: ", key);
}

/* ---- one partition ---- */

static const char *fits_time(const struct judge *j, const struct limits_partition *p,
	struct strbuf *why)
{
	/* Slurm's times are minutes. */
	if (j->time_s == LIMITS_NONE || p->max_time_s == LIMITS_NONE ||
		(j->time_s != INT64_MAX && (j->time_s + 59) / 60 <= p->max_time_s / 60))
		return NULL;
	if (j->time_s == INT64_MAX)
		strbuf_adds(why, "UNLIMITED");
	else
		limits_add_time(why, j->time_s);
	strbuf_adds(why, " is over the ");
	limits_add_time(why, p->max_time_s);
	strbuf_addf(why, " that the partition %s allows", p->name);
	return j->time_key;
}

static const char *fits_nodes(const struct judge *j, const struct limits_partition *p,
	struct strbuf *why)
{
	if (j->nodes == LIMITS_NONE)
		return NULL;
	if (p->max_nodes != LIMITS_NONE && j->nodes > p->max_nodes)
		strbuf_addf(why, "%lld is over the %lld that the partition %s allows a job",
			(long long)j->nodes, (long long)p->max_nodes, p->name);
	else if (p->total_nodes != LIMITS_NONE && j->nodes > p->total_nodes)
		strbuf_addf(why, "%lld, where the partition %s has %lld", (long long)j->nodes, p->name,
			(long long)p->total_nodes);
	else if (p->min_nodes != LIMITS_NONE && j->most_nodes < p->min_nodes)
		strbuf_addf(why, "%lld is under the %lld that the partition %s wants of a job",
			(long long)j->most_nodes, (long long)p->min_nodes, p->name);
	else
		return NULL;
	return "nodes";
}

static bool any_in_list(const char *of, const char *list)
{
	AUTO_FREE char *names = xstrdup(of);
	char *rest = NULL;

	for (char *name = strtok_r(names, ",", &rest); name; name = strtok_r(NULL, ",", &rest))
		if (limits_in_list(list, name))
			return true;
	return false;
}

static const char *fits_access(const struct judge *j, const struct limits_partition *p,
	struct strbuf *why)
{
	/* Slurm lets root everywhere. */
	bool person = *j->limits->user && strcmp(j->limits->user, "root");

	if (person && p->root_only)
		strbuf_addf(why, "the partition %s is for root alone", p->name);
	else if (person && p->allow_groups && *j->limits->groups &&
		!any_in_list(j->limits->groups, p->allow_groups))
		strbuf_addf(why, "the partition %s takes only members of the groups %s", p->name,
			p->allow_groups);
	else if (j->account && p->allow_accounts && !limits_in_list(p->allow_accounts, j->account))
		strbuf_addf(why, "the partition %s takes only the accounts %s, and the job's is %s",
			p->name, p->allow_accounts, j->account);
	else if (j->account && limits_in_list(p->deny_accounts, j->account))
		strbuf_addf(why, "the partition %s does not take the account %s", p->name, j->account);
	else if (j->qos && p->allow_qos && !limits_in_list(p->allow_qos, j->qos))
		strbuf_addf(why, "the partition %s takes only the QOS %s, and the job's is %s", p->name,
			p->allow_qos, j->qos);
	else if (j->qos && limits_in_list(p->deny_qos, j->qos))
		strbuf_addf(why, "the partition %s does not take the QOS %s", p->name, j->qos);
	else if (p->needs_reservation && !jobspec_slurm(j->request->spec, "reservation"))
		strbuf_addf(why, "the partition %s takes only jobs with a reservation", p->name);
	else
		return NULL;
	return "partition";
}

/* Each returns the key that breaks a limit of the partition, with a sentence; NULL where it fits. */
static const char *(*const checks[])(const struct judge *j, const struct limits_partition *p,
	struct strbuf *why) = {fits_access, fits_time, fits_nodes, limits_fit_cpus,
	limits_fit_memory, limits_fit_gres, limits_fit_features};

#define CHECKS (sizeof(checks) / sizeof(*checks))

static bool fits(const struct judge *j, const struct limits_partition *p)
{
	for (size_t i = 0; i < CHECKS; i++)
		if (checks[i](j, p, NULL))
			return false;
	return true;
}

/* "; long, short would take it". */
static void add_takers(const struct judge *j, struct strbuf *b)
{
	struct names names = {.text = STRBUF_INIT};

	for (size_t i = 0; i < j->limits->partition_count; i++) {
		const struct limits_partition *p = &j->limits->partitions[i];

		if (!p->hidden && (!*p->state || !strcasecmp(p->state, "UP")) && fits(j, p))
			add_name(&names, p->name, strlen(p->name));
	}
	end_names(&names);
	if (names.count)
		strbuf_addf(b, "; %s would take it\n", names.text.data);
	else
		strbuf_adds(b, "; no partition would take it\n");
	strbuf_release(&names.text);
}

static void judge_state(const struct judge *j, const struct limits_partition *p,
	struct strbuf *waits)
{
	bool told = false, up = false;

	if (*p->state && strcasecmp(p->state, "UP")) {
		strbuf_addf(waits, "the partition %s is in the state %s: the job waits until it is UP\n",
			p->name, p->state);
		return;
	}
	for (size_t i = 0; i < j->limits->nodes_count; i++) {
		const struct limits_nodes *n = &j->limits->nodes[i];

		if (strcmp(n->partition, p->name))
			continue;
		told = true;
		up |= strncasecmp(n->state, "down", 4) && strncasecmp(n->state, "drain", 5);
	}
	if (told && !up)
		strbuf_addf(waits, "all nodes of the partition %s are down or drained: the job waits\n",
			p->name);
}

static void judge_partition(const struct judge *j, const struct limits_partition *p,
	struct strbuf *broken, struct strbuf *waits)
{
	for (size_t i = 0; i < CHECKS; i++) {
		struct strbuf why AUTO_STRBUF = STRBUF_INIT;
		const char *key = checks[i](j, p, &why);

		if (!key)
			continue;
		add_place(j, key, broken);
		strbuf_add(broken, why.data, why.len);
		add_takers(j, broken);
	}
	judge_state(j, p, waits);
}

/* ---- names ---- */

/* "the cluster has no partition "x"; did you mean y?" of names that are there. */
static void add_unknown(struct strbuf *b, const char *what, const char *name,
	const char *const *there, size_t count)
{
	const char *near = name_nearest(name, there, count);

	strbuf_addf(b, "%s ", what);
	slurm_value_quote(b, name);
	if (near)
		strbuf_addf(b, "; did you mean %s?", near);
}

static void unknown_partition(const struct judge *j, const char *name, struct strbuf *broken)
{
	const struct limits *l = j->limits;
	AUTO_FREE const char **there = xcalloc(l->partition_count, sizeof(*there));

	for (size_t i = 0; i < l->partition_count; i++)
		there[i] = l->partitions[i].name;
	add_place(j, "partition", broken);
	add_unknown(broken, "the cluster has no partition", name, there, l->partition_count);
	add_takers(j, broken);
}

static void judge_partitions(const struct judge *j, struct strbuf *broken, struct strbuf *waits)
{
	const char *wanted = jobspec_slurm(j->request->spec, "partition");
	AUTO_FREE char *names = xstrdup(wanted ? wanted : "");
	const struct limits *l = j->limits;
	char *rest = NULL;

	for (char *name = strtok_r(names, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
		const struct limits_partition *p = limits_partition(l, name, strlen(name));

		if (p)
			judge_partition(j, p, broken, waits);
		else
			unknown_partition(j, name, broken);
	}
	if (wanted)
		return;
	for (size_t i = 0; i < l->partition_count; i++)
		if (l->partitions[i].is_default) {
			judge_partition(j, &l->partitions[i], broken, waits);
			return;
		}
	add_place(j, "partition", broken);
	strbuf_adds(broken, "the cluster has no default partition, so one must be named");
	add_takers(j, broken);
}

static void judge_account(const struct judge *j, struct strbuf *broken)
{
	const char *wanted = jobspec_slurm(j->request->spec, "account");
	const struct limits *l = j->limits;
	struct names names = {.text = STRBUF_INIT};

	if (!wanted || !l->assoc_count)
		return;
	AUTO_FREE const char **there = xcalloc(l->assoc_count, sizeof(*there));
	for (size_t i = 0; i < l->assoc_count; i++) {
		const char *name = there[i] = l->assocs[i].account;
		bool again = false;

		if (!strcasecmp(name, wanted)) {
			strbuf_release(&names.text);
			return;
		}
		for (size_t k = 0; k < i; k++)
			again |= !strcmp(there[k], name);
		if (!again)
			add_name(&names, name, strlen(name));
	}
	end_names(&names);
	add_place(j, "account", broken);
	add_unknown(broken, "you have no account", wanted, there, l->assoc_count);
	strbuf_addf(broken, "; yours: %s\n", names.text.data);
	strbuf_release(&names.text);
}

/* The QOS that the job's account may use, commas between them: "" where it is not told. */
static void add_qos_of(const struct judge *j, struct strbuf *b)
{
	for (size_t i = 0; i < j->limits->assoc_count; i++) {
		const struct limits_assoc *a = &j->limits->assocs[i];

		if (*a->qos && (!j->account || !strcasecmp(a->account, j->account)))
			strbuf_addf(b, "%s%s", b->len ? "," : "", a->qos);
	}
}

static void judge_qos(const struct judge *j, struct strbuf *broken)
{
	const char *wanted = jobspec_slurm(j->request->spec, "qos");
	struct strbuf may AUTO_STRBUF = STRBUF_INIT;
	struct names names = {.text = STRBUF_INIT};
	const char *there[256];
	char *rest = NULL;
	size_t count = 0;

	add_qos_of(j, &may);
	if (!wanted || strchr(wanted, ',') || !may.len || limits_in_list(may.data, wanted))
		return;
	for (char *name = strtok_r(may.data, ",", &rest); name && count < 256;
		name = strtok_r(NULL, ",", &rest)) {
		add_name(&names, name, strlen(name));
		there[count++] = name;
	}
	end_names(&names);
	add_place(j, "qos", broken);
	add_unknown(broken, "you may not use a QOS", wanted, there, count);
	strbuf_addf(broken, "; those of %s%s: %s\n", j->account ? "the account " : "your accounts",
		j->account ? j->account : "", names.text.data);
	strbuf_release(&names.text);
}

/* ---- the request ---- */

static int64_t count_of(const struct jobspec *spec, const char *key, int64_t otherwise)
{
	const char *value = jobspec_slurm(spec, key);

	return value ? strtoll(value, NULL, 10) : otherwise;
}

static void read_request(struct judge *j)
{
	const struct jobspec *spec = j->request->spec;
	const char *nodes = jobspec_slurm(spec, "nodes"), *time;

	/* Slurm holds the least time against the limit where one is given. */
	j->time_key = jobspec_slurm(spec, "time_min") ? "time_min" : "time";
	time = jobspec_slurm(spec, j->time_key);
	long long s = time ? slurm_value_seconds(time) : -2;
	j->time_s = s == -1 ? INT64_MAX : s < 0 ? LIMITS_NONE : s;
	j->nodes = j->most_nodes = count_of(spec, "nodes", LIMITS_NONE);
	if (nodes && strchr(nodes, '-'))
		j->most_nodes = strtoll(strchr(nodes, '-') + 1, NULL, 10);
	j->tasks = count_of(spec, "ntasks", 1);
	j->cpus_per_task = count_of(spec, "cpus_per_task", 1);
	j->tasks_per_node = count_of(spec, "ntasks_per_node", 1);
}

/* What Slurm takes where the job says nothing; NULL where that is not known. */
static void read_account(struct judge *j)
{
	const struct limits *l = j->limits;

	j->account = jobspec_slurm(j->request->spec, "account");
	if (!j->account && *l->default_account)
		j->account = l->default_account;
	j->qos = jobspec_slurm(j->request->spec, "qos");
	for (size_t i = 0; i < l->assoc_count && !j->qos && j->account; i++)
		if (!strcasecmp(l->assocs[i].account, j->account) && !*l->assocs[i].partition &&
			*l->assocs[i].default_qos)
			j->qos = l->assocs[i].default_qos;
	if (j->qos && strchr(j->qos, ','))
		j->qos = NULL;
}

void limits_judge(const struct limits_request *request, const struct limits *limits,
	struct strbuf *broken, struct strbuf *waits)
{
	struct judge j = {.request = request, .limits = limits};

	if (!limits || limits->partitions_status || !limits->partition_count)
		return;
	read_request(&j);
	read_account(&j);
	judge_partitions(&j, broken, waits);
	judge_account(&j, broken);
	judge_qos(&j, broken);
}
