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

static void remove_file(const char *folder, const char *name)
{
	char *path AUTO_FREE = xasprintf("%s/%s/%s", base, folder, name);

	assert_int_equal(unlink(path), 0);
}

static const char typed_ini[] =
	"[template]\ndescription = All types\n"
	"[steps]\ntype = integer\nminimum = 1\nmaximum = 100000000\nunit = steps\nrequired = yes\n"
	"[temperature]\ntype = number\ndefault = 300\nminimum = 0\n"
	"[wrap]\ntype = yes/no\ndefault = off\n"
	"[thermostat]\ntype = choice\nchoices = langevin csvr\ndefault = langevin\n"
	"[input]\ntype = file\n"
	"[tables]\ntype = file\nmultiple = yes\n"
	"[title]\ntype = text\n"
	"[shift]\ntype = integer\n";

static const char typed_body[] = "echo \"$steps\" \"$temperature\" \"${wrap}\" \"$thermostat\" "
	"\"$input\" \"$title\" $((shift + 1))\nfor t in $tables; do cat \"$t\"; done\n";

static struct template *load(const char *name)
{
	char *folder AUTO_FREE = xasprintf("%s/%s", base, name);
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct template *t;

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
	const char *given[] = {"steps=10", "input=sub/a.pdb", "title=$(x) 'y'", "tables= a.tab  ./b//c",
		NULL};
	struct strbuf lines AUTO_STRBUF = STRBUF_INIT;
	struct template *t = load("typed");

	(void)state;
	assert_string_equal(t->name, "typed");
	assert_string_equal(t->description, "All types");
	assert_int_equal(check(t, given, &lines, NULL), 0);
	assert_string_equal(lines.data, "steps=10\ntemperature=300\nwrap=no\nthermostat=langevin\n"
		"input=sub/a.pdb\ntables=a.tab b/c\ntitle=$(x) 'y'\nshift=\n");
	template_free(t);
}

/* "010" is eight to Tcl and bash; "+1" and ".5" are no numbers to JSON. */
static void numbers_have_one_form(void **state)
{
	static const char *const numbers[][2] = {
		{"010", "10"}, {"+7", "7"}, {"-0012", "-12"}, {"000", "0"}, {"-0", "0"},
		{"123456789012345", "123456789012345"}, {"0000000000000000000001", "1"},
		{"1234567890123456", NULL}, {"", NULL}, {"-", NULL}, {"1 2", NULL}, {"0x10", NULL},
		{"1e3", NULL},
	};
	static const char *const reals[][2] = {
		{".5", "0.5"}, {"5.", "5.0"}, {"+007.50", "7.50"}, {"1e3", "1e3"}, {"-2.5E-04", "-2.5E-04"},
		{"300", "300"}, {".", NULL}, {"e5", NULL}, {"1e", NULL}, {"1e+", NULL}, {"nan", NULL},
		{"inf", NULL}, {"1e999", NULL}, {"0x1p3", NULL}, {"1,5", NULL}, {"1.2.3", NULL},
		{"1;exec", NULL},
	};
	struct template_variable v = {.type = TEMPLATE_INTEGER};

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		char *text AUTO_FREE = template_canonical(&v, numbers[i][0]);

		assert_string_equal(text ? text : "none", numbers[i][1] ? numbers[i][1] : "none");
	}
	v.type = TEMPLATE_NUMBER;
	for (size_t i = 0; i < sizeof(reals) / sizeof(*reals); i++) {
		char *text AUTO_FREE = template_canonical(&v, reals[i][0]);

		assert_string_equal(text ? text : "none", reals[i][1] ? reals[i][1] : "none");
	}
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
	struct template *t = load("typed");

	(void)state;
	refuses_one(t, "steps=0", "config.ini:1: steps: \"0\" is not allowed; it takes a whole number, "
		"at least 1, at most 100000000 (steps)\n");
	refuses_one(t, "steps=1.5", "config.ini:1: steps: \"1.5\" is not allowed; it takes a whole "
		"number, at least 1, at most 100000000 (steps)\n");
	refuses_one(t, "temperature=nan", "config.ini:1: temperature: \"nan\" is not allowed; it takes "
		"a number, at least 0\n");
	refuses_one(t, "temperature=", "config.ini:1: temperature: \"\" is not allowed; it takes "
		"a number, at least 0\n");
	refuses_one(t, "wrap=perhaps", "config.ini:1: wrap: \"perhaps\" is not allowed; it takes yes or "
		"no\n");
	refuses_one(t, "thermostat=x", "config.ini:1: thermostat: \"x\" is not allowed; it takes one of "
		"langevin csvr\n");
	refuses_one(t, "input=../x", "config.ini:1: input: \"../x\" is not allowed; it takes a path "
		"within the draft\n");
	refuses_one(t, "input=-x", "config.ini:1: input: \"-x\" is not allowed; it takes a path within "
		"the draft\n");
	refuses_one(t, "tables=a b*", "config.ini:1: tables: \"a b*\" is not allowed; it takes paths "
		"within the draft, separated by blanks, of letters, digits and . _ + - / : = , @\n");
	refuses_one(t, "temperatur=1", "config.ini:1: temperatur: not a variable of the template typed "
		"(did you mean temperature?)\n");
	refuses_one(t, "qqqqq=1", "config.ini:1: qqqqq: not a variable of the template typed; it has "
		"steps, temperature, wrap, thermostat, input, tables, title, shift\n");
	template_free(t);
}

static void what_is_required_must_be_given(void **state)
{
	const char *none[] = {NULL}, *empty[] = {"title=x", "steps=", NULL};
	struct strbuf lines AUTO_STRBUF = STRBUF_INIT;
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct template *t = load("typed");

	(void)state;
	assert_int_equal(check(t, none, &lines, &why), -EINVAL);
	assert_string_equal(why.data, "config.ini: [typed] steps: missing; the template needs it, and it "
		"takes a whole number, at least 1, at most 100000000 (steps)\n");
	strbuf_reset(&why);
	assert_int_equal(check(t, empty, &lines, &why), -EINVAL);
	assert_string_equal(why.data, "config.ini:2: steps: it has no value; the template needs it, and "
		"it takes a whole number, at least 1, at most 100000000 (steps)\n");
	template_free(t);
}

/* The template "broken" of these two files is refused with `message` among what is said. */
static void is_refused(const char *ini, const char *body, const char *message)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	char *folder AUTO_FREE = xasprintf("%s/broken", base);
	struct template *t;

	write_file("broken", "template.ini", ini);
	write_file("broken", "body.sh", body);
	assert_int_equal(template_load(folder, &t, &why), -EINVAL);
	assert_null(t);
	if (!strstr(why.data, message))
		fail_msg("%s", why.data);
}

static void a_broken_template_is_refused(void **state)
{
	static const char uses[] = "echo \"$a\"\n";

	(void)state;
	is_refused("[a]\ntype = wish\n", uses, "templates/broken/template.ini:2: [a] type: \"wish\" is no "
		"type; allowed: text, file, integer, number, yes/no, choice\n");
	is_refused("\n[a]\nhelp = x\n", uses, "template.ini:2: [a] type is missing");
	is_refused("[a]\ntype = text\n", "echo \"$a\"\n#SBATCH --wrap=x\n", "body.sh:2: ");
	is_refused("[a]\ntype = text\n", "# only this\n\n", "body.sh: it runs nothing");
	is_refused("[a]\ntype = text\n", "echo \"$a\"\r\n", "body.sh: it is no plain text");
	is_refused("[PATH]\ntype = text\n", "echo $PATH\n", "template.ini:1: [PATH] a variable's name");
	is_refused("[slurmount_body]\ntype = text\n", "x\n", "template.ini:1: ");
	is_refused("[a]\ntype = text\n[a]\n", uses, "template.ini:3: [a] this section is there twice");
	is_refused("[a]\ntype = text\ntype = file\n", uses, "template.ini:3: [a] type: it is there twice");
	is_refused("[a]\ntype = text\ntip = x\n", uses, "template.ini:3: [a] tip: not a part");
	is_refused("[a]\ntype = integer\nminimum = 5\nmaximum = 4\n", uses, "template.ini:4: [a] maximum is "
		"less");
	is_refused("[a]\ntype = integer\nminimum = low\n", uses, "template.ini:3: [a] minimum: it is no "
		"number");
	is_refused("[a]\ntype = file\nreads = nmad\n", uses, "template.ini:3: [a] reads: only");
	is_refused("[a]\ntype = text\nreads = namd\n", uses, "template.ini:3: [a] reads: only");
	is_refused("[a]\ntype = text\nminimum = 1\n", uses, "template.ini:3: [a] minimum: only");
	is_refused("[a]\ntype = integer\nmaximum = 4\ndefault = 5\n", uses, "template.ini:4: [a] default: "
		"\"5\" is not allowed; it takes a whole number, at most 4\n");
	is_refused("[a]\ntype = choice\n", uses, "template.ini:1: [a] a choice needs");
	is_refused("[a]\ntype = choice\nchoices = x $(y)\n", uses, "template.ini:3: [a] choices: words");
	is_refused("[a]\ntype = text\nrequired = maybe\n", uses, "template.ini:3: [a] required: it is");
	is_refused("[a]\ntype = text\nmultiple = yes\n", uses, "template.ini:3: [a] multiple: only a file");
	is_refused("[a]\ntype = text\nrequired = yes\ndefault = x\n", uses, "template.ini:4: [a] default: "
		"what is required has none");
	/* Every variable must be used: one in the wrong place changes nothing, silently. */
	is_refused("[a]\ntype = text\n", "echo $ab a {a\n", "template.ini:1: [a] no file uses this variable");
}

static void the_files_of_a_template_are_judged(void **state)
{
	static const char ini[] = "[a]\ntype = text\n", body[] = "echo \"$a\"\n";

	(void)state;
	write_file("broken", "config.ini", "");
	is_refused(ini, body, "templates/broken/config.ini: a file in a job's directory cannot");
	remove_file("broken", "config.ini");
	write_file("broken", "a b", "");
	is_refused(ini, body, "templates/broken/a b: a file in a job's directory cannot");
	remove_file("broken", "a b");
	write_file("broken", "x.in", "");
	write_file("broken", "x", "");
	is_refused(ini, body, "two files of the template become the same");
	remove_file("broken", "x");
	remove_file("broken", "x.in");
	char *sub AUTO_FREE = xasprintf("%s/broken/sub", base);
	assert_int_equal(mkdir(sub, 0755), 0);
	is_refused(ini, body, "templates/broken/sub: a template is a flat folder");
	assert_int_equal(rmdir(sub), 0);
	assert_int_equal(symlink("/etc/passwd", sub), 0);
	is_refused(ini, body, "templates/broken/sub: a template is a flat folder");
	remove_file("broken", "sub");
	/* An editor's leavings and a README are no part of a job. */
	write_file("broken", "README.md", "");
	write_file("broken", "body.sh~", "");
	write_file("broken", "data.dat", "");
	struct template *t = load("broken");
	assert_int_equal(t->file_count, 1);
	assert_string_equal(t->files[0].name, "data.dat");
	assert_null(t->files[0].text);
	template_free(t);
	remove_file("broken", "data.dat");
	remove_file("broken", "template.ini");
	char *folder AUTO_FREE = xasprintf("%s/broken", base);
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	assert_int_equal(template_load(folder, &t, &why), -EINVAL);
	assert_non_null(strstr(why.data, "templates/broken/template.ini: missing"));
}

static int note_file(void *arg, const char *variable, const char *path)
{
	strbuf_addf(arg, "%s %s\n", variable, path);
	return 0;
}

static void ones_own_are_found_and_files_are_named(void **state)
{
	struct jobspec_pairs given = {0};
	struct jobspec_pairs values = {0};
	struct strbuf files AUTO_STRBUF = STRBUF_INIT;
	struct template *t;

	(void)state;
	assert_int_equal(template_find("typed", base, &t, NULL), 0);
	jobspec_pairs_add(&given, "steps", "5", 1);
	jobspec_pairs_add(&given, "input", "a b.pdb", 2);
	jobspec_pairs_add(&given, "tables", "t1 t2", 3);
	assert_int_equal(template_check(t, &given, &values, NULL), 0);
	assert_int_equal(template_files(t, &values, note_file, &files), 0);
	assert_string_equal(files.data, "input a b.pdb\ntables t1\ntables t2\n");
	jobspec_pairs_free(&given);
	jobspec_pairs_free(&values);
	template_free(t);
}

static void an_unknown_name_gets_the_nearest_one(void **state)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct template *t;

	(void)state;
	assert_int_equal(template_find("tpyed", base, &t, &why), -ENOENT);
	assert_non_null(strstr(why.data, "there is no template tpyed; did you mean typed? There are:"));
	assert_non_null(strstr(why.data, " broken "));
	assert_non_null(strstr(why.data, " namd "));
	strbuf_reset(&why);
	assert_int_equal(template_find("../typed", base, &t, &why), -ENOENT);
	assert_int_equal(template_find("", base, &t, &why), -ENOENT);
	/* Neither of two of the same name stands in for the other in silence. */
	char *own AUTO_FREE = xasprintf("%s/namd", base);
	assert_int_equal(mkdir(own, 0755), 0);
	strbuf_reset(&why);
	assert_int_equal(template_find("namd", base, &t, &why), -EEXIST);
	assert_non_null(strstr(why.data, "there are two templates namd"));
	assert_int_equal(rmdir(own), 0);
}

static void a_change_changes_the_stamp(void **state)
{
	(void)state;
	uint64_t before = template_stamp("typed", base);

	assert_int_equal(template_stamp("typed", base), before);
	write_file("typed", "more", "");
	assert_int_not_equal(template_stamp("typed", base), before);
	remove_file("typed", "more");
	assert_int_not_equal(template_stamp("typed", NULL), before);
	assert_int_equal(template_stamp("nosuch", base), template_stamp("nosuch", NULL));
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
	write_file("typed", "body.sh", typed_body);
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
		cmocka_unit_test(numbers_have_one_form),
		cmocka_unit_test(says_what_is_allowed),
		cmocka_unit_test(what_is_required_must_be_given),
		cmocka_unit_test(a_broken_template_is_refused),
		cmocka_unit_test(the_files_of_a_template_are_judged),
		cmocka_unit_test(ones_own_are_found_and_files_are_named),
		cmocka_unit_test(an_unknown_name_gets_the_nearest_one),
		cmocka_unit_test(a_change_changes_the_stamp),
	};

	return cmocka_run_group_tests(tests, make_base, remove_base);
}
