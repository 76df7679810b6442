#include "session/inside.h"

/* Logical sessions and transactions.  Ids are permuted per user on their way up, so that
 * nobody can enter another user's session, all proxies being one user to the upstream. */

#define STALENESS_LEAST_S 90

static bool bad_lsid(struct fault *why)
{
	return fault_name(why, FAULT_BAD_VALUE, bytes_str("lsid"));
}

/* {id: Binary subtype 4 of 16 bytes} and nothing else. */
static bool read_lsid(struct bytes doc, uint8_t id[LSID_LEN])
{
	struct doc_iter it = doc_iter_of(doc);
	struct bytes content;
	struct element e;
	uint8_t subtype;

	if (!doc_next(&it, &e) || !element_named(&e, "id") || e.type != TYPE_BINARY)
		return false;
	content = element_binary(&e, &subtype);
	if (subtype != 4 || content.len != LSID_LEN)
		return false;
	memcpy(id, content.at, LSID_LEN);
	return !doc_next(&it, &e) && !it.failed;
}

static bool is_true(const struct command *c, const char *name)
{
	const struct element *e = command_field(c, name);

	return e && element_truth(e);
}

bool read_logical_session(struct exchange *x, struct fault *why)
{
	const struct command *c = &x->command;
	const struct element *lsid = command_field(c, "lsid");
	const struct element *number = command_field(c, "txnNumber");
	const struct element *autocommit = command_field(c, "autocommit");

	if (lsid) {
		if (lsid->type != TYPE_DOCUMENT || !read_lsid(lsid->value, x->lsid))
			return bad_lsid(why);
		x->has_lsid = true;
	}
	if (number) {
		if (!x->has_lsid || !element_int(number, &x->txn_number))
			return fault_name(why, FAULT_BAD_VALUE, bytes_str("txnNumber"));
		x->has_txn_number = true;
	}
	if (autocommit && (element_truth(autocommit) || !x->has_txn_number))
		return fault_name(why, FAULT_BAD_VALUE, bytes_str("autocommit"));
	x->in_transaction = autocommit != NULL;
	x->starts_transaction = is_true(c, "startTransaction");
	if (x->starts_transaction && !x->in_transaction)
		return fault_name(why, FAULT_BAD_VALUE, bytes_str("startTransaction"));
	edit_logical_session(x);
	return true;
}

static void put_lsid(struct session *s, struct buf *out, const uint8_t id[LSID_LEN])
{
	uint8_t own[LSID_LEN];
	size_t begun = doc_put_document(out, NAME("lsid"));

	memcpy(own, id, LSID_LEN);
	session_cipher_apply(s->lsids, false, own);
	doc_put_binary(out, NAME("id"), 4, bytes_of(own, LSID_LEN));
	doc_end(out, begun);
}

/* The id that is ours, the proxy's own times, and our request in place of the comment. */
void edit_logical_session(struct exchange *x)
{
	const struct command *c = &x->command;
	const struct element *lsid = command_field(c, "lsid"),
			     *time = command_field(c, "$clusterTime");
	const struct element *comment = command_field(c, "comment");
	const struct element *recovery = command_field(c, "recoveryToken");
	struct buf *built = &x->worker->text;
	struct edit *edit;
	size_t begun;

	buf_clear(built);
	if (lsid) {
		put_lsid(x->session, built, x->lsid);
		edit = plan_add_edit(&x->plan, EDIT_PUT, lsid->whole.at);
		edit->put = arena_copy(&x->arena, buf_bytes(built));
	}
	if (comment) {
		buf_clear(built);
		begun = doc_put_document(built, NAME("comment"));
		doc_put_string(built, NAME("mongoward"), bytes_str(x->request));
		doc_end(built, begun);
		edit = plan_add_edit(&x->plan, EDIT_PUT, comment->whole.at);
		edit->put = arena_copy(&x->arena, buf_bytes(built));
	}
	if (time)
		plan_add_edit(&x->plan, EDIT_DROP, time->whole.at);
	if (recovery)
		plan_add_edit(&x->plan, EDIT_DROP, recovery->whole.at);
	buf_clear(built);
	upstream_put_times(x->worker->server->parts.upstream, built, false);
	if (built->len) {
		edit = plan_add_edit(&x->plan, EDIT_APPEND, c->body.at);
		edit->put = arena_copy(&x->arena, buf_bytes(built));
	}
}

/* A read preference as the server selection specification has it. */
bool check_concerns(struct exchange *x, struct fault *why)
{
	const struct element *preference = command_field(&x->command, "$readPreference");
	struct element mode, staleness;
	int64_t seconds;

	x->want.write = x->plan.writes;
	if (!preference)
		return true;
	if (preference->type != TYPE_DOCUMENT || !doc_find(preference->value, "mode", &mode) ||
		mode.type != TYPE_STRING)
		return fault_name(why, FAULT_BAD_VALUE, preference->name);
	if (x->in_transaction && !bytes_equal_str(element_string(&mode), "primary"))
		return fault_name(why, FAULT_IN_TRANSACTION, preference->name);
	if (doc_find(preference->value, "maxStalenessSeconds", &staleness) &&
		element_int(&staleness, &seconds) && seconds >= 0 && seconds < STALENESS_LEAST_S)
		return fault_name(why, FAULT_STALENESS, staleness.name);
	x->preference = arena_copy(&x->arena, preference->value);
	x->want.preference = x->preference;
	return true;
}

static bool ends_transaction(const struct exchange *x)
{
	return x->plan.row->id == COMMAND_COMMIT_TRANSACTION ||
	       x->plan.row->id == COMMAND_ABORT_TRANSACTION;
}

bool place_transaction(struct exchange *x, struct fault *why, unsigned *labels)
{
	struct transactions *t = x->worker->server->transactions;
	struct bytes user = x->facts.user->name;
	uint64_t now_us = net_loop_now_us(x->worker->loop);

	if (!x->in_transaction)
		return !ends_transaction(x) ||
		       fault_name(why, FAULT_NO_TRANSACTION, x->command.name);
	if (x->starts_transaction)
		return transactions_start(t, user, x->lsid, x->txn_number, now_us) ||
		       fault_name(why, FAULT_OLD_TRANSACTION, x->command.name);
	if (transactions_find(t, user, x->lsid, x->txn_number, now_us, &x->want.server) !=
		TRANSACTION_NONE)
		return true;
	/* After a restart, or through another proxy: whether it was committed is known upstream
	 * only, and what is said of it decides whether a driver runs it again. */
	if (ends_transaction(x))
		return true;
	*labels = LABEL_TRANSIENT_TRANSACTION;
	return fault_name(why, FAULT_NO_TRANSACTION, x->command.name);
}

void note_transaction(struct exchange *x)
{
	struct transactions *t = x->worker->server->transactions;

	if (!x->in_transaction || !x->answered_upstream)
		return;
	if (x->starts_transaction)
		transactions_placed(t, x->user, x->lsid, x->txn_number, x->server);
	if (ends_transaction(x))
		transactions_ended(
			t, x->user, x->lsid, x->txn_number, net_loop_now_us(x->worker->loop));
}

/* endSessions, refreshSessions, killSessions: [{id: …}, …], each id permuted.  An empty list
 * would mean all sessions of the one upstream user. */
static bool put_sessions(struct exchange *x, struct buf *out, struct fault *why)
{
	struct server *server = x->worker->server;
	const struct element *list = &x->command.first;
	struct doc_iter it;
	struct element e;
	size_t begun, n = 0;

	if (list->type != TYPE_ARRAY)
		return fault_name(why, FAULT_WRONG_TYPE, list->name);
	begun = doc_put_array(out, x->command.name);
	it = doc_iter_of(list->value);
	while (doc_next(&it, &e)) {
		uint8_t id[LSID_LEN];
		size_t entry;

		if (e.type != TYPE_DOCUMENT || !read_lsid(e.value, id))
			return bad_lsid(why);
		if (x->plan.row->id != COMMAND_REFRESH_SESSIONS)
			cursors_end_session(server->cursors, x->facts.user->name, id,
				kill_upstream_cursor, x->worker);
		session_cipher_apply(x->session->lsids, false, id);
		entry = doc_put_document(out, e.name);
		doc_put_binary(out, NAME("id"), 4, bytes_of(id, LSID_LEN));
		doc_end(out, entry);
		n++;
	}
	doc_end(out, begun);
	if (!n && x->plan.row->id != COMMAND_END_SESSIONS)
		return fault_name(why, FAULT_ALL_SESSIONS, x->command.name);
	return true;
}

void end_sessions(struct exchange *x)
{
	struct fault why;
	struct reply r;
	struct buf out;
	size_t begun;

	buf_init(&out, DOC_SLACK_LEN);
	begun = doc_begin(&out);
	if (!put_sessions(x, &out, &why)) {
		buf_fini(&out);
		exchange_refuse(x, &why, 0);
		return;
	}
	doc_put_string(&out, NAME("$db"), NAME("admin"));
	doc_end(&out, begun);
	/* Nobody waits for it: drivers send it when they leave. */
	if (!doc_is_empty(x->command.first.value))
		send_in_background(x->worker, buf_bytes(&out), SERVER_ANY);
	buf_fini(&out);
	r = exchange_begin_reply(x);
	upstream_put_times(x->worker->server->parts.upstream, &x->reply, true);
	doc_put_double(&x->reply, NAME("ok"), 1);
	reply_end(&r);
	exchange_send_reply(x);
}
