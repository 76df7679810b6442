/* fault.h - why something was refused or failed.
 *
 * A fault has three parts: a code from faults.def, which gives the MongoDB error
 * and the only text that a client can see; `what`, the name or path that the
 * client itself sent and may therefore read again in that text; and a detail for
 * the log.  Neither part may hold a patient's value, a key or a password.
 */
#ifndef PROXY_UTIL_FAULT_H
#define PROXY_UTIL_FAULT_H

#include "util/bytes.h"

#define FAULT_WHAT_MAX   160
#define FAULT_DETAIL_MAX 200
#define FAULT_TEXT_MAX   640 /* of the longest text with `what` filled in */

enum fault_code {
	FAULT_NONE,
#define FAULT(name, server_code, code_name, keeps_session, text) FAULT_##name,
#include "util/faults.def"
#undef FAULT
	FAULT_COUNT
};

struct fault {
	enum fault_code code;
	char what[FAULT_WHAT_MAX];
	char detail[FAULT_DETAIL_MAX];
};

/* Each sets the fault and returns false, for `return fault_set(why, …)`.  `what`
 * is cut, and made printable, to fit. */
bool fault_set(struct fault *why, enum fault_code code, const char *detail_format, ...)
	PRINTF_LIKE(3, 4);
bool fault_name(struct fault *why, enum fault_code code, struct bytes what);

/* The MongoDB error of a code. */
int32_t fault_server_code(enum fault_code code);
const char *fault_code_name(enum fault_code code);
/* False: the client's connection is closed once the error is sent. */
bool fault_keeps_session(enum fault_code code);
/* The text for the client, into `out` of `size` bytes; returns `out`. */
const char *fault_text(const struct fault *fault, char *out, size_t size);

#endif
