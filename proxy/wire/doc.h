/* doc.h - BSON documents: looked at in place, checked, and built.
 *
 * Looking copies nothing: elements are views into the document and valid for as
 * long as it is.  Iteration checks bounds and nothing else, which is enough for
 * replies of the upstream; what a client sent goes through doc_check first.
 * Elements are always iterated, never looked up by a name that could repeat, where
 * the repetition could matter.
 *
 * Source: bsonspec.org, version 1.1.
 */
#ifndef PROXY_WIRE_DOC_H
#define PROXY_WIRE_DOC_H

#include "util/buf.h"
#include "util/fault.h"

#define DOC_MIN_LEN   5u
#define DOC_MAX_LEN   (16u * 1024 * 1024)        /* maxBsonObjectSize */
#define DOC_SLACK_LEN (DOC_MAX_LEN + 16u * 1024) /* a command around such a document */
#define DOC_DEPTH_MAX 180 /* of what a client sends; the server's own limit is 200 */

enum element_type {
	TYPE_DOUBLE = 0x01,
	TYPE_STRING = 0x02,
	TYPE_DOCUMENT = 0x03,
	TYPE_ARRAY = 0x04,
	TYPE_BINARY = 0x05,
	TYPE_UNDEFINED = 0x06,
	TYPE_OBJECT_ID = 0x07,
	TYPE_BOOL = 0x08,
	TYPE_DATE = 0x09,
	TYPE_NULL = 0x0a,
	TYPE_REGEX = 0x0b,
	TYPE_DB_POINTER = 0x0c,
	TYPE_CODE = 0x0d,
	TYPE_SYMBOL = 0x0e,
	TYPE_CODE_WITH_SCOPE = 0x0f,
	TYPE_INT32 = 0x10,
	TYPE_TIMESTAMP = 0x11,
	TYPE_INT64 = 0x12,
	TYPE_DECIMAL128 = 0x13,
	TYPE_MAX_KEY = 0x7f,
	TYPE_MIN_KEY = 0xff,
};

#define BINARY_ENCRYPTED 6 /* the subtype of MongoDB's client-side encryption */
#define OBJECT_ID_LEN    12u

struct element {
	uint8_t type;
	struct bytes name;  /* without its NUL */
	struct bytes value; /* as encoded: a string with its length and NUL, a document whole */
	struct bytes whole; /* type, name and value */
};

struct doc_iter {
	const uint8_t *at;
	const uint8_t *end; /* of the elements: the document's last byte */
	bool failed;
};

/* Starts at the first element of `doc`, which may have bytes behind its end.  `failed`
 * is set when its length is a lie. */
struct doc_iter doc_iter_of(struct bytes doc);
/* The next element; false at the end, and with `failed` set when the bytes are bad. */
bool doc_next(struct doc_iter *it, struct element *e);

/* The document at the front of `b`, by its own length; empty when that is a lie. */
struct bytes doc_at_front(struct bytes b);
/* The first element of that name; false when there is none. */
bool doc_find_name(struct bytes doc, struct bytes name, struct element *e);
static inline bool doc_find(struct bytes doc, const char *name, struct element *e)
{
	return doc_find_name(doc, bytes_str(name), e);
}
/* The first element of each of `n` names, in one pass; those that are not there get type 0. */
void doc_find_each(struct bytes doc, const struct bytes *names, size_t n, struct element *out);
/* As doc_find along a path "a.b.c" of documents (not of arrays). */
bool doc_find_path(struct bytes doc, const char *path, struct element *e);
size_t doc_count(struct bytes doc); /* of elements */
bool doc_is_empty(struct bytes doc);

/* What an element holds.  The caller has looked at its type. */
static inline bool element_is_document(const struct element *e)
{
	return e->type == TYPE_DOCUMENT || e->type == TYPE_ARRAY;
}
bool element_is_number(const struct element *e);      /* int32, int64 or double */
struct bytes element_string(const struct element *e); /* string, code or symbol, without NUL */
/* Subtype and content; subtype 2 as it stands, with its inner length. */
struct bytes element_binary(const struct element *e, uint8_t *subtype);
/* True for a true bool and for a number of any type, Decimal128 and NaN included, that
 * is not zero: what a server takes for true.  False for what is neither. */
bool element_truth(const struct element *e);
/* An int32 or int64, or a double that is a whole number of 64 bits. */
bool element_int(const struct element *e, int64_t *value);
bool element_double(const struct element *e, double *value);
static inline bool element_named(const struct element *e, const char *name)
{
	return bytes_equal_str(e->name, name);
}

/* What a strict check saw. */
struct doc_facts {
	size_t encrypted; /* values of Binary subtype 6, at any depth */
	unsigned depth;   /* 1 for a document without documents in it */
};

/* Refuses what two parsers could read differently: lengths that do not add up, bytes
 * behind the end, invalid UTF-8 in names, unknown types, bools other than 0 and 1,
 * nesting over DOC_DEPTH_MAX.  `facts` may be NULL; it is added to. */
bool doc_check(struct bytes doc, struct doc_facts *facts, struct fault *why) MUST_CHECK;

/* Calls `visit` for every Binary of subtype 6 in a checked document, with its content,
 * until one returns false; returns whether all returned true. */
typedef bool doc_visit_fn(void *context, struct bytes content);
bool doc_each_encrypted(struct bytes doc, doc_visit_fn *visit, void *context);

/* Building, into a buf whose failure is sticky.  Names are without NUL. */
size_t doc_begin(struct buf *out);                           /* a document of its own */
void doc_end(struct buf *out, size_t begun);                 /* of any of the three begins */
size_t doc_put_document(struct buf *out, struct bytes name); /* begins; ended by doc_end */
size_t doc_put_array(struct buf *out, struct bytes name);    /* the same */
void doc_put_value(struct buf *out, uint8_t type, struct bytes name, struct bytes value);
void doc_put_element(struct buf *out, const struct element *e);
void doc_put_string(struct buf *out, struct bytes name, struct bytes text);
void doc_put_binary(struct buf *out, struct bytes name, uint8_t subtype, struct bytes content);
void doc_put_int32(struct buf *out, struct bytes name, int32_t value);
void doc_put_int64(struct buf *out, struct bytes name, int64_t value);
void doc_put_double(struct buf *out, struct bytes name, double value);
void doc_put_bool(struct buf *out, struct bytes name, bool value);
void doc_put_date(struct buf *out, struct bytes name, int64_t ms);
void doc_put_null(struct buf *out, struct bytes name);
void doc_put_timestamp(struct buf *out, struct bytes name, uint64_t value);

/* The name of element `i` of an array, into `out`. */
#define DOC_INDEX_MAX 21
struct bytes doc_index_name(size_t i, char out[DOC_INDEX_MAX]);

/* For names in the source. */
#define NAME(literal) bytes_of(literal, sizeof(literal) - 1)

#endif
