/* yaml.h - a YAML file as a tree that remembers where everything stands.
 *
 * One document of YAML 1.2.  Aliases, anchors, tags, directives, merge keys, keys that
 * are no names and keys that stand twice are refused: a security file means one thing.
 * Columns count characters.
 */
#ifndef PROXY_UTIL_YAML_H
#define PROXY_UTIL_YAML_H

#include "util/arena.h"
#include "util/complaint.h"

#define YAML_DEPTH_MAX 40 /* of a value; the root is at 0 */
#define YAML_NODES_MAX 1000000
#define YAML_FILE_MAX  (16u * 1000 * 1000)

enum yaml_kind { YAML_NULL, YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node {
	enum yaml_kind kind;
	bool quoted; /* a scalar that is text whatever it looks like */
	struct place at;
	struct bytes text; /* a scalar's; ends in a NUL that is not counted */
	struct bytes key;  /* as a child of a mapping; ends in a NUL that is not counted */
	struct place key_at;
	struct yaml_node *children; /* of a sequence or mapping, in the file's order */
	size_t count;
};

/* Parses `text`.  The tree lives in `arena`; `file` is borrowed for as long as any place of
 * it.  NULL and complaints when something is wrong; an empty file is a YAML_NULL node. */
const struct yaml_node *yaml_parse(
	struct arena *arena, const char *file, struct bytes text, struct complaints *complaints);
/* The same from a file of at most YAML_FILE_MAX bytes. */
const struct yaml_node *yaml_load(
	struct arena *arena, const char *file, struct complaints *complaints);

/* The child with that key; NULL when absent or when `mapping` is no mapping. */
const struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key);

/* What a plain scalar means in the YAML 1.2 core schema.  False: it is something else. */
bool yaml_bool(const struct yaml_node *node, bool *value);
bool yaml_int(const struct yaml_node *node, int64_t *value);
bool yaml_double(const struct yaml_node *node, double *value); /* ints, too; finite only */

#endif
