/*
 * How far a simulation is, by its engine's own log as it grows: NAMD, LAMMPS, GROMACS.  Pure.
 *
 * A log is hostile text: lines of any length, any bytes, any numbers.  A line counts with its first
 * PROGRESS_LINE bytes, and a number that no simulation has is as if it were not there.
 */
#ifndef SLURMOUNT_PROGRESS_H
#define SLURMOUNT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "strbuf.h"

#define PROGRESS_LINE 1024

enum progress_engine { PROGRESS_NONE, PROGRESS_NAMD, PROGRESS_LAMMPS, PROGRESS_GROMACS };

/* What was read so far.  Steps count as the engine does, from `base`, which a continued run does not
 * have at 0. */
struct progress {
	enum progress_engine engine;
	char version[48];  /* "NAMD 3.0.1"; "" before it is known */
	int64_t base;      /* the first step of this log; -1 unknown */
	int64_t first;     /* ... of its present run; -1 unknown */
	int64_t asked;     /* steps of the present run; -1 unknown */
	int64_t done;      /* the last step that is told of; -1 none yet */
	int64_t total;     /* the last step of the present run; -1 unknown */
	double step_s;     /* wall-clock seconds a step, as the engine says; 0 unknown */
	double step_ns;    /* simulated time of a step, ns (LAMMPS's tau where `reduced`); 0 unknown */
	double per_day;    /* simulated time a day, ns or tau, as the engine says; 0 unknown */
	double left_s;     /* as the engine says of the step `done`; -1 unknown */
	bool reduced;
	bool minimizing;
	bool finished;     /* the engine says that it has ended well */
	char fatal[256];   /* why it gave up, in its own words, any bytes; "" where it says nothing of that */
	/* The parsers' own. */
	bool in_table;     /* the next lines are rows */
	bool header_next;
	bool upto;         /* LAMMPS: `asked` is a step, not a count */
	bool pieces;       /* LAMMPS: the run is made of several, each with an end of its own */
	unsigned column;   /* LAMMPS: of Step in a row */
	double step_units; /* LAMMPS: `timestep`; 0 not told */
};

struct progress_reader {
	struct progress progress;
	size_t len;
	bool skip;         /* the rest of this line: it began in what was not read */
	char line[PROGRESS_LINE];
};

void progress_reader_init(struct progress_reader *reader);
/* The next bytes of the log. */
void progress_feed(struct progress_reader *reader, const char *bytes, size_t len);
/* Bytes were left out: what was known of the present run may be of one before. */
void progress_gap(struct progress_reader *reader);

/* Appends the file `progress`; nothing where no step is known.  `rate`: steps a second as seen from
 * outside, 0 unknown.  `ended`: nothing is left to wait for. */
void progress_render(const struct progress *progress, double rate, bool ended, struct strbuf *out);

/* ---- the parsers, one line each, without its end ---- */

void progress_namd_line(struct progress *progress, const char *line);
void progress_lammps_line(struct progress *progress, const char *line);
void progress_gromacs_line(struct progress *progress, const char *line);

/* ---- for the parsers ---- */

/* The text behind `prefix` and the blanks that follow it; NULL where the line begins otherwise. */
const char *progress_behind(const char *line, const char *prefix);
/* A step number at `*at`, blanks before it allowed, moving on behind it; -1 where there is none, or
 * more digits than any run has steps. */
int64_t progress_step(const char **at);
/* A number above 0 at `at`, or 0. */
double progress_number(const char *at);
/* The number right before `unit` in the line, as in "3.2 ns/day"; -1 where there is none. */
double progress_number_before(const char *line, const char *unit);
/* A step that the engine tells of. */
void progress_reach(struct progress *progress, int64_t step);
/* A run of `asked` steps begins; -1: how many is not told. */
void progress_begin(struct progress *progress, int64_t asked, bool minimizing);

#endif
