/* What of_multipart.c (requests) and of_multipart_reply.c share. */
#ifndef OFPROTO_OF_MULTIPART_CODEC_H
#define OFPROTO_OF_MULTIPART_CODEC_H 1

#include "ofproto/of_msg_codec.h"

#define MULTIPART_HEADER_SIZE 16u

void of_multipart_reply_fini(struct of_multipart_msg *);
/* Whether the bytes are whole ofp_table_features, one behind the other (section 7.3.5.5.2). */
bool of_table_features_framed(const uint8_t *, size_t);

#endif
