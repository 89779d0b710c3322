#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "err.h"
#include "local.h"
#include "strbuf.h"

static int64_t in_ms(int64_t ms)
{
	return clock_in(&clock_system, ms);
}

static struct remote_proc *start(struct remote *r, const char *command)
{
	struct remote_proc *p = NULL;

	assert_int_equal(remote_spawn(r, command, in_ms(5000), &p), 0);
	return p;
}

static size_t read_all(struct remote_proc *p, bool from_stderr, struct strbuf *b)
{
	char bytes[5000];
	ssize_t n;

	while ((n = remote_read(p, from_stderr, bytes, sizeof(bytes), in_ms(10000))) > 0)
		strbuf_add(b, bytes, (size_t)n);
	assert_int_equal(n, 0);
	return b->len;
}

static int end_of(struct remote_proc *p)
{
	int status = -7;

	assert_int_equal(remote_wait(p, &status, in_ms(5000)), 0);
	remote_release(p);
	return status;
}

static void streams_and_status(void **state)
{
	struct remote *r = local_remote_new(022);
	AUTO_STRBUF struct strbuf out = STRBUF_INIT, err = STRBUF_INIT;
	struct remote_proc *p = start(r, "cat; echo trouble >&2; exit 3");

	(void)state;
	assert_int_equal(remote_write(p, "hello", 5, in_ms(5000)), 0);
	assert_int_equal(remote_close_stdin(p, in_ms(5000)), 0);
	read_all(p, false, &out);
	read_all(p, true, &err);
	assert_string_equal(out.data, "hello");
	assert_string_equal(err.data, "trouble\n");
	assert_int_equal(end_of(p), 3);
	assert_int_equal(end_of(start(r, "kill -TERM $$")), 128 + 15);
	remote_destroy(r);
}

static void commands_have_the_umask_given(void **state)
{
	struct remote *r = local_remote_new(027);
	AUTO_STRBUF struct strbuf out = STRBUF_INIT;
	struct remote_proc *p = start(r, "umask");
	mode_t before = umask(0);

	(void)state;
	read_all(p, false, &out);
	assert_string_equal(out.data, "0027\n");
	assert_int_equal(end_of(p), 0);
	umask(before);
	remote_destroy(r);
}

static void writing_does_not_stall_on_output(void **state)
{
	struct remote *r = local_remote_new(022);
	struct remote_proc *p = start(r, "head -c 3000000 /dev/zero >&2; cat | wc -c");
	AUTO_STRBUF struct strbuf out = STRBUF_INIT, err = STRBUF_INIT;
	char *block = xcalloc(1, 1 << 20);

	(void)state;
	for (int i = 0; i < 8; i++)
		assert_int_equal(remote_write(p, block, 1 << 20, in_ms(10000)), 0);
	free(block);
	remote_close_stdin(p, in_ms(5000));
	read_all(p, false, &out);
	assert_string_equal(out.data, "8388608\n");
	assert_int_equal(read_all(p, true, &err), 3000000);
	assert_int_equal(end_of(p), 0);
	remote_destroy(r);
}

static void deadlines_and_abort(void **state)
{
	struct remote *r = local_remote_new(022);
	struct remote_proc *p = start(r, "sleep 100"), *other;
	int status;
	char byte;

	(void)state;
	assert_int_equal(remote_read(p, false, &byte, 1, in_ms(20)), -ETIMEDOUT);
	assert_int_equal(remote_wait(p, &status, in_ms(20)), -ETIMEDOUT);
	remote_abort(r);
	assert_int_equal(remote_read(p, false, &byte, 1, CLOCK_NEVER), -ECANCELED);
	assert_int_equal(remote_wait(p, &status, CLOCK_NEVER), -ECANCELED);
	assert_int_equal(remote_spawn(r, "true", CLOCK_NEVER, &other), -ECANCELED);
	remote_release(p);
	remote_destroy(r);
}

static void write_to_the_dead(void **state)
{
	struct remote *r = local_remote_new(022);
	struct remote_proc *p = start(r, "exec true");
	int status;

	(void)state;
	assert_int_equal(remote_wait(p, &status, in_ms(5000)), 0);
	assert_int_equal(remote_write(p, "x", 1, in_ms(5000)), -EPIPE);
	remote_release(p);
	remote_destroy(r);
}

static int count(void *arg, const char *name, const struct remote_attr *attr)
{
	int *counts = arg;

	(void)name;
	counts[S_ISREG(attr->mode) ? 0 : S_ISLNK(attr->mode) ? 1 : 2]++;
	return 0;
}

static void files(void **state)
{
	struct remote *r = local_remote_new(022);
	char dir[] = "/tmp/test_local.XXXXXX", byte[8];
	AUTO_STRBUF struct strbuf text = STRBUF_INIT;
	int counts[3] = {0};
	struct remote_attr attr;
	struct remote_file *f;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	fd = open("file", O_CREAT | O_WRONLY, 0644);
	assert_int_equal(write(fd, "abcdef", 6), 6);
	close(fd);
	assert_int_equal(symlink("file", "link"), 0);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(remote_list(r, dir, in_ms(5000), count, counts), 0);
	assert_true(counts[0] == 1 && counts[1] == 1 && counts[2] == 1);
	assert_int_equal(remote_lstat(r, "file", in_ms(5000), &attr), 0);
	assert_int_equal(attr.size, 6);
	assert_int_equal(remote_open(r, "file", in_ms(5000), &f), 0);
	assert_int_equal(remote_pread(f, byte, 4, 3, in_ms(5000)), 3);
	assert_memory_equal(byte, "def", 3);
	remote_close(f);
	assert_int_equal(remote_open(r, "link", in_ms(5000), &f), -ELOOP);
	assert_int_equal(remote_open(r, "fifo", in_ms(5000), &f), -EINVAL);
	assert_int_equal(remote_open(r, dir, in_ms(5000), &f), -EISDIR);
	assert_int_equal(remote_readlink(r, "link", in_ms(5000), &text), 0);
	assert_string_equal(text.data, "file");
	assert_int_equal(remote_unlink(r, "link", 0), 0);
	assert_int_equal(remote_unlink(r, "file", 0), 0);
	assert_int_equal(remote_unlink(r, "fifo", 0), 0);
	assert_int_equal(remote_lstat(r, "file", 0, &attr), -ENOENT);
	assert_int_equal(remote_rmdir(r, dir, 0), 0);
	remote_destroy(r);
}

static int nothing(void *arg, const char *name, const struct remote_attr *attr)
{
	(void)name;
	(void)attr;
	++*(int *)arg;
	return 0;
}

/* See remote.h: BASE/./REST. */
static void marked_paths_follow_no_link(void **state)
{
	char top[] = "/tmp/test_local.XXXXXX";
	struct remote *r = local_remote_new(022);
	AUTO_FREE char *script = NULL;
	struct remote_file *f;
	int count = 0;

	(void)state;
	assert_non_null(mkdtemp(top));
	script = xasprintf("cd %s; mkdir -p base/a out; echo x > base/a/f; echo y > out/f; ln -s ../out base/l; "
		"ln -s a/f base/g; ln -s base way", top);
	assert_int_equal(end_of(start(r, script)), 0);
	const struct {
		const char *path;
		int result;
	} cases[] = {{"base/./a/f", 0}, {"base/./l/f", -ELOOP}, {"base/./g", -ELOOP}, {"base/l/f", 0},
		{"way/./a/f", 0}, {"base/./a/../../out/f", -EXDEV}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", top, cases[i].path);

		int result = remote_open(r, path, in_ms(5000), &f);
		if (result == 0)
			remote_close(f);
		assert_int_equal(result, cases[i].result);
	}
	AUTO_FREE char *listed = xasprintf("%s/base/./l", top);
	assert_int_equal(remote_list(r, listed, in_ms(5000), nothing, &count), -ELOOP);
	AUTO_FREE char *whole = xasprintf("%s/base/./", top);
	assert_int_equal(remote_list(r, whole, in_ms(5000), nothing, &count), 0);
	assert_int_equal(count, 3);
	AUTO_FREE char *file = xasprintf("%s/base/./l/f", top);
	assert_int_equal(remote_unlink(r, file, in_ms(5000)), -ELOOP);
	AUTO_FREE char *link = xasprintf("%s/base/./l", top);
	assert_int_equal(remote_unlink(r, link, in_ms(5000)), 0);
	AUTO_FREE char *clean = xasprintf("rm -r %s", top);
	assert_int_equal(end_of(start(r, clean)), 0);
	remote_destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_and_status),
		cmocka_unit_test(marked_paths_follow_no_link),
		cmocka_unit_test(commands_have_the_umask_given),
		cmocka_unit_test(writing_does_not_stall_on_output),
		cmocka_unit_test(deadlines_and_abort),
		cmocka_unit_test(write_to_the_dead),
		cmocka_unit_test(files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
