#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

const char *net_address_text(const struct sockaddr *address, char out[NET_ADDRESS_MAX])
{
	char host[INET6_ADDRSTRLEN] = "";

	if (address->sa_family == AF_INET) {
		struct sockaddr_in v4;

		memcpy(&v4, address, sizeof(v4));
		inet_ntop(AF_INET, &v4.sin_addr, host, sizeof(host));
		snprintf(out, NET_ADDRESS_MAX, "%s:%u", host, ntohs(v4.sin_port));
	} else if (address->sa_family == AF_INET6) {
		struct sockaddr_in6 v6;
		bool mapped;

		memcpy(&v6, address, sizeof(v6));
		mapped = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
		if (mapped)
			inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, host, sizeof(host));
		else
			inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof(host));
		snprintf(out, NET_ADDRESS_MAX, mapped ? "%s:%u" : "[%s]:%u", host,
			ntohs(v6.sin6_port));
	} else {
		snprintf(out, NET_ADDRESS_MAX, "unix");
	}
	return out;
}

static bool parse_port(const char *text, uint16_t *port)
{
	unsigned n = 0;

	if (!*text || strlen(text) > 5)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (unsigned)(*text - '0');
	}
	*port = (uint16_t)n;
	return n <= UINT16_MAX;
}

bool net_address_parse(const char *text, struct sockaddr_storage *out, socklen_t *len)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	const char *colon = strrchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;
	char host[INET6_ADDRSTRLEN + 2];
	uint16_t port;

	if (!colon || n < 2 || n >= sizeof(host) || !parse_port(colon + 1, &port))
		return false;
	memcpy(host, text, n);
	host[n] = '\0';
	memset(out, 0, sizeof(*out));
	if (host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		v6.sin6_port = htons(port);
		*len = sizeof(v6);
		if (inet_pton(AF_INET6, host + 1, &v6.sin6_addr) != 1)
			return false;
		memcpy(out, &v6, sizeof(v6));
		return true;
	}
	v4.sin_port = htons(port);
	*len = sizeof(v4);
	if (inet_pton(AF_INET, host, &v4.sin_addr) != 1)
		return false;
	memcpy(out, &v4, sizeof(v4));
	return true;
}

bool net_address_is_literal(const char *host)
{
	struct in6_addr any;

	return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}
