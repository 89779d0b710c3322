#include "jobrecord.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "tasks.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define HEX DIGITS "abcdef"
/* Until the year 9999, so that every time can be shown. */
#define LATEST_S INT64_C(253402300799)
#define FACTS_MAX 4096
#define TASKS_MAX 3000

/* Of the facts in a job's info those that tell of its run; no other key gets into it from a record. */
static const char *const fact_keys[] = {"exit_code", "signal", "node_list", "partition", "account",
	"qos", "time_limit", "req_mem", "max_rss", "submit_time", "start_time", "end_time",
	"elapsed", "tasks"};

/* ---- writing ---- */

void jobrecord_write(const struct job *job, const struct installation *installation,
	struct strbuf *ret)
{
	strbuf_addf(ret, "version = 1\ninstallation = %s\nowner = %s\nname = %s\nuuid = %s\n"
		"created = %lld\n", installation->id, installation->owner, job->name, job->uuid,
		(long long)(job->created_ns / 1000000000));
	/* A path that cannot stand in one line is left out; where it lies follows from the folder. */
	if (*job->project_dir && !strpbrk(job->project_dir, "\n\r"))
		strbuf_addf(ret, "project_dir = %s\n", job->project_dir);
}

static bool is_fact(const char *line, size_t len)
{
	for (size_t i = 0; i < sizeof(fact_keys) / sizeof(*fact_keys); i++) {
		size_t key = strlen(fact_keys[i]);

		if (len > key + 3 && !memcmp(line, fact_keys[i], key) &&
			!memcmp(line + key, " = ", 3))
			return true;
	}
	return false;
}

static void write_tasks(const struct tasks *tasks, struct strbuf *ret)
{
	struct strbuf words AUTO_STRBUF = STRBUF_INIT;

	tasks_print_words(tasks, TASKS_MAX, &words);
	for (const char *line = words.data; *line; line = strchr(line, '\n') + 1)
		strbuf_addf(ret, "task = %.*s\n", (int)strcspn(line, "\n"), line);
}

void jobrecord_write_state(const struct job *job, struct strbuf *ret)
{
	strbuf_addf(ret, "version = 1\nuuid = %s\nslurm_id = %s\nstate = %s\nended = %lld\n"
		"results = %s\n", job->uuid, job->slurm_id, job->state,
		(long long)(job->ended_ns / 1000000000),
		job->kept ? "kept" : job->discarded ? "discarded" : "open");
	size_t before = ret->len;
	for (const char *line = job->facts; *line;) {
		size_t len = strcspn(line, "\n");

		if (is_fact(line, len) && ret->len - before + len + 9 < FACTS_MAX)
			strbuf_addf(ret, "fact = %.*s\n", (int)len, line);
		line += len + (line[len] == '\n');
	}
	if (job->tasks)
		write_tasks(job->tasks, ret);
}

/* ---- reading ---- */

/* The next line of a text as key and value; 1, 0 at the end, -EINVAL. */
static int next_pair(const char **at, const char *end, char key[16], const char **value, size_t *len)
{
	if (*at == end)
		return 0;
	const char *newline = memchr(*at, '\n', (size_t)(end - *at));
	if (!newline)
		return -EINVAL;
	size_t n = 0;
	while (n < 15 && *at + n < newline && strchr(LOWER "_", (*at)[n]))
		n++;
	if (!n || newline - *at < (ptrdiff_t)n + 3 || memcmp(*at + n, " = ", 3))
		return -EINVAL;
	memcpy(key, *at, n);
	key[n] = '\0';
	*value = *at + n + 3;
	*len = (size_t)(newline - *value);
	for (size_t i = 0; i < *len; i++)
		if ((unsigned char)(*value)[i] < ' ' || (*value)[i] == 127)
			return -EINVAL;
	*at = newline + 1;
	return 1;
}

/* A value of 1 to `size` - 1 characters of `allowed`, once. */
static int take_word(char *field, size_t size, const char *allowed, const char *value, size_t len)
{
	if (*field || !len || len >= size)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if (!strchr(allowed, value[i]))
			return -EINVAL;
	memcpy(field, value, len);
	field[len] = '\0';
	return 0;
}

static int take_time(int64_t *field, const char *value, size_t len)
{
	int64_t seconds = 0;

	if (!len || len > 12)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (value[i] < '0' || value[i] > '9')
			return -EINVAL;
		seconds = 10 * seconds + (value[i] - '0');
	}
	if (seconds > LATEST_S)
		return -EINVAL;
	*field = seconds;
	return 0;
}

static int take_version(const char *value, size_t len)
{
	return len == 1 && *value == '1' ? 0 : -EINVAL;
}

static bool is_uuid(const char *text)
{
	if (strlen(text) != 36)
		return false;
	for (size_t i = 0; i < 36; i++)
		if ((text[i] == '-') != (i == 8 || i == 13 || i == 18 || i == 23))
			return false;
	return true;
}

static int take_path(char **field, const char *value, size_t len)
{
	if (*field || !len || *value != '/')
		return -EINVAL;
	*field = xstrndup(value, len);
	return 0;
}

static int take_pair(struct jobrecord *r, const char *key, const char *value, size_t len)
{
	if (!strcmp(key, "version"))
		return take_version(value, len);
	if (!strcmp(key, "installation"))
		return take_word(r->installation, sizeof(r->installation), HEX, value, len);
	if (!strcmp(key, "owner"))
		return take_word(r->owner, sizeof(r->owner), LOWER UPPER DIGITS "._-@", value, len);
	if (!strcmp(key, "name"))
		return take_word(r->name, sizeof(r->name), LOWER UPPER DIGITS "._-", value, len);
	if (!strcmp(key, "uuid"))
		return take_word(r->uuid, sizeof(r->uuid), HEX "-", value, len);
	if (!strcmp(key, "created"))
		return take_time(&r->created_s, value, len);
	if (!strcmp(key, "project_dir"))
		return take_path(&r->project_dir, value, len);
	/* A later version may say more. */
	return 0;
}

int jobrecord_parse(const char *text, size_t len, struct jobrecord *ret)
{
	const char *at = text, *end = text + len, *value;
	char key[16];
	size_t n;
	int r = len > JOBRECORD_MAX || memchr(text, '\0', len) ? -EINVAL : 1;

	*ret = (struct jobrecord){.created_s = 0};
	while (r > 0 && (r = next_pair(&at, end, key, &value, &n)) > 0)
		if (take_pair(ret, key, value, n) < 0)
			r = -EINVAL;
	if (r == 0 && strlen(ret->installation) == INSTALLATION_ID_SIZE - 1 && *ret->owner &&
		ret->created_s && is_uuid(ret->uuid) && jobspec_check_name(ret->name) == 0) {
		if (!ret->project_dir)
			ret->project_dir = xstrdup("");
		return 0;
	}
	jobrecord_release(ret);
	return -EINVAL;
}

static int take_fact(struct strbuf *facts, const char *value, size_t len)
{
	if (!is_fact(value, len))
		return -EINVAL;
	if (facts->len + len < FACTS_MAX) {
		strbuf_add_escaped(facts, value, len);
		strbuf_addc(facts, '\n');
	}
	return 0;
}

static int take_results(struct jobrecord_state *s, const char *value, size_t len)
{
	s->kept = len == 4 && !memcmp(value, "kept", 4);
	s->discarded = len == 9 && !memcmp(value, "discarded", 9);
	return s->kept || s->discarded || (len == 4 && !memcmp(value, "open", 4)) ? 0 : -EINVAL;
}

static int take_tasks(struct strbuf *tasks, const char *value, size_t len)
{
	size_t word = len ? strspn(value, UPPER "_") : 0;

	if (!word || word >= len || value[word] != ' ' ||
		word + 1 + strspn(value + word + 1, DIGITS ",-") < len)
		return -EINVAL;
	strbuf_add(tasks, value, len);
	strbuf_addc(tasks, '\n');
	return 0;
}

static int take_state_pair(struct jobrecord_state *s, struct strbuf *facts, struct strbuf *tasks,
	const char *key, const char *value, size_t len)
{
	if (!strcmp(key, "version"))
		return take_version(value, len);
	if (!strcmp(key, "uuid"))
		return take_word(s->uuid, sizeof(s->uuid), HEX "-", value, len);
	if (!strcmp(key, "slurm_id"))
		return take_word(s->slurm_id, sizeof(s->slurm_id), DIGITS, value, len);
	if (!strcmp(key, "state"))
		return take_word(s->state, sizeof(s->state), UPPER "_", value, len);
	if (!strcmp(key, "ended"))
		return take_time(&s->ended_s, value, len);
	if (!strcmp(key, "results"))
		return take_results(s, value, len);
	if (!strcmp(key, "fact"))
		return take_fact(facts, value, len);
	if (!strcmp(key, "task"))
		return take_tasks(tasks, value, len);
	return 0;
}

int jobrecord_parse_state(const char *text, size_t len, struct jobrecord_state *ret)
{
	struct strbuf facts AUTO_STRBUF = STRBUF_INIT, tasks AUTO_STRBUF = STRBUF_INIT;
	const char *at = text, *end = text + len, *value;
	char key[16];
	size_t n;
	int r = len > JOBRECORD_MAX || memchr(text, '\0', len) ? -EINVAL : 1;

	*ret = (struct jobrecord_state){.ended_s = 0};
	while (r > 0 && (r = next_pair(&at, end, key, &value, &n)) > 0)
		if (take_state_pair(ret, &facts, &tasks, key, value, n) < 0)
			r = -EINVAL;
	if (r < 0 || !is_uuid(ret->uuid) || !*ret->slurm_id || !*ret->state) {
		/* Nobody must take the part that could be read for the whole. */
		*ret = (struct jobrecord_state){.ended_s = 0};
		return -EINVAL;
	}
	ret->facts = strbuf_steal(&facts);
	ret->tasks = strbuf_steal(&tasks);
	return 0;
}

void jobrecord_release(struct jobrecord *record)
{
	free(STEAL(record->project_dir));
}

void jobrecord_state_release(struct jobrecord_state *state)
{
	free(STEAL(state->facts));
	free(STEAL(state->tasks));
}
