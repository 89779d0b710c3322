#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "after.h"
#include "err.h"

static struct jobspec *read_spec(const char *text)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct jobspec *spec;

	assert_int_equal(jobspec_parse(text, strlen(text), &spec, &why), 0);
	return spec;
}

static void wants(const char *config, const char *expected)
{
	struct jobspec *spec = read_spec(config);
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct after_list list;

	after_from_spec(spec, &list);
	after_print(&list, &text);
	assert_string_equal(text.data, expected);
	assert_int_equal(after_wanted(spec), *expected != '\0');
	after_release(&list);
	jobspec_free(spec);
}

static void test_what_is_waited_for(void **state)
{
	(void)state;
	wants("[job]\ncommand = x\n", "");
	wants("[job]\ncommand = x\nafter = a, any:b,failed:c\n", "ok 0 a\nany 0 b\nfailed 0 c\n");
	/* Named twice with one condition: once; with two: both. */
	wants("[job]\ncommand = x\nafter = a,a,any:a\n", "ok 0 a\nany 0 a\n");
	/* An input's job is waited for; where `after` names it, that condition stands. */
	wants("[job]\ncommand = x\n[inputs]\nf = a:f\ng = a:d/g\nh = /data/h\n", "ok 0 a\n");
	wants("[job]\ncommand = x\nafter = any:a\n[inputs]\nf = a:f\n", "any 0 a\n");
	wants("[job]\ncommand = x\n[inputs]\nh = /data/a:h\n", "");
}

static void test_kept_text(void **state)
{
	static const char text[] = "ok 7 a\nany 0 b.c\nfailed 18446744073709551615 c\n";
	static const char *const wrong[] = {"ok 7 a", "ok 7\n", "ok x a\n", "when 7 a\n", "ok -7 a\n",
		"ok 7 a b\n", "ok 18446744073709551616 a\n", "\n", "ok 7 ../a\n", "ok 7 a\n\n"};
	struct strbuf again AUTO_STRBUF = STRBUF_INIT;
	struct after_list list;

	(void)state;
	assert_int_equal(after_parse(text, strlen(text), &list), 0);
	assert_int_equal(list.count, 3);
	assert_int_equal(list.items[0].parent, 7);
	assert_int_equal(list.items[1].kind, AFTER_ANY);
	assert_true(list.items[2].parent == UINT64_MAX);
	after_print(&list, &again);
	assert_string_equal(again.data, text);
	after_release(&list);
	assert_int_equal(after_parse("", 0, &list), 0);
	assert_int_equal(list.count, 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_int_equal(after_parse(wrong[i], strlen(wrong[i]), &list), -22);
		assert_int_equal(list.count, 0);
	}
}

static void test_judging(void **state)
{
	static const struct {
		const char *word;
		enum after_verdict ok, any, failed;
	} rows[] = {
		{"COMPLETED", AFTER_GO, AFTER_GO, AFTER_NEVER},
		{"FAILED", AFTER_NEVER, AFTER_GO, AFTER_GO},
		{"TIMEOUT", AFTER_NEVER, AFTER_GO, AFTER_GO},
		{"CANCELLED", AFTER_NEVER, AFTER_GO, AFTER_GO},
		{"NODE_FAIL", AFTER_NEVER, AFTER_GO, AFTER_GO},
		/* No proof of an end, in either direction. */
		{"UNKNOWN", AFTER_NEVER, AFTER_NEVER, AFTER_NEVER},
		/* It never ran. */
		{"REJECTED", AFTER_NEVER, AFTER_NEVER, AFTER_NEVER},
		{"WAITING", AFTER_WAIT, AFTER_WAIT, AFTER_WAIT},
		{"SUBMITTING", AFTER_WAIT, AFTER_WAIT, AFTER_WAIT},
		{"PENDING", AFTER_WAIT, AFTER_WAIT, AFTER_WAIT},
		{"COMPLETING", AFTER_WAIT, AFTER_WAIT, AFTER_WAIT},
		{"A_WORD_OF_TOMORROW", AFTER_WAIT, AFTER_WAIT, AFTER_WAIT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(after_judge(AFTER_OK, rows[i].word), rows[i].ok);
		assert_int_equal(after_judge(AFTER_ANY, rows[i].word), rows[i].any);
		assert_int_equal(after_judge(AFTER_FAILED, rows[i].word), rows[i].failed);
	}
}

static void test_inputs_job(void **state)
{
	const char *path = NULL;
	AUTO_FREE char *job = after_input_job("min:out/a:b.coor", &path);

	(void)state;
	assert_string_equal(job, "min");
	assert_string_equal(path, "out/a:b.coor");
	assert_null(after_input_job("/data/min:x", &path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_waited_for),
		cmocka_unit_test(test_kept_text),
		cmocka_unit_test(test_judging),
		cmocka_unit_test(test_inputs_job),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
