#include <stdio.h>
#include <stdlib.h>

#include "upstream/inside.h"
#include "util/memory.h"
#include "wire/doc.h"

#define CLUSTER_TIME_MAX 512u /* a $clusterTime document: 100 bytes, signed */

struct times {
	_Atomic uint64_t cluster, operation; /* as BSON timestamps; 0: none */
	pthread_mutex_t lock;
	uint8_t document[CLUSTER_TIME_MAX];
	size_t len;
};

struct times *times_new(void)
{
	struct times *t = memory_new(sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	return t;
}

void times_free(struct times *t)
{
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static void note_cluster(struct times *t, struct bytes document)
{
	struct element e;
	uint64_t time;

	if (document.len > CLUSTER_TIME_MAX || !doc_find(document, "clusterTime", &e) ||
		e.type != TYPE_TIMESTAMP)
		return;
	time = load_u64(e.value.at);
	if (time <= atomic_load_explicit(&t->cluster, memory_order_relaxed))
		return;
	pthread_mutex_lock(&t->lock);
	if (time > t->cluster) {
		memcpy(t->document, document.at, document.len);
		t->len = document.len;
		t->cluster = time;
	}
	pthread_mutex_unlock(&t->lock);
}

static void note_operation(struct times *t, uint64_t time)
{
	uint64_t known = atomic_load_explicit(&t->operation, memory_order_relaxed);

	while (time > known && !atomic_compare_exchange_weak(&t->operation, &known, time))
		;
}

void upstream_note_reply_times(
	struct upstream *u, const struct element *cluster, const struct element *operation)
{
	if (cluster->type == TYPE_DOCUMENT)
		note_cluster(u->times, cluster->value);
	if (operation->type == TYPE_TIMESTAMP)
		note_operation(u->times, load_u64(operation->value.at));
}

void upstream_put_times(struct upstream *u, struct buf *document, bool operation_time)
{
	struct times *t = u->times;
	uint64_t operation = t->operation;

	if (t->cluster) {
		pthread_mutex_lock(&t->lock);
		doc_put_value(document, TYPE_DOCUMENT, NAME("$clusterTime"),
			bytes_of(t->document, t->len));
		pthread_mutex_unlock(&t->lock);
	}
	if (operation_time && operation)
		doc_put_timestamp(document, NAME("operationTime"), operation);
}

bool upstream_cluster_time(struct upstream *u, char *out, size_t size)
{
	uint64_t time = u->times->cluster;

	if (time)
		snprintf(out, size, "%u.%u", (unsigned)(time >> 32), (unsigned)time);
	return time != 0;
}
