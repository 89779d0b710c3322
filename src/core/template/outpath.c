#include "outpath.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "strbuf.h"

#define WIDTH_MAX 10

static bool add_number(struct strbuf *b, int width, uint64_t number)
{
	strbuf_addf(b, "%0*llu", width, (unsigned long long)number);
	return true;
}

/* Adds what `letter` stands for; false where that is not known. */
static bool add_field(struct strbuf *b, char letter, int width, const struct outpath *v)
{
	switch (letter) {
	case 'A':
		return v->array_id && add_number(b, width, v->array_id);
	case 'j':
	case 'J':
		return v->job_id && add_number(b, width, v->job_id);
	case 'a':
		return v->task >= 0 && add_number(b, width, (uint64_t)v->task);
	case 'n':
	case 't':
		return add_number(b, width, 0);
	case 'x':
		strbuf_adds(b, v->job_name);
		return true;
	case 'u':
		strbuf_adds(b, v->user);
		return true;
	case 's':
		strbuf_adds(b, "batch");
		return true;
	case '%':
		strbuf_addc(b, '%');
		return true;
	default:
		return false;
	}
}

char *outpath_expand(const char *pattern, const struct outpath *v)
{
	struct strbuf path = STRBUF_INIT;
	bool escaped = strchr(pattern, '\\') != NULL;

	if (*pattern != '/')
		strbuf_addf(&path, "%s/", v->workdir);
	for (; *pattern; pattern++) {
		if (escaped && *pattern == '\\')
			continue;
		if (escaped || *pattern != '%') {
			strbuf_addc(&path, *pattern);
			continue;
		}
		char *letter;
		unsigned long width = strtoul(pattern + 1, &letter, 10);

		/* Not a sign or a blank, which strtoul would take. */
		if (!isdigit((unsigned char)pattern[1])) {
			letter = (char *)pattern + 1;
			width = 0;
		}
		if (!add_field(&path, *letter, width > WIDTH_MAX ? WIDTH_MAX : (int)width, v)) {
			strbuf_release(&path);
			return NULL;
		}
		pattern = letter;
	}
	return strbuf_steal(&path);
}

char *outpath_directive(const char *script, const char *key)
{
	AUTO_FREE char *line = xasprintf("\n#SBATCH --%s=", key);
	const char *found = strstr(script, line);
	struct strbuf value = STRBUF_INIT;

	if (!found)
		return NULL;
	found += strlen(line);
	bool quoted = *found == '"';
	for (found += quoted; *found && *found != '\n' && !(quoted && *found == '"'); found++) {
		if (quoted && *found == '\\' && found[1])
			found++;
		strbuf_addc(&value, *found);
	}
	return strbuf_steal(&value);
}
