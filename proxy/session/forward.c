#include "session/inside.h"

#include "util/clock.h"
#include "util/log.h"

#define REPEATS_MAX 1u

static void send_upstream(struct exchange *x);

/* Reads, and writes that carry a txnNumber, mean the same when they are sent twice; so does
 * the end of a transaction.  A driver repeats them as well, but at once. */
static bool may_repeat(const struct exchange *x)
{
	enum command_id id = x->plan.row->id;

	if (x->repeats >= REPEATS_MAX || !x->session)
		return false;
	if (id == COMMAND_COMMIT_TRANSACTION || id == COMMAND_ABORT_TRANSACTION)
		return true;
	if (x->in_transaction || id == COMMAND_GET_MORE)
		return false;
	return x->has_txn_number || x->plan.row->how == HOW_READ || id == COMMAND_PING;
}

/* What a driver must read to do the right thing (docs/architecture.md, "Lost upstream"). */
static unsigned labels_of(const struct exchange *x)
{
	enum command_id id = x->plan.row->id;

	if (id == COMMAND_COMMIT_TRANSACTION || id == COMMAND_ABORT_TRANSACTION)
		return LABEL_RETRYABLE_WRITE;
	if (x->in_transaction)
		return LABEL_TRANSIENT_TRANSACTION;
	if (id == COMMAND_GET_MORE)
		return LABEL_RESUMABLE_CHANGE_STREAM;
	return x->has_txn_number ? LABEL_RETRYABLE_WRITE : 0;
}

static void repeat(struct exchange *x)
{
	x->repeats++;
	count(x->worker, METRIC_REPEATED, 1);
	/* A write finds the new primary; a transaction's end stays with its server. */
	send_upstream(x);
}

/* There is no answer: the client hears so, and the record, too. */
static void answer_unreachable(struct exchange *x, enum fault_code code, const char *detail)
{
	struct disclosure nothing = {.docs = -1};
	struct fault why;
	struct reply r;

	fault_set(&why, code, "%s", detail);
	log_warning("session", "a command got no answer: %s", detail);
	count(x->worker, METRIC_UNREACHABLE, 1);
	r = exchange_begin_reply(x);
	reply_put_fault(&r, &why, labels_of(x));
	reply_end(&r);
	if (x->has_cursor) {
		cursors_forget(x->worker->server->cursors, x->cursor.id);
		x->has_cursor = false;
	}
	nothing.code = fault_server_code(code);
	record_result(x, &nothing);
	exchange_answer(x);
}

/* What is looked at in an answer before it is treated. */
enum answer_field {
	ANSWER_OK,
	ANSWER_CODE,
	ANSWER_CONCERN_ERROR,
	ANSWER_CURSOR,
	ANSWER_CLUSTER_TIME,
	ANSWER_OPERATION_TIME,
	ANSWER_FIELDS
};

struct answer {
	struct bytes document;
	struct element fields[ANSWER_FIELDS]; /* of type 0 when not there */
};

static void read_answer(struct answer *a, struct bytes document)
{
	static const struct bytes names[ANSWER_FIELDS] = {
		[ANSWER_OK] = BYTES_LITERAL("ok"),
		[ANSWER_CODE] = BYTES_LITERAL("code"),
		[ANSWER_CONCERN_ERROR] = BYTES_LITERAL("writeConcernError"),
		[ANSWER_CURSOR] = BYTES_LITERAL("cursor"),
		[ANSWER_CLUSTER_TIME] = BYTES_LITERAL("$clusterTime"),
		[ANSWER_OPERATION_TIME] = BYTES_LITERAL("operationTime"),
	};

	a->document = document;
	doc_find_each(document, names, ANSWER_FIELDS, a->fields);
}

/* An answer that is one too many for its user stays here. */
static bool note_question(struct exchange *x, const struct disclosure *d, struct fault *why)
{
	return !d->asked ||
	       questions_note(x->worker->server->questions, x->user, &d->question, &d->answer,
		       x->plan.reply.statistics->limits.per_day, x->facts.now_us) ||
	       fault_set(why, FAULT_STATISTICS_DAY, "a day's questions are used up");
}

static bool treat_reply(
	struct exchange *x, const struct answer *answer, struct disclosure *d, struct fault *why)
{
	bool rows = x->rules && x->rules->form == REPLY_CURSOR;
	struct transform *t =
		worker_transform(x->worker, rows ? x->rules->owned : x->snapshot->policy);
	struct reply_context context = {
		.rules = &x->plan.reply,
		.facts = &x->facts,
		.db = x->plan.db,
		.filter = x->list_filter,
	};
	struct reply r;

	context.cursor_id = note_cursor(x, &answer->fields[ANSWER_CURSOR]);
	context.ns = x->plan.ns;
	r = exchange_begin_reply(x);
	if (!transform_reply(t, &context, answer->document, &x->reply, d, why) ||
		!note_question(x, d, why))
		return false;
	reply_end(&r);
	return true;
}

static void answer_fault(struct exchange *x, const struct fault *why)
{
	struct disclosure nothing = {.docs = -1, .code = fault_server_code(why->code)};
	struct reply r = exchange_begin_reply(x);

	log_error("session", "an answer was held back: %s", why->detail);
	if (x->has_cursor) {
		kill_upstream_cursor(x->worker, &x->cursor);
		cursors_forget(x->worker->server->cursors, x->cursor.id);
		x->has_cursor = false;
	}
	reply_put_fault(&r, why, labels_of(x));
	reply_end(&r);
	record_result(x, &nothing);
	exchange_answer(x);
}

/* What only the answer shows to be too much. */
static bool is_refusal(enum fault_code code)
{
	return code == FAULT_STATISTICS_DAY || code == FAULT_STATISTICS_GROUPS;
}

static void refuse_answer(struct exchange *x, const struct fault *why)
{
	exchange_refuse(x, why, 0);
}

/* NotWritablePrimary and its like: the upstream looks for another primary. */
static bool is_rejection(int32_t code)
{
	return code == 10107 || code == 13435 || code == 10058;
}

/* A reply's code that speaks of the server's own state.  `*done`: the command was carried
 * out all the same, and only the waiting for its write concern failed. */
static bool is_state_error(const struct answer *answer, int32_t *code, bool *done)
{
	const struct element *ok = &answer->fields[ANSWER_OK];
	const struct element *concern = &answer->fields[ANSWER_CONCERN_ERROR];
	struct element e = answer->fields[ANSWER_CODE];
	int64_t n;

	*done = ok->type && element_truth(ok);
	if (*done && (concern->type != TYPE_DOCUMENT || !doc_find(concern->value, "code", &e)))
		return false;
	if (!e.type || !element_int(&e, &n) || n < INT32_MIN || n > INT32_MAX)
		return false;
	*code = (int32_t)n;
	return transform_is_state_code(*code);
}

/* What was refused before anything was done can be sent again, whatever it is. */
static bool may_resend(const struct exchange *x, int32_t code, bool done)
{
	return may_repeat(x) || (!done && is_rejection(code) && x->repeats < REPEATS_MAX &&
					x->session && !x->in_transaction);
}

/* An answer with more documents than are left does not leave; one that tells of a write that
 * was done does. */
static bool fits_limits(struct exchange *x, const struct disclosure *d, struct fault *why)
{
	enum reply_form form = x->plan.reply.form;

	if (x->plan.glass && d->docs > (int64_t)x->plan.glass->subjects)
		return fault_set(why, FAULT_GLASS_SUBJECTS, "more patients fit than may be shown");
	if (!x->limited || d->docs <= 0 ||
		(form != REPLY_CURSOR && form != REPLY_VALUES && form != REPLY_COLLECTED &&
			form != REPLY_VALUE))
		return true;
	if (usage_documents(x->worker->server->usage, &x->limited->limits, x->user,
		    x->limited->name, x->facts.now_us, (uint64_t)d->docs, form == REPLY_VALUE))
		return true;
	count(x->worker, METRIC_LIMITED, 1);
	return fault_set(why, FAULT_LIMIT_DOCUMENTS, "the answer passes the role's limit");
}

static void on_answer(struct exchange *x, struct bytes document)
{
	struct answer answer;
	struct disclosure d;
	struct fault why;
	int32_t code = 0;
	bool done = false;

	x->answered_upstream = true;
	read_answer(&answer, document);
	upstream_note_reply_times(x->worker->server->parts.upstream,
		&answer.fields[ANSWER_CLUSTER_TIME], &answer.fields[ANSWER_OPERATION_TIME]);
	if (is_state_error(&answer, &code, &done)) {
		upstream_server_failed(x->worker->pool, x->server);
		if (may_resend(x, code, done)) {
			repeat(x);
			return;
		}
	}
	note_transaction(x);
	if (!treat_reply(x, &answer, &d, &why)) {
		(is_refusal(why.code) ? refuse_answer : answer_fault)(x, &why);
		return;
	}
	if (!fits_limits(x, &d, &why)) {
		answer_fault(x, &why);
		return;
	}
	if (d.code)
		count(x->worker, METRIC_FAILED, 1);
	if (d.docs > 0 && x->plan.row->how == HOW_READ)
		count(x->worker, METRIC_DOCUMENTS, (uint64_t)d.docs);
	record_result(x, &d);
	exchange_answer(x);
}

static void on_done(void *context, const struct upstream_answer *answer)
{
	struct exchange *x = context;

	x->call = NULL;
	x->server = answer->server;
	switch (answer->result) {
	case UPSTREAM_ANSWERED:
		on_answer(x, bytes_of(answer->document, answer->document_len));
		return;
	case UPSTREAM_LOST:
	case UPSTREAM_GARBAGE:
		if (may_repeat(x))
			repeat(x);
		else
			answer_unreachable(x, FAULT_UPSTREAM, "the connection broke");
		return;
	case UPSTREAM_NO_SERVER:
		answer_unreachable(x, FAULT_UPSTREAM, "no server fits");
		return;
	case UPSTREAM_NO_ROOM:
		answer_unreachable(x, FAULT_UPSTREAM, "no connection came free");
		return;
	case UPSTREAM_TIMED_OUT:
		answer_unreachable(x, FAULT_UPSTREAM_TIMEOUT, "no answer in time");
		return;
	}
}

static void send_upstream(struct exchange *x)
{
	x->want.deadline_us = net_loop_now_us(x->worker->loop) + x->patience_us;
	x->call = upstream_send(x->worker->pool, x->sent.at, x->sent.len, &x->want, on_done, x);
}

/* An intent is durable before a byte of its write leaves. */
static void on_intent(void *context, bool durable)
{
	struct exchange *x = context;
	struct fault why;
	struct reply r;

	if (durable) {
		send_upstream(x);
		return;
	}
	fault_set(&why, FAULT_AUDIT_STOPPED, "an intent was not written");
	r = exchange_begin_reply(x);
	reply_put_fault(&r, &why, 0);
	reply_end(&r);
	exchange_send_reply(x);
}

/* How long an answer may take: the configured time, or longer if the client says so. */
static uint64_t patience_of(const struct exchange *x)
{
	const struct element *max = command_field(&x->command, "maxTimeMS");
	uint64_t patience = x->worker->server->config.operation_us;
	int64_t ms;

	if (max && element_int(max, &ms) && ms > 0 && (uint64_t)ms < UINT32_MAX)
		return x->plan.awaits ? patience + (uint64_t)ms * 1000 : patience;
	return patience;
}

static void keep_for_later(struct exchange *x)
{
	const struct element *filter = command_field(&x->command, "filter");
	const struct element *lasting = command_field(&x->command, "noCursorTimeout");

	x->no_cursor_timeout = lasting && element_truth(lasting);
	x->user = x->facts.user->name;
	x->patience_us = patience_of(x);
	if (x->plan.reply.form == REPLY_COLLECTIONS && filter && filter->type == TYPE_DOCUMENT)
		x->list_filter = arena_copy(&x->arena, filter->value);
}

void forward(struct exchange *x)
{
	struct transform *t = worker_transform(x->worker, x->snapshot->policy);
	struct written written;
	struct fault why;

	x->nsearched = transform_searched(t, &x->plan, &x->arena, &x->searched);
	buf_clear(&x->sent);
	if (!transform_request(t, &x->plan, &x->command, (uint32_t)(x->facts.now_us / 1000000),
		    &x->sent, &written, &why)) {
		exchange_refuse(x, &why, 0);
		return;
	}
	x->nwritten = written.nsubjects;
	x->written = arena_array(&x->arena, written.nsubjects, sizeof(*x->written));
	if (written.nsubjects)
		memcpy(x->written, written.subjects, written.nsubjects * sizeof(*x->written));
	keep_for_later(x);
	if (x->plan.writes)
		submit_record(x, AUDIT_INTENT, on_intent);
	else
		send_upstream(x);
}
