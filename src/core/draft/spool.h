/*
 * The tree of dropped files, SPOOL/new/, as nodes that the kernel can be given.
 *
 * A node is an inode of the local file system, held by an O_PATH descriptor and found by (device,
 * inode), as libfuse's passthrough does.  References are counted: the kernel's look-ups and those
 * of running operations alike.  Any thread may call anything; the lock is never held over the disk.
 *
 * The kernel remembers as many files as memory has room for, but a process has only so many
 * descriptors.  So where there are many, nodes that only the kernel refers to have theirs closed, and bear
 * their path instead until they are asked for again (spoolkeep.c).
 *
 * The daemon must always be able to read what was dropped, so a file's real mode has the owner's
 * rights added; where that differs from the mode asked for, the latter is in `user.slurmount.mode`.
 */
#ifndef SLURMOUNT_SPOOL_H
#define SLURMOUNT_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct spool;

struct spool_node {
	uint64_t id;              /* from 1, never used twice */
	int fd;                   /* O_PATH; valid for who has a reference that is not the kernel's */
	bool directory;
	bool special;             /* a FIFO, a socket or a device, which nobody here ever opens */
	_Atomic uint64_t serial;  /* of the draft it belongs to; 0 for the root */
	_Atomic uint64_t top;     /* of the draft whose top directory it is, or 0 */
	_Atomic int asked;        /* permission bits asked for, or -1: as they are */
	_Atomic unsigned writers; /* handles that have it open for writing, see draftcut.h */
	unsigned counted;         /* lock of drafts.c: of them, those that its draft counts */
	unsigned unflushed;       /* lock of drafts.c: and those that have written since their flush */
	/* under spool->lock */
	dev_t dev;
	ino_t ino;
	uint64_t references;
	uint64_t pins;            /* those of the references that are not the kernel's */
	char *path;               /* below the root, while it has no descriptor */
	struct spool_node *older, *newer; /* nodes without pins, as they lost the last one */
	bool idle;                /* it is one of these */
	bool hashed;              /* found by inode */
	struct spool_node *next_by_id;
	struct spool_node *next_by_inode;
};

/* Opens the folder, which must exist.  0 or a negative errno. */
int spool_open(const char *folder, struct spool **ret);
void spool_close(struct spool *spool);
/* The root; its reference is the spool's own. */
struct spool_node *spool_root(struct spool *spool);
/* A node by id with a new reference, or NULL: there is none, or it is not where it was.  Blocks on the
 * disk. */
struct spool_node *spool_get(struct spool *spool, uint64_t id);
struct spool_node *spool_ref(struct spool *spool, struct spool_node *node);
void spool_put(struct spool *spool, struct spool_node *node);
/* A reference is the kernel's from now on: to be called before it is told of the node, since it
 * may forget it again at once. */
void spool_hand_over(struct spool *spool, struct spool_node *node);
/* The kernel gives up `count` references. */
void spool_forget(struct spool *spool, uint64_t id, uint64_t count);

/* The node of an entry, with a new reference; one that is new belongs to the draft `serial`.
 * 0 or a negative errno. */
int spool_find(struct spool *spool, const struct spool_node *parent, const char *name,
	uint64_t serial, struct spool_node **ret);
/* The node of an inode, with a new reference, or NULL; it may be without a descriptor. */
struct spool_node *spool_of_inode(struct spool *spool, dev_t dev, ino_t ino);
/* No look-up finds this node any more: the next one makes a node of another id. */
void spool_detach(struct spool *spool, struct spool_node *node);
/* Calls `each` with the nodes of a draft, under no lock and with a reference. */
void spool_each(struct spool *spool, uint64_t serial,
	void (*each)(void *arg, struct spool_node *node), void *arg);
/* unlinkat() and renameat2() of entries: nodes without a descriptor are found again afterwards. */
int spool_unlink(struct spool *spool, const struct spool_node *parent, const char *name, int flags);
int spool_rename(struct spool *spool, const struct spool_node *from, const char *name,
	const struct spool_node *to, const char *newname, unsigned flags);
/* So many descriptors of nodes are kept open, if need be; half of the process's at first. */
void spool_limit(struct spool *spool, size_t descriptors);
/* The path below the root now, the caller's to free, or NULL: it is removed, or elsewhere. */
char *spool_path(struct spool *spool, const struct spool_node *node);

/* Attributes, the mode as it was asked for. */
int spool_stat(const struct spool_node *node, struct stat *ret);
int spool_chmod(struct spool_node *node, mode_t mode);
/* Opens a node's file or directory anew. A descriptor or a negative errno. */
int spool_reopen(const struct spool_node *node, int flags);
/* "/proc/self/fd/N", for calls that take no O_PATH descriptor. */
#define SPOOL_PROC_SIZE 32
const char *spool_proc(const struct spool_node *node, char buffer[SPOOL_PROC_SIZE]);
/* The owner and group, -1 for one that stays; neither: only its change time is new.
 * 0 or a negative errno, -EPERM where the disk does not let the daemon. */
int spool_chown(const struct spool_node *node, uid_t uid, gid_t gid);
/* The mode to make a file of that type and mode with. */
mode_t spool_real_mode(mode_t mode);

#endif
