/*
 * Makes the clock of vclock.h jump.
 *
 *   vclock PAGE      makes the file PAGE, then reads commands from its standard input:
 *     run MS         lets that much time pass for the group, in jumps between which it does what it has to
 *     settle         waits until it has nothing to do; no time but the real passes
 *   Each is answered by a line: the milliseconds that have passed in all.  It ends with its input.
 */
#include "vclock.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS INT64_C(1000000000)
#define PAUSE_US 500

static struct vclock_page *page;

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS + t.tv_nsec + atomic_load(&page->jumped_ns);
}

/* What a look at all threads of the group gave. */
struct look {
	bool busy;
	uint64_t ran;     /* how often any of them was given a CPU: two alike looks, and none ran */
	uint64_t threads; /* a sum over their numbers */
};

/* When the process of each place of page->pids was started: a number alone is soon another's. */
static struct {
	pid_t pid;
	uint64_t started;
} known[VCLOCK_PROCESSES];

/* The one that was last seen at work: most often it still is. */
static char busy_path[300];

static size_t read_file(int folder, const char *name, char *text, size_t size)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

/* The letter of a thread's state, 0 where it has ended. */
static char state_of(int folder, const char *path)
{
	char text[512];

	if (!read_file(folder, path, text, sizeof(text)))
		return 0;
	const char *end = strrchr(text, ')');
	return end && !strchr("ZX", end[2]) ? end[2] : 0;
}

/* 0 where there is none. */
static uint64_t start_of(pid_t pid)
{
	char path[64], text[512];
	unsigned long long started = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	const char *end = read_file(AT_FDCWD, path, text, sizeof(text)) ? strrchr(text, ')') : NULL;
	if (!end || sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
		"%*d %*d %llu", &started) != 1)
		return 0;
	return started;
}

static bool is_busy(char state)
{
	return state == 'R' || state == 'D';
}

/* Returns false where the thread has ended. */
static bool look_at_thread(pid_t pid, int tasks, const char *tid, struct look *look)
{
	char path[300], text[128];
	unsigned long long slices = 0;

	snprintf(path, sizeof(path), "%s/stat", tid);
	char state = state_of(tasks, path);
	if (!state)
		return false;
	if (is_busy(state)) {
		look->busy = true;
		snprintf(busy_path, sizeof(busy_path), "/proc/%d/task/%.20s/stat", pid, tid);
		return true;
	}
	snprintf(path, sizeof(path), "%s/schedstat", tid);
	if (read_file(tasks, path, text, sizeof(text)) &&
		sscanf(text, "%*u %*u %llu", &slices) == 1)
		look->ran += slices;
	look->threads += strtoull(tid, NULL, 10);
	return true;
}

/* Returns false where the process has ended.  The first thread that is at work tells enough. */
static bool look_at_process(pid_t pid, struct look *look)
{
	char path[64];
	struct dirent *entry;
	bool alive = false;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *tasks = opendir(path);
	if (!tasks)
		return false;
	while (!look->busy && (entry = readdir(tasks)))
		if (*entry->d_name != '.')
			alive |= look_at_thread(pid, dirfd(tasks), entry->d_name, look);
	closedir(tasks);
	return alive;
}

/* What a process waited for that was killed goes with it. */
static void forget(pid_t pid)
{
	for (size_t i = 0; i < VCLOCK_WAITS; i++) {
		struct vclock_wait *w = &page->waits[i];

		if (atomic_load(&w->tid) && w->pid == pid) {
			atomic_store(&w->until_ns, 0);
			atomic_store(&w->tid, 0);
		}
	}
}

/* Whoever is forking has this long for it; one that was killed in the middle must not stop all. */
#define FORK_NS (2 * NS)

static bool somebody_forks(void)
{
	static int64_t since;
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	int64_t now = t.tv_sec * NS + t.tv_nsec;
	if (atomic_load(&page->forking) <= 0)
		since = 0;
	else if (!since)
		since = now;
	else if (now - since > FORK_NS)
		atomic_store(&page->forking, 0);
	return since != 0;
}

static struct look look_at_all(void)
{
	struct look look = {.busy = somebody_forks() ||
		(*busy_path && is_busy(state_of(AT_FDCWD, busy_path)))};
	/* It may be another's by now: every so often all are looked at. */
	static unsigned looks;

	if (looks++ % 16 == 0)
		look.busy = somebody_forks();

	for (size_t i = 0; i < VCLOCK_PROCESSES; i++) {
		pid_t pid = atomic_load(&page->pids[i]);

		if (known[i].pid != pid) {
			known[i].pid = pid;
			known[i].started = pid ? start_of(pid) : 0;
		}
	}
	/* The youngest first: they are most often the ones at work. */
	for (size_t i = VCLOCK_PROCESSES; i-- > 0 && !look.busy;) {
		pid_t pid = atomic_load(&page->pids[i]);

		if (pid != known[i].pid) {
			look.busy = true;
		} else if (pid && (start_of(pid) != known[i].started ||
			!look_at_process(pid, &look))) {
			forget(pid);
			atomic_store(&page->pids[i], 0);
			known[i].pid = 0;
		}
	}
	return look;
}

static void wake_futex(_Atomic uint32_t *word)
{
	atomic_fetch_add(word, 1);
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Wakes whose time has come; again and again, since one may just be about to wait. */
static bool wake_due(void)
{
	int64_t now = now_ns();
	bool any = false, conditions = false;

	for (size_t i = 0; i < VCLOCK_WAITS; i++) {
		struct vclock_wait *w = &page->waits[i];
		int32_t tid = atomic_load(&w->tid);
		int64_t until = atomic_load(&w->until_ns);

		if (!tid || !until || until > now)
			continue;
		any = true;
		if (w->kind == VCLOCK_POLL) {
			atomic_fetch_add(&w->woken, 1);
			syscall(SYS_tgkill, w->pid, tid, SIGURG);
		} else if (w->kind == VCLOCK_SLEEP) {
			wake_futex(&w->woken);
		} else if (w->kind == VCLOCK_COND) {
			conditions = true;
		} else if (w->kind == VCLOCK_ALARM) {
			kill(w->pid, SIGALRM);
			atomic_store(&w->until_ns, 0);
			atomic_store(&w->tid, 0);
		}
	}
	if (conditions)
		wake_futex(&page->conditions);
	return any;
}

/* Until nobody of the group has run between two looks at it. */
static void settle(void)
{
	struct look before = {.busy = true};

	for (;;) {
		struct look now = look_at_all();

		if (!wake_due() && !now.busy && !before.busy && now.ran == before.ran &&
			now.threads == before.threads)
			return;
		before = now;
		usleep(PAUSE_US);
	}
}

static int64_t first_deadline(void)
{
	int64_t first = INT64_MAX;

	for (size_t i = 0; i < VCLOCK_WAITS; i++) {
		int64_t until = atomic_load(&page->waits[i].until_ns);

		if (atomic_load(&page->waits[i].tid) && until && until < first)
			first = until;
	}
	return first;
}

static void run(int64_t end_ns)
{
	for (;;) {
		settle();
		int64_t now = now_ns(), next = first_deadline();

		if (now >= end_ns)
			return;
		if (next > end_ns)
			next = end_ns;
		if (next > now)
			atomic_fetch_add(&page->jumped_ns, next - now);
	}
}

int main(int argc, char **argv)
{
	char line[64];
	int fd = argc == 2 ? open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (fd < 0 || ftruncate(fd, sizeof(*page)) < 0) {
		fprintf(stderr, "usage: vclock PAGE\n");
		return 2;
	}
	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return 1;
	int64_t start = now_ns();
	puts("0");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		long long ms;

		if (sscanf(line, "run %lld", &ms) == 1)
			run(now_ns() + ms * 1000000);
		else
			settle();
		printf("%lld\n", (long long)((now_ns() - start) / 1000000));
		fflush(stdout);
	}
	return 0;
}
