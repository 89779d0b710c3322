#include "recordstream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "shell.h"

#define START_MS 60000
/* Our sign of life, and how often `stop` is looked at. */
#define BEAT_MS 15000
/* An item is a name of some 60 bytes, and at most so much. */
#define TEXT_MAX 4096
/* What a login shell may say ahead of the frame. */
#define NOISE_MAX (1u << 20)

/* Prints "record NAME LENGTH\n" and LENGTH bytes for each.  What came since the folder's time; a
 * rename sets the file's time by the same clock.  Behind each change it is listed twice: two changes
 * may share one time. */
static const char follow_script[] =
	"cd -- \"$records\" || exit\n"
	"renice -n 10 -p $BASHPID > /dev/null 2>&1\n"
	"export LC_ALL=C\n"
	"list() {\n"
	"  local name text\n"
	"  while IFS= read -r name; do\n"
	"    [[ $name =~ ^[0-9a-f-]{36}(_[0-9]+)?\\.(start|end)$ ]] || continue\n"
	"    text=\n"
	"    IFS= read -r -d '' -n 4096 text < \"$name\" || [ -n \"$text\" ] || continue\n"
	"    printf 'record %s %d\\n%s' \"$name\" \"${#text}\" \"$text\"\n"
	"  done < <(find . -maxdepth 1 -type f \\( -name '*.start' -o -name '*.end' \\)"
	" -newerct \"@$(($1 - 1))\" -printf '%f\\n' 2> /dev/null)\n"
	"}\n"
	/* Times that a network file system remembers may be old: either way it asks its server. */
	"look=(stat --cached=never -c %Y.%y .)\n"
	"\"${look[@]}\" > /dev/null 2>&1 || look=(stat -c %Y.%y .)\n"
	/* What was written while it was on its way here is told, too. */
	"seen= since=$(($(date +%s) - 30)) again=yes idle=0\n"
	"while [ $idle -lt 90 ]; do\n"
	"  [ ${#look[@]} = 5 ] || [ -e \".$RANDOM$RANDOM\" ]\n"
	"  now=$(\"${look[@]}\") || exit\n"
	"  pause=1 began=$SECONDS\n"
	"  if [ -n \"$seen\" ] && [ \"$now\" != \"$seen\" ]; then\n"
	"    since=$seen again=yes\n"
	"    list \"${since%%.*}\"\n"
	"  elif [ -n \"$again\" ]; then\n"
	"    again=\n"
	"    list \"${since%%.*}\"\n"
	"  fi\n"
	"  seen=$now pause=$((1 + 10 * (SECONDS - began)))\n"
	"  if read -r -t $pause; then idle=0\n"
	"  elif [ $? -gt 128 ]; then idle=$((idle + pause))\n"
	"  else exit 0; fi\n"
	"done\n";

/* The name in front of its dot: UUID or UUID_TASK. */
static bool read_name(const char *name, struct recordstream_item *ret)
{
	size_t len = strspn(name, "0123456789abcdef-");
	unsigned long long task = 0;
	int end = 0;

	if (len != JOB_UUID_SIZE - 1)
		return false;
	memcpy(ret->uuid, name, len);
	ret->uuid[len] = '\0';
	ret->task = -1;
	if (name[len] == '_') {
		if (sscanf(name + len, "_%9llu%n", &task, &end) != 1)
			return false;
		ret->task = (int64_t)task;
	}
	const char *kind = name + len + end;
	ret->is_end = !strcmp(kind, ".end");
	return ret->is_end || !strcmp(kind, ".start");
}

ssize_t recordstream_read(const char *text, size_t len, recordstream_fn each, void *arg)
{
	const char *at = text, *end = text + len;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		struct recordstream_item item;
		char line[128], name[80];
		size_t size;

		if (!newline)
			return end - at < (ssize_t)sizeof(line) ? at - text : -EPROTO;
		if (newline - at >= (ssize_t)sizeof(line))
			return -EPROTO;
		memcpy(line, at, (size_t)(newline - at));
		line[newline - at] = '\0';
		if (sscanf(line, "record %79s %zu", name, &size) != 2 || size > TEXT_MAX ||
			!read_name(name, &item))
			return -EPROTO;
		newline++;
		if (size > (size_t)(end - newline))
			break;
		slurm_parse_endrecord(newline, size, &item.record);
		each(arg, &item);
		at = newline + size;
	}
	return at - text;
}

struct stream {
	struct command command;
	struct strbuf text;
	bool begun;
	int64_t beat_ms; /* when the next sign of life is due */
};

/* Whether the frame's opening line is there; takes it off with what stands in front of it. */
static bool begin(struct stream *s)
{
	char opening[64];
	size_t len = (size_t)snprintf(opening, sizeof(opening), "\n%s begin\n", s->command.nonce);
	const char *found = s->begun ? NULL : memmem(s->text.data, s->text.len, opening, len);

	if (!found)
		return s->begun;
	size_t rest = s->text.len - (size_t)(found - s->text.data) - len;
	memmove(s->text.data, found + len, rest);
	strbuf_truncate(&s->text, rest);
	return s->begun = true;
}

static int take(struct stream *s, recordstream_fn each, void (*some)(void *arg), void *arg)
{
	if (!begin(s))
		return s->text.len > NOISE_MAX ? -EPROTO : 0;
	ssize_t used = recordstream_read(s->text.data, s->text.len, each, arg);
	if (used < 0)
		return (int)used;
	memmove(s->text.data, s->text.data + used, s->text.len - (size_t)used);
	strbuf_truncate(&s->text, s->text.len - (size_t)used);
	if (used)
		some(arg);
	return 0;
}

static int beat(struct stream *s)
{
	const struct clock *clock = s->command.cluster->clock;

	if (clock_mono_ms(clock) < s->beat_ms)
		return 0;
	s->beat_ms = clock_in(clock, BEAT_MS);
	return remote_write(s->command.proc, "\n", 1, s->beat_ms);
}

int recordstream_follow(const struct cluster *cluster, const char *folder, const atomic_bool *stop,
	recordstream_fn each, void (*some)(void *arg), void *arg)
{
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;
	struct stream s = {.text = STRBUF_INIT};
	char buffer[16384];

	strbuf_adds(&script, "records=");
	shell_quote(&script, folder);
	strbuf_addc(&script, '\n');
	strbuf_adds(&script, follow_script);
	int r = command_start(&s.command, cluster, script.data, clock_in(cluster->clock, START_MS));
	if (r < 0)
		return r;
	while (r == 0 && !atomic_load(stop)) {
		ssize_t n = remote_read(s.command.proc, false, buffer, sizeof(buffer), s.beat_ms);

		if (n == 0 || (n < 0 && n != -ETIMEDOUT)) {
			r = n ? (int)n : -EPROTO;
			break;
		}
		if (n > 0) {
			strbuf_add(&s.text, buffer, (size_t)n);
			r = take(&s, each, some, arg);
		}
		if (r == 0)
			r = beat(&s);
	}
	remote_close_stdin(s.command.proc, clock_in(cluster->clock, BEAT_MS));
	remote_release(s.command.proc);
	strbuf_release(&s.text);
	return r;
}
