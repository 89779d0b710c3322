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

#include "err.h"
#include "draftcheck.h"
#include "drafts.h"
#include "drafttree.h"
#include "spool.h"

#define GOOD "[job]\ncommand = true\nfiles = config.ini\n"
#define BAD "[slurm]\nbogus = 1\n"

static char folder[32];
static struct drafts *drafts;
static struct model *model;
static struct profile *profile;
static int64_t now_ms;

static int64_t fake_mono(void *arg)
{
	(void)arg;
	return now_ms;
}

static int64_t fake_real(void *arg)
{
	(void)arg;
	return now_ms * 1000000;
}

static const struct clock fake_clock = {.mono_ms = fake_mono, .real_ns = fake_real};

static int open_drafts(void)
{
	struct drafts_config config = {.spool = folder, .profile = profile, .clock = &fake_clock,
		.model = model};
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;

	return drafts_open(&config, &drafts, &why);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/test-draft-XXXXXX");
	profile = profile_new();
	model = model_new();
	return mkdtemp(folder) ? open_drafts() : -1;
}

static int tear_down(void **state)
{
	(void)state;
	drafts_close(drafts);
	model_free(model);
	profile_free(profile);
	return tree_delete(AT_FDCWD, folder);
}

static uint64_t make_folder(const char *name)
{
	struct spool *spool = drafts_spool(drafts);
	struct spool_node *node;

	assert_int_equal(mkdirat(spool_root(spool)->fd, name, 0755), 0);
	assert_int_equal(spool_find(spool, spool_root(spool), name, 0, &node), 0);
	uint64_t serial = drafts_adopt(drafts, node, name);
	spool_put(spool, node);
	return serial;
}

/* Writes config.ini as the handlers do; the result of its close. */
static int write_config(uint64_t serial, const char *text)
{
	struct spool *spool = drafts_spool(drafts);
	struct spool_node *top = drafts_node(drafts, serial), *node;

	drafts_remember_config(drafts, serial);
	int fd = openat(top->fd, "config.ini", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
	assert_int_equal(drafts_begin(drafts, serial), 0);
	assert_int_equal(spool_find(spool, top, "config.ini", serial, &node), 0);
	struct draft_handle *handle = drafts_opened(drafts, node, fd, true, true);
	assert_int_equal(drafts_flush(drafts, handle), 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	drafts_wrote(drafts, handle);
	drafts_end(drafts, serial, DRAFT_CHANGE, 0);
	int r = drafts_flush(drafts, handle);
	drafts_closed(drafts, handle);
	spool_put(spool, top);
	return r;
}

static size_t ready(int64_t *wait)
{
	uint64_t serials[4];
	int64_t next;

	size_t n = drafts_ready(drafts, serials, 4, &next);
	*wait = next == CLOCK_NEVER ? -1 : next - now_ms;
	return n;
}

static void is_ready_after_quiet(void **state)
{
	int64_t wait;
	uint64_t serial = make_folder("sim");
	struct sealed_draft *sealed;

	(void)state;
	assert_int_equal(write_config(serial, GOOD), 0);
	assert_int_equal(ready(&wait), 0);
	assert_int_equal(wait, 2000);
	now_ms += 1000;
	drafts_begin(drafts, serial);
	drafts_end(drafts, serial, DRAFT_CHANGE, 0);
	now_ms += 2500;
	/* Three times the longest pause. */
	assert_int_equal(ready(&wait), 0);
	assert_int_equal(wait, 500);
	now_ms += 500;
	assert_int_equal(ready(&wait), 1);
	assert_int_equal(drafts_seal(drafts, serial, false, &sealed, NULL), 0);
	assert_string_equal(sealed->suggested_name, "sim");
	assert_int_equal(drafts_begin(drafts, serial), -ESTALE);
	drafts_unseal(drafts, sealed);
	drafts_begin(drafts, serial);
	drafts_end(drafts, serial, DRAFT_CHANGE, -ENOSPC);
	assert_int_equal(ready(&wait), 0);
	assert_int_equal(wait, -1);
}

static void holds_after_a_refusal(void **state)
{
	int64_t wait, ns;
	uint64_t serial = make_folder("sim");
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	(void)state;
	assert_int_equal(write_config(serial, GOOD), 0);
	assert_int_equal(write_config(serial, BAD), -EINVAL);
	assert_int_equal(write_config(serial, GOOD), 0);
	assert_int_equal(drafts_view(drafts, serial, DRAFT_FILE_REFUSED, &text, &ns), 0);
	assert_string_equal(text.data, BAD);
	now_ms += 60000;
	assert_int_equal(ready(&wait), 0);
	assert_int_equal(write_config(serial, GOOD "submit = auto\n"), 0);
	now_ms += 60000;
	assert_int_equal(ready(&wait), 1);
	strbuf_reset(&text);
	assert_int_equal(drafts_view(drafts, serial, DRAFT_FILE_REFUSED, &text, &ns), -ENOENT);
}

static void put_loose(const char *name, const char *text)
{
	uint64_t serial = drafts_begin_loose(drafts);
	int fd = openat(spool_root(drafts_spool(drafts))->fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	drafts_end(drafts, serial, DRAFT_CHANGE, 0);
}

static void moves_loose_files(void **state)
{
	struct sealed_draft *sealed;

	(void)state;
	put_loose("config.ini", GOOD);
	put_loose("data", "x");
	put_loose("data~", "x");
	make_folder("other");
	uint64_t serial = drafts_by_name(drafts, "_loose");
	assert_int_equal(drafts_seal(drafts, serial, true, &sealed, NULL), 0);
	assert_null(sealed->draft);
	assert_string_equal(sealed->suggested_name, "job");
	assert_string_equal(sealed->left_out.data, "data~\n");
	assert_int_equal(drafts_move(drafts, sealed, "u", "sim"), 0);
	assert_int_equal(drafts_by_name(drafts, "_loose"), 0);
	assert_true(drafts_by_name(drafts, "other"));
	char *data AUTO_FREE = xasprintf("%s/sealed/u/data", folder);
	char *dropping AUTO_FREE = xasprintf("%s/sealed/u/data~", folder);
	assert_int_equal(access(data, F_OK), 0);
	assert_int_equal(access(dropping, F_OK), -1);
	assert_int_equal(drafts_drop_sealed(drafts, "u"), 0);
	assert_int_equal(access(data, F_OK), -1);
}

static void finishes_an_interrupted_move(void **state)
{
	static const char loose[] = "a\0b";
	struct sealed_draft *sealed;

	(void)state;
	uint64_t serial = make_folder("sim");
	write_config(serial, GOOD);
	put_loose("a", "");
	put_loose("b", "");
	assert_int_equal(drafts_seal(drafts, serial, true, &sealed, NULL), 0);
	sealed_draft_free(sealed);
	drafts_close(drafts);
	assert_int_equal(open_drafts(), 0);
	assert_true(drafts_by_name(drafts, "sim"));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(drafts_finish_move(drafts, "u", "sim", "sim", NULL, 0), 0);
		assert_int_equal(drafts_finish_move(drafts, "v", "job-1", NULL, loose, sizeof(loose)), 0);
	}
	assert_int_equal(drafts_by_name(drafts, "sim"), 0);
	assert_int_equal(drafts_loose(drafts), 0);
	char *b AUTO_FREE = xasprintf("%s/sealed/v/b", folder);
	assert_int_equal(access(b, F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(is_ready_after_quiet, set_up, tear_down),
		cmocka_unit_test_setup_teardown(holds_after_a_refusal, set_up, tear_down),
		cmocka_unit_test_setup_teardown(moves_loose_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(finishes_an_interrupted_move, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
