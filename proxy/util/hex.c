#include "util/hex.h"

/* -1: none. */
static int digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_read(struct bytes hex, uint8_t *out, size_t len)
{
	if (hex.len != 2 * len)
		return false;
	for (size_t i = 0; i < hex.len; i++)
		if (digit(hex.at[i]) < 0)
			return false;
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(digit(hex.at[2 * i]) << 4 | digit(hex.at[2 * i + 1]));
	return true;
}

void hex_write(const uint8_t *at, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[at[i] >> 4];
		out[2 * i + 1] = digits[at[i] & 15];
	}
	out[2 * len] = '\0';
}
