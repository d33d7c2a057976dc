/*
 * Actions and instructions, decoded.
 *
 * One const row per action (type, versions, codec, name) lives in action.c and drives decode, encode and text.  `struct action` is a small tagged
 * union; lists own their nested lists.  Decode is pure and gives OFPBAC_xx / OFPBIC_xx errors (OpenFlow 1.3.5 sections 7.2.4 and 7.2.5); consistency with a match
 * (set-field prerequisites, OFPBAC_MATCH_INCONSISTENT) is actions_check()'s.
 */
#ifndef OFPROTO_ACTION_H
#define OFPROTO_ACTION_H 1

#include <stdbool.h>
#include <stdint.h>
#include "lib/buf.h"
#include "ofproto/error.h"
#include "ofproto/field.h"
#include "ofproto/match.h"

enum {                          /* Reserved ports, section 7.2.1. */
    OFPP_MAX = 0xffffff00u, OFPP_IN_PORT = 0xfffffff8u, OFPP_TABLE = 0xfffffff9u, OFPP_NORMAL = 0xfffffffau, OFPP_FLOOD = 0xfffffffbu,
    OFPP_ALL = 0xfffffffcu, OFPP_CONTROLLER = 0xfffffffdu, OFPP_LOCAL = 0xfffffffeu, OFPP_ANY = 0xffffffffu,
};
enum { OFPG_MAX = 0xffffff00u, OFPG_ALL = 0xfffffffcu, OFPG_ANY = 0xffffffffu, OFPM_MAX = 0xffff0000u, OFPM_ALL = 0xffffffffu, OFPTT_ALL = 0xff };
#define OFPCML_NO_BUFFER 0xffff
#define OFP_NO_BUFFER 0xffffffffu

enum action_type {
    ACTION_OUTPUT, ACTION_GROUP, ACTION_SET_QUEUE, ACTION_SET_FIELD, ACTION_PUSH_VLAN, ACTION_POP_VLAN, ACTION_PUSH_MPLS, ACTION_POP_MPLS,
    ACTION_PUSH_PBB, ACTION_POP_PBB, ACTION_SET_NW_TTL, ACTION_DEC_NW_TTL, ACTION_SET_MPLS_TTL, ACTION_DEC_MPLS_TTL, ACTION_COPY_TTL_OUT, ACTION_COPY_TTL_IN,
    /* Nicira extensions, as Open vSwitch publishes them. */
    ACTION_RESUBMIT,            /* resubmit(in_port,table) */
    ACTION_MOVE, ACTION_LOAD,   /* NXAST_REG_MOVE, NXAST_REG_LOAD; OUTPUT_REG is output to a register's value. */
    ACTION_OUTPUT_REG, ACTION_CONTROLLER, ACTION_CLONE, ACTION_NOTE,
    ACTION_POP_QUEUE,           /* Back to the queue that frames without a set_queue have. */
    ACTION_CONJUNCTION,         /* conjunction(id,k/n): the entry is the k-th of n dimensions; its packets have conj_id=id when all n match. */
    /* Polder's own. */
    ACTION_DROP,
    N_ACTION_TYPES
};

struct subfield { const struct field *field; uint16_t ofs, n_bits; };

struct actions { struct action *list; unsigned n, room /* that list has */; };

struct action {
    enum action_type type;
    union {
        struct { uint32_t port; uint16_t max_len; } output;
        uint32_t group;
        uint32_t queue;
        struct {
            const struct field *field; union field_value value, mask;
            bool masked;        /* NXAST_REG_LOAD2 on the wire in 1.3. */
            bool of10;          /* From OpenFlow 1.0: without prerequisites, a VLAN tag is added where there is none, TCP_SRC and _DST are any transport's. */
        } set_field;
        uint16_t ethertype;     /* Push and pop. */
        uint8_t ttl;
        struct { uint32_t in_port; uint8_t table; } resubmit;   /* in_port OFPP_IN_PORT: keep; table 255: the current one. */
        struct { struct subfield src, dst; } move;
        struct { struct subfield dst; uint64_t value; } load;
        struct { struct subfield src; uint16_t max_len; } output_reg;
        struct {
            uint16_t max_len, controller_id; uint8_t reason; uint32_t meter;
            uint8_t *userdata; uint16_t userdata_size;
        } controller;
        struct { uint32_t id; uint8_t clause, n_clauses; } conjunction;         /* clause from 0; 2 ≤ n_clauses ≤ 64. */
        struct actions nested;  /* CLONE. */
        struct { uint8_t *data; unsigned size; } note;
        uint16_t drop_reason;
    };
};

struct instructions {
    bool has_apply, has_write, clear, has_goto, has_metadata, has_meter;
    uint8_t goto_table;
    uint64_t metadata, metadata_mask;
    uint32_t meter;
    struct actions apply, write;
};

void actions_init(struct actions *);
void actions_fini(struct actions *);                            /* Frees nested lists too. */
struct action *actions_add(struct actions *, enum action_type); /* Zeroed; pointer valid until the next add. */
void actions_copy(struct actions *dst, const struct actions *src);       /* dst is uninitialised before. */
bool actions_equal(const struct actions *, const struct actions *);

/* Builders (the compiler's words). */
void actions_output(struct actions *, uint32_t port);
/* Nicira's: to the controller, whole, of reason OFPR_ACTION, as often as the meter lets it. */
void actions_controller(struct actions *, uint32_t meter);
/* set_queue, output, pop_queue: what 1.0's enqueue says. */
void actions_enqueue(struct actions *, uint32_t port, uint32_t queue);
void actions_group(struct actions *, uint32_t group);
void actions_set_u64(struct actions *, enum field_id, uint64_t value);
void actions_set_mac(struct actions *, enum field_id, struct mac);
void actions_set_ip(struct actions *, enum field_id, const struct ip *);
void actions_load(struct actions *, enum field_id, unsigned ofs, unsigned n_bits, uint64_t value);
void actions_move(struct actions *, enum field_id src, unsigned src_ofs, enum field_id dst, unsigned dst_ofs, unsigned n_bits);
void actions_resubmit(struct actions *, uint8_t table);
void actions_drop(struct actions *, uint16_t reason);
struct actions *actions_clone(struct actions *);                /* The nested list to fill; pointer valid until the next add. */

struct of_error actions_decode(struct cursor, struct actions *);         /* The whole cursor; out is initialised, and empty on error. */
void actions_encode(const struct actions *, struct buf *);
/* Valid for packets of `match`: prerequisites of set-field/move/load against the match and the tags pushed so far, ports in range, tables, tag types. `table` is the flow's.
 * match NULL (group buckets, packet-outs): prerequisites are not checked, the packet decides.  table OFPTT_ALL: a packet-out, where OFPP_TABLE may stand. */
struct of_error actions_check(const struct actions *, const struct match *, uint8_t table, bool action_set);

void instructions_init(struct instructions *);
void instructions_fini(struct instructions *);
void instructions_copy(struct instructions *dst, const struct instructions *src);
/* Equal in effect: an empty apply or write list is the same as none. */
bool instructions_equal(const struct instructions *, const struct instructions *);
struct of_error instructions_decode(struct cursor, struct instructions *);
void instructions_encode(const struct instructions *, struct buf *);
/* actions_check() of both lists, and goto only to a higher table that exists (OFPBIC_BAD_TABLE_ID). */
struct of_error instructions_check(const struct instructions *, const struct match *, uint8_t table);

/* ovs-ofctl text: "set_field:10.0.0.1->ip_src,resubmit(,5),output:2", "goto_table:3", "drop(anti-spoof)". */
void actions_format(const struct actions *, struct buf *);
bool actions_parse(const char *text, struct actions *, struct err *);
void instructions_format(const struct instructions *, struct buf *);
bool instructions_parse(const char *text, struct instructions *, struct err *);

#endif
