#include "unit.h"

#include "util/complaint.h"

static void test_lines(void **state)
{
	struct complaints c;
	const struct place at = {"a.yaml", 3, 14}, whole = {"b.yaml", 0, 0};

	(void)state;
	complaints_init(&c);
	assert_false(complain(&c, at, "remove it", "unknown key '%s'", "x\ny"));
	assert_false(complain(&c, at, NULL, "bad"));
	assert_false(complain(&c, whole, "chmod 600 it", "others may write it"));
	buf_put_u8(&c.lines, 0);
	assert_string_equal((const char *)c.lines.at,
		"a.yaml:3:14: unknown key 'x?y' (remove it)\n"
		"a.yaml:3:14: bad\n"
		"b.yaml: others may write it (chmod 600 it)\n");
	assert_int_equal(c.count, 3);
	complaints_fini(&c);
}

static void test_limit(void **state)
{
	struct complaints c;
	size_t lines = 0;

	(void)state;
	complaints_init(&c);
	for (int i = 0; i < COMPLAINTS_MAX + 5; i++)
		complain(&c, (struct place){"f", 1, 1}, NULL, "%01000d", i);
	assert_int_equal(c.count, COMPLAINTS_MAX + 5);
	for (size_t i = 0; i < c.lines.len; i++)
		lines += c.lines.at[i] == '\n';
	assert_int_equal(lines, COMPLAINTS_MAX);
	assert_false(c.lines.failed);
	complaints_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
