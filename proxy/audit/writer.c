#include "audit/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "audit/system.h"
#include "util/clock.h"
#include "util/file.h"
#include "util/log.h"
#include "util/memory.h"

#define WRITE_AT_ONCE (8u * 1024 * 1024) /* of lines, before the next parcels' turn */
#define RETRY_US      (1000ull * 1000)
#define HOUR_US       (3600ull * 1000 * 1000)
#define LOOK_BUSY_MS  100 /* how often it looks for what is due */
#define LOOK_IDLE_MS  1000

const char *log_cluster_time(const struct audit *a, char out[CLUSTER_TIME_MAX])
{
	if (a->config.cluster_time &&
		a->config.cluster_time(a->config.cluster_time_context, out, CLUSTER_TIME_MAX))
		return out;
	return NULL;
}

char *log_file_name(const struct audit *a, uint64_t seq)
{
	return memory_format("%s/%s-%012llu.jsonl", a->config.directory, a->config.instance,
		(unsigned long long)seq);
}

/* ------------------------------------------------------------------ stop and go */

static enum log_state state_of(const struct audit *a)
{
	return (enum log_state)atomic_load(&a->state);
}

static void note_failure(struct audit *a, const char *why)
{
	snprintf(a->why, sizeof(a->why), "%s", why);
	a->failures++;
	a->tried_us = clock_monotonic_us();
}

static void stop_access(struct audit *a, const char *why, bool for_good)
{
	if (state_of(a) != LOG_STOPPED)
		log_error("audit", "access is stopped: %s", why);
	note_failure(a, why);
	a->dead |= for_good;
	atomic_store(&a->state, LOG_STOPPED);
}

/* The disk is full: what was set aside becomes the log's next file.  Its last file ends
 * without a checkpoint, for which there is no room. */
static void use_reserve(struct audit *a, const char *why)
{
	char *path = log_file_name(a, a->chain.seq);
	bool used = reserve_use(&a->reserve, &a->file, path);

	free(path);
	if (!used) {
		stop_access(a, why, false);
		return;
	}
	log_error("audit", "access is stopped but for roles with care: %s", why);
	note_failure(a, why);
	atomic_store(&a->state, LOG_RESERVED);
}

/* With what is set aside, all may write. */
static void go_on(struct audit *a)
{
	if (reserve_keep(&a->reserve) == RESERVE_NO_ROOM) {
		atomic_store(&a->state, LOG_RESERVED);
		return;
	}
	atomic_store(&a->state, LOG_RUNS);
	log_info("audit", "the log is written again: access goes on");
}

bool writer_keep_reserve(struct audit *a, struct complaints *complaints)
{
	switch (reserve_keep(&a->reserve)) {
	case RESERVE_KEPT:
		return true;
	case RESERVE_NO_ROOM:
		note_failure(a, a->reserve.why);
		log_error("audit", "access is stopped but for roles with care: there is no room "
				   "for audit.reserve");
		atomic_store(&a->state, LOG_RESERVED);
		return true;
	case RESERVE_IMPOSSIBLE:
		break;
	}
	return complain(complaints, (struct place){.file = a->reserve.path},
		"audit.reserve: 0 does without it", "%s", a->reserve.why);
}

void writer_lost(struct audit *a, const char *why)
{
	pthread_mutex_lock(&a->lock);
	stop_access(a, why, false);
	pthread_mutex_unlock(&a->lock);
}

/* -------------------------------------------------------------------- writing */

/* What a line needs of now, with `out` empty; returns where the chain stood before. */
static struct chain begin_lines(struct audit *a, struct stamp *stamp)
{
	struct chain before = a->chain;
	int64_t now_us = audit_system.now_us();

	buf_clear(&a->out);
	buf_clear(&a->fresh);
	chain_put_clock(&a->chain, &a->out, now_us);
	chain_stamp(&a->chain, now_us, stamp);
	return before;
}

/* Where there is no room for all, the newest checkpoint proves those before it. */
static void put_newest(struct buf *checkpoints, struct bytes lines)
{
	if (lines.len > checkpoints->max - checkpoints->len)
		buf_clear(checkpoints);
	buf_put(checkpoints, lines);
}

/* With the lock.  Lines in a->out become part of the log, or all is as before. */
static bool append(struct audit *a, const struct chain *before, bool sync)
{
	enum log_file_result result;

	if (a->out.failed) {
		a->chain = *before;
		stop_access(a, "a batch is too large", false);
		return false;
	}
	result = log_file_append(&a->file, buf_bytes(&a->out), sync);
	if (result == LOG_FILE_FINE) {
		put_newest(&a->unwitnessed, buf_bytes(&a->fresh));
		a->batches++;
		a->syncs += sync;
		a->bytes += a->out.len;
		if (a->config.to_stdout && !file_write_all(STDOUT_FILENO, buf_bytes(&a->out)))
			log_warning("audit", "standard output does not take the log's lines");
		return true;
	}
	a->chain = *before;
	if (result == LOG_FILE_CUT && a->file.full && state_of(a) == LOG_RUNS)
		use_reserve(a, a->file.why);
	else
		stop_access(a, a->file.why, result == LOG_FILE_BROKEN);
	return false;
}

/* Checkpoint lines that a batch of lines holds: to the witnesses, once they are synced. */
static void hand_to_witnesses(struct audit *a, bool synced)
{
	if (!a->unwitnessed.len || !synced)
		return;
	witnesses_give(a->witnesses, buf_bytes(&a->unwitnessed));
	buf_clear(&a->unwitnessed);
}

static void put_checkpoint(struct audit *a, const struct stamp *stamp)
{
	char time[CLUSTER_TIME_MAX];
	size_t from = a->out.len;

	chain_put_checkpoint(&a->chain, &a->out, stamp, a->signer, log_cluster_time(a, time));
	put_newest(&a->fresh, bytes_from(buf_bytes(&a->out), from));
	a->checkpoint_us = clock_monotonic_us();
}

/* A checkpoint of its own, durable and given on. */
static bool write_checkpoint(struct audit *a)
{
	struct stamp stamp;
	struct chain before = begin_lines(a, &stamp);

	put_checkpoint(a, &stamp);
	if (!append(a, &before, true))
		return false;
	a->uncovered_us = 0;
	hand_to_witnesses(a, true);
	return true;
}

static bool is_full(const struct audit *a)
{
	const struct log_file *f = &a->file;

	if (a->config.rotate_size && f->size >= a->config.rotate_size)
		return true;
	return a->config.rotate_age_us && f->size &&
	       clock_monotonic_us() - f->opened_us >= a->config.rotate_age_us;
}

/* The last line of a file is a checkpoint. */
static bool rotate(struct audit *a)
{
	char *path;
	bool opened;

	if (!write_checkpoint(a))
		return false;
	path = log_file_name(a, a->chain.seq);
	opened = log_file_open(&a->file, path, 0);
	free(path);
	/* A new file takes room as well. */
	if (!opened)
		use_reserve(a, a->file.why);
	return opened;
}

static void put_batch(struct audit *a, const struct batch *b, const struct stamp *stamp)
{
	for (size_t i = 0; i < b->npieces; i++) {
		const struct piece *first = &b->pieces[i];

		for (size_t k = 0; k <= first->more; k++)
			chain_put(&a->chain, &a->out, stamp, first[k].event,
				batch_text(b, &first[k]));
		i += first->more;
		a->records++;
		/* Parts of one record stay neighbours. */
		if (a->chain.records >= a->config.checkpoint_records)
			put_checkpoint(a, stamp);
	}
}

static void note_uncovered(struct audit *a)
{
	if (!a->chain.records)
		a->uncovered_us = 0;
	else if (!a->uncovered_us)
		a->uncovered_us = clock_monotonic_us();
}

/* With the lock: the list's records, and those that were kept. */
static bool write_list(struct audit *a, const struct parcel *list, const struct parcel *end)
{
	bool strict = a->config.durability == AUDIT_STRICT;
	struct chain before;
	struct stamp stamp;
	bool any = a->kept.npieces != 0;

	for (const struct parcel *p = list; p != end; p = p->next)
		any |= p->batch.npieces != 0;
	if (state_of(a) == LOG_STOPPED)
		return false;
	if (!any)
		return true;
	if (state_of(a) == LOG_RUNS && is_full(a) && !rotate(a))
		return false;
	before = begin_lines(a, &stamp);
	put_batch(a, &a->kept, &stamp);
	for (const struct parcel *p = list; p != end; p = p->next)
		put_batch(a, &p->batch, &stamp);
	if (!append(a, &before, strict))
		return false;
	batch_clear(&a->kept);
	note_uncovered(a);
	hand_to_witnesses(a, strict);
	return true;
}

/* What nobody waits for is written when the log can be written again. */
static void keep_unwaited(struct audit *a, const struct batch *b)
{
	size_t lost = batch_keep_unwaited(&a->kept, b);

	if (lost)
		log_error("audit", "%zu records had no room while the log could not be written",
			lost);
	a->dead |= lost != 0;
}

static void finish(struct parcel *p, bool durable)
{
	struct audit_ring *r = p->ring;

	p->durable = durable;
	p->next = NULL;
	pthread_mutex_lock(&r->lock);
	*r->finished_last = p;
	r->finished_last = &p->next;
	pthread_mutex_unlock(&r->lock);
}

void writer_write_now(struct audit *a, struct parcel *p)
{
	bool written;

	pthread_mutex_lock(&a->lock);
	p->next = NULL;
	written = write_list(a, p, NULL);
	if (!written)
		keep_unwaited(a, &p->batch);
	pthread_mutex_unlock(&a->lock);
	finish(p, written);
}

/* ----------------------------------------------------------------- the thread */

void writer_take(struct audit *a, struct parcel *p)
{
	pthread_mutex_lock(&a->queue_lock);
	p->next = NULL;
	*a->queue_last = p;
	a->queue_last = &p->next;
	p->ring->under_way++;
	pthread_cond_signal(&a->queue_news);
	pthread_mutex_unlock(&a->queue_lock);
}

/* As many as are written at once. */
static struct parcel *end_of_turn(struct parcel *list)
{
	size_t bytes = 0;

	while (list && bytes < WRITE_AT_ONCE) {
		bytes += list->batch.text.len;
		list = list->next;
	}
	return list;
}

static void wake(struct audit *a, struct parcel *list, struct parcel *end, bool durable)
{
	while (list != end) {
		struct parcel *next = list->next;
		struct audit_ring *r = list->ring;

		finish(list, durable);
		if (r->wake)
			r->wake(r->context);
		/* Last: whoever frees the ring waits for this. */
		pthread_mutex_lock(&a->queue_lock);
		r->under_way--;
		pthread_cond_broadcast(&a->parcel_done);
		pthread_mutex_unlock(&a->queue_lock);
		list = next;
	}
}

static void write_queue(struct audit *a, struct parcel *list)
{
	while (list) {
		struct parcel *end = end_of_turn(list);
		bool written;

		pthread_mutex_lock(&a->lock);
		written = write_list(a, list, end);
		for (struct parcel *p = list; !written && p != end; p = p->next)
			keep_unwaited(a, &p->batch);
		pthread_mutex_unlock(&a->lock);
		wake(a, list, end, written);
		list = end;
	}
}

static void try_again(struct audit *a, uint64_t now_us)
{
	if (a->dead || now_us - a->tried_us < RETRY_US)
		return;
	a->tried_us = now_us;
	if (witnesses_are_gone(a->witnesses, now_us))
		return;
	if (state_of(a) == LOG_RESERVED) {
		go_on(a);
		return;
	}
	/* A rotation may be what failed; a checkpoint is as good a try as any line. */
	if (log_file_is_in_place(&a->file) && write_checkpoint(a))
		go_on(a);
}

static void count_floods(struct audit *a, uint64_t now_us, bool all)
{
	if (!flood_put(a->flood, now_us, all, &a->kept, &a->scratch))
		log_warning("audit", "counted refusals wait for room");
	if (a->kept.npieces)
		(void)write_list(a, NULL, NULL);
}

static void do_what_is_due(struct audit *a)
{
	uint64_t now_us = clock_monotonic_us();

	pthread_mutex_lock(&a->lock);
	if (state_of(a) != LOG_STOPPED && witnesses_are_gone(a->witnesses, now_us))
		stop_access(a, "no witness could be written for an hour", false);
	else if (state_of(a) != LOG_RUNS)
		try_again(a, now_us);
	count_floods(a, now_us, false);
	if (state_of(a) != LOG_STOPPED) {
		if ((a->uncovered_us &&
			    now_us - a->uncovered_us >= a->config.checkpoint_every_us) ||
			now_us - a->checkpoint_us >= HOUR_US)
			(void)write_checkpoint(a);
		else if (a->unwitnessed.len && log_file_sync(&a->file))
			hand_to_witnesses(a, true);
		else if (a->unwitnessed.len)
			stop_access(a, "fdatasync failed", true);
	}
	pthread_mutex_unlock(&a->lock);
}

static void wait_for_news(struct audit *a)
{
	struct timespec at;
	int64_t ms = a->uncovered_us || state_of(a) != LOG_RUNS ? LOOK_BUSY_MS : LOOK_IDLE_MS;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_nsec += (ms % 1000) * 1000000;
	at.tv_sec += ms / 1000 + at.tv_nsec / 1000000000;
	at.tv_nsec %= 1000000000;
	(void)pthread_cond_timedwait(&a->queue_news, &a->queue_lock, &at);
}

static void *run(void *context)
{
	struct audit *a = context;
	uint64_t looked_us = 0;

	pthread_mutex_lock(&a->queue_lock);
	while (!a->closing || a->queue) {
		struct parcel *list;

		if (!a->queue && !a->closing)
			wait_for_news(a);
		list = a->queue;
		a->queue = NULL;
		a->queue_last = &a->queue;
		pthread_mutex_unlock(&a->queue_lock);
		write_queue(a, list);
		if (clock_monotonic_us() - looked_us >= LOOK_BUSY_MS * 1000ull) {
			looked_us = clock_monotonic_us();
			do_what_is_due(a);
		}
		pthread_mutex_lock(&a->queue_lock);
	}
	pthread_mutex_unlock(&a->queue_lock);
	return NULL;
}

bool writer_start(struct audit *a)
{
	a->running = pthread_create(&a->thread, NULL, run, a) == 0;
	return a->running;
}

static void write_stop(struct audit *a)
{
	struct chain before;
	struct stamp stamp;

	count_floods(a, clock_monotonic_us(), true);
	if (state_of(a) == LOG_STOPPED)
		return;
	before = begin_lines(a, &stamp);
	chain_put(&a->chain, &a->out, &stamp, LINE_STOP, bytes_of("", 0));
	put_checkpoint(a, &stamp);
	if (append(a, &before, true))
		hand_to_witnesses(a, true);
}

void writer_stop(struct audit *a)
{
	pthread_mutex_lock(&a->queue_lock);
	a->closing = true;
	pthread_cond_signal(&a->queue_news);
	pthread_mutex_unlock(&a->queue_lock);
	if (a->running)
		pthread_join(a->thread, NULL);
	pthread_mutex_lock(&a->lock);
	write_stop(a);
	pthread_mutex_unlock(&a->lock);
	witnesses_wait(a->witnesses);
}
