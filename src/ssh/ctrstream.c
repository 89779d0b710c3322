#include "ctrstream.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

/* Short enough for the fastest cache with the packet beside it. */
#define AHEAD 8192
#define BLOCK 16

/* Behind a context of counter mode, as its application data. */
struct ctrstream {
	const EVP_CIPHER_CTX *owner; /* application data may be copied along with a context */
	size_t at;                   /* of `key` up to here is used */
	unsigned char key[AHEAD];
};

static const unsigned char zeros[AHEAD];

static struct {
	int (*init)(EVP_CIPHER_CTX *, const EVP_CIPHER *, const unsigned char *, const unsigned char *, int);
	int (*cipher)(EVP_CIPHER_CTX *, unsigned char *, const unsigned char *, unsigned int);
	void (*free)(EVP_CIPHER_CTX *);
} libcrypto;

static pthread_once_t found = PTHREAD_ONCE_INIT;

/* As dlsym()'s manual has it: ISO C does not convert object pointers to functions. */
static void find_libcrypto(void)
{
	*(void **)&libcrypto.init = dlsym(RTLD_NEXT, "EVP_CipherInit");
	*(void **)&libcrypto.cipher = dlsym(RTLD_NEXT, "EVP_Cipher");
	*(void **)&libcrypto.free = dlsym(RTLD_NEXT, "EVP_CIPHER_CTX_free");
	if (!libcrypto.init || !libcrypto.cipher || !libcrypto.free)
		abort();
}

void ctrstream_ready(void)
{
	pthread_once(&found, find_libcrypto);
}

static struct ctrstream *stream_of(const EVP_CIPHER_CTX *context)
{
	struct ctrstream *stream = context ? EVP_CIPHER_CTX_get_app_data(context) : NULL;

	return stream && stream->owner == context ? stream : NULL;
}

bool ctrstream_is_ahead(const EVP_CIPHER_CTX *context)
{
	return stream_of(context) != NULL;
}

static void drop_stream(EVP_CIPHER_CTX *context)
{
	struct ctrstream *stream = stream_of(context);

	if (!stream)
		return;
	EVP_CIPHER_CTX_set_app_data(context, NULL);
	OPENSSL_cleanse(stream, sizeof(*stream));
	free(stream);
}

int EVP_CipherInit(EVP_CIPHER_CTX *context, const EVP_CIPHER *type, const unsigned char *key,
	const unsigned char *iv, int enc)
{
	ctrstream_ready();
	drop_stream(context);
	int ok = libcrypto.init(context, type, key, iv, enc);
	if (!ok || EVP_CIPHER_CTX_get_mode(context) != EVP_CIPH_CTR_MODE ||
		EVP_CIPHER_CTX_get_app_data(context))
		return ok;
	struct ctrstream *stream = malloc(sizeof(*stream));
	if (!stream)
		return ok;
	stream->owner = context;
	stream->at = AHEAD;
	EVP_CIPHER_CTX_set_app_data(context, stream);
	return ok;
}

static bool make_ahead(EVP_CIPHER_CTX *context, struct ctrstream *stream)
{
	int made = 0;

	/* Where it fails nothing of what is used up may be used again. */
	if (!EVP_CipherUpdate(context, stream->key, &made, zeros, AHEAD) || made != AHEAD)
		return false;
	stream->at = 0;
	return true;
}

/* As libssh2 asks: `out` and `in` are apart or the same. */
static inline void combine_block(struct ctrstream *stream, unsigned char *out, const unsigned char *in)
{
	uint64_t text[2], key[2];

	memcpy(text, in, BLOCK);
	memcpy(key, stream->key + stream->at, BLOCK);
	memset(stream->key + stream->at, 0, BLOCK);
	text[0] ^= key[0];
	text[1] ^= key[1];
	memcpy(out, text, BLOCK);
	stream->at += BLOCK;
}

int EVP_Cipher(EVP_CIPHER_CTX *context, unsigned char *out, const unsigned char *in, unsigned int len)
{
	struct ctrstream *stream = stream_of(context);
	unsigned int done = 0;

	if (!stream) {
		ctrstream_ready();
		return libcrypto.cipher(context, out, in, len);
	}
	/* All that libssh2 ever asks for, but once in AHEAD bytes. */
	if (len == BLOCK && stream->at <= AHEAD - BLOCK) {
		combine_block(stream, out, in);
		return BLOCK;
	}
	while (done < len) {
		if (stream->at == AHEAD && !make_ahead(context, stream))
			return -1;
		if (len - done >= BLOCK && AHEAD - stream->at >= BLOCK) {
			combine_block(stream, out + done, in + done);
			done += BLOCK;
			continue;
		}
		out[done] = in[done] ^ stream->key[stream->at];
		stream->key[stream->at++] = 0;
		done++;
	}
	return (int)len;
}

void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *context)
{
	ctrstream_ready();
	drop_stream(context);
	libcrypto.free(context);
}
