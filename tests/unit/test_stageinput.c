/* The text is run by bash in folders of its own, as staging runs it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "err.h"
#include "stageinput.h"

static char base[64];
static char *parent;

static int setup(void **state)
{
	(void)state;
	strcpy(base, "/tmp/test_stageinput.XXXXXX");
	assert_non_null(mkdtemp(base));
	parent = xasprintf("%s/parent's $dir", base);
	AUTO_FREE char *make = xasprintf("cd '%s' && mkdir -p child outside \"parent's \\$dir/out\" && "
		"cd par* && printf 12345 > out/a && chmod 400 out/a && ln -s out/a inner && "
		"ln -s /etc/passwd secret && ln -s ../outside leave && printf x > ../outside/x && "
		"printf q > \"out/it's; a \\$(name)\"", base);
	assert_int_equal(system(make), 0);
	return 0;
}

static int teardown(void **state)
{
	AUTO_FREE char *remove_all = xasprintf("rm -rf '%s'", base);

	(void)state;
	free(parent);
	return system(remove_all);
}

/* Runs the text for one input in `child`; its exit status; what it printed on both into `ret`. */
static int run(struct stage_input input, struct strbuf *ret)
{
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;
	AUTO_FREE char *path = xasprintf("%s/script", base);
	AUTO_FREE char *command = xasprintf("cd '%s/child' && bash '%s' 2>&1", base, path);
	char buffer[512];
	size_t n;

	stageinput_add(&script, &input, 1);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(script.data, file);
	fclose(file);
	FILE *pipe = popen(command, "r");
	assert_non_null(pipe);
	while ((n = fread(buffer, 1, sizeof(buffer), pipe)) > 0)
		strbuf_add(ret, buffer, n);
	return WEXITSTATUS(pclose(pipe));
}

static int copy(const char *name, const char *path, struct strbuf *ret)
{
	return run((struct stage_input){(char *)name, (char *)"min", parent, (char *)path}, ret);
}

static bool child_has(const char *name, const char *text)
{
	AUTO_FREE char *path = xasprintf("%s/child/%s", base, name);
	FILE *file AUTO_FCLOSE = fopen(path, "r");
	char buffer[64] = "";

	return file && fread(buffer, 1, sizeof(buffer) - 1, file) == strlen(text) &&
		!strcmp(buffer, text);
}

static void test_copies(void **state)
{
	struct strbuf out AUTO_STRBUF = STRBUF_INIT;
	struct stat st;
	AUTO_FREE char *path = xasprintf("%s/child/deep/er/a", base);

	(void)state;
	assert_int_equal(copy("deep/er/a", "out/a", &out), 0);
	assert_true(child_has("deep/er/a", "12345"));
	/* The copy is the child's own, to write to. */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(copy("b", "inner", &out), 0);
	assert_true(child_has("b", "12345"));
	assert_int_equal(copy("its; a $(name)'", "out/it's; a $(name)", &out), 0);
	assert_true(child_has("its; a $(name)'", "q"));
	assert_string_equal(out.data, "");
}

static void refused(const char *name, const char *path, const char *words)
{
	struct strbuf out AUTO_STRBUF = STRBUF_INIT;

	assert_int_equal(copy(name, path, &out), STAGEINPUT_EXIT);
	assert_non_null(strstr(out.data, words));
	assert_non_null(strstr(out.data, "[inputs]"));
}

static void test_refusals(void **state)
{
	AUTO_FREE char *out_of_it = xasprintf("ln -s ../outside '%s/child/way'", base);
	AUTO_FREE char *there = xasprintf("touch '%s/child/there'", base);

	(void)state;
	refused("c", "out/none", "min has left no out/none");
	refused("c", "secret", "leaves its directory");
	refused("c", "leave/x", "leaves its directory");
	refused("c", "out", "no ordinary file");
	assert_int_equal(system(out_of_it), 0);
	assert_int_equal(system(there), 0);
	refused("way/new/c", "out/a", "leads out of");
	refused("there", "out/a", "in the draft, too");
	AUTO_FREE char *new = xasprintf("%s/outside/new", base);
	assert_int_equal(access(new, F_OK), -1);
	free(parent);
	parent = xasprintf("%s/purged", base);
	refused("c", "out/a", "is gone");
}

static void test_links(void **state)
{
	struct strbuf out AUTO_STRBUF = STRBUF_INIT;
	char target[64] = "";
	AUTO_FREE char *path = xasprintf("%s/child/data/passwd", base);

	(void)state;
	assert_int_equal(run((struct stage_input){.name = (char *)"data/passwd",
		.path = (char *)"/etc/passwd"}, &out), 0);
	assert_string_equal(out.data, "");
	assert_int_equal(readlink(path, target, sizeof(target) - 1), 11);
	assert_string_equal(target, "/etc/passwd");
	assert_int_equal(run((struct stage_input){.name = (char *)"later",
		.path = (char *)"/none/of these"}, &out), 0);
	assert_string_equal(out.data, "[inputs] later: /none/of these does not exist on the cluster\n");
}

static void test_none(void **state)
{
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	stageinput_add(&script, NULL, 0);
	assert_string_equal(script.data, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_copies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links, setup, teardown),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
