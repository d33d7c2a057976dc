/* From decoded actions to ops. */
#include "vswitch/program.h"

#include <assert.h>
#include <stdlib.h>
#include "lib/util.h"
#include "vswitch/conjunction.h"
#include "vswitch/dp_private.h"
#include "vswitch/meter.h"

struct opvec { struct op *v; unsigned n, room; };

struct compiler {
    struct dp *dp;
    struct opvec ops;
    struct of_error error;      /* The first one. */
    bool lenient;               /* A packet-out: run what can be run. */
};

static const uint8_t op_slots[N_OP_CODES] = {
    [OP_OUTPUT] = SLOT_OUTPUT, [OP_GROUP] = SLOT_GROUP, [OP_WORD] = SLOT_SETS, [OP_FIELD] = SLOT_SETS, [OP_MOVE] = SLOT_SETS, [OP_PUSH_VLAN] = SLOT_PUSH_VLAN,
    [OP_POP_VLAN] = SLOT_POP_VLAN, [OP_PUSH_MPLS] = SLOT_PUSH_MPLS, [OP_POP_MPLS] = SLOT_POP_MPLS, [OP_PUSH_PBB] = SLOT_PUSH_PBB, [OP_POP_PBB] = SLOT_POP_PBB,
    [OP_SET_NW_TTL] = SLOT_SET_NW_TTL, [OP_DEC_NW_TTL] = SLOT_DEC_NW_TTL, [OP_SET_MPLS_TTL] = SLOT_SET_MPLS_TTL, [OP_DEC_MPLS_TTL] = SLOT_DEC_MPLS_TTL,
    [OP_COPY_TTL_OUT] = SLOT_COPY_TTL_OUT, [OP_COPY_TTL_IN] = SLOT_COPY_TTL_IN, [OP_RESUBMIT] = SLOT_RESUBMIT, [OP_OUTPUT_REG] = SLOT_OUTPUT,
    [OP_CONTROLLER] = SLOT_OTHERS, [OP_CLONE] = SLOT_OTHERS, [OP_DROP] = SLOT_OTHERS, [OP_TAG] = SLOT_SETS, [OP_UNSUPPORTED] = SLOT_OTHERS,
    [OP_CONJUNCTION] = SLOT_OTHERS, [OP_SET_QUEUE] = SLOT_QUEUE,
};

static struct op *add_op(struct compiler *c, enum op_code code)
{
    if (c->ops.n == c->ops.room) {
        c->ops.room = MAX(8, 2 * c->ops.room);
        c->ops.v = xrealloc(c->ops.v, c->ops.room * sizeof c->ops.v[0]);
    }
    struct op *op = &c->ops.v[c->ops.n++];
    memset(op, 0, sizeof *op);
    op->code = (uint8_t) code;
    op->slot = op_slots[code];
    return op;
}

static void unsupported(struct compiler *c, uint16_t type, uint16_t code)
{
    if (c->lenient) {
        add_op(c, OP_UNSUPPORTED);
    } else if (of_ok(c->error)) {
        c->error = OF_ERROR(type, code);
    }
}

/* Everything before the Ethernet header's fields is the pipeline's own. */
static bool is_pipeline_field(const struct field *f)
{
    return f->offset < offsetof(struct flow, eth_dst) && field_id_of(f) != FIELD_PBB_ISID;
}

static void add_set(struct compiler *c, const struct field *f, const union field_value *value, const union field_value *mask)
{
    union field_value all = field_mask_all(f), m = mask ? *mask : all, v = *value;
    for (unsigned i = 0; i < 2; i++) {
        m.w[i] &= all.w[i];
        v.w[i] &= m.w[i];
    }
    if (!is_pipeline_field(f)) {
        struct op *op = add_op(c, OP_FIELD);
        op->set.field = f;
        op->set.value = v;
        op->set.mask = m;
        op->set.exact = m.w[0] == all.w[0] && m.w[1] == all.w[1];
        return;
    }
    union flow_words value_words, mask_words;
    flow_init(&value_words.flow);
    flow_init(&mask_words.flow);
    field_set(f, &value_words.flow, &v);
    field_set(f, &mask_words.flow, &m);
    for (unsigned i = f->offset / 8; i <= (f->offset + f->size - 1u) / 8; i++) {
        if (mask_words.w[i]) {
            struct op *op = add_op(c, OP_WORD);
            op->word.index = i;
            op->word.value = value_words.w[i];
            op->word.mask = mask_words.w[i];
        }
    }
}

/* Set-fields that came from 1.0 hold for whatever packet comes. */
static void add_set10(struct compiler *c, const struct field *f, const union field_value *value)
{
    static const enum field_id ports[2][3] = { { FIELD_TCP_SRC, FIELD_UDP_SRC, FIELD_SCTP_SRC }, { FIELD_TCP_DST, FIELD_UDP_DST, FIELD_SCTP_DST } };
    enum field_id id = field_id_of(f);
    bool transport = id == FIELD_TCP_SRC || id == FIELD_TCP_DST;
    if (id == FIELD_VLAN_VID || id == FIELD_VLAN_PCP) {
        add_op(c, OP_TAG);
    }
    for (unsigned i = 0; i < (transport ? 3 : 1); i++) {
        unsigned before = c->ops.n;
        add_set(c, transport ? field_row(ports[id == FIELD_TCP_DST][i]) : f, value, NULL);
        if (c->ops.n > before && c->ops.v[before].code == OP_FIELD) {
            c->ops.v[before].set.quiet = true;
        }
    }
}

static void add_load(struct compiler *c, const struct subfield *dst, uint64_t value)
{
    union field_value v = { .w = { 0, 0 } }, m = { .w = { 0, 0 } }, ones = { .w = { UINT64_MAX, UINT64_MAX } }, x = field_value_from_u64(value);
    field_copy_bits(&x, 0, &v, dst->ofs, dst->n_bits);
    field_copy_bits(&ones, 0, &m, dst->ofs, dst->n_bits);
    add_set(c, dst->field, &v, &m);
}

static void compile_action(struct compiler *, const struct action *);

static void add_clone(struct compiler *c, const struct actions *nested)
{
    unsigned at = c->ops.n;
    add_op(c, OP_CLONE);
    for (unsigned i = 0; i < nested->n; i++) {
        compile_action(c, &nested->list[i]);
    }
    unsigned n_body = c->ops.n - at - 1;
    if (n_body > UINT16_MAX) {
        unsupported(c, OFPET_BAD_ACTION, OFPBAC_TOO_MANY);
        n_body = 0;
    }
    c->ops.v[at].n_body = (uint16_t) n_body;
}

static void add_group(struct compiler *c, uint32_t id)
{
    struct group_slot *slot = group_slot_get(c->dp, id);
    add_op(c, OP_GROUP)->group = slot;
    if (!c->lenient && of_ok(c->error) && !group_slot_read(slot, CLS_NEVER)) {
        c->error = OF_ERROR(OFPET_BAD_ACTION, OFPBAC_BAD_OUT_GROUP);
    }
}

static void add_meter(struct compiler *c, uint32_t id)
{
    struct meter_slot *slot = meter_slot_get(c->dp, id);
    if (slot) {
        add_op(c, OP_METER)->meter = slot;
    } else {
        unsupported(c, OFPET_METER_MOD_FAILED, OFPMMFC_INVALID_METER);
    }
}

static void add_controller(struct compiler *c, const struct action *a)
{
    struct op *op = add_op(c, OP_CONTROLLER);
    op->controller.max_len = a->controller.max_len;
    op->controller.reason = a->controller.reason;
    op->controller.id = a->controller.controller_id;
    if (a->controller.userdata_size && a->controller.userdata_size <= DP_MAX_USERDATA) {
        struct userdata *u = xmalloc(sizeof *u + a->controller.userdata_size);
        u->refs = 1;
        u->size = a->controller.userdata_size;
        memcpy(u->bytes, a->controller.userdata, u->size);
        op->controller.userdata = u;
    }
    op->controller.meter = a->controller.meter ? meter_slot_get(c->dp, a->controller.meter) : NULL;
    if (a->controller.meter && !op->controller.meter) {
        unsupported(c, OFPET_METER_MOD_FAILED, OFPMMFC_INVALID_METER);
    }
    if (a->controller.userdata_size > DP_MAX_USERDATA) {
        unsupported(c, OFPET_BAD_ACTION, OFPBAC_BAD_ARGUMENT);
    }
}

static void compile_action(struct compiler *c, const struct action *a)
{
    struct op *op;
    switch (a->type) {
    case ACTION_OUTPUT: op = add_op(c, OP_OUTPUT); op->output.port = a->output.port; op->output.max_len = a->output.max_len; break;
    case ACTION_GROUP: add_group(c, a->group); break;
    /* Whether the port has such a queue, each frame's output finds out: ports and their queues come and go. */
    case ACTION_SET_QUEUE: add_op(c, OP_SET_QUEUE)->queue = a->queue; break;
    case ACTION_POP_QUEUE: add_op(c, OP_SET_QUEUE)->queue = 0; break;
    case ACTION_SET_FIELD:
        if (a->set_field.of10) {
            add_set10(c, a->set_field.field, &a->set_field.value);
            break;
        }
        add_set(c, a->set_field.field, &a->set_field.value, a->set_field.masked ? &a->set_field.mask : NULL); break;
    case ACTION_PUSH_VLAN: add_op(c, OP_PUSH_VLAN)->ethertype = a->ethertype; break;
    case ACTION_POP_VLAN: add_op(c, OP_POP_VLAN); break;
    case ACTION_PUSH_MPLS: add_op(c, OP_PUSH_MPLS)->ethertype = a->ethertype; break;
    case ACTION_POP_MPLS: add_op(c, OP_POP_MPLS)->ethertype = a->ethertype; break;
    case ACTION_PUSH_PBB: add_op(c, OP_PUSH_PBB)->ethertype = a->ethertype; break;
    case ACTION_POP_PBB: add_op(c, OP_POP_PBB); break;
    case ACTION_SET_NW_TTL: add_op(c, OP_SET_NW_TTL)->ttl = a->ttl; break;
    case ACTION_DEC_NW_TTL: add_op(c, OP_DEC_NW_TTL); break;
    case ACTION_SET_MPLS_TTL: add_op(c, OP_SET_MPLS_TTL)->ttl = a->ttl; break;
    case ACTION_DEC_MPLS_TTL: add_op(c, OP_DEC_MPLS_TTL); break;
    case ACTION_COPY_TTL_OUT: add_op(c, OP_COPY_TTL_OUT); break;
    case ACTION_COPY_TTL_IN: add_op(c, OP_COPY_TTL_IN); break;
    case ACTION_RESUBMIT: op = add_op(c, OP_RESUBMIT); op->resubmit.in_port = a->resubmit.in_port; op->resubmit.table = a->resubmit.table; break;
    case ACTION_MOVE: op = add_op(c, OP_MOVE); op->move.src = a->move.src; op->move.dst = a->move.dst; break;
    case ACTION_LOAD: add_load(c, &a->load.dst, a->load.value); break;
    case ACTION_OUTPUT_REG: op = add_op(c, OP_OUTPUT_REG); op->output_reg.src = a->output_reg.src; op->output_reg.max_len = a->output_reg.max_len; break;
    case ACTION_CONTROLLER: add_controller(c, a); break;
    case ACTION_CLONE: add_clone(c, &a->nested); break;
    case ACTION_NOTE: break;    /* Data for people; it does nothing. */
    case ACTION_CONJUNCTION:
        op = add_op(c, OP_CONJUNCTION); op->conjunction.id = a->conjunction.id;
        op->conjunction.clause = a->conjunction.clause; op->conjunction.n_clauses = a->conjunction.n_clauses; break;
    case ACTION_DROP: add_op(c, OP_DROP)->drop_reason = MIN(a->drop_reason, DROP_N_REASONS - 1); break;
    case N_ACTION_TYPES: assert(!"no such action"); break;
    }
}

static void controller_ref(struct op *op)
{
    if (op->controller.meter) {
        meter_slot_ref(op->controller.meter);
    }
    if (op->controller.userdata) {
        op->controller.userdata->refs++;
    }
}

static void controller_put(struct dp *dp, struct op *op)
{
    if (op->controller.meter) {
        meter_slot_put(dp, op->controller.meter);
    }
    if (op->controller.userdata && !--op->controller.userdata->refs) {
        dp_defer(free, op->controller.userdata, dp);
    }
}

static struct program *finish(struct compiler *c, struct of_error *error)
{
    struct program *p = xcalloc(1, sizeof *p + c->ops.n * sizeof p->ops[0]);
    if (c->ops.n) {
        memcpy(p->ops, c->ops.v, c->ops.n * sizeof p->ops[0]);
    }
    free(c->ops.v);
    p->n_apply = c->ops.n;
    if (error) {
        *error = c->error;
    }
    if (!of_ok(c->error)) {
        program_retire(c->dp, p);
        return NULL;
    }
    return p;
}

struct program *program_compile(struct dp *dp, const struct instructions *in, struct of_error *error)
{
    struct compiler c = { .dp = dp, .error = OF_OK };
    if (in->has_meter) {
        add_meter(&c, in->meter);
    }
    for (unsigned i = 0; in->has_apply && i < in->apply.n; i++) {
        compile_action(&c, &in->apply.list[i]);
    }
    unsigned n_apply = c.ops.n;
    for (unsigned i = 0; in->has_write && i < in->write.n; i++) {
        compile_action(&c, &in->write.list[i]);
    }
    struct program *p = finish(&c, error);
    if (p) {
        p->n_write = p->n_apply - n_apply;
        p->n_apply = n_apply;
        if (program_is_conjunctive(p)) {
            conjunction_sort(p->ops, p->n_apply);
        }
        p->clear = in->clear;
        p->has_goto = in->has_goto;
        p->goto_table = in->goto_table;
        if (in->has_metadata) {
            p->metadata_mask = be64_put(in->metadata_mask).v;
            p->metadata = be64_put(in->metadata & in->metadata_mask).v;
        }
    }
    return p;
}

/* Section 5.10: in the order of the slots; of one kind the last; group before output before resubmit, and only one of them. */
struct program *program_compile_set(struct dp *dp, const struct actions *actions, struct of_error *error)
{
    struct compiler given = { .dp = dp, .error = OF_OK }, set = { .dp = dp, .error = OF_OK };
    for (unsigned i = 0; i < actions->n; i++) {
        compile_action(&given, &actions->list[i]);
    }
    struct program *p = finish(&given, error);
    if (!p) {
        return NULL;
    }
    bool final_done = false;
    for (unsigned slot = 0; slot < N_SET_SLOTS; slot++) {
        const struct op *last = NULL;
        for (unsigned i = 0; i < p->n_apply; i += 1 + p->ops[i].n_body) {
            if (p->ops[i].slot != slot) {
                continue;
            }
            last = &p->ops[i];
            for (unsigned j = 0; (slot == SLOT_SETS || slot == SLOT_OTHERS) && j <= last->n_body; j++) {
                *add_op(&set, last->code) = last[j];
            }
        }
        if (last && slot != SLOT_SETS && slot != SLOT_OTHERS && !(slot >= SLOT_GROUP && final_done)) {
            *add_op(&set, last->code) = *last;
            final_done = slot >= SLOT_GROUP;
        }
    }
    struct program *ordered = finish(&set, error);
    for (unsigned i = 0; i < ordered->n_apply; i++) {
        if (ordered->ops[i].code == OP_GROUP) {
            group_slot_ref(ordered->ops[i].group);
        } else if (ordered->ops[i].code == OP_CONTROLLER) {
            controller_ref(&ordered->ops[i]);
        }
    }
    program_retire(dp, p);
    return ordered;
}

struct program *program_compile_list(struct dp *dp, const struct actions *actions)
{
    struct compiler c = { .dp = dp, .error = OF_OK, .lenient = true };
    for (unsigned i = 0; i < actions->n; i++) {
        compile_action(&c, &actions->list[i]);
    }
    return finish(&c, NULL);
}

void program_retire(struct dp *dp, struct program *p)
{
    for (unsigned i = 0; p && i < p->n_apply + p->n_write; i++) {
        if (p->ops[i].code == OP_GROUP) {
            group_slot_put(dp, p->ops[i].group);
        } else if (p->ops[i].code == OP_METER) {
            meter_slot_put(dp, p->ops[i].meter);
        } else if (p->ops[i].code == OP_CONTROLLER) {
            controller_put(dp, &p->ops[i]);
        }
    }
    if (p) {
        dp_defer(free, p, dp);
    }
}
