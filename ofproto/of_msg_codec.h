/*
 * What the files of the message codec share: one row per message type, and the pieces that several messages contain.
 *
 * A decoder reads behind the 8-byte header from a cursor that ends with the message, and keeps `msg` such that
 * of_msg_fini() is right at every return; of_decode() finis on error.  An encoder appends the body; of_encode() writes
 * the header.  Included by ofproto/of_msg*.c and of_multipart*.c only.
 */
#ifndef OFPROTO_OF_MSG_CODEC_H
#define OFPROTO_OF_MSG_CODEC_H 1

#include "ofproto/of_msg.h"

#define OF_BAD_LEN OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_LEN)

/*
 * A stored entry must fit one multipart item later (16 bytes of message header and 48 of ofp_flow_stats around it), so
 * larger instruction or bucket lists are refused when they arrive.  The slack covers encodings that are longer than
 * what was received.
 */
#define OF_MAX_ACTION_BYTES 60000u

/* Bodies in more than one message. */
void of_port_get(struct cursor *, struct of_port *, uint8_t version);
void of_port_put(struct buf *, const struct of_port *, uint8_t version);
/* One ofp_table_desc (1.4), or what a table-mod says behind its header; all of the cursor. */
struct of_error of_table_properties_get(struct cursor *, struct of_table_config *);
void of_table_properties_put(struct buf *, const struct of_table_config *);
struct of_error of_table_desc_get(struct cursor *, struct of_table_config *);
void of_table_desc_put(struct buf *, const struct of_table_config *);   /* Without its length, the first two bytes. */
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

of_msg_decode_fn of14_async_decode, of14_role_status_decode, of14_table_status_decode, of14_requestforward_decode, of14_port_mod_decode, of14_table_mod_decode;
of_msg_encode_fn of14_async_encode, of14_role_status_encode, of14_table_status_encode, of14_requestforward_encode, of14_port_mod_encode, of14_table_mod_encode;
of_msg_decode_fn of_bundle_control_decode, of_bundle_add_decode, of_async_decode, of_experimenter_decode, of_config_decode;
of_msg_encode_fn of_bundle_control_encode, of_bundle_add_encode, of_async_encode, of_experimenter_encode, of_config_encode;
/* of_error_wire.c: type and code as the version numbers them, and the vendor's header where it has no number for the error. */
void of_error_put(struct buf *, uint8_t version, struct of_error);

/* A message of one version: its number there and its codec.  The same struct serves the rows of every version. */
struct of_row {
    const char *name;
    uint16_t size;              /* Of the whole message: the least, or exactly when `fixed`. */
    bool fixed;
    uint32_t versions;          /* Bitmap of wire versions with this layout. */
    of_msg_decode_fn *decode;   /* NULL: no body. */
    of_msg_encode_fn *encode;
    uint8_t wire_type;          /* 1.0 only. */
};
/* 1.0 has 16 bits for a port; its reserved ones are the low halves of those that came later (0xff00 and above). */
static inline uint32_t of10_port_get(uint16_t port) { return port >= 0xff00 ? UINT32_C(0xffff0000) | port : port; }
static inline uint16_t of10_port_put(uint32_t port) { return (uint16_t) port; }

/* of10_msg.c: NULL when 1.0 has no such message (of its own). */
const struct of_row *of10_row(enum of_type);
bool of10_type(uint8_t wire_type, enum of_type *);

/* of_msg_ext.c: turns msg, an experimenter message with the cursor behind its header, into what it carries.  False: nothing that is known; the cursor is as it was. */
bool of_ext_decode(struct cursor *, struct of_msg *, struct of_error *);
/* Whether the message is carried in an experimenter message in its version; writes it whole but for the header. */
bool of_ext_encode(const struct of_msg *, struct buf *);
bool of_ext_has(uint8_t version, enum of_type);

#define NX_VENDOR UINT32_C(0x00002320)
#define ONF_VENDOR UINT32_C(0x4f4e4600)

of_msg_decode_fn of_queue_config_request_decode, of_queue_config_reply_decode;
of_msg_encode_fn of_queue_config_request_encode, of_queue_config_reply_encode;
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
