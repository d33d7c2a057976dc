/* Random but valid models, and hex for golden bytes: what the tests of this folder share. */
#include "ofproto/random_model.h"

#include <assert.h>
#include <string.h>

#include "ofproto/polder.h"

void random_value(struct rng *r, const struct field *f, union field_value *v)
{
    union field_value all = field_mask_all(f);
    for (unsigned i = 0; i < 2; i++) {
        v->w[i] = rng_u64(r) & all.w[i] & (rng_below(r, 3) ? UINT64_MAX : rng_u64(r) & rng_u64(r));
    }
}

void random_mask(struct rng *r, const struct field *f, union field_value *m)
{
    do {
        if (rng_below(r, 3) == 0) {
            /* A prefix. */
            union field_value zero = { .w = { 0, 0 } };
            *m = field_mask_all(f);
            field_copy_bits(&zero, 0, m, 0, rng_below(r, f->bits));
        } else {
            random_value(r, f, m);
        }
    } while (!m->w[0] && !m->w[1]);
}

/* Sets what `prereq` wants. */
static void satisfy(struct rng *r, struct match *m, enum field_prereq prereq)
{
    static const struct { uint16_t eth_type, also; int proto, icmp_type; } wants[] = {
        [PREREQ_VLAN] = { 0, 0, -1, -1 }, [PREREQ_IN_PORT] = { 0, 0, -1, -1 },
        [PREREQ_IP] = { 0x0800, 0x86dd, -1, -1 }, [PREREQ_IPV4] = { 0x0800, 0x0800, -1, -1 }, [PREREQ_IPV6] = { 0x86dd, 0x86dd, -1, -1 },
        [PREREQ_ARP] = { 0x0806, 0x0806, -1, -1 }, [PREREQ_TCP] = { 0x0800, 0x86dd, 6, -1 }, [PREREQ_UDP] = { 0x0800, 0x86dd, 17, -1 },
        [PREREQ_SCTP] = { 0x0800, 0x86dd, 132, -1 }, [PREREQ_ICMPV4] = { 0x0800, 0x0800, 1, -1 }, [PREREQ_ICMPV6] = { 0x86dd, 0x86dd, 58, -1 },
        [PREREQ_ND] = { 0x86dd, 0x86dd, 58, 135 }, [PREREQ_ND_NS] = { 0x86dd, 0x86dd, 58, 135 }, [PREREQ_ND_NA] = { 0x86dd, 0x86dd, 58, 136 },
        [PREREQ_MPLS] = { 0x8847, 0x8848, -1, -1 }, [PREREQ_PBB] = { 0x88e7, 0x88e7, -1, -1 },
    };
    if (prereq == PREREQ_VLAN) {
        match_set_u64(m, FIELD_VLAN_VID, 0x1000 | rng_below(r, 4096));
    } else if (prereq == PREREQ_IN_PORT) {
        match_set_u64(m, FIELD_IN_PORT, 1 + rng_below(r, 100));
    } else if (prereq != PREREQ_NONE) {
        match_set_u64(m, FIELD_ETH_TYPE, rng_below(r, 2) ? wants[prereq].eth_type : wants[prereq].also);
        if (wants[prereq].proto >= 0) {
            match_set_u64(m, FIELD_IP_PROTO, (uint64_t) wants[prereq].proto);
        }
        if (wants[prereq].icmp_type >= 0) {
            match_set_u64(m, FIELD_ICMPV6_TYPE, (uint64_t) wants[prereq].icmp_type);
        }
    }
}

void random_match(struct rng *r, struct match *m)
{
    match_init(m);
    for (unsigned n = rng_below(r, 9); n; n--) {
        enum field_id id = (enum field_id) rng_below(r, N_FIELDS);
        const struct field *f = field_row(id);
        union field_value value, mask;
        if (!match_has_prereq(m, f->prereq)) {
            struct match before = *m;
            satisfy(r, m, f->prereq);
            /* Not at the price of what another field needed. */
            if (!match_subsumes(&before, m)) {
                *m = before;
                continue;
            }
        }
        field_get(f, &m->mask.flow, &mask);
        /* What is there already may be someone's prerequisite. */
        if (mask.w[0] || mask.w[1]) {
            continue;
        }
        random_value(r, f, &value);
        mask = field_mask_all(f);
        if ((f->maskable || f->nxm_maskable) && rng_below(r, 2)) {
            random_mask(r, f, &mask);
        }
        uint64_t vid = field_value_u64(&value) & field_value_u64(&mask);
        if (id == FIELD_VLAN_VID && field_value_u64(&mask) & FLOW_VLAN_PRESENT && vid && !(vid & FLOW_VLAN_PRESENT)) {
            value = field_value_from_u64(FLOW_VLAN_PRESENT | vid);
        }
        match_set(m, id, &value, &mask);
    }
    assert(of_ok(match_check_prereqs(m)));
}

static const struct field *random_settable(struct rng *r)
{
    const struct field *f;
    do {
        f = field_row((enum field_id) rng_below(r, N_FIELDS));
    } while (!f->settable);
    return f;
}

static struct subfield random_subfield(struct rng *r, const struct field *f, unsigned max_bits)
{
    unsigned n = 1 + rng_below(r, f->bits < max_bits ? f->bits : max_bits);
    return (struct subfield) { f, (uint16_t) rng_below(r, f->bits - n + 1), (uint16_t) n };
}

static uint32_t random_port(struct rng *r)
{
    static const uint32_t reserved[] = { OFPP_IN_PORT, OFPP_NORMAL, OFPP_FLOOD, OFPP_ALL, OFPP_CONTROLLER, OFPP_LOCAL };
    return rng_below(r, 2) ? 1 + rng_below(r, 0xfeff) : reserved[rng_below(r, ARRAY_SIZE(reserved))];
}

static uint16_t random_tag(struct rng *r, enum action_type type)
{
    switch (type) {
    case ACTION_PUSH_VLAN: return rng_below(r, 2) ? 0x8100 : 0x88a8;
    case ACTION_PUSH_MPLS: return rng_below(r, 2) ? 0x8847 : 0x8848;
    case ACTION_PUSH_PBB: return 0x88e7;
    default: return (uint16_t) rng_u64(r);
    }
}

static void random_set_field(struct rng *r, struct action *a)
{
    const struct field *f = random_settable(r);
    a->set_field.field = f;
    random_value(r, f, &a->set_field.value);
    a->set_field.mask = field_mask_all(f);
    if ((f->maskable || f->nxm_maskable) && rng_below(r, 3) == 0) {
        random_mask(r, f, &a->set_field.mask);
        union field_value all = field_mask_all(f);
        a->set_field.masked = memcmp(&all, &a->set_field.mask, sizeof all) != 0;
        a->set_field.value.w[0] &= a->set_field.mask.w[0];
        a->set_field.value.w[1] &= a->set_field.mask.w[1];
    }
    if (field_id_of(f) == FIELD_VLAN_VID && !a->set_field.masked) {
        a->set_field.value = field_value_from_u64(field_value_u64(&a->set_field.value) | FLOW_VLAN_PRESENT);
    }
}

static void random_controller(struct rng *r, struct action *a)
{
    a->controller.max_len = (uint16_t) rng_u64(r);
    a->controller.controller_id = rng_below(r, 2) ? (uint16_t) rng_u64(r) : 0;
    a->controller.reason = (uint8_t) rng_below(r, 5);
    a->controller.meter = rng_below(r, 2) ? rng_below(r, 1000) : 0;
    a->controller.userdata_size = (uint16_t) (rng_below(r, 3) ? 0 : 1 + rng_below(r, 20));
    a->controller.userdata = a->controller.userdata_size ? xmalloc(a->controller.userdata_size) : NULL;
    for (unsigned i = 0; i < a->controller.userdata_size; i++) {
        a->controller.userdata[i] = (uint8_t) rng_u64(r);
    }
}

static void random_note(struct rng *r, struct action *a)
{
    a->note.size = 6 + 8 * rng_below(r, 4);
    a->note.data = xmalloc(a->note.size);
    for (unsigned i = 0; i < a->note.size; i++) {
        a->note.data[i] = (uint8_t) rng_u64(r);
    }
}

static void random_move(struct rng *r, struct action *a)
{
    a->move.dst = random_subfield(r, random_settable(r), 128);
    const struct field *src;
    do {
        src = field_row((enum field_id) rng_below(r, N_FIELDS));
    } while (src->bits < a->move.dst.n_bits);
    a->move.src = (struct subfield) { src, (uint16_t) rng_below(r, src->bits - a->move.dst.n_bits + 1u), a->move.dst.n_bits };
}

static void random_action(struct rng *r, struct actions *as, bool text, unsigned depth)
{
    enum action_type type = (enum action_type) rng_below(r, N_ACTION_TYPES);
    if (type == ACTION_CLONE && depth >= 3) {
        return;
    }
    struct action *a = actions_add(as, type);
    switch (type) {
    case ACTION_OUTPUT:
        a->output.port = random_port(r);
        a->output.max_len = !text || a->output.port == OFPP_CONTROLLER ? (uint16_t) rng_u64(r) : 0;
        break;
    case ACTION_GROUP: a->group = rng_below(r, OFPG_MAX); break;
    case ACTION_SET_QUEUE: a->queue = (uint32_t) rng_u64(r); break;
    case ACTION_SET_FIELD: random_set_field(r, a); break;
    case ACTION_PUSH_VLAN: case ACTION_PUSH_MPLS: case ACTION_POP_MPLS: case ACTION_PUSH_PBB: a->ethertype = random_tag(r, type); break;
    case ACTION_SET_NW_TTL: case ACTION_SET_MPLS_TTL: a->ttl = (uint8_t) rng_u64(r); break;
    case ACTION_RESUBMIT:
        a->resubmit.in_port = random_port(r);
        a->resubmit.table = (uint8_t) rng_u64(r);
        break;
    case ACTION_MOVE: random_move(r, a); break;
    case ACTION_LOAD:
        a->load.dst = random_subfield(r, random_settable(r), 64);
        a->load.value = rng_u64(r) >> (64 - a->load.dst.n_bits);
        break;
    case ACTION_OUTPUT_REG:
        a->output_reg.src = random_subfield(r, field_row((enum field_id) rng_below(r, N_FIELDS)), 32);
        a->output_reg.max_len = text ? UINT16_MAX : (uint16_t) rng_u64(r);
        break;
    case ACTION_CONTROLLER: random_controller(r, a); break;
    case ACTION_CLONE: random_actions(r, &a->nested, text, depth + 1); break;
    case ACTION_NOTE: random_note(r, a); break;
    case ACTION_CONJUNCTION:
        a->conjunction.id = (uint32_t) rng_u64(r);
        a->conjunction.n_clauses = (uint8_t) (2 + rng_below(r, 63));
        a->conjunction.clause = (uint8_t) rng_below(r, a->conjunction.n_clauses);
        break;
    case ACTION_DROP: a->drop_reason = (uint16_t) rng_below(r, DROP_N_REASONS); break;
    case ACTION_POP_VLAN: case ACTION_POP_PBB: case ACTION_DEC_NW_TTL: case ACTION_DEC_MPLS_TTL: case ACTION_COPY_TTL_OUT: case ACTION_COPY_TTL_IN:
    case ACTION_POP_QUEUE:
    case N_ACTION_TYPES: break;
    }
}

void random_actions(struct rng *r, struct actions *as, bool text, unsigned depth)
{
    actions_init(as);
    for (unsigned n = rng_below(r, 7); n; n--) {
        random_action(r, as, text, depth);
    }
}

void random_instructions(struct rng *r, struct instructions *is, bool text)
{
    instructions_init(is);
    is->has_apply = rng_below(r, 2);
    is->has_write = rng_below(r, 2);
    is->clear = rng_below(r, 2);
    is->has_goto = rng_below(r, 2);
    is->has_metadata = rng_below(r, 2);
    is->has_meter = rng_below(r, 2);
    if (is->has_apply) {
        random_actions(r, &is->apply, text, 0);
    }
    if (is->has_write) {
        random_actions(r, &is->write, text, 0);
    }
    is->goto_table = is->has_goto ? (uint8_t) rng_below(r, 254) : 0;
    is->meter = is->has_meter ? 1 + rng_below(r, 1000) : 0;
    if (is->has_metadata) {
        is->metadata_mask = rng_below(r, 2) ? UINT64_MAX : rng_u64(r);
        is->metadata = rng_u64(r) & is->metadata_mask;
    }
}

void put_hex(struct buf *b, const char *hex)
{
    static const char digits[] = "0123456789abcdef";
    unsigned n = 0, byte = 0;
    for (; *hex; hex++) {
        const char *digit = strchr(digits, *hex);
        if (*hex == ' ') {
            continue;
        }
        assert(digit);
        byte = byte << 4 | (unsigned) (digit - digits);
        if (++n % 2 == 0) {
            buf_put_u8(b, (uint8_t) byte);
        }
    }
    assert(n % 2 == 0);
}
