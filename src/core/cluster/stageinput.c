#include "stageinput.h"

#include <stdlib.h>

#include "shell.h"

static const char functions[] =
	"here=$(pwd -P)\n"
	"refuse() {\n"
	"  printf '%s\\n' \"$1\" >&2\n"
	"  exit 78\n"
	"}\n"
	/* Looked at before it is made: mkdir -p would follow a link of the draft to anywhere. */
	"make_folder() {\n"
	"  local folder=. real\n"
	"  case $1 in */*) folder=${1%/*} ;; esac\n"
	"  real=$(realpath -m -- \"$folder\") || exit 74\n"
	"  case $real/ in\n"
	"    \"$here\"/*) mkdir -p -- \"$real\" || exit 74 ;;\n"
	"    *) refuse \"[inputs] $1: a link of the draft leads out of the job's directory\" ;;\n"
	"  esac\n"
	"  if [ -e \"$1\" ] || [ -L \"$1\" ]; then refuse \"[inputs] $1: it is in the draft, too\"; fi\n"
	"}\n"
	"copy_input() {\n"
	"  local base real size\n"
	"  [ -d \"$3\" ] && base=$(realpath -e -- \"$3\") ||\n"
	"    refuse \"[inputs] $1: the directory of $2 on the cluster, $3, is gone\"\n"
	"  real=$(realpath -e -- \"$base/$4\" 2> /dev/null) ||\n"
	"    refuse \"[inputs] $1: $2 has left no $4 in its directory, $3\"\n"
	"  case $real in\n"
	"    \"$base\"/*) ;;\n"
	"    *) refuse \"[inputs] $1: $4 of $2 is a link that leaves its directory\" ;;\n"
	"  esac\n"
	"  [ -f \"$real\" ] || refuse \"[inputs] $1: $4 of $2 is no ordinary file\"\n"
	"  make_folder \"$1\"\n"
	"  size=$(stat -c %s -- \"$real\") || exit 74\n"
	"  nice cp --preserve=mode,timestamps --no-target-directory -- \"$real\" \"$1\" || exit 74\n"
	"  chmod u+rw -- \"$1\" || exit 74\n"
	"  if [ \"$(stat -c %s -- \"$1\")\" != \"$size\" ] || [ \"$(stat -c %s -- \"$real\")\" != \"$size\" ]\n"
	"  then printf '[inputs] %s: its size changed while it was copied\\n' \"$1\" >&2; exit 74; fi\n"
	"}\n"
	"link_input() {\n"
	"  make_folder \"$1\"\n"
	"  ln -sT -- \"$2\" \"$1\" || exit 74\n"
	"  [ -e \"$1\" ] || printf '[inputs] %s: %s does not exist on the cluster\\n' \"$1\" \"$2\"\n"
	"}\n";

void stageinput_add(struct strbuf *script, const struct stage_input *inputs, size_t count)
{
	if (count)
		strbuf_adds(script, functions);
	for (size_t i = 0; i < count; i++) {
		const char *const words[] = {inputs[i].name, inputs[i].job, inputs[i].folder,
			inputs[i].path};

		strbuf_adds(script, inputs[i].job ? "copy_input" : "link_input");
		for (size_t w = 0; w < 4; w++) {
			if (!inputs[i].job && (w == 1 || w == 2))
				continue;
			strbuf_addc(script, ' ');
			shell_quote(script, words[w]);
		}
		strbuf_addc(script, '\n');
	}
}

void stageinput_free(struct stage_input *inputs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(inputs[i].name);
		free(inputs[i].job);
		free(inputs[i].folder);
		free(inputs[i].path);
	}
	free(inputs);
}
