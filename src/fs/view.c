/*
 * drafts/NAME: what is said of a draft, made anew whenever somebody looks; and drafts/NAME/rendered,
 * the files that its template makes, as they will be in the job's directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "err.h"
#include "fs.h"
#include "strbuf.h"

static const char *const names[DRAFT_FILE_COUNT] = {
	[DRAFT_FILE_PROBLEMS] = "problems",
	[DRAFT_FILE_PREVIEW] = "script.sbatch",
	[DRAFT_FILE_REFUSED] = "refused.ini",
};

static struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

_Static_assert(PART_WAIT < 1 << FS_PART_BITS, "every part has an inode");

static bool is_rendered(fuse_ino_t ino)
{
	return fs_part(ino) >= PART_RENDERED_FILE && fs_part(ino) < PART_WAIT;
}

static bool is_file(fuse_ino_t ino)
{
	return is_rendered(ino) ||
		(fs_part(ino) >= PART_VIEW_FILE && fs_part(ino) < PART_VIEW_FILE + DRAFT_FILE_COUNT);
}

/* The text of a file, and its attributes. */
static int render(struct fs *fs, fuse_ino_t ino, struct strbuf *text, struct stat *st)
{
	AUTO_FREE char *name = NULL;
	int64_t ns = 0;

	int r = is_rendered(ino) ? drafts_rendered(fs->drafts, fs_serial(ino),
		fs_part(ino) - PART_RENDERED_FILE, &name, text, &ns) : drafts_view(fs->drafts, fs_serial(ino),
		(enum draft_file)(fs_part(ino) - PART_VIEW_FILE), text, &ns);
	if (r == 0)
		fs_attr(fs, ino, S_IFREG | 0444, text->len, ns, st);
	return r;
}

static int attributes(struct fs *fs, fuse_ino_t ino, struct stat *st)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct strbuf problems AUTO_STRBUF = STRBUF_INIT;
	int64_t ns = 0;

	if (is_file(ino))
		return render(fs, ino, &text, st);
	/* There are rendered files, or no such folder. */
	if (fs_part(ino) == PART_RENDERED) {
		int r = render(fs, fs_job_ino(fs_serial(ino), PART_RENDERED_FILE), &text, st);

		st->st_ino = ino;
		st->st_mode = S_IFDIR | 0555;
		st->st_size = 0;
		st->st_blocks = 0;
		return r;
	}
	int r = drafts_view(fs->drafts, fs_serial(ino), DRAFT_FILE_PROBLEMS, &problems, &ns);
	if (r == 0)
		fs_attr(fs, ino, S_IFDIR | 0555, 0, ns, st);
	return r;
}

/* The name of part `part` of a view, the caller's to free, or NULL: there is none such now. */
static char *part_name(struct fs *fs, uint64_t serial, unsigned part)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	char *name = NULL;
	int64_t ns;

	if (part == PART_RENDERED)
		return xstrdup("rendered");
	if (part < PART_RENDERED)
		return xstrdup(names[part - PART_VIEW_FILE]);
	if (drafts_rendered(fs->drafts, serial, part - PART_RENDERED_FILE, &name, &text, &ns) < 0)
		return NULL;
	return name;
}

/* The first part in a directory of a view, and the one behind its last. */
static void parts_in(fuse_ino_t ino, unsigned *first, unsigned *end)
{
	bool top = fs_part(ino) == PART_VIEW;

	*first = top ? PART_VIEW_FILE : PART_RENDERED_FILE;
	*end = is_file(ino) ? *first : top ? PART_RENDERED + 1 :
		PART_WAIT;
}

static void view_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	unsigned part, end;
	struct stat st;

	for (parts_in(parent, &part, &end); part < end; part++) {
		AUTO_FREE char *found = part_name(fs, fs_serial(parent), part);

		if (!found || strcmp(name, found) != 0)
			continue;
		int r = attributes(fs, fs_job_ino(fs_serial(parent), part), &st);
		if (r < 0) {
			fuse_reply_err(req, -r);
			return;
		}
		struct fuse_entry_param e = fs_entry(&st, 0);
		fuse_reply_entry(req, &e);
		return;
	}
	fuse_reply_err(req, ENOENT);
}

static void view_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	/* An open file keeps the text, and so the size, of its opening. */
	if (fi && is_file(ino)) {
		const struct strbuf *text = (const struct strbuf *)(uintptr_t)fi->fh;

		fs_attr(fs_of(req), ino, S_IFREG | 0444, text->len, fs_of(req)->started_ns, &st);
		fuse_reply_attr(req, &st, 0);
		return;
	}
	int r = attributes(fs_of(req), ino, &st);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_attr(req, &st, 0);
}

static void view_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	struct fuse_file_info *fi)
{
	(void)ino;
	(void)attr;
	(void)fi;
	fuse_reply_err(req, to_set & FUSE_SET_ATTR_SIZE ? EACCES : EPERM);
}

static void view_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	if (!is_file(ino) || (fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC) {
		fuse_reply_err(req, is_file(ino) ? EACCES : EISDIR);
		return;
	}
	struct strbuf *text = xcalloc(1, sizeof(*text));
	*text = STRBUF_INIT;
	int r = render(fs_of(req), ino, text, &st);
	fi->fh = (uintptr_t)text;
	/* The size that the kernel was told may be of another moment. */
	fi->direct_io = 1;
	if (r < 0)
		fuse_reply_err(req, -r);
	if (r < 0 || fuse_reply_open(req, fi) == -ENOENT) {
		strbuf_release(text);
		free(text);
	}
}

static void view_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	const struct strbuf *text = (const struct strbuf *)(uintptr_t)fi->fh;

	(void)ino;
	fs_reply_text(req, text, size, off);
}

static void view_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct strbuf *text = (struct strbuf *)(uintptr_t)fi->fh;

	(void)ino;
	strbuf_release(text);
	free(text);
	fuse_reply_err(req, 0);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
	struct fs_listing l;
	struct stat st;

	if (!drafts_has(fs_of(req)->drafts, fs_serial(ino))) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	unsigned first, end;
	parts_in(ino, &first, &end);
	fuse_ino_t parent = fs_part(ino) == PART_VIEW ? FIXED_DRAFTS :
		fs_job_ino(fs_serial(ino), PART_VIEW);
	fs_listing_begin(&l, req, size, plus);
	bool fits = fs_listing_dots(&l, ino, parent, &off);
	for (unsigned part = first + (off < 2 ? 0 : (unsigned)(off - 2)); fits && part < end; part++) {
		AUTO_FREE char *name = part_name(fs_of(req), fs_serial(ino), part);

		if (!name || attributes(fs_of(req), fs_job_ino(fs_serial(ino), part), &st) < 0)
			continue;
		struct fuse_entry_param e = fs_entry(&st, 0);
		fits = fs_listing_add(&l, name, &e, (off_t)(part - first) + 3);
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

const struct fuse_lowlevel_ops view_ops = {
	.lookup = view_lookup,
	.getattr = view_getattr,
	.setattr = view_setattr,
	.open = view_open,
	.read = view_read,
	.release = view_release,
	.readdir = view_readdir,
	.readdirplus = view_readdirplus,
};
