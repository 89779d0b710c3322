/*
 * What every fuzz target is: one function over any bytes, run by libFuzzer (tests/fuzz/run) and, over
 * the corpus, by tests/run.  It aborts where a promise of the parser's header does not hold.
 */
#ifndef SLURMOUNT_FUZZ_H
#define SLURMOUNT_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* assert() that no build leaves out. */
#define MUST(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/* A text for people: each line ends, and no byte of it steers a terminal. */
static inline void must_be_readable(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		MUST((c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t');
	}
}

#endif
