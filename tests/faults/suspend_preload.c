/*
 * For LD_PRELOAD: a machine that was suspended, for as many seconds as the file that SUSPENDED names is
 * bytes long.  Of the clocks only CLOCK_BOOTTIME goes on meanwhile.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *ret)
{
	const char *file = getenv("SUSPENDED");
	long r = syscall(SYS_clock_gettime, clock, ret);
	struct stat st;

	if (r == 0 && clock == CLOCK_BOOTTIME && file && stat(file, &st) == 0)
		ret->tv_sec += st.st_size;
	return (int)r;
}
