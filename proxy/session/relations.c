#include "session/inside.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "util/log.h"
#include "util/memory.h"

#define KEEP_US        (60ull * 1000 * 1000)
#define KEEP_FAILED_US (5ull * 1000 * 1000) /* what reading at once again would not mend */
#define PATIENCE_US    (10ull * 1000 * 1000)
#define REPEATS_MAX    1u
#define OVERHEAD       512u /* of one list, beside its values */

enum kept_state { KEPT_COMING, KEPT_THERE, KEPT_FAILED };

/* The list of one relation for one user, as it was read under one snapshot. */
struct kept_list {
	struct relation_list list; /* what facts point to */
	struct relations *owner;
	int references; /* of the map, of its call, of exchanges */
	enum kept_state state;
	TAILQ_ENTRY(kept_list) link; /* in `coming`, then, while it is mapped, in `by_age` */
	struct bytes key;            /* relation and user; owned */
	bool mapped;
	uint64_t expires_us;
	struct fault why;
	struct buf values;
	struct exchange *waiting;
	/* while it is read */
	struct snapshot *snapshot;
	struct reply_rules rules;
	struct buf message;
	struct upstream_call *call;
	unsigned repeats;
};
TAILQ_HEAD(kept_lists, kept_list);

struct relations {
	struct worker *worker;
	struct snapshot *snapshot; /* of all that is mapped */
	struct map by_key;
	struct kept_lists coming, by_age;
	size_t bytes; /* of those in by_age */
};

struct relations *relations_new(struct worker *w)
{
	struct relations *r = memory_new(sizeof(*r));

	r->worker = w;
	map_init(&r->by_key);
	TAILQ_INIT(&r->coming);
	TAILQ_INIT(&r->by_age);
	return r;
}

static void unref(struct kept_list *k)
{
	union {
		const uint8_t *at;
		void *memory;
	} key = {.at = k->key.at}; /* its own, though views are const */

	if (--k->references)
		return;
	snapshot_unref(k->snapshot);
	buf_wipe(&k->values);
	buf_wipe(&k->message);
	free(key.memory);
	free(k);
}

static size_t size_of(const struct kept_list *k)
{
	return k->values.capacity + OVERHEAD;
}

/* Out of the map: whoever holds it goes on with it, nobody else gets it. */
static void unmap(struct kept_list *k)
{
	struct relations *r = k->owner;

	if (!k->mapped)
		return;
	k->mapped = false;
	map_remove(&r->by_key, k->key);
	if (k->state != KEPT_COMING) {
		TAILQ_REMOVE(&r->by_age, k, link);
		r->bytes -= size_of(k);
	}
	unref(k);
}

static void unmap_all(struct relations *r)
{
	const struct map_entry *e;
	size_t i = 0;

	while ((e = map_next(&r->by_key, &i))) {
		unmap(e->value);
		i = 0; /* the map has changed */
	}
}

void relations_free(struct relations *r)
{
	struct kept_list *k;

	unmap_all(r);
	while ((k = TAILQ_FIRST(&r->coming))) {
		TAILQ_REMOVE(&r->coming, k, link);
		upstream_call_drop(k->call);
		unref(k);
	}
	map_fini(&r->by_key);
	snapshot_unref(r->snapshot);
	free(r);
}

void relations_expire(struct relations *r, uint64_t now_us)
{
	struct kept_list *k;

	while ((k = TAILQ_FIRST(&r->by_age)) &&
		(k->expires_us <= now_us || r->bytes > RELATIONS_BYTES))
		unmap(k);
}

/* ------------------------------------------------------------------ reading */

static void on_done(void *context, const struct upstream_answer *answer);

static void send_find(struct kept_list *k)
{
	struct worker *w = k->owner->worker;
	const struct upstream_want want = {.deadline_us = net_loop_now_us(w->loop) + PATIENCE_US};

	k->call = upstream_send(w->pool, k->message.at, k->message.len, &want, on_done, k);
}

static bool make_find(struct kept_list *k, const struct facts *facts, struct fault *why)
{
	struct worker *w = k->owner->worker;
	struct policy *p = k->snapshot->policy;
	struct written unwanted;
	struct arena arena;
	struct command *c;
	struct plan plan;
	bool fine;

	arena_init(&arena);
	c = arena_alloc(&arena, sizeof(*c));
	fine = policy_relation_find(p, k->list.of, facts, &arena, c, &plan, why) &&
	       transform_request(worker_transform(w, p), &plan, c, 0, &k->message, &unwanted, why);
	k->rules = plan.reply;
	arena_fini(&arena);
	return fine;
}

/* A batch that grew too large for one message leaves a cursor open. */
static void kill_rest(
	const struct kept_list *k, struct bytes document, int64_t cursor_id, server_id server)
{
	struct cursor cursor = {.upstream_id = cursor_id, .server = server};
	struct element ns;

	if (!doc_find_path(document, "cursor.ns", &ns) || ns.type != TYPE_STRING)
		return;
	cursor.upstream_ns = element_string(&ns);
	kill_upstream_cursor(k->owner->worker, &cursor);
}

/* The client's answer to such a find would hold the values in plaintext: so does this. */
static bool take_values(
	struct kept_list *k, struct bytes document, server_id server, struct fault *why)
{
	struct worker *w = k->owner->worker;
	const struct reply_context context = {.rules = &k->rules};
	struct disclosure disclosure;
	struct element id;
	struct buf opened;
	size_t begun;
	bool fine;
	int64_t cursor = 0;

	if (doc_find_path(document, "cursor.id", &id) && element_int(&id, &cursor) && cursor) {
		kill_rest(k, document, cursor, server);
		return fault_set(why, FAULT_RELATION_TOO_LONG, "its batch is not the last");
	}
	buf_init(&opened, FRAME_MESSAGE_MAX);
	begun = doc_begin(&opened);
	fine = transform_reply(worker_transform(w, k->snapshot->policy), &context, document,
		&opened, &disclosure, why);
	doc_end(&opened, begun);
	if (fine && disclosure.code)
		fine = fault_set(why, disclosure.state_error ? FAULT_UPSTREAM : FAULT_RELATION,
			"the database answers with code %d", (int)disclosure.code);
	fine = fine && policy_relation_values(k->list.of, buf_bytes(&opened), &k->values, why);
	buf_wipe(&opened);
	return fine;
}

static bool read_answer(
	struct kept_list *k, const struct upstream_answer *answer, struct fault *why)
{
	switch (answer->result) {
	case UPSTREAM_ANSWERED:
		return take_values(
			k, bytes_of(answer->document, answer->document_len), answer->server, why);
	case UPSTREAM_LOST:
	case UPSTREAM_GARBAGE:
		return fault_set(why, FAULT_UPSTREAM, "the connection broke");
	case UPSTREAM_NO_SERVER:
		return fault_set(why, FAULT_UPSTREAM, "no server fits");
	case UPSTREAM_NO_ROOM:
		return fault_set(why, FAULT_UPSTREAM, "no connection came free");
	case UPSTREAM_TIMED_OUT:
		return fault_set(why, FAULT_UPSTREAM_TIMEOUT, "no answer in time");
	}
	return false;
}

static void hand_over(struct exchange *x, struct kept_list *k)
{
	size_t n = x->facts.nlists;

	k->references++;
	x->lists[n] = k;
	x->known_lists[n] = &k->list;
	x->facts.lists = x->known_lists;
	x->facts.nlists = n + 1;
}

static void keep(struct kept_list *k, uint64_t for_us)
{
	struct relations *r = k->owner;
	uint64_t now_us = net_loop_now_us(r->worker->loop);

	if (!k->mapped)
		return;
	k->expires_us = now_us + for_us;
	TAILQ_INSERT_TAIL(&r->by_age, k, link);
	r->bytes += size_of(k);
	if (!for_us)
		unmap(k);
	relations_expire(r, now_us);
}

static bool is_unreachable(const struct fault *why)
{
	return why->code == FAULT_UPSTREAM || why->code == FAULT_UPSTREAM_TIMEOUT ||
	       why->code == FAULT_UPSTREAM_GARBAGE;
}

static void finish(struct kept_list *k, bool fine)
{
	struct exchange *x;

	count(k->owner->worker, fine ? METRIC_LISTS : METRIC_LIST_FAILURES, 1);
	TAILQ_REMOVE(&k->owner->coming, k, link);
	k->state = fine ? KEPT_THERE : KEPT_FAILED;
	buf_wipe(&k->message);
	if (fine) {
		k->list.values = buf_bytes(&k->values);
		policy_relation_print(&k->list);
	} else {
		log_warning("session", "the relation %.*s cannot be read: %s",
			BYTES_ARG(k->list.of->name), k->why.detail);
	}
	keep(k, fine ? KEEP_US : is_unreachable(&k->why) ? 0 : KEEP_FAILED_US);
	while ((x = k->waiting)) {
		k->waiting = x->next_waiting;
		x->awaited = NULL;
		if (fine)
			hand_over(x, k);
		exchange_go_on(x, fine ? NULL : &k->why);
	}
}

static void note_times(struct worker *w, struct bytes answer)
{
	struct element cluster = {0}, operation = {0};

	(void)doc_find(answer, "$clusterTime", &cluster);
	(void)doc_find(answer, "operationTime", &operation);
	upstream_note_reply_times(w->server->parts.upstream, &cluster, &operation);
}

static void on_done(void *context, const struct upstream_answer *answer)
{
	struct kept_list *k = context;
	struct worker *w = k->owner->worker;
	bool fine;

	k->call = NULL;
	if (answer->result == UPSTREAM_ANSWERED)
		note_times(w, bytes_of(answer->document, answer->document_len));
	fine = read_answer(k, answer, &k->why);
	if (!fine && k->why.code == FAULT_UPSTREAM && answer->result == UPSTREAM_ANSWERED)
		upstream_server_failed(w->pool, answer->server);
	if (!fine && is_unreachable(&k->why) && k->repeats++ < REPEATS_MAX &&
		answer->result != UPSTREAM_NO_SERVER && answer->result != UPSTREAM_TIMED_OUT) {
		buf_clear(&k->values);
		send_find(k);
		return;
	}
	finish(k, fine);
	unref(k);
}

/* ------------------------------------------------------------------- asking */

static struct bytes key_of(
	struct arena *arena, const struct exchange *x, const struct relation *relation)
{
	struct bytes user = x->facts.user->name;
	uint8_t *key = arena_alloc(arena, user.len + 1);

	key[0] = (uint8_t)(relation - x->snapshot->policy->relations);
	memcpy(key + 1, user.at, user.len);
	return bytes_of(key, user.len + 1);
}

static struct kept_list *add(
	struct relations *r, struct exchange *x, const struct relation *relation, struct bytes key)
{
	struct kept_list *k = memory_new(sizeof(*k));

	k->owner = r;
	k->list.of = relation;
	k->references = 1;
	k->snapshot = snapshot_ref(x->snapshot);
	buf_init(&k->values, FRAME_MESSAGE_MAX);
	buf_init(&k->message, DOC_SLACK_LEN);
	k->key = bytes_of(memory_text(key), key.len);
	k->mapped = true;
	map_set(&r->by_key, k->key, k);
	return k;
}

static enum list_state begin(struct relations *r, struct exchange *x,
	const struct relation *relation, struct bytes key, struct fault *why)
{
	struct kept_list *k = add(r, x, relation, key);

	if (!make_find(k, &x->facts, why)) {
		/* The same as for an attribute that rows themselves lack. */
		if (why->code == FAULT_UNAUTHORIZED)
			fault_name(why, FAULT_UNAUTHORIZED, x->plan.ns);
		map_remove(&r->by_key, k->key);
		unref(k);
		return LIST_REFUSED;
	}
	x->awaited = k;
	x->next_waiting = NULL;
	k->waiting = x;
	k->references++;
	TAILQ_INSERT_TAIL(&r->coming, k, link);
	send_find(k);
	return LIST_COMING;
}

enum list_state relations_want(
	struct exchange *x, const struct relation *relation, struct fault *why)
{
	struct relations *r = x->worker->relations;
	struct bytes key = key_of(&x->arena, x, relation);
	struct kept_list *k;

	if (r->snapshot != x->snapshot) {
		unmap_all(r);
		snapshot_unref(r->snapshot);
		r->snapshot = snapshot_ref(x->snapshot);
	}
	relations_expire(r, net_loop_now_us(x->worker->loop));
	k = map_get(&r->by_key, key);
	if (!k)
		return begin(r, x, relation, key, why);
	switch (k->state) {
	case KEPT_THERE:
		hand_over(x, k);
		return LIST_THERE;
	case KEPT_FAILED:
		*why = k->why;
		return LIST_REFUSED;
	case KEPT_COMING:
		break;
	}
	x->awaited = k;
	x->next_waiting = k->waiting;
	k->waiting = x;
	return LIST_COMING;
}

void relations_forget(struct exchange *x)
{
	struct exchange **at;

	if (!x->awaited)
		return;
	for (at = &x->awaited->waiting; *at != x; at = &(*at)->next_waiting)
		;
	*at = x->next_waiting;
	x->awaited = NULL;
}

void relations_release(struct exchange *x)
{
	for (size_t i = 0; i < x->facts.nlists; i++)
		unref(x->lists[i]);
	x->facts.nlists = 0;
}
