#include "strbuf.h"

#include <stdint.h>
#include <string.h>

#include "err.h"

char strbuf_empty[1];

void strbuf_reserve(struct strbuf *b, size_t more)
{
	size_t need = b->len + more + 1;

	if (need <= b->capacity)
		return;
	size_t capacity = b->capacity ? b->capacity : 64;
	while (capacity < need)
		capacity *= 2;
	b->data = xrealloc(b->capacity ? b->data : NULL, capacity);
	b->capacity = capacity;
	b->data[b->len] = '\0';
}

void strbuf_add(struct strbuf *b, const void *bytes, size_t len)
{
	if (!b || !len)
		return;
	strbuf_reserve(b, len);
	memcpy(b->data + b->len, bytes, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void strbuf_adds(struct strbuf *b, const char *text)
{
	strbuf_add(b, text, strlen(text));
}

void strbuf_addc(struct strbuf *b, char c)
{
	strbuf_add(b, &c, 1);
}

void strbuf_vaddf(struct strbuf *b, const char *format, va_list args)
{
	va_list again;

	if (!b)
		return;
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (n < 0)
		return;
	strbuf_reserve(b, (size_t)n);
	vsnprintf(b->data + b->len, (size_t)n + 1, format, args);
	b->len += (size_t)n;
}

void strbuf_addf(struct strbuf *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	strbuf_vaddf(b, format, args);
	va_end(args);
}

/* The length of the valid UTF-8 sequence of two or more bytes at `s`, else 0. */
static size_t utf8_sequence(const unsigned char *s, size_t len)
{
	size_t n = s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 :
		s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;

	if (!n || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
		(s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	/* U+0080 to U+009F steer a terminal as escapes do. */
	return s[0] == 0xc2 && s[1] < 0xa0 ? 0 : n;
}

void strbuf_add_escaped(struct strbuf *b, const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;

	while (len) {
		size_t n = utf8_sequence(s, len);

		if (!n && ((*s >= 0x20 && *s < 0x7f) || *s == '\t'))
			n = 1;
		if (n)
			strbuf_add(b, s, n);
		else
			strbuf_addf(b, "\\x%02x", *s);
		s += n ? n : 1;
		len -= n ? n : 1;
	}
}

void strbuf_add_lines(struct strbuf *b, const char *text, size_t len)
{
	const char *end = text + len;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *stop = newline ? newline : end;

		strbuf_add_escaped(b, text, (size_t)(stop - text));
		if (newline)
			strbuf_addc(b, '\n');
		text = stop + (newline != NULL);
	}
}

void strbuf_reset(struct strbuf *b)
{
	strbuf_truncate(b, 0);
}

void strbuf_truncate(struct strbuf *b, size_t len)
{
	if (len >= b->len)
		return;
	b->len = len;
	b->data[len] = '\0';
}

void strbuf_rtrim(struct strbuf *b)
{
	while (b->len && strchr(" \t\r\n", b->data[b->len - 1]))
		b->data[--b->len] = '\0';
}

void strbuf_release(struct strbuf *b)
{
	if (b->capacity)
		free(b->data);
	*b = STRBUF_INIT;
}

char *strbuf_steal(struct strbuf *b)
{
	char *text = b->capacity ? b->data : xstrdup("");

	*b = STRBUF_INIT;
	return text;
}
