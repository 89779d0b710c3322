#include "jobfile.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "jobstate.h"
#include "store.h"

static const char *const names[JOB_FILE_COUNT] = {
	[JOB_FILE_STATUS] = "status",
	[JOB_FILE_SLURM_ID] = "slurm_id",
	[JOB_FILE_INFO] = "info",
	[JOB_FILE_ERROR] = "error",
	[JOB_FILE_LOG] = "log",
	[JOB_FILE_CTL] = "ctl",
	[JOB_FILE_CONFIG] = "config.ini",
	[JOB_FILE_SCRIPT] = "script.sbatch",
	[JOB_FILE_PROGRESS] = "progress",
};

const char *jobfile_name(enum job_file file)
{
	return names[file];
}

enum job_file jobfile_by_name(const char *name)
{
	enum job_file file = 0;

	while (file < JOB_FILE_COUNT && strcmp(names[file], name))
		file++;
	return file;
}

unsigned jobfile_mode(const struct job *job, enum job_file file)
{
	bool writable = file == JOB_FILE_CTL ||
		(file == JOB_FILE_CONFIG && !strcmp(job->state, "REJECTED"));

	return writable ? 0644 : 0444;
}

static void add_line(struct strbuf *b, const char *key, const char *value)
{
	if (!*value)
		return;
	strbuf_addf(b, "%s = ", key);
	strbuf_add_escaped(b, value, strlen(value));
	strbuf_addc(b, '\n');
}

static void add_time(struct strbuf *b, const char *key, int64_t real_ns)
{
	char text[CLOCK_ISO_SIZE];

	if (real_ns)
		add_line(b, key, clock_iso(real_ns, text));
}

static void render_info(const struct job *job, struct strbuf *b)
{
	add_line(b, "state", job->state);
	add_line(b, "reason", job->reason);
	add_line(b, "name", job->name);
	add_line(b, "slurm_id", job->slurm_id);
	add_line(b, "owner", job->owner);
	strbuf_add_lines(b, job->facts, strlen(job->facts));
	if (*job->facts && b->data[b->len - 1] != '\n')
		strbuf_addc(b, '\n');
	add_time(b, "created", job->created_ns);
	add_time(b, "submitted", job->submitted_ns);
	add_line(b, "workdir", job->workdir);
	add_line(b, "project_dir", job->project_dir);
	add_line(b, "results", job->results);
	add_line(b, "stdout", job->stdout_path);
	add_line(b, "stderr", job->stderr_path);
	add_line(b, "uuid", job->uuid);
}

static void render_ctl(const struct job *job, struct strbuf *b)
{
	unsigned verbs = jobstate_verbs_listed(job->state, job->reason);

	/* Another installation's. */
	if (*job->owner)
		verbs &= JOBSTATE_VERB_SYNC;
	if (!*job->project_dir || !*job->slurm_id)
		verbs &= ~(unsigned)JOBSTATE_VERB_RETRIEVE;
	if (!job_keeps(job))
		verbs &= ~(unsigned)JOBSTATE_VERB_DISCARD;

	for (unsigned i = 0; jobstate_verb_name(i); i++)
		if (verbs & 1u << i)
			strbuf_addf(b, "%s\n", jobstate_verb_name(i));
}

/* The files that follow from the job alone; the store keeps the others' texts. */
static void render_own(const struct job *job, enum job_file file, struct strbuf *b)
{
	switch (file) {
	case JOB_FILE_STATUS:
		strbuf_addf(b, "%s\n", job->state);
		break;
	case JOB_FILE_SLURM_ID:
		strbuf_addf(b, "%s%s", job->slurm_id, *job->slurm_id ? "\n" : "");
		break;
	case JOB_FILE_INFO:
		render_info(job, b);
		break;
	case JOB_FILE_ERROR:
		strbuf_add_lines(b, job->error, strlen(job->error));
		break;
	case JOB_FILE_PROGRESS:
		strbuf_add_lines(b, job->progress, strlen(job->progress));
		break;
	case JOB_FILE_CTL:
		render_ctl(job, b);
		break;
	default:
		break;
	}
}

uint64_t jobfile_size(const struct job *job, enum job_file file)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	if (file == JOB_FILE_CONFIG)
		return job->config_size;
	if (file == JOB_FILE_SCRIPT)
		return job->script_size;
	if (file == JOB_FILE_LOG)
		return job->log_size;
	render_own(job, file, &text);
	return text.len;
}

int jobfile_render(const struct job *job, enum job_file file, struct store *store,
	struct strbuf *ret)
{
	if (file == JOB_FILE_CONFIG)
		return store_text(store, job, STORE_CONFIG, ret);
	if (file == JOB_FILE_SCRIPT)
		return store_text(store, job, STORE_SCRIPT, ret);
	if (file == JOB_FILE_LOG)
		return store_text(store, job, STORE_LOG, ret);
	render_own(job, file, ret);
	return 0;
}

static bool is_stored(enum job_file file)
{
	return file == JOB_FILE_CONFIG || file == JOB_FILE_SCRIPT || file == JOB_FILE_LOG;
}

static bool differs(const struct job *before, const struct job *now, enum job_file file)
{
	struct strbuf old AUTO_STRBUF = STRBUF_INIT;
	struct strbuf new AUTO_STRBUF = STRBUF_INIT;

	if (is_stored(file))
		return jobfile_size(before, file) != jobfile_size(now, file);
	render_own(before, file, &old);
	render_own(now, file, &new);
	return old.len != new.len || memcmp(old.data, new.data, new.len) != 0;
}

/* The notifier knows a change by its time, so two within one tick of the clock, or on either side
 * of its being set back a little, must not bear the same. */
static int64_t later(int64_t before_ns, int64_t real_ns)
{
	return real_ns <= before_ns && before_ns - real_ns < 1000000000 ? before_ns + 1 : real_ns;
}

unsigned jobfile_touch(const struct job *before, struct job *now, int64_t real_ns)
{
	unsigned changed = 0;

	for (enum job_file file = 0; file < JOB_FILE_COUNT; file++) {
		/* A stored text that kept its size: the caller, who knows, has set the time. */
		bool told = before && is_stored(file) && before->file_ns[file] != now->file_ns[file];

		if (before && !told && !differs(before, now, file))
			continue;
		if (!told)
			now->file_ns[file] = later(before ? before->file_ns[file] : 0, real_ns);
		changed |= 1u << file;
	}
	if (!before || strcmp(before->state, now->state))
		now->state_ns = later(before ? before->state_ns : 0, real_ns);
	return changed;
}
