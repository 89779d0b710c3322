#include "slurm_amount.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "slurm_value.h"

#define DIGITS "0123456789"

long long slurm_digits(const char **at)
{
	size_t n = strspn(*at, DIGITS);
	long long value = 0;

	if (!n || n > 9)
		return -1;
	for (size_t i = 0; i < n; i++)
		value = value * 10 + ((*at)[i] - '0');
	*at += n;
	return value;
}

bool slurm_number(const char **at, const char *ends, long long least, long long *ret)
{
	*ret = slurm_digits(at);
	return *ret >= least && (!**at || strchr(ends, **at));
}

long long slurm_value_seconds(const char *text)
{
	/* What each field means, by the number of fields and whether days came first. */
	static const int unit[2][3][3] = {
		{{60}, {60, 1}, {3600, 60, 1}},
		{{3600}, {3600, 60}, {3600, 60, 1}},
	};
	long long field[3], days = 0, sum = 0;
	int count = 0, dated = 0;

	if (!strcasecmp(text, "UNLIMITED") || !strcasecmp(text, "INFINITE") || !strcmp(text, "-1"))
		return -1;
	if (strchr(text, '-')) {
		dated = 1;
		if (!slurm_number(&text, "-", 0, &days) || *text++ != '-')
			return -EINVAL;
	}
	for (;;) {
		if (count == 3 || !slurm_number(&text, ":", 0, &field[count]))
			return -EINVAL;
		count++;
		if (!*text)
			break;
		text++;
	}
	for (int i = 0; i < count; i++)
		sum += field[i] * unit[dated][count - 1][i];
	sum += days * 86400;
	return sum > INT_MAX ? -EINVAL : sum;
}

int slurm_check_time(const char *text, bool as_sbatch, struct strbuf *ret, struct strbuf *why)
{
	static const char forms[] = "allowed: MINUTES, H:MM:SS, D-H, D-H:MM, D-H:MM:SS, UNLIMITED";
	const char *colon = strchr(text, ':');
	long long s = slurm_value_seconds(text);

	if (s == -EINVAL) {
		slurm_value_quote(why, text);
		strbuf_addf(why, " is no time; %s", forms);
		return -EINVAL;
	}
	if (s == 0 && !as_sbatch) {
		strbuf_addf(why, "0 means no limit at all to Slurm; %s", forms);
		return -EINVAL;
	}
	if (!as_sbatch && s > 0 && colon && !strchr(colon + 1, ':') && !strchr(text, '-')) {
		int first = atoi(text), second = atoi(colon + 1);

		strbuf_addf(why, "%s is %d minutes and %d seconds to Slurm; write 00:%02d:%02d or %02d:%02d:00",
			text, first, second, first, second, first, second);
		return -EINVAL;
	}
	if (s < 0)
		strbuf_adds(ret, "UNLIMITED");
	else if (s >= 86400)
		strbuf_addf(ret, "%lld-%02lld:%02lld:%02lld", s / 86400, s / 3600 % 24, s / 60 % 60,
			s % 60);
	else
		strbuf_addf(ret, "%02lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
	return 0;
}

struct memory {
	long long whole;
	long long millionths;
	char unit; /* '\0' where there is none */
};

static int read_memory(const char *text, struct memory *m)
{
	m->whole = slurm_digits(&text);
	m->millionths = 0;
	if (m->whole < 0)
		return -EINVAL;
	if (*text == '.') {
		size_t n = strspn(++text, DIGITS);

		if (!n || n > 6)
			return -EINVAL;
		for (size_t i = 0; i < 6; i++)
			m->millionths = m->millionths * 10 + (i < n ? text[i] - '0' : 0);
		text += n;
	}
	text += strspn(text, " ");
	m->unit = *text && strchr("kKmMgGtT", *text) ? (char)(*text++ & ~0x20) : '\0';
	if (m->unit && *text == 'i' && (text[1] == 'B' || text[1] == 'b'))
		text++;
	if (m->unit && (*text == 'B' || *text == 'b'))
		text++;
	return *text ? -EINVAL : 0;
}

static long long mebibytes(const struct memory *m)
{
	int shift = m->unit == 'K' ? 0 : m->unit == 'G' ? 20 : m->unit == 'T' ? 30 : 10;
	long long kib = (m->whole << shift) + ((m->millionths << shift) + 999999) / 1000000;

	return (kib + 1023) / 1024;
}

long long slurm_value_mebibytes(const char *text)
{
	struct memory m;

	return read_memory(text, &m) < 0 ? -EINVAL : mebibytes(&m);
}

int slurm_check_memory(const char *text, bool as_sbatch, struct strbuf *ret, struct strbuf *why)
{
	struct memory m;
	bool read = read_memory(text, &m) == 0;
	bool zero = read && !m.whole && !m.millionths;

	if (read && !zero && !m.unit && !as_sbatch) {
		strbuf_addf(why, "%s has no unit (to Slurm it would be megabytes); write %sG or %sM",
			text, text, text);
		return -EINVAL;
	}
	if (!read) {
		slurm_value_quote(why, text);
		strbuf_adds(why, " is no memory size; allowed: a number with K, M, G or T, such as 64G "
				 "or 1.5G, or 0 for the whole node");
		return -EINVAL;
	}
	if (zero)
		strbuf_addc(ret, '0');
	else if (m.millionths)
		strbuf_addf(ret, "%lldM", mebibytes(&m));
	else
		strbuf_addf(ret, "%lld%c", m.whole, m.unit ? m.unit : 'M');
	return 0;
}
