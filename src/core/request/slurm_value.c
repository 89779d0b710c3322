#include "slurm_value.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "err.h"
#include "slurm_amount.h"

#define ALPHA "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

bool slurm_value_has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

void slurm_value_quote(struct strbuf *b, const char *text)
{
	size_t len = strnlen(text, 61);

	strbuf_addc(b, '"');
	strbuf_add_escaped(b, text, len > 60 ? 60 : len);
	strbuf_adds(b, len > 60 ? "...\"" : "\"");
}

int slurm_value_yes(const char *text)
{
	static const struct { const char *word; int yes; } words[] = {
		{"yes", 1}, {"true", 1}, {"on", 1}, {"1", 1},
		{"no", 0}, {"false", 0}, {"off", 0}, {"0", 0},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcasecmp(text, words[i].word))
			return words[i].yes;
	return -EINVAL;
}

/* The checks below take a word without blanks and say only whether it will do. */

static bool is_made_of(const char *text, const char *characters)
{
	return *text && *text != '-' && !text[strspn(text, characters)];
}

static bool is_count(const char *text)
{
	long long n;

	return slurm_number(&text, "", 1, &n);
}

static bool is_index(const char *text)
{
	long long n;

	return slurm_number(&text, "", 0, &n);
}

static bool is_integer(const char *text)
{
	return is_index(text + (*text == '-' || *text == '+'));
}

static bool is_nodes(const char *text)
{
	long long least, most;

	if (!slurm_number(&text, "-", 1, &least))
		return false;
	return !*text || (text++, slurm_number(&text, "", least, &most));
}

static bool is_word(const char *text)
{
	return is_made_of(text, ALPHA DIGITS "_.-+@:/");
}

/* Calls `good` for each of the items of `text`, which commas separate. */
static bool each_item(const char *text, bool (*good)(const char *item))
{
	for (;;) {
		size_t len = strcspn(text, ",");
		char *item AUTO_FREE = xstrndup(text, len);

		if (!good(item))
			return false;
		if (!text[len])
			return true;
		text += len + 1;
	}
}

static bool is_words(const char *text)
{
	return each_item(text, is_word);
}

static bool is_gpu(const char *text)
{
	const char *colon = strrchr(text, ':');

	if (!colon)
		return is_index(text);
	return colon > text && strspn(text, ALPHA DIGITS "_.-") == (size_t)(colon - text) &&
		*text != '-' && is_index(colon + 1);
}

static bool is_gpus(const char *text)
{
	return each_item(text, is_gpu);
}

static bool is_hosts(const char *text)
{
	int depth = 0;

	for (const char *c = text; *c; c++) {
		depth += *c == '[' ? 1 : *c == ']' ? -1 : 0;
		if (depth < 0 || depth > 1)
			return false;
	}
	return !depth && is_made_of(text, ALPHA DIGITS "_.,[]-/");
}

static bool is_array_item(const char *text)
{
	long long first, last, step;

	if (!slurm_number(&text, "-", 0, &first))
		return false;
	if (!*text)
		return true;
	text++;
	if (!slurm_number(&text, ":", first, &last))
		return false;
	return !*text || (text++, slurm_number(&text, "", 1, &step));
}

static bool is_array(const char *text)
{
	size_t len = strcspn(text, "%");
	char *items AUTO_FREE = xstrndup(text, len);

	return each_item(items, is_array_item) && (!text[len] || is_count(text + len + 1));
}

static bool is_begin(const char *text)
{
	static const char *const words[] = {"now", "today", "tomorrow", "midnight", "noon", "fika",
		"teatime", "elevenses"};
	static const char *const units[] = {"", "second", "seconds", "minute", "minutes", "hour",
		"hours", "day", "days", "week", "weeks"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcasecmp(text, words[i]))
			return true;
	if (!strncasecmp(text, "now+", 4)) {
		text += 4;
		if (slurm_digits(&text) < 0)
			return false;
		for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
			if (!strcasecmp(text, units[i]))
				return true;
		return false;
	}
	return strchr(DIGITS, *text) && is_made_of(text, DIGITS ":/.-TAPMapm");
}

static bool is_license(const char *text)
{
	return is_made_of(text, ALPHA DIGITS "_.-@:=+");
}

static bool is_licenses(const char *text)
{
	return each_item(text, is_license);
}

static bool is_gres(const char *text)
{
	return is_made_of(text, ALPHA DIGITS "_.,:=()/-") && !strstr(text, ",,");
}

static bool is_features(const char *text)
{
	return is_made_of(text, ALPHA DIGITS "_.,:=|&*()[]!@+/-");
}

static bool is_mail_type(const char *text)
{
	static const char *const types[] = {"NONE", "BEGIN", "END", "FAIL", "REQUEUE", "ALL",
		"INVALID_DEPEND", "STAGE_OUT", "TIME_LIMIT", "TIME_LIMIT_90", "TIME_LIMIT_80",
		"TIME_LIMIT_50", "ARRAY_TASKS"};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (!strcasecmp(text, types[i]))
			return true;
	return false;
}

static bool is_mail(const char *text)
{
	return each_item(text, is_mail_type);
}

static bool is_address(const char *text)
{
	return is_made_of(text, ALPHA DIGITS "_.,+@%-");
}

static bool is_signal(const char *text)
{
	size_t prefix = strcspn(text, ":");
	long long seconds;

	if (text[prefix]) {
		if (!prefix || strspn(text, "RBrb") != prefix)
			return false;
		text += prefix + 1;
	}
	size_t n = strspn(text, ALPHA DIGITS);
	if (!n || (text[n] && text[n] != '@'))
		return false;
	if (!text[n])
		return true;
	text += n + 1;
	return slurm_number(&text, "", 0, &seconds) && seconds <= 65535;
}

static bool is_switches(const char *text)
{
	long long count;

	if (!slurm_number(&text, "@", 1, &count))
		return false;
	return !*text || slurm_value_seconds(text + 1) >= -1;
}

static bool is_spec(const char *text)
{
	return is_made_of(text, ALPHA DIGITS "_.,:=|&*()[]!/+@%-");
}

static bool is_text(const char *text)
{
	return *text;
}

enum shape { TIGHT, UPPER, FREE };

static const struct {
	bool (*good)(const char *text);
	const char *allowed;
	enum shape shape; /* TIGHT: blanks beside commas are dropped, others refused; UPPER: upper case too */
} rules[] = {
	[SLURM_COUNT] = {is_count, "a positive whole number", TIGHT},
	[SLURM_INDEX] = {is_index, "a whole number, 0 or more", TIGHT},
	[SLURM_INTEGER] = {is_integer, "a whole number", TIGHT},
	[SLURM_NODES] = {is_nodes, "N or MIN-MAX, positive whole numbers", TIGHT},
	[SLURM_GPUS] = {is_gpus, "N or TYPE:N, such as 2 or a100:2", TIGHT},
	[SLURM_WORD] = {is_word, "a name of letters, digits and _.-+@:/", TIGHT},
	[SLURM_WORDS] = {is_words, "names separated by commas", TIGHT},
	[SLURM_HOSTS] = {is_hosts, "host names such as node01,node[03-07]", TIGHT},
	[SLURM_ARRAY] = {is_array, "N, N-M, N-M:STEP, separated by commas, and %LIMIT at the end", TIGHT},
	[SLURM_BEGIN] = {is_begin, "now+2hours, 16:00, tomorrow, 2030-01-31 or 2030-01-31T12:00:00", TIGHT},
	[SLURM_LICENSES] = {is_licenses, "NAME[@DB][:COUNT], separated by commas", TIGHT},
	[SLURM_GRES] = {is_gres, "NAME[[:TYPE]:COUNT], separated by commas, such as gpu:a100:2", TIGHT},
	[SLURM_FEATURES] = {is_features, "features joined by & or |, such as skylake|haswell", TIGHT},
	[SLURM_MAIL] = {is_mail, "BEGIN, END, FAIL, REQUEUE, ALL, NONE, INVALID_DEPEND, STAGE_OUT, "
		"TIME_LIMIT, TIME_LIMIT_90, TIME_LIMIT_80, TIME_LIMIT_50, ARRAY_TASKS, separated by commas", UPPER},
	[SLURM_ADDRESS] = {is_address, "a mail address or user name", TIGHT},
	[SLURM_SIGNAL] = {is_signal, "[B:]SIGNAL[@SECONDS], such as B:USR1@120", UPPER},
	[SLURM_SWITCHES] = {is_switches, "COUNT[@TIME]", TIGHT},
	[SLURM_SPEC] = {is_spec, "letters, digits and _.,:=|&*()[]!/+@%-", TIGHT},
	[SLURM_PATH] = {is_text, "a path", FREE},
	[SLURM_TEXT] = {is_text, "text", FREE},
};

/* `text` with the blanks around commas gone. */
static char *tidied(const char *text, enum shape shape)
{
	struct strbuf b = STRBUF_INIT;

	for (; *text && shape != FREE; text++) {
		if (*text == ' ' && (!b.len || b.data[b.len - 1] == ','))
			continue;
		if (*text == ',')
			strbuf_rtrim(&b);
		strbuf_addc(&b, shape == UPPER && *text >= 'a' && *text <= 'z' ? (char)(*text & ~0x20) :
			*text);
	}
	strbuf_adds(&b, text);
	return strbuf_steal(&b);
}

static int check_choice(const char *choices, const char *text, struct strbuf *ret,
	struct strbuf *why)
{
	size_t len;

	for (const char *c = choices; *c; c += len, c += strspn(c, " ")) {
		len = strcspn(c, " ");
		if (strlen(text) == len && !strncasecmp(c, text, len)) {
			strbuf_add(ret, c, len);
			return 0;
		}
	}
	slurm_value_quote(why, text);
	strbuf_addf(why, " is not one of the words allowed: %s", choices);
	return -EINVAL;
}

static int check_yes(const char *text, struct strbuf *ret, struct strbuf *why)
{
	int yes = slurm_value_yes(text);

	if (yes < 0) {
		slurm_value_quote(why, text);
		strbuf_adds(why, " is neither; allowed: yes, no");
		return -EINVAL;
	}
	strbuf_adds(ret, yes ? "yes" : "no");
	return 0;
}

/* Slurm takes [0-9]%2, [0-9%2] and 0-9, for 0-9%2 and 0-9. */
static void tidy_array(char *array)
{
	size_t all = strlen(array), len = strcspn(array, "%");

	if (all && array[all - 1] == ',')
		array[--all] = '\0';
	if (*array != '[')
		return;
	if (all > 1 && array[all - 1] == ']')
		array[--all] = '\0';
	else if (len > 1 && array[len - 1] == ']')
		memmove(array + len - 1, array + len, all - len + 1);
	else
		return;
	memmove(array, array + 1, strlen(array));
}

/* sbatch passes over events that it does not know, as START, where it knows one of them. */
static void tidy_mail(char *mail)
{
	struct strbuf known AUTO_STRBUF = STRBUF_INIT;
	char *copy AUTO_FREE = xstrdup(mail);
	char *rest = NULL;

	for (char *type = strtok_r(copy, ",", &rest); type; type = strtok_r(NULL, ",", &rest))
		if (is_mail_type(type))
			strbuf_addf(&known, "%s%s", known.len ? "," : "", type);
	if (known.len)
		memcpy(mail, known.data, known.len + 1);
}

static int check_rule(enum slurm_type type, const char *text, bool as_sbatch, struct strbuf *ret,
	struct strbuf *why)
{
	char *tidy AUTO_FREE = tidied(text, rules[type].shape);

	if (as_sbatch && type == SLURM_ARRAY)
		tidy_array(tidy);
	if (as_sbatch && type == SLURM_MAIL)
		tidy_mail(tidy);
	if (!rules[type].good(tidy)) {
		slurm_value_quote(why, text);
		strbuf_addf(why, " does not fit; allowed: %s", rules[type].allowed);
		return -EINVAL;
	}
	strbuf_adds(ret, tidy);
	return 0;
}

int slurm_value_check(enum slurm_type type, const char *choices, const char *text, bool as_sbatch,
	char **ret, struct strbuf *why)
{
	struct strbuf canonical AUTO_STRBUF = STRBUF_INIT;
	int result;

	*ret = NULL;
	if (slurm_value_has_control(text) || strlen(text) > SLURM_VALUE_MAX) {
		slurm_value_quote(why, text);
		strbuf_addf(why, " is too long or holds a control character; allowed: plain text of up to "
				 "%d bytes, blanks instead of tabs", SLURM_VALUE_MAX);
		return -EINVAL;
	}
	if (type == SLURM_FLAG || type == SLURM_YESNO)
		result = check_yes(text, &canonical, why);
	else if (type == SLURM_TIME)
		result = slurm_check_time(text, as_sbatch, &canonical, why);
	else if (type == SLURM_MEMORY)
		result = slurm_check_memory(text, as_sbatch, &canonical, why);
	else if (type == SLURM_CHOICE)
		result = check_choice(choices, text, &canonical, why);
	else
		result = check_rule(type, text, as_sbatch, &canonical, why);
	if (!result)
		*ret = strbuf_steal(&canonical);
	return result;
}
