#include "session/inside.h"

#include "query/operators.h"
#include "query/path.h"
#include "util/json.h"

/* A command's shape: the names that MongoDB and the policy know, and types in place of
 * values.  Names of anybody's own choosing are numbered, those of new documents counted. */

/* Names that come again and again could make a shape longer than its message. */
#define SHAPE_MAX    FRAME_MESSAGE_MAX
#define LONG_SHAPE   "{\"?\":\"long\"}"
#define DISTINCT_MAX 64u
/* Bytes that finding distinct shapes compares: a tenth of a second. */
#define COMPARED_MAX (1u << 30)

struct shaping {
	const struct policy *policy;
	struct bytes db;
	const struct collection *collection;
	const struct virtual_view *view;
	const struct command_row *row;
	struct buf *out;
	size_t compared;
	bool counts; /* within new documents */
};

static struct bytes type_text(uint8_t type)
{
	static const struct bytes texts[256] = {
		[TYPE_DOUBLE] = BYTES_LITERAL("\"?double\""),
		[TYPE_STRING] = BYTES_LITERAL("\"?string\""),
		[TYPE_BINARY] = BYTES_LITERAL("\"?binData\""),
		[TYPE_OBJECT_ID] = BYTES_LITERAL("\"?objectId\""),
		[TYPE_BOOL] = BYTES_LITERAL("\"?bool\""),
		[TYPE_DATE] = BYTES_LITERAL("\"?date\""),
		[TYPE_NULL] = BYTES_LITERAL("\"?null\""),
		[TYPE_REGEX] = BYTES_LITERAL("\"?regex\""),
		[TYPE_INT32] = BYTES_LITERAL("\"?int\""),
		[TYPE_TIMESTAMP] = BYTES_LITERAL("\"?timestamp\""),
		[TYPE_INT64] = BYTES_LITERAL("\"?long\""),
		[TYPE_DECIMAL128] = BYTES_LITERAL("\"?decimal\""),
		[TYPE_MIN_KEY] = BYTES_LITERAL("\"?minKey\""),
		[TYPE_MAX_KEY] = BYTES_LITERAL("\"?maxKey\""),
	};

	return texts[type].len ? texts[type] : NAME("\"?other\"");
}

/* A path of the policy, or on the way to one. */
static bool is_declared(const struct shaping *s, struct bytes path)
{
	if (bytes_equal(path, NAME("_id")))
		return true;
	for (size_t i = 0; s->view && i < s->view->nfields; i++)
		if (bytes_equal(s->view->fields[i].name, path))
			return true;
	return !s->view && s->collection && words_find(&s->collection->named, path);
}

static bool knows_collection(const struct shaping *s, struct bytes name)
{
	const struct policy *p = s->policy;

	for (size_t i = 0; i < p->ncollections; i++)
		if (bytes_equal(p->collections[i].db, s->db) &&
			bytes_equal(p->collections[i].name, name))
			return true;
	for (size_t i = 0; i < p->nviews; i++)
		if (bytes_equal(p->views[i].db, s->db) && bytes_equal(p->views[i].name, name))
			return true;
	return false;
}

/* Keys of a query's parts that MongoDB knows beside its operators: options of stages and
 * arguments of expressions among them. */
static const char part_names[] =
	"q u c limit multi upsert collation arrayFilters hint sort key name unique sparse "
	"locale strength path bsonType required properties level w j wtimeout mode "
	"batchSize from localField foreignField as let pipeline coll into on whenMatched "
	"whenNotMatched includeArrayIndex preserveNullAndEmptyArrays startWith "
	"connectFromField connectToField maxDepth depthField restrictSearchWithMatch "
	"groupBy boundaries default output buckets granularity newRoot size partitionBy "
	"partitionByFields sortBy window documents range unit field bounds step value "
	"method input in cond vars if then else branches case initialValue date format "
	"timezone onNull onError to regex options replacement find chars start end "
	"startDate endDate startOfWeek amount dateString binSize year month day hour "
	"minute second millisecond";
static struct words parts;
static pthread_once_t parts_once = PTHREAD_ONCE_INIT;

static void fill_parts(void)
{
	const char *at = part_names;

	while (*at) {
		size_t len = strcspn(at, " ");

		words_add(&parts, bytes_of(at, len), at);
		at += len + strspn(at + len, " ");
	}
}

static bool is_part(struct bytes name)
{
	pthread_once(&parts_once, fill_parts);
	return words_find(&parts, name) != NULL;
}

static void put_value(struct shaping *s, const struct element *e, struct bytes above);

static struct bytes join(uint8_t out[512], struct bytes above, struct bytes name)
{
	if (!above.len || above.len + 1 + name.len > 512)
		return name;
	memcpy(out, above.at, above.len);
	out[above.len] = '.';
	memcpy(out + above.len + 1, name.at, name.len);
	return bytes_of(out, above.len + 1 + name.len);
}

/* A name that a table has: nothing in it is to be escaped. */
static void put_name(struct shaping *s, struct bytes name)
{
	uint8_t *to = buf_reserve(s->out, name.len + 3);

	if (!to)
		return;
	to[0] = '"';
	memcpy(to + 1, name.at, name.len);
	to[name.len + 1] = '"';
	to[name.len + 2] = ':';
	buf_commit(s->out, name.len + 3);
}

/* How many have no name here, behind `n` that have one. */
static void put_others(struct shaping *s, size_t others, size_t n)
{
	if (!others)
		return;
	if (n)
		buf_put_u8(s->out, ',');
	buf_put(s->out, NAME("\"?\":"));
	buf_put_count(s->out, others);
}

#define NUMBERED_MAX 64u

/* The part of `name` up to the last dot at which a path of the policy ends, that dot
 * included; what comes behind it is of anybody's own choosing. */
static struct bytes known_prefix(const struct shaping *s, struct bytes name, struct bytes path)
{
	size_t before = path.len - name.len;

	for (size_t len = name.len; len-- > 0;)
		if (name.at[len] == '.' && is_declared(s, bytes_head(path, before + len)))
			return bytes_head(name, len + 1);
	return bytes_of("", 0);
}

/* "?1", or "personal_info.?1" */
static void put_numbered(struct shaping *s, struct bytes prefix, size_t number)
{
	buf_put_u8(s->out, '"');
	buf_put(s->out, prefix);
	buf_put_u8(s->out, '?');
	buf_put_count(s->out, number);
	buf_put(s->out, NAME("\":"));
}

/* A path of the policy in an expression: "$personal_info.name", "$$ROOT.personal_info.?". */
static bool put_expression(struct shaping *s, struct bytes text)
{
	struct bytes path = bytes_from(text, 1), variable, prefix;

	if (path.len && path.at[0] == '$') {
		path = bytes_from(path, 1);
		if (!path_next(&path, &variable) || system_variable(variable) == VARIABLE_UNKNOWN)
			return false;
		if (!path.len) {
			json_put_string(s->out, text);
			return true;
		}
	}
	if (path.len && is_declared(s, path)) {
		json_put_string(s->out, text);
		return true;
	}
	prefix = known_prefix(s, path, path);
	if (!prefix.len)
		return false;
	buf_put_u8(s->out, '"');
	buf_put(s->out, bytes_head(text, text.len - path.len + prefix.len));
	buf_put(s->out, NAME("?\""));
	return true;
}

static void put_document(struct shaping *s, struct bytes doc, struct bytes above)
{
	struct doc_iter it = doc_iter_of(doc);
	size_t others = 0, numbered = 0, n = 0;
	struct element e;

	buf_put_u8(s->out, '{');
	while (doc_next(&it, &e)) {
		uint8_t joined[512] NOT_SET;
		struct bytes path = join(joined, above, e.name);
		bool operator= e.name.len && e.name.at[0] == '$';
		bool declared = !operator&& is_declared(s, path);

		bool known = operator? operator_exists(e.name) : declared || is_part(e.name);

		if (!known && (operator|| s->counts || numbered == NUMBERED_MAX)) {
			others++;
			continue;
		}
		if (n++)
			buf_put_u8(s->out, ',');
		if (known) {
			json_put_string(s->out, e.name);
			buf_put_u8(s->out, ':');
		} else {
			put_numbered(s, known_prefix(s, e.name, path), ++numbered);
		}
		put_value(s, &e, declared || !known ? path : above);
	}
	put_others(s, others, n);
	buf_put_u8(s->out, '}');
}

/* Whether what was just written from `begin` on is one of those before. */
static bool stands_already(struct shaping *s, const size_t *begins, size_t n, size_t begin)
{
	const struct buf *out = s->out;
	struct bytes fresh = bytes_of(out->at + begin, out->len - begin);

	for (size_t i = 0; i < n; i++) {
		if (begins[i] + fresh.len > begin)
			continue;
		s->compared += fresh.len;
		if (memcmp(out->at + begins[i], fresh.at, fresh.len) == 0)
			return true;
	}
	return false;
}

static void put_list_begin(struct shaping *s, size_t *n, size_t *begin)
{
	if (*n)
		buf_put_u8(s->out, ',');
	*begin = s->out->len;
}

static void end_item(struct shaping *s, size_t begins[DISTINCT_MAX], size_t *n, size_t begin)
{
	if (s->out->failed)
		return;
	if (*n == DISTINCT_MAX || s->compared > COMPARED_MAX ||
		stands_already(s, begins, *n, begin))
		s->out->len = *n ? begin - 1 : begin;
	else
		begins[(*n)++] = begin;
}

/* Arrays as their distinct shapes. */
static void put_array(struct shaping *s, struct bytes array, struct bytes above)
{
	struct doc_iter it = doc_iter_of(array);
	size_t begins[DISTINCT_MAX] NOT_SET;
	size_t n = 0, begin;
	struct element e;

	buf_put_u8(s->out, '[');
	while (!s->out->failed && doc_next(&it, &e)) {
		put_list_begin(s, &n, &begin);
		put_value(s, &e, above);
		end_item(s, begins, &n, begin);
	}
	buf_put_u8(s->out, ']');
}

/* What another collection, a path or an option is called, where it is the policy's word or
 * MongoDB's: without it nobody could say later what a command asked for. */
static bool is_word_of_option(const struct shaping *s, const struct element *e)
{
	static const char *const collections[] = {"from", "coll", "$unionWith", "into", "$out"};
	static const char *const paths[] = {
		"key", "localField", "foreignField", "connectFromField", "connectToField"};
	struct bytes text = element_string(e);

	for (size_t i = 0; i < COUNT_OF(collections); i++)
		if (element_named(e, collections[i]))
			return knows_collection(s, text);
	for (size_t i = 0; i < COUNT_OF(paths); i++)
		if (element_named(e, paths[i]))
			return is_declared(s, text) || known_prefix(s, text, text).len;
	return element_named(e, "locale") && bytes_equal(text, NAME("simple"));
}

static void put_string(struct shaping *s, const struct element *e)
{
	struct bytes text = element_string(e), prefix;

	if (!is_word_of_option(s, e)) {
		if (!text.len || text.at[0] != '$')
			buf_put(s->out, type_text(TYPE_STRING));
		else if (!put_expression(s, text))
			buf_put(s->out, NAME("\"?path\""));
	} else if (is_declared(s, text) || !(prefix = known_prefix(s, text, text)).len) {
		json_put_string(s->out, text);
	} else {
		buf_put_u8(s->out, '"');
		buf_put(s->out, prefix);
		buf_put(s->out, NAME("?\""));
	}
}

static void put_value(struct shaping *s, const struct element *e, struct bytes above)
{
	if (e->type == TYPE_DOCUMENT)
		put_document(s, e->value, above);
	else if (e->type == TYPE_ARRAY)
		put_array(s, e->value, above);
	else if (e->type == TYPE_STRING)
		put_string(s, e);
	else if (e->type == TYPE_BOOL && (element_named(e, "upsert") || element_named(e, "multi")))
		buf_put_str(s->out, element_truth(e) ? "true" : "false");
	else
		buf_put(s->out, type_text(e->type));
}

static void put_sequence(struct shaping *s, const struct wire_seq *seq)
{
	size_t begins[DISTINCT_MAX] NOT_SET;
	size_t n = 0, begin;
	struct bytes docs = seq->docs;

	buf_put_u8(s->out, ',');
	json_put_string(s->out, seq->name);
	buf_put_str(s->out, ":[");
	while (docs.len && !s->out->failed) {
		struct bytes doc = doc_at_front(docs);

		put_list_begin(s, &n, &begin);
		put_document(s, doc, bytes_of("", 0));
		end_item(s, begins, &n, begin);
		docs = bytes_from(docs, doc.len);
	}
	buf_put_u8(s->out, ']');
}

/* What every command carries says nothing about it. */
static bool is_frame_field(struct bytes name)
{
	static const struct bytes names[] = {BYTES_LITERAL("$db"), BYTES_LITERAL("lsid"),
		BYTES_LITERAL("$clusterTime"), BYTES_LITERAL("comment"), BYTES_LITERAL("txnNumber"),
		BYTES_LITERAL("apiVersion"), BYTES_LITERAL("apiStrict"),
		BYTES_LITERAL("apiDeprecationErrors")};

	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (bytes_equal(name, names[i]))
			return true;
	return false;
}

static void put_fields(struct shaping *s, const struct command *c, bool known)
{
	size_t others = 0;

	for (size_t i = 1; i < c->nfields; i++) {
		const struct element *e = &c->fields[i];

		if (is_frame_field(e->name))
			continue;
		if (!known && !command_field_is_known(s->row, e->name)) {
			others++;
			continue;
		}
		buf_put_u8(s->out, ',');
		put_name(s, e->name);
		s->counts = element_named(e, "documents");
		put_value(s, e, bytes_of("", 0));
	}
	for (size_t i = 0; i < c->nseq; i++) {
		s->counts = bytes_equal_str(c->seq[i].name, "documents");
		if (known || command_field_is_known(s->row, c->seq[i].name))
			put_sequence(s, &c->seq[i]);
		else
			others++;
	}
	put_others(s, others, 1);
}

static void put_first(struct shaping *s, const struct command *c);

/* The command that explain holds. */
static void put_inner(struct shaping *s, const struct command *outer)
{
	const struct command_row *row = s->row;
	struct command inner;
	struct fault unwanted;

	if (outer->first.type != TYPE_DOCUMENT ||
		!command_of_document(&inner, outer, outer->first.value, &unwanted) ||
		!(s->row = command_look_up(inner.name))) {
		s->row = row;
		buf_put(s->out, type_text(outer->first.type));
		return;
	}
	buf_put_u8(s->out, '{');
	json_put_string(s->out, bytes_str(s->row->name));
	buf_put_u8(s->out, ':');
	if (s->row->id != COMMAND_EXPLAIN)
		put_first(s, &inner);
	else
		buf_put(s->out, type_text(inner.first.type));
	put_fields(s, &inner, false);
	buf_put_u8(s->out, '}');
	s->row = row;
}

/* The collection's name, where the command has one. */
static void put_first(struct shaping *s, const struct command *c)
{
	if (s->row->on == ON_COLLECTION && c->first.type == TYPE_STRING)
		json_put_string_cut(s->out, element_string(&c->first), AUDIT_NAME_MAX);
	else if (s->row->id == COMMAND_EXPLAIN)
		put_inner(s, c);
	else
		buf_put(s->out, type_text(c->first.type));
}

/* False: it grew over the limit of `out`. */
static bool put_shape(struct shaping *s, const struct plan *plan, const struct command *c)
{
	buf_clear(s->out);
	s->row = plan->row;
	s->compared = 0;
	buf_put_u8(s->out, '{');
	put_name(s, bytes_str(s->row->name));
	put_first(s, c);
	put_fields(s, c, plan->fields_known);
	buf_put_u8(s->out, '}');
	return !s->out->failed;
}

/* The whole of it, so that also what a record cannot hold is told apart. */
static uint8_t *hash_long_shape(
	struct shaping *s, struct arena *arena, const struct plan *plan, const struct command *c)
{
	uint8_t *hash = arena_alloc(arena, AUDIT_SHAPE_HASH_LEN);
	struct buf whole;

	buf_init(&whole, SHAPE_MAX);
	s->out = &whole;
	audit_shape_hash(put_shape(s, plan, c) ? buf_bytes(&whole) : NAME(LONG_SHAPE), hash);
	buf_fini(&whole);
	return hash;
}

void record_shape(struct audit_record *r, struct buf *text, struct arena *arena,
	const struct policy *p, const struct plan *plan, const struct command *c)
{
	struct shaping s = {
		.policy = p,
		.db = c->db,
		.collection = policy_collection(p, plan->ns),
		.view = policy_view(p, plan->ns),
		.out = text,
	};

	if (!plan->row)
		r->shape = NAME("{\"?\":1}");
	else if (put_shape(&s, plan, c) && text->len <= AUDIT_SHAPE_MAX)
		r->shape = arena_copy(arena, buf_bytes(text));
	else
		r->shape_hash = hash_long_shape(&s, arena, plan, c);
}
