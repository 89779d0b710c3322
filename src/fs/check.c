/* --check: what works on the cluster and what does not, a line each. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "command.h"
#include "shell.h"
#include "tty.h"

#define CONNECT_MS 120000

/* Prints "ok NAME: what", "no NAME: why" and, of what can be done without, "-- NAME: why" lines; a
 * line that begins otherwise is not shown. */
static const char script[] =
	"say() { printf '%s %s\\n' \"$1\" \"$2\"; }\n"
	"say ok \"bash: $BASH_VERSION\"\n"
	"tools='tar sha256sum setsid timeout sbatch squeue scancel'\n"
	"[ -z \"$project\" ] || tools+=' rsync'\n"
	"for tool in $tools sacct sinfo scontrol; do\n"
	"  if path=$(type -P \"$tool\"); then say ok \"$tool: $path\"; else\n"
	"    case \" $tools \" in *\" $tool \"*) say=no ;; *) say=-- ;; esac\n"
	"    say $say \"$tool: not found; a setup line in the profile may have to load it\"; fi\n"
	"done\n"
	"if text=$(timeout 20 squeue --noheader --user=\"$(id -un)\" 2>&1); then\n"
	"  say ok 'squeue answers'; else say no \"squeue: ${text%%$'\\n'*}\"; fi\n"
	"if text=$(timeout 20 sacct --noheader --allocations 2>&1); then say ok 'sacct answers'; else\n"
	"  say -- \"sacct: ${text%%$'\\n'*} (ends are told by the jobs' own records)\"; fi\n"
	"case $scratch in /*) ;; *) say no \"scratch: not an absolute path: $scratch\"; exit;; esac\n"
	"if mkdir -p -- \"$scratch\" && file=$(mktemp -- \"$scratch/.slurmount-check.XXXXXX\"); then\n"
	"  rm -f -- \"$file\"\n"
	"  free=$(df -h -P -- \"$scratch\" | awk 'NR == 2 { print $4 }')\n"
	"  say ok \"scratch: $scratch, $free free\"\n"
	"else say no \"scratch: $scratch cannot be written\"; fi\n";

/* ~ and $VARIABLES are expanded there, and nothing else. */
static void add_scratch(struct strbuf *b, const char *path)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";

	strbuf_adds(b, "scratch=");
	if (!path)
		strbuf_adds(b, "${SCRATCH:-$HOME}/slurmount");
	else if (*path == '~' && (path[1] == '/' || !path[1]))
		strbuf_adds(b, "\"$HOME\"");
	for (const char *at = path && *path == '~' ? path + 1 : path; at && *at;) {
		size_t plain = strcspn(at, "$");
		AUTO_FREE char *text = strndup(at, plain);

		if (plain)
			shell_quote(b, text);
		at += plain;
		if (!*at)
			break;
		bool braces = at[1] == '{';
		const char *name = at + 1 + braces;
		size_t len = strspn(name, letters);
		if (len)
			strbuf_addf(b, "\"${%.*s-}\"", (int)len, name);
		at = name + len + (braces && name[len] == '}');
	}
	strbuf_addc(b, '\n');
}

/* The number of things that do not work. */
static int show(char *answer)
{
	int failures = 0;

	for (char *line; (line = strsep(&answer, "\n"));) {
		struct strbuf text AUTO_STRBUF = STRBUF_INIT;
		bool ok = !strncmp(line, "ok ", 3);

		bool no = !strncmp(line, "no ", 3);

		if (!ok && !no && strncmp(line, "-- ", 3))
			continue;
		strbuf_add_escaped(&text, line + 3, strlen(line + 3));
		printf("%-4s%s\n", ok ? "ok" : no ? "NO" : "--", text.data);
		failures += no;
	}
	return failures;
}

int check_run(const struct setup *setup)
{
	struct remote_prompter prompter = {tty_ask, NULL};
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct remote *remote = setup_remote(setup, NULL, NULL);
	struct cluster cluster = {remote, setup->profile->setup, &clock_system};
	struct command_result answer = COMMAND_RESULT_INIT;
	int failures = 1;

	int r = remote_connect(remote, &prompter, clock_in(&clock_system, CONNECT_MS), &why);
	if (r < 0) {
		strbuf_add_lines(&text, why.data, why.len);
		printf("NO  connection to %s: %s\n", setup->label, text.len ? text.data : strerror(-r));
	} else {
		printf("ok  connection to %s\n", setup->label);
		add_scratch(&text, setup->profile->scratch);
		strbuf_addf(&text, "project=%s\n", setup->profile->project ? "yes" : "");
		strbuf_adds(&text, script);
		r = command_run(&cluster, text.data, NULL, 0, 60000, &answer);
		if (r < 0)
			printf("NO  a login shell there: %s\n",
				r == -EPROTO ? "bash does not answer" : strerror(-r));
		else
			failures = show(answer.out.data);
	}
	command_result_release(&answer);
	remote_abort(remote);
	remote_destroy(remote);
	return failures ? 1 : 0;
}
