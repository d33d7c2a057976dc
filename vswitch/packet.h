/*
 * Reading and editing one frame.
 *
 * Invariant of the whole datapath: the packet-derived half of `struct flow` is exactly what packet_extract() would find
 * in the frame now.  Every edit writes the frame and the key together, at once; what changes the layout (tags, protocol
 * numbers, ICMP types) parses again.  So nothing has to be committed before an output, and a copy of the frame is a
 * copy of the truth.
 *
 * An edit of a header that the frame does not have (absent, cut off, malformed) changes nothing and returns false.
 * Checksums: see vswitch/checksum.h.  First fragments have their layer-4 checksum updated, later ones have none; an
 * SCTP fragment's CRC covers bytes that are not here and stays.
 *
 * Specification: OpenFlow 1.3.5 sections 5.12 (order of tags), 5.13 (defaults of pushed headers), 7.2.3.8 (fields).
 * Threads: a packet belongs to one thread.  No allocation, no logging: this is the poll path.
 */
#ifndef VSWITCH_PACKET_H
#define VSWITCH_PACKET_H 1

#include <stdbool.h>
#include <stdint.h>
#include "ofproto/field.h"
#include "vswitch/dp.h"

#define ETH_HEADER_SIZE 14
#define ETH_FRAME_MIN 60        /* Without the FCS. */
#define ETH_TYPE_MIN 0x600
#define ETH_TYPE_NONE 0x05ff    /* Key value of frames without an Ethernet type. */
enum { ETH_TYPE_IPV4 = 0x0800, ETH_TYPE_ARP = 0x0806, ETH_TYPE_VLAN = 0x8100, ETH_TYPE_IPV6 = 0x86dd, ETH_TYPE_MPLS = 0x8847, ETH_TYPE_MPLS_MCAST = 0x8848,
       ETH_TYPE_QINQ = 0x88a8, ETH_TYPE_PBB = 0x88e7 };
enum { IPPROTO_HOPOPTS_ = 0, IPPROTO_ICMPV4_ = 1, IPPROTO_TCP_ = 6, IPPROTO_UDP_ = 17, IPPROTO_ROUTING_ = 43, IPPROTO_FRAGMENT_ = 44, IPPROTO_ESP_ = 50,
       IPPROTO_AH_ = 51, IPPROTO_ICMPV6_ = 58, IPPROTO_NONE_ = 59, IPPROTO_DSTOPTS_ = 60, IPPROTO_SCTP_ = 132 };
enum { ND_NEIGHBOR_SOLICIT = 135, ND_NEIGHBOR_ADVERT = 136, ND_OPTION_SLL = 1, ND_OPTION_TLL = 2 };

/* Bits of OXM_OF_IPV6_EXTHDR, section 7.2.3.8. */
enum { OFPIEH_NONEXT = 1, OFPIEH_ESP = 2, OFPIEH_AUTH = 4, OFPIEH_DEST = 8, OFPIEH_FRAG = 16, OFPIEH_ROUTER = 32, OFPIEH_HOP = 64, OFPIEH_UNREP = 128, OFPIEH_UNSEQ = 256 };

static inline bool eth_type_is_vlan(uint16_t t) { return t == ETH_TYPE_VLAN || t == ETH_TYPE_QINQ; }
static inline bool eth_type_is_mpls(uint16_t t) { return t == ETH_TYPE_MPLS || t == ETH_TYPE_MPLS_MCAST; }

/* The header of f->eth_type (IPv4, IPv6, ARP) at `ofs`, as part of packet_extract(): writes the packet's l3_ofs and l4_ofs and the key's fields of it if it is whole. */
void packet_extract_l3(struct packet *, struct flow *, uint32_t ofs);
/* Where the walk through an IPv6 header chain ended. All offsets are from the IPv6 header's first byte. */
struct ipv6_chain {
    uint16_t exthdr;            /* OFPIEH_* bits. */
    uint8_t proto;              /* The last next-header value read. */
    uint8_t frag;               /* FLOW_FRAG_* bits. */
    uint32_t proto_ofs;         /* Of the byte that holds `proto`. */
    uint32_t l4_ofs;            /* Of the upper-layer header; 0: not reached. */
    bool rerouted;              /* A routing header with segments left: the final destination is not in the IPv6 header. */
};
/* `size` bytes from the IPv6 header on, all of the packet and none of the padding. */
void packet_walk_ipv6(const uint8_t *ip, uint32_t size, struct ipv6_chain *);
/* The first neighbour-discovery option of that type (0: of either address type); NULL when there is none of full length. */
uint8_t *packet_nd_option(const struct packet *, const struct flow *, uint8_t type);
/* End of the IP packet in the frame (offset from data), at most its length; l3_ofs must be set. */
uint32_t packet_l3_end(const struct packet *, const struct flow *);

/* Sets a packet field's bits under `mask` (right-aligned like `value`) in the frame and the key.  Pipeline fields are not this function's. */
bool packet_set_field(struct packet *, struct flow *, const struct field *, const union field_value *value);
bool packet_set_u8(struct packet *, struct flow *, enum field_id, uint8_t value);

/* The outermost VLAN tag in the frame alone, and the packet's offsets: for whoever keeps no key.  False: no room. */
bool packet_insert_vlan(struct packet *, uint16_t tpid, uint16_t tci);
void packet_remove_vlan(struct packet *);
/* As well for a label: in front of all tags, so that no other header is known any more (false: no room); or the outermost one, l3_ofs and l4_ofs left as they are. */
bool packet_insert_label(struct packet *, uint16_t ethertype, uint32_t lse);
void packet_remove_label(struct packet *, uint16_t ethertype);
/* Whether behind the Ethernet header there is an 802.2 one: then there is a length that a label would falsify. */
bool packet_has_llc(const struct packet *, const struct flow *);
/* Tags. False: the frame has no such header, or no room for it.  Popping leaves a frame of ETH_FRAME_MIN bytes or more no shorter than that. */
bool packet_push_vlan(struct packet *, struct flow *, uint16_t tpid);
bool packet_pop_vlan(struct packet *, struct flow *);
bool packet_push_mpls(struct packet *, struct flow *, uint16_t ethertype);
bool packet_pop_mpls(struct packet *, struct flow *, uint16_t ethertype);
bool packet_push_pbb(struct packet *, struct flow *, uint16_t ethertype);
bool packet_pop_pbb(struct packet *, struct flow *);
bool packet_copy_ttl_out(struct packet *, struct flow *);
bool packet_copy_ttl_in(struct packet *, struct flow *);

#endif
