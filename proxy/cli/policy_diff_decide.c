#include "cli/policy_diff_inside.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "audit/line.h"
#include "cli/explain_parts.h"
#include "cli/replay.h"
#include "policy/language.h"
#include "query/path.h"
#include "util/clock.h"
#include "wire/command.h"

#define VAULT          "encryption.__keyVault"
#define ATTRIBUTES_MAX 64u
#define ROLES_MAX      64u
#define SEES_MAX       (1u << 20)

/* ------------------------------------------------------------------ the user */

struct person {
	struct user user;
	struct bytes roles[ROLES_MAX];
	struct attribute attributes[ATTRIBUTES_MAX];
};

/* ["doctor","nurse"] as it stands in the record. */
static void fill_roles(struct difference *d, struct person *p, struct bytes list)
{
	struct bytes element;
	struct buf text;

	while (p->user.nroles < ROLES_MAX && line_next_string(&list, &element)) {
		buf_init(&text, LINE_MAX_LEN);
		line_unescape(element, &text);
		p->roles[p->user.nroles++] = arena_copy(&d->arena, buf_bytes(&text));
		buf_fini(&text);
	}
	p->user.roles = p->roles;
}

static void add_attribute(struct person *p, struct bytes name)
{
	for (size_t i = 0; i < p->user.nattributes; i++)
		if (bytes_equal(p->attributes[i].name, name))
			return;
	if (p->user.nattributes < ATTRIBUTES_MAX && !bytes_equal_str(name, "id"))
		p->attributes[p->user.nattributes++] =
			(struct attribute){.name = name, .value = NAME("x")};
}

/* "${user.hospital}": whoever's attributes nobody has given has some value for each. */
static void add_templates(struct person *p, struct bytes filter)
{
	static const char begin[] = "${user.";
	struct doc_iter it = doc_iter_of(filter);
	struct element e;

	while (filter.len && doc_next(&it, &e)) {
		struct bytes text;

		if (element_is_document(&e))
			add_templates(p, e.value);
		if (e.type != TYPE_STRING)
			continue;
		text = element_string(&e);
		if (bytes_start_with(text, bytes_str(begin)) && text.at[text.len - 1] == '}')
			add_attribute(
				p, bytes_of(text.at + sizeof(begin) - 1, text.len - sizeof(begin)));
	}
}

static void add_all_templates(struct person *p, const struct policy *policy)
{
	for (size_t i = 0; i < policy->nroles; i++) {
		const struct role *role = &policy->roles[i];

		for (size_t k = 0; k < role->ngrants; k++)
			add_templates(p, role->grants[k].rows);
		for (size_t k = 0; role->break_glass && k < role->break_glass->ngrants; k++)
			add_templates(p, role->break_glass->grants[k].rows);
	}
	for (size_t i = 0; i < policy->nviews; i++)
		add_templates(p, policy->views[i].rows);
	for (size_t i = 0; i < policy->nrelations; i++)
		add_templates(p, policy->relations[i].where);
}

static void fill_person(struct difference *d, struct person *p, const struct request *r)
{
	const struct user *known = d->users ? users_find(d->users, r->user) : NULL;

	*p = (struct person){.user = {.name = r->user, .purpose = r->purpose}};
	fill_roles(d, p, r->roles);
	p->user.attributes = p->attributes;
	if (known) {
		p->user.attributes = known->attributes;
		p->user.nattributes = known->nattributes;
		return;
	}
	for (size_t i = 0; i < COUNT_OF(d->policies); i++)
		add_all_templates(p, d->policies[i]);
}

/* "10.1.2.3:4567", "[::1]:4567" */
static void fill_address(uint8_t address[16], struct bytes client)
{
	char text[INET6_ADDRSTRLEN + 2] = "";
	struct in_addr v4;
	size_t len = client.len, from = 0;

	while (len && client.at[len - 1] != ':')
		len--;
	len -= len > 0;
	if (len > 1 && client.at[0] == '[') {
		from = 1;
		len -= 2;
	}
	if (len >= sizeof(text))
		return;
	memcpy(text, client.at + from, len);
	if (inet_pton(AF_INET, text, &v4) == 1) {
		memset(address, 0, 10);
		address[10] = address[11] = 0xff;
		memcpy(address + 12, &v4, 4);
	} else if (inet_pton(AF_INET6, text, address) != 1) {
		memset(address, 0, 16);
	}
}

/* ------------------------------------------------------------------- deciding */

static struct place place_of_rule(const struct policy *p, struct bytes role_name, struct bytes rule)
{
	const struct role *role = policy_role(p, role_name);
	const struct grant *g = policy_grant(p, role_name, rule);

	if (g)
		return g->at;
	return role ? role->at : (struct place){0};
}

static void put_how(struct buf *out, const struct view_node *node)
{
	const struct mask *m = node->mask;

	buf_put_str(out, explain_clearance(node));
	if (node->clearance != CLEAR_MASK)
		return;
	if (m->kind == MASK_PARTIAL)
		buf_put_format(out, " first %u, last %u", m->keep_first, m->keep_last);
	if (m->kind == MASK_ROUND)
		buf_put_format(out, " to %g", m->to);
	if (m->kind == MASK_TRUNCATE)
		buf_put_format(out, " to %s", language_word(WORDS_UNIT, (size_t)m->unit));
	for (size_t i = 0; m->kind == MASK_BANDS && i < m->nedges; i++)
		buf_put_format(out, "%s%g", i ? ", " : " at ", m->edges[i]);
}

static bool declares(const struct collection *c, struct bytes path)
{
	for (size_t i = 0; c && i < c->nfields; i++)
		if (bytes_equal(c->fields[i].path, path))
			return true;
	return false;
}

/* The paths that either policy names, each with what this one shows of it. */
static void put_sees(struct difference *d, struct buf *out, const struct plan *plan)
{
	const struct secure_view *s = plan->reply.secure;
	const struct virtual_view *v = plan->reply.view;
	bool at;

	for (size_t i = 0; v && i < v->nfields; i++) {
		const struct view_field *f = &v->fields[i];

		const struct view_node node = {
			.clearance = f->mask ? CLEAR_MASK : CLEAR_PLAINTEXT, .mask = f->mask};

		buf_put_format(out, "%.*s: ", BYTES_ARG(f->name));
		put_how(out, &node);
		buf_put_u8(out, '\n');
	}
	for (size_t i = 0; !v && s && i < COUNT_OF(d->policies); i++) {
		const struct collection *c = policy_collection(d->policies[i], plan->ns);
		const struct collection *first = policy_collection(d->policies[0], plan->ns);

		for (size_t k = 0; c && k < c->nfields; k++) {
			const struct view_node *node =
				view_node_of(&s->root, c->fields[k].path, &at);

			if (i && declares(first, c->fields[k].path))
				continue;
			buf_put_format(out, "%.*s: ", BYTES_ARG(c->fields[k].path));
			put_how(out, node);
			buf_put_u8(out, '\n');
		}
	}
}

static struct bytes comment_of(struct difference *d, const struct request *r, struct bytes role)
{
	struct buf built;
	struct bytes comment;
	size_t begun;

	if (!role.len && !r->glass)
		return bytes_of("", 0);
	buf_init(&built, LINE_MAX_LEN);
	begun = doc_begin(&built);
	if (role.len)
		doc_put_string(&built, NAME("role"), role);
	if (r->glass) {
		doc_put_string(&built, NAME("purpose"), r->purpose);
		doc_put_string(&built, NAME("reason"), NAME("x"));
	}
	doc_end(&built, begun);
	comment = arena_copy(&d->arena, buf_bytes(&built));
	buf_fini(&built);
	return comment;
}

static void tell(struct difference *d, struct verdict *v, const struct policy *policy,
	const struct plan *plan, const struct fault *why)
{
	char text[FAULT_TEXT_MAX];
	uint8_t hash[LINE_HASH_LEN];
	struct buf sees;

	v->rule = arena_copy(&d->arena, plan->rule);
	v->role = arena_copy(&d->arena, plan->role);
	v->at = place_of_rule(policy, plan->role, plan->rule);
	if (!v->allowed) {
		v->error = arena_text(&d->arena, bytes_str(fault_text(why, text, sizeof(text))));
		return;
	}
	buf_init(&sees, SEES_MAX);
	put_sees(d, &sees, plan);
	if (plan->rows.len) {
		line_hash(plan->rows, hash);
		buf_put_format(&sees, "rows: filter %02x%02x%02x%02x\n", hash[0], hash[1], hash[2],
			hash[3]);
	}
	v->sees = arena_text(&d->arena, buf_bytes(&sees));
	buf_fini(&sees);
}

/* False: the record does not hold a command. */
static bool decide(struct difference *d, size_t which, const struct person *person,
	const struct request *r, struct replay_choice choice, struct bytes role,
	struct verdict *verdict)
{
	struct policy *policy = d->policies[which];
	struct bytes db, rest = r->ns;
	struct facts facts = {.user = &person->user,
		.method = AUTH_SCRAM,
		.now_us = clock_realtime_us(),
		.vault = bytes_str(VAULT)};
	struct arena arena;
	struct command command;
	struct buf message;
	struct plan plan;
	struct fault why;
	bool fine;

	fill_address(facts.address, r->client);
	for (size_t i = 0; i < person->user.nroles; i++) {
		const struct role *own = policy_role(policy, person->user.roles[i]);

		if (own && !own->auth_scram)
			facts.method = AUTH_X509;
	}
	if (!path_next(&rest, &db))
		return false;
	*verdict = (struct verdict){.allowed = false};
	arena_init(&arena);
	policy_fill_lists(policy, &facts, &arena);
	buf_init(&message, FRAME_MESSAGE_MAX);
	fine = replay_message(r->shape, db, comment_of(d, r, role), choice, &message);
	if (fine) {
		plan = (struct plan){.row = NULL};
		verdict->allowed = command_parse(&command, buf_bytes(&message), &why) &&
				   policy_decide(policy, &facts, &command, &arena, &plan, &why);
		if (!verdict->allowed && why.code == FAULT_ROLE_NEEDED && !role.len && r->role.len)
			fine = decide(d, which, person, r, choice, r->role, verdict);
		else
			tell(d, verdict, policy, &plan, &why);
	}
	buf_fini(&message);
	arena_fini(&arena);
	return fine;
}

/* -------------------------------------------------------------------- choosing */

struct pair {
	struct verdict before, after;
};

static enum change_kind kind_of(const struct pair *p)
{
	if (p->before.allowed != p->after.allowed)
		return p->before.allowed ? CHANGE_REFUSED : CHANGE_ALLOWED;
	if (p->before.allowed && strcmp(p->before.sees, p->after.sees) != 0)
		return CHANGE_SHOWN;
	return CHANGE_NONE;
}

/* The values are not known: of all that they could have been, those that fit the decision
 * that was made must agree. */
static enum change_kind agreed(struct difference *d, const struct request *r, struct pair *chosen)
{
	enum change_kind kind = CHANGE_UNDECIDED;
	struct person person;
	bool any = false;

	/* A command that nobody knows is nobody's. */
	if (!r->allowed && bytes_equal_str(r->shape, "{\"?\":1}"))
		return CHANGE_NONE;
	fill_person(d, &person, r);
	for (size_t i = 0; i < REPLAY_CHOICES; i++) {
		struct replay_choice choice = replay_choice(i);
		struct pair pair;

		if (!decide(d, 0, &person, r, choice, bytes_of("", 0), &pair.before) ||
			!decide(d, 1, &person, r, choice, bytes_of("", 0), &pair.after))
			return CHANGE_UNDECIDED;
		if (r->same_policy && pair.before.allowed != r->allowed)
			continue;
		if (any && kind_of(&pair) != kind)
			return CHANGE_UNDECIDED;
		if (!any) {
			kind = kind_of(&pair);
			*chosen = pair;
		}
		any = true;
	}
	return kind;
}

struct change *decide_both(struct difference *d, const struct request *r)
{
	struct change *c = arena_alloc(&d->arena, sizeof(*c));
	struct pair pair = {.before = {.allowed = r->allowed}};

	c->request = *r;
	c->kind = agreed(d, r, &pair);
	c->before = pair.before;
	c->after = pair.after;
	map_init(&c->users);
	return c;
}
