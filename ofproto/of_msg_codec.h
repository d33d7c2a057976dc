/*
 * What the files of the message codec share: one row per message type, and the pieces that several messages contain.
 *
 * A decoder reads behind the 8-byte header from a cursor that ends with the message, and keeps `msg` such that of_msg_fini() is right at every return; of_decode()
 * finis on error.  An encoder appends the body; of_encode() writes the header.  Included by ofproto/of_msg*.c and of_multipart*.c only.
 */
#ifndef OFPROTO_OF_MSG_CODEC_H
#define OFPROTO_OF_MSG_CODEC_H 1

#include "ofproto/of_msg.h"

#define OF_BAD_LEN OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_LEN)

/*
 * A stored entry must fit one multipart item later (16 bytes of message header and 48 of ofp_flow_stats around it), so larger instruction or bucket lists are refused
 * when they arrive.  The slack covers encodings that are longer than what was received.
 */
#define OF_MAX_ACTION_BYTES 60000u

/* Bodies in more than one message. */
void of_port_get(struct cursor *, struct of_port *);
void of_port_put(struct buf *, const struct of_port *);
struct of_error of_buckets_get(struct cursor *, struct of_bucket **, unsigned *n);      /* All of the cursor. */
void of_buckets_put(struct buf *, const struct of_bucket *, unsigned n);
struct of_error of_bands_get(struct cursor *, struct of_meter_band **, unsigned *n);    /* All of the cursor. */
void of_bands_put(struct buf *, const struct of_meter_band *, unsigned n);
/* The rest of the cursor, malloc'd; NULL when empty. */
uint8_t *of_rest_get(struct cursor *, unsigned *size);

typedef struct of_error of_msg_decode_fn(struct cursor *, struct of_msg *);
typedef void of_msg_encode_fn(const struct of_msg *, struct buf *);

of_msg_decode_fn of_flow_mod_decode, of_flow_removed_decode, of_packet_in_decode, of_packet_out_decode;
of_msg_encode_fn of_flow_mod_encode, of_flow_removed_encode, of_packet_in_encode, of_packet_out_encode;
of_msg_decode_fn of_group_mod_decode, of_meter_mod_decode, of_port_status_decode, of_port_mod_decode;
of_msg_encode_fn of_group_mod_encode, of_meter_mod_encode, of_port_status_encode, of_port_mod_encode;

of_msg_decode_fn of_multipart_request_decode, of_multipart_reply_decode;
of_msg_encode_fn of_multipart_request_encode;
/* Writes whole messages, header included: a reply may take several. */
void of_multipart_reply_encode(const struct of_msg *, struct buf *);
void of_multipart_fini(struct of_msg *);
/* NULL for numbers without a name. */
const char *of_multipart_name(uint16_t type);

/* Header of a message at the end of the buffer; the length is patched by of_header_close(). Returns the start. */
size_t of_header_open(struct buf *, uint8_t version, enum of_type, uint32_t xid);
void of_header_close(struct buf *, size_t start);

#endif
