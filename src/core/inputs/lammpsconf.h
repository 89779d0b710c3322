/*
 * Which files a LAMMPS input script reads.  It is not run: constant variables, `include`, `if` and
 * continued lines are followed; what only running it tells is reported as unresolved.
 *
 * Facts from LAMMPS's manual: Commands_parse (a line that ends with & goes on; # begins a comment;
 * $x, ${name} and $(expression) are replaced, but not within quotes), variable, read_data, and
 * pair_coeff (a potential's file is looked for here, then in LAMMPS_POTENTIALS).  Paths are relative
 * to the folder that LAMMPS runs in, whatever folder the script is in.
 */
#ifndef SLURMOUNT_LAMMPSCONF_H
#define SLURMOUNT_LAMMPSCONF_H

#include "inputfiles.h"

/* Scans `text`, the script `file`; `ret`, which must be empty, is what it reads.  `variables` are
 * those of the command line, NAME VALUE pairs separated by blanks, or NULL.  Left out is what the
 * script itself writes before.  Returns 0, or -E2BIG where it has more than is sane. */
int lammpsconf_scan(const char *file, const char *text, size_t len, const char *variables,
	const struct inputfiles_reader *reader, struct inputfiles *ret);

#endif
