/*
 * drafts/_templates/NAME/problems: what is wrong with a template of the user's own, judged anew
 * whenever somebody looks.  A name that was given out keeps its number to the end of the mount.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "err.h"
#include "templates.h"

#define PROBLEMS "problems"

static fuse_ino_t view_ino(size_t number, bool file)
{
	return FS_TEMPLATE_VIEW | (uint64_t)number << 1 | file;
}

static bool is_file(fuse_ino_t ino)
{
	return ino != FIXED_TEMPLATE_VIEWS && ino & 1;
}

/* The number of a name, a new one where it has none. */
static size_t number_of(struct templates *t, const char *name)
{
	WITH_LOCK(&t->lock);
	size_t i = 0;

	while (i < t->view_count && strcmp(t->views[i], name))
		i++;
	if (i == t->view_count) {
		t->views = xrealloc(t->views, (i + 1) * sizeof(*t->views));
		t->views[t->view_count++] = xstrdup(name);
	}
	return i;
}

/* A copy of the name behind an inode, or NULL: there is none, or its template is gone. */
static char *name_of(struct fs *fs, fuse_ino_t ino)
{
	struct templates *t = fs->templates;
	size_t number = (ino & ~FS_TEMPLATE_VIEW) >> 1;
	AUTO_FREE char *name = NULL;
	struct stat st;

	pthread_mutex_lock(&t->lock);
	if (number < t->view_count)
		name = xstrdup(t->views[number]);
	pthread_mutex_unlock(&t->lock);
	AUTO_FREE char *path = name && t->own_folder ? xasprintf("%s/%s", t->own_folder, name) : NULL;
	return path && stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? STEAL(name) : NULL;
}

static int64_t folder_ns(const struct fs *fs, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s", fs->templates->own_folder, name);
	struct stat st;

	if (stat(path, &st) < 0)
		return fs->started_ns;
	return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

static void render(struct fs *fs, const char *name, struct strbuf *text)
{
	struct template *t;
	int r = template_find(name, fs->templates->own_folder, &t, text);

	/* A name that no template can have is not even looked for. */
	if (r == -ENOENT) {
		AUTO_FREE char *path = xasprintf("%s/%s", fs->templates->own_folder, name);

		strbuf_reset(text);
		r = template_load(path, &t, text);
	}
	if (r == 0)
		strbuf_addf(text, "nothing: config.ini can name it, [job] template = %s\n", name);
	else if (!text->len)
		strbuf_addf(text, "%s\n", strerror(-r));
	template_free(t);
}

static int attributes(struct fs *fs, fuse_ino_t ino, struct stat *st)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	AUTO_FREE char *name = NULL;

	if (ino == FIXED_TEMPLATE_VIEWS) {
		fs_attr(fs, ino, S_IFDIR | 0555, 0, fs->started_ns, st);
		return 0;
	}
	name = name_of(fs, ino);
	if (!name)
		return -ENOENT;
	if (is_file(ino))
		render(fs, name, &text);
	fs_attr(fs, ino, is_file(ino) ? S_IFREG | 0444 : S_IFDIR | 0555, text.len, folder_ns(fs, name),
		st);
	return 0;
}

static void view_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = templates_fs(req);
	fuse_ino_t ino = 0;
	struct stat st;

	if (parent == FIXED_TEMPLATE_VIEWS) {
		size_t count;
		char **names = templates_names(fs, true, &count);

		for (size_t i = 0; i < count; i++) {
			if (strcmp(names[i], name) == 0)
				ino = view_ino(number_of(fs->templates, name), false);
			free(names[i]);
		}
		free(names);
	} else if (!is_file(parent) && strcmp(name, PROBLEMS) == 0) {
		ino = parent | 1;
	}
	if (!ino || attributes(fs, ino, &st) < 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	struct fuse_entry_param e = fs_entry(&st, 0);
	fuse_reply_entry(req, &e);
}

static struct strbuf *text_of(const struct fuse_file_info *fi)
{
	return (struct strbuf *)(uintptr_t)fi->fh;
}

static void view_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = templates_fs(req);
	struct stat st;
	int r = 0;

	/* An open file keeps the text, and so the size, of its opening. */
	if (fi && is_file(ino))
		fs_attr(fs, ino, S_IFREG | 0444, text_of(fi)->len, fs->started_ns, &st);
	else
		r = attributes(fs, ino, &st);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_attr(req, &st, 0);
}

static void view_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = templates_fs(req);

	if (!is_file(ino) || (fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC) {
		fuse_reply_err(req, is_file(ino) ? EACCES : EISDIR);
		return;
	}
	AUTO_FREE char *name = name_of(fs, ino);
	if (!name) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	struct strbuf *text = xmalloc(sizeof(*text));
	*text = STRBUF_INIT;
	render(fs, name, text);
	fi->fh = (uintptr_t)text;
	/* The size that the kernel was told may be of another moment. */
	fi->direct_io = 1;
	if (fuse_reply_open(req, fi) == -ENOENT) {
		strbuf_release(text);
		free(text);
	}
}

static void view_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	(void)ino;
	fs_reply_text(req, text_of(fi), size, off);
}

static void view_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct strbuf *text = text_of(fi);

	(void)ino;
	strbuf_release(text);
	free(text);
	fuse_reply_err(req, 0);
}

/* The offset of an entry is its number, so that one which goes meanwhile moves no other. */
static bool list_one(struct fs *fs, struct fs_listing *l, const char *name, fuse_ino_t ino, off_t off)
{
	off_t at = ino & 1 ? 3 : (off_t)((ino & ~FS_TEMPLATE_VIEW) >> 1) + 3;
	struct stat st;

	if (at <= off || attributes(fs, ino, &st) < 0)
		return true;
	struct fuse_entry_param e = fs_entry(&st, 0);
	return fs_listing_add(l, name, &e, at);
}

static void list_names(struct fs *fs, struct fs_listing *l, off_t off)
{
	struct templates *t = fs->templates;
	size_t count;
	char **names = templates_names(fs, true, &count);
	bool room = true;

	for (size_t i = 0; i < count; i++) {
		number_of(t, names[i]);
		free(names[i]);
	}
	free(names);
	for (size_t i = 0; room; i++) {
		pthread_mutex_lock(&t->lock);
		AUTO_FREE char *name = i < t->view_count ? xstrdup(t->views[i]) : NULL;
		pthread_mutex_unlock(&t->lock);
		if (!name)
			break;
		room = list_one(fs, l, name, view_ino(i, false), off);
	}
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
	struct fs *fs = templates_fs(req);
	bool top = ino == FIXED_TEMPLATE_VIEWS;
	struct fs_listing l;

	if (is_file(ino)) {
		fuse_reply_err(req, ENOTDIR);
		return;
	}
	fs_listing_begin(&l, req, size, plus);
	if (fs_listing_dots(&l, ino, top ? (fuse_ino_t)FIXED_DRAFTS : (fuse_ino_t)FIXED_TEMPLATE_VIEWS,
		&off)) {
		if (top)
			list_names(fs, &l, off);
		else
			list_one(fs, &l, PROBLEMS, ino | 1, off);
	}
	fs_listing_end(&l);
}

static void view_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, false);
}

static void view_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, true);
}

const struct fuse_lowlevel_ops template_view_ops = {
	.lookup = view_lookup,
	.getattr = view_getattr,
	.open = view_open,
	.read = view_read,
	.release = view_release,
	.readdir = view_readdir,
	.readdirplus = view_readdirplus,
};
