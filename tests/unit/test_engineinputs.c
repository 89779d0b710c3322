/* What a LAMMPS script and a GROMACS topology read; worked out by hand. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "gromacstop.h"
#include "lammpsconf.h"

static int read_included(void *arg, const char *path, struct strbuf *out)
{
	(void)arg;
	if (strcmp(path, "pair.lmp") == 0)
		strbuf_adds(out, "# shared\npair_style eam/alloy/omp\npair_coeff * * Al.eam.alloy Al\n");
	else if (strcmp(path, "self.lmp") == 0)
		strbuf_adds(out, "include self.lmp\n");
	else if (strcmp(path, "top/lig.itp") == 0)
		strbuf_adds(out, "#ifdef POSRES\n#include \"posre.itp\"\n#endif\n#include \"tail.itp\"\n");
	else
		return -ENOENT;
	return 0;
}

static bool exists(void *arg, const char *path)
{
	(void)arg;
	return strcmp(path, "top/lig.itp") == 0 || strcmp(path, "extra/q.itp") == 0;
}

static struct inputfiles_reader reader = {.read = read_included, .exists = exists};

static void compare(struct inputfiles *files, const char *expected)
{
	struct strbuf ret AUTO_STRBUF = STRBUF_INIT;

	for (size_t i = 0; i < files->count; i++)
		strbuf_addf(&ret, "%s:%d %s %c%s\n", files->items[i].file, files->items[i].line,
			files->items[i].keyword, "=?!"[files->items[i].found], files->items[i].path);
	inputfiles_release(files);
	assert_string_equal(ret.data, expected);
}

static void lammps(const char *text, const char *variables, const char *expected)
{
	struct inputfiles files = {0};

	assert_int_equal(lammpsconf_scan("in", text, strlen(text), variables, &reader, &files), 0);
	compare(&files, expected);
}

static void topology(const char *text, const char *mdp, const char *expected)
{
	struct inputfiles files = {0};

	assert_int_equal(gromacstop_scan("top/topol.top", text, strlen(text), mdp, &reader, &files), 0);
	compare(&files, expected);
}

static void a_script_names_its_files(void **state)
{
	(void)state;
	lammps("variable n index a b\nread_data ${n}.data & # the box\n  add append\ninclude pair.lmp\n"
		"molecule m 'my mol.txt' offset 1 1 1 1 1\n# include no\nread_data \"${n}.x\"\n"
		"read_restart /abs/r.*\nbond_style table linear 100\nbond_coeff 1 bonds.tab KEY\n", NULL,
		"in:2 read_data =a.data\nin:4 include =pair.lmp\npair.lmp:3 pair_coeff ?Al.eam.alloy\n"
		"in:5 molecule =my mol.txt\nin:7 read_data !${n}.x\nin:8 read_restart !/abs/r.*\n"
		"in:10 bond_coeff =bonds.tab\n");
}

static void values_come_from_the_command_line_first(void **state)
{
	(void)state;
	lammps("variable n index a\nvariable s string q\nvariable k equal 3\nvariable e equal $k*2\n"
		"read_data ${n}$s$k.data\nread_data ${e}.data\nread_data $(v_k).data\n", "n melt",
		"in:5 read_data =meltq3.data\nin:6 read_data !${e}.data\nin:7 read_data !$(v_k).data\n");
}

static void what_is_stepped_moved_or_conditional_is_not_guessed(void **state)
{
	(void)state;
	lammps("variable i index 1 2\nlabel loop\nread_data $i.data\nnext i\njump SELF loop\n"
		"if \"$i > 1\" then \"include late.lmp\" else 'read_data d.data'\n"
		"write_data end.data\nread_data end.data\nshell cd sub\nread_data b.data\n", NULL,
		"in:3 read_data !$i.data\nin:6 include ?late.lmp\nin:6 read_data ?d.data\n"
		"in:10 read_data !b.data\n");
}

static void potentials_by_their_style(void **state)
{
	(void)state;
	lammps("pair_style lj/cut 2.5\npair_coeff 1 1 1.0 1.0\npair_style hybrid/overlay tersoff lj/cut 5\n"
		"pair_coeff * * tersoff SiC.tersoff Si C\npair_coeff 1 2 lj/cut 1 1\n"
		"pair_style meam\npair_coeff * * library.meam Si C SiC.meam Si C\n"
		"pair_style snap\npair_coeff * * W.snapcoeff W.snapparam W\n", NULL,
		"in:4 pair_coeff ?SiC.tersoff\nin:7 pair_coeff ?library.meam\nin:7 pair_coeff ?SiC.meam\n"
		"in:9 pair_coeff ?W.snapcoeff\nin:9 pair_coeff ?W.snapparam\n");
}

static void fixes_that_read_files(void **state)
{
	(void)state;
	lammps("fix 1 all colvars col.in output out\nfix 2 all plumed plumedfile p.dat outfile p.log\n"
		"fix 3 all qeq/reaxff 1 0.0 10.0 1.0e-6 reaxff\nfix 4 all qeq/reaxff 1 0.0 10.0 1.0e-6 q.par\n"
		"fix 5 all bond/react react r1 all 1 0 3 pre post m1.map &\n react r2 all 1 0 3 pre post m2.map\n", NULL,
		"in:1 fix =col.in\nin:2 fix =p.dat\nin:4 fix ?q.par\nin:5 fix ?m1.map\nin:5 fix ?m2.map\n");
}

static void a_script_without_end(void **state)
{
	struct inputfiles files = {0};

	(void)state;
	assert_int_equal(lammpsconf_scan("in", "include self.lmp", 16, NULL, &reader, &files), -E2BIG);
	inputfiles_release(&files);
}

static void a_topology_names_its_includes(void **state)
{
	static const char text[] = "; system\n#include \"oplsaa.ff/forcefield.itp\"\n"
		"#include \"lig.itp\"\n#include <mine.ff/ions.itp>\n  #include \"q.itp\"\n";

	(void)state;
	topology(text, "define = -DPOSRES\ninclude = -Iextra\n",
		"top/topol.top:3 #include =top/lig.itp\ntop/lig.itp:2 #include =top/posre.itp\n"
		"top/lig.itp:4 #include =top/tail.itp\ntop/topol.top:4 #include ?top/mine.ff/ions.itp\n"
		"top/topol.top:5 #include =extra/q.itp\n");
	/* Without POSRES the restraints are not read; without an .mdp file nobody knows. */
	topology("#include \"lig.itp\"\n", "integrator = md\n",
		"top/topol.top:1 #include =top/lig.itp\ntop/lig.itp:4 #include =top/tail.itp\n");
	topology("#include \"lig.itp\"\n", NULL,
		"top/topol.top:1 #include =top/lig.itp\ntop/lig.itp:2 #include ?top/posre.itp\n"
		"top/lig.itp:4 #include =top/tail.itp\n");
}

static void conditions_of_a_topology(void **state)
{
	(void)state;
	topology("#define A\n#ifdef A\n#include \"a.itp\"\n#else\n#include \"b.itp\"\n#endif\n"
		"#undef A\n#ifndef A\n#include \"c.itp\"\n#ifdef A\n#include \"d.itp\"\n#endif\n#endif\n",
		"", "top/topol.top:3 #include =top/a.itp\ntop/topol.top:9 #include =top/c.itp\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_script_names_its_files),
		cmocka_unit_test(values_come_from_the_command_line_first),
		cmocka_unit_test(what_is_stepped_moved_or_conditional_is_not_guessed),
		cmocka_unit_test(potentials_by_their_style),
		cmocka_unit_test(fixes_that_read_files),
		cmocka_unit_test(a_script_without_end),
		cmocka_unit_test(a_topology_names_its_includes),
		cmocka_unit_test(conditions_of_a_topology),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
