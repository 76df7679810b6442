#include "transform/risk.h"

#include <stdlib.h>

#include <sodium.h>

#include "query/match.h"
#include "query/path.h"
#include "transform/inside.h"
#include "transform/risk_search.h"
#include "transform/risk_table.h"
#include "util/memory.h"

struct risk {
	struct risk_options options;
	struct transform *transform;
	struct reply_rules row_rules;  /* of the view */
	struct reply_rules open_rules; /* everything in plaintext */
	uint8_t key[crypto_shorthash_KEYBYTES];
	struct buf row, opened, scratch;
	struct risk_table table;
	struct risk_people people;
	struct risk_tally kinds; /* of rows, alike in all but pseudonyms */
	uint64_t left_out;
	struct risk_tally tallies[RISK_SEALED_MAX];
	struct risk_sealed sealed[RISK_SEALED_MAX];
	size_t nsealed;
	uint64_t quasi_rows[RISK_QUASI_MAX];
};

/* -------------------------------------------------------------------- making one */

static void set_rules(struct risk *r, struct policy *p)
{
	const struct virtual_view *v = r->options.view;

	r->open_rules = (struct reply_rules){
		.form = REPLY_CURSOR,
		.policy = p,
		.collection = r->options.collection,
		.tree = &r->options.collection->tree,
	};
	r->row_rules = r->open_rules;
	if (!v)
		return;
	r->row_rules.view = v;
	r->row_rules.nview_fields = v->nfields;
	r->row_rules.view_fields = memory_array(v->nfields, sizeof(*r->row_rules.view_fields));
	for (size_t i = 0; i < v->nfields; i++)
		r->row_rules.view_fields[i] = &v->fields[i];
}

/* What is stored also tells how alike ciphertext is. */
static void set_sealed(struct risk *r, const struct policy *p)
{
	const struct collection *c = r->options.collection;

	for (size_t i = 0; !r->options.view && i < c->nfields; i++) {
		if (c->fields[i].encrypted == NO_FIELD || r->nsealed == RISK_SEALED_MAX)
			continue;
		r->sealed[r->nsealed] = (struct risk_sealed){
			.path = c->fields[i].path,
			.deterministic = p->encrypted[c->fields[i].encrypted].deterministic,
		};
		risk_tally_init(&r->tallies[r->nsealed++], r->options.limit);
	}
}

struct risk *risk_new(struct policy *p, struct keyring *k, const struct master *m,
	const struct risk_options *options)
{
	struct risk *r = memory_new(sizeof(*r));

	r->options = *options;
	r->transform = transform_new(p, k, m);
	randombytes_buf(r->key, sizeof(r->key));
	buf_init(&r->row, DOC_SLACK_LEN);
	buf_init(&r->opened, DOC_SLACK_LEN);
	buf_init(&r->scratch, DOC_SLACK_LEN);
	set_rules(r, p);
	set_sealed(r, p);
	risk_table_init(&r->table, options->nquasi, options->nsensitive, options->limit);
	risk_people_init(&r->people, options->collection->nsubject_paths, options->limit);
	risk_tally_init(&r->kinds, options->limit);
	return r;
}

void risk_free(struct risk *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->nsealed; i++)
		risk_tally_fini(&r->tallies[i]);
	risk_tally_fini(&r->kinds);
	risk_people_fini(&r->people);
	risk_table_fini(&r->table);
	buf_wipe(&r->row);
	buf_wipe(&r->opened);
	buf_wipe(&r->scratch);
	free(r->row_rules.view_fields);
	transform_free(r->transform);
	free(r);
}

/* ------------------------------------------------------------------- the projection */

struct projecting {
	struct bytes *paths;
	size_t count, capacity;
};

/* The wider of two paths stands for both: a server refuses to take both. */
static void want(void *context, struct bytes path)
{
	struct projecting *p = context;
	size_t kept = 0;

	for (size_t i = 0; i < p->count; i++) {
		enum path_relation relation = path_relation(p->paths[i], path);

		if (relation == PATH_SAME || relation == PATH_ABOVE)
			return;
		if (relation == PATH_DISJOINT)
			p->paths[kept++] = p->paths[i];
	}
	p->count = kept;
	memory_grow(&p->paths, p->count, &p->capacity, sizeof(*p->paths));
	p->paths[p->count++] = path;
}

void risk_put_projection(const struct risk *r, struct buf *document)
{
	const struct risk_options *o = &r->options;
	const struct collection *c = o->collection;
	struct projecting p = {0};
	size_t begun = doc_begin(document);

	want(&p, bytes_str("_id"));
	for (size_t i = 0; i < c->nsubject_paths; i++)
		want(&p, c->subject_paths[i]);
	for (size_t i = 0; o->view && i < o->view->nfields; i++)
		if (!o->view->fields[i].of_subject)
			want(&p, o->view->fields[i].path);
	for (size_t i = 0; !o->view && i < o->nquasi; i++)
		want(&p, o->quasi[i]);
	for (size_t i = 0; !o->view && i < o->nsensitive; i++)
		want(&p, o->sensitive[i]);
	for (size_t i = 0; i < r->nsealed; i++)
		want(&p, r->sealed[i].path);
	if (o->rows.len)
		match_each_path(o->rows, want, &p);
	for (size_t i = 0; i < p.count; i++)
		doc_put_int32(document, p.paths[i], 1);
	doc_end(document, begun);
	free(p.paths);
}

/* ---------------------------------------------------------------------- one document */

/* Through documents; an array on the way, or at the end, is one value. */
static bool look_up(struct bytes doc, struct bytes path, struct element *e)
{
	struct bytes component;

	while (path_next(&path, &component)) {
		if (!doc_find_name(doc, component, e))
			return false;
		if (!path.len || e->type == TYPE_ARRAY)
			return true;
		if (e->type != TYPE_DOCUMENT)
			return false;
		doc = e->value;
	}
	return false;
}

static uint64_t hash_bytes(struct risk *r, uint8_t type, struct bytes bytes)
{
	uint8_t hash[crypto_shorthash_BYTES];
	uint64_t n;

	buf_clear(&r->scratch);
	buf_put_u8(&r->scratch, type);
	buf_put(&r->scratch, bytes);
	crypto_shorthash(hash, r->scratch.at, r->scratch.len, r->key);
	n = load_u64(hash);
	return n ? n : 1;
}

/* The same number under another type is the same value. */
static uint64_t hash_element(struct risk *r, const struct element *e)
{
	uint8_t whole[8];
	int64_t n;

	if (!element_is_number(e) || !element_int(e, &n))
		return hash_bytes(r, e->type, e->value);
	store_u64(whole, (uint64_t)n);
	return hash_bytes(r, TYPE_INT64, bytes_of(whole, sizeof(whole)));
}

static uint64_t hash_path(struct risk *r, struct bytes doc, struct bytes path)
{
	struct element e;

	return look_up(doc, path, &e) ? hash_element(r, &e) : 0;
}

/* 0: not there.  The spelling of a text is no difference between people. */
static uint32_t hash_part(struct risk *r, const struct value *part)
{
	const struct element e = {.type = part->type, .value = part->bytes};
	uint64_t hash;

	if (!part->type || part->type == TYPE_NULL || part->type == TYPE_UNDEFINED)
		return 0;
	if (part->type == TYPE_STRING) {
		buf_clear(&r->opened);
		normalize_text(element_string(&e), &r->opened);
		hash = hash_bytes(r, TYPE_STRING, buf_bytes(&r->opened));
	} else {
		hash = hash_element(r, &e);
	}
	return (uint32_t)hash ? (uint32_t)hash : 1;
}

static bool is_of_line(const struct subject_line *line, size_t part)
{
	for (size_t i = 0; i < line->nparts; i++)
		if ((size_t)line->parts[i] == part)
			return true;
	return false;
}

static bool limit_passed(const struct risk *r, struct fault *why)
{
	return fault_set(why, FAULT_TOO_COMPLEX, "over %zu different combinations of values",
		r->options.limit);
}

/* Whose document it is; and whether that patient's other documents look like another's. */
static bool find_patient(struct risk *r, struct bytes doc, uint64_t *patient, struct fault *why)
{
	const struct collection *c = r->options.collection;
	uint32_t parts[POLICY_SUBJECT_PATHS] = {0};
	const struct subject_line *line;
	struct disclosure disclosure = {0};
	struct subject_token token;
	struct walk walk;
	bool fine;

	walk_init(&walk, r->transform, &r->open_rules, &disclosure, why);
	fine = walk_find_parts(&walk, doc);
	if (fine && subject_of(r->transform, TOKEN_SUBJECT, c, walk.parts, &token)) {
		*patient = load_u64(token.token.bytes);
		line = subject_line_of(c, walk.parts);
		for (size_t i = 0; line && i < c->nsubject_paths; i++)
			parts[i] = is_of_line(line, i) ? 0 : hash_part(r, &walk.parts[i]);
		if (line && !risk_people_add(&r->people, *patient, parts))
			fine = limit_passed(r, why);
	} else {
		*patient = risk_mix(5, r->table.nrows);
	}
	walk_fini(&walk);
	return fine;
}

static bool count_sealed(struct risk *r, struct bytes doc, struct fault *why)
{
	for (size_t i = 0; i < r->nsealed; i++) {
		struct element e;
		uint8_t subtype = 0;
		bool there = look_up(doc, r->sealed[i].path, &e);

		if (there && e.type == TYPE_BINARY)
			(void)element_binary(&e, &subtype);
		if (there && subtype != BINARY_ENCRYPTED)
			r->sealed[i].plain++;
		if (!risk_tally_add(&r->tallies[i], there ? hash_element(r, &e) : 0))
			return limit_passed(r, why);
	}
	return true;
}

static bool is_among_rows(struct risk *r, struct bytes doc, bool *among, struct fault *why)
{
	*among = true;
	if (!r->options.rows.len)
		return true;
	buf_clear(&r->opened);
	if (!transform_show(r->transform, &r->open_rules, doc, &r->opened, why))
		return false;
	*among = match_document(r->options.rows, buf_bytes(&r->opened));
	return true;
}

static bool add_row(struct risk *r, struct bytes row, uint64_t patient, struct fault *why)
{
	const struct risk_options *o = &r->options;
	uint64_t quasi[RISK_QUASI_MAX], sensitive[RISK_SENSITIVE_MAX];

	for (size_t i = 0; i < o->nquasi; i++) {
		quasi[i] = hash_path(r, row, o->quasi[i]);
		r->quasi_rows[i] += quasi[i] != 0;
	}
	for (size_t i = 0; i < o->nsensitive; i++)
		sensitive[i] = hash_path(r, row, o->sensitive[i]);
	return risk_table_add(&r->table, quasi, patient, sensitive) || limit_passed(r, why);
}

static bool make_row(struct risk *r, struct bytes stored, struct bytes *row, struct fault *why)
{
	*row = stored;
	if (!r->options.view)
		return true;
	buf_clear(&r->row);
	if (!transform_show(r->transform, &r->row_rules, stored, &r->row, why))
		return false;
	*row = buf_bytes(&r->row);
	return true;
}

bool risk_wants_kinds(const struct risk *r)
{
	return r->options.view && r->options.view->min_group;
}

static uint64_t kind_of(struct risk *r, struct bytes row)
{
	const struct virtual_view *v = r->options.view;
	uint64_t kind = 6;

	for (size_t i = 0; i < v->nfields; i++) {
		const struct view_field *f = &v->fields[i];

		if (!(f->mask && f->mask->kind == MASK_PSEUDONYM) && policy_view_shows(v, f))
			kind = risk_mix(kind, hash_path(r, row, f->name));
	}
	return kind ? kind : 1;
}

bool risk_add_kind(struct risk *r, struct bytes stored, struct fault *why)
{
	struct bytes row;
	bool among;

	if (!is_among_rows(r, stored, &among, why))
		return false;
	if (!among)
		return true;
	return make_row(r, stored, &row, why) &&
	       (risk_tally_add(&r->kinds, kind_of(r, row)) || limit_passed(r, why));
}

static bool is_left_out(struct risk *r, struct bytes row)
{
	return risk_wants_kinds(r) &&
	       risk_tally_count(&r->kinds, kind_of(r, row)) < r->options.view->min_group;
}

bool risk_add(struct risk *r, struct bytes stored, struct fault *why)
{
	struct bytes row;
	uint64_t patient;
	bool among;

	if (!is_among_rows(r, stored, &among, why))
		return false;
	if (!among)
		return true;
	if (!make_row(r, stored, &row, why))
		return false;
	if (is_left_out(r, row)) {
		r->left_out++;
		return true;
	}
	return find_patient(r, stored, &patient, why) && count_sealed(r, stored, why) &&
	       add_row(r, row, patient, why);
}

/* ------------------------------------------------------------------------- results */

static const uint64_t bounds[RISK_BUCKETS] = {1, 2, 5, 11, 50, 200};

static void note_smallest(struct risk_result *out, uint64_t size)
{
	size_t i = 0;

	while (i < out->nsmallest && out->smallest[i].size < size)
		i++;
	if (i < out->nsmallest && out->smallest[i].size == size) {
		out->smallest[i].classes++;
		return;
	}
	if (i == RISK_SMALLEST_MAX)
		return;
	out->nsmallest += out->nsmallest < RISK_SMALLEST_MAX;
	for (size_t k = out->nsmallest - 1; k > i; k--)
		out->smallest[k] = out->smallest[k - 1];
	out->smallest[i].size = size;
	out->smallest[i].classes = 1;
}

static void note_class(const struct risk_table *t, size_t class, struct risk_result *out)
{
	uint64_t size = t->patients[class], rows = t->rows[class];
	size_t bucket = RISK_BUCKETS - 1;

	while (size < bounds[bucket])
		bucket--;
	out->buckets[bucket].classes++;
	out->buckets[bucket].rows += rows;
	out->rows_under_2 += size < 2 ? rows : 0;
	out->rows_under_5 += size < 5 ? rows : 0;
	out->rows_under_11 += size < 11 ? rows : 0;
	note_smallest(out, size);
	for (size_t i = 0; i < t->nsensitive; i++) {
		struct risk_diversity *d = &out->diversity[i];
		uint64_t values = t->diversity[class * t->nsensitive + i];

		d->least = !d->least || values < d->least ? values : d->least;
		d->rows_one += values < 2 ? rows : 0;
		d->rows_few += values < 3 ? rows : 0;
	}
}

static int by_patient(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* One patient can be in several classes. */
static uint64_t count_patients(const struct risk_table *t)
{
	uint64_t *list = memory_array(t->npersons, sizeof(*list)), n = 0;

	for (size_t i = 0; i < t->npersons; i++)
		list[i] = t->persons[i].patient;
	qsort(list, t->npersons, sizeof(*list), by_patient);
	for (size_t i = 0; i < t->npersons; i++)
		n += i == 0 || list[i] != list[i - 1];
	free(list);
	return n;
}

static void sum_up_sealed(const struct risk *r, struct risk_result *out)
{
	out->nsealed = r->nsealed;
	for (size_t i = 0; i < r->nsealed; i++) {
		const struct risk_tally *t = &r->tallies[i];
		struct risk_sealed *s = &out->sealed[i];

		*s = r->sealed[i];
		s->values = t->count;
		s->documents = t->rows - t->absent;
		for (size_t k = 0; k < t->capacity; k++) {
			s->most = t->entries[k].count > s->most ? t->entries[k].count : s->most;
			s->alone += t->entries[k].count == 1;
		}
	}
}

static void sum_up_people(const struct risk *r, struct risk_result *out)
{
	out->has_subject = r->options.collection->nsubjects != 0;
	for (size_t i = 0; i < r->people.count; i++) {
		const struct risk_one *one = &r->people.list[i];

		if (one->documents < 2)
			continue;
		out->shared_patients++;
		out->shared_documents += one->documents;
		out->shared_differ += one->differs;
	}
}

bool risk_finish(struct risk *r, risk_tick_fn *tick, void *context, struct risk_result *out)
{
	const struct risk_table *t = &r->table;

	*out = (struct risk_result){.rows = t->nrows, .classes = t->nclasses};
	for (size_t i = 0; i < RISK_BUCKETS; i++) {
		out->buckets[i].low = bounds[i];
		out->buckets[i].high = i + 1 < RISK_BUCKETS ? bounds[i + 1] - 1 : UINT64_MAX;
	}
	for (size_t i = 0; i < t->nclasses; i++)
		note_class(t, i, out);
	out->left_out = r->left_out;
	memcpy(out->quasi_rows, r->quasi_rows, sizeof(out->quasi_rows));
	out->patients = count_patients(t);
	sum_up_sealed(r, out);
	sum_up_people(r, out);
	return risk_search(t, RISK_WORK_MAX, tick, context, out);
}
