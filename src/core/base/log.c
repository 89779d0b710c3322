#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>

#include "strbuf.h"

/* Atomic: threads log while the daemon goes to the background. */
static _Atomic enum log_level log_limit = LOG_LEVEL_WARNING;
static atomic_bool log_to_syslog;

static const struct {
	int priority;
	const char *word;
} levels[] = {
	[LOG_LEVEL_ERROR] = {LOG_ERR, "error"},
	[LOG_LEVEL_WARNING] = {LOG_WARNING, "warning"},
	[LOG_LEVEL_INFO] = {LOG_INFO, "info"},
	[LOG_LEVEL_DEBUG] = {LOG_DEBUG, "debug"},
};

void log_init(enum log_level level, bool to_syslog)
{
	if (to_syslog)
		openlog("slurmount", LOG_PID, LOG_USER);
	log_limit = level;
	log_to_syslog = to_syslog;
}

static void print_line(enum log_level level, const char *line)
{
	struct timespec now;
	struct tm parts;
	char stamp[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &parts);
	strftime(stamp, sizeof(stamp), "%H:%M:%S", &parts);
	fprintf(stderr, "%s.%03ld slurmount %s: %s\n", stamp, now.tv_nsec / 1000000,
		levels[level].word, line);
}

void log_line(enum log_level level, const char *format, ...)
{
	int saved = errno;
	struct strbuf raw AUTO_STRBUF = STRBUF_INIT;
	struct strbuf line AUTO_STRBUF = STRBUF_INIT;
	va_list args;

	if (level > log_limit)
		return;
	va_start(args, format);
	strbuf_vaddf(&raw, format, args);
	va_end(args);
	strbuf_add_escaped(&line, raw.data, raw.len);
	if (log_to_syslog)
		syslog(levels[level].priority, "%s", line.data);
	else
		print_line(level, line.data);
	errno = saved;
}
