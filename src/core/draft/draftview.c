/* What drafts/NAME/ shows of a draft. */
#include <errno.h>
#include <string.h>

#include "drafts_internal.h"
#include "err.h"
#include "template.h"

static int view_refused(struct drafts *drafts, uint64_t serial, struct strbuf *ret)
{
	AUTO_FREE char *name = NULL;
	struct spool_node *node;

	int r = draft_open_folder(drafts, serial, &name, &node);
	if (r < 0)
		return r;
	spool_put(drafts->spool, node);
	AUTO_FREE char *refused = draft_meta_name(name, "refused");
	return draftcheck_read(drafts->meta_fd, refused, DRAFT_CONFIG_MAX, ret);
}

static void view_problems(const struct draft *draft, struct strbuf *ret)
{
	if (draft->failed)
		strbuf_adds(ret, "an operation failed for want of room or an error of the disk: files may be "
			"cut short; copy them again, or submit by mv\n");
	if (draft->writers)
		strbuf_addf(ret, "%u file%s open for writing\n", draft->writers,
			draft->writers == 1 ? " is" : "s are");
	if (draft->sums && draft->sums_changes == draft->changes)
		strbuf_add_lines(ret, draft->sums, strlen(draft->sums));
	/* That it goes by itself is not true then. */
	if (draft->failed && draft->check->verdict == DRAFT_READY)
		return;
	/* Names of files may hold anything. */
	strbuf_add_lines(ret, draft->check->problems.data, draft->check->problems.len);
}

int drafts_view(struct drafts *drafts, uint64_t serial, enum draft_file file, struct strbuf *ret,
	int64_t *mtime_ns)
{
	draft_evaluate(drafts, serial);
	pthread_mutex_lock(&drafts->lock);
	const struct draft *draft = draft_find(drafts, serial);
	int r = draft && draft->check && !draft->gone ? 0 : -ENOENT;
	if (r == 0) {
		*mtime_ns = draft->changed_ns;
		if (file == DRAFT_FILE_PROBLEMS)
			view_problems(draft, ret);
		else if (file == DRAFT_FILE_PREVIEW && draft->check->preview.len)
			strbuf_add(ret, draft->check->preview.data, draft->check->preview.len);
		else if (file != DRAFT_FILE_REFUSED || !draft->refused)
			r = -ENOENT;
	}
	pthread_mutex_unlock(&drafts->lock);
	return r == 0 && file == DRAFT_FILE_REFUSED ? view_refused(drafts, serial, ret) : r;
}

int drafts_rendered(struct drafts *drafts, uint64_t serial, size_t index, char **name,
	struct strbuf *ret, int64_t *mtime_ns)
{
	draft_evaluate(drafts, serial);
	WITH_LOCK(&drafts->lock);
	const struct draft *draft = draft_find(drafts, serial);
	const struct draftcheck *check = draft && !draft->gone ? draft->check : NULL;

	if (!check || !check->template || !check->values_good || index >= check->template->rendered)
		return -ENOENT;
	*name = xstrdup(check->template->files[index].name);
	*mtime_ns = draft->changed_ns;
	template_render(&check->template->files[index], &check->values, ret);
	return 0;
}

void drafts_templates_changed(struct drafts *drafts)
{
	pthread_mutex_lock(&drafts->lock);
	for (size_t i = 0; i < DRAFT_BUCKETS; i++)
		for (struct draft *d = drafts->table[i]; d; d = d->next) {
			const struct jobspec *spec = d->check ? d->check->spec : NULL;

			if (!spec || spec->kind != JOBSPEC_TEMPLATE)
				continue;
			/* The template may still be on its way: the settling time begins again. */
			d->changes++;
			d->changed_ms = clock_mono_ms(drafts->config.clock);
		}
	pthread_mutex_unlock(&drafts->lock);
	draft_wake_engine(drafts);
}

static bool is_listed(const struct draft *draft)
{
	/* A folder of that name would pass for the loose draft. */
	return !draft->gone && !draft->elsewhere &&
		(!draft->name || strcmp(draft->name, DRAFT_LOOSE_NAME) != 0);
}

uint64_t drafts_by_name(struct drafts *drafts, const char *name)
{
	WITH_LOCK(&drafts->lock);
	for (size_t i = 0; i < DRAFT_BUCKETS; i++)
		for (const struct draft *d = drafts->table[i]; d; d = d->next)
			if (is_listed(d) && strcmp(d->name ? d->name : DRAFT_LOOSE_NAME, name) == 0)
				return d->serial;
	return 0;
}

void drafts_each(struct drafts *drafts, void (*each)(void *arg, const char *name, uint64_t serial),
	void *arg)
{
	size_t count;
	AUTO_FREE uint64_t *all = draft_all_serials(drafts, &count);

	for (size_t i = 0; i < count; i++) {
		AUTO_FREE char *name = NULL;

		pthread_mutex_lock(&drafts->lock);
		const struct draft *draft = draft_find(drafts, all[i]);
		if (draft && is_listed(draft))
			name = xstrdup(draft->name ? draft->name : DRAFT_LOOSE_NAME);
		pthread_mutex_unlock(&drafts->lock);
		if (name)
			each(arg, name, all[i]);
	}
}
