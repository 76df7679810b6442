/* plan.h - the outcome of a decision: edits of the request, rules for the reply, facts for
 * the record.  Whoever carries a plan out decides nothing.
 */
#ifndef PROXY_POLICY_PLAN_H
#define PROXY_POLICY_PLAN_H

#include "auth/users.h"
#include "policy/model.h"

/* One change of the request.  `at` is the first byte of the element that it is about, in
 * the message or in bytes that another edit puts in; for EDIT_APPEND and EDIT_PREPEND that
 * of the document. */
enum edit_kind {
	EDIT_DROP,        /* leaves the element out */
	EDIT_PUT,         /* whole elements `put` in its place */
	EDIT_RENAME,      /* the name `put` in place of its own */
	EDIT_SEAL,        /* its value becomes ciphertext of `field` */
	EDIT_SEAL_IN,     /* each value of the array does */
	EDIT_WRAP,        /* its document D becomes {$and: [`put`, D]} */
	EDIT_REPLACE,     /* its document is stored as one of `collection`: sealed, with __mw */
	EDIT_WRITE_BELOW, /* its document is stored as what stands at `node` */
	EDIT_APPEND,      /* whole elements `put` at the document's end */
	EDIT_PREPEND,     /* whole elements `put` at the document's begin; an array is renumbered */
	EDIT_BEFORE,      /* whole elements `put` before this one; an array is renumbered */
	EDIT_SUBJECT,    /* at the document's end: __mw.s, __mw.rk and __mw.p, made of `literals` */
	EDIT_SUBJECT_OP, /* at the document's end: $set with these */
	EDIT_ORDER,      /* at the document's end: __mw.o, a random number */
	EDIT_ORDER_OP,   /* at the document's end: $setOnInsert with that */
};

struct subject_literals {
	struct element parts[POLICY_SUBJECT_PATHS]; /* type 0: not set */
};

struct edit {
	const uint8_t *at;
	enum edit_kind kind;
	struct bytes put;
	int16_t field;
	const struct collection *collection;
	const struct view_node *node;
	const struct subject_literals *literals;
};

/* Subjects that one reply of documents that are nobody's may stand for. */
#define REPLY_SUBJECTS_MAX 10000
/* Other collections whose subjects are named with them. */
#define REPLY_FOREIGN_MAX  4

/* How a reply is treated. */
enum reply_form {
	REPLY_STATUS,      /* ok, n, writeErrors, …: no documents */
	REPLY_CURSOR,      /* cursor.firstBatch or cursor.nextBatch */
	REPLY_VALUE,       /* value: one document or null (findAndModify) */
	REPLY_VALUES,      /* values (distinct) */
	REPLY_COUNTED,     /* n, of the only document of cursor.firstBatch; count as a pipeline */
	REPLY_COLLECTED,   /* values, of the only document likewise; distinct as a pipeline */
	REPLY_EXPLAINED,   /* how a command would be carried out, with nothing of its values */
	REPLY_COLLECTIONS, /* listCollections */
	REPLY_DATABASES,   /* listDatabases */
	REPLY_INDEXES,     /* listIndexes */
	REPLY_AS_IS,       /* nothing of it is protected: ping, commit, … */
};

/* Kept for as long as a cursor lives: a block of its own, reference-counted, that holds a
 * reference to the policy. */
struct reply_rules {
	enum reply_form form;
	const struct policy *policy;           /* whose numbers of fields and classes these are */
	struct policy *owned;                  /* of kept rules: a reference to it */
	const struct collection *collection;   /* NULL: not described */
	const struct virtual_view *view;       /* replies are rows of it … */
	const struct view_field **view_fields; /* … with these fields */
	size_t nview_fields;
	const struct view_node *tree;     /* of the documents, or values, that come back */
	const struct secure_view *secure; /* the grant's view, for values that were moved */
	struct bytes role, rule;
	uint32_t relations;     /* that rows used, those of other collections included */
	uint8_t print[16];      /* of the rights that they rest on */
	class_set shown;        /* classes of what was moved, grouped or computed */
	class_set shown_masked; /* the same of masked ones */
	bool hides_snapshot;    /* the proxy asked for one, not the client: its time is not told */
	bool names_group;       /* the first document of the first batch names all subjects */
	const struct collection *foreign[REPLY_FOREIGN_MAX]; /* likewise, in its lists __mw0 … */
	size_t nforeign;
	bool reaches; /* other collections were read, too */
	const struct statistics
		*statistics; /* the reply's groups are judged; of the plan's arena */
	bool behind_barrier; /* no place tells what a value is: documents are as they may be seen,
			      * but for sealed values, which tell by their key */
	bool names_subjects; /* every document is some subject's */
	bool masks_errors;   /* texts of errors are not for this role */
	bool shares_tree;    /* `tree` belongs to the policy, not to these rules */
	struct arena arena;  /* what of the tree is their own */
	int references;
};

/* Copies what a cursor needs into a block with one reference; holds the policy. */
struct reply_rules *reply_rules_keep(const struct reply_rules *rules, struct policy *policy);
struct facts;
/* Fills `print` in; before rules are kept.  `facts` are those of the decision. */
void reply_rules_print(struct reply_rules *rules, const struct policy *p, const struct facts *facts,
	struct bytes ns);
struct reply_rules *reply_rules_ref(struct reply_rules *rules);
void reply_rules_unref(struct reply_rules *rules);

/* A literal that the filter looks for under an identifying path, for `searched`. */
struct searched {
	struct bytes path;
	struct element literal; /* USE_IN: the array */
	bool many;
	bool normalized;
};

struct plan {
	const struct command_row *row;    /* NULL: nothing that is carried out here */
	struct bytes ns;                  /* "db.collection" as the client names it, or "db" */
	struct bytes db, collection;      /* of the arena, as all four are: not of the message */
	struct bytes upstream_collection; /* differs for a virtual view */
	struct bytes rule;                /* that allowed, or that came nearest */
	struct bytes role, purpose;
	uint32_t actions;             /* that its grant must allow */
	struct bytes rows;            /* the row filter that applies; empty: none */
	const struct relation *needs; /* a list that the decision lacks, or NULL */
	size_t reason_len;
	bool observed;                   /* grants that are only observed had their say */
	const struct break_glass *glass; /* that is broken, or NULL */
	struct edit *edits;
	size_t nedits, edits_capacity;
	struct reply_rules reply;
	struct searched *searched;
	size_t nsearched;
	bool writes;           /* an intent is recorded first */
	bool writes_documents; /* those in `documents` are stored as ones of reply.collection:
				* sealed, with _id and __mw */
	bool awaits;           /* may wait for data */
	bool fields_known;     /* every field is one that a table has for the command */
	const struct policy *policy;
	struct arena *arena;
};

/* One more edit, to be filled in; it lives in the plan's arena. */
struct edit *plan_add_edit(struct plan *plan, enum edit_kind kind, const uint8_t *at);

#endif
