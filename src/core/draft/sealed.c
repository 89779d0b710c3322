#include "sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "draftcheck.h"
#include "err.h"
#include "stage.h"
#include "template.h"

/* The template's files with the values that config.ini gives. */
static void take_files(struct sealed_request *request, const struct jobspec_pairs *values)
{
	const struct template *t = request->template;

	request->file_count = t->file_count;
	request->files = xcalloc(t->file_count, sizeof(*request->files));
	for (size_t i = 0; i < t->file_count; i++) {
		const struct template_file *from = &t->files[i];
		struct stage_file *to = &request->files[i];
		struct strbuf text AUTO_STRBUF = STRBUF_INIT;

		*to = (struct stage_file){.name = xstrdup(from->name), .mode = from->mode};
		if (!from->text) {
			to->path = xasprintf("%s/%s", t->folder, from->name);
			continue;
		}
		template_render(from, values, &text);
		to->len = text.len;
		to->bytes = strbuf_steal(&text);
	}
}

void sealed_files_free(struct stage_file *files, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(files[i].name);
		free(files[i].bytes);
		free(files[i].path);
	}
	free(files);
}

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
	AUTO_FREE char *kept = xasprintf("%s.template", source);
	struct draftcheck_request request = {.folder = folder, .name = "job", .profile = profile,
		.kept = kept};
	draftcheck_run(&request, &check);
	int r = check.verdict == DRAFT_INVALID ? -EINVAL :
		check.verdict == DRAFT_INCOMPLETE ? -ENOENT : 0;
	if (r < 0)
		strbuf_add(why, check.problems.data, check.problems.len);
	ret->spec = STEAL(check.spec);
	ret->body_line = STEAL(check.body_line);
	ret->template = STEAL(check.template);
	if (r == 0 && ret->template)
		take_files(ret, &check.values);
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
	sealed_files_free(request->files, request->file_count);
	free(request->body_line);
	*request = (struct sealed_request){0};
}
