#include "limits_query.h"

#include <errno.h>

#define QUERY_MS 150000

/* Answers "section NAME STATUS LENGTH\n", the bytes and a newline, for each.  A command that hangs
 * (slurmdbd out of reach) is given up.  sinfo -e keeps nodes apart that are not alike. */
static const char script[] =
	"export LC_ALL=C\n"
	"unset \"${!SINFO_@}\"\n"
	"say() { printf 'section %s %d %d\\n%s\\n' \"$1\" \"$2\" \"${#3}\" \"$3\"; }\n"
	"ask() {\n"
	"  local name=$1 text\n"
	"  shift\n"
	"  text=$(timeout 30 \"$@\" 2> /dev/null)\n"
	"  say \"$name\" \"$?\" \"$text\"\n"
	"}\n"
	"user=$(id -un)\n"
	"s=$'\\x1f'\n"
	"ask partitions scontrol -a -o show partition\n"
	"ask nodes sinfo -a -h -e -o \"%R$s%c$s%m$s%T$s%D$s%G$s%f\"\n"
	"cluster=$(timeout 30 scontrol show config 2> /dev/null | sed -n 's/^ClusterName *= *//p')\n"
	"ask assocs sacctmgr -nP show assoc where user=\"$user\" ${cluster:+cluster=\"$cluster\"} \\\n"
	"  format=Cluster,Account,Partition,QOS,DefaultQOS,MaxWall,MaxJobs,MaxSubmit,MaxTRES,GrpTRES\n"
	"ask qos sacctmgr -nP show qos \\\n"
	"  format=Name,Flags,MaxWall,MaxJobsPU,MaxSubmitPU,MaxTRES,MaxTRESPU,GrpTRES,MinTRES\n"
	"account=$(timeout 30 sacctmgr -nP show user where user=\"$user\" format=DefaultAccount"
	" 2> /dev/null)\n"
	"say user 0 \"user $user\"$'\\n'\"groups $(id -Gn)\"$'\\n'\"account ${account%%$'\\n'*}\"\n";

int limits_query(const struct cluster *cluster, struct strbuf *ret)
{
	struct command_result result AUTO_RESULT = COMMAND_RESULT_INIT;

	int r = command_run(cluster, script, NULL, 0, QUERY_MS, &result);
	if (r < 0)
		return r;
	strbuf_add(ret, result.out.data, result.out.len);
	return result.status ? -EPROTO : 0;
}
