#include "shell.h"

#include <string.h>

#include "err.h"

/* Runs before the profile's noise is let through: stdout is /dev/null still. */
static const char unset_slurm[] =
	"for slurmount_v in ${!SLURM_@} ${!SBATCH_@} ${!SQUEUE_@} ${!SACCT_@} ${!SCONTROL_@} "
	"${!SINFO_@}; do\n"
	"\t[ \"$slurmount_v\" = SLURM_CONF ] || unset -v \"$slurmount_v\"\n"
	"done\n"
	"unset -v slurmount_v\n";

static bool is_plain(const char *word)
{
	static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		"_./:,@%+-";

	return *word && strspn(word, safe) == strlen(word);
}

void shell_quote(struct strbuf *b, const char *word)
{
	if (is_plain(word)) {
		strbuf_adds(b, word);
		return;
	}
	strbuf_addc(b, '\'');
	for (const char *p = word; *p; p++) {
		if (*p == '\'')
			strbuf_adds(b, "'\\''");
		else
			strbuf_addc(b, *p);
	}
	strbuf_addc(b, '\'');
}

/* For printf's %b: no newline, and nothing that means something between quotes of either kind in any shell. */
static void add_encoded(struct strbuf *b, const struct strbuf *bytes)
{
	for (size_t i = 0; i < bytes->len; i++) {
		unsigned char c = (unsigned char)bytes->data[i];

		if (c < ' ' || c > '~' || strchr("\"$'\\`!", c))
			strbuf_addf(b, "\\x%02x", c);
		else
			strbuf_addc(b, (char)c);
	}
}

static const char take_streams[] = "exec <&8 >&9 8<&- 9>&-\n";

/* --norc: a bash that sshd started would read ~/.bashrc, and that our stdin. */
static void add_command(struct strbuf *b, const struct strbuf *text, const char *run)
{
	strbuf_adds(b, "exec /bin/bash --norc -c 'printf -v s %b \"");
	add_encoded(b, text);
	strbuf_addf(b, "\" || exit 127; exec 8<&0 9>&1 </dev/null >/dev/null; %s \"$s\"'", run);
}

void shell_login_command(struct strbuf *b, const char *setup, const char *script)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	strbuf_adds(&text, unset_slurm);
	if (setup && *setup) {
		/* By eval, so that an unclosed quote in it does not swallow the script. */
		strbuf_adds(&text, "eval ");
		shell_quote(&text, setup);
		strbuf_addc(&text, '\n');
	}
	strbuf_adds(&text, take_streams);
	strbuf_adds(&text, script);
	add_command(b, &text, "exec /bin/bash -lc");
}

void shell_bare_command(struct strbuf *b, const char *script)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	strbuf_adds(&text, take_streams);
	strbuf_adds(&text, script);
	add_command(b, &text, "eval");
}
