#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "beneath.h"

static char folder[] = "/tmp/test-beneath-XXXXXX";
static int top;

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	top = open(folder, O_RDONLY | O_DIRECTORY);
	mkdirat(top, "a", 0700);
	mkdirat(top, "a/b", 0700);
	close(openat(top, "a/b/file", O_CREAT | O_WRONLY, 0600));
	symlinkat("/etc/passwd", top, "a/out");
	symlinkat("../..", top, "a/up");
	symlinkat("b/file", top, "a/in");
	return top < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	static const char *const files[] = {"a/b/file", "a/out", "a/up", "a/in"};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		unlinkat(top, files[i], 0);
	unlinkat(top, "a/b", AT_REMOVEDIR);
	unlinkat(top, "a", AT_REMOVEDIR);
	close(top);
	return rmdir(folder);
}

static int result(const char *path)
{
	int fd = open_beneath(top, path, O_RDONLY, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 0 : fd;
}

static void same_either_way(void)
{
	assert_int_equal(result("a/b/file"), 0);
	assert_int_equal(result("a/./b//file"), 0);
	assert_int_equal(result("a/b"), 0);
	assert_int_equal(result("a/b/"), 0);
	assert_int_equal(result("."), 0);
	assert_int_equal(result("nothing"), -ENOENT);
	assert_int_equal(result("a/nothing/file"), -ENOENT);
	assert_int_equal(result("a/b/file/x"), -ENOTDIR);
	assert_int_equal(result("/etc/passwd"), -EXDEV);
	assert_int_equal(result("../x"), -EXDEV);
	assert_int_equal(result("a/in"), 0);
	assert_int_equal(result("a/out"), -EXDEV);
	assert_int_equal(result("a/up"), -EXDEV);
}

static void stays_in_the_folder(void **state)
{
	(void)state;
	same_either_way();
}

/* The last test: the filter stays. */
static void does_without_openat2(void **state)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(*code), code};

	(void)state;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
		skip();
	same_either_way();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stays_in_the_folder),
		cmocka_unit_test(does_without_openat2),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
