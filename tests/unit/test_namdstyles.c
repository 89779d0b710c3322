/* NAMD configurations in the styles that teaching material and computing centres use, all written
 * for this test; what each reads was worked out by hand. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "namdconf.h"

static int read_sourced(void *arg, const char *path, struct strbuf *out)
{
	(void)arg;
	if (strcmp(path, "system.str") == 0)
		strbuf_adds(out, "set a 64.0\nset b 64.0\nset c 80.0\nset zcen 0.0\n");
	else if (strcmp(path, "step2.tcl") == 0)
		strbuf_adds(out, "extraBondsFile network_$stage.txt\n");
	else if (strcmp(path, "lipid.col") == 0)
		strbuf_adds(out, "colvarsTrajFrequency 100\ncolvar {\n name head\n distanceZ {\n"
			"  ref { dummyAtom ( 0.0, 0.0, 0.0 ) }\n  main {\n"
			"   atomsFile      restraints/head.ref\n   atomsCol B\n  }\n }\n}\n"
			"harmonic { colvars head; centers 19; forceConstant $bb }\n");
	else if (strcmp(path, "path.in") == 0)
		strbuf_adds(out, "# indexFile old.ndx\nindexFile groups.ndx # all\nColvar {\r\n"
			" rmsd {\n  atoms { indexGroup ca }\n  refPositionsFile \"ref 1.xyz\"\r\n }\n"
			" gpath { refPositionsFile1 p1.pdb\n  REFPOSITIONSFILE12 p12.pdb\n"
			"  pathFile ${stage}.txt }\n}\nabf {\n colvars a\n inputPrefix win1 ../win2\n"
			" outputFile x.pmf\n}\n");
	else
		return -ENOENT;
	return 0;
}

static bool exists(void *arg, const char *path)
{
	(void)arg;
	return strcmp(path, "eq.restart.coor") == 0;
}

static void expect(const char *text, const char *expected)
{
	struct inputfiles_reader reader = {.read = read_sourced, .exists = exists};
	struct strbuf ret AUTO_STRBUF = STRBUF_INIT;
	struct inputfiles c = {0};

	assert_int_equal(namdconf_scan("run.namd", text, strlen(text), &reader, &c), 0);
	for (size_t i = 0; i < c.count; i++)
		strbuf_addf(&ret, "%d %s %s%c%s\n", c.items[i].line, c.items[i].keyword,
			c.items[i].absolute ? "/" : "", "=?!"[c.items[i].found], c.items[i].path);
	inputfiles_release(&c);
	assert_string_equal(ret.data, expected);
}

static void membrane_builder(void **state)
{
	(void)state;
	expect("structure               step5_assembly.psf\n"
		"coordinates             step5_assembly.pdb\n"
		"set temp                303.15;\n"
		"set outputname          step6.1_equilibration;\n"
		"source                  system.str\n"
		"temperature             $temp;\n"
		"outputName              $outputname; # base name\n"
		"paraTypeCharmm          on;\n"
		"parameters              toppar/par_all36m_prot.prm\n"
		"parameters              toppar/par_all36_lipid.prm;\n"
		"cellBasisVector1        $a 0.0 0.0;\n"
		"cellOrigin              0.0 0.0 $zcen;\n"
		"# colvars\n"
		"colvars on\n"
		"colvarsConfig           restraints/$outputname.col;\n"
		"exec mkdir -p restraints\n"
		"exec sed -e \"s/Constant \\$bb/Constant 10/\" lipid.col > restraints/$outputname.col;\n"
		"colvarsInput before.colvars.state\n"
		"constraints             on\n"
		"consref                 restraints/bb.pdb; conskfile restraints/bb.pdb\n"
		"minimize                10000\n"
		"numsteps                90000000\n"
		"run                     125000\n",
		"1 structure =step5_assembly.psf\n2 coordinates =step5_assembly.pdb\n"
		"5 source =system.str\n9 parameters =toppar/par_all36m_prot.prm\n"
		"10 parameters =toppar/par_all36_lipid.prm\n17 exec =lipid.col\n"
		"18 colvarsinput =before.colvars.state\n"
		"20 consref =restraints/bb.pdb\n20 conskfile =restraints/bb.pdb\n"
		"7 atomsfile =restraints/head.ref\n");
}

static void what_a_colvars_configuration_reads(void **state)
{
	(void)state;
	expect("colvars on\ncolvarsConfig path.in\n",
		"2 colvarsconfig =path.in\n2 indexfile =groups.ndx\n6 refpositionsfile =ref 1.xyz\n"
		"8 refpositionsfile1 =p1.pdb\n9 refpositionsfile12 =p12.pdb\n10 pathfile !${stage}.txt\n"
		"14 inputprefix =win1.count\n14 inputprefix =win1.grad\n"
		"14 inputprefix =../win2.count\n14 inputprefix =../win2.grad\n");
	/* Off, or elsewhere: nothing is read of it. */
	expect("colvars off\ncolvarsConfig path.in\n", "");
	expect("colvars on\ncwd sub\ncolvarsConfig path.in\nif {$x} {colvarsConfig lipid.col}\n",
		"3 colvarsconfig =sub/path.in\n4 colvarsconfig ?sub/lipid.col\n");
	expect("colvars on\nif {$x} {colvarsConfig lipid.col}\n",
		"2 colvarsconfig ?lipid.col\n7 atomsfile ?restraints/head.ref\n");
}

static void programs_that_prepare_files(void **state)
{
	(void)state;
	expect("exec tr \"\\[:upper:\\]\" \"\\[:lower:\\]\" < ../box.str | sed -e \"s/ =//g\" > box.namd.str\n"
		"source box.namd.str\n"
		"exec sed -e \"s/\\$FC/200/g\" restraints/dihe.txt >restraints/a.dihe\n"
		"extraBondsFile restraints/a.dihe\nexec cat a.prm b.prm > all.prm\nparameters all.prm\n"
		"exec cp -f old/eq.xsc eq.xsc\nextendedSystem eq.xsc\nexec sed s/a/b/ $x.in > y\n"
		"exec python mk.py $a > out.str\nexec sed -n -f prog.sed <in.txt\nexec mkdir -p out\n",
		"1 exec =../box.str\n3 exec =restraints/dihe.txt\n5 exec =a.prm\n5 exec =b.prm\n"
		"7 exec =old/eq.xsc\n9 exec !$x.in\n11 exec =in.txt\n");
}

static void a_procedure_that_nothing_calls(void **state)
{
	(void)state;
	/* Nobody knows its arguments, since there are none. */
	expect("proc get_first_ts { xsc } {\n  set fd [open $xsc r]\n  gets $fd\n  close $fd\n}\n"
		"structure a.psf\nproc other {} {\n  set fd [open table.dat]\n}\n",
		"6 structure =a.psf\n8 open ?table.dat\n");
}

static void production_in_numbered_parts(void **state)
{
	(void)state;
	expect("set cnt 3\nset prev [expr $cnt - 1]\n"
		"set inputname [format \"prod_%02d\" $prev]\n"
		"set outputname [format \"prod_%02d\" $cnt]\n"
		"structure ../common/ionized.psf\ncoordinates ../common/ionized.pdb\n"
		"binCoordinates $inputname.restart.coor\n"
		"binVelocities  $inputname.restart.vel\n"
		"extendedSystem $inputname.restart.xsc\n"
		"outputName $outputname\n"
		"set fh [open $inputname.restart.xsc r]\n"
		"while {[gets $fh line] >= 0} {\n set first [lindex $line 0]\n}\nclose $fh\n"
		"firsttimestep $first\nrun 500000\n",
		"5 structure =../common/ionized.psf\n6 coordinates =../common/ionized.pdb\n"
		"7 bincoordinates =prod_02.restart.coor\n8 binvelocities =prod_02.restart.vel\n"
		"9 extendedsystem =prod_02.restart.xsc\n11 open =prod_02.restart.xsc\n");
}

static void a_switch_for_restarting(void **state)
{
	static const char body[] = "set inputname eq\nif {$restart} {\n"
		"  bincoordinates $inputname.restart.coor\n  binvelocities $inputname.restart.vel\n"
		"} else {\n  temperature 300\n  coordinates start.pdb\n}\nif {0} {\n  consref old.pdb\n}\n"
		"if { $restart == 0 && $inputname ne \"\" } { minimize 500 }\n";
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	strbuf_addf(&text, "set restart 1\n%s", body);
	expect(text.data, "4 bincoordinates =eq.restart.coor\n5 binvelocities =eq.restart.vel\n");
	strbuf_reset(&text);
	strbuf_addf(&text, "set restart 0\n%s", body);
	expect(text.data, "8 coordinates =start.pdb\n");
	strbuf_reset(&text);
	strbuf_addf(&text, "set restart $env(RESTART)\n%s", body);
	expect(text.data, "4 bincoordinates ?eq.restart.coor\n5 binvelocities ?eq.restart.vel\n"
		"8 coordinates ?start.pdb\n");
}

static void whether_a_restart_is_there(void **state)
{
	(void)state;
	expect("foreach base {eq heat} {\n"
		" if {[file exists $base.restart.coor]} {\n  bincoordinates $base.restart.coor\n } else {\n"
		"  coordinates $base.pdb\n }\n}\n",
		"3 bincoordinates =eq.restart.coor\n3 bincoordinates ?heat.restart.coor\n"
		"5 coordinates ?heat.pdb\n");
	expect("if {![file exists eq.restart.xsc]} {\n puts \"no restart\"\n exit\n}\n"
		"extendedSystem eq.restart.xsc\n", "5 extendedsystem =eq.restart.xsc\n");
}

static void a_centre_with_paths_in_the_environment(void **state)
{
	(void)state;
	expect("set work $env(SCRATCH)/project\nset ff /software/namd/toppar\n"
		"structure     $work/apoa1.psf\n"
		"parameters    $ff/par_all22_prot_lipid.xplor\n"
		"coordinates   [pwd]/apoa1.pdb\n"
		"source        [file join $ff extra.tcl]\n"
		"velocities    apoa1.vel\n",
		"3 structure !$work/apoa1.psf\n4 parameters /=/software/namd/toppar/par_all22_prot_lipid.xplor\n"
		"5 coordinates ![pwd]/apoa1.pdb\n6 source /=/software/namd/toppar/extra.tcl\n"
		"7 velocities =apoa1.vel\n");
}

static void annealing_in_a_loop(void **state)
{
	(void)state;
	expect("structure a.psf; coordinates a.pdb; parameters a.prm\n"
		"outputname heat\ntemperature 0\n"
		"for {set T 50} {$T <= 300} {incr T 50} {\n  langevinTemp $T\n  run 1000\n"
		"  output heat_$T\n}\nset last [expr {$T - 50}]\nreinitatoms heat_$last\n"
		"set n 0\nwhile {$n < 2} {\n  source step$n.tcl\n  incr n\n}\n"
		"set stage 1\nsource step2.tcl\n",
		"1 structure =a.psf\n1 coordinates =a.pdb\n1 parameters =a.prm\n"
		"13 source =step0.tcl\n13 source =step1.tcl\n17 source =step2.tcl\n"
		"1 extrabondsfile =network_1.txt\n");
}

static void amber_and_gromacs_files(void **state)
{
	(void)state;
	expect("AMBER yes\nPARMFILE = complex.prmtop\nAmberCoor = complex.inpcrd\n"
		"readexclusions yes\nexclude scaled1-4\n",
		"2 parmfile =complex.prmtop\n3 ambercoor =complex.inpcrd\n");
	expect("gromacs on\ngrotopfile topol.top\ngrocoorfile conf.gro\n",
		"2 grotopfile =topol.top\n3 grocoorfile =conf.gro\n");
}

static void steered_and_alchemical(void **state)
{
	(void)state;
	expect("SMD on\nSMDFile smd01.ref\nSMDk 7\n"
		"alch on\nalchType FEP\nalchFile lig.fep\nalchOutFile out.fepout\nalchCol B\n"
		"mgridforce on\nmgridforcefile pot1 grid.pdb\nmgridforcepotfile pot1 grid.dx\n"
		"tclForces on\ntclForcesScript {\n  set atoms 3\n  source helper.tcl\n}\n"
		"cellBasisVector1 { 40 0 0 }\nstirOn yes\nstirFilename stir.pdb\nconskcol B\n",
		"2 smdfile =smd01.ref\n6 alchfile =lig.fep\n10 mgridforcefile =grid.pdb\n"
		"11 mgridforcepotfile =grid.dx\n19 stirfilename =stir.pdb\n");
}

static void a_continued_and_commented_one(void **state)
{
	(void)state;
	expect("#############\n## JOB \\\nstructure no.psf\n#############\n"
		"set paths { a.prm \\\n   b.prm\n  c.prm }\n"
		"foreach p $paths {\n\tparameters ff/$p ;# each\n}\n"
		"structure \"my mol.psf\"\r\ncoordinates in/${p}.pdb # remark\n"
		"proc get_first_ts { xscfile } {\n  set fd [open $xscfile r]\n  gets $fd\n  gets $fd line\n"
		"  set ts [lindex $line 0]\n  close $fd\n  return $ts\n}\n"
		"set firsttime [get_first_ts eq.xsc]\nfirsttimestep $firsttime\n",
		"9 parameters =ff/a.prm\n9 parameters =ff/b.prm\n9 parameters =ff/c.prm\n"
		"11 structure =my mol.psf\n12 coordinates =in/c.prm.pdb\n14 open =eq.xsc\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(membrane_builder),
		cmocka_unit_test(what_a_colvars_configuration_reads),
		cmocka_unit_test(programs_that_prepare_files),
		cmocka_unit_test(a_procedure_that_nothing_calls),
		cmocka_unit_test(production_in_numbered_parts),
		cmocka_unit_test(a_switch_for_restarting),
		cmocka_unit_test(whether_a_restart_is_there),
		cmocka_unit_test(a_centre_with_paths_in_the_environment),
		cmocka_unit_test(annealing_in_a_loop),
		cmocka_unit_test(amber_and_gromacs_files),
		cmocka_unit_test(steered_and_alchemical),
		cmocka_unit_test(a_continued_and_commented_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
