/* throttle.h - slows down guessing: failed logins by address and by user name.
 *
 * After `THROTTLE_FREE` failures within a minute from one address, or for one name from
 * one address, further attempts from there are to be answered late; the delay doubles up
 * to THROTTLE_DELAY_MAX_MS.  A success forgets the pair, never the address.  Thread-safe;
 * at most 10,000 entries, the oldest forgotten first.
 */
#ifndef PROXY_AUTH_THROTTLE_H
#define PROXY_AUTH_THROTTLE_H

#include "util/bytes.h"

#define THROTTLE_FREE         5
#define THROTTLE_DELAY_MAX_MS 5000

struct throttle;
struct throttle *throttle_new(void);
void throttle_free(struct throttle *t);
/* How long the answer to the next attempt is to be held back. */
uint32_t throttle_delay_ms(
	struct throttle *t, struct bytes address, struct bytes user, uint64_t now_us);
void throttle_failed(struct throttle *t, struct bytes address, struct bytes user, uint64_t now_us);
void throttle_succeeded(struct throttle *t, struct bytes address, struct bytes user);

#endif
