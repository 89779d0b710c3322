#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "namdconf.h"

static int read_sourced(void *arg, const char *path, struct strbuf *out)
{
	(void)arg;
	if (strcmp(path, "common.tcl") == 0)
		strbuf_adds(out, "# common\nset base ../eq\nparameters par/$kind.prm\n");
	else if (strcmp(path, "self.tcl") == 0)
		strbuf_adds(out, "source self.tcl\n");
	else
		return -ENOENT;
	return 0;
}

/* A line a file: "FILE:LINE keyword =path", with "=" for certain, "?" for maybe, "!" for not
 * resolved, and "/" before it where the path is absolute. */
static int list(const char *text, size_t len, struct strbuf *ret)
{
	struct namdconf c = {0};
	int r = namdconf_scan("run.namd", text, len, read_sourced, NULL, &c);

	for (size_t i = 0; i < c.count; i++)
		strbuf_addf(ret, "%s:%d %s %s%c%s\n", c.items[i].file, c.items[i].line,
			c.items[i].keyword, c.items[i].absolute ? "/" : "", "=?!"[c.items[i].found],
			c.items[i].path);
	namdconf_release(&c);
	return r;
}

static void expect(const char *text, const char *expected)
{
	struct strbuf ret AUTO_STRBUF = STRBUF_INIT;

	assert_int_equal(list(text, strlen(text), &ret), 0);
	assert_string_equal(ret.data, expected);
}

static void keywords_in_any_case_name_files(void **state)
{
	(void)state;
	expect("structure a.psf\nCoordinates  ../b.pdb ;# where it is\noutputName out\n"
		"  PARAMETERS /abs/c.prm; parameters d.prm\r\nconskfile = k.pdb\nstructure\n"
		"mgridforcefile tag grid.pdb\ntemperature 300\n",
		"run.namd:1 structure =a.psf\nrun.namd:2 coordinates =../b.pdb\n"
		"run.namd:4 parameters /=/abs/c.prm\nrun.namd:4 parameters =d.prm\n"
		"run.namd:5 conskfile =k.pdb\nrun.namd:7 mgridforcefile =grid.pdb\n");
}

static void variables_are_followed(void **state)
{
	(void)state;
	expect("set name eq1\nset path \"in/${name}\"\nbincoordinates $path.coor\n"
		"binvelocities {$path.vel}\nextendedSystem \\\n\t\"$path.xsc\"\n"
		"structure $nosuch.psf\ncoordinates [file join a b].pdb\nvelocities $a(1).vel\n",
		"run.namd:3 bincoordinates =in/eq1.coor\nrun.namd:4 binvelocities =$path.vel\n"
		"run.namd:6 extendedsystem =in/eq1.xsc\nrun.namd:7 structure !$nosuch.psf\n"
		"run.namd:8 coordinates ![file join a b].pdb\nrun.namd:9 velocities !$a(1).vel\n");
}

static void what_may_have_changed_is_not_guessed(void **state)
{
	(void)state;
	expect("set n 1\nset m 2\nincr n\nset k [incr m]\nstructure $n.psf\ncoordinates $m.pdb\n"
		"parameters $k.prm\n",
		"run.namd:5 structure !$n.psf\nrun.namd:6 coordinates !$m.pdb\n"
		"run.namd:7 parameters !$k.prm\n");
}

static void sourced_files_are_followed(void **state)
{
	(void)state;
	expect("set kind all36\nsource common.tcl\nstructure $base/a.psf\nsource gone.tcl\n",
		"run.namd:2 source =common.tcl\ncommon.tcl:3 parameters =par/all36.prm\n"
		"run.namd:3 structure =../eq/a.psf\nrun.namd:4 source =gone.tcl\n");
}

static void branches_are_said_to_be_uncertain(void **state)
{
	(void)state;
	expect("set n a\nif {0} {\n  structure off.psf\n} else {\n  structure on.psf\n}\n"
		"if { 1 } { set n b }\ncoordinates $n.pdb\n"
		"if {$x > 1} {\n  velocities $n.vel\n  set n c\n} elseif {$y} {\n  binvelocities $n.vel\n"
		"} else {\n consref r.pdb\n}\nparameters $n.prm\n",
		"run.namd:5 structure =on.psf\nrun.namd:8 coordinates =b.pdb\n"
		"run.namd:10 velocities ?b.vel\nrun.namd:13 binvelocities !$n.vel\n"
		"run.namd:15 consref ?r.pdb\nrun.namd:17 parameters !$n.prm\n");
}

static void loops_and_procedures(void **state)
{
	(void)state;
	expect("set p q\nforeach f {a b} { parameters $f.prm; structure $p.psf; set p $f }\n"
		"set z 1\nproc x {y} {\n  consref $z.pdb\n}\ntclBCScript { set a 1; wrapmode cell }\n"
		"tclForcesScript force.tcl\n",
		"run.namd:2 parameters !$f.prm\nrun.namd:2 structure !$p.psf\n"
		"run.namd:5 consref !$z.pdb\nrun.namd:8 tclforcesscript =force.tcl\n");
}

static void bounds_what_has_no_end(void **state)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct strbuf ret AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	assert_int_equal(list("source self.tcl", 15, &ret), -E2BIG);
	for (int i = 0; i < 10000; i++)
		strbuf_adds(&text, "if {$x} {");
	assert_int_equal(list(text.data, text.len, &ret), -E2BIG);
	strbuf_reset(&text);
	for (int i = 0; i < 20; i++)
		strbuf_adds(&text, "while {1} {\nset a x$a$a\n");
	list(text.data, text.len, &ret);
	strbuf_reset(&text);
	strbuf_adds(&text, "set a xxxxxxxx\n");
	for (int i = 0; i < 2000; i++)
		strbuf_adds(&text, "set a $a$a\n");
	list(text.data, text.len, &ret);
}

static void takes_any_bytes(void **state)
{
	static const char letters[] = "{}[]\"\\$;#\n set ifsource\0a\xff(structure 1";
	unsigned int seed = 1;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct strbuf text AUTO_STRBUF = STRBUF_INIT;
		struct strbuf ret AUTO_STRBUF = STRBUF_INIT;
		char *exact;

		for (int i = 0; i < round % 97; i++) {
			if (i % 7 == 0)
				strbuf_adds(&text, i % 2 ? "\nset a " : "\nstructure $a");
			strbuf_addc(&text, letters[(size_t)rand_r(&seed) % (sizeof(letters) - 1)]);
		}
		/* Of exactly this size, so that a byte read behind the end shows. */
		exact = malloc(text.len + !text.len);
		assert_non_null(exact);
		memcpy(exact, text.data, text.len);
		list(exact, text.len, &ret);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keywords_in_any_case_name_files),
		cmocka_unit_test(variables_are_followed),
		cmocka_unit_test(what_may_have_changed_is_not_guessed),
		cmocka_unit_test(sourced_files_are_followed),
		cmocka_unit_test(branches_are_said_to_be_uncertain),
		cmocka_unit_test(loops_and_procedures),
		cmocka_unit_test(bounds_what_has_no_end),
		cmocka_unit_test(takes_any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
