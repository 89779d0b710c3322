/* Files on the cluster, over SFTP. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "err.h"
#include "sshsftp.h"

/* Under way at once for one listing: the server gives up to a hundred names in each answer. */
#define READDIRS 4
/* A directory of more is one without end: no server fills our memory. */
#define LIST_ENTRIES_MAX 1000000
#define LIST_BYTES_MAX (64u << 20)

struct file_op {
	struct sftp_op op;
	char *path;
	enum sftp_type type;
	struct remote_attr attr;
	struct strbuf text;          /* a link's target; a listing's names, each with its NUL */
	struct remote_attr *entries; /* a listing's */
	size_t count, room;
	struct ssh_file *file;
	struct sftp_handle handle;   /* a listing's */
	size_t way;                  /* so much of the path is a way without links: see ask_way() */
	struct strbuf real;          /* where that led */
	unsigned asked;              /* a listing's READDIRs without an answer */
	unsigned most;               /* as many at once */
	int64_t known_ns;            /* a look's */
	remote_looked_fn looked;
	void *arg;
	bool ended;                  /* a listing's */
};

static void file_destroy(struct sftp_op *op)
{
	struct file_op *f = (struct file_op *)op;

	if (f->file)
		ssh_close(&f->file->base);
	strbuf_release(&f->text);
	strbuf_release(&f->real);
	free(f->entries);
	free(f->path);
	free(f);
}

static struct file_op *file_new(const char *path, enum sftp_type type,
	void (*answer)(struct ssh_transport *t, struct sftp_op *op, uint32_t tag,
		struct sftp_answer *answer))
{
	struct file_op *f = xcalloc(1, sizeof(*f));

	f->op.answer = answer;
	f->op.destroy = file_destroy;
	f->path = xstrdup(path);
	f->type = type;
	f->text = f->real = STRBUF_INIT;
	return f;
}

static void begin_path(struct ssh_transport *t, struct sftp_op *op)
{
	struct file_op *f = (struct file_op *)op;

	sftp_send_path(t, op, 0, f->type, f->path);
}

/* What an answer says that is not what was hoped for. */
static int refusal(const struct sftp_answer *answer, bool removing_dir)
{
	int r = answer->type == SFTP_STATUS ? sftp_status_errno(answer->number, removing_dir) : 0;

	return r ? r : -EPROTO;
}

/* The first error stands, in whichever order answers come. */
static void settle(struct sftp_op *op, int result)
{
	if (!op->result)
		op->result = result;
}

static int take_one_name(struct sftp_answer *answer, struct strbuf *ret)
{
	struct remote_attr attr;
	const char *name;
	size_t len;
	int r = answer->type == SFTP_NAME && answer->number == 1
		? sftp_take_name(answer, &name, &len, &attr)
		: refusal(answer, false);

	if (!r)
		strbuf_add(ret, name, len);
	return r;
}

/* ---- ways without links (remote.h): the protocol can only be asked what a path really is ---- */

#define TAG_WAY 1000u
#define TAG_BASE 1001u

/* Asks whether the first `len` bytes of the path are one, if it says that they must. */
static void ask_way(struct ssh_transport *t, struct file_op *f, size_t len)
{
	AUTO_FREE char *path = xstrndup(f->path, len);

	f->way = len;
	if (sftp_base_len(f->path))
		sftp_send_path(t, &f->op, TAG_WAY, SFTP_REALPATH, path);
}

/* True: it has been answered, and the operation's result says if it is none.  Its base may have got
 * another place since it was written down, so that is asked after then. */
static bool on_way(struct ssh_transport *t, struct file_op *f, uint32_t tag,
	struct sftp_answer *answer)
{
	struct strbuf real AUTO_STRBUF = STRBUF_INIT;
	AUTO_FREE char *base = xstrndup(f->path, sftp_base_len(f->path));
	int r = take_one_name(answer, &real);

	if (!r && tag == TAG_WAY && !sftp_is_there(f->path, f->way, real.data, NULL)) {
		strbuf_add(&f->real, real.data, real.len);
		sftp_send_path(t, &f->op, TAG_BASE, SFTP_REALPATH, base);
		return false;
	}
	if (!r && tag == TAG_BASE && !sftp_is_there(f->path, f->way, f->real.data, real.data))
		r = -ELOOP;
	settle(&f->op, r);
	return true;
}

static int run(struct remote *r, struct file_op *f, int64_t deadline)
{
	int result;

	if (!f->op.begin)
		f->op.begin = begin_path;
	if (!sftp_do(ssh_of(r), &f->op, deadline, &result))
		return result;
	if (result)
		file_destroy(&f->op);
	return result;
}

/* ---- what one question answers ---- */

static void on_attr(struct ssh_transport *t, struct sftp_op *op, uint32_t tag,
	struct sftp_answer *answer)
{
	struct file_op *f = (struct file_op *)op;

	(void)t;
	(void)tag;
	op->result = answer->type == SFTP_ATTRS ? sftp_take_attr(answer, &f->attr)
						: refusal(answer, false);
}

int ssh_lstat(struct remote *r, const char *path, int64_t deadline, struct remote_attr *ret)
{
	struct file_op *f = file_new(path, SFTP_LSTAT, on_attr);
	int result = run(r, f, deadline);

	if (result)
		return result;
	*ret = f->attr;
	file_destroy(&f->op);
	return 0;
}

static void on_target(struct ssh_transport *t, struct sftp_op *op, uint32_t tag,
	struct sftp_answer *answer)
{
	struct file_op *f = (struct file_op *)op;

	(void)t;
	(void)tag;
	op->result = take_one_name(answer, &f->text);
}

int ssh_readlink(struct remote *r, const char *path, int64_t deadline, struct strbuf *ret)
{
	struct file_op *f = file_new(path, SFTP_READLINK, on_target);
	int result = run(r, f, deadline);

	if (result)
		return result;
	strbuf_add(ret, f->text.data, f->text.len);
	file_destroy(&f->op);
	return 0;
}

/* Before anything is removed: the folder that it is in is where it should be. */
static void begin_removal(struct ssh_transport *t, struct sftp_op *op)
{
	struct file_op *f = (struct file_op *)op;
	const char *slash = strrchr(f->path, '/');

	if (sftp_base_len(f->path))
		ask_way(t, f, (size_t)(slash - f->path));
	else
		begin_path(t, op);
}

static void on_status(struct ssh_transport *t, struct sftp_op *op, uint32_t tag,
	struct sftp_answer *answer)
{
	struct file_op *f = (struct file_op *)op;
	bool fine = answer->type == SFTP_STATUS && answer->number == SFTP_STATUS_OK;

	if (!tag)
		settle(op, fine ? 0 : refusal(answer, f->type == SFTP_RMDIR));
	else if (on_way(t, f, tag, answer) && !op->result)
		begin_path(t, op);
}

static int run_status(struct remote *r, const char *path, enum sftp_type type, int64_t deadline)
{
	struct file_op *f = file_new(path, type, on_status);

	f->op.begin = begin_removal;
	int result = run(r, f, deadline);
	if (!result)
		file_destroy(&f->op);
	return result;
}

int ssh_unlink(struct remote *r, const char *path, int64_t deadline)
{
	return run_status(r, path, SFTP_REMOVE, deadline);
}

int ssh_rmdir(struct remote *r, const char *path, int64_t deadline)
{
	return run_status(r, path, SFTP_RMDIR, deadline);
}

/* ---- listing ---- */

static void ask_names(struct ssh_transport *t, struct file_op *f)
{
	while (!f->ended && f->asked < f->most) {
		sftp_send_handle(t, &f->op, 1, SFTP_READDIR, &f->handle);
		f->asked++;
	}
}

static int keep_name(struct file_op *f, struct sftp_answer *answer)
{
	struct remote_attr attr;
	const char *name;
	size_t len;
	int r = sftp_take_name(answer, &name, &len, &attr);

	if (r < 0 || !len || memchr(name, '/', len) || memchr(name, 0, len) ||
		(len == 1 && name[0] == '.') || (len == 2 && !memcmp(name, "..", 2)))
		return r;
	if (f->count == f->room) {
		f->room = f->room ? 2 * f->room : 64;
		f->entries = xrealloc(f->entries, f->room * sizeof(*f->entries));
	}
	f->entries[f->count++] = attr;
	strbuf_add(&f->text, name, len);
	strbuf_addc(&f->text, 0);
	return 0;
}

static void on_listing(struct ssh_transport *t, struct sftp_op *op, uint32_t tag,
	struct sftp_answer *answer)
{
	struct file_op *f = (struct file_op *)op;

	if (!tag) {
		int r = answer->type == SFTP_HANDLE ? sftp_take_handle(answer, &f->handle)
						    : refusal(answer, false);
		if (!r)
			ask_names(t, f);
		settle(op, r);
		return;
	}
	if (tag >= TAG_WAY) {
		if (on_way(t, f, tag, answer) && op->result)
			f->ended = true;
		return;
	}
	f->asked--;
	if (answer->type == SFTP_NAME) {
		for (uint32_t i = 0; !op->result && i < answer->number; i++)
			op->result = keep_name(f, answer);
	} else {
		f->ended = true;
		if (answer->type != SFTP_STATUS || answer->number != SFTP_STATUS_EOF)
			settle(op, refusal(answer, false));
	}
	if (!op->result && !f->ended && (f->count >= LIST_ENTRIES_MAX || f->text.len >= LIST_BYTES_MAX))
		op->result = -EOVERFLOW;
	/* An endless one keeps nobody waiting longer than its own caller. */
	if (op->result || sftp_is_abandoned(t, op))
		f->ended = true;
	ask_names(t, f);
	if (!f->asked)
		sftp_send_close(t, &f->handle);
}

static void begin_listing(struct ssh_transport *t, struct sftp_op *op)
{
	struct file_op *f = (struct file_op *)op;

	begin_path(t, op);
	/* Behind it, so that the server looks when it has opened it. */
	ask_way(t, f, strlen(f->path));
}

int ssh_list(struct remote *r, const char *path, int64_t deadline, remote_entry_fn each, void *arg)
{
	struct file_op *f = file_new(path, SFTP_OPENDIR, on_listing);
	int result;

	f->op.begin = begin_listing;
	f->most = READDIRS;
	if (!sftp_do(ssh_of(r), &f->op, deadline, &result))
		return result;
	const char *name = f->text.data;
	for (size_t i = 0; (!result || result == -EOVERFLOW) && i < f->count; i++) {
		int stop = each(arg, name, &f->entries[i]);

		result = stop ? stop : result;
		name += strlen(name) + 1;
	}
	file_destroy(&f->op);
	return result;
}

#define LOOK_LSTAT 2

static void begin_look(struct ssh_transport *t, struct sftp_op *op)
{
	sftp_send_path(t, op, LOOK_LSTAT, SFTP_LSTAT, ((struct file_op *)op)->path);
}

/* A listing that its own time may save. */
static void on_look(struct ssh_transport *t, struct sftp_op *op, uint32_t tag,
	struct sftp_answer *answer)
{
	struct file_op *f = (struct file_op *)op;

	if (tag != LOOK_LSTAT) {
		on_listing(t, op, tag, answer);
		return;
	}
	on_attr(t, op, 0, answer);
	if (!op->result && !S_ISDIR(f->attr.mode))
		op->result = -ENOTDIR;
	if (!op->result && f->attr.mtime_ns != f->known_ns)
		sftp_send_path(t, op, 0, SFTP_OPENDIR, f->path);
}

static void look_finished(struct sftp_op *op)
{
	struct file_op *f = (struct file_op *)op;

	f->looked(f->arg, &(struct remote_looked){op->result, f->attr,
		!op->result && f->attr.mtime_ns == f->known_ns, f->text.data, f->entries, f->count});
}

int ssh_look(struct remote *r, const char *path, int64_t known_ns, remote_looked_fn done, void *arg)
{
	struct file_op *f = file_new(path, SFTP_LSTAT, on_look);

	f->op.begin = begin_look;
	f->op.finished = look_finished;
	/* One with the names of a small directory, one with its end. */
	f->most = 2;
	f->known_ns = known_ns;
	f->looked = done;
	f->arg = arg;
	sftp_post(ssh_of(r), &f->op);
	return 0;
}

/* ---- opening and closing ---- */

int sftp_is_file(const struct remote_attr *attr)
{
	if (S_ISLNK(attr->mode))
		return -ELOOP;
	if (S_ISDIR(attr->mode))
		return -EISDIR;
	return S_ISREG(attr->mode) ? 0 : -EINVAL;
}

/* The protocol has no O_NOFOLLOW, and opening a FIFO would keep the server waiting: the kind is
 * looked at first. */
static void on_open(struct ssh_transport *t, struct sftp_op *op, uint32_t tag,
	struct sftp_answer *answer)
{
	struct file_op *f = (struct file_op *)op;

	if (!tag) {
		on_attr(t, op, 0, answer);
		if (!op->result)
			op->result = sftp_is_file(&f->attr);
		if (op->result)
			return;
		sftp_send_path(t, op, 1, SFTP_OPEN, f->path);
		/* Behind it, so that the server looks when it has opened it. */
		ask_way(t, f, strlen(f->path));
		return;
	}
	if (tag >= TAG_WAY) {
		on_way(t, f, tag, answer);
		return;
	}
	settle(op, answer->type == SFTP_HANDLE ? sftp_take_handle(answer, &f->file->handle)
					       : refusal(answer, false));
	f->file->generation = t->generation;
}

int ssh_open(struct remote *r, const char *path, int64_t deadline, struct remote_file **ret)
{
	struct file_op *f = file_new(path, SFTP_LSTAT, on_open);

	f->file = xcalloc(1, sizeof(*f->file));
	f->file->base.remote = r;
	int result = run(r, f, deadline);
	if (result)
		return result;
	*ret = &STEAL(f->file)->base;
	file_destroy(&f->op);
	return 0;
}

struct close_op {
	struct sftp_op op;
	struct sftp_handle handle;
	unsigned generation;
};

static void begin_close(struct ssh_transport *t, struct sftp_op *op)
{
	struct close_op *c = (struct close_op *)op;

	if (c->generation == t->generation)
		sftp_send_close(t, &c->handle);
}

static void close_destroy(struct sftp_op *op)
{
	free(op);
}

static void close_finished(struct sftp_op *op)
{
	(void)op;
}

void ssh_close(struct remote_file *file)
{
	struct ssh_file *f = (struct ssh_file *)file;
	struct close_op *c;

	if (f->handle.len) {
		c = xcalloc(1, sizeof(*c));
		c->op.begin = begin_close;
		c->op.destroy = close_destroy;
		c->op.finished = close_finished;
		c->op.always = true;
		c->handle = f->handle;
		c->generation = f->generation;
		sftp_post(ssh_of(file->remote), &c->op);
	}
	free(f);
}

/* ---- reading: parts that are all under way at once ---- */

struct read_op {
	struct sftp_op op;
	struct sftp_handle handle;
	unsigned generation;
	char *buffer;
	char *own; /* the buffer, where it is freed with the operation */
	size_t size;
	uint64_t offset;
	remote_read_fn done;
	void *arg;
	uint32_t *got; /* of each part */
};

static size_t part_size(const struct read_op *r, size_t part)
{
	size_t left = r->size - part * SFTP_READ_MAX;

	return left < SFTP_READ_MAX ? left : SFTP_READ_MAX;
}

static size_t part_count(const struct read_op *r)
{
	return (r->size + SFTP_READ_MAX - 1) / SFTP_READ_MAX;
}

/* What is missing of a part. */
static void ask_part(struct ssh_transport *t, struct read_op *r, size_t part)
{
	sftp_send_read(t, &r->op, (uint32_t)part, &r->handle,
		r->offset + part * SFTP_READ_MAX + r->got[part],
		(uint32_t)(part_size(r, part) - r->got[part]));
}

static void begin_read(struct ssh_transport *t, struct sftp_op *op)
{
	struct read_op *r = (struct read_op *)op;

	if (r->generation != t->generation) {
		op->result = -EPIPE;
		return;
	}
	for (size_t part = 0; part < part_count(r); part++)
		ask_part(t, r, part);
}

static void on_data(struct ssh_transport *t, struct sftp_op *op, uint32_t tag,
	struct sftp_answer *answer)
{
	struct read_op *r = (struct read_op *)op;

	if (answer->type == SFTP_STATUS && answer->number == SFTP_STATUS_EOF)
		return;
	if (answer->type != SFTP_DATA || answer->len > part_size(r, tag) - r->got[tag]) {
		op->result = answer->type == SFTP_DATA ? -EPROTO : refusal(answer, false);
		return;
	}
	memcpy(r->buffer + (size_t)tag * SFTP_READ_MAX + r->got[tag], answer->bytes, answer->len);
	r->got[tag] += (uint32_t)answer->len;
	/* Servers may give less than was asked for before the end, too. */
	if (answer->len && r->got[tag] < part_size(r, tag) && !op->result)
		ask_part(t, r, tag);
}

/* Up to the first gap, which is the end of the file. */
static ssize_t read_result(const struct read_op *r)
{
	size_t done = 0;

	if (r->op.result)
		return r->op.result;
	for (size_t part = 0; part < part_count(r); part++) {
		done += r->got[part];
		if (r->got[part] < part_size(r, part))
			break;
	}
	return (ssize_t)done;
}

static void read_destroy(struct sftp_op *op)
{
	struct read_op *r = (struct read_op *)op;

	free(r->own);
	free(r->got);
	free(r);
}

static void read_finished(struct sftp_op *op)
{
	struct read_op *r = (struct read_op *)op;

	r->done(r->arg, read_result(r));
}

static struct read_op *read_new(const struct ssh_file *f, char *buffer, size_t size,
	uint64_t offset)
{
	struct read_op *r = xcalloc(1, sizeof(*r));

	r->op.begin = begin_read;
	r->op.answer = on_data;
	r->op.destroy = read_destroy;
	r->handle = f->handle;
	r->generation = f->generation;
	r->buffer = buffer;
	r->size = size;
	r->offset = offset;
	r->got = xcalloc(part_count(r) + 1, sizeof(*r->got));
	return r;
}

void ssh_pread_begin(struct remote_file *file, void *buffer, size_t size, uint64_t offset,
	remote_read_fn done, void *arg)
{
	struct read_op *r = read_new((struct ssh_file *)file, buffer, size, offset);

	r->op.finished = read_finished;
	r->done = done;
	r->arg = arg;
	sftp_post(ssh_of(file->remote), &r->op);
}

ssize_t ssh_pread(struct remote_file *file, void *buffer, size_t size, uint64_t offset,
	int64_t deadline)
{
	char *own = xmalloc(size ? size : 1);
	struct read_op *r = read_new((struct ssh_file *)file, own, size, offset);
	int result;

	/* The caller's own buffer may be gone when an answer comes late. */
	r->own = own;
	if (!sftp_do(ssh_of(file->remote), &r->op, deadline, &result))
		return result;
	ssize_t n = result ? result : read_result(r);
	if (n > 0)
		memcpy(buffer, own, (size_t)n);
	read_destroy(&r->op);
	return n;
}
