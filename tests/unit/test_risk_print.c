#include "unit.h"

#include <stdlib.h>

#include "cli/policy_risk.h"
#include "util/memory.h"

static struct risk_paths quasi = {
	.at = {BYTES_LITERAL("age"), BYTES_LITERAL("admission_info.date_admission"),
		BYTES_LITERAL("administrative_info.hospital")},
	.count = 3,
};
static struct risk_paths sensitive = {
	.at = {BYTES_LITERAL("medical_info.a_field_with_quite_a_long_name")},
	.count = 1,
};

static struct risk_result *make_result(void)
{
	struct risk_result *r = memory_new(sizeof(*r));

	*r = (struct risk_result){
		.rows = 1234567,
		.patients = 1234566,
		.classes = 1000,
		.left_out = 1000,
		.buckets = {{1, 1, 1, 1}, {2, 4, 30, 100}, {5, 10, 0, 0}, {11, 49, 0, 0},
			{50, 199, 0, 0}, {200, UINT64_MAX, 969, 1234466}},
		.smallest = {{1, 1}, {3, 30}},
		.nsmallest = 2,
		.rows_under_2 = 1,
		.rows_under_5 = 101,
		.rows_under_11 = 1234566,
		.diversity = {{1, 0, 1234567}},
		.combinations = {{{1}, 1, 1, 5}, {{0, 2}, 2, 1234567, 9},
			{{0, 1, 2}, 3, 1234567, 9}},
		.ncombinations = 3,
		.searched_all = true,
		.sealed = {{BYTES_LITERAL("name"), true, 10, 7, 3, 12, 1}},
		.nsealed = 1,
		.shared_patients = 2,
		.shared_documents = 4,
		.shared_differ = 1,
	};
	return r;
}

static const char text[] =
	"c.p, as it is stored\n"
	"1,234,567 rows of 1,234,566 patients\n"
	"1,000 rows are left out by min_group\n"
	"quasi-identifiers: age, admission_info.date_admission,\n"
	"  administrative_info.hospital\n"
	"sensitive: medical_info.a_field_with_quite_a_long_name\n"
	"\n"
	"patients in a class       classes           rows     share\n"
	"1                               1              1    <0.1 %\n"
	"2 to 4                         30            100    <0.1 %\n"
	"5 to 10                         0              0     0.0 %\n"
	"11 to 49                        0              0     0.0 %\n"
	"50 to 199                       0              0     0.0 %\n"
	"200 and more                  969      1,234,466   >99.9 %\n"
	"\n"
	"rows in classes of under 2: <0.1 %, under 5: <0.1 %, under 11: >99.9 %\n"
	"k = 1; smallest classes: 1 of 1, 30 of 3\n"
	"--min-k 5 is NOT met\n"
	"\n"
	"  rows alone     share  by (the worst of each number of fields)\n"
	"           1    <0.1 %  admission_info.date_admission\n"
	"   1,234,567   100.0 %  age + administrative_info.hospital\n"
	"   1,234,567   100.0 %  age + admission_info.date_admission +\n"
	"                        administrative_info.hospital\n"
	"\n"
	"values in a class                        least rows: one value      one or two\n"
	"medical_info.a_field_with_quite_a_long_name\n"
	"                                             1           0.0 %         100.0 %\n"
	"\n"
	"ciphertext: documents that look alike      values      most    alone     plain\n"
	"name                                           10         7   25.0 %         1\n"
	"\n"
	"2 patients have several documents (4 in all).\n"
	"Those of 1 differ in other parts of the subject: several people under one?\n";

static const char json[] =
	"{\"of\":\"c.p\",\"as\":\"upstream\",\"rows\":1234567,\"patients\":1234566,"
	"\"left_out\":1000,\"classes\":1000,\"k\":1,\"sizes\":[{\"from\":1,\"to\":1,\"classes\":1,"
	"\"rows\":1},"
	"{\"from\":2,\"to\":4,\"classes\":30,\"rows\":100},"
	"{\"from\":5,\"to\":10,\"classes\":0,\"rows\":0},"
	"{\"from\":11,\"to\":49,\"classes\":0,\"rows\":0},"
	"{\"from\":50,\"to\":199,\"classes\":0,\"rows\":0},"
	"{\"from\":200,\"classes\":969,\"rows\":1234466}],"
	"\"smallest\":[{\"size\":1,\"classes\":1},{\"size\":3,\"classes\":30}],"
	"\"rows_under\":{\"2\":1,\"5\":101,\"11\":1234566},"
	"\"combinations\":[{\"fields\":[\"admission_info.date_admission\"],\"rows_alone\":1,"
	"\"groups\":5},{\"fields\":[\"age\",\"administrative_info.hospital\"],"
	"\"rows_alone\":1234567,\"groups\":9},{\"fields\":[\"age\","
	"\"admission_info.date_admission\",\"administrative_info.hospital\"],"
	"\"rows_alone\":1234567,\"groups\":9}],\"searched_all\":true,"
	"\"quasi\":[\"age\",\"admission_info.date_admission\",\"administrative_info.hospital\"],"
	"\"sensitive\":[{\"field\":\"medical_info.a_field_with_quite_a_long_name\",\"least\":1,"
	"\"rows_one_value\":0,\"rows_one_or_two\":1234567}],"
	"\"ciphertext\":[{\"field\":\"name\",\"algorithm\":\"deterministic\",\"values\":10,"
	"\"most\":7,\"alone\":3,\"documents\":12,\"plain\":1}],"
	"\"shared\":{\"patients\":2,\"documents\":4,\"differ\":1},\"min_k\":5,\"met\":false}\n";

static void test_report(void **state)
{
	struct risk_result *r = make_result();
	const struct risk_report report = {bytes_str("c.p"), true, &quasi, &sensitive, r, 5, false};
	struct buf out;

	(void)state;
	buf_init(&out, 1u << 16);
	risk_put_text(&out, &report);
	buf_put_u8(&out, 0);
	assert_string_equal((const char *)out.at, text);
	buf_clear(&out);
	risk_put_json(&out, &report);
	buf_put_u8(&out, 0);
	assert_string_equal((const char *)out.at, json);
	buf_fini(&out);
	free(r);
}

/* Of nothing there is nothing to tell. */
static void test_empty(void **state)
{
	struct risk_result *r = memory_new(sizeof(*r));
	const struct risk_report report = {bytes_str("c.v"), false, &quasi, &sensitive, r, 0, true};
	struct buf out;

	(void)state;
	buf_init(&out, 1u << 16);
	risk_put_text(&out, &report);
	buf_put_u8(&out, 0);
	assert_non_null(strstr((const char *)out.at, "c.v\n0 rows of 0 patients\n"));
	assert_null(strstr((const char *)out.at, "k ="));
	assert_null(strstr((const char *)out.at, "nan"));
	buf_fini(&out);
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
