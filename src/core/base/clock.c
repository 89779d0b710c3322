#include "clock.h"

#define NS_PER_S 1000000000LL

static int64_t system_mono_ms(void *arg)
{
	struct timespec now;

	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t system_real_ns(void *arg)
{
	struct timespec now;

	(void)arg;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

const struct clock clock_system = {.mono_ms = system_mono_ms, .real_ns = system_real_ns};

int64_t clock_slept_ms(void)
{
	struct timespec awake, all;

	clock_gettime(CLOCK_MONOTONIC, &awake);
	clock_gettime(CLOCK_BOOTTIME, &all);
	return (int64_t)(all.tv_sec - awake.tv_sec) * 1000 + (all.tv_nsec - awake.tv_nsec) / 1000000;
}

int64_t clock_mono_ms(const struct clock *clock)
{
	return clock->mono_ms(clock->arg);
}

int64_t clock_real_ns(const struct clock *clock)
{
	return clock->real_ns(clock->arg);
}

struct timespec clock_timespec(int64_t real_ns)
{
	int64_t seconds = real_ns / NS_PER_S;
	int64_t rest = real_ns % NS_PER_S;

	if (rest < 0) {
		seconds--;
		rest += NS_PER_S;
	}
	return (struct timespec){.tv_sec = seconds, .tv_nsec = rest};
}

const char *clock_iso(int64_t real_ns, char *buffer)
{
	struct timespec time = clock_timespec(real_ns);
	struct tm parts;

	gmtime_r(&time.tv_sec, &parts);
	strftime(buffer, CLOCK_ISO_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts);
	return buffer;
}

int64_t clock_in(const struct clock *clock, int64_t ms)
{
	return ms == CLOCK_NEVER ? CLOCK_NEVER : clock_mono_ms(clock) + ms;
}
