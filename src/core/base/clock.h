/*
 * Time, as everything in core asks for it, so that a test can let hours pass in a moment.
 * Deadlines and pauses are in milliseconds of the monotonic clock; times that a person or the
 * database sees are in nanoseconds since 1970.
 */
#ifndef SLURMOUNT_CLOCK_H
#define SLURMOUNT_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_NEVER INT64_MAX

struct clock {
	int64_t (*mono_ms)(void *arg);
	int64_t (*real_ns)(void *arg);
	void *arg;
};

extern const struct clock clock_system;

int64_t clock_mono_ms(const struct clock *clock);
int64_t clock_real_ns(const struct clock *clock);
/* Nanoseconds since 1970 as a timespec; negative values come out right. */
struct timespec clock_timespec(int64_t real_ns);
/* "2026-11-24T10:15:00Z" of nanoseconds since 1970, into a buffer of at least CLOCK_ISO_SIZE. */
#define CLOCK_ISO_SIZE 32
const char *clock_iso(int64_t real_ns, char *buffer);
/* How long this machine has slept since it was started, in ms: deadlines do not pass meanwhile. */
int64_t clock_slept_ms(void);
/* A deadline `ms` from now; CLOCK_NEVER stays so. */
int64_t clock_in(const struct clock *clock, int64_t ms);

#endif
