/* policy_risk.h - `mongoward policy risk`, told to people and to machines. */
#ifndef PROXY_CLI_POLICY_RISK_H
#define PROXY_CLI_POLICY_RISK_H

#include "cli/cli.h"
#include "transform/risk.h"

cli_fn cli_policy_risk;

struct risk_report {
	struct bytes of; /* a namespace */
	bool stored;     /* as the database's operator sees it */
	const struct risk_paths *quasi, *sensitive;
	const struct risk_result *result;
	uint64_t min_k; /* 0: none is asked for */
	bool met;
};

/* Lines of at most 80 columns; field names and numbers, never a value. */
void risk_put_text(struct buf *out, const struct risk_report *r);
/* One line. */
void risk_put_json(struct buf *out, const struct risk_report *r);

#endif
