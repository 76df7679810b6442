#include "audit/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "audit/inside.h"
#include "audit/writer.h"
#include "keys/locked.h"
#include "keys/signing_key.h"
#include "util/clock.h"
#include "util/hex.h"
#include "util/log.h"
#include "util/memory.h"

#define OUT_MAX         (64u * 1024 * 1024)
#define UNWITNESSED_MAX (1024u * 1024)
#define SPARES_MAX      4u

/* ------------------------------------------------------------------ signing key */

static bool load_signer(struct audit *a, struct complaints *complaints)
{
	struct place at = {.file = a->config.signing_key};
	uint8_t hash[LINE_HASH_LEN];
	struct signing_key *key;
	bool locked;
	struct fault why;

	a->signer = locked_array(1, sizeof(*a->signer), false, &locked, &why);
	if (!a->signer)
		return complain(complaints, at, NULL, "%s", why.detail);
	key = signing_key_load(a->config.signing_key, &why);
	if (!key)
		return complain(complaints, at, NULL, "%s", why.detail);
	memcpy(a->signer->seed_and_public, key->seed_and_public, sizeof(key->seed_and_public));
	memcpy(a->signer->public_key, key->public_key, sizeof(key->public_key));
	signing_key_free(key);
	line_hash(bytes_of(a->signer->public_key, 32), hash);
	hex_write(hash, 8, a->signer->id);
	return true;
}

/* --------------------------------------------------------------- opening, closing */

static void free_all(struct audit *a)
{
	witnesses_close(a->witnesses);
	log_file_fini(&a->file);
	reserve_fini(&a->reserve);
	if (a->folder_lock >= 0)
		close(a->folder_lock);
	locked_free(a->signer);
	flood_free(a->flood);
	buf_fini(&a->out);
	buf_fini(&a->fresh);
	buf_fini(&a->unwitnessed);
	batch_fini(&a->kept);
	record_scratch_fini(&a->scratch);
	pthread_mutex_destroy(&a->lock);
	pthread_mutex_destroy(&a->queue_lock);
	pthread_cond_destroy(&a->queue_news);
	pthread_cond_destroy(&a->parcel_done);
	free(a);
}

static struct audit *make(const struct audit_config *config)
{
	struct audit *a = memory_new(sizeof(*a));

	a->config = *config;
	a->folder_lock = -1;
	pthread_mutex_init(&a->lock, NULL);
	pthread_mutex_init(&a->queue_lock, NULL);
	pthread_cond_init(&a->queue_news, NULL);
	pthread_cond_init(&a->parcel_done, NULL);
	log_file_init(&a->file);
	reserve_init(&a->reserve, config->directory, config->instance, config->reserve);
	buf_init(&a->out, OUT_MAX);
	buf_init(&a->fresh, UNWITNESSED_MAX);
	buf_init(&a->unwitnessed, UNWITNESSED_MAX);
	batch_init(&a->kept);
	record_scratch_init(&a->scratch);
	a->flood = flood_new();
	a->queue_last = &a->queue;
	return a;
}

struct audit *audit_open(
	const struct audit_config *config, struct bytes policy_hash, struct complaints *complaints)
{
	struct audit *a = make(config);
	char why[LOG_FILE_WHY_MAX];

	if (load_signer(a, complaints)) {
		a->folder_lock = log_folder_lock(config->directory, why);
		if (a->folder_lock < 0)
			complain(complaints, (struct place){.file = config->directory}, NULL, "%s",
				why);
		else
			a->witnesses = witnesses_open(&a->config, complaints);
	}
	if (a->witnesses && log_start(a, policy_hash, complaints) &&
		writer_keep_reserve(a, complaints)) {
		if (writer_start(a))
			return a;
		complain(complaints, (struct place){.file = "audit"}, NULL,
			"the writer's thread cannot be started");
	}
	free_all(a);
	return NULL;
}

void audit_close(struct audit *a)
{
	if (!a)
		return;
	writer_stop(a);
	free_all(a);
}

bool audit_is_stopped(const struct audit *a)
{
	return atomic_load_explicit(&a->state, memory_order_relaxed) != LOG_RUNS;
}

bool audit_is_stopped_for_all(const struct audit *a)
{
	return atomic_load_explicit(&a->state, memory_order_relaxed) == LOG_STOPPED;
}

void audit_numbers(struct audit *a, struct audit_numbers *n)
{
	*n = (struct audit_numbers){0};
	pthread_mutex_lock(&a->lock);
	n->seq = a->chain.seq;
	n->records = a->records;
	n->bytes = a->bytes;
	n->batches = a->batches;
	n->syncs = a->syncs;
	n->failures = a->failures;
	n->stopped = audit_is_stopped(a);
	n->reserved = n->stopped && !audit_is_stopped_for_all(a);
	if (n->stopped)
		snprintf(n->why, sizeof(n->why), "%s", a->why);
	pthread_mutex_unlock(&a->lock);
	n->witnessed = witnesses_are_current(a->witnesses, n->why, n->stopped ? 0 : sizeof(n->why));
}

/* --------------------------------------------------------------------------- rings */

static struct parcel *parcel_new(struct audit_ring *r)
{
	struct parcel *p = r->spare;

	if (p) {
		r->spare = p->next;
		p->next = NULL;
		return p;
	}
	p = memory_new(sizeof(*p));
	p->ring = r;
	batch_init(&p->batch);
	batch_init(&p->refused);
	return p;
}

static void parcel_free(struct parcel *p)
{
	batch_fini(&p->batch);
	batch_fini(&p->refused);
	free(p);
}

struct audit_ring *audit_ring_new(struct audit *a, void (*wake)(void *), void *context)
{
	struct audit_ring *r = memory_new(sizeof(*r));

	r->audit = a;
	r->wake = wake;
	r->context = context;
	pthread_mutex_init(&r->lock, NULL);
	record_scratch_init(&r->scratch);
	r->finished_last = &r->finished;
	r->filling = parcel_new(r);
	return r;
}

static void free_list(struct parcel *p)
{
	while (p) {
		struct parcel *next = p->next;

		parcel_free(p);
		p = next;
	}
}

/* What was handed on is written first; nobody is called back any more. */
void audit_ring_free(struct audit_ring *r)
{
	audit_ring_commit(r);
	pthread_mutex_lock(&r->audit->queue_lock);
	while (r->under_way)
		pthread_cond_wait(&r->audit->parcel_done, &r->audit->queue_lock);
	pthread_mutex_unlock(&r->audit->queue_lock);
	free_list(r->finished);
	free_list(r->spare);
	parcel_free(r->filling);
	record_scratch_fini(&r->scratch);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void audit_submit(
	struct audit_ring *r, const struct audit_record *record, audit_done_fn *done, void *context)
{
	struct parcel *p = r->filling;

	bool counted = record->event == AUDIT_REFUSAL || record->event == AUDIT_LOGIN_FAILED;

	/* What nobody waits for is little, and may not be lost. */
	if (done && !record->care && audit_is_stopped(r->audit)) {
		batch_wait(&p->refused, done, context, false);
		return;
	}
	if (counted && flood_takes(r->audit->flood, record, clock_monotonic_us())) {
		if (done)
			batch_wait(&p->batch, done, context, true);
		return;
	}
	if (record_put(&p->batch, &r->scratch, record, 0, done, context))
		return;
	/* No room, or names that fill a line: whoever waits is told no.  A record that nobody
	 * waits for may not be lost unseen either. */
	if (done)
		batch_wait(&p->refused, done, context, false);
	else
		writer_lost(r->audit, "a record that nobody waited for had no room");
}

void audit_ring_commit(struct audit_ring *r)
{
	struct parcel *p = r->filling;
	struct audit *a = r->audit;

	if (batch_is_empty(&p->batch) && batch_is_empty(&p->refused))
		return;
	pthread_mutex_lock(&r->lock);
	r->filling = parcel_new(r);
	pthread_mutex_unlock(&r->lock);
	if (a->config.durability == AUDIT_STRICT)
		writer_take(a, p);
	else
		writer_write_now(a, p);
}

static void call_back(const struct batch *b, bool durable)
{
	for (size_t i = 0; i < b->nwaiters; i++)
		b->waiters[i].done(b->waiters[i].context, durable || b->waiters[i].durable);
}

/* Its memory stays for the next records, if not too many wait for them already. */
static void recycle(struct audit_ring *r, struct parcel *p)
{
	size_t n = 0;

	batch_clear(&p->batch);
	batch_clear(&p->refused);
	pthread_mutex_lock(&r->lock);
	for (const struct parcel *s = r->spare; s; s = s->next)
		n++;
	if (n < SPARES_MAX) {
		p->next = r->spare;
		r->spare = p;
		p = NULL;
	}
	pthread_mutex_unlock(&r->lock);
	if (p)
		parcel_free(p);
}

void audit_ring_collect(struct audit_ring *r)
{
	struct parcel *list;

	pthread_mutex_lock(&r->lock);
	list = r->finished;
	r->finished = NULL;
	r->finished_last = &r->finished;
	pthread_mutex_unlock(&r->lock);
	while (list) {
		struct parcel *p = list;

		list = p->next;
		call_back(&p->batch, p->durable || r->audit->config.durability == AUDIT_NONE);
		call_back(&p->refused, false);
		recycle(r, p);
	}
}

bool audit_ring_is_idle(const struct audit_ring *r)
{
	return batch_is_empty(&r->filling->batch) && batch_is_empty(&r->filling->refused);
}
