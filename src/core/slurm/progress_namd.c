/*
 * NAMD's log.  Formats as its ScriptTcl.C and Controller.C print them, 2.6 to 3.0:
 *   TCL: Running for N steps [without repeating first step]; TCL: Minimizing for N steps
 *   ENERGY:     500  ...
 *   TIMING: 500  CPU: 6.2, 0.0105/step  Wall: 6.2, 0.0104/step, [8.3 ns/days, ]0.5 hours remaining, ...
 *   PERFORMANCE: 500  averaging 8.2 ns/day, 0.0105 sec/step with standard deviation 0.0001   (3.0)
 *   Info: Benchmark time: 16 CPUs 0.03 s/step 0.347 days/ns 1258 MB memory   (3.0: 8.2 ns/day)
 *   FATAL ERROR: UNABLE TO OPEN .psf FILE a.psf   (NAMD_die(), which ends it)
 * A run counts on from the last step of the one before it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"

static void begin(struct progress *p, const char *at, bool minimizing)
{
	int64_t asked = progress_step(&at);
	int64_t first = p->total >= 0 ? p->total : p->done;
	bool later = p->done >= 0;

	if (asked < 0)
		return;
	progress_begin(p, asked, minimizing);
	/* Nothing repeats the first step where it is told not to. */
	if (later) {
		p->first = first;
		p->total = first + asked;
	}
}

static void read_timing(struct progress *p, const char *at)
{
	const char *wall = strstr(at, "Wall: ");
	const char *comma = wall ? strchr(wall, ',') : NULL;

	progress_reach(p, progress_step(&at));
	if (comma && strstr(comma, "/step"))
		p->step_s = progress_number(comma + 1);
	double speed = progress_number_before(at, " ns/day");
	if (speed > 0)
		p->per_day = speed;
	double hours = progress_number_before(at, " hours remaining");
	if (hours >= 0)
		p->left_s = hours * 3600;
}

static void read_benchmark(struct progress *p, const char *at)
{
	double step_s = progress_number_before(at, " s/step");
	double speed = progress_number_before(at, " ns/day");
	double days = progress_number_before(at, " days/ns");

	if (step_s > 0)
		p->step_s = step_s;
	if (days > 0)
		speed = 1 / days;
	if (speed > 0)
		p->per_day = speed;
}

static void read_performance(struct progress *p, const char *at)
{
	progress_reach(p, progress_step(&at));
	double speed = progress_number_before(at, " ns/day");
	double step_s = progress_number_before(at, " sec/step");
	if (speed > 0)
		p->per_day = speed;
	if (step_s > 0)
		p->step_s = step_s;
}

/* The last one counts; Charm++ puts a word before it where a process ends by itself. */
static bool read_fatal(struct progress *p, const char *line)
{
	const char *reason = progress_behind(line, "Reason: ");
	const char *at = reason ? reason : line;

	if (strncmp(at, "FATAL ERROR:", 12))
		return false;
	snprintf(p->fatal, sizeof(p->fatal), "%s", at);
	return true;
}

void progress_namd_line(struct progress *p, const char *line)
{
	const char *at;

	if (read_fatal(p, line))
		return;
	if ((at = progress_behind(line, "ENERGY:"))) {
		progress_reach(p, progress_step(&at));
	} else if ((at = progress_behind(line, "TIMING:"))) {
		read_timing(p, at);
	} else if ((at = progress_behind(line, "PERFORMANCE:"))) {
		read_performance(p, at);
	} else if ((at = progress_behind(line, "Info: Benchmark time:"))) {
		read_benchmark(p, at);
	} else if ((at = progress_behind(line, "TCL: Running for "))) {
		begin(p, at, false);
	} else if ((at = progress_behind(line, "TCL: Minimizing for "))) {
		begin(p, at, true);
	} else if ((at = progress_behind(line, "Info: TIMESTEP "))) {
		p->step_ns = progress_number(at) * 1e-6;
	} else if ((at = progress_behind(line, "Info: NUMBER OF STEPS "))) {
		/* `numsteps` is the last step, not a count; without `run` there is one run. */
		int64_t last = progress_step(&at);

		if (last > 0 && p->asked < 0 && p->total < 0)
			p->total = last;
	} else if (progress_behind(line, "WallClock:")) {
		/* Only a run that ended well says so; the last step need not be one that is printed. */
		p->finished = true;
		if (p->total >= 0 && p->done >= 0)
			p->done = p->total;
	}
}
