/*
 * Headers of a tar stream: POSIX ustar, with a pax header where a name, a link or a size does not
 * fit.  Pure.  Format: IEEE Std 1003.1-2017, pax, "ustar Interchange Format".
 */
#ifndef SLURMOUNT_TAR_H
#define SLURMOUNT_TAR_H

#include <stdint.h>
#include <sys/types.h>

#include "strbuf.h"

#define TAR_BLOCK 512

/* Appends the header of one member.  `mode` has the file type: regular, directory or symbolic link
 * (then `link` is its text).  `size` is for a regular file, whose content follows the header, filled
 * up with tar_padding() zeros. */
void tar_header(struct strbuf *out, const char *path, mode_t mode, uint64_t size, const char *link);
/* Zeros that follow `size` bytes of content. */
size_t tar_padding(uint64_t size);
/* Appends the end of the stream. */
void tar_end(struct strbuf *out);

#endif
