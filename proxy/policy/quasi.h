/* quasi.h - quasi-identifiers: kinds of data that single a person out without naming them.
 *
 * A field or a class of the policy says `quasi: [birth, gender]`; a path of which nothing is
 * said is judged by its name.  Used by lints and by `policy risk`, never by a decision.
 */
#ifndef PROXY_POLICY_QUASI_H
#define PROXY_POLICY_QUASI_H

#include "util/bytes.h"

enum quasi_kind {
#define QUASI(id, word, meaning, names) QUASI_##id,
#include "policy/quasi.def"
#undef QUASI
	QUASI_COUNT
};

typedef uint8_t quasi_set; /* of kinds, as bits */

/* What the name of a path says of it: one kind, or none. */
quasi_set quasi_of_name(struct bytes path);
const char *quasi_meaning(enum quasi_kind kind);
unsigned quasi_count(quasi_set set);
/* "birth, gender, place or stay" */
#define QUASI_WORDS "birth, gender, place or stay"

#endif
