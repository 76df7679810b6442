#include "policy/decide.h"

/* {aggregate: 1, pipeline: [{$documents: [...]}, ...]}: nothing that is stored is read, but by
 * stages that reach other collections.  Whose role these are read under must be clear. */

/* What everybody sees of what the command itself brings. */
static const struct secure_view brought = {
	.root = {.clearance = CLEAR_PLAINTEXT,
		.class = NO_CLASS,
		.field = NO_FIELD,
		.part = NO_PART,
		.all_plaintext = true},
	.full = true,
	.transparent = true,
};

/* The first grant by which a role reads something of the database. */
static const struct grant *reading_grant(const struct deciding *d, const struct role *role)
{
	struct bytes db = d->plan->db;

	for (size_t i = 0; i < role->ngrants; i++) {
		const struct grant *g = &role->grants[i];

		if (g->actions & ACTION_READ && !g->statistics.min_group &&
			grant_fits_purpose(g, d->plan->purpose) &&
			(bytes_equal(g->db, db) ||
				(bytes_equal_str(g->db, "*") && !is_system_db(db))))
			return g;
	}
	return NULL;
}

static bool choose_role(struct deciding *d)
{
	const struct user *user = d->facts->user;

	for (size_t i = 0; i < user->nroles; i++) {
		const struct role *role = policy_role(d->policy, user->roles[i]);
		const struct grant *g;

		if (!role_is_asked(d, role))
			continue;
		g = reading_grant(d, role);
		if (g && d->grant)
			return fault_name(d->why, FAULT_ROLE_NEEDED, d->plan->ns);
		d->grant = g ? g : d->grant;
	}
	if (!d->grant)
		return fault_name(d->why, FAULT_UNAUTHORIZED, d->plan->ns);
	d->plan->rule = d->grant->rule;
	d->plan->role = d->grant->role;
	d->view = &brought;
	return true;
}

bool decide_documents(struct deciding *d)
{
	const struct element *pipeline = command_field(d->c, "pipeline");
	const struct element *let = command_field(d->c, "let"), *hint = command_field(d->c, "hint");
	struct element first = {0};
	struct doc_iter it;

	if (d->explains)
		return fault_name(d->why, FAULT_UNAUTHORIZED, d->plan->ns);
	if (let || hint)
		return fault_name(d->why, FAULT_NOT_PROVEN, (let ? let : hint)->name);
	if (!choose_role(d))
		return false;
	if (!pipeline || pipeline->type != TYPE_ARRAY)
		return fault_name(d->why, FAULT_WRONG_TYPE, bytes_str("pipeline"));
	it = doc_iter_of(pipeline->value);
	if (!doc_next(&it, &first))
		return fault_name(d->why, FAULT_WRONG_TYPE, bytes_str("pipeline"));
	d->plan->reply.form = REPLY_CURSOR;
	if (!analyse_documents(&first, d->why) || !check_stages_behind(d, pipeline->value, 1))
		return false;
	finish_behind(d);
	return check_collation(d, d->c->body, command_field(d->c, "collation"));
}
