/* Shell text for the cluster: quoting, and commands that reach bash through any login shell. */
#ifndef SLURMOUNT_SHELL_H
#define SLURMOUNT_SHELL_H

#include "strbuf.h"

/* Appends `word` as one word of a POSIX shell: in single quotes where it needs them. */
void shell_quote(struct strbuf *b, const char *word);

/* Appends the command line that runs `script` (bash text, of any bytes but NUL) in `/bin/bash -l`
 * whatever the login shell is: the login shell sees one `exec` and a word in single quotes.  What the
 * profile files print is dropped, what they read is /dev/null; the script's own stdin and stdout
 * are the command's.  Slurm's variables but SLURM_CONF are unset, then `setup` (NULL: none) runs. */
void shell_login_command(struct strbuf *b, const char *setup, const char *script);

/* The same without the login's profile, which may take seconds, and without `setup`: for a script that needs
 * no other programs than every system has at hand. */
void shell_bare_command(struct strbuf *b, const char *script);

#endif
