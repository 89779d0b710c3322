/* Proving who we are: agent, key files, questions, password, each at most once. */
#ifndef SLURMOUNT_SSHAUTH_H
#define SLURMOUNT_SSHAUTH_H

#include "sshline.h"

/* Authenticates an open line, asking through line->prompter.  -EACCES: all that could be tried was
 * refused (line->why names each), or nobody could be asked; -ECANCELED: the person gave up.  On
 * failure the caller closes the line, which overwrites what libssh2 still holds. */
int line_authenticate(struct ssh_line *line);

#endif
