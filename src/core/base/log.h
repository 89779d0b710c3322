/*
 * The daemon's own log: to stderr in the foreground, to syslog in the background.  Any thread may
 * log; errno is preserved; control characters in the finished line are escaped, so text from the
 * cluster cannot reach a terminal raw.  Never log a secret.
 */
#ifndef SLURMOUNT_LOG_H
#define SLURMOUNT_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Lines above `level` are dropped.  Called before threads start, and beside them on going to the background. */
void log_init(enum log_level level, bool to_syslog);
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
