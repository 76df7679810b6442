#include "unit.h"

#include "util/json_writer.h"

static void write_all(struct json_writer *w)
{
	json_begin_object(w);
	json_put_word(w, "a", "b\"");
	json_put_number(w, "n", INT64_MIN);
	json_put_flag(w, "t", true);
	json_key_of(w, bytes_of("x\0y", 3));
	json_null(w);
	json_key(w, "list");
	json_begin_array(w);
	json_number(w, 0);
	json_begin_object(w);
	json_end(w);
	json_begin_array(w);
	json_end(w);
	json_flag(w, false);
	json_value(w, bytes_str("{\"k\":1}"));
	json_end(w);
	json_put_text(w, "z", bytes_of("", 0));
	json_end(w);
}

static void check(bool pretty, const char *expected)
{
	struct buf out;
	struct json_writer w = {.out = &out, .pretty = pretty};

	buf_init(&out, 4096);
	write_all(&w);
	assert_int_equal(w.depth, 0);
	buf_put_u8(&out, 0);
	assert_string_equal((const char *)out.at, expected);
	buf_fini(&out);
}

static void test_one_line(void **state)
{
	(void)state;
	check(false, "{\"a\":\"b\\\"\",\"n\":-9223372036854775808,\"t\":true,\"x\\u0000y\":null,"
		     "\"list\":[0,{},[],false,{\"k\":1}],\"z\":\"\"}");
}

static void test_lines(void **state)
{
	(void)state;
	check(true, "{\n  \"a\": \"b\\\"\",\n  \"n\": -9223372036854775808,\n  \"t\": true,\n"
		    "  \"x\\u0000y\": null,\n  \"list\": [\n    0,\n    {},\n    [],\n    false,\n"
		    "    {\"k\":1}\n  ],\n  \"z\": \"\"\n}");
}

static void test_alone(void **state)
{
	struct buf out;
	struct json_writer w = {.out = &out};

	(void)state;
	buf_init(&out, 64);
	json_word(&w, "x");
	assert_memory_equal(out.at, "\"x\"", out.len);
	buf_fini(&out);
}

/* As deep as it goes; what does not fit shows. */
static void test_limits(void **state)
{
	struct buf out, small;
	struct json_writer w = {.out = &out}, v = {.out = &small};

	(void)state;
	buf_init(&out, 1024);
	for (unsigned i = 0; i < JSON_DEPTH_MAX; i++)
		json_begin_array(&w);
	for (unsigned i = 0; i < JSON_DEPTH_MAX; i++)
		json_end(&w);
	assert_int_equal(out.len, 2 * JSON_DEPTH_MAX);
	assert_false(out.failed);
	buf_fini(&out);
	buf_init(&small, 8);
	json_begin_array(&v);
	json_word(&v, "four");
	assert_false(small.failed);
	json_end(&v);
	assert_false(small.failed);
	json_number(&v, 1);
	assert_true(small.failed);
	buf_fini(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_line),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
