/* The two halves of the handlers of jobs/NAME: its directory, and what its files hold. */
#ifndef SLURMOUNT_JOBDIR_H
#define SLURMOUNT_JOBDIR_H

#include "fs.h"
#include "jobfile.h"

/* The enum job_file of an inode of a job's directory, or JOB_FILE_COUNT. */
static inline enum job_file jobdir_file(fuse_ino_t ino)
{
	unsigned part = fs_part(ino);

	return part >= PART_FILE && part < PART_FILE + JOB_FILE_COUNT
		? (enum job_file)(part - PART_FILE)
		: JOB_FILE_COUNT;
}
void jobdir_file_attr(const struct fs *fs, const struct job *job, enum job_file file,
	struct stat *ret);

void jobedit_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	struct fuse_file_info *fi);
void jobedit_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void jobedit_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi);
void jobedit_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t off,
	struct fuse_file_info *fi);
void jobedit_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void jobedit_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

#endif
