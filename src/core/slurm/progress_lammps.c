/*
 * LAMMPS's log file, whose commands are echoed, or what it prints to the screen, where they are not:
 * there the number of steps is known only at the end of a run.
 *   run 5000                                   units real; timestep 2.0; minimize 1e-4 1e-6 100 1000
 *   Per MPI rank memory allocation (min/avg/max) = ...
 *      Step Temp E_pair ...                    Step may stand in any column
 *          0            3   -6.7733681 ...
 *   Loop time of 9.33626 on 1 procs for 5000 steps with 4000 atoms
 *   Performance: 3.2 ns/day, 7.5 hours/ns, 37.0 timesteps/s     (tau/day in reduced units)
 *   Total wall time: 0:00:09
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"

/* The unit of time in nanoseconds, and the time step where none is given (LAMMPS's manual, `units`
 * and `timestep`). */
static const struct {
	const char *style;
	double ns, step;
} styles[] = {
	{"lj", 1, 0.005}, {"real", 1e-6, 1.0}, {"metal", 1e-3, 0.001}, {"si", 1e9, 1e-8},
	{"cgs", 1e9, 1e-8}, {"electron", 1e-6, 0.001}, {"micro", 1e3, 2.0}, {"nano", 1, 0.00045},
};

static void set_units(struct progress *p, const char *style)
{
	size_t len = strcspn(style, " \t#");

	for (size_t i = 0; i < sizeof(styles) / sizeof(*styles); i++) {
		if (strlen(styles[i].style) != len || strncmp(style, styles[i].style, len))
			continue;
		p->reduced = i == 0;
		p->step_units = styles[i].ns;
		p->step_ns = styles[i].step * styles[i].ns;
	}
}

static void set_timestep(struct progress *p, const char *at)
{
	/* lj is what LAMMPS has where no units are set. */
	if (!p->step_units)
		set_units(p, "lj");
	p->step_ns = progress_number(at) * p->step_units;
}

static const char *next_word(const char *at)
{
	at += strcspn(at, " \t");
	return at + strspn(at, " \t");
}

static void begin_minimization(struct progress *p, const char *at)
{
	/* minimize ETOL FTOL MAXITER MAXEVAL */
	at = next_word(next_word(at));
	progress_begin(p, progress_step(&at), true);
}

static void begin_run(struct progress *p, const char *at)
{
	int64_t asked = progress_step(&at);

	/* Not yet: "run ${n}" is echoed once more, with its value. */
	if (asked < 0)
		return;
	progress_begin(p, asked, false);
	for (at = next_word(at); *at && *at != '#'; at = next_word(at)) {
		p->upto |= !strncmp(at, "upto", 4);
		p->pieces |= !strncmp(at, "every", 5);
	}
}

/* An echoed command, or what the screen has in its place. */
static void read_command(struct progress *p, const char *line)
{
	const char *at;

	line += strspn(line, " \t");
	if ((at = progress_behind(line, "run ")) || (at = progress_behind(line, "run\t")))
		begin_run(p, at);
	else if ((at = progress_behind(line, "minimize ")))
		begin_minimization(p, at);
	else if ((at = progress_behind(line, "units ")))
		set_units(p, at);
	else if ((at = progress_behind(line, "timestep ")))
		set_timestep(p, at);
	else if ((at = progress_behind(line, "Unit style    :")))
		set_units(p, at);
	else if ((at = progress_behind(line, "Time step     :")))
		set_timestep(p, at);
	else if (progress_behind(line, "Setting up Verlet run") && p->first >= 0)
		progress_begin(p, -1, false);
	else if (strstr(line, " style minimization ...") && !p->minimizing)
		progress_begin(p, -1, true);
}

/* The header of the rows: where among its words Step is. */
static void read_header(struct progress *p, const char *line)
{
	unsigned column = 0;

	p->header_next = false;
	for (line += strspn(line, " \t"); *line; line = next_word(line), column++) {
		if (strncmp(line, "Step", 4) || !strchr(" \t", line[4]))
			continue;
		p->column = column;
		p->in_table = true;
		return;
	}
}

static void read_row(struct progress *p, const char *line)
{
	const char *at = line + strspn(line, " \t");

	if (!isdigit((unsigned char)*at) && *at != '-')
		return;
	for (unsigned i = 0; i < p->column; i++)
		at = next_word(at);
	int64_t step = progress_step(&at);
	if (step >= 0 && (!*at || *at == ' ' || *at == '\t'))
		progress_reach(p, step);
}

/* `run N every M` is still under way: its pieces' times leave out what is done between them. */
static bool goes_on(const struct progress *p)
{
	return p->pieces && p->total > p->done;
}

/* A run has ended: it took so many steps, whatever had been asked. */
static void end_run(struct progress *p, const char *at)
{
	const char *count = strstr(at, " for ");
	double seconds = progress_number(at);

	p->in_table = false;
	if (!count || goes_on(p))
		return;
	count += 5;
	int64_t steps = progress_step(&count);
	if (steps < 0 || !progress_behind(count, " steps"))
		return;
	if (p->first >= 0 && !p->pieces)
		progress_reach(p, p->first + steps);
	p->total = p->done;
	if (steps > 0 && !p->pieces)
		p->step_s = seconds / (double)steps;
}

void progress_lammps_line(struct progress *p, const char *line)
{
	const char *at;

	if ((at = progress_behind(line, "Loop time of "))) {
		end_run(p, at);
	} else if ((at = progress_behind(line, "Performance: "))) {
		p->per_day = p->pieces ? 0 : progress_number(at);
		p->reduced = strstr(at, " tau/day") != NULL;
	} else if (progress_behind(line, "Per MPI rank memory allocation") ||
		progress_behind(line, "Memory usage per processor")) {
		p->header_next = true;
	} else if ((at = strstr(line, "--- Step ")) || (at = strstr(line, "--- Step\t"))) {
		/* thermo_style multi: "------------ Step 100 ----- CPU = 0.1 (sec) ------". */
		p->header_next = false;
		at += 9;
		progress_reach(p, progress_step(&at));
	} else if (progress_behind(line, "Total wall time:")) {
		p->finished = true;
	} else if (p->header_next) {
		read_header(p, line);
	} else if (p->in_table) {
		read_row(p, line);
	} else {
		read_command(p, line);
	}
}
