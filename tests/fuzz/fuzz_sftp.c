/* What an SFTP server answers: messages one behind the other; those of paths and names are taken apart
 * to their ends, and what a path really is is compared. */
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "fuzz.h"
#include "linkpath.h"
#include "sftpwire.h"

static void must_lie_within(const char *bytes, size_t len, const char *from, const char *to)
{
	if (len)
		MUST(bytes >= from && bytes + len <= to);
}

/* No target of a link leads out, whatever it is: it goes up no further than its place is deep. */
static void check_link(const char *target)
{
	struct strbuf shown AUTO_STRBUF = STRBUF_INIT;
	int depth = 2;

	linkpath_show("/s/j", "a/b/l", target, &shown);
	MUST(*shown.data != '/' || !*target);
	bool down = false;
	for (const char *at = shown.data; *at; at += strspn(at, "/")) {
		size_t len = strcspn(at, "/");

		if (len == 2 && !memcmp(at, "..", 2)) {
			MUST(!down && --depth >= 0);
		} else if (!(len == 1 && *at == '.')) {
			down = true;
		}
		at += len;
	}
}

static void take_names(struct sftp_answer *answer, const char *from, const char *to)
{
	struct remote_attr attr;
	const char *name;
	size_t len;

	for (uint32_t i = 0; i < answer->number && i < 100; i++) {
		if (sftp_take_name(answer, &name, &len, &attr) < 0)
			return;
		must_lie_within(name, len, from, to);
		AUTO_FREE char *text = strndup(name, len);
		sftp_is_there("/s/j/./a/b", 10, text, NULL);
		sftp_is_there("/s/j/./a/b", 8, text, "/x");
		sftp_is_there(text, strlen(text), "/s/j/a", NULL);
		check_link(text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size + !size);
	const char *at = copy, *end = copy + size;
	ssize_t len;

	memcpy(copy, data, size);
	while ((len = sftp_message_size(at, (size_t)(end - at))) > 0 && len <= end - at) {
		struct sftp_answer answer;
		struct sftp_handle handle;
		struct remote_attr attr;

		if (sftp_take_answer(at, (size_t)len, &answer) == 0) {
			must_lie_within(answer.bytes, answer.len, at, at + len);
			if (sftp_take_handle(&answer, &handle) == 0)
				MUST(handle.len <= SFTP_HANDLE_MAX);
			if (answer.type == SFTP_ATTRS)
				sftp_take_attr(&answer, &attr);
			if (answer.type == SFTP_STATUS)
				MUST(sftp_status_errno(answer.number, true) <= 0);
			if (answer.type == SFTP_NAME)
				take_names(&answer, at, at + len);
		}
		at += len;
	}
	free(copy);
	return 0;
}
