/* templates/: its nodes, and the names in it. */
#include "templates.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "log.h"

/* The user's own may be edited in their folder, too, behind the mount's back. */
#define TIMEOUT 1.0

struct templates *templates_new(void)
{
	struct templates *t = xcalloc(1, sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	t->own_folder = template_own_folder();
	if (spool_open(template_builtin_folder(), &t->builtin) < 0)
		log_warning("%s: no built-in templates there", template_builtin_folder());
	return t;
}

void templates_free(struct templates *t)
{
	if (!t)
		return;
	spool_close(t->builtin);
	spool_close(t->own);
	for (size_t i = 0; i < t->view_count; i++)
		free(t->views[i]);
	free(t->views);
	free(t->own_folder);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* ---- places ---- */

static int make_folders(const char *path)
{
	AUTO_FREE char *part = xstrdup(path);

	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
			return -errno;
		*slash = '/';
	}
	return mkdir(part, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* The user's own, opened when they are first needed: nobody's home gets a folder for nothing. */
static int own_spool(struct templates *t, bool make, struct spool **ret)
{
	WITH_LOCK(&t->lock);
	int r = 0;

	if (!t->own) {
		r = !t->own_folder ? -ENOENT : make ? make_folders(t->own_folder) : 0;
		if (r == 0)
			r = spool_open(t->own_folder, &t->own);
	}
	*ret = t->own;
	return r;
}

int templates_begin(fuse_req_t req, fuse_ino_t ino, bool make, struct template_place *p)
{
	struct fs *fs = templates_fs(req);
	struct templates *t = fs->templates;
	int r = 0;

	*p = (struct template_place){.fs = fs, .top = ino == FIXED_TEMPLATES};
	p->builtin = !p->top && ino & 1;
	if (p->builtin)
		p->spool = t->builtin;
	else
		r = own_spool(t, make, &p->spool);
	if (r < 0)
		return r;
	if (p->top)
		p->node = spool_ref(p->spool, spool_root(p->spool));
	else
		p->node = spool_get(p->spool, (ino & ~FS_TEMPLATE_NODE) >> 1);
	return p->node ? 0 : -ESTALE;
}

int templates_begin_change(fuse_req_t req, fuse_ino_t ino, bool make, struct template_place *p)
{
	int r = templates_begin(req, ino, make, p);

	if (r == 0 && p->builtin) {
		templates_end(p);
		return -EPERM;
	}
	/* No folder of the user's own, so the built-in ones are all there is. */
	return r == -ENOENT && p->top ? -EPERM : r;
}

void templates_end(struct template_place *p)
{
	spool_put(p->spool, p->node);
}

void templates_changed(struct fs *fs)
{
	drafts_templates_changed(fs->drafts);
}

fuse_ino_t templates_ino(const struct template_place *p)
{
	return p->top ? FIXED_TEMPLATES : FS_TEMPLATE_NODE | p->node->id << 1 | p->builtin;
}

void templates_attributes(struct template_place *p, struct stat *st)
{
	if (spool_stat(p->node, st) < 0)
		*st = (struct stat){.st_mode = S_IFREG};
	st->st_ino = templates_ino(p);
	st->st_uid = p->fs->uid;
	st->st_gid = p->fs->gid;
	if (p->builtin)
		st->st_mode &= ~(mode_t)0222;
	if (S_ISDIR(st->st_mode))
		st->st_nlink = 1;
}

static bool is_entry(struct spool *spool, const char *name)
{
	struct stat st;

	return spool && fstatat(spool_root(spool)->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISDIR(st.st_mode);
}

bool templates_is_builtin(struct fs *fs, const char *name)
{
	return is_entry(fs->templates->builtin, name);
}

int templates_entry(struct template_place *p, const char *name, struct fuse_entry_param *e,
	struct template_place *ret)
{
	bool builtin = p->builtin || (p->top && templates_is_builtin(p->fs, name));
	struct spool *spool = builtin ? p->fs->templates->builtin : p->spool;
	const struct spool_node *parent = builtin && !p->builtin ? spool_root(spool) : p->node;

	*ret = (struct template_place){.fs = p->fs, .spool = spool, .builtin = builtin};
	int r = parent ? spool_find(spool, parent, name, 0, &ret->node) : -ENOENT;
	if (r < 0)
		return r;
	struct stat st;
	templates_attributes(ret, &st);
	/* In the user's folder, what is no folder (nor leads to one) is no template. */
	if (p->top && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode)) {
		templates_end(ret);
		return -ENOENT;
	}
	*e = fs_entry(&st, TIMEOUT);
	return 0;
}

/* As templates_begin(), for a look into a directory: without any of the user's own, templates/ has
 * the built-in ones. */
static int begin_look(fuse_req_t req, fuse_ino_t ino, struct template_place *p)
{
	int r = templates_begin(req, ino, false, p);

	if (r < 0 && ino == FIXED_TEMPLATES) {
		p->spool = NULL;
		p->node = NULL;
		r = 0;
	}
	return r;
}

static void add_names(struct spool *spool, char ***names, size_t *count)
{
	int fd = spool ? spool_reopen(spool_root(spool), O_RDONLY | O_DIRECTORY) : -1;
	DIR *dir AUTO_CLOSEDIR = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		bool known = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");

		for (size_t i = 0; i < *count && !known; i++)
			known = !strcmp((*names)[i], entry->d_name);
		if (known || (entry->d_type != DT_DIR && entry->d_type != DT_LNK &&
			entry->d_type != DT_UNKNOWN))
			continue;
		*names = xrealloc(*names, (*count + 1) * sizeof(**names));
		(*names)[(*count)++] = xstrdup(entry->d_name);
	}
}

char **templates_names(struct fs *fs, bool own_only, size_t *count)
{
	struct spool *own = NULL;
	char **names = NULL;

	*count = 0;
	if (!own_only)
		add_names(fs->templates->builtin, &names, count);
	own_spool(fs->templates, false, &own);
	add_names(own, &names, count);
	return names;
}

bool templates_any_own(struct fs *fs)
{
	size_t count;
	char **names = templates_names(fs, true, &count);

	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
	return count > 0;
}

/* ---- handlers ---- */

/* Answers with the entry `name`, made (with `mode`) or found. */
static void reply_entry(fuse_req_t req, struct template_place *p, const char *name, int r, int mode)
{
	struct fuse_entry_param e;
	struct template_place found;
	struct fs *fs = p->fs;

	if (r == 0)
		r = templates_entry(p, name, &e, &found);
	if (r == 0 && mode >= 0 && !S_ISLNK(e.attr.st_mode) &&
		(e.attr.st_mode & 07777) != ((mode_t)mode & 07777)) {
		spool_chmod(found.node, (mode_t)mode);
		templates_attributes(&found, &e.attr);
	}
	templates_end(p);
	if (r == 0 && mode >= 0)
		templates_changed(fs);
	if (r < 0)
		fuse_reply_err(req, -r);
	else if (fuse_reply_entry(req, &e) != 0)
		templates_end(&found);
}

static void templates_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct template_place p;

	int r = begin_look(req, parent, &p);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		reply_entry(req, &p, name, 0, -1);
}

static void templates_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	struct templates *t = templates_fs(req)->templates;
	struct spool *spool = t->builtin;

	if (ino != FIXED_TEMPLATES && (ino & 1 || own_spool(t, false, &spool) == 0))
		spool_forget(spool, (ino & ~FS_TEMPLATE_NODE) >> 1, count);
	fuse_reply_none(req);
}

static void templates_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct template_place p;
	struct stat st;

	(void)fi;
	int r = begin_look(req, ino, &p);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	if (p.node)
		templates_attributes(&p, &st);
	else
		fs_attr(p.fs, ino, S_IFDIR | 0755, 0, p.fs->started_ns, &st);
	if (p.top)
		st.st_mode = S_IFDIR | 0755;
	templates_end(&p);
	fuse_reply_attr(req, &st, TIMEOUT);
}

static int set_attributes(struct template_place *p, const struct stat *attr, int to_set,
	const struct fuse_file_info *fi)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
	char proc[SPOOL_PROC_SIZE];
	int r = 0;

	if (p->top || (to_set & FUSE_SET_ATTR_UID && attr->st_uid != p->fs->uid) ||
		(to_set & FUSE_SET_ATTR_GID && attr->st_gid != p->fs->gid))
		return -EPERM;
	if (to_set & FUSE_SET_ATTR_MODE)
		r = spool_chmod(p->node, attr->st_mode);
	if (r == 0 && to_set & FUSE_SET_ATTR_SIZE)
		r = templates_cut(p, fi, attr->st_size);
	if (to_set & FUSE_SET_ATTR_ATIME_NOW)
		times[0].tv_nsec = UTIME_NOW;
	else if (to_set & FUSE_SET_ATTR_ATIME)
		times[0] = attr->st_atim;
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		times[1].tv_nsec = UTIME_NOW;
	else if (to_set & FUSE_SET_ATTR_MTIME)
		times[1] = attr->st_mtim;
	if (r == 0 && utimensat(AT_FDCWD, spool_proc(p->node, proc), times, 0) < 0)
		r = -errno;
	return r;
}

static void templates_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	struct fuse_file_info *fi)
{
	struct template_place p;
	struct stat st;

	int r = templates_begin_change(req, ino, false, &p);
	if (r == 0) {
		r = set_attributes(&p, attr, to_set, fi);
		templates_attributes(&p, &st);
		templates_changed(p.fs);
		templates_end(&p);
	}
	if (r < 0)
		fuse_reply_err(req, r == -EPERM && to_set & FUSE_SET_ATTR_SIZE ? EACCES : -r);
	else
		fuse_reply_attr(req, &st, TIMEOUT);
}

static void templates_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct template_place p;
	char target[4097];

	int r = templates_begin(req, ino, false, &p);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	ssize_t n = readlinkat(p.node->fd, "", target, sizeof(target) - 1);
	int error = errno;
	templates_end(&p);
	if (n < 0) {
		fuse_reply_err(req, error);
		return;
	}
	target[n] = '\0';
	fuse_reply_readlink(req, target);
}

static void templates_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct template_place p;

	int r = templates_begin_change(req, parent, parent == FIXED_TEMPLATES, &p);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	/* One's own hides no built-in one. */
	if (p.top && templates_is_builtin(p.fs, name))
		r = -EEXIST;
	else if (mkdirat(p.node->fd, name, spool_real_mode(S_IFDIR | mode)) < 0)
		r = -errno;
	reply_entry(req, &p, name, r, (int)(mode & 07777));
}

static void templates_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	dev_t dev)
{
	struct template_place p;

	(void)dev;
	int r = templates_begin_change(req, parent, false, &p);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	/* A template is a folder: no file stands beside them. */
	if (p.top || !S_ISREG(mode))
		r = -EPERM;
	else if (mknodat(p.node->fd, name, S_IFREG | spool_real_mode(S_IFREG | mode), 0) < 0)
		r = -errno;
	reply_entry(req, &p, name, r, (int)(mode & 07777));
}

static void templates_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
	const char *name)
{
	struct template_place p;

	int r = templates_begin_change(req, parent, false, &p);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	if (p.top)
		r = -EPERM;
	else if (symlinkat(target, p.node->fd, name) < 0)
		r = -errno;
	reply_entry(req, &p, name, r, 0777);
}

static void remove_entry(fuse_req_t req, fuse_ino_t parent, const char *name, int flags)
{
	struct template_place p;

	int r = templates_begin_change(req, parent, false, &p);
	if (r == 0) {
		if (p.top && templates_is_builtin(p.fs, name))
			r = -EPERM;
		else if (unlinkat(p.node->fd, name, flags) < 0)
			r = -errno;
		templates_changed(p.fs);
		templates_end(&p);
	}
	fuse_reply_err(req, -r);
}

static void templates_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_entry(req, parent, name, 0);
}

static void templates_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_entry(req, parent, name, AT_REMOVEDIR);
}

static int rename_entry(const struct template_place *from, const char *name,
	const struct template_place *to, const char *newname, unsigned flags)
{
	struct stat st;

	if (from->top && templates_is_builtin(from->fs, name))
		return -EPERM;
	if (to->top && templates_is_builtin(to->fs, newname))
		return flags & RENAME_EXCHANGE ? -EPERM : -EEXIST;
	if (fstatat(from->node->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (to->top && !from->top && !S_ISDIR(st.st_mode))
		return -EPERM;
	return renameat2(from->node->fd, name, to->node->fd, newname, flags) < 0 ? -errno : 0;
}

static void templates_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
	fuse_ino_t newparent, const char *newname, unsigned flags)
{
	struct template_place from, to;

	if (fs_ops(templates_fs(req), newparent) != &template_ops) {
		fuse_reply_err(req, EPERM);
		return;
	}
	int r = templates_begin_change(req, parent, false, &from);
	if (r == 0) {
		r = templates_begin_change(req, newparent, false, &to);
		if (r == 0) {
			r = rename_entry(&from, name, &to, newname, flags);
			templates_changed(to.fs);
			templates_end(&to);
		}
		templates_end(&from);
	}
	fuse_reply_err(req, -r);
}

const struct fuse_lowlevel_ops template_ops = {
	.lookup = templates_lookup,
	.forget = templates_forget,
	.getattr = templates_getattr,
	.setattr = templates_setattr,
	.readlink = templates_readlink,
	.mknod = templates_mknod,
	.mkdir = templates_mkdir,
	.symlink = templates_symlink,
	.unlink = templates_unlink,
	.rmdir = templates_rmdir,
	.rename = templates_rename,
	.open = templates_open,
	.create = templates_create,
	.read = templates_read,
	.write_buf = templates_write_buf,
	.flush = templates_flush,
	.release = templates_release,
	.fsync = templates_fsync,
	.opendir = templates_opendir,
	.readdir = templates_readdir,
	.readdirplus = templates_readdirplus,
	.releasedir = templates_releasedir,
	.fsyncdir = templates_fsyncdir,
};
