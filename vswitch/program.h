/*
 * Action programs: what a flow entry or a group bucket does, flattened when it is installed.
 *
 * A program is one immutable allocation: the apply-actions as an array of ops, then the write-actions, then what else the instructions say.  Published with its rule; replaced as a
 * whole.  Set-field, load and reg_load2 become the same ops: OP_WORD for pipeline fields (one masked 64-bit store into the key), OP_FIELD for packet
 * fields.  A clone is an op followed by its body.  A bucket's actions are an action set (section 5.6.1), so they are put into section 5.10's order here, once.
 *
 * Groups and meters are reached through slots (vswitch/dp_private.h, vswitch/meter.h), so that one can be modified without touching the programs that name it.
 * Threads: compile and retire are the control thread's; ops are read by all.
 */
#ifndef VSWITCH_PROGRAM_H
#define VSWITCH_PROGRAM_H 1

#include "ofproto/action.h"
#include "vswitch/dp.h"

struct group_slot;
struct meter_slot;

enum op_code {
    OP_OUTPUT, OP_GROUP, OP_WORD, OP_FIELD, OP_MOVE, OP_PUSH_VLAN, OP_POP_VLAN, OP_PUSH_MPLS, OP_POP_MPLS, OP_PUSH_PBB, OP_POP_PBB,
    OP_SET_NW_TTL, OP_DEC_NW_TTL, OP_SET_MPLS_TTL, OP_DEC_MPLS_TTL, OP_COPY_TTL_OUT, OP_COPY_TTL_IN,
    OP_RESUBMIT, OP_OUTPUT_REG, OP_CONTROLLER, OP_CLONE, OP_DROP,
    OP_TAG,                     /* OpenFlow 1.0's set_vlan_vid and _pcp: an 802.1Q tag where there is none. */
    OP_METER,                   /* The meter instruction: the first op of its program (section 5.9: before the actions). */
    OP_SET_QUEUE,
    OP_CONJUNCTION,             /* Never run: a program has only these, sorted, or none (vswitch/conjunction.h). */
    OP_UNSUPPORTED,             /* Of a packet-out that asks for what this switch does not have; flow-mods are refused instead. */
    N_OP_CODES
};

/* Places in an action set, in the order of section 5.10 ("copy TTL inwards, pop, push-MPLS, push-PBB, push-VLAN, copy TTL outwards, decrement TTL, set, qos, group, output"). */
enum set_slot {
    SLOT_COPY_TTL_IN, SLOT_POP_VLAN, SLOT_POP_PBB, SLOT_POP_MPLS, SLOT_PUSH_MPLS, SLOT_PUSH_PBB, SLOT_PUSH_VLAN, SLOT_COPY_TTL_OUT, SLOT_DEC_MPLS_TTL, SLOT_DEC_NW_TTL,
    SLOT_SET_MPLS_TTL, SLOT_SET_NW_TTL,
    SLOT_SETS,                  /* Any number, in order: set-field, load, move; then extensions that section 5.10 does not know. */
    SLOT_QUEUE,
    SLOT_OTHERS,
    SLOT_GROUP, SLOT_OUTPUT, SLOT_RESUBMIT,     /* The first of these that is there is the one that counts. */
    N_SET_SLOTS
};

/* Of a controller action; immutable, counted by the ops that hold it (control), freed after the grace period. */
struct userdata { unsigned refs; uint16_t size; uint8_t bytes[]; };

struct op {
    uint8_t code, slot;
    uint16_t n_body;            /* CLONE: ops behind this one that belong to it. */
    union {
        struct { uint32_t port; uint16_t max_len; } output;
        struct group_slot *group;
        struct meter_slot *meter;
        struct { uint32_t index; uint64_t value, mask; } word;
        struct { const struct field *field; union field_value value, mask; bool exact, quiet /* 1.0: packets without the field are left alone */; } set;
        struct { struct subfield src, dst; } move;
        uint32_t queue;
        uint16_t ethertype;
        uint8_t ttl;
        struct { uint32_t in_port; uint8_t table; } resubmit;
        struct { struct subfield src; uint16_t max_len; } output_reg;
        struct { uint16_t max_len, id; uint8_t reason; struct meter_slot *meter; struct userdata *userdata; } controller;   /* Both NULL without. */
        uint16_t drop_reason;
        struct { uint32_t id; uint8_t clause, n_clauses; } conjunction;
    };
};

struct program {
    bool clear, has_goto;
    uint8_t goto_table;
    uint64_t metadata, metadata_mask;           /* As in the key: wire order. */
    unsigned n_apply, n_write;
    struct op ops[];
};

/* NULL and the error when the datapath cannot carry this out (an unknown group or meter, a queue). */
struct program *program_compile(struct dp *, const struct instructions *, struct of_error *);
/* A bucket's actions, ordered as a set. */
struct program *program_compile_set(struct dp *, const struct actions *, struct of_error *);
/* A packet-out's list, in order; what cannot be carried out becomes OP_UNSUPPORTED or an op on an empty group slot. */
struct program *program_compile_list(struct dp *, const struct actions *);
/* Lets go of groups and meters at once and of the memory after the grace period. NULL is allowed. */
void program_retire(struct dp *, struct program *);

/* The value of a subfield of the key, right-aligned. */
uint64_t subfield_get(const struct subfield *, const struct flow *);

#endif
