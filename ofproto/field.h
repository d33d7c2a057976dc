/*
 * One row per field: the single source for decode, encode, text, masks, prerequisites and documentation.
 *
 * Identity on the wire is a 32-bit OXM/NXM header without length bits (class << 16 | field << 9), plus a 32-bit experimenter id for class 0xffff.
 * A field may have an NXM alias and an OXM one; both decode, encode prefers OXM (the NXM where OpenFlow 1.3 has none).
 */
#ifndef OFPROTO_FIELD_H
#define OFPROTO_FIELD_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/err.h"
#include "ofproto/flow.h"

enum field_id {                 /* In OXM order first (ascending encode order is what the public suites expect). */
    FIELD_IN_PORT, FIELD_IN_PHY_PORT, FIELD_METADATA, FIELD_ETH_DST, FIELD_ETH_SRC, FIELD_ETH_TYPE, FIELD_VLAN_VID, FIELD_VLAN_PCP,
    FIELD_IP_DSCP, FIELD_IP_ECN, FIELD_IP_PROTO, FIELD_IPV4_SRC, FIELD_IPV4_DST, FIELD_TCP_SRC, FIELD_TCP_DST, FIELD_UDP_SRC,
    FIELD_UDP_DST, FIELD_SCTP_SRC, FIELD_SCTP_DST, FIELD_ICMPV4_TYPE, FIELD_ICMPV4_CODE, FIELD_ARP_OP, FIELD_ARP_SPA, FIELD_ARP_TPA,
    FIELD_ARP_SHA, FIELD_ARP_THA, FIELD_IPV6_SRC, FIELD_IPV6_DST, FIELD_IPV6_FLABEL, FIELD_ICMPV6_TYPE, FIELD_ICMPV6_CODE,
    FIELD_IPV6_ND_TARGET, FIELD_IPV6_ND_SLL, FIELD_IPV6_ND_TLL, FIELD_MPLS_LABEL, FIELD_MPLS_TC, FIELD_MPLS_BOS, FIELD_PBB_ISID,
    FIELD_TUNNEL_ID, FIELD_IPV6_EXTHDR, FIELD_PBB_UCA, FIELD_TCP_FLAGS, FIELD_ACTSET_OUTPUT,
    /* Extensions that Open vSwitch publishes. */
    FIELD_REG0, FIELD_REG15 = FIELD_REG0 + 15, FIELD_XREG0, FIELD_XREG7 = FIELD_XREG0 + 7, FIELD_XXREG0, FIELD_XXREG3 = FIELD_XXREG0 + 3,
    FIELD_PKT_MARK, FIELD_CONJ_ID, FIELD_NW_TTL, FIELD_IP_FRAG, FIELD_MPLS_TTL, FIELD_ND_RESERVED, FIELD_ND_OPTIONS_TYPE,
    N_FIELDS
};

/* What must hold for a field to exist (OpenFlow 1.3.5 table 12). A row has a set of alternatives. */
enum field_prereq {
    PREREQ_NONE, PREREQ_VLAN, PREREQ_IP /* 4 or 6 */, PREREQ_IPV4, PREREQ_IPV6, PREREQ_ARP, PREREQ_TCP, PREREQ_UDP, PREREQ_SCTP,
    PREREQ_ICMPV4, PREREQ_ICMPV6, PREREQ_ND /* NS or NA */, PREREQ_ND_NS, PREREQ_ND_NA, PREREQ_MPLS, PREREQ_PBB,
    PREREQ_IN_PORT,             /* IN_PHY_PORT wants IN_PORT in the match; every packet has one. */
};

enum field_format { FORMAT_DECIMAL, FORMAT_HEX, FORMAT_MAC, FORMAT_IPV4, FORMAT_IPV6, FORMAT_PORT, FORMAT_VLAN, FORMAT_TCP_FLAGS, FORMAT_FRAG };

struct field {
    const char *name;           /* ovs-ofctl's spelling ("nw_src" forms are accepted as `alias`). */
    const char *alias;          /* May be NULL. */
    uint32_t oxm;               /* class << 16 | field << 9, or 0. */
    uint32_t nxm;               /* Likewise, or 0. */
    uint32_t experimenter;      /* For class 0xffff, else 0. */
    uint16_t offset;            /* In struct flow. */
    uint8_t size;               /* Bytes in struct flow. */
    uint8_t wire_size;          /* Bytes in an OXM TLV (3 for PBB_ISID, otherwise `size`). */
    uint64_t words;             /* Bit i: it lies in word i of struct flow (union flow_words); for field_next(). */
    uint16_t bits;              /* Significant bits: 13 for VLAN_VID, 6 for IP_DSCP … */
    bool maskable;              /* Section 7.2.3.7 table 12, plus what Open vSwitch allows for its own fields. */
    bool settable;              /* By set-field, load, move. */
    enum field_prereq prereq;
    enum field_format format;
    const char *oxm_name;       /* "OXM_OF_ETH_DST"; NULL when `oxm` is 0.  Both names are taken in loads and moves. */
    const char *nxm_name;       /* "NXM_OF_ETH_DST"; NULL when `nxm` is 0. */
    bool nxm_maskable;          /* Not maskable by table 12, but by Open vSwitch, whose clients send masks under either header; ours go under the NXM one if there is one. */
};

extern const struct field fields[N_FIELDS];
static inline const struct field *field_row(enum field_id id) { return &fields[id]; }

/* The first field from `id` on that lies in one of the words, N_FIELDS when there is none: what loops over the few fields of a match goes by. */
static inline enum field_id field_next(uint64_t words, enum field_id id)
{
    while (id < N_FIELDS && !(fields[id].words & words)) {
        id++;
    }
    return id;
}

/* By wire header (length and mask bits ignored) or by name/alias; NULL when unknown. */
const struct field *field_from_header(uint32_t header, uint32_t experimenter);
const struct field *field_from_name(const char *name, size_t len);
static inline enum field_id field_id_of(const struct field *f) { return (enum field_id) (f - fields); }

/* The 32-bit header that names the field in moves and loads: length byte set, never class 0xffff where an NXM exists. */
uint32_t field_header(const struct field *);

/* A value (and mask) of one field, right-aligned big-endian: the last `size` bytes of b. */
union field_value { uint8_t b[16]; uint64_t w[2]; };

void field_get(const struct field *, const struct flow *, union field_value *);
void field_set(const struct field *, struct flow *, const union field_value *);
/* Copies bits [src_ofs, src_ofs+n) to [dst_ofs, dst_ofs+n), bit 0 the least significant; n ≤ 128. */
void field_copy_bits(const union field_value *src, unsigned src_ofs, union field_value *dst, unsigned dst_ofs, unsigned n);
uint64_t field_value_u64(const union field_value *);            /* Low 64 bits. */
union field_value field_value_from_u64(uint64_t);
union field_value field_mask_all(const struct field *);         /* Ones in the significant bits. */
bool field_value_valid(const struct field *, const union field_value *);   /* No bit beyond `bits`; VID rules are the match's. */

/* Whether a packet with this key has the field (the prerequisite holds on the packet's own values). */
bool field_present(enum field_prereq, const struct flow *);
/* Text of value[/mask] as ovs-ofctl writes it; mask NULL means exact.  `out` ≥ 100 bytes. Parse takes the same. */
void field_format_value(const struct field *, const union field_value *, const union field_value *mask, char *out, size_t size);
bool field_parse_value(const struct field *, const char *text, union field_value *, union field_value *mask, struct err *);

#endif
