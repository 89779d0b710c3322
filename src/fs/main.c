/*
 * slurmount: from the command line to the mount and back.
 *
 * The daemon is forked off first and does everything: threads and the database do not survive a
 * fork.  It keeps the terminal until it is authenticated and mounted, says so through a pipe, and
 * then leaves the terminal; its parent ends with what the pipe says.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "childproc.h"
#include "cli.h"
#include "control.h"
#include "err.h"
#include "guard.h"
#include "installation.h"
#include "log.h"
#include "mount.h"
#include "netdisk.h"
#include "state.h"
#include "tty.h"
#include "waiting.h"

#define CONNECT_MS 120000

struct daemon {
	const struct cli *cli;
	const struct setup *setup;
	const char *mountpoint; /* absolute */
	const char *state;
	int ready_fd;           /* -1: in the foreground */
	int lock_fd;
	char *spool, *control_path;
	struct fs fs;
	struct guard guard;
	struct control *control;
	struct installation installation;
	struct strbuf note;     /* what is to be known of this start */
};

static void complain(const char *text)
{
	struct strbuf line AUTO_STRBUF = STRBUF_INIT;

	strbuf_add_lines(&line, text, strlen(text));
	strbuf_rtrim(&line);
	fprintf(stderr, "slurmount: %s\n", line.data);
}

static void raise_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	/* A draft's modes are what was asked for; the state's folder is ours alone anyway. */
	umask(0);
	ignore_sigpipe();
}

/* ---- the ladder up; each step says in `why` what was wrong ---- */

static void remote_changed(void *arg, enum remote_state state, const char *text)
{
	struct daemon *d = arg;

	/* Nothing connects before the engine is there. */
	if (d->fs.engine)
		engine_remote_changed(d->fs.engine, state, text);
}

static void drafts_changed(void *arg)
{
	struct daemon *d = arg;

	engine_drafts_changed(d->fs.engine);
}

static void file_written(void *arg, int fd)
{
	struct daemon *d = arg;

	engine_file_written(d->fs.engine, fd);
}

static void say_network(struct daemon *d)
{
	strbuf_addf(&d->note, "the state in %s is on a network file system: drops are slower there, and "
		"where it knows no locks nothing keeps another machine from using it at the same time; "
		"XDG_STATE_HOME moves it to a local disk", d->state);
	complain(d->note.data);
}

static int open_state(struct daemon *d, struct strbuf *why)
{
	int r = state_make(d->state, why);

	if (r == 0) {
		d->lock_fd = state_lock(d->state, d->mountpoint, why);
		r = d->lock_fd < 0 ? d->lock_fd : 0;
	}
	if (r == 0)
		r = installation_load(d->state, &d->installation, why);
	if (r < 0)
		return r;
	if (disk_is_network(d->state))
		say_network(d);
	d->fs.remote = setup_remote(d->setup, remote_changed, d);
	if (d->fs.remote)
		return 0;
	strbuf_adds(why, "no more threads can be started");
	return -EAGAIN;
}

/* The database, and the jobs that are read from it. */
static int open_jobs(struct daemon *d, const char *database, struct strbuf *why)
{
	struct fs *fs = &d->fs;
	int r = store_open(database, &fs->store, why);

	if (r < 0)
		return r;
	fs->model = model_new();
	struct engine_config engine = {.profile = fs->profile, .clock = fs->clock,
		.store = fs->store, .model = fs->model, .remote = fs->remote,
		.installation = &d->installation, .note = d->note.len ? d->note.data : NULL};

	r = engine_new(&engine, &fs->engine, why);
	if (r == -EUCLEAN) {
		model_free(STEAL(fs->model));
		store_close(STEAL(fs->store));
	}
	return r;
}

/* The jobs of a damaged one are looked for on the cluster. */
static int open_jobs_anyhow(struct daemon *d, struct strbuf *why)
{
	AUTO_FREE char *database = xasprintf("%s/jobs.db", d->state);
	int r = open_jobs(d, database, why);

	if (r != -EUCLEAN)
		return r;
	AUTO_FREE char *damage = xstrdup(why->data);
	strbuf_reset(why);
	if (d->note.len)
		strbuf_adds(&d->note, "; ");
	size_t before = d->note.len;
	r = state_set_aside(database, damage, &d->note, why);
	if (r == 0)
		r = open_jobs(d, database, why);
	if (r == 0)
		complain(d->note.data + before);
	return r;
}

static int open_parts(struct daemon *d, struct strbuf *why)
{
	struct fs *fs = &d->fs;
	int r = open_jobs_anyhow(d, why);

	if (r < 0)
		return r;
	struct drafts_config drafts = {.spool = fs->spool, .profile = fs->profile,
		.clock = fs->clock, .model = fs->model, .changed = drafts_changed, .arg = d,
		.written = file_written};
	r = drafts_open(&drafts, &fs->drafts, why);
	if (r < 0)
		return r;
	fs->hides = hides_new();
	fs->bystate = bystate_new(fs);
	fs->waits = waits_new(fs);
	fs->announcer = announcer_new(fs);
	AUTO_FREE char *events = xasprintf("%s/events", d->state);
	r = events_new(fs, events, &fs->events, why);
	if (r < 0)
		return r;
	model_on_state(fs->model, events_state, fs->events);
	fs->templates = templates_new();
	fs->notifier = notifier_new(fs);
	fs->work = work_new(fs);
	return 0;
}

static int ask_person(void *arg, const char *prompt, bool echo, char *answer, size_t size)
{
	waiting_hush(arg);
	return tty_ask(NULL, prompt, echo, answer, size);
}

static struct waiting *announce_wait(const struct setup *setup)
{
	int seconds = setup->ssh.connect_timeout ? setup->ssh.connect_timeout : SSH_CONNECT_S;
	AUTO_FREE char *text = xasprintf("%s has not answered yet; a host that stays silent for %d "
		"seconds is mounted offline", setup->label, seconds);

	return setup->local ? NULL : waiting_start(text);
}

/* Out of reach is a warning; refused is the end. */
static int connect_first(struct daemon *d, struct strbuf *why)
{
	struct waiting *waiting = announce_wait(d->setup);
	struct remote_prompter prompter = {ask_person, waiting};
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	int r = remote_connect(d->fs.remote, &prompter, clock_in(&clock_system, CONNECT_MS), &text);

	waiting_stop(waiting);
	if (r == 0 && d->setup->local)
		engine_remote_changed(d->fs.engine, REMOTE_ONLINE,
			"Slurm's commands run on this machine");
	if (r == 0)
		return 0;
	if (!text.len)
		strbuf_adds(&text, strerror(-r));
	if (r == -EACCES || r == -EKEYREJECTED || r == -ECANCELED) {
		strbuf_add(why, text.data, text.len);
		return r;
	}
	strbuf_adds(&text, "; mounted offline, and tried again");
	complain(text.data);
	return 0;
}

static int start_threads(struct daemon *d, struct strbuf *why)
{
	struct fs *fs = &d->fs;
	int r = engine_start(fs->engine, fs->drafts, why);

	if (r == 0)
		r = notifier_start(fs->notifier);
	if (r == 0)
		r = work_start(fs->work);
	if (r == 0)
		r = waits_start(fs->waits);
	if (r == 0)
		r = control_start(d->control_path, fs->uid, fs->remote, &d->control, why);
	if (r == 0)
		fs->control = control_path(d->control);
	if (r == 0)
		r = announcer_start(fs->announcer);
	if (r < 0 && !why->len)
		strbuf_adds(why, "no more threads can be started");
	return r;
}

static int climb(struct daemon *d, struct strbuf *why)
{
	int r = open_state(d, why);

	if (r == 0)
		r = open_parts(d, why);
	if (r == 0)
		r = connect_first(d, why);
	if (r < 0)
		return r;
	/* From here on signals are waited for, by one thread. */
	sigset_t ours;
	mount_signals(&ours);
	pthread_sigmask(SIG_BLOCK, &ours, NULL);
	if (fuse_session_mount(d->fs.session, d->mountpoint)) {
		strbuf_addf(why, "%s: it cannot be mounted", d->mountpoint);
		return -EIO;
	}
	guard_tell(&d->guard, d->mountpoint);
	r = mount_allow_parallel(d->fs.session);
	return r < 0 ? r : start_threads(d, why);
}

/* ---- and down ---- */

/* Order: nobody asks any more; all deferred requests are answered; the mount goes; then the rest. */
static void descend(struct daemon *d)
{
	struct fs *fs = &d->fs;
	bool hangs = fs->announcer && !announcer_stop(fs->announcer);

	control_stop(d->control);
	if (fs->engine)
		engine_stop(fs->engine);
	else if (fs->remote)
		remote_abort(fs->remote);
	if (fs->work)
		work_stop(fs->work);
	if (fs->waits)
		waits_stop(fs->waits);
	if (fs->notifier)
		notifier_stop(fs->notifier);
	control_free(d->control);
	fuse_session_unmount(fs->session);
	store_close(fs->store);
	/* One that hung waits for an answer that the unmounting has given it. */
	hangs = hangs && !announcer_stop(fs->announcer);
	if (hangs || (fs->notifier && !notifier_join(fs->notifier))) {
		/* A thread hangs in the kernel, on a page that a program still holds. */
		log_warning("the kernel does not let go of the mount");
		_exit(0);
	}
	fuse_session_destroy(fs->session);
	if (fs->remote)
		remote_destroy(fs->remote);
	engine_free(fs->engine);
	drafts_close(fs->drafts);
	work_free(fs->work);
	notifier_free(fs->notifier);
	hides_free(fs->hides);
	bystate_free(fs->bystate);
	waits_free(fs->waits);
	events_free(fs->events);
	announcer_free(fs->announcer);
	templates_free(fs->templates);
	model_free(fs->model);
	strbuf_release(&d->note);
	guard_stop(&d->guard);
	if (d->lock_fd >= 0)
		close(d->lock_fd);
}

/* ---- the background ---- */

static void leave_terminal(struct daemon *d)
{
	int null = open("/dev/null", O_RDWR);
	char status = 0;

	log_init(LOG_LEVEL_INFO, true);
	setsid();
	if (chdir("/"))
		log_warning("chdir: %s", strerror(errno));
	for (int fd = 0; fd < 3 && null >= 0; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (write(d->ready_fd, &status, 1) < 0)
		log_warning("the starting process has gone");
	close(d->ready_fd);
}

static int run_daemon(struct daemon *d)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	int r = guard_start(&d->guard);

	if (r < 0)
		log_warning("the mount has no guard: %s", strerror(-r));
	r = climb(d, &why);
	if (r == 0) {
		if (d->ready_fd >= 0)
			leave_terminal(d);
		r = mount_serve(&d->fs);
		AUTO_FREE char *still = state_mounted(d->mountpoint);
		/* A connection that was aborted ends the same way, but the mount is still there. */
		if (r == 0 && mount_was_unmounted() && !still)
			drafts_all_closed(d->fs.drafts);
	} else {
		complain(why.data);
	}
	descend(d);
	return r < 0 ? 1 : 0;
}

/* The parent: ends once the mount answers, or with what went wrong. */
static int await_child(int ready_fd, const char *mountpoint)
{
	struct statvfs disk;
	char status = 1;

	if (read(ready_fd, &status, 1) != 1 || status)
		return 1;
	if (statvfs(mountpoint, &disk)) {
		fprintf(stderr, "slurmount: %s: %s\n", mountpoint, strerror(errno));
		return 1;
	}
	return 0;
}

static int go(struct daemon *d)
{
	int pipes[2], status;

	if (d->cli->foreground) {
		d->ready_fd = -1;
		log_init(d->cli->debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, false);
		return run_daemon(d);
	}
	if (pipe2(pipes, O_CLOEXEC)) {
		complain(strerror(errno));
		return 1;
	}
	pid_t child = fork();
	if (child < 0) {
		complain(strerror(errno));
		return 1;
	}
	if (child > 0) {
		close(pipes[1]);
		status = await_child(pipes[0], d->mountpoint);
		/* It is the child's; here nothing was mounted by it. */
		fuse_session_destroy(d->fs.session);
		return status;
	}
	close(pipes[0]);
	d->ready_fd = pipes[1];
	return run_daemon(d);
}

static bool is_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return !strncmp(path, folder, len) && (path[len] == '/' || !path[len]);
}

static int mount_it(const struct cli *cli, const struct setup *setup)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	AUTO_FREE char *mountpoint = state_mountpoint(cli->mountpoint, &why);
	AUTO_FREE char *state = state_path(setup->label);
	AUTO_FREE char *spool = state ? xasprintf("%s/spool", state) : NULL;
	AUTO_FREE char *control = state ? xasprintf("%s/control", state) : NULL;
	struct daemon d = {.cli = cli, .setup = setup, .mountpoint = mountpoint, .state = state,
		.note = STRBUF_INIT, .lock_fd = -1, .spool = spool, .control_path = control};

	if (mountpoint && !state)
		strbuf_adds(&why, "neither XDG_STATE_HOME nor HOME says where to keep the state");
	else if (mountpoint && is_below(state, mountpoint))
		strbuf_addf(&why, "the state in %s must not lie in the mount", state);
	if (why.len) {
		complain(why.data);
		return 1;
	}
	raise_limits();
	d.fs = (struct fs){.profile = setup->profile, .clock = &clock_system, .uid = getuid(),
		.gid = getgid(), .started_ns = clock_real_ns(&clock_system), .spool = spool,
		.mountpoint = mountpoint, .control = control, .debug = cli->debug};
	atomic_init(&d.fs.jobs_ns, d.fs.started_ns);
	if (mount_new(&d.fs, setup->label, setup->fuse.data, setup->xattr, &d.fs.session)) {
		complain("what -o names is neither a key of the profile, see slurmount.ini(5), nor a mount "
			"option of FUSE");
		return 2;
	}
	return go(&d);
}

int main(int argc, char **argv)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct setup setup;
	struct cli cli;
	int status;

	/* No core dump and no debugger sees a password, whichever command asks for it. */
	prctl(PR_SET_DUMPABLE, 0);
	if (!cli_parse(argc, argv, &cli, &status))
		return status;
	if (cli.mode == CLI_LOGIN)
		return control_login(cli.mountpoint);
	if (setup_load(&cli, &setup, &why) < 0) {
		complain(why.data);
		status = 2;
	} else {
		status = cli.mode == CLI_CHECK ? check_run(&setup) : mount_it(&cli, &setup);
	}
	setup_finish(&setup);
	for (size_t i = 0; i < cli.option_count; i++)
		free(cli.options[i]);
	free(cli.options);
	return status;
}
