/* A draft becomes a job: sealed, its intent persisted, its bytes moved. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "after.h"
#include "engine_internal.h"
#include "err.h"
#include "fault.h"
#include "jobfile.h"
#include "jobspec.h"
#include "log.h"

#define AT_ONCE 64
/* The kernel sends a file's release in the background, late behind other requests. */
#define WRITER_WAIT_MS 1000
/* Longer than a Slurm that is well takes for an answer, shorter than a person's patience. */
#define ANSWER_WAIT_MS 5000

static int make_uuid(char uuid[JOB_UUID_SIZE])
{
	unsigned char b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return -EIO;
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	snprintf(uuid, JOB_UUID_SIZE,
		"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		b[15]);
	return 0;
}

/* The first free name: itself, then -2, -3, ...; loose files without a name count from -1. */
static char *free_name(struct engine *e, const char *wanted, bool numbered)
{
	char *name = numbered ? xasprintf("%s-1", wanted) : xstrdup(wanted);

	for (unsigned n = 2; model_name_taken(e->model, name); n++) {
		free(name);
		/* A long name gives way to its number. */
		name = xasprintf("%.*s-%u", JOB_NAME_MAX - 8, wanted, n);
	}
	return name;
}

char *intake_free_name(struct engine *e, const char *wanted)
{
	return free_name(e, wanted, false);
}

/* "a~\nb~\n" as "; left out: a~, b~", the caller's to free. */
static char *say_left_out(const struct strbuf *lines)
{
	struct strbuf text = STRBUF_INIT;

	for (const char *at = lines->data, *end; (end = strchr(at, '\n')); at = end + 1) {
		strbuf_adds(&text, text.len ? ", " : "; left out: ");
		strbuf_add(&text, at, (size_t)(end - at));
	}
	return strbuf_steal(&text);
}

/* The job with its request, its origin and the first line of its log, as one transaction.  Takes `job` over; on
 * failure there is nothing of it. */
static int add_job(struct engine *e, struct job *job, const struct sealed_draft *sealed, const char *log)
{
	int64_t real_ns = clock_real_ns(e->clock);

	jobfile_touch(NULL, job, real_ns);
	job->file_ns[JOB_FILE_LOG] = real_ns;
	/* Where it cannot begin, each of the two stands for itself. */
	bool together = store_begin(e->store) == 0;
	int r = store_add(e->store, job, sealed->config, sealed->config_len, sealed->draft, sealed->loose,
		sealed->loose_len);
	/* Without its first line in the log it is a job, too. */
	if (r == 0 && store_update(e->store, job, log, real_ns) < 0)
		log_warning("%s: its log lacks that it was accepted", job->name);
	int end = together ? store_commit(e->store) : 0;
	r = engine_wrote(e, r < 0 ? r : end);
	if (r < 0) {
		job_unref(job);
		return r;
	}
	FAULT_POINT("intent");
	chain_changed(e, job, true);
	model_publish(e->model, job);
	FAULT_POINT("published");
	return 0;
}

static int commit_intent(struct engine *e, const struct sealed_draft *sealed, const char *name,
	char uuid[JOB_UUID_SIZE])
{
	struct job *job = job_new();

	int r = make_uuid(uuid);
	if (r < 0) {
		job_unref(job);
		return r;
	}
	job->serial = sealed->serial;
	memcpy(job->uuid, uuid, JOB_UUID_SIZE);
	strcpy(job->state, sealed->spec && after_wanted(sealed->spec) ? "WAITING" : "STAGING");
	job->attempt = 1;
	job->by_rename = sealed->forced;
	job_set(&job->name, name);
	job->created_ns = clock_real_ns(e->clock);
	job->config_size = sealed->config_len;
	AUTO_FREE char *left_out = say_left_out(&sealed->left_out);
	AUTO_FREE char *log = xasprintf("accepted as %s%s", name, left_out);
	/* Once that is durable, whatever fails then, this draft is this job and no other. */
	return add_job(e, job, sealed, log);
}

/* A draft of the same name is another one from now on.  What persists it, and has the disk take it, is
 * the job's next step: until then its files lie in the spool under its uuid, which tells as much, or are the
 * draft's again after a power failure, and are moved at the next start. */
static void note_moved(struct engine *e, uint64_t serial)
{
	struct job *now = engine_edit(e, serial);

	e->moves_open = true;
	if (!now)
		return;
	now->moved = true;
	engine_show(e, now);
}

/* Takes over `sealed`. */
static int make_job(struct engine *e, struct sealed_draft *sealed, const char *name)
{
	char uuid[JOB_UUID_SIZE];
	uint64_t serial = sealed->serial;

	int r = commit_intent(e, sealed, name, uuid);
	if (r < 0) {
		drafts_unseal(e->drafts, sealed);
		return r;
	}
	FAULT_POINT("before the move");
	/* The intent stands: a move that fails now is finished when it is staged, or at the next start. */
	r = drafts_move(e->drafts, sealed, uuid, name);
	if (r < 0)
		log_error("%s: its files cannot be moved in the spool: %s", name, strerror(-r));
	else
		note_moved(e, serial);
	FAULT_POINT("moved");
	engine_add_track(e, serial)->step = chain_add(e, serial, false) ? STEP_WAIT : STEP_STAGE;
	return 0;
}

static int submit(struct engine *e, const struct submission *s, int64_t now_ms)
{
	uint64_t serial = s->serial;
	const char *name = s->name;
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct sealed_draft *sealed;

	int r = jobspec_check_name(name);
	if (r < 0)
		return r;
	if (model_name_taken(e->model, name))
		return -EEXIST;
	r = drafts_writers(e->drafts, serial);
	if (r == 0 && now_ms < s->answer_ms && drafts_asking(e->drafts, serial))
		r = -EINPROGRESS;
	if (r == 0)
		r = drafts_seal(e->drafts, serial, true, &sealed, &why);
	return r < 0 ? r : make_job(e, sealed, name);
}

static void answer(struct submission *s, int result)
{
	s->done(s->arg, result);
	free(s->name);
	free(s);
}

void intake_submit(struct engine *e, void *submission)
{
	struct submission *s = submission;

	if (engine_ending(e)) {
		answer(s, -ESHUTDOWN);
		return;
	}
	s->until_ms = clock_mono_ms(e->clock) + WRITER_WAIT_MS;
	s->answer_ms = clock_mono_ms(e->clock) + ANSWER_WAIT_MS;
	s->next = e->submissions;
	e->submissions = s;
}

/* Every release and every answer of the cluster wakes the engine, so each is looked at again when something has changed. */
static void try_submissions(struct engine *e, int64_t now_ms, int64_t *next_ms)
{
	struct submission **at = &e->submissions;

	while (*at) {
		struct submission *s = *at;
		int r = submit(e, s, now_ms);
		int64_t until_ms = r == -EAGAIN ? s->until_ms : r == -EINPROGRESS ? s->answer_ms : 0;

		if (now_ms < until_ms) {
			if (until_ms < *next_ms)
				*next_ms = until_ms;
			at = &s->next;
			continue;
		}
		*at = s->next;
		answer(s, r == -EAGAIN ? -EBUSY : r);
	}
}

void intake_end(struct engine *e)
{
	while (e->submissions) {
		struct submission *s = e->submissions;

		e->submissions = s->next;
		answer(s, -ESHUTDOWN);
	}
}

void intake_tick(struct engine *e, int64_t now_ms, int64_t *next_ms)
{
	uint64_t serials[AT_ONCE];
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;

	try_submissions(e, now_ms, next_ms);
	if (now_ms >= e->drafts_ms) {
		size_t n = drafts_ready(e->drafts, serials, AT_ONCE, &e->drafts_ms);

		for (size_t i = 0; i < n; i++) {
			struct sealed_draft *sealed;

			if (drafts_seal(e->drafts, serials[i], false, &sealed, &why) < 0)
				continue;
			AUTO_FREE char *name = free_name(e, sealed->suggested_name,
				!sealed->draft && !(sealed->spec && sealed->spec->name));
			make_job(e, sealed, name);
		}
		if (n == AT_ONCE)
			e->drafts_ms = now_ms;
	}
	if (e->drafts_ms < *next_ms)
		*next_ms = e->drafts_ms;
}

int intake_move_again(struct engine *e, const struct job *job)
{
	AUTO_FREE char *draft = NULL;
	AUTO_FREE char *loose = NULL;
	size_t loose_len = 0;

	int r = store_origin(e->store, job->serial, &draft, &loose, &loose_len);

	if (r == 0)
		r = drafts_finish_move(e->drafts, job->uuid, job->name, draft, loose, loose_len);
	e->moves_open |= r == 0;
	return r;
}

static int finish_move(struct engine *e, const struct job *job)
{
	int r = intake_move_again(e, job);

	if (r < 0)
		return r;
	/* Durable before anything can be dropped under its name: files that are lost stay so. */
	struct job *now = job_copy(job);
	now->moved = true;
	return engine_commit(e, now, NULL);
}

int intake_finish_moves(struct engine *e, struct strbuf *why)
{
	for (size_t i = 0; i < e->track_count; i++) {
		AUTO_JOB struct job *job = model_latest(e->model, e->tracks[i].serial);

		if (!job || job->staged || job->moved)
			continue;
		int r = finish_move(e, job);
		if (r < 0) {
			strbuf_addf(why, "%s: its files cannot be taken up again: %s", job->name,
				strerror(-r));
			return r;
		}
	}
	return 0;
}
