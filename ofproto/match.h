/*
 * Matches: a flow key and its mask, invariant (value & ~mask) == 0.
 *
 * `struct match` is the working form.  `struct minimatch` is what tables store: only the 64-bit words whose mask is not zero, with a bitmap of
 * which they are, one allocation, immutable.  Decode follows OpenFlow 1.3.5 section 7.2.3 (prerequisites, duplicates, masks, padding).
 */
#ifndef OFPROTO_MATCH_H
#define OFPROTO_MATCH_H 1

#include <stdbool.h>
#include <stdint.h>
#include "lib/buf.h"
#include "ofproto/error.h"
#include "ofproto/field.h"
#include "ofproto/flow.h"

struct match { union flow_words value, mask; };

struct minimatch {
    uint64_t map;               /* Bit i: word i of struct flow is in the mask. */
    unsigned n;                 /* popcount(map). */
    uint32_t hash;              /* Of map, masks and values. */
    uint64_t words[];           /* n mask words, then n value words. */
};

void match_init(struct match *);                                /* Matches everything. */
void match_set(struct match *, enum field_id, const union field_value *, const union field_value *mask /* NULL: exact */);
void match_set_u64(struct match *, enum field_id, uint64_t value);
void match_set_u64_masked(struct match *, enum field_id, uint64_t value, uint64_t mask);
void match_set_mac(struct match *, enum field_id, struct mac);
void match_set_mac_masked(struct match *, enum field_id, struct mac, struct mac mask);
void match_set_ip(struct match *, enum field_id, const struct ip *);       /* Takes IPV4_* and ARP_*PA (last four bytes) and IPV6_*, ND_TARGET. */
void match_set_prefix(struct match *, enum field_id, const struct prefix *);
bool match_equal(const struct match *, const struct match *);
bool match_covers_flow(const struct match *, const struct flow *);
/* Every packet that `b` matches, `a` matches too (non-strict modify/delete filter, section 6.4). */
bool match_subsumes(const struct match *a, const struct match *b);
bool match_overlaps(const struct match *, const struct match *);  /* Some packet may match both. */
/* Whether each field of the match has its prerequisite in it: OFPBMC_BAD_PREREQ otherwise. */
struct of_error match_check_prereqs(const struct match *);
/* Whether the match guarantees the prerequisite. */
bool match_has_prereq(const struct match *, enum field_prereq);
/* The field's part of the match; false when the match leaves it open, or when its bytes are there under another field's name: of the fields that share storage only
 * the one whose prerequisite holds is reported, and of registers only reg0..15.  So a loop over all fields sees each bit once. */
bool match_get(const struct match *, enum field_id, union field_value *, union field_value *mask);
/* Bit i: word i has mask bits.  A loop over the fields of a match needs to look at those in these words only (fields_of_words()). */
uint64_t match_words(const struct match *);

struct minimatch *minimatch_new(const struct match *);           /* free() */
/* The same in a place that the caller has, to look something up by, or to be copied (minimatch_size() bytes). */
union minimatch_room { struct minimatch mini; uint64_t words[3 + 2 * FLOW_N_WORDS]; };
const struct minimatch *minimatch_build(union minimatch_room *, const struct match *);
static inline size_t minimatch_size(const struct minimatch *m) { return sizeof *m + 2 * m->n * sizeof m->words[0]; }
void minimatch_expand(const struct minimatch *, struct match *);
bool minimatch_equal(const struct minimatch *, const struct minimatch *);
static inline const uint64_t *minimatch_masks(const struct minimatch *m) { return m->words; }
static inline const uint64_t *minimatch_values(const struct minimatch *m) { return m->words + m->n; }

/* ofp_match (OXM) at the cursor, including its padding to 8 bytes; on success the cursor stands behind it. */
struct of_error match_decode(struct cursor *, struct match *);
/* The OXM TLVs alone, `size` bytes (packet-in2, NXM). */
struct of_error match_decode_oxm(struct cursor, struct match *);
void match_encode(const struct match *, struct buf *);           /* With header and padding. */
void match_encode_oxm(const struct match *, struct buf *);       /* The TLVs alone. */
/* One OXM TLV of one field; mask NULL when exact. */
void oxm_put(struct buf *, const struct field *, const union field_value *, const union field_value *mask);
struct of_error oxm_get(struct cursor *, const struct field **, union field_value *, union field_value *mask, bool *has_mask);

/* ovs-ofctl text: "ip,nw_dst=10.0.0.0/8,tcp_dst=80". The parser knows the shorthands (ip, ipv6, arp, tcp, tcp6, udp, icmp, icmp6 …). */
void match_format(const struct match *, struct buf *);
bool match_parse(const char *text, struct match *, struct err *);

#endif
