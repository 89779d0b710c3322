#include "profile.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "ini.h"
#include "slurm_option.h"
#include "slurm_value.h"

#define TEXT_MAX (1024 * 1024)
#define PROBLEMS_MAX 50
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

enum kind { HOST, USER, LOCAL_PATH, CLUSTER_PATH, LINE, WHOLE, NUMBER, SIZE };

struct key {
	const char *section, *name;
	enum kind kind;
	size_t offset;
	double least, most;
};

#define TEXT(section, name, kind) {section, #name, kind, offsetof(struct profile, name), 0, 0}

static const struct key keys[] = {
	TEXT("cluster", host, HOST),
	TEXT("cluster", user, USER),
	{"cluster", "port", WHOLE, offsetof(struct profile, port), 1, 65535},
	TEXT("cluster", identity, LOCAL_PATH),
	TEXT("cluster", known_hosts, LOCAL_PATH),
	TEXT("cluster", jump, LINE),
	TEXT("cluster", scratch, CLUSTER_PATH),
	TEXT("cluster", project, CLUSTER_PATH),
	TEXT("cluster", setup, LINE),
	{"cluster", "submit_rate", WHOLE, offsetof(struct profile, submit_rate), 0, 10000},
	{"cluster", "work_timeout", WHOLE, offsetof(struct profile, work_timeout), 1, 3600},
	{"sync", "interval", WHOLE, offsetof(struct profile, sync_interval), 1, 86400},
	{"sync", "max_interval", WHOLE, offsetof(struct profile, sync_max_interval), 1, 86400},
	{"staging", "settle", NUMBER, offsetof(struct profile, settle), 0, 86400},
	{"staging", "settle_unnamed", NUMBER, offsetof(struct profile, settle_unnamed), 0, 86400},
	{"staging", "keep", SIZE, offsetof(struct profile, keep), 0, 0},
	{"staging", "streams", WHOLE, offsetof(struct profile, streams), 1, 6},
};

static const char *const sections[] = {"cluster", "defaults", "modules", "environment", "sync",
	"staging"};

struct profile *profile_new(void)
{
	struct profile *p = xcalloc(1, sizeof(*p));

	p->submit_rate = 20;
	p->work_timeout = 10;
	p->defaults = jobspec_new();
	p->sync_interval = 15;
	p->sync_max_interval = 120;
	p->settle = 2;
	p->settle_unnamed = 10;
	p->streams = 4;
	p->keep = UINT64_C(20) << 30;
	return p;
}

void profile_free(struct profile *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < COUNT(keys); i++)
		if (keys[i].kind < WHOLE)
			free(*(char **)((char *)p + keys[i].offset));
	jobspec_free(p->defaults);
	jobspec_pairs_free(&p->seen);
	free(p);
}

static int refuse(struct strbuf *why, const char *value, const char *sentence)
{
	slurm_value_quote(why, value);
	strbuf_adds(why, sentence);
	return -EINVAL;
}

static int set_number(const struct key *key, void *field, const char *value, struct strbuf *why)
{
	char *end;
	bool plain = *value && !value[strspn(value, "0123456789.")];
	double number = plain ? strtod(value, &end) : -1;

	if (!plain || *end || number < key->least || number > key->most ||
		(key->kind == WHOLE && number != (int)number)) {
		slurm_value_quote(why, value);
		strbuf_addf(why, " does not fit; allowed: a%s number from %g to %.0f",
			key->kind == WHOLE ? " whole" : "", key->least, key->most);
		return -EINVAL;
	}
	if (key->kind == WHOLE)
		*(int *)field = (int)number;
	else
		*(double *)field = number;
	return 0;
}

/* Bytes: 500M, 20G, 1T, or 0. */
static int set_size(void *field, const char *value, struct strbuf *why)
{
	static const char units[] = "KMGT";
	char *end = NULL;
	unsigned long long number = isdigit((unsigned char)*value) ? strtoull(value, &end, 10) : 0;
	const char *unit = end && *end ? strchr(units, *end) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;

	if (!end || strlen(value) > 8 || (unit ? end[1] != '\0' : *end || number)) {
		slurm_value_quote(why, value);
		strbuf_adds(why, " is no size; allowed: a whole number with K, M, G or T, or 0");
		return -EINVAL;
	}
	*(uint64_t *)field = (uint64_t)number << shift;
	return 0;
}

static char *home_path(const char *value)
{
	const char *home = getenv("HOME");

	if (strcmp(value, "~") && strncmp(value, "~/", 2))
		return xstrdup(value);
	if (!home || !*home) {
		struct passwd *user = getpwuid(getuid());

		home = user ? user->pw_dir : "";
	}
	return xasprintf("%s%s", home, value + 1);
}

static int set_text(const struct key *key, char **field, const char *value, struct strbuf *why)
{
	static const char *const refused[] = {
		[HOST] = " is no host; allowed: a name or address without blanks",
		[USER] = " is no user; allowed: a name without blanks",
		[CLUSTER_PATH] = " is not absolute; allowed: a path that begins with /, ~ or $VARIABLE",
	};
	/* ssh would take a leading - for an option. */
	bool bad = (key->kind == HOST || key->kind == USER) &&
		(*value == '-' || strpbrk(value, " '\"\\;|&$`<>()"));

	if (key->kind == CLUSTER_PATH)
		bad = !strchr("/~$", *value);
	if (bad)
		return refuse(why, value, refused[key->kind]);
	free(*field);
	*field = key->kind == LOCAL_PATH ? home_path(value) : xstrdup(value);
	return 0;
}

static int set_key(struct profile *p, const struct key *key, const char *value,
	struct strbuf *why)
{
	void *field = (char *)p + key->offset;

	if (!*value) {
		strbuf_adds(why, "it has no value; write one, or leave it out");
		return -EINVAL;
	}
	if (slurm_value_has_control(value)) {
		strbuf_adds(why, "a tab or control character in the value; write blanks");
		return -EINVAL;
	}
	if (key->kind == SIZE)
		return set_size(field, value, why);
	return key->kind >= WHOLE ? set_number(key, field, value, why) :
		set_text(key, field, value, why);
}

static const struct key *find_key(const char *section, const char *name)
{
	for (size_t i = 0; i < COUNT(keys); i++)
		if ((!section || !strcmp(keys[i].section, section)) && !strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

int profile_set(struct profile *p, const char *name, const char *value, struct strbuf *why)
{
	const struct key *key = find_key(NULL, name);
	const struct slurm_option *row = slurm_option_find(name);
	struct jobspec *d = p->defaults;

	if (key)
		return set_key(p, key, value, why);
	if (!row || row->instead)
		return -ENOENT;
	/* Of one group, what is given here replaces what the file says. */
	for (size_t i = d->slurm.count; i-- > 0;) {
		const struct slurm_option *other = slurm_option_find(d->slurm.items[i].key);

		if (other == row || (row->group && other->group == row->group)) {
			char *gone AUTO_FREE = xstrdup(d->slurm.items[i].key);
			jobspec_pairs_remove(&d->slurm, gone);
		}
	}
	jobspec_pairs_remove(&d->slurm_off, name);
	return jobspec_set(d, "slurm", name, value, 0, why);
}

struct reader {
	struct profile *profile;
	const char *path;
	size_t problems;
	struct strbuf *why;
};

static int problem(struct reader *r, int line, const char *key, const char *what)
{
	if (++r->problems > PROBLEMS_MAX)
		return -EINVAL;
	strbuf_addf(r->why, "%s:%d: ", r->path, line);
	strbuf_add_escaped(r->why, key, strnlen(key, 80));
	strbuf_addf(r->why, ": %s\n", what);
	return -EINVAL;
}

static int take_section(struct reader *r, const char *section, int line)
{
	struct strbuf what AUTO_STRBUF = STRBUF_INIT;
	char *title AUTO_FREE = xasprintf("[%s]", section);
	const char *near = name_nearest(section, sections, COUNT(sections));

	for (size_t i = 0; i < COUNT(sections); i++)
		if (!strcmp(section, sections[i]))
			return 0;
	strbuf_adds(&what, "there is no such section; ");
	if (!strcmp(section, "slurm"))
		near = "defaults";
	if (near)
		strbuf_addf(&what, "did you mean [%s]?", near);
	else
		strbuf_adds(&what, "allowed: [cluster], [defaults], [modules], [environment], [sync], "
			"[staging]");
	return problem(r, line, title, what.data);
}

static int unknown_key(struct reader *r, const char *section, const char *name, int line)
{
	struct strbuf what AUTO_STRBUF = STRBUF_INIT;
	const struct key *elsewhere = find_key(NULL, name);
	const char *names[COUNT(keys)];
	size_t count = 0;

	for (size_t i = 0; i < COUNT(sections); i++)
		if (!strcmp(section, sections[i]))
			count = 1;
	/* Of a section that is wrong itself, its own line has been reported. */
	if (*section && !count)
		return -EINVAL;
	count = 0;
	for (size_t i = 0; i < COUNT(keys); i++)
		if (!strcmp(keys[i].section, section))
			names[count++] = keys[i].name;
	const char *near = name_nearest(name, names, count);
	strbuf_addf(&what, *section ? "[%s] has no such key; " : "%sit stands before any section; ",
		section);
	if (elsewhere)
		strbuf_addf(&what, "%s belongs in [%s]", name, elsewhere->section);
	else if (near)
		strbuf_addf(&what, "did you mean %s?", near);
	else
		strbuf_adds(&what, count ? "allowed:" : "begin with [cluster]");
	for (size_t i = 0; !elsewhere && !near && i < count; i++)
		strbuf_addf(&what, "%s %s", i ? "," : "", names[i]);
	return problem(r, line, name, what.data);
}

static int take(void *arg, const char *section, const char *name, const char *value, int line)
{
	struct reader *r = arg;
	struct strbuf what AUTO_STRBUF = STRBUF_INIT;
	const struct key *key = name ? find_key(section, name) : NULL;
	bool slurm = !strcmp(section, "defaults");

	if (!name)
		return take_section(r, section, line);
	if (slurm || !strcmp(section, "modules") || !strcmp(section, "environment")) {
		int result = jobspec_set(r->profile->defaults, slurm ? "slurm" : section, name, value,
			line, &what);
		return result ? problem(r, line, name, what.data) : 0;
	}
	if (!key)
		return unknown_key(r, section, name, line);
	const struct jobspec_pair *first = jobspec_pairs_find(&r->profile->seen, name);
	if (first) {
		strbuf_addf(&what, "it is given twice, first in line %d; keep one of them", first->line);
		return problem(r, line, name, what.data);
	}
	jobspec_pairs_add(&r->profile->seen, name, "", line);
	return set_key(r->profile, key, value, &what) ? problem(r, line, name, what.data) : 0;
}

int profile_parse(struct profile *p, const char *text, size_t len, const char *path,
	struct strbuf *why)
{
	struct reader r = {.profile = p, .path = path, .why = why};

	jobspec_pairs_free(&p->seen);
	int result = ini_text_parse(text, len, take, &r, why, path);
	const struct jobspec_pair *most = jobspec_pairs_find(&p->seen, "max_interval");
	if (p->sync_max_interval < p->sync_interval) {
		if (most)
			result = problem(&r, most->line, "max_interval", "it is less than interval");
		else
			p->sync_max_interval = p->sync_interval;
	}
	if (r.problems > PROBLEMS_MAX)
		strbuf_addf(why, "%s: %zu more problems\n", path, r.problems - PROBLEMS_MAX);
	return result;
}

int profile_read_file(struct profile *p, const char *path, struct strbuf *why)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	FILE *file AUTO_FCLOSE = fopen(path, "re");
	char part[8192];
	size_t n;

	if (!file) {
		int error = errno;

		strbuf_addf(why, "cannot open %s: %s\n", path, strerror(error));
		return -error;
	}
	while (text.len <= TEXT_MAX && (n = fread(part, 1, sizeof(part), file)) > 0)
		strbuf_add(&text, part, n);
	if (ferror(file)) {
		int error = errno;

		strbuf_addf(why, "cannot read %s: %s\n", path, strerror(error));
		return -error;
	}
	if (text.len > TEXT_MAX) {
		strbuf_addf(why, "%s:1: the file is larger than %d bytes\n", path, TEXT_MAX);
		return -EINVAL;
	}
	return profile_parse(p, text.data, text.len, path, why);
}
