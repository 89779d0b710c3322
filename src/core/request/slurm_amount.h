/* Times and memory sizes as Slurm writes them: the part of slurm_value that computes.  Pure. */
#ifndef SLURMOUNT_SLURM_AMOUNT_H
#define SLURMOUNT_SLURM_AMOUNT_H

#include <stdbool.h>

#include "strbuf.h"

/* Reads up to nine digits at `*at` and passes them; returns -1 where there are none or more. */
long long slurm_digits(const char **at);
/* The same for a number that is at least `least` and ends with the text or at one of `ends`. */
bool slurm_number(const char **at, const char *ends, long long least, long long *ret);
/* As slurm_value_check, the canonical form being appended to `ret`. */
int slurm_check_time(const char *text, bool as_sbatch, struct strbuf *ret, struct strbuf *why);
int slurm_check_memory(const char *text, bool as_sbatch, struct strbuf *ret, struct strbuf *why);

#endif
