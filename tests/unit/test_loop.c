#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>

#include "net/loop.h"

#define THREADS 4
#define POSTS   2000

static struct {
	struct net_loop *loop;
	char seen[64];
	size_t n;
	unsigned hooks, left;
	struct net_timer *timer, *other;
} t;

static void see(char c)
{
	assert_true(t.n + 1 < sizeof(t.seen));
	t.seen[t.n++] = c;
}

static int begin(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.loop = net_loop_new();
	return 0;
}

static int end(void **state)
{
	(void)state;
	net_timer_free(t.timer);
	net_timer_free(t.other);
	net_loop_free(t.loop);
	return 0;
}

static void stop(void *context)
{
	see('s');
	net_loop_stop(context);
}

static void inner(void *context)
{
	(void)context;
	see('i');
}

static void outer(void *context)
{
	see('d');
	net_loop_defer(context, inner, NULL);
}

static void posted(void *context)
{
	see('p');
	net_loop_defer(context, outer, context);
	see('q');
}

static void hook(void *context)
{
	(void)context;
	/* The first tick's hook comes before anything happens. */
	if (t.n)
		see('h');
}

static void test_order_of_a_tick(void **state)
{
	(void)state;
	net_loop_each_tick(t.loop, hook, NULL);
	net_loop_post(t.loop, posted, t.loop);
	net_loop_post(t.loop, stop, t.loop);
	net_loop_run(t.loop);
	/* Callbacks, hooks, deferred, and hooks again for what that did. */
	assert_int_equal(strncmp(t.seen, "pqshdhih", 8), 0);
}

static void test_stop_before_run(void **state)
{
	(void)state;
	net_loop_stop(t.loop);
	net_loop_run(t.loop);
	/* And it can run again. */
	net_loop_post(t.loop, stop, t.loop);
	net_loop_run(t.loop);
	assert_string_equal(t.seen, "s");
}

static void stop_then_post(void *context)
{
	net_loop_stop(context);
	net_loop_post(context, inner, NULL);
}

static void test_posted_before_the_end(void **state)
{
	(void)state;
	net_loop_post(t.loop, stop_then_post, t.loop);
	net_loop_run(t.loop);
	assert_string_equal(t.seen, "i");
}

static void test_free_runs_deferred(void **state)
{
	(void)state;
	net_loop_defer(t.loop, outer, t.loop);
	net_loop_free(t.loop);
	assert_string_equal(t.seen, "di");
	t.loop = NULL;
}

static void again(void *context)
{
	if (++t.left < 1000)
		net_loop_defer(context, again, context);
	else
		net_loop_stop(context);
}

static void test_deferring_for_ever(void **state)
{
	(void)state;
	net_loop_post(t.loop, inner, NULL);
	net_loop_defer(t.loop, again, t.loop);
	net_loop_run(t.loop);
	assert_int_equal(t.left, 1000);
	assert_string_equal(t.seen, "i");
}

static void count_down(void *context)
{
	if (--t.left == 0)
		net_loop_stop(context);
}

static void *post_many(void *context)
{
	for (int i = 0; i < POSTS; i++)
		net_loop_post(context, count_down, context);
	return NULL;
}

static void test_posts_of_threads(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	t.left = THREADS * POSTS;
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, post_many, t.loop), 0);
	net_loop_run(t.loop);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(t.left, 0);
}

static void *stop_it(void *context)
{
	net_loop_stop(context);
	return NULL;
}

static void test_stop_from_a_thread(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, stop_it, t.loop), 0);
	net_loop_run(t.loop);
	pthread_join(thread, NULL);
}

static void on_timer(void *context)
{
	see('t');
	/* Freed in its own callback. */
	net_timer_free(t.timer);
	t.timer = NULL;
	net_loop_stop(context);
}

static void never(void *context)
{
	(void)context;
	see('!');
}

static void test_timers(void **state)
{
	uint64_t before = net_loop_now_us(t.loop);

	(void)state;
	t.timer = net_timer_new(t.loop, on_timer, t.loop);
	t.other = net_timer_new(t.loop, never, NULL);
	net_timer_set(t.other, 0);
	net_timer_clear(t.other);
	net_timer_set(t.timer, UINT64_MAX);
	net_timer_set(t.timer, 3000);
	net_loop_run(t.loop);
	assert_string_equal(t.seen, "t");
	assert_true(net_loop_now_us(t.loop) > before);
	/* Moved far away: it does not come. */
	net_timer_set(t.other, 0);
	net_timer_set(t.other, UINT64_MAX);
	net_loop_post(t.loop, stop, t.loop);
	net_loop_run(t.loop);
	assert_string_equal(t.seen, "ts");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {CASE(test_order_of_a_tick), CASE(test_stop_before_run),
		CASE(test_posted_before_the_end), CASE(test_free_runs_deferred),
		CASE(test_deferring_for_ever), CASE(test_posts_of_threads),
		CASE(test_stop_from_a_thread), CASE(test_timers)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
