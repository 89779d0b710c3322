/* What fault.h promises of the program that tests kill. */
#include "fault.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void fault_point(const char *name)
{
	static atomic_long passed;
	const char *at = getenv("FAULT_AT"), *log = getenv("FAULT_LOG");
	long number = atomic_fetch_add(&passed, 1) + 1;
	char line[128];

	if (log) {
		int fd = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
		int len = snprintf(line, sizeof(line), "%ld %s\n", number, name);

		if (fd >= 0 && write(fd, line, (size_t)len) == len)
			close(fd);
	}
	if (at && atol(at) == number)
		kill(getpid(), SIGKILL);
}
