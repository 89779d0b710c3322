#include "remote.h"

#include <errno.h>

int remote_connect(struct remote *r, const struct remote_prompter *prompter, int64_t deadline,
	struct strbuf *why)
{
	return r->ops->connect(r, prompter, deadline, why);
}

int remote_spawn(struct remote *r, const char *command, int64_t deadline, struct remote_proc **ret)
{
	return r->ops->spawn(r, command, deadline, ret);
}

int remote_write(struct remote_proc *p, const void *bytes, size_t len, int64_t deadline)
{
	const char *at = bytes;

	while (len) {
		ssize_t n = p->remote->ops->write(p, at, len, deadline);

		if (n < 0)
			return (int)n;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int remote_close_stdin(struct remote_proc *p, int64_t deadline)
{
	return p->remote->ops->close_stdin(p, deadline);
}

ssize_t remote_read(struct remote_proc *p, bool from_stderr, void *buffer, size_t size,
	int64_t deadline)
{
	return p->remote->ops->read(p, from_stderr, buffer, size, deadline);
}

int remote_wait(struct remote_proc *p, int *status, int64_t deadline)
{
	return p->remote->ops->wait(p, status, deadline);
}

void remote_release(struct remote_proc *p)
{
	if (p)
		p->remote->ops->release(p);
}

int remote_lstat(struct remote *r, const char *path, int64_t deadline, struct remote_attr *ret)
{
	return r->ops->lstat(r, path, deadline, ret);
}

int remote_readlink(struct remote *r, const char *path, int64_t deadline, struct strbuf *ret)
{
	return r->ops->readlink(r, path, deadline, ret);
}

int remote_list(struct remote *r, const char *path, int64_t deadline, remote_entry_fn each,
	void *arg)
{
	return r->ops->list(r, path, deadline, each, arg);
}

int remote_open(struct remote *r, const char *path, int64_t deadline, struct remote_file **ret)
{
	return r->ops->open(r, path, deadline, ret);
}

ssize_t remote_pread(struct remote_file *f, void *buffer, size_t size, uint64_t offset,
	int64_t deadline)
{
	return f->remote->ops->pread(f, buffer, size, offset, deadline);
}

void remote_pread_begin(struct remote_file *f, void *buffer, size_t size, uint64_t offset,
	remote_read_fn done, void *arg)
{
	f->remote->ops->pread_begin(f, buffer, size, offset, done, arg);
}

int remote_fetch(struct remote *r, const char *const *paths, size_t count, size_t most,
	remote_fetched_fn each, void *arg)
{
	return r->ops->fetch ? r->ops->fetch(r, paths, count, most, each, arg) : -EOPNOTSUPP;
}

int remote_look(struct remote *r, const char *path, int64_t known_ns, remote_looked_fn done,
	void *arg)
{
	return r->ops->look ? r->ops->look(r, path, known_ns, done, arg) : -EOPNOTSUPP;
}

void remote_is_late(struct remote *r)
{
	if (r->ops->is_late)
		r->ops->is_late(r);
}

void remote_close(struct remote_file *f)
{
	if (f)
		f->remote->ops->close(f);
}

int remote_unlink(struct remote *r, const char *path, int64_t deadline)
{
	return r->ops->unlink(r, path, deadline);
}

int remote_rmdir(struct remote *r, const char *path, int64_t deadline)
{
	return r->ops->rmdir(r, path, deadline);
}

void remote_abort(struct remote *r)
{
	r->ops->abort(r);
}

void remote_destroy(struct remote *r)
{
	if (r)
		r->ops->destroy(r);
}
