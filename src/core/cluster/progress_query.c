#include "progress_query.h"

#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "err.h"

#define QUERY_MS 60000

/* Answers "part INDEX FROM NEXT LENGTH PATH\n", the bytes, and a newline.  A file is opened before
 * its size is asked for, since that is when NFS looks at it anew. */
static const char script_rest[] =
	"exec 2>/dev/null\n"
	"LC_ALL=C\n"
	"part() {\n"
	"  local text\n"
	"  text=$(dd if=/dev/fd/3 bs=64K iflag=skip_bytes,count_bytes skip=\"$1\" \\\n"
	"    count=\"$(($2 - $1))\" && echo .) || return\n"
	"  text=${text%?}\n"
	"  printf 'part %d %d %d %d %s\\n%s\\n' \"$index\" \"$1\" \"$2\" \"${#text}\" \"$3\" \"$text\"\n"
	"}\n"
	/* Of what is left out, up to 512 KiB, the lines that tell how many steps a run has, and where a
	 * table's steps stand.  Both ends may be in the middle of a line: the offsets leave a gap there. */
	"marks='^(TCL: (Running|Minimizing) for |run[[:blank:]]|minimize[[:blank:]]|units[[:blank:]]'\n"
	"marks+='|timestep[[:blank:]]|Loop time of |Per MPI rank |Memory usage per )'\n"
	"marks+='|^[[:blank:]]*(nsteps|dt|init-step|integrator) +='\n"
	"middles=0\n"
	"middle() {\n"
	"  local text begin=$1\n"
	"  [ \"$((middles += 1))\" -le 32 ] || return\n"
	"  [ \"$(($2 - begin))\" -le 524288 ] || begin=$(($2 - 524288))\n"
	"  [ \"$(($2 - begin))\" -gt 2 ] || return\n"
	"  text=$(dd if=/dev/fd/3 bs=64K iflag=skip_bytes,count_bytes skip=\"$begin\" \\\n"
	"    count=\"$(($2 - begin))\" | grep -aEA1 \"$marks\" | tail -n 40)\n"
	"  [ -n \"$text\" ] || return\n"
	"  printf 'part %d %d %d %d %s\\n\\n%s\\n\\n' \"$index\" \"$((begin + 1))\" \"$(($2 - 1))\" \\\n"
	"    \"$((${#text} + 2))\" \"$3\" \"$text\"\n"
	"}\n"
	"look() {\n"
	"  local from=$2 size\n"
	"  [ -f \"$1\" ] && [ -r \"$1\" ] || return\n"
	"  size=$(stat -Lc %s /dev/fd/3) || return\n"
	"  [ \"$size\" -ge \"$from\" ] || from=0\n"
	"  if [ \"$((size - from))\" -le \"$most\" ]; then\n"
	"    [ \"$size\" = \"$from\" ] || part \"$from\" \"$size\" \"$1\"\n"
	"    return\n"
	"  fi\n"
	"  if [ \"$from\" = 0 ]; then\n"
	"    part 0 \"$most\" \"$1\"\n"
	"    from=$most\n"
	"  fi\n"
	"  if [ \"$((size - from))\" -gt \"$most\" ]; then\n"
	"    middle \"$from\" \"$((size - most))\" \"$1\"\n"
	"    from=$((size - most))\n"
	"  fi\n"
	"  part \"$from\" \"$size\" \"$1\"\n"
	"}\n"
	"open() {\n"
	"  [ -f \"$1\" ] && look \"$@\" 3< \"$1\"\n"
	"}\n"
	"newest() {\n"
	"  local file best= n=0\n"
	"  for file in \"$1\"/*.log; do\n"
	"    [ \"$((n += 1))\" -le 100 ] || break\n"
	"    case $file in */md.log | *$'\\n'*) continue ;; esac\n"
	"    [ -f \"$file\" ] && { [ -z \"$best\" ] || [ \"$file\" -nt \"$best\" ]; } && best=$file\n"
	"  done\n"
	"  [ -z \"$best\" ] || open \"$best\" 0\n"
	"}\n"
	"while read -r index from path; do\n"
	"  if [ \"$from\" = newest ]; then newest \"$path\"; else open \"$path\" \"$from\"; fi\n"
	"done\n"
	"true\n";

void progress_ask_file(struct strbuf *request, size_t index, int64_t from, const char *path)
{
	/* A line each; no directive of sbatch can have another. */
	if (*path == '/' && !strchr(path, '\n'))
		strbuf_addf(request, "%zu %lld %s\n", index, (long long)from, path);
}

void progress_ask_all(struct strbuf *request, size_t index, const char *workdir,
	const char *stdout_path, const char *stderr_path)
{
	static const char *const logs[] = {"log.lammps", "md.log"};

	progress_ask_file(request, index, 0, stdout_path);
	if (strcmp(stderr_path, stdout_path))
		progress_ask_file(request, index, 0, stderr_path);
	for (size_t i = 0; i < 2; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", workdir, logs[i]);

		progress_ask_file(request, index, 0, path);
	}
	if (*workdir == '/' && !strchr(workdir, '\n'))
		strbuf_addf(request, "%zu newest %s\n", index, workdir);
}

int progress_query(const struct cluster *cluster, const struct strbuf *request,
	struct command_result *ret)
{
	AUTO_FREE char *script = xasprintf("most=%d\n%s", PROGRESS_PART, script_rest);

	return command_run(cluster, script, request->data, request->len, QUERY_MS, ret);
}

void progress_each_part(const char *text, size_t len, progress_part_fn each, void *arg)
{
	const char *end = text + len;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		struct progress_part part;
		long long from, next;
		int behind = 0;

		if (!newline)
			return;
		AUTO_FREE char *line = xstrndup(text, (size_t)(newline - text));
		if (sscanf(line, "part %zu %lld %lld %zu %n", &part.index, &from, &next, &part.len,
			&behind) != 4 || !behind || from < 0 || next < from)
			return;
		text = newline + 1;
		if (part.len > (size_t)(end - text))
			return;
		part.path = line + behind;
		part.from = from;
		part.next = next;
		part.bytes = text;
		each(arg, &part);
		text += part.len + (part.len < (size_t)(end - text));
	}
}
