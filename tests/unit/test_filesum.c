/* Values by sha256sum. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filesum.h"
#include "strbuf.h"

static int new_file(void)
{
	char path[] = "/tmp/test_filesum.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

static struct filesum *sum_of(struct filesums *sums, int fd)
{
	struct filesum *sum = NULL;

	assert_int_equal(filesums_get(sums, fd, &sum), 0);
	return sum;
}

static void names_small_files_by_their_sha256(void **state)
{
	struct filesums *sums = filesums_new();
	int fd = new_file();

	(void)state;
	struct filesum *sum = sum_of(sums, fd);
	assert_int_equal(sum->count, 1);
	assert_string_equal(sum->name,
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	filesum_unref(sum);
	assert_int_equal(write(fd, "abc", 3), 3);
	sum = sum_of(sums, fd);
	assert_int_equal(sum->size, 3);
	assert_string_equal(sum->name,
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	filesum_unref(sum);
	close(fd);
	filesums_free(sums);
}

static void names_large_files_by_their_pieces(void **state)
{
	struct strbuf hex AUTO_STRBUF = STRBUF_INIT;
	int fd = new_file();

	(void)state;
	assert_int_equal(ftruncate(fd, (16 << 20) + 1), 0);
	struct filesum *sum = sum_of(NULL, fd);
	assert_int_equal(sum->count, 2);
	filesum_add_hex(&hex, sum->pieces[0]);
	filesum_add_hex(&hex, sum->pieces[1]);
	assert_string_equal(hex.data,
		"080acf35a507ac9849cfcba47dc2ad83e01b75663a516279c8b9d243b719643e"
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
	/* The SHA-256 of those 64 bytes. */
	assert_string_equal(sum->name,
		"t9463cfd27faaf44cdf117dd645b6e53aecad93c7d54d779112fdc67c990f5197");
	filesum_unref(sum);
	/* A whole piece is one. */
	assert_int_equal(ftruncate(fd, 16 << 20), 0);
	sum = sum_of(NULL, fd);
	assert_int_equal(sum->count, 1);
	filesum_unref(sum);
	close(fd);
}

static void notices_changes_that_size_and_time_hide(void **state)
{
	struct filesums *sums = filesums_new();
	struct timespec times[2];
	struct stat before;
	int fd = new_file();

	(void)state;
	assert_int_equal(write(fd, "abc", 3), 3);
	/* What has just changed is not remembered at all. */
	usleep(50000);
	struct filesum *first = sum_of(sums, fd);
	struct filesum *again = sum_of(sums, fd);
	assert_ptr_equal(first, again);
	assert_int_equal(fstat(fd, &before), 0);
	assert_int_equal(pwrite(fd, "abd", 3, 0), 3);
	times[0] = before.st_atim;
	times[1] = before.st_mtim;
	assert_int_equal(futimens(fd, times), 0);
	struct filesum *changed = sum_of(sums, fd);
	assert_string_not_equal(changed->name, first->name);
	filesum_unref(first);
	filesum_unref(again);
	filesum_unref(changed);
	close(fd);
	filesums_free(sums);
}

static void ends_when_it_is_stopped(void **state)
{
	struct filesums *sums = filesums_new();
	struct filesum *sum = NULL;
	int fd = new_file();

	(void)state;
	assert_int_equal(ftruncate(fd, 100), 0);
	filesums_stop(sums);
	assert_int_equal(filesums_get(sums, fd, &sum), -ECANCELED);
	assert_null(sum);
	close(fd);
	filesums_free(sums);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_small_files_by_their_sha256),
		cmocka_unit_test(names_large_files_by_their_pieces),
		cmocka_unit_test(notices_changes_that_size_and_time_hide),
		cmocka_unit_test(ends_when_it_is_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
