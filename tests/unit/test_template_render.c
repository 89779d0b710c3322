#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "template.h"

static char base[64];

static const char ini[] =
	"[n]\ntype = number\ndefault = 2.5\n"
	"[i]\ntype = integer\n"
	"[b]\ntype = yes/no\ndefault = yes\n"
	"[c]\ntype = choice\nchoices = lj/cut csvr\n"
	"[f]\ntype = file\n"
	"[m]\ntype = file\nmultiple = yes\n"
	"[t]\ntype = text\n";

static void put(const char *name, const char *text)
{
	char *path AUTO_FREE = xasprintf("%s/%s", base, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* Loads the template whose one rendered file is `name` + ".in" of `text`. */
static struct template *with(const char *name, const char *text, struct strbuf *why)
{
	char *in AUTO_FREE = xasprintf("%s.in", name);
	char *path AUTO_FREE = xasprintf("%s/%s", base, in);
	struct template *t;

	put("template.ini", ini);
	put("body.sh", "echo \"$n$i$b$c$f$m$t\"\n");
	put(in, text);
	int r = template_load(base, &t, why);
	assert_int_equal(r < 0, t == NULL);
	unlink(path);
	return t;
}

/* Refused, with `message` behind "templates/NAME/". */
static void refused(const char *name, const char *text, const char *message)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;

	assert_null(with(name, text, &why));
	assert_true(strncmp(why.data, "templates/", 10) == 0);
	const char *rest = strchr(why.data + 10, '/') + 1;
	if (strncmp(rest, message, strlen(message)) != 0)
		fail_msg("%s", why.data);
}

/* The rendered text; "key=value" words, NULL at the end.  "refused" where a value is. */
static void renders(const char *name, const char *text, const char *const *given,
	const char *expected)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct strbuf out AUTO_STRBUF = STRBUF_INIT;
	struct template *t = with(name, text, &why);
	struct jobspec_pairs pairs = {0}, values = {0};

	assert_string_equal(why.data, "");
	for (int i = 0; given[i]; i++) {
		char *key AUTO_FREE = xstrdup(given[i]);
		char *equal = strchr(key, '=');

		*equal = '\0';
		jobspec_pairs_add(&pairs, key, equal + 1, i + 1);
	}
	if (template_check(t, &pairs, &values, &why) < 0)
		strbuf_adds(&out, "refused");
	else
		template_render(&t->files[0], &values, &out);
	assert_string_equal(out.data, expected);
	jobspec_pairs_free(&pairs);
	jobspec_pairs_free(&values);
	template_free(t);
}

#define GIVEN(...) (const char *const[]){__VA_ARGS__, NULL}

static void placeholders_become_values(void **state)
{
	(void)state;
	renders("run.namd", "set x {{n}}\nset y \"{{i}}\"; # {{{c}}} {{f}}{{b}}\nset files {{{m}}}",
		GIVEN("i=-07", "c=csvr", "f=./a/b.pdb", "m=x.prm  y.prm"),
		"set x 2.5\nset y \"-7\"; # {csvr} a/b.pdbyes\nset files {x.prm y.prm}");
	/* Nothing given: the empty string. */
	renders("run.namd", "a{{i}}b{{c}}c{{f}}d{{m}}e", GIVEN("n=1"), "abcde");
	/* Braces of the file's own stay. */
	renders("run.tcl", "proc p {} {{ }}\nset l {{a b} {c d}}\nputs {{n}}{{}}\n", GIVEN("n=1"),
		"proc p {} {{ }}\nset l {{a b} {c d}}\nputs 1{{}}\n");
	renders("in.lammps", "", GIVEN("n=1"), "");
}

static void a_wrong_placeholder_is_refused_by_line(void **state)
{
	(void)state;
	refused("run.namd", "\nset x {{nn}}\n", "run.namd.in:2: {{nn}}: template.ini has no section [nn]");
	refused("run.namd", "x {{ n }}\n", "run.namd.in:1: {{ n }}: a placeholder is written {{variable}}");
	refused("run.namd", "x\nx\nx {{N}}\n", "run.namd.in:3: {{N}}: a placeholder is written");
	refused("run.namd", "x {{n}\n", "run.namd.in:1: {{n}: a placeholder is written");
	refused("run.namd", "{{#if n}}x{{/if}}\n", "run.namd.in:1: {{#if n}}: a placeholder is written");
	refused("run.namd", "x {{n}} {{t}}\n", "run.namd.in:1: {{t}}: a text could be a command");
	refused("x.CONF", "{{t}}\n", "x.CONF.in:1: {{t}}: a text could be a command");
	refused("x.namd", "a\r\n", "x.namd.in: it is no plain text");
}

/* Every payload a value could carry into Tcl: none is of any type that is let in. */
static void tcl_gets_no_code(void **state)
{
	static const char *const payloads[] = {"[exec touch /tmp/x]", "1;exec touch x", "$env(HOME)", "a b",
		"a\"b", "a{b", "a}b", "a\\b", "a#b", "~root", "a\tb", "a\nb", "a'b", "a`b`", "a&b", "a|b", "a>b",
		"a<b", "a*b", "a?b", "a!b", "a%b", "a^b", "a(b)", "\xc3\xa4", "a\x7f"};
	static const char *const keys[] = {"n", "i", "b", "c", "f"};

	(void)state;
	for (size_t p = 0; p < sizeof(payloads) / sizeof(*payloads); p++) {
		for (size_t k = 0; k < sizeof(keys) / sizeof(*keys); k++) {
			char *pair AUTO_FREE = xasprintf("%s=%s", keys[k], payloads[p]);

			renders("run.namd", "{{n}} {{i}} {{b}} {{c}} {{f}}\n", GIVEN(pair), "refused");
			renders("in.lammps", "{{n}} {{i}} {{b}} {{c}} {{f}}\n", GIVEN(pair), "refused");
		}
		char *text AUTO_FREE = xasprintf("t=%s", payloads[p]);
		renders("in.lammps", "{{t}}\n", GIVEN(text), "refused");
		/* A blank in `multiple` separates two names. */
		char *many AUTO_FREE = xasprintf("m=%s", payloads[p]);
		renders("run.namd", "{{m}}\n", GIVEN(many), strcmp(payloads[p], "a b") ? "refused" : "a b\n");
	}
}

static void a_plain_file_takes_safe_characters(void **state)
{
	(void)state;
	renders("in.lammps", "x {{t}} {{f}}\n", GIVEN("t=lj/cut:2.5,a=b@c+d_e", "f=d/x.data"),
		"x lj/cut:2.5,a=b@c+d_e d/x.data\n");
	renders("in.lammps", "x {{t}}\n", GIVEN("t=-x"), "refused");
	renders("x.py", "{{f}}\n", GIVEN("f=a b"), "refused");
}

static void a_shell_script_gets_quoted_words_at_its_top(void **state)
{
	(void)state;
	renders("run.sh", "#!/bin/sh\n# made\nset_=1\n", GIVEN("n=1"), "#!/bin/sh\n# made\nset_=1\n");
	renders("run.sh", "#!/bin/sh\n\nx={{t}}\nexport Y={{f}}\nz={{n}}\necho \"$x\"",
		GIVEN("t=$(id)';`x`\"", "f=a b"),
		"#!/bin/sh\n\nx='$(id)'\\'';`x`\"'\nexport Y='a b'\nz=2.5\necho \"$x\"");
	renders("run.sh", "x={{t}}\n", GIVEN("n=1"), "x=''\n");
	refused("run.sh", "echo {{n}}\n", "run.sh.in:1: {{n}}: in a shell script a value is assigned");
	refused("run.sh", "x=\"{{n}}\"\n", "run.sh.in:1: {{n}}: in a shell script");
	refused("run.sh", "x={{n}} y\n", "run.sh.in:1: {{n}}: in a shell script");
	refused("run.sh", "x={{n}}{{i}}\n", "run.sh.in:1: {{n}}: in a shell script");
	/* Behind a command it may stand in a here-document or in quotes. */
	refused("run.sh", "cat <<E\nx={{n}}\nE\n", "run.sh.in:2: {{n}}: in a shell script");
	refused("run.sh", "# {{n}}\n", "run.sh.in:1: {{n}}: in a shell script");
}

static void json_gets_strings_and_numbers(void **state)
{
	(void)state;
	renders("p.json", "{\"a\": {{n}}, \"b\\\"{{t}}\": \"{{f}}\"}", GIVEN("t=x\", \"y\": \\", "f=a b"),
		"{\"a\": 2.5, \"b\\\"x\\\", \\\"y\\\": \\\\\": \"a b\"}");
	refused("p.json", "{\"a\":\n {{t}}}", "p.json.in:2: {{t}}: it needs double quotes");
	refused("p.json", "{\"a\": \"\\\\\" {{b}}}", "p.json.in:1: {{b}}: it needs double quotes");
	refused("p.json", "{\"a\": {{i}}}", "p.json.in:1: {{i}}: it may be empty");
}

static void a_setting_stands_behind_its_sign(void **state)
{
	(void)state;
	renders("md.mdp", "tc-grps = {{t}}\n", GIVEN("t=Protein Non-Protein"),
		"tc-grps = Protein Non-Protein\n");
	renders("x.ini", "a = {{t}}\n", GIVEN("t=x ; y"), "refused");
	renders("x.ini", "a = {{t}}\n", GIVEN("t=x # y"), "refused");
	renders("x.ini", "a = {{t}}\n", GIVEN("t=[section]"), "refused");
	renders("x.ini", "a = {{t}}\n", GIVEN("t=a\nb = c"), "refused");
	refused("x.ini", "{{t}} = 1\n", "x.ini.in:1: {{t}}: it may stand only behind");
}

static void a_body_that_names_a_variable_uses_it(void **state)
{
	(void)state;
	assert_true(template_body_uses("echo \"$abc\"", "abc"));
	assert_true(template_body_uses("${abc:+-x}", "abc"));
	assert_true(template_body_uses("${#abc}", "abc"));
	assert_true(template_body_uses("x=$((1 + abc))", "abc"));
	assert_false(template_body_uses("$abcd ${xabc} abc", "abc"));
	assert_false(template_body_uses("abc", "abc"));
	assert_false(template_body_uses("((x))\nabc", "abc"));
}

static int make_base(void **state)
{
	(void)state;
	snprintf(base, sizeof(base), "/tmp/t-render-XXXXXX");
	return mkdtemp(base) ? 0 : -1;
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
		cmocka_unit_test(placeholders_become_values),
		cmocka_unit_test(a_wrong_placeholder_is_refused_by_line),
		cmocka_unit_test(tcl_gets_no_code),
		cmocka_unit_test(a_plain_file_takes_safe_characters),
		cmocka_unit_test(a_shell_script_gets_quoted_words_at_its_top),
		cmocka_unit_test(json_gets_strings_and_numbers),
		cmocka_unit_test(a_setting_stands_behind_its_sign),
		cmocka_unit_test(a_body_that_names_a_variable_uses_it),
	};

	return cmocka_run_group_tests(tests, make_base, remove_base);
}
