/* decide.h - what the parts of a decision share; private to policy/. */
#ifndef PROXY_POLICY_DECIDE_H
#define PROXY_POLICY_DECIDE_H

#include "policy/policy.h"
#include "query/analyse.h"
#include "util/buf.h"

struct deciding {
	const struct policy *policy;
	const struct facts *facts;
	const struct command *c;
	struct arena *arena;
	struct plan *plan;
	struct fault *why;
	struct bytes comment_role;                    /* empty: none named */
	struct bytes comment_purpose, comment_reason; /* likewise; not the user's default */
	const struct grant *grant;                    /* chosen */
	const struct secure_view *view;               /* its view; NULL for a virtual view */
	const struct virtual_view *virtual;
	struct bytes rows; /* the row filter with the user's values; or empty */
	bool rows_sealed;  /* its literals have their edits */
	bool by_bytes;     /* a barrier, or what stands with it, compares byte by byte */
	bool asks;         /* the command can be a question for statistics */
	bool explains;     /* the command is not carried out: `explain` takes the place of `read` */
};

/* What the policy says of the collection behind the command; NULL: nothing. */
const struct collection *deciding_collection(const struct deciding *d);

/* Edits of the request. */
struct edit *plan_edit(struct deciding *d, enum edit_kind kind, const uint8_t *at);
/* Bytes built for an edit, in the arena. */
struct bytes plan_bytes(struct deciding *d, struct buf *built);

/* Sets grant, view and rows, or *why.  `actions` are all needed. */
bool choose_grant(struct deciding *d, uint32_t actions) MUST_CHECK;
bool role_applies(const struct role *role, const struct facts *facts);
bool role_excludes(const struct role *role, struct bytes other);
/* Whether it applies, and is the one that the command names, if it names one; `role` may be NULL. */
bool role_is_asked(const struct deciding *d, const struct role *role);
bool grant_fits_purpose(const struct grant *g, struct bytes purpose);
/* Whether a is at least as wide as b on the namespace. */
bool grant_is_wider(const struct policy *p, const struct grant *a, const struct grant *b,
	struct bytes ns, bool writes);
/* Whether all that b shows at its place is shown by a as well. */
bool clearance_is_wider(const struct view_node *a, const struct view_node *b);
/* A user's attribute ("id": the name); empty when there is none. */
struct bytes user_attribute(const struct user *user, struct bytes name);
/* The secure view of a namespace under a grant. */
const struct secure_view *grant_view(
	const struct policy *p, const struct grant *g, struct bytes ns);
/* Filters with values in place of templates. */
struct instance {
	const struct policy *policy;
	const struct facts *facts;
	const struct relation *needs; /* the list that was missing, or NULL */
};
/* Appends a document.  False: the user lacks an attribute, a list is missing, or it grew too
 * large; nothing of `out` may be used. */
bool instance_put(struct instance *i, struct bytes filter, struct buf *out) MUST_CHECK;
/* What the facts bring of a relation, or NULL. */
const struct relation_list *facts_list(const struct facts *facts, const struct relation *r);

/* All that a grant shows of the rows behind a namespace, as one filter: its own rows, or its
 * view's, with the user's values, without what is protected from its role; empty for all.
 * False when the user lacks what it needs, or, with plan->needs set, a list is missing. */
bool rows_of_grant(
	struct deciding *d, const struct grant *g, struct bytes ns, struct bytes *rows) MUST_CHECK;

/* What ciphertext can serve; notes literals that are to be sealed. */
bool check_ciphertext_serves(
	struct deciding *d, const struct use *u, const struct view_node *node, bool at) MUST_CHECK;
/* Judges all uses of an analysis, notes literals to be sealed and searched, and classes
 * that are shown. */
bool check_uses(struct deciding *d, const struct analysis *a) MUST_CHECK;
/* Refuses what only a transparent view may run. */
bool check_taken_apart(struct deciding *d, const struct analysis *a) MUST_CHECK;
/* Likewise, and filters that could raise an error on rows that the row filter hides. */
bool check_proven(struct deciding *d, const struct analysis *a) MUST_CHECK;
/* Takes what is hidden where stages write out of their way. */
bool uncover(struct deciding *d, const struct analysis *a) MUST_CHECK;
bool can_uncover(const struct secure_view *view, struct bytes path, struct bytes *hidden);
bool node_has_class(const struct view_node *node, class_set set, bool below);

/* Notes what of a row filter's own literals, in these very bytes, is to be sealed. */
bool seal_row_literals(struct deciding *d, struct bytes rows) MUST_CHECK;
/* The same for a filter of the policy's on any collection. */
bool seal_literals(struct plan *plan, const struct collection *c, struct bytes filter,
	struct fault *why) MUST_CHECK;
/* Puts the row filter around the filter in field `name` (of the body, or of the item
 * `holder` in updates and deletes), and forces the simple collation on it. */
bool wrap_filter(struct deciding *d, struct bytes holder, const struct element *filter,
	const char *name) MUST_CHECK;
bool check_collation(
	struct deciding *d, struct bytes holder, const struct element *collation) MUST_CHECK;

/* Makes sure that every document of the reply tells whose it is. */
bool add_subject_to_find(struct deciding *d, const struct analysis *a) MUST_CHECK;
bool add_subject_to_pipeline(struct deciding *d, const struct analysis *a) MUST_CHECK;
bool is_accountable(const struct deciding *d);

/* The tree of the documents that come back; from the analysis' shape. */
const struct view_node *reply_tree(struct deciding *d, const struct analysis *a);
/* A copy that borrows the names of its nodes, and one that holds them. */
struct view_node *copy_tree(struct arena *arena, const struct view_node *root);
struct view_node *keep_tree(struct arena *arena, const struct view_node *root);
/* Marks the ways to nodes that hold a part. */
void mark_parts(struct view_node *root);
void hide_path(struct arena *arena, struct view_node *root, struct bytes path);

/* What a client may write: a whole document, or a value at a path. */
bool check_new_document(struct deciding *d, struct bytes doc) MUST_CHECK;
bool check_new_value(struct deciding *d, const struct view_node *node, bool at,
	const struct element *value) MUST_CHECK;

/* One update: of the body of findAndModify, or an item of `updates`. */
struct update_item {
	struct bytes holder; /* the document that holds all of the below */
	const char *filter_name;
	const struct element *filter; /* may be NULL */
	const struct element *update;
	const struct element *array_filters, *collation, *hint, *sort; /* may be NULL */
	bool upsert;
};
/* Judges filter, update and options, with the row filter around them. */
bool check_update_item(struct deciding *d, const struct update_item *item,
	struct analysis *filter_analysis) MUST_CHECK;
bool check_hint(struct deciding *d, struct analysis *a, const struct element *hint) MUST_CHECK;
bool check_let(struct deciding *d, struct analysis *a) MUST_CHECK;
bool check_flag(struct deciding *d, struct analysis *a, const char *name) MUST_CHECK;
/* What a cursor's or findAndModify's documents are projected to. */
bool read_projection(struct deciding *d, struct analysis *a, const char *name) MUST_CHECK;

/* Puts {$match: rows} in front of a pipeline, and a fence behind it if something in the
 * pipeline could raise. */
bool prepend_rows(struct deciding *d, const struct element *pipeline, bool raises) MUST_CHECK;

/* Whether the record of a command behind the barrier must name the subjects of all
 * documents that went in. */
bool must_name_behind(const struct deciding *d);
/* Makes `pipeline` a group of these subjects, to which the pipeline itself is joined:
 * *joined, whose stages are still to be placed.  `proven` stages stand in front. */
bool join_to_subjects(struct deciding *d, const struct element *pipeline, size_t proven,
	struct element *joined) MUST_CHECK;
/* The subject's paths, then _id: what tells whose a document is; and the names under which
 * they are carried through a pipeline. */
size_t telling_paths(const struct collection *c, struct bytes paths[ID_PART + 1]);
struct bytes carried_name(size_t part, char out[2]);
/* Makes the command an aggregate of `pipeline`, an element of the request or of an edit,
 * behind those stages.  Begins the plan anew: earlier edits are forgotten. */
bool run_behind(
	struct deciding *d, const struct element *pipeline, enum reply_form form) MUST_CHECK;
/* Whether these compare what a collation would take for alike: names, or rows of a kind. */
bool view_is_by_bytes(const struct deciding *d);
/* The stages themselves, as elements of a pipeline; with the row filter, or without. */
struct bytes view_stages(struct deciding *d, bool with_rows);
/* The same commands as pipelines. */
bool find_behind(struct deciding *d) MUST_CHECK;
bool count_behind(struct deciding *d) MUST_CHECK;
bool distinct_behind(struct deciding *d) MUST_CHECK;
/* Puts the stages of other collections' views where a pipeline reads them; `reaches` is how
 * many places an analysis has seen. */
bool place_foreign_barriers(struct deciding *d, struct bytes pipeline, size_t reaches) MUST_CHECK;
/* The other collections that a pipeline reads and whose subjects are to be named. */
bool foreign_subjects(struct deciding *d, struct bytes pipeline,
	struct deciding named[REPLY_FOREIGN_MAX], size_t *count) MUST_CHECK;
void note_what_is_shown(struct reply_rules *reply, const struct deciding *d);

/* Whether the command asks to break the glass; false when it does so and may not. */
bool asks_for_glass(struct deciding *d, bool *asks) MUST_CHECK;
/* That of a role, if the command asks for it; else NULL. */
const struct break_glass *glass_of_role(const struct deciding *d, struct bytes name);
/* Of a find under it: filter, options, and how much of an answer there may be. */
bool check_glass_find(struct deciding *d) MUST_CHECK;
/* Notes the classes of a node as shown. */
void note_node_shown(struct reply_rules *reply, const struct view_node *node, bool below);
/* A tree in which nothing is anything's place but what the proxy itself stores. */
const struct view_node *open_tree(struct deciding *d);
/* Makes the command an aggregate on the collection. */
void point_to_collection(struct deciding *d);

bool decide_find(struct deciding *d) MUST_CHECK;
bool decide_aggregate(struct deciding *d) MUST_CHECK;
bool decide_count(struct deciding *d) MUST_CHECK;
bool decide_distinct(struct deciding *d) MUST_CHECK;
bool decide_view_find(struct deciding *d) MUST_CHECK;
bool decide_explain(struct deciding *d) MUST_CHECK;
/* {aggregate: 1}: of documents that the command brings. */
bool decide_documents(struct deciding *d) MUST_CHECK;
/* The stages of a pipeline from number `at` on, which run behind the secure view: judges them,
 * and places the barriers of other collections. */
bool check_stages_behind(struct deciding *d, struct bytes pipeline, size_t at) MUST_CHECK;
/* What an exchange needs to know of a reply from behind the barrier. */
void finish_behind(struct deciding *d);
/* aggregate, count and distinct under a grant that gives statistics only. */
bool decide_statistics(struct deciding *d) MUST_CHECK;
/* The namespace that the command names. */
bool find_namespace(struct deciding *d, const struct command_row *row) MUST_CHECK;
bool decide_insert(struct deciding *d) MUST_CHECK;
bool decide_update(struct deciding *d) MUST_CHECK;
bool decide_delete(struct deciding *d) MUST_CHECK;
bool decide_find_and_modify(struct deciding *d) MUST_CHECK;
bool decide_create(struct deciding *d) MUST_CHECK;
bool decide_coll_mod(struct deciding *d) MUST_CHECK;
bool decide_create_indexes(struct deciding *d) MUST_CHECK;
bool decide_drop_indexes(struct deciding *d) MUST_CHECK;
bool decide_list_indexes(struct deciding *d) MUST_CHECK;
bool decide_list_collections(struct deciding *d) MUST_CHECK;
bool decide_list_databases(struct deciding *d) MUST_CHECK;

/* Rewrites a validator that names encrypted paths to what is stored. */
bool validator_to_stored(struct deciding *d, const struct element *validator) MUST_CHECK;

/* A field of the body of a given type; NULL when it is not there or null, a fault when it has
 * another. */
bool body_field_is(struct deciding *d, const struct element **e, uint8_t type) MUST_CHECK;
static inline MUST_CHECK bool body_field(
	struct deciding *d, const char *name, uint8_t type, const struct element **e)
{
	*e = command_field(d->c, name);
	return !*e || body_field_is(d, e, type);
}

#endif
