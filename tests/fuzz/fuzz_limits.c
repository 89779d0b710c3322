/* What scontrol, sinfo and sacctmgr say of the cluster's limits: tables for people come of it, and
 * requests are judged by it. */
#include <string.h>

#include "cleanup.h"
#include "cluster_limits.h"
#include "fuzz.h"
#include "jobspec.h"
#include "limits_judge.h"
#include "strbuf.h"

static void judge(const struct limits *limits)
{
	static const char *const requests[] = {
		"[job]\ncommand = true\n",
		"[job]\ncommand = true\n[slurm]\npartition = a,short\ntime = 10-0\nmem = 4T\nnodes = 2-900\n"
		"account = x\nqos = q\ncpus_per_task = 300\ngpus = a100:3\n",
		"[job]\ncommand = true\n[slurm]\npartition = short\nntasks = 4000\nmem_per_cpu = 1G\n"
		"gres = gpu:2\nconstraint = a&b\narray = 0-9\nreservation = r\nnodelist = n[1-3]\n",
	};

	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		struct strbuf broken AUTO_STRBUF = STRBUF_INIT;
		struct strbuf waits AUTO_STRBUF = STRBUF_INIT;
		struct jobspec *spec = NULL;

		MUST(jobspec_parse(requests[i], strlen(requests[i]), &spec, NULL) == 0);
		struct limits_request request = {.spec = spec, .own = spec->slurm.count};
		limits_judge(&request, limits, &broken, &waits);
		must_be_readable(broken.data, broken.len);
		must_be_readable(waits.data, waits.len);
		jobspec_free(spec);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	char *copy = malloc(size + !size);

	memcpy(copy, data, size);
	struct limits *limits = limits_parse(copy, size, 1);
	MUST(limits);
	limits_render_partitions(limits, &text);
	limits_render_limits(limits, &text);
	limits_render_queue(copy, size, 1, &text);
	must_be_readable(text.data, text.len);
	for (size_t i = 0; i < limits->partition_count; i++)
		MUST(!strpbrk(limits_access(limits, &limits->partitions[i]), " \t\n"));
	for (size_t i = 0; i < limits->nodes_count; i++) {
		const char *at = limits->nodes[i].gres;
		struct limits_gres gres;

		while (limits_next_gres(&at, &gres))
			MUST(memchr(gres.name, 0, sizeof(gres.name)) && memchr(gres.type, 0, sizeof(gres.type)));
	}
	judge(limits);
	limits_unref(limits);
	free(copy);
	return 0;
}
