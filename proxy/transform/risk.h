/* risk.h - what a table is worth to somebody who looks for a person: k-anonymity, l-diversity.
 *
 * Documents go in as they are stored; a view's are counted as its rows leave, through the same
 * masks.  All documents that are alike in the quasi-identifiers are a class; its size is the
 * number of patients in it (of subjects; a document without one counts for itself).  Values
 * are kept as 64-bit hashes under a key of this one risk, and nothing of them comes out.
 *
 * Limits: RISK_QUASI_MAX quasi-identifiers, RISK_SENSITIVE_MAX sensitive fields, and
 * RISK_LIMIT each of classes, of pairs of class and patient, of pairs of class and sensitive
 * value, of patients, of values of one encrypted field and of kinds of rows; 100 to 300
 * bytes each.
 */
#ifndef PROXY_TRANSFORM_RISK_H
#define PROXY_TRANSFORM_RISK_H

#include "transform/transform.h"

#define RISK_QUASI_MAX     24
#define RISK_SENSITIVE_MAX 8
#define RISK_SEALED_MAX    32 /* encrypted fields of one collection that are told about */
#define RISK_LIMIT         20000000u
#define RISK_COMBINED_MAX  3 /* fields of a combination that is looked for */
#define RISK_SMALLEST_MAX  5
#define RISK_PATHS_MAX     500  /* found in documents */
#define RISK_SAMPLE        1000 /* documents in which they are looked for */

/* ------------------------------------------------------------------------ fields */

/* Paths, of the policy or of documents. */
struct risk_paths {
	struct bytes at[RISK_PATHS_MAX];
	size_t count;
	bool more; /* there were more of them */
};

/* A view's fields by default: sensitive are those of accountable classes in which no subject
 * is; quasi-identifiers all others that are no pseudonym. */
void risk_view_fields(
	const struct virtual_view *v, struct risk_paths *quasi, struct risk_paths *sensitive);
/* Adds the paths of a stored document's values, arrays as one, without _id and what the
 * proxy stores; they live in the arena. */
void risk_find_paths(struct bytes doc, struct arena *arena, struct risk_paths *found);
/* Of those, by the same rule; what the policy encrypts is neither. */
void risk_stored_fields(const struct collection *c, const struct risk_paths *found,
	struct risk_paths *quasi, struct risk_paths *sensitive);

/* ------------------------------------------------------------------------ counting */

struct risk_options {
	const struct collection *collection;
	const struct virtual_view *view; /* NULL: what is stored */
	struct bytes rows;               /* a filter on opened documents; or empty */
	const struct bytes *quasi;       /* paths of rows, or of stored documents; borrowed */
	size_t nquasi;                   /* 1 … RISK_QUASI_MAX */
	const struct bytes *sensitive;
	size_t nsensitive; /* 0 … RISK_SENSITIVE_MAX */
	size_t limit;      /* RISK_LIMIT, or less */
};

struct risk;

struct risk *risk_new(struct policy *p, struct keyring *k, const struct master *m,
	const struct risk_options *options);
void risk_free(struct risk *r);
/* The projection of all that risk_add looks at; empty: everything. */
void risk_put_projection(const struct risk *r, struct buf *document);
/* Of a view with `min_group` all documents go through risk_add_kind first. */
bool risk_wants_kinds(const struct risk *r);
bool risk_add_kind(struct risk *r, struct bytes stored, struct fault *why) MUST_CHECK;
/* False and a fault: a value that does not open, a torn document, or a limit is passed. */
bool risk_add(struct risk *r, struct bytes stored, struct fault *why) MUST_CHECK;

/* ------------------------------------------------------------------------ results */

struct risk_bucket {
	uint64_t low, high; /* sizes of classes; high UINT64_MAX: and more */
	uint64_t classes, rows;
};
#define RISK_BUCKETS 6

/* Rows whose class holds one patient only, by these fields alone. */
struct risk_combination {
	uint8_t fields[RISK_QUASI_MAX]; /* numbers of quasi-identifiers */
	size_t nfields;
	uint64_t rows_alone;
	uint64_t groups;
};

struct risk_diversity {
	uint64_t least;    /* different values in the poorest class; 0: no class */
	uint64_t rows_one; /* in classes with one value only */
	uint64_t rows_few; /* in classes with one or two */
};

struct risk_sealed {
	struct bytes path;
	bool deterministic;
	uint64_t values, most;     /* different ones; documents that share the most common */
	uint64_t alone, documents; /* with a value of their own; with one at all */
	uint64_t plain;            /* documents in which it is not encrypted */
};

struct risk_result {
	uint64_t rows, patients, classes;
	uint64_t left_out; /* rows of which there are fewer than min_group; not among the others */
	struct risk_bucket buckets[RISK_BUCKETS];
	struct {
		uint64_t size, classes;
	} smallest[RISK_SMALLEST_MAX];
	size_t nsmallest;
	uint64_t rows_under_2, rows_under_5, rows_under_11;
	struct risk_diversity diversity[RISK_SENSITIVE_MAX];
	/* The worst of one field, of two, of three, and all of them together, as many as there
	 * are. */
	struct risk_combination combinations[RISK_COMBINED_MAX + 1];
	size_t ncombinations;
	bool searched_all; /* false: fields were added one by one */
	struct risk_sealed sealed[RISK_SEALED_MAX];
	size_t nsealed;
	uint64_t quasi_rows[RISK_QUASI_MAX]; /* in which the field is there */
	/* Subjects of more than one document; those whose documents differ in other parts of
	 * the subject seem to be several people. */
	uint64_t shared_patients, shared_documents, shared_differ;
	bool has_subject;
};

/* Called now and again; false: stop. */
typedef bool risk_tick_fn(void *context, uint64_t done, uint64_t all);
/* False when `tick` stopped it. */
bool risk_finish(
	struct risk *r, risk_tick_fn *tick, void *context, struct risk_result *out) MUST_CHECK;

#endif
