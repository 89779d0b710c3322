/*
 * Points at which tests kill the daemon: before and after each step that changes what is on a disk, here or
 * on the cluster.  Nothing of it is compiled into slurmount; tests/faults/ builds a second program with
 * SLURMOUNT_FAULTS defined.
 */
#ifndef SLURMOUNT_FAULT_H
#define SLURMOUNT_FAULT_H

#ifdef SLURMOUNT_FAULTS
/* Passes the point `name`, or does not: $FAULT_AT is the number of the one that ends in SIGKILL, counted
 * from 1 over all points; into $FAULT_LOG the names are written as they are passed.  Any thread. */
void fault_point(const char *name);
#define FAULT_POINT(name) fault_point(name)
#else
#define FAULT_POINT(name) ((void)0)
#endif

#endif
