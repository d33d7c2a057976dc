/*
 * Whether actions make sense for the packets of a match.
 *
 * The check walks the list with a match of its own, which says what is known of the packet at that point: pushes, pops and set-fields change it.  A field may be set
 * where its prerequisite is known to hold (OFPBAC_MATCH_INCONSISTENT otherwise, section 7.2.5); VLAN tags may also be set and popped where nothing is known, because
 * table 12 gives VLAN_VID no prerequisite.
 */
#include "ofproto/action_row.h"
#include "ofproto/of_msg.h"
#include "ofproto/polder.h"

#define N_TABLES 254

struct check {
    struct match known;
    bool prereqs;               /* Whether `known` means anything. */
    bool action_set;
    uint8_t table;
    unsigned depth;
};

static struct of_error bad_action(uint16_t code)
{
    return OF_ERROR(OFPET_BAD_ACTION, code);
}

static struct of_error check_list(const struct actions *, struct check *);

static void forget(struct check *c, enum field_id id)
{
    union field_value zero = { .w = { 0, 0 } };
    match_set(&c->known, id, &zero, &zero);
}

/* What lies behind a header that was pushed or popped is another packet's worth of fields. */
static void forget_payload(struct check *c)
{
    static const enum field_id payload[] = {
        FIELD_IP_PROTO, FIELD_TCP_SRC, FIELD_TCP_DST, FIELD_ICMPV4_TYPE, FIELD_ICMPV4_CODE, FIELD_ARP_OP,
    };
    for (unsigned i = 0; i < sizeof payload / sizeof payload[0]; i++) {
        forget(c, payload[i]);
    }
}

static bool untagged(const struct check *c)
{
    return c->prereqs && be16_get(c->known.mask.flow.vlan_vid) & FLOW_VLAN_PRESENT && !(be16_get(c->known.value.flow.vlan_vid) & FLOW_VLAN_PRESENT);
}

static bool has(const struct check *c, enum field_prereq prereq)
{
    return !c->prereqs || match_has_prereq(&c->known, prereq);
}

static struct of_error require(const struct check *c, enum field_prereq prereq)
{
    return has(c, prereq) ? OF_OK : bad_action(OFPBAC_MATCH_INCONSISTENT);
}

static struct of_error check_field(const struct check *c, const struct field *f)
{
    if (field_id_of(f) == FIELD_VLAN_VID) {
        return untagged(c) ? bad_action(OFPBAC_MATCH_INCONSISTENT) : OF_OK;
    }
    return f->prereq == PREREQ_IN_PORT ? OF_OK : require(c, f->prereq);
}

static struct of_error check_dst(const struct check *c, const struct field *f)
{
    return f->settable ? check_field(c, f) : bad_action(OFPBAC_BAD_SET_TYPE);
}

/* After it, bits of `f` in `mask` are known to be `value`'s. */
static void learn(struct check *c, const struct field *f, const union field_value *value, const union field_value *mask)
{
    union field_value v, m;
    field_get(f, &c->known.value.flow, &v);
    field_get(f, &c->known.mask.flow, &m);
    for (unsigned i = 0; i < 2; i++) {
        v.w[i] = (v.w[i] & ~mask->w[i]) | (value->w[i] & mask->w[i]);
        m.w[i] |= mask->w[i];
    }
    match_set(&c->known, field_id_of(f), &v, &m);
}

static struct of_error check_set_field(const struct action *a, struct check *c)
{
    const struct field *f = a->set_field.field;
    union field_value all = field_mask_all(f);
    struct of_error e = a->set_field.of10 && f->settable ? OF_OK : check_dst(c, f);
    if (!of_ok(e)) {
        return e;
    }
    if (a->set_field.of10 && (field_id_of(f) == FIELD_VLAN_VID || field_id_of(f) == FIELD_VLAN_PCP)) {
        match_set_u64_masked(&c->known, FIELD_VLAN_VID, FLOW_VLAN_PRESENT, FLOW_VLAN_PRESENT);
    } else if (a->set_field.of10) {
        return OF_OK;           /* Nothing is learned of packets that may lack the field. */
    }
    if (!field_value_valid(f, &a->set_field.value)) {
        return bad_action(OFPBAC_BAD_SET_ARGUMENT);
    }
    learn(c, f, &a->set_field.value, a->set_field.masked ? &a->set_field.mask : &all);
    return OF_OK;
}

static struct of_error check_move(const struct action *a, struct check *c)
{
    if (!subfield_valid(&a->move.src) || !subfield_valid(&a->move.dst) || a->move.src.n_bits != a->move.dst.n_bits) {
        return bad_action(OFPBAC_BAD_SET_ARGUMENT);
    }
    struct of_error e = check_field(c, a->move.src.field);
    if (of_ok(e)) {
        e = check_dst(c, a->move.dst.field);
    }
    if (of_ok(e)) {
        union field_value v, m, zero = { .w = { 0, 0 } };
        field_get(a->move.dst.field, &c->known.value.flow, &v);
        field_get(a->move.dst.field, &c->known.mask.flow, &m);
        field_copy_bits(&zero, 0, &m, a->move.dst.ofs, a->move.dst.n_bits);
        match_set(&c->known, field_id_of(a->move.dst.field), &v, &m);
    }
    return e;
}

static struct of_error check_load(const struct action *a, struct check *c)
{
    const struct subfield *dst = &a->load.dst;
    if (!subfield_valid(dst) || dst->n_bits > 64 || (dst->n_bits < 64 && a->load.value >> dst->n_bits)) {
        return bad_action(OFPBAC_BAD_SET_ARGUMENT);
    }
    struct of_error e = check_dst(c, dst->field);
    if (of_ok(e)) {
        union field_value from = field_value_from_u64(a->load.value), ones = field_value_from_u64(UINT64_MAX);
        union field_value v = { .w = { 0, 0 } }, m = { .w = { 0, 0 } };
        field_copy_bits(&from, 0, &v, dst->ofs, dst->n_bits);
        field_copy_bits(&ones, 0, &m, dst->ofs, dst->n_bits);
        learn(c, dst->field, &v, &m);
    }
    return e;
}

static struct of_error check_output(uint32_t port, const struct check *c)
{
    if (port == OFPP_TABLE) {
        return c->table == OFPTT_ALL ? OF_OK : bad_action(OFPBAC_BAD_OUT_PORT);
    }
    bool reserved = port == OFPP_IN_PORT || (port >= OFPP_NORMAL && port <= OFPP_LOCAL);
    return reserved || (port && port <= OFPP_MAX) ? OF_OK : bad_action(OFPBAC_BAD_OUT_PORT);
}

static struct of_error check_resubmit(const struct action *a)
{
    /* The wire has 16 bits for the port. */
    uint32_t port = a->resubmit.in_port;
    if (port >= 0xff00 && port < OFPP_MAX) {
        return bad_action(OFPBAC_BAD_OUT_PORT);
    }
    uint8_t table = a->resubmit.table;
    return table < N_TABLES || table == RESUBMIT_CURRENT_TABLE ? OF_OK : bad_action(OFPBAC_BAD_ARGUMENT);
}

static struct of_error check_tags(const struct action *a, struct check *c)
{
    struct of_error e = OF_OK;

    if (!action_ethertype_valid(a->type, a->ethertype)) {
        return bad_action(OFPBAC_BAD_ARGUMENT);
    }
    switch (a->type) {
    case ACTION_PUSH_VLAN:
        forget(c, FIELD_VLAN_PCP);
        match_set_u64_masked(&c->known, FIELD_VLAN_VID, FLOW_VLAN_PRESENT, FLOW_VLAN_PRESENT);
        break;
    case ACTION_POP_VLAN:
        if (untagged(c)) {
            return bad_action(OFPBAC_MATCH_INCONSISTENT);
        }
        forget(c, FIELD_VLAN_VID);
        forget(c, FIELD_VLAN_PCP);
        break;
    case ACTION_POP_MPLS: case ACTION_POP_PBB:
        e = require(c, a->type == ACTION_POP_MPLS ? PREREQ_MPLS : PREREQ_PBB);
        __attribute__((fallthrough));
    case ACTION_PUSH_MPLS: case ACTION_PUSH_PBB:
        forget_payload(c);
        if (a->type == ACTION_POP_PBB) {
            forget(c, FIELD_ETH_TYPE);
        } else {
            match_set_u64(&c->known, FIELD_ETH_TYPE, a->ethertype);
        }
        /* A PBB header brings an Ethernet header of its own; a VLAN tag stays behind it. */
        if (a->type == ACTION_PUSH_PBB || a->type == ACTION_POP_PBB) {
            forget(c, FIELD_VLAN_VID);
            forget(c, FIELD_VLAN_PCP);
        }
        break;
    default:
        break;
    }
    return e;
}

static struct of_error check_clone(const struct actions *nested, const struct check *c)
{
    struct check inner = *c;
    if (++inner.depth > ACTION_MAX_DEPTH) {
        return bad_action(OFPBAC_TOO_MANY);
    }
    return check_list(nested, &inner);
}

static struct of_error check_one(const struct action *a, struct check *c)
{
    switch (a->type) {
    case ACTION_OUTPUT: return check_output(a->output.port, c);
    case ACTION_GROUP: return a->group <= OFPG_MAX ? OF_OK : bad_action(OFPBAC_BAD_OUT_GROUP);
    case ACTION_SET_FIELD: return check_set_field(a, c);
    case ACTION_PUSH_VLAN: case ACTION_POP_VLAN: case ACTION_PUSH_MPLS: case ACTION_POP_MPLS: case ACTION_PUSH_PBB: case ACTION_POP_PBB:
        return check_tags(a, c);
    case ACTION_SET_NW_TTL: case ACTION_DEC_NW_TTL: return require(c, PREREQ_IP);
    case ACTION_SET_MPLS_TTL: case ACTION_DEC_MPLS_TTL: case ACTION_COPY_TTL_OUT: case ACTION_COPY_TTL_IN: return require(c, PREREQ_MPLS);
    case ACTION_RESUBMIT: return check_resubmit(a);
    case ACTION_MOVE: return check_move(a, c);
    case ACTION_LOAD: return check_load(a, c);
    case ACTION_OUTPUT_REG:
        return subfield_valid(&a->output_reg.src) && a->output_reg.src.n_bits <= 32 ? check_field(c, a->output_reg.src.field)
                                                                                    : bad_action(OFPBAC_BAD_ARGUMENT);
    case ACTION_CLONE: return check_clone(&a->nested, c);
    case ACTION_DROP: return a->drop_reason < DROP_N_REASONS ? OF_OK : bad_action(OFPBAC_BAD_ARGUMENT);
    case ACTION_SET_QUEUE: return a->queue != OFPQ_ALL ? OF_OK : bad_action(OFPBAC_BAD_QUEUE);
    case ACTION_POP_QUEUE: case ACTION_CONTROLLER: case ACTION_NOTE: case ACTION_CONJUNCTION: case N_ACTION_TYPES: break;
    }
    return OF_OK;
}

static unsigned count_of(const struct actions *as, enum action_type type)
{
    unsigned n = 0;
    for (unsigned i = 0; i < as->n; i++) {
        n += as->list[i].type == type;
    }
    return n;
}

/* Entries with conjunctions are no entries for themselves: nothing else (but notes) may stand beside, and only in a flow's apply-actions. */
static struct of_error check_conjunctions(const struct actions *as, const struct check *c)
{
    unsigned n = count_of(as, ACTION_CONJUNCTION), n_notes = count_of(as, ACTION_NOTE);
    return n && (n + n_notes != as->n || c->action_set || c->depth || !c->prereqs || c->table == OFPTT_ALL) ? OF_ERROR(OFPET_NICIRA, NXE_BAD_CONJUNCTION) : OF_OK;
}

static struct of_error check_list(const struct actions *as, struct check *c)
{
    struct of_error conjunctions = check_conjunctions(as, c);
    if (!of_ok(conjunctions)) {
        return conjunctions;
    }
    for (unsigned i = 0; i < as->n; i++) {
        const struct action *a = &as->list[i];
        if (c->action_set && !action_rows[a->type].in_set) {
            return bad_action(OFPBAC_BAD_TYPE);
        }
        struct of_error e = check_one(a, c);
        if (!of_ok(e)) {
            return e;
        }
    }
    return OF_OK;
}

static bool is_tag_action(enum action_type type)
{
    return type == ACTION_PUSH_VLAN || type == ACTION_POP_VLAN || type == ACTION_PUSH_MPLS || type == ACTION_POP_MPLS || type == ACTION_PUSH_PBB || type == ACTION_POP_PBB;
}

/* A set is carried out in an order of its own, pops and pushes before everything else (section 5.10): what fits in neither order is refused. */
static struct of_error check_set(const struct actions *as, const struct check *c)
{
    struct check as_written = *c, tags_first = *c;
    struct of_error e = check_list(as, &as_written);
    if (e.type != OFPET_BAD_ACTION || e.code != OFPBAC_MATCH_INCONSISTENT) {
        return e;
    }
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < as->n; i++) {
            const struct action *a = &as->list[i];
            struct of_error one = !action_rows[a->type].in_set ? bad_action(OFPBAC_BAD_TYPE) : is_tag_action(a->type) == !pass ? check_one(a, &tags_first) : OF_OK;
            if (!of_ok(one)) {
                return one;
            }
        }
    }
    return OF_OK;
}

struct of_error actions_check(const struct actions *as, const struct match *match, uint8_t table, bool action_set)
{
    struct check c = { .prereqs = match != NULL, .action_set = action_set, .table = table };
    if (match) {
        c.known = *match;
    }
    return check_list(as, &c);
}

struct of_error instructions_check(const struct instructions *is, const struct match *match, uint8_t table)
{
    if (is->has_goto && (is->goto_table <= table || is->goto_table >= N_TABLES)) {
        return OF_ERROR(OFPET_BAD_INSTRUCTION, OFPBIC_BAD_TABLE_ID);
    }
    if (is->has_meter && (!is->meter || is->meter > OFPM_MAX)) {
        return OF_ERROR(OFPET_METER_MOD_FAILED, OFPMMFC_INVALID_METER);
    }
    struct check c = { .prereqs = match != NULL, .table = table };
    struct of_error e = OF_OK;
    if (match) {
        c.known = *match;
    }
    if (is->has_apply) {
        if (count_of(&is->apply, ACTION_CONJUNCTION) && (is->has_goto || is->has_metadata || is->has_meter || is->clear || (is->has_write && is->write.n))) {
            return OF_ERROR(OFPET_NICIRA, NXE_BAD_CONJUNCTION);
        }
        e = check_list(&is->apply, &c);
    }
    if (of_ok(e) && is->has_write) {
        /* Written for the packet as the apply-actions leave it. */
        c.action_set = true;
        e = check_set(&is->write, &c);
    }
    return e;
}
