#include "session/inside.h"

#include <stdio.h>
#include <stdlib.h>

#include "util/memory.h"

static void ref_rules(void *plan)
{
	reply_rules_ref(plan);
}

static void unref_rules(void *plan)
{
	reply_rules_unref(plan);
}

/* A command of the proxy's own, whose answer says nothing to anybody. */
struct background {
	struct buf message;
};

static void on_background_done(void *context, const struct upstream_answer *answer)
{
	struct background *b = context;

	(void)answer;
	buf_fini(&b->message);
	free(b);
}

void send_in_background(struct worker *w, struct bytes document, server_id server)
{
	struct background *b = memory_new(sizeof(*b));
	struct upstream_want want = {.server = server, .write = server == SERVER_ANY};
	size_t frame;

	buf_init(&b->message, DOC_SLACK_LEN);
	frame = frame_begin(&b->message, 0, 0, OPCODE_MSG);
	buf_put_u32(&b->message, 0);
	buf_put_u8(&b->message, 0);
	buf_put(&b->message, document);
	frame_end(&b->message, frame);
	if (b->message.failed || !upstream_send(w->pool, b->message.at, b->message.len, &want,
					 on_background_done, b))
		on_background_done(b, NULL);
}

/* May be called on one worker for cursors of any: it only sends a command. */
void kill_upstream_cursor(void *worker, const struct cursor *cursor)
{
	const uint8_t *dot = memchr(cursor->upstream_ns.at, '.', cursor->upstream_ns.len);
	struct bytes ns = cursor->upstream_ns, collection;
	size_t begun, list;
	struct buf out;

	if (!cursor->upstream_id || !dot)
		return;
	collection = bytes_from(ns, (size_t)(dot - ns.at) + 1);
	buf_init(&out, 4096);
	begun = doc_begin(&out);
	doc_put_string(&out, NAME("killCursors"), collection);
	list = doc_put_array(&out, NAME("cursors"));
	doc_put_int64(&out, NAME("0"), cursor->upstream_id);
	doc_end(&out, list);
	doc_put_string(&out, NAME("$db"), bytes_head(ns, (size_t)(dot - ns.at)));
	doc_end(&out, begun);
	send_in_background(worker, buf_bytes(&out), cursor->server);
	buf_fini(&out);
}

static struct bytes namespace_of(struct exchange *x, struct bytes collection)
{
	return arena_dotted(&x->arena, x->command.db, collection);
}

static void put_known(
	struct exchange *x, struct buf *out, const char *name, const int64_t *ids, size_t n)
{
	size_t begun = doc_put_array(out, bytes_str(name));
	char index[DOC_INDEX_MAX];

	(void)x;
	for (size_t i = 0; i < n; i++)
		doc_put_int64(out, doc_index_name(i, index), ids[i]);
	doc_end(out, begun);
}

void kill_cursors(struct exchange *x)
{
	const struct element *list = command_field(&x->command, "cursors");
	int64_t *killed, *unknown;
	size_t nkilled = 0, nunknown = 0, n;
	struct doc_iter it;
	struct element e;
	struct fault why;
	struct reply r;

	if (!list || list->type != TYPE_ARRAY) {
		fault_name(&why, FAULT_WRONG_TYPE, bytes_str("cursors"));
		exchange_refuse(x, &why, 0);
		return;
	}
	n = doc_count(list->value);
	killed = arena_array(&x->arena, n, sizeof(*killed));
	unknown = arena_array(&x->arena, n, sizeof(*unknown));
	it = doc_iter_of(list->value);
	while (doc_next(&it, &e)) {
		struct cursor cursor;
		int64_t id;

		if (!element_int(&e, &id))
			continue;
		if (cursors_kill(x->worker->server->cursors, id, x->facts.user->name, x->plan.ns,
			    &cursor)) {
			kill_upstream_cursor(x->worker, &cursor);
			killed[nkilled++] = id;
		} else {
			unknown[nunknown++] = id;
		}
	}
	r = exchange_begin_reply(x);
	put_known(x, &x->reply, "cursorsKilled", killed, nkilled);
	put_known(x, &x->reply, "cursorsNotFound", unknown, nunknown);
	put_known(x, &x->reply, "cursorsAlive", NULL, 0);
	put_known(x, &x->reply, "cursorsUnknown", NULL, 0);
	upstream_put_times(x->worker->server->parts.upstream, &x->reply, true);
	doc_put_double(&x->reply, NAME("ok"), 1);
	reply_end(&r);
	exchange_send_reply(x);
}

static void put_int64_in_place(struct exchange *x, const struct element *e, int64_t value)
{
	struct edit *edit = plan_add_edit(&x->plan, EDIT_PUT, e->whole.at);
	struct buf built;

	buf_init(&built, 256);
	doc_put_int64(&built, e->name, value);
	edit->put = arena_copy(&x->arena, buf_bytes(&built));
	buf_fini(&built);
}

static void put_collection_in_place(
	struct exchange *x, const struct element *e, struct bytes collection)
{
	struct edit *edit = plan_add_edit(&x->plan, EDIT_PUT, e->whole.at);
	struct buf built;

	buf_init(&built, 4096);
	doc_put_string(&built, e->name, collection);
	edit->put = arena_copy(&x->arena, buf_bytes(&built));
	buf_fini(&built);
}

static bool refuse_id(struct fault *why, int64_t id)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)id);
	return fault_name(why, FAULT_CURSOR_NOT_FOUND, bytes_str(text));
}

/* A cursor that today's rights no longer cover is killed, not continued. */
static bool check_still_allowed(struct exchange *x, int64_t id, struct fault *why)
{
	x->rules = x->cursor.plan;
	/* Names of collections and databases are judged one by one, under today's policy. */
	if (x->rules->form == REPLY_COLLECTIONS || x->rules->form == REPLY_DATABASES)
		return true;
	if (policy_still_allows(x->snapshot->policy, &x->facts, x->rules, x->cursor.ns, &x->needs))
		return true;
	if (x->needs)
		return fault_set(why, FAULT_RELATION, "a list is missing");
	kill_upstream_cursor(x->worker, &x->cursor);
	cursors_forget(x->worker->server->cursors, id);
	x->has_cursor = false;
	return refuse_id(why, id);
}

bool open_get_more(struct exchange *x, struct fault *why)
{
	const struct element *collection = command_field(&x->command, "collection");
	struct bytes upstream_collection, ns;
	int64_t id;

	if (!element_int(&x->command.first, &id) || !collection || collection->type != TYPE_STRING)
		return fault_name(why, FAULT_WRONG_TYPE, bytes_str("getMore"));
	ns = namespace_of(x, element_string(collection));
	x->plan.ns = ns;
	switch (cursors_take(x->worker->server->cursors, id, x->facts.user->name,
		x->has_lsid ? x->lsid : NULL, ns, &x->cursor)) {
	case CURSOR_TAKEN:
		break;
	case CURSOR_ABSENT:
		return refuse_id(why, id);
	case CURSOR_BUSY:
		return fault_set(why, FAULT_CURSOR_IN_USE, "two getMores at once");
	}
	x->has_cursor = true;
	if (!check_still_allowed(x, id, why))
		return false;
	x->plan.reply = *x->rules;
	x->plan.rule = x->rules->rule;
	x->plan.role = x->rules->role;
	x->plan.awaits = x->cursor.awaiting;
	x->want.server = x->cursor.server;
	x->want.awaiting = x->cursor.awaiting;
	put_int64_in_place(x, &x->command.first, x->cursor.upstream_id);
	upstream_collection = bytes_from(x->cursor.upstream_ns, x->command.db.len + 1);
	put_collection_in_place(x, collection, upstream_collection);
	return true;
}

static int64_t enter_cursor(struct exchange *x, int64_t upstream_id, struct bytes upstream_ns)
{
	struct reply_rules *rules;
	struct cursor cursor = {
		.upstream_id = upstream_id,
		.server = x->server,
		.user = x->user,
		.has_session = x->has_lsid,
		.ns = x->plan.ns,
		.upstream_ns = upstream_ns,
		.no_timeout = x->no_cursor_timeout,
		.awaiting = x->plan.awaits,
	};

	memcpy(cursor.session, x->lsid, LSID_LEN);
	memcpy(cursor.request, x->request, sizeof(cursor.request));
	reply_rules_print(&x->plan.reply, x->snapshot->policy, &x->facts, x->plan.ns);
	rules = reply_rules_keep(&x->plan.reply, x->snapshot->policy);
	cursor.plan = rules;
	x->cursor.id = cursors_add(x->worker->server->cursors, &cursor, ref_rules, unref_rules,
		net_loop_now_us(x->worker->loop));
	/* For one that is killed before its first answer leaves. */
	x->cursor.upstream_id = upstream_id;
	x->cursor.server = x->server;
	x->cursor.upstream_ns = arena_copy(&x->arena, upstream_ns);
	x->has_cursor = true;
	reply_rules_unref(rules);
	return x->cursor.id;
}

static void kill_left_open(struct exchange *x, int64_t upstream_id, struct bytes upstream_ns)
{
	const struct cursor cursor = {
		.upstream_id = upstream_id, .server = x->server, .upstream_ns = upstream_ns};

	kill_upstream_cursor(x->worker, &cursor);
}

/* A list of a database's collections has a namespace of no collection. */
static void name_listing(struct exchange *x)
{
	if (x->plan.reply.form == REPLY_COLLECTIONS && !x->has_cursor)
		x->plan.ns = arena_dotted(&x->arena, x->plan.db, NAME("$cmd.listCollections"));
}

/* Where the upstream's cursor is: by what was sent, not by what it says. */
static struct bytes namespace_upstream(struct exchange *x)
{
	return x->plan.upstream_collection.len
		       ? arena_dotted(&x->arena, x->plan.db, x->plan.upstream_collection)
		       : x->plan.ns;
}

/* The client is told the cursor's namespace as it names it. */
int64_t note_cursor(struct exchange *x, const struct element *cursor)
{
	static const struct bytes names[] = {BYTES_LITERAL("id"), BYTES_LITERAL("ns")};
	struct element found[COUNT_OF(names)];
	const struct element *id = &found[0], *ns = &found[1];
	int64_t upstream_id = 0;

	/* An answer of statistics is whole, or none. */
	if (cursor->type != TYPE_DOCUMENT || x->plan.reply.statistics)
		return 0;
	doc_find_each(cursor->value, names, COUNT_OF(names), found);
	if (id->type)
		(void)element_int(id, &upstream_id);
	if (ns->type != TYPE_STRING)
		return 0;
	name_listing(x);
	if (x->plan.glass) {
		/* One batch was asked for; whatever is left open is nobody's. */
		kill_left_open(x, upstream_id, namespace_upstream(x));
		return 0;
	}
	if (x->has_cursor) {
		int64_t own = x->cursor.id;

		if (upstream_id)
			return own;
		cursors_forget(x->worker->server->cursors, own);
		x->has_cursor = false;
		return 0;
	}
	return upstream_id ? enter_cursor(x, upstream_id, namespace_upstream(x)) : 0;
}
