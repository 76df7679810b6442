/* reply_frame.h - is this an answer, and the one that was asked for? */
#ifndef PROXY_UPSTREAM_REPLY_FRAME_H
#define PROXY_UPSTREAM_REPLY_FRAME_H

#include "wire/frame.h"

#define REPLY_FRAME_MAX (FRAME_MESSAGE_MAX + 16u * 1024)

/* From FRAME_HEADER_LEN bytes: the length of the whole answer to request `id`; 0 and a
 * fault when it is none. */
size_t reply_frame_length(const uint8_t *at, int32_t id, struct fault *why);
/* The one body of a whole answer. */
bool reply_frame_body(struct bytes message, struct bytes *body, struct fault *why) MUST_CHECK;

#endif
