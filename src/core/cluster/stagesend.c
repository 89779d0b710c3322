#include "stagesend.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "err.h"
#include "fault.h"
#include "tar.h"

#define CHUNK (256u << 10)

void stage_sender_init(struct stage_sender *s, struct command *command)
{
	*s = (struct stage_sender){.command = command, .pending = STRBUF_INIT, .sums = STRBUF_INIT,
		.hash = EVP_MD_CTX_new(), .buffer = xmalloc(CHUNK)};
}

void stage_sender_release(struct stage_sender *s)
{
	EVP_MD_CTX_free(s->hash);
	free(s->buffer);
	strbuf_release(&s->pending);
	strbuf_release(&s->sums);
}

int stage_send_flush(struct stage_sender *s)
{
	FAULT_POINT("sending");
	int r = remote_write(s->command->proc, s->pending.data, s->pending.len,
		clock_in(s->command->cluster->clock, STAGE_SILENCE_MS));

	strbuf_reset(&s->pending);
	return r;
}

static int put(struct stage_sender *s, const void *bytes, size_t len)
{
	strbuf_add(&s->pending, bytes, len);
	return s->pending.len >= CHUNK ? stage_send_flush(s) : 0;
}

static int put_padding(struct stage_sender *s, uint64_t size)
{
	static const char zeros[TAR_BLOCK];

	return put(s, zeros, tar_padding(size));
}

/* A line of sha256sum's own format: it escapes newlines and backslashes, and says so in front. */
static void add_sum(struct stage_sender *s, const char *path, unsigned char digest[FILESUM_SIZE])
{
	EVP_DigestFinal_ex(s->hash, digest, NULL);
	if (strpbrk(path, "\\\n\r"))
		strbuf_addc(&s->sums, '\\');
	filesum_add_hex(&s->sums, digest);
	strbuf_adds(&s->sums, "  ");
	for (const char *c = path; *c; c++) {
		const char *escape = *c == '\\' ? "\\\\" : *c == '\n' ? "\\n" :
			*c == '\r' ? "\\r" : NULL;

		if (escape)
			strbuf_adds(&s->sums, escape);
		else
			strbuf_addc(&s->sums, *c);
	}
	strbuf_addc(&s->sums, '\n');
}

static int send_bytes(struct stage_sender *s, const char *name, mode_t mode, const char *bytes,
	size_t len)
{
	unsigned char digest[FILESUM_SIZE];

	tar_header(&s->pending, name, S_IFREG | mode, len, NULL);
	EVP_DigestInit_ex(s->hash, EVP_sha256(), NULL);
	EVP_DigestUpdate(s->hash, bytes, len);
	add_sum(s, name, digest);
	int r = put(s, bytes, len);
	return r < 0 ? r : put_padding(s, len);
}

static int read_content(struct stage_sender *s, int fd, uint64_t size, const char *name,
	unsigned char digest[FILESUM_SIZE], struct strbuf *why)
{
	EVP_DigestInit_ex(s->hash, EVP_sha256(), NULL);
	for (uint64_t left = size; left;) {
		ssize_t n = read(fd, s->buffer, left < CHUNK ? left : CHUNK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			strbuf_addf(why, "%s became shorter while it was read from the spool", name);
			return n < 0 ? -errno : -EIO;
		}
		EVP_DigestUpdate(s->hash, s->buffer, (size_t)n);
		int r = put(s, s->buffer, (size_t)n);
		if (r < 0)
			return r;
		left -= (uint64_t)n;
	}
	add_sum(s, name, digest);
	return put_padding(s, size);
}

int stage_send_content(struct stage_sender *s, const struct stage_entry *entry, const char *name,
	mode_t mode, struct strbuf *why)
{
	if (!entry->local)
		return send_bytes(s, name, mode, entry->bytes, entry->size);
	int fd AUTO_CLOSE = stage_entry_open(entry);
	if (fd < 0) {
		strbuf_addf(why, "%s: %s", entry->path, strerror(-fd));
		return fd;
	}
	unsigned char digest[FILESUM_SIZE];

	tar_header(&s->pending, name, S_IFREG | mode, entry->size, NULL);
	int r = read_content(s, fd, entry->size, name, digest, why);
	/* The keep has it by the name that an earlier reading gave: it must not get other bytes. */
	if (r == 0 && entry->sum && entry->sum->count == 1 &&
		memcmp(digest, entry->sum->pieces[0], FILESUM_SIZE) != 0) {
		entry->sum->wrong = true;
		strbuf_addf(why, "%s changed while it was read from the spool", entry->path);
		return -EAGAIN;
	}
	return r;
}

int stage_send_folder(struct stage_sender *s, const char *name, mode_t mode)
{
	tar_header(&s->pending, name, S_IFDIR | mode, 0, NULL);
	return put(s, "", 0);
}

int stage_send_entry(struct stage_sender *s, const struct stage_entry *entry, const char *prefix,
	struct strbuf *why)
{
	AUTO_FREE char *name = xasprintf("%s%s", prefix, entry->path);

	if (S_ISREG(entry->mode))
		return stage_send_content(s, entry, name, entry->mode, why);
	tar_header(&s->pending, name, entry->mode, 0, entry->link);
	return put(s, "", 0);
}

int stage_send_end(struct stage_sender *s)
{
	/* The list cannot check itself: the SSH line and tar's own framing have to do. */
	tar_header(&s->pending, "SHA256SUMS", S_IFREG | 0644, s->sums.len, NULL);
	int r = put(s, s->sums.data, s->sums.len);
	if (r == 0)
		r = put_padding(s, s->sums.len);
	if (r < 0)
		return r;
	tar_end(&s->pending);
	return stage_send_flush(s);
}
