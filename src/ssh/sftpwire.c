#include "sftpwire.h"

#include <errno.h>
#include <string.h>

#define VERSION 3
#define OPEN_FOR_READING 1

#define ATTR_SIZE 0x00000001u
#define ATTR_OWNER 0x00000002u
#define ATTR_MODE 0x00000004u
#define ATTR_TIMES 0x00000008u
#define ATTR_EXTENDED 0x80000000u

/* ---- requests ---- */

static void add_u32(struct strbuf *out, uint32_t value)
{
	const char bytes[4] = {(char)(value >> 24), (char)(value >> 16), (char)(value >> 8),
		(char)value};

	strbuf_add(out, bytes, sizeof(bytes));
}

static void add_string(struct strbuf *out, const char *bytes, size_t len)
{
	add_u32(out, (uint32_t)len);
	strbuf_add(out, bytes, len);
}

/* `len`: of what follows the request's number. */
static void begin(struct strbuf *out, enum sftp_type type, uint32_t id, size_t len)
{
	add_u32(out, (uint32_t)len + 5);
	strbuf_addc(out, (char)type);
	add_u32(out, id);
}

void sftp_ask_init(struct strbuf *out)
{
	/* In place of a number the version, alone. */
	begin(out, SFTP_INIT, VERSION, 0);
}

void sftp_ask_path(struct strbuf *out, enum sftp_type type, uint32_t id, const char *path)
{
	size_t len = strlen(path);

	begin(out, type, id, 4 + len + (type == SFTP_OPEN ? 8 : 0));
	add_string(out, path, len);
	if (type == SFTP_OPEN) {
		add_u32(out, OPEN_FOR_READING);
		add_u32(out, 0); /* no attributes */
	}
}

void sftp_ask_handle(struct strbuf *out, enum sftp_type type, uint32_t id,
	const struct sftp_handle *handle)
{
	begin(out, type, id, 4 + handle->len);
	add_string(out, handle->bytes, handle->len);
}

void sftp_ask_read(struct strbuf *out, uint32_t id, const struct sftp_handle *handle,
	uint64_t offset, uint32_t len)
{
	begin(out, SFTP_READ, id, 4 + handle->len + 12);
	add_string(out, handle->bytes, handle->len);
	add_u32(out, (uint32_t)(offset >> 32));
	add_u32(out, (uint32_t)offset);
	add_u32(out, len);
}

/* ---- answers: each take leaves `bytes` behind what it took ---- */

static uint32_t u32_at(const char *at)
{
	const unsigned char *b = (const unsigned char *)at;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static int take_u32(struct sftp_answer *a, uint32_t *ret)
{
	if (a->len < 4)
		return -EPROTO;
	*ret = u32_at(a->bytes);
	a->bytes += 4;
	a->len -= 4;
	return 0;
}

static int take_string(struct sftp_answer *a, const char **bytes, size_t *len)
{
	uint32_t n;

	if (take_u32(a, &n) < 0 || n > a->len)
		return -EPROTO;
	*bytes = a->bytes;
	*len = n;
	a->bytes += n;
	a->len -= n;
	return 0;
}

ssize_t sftp_message_size(const char *bytes, size_t len)
{
	if (len < 4)
		return 0;
	uint32_t n = u32_at(bytes);
	return n < 5 || n > SFTP_ANSWER_MAX ? -EPROTO : (ssize_t)n + 4;
}

int sftp_take_answer(const char *message, size_t size, struct sftp_answer *ret)
{
	const char *bytes;
	size_t len;
	int r = 0;

	if (size < 9)
		return -EPROTO;
	*ret = (struct sftp_answer){.type = (unsigned char)message[4], .bytes = message + 5,
		.len = size - 5};
	take_u32(ret, ret->type == SFTP_VERSION ? &ret->number : &ret->id);
	switch (ret->type) {
	case SFTP_STATUS:
	case SFTP_NAME:
		r = take_u32(ret, &ret->number);
		break;
	case SFTP_HANDLE:
	case SFTP_DATA:
		r = take_string(ret, &bytes, &len);
		if (r == 0) {
			ret->bytes = bytes;
			ret->len = len;
		}
		break;
	case SFTP_VERSION:
	case SFTP_ATTRS:
		break;
	default:
		r = -EPROTO;
	}
	return r;
}

/* Pairs of a name and a value that extensions add. */
static int skip_extended(struct sftp_answer *a)
{
	const char *bytes;
	uint32_t pairs;
	size_t len;
	int r = take_u32(a, &pairs);

	for (uint32_t i = 0; r == 0 && i < pairs; i++) {
		r = take_string(a, &bytes, &len);
		if (r == 0)
			r = take_string(a, &bytes, &len);
	}
	return r;
}

int sftp_take_attr(struct sftp_answer *a, struct remote_attr *ret)
{
	uint32_t flags, high = 0, low = 0, owner, mode = 0, accessed, modified = 0;
	int r = take_u32(a, &flags);

	if (r == 0 && flags & ATTR_SIZE && (r = take_u32(a, &high)) == 0)
		r = take_u32(a, &low);
	if (r == 0 && flags & ATTR_OWNER && (r = take_u32(a, &owner)) == 0)
		r = take_u32(a, &owner);
	if (r == 0 && flags & ATTR_MODE)
		r = take_u32(a, &mode);
	if (r == 0 && flags & ATTR_TIMES && (r = take_u32(a, &accessed)) == 0)
		r = take_u32(a, &modified);
	if (r == 0 && flags & ATTR_EXTENDED)
		r = skip_extended(a);
	*ret = (struct remote_attr){.mode = (mode_t)mode, .size = (uint64_t)high << 32 | low,
		.mtime_ns = (int64_t)modified * 1000000000};
	return r;
}

int sftp_take_name(struct sftp_answer *a, const char **name, size_t *len, struct remote_attr *ret)
{
	const char *long_name;
	size_t long_len;
	int r = take_string(a, name, len);

	/* As `ls -l` would print it: of no use. */
	if (r == 0)
		r = take_string(a, &long_name, &long_len);
	return r < 0 ? r : sftp_take_attr(a, ret);
}

size_t sftp_base_len(const char *path)
{
	const char *mark = strstr(path, "/./");

	return mark ? (size_t)(mark - path) : 0;
}

bool sftp_is_there(const char *path, size_t len, const char *real, const char *base)
{
	size_t base_len = sftp_base_len(path), real_base = base ? strlen(base) : base_len;
	size_t rest = len > base_len + 3 ? len - base_len - 3 : 0;

	if (strncmp(real, base ? base : path, real_base))
		return false;
	real += real_base;
	if (!rest)
		return !*real;
	return *real == '/' && strlen(real + 1) == rest && !memcmp(real + 1, path + base_len + 3, rest);
}

int sftp_take_handle(const struct sftp_answer *a, struct sftp_handle *ret)
{
	if (a->type != SFTP_HANDLE || a->len > SFTP_HANDLE_MAX)
		return -EPROTO;
	ret->len = a->len;
	memcpy(ret->bytes, a->bytes, a->len);
	return 0;
}

int sftp_status_errno(uint32_t code, bool removing_dir)
{
	switch (code) {
	case SFTP_STATUS_OK:
		return 0;
	case 2: /* no such file */
		return -ENOENT;
	case 3: /* permission denied */
		return -EACCES;
	case 4: /* failure, whatever it was */
		return removing_dir ? -ENOTEMPTY : -EIO;
	case 8: /* unsupported */
		return -EOPNOTSUPP;
	/* Of later versions, which some servers use nevertheless. */
	case 10:
		return -ENOENT;
	case 12:
		return -EROFS;
	case 18:
		return -ENOTEMPTY;
	case 19:
		return -ENOTDIR;
	default:
		return -EIO;
	}
}
