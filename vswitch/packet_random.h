/* Random keys and frames for tests, and a naive check of every checksum in a frame. */
#ifndef VSWITCH_PACKET_RANDOM_H
#define VSWITCH_PACKET_RANDOM_H 1

#include "lib/util.h"
#include "vswitch/packet.h"

/* A key that packet_compose() can express exactly. Pipeline fields stay zero. */
void random_key(struct rng *, struct flow *);
/* A frame for the key in memory of its own with room around; free() the result. */
struct packet *random_frame(struct rng *, const struct flow *, unsigned payload_size);
struct packet *packet_from_bytes(const void *, uint32_t len, uint32_t headroom, uint32_t tailroom);
/* Up to four labels of few values in front of what is at `ofs`, over its Ethernet type (two bytes before).  The last one is the bottom of the stack; rarely another is. */
void random_labels(struct rng *, struct buf *frame, uint32_t ofs);
/* Recomputes the IPv4 header's and the layer-4 checksum of an unfragmented packet and compares. True when there is none. */
bool checksums_right(const struct packet *, const struct flow *);
/* A random value of the field's own bits. */
union field_value random_value(struct rng *, const struct field *);

#endif
