#include "clusterask.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

#define MOST_ENTRIES 2048
/* sbatch takes no script above 4 MiB (Slurm's max_script_size). */
#define TEXT_MAX (4u << 20)

struct entry {
	unsigned char key[ASK_KEY_SIZE];
	enum ask_kind kind;
	char *text;         /* while it is wanted */
	bool wanted, under_way;
	bool known, yes;
	char *words;        /* or NULL */
	int64_t asked_ns;   /* of the answer */
	int64_t failed_ns;  /* no answer came then; 0: one did */
	uint64_t used;
};

struct clusterask {
	pthread_mutex_t lock;
	/* lock */
	bool open;
	struct entry entries[MOST_ENTRIES];
	size_t count;
	uint64_t uses;
};

struct clusterask *clusterask_new(void)
{
	struct clusterask *ask = xcalloc(1, sizeof(*ask));

	pthread_mutex_init(&ask->lock, NULL);
	ask->open = true;
	return ask;
}

static void empty(struct entry *entry)
{
	free(entry->text);
	free(entry->words);
	*entry = (struct entry){0};
}

void clusterask_free(struct clusterask *ask)
{
	if (!ask)
		return;
	for (size_t i = 0; i < ask->count; i++)
		empty(&ask->entries[i]);
	pthread_mutex_destroy(&ask->lock);
	free(ask);
}

static void give_up(struct entry *entry)
{
	entry->wanted = false;
	free(STEAL(entry->text));
}

bool clusterask_open(struct clusterask *ask, bool open)
{
	WITH_LOCK(&ask->lock);
	bool changed = ask->open != open;

	ask->open = open;
	for (size_t i = 0; !open && i < ask->count; i++) {
		give_up(&ask->entries[i]);
		ask->entries[i].under_way = false;
	}
	return changed;
}

static struct entry *find(struct clusterask *ask, enum ask_kind kind, const unsigned char *key)
{
	for (size_t i = 0; i < ask->count; i++)
		if (ask->entries[i].kind == kind && !memcmp(ask->entries[i].key, key, ASK_KEY_SIZE))
			return &ask->entries[i];
	return NULL;
}

/* An empty entry: a new one, or that of the answer that was not used for longest; NULL: none. */
static struct entry *make_room(struct clusterask *ask)
{
	struct entry *oldest = NULL;

	if (ask->count < MOST_ENTRIES)
		return &ask->entries[ask->count++];
	for (size_t i = 0; i < ask->count; i++) {
		struct entry *entry = &ask->entries[i];

		if (!entry->wanted && !entry->under_way && (!oldest || entry->used < oldest->used))
			oldest = entry;
	}
	if (oldest)
		empty(oldest);
	return oldest;
}

struct ask_answer clusterask_get(struct clusterask *ask, enum ask_kind kind, const char *text,
	int64_t since_ns, struct strbuf *words)
{
	struct ask_answer none = {0};
	unsigned char key[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	size_t size = strlen(text);

	if (size > TEXT_MAX || EVP_Digest(text, size, key, &len, EVP_sha256(), NULL) != 1)
		return none;
	WITH_LOCK(&ask->lock);
	struct entry *entry = find(ask, kind, key);
	if (!entry) {
		entry = ask->open ? make_room(ask) : NULL;
		if (!entry)
			return none;
		entry->kind = kind;
		memcpy(entry->key, key, ASK_KEY_SIZE);
	}
	int64_t last_ns = entry->failed_ns > entry->asked_ns ? entry->failed_ns : entry->asked_ns;
	if (ask->open && !entry->wanted && !entry->under_way && (!last_ns || last_ns < since_ns)) {
		entry->wanted = true;
		entry->text = xstrdup(text);
	}
	entry->used = ++ask->uses;
	if (entry->known && entry->words)
		strbuf_adds(words, entry->words);
	return (struct ask_answer){.asking = entry->wanted || entry->under_way,
		.known = entry->known, .yes = entry->yes, .asked_ns = entry->asked_ns};
}

struct ask_question *clusterask_take(struct clusterask *ask, size_t max, size_t *count)
{
	struct ask_question *list = NULL;

	*count = 0;
	WITH_LOCK(&ask->lock);
	for (size_t i = 0; i < ask->count && *count < max; i++) {
		struct entry *entry = &ask->entries[i];

		if (!entry->wanted || entry->under_way)
			continue;
		if (!list)
			list = xcalloc(max, sizeof(*list));
		struct ask_question *q = &list[(*count)++];
		q->kind = entry->kind;
		memcpy(q->key, entry->key, ASK_KEY_SIZE);
		q->text = STEAL(entry->text);
		entry->wanted = false;
		entry->under_way = true;
	}
	return list;
}

void clusterask_settle(struct clusterask *ask, struct ask_question *questions, size_t count,
	int64_t asked_ns)
{
	WITH_LOCK(&ask->lock);
	for (size_t i = 0; i < count; i++) {
		struct ask_question *q = &questions[i];
		struct entry *entry = find(ask, q->kind, q->key);

		if (entry) {
			entry->under_way = false;
			entry->failed_ns = q->known ? 0 : asked_ns;
		}
		if (entry && q->known) {
			entry->known = true;
			entry->yes = q->yes;
			entry->asked_ns = asked_ns;
			free(entry->words);
			entry->words = STEAL(q->words);
		}
		free(q->text);
		free(q->words);
	}
	free(questions);
}
