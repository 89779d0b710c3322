#include "jobstate.h"

#include <errno.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

enum {
	ON_NODES = 1 << 0,  /* counts as running in an array's summary */
	AFTER_END = 1 << 1, /* a requeue can bring it after an end */
	QUEUED = 1 << 2,    /* waits in Slurm's queue */
	HELD = 1 << 3,
};

static const struct state {
	const char *word;
	enum jobstate_class class;
	unsigned traits;
} states[] = {
	{"WAITING", JOBSTATE_BEFORE, 0},
	{"STAGING", JOBSTATE_BEFORE, 0},
	{"SUBMITTING", JOBSTATE_BEFORE, 0},
	{"REJECTED", JOBSTATE_BEFORE, 0},
	/* Slurm's words, 22.05 to 24.11. */
	{"PENDING", JOBSTATE_ACTIVE, AFTER_END | QUEUED},
	{"CONFIGURING", JOBSTATE_ACTIVE, AFTER_END},
	{"POWER_UP_NODE", JOBSTATE_ACTIVE, AFTER_END},
	{"RUNNING", JOBSTATE_ACTIVE, AFTER_END | ON_NODES},
	{"SUSPENDED", JOBSTATE_ACTIVE, 0},
	{"COMPLETING", JOBSTATE_ACTIVE, ON_NODES},
	{"STAGE_OUT", JOBSTATE_ACTIVE, ON_NODES},
	{"STOPPED", JOBSTATE_ACTIVE, 0},
	{"SIGNALING", JOBSTATE_ACTIVE, ON_NODES},
	{"RESIZING", JOBSTATE_ACTIVE, ON_NODES},
	{"REQUEUED", JOBSTATE_ACTIVE, AFTER_END | QUEUED},
	{"REQUEUE_HOLD", JOBSTATE_ACTIVE, AFTER_END | QUEUED | HELD},
	{"REQUEUE_FED", JOBSTATE_ACTIVE, AFTER_END | QUEUED},
	{"SPECIAL_EXIT", JOBSTATE_ACTIVE, AFTER_END | QUEUED | HELD},
	{"RESV_DEL_HOLD", JOBSTATE_ACTIVE, AFTER_END | QUEUED | HELD},
	/* Said beside a state that may be any; a job revoked here runs at a federation's other site. */
	{"LAUNCH_FAILED", JOBSTATE_ACTIVE, AFTER_END},
	{"RECONFIG_FAIL", JOBSTATE_ACTIVE, AFTER_END},
	{"REVOKED", JOBSTATE_ACTIVE, AFTER_END},
	/* The order of the ends is that in which an array's summary looks for them. */
	{"NODE_FAIL", JOBSTATE_ENDED, 0},
	{"OUT_OF_MEMORY", JOBSTATE_ENDED, 0},
	{"TIMEOUT", JOBSTATE_ENDED, 0},
	{"FAILED", JOBSTATE_ENDED, 0},
	{"CANCELLED", JOBSTATE_ENDED, 0},
	{"BOOT_FAIL", JOBSTATE_ENDED, 0},
	{"PREEMPTED", JOBSTATE_ENDED, 0},
	{"DEADLINE", JOBSTATE_ENDED, 0},
	{"UNKNOWN", JOBSTATE_LOST, 0},
	{"COMPLETED", JOBSTATE_ENDED, 0},
};

/* What a word that is not in the table is taken for. */
static const struct state unheard_of = {"", JOBSTATE_ACTIVE, AFTER_END};

static const char *const verb_names[] = {"cancel", "sync", "resubmit", "hold", "release", "requeue",
	"retrieve", "discard"};

/* A state has the verbs of the first row that fits it: its class, and any of the traits (0: any
 * state of the class) or just that word. */
static const struct {
	enum jobstate_class class;
	unsigned traits;
	const char *word;
	unsigned verbs;
} verb_rows[] = {
	{JOBSTATE_BEFORE, 0, "REJECTED", JOBSTATE_VERB_RESUBMIT},
	{JOBSTATE_BEFORE, 0, NULL, JOBSTATE_VERB_CANCEL | JOBSTATE_VERB_SYNC},
	{JOBSTATE_ACTIVE, HELD, NULL,
		JOBSTATE_VERB_CANCEL | JOBSTATE_VERB_SYNC | JOBSTATE_VERB_RELEASE},
	/* Whether a PENDING job is held, its reason tells: both verbs are possible. */
	{JOBSTATE_ACTIVE, QUEUED, NULL, JOBSTATE_VERB_CANCEL | JOBSTATE_VERB_SYNC |
		JOBSTATE_VERB_HOLD | JOBSTATE_VERB_RELEASE},
	{JOBSTATE_ACTIVE, 0, NULL,
		JOBSTATE_VERB_CANCEL | JOBSTATE_VERB_SYNC | JOBSTATE_VERB_REQUEUE |
			JOBSTATE_VERB_RETRIEVE},
	{JOBSTATE_ENDED, 0, NULL,
		JOBSTATE_VERB_REQUEUE | JOBSTATE_VERB_RETRIEVE | JOBSTATE_VERB_DISCARD},
	{JOBSTATE_LOST, 0, NULL, JOBSTATE_VERB_RETRIEVE | JOBSTATE_VERB_DISCARD},
};

/* Which states of ours lead where; between Slurm's own the classes decide. */
static const struct {
	const char *from;
	const char *to[8]; /* "*": every state of Slurm's and UNKNOWN */
} before_steps[] = {
	{"WAITING", {"STAGING", "SUBMITTING", "REJECTED", "*"}},
	{"STAGING", {"WAITING", "SUBMITTING", "REJECTED", "CANCELLED"}},
	{"SUBMITTING", {"WAITING", "STAGING", "REJECTED", "*"}},
	{"REJECTED", {"WAITING", "STAGING"}},
};

static const struct state *find(const char *word)
{
	for (size_t i = 0; i < COUNT(states); i++)
		if (!strcmp(states[i].word, word))
			return &states[i];
	return &unheard_of;
}

enum jobstate_class jobstate_class(const char *word)
{
	return find(word)->class;
}

unsigned jobstate_count_known(void)
{
	return COUNT(states);
}

unsigned jobstate_number(const char *word)
{
	unsigned i = 0;

	while (i < COUNT(states) && strcmp(states[i].word, word))
		i++;
	return i;
}

const char *jobstate_word(unsigned number)
{
	return states[number].word;
}

unsigned jobstate_verbs(const char *word)
{
	const struct state *state = find(word);

	for (size_t i = 0; i < COUNT(verb_rows); i++)
		if (verb_rows[i].class == state->class &&
			(!verb_rows[i].traits || verb_rows[i].traits & state->traits) &&
			(!verb_rows[i].word || !strcmp(verb_rows[i].word, word)))
			return verb_rows[i].verbs & JOBSTATE_VERBS_DONE;
	return 0;
}

unsigned jobstate_verbs_listed(const char *word, const char *reason)
{
	unsigned verbs = jobstate_verbs(word);

	if ((find(word)->traits & (QUEUED | HELD)) != QUEUED)
		return verbs;
	/* JobHeldUser, JobHeldAdmin, JobHoldMaxRequeue, "launch failed requeued held". */
	bool held = !strncmp(reason, "JobHeld", 7) || !strncmp(reason, "JobHold", 7) ||
		strstr(reason, "held");
	return verbs & ~(unsigned)(held ? JOBSTATE_VERB_HOLD : JOBSTATE_VERB_RELEASE);
}

const char *jobstate_verb_name(unsigned index)
{
	return index < COUNT(verb_names) ? verb_names[index] : NULL;
}

int jobstate_from_slurm(const char *text, size_t len, char word[JOB_STATE_SIZE])
{
	size_t n = 0;

	while (n < len && ((text[n] >= 'A' && text[n] <= 'Z') || text[n] == '_'))
		n++;
	if (!n || n >= JOB_STATE_SIZE || (n < len && text[n] != ' '))
		return -EINVAL;
	memcpy(word, text, n);
	word[n] = '\0';
	return 0;
}

static bool before_may_follow(const char *from, const struct state *to, const char *to_word)
{
	for (size_t i = 0; i < COUNT(before_steps); i++) {
		if (strcmp(before_steps[i].from, from))
			continue;
		for (const char *const *word = before_steps[i].to; *word; word++)
			if (!strcmp(*word, to_word) ||
				(**word == '*' && to->class != JOBSTATE_BEFORE))
				return true;
	}
	return false;
}

bool jobstate_may_follow(const char *from, const char *to)
{
	const struct state *now = find(from), *next = find(to);

	if (!strcmp(from, to))
		return true;
	if (now->class == JOBSTATE_BEFORE)
		return before_may_follow(from, next, to);
	if (next->class == JOBSTATE_BEFORE)
		return false;
	if (now->class != JOBSTATE_ENDED)
		return true;
	/* A known end is not forgotten; another word for it is a correction. */
	return next->class == JOBSTATE_ENDED || (next->traits & AFTER_END);
}

const char *jobstate_summary(const struct jobstate_count *counts, size_t n)
{
	bool active = false;
	const struct state *end = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct state *state = find(counts[i].word);

		if (!counts[i].count)
			continue;
		if (state->traits & ON_NODES)
			return "RUNNING";
		if (state->class == JOBSTATE_BEFORE || state->class == JOBSTATE_ACTIVE)
			active = true;
		else if (!end || state < end)
			end = state;
	}
	return active ? "PENDING" : end ? end->word : NULL;
}
