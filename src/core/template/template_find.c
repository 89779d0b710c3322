/* Where templates are: the built-in ones, and the user's own. */
#include "template.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "err.h"
#include "slurm_option.h"

#ifndef SLURMOUNT_TEMPLATES
#define SLURMOUNT_TEMPLATES "/usr/share/slurmount/templates"
#endif

#define NAMES_MAX 1000

const char *template_builtin_folder(void)
{
	const char *folder = getenv("SLURMOUNT_TEMPLATES");

	return folder && *folder ? folder : SLURMOUNT_TEMPLATES;
}

char *template_own_folder(void)
{
	const char *config = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");

	/* The XDG specification has a relative path ignored. */
	if (config && *config == '/')
		return xasprintf("%s/slurmount/templates", config);
	return home && *home ? xasprintf("%s/.config/slurmount/templates", home) : NULL;
}

static bool is_folder(const char *parent, const char *name)
{
	char *path AUTO_FREE = xasprintf("%s/%s", parent, name);
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Adds the names of templates in `folder`; the new count. */
static size_t add_names(const char *folder, char **names, size_t count)
{
	DIR *dir AUTO_CLOSEDIR = folder ? opendir(folder) : NULL;
	struct dirent *entry;

	while (dir && count < NAMES_MAX && (entry = readdir(dir)))
		if (jobspec_check_name(entry->d_name) == 0 && is_folder(folder, entry->d_name))
			names[count++] = xstrdup(entry->d_name);
	return count;
}

static void say_unknown(const char *name, const char *own, struct strbuf *why)
{
	char **names AUTO_FREE = xcalloc(NAMES_MAX, sizeof(*names));
	size_t count = add_names(template_builtin_folder(), names, 0);

	count = add_names(own, names, count);
	qsort(names, count, sizeof(*names), by_name);
	const char *near = name_nearest(name, (const char *const *)names, count);
	strbuf_adds(why, "there is no template ");
	strbuf_add_escaped(why, name, strlen(name));
	if (near)
		strbuf_addf(why, "; did you mean %s?", near);
	strbuf_adds(why, near ? " There are:" : "; there are:");
	for (size_t i = 0; i < count; i++) {
		strbuf_addf(why, " %s", names[i]);
		free(names[i]);
	}
	strbuf_addc(why, '\n');
}

int template_find(const char *name, const char *own, struct template **ret, struct strbuf *why)
{
	const char *builtin = template_builtin_folder();
	bool valid = jobspec_check_name(name) == 0;
	bool in_builtin = valid && is_folder(builtin, name);
	bool in_own = valid && own && is_folder(own, name);

	*ret = NULL;
	if (in_builtin && in_own) {
		strbuf_addf(why, "there are two templates %s, a built-in one and your own; rename your "
			"own: mv %s/%s %s/my-%s\n", name, own, name, own, name);
		return -EEXIST;
	}
	if (!in_builtin && !in_own) {
		say_unknown(name, own, why);
		return -ENOENT;
	}
	char *folder AUTO_FREE = xasprintf("%s/%s", in_own ? own : builtin, name);
	return template_load(folder, ret, why);
}

static uint64_t mix(uint64_t stamp, uint64_t value)
{
	return (stamp ^ value) * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

/* Of one file: the sum over a folder's files must not depend on their order. */
static uint64_t file_stamp(int folder, const char *name)
{
	uint64_t stamp = 1;
	struct stat st;

	for (const char *c = name; *c; c++)
		stamp = mix(stamp, (unsigned char)*c);
	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return stamp;
	stamp = mix(stamp, (uint64_t)st.st_mtim.tv_sec);
	stamp = mix(stamp, (uint64_t)st.st_mtim.tv_nsec);
	stamp = mix(stamp, (uint64_t)st.st_size);
	return mix(mix(stamp, (uint64_t)st.st_ino), st.st_mode);
}

uint64_t template_stamp(const char *name, const char *own)
{
	const char *folders[] = {template_builtin_folder(), own};
	uint64_t stamp = 0;

	for (size_t i = 0; i < 2 && jobspec_check_name(name) == 0; i++) {
		AUTO_FREE char *path = folders[i] ? xasprintf("%s/%s", folders[i], name) : NULL;
		DIR *dir AUTO_CLOSEDIR = path ? opendir(path) : NULL;
		struct dirent *entry;
		uint64_t sum = dir ? 1 : 0;

		while (dir && (entry = readdir(dir)))
			sum += file_stamp(dirfd(dir), entry->d_name);
		stamp = mix(stamp, sum);
	}
	return stamp;
}
