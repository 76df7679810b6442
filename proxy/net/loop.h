/* loop.h - the event loop of one worker thread, and the end of its tick.
 *
 * Nothing with events is freed inside a callback: whoever closes queues, the loop frees
 * when all callbacks of the tick have returned.
 */
#ifndef PROXY_NET_LOOP_H
#define PROXY_NET_LOOP_H

#include "util/bytes.h"

struct event_base;
struct net_loop;

typedef void net_fn(void *context);

struct net_loop *net_loop_new(void);
/* When all that uses it is freed or closed; what was deferred is run, what was posted is
 * not. */
void net_loop_free(struct net_loop *l);
/* Runs until net_loop_stop, and until connections that were closed have lingered; what was
 * posted before is run.  On the thread that calls it. */
void net_loop_run(struct net_loop *l);
void net_loop_stop(struct net_loop *l); /* from any thread */
struct event_base *net_loop_base(struct net_loop *l);
/* Microseconds, monotonic, read once a tick. */
uint64_t net_loop_now_us(const struct net_loop *l);

/* Runs `fn` on the loop's thread in one of its next ticks; from any thread. */
void net_loop_post(struct net_loop *l, net_fn *fn, void *context);
/* Runs `fn` when all callbacks of this tick have returned; on the loop's thread. */
void net_loop_defer(struct net_loop *l, net_fn *fn, void *context);
/* Runs `fn` at the end of every tick, before what was deferred; one such hook a name, at
 * most four.  The audit log's batch of a tick is committed from there. */
void net_loop_each_tick(struct net_loop *l, net_fn *fn, void *context);

/* One-shot timers. */
struct net_timer;
struct net_timer *net_timer_new(struct net_loop *l, net_fn *fn, void *context);
void net_timer_free(struct net_timer *t);                   /* also from within its own callback */
void net_timer_set(struct net_timer *t, uint64_t after_us); /* again: moves it */
void net_timer_clear(struct net_timer *t);

#endif
