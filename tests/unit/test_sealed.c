#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "profile.h"
#include "sealed.h"
#include "stage.h"
#include "template.h"

static char base[64];
static char *own, *job, *kept;

static void put(const char *folder, const char *name, const char *text)
{
	char *path AUTO_FREE = xasprintf("%s/%s", folder, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(base, "/tmp/test-sealed-XXXXXX");
	if (!mkdtemp(base))
		return -1;
	setenv("XDG_CONFIG_HOME", base, 1);
	own = xasprintf("%s/slurmount/templates/t", base);
	job = xasprintf("%s/uuid", base);
	kept = xasprintf("%s/uuid.template", base);
	char *command AUTO_FREE = xasprintf("mkdir -p %s %s", own, job);
	if (system(command))
		return -1;
	put(own, "template.ini", "[n]\ntype = integer\ndefault = 1\n");
	put(own, "body.sh", "echo one\n");
	put(own, "f.in", "one {{n}}\n");
	put(own, "data", "one\n");
	put(job, "config.ini", "[job]\ntemplate = t\n[t]\nn = 07\n");
	return 0;
}

static int tear_down(void **state)
{
	char *command AUTO_FREE = xasprintf("rm -rf %s", base);

	(void)state;
	free(own);
	free(job);
	free(kept);
	return system(command);
}

/* What the job would run and be given: the body, then its files' names and contents. */
static void expect(const char *text)
{
	struct strbuf all AUTO_STRBUF = STRBUF_INIT;
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct profile *profile = profile_new();
	struct sealed_request request;

	sealed_read(job, profile, &request, &why);
	assert_string_equal(why.data, "");
	strbuf_adds(&all, request.template->body);
	for (size_t i = 0; i < request.file_count; i++) {
		const struct stage_file *file = &request.files[i];
		char line[64] = "";

		if (file->path) {
			FILE *data = fopen(file->path, "r");

			assert_non_null(data);
			assert_non_null(fgets(line, sizeof(line), data));
			fclose(data);
		}
		strbuf_addf(&all, "%s %o: %s", file->name, file->mode, file->bytes ? file->bytes : line);
	}
	assert_string_equal(all.data, text);
	sealed_request_release(&request);
	profile_free(profile);
}

static void a_job_keeps_the_template_it_was_accepted_with(void **state)
{
	(void)state;
	expect("echo one\nf 644: one 7\ndata 644: one\n");
	assert_int_equal(template_keep(own, kept), 0);
	put(own, "body.sh", "echo two\n");
	put(own, "f.in", "two {{n}}\n");
	put(own, "data", "two\n");
	expect("echo one\nf 644: one 7\ndata 644: one\n");
	/* Also when there is no such template any more. */
	char *command AUTO_FREE = xasprintf("rm -r %s", own);
	assert_int_equal(system(command), 0);
	expect("echo one\nf 644: one 7\ndata 644: one\n");
}

static void a_copy_that_was_cut_short_is_none(void **state)
{
	(void)state;
	char *half AUTO_FREE = xasprintf("%s/t.part", kept);

	assert_int_equal(mkdir(kept, 0700) | mkdir(half, 0700), 0);
	put(half, "body.sh", "echo half\n");
	expect("echo one\nf 644: one 7\ndata 644: one\n");
	assert_int_equal(template_keep("/nosuch/t", kept), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_job_keeps_the_template_it_was_accepted_with, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(a_copy_that_was_cut_short_is_none, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
