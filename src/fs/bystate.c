/*
 * by-state/STATE/NAME: links to the jobs in each state.
 *
 * A state is known here by a small number: its place in jobstate.h's table, or behind that for the
 * words of Slurm's that the table lacks, in the order in which they were met.  Inode ids are made of
 * that number and the job's serial, so a link that moves to another state is another inode.  Only
 * states that have jobs are listed; the table's own can be looked up always, and be empty.
 *
 * The kernel keeps the links until the notifier tells it that their job has left the state.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "fs.h"
#include "jobstate.h"

#define STATE_BITS 6
_Static_assert(BYSTATE_MAX == 1 << STATE_BITS, "a state's number fits its place in an inode id");

struct bystate {
	struct fs *fs;
	pthread_mutex_t lock;
	char others[BYSTATE_MAX][JOB_STATE_SIZE]; /* lock */
	unsigned other_count;                     /* lock */
	_Atomic int64_t changed_ns[BYSTATE_MAX];  /* jobs came to it or left it; 0: not since the start */
};

struct bystate *bystate_new(struct fs *fs)
{
	struct bystate *b = xcalloc(1, sizeof(*b));

	b->fs = fs;
	pthread_mutex_init(&b->lock, NULL);
	return b;
}

void bystate_free(struct bystate *b)
{
	if (!b)
		return;
	pthread_mutex_destroy(&b->lock);
	free(b);
}

/* Under the lock. */
static unsigned find_other(const struct bystate *b, const char *word)
{
	unsigned i = 0;

	while (i < b->other_count && strcmp(b->others[i], word))
		i++;
	return i;
}

unsigned bystate_number(struct bystate *b, const char *word)
{
	unsigned known = jobstate_number(word);

	if (known < jobstate_count_known())
		return known;
	WITH_LOCK(&b->lock);
	unsigned i = find_other(b, word);
	if (known + i >= BYSTATE_MAX)
		return BYSTATE_MAX;
	if (i == b->other_count)
		strcpy(b->others[b->other_count++], word);
	return known + i;
}

/* The number of a word that is known already, or BYSTATE_MAX. */
static unsigned number_met(struct bystate *b, const char *word)
{
	unsigned known = jobstate_number(word);

	if (known < jobstate_count_known())
		return known;
	WITH_LOCK(&b->lock);
	unsigned i = find_other(b, word);
	return i < b->other_count ? known + i : BYSTATE_MAX;
}

/* Of a number that bystate_number() gave. */
static void word_of(struct bystate *b, unsigned number, char word[JOB_STATE_SIZE])
{
	unsigned known = jobstate_count_known();

	if (number < known) {
		strcpy(word, jobstate_word(number));
		return;
	}
	WITH_LOCK(&b->lock);
	strcpy(word, number - known < b->other_count ? b->others[number - known] : "");
}

unsigned bystate_count(struct bystate *b)
{
	WITH_LOCK(&b->lock);
	return jobstate_count_known() + b->other_count;
}

fuse_ino_t bystate_ino(unsigned number)
{
	return FS_STATE_NODE | number;
}

static fuse_ino_t link_ino(uint64_t serial, unsigned number)
{
	return FS_STATE_NODE | serial << STATE_BITS | number;
}

static unsigned number_of(fuse_ino_t ino)
{
	return ino & (BYSTATE_MAX - 1);
}

/* 0 for a state's directory. */
static uint64_t serial_of(fuse_ino_t ino)
{
	return (ino & ~FS_STATE_NODE) >> STATE_BITS;
}

void bystate_changed(struct bystate *b, unsigned number, int64_t now_ns)
{
	atomic_store(&b->changed_ns[number], now_ns);
}

static struct fs *of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* ---- attributes ---- */

/* Of links: a job that is removed while a reply of ours is on its way leaves nobody to tell the
 * kernel a second time, so this bounds how long such a link can be seen. */
#define LINK_SECONDS 60.0

static void dir_attr(struct fs *fs, unsigned number, struct stat *ret)
{
	int64_t ns = atomic_load(&fs->bystate->changed_ns[number]);

	fs_attr(fs, bystate_ino(number), S_IFDIR | 0555, 0, ns ? ns : fs->started_ns, ret);
}

static struct fuse_entry_param dir_entry(struct fs *fs, unsigned number)
{
	struct fuse_entry_param entry;
	struct stat attr;

	dir_attr(fs, number, &attr);
	entry = fs_entry(&attr, 1);
	entry.entry_timeout = FS_LONG; /* a word keeps its number */
	return entry;
}

static char *link_target(const struct job *job)
{
	return xasprintf("../../jobs/%s", job->name);
}

static void link_attr(struct fs *fs, const struct job *job, unsigned number, struct stat *ret)
{
	AUTO_FREE char *target = link_target(job);

	fs_attr(fs, link_ino(job->serial, number), S_IFLNK | 0777, strlen(target), job->state_ns, ret);
}

/* The job of a link, a reference of the caller's, or NULL where it has left the state. */
static struct job *job_of(struct fs *fs, fuse_ino_t ino)
{
	char word[JOB_STATE_SIZE];
	struct job *job = serial_of(ino) ? model_shown(fs->model, serial_of(ino)) : NULL;

	word_of(fs->bystate, number_of(ino), word);
	if (job && !strcmp(job->state, word))
		return job;
	job_unref(job);
	return NULL;
}

static void recheck(struct fs *fs, const struct job *job)
{
	if (!model_is_shown(fs->model, job))
		notifier_again(fs->notifier, job->serial);
}

/* ---- by-state itself, for fixed.c ---- */

bool bystate_lookup(struct fs *fs, const char *name, struct fuse_entry_param *ret)
{
	unsigned number = number_met(fs->bystate, name);

	if (number == BYSTATE_MAX)
		return false;
	*ret = dir_entry(fs, number);
	return true;
}

/* A bit for each state that has a job. */
static uint64_t present(struct fs *fs)
{
	struct job *jobs[128];
	uint64_t mask = 0, after = 0;
	size_t n;

	while ((n = model_list(fs->model, after, jobs, 128)) > 0)
		for (size_t i = 0; i < n; i++) {
			unsigned number = bystate_number(fs->bystate, jobs[i]->state);

			if (number < BYSTATE_MAX)
				mask |= UINT64_C(1) << number;
			after = jobs[i]->serial;
			job_unref(jobs[i]);
		}
	return mask;
}

void bystate_list(struct fs *fs, struct fs_listing *l, off_t off, off_t base)
{
	uint64_t mask = present(fs);
	char word[JOB_STATE_SIZE];
	bool room = true;

	for (unsigned i = off > base ? (unsigned)(off - base) : 0; room && i < BYSTATE_MAX; i++)
		if (mask & UINT64_C(1) << i) {
			struct fuse_entry_param entry = dir_entry(fs, i);

			word_of(fs->bystate, i, word);
			room = fs_listing_add(l, word, &entry, base + (off_t)i + 1);
		}
}

/* ---- by-state/STATE ---- */

static void state_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = of(req);
	AUTO_JOB struct job *job = model_shown_by_name(fs->model, name);
	unsigned number = number_of(parent);
	struct stat attr;

	if (!job || serial_of(parent) || number_met(fs->bystate, job->state) != number) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	link_attr(fs, job, number, &attr);
	struct fuse_entry_param entry = fs_entry(&attr, LINK_SECONDS);
	fuse_reply_entry(req, &entry);
	recheck(fs, job);
}

static void state_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = of(req);
	struct stat attr;

	(void)fi;
	if (!serial_of(ino)) {
		dir_attr(fs, number_of(ino), &attr);
		fuse_reply_attr(req, &attr, 1);
		return;
	}
	AUTO_JOB struct job *job = job_of(fs, ino);
	if (!job) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	link_attr(fs, job, number_of(ino), &attr);
	fuse_reply_attr(req, &attr, LINK_SECONDS);
	recheck(fs, job);
}

static void state_readlink(fuse_req_t req, fuse_ino_t ino)
{
	AUTO_JOB struct job *job = job_of(of(req), ino);
	AUTO_FREE char *target = job ? link_target(job) : NULL;

	if (target)
		fuse_reply_readlink(req, target);
	else
		fuse_reply_err(req, serial_of(ino) ? ENOENT : EINVAL);
}

/* What was given out of a listing must not stay stale either. */
struct given {
	struct job *jobs[128];
	size_t count;
};

static void recheck_all(struct fs *fs, struct given *given)
{
	for (size_t i = 0; i < given->count; i++) {
		recheck(fs, given->jobs[i]);
		job_unref(given->jobs[i]);
	}
}

/* Jobs in the order of their serials, which are the offsets behind those of . and .. */
static void list(fuse_req_t req, fuse_ino_t self, size_t size, off_t off, bool plus)
{
	struct fs *fs = of(req);
	struct given given = {.count = 0};
	struct job *jobs[128];
	char word[JOB_STATE_SIZE];
	struct fs_listing l;
	size_t n;

	if (serial_of(self)) {
		fuse_reply_err(req, ENOTDIR);
		return;
	}
	word_of(fs->bystate, number_of(self), word);
	fs_listing_begin(&l, req, size, plus);
	bool room = fs_listing_dots(&l, self, FIXED_BY_STATE, &off);
	uint64_t after = off > 2 ? (uint64_t)(off - 2) : 0;
	while (room && (n = model_list(fs->model, after, jobs, 128)) > 0)
		for (size_t i = 0; i < n; i++) {
			struct stat attr;

			after = jobs[i]->serial;
			if (!room || strcmp(jobs[i]->state, word)) {
				job_unref(jobs[i]);
				continue;
			}
			link_attr(fs, jobs[i], number_of(self), &attr);
			struct fuse_entry_param entry = fs_entry(&attr, LINK_SECONDS);
			room = given.count < 128 &&
				fs_listing_add(&l, jobs[i]->name, &entry, (off_t)after + 2);
			if (room && plus)
				given.jobs[given.count++] = jobs[i];
			else
				job_unref(jobs[i]);
		}
	fs_listing_end(&l);
	recheck_all(fs, &given);
}

static void state_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, false);
}

static void state_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, true);
}

const struct fuse_lowlevel_ops state_ops = {
	.lookup = state_lookup,
	.getattr = state_getattr,
	.readlink = state_readlink,
	.readdir = state_readdir,
	.readdirplus = state_readdirplus,
};
