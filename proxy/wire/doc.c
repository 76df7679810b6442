#include "wire/doc.h"

#include <math.h>
#include <stdio.h>

#include "util/utf8.h"

/* No value has this size. */
#define BAD_SIZE SIZE_MAX

/* A length prefix at `at` that counts `extra` bytes less than the value takes. */
static size_t prefixed_size(const uint8_t *at, size_t left, size_t extra, uint32_t least)
{
	uint32_t len;

	if (left < 4)
		return BAD_SIZE;
	len = load_u32(at);
	if (len < least || len > INT32_MAX || len + extra > left)
		return BAD_SIZE;
	return len + extra;
}

static size_t text_size(const uint8_t *at, size_t left)
{
	size_t size = prefixed_size(at, left, 4, 1);

	return size == BAD_SIZE || at[size - 1] != 0 ? BAD_SIZE : size;
}

static size_t document_size(const uint8_t *at, size_t left)
{
	size_t size = prefixed_size(at, left, 0, DOC_MIN_LEN);

	return size == BAD_SIZE || at[size - 1] != 0 ? BAD_SIZE : size;
}

static size_t regex_size(const uint8_t *at, size_t left)
{
	const uint8_t *first = memchr(at, 0, left);
	const uint8_t *second = NULL;

	if (first)
		second = memchr(first + 1, 0, left - (size_t)(first + 1 - at));
	return second ? (size_t)(second + 1 - at) : BAD_SIZE;
}

static size_t pointer_size(const uint8_t *at, size_t left)
{
	size_t size = text_size(at, left);

	return size == BAD_SIZE || left - size < OBJECT_ID_LEN ? BAD_SIZE : size + OBJECT_ID_LEN;
}

static size_t scope_size(const uint8_t *at, size_t left)
{
	size_t size = prefixed_size(at, left, 0, 4 + 5 + DOC_MIN_LEN);
	size_t code;

	if (size == BAD_SIZE)
		return BAD_SIZE;
	code = text_size(at + 4, size - 4);
	if (code == BAD_SIZE || document_size(at + 4 + code, size - 4 - code) != size - 4 - code)
		return BAD_SIZE;
	return size;
}

/* One more than the size of values that all have the same; 0 for other types. */
static const uint8_t sizes[256] = {
	[TYPE_DOUBLE] = 8 + 1,
	[TYPE_DATE] = 8 + 1,
	[TYPE_TIMESTAMP] = 8 + 1,
	[TYPE_INT64] = 8 + 1,
	[TYPE_INT32] = 4 + 1,
	[TYPE_BOOL] = 1 + 1,
	[TYPE_NULL] = 0 + 1,
	[TYPE_UNDEFINED] = 0 + 1,
	[TYPE_MIN_KEY] = 0 + 1,
	[TYPE_MAX_KEY] = 0 + 1,
	[TYPE_OBJECT_ID] = OBJECT_ID_LEN + 1,
	[TYPE_DECIMAL128] = 16 + 1,
};

/* How many of the `left` bytes at `at` a value takes that is of none of these types. */
static size_t variable_size(uint8_t type, const uint8_t *at, size_t left)
{
	switch (type) {
	case TYPE_CODE:
	case TYPE_SYMBOL:
		return text_size(at, left);
	case TYPE_BINARY:
		return prefixed_size(at, left, 5, 0);
	case TYPE_REGEX:
		return regex_size(at, left);
	case TYPE_DB_POINTER:
		return pointer_size(at, left);
	case TYPE_CODE_WITH_SCOPE:
		return scope_size(at, left);
	default:
		return BAD_SIZE;
	}
}

struct bytes doc_at_front(struct bytes b)
{
	size_t size = document_size(b.at, b.len);

	return size == BAD_SIZE ? bytes_of(b.at, 0) : bytes_of(b.at, size);
}

struct doc_iter doc_iter_of(struct bytes doc)
{
	size_t size = document_size(doc.at, doc.len);

	if (size == BAD_SIZE)
		return (struct doc_iter){.failed = true};
	return (struct doc_iter){.at = doc.at + 4, .end = doc.at + size - 1};
}

/* As memchr, for names: they are short, and a call would take longer than they do.  Sets
 * *tops, too, when a byte of the name is not ASCII. */
ALWAYS_INLINE const uint8_t *end_of_name(const uint8_t *at, const uint8_t *end, bool *tops)
{
	const uint64_t low = 0x0101010101010101u, high = 0x8080808080808080u;

	for (; end - at >= 8; at += 8) {
		uint64_t word = load_u64(at), nuls = (word - low) & ~word & high;

		if (nuls) {
			/* Of the bytes before the first NUL. */
			*tops |= (word & high & (nuls ^ (nuls - 1))) != 0;
			return at + __builtin_ctzll(nuls) / 8;
		}
		*tops |= (word & high) != 0;
	}
	for (; at < end && *at; at++)
		*tops |= *at >= 0x80;
	return at < end ? at : NULL;
}

/* Sets the element that begins at `start`, has its value at `value`, and takes `size`. */
static inline bool set_element(struct doc_iter *it, struct element *e, const uint8_t *start,
	const uint8_t *value, size_t size)
{
	if (size > (size_t)(it->end - value)) {
		it->failed = true;
		return false;
	}
	e->type = start[0];
	e->name = bytes_of(start + 1, (size_t)(value - start) - 2);
	e->value = bytes_of(value, size);
	e->whole = bytes_of(start, (size_t)(value - start) + size);
	it->at = value + size;
	return true;
}

static __attribute__((noinline)) bool set_variable(
	struct doc_iter *it, struct element *e, const uint8_t *start, const uint8_t *value)
{
	return set_element(
		it, e, start, value, variable_size(start[0], value, (size_t)(it->end - value)));
}

ALWAYS_INLINE bool next_element(struct doc_iter *it, struct element *e, bool *tops)
{
	const uint8_t *start = it->at, *nul, *value;
	size_t left;

	if (it->failed || start >= it->end)
		return false;
	nul = end_of_name(start + 1, it->end, tops);
	if (!nul) {
		it->failed = true;
		return false;
	}
	value = nul + 1;
	left = (size_t)(it->end - value);
	if (sizes[start[0]])
		return set_element(it, e, start, value, sizes[start[0]] - 1u);
	if (start[0] == TYPE_STRING)
		return set_element(it, e, start, value, text_size(value, left));
	if (start[0] == TYPE_DOCUMENT || start[0] == TYPE_ARRAY)
		return set_element(it, e, start, value, document_size(value, left));
	return set_variable(it, e, start, value);
}

bool doc_next(struct doc_iter *it, struct element *e)
{
	bool tops = false;

	return next_element(it, e, &tops);
}

bool doc_find_name(struct bytes doc, struct bytes name, struct element *e)
{
	struct doc_iter it = doc_iter_of(doc);

	while (doc_next(&it, e))
		if (bytes_equal(e->name, name))
			return true;
	return false;
}

void doc_find_each(struct bytes doc, const struct bytes *names, size_t n, struct element *out)
{
	struct doc_iter it = doc_iter_of(doc);
	struct element e;

	for (size_t i = 0; i < n; i++)
		out[i].type = 0;
	while (doc_next(&it, &e))
		for (size_t i = 0; i < n; i++)
			if (!out[i].type && bytes_equal(e.name, names[i]))
				out[i] = e;
}

bool doc_find_path(struct bytes doc, const char *path, struct element *e)
{
	const char *dot;

	while ((dot = strchr(path, '.'))) {
		struct doc_iter it = doc_iter_of(doc);
		bool found = false;

		while (!found && doc_next(&it, e))
			found = bytes_equal(e->name, bytes_of(path, (size_t)(dot - path)));
		if (!found || e->type != TYPE_DOCUMENT)
			return false;
		doc = e->value;
		path = dot + 1;
	}
	return doc_find(doc, path, e);
}

size_t doc_count(struct bytes doc)
{
	struct doc_iter it = doc_iter_of(doc);
	struct element e;
	size_t n = 0;

	while (doc_next(&it, &e))
		n++;
	return n;
}

bool doc_is_empty(struct bytes doc)
{
	return doc.len <= DOC_MIN_LEN;
}

bool element_is_number(const struct element *e)
{
	return e->type == TYPE_INT32 || e->type == TYPE_INT64 || e->type == TYPE_DOUBLE;
}

struct bytes element_string(const struct element *e)
{
	return bytes_of(e->value.at + 4, e->value.len - 5);
}

struct bytes element_binary(const struct element *e, uint8_t *subtype)
{
	*subtype = e->value.at[4];
	return bytes_from(e->value, 5);
}

/* IEEE 754-2008 decimal128 in its binary encoding: sign, combination and exponent in the
 * top 15 bits or, when two of them are 11, in the top 17; then the coefficient. */
static bool decimal_truth(const uint8_t *at)
{
	const uint64_t special = 0x7800000000000000u, large = 0x6000000000000000u;
	const uint64_t coefficient = 0x0001ffffffffffffu;
	/* 10^34, the first coefficient that is too large and therefore means zero. */
	const uint64_t over_high = 0x0001ed09bead87c0u, over_low = 0x378d8e6400000000u;
	uint64_t low = load_u64(at), high = load_u64(at + 8);

	if ((high & special) == special)
		return true; /* an infinity or NaN */
	if ((high & large) == large)
		return false; /* its coefficient is always too large */
	high &= coefficient;
	if (high > over_high || (high == over_high && low >= over_low))
		return false;
	return high || low;
}

bool element_truth(const struct element *e)
{
	double d;

	if (e->type == TYPE_BOOL)
		return e->value.at[0] != 0;
	if (e->type == TYPE_DECIMAL128)
		return decimal_truth(e->value.at);
	return element_double(e, &d) && d != 0;
}

bool element_int(const struct element *e, int64_t *value)
{
	double d;

	switch (e->type) {
	case TYPE_INT32:
		*value = load_i32(e->value.at);
		return true;
	case TYPE_INT64:
		*value = load_i64(e->value.at);
		return true;
	case TYPE_DOUBLE:
		d = load_double(e->value.at);
		/* 2^63 is the first double that is too large; NaN fails the comparison. */
		if (!(d >= -9223372036854775808.0 && d < 9223372036854775808.0) || floor(d) != d)
			return false;
		*value = (int64_t)d;
		return true;
	default:
		return false;
	}
}

bool element_double(const struct element *e, double *value)
{
	switch (e->type) {
	case TYPE_INT32:
		*value = load_i32(e->value.at);
		return true;
	case TYPE_INT64:
		*value = (double)load_i64(e->value.at);
		return true;
	case TYPE_DOUBLE:
		*value = load_double(e->value.at);
		return true;
	default:
		return false;
	}
}

static bool check_at(struct bytes doc, unsigned depth, struct doc_facts *facts, struct fault *why);

static bool check_value(
	const struct element *e, unsigned depth, struct doc_facts *facts, struct fault *why)
{
	struct bytes code;

	switch (e->type) {
	case TYPE_DOCUMENT:
	case TYPE_ARRAY:
		return check_at(e->value, depth + 1, facts, why);
	case TYPE_CODE_WITH_SCOPE:
		code = bytes_from(e->value, 4);
		return check_at(bytes_from(code, 4 + load_u32(code.at)), depth + 1, facts, why);
	case TYPE_BOOL:
		if (e->value.at[0] > 1)
			return fault_set(why, FAULT_INVALID_BSON, "a bool is neither 0 nor 1");
		return true;
	case TYPE_BINARY:
		facts->encrypted += e->value.at[4] == BINARY_ENCRYPTED;
		if (e->value.at[4] == 2 &&
			(e->value.len < 9 || load_u32(e->value.at + 5) != e->value.len - 9))
			return fault_set(why, FAULT_INVALID_BSON, "an old binary's lengths differ");
		return true;
	default:
		return true;
	}
}

static bool check_at(struct bytes doc, unsigned depth, struct doc_facts *facts, struct fault *why)
{
	struct doc_iter it = doc_iter_of(doc);
	bool tops = false; /* in a name so far */
	struct element e;

	if (depth > DOC_DEPTH_MAX)
		return fault_set(
			why, FAULT_TOO_DEEP, "a document is nested over %d deep", DOC_DEPTH_MAX);
	if (facts->depth < depth)
		facts->depth = depth;
	while (next_element(&it, &e, &tops)) {
		if (tops && !utf8_valid(e.name))
			return fault_set(why, FAULT_INVALID_BSON, "a field name is not UTF-8");
		if (!check_value(&e, depth, facts, why))
			return false;
	}
	if (it.failed)
		return fault_set(why, FAULT_INVALID_BSON, "a document's bytes do not add up");
	return true;
}

bool doc_check(struct bytes doc, struct doc_facts *facts, struct fault *why)
{
	struct doc_facts unwanted = {0};

	if (doc_at_front(doc).len != doc.len)
		return fault_set(why, FAULT_INVALID_BSON, "a document's length is a lie");
	return check_at(doc, 1, facts ? facts : &unwanted, why);
}

bool doc_each_encrypted(struct bytes doc, doc_visit_fn *visit, void *context)
{
	struct doc_iter it = doc_iter_of(doc);
	struct element e;

	while (doc_next(&it, &e)) {
		struct bytes inner = e.value;
		uint8_t subtype;

		if (e.type == TYPE_BINARY) {
			struct bytes content = element_binary(&e, &subtype);

			if (subtype == BINARY_ENCRYPTED && !visit(context, content))
				return false;
			continue;
		}
		if (e.type == TYPE_CODE_WITH_SCOPE)
			inner = bytes_from(e.value, 8 + load_u32(e.value.at + 4));
		else if (!element_is_document(&e))
			continue;
		if (!doc_each_encrypted(inner, visit, context))
			return false;
	}
	return true;
}

size_t doc_begin(struct buf *out)
{
	size_t begun = out->len;

	buf_put_u32(out, 0);
	return begun;
}

void doc_end(struct buf *out, size_t begun)
{
	buf_put_u8(out, 0);
	if (!out->failed)
		buf_patch_u32(out, begun, (uint32_t)(out->len - begun));
}

/* Type and name; returns the room of a value of `size` bytes, or NULL. */
static uint8_t *put_head(struct buf *out, uint8_t type, struct bytes name, size_t size)
{
	size_t head = name.len + 2;
	uint8_t *room = size <= SIZE_MAX - head ? buf_reserve(out, head + size) : NULL;

	if (!room) {
		out->failed = true;
		return NULL;
	}
	room[0] = type;
	if (name.len)
		memcpy(room + 1, name.at, name.len);
	room[head - 1] = 0;
	buf_commit(out, head + size);
	return room + head;
}

/* A value that is a number of so many bytes. */
static void put_u32(struct buf *out, uint8_t type, struct bytes name, uint32_t value)
{
	uint8_t *room = put_head(out, type, name, 4);

	if (room)
		store_u32(room, value);
}

static void put_u64(struct buf *out, uint8_t type, struct bytes name, uint64_t value)
{
	uint8_t *room = put_head(out, type, name, 8);

	if (room)
		store_u64(room, value);
}

static size_t put_begin(struct buf *out, uint8_t type, struct bytes name)
{
	size_t begun = out->len + name.len + 2;

	put_u32(out, type, name, 0);
	return begun;
}

size_t doc_put_document(struct buf *out, struct bytes name)
{
	return put_begin(out, TYPE_DOCUMENT, name);
}

size_t doc_put_array(struct buf *out, struct bytes name)
{
	return put_begin(out, TYPE_ARRAY, name);
}

void doc_put_value(struct buf *out, uint8_t type, struct bytes name, struct bytes value)
{
	uint8_t *room = put_head(out, type, name, value.len);

	if (room && value.len)
		memcpy(room, value.at, value.len);
}

void doc_put_element(struct buf *out, const struct element *e)
{
	buf_put(out, e->whole);
}

void doc_put_string(struct buf *out, struct bytes name, struct bytes text)
{
	uint8_t *room = put_head(out, TYPE_STRING, name, 4 + text.len + 1);

	if (!room)
		return;
	store_u32(room, (uint32_t)(text.len + 1));
	if (text.len)
		memcpy(room + 4, text.at, text.len);
	room[4 + text.len] = 0;
}

void doc_put_binary(struct buf *out, struct bytes name, uint8_t subtype, struct bytes content)
{
	uint8_t *room = put_head(out, TYPE_BINARY, name, 5 + content.len);

	if (!room)
		return;
	store_u32(room, (uint32_t)content.len);
	room[4] = subtype;
	if (content.len)
		memcpy(room + 5, content.at, content.len);
}

void doc_put_int32(struct buf *out, struct bytes name, int32_t value)
{
	put_u32(out, TYPE_INT32, name, (uint32_t)value);
}

void doc_put_int64(struct buf *out, struct bytes name, int64_t value)
{
	put_u64(out, TYPE_INT64, name, (uint64_t)value);
}

void doc_put_double(struct buf *out, struct bytes name, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	put_u64(out, TYPE_DOUBLE, name, bits);
}

void doc_put_bool(struct buf *out, struct bytes name, bool value)
{
	uint8_t *room = put_head(out, TYPE_BOOL, name, 1);

	if (room)
		room[0] = value;
}

void doc_put_date(struct buf *out, struct bytes name, int64_t ms)
{
	put_u64(out, TYPE_DATE, name, (uint64_t)ms);
}

void doc_put_null(struct buf *out, struct bytes name)
{
	(void)put_head(out, TYPE_NULL, name, 0);
}

void doc_put_timestamp(struct buf *out, struct bytes name, uint64_t value)
{
	put_u64(out, TYPE_TIMESTAMP, name, value);
}

struct bytes doc_index_name(size_t i, char out[DOC_INDEX_MAX])
{
	char *at = out + DOC_INDEX_MAX;

	do {
		*--at = (char)('0' + i % 10);
		i /= 10;
	} while (i);
	return bytes_of(at, (size_t)(out + DOC_INDEX_MAX - at));
}
