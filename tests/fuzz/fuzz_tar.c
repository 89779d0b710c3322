/* Headers of the tar stream, read again by the standard: one member comes out as it went in, whatever
 * its name, size and link are.  The input: kind, size in 8 bytes, name, NUL, link's text. */
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "fuzz.h"
#include "strbuf.h"
#include "tar.h"

struct member {
	char *path, *link;
	uint64_t size;
	char type;
};

static uint64_t octal(const unsigned char *field, size_t width)
{
	uint64_t value = 0;

	for (size_t i = 0; i + 1 < width; i++) {
		MUST(field[i] >= '0' && field[i] <= '7');
		value = value * 8 + (uint64_t)(field[i] - '0');
	}
	return value;
}

static char *text_of(const unsigned char *field, size_t width)
{
	return strndup((const char *)field, width);
}

static void replace(char **field, const char *value, size_t len)
{
	free(*field);
	*field = strndup(value, len);
}

static void read_pax(const char *at, const char *end, struct member *m, uint64_t *size)
{
	while (at < end) {
		char *rest;
		size_t len = strtoul(at, &rest, 10);
		const char *equals = memchr(rest, '=', (size_t)(end - rest));

		MUST(*rest == ' ' && equals && len <= (size_t)(end - at) && at[len - 1] == '\n');
		const char *value = equals + 1;
		size_t value_len = (size_t)(at + len - 1 - value);
		if (!strncmp(rest, " path=", 6))
			replace(&m->path, value, value_len);
		else if (!strncmp(rest, " linkpath=", 10))
			replace(&m->link, value, value_len);
		else if (!strncmp(rest, " size=", 6))
			*size = strtoull(value, NULL, 10);
		else
			MUST(!"a record that nobody asked for");
		at += len;
	}
}

static void check_sum(const unsigned char *block)
{
	unsigned sum = 0;

	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += i >= 148 && i < 156 ? ' ' : block[i];
	MUST(octal(block + 148, 7) == sum);
}

static void read_member(const struct strbuf *b, struct member *m)
{
	const unsigned char *block = (const unsigned char *)b->data;
	uint64_t pax_size = UINT64_MAX;

	MUST(b->len % TAR_BLOCK == 0);
	*m = (struct member){0};
	if (block[156] == 'x') {
		uint64_t len = octal(block + 124, 12);

		check_sum(block);
		MUST(TAR_BLOCK + len + tar_padding(len) + TAR_BLOCK == b->len);
		read_pax(b->data + TAR_BLOCK, b->data + TAR_BLOCK + len, m, &pax_size);
		block += TAR_BLOCK + len + tar_padding(len);
	}
	MUST((const char *)block + TAR_BLOCK == b->data + b->len);
	check_sum(block);
	m->type = (char)block[156];
	m->size = pax_size == UINT64_MAX ? octal(block + 124, 12) : pax_size;
	m->path = m->path ? m->path : text_of(block, 100);
	m->link = m->link ? m->link : text_of(block + 157, 100);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const mode_t modes[] = {S_IFREG | 0644, S_IFDIR | 0755, S_IFLNK | 0777};
	struct strbuf b AUTO_STRBUF = STRBUF_INIT;
	struct member m;
	uint64_t bytes;

	if (size < 10)
		return 0;
	memcpy(&bytes, data + 1, 8);
	/* A size is an off_t. */
	bytes >>= 1 + data[0] / 4 % 63;
	AUTO_FREE char *path = strndup((const char *)data + 9, size - 9);
	size_t used = 9 + strlen(path) + 1;
	AUTO_FREE char *link = strndup(used < size ? (const char *)data + used : "",
		used < size ? size - used : 0);
	mode_t mode = modes[data[0] % 3];
	tar_header(&b, path, mode, bytes, link);
	read_member(&b, &m);
	MUST(!strcmp(m.path, path));
	MUST(m.size == (S_ISREG(mode) ? bytes : 0));
	MUST(!strcmp(m.link, S_ISLNK(mode) ? link : ""));
	MUST(m.type == (S_ISREG(mode) ? '0' : S_ISDIR(mode) ? '5' : '2'));
	free(m.path);
	free(m.link);
	return 0;
}
