#include "workblock.h"

#include <errno.h>
#include <string.h>

#include "err.h"
#include "work.h"

#define BLOCK (1u << 20)
#define AHEAD_MAX 8 /* blocks under way: at 40 ms, 200 MB a second */
#define HELD_MAX (64u << 20)
/* The kernel asks for several parts at a time, so they may come a little out of order. */
#define TOLERANCE (2u << 20)

/* Under the lock of its handle, but for what is set once. */
struct block {
	struct block *next; /* of the window, in no order */
	struct block *planned; /* the next that is to be begun; the planner's */
	struct window *window;
	uint64_t start; /* set once */
	size_t size;    /* set once: as asked for */
	size_t len;     /* as there */
	int result;
	int64_t read_ms;
	bool ready, touched;
	unsigned references; /* the window's, the read's under way, those of replies */
	char bytes[];
};

struct window *window_new(struct work_handle *h, pthread_mutex_t *lock, pthread_cond_t *changed,
	const struct clock *clock, _Atomic uint64_t *held)
{
	struct window *w = xcalloc(1, sizeof(*w));

	*w = (struct window){.handle = h, .lock = lock, .changed = changed, .clock = clock, .ahead = 1,
		.held = held};
	return w;
}

/* ---- under the lock ---- */

static void put(struct block *b)
{
	if (--b->references)
		return;
	atomic_fetch_sub(b->window->held, b->size);
	free(b);
}

static void take_out(struct block **at)
{
	struct block *b = *at;

	*at = b->next;
	put(b);
}

static bool is_stale(const struct window *w, const struct block *b)
{
	return b->ready && clock_mono_ms(w->clock) - b->read_ms > WORK_AGE_MS;
}

/* What is behind the reader, or too old. */
static void clear_old(struct window *w, uint64_t off)
{
	for (struct block **at = &w->blocks; *at;)
		if ((*at)->ready && (is_stale(w, *at) || (*at)->start + (*at)->size + BLOCK <= off))
			take_out(at);
		else
			at = &(*at)->next;
}

static struct block **find(struct window *w, uint64_t off)
{
	struct block **at = &w->blocks;

	while (*at && (off < (*at)->start || off >= (*at)->start + (*at)->size || is_stale(w, *at)))
		at = &(*at)->next;
	return at;
}

enum window_state window_look(struct window *w, uint64_t off, size_t size, uint64_t known,
	struct window_part *ret)
{
	struct block **at = find(w, off), *b = *at;

	if (!b)
		return WINDOW_ASK;
	if (!b->ready)
		return WINDOW_WAITING;
	uint64_t end = b->start + b->len;
	if (b->result < 0) {
		ret->error = b->result;
		take_out(at);
		return WINDOW_FAILED;
	}
	if (off >= end) {
		/* It ended there; has it grown since? */
		if (off >= known)
			return WINDOW_END;
		take_out(at);
		return WINDOW_ASK;
	}
	b->references++;
	*ret = (struct window_part){b, b->bytes + (off - b->start), 0, 0};
	ret->len = end - off < size ? (size_t)(end - off) : size;
	return WINDOW_READY;
}

void window_put(struct window_part *part)
{
	put(part->block);
}

/* Whether a read at `off` goes on where others were. */
static bool goes_on(const struct window *w, uint64_t off)
{
	return off <= w->reached + TOLERANCE && off + TOLERANCE >= w->reached;
}

bool window_has(struct window *w, uint64_t off, size_t size, uint64_t known, struct window_part *ret)
{
	struct block *b = *find(w, off);
	uint64_t end = off + size;

	if (!b || !b->ready || b->result < 0 || !b->touched || !goes_on(w, off))
		return false;
	/* Enough is under way. */
	if (w->edge < known && w->edge < off + (uint64_t)w->ahead * BLOCK - BLOCK)
		return false;
	if (end > known)
		end = known;
	if (off >= end || b->start + b->len < end)
		return false;
	if (w->reached < end)
		w->reached = end;
	b->references++;
	*ret = (struct window_part){b, b->bytes + (off - b->start), (size_t)(end - off), 0};
	return true;
}

static struct block *add(struct window *w, uint64_t start, size_t size)
{
	struct block *b = xmalloc(sizeof(*b) + size);

	*b = (struct block){.next = w->blocks, .window = w, .start = start, .size = size, .references = 2};
	w->blocks = b;
	atomic_fetch_add(w->held, size);
	return b;
}

/* Blocks one behind the other from `from` on, until `*edge`. */
static struct block *plan_until(struct window *w, uint64_t *from, uint64_t edge, struct block *planned)
{
	while (*from < edge) {
		size_t size = edge - *from < BLOCK ? (size_t)(edge - *from) : BLOCK;
		struct block *b = add(w, *from, size);

		b->planned = planned;
		planned = b;
		*from += size;
	}
	return planned;
}

/* Turns a list round: the first block is to be asked for first. */
static struct block *in_order(struct block *planned)
{
	struct block *first = NULL;

	while (planned) {
		struct block *next = planned->planned;

		planned->planned = first;
		first = planned;
		planned = next;
	}
	return first;
}

struct block *window_plan(struct window *w, uint64_t off, size_t size, uint64_t known)
{
	struct block *planned = NULL, *b = *find(w, off);
	uint64_t end = off + size;

	if (!goes_on(w, off)) {
		/* Somewhere else: no more than is wanted, until somebody goes on from there. */
		w->ahead = 0;
		w->edge = off;
	} else if (b && !b->touched) {
		b->touched = true;
		w->ahead = w->ahead ? 2 * w->ahead : 1;
		if (w->ahead > AHEAD_MAX)
			w->ahead = AHEAD_MAX;
	}
	if (w->reached < end || !w->ahead)
		w->reached = end;
	clear_old(w, off);
	b = *find(w, off);
	if (!b) {
		/* What was ahead is of no use where it is too old, or was jumped over. */
		w->edge = off;
		if (!w->ahead)
			planned = plan_until(w, &w->edge, end, planned);
	}
	uint64_t edge = off + (uint64_t)w->ahead * BLOCK;
	/* Many at a time go on with less. */
	if (atomic_load(w->held) > HELD_MAX)
		edge = end;
	if (edge > known)
		edge = known;
	else if (edge > w->edge)
		edge -= (edge - w->edge) % BLOCK;
	if (!b && edge < end)
		edge = end;
	if (w->ahead)
		planned = plan_until(w, &w->edge, edge, planned);
	return in_order(planned);
}

/* ---- under no lock ---- */

static void block_read(void *arg, ssize_t result)
{
	struct block *b = arg;
	struct window *w = b->window;
	struct work_handle *h = w->handle;

	pthread_mutex_lock(w->lock);
	b->result = result < 0 ? (int)result : 0;
	b->len = result < 0 ? 0 : (size_t)result;
	b->read_ms = clock_mono_ms(w->clock);
	b->ready = true;
	put(b);
	pthread_cond_broadcast(w->changed);
	pthread_mutex_unlock(w->lock);
	work_handle_unref(h);
}

void window_begin(struct block *planned, struct remote_file *file)
{
	while (planned) {
		struct block *b = planned;

		planned = b->planned;
		work_handle_ref(b->window->handle);
		remote_pread_begin(file, b->bytes, b->size, b->start, block_read, b);
	}
}

void window_free(struct window *w)
{
	if (!w)
		return;
	while (w->blocks)
		take_out(&w->blocks);
	free(w);
}
