/* The shape in a line of an audit log, made a command again. */
#include <assert.h>

#include "audit/audit.h"
#include "audit/line.h"
#include "cli/replay.h"
#include "util/hex.h"
#include "wire/command.h"

#define BEFORE                                                                               \
	"{\"v\":1,\"event\":\"access\",\"seq\":11,\"ts\":\"2026-11-27T17:14:47.659671Z\","   \
	"\"instance\":\"mw-1\",\"conn\":2,\"request\":\"6f54baba1aabfdd3dda987673bfc506b\"," \
	"\"command\":\"find\",\"shape\":"
#define BEHIND                                                \
	",\"decision\":\"allow\",\"mono\":20740446,\"prev\":" \
	"\"9a85add6c3c68ab6d5a7e8e5ae6844bf96e431efbeeb125d833bb192b7e14bd7\"}"

static void put_line(struct buf *out, struct bytes shape)
{
	uint8_t hash[AUDIT_SHAPE_HASH_LEN];

	audit_shape_hash(shape, hash);
	buf_put_str(out, BEFORE);
	buf_put(out, shape);
	buf_put_str(out, ",\"shape_hash\":\"");
	for (size_t i = 0; i < sizeof(hash); i++)
		buf_put_format(out, "%02x", hash[i]);
	buf_put_u8(out, '"');
	buf_put_str(out, BEHIND);
}

static void replay(struct bytes shape)
{
	for (size_t i = 0; i < REPLAY_CHOICES; i++) {
		struct command command;
		struct buf message;
		struct fault why;

		buf_init(&message, FRAME_MESSAGE_MAX);
		if (replay_message(shape, NAME("x"), bytes_of("", 0), replay_choice(i), &message)) {
			assert(!message.failed && message.len > FRAME_HEADER_LEN);
			if (command_parse(&command, buf_bytes(&message), &why))
				assert(command.nfields > 0);
		}
		buf_fini(&message);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct line_parser p;
	struct buf text;
	struct line l;

	line_parser_init(&p);
	buf_init(&text, 2 * LINE_MAX_LEN);
	put_line(&text, bytes_of(data, size));
	if (!text.failed && line_parse(&p, buf_bytes(&text), &l) && line_has(&l, LINE_KEY_shape))
		replay(l.values[LINE_KEY_shape]);
	buf_fini(&text);
	line_parser_fini(&p);
	return 0;
}
