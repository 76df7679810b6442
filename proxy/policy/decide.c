#include "policy/decide.h"

#include <stdlib.h>

#include <sodium.h>

#include "util/memory.h"

/* comment: {purpose, reason, role} is for the proxy; any other comment is a comment. */
static bool read_comment(struct deciding *d)
{
	const struct element *comment = command_field(d->c, "comment");
	struct doc_iter it;
	struct element e;

	d->plan->purpose = d->facts->user->purpose;
	if (!comment || comment->type != TYPE_DOCUMENT)
		return true;
	it = doc_iter_of(comment->value);
	while (doc_next(&it, &e)) {
		if (element_named(&e, "on_behalf_of"))
			return fault_name(d->why, FAULT_COMMENT, e.name);
		if (!element_named(&e, "purpose") && !element_named(&e, "reason") &&
			!element_named(&e, "role"))
			continue;
		if (e.type != TYPE_STRING)
			return fault_name(d->why, FAULT_WRONG_TYPE, e.name);
		if (element_named(&e, "purpose"))
			d->comment_purpose = element_string(&e);
		else if (element_named(&e, "role"))
			d->comment_role = element_string(&e);
		else
			d->comment_reason = element_string(&e);
	}
	if (d->comment_purpose.at)
		d->plan->purpose = d->comment_purpose;
	d->plan->reason_len = d->comment_reason.len;
	return true;
}

/* {aggregate: 1} */
static bool names_no_collection(const struct element *first)
{
	int64_t n;

	return element_int(first, &n) && n == 1;
}

bool find_namespace(struct deciding *d, const struct command_row *row)
{
	struct plan *plan = d->plan;
	struct bytes name;

	plan->ns = plan->db;
	if (row->on != ON_COLLECTION)
		return true;
	if (row->id == COMMAND_AGGREGATE && names_no_collection(&d->c->first)) {
		plan->ns = arena_dotted(d->arena, plan->db, NAME("$cmd.aggregate"));
		return true;
	}
	if (d->c->first.type != TYPE_STRING)
		return fault_name(d->why, FAULT_UNAUTHORIZED, plan->db);
	name = element_string(&d->c->first);
	if (!collection_name_fits(name) || plan->db.len + 1 + name.len > COMMAND_NS_MAX)
		return fault_name(d->why, FAULT_INVALID_NAMESPACE, name);
	/* Of the plan's own: it outlives the message. */
	plan->ns = arena_dotted(d->arena, plan->db, name);
	plan->db = bytes_head(plan->ns, plan->db.len);
	plan->collection = plan->upstream_collection = bytes_from(plan->ns, plan->db.len + 1);
	return true;
}

static bool decide_plain_ddl(struct deciding *d)
{
	if (!choose_grant(d, ACTION_DDL))
		return false;
	d->plan->reply.form = REPLY_STATUS;
	return !d->virtual || fault_name(d->why, FAULT_UNAUTHORIZED, d->plan->ns);
}

static bool decide_as_is(struct deciding *d)
{
	d->plan->reply.form = REPLY_AS_IS;
	return true;
}

typedef bool decide_fn(struct deciding *d);

static decide_fn *const deciders[COMMAND_COUNT_OF_IDS] = {
	[COMMAND_PING] = decide_as_is,
	[COMMAND_END_SESSIONS] = decide_as_is,
	[COMMAND_REFRESH_SESSIONS] = decide_as_is,
	[COMMAND_KILL_SESSIONS] = decide_as_is,
	[COMMAND_COMMIT_TRANSACTION] = decide_as_is,
	[COMMAND_ABORT_TRANSACTION] = decide_as_is,
	[COMMAND_GET_MORE] = decide_as_is,
	[COMMAND_KILL_CURSORS] = decide_as_is,
	[COMMAND_FIND] = decide_find,
	[COMMAND_AGGREGATE] = decide_aggregate,
	[COMMAND_COUNT] = decide_count,
	[COMMAND_DISTINCT] = decide_distinct,
	[COMMAND_EXPLAIN] = decide_explain,
	[COMMAND_INSERT] = decide_insert,
	[COMMAND_UPDATE] = decide_update,
	[COMMAND_DELETE] = decide_delete,
	[COMMAND_FIND_AND_MODIFY] = decide_find_and_modify,
	[COMMAND_CREATE] = decide_create,
	[COMMAND_COLL_MOD] = decide_coll_mod,
	[COMMAND_DROP] = decide_plain_ddl,
	[COMMAND_DROP_DATABASE] = decide_plain_ddl,
	[COMMAND_CREATE_INDEXES] = decide_create_indexes,
	[COMMAND_DROP_INDEXES] = decide_drop_indexes,
	[COMMAND_LIST_COLLECTIONS] = decide_list_collections,
	[COMMAND_LIST_DATABASES] = decide_list_databases,
	[COMMAND_LIST_INDEXES] = decide_list_indexes,
};

/* The relations that the rows behind a rule use, a bit each. */
static uint32_t relations_of_rule(
	const struct role *role, struct bytes rule, const struct virtual_view *v)
{
	if (v)
		return v->relations;
	/* Break-glass leaves no cursor. */
	for (size_t i = 0; role && i < role->ngrants; i++)
		if (bytes_equal(role->grants[i].rule, rule))
			return role->grants[i].relations;
	return 0;
}

/* Lists that grew or shrank are other rights.  False: one is missing. */
static bool print_lists(crypto_generichash_state *hash, const struct policy *p,
	const struct facts *facts, uint32_t relations, const struct relation **needs)
{
	for (size_t i = 0; i < p->nrelations; i++) {
		const struct relation_list *list;

		if (!(relations & 1u << i))
			continue;
		list = facts_list(facts, &p->relations[i]);
		if (!list) {
			*needs = &p->relations[i];
			return false;
		}
		crypto_generichash_update(hash, list->print, sizeof(list->print));
	}
	return true;
}

/* The rights that rules rest on: of role and collection, and of the user.  False: a list is
 * missing. */
static bool print_rights(const struct policy *p, const struct facts *facts,
	const struct reply_rules *rules, struct bytes ns, uint8_t print[16],
	const struct relation **needs)
{
	const struct user *user = facts->user;
	const struct role *role = policy_role(p, rules->role);
	const struct collection *c = policy_collection(p, ns);
	const struct virtual_view *v = policy_view(p, ns);
	uint32_t relations = relations_of_rule(role, rules->rule, v);
	crypto_generichash_state hash;

	crypto_generichash_init(&hash, NULL, 0, 16);
	if (rules->reaches)
		crypto_generichash_update(&hash, (const uint8_t *)p->hash, strlen(p->hash));
	if (role)
		crypto_generichash_update(&hash, role->print, sizeof(role->print));
	if (c)
		crypto_generichash_update(&hash, c->print, sizeof(c->print));
	if (v) {
		crypto_generichash_update(&hash, v->print, sizeof(v->print));
		crypto_generichash_update(&hash, v->from->print, sizeof(v->from->print));
	}
	for (size_t i = 0; i < user->nattributes; i++) {
		const struct attribute *a = &user->attributes[i];

		crypto_generichash_update(&hash, a->name.at, a->name.len + 1);
		crypto_generichash_update(&hash, a->value.at, a->value.len + 1);
	}
	/* Numbers of another policy's relations count for nothing: its hash differs, too. */
	if (rules->reaches)
		relations |= rules->relations;
	if (!print_lists(&hash, p, facts, relations, needs))
		return false;
	crypto_generichash_final(&hash, print, 16);
	return true;
}

static void finish_reply(struct deciding *d)
{
	struct reply_rules *reply = &d->plan->reply;

	reply->policy = d->policy;
	if (d->view) {
		reply->secure = d->view;
		reply->collection = d->view->collection;
		reply->shares_tree = reply->tree == &d->view->root;
		reply->masks_errors = !d->view->transparent;
	} else {
		reply->masks_errors = true;
	}
	reply->role = d->plan->role;
	reply->rule = d->plan->rule;
	d->plan->rows = d->rows;
}

bool policy_decide(const struct policy *p, const struct facts *facts, const struct command *c,
	struct arena *arena, struct plan *plan, struct fault *why)
{
	struct deciding d = {
		.policy = p, .facts = facts, .c = c, .arena = arena, .plan = plan, .why = why};

	*plan = (struct plan){.row = command_look_up(c->name), .policy = p, .arena = arena};
	plan->db = plan->ns = arena_copy(arena, c->db);
	if (!plan->row)
		return fault_name(why,
			command_is_refused(c->name) ? FAULT_REFUSED_COMMAND : FAULT_NO_SUCH_COMMAND,
			c->name);
	if (!read_comment(&d) || !command_check_fields(plan->row, c, why))
		return false;
	plan->fields_known = plan->row->fields[0] != '*';
	if (!find_namespace(&d, plan->row))
		return false;
	plan->writes = plan->row->how == HOW_WRITE;
	if (!deciders[plan->row->id])
		return fault_name(why, FAULT_REFUSED_COMMAND, c->name);
	if (!deciders[plan->row->id](&d))
		return false;
	finish_reply(&d);
	return true;
}

void reply_rules_print(struct reply_rules *rules, const struct policy *p, const struct facts *facts,
	struct bytes ns)
{
	const struct relation *needs = NULL;

	/* The decision had every list; without one, no later print is the same. */
	if (!print_rights(p, facts, rules, ns, rules->print, &needs))
		randombytes_buf(rules->print, sizeof(rules->print));
}

bool policy_still_allows(const struct policy *p, const struct facts *facts,
	const struct reply_rules *rules, struct bytes ns, const struct relation **needs)
{
	const struct role *role = policy_role(p, rules->role);
	uint8_t now[16];
	bool held = false;

	*needs = NULL;
	for (size_t i = 0; i < facts->user->nroles; i++)
		held |= bytes_equal(facts->user->roles[i], rules->role);
	if (!role || !held || !role_applies(role, facts))
		return false;
	return print_rights(p, facts, rules, ns, now, needs) &&
	       memcmp(now, rules->print, sizeof(now)) == 0;
}

struct reply_rules *reply_rules_keep(const struct reply_rules *rules, struct policy *policy)
{
	struct reply_rules *kept = memory_new(sizeof(*kept));

	*kept = *rules;
	arena_init(&kept->arena);
	kept->policy = kept->owned = policy_ref(policy);
	kept->references = 1;
	if (rules->tree && !rules->shares_tree)
		kept->tree = keep_tree(&kept->arena, rules->tree);
	if (rules->nview_fields) {
		kept->view_fields =
			arena_array(&kept->arena, rules->nview_fields, sizeof(*kept->view_fields));
		memcpy(kept->view_fields, rules->view_fields,
			rules->nview_fields * sizeof(*kept->view_fields));
	}
	return kept;
}

struct reply_rules *reply_rules_ref(struct reply_rules *rules)
{
	__atomic_add_fetch(&rules->references, 1, __ATOMIC_RELAXED);
	return rules;
}

void reply_rules_unref(struct reply_rules *rules)
{
	if (!rules || __atomic_sub_fetch(&rules->references, 1, __ATOMIC_ACQ_REL))
		return;
	policy_unref(rules->owned);
	arena_fini(&rules->arena);
	free(rules);
}
