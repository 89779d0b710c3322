#include "slurm_error.h"

#include <string.h>
#include <strings.h>

#include "err.h"

/* The words of the catalogue's third column. */
#define CLASS_TRANSIENT SLURM_ERROR_TRANSIENT
#define CLASS_LIMIT SLURM_ERROR_LIMIT
#define CLASS_QUOTA SLURM_ERROR_QUOTA
#define CLASS_AUTH SLURM_ERROR_AUTH
#define CLASS_PERMANENT SLURM_ERROR_PERMANENT

static const struct row {
	const char *message; /* with printf's slots, such as %s */
	const char *name;    /* Slurm's name of the error, or who says it */
	enum slurm_error_class class;
	const char *explanation;
	const char *remedy;
	bool reconcile_first;
} catalogue[] = {
#include "slurm_errors.inc"
};

#define FOR_EACH_ROW(row) \
	for (const struct row *row = catalogue; \
		row < catalogue + sizeof(catalogue) / sizeof(*catalogue); row++)

/* Answers that name a rule without saying which: the lines before them know more. */
static const char *const vague[] = {"SLURM_ERROR", "ESLURM_ACCOUNTING_POLICY",
	"ESLURM_ACCESS_DENIED", "ESLURM_REQUESTED_NODE_CONFIG_UNAVAILABLE",
	"(sbatch: site client filter)", "(sbatch: site SPANK plugin)"};

/* Limits on the number of jobs, by Slurm's names for them. */
static const char *const job_counts[] = {"WAIT_QOS_MAX_SUB_JOB", "WAIT_ASSOC_MAX_SUB_JOB",
	"WAIT_QOS_GRP_SUB_JOB", "WAIT_ASSOC_GRP_SUB_JOB", "WAIT_QOS_MAX_SUB_JOB_PER_ACCT",
	"ESLURM_MAX_JOB_COUNT"};

#define IS_ONE_OF(name, list) is_one_of(name, list, sizeof(list) / sizeof(*(list)))

static bool is_one_of(const char *name, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(list[i], name))
			return true;
	return false;
}

static bool is_slot(const char *at)
{
	return at[0] == '%' && at[1] && strchr("sduclm", at[1]);
}

/* Where the `len` bytes of `part` end in `text`, in any case of letters; NULL where they are not. */
static const char *behind(const char *text, const char *part, size_t len)
{
	for (;; text++) {
		if (!strncasecmp(text, part, len))
			return text + len;
		if (!*text)
			return NULL;
	}
}

/* Whether the parts between the slots of `pattern` occur in `line`, one after the other. */
static bool matches(const char *pattern, const char *line)
{
	while (line && *pattern) {
		size_t len = 0;

		while (pattern[len] && !is_slot(pattern + len))
			len++;
		if (len)
			line = behind(line, pattern, len);
		pattern += len + (pattern[len] ? 2 : 0);
	}
	return line != NULL;
}

static bool is_progress(const struct row *row)
{
	return !strcmp(row->name, "(sbatch: progress)");
}

/* A row that only opens a line whose rest is another row's. */
static bool is_prefix(const struct row *row)
{
	return strstr(row->name, "prefix") != NULL;
}

/* A limit on the number of jobs says the most, progress the least; else the longest message does. */
static size_t weight(const struct row *row)
{
	if (is_prefix(row) || is_progress(row))
		return 1;
	return strlen(row->message) + (IS_ONE_OF(row->name, job_counts) ? 2000 : 0) +
		(IS_ONE_OF(row->name, vague) ? 0 : 1000);
}

/* What was read of a command's stderr. */
struct reading {
	const struct row *row;     /* NULL: no line is in the catalogue */
	char *headline;            /* the line that refuses, without its prefix */
	struct strbuf site;        /* lines of a site's own, such as its submit filter's */
	bool site_first;           /* the headline is one of them */
	bool open;                 /* some line leaves open whether the job is queued */
};

static void consider(const struct row **best, const struct row *row)
{
	if (row && (!*best || weight(row) > weight(*best)))
		*best = row;
}

static const struct row *read_line(const char *line, bool *open)
{
	static const char generic[] = "Batch job submission failed: %m";
	const struct row *best = NULL;

	FOR_EACH_ROW(row) {
		/* Its remainder is what Slurm says; where that is in no row, nothing is known. */
		if (!strcmp(row->message, generic) || !matches(row->message, line))
			continue;
		*open |= row->reconcile_first;
		consider(&best, row);
	}
	return best;
}

/* What stands behind "sbatch: error: " or "sbatch: fatal: ", or NULL. */
static const char *behind_error(const char *line)
{
	const char *at = behind(line, "error: ", 7);

	return at ? at : behind(line, "fatal: ", 7);
}

/* The line without "sbatch: error: " and "Batch job submission failed: ". */
static const char *without_prefix(const char *line, bool *refuses)
{
	static const char failed[] = "submission failed: ";
	const char *at = behind(line, failed, sizeof(failed) - 1);

	*refuses = at != NULL;
	if (!at)
		at = behind_error(line);
	return at && *at ? at : line;
}

static void read_words(const char *text, struct reading *ret)
{
	const struct row *refusal = NULL, *other = NULL;

	*ret = (struct reading){.site = STRBUF_INIT, .open = strspn(text, " \t\r\n") == strlen(text)};
	while (*text) {
		size_t len = strcspn(text, "\n");
		AUTO_FREE char *line = xstrndup(text, len);
		bool refuses;
		const char *rest = without_prefix(line, &refuses);
		const struct row *row = read_line(rest, &ret->open);

		consider(refuses ? &refusal : &other, row);
		if (!refuses && !row && behind_error(line) && *rest) {
			strbuf_adds(&ret->site, "The cluster says: ");
			strbuf_add_escaped(&ret->site, rest, strlen(rest));
			strbuf_addc(&ret->site, '\n');
		}
		/* The refusal, else the first line that says something. */
		if (!refuses && !ret->headline && ret->site.len)
			ret->site_first = true;
		if (refuses)
			ret->site_first = false;
		if (refuses || (!ret->headline && strspn(line, " \t\r") < len)) {
			free(ret->headline);
			ret->headline = xstrdup(rest);
		}
		text += len + (text[len] != '\0');
	}
	/* sbatch that ends while it tries again leaves its last try open. */
	if (!refusal && other && is_progress(other))
		ret->open = true;
	bool says_more = other && weight(other) > 1 &&
		(!refusal || IS_ONE_OF(refusal->name, vague) || IS_ONE_OF(other->name, job_counts));
	ret->row = says_more || !refusal ? other : refusal;
}

static void reading_release(struct reading *reading)
{
	free(reading->headline);
	strbuf_release(&reading->site);
}

static void judge(const struct reading *reading, struct slurm_error_info *ret)
{
	const struct row *row = reading->row;

	*ret = (struct slurm_error_info){.reconcile_first = reading->open};
	if (!row)
		return;
	ret->message = row->message;
	ret->explanation = row->explanation;
	ret->remedy = row->remedy;
	ret->class = row->class;
	ret->wait = IS_ONE_OF(row->name, job_counts);
	ret->retry = ret->wait || row->class == SLURM_ERROR_TRANSIENT;
}

void slurm_error_lookup(const char *stderr_text, struct slurm_error_info *ret)
{
	struct reading reading;

	read_words(stderr_text, &reading);
	judge(&reading, ret);
	reading_release(&reading);
}

/* What slurmount does by itself needs no advice from the catalogue, which speaks to programs there. */
static const char *advice(const struct slurm_error_info *info)
{
	if (info->reconcile_first)
		return "nothing for now. Whether the job was queued is not certain: slurmount looks "
			"for it, and submits it again only when it was not.";
	if (info->wait)
		return "nothing. slurmount submits it when other jobs have ended.";
	if (info->retry)
		return "nothing for now. slurmount tries again by itself, with growing pauses.";
	if (info->remedy)
		return info->remedy;
	return "read Slurm's own words below; the cluster's help desk knows its rules.";
}

static void add_words(struct strbuf *out, const char *text)
{
	strbuf_adds(out, "Slurm's own words:\n");
	while (*text) {
		size_t len = strcspn(text, "\n");

		if (len) {
			strbuf_adds(out, "  ");
			strbuf_add_escaped(out, text, len);
			strbuf_addc(out, '\n');
		}
		text += len + (text[len] != '\0');
	}
}

/* The site's lines, but for the first where it stands as the headline. */
static const char *beside_headline(const struct reading *reading)
{
	const char *site = reading->site.data;

	return reading->site_first && site[0] ? strchr(site, '\n') + 1 : site;
}

void slurm_error_explain(const char *stderr_text, struct strbuf *out)
{
	struct reading reading;
	struct slurm_error_info info;

	read_words(stderr_text, &reading);
	judge(&reading, &info);
	strbuf_adds(out, info.reconcile_first ? "Slurm's answer was lost" : "Slurm did not take it");
	if (reading.headline) {
		strbuf_adds(out, ": ");
		strbuf_add_escaped(out, reading.headline, strlen(reading.headline));
	} else {
		strbuf_adds(out, ", without a word");
	}
	strbuf_addf(out, "\n%sWhy: %s\nWhat to do: %s\n", beside_headline(&reading),
		info.explanation ? info.explanation :
		reading.site.len ? "these are no words of Slurm's: most likely a rule of this cluster." :
				   "these words are in no catalogue.",
		advice(&info));
	reading_release(&reading);
	if (*stderr_text)
		add_words(out, stderr_text);
}
