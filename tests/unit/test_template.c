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
#include "template.h"

static char base[64];

static void write_file(const char *folder, const char *name, const char *text)
{
	char *path AUTO_FREE = xasprintf("%s/%s/%s", base, folder, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static const char typed_ini[] =
	"[template]\ndescription = All types\n"
	"[steps]\ntype = integer\nminimum = 1\nmaximum = 1000\nunit = steps\nrequired = yes\n"
	"[temperature]\ntype = number\ndefault = 300\nminimum = 0\n"
	"[wrap]\ntype = yes/no\ndefault = no\n"
	"[thermostat]\ntype = choice\nchoices = langevin csvr\ndefault = langevin\n"
	"[input]\ntype = file\n"
	"[title]\ntype = text\n";

static struct template *typed(void)
{
	char *folder AUTO_FREE = xasprintf("%s/typed", base);
	struct template *t;
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;

	template_load(folder, &t, &why);
	assert_string_equal(why.data, "");
	return t;
}

/* Checks "key=value" words, NULL at the end; the messages in `why`, the values as lines. */
static int check(const struct template *t, const char *const *given, struct strbuf *lines,
	struct strbuf *why)
{
	struct jobspec_pairs pairs = {0};
	struct jobspec_pairs values = {0};
	int r;

	for (int i = 0; given[i]; i++) {
		char *key AUTO_FREE = xstrdup(given[i]);
		char *equal = strchr(key, '=');

		*equal = '\0';
		jobspec_pairs_add(&pairs, key, equal + 1, i + 1);
	}
	r = template_check(t, &pairs, &values, why);
	for (size_t i = 0; i < values.count; i++)
		strbuf_addf(lines, "%s=%s\n", values.items[i].key, values.items[i].value);
	jobspec_pairs_free(&pairs);
	jobspec_pairs_free(&values);
	return r;
}

static void fills_in_defaults(void **state)
{
	const char *given[] = {"steps=10", "input=sub/a.pdb", "title=$(x) 'y'", NULL};
	struct strbuf lines AUTO_STRBUF = STRBUF_INIT;
	struct template *t = typed();

	(void)state;
	assert_string_equal(t->name, "typed");
	assert_string_equal(t->description, "All types");
	assert_int_equal(check(t, given, &lines, NULL), 0);
	assert_string_equal(lines.data, "steps=10\ntemperature=300\nwrap=no\nthermostat=langevin\n"
		"input=sub/a.pdb\ntitle=$(x) 'y'\n");
	template_free(t);
}

static void refuses_one(const struct template *t, const char *pair, const char *message)
{
	const char *given[] = {pair, strncmp(pair, "steps", 5) == 0 ? NULL : "steps=1", NULL};
	struct strbuf lines AUTO_STRBUF = STRBUF_INIT;
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;

	assert_int_equal(check(t, given, &lines, &why), -EINVAL);
	assert_string_equal(why.data, message);
}

static void says_what_is_allowed(void **state)
{
	struct template *t = typed();

	(void)state;
	refuses_one(t, "steps=0", "config.ini:1: steps: '0' is not allowed; it takes a whole number, "
		"at least 1, at most 1000 (steps)\n");
	refuses_one(t, "steps=1.5", "config.ini:1: steps: '1.5' is not allowed; it takes a whole "
		"number, at least 1, at most 1000 (steps)\n");
	refuses_one(t, "temperature=nan", "config.ini:1: temperature: 'nan' is not allowed; it takes "
		"a number, at least 0\n");
	refuses_one(t, "wrap=perhaps", "config.ini:1: wrap: 'perhaps' is not allowed; it takes yes or "
		"no\n");
	refuses_one(t, "thermostat=x", "config.ini:1: thermostat: 'x' is not allowed; it takes one of "
		"langevin csvr\n");
	refuses_one(t, "input=../x", "config.ini:1: input: '../x' is not allowed; it takes a path "
		"within the draft\n");
	refuses_one(t, "input=-x", "config.ini:1: input: '-x' is not allowed; it takes a path within "
		"the draft\n");
	refuses_one(t, "temperatur=1", "config.ini:1: temperatur: not a variable of the template typed "
		"(did you mean temperature?)\n");
	template_free(t);
}

static void what_is_required_must_be_given(void **state)
{
	const char *given[] = {NULL};
	struct strbuf lines AUTO_STRBUF = STRBUF_INIT;
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct template *t = typed();

	(void)state;
	assert_int_equal(check(t, given, &lines, &why), -EINVAL);
	assert_non_null(strstr(why.data, "steps: missing"));
	template_free(t);
}

static void a_broken_template_is_refused(void **state)
{
	struct template *t;
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	char *folder AUTO_FREE = xasprintf("%s/broken", base);

	(void)state;
	write_file("broken", "template.ini", "[a]\ntype = wish\n");
	write_file("broken", "body.sh", "true\n");
	assert_int_equal(template_load(folder, &t, &why), -EINVAL);
	assert_null(t);
	assert_non_null(strstr(why.data, "template.ini:2"));
	write_file("broken", "template.ini", "[a]\ntype = text\n");
	write_file("broken", "body.sh", "true\n#SBATCH --wrap=x\n");
	assert_int_equal(template_load(folder, &t, &why), -EINVAL);
	write_file("broken", "template.ini", "[PATH]\ntype = text\n");
	write_file("broken", "body.sh", "true\n");
	assert_int_equal(template_load(folder, &t, &why), -EINVAL);
}

static int note_file(void *arg, const char *variable, const char *path)
{
	strbuf_addf(arg, "%s %s\n", variable, path);
	return 0;
}

static void ones_own_come_first_and_files_are_named(void **state)
{
	struct jobspec_pairs given = {0};
	struct jobspec_pairs values = {0};
	struct strbuf files AUTO_STRBUF = STRBUF_INIT;
	struct template *t;

	(void)state;
	assert_int_equal(template_find("typed", base, &t, NULL), 0);
	jobspec_pairs_add(&given, "steps", "5", 1);
	jobspec_pairs_add(&given, "input", "a b.pdb", 2);
	assert_int_equal(template_check(t, &given, &values, NULL), 0);
	assert_int_equal(template_files(t, &values, note_file, &files), 0);
	assert_string_equal(files.data, "input a b.pdb\n");
	jobspec_pairs_free(&given);
	jobspec_pairs_free(&values);
	template_free(t);
	assert_int_equal(template_find("nosuch", base, &t, NULL), -ENOENT);
	assert_int_equal(template_find("../typed", base, &t, NULL), -ENOENT);
}

static int make_base(void **state)
{
	char *typed_folder AUTO_FREE = NULL;
	char *broken_folder AUTO_FREE = NULL;

	(void)state;
	snprintf(base, sizeof(base), "/tmp/test_template.XXXXXX");
	if (!mkdtemp(base))
		return -1;
	typed_folder = xasprintf("%s/typed", base);
	broken_folder = xasprintf("%s/broken", base);
	if (mkdir(typed_folder, 0755) || mkdir(broken_folder, 0755))
		return -1;
	write_file("typed", "template.ini", typed_ini);
	write_file("typed", "body.sh", "echo \"$steps\"\n");
	return 0;
}

static int remove_base(void **state)
{
	char *command AUTO_FREE = xasprintf("rm -rf %s", base);

	(void)state;
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_in_defaults),
		cmocka_unit_test(says_what_is_allowed),
		cmocka_unit_test(what_is_required_must_be_given),
		cmocka_unit_test(a_broken_template_is_refused),
		cmocka_unit_test(ones_own_come_first_and_files_are_named),
	};

	return cmocka_run_group_tests(tests, make_base, remove_base);
}
