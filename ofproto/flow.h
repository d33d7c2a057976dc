/*
 * The flow key: what a pipeline knows of one packet.
 *
 * Every member holds its field exactly as the OXM payload of OpenFlow 1.3.5 section 7.2.3 would: network byte order,
 * right-aligned in whole bytes (ip_dscp is a byte of value 0..63).  So a field is a byte range (offset, size) of this
 * struct; matching, masking, hashing, OXM decoding and move/load work on byte ranges and 64-bit words alone, with one
 * table of rows (ofproto/field.h) and no per-field code. A field that the packet lacks is all zeros.  Members that OXM
 * tells apart by prerequisite only (tcp_src, udp_src, sctp_src) share storage. Registers follow Open vSwitch's
 * published layout: xregN is reg2N ‖ reg2N+1, most significant first, hence the same bytes.
 *
 * Plain data: no ownership, any thread.  Unused bytes must be zero (flow_init), since whole words are hashed.
 */
#ifndef OFPROTO_FLOW_H
#define OFPROTO_FLOW_H 1

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "lib/addr.h"
#include "lib/wire.h"

#define FLOW_N_REGS 16

struct flow {
    /* Pipeline fields. */
    be32 regs[FLOW_N_REGS];     /* NXM_NX_REG0..15, xreg, xxreg. */
    be64 metadata;
    be64 tunnel_id;
    be32 in_port;
    be32 in_phy_port;
    be32 pkt_mark;
    be32 conj_id;
    be32 actset_output;
    be32 pbb_isid;              /* 24 bits, right-aligned in four bytes; OXM carries three. */
    /* Link layer. */
    struct mac eth_dst;
    struct mac eth_src;
    be16 eth_type;              /* Of the payload behind all VLAN tags (section 7.2.3.8); < 0x600 frames: 0x05ff as in OVS. */
    be16 vlan_vid;              /* 0 without a tag, else 0x1000 | VID of the outermost tag. */
    uint8_t vlan_pcp;
    uint8_t mpls_tc;
    uint8_t mpls_bos;
    uint8_t mpls_ttl;
    be32 mpls_label;
    be16 vlan_tpid;             /* 0x8100 or 0x88a8 of the outermost tag; not matched, kept for push and pop. */
    uint8_t pbb_uca;
    /* Network layer. */
    uint8_t ip_proto;
    uint8_t ip_dscp;
    uint8_t ip_ecn;
    uint8_t nw_ttl;             /* NXM_NX_IP_TTL. */
    uint8_t ip_frag;            /* NXM_NX_IP_FRAG: bit 0 fragment, bit 1 not the first. */
    be32 ipv4_src;
    be32 ipv4_dst;
    struct ip ipv6_src;
    struct ip ipv6_dst;
    be32 ipv6_flabel;
    be16 ipv6_exthdr;
    /* ARP (op in arp_op). */
    be16 arp_op;
    be32 arp_spa;
    be32 arp_tpa;
    struct mac arp_sha;
    struct mac arp_tha;
    /* Transport and ICMP; zero for later fragments. */
    be16 tp_src;                /* TCP, UDP, SCTP. */
    be16 tp_dst;
    be16 tcp_flags;
    uint8_t icmp_type;          /* ICMPv4 and ICMPv6. */
    uint8_t icmp_code;
    struct ip nd_target;
    struct mac nd_sll;
    struct mac nd_tll;
    be32 nd_reserved;           /* ERICOXM_OF_ICMPV6_ND_RESERVED, as Open vSwitch publishes it: the 32 flag bits of NA and NS. */
    uint8_t nd_options_type;    /* ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE: 1 (SLL) or 2 (TLL) of the first such option. */
    uint8_t zero[3];
} __attribute__((aligned(8)));

_Static_assert(sizeof(struct flow) % 8 == 0, "hashed by words");

union flow_words { struct flow flow; uint64_t w[sizeof(struct flow) / 8]; };
#define FLOW_N_WORDS (sizeof(struct flow) / 8)
_Static_assert(FLOW_N_WORDS <= 64, "a word map fits in 64 bits");

static inline void flow_init(struct flow *f) { memset(f, 0, sizeof *f); }

/* Fragment bits of ip_frag. */
#define FLOW_FRAG_ANY 1
#define FLOW_FRAG_LATER 2

#define FLOW_VLAN_PRESENT 0x1000

#endif
