/*
 * Which files a NAMD configuration reads.  It is Tcl, which is not run here but followed
 * (tclscan.h); what only running it would tell is reported as unresolved, never guessed.
 *
 * Facts from NAMD's source and user's guide: keywords in any case, "keyword value", "keyword =
 * value" and "keyword=value" (ScriptTcl.C, Tcl_config); words of a value joined by a blank, those
 * from one that begins with # dropped; files read when the first run, minimize or startup is
 * reached, after the folder of `cwd` was entered (SimParameters.C, check_config).
 */
#ifndef SLURMOUNT_NAMDCONF_H
#define SLURMOUNT_NAMDCONF_H

#include "inputfiles.h"

/* Scans `text`, the configuration `file`; `ret`, which must be empty, is what it reads, with paths
 * relative to the configuration's folder.  Left out are what a switch turns off ("constraints off") and what
 * the run itself writes before it reads it.  Returns 0, or -E2BIG where the configuration has more
 * than is sane; `ret` then holds what was found before. */
int namdconf_scan(const char *file, const char *text, size_t len,
	const struct inputfiles_reader *reader, struct inputfiles *ret);

#endif
