#include "sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "draftcheck.h"
#include "err.h"
#include "template.h"

int sealed_read(const char *source, const struct profile *profile, struct sealed_request *ret,
	struct strbuf *why)
{
	struct draftcheck check;
	int folder AUTO_CLOSE = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*ret = (struct sealed_request){0};
	if (folder < 0) {
		strbuf_addf(why, "The inputs are not in the spool any more: %s\n", strerror(errno));
		return -errno;
	}
	struct draftcheck_request request = {.folder = folder, .name = "job", .profile = profile};
	draftcheck_run(&request, &check);
	int r = check.verdict == DRAFT_INVALID ? -EINVAL :
		check.verdict == DRAFT_INCOMPLETE ? -ENOENT : 0;
	if (r < 0)
		strbuf_add(why, check.problems.data, check.problems.len);
	ret->spec = STEAL(check.spec);
	ret->body_line = STEAL(check.body_line);
	ret->template = STEAL(check.template);
	draftcheck_release(&check);
	return r;
}

int sealed_replace_config(const char *source, const char *text, size_t len)
{
	static const char part[] = ".slurmount-config.part";
	int folder AUTO_CLOSE = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd AUTO_CLOSE = folder < 0 ? -1 :
		openat(folder, part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0)
		return -errno;
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	if (fsync(fd) < 0 || renameat(folder, part, folder, "config.ini") < 0 || fsync(folder) < 0)
		return -errno;
	return 0;
}

void sealed_request_release(struct sealed_request *request)
{
	jobspec_free(request->spec);
	template_free(request->template);
	free(request->body_line);
	*request = (struct sealed_request){0};
}
