#include "cli/replay.h"

#include "audit/line.h"
#include "wire/doc.h"
#include "wire/frame.h"

#define UNNAMED     "mw_unnamed"
#define COUNTED_MAX 2u /* that a record counts some says no more than that there are some */
#define NAME_ROOM   (1u << 20)

struct replaying {
	const uint8_t *at, *end;
	struct buf *out;
	struct buf name; /* decoded last */
	struct replay_choice choice;
	unsigned depth;
};

struct replay_choice replay_choice(size_t number)
{
	return (struct replay_choice){
		.falses = number & 1, .ids = number / 2 == 1, .zeros = number / 2 == 2};
}

static bool take(struct replaying *r, char c)
{
	if (r->at == r->end || *r->at != (uint8_t)c)
		return false;
	r->at++;
	return true;
}

/* A string, decoded into r->name. */
static bool take_text(struct replaying *r)
{
	const uint8_t *begin = r->at;

	if (!take(r, '"'))
		return false;
	while (r->at < r->end && *r->at != '"')
		r->at += *r->at == '\\' && r->at + 1 < r->end ? 2 : 1;
	if (!take(r, '"'))
		return false;
	buf_clear(&r->name);
	line_unescape(bytes_of(begin, (size_t)(r->at - begin)), &r->name);
	return !r->name.failed &&
	       !memchr(r->name.at ? r->name.at : (const uint8_t *)"", '\0', r->name.len);
}

static bool take_number(struct replaying *r, uint64_t *number)
{
	*number = 0;
	if (r->at == r->end || *r->at < '0' || *r->at > '9')
		return false;
	for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
		if (*number < UINT32_MAX)
			*number = *number * 10 + (uint64_t)(*r->at - '0');
	return true;
}

/* With a name in place of '?': "?1", "personal_info.?1", "$personal_info.?". */
static void put_filled(struct buf *to, struct bytes text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] == '?')
			buf_put_str(to, UNNAMED);
		else
			buf_put_u8(to, text.at[i]);
}

/* Something of the type that the record names. */
static bool put_placeholder(struct replaying *r, struct bytes name, struct bytes type)
{
	static const uint8_t zeros[16];
	bool zero = r->choice.zeros || (r->choice.ids && bytes_equal(name, NAME("_id")));

	if (bytes_equal_str(type, "string"))
		doc_put_string(r->out, name, NAME("x"));
	else if (bytes_equal_str(type, "path"))
		doc_put_string(r->out, name, NAME("$" UNNAMED));
	else if (bytes_equal_str(type, "int"))
		doc_put_int32(r->out, name, !zero);
	else if (bytes_equal_str(type, "long"))
		doc_put_int64(r->out, name, !zero);
	else if (bytes_equal_str(type, "double"))
		doc_put_double(r->out, name, zero ? 0 : 1);
	else if (bytes_equal_str(type, "bool"))
		doc_put_bool(r->out, name, !r->choice.falses);
	else if (bytes_equal_str(type, "null") || bytes_equal_str(type, "other"))
		doc_put_null(r->out, name);
	else if (bytes_equal_str(type, "objectId"))
		doc_put_value(r->out, TYPE_OBJECT_ID, name, bytes_of(zeros, 12));
	else if (bytes_equal_str(type, "date"))
		doc_put_value(r->out, TYPE_DATE, name, bytes_of(zeros, 8));
	else if (bytes_equal_str(type, "timestamp"))
		doc_put_value(r->out, TYPE_TIMESTAMP, name, bytes_of(zeros, 8));
	else if (bytes_equal_str(type, "decimal"))
		doc_put_value(r->out, TYPE_DECIMAL128, name, bytes_of(zeros, 16));
	else if (bytes_equal_str(type, "binData"))
		doc_put_binary(r->out, name, 0, bytes_of(zeros, 1));
	else if (bytes_equal_str(type, "regex"))
		doc_put_value(r->out, TYPE_REGEX, name, bytes_of("x\0", 3));
	else if (bytes_equal_str(type, "minKey") || bytes_equal_str(type, "maxKey"))
		doc_put_value(r->out, type.at[1] == 'i' ? TYPE_MIN_KEY : TYPE_MAX_KEY, name,
			bytes_of("", 0));
	else
		return false;
	return true;
}

/* true or false, of an option that is kept as it was. */
static bool put_flag(struct replaying *r, struct bytes name)
{
	const bool value = *r->at == 't';
	const struct bytes word = bytes_str(value ? "true" : "false");

	if (!bytes_start_with(bytes_of(r->at, (size_t)(r->end - r->at)), word))
		return false;
	r->at += word.len;
	doc_put_bool(r->out, name, value);
	return true;
}

static bool put_text(struct replaying *r, struct bytes name)
{
	struct bytes text;
	struct buf filled;

	if (!take_text(r))
		return false;
	text = buf_bytes(&r->name);
	if (text.len && text.at[0] == '?')
		return put_placeholder(r, name, bytes_from(text, 1));
	buf_init(&filled, 2 * NAME_ROOM);
	put_filled(&filled, text);
	doc_put_string(r->out, name, buf_bytes(&filled));
	buf_fini(&filled);
	return true;
}

static bool put_value(struct replaying *r, struct bytes name);

/* {"?":N}: fields that the record does not name. */
static bool put_counted(struct replaying *r)
{
	uint64_t n;

	if (!take_number(r, &n))
		return false;
	for (uint64_t i = 0; i < n && i < COUNTED_MAX; i++)
		doc_put_string(r->out, bytes_str(i ? UNNAMED "_b" : UNNAMED "_a"), NAME("x"));
	return true;
}

static bool put_field(struct replaying *r)
{
	struct buf name;
	bool fine;

	if (!take_text(r) || !take(r, ':'))
		return false;
	if (bytes_equal_str(buf_bytes(&r->name), "?"))
		return put_counted(r);
	buf_init(&name, 2 * NAME_ROOM);
	put_filled(&name, buf_bytes(&r->name));
	fine = put_value(r, buf_bytes(&name));
	buf_fini(&name);
	return fine;
}

static bool put_fields(struct replaying *r)
{
	bool fine = true;

	if (!take(r, '{'))
		return false;
	if (take(r, '}'))
		return true;
	do
		fine = put_field(r);
	while (fine && take(r, ','));
	return fine && take(r, '}');
}

static bool put_items(struct replaying *r)
{
	char index[DOC_INDEX_MAX];
	bool fine = true;
	size_t n = 0;

	if (!take(r, '['))
		return false;
	if (take(r, ']'))
		return true;
	do
		fine = put_value(r, doc_index_name(n++, index));
	while (fine && take(r, ','));
	return fine && take(r, ']');
}

static bool put_value(struct replaying *r, struct bytes name)
{
	bool fine, list = r->at < r->end && *r->at == '[';
	size_t begun;

	if (r->at < r->end && (*r->at == 't' || *r->at == 'f'))
		return put_flag(r, name);
	if (!list && (r->at == r->end || *r->at != '{'))
		return put_text(r, name);
	if (++r->depth > LINE_DEPTH_MAX)
		return false;
	begun = (list ? doc_put_array : doc_put_document)(r->out, name);
	fine = (list ? put_items : put_fields)(r);
	doc_end(r->out, begun);
	r->depth--;
	return fine;
}

bool replay_message(struct bytes shape, struct bytes db, struct bytes comment,
	struct replay_choice choice, struct buf *message)
{
	struct replaying r = {
		.at = shape.at, .end = shape.at + shape.len, .out = message, .choice = choice};
	size_t frame, begun;
	bool fine;

	if (bytes_start_with(shape, NAME("{\"?\"")))
		return false;
	buf_init(&r.name, NAME_ROOM);
	frame = frame_begin(message, 1, 0, OPCODE_MSG);
	buf_put_u32(message, 0);
	buf_put_u8(message, 0);
	begun = doc_begin(message);
	fine = put_fields(&r) && r.at == r.end;
	doc_put_string(message, NAME("$db"), db);
	if (comment.len)
		doc_put_value(message, TYPE_DOCUMENT, NAME("comment"), comment);
	doc_end(message, begun);
	frame_end(message, frame);
	buf_fini(&r.name);
	return fine && !message->failed;
}
