/* certificates.h - a development authority and what it signs, for `mongoward init`.
 *
 * EC P-256, in PEM.  Good for trying and for tests; an operator replaces them.
 */
#ifndef PROXY_CLI_CERTIFICATES_H
#define PROXY_CLI_CERTIFICATES_H

#include "util/buf.h"
#include "util/fault.h"

struct authority;

/* A self-signed authority, valid for ten years.  NULL and a fault when OpenSSL says no. */
struct authority *authority_new(const char *common_name, struct fault *why);
void authority_free(struct authority *a);
/* Its certificate, and its private key (wipe with buf_wipe), appended. */
bool authority_write(const struct authority *a, struct buf *certificate, struct buf *key,
	struct fault *why) MUST_CHECK;
/* A server's certificate for localhost, 127.0.0.1, ::1 and `hostname`, valid for 825 days. */
bool authority_sign_server(const struct authority *a, const char *hostname, struct buf *certificate,
	struct buf *key, struct fault *why) MUST_CHECK;

#endif
