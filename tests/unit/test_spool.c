#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "cleanup.h"
#include "spool.h"

static char folder[] = "/tmp/test-spool-XXXXXX";
static struct spool *spool;

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(folder) ? spool_open(folder, &spool) : -1;
}

static int tear_down(void **state)
{
	(void)state;
	spool_close(spool);
	return rmdir(folder);
}

static void make(const char *name)
{
	int fd = openat(spool_root(spool)->fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	close(fd);
}

static void finds_one_node_an_inode(void **state)
{
	int top = spool_root(spool)->fd;
	struct spool_node *a, *b;

	(void)state;
	make("one");
	assert_int_equal(linkat(top, "one", top, "two", 0), 0);
	assert_int_equal(spool_find(spool, spool_root(spool), "one", 7, &a), 0);
	assert_int_equal(spool_find(spool, spool_root(spool), "two", 8, &b), 0);
	assert_ptr_equal(a, b);
	assert_int_equal(a->serial, 7);
	assert_int_equal(spool_find(spool, spool_root(spool), "three", 7, &b), -ENOENT);
	uint64_t id = a->id;
	spool_forget(spool, id, 2);
	assert_null(spool_get(spool, id));
	unlinkat(top, "one", 0);
	unlinkat(top, "two", 0);
}

static void keeps_the_mode_asked_for(void **state)
{
	struct spool_node *node;
	struct stat st;

	(void)state;
	make("file");
	assert_int_equal(spool_find(spool, spool_root(spool), "file", 1, &node), 0);
	assert_int_equal(spool_chmod(node, 0044), 0);
	assert_int_equal(spool_stat(node, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0044);
	assert_int_equal(fstatat(node->fd, "", &st, AT_EMPTY_PATH), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0644);
	spool_put(spool, node);
	assert_int_equal(spool_find(spool, spool_root(spool), "file", 1, &node), 0);
	spool_stat(node, &st);
	assert_int_equal(st.st_mode & 07777, 0044);
	spool_chmod(node, 0640);
	spool_stat(node, &st);
	assert_int_equal(st.st_mode & 07777, 0640);
	spool_put(spool, node);
	unlinkat(spool_root(spool)->fd, "file", 0);
}

static void tells_where_a_node_is(void **state)
{
	int top = spool_root(spool)->fd;
	struct spool_node *node;

	(void)state;
	make("file");
	assert_int_equal(spool_find(spool, spool_root(spool), "file", 1, &node), 0);
	assert_int_equal(renameat(top, "file", top, "other"), 0);
	char *path AUTO_FREE = spool_path(spool, node);
	assert_string_equal(path, "other");
	unlinkat(top, "other", 0);
	assert_null(spool_path(spool, node));
	spool_put(spool, node);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_one_node_an_inode),
		cmocka_unit_test(keeps_the_mode_asked_for),
		cmocka_unit_test(tells_where_a_node_is),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
