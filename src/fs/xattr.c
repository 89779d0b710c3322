/* Extended attributes of jobs/NAME, with -o xattr: user.slurmount.status, .slurm_id, .reason. */
#include <errno.h>
#include <string.h>

#include "err.h"
#include "fs.h"

#define PREFIX "user.slurmount."

static const char *const names[] = {PREFIX "status", PREFIX "slurm_id", PREFIX "reason"};
#define COUNT (sizeof(names) / sizeof(*names))

/* A job's directory, as shown, a reference of the caller's; NULL for any other inode. */
static struct job *job_of(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fuse_req_userdata(req);

	if (fs_ops(fs, ino) != &job_ops || fs_part(ino) != PART_DIR)
		return NULL;
	return model_shown(fs->model, fs_serial(ino));
}

static const char *value_of(const struct job *job, size_t i)
{
	const char *const values[COUNT] = {job->state, job->slurm_id, job->reason};

	return values[i];
}

/* Size 0 asks for the size. */
static void reply(fuse_req_t req, const char *bytes, size_t len, size_t size)
{
	if (!size)
		fuse_reply_xattr(req, len);
	else if (size < len)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, bytes, len);
}

void xattr_get(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	AUTO_JOB struct job *job = strncmp(name, PREFIX, strlen(PREFIX)) ? NULL : job_of(req, ino);

	for (size_t i = 0; job && i < COUNT; i++)
		if (!strcmp(names[i], name) && *value_of(job, i)) {
			reply(req, value_of(job, i), strlen(value_of(job, i)), size);
			return;
		}
	fuse_reply_err(req, ENODATA);
}

void xattr_list(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	AUTO_JOB struct job *job = job_of(req, ino);
	struct strbuf list AUTO_STRBUF = STRBUF_INIT;

	for (size_t i = 0; job && i < COUNT; i++)
		if (*value_of(job, i))
			strbuf_add(&list, names[i], strlen(names[i]) + 1);
	reply(req, list.data, list.len, size);
}
