/*
 * What a local file holds, by its SHA-256: of pieces of 16 MiB, which are hashed by several threads
 * and can be sent and verified each for itself, and of the whole.
 *
 * The name stands for the content: of a file of one piece that piece's SHA-256 in hexadecimal, of a
 * larger one "t" and the SHA-256 of its pieces' digests one after another.
 *
 * Hashing is remembered by (device, inode, size, times): a write changes the inode's time of change, and
 * nobody can set that.
 */
#ifndef SLURMOUNT_FILESUM_H
#define SLURMOUNT_FILESUM_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#define FILESUM_PIECE (UINT64_C(16) << 20)
#define FILESUM_SIZE 32

/* Counted and, but for `wrong`, never changed. */
struct filesum {
	_Atomic unsigned references;
	_Atomic bool wrong; /* another reading gave other bytes: it is not remembered any more */
	uint64_t size;
	size_t count; /* of pieces, at least 1 */
	char name[2 * FILESUM_SIZE + 2];
	unsigned char pieces[][FILESUM_SIZE];
};

struct filesums;

struct filesums *filesums_new(void);
/* NULL is fine. */
void filesums_free(struct filesums *sums);
/* Hashing that is under way, and all to come, ends with -ECANCELED: for the end of the program. */
void filesums_stop(struct filesums *sums);
/* The sum of an open regular file, remembered or computed (which blocks on local disk); `*ret` has a
 * reference of the caller's.  0; -EAGAIN: it changed meanwhile; or what reading gave.  Any thread.
 * `sums` may be NULL: nothing is remembered. */
int filesums_get(struct filesums *sums, int fd, struct filesum **ret);
/* NULL is fine. */
void filesum_unref(struct filesum *sum);
struct filesum *filesum_ref(struct filesum *sum);
/* Appends one digest in hexadecimal. */
struct strbuf;
void filesum_add_hex(struct strbuf *b, const unsigned char digest[FILESUM_SIZE]);

#endif
