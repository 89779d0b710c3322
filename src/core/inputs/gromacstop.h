/*
 * Which files a GROMACS topology includes.  Its preprocessor knows #include, #define, #undef,
 * #ifdef, #ifndef, #else and #endif; an included file is looked for in the folder of the one that
 * includes it, where grompp runs, in the .mdp file's `include` folders, and in GROMACS's own library
 * and GMXLIB (GROMACS's reference manual, "Topology file"; gmxpreprocess/gmxcpp.cpp).
 */
#ifndef SLURMOUNT_GROMACSTOP_H
#define SLURMOUNT_GROMACSTOP_H

#include "inputfiles.h"

/* Scans `text`, the topology `file`; `ret`, which must be empty, is what it includes, with paths
 * relative to where grompp runs, as that of `file` is.  `mdp` is the text of the .mdp file, whose
 * `define` and `include` count, or NULL: not known.  Left out are the files that GROMACS brings.
 * Returns 0, or -E2BIG where it has more than is sane. */
int gromacstop_scan(const char *file, const char *text, size_t len, const char *mdp,
	const struct inputfiles_reader *reader, struct inputfiles *ret);

#endif
