/* line_inside.h - the two halves of line_parse. */
#ifndef PROXY_AUDIT_LINE_INSIDE_H
#define PROXY_AUDIT_LINE_INSIDE_H

#include "audit/line.h"

/* Where the keys of the whole object stood, for their order. */
struct line_order {
	size_t nkeys;
	enum line_key first[6], last[3]; /* LINE_KEYS for an unknown key */
};

/* The grammar: fills values and the order.  False and p->why. */
bool line_read_json(struct line_parser *p, struct line *l, struct line_order *order) MUST_CHECK;
/* What keys mean: kinds, and those that an event needs. */
bool line_judge(struct line_parser *p, struct line *l) MUST_CHECK;
bool line_fault(struct line_parser *p, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
