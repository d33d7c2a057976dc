/* Lists of actions: building, copying, comparing. */
#include "ofproto/action.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/util.h"
#include "ofproto/action_row.h"

void actions_init(struct actions *as)
{
    *as = (struct actions) { .list = NULL };
}

void actions_fini(struct actions *as)
{
    for (unsigned i = 0; i < as->n; i++) {
        struct action *a = &as->list[i];
        if (a->type == ACTION_CLONE) {
            actions_fini(&a->nested);
        } else if (a->type == ACTION_CONTROLLER) {
            free(a->controller.userdata);
        } else if (a->type == ACTION_NOTE) {
            free(a->note.data);
        }
    }
    free(as->list);
    actions_init(as);
}

struct action *actions_add(struct actions *as, enum action_type type)
{
    if (as->n == as->room) {
        as->room = as->room ? 2 * as->room : 2;
        as->list = xrealloc(as->list, as->room * sizeof as->list[0]);
    }
    struct action *a = &as->list[as->n++];
    memset(a, 0, sizeof *a);
    a->type = type;
    return a;
}

void actions_copy(struct actions *dst, const struct actions *src)
{
    actions_init(dst);
    if (!src->n) {
        return;
    }
    dst->list = xmalloc(src->n * sizeof dst->list[0]);
    dst->n = dst->room = src->n;
    memcpy(dst->list, src->list, src->n * sizeof dst->list[0]);
    for (unsigned i = 0; i < src->n; i++) {
        const struct action *from = &src->list[i];
        struct action *to = &dst->list[i];
        if (from->type == ACTION_CLONE) {
            actions_copy(&to->nested, &from->nested);
        } else if (from->type == ACTION_CONTROLLER && from->controller.userdata) {
            to->controller.userdata = xmalloc(from->controller.userdata_size);
            memcpy(to->controller.userdata, from->controller.userdata, from->controller.userdata_size);
        } else if (from->type == ACTION_NOTE) {
            to->note.data = xmalloc(from->note.size ? from->note.size : 1);
            memcpy(to->note.data, from->note.data, from->note.size);
        }
    }
}

static bool subfield_equal(const struct subfield *a, const struct subfield *b)
{
    return a->field == b->field && a->ofs == b->ofs && a->n_bits == b->n_bits;
}

static bool action_equal(const struct action *a, const struct action *b)
{
    if (a->type != b->type) {
        return false;
    }
    switch (a->type) {
    case ACTION_OUTPUT:
        return a->output.port == b->output.port && a->output.max_len == b->output.max_len;
    case ACTION_GROUP:
        return a->group == b->group;
    case ACTION_SET_QUEUE:
        return a->queue == b->queue;
    case ACTION_SET_FIELD:
        return a->set_field.field == b->set_field.field && a->set_field.masked == b->set_field.masked && a->set_field.of10 == b->set_field.of10
            && !memcmp(&a->set_field.value, &b->set_field.value, sizeof a->set_field.value)
            && (!a->set_field.masked || !memcmp(&a->set_field.mask, &b->set_field.mask, sizeof a->set_field.mask));
    case ACTION_PUSH_VLAN: case ACTION_PUSH_MPLS: case ACTION_POP_MPLS: case ACTION_PUSH_PBB:
        return a->ethertype == b->ethertype;
    case ACTION_SET_NW_TTL: case ACTION_SET_MPLS_TTL:
        return a->ttl == b->ttl;
    case ACTION_POP_VLAN: case ACTION_POP_PBB: case ACTION_DEC_NW_TTL: case ACTION_DEC_MPLS_TTL: case ACTION_COPY_TTL_OUT: case ACTION_COPY_TTL_IN:
    case ACTION_POP_QUEUE:
        return true;
    case ACTION_RESUBMIT:
        return a->resubmit.in_port == b->resubmit.in_port && a->resubmit.table == b->resubmit.table;
    case ACTION_MOVE:
        return subfield_equal(&a->move.src, &b->move.src) && subfield_equal(&a->move.dst, &b->move.dst);
    case ACTION_LOAD:
        return subfield_equal(&a->load.dst, &b->load.dst) && a->load.value == b->load.value;
    case ACTION_OUTPUT_REG:
        return subfield_equal(&a->output_reg.src, &b->output_reg.src) && a->output_reg.max_len == b->output_reg.max_len;
    case ACTION_CONTROLLER:
        return a->controller.max_len == b->controller.max_len && a->controller.controller_id == b->controller.controller_id
            && a->controller.reason == b->controller.reason && a->controller.meter == b->controller.meter
            && a->controller.userdata_size == b->controller.userdata_size
            && (!a->controller.userdata_size || !memcmp(a->controller.userdata, b->controller.userdata, a->controller.userdata_size));
    case ACTION_CONJUNCTION:
        return a->conjunction.id == b->conjunction.id && a->conjunction.clause == b->conjunction.clause
            && a->conjunction.n_clauses == b->conjunction.n_clauses;
    case ACTION_CLONE:
        return actions_equal(&a->nested, &b->nested);
    case ACTION_NOTE:
        return a->note.size == b->note.size && (!a->note.size || !memcmp(a->note.data, b->note.data, a->note.size));
    case ACTION_DROP:
        return a->drop_reason == b->drop_reason;
    case N_ACTION_TYPES:
        break;
    }
    return false;
}

bool actions_equal(const struct actions *a, const struct actions *b)
{
    if (a->n != b->n) {
        return false;
    }
    for (unsigned i = 0; i < a->n; i++) {
        if (!action_equal(&a->list[i], &b->list[i])) {
            return false;
        }
    }
    return true;
}

void actions_output(struct actions *as, uint32_t port)
{
    struct action *a = actions_add(as, ACTION_OUTPUT);
    a->output.port = port;
    a->output.max_len = port == OFPP_CONTROLLER ? OFPCML_NO_BUFFER : 0;
}

void actions_controller(struct actions *as, uint32_t meter)
{
    struct action *a = actions_add(as, ACTION_CONTROLLER);
    a->controller.max_len = UINT16_MAX;
    a->controller.reason = REASON_ACTION;
    a->controller.meter = meter;
}

void actions_enqueue(struct actions *as, uint32_t port, uint32_t queue)
{
    actions_add(as, ACTION_SET_QUEUE)->queue = queue;
    actions_output(as, port);
    actions_add(as, ACTION_POP_QUEUE);
}

void actions_group(struct actions *as, uint32_t group)
{
    actions_add(as, ACTION_GROUP)->group = group;
}

static void actions_set(struct actions *as, enum field_id id, const union field_value *value)
{
    const struct field *f = field_row(id);
    assert(field_value_valid(f, value));
    struct action *a = actions_add(as, ACTION_SET_FIELD);
    a->set_field.field = f;
    a->set_field.value = *value;
    a->set_field.mask = field_mask_all(f);
}

void actions_set_u64(struct actions *as, enum field_id id, uint64_t value)
{
    union field_value v = field_value_from_u64(value);
    actions_set(as, id, &v);
}

void actions_set_mac(struct actions *as, enum field_id id, struct mac mac)
{
    actions_set_u64(as, id, mac_u64(mac));
}

void actions_set_ip(struct actions *as, enum field_id id, const struct ip *ip)
{
    unsigned size = field_row(id)->size;
    union field_value v = { .w = { 0, 0 } };
    memcpy(v.b + 16 - size, ip->b + 16 - size, size);
    actions_set(as, id, &v);
}

void actions_load(struct actions *as, enum field_id id, unsigned ofs, unsigned n_bits, uint64_t value)
{
    struct subfield dst = { field_row(id), (uint16_t) ofs, (uint16_t) n_bits };
    assert(n_bits <= 64 && subfield_valid(&dst) && (n_bits == 64 || !(value >> n_bits)));
    struct action *a = actions_add(as, ACTION_LOAD);
    a->load.dst = dst;
    a->load.value = value;
}

void actions_move(struct actions *as, enum field_id src, unsigned src_ofs, enum field_id dst, unsigned dst_ofs, unsigned n_bits)
{
    struct subfield from = { field_row(src), (uint16_t) src_ofs, (uint16_t) n_bits };
    struct subfield to = { field_row(dst), (uint16_t) dst_ofs, (uint16_t) n_bits };
    assert(subfield_valid(&from) && subfield_valid(&to));
    struct action *a = actions_add(as, ACTION_MOVE);
    a->move.src = from;
    a->move.dst = to;
}

void actions_resubmit(struct actions *as, uint8_t table)
{
    struct action *a = actions_add(as, ACTION_RESUBMIT);
    a->resubmit.in_port = OFPP_IN_PORT;
    a->resubmit.table = table;
}

void actions_drop(struct actions *as, uint16_t reason)
{
    actions_add(as, ACTION_DROP)->drop_reason = reason;
}

struct actions *actions_clone(struct actions *as)
{
    return &actions_add(as, ACTION_CLONE)->nested;
}
