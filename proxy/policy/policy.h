/* policy.h - loads the policy files, and decides commands under them.
 *
 * The language is docs/policy.md.  A policy is loaded whole or not at all, is immutable,
 * and is shared by reference.  What a build does not enforce is a load error.
 *
 * policy_decide is pure: the same policy, facts and command give the same plan; memory
 * comes from the caller's arena, and neither keys, sockets nor the clock are touched.
 */
#ifndef PROXY_POLICY_POLICY_H
#define PROXY_POLICY_POLICY_H

#include "auth/users.h"
#include "policy/model.h"
#include "policy/plan.h"
#include "util/buf.h"

struct policy;

/* Every *.yaml below `folder`, read as one.  NULL and complaints when anything is wrong. */
struct policy *policy_load(const char *folder, struct complaints *complaints);
/* The same from one text, for tests. */
struct policy *policy_load_text(const char *file, struct bytes text, struct complaints *complaints);
/* As policy_load, of exactly the files that the seal names, as they were when it was made.
 * Who sealed it is not asked here. */
struct seal;
struct policy *policy_load_sealed(
	const char *folder, const struct seal *seal, struct complaints *complaints);
struct policy *policy_ref(struct policy *p);
void policy_unref(struct policy *p);

/* What `policy check --users` looks for: roles that do not exist or exclude each other,
 * attributes that a row filter needs and a user lacks, two grants of one user of which none is
 * the wider. */
void policy_check_users(
	const struct policy *p, const struct users *users, struct complaints *complaints);

/* Whether two of these roles exclude each other; *pair is then these two. */
bool policy_roles_exclude(
	const struct policy *p, const struct bytes *roles, size_t n, struct bytes pair[2]);
/* Complains about users who hold two such roles; false when there are any. */
bool policy_check_exclusive(
	const struct policy *p, const struct users *users, struct complaints *complaints);

/* Appends a row filter with attributes in place of its ${user.NAME}.  False: *missing is what
 * stands for a value that none of them gives. */
bool policy_fill_rows(struct bytes rows, const struct attribute *attributes, size_t n,
	struct buf *out, struct bytes *missing) MUST_CHECK;
/* The filter that leaves out what of a view's collection is hidden from `role`, or, when that
 * is empty, from every role that reads the view; empty: nothing is.  False: there is no such
 * role, or those that read it do not see the same rows. */
bool policy_view_hidden(const struct policy *p, const struct virtual_view *v, struct bytes role,
	struct bytes *filter) MUST_CHECK;
/* Whether rows of the view have that field: where they are counted first (min_group), what
 * only the proxy could mask is not in them. */
bool policy_view_shows(const struct virtual_view *v, const struct view_field *f);

/* What is known about the one who asks, and about now. */
struct facts {
	const struct user *user;
	enum auth_method method;
	uint8_t address[16]; /* of the client; IPv4 mapped into IPv6 */
	int64_t now_us;      /* since 1970-01-01 UTC */
	struct bytes vault;  /* namespace of the key vault: nobody's */
	bool observe;        /* the decision is one that is not enforced: see policy_observe */
	/* Lists of relations, as far as they were read. */
	const struct relation_list *const *lists;
	size_t nlists;
};

/* What a relation gives a user now. */
struct relation_list {
	const struct relation *of;
	struct bytes values; /* an array, sorted, each value once */
	uint8_t print[16];   /* of the relation and the values */
};
/* Makes the find that reads a relation for the user of `facts`: *c and *plan are what
 * transform_request takes, in `arena`.  False when the user lacks an attribute. */
bool policy_relation_find(const struct policy *p, const struct relation *r,
	const struct facts *facts, struct arena *arena, struct command *c, struct plan *plan,
	struct fault *why) MUST_CHECK;
/* Appends the array of its values, from the answer to that find, opened. */
bool policy_relation_values(const struct relation *r, struct bytes reply, struct buf *out,
	struct fault *why) MUST_CHECK;
/* Gives the facts every list that they lack, as an empty one in `arena`: what a verdict rests on
 * is not what stands in a list. */
void policy_fill_lists(const struct policy *p, struct facts *facts, struct arena *arena);
/* Sets `print`. */
void policy_relation_print(struct relation_list *list);

/* True: *plan says what is to be done.  False: *why says what the client is told, and
 * *plan holds what the record needs (row, ns, rule, purpose, as far as known).  If then
 * plan->needs is set, this relation's list is to be read, and to be asked again with it. */
bool policy_decide(const struct policy *p, const struct facts *facts, const struct command *c,
	struct arena *arena, struct plan *plan, struct fault *why) MUST_CHECK;

/* The grant of that name, observed ones and those of break-glass included, or NULL. */
const struct grant *policy_grant(const struct policy *p, struct bytes role, struct bytes rule);
/* What became of a grant when a command was decided. */
enum grant_fate {
	GRANT_CHOSEN,
	GRANT_NARROWER,
	GRANT_AS_WIDE,        /* as the chosen one, which stands before it */
	GRANT_UNORDERED,      /* none was chosen: of some, none is the widest */
	GRANT_ROLE_UNUSABLE,  /* until, networks, auth or exclusive */
	GRANT_ROLE_NOT_NAMED, /* the comment names another */
	GRANT_OTHER_ACTIONS,
	GRANT_OTHER_PURPOSE,
	GRANT_OBSERVED,         /* it never decides */
	GRANT_REPLACED,         /* by observed ones, where facts.observe asks for it */
	GRANT_NOT_IN_EMERGENCY, /* break-glass is decided alone */
};
typedef void grant_fate_fn(void *context, const struct grant *g, enum grant_fate fate);
/* Visits the user's grants on the namespace of a command that was decided as `plan` says,
 * those of break-glass left out. */
void policy_each_grant(const struct policy *p, const struct facts *facts, const struct command *c,
	const struct plan *plan, grant_fate_fn *visit, void *context);
bool facts_has_list(const struct facts *facts, const struct relation *r);

/* What would have become of a command if the grants that are only observed were enforced: on
 * each namespace on which the user has such grants, they stand in the place of all others. */
struct observation {
	bool there; /* there were any; nothing else is set otherwise */
	bool allowed;
	enum fault_code code; /* why not */
	struct bytes rule;    /* that allowed, or that came nearest */
	bool other_rows, as_statistics;
	class_set less; /* classes of which the rule shows less than the enforced one, or other */
};
/* `plan` is what was decided; `allowed`, whether it may be carried out.  Lists of relations
 * that nobody has read are taken to be empty.  *out lives in `arena`. */
void policy_observe(const struct policy *p, const struct facts *facts, const struct command *c,
	struct arena *arena, const struct plan *plan, bool allowed, struct observation *out);

/* Whether a cursor that was opened under `rules` may go on under today's policy.  False with
 * *needs set: this relation's list is to be read, and to be asked again with it. */
bool policy_still_allows(const struct policy *p, const struct facts *facts,
	const struct reply_rules *rules, struct bytes ns, const struct relation **needs);

/* Appends a stored validator, the value of `validator` in a collection's options, as its
 * author wrote it: encrypted paths with their own type, without what the proxy added. */
void policy_show_validator(
	const struct policy *p, struct bytes ns, struct bytes validator, struct buf *out);

/* Whether a command that was decided under `role` keeps access longest; with an empty one,
 * whether any active role of the user does. */
bool policy_cares(const struct policy *p, const struct facts *facts, struct bytes role);

/* Whether a user may know of a namespace, for listCollections and listDatabases: some
 * grant of an active role covers it. */
bool policy_knows(const struct policy *p, const struct facts *facts, struct bytes db,
	struct bytes collection);
/* Whether a user may read a namespace's metadata: options and validators. */
bool policy_knows_options(const struct policy *p, const struct facts *facts, struct bytes db,
	struct bytes collection);

#endif
