#include "audit/line_inside.h"

#define TOKEN_DIGITS  32
#define SHAPE_UNKNOWN "{\"?\":\"long\"}"

enum kind {
	KIND_ANY,
	KIND_OBJECT,
	KIND_COUNT,
	KIND_INTEGER,
	KIND_NUMBER,
	KIND_TRUE,
	KIND_TEXT,
	KIND_TEXT_OR_NULL,
	KIND_NAME,
	KIND_NAMES,
	KIND_TIME,
	KIND_FROM,
	KIND_INSTANCE,
	KIND_DECISION,
	KIND_REQUEST,
	KIND_ID,
	KIND_HASH,
	KIND_HASH_OR_NULL,
	KIND_SIGNATURE,
	KIND_SUBJECTS,
	KIND_TOKENS,
};

static const struct {
	const char *name;
	enum kind kind;
} keys[] = {
#define LINE_KEY(name, kind) {#name, KIND_##kind},
#include "audit/line_keys.def"
#undef LINE_KEY
};

#define K(name) (UINT64_C(1) << LINE_KEY_##name)
_Static_assert(LINE_KEYS <= 64, "a set of keys is 64 bits");

static const struct {
	const char *name;
	uint64_t needs;
} events[] = {
	[LINE_ACCESS] = {"access",
		K(conn) | K(user) | K(request) | K(command) | K(decision) | K(code)},
	[LINE_INTENT] = {"intent", K(conn) | K(user) | K(request) | K(command) | K(decision)},
	[LINE_OUTCOME] = {"outcome", K(conn) | K(request) | K(code)},
	[LINE_REFUSAL] = {"refusal", K(decision) | K(code)},
	[LINE_LOGIN] = {"login", K(conn) | K(user)},
	[LINE_LOGIN_FAILED] = {"login_failed", K(conn) | K(user) | K(code)},
	[LINE_LOGOUT] = {"logout", K(conn) | K(user)},
	[LINE_START] = {"start", K(version)},
	[LINE_STOP] = {"stop", 0},
	[LINE_DRAIN] = {"drain", 0},
	[LINE_POLICY] = {"policy", K(version) | K(hash)},
	[LINE_KEY_EVENT] = {"key", K(user) | K(act) | K(target)},
	[LINE_ADMIN] = {"admin", K(user) | K(act) | K(target)},
	[LINE_CLOCK] = {"clock", K(from) | K(step_ms)},
	[LINE_GAP] = {"gap", K(head_seq) | K(witness_seq) | K(why)},
	[LINE_EXPIRED] = {"expired", K(before) | K(head)},
	[LINE_CHECKPOINT] = {"checkpoint",
		K(from) | K(root) | K(cluster_time) | K(key) | K(next_key) | K(sig)},
};

#define LATER_PART                                                                         \
	(K(v) | K(event) | K(seq) | K(ts) | K(instance) | K(conn) | K(request) | K(part) | \
		K(last) | K(mono) | K(prev) | K(subjects) | K(searched))

const char *line_event_name(enum line_event event)
{
	return events[event].name;
}

static bool is_string(struct bytes v)
{
	return v.len >= 2 && v.at[0] == '"';
}

static struct bytes inner(struct bytes v)
{
	return is_string(v) ? bytes_of(v.at + 1, v.len - 2) : bytes_of(NULL, 0);
}

static bool is_integer(struct bytes v, bool may_be_negative)
{
	uint64_t n = 0;
	size_t i = may_be_negative && v.len > 1 && v.at[0] == '-';

	if (v.len - i > 19 || v.len == i)
		return false;
	for (; i < v.len; i++) {
		if (v.at[i] < '0' || v.at[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(v.at[i] - '0'); /* 19 digits fit */
	}
	return n <= INT64_MAX;
}

static bool is_hex(struct bytes v, size_t digits)
{
	struct bytes t = inner(v);

	for (size_t i = 0; i < t.len; i++)
		if (!((t.at[i] >= '0' && t.at[i] <= '9') || (t.at[i] >= 'a' && t.at[i] <= 'f')))
			return false;
	return t.len == digits;
}

static bool is_null(struct bytes v)
{
	return bytes_equal_str(v, "null");
}

static bool is_name(struct line_parser *p, struct bytes v)
{
	if (!is_string(v))
		return false;
	buf_clear(&p->text);
	line_unescape(v, &p->text);
	return !p->text.failed && p->text.len <= LINE_NAME_MAX;
}

static bool is_subject(struct bytes v)
{
	uint8_t token[TOKEN_DIGITS / 2];
	struct bytes t = inner(v);

	return line_unhex(bytes_from(t, t.len && t.at[0] == '~'), token, sizeof(token));
}

/* An array of strings, each of a kind. */
static bool is_list(struct line_parser *p, struct bytes v, enum kind kind)
{
	struct bytes rest = v, element;

	if (v.len < 2 || v.at[0] != '[')
		return false;
	while (line_next_string(&rest, &element))
		if (kind == KIND_NAMES          ? !is_name(p, element)
			: kind == KIND_SUBJECTS ? !is_subject(element)
						: !is_hex(element, TOKEN_DIGITS))
			return false;
	return v.len == 2 || (rest.len == 1 && rest.at[0] == ']');
}

static bool is_of_kind(struct line_parser *p, const struct line *l, struct bytes v, enum kind kind)
{
	int64_t time;

	switch (kind) {
	case KIND_ANY:
		return true;
	case KIND_OBJECT:
		return v.at[0] == '{';
	case KIND_COUNT:
		return is_integer(v, false);
	case KIND_INTEGER:
		return is_integer(v, true);
	case KIND_NUMBER: /* the grammar has seen to the rest */
		return v.at[0] >= '0' && v.at[0] <= '9';
	case KIND_TRUE:
		return bytes_equal_str(v, "true");
	case KIND_TEXT_OR_NULL:
		return is_string(v) || is_null(v);
	case KIND_TEXT:
		return is_string(v);
	case KIND_NAME:
		return is_name(p, v);
	case KIND_NAMES:
	case KIND_SUBJECTS:
	case KIND_TOKENS:
		return is_list(p, v, kind);
	case KIND_TIME:
		return line_parse_time(inner(v), &time);
	case KIND_FROM:
		return l->event == LINE_CLOCK ? line_parse_time(inner(v), &time)
					      : is_integer(v, false);
	case KIND_INSTANCE:
		return line_is_instance(inner(v));
	case KIND_DECISION:
		return bytes_equal_str(v, "\"allow\"") || bytes_equal_str(v, "\"refuse\"");
	case KIND_REQUEST:
		return is_hex(v, 32);
	case KIND_ID:
		return is_hex(v, 16);
	case KIND_HASH:
		return is_hex(v, 64);
	case KIND_HASH_OR_NULL:
		return is_hex(v, 64) || is_null(v);
	case KIND_SIGNATURE:
		return is_hex(v, 128);
	}
	return false;
}

static bool find_event(struct line_parser *p, struct line *l)
{
	struct bytes name = line_raw_text(l, LINE_KEY_event);

	for (size_t i = 0; i < COUNT_OF(events); i++) {
		if (bytes_equal_str(name, events[i].name)) {
			l->event = (enum line_event)i;
			return true;
		}
	}
	return line_fault(p, "unknown event");
}

static bool judge_keys(struct line_parser *p, const struct line *l, uint64_t *there)
{
	*there = 0;
	for (size_t i = 0; i < LINE_KEYS; i++) {
		if (!line_has(l, (enum line_key)i))
			continue;
		*there |= UINT64_C(1) << i;
		if (!is_of_kind(p, l, l->values[i], keys[i].kind))
			return line_fault(p, "the value of %s is not as it must be", keys[i].name);
	}
	return true;
}

static bool judge_part(struct line_parser *p, const struct line *l, uint64_t there)
{
	uint64_t part = line_count(l, LINE_KEY_part);

	if (!(there & K(part)))
		return !(there & K(last)) || line_fault(p, "last without part");
	if (!part)
		return line_fault(p, "part 0");
	if (!(there & K(request)) || !(there & K(conn)))
		return line_fault(p, "a part without conn and request");
	if (part > 1 && there & ~LATER_PART)
		return line_fault(p, "a later part with keys of the first");
	return true;
}

static bool judge_shape(struct line_parser *p, const struct line *l)
{
	uint8_t hash[LINE_HASH_LEN], given[8];
	struct bytes shape = l->values[LINE_KEY_shape];

	if (!line_has(l, LINE_KEY_shape) && !line_has(l, LINE_KEY_shape_hash))
		return true;
	if (!line_has(l, LINE_KEY_shape) || !line_has(l, LINE_KEY_shape_hash))
		return line_fault(p, "shape and shape_hash not together");
	if (bytes_equal_str(shape, SHAPE_UNKNOWN))
		return true;
	line_hash(shape, hash);
	if (!line_unhex(line_raw_text(l, LINE_KEY_shape_hash), given, sizeof(given)) ||
		memcmp(hash, given, sizeof(given)) != 0)
		return line_fault(p, "shape_hash is not of the shape");
	return true;
}

static bool judge_event(struct line_parser *p, const struct line *l, uint64_t there)
{
	uint64_t needs = events[l->event].needs;

	if (line_count(l, LINE_KEY_part) > 1)
		needs = K(conn) | K(request);
	/* Many are counted in one, of whoever they were. */
	if (l->event == LINE_LOGIN_FAILED && there & K(count))
		needs &= ~(K(conn) | K(user));
	for (size_t i = 0; i < LINE_KEYS; i++)
		if (needs & ~there & (UINT64_C(1) << i))
			return line_fault(
				p, "%s without %s", line_event_name(l->event), keys[i].name);
	if (there & K(sig) && l->event != LINE_CHECKPOINT)
		return line_fault(p, "sig in a record that is no checkpoint");
	return true;
}

bool line_judge(struct line_parser *p, struct line *l)
{
	uint64_t there;

	if (!bytes_equal_str(l->values[LINE_KEY_v], "1"))
		return line_fault(p, "unknown version of the format");
	if (!find_event(p, l) || !judge_keys(p, l, &there) || !judge_part(p, l, there) ||
		!judge_event(p, l, there) || !judge_shape(p, l))
		return false;
	l->seq = line_count(l, LINE_KEY_seq);
	l->instance = line_raw_text(l, LINE_KEY_instance);
	return line_parse_time(line_raw_text(l, LINE_KEY_ts), &l->time_us) &&
	       line_unhex(line_raw_text(l, LINE_KEY_prev), l->prev, sizeof(l->prev));
}
