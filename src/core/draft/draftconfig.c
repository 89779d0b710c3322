/* A draft's config.ini as it is written: close() refuses a wrong one, and what was refused is kept. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "drafts_internal.h"
#include "err.h"
#include "log.h"
#include "template.h"

static int write_meta(struct drafts *drafts, const char *name, const char *text, size_t len)
{
	int fd AUTO_CLOSE = openat(drafts->meta_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		0600);

	if (fd < 0)
		return -errno;
	return write(fd, text, len) == (ssize_t)len ? 0 : -EIO;
}

void draft_take_valid(struct drafts *drafts, uint64_t serial, const struct strbuf *text)
{
	WITH_LOCK(&drafts->lock);
	struct draft *draft = draft_find(drafts, serial);

	if (!draft || draft->refused || !text->len)
		return;
	free(draft->valid);
	draft->valid = xstrdup(text->data);
}

int draft_open_folder(struct drafts *drafts, uint64_t serial, char **name,
	struct spool_node **node)
{
	WITH_LOCK(&drafts->lock);
	const struct draft *draft = draft_find(drafts, serial);

	if (!draft)
		return -ENOENT;
	*name = xstrdup(draft->name);
	*node = spool_ref(drafts->spool, draft->node ? draft->node : spool_root(drafts->spool));
	return 0;
}

/* Whether what is given to a template's variables is of their types.  What is missing may still come,
 * and a template that is not there, or is wrong itself, is no fault of config.ini. */
static bool variables_are_valid(const struct jobspec *spec)
{
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	AUTO_FREE char *own = template_own_folder();
	struct template *template = NULL;
	bool valid = true;

	if (spec->kind != JOBSPEC_TEMPLATE || template_find(spec->template_name, own, &template, &why) < 0)
		return true;
	for (size_t i = 0; valid && i < spec->variables.count; i++) {
		const struct jobspec_pair *given = &spec->variables.items[i];
		const struct template_variable *v = template_variable(template, given->key);
		AUTO_FREE char *canonical = v ? template_canonical(v, given->value) : NULL;

		valid = canonical != NULL;
	}
	template_free(template);
	return valid;
}

bool draft_config_is_valid(const struct strbuf *text)
{
	struct jobspec *spec = NULL;
	bool valid = jobspec_parse(text->data, text->len, &spec, NULL) == 0 && variables_are_valid(spec);

	jobspec_free(spec);
	return valid;
}

void drafts_remember_config(struct drafts *drafts, uint64_t serial)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	AUTO_FREE char *name = NULL;
	struct spool_node *node;

	if (draft_open_folder(drafts, serial, &name, &node) < 0)
		return;
	if (draftcheck_read(node->fd, "config.ini", DRAFT_CONFIG_MAX, &text) == 0 && draft_config_is_valid(&text))
		draft_take_valid(drafts, serial, &text);
	spool_put(drafts->spool, node);
}

static void refuse(struct drafts *drafts, uint64_t serial, const struct strbuf *text)
{
	AUTO_FREE char *name = NULL;
	AUTO_FREE char *valid = NULL;
	struct spool_node *node;

	if (draft_open_folder(drafts, serial, &name, &node) < 0)
		return;
	spool_put(drafts->spool, node);
	AUTO_FREE char *refused = draft_meta_name(name, "refused");
	AUTO_FREE char *before = draft_meta_name(name, "before");
	pthread_mutex_lock(&drafts->lock);
	struct draft *draft = draft_find(drafts, serial);
	bool first = draft && !draft->refused;
	if (first) {
		draft->refused = true;
		valid = xstrdup(draft->valid);
	}
	if (draft)
		draft->changes++;
	pthread_mutex_unlock(&drafts->lock);
	/* The text before stays that of before the first refusal. */
	if (first && valid)
		write_meta(drafts, before, valid, strlen(valid));
	if (write_meta(drafts, refused, text->data, text->len) < 0)
		log_warning("%s: its refused config.ini cannot be kept", name ? name : DRAFT_LOOSE_NAME);
}

/* The draft is that of the file now: it may have been moved while it was open. */
static void count_unflushed(struct drafts *drafts, struct draft_handle *handle, bool dirty)
{
	WITH_LOCK(&drafts->lock);
	struct draft *draft = draft_find(drafts, handle->node->serial);

	if (atomic_exchange(&handle->dirty, dirty) == dirty)
		return;
	if (dirty) {
		handle->node->unflushed++;
		if (draft)
			draft->unflushed++;
	} else if (handle->node->unflushed) {
		handle->node->unflushed--;
		if (draft && draft->unflushed)
			draft->unflushed--;
	}
}

int drafts_flush(struct drafts *drafts, struct draft_handle *handle)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	char buffer[16384];
	ssize_t n;

	if (!handle->writes)
		return 0;
	count_unflushed(drafts, handle, false);
	if (!handle->config || !handle->wrote)
		return 0;
	int fd AUTO_CLOSE = spool_reopen(handle->node, O_RDONLY);
	while (fd >= 0 && text.len <= DRAFT_CONFIG_MAX && (n = read(fd, buffer, sizeof(buffer))) > 0)
		strbuf_add(&text, buffer, (size_t)n);
	if (!text.len)
		return 0;
	if (!draft_config_is_valid(&text)) {
		refuse(drafts, handle->serial, &text);
		return -EINVAL;
	}
	draft_take_valid(drafts, handle->serial, &text);
	return 0;
}

void drafts_wrote(struct drafts *drafts, struct draft_handle *handle)
{
	handle->wrote = true;
	if (!handle->dirty)
		count_unflushed(drafts, handle, true);
}
