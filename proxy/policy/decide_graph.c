#include "policy/barrier.h"
#include "policy/foreign.h"

/* $graphLookup has no place for a barrier.  It walks what is stored, of the rows that the role
 * may see and by fields that are stored as the role sees them; what it found is then read
 * again, by _id and behind the barrier:
 *
 *   {$graphLookup: {…, as, restrictSearchWithMatch: rows and the client's}},
 *   {$addFields: {__mw: {$map: {input: "$as", in: "$$this._id"}}}},
 *   {$lookup: {from, localField: "__mw", foreignField: "_id", pipeline: [rows, barrier], as}},
 *   {$unset: "__mw"} */

struct graph {
	struct element from, as, connect_from, connect_to, restriction, depth_field;
	struct bytes holder; /* the stage's document */
};

static struct element option(const struct element *stage, const char *name)
{
	struct element e;

	return doc_find(stage->value, name, &e) ? e : (struct element){0};
}

static bool read_graph(const struct placing *p, const struct element *e, struct graph *g)
{
	*g = (struct graph){.holder = e->value};
	if (e->type != TYPE_DOCUMENT || !options_stand_once(e->value, p->d->why) ||
		!doc_find(e->value, "from", &g->from) || g->from.type != TYPE_STRING)
		return fault_name(p->d->why, FAULT_WRONG_TYPE, bytes_str("from"));
	g->as = option(e, "as");
	g->connect_from = option(e, "connectFromField");
	g->connect_to = option(e, "connectToField");
	g->restriction = option(e, "restrictSearchWithMatch");
	g->depth_field = option(e, "depthField");
	return true;
}

/* By this field the walk goes from document to document. */
static bool check_connection(struct placing *p, const struct foreign *f, const struct element *e)
{
	struct bytes path;

	return foreign_path(p, e, &path) &&
	       (foreign_is_stored_plain(f, path) ||
		       fault_name(p->d->why, FAULT_FOREIGN_FIELD, element_string(e)));
}

/* What is found is read again into the same field. */
static bool check_target(const struct placing *p, const struct graph *g)
{
	struct bytes as, path;

	if (g->as.type != TYPE_STRING)
		return fault_name(p->d->why, FAULT_WRONG_TYPE, bytes_str("as"));
	as = element_string(&g->as);
	if (!as.len || as.at[0] == '$' || memchr(as.at, '.', as.len) ||
		!path_normalise(p->d->arena, as, &path, p->d->why) || !bytes_equal(as, path))
		return fault_name(p->d->why, FAULT_PATH, as);
	return !path_is_reserved(path) || fault_name(p->d->why, FAULT_RESERVED, as);
}

static bool restrict_walk(struct deciding *f, const struct graph *g)
{
	const struct element *filter = g->restriction.type ? &g->restriction : NULL;
	struct analysis a;

	if (filter) {
		if (filter->type != TYPE_DOCUMENT)
			return fault_name(f->why, FAULT_WRONG_TYPE, filter->name);
		analysis_init(&a, f->arena);
		if (!analyse_filter(&a, filter->value, bytes_of("", 0), "filter", f->why) ||
			!check_proven(f, &a) || !check_uses(f, &a))
			return false;
	}
	return wrap_filter(f, g->holder, filter, "restrictSearchWithMatch");
}

static void put_ids(struct stages *s, struct arena *arena, struct bytes as)
{
	size_t stage = stage_begin(s), fields = doc_put_document(s->out, NAME("$addFields"));
	size_t ids = doc_put_document(s->out, NAME("__mw"));
	size_t map = doc_put_document(s->out, NAME("$map"));

	doc_put_string(
		s->out, NAME("input"), bytes_str(arena_format(arena, "$%.*s", BYTES_ARG(as))));
	doc_put_string(s->out, NAME("in"), NAME("$$this._id"));
	doc_end(s->out, map);
	doc_end(s->out, ids);
	doc_end(s->out, fields);
	doc_end(s->out, stage);
}

/* Where in the stage its pipeline begins, as an offset into what is built. */
static size_t put_reading(struct stages *s, struct foreign *f, const struct graph *g)
{
	size_t stage = stage_begin(s), lookup = doc_put_document(s->out, NAME("$lookup")), list;
	size_t at;

	doc_put_string(s->out, NAME("from"), element_string(&g->from));
	doc_put_string(s->out, NAME("localField"), NAME("__mw"));
	doc_put_string(s->out, NAME("foreignField"), NAME("_id"));
	list = doc_put_array(s->out, NAME("pipeline"));
	at = s->out->len;
	buf_put(s->out, view_stages(&f->d, true));
	doc_end(s->out, list);
	doc_put_string(s->out, NAME("as"), element_string(&g->as));
	doc_end(s->out, lookup);
	doc_end(s->out, stage);
	return at;
}

static bool read_again(struct placing *p, struct foreign *f, const struct graph *g)
{
	struct buf built;
	struct stages s = {.out = &built};
	size_t stage, at;

	buf_init(&built, DOC_SLACK_LEN);
	put_ids(&s, p->d->arena, element_string(&g->as));
	at = put_reading(&s, f, g);
	stage = stage_begin(&s);
	doc_put_string(&built, NAME("$unset"), NAME("__mw"));
	doc_end(&built, stage);
	if (built.failed) {
		buf_fini(&built);
		return fault_set(p->d->why, FAULT_DOCUMENT_TOO_LARGE, "a pipeline grew too large");
	}
	p->behind = plan_bytes(p->d, &built);
	return !f->d.rows.len || seal_row_literals(&f->d, rows_of_stage(bytes_from(p->behind, at)));
}

bool place_graph(struct placing *p, const struct element *e)
{
	struct foreign f;
	struct graph g;

	if (!read_graph(p, e, &g) || !choose_foreign(p, element_string(&g.from), &f))
		return false;
	if (p->named || (!f.d.virtual && f.d.view->transparent && !f.d.rows.len))
		return true;
	/* What is read again comes in the order of its _id. */
	if (f.d.virtual || !foreign_is_stored_plain(&f, NAME("_id")))
		return fault_name(p->d->why, FAULT_STAGE, e->name);
	if (g.depth_field.type)
		return fault_name(p->d->why, FAULT_NOT_PROVEN, g.depth_field.name);
	return check_target(p, &g) && check_connection(p, &f, &g.connect_from) &&
	       check_connection(p, &f, &g.connect_to) && restrict_walk(&f.d, &g) &&
	       read_again(p, &f, &g);
}
