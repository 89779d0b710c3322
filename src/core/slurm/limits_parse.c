/*
 * The answers of scontrol, sinfo and sacctmgr.  Their fields: Slurm's slurm_sprint_partition_info()
 * (src/api/partition_info.c), sinfo(1) and sacctmgr(1), 20.11 to 24.05.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "err.h"
#include "cluster_limits.h"
#include "slurm_text.h"
#include "slurm_value.h"

/* More is no cluster's. */
#define MOST_RECORDS 20000

static struct span take_until(struct span *rest, char stop)
{
	const char *at = rest->len ? memchr(rest->text, stop, rest->len) : NULL;
	size_t len = at ? (size_t)(at - rest->text) : rest->len;
	struct span taken = {rest->text, len};

	rest->text += len + (at != NULL);
	rest->len -= len + (at != NULL);
	return taken;
}

static bool is(struct span s, const char *text)
{
	return s.len == strlen(text) && !strncasecmp(s.text, text, s.len);
}

/* Escaped: names stand in messages and tables for people. */
static char *copy(struct span s)
{
	struct strbuf text = STRBUF_INIT;

	strbuf_add_escaped(&text, s.text, s.len);
	return strbuf_steal(&text);
}

/* A list of names, or NULL for what Slurm writes where there is none. */
static char *names(struct span s)
{
	if (!s.len || is(s, "ALL") || is(s, "(null)") || is(s, "N/A"))
		return NULL;
	return copy(s);
}

static char *text_of(struct span s)
{
	return is(s, "(null)") || is(s, "N/A") ? xstrdup("") : copy(s);
}

/* Digits up to twelve, with "+" behind them where `*more` is to be had; else LIMITS_NONE. */
static int64_t number(struct span s, bool *more)
{
	int64_t value = 0;
	size_t n = 0;

	if (more) {
		*more = s.len && s.text[s.len - 1] == '+';
		s.len -= *more;
	}
	for (; n < s.len && s.text[n] >= '0' && s.text[n] <= '9' && n < 12; n++)
		value = value * 10 + (s.text[n] - '0');
	return n && n == s.len ? value : LIMITS_NONE;
}

static int64_t seconds(struct span s)
{
	AUTO_FREE char *text = copy(s);
	long long value = strchr(text, ':') ? slurm_value_seconds(text) : -1;

	return value < 0 ? LIMITS_NONE : value;
}

/* ---- partitions ---- */

static void take_names(struct limits_partition *p, struct span key, struct span value)
{
	static const struct {
		const char *key;
		size_t offset;
	} lists[] = {
		{"AllowGroups", offsetof(struct limits_partition, allow_groups)},
		{"AllowAccounts", offsetof(struct limits_partition, allow_accounts)},
		{"DenyAccounts", offsetof(struct limits_partition, deny_accounts)},
		{"AllowQos", offsetof(struct limits_partition, allow_qos)},
		{"DenyQos", offsetof(struct limits_partition, deny_qos)},
		{"QoS", offsetof(struct limits_partition, qos)},
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		if (is(key, lists[i].key)) {
			char **list = (char **)((char *)p + lists[i].offset);

			free(*list);
			*list = names(value);
		}
}

static void take_number(struct limits_partition *p, struct span key, struct span value)
{
	if (is(key, "MaxTime"))
		p->max_time_s = seconds(value);
	else if (is(key, "DefaultTime"))
		p->default_time_s = seconds(value);
	else if (is(key, "MaxNodes"))
		p->max_nodes = number(value, NULL);
	else if (is(key, "MinNodes"))
		p->min_nodes = number(value, NULL);
	else if (is(key, "TotalNodes"))
		p->total_nodes = number(value, NULL);
	else if (is(key, "TotalCPUs"))
		p->total_cpus = number(value, NULL);
	else if (is(key, "MaxCPUsPerNode"))
		p->max_cpus_per_node = number(value, NULL);
	else if (is(key, "MaxMemPerNode"))
		p->max_mem_per_node = number(value, NULL);
}

static void take_pair(struct limits_partition *p, struct span key, struct span value)
{
	if (is(key, "State")) {
		free(p->state);
		p->state = copy(value);
	} else if (is(key, "Default")) {
		p->is_default = is(value, "YES");
	} else if (is(key, "Hidden")) {
		p->hidden = is(value, "YES");
	} else if (is(key, "RootOnly")) {
		p->root_only = is(value, "YES");
	} else if (is(key, "ReqResv")) {
		p->needs_reservation = is(value, "YES");
	} else {
		take_names(p, key, value);
		take_number(p, key, value);
	}
}

static void take_partition(struct limits *l, struct span line)
{
	struct span first = take_until(&line, ' ');
	struct span key = take_until(&first, '=');

	if (!is(key, "PartitionName") || !first.len || l->partition_count == MOST_RECORDS)
		return;
	l->partitions = xrealloc(l->partitions, (l->partition_count + 1) * sizeof(*l->partitions));
	struct limits_partition *p = &l->partitions[l->partition_count++];
	*p = (struct limits_partition){.name = copy(first), .state = xstrdup(""),
		.max_time_s = LIMITS_NONE, .default_time_s = LIMITS_NONE, .max_nodes = LIMITS_NONE,
		.min_nodes = LIMITS_NONE, .total_nodes = LIMITS_NONE, .total_cpus = LIMITS_NONE,
		.max_cpus_per_node = LIMITS_NONE, .max_mem_per_node = LIMITS_NONE};
	while (line.len) {
		struct span value = take_until(&line, ' ');

		key = take_until(&value, '=');
		take_pair(p, key, value);
	}
}

/* ---- nodes: partition, CPUs, memory, state, count, gres, features, separated by SLURM_SEPARATOR ---- */

static void take_nodes(struct limits *l, struct span line)
{
	struct span f[7];

	for (size_t i = 0; i < 7; i++) {
		if (i && !line.text)
			return;
		f[i] = take_until(&line, *SLURM_SEPARATOR);
	}
	int64_t count = number(f[4], NULL);
	if (!f[0].len || count < 1 || l->nodes_count == MOST_RECORDS)
		return;
	l->nodes = xrealloc(l->nodes, (l->nodes_count + 1) * sizeof(*l->nodes));
	struct limits_nodes *n = &l->nodes[l->nodes_count++];
	*n = (struct limits_nodes){.partition = copy(f[0]), .state = copy(f[3]), .count = count,
		.gres = text_of(f[5]), .features = text_of(f[6])};
	n->cpus = number(f[1], &n->more_cpus);
	n->memory = number(f[2], &n->more_memory);
}

/* ---- accounts and QOS: sacctmgr -P ---- */

static size_t split(struct span line, struct span *fields, size_t count)
{
	size_t n = 0;

	for (bool more = true; more && n < count; n++) {
		more = line.len && memchr(line.text, '|', line.len);
		fields[n] = take_until(&line, '|');
	}
	return n;
}

/* In the order of limits_query()'s format. */
static void take_assoc(struct limits *l, struct span line)
{
	struct span f[10];

	if (split(line, f, 10) < 10 || !f[1].len || l->assoc_count == MOST_RECORDS)
		return;
	l->assocs = xrealloc(l->assocs, (l->assoc_count + 1) * sizeof(*l->assocs));
	l->assocs[l->assoc_count++] = (struct limits_assoc){.account = copy(f[1]),
		.partition = copy(f[2]), .qos = copy(f[3]), .default_qos = copy(f[4]),
		.max_wall_s = seconds(f[5]), .max_jobs = number(f[6], NULL),
		.max_submit = number(f[7], NULL), .max_tres = copy(f[8]), .grp_tres = copy(f[9])};
}

static void take_qos(struct limits *l, struct span line)
{
	struct span f[9];

	if (split(line, f, 9) < 9 || !f[0].len || l->qos_count == MOST_RECORDS)
		return;
	l->qos = xrealloc(l->qos, (l->qos_count + 1) * sizeof(*l->qos));
	l->qos[l->qos_count++] = (struct limits_qos){.name = copy(f[0]), .flags = copy(f[1]),
		.max_wall_s = seconds(f[2]), .max_jobs = number(f[3], NULL),
		.max_submit = number(f[4], NULL), .max_tres = copy(f[5]),
		.max_tres_user = copy(f[6]), .grp_tres = copy(f[7]), .min_tres = copy(f[8])};
}

/* ---- the user ---- */

static void take_user(struct limits *l, struct span line)
{
	struct span key = take_until(&line, ' ');
	char **to = is(key, "user") ? &l->user : is(key, "groups") ? &l->groups :
		is(key, "account") ? &l->default_account : NULL;

	if (!to)
		return;
	free(*to);
	*to = copy(line);
	for (char *at = *to; *at; at++)
		if (*at == ' ')
			*at = ',';
}

/* ---- the whole ---- */

static void take_section(struct limits *l, const char *name, int status, struct span body)
{
	static const struct {
		const char *name;
		void (*take)(struct limits *l, struct span line);
		size_t status;
	} sections[] = {
		{"partitions", take_partition, offsetof(struct limits, partitions_status)},
		{"nodes", take_nodes, offsetof(struct limits, nodes_status)},
		{"assocs", take_assoc, offsetof(struct limits, assocs_status)},
		{"qos", take_qos, offsetof(struct limits, qos_status)},
		{"user", take_user, 0},
	};

	for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
		if (strcmp(name, sections[i].name))
			continue;
		if (sections[i].status)
			*(int *)((char *)l + sections[i].status) = status;
		while (body.len)
			sections[i].take(l, take_until(&body, '\n'));
	}
}

struct limits *limits_parse(const char *text, size_t len, int64_t asked_ns)
{
	struct limits *l = xcalloc(1, sizeof(*l));
	struct span rest = {text, len};

	l->refs = 1;
	l->asked_ns = asked_ns;
	l->user = xstrdup("");
	l->groups = xstrdup("");
	l->default_account = xstrdup("");
	l->partitions_status = l->nodes_status = l->assocs_status = l->qos_status = -1;
	while (rest.len) {
		struct span line = take_until(&rest, '\n');
		AUTO_FREE char *head = copy(line);
		char name[16];
		int status;
		size_t size;

		if (sscanf(head, "section %15s %d %zu", name, &status, &size) != 3 || size > rest.len)
			break;
		take_section(l, name, status, (struct span){rest.text, size});
		rest = (struct span){rest.text + size, rest.len - size};
		take_until(&rest, '\n');
	}
	return l;
}

struct limits *limits_ref(struct limits *l)
{
	if (l)
		l->refs++;
	return l;
}

static void free_partition(struct limits_partition *p)
{
	free(p->name);
	free(p->state);
	free(p->allow_groups);
	free(p->allow_accounts);
	free(p->deny_accounts);
	free(p->allow_qos);
	free(p->deny_qos);
	free(p->qos);
}

static void free_assoc(struct limits_assoc *a)
{
	free(a->account);
	free(a->partition);
	free(a->qos);
	free(a->default_qos);
	free(a->max_tres);
	free(a->grp_tres);
}

static void free_qos(struct limits_qos *q)
{
	free(q->name);
	free(q->flags);
	free(q->max_tres);
	free(q->max_tres_user);
	free(q->grp_tres);
	free(q->min_tres);
}

void limits_unref(struct limits *l)
{
	if (!l || --l->refs)
		return;
	for (size_t i = 0; i < l->partition_count; i++)
		free_partition(&l->partitions[i]);
	for (size_t i = 0; i < l->nodes_count; i++) {
		free(l->nodes[i].partition);
		free(l->nodes[i].gres);
		free(l->nodes[i].features);
		free(l->nodes[i].state);
	}
	for (size_t i = 0; i < l->assoc_count; i++)
		free_assoc(&l->assocs[i]);
	for (size_t i = 0; i < l->qos_count; i++)
		free_qos(&l->qos[i]);
	free(l->partitions);
	free(l->nodes);
	free(l->assocs);
	free(l->qos);
	free(l->user);
	free(l->groups);
	free(l->default_account);
	free(l);
}

const struct limits_partition *limits_partition(const struct limits *l, const char *name, size_t len)
{
	for (size_t i = 0; i < l->partition_count; i++)
		if (strlen(l->partitions[i].name) == len && !memcmp(l->partitions[i].name, name, len))
			return &l->partitions[i];
	return NULL;
}

bool limits_in_list(const char *list, const char *name)
{
	struct span rest = {list ? list : "", list ? strlen(list) : 0};

	while (rest.len)
		if (is(take_until(&rest, ','), name))
			return true;
	return false;
}

/* "gpu:a100:4(S:0,2)", "gpu:4", "gpu:a100:no_consume:4", "lustre:1K". */
static void read_gres(struct span entry, struct limits_gres *ret)
{
	struct span name = take_until(&entry, ':'), type = {"", 0};
	int64_t count = 1;

	while (entry.len) {
		struct span part = take_until(&entry, ':');
		int64_t unit = 1;

		if (!entry.len && part.len > 1 && strchr("KMG", part.text[part.len - 1])) {
			unit = part.text[part.len - 1] == 'K' ? 1 << 10 :
				part.text[part.len - 1] == 'M' ? 1 << 20 : 1 << 30;
			part.len--;
		}
		int64_t value = number(part, NULL);
		if (value >= 0 && value < (INT64_C(1) << 32))
			count = value * unit;
		else if (!type.len && !is(part, "no_consume"))
			type = (struct span){part.text, part.len + (unit > 1)};
	}
	snprintf(ret->name, sizeof(ret->name), "%.*s", (int)name.len, name.text);
	snprintf(ret->type, sizeof(ret->type), "%.*s", (int)type.len, type.text);
	ret->count = count;
}

bool limits_next_gres(const char **at, struct limits_gres *ret)
{
	while (**at == ',')
		++*at;
	size_t len = strcspn(*at, ",("), all = len;

	if (!len)
		return false;
	if ((*at)[all] == '(')
		all += strcspn(*at + all, ")");
	all += strcspn(*at + all, ",");
	read_gres((struct span){*at, len}, ret);
	*at += all;
	return true;
}
