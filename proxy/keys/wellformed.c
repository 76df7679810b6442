#include "keys/wellformed.h"

#include <bson/bson.h>

#include "util/reader.h"

#define OBJECT_ID_LEN 12u

static void take_value(struct reader *r, uint8_t type, unsigned depth);

/* A length, that many bytes, of which the last is NUL. */
static void take_text(struct reader *r)
{
	struct bytes text = reader_take(r, reader_u32(r));

	r->failed |= !text.len || text.at[text.len - 1] != 0;
}

/* What begins with its own length in bytes. */
static struct reader take_counted(struct reader *r)
{
	struct reader in = reader_of(reader_take(r, reader_peek_u32(r)));

	(void)reader_u32(&in);
	return in;
}

/* Documents at `depth`; the outermost is at 1. */
static void take_document(struct reader *r, unsigned depth)
{
	struct reader in = take_counted(r);

	in.failed |= depth > WELLFORMED_DEPTH_MAX;
	while (!in.failed && in.left.len > 1) {
		uint8_t type = reader_u8(&in);

		(void)reader_name(&in);
		take_value(&in, type, depth);
	}
	r->failed |= reader_u8(&in) != 0 || in.failed;
}

static void take_binary(struct reader *r)
{
	uint32_t len = reader_u32(r);
	uint8_t subtype = reader_u8(r);
	struct bytes content = reader_take(r, len);

	/* The old subtype holds its length once more. */
	if (subtype == BSON_SUBTYPE_BINARY_DEPRECATED)
		r->failed |= content.len < 4 || load_u32(content.at) != content.len - 4;
}

static void take_code_with_scope(struct reader *r, unsigned depth)
{
	struct reader in = take_counted(r);

	take_text(&in);
	take_document(&in, depth);
	r->failed |= in.failed || in.left.len != 0;
}

static void take_value(struct reader *r, uint8_t type, unsigned depth)
{
	switch (type) {
	case BSON_TYPE_UNDEFINED:
	case BSON_TYPE_NULL:
	case BSON_TYPE_MINKEY:
	case BSON_TYPE_MAXKEY:
		return;
	case BSON_TYPE_BOOL:
		r->failed |= reader_u8(r) > 1;
		return;
	case BSON_TYPE_INT32:
		(void)reader_take(r, 4);
		return;
	case BSON_TYPE_DOUBLE:
	case BSON_TYPE_DATE_TIME:
	case BSON_TYPE_TIMESTAMP:
	case BSON_TYPE_INT64:
		(void)reader_take(r, 8);
		return;
	case BSON_TYPE_OID:
		(void)reader_take(r, OBJECT_ID_LEN);
		return;
	case BSON_TYPE_DECIMAL128:
		(void)reader_take(r, 16);
		return;
	case BSON_TYPE_UTF8:
	case BSON_TYPE_CODE:
	case BSON_TYPE_SYMBOL:
		take_text(r);
		return;
	case BSON_TYPE_DBPOINTER:
		take_text(r);
		(void)reader_take(r, OBJECT_ID_LEN);
		return;
	case BSON_TYPE_REGEX:
		(void)reader_name(r);
		(void)reader_name(r);
		return;
	case BSON_TYPE_BINARY:
		take_binary(r);
		return;
	case BSON_TYPE_DOCUMENT:
	case BSON_TYPE_ARRAY:
		take_document(r, depth + 1);
		return;
	case BSON_TYPE_CODEWSCOPE:
		take_code_with_scope(r, depth + 1);
		return;
	default:
		r->failed = true;
	}
}

bool wellformed_value(uint8_t type, struct bytes value)
{
	struct reader r = reader_of(value);

	take_value(&r, type, 0);
	return !r.failed && r.left.len == 0;
}
