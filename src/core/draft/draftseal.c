/* From a draft to a job: the way of its files from SPOOL/new to SPOOL/sealed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "drafts_internal.h"
#include "drafttree.h"
#include "err.h"
#include "fault.h"
#include "log.h"
#include "template.h"
#include "treeshare.h"
#include "treesync.h"

/* The draft of a node that has left all of them. */
#define NO_DRAFT UINT64_MAX

void sealed_draft_free(struct sealed_draft *sealed)
{
	if (!sealed)
		return;
	free(sealed->draft);
	free(sealed->loose);
	free(sealed->suggested_name);
	free(sealed->config);
	free(sealed->body_line);
	free(sealed->template);
	jobspec_free(sealed->spec);
	strbuf_release(&sealed->left_out);
	free(sealed);
}

static void unseal(struct drafts *drafts, uint64_t serial)
{
	WITH_LOCK(&drafts->lock);
	struct draft *draft = draft_find(drafts, serial);

	if (draft)
		draft->sealed = false;
	pthread_cond_broadcast(&drafts->settled);
}

void drafts_unseal(struct drafts *drafts, struct sealed_draft *sealed)
{
	unseal(drafts, sealed->serial);
	sealed_draft_free(sealed);
}

/* Stops every change of the draft; tells its name and folder. */
static int stop_draft(struct drafts *drafts, uint64_t serial, bool forced, char **name,
	struct spool_node **node)
{
	WITH_LOCK(&drafts->lock);
	struct draft *draft = draft_find(drafts, serial);

	if (!draft || draft->elsewhere || draft->gone)
		return -ENOENT;
	if (draft->sealed || draft->writers)
		return -EBUSY;
	if (!forced && (draft->failed || !draft_is_checked(draft)))
		return -EBUSY;
	draft->sealed = true;
	while (draft->running)
		pthread_cond_wait(&drafts->settled, &drafts->lock);
	/* What was running may have opened a file. */
	if (draft->writers) {
		draft->sealed = false;
		pthread_cond_broadcast(&drafts->settled);
		return -EBUSY;
	}
	*name = xstrdup(draft->name);
	*node = spool_ref(drafts->spool, draft->node ? draft->node : spool_root(drafts->spool));
	return 0;
}

static int judge(const struct draftcheck *check, bool forced, bool checked_sums, int folder,
	struct strbuf *why)
{
	strbuf_add(why, check->problems.data, check->problems.len);
	if (check->transfer)
		return -EBUSY;
	if (check->verdict == DRAFT_INVALID || check->verdict == DRAFT_INCOMPLETE)
		return -EPERM;
	if (check->verdict == DRAFT_MANUAL && !forced)
		return -EPERM;
	if (check->asking && !forced)
		return -EBUSY;
	return check->sums && !checked_sums ? draftcheck_sums(folder, why) : 0;
}

static struct sealed_draft *make_sealed(uint64_t serial, const char *name, bool forced,
	struct draftcheck *check)
{
	struct sealed_draft *sealed = xcalloc(1, sizeof(*sealed));

	*sealed = (struct sealed_draft){.serial = serial, .forced = forced, .draft = xstrdup(name),
		.config_len = check->config.len, .spec = STEAL(check->spec),
		.body_line = STEAL(check->body_line), .left_out = check->left_out};
	/* Not in the initializer, whose order is open: stealing ends the length. */
	sealed->config = strbuf_steal(&check->config);
	check->left_out = STRBUF_INIT;
	if (check->template)
		sealed->template = xstrdup(check->template->folder);
	sealed->suggested_name = xstrdup(sealed->spec->name ? sealed->spec->name :
		name ? name : "job");
	if (!name) {
		sealed->others = check->others;
		sealed->loose_len = check->loose.len;
		sealed->loose = strbuf_steal(&check->loose);
	}
	return sealed;
}

static bool sums_known_good(struct drafts *drafts, uint64_t serial)
{
	WITH_LOCK(&drafts->lock);
	const struct draft *draft = draft_find(drafts, serial);

	return draft && draft->sums && !*draft->sums && draft->sums_changes == draft->changes;
}

/* Nobody must write through what the kernel still takes for the draft's file: the next look-up of
 * either name, behind ESTALE, makes a node of its own. */
static void part_from(void *arg, dev_t dev, ino_t ino)
{
	struct drafts *drafts = arg;
	struct spool_node *node = spool_of_inode(drafts->spool, dev, ino);

	if (!node)
		return;
	if (!node->writers) {
		spool_detach(drafts->spool, node);
		node->serial = NO_DRAFT;
	}
	spool_put(drafts->spool, node);
}

/* The intent must not be on the disk before the bytes are, which are nobody else's from here on. */
static int secure(struct drafts *drafts, const struct spool_node *node, const char *name,
	const struct draftcheck *check)
{
	int fd AUTO_CLOSE = spool_reopen(node, O_RDONLY | O_DIRECTORY);
	int r = fd < 0 ? fd : tree_unshare(fd, name ? NULL : check->loose.data, check->loose.len,
		drafts->meta_fd, part_from, drafts);

	if (r == 0)
		r = tree_sync(fd, !name);
	return r == 0 && fsync(drafts->top_fd) < 0 ? -errno : r;
}

int drafts_seal(struct drafts *drafts, uint64_t serial, bool forced, struct sealed_draft **ret,
	struct strbuf *why)
{
	AUTO_FREE char *name = NULL;
	struct spool_node *node;
	struct draftcheck check;

	int r = stop_draft(drafts, serial, forced, &name, &node);
	if (r < 0)
		return r;
	struct draftcheck_request request = draft_request(drafts, node->fd, name);
	draftcheck_each(&request, &check);
	r = judge(&check, forced, sums_known_good(drafts, serial), node->fd, why);
	FAULT_POINT("sealing");
	if (r == 0)
		r = secure(drafts, node, name, &check);
	FAULT_POINT("secured");
	if (r < 0 && !why->len)
		strbuf_addf(why, "the spool's disk: %s\n", strerror(-r));
	if (r == 0)
		*ret = make_sealed(serial, name, forced, &check);
	else
		unseal(drafts, serial);
	draftcheck_release(&check);
	spool_put(drafts->spool, node);
	return r;
}

char *drafts_sealed_path(struct drafts *drafts, const char *uuid)
{
	return xasprintf("%s/sealed/%s", drafts->config.spool, uuid);
}

/* NFS and sshfs do not know how to say that nothing is to be replaced. */
int draft_move_entry(int from, const char *name, int to, const char *newname)
{
	if (renameat2(from, name, to, newname, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
		return -errno;
	/* Nobody else makes anything there. */
	if (faccessat(to, newname, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return renameat(from, name, to, newname) < 0 ? -errno : 0;
}

/* What a lost database would be asked for (draftback.c).  A disk without attributes keeps no names. */
static void note_name(int folder, const char *name)
{
	if (fsetxattr(folder, DRAFT_JOB_ATTRIBUTE, name, strlen(name), 0) < 0)
		log_debug("%s: its files do not bear its name: %s", name, strerror(errno));
}

static int move_loose(struct drafts *drafts, const char *uuid, const char *name, const char *loose,
	size_t len)
{
	AUTO_FREE char *part = xasprintf("%s.part", uuid);

	/* The folder bears its final name only when it is complete. */
	if (mkdirat(drafts->sealed_fd, part, 0700) < 0 && errno != EEXIST)
		return -errno;
	int to AUTO_CLOSE = openat(drafts->sealed_fd, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0)
		return -errno;
	note_name(to, name);
	for (const char *file = loose; file < loose + len; file += strlen(file) + 1) {
		int r = draft_move_entry(drafts->top_fd, file, to, file);

		if (r < 0 && r != -ENOENT)
			return r;
	}
	if (fsync(to) < 0 || renameat(drafts->sealed_fd, part, drafts->sealed_fd, uuid) < 0)
		return -errno;
	return 0;
}

static int move_folder(struct drafts *drafts, const char *uuid, const char *name, const char *draft)
{
	int fd AUTO_CLOSE = openat(drafts->top_fd, draft, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	note_name(fd, name);
	return draft_move_entry(drafts->top_fd, draft, drafts->sealed_fd, uuid);
}

static int move_bytes(struct drafts *drafts, const char *uuid, const char *name, const char *draft,
	const char *loose, size_t loose_len)
{
	if (faccessat(drafts->sealed_fd, uuid, F_OK, 0) < 0) {
		int r = draft ? move_folder(drafts, uuid, name, draft) :
			move_loose(drafts, uuid, name, loose, loose_len);

		if (r < 0)
			return r;
	}
	int fd AUTO_CLOSE = openat(drafts->sealed_fd, uuid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	FAULT_POINT("renamed");
	tree_sweep_droppings(fd);
	return 0;
}

int drafts_sync_moves(struct drafts *drafts)
{
	return fsync(drafts->sealed_fd) < 0 || fsync(drafts->top_fd) < 0 ? -errno : 0;
}

struct stale_walk {
	struct drafts *drafts;
	uint64_t serial;
	uint64_t rest; /* the draft of the loose files that stay, or 0 */
};

static void node_is_stale(void *arg, struct spool_node *node)
{
	struct stale_walk *walk = arg;

	if (node->top == walk->serial)
		return;
	AUTO_FREE char *stays = walk->rest ? spool_path(walk->drafts->spool, node) : NULL;
	if (stays) {
		node->serial = walk->rest;
		return;
	}
	/* Its bytes are the job's now: the same inode dropped again would be another node. */
	spool_detach(walk->drafts->spool, node);
	WITH_LOCK(&walk->drafts->lock);
	draft_add_stale(walk->drafts, DRAFT_STALE_NODE, node->id, walk->serial, NULL);
}

/* Lists the names that the kernel may still have. */
static void names_are_stale(struct drafts *drafts, const struct sealed_draft *sealed,
	const char *uuid)
{
	AUTO_FREE char *path = drafts_sealed_path(drafts, uuid);
	DIR *dir AUTO_CLOSEDIR = opendir(path);
	struct dirent *entry;

	WITH_LOCK(&drafts->lock);
	for (const char *n = sealed->loose; n && n < sealed->loose + sealed->loose_len;
		n += strlen(n) + 1)
		draft_add_stale(drafts, DRAFT_STALE_NAME, 0, 0, xstrdup(n));
	if (!sealed->draft)
		return;
	if (!sealed->forced)
		draft_add_stale(drafts, DRAFT_STALE_NAME, 0, sealed->serial, xstrdup(sealed->draft));
	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			draft_add_stale(drafts, DRAFT_STALE_CHILD, 0, sealed->serial,
				xstrdup(entry->d_name));
}

/* Without the copy, the job takes the template as it is when it is staged. */
static void keep_template(struct drafts *drafts, const struct sealed_draft *sealed,
	const char *uuid)
{
	AUTO_FREE char *to = xasprintf("%s/sealed/%s.template", drafts->config.spool, uuid);
	int r = sealed->template ? template_keep(sealed->template, to) : 0;

	if (r < 0)
		log_warning("%s: no copy of it could be made: %s", sealed->template, strerror(-r));
}

/* The loose files that stay are another draft, which was quiet for as long; its serial. */
static uint64_t begin_rest(struct drafts *drafts, int64_t changed_ms)
{
	drafts_recount_loose(drafts);
	WITH_LOCK(&drafts->lock);
	if (drafts->loose && !drafts->loose->changes)
		drafts->loose->changed_ms = changed_ms;
	return drafts->loose ? drafts->loose->serial : 0;
}

int drafts_move(struct drafts *drafts, struct sealed_draft *sealed, const char *uuid, const char *name)
{
	struct stale_walk walk = {drafts, sealed->serial, 0};
	int64_t changed_ms = 0;

	keep_template(drafts, sealed, uuid);
	int r = move_bytes(drafts, uuid, name, sealed->draft, sealed->loose, sealed->loose_len);
	pthread_mutex_lock(&drafts->lock);
	struct draft *draft = draft_find(drafts, sealed->serial);
	if (draft && r < 0)
		draft->gone = true;
	else if (draft)
		draft_take_out(drafts, draft);
	if (draft)
		changed_ms = draft->changed_ms;
	pthread_cond_broadcast(&drafts->settled);
	pthread_mutex_unlock(&drafts->lock);
	if (r == 0) {
		draft_forget_meta(drafts, sealed->draft);
		if (sealed->others)
			walk.rest = begin_rest(drafts, changed_ms);
		spool_each(drafts->spool, sealed->serial, node_is_stale, &walk);
		names_are_stale(drafts, sealed, uuid);
		draft_tell_stale(drafts);
		if (draft)
			draft_free(drafts, draft);
		drafts_recount_loose(drafts);
		if (sealed->others)
			draft_wake_engine(drafts);
	}
	sealed_draft_free(sealed);
	return r;
}

int drafts_finish_move(struct drafts *drafts, const char *uuid, const char *name, const char *draft,
	const char *loose, size_t loose_len)
{
	if (faccessat(drafts->sealed_fd, uuid, F_OK, 0) == 0)
		return 0;
	int r = move_bytes(drafts, uuid, name, draft, loose, loose_len);
	/* It was that draft's, and the next one of its name is another. */
	if (r == 0)
		draft_forget_meta(drafts, draft);
	/* Staging will say so of this one job; the others must be able to start. */
	if (r == -ENOENT) {
		log_error("the files of job %s are in the spool no more", uuid);
		r = 0;
	}
	drafts_rescan(drafts);
	return r;
}

int drafts_drop_template(struct drafts *drafts, const char *uuid)
{
	AUTO_FREE char *name = xasprintf("%s.template", uuid);
	int r = tree_delete(drafts->sealed_fd, name);

	return r == -ENOENT ? 0 : r;
}

int drafts_drop_sealed(struct drafts *drafts, const char *uuid)
{
	drafts_drop_template(drafts, uuid);
	AUTO_FREE char *drop = xasprintf("%s.drop", uuid);

	/* What is half deleted must not pass for a job's files after a crash. */
	if (renameat(drafts->sealed_fd, uuid, drafts->sealed_fd, drop) < 0)
		return errno == ENOENT ? 0 : -errno;
	FAULT_POINT("half dropped");
	return tree_delete(drafts->sealed_fd, drop);
}
