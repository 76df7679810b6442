/* query_row.h - a found record as one row of a table, at most 80 columns wide. */
#ifndef PROXY_AUDIT_QUERY_ROW_H
#define PROXY_AUDIT_QUERY_ROW_H

#include "audit/query.h"

/* Both with their LF.  Foreign text is made printable, and cut with '…'. */
void query_put_heading(struct buf *out);
void query_put_row(struct buf *out, const struct query_hit *hit);

#endif
