/* What the cluster answers about a growing log, asked of this machine. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>

#include "err.h"
#include "local.h"
#include "progress_query.h"

struct taken {
	struct strbuf bytes;
	int64_t next;
};

static void take(void *arg, const struct progress_part *part)
{
	struct taken *taken = arg;

	assert_int_equal(part->from, taken->next);
	strbuf_add(&taken->bytes, part->bytes, part->len);
	taken->next = part->next;
}

static void ask(const struct cluster *cluster, const char *path, struct taken *taken)
{
	struct strbuf request AUTO_STRBUF = STRBUF_INIT;
	struct command_result answer AUTO_RESULT = COMMAND_RESULT_INIT;

	progress_ask_file(&request, 0, taken->next, path);
	assert_int_equal(progress_query(cluster, &request, &answer), 0);
	progress_each_part(answer.out.data, answer.out.len, take, taken);
}

/* A line may be cut at any byte, and end where a part ends: not one byte is lost between them. */
static void a_log_is_read_to_the_byte(void **state)
{
	static const char *const pieces[] = {"2480 0.7\n", "2490 0.7\n25", "00 0.7\n", "\n", "Loop time of 1"};
	struct cluster cluster = {.remote = local_remote_new(0022), .clock = &clock_system};
	struct taken taken = {.bytes = STRBUF_INIT};
	struct strbuf whole AUTO_STRBUF = STRBUF_INIT;
	char path[] = "/tmp/slurmount-progress.XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		assert_int_equal(write(fd, pieces[i], strlen(pieces[i])), strlen(pieces[i]));
		strbuf_adds(&whole, pieces[i]);
		ask(&cluster, path, &taken);
		assert_string_equal(taken.bytes.data, whole.data);
	}
	assert_int_equal(taken.next, whole.len);
	strbuf_release(&taken.bytes);
	close(fd);
	unlink(path);
	remote_destroy(cluster.remote);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_log_is_read_to_the_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
