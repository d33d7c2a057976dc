/*
 * The rows behind actions: one per action type (name, encoder, where it may stand), and one per wire form (an action
 * may have several, all decode). Private to action*.c and text_action.c.
 */
#ifndef OFPROTO_ACTION_ROW_H
#define OFPROTO_ACTION_ROW_H 1

#include "ofproto/action.h"

#define REASON_ACTION 1         /* OFPR_ACTION: of the controller action, when nothing else is said. */

#define NX_EXPERIMENTER UINT32_C(0x00002320)
#define ACTION_MAX_DEPTH 8      /* clone() in clone(): decode, check, text. */
#define RESUBMIT_CURRENT_TABLE 255

enum {                          /* ofp_action_type, section 7.2.5. */
    OFPAT_OUTPUT = 0, OFPAT_COPY_TTL_OUT = 11, OFPAT_COPY_TTL_IN = 12, OFPAT_SET_MPLS_TTL = 15, OFPAT_DEC_MPLS_TTL = 16, OFPAT_PUSH_VLAN = 17,
    OFPAT_POP_VLAN = 18, OFPAT_PUSH_MPLS = 19, OFPAT_POP_MPLS = 20, OFPAT_SET_QUEUE = 21, OFPAT_GROUP = 22, OFPAT_SET_NW_TTL = 23,
    OFPAT_DEC_NW_TTL = 24, OFPAT_SET_FIELD = 25, OFPAT_PUSH_PBB = 26, OFPAT_POP_PBB = 27, OFPAT_EXPERIMENTER = 0xffff,
};
enum {                          /* Subtypes under NX_EXPERIMENTER. */
    NXAST_RESUBMIT = 1, NXAST_REG_MOVE = 6, NXAST_REG_LOAD = 7, NXAST_NOTE = 8, NXAST_RESUBMIT_TABLE = 14, NXAST_OUTPUT_REG = 15,
    NXAST_POP_QUEUE = 5, NXAST_CONTROLLER = 20, NXAST_OUTPUT_REG2 = 32, NXAST_REG_LOAD2 = 33, NXAST_CONJUNCTION = 34, NXAST_CONTROLLER2 = 37, NXAST_CLONE = 42,
};

/* `body` starts behind type and length, or behind the subtype of an experimenter action; the action is zeroed, with its type set. */
typedef struct of_error action_decode_fn(struct cursor *body, struct action *, unsigned depth);
/* Appends the whole action but for its length and trailing padding, which the caller sees to. */
typedef void action_encode_fn(const struct action *, struct buf *);

struct action_wire {
    uint16_t type;              /* OFPAT_*. */
    uint32_t experimenter;      /* For OFPAT_EXPERIMENTER, with its 16-bit subtype. */
    uint16_t subtype;
    uint16_t size;              /* Of the whole action; 0: at least 16 (8 for standard actions), the decoder looks further. */
    enum action_type action;
    action_decode_fn *decode;
};

struct action_row {
    const char *name;           /* ovs-ofctl's keyword. */
    action_encode_fn *encode;
    bool in_set;                /* May stand in an action set (section 5.10); OFPBAC_BAD_TYPE otherwise. */
};
/* Encoding never takes more bytes than were decoded: where a form has a longer twin, only what says more than the short one is sent in it.  So what came in one message
 * fits in one message again. */
extern const struct action_row action_rows[N_ACTION_TYPES];
extern const struct action_wire action_wires[];
extern const unsigned n_action_wires;

/* The range lies inside the field. */
static inline bool subfield_valid(const struct subfield *s)
{
    return s->field && s->n_bits && s->n_bits <= 128 && s->ofs + s->n_bits <= s->field->bits;
}
/* The tag types that a push may write (section 7.2.5). */
bool action_ethertype_valid(enum action_type, uint16_t ethertype);
/* The TLV of a set-field or reg_load2, into a->set_field. */
struct of_error action_decode_oxm(struct cursor *, struct action *);
struct of_error actions_decode_nested(struct cursor, struct actions *, unsigned depth);
/* As actions_decode_nested(), to the end of a list that is there already (and is left as it is when there is an error). */
struct of_error actions_decode_append(struct cursor, struct actions *, unsigned depth);

/* action_nx.c */
/* Makes `a` the note, or the drop that the note stands for.  size ≥ 6. */
void action_set_note(struct action *a, const uint8_t *data, unsigned size);
void nx_put_header(struct buf *, uint16_t subtype);
action_decode_fn nx_decode_reg_load2, nx_decode_resubmit, nx_decode_resubmit_table, nx_decode_move, nx_decode_load, nx_decode_output_reg;
action_decode_fn nx_decode_output_reg2, nx_decode_controller, nx_decode_controller2, nx_decode_clone, nx_decode_note, nx_decode_conjunction, nx_decode_pop_queue;
action_encode_fn nx_encode_resubmit, nx_encode_move, nx_encode_load, nx_encode_output_reg, nx_encode_controller, nx_encode_clone,
    nx_encode_note, nx_encode_drop, nx_encode_conjunction, nx_encode_pop_queue;

#endif
