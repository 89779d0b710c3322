#include "cycle.h"

#include <stdlib.h>
#include <string.h>

#include "clusterinfo.h"
#include "err.h"
#include "jobstate.h"
#include "sync.h"

struct cycle *cycle_new(struct engine *e, size_t most)
{
	struct cycle *c = xcalloc(1, sizeof(*c));

	*c = (struct cycle){.engine = e, .words = STRBUF_INIT, .records = xstrdup(e->records),
		.user = xstrdup(e->user), .scratch = xstrdup(e->scratch), .sights = xcalloc(most + 1, sizeof(*c->sights)),
		.by_uuid = xcalloc(most + 1, sizeof(struct sight *)),
		.sent_ms = clock_mono_ms(e->clock)};
	return c;
}

void cycle_add(struct cycle *c, struct job *job, uint64_t before)
{
	struct sight *s = &c->sights[c->count++];

	*s = (struct sight){.job = job_ref(job), .before = before, .exit_code = -1, .signal = -1};
	if (job->tasks) {
		s->tasks = tasks_copy(job->tasks);
		tasks_begin(s->tasks);
	}
	snprintf(s->id, sizeof(s->id), "%s", job->slurm_id);
}

void cycle_free(struct cycle *c)
{
	for (size_t i = 0; i < c->count; i++) {
		job_unref(c->sights[i].job);
		free(c->sights[i].reason);
		free(c->sights[i].facts);
		tasks_unref(c->sights[i].tasks);
	}
	for (size_t i = 0; i < c->stray_count; i++)
		free(c->strays[i].workdir);
	free(c->strays);
	free(c->sights);
	free(c->by_uuid);
	free(c->scratch);
	free(c->records);
	free(c->user);
	strbuf_release(&c->words);
	free(c);
}

static int by_workdir(const void *a, const void *b)
{
	return strcmp(((const struct sight *)a)->job->workdir,
		((const struct sight *)b)->job->workdir);
}

static int compare_workdir(const void *key, const void *sight)
{
	const struct span *wanted = key;
	const char *workdir = ((const struct sight *)sight)->job->workdir;
	int order = strncmp(wanted->text, workdir, wanted->len);

	return order ? order : -(workdir[wanted->len] != '\0');
}

/* The sight of that work directory, which no other job has. */
static struct sight *find(struct cycle *c, struct span workdir)
{
	return bsearch(&workdir, c->sights, c->count, sizeof(*c->sights), compare_workdir);
}

static int by_uuid(const void *a, const void *b)
{
	const struct sight *const *left = a, *const *right = b;

	return strcmp((*left)->job->uuid, (*right)->job->uuid);
}

static int compare_uuid(const void *key, const void *sight)
{
	const struct sight *const *s = sight;

	return strcmp(key, (*s)->job->uuid);
}

static struct sight *find_uuid(struct cycle *c, const char *uuid)
{
	struct sight **found = bsearch(uuid, c->by_uuid, c->count, sizeof(struct sight *),
		compare_uuid);

	return found ? *found : NULL;
}

static void fact(struct strbuf *b, const char *key, struct span value)
{
	if (!value.len || (value.len == 3 && !memcmp(value.text, "N/A", 3)) ||
		(value.len == 6 && !memcmp(value.text, "(null)", 6)) ||
		(value.len == 13 && !memcmp(value.text, "None assigned", 13)))
		return;
	strbuf_addf(b, "%s = ", key);
	strbuf_add_escaped(b, value.text, value.len);
	strbuf_addc(b, '\n');
}

static void duration_fact(struct strbuf *b, const char *key, struct span value)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	if (value.len)
		slurm_add_duration(&text, value);
	fact(b, key, (struct span){text.data, text.len});
}

static void time_fact(struct strbuf *b, const char *key, int64_t seconds)
{
	char text[CLOCK_ISO_SIZE];

	if (seconds)
		strbuf_addf(b, "%s = %s\n", key, clock_iso(seconds * 1000000000, text));
}

static char *facts_of(const struct slurm_record *r)
{
	struct strbuf b = STRBUF_INIT;
	bool ended = jobstate_class(r->state) == JOBSTATE_ENDED;

	if (r->exit_code >= 0)
		strbuf_addf(&b, "exit_code = %d\n", r->exit_code);
	if (r->signal > 0)
		strbuf_addf(&b, "signal = %d\n", r->signal);
	fact(&b, "node_list", r->nodes);
	fact(&b, "partition", r->partition);
	fact(&b, "account", r->account);
	fact(&b, "qos", r->qos);
	duration_fact(&b, "time_limit", r->time_limit);
	fact(&b, "req_mem", r->req_mem);
	fact(&b, "max_rss", r->max_rss);
	time_fact(&b, "submit_time", r->submit_s);
	if (ended || jobstate_class(r->state) == JOBSTATE_ACTIVE)
		time_fact(&b, "start_time", strcmp(r->state, "PENDING") ? r->start_s : 0);
	if (ended) {
		time_fact(&b, "end_time", r->end_s);
		duration_fact(&b, "elapsed", r->elapsed);
	}
	return strbuf_steal(&b);
}

/* Ids are used again; a work directory, with letters of the job's UUID in its name, is not.  Times are of two
 * clocks, one of which may be wrong. */
static bool fits(const struct cycle *c, const struct slurm_record *r)
{
	return r->user.len == strlen(c->user) && !memcmp(r->user.text, c->user, r->user.len);
}

/* Whether what came is of the job that the store knows; if not, its id is noted. */
static bool is_known(struct sight *s, const char *id)
{
	if (!*s->job->slurm_id || !*id || !strcmp(s->job->slurm_id, id))
		return true;
	snprintf(s->rival, sizeof(s->rival), "%s", id);
	return false;
}

static uint64_t mix(uint64_t number, const void *bytes, size_t len)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < len; i++)
		number = (number ^ at[i]) * UINT64_C(1099511628211);
	/* So that what goes from one to the next field makes a difference. */
	return (number ^ 0xff) * UINT64_C(1099511628211);
}

/* All that is taken of a queue's record; how long the job has run is not. */
static uint64_t number_of(const struct slurm_record *r)
{
	const struct span fields[] = {r->reason, r->nodes, r->partition, r->account, r->qos,
		r->time_limit, r->user};
	int64_t times[] = {r->submit_s, strcmp(r->state, "PENDING") ? r->start_s : 0};
	uint64_t number = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		number = mix(number, fields[i].text, fields[i].len);
	number = mix(number, r->id, strlen(r->id));
	number = mix(number, r->state, strlen(r->state));
	number = mix(number, times, sizeof(times));
	return number ? number : 1;
}

static void take_record(struct sight *s, const struct slurm_record *r)
{
	if (!s->tasks && (r->task >= 0 || r->tasks.len))
		s->tasks = tasks_new();
	free(s->reason);
	free(s->facts);
	strcpy(s->state, r->state);
	strcpy(s->id, r->id);
	struct strbuf reason = STRBUF_INIT;
	strbuf_add_escaped(&reason, r->reason.text, r->reason.len);
	s->reason = strbuf_steal(&reason);
	s->facts = facts_of(r);
	s->exit_code = r->exit_code;
	s->signal = r->signal;
}

static void see_stray(struct cycle *c, const struct slurm_record *r)
{
	size_t len = strlen(c->scratch);

	if (jobstate_class(r->state) != JOBSTATE_ACTIVE || r->workdir.len <= len ||
		strncmp(r->workdir.text, c->scratch, len) || r->workdir.text[len] != '/')
		return;
	if (c->stray_count == c->stray_capacity) {
		c->stray_capacity = c->stray_capacity ? 2 * c->stray_capacity : 16;
		c->strays = xrealloc(c->strays, c->stray_capacity * sizeof(*c->strays));
	}
	struct stray *stray = &c->strays[c->stray_count++];
	strcpy(stray->id, r->id);
	strcpy(stray->state, r->state);
	stray->workdir = xstrndup(r->workdir.text, r->workdir.len);
}

static void see_queued(void *arg, const struct slurm_record *r)
{
	struct cycle *c = arg;
	struct sight *s = find(c, r->workdir);

	if (!s)
		see_stray(c, r);
	if (!s || !fits(c, r) ||
		(jobstate_class(r->state) == JOBSTATE_ENDED && *s->job->slurm_id && strcmp(s->job->slurm_id, r->id)))
		return;
	if (!is_known(s, r->id)) {
		s->rival_queued = true;
		return;
	}
	s->queued = true;
	if (!s->tasks && r->task < 0 && !r->tasks.len &&
		jobstate_class(r->state) != JOBSTATE_ENDED)
		s->now = number_of(r);
	if (s->now && s->now == s->before)
		return;
	take_record(s, r);
	if (s->tasks)
		tasks_see_queued(s->tasks, r);
}

static void see_accounted(void *arg, const struct slurm_record *r)
{
	struct cycle *c = arg;
	struct sight *s = find(c, r->workdir);

	if (!s || !fits(c, r) || (*s->job->slurm_id && strcmp(s->job->slurm_id, r->id)))
		return;
	/* squeue has it ended, the accounting not yet: the queue's word is newer. */
	if (!s->tasks && s->queued && (jobstate_class(s->state) != JOBSTATE_ENDED ||
		jobstate_class(r->state) != JOBSTATE_ENDED))
		return;
	s->accounted = true;
	take_record(s, r);
	if (s->tasks)
		tasks_see_accounted(s->tasks, r);
}

static void see_own_record(void *arg, const char *uuid, bool is_end,
	const struct slurm_endrecord *record)
{
	struct sight *s = find_uuid(arg, uuid);

	if (!s || !is_known(s, record->job))
		return;
	if (is_end) {
		s->ended = true;
		s->end = *record;
	} else {
		s->started = true;
		s->start = *record;
	}
}

static void see_task_record(void *arg, const char *uuid, uint64_t task,
	const struct slurm_endrecord *record)
{
	struct sight *s = find_uuid(arg, uuid);

	if (s && s->tasks)
		tasks_see_record(s->tasks, task, record);
}

/* For tasks that Slurm has forgotten, and no accounting remembers. */
static void ask_task_records(struct cycle *c)
{
	struct strbuf uuids AUTO_STRBUF = STRBUF_INIT;
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	for (size_t i = 0; i < c->count; i++)
		if (c->sights[i].tasks && tasks_want_records(c->sights[i].tasks))
			strbuf_addf(&uuids, "%s\n", c->sights[i].job->uuid);
	if (uuids.len &&
		sync_task_records(&c->engine->cluster, c->records, &uuids, &text) == 0)
		sync_each_task_record(&text, see_task_record, c);
}

static bool wants_accounts(const struct sight *s)
{
	if (s->tasks)
		return tasks_want_accounts(s->tasks);
	if (s->now)
		return false;
	return !s->queued || jobstate_class(s->state) == JOBSTATE_ENDED;
}

/* Of the jobs that are missing in the queue, or at their end there: the accounting and their records. */
static void ask_accounts(struct cycle *c)
{
	struct strbuf jobs AUTO_STRBUF = STRBUF_INIT;
	struct sync_accounts answer AUTO_ACCOUNTS = SYNC_ACCOUNTS_INIT;

	for (size_t i = 0; i < c->count; i++) {
		struct sight *s = &c->sights[i];

		if (*s->id && wants_accounts(s))
			strbuf_addf(&jobs, "%s %s\n", s->id, s->job->uuid);
	}
	if (!jobs.len || sync_accounts(&c->engine->cluster, c->records, &jobs, &answer) < 0)
		return;
	sync_each_record(&answer.records, see_own_record, c);
	if (answer.from_sacct) {
		slurm_parse_sacct(answer.text.data, answer.text.len, see_accounted, c);
		return;
	}
	for (char *at = answer.text.data, *line; (line = strsep(&at, "\n"));) {
		struct slurm_record record;

		if (slurm_parse_scontrol(line, strlen(line), &record) == 0)
			see_accounted(c, &record);
	}
}

void cycle_run(struct cycle *c)
{
	struct sync_answer answer;

	qsort(c->sights, c->count, sizeof(*c->sights), by_workdir);
	for (size_t i = 0; i < c->count; i++)
		c->by_uuid[i] = &c->sights[i];
	qsort(c->by_uuid, c->count, sizeof(struct sight *), by_uuid);
	c->result = sync_queue(&c->engine->cluster, &answer);
	if (c->result == 0) {
		c->queue_known = answer.queue_known;
		if (c->queue_known)
			clusterinfo_set_queue(model_cluster(c->engine->model), answer.queue.data,
				answer.queue.len, clock_real_ns(c->engine->clock));
		slurm_parse_squeue(answer.queue.data, answer.queue.len, see_queued, c);
		strbuf_add(&c->words, answer.words.data, answer.words.len);
		if (c->queue_known) {
			ask_accounts(c);
			ask_task_records(c);
		}
	}
	sync_answer_release(&answer);
}
