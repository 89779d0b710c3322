/*
 * What is done while files are dropped, so that a job that comes of them need not wait for it: large files
 * are hashed, and a shell is started on the cluster.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine_internal.h"
#include "err.h"
#include "filesum.h"

/* A shell waits for the next command as long as this after drafts have changed. */
#define EXPECTED_MS 120000
#define SHELL_MS 30000
/* Files that are hashed before they are wanted. */
#define HASHED_AHEAD_MIN (1 << 20)
#define HASHED_AHEAD_MAX 64

/* ---- files, as they are dropped ---- */

struct written {
	struct engine *engine;
	int fd;
};

static void hash_ahead(void *arg)
{
	struct written *w = arg;
	struct filesum *sum = NULL;

	if (filesums_get(w->engine->sums, w->fd, &sum) == 0)
		filesum_unref(sum);
	close(w->fd);
	w->engine->hashing--;
	free(w);
}

void engine_file_written(void *arg, int fd)
{
	struct engine *e = arg;
	struct stat st;

	/* Small ones are hashed as they are sent; and descriptors are not without end. */
	if (fstat(fd, &st) < 0 || st.st_size < HASHED_AHEAD_MIN || e->hashing >= HASHED_AHEAD_MAX) {
		close(fd);
		return;
	}
	struct written *w = xmalloc(sizeof(*w));
	*w = (struct written){e, fd};
	e->hashing++;
	lane_post(e->hash_lane, hash_ahead, w);
}

/* ---- a shell that waits for the next command ---- */

static void prepare_shell(void *arg)
{
	struct engine *e = arg;

	command_prepare(&e->cluster, clock_in(e->clock, SHELL_MS));
}

static void end_shell(void *arg)
{
	command_unprepare(&((struct engine *)arg)->cluster);
}

void ahead_expect(struct engine *e)
{
	e->expected_ms = clock_mono_ms(e->clock);
}

void ahead_tick(struct engine *e, int64_t now_ms, int64_t *next_ms)
{
	int64_t until_ms = e->expected_ms + EXPECTED_MS;
	/* A server with room for few sessions has none for one that only waits. */
	bool over = now_ms >= until_ms || atomic_load(&e->crowded);

	if (!e->expected_ms || (over && !e->shell_waits))
		return;
	if (over || !e->shell_waits)
		lane_post(e->stage_lane, over ? end_shell : prepare_shell, e);
	e->shell_waits = !over;
	if (e->shell_waits && until_ms < *next_ms)
		*next_ms = until_ms;
}
