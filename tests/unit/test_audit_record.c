/* One record after the other, as the text that its line will hold. */
#include "audit_fixture.h"

#include <math.h>

#include "audit/record.h"
#include "util/memory.h"

static struct batch batch;
static struct record_scratch scratch;

static int begin(void **state)
{
	(void)state;
	batch_init(&batch);
	record_scratch_init(&scratch);
	return 0;
}

static int end(void **state)
{
	(void)state;
	batch_fini(&batch);
	record_scratch_fini(&scratch);
	return 0;
}

static struct bytes text_of(size_t piece)
{
	return batch_text(&batch, &batch.pieces[piece]);
}

static void expect_good(size_t piece)
{
	struct line_parser parser;
	struct line line;
	struct buf out;

	buf_init(&out, 2 * LINE_MAX_LEN);
	line_parser_init(&parser);
	judge_piece(&batch, piece, &parser, &out, &line);
	line_parser_fini(&parser);
	buf_fini(&out);
}

/* A record of one piece. */
static void expect(const struct audit_record *r, uint64_t count, const char *text)
{
	batch_clear(&batch);
	assert_true(record_put(&batch, &scratch, r, count, NULL, NULL));
	assert_int_equal(batch.npieces, 1);
	assert_int_equal(batch.pieces[0].more, 0);
	if (!bytes_equal_str(text_of(0), text))
		fail_msg("%.*s\nis not\n%s", BYTES_ARG(text_of(0)), text);
	expect_good(0);
}

/* -------------------------------------------------------------------- fields */

#define REQUEST "00112233445566778899aabbccddeeff"
#define OPENER  "ffeeddccbbaa99887766554433221100"
#define SHAPE   "{\"find\":\"c\"}"

static struct audit_record everything(enum audit_event event)
{
	static const struct bytes roles[] = {BYTES_LITERAL("doctor"), BYTES_LITERAL("night")};
	static const struct subject_token subjects[] = {
		{.token = {{1, 2}}}, {.token = {{0xab}}, .of_id = true}};
	static const struct token searched[] = {{{3}}, {{0xff, 0xee}}};

	return (struct audit_record){
		.event = event,
		.conn = 7,
		.client = bytes_str("10.0.0.1:1234"),
		.tls = bytes_str("TLSv1.3 TLS_AES_256_GCM_SHA384"),
		.app = bytes_str("ward"),
		.driver = bytes_str("PyMongo 4"),
		.user = bytes_str("dr.martin"),
		.roles = roles,
		.nroles = 2,
		.request = bytes_str(REQUEST),
		.cursor_of = bytes_str(OPENER),
		.on_behalf_of = bytes_str("nurse"),
		.purpose = bytes_str("treatment"),
		.ns = bytes_str("d.c"),
		.command = bytes_str("find"),
		.shape = bytes_str(SHAPE),
		.decision = AUDIT_ALLOW,
		.rule = bytes_str("doctors-read"),
		.policy = bytes_str("blake2b:00"),
		.reason_len = 12,
		.way = bytes_str("native"),
		.disclosed = bytes_str("{\"identity\":\"plaintext\"}"),
		.subjects = subjects,
		.nsubjects = 2,
		.searched = searched,
		.nsearched = 2,
		.has_result = true,
		.docs = 2,
		.bytes = 4096,
		.ms = 1.5,
		.has_code = true,
		.code = 11600,
		.unacknowledged = true,
		.act = bytes_str("user add"),
		.target = bytes_str("clerk"),
		.version = bytes_str("3"),
		.hash = bytes_str("blake2b:11"),
	};
}

#define WHO_BUT_CONN                                                                              \
	"\"client\":\"10.0.0.1:1234\",\"tls\":\"TLSv1.3 TLS_AES_256_GCM_SHA384\","                \
	"\"app\":\"ward\",\"driver\":\"PyMongo 4\",\"user\":\"dr.martin\",\"roles\":[\"doctor\"," \
	"\"night\"],"
#define WHO "\"conn\":7," WHO_BUT_CONN
#define WHAT_TO_SHAPE                                                                \
	"\"request\":\"" REQUEST "\",\"cursor_of\":\"" OPENER "\",\"on_behalf_of\":" \
	"\"nurse\",\"purpose\":\"treatment\",\"ns\":\"d.c\",\"command\":\"find\","   \
	"\"shape\":" SHAPE ",\"shape_hash\":\"d1b476ca2ddd4c60\","
#define WHAT_REST "\"rule\":\"doctors-read\",\"policy\":\"blake2b:00\",\"reason_len\":12,"
#define WHAT      WHAT_TO_SHAPE "\"decision\":\"allow\"," WHAT_REST
#define REFUSED   WHAT_TO_SHAPE "\"decision\":\"refuse\"," WHAT_REST
#define RESULT                                                                               \
	"\"way\":\"native\",\"disclosed\":{\"identity\":\"plaintext\"},\"docs\":2,\"bytes\"" \
	":4096,\"ms\":1.500,"
#define CODE "\"code\":11600,"
#define TOKENS                                                \
	"\"subjects\":[\"01020000000000000000000000000000\"," \
	"\"~ab000000000000000000000000000000\"],"             \
	"\"searched\":[\"03000000000000000000000000000000\"," \
	"\"ffee0000000000000000000000000000\"],"

/* What each event says of a record that has all, and nothing else. */
static void test_each_event(void **state)
{
	static const struct {
		enum audit_event event;
		enum line_event line;
		const char *text, *counted; /* counted: NULL where it is not */
	} cases[] = {
		{AUDIT_ACCESS, LINE_ACCESS, WHO WHAT RESULT CODE TOKENS, NULL},
		{AUDIT_INTENT, LINE_INTENT, WHO WHAT, NULL},
		{AUDIT_OUTCOME, LINE_OUTCOME,
			"\"conn\":7,\"request\":\"" REQUEST "\"," RESULT CODE
			"\"unacknowledged\":true," TOKENS,
			NULL},
		{AUDIT_REFUSAL, LINE_REFUSAL, WHO REFUSED CODE,
			WHO_BUT_CONN REFUSED CODE "\"count\":5,"},
		{AUDIT_LOGIN, LINE_LOGIN, WHO CODE, NULL},
		{AUDIT_LOGIN_FAILED, LINE_LOGIN_FAILED, WHO CODE, NULL},
		{AUDIT_LOGOUT, LINE_LOGOUT, WHO CODE, NULL},
		{AUDIT_DRAIN, LINE_DRAIN, CODE, NULL},
		{AUDIT_POLICY, LINE_POLICY, "\"version\":\"3\",\"hash\":\"blake2b:11\"," CODE,
			NULL},
		{AUDIT_KEY, LINE_KEY_EVENT,
			"\"user\":\"dr.martin\",\"act\":\"user add\",\"target\":\"clerk\"," CODE,
			NULL},
		{AUDIT_ADMIN, LINE_ADMIN,
			"\"user\":\"dr.martin\",\"act\":\"user add\",\"target\":\"clerk\"," CODE,
			NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct audit_record r = everything(cases[i].event);

		assert_int_equal(record_line_event(cases[i].event), cases[i].line);
		expect(&r, 0, cases[i].text);
		assert_int_equal(batch.pieces[0].event, cases[i].line);
		if (cases[i].counted)
			expect(&r, 5, cases[i].counted);
	}
}

/* Neither a connection nor a name stands for many. */
static void test_counted_logins(void **state)
{
	struct audit_record r = {.event = AUDIT_LOGIN_FAILED,
		.conn = 7,
		.user = bytes_str("x"),
		.client = bytes_str("10.0.0.1"),
		.code = 18};

	(void)state;
	expect(&r, 0, "\"conn\":7,\"client\":\"10.0.0.1\",\"user\":\"x\",\"code\":18,");
	expect(&r, 100000, "\"client\":\"10.0.0.1\",\"code\":18,\"count\":100000,");
}

/* What must be there is, whatever the record lacks. */
static void test_least_of_each_event(void **state)
{
	static const struct {
		enum audit_event event;
		const char *text;
	} cases[] = {
		{AUDIT_ACCESS, "\"conn\":0,\"user\":\"\",\"request\":\"" REQUEST
			       "\",\"command\":\"\",\"decision\":\"allow\",\"code\":0,"},
		{AUDIT_INTENT, "\"conn\":0,\"user\":\"\",\"request\":\"" REQUEST
			       "\",\"command\":\"\",\"decision\":\"allow\","},
		{AUDIT_OUTCOME, "\"conn\":0,\"request\":\"" REQUEST "\",\"code\":0,"},
		{AUDIT_REFUSAL, "\"request\":\"" REQUEST "\",\"decision\":\"refuse\",\"code\":0,"},
		{AUDIT_LOGIN, "\"conn\":0,\"user\":\"\","},
		{AUDIT_LOGIN_FAILED, "\"conn\":0,\"user\":\"\",\"code\":0,"},
		{AUDIT_LOGOUT, "\"conn\":0,\"user\":\"\","},
		{AUDIT_DRAIN, ""},
		{AUDIT_POLICY, "\"version\":\"\",\"hash\":\"\","},
		{AUDIT_KEY, "\"user\":\"\",\"act\":\"\",\"target\":\"\","},
		{AUDIT_ADMIN, "\"user\":\"\",\"act\":\"\",\"target\":\"\","},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct audit_record r = {.event = cases[i].event, .request = bytes_str(REQUEST)};

		expect(&r, 0, cases[i].text);
	}
}

static void test_decisions(void **state)
{
	struct audit_record r = {.event = AUDIT_INTENT, .request = bytes_str(REQUEST)};

	(void)state;
	r.decision = AUDIT_REFUSE;
	expect(&r, 0,
		"\"conn\":0,\"user\":\"\",\"request\":\"" REQUEST
		"\",\"command\":\"\",\"decision\":\"refuse\",");
	/* A refusal is one whatever was decided before. */
	r.event = AUDIT_REFUSAL;
	r.decision = AUDIT_ALLOW;
	r.code = -5;
	expect(&r, 0, "\"request\":\"" REQUEST "\",\"decision\":\"refuse\",\"code\":-5,");
}

static void test_numbers(void **state)
{
	static const struct {
		int64_t docs;
		uint64_t bytes;
		double ms;
		int32_t code;
		const char *text;
	} cases[] = {
		{0, 0, 0, 0, "\"docs\":0,\"bytes\":0,\"ms\":0,\"code\":0,"},
		{-1, 1, 0.001, 1, "\"bytes\":1,\"ms\":0.001,\"code\":1,"},
		{1, 9, 0.0004, -1, "\"docs\":1,\"bytes\":9,\"ms\":0,\"code\":-1,"},
		{1, 10, 0.0006, INT32_MAX,
			"\"docs\":1,\"bytes\":10,\"ms\":0.001,\"code\":2147483647,"},
		{INT64_MAX, INT64_MAX, 12, INT32_MIN,
			"\"docs\":9223372036854775807,\"bytes\":9223372036854775807,\"ms\":12,"
			"\"code\":-2147483648,"},
		{1, 1, 12.34, 0, "\"docs\":1,\"bytes\":1,\"ms\":12.340,\"code\":0,"},
		{1, 1, 999999999999, 0, "\"docs\":1,\"bytes\":1,\"ms\":999999999999,\"code\":0,"},
		/* What no clock says. */
		{1, 1, 1e12, 0, "\"docs\":1,\"bytes\":1,\"ms\":0,\"code\":0,"},
		{1, 1, -1, 0, "\"docs\":1,\"bytes\":1,\"ms\":0,\"code\":0,"},
		{1, 1, (double)NAN, 0, "\"docs\":1,\"bytes\":1,\"ms\":0,\"code\":0,"},
		{1, 1, (double)INFINITY, 0, "\"docs\":1,\"bytes\":1,\"ms\":0,\"code\":0,"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct audit_record r = {.event = AUDIT_OUTCOME,
			.request = bytes_str(REQUEST),
			.has_result = true,
			.docs = cases[i].docs,
			.bytes = cases[i].bytes,
			.ms = cases[i].ms,
			.code = cases[i].code};
		char text[300];

		snprintf(text, sizeof(text), "\"conn\":0,\"request\":\"" REQUEST "\",%s",
			cases[i].text);
		expect(&r, 0, text);
	}
}

/* ------------------------------------------------------------------- escapes */

#define MANY_100                                             \
	"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee" \
	"ffffffffffgggggggggghhhhhhhhhhiiiiiiiiiijjjjjjjjjj"
#define MANY_250 MANY_100 MANY_100 "kkkkkkkkkkllllllllllmmmmmmmmmmnnnnnnnnnnoooooooooo"
#define REPLACED "\xef\xbf\xbd"
#define ELLIPSIS "\xe2\x80\xa6"

static const struct {
	const char *name;
	size_t len;
	const char *text; /* within its quotes */
	const char *read; /* what a reader has of it; NULL: the name */
} names[] = {
	{LITERAL(""), "", NULL},
	{LITERAL("a \x7f~!#[]{}/'"), "a \x7f~!#[]{}/'", NULL},
	{LITERAL("\"\\"), "\\\"\\\\", NULL},
	{LITERAL("\",\"user\":\"root"), "\\\",\\\"user\\\":\\\"root", NULL},
	{LITERAL("\n\r\t\b"), "\\u000a\\u000d\\u0009\\u0008", NULL},
	{LITERAL("\x01\x1f "), "\\u0001\\u001f ", NULL},
	{LITERAL("H\xc3\xb4pital \xe2\x82\xac \xf0\x9f\x8f\xa5"),
		"H\xc3\xb4pital \xe2\x82\xac \xf0\x9f\x8f\xa5", NULL},
	/* One for each maximal part that is no UTF-8. */
	{LITERAL("a\xff\xfe"), "a" REPLACED REPLACED, "a" REPLACED REPLACED},
	{LITERAL("\xe2\x82"
		 "b"),
		REPLACED "b", REPLACED "b"},
	{LITERAL("\xed\xa0\x80"), REPLACED REPLACED REPLACED, REPLACED REPLACED REPLACED},
	{LITERAL("\xc0\xaf\xf5"), REPLACED REPLACED REPLACED, REPLACED REPLACED REPLACED},
	/* Up to 256 bytes as they are, else with an ellipsis of three. */
	{LITERAL(MANY_250 "12345"), MANY_250 "12345", NULL},
	{LITERAL(MANY_250 "123456"), MANY_250 "123456", NULL},
	{LITERAL(MANY_250 "1234567"), MANY_250 "123" ELLIPSIS, MANY_250 "123" ELLIPSIS},
	{LITERAL(MANY_250 "12\xc3\xb4\xc3\xb4\xc3\xb4"), MANY_250 "12" ELLIPSIS,
		MANY_250 "12" ELLIPSIS},
	{LITERAL(MANY_250 "1\xc3\xb4\xc3\xb4\xc3\xb4"), MANY_250 "1\xc3\xb4" ELLIPSIS,
		MANY_250 "1\xc3\xb4" ELLIPSIS},
};

static void expect_name(struct bytes name, struct bytes text, struct bytes read)
{
	struct buf out, plain;

	buf_init(&out, 4096);
	buf_init(&plain, 4096);
	record_put_name(&out, name);
	assert_true(out.len >= 2 && out.at[0] == '"' && out.at[out.len - 1] == '"');
	assert_true(bytes_equal(bytes_of(out.at + 1, out.len - 2), text));
	line_unescape(buf_bytes(&out), &plain);
	assert_true(bytes_equal(buf_bytes(&plain), read));
	assert_true(plain.len <= AUDIT_NAME_MAX);
	buf_fini(&out);
	buf_fini(&plain);
}

static void test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct bytes name = bytes_of(names[i].name, names[i].len);

		expect_name(name, bytes_str(names[i].text),
			names[i].read ? bytes_str(names[i].read) : name);
	}
}

/* What is counted is what a reader has. */
static void test_long_names(void **state)
{
	static const struct {
		char what;
		const char *text, *read;
		size_t most, kept; /* of these fit; of one more so many are kept */
	} cases[] = {
		{'a', "a", "a", 256, 253},
		{'"', "\\\"", "\"", 256, 253},
		{'\x01', "\\u0001", "\x01", 256, 253},
		{'\xff', REPLACED, REPLACED, 85, 84},
	};
	char name[300];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		for (size_t over = 0; over < 2; over++) {
			size_t len = cases[i].most + over, kept = over ? cases[i].kept : len;
			struct buf text, read;

			buf_init(&text, 4096);
			buf_init(&read, 4096);
			memset(name, cases[i].what, len);
			for (size_t k = 0; k < kept; k++) {
				buf_put_str(&text, cases[i].text);
				buf_put_str(&read, cases[i].read);
			}
			buf_put_str(&text, over ? ELLIPSIS : "");
			buf_put_str(&read, over ? ELLIPSIS : "");
			expect_name(bytes_of(name, len), buf_bytes(&text), buf_bytes(&read));
			buf_fini(&text);
			buf_fini(&read);
		}
}

/* A name of each kind in each place that takes one. */
static void test_names_in_their_places(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct bytes name = bytes_of(names[i].name, names[i].len);
		struct bytes roles[] = {name, bytes_str("r"), name};
		struct audit_record r = everything(AUDIT_ACCESS);
		struct audit_record act = {
			.event = AUDIT_ADMIN, .user = name, .act = name, .target = name};

		r.client = r.tls = r.app = r.driver = r.user = name;
		r.on_behalf_of = r.purpose = r.ns = r.command = r.rule = r.policy = r.way = name;
		r.roles = roles;
		r.nroles = 3;
		batch_clear(&batch);
		assert_true(record_put(&batch, &scratch, &r, 0, NULL, NULL));
		assert_true(record_put(&batch, &scratch, &act, 0, NULL, NULL));
		expect_good(0);
		expect_good(1);
	}
}

/* -------------------------------------------------------------------- shapes */

static struct audit_record shaped(struct bytes shape)
{
	return (struct audit_record){
		.event = AUDIT_INTENT, .request = bytes_str(REQUEST), .shape = shape};
}

static void expect_shape(const struct audit_record *r, struct bytes shape, struct bytes hashed)
{
	uint8_t hash[32];
	struct buf text;

	crypto_generichash(hash, sizeof(hash), hashed.at, hashed.len, NULL, 0);
	buf_init(&text, 2 * AUDIT_LINE_MAX);
	buf_put_str(&text, "\"command\":\"\",\"shape\":");
	buf_put(&text, shape);
	buf_put_str(&text, ",\"shape_hash\":\"");
	record_put_hex(&text, hash, AUDIT_SHAPE_HASH_LEN);
	buf_put_str(&text, "\",\"decision\":");
	batch_clear(&batch);
	assert_true(record_put(&batch, &scratch, r, 0, NULL, NULL));
	assert_non_null(memmem(text_of(0).at, text_of(0).len, text.at, text.len));
	expect_good(0);
	buf_fini(&text);
}

static void test_shapes(void **state)
{
	static const size_t lens[] = {
		7, 1023, 1024, 1025, 1025, AUDIT_SHAPE_MAX, AUDIT_SHAPE_MAX + 1, 100000, 7};
	struct bytes unknown = bytes_str("{\"?\":\"long\"}");
	uint8_t *shape = memory_array(100000, 1);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(lens); i++) {
		struct bytes whole = bytes_of(shape, lens[i]);
		struct audit_record r = shaped(whole);

		memset(shape, 'a', lens[i]);
		/* As long as the one before and another: its hash is its own. */
		shape[2] = (uint8_t)('b' + i);
		memcpy(shape, "{\"", 2);
		memcpy(shape + lens[i] - 4, "\":1}", 4);
		expect_shape(&r, lens[i] <= AUDIT_SHAPE_MAX ? whole : unknown, whole);
		expect_shape(&r, lens[i] <= AUDIT_SHAPE_MAX ? whole : unknown, whole);
	}
	free(shape);
}

/* Of one that was too long even to be kept. */
static void test_hash_of_a_shape(void **state)
{
	struct bytes whole = bytes_str("{\"not\":\"kept\"}");
	struct audit_record r = shaped(bytes_of("", 0));
	uint8_t hash[AUDIT_SHAPE_HASH_LEN];

	(void)state;
	audit_shape_hash(whole, hash);
	r.shape_hash = hash;
	expect_shape(&r, bytes_str("{\"?\":\"long\"}"), whole);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	static const struct CMUnitTest tests[] = {CASE(test_each_event), CASE(test_counted_logins),
		CASE(test_least_of_each_event), CASE(test_decisions), CASE(test_numbers),
		CASE(test_names), CASE(test_long_names), CASE(test_names_in_their_places),
		CASE(test_shapes), CASE(test_hash_of_a_shape)};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
