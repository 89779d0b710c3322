#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "err.h"
#include "shell.h"
#include "stageinput.h"
#include "tar.h"

#define SILENCE_MS 60000
/* Checking may take 3 s a GiB on a busy login node; that is silence, too. */
#define CHECK_MS 1800000
#define CHUNK (256u << 10)

/* What the far side does, after its variables. */
static const char stage_script[] =
	"umask 022\n"
	"[ -e \"$workdir/.slurmount/staged\" ] && exit 0\n"
	"rm -rf -- \"$part\" && mkdir -p -- \"$part\" \"$records\" || exit 73\n"
	"nice tar -xmpf - --no-same-owner -C \"$part\" || exit 74\n"
	"cd -- \"$part\" || exit 74\n"
	"nice sha256sum --quiet --strict -c .slurmount/SHA256SUMS >&2 || exit 75\n";

/* And once the inputs that are on the cluster are in place. */
static const char final_script[] =
	"chmod 755 . .slurmount && : > .slurmount/staged || exit 76\n"
	"mv -T -- \"$part\" \"$workdir\" || exit 76\n";

struct sender {
	const struct cluster *cluster;
	struct command command;
	struct strbuf pending; /* headers and small content, sent together */
	struct strbuf sums;    /* what sha256sum reads over there */
	struct strbuf *why;
	EVP_MD_CTX *hash;
	char *buffer;
};

static int flush_pending(struct sender *s)
{
	int r = remote_write(s->command.proc, s->pending.data, s->pending.len,
		clock_in(s->cluster->clock, SILENCE_MS));

	strbuf_reset(&s->pending);
	return r;
}

static int put(struct sender *s, const void *bytes, size_t len)
{
	strbuf_add(&s->pending, bytes, len);
	return s->pending.len >= CHUNK ? flush_pending(s) : 0;
}

static int put_padding(struct sender *s, uint64_t size)
{
	static const char zeros[TAR_BLOCK];

	return put(s, zeros, tar_padding(size));
}

/* A line of sha256sum's own format: it escapes newlines and backslashes, and says so in front. */
static void add_sum(struct sender *s, const char *path)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	EVP_DigestFinal_ex(s->hash, digest, &len);
	if (strpbrk(path, "\\\n\r"))
		strbuf_addc(&s->sums, '\\');
	for (unsigned i = 0; i < len; i++)
		strbuf_addf(&s->sums, "%02x", digest[i]);
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

/* The mode that the user asked for; the spool's own files stay readable to us (see spool.h). */
static mode_t asked_mode(int fd, mode_t real)
{
	char text[16] = "";

	ssize_t n = fgetxattr(fd, "user.slurmount.mode", text, sizeof(text) - 1);
	if (n <= 0)
		return real;
	mode_t asked = (mode_t)strtoul(text, NULL, 8) & 07777;
	/* The owner must be able to read and check it over there. */
	return (real & S_IFMT) | asked | (S_ISDIR(real) ? 0700 : 0400);
}

static int send_content(struct sender *s, int fd, uint64_t size, const char *path)
{
	EVP_DigestInit_ex(s->hash, EVP_sha256(), NULL);
	for (uint64_t left = size; left;) {
		ssize_t n = read(fd, s->buffer, left < CHUNK ? left : CHUNK);

		if (n <= 0) {
			strbuf_addf(s->why, "%s became shorter while it was read from the spool",
				path);
			return n < 0 ? -errno : -EIO;
		}
		EVP_DigestUpdate(s->hash, s->buffer, (size_t)n);
		int r = put(s, s->buffer, (size_t)n);
		if (r < 0)
			return r;
		left -= (uint64_t)n;
	}
	add_sum(s, path);
	return put_padding(s, size);
}

static int send_file(struct sender *s, int parent, const char *name, const char *path)
{
	struct stat st;
	int fd AUTO_CLOSE = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	tar_header(&s->pending, path, asked_mode(fd, st.st_mode), (uint64_t)st.st_size, NULL);
	return send_content(s, fd, (uint64_t)st.st_size, path);
}

static int send_link(struct sender *s, int parent, const char *name, const char *path)
{
	char target[4096];
	ssize_t n = readlinkat(parent, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	tar_header(&s->pending, path, S_IFLNK | 0777, 0, target);
	return put(s, "", 0);
}

static int send_folder(struct sender *s, int fd, const char *prefix, int depth);

static int send_entry(struct sender *s, int parent, const char *name, const char *prefix, int depth)
{
	AUTO_FREE char *path = xasprintf("%s%s", prefix, name);
	struct stat st;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISREG(st.st_mode))
		return send_file(s, parent, name, path);
	if (S_ISLNK(st.st_mode))
		return send_link(s, parent, name, path);
	if (!S_ISDIR(st.st_mode))
		return 0;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	AUTO_FREE char *below = xasprintf("%s/", path);
	tar_header(&s->pending, below, asked_mode(fd, st.st_mode), 0, NULL);
	return send_folder(s, fd, below, depth + 1);
}

/* Owns `fd`. */
static int send_folder(struct sender *s, int fd, const char *prefix, int depth)
{
	struct dirent *entry;
	DIR *dir AUTO_CLOSEDIR = depth > 200 ? NULL : fdopendir(fd);

	if (!dir) {
		close(fd);
		return depth > 200 ? -ELOOP : -errno;
	}
	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		int r = send_entry(s, dirfd(dir), entry->d_name, prefix, depth);
		if (r < 0)
			return r;
	}
	return 0;
}

static int send_bytes(struct sender *s, const char *path, mode_t mode, const char *bytes, size_t len)
{
	tar_header(&s->pending, path, S_IFREG | mode, len, NULL);
	EVP_DigestInit_ex(s->hash, EVP_sha256(), NULL);
	EVP_DigestUpdate(s->hash, bytes, len);
	add_sum(s, path);
	int r = put(s, bytes, len);
	return r < 0 ? r : put_padding(s, len);
}

static int send_extra(struct sender *s, const struct stage_file *file)
{
	struct stat st;

	if (file->bytes)
		return send_bytes(s, file->name, file->mode, file->bytes, file->len);
	int fd AUTO_CLOSE = open(file->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		strbuf_addf(s->why, "%s: %s", file->path, strerror(errno));
		return -errno;
	}
	tar_header(&s->pending, file->name, S_IFREG | file->mode, (uint64_t)st.st_size, NULL);
	return send_content(s, fd, (uint64_t)st.st_size, file->name);
}

static int send_all(struct sender *s, const struct stage_request *request)
{
	int fd = open(request->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	int r = send_folder(s, fd, "", 0);
	for (size_t i = 0; r == 0 && i < request->file_count; i++)
		r = send_extra(s, &request->files[i]);
	if (r < 0)
		return r;
	for (size_t i = 0; request->folders && request->folders[i]; i++) {
		AUTO_FREE char *path = xasprintf("%s/", request->folders[i]);
		tar_header(&s->pending, path, S_IFDIR | 0755, 0, NULL);
	}
	tar_header(&s->pending, ".slurmount/", S_IFDIR | 0755, 0, NULL);
	r = send_bytes(s, ".slurmount/script.sbatch", 0644, request->script, request->script_len);
	if (r == 0 && request->record)
		r = send_bytes(s, ".slurmount/record", 0644, request->record,
			strlen(request->record));
	if (r == 0 && request->config)
		r = send_bytes(s, ".slurmount/config.ini", 0644, request->config,
			request->config_len);
	if (r < 0)
		return r;
	/* The list cannot check itself: the SSH line and tar's own framing have to do. */
	tar_header(&s->pending, ".slurmount/SHA256SUMS", S_IFREG | 0644, s->sums.len, NULL);
	r = put(s, s->sums.data, s->sums.len);
	if (r == 0)
		r = put_padding(s, s->sums.len);
	if (r < 0)
		return r;
	tar_end(&s->pending);
	return flush_pending(s);
}

static int start(struct sender *s, const struct stage_request *request)
{
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;
	const struct {
		const char *name, *value, *tail;
	} variables[] = {
		{"workdir=", request->workdir, ""},
		{"records=", request->records, ""},
		{"part=", request->scratch, "/.slurmount/staging/"},
	};

	for (size_t i = 0; i < 3; i++) {
		strbuf_adds(&script, variables[i].name);
		shell_quote(&script, variables[i].value);
		strbuf_adds(&script, variables[i].tail);
		strbuf_addf(&script, "%s\n", i == 2 ? request->uuid : "");
	}
	strbuf_adds(&script, stage_script);
	stageinput_add(&script, request->inputs, request->input_count);
	strbuf_adds(&script, final_script);
	return command_start(&s->command, s->cluster, script.data,
		clock_in(s->cluster->clock, SILENCE_MS));
}

/* Which errno the cluster's words mean; what they are is shown in any case. */
static int refusal(const char *words)
{
	static const struct {
		const char *text;
		int error;
	} known[] = {
		{"No space left", -ENOSPC},
		{"quota exceeded", -EDQUOT},
		{"Quota exceeded", -EDQUOT},
		{"Permission denied", -EACCES},
		{"Read-only file system", -EROFS},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strstr(words, known[i].text))
			return known[i].error;
	return -EIO;
}

static int finish(struct sender *s, struct strbuf *why)
{
	struct command_result result AUTO_RESULT = COMMAND_RESULT_INIT;

	int r = command_finish(&s->command, CHECK_MS, &result);
	if (r < 0)
		return r;
	strbuf_rtrim(&result.out);
	strbuf_rtrim(&result.err);
	if (result.status == 0) {
		strbuf_add_escaped(why, result.out.data, result.out.len);
		return 0;
	}
	strbuf_add_escaped(why, result.err.data, result.err.len);
	if (result.status == STAGEINPUT_EXIT)
		return -ENODATA;
	return refusal(result.err.data);
}

int stage_run(const struct cluster *cluster, const struct stage_request *request,
	struct strbuf *why)
{
	struct sender s = {.cluster = cluster, .why = why, .pending = STRBUF_INIT,
		.sums = STRBUF_INIT};

	int r = start(&s, request);
	if (r < 0)
		return r;
	s.hash = EVP_MD_CTX_new();
	s.buffer = xmalloc(CHUNK);
	r = send_all(&s, request);
	/* A far side that stopped reading has something to say. */
	if (r == 0 || r == -EPIPE)
		r = finish(&s, why);
	else
		remote_release(s.command.proc);
	EVP_MD_CTX_free(s.hash);
	free(s.buffer);
	strbuf_release(&s.pending);
	strbuf_release(&s.sums);
	return r;
}
