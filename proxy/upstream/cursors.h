/* cursors.h - open cursors: ours to the client, theirs upstream.
 *
 * Ids are random, never 0, and mean nothing to anybody but their owner: user, session and
 * namespace are checked before anything is forwarded.  Shared by all workers, sharded and
 * locked.  An entry is idle, busy (one getMore at a time) or gone; idle ones are forgotten
 * after 10 minutes, but for those with noCursorTimeout.  At most CURSORS_PER_USER for one
 * user; the oldest idle one goes first (the oldest of all if none is idle), and its upstream
 * cursor is visited by the next cursors_expire.
 */
#ifndef PROXY_UPSTREAM_CURSORS_H
#define PROXY_UPSTREAM_CURSORS_H

#include "upstream/pool.h"

#define CURSORS_PER_USER 1000
#define CURSOR_IDLE_US   (10ull * 60 * 1000 * 1000)

#define CURSOR_NS_MAX 256u /* MongoDB has 255 */

struct cursors;

struct cursors *cursors_new(void);
void cursors_free(struct cursors *c);

/* What a cursor is; copied in and out.  `plan` is the block with which its replies are
 * treated, reference-counted by the two functions given to cursors_add. */
struct cursor {
	int64_t id; /* ours */
	int64_t upstream_id;
	server_id server;
	struct bytes user; /* copied in; borrowed from the entry on the way out */
	bool has_session;
	uint8_t session[16]; /* the client's own lsid */
	struct bytes ns;     /* as the client names it */
	struct bytes upstream_ns;
	bool no_timeout;  /* noCursorTimeout */
	bool awaiting;    /* tailable with awaitData, or a change stream */
	char request[33]; /* that opened it */
	void *plan;
	char killed_ns[CURSOR_NS_MAX]; /* where cursors_kill leaves upstream_ns */
};
typedef void cursor_plan_fn(void *plan);

/* Enters a cursor, busy, before its first reply is released.  Returns our id. */
int64_t cursors_add(struct cursors *c, const struct cursor *cursor, cursor_plan_fn *plan_ref,
	cursor_plan_fn *plan_unref, uint64_t now_us);

enum cursor_taken { CURSOR_TAKEN, CURSOR_ABSENT, CURSOR_BUSY };
/* Makes an idle cursor busy and copies it (with a reference to its plan, which the caller
 * gives back) if `user`, session and `ns` are its own; otherwise it is absent. */
enum cursor_taken cursors_take(struct cursors *c, int64_t id, struct bytes user,
	const uint8_t *session, struct bytes ns, struct cursor *out);
/* Ends what take or add began: idle again, or forgotten. */
void cursors_give_back(struct cursors *c, int64_t id, uint64_t now_us);
void cursors_forget(struct cursors *c, int64_t id);

/* What is to be killed upstream, since nobody is left to ask for it. */
typedef void cursor_orphan_fn(void *context, const struct cursor *cursor);
/* Kills one of a user's own cursors: true, and *out, when it was there.  `user` and `ns` of
 * *out are those given here, `upstream_ns` lies in *out itself, and there is no plan.  A busy
 * one is marked, and forgotten when it is given back. */
bool cursors_kill(
	struct cursors *c, int64_t id, struct bytes user, struct bytes ns, struct cursor *out);
/* All of a session, of a user, or all idle for too long; each is visited, then gone. */
void cursors_end_session(struct cursors *c, struct bytes user, const uint8_t session[16],
	cursor_orphan_fn *orphan, void *context);
void cursors_end_user(
	struct cursors *c, struct bytes user, cursor_orphan_fn *orphan, void *context);
void cursors_expire(struct cursors *c, uint64_t now_us, cursor_orphan_fn *orphan, void *context);
size_t cursors_count(struct cursors *c);

#endif
