#include "policy/asking.h"
#include "policy/loader.h"

/* Grants that give statistics only: aggregate, count and distinct, as questions of which the
 * database answers more than the client is told. */

bool refuse_asking(const struct asking *a, struct bytes what)
{
	return fault_name(a->d->why, FAULT_STATISTICS, what);
}

/* What names a patient by itself: one that is all of a subject line, and what is encrypted. */
static bool names_somebody(const struct asking *a, struct bytes path)
{
	const struct view_node *root = &a->d->view->root;
	const struct collection *c = a->d->view->collection;
	bool at;

	for (size_t i = 0; i < c->nsubjects; i++) {
		struct bytes of = c->subject_paths[c->subjects[i].parts[0]];

		if (c->subjects[i].nparts == 1 && path_relation(of, path) != PATH_DISJOINT &&
			view_node_of(root, of, &at)->clearance == CLEAR_PLAINTEXT)
			return true;
	}
	for (size_t i = 0; i < c->nfields; i++)
		if (c->fields[i].encrypted != NO_FIELD &&
			path_relation(c->fields[i].path, path) != PATH_DISJOINT &&
			view_node_of(root, c->fields[i].path, &at)->clearance == CLEAR_PLAINTEXT)
			return true;
	return path_relation(bytes_str("_id"), path) != PATH_DISJOINT;
}

/* What stands there is one value of one clearance, as it is or as a server can mask it. */
static bool read_clearance(const struct view_node *node, bool at, const struct mask **mask)
{
	*mask = NULL;
	if (node->clearance == CLEAR_PLAINTEXT)
		return at ? node->all_plaintext && !node->any_encrypted : node->field == NO_FIELD;
	*mask = node->mask;
	return at && !node->nchildren && node->clearance == CLEAR_MASK && barrier_can_show(node);
}

static size_t column_of(struct asking *a, struct bytes path, const struct mask *mask)
{
	size_t i = 0;

	while (i < a->ncolumns && !bytes_equal(a->columns[i].path, path))
		i++;
	/* Conditions, keys and numbers have limits of their own. */
	if (i == a->ncolumns)
		a->columns[a->ncolumns++] =
			(struct asked_column){.path = arena_copy(a->d->arena, path), .mask = mask};
	return i;
}

bool ask_path(struct asking *a, struct bytes path, bool shown, size_t *column)
{
	struct deciding *d = a->d;
	const struct view_node *node;
	const struct mask *mask;
	struct bytes normal;
	bool at;

	if (path_is_reserved(path))
		return fault_name(d->why, FAULT_RESERVED, path);
	if (!path_normalise(d->arena, path, &normal, d->why))
		return false;
	/* A filter and an expression read an index into an array differently. */
	if (!bytes_equal(path, normal))
		return refuse_asking(a, path);
	if (names_somebody(a, path))
		return fault_name(d->why, FAULT_STATISTICS_NAMES, path);
	node = view_node_of(&d->view->root, path, &at);
	if (!read_clearance(node, at, &mask))
		return fault_name(d->why, FAULT_NOT_READABLE, path);
	if (shown)
		note_node_shown(&d->plan->reply, node, at);
	*column = column_of(a, path, mask);
	return true;
}

bool ask_reference(struct asking *a, const struct element *e, size_t *column)
{
	struct bytes text = e->type == TYPE_STRING ? element_string(e) : bytes_of("", 0);

	if (text.len < 2 || text.at[0] != '$' || text.at[1] == '$')
		return refuse_asking(a, e->name);
	return ask_path(a, bytes_from(text, 1), true, column);
}

bool read_asked_filter(struct asking *a, struct bytes filter)
{
	size_t before = a->conditions.nleaves;

	if (!conditions_read(&a->conditions, filter, FAULT_STATISTICS, a->d->why))
		return false;
	for (size_t i = before; i < a->conditions.nleaves; i++) {
		struct condition *leaf = a->conditions.leaves[i];
		size_t column;

		if (!ask_path(a, leaf->path, false, &column))
			return false;
		leaf->as = bytes_str(arena_format(a->d->arena, "c%zu", column));
	}
	return true;
}

/* Fields of the command that mean the same for a question; others are refused. */
static bool check_fields(struct asking *a, const char *allowed)
{
	const struct command *c = a->d->c;

	for (size_t i = 1; i < c->nfields; i++) {
		const struct element *e = &c->fields[i];

		if (command_field_is_generic(e->name) || language_among(allowed, e->name))
			continue;
		if (e->type != TYPE_NULL)
			return refuse_asking(a, e->name);
		plan_edit(a->d, EDIT_DROP, e->whole.at);
	}
	return !c->nseq || refuse_asking(a, c->seq[0].name);
}

static bool read_pipeline(struct asking *a)
{
	const struct element *pipeline = command_field(a->d->c, "pipeline");
	struct doc_iter it;
	struct element stage, e;
	bool grouped = false, fine = true;

	if (!pipeline || pipeline->type != TYPE_ARRAY)
		return fault_name(a->d->why, FAULT_WRONG_TYPE, bytes_str("pipeline"));
	it = doc_iter_of(pipeline->value);
	while (fine && doc_next(&it, &stage)) {
		if (!stage_field(&stage, &e, a->d->why))
			return false;
		if (grouped)
			fine = read_step(a, &e);
		else if (element_named(&e, "$match") && e.type == TYPE_DOCUMENT)
			fine = read_asked_filter(a, e.value);
		else if (is_grouping(e.name))
			fine = grouped = read_grouping(a, &e);
		else
			fine = refuse_asking(a, e.name);
	}
	return fine && (grouped || refuse_asking(a, bytes_str("pipeline")));
}

static bool read_aggregate(struct asking *a)
{
	a->d->plan->reply.form = REPLY_CURSOR;
	return check_fields(a, "pipeline cursor allowDiskUse") && read_pipeline(a);
}

static bool read_query(struct asking *a)
{
	const struct element *query;

	return body_field(a->d, "query", TYPE_DOCUMENT, &query) &&
	       (!query || read_asked_filter(a, query->value));
}

static bool read_count(struct asking *a)
{
	a->d->plan->reply.form = REPLY_COUNTED;
	a->statistics->without_key = true;
	return check_fields(a, "query fields") && read_query(a) && add_count(a, bytes_str("n"));
}

static bool read_distinct(struct asking *a)
{
	const struct element *key = command_field(a->d->c, "key");
	size_t column;

	a->d->plan->reply.form = REPLY_COLLECTED;
	if (!key || key->type != TYPE_STRING)
		return fault_name(a->d->why, FAULT_WRONG_TYPE, bytes_str("key"));
	a->kind = KEY_PATH;
	a->unwinds = true;
	return check_fields(a, "key query") && ask_path(a, element_string(key), true, &column) &&
	       add_key(a, bytes_of("", 0), column) && read_query(a);
}

/* Whether the filter leaves one group only, whatever the documents hold. */
static bool makes_one_group(const struct asking *a)
{
	for (size_t i = 0; i < a->nkeys; i++)
		if (!a->keys[i].is_constant &&
			!conditions_fix(&a->conditions, a->columns[a->keys[i].column].path))
			return false;
	return a->kind != KEY_BUCKETS && !a->unwinds;
}

/* The command becomes an aggregate of this question. */
static bool put_command(struct asking *a)
{
	static const char *const fields[] = {
		"pipeline", "cursor", "query", "fields", "key", "allowDiskUse"};
	struct deciding *d = a->d;
	struct bytes added, rows;
	struct buf built;

	buf_init(&built, DOC_MAX_LEN);
	put_asking(&built, a);
	doc_end(&built, doc_put_document(&built, NAME("cursor")));
	/* What is grouped may be more than a server keeps in memory. */
	doc_put_bool(&built, NAME("allowDiskUse"), true);
	if (built.failed) {
		buf_fini(&built);
		return fault_set(d->why, FAULT_DOCUMENT_TOO_LARGE, "a question grew too large");
	}
	added = plan_bytes(d, &built);
	plan_edit(d, EDIT_APPEND, d->c->body.at)->put = added;
	for (size_t i = 0; i < COUNT_OF(fields); i++) {
		const struct element *e = command_field(d->c, fields[i]);

		if (e)
			plan_edit(d, EDIT_DROP, e->whole.at);
	}
	point_to_collection(d);
	/* The row filter is the first stage of the array that was put first. */
	rows = bytes_from(added, 1 + sizeof("pipeline") + 4);
	if (!d->rows.len)
		return true;
	d->rows = rows_of_stage(rows);
	return seal_row_literals(d, d->rows);
}

static bool finish(struct asking *a)
{
	struct deciding *d = a->d;

	a->statistics->one_group = makes_one_group(a);
	hash_question(a);
	d->plan->reply.statistics = a->statistics;
	d->plan->reply.behind_barrier = true;
	d->plan->reply.tree = open_tree(d);
	return put_command(a) && check_collation(d, d->c->body, NULL);
}

bool decide_statistics(struct deciding *d)
{
	struct asking a = {.d = d};
	bool fine;

	a.statistics = arena_alloc(d->arena, sizeof(*a.statistics));
	a.statistics->limits = d->grant->statistics;
	a.statistics->ns = d->view->collection->ns;
	a.statistics->paths =
		arena_array(d->arena, STATISTICS_PATHS_MAX, sizeof(*a.statistics->paths));
	a.statistics->squares =
		arena_array(d->arena, STATISTICS_PATHS_MAX, sizeof(*a.statistics->squares));
	conditions_init(&a.conditions, d->arena);
	if (d->explains)
		return refuse_asking(&a, bytes_str("explain"));
	switch ((int)d->plan->row->id) {
	case COMMAND_AGGREGATE:
		fine = read_aggregate(&a);
		break;
	case COMMAND_COUNT:
		fine = read_count(&a);
		break;
	case COMMAND_DISTINCT:
		fine = read_distinct(&a);
		break;
	default:
		return refuse_asking(&a, d->c->name);
	}
	return fine && finish(&a);
}
