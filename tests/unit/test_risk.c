#include "unit.h"

#include <stdlib.h>

#include <bson/bson.h>

#include "keys_fixture.h"
#include "transform/inside.h"
#include "transform/risk.h"
#include "transform/risk_search.h"
#include "transform/risk_table.h"
#include "util/memory.h"

/* ------------------------------------------------------------- counting, by numbers */

#define ROWS      3000u
#define QUASI     4u
#define SENSITIVE 2u
#define PATIENTS  900u

static struct {
	uint64_t quasi[QUASI], patient, sensitive[SENSITIVE];
} rows[ROWS];

/* The same numbers on every machine. */
static uint64_t draw(uint64_t below)
{
	static uint64_t state = 12345;

	state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return 1 + (state >> 33) % below;
}

static void draw_rows(struct risk_table *t)
{
	static const uint64_t domains[QUASI] = {40, 2, 25, 3};

	risk_table_init(t, QUASI, SENSITIVE, RISK_LIMIT);
	for (size_t i = 0; i < ROWS; i++) {
		for (size_t k = 0; k < QUASI; k++)
			rows[i].quasi[k] = draw(domains[k]) - (k == 3);
		for (size_t k = 0; k < SENSITIVE; k++)
			rows[i].sensitive[k] = draw(3) - 1;
		rows[i].patient = draw(PATIENTS);
		assert_true(risk_table_add(t, rows[i].quasi, rows[i].patient, rows[i].sensitive));
	}
}

/* How many patients are alike in the fields of `set`; and, of one sensitive field, values. */
static size_t count_alike(size_t row, unsigned set, uint64_t *nrows, size_t values[SENSITIVE])
{
	bool patients[PATIENTS + 1] = {false}, seen[SENSITIVE][4] = {{false}};
	size_t n = 0;

	*nrows = 0;
	memset(values, 0, SENSITIVE * sizeof(*values));
	for (size_t i = 0; i < ROWS; i++) {
		bool alike = true;

		for (size_t k = 0; k < QUASI; k++)
			alike &= !(set & 1u << k) || rows[i].quasi[k] == rows[row].quasi[k];
		if (!alike)
			continue;
		++*nrows;
		n += !patients[rows[i].patient];
		patients[rows[i].patient] = true;
		for (size_t k = 0; k < SENSITIVE; k++) {
			values[k] += !seen[k][rows[i].sensitive[k]];
			seen[k][rows[i].sensitive[k]] = true;
		}
	}
	return n;
}

static size_t class_of_row(const struct risk_table *t, size_t row)
{
	for (size_t i = 0; i < t->nclasses; i++)
		if (memcmp(t->values + i * QUASI, rows[row].quasi, sizeof(rows[row].quasi)) == 0)
			return i;
	fail_msg("row %zu has no class", row);
	return 0;
}

static void test_classes(void **state)
{
	struct risk_table t;
	uint64_t sum = 0;

	(void)state;
	draw_rows(&t);
	for (size_t i = 0; i < ROWS; i++) {
		size_t class = class_of_row(&t, i), values[SENSITIVE];
		uint64_t nrows;

		assert_int_equal(count_alike(i, 15, &nrows, values), t.patients[class]);
		assert_int_equal(nrows, t.rows[class]);
		for (size_t k = 0; k < SENSITIVE; k++)
			assert_int_equal(values[k], t.diversity[class * SENSITIVE + k]);
	}
	for (size_t i = 0; i < t.nclasses; i++)
		sum += t.rows[i];
	assert_int_equal(sum, ROWS);
	assert_int_equal(t.nrows, ROWS);
	assert_true(t.nclasses > 1024); /* it has grown on the way */
	risk_table_fini(&t);
}

static uint64_t count_alone(unsigned set)
{
	uint64_t n = 0, nrows;
	size_t values[SENSITIVE];

	for (size_t i = 0; i < ROWS; i++)
		n += count_alike(i, set, &nrows, values) == 1;
	return n;
}

static unsigned set_of(const struct risk_combination *c)
{
	unsigned set = 0;

	for (size_t i = 0; i < c->nfields; i++)
		set |= 1u << c->fields[i];
	return set;
}

static void test_combinations(void **state)
{
	uint64_t alone[16], worst[QUASI + 1] = {0};
	struct risk_result r, greedy;
	struct risk_table t;

	(void)state;
	draw_rows(&t);
	for (unsigned set = 1; set < 16; set++) {
		size_t n = (size_t)__builtin_popcount(set);

		alone[set] = count_alone(set);
		worst[n] = alone[set] > worst[n] ? alone[set] : worst[n];
	}
	assert_true(risk_search(&t, RISK_WORK_MAX, NULL, NULL, &r));
	assert_true(r.searched_all);
	assert_int_equal(r.ncombinations, 4);
	for (size_t i = 0; i < r.ncombinations; i++) {
		assert_int_equal(r.combinations[i].nfields, i + 1);
		assert_int_equal(r.combinations[i].rows_alone, worst[i + 1]);
		assert_int_equal(r.combinations[i].rows_alone, alone[set_of(&r.combinations[i])]);
	}
	assert_true(worst[2] > 0 && worst[4] > worst[3]);
	/* With too much to look at, each adds a field to the one before. */
	assert_true(risk_search(&t, 0, NULL, NULL, &greedy));
	assert_false(greedy.searched_all);
	assert_int_equal(greedy.ncombinations, 4);
	for (size_t i = 0; i < greedy.ncombinations; i++) {
		unsigned set = set_of(&greedy.combinations[i]);

		assert_int_equal(greedy.combinations[i].rows_alone, alone[set]);
		if (i)
			assert_int_equal(set & set_of(&greedy.combinations[i - 1]),
				set_of(&greedy.combinations[i - 1]));
	}
	assert_int_equal(greedy.combinations[0].rows_alone, worst[1]);
	risk_table_fini(&t);
}

struct ticking {
	uint64_t ticks, stop_at, all;
};

static bool tick(void *context, uint64_t done, uint64_t all)
{
	struct ticking *t = context;

	t->ticks++;
	assert_int_equal(done, t->ticks);
	t->all = all;
	return t->ticks != t->stop_at;
}

static void test_search_stops(void **state)
{
	struct ticking to_the_end = {0}, stopped = {.stop_at = 6};
	struct risk_result r;
	struct risk_table t;

	(void)state;
	draw_rows(&t);
	assert_true(risk_search(&t, RISK_WORK_MAX, tick, &to_the_end, &r));
	assert_int_equal(to_the_end.ticks, 4 + 6 + 4 + 1);
	assert_int_equal(to_the_end.all, to_the_end.ticks);
	assert_false(risk_search(&t, RISK_WORK_MAX, tick, &stopped, &r));
	assert_int_equal(stopped.ticks, 6);
	risk_table_fini(&t);
}

static void test_table_limits(void **state)
{
	struct risk_table t;

	(void)state;
	for (int what = 0; what < 3; what++) {
		risk_table_init(&t, 1, 1, 3);
		for (uint64_t i = 1; i <= 4; i++) {
			uint64_t quasi = what == 0 ? i : 1, sensitive = what == 2 ? i : 1;
			bool added = risk_table_add(&t, &quasi, what == 1 ? i : 1, &sensitive);

			assert_int_equal(added, i <= 3);
		}
		/* What is known already has room. */
		assert_true(risk_table_add(&t, &(uint64_t){1}, 1, &(uint64_t){1}));
		risk_table_fini(&t);
	}
}

static void test_tally(void **state)
{
	struct risk_tally t;
	size_t found = 0;

	(void)state;
	risk_tally_init(&t, 2000);
	for (uint64_t i = 0; i < 2000; i++)
		assert_true(risk_tally_add(&t, 1 + i));
	assert_false(risk_tally_add(&t, 2001));
	assert_true(risk_tally_add(&t, 7));
	assert_true(risk_tally_add(&t, 0));
	assert_int_equal(t.count, 2000);
	assert_int_equal(t.absent, 1);
	assert_int_equal(t.rows, 2003);
	for (size_t i = 0; i < t.capacity; i++) {
		found += t.entries[i].value != 0;
		assert_true(t.entries[i].count == (t.entries[i].value == 7 ? 2u : 1u) ||
			    !t.entries[i].value);
	}
	assert_int_equal(found, 2000);
	risk_tally_fini(&t);
}

static void test_people(void **state)
{
	struct risk_people p;

	(void)state;
	risk_people_init(&p, 2, 1500);
	for (uint64_t i = 1; i <= 1500; i++)
		assert_true(risk_people_add(&p, i, (const uint32_t[]){(uint32_t)i, 0}));
	assert_false(risk_people_add(&p, 1501, (const uint32_t[]){1, 1}));
	/* What is missing differs from nothing, and is known from then on. */
	assert_true(risk_people_add(&p, 3, (const uint32_t[]){0, 9}));
	assert_true(risk_people_add(&p, 4, (const uint32_t[]){4, 0}));
	assert_false(p.list[2].differs || p.list[3].differs);
	assert_true(risk_people_add(&p, 3, (const uint32_t[]){3, 8}));
	assert_true(p.list[2].differs);
	assert_int_equal(p.list[2].documents, 3);
	assert_int_equal(p.list[3].documents, 2);
	risk_people_fini(&p);
}

/* --------------------------------------------------------------------- documents */

static const char policy_text[] =
	"mongoward: 1\n"
	"classes: {identity: {}, demographic: {}, medical: {}}\n"
	"collections:\n"
	"  c.p:\n"
	"    subject: [{of: [who.ssn]}, {of: [who.name], normalized: true}]\n"
	"    fields:\n"
	"      who.name: {class: identity, type: string, encrypt: {algorithm: deterministic}}\n"
	"      who.ssn: {class: identity, type: string, encrypt: {algorithm: random}}\n"
	"      who: {class: demographic}\n"
	"      ill: {class: medical}\n"
	"      ward: {class: demographic}\n"
	"    accountable: [identity, medical]\n"
	"views:\n"
	"  c.v:\n"
	"    from: c.p\n"
	"    rows: {ward: \"${user.ward}\"}\n"
	"    fields:\n"
	"      id: {of: \"${subject}\", mask: pseudonym}\n"
	"      alias: {of: who.name, mask: pseudonym}\n"
	"      initial: {of: who.name, mask: partial, keep_first: 1, with: .}\n"
	"      age: {of: who.age, mask: bands, edges: [18, 65]}\n"
	"      sex: {of: who.sex}\n"
	"      illness: {of: ill}\n";

struct world {
	struct policy *policy;
	struct master *master;
	struct keyring *keyring;
	struct transform *transform;
	struct arena arena;
	struct risk_paths quasi, sensitive;
	struct risk *risk;
	struct risk_result result;
};

static int make_world(void **state)
{
	struct world *w = memory_new(sizeof(*w));
	struct complaints complaints;
	struct fault why;

	arena_init(&w->arena);
	complaints_init(&complaints);
	w->policy = policy_load_text("f.yaml", bytes_str(policy_text), &complaints);
	if (!w->policy)
		fail_msg("%.*s", BYTES_ARG(buf_bytes(&complaints.lines)));
	complaints_fini(&complaints);
	w->master = fixture_master(1);
	w->keyring = fixture_keyring(w->master);
	for (size_t i = 0; i < w->policy->nencrypted; i++) {
		struct buf document;

		buf_init(&document, 4096);
		assert_true(keyring_make_document(w->master, w->policy->encrypted[i].ns,
			w->policy->encrypted[i].path, 0, &document, &why));
		assert_int_equal(keyring_add(w->keyring, buf_bytes(&document), &why), KEY_ADDED);
		buf_fini(&document);
	}
	w->transform = transform_new(w->policy, w->keyring, w->master);
	*state = w;
	return 0;
}

static int free_world(void **state)
{
	struct world *w = *state;

	risk_free(w->risk);
	transform_free(w->transform);
	keyring_unref(w->keyring);
	master_free(w->master);
	policy_unref(w->policy);
	arena_fini(&w->arena);
	free(w);
	return 0;
}

static struct bytes bson_of(struct world *w, const char *json)
{
	bson_error_t error;
	bson_t *doc = bson_new_from_json((const uint8_t *)json, -1, &error);
	struct bytes copy;

	if (!doc)
		fail_msg("%s: %s", json, error.message);
	copy = arena_copy(&w->arena, bytes_of(bson_get_data(doc), doc->len));
	bson_destroy(doc);
	return copy;
}

static struct bytes stored(struct world *w, const char *json)
{
	struct bytes copy;
	struct fault why;
	struct buf out;

	buf_init(&out, DOC_SLACK_LEN);
	assert_true(put_stored(
		w->transform, &w->policy->collections[0], bson_of(w, json), true, 1, &out, &why));
	copy = arena_copy(&w->arena, buf_bytes(&out));
	buf_fini(&out);
	return copy;
}

static void begin(struct world *w, bool view, const char *rows_json, size_t limit)
{
	const struct risk_options options = {
		.collection = &w->policy->collections[0],
		.view = view ? &w->policy->views[0] : NULL,
		.rows = rows_json ? bson_of(w, rows_json) : bytes_of("", 0),
		.quasi = w->quasi.at,
		.nquasi = w->quasi.count,
		.sensitive = w->sensitive.at,
		.nsensitive = w->sensitive.count,
		.limit = limit,
	};

	w->risk = risk_new(w->policy, w->keyring, w->master, &options);
}

static void add(struct world *w, struct bytes document)
{
	struct fault why;

	if (!risk_add(w->risk, document, &why))
		fail_msg("%s", why.detail);
}

static void finish(struct world *w)
{
	assert_true(risk_finish(w->risk, NULL, NULL, &w->result));
}

#define PERSON_OF(ssn, name, age, sex, ward, more)                                             \
	"{\"who\": {\"ssn\": \"" ssn "\", \"name\": \"" name "\", \"age\": " age ", \"sex\": " \
	"\"" sex "\"}, \"ward\": " ward more "}"
#define PERSON(ssn, name, age, sex) PERSON_OF(ssn, name, age, sex, "\"W1\"", ", \"ill\": \"flu\"")

static void expect_paths(const struct risk_paths *list, const char *joined)
{
	struct buf out;

	buf_init(&out, 4096);
	for (size_t i = 0; i < list->count; i++)
		buf_put_format(&out, "%s%.*s", i ? " " : "", BYTES_ARG(list->at[i]));
	buf_put_u8(&out, 0);
	assert_string_equal((const char *)out.at, joined);
	buf_fini(&out);
}

/* Rows are alike by what leaves: by bands and initials, not by ages and names. */
static void test_view(void **state)
{
	struct world *w = *state;

	risk_view_fields(&w->policy->views[0], &w->quasi, &w->sensitive);
	expect_paths(&w->quasi, "initial age sex");
	expect_paths(&w->sensitive, "illness");
	begin(w, true, "{\"ward\": \"W1\"}", RISK_LIMIT);
	add(w, stored(w, PERSON("1", "Ada", "20", "F")));
	add(w, stored(w, PERSON("2", "Ann", "64", "F")));
	add(w, stored(w, PERSON_OF("2", "Ann", "33.5", "F", "\"W1\"", ", \"ill\": \"gout\"")));
	add(w, stored(w, PERSON("3", "Amy", "65", "F")));
	add(w, stored(w, PERSON_OF("4", "Bob", "20", "M", "[\"W1\"]", "")));
	add(w, bson_of(w, "{\"_id\": 1, \"ward\": \"W2\"}"));
	finish(w);
	assert_int_equal(w->result.rows, 4);
	assert_int_equal(w->result.patients, 3);
	assert_int_equal(w->result.classes, 2);
	assert_int_equal(w->result.smallest[0].size, 1);
	assert_int_equal(w->result.smallest[0].classes, 1);
	assert_int_equal(w->result.smallest[1].size, 2);
	assert_int_equal(w->result.nsmallest, 2);
	assert_int_equal(w->result.rows_under_2, 1);
	assert_int_equal(w->result.rows_under_5, 4);
	assert_int_equal(w->result.buckets[0].classes, 1);
	assert_int_equal(w->result.buckets[1].rows, 3);
	assert_int_equal(w->result.diversity[0].least, 1);
	assert_int_equal(w->result.diversity[0].rows_one, 1);
	assert_int_equal(w->result.diversity[0].rows_few, 4);
	assert_int_equal(w->result.nsealed, 0);
	assert_int_equal(w->result.shared_patients, 1);
	assert_int_equal(w->result.shared_documents, 2);
	assert_int_equal(w->result.shared_differ, 0);
}

static void test_rows(void **state)
{
	struct world *w = *state;

	w->quasi = (struct risk_paths){.at = {bytes_str("sex")}, .count = 1};
	begin(w, true, "{\"who.name\": \"Ada\", \"ward\": \"W1\"}", RISK_LIMIT);
	add(w, stored(w, PERSON("1", "Ada", "20", "F")));
	add(w, stored(w, PERSON("2", "Ann", "20", "F")));
	finish(w);
	assert_int_equal(w->result.rows, 1);
}

static const char *const people[] = {
	PERSON("1", "Ada", "20", "F"),
	PERSON("1", "Bea", "20", "F"), /* two people under one number */
	PERSON("2", "Cleo", "40", "F"),
	PERSON("2", "CLÉO", "41", "F"), /* one, in two spellings */
	PERSON("3", "Ada", "20", "M"),
};

static void test_stored(void **state)
{
	struct world *w = *state;

	w->sensitive = (struct risk_paths){.at = {bytes_str("ill")}, .count = 1};
	w->quasi = (struct risk_paths){
		.at = {bytes_str("who.age"), bytes_str("who.sex"), bytes_str("nowhere")},
		.count = 3};
	begin(w, false, NULL, RISK_LIMIT);
	for (size_t i = 0; i < COUNT_OF(people); i++)
		add(w, stored(w, people[i]));
	add(w, bson_of(w, "{\"_id\": 7, \"who\": {\"age\": {\"$numberDouble\": \"20.0\"}, "
			  "\"sex\": \"M\", \"name\": \"plain\"}}"));
	finish(w);
	assert_int_equal(w->result.rows, 6);
	assert_int_equal(w->result.patients, 4);
	/* 20 F: one subject; 40 F and 41 F: one each; 20 M and 20.0 M: two. */
	assert_int_equal(w->result.classes, 4);
	assert_int_equal(w->result.rows_under_2, 4);
	assert_int_equal(w->result.quasi_rows[0], 6);
	assert_int_equal(w->result.quasi_rows[2], 0);
	assert_int_equal(w->result.nsealed, 2);
	assert_true(w->result.sealed[0].deterministic);
	assert_int_equal(w->result.sealed[0].values, 5); /* Ada, Bea, Cleo, CLÉO, plain */
	assert_int_equal(w->result.sealed[0].most, 2);
	assert_int_equal(w->result.sealed[0].alone, 4);
	assert_int_equal(w->result.sealed[0].plain, 1);
	assert_false(w->result.sealed[1].deterministic);
	assert_int_equal(w->result.sealed[1].values, 5);
	assert_int_equal(w->result.sealed[1].documents, 5);
	assert_int_equal(w->result.sealed[1].most, 1);
	assert_int_equal(w->result.sealed[1].plain, 0);
	assert_int_equal(w->result.shared_patients, 2);
	assert_int_equal(w->result.shared_documents, 4);
	assert_int_equal(w->result.shared_differ, 1);
}

/* Ciphertext as a quasi-identifier: deterministic is alike, random never is. */
static void test_ciphertext(void **state)
{
	static const char *const paths[] = {"who.name", "who.ssn"};
	static const uint64_t classes[] = {4, 5};

	for (size_t i = 0; i < 2; i++) {
		struct world *w = *state;

		w->quasi = (struct risk_paths){.at = {bytes_str(paths[i])}, .count = 1};
		begin(w, false, NULL, RISK_LIMIT);
		for (size_t k = 0; k < COUNT_OF(people); k++)
			add(w, stored(w, people[k]));
		finish(w);
		assert_int_equal(w->result.classes, classes[i]);
		risk_free(w->risk);
		w->risk = NULL;
	}
}

static void test_limit(void **state)
{
	struct world *w = *state;
	struct fault why;

	w->quasi = (struct risk_paths){.at = {bytes_str("who.age")}, .count = 1};
	begin(w, false, NULL, 2);
	add(w, bson_of(w, "{\"_id\": 1, \"who\": {\"age\": 1}}"));
	add(w, bson_of(w, "{\"_id\": 2, \"who\": {\"age\": 2}}"));
	assert_false(risk_add(w->risk, bson_of(w, "{\"_id\": 3, \"who\": {\"age\": 3}}"), &why));
	assert_non_null(strstr(why.detail, "over 2 different combinations"));
}

/* A value under one of our keys that was tampered with is an error, not a class. */
static void test_damaged(void **state)
{
	struct world *w = *state;
	struct bytes document = stored(w, people[0]);
	struct element name;
	struct fault why;
	struct buf copy;

	w->quasi = (struct risk_paths){.at = {bytes_str("sex")}, .count = 1};
	begin(w, true, NULL, RISK_LIMIT);
	add(w, document);
	buf_init(&copy, DOC_SLACK_LEN);
	buf_put(&copy, document);
	assert_true(doc_find_path(document, "who.ssn", &name));
	copy.at[(size_t)(name.value.at - document.at) + name.value.len - 1] ^= 1;
	assert_false(risk_add(w->risk, buf_bytes(&copy), &why));
	assert_int_equal(why.code, FAULT_DAMAGED);
	buf_fini(&copy);
}

static void expect_projection(struct world *w, const char *json)
{
	struct bytes wanted = bson_of(w, json);
	struct buf out;

	buf_init(&out, 4096);
	risk_put_projection(w->risk, &out);
	assert_int_equal(out.len, wanted.len);
	assert_memory_equal(out.at, wanted.at, wanted.len);
	buf_fini(&out);
	risk_free(w->risk);
	w->risk = NULL;
}

static void test_projection(void **state)
{
	struct world *w = *state;

	w->quasi = (struct risk_paths){.at = {bytes_str("sex")}, .count = 1};
	begin(w, true, "{\"ward\": \"W1\"}", RISK_LIMIT);
	expect_projection(w, "{\"_id\": 1, \"who.ssn\": 1, \"who.name\": 1, \"who.age\": 1, "
			     "\"who.sex\": 1, \"ill\": 1, \"ward\": 1}");
	/* A path above others stands for them. */
	w->quasi = (struct risk_paths){.at = {bytes_str("who"), bytes_str("x.y")}, .count = 2};
	w->sensitive = (struct risk_paths){.at = {bytes_str("who.age")}, .count = 1};
	begin(w, false, NULL, RISK_LIMIT);
	expect_projection(w, "{\"_id\": 1, \"who\": 1, \"x.y\": 1}");
}

static void test_stored_fields(void **state)
{
	struct world *w = *state;
	struct risk_paths found = {.count = 0};
	struct buf wide;
	size_t begun;

	risk_find_paths(
		stored(w, PERSON_OF("1", "Ada", "20", "F", "1",
				  ", \"list\": [{\"a\": 1}], \"none\": {}, \"a.b\": 1, \"$x\": 1, "
				  "\"ill\": 2")),
		&w->arena, &found);
	risk_find_paths(bson_of(w, "{\"_id\": 1, \"who\": {\"age\": 3, \"deep\": {\"er\": null}}}"),
		&w->arena, &found);
	expect_paths(&found, "who.ssn who.name who.age who.sex ward list none ill who.deep.er");
	risk_stored_fields(&w->policy->collections[0], &found, &w->quasi, &w->sensitive);
	expect_paths(&w->quasi, "who.age who.sex ward list none who.deep.er");
	expect_paths(&w->sensitive, "ill");
	assert_false(w->quasi.more);
	/* One more than fit. */
	found.count = 0;
	for (int n = RISK_PATHS_MAX; n <= RISK_PATHS_MAX + 1; n++) {
		buf_init(&wide, DOC_MAX_LEN);
		begun = doc_begin(&wide);
		for (int i = 0; i < n; i++) {
			char name[DOC_INDEX_MAX];

			doc_put_int32(&wide, doc_index_name((size_t)i, name), i);
		}
		doc_end(&wide, begun);
		risk_find_paths(buf_bytes(&wide), &w->arena, &found);
		assert_int_equal(found.count, RISK_PATHS_MAX);
		assert_int_equal(found.more, n > RISK_PATHS_MAX);
		buf_fini(&wide);
	}
}

static const struct {
	const char *rows, *filled; /* NULL: not to be filled, for want of … */
	const char *missing;
} fillings[] = {
	{"{}", "", NULL},
	{"{\"a\": 1}", "{\"a\": 1}", NULL},
	{"{\"a\": \"${user.ward}\", \"$or\": [{\"b\": {\"$in\": [\"${user.ward}\"]}}]}",
		"{\"a\": \"W1\", \"$or\": [{\"b\": {\"$in\": [\"W1\"]}}]}", NULL},
	{"{\"a\": \"${user.wing}\"}", NULL, "${user.wing}"},
	{"{\"a\": {\"$in\": \"${care_team}\"}}", NULL, "${care_team}"},
};

static void test_fill_rows(void **state)
{
	const struct attribute ward = {bytes_str("ward"), bytes_str("W1")};
	struct world *w = *state;

	for (size_t i = 0; i < COUNT_OF(fillings); i++) {
		struct bytes missing, wanted = {0};
		struct buf out;
		bool filled;

		buf_init(&out, 4096);
		filled = policy_fill_rows(bson_of(w, fillings[i].rows), &ward, 1, &out, &missing);
		assert_int_equal(filled, fillings[i].filled != NULL);
		if (filled && *fillings[i].filled)
			wanted = bson_of(w, fillings[i].filled);
		if (filled)
			assert_true(bytes_equal(buf_bytes(&out), wanted));
		else
			assert_true(bytes_equal_str(missing, fillings[i].missing));
		buf_fini(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_combinations),
		cmocka_unit_test(test_search_stops),
		cmocka_unit_test(test_table_limits),
		cmocka_unit_test(test_tally),
		cmocka_unit_test(test_people),
		cmocka_unit_test_setup_teardown(test_view, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_rows, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_stored, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_ciphertext, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_limit, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_damaged, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_projection, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_stored_fields, make_world, free_world),
		cmocka_unit_test_setup_teardown(test_fill_rows, make_world, free_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
