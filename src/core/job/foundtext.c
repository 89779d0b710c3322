#include "foundtext.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "slurm_text.h"

/* sbatch's own limit is 4 MB; scripts of ours are a few KiB. */
#define SCRIPT_MAX 262144
#define CONFIG_MAX 131072

/* Contents come in base64, a line each, so that nothing in them can pass for another line. */
const char foundtext_script[] =
	"shopt -s nullglob\n"
	"LC_ALL=C\n"
	"declare -A known\n"
	"while read -r id; do [ -z \"$id\" ] || known[$id]=1; done\n"
	"form='^[A-Za-z0-9][A-Za-z0-9._-]{0,80}-[0-9a-f]{8}$'\n"
	"count=0\n"
	/* KIND FILE LIMIT: one byte more, to tell what is too long. */
	"part() {\n"
	"  [ -f \"$2\" ] && [ ! -L \"$2\" ] || return\n"
	"  printf '%s %s\\n' \"$1\" \"$(head -c $(($3 + 1)) -- \"$2\" 2> /dev/null | base64 -w0)\"\n"
	"}\n"
	/* The highest number behind such a name. */
	"last() {\n"
	"  local file n\n"
	"  highest=0\n"
	"  for file in \"$1\"*; do\n"
	"    n=${file#\"$1\"}\n"
	"    [[ $n =~ ^[1-9][0-9]{0,5}$ ]] && [ \"$n\" -gt $highest ] && highest=$n\n"
	"  done\n"
	"}\n"
	"tell() {\n"
	"  local at=$1/.slurmount claim\n"
	"  part record \"$at/record\" 8192\n"
	"  part config \"$at/config.ini\" 131072\n"
	"  part script \"$at/script.sbatch\" 262144\n"
	"  part state \"$at/state\" 8192\n"
	"  last \"$at/taken-\"\n"
	"  [ $highest = 0 ] || echo \"taken $highest\"\n"
	"  [ $highest = 0 ] || [ ! -e \"$at/taken-$highest/revoked\" ] || echo revoked\n"
	"  last \"$at/outcome-\"\n"
	"  if [ $highest != 0 ]; then\n"
	"    part outcome \"$at/outcome-$highest\" 8192\n"
	"    echo \"submitted $(stat -c %Y -- \"$at/outcome-$highest\")\"\n"
	"  fi\n"
	"  last \"$at/keep-\"\n"
	"  [ $highest = 0 ] || echo \"copies $highest\"\n"
	"  claim=$(readlink -- \"$at/claim\") && [[ $claim =~ ^[0-9]{1,20}$ ]] && echo \"claim $claim\"\n"
	"}\n"
	"look() {\n"
	"  local folder path\n"
	"  [ -n \"$1\" ] && cd -- \"$1\" 2> /dev/null || return\n"
	"  for path in */; do\n"
	"    folder=${path%/}\n"
	"    [[ $folder =~ $form ]] && [ -z \"${known[${folder: -8}]}\" ] || continue\n"
	/* Of others, on a scratch that is shared, nothing is believed. */
	"    [ -O \"$folder\" ] && [ ! -L \"$folder\" ] && [ -f \"$folder/.slurmount/record\" ] || continue\n"
	"    if [ $count = 64 ]; then echo more; return; fi\n"
	"    count=$((count + 1)) known[${folder: -8}]=1\n"
	"    echo \"folder $folder\"\n"
	"    if [ -O \"$scratch/$folder\" ] && [ -d \"$scratch/$folder\" ]; then\n"
	"      echo on_scratch; tell \"$scratch/$folder\"\n"
	"    fi\n"
	"    if [ -n \"$project\" ] && [ -O \"$project/$folder\" ] && [ -d \"$project/$folder\" ]; then\n"
	"      echo in_project; tell \"$project/$folder\"\n"
	"    fi\n"
	"  done\n"
	"}\n"
	"look \"$scratch\"\n"
	"look \"$project\"\n"
	"echo end\n";

/* 0 or -EINVAL, also for more than `limit` bytes. */
static int decode(const char *text, size_t limit, struct strbuf *ret)
{
	size_t len = strlen(text), padding = 0;

	if (len % 4 || len / 4 * 3 > limit + 4)
		return -EINVAL;
	if (!len)
		return 0;
	padding = (size_t)(text[len - 1] == '=') + (text[len - 2] == '=');
	strbuf_reserve(ret, len / 4 * 3);
	int n = EVP_DecodeBlock((unsigned char *)ret->data + ret->len, (const unsigned char *)text,
		(int)len);
	if (n < 0 || (size_t)n - padding > limit) {
		ret->data[ret->len] = '\0';
		return -EINVAL;
	}
	ret->len += (size_t)n - padding;
	ret->data[ret->len] = '\0';
	return 0;
}

/* NAME-UUID8 or NAME-N-UUID8, N being an attempt from 2. */
static bool names_folder(const struct jobrecord *record, const char *folder)
{
	size_t name = strlen(record->name);

	if (strncmp(folder, record->name, name) || folder[name] != '-')
		return false;
	const char *rest = folder + name + 1;
	size_t digits = strspn(rest, "0123456789");
	if (strlen(rest) > 8 && digits && digits < 7 && rest[digits] == '-')
		rest += digits + 1;
	return strlen(rest) == 8 && !strncmp(rest, record->uuid, 8);
}

/* A text of the user's as slurmount once sent it, which is shown byte for byte: one that could steer a
 * terminal was changed since. */
static void take_text(struct strbuf *text, size_t limit, const char *value)
{
	if (text->len || decode(value, limit, text) < 0)
		return;
	for (size_t i = 0; i < text->len; i++) {
		unsigned char c = (unsigned char)text->data[i];

		if ((c < 0x20 && !strchr("\n\t\r", c)) || c == 0x7f || !c) {
			strbuf_reset(text);
			return;
		}
	}
}

static void take_record(struct found *f, const char *value)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	/* Scratch is told of first, and its word stands. */
	if (f->valid || decode(value, JOBRECORD_MAX, &text) < 0 ||
		jobrecord_parse(text.data, text.len, &f->record) < 0)
		return;
	f->valid = names_folder(&f->record, f->folder);
	if (!f->valid)
		jobrecord_release(&f->record);
}

static void take_state(struct found *f, const char *value)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	if (!f->valid || *f->state.state || decode(value, JOBRECORD_MAX, &text) < 0 ||
		jobrecord_parse_state(text.data, text.len, &f->state) < 0) {
		return;
	}
	if (strcmp(f->state.uuid, f->record.uuid)) {
		jobrecord_state_release(&f->state);
		f->state.state[0] = '\0';
	}
}

static void take_outcome(struct found *f, const char *value)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct slurm_outcome outcome;
	char cluster[64];

	if (!*f->slurm_id && decode(value, 8192, &text) == 0 &&
		slurm_parse_outcome(text.data, text.len, &outcome) == 0 && outcome.exit_status == 0 &&
		slurm_parse_sbatch(outcome.out, outcome.out_len, f->slurm_id, sizeof(f->slurm_id),
			cluster, sizeof(cluster)) < 0)
		f->slurm_id[0] = '\0';
}

static void take_number(unsigned *field, const char *value)
{
	unsigned number = strlen(value) < 7 ? (unsigned)strtoul(value, NULL, 10) : 0;

	if (number > *field)
		*field = number;
}

static void take_line(struct found *f, const char *key, const char *value)
{
	if (!strcmp(key, "on_scratch"))
		f->on_scratch = true;
	else if (!strcmp(key, "in_project"))
		f->in_project = true;
	else if (!strcmp(key, "revoked"))
		f->revoked = true;
	else if (!strcmp(key, "record"))
		take_record(f, value);
	else if (!strcmp(key, "state"))
		take_state(f, value);
	else if (!strcmp(key, "config"))
		take_text(&f->config, CONFIG_MAX, value);
	else if (!strcmp(key, "script"))
		take_text(&f->script, SCRIPT_MAX, value);
	else if (!strcmp(key, "outcome"))
		take_outcome(f, value);
	else if (!strcmp(key, "submitted") && strlen(value) < 12)
		f->submitted_s = strtoll(value, NULL, 10);
	else if (!strcmp(key, "taken"))
		take_number(&f->attempt, value);
	else if (!strcmp(key, "copies"))
		take_number(&f->copies, value);
	else if (!strcmp(key, "claim") && *value && strlen(value) < sizeof(f->slurm_id) &&
		!value[strspn(value, "0123456789")])
		/* The job that holds the directory is the job: its word stands above sbatch's. */
		strcpy(f->slurm_id, value);
}

static void finish(struct found *f, void (*each)(void *arg, const struct found *found), void *arg)
{
	if (f->folder)
		each(arg, f);
	free(f->folder);
	if (f->valid)
		jobrecord_release(&f->record);
	if (*f->state.state)
		jobrecord_state_release(&f->state);
	strbuf_release(&f->config);
	strbuf_release(&f->script);
	*f = (struct found){.config = STRBUF_INIT, .script = STRBUF_INIT};
}

static bool is_folder(const char *text)
{
	size_t len = strlen(text);

	return len > 9 && len < 100 && text[len - 9] == '-' && *text != '.' && !strchr(text, '/');
}

int foundtext_parse(char *text, bool *more, void (*each)(void *arg, const struct found *found),
	void *arg)
{
	struct found f = {.config = STRBUF_INIT, .script = STRBUF_INIT};
	bool ended = false;

	*more = false;
	for (char *at = text, *line; !ended && (line = strsep(&at, "\n"));) {
		char *value = strchr(line, ' ');

		if (value)
			*value++ = '\0';
		ended = !strcmp(line, "end");
		if (ended || !strcmp(line, "folder"))
			finish(&f, each, arg);
		if (!strcmp(line, "more"))
			*more = true;
		else if (!strcmp(line, "folder"))
			f.folder = value && is_folder(value) ? xstrdup(value) : NULL;
		else if (f.folder)
			take_line(&f, line, value ? value : "");
	}
	/* What is behind the last whole folder was cut. */
	free(STEAL(f.folder));
	finish(&f, each, arg);
	return ended ? 0 : -EPROTO;
}
