/*
 * GROMACS's md.log, or what mdrun prints on stderr (with -v also its steps).
 *   nsteps = 50000; init-step = 0; dt = 0.002; integrator = md         among the input parameters
 *   50000 steps,    100.0 ps.   [... (continuing from step 20000,     40.0 ps).]
 *              Step           Time
 *              1000        2.00000
 *   step 1000, remaining wall clock time:    12 s    or    step 1000, will finish Tue Nov 24 ...
 *   Step=   10, Dmax= 1.2e-02 nm, ...                                  while it minimizes
 *   Performance:       12.345        1.944                             ns/day, hours/ns
 */
#include <stdlib.h>
#include <string.h>

#include "progress.h"

/* The value of "KEY   = VALUE", or NULL. */
static const char *value_of(const char *line, const char *key)
{
	const char *at = progress_behind(line, key);

	return at && *at == '=' ? at + 1 + strspn(at + 1, " \t") : NULL;
}

static void set_total(struct progress *p, int64_t total)
{
	/* nsteps = -1 runs without end. */
	if (total > 0)
		p->total = total;
	if (p->base < 0)
		p->base = p->first = 0;
}

static bool read_parameter(struct progress *p, const char *line)
{
	const char *at;

	if ((at = value_of(line, "nsteps"))) {
		set_total(p, progress_step(&at));
	} else if ((at = value_of(line, "init-step")) || (at = value_of(line, "init_step"))) {
		int64_t first = progress_step(&at);

		/* It stands behind nsteps, which counts from it. */
		if (first > 0) {
			p->base = p->first = first;
			p->total = p->total > 0 ? p->total + first : -1;
		}
	} else if ((at = value_of(line, "dt")) || (at = value_of(line, "delta_t"))) {
		p->step_ns = progress_number(at) * 1e-3;
	} else if ((at = value_of(line, "integrator"))) {
		p->minimizing = !strncmp(at, "steep", 5) || !strncmp(at, "cg", 2) ||
			!strncmp(at, "l-bfgs", 6);
	} else {
		return false;
	}
	return true;
}

/* "50000 steps,    100.0 ps": as mdrun begins. */
static bool read_start(struct progress *p, const char *line)
{
	int64_t steps = progress_step(&line);
	const char *at = steps > 0 ? progress_behind(line, " steps,") : NULL;
	double ps = at ? progress_number(at) : 0;

	if (!ps || !strstr(at, " ps"))
		return false;
	set_total(p, steps);
	p->step_ns = ps / (double)steps * 1e-3;
	return true;
}

/* "step 1000, remaining wall clock time:    12 s". */
static void read_verbose(struct progress *p, const char *at)
{
	int64_t step = progress_step(&at);
	const char *left;

	if (step < 0 || (*at && *at != ',' && *at != ' '))
		return;
	progress_reach(p, step);
	if ((left = progress_behind(at, ", remaining wall clock time:"))) {
		int64_t seconds = progress_step(&left);

		if (seconds >= 0)
			p->left_s = (double)seconds;
	}
}

/* A minimization may end before its last step. */
static void converged(struct progress *p)
{
	p->finished = true;
	if (p->done > 0)
		p->total = p->done;
}

void progress_gromacs_line(struct progress *p, const char *line)
{
	const char *at;

	line += strspn(line, " \t");
	if (p->header_next) {
		p->header_next = false;
		progress_reach(p, progress_step(&line));
	} else if ((at = progress_behind(line, "Step ")) && progress_behind(at, "Time")) {
		p->header_next = true;
	} else if ((at = progress_behind(line, "step "))) {
		read_verbose(p, at);
	} else if ((at = progress_behind(line, "Step="))) {
		progress_reach(p, progress_step(&at));
	} else if ((at = progress_behind(line, "Performance:"))) {
		p->per_day = progress_number(at);
		p->finished = p->per_day > 0;
	} else if ((at = progress_behind(line, "Number of steps "))) {
		at = progress_behind(at, "=");
		set_total(p, at ? progress_step(&at) : -1);
	} else if (strstr(line, " converged to ")) {
		converged(p);
	} else if (progress_behind(line, "Finished mdrun")) {
		p->finished = true;
	} else if ((at = progress_behind(line, "Overriding nsteps with value passed on the command "
			"line:"))) {
		set_total(p, progress_step(&at));
	} else if (!read_parameter(p, line)) {
		read_start(p, line);
	}
}
