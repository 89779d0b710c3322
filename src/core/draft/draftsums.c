/* The SHA256SUMS among a draft's files. */
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "draftcheck.h"
#include "err.h"

#define SUMS_MAX (8u << 20)

static int hash_file(int folder, const char *path, char hex[65])
{
	AUTO_FREE char *buffer = xmalloc(1 << 20);
	unsigned char digest[EVP_MAX_MD_SIZE] = {0};
	unsigned int len = 0;
	ssize_t n = -1;
	int fd AUTO_CLOSE = draftcheck_open(folder, path);

	if (fd < 0)
		return fd;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	if (context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1)
		while ((n = read(fd, buffer, 1 << 20)) > 0)
			EVP_DigestUpdate(context, buffer, (size_t)n);
	if (n == 0)
		EVP_DigestFinal_ex(context, digest, &len);
	EVP_MD_CTX_free(context);
	for (unsigned i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	return n < 0 ? -EIO : 0;
}

int draftcheck_sums(int folder, struct strbuf *why)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	char *rest = NULL, hex[65];
	int result = 0;

	int r = draftcheck_read(folder, "SHA256SUMS", SUMS_MAX, &text);
	if (r < 0) {
		strbuf_addf(why, "SHA256SUMS: %s\n", strerror(-r));
		return -EPERM;
	}
	for (char *line = strtok_r(text.data, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
		const char *what = NULL;
		AUTO_FREE char *path = NULL;

		if (strspn(line, "0123456789abcdefABCDEF") != 64 || !strchr(" \t", line[64]) || !line[64])
			what = "is no line of sha256sum's";
		else if (!(path = jobspec_clean_path(line + 65 + (line[65] == '*' || line[65] == ' '))))
			what = "is outside this draft";
		else if ((r = hash_file(folder, path, hex)) < 0)
			what = strerror(-r);
		else if (strncasecmp(hex, line, 64) != 0)
			what = "has another SHA-256 than SHA256SUMS says; copy it again";
		if (!what)
			continue;
		result = -EPERM;
		strbuf_adds(why, "SHA256SUMS: ");
		strbuf_add_escaped(why, path ? path : line, strlen(path ? path : line));
		strbuf_addf(why, ": %s\n", what);
	}
	return result;
}
