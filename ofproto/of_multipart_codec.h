/* What of_multipart.c (requests) and of_multipart_reply.c share. */
#ifndef OFPROTO_OF_MULTIPART_CODEC_H
#define OFPROTO_OF_MULTIPART_CODEC_H 1

#include "ofproto/of_msg_codec.h"

#define MULTIPART_HEADER_SIZE 16u
#define OF10 (1u << OF10_VERSION)
#define OF13 (1u << OF13_VERSION)
#define OF14 (1u << OF14_VERSION)

/*
 * The multipart header behind the message's: type and flags, and what leads to extensions.  1.0 has no padding there;
 * Nicira's statistics of 1.0 add their vendor and subtype, the ONF's flow monitor of 1.3 its experimenter header.
 */
struct of_error of_multipart_header_get(struct cursor *, struct of_msg *);
void of_multipart_header_put(const struct of_msg *, struct buf *);
/* Whether the message is one of those extensions. */
bool of_multipart_is_extension(const struct of_msg *);

struct of_request {
    const char *name;
    uint16_t type, size;        /* size: of the body, the least when `open`. */
    bool open, raw;
    struct of_error (*get)(struct cursor *, struct of_msg *);
    void (*put)(const struct of_msg *, struct buf *);
    uint32_t versions;
};
struct of_reply {
    uint16_t type;
    uint32_t versions;
    bool nicira;                /* of10_stats.c: the NXM form. */
    size_t item_size;           /* Of an element in memory; 0: not an array. */
    uint16_t wire_size;         /* Of an element, or of the structure; 0: elements carry their length at `length_offset`. */
    uint16_t length_offset;
    struct of_error (*get)(struct cursor *, void *item, uint8_t version);
    void (*put)(const void *item, struct buf *, uint8_t version);
    void (*fini)(void *item);
    void (*get_one)(struct cursor *, struct of_multipart_msg *);
    void (*put_one)(const struct of_multipart_msg *, struct buf *);
};
/* of10_stats.c, of_monitor.c: rows beside those of 1.3 and 1.4; NULL: none. */
const struct of_request *of10_request(uint16_t type, bool nicira);
const struct of_reply *of10_reply(uint16_t type, bool nicira);
struct of_error of_monitor_request_get(struct cursor *, struct of_msg *);
void of_monitor_request_put(const struct of_msg *, struct buf *);
struct of_error of_monitor_update_get(struct cursor *, void *update, uint8_t version);
void of_monitor_update_put(const void *update, struct buf *, uint8_t version);
void of_monitor_update_fini(void *update);
/* Pieces that the versions share. */
void of_flow_stats_item_fini(void *);
struct of_error of_port_item_get(struct cursor *, void *, uint8_t version);
void of_port_item_put(const void *, struct buf *, uint8_t version);
void of_desc_get(struct cursor *, struct of_multipart_msg *);
void of_desc_put(const struct of_multipart_msg *, struct buf *);
void of_aggregate_get(struct cursor *, struct of_multipart_msg *);
void of_aggregate_put(const struct of_multipart_msg *, struct buf *);
/* The counters of ofp_port_stats, in the order in which 1.0 and 1.3 have them. */
void of_port_counters_get(struct cursor *, struct of_port_stats *);
void of_port_counters_put(const struct of_port_stats *, struct buf *);
/* One element of variable length, whose 16-bit length field is at `offset`. */
struct cursor of_element(struct cursor *, unsigned offset, unsigned min);

/* of_queue.c */
struct of_error of_queue_stats_get(struct cursor *, void *, uint8_t version);
void of_queue_stats_put(const void *, struct buf *, uint8_t version);
struct of_error of_queue_desc_get(struct cursor *, void *, uint8_t version);
void of_queue_desc_put(const void *, struct buf *, uint8_t version);

/* of_multipart_group.c: statistics and descriptions. */
struct of_error of_group_item_get(struct cursor *, void *, uint8_t version);
void of_group_item_put(const void *, struct buf *, uint8_t version);
void of_group_item_fini(void *);
struct of_error of_group_desc_item_get(struct cursor *, void *, uint8_t version);
void of_group_desc_item_put(const void *, struct buf *, uint8_t version);
void of_group_desc_item_fini(void *);
struct of_error of_meter_item_get(struct cursor *, void *, uint8_t version);
void of_meter_item_put(const void *, struct buf *, uint8_t version);
void of_meter_item_fini(void *);
struct of_error of_meter_config_item_get(struct cursor *, void *, uint8_t version);
void of_meter_config_item_put(const void *, struct buf *, uint8_t version);
void of_meter_config_item_fini(void *);

void of_multipart_reply_fini(struct of_msg *);
/* Whether the bytes are whole ofp_table_features, one behind the other (section 7.3.5.5.2). */
bool of_table_features_framed(const uint8_t *, size_t);

#endif
