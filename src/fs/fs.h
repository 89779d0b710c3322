/*
 * The mount's own state and its groups of handlers.
 *
 * Inode ids, all below 2^53 so that every program keeps them:
 *   1..63                        the fixed directories and files of the mount (enum fixed_ino)
 *   serial << 6 | part           a job's (or a draft's top) directory and fixed files (enum job_part)
 *   2^48 | n << 1 | file        drafts/_templates/NAME and its problems, n the name's number
 *   2^49 | n << 1 | builtin     a node below templates/, n from a counted table
 *   2^50 | serial << 6 | state  a link in by-state/STATE; without a serial the directory itself
 *   2^51 | n                     a node inside a draft's tree, n from a counted table (drafts)
 *   2^52 | n                     a node below a job's work/, n from a counted table (work)
 *   3 * 2^51 | serial << 25 | task << 3 | part   jobs/NAME/tasks/N and what is in it (taskdir)
 * Ids by arithmetic need no look-up count.  Each group of ids has a table of low-level handlers of
 * its own; session.c hands every request to the table of its inode's group.
 */
#ifndef SLURMOUNT_FS_H
#define SLURMOUNT_FS_H

#include <fuse_lowlevel.h>
#include <stdint.h>

#include "drafts.h"
#include "engine.h"
#include "model.h"
#include "profile.h"
#include "remote.h"
#include "store.h"
#include "template.h"

#define FS_TEMPLATE_VIEW (UINT64_C(1) << 48)
#define FS_TEMPLATE_NODE (UINT64_C(1) << 49)
#define FS_STATE_NODE (UINT64_C(1) << 50)
#define FS_DRAFT_NODE (UINT64_C(1) << 51)
#define FS_WORK_NODE (UINT64_C(1) << 52)
/* Both bits: no counted table comes so far. */
#define FS_TASK_NODE (UINT64_C(3) << 51)
#define FS_PART_BITS 6

enum fixed_ino {
	FIXED_ROOT = FUSE_ROOT_ID,
	FIXED_README,
	FIXED_JOBS,
	FIXED_NEW,     /* jobs/new: the root of the drafts' tree */
	FIXED_DRAFTS,
	FIXED_CLUSTER,
	FIXED_CONNECTION,
	FIXED_PARTITIONS,
	FIXED_LIMITS,
	FIXED_QUEUE,
	FIXED_BY_STATE,
	FIXED_WAIT,
	FIXED_EVENTS,
	FIXED_TEMPLATES,
	FIXED_TEMPLATE_VIEWS, /* drafts/_templates */
	FIXED_COUNT,
};

enum job_part {
	PART_DIR,                              /* jobs/NAME, or jobs/new/NAME before it is submitted */
	PART_FILE,                             /* + enum job_file */
	PART_WORK = PART_FILE + JOB_FILE_COUNT, /* jobs/NAME/work */
	PART_STDOUT,                           /* links */
	PART_STDERR,
	PART_TASKS,                            /* jobs/NAME/tasks of an array */
	PART_VIEW,                             /* drafts/NAME */
	PART_VIEW_FILE,                        /* + enum draft_file */
	PART_RENDERED = PART_VIEW_FILE + DRAFT_FILE_COUNT, /* drafts/NAME/rendered */
	PART_RENDERED_FILE,                    /* + its number */
	PART_WAIT = PART_RENDERED_FILE + TEMPLATE_RENDERED_MAX, /* wait/NAME, of a job or a draft */
};

struct notifier;
struct work;
struct hides;
struct bystate;
struct waits;
struct events;
struct announcer;
struct templates;

struct fs {
	struct fuse_session *session;
	const struct profile *profile;
	const struct clock *clock;
	struct model *model;
	struct drafts *drafts;
	struct store *store;
	struct engine *engine;
	struct remote *remote;
	struct notifier *notifier;
	struct work *work;
	uid_t uid; /* who mounted: the owner that everything shows */
	gid_t gid;
	int64_t started_ns;
	const char *spool;
	const char *mountpoint; /* absolute */
	const char *control; /* path of the socket that --login talks to */
	struct hides *hides;
	struct bystate *bystate;
	struct waits *waits;
	struct events *events;
	struct announcer *announcer;
	struct templates *templates;
	_Atomic int64_t jobs_ns; /* when a job was last added or removed: the mtime of jobs/ */
	bool debug;              /* log every request */
};

static inline fuse_ino_t fs_job_ino(uint64_t serial, unsigned part)
{
	return serial << FS_PART_BITS | part;
}
static inline uint64_t fs_serial(fuse_ino_t ino)
{
	return ino >> FS_PART_BITS;
}
static inline unsigned fs_part(fuse_ino_t ino)
{
	return ino & ((1u << FS_PART_BITS) - 1);
}

/* The groups.  fuse_req_userdata() is the struct fs.  Handlers never touch the network and never
 * notify the kernel; each replies exactly once, or hands the request on to be answered later. */
extern const struct fuse_lowlevel_ops fixed_ops; /* fixed.c: root, README, jobs, drafts, cluster */
extern const struct fuse_lowlevel_ops job_ops;   /* jobdir.c: jobs/NAME and its files, ctl */
extern const struct fuse_lowlevel_ops template_ops; /* templates.c: templates/ and all below it */
extern const struct fuse_lowlevel_ops template_view_ops; /* templateview.c: drafts/_templates */
extern const struct fuse_lowlevel_ops state_ops; /* bystate.c: by-state/STATE and its links */
extern const struct fuse_lowlevel_ops wait_ops;  /* wait.c: wait/NAME */
extern const struct fuse_lowlevel_ops view_ops;  /* view.c: drafts/NAME and its files */
extern const struct fuse_lowlevel_ops draft_ops; /* draft.c: jobs/new and all below it */
extern const struct fuse_lowlevel_ops task_ops;  /* taskdir.c: jobs/NAME/tasks and all below it */
extern const struct fuse_lowlevel_ops work_ops;  /* work.c: jobs/NAME/work and all below it */

/* The table for an inode: by arithmetic, and drafts_has() for PART_DIR. */
const struct fuse_lowlevel_ops *fs_ops(struct fs *fs, fuse_ino_t ino);

/* ---- attributes and replies (attr.c) ---- */

/* For what the notifier invalidates: until then the kernel need not ask. */
#define FS_LONG 86400.0

/* Fills `ret` for an inode of ours; nlink is 1, the owner who mounted, all times `ns`. */
void fs_attr(const struct fs *fs, fuse_ino_t ino, mode_t mode, uint64_t size, int64_t ns,
	struct stat *ret);
/* An entry of the given attributes whose two timeouts are `timeout`. */
struct fuse_entry_param fs_entry(const struct stat *attr, double timeout);
/* The part of `len` bytes that a READ asks for. */
void fs_reply_part(fuse_req_t req, const char *bytes, size_t len, size_t size, off_t off);
/* The same of a text that the file's release frees: that may come while the reply is still being
 * written, as far as a sanitizer can tell. */
void fs_reply_text(fuse_req_t req, const struct strbuf *text, size_t size, off_t off);
/* engine_done_fn for a request that is answered by an errno alone; `arg` is the request. */
void fs_reply_done(void *arg, int result);
/* The cluster's failures as a file's errno (positive). */
int fs_remote_errno(int error);
/* Whether its directory can be removed now. */
bool fs_job_removable(const struct job *job);

/* Opens a directory whose listing changes only with its times, or with a name the kernel is told to
 * forget. */
void fs_reply_opendir_kept(fuse_req_t req, struct fuse_file_info *fi);

/* A READDIR or READDIRPLUS reply being filled. */
struct fs_listing {
	fuse_req_t req;
	bool plus;
	char *bytes;
	size_t size, len;
};
void fs_listing_begin(struct fs_listing *l, fuse_req_t req, size_t size, bool plus);
/* False where it does not fit any more.  `next` is the offset behind this entry. */
bool fs_listing_add(struct fs_listing *l, const char *name, const struct fuse_entry_param *entry,
	off_t next);
/* Adds . and .. at the offsets 1 and 2, from `*off` on; false where they do not fit. */
bool fs_listing_dots(struct fs_listing *l, fuse_ino_t self, fuse_ino_t parent, off_t *off);
/* Whether an entry of that name would fit. */
bool fs_listing_fits(const struct fs_listing *l, const char *name);
/* Replies and frees; the reply's result. */
int fs_listing_end(struct fs_listing *l);

/* ---- parts of a job's directory that were removed one by one, until it is (hide.c) ---- */

#define HIDE_FILES ((1u << JOB_FILE_COUNT) - 1)
#define HIDE_WORK (1u << JOB_FILE_COUNT)
#define HIDE_STDOUT (1u << (JOB_FILE_COUNT + 1))
#define HIDE_STDERR (1u << (JOB_FILE_COUNT + 2))
#define HIDE_TASKS (1u << (JOB_FILE_COUNT + 3))

struct hides *hides_new(void);
void hides_free(struct hides *hides);
void hides_add(struct hides *hides, uint64_t serial, unsigned parts);
/* The parts that are hidden. */
unsigned hides_get(struct hides *hides, uint64_t serial);
void hides_drop(struct hides *hides, uint64_t serial);

/* ---- by-state (bystate.c); any thread ---- */

#define BYSTATE_MAX 64 /* states, those of Slurm's that jobstate.h does not know included */

struct bystate *bystate_new(struct fs *fs);
void bystate_free(struct bystate *bystate);
/* The word's number, or BYSTATE_MAX where there are too many: such a job is in no by-state. */
unsigned bystate_number(struct bystate *bystate, const char *word);
/* So many have a number. */
unsigned bystate_count(struct bystate *bystate);
fuse_ino_t bystate_ino(unsigned number);
/* A job came to that state or left it: the directory's times. */
void bystate_changed(struct bystate *bystate, unsigned number, int64_t now_ns);
/* For fixed.c: an entry of by-state itself; false where there is none. */
bool bystate_lookup(struct fs *fs, const char *name, struct fuse_entry_param *ret);
/* Adds the states that have jobs, at offsets above `base`. */
void bystate_list(struct fs *fs, struct fs_listing *l, off_t off, off_t base);

/* ---- wait/NAME (wait.c) ---- */

struct waits *waits_new(struct fs *fs);
/* Starts its thread; 0 or a negative errno. */
int waits_start(struct waits *waits);
/* A job that had not ended may have: the readers are looked at.  Any thread. */
void waits_look(struct waits *waits);
/* Answers all that wait (EIO), and joins; no request comes any more. */
void waits_stop(struct waits *waits);
void waits_free(struct waits *waits);
/* For fixed.c: an entry of wait/, a job's or a draft's; false where there is neither. */
bool wait_lookup(struct fs *fs, const char *name, struct fuse_entry_param *ret);

/* ---- templates/ (templates.c); any thread ---- */

struct templates *templates_new(void);
void templates_free(struct templates *templates);
/* Whether there is a template of the user's own. */
bool templates_any_own(struct fs *fs);

/* ---- events (events.c) ---- */

/* Makes the file `path` anew.  0 or a negative errno. */
int events_new(struct fs *fs, const char *path, struct events **ret, struct strbuf *why);
void events_free(struct events *events);
/* For model_on_state(); `arg` is the struct events.  Blocks on local disk. */
void events_state(void *arg, const struct job *before, const struct job *now);
/* For fixed.c. */
void events_attr(struct fs *fs, struct stat *ret);
void events_open(fuse_req_t req, struct fuse_file_info *fi);
void events_read(fuse_req_t req, size_t size, off_t off);

/* ---- extended attributes (xattr.c), with -o xattr ---- */

void xattr_get(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void xattr_list(fuse_req_t req, fuse_ino_t ino, size_t size);

/* ---- the notifier (notify.c): the one thread that tells the kernel what to forget ---- */

/* Takes up model_on_change() and drafts_on_stale(): `fs` has both by then, and no thread runs. */
struct notifier *notifier_new(struct fs *fs);
/* Starts the thread, which first tells what was queued before; 0 or -EAGAIN. */
int notifier_start(struct notifier *notifier);
/* A reply gave out a version that is no longer shown: its inodes are invalidated again. */
void notifier_again(struct notifier *notifier, uint64_t serial);
/* No notification is begun any more. */
void notifier_stop(struct notifier *notifier);
/* False where the thread hangs in the kernel; then it must not be freed. */
bool notifier_join(struct notifier *notifier);
void notifier_free(struct notifier *notifier);

/* ---- telling who watches the mount (announce.c) ---- */

struct announcer *announcer_new(struct fs *fs);
/* Starts its thread, which uses the mount: last of all.  0 or a negative errno. */
int announcer_start(struct announcer *announcer);
/* First of all, while requests are still served; may be called again.  False where the thread hangs
 * in the kernel; then it must not be freed.  Blocks up to 5 s. */
bool announcer_stop(struct announcer *announcer);
void announcer_free(struct announcer *announcer);
/* Any thread, before a reply: the kernel is given the inode of a job's directory or file; and when
 * it has forgotten it. */
void announcer_given(struct announcer *announcer, fuse_ino_t ino);
void announcer_forgotten(struct announcer *announcer, fuse_ino_t ino, uint64_t nlookup);
/* Any thread, when the kernel has been told: `files` are bits of 1 << job_file. */
void announcer_changed(struct announcer *announcer, uint64_t serial, unsigned files,
	bool directory);
/* A job that no rename made. */
void announcer_new_job(struct announcer *announcer, uint64_t serial);
/* A draft has become a job by itself: its directory, or (serial 0) one of its loose files. */
void announcer_gone_draft(struct announcer *announcer, const char *name, uint64_t serial);
/* A line was added to events. */
void announcer_events(struct announcer *announcer);
/* For session.c, before each of these: true where the request was the announcer's own, and has been
 * answered. */
bool announcer_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
bool announcer_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name);
bool announcer_remove(fuse_req_t req, fuse_ino_t parent, const char *name);
bool announcer_setattr(fuse_req_t req, fuse_ino_t ino);

/* ---- other groups' state ---- */

struct work *work_new(struct fs *fs);
int work_start(struct work *work);
/* Answers all that is queued, and joins; the remote has been aborted. */
void work_stop(struct work *work);
void work_free(struct work *work);

/* jobs/NAME, for jobs/'s look-ups and listing. */
struct fuse_entry_param jobdir_entry(const struct fs *fs, const struct job *job);
/* Replies with it, and sees to it that what went out does not stay stale. */
void jobdir_reply_entry(fuse_req_t req, const struct job *job);

/* The handlers that session.c gives to libfuse. */
extern const struct fuse_lowlevel_ops session_ops;

#endif
