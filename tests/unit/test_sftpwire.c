/* SFTP's messages, against bytes written out by hand from the protocol's description. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "sftpwire.h"

#define BYTES(text) text, sizeof(text) - 1

static void expect(struct strbuf *made, const char *bytes, size_t len)
{
	assert_int_equal(made->len, len);
	assert_memory_equal(made->data, bytes, len);
	strbuf_reset(made);
}

static void makes_requests(void **state)
{
	struct strbuf b AUTO_STRBUF = STRBUF_INIT;
	const struct sftp_handle handle = {2, "\x07\x08"};

	(void)state;
	sftp_ask_init(&b);
	expect(&b, BYTES("\0\0\0\5\1\0\0\0\3"));
	sftp_ask_path(&b, SFTP_LSTAT, 0x01020304, "/a");
	expect(&b, BYTES("\0\0\0\13\7\1\2\3\4\0\0\0\2/a"));
	/* For reading, with no attributes. */
	sftp_ask_path(&b, SFTP_OPEN, 5, "b");
	expect(&b, BYTES("\0\0\0\22\3\0\0\0\5\0\0\0\1b\0\0\0\1\0\0\0\0"));
	sftp_ask_handle(&b, SFTP_CLOSE, 6, &handle);
	expect(&b, BYTES("\0\0\0\13\4\0\0\0\6\0\0\0\2\7\x8"));
	sftp_ask_read(&b, 7, &handle, UINT64_C(0x100000002), 65536);
	expect(&b, BYTES("\0\0\0\27\5\0\0\0\7\0\0\0\2\7\x8\0\0\0\1\0\0\0\2\0\1\0\0"));
}

static void tells_a_message_s_size(void **state)
{
	(void)state;
	assert_int_equal(sftp_message_size(BYTES("\0\0\0")), 0);
	assert_int_equal(sftp_message_size(BYTES("\0\0\0\11rest")), 13);
	/* A login that prints text where the server should speak. */
	assert_int_equal(sftp_message_size(BYTES("Welcome")), -EPROTO);
	assert_int_equal(sftp_message_size(BYTES("\0\0\0\4")), -EPROTO);
}

static struct sftp_answer take(const char *message, size_t size)
{
	struct sftp_answer answer;

	assert_int_equal(sftp_message_size(message, size), size);
	assert_int_equal(sftp_take_answer(message, size, &answer), 0);
	return answer;
}

static void takes_answers_apart(void **state)
{
	struct sftp_handle handle;
	struct remote_attr attr;

	(void)state;
	struct sftp_answer a = take(BYTES("\0\0\0\21e\0\0\0\x9\0\0\0\2\0\0\0\0\0\0\0\0"));
	assert_int_equal(a.type, SFTP_STATUS);
	assert_int_equal(a.id, 9);
	assert_int_equal(sftp_status_errno(a.number, false), -ENOENT);
	a = take(BYTES("\0\0\0\14f\0\0\0\1\0\0\0\3xyz"));
	assert_int_equal(sftp_take_handle(&a, &handle), 0);
	assert_int_equal(handle.len, 3);
	assert_memory_equal(handle.bytes, "xyz", 3);
	a = take(BYTES("\0\0\0\13g\0\0\0\1\0\0\0\2hi"));
	assert_int_equal(a.type, SFTP_DATA);
	assert_int_equal(a.len, 2);
	assert_memory_equal(a.bytes, "hi", 2);
	/* Size 4097, owner 1:2, mode 0100644, accessed at 3, modified at 1000000000. */
	a = take(BYTES("\0\0\0\45i\0\0\0\1\0\0\0\17\0\0\0\0\0\0\x10\1\0\0\0\1\0\0\0\2\0\0\x81\xa4\0\0\0\3"
		       "\x3b\x9a\xca\0"));
	assert_int_equal(sftp_take_attr(&a, &attr), 0);
	assert_int_equal(attr.size, 4097);
	assert_int_equal(attr.mode, 0100644);
	assert_int_equal(attr.mtime_ns, INT64_C(1000000000000000000));
}

static void takes_names(void **state)
{
	struct remote_attr attr;
	const char *name;
	size_t len;

	(void)state;
	struct sftp_answer a = take(BYTES("\0\0\0\45h\0\0\0\1\0\0\0\2"
		"\0\0\0\1a\0\0\0\1-\0\0\0\0"          /* no attributes */
		"\0\0\0\2bc\0\0\0\0\0\0\0\0"));
	assert_int_equal(a.number, 2);
	assert_int_equal(sftp_take_name(&a, &name, &len, &attr), 0);
	assert_int_equal(len, 1);
	assert_int_equal(name[0], 'a');
	assert_int_equal(sftp_take_name(&a, &name, &len, &attr), 0);
	assert_int_equal(len, 2);
	assert_int_equal(attr.mode, 0);
	assert_int_equal(sftp_take_name(&a, &name, &len, &attr), -EPROTO);
}

static void refuses_what_says_it_is_longer_than_it_is(void **state)
{
	struct sftp_answer a;
	struct sftp_handle handle;
	struct remote_attr attr;

	(void)state;
	assert_int_equal(sftp_take_answer(BYTES("\0\0\0\13g\0\0\0\1\0\0\0\3hi"), &a), -EPROTO);
	assert_int_equal(sftp_take_answer(BYTES("\0\0\0\5\7\0\0\0\1"), &a), -EPROTO);
	assert_int_equal(sftp_take_answer(BYTES("\0\0\0\5e\0\0\0\1"), &a), -EPROTO);
	/* Extended attributes: so many pairs, and none of them there. */
	a = take(BYTES("\0\0\0\15i\0\0\0\1\x80\0\0\0\xff\xff\xff\xff"));
	assert_int_equal(sftp_take_attr(&a, &attr), -EPROTO);
	/* The protocol's longest handle has 256 bytes. */
	char long_handle[13 + 257] = "\0\0\1\12f\0\0\0\1\0\0\1\1";
	a = take(long_handle, sizeof(long_handle));
	assert_int_equal(sftp_take_handle(&a, &handle), -EPROTO);
}

static void knows_why(void **state)
{
	(void)state;
	assert_int_equal(sftp_status_errno(SFTP_STATUS_OK, false), 0);
	assert_int_equal(sftp_status_errno(3, false), -EACCES);
	assert_int_equal(sftp_status_errno(4, false), -EIO);
	assert_int_equal(sftp_status_errno(4, true), -ENOTEMPTY);
	assert_int_equal(sftp_status_errno(SFTP_STATUS_EOF, false), -EIO);
}

static void ways_without_links_are_told(void **state)
{
	static const char path[] = "/s/j/./a/f";

	(void)state;
	assert_int_equal(sftp_base_len(path), 4);
	assert_int_equal(sftp_base_len("/s/j/a"), 0);
	assert_true(sftp_is_there(path, 10, "/s/j/a/f", NULL));
	assert_true(sftp_is_there(path, 8, "/s/j/a", NULL));
	assert_true(sftp_is_there(path, 4, "/s/j", NULL));
	assert_true(sftp_is_there("/s/j/./", 7, "/s/j", NULL));
	assert_true(sftp_is_there(path, 10, "/lustre/j/a/f", "/lustre/j"));
	assert_false(sftp_is_there(path, 10, "/lustre/j/a/f", NULL));
	assert_false(sftp_is_there(path, 10, "/s/j/a/g", NULL));
	assert_false(sftp_is_there(path, 10, "/s/j/a/ff", NULL));
	assert_false(sftp_is_there(path, 10, "/s/ja/f", NULL));
	assert_false(sftp_is_there(path, 10, "/s/j", NULL));
	assert_false(sftp_is_there(path, 4, "/s/j/x", NULL));
	assert_false(sftp_is_there(path, 10, "/etc/passwd", "/lustre/j"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ways_without_links_are_told),
		cmocka_unit_test(makes_requests),
		cmocka_unit_test(tells_a_message_s_size),
		cmocka_unit_test(takes_answers_apart),
		cmocka_unit_test(takes_names),
		cmocka_unit_test(refuses_what_says_it_is_longer_than_it_is),
		cmocka_unit_test(knows_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
