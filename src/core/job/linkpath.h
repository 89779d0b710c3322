/*
 * Links of a job's directory on the cluster, as they are shown in the mount.  Pure.
 *
 * A program that follows a link resolves its text on this machine.  One that leaves the job's directory
 * would lead to a file of this machine, of the job's choosing; so such a text is shown behind
 * "cluster:", where it tells a person where it leads and leads nowhere itself.
 */
#ifndef SLURMOUNT_LINKPATH_H
#define SLURMOUNT_LINKPATH_H

#include "strbuf.h"

/* Appends what is shown of the link at `place`, a path below `workdir` ("" is the directory itself), whose
 * text on the cluster is `target`.  The shown text, followed in the mount from where the link is, never
 * leaves the directory, whatever other links it meets there. */
void linkpath_show(const char *workdir, const char *place, const char *target, struct strbuf *ret);

/* Appends the path of the absolute `path` below `folder` without needless parts.  0, or -EXDEV where it is
 * not below it or has a ".." in it. */
int linkpath_below(const char *folder, const char *path, struct strbuf *ret);

#endif
