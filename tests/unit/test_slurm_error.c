#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slurm_error.h"

#include "err.h"

#define FAILED "sbatch: error: Batch job submission failed: "

static void classes_what_sbatch_says(void **state)
{
	/* The first twelve were printed by sbatch 22.05.8. */
	static const struct {
		const char *words;
		enum slurm_error_class class;
		bool reconcile, retry, wait;
	} cases[] = {
		{"sbatch: error: invalid partition specified: nosuch\n" FAILED
			"Invalid partition name specified\n", SLURM_ERROR_PERMANENT, 0, 0, 0},
		{FAILED "Requested time limit is invalid (missing or exceeds some limit)\n",
			SLURM_ERROR_LIMIT, 0, 0, 0},
		{"sbatch: error: Memory specification can not be satisfied\n" FAILED
			"Requested node configuration is not available\n", SLURM_ERROR_LIMIT, 0, 0, 0},
		{"sbatch: error: Invalid --time specification\n", SLURM_ERROR_PERMANENT, 0, 0, 0},
		{FAILED "Node count specification invalid\n", SLURM_ERROR_PERMANENT, 0, 0, 0},
		{"sbatch: error: Unable to open file /nosuch\n", SLURM_ERROR_PERMANENT, 0, 0, 0},
		{FAILED "Invalid job array specification\n", SLURM_ERROR_PERMANENT, 0, 0, 0},
		{"sbatch: error: Invalid generic resource (gres) specification\n",
			SLURM_ERROR_PERMANENT, 0, 0, 0},
		{"sbatch: error: Batch script contains DOS line breaks (\\r\\n)\n"
			"sbatch: error: instead of expected UNIX line breaks (\\n).\n",
			SLURM_ERROR_PERMANENT, 0, 0, 0},
		{"sbatch: error: This does not look like a batch script.  The first\n"
			"sbatch: error: line must start with #! followed by the path to an "
			"interpreter.\n", SLURM_ERROR_PERMANENT, 0, 0, 0},
		{"sbatch: fatal: Unable to process configuration file\n",
			SLURM_ERROR_UNKNOWN, 0, 0, 0},
		{"slurm_load_jobs error: Invalid job id specified\n",
			SLURM_ERROR_PERMANENT, 0, 0, 0},
		{FAILED "Socket timed out on send/recv operation\n",
			SLURM_ERROR_TRANSIENT, 1, 1, 0},
		{FAILED "Unable to contact slurm controller (connect failure)\n",
			SLURM_ERROR_TRANSIENT, 0, 1, 0},
		{FAILED "UNABLE TO CONTACT slurm controller (Receive failure)\n",
			SLURM_ERROR_TRANSIENT, 1, 1, 0},
		{"sbatch: error: QOSMaxSubmitJobPerUserLimit\n" FAILED "Job violates accounting/QOS "
			"policy (job submit limit, user's size and/or time limits)\n",
			SLURM_ERROR_LIMIT, 0, 1, 1},
		{"sbatch: error: QOSMaxWallDurationPerJobLimit\n" FAILED "Job violates accounting/QOS "
			"policy (job submit limit, user's size and/or time limits)\n",
			SLURM_ERROR_LIMIT, 0, 0, 0},
		{FAILED "Job violates accounting/QOS policy (job submit limit, user's size and/or "
			"time limits)\n", SLURM_ERROR_LIMIT, 0, 0, 0},
		{"sbatch: Slurm temporarily unable to accept job, sleeping and retrying\n" FAILED
			"Job violates accounting/QOS policy (job submit limit, user's size and/or time "
			"limits)\n", SLURM_ERROR_LIMIT, 0, 0, 0},
		{FAILED "MaxJobCount limit reached\n", SLURM_ERROR_TRANSIENT, 0, 1, 1},
		{FAILED "Invalid account or account/partition combination specified\n",
			SLURM_ERROR_AUTH, 0, 0, 0},
		{"sbatch: error: AssocGrpCPUMinutesLimit\n" FAILED "Job violates accounting/QOS policy "
			"(job submit limit, user's size and/or time limits)", SLURM_ERROR_QUOTA, 0, 0, 0},
		{"sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\n",
			SLURM_ERROR_TRANSIENT, 1, 1, 0},
		/* The first try may have been taken, whatever the second was told. */
		{"sbatch: error: Socket timed out on send/recv operation\n" FAILED
			"Invalid account or account/partition combination specified\n",
			SLURM_ERROR_AUTH, 1, 0, 0},
		{FAILED "Something of the year 2031\n", SLURM_ERROR_UNKNOWN, 0, 0, 0},
		{"", SLURM_ERROR_UNKNOWN, 1, 0, 0},
		{" \n", SLURM_ERROR_UNKNOWN, 1, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct slurm_error_info info;

		slurm_error_lookup(cases[i].words, &info);
		if (info.class != cases[i].class || info.reconcile_first != cases[i].reconcile ||
			info.retry != cases[i].retry || info.wait != cases[i].wait)
			fail_msg("%s: class %d, %d %d %d", cases[i].words, info.class,
				info.reconcile_first, info.retry, info.wait);
		assert_int_equal(info.explanation == NULL, info.class == SLURM_ERROR_UNKNOWN);
	}
}

static void slots_stand_for_anything_within_a_line(void **state)
{
	struct slurm_error_info info;

	(void)state;
	slurm_error_lookup("sbatch: error: '2-' is bad\nsbatch: error: invalid number of nodes "
		"(-N 5-2)\n", &info);
	assert_string_equal(info.remedy, "Give min <= max.");
	slurm_error_lookup("invalid number of nodes (-N 5\n-2)\n", &info);
	assert_null(info.explanation);
	slurm_error_lookup("sbatch: error: \"x\" is not a valid node count\n", &info);
	assert_string_equal(info.remedy, "Use 2 or 2-4.");
}

static void explains_for_people(void **state)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	slurm_error_explain("sbatch: error: invalid partition specified: \033[1m\n" FAILED
		"Invalid partition name specified\n", &text);
	assert_string_equal(text.data,
		"Slurm did not take it: Invalid partition name specified\n"
		"The cluster says: invalid partition specified: \\x1b[1m\n"
		"Why: No partition (queue) of that name exists on this cluster.\n"
		"What to do: Pick a name from cluster/partitions in the mount and set it as partition "
		"in config.ini.\n"
		"Slurm's own words:\n"
		"  sbatch: error: invalid partition specified: \\x1b[1m\n"
		"  sbatch: error: Batch job submission failed: Invalid partition name specified\n");
}

static void a_sites_own_lines_are_shown(void **state)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	/* What a job_submit.lua told by slurm.log_user() (job_mgr.c hands it to sbatch). */
	slurm_error_explain("sbatch: error: You must name a project:\nsbatch: error: -A PROJECT\n" FAILED
		"Unspecified error\n", &text);
	static const char expected[] = "Slurm did not take it: Unspecified error\n"
		"The cluster says: You must name a project:\nThe cluster says: -A PROJECT\nWhy: ";
	assert_memory_equal(text.data, expected, sizeof(expected) - 1);
	/* A filter on the login node refuses without Slurm. */
	strbuf_reset(&text);
	slurm_error_explain("sbatch: error: No jobs on Sunday\nsbatch: error: Come back\n", &text);
	static const char alone[] = "Slurm did not take it: No jobs on Sunday\n"
		"The cluster says: Come back\nWhy: these are no words of Slurm's: most likely a rule "
		"of this cluster.\n";
	assert_memory_equal(text.data, alone, sizeof(alone) - 1);
}

/* The catalogue's message with its slots filled as printf would. */
static void fill_slots(struct strbuf *out, const char *message)
{
	for (; *message; message++) {
		if (message[0] != '%' || !message[1] || !strchr("sduclm", message[1])) {
			strbuf_addc(out, *message);
			continue;
		}
		message++;
		strbuf_adds(out, *message == 'd' || *message == 'u' ? "12" : *message == 'c' ? "'" :
			*message == 'm' ? "Connection refused" : "/some path");
	}
}

/* As sbatch prints a row of the catalogue: what the controller answers, the controller's names of
 * limits before its answer, sbatch's own words. */
static void say(struct strbuf *out, const char *message, const char *name)
{
	if (*name == '(') {
		strbuf_adds(out, "sbatch: error: ");
		fill_slots(out, message);
	} else if (!strncmp(name, "WAIT_", 5)) {
		strbuf_addf(out, "sbatch: error: %s\n" FAILED "Job violates accounting/QOS policy (job "
			"submit limit, user's size and/or time limits)", message);
	} else {
		strbuf_addf(out, FAILED "%s", message);
	}
}

static enum slurm_error_class class_of(const char *word)
{
	static const char *const words[] = {"", "transient", "limit", "quota", "auth", "permanent"};
	unsigned class = SLURM_ERROR_TRANSIENT;

	while (class < SLURM_ERROR_PERMANENT && strcmp(words[class], word))
		class++;
	return (enum slurm_error_class)class;
}

/* These words also open other rows' lines. */
static bool is_more_than_itself(const char *name)
{
	return strstr(name, "prefix") != NULL;
}

static void replay(char *fields[5], const char *before, const char *behind)
{
	struct strbuf words AUTO_STRBUF = STRBUF_INIT;
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct slurm_error_info info;
	bool counts = strstr("WAIT_QOS_MAX_SUB_JOB WAIT_ASSOC_MAX_SUB_JOB WAIT_QOS_GRP_SUB_JOB "
		"WAIT_ASSOC_GRP_SUB_JOB WAIT_QOS_MAX_SUB_JOB_PER_ACCT ESLURM_MAX_JOB_COUNT", fields[1]);
	bool lost = !strncmp(fields[4], "RECONCILE FIRST", 15) || !strcmp(fields[1], "(sbatch: progress)");

	strbuf_adds(&words, before);
	say(&words, fields[0], fields[1]);
	strbuf_adds(&words, behind);
	slurm_error_lookup(words.data, &info);
	slurm_error_explain(words.data, &text);
	if (!info.explanation || strcmp(info.explanation, fields[3]) ||
		info.class != class_of(fields[2]) || info.wait != counts ||
		info.retry != (counts || info.class == SLURM_ERROR_TRANSIENT) ||
		info.reconcile_first != lost || !strstr(text.data, fields[3]))
		fail_msg("%s: %d %d %d %d %s\n%s", words.data, info.class, info.wait, info.retry,
			info.reconcile_first, info.explanation ? info.explanation : "-", text.data);
	/* What a person is told to do is the catalogue's, unless slurmount does it. */
	if (!info.retry && !info.reconcile_first && !strstr(text.data, fields[4]))
		fail_msg("%s: %s", words.data, text.data);
	assert_null(strstr(text.data, "RECONCILE"));
}

static void every_row_of_the_catalogue_is_told(void **state)
{
	FILE *file AUTO_FCLOSE = fopen(SLURM_ERRORS, "r");
	char line[4096];
	unsigned rows = 0;

	(void)state;
	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	while (fgets(line, sizeof(line), file)) {
		char *fields[5], *at = line;

		line[strcspn(line, "\n")] = '\0';
		for (size_t i = 0; i < 5; i++)
			assert_non_null(fields[i] = strsep(&at, "\t"));
		rows++;
		if (is_more_than_itself(fields[1]))
			continue;
		replay(fields, "", "\n");
		/* Without a newline, and with what logins and older versions print around it. */
		replay(fields, "", "");
		replay(fields, "Welcome to the cluster!\n\nsbatch: lua: your project is chem\n", "\n");
		if (*fields[1] != '(')
			replay(fields, "sbatch: error: Please note: maintenance on Monday\n", "\r\n");
	}
	assert_int_equal(rows, 189);
}

static void says_nothing_of_how_it_reconciles(void **state)
{
	static const char *const words[] = {FAILED "Socket timed out on send/recv operation\n",
		FAILED "Slurm internal error, contact system administrator\n", "", "what?"};

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		struct strbuf text AUTO_STRBUF = STRBUF_INIT;

		slurm_error_explain(words[i], &text);
		assert_null(strstr(text.data, "RECONCILE"));
		assert_non_null(strstr(text.data, "What to do: "));
		assert_int_equal(text.data[text.len - 1], '\n');
	}
}

static void takes_hostile_text_in_time(void **state)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct slurm_error_info info;

	(void)state;
	/* 64 KiB, the most that is kept, of a letter that opens a message with slots. */
	for (int i = 0; i < 65536; i++)
		strbuf_addc(&text, '\'');
	slurm_error_lookup(text.data, &info);
	assert_null(info.explanation);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes_what_sbatch_says),
		cmocka_unit_test(slots_stand_for_anything_within_a_line),
		cmocka_unit_test(explains_for_people),
		cmocka_unit_test(a_sites_own_lines_are_shown),
		cmocka_unit_test(every_row_of_the_catalogue_is_told),
		cmocka_unit_test(says_nothing_of_how_it_reconciles),
		cmocka_unit_test(takes_hostile_text_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
