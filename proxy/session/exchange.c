#include "session/inside.h"

#include <stdlib.h>

#include "util/clock.h"
#include "util/log.h"
#include "util/memory.h"

#define KEEP_BUFFER (64u * 1024)

struct exchange *exchange_new(struct session *s)
{
	struct worker *w = s->worker;
	struct exchange *x = w->spare;
	struct arena arena;
	struct buf sent, reply;

	if (!x) {
		x = memory_new(sizeof(*x));
		arena_init(&x->arena);
		buf_init(&x->sent, FRAME_MESSAGE_MAX + DOC_SLACK_LEN);
		buf_init(&x->reply, FRAME_MESSAGE_MAX + DOC_SLACK_LEN);
	} else {
		w->spare = x->next_spare;
	}
	arena = x->arena;
	sent = x->sent;
	reply = x->reply;
	memset(x, 0, offsetof(struct exchange, command));
	x->session = s;
	x->worker = w;
	x->arena = arena;
	x->sent = sent;
	x->reply = reply;
	x->began_us = net_loop_now_us(w->loop);
	w->in_flight++;
	set_gauge(w, METRIC_IN_FLIGHT, w->in_flight);
	return x;
}

static void give_cursor_back(struct exchange *x)
{
	struct worker *w = x->worker;

	if (x->rules)
		reply_rules_unref(x->rules);
	x->rules = NULL;
	if (x->has_cursor)
		cursors_give_back(w->server->cursors, x->cursor.id, net_loop_now_us(w->loop));
	x->has_cursor = false;
}

void exchange_free(struct exchange *x)
{
	struct worker *w = x->worker;
	struct session *s = x->session;

	give_cursor_back(x);
	relations_release(x);
	if (x->delay)
		net_timer_free(x->delay);
	snapshot_unref(x->snapshot);
	budget_give_back(w->server->budget, x->granted);
	note_latency(w, net_loop_now_us(w->loop) - x->began_us);
	arena_reset(&x->arena);
	buf_shrink(&x->sent, KEEP_BUFFER);
	buf_shrink(&x->reply, KEEP_BUFFER);
	x->next_spare = w->spare;
	w->spare = x;
	w->in_flight--;
	set_gauge(w, METRIC_IN_FLIGHT, w->in_flight);
	if (s) {
		s->exchange = NULL;
		if (x->closes)
			session_close(s, "the answer ends the connection");
		else
			session_go_on(s);
	}
	worker_stop_if_empty(w);
}

void exchange_orphan(struct exchange *x)
{
	bool waits = x->awaited || x->delay;

	keep_record(x);
	x->session = NULL;
	relations_forget(x);
	if (waits) {
		exchange_free(x);
		return;
	}
	/* Reads that were not answered need not be; writes go on for their outcome, and what
	 * broke the glass for its record. */
	if (!x->call || x->plan.writes || x->broke_glass)
		return;
	upstream_call_drop(x->call);
	x->call = NULL;
	if (x->has_cursor) {
		kill_upstream_cursor(x->worker, &x->cursor);
		cursors_forget(x->worker->server->cursors, x->cursor.id);
		x->has_cursor = false;
	}
	exchange_free(x);
}

struct reply exchange_begin_reply(struct exchange *x)
{
	buf_clear(&x->reply);
	return reply_begin(&x->reply, &x->command);
}

void exchange_send_reply(struct exchange *x)
{
	struct session *s = x->session;

	if (s && !x->unacknowledged) {
		count(x->worker, METRIC_BYTES_OUT, x->reply.len);
		net_conn_write(s->conn, buf_bytes(&x->reply), false);
	}
	exchange_free(x);
}

/* The record is durable, or it is not and nothing but that may be said. */
static void on_recorded(void *context, bool durable)
{
	struct exchange *x = context;
	struct fault why;

	if (!durable) {
		struct reply r = exchange_begin_reply(x);

		fault_set(&why, FAULT_AUDIT_STOPPED, "a record was not written");
		reply_put_fault(&r, &why, 0);
		reply_end(&r);
	}
	exchange_send_reply(x);
}

void exchange_refuse(struct exchange *x, const struct fault *why, unsigned labels)
{
	struct reply r;

	log_debug(
		"session", "refused: %s %s %s", fault_code_name(why->code), why->what, why->detail);
	count(x->worker, METRIC_REFUSED, 1);
	r = exchange_begin_reply(x);
	reply_put_fault(&r, why, labels);
	reply_end(&r);
	x->refused = true;
	x->closes |= !fault_keeps_session(why->code);
	x->code = fault_server_code(why->code);
	prepare_record(x);
	x->record.decision = AUDIT_REFUSE;
	x->record.has_code = true;
	x->record.code = x->code;
	submit_record(x, AUDIT_REFUSAL, on_recorded);
}

/* After an intent has been recorded, its outcome is, whatever the answer. */
void exchange_answer(struct exchange *x)
{
	bool recorded =
		x->plan.row && (x->plan.row->how == HOW_READ || x->plan.row->how == HOW_WRITE);

	if (!recorded) {
		exchange_send_reply(x);
		return;
	}
	submit_record(x, x->plan.writes ? AUDIT_OUTCOME : AUDIT_ACCESS, on_recorded);
}

static bool read_facts(struct exchange *x, struct fault *why)
{
	struct session *s = x->session;

	x->snapshot = snapshot_ref(x->worker->snapshot);
	x->facts.vault = bytes_str(x->worker->server->config.vault);
	x->facts.now_us = clock_realtime_us();
	memcpy(x->facts.address, s->address, sizeof(s->address));
	if (!s->logged_in)
		return true;
	x->facts.method = s->identity.method;
	x->facts.user = session_user(s, x->snapshot);
	if (x->facts.user)
		return true;
	x->closes = true;
	return fault_name(why, FAULT_LOGIN_REQUIRED, x->command.name);
}

static void draw_request_id(struct exchange *x)
{
	uint8_t id[AUDIT_REQUEST_LEN / 2];

	worker_random(x->worker, id, sizeof(id));
	bytes_hex(bytes_of(id, sizeof(id)), x->request);
}

/* Without them a driver does not send its command again, at another proxy or at this one
 * once it is back. */
static unsigned labels_of_shutdown(const struct command *c, const struct command_row *row)
{
	bool ends = row &&
		    (row->id == COMMAND_COMMIT_TRANSACTION || row->id == COMMAND_ABORT_TRANSACTION);

	if (command_field(c, "autocommit") && !ends)
		return LABEL_TRANSIENT_TRANSACTION;
	return command_field(c, "txnNumber") ? LABEL_RETRYABLE_WRITE : 0;
}

static bool is_handshake(const struct command_row *row)
{
	return row && (row->id == COMMAND_HELLO || row->id == COMMAND_IS_MASTER);
}

/* Why a command may not even be looked at. */
static bool may_run(
	struct exchange *x, const struct command_row *row, struct fault *why, unsigned *labels)
{
	struct session *s = x->session;

	if (x->command.opcode == OPCODE_QUERY && !is_handshake(row)) {
		x->closes = true;
		return fault_set(why, FAULT_OP_QUERY, "OP_QUERY for something else");
	}
	if (atomic_load(&x->worker->server->draining)) {
		x->closes = true;
		*labels = labels_of_shutdown(&x->command, row);
		return fault_set(why, FAULT_SHUTDOWN, "draining");
	}
	if (!s->logged_in && (!row || row->how != HOW_LOCAL))
		return fault_name(why, FAULT_LOGIN_REQUIRED, x->command.name);
	return true;
}

static bool is_answered_here(const struct command_row *row)
{
	return row && (row->how == HOW_LOCAL || row->how == HOW_OWN);
}

/* With the disk full, what the log still holds is for those who must not be without. */
static bool check_care(struct exchange *x, struct fault *why)
{
	if (!audit_is_stopped(x->worker->server->parts.audit) ||
		policy_cares(x->snapshot->policy, &x->facts, x->plan.role))
		return true;
	return fault_set(why, FAULT_AUDIT_STOPPED, "access is stopped but for roles with care");
}

static bool check_limits(struct exchange *x, struct fault *why)
{
	const struct policy *p = x->snapshot->policy;
	const struct role *role =
		p->any_limits && x->plan.role.len ? policy_role(p, x->plan.role) : NULL;

	if (!role || !(role->limits.documents_per_day || role->limits.commands_per_minute))
		return true;
	x->limited = role;
	if (usage_begin(x->worker->server->usage, &role->limits, x->facts.user->name, role->name,
		    x->facts.now_us, why))
		return true;
	count(x->worker, METRIC_LIMITED, 1);
	return false;
}

/* Counted before anything is asked for, and said aloud: somebody should look at once. */
static bool break_glass(struct exchange *x, struct fault *why)
{
	struct worker *w = x->worker;
	struct bytes user = x->facts.user->name, id = bytes_of(x->request, AUDIT_REQUEST_LEN);

	if (!x->plan.glass)
		return true;
	if (!glass_begin(w->server->parts.glass, x->plan.glass, user, id, x->facts.now_us, why))
		return false;
	x->broke_glass = true;
	count(w, METRIC_GLASS, 1);
	log_warning("session", "break-glass: user %.*s, role %.*s, purpose %.*s, %.*s, request %s",
		BYTES_ARG(user), BYTES_ARG(x->plan.role), BYTES_ARG(x->plan.purpose),
		BYTES_ARG(x->plan.ns), x->request);
	return true;
}

/* A question for statistics costs the database much: one too many is not asked. */
static bool may_ask(struct exchange *x, struct fault *why)
{
	const struct statistics *asked = x->plan.reply.statistics;
	struct server *server = x->worker->server;
	struct token question;

	if (!asked)
		return true;
	statistics_question(server->parts.master, asked, &question);
	return questions_may_ask(server->questions, x->facts.user->name, &question,
		       asked->limits.per_day, x->facts.now_us) ||
	       fault_set(why, FAULT_STATISTICS_DAY, "a day's questions are used up");
}

static bool decide(struct exchange *x, struct fault *why, unsigned *labels)
{
	if (audit_is_stopped_for_all(x->worker->server->parts.audit))
		return fault_set(why, FAULT_AUDIT_STOPPED, "access is stopped");
	if (!transform_check_literals(x->snapshot->keyring, &x->command, why))
		return false;
	x->needs = NULL;
	if (!policy_decide(x->snapshot->policy, &x->facts, &x->command, &x->arena, &x->plan, why)) {
		x->needs = x->plan.needs;
		return false;
	}
	if (!may_ask(x, why) || !read_logical_session(x, why) || !check_concerns(x, why))
		return false;
	if (x->plan.row->id == COMMAND_GET_MORE && !open_get_more(x, why))
		return false;
	return check_care(x, why) && check_limits(x, why) && break_glass(x, why) &&
	       place_transaction(x, why, labels);
}

static void carry_out(struct exchange *x)
{
	enum command_id id = x->plan.row->id;

	if (id == COMMAND_KILL_CURSORS)
		kill_cursors(x);
	else if (id == COMMAND_END_SESSIONS || id == COMMAND_REFRESH_SESSIONS ||
		 id == COMMAND_KILL_SESSIONS)
		end_sessions(x);
	else
		forward(x);
}

/* Of its own from now on: the message is gone once this call returns. */
static void keep_message(struct exchange *x)
{
	struct fault unwanted;

	x->message = arena_copy(&x->arena, x->message);
	if (!command_parse(&x->command, x->message, &unwanted))
		abort(); /* the same bytes were parsed before */
}

/* Recorded beside what is done; it changes nothing of that. */
static void observe(struct exchange *x, bool allowed)
{
	const struct policy *p = x->snapshot->policy;

	if (!p->any_observed || !x->plan.row)
		return;
	policy_observe(p, &x->facts, &x->command, &x->arena, &x->plan, allowed, &x->would);
	if (x->would.there && allowed && !x->would.allowed)
		count(x->worker, METRIC_WOULD_REFUSE, 1);
}

static void decide_and_carry_out(struct exchange *x)
{
	struct fault why = {.code = FAULT_NONE};
	unsigned labels = 0;

	while (!decide(x, &why, &labels)) {
		enum list_state state = LIST_REFUSED;

		if (x->needs) {
			give_cursor_back(x);
			state = relations_want(x, x->needs, &why);
		}
		if (state == LIST_REFUSED) {
			observe(x, false);
			exchange_refuse(x, &why, labels);
			return;
		}
		if (state == LIST_COMING) {
			keep_message(x);
			return;
		}
	}
	observe(x, true);
	prepare_record(x);
	carry_out(x);
}

static void run_command(struct exchange *x)
{
	const struct command_row *row = command_look_up(x->command.name);
	struct fault why = {.code = FAULT_NONE};
	unsigned labels = 0;

	x->unacknowledged = command_is_unacknowledged(&x->command);
	draw_request_id(x);
	x->plan.row = row;
	if (!may_run(x, row, &why, &labels) || !read_facts(x, &why)) {
		exchange_refuse(x, &why, labels);
		return;
	}
	if (is_answered_here(row)) {
		answer_locally(x);
		return;
	}
	decide_and_carry_out(x);
}

void exchange_go_on(struct exchange *x, const struct fault *why)
{
	if (why)
		exchange_refuse(x, why, 0);
	else
		decide_and_carry_out(x);
}

void exchange_run(struct exchange *x, struct bytes message)
{
	struct fault why = {.code = FAULT_NONE};

	x->message = message;
	count(x->worker, METRIC_COMMANDS, 1);
	(void)worker_snapshot(x->worker);
	if (command_parse(&x->command, message, &why)) {
		run_command(x);
		return;
	}
	count(x->worker, METRIC_MALFORMED, 1);
	log_info("session", "connection %llu of %s: %s", (unsigned long long)x->session->id,
		x->session->client, why.detail);
	draw_request_id(x);
	if (!x->session->logged_in || !read_facts(x, &why)) {
		/* Nobody in particular: answered, counted, and in the log. */
		struct reply r = exchange_begin_reply(x);

		reply_put_fault(&r, &why, 0);
		reply_end(&r);
		x->closes |= !fault_keeps_session(why.code);
		exchange_send_reply(x);
		return;
	}
	exchange_refuse(x, &why, 0);
}
