/* Asking the person at the terminal. */
#ifndef SLURMOUNT_TTY_H
#define SLURMOUNT_TTY_H

#include <stdbool.h>
#include <stddef.h>

/* For struct remote_prompter; `arg` is not used. */
int tty_ask(void *arg, const char *prompt, bool echo, char *answer, size_t size);

#endif
