#include "taskfile.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "err.h"

static const char *const names[TASK_FILE_COUNT] = {
	[TASK_FILE_STATUS] = "status",
	[TASK_FILE_SLURM_ID] = "slurm_id",
	[TASK_FILE_INFO] = "info",
};

const char *taskfile_name(enum task_file file)
{
	return names[file];
}

static void add_time(struct strbuf *b, const char *key, uint32_t seconds)
{
	char text[CLOCK_ISO_SIZE];

	if (seconds)
		strbuf_addf(b, "%s = %s\n", key, clock_iso((int64_t)seconds * 1000000000, text));
}

static void add_path(struct strbuf *b, const char *key, const struct job *job,
	const struct task *task, bool error)
{
	AUTO_FREE char *path = tasks_output(job->tasks, task, error, job->workdir, job->slurm_id);

	if (!path)
		return;
	strbuf_addf(b, "%s = ", key);
	strbuf_add_escaped(b, path, strlen(path));
	strbuf_addc(b, '\n');
}

static void render_info(const struct job *job, const struct task *task, struct strbuf *b)
{
	strbuf_addf(b, "state = %s\ntask = %u\n", tasks_word(job->tasks, task, job->state), task->id);
	if (*job->slurm_id)
		strbuf_addf(b, "slurm_id = %s_%u\n", job->slurm_id, task->id);
	if (task->job_id)
		strbuf_addf(b, "job_id = %u\n", task->job_id);
	if (task->exit_code >= 0)
		strbuf_addf(b, "exit_code = %d\n", task->exit_code);
	if (task->signal > 0)
		strbuf_addf(b, "signal = %d\n", task->signal);
	add_time(b, "start_time", task->start_s);
	add_time(b, "end_time", task->end_s);
	add_path(b, "stdout", job, task, false);
	add_path(b, "stderr", job, task, true);
}

void taskfile_render(const struct job *job, const struct task *task, enum task_file file,
	struct strbuf *b)
{
	switch (file) {
	case TASK_FILE_STATUS:
		strbuf_addf(b, "%s\n", tasks_word(job->tasks, task, job->state));
		break;
	case TASK_FILE_SLURM_ID:
		/* Not Slurm's own number of the task: the last task's is the whole array's, so that
		 * `scancel` with it would end all of them. */
		if (*job->slurm_id)
			strbuf_addf(b, "%s_%u\n", job->slurm_id, task->id);
		break;
	case TASK_FILE_INFO:
		render_info(job, task, b);
		break;
	case TASK_FILE_COUNT:
		break;
	}
}

int64_t taskfile_ns(const struct job *job, const struct task *task, enum task_file file)
{
	if (file == TASK_FILE_SLURM_ID)
		return job->file_ns[JOB_FILE_SLURM_ID];
	return task->changed_s ? (int64_t)task->changed_s * 1000000000 : job->state_ns;
}

bool taskfile_same(const struct job *before, const struct task *old, const struct job *now,
	const struct task *task)
{
	return task_same(before->tasks, old, now->tasks, task) &&
		old->changed_s == task->changed_s && !strcmp(before->slurm_id, now->slurm_id) &&
		!strcmp(before->workdir, now->workdir) &&
		(task->word || before->state_ns == now->state_ns);
}
