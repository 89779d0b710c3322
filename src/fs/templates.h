/*
 * The mount's templates/: the built-in templates read-only, the user's own writable.
 *
 * The user's own lie in template_own_folder() of this machine, in their final form from the first
 * byte, so that they can be edited in either place, and outlive the mount and its state.  Each use
 * validates: what is wrong with one is in drafts/_templates/NAME/problems.
 *
 * A node is an inode of the local file system, as in spool.h; the two folders have a spool each.
 */
#ifndef SLURMOUNT_FS_TEMPLATES_H
#define SLURMOUNT_FS_TEMPLATES_H

#include "fs.h"
#include "spool.h"

struct templates {
	char *own_folder;      /* NULL: there is no home to keep them in */
	struct spool *builtin; /* NULL: there are none */
	pthread_mutex_t lock;
	struct spool *own;     /* lock; NULL until its folder is there, then for good */
	char **views;          /* lock; the names that drafts/_templates has given out, by number */
	size_t view_count;     /* lock */
};

/* A file or directory that an operation works on. */
struct template_place {
	struct fs *fs;
	struct spool *spool;
	struct spool_node *node; /* a reference */
	bool builtin;
	bool top;                /* templates/ itself; the node is the root of the user's own */
};

static inline struct fs *templates_fs(fuse_req_t req)
{
	return fuse_req_userdata(req);
}
/* 0, -ESTALE, or for templates/ itself -ENOENT where there are none of the user's own and `make` is
 * false; with `make` their folder is made.  End with templates_end(). */
int templates_begin(fuse_req_t req, fuse_ino_t ino, bool make, struct template_place *p);
/* As templates_begin(), for an operation that changes something: -EPERM in a built-in template. */
int templates_begin_change(fuse_req_t req, fuse_ino_t ino, bool make, struct template_place *p);
void templates_end(struct template_place *p);
/* Something of the user's own has changed: drafts are looked at again. */
void templates_changed(struct fs *fs);

/* The entry `name` of the place with a reference to its node; at the top of either folder. */
int templates_entry(struct template_place *p, const char *name, struct fuse_entry_param *e,
	struct template_place *ret);
void templates_attributes(struct template_place *p, struct stat *st);
fuse_ino_t templates_ino(const struct template_place *p);
bool templates_is_builtin(struct fs *fs, const char *name);
/* The names in templates/, or of the user's own alone, to be freed with the list. */
char **templates_names(struct fs *fs, bool own_only, size_t *count);

/* ---- templateio.c ---- */

void templates_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void templates_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi);
void templates_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi);
void templates_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *in, off_t off,
	struct fuse_file_info *fi);
void templates_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void templates_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void templates_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
/* Cuts or lengthens a file, by its handle where there is one. */
int templates_cut(struct template_place *p, const struct fuse_file_info *fi, off_t size);
void templates_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void templates_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi);
void templates_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi);
void templates_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void templates_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

#endif
