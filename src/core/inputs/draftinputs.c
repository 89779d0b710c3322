#include "draftinputs.h"

#include <string.h>

#include "draftcheck.h"
#include "err.h"
#include "gromacstop.h"
#include "inputfiles.h"
#include "lammpsconf.h"
#include "namdconf.h"

#define INPUT_MAX (8u << 20)

struct checker {
	const struct draftinputs_request *request;
	struct strbuf *notes;
	bool complete;
};

bool draftinputs_knows(const char *program)
{
	return strcmp(program, "namd") == 0 || strcmp(program, "lammps") == 0 ||
		strcmp(program, "gromacs") == 0;
}

/* The path with its ".." resolved; NULL: it leads out. */
static char *without_dots(const char *path)
{
	struct strbuf ret = STRBUF_INIT;

	for (size_t len; *path; path += len + (path[len] == '/')) {
		len = strcspn(path, "/");
		if (!len || (len == 1 && *path == '.'))
			continue;
		if (len != 2 || strncmp(path, "..", 2)) {
			strbuf_addf(&ret, ret.len ? "/%.*s" : "%.*s", (int)len, path);
			continue;
		}
		if (!ret.len) {
			strbuf_release(&ret);
			return NULL;
		}
		const char *slash = strrchr(ret.data, '/');
		strbuf_truncate(&ret, slash ? (size_t)(slash - ret.data) : 0);
	}
	return strbuf_steal(&ret);
}

/* A path as the input writes it, within the draft; NULL: it leads out of it.  NAMD goes to its
 * configuration's folder first; the others stay where the job runs. */
static char *in_draft(const struct checker *c, const char *path)
{
	const char *slash = strcmp(c->request->program, "namd") == 0 ?
		strrchr(c->request->path, '/') : NULL;
	AUTO_FREE char *joined = xasprintf("%.*s%s",
		slash ? (int)(slash + 1 - c->request->path) : 0, c->request->path, path);

	AUTO_FREE char *resolved = *path == '/' ? NULL : without_dots(joined);

	return resolved ? jobspec_clean_path(resolved) : NULL;
}

static int read_input(void *arg, const char *path, struct strbuf *out)
{
	struct checker *c = arg;
	AUTO_FREE char *clean = in_draft(c, path);

	return clean ? draftcheck_read(c->request->folder, clean, INPUT_MAX, out) : -1;
}

static bool input_exists(void *arg, const char *path)
{
	struct checker *c = arg;
	AUTO_FREE char *clean = in_draft(c, path);

	return clean && c->request->exists(c->request->arg, clean);
}

static void note(struct checker *c, const struct inputfile *f, const char *text)
{
	strbuf_adds(c->notes, "note: ");
	strbuf_add_escaped(c->notes, f->file, strlen(f->file));
	strbuf_addf(c->notes, ":%d: %s ", f->line, f->keyword);
	strbuf_add_escaped(c->notes, f->path, strlen(f->path));
	strbuf_addf(c->notes, " %s\n", text);
}

static void check_file(struct checker *c, const struct inputfile *f)
{
	AUTO_FREE char *path = in_draft(c, f->path);

	if (f->found == INPUTFILE_UNRESOLVED) {
		c->complete = false;
		note(c, f, "is known only when the program runs; see that the file is there");
	} else if (f->absolute) {
		int there = c->request->on_cluster ? c->request->on_cluster(c->request->arg, f->path) : -1;

		note(c, f, there == 1 ? "is on the cluster" :
			there == 0 ? "is not on the cluster: the job would fail" :
			"is taken to be on the cluster");
	} else if (f->found == INPUTFILE_PATH) {
		AUTO_FREE char *by = xasprintf("%s, line %d, %s", f->file, f->line, f->keyword);

		if (path)
			c->request->need(c->request->arg, path, by);
		else
			c->request->outside(c->request->arg, f->path, by);
	} else if (!path) {
		c->complete = false;
		note(c, f, "is outside this draft, and may be needed");
	} else if (!c->request->exists(c->request->arg, path)) {
		c->complete = false;
		note(c, f, "is not here, and may be needed");
	}
}

static int scan(struct checker *c, const struct strbuf *text, struct inputfiles *files)
{
	const struct draftinputs_request *r = c->request;
	struct inputfiles_reader reader = {.arg = c, .read = read_input, .exists = input_exists};
	const struct jobspec_pair *pair;

	if (strcmp(r->program, "lammps") == 0) {
		pair = jobspec_pairs_find(r->values, "variables");
		return lammpsconf_scan(r->path, text->data, text->len, pair ? pair->value : NULL, &reader,
			files);
	}
	if (strcmp(r->program, "gromacs") == 0) {
		struct strbuf mdp AUTO_STRBUF = STRBUF_INIT;

		pair = jobspec_pairs_find(r->values, "mdp");
		bool known = pair && *pair->value && read_input(c, pair->value, &mdp) == 0;
		return gromacstop_scan(r->path, text->data, text->len, known ? mdp.data : NULL, &reader,
			files);
	}
	return namdconf_scan(r->path, text->data, text->len, &reader, files);
}

bool draftinputs_check(const struct draftinputs_request *request, struct strbuf *notes)
{
	struct strbuf text AUTO_STRBUF = STRBUF_INIT;
	struct checker c = {.request = request, .notes = notes, .complete = true};
	struct inputfiles files = {0};

	if (draftcheck_read(request->folder, request->path, INPUT_MAX, &text) < 0)
		return true;
	if (scan(&c, &text, &files) < 0) {
		c.complete = false;
		strbuf_addf(notes, "note: %s: it is too long or has no end to be followed; see that all "
			"its files are there\n", request->path);
	}
	for (size_t i = 0; i < files.count; i++)
		check_file(&c, &files.items[i]);
	inputfiles_release(&files);
	return c.complete;
}
