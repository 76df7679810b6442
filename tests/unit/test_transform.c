#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include <bson/bson.h>

#include "transform/policy_test.h"
#include "transform/transform.h"
#include "util/memory.h"

/* The hospital's policy over one patient: stored by the import, then seen by each role. */

static struct policy *policy;
static struct master *master;
static struct keyring *keyring;
static struct transform *transform;
static struct arena arena;

#define PATIENT                                                                                \
	"{\"personal_info\": {\"name\": \"Ada Durand\", \"age\": 41, \"gender\": \"Female\", " \
	"\"blood_type\": \"A+\", \"ssn\": \"285057800608436\"}, "                              \
	"\"medical_info\": {\"condition\": \"Asthma\", \"medication\": \"Aspirin\"}, "         \
	"\"admission_info\": {\"date_admission\": {\"$date\": \"2024-03-09T00:00:00Z\"}, "     \
	"\"duration_days\": 12}, "                                                             \
	"\"administrative_info\": {\"doctor\": \"Who\", \"hospital\": \"H-NORD\", "            \
	"\"insurance_provider\": \"Aetna\", \"billing_amount\": 18856.5}, "                    \
	"\"metadata\": {\"source\": \"csv\"}}"

static void load_everything(void)
{
	static const uint8_t key[MASTER_LEN] = {1, 2, 3};
	struct complaints complaints;
	const char *source = getenv("srcdir");
	char *folder = memory_format("%s/policies/hospital", source ? source : ".");
	struct fault why;

	arena_init(&arena);
	complaints_init(&complaints);
	policy = policy_load(folder, &complaints);
	if (!policy)
		fail_msg("%.*s", BYTES_ARG(buf_bytes(&complaints.lines)));
	complaints_fini(&complaints);
	free(folder);
	master = master_new(key, false, &why);
	keyring = keyring_new(master, false, &why);
	for (size_t i = 0; i < policy->nencrypted; i++) {
		struct buf document;

		buf_init(&document, 4096);
		assert_true(keyring_make_document(master, policy->encrypted[i].ns,
			policy->encrypted[i].path, 0, &document, &why));
		assert_int_equal(keyring_add(keyring, buf_bytes(&document), &why), KEY_ADDED);
		buf_fini(&document);
	}
	transform = transform_new(policy, keyring, master);
}

static int set_up(void **state)
{
	(void)state;
	load_everything();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	transform_free(transform);
	keyring_unref(keyring);
	master_free(master);
	policy_unref(policy);
	arena_fini(&arena);
	return 0;
}

static struct bytes bson_of(const char *json)
{
	bson_error_t error;
	bson_t *doc = bson_new_from_json((const uint8_t *)json, -1, &error);
	struct bytes copy;

	if (!doc)
		fail_msg("%s: %s", json, error.message);
	copy = arena_copy(&arena, bytes_of(bson_get_data(doc), doc->len));
	bson_destroy(doc);
	return copy;
}

static struct bytes message_of(struct bytes body)
{
	struct buf out;
	struct bytes copy;
	size_t frame;

	buf_init(&out, FRAME_MESSAGE_MAX);
	frame = frame_begin(&out, 7, 0, OPCODE_MSG);
	buf_put_u32(&out, 0);
	buf_put_u8(&out, 0);
	buf_put(&out, body);
	frame_end(&out, frame);
	copy = arena_copy(&arena, buf_bytes(&out));
	buf_fini(&out);
	return copy;
}

struct who {
	struct user user;
	struct attribute attribute;
	struct bytes role;
	struct facts facts;
};

static void be(struct who *w, const char *role, const char *hospital)
{
	*w = (struct who){.role = bytes_str(role),
		.attribute = {bytes_str("hospital"), bytes_str(hospital ? hospital : "")}};
	w->user = (struct user){.name = bytes_str("u"),
		.roles = &w->role,
		.nroles = 1,
		.attributes = &w->attribute,
		.nattributes = hospital != NULL,
		.purpose = bytes_str("payment")};
	w->facts = (struct facts){.user = &w->user,
		.method = AUTH_SCRAM,
		.address = {[10] = 0xff, [11] = 0xff, [12] = 10},
		.vault = bytes_str("encryption.__keyVault")};
}

/* A session reads its next message into the same bytes. */
static void forget(struct bytes message)
{
	memset((uint8_t *)(uintptr_t)message.at, 0xff, message.len);
}

/* The body that goes upstream for a command of `w`. */
static struct bytes sent_by(struct who *w, const char *json, struct plan *plan)
{
	struct fault why = {.code = FAULT_NONE};
	struct command *c = arena_alloc(&arena, sizeof(*c));
	struct bytes message = message_of(bson_of(json)), copy;
	struct written written;
	struct buf out;
	struct command sent;

	if (!command_parse(c, message, &why) ||
		!policy_decide(policy, &w->facts, c, &arena, plan, &why))
		fail_msg("%s: %s %s", json, why.what, why.detail);
	buf_init(&out, FRAME_MESSAGE_MAX);
	if (!transform_request(transform, plan, c, 1700000000, &out, &written, &why))
		fail_msg("%s: %s %s", json, why.what, why.detail);
	copy = arena_copy(&arena, buf_bytes(&out));
	buf_fini(&out);
	forget(message);
	assert_true(command_parse(&sent, copy, &why));
	return arena_copy(&arena, sent.body);
}

/* The patient as the database holds it. */
static struct bytes stored_patient(void)
{
	struct element documents, first;
	struct doc_iter it;
	struct plan plan;
	struct who w;

	be(&w, "import", NULL);
	assert_true(doc_find(sent_by(&w,
				     "{\"insert\": \"patients\", \"$db\": \"healthcare_db\", "
				     "\"documents\": [" PATIENT "]}",
				     &plan),
		"documents", &documents));
	it = doc_iter_of(documents.value);
	assert_true(doc_next(&it, &first));
	return first.value;
}

static bool holds(struct bytes where, const char *text)
{
	return memmem(where.at, where.len, text, strlen(text)) != NULL;
}

static void test_stored(void **state)
{
	static const char *const secrets[] = {"Ada", "Durand", "285057800608436", "Who"};
	struct bytes stored = stored_patient();
	struct element e;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(secrets); i++)
		assert_false(holds(stored, secrets[i]));
	assert_true(holds(stored, "H-NORD"));
	assert_true(doc_find(stored, "_id", &e) && e.type == TYPE_OBJECT_ID);
	assert_true(doc_find_path(stored, "__mw.s", &e) && e.type == TYPE_BINARY);
	assert_true(doc_find_path(stored, "__mw.rk", &e) && e.type == TYPE_INT64);
	assert_true(load_i64(e.value.at) > 0 && load_i64(e.value.at) <= UINT32_MAX);
	assert_true(doc_find_path(stored, "__mw.o", &e) && e.type == TYPE_INT64);
	assert_true(doc_find_path(stored, "__mw.p", &e) && !doc_is_empty(e.value));
	assert_true(doc_find_path(stored, "personal_info.name", &e) && e.type == TYPE_BINARY);
	assert_int_equal(e.value.at[4], BINARY_ENCRYPTED);
	assert_int_equal(e.value.at[5], SEAL_DETERMINISTIC);
	assert_true(doc_find_path(stored, "personal_info.ssn", &e));
	assert_int_equal(e.value.at[5], SEAL_RANDOM);
}

static struct bytes reply_with(struct bytes doc, const char *ns)
{
	struct buf out;
	struct bytes copy;
	size_t reply, cursor, batch;

	buf_init(&out, DOC_SLACK_LEN);
	reply = doc_begin(&out);
	cursor = doc_put_document(&out, NAME("cursor"));
	batch = doc_put_array(&out, NAME("firstBatch"));
	doc_put_value(&out, TYPE_DOCUMENT, NAME("0"), doc);
	doc_end(&out, batch);
	doc_put_int64(&out, NAME("id"), 0);
	doc_put_string(&out, NAME("ns"), bytes_str(ns));
	doc_end(&out, cursor);
	doc_put_double(&out, NAME("ok"), 1);
	doc_end(&out, reply);
	copy = arena_copy(&arena, buf_bytes(&out));
	buf_fini(&out);
	return copy;
}

/* What `w` reads of a stored document, and what the record would say. */
static struct bytes read_stored(
	struct who *w, const char *command, struct bytes stored, struct disclosure *d)
{
	struct reply_context context = {.ns = bytes_str("healthcare_db.patients")};
	struct fault why = {.code = FAULT_NONE};
	struct element batch, first;
	struct bytes copy;
	struct doc_iter it;
	struct plan plan;
	struct buf out;
	size_t begun;

	(void)sent_by(w, command, &plan);
	context.rules = &plan.reply;
	context.facts = &w->facts;
	buf_init(&out, DOC_SLACK_LEN);
	begun = doc_begin(&out);
	if (!transform_reply(transform, &context, reply_with(stored, "healthcare_db.patients"),
		    &out, d, &why))
		fail_msg("%s: %s", command, why.detail);
	doc_end(&out, begun);
	assert_true(doc_find_path(buf_bytes(&out), "cursor.firstBatch", &batch));
	it = doc_iter_of(batch.value);
	assert_true(doc_next(&it, &first));
	copy = arena_copy(&arena, first.value);
	buf_fini(&out);
	return copy;
}

/* What `w` reads of a stored document, as JSON. */
static char *read_document_by(
	struct who *w, const char *command, struct bytes stored, struct disclosure *d)
{
	struct bytes doc = read_stored(w, command, stored, d);
	bson_t shown;
	char *json, *copy;

	assert_true(bson_init_static(&shown, doc.at, doc.len));
	json = bson_as_relaxed_extended_json(&shown, NULL);
	copy = arena_text(&arena, bytes_str(json));
	bson_free(json);
	return copy;
}

static char *read_by(struct who *w, const char *command, struct disclosure *d)
{
	return read_document_by(w, command, stored_patient(), d);
}

#define FIND "{\"find\": \"patients\", \"$db\": \"healthcare_db\"}"
#define VIEW "{\"find\": \"patients_anonymized_view\", \"$db\": \"healthcare_db\"}"

static void test_roles(void **state)
{
	static const struct {
		const char *role, *hospital, *command, *wanted;
		size_t subjects;
	} cases[] = {
		{"doctor", "H-NORD", FIND,
			"\"personal_info\" : { \"name\" : \"Ada Durand\", \"age\" : 41, \"gender\" "
			": "
			"\"Female\", \"blood_type\" : \"A+\", \"ssn\" : \"***********8436\" }, "
			"\"medical_info\" : { \"condition\" : \"Asthma\", \"medication\" : "
			"\"Aspirin\" }, "
			"\"admission_info\" : { \"date_admission\" : { \"$date\" : "
			"\"2024-03-09T00:00:00Z\" }, \"duration_days\" : 12 }, "
			"\"administrative_info\" : { \"hospital\" : \"H-NORD\" }, \"metadata\" : { "
			"\"source\" : \"csv\" } }",
			1},
		{"billing", NULL, FIND,
			"\"personal_info\" : { \"name\" : \"Ada Durand\", \"ssn\" : "
			"\"285057800608436\" }, "
			"\"administrative_info\" : { \"hospital\" : \"H-NORD\", "
			"\"insurance_provider\" : "
			"\"Aetna\", \"billing_amount\" : 18856.5 }, \"metadata\" : { \"source\" : "
			"\"csv\" } "
			"}",
			1},
		{"analyst", NULL, VIEW,
			"\"age_range\" : \"30-49\", \"gender\" : \"Female\", \"medical_condition\" "
			": "
			"\"Asthma\", \"medication\" : \"Aspirin\", \"admission_year\" : { "
			"\"$date\" : "
			"\"2024-01-01T00:00:00Z\" }, \"duration_days\" : 10, "
			"\"insurance_provider\" : "
			"\"Aetna\", \"billing_range\" : \"10K-25K\" }",
			0},
		{"import", NULL,
			"{\"find\": \"patients\", \"$db\": \"healthcare_db\", \"projection\": "
			"{\"administrative_info.doctor\": 1, \"_id\": 0}}",
			"{ \"administrative_info\" : { \"doctor\" : \"Who\" } }", 0},
		{"import", NULL,
			"{\"find\": \"patients\", \"$db\": \"healthcare_db\", \"projection\": "
			"{\"medical_info.condition\": 1, \"_id\": 0}}",
			"{ \"medical_info\" : { \"condition\" : \"Asthma\" } }", 1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct disclosure d;
		struct who w;
		char *json;

		be(&w, cases[i].role, cases[i].hospital);
		json = read_by(&w, cases[i].command, &d);
		if (!strstr(json, cases[i].wanted))
			fail_msg("%s reads %s", cases[i].role, json);
		assert_int_equal(d.nsubjects, cases[i].subjects);
		assert_int_equal(d.docs, 1);
		assert_null(strstr(json, "__mw"));
	}
}

static void test_same_subject_for_all(void **state)
{
	struct disclosure d;
	struct subject_token doctor, clerk;
	struct who w;

	(void)state;
	be(&w, "doctor", "H-NORD");
	(void)read_by(&w, FIND, &d);
	assert_int_equal(d.nsubjects, 1);
	doctor = d.subjects[0];
	be(&w, "billing", NULL);
	(void)read_by(&w, FIND, &d);
	clerk = d.subjects[0];
	assert_memory_equal(&doctor.token, &clerk.token, sizeof(clerk.token));
	assert_false(doctor.of_id);
}

/* {…, personal_info: {ssn}}: the number once more, and not sealed. */
static struct bytes with_plain_ssn(struct bytes stored, const char *ssn)
{
	struct buf out;
	struct bytes copy;
	size_t info;

	buf_init(&out, DOC_SLACK_LEN);
	buf_put(&out, bytes_head(stored, stored.len - 1));
	info = doc_put_document(&out, NAME("personal_info"));
	doc_put_string(&out, NAME("ssn"), bytes_str(ssn));
	doc_end(&out, info);
	doc_end(&out, 0);
	copy = arena_copy(&arena, buf_bytes(&out));
	buf_fini(&out);
	return copy;
}

/* Of a subject's part that stands twice, sealed and not, the last one decides. */
static void test_part_twice(void **state)
{
	struct bytes stored = stored_patient();
	struct subject_token once, other;
	struct disclosure d;
	struct who w;

	(void)state;
	be(&w, "billing", NULL);
	(void)read_document_by(&w, FIND, stored, &d);
	once = d.subjects[0];
	(void)read_document_by(&w, FIND, with_plain_ssn(stored, "285057800608436"), &d);
	assert_int_equal(d.nsubjects, 1);
	assert_memory_equal(&d.subjects[0].token, &once.token, sizeof(once.token));
	(void)read_document_by(&w, FIND, with_plain_ssn(stored, "285057800608437"), &d);
	other = d.subjects[0];
	assert_memory_not_equal(&other.token, &once.token, sizeof(once.token));
}

static void test_filter_is_sealed(void **state)
{
	struct bytes stored = stored_patient(), sent;
	struct element stored_name, filter;
	struct plan plan;
	struct who w;

	(void)state;
	be(&w, "doctor", "H-NORD");
	sent = sent_by(&w,
		"{\"find\": \"patients\", \"$db\": \"healthcare_db\", \"filter\": "
		"{\"personal_info.name\": \"Ada Durand\"}}",
		&plan);
	assert_false(holds(sent, "Ada"));
	assert_true(doc_find_path(stored, "personal_info.name", &stored_name));
	assert_non_null(memmem(sent.at, sent.len, stored_name.value.at, stored_name.value.len));
	assert_true(doc_find_path(sent, "filter.$and", &filter) && filter.type == TYPE_ARRAY);
	assert_true(holds(sent, "H-NORD"));
	assert_true(doc_find_path(sent, "collation.locale", &filter));
}

/* A cursor's rules outlive the command that opened it, with the names that it sent. */
static void test_kept_rules(void **state)
{
	struct bytes message =
		message_of(bson_of("{\"find\": \"patients\", \"$db\": \"healthcare_db\", "
				   "\"projection\": {\"medical_info.condition\": 1, "
				   "\"_id\": 0}}"));
	struct fault why = {.code = FAULT_NONE};
	struct reply_rules *kept;
	struct element e;
	struct command c;
	struct arena own;
	struct plan plan;
	struct buf out;
	struct who w;

	(void)state;
	arena_init(&own);
	be(&w, "doctor", "H-NORD");
	assert_true(command_parse(&c, message, &why));
	assert_true(policy_decide(policy, &w.facts, &c, &own, &plan, &why));
	kept = reply_rules_keep(&plan.reply, policy);
	arena_fini(&own);
	forget(message);
	buf_init(&out, DOC_SLACK_LEN);
	assert_true(transform_show(transform, kept, stored_patient(), &out, &why));
	assert_true(doc_find_path(buf_bytes(&out), "medical_info.condition", &e));
	assert_false(doc_find(buf_bytes(&out), "personal_info", &e));
	buf_fini(&out);
	reply_rules_unref(kept);
}

/* {medical_info: {medication: what is stored of the number, condition: of the name}} */
static struct bytes moved_patient(void)
{
	struct bytes stored = stored_patient(), copy;
	struct element number, name;
	size_t doc, inner;
	struct buf out;

	assert_true(doc_find_path(stored, "personal_info.ssn", &number));
	assert_true(doc_find_path(stored, "personal_info.name", &name));
	buf_init(&out, DOC_SLACK_LEN);
	doc = doc_begin(&out);
	inner = doc_put_document(&out, NAME("medical_info"));
	doc_put_value(&out, number.type, NAME("medication"), number.value);
	doc_put_value(&out, name.type, NAME("condition"), name.value);
	doc_end(&out, inner);
	doc_end(&out, doc);
	copy = arena_copy(&arena, buf_bytes(&out));
	buf_fini(&out);
	return copy;
}

/* Ciphertext keeps the clearance of its own field wherever somebody put it. */
static void test_moved_ciphertext(void **state)
{
	struct bytes shown;
	struct disclosure d;
	struct element e;
	struct who w;

	(void)state;
	be(&w, "analyst", NULL);
	shown = read_stored(&w, VIEW, moved_patient(), &d);
	assert_false(doc_find(shown, "medication", &e));
	assert_false(doc_find(shown, "medical_condition", &e));
	be(&w, "doctor", "H-NORD");
	shown = read_stored(&w, FIND, moved_patient(), &d);
	assert_false(holds(shown, "285057800608436"));
	assert_true(holds(shown, "Ada Durand")); /* a name is a name, and a doctor reads names */
}

/* The elements of a list that are left count from zero. */
static void test_hidden_elements_leave_no_gap(void **state)
{
	struct bytes shown;
	struct disclosure d;
	struct element e, hospital;
	struct who w;

	(void)state;
	be(&w, "doctor", "H-NORD");
	shown = read_stored(&w, FIND,
		bson_of("{\"administrative_info\": [{\"billing_amount\": 5}, 7, "
			"{\"hospital\": \"H-NORD\"}, {\"doctor\": \"x\", \"hospital\": \"H\"}]}"),
		&d);
	assert_true(doc_find(shown, "administrative_info", &e) && e.type == TYPE_ARRAY);
	assert_int_equal(doc_count(e.value), 2);
	assert_true(doc_find_path(e.value, "0.hospital", &hospital));
	assert_true(doc_find_path(e.value, "1.hospital", &hospital));
}

/* What an exclusion leaves of a list is as it was. */
static void test_an_exclusion_leaves_the_rest(void **state)
{
	static const char *const commands[] = {
		"{\"aggregate\": \"patients\", \"$db\": \"healthcare_db\", \"cursor\": {}, "
		"\"pipeline\": [{\"$project\": {\"medical_info.tests.code\": 0}}]}",
		"{\"find\": \"patients\", \"$db\": \"healthcare_db\", "
		"\"projection\": {\"medical_info.tests.code\": 0}}",
	};
	struct bytes shown;
	struct disclosure d;
	struct element e, value;
	struct who w;

	(void)state;
	be(&w, "doctor", "H-NORD");
	for (size_t i = 0; i < COUNT_OF(commands); i++) {
		shown = read_stored(&w, commands[i],
			bson_of("{\"medical_info\": {\"tests\": [{\"value\": 3}]}}"), &d);
		assert_true(doc_find_path(shown, "medical_info.tests", &e));
		assert_true(doc_find_path(e.value, "0.value", &value));
	}
}

/* -1 and 1 look the same when rounded to 5: zero has no sign. */
static void test_zero_has_no_sign(void **state)
{
	struct bytes below, above;
	struct disclosure d;
	struct who w;

	(void)state;
	be(&w, "analyst", NULL);
	below = read_stored(&w, VIEW,
		bson_of("{\"_id\": 1, \"admission_info\": {\"duration_days\": -1.0}}"), &d);
	above = read_stored(&w, VIEW,
		bson_of("{\"_id\": 1, \"admission_info\": {\"duration_days\": 1.0}}"), &d);
	assert_true(bytes_equal(below, above));
}

static void test_policy_tests(void **state)
{
	struct complaints complaints;

	(void)state;
	complaints_init(&complaints);
	if (policy_run_tests(policy, master, bytes_str("encryption.__keyVault"), &complaints))
		fail_msg("%.*s", BYTES_ARG(buf_bytes(&complaints.lines)));
	assert_true(policy->ntests > 10);
	complaints_fini(&complaints);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stored),
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_same_subject_for_all),
		cmocka_unit_test(test_part_twice),
		cmocka_unit_test(test_filter_is_sealed),
		cmocka_unit_test(test_kept_rules),
		cmocka_unit_test(test_moved_ciphertext),
		cmocka_unit_test(test_hidden_elements_leave_no_gap),
		cmocka_unit_test(test_an_exclusion_leaves_the_rest),
		cmocka_unit_test(test_zero_has_no_sign),
		cmocka_unit_test(test_policy_tests),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
