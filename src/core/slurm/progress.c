#include "progress.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BAR 30
/* Longer than any run: 2 fs steps of a year on the fastest machine are far fewer. */
#define MOST_STEPS INT64_C(1000000000000000)

static void start_over(struct progress *p)
{
	*p = (struct progress){.base = -1, .first = -1, .asked = -1, .done = -1, .total = -1,
		.left_s = -1};
}

void progress_reader_init(struct progress_reader *reader)
{
	start_over(&reader->progress);
	reader->len = 0;
	reader->skip = false;
}

/* ---- for the parsers ---- */

const char *progress_behind(const char *line, const char *prefix)
{
	size_t len = strlen(prefix);

	if (strncmp(line, prefix, len))
		return NULL;
	return line + len + strspn(line + len, " \t");
}

int64_t progress_step(const char **at)
{
	const char *digits = *at + strspn(*at, " \t");
	size_t len = strspn(digits, "0123456789");
	int64_t step = 0;

	if (!len || len > 15)
		return -1;
	for (size_t i = 0; i < len; i++)
		step = step * 10 + (digits[i] - '0');
	*at = digits + len;
	return step <= MOST_STEPS ? step : -1;
}

double progress_number(const char *at)
{
	at += strspn(at, " \t");
	/* strtod would take "inf", "nan" and hexadecimal, too. */
	if (!isdigit((unsigned char)*at) && *at != '.')
		return 0;
	if (at[0] == '0' && (at[1] == 'x' || at[1] == 'X'))
		return 0;
	double value = strtod(at, NULL);
	return value > 0 && value < 1e15 ? value : 0;
}

double progress_number_before(const char *line, const char *unit)
{
	const char *found = strstr(line, unit);
	const char *at = found;

	if (!found)
		return -1;
	while (at > line && at[-1] == ' ')
		at--;
	while (at > line && strchr("0123456789.eE+-", at[-1]))
		at--;
	return isdigit((unsigned char)*at) ? progress_number(at) : -1;
}

void progress_reach(struct progress *p, int64_t step)
{
	if (step < 0)
		return;
	if (p->first < 0 || step < p->first) {
		/* The run's first row, or its steps are counted anew. */
		if (p->base < 0 || p->first >= 0 || step < p->base)
			p->base = step;
		p->first = step;
		if (p->asked >= 0)
			p->total = p->upto ? p->asked : step + p->asked;
	}
	/* Another run than the one whose steps were told. */
	if (p->total >= 0 && step > p->total)
		p->total = -1;
	if (step != p->done)
		p->left_s = -1;
	p->done = step;
}

void progress_begin(struct progress *p, int64_t asked, bool minimizing)
{
	p->asked = asked;
	p->total = -1;
	p->first = -1;
	p->upto = p->pieces = false;
	p->minimizing = minimizing;
	p->finished = p->in_table = p->header_next = false;
	p->step_s = p->per_day = 0;
	p->left_s = -1;
}

/* ---- whose log it is ---- */

/* The version ends with `stop`, or with the line. */
static void recognize(struct progress *p, enum progress_engine engine, const char *name,
	const char *version, const char *stop)
{
	const char *end = strstr(version, stop);
	size_t len = end ? (size_t)(end - version) : strlen(version);

	/* A second run of an engine in one log; GROMACS names itself twice before the first step. */
	if (p->engine != engine || p->done >= 0)
		start_over(p);
	p->engine = engine;
	p->fatal[0] = '\0';
	for (size_t i = 0; i < len; i++)
		if (iscntrl((unsigned char)version[i]))
			len = i;
	while (len && version[len - 1] == ' ')
		len--;
	snprintf(p->version, sizeof(p->version), "%s %.*s", name, len > 36 ? 36 : (int)len, version);
}

static void look_for_engine(struct progress *p, const char *line)
{
	const char *at = progress_behind(line, "Info: NAMD ");

	if (at && isdigit((unsigned char)*at)) {
		recognize(p, PROGRESS_NAMD, "NAMD", at, " for ");
		return;
	}
	at = progress_behind(line, "LAMMPS (");
	if (at && isdigit((unsigned char)*at)) {
		recognize(p, PROGRESS_LAMMPS, "LAMMPS", at, ")");
		return;
	}
	line += strspn(line, " \t");
	if (progress_behind(line, ":-) GROMACS - ")) {
		at = strstr(line, " mdrun, ");
		if (at)
			recognize(p, PROGRESS_GROMACS, "GROMACS", at + 8, " (-:");
	} else if (progress_behind(line, "GROMACS:")) {
		at = strstr(line, " mdrun, version ");
		if (at)
			recognize(p, PROGRESS_GROMACS, "GROMACS", at + 16, " (-:");
	}
}

static void read_line(struct progress_reader *reader)
{
	struct progress *p = &reader->progress;

	reader->line[reader->len] = '\0';
	look_for_engine(p, reader->line);
	if (p->engine == PROGRESS_NAMD)
		progress_namd_line(p, reader->line);
	else if (p->engine == PROGRESS_LAMMPS)
		progress_lammps_line(p, reader->line);
	else if (p->engine == PROGRESS_GROMACS)
		progress_gromacs_line(p, reader->line);
}

void progress_feed(struct progress_reader *reader, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		/* GROMACS writes its step over and over in one line. */
		if (bytes[i] == '\n' || bytes[i] == '\r') {
			if (!reader->skip)
				read_line(reader);
			reader->len = 0;
			reader->skip = false;
		} else if (reader->len + 1 < sizeof(reader->line)) {
			/* What follows a NUL would be lost with it. */
			reader->line[reader->len++] = bytes[i] ? bytes[i] : '?';
		}
	}
}

void progress_gap(struct progress_reader *reader)
{
	reader->len = 0;
	reader->skip = true;
	reader->progress.header_next = false;
}

/* ---- for people ---- */

static void add_quantity(struct strbuf *out, double value)
{
	strbuf_addf(out, "%.*f", value >= 100 ? 0 : value >= 10 ? 1 : value >= 0.1 ? 2 : 4, value);
}

static void add_speed(struct strbuf *out, const struct progress *p, double rate)
{
	const char *unit = p->reduced ? "tau/day" : "ns/day";
	double speed = p->minimizing ? 0 : p->per_day;

	if (p->step_s > 0)
		rate = 1 / p->step_s;
	if (!speed && !p->minimizing)
		speed = p->step_ns * rate * 86400;
	if (!speed) {
		speed = rate;
		unit = "steps/s";
	}
	if (!(speed > 0) || !(speed < 1e15))
		return;
	strbuf_adds(out, "speed = ");
	add_quantity(out, speed);
	strbuf_addf(out, " %s\n", unit);
}

static void add_left(struct strbuf *out, const struct progress *p, double rate)
{
	double seconds = p->left_s;

	if (p->step_s > 0)
		rate = 1 / p->step_s;
	if (seconds < 0 && p->total >= p->done && rate > 0)
		seconds = (double)(p->total - p->done) / rate;
	/* Ten years are no estimate. */
	if (!(seconds >= 0) || seconds > 3.2e8)
		return;
	int64_t whole = (int64_t)(seconds + 0.5), days = whole / 86400;
	strbuf_adds(out, "left = ");
	if (days)
		strbuf_addf(out, "%lld-%02d", (long long)days, (int)(whole % 86400 / 3600));
	else
		strbuf_addf(out, "%d", (int)(whole / 3600));
	strbuf_addf(out, ":%02d:%02d\n", (int)(whole % 3600 / 60), (int)(whole % 60));
}

static void add_bar(struct strbuf *out, int64_t done, int64_t total)
{
	int full = (int)((double)done / (double)total * BAR);

	strbuf_addc(out, '[');
	for (int i = 0; i < BAR; i++)
		strbuf_addc(out, i < full ? '#' : '.');
	strbuf_addf(out, "] %d %%\n", (int)((double)done * 100 / (double)total));
}

void progress_render(const struct progress *p, double rate, bool ended, struct strbuf *out)
{
	/* A log that contradicts itself counts from 0. */
	int64_t base = p->base <= p->done ? p->base : 0;
	int64_t done = p->done - base, total = p->total - base;

	if (p->done < 0 || p->base < 0)
		return;
	bool known = p->total >= p->done && total > 0;
	if (known)
		add_bar(out, done, total);
	strbuf_addf(out, "steps = %lld", (long long)done);
	if (known)
		strbuf_addf(out, " of %lld (%d %%)", (long long)total,
			(int)((double)done * 100 / (double)total));
	strbuf_addc(out, '\n');
	if (p->minimizing)
		strbuf_adds(out, "phase = minimization\n");
	add_speed(out, p, rate);
	if (!ended && !p->finished)
		add_left(out, p, rate);
	strbuf_adds(out, "engine = ");
	strbuf_add_escaped(out, p->version, strlen(p->version));
	strbuf_addc(out, '\n');
}
