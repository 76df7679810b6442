#include "transform/inside.h"

#include <math.h>
#include <stdio.h>

#define OWN_VERSION 1 /* of the rule by which texts are normalised */

static bool is_whole(double d, int64_t *value)
{
	if (!(d >= -9223372036854775808.0 && d < 9223372036854775808.0) || floor(d) != d)
		return false;
	*value = (int64_t)d;
	return true;
}

/* One BSON element: type, path, value; whole numbers are one type, texts one spelling. */
static void put_part(struct buf *out, struct bytes path, const struct value *value, bool normalized)
{
	struct element e = {.type = value->type, .value = value->bytes};
	int64_t whole;

	if (value->type == TYPE_STRING && normalized) {
		size_t length;

		buf_put_u8(out, TYPE_STRING);
		buf_put(out, path);
		buf_put_u8(out, 0);
		length = out->len;
		buf_put_u32(out, 0);
		normalize_text(element_string(&e), out);
		buf_put_u8(out, 0);
		if (!out->failed)
			buf_patch_u32(out, length, (uint32_t)(out->len - length - 4));
		return;
	}
	if (value->type == TYPE_INT32)
		doc_put_int64(out, path, load_i32(value->bytes.at));
	else if (value->type == TYPE_DOUBLE && is_whole(load_double(value->bytes.at), &whole))
		doc_put_int64(out, path, whole);
	else
		doc_put_value(out, value->type, path, value->bytes);
}

static bool is_there(const struct value *value)
{
	return value->type && value->type != TYPE_NULL && value->type != TYPE_UNDEFINED &&
	       value->type != TYPE_DOCUMENT && value->type != TYPE_ARRAY;
}

const struct subject_line *subject_line_of(
	const struct collection *c, const struct value parts[ID_PART + 1])
{
	for (size_t i = 0; i < c->nsubjects; i++) {
		const struct subject_line *line = &c->subjects[i];
		bool complete = true;

		for (size_t k = 0; k < line->nparts; k++)
			complete &= is_there(&parts[line->parts[k]]);
		if (complete)
			return line;
	}
	return NULL;
}

bool subject_line_token(const struct master *m, enum token_kind kind, const struct collection *c,
	const struct subject_line *line, const struct value parts[ID_PART + 1], struct buf *input,
	struct subject_token *out)
{
	struct bytes whole;

	out->of_id = !line;
	buf_clear(input);
	buf_put(input, c->ns);
	buf_put_u8(input, 0);
	for (size_t i = 0; line && i < line->nparts; i++)
		put_part(input, c->subject_paths[line->parts[i]], &parts[line->parts[i]],
			line->normalized);
	if (!line)
		put_part(input, bytes_str("_id"), &parts[ID_PART], false);
	whole = buf_bytes(input);
	master_token(m, kind, &whole, 1, &out->token);
	return !input->failed;
}

bool subject_of(struct transform *t, enum token_kind kind, const struct collection *c,
	const struct value parts[ID_PART + 1], struct subject_token *out)
{
	const struct subject_line *line = subject_line_of(c, parts);

	out->of_id = !line;
	if (!line && !parts[ID_PART].type)
		return false;
	return subject_line_token(t->master, kind, c, line, parts, &t->scratch, out);
}

void searched_token(struct transform *t, struct bytes path, bool normalized,
	const struct element *literal, struct token *out)
{
	const struct value value = {.type = literal->type, .bytes = literal->value};
	struct bytes whole;

	buf_clear(&t->scratch);
	put_part(&t->scratch, path, &value, normalized);
	whole = buf_bytes(&t->scratch);
	master_token(t->master, TOKEN_AUDIT_SEARCHED, &whole, 1, out);
}

void pseudonym_of_subject(struct transform *t, const struct mask *mask,
	const struct subject_token *subject, struct token *out)
{
	static const char subject_mark[] = "\0subject\0";
	const struct bytes parts[] = {
		mask->scope,
		bytes_of(subject_mark, sizeof(subject_mark) - 1),
		bytes_of(subject->token.bytes, TOKEN_LEN),
	};

	master_token(t->master, TOKEN_PSEUDONYM, parts, COUNT_OF(parts), out);
}

/* As the views' readers know them, so that a pipeline can match and group by them. */
static void put_pseudonyms(struct transform *t, const struct collection *c,
	const struct subject_token *subject, struct bytes name, struct buf *out)
{
	size_t begun = doc_put_document(out, name);

	for (size_t i = 0; i < t->policy->nviews; i++) {
		const struct virtual_view *v = &t->policy->views[i];

		for (size_t k = 0; v->from == c && k < v->nfields; k++) {
			const struct mask *mask = v->fields[k].mask;
			struct token token;

			if (!v->fields[k].of_subject)
				continue;
			pseudonym_of_subject(t, mask, subject, &token);
			put_hex(bytes_str(mask->stored), &token, out);
		}
	}
	doc_end(out, begun);
}

/* Names are short: "__mw." and two letters at the most. */
struct own_name {
	char text[16];
	size_t prefix;
};

static struct bytes own_name(struct own_name *n, const char *letters)
{
	size_t len = strlen(letters);

	memcpy(n->text + n->prefix, letters, len);
	return bytes_of(n->text, n->prefix + len);
}

void put_own_subject(struct transform *t, const struct collection *c,
	const struct value parts[ID_PART + 1], const char *prefix, struct buf *out)
{
	struct subject_token subject, noise;
	struct own_name n = {.prefix = strlen(prefix)};

	memcpy(n.text, prefix, n.prefix);
	if (!subject_line_of(c, parts) || !subject_of(t, TOKEN_SUBJECT, c, parts, &subject) ||
		!subject_of(t, TOKEN_NOISE, c, parts, &noise))
		return;
	doc_put_binary(out, own_name(&n, "s"), 0, bytes_of(subject.token.bytes, TOKEN_LEN));
	/* A number, so that the database can add those of many patients up. */
	doc_put_int64(out, own_name(&n, "rk"), load_u32(noise.token.bytes));
	doc_put_int32(out, own_name(&n, "v"), OWN_VERSION);
	put_pseudonyms(t, c, &subject, own_name(&n, "p"), out);
}
