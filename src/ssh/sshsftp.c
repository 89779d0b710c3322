/* Files on the cluster, over one SFTP session. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "sshinternal.h"

#define READ_CHUNK (512u << 10)
#define NAME_SIZE 4096
/* A directory of more is one without end: no server fills our memory. */
#define LIST_ENTRIES_MAX 1000000
#define LIST_BYTES_MAX (64u << 20)

struct ssh_file {
	struct remote_file base;
	LIBSSH2_SFTP_HANDLE *handle;
	unsigned generation; /* of the session that `handle` is part of */
};

struct sftp_op {
	struct ssh_op op;
	char *path;
	LIBSSH2_SFTP_ATTRIBUTES attrs;
	LIBSSH2_SFTP_HANDLE *handle;
	struct ssh_file *file;
	struct strbuf text;  /* a link's target; a listing's names, each with its NUL */
	struct remote_attr *entries;
	size_t count, room;
	char *buffer;
	size_t size, done;
	uint64_t offset;
	int phase, result;
};

static int sftp_errno(struct ssh_transport *t, int rc, bool removing_dir)
{
	if (t->line.dead || rc != LIBSSH2_ERROR_SFTP_PROTOCOL)
		return line_errno(&t->line, rc);
	switch (libssh2_sftp_last_error(t->sftp)) {
	case LIBSSH2_FX_NO_SUCH_FILE:
	case LIBSSH2_FX_NO_SUCH_PATH:
		return -ENOENT;
	case LIBSSH2_FX_PERMISSION_DENIED:
		return -EACCES;
	case LIBSSH2_FX_WRITE_PROTECT:
		return -EROFS;
	case LIBSSH2_FX_OP_UNSUPPORTED:
		return -EOPNOTSUPP;
	case LIBSSH2_FX_DIR_NOT_EMPTY:
		return -ENOTEMPTY;
	case LIBSSH2_FX_NOT_A_DIRECTORY:
		return -ENOTDIR;
	case LIBSSH2_FX_FAILURE:
		/* All that version 3 of the protocol says of a directory with entries. */
		return removing_dir ? -ENOTEMPTY : -EIO;
	default:
		return -EIO;
	}
}

/* The result of a libssh2 call as an act's. */
static int step_of(struct ssh_transport *t, int rc)
{
	if (rc == LIBSSH2_ERROR_EAGAIN)
		return STEP_AGAIN;
	return rc < 0 ? sftp_errno(t, rc, false) : 0;
}

static void sftp_destroy(struct ssh_op *op)
{
	struct sftp_op *s = (struct sftp_op *)op;

	if (s->file)
		ssh_close(&s->file->base);
	strbuf_release(&s->text);
	free(s->entries);
	free(s->buffer);
	free(s->path);
	free(s);
}

static struct sftp_op *sftp_new(const char *path,
	int (*step)(struct ssh_transport *t, struct ssh_op *op))
{
	struct sftp_op *s = xcalloc(1, sizeof(*s));

	s->op.lane = LANE_SFTP;
	s->op.step = step;
	s->op.destroy = sftp_destroy;
	s->path = xstrdup(path);
	s->text = STRBUF_INIT;
	return s;
}

static void fill_attr(const LIBSSH2_SFTP_ATTRIBUTES *a, struct remote_attr *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (a->flags & LIBSSH2_SFTP_ATTR_PERMISSIONS)
		ret->mode = (mode_t)a->permissions;
	if (a->flags & LIBSSH2_SFTP_ATTR_SIZE)
		ret->size = a->filesize;
	if (a->flags & LIBSSH2_SFTP_ATTR_ACMODTIME)
		ret->mtime_ns = (int64_t)a->mtime * 1000000000;
}

static int lstat_step(struct ssh_transport *t, struct ssh_op *op)
{
	struct sftp_op *s = (struct sftp_op *)op;

	if (!t->sftp)
		return -EOPNOTSUPP;
	return step_of(t, libssh2_sftp_stat_ex(t->sftp, s->path, (unsigned)strlen(s->path),
				  LIBSSH2_SFTP_LSTAT, &s->attrs));
}

int ssh_lstat(struct remote *r, const char *path, int64_t deadline, struct remote_attr *ret)
{
	struct sftp_op *s = sftp_new(path, lstat_step);
	int result;

	if (!transport_do(ssh_of(r), &s->op, deadline, &result))
		return result;
	if (!result)
		fill_attr(&s->attrs, ret);
	sftp_destroy(&s->op);
	return result;
}

static int readlink_step(struct ssh_transport *t, struct ssh_op *op)
{
	struct sftp_op *s = (struct sftp_op *)op;
	int rc;

	if (!t->sftp)
		return -EOPNOTSUPP;
	rc = libssh2_sftp_symlink_ex(t->sftp, s->path, (unsigned)strlen(s->path), s->buffer, NAME_SIZE,
		LIBSSH2_SFTP_READLINK);
	if (rc > 0)
		strbuf_add(&s->text, s->buffer, (size_t)rc);
	return step_of(t, rc);
}

int ssh_readlink(struct remote *r, const char *path, int64_t deadline, struct strbuf *ret)
{
	struct sftp_op *s = sftp_new(path, readlink_step);
	int result;

	s->buffer = xmalloc(NAME_SIZE);
	if (!transport_do(ssh_of(r), &s->op, deadline, &result))
		return result;
	if (!result)
		strbuf_add(ret, s->text.data, s->text.len);
	sftp_destroy(&s->op);
	return result;
}

/* Nobody waits for it any more. */
static bool is_abandoned(struct ssh_transport *t, const struct sftp_op *s)
{
	WITH_LOCK(&t->lock);
	return s->op.abandoned;
}

static int list_entry(struct ssh_transport *t, struct sftp_op *s)
{
	if (s->count >= LIST_ENTRIES_MAX || s->text.len >= LIST_BYTES_MAX || is_abandoned(t, s)) {
		s->result = -EOVERFLOW;
		s->phase = 2;
		return STEP_MORE;
	}
	int rc = libssh2_sftp_readdir_ex(s->handle, s->buffer, NAME_SIZE, NULL, 0, &s->attrs);

	if (rc == LIBSSH2_ERROR_EAGAIN)
		return STEP_AGAIN;
	if (rc <= 0) {
		s->result = rc ? sftp_errno(t, rc, false) : 0;
		s->phase = 2;
		return STEP_MORE;
	}
	if (!strcmp(s->buffer, ".") || !strcmp(s->buffer, "..") || memchr(s->buffer, '/', (size_t)rc))
		return STEP_MORE;
	if (s->count == s->room) {
		s->room = s->room ? 2 * s->room : 64;
		s->entries = xrealloc(s->entries, s->room * sizeof(*s->entries));
	}
	fill_attr(&s->attrs, &s->entries[s->count++]);
	strbuf_add(&s->text, s->buffer, strlen(s->buffer) + 1);
	return STEP_MORE;
}

static int list_step(struct ssh_transport *t, struct ssh_op *op)
{
	struct sftp_op *s = (struct sftp_op *)op;

	if (!t->sftp)
		return -EOPNOTSUPP;
	/* An endless directory keeps nobody else waiting. */
	if (s->phase == 1 && transport_is_late(t, op))
		s->phase = 2;
	if (s->phase == 1)
		return list_entry(t, s);
	if (s->phase == 2) {
		if (libssh2_sftp_close_handle(s->handle) == LIBSSH2_ERROR_EAGAIN)
			return STEP_AGAIN;
		return s->result;
	}
	s->handle = libssh2_sftp_open_ex(t->sftp, s->path, (unsigned)strlen(s->path), 0, 0,
		LIBSSH2_SFTP_OPENDIR);
	if (!s->handle)
		return step_of(t, libssh2_session_last_errno(t->line.session));
	s->phase = 1;
	return STEP_MORE;
}

int ssh_list(struct remote *r, const char *path, int64_t deadline, remote_entry_fn each, void *arg)
{
	struct sftp_op *s = sftp_new(path, list_step);
	const char *name;
	int result;

	s->buffer = xmalloc(NAME_SIZE);
	if (!transport_do(ssh_of(r), &s->op, deadline, &result))
		return result;
	name = s->text.data;
	for (size_t i = 0; (!result || result == -EOVERFLOW) && i < s->count; i++) {
		int stop = each(arg, name, &s->entries[i]);

		result = stop ? stop : result;
		name += strlen(name) + 1;
	}
	sftp_destroy(&s->op);
	return result;
}

/* The protocol has no O_NOFOLLOW: the kind is looked at first. */
static int open_step(struct ssh_transport *t, struct ssh_op *op)
{
	struct sftp_op *s = (struct sftp_op *)op;

	if (s->phase == 0) {
		int r = lstat_step(t, op);

		if (r)
			return r;
		if (S_ISLNK(s->attrs.permissions))
			return -ELOOP;
		if (S_ISDIR(s->attrs.permissions))
			return -EISDIR;
		if (!S_ISREG(s->attrs.permissions))
			return -EINVAL;
		s->phase = 1;
	}
	s->handle = libssh2_sftp_open_ex(t->sftp, s->path, (unsigned)strlen(s->path),
		LIBSSH2_FXF_READ, 0, LIBSSH2_SFTP_OPENFILE);
	if (!s->handle)
		return step_of(t, libssh2_session_last_errno(t->line.session));
	s->file->handle = s->handle;
	s->file->generation = t->generation;
	return 0;
}

int ssh_open(struct remote *r, const char *path, int64_t deadline, struct remote_file **ret)
{
	struct sftp_op *s = sftp_new(path, open_step);
	int result;

	s->file = xcalloc(1, sizeof(*s->file));
	s->file->base.remote = r;
	if (!transport_do(ssh_of(r), &s->op, deadline, &result))
		return result;
	if (!result) {
		*ret = &s->file->base;
		s->file = NULL;
	}
	sftp_destroy(&s->op);
	return result;
}

static int pread_step(struct ssh_transport *t, struct ssh_op *op)
{
	struct sftp_op *s = (struct sftp_op *)op;
	ssize_t n;

	if (s->phase != (int)t->generation)
		return -EPIPE;
	if (!s->done && libssh2_sftp_tell64(s->handle) != s->offset)
		libssh2_sftp_seek64(s->handle, s->offset);
	n = libssh2_sftp_read(s->handle, s->buffer + s->done, s->size - s->done);
	if (n > 0) {
		s->done += (size_t)n;
		return s->done < s->size ? (int)STEP_MORE : 0;
	}
	return step_of(t, (int)n);
}

ssize_t ssh_pread(struct remote_file *file, void *buffer, size_t size, uint64_t offset,
	int64_t deadline)
{
	struct ssh_file *f = (struct ssh_file *)file;
	size_t done = 0;

	/* In pieces, each an operation of its own, so that others are served in between. */
	while (done < size) {
		size_t n = size - done < READ_CHUNK ? size - done : READ_CHUNK, got;
		struct sftp_op *s = sftp_new("", pread_step);
		int result;

		s->buffer = xmalloc(n);
		s->size = n;
		s->offset = offset + done;
		s->handle = f->handle;
		s->phase = (int)f->generation;
		if (!transport_do(ssh_of(file->remote), &s->op, deadline, &result))
			return result;
		got = s->done;
		if (!result)
			memcpy((char *)buffer + done, s->buffer, got);
		sftp_destroy(&s->op);
		if (result)
			return result;
		done += got;
		if (got < n)
			break;
	}
	return (ssize_t)done;
}

static int close_step(struct ssh_transport *t, struct ssh_op *op)
{
	struct sftp_op *s = (struct sftp_op *)op;

	if (s->phase != (int)t->generation)
		return 0;
	return step_of(t, libssh2_sftp_close_handle(s->handle));
}

void ssh_close(struct remote_file *file)
{
	struct ssh_file *f = (struct ssh_file *)file;
	struct sftp_op *s;

	if (f->handle) {
		s = sftp_new("", close_step);
		s->handle = f->handle;
		s->phase = (int)f->generation;
		transport_post(ssh_of(file->remote), &s->op);
	}
	free(f);
}

static int unlink_step(struct ssh_transport *t, struct ssh_op *op)
{
	struct sftp_op *s = (struct sftp_op *)op;

	if (!t->sftp)
		return -EOPNOTSUPP;
	return step_of(t, libssh2_sftp_unlink_ex(t->sftp, s->path, (unsigned)strlen(s->path)));
}

static int rmdir_step(struct ssh_transport *t, struct ssh_op *op)
{
	struct sftp_op *s = (struct sftp_op *)op;
	int rc;

	if (!t->sftp)
		return -EOPNOTSUPP;
	rc = libssh2_sftp_rmdir_ex(t->sftp, s->path, (unsigned)strlen(s->path));
	if (rc == LIBSSH2_ERROR_EAGAIN)
		return STEP_AGAIN;
	return rc ? sftp_errno(t, rc, true) : 0;
}

static int run_plain(struct remote *r, struct sftp_op *s, int64_t deadline)
{
	int result;

	if (!transport_do(ssh_of(r), &s->op, deadline, &result))
		return result;
	sftp_destroy(&s->op);
	return result;
}

int ssh_unlink(struct remote *r, const char *path, int64_t deadline)
{
	return run_plain(r, sftp_new(path, unlink_step), deadline);
}

int ssh_rmdir(struct remote *r, const char *path, int64_t deadline)
{
	return run_plain(r, sftp_new(path, rmdir_step), deadline);
}
