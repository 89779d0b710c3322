#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "progress.h"
#include "progress_query.h"

/* What the file `progress` says of a log, read in pieces of `piece` bytes. */
static void shows(const char *log, size_t piece, double rate, bool ended, const char *expected)
{
	struct progress_reader reader;
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	size_t len = strlen(log);

	progress_reader_init(&reader);
	for (size_t at = 0; at < len; at += piece)
		progress_feed(&reader, log + at, len - at < piece ? len - at : piece);
	progress_render(&reader.progress, rate, ended, &text);
	assert_string_equal(text.data, expected);
}

static void is(const char *log, double rate, const char *expected)
{
	shows(log, 1, rate, false, expected);
	shows(log, 7, rate, false, expected);
	shows(log, 65536, rate, false, expected);
}

#define BAR_40 "[############..................] 40 %\n"
#define BAR_50 "[###############...............] 50 %\n"
#define BAR_100 "[##############################] 100 %\n"

static void namd_that_minimizes_and_runs(void **state)
{
	static const char head[] =
		"Charm++: standalone mode (not using charmrun)\n"
		"Info: NAMD 2.14 for Linux-x86_64-multicore\n"
		"Info: TIMESTEP               2\n"
		"Info: NUMBER OF STEPS        0\n"
		"TCL: Minimizing for 1000 steps\n"
		"ETITLE:      TS           BOND\n"
		"ENERGY:       0      1.0000\n\n"
		"LINE MINIMIZER BRACKET: DX 1e-06 DU -1 DUDX -2\n"
		"TIMING: 500  CPU: 5, 0.01/step  Wall: 5, 0.01/step, 0.00138889 hours remaining, "
		"64.0 MB of memory in use.\n"
		"ENERGY:     500      0.5000\n";

	(void)state;
	/* While it minimizes there is no simulated time; 0.00138889 h are 5 s. */
	is(head, 0, BAR_50 "steps = 500 of 1000 (50 %)\nphase = minimization\n"
		"speed = 100 steps/s\nleft = 0:00:05\nengine = NAMD 2.14\n");

	AUTO_FREE char *run = malloc(4096);
	snprintf(run, 4096, "%s%s", head,
		"ENERGY:    1000      0.2500\n"
		"TCL: Running for 49000 steps\n"
		"ENERGY:    1000      0.2500\n"
		"Info: Benchmark time: 16 CPUs 0.02 s/step 0.115741 days/ns 1257.94 MB memory\n"
		"ENERGY:   20000      0.2500\n");
	/* 30,000 steps of 0.02 s are 600 s; 1 / 0.115741 is 8.64. */
	is(run, 0, BAR_40 "steps = 20000 of 50000 (40 %)\nspeed = 8.64 ns/day\nleft = 0:10:00\n"
		"engine = NAMD 2.14\n");
}

static void gives_up(const char *log, const char *expected)
{
	struct progress_reader reader;

	progress_reader_init(&reader);
	progress_feed(&reader, log, strlen(log));
	assert_string_equal(reader.progress.fatal, expected);
}

static void namd_says_why_it_gives_up(void **state)
{
	static const char head[] = "Info: NAMD 3.0.1 for Linux-x86_64-multicore\n";
	AUTO_FREE char *text = malloc(4096), *words = malloc(4096), *expected = malloc(4096);

	(void)state;
	snprintf(text, 4096, "%s%s", head, "FATAL ERROR: UNABLE TO OPEN .psf FILE a.psf\n"
		"[Partition 0][Node 0] End of program\n");
	gives_up(text, "FATAL ERROR: UNABLE TO OPEN .psf FILE a.psf");
	/* The last one counts; Charm++'s own word before it does not. */
	snprintf(text, 4096, "%s%s", head, "FATAL ERROR: first\nReason: FATAL ERROR: second\nWarning: FATAL ERROR: no\n");
	gives_up(text, "FATAL ERROR: second");
	/* A second run in the same log has reasons of its own, also where the first had no step. */
	snprintf(text, 4096, "%s%s%s", head, "FATAL ERROR: first\n", head);
	gives_up(text, "");
	gives_up("LAMMPS (2 Aug 2023)\nFATAL ERROR: NAMD's words alone\n", "");
	gives_up("FATAL ERROR: of whom is not known\n", "");
	/* 255 bytes of a longer one. */
	memset(words, 'w', 400);
	words[400] = '\0';
	snprintf(text, 4096, "%sFATAL ERROR: %s\n", head, words);
	snprintf(expected, 4096, "FATAL ERROR: %.242s", words);
	gives_up(text, expected);
}

static void namd_3_says_more(void **state)
{
	(void)state;
	/* A continued run: its steps do not begin at 0. 90,000 s are a day and an hour. */
	is("Info: NAMD 3.0.1 for Linux-x86_64-multicore-CUDA\n"
		"TCL: Running for 10000000 steps without repeating first step\n"
		"ENERGY: 5000000      1.0000\n"
		"TIMING: 6000000  CPU: 6.17736, 0.01/step  Wall: 6.18515, 0.01/step, "
		"17.28 ns/days, 25 hours remaining, 0.000000 MB of memory in use.\n",
		0, "[###...........................] 10 %\nsteps = 1000000 of 10000000 (10 %)\n"
		"speed = 17.3 ns/day\nleft = 1-01:00:00\nengine = NAMD 3.0.1\n");
	is("Info: NAMD 3.0.1 for Linux-x86_64-multicore-CUDA\n"
		"TCL: Running for 1000 steps\n"
		"ENERGY:       0      1.0000\n"
		"PERFORMANCE: 500  averaging 96.5 ns/day, 0.002 sec/step with standard deviation 0.0001\n",
		0, BAR_50 "steps = 500 of 1000 (50 %)\nspeed = 96.5 ns/day\nleft = 0:00:01\n"
		"engine = NAMD 3.0.1\n");
}

static void namd_without_run(void **state)
{
	static const char log[] = "Info: NAMD 2.14 for Linux-x86_64-MPI\n"
		"Info: TIMESTEP               1\n"
		"Info: NUMBER OF STEPS        1000\n"
		"ENERGY:       0      1.0000\n"
		"ENERGY:     400      1.0000\n";

	(void)state;
	/* 10 steps a second of 1 fs are 0.864 ns a day; 600 steps are a minute. */
	is(log, 10, BAR_40 "steps = 400 of 1000 (40 %)\nspeed = 0.86 ns/day\nleft = 0:01:00\n"
		"engine = NAMD 2.14\n");
	/* The last energies need not be those of the last step. */
	AUTO_FREE char *ended = malloc(4096);
	snprintf(ended, 4096, "%s%s", log,
		"WallClock: 40.192318  CPUTime: 38.631128  Memory: 15.167969 MB\n");
	is(ended, 0, BAR_100 "steps = 1000 of 1000 (100 %)\nengine = NAMD 2.14\n");
}

static void lammps_log_file(void **state)
{
	/* From LAMMPS (29 Sep 2021), shortened. */
	static const char log[] =
		"LAMMPS (29 Sep 2021 - Update 2)\n"
		"units           real\n"
		"timestep        2.0\n"
		"run             ${n}\n"
		"run             5000\n"
		"Per MPI rank memory allocation (min/avg/max) = 4.625 | 4.625 | 4.625 Mbytes\n"
		"Step Temp E_pair E_mol TotEng Press \n"
		"       0            3   -6.7733681            0   -2.2744931   -3.7033504 \n"
		"WARNING: Dihedral problem 17 (src/dihedral.cpp:345)\n"
		"    2500     1.643757   -4.7614599            0   -2.2964407     5.774958 \n";

	(void)state;
	/* 100 steps a second of 2 fs are 17.28 ns a day. */
	is(log, 100, BAR_50 "steps = 2500 of 5000 (50 %)\nspeed = 17.3 ns/day\nleft = 0:00:25\n"
		"engine = LAMMPS 29 Sep 2021 - Update 2\n");

	AUTO_FREE char *more = malloc(4096);
	snprintf(more, 4096, "%s%s", log,
		"    5000     1.643757   -4.7614599            0   -2.2964407     5.774958 \n"
		"Loop time of 50 on 1 procs for 5000 steps with 4000 atoms\n\n"
		"Performance: 17.280 ns/day, 1.389 hours/ns, 100.000 timesteps/s\n"
		"run 7500 upto\n"
		"Per MPI rank memory allocation (min/avg/max) = 4.625 | 4.625 | 4.625 Mbytes\n"
		"   Step          Temp          E_pair\n"
		"      5000   1.643757      -4.7614599\n"
		"      6000   1.643757      -4.7614599\n");
	is(more, 0, "[########################......] 80 %\nsteps = 6000 of 7500 (80 %)\n"
		"engine = LAMMPS 29 Sep 2021 - Update 2\n");
}

static void lammps_run_in_pieces(void **state)
{
	(void)state;
	is("LAMMPS (2 Aug 2023)\nunits lj\nrun 200 every 50 \"shell sleep 1\"\n"
		"Per MPI rank memory allocation (min/avg/max) = 3.2 | 3.2 | 3.2 Mbytes\n"
		"Temp Step Press\n 3 0 -3.70\n 1.67 50 5.67\n"
		"Loop time of 0.08 on 1 procs for 50 steps with 4000 atoms\n\n"
		"Performance: 269475.335 tau/day, 623.785 timesteps/s\n"
		"shell sleep 1\n"
		"Per MPI rank memory allocation (min/avg/max) = 3.2 | 3.2 | 3.2 Mbytes\n"
		"Temp Step Press\n 1.67 50 5.67\n 1.64 80 5.86\n", 10,
		/* 10 steps a second of 0.005 tau. */
		BAR_40 "steps = 80 of 200 (40 %)\nspeed = 4320 tau/day\nleft = 0:00:12\n"
		"engine = LAMMPS 2 Aug 2023\n");
}

static void lammps_on_the_screen(void **state)
{
	/* No command is echoed there; thermo_style multi. */
	static const char log[] = "LAMMPS (29 Aug 2024)\n"
		"Setting up Verlet run ...\n  Unit style    : metal\n  Current step  : 0\n"
		"  Time step     : 0.001\n"
		"Per MPI rank memory allocation (min/avg/max) = 4.625 | 4.625 | 4.625 Mbytes\n"
		"------------ Step              0 ----- CPU =            0 (sec) -------------\n"
		"TotEng   =       -25.0000 KinEng   =        3.0000\n"
		"------------ Step            300 ----- CPU =            3 (sec) -------------\n";

	(void)state;
	is(log, 100, "steps = 300\nspeed = 8.64 ns/day\nengine = LAMMPS 29 Aug 2024\n");

	AUTO_FREE char *ended = malloc(4096);
	snprintf(ended, 4096, "%s%s", log,
		"Loop time of 3 on 2 procs for 350 steps with 4000 atoms\n"
		"Performance: 10.080 ns/day, 2.381 hours/ns, 116.667 timesteps/s, 466.668 katom-step/s\n"
		"Total wall time: 0:00:03\n");
	is(ended, 0, BAR_100 "steps = 350 of 350 (100 %)\nspeed = 10.1 ns/day\n"
		"engine = LAMMPS 29 Aug 2024\n");
}

static void lammps_that_minimizes(void **state)
{
	(void)state;
	is("LAMMPS (29 Aug 2024)\nminimize 1.0e-4 1.0e-6 1000 10000\n"
		"Memory usage per processor = 2.4 Mbytes\nStep Temp\n   0  0\n  500  0\n", 50,
		BAR_50 "steps = 500 of 1000 (50 %)\nphase = minimization\nspeed = 50.0 steps/s\n"
		"left = 0:00:10\nengine = LAMMPS 29 Aug 2024\n");
}

/* From gmx mdrun 2022.5, shortened. */
#define MD_LOG \
	"              :-) GROMACS - gmx mdrun, 2022.5-Debian_2022.5_2 (-:\n\n" \
	"GROMACS:      gmx mdrun, version 2022.5-Debian_2022.5_2\n" \
	"   integrator                     = md\n" \
	"   tinit                          = 0\n" \
	"   dt                             = 0.002\n" \
	"   nsteps                         = 20000\n" \
	"   init-step                      = 0\n" \
	"           Step           Time\n" \
	"              0        0.00000\n\n" \
	"   Energies (kJ/mol)\n" \
	"        LJ (SR)   Coulomb (SR)      Potential    Kinetic En.   Total Energy\n" \
	"    -1.0e+03    0.0e+00   -1.0e+03    6.0e+02   -4.0e+02\n\n" \
	"           Step           Time\n" \
	"           8000       16.00000\n\n"

static void gromacs_log_file(void **state)
{
	(void)state;
	is(MD_LOG, 100, BAR_40 "steps = 8000 of 20000 (40 %)\nspeed = 17.3 ns/day\n"
		"left = 0:02:00\nengine = GROMACS 2022.5-Debian_2022.5_2\n");
	is(MD_LOG "           Step           Time\n          20000       40.00000\n\n"
		"                 (ns/day)    (hour/ns)\nPerformance:     2734.671        0.009\n"
		"Finished mdrun on rank 0 Tue Nov 24 15:46:05 2026\n", 0,
		BAR_100 "steps = 20000 of 20000 (100 %)\nspeed = 2735 ns/day\n"
		"engine = GROMACS 2022.5-Debian_2022.5_2\n");
}

static void gromacs_verbose(void **state)
{
	(void)state;
	is("      :-) GROMACS - gmx grompp, 2023 (-:\n"
		"     :-) GROMACS - gmx_mpi mdrun, 2023.1 (-:\n"
		"starting mdrun 'Protein in water'\n50000 steps,    100.0 ps.\n\r"
		"step 0\rstep 10000, will finish Tue Nov 24 18:00:00 2026\r"
		"step 25000, remaining wall clock time:   250 s          \r", 0,
		BAR_50 "steps = 25000 of 50000 (50 %)\nleft = 0:04:10\nengine = GROMACS 2023.1\n");
	/* A minimization ends where it has converged. */
	is("     :-) GROMACS - gmx mdrun, 2023.1 (-:\n   integrator        = steep\n"
		"Steepest Descents:\n   Tolerance (Fmax)   =  1.00000e+01\n   Number of steps    =     500\n"
		"Step=    0, Dmax= 1.0e-02 nm, Epot=  4.4e+04 Fmax= 7.5e+04, atom= 74\n"
		"Step=  250, Dmax= 5.2e-02 nm, Epot= -1.2e+03 Fmax= 1.0e+01, atom= 428\n", 50,
		BAR_50 "steps = 250 of 500 (50 %)\nphase = minimization\nspeed = 50.0 steps/s\n"
		"left = 0:00:05\nengine = GROMACS 2023.1\n");
	is("     :-) GROMACS - gmx mdrun, 2023.1 (-:\n   integrator        = steep\n"
		"   nsteps                         = 500\n"
		"           Step           Time\n            250      250.00000\n"
		"Steepest Descents converged to Fmax < 1000 in 251 steps\n", 0,
		BAR_100 "steps = 250 of 250 (100 %)\nphase = minimization\nengine = GROMACS 2023.1\n");
}

static void what_ended_has_nothing_left(void **state)
{
	(void)state;
	shows(MD_LOG, 100, 100, true, BAR_40 "steps = 8000 of 20000 (40 %)\nspeed = 17.3 ns/day\n"
		"engine = GROMACS 2022.5-Debian_2022.5_2\n");
}

static void another_run_in_the_same_log_begins_anew(void **state)
{
	(void)state;
	is("Info: NAMD 3.0 for Linux-x86_64\nTCL: Running for 100 steps\nENERGY: 0 1\nENERGY: 100 1\n"
		"WallClock: 4  CPUTime: 3\n"
		"Info: NAMD 3.0 for Linux-x86_64\nTCL: Running for 400 steps\nENERGY: 100 1\n"
		"ENERGY: 300 1\n", 0,
		BAR_50 "steps = 200 of 400 (50 %)\nengine = NAMD 3.0\n");
}

static void a_gap_makes_no_total(void **state)
{
	struct progress_reader reader;
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	static const char head[] = "Info: NAMD 3.0 for Linux-x86_64\nTCL: Minimizing for 100 steps\n"
		"ENERGY: 0 1\nENERGY: 1";
	static const char tail[] = "00 1\nENERGY: 345000 1\n";

	(void)state;
	progress_reader_init(&reader);
	progress_feed(&reader, head, sizeof(head) - 1);
	progress_gap(&reader);
	progress_feed(&reader, tail, sizeof(tail) - 1);
	progress_render(&reader.progress, 0, false, &text);
	assert_null(strchr(text.data, '['));
	assert_ptr_equal(strstr(text.data, "steps = 345000\n"), text.data);
}

static void hostile_text_is_harmless(void **state)
{
	static const char *const heads[] = {"Info: NAMD 3.0 for x\n",
		("LAMMPS (1 Jan 2024)\nrun 10\nPer MPI rank memory allocation\nA Step\n"),
		":-) GROMACS - gmx mdrun, 2024 (-:\n"};
	static const char *const lines[] = {"ENERGY:", "ENERGY: 99999999999999999999999 1",
		"ENERGY: -5 1", "TIMING: 18446744073709551616 Wall: ,/step",
		"TIMING: 1 Wall: 1, 1e999/step, nan hours remaining",
		"TCL: Running for 9223372036854775807 steps",
		"TCL: Running for -1 steps", "Info: TIMESTEP 1e400", "Info: Benchmark time: s/step days/ns",
		"Info: Benchmark time: -1 CPUs 0x10 s/step 0 days/ns", "PERFORMANCE: ", "WallClock:",
		"1 99999999999999999999999", "1 -1", "1", "run 99999999999999999", "run", "minimize",
		"Loop time of", "Loop time of 1e9999 on for 5 steps", "Performance: inf", "timestep nan",
		"units", "--- Step ", "--- Step x", "nsteps = -1", "nsteps = 9999999999999999999",
		"init-step = 5", "dt = -0", "Step Time", "step 5, remaining wall clock time: x",
		"1 steps, 1 ps", "0 steps, 0 ps", "Step=", "Number of steps", " converged to ", "\x1b[31m",
		"Info: NAMD 3\x1b]0;x\a for"};
	uint64_t seed = 88172645463325252u;

	(void)state;
	for (size_t run = 0; run < 3000; run++) {
		struct progress_reader reader;
		struct strbuf text AUTO_STRBUF = STRBUF_INIT;

		progress_reader_init(&reader);
		progress_feed(&reader, heads[run % 3], strlen(heads[run % 3]));
		for (int i = 0; i < 30; i++) {
			seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
			const char *line = lines[seed % (sizeof(lines) / sizeof(*lines))];

			progress_feed(&reader, line, strlen(line) - (seed >> 40) % (strlen(line) / 2 + 1));
			/* Any bytes, NUL among them. */
			if (seed >> 60 == 1)
				progress_feed(&reader, (const char *)&seed, sizeof(seed));
			progress_feed(&reader, "\n", 1);
		}
		progress_render(&reader.progress, 1e300, run % 2, &text);
		assert_true(text.len < 512);
		for (size_t i = 0; i < text.len; i++)
			assert_true(text.data[i] == '\n' || (unsigned char)text.data[i] >= ' ');
		assert_null(strstr(text.data, "nan"));
		assert_null(strstr(text.data, "inf"));
		if (strstr(text.data, "= -"))
			fail_msg("%s", text.data);
	}
}

static void a_line_without_end_costs_nothing(void **state)
{
	struct progress_reader reader;
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	static char noise[65536];

	(void)state;
	memset(noise, 'x', sizeof(noise));
	progress_reader_init(&reader);
	for (int i = 0; i < 64; i++)
		progress_feed(&reader, noise, sizeof(noise));
	static const char log[] = "\nInfo: NAMD 3.0 for x\nENERGY: 7 1\n";
	progress_feed(&reader, log, sizeof(log) - 1);
	progress_render(&reader.progress, 0, false, &text);
	assert_string_equal(text.data, "steps = 0\nengine = NAMD 3.0\n");
}

static void collect(void *arg, const struct progress_part *part)
{
	strbuf_addf(arg, "%zu %s %lld-%lld %.*s|", part->index, part->path, (long long)part->from,
		(long long)part->next, (int)part->len, part->bytes);
}

static void reads_the_answer_in_parts(void **state)
{
	struct strbuf seen AUTO_STRBUF = STRBUF_INIT;
	static const char answer[] = "part 0 0 5 5 /a b\nab\ncd\npart 1 10 14 3 /x\nefg\n"
		"part 2 0 99 99 /cut\nxyz\n";

	(void)state;
	progress_each_part(answer, sizeof(answer) - 1, collect, &seen);
	assert_string_equal(seen.data, "0 /a b 0-5 ab\ncd|1 /x 10-14 efg|");
	strbuf_reset(&seen);
	progress_each_part("part 1 9 3 0 /x\n\n", 17, collect, &seen);
	progress_each_part("part 1 2 3", 10, collect, &seen);
	progress_each_part("noise\npart 1 0 1 1 /x\nz\n", 24, collect, &seen);
	assert_string_equal(seen.data, "");
}

static void asks_for_no_path_of_two_lines(void **state)
{
	struct strbuf request AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	progress_ask_all(&request, 3, "/w", "/w/out", "/w/out");
	assert_string_equal(request.data, "3 0 /w/out\n3 0 /w/log.lammps\n3 0 /w/md.log\n3 newest /w\n");
	strbuf_reset(&request);
	progress_ask_file(&request, 3, 0, "/w/a\n4 0 /etc/passwd");
	progress_ask_file(&request, 3, 0, "relative");
	assert_string_equal(request.data, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(namd_that_minimizes_and_runs),
		cmocka_unit_test(namd_says_why_it_gives_up),
		cmocka_unit_test(namd_3_says_more),
		cmocka_unit_test(namd_without_run),
		cmocka_unit_test(lammps_log_file),
		cmocka_unit_test(lammps_run_in_pieces),
		cmocka_unit_test(lammps_on_the_screen),
		cmocka_unit_test(lammps_that_minimizes),
		cmocka_unit_test(gromacs_log_file),
		cmocka_unit_test(gromacs_verbose),
		cmocka_unit_test(what_ended_has_nothing_left),
		cmocka_unit_test(another_run_in_the_same_log_begins_anew),
		cmocka_unit_test(a_gap_makes_no_total),
		cmocka_unit_test(hostile_text_is_harmless),
		cmocka_unit_test(a_line_without_end_costs_nothing),
		cmocka_unit_test(reads_the_answer_in_parts),
		cmocka_unit_test(asks_for_no_path_of_two_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
