#include "draftlimits.h"

#include <string.h>

#include "clock.h"
#include "clusterask.h"

static void add_lines(struct strbuf *to, const char *before, const char *lines)
{
	while (*lines) {
		size_t len = strcspn(lines, "\n");

		strbuf_adds(to, before);
		strbuf_add(to, lines, len);
		strbuf_addc(to, '\n');
		lines += len + (lines[len] != '\0');
	}
}

/* The last line that sbatch said, which is the one that refuses. */
static void add_refusal(struct strbuf *to, const struct strbuf *words)
{
	size_t end = words->len;

	while (end && words->data[end - 1] == '\n')
		end--;
	size_t start = end;
	while (start && words->data[start - 1] != '\n')
		start--;
	strbuf_add_escaped(to, words->data + start, end - start);
}

static void add_asked(struct strbuf *to, int64_t asked_ns)
{
	char text[CLOCK_ISO_SIZE];

	strbuf_addf(to, "sbatch --test-only, asked at %s", clock_iso(asked_ns, text));
}

static void confirm(struct draftlimits *d, const struct strbuf *broken, struct strbuf *problems,
	struct strbuf *notes)
{
	struct strbuf words AUTO_STRBUF = STRBUF_INIT;
	struct ask_answer answer = clusterask_get(clusterinfo_ask(d->cluster), ASK_SCRIPT, d->preview,
		d->since_ns, &words);

	d->asking = answer.asking && !(answer.known && answer.yes);
	d->held = answer.known && !answer.yes;
	d->answer_ns = d->held ? answer.asked_ns : 0;
	if (d->held) {
		add_lines(problems, "", broken->data);
		strbuf_adds(problems, "Slurm would not take it: ");
		add_refusal(problems, &words);
		strbuf_adds(problems, " (");
		add_asked(problems, answer.asked_ns);
		strbuf_adds(problems, d->asking ? "; it is being asked again)\n" : ")\n");
	} else if (d->asking) {
		add_lines(problems, "", broken->data);
		strbuf_adds(problems, "the cluster is being asked whether it would take this\n");
	} else {
		add_lines(notes, "warning: ", broken->data);
		strbuf_adds(notes, "warning: this is not held back, since ");
		if (answer.known) {
			strbuf_adds(notes, "Slurm would take it all the same (");
			add_asked(notes, answer.asked_ns);
			strbuf_adds(notes, ")\n");
		} else {
			strbuf_adds(notes, "Slurm itself could not be asked about it\n");
		}
	}
}

void draftlimits_check(struct draftlimits *d, struct strbuf *problems, struct strbuf *notes)
{
	struct strbuf broken AUTO_STRBUF = STRBUF_INIT;
	struct strbuf waits AUTO_STRBUF = STRBUF_INIT;
	struct limits *limits = clusterinfo_limits(d->cluster);

	d->held = d->asking = false;
	d->answer_ns = 0;
	limits_judge(&d->request, limits, &broken, &waits);
	limits_unref(limits);
	add_lines(notes, "warning: ", waits.data);
	if (broken.len)
		confirm(d, &broken, problems, notes);
}
