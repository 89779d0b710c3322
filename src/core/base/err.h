/*
 * Errors.  Every function that can fail returns 0 (or a count) or a negative errno; the sign is
 * turned once, where FUSE is answered.  What a person should read about a failure travels beside
 * it as a sentence in a strbuf, by convention the last parameter, named `why`, which may be NULL.
 *
 * Memory: small allocations end the process with a message when the system has none left, so no
 * caller has a branch that no test can reach.  What could be large is bounded before it is asked
 * for.
 */
#ifndef SLURMOUNT_ERR_H
#define SLURMOUNT_ERR_H

#include <stddef.h>

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);
/* A copy of `text`, the caller's to free; NULL gives NULL. */
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t len);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
