/*
 * Many small files at once, whole.  Each takes the same way as one that is opened alone (the kind is
 * looked at, then it is opened, read and closed), but all of them take it side by side: some three
 * round trips in all, instead of as many for each.
 *
 * A file's size and time are asked for before and after its bytes: what changed in between is no
 * version of the file, and not given out.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "err.h"
#include "sshsftp.h"

/* Files under way at once; each has at most three requests without an answer. */
#define ACTIVE_MAX 128

enum stage { STAGE_LSTAT, STAGE_OPEN, STAGE_READ, STAGE_FSTAT, STAGE_WAY, STAGE_COUNT };

struct item {
	char *path;
	struct remote_attr before, after;
	char *bytes;
	size_t len;
	unsigned waits; /* of OPEN, READ, FSTAT and REALPATH */
	bool elsewhere; /* a link led there (remote.h): whoever opens it alone is told why */
	int result;
};

struct fetch_op {
	struct sftp_op op;
	struct item *items;
	size_t count, next; /* the next to begin */
	size_t delivered;
	size_t most;
	remote_fetched_fn each;
	void *arg;
};

static void deliver(struct fetch_op *f, size_t at, int result)
{
	struct item *item = &f->items[at];
	bool same = item->before.size == item->after.size &&
		item->before.mtime_ns == item->after.mtime_ns;

	if (result == 0 && (!same || item->elsewhere || item->len != item->before.size))
		result = -EAGAIN;
	item->result = result;
	f->delivered++;
	f->each(f->arg, at, result, &item->before, item->bytes, item->len);
	free(STEAL(item->bytes));
	free(STEAL(item->path));
}

static void start(struct ssh_transport *t, struct fetch_op *f)
{
	size_t at = f->next++;

	sftp_send_path(t, &f->op, (uint32_t)at * STAGE_COUNT + STAGE_LSTAT, SFTP_LSTAT,
		f->items[at].path);
}

static void begin_fetch(struct ssh_transport *t, struct sftp_op *op)
{
	struct fetch_op *f = (struct fetch_op *)op;

	while (f->next < f->count && f->next < ACTIVE_MAX)
		start(t, f);
}

static int on_lstat(struct ssh_transport *t, struct fetch_op *f, size_t at,
	struct sftp_answer *answer)
{
	struct item *item = &f->items[at];
	int r = answer->type == SFTP_ATTRS ? sftp_take_attr(answer, &item->before) : -ENOENT;

	if (r == 0)
		r = sftp_is_file(&item->before);
	if (r == 0 && item->before.size > f->most)
		r = -EFBIG;
	if (r < 0)
		return r;
	item->waits++;
	sftp_send_path(t, &f->op, (uint32_t)at * STAGE_COUNT + STAGE_OPEN, SFTP_OPEN, item->path);
	/* Behind it, so that the server looks when it has opened it. */
	if (sftp_base_len(item->path)) {
		item->waits++;
		sftp_send_path(t, &f->op, (uint32_t)at * STAGE_COUNT + STAGE_WAY, SFTP_REALPATH,
			item->path);
	}
	return 0;
}

static int on_opened(struct ssh_transport *t, struct fetch_op *f, size_t at,
	struct sftp_answer *answer)
{
	uint32_t tag = (uint32_t)at * STAGE_COUNT;
	struct item *item = &f->items[at];
	struct sftp_handle handle;

	if (sftp_take_handle(answer, &handle) < 0)
		return -EACCES;
	item->bytes = xmalloc(item->before.size ? item->before.size : 1);
	if (item->before.size) {
		item->waits++;
		sftp_send_read(t, &f->op, tag + STAGE_READ, &handle, 0, (uint32_t)item->before.size);
	}
	item->waits++;
	sftp_send_handle(t, &f->op, tag + STAGE_FSTAT, SFTP_FSTAT, &handle);
	sftp_send_close(t, &handle);
	return 0;
}

static bool is_way(const struct item *item, struct sftp_answer *answer)
{
	struct remote_attr attr;
	const char *name;
	size_t len;

	if (answer->type != SFTP_NAME || sftp_take_name(answer, &name, &len, &attr) < 0)
		return false;
	AUTO_FREE char *real = xstrndup(name, len);
	return sftp_is_there(item->path, strlen(item->path), real, NULL);
}

static void on_content(struct item *item, enum stage stage, struct sftp_answer *answer)
{
	if (stage == STAGE_READ && answer->type == SFTP_DATA && answer->len <= item->before.size) {
		memcpy(item->bytes, answer->bytes, answer->len);
		item->len = answer->len;
	} else if (stage == STAGE_FSTAT && answer->type == SFTP_ATTRS) {
		if (sftp_take_attr(answer, &item->after) < 0)
			item->after.mtime_ns = -1;
	} else if (stage == STAGE_WAY) {
		item->elsewhere = !is_way(item, answer);
	}
}

static void on_fetch(struct ssh_transport *t, struct sftp_op *op, uint32_t tag,
	struct sftp_answer *answer)
{
	struct fetch_op *f = (struct fetch_op *)op;
	size_t at = tag / STAGE_COUNT;
	enum stage stage = tag % STAGE_COUNT;
	struct item *item = &f->items[at];
	size_t delivered = f->delivered;
	int r = 0;

	/* One that could not be opened is dealt with. */
	if (!item->path)
		return;
	if (stage == STAGE_LSTAT)
		r = on_lstat(t, f, at, answer);
	else if (stage == STAGE_OPEN)
		r = on_opened(t, f, at, answer);
	else
		on_content(item, stage, answer);
	/* In whichever order the answers come. */
	if (r < 0 || (stage != STAGE_LSTAT && !--item->waits))
		deliver(f, at, r);
	if (f->delivered > delivered && f->next < f->count)
		start(t, f);
}

static void fetch_finished(struct sftp_op *op)
{
	struct fetch_op *f = (struct fetch_op *)op;

	for (size_t i = 0; i < f->count; i++)
		if (f->items[i].path)
			deliver(f, i, op->result ? op->result : -EIO);
}

static void fetch_destroy(struct sftp_op *op)
{
	struct fetch_op *f = (struct fetch_op *)op;

	for (size_t i = 0; i < f->count; i++) {
		free(f->items[i].path);
		free(f->items[i].bytes);
	}
	free(f->items);
	free(f);
}

void ssh_is_late(struct remote *r)
{
	struct ssh_transport *t = ssh_of(r);

	WITH_LOCK(&t->lock);
	sftp_set_stuck(t);
}

int ssh_fetch(struct remote *r, const char *const *paths, size_t count, size_t most,
	remote_fetched_fn each, void *arg)
{
	struct fetch_op *f = xcalloc(1, sizeof(*f));

	f->op.begin = begin_fetch;
	f->op.answer = on_fetch;
	f->op.finished = fetch_finished;
	f->op.destroy = fetch_destroy;
	f->items = xcalloc(count + 1, sizeof(*f->items));
	for (size_t i = 0; i < count; i++)
		f->items[i].path = xstrdup(paths[i]);
	f->count = count;
	f->most = most < SFTP_READ_MAX ? most : SFTP_READ_MAX;
	f->each = each;
	f->arg = arg;
	sftp_post(ssh_of(r), &f->op);
	return 0;
}
