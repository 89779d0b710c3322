#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "err.h"
#include "local.h"

static const char help[] =
	"usage: slurmount [OPTION]... [USER@]HOST MOUNTPOINT\n"
	"       slurmount [OPTION]... local MOUNTPOINT\n"
	"       slurmount --check [OPTION]... [USER@]HOST|local\n"
	"       slurmount --login MOUNTPOINT\n"
	"\n"
	"Mounts a Slurm cluster: jobs are folders, dropping files into jobs/new submits them.\n"
	"\n"
	"  -c, --config=FILE   the cluster profile; default $XDG_CONFIG_HOME/slurmount/HOST.ini\n"
	"  -o KEY=VALUE[,...]  any key of the profile, such as port=2222, or a FUSE mount option\n"
	"      --check         say what works and what does not; mount nothing\n"
	"      --login         authenticate again for a mount that lost its connection\n"
	"  -f, --foreground    stay in the foreground, log to stderr\n"
	"  -d, --debug         -f, and log every request\n"
	"  -h, --help          this help\n"
	"  -V, --version       the version\n"
	"\n"
	"Unmount with fusermount3 -u MOUNTPOINT; jobs go on meanwhile.  README in the mount says how to\n"
	"submit; slurmount(1), slurmount.ini(5) and slurmount-templates(7) say everything.\n";

enum { OPTION_CHECK = 256, OPTION_LOGIN };

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	{"check", no_argument, NULL, OPTION_CHECK},
	{"login", no_argument, NULL, OPTION_LOGIN},
	{"foreground", no_argument, NULL, 'f'},
	{"debug", no_argument, NULL, 'd'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static void add_option(struct cli *cli, char *text)
{
	cli->options = xrealloc(cli->options, (cli->option_count + 2) * sizeof(*cli->options));
	cli->options[cli->option_count++] = text;
	cli->options[cli->option_count] = NULL;
}

/* KEY=VALUE,KEY=VALUE: a comma of a value itself is written with a backslash before it. */
static void split_options(struct cli *cli, const char *list)
{
	struct strbuf one = STRBUF_INIT;

	for (;; list++) {
		if (*list == '\\' && list[1] == ',') {
			strbuf_addc(&one, *++list);
		} else if (*list && *list != ',') {
			strbuf_addc(&one, *list);
		} else {
			if (one.len)
				add_option(cli, strbuf_steal(&one));
			if (!*list)
				return;
		}
	}
}

static bool take_option(struct cli *cli, int c, int *status)
{
	switch (c) {
	case 'c':
		cli->config = optarg;
		return true;
	case 'o':
		split_options(cli, optarg);
		return true;
	case 'd':
		cli->debug = true;
		cli->foreground = true;
		return true;
	case 'f':
		cli->foreground = true;
		return true;
	case OPTION_CHECK:
		cli->mode = CLI_CHECK;
		return true;
	case OPTION_LOGIN:
		cli->mode = CLI_LOGIN;
		return true;
	case 'h':
		fputs(help, stdout);
		*status = 0;
		return false;
	case 'V':
		puts("slurmount " SLURMOUNT_VERSION);
		*status = 0;
		return false;
	default:
		*status = 2; /* getopt has said it */
		return false;
	}
}

bool cli_parse(int argc, char **argv, struct cli *ret, int *status)
{
	int c;

	*ret = (struct cli){0};
	while ((c = getopt_long(argc, argv, "c:o:fdhV", options, NULL)) != -1)
		if (!take_option(ret, c, status))
			return false;
	*status = 2;
	int wanted = ret->mode == CLI_MOUNT ? 2 : 1;
	if (argc - optind != wanted) {
		fprintf(stderr, "slurmount: %s; see slurmount --help\n",
			ret->mode == CLI_MOUNT	 ? "a host and a mount point are needed"
			: ret->mode == CLI_CHECK ? "--check needs a host and nothing else"
						 : "--login needs a mount point and nothing else");
		return false;
	}
	if (ret->mode != CLI_LOGIN)
		ret->target = argv[optind];
	if (ret->mode != CLI_CHECK)
		ret->mountpoint = argv[argc - 1];
	return true;
}

/* ---- profile and settings ---- */

static char *default_profile(const char *host)
{
	const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	if (strchr(host, '/'))
		return NULL;
	if (base && *base == '/')
		return xasprintf("%s/slurmount/%s.ini", base, host);
	return home ? xasprintf("%s/.config/slurmount/%s.ini", home, host) : NULL;
}

static int read_profile(const struct cli *cli, struct setup *s, const char *host,
	struct strbuf *why)
{
	AUTO_FREE char *path = cli->config ? xstrdup(cli->config) : default_profile(host);

	if (!path || (!cli->config && access(path, F_OK)))
		return 0;
	return profile_read_file(s->profile, path, why);
}

static int take_options(const struct cli *cli, struct setup *s, struct strbuf *why)
{
	for (size_t i = 0; i < cli->option_count; i++) {
		AUTO_FREE char *key = xstrdup(cli->options[i]);
		char *value = strchr(key, '=');
		struct strbuf wrong AUTO_STRBUF = STRBUF_INIT;
		int r = -ENOENT;

		if (value) {
			*value++ = '\0';
			r = profile_set(s->profile, key, value, &wrong);
		}
		if (r == -ENOENT && !value && !strcmp(key, "xattr")) {
			s->xattr = true;
		} else if (r == -ENOENT) {
			strbuf_addf(&s->fuse, ",%s", cli->options[i]);
		} else if (r < 0) {
			strbuf_addf(why, "-o %s: %s", key, wrong.data);
			return r;
		}
	}
	return 0;
}

/* The profile's word, else the command line's; ssh itself knows the rest. */
static int resolve(struct setup *s, const char *user, const char *host, struct strbuf *why)
{
	const struct profile *p = s->profile;
	int r;

	s->ssh.host = xstrdup(p->host ? p->host : host);
	s->ssh.user = xstrdup(p->user ? p->user : user);
	s->ssh.port = p->port;
	s->ssh.identity = xstrdup(p->identity);
	s->ssh.known_hosts = xstrdup(p->known_hosts);
	s->ssh.jump = xstrdup(p->jump);
	r = ssh_settings_resolve(&s->ssh, why);
	if (r < 0)
		return r;
	if (strchr(s->ssh.host, '/') || (s->ssh.user && strchr(s->ssh.user, '/'))) {
		strbuf_adds(why, "a host or user name cannot contain a slash");
		return -EINVAL;
	}
	s->label = xasprintf("%s@%s", s->ssh.user ? s->ssh.user : "", s->ssh.host);
	return 0;
}

int setup_load(const struct cli *cli, struct setup *ret, struct strbuf *why)
{
	const char *at = strrchr(cli->target, '@');
	AUTO_FREE char *user = at ? xstrndup(cli->target, (size_t)(at - cli->target)) : NULL;
	const char *host = at ? at + 1 : cli->target;
	int r;

	*ret = (struct setup){.fuse = STRBUF_INIT, .profile = profile_new()};
	ret->umask = umask(022);
	umask(ret->umask);
	ret->local = !strcmp(cli->target, "local");
	if (!*host || (user && !*user)) {
		strbuf_addf(why, "not a host: %s", cli->target);
		return -EINVAL;
	}
	r = read_profile(cli, ret, host, why);
	if (r == 0)
		r = take_options(cli, ret, why);
	if (r < 0)
		return r;
	if (!ret->local)
		return resolve(ret, user, host, why);
	ret->label = xstrdup("local");
	return 0;
}

struct remote *setup_remote(const struct setup *s, remote_state_fn tell, void *arg)
{
	sigset_t all, before;
	struct remote *remote;

	/* Its threads inherit this: signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	remote = s->local ? local_remote_new(s->umask) : ssh_remote_new(&s->ssh, tell, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return remote;
}

void setup_finish(struct setup *s)
{
	profile_free(s->profile);
	if (!s->local)
		ssh_settings_finish(&s->ssh);
	free(s->label);
	strbuf_release(&s->fuse);
}
