#include "colvarsconf.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"
#include "err.h"

/* Those with `suffixes` name files by their beginning. */
static const struct keyword {
	const char *name, *suffixes[2];
} keywords[] = {{"atomsfile", {""}}, {"refpositionsfile", {""}}, {"indexfile", {""}},
	{"pathfile", {""}}, {"vectorfile", {""}}, {"targetdistfile", {""}}, {"refhistogramfile", {""}},
	{"modelfile", {""}}, {"inputprefix", {".count", ".grad"}}};

/* A path in collective variables has one refPositionsFileN for each of its points. */
static const struct keyword *find_keyword(const char *word, size_t len)
{
	while (len && isdigit((unsigned char)word[len - 1]))
		len--;
	for (size_t i = 0; i < sizeof(keywords) / sizeof(*keywords); i++) {
		if (strlen(keywords[i].name) == len && strncasecmp(keywords[i].name, word, len) == 0)
			return &keywords[i];
	}
	return NULL;
}

struct place {
	const char *file;
	int line;
	bool maybe;
};

static void found(const struct place *at, const struct keyword *k, const char *keyword,
	const char *name, struct inputfiles *ret)
{
	for (size_t i = 0; i < 2 && k->suffixes[i]; i++) {
		AUTO_FREE char *path = xasprintf("%s%s", name, k->suffixes[i]);

		inputfiles_add(ret, at->file, at->line, keyword, path, strchr(name, '$') ?
			INPUTFILE_UNRESOLVED : at->maybe ? INPUTFILE_MAYBE : INPUTFILE_PATH);
	}
}

/* The words of a value, up to the end of the line or of the block; returns where it ends. */
static const char *read_value(const struct place *at, const struct keyword *k, const char *keyword,
	const char *p, const char *end, struct inputfiles *ret)
{
	while (p < end) {
		size_t len;

		p += strspn(p, " \t\r");
		if (p >= end || *p == '#' || *p == '}')
			break;
		bool quoted = *p == '"';
		p += quoted;
		len = quoted ? strcspn(p, "\"\r\n") : strcspn(p, " \t\r\n#");
		/* A brace ends a block, but for that of a ${variable}. */
		for (size_t i = 1; !quoted && i < len; i++) {
			if (p[i] == '}' && !memchr(p, '{', i))
				len = i;
		}
		AUTO_FREE char *name = xstrndup(p, len);
		if (*name)
			found(at, k, keyword, name, ret);
		p += len;
		p += quoted && *p == '"';
	}
	return p;
}

static void read_line(const struct place *at, const char *p, const char *end,
	struct inputfiles *ret)
{
	while (p < end && *p != '#') {
		size_t len = strcspn(p, " \t\r\n{}#\"");
		const struct keyword *k = find_keyword(p, len);

		if (k && p + len < end && (p[len] == ' ' || p[len] == '\t')) {
			AUTO_FREE char *keyword = xstrndup(p, len);

			p = read_value(at, k, keyword, p + len, end, ret);
		} else {
			p += len + (p[len] != '#');
		}
	}
}

void colvarsconf_scan(const char *file, const char *text, bool maybe, struct inputfiles *ret)
{
	struct place at = {.file = file, .line = 1, .maybe = maybe};

	for (const char *p = text; *p; at.line++) {
		const char *end = p + strcspn(p, "\n");

		read_line(&at, p, end, ret);
		p = end + (*end == '\n');
	}
}
