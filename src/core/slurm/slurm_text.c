#include "slurm_text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "jobstate.h"
#include "slurm_amount.h"

void slurm_add_duration(struct strbuf *b, struct span text)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	char *copy AUTO_FREE = xstrndup(text.text, text.len);

	if (slurm_check_time(copy, true, b, &why) < 0)
		strbuf_add_escaped(b, text.text, text.len);
}

/* The order of a record's fields; squeue's are the first, but for the exit codes, which it lacks. */
enum field {
	F_ID, F_RAW_ID, F_STATE, F_USER, F_REASON, F_NODES, F_PARTITION, F_ACCOUNT, F_QOS, F_LIMIT,
	F_ELAPSED, F_SUBMIT, F_START, F_END, F_CPUS, F_NODE_COUNT, F_WORKDIR,
	SQUEUE_NAME,
	SACCT_EXIT = SQUEUE_NAME, SACCT_DERIVED, SACCT_REQ_MEM, SACCT_MAX_RSS, SACCT_NAME,
	MAX_FIELDS
};

#define S SLURM_SEPARATOR
const char slurm_squeue_format[] = "%i" S "%A" S "%T" S "%u" S "%r" S "%N" S "%P" S "%a" S "%q" S
	"%l" S "%M" S "%V" S "%S" S "%e" S "%C" S "%D" S "%Z" S "%j";
const char slurm_sacct_format[] = "JobID,JobIDRaw,State,User,Reason,NodeList,Partition,Account,QOS,"
	"Timelimit,Elapsed,Submit,Start,End,AllocCPUS,NNodes,WorkDir,ExitCode,DerivedExitCode,"
	"ReqMem,MaxRSS,JobName";
#undef S

static struct span next_line(const char **at, const char *end)
{
	const char *newline = memchr(*at, '\n', (size_t)(end - *at));
	struct span line = {*at, (size_t)((newline ? newline : end) - *at)};

	*at = newline ? newline + 1 : end;
	return line;
}

/* Takes the digits off the front of `s`.  Their value, or -1 where there are none or over 12. */
static int64_t take_number(struct span *s)
{
	int64_t value = 0;
	size_t n = 0;

	while (n < s->len && n <= 12 && isdigit((unsigned char)s->text[n]))
		value = value * 10 + (s->text[n++] - '0');
	if (!n || n > 12)
		return -1;
	*s = (struct span){s->text + n, s->len - n};
	return value;
}

/* The value of a span that is digits and nothing else, or -1. */
static int64_t number(struct span s)
{
	int64_t value = take_number(&s);

	return s.len ? -1 : value;
}

static bool take_text(struct span *s, const char *text)
{
	size_t n = strlen(text);

	if (s->len < n || memcmp(s->text, text, n))
		return false;
	*s = (struct span){s->text + n, s->len - n};
	return true;
}

int slurm_tasks_next(struct span *tasks, struct slurm_range *ret)
{
	if (!tasks->len || *tasks->text == '%')
		return 0;
	int64_t first = take_number(tasks), last = first, step = 1;
	if (take_text(tasks, "-")) {
		last = take_number(tasks);
		if (take_text(tasks, ":"))
			step = take_number(tasks);
	}
	if (first < 0 || last < first || step < 1 || last > UINT32_MAX || step > UINT32_MAX)
		return -EINVAL;
	if (take_text(tasks, ",") ? !tasks->len : tasks->len && *tasks->text != '%')
		return -EINVAL;
	*ret = (struct slurm_range){(uint32_t)first, (uint32_t)last, (uint32_t)step};
	return 1;
}

int slurm_parse_id(const char *text, size_t len, struct slurm_id *ret)
{
	struct span s = {text, len};

	*ret = (struct slurm_id){.task = -1, .component = -1};
	if (take_number(&s) < 0)
		return -EINVAL;
	memcpy(ret->job, text, len - s.len);
	if (take_text(&s, "_[")) {
		const char *close = memchr(s.text, ']', s.len);
		if (!close || close == s.text)
			return -EINVAL;
		ret->tasks = (struct span){s.text, (size_t)(close - s.text)};
		s = (struct span){close + 1, s.len - ret->tasks.len - 1};
	} else if ((take_text(&s, "_") && (ret->task = take_number(&s)) < 0) ||
		(take_text(&s, "+") && (ret->component = take_number(&s)) < 0)) {
		return -EINVAL;
	}
	if (take_text(&s, ".")) {
		ret->step = s;
		return s.len && !memchr(s.text, ' ', s.len) ? 0 : -EINVAL;
	}
	return s.len ? -EINVAL : 0;
}

/* Splits a line in `count` fields, the last of which takes what is left. */
static bool split(struct span line, struct span *fields, size_t count)
{
	for (size_t i = 0; i + 1 < count; i++) {
		const char *stop = memchr(line.text, *SLURM_SEPARATOR, line.len);

		if (!stop)
			return false;
		fields[i] = (struct span){line.text, (size_t)(stop - line.text)};
		line.len -= fields[i].len + 1;
		line.text = stop + 1;
	}
	fields[count - 1] = line;
	return true;
}

/* Seconds since 1970, or 0 for "Unknown", "N/A" and whatever else is no number. */
static int64_t epoch(struct span s)
{
	int64_t value = number(s);

	return value < 0 ? 0 : value;
}

static int fill_id(struct slurm_record *r, struct span id, struct span raw, struct span *step)
{
	struct slurm_id parsed, raw_parsed;

	if (slurm_parse_id(id.text, id.len, &parsed) < 0 ||
		slurm_parse_id(raw.text, raw.len, &raw_parsed) < 0)
		return -EINVAL;
	memcpy(r->id, parsed.job, sizeof(r->id));
	memcpy(r->raw_id, raw_parsed.job, sizeof(r->raw_id));
	r->task = parsed.task;
	r->component = parsed.component;
	r->tasks = parsed.tasks;
	*step = parsed.step;
	return 0;
}

static int fill(const struct span *f, struct span name, struct slurm_record *r, struct span *step)
{
	*r = (struct slurm_record){.user = f[F_USER], .reason = f[F_REASON], .nodes = f[F_NODES],
		.partition = f[F_PARTITION], .account = f[F_ACCOUNT], .qos = f[F_QOS],
		.time_limit = f[F_LIMIT], .elapsed = f[F_ELAPSED], .cpus = f[F_CPUS],
		.node_count = f[F_NODE_COUNT], .workdir = f[F_WORKDIR], .name = name,
		.submit_s = epoch(f[F_SUBMIT]), .start_s = epoch(f[F_START]),
		.end_s = epoch(f[F_END]), .exit_code = -1, .signal = -1, .derived_exit_code = -1};
	if (fill_id(r, f[F_ID], f[F_RAW_ID], step) < 0)
		return -EINVAL;
	return jobstate_from_slurm(f[F_STATE].text, f[F_STATE].len, r->state);
}

void slurm_parse_squeue(const char *text, size_t len, slurm_record_fn each, void *arg)
{
	const char *end = text + len;

	while (text < end) {
		struct span fields[MAX_FIELDS], step;
		struct slurm_record record;

		if (split(next_line(&text, end), fields, SQUEUE_NAME + 1) &&
			fill(fields, fields[SQUEUE_NAME], &record, &step) == 0 && !step.len)
			each(arg, &record);
	}
}

/* "3:9" is exit code 3, signal 9. */
static void read_exit(struct span s, int *code, int *signal)
{
	int64_t first = take_number(&s);
	int64_t second = take_text(&s, ":") ? number(s) : -1;

	if (first >= 0 && first <= 255 && second >= 0 && second <= 255) {
		*code = (int)first;
		*signal = (int)second;
	}
}

/* The runs of a requeued job have one id; the newest, which was submitted last, comes first. */
static int by_job(const void *left, const void *right)
{
	const struct slurm_record *a = left, *b = right;
	int order = strcmp(a->id, b->id);

	if (!order)
		order = (a->task > b->task) - (a->task < b->task);
	if (!order)
		order = (a->component > b->component) - (a->component < b->component);
	if (!order)
		order = (a->submit_s < b->submit_s) - (a->submit_s > b->submit_s);
	return order ? order : (a->start_s < b->start_s) - (a->start_s > b->start_s);
}

static bool same_job(const struct slurm_record *a, const struct slurm_record *b)
{
	return !strcmp(a->id, b->id) && a->task == b->task && a->component == b->component;
}

/* Reads a line of sacct into `r`: 1 for a job's, 2 for a step's, 0 for neither. */
static int sacct_line(struct span line, struct slurm_record *r)
{
	struct span f[MAX_FIELDS], step;
	int ignored;

	if (!split(line, f, SACCT_NAME + 1) || fill(f, f[SACCT_NAME], r, &step) < 0)
		return 0;
	read_exit(f[SACCT_EXIT], &r->exit_code, &r->signal);
	read_exit(f[SACCT_DERIVED], &r->derived_exit_code, &ignored);
	r->req_mem = f[SACCT_REQ_MEM];
	r->max_rss = f[SACCT_MAX_RSS];
	return step.len ? 2 : 1;
}

/* "9812K", "1.50G" in bytes, 0 for none. */
static double amount(struct span s)
{
	static const char units[] = "KMGT";
	double value = 0, place = 1;
	size_t n = 0;

	while (n < s.len && n < 16 && (isdigit((unsigned char)s.text[n]) || s.text[n] == '.')) {
		if (s.text[n] == '.')
			place = 0.1;
		else if (place < 1)
			value += place * (s.text[n] - '0'), place /= 10;
		else
			value = value * 10 + (s.text[n] - '0');
		n++;
	}
	const char *unit = n < s.len && s.text[n] ? strchr(units, s.text[n]) : NULL;
	for (const char *u = units; unit && u <= unit; u++)
		value *= 1024;
	return value;
}

/* What a step tells of its job. */
static void add_step(struct slurm_record *job, const struct slurm_record *step)
{
	if (!strcmp(job->state, "FAILED") && !strcmp(step->state, "OUT_OF_MEMORY"))
		memcpy(job->state, step->state, sizeof(step->state));
	if (amount(step->max_rss) > amount(job->max_rss))
		job->max_rss = step->max_rss;
}

void slurm_parse_sacct(const char *text, size_t len, slurm_record_fn each, void *arg)
{
	const char *end = text + len;
	AUTO_FREE struct slurm_record *jobs = NULL;
	size_t count = 0, capacity = 0;

	/* All are collected first: with -D a job's runs stand far apart. */
	while (text < end) {
		struct slurm_record r;
		int kind = sacct_line(next_line(&text, end), &r);
		struct slurm_record *job = count ? &jobs[count - 1] : NULL;

		if (kind == 1) {
			if (count == capacity)
				jobs = xrealloc(jobs, (capacity = 2 * capacity + 64) * sizeof(*jobs));
			jobs[count++] = r;
		} else if (kind == 2 && job && same_job(job, &r)) {
			add_step(job, &r);
		}
	}
	if (count)
		qsort(jobs, count, sizeof(*jobs), by_job);
	for (size_t i = 0; i < count; i++)
		if (!i || !same_job(&jobs[i - 1], &jobs[i]))
			each(arg, &jobs[i]);
}

static bool is_key(struct span s)
{
	size_t n = 0;

	while (n < s.len && (isalnum((unsigned char)s.text[n]) || strchr("_/:.", s.text[n])) &&
		s.text[n])
		n++;
	return n && n < s.len && s.text[n] == '=' && isupper((unsigned char)*s.text);
}

/* The value of "KEY=" in a line of `scontrol show -o`, up to the next key: it may have blanks. */
static struct span value_of(struct span line, const char *key)
{
	size_t key_len = strlen(key);

	for (size_t i = 0; i + key_len < line.len; i++) {
		if ((i && line.text[i - 1] != ' ') || memcmp(line.text + i, key, key_len) ||
			line.text[i + key_len] != '=')
			continue;
		struct span rest = {line.text + i + key_len + 1, line.len - i - key_len - 1};
		size_t n = 0;
		while (n < rest.len && !(rest.text[n] == ' ' &&
			is_key((struct span){rest.text + n + 1, rest.len - n - 1})))
			n++;
		while (n && rest.text[n - 1] == ' ')
			n--;
		return (struct span){rest.text, n};
	}
	return (struct span){"", 0};
}

/* Behind the job's name, which is any text: at "UserId=NAME(N) GroupId=". */
static struct span behind_name(struct span line)
{
	const char *at = line.text, *end = line.text + line.len;

	while ((at = memmem(at, (size_t)(end - at), " UserId=", 8))) {
		at++;
		const char *blank = memchr(at, ' ', (size_t)(end - at));

		if (blank && blank[-1] == ')' && end - blank > 9 && !memcmp(blank, " GroupId=", 9))
			return (struct span){at, (size_t)(end - at)};
	}
	return (struct span){"", 0};
}

static int fill_scontrol_id(struct slurm_record *r, struct span head)
{
	struct span raw = value_of(head, "JobId"), array = value_of(head, "ArrayJobId");
	struct span task = value_of(head, "ArrayTaskId"), leader = value_of(head, "HetJobId");
	struct span id = array.len ? array : leader.len ? leader : raw, step;

	if (fill_id(r, id, raw, &step) < 0 || step.len)
		return -EINVAL;
	if (leader.len)
		r->component = number(value_of(head, "HetJobOffset"));
	r->task = array.len ? number(task) : -1;
	/* Tasks that still wait are one record here, too: "ArrayTaskId=3-10%2". */
	if (array.len && r->task < 0)
		r->tasks = task;
	return 0;
}

int slurm_parse_scontrol(const char *text, size_t len, struct slurm_record *r)
{
	struct span line = {text, len}, rest = behind_name(line);
	struct span head = {text, rest.len ? (size_t)(rest.text - text) : 0};
	struct span state = value_of(rest, "JobState"), user = value_of(rest, "UserId");
	const char *bracket = memchr(user.text, '(', user.len);

	if (bracket)
		user.len = (size_t)(bracket - user.text);
	*r = (struct slurm_record){.user = user, .reason = value_of(rest, "Reason"),
		.nodes = value_of(rest, "NodeList"), .partition = value_of(rest, "Partition"),
		.account = value_of(rest, "Account"), .qos = value_of(rest, "QOS"),
		.time_limit = value_of(rest, "TimeLimit"), .elapsed = value_of(rest, "RunTime"),
		.cpus = value_of(rest, "NumCPUs"), .node_count = value_of(rest, "NumNodes"),
		.workdir = value_of(rest, "WorkDir"), .name = value_of(head, "JobName"),
		.submit_s = epoch(value_of(rest, "SubmitTime")),
		.start_s = epoch(value_of(rest, "StartTime")),
		.end_s = epoch(value_of(rest, "EndTime")), .exit_code = -1, .signal = -1,
		.derived_exit_code = -1};
	int ignored;
	read_exit(value_of(rest, "ExitCode"), &r->exit_code, &r->signal);
	read_exit(value_of(rest, "DerivedExitCode"), &r->derived_exit_code, &ignored);
	if (fill_scontrol_id(r, head) < 0)
		return -EINVAL;
	return jobstate_from_slurm(state.text, state.len, r->state);
}

int slurm_frame_find(const char *out, size_t len, const char *nonce, const char **body,
	size_t *body_len, int *rc)
{
	char opening[96], closing[96];
	size_t open_len = (size_t)snprintf(opening, sizeof(opening), "\n%s begin\n", nonce);
	size_t close_len = (size_t)snprintf(closing, sizeof(closing), "\n%s rc=", nonce);

	if (!*nonce || open_len >= sizeof(opening))
		return -EPROTO;
	const char *start = memmem(out, len, opening, open_len);
	/* The opening line may be the very first. */
	if (len >= open_len - 1 && !memcmp(out, opening + 1, open_len - 1))
		start = out + open_len - 1;
	else if (start)
		start += open_len;
	else
		return -EPROTO;
	/* An empty answer's closing line begins with the newline that ended the opening one. */
	const char *stop = memmem(start - 1, (size_t)(out + len - start + 1), closing, close_len);
	if (!stop)
		return -EPROTO;
	const char *at = stop + close_len;
	/* Without its newline the number could be cut. */
	if (!memchr(at, '\n', (size_t)(out + len - at)))
		return -EPROTO;
	int64_t value = number(next_line(&at, out + len));
	if (value < 0 || value > 255)
		return -EPROTO;
	*rc = (int)value;
	*body = start;
	*body_len = stop > start ? (size_t)(stop - start) : 0;
	return 0;
}

static bool is_cluster_name(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.text[i]) && (!s.text[i] || !strchr("_.-", s.text[i])))
			return false;
	return s.len > 0;
}

/* Reads one whole line; false where it is none of sbatch's answers. */
static bool sbatch_line(struct span line, struct span *id, struct span *cluster)
{
	while (line.len && (line.text[line.len - 1] == '\r' || line.text[line.len - 1] == ' '))
		line.len--;
	bool is_sentence = take_text(&line, "Submitted batch job ");
	*id = line;
	if (take_number(&line) < 0 || *id->text == '0')
		return false;
	id->len -= line.len;
	*cluster = (struct span){"", 0};
	if (!line.len)
		return true;
	if (!take_text(&line, is_sentence ? " on cluster " : ";"))
		return false;
	*cluster = line;
	return is_cluster_name(line);
}

int slurm_parse_sbatch(const char *text, size_t len, char *id, size_t id_size, char *cluster,
	size_t cluster_size)
{
	const char *end = text + len;
	bool found = false;

	*id = *cluster = '\0';
	while (text < end) {
		struct span number_read, name;

		if (!sbatch_line(next_line(&text, end), &number_read, &name))
			continue;
		if (found || number_read.len >= id_size || name.len >= cluster_size) {
			*id = *cluster = '\0';
			return -EINVAL;
		}
		found = true;
		memcpy(id, number_read.text, number_read.len);
		id[number_read.len] = '\0';
		memcpy(cluster, name.text, name.len);
		cluster[name.len] = '\0';
	}
	return found ? 0 : -EINVAL;
}

/* The N of a line "WORD N" at `*at`, or -1. */
static int64_t read_number(const char **at, const char *end, const char *word)
{
	struct span line = next_line(at, end);

	return take_text(&line, word) && take_text(&line, " ") ? number(line) : -1;
}

int slurm_parse_outcome(const char *text, size_t len, struct slurm_outcome *ret)
{
	const char *at = text, *end = text + len;
	int64_t status = read_number(&at, end, "exit");
	int64_t out_len = read_number(&at, end, "stdout");

	if (status < 0 || status > 255 || out_len < 0 || out_len >= end - at || at[out_len] != '\n')
		return -EINVAL;
	*ret = (struct slurm_outcome){.exit_status = (int)status, .out = at,
		.out_len = (size_t)out_len};
	at += out_len + 1;
	int64_t err_len = read_number(&at, end, "stderr");
	/* The newline behind stderr may be gone with that of the text that held it. */
	if (err_len < 0 || err_len > end - at)
		return -EINVAL;
	ret->err = at;
	ret->err_len = (size_t)err_len;
	return 0;
}

/* Copies a word of letters, digits and "._-"; anything else is no value. */
static void copy_word(char *ret, size_t size, struct span value)
{
	if (!is_cluster_name(value) || value.len >= size)
		return;
	memcpy(ret, value.text, value.len);
	ret[value.len] = '\0';
}

static void endrecord_line(struct span line, bool whole, struct slurm_endrecord *ret)
{
	struct span value = line;

	if (take_text(&value, "node "))
		copy_word(ret->node, sizeof(ret->node), value);
	else if (!whole)
		return;
	else if (take_text(&value, "signal "))
		copy_word(ret->signal, sizeof(ret->signal), value);
	else if (take_text(&value, "job ") && number(value) > 0)
		copy_word(ret->job, sizeof(ret->job), value);
	else if (take_text(&value, "exit "))
		ret->exit_status = number(value) <= 255 ? (int)number(value) : -1;
	else if (take_text(&value, "restart ") && number(value) > 0 && number(value) <= INT32_MAX)
		ret->restart = (int)number(value);
	else if (take_text(&value, "time "))
		ret->time_s = epoch(value);
}

void slurm_parse_endrecord(const char *text, size_t len, struct slurm_endrecord *ret)
{
	const char *end = text + len;

	*ret = (struct slurm_endrecord){.exit_status = -1};
	while (text < end) {
		struct span line = next_line(&text, end);

		endrecord_line(line, line.text + line.len < end, ret);
	}
}
