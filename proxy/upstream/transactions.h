/* transactions.h - which server an open transaction lives on.
 *
 * Keyed by user, session and txnNumber; thread-safe, sharded.  An entry ends with commit
 * or abort (kept a while, since drivers repeat them), or 90 s after its last command,
 * when the upstream (60 s) has ended it by itself.
 */
#ifndef PROXY_UPSTREAM_TRANSACTIONS_H
#define PROXY_UPSTREAM_TRANSACTIONS_H

#include "upstream/pool.h"

#define TRANSACTION_IDLE_US   (90ull * 1000 * 1000)
#define TRANSACTIONS_PER_USER 1000

struct transactions;
struct transactions *transactions_new(void);
void transactions_free(struct transactions *t);

enum transaction_state { TRANSACTION_NONE, TRANSACTION_OPEN, TRANSACTION_ENDED };

/* A command with startTransaction: a new entry, without a server yet; a lower or equal
 * txnNumber of the session is refused (false). */
bool transactions_start(struct transactions *t, struct bytes user, const uint8_t session[16],
	int64_t number, uint64_t now_us);
void transactions_placed(struct transactions *t, struct bytes user, const uint8_t session[16],
	int64_t number, server_id server);
/* Where it lives (SERVER_ANY until placed), and renews its time. */
enum transaction_state transactions_find(struct transactions *t, struct bytes user,
	const uint8_t session[16], int64_t number, uint64_t now_us, server_id *server);
void transactions_ended(struct transactions *t, struct bytes user, const uint8_t session[16],
	int64_t number, uint64_t now_us);
void transactions_expire(struct transactions *t, uint64_t now_us);
size_t transactions_count(struct transactions *t);

#endif
