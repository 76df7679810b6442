/* barrier.h - a secure view as stages of a pipeline; private to policy/.
 *
 * Behind these stages a pipeline sees documents as the reply walk would have shown them:
 * what is removed is not there, what is masked is what its mask makes of it.  Every
 * expression is total: it raises on no value, since an error would tell of it.
 *
 * Where the server cannot compute what the walk does, the barrier shows less: a masked
 * value that is encrypted, a pseudonym that is not stored, `ciphertext`, and elements of
 * arrays that stand directly in arrays are not there.
 */
#ifndef PROXY_POLICY_BARRIER_H
#define PROXY_POLICY_BARRIER_H

#include "policy/model.h"
#include "util/buf.h"

#define BARRIER_LEN_MAX   (1024u * 1024)
#define BARRIER_DEPTH_MAX 120 /* of 200 that a server takes, $lookup and $facet around it */

/* Stages one after the other, as elements of an array. */
struct stages {
	struct buf *out;
	size_t count;
};

/* Begins a stage document; ended by doc_end. */
size_t stage_begin(struct stages *s);

/* An operator over a list: {name: {op: [ … ]}}. */
struct call {
	size_t doc, list;
};
struct call call_begin(struct buf *out, struct bytes name, const char *op);
void call_end(struct buf *out, struct call call);

/* An expression for "$path" or "$$variable"; the text has the dollars. */
void put_is_type(struct buf *out, struct bytes name, struct bytes ref, const char *type);
void put_is_array(struct buf *out, struct bytes name, struct bytes ref);

/* Whether the server can compute a node's value: it is shown as it is, or masked by what
 * has an expression. */
bool barrier_can_show(const struct view_node *node);
bool barrier_can_compute(const struct mask *mask);
bool barrier_shows_field(const struct virtual_view *v, const struct view_field *f);
/* What the mask makes of one value, no array, that `ref` names and that is there. */
void put_mask_expression(
	struct buf *out, struct bytes name, const struct mask *mask, struct bytes ref);

/* The same for whatever the path `ref` leads to: arrays element by element, and nothing where
 * nothing is. */
void put_masked_path(struct buf *out, struct bytes name, const struct mask *mask, struct bytes ref);

/* Whether a collection's stages tell fields apart by their names. */
bool barrier_compares_names(const struct view_node *root);
/* The stages of a collection's view, or of a virtual view, as bytes of the arena.  False
 * when they would be nested too deeply for a server, or too large. */
bool build_view_stages(
	struct arena *arena, const struct view_node *root, struct bytes *stages) MUST_CHECK;
bool build_virtual_stages(
	struct arena *arena, const struct virtual_view *v, struct bytes *stages) MUST_CHECK;
/* Ends what either has built. */
bool finish_stages(struct arena *arena, struct buf *built, struct bytes *stages) MUST_CHECK;

/* {$match: rows}, and the filter in such a stage, the first of `stages`. */
void put_rows(struct stages *s, struct bytes rows);
struct bytes rows_of_stage(struct bytes stages);

/* {$limit: 2^63 - 1}: no $match moves across it, so that an expression which raises is
 * never run on rows that the filter before it hides. */
void put_fence(struct stages *s);

#endif
