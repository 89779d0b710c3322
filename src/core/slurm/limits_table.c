/* What a cluster says, as tables for people. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "err.h"
#include "jobstate.h"
#include "cluster_limits.h"
#include "slurm_text.h"
#include "texttable.h"

void limits_add_memory(struct strbuf *b, int64_t mebibytes)
{
	if (mebibytes < 0)
		strbuf_adds(b, "?");
	else if (mebibytes < 1024)
		strbuf_addf(b, "%lldM", (long long)mebibytes);
	else if (mebibytes % 1024)
		strbuf_addf(b, "%lld.%lldG", (long long)mebibytes / 1024,
			(long long)mebibytes % 1024 * 10 / 1024);
	else
		strbuf_addf(b, "%lldG", (long long)mebibytes / 1024);
}

void limits_add_time(struct strbuf *b, int64_t s)
{
	if (s < 0) {
		strbuf_adds(b, "unlimited");
		return;
	}
	if (s >= 86400)
		strbuf_addf(b, "%lld-", (long long)s / 86400);
	strbuf_addf(b, "%02lld:%02lld:%02lld", (long long)s / 3600 % 24, (long long)s / 60 % 60,
		(long long)s % 60);
}

static void add_asked(struct strbuf *ret, int64_t asked_ns)
{
	char text[CLOCK_ISO_SIZE];

	strbuf_addf(ret, "# asked for at %s\n", clock_iso(asked_ns, text));
}

static void header(struct texttable *t, const char *const *names)
{
	for (size_t i = 0; i < t->columns; i++)
		texttable_adds(t, names[i]);
}

static void add_cell(struct texttable *t, struct strbuf *cell)
{
	texttable_add(t, cell->data, cell->len);
	strbuf_reset(cell);
}

/* ---- partitions ---- */

/* Whether some account of the user's may be used there; where no account is told, any may. */
static bool account_may(const struct limits *l, const struct limits_partition *p)
{
	if (!l->assoc_count)
		return true;
	for (size_t i = 0; i < l->assoc_count; i++) {
		const char *account = l->assocs[i].account;

		if (*l->assocs[i].partition && strcmp(l->assocs[i].partition, p->name))
			continue;
		if ((!p->allow_accounts || limits_in_list(p->allow_accounts, account)) &&
			!limits_in_list(p->deny_accounts, account))
			return true;
	}
	return false;
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

static bool qos_may(const struct limits *l, const struct limits_partition *p)
{
	bool told = false;

	for (size_t i = 0; i < l->assoc_count && p->allow_qos; i++) {
		told |= *l->assocs[i].qos != '\0';
		if (any_in_list(l->assocs[i].qos, p->allow_qos))
			return true;
	}
	return !told;
}

const char *limits_access(const struct limits *l, const struct limits_partition *p)
{
	if (!strcasecmp(p->state, "DRAIN"))
		return "no:drain";
	if (!strcasecmp(p->state, "INACTIVE"))
		return "no:inactive";
	/* Slurm lets root everywhere. */
	if (strcmp(l->user, "root")) {
		if (p->root_only)
			return "no:root-only";
		if (p->allow_groups && *l->groups && !any_in_list(l->groups, p->allow_groups))
			return "no:group";
	}
	if (!account_may(l, p))
		return "no:account";
	if (!qos_may(l, p))
		return "no:qos";
	if (!strcasecmp(p->state, "DOWN"))
		return "waits:down";
	if (p->needs_reservation)
		return "reservation";
	if ((p->allow_groups && !*l->groups) ||
		((p->allow_accounts || p->deny_accounts || p->allow_qos) && !l->assoc_count) ||
		strcasecmp(p->state, "UP"))
		return "unknown";
	return "yes";
}

static void add_list(struct strbuf *b, const char *what, const char *names)
{
	if (names)
		strbuf_addf(b, "%s%s:%s", b->len ? ";" : "", what, names);
}

static void add_access(struct texttable *t, const struct limits_partition *p)
{
	struct strbuf cell AUTO_STRBUF = STRBUF_INIT;

	if (p->root_only)
		strbuf_adds(&cell, "root");
	add_list(&cell, "accounts", p->allow_accounts);
	add_list(&cell, "not-accounts", p->deny_accounts);
	add_list(&cell, "groups", p->allow_groups);
	add_list(&cell, "qos", p->allow_qos);
	add_list(&cell, "not-qos", p->deny_qos);
	if (!cell.len)
		strbuf_adds(&cell, "all");
	add_cell(t, &cell);
}

/* The least and the most of a partition's nodes. */
struct extent {
	int64_t least, most;
	bool more;
};

static void widen(struct extent *e, int64_t value, bool more)
{
	if (value < 0)
		return;
	if (e->most < 0 || value < e->least)
		e->least = value;
	if (value > e->most)
		e->most = value;
	e->more |= more;
}

static void add_cpus(struct texttable *t, const struct extent *e)
{
	struct strbuf cell AUTO_STRBUF = STRBUF_INIT;

	if (e->most < 0)
		strbuf_adds(&cell, "?");
	else if (e->least < e->most)
		strbuf_addf(&cell, "%lld-%lld", (long long)e->least, (long long)e->most);
	else
		strbuf_addf(&cell, "%lld", (long long)e->most);
	strbuf_adds(&cell, e->more ? "+" : "");
	add_cell(t, &cell);
}

static void add_memory(struct texttable *t, const struct extent *e)
{
	struct strbuf cell AUTO_STRBUF = STRBUF_INIT;

	if (e->least < e->most) {
		limits_add_memory(&cell, e->least);
		strbuf_addc(&cell, '-');
	}
	limits_add_memory(&cell, e->most);
	strbuf_adds(&cell, e->more ? "+" : "");
	add_cell(t, &cell);
}

/* The kinds of GPUs and the most of them on a node: "a100:4,v100:2". */
static void add_gpus(struct texttable *t, const struct limits *l, const struct limits_partition *p)
{
	struct strbuf cell AUTO_STRBUF = STRBUF_INIT;

	for (size_t i = 0; i < l->nodes_count; i++) {
		const char *at = l->nodes[i].gres;
		struct limits_gres gres;

		while (!strcmp(l->nodes[i].partition, p->name) && limits_next_gres(&at, &gres)) {
			if (strcmp(gres.name, "gpu"))
				continue;
			AUTO_FREE char *kind = xasprintf("%s%s%lld", gres.type, *gres.type ? ":" : "",
				(long long)gres.count);
			if (limits_in_list(cell.data, kind))
				continue;
			strbuf_addf(&cell, "%s%s", cell.len ? "," : "", kind);
		}
	}
	add_cell(t, &cell);
}

static void add_partition(struct texttable *t, const struct limits *l,
	const struct limits_partition *p)
{
	struct extent cpus = {-1, -1, false}, memory = {-1, -1, false};
	struct strbuf cell AUTO_STRBUF = STRBUF_INIT;

	for (size_t i = 0; i < l->nodes_count; i++)
		if (!strcmp(l->nodes[i].partition, p->name)) {
			widen(&cpus, l->nodes[i].cpus, l->nodes[i].more_cpus);
			widen(&memory, l->nodes[i].memory, l->nodes[i].more_memory);
		}
	texttable_adds(t, p->name);
	texttable_adds(t, p->is_default ? "yes" : "no");
	texttable_adds(t, *p->state ? p->state : "?");
	limits_add_time(&cell, p->max_time_s);
	add_cell(t, &cell);
	if (p->total_nodes >= 0)
		strbuf_addf(&cell, "%lld", (long long)p->total_nodes);
	else
		strbuf_adds(&cell, "?");
	add_cell(t, &cell);
	if (p->max_nodes >= 0)
		strbuf_addf(&cell, "%lld", (long long)p->max_nodes);
	else
		strbuf_adds(&cell, "unlimited");
	add_cell(t, &cell);
	add_cpus(t, &cpus);
	add_memory(t, &memory);
	add_gpus(t, l, p);
	add_access(t, p);
	texttable_adds(t, limits_access(l, p));
}

static const char not_asked[] = "# not asked for yet\n";

/* A note where a command failed: nothing is shown that is not known. */
static void note_status(struct strbuf *ret, const char *command, const char *what, int status)
{
	if (status < 0)
		strbuf_addf(ret, "# Slurm was not asked for %s\n", what);
	else if (status == 127)
		strbuf_addf(ret, "# Slurm does not tell of %s: there is no %s\n", what, command);
	else if (status == 124)
		strbuf_addf(ret, "# Slurm does not tell of %s: %s did not answer\n", what, command);
	else if (status)
		strbuf_addf(ret, "# Slurm does not tell of %s: %s failed (exit status %d)\n", what,
			command, status);
}

void limits_render_partitions(const struct limits *l, struct strbuf *ret)
{
	static const char *const names[] = {"PARTITION", "DEFAULT", "STATE", "MAX_TIME", "NODES",
		"MAX_NODES", "CPUS", "MEMORY", "GPUS", "ACCESS", "TAKES_YOU"};
	struct texttable t = TEXTTABLE_INIT(sizeof(names) / sizeof(*names));

	if (!l) {
		strbuf_adds(ret, not_asked);
		return;
	}
	add_asked(ret, l->asked_ns);
	note_status(ret, "scontrol", "partitions", l->partitions_status);
	note_status(ret, "sinfo", "nodes", l->nodes_status);
	header(&t, names);
	for (size_t i = 0; i < l->partition_count; i++)
		add_partition(&t, l, &l->partitions[i]);
	texttable_render(&t, ret);
	texttable_release(&t);
}

/* ---- limits ---- */

static void sentence(struct strbuf *b, const char *before, const char *what, const char *after)
{
	if (*what)
		strbuf_addf(b, "%s%s%s%s", b->len ? "; " : "", before, what, after);
}

static void count_sentence(struct strbuf *b, int64_t count, const char *after)
{
	if (count >= 0)
		strbuf_addf(b, "%sat most %lld %s", b->len ? "; " : "", (long long)count, after);
}

static void time_sentence(struct strbuf *b, int64_t s)
{
	if (s < 0)
		return;
	strbuf_addf(b, "%sa job may take ", b->len ? "; " : "");
	limits_add_time(b, s);
}

static void add_assoc(struct texttable *t, const struct limits *l, const struct limits_assoc *a)
{
	struct strbuf cell AUTO_STRBUF = STRBUF_INIT;

	texttable_adds(t, a->account);
	texttable_adds(t, !strcmp(a->account, l->default_account) ? "yes" : "no");
	texttable_adds(t, *a->partition ? a->partition : "all");
	texttable_adds(t, a->qos);
	texttable_adds(t, a->default_qos);
	time_sentence(&cell, a->max_wall_s);
	count_sentence(&cell, a->max_jobs, "jobs run at a time");
	count_sentence(&cell, a->max_submit, "jobs are queued or run at a time");
	sentence(&cell, "a job has at most ", a->max_tres, "");
	sentence(&cell, "all jobs together have at most ", a->grp_tres, "");
	if (!cell.len)
		strbuf_adds(&cell, "no limits of its own");
	add_cell(t, &cell);
}

static void add_qos(struct texttable *t, const struct limits_qos *q)
{
	struct strbuf cell AUTO_STRBUF = STRBUF_INIT;

	texttable_adds(t, q->name);
	texttable_adds(t, q->flags);
	time_sentence(&cell, q->max_wall_s);
	count_sentence(&cell, q->max_jobs, "of your jobs run at a time");
	count_sentence(&cell, q->max_submit, "of your jobs are queued or run at a time");
	sentence(&cell, "a job has at most ", q->max_tres, "");
	sentence(&cell, "a job has at least ", q->min_tres, "");
	sentence(&cell, "your jobs together have at most ", q->max_tres_user, "");
	sentence(&cell, "everybody's jobs together have at most ", q->grp_tres, "");
	if (!cell.len)
		strbuf_adds(&cell, "no limits of its own");
	add_cell(t, &cell);
}

static bool may_use(const struct limits *l, const struct limits_qos *q)
{
	bool told = false;

	for (size_t i = 0; i < l->assoc_count; i++) {
		told |= *l->assocs[i].qos != '\0';
		if (limits_in_list(l->assocs[i].qos, q->name))
			return true;
	}
	for (size_t i = 0; i < l->partition_count; i++)
		if (l->partitions[i].qos && !strcmp(l->partitions[i].qos, q->name))
			return true;
	return !told;
}

void limits_render_limits(const struct limits *l, struct strbuf *ret)
{
	static const char *const accounts[] = {"ACCOUNT", "DEFAULT", "PARTITION", "QOS", "DEFAULT_QOS",
		"LIMITS"};
	static const char *const qos[] = {"QOS", "FLAGS", "LIMITS"};
	struct texttable a = TEXTTABLE_INIT(6), q = TEXTTABLE_INIT(3);

	if (!l) {
		strbuf_adds(ret, not_asked);
		return;
	}
	add_asked(ret, l->asked_ns);
	note_status(ret, "sacctmgr", "accounts", l->assocs_status);
	note_status(ret, "sacctmgr", "QOS", l->qos_status);
	header(&a, accounts);
	for (size_t i = 0; i < l->assoc_count; i++)
		add_assoc(&a, l, &l->assocs[i]);
	texttable_render(&a, ret);
	strbuf_addc(ret, '\n');
	header(&q, qos);
	for (size_t i = 0; i < l->qos_count; i++)
		if (may_use(l, &l->qos[i]))
			add_qos(&q, &l->qos[i]);
	texttable_render(&q, ret);
	texttable_release(&a);
	texttable_release(&q);
}

/* ---- queue ---- */

static void add_record(void *arg, const struct slurm_record *r)
{
	struct texttable *t = arg;
	struct strbuf id AUTO_STRBUF = STRBUF_INIT;

	if (jobstate_class(r->state) == JOBSTATE_ENDED)
		return;
	strbuf_adds(&id, r->id);
	if (r->task >= 0)
		strbuf_addf(&id, "_%lld", (long long)r->task);
	else if (r->tasks.len)
		strbuf_addf(&id, "_[%.*s]", (int)r->tasks.len, r->tasks.text);
	if (r->component >= 0)
		strbuf_addf(&id, "+%lld", (long long)r->component);
	add_cell(t, &id);
	texttable_add(t, r->partition.text, r->partition.len);
	texttable_adds(t, r->state);
	texttable_add(t, r->elapsed.text, r->elapsed.len);
	texttable_add(t, r->time_limit.text, r->time_limit.len);
	texttable_add(t, r->node_count.text, r->node_count.len);
	texttable_add(t, r->reason.text, r->reason.len);
	texttable_add(t, r->name.text, r->name.len);
}

void limits_render_queue(const char *text, size_t len, int64_t asked_ns, struct strbuf *ret)
{
	static const char *const names[] = {"ID", "PARTITION", "STATE", "TIME", "TIME_LIMIT", "NODES",
		"REASON", "NAME"};
	struct texttable t = TEXTTABLE_INIT(8);

	if (!asked_ns) {
		strbuf_adds(ret, not_asked);
		return;
	}
	add_asked(ret, asked_ns);
	header(&t, names);
	slurm_parse_squeue(text, len, add_record, &t);
	texttable_render(&t, ret);
	texttable_release(&t);
}
