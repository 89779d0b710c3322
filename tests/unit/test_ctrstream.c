/* AES in counter mode as libssh2 calls it, against the values of NIST SP 800-38A, F.5.1, and libcrypto's own. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "ctrstream.h"

#define KEY "\x2b\x7e\x15\x16\x28\xae\xd2\xa6\xab\xf7\x15\x88\x09\xcf\x4f\x3c"
#define COUNTER "\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9\xfa\xfb\xfc\xfd\xfe\xff"

static const unsigned char plain[] =
	"\x6b\xc1\xbe\xe2\x2e\x40\x9f\x96\xe9\x3d\x7e\x11\x73\x93\x17\x2a"
	"\xae\x2d\x8a\x57\x1e\x03\xac\x9c\x9e\xb7\x6f\xac\x45\xaf\x8e\x51";
static const unsigned char secret[] =
	"\x87\x4d\x61\x91\xb6\x20\xe3\x26\x1b\xef\x68\x64\x99\x0d\xb6\xce"
	"\x98\x06\xf6\x6b\x79\x70\xfd\xff\x86\x17\x18\x7b\xb9\xff\xfd\xff";

static EVP_CIPHER_CTX *context_of(const EVP_CIPHER *cipher)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();

	ctrstream_ready();
	assert_int_equal(EVP_CipherInit(context, cipher, (const unsigned char *)KEY,
		(const unsigned char *)COUNTER, 1), 1);
	return context;
}

static void enciphers_blocks(void **state)
{
	EVP_CIPHER_CTX *context = context_of(EVP_aes_128_ctr());
	unsigned char out[32];

	(void)state;
	assert_true(ctrstream_is_ahead(context));
	assert_int_equal(EVP_Cipher(context, out, plain, 16), 16);
	assert_int_equal(EVP_Cipher(context, out + 16, plain + 16, 16), 16);
	assert_memory_equal(out, secret, 32);
	/* The same key and counter anew: from their beginning. */
	assert_int_equal(EVP_CipherInit(context, EVP_aes_128_ctr(), (const unsigned char *)KEY,
		(const unsigned char *)COUNTER, 0), 1);
	assert_int_equal(EVP_Cipher(context, out, secret, 16), 16);
	assert_memory_equal(out, plain, 16);
	EVP_CIPHER_CTX_free(context);
}

/* A later libssh2 may hand over more at once. */
static void enciphers_any_length(void **state)
{
	EVP_CIPHER_CTX *context = context_of(EVP_aes_128_ctr());
	unsigned char out[32];

	(void)state;
	assert_int_equal(EVP_Cipher(context, out, plain, 5), 5);
	assert_int_equal(EVP_Cipher(context, out + 5, plain + 5, 20), 20);
	assert_int_equal(EVP_Cipher(context, out + 25, plain + 25, 7), 7);
	assert_memory_equal(out, secret, 32);
	EVP_CIPHER_CTX_free(context);
}

static void goes_on_where_it_was(void **state)
{
	enum { SIZE = 100000 };
	static unsigned char in[SIZE], ours[SIZE], theirs[SIZE];
	EVP_CIPHER_CTX *context = context_of(EVP_aes_128_ctr()), *plain_context = EVP_CIPHER_CTX_new();
	int made;

	(void)state;
	for (size_t i = 0; i < SIZE; i++)
		in[i] = (unsigned char)(i * 7 + i / 251);
	assert_int_equal(EVP_EncryptInit_ex(plain_context, EVP_aes_128_ctr(), NULL,
		(const unsigned char *)KEY, (const unsigned char *)COUNTER), 1);
	assert_int_equal(EVP_EncryptUpdate(plain_context, theirs, &made, in, SIZE), 1);
	assert_int_equal(made, SIZE);
	for (size_t at = 0; at < SIZE; at += 16)
		assert_int_equal(EVP_Cipher(context, ours + at, in + at, 16), 16);
	assert_memory_equal(ours, theirs, SIZE);
	EVP_CIPHER_CTX_free(context);
	EVP_CIPHER_CTX_free(plain_context);
}

static void leaves_other_modes(void **state)
{
	/* F.2.1 of the same: CBC with this key and the counter 000102...0f. */
	static const unsigned char iv[] = "\0\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe\xf";
	static const unsigned char chained[] = "\x76\x49\xab\xac\x81\x19\xb2\x46\xce\xe9\x8e\x9b\x12\xe9\x19\x7d";
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	unsigned char out[32];

	(void)state;
	assert_int_equal(EVP_CipherInit(context, EVP_aes_128_cbc(), (const unsigned char *)KEY, iv, 1), 1);
	assert_false(ctrstream_is_ahead(context));
	assert_true(EVP_Cipher(context, out, plain, 16) > 0);
	assert_memory_equal(out, chained, 16);
	EVP_CIPHER_CTX_free(context);
	EVP_CIPHER_CTX_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(enciphers_blocks),
		cmocka_unit_test(enciphers_any_length),
		cmocka_unit_test(goes_on_where_it_was),
		cmocka_unit_test(leaves_other_modes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
