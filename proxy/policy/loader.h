/* loader.h - what the parts of loading share; private to policy/. */
#ifndef PROXY_POLICY_LOADER_H
#define PROXY_POLICY_LOADER_H

#include "policy/language.h"
#include "policy/policy.h"
#include "query/path.h"
#include "util/buf.h"
#include "util/yaml.h"

struct loader {
	struct policy *policy;
	struct complaints *complaints;
	struct arena scratch; /* the YAML trees */
	const struct yaml_node **files;
	size_t nfiles;
};

/* Each complains and returns false when the node is not of that kind. */
bool load_is_mapping(struct loader *l, const struct yaml_node *node);
bool load_is_sequence(struct loader *l, const struct yaml_node *node);
bool load_is_text(struct loader *l, const struct yaml_node *node);
bool load_bool(struct loader *l, const struct yaml_node *node, bool *value);
bool load_int(
	struct loader *l, const struct yaml_node *node, int64_t low, int64_t high, int64_t *value);

/* Complains about every key of `mapping` that is none of the object's (language.def). */
bool load_check_keys(
	struct loader *l, const struct yaml_node *mapping, enum language_object object);
/* Whether a scalar is one of the words; *value is what it means. */
bool load_word(const struct yaml_node *node, enum word_list list, int *value);

/* Copies that live as long as the policy. */
struct bytes load_copy(struct loader *l, struct bytes text);

/* Number of a class by its name; complains and returns -1 when there is none. */
int load_class(struct loader *l, const struct yaml_node *node, struct bytes name);
/* A dotted path without indexes, `$` or empty parts, that is not __mw; complains. */
bool load_path(struct loader *l, struct place at, struct bytes text, struct bytes *path);
/* "db.collection", not of a system database; complains. */
bool load_namespace(
	struct loader *l, struct place at, struct bytes text, struct bytes *db, struct bytes *name);
/* plaintext, ciphertext, remove or {mask: …}.  `scope` names who a pseudonym is for. */
bool load_clearance(struct loader *l, const struct yaml_node *node, const char *scope_role,
	enum clearance *clearance, const struct mask **mask);
/* The keys of a mask beside the others that `node` may have. */
const struct mask *load_mask(struct loader *l, const struct yaml_node *node, const char *scope_view,
	const char *scope_role);
/* 0 for none; complains. */
bool load_type(struct loader *l, const struct yaml_node *node, uint8_t *type);
/* A YAML mapping as BSON, appended as a document: plain scalars by the core schema,
 * quoted ones as strings.  Complains about what BSON cannot hold. */
bool load_document(struct loader *l, const struct yaml_node *node, struct bytes *document);

/* A row filter with ${user.NAME} and ${RELATION} templates. */
void load_rows(struct loader *l, const struct yaml_node *node, struct bytes *rows);
/* Complains about literals of a loaded filter that no value of a declared field can equal. */
void check_filter_types(
	struct loader *l, struct place at, struct bytes filter, const struct collection *c);
/* `protected` of a collection whose tree is there; NULL for none. */
void load_protected(struct loader *l, const struct yaml_node *node, struct collection *c);
/* A relation's `where`, with ${user.NAME} and ${now}. */
void load_relation_where(struct loader *l, const struct yaml_node *node, struct bytes *where);
/* What turns a grant, of which all else is loaded, into one for statistics only. */
void load_statistics(struct loader *l, const struct yaml_node *node, struct grant *g);
/* enforce or observe, of a mapping that may have `mode`; complains about other words. */
void load_mode(struct loader *l, const struct yaml_node *mapping, bool *observed);
/* "${user.NAME}" and nothing around it; *name is NAME. */
bool is_user_template(struct bytes text, struct bytes *name);
bool is_now_template(struct bytes text); /* "${now}" */
/* "${NAME}" of a relation; NULL when it is none. */
const struct relation *relation_of_template(const struct policy *p, struct bytes text);
/* Those that a filter uses, a bit each. */
uint32_t relations_in(const struct policy *p, struct bytes filter);

void load_print(const struct yaml_node *node, uint8_t print[16]);

/* One grant of a role; `rule` is its name, which lives as long as the policy. */
void load_grant(struct loader *l, const struct yaml_node *node, const struct role *role,
	struct grant *g, const char *rule);
/* `break_glass` of a role whose grants are there. */
void load_break_glass(struct loader *l, const struct yaml_node *node, struct role *role);

/* The sections, in this order. */
void load_classes(struct loader *l);
void load_collections(struct loader *l);
void load_relations(struct loader *l);
void load_views(struct loader *l);
void load_roles(struct loader *l);
void load_exclusive(struct loader *l);
void load_tests(struct loader *l);

/* What each role is not shown of `protected`; before the grants. */
void compile_hidden(struct loader *l);
/* Builds the tree of a collection, and of every grant seen through every collection. */
void compile_collection(struct policy *p, struct collection *c);
void compile_grants(struct loader *l);

#endif
