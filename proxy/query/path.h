/* path.h - dotted field paths, in the one form in which they are compared.
 *
 * Normalised: array indexes and positional components ("0", "$", "$[]", "$[id]") are
 * left out, since the server looks through arrays with and without them; the first
 * component always stays.  Comparison is byte-wise by component: `a.bc` is not below
 * `a.b`.  The empty path is the whole document.
 */
#ifndef PROXY_QUERY_PATH_H
#define PROXY_QUERY_PATH_H

#include "util/arena.h"
#include "util/fault.h"

#define PATH_COMPONENTS_MAX 100

/* Refuses empty components, NUL, too many components, and `$` where it is no positional
 * component.  The result is `sent` itself where nothing had to be left out, else it
 * lives in the arena. */
bool path_normalise(
	struct arena *arena, struct bytes sent, struct bytes *path, struct fault *why) MUST_CHECK;
/* Whether a number stands in a path behind its first component.  It may be the index of an
 * array's element or the name of a field; *literal is then the path that has it as a name,
 * in the arena, without positional components. */
bool path_is_numbered(struct arena *arena, struct bytes sent, struct bytes *literal);
/* The proxy's own fields in documents: `__mw` and below. */
bool path_is_reserved(struct bytes path);
/* `below` under `above`; either may be empty.  A relative path is joined before it is
 * normalised: only then is a leading index told from a field's name. */
struct bytes path_join(struct arena *arena, struct bytes above, struct bytes below);

enum path_relation {
	PATH_DISJOINT,
	PATH_SAME,
	PATH_ABOVE, /* the first is an ancestor of the second */
	PATH_BELOW, /* the first lies under the second */
};
enum path_relation path_relation(struct bytes first, struct bytes second);

/* Takes the first component off; false when there is none. */
bool path_next(struct bytes *path, struct bytes *component);

#endif
