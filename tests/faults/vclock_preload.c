/* The clock of vclock.h, in the place of libc's. */
#include "vclock.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS INT64_C(1000000000)

static struct vclock_page *page;
static int64_t shift_ns; /* $VCLOCK_SHIFT, in seconds: of the wall clock alone */

static int64_t real_ns(clockid_t clock)
{
	struct timespec t;

	syscall(SYS_clock_gettime, clock, &t);
	return t.tv_sec * NS + t.tv_nsec;
}

static bool is_wall(clockid_t clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

static bool is_ours(clockid_t clock)
{
	return page && (is_wall(clock) || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME ||
		clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_MONOTONIC_RAW);
}

static int64_t now_ns(clockid_t clock)
{
	return real_ns(clock) + (is_ours(clock) ? atomic_load(&page->jumped_ns) : 0) +
		(is_wall(clock) ? shift_ns : 0);
}

static struct timespec to_timespec(int64_t ns)
{
	return (struct timespec){.tv_sec = ns / NS, .tv_nsec = ns % NS};
}

/* ---- the group ---- */

static void join(pid_t pid)
{
	for (size_t i = 0; i < VCLOCK_PROCESSES; i++)
		if (atomic_load(&page->pids[i]) == pid)
			return;
	for (size_t i = 0; i < VCLOCK_PROCESSES; i++) {
		int32_t none = 0;

		if (atomic_compare_exchange_strong(&page->pids[i], &none, pid))
			return;
	}
	abort();
}

static void before_fork(void)
{
	atomic_fetch_add(&page->forking, 1);
}

static void in_child(void)
{
	join(getpid());
	atomic_fetch_sub(&page->forking, 1);
}

/* Its default is to be ignored, so that one that comes too late does no harm. */
static void woken(int signal)
{
	(void)signal;
}

__attribute__((constructor)) static void enter(void)
{
	const char *path = getenv("VCLOCK"), *shift = getenv("VCLOCK_SHIFT");
	struct sigaction action = {.sa_handler = woken, .sa_flags = SA_RESTART};
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	struct vclock_page *shared = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED,
		fd, 0);
	close(fd);
	if (shared == MAP_FAILED)
		return;
	page = shared;
	shift_ns = shift ? atoll(shift) * NS : 0;
	join(getpid());
	pthread_atfork(before_fork, NULL, in_child);
	sigaction(SIGURG, &action, NULL);
}

/* A child of posix_spawn() is known before its parent goes on. */
#define SPAWN(name) \
	int name(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, \
		const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]) \
	{ \
		static int (*real)(pid_t *, const char *, const posix_spawn_file_actions_t *, \
			const posix_spawnattr_t *, char *const[], char *const[]); \
		pid_t child; \
\
		if (!real) \
			*(void **)&real = dlsym(RTLD_NEXT, #name); \
		int r = real(&child, path, actions, attributes, argv, envp); \
		if (r == 0 && page) \
			join(child); \
		if (r == 0 && pid) \
			*pid = child; \
		return r; \
	}
SPAWN(posix_spawn)
SPAWN(posix_spawnp)

/* ---- what is waited for ---- */

static struct vclock_wait *begin_wait(enum vclock_kind kind, int64_t until_ns)
{
	for (size_t i = 0;; i = (i + 1) % VCLOCK_WAITS) {
		struct vclock_wait *w = &page->waits[i];
		int32_t none = 0;

		if (!atomic_compare_exchange_strong(&w->tid, &none, (int32_t)gettid()))
			continue;
		w->pid = getpid();
		w->kind = kind;
		atomic_store(&w->until_ns, until_ns);
		return w;
	}
}

static void end_wait(struct vclock_wait *w)
{
	atomic_store(&w->until_ns, 0);
	atomic_store(&w->tid, 0);
}

/* ---- clocks ---- */

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	if (!is_ours(clock))
		return (int)syscall(SYS_clock_gettime, clock, ret);
	*ret = to_timespec(now_ns(clock));
	return 0;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	int64_t ns = now_ns(CLOCK_REALTIME);

	(void)zone;
	*ret = (struct timeval){.tv_sec = ns / NS, .tv_usec = ns % NS / 1000};
	return 0;
}

time_t time(time_t *ret)
{
	time_t now = now_ns(CLOCK_REALTIME) / NS;

	if (ret)
		*ret = now;
	return now;
}

/* ---- sleeping ---- */

static void sleep_until(int64_t until_ns)
{
	struct vclock_wait *w = begin_wait(VCLOCK_SLEEP, until_ns);

	for (;;) {
		uint32_t woken = atomic_load(&w->woken);
		int64_t left = until_ns - now_ns(CLOCK_MONOTONIC);
		struct timespec t = to_timespec(left);

		if (left <= 0)
			break;
		syscall(SYS_futex, &w->woken, FUTEX_WAIT, woken, &t, NULL, 0);
	}
	end_wait(w);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *t, struct timespec *left)
{
	int64_t ns = t->tv_sec * NS + t->tv_nsec, now = now_ns(CLOCK_MONOTONIC);

	if (!is_ours(clock))
		return syscall(SYS_clock_nanosleep, clock, flags, t, left) ? errno : 0;
	sleep_until(flags & TIMER_ABSTIME ? now + ns - now_ns(clock) : now + ns);
	return 0;
}

int nanosleep(const struct timespec *t, struct timespec *left)
{
	return clock_nanosleep(CLOCK_REALTIME, 0, t, left);
}

int usleep(useconds_t us)
{
	struct timespec t = to_timespec(us * INT64_C(1000));

	return clock_nanosleep(CLOCK_REALTIME, 0, &t, NULL);
}

unsigned sleep(unsigned seconds)
{
	struct timespec t = {.tv_sec = seconds};

	clock_nanosleep(CLOCK_REALTIME, 0, &t, NULL);
	return 0;
}

/* ---- waiting for something, and a time ---- */

static int wait_poll(struct pollfd *fds, nfds_t count, int64_t timeout_ns)
{
	int64_t until_ns = now_ns(CLOCK_MONOTONIC) + timeout_ns;
	sigset_t urgent, before, during;
	int r;

	sigemptyset(&urgent);
	sigaddset(&urgent, SIGURG);
	pthread_sigmask(SIG_BLOCK, &urgent, &before);
	during = before;
	sigdelset(&during, SIGURG);
	struct vclock_wait *w = begin_wait(VCLOCK_POLL, until_ns);
	for (;;) {
		int64_t left = until_ns - now_ns(CLOCK_MONOTONIC);
		uint32_t woken = atomic_load(&w->woken);
		struct timespec t = to_timespec(left > 0 ? left : 0);

		r = (int)syscall(SYS_ppoll, fds, count, &t, &during, sizeof(uint64_t));
		if (left <= 0 || r > 0 ||
			(r < 0 && (errno != EINTR || woken == atomic_load(&w->woken))))
			break;
		/* Woken by the clock, or the time is over. */
	}
	int error = errno;
	end_wait(w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return r;
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	if (!page || timeout_ms <= 0)
		return (int)syscall(SYS_poll, fds, count, timeout_ms);
	return wait_poll(fds, count, timeout_ms * INT64_C(1000000));
}

/* bash's `read -t` takes off what has passed since it was called. */
static bool is_alike(int64_t one_ns, int64_t other_ns)
{
	int64_t off_ns = one_ns - other_ns;

	return off_ns < NS / 20 && off_ns > -NS / 20;
}

/* A loop that only looks again and again would make hours long: what times out many times in a row,
 * always after the same short time, is looked after less and less often, up to every 15 s. */
static int64_t stretched(int64_t timeout_ns, bool timed_out)
{
	static _Thread_local int64_t last_ns;
	static _Thread_local int times;

	if (timed_out)
		times += is_alike(timeout_ns, last_ns) ? 1 : -times;
	else if (!is_alike(timeout_ns, last_ns))
		times = 0;
	last_ns = timeout_ns;
	if (times < 5 || timeout_ns > 2 * NS)
		return timeout_ns;
	int64_t more = timeout_ns * (times - 3);
	return more < 15 * NS ? more : 15 * NS;
}

static int wait_select(int count, fd_set *in, fd_set *out, fd_set *bad, int64_t timeout_ns,
	const sigset_t *mask)
{
	int64_t until_ns = now_ns(CLOCK_MONOTONIC) + stretched(timeout_ns, false);
	fd_set sets[3];
	sigset_t urgent, before, during;
	int r;

	sigemptyset(&urgent);
	sigaddset(&urgent, SIGURG);
	pthread_sigmask(SIG_BLOCK, &urgent, &before);
	during = mask ? *mask : before;
	sigdelset(&during, SIGURG);
	struct vclock_wait *w = begin_wait(VCLOCK_POLL, until_ns);
	for (;;) {
		int64_t left = until_ns - now_ns(CLOCK_MONOTONIC);
		uint32_t woken = atomic_load(&w->woken);
		struct timespec t = to_timespec(left > 0 ? left : 0);
		struct {
			const sigset_t *set;
			size_t size;
		} signals = {&during, sizeof(uint64_t)};

		for (int i = 0; i < 3; i++) {
			const fd_set *set = i == 0 ? in : i == 1 ? out : bad;

			if (set)
				sets[i] = *set;
		}
		r = (int)syscall(SYS_pselect6, count, in ? &sets[0] : NULL, out ? &sets[1] : NULL,
			bad ? &sets[2] : NULL, &t, &signals);
		if (left <= 0 || r > 0 ||
			(r < 0 && (errno != EINTR || woken == atomic_load(&w->woken))))
			break;
	}
	int error = errno;
	end_wait(w);
	if (r == 0)
		stretched(timeout_ns, true);
	if (r >= 0 && in)
		*in = sets[0];
	if (r >= 0 && out)
		*out = sets[1];
	if (r >= 0 && bad)
		*bad = sets[2];
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return r;
}

int pselect(int count, fd_set *in, fd_set *out, fd_set *bad, const struct timespec *t,
	const sigset_t *mask)
{
	struct {
		const sigset_t *set;
		size_t size;
	} signals = {mask, sizeof(uint64_t)};
	struct timespec copy = t ? *t : (struct timespec){0};

	if (!page || !t || (!t->tv_sec && !t->tv_nsec))
		return (int)syscall(SYS_pselect6, count, in, out, bad, t ? &copy : NULL, &signals);
	return wait_select(count, in, out, bad, t->tv_sec * NS + t->tv_nsec, mask);
}

int select(int count, fd_set *in, fd_set *out, fd_set *bad, struct timeval *t)
{
	struct timespec ns = t ? (struct timespec){t->tv_sec, t->tv_usec * 1000} : (struct timespec){0};

	return pselect(count, in, out, bad, t ? &ns : NULL, NULL);
}

/* Whichever clock the condition has: no machine is up for 30 years. */
static int64_t deadline_of(const struct timespec *t)
{
	int64_t ns = t->tv_sec * NS + t->tv_nsec;

	return ns < INT64_C(1000000000) * NS ? ns :
		now_ns(CLOCK_MONOTONIC) + ns - now_ns(CLOCK_REALTIME);
}

/* Nobody else can wake a condition than a thread of its process; it waits itself on a futex that all share. */
static pthread_mutex_t conditions_lock = PTHREAD_MUTEX_INITIALIZER;

static void *wake_conditions(void *nothing)
{
	for (;;) {
		uint32_t seen = atomic_load(&page->conditions);
		int64_t now = now_ns(CLOCK_MONOTONIC);

		pthread_mutex_lock(&conditions_lock);
		for (size_t i = 0; i < VCLOCK_WAITS; i++) {
			struct vclock_wait *w = &page->waits[i];
			int64_t until = atomic_load(&w->until_ns);

			if (atomic_load(&w->tid) && w->pid == getpid() && w->kind == VCLOCK_COND &&
				until && until <= now)
				pthread_cond_broadcast(atomic_load(&w->condition));
		}
		pthread_mutex_unlock(&conditions_lock);
		syscall(SYS_futex, &page->conditions, FUTEX_WAIT, seen, NULL, NULL, 0);
	}
	return nothing;
}

static void start_waker(void)
{
	static _Atomic pid_t started_in;
	sigset_t all, before;
	pthread_t thread;

	if (atomic_exchange(&started_in, getpid()) == getpid())
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	if (pthread_create(&thread, NULL, wake_conditions, NULL) != 0)
		abort();
	pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
	const struct timespec *restrict t)
{
	static int (*real)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
	int r;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_cond_clockwait");
	if (!page)
		return real(cond, mutex, deadline_of(t) == t->tv_sec * NS + t->tv_nsec ?
			CLOCK_MONOTONIC : CLOCK_REALTIME, t);
	int64_t until_ns = deadline_of(t);
	start_waker();
	struct vclock_wait *w = begin_wait(VCLOCK_COND, 0);
	atomic_store(&w->condition, cond);
	atomic_store(&w->until_ns, until_ns);
	int64_t left = until_ns - now_ns(CLOCK_MONOTONIC);
	struct timespec end = to_timespec(real_ns(CLOCK_MONOTONIC) + (left > 0 ? left : 0));
	r = real(cond, mutex, CLOCK_MONOTONIC, &end);
	pthread_mutex_lock(&conditions_lock);
	end_wait(w);
	pthread_mutex_unlock(&conditions_lock);
	return r;
}

/* timeout(1), which wants a signal and does not wait itself. */
int timer_settime(timer_t timer, int flags, const struct itimerspec *restrict value,
	struct itimerspec *restrict old)
{
	int64_t ns = value->it_value.tv_sec * NS + value->it_value.tv_nsec;

	if (!page)
		return (int)syscall(SYS_timer_settime, timer, flags, value, old);
	if (ns)
		begin_wait(VCLOCK_ALARM, now_ns(CLOCK_MONOTONIC) + ns);
	return 0;
}

/* A shell's `read -t`, where it does not select. */
int setitimer(__itimer_which_t which, const struct itimerval *restrict value,
	struct itimerval *restrict old)
{
	if (!page || which != ITIMER_REAL)
		return (int)syscall(SYS_setitimer, which, value, old);
	int64_t ns = value->it_value.tv_sec * NS + value->it_value.tv_usec * 1000;
	for (size_t i = 0; i < VCLOCK_WAITS; i++) {
		struct vclock_wait *w = &page->waits[i];

		if (w->kind == VCLOCK_ALARM && atomic_load(&w->tid) == (int32_t)gettid() && w->pid == getpid())
			end_wait(w);
	}
	if (ns)
		begin_wait(VCLOCK_ALARM, now_ns(CLOCK_MONOTONIC) + ns);
	if (old)
		*old = (struct itimerval){0};
	return 0;
}

/* ---- files' times, where they are set to now ---- */

static void stamp(int folder, const char *path)
{
	struct timespec now = to_timespec(now_ns(CLOCK_REALTIME));
	struct timespec times[2] = {now, now};

	if (page)
		syscall(SYS_utimensat, folder, path, times, 0);
}

int mkdir(const char *path, mode_t mode)
{
	int r = (int)syscall(SYS_mkdir, path, mode);

	if (r == 0)
		stamp(AT_FDCWD, path);
	return r;
}

int mkdirat(int folder, const char *path, mode_t mode)
{
	int r = (int)syscall(SYS_mkdirat, folder, path, mode);

	if (r == 0)
		stamp(folder, path);
	return r;
}

int futimens(int fd, const struct timespec times[2])
{
	if (page && !times) {
		stamp(fd, NULL);
		return 0;
	}
	return (int)syscall(SYS_utimensat, fd, NULL, times, 0);
}

int utimensat(int folder, const char *path, const struct timespec times[2], int flags)
{
	if (page && !times) {
		stamp(folder, path);
		return 0;
	}
	return (int)syscall(SYS_utimensat, folder, path, times, flags);
}
