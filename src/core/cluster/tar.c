#include "tar.h"

#include <string.h>
#include <sys/stat.h>

struct ustar {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char link[100];
	char magic[6];
	char version[2];
	char owner[32];
	char group[32];
	char major[8];
	char minor[8];
	char prefix[155];
	char filler[12];
};
_Static_assert(sizeof(struct ustar) == TAR_BLOCK, "a header is one block");

#define MAX_OCTAL_SIZE ((UINT64_C(1) << 33) - 1)

static void put_octal(char *field, size_t width, uint64_t value)
{
	for (size_t i = width - 1; i-- > 0; value >>= 3)
		field[i] = (char)('0' + (value & 7));
	field[width - 1] = '\0';
}

static void put_text(char *field, size_t width, const char *text)
{
	size_t len = strlen(text);

	memcpy(field, text, len < width ? len : width);
}

static void put_block(struct strbuf *out, const char *path, char type, mode_t mode, uint64_t size,
	const char *link)
{
	struct ustar h = {.type = type, .magic = "ustar", .version = {'0', '0'}};
	unsigned sum = 0;

	put_text(h.name, sizeof(h.name), path);
	put_text(h.link, sizeof(h.link), link);
	put_octal(h.mode, sizeof(h.mode), mode & 07777);
	put_octal(h.uid, sizeof(h.uid), 0);
	put_octal(h.gid, sizeof(h.gid), 0);
	put_octal(h.size, sizeof(h.size), size > MAX_OCTAL_SIZE ? 0 : size);
	put_octal(h.mtime, sizeof(h.mtime), 0);
	memset(h.checksum, ' ', sizeof(h.checksum));
	for (size_t i = 0; i < sizeof(h); i++)
		sum += ((unsigned char *)&h)[i];
	put_octal(h.checksum, 7, sum);
	strbuf_add(out, &h, sizeof(h));
}

/* One pax record; its leading number counts its own digits too. */
static void put_record(struct strbuf *out, const char *key, const char *value)
{
	size_t rest = strlen(key) + strlen(value) + 3;
	size_t total = rest, digits;
	char number[24];

	do {
		digits = (size_t)snprintf(number, sizeof(number), "%zu", total);
		if (total == rest + digits)
			break;
		total = rest + digits;
	} while (1);
	strbuf_addf(out, "%zu %s=%s\n", total, key, value);
}

void tar_header(struct strbuf *out, const char *path, mode_t mode, uint64_t size, const char *link)
{
	struct strbuf records AUTO_STRBUF = STRBUF_INIT;
	char type = S_ISDIR(mode) ? '5' : S_ISLNK(mode) ? '2' : '0';
	char number[24];

	if (!S_ISREG(mode))
		size = 0;
	if (!S_ISLNK(mode))
		link = "";
	if (strlen(path) > sizeof(((struct ustar *)0)->name))
		put_record(&records, "path", path);
	if (strlen(link) > sizeof(((struct ustar *)0)->link))
		put_record(&records, "linkpath", link);
	if (size > MAX_OCTAL_SIZE) {
		snprintf(number, sizeof(number), "%llu", (unsigned long long)size);
		put_record(&records, "size", number);
	}
	if (records.len) {
		put_block(out, "././@PaxHeader", 'x', 0644, records.len, "");
		strbuf_add(out, records.data, records.len);
		for (size_t n = tar_padding(records.len); n; n--)
			strbuf_addc(out, '\0');
	}
	put_block(out, path, type, mode, size, link);
}

size_t tar_padding(uint64_t size)
{
	return (size_t)((TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK);
}

void tar_end(struct strbuf *out)
{
	static const char zeros[2 * TAR_BLOCK];

	strbuf_add(out, zeros, sizeof(zeros));
}
