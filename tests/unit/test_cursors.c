#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>

#include "upstream/cursors.h"
#include "util/memory.h"

#define T0 1000000ull

static const struct bytes ann = {(const uint8_t *)"ann", 3};
static const struct bytes bob = {(const uint8_t *)"bob", 3};
static const struct bytes ns = {(const uint8_t *)"db.view", 7};
static const struct bytes other_ns = {(const uint8_t *)"db.other", 8};
static const uint8_t lsid[16] = {1, 2, 3};
static const uint8_t other_lsid[16] = {1, 2, 4};

static atomic_int plan_references;

static void ref(void *plan)
{
	atomic_fetch_add((atomic_int *)plan, 1);
}

static void unref(void *plan)
{
	assert_true(atomic_fetch_sub((atomic_int *)plan, 1) > 0);
}

static int64_t add(
	struct cursors *c, struct bytes user, const uint8_t *session, int64_t upstream_id)
{
	struct cursor cursor = {.upstream_id = upstream_id,
		.server = 7,
		.user = user,
		.has_session = session != NULL,
		.ns = ns,
		.upstream_ns = bytes_str("db.collection"),
		.plan = &plan_references};

	if (session)
		memcpy(cursor.session, session, sizeof(cursor.session));
	return cursors_add(c, &cursor, ref, unref, T0);
}

static int64_t add_idle(struct cursors *c, const uint8_t *session, int64_t upstream_id)
{
	int64_t id = add(c, ann, session, upstream_id);

	cursors_give_back(c, id, T0);
	return id;
}

static void finish(struct cursors *c)
{
	cursors_free(c);
	assert_int_equal(plan_references, 0);
}

struct visited {
	size_t count;
	int64_t last;
};

static void visit(void *context, const struct cursor *cursor)
{
	struct visited *v = context;

	assert_true(bytes_equal_str(cursor->upstream_ns, "db.collection"));
	v->count++;
	v->last = cursor->upstream_id;
}

static void test_only_the_owner_takes(void **state)
{
	const struct {
		struct bytes user;
		const uint8_t *session;
		struct bytes ns;
		enum cursor_taken taken;
	} cases[] = {
		{bob, lsid, ns, CURSOR_ABSENT},
		{ann, other_lsid, ns, CURSOR_ABSENT},
		{ann, NULL, ns, CURSOR_ABSENT},
		{ann, lsid, other_ns, CURSOR_ABSENT},
		{ann, lsid, ns, CURSOR_TAKEN},
	};
	struct cursors *c = cursors_new();
	int64_t id = add_idle(c, lsid, 42), plain = add_idle(c, NULL, 43);
	struct cursor out;

	(void)state;
	assert_true(id != 0);
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(
			cursors_take(c, id, cases[i].user, cases[i].session, cases[i].ns, &out),
			cases[i].taken);
	assert_int_equal(out.upstream_id, 42);
	assert_int_equal(out.server, 7);
	assert_true(bytes_equal_str(out.upstream_ns, "db.collection"));
	assert_int_equal(cursors_take(c, id + 1, ann, lsid, ns, &out), CURSOR_ABSENT);
	assert_int_equal(cursors_take(c, 0, ann, lsid, ns, &out), CURSOR_ABSENT);
	assert_int_equal(cursors_take(c, plain, ann, lsid, ns, &out), CURSOR_ABSENT);
	unref(&plan_references);
	finish(c);
}

static void test_one_get_more_at_a_time(void **state)
{
	struct cursors *c = cursors_new();
	int64_t id = add(c, ann, NULL, 42);
	struct cursor out;

	(void)state;
	assert_int_equal(cursors_take(c, id, ann, NULL, ns, &out), CURSOR_BUSY);
	/* Whether it is busy is nobody else's business. */
	assert_int_equal(cursors_take(c, id, bob, NULL, ns, &out), CURSOR_ABSENT);
	cursors_give_back(c, id, T0);
	assert_int_equal(cursors_take(c, id, ann, NULL, ns, &out), CURSOR_TAKEN);
	assert_int_equal(plan_references, 2);
	unref(&plan_references);
	cursors_forget(c, id);
	cursors_forget(c, id);
	assert_int_equal(cursors_count(c), 0);
	assert_int_equal(plan_references, 0);
	finish(c);
}

static void test_kill(void **state)
{
	struct cursors *c = cursors_new();
	int64_t idle = add_idle(c, NULL, 1), busy = add(c, ann, NULL, 2);
	struct cursor out;

	(void)state;
	assert_false(cursors_kill(c, idle, bob, ns, &out));
	assert_false(cursors_kill(c, idle, ann, other_ns, &out));
	assert_true(cursors_kill(c, idle, ann, ns, &out));
	assert_int_equal(out.upstream_id, 1);
	assert_null(out.plan);
	assert_true(bytes_equal_str(out.upstream_ns, "db.collection"));
	assert_false(cursors_kill(c, idle, ann, ns, &out));
	assert_true(cursors_kill(c, busy, ann, ns, &out));
	assert_false(cursors_kill(c, busy, ann, ns, &out));
	assert_int_equal(cursors_count(c), 0);
	assert_int_equal(cursors_take(c, busy, ann, NULL, ns, &out), CURSOR_ABSENT);
	assert_int_equal(plan_references, 1);
	cursors_give_back(c, busy, T0);
	assert_int_equal(plan_references, 0);
	finish(c);
}

static void test_limit_of_a_user(void **state)
{
	struct cursors *c = cursors_new();
	struct visited v = {0};
	struct cursor out;
	int64_t busy, first, id;

	(void)state;
	id = add(c, bob, NULL, 5);
	cursors_give_back(c, id, T0);
	busy = add(c, ann, NULL, 1);
	first = add_idle(c, NULL, 2);
	for (int64_t i = 2; i < CURSORS_PER_USER; i++)
		add_idle(c, NULL, i + 1);
	assert_int_equal(cursors_count(c), CURSORS_PER_USER + 1);
	cursors_expire(c, T0, visit, &v);
	assert_int_equal(v.count, 0);
	add_idle(c, NULL, 9999);
	assert_int_equal(cursors_count(c), CURSORS_PER_USER + 1);
	assert_int_equal(cursors_take(c, first, ann, NULL, ns, &out), CURSOR_ABSENT);
	assert_int_equal(cursors_take(c, busy, ann, NULL, ns, &out), CURSOR_BUSY);
	cursors_expire(c, T0, visit, &v);
	assert_int_equal(v.count, 1);
	assert_int_equal(v.last, 2);
	finish(c);
}

static void test_limit_with_all_busy(void **state)
{
	struct cursors *c = cursors_new();
	struct visited v = {0};
	int64_t first = add(c, ann, NULL, 1);

	(void)state;
	for (int64_t i = 1; i <= CURSORS_PER_USER; i++)
		add(c, ann, NULL, i + 1);
	assert_int_equal(cursors_count(c), CURSORS_PER_USER);
	cursors_expire(c, T0, visit, &v);
	assert_int_equal(v.count, 0);
	cursors_give_back(c, first, T0);
	cursors_expire(c, T0, visit, &v);
	assert_int_equal(v.count, 1);
	assert_int_equal(v.last, 1);
	finish(c);
}

static void test_expiry(void **state)
{
	struct cursors *c = cursors_new();
	struct cursor forever = {.user = ann, .ns = ns, .no_timeout = true};
	struct visited v = {0};

	(void)state;
	add_idle(c, NULL, 1);
	add(c, ann, NULL, 2);
	cursors_give_back(c, cursors_add(c, &forever, ref, unref, T0), T0);
	cursors_expire(c, T0 + CURSOR_IDLE_US - 1, visit, &v);
	assert_int_equal(v.count, 0);
	cursors_expire(c, T0 + CURSOR_IDLE_US, visit, &v);
	assert_int_equal(v.count, 1);
	assert_int_equal(v.last, 1);
	assert_int_equal(cursors_count(c), 2);
	finish(c);
}

static void test_end_of_session_and_user(void **state)
{
	struct cursors *c = cursors_new();
	struct visited v = {0};
	int64_t busy;

	(void)state;
	add_idle(c, lsid, 1);
	busy = add(c, ann, lsid, 2);
	add_idle(c, other_lsid, 3);
	add_idle(c, NULL, 4);
	cursors_end_session(c, bob, lsid, visit, &v);
	assert_int_equal(v.count, 0);
	cursors_end_session(c, ann, lsid, visit, &v);
	assert_int_equal(v.count, 2);
	cursors_end_session(c, ann, lsid, visit, &v);
	assert_int_equal(v.count, 2);
	cursors_give_back(c, busy, T0);
	assert_int_equal(cursors_count(c), 2);
	cursors_end_user(c, ann, visit, &v);
	assert_int_equal(v.count, 4);
	assert_int_equal(cursors_count(c), 0);
	assert_int_equal(plan_references, 0);
	finish(c);
}

#define THREADS 4
#define ROUNDS  2000

static void quiet(void *context, const struct cursor *cursor)
{
	(void)context;
	(void)cursor;
}

static void *work(void *context)
{
	struct cursors *c = context;
	uint64_t drawn = 88172645463325252ull + (uintptr_t)&drawn;
	int64_t ids[8] = {0};
	struct cursor out;

	for (unsigned i = 0; i < ROUNDS; i++) {
		int64_t *id = &ids[i % COUNT_OF(ids)];

		drawn = drawn * 6364136223846793005ull + 1442695040888963407ull;
		if (*id && cursors_take(c, *id, ann, NULL, ns, &out) == CURSOR_TAKEN) {
			unref(out.plan);
			cursors_give_back(c, *id, T0 + i);
		}
		if (*id && drawn >> 62 == 0)
			cursors_kill(c, *id, ann, ns, &out);
		*id = add(c, ann, NULL, (int64_t)i);
		cursors_give_back(c, *id, T0 + i);
		if (drawn >> 58 == 1)
			cursors_expire(c, T0 + i + CURSOR_IDLE_US, quiet, NULL);
		if (drawn >> 58 == 2)
			cursors_end_user(c, ann, quiet, NULL);
	}
	return NULL;
}

static void test_many_threads(void **state)
{
	struct cursors *c = cursors_new();
	pthread_t threads[THREADS];

	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, c), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_true(cursors_count(c) <= CURSORS_PER_USER);
	finish(c);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_the_owner_takes),
		cmocka_unit_test(test_one_get_more_at_a_time),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_limit_of_a_user),
		cmocka_unit_test(test_limit_with_all_busy),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_end_of_session_and_user),
		cmocka_unit_test(test_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
