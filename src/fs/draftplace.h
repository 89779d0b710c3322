/*
 * What the handlers of drafts share: jobs/new and all below it, served from the spool's disk.
 */
#ifndef SLURMOUNT_DRAFTPLACE_H
#define SLURMOUNT_DRAFTPLACE_H

#include <stdbool.h>

#include "fs.h"
#include "spool.h"

/* Only the mount changes drafts, and the kernel knows what it did. */
#define DRAFT_TIMEOUT 3600.0

/* A directory or file that an operation works on, and the draft that it belongs to. */
struct place {
	struct fs *fs;
	struct spool *spool;
	struct spool_node *node;
	uint64_t serial; /* of the operation that was begun; 0: in jobs/new itself */
};

struct fs *draft_fs(fuse_req_t req);
/* The node behind an inode, a reference of the caller's, or NULL. */
struct spool_node *draft_node(struct fs *fs, fuse_ino_t ino);
/* The node's inode as the kernel knows it. */
fuse_ino_t draft_ino(const struct fs *fs, const struct spool_node *node);
/* The node's attributes as the mount shows them: 0 or a negative errno. */
int draft_attributes(const struct fs *fs, const struct spool_node *node, struct stat *st);
/* NULL where `fi` is. */
struct draft_handle *draft_handle_of(const struct fuse_file_info *fi);
/* Before a reply with `ino`, whose reference is the kernel's from then on: it may forget it again at
 * once.  Directories at the top are known by their serial, and their look-ups are not counted. */
void draft_give_entry(struct spool *spool, struct spool_node *node, fuse_ino_t ino);
/* The reply did not reach the kernel. */
void draft_entry_not_taken(struct spool *spool, fuse_ino_t ino);

/* Begins an operation on `ino`, which place_end() ends: 0; -ESTALE, and nothing to end. */
int place_begin(fuse_req_t req, fuse_ino_t ino, struct place *p);
/* As place_begin(), of a directory in which something that is no directory is made. */
int place_begin_making(fuse_req_t req, fuse_ino_t ino, struct place *p);
void place_end(struct place *p, enum draft_effect effect, int result);
/* Whether it is jobs/new itself. */
bool place_is_root(const struct place *p);
/* The entry `name` with a reference for draft_give_entry(). */
int place_find(struct place *p, const char *name, struct fuse_entry_param *e,
	struct spool_node **ret);
#define PLACE_FOUND (-1) /* for place_reply_entry(): nothing was made */
/* Ends the operation, which made (with `mode`) or found `name`, and answers it. */
void place_reply_entry(fuse_req_t req, struct place *p, const char *name, int r, int mode);
/* The one way to cut a file: open with O_TRUNC, and truncate with and without a handle. */
int place_cut(struct place *p, struct draft_handle *handle, off_t size);
/* Whether what is made in it belongs to its group instead of its maker's. */
bool place_hands_down_group(const struct place *p);
/* `name` was made by us, for whoever asked: it is theirs, as far as the disk lets us. */
void place_own(fuse_req_t req, const struct place *p, const char *name);
/* Whether `name` in it is the draft's configuration. */
bool place_is_config(const struct place *p, const char *name);

/* draftname.c: names made, removed and changed. */
void draft_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev);
void draft_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void draft_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void draft_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void draft_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void draft_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void draft_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned int flags);
/* draftio.c: open files. */
void draft_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void draft_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi);
void draft_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi);
void draft_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *in, off_t off,
	struct fuse_file_info *fi);
void draft_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void draft_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void draft_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void draft_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
	struct fuse_file_info *fi);
void draft_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
	struct fuse_file_info *fi);
void draft_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
	struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
	struct fuse_file_info *fi_out, size_t len, int flags);
/* draftdir.c: listings. */
void draft_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void draft_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi);
void draft_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi);
void draft_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void draft_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

#endif
