/* use.h - what a command does with which path.
 *
 * The analysers read filters, projections, pipelines and updates and say what they saw,
 * as a list of uses; what a use needs is the policy's business.  Paths are those of the
 * stored documents: where a pipeline has renamed something, the use names its origin.
 *
 * What the analysers do not understand is a fault.  What they understand, but cannot
 * take apart into uses, is noted as `unproven`: only a view through which nothing is
 * hidden, encrypted or accountable may run it.
 */
#ifndef PROXY_QUERY_USE_H
#define PROXY_QUERY_USE_H

#include "query/path.h"
#include "wire/doc.h"

#define USES_MAX 20000

enum use_kind {
	/* looks at the value */
	USE_EQUAL,   /* compared with `literal` by equality */
	USE_IN,      /* compared with each element of the array `literal` by equality */
	USE_EXISTS,  /* whether it is there */
	USE_COMPARE, /* looked at in any other way by a filter */
	USE_SORT,
	USE_COMPUTE, /* an operand of an expression */
	USE_UNWIND,
	USE_COVER, /* written over by a stage: where it stood and an array's length remain */
	USE_HINT,  /* a key of an index that is asked for, or its bounds */
	/* lets the value out */
	USE_SHOW,    /* included by a projection, under its own name */
	USE_MOVE,    /* as it is, under another name */
	USE_GROUP,   /* as it is, as a key of $group or of distinct */
	USE_COLLECT, /* as it is, by an accumulator that returns values */
	USE_AVERAGE, /* by an accumulator that counts, sums and averages */
	/* takes it away from a reply */
	USE_HIDE,
	/* changes it */
	USE_SET,     /* to `literal` */
	USE_SET_NEW, /* to `literal`, in a document that an upsert makes */
	USE_UNSET,
	USE_MODIFY, /* by an operator that looks at what is there */
	USE_RENAME, /* either end of $rename */
};

struct use {
	enum use_kind kind;
	struct bytes path;      /* normalised */
	struct bytes sent;      /* as the client wrote it */
	struct element element; /* whose name is the path, in the request; may be empty */
	struct element literal; /* in the request; for USE_EQUAL, USE_IN, USE_SET… */
	struct bytes stage;     /* the element of the pipeline that it stands in; or empty */
	const char *place;      /* "filter", "sort", "$group", … for error texts */
};

/* A path of a pipeline's documents, and where its value comes from. */
enum shape_kind { SHAPE_MOVED, SHAPE_COMPUTED, SHAPE_GONE };
struct shape_entry {
	struct bytes path;
	enum shape_kind kind;
	struct bytes origin; /* of SHAPE_MOVED: the stored path */
};
struct shape {
	bool whole; /* what no entry names is as it is stored; else it is not there */
	struct shape_entry *entries;
	size_t count;
	size_t capacity;
};

/* A place where a plan must add something if it wants to know whose document it is. */
enum projection_kind { PROJECTION_NONE, PROJECTION_INCLUDES, PROJECTION_EXCLUDES };
struct projection_at {
	enum projection_kind kind;
	struct element element; /* the projection document (find), or the $project stage */
	struct bytes stage;     /* the element of the pipeline that it stands in */
};

struct analysis {
	struct arena *arena;
	struct use *uses;
	size_t count, capacity;
	struct bytes unproven; /* the first such construct, as sent; empty: none */
	struct shape shape;    /* of what comes out */
	bool grouped;          /* a reply's document is no longer one stored document */
	bool writes_pipeline;  /* an update by pipeline */
	bool partial;          /* an expression could raise an error on some value */
	bool raises;           /* such a one stands in a filter */
	struct bytes stage;    /* the element of the pipeline that is being read; or empty */
	struct bytes first;    /* a construct that no stage may stand before; empty: none */
	size_t reaches;        /* how many stages read other collections, at any depth */
	struct projection_at *projections;
	size_t nprojections;
};

void analysis_init(struct analysis *a, struct arena *arena);
bool analysis_add(struct analysis *a, const struct use *use, struct fault *why) MUST_CHECK;
/* Notes a construct that has no uses to tell. */
void analysis_unproven(struct analysis *a, struct bytes construct);

/* Adds uses of `use->path` as a path of the shape's documents: of its origin, of all that
 * it holds, or of nothing when it was computed or is not there. */
bool shape_use(struct analysis *a, const struct use *use, struct fault *why) MUST_CHECK;
/* A number in a path may be that of an array's element, which `use->path` is without, or the
 * name of a field that no path of the policy names: where `sent` has numbers, adds a use of
 * the path with them. */
bool shape_use_numbers(
	struct analysis *a, const struct use *use, struct bytes sent, struct fault *why) MUST_CHECK;
/* Where a path's value comes from: its stored path, or false (computed, gone, a mixture). */
bool shape_origin(const struct analysis *a, struct bytes path, struct bytes *origin);
void shape_put(struct analysis *a, struct shape *s, struct bytes path, enum shape_kind kind,
	struct bytes origin);
/* What `path` and all below it are in `from`, put into `to`. */
void shape_carry(struct analysis *a, const struct shape *from, struct bytes path, struct shape *to);

#endif
