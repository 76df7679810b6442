#include "policy/decide.h"

/* explain: the inner command is decided as if it were sent, and the server tells how it
 * would go about the rewritten one.  Nothing of it is carried out: verbosity is always
 * "queryPlanner". */

static bool decide_inner(struct deciding *d, const struct command_row *row)
{
	switch ((int)row->id) {
	case COMMAND_FIND:
		return decide_find(d);
	case COMMAND_AGGREGATE:
		return decide_aggregate(d);
	case COMMAND_COUNT:
		return decide_count(d);
	case COMMAND_DISTINCT:
		return decide_distinct(d);
	default:
		return fault_name(d->why, FAULT_REFUSED_COMMAND, d->c->name);
	}
}

static void only_plan(struct deciding *d, const struct command *outer)
{
	const struct element *verbosity = command_field(outer, "verbosity");
	struct edit *edit;
	struct buf built;

	buf_init(&built, 256);
	doc_put_string(&built, NAME("verbosity"), NAME("queryPlanner"));
	edit = verbosity ? plan_edit(d, EDIT_PUT, verbosity->whole.at)
			 : plan_edit(d, EDIT_APPEND, outer->body.at);
	edit->put = plan_bytes(d, &built);
}

bool decide_explain(struct deciding *d)
{
	const struct command *outer = d->c;
	struct command *inner = arena_alloc(d->arena, sizeof(*inner));
	const struct command_row *row;

	if (outer->first.type != TYPE_DOCUMENT)
		return fault_name(d->why, FAULT_WRONG_TYPE, outer->name);
	if (!command_of_document(inner, outer, outer->first.value, d->why))
		return false;
	row = command_look_up(inner->name);
	if (!row)
		return fault_name(d->why, FAULT_REFUSED_COMMAND, inner->name);
	d->c = inner;
	d->explains = true;
	if (!command_check_fields(row, inner, d->why) || !find_namespace(d, row) ||
		!decide_inner(d, row))
		return false;
	only_plan(d, outer);
	d->plan->reply.form = REPLY_EXPLAINED;
	d->plan->reply.shown = d->plan->reply.shown_masked = 0;
	d->plan->nsearched = 0;
	return true;
}
