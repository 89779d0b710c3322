/* Proving who we are: agent, key files, questions, password, each at most once. */
#ifndef SLURMOUNT_SSHAUTH_H
#define SLURMOUNT_SSHAUTH_H

#include "sshline.h"

/* Authenticates an open line, asking through line->prompter.  -EACCES: all that could be tried was
 * refused (line->why names each); `*unasked` is then true where a person's answer might have
 * helped, but nobody could be asked. */
int line_authenticate(struct ssh_line *line, bool *unasked);

#endif
