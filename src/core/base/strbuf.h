/* A growing byte string.  `data` is always terminated by a NUL that `len` does not count. */
#ifndef SLURMOUNT_STRBUF_H
#define SLURMOUNT_STRBUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "cleanup.h"

struct strbuf {
	char *data;
	size_t len;
	size_t capacity;
};

extern char strbuf_empty[1];

#define STRBUF_INIT ((struct strbuf){.data = strbuf_empty})
#define AUTO_STRBUF CLEANUP(strbuf_release)

/* Makes room for `more` bytes behind the end. */
void strbuf_reserve(struct strbuf *b, size_t more);
/* The add functions do nothing where `b` is NULL, so that `why` may be. */
void strbuf_add(struct strbuf *b, const void *bytes, size_t len);
void strbuf_adds(struct strbuf *b, const char *text);
void strbuf_addc(struct strbuf *b, char c);
void strbuf_addf(struct strbuf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void strbuf_vaddf(struct strbuf *b, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));
/* Text from outside (the cluster, a draft): control characters and bad UTF-8 become \xNN. */
void strbuf_add_escaped(struct strbuf *b, const char *text, size_t len);
/* The same for a text of several lines, which stay lines. */
void strbuf_add_lines(struct strbuf *b, const char *text, size_t len);
/* Forgets the content and keeps the memory. */
void strbuf_reset(struct strbuf *b);
void strbuf_truncate(struct strbuf *b, size_t len);
/* Removes white space at the end. */
void strbuf_rtrim(struct strbuf *b);
/* Frees; the buffer is empty and usable afterwards. */
void strbuf_release(struct strbuf *b);
/* The content as a string of the caller's own to free; the buffer is empty afterwards. */
char *strbuf_steal(struct strbuf *b);

#endif
