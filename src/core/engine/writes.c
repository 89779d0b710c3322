/* Whether the database takes what is written: said in cluster/connection for as long as it does not. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine_internal.h"

static void explain(char *text, size_t size, int error)
{
	const char *remedy = "it is tried again by itself";

	if (error == -ENOSPC || error == -EDQUOT)
		remedy = "it goes on by itself once there is room on the disk of the state's folder";
	else if (error == -EUCLEAN)
		remedy = "it is damaged: unmount, and mount again, and it is set aside and the jobs are "
			"looked for on the cluster";
	snprintf(text, size, "what becomes of the jobs cannot be written to the database (%s); %s",
		strerror(-error), remedy);
}

int engine_wrote(struct engine *e, int result)
{
	/* What is written in a group is written with its end. */
	if (!result && e->grouped)
		return result;
	/* A late answer about a job that was removed is no failure. */
	if (result == -ENOENT || result == -EEXIST || (!result && !e->unwritten))
		return result;
	if (result == e->unwritten)
		return result;
	e->unwritten = result;
	e->connection.unwritten[0] = '\0';
	if (result < 0)
		explain(e->connection.unwritten, sizeof(e->connection.unwritten), result);
	model_set_connection(e->model, &e->connection);
	return result;
}
