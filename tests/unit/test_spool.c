#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

#define MANY 40

static size_t open_descriptors(void)
{
	DIR *dir AUTO_CLOSEDIR = opendir("/proc/self/fd");
	size_t count = 0;

	while (readdir(dir))
		count++;
	return count;
}

/* Looks an entry up as the kernel does; the node's id. */
static uint64_t look_up(const char *folder_name, const char *name)
{
	struct spool_node *parent, *node;

	assert_int_equal(spool_find(spool, spool_root(spool), folder_name, 1, &parent), 0);
	assert_int_equal(spool_find(spool, parent, name, 1, &node), 0);
	uint64_t id = node->id;
	spool_hand_over(spool, node);
	spool_put(spool, parent);
	return id;
}

static void is_at(uint64_t id, const char *path, ino_t ino)
{
	struct spool_node *node = spool_get(spool, id);
	struct stat st;

	assert_non_null(node);
	assert_int_equal(spool_stat(node, &st), 0);
	assert_int_equal(st.st_ino, ino);
	char *found AUTO_FREE = spool_path(spool, node);
	if (path)
		assert_string_equal(found, path);
	else
		assert_null(found);
	spool_put(spool, node);
}

static void finds_nodes_again_without_keeping_them_open(void **state)
{
	const struct spool_node *root = spool_root(spool);
	int top = root->fd;
	uint64_t ids[MANY], folder_id;
	ino_t inos[MANY];
	char name[32];
	struct spool_node *node, *parent;
	struct stat st;

	(void)state;
	size_t before = open_descriptors();
	spool_limit(spool, 8);
	mkdirat(top, "a", 0700);
	mkdirat(top, "d", 0700);
	assert_int_equal(spool_find(spool, root, "a", 1, &parent), 0);
	folder_id = parent->id;
	spool_hand_over(spool, parent);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "a/%d", i);
		make(name);
		fstatat(top, name, &st, 0);
		inos[i] = st.st_ino;
		ids[i] = look_up("a", name + 2);
	}
	assert_true(open_descriptors() < before + 12);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "a/%d", i);
		is_at(ids[i], name, inos[i]);
	}
	/* Above them something is renamed. */
	assert_int_equal(spool_rename(spool, root, "a", root, "b", 0), 0);
	is_at(ids[7], "b/7", inos[7]);
	assert_int_equal(spool_rename(spool, root, "b", root, "d", RENAME_EXCHANGE), 0);
	is_at(ids[8], "d/8", inos[8]);
	/* Their own entries are removed and replaced. */
	parent = spool_get(spool, folder_id);
	assert_non_null(parent);
	assert_int_equal(spool_unlink(spool, parent, "0", 0), 0);
	assert_int_equal(spool_rename(spool, parent, "1", parent, "2", 0), 0);
	assert_int_equal(spool_rename(spool, parent, "1", parent, "2", 0), -ENOENT);
	for (int i = 10; i < MANY; i++)
		spool_put(spool, spool_get(spool, ids[i]));
	is_at(ids[0], NULL, inos[0]);
	is_at(ids[1], "d/2", inos[1]);
	is_at(ids[2], NULL, inos[2]);
	/* One look-up later it is still the same node. */
	assert_int_equal(spool_find(spool, parent, "9", 1, &node), 0);
	assert_int_equal(node->id, ids[9]);
	spool_put(spool, node);
	/* What leaves otherwise is found no more. */
	renameat(parent->fd, "3", top, "elsewhere");
	assert_null(spool_get(spool, ids[3]));
	spool_put(spool, parent);
	for (int i = 0; i < MANY; i++)
		spool_forget(spool, ids[i], 1);
	spool_forget(spool, folder_id, 1);
	assert_int_equal(open_descriptors(), before);
	for (int i = 2; i < MANY; i++) {
		snprintf(name, sizeof(name), "d/%d", i);
		unlinkat(top, name, 0);
	}
	unlinkat(top, "elsewhere", 0);
	unlinkat(top, "b", AT_REMOVEDIR);
	unlinkat(top, "d", AT_REMOVEDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_one_node_an_inode),
		cmocka_unit_test(keeps_the_mode_asked_for),
		cmocka_unit_test(tells_where_a_node_is),
		cmocka_unit_test(finds_nodes_again_without_keeping_them_open),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
