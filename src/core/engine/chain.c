/*
 * Chains: jobs that wait for others ([job] after, [inputs]).
 *
 * A child is WAITING and stays on this machine, its draft sealed, until the model says that each of its
 * parents has ended as asked; then it goes the way of every job.  It is staged only then: what its
 * parents left is copied with its own files (stageinput.h), and nothing of it can be purged on the
 * cluster while it waits.  Bindings of names to jobs are kept in the store; all else follows from the
 * states.  Children are looked at when a job that concerns them changed, not with every tick.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "after.h"
#include "chain.h"
#include "engine_internal.h"
#include "err.h"
#include "log.h"

/* So many changed jobs are compared with the children's parents; for more, all children are judged. */
#define CHANGED_MAX 64

struct chain {
	uint64_t serial; /* of the child */
	struct after_list list;
	bool look;       /* it is to be judged */
	bool circle;     /* it was found to wait for itself */
	bool visited;    /* by find_circle() */
};

struct chains {
	struct chain **items; /* by serial */
	size_t count, capacity;
	struct {
		uint64_t serial;
		char *name; /* of a new job, else NULL */
	} changed[CHANGED_MAX];
	size_t changed_count;
	bool all;
	bool again; /* a step could not be written: all are judged with the next tick */
};

/* ---- the table ---- */

static struct chains *table(struct engine *e)
{
	if (!e->chains)
		e->chains = xcalloc(1, sizeof(*e->chains));
	return e->chains;
}

static size_t position(const struct chains *t, uint64_t serial)
{
	size_t low = 0, high = t->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->items[middle]->serial < serial)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct chain *find(const struct chains *t, uint64_t serial)
{
	size_t at = position(t, serial);

	return at < t->count && t->items[at]->serial == serial ? t->items[at] : NULL;
}

static struct chain *insert(struct chains *t, uint64_t serial)
{
	size_t at = position(t, serial);

	if (t->count == t->capacity) {
		t->capacity = t->capacity ? 2 * t->capacity : 16;
		t->items = xrealloc(t->items, t->capacity * sizeof(struct chain *));
	}
	memmove(t->items + at + 1, t->items + at, (t->count - at) * sizeof(struct chain *));
	t->count++;
	t->items[at] = xcalloc(1, sizeof(struct chain));
	t->items[at]->serial = serial;
	return t->items[at];
}

static void chain_free(struct chain *c)
{
	after_release(&c->list);
	free(c);
}

void chains_free(struct chains *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->count; i++)
		chain_free(t->items[i]);
	for (size_t i = 0; i < t->changed_count; i++)
		free(t->changed[i].name);
	free(t->items);
	free(t);
}

static bool refers(const struct chain *c, uint64_t parent)
{
	for (size_t i = 0; i < c->list.count; i++)
		if (c->list.items[i].parent == parent)
			return true;
	return false;
}

/* A parent cannot be removed: its directory's removals are refused by what is published here. */
static void set_needed(struct engine *e, uint64_t parent)
{
	struct job *now = parent ? engine_edit(e, parent) : NULL;
	bool needed = chain_needs(e, parent);

	if (now && now->needed != needed) {
		now->needed = needed;
		model_publish(e->model, now);
	} else {
		job_unref(now);
	}
}

bool chain_needs(struct engine *e, uint64_t parent)
{
	const struct chains *t = e->chains;

	for (size_t i = 0; t && i < t->count; i++)
		if (t->items[i]->serial != parent && refers(t->items[i], parent))
			return true;
	return false;
}

/* ---- bindings ---- */

static void persist(struct engine *e, const struct chain *c)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct job *job = engine_edit(e, c->serial);

	if (!job)
		return;
	after_print(&c->list, &text);
	int r = store_set_text(e->store, job, STORE_CHAIN, text.data, text.len);
	if (r < 0)
		log_error("%s: for which jobs it waits cannot be written to the database: %s", job->name,
			strerror(-r));
	job_unref(job);
}

/* Gives each name that has a job now its serial, for good. */
static bool bind(struct engine *e, struct chain *c)
{
	bool bound = false;

	for (size_t i = 0; i < c->list.count; i++) {
		struct after_item *item = &c->list.items[i];
		AUTO_JOB struct job *parent = item->parent ? NULL :
			model_shown_by_name(e->model, item->name);

		if (!parent)
			continue;
		item->parent = parent->serial;
		bound = true;
	}
	if (!bound)
		return false;
	persist(e, c);
	for (size_t i = 0; i < c->list.count; i++)
		set_needed(e, c->list.items[i].parent);
	return true;
}

static int from_config(struct engine *e, const struct job *job, struct after_list *ret)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct jobspec *spec = NULL;

	int r = store_text(e->store, job, STORE_CONFIG, &text);
	if (r < 0)
		return r;
	jobspec_parse(text.data, text.len, &spec, &why);
	after_from_spec(spec, ret);
	jobspec_free(spec);
	return 0;
}

static int kept(struct engine *e, uint64_t serial, struct after_list *ret)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;

	int r = store_chain(e->store, serial, &text);
	return r <= 0 ? r ? r : -ENOENT : after_parse(text.data, text.len, ret);
}

bool chain_wanted(struct engine *e, const struct job *job)
{
	struct after_list list = {0};
	bool wanted = from_config(e, job, &list) == 0 && list.count;

	after_release(&list);
	return wanted;
}

bool chain_add(struct engine *e, uint64_t serial, bool anew)
{
	struct chains *t = table(e);
	AUTO_JOB struct job *job = model_latest(e->model, serial);
	struct after_list list = {0};

	if (!job)
		return false;
	/* What was kept is missing only where the program died right behind the intent. */
	bool known = !anew && kept(e, serial, &list) == 0;
	if (!known && from_config(e, job, &list) < 0)
		return false;
	chain_drop(e, serial);
	if (!list.count) {
		/* A mended config.ini waits no more. */
		struct job *now = anew ? job_copy(job) : NULL;

		if (now)
			store_set_text(e->store, now, STORE_CHAIN, "", 0);
		job_unref(now);
		return false;
	}
	struct chain *c = insert(t, serial);
	c->list = list;
	c->look = true;
	if (!known)
		persist(e, c);
	for (size_t i = 0; i < list.count; i++)
		set_needed(e, list.items[i].parent);
	bind(e, c);
	return true;
}

void chain_drop(struct engine *e, uint64_t serial)
{
	struct chains *t = table(e);
	size_t at = position(t, serial);

	if (at == t->count || t->items[at]->serial != serial)
		return;
	struct chain *c = t->items[at];
	t->count--;
	memmove(t->items + at, t->items + at + 1, (t->count - at) * sizeof(struct chain *));
	for (size_t i = 0; i < c->list.count; i++)
		set_needed(e, c->list.items[i].parent);
	chain_free(c);
}

void chain_load(struct engine *e)
{
	for (size_t i = 0; i < e->track_count; i++) {
		AUTO_JOB struct job *job = model_latest(e->model, e->tracks[i].serial);
		struct after_list list = {0};

		if (e->tracks[i].step == STEP_WAIT) {
			if (!chain_add(e, e->tracks[i].serial, false))
				e->tracks[i].step = STEP_STAGE;
		} else if (job && !job->staged && kept(e, job->serial, &list) == 0) {
			chain_add(e, job->serial, false);
		}
		after_release(&list);
	}
}

void chain_changed(struct engine *e, const struct job *job, bool is_new)
{
	struct chains *t = e->chains;

	if (!t || !t->count)
		return;
	for (size_t i = 0; i < t->changed_count; i++)
		if (t->changed[i].serial == job->serial)
			return;
	if (t->changed_count == CHANGED_MAX) {
		t->all = true;
		return;
	}
	t->changed[t->changed_count].serial = job->serial;
	t->changed[t->changed_count++].name = is_new ? xstrdup(job->name) : NULL;
}

/* ---- judging ---- */

/* The next of a child's parents that waits, too; `*at` goes on from it. */
static struct chain *waiting_parent(struct engine *e, const struct chain *c, size_t *at)
{
	while (*at < c->list.count) {
		uint64_t parent = c->list.items[(*at)++].parent;
		const struct track *track = parent ? engine_track(e, parent) : NULL;
		struct chain *next = track && track->step == STEP_WAIT ? find(e->chains, parent) : NULL;

		if (next)
			return next;
	}
	return NULL;
}

/* Whether `c` waits for itself; `path` has the names between, and the others on it are looked at. */
static bool find_circle(struct engine *e, struct chain *c, struct strbuf *path)
{
	struct chains *t = e->chains;
	struct {
		struct chain *chain;
		size_t at;
	} *stack = xcalloc(t->count + 1, sizeof(*stack));
	size_t depth = 1;
	bool found = false;

	for (size_t i = 0; i < t->count; i++)
		t->items[i]->visited = false;
	stack[0].chain = c;
	while (depth && !found) {
		struct chain *next = waiting_parent(e, stack[depth - 1].chain, &stack[depth - 1].at);

		if (!next) {
			depth--;
		} else if (next == c) {
			found = true;
		} else if (!next->visited) {
			next->visited = true;
			stack[depth].at = 0;
			stack[depth++].chain = next;
		}
	}
	for (size_t i = 1; found && i < depth; i++) {
		AUTO_JOB struct job *job = model_latest(e->model, stack[i].chain->serial);

		strbuf_addf(path, "%s%s", i > 1 ? ", which waits for " : "", job ? job->name : "?");
		stack[i].chain->look |= !stack[i].chain->circle;
	}
	free(stack);
	return found;
}

/* What a child is told; empty texts where it can go. */
struct judgement {
	struct strbuf waiting_for; /* names, with their conditions */
	struct strbuf reason;      /* of the first of them, in a few words */
	struct strbuf error;       /* what can never come true, a line each */
	struct strbuf ended;       /* "NAME STATE", for the log */
};

static const char *const conditions[] = {
	[AFTER_OK] = "have COMPLETED", [AFTER_ANY] = "have ended", [AFTER_FAILED] = "have failed"};

static void judge_item(struct engine *e, const struct after_item *item, struct judgement *j)
{
	AUTO_JOB struct job *parent = item->parent ? model_latest(e->model, item->parent) : NULL;
	const struct track *track = item->parent ? engine_track(e, item->parent) : NULL;
	enum after_verdict verdict = parent ? after_judge(item->kind, parent->state) :
		item->parent ? AFTER_NEVER : AFTER_WAIT;
	const char *state = parent ? parent->state : item->parent ? "removed" : "not there yet";

	/* A requeue is on its way. */
	if (track && track->verbs)
		verdict = AFTER_WAIT;
	if (verdict == AFTER_GO) {
		strbuf_addf(&j->ended, "%s%s %s", j->ended.len ? ", " : "", item->name, state);
		return;
	}
	strbuf_addf(&j->waiting_for, "%s%s%s%s", j->waiting_for.len ? ", " : "",
		item->kind == AFTER_OK ? "" : after_word(item->kind),
		item->kind == AFTER_OK ? "" : ":", item->name);
	if (verdict == AFTER_NEVER)
		strbuf_addf(&j->error, "It waits for %s to %s, and %s is %s. It goes on by itself if that "
			"changes (ctl of %s: requeue or resubmit, where ctl lists it); else write cancel to "
			"ctl here.\n", item->name, conditions[item->kind], item->name, state, item->name);
	if (!j->reason.len || (verdict == AFTER_NEVER && strncmp(j->reason.data, "never", 5)))
		strbuf_reset(&j->reason);
	else
		return;
	if (verdict == AFTER_NEVER)
		strbuf_addf(&j->reason, "never: %s is %s", item->name, state);
	else if (!item->parent)
		strbuf_addf(&j->reason, "no job is named %s yet", item->name);
	else
		strbuf_addf(&j->reason, "waits for %s to %s", item->name, conditions[item->kind]);
}

static void go_on(struct engine *e, struct job *now, const char *ended)
{
	uint64_t serial = now->serial;

	strcpy(now->state, "STAGING");
	job_set(&now->reason, "");
	job_set(&now->facts, "");
	job_set(&now->error, "");
	if (engine_commit(e, now, "it need not wait any more: %s", ended) < 0) {
		e->chains->again = true;
		return;
	}
	struct track *track = engine_add_track(e, serial);
	track->step = STEP_STAGE;
	track->due_ms = 0;
}

static void say(struct engine *e, const struct job *job, struct job *now, const struct judgement *j)
{
	AUTO_FREE char *facts = xasprintf("waiting_for = %s\n", j->waiting_for.data);
	bool reason = strcmp(job->reason, j->reason.data);
	/* The user's own words with ctl stay until the next. */
	const char *ctl = strstr(job->error, "ctl: ");
	AUTO_FREE char *error = xasprintf("%s%s", j->error.data,
		ctl && (ctl == job->error || ctl[-1] == '\n') ? ctl : "");

	job_set(&now->facts, facts);
	job_set(&now->reason, j->reason.data);
	job_set(&now->error, error);
	if (!reason && !strcmp(job->facts, facts) && !strcmp(job->error, error))
		job_unref(now);
	else
		engine_commit(e, now, reason ? "%s" : NULL, j->reason.data);
}

static void judge(struct engine *e, struct chain *c)
{
	AUTO_JOB struct job *job = model_latest(e->model, c->serial);
	const struct track *track = engine_track(e, c->serial);
	struct judgement j = {STRBUF_INIT, STRBUF_INIT, STRBUF_INIT, STRBUF_INIT};
	struct strbuf path AUTO_STRBUF = STRBUF_INIT;

	if (!job || !track || track->step != STEP_WAIT || job->cancel_asked)
		return;
	for (size_t i = 0; i < c->list.count; i++)
		judge_item(e, &c->list.items[i], &j);
	c->circle = j.waiting_for.len && find_circle(e, c, &path);
	if (c->circle) {
		strbuf_addf(&j.error, "It waits for itself%s%s: none of them can ever run. Write cancel to "
			"ctl of one.\n", path.len ? " by way of " : "", path.data);
		strbuf_reset(&j.reason);
		strbuf_adds(&j.reason, "never: it waits for itself");
		if (path.len)
			strbuf_addf(&j.reason, " by way of %s", path.data);
	}
	if (j.waiting_for.len)
		say(e, job, job_copy(job), &j);
	else
		go_on(e, job_copy(job), j.ended.data);
	strbuf_release(&j.waiting_for);
	strbuf_release(&j.reason);
	strbuf_release(&j.error);
	strbuf_release(&j.ended);
}

/* Whether the child is past needing its parents: gone, refused, cancelled, or complete over there. */
static bool is_over(struct engine *e, const struct chain *c)
{
	AUTO_JOB struct job *job = model_latest(e->model, c->serial);
	const struct track *track = engine_track(e, c->serial);

	return !job || !track || job->staged || (track->step != STEP_WAIT && track->step != STEP_STAGE);
}

static bool concerns(const struct chains *t, const struct chain *c)
{
	for (size_t i = 0; i < t->changed_count; i++) {
		if (t->changed[i].serial == c->serial || refers(c, t->changed[i].serial))
			return true;
		for (size_t k = 0; t->changed[i].name && k < c->list.count; k++)
			if (!c->list.items[k].parent && !strcmp(c->list.items[k].name, t->changed[i].name))
				return true;
	}
	return false;
}

/* Which children are to be judged, after what changed; ends of children untie circles. */
static bool take_changes(struct engine *e)
{
	struct chains *t = e->chains;
	bool any = false, untied = false;

	for (size_t i = 0; i < t->count; i++)
		t->items[i]->look |= t->all || concerns(t, t->items[i]);
	for (size_t i = 0; i < t->changed_count; i++)
		free(t->changed[i].name);
	t->changed_count = 0;
	t->all = false;
	for (size_t i = t->count; i-- > 0;) {
		if (!t->items[i]->look)
			continue;
		if (is_over(e, t->items[i])) {
			untied = true;
			chain_drop(e, t->items[i]->serial);
		} else {
			any = true;
		}
	}
	for (size_t i = 0; i < t->count; i++) {
		t->items[i]->look |= untied && t->items[i]->circle;
		any |= t->items[i]->look;
		if (t->items[i]->look)
			bind(e, t->items[i]);
	}
	return any;
}

void chain_tick(struct engine *e)
{
	struct chains *t = e->chains;

	if (t) {
		t->all |= t->again;
		t->again = false;
	}
	/* What goes on or turns out to be a circle may concern others: once more, until it is quiet. */
	while (t && take_changes(e))
		for (size_t i = 0; i < t->count; i++)
			if (t->items[i]->look) {
				t->items[i]->look = false;
				judge(e, t->items[i]);
			}
}

/* ---- what a child that goes on takes from its parents ---- */

static struct job *parent_of(struct engine *e, const struct after_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (!strcmp(list->items[i].name, name))
			return list->items[i].parent ? model_latest(e->model, list->items[i].parent) : NULL;
	return NULL;
}

static int place_input(struct engine *e, const struct after_list *list,
	const struct jobspec_pair *pair, struct stage_input *ret, struct strbuf *why)
{
	const char *path = pair->value;
	AUTO_FREE char *name = after_input_job(pair->value, &path);
	AUTO_JOB struct job *parent = name ? parent_of(e, list, name) : NULL;

	if (name && (!parent || !*parent->workdir)) {
		strbuf_addf(why, "[inputs] %s: %s has no directory on the cluster: it %s\n", pair->key, name,
			parent ? "never got there" : "was removed");
		return -ENODATA;
	}
	*ret = (struct stage_input){.name = xstrdup(pair->key), .path = xstrdup(path)};
	if (name) {
		ret->job = STEAL(name);
		ret->folder = xstrdup(parent->workdir);
	}
	return 0;
}

int chain_place(struct engine *e, uint64_t serial, const struct jobspec *spec,
	struct chain_gifts *ret, struct strbuf *why)
{
	struct after_list list = {0};
	int r = 0;

	*ret = (struct chain_gifts){0};
	if (kept(e, serial, &list) < 0 && after_wanted(spec))
		return -EIO;
	ret->parents = xcalloc(list.count + 1, sizeof(*ret->parents));
	for (size_t i = 0; i < list.count; i++) {
		AUTO_JOB struct job *parent = list.items[i].parent ?
			model_latest(e->model, list.items[i].parent) : NULL;

		/* One that never reached Slurm has left no records. */
		if (parent && *parent->slurm_id)
			ret->parents[ret->parent_count++] = (struct script_parent){
				.name = xstrdup(list.items[i].name),
				.record = xasprintf("%s/%s", parent->records, parent->uuid),
				.want = after_word(list.items[i].kind)};
	}
	ret->inputs = xcalloc(spec->inputs.count + 1, sizeof(*ret->inputs));
	for (size_t i = 0; i < spec->inputs.count && r == 0; i++) {
		r = place_input(e, &list, &spec->inputs.items[i], &ret->inputs[i], why);
		ret->input_count += r == 0;
	}
	after_release(&list);
	return r;
}

void chain_gifts_release(struct chain_gifts *gifts)
{
	for (size_t i = 0; i < gifts->parent_count; i++) {
		free(gifts->parents[i].name);
		free(gifts->parents[i].record);
	}
	free(gifts->parents);
	stageinput_free(gifts->inputs, gifts->input_count);
	*gifts = (struct chain_gifts){0};
}
