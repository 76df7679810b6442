/* policy_diff_inside.h - what the parts of `policy diff` share. */
#ifndef PROXY_CLI_POLICY_DIFF_INSIDE_H
#define PROXY_CLI_POLICY_DIFF_INSIDE_H

#include "auth/users.h"
#include "policy/model.h"
#include "policy/policy.h"
#include "util/map.h"

enum change_kind { CHANGE_REFUSED, CHANGE_ALLOWED, CHANGE_SHOWN, CHANGE_NONE, CHANGE_UNDECIDED };
#define CHANGE_KINDS 5u

/* What a record says of a request; texts are the run's. */
struct request {
	struct bytes user, roles, ns, command, shape, purpose, role, client;
	bool allowed, glass, same_policy;
};

/* What a policy makes of it. */
struct verdict {
	bool allowed;
	struct bytes rule, role; /* of the policy */
	struct place at;         /* of the rule */
	char *error;             /* of the run; NULL when allowed */
	char *sees; /* what is shown of each path, a line each; NULL: nothing to tell */
};

/* Requests that change in the same way. */
struct change {
	enum change_kind kind;
	struct request request; /* one of them */
	struct verdict before, after;
	uint64_t requests;
	struct map users; /* by name */
};

struct difference {
	struct policy *policies[2]; /* old, new */
	struct users *users;        /* NULL: not given */
	struct arena arena;         /* of the run */
	struct map decided;         /* struct change, by all that decides */
	struct map changes;         /* the same, by what is told */
	struct map everybody;       /* users, by name */
	uint64_t requests, skipped, other_policy;
	int64_t first_us, last_us;
};

/* Decides under both policies; a new change, whose counts are 0. */
struct change *decide_both(struct difference *d, const struct request *r);
void print_difference(struct difference *d, const char *const folders[2], bool json);
/* How many of a kind. */
uint64_t difference_requests(const struct difference *d, enum change_kind kind);

#endif
