/*
 * AES in counter mode for libssh2, many blocks at a time.
 *
 * libssh2 (1.10, and 1.11 for these ciphers) has libcrypto encipher a packet by its 16-byte blocks, one
 * EVP_Cipher() each (its transport.c): 67 million calls a GiB, a third of what sending cost the
 * daemon.  In counter mode a block is combined with a key stream that does not depend on it; so
 * this file defines EVP_CipherInit(), EVP_Cipher() and EVP_CIPHER_CTX_free() in place of libcrypto's
 * (of which libssh2 is the only user here), has libcrypto itself make that key stream some KiB at a
 * time, and combines it.  Each byte of it is used once and overwritten.  All other ciphers
 * go to libcrypto's functions as they are; so would everything, were libssh2 linked such
 * that these are not found.
 *
 * What the functions return, and what they ask of threads, is as libcrypto's manual says.
 */
#ifndef SLURMOUNT_CTRSTREAM_H
#define SLURMOUNT_CTRSTREAM_H

#include <stdbool.h>
#include <openssl/evp.h>

/* Finds libcrypto's functions; called before a session is made, so that this file is linked at all.
 * Any thread, any number of times. */
void ctrstream_ready(void);
/* Whether this context's key stream is made ahead: for the tests. */
bool ctrstream_is_ahead(const EVP_CIPHER_CTX *context);

#endif
