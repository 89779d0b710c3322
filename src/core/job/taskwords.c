/* The words of an array's tasks in few lines: what its record on the cluster keeps of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tasks.h"

#define WORD "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"

static void print_word(const struct tasks *t, uint8_t word, struct strbuf *ret)
{
	const char *before = " ";

	for (size_t i = 0, n; i < t->count; i += n) {
		const struct task *first = &t->items[i];

		n = 1;
		if (first->word != word)
			continue;
		while (i + n < t->count && first[n].word == word && first[n].id == first->id + n)
			n++;
		if (ret->len && ret->data[ret->len - 1] == '\n')
			before = " ";
		if (*before == ' ')
			strbuf_adds(ret, t->words[word]);
		strbuf_addf(ret, n > 1 ? "%s%u-%u" : "%s%u", before, first->id, first->id + (uint32_t)n - 1);
		before = ",";
	}
	if (*before == ',')
		strbuf_addc(ret, '\n');
}

void tasks_print_words(const struct tasks *t, size_t max, struct strbuf *ret)
{
	for (unsigned word = 1; word < t->word_count; word++) {
		struct strbuf line AUTO_STRBUF = STRBUF_INIT;

		print_word(t, (uint8_t)word, &line);
		if (line.len > max)
			continue;
		max -= line.len;
		strbuf_add(ret, line.data, line.len);
	}
}

int tasks_take_words(struct tasks *t, const char *line)
{
	char word[JOB_STATE_SIZE] = "";
	size_t len = strspn(line, WORD);

	if (!len || len >= sizeof(word) || line[len] != ' ')
		return -EINVAL;
	memcpy(word, line, len);
	unsigned long next = 0;
	for (const char *at = line + len; *at == ' ' || *at == ',';) {
		char *end;
		unsigned long first = strtoul(at + 1, &end, 10), last = first;

		if (end == at + 1)
			return -EINVAL;
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		/* In order, so that no line costs more than the array has tasks. */
		if (first < next || last < first)
			return -EINVAL;
		next = last < TASKS_MAX_ID ? last + 1 : TASKS_MAX_ID + 1;
		for (unsigned long id = first; id <= last && id <= TASKS_MAX_ID; id++)
			tasks_set_word(t, id, word);
		at = end;
		if (!*at)
			return 0;
	}
	return -EINVAL;
}
