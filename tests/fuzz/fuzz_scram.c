/* The first line is the client's first message, the rest its last.  Nobody gets in, since
 * nobody can know our nonce; what is parsed lies within the message. */
#include <assert.h>

#include "auth/scram.h"
#include "auth/scram_messages.h"
#include "auth/users_file.h"
#include "util/utf8.h"

static const char file_text[] =
	"users:\n"
	"  user: {roles: [r], scram-sha-256: \"4096:W22ZaJ0SNY7soEsUEjb6gQ==:"
	"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
	"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\"}\n";

static struct master *the_master(void)
{
	static struct master *m;
	static const uint8_t bytes[MASTER_LEN];
	struct fault why;

	if (!m)
		m = master_new(bytes, false, &why);
	assert(m);
	return m;
}

static struct users *the_users(void)
{
	static struct users *users;
	struct complaints complaints;

	complaints_init(&complaints);
	if (!users)
		users = users_parse("u.yaml", bytes_str(file_text), &complaints);
	complaints_fini(&complaints);
	assert(users);
	return users;
}

static bool lies_within(struct bytes part, struct bytes all)
{
	return part.at >= all.at && part.at + part.len <= all.at + all.len;
}

static void parse_alone(struct bytes message)
{
	struct scram_client_first first;
	struct scram_client_final last;
	struct fault why = {.code = FAULT_NONE};

	if (scram_parse_client_first(&first, message, &why)) {
		assert(first.gs2_header.len + first.bare.len == message.len);
		assert(lies_within(first.bare, message) && lies_within(first.nonce, message));
		assert(first.name_len && utf8_valid(bytes_of(first.name, first.name_len)));
	} else {
		assert(why.code == FAULT_LOGIN_FAILED);
	}
	if (scram_parse_client_final(&last, message, &why)) {
		assert(lies_within(last.without_proof, message));
		assert(lies_within(last.nonce, last.without_proof));
		assert(lies_within(last.binding, last.without_proof));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *lf = size ? memchr(data, '\n', size) : NULL;
	struct bytes all = bytes_of(size ? data : (const uint8_t *)"", size);
	struct bytes first = bytes_head(all, lf ? (size_t)(lf - data) : size);
	struct bytes last = bytes_from(all, first.len + 1);
	struct scram *s = scram_new(the_users(), the_master());
	struct fault why = {.code = FAULT_NONE};
	enum scram_step going;
	struct buf out;

	parse_alone(first);
	parse_alone(last);
	buf_init(&out, SCRAM_PAYLOAD_MAX);
	going = scram_step(s, first, &out, &why);
	assert(going == SCRAM_GO_ON ? out.len > 0 : why.code == FAULT_LOGIN_FAILED && !out.len);
	buf_clear(&out);
	assert(scram_step(s, last, &out, &why) == SCRAM_FAILED);
	assert(why.code == FAULT_LOGIN_FAILED && !out.len && !scram_user(s));
	buf_fini(&out);
	scram_free(s);
	return 0;
}
