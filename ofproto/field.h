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

/* A value (and mask) of one field, right-aligned big-endian: the last `size` bytes of b. */
union field_value { uint8_t b[16]; uint64_t w[2]; };

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
    union field_value all;      /* Ones in the significant bits. */
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

/* Bit i: the field with id i. */
typedef unsigned __int128 field_bits;
_Static_assert(N_FIELDS <= 128, "a bit each");

/* The fields that lie in each word of struct flow; of registers reg0 to reg15 only, of which the wider ones consist. */
extern const field_bits fields_of_word[FLOW_N_WORDS];

/* The fields that lie in any of these words (bit i: word i): what a loop over the few fields of a match goes by, in ascending order. */
static inline field_bits fields_of_words(uint64_t words)
{
    field_bits set = 0;
    for (; words; words &= words - 1) {
        set |= fields_of_word[__builtin_ctzll(words)];
    }
    return set;
}

/* Takes the first one out; the set is not empty. */
static inline enum field_id field_bits_pop(field_bits *set)
{
    uint64_t low = (uint64_t) *set;
    enum field_id id = (enum field_id) (low ? __builtin_ctzll(low) : 64 + __builtin_ctzll((uint64_t) (*set >> 64)));
    *set &= *set - 1;
    return id;
}

/* By wire header (length and mask bits ignored) or by name/alias; NULL when unknown. */
const struct field *field_from_header(uint32_t header, uint32_t experimenter);
const struct field *field_from_name(const char *name, size_t len);
static inline enum field_id field_id_of(const struct field *f) { return (enum field_id) (f - fields); }

/* The 32-bit header that names the field in moves and loads: length byte set, never class 0xffff where an NXM exists. */
uint32_t field_header(const struct field *);

/* Reads and writes the `size` bytes of a value; 1, 2, 3, 4, 6, 8 or 16, as fields and TLVs have them. In registers: what is stored in one width and loaded in another
 * right behind makes the CPU wait. */
static inline void field_value_load(union field_value *v, const uint8_t *from, unsigned size)
{
    uint16_t x16;
    uint32_t x32;
    v->w[0] = 0;
    switch (size) {
    case 1: v->w[1] = (uint64_t) from[0] << 56; break;
    case 2: memcpy(&x16, from, 2); v->w[1] = (uint64_t) x16 << 48; break;
    case 3: memcpy(&x16, from, 2); v->w[1] = (uint64_t) x16 << 40 | (uint64_t) from[2] << 56; break;
    case 4: memcpy(&x32, from, 4); v->w[1] = (uint64_t) x32 << 32; break;
    case 6: memcpy(&x16, from, 2); memcpy(&x32, from + 2, 4); v->w[1] = (uint64_t) x16 << 16 | (uint64_t) x32 << 32; break;
    case 8: memcpy(&v->w[1], from, 8); break;
    default: memcpy(v->w, from, 16); break;
    }
}

static inline void field_value_store(const union field_value *v, uint8_t *to, unsigned size)
{
    const uint16_t x16 = (uint16_t) (v->w[1] >> (size == 3 ? 40 : size == 2 ? 48 : 16));
    const uint32_t x32 = (uint32_t) (v->w[1] >> 32);
    switch (size) {
    case 1: to[0] = v->b[15]; break;
    case 2: memcpy(to, &x16, 2); break;
    case 3: memcpy(to, &x16, 2); to[2] = v->b[15]; break;
    case 4: memcpy(to, &x32, 4); break;
    case 6: memcpy(to, &x16, 2); memcpy(to + 2, &x32, 4); break;
    case 8: memcpy(to, &v->w[1], 8); break;
    default: memcpy(to, v->w, 16); break;
    }
}

static inline void field_get(const struct field *f, const struct flow *flow, union field_value *v) { field_value_load(v, (const uint8_t *) flow + f->offset, f->size); }
static inline void field_set(const struct field *f, struct flow *flow, const union field_value *v) { field_value_store(v, (uint8_t *) flow + f->offset, f->size); }
static inline bool field_value_is_zero(const union field_value *v) { return !(v->w[0] | v->w[1]); }
/* Copies bits [src_ofs, src_ofs+n) to [dst_ofs, dst_ofs+n), bit 0 the least significant; n ≤ 128. */
void field_copy_bits(const union field_value *src, unsigned src_ofs, union field_value *dst, unsigned dst_ofs, unsigned n);
uint64_t field_value_u64(const union field_value *);            /* Low 64 bits. */
union field_value field_value_from_u64(uint64_t);
static inline union field_value field_mask_all(const struct field *f) { return f->all; }
/* No bit beyond `bits`; VID rules are the match's. */
static inline bool field_value_valid(const struct field *f, const union field_value *v) { return !((v->w[0] & ~f->all.w[0]) | (v->w[1] & ~f->all.w[1])); }

/* Whether a packet with this key has the field (the prerequisite holds on the packet's own values). */
bool field_present(enum field_prereq, const struct flow *);
/* Text of value[/mask] as ovs-ofctl writes it; mask NULL means exact.  `out` ≥ 100 bytes. Parse takes the same. */
void field_format_value(const struct field *, const union field_value *, const union field_value *mask, char *out, size_t size);
bool field_parse_value(const struct field *, const char *text, union field_value *, union field_value *mask, struct err *);

#endif
