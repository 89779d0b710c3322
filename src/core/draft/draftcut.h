/*
 * Files that were open for writing when the mount ended: they may be cut short, and a draft that
 * holds one is not submitted by itself.  A file open for writing bears a mark, the extended attribute
 * user.slurmount.writing, so that even a killed daemon leaves it.  A disk without attributes keeps
 * no marks.
 */
#ifndef SLURMOUNT_DRAFTCUT_H
#define SLURMOUNT_DRAFTCUT_H

#include <stdbool.h>

#include "spool.h"
#include "strbuf.h"

/* One writer more or less has the file open.  Any thread, under no lock; sets or
 * removes the mark on the local disk. */
void cut_writer_came(struct spool_node *node);
void cut_writer_left(struct spool_node *node);
/* All writers have left, though not each was heard of. */
void cut_writers_gone(struct spool_node *node);
/* Appends the paths of marked files below `folder`, or directly in it where `loose`, with commas
 * between them.  Reads the local disk. */
void cut_find(int folder, bool loose, struct strbuf *ret);

#endif
