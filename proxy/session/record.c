#include "session/inside.h"

#include "util/clock.h"
#include "util/json.h"

static void put_who(struct session *s, struct audit_record *r)
{
	r->conn = s->id;
	r->client = bytes_str(s->client);
	r->tls = bytes_str(net_conn_tls_text(s->conn));
	r->app = bytes_str(s->app);
	r->driver = bytes_str(s->driver);
}

/* The same for all records of a connection, until a reload or another login. */
static struct bytes who_text(const struct exchange *x)
{
	struct buf *text = &x->session->today.text;

	if (!text->len)
		audit_put_who(text, &x->record);
	return text->failed ? bytes_of("", 0) : buf_bytes(text);
}

void keep_record(struct exchange *x)
{
	struct bytes *const texts[] = {&x->record.client, &x->record.tls, &x->record.app,
		&x->record.driver, &x->record.who};

	for (size_t i = 0; i < COUNT_OF(texts); i++)
		*texts[i] = arena_copy(&x->arena, *texts[i]);
}

/* {"decision":"allow","rule":"roles.nurse.grants[1]","less":["identity"],"rows":true}; `less`
 * are classes that did leave. */
static struct bytes would_text(struct exchange *x, const struct policy *p, class_set left)
{
	const struct observation *o = &x->would;
	struct buf *out = &x->worker->text;
	class_set less = o->less & left;
	size_t n = 0;

	buf_clear(out);
	buf_put_format(out, "{\"decision\":\"%s\"", o->allowed ? "allow" : "refuse");
	if (!o->allowed)
		buf_put_format(out, ",\"code\":%d", fault_server_code(o->code));
	if (o->rule.len) {
		buf_put(out, NAME(",\"rule\":"));
		json_put_string(out, o->rule);
	}
	for (size_t i = 0; i < p->nclasses; i++) {
		if (!(less & (class_set)1 << i))
			continue;
		buf_put_str(out, n++ ? "," : ",\"less\":[");
		json_put_string(out, p->classes[i]);
	}
	buf_put_str(out, n ? "]" : "");
	buf_put_str(out, o->other_rows ? ",\"rows\":true" : "");
	buf_put_str(out, o->as_statistics ? ",\"statistics\":true}" : "}");
	return arena_copy(&x->arena, buf_bytes(out));
}

static void record_would(struct exchange *x, const struct policy *p, const struct disclosure *d)
{
	class_set left = d->plaintext | d->masked | d->ciphertext;

	if (!x->would.there)
		return;
	x->record.would = would_text(x, p, left);
	if (x->would.allowed &&
		(x->would.less & left || x->would.other_rows || x->would.as_statistics))
		count(x->worker, METRIC_WOULD_CHANGE, 1);
}

/* All that the record will say of who and what, in memory that outlives the message; what the
 * session lends is copied when that ends before. */
void prepare_record(struct exchange *x)
{
	struct audit_record *r = &x->record;
	struct arena *a = &x->arena;

	if (x->prepared || !x->session)
		return;
	x->prepared = true;
	put_who(x->session, r);
	if (x->facts.user) {
		r->user = x->facts.user->name;
		r->roles = x->facts.user->roles;
		r->nroles = x->facts.user->nroles;
		r->who = who_text(x);
	}
	r->request = bytes_of(x->request, AUDIT_REQUEST_LEN);
	r->cursor_of =
		x->has_cursor ? arena_copy(a, bytes_str(x->cursor.request)) : bytes_of("", 0);
	r->purpose = arena_copy(a, x->plan.purpose);
	r->ns = x->plan.ns;
	r->command = bytes_str(x->plan.row ? x->plan.row->name : "?");
	r->decision = AUDIT_ALLOW;
	r->rule = x->plan.rule;
	r->reason_len = x->plan.reason_len;
	r->break_glass = x->broke_glass;
	if (x->snapshot) {
		r->policy = bytes_str(x->snapshot->policy->hash);
		if (x->would.there)
			r->would = would_text(x, x->snapshot->policy, 0);
		record_shape(r, &x->worker->text, a, x->snapshot->policy, &x->plan, &x->command);
	}
}

static void put_classes(struct buf *out, const struct policy *p, class_set set, struct bytes how)
{
	for (size_t i = 0; set && i < p->nclasses; i++, set >>= 1) {
		if (!(set & 1))
			continue;
		if (out->len > 1)
			buf_put_u8(out, ',');
		buf_put(out, p->class_texts[i]);
		buf_put(out, how);
	}
}

/* {"identity":"plaintext","billing":"mask"}; the widest of what one reply let out. */
static struct bytes disclosed_text(
	struct exchange *x, const struct policy *p, const struct disclosure *d)
{
	struct buf *out = &x->worker->text;

	if (!(d->plaintext | d->masked | d->ciphertext))
		return bytes_of("", 0);
	buf_clear(out);
	buf_put_u8(out, '{');
	put_classes(out, p, d->plaintext, NAME("\"plaintext\""));
	put_classes(out, p, d->masked & ~d->plaintext, NAME("\"mask\""));
	put_classes(out, p, d->ciphertext & ~d->plaintext & ~d->masked, NAME("\"ciphertext\""));
	buf_put_u8(out, '}');
	return arena_copy(&x->arena, buf_bytes(out));
}

/* What became of it: who was told of whom, how much, how long, with which code. */
void record_result(struct exchange *x, const struct disclosure *d)
{
	struct audit_record *r = &x->record;
	const struct policy *p = x->rules ? x->rules->policy : x->snapshot->policy;

	x->code = d->code;
	r->way = bytes_str(x->plan.reply.behind_barrier ? "barrier" : "native");
	r->disclosed = disclosed_text(x, p, d);
	record_would(x, p, d);
	/* An insert's subjects are those that it wrote; a reply's those that it showed. */
	r->subjects = d->nsubjects ? d->subjects : x->written;
	r->nsubjects = d->nsubjects ? d->nsubjects : x->nwritten;
	r->searched = x->searched;
	r->nsearched = x->nsearched;
	r->has_result = true;
	r->docs = d->docs;
	r->bytes = x->reply.len;
	r->ms = (double)(net_loop_now_us(x->worker->loop) - x->began_us) / 1000;
	r->has_code = true;
	r->code = d->code;
	r->unacknowledged = x->unacknowledged;
}

void submit_record(struct exchange *x, enum audit_event event, audit_done_fn *done)
{
	x->record.event = event;
	x->record.care = audit_is_stopped(x->worker->server->parts.audit) && x->snapshot &&
			 policy_cares(x->snapshot->policy, &x->facts, x->plan.role);
	audit_submit(x->worker->ring, &x->record, done, x);
}

/* Who has logged in may be somebody for whom the log's reserve is. */
static bool login_cares(struct session *s)
{
	struct facts facts = {.user = s->identity.user,
		.method = s->identity.method,
		.now_us = clock_realtime_us()};

	memcpy(facts.address, s->address, sizeof(facts.address));
	return policy_cares(worker_snapshot(s->worker)->policy, &facts, bytes_of("", 0));
}

void record_login(struct session *s, enum audit_event event, struct bytes user, int32_t code,
	audit_done_fn *done, void *context)
{
	struct audit_record r = {0};

	put_who(s, &r);
	r.event = event;
	r.user = user;
	if (s->logged_in) {
		r.roles = s->identity.user->roles;
		r.nroles = s->identity.user->nroles;
	}
	r.care = s->logged_in && audit_is_stopped(s->worker->server->parts.audit) && login_cares(s);
	r.has_code = event == AUDIT_LOGIN_FAILED;
	r.code = code;
	audit_submit(s->worker->ring, &r, done, context);
}
