/* model.h - a policy as it was loaded: classes, collections, views, roles, tests.
 *
 * Built by load, immutable afterwards, and read by the decision, by the reply walk and by
 * explanations.  Everything lives in the policy's arena.  Classes are small numbers, so
 * that a set of them is a bit mask.
 */
#ifndef PROXY_POLICY_MODEL_H
#define PROXY_POLICY_MODEL_H

#include "policy/quasi.h"
#include "policy/statistics.h"
#include "query/commands.h"
#include "util/arena.h"
#include "util/complaint.h"
#include "util/map.h"
#include "util/words.h"

#define POLICY_CLASSES_MAX     60
#define POLICY_SUBJECT_PATHS   8
#define POLICY_SUBJECT_LINES   4
#define POLICY_COLLECTIONS_MAX 1000
#define POLICY_ROLES_MAX       1000
#define POLICY_GRANTS_MAX      200 /* of one role */
#define POLICY_FIELDS_MAX      500 /* of one collection or view */
#define POLICY_PROTECTED_MAX   16  /* lines of one collection */
#define POLICY_RELATIONS_MAX   32

/* Of one list, and documents that it is read from. */
#define POLICY_RELATION_VALUES_MAX 10000

#define POLICY_MIN_GROUP_MAX 100000

/* Dates outside these years cannot be truncated by every server. */
#define TRUNCATE_YEAR_MIN 1
#define TRUNCATE_YEAR_MAX 9999

#define NO_FIELD (-1)
#define NO_PART  (-1)
/* The part that is a document's _id: its own subject where it has no other. */
#define ID_PART  POLICY_SUBJECT_PATHS
#define NO_CLASS 0xff /* of values that a pipeline computed */

typedef uint64_t class_set;

enum clearance { CLEAR_REMOVE, CLEAR_MASK, CLEAR_CIPHERTEXT, CLEAR_PLAINTEXT };

enum mask_kind {
#define MASK(id, name) MASK_##id,
#include "policy/masks.def"
#undef MASK
	MASK_COUNT
};
enum mask_unit { UNIT_YEAR, UNIT_MONTH, UNIT_DAY };
enum mask_scope { SCOPE_VIEW, SCOPE_ROLE };

struct mask {
	enum mask_kind kind;
	struct element constant; /* value and type; without a name */
	uint32_t keep_first, keep_last;
	struct bytes with;    /* one character */
	struct bytes scope;   /* of a pseudonym: "view:NAME" or "role:NAME" */
	char stored[9];       /* the name in __mw.p under which it is stored, for a subject's */
	double *edges;        /* of bands, rising */
	struct bytes *labels; /* one more than edges */
	size_t nedges;
	double to;           /* of round */
	enum mask_unit unit; /* of truncate */
};

/* One path component of a secure view, or of a collection.  What stands below and is not
 * among the children is treated as the node itself. */
struct view_node {
	struct bytes name;
	struct view_node *children;
	uint16_t nchildren;
	enum clearance clearance;
	const struct mask *mask;
	uint8_t class;
	uint8_t type; /* that a value must have on its way in; 0: any */
	bool writable;
	bool declared; /* a path of the policy, not a step on the way to one */
	int16_t field; /* number of the encrypted field, or NO_FIELD */
	int8_t part;   /* of the subject, or NO_PART */
	/* Of the node and all below it. */
	bool all_plaintext;
	bool all_writable;
	bool any_encrypted;
	bool any_part;
};

/* An encrypted field; numbered through the whole policy. */
struct encrypted_field {
	struct bytes ns;
	struct bytes path;
	bool deterministic;
	uint8_t type;
};

struct subject_line {
	int8_t parts[POLICY_SUBJECT_PATHS]; /* numbers of paths, in the policy's order */
	size_t nparts;
	bool normalized;
};

struct field {
	struct bytes path;
	uint8_t class;
	uint8_t type;
	int16_t encrypted; /* or NO_FIELD */
	quasi_set quasi;
	bool quasi_said; /* else the path's name and its class tell */
	struct place at;
};

/* What the policy says of a class beside its name. */
struct class_facts {
	quasi_set quasi; /* of fields that are not named one by one */
	bool listed;     /* under `classes:` */
	struct place at;
};

/* Documents of a collection that exist for some roles only. */
struct protected_rows {
	struct bytes where; /* a filter without templates */
	struct bytes *only; /* names of roles */
	size_t nonly;
	struct place at;
};

/* What of a collection does not exist for a role. */
struct hidden_rows {
	uint32_t lines;      /* of its `protected`, a bit each */
	struct bytes filter; /* that leaves them out; empty: nothing is hidden */
};

struct collection {
	struct bytes ns;
	struct bytes db, name;
	struct field *fields;
	size_t nfields;
	struct words named; /* the fields' paths and all that lead to them */
	uint8_t unlisted;
	class_set accountable;
	struct bytes subject_paths[POLICY_SUBJECT_PATHS];
	size_t nsubject_paths;
	struct subject_line subjects[POLICY_SUBJECT_LINES];
	size_t nsubjects;
	struct protected_rows *protected_rows;
	size_t nprotected;
	struct view_node tree; /* with everything in plaintext */
	bool any_encrypted;
	bool stores_own;   /* documents get __mw: there is a subject, or a view from it */
	uint8_t print[16]; /* changes when anything of it does */
	struct place at;
};

/* A list that row filters may use as {$in: "${NAME}"}, read for each user. */
struct relation {
	struct bytes name;
	struct bytes db, from;               /* a collection */
	const struct collection *collection; /* what the policy says of it; NULL: nothing */
	struct bytes where;                  /* a filter with ${user.…} and ${now} */
	struct bytes gives;                  /* a path */
	uint8_t type;                        /* that its values must have; 0: any */
	uint8_t print[16];
	struct place at;
};

/* One field of a virtual view. */
struct view_field {
	struct bytes name;
	bool of_subject;         /* of: "${subject}" */
	struct bytes path;       /* else of the collection */
	const struct mask *mask; /* NULL: as it is */
	struct place at;
};

struct virtual_view {
	struct bytes ns;
	struct bytes db, name;
	const struct collection *from;
	struct bytes rows;  /* a filter; may be empty */
	uint32_t relations; /* that it uses, a bit each */
	struct view_field *fields;
	size_t nfields;
	bool accountable;
	uint32_t min_group;  /* rows of a kind that has fewer are not shown; 0: all are */
	struct bytes stages; /* that make it of stored documents, as elements of a pipeline */
	uint8_t print[16];
	struct place at;
};

/* A grant as it is seen through one collection, or (collection NULL) through any that the
 * policy does not describe. */
struct secure_view {
	const struct collection *collection;
	struct view_node root;
	bool full;           /* full clearance on the namespace */
	bool transparent;    /* full, and nothing is encrypted, accountable or some subject's */
	bool plain_declared; /* plaintext on every declared path */
	bool writes_all;     /* write clearance on every path, restricted included */
	struct bytes stages; /* that make it of stored documents; empty: none are needed */
	bool compares_names; /* these tell fields apart by name, which a collation takes for alike */
};

struct see {
	struct bytes of; /* a class, a path or "*" */
	enum clearance clearance;
	const struct mask *mask;
	struct place at;
};

struct grant {
	struct bytes rule; /* "roles.doctor.grants[0]" */
	struct bytes role;
	struct bytes db;         /* "*": any */
	struct bytes collection; /* "*": any */
	uint32_t actions;
	struct bytes rows;  /* a filter with ${user.…} and ${RELATION}; empty: all rows */
	uint32_t relations; /* that it uses, a bit each */
	struct see *sees;
	size_t nsees;
	struct see *changes; /* `of` alone counts */
	size_t nchanges;
	struct bytes *purposes;
	size_t npurposes;
	struct statistics_limits statistics;
	struct secure_view **views; /* by number of the collection; NULL where it does not apply */
	struct secure_view *other;  /* for collections that the policy does not describe, or NULL */
	const struct hidden_rows *hidden; /* the role's */
	bool observed;                    /* it is among its role's `observed` */
	struct place at;
};

struct network {
	uint8_t address[16]; /* IPv4 mapped into IPv6 */
	unsigned bits;
};

/* What a role may do in an emergency: for one command that says its purpose and a reason,
 * decided under these grants alone. */
struct break_glass {
	struct bytes purpose;
	uint32_t subjects;                /* documents that one answer may hold */
	uint32_t per_day, unreviewed_max; /* uses of one user */
	struct grant *grants;
	size_t ngrants;
};

/* Of one user under one role; 0: none. */
struct role_limits {
	uint64_t documents_per_day; /* a day is UTC's */
	uint64_t commands_per_minute;
};

struct role {
	struct bytes name;
	bool auth_scram, auth_x509;
	int64_t until_us; /* 0: for ever */
	struct network *networks;
	size_t nnetworks; /* 0: from anywhere */
	struct role_limits limits;
	struct break_glass *break_glass; /* or NULL */
	struct grant *grants;
	size_t ngrants;
	struct grant *observed; /* tried: they give nothing, and decide nothing */
	size_t nobserved;
	struct hidden_rows *hidden; /* by number of the collection */
	struct bytes *excludes;     /* roles that nobody may hold beside it */
	size_t nexcludes;
	bool alone; /* it excludes all others */
	bool tried; /* the whole role is observed */
	bool care;  /* keeps access longest when the audit log's disk is full */
	uint8_t print[16];
	struct place at;
};

enum test_form { TEST_ROW, TEST_SEES, TEST_EXPECT };
struct policy_test {
	struct bytes name;
	struct bytes role;
	struct bytes attributes; /* a document of strings */
	struct bytes purpose;
	bool observed;      /* observed grants are taken for enforced ones */
	struct bytes lists; /* a document: arrays, by the relation's name */
	enum test_form form;
	struct bytes ns; /* of the document */
	struct bytes document;
	bool row;
	struct bytes sees;
	struct bytes command;
	bool allowed;
	struct place at;
};

struct policy {
	struct arena arena;
	struct bytes *classes;
	struct class_facts *class_facts; /* by class */
	struct bytes *class_texts;       /* their names in quotes, and a colon, for records */
	size_t nclasses;
	uint8_t restricted, technical; /* numbers of these two */
	struct collection *collections;
	size_t ncollections;
	struct encrypted_field *encrypted;
	size_t nencrypted;
	struct relation *relations;
	size_t nrelations;
	struct virtual_view *views;
	size_t nviews;
	struct role *roles;
	size_t nroles;
	bool any_limits, any_break_glass, any_observed; /* of some role */
	struct policy_test *tests;
	size_t ntests;
	struct map collections_by_ns, views_by_ns, roles_by_name; /* once all is loaded */
	bool indexed;
	char hash[80]; /* "blake2b:…" */
	int references;
};

const struct collection *policy_collection(const struct policy *p, struct bytes ns);
const struct virtual_view *policy_view(const struct policy *p, struct bytes ns);
const struct role *policy_role(const struct policy *p, struct bytes name);

/* The node that a normalised path leads to: its own (*at is true) or the nearest above. */
const struct view_node *view_node_of(const struct view_node *root, struct bytes path, bool *at);
/* The node of a path, made where it is missing; earlier pointers into the tree may die. */
struct view_node *view_node_add(struct arena *arena, struct view_node *root, struct bytes path);
const struct view_node *view_node_child(const struct view_node *node, struct bytes name);

/* Whether a grant covers a namespace, system databases and the key vault left out of "*". */
bool grant_covers(const struct grant *g, struct bytes db, struct bytes collection);
bool is_system_db(struct bytes db);

#endif
