/* Text from outside, on its way to a terminal, a log or JSON. */
#include <assert.h>

#include "util/json.h"
#include "util/utf8.h"

static const char replacement[] = "\xef\xbf\xbd";

/* The text with each invalid part replaced, character by character. */
static void put_mended(struct buf *out, struct bytes text)
{
	while (text.len) {
		size_t bad, n = utf8_character(text, &bad);

		assert(n ? n <= 4 : bad >= 1 && bad <= 3);
		assert(utf8_valid(bytes_head(text, n)));
		assert(n || !utf8_valid(bytes_head(text, bad)));
		buf_put(out, n ? bytes_head(text, n) : bytes_str(replacement));
		text = bytes_from(text, n ? n : bad);
	}
}

static uint8_t hex_digit(uint8_t c)
{
	assert((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* What a JSON string says; only the escapes that we write. */
static void put_unescaped(struct buf *out, struct bytes json)
{
	assert(json.len >= 2 && json.at[0] == '"' && json.at[json.len - 1] == '"');
	for (size_t i = 1; i < json.len - 1; i++) {
		uint8_t c = json.at[i];

		assert(c >= 0x20 && c != '"');
		if (c == '\\') {
			c = json.at[++i];
			assert(i < json.len - 1 && (c == 'u' || c == '"' || c == '\\'));
			if (c == 'u') {
				assert(i + 4 < json.len - 1);
				assert(json.at[i + 1] == '0' && json.at[i + 2] == '0');
				c = (uint8_t)(hex_digit(json.at[i + 3]) << 4 |
					      hex_digit(json.at[i + 4]));
				assert(c < 0x20);
				i += 4;
			}
		}
		buf_put_u8(out, c);
	}
}

static void check_printable(struct bytes text, size_t size)
{
	char out[64];
	size_t n = utf8_printable(text, out, size);

	assert(n < size && out[n] == 0 && strlen(out) == n);
	assert(utf8_valid(bytes_of(out, n)));
	for (size_t i = 0; i < n; i++)
		assert((uint8_t)out[i] >= 0x20 && out[i] != 0x7f);
	assert(!memmem(out, n, "\xc2\x9b", 2)); /* a terminal takes U+009B for ESC [ */
}

static void check_json(struct bytes text, size_t max, struct bytes mended)
{
	struct buf json, said;

	buf_init(&json, 8 * (text.len + 2));
	buf_init(&said, 8 * (text.len + 2));
	json_put_string(&json, text);
	assert(!json.failed && utf8_valid(buf_bytes(&json)));
	put_unescaped(&said, buf_bytes(&json));
	assert(bytes_equal(buf_bytes(&said), mended));
	buf_clear(&json);
	buf_clear(&said);
	json_put_string_cut(&json, text, max);
	put_unescaped(&said, buf_bytes(&json));
	assert(said.len <= max && utf8_valid(buf_bytes(&said)));
	assert((mended.len > max) == !bytes_equal(buf_bytes(&said), mended));
	buf_fini(&json);
	buf_fini(&said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says how much room there is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes text = bytes_from(bytes_of(data, size), 1);
	size_t room = size ? data[0] % 61u : 0;
	struct buf mended;

	buf_init(&mended, 3 * size + 1);
	put_mended(&mended, text);
	assert(utf8_valid(text) == bytes_equal(buf_bytes(&mended), text));
	check_printable(text, room + 4);
	check_json(text, room, buf_bytes(&mended));
	buf_fini(&mended);
	return 0;
}
