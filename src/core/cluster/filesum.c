#include "filesum.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "err.h"
#include "strbuf.h"

#define SLOTS 8192
#define THREADS_MAX 4
#define CHUNK (256u << 10)
#define TICK_NS 20000000 /* two of the slowest kernel's */

struct slot {
	dev_t dev;
	ino_t ino;
	struct timespec mtime, ctime;
	struct filesum *sum; /* NULL: it is free */
};

/* A file that is being hashed; on the stack of who does. */
struct busy {
	struct busy *next;
	dev_t dev;
	ino_t ino;
};

/* One slot for each inode modulo their number: a later file takes the place of an earlier one. */
struct filesums {
	pthread_mutex_t lock;
	pthread_cond_t done;
	struct busy *busy;        /* lock */
	atomic_bool stopped;
	struct slot slots[SLOTS]; /* lock */
};

struct filesums *filesums_new(void)
{
	struct filesums *sums = xcalloc(1, sizeof(*sums));

	pthread_mutex_init(&sums->lock, NULL);
	pthread_cond_init(&sums->done, NULL);
	return sums;
}

void filesums_free(struct filesums *sums)
{
	if (!sums)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		filesum_unref(sums->slots[i].sum);
	pthread_cond_destroy(&sums->done);
	pthread_mutex_destroy(&sums->lock);
	free(sums);
}

void filesums_stop(struct filesums *sums)
{
	atomic_store(&sums->stopped, true);
}

struct filesum *filesum_ref(struct filesum *sum)
{
	atomic_fetch_add(&sum->references, 1);
	return sum;
}

void filesum_unref(struct filesum *sum)
{
	if (sum && atomic_fetch_sub(&sum->references, 1) == 1)
		free(sum);
}

void filesum_add_hex(struct strbuf *b, const unsigned char digest[FILESUM_SIZE])
{
	for (size_t i = 0; i < FILESUM_SIZE; i++)
		strbuf_addf(b, "%02x", digest[i]);
}

/* ---- hashing ---- */

struct hashing {
	int fd;
	struct filesum *sum;
	atomic_size_t next;
	atomic_int error;
	atomic_bool *stopped; /* NULL: it never is */
};

static int hash_piece(struct hashing *h, size_t piece, EVP_MD_CTX *hash, char *buffer)
{
	uint64_t at = piece * FILESUM_PIECE;
	uint64_t end = at + FILESUM_PIECE < h->sum->size ? at + FILESUM_PIECE : h->sum->size;

	EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
	while (at < end) {
		if (h->stopped && atomic_load(h->stopped))
			return -ECANCELED;
		ssize_t n = pread(h->fd, buffer, end - at < CHUNK ? end - at : CHUNK, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EAGAIN;
		EVP_DigestUpdate(hash, buffer, (size_t)n);
		at += (uint64_t)n;
	}
	EVP_DigestFinal_ex(hash, h->sum->pieces[piece], NULL);
	return 0;
}

static void *hash_pieces(void *arg)
{
	struct hashing *h = arg;
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	AUTO_FREE char *buffer = xmalloc(CHUNK);
	size_t piece;

	while (!atomic_load(&h->error) && (piece = atomic_fetch_add(&h->next, 1)) < h->sum->count) {
		int r = hash_piece(h, piece, hash, buffer);

		if (r < 0)
			atomic_store(&h->error, r);
	}
	EVP_MD_CTX_free(hash);
	return NULL;
}

static void name_it(struct filesum *sum)
{
	struct strbuf name AUTO_STRBUF = STRBUF_INIT;
	unsigned char digest[FILESUM_SIZE];

	if (sum->count == 1) {
		filesum_add_hex(&name, sum->pieces[0]);
	} else {
		EVP_Digest(sum->pieces, sum->count * FILESUM_SIZE, digest, NULL, EVP_sha256(), NULL);
		strbuf_addc(&name, 't');
		filesum_add_hex(&name, digest);
	}
	memcpy(sum->name, name.data, name.len + 1);
}

static int compute(int fd, uint64_t size, atomic_bool *stopped, struct filesum **ret)
{
	size_t count = size ? (size_t)((size - 1) / FILESUM_PIECE + 1) : 1;
	struct filesum *sum = xcalloc(1, sizeof(*sum) + count * FILESUM_SIZE);
	struct hashing h = {.fd = fd, .sum = sum, .stopped = stopped};
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t threads[THREADS_MAX];
	size_t started = 0;

	sum->references = 1;
	sum->size = size;
	sum->count = count;
	while (started < THREADS_MAX && started + 1 < count && (long)started + 1 < cores &&
		pthread_create(&threads[started], NULL, hash_pieces, &h) == 0)
		started++;
	hash_pieces(&h);
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	int r = atomic_load(&h.error);
	if (r < 0) {
		filesum_unref(sum);
		return r;
	}
	name_it(sum);
	*ret = sum;
	return 0;
}

/* ---- what is remembered ---- */

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && same_time(&a->st_mtim, &b->st_mtim) &&
		same_time(&a->st_ctim, &b->st_ctim);
}

static struct slot *slot_of(struct filesums *sums, const struct stat *st)
{
	return &sums->slots[((uint64_t)st->st_ino ^ (uint64_t)st->st_dev * 31) % SLOTS];
}

/* Under the lock. */
static struct filesum *recall(struct filesums *sums, const struct stat *st)
{
	const struct slot *slot = slot_of(sums, st);

	if (!slot->sum || slot->sum->wrong || slot->dev != st->st_dev || slot->ino != st->st_ino ||
		slot->sum->size != (uint64_t)st->st_size || !same_time(&slot->mtime, &st->st_mtim) ||
		!same_time(&slot->ctime, &st->st_ctim))
		return NULL;
	return filesum_ref(slot->sum);
}

/* Under the lock. */
static bool is_busy(const struct filesums *sums, const struct stat *st)
{
	for (const struct busy *b = sums->busy; b; b = b->next)
		if (b->dev == st->st_dev && b->ino == st->st_ino)
			return true;
	return false;
}

/* What is remembered, or NULL: then it is `busy` until hashed() is called. Waits for another who hashes it. */
static struct filesum *recall_or_begin(struct filesums *sums, const struct stat *st,
	struct busy *busy)
{
	WITH_LOCK(&sums->lock);
	while (is_busy(sums, st))
		pthread_cond_wait(&sums->done, &sums->lock);
	struct filesum *sum = recall(sums, st);
	if (!sum) {
		*busy = (struct busy){sums->busy, st->st_dev, st->st_ino};
		sums->busy = busy;
	}
	return sum;
}

static void hashed(struct filesums *sums, struct busy *busy)
{
	WITH_LOCK(&sums->lock);
	struct busy **at = &sums->busy;

	while (*at != busy)
		at = &(*at)->next;
	*at = busy->next;
	pthread_cond_broadcast(&sums->done);
}

/* The kernel's clock for inodes ticks some ms: a write in the same tick as the last one would not show, and what was
 * read could be neither.  So reading begins TICK_NS behind it. */
static bool is_settled(const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	int64_t s = now.tv_sec - st->st_ctim.tv_sec;
	return s >= 2 || s * 1000000000 + now.tv_nsec - st->st_ctim.tv_nsec >= TICK_NS;
}

static bool settle(const struct stat *st)
{
	struct timespec tick = {.tv_nsec = TICK_NS};

	if (!is_settled(st))
		nanosleep(&tick, NULL);
	return is_settled(st);
}

static void remember(struct filesums *sums, const struct stat *st, struct filesum *sum)
{
	WITH_LOCK(&sums->lock);
	struct slot *slot = slot_of(sums, st);
	filesum_unref(slot->sum);
	*slot = (struct slot){st->st_dev, st->st_ino, st->st_mtim, st->st_ctim, filesum_ref(sum)};
}

static int compute_steady(struct filesums *sums, int fd, const struct stat *before,
	struct filesum **ret)
{
	bool settled = sums && settle(before);
	struct stat after;
	int r = compute(fd, (uint64_t)before->st_size, sums ? &sums->stopped : NULL, ret);
	if (r < 0)
		return r;
	if (fstat(fd, &after) < 0)
		r = -errno;
	else if (!same_file(before, &after))
		r = -EAGAIN;
	if (r < 0)
		filesum_unref(STEAL(*ret));
	else if (settled)
		remember(sums, before, *ret);
	return r;
}

int filesums_get(struct filesums *sums, int fd, struct filesum **ret)
{
	struct busy busy;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!sums)
		return compute_steady(NULL, fd, &st, ret);
	*ret = recall_or_begin(sums, &st, &busy);
	if (*ret)
		return 0;
	int r = compute_steady(sums, fd, &st, ret);
	hashed(sums, &busy);
	return r;
}
