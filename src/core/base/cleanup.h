/*
 * Scope guards: what a variable owns is released when it goes out of scope, unless it was stolen.
 */
#ifndef SLURMOUNT_CLEANUP_H
#define SLURMOUNT_CLEANUP_H

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(function) __attribute__((cleanup(function)))

static inline void cleanup_free(void *variable)
{
	free(*(void **)variable);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_fclose(FILE **file)
{
	if (*file)
		fclose(*file);
}

static inline void cleanup_closedir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static inline void cleanup_unlock(pthread_mutex_t **lock)
{
	if (*lock)
		pthread_mutex_unlock(*lock);
}

static inline pthread_mutex_t *locked(pthread_mutex_t *lock)
{
	pthread_mutex_lock(lock);
	return lock;
}

#define AUTO_FREE CLEANUP(cleanup_free)
#define AUTO_CLOSE CLEANUP(cleanup_close)
#define AUTO_FCLOSE CLEANUP(cleanup_fclose)
#define AUTO_CLOSEDIR CLEANUP(cleanup_closedir)

/* Holds `lock` to the end of the enclosing block. */
#define WITH_LOCK(lock) \
	pthread_mutex_t *guard_ CLEANUP(cleanup_unlock) __attribute__((unused)) = locked(lock)

/* Hands on what a guarded variable owns, leaving it empty. */
#define STEAL(pointer) \
	__extension__({ \
		__typeof__(pointer) stolen_ = (pointer); \
		(pointer) = NULL; \
		stolen_; \
	})

static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

#endif
