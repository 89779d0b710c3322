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

static bool exists(void *arg, const char *path)
{
	(void)arg;
	return strcmp(path, "here.coor") == 0;
}

/* A line a file: "FILE:LINE keyword =path", with "=" for certain, "?" for maybe, "!" for not
 * resolved, and "/" before it where the path is absolute. */
static int list(const char *text, size_t len, struct strbuf *ret)
{
	struct inputfiles_reader reader = {.read = read_sourced, .exists = exists};
	struct inputfiles c = {0};
	int r = namdconf_scan("run.namd", text, len, &reader, &c);

	for (size_t i = 0; i < c.count; i++)
		strbuf_addf(ret, "%s:%d %s %s%c%s\n", c.items[i].file, c.items[i].line,
			c.items[i].keyword, c.items[i].absolute ? "/" : "", "=?!"[c.items[i].found],
			c.items[i].path);
	inputfiles_release(&c);
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
		"run.namd:8 coordinates =a/b.pdb\nrun.namd:9 velocities !$a(1).vel\n");
}

static void what_may_have_changed_is_not_guessed(void **state)
{
	(void)state;
	expect("set n 1\nset m 2\nregexp {.} $x n\nset k [incr m]\nstructure $n.psf\n"
		"coordinates $m.pdb\nparameters $k.prm\n"
		"set o 1\nset $unknown 2\nconsref $o.pdb\n",
		"run.namd:5 structure !$n.psf\nrun.namd:6 coordinates =3.pdb\n"
		"run.namd:7 parameters =3.prm\nrun.namd:10 consref !$o.pdb\n");
	expect("set a 1\nsource /cluster/common.tcl\nstructure $a.psf\n"
		"set b 1\nuplevel 1 {x}\ncoordinates $b.pdb\n"
		"set c 1\nset i [foo]\nwhile {$i < 3} {\n set c 2\n incr i\n}\nparameters $c.prm\n",
		"run.namd:2 source /=/cluster/common.tcl\nrun.namd:3 structure !$a.psf\n"
		"run.namd:6 coordinates !$b.pdb\nrun.namd:13 parameters !$c.prm\n");
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
		"coordinates $p.pdb\n",
		"run.namd:2 parameters =a.prm\nrun.namd:2 structure =q.psf\n"
		"run.namd:2 parameters =b.prm\nrun.namd:2 structure =a.psf\n"
		"run.namd:3 coordinates =b.pdb\n");
	/* A list that is not known, and a round that may end early. */
	expect("set p q\nforeach f [glob *.prm] { parameters $f; structure $p.psf; set p $f }\n"
		"foreach f {a b} { if {$x} break; consref $f.pdb }\n",
		"run.namd:2 parameters !$f\nrun.namd:2 structure !$p.psf\n"
		"run.namd:3 consref !$f.pdb\n");
	expect("for {set i 1} {$i <= 3} {incr i} { parameters p$i.prm }\nstructure $i.psf\n"
		"while {$i > 2} { incr i -1\n}\ncoordinates $i.pdb\n",
		"run.namd:1 parameters =p1.prm\nrun.namd:1 parameters =p2.prm\n"
		"run.namd:1 parameters =p3.prm\nrun.namd:2 structure =4.psf\n"
		"run.namd:5 coordinates =2.pdb\n");
	expect("set z 1\nproc x {y} {\n  consref $z.pdb\n}\ntclBCScript { set a 1; wrapmode cell }\n"
		"tclForcesScript force.tcl\n",
		"run.namd:6 tclforcesscript =force.tcl\nrun.namd:3 consref !$z.pdb\n");
	expect("set dir ff\nproc use {names} {\n  global dir\n  foreach n $names { parameters $dir/$n.prm }\n"
		"  set dir gg\n}\nuse {a b}\nstructure $dir.psf\n"
		"proc name {n} { return run$n }\ncoordinates [name 7].pdb\n",
		"run.namd:4 parameters =ff/a.prm\nrun.namd:4 parameters =ff/b.prm\n"
		"run.namd:8 structure =gg.psf\nrun.namd:10 coordinates =run7.pdb\n");
	expect("switch eq2 { eq1 { structure a.psf } eq2 { structure b.psf } default {structure c.psf} }\n"
		"switch -glob $x {\n a* { coordinates a.pdb }\n default { coordinates b.pdb }\n}\n",
		"run.namd:1 structure =b.psf\nrun.namd:3 coordinates ?a.pdb\n"
		"run.namd:4 coordinates ?b.pdb\n");
}

static void expressions_have_tcls_values(void **state)
{
	static const char *const cases[][2] = {{"expr 7 / 2", "3"}, {"expr -7 / 2", "-4"},
		{"expr -7 % 3", "2"}, {"expr 7 / 2.0", "3.5"}, {"expr 2 + 3 * 4", "14"},
		{"expr (2 + 3) * 4", "20"}, {"expr {1 ? \"yes\" : \"no\"}", "yes"}, {"expr 1.0 * 3", "3.0"},
		{"expr {0.1 + 0.2}", "0.30000000000000004"}, {"expr {3 > 2 && 2 >= 2}", "1"},
		{"expr {\"a\" eq \"b\" || !0}", "1"}, {"expr int(3.7)", "3"}, {"expr round(2.5)", "3"},
		{"expr {1000 * [expr 2 * 3]}", "6000"}, {"expr max(2, 5)", "5"}, {"expr {10 == 10.0}", "1"},
		{"expr {0 && $unknown}", "0"}, {"format %03d 7", "007"}, {"format %.2f 1.255e1", "12.55"},
		{"format %s-%d%% a 5", "a-5%"}, {"file join /x y.z", "/x/y.z"}, {"file tail a/b.c", "b.c"},
		{"file rootname a/b.c", "a/b"}, {"file dirname a/b.c", "a"}, {"file dirname b", "."},
		{"string tolower ABC", "abc"}, {"string trim { a }", "a"}, {"lindex {a {b c} d} 2", "d"},
		{"lindex {a b} end", "b"}, {"llength {a {b c} d}", "3"}, {"join {a b} -", "a-b"}};
	static const char *const unknown[] = {"expr 08 + 1", "expr 0x10", "expr 1 / 0", "expr 2 +",
		"expr $unknown", "expr {rand()}", "expr 9223372036854775807 + 1", "format %d a",
		"format %9999d 1", "clock seconds", "exec date", "expr {1 && $unknown}", "expr ((1)"};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct strbuf text AUTO_STRBUF = STRBUF_INIT;
		struct strbuf wanted AUTO_STRBUF = STRBUF_INIT;

		strbuf_addf(&text, "structure x[%s]\n", cases[i][0]);
		strbuf_addf(&wanted, "run.namd:1 structure =x%s\n", cases[i][1]);
		expect(text.data, wanted.data);
	}
	for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++) {
		struct strbuf text AUTO_STRBUF = STRBUF_INIT;
		struct strbuf wanted AUTO_STRBUF = STRBUF_INIT;

		strbuf_addf(&text, "structure x[%s]\n", unknown[i]);
		strbuf_addf(&wanted, "run.namd:1 structure !x[%s]\n", unknown[i]);
		expect(text.data, wanted.data);
	}
}

static void forms_of_a_keyword_and_its_value(void **state)
{
	(void)state;
	expect("coordinates=a.pdb\nstructure= b.psf\nconsref =c.pdb\nset x q\nconskfile=$x.pdb\n"
		"velocities=$none.vel\nparameters my file.prm # a remark\nparam langevinFile l.pdb\n"
		"set a(1) in\nset k 1\nbincoordinates $a($k).coor\n",
		"run.namd:1 coordinates =a.pdb\nrun.namd:2 structure =b.psf\nrun.namd:3 consref =c.pdb\n"
		"run.namd:5 conskfile =q.pdb\nrun.namd:6 velocities !velocities=$none.vel\n"
		"run.namd:7 parameters =my file.prm\nrun.namd:8 langevinfile =l.pdb\n"
		"run.namd:11 bincoordinates =in.coor\n");
}

static void a_switch_that_is_off_needs_no_file(void **state)
{
	(void)state;
	expect("constraints off\nconsref r.pdb\nconskfile k.pdb\nfixedAtoms on\nfixedAtomsFile f.pdb\n"
		"colvars No\ncolvarsConfig c.in\nif {$x} { extraBonds off }\nextraBondsFile e.txt\n",
		"run.namd:5 fixedatomsfile =f.pdb\nrun.namd:9 extrabondsfile =e.txt\n");
}

static void what_the_run_writes_first_is_not_needed(void **state)
{
	(void)state;
	/* A forces script made by the configuration itself; a restart of an earlier run is needed. */
	expect("set f [open force.tcl w]\nputs $f {proc calcforces {} {}}\nclose $f\n"
		"tclForcesScript force.tcl\noutputName eq\nbincoordinates eq.restart.coor\n"
		"run 100\nreinitatoms eq\noutput half\nreinitatoms half\nreinitatoms other\n"
		"coorfile open dcd eq.dcd\nfile copy eq.xsc kept.xsc\nset g [open data.txt]\n",
		"run.namd:6 bincoordinates =eq.restart.coor\nrun.namd:11 reinitatoms =other.coor\n"
		"run.namd:11 reinitatoms =other.vel\nrun.namd:11 reinitatoms =other.xsc\n"
		"run.namd:14 open =data.txt\n");
	/* What comes only after the run began was not there when its keyword was read. */
	expect("bincoordinates a.coor\nminimize 10\nset f [open a.coor w]\n",
		"run.namd:1 bincoordinates =a.coor\n");
	expect("if {$x} { set f [open a.tcl w] }\nsource a.tcl\n", "run.namd:2 source ?a.tcl\n");
}

static void the_folder_that_cwd_names_is_entered(void **state)
{
	(void)state;
	expect("coordinates a.pdb\nparameters /abs/p.prm\nsource common.tcl\ncwd sub\nset kind k\n",
		"run.namd:1 coordinates =sub/a.pdb\nrun.namd:2 parameters /=/abs/p.prm\n"
		"run.namd:3 source =common.tcl\ncommon.tcl:3 parameters !par/$kind.prm\n");
	expect("coordinates a.pdb\ncwd /data\n", "run.namd:1 coordinates /=/data/a.pdb\n");
	expect("coordinates a.pdb\ncwd $env(TMP)\n", "run.namd:1 coordinates !a.pdb\n");
}

static void bounds_what_has_no_end(void **state)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct strbuf ret AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	assert_int_equal(list("source self.tcl", 15, &ret), -E2BIG);
	for (int i = 0; i < 1000000; i++)
		strbuf_adds(&text, "$a(");
	strbuf_reset(&ret);
	list(text.data, text.len, &ret);
	strbuf_reset(&text);
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
		cmocka_unit_test(expressions_have_tcls_values),
		cmocka_unit_test(forms_of_a_keyword_and_its_value),
		cmocka_unit_test(a_switch_that_is_off_needs_no_file),
		cmocka_unit_test(what_the_run_writes_first_is_not_needed),
		cmocka_unit_test(the_folder_that_cwd_names_is_entered),
		cmocka_unit_test(bounds_what_has_no_end),
		cmocka_unit_test(takes_any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
