#include "draftcheck.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>

#include "beneath.h"
#include "clusterask.h"
#include "draftinputs.h"
#include "draftlimits.h"
#include "err.h"
#include "drafttree.h"
#include "sbatchscript.h"
#include "script.h"
#include "template.h"

#define CONFIG_MAX (1u << 20)
#define SCRIPT_MAX (8u << 20)
/* So many absolute paths of one draft are looked for on the cluster. */
#define MOST_PATHS 100

struct checker {
	const struct draftcheck_request *request;
	struct draftcheck *ret;
	struct tree_walk walk;
	struct template *template;
	struct strbuf notes;   /* lines that hold nothing back */
	size_t own;            /* of [slurm], config.ini's */
	unsigned paths;        /* so many were looked for on the cluster */
	bool has_config;
	bool named;            /* its files are named, so that their being there says something */
	bool by_hand;          /* only `mv` submits it */
	bool missing, wrong;
};

int draftcheck_open(int folder, const char *path)
{
	return open_beneath(folder, path, O_RDONLY | O_NONBLOCK, RESOLVE_NO_MAGICLINKS);
}

int draftcheck_read(int folder, const char *path, size_t limit, struct strbuf *ret)
{
	char buffer[16384];
	struct stat st;
	ssize_t n;
	int fd AUTO_CLOSE = draftcheck_open(folder, path);

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
		if (ret->len + (size_t)n > limit)
			return -EFBIG;
		strbuf_add(ret, buffer, (size_t)n);
	}
	return n < 0 ? -errno : 0;
}

static bool exists(const struct checker *c, const char *path)
{
	struct stat st;

	if (jobspec_pairs_find(&c->ret->spec->inputs, path))
		return true;
	if (c->template && template_file(c->template, path))
		return true;
	/* A folder beside loose files is a draft of its own. */
	if (!c->request->name && strchr(path, '/'))
		return false;
	if (fstatat(c->request->folder, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode);
	/* Behind a link that leaves the draft it may be on the cluster; that such links are here is said. */
	int fd = draftcheck_open(c->request->folder, path);
	if (fd >= 0)
		close(fd);
	return fd == -EXDEV;
}

static void need(struct checker *c, const char *path, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void need(struct checker *c, const char *path, const char *format, ...)
{
	struct strbuf *out = &c->ret->problems;
	va_list args;

	if (exists(c, path))
		return;
	c->missing = true;
	strbuf_adds(out, "missing: ");
	strbuf_add_escaped(out, path, strlen(path));
	strbuf_adds(out, " (named by ");
	va_start(args, format);
	strbuf_vaddf(out, format, args);
	va_end(args);
	strbuf_adds(out, "); copy it here, or name where it is under [inputs]\n");
}

/* What an input names is needed unless config.ini itself says what is: scanners can err, too. */
static void need_input(void *arg, const char *path, const char *by)
{
	struct checker *c = arg;

	if (!c->ret->spec->files) {
		need(arg, path, "%s", by);
	} else if (!exists(c, path)) {
		strbuf_adds(&c->notes, "note: not here: ");
		strbuf_add_escaped(&c->notes, path, strlen(path));
		strbuf_addf(&c->notes, " (named by %s, but not by [job] files)\n", by);
	}
}

/* The job's folder is all that comes to the cluster. */
static void outside_input(void *arg, const char *path, const char *by)
{
	struct checker *c = arg;
	bool listed = c->ret->spec->files;
	struct strbuf *out = listed ? &c->notes : &c->ret->problems;

	c->missing = c->missing || !listed;
	strbuf_adds(out, listed ? "note: not here: " : "missing: ");
	strbuf_add_escaped(out, path, strlen(path));
	strbuf_addf(out, " (named by %s): it is outside this draft, which is all that the job gets; copy it "
		"here and name it so, or drop the folder above, with the names in config.ini changed to it\n",
		by);
}

static bool input_exists(void *arg, const char *path)
{
	return exists(arg, path);
}

static int on_cluster(void *arg, const char *path)
{
	struct checker *c = arg;

	if (!c->request->cluster || c->paths++ >= MOST_PATHS)
		return -1;
	struct ask_answer answer = clusterask_get(clusterinfo_ask(c->request->cluster), ASK_PATH, path,
		c->request->since_ns, NULL);
	c->ret->questions |= answer.asking;
	return answer.known ? answer.yes : -1;
}

static void check_input(struct checker *c, const char *program, const char *path)
{
	struct draftinputs_request request = {.folder = c->request->folder, .path = path, .arg = c,
		.program = program, .values = &c->ret->values, .exists = input_exists, .need = need_input,
		.outside = outside_input, .on_cluster = on_cluster};

	if (!draftinputs_check(&request, &c->notes))
		c->named = false;
}

static int need_variable(void *arg, const char *variable, const char *path)
{
	struct checker *c = arg;

	c->named = true;
	need(c, path, "[%s] %s", c->ret->spec->template_name, variable);
	const struct template_variable *v = template_variable(c->template, variable);
	if (v && v->reads)
		check_input(c, v->reads, path);
	return 0;
}

/* Neither may replace the other in silence. */
static void check_clashes(struct checker *c)
{
	const struct template *t = c->template;
	struct stat st;

	for (size_t i = 0; i < t->file_count; i++) {
		const char *name = t->files[i].name;

		if (fstatat(c->request->folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
			!jobspec_pairs_find(&c->ret->spec->inputs, name))
			continue;
		c->wrong = true;
		strbuf_addf(&c->ret->problems, "%s: the template %s %s a file of this name, too; rename "
			"yours\n", name, t->name, t->files[i].text ? "makes" : "brings");
	}
}

static void check_template(struct checker *c)
{
	struct draftcheck *d = c->ret;
	AUTO_FREE char *own = template_own_folder();
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;

	d->template_stamp = template_stamp(d->spec->template_name, own);
	AUTO_FREE char *kept = c->request->kept && jobspec_check_name(d->spec->template_name) == 0 ?
		xasprintf("%s/%s", c->request->kept, d->spec->template_name) : NULL;
	int r = kept ? template_load(kept, &c->template, &why) : -ENOENT;
	if (r == -ENOENT)
		r = template_find(d->spec->template_name, own, &c->template, &why);
	if (r < 0) {
		c->wrong = true;
		strbuf_addf(&d->problems, "config.ini:%d: template: %s%s", d->spec->template_line,
			r == -EINVAL ? "it cannot be used as it is:\n" : "",
			why.len ? why.data : "its folder cannot be read\n");
		return;
	}
	d->values_good = template_check(c->template, &d->spec->variables, &d->values,
		&d->problems) == 0;
	c->wrong = c->wrong || !d->values_good;
	if (d->values_good)
		template_files(c->template, &d->values, need_variable, c);
	check_clashes(c);
}

/* Each "line N: ..." of `lines` says what file it is of. */
static void add_lines(struct strbuf *out, const char *kind, const char *file, const char *lines)
{
	for (const char *line = lines; line && *line; line = strchr(line, '\n') + 1)
		strbuf_addf(out, "%s%s: %.*s\n", kind, file, (int)strcspn(line, "\n"), line);
}

static void check_script(struct checker *c)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct jobspec *spec = c->ret->spec;
	struct sbatchscript script;

	need(c, spec->script, "[job] script");
	if (draftcheck_read(c->request->folder, spec->script, SCRIPT_MAX, &text) < 0)
		return;
	sbatchscript_parse(text.data, text.len, &script);
	c->ret->body_line = xstrdup(script.interpreter);
	if (script.crlf || script.has_nul) {
		c->wrong = true;
		strbuf_addf(&c->ret->problems, "%s: %s\n", spec->script, script.crlf ?
			"its lines end as on DOS, which Slurm refuses; run dos2unix on it" :
			"it holds a NUL byte, which Slurm refuses");
	}
	for (size_t i = 0; i < script.ignored_count; i++)
		strbuf_addf(&c->notes, "note: %s:%d: this #SBATCH line comes after the first command, "
			"where Slurm ignores it\n", spec->script, script.ignored[i]);
	struct strbuf why AUTO_STRBUF = STRBUF_INIT, said AUTO_STRBUF = STRBUF_INIT;
	if (sbatchscript_apply(spec, &script, &said, &why) < 0) {
		c->wrong = true;
		add_lines(&c->ret->problems, "", spec->script, why.data);
	}
	add_lines(&c->notes, "note: ", spec->script, said.data);
	sbatchscript_release(&script);
}

/* [job] names nothing to run: it is the one batch script at the top, if there is one. */
static void choose_script(struct checker *c)
{
	struct jobspec *spec = c->ret->spec;

	if (c->walk.scripts == 1) {
		spec->kind = JOBSPEC_SCRIPT;
		spec->script = xstrdup(c->walk.script);
		return;
	}
	if (c->walk.scripts > 1) {
		c->wrong = true;
		strbuf_addf(&c->ret->problems, "several files here are batch scripts%s; say in config.ini "
			"which one is to run: [job] script = NAME\n", c->request->name ? "" : ", beside others");
	} else if (c->has_config && c->ret->config.len) {
		c->wrong = true;
		strbuf_adds(&c->ret->problems, "config.ini: [job] names nothing to run; allowed: "
			"command, script or template, or one batch script beside it\n");
	} else {
		c->missing = true;
		if (!c->has_config && c->walk.almost) {
			strbuf_add_escaped(&c->ret->problems, c->walk.almost, strlen(c->walk.almost));
			strbuf_adds(&c->ret->problems, ": it has #SBATCH lines, but does not begin with #! and an "
				"interpreter, without which Slurm takes no script; let #!/bin/bash be its first line, "
				"with nothing before it\n");
		}
		strbuf_adds(&c->ret->problems, c->has_config ? "config.ini is empty so far\n" :
			"missing: config.ini (or one batch script with #SBATCH lines)\n");
	}
}

static void read_config(struct checker *c)
{
	struct draftcheck *d = c->ret;

	int r = draftcheck_read(c->request->folder, "config.ini", CONFIG_MAX, &d->config);
	if (r == 0) {
		c->has_config = true;
		d->config_valid = jobspec_parse(d->config.data, d->config.len, &d->spec,
			&d->problems) == 0;
		c->wrong = !d->config_valid;
	} else if (r != -ENOENT) {
		c->has_config = c->wrong = true;
		strbuf_addf(&d->problems, "config.ini: it must be an ordinary file of at most 128 KiB: "
			"%s\n", strerror(-r));
	}
	if (!d->spec)
		d->spec = jobspec_new();
}

static void check_names(struct checker *c)
{
	const char *name = c->request->name;
	struct strbuf *out = &c->ret->problems;

	if (name && !c->ret->spec->name && jobspec_check_name(name) < 0) {
		c->by_hand = true;
		strbuf_adds(out, "the folder's name cannot be a job's; allowed: letters, digits, and . _ - "
			"inside, at most 64; rename it, set [job] name, or give a name with mv\n");
	}
	if (c->walk.reserved) {
		c->wrong = true;
		strbuf_adds(out, ".slurmount: this name is reserved; rename it\n");
	}
	if (c->walk.leaving.len)
		strbuf_addf(&c->notes, "note: these links leave the draft and mean nothing on the cluster "
			"unless the target is there:\n%s", c->walk.leaving.data);
	if (c->walk.left_out.len)
		strbuf_addf(&c->notes, "note: no part of the job:\n%s", c->walk.left_out.data);
	if (c->walk.transfers.len) {
		c->ret->transfer = true;
		strbuf_addf(out, "still under way:\n%s", c->walk.transfers.data);
	}
}

/* Neither may replace the other in silence. */
static void check_inputs(struct checker *c)
{
	const struct jobspec_pairs *inputs = &c->ret->spec->inputs;
	struct stat st;

	for (size_t i = 0; i < inputs->count; i++) {
		const char *name = inputs->items[i].key, *source = inputs->items[i].value;

		if (*source == '/' && on_cluster(c, source) == 0) {
			strbuf_addf(&c->notes, "note: config.ini:%d: [inputs] %s: ", inputs->items[i].line,
				name);
			strbuf_add_escaped(&c->notes, source, strlen(source));
			strbuf_adds(&c->notes, " is not on the cluster: the job would fail\n");
		}

		if (fstatat(c->request->folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		c->wrong = true;
		strbuf_addf(&c->ret->problems, "config.ini:%d: [inputs] %s: it is among the files here, too; "
			"remove one of the two\n", inputs->items[i].line, name);
	}
}

/* Slurm fails a job whose standard input is not there.  What %j and the like become, or what lies
 * elsewhere on the cluster, is not known here. */
static void check_stdin(struct checker *c)
{
	const char *input = jobspec_slurm(c->ret->spec, "input");
	AUTO_FREE char *path = input && !strchr(input, '%') ? jobspec_clean_path(input) : NULL;

	if (!path)
		return;
	c->named = true;
	need(c, path, "[slurm] input");
}

static void check_files(struct checker *c)
{
	struct jobspec *spec = c->ret->spec;

	if (spec->kind == JOBSPEC_NONE && !c->wrong)
		choose_script(c);
	if (spec->kind == JOBSPEC_SCRIPT)
		check_script(c);
	if (spec->kind == JOBSPEC_TEMPLATE)
		check_template(c);
	for (char **f = spec->files; f && *f; f++) {
		c->named = true;
		need(c, *f, "[job] files");
	}
	check_stdin(c);
}

static void render(struct checker *c)
{
	struct draftcheck *d = c->ret;
	const char *name = d->spec->name ? d->spec->name : c->request->name;
	AUTO_FREE char *workdir = xasprintf("/scratch/.../%s", name ? name : "job");
	struct script_place place = {.uuid = "00000000-0000-0000-0000-000000000000",
		.name = name ? name : "job", .workdir = workdir, .records = "/scratch/.../.slurmount",
		.template = c->template};

	if (script_render(d->spec, &place, d->body_line, &d->preview, &d->problems) < 0) {
		c->wrong = true;
		strbuf_reset(&d->preview);
	}
}

static void check_limits(struct checker *c)
{
	struct draftcheck *d = c->ret;
	struct draftlimits limits = {.cluster = c->request->cluster, .preview = d->preview.data,
		.since_ns = c->request->since_ns, .request = {.spec = d->spec, .own = c->own,
		.script = d->spec->kind == JOBSPEC_SCRIPT ? d->spec->script : NULL}};

	if (!limits.cluster || !d->preview.len)
		return;
	draftlimits_check(&limits, &d->problems, &c->notes);
	c->wrong = limits.held;
	d->asking = limits.asking;
	d->questions |= limits.asking;
	d->answer_ns = limits.answer_ns;
}

static void say_how(struct checker *c)
{
	struct draftcheck *d = c->ret;
	const char *name = c->request->name;

	if (d->asking)
		return;
	if (d->verdict == DRAFT_READY)
		strbuf_addf(&d->problems, "nothing: this draft is submitted by itself after %g s of "
			"quiet\n", (double)d->settle_ms / 1000);
	if (d->verdict != DRAFT_MANUAL)
		return;
	if (c->request->held)
		strbuf_addf(&d->problems, "held: %s\n", c->request->held);
	if (name)
		strbuf_addf(&d->problems, "nothing is wrong; to submit it: mv jobs/new/%s jobs/%s\n", name,
			d->spec->name ? d->spec->name : name);
	else
		strbuf_adds(&d->problems, "nothing is wrong; loose files are submitted only by themselves: "
			"remove submit = manual, or move them into a folder\n");
}

/* As the walk finds it where there is nothing else. */
static void walk_script(const char *name, struct tree_walk *walk)
{
	*walk = (struct tree_walk){.left_out = STRBUF_INIT, .transfers = STRBUF_INIT,
		.leaving = STRBUF_INIT, .names = STRBUF_INIT, .script_names = STRBUF_INIT,
		.script = xstrdup(name), .scripts = 1, .files = 1};
	strbuf_add(&walk->names, name, strlen(name) + 1);
}

void draftcheck_run(const struct draftcheck_request *request, struct draftcheck *ret)
{
	struct checker c = {.request = request, .ret = ret, .notes = STRBUF_INIT};

	*ret = (struct draftcheck){.problems = STRBUF_INIT, .preview = STRBUF_INIT,
		.config = STRBUF_INIT, .left_out = STRBUF_INIT, .loose = STRBUF_INIT};
	if (request->script)
		walk_script(request->script, &c.walk);
	else
		tree_walk(request->folder, !request->name, &c.walk);
	read_config(&c);
	check_names(&c);
	check_inputs(&c);
	c.own = ret->spec->slurm.count;
	check_files(&c);
	jobspec_add_defaults(ret->spec, request->profile->defaults);
	if (!c.wrong && ret->spec->kind != JOBSPEC_NONE)
		render(&c);
	check_limits(&c);
	c.by_hand = c.by_hand || ret->spec->manual || request->held || (request->name && !c.has_config);
	if (c.wrong)
		ret->verdict = DRAFT_INVALID;
	else if (c.missing || ret->transfer || ret->spec->kind == JOBSPEC_NONE)
		ret->verdict = DRAFT_INCOMPLETE;
	else
		ret->verdict = c.by_hand ? DRAFT_MANUAL : DRAFT_READY;
	ret->settle_ms = (int64_t)(1000 * (c.named ? request->profile->settle :
		request->profile->settle_unnamed));
	ret->sums = c.walk.sums;
	ret->transfer = ret->transfer && !c.missing && !c.wrong;
	say_how(&c);
	strbuf_add(&ret->problems, c.notes.data, c.notes.len);
	strbuf_add(&ret->left_out, c.walk.left_out.data, c.walk.left_out.len);
	strbuf_add(&ret->loose, c.walk.names.data, c.walk.names.len);
	strbuf_release(&c.notes);
	tree_walk_release(&c.walk);
	ret->template = c.template;
}

void draftcheck_release(struct draftcheck *check)
{
	strbuf_release(&check->problems);
	strbuf_release(&check->preview);
	strbuf_release(&check->config);
	strbuf_release(&check->left_out);
	strbuf_release(&check->loose);
	jobspec_free(check->spec);
	free(check->body_line);
	template_free(check->template);
	jobspec_pairs_free(&check->values);
}
