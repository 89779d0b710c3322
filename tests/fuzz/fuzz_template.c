/*
 * A template and what a config.ini gives it.  The input: template.ini, body.sh, the name's ending and
 * text of a rendered file, and the config.ini's section, separated by NUL bytes.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "fuzz.h"
#include "jobspec.h"
#include "script.h"
#include "strbuf.h"
#include "template.h"

#define SAFE "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" TEMPLATE_SAFE_MARKS

static char folder[64];

static void remove_folder(void)
{
	char path[128];
	static const char *const names[] = {"template.ini", "body.sh", "f.namd.in", "f.sh.in", "f.json.in",
		"f.mdp.in", "f.txt.in"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/t/%s", folder, names[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/t", folder);
	rmdir(path);
	rmdir(folder);
}

static void make_folder(void)
{
	char path[128];

	snprintf(folder, sizeof(folder), "/dev/shm/slurmount-fuzz.XXXXXX");
	MUST(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/t", folder);
	MUST(mkdir(path, 0700) == 0);
	atexit(remove_folder);
}

static void put(const char *name, const char *text, size_t len)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/t/%s", folder, name);
	int fd AUTO_CLOSE = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	MUST(fd >= 0 && write(fd, text, len) == (ssize_t)len);
}

static size_t lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* What stands bare in a file is of safe characters, whatever the template and the config.ini say. */
static void must_be_safe(const struct template *t, const struct jobspec_pairs *values)
{
	for (size_t i = 0; i < values->count; i++) {
		const struct template_variable *v = template_variable(t, values->items[i].key);
		const char *value = values->items[i].value;

		MUST(v && value);
		for (const char *c = value; *c; c++)
			MUST((unsigned char)*c >= 0x20 && *c != 0x7f);
		if (v->kinds & (1u << TEMPLATE_TCL | 1u << TEMPLATE_PLAIN))
			MUST(strspn(value, v->multiple ? SAFE " " : SAFE) == strlen(value));
		if (v->kinds & 1u << TEMPLATE_SETTING)
			MUST(strspn(value, SAFE " ") == strlen(value));
	}
}

static void render(const struct template *t, const struct jobspec *spec)
{
	struct jobspec_pairs values = {0};
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct strbuf script AUTO_STRBUF = STRBUF_INIT;
	struct script_place place = {.uuid = "0-1", .name = "j", .workdir = "/s/j", .records = "/s/.r",
		.template = t};

	int r = template_check(t, &spec->variables, &values, &why);
	must_be_readable(why.data, why.len);
	MUST((r == 0) == (why.len == 0));
	if (r == 0) {
		must_be_safe(t, &values);
		for (size_t i = 0; i < t->rendered; i++) {
			struct strbuf text AUTO_STRBUF = STRBUF_INIT;

			template_render(&t->files[i], &values, &text);
			MUST(lines(text.data) == lines(t->files[i].text));
		}
		if (script_render(spec, &place, NULL, &script, &why) == 0)
			MUST(script_verify(spec, &place, script.data, script.len, &why) == 0);
		must_be_readable(why.data, why.len);
	}
	jobspec_pairs_free(&values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char head[] = "[job]\ntemplate = t\n[t]\n";
	struct strbuf why AUTO_STRBUF = STRBUF_INIT;
	struct strbuf ini AUTO_STRBUF = STRBUF_INIT;
	const char *at = (const char *)data, *end = at + size, *part[4];
	size_t len[4];
	char name[16], path[96];
	struct template *t = NULL;
	struct jobspec *spec = NULL;

	for (int i = 0; i < 4; i++) {
		const char *stop = i < 3 && at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;

		part[i] = at;
		len[i] = (size_t)((stop ? stop : end) - at);
		at += len[i] + (stop != NULL);
	}
	if (!len[2])
		return 0;
	static const char *const endings[] = {"namd", "sh", "json", "mdp", "txt"};
	if (!*folder)
		make_folder();
	put("template.ini", part[0], len[0]);
	put("body.sh", part[1], len[1]);
	snprintf(name, sizeof(name), "f.%.4s.in", endings[(unsigned char)*part[2] % 5]);
	put(name, part[2] + 1, len[2] - 1);
	snprintf(path, sizeof(path), "%s/t", folder);
	int r = template_load(path, &t, &why);
	must_be_readable(why.data, why.len);
	MUST((r == 0) == (why.len == 0) && (r == 0) == (t != NULL));
	strbuf_adds(&ini, head);
	strbuf_add(&ini, part[3], len[3]);
	if (t && jobspec_parse(ini.data, ini.len, &spec, NULL) == 0)
		render(t, spec);
	jobspec_free(spec);
	template_free(t);
	snprintf(path, sizeof(path), "%s/t/%s", folder, name);
	unlink(path);
	return 0;
}
