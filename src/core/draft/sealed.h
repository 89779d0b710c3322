/* The request of a sealed draft, read again from its files: at staging, after a restart as before. */
#ifndef SLURMOUNT_SEALED_H
#define SLURMOUNT_SEALED_H

#include "jobspec.h"
#include "profile.h"

struct stage_file;
struct template;

struct sealed_request {
	struct jobspec *spec;
	char *body_line;           /* of a user's own script, or NULL */
	struct template *template; /* of JOBSPEC_TEMPLATE, or NULL */
	struct stage_file *files;  /* what the template makes and brings */
	size_t file_count;
};

/* Reads the request from the local folder `source`, its template from `source`.template/ where that is, with the profile's defaults, by the same rules as
 * while it was a draft.  0, or -EINVAL or -ENOENT and the like with lines in `why`.  `ret` is released
 * by the caller in any case.  Blocks on local disk only. */
int sealed_read(const char *source, const struct profile *profile, struct sealed_request *ret,
	struct strbuf *why);
/* Replaces config.ini in `source`, whole or not at all, durably.  0 or a negative errno. */
int sealed_replace_config(const char *source, const char *text, size_t len);
void sealed_files_free(struct stage_file *files, size_t count);
void sealed_request_release(struct sealed_request *request);

#endif
