/* The directories and files of the mount that are always there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clusterinfo.h"
#include "err.h"
#include "fs.h"

static const char readme[] =
	"This folder is a Slurm cluster: every job is a folder in jobs/.\n"
	"\n"
	"To submit, put the files and a config.ini into a folder in jobs/new/:\n"
	"\n"
	"    cp -r mysim jobs/new/            submitted by itself when the copying is done, or\n"
	"    mv jobs/new/mysim jobs/          at once\n"
	"\n"
	"config.ini says what is to run and what it needs:\n"
	"\n"
	"    [job]\n"
	"    command = ./run.sh input.dat\n"
	"    files = run.sh input.dat\n"
	"\n"
	"    [slurm]\n"
	"    time = 01:00:00\n"
	"    ntasks = 4\n"
	"    mem = 8G\n"
	"\n"
	"    cat drafts/mysim/problems        why it is not submitted yet\n"
	"    cat jobs/mysim/status            PENDING, RUNNING, COMPLETED, ...\n"
	"    cat jobs/mysim/progress          how far it is: NAMD, LAMMPS, GROMACS\n"
	"    cat jobs/mysim/error             what went wrong, and what to do\n"
	"    tail -f jobs/mysim/stdout        its output, while it runs\n"
	"    cat jobs/mysim/tasks/*/status    of an array: status, info, stdout ... of each task\n"
	"    cp jobs/mysim/work/result .      its files on the cluster\n"
	"    echo cancel > jobs/mysim/ctl     cat jobs/mysim/ctl lists what can be asked for now\n"
	"    echo resubmit > jobs/mysim/ctl   of a REJECTED job, once its config.ini is mended\n"
	"    rm -rf jobs/mysim                forgets the job and removes its folder on the cluster\n"
	"\n"
	"    cat wait/mysim                   waits until it has ended, and says how\n"
	"    tail -f events                   all changes of state\n"
	"    ls by-state/RUNNING              the jobs in a state, as links\n"
	"    cat cluster/connection           whether the cluster is reached, and since when\n"
	"    cat cluster/partitions           where jobs may run, and within which limits\n"
	"    ls templates                     what [job] template = NAME can name; yours go there, too\n"
	"\n"
	"Your own batch script works too: put a folder with it into jobs/new/ and mv that to jobs/;\n"
	"one that needs no other file, copied into jobs/new/ as it is, is submitted by itself.\n"
	"All of it: man slurmount, slurmount.ini, slurmount-templates, slurmount-template.\n";

/* One directory or file each; those of a `parent` are listed in this order. */
struct fixed {
	const char *name;
	fuse_ino_t parent;
	mode_t mode;
	void (*render)(struct fs *fs, struct strbuf *ret); /* of a file */
};

static void render_readme(struct fs *fs, struct strbuf *ret)
{
	(void)fs;
	strbuf_adds(ret, readme);
}

static void add_time(struct strbuf *ret, const char *key, int64_t ns)
{
	char text[CLOCK_ISO_SIZE];

	strbuf_addf(ret, "%s = %s\n", key, ns ? clock_iso(ns, text) : "never");
}

static void render_connection(struct fs *fs, struct strbuf *ret)
{
	static const char *const words[] = {
		[REMOTE_OFFLINE] = "offline",
		[REMOTE_CONNECTING] = "connecting",
		[REMOTE_ONLINE] = "online",
		[REMOTE_LOGIN_NEEDED] = "login needed: run slurmount --login",
	};
	struct connection now;

	model_get_connection(fs->model, &now);
	strbuf_addf(ret, "state = %s", words[now.state]);
	if (now.state == REMOTE_LOGIN_NEEDED) {
		strbuf_addc(ret, ' ');
		strbuf_add_escaped(ret, fs->mountpoint, strlen(fs->mountpoint));
	}
	strbuf_addc(ret, '\n');
	strbuf_adds(ret, "text = ");
	strbuf_add_escaped(ret, now.text, strlen(now.text));
	strbuf_addc(ret, '\n');
	add_time(ret, "since", now.since_ns);
	add_time(ret, "states_asked", now.asked_ns);
	strbuf_adds(ret, "problem = ");
	strbuf_add_escaped(ret, now.problem, strlen(now.problem));
	if (*now.note) {
		strbuf_adds(ret, "\nnote = ");
		strbuf_add_escaped(ret, now.note, strlen(now.note));
	}
	if (*now.unwritten) {
		strbuf_adds(ret, "\ndatabase = ");
		strbuf_add_escaped(ret, now.unwritten, strlen(now.unwritten));
	}
	strbuf_addf(ret, "\ncontrol_socket = %s\n", fs->control);
}

/* When the cluster was asked for a table. */
static int64_t add_table(struct fs *fs, enum cluster_table which, struct strbuf *ret)
{
	int64_t asked_ns;

	clusterinfo_table(model_cluster(fs->model), which, ret, &asked_ns);
	return asked_ns ? asked_ns : fs->started_ns;
}

static void render_partitions(struct fs *fs, struct strbuf *ret)
{
	add_table(fs, CLUSTER_PARTITIONS, ret);
}

static void render_limits(struct fs *fs, struct strbuf *ret)
{
	add_table(fs, CLUSTER_LIMITS, ret);
}

static void render_queue(struct fs *fs, struct strbuf *ret)
{
	add_table(fs, CLUSTER_QUEUE, ret);
}

/* Made anew at each look, so the kernel keeps nothing of it. */
static bool is_live(fuse_ino_t ino)
{
	return ino == FIXED_CONNECTION || ino == FIXED_PARTITIONS || ino == FIXED_LIMITS ||
		ino == FIXED_QUEUE;
}

static const struct fixed table[FIXED_COUNT] = {
	[FIXED_ROOT] = {"", 0, S_IFDIR | 0755, NULL},
	[FIXED_README] = {"README", FIXED_ROOT, S_IFREG | 0444, render_readme},
	[FIXED_JOBS] = {"jobs", FIXED_ROOT, S_IFDIR | 0755, NULL},
	[FIXED_NEW] = {"new", FIXED_JOBS, S_IFDIR | 0755, NULL},
	[FIXED_DRAFTS] = {"drafts", FIXED_ROOT, S_IFDIR | 0555, NULL},
	[FIXED_BY_STATE] = {"by-state", FIXED_ROOT, S_IFDIR | 0555, NULL},
	[FIXED_WAIT] = {"wait", FIXED_ROOT, S_IFDIR | 0555, NULL},
	[FIXED_EVENTS] = {"events", FIXED_ROOT, S_IFREG | 0444, NULL},
	[FIXED_TEMPLATES] = {"templates", FIXED_ROOT, S_IFDIR | 0755, NULL},
	[FIXED_TEMPLATE_VIEWS] = {"_templates", FIXED_DRAFTS, S_IFDIR | 0555, NULL},
	[FIXED_CLUSTER] = {"cluster", FIXED_ROOT, S_IFDIR | 0555, NULL},
	[FIXED_CONNECTION] = {"connection", FIXED_CLUSTER, S_IFREG | 0444, render_connection},
	[FIXED_PARTITIONS] = {"partitions", FIXED_CLUSTER, S_IFREG | 0444, render_partitions},
	[FIXED_LIMITS] = {"limits", FIXED_CLUSTER, S_IFREG | 0444, render_limits},
	[FIXED_QUEUE] = {"queue", FIXED_CLUSTER, S_IFREG | 0444, render_queue},
};

static struct fs *of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* The drop box is a folder of the spool, whose times are the true ones. */
static int64_t new_ns(const struct fs *fs)
{
	AUTO_FREE char *path = xasprintf("%s/new", fs->spool);
	struct stat st;

	if (stat(path, &st))
		return fs->started_ns;
	return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

static void fixed_attr(struct fs *fs, fuse_ino_t ino, struct stat *ret)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	int64_t ns = fs->started_ns;

	if (ino == FIXED_EVENTS) {
		events_attr(fs, ret);
		return;
	}
	if (ino >= FIXED_PARTITIONS && ino <= FIXED_QUEUE)
		ns = add_table(fs, (enum cluster_table)(ino - FIXED_PARTITIONS), &text);
	else if (table[ino].render)
		table[ino].render(fs, &text);
	if (ino == FIXED_JOBS || ino == FIXED_BY_STATE)
		ns = atomic_load(&fs->jobs_ns);
	else if (ino == FIXED_NEW)
		ns = new_ns(fs);
	else if (ino == FIXED_CONNECTION)
		ns = clock_real_ns(fs->clock);
	fs_attr(fs, ino, table[ino].mode, text.len, ns, ret);
}

static double timeout_of(fuse_ino_t ino)
{
	if (is_live(ino) || ino == FIXED_EVENTS || ino == FIXED_DRAFTS || ino == FIXED_NEW ||
		ino == FIXED_TEMPLATES)
		return 0;
	return ino == FIXED_JOBS || ino == FIXED_BY_STATE ? 1 : FS_LONG;
}

static struct fuse_entry_param fixed_entry(struct fs *fs, fuse_ino_t ino)
{
	struct fuse_entry_param entry;
	struct stat attr;

	fixed_attr(fs, ino, &attr);
	entry = fs_entry(&attr, timeout_of(ino));
	entry.entry_timeout = FS_LONG; /* these names are for ever */
	return entry;
}

/* A draft's directory below drafts/: its attributes are asked of the view itself. */
static struct fuse_entry_param view_entry(struct fs *fs, uint64_t serial)
{
	struct stat attr;

	fs_attr(fs, fs_job_ino(serial, PART_VIEW), S_IFDIR | 0555, 0, fs->started_ns, &attr);
	return fs_entry(&attr, 0);
}

static void lookup_in_jobs(fuse_req_t req, const char *name)
{
	AUTO_JOB struct job *job = model_shown_by_name(of(req)->model, name);

	if (job)
		jobdir_reply_entry(req, job);
	else
		fuse_reply_err(req, ENOENT);
}

static void lookup_in_drafts(fuse_req_t req, const char *name)
{
	uint64_t serial = drafts_by_name(of(req)->drafts, name);
	struct fuse_entry_param entry;

	if (!serial) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	entry = view_entry(of(req), serial);
	fuse_reply_entry(req, &entry);
}

static void fixed_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	for (fuse_ino_t ino = 1; ino < FIXED_COUNT; ino++)
		if (table[ino].parent == parent && !strcmp(table[ino].name, name)) {
			struct fuse_entry_param entry = fixed_entry(of(req), ino);

			fuse_reply_entry(req, &entry);
			return;
		}
	struct fuse_entry_param found;
	if ((parent == FIXED_BY_STATE && bystate_lookup(of(req), name, &found)) ||
		(parent == FIXED_WAIT && wait_lookup(of(req), name, &found)))
		fuse_reply_entry(req, &found);
	else if (parent == FIXED_JOBS)
		lookup_in_jobs(req, name);
	else if (parent == FIXED_DRAFTS)
		lookup_in_drafts(req, name);
	else
		fuse_reply_err(req, ENOENT);
}

static void fixed_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat attr;

	(void)fi;
	if (ino >= FIXED_COUNT) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	fixed_attr(of(req), ino, &attr);
	fuse_reply_attr(req, &attr, timeout_of(ino));
}

/* ---- files: what is read is what it was when it was opened ---- */

static void fixed_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct strbuf *text;

	if (ino >= FIXED_COUNT || S_ISDIR(table[ino].mode) || (fi->flags & O_ACCMODE) != O_RDONLY ||
		fi->flags & O_TRUNC) {
		fuse_reply_err(req, EACCES);
		return;
	}
	if (ino == FIXED_EVENTS) {
		events_open(req, fi);
		return;
	}
	text = xmalloc(sizeof(*text));
	*text = STRBUF_INIT;
	table[ino].render(of(req), text);
	if (ino == FIXED_QUEUE)
		engine_want_queue(of(req)->engine);
	fi->fh = (uintptr_t)text;
	fi->direct_io = is_live(ino);
	fi->keep_cache = !is_live(ino);
	fi->noflush = 1;
	if (fuse_reply_open(req, fi) == 0)
		return;
	strbuf_release(text);
	free(text);
}

static void fixed_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	const struct strbuf *text = (const struct strbuf *)(uintptr_t)fi->fh;

	if (ino == FIXED_EVENTS)
		events_read(req, size, off);
	else
		fs_reply_text(req, text, size, off);
}

static void fixed_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct strbuf *text = (struct strbuf *)(uintptr_t)fi->fh;

	(void)ino;
	if (text)
		strbuf_release(text);
	free(text);
	fuse_reply_err(req, 0);
}

/* ---- listings ---- */

/* Offsets: an entry of the table has its inode number plus 2, a job its serial behind all those. */
#define OFF_ENTRY(ino) ((off_t)(ino) + 2)
#define OFF_MORE OFF_ENTRY(FIXED_COUNT)

/* Jobs in the order of their serials: what comes or goes meanwhile moves no other. */
static void list_jobs(struct fs *fs, struct fs_listing *l, off_t off)
{
	uint64_t after = off > OFF_MORE ? (uint64_t)(off - OFF_MORE) : 0;
	struct job *jobs[128];
	size_t n;
	bool room = true;

	while (room && (n = model_list(fs->model, after, jobs, 128)) > 0)
		for (size_t i = 0; i < n; i++) {
			struct fuse_entry_param entry = jobdir_entry(fs, jobs[i]);

			after = jobs[i]->serial;
			room = room && fs_listing_add(l, jobs[i]->name, &entry,
					       OFF_MORE + (off_t)after);
			if (room && l->plus)
				announcer_given(fs->announcer, entry.ino);
			job_unref(jobs[i]);
		}
}

struct draft_names {
	struct fs *fs;
	struct fs_listing *l;
	off_t off;
	uint64_t last;
	struct {
		char *name;
		uint64_t serial;
	} *items;
	size_t count;
};

static void keep_draft(void *arg, const char *name, uint64_t serial)
{
	struct draft_names *names = arg;

	if (OFF_MORE + (off_t)serial <= names->off)
		return;
	names->items = xrealloc(names->items, (names->count + 1) * sizeof(*names->items));
	names->items[names->count].name = xstrdup(name);
	names->items[names->count++].serial = serial;
}

static int by_serial(const void *a, const void *b)
{
	const uint64_t *x = (const uint64_t *)((const char *)a + sizeof(char *));
	const uint64_t *y = (const uint64_t *)((const char *)b + sizeof(char *));

	return *x < *y ? -1 : *x > *y;
}

static void list_drafts(struct fs *fs, struct fs_listing *l, off_t off)
{
	struct draft_names names = {.fs = fs, .l = l, .off = off};
	bool room = true;

	drafts_each(fs->drafts, keep_draft, &names);
	if (names.count)
		qsort(names.items, names.count, sizeof(*names.items), by_serial);
	for (size_t i = 0; i < names.count; i++) {
		struct fuse_entry_param entry = view_entry(fs, names.items[i].serial);

		room = room && fs_listing_add(l, names.items[i].name, &entry,
				       OFF_MORE + (off_t)names.items[i].serial);
		free(names.items[i].name);
	}
	free(names.items);
}

static void list(fuse_req_t req, fuse_ino_t self, size_t size, off_t off, bool plus)
{
	struct fs *fs = of(req);
	struct fs_listing l;

	if (self >= FIXED_COUNT || !S_ISDIR(table[self].mode)) {
		fuse_reply_err(req, ENOTDIR);
		return;
	}
	fs_listing_begin(&l, req, size, plus);
	bool room = fs_listing_dots(&l, self, table[self].parent ? table[self].parent : self, &off);
	for (fuse_ino_t ino = 1; room && ino < FIXED_COUNT; ino++)
		if (table[ino].parent == self && off < OFF_ENTRY(ino) &&
			(ino != FIXED_TEMPLATE_VIEWS || templates_any_own(fs))) {
			struct fuse_entry_param entry = fixed_entry(fs, ino);

			room = fs_listing_add(&l, table[ino].name, &entry, OFF_ENTRY(ino));
		}
	if (room && self == FIXED_JOBS)
		list_jobs(fs, &l, off);
	else if (room && self == FIXED_DRAFTS)
		list_drafts(fs, &l, off);
	else if (room && self == FIXED_BY_STATE)
		bystate_list(fs, &l, off, OFF_MORE);
	fs_listing_end(&l);
}

static void fixed_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, false);
}

static void fixed_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, true);
}

/* ---- removing a job ---- */

struct removal {
	fuse_req_t req;
	struct fs *fs;
	uint64_t serial;
};

static void removed(void *arg, int result)
{
	struct removal *removal = arg;

	/* What stays is shown whole again: rm has taken its parts away before the directory. */
	hides_drop(removal->fs->hides, removal->serial);
	if (result < 0)
		notifier_again(removal->fs->notifier, removal->serial);
	fuse_reply_err(removal->req, -result);
	free(removal);
}

static void fixed_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = of(req);

	if (parent != FIXED_JOBS) {
		fuse_reply_err(req, EPERM);
		return;
	}
	AUTO_JOB struct job *job = model_shown_by_name(fs->model, name);
	if (!job) {
		fuse_reply_err(req, strcmp(name, "new") ? ENOENT : EPERM);
		return;
	}
	struct removal *removal = xmalloc(sizeof(*removal));
	*removal = (struct removal){req, fs, job->serial};
	engine_remove(fs->engine, job->serial, removed, removal);
}

const struct fuse_lowlevel_ops fixed_ops = {
	.lookup = fixed_lookup,
	.getattr = fixed_getattr,
	.open = fixed_open,
	.read = fixed_read,
	.release = fixed_release,
	.readdir = fixed_readdir,
	.readdirplus = fixed_readdirplus,
	.rmdir = fixed_rmdir,
};
