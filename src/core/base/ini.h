/*
 * INI text, read through inih.  Debian's inih 55 cuts lines at 200 bytes, names at 50, and takes
 * " ;" for a comment; here `;` and `#` begin a comment only at the start of a line, and a line may
 * be of any length.  Pure.
 */
#ifndef SLURMOUNT_INI_H
#define SLURMOUNT_INI_H

#include <stddef.h>

#include "strbuf.h"

/* One `key = value` of `[section]` ("" before the first one), blanks around them removed; at a
 * section's own line `key` and `value` are NULL.  Valid for the call only.  A result other than 0
 * becomes the result of the reading, which goes on, so that every problem of a file is found. */
typedef int (*ini_fn)(void *arg, const char *section, const char *key, const char *value, int line);

/* Calls `each` for all of `text`, which may be any bytes.  Returns 0, else -EINVAL with
 * "FILE:LINE: ..." lines appended to `why` for broken syntax, or the first result of `each` that
 * was not 0.  The separator is `=`; an indented line is a line like any other. */
int ini_text_parse(const char *text, size_t len, ini_fn each, void *arg, struct strbuf *why,
	const char *file);

#endif
