/*
 * Which files a configuration of the Colvars module reads: NAMD's colvarsConfig.  Its keywords are
 * "keyword value" lines in blocks of braces, in any case; names are relative to where NAMD runs.
 */
#ifndef SLURMOUNT_COLVARSCONF_H
#define SLURMOUNT_COLVARSCONF_H

#include "inputfiles.h"

/* Adds what `text`, the configuration `file`, reads to `ret`; `maybe`: only if a condition holds.
 * A name with a $ in it, which some other program was to replace, is unresolved. */
void colvarsconf_scan(const char *file, const char *text, bool maybe, struct inputfiles *ret);

#endif
