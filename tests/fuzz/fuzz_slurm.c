/* What Slurm's commands print: the first byte tells which parser gets the rest. */
#include <string.h>

#include "fuzz.h"
#include "slurm_error.h"
#include "slurm_text.h"

struct bounds {
	const char *text;
	size_t len;
};

static void must_lie_within(const struct bounds *b, struct span span)
{
	if (span.len)
		MUST(span.text >= b->text && span.text + span.len <= b->text + b->len);
}

static void look(void *arg, const struct slurm_record *r)
{
	const struct bounds *b = arg;
	struct span tasks = r->tasks;
	struct slurm_range range;

	MUST(*r->id && strspn(r->id, "0123456789") == strlen(r->id));
	MUST(memchr(r->state, 0, sizeof(r->state)));
	must_lie_within(b, r->workdir);
	must_lie_within(b, r->user);
	must_lie_within(b, r->reason);
	must_lie_within(b, r->nodes);
	must_lie_within(b, r->name);
	must_lie_within(b, r->tasks);
	for (int i = 0; i < 1000 && slurm_tasks_next(&tasks, &range) == 1; i++)
		MUST(range.first <= range.last && range.step > 0);
}

static void parse_small(const struct bounds *b)
{
	char id[SLURM_ID_SIZE], cluster[64];
	struct slurm_id parsed;
	struct slurm_endrecord record;
	struct slurm_outcome outcome;
	struct slurm_record scontrol;

	if (slurm_parse_id(b->text, b->len, &parsed) == 0)
		MUST(*parsed.job);
	if (slurm_parse_sbatch(b->text, b->len, id, sizeof(id), cluster, sizeof(cluster)) == 0)
		MUST(*id && strspn(id, "0123456789") == strlen(id));
	slurm_parse_endrecord(b->text, b->len, &record);
	MUST(record.exit_status >= -1 && record.exit_status <= 255);
	if (slurm_parse_outcome(b->text, b->len, &outcome) == 0)
		MUST(outcome.out_len + outcome.err_len <= b->len);
	if (slurm_parse_scontrol(b->text, b->len, &scontrol) == 0)
		look((void *)b, &scontrol);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	/* An allocation of its own, so that reading beyond it is seen. */
	char *text = malloc(size);
	memcpy(text, data + 1, size - 1);
	struct bounds b = {text, size - 1};
	const char *body;
	size_t body_len;
	int rc;

	switch (data[0] % 4) {
	case 0:
		slurm_parse_squeue(b.text, b.len, look, &b);
		break;
	case 1:
		slurm_parse_sacct(b.text, b.len, look, &b);
		break;
	case 2:
		parse_small(&b);
		break;
	default:
		if (slurm_frame_find(b.text, b.len, "nonce", &body, &body_len, &rc) == 0)
			MUST(body >= b.text && body + body_len <= b.text + b.len);
	}
	free(text);
	return 0;
}
