/* The executor's spine: tables, ops, scopes. */
#include "vswitch/exec.h"

#include "vswitch/meter.h"
#include "vswitch/packet.h"

#define MISS_SEND_LEN 128       /* Section 7.3.2: OFP_DEFAULT_MISS_SEND_LEN, for packet-ins that no action asked for. */

void exec_init(struct exec *e, struct dp_thread *thread, struct packet *packet, uint32_t in_port, uint64_t now_ns)
{
    memset(e, 0, offsetof(struct exec, set));
    memset((char *) e + offsetof(struct exec, in_port), 0, sizeof *e - offsetof(struct exec, in_port));
    action_set_clear(&e->set);
    e->dp = thread->dp;
    e->thread = thread;
    e->ops = &e->dp->ops;
    e->aux = e->dp->aux;
    e->now_ns = now_ns;
    e->version = atomic_load_explicit(&e->dp->version, memory_order_acquire);
    e->packet = packet;
    e->in_port = in_port;
    e->len = packet->len;
    e->reason = DROP_NO_OUTPUT;
    packet->in_port = in_port;
    struct flow *f = &e->flow.flow;
    f->in_port = f->in_phy_port = be32_put(in_port);
    f->actset_output = be32_put(OFPP_UNSET);
}

void exec_note(struct exec *e, enum drop_reason reason, unsigned rank)
{
    if (rank > e->rank) {
        e->rank = (uint8_t) rank;
        e->reason = (uint8_t) reason;
    }
    exec_event(e, &(struct exec_event) { .type = EVENT_NOTE, .reason = (uint8_t) reason });
}

void exec_count_drop(struct exec *e, enum drop_reason reason)
{
    e->counted = true;
    if (e->observe) {
        e->observe(e, &(struct exec_event) { .type = EVENT_DROP, .reason = (uint8_t) reason });
    } else {
        dp_thread_drop(e->thread, e->in_port, reason);
    }
}

static void inapplicable_unless(struct exec *e, bool done)
{
    if (!done) {
        exec_diverged(e);
        exec_note(e, DROP_BAD_ACTION, RANK_WENT_WRONG);
    }
}

/* For the recorder: bits of a packet field have been written. */
static void wrote(struct exec *e, const struct field *f, const union field_value *mask)
{
    switch (field_id_of(f)) {
    case FIELD_ETH_DST: case FIELD_ETH_SRC:
        recorder_macs(e->rec, f, &e->flow, mask);
        return;
    case FIELD_ETH_TYPE: case FIELD_IP_PROTO: case FIELD_ICMPV4_TYPE: case FIELD_ICMPV4_CODE: case FIELD_ICMPV6_TYPE: case FIELD_ICMPV6_CODE:
    case FIELD_IPV6_ND_SLL: case FIELD_IPV6_ND_TLL: case FIELD_ND_OPTIONS_TYPE:
        e->rec->tainted = true;         /* The frame has been parsed again. */
        break;
    default:
        if (recorder_field(e->rec, e->packet, f, &e->flow.flow, mask)) {
            return;
        }
        break;
    }
    e->rec->plain = false;
}

static void set_packet_field(struct exec *e, const struct op *op)
{
    union field_value v = op->set.value;
    if (!op->set.exact) {
        field_get(op->set.field, &e->flow.flow, &v);
        for (unsigned i = 0; i < 2; i++) {
            v.w[i] = (v.w[i] & ~op->set.mask.w[i]) | op->set.value.w[i];
        }
    }
    bool done = packet_set_field(e->packet, &e->flow.flow, op->set.field, &v);
    inapplicable_unless(e, done || op->set.quiet);
    if (e->rec && done) {
        wrote(e, op->set.field, &op->set.mask);
    }
}

static void move_field(struct exec *e, const struct op *op)
{
    const struct subfield *src = &op->move.src, *dst = &op->move.dst;
    union field_value from, to;
    if (e->rec && e->rec->tainted) {
        exec_diverged(e);
    }
    if (!field_present(src->field->prereq, &e->flow.flow)) {
        inapplicable_unless(e, false);          /* There is nothing to move; zeros would be an invention. */
        return;
    }
    field_get(src->field, &e->flow.flow, &from);
    field_get(dst->field, &e->flow.flow, &to);
    field_copy_bits(&from, src->ofs, &to, dst->ofs, dst->n_bits);
    if (dst->field->offset < offsetof(struct flow, eth_dst) && field_id_of(dst->field) != FIELD_PBB_ISID) {
        field_set(dst->field, &e->flow.flow, &to);
    } else {
        inapplicable_unless(e, packet_set_field(e->packet, &e->flow.flow, dst->field, &to));
        if (e->rec) {
            union field_value mask = { .w = { 0, 0 } }, ones = { .w = { UINT64_MAX, UINT64_MAX } };
            field_copy_bits(&ones, 0, &mask, dst->ofs, dst->n_bits);
            wrote(e, dst->field, &mask);
        }
    }
}

uint64_t subfield_get(const struct subfield *s, const struct flow *flow)
{
    union field_value v, x = { .w = { 0, 0 } };
    field_get(s->field, flow, &v);
    field_copy_bits(&v, s->ofs, &x, 0, MIN(s->n_bits, 64));
    return field_value_u64(&x);
}

/* Section 7.2.5: "if it exists"; a TTL that would become zero ends the packet's processing and is a packet-in of its own reason. */
static bool decrement_ttl(struct exec *e, bool mpls)
{
    struct flow *f = &e->flow.flow;
    uint8_t ttl = mpls ? f->mpls_ttl : f->nw_ttl;
    enum field_id id = mpls ? FIELD_MPLS_TTL : FIELD_NW_TTL;
    bool expired = ttl <= 1;
    /* Writing the value that is there tells whether there is such a header at all. */
    if (!packet_set_u8(e->packet, f, id, expired ? ttl : (uint8_t) (ttl - 1))) {
        exec_diverged(e);
        exec_note(e, DROP_BAD_ACTION, RANK_WENT_WRONG);
        return true;
    }
    if (e->rec) {
        recorder_ttl(e->rec, e->packet, f, mpls);
    }
    if (expired) {
        exec_diverged(e);
        exec_packet_in(e, OFPR_INVALID_TTL, &(struct dp_controller) { .max_len = MISS_SEND_LEN });
        exec_note(e, DROP_TTL, RANK_WENT_WRONG);
    }
    return !expired;
}

static void set_ttl(struct exec *e, enum field_id id, uint8_t ttl)
{
    const struct field *f = field_row(id);
    union field_value all = field_mask_all(f);
    bool done = packet_set_u8(e->packet, &e->flow.flow, id, ttl);
    inapplicable_unless(e, done);
    if (e->rec && done) {
        wrote(e, f, &all);
    }
}

static void push_vlan(struct exec *e, uint16_t tpid)
{
    bool tagged = e->flow.flow.vlan_vid.v, done = packet_push_vlan(e->packet, &e->flow.flow, tpid);
    inapplicable_unless(e, done);
    if (e->rec && done) {
        recorder_push_vlan(e->rec, tpid, tagged);
    }
}

static void pop_vlan(struct exec *e)
{
    if (e->rec && e->flow.flow.vlan_vid.v) {
        recorder_pop_vlan(e->rec, e->packet);
    }
    inapplicable_unless(e, packet_pop_vlan(e->packet, &e->flow.flow));
}

static void push_mpls(struct exec *e, uint16_t ethertype)
{
    if (e->rec) {
        recorder_push_mpls(e->rec, e->packet, &e->flow.flow, ethertype);
    }
    inapplicable_unless(e, packet_push_mpls(e->packet, &e->flow.flow, ethertype));
}

static void pop_mpls(struct exec *e, uint16_t ethertype)
{
    if (e->rec) {
        recorder_pop_mpls(e->rec, ethertype);
    }
    inapplicable_unless(e, packet_pop_mpls(e->packet, &e->flow.flow, ethertype));
}

static bool resubmit(struct exec *e, const struct op *op, bool tail)
{
    if (e->depth >= DP_MAX_DEPTH || ++e->n_nested > DP_MAX_RESUBMITS) {
        exec_note(e, DROP_DEPTH, RANK_WENT_WRONG);
        return false;
    }
    uint64_t cookie = e->cookie;
    uint8_t table = e->table;
    uint8_t origin = e->origin;
    uint32_t port = op->resubmit.in_port;
    e->depth++;
    bool more = exec_tables(e, op->resubmit.table == OFPTT_ALL ? table : op->resubmit.table, port == OFPP_IN_PORT ? be32_get(e->flow.flow.in_port) : port, true, tail);
    e->depth--;
    e->cookie = cookie;
    e->table = table;
    e->origin = origin;
    return more;
}

/* It has a copy of the action set, too, and runs what it holds in the end, as Open vSwitch does. */
static void clone(struct exec *e, const struct op *op, bool tail)
{
    struct exec_scope scope;
    uint64_t cookie = e->cookie;
    uint8_t origin = e->origin;
    if ((op->n_body || !action_set_empty(&e->set)) && exec_scope_enter(e, &scope, tail)) {
        action_set_copy(&e->set, &scope.set);
        if (exec_ops(e, op + 1, op->n_body, true) && !action_set_empty(&e->set)) {
            exec_set_run(e, true);
        }
        exec_scope_leave(e, &scope);
        e->cookie = cookie;
        e->origin = origin;
    }
}

/* Registers may hold OpenFlow 1.0's 16-bit reserved ports, as Open vSwitch reads them; no port here has such a number. */
static uint32_t register_port(uint64_t value)
{
    return (uint32_t) (value >= 0xff00 && value <= 0xffff ? value | 0xffff0000 : value);
}

/* For the recorder: what is known of an op before it runs. */
static void record_op(struct exec *e, const struct op *op)
{
    struct recorder *rec = e->rec;
    switch ((enum op_code) op->code) {
    case OP_OUTPUT_REG:
        if (rec->tainted) {
            rec->cacheable = false;
        }
        break;
    case OP_PUSH_PBB: case OP_POP_PBB: case OP_COPY_TTL_OUT: case OP_COPY_TTL_IN:
        rec->tainted = true;
        rec->plain = false;
        break;
    case OP_CONTROLLER:
        rec->plain = false;
        break;
    default:
        break;
    }
}

bool exec_op(struct exec *e, const struct op *op, bool tail)
{
    struct flow *f = &e->flow.flow;
    struct packet *p = e->packet;
    if (e->rec) {
        record_op(e, op);
    }
    switch ((enum op_code) op->code) {
    case OP_OUTPUT: exec_output(e, op->output.port, op->output.max_len, tail); return true;
    case OP_OUTPUT_REG: exec_output(e, register_port(subfield_get(&op->output_reg.src, f)), op->output_reg.max_len, tail); return true;
    case OP_GROUP: exec_group(e, op->group, tail); return true;
    case OP_WORD: e->flow.w[op->word.index] = (e->flow.w[op->word.index] & ~op->word.mask) | op->word.value; return true;
    case OP_FIELD: set_packet_field(e, op); return true;
    case OP_MOVE: move_field(e, op); return true;
    case OP_PUSH_VLAN: push_vlan(e, op->ethertype); return true;
    case OP_TAG:
        if (!f->vlan_vid.v) {
            push_vlan(e, 0x8100);
        }
        return true;
    case OP_POP_VLAN: pop_vlan(e); return true;
    case OP_PUSH_MPLS: push_mpls(e, op->ethertype); return true;
    case OP_POP_MPLS: pop_mpls(e, op->ethertype); return true;
    case OP_PUSH_PBB: inapplicable_unless(e, packet_push_pbb(p, f, op->ethertype)); return true;
    case OP_POP_PBB: inapplicable_unless(e, packet_pop_pbb(p, f)); return true;
    case OP_SET_NW_TTL: set_ttl(e, FIELD_NW_TTL, op->ttl); return true;
    case OP_SET_MPLS_TTL: set_ttl(e, FIELD_MPLS_TTL, op->ttl); return true;
    case OP_DEC_NW_TTL: return decrement_ttl(e, false);
    case OP_DEC_MPLS_TTL: return decrement_ttl(e, true);
    case OP_COPY_TTL_OUT: inapplicable_unless(e, packet_copy_ttl_out(p, f)); return true;
    case OP_COPY_TTL_IN: inapplicable_unless(e, packet_copy_ttl_in(p, f)); return true;
    case OP_SET_QUEUE:
        p->queue = op->queue;
        if (e->rec) {
            recorder_queue(e->rec, op->queue);
        }
        return true;
    case OP_RESUBMIT: return resubmit(e, op, tail);
    case OP_CONTROLLER:
        if (exec_meter_allows(e, op->controller.meter)) {
            const struct userdata *u = op->controller.userdata;
            exec_packet_in(e, op->controller.reason, &(struct dp_controller) { .max_len = op->controller.max_len, .id = op->controller.id,
                                                                               .userdata_size = u ? u->size : 0, .userdata = u ? u->bytes : NULL });
        } else {
            exec_count_drop(e, DROP_PACKET_IN_LIMIT);
        }
        return true;
    case OP_CLONE:
        exec_event(e, &(struct exec_event) { .type = EVENT_CLONE });
        clone(e, op, tail);
        return true;
    case OP_DROP: exec_note(e, op->drop_reason, op->drop_reason == DROP_IN_PORT ? RANK_WENT_WRONG : RANK_DROP_ACTION); return false;
    case OP_METER: return exec_meter(e, op->meter);
    case OP_CONJUNCTION: case OP_UNSUPPORTED: exec_note(e, DROP_BAD_ACTION, RANK_WENT_WRONG); return true;
    case N_OP_CODES: break;
    }
    __builtin_unreachable();
}

bool exec_ops(struct exec *e, const struct op *ops, unsigned n, bool tail)
{
    for (unsigned i = 0; i < n; i += 1u + ops[i].n_body) {
        if (!exec_op(e, &ops[i], tail && i + 1 + ops[i].n_body >= n)) {
            return false;
        }
    }
    return true;
}

struct packet *exec_take_or_copy(struct exec *e, bool tail)
{
    struct packet *p = e->packet;
    if (tail && action_set_empty(&e->set)) {
        e->packet = NULL;
        return p;
    }
    struct packet *copy = e->ops->copy(e->thread, p, e->aux);
    if (!copy) {
        exec_diverged(e);
        exec_count_drop(e, DROP_NO_MEMORY);
        return NULL;
    }
    copy->in_port = p->in_port;
    copy->queue = p->queue;
    copy->l2_len = p->l2_len;
    copy->l3_ofs = p->l3_ofs;
    copy->l4_ofs = p->l4_ofs;
    return copy;
}

bool exec_scope_enter(struct exec *e, struct exec_scope *scope, bool tail)
{
    if (e->depth >= DP_MAX_DEPTH || ++e->n_nested > DP_MAX_RESUBMITS) {
        exec_note(e, DROP_DEPTH, RANK_WENT_WRONG);
        return false;
    }
    struct packet *mine = exec_take_or_copy(e, tail);
    if (!mine) {
        return false;
    }
    scope->inner = e->rec && e->packet;
    if (scope->inner) {
        e->rec->inner++;
    }
    scope->outer = e->packet;
    scope->flow = e->flow;
    action_set_copy(&scope->set, &e->set);
    action_set_clear(&e->set);
    e->packet = mine;
    e->depth++;
    return true;
}

void exec_scope_leave(struct exec *e, const struct exec_scope *scope)
{
    if (e->packet) {
        e->ops->free(e->thread, e->packet, e->aux);
    }
    if (scope->inner) {
        e->rec->inner--;
    }
    e->depth--;
    e->packet = scope->outer;
    e->flow = scope->flow;
    action_set_copy(&e->set, &scope->set);
}

void exec_scoped(struct exec *e, const struct op *ops, unsigned n, bool tail)
{
    struct exec_scope scope;
    if (n && exec_scope_enter(e, &scope, tail)) {
        exec_ops(e, ops, n, true);
        exec_scope_leave(e, &scope);
    }
}

static void count_hit(struct exec *e, const struct dp_rule *rule)
{
    count_packets(&e->thread->cells, rule->counters->id, 1, e->len, e->now_ns);
}

/* What the guide says of a lookup in that table: true and the rule, NULL for a miss.  False: it says nothing, or is not trusted any more. */
static bool guided(struct exec *e, uint8_t table, const struct dp_rule **rule)
{
    struct guide *g = e->guide;
    if (g->pos < g->n) {
        uint32_t id = g->ids[g->pos++];
        *rule = id < OF_N_TABLES ? NULL : dp_rule_of_counter(e->dp, id);
        if (*rule ? (*rule)->table == table && (*rule)->cls.added <= e->version : id == table) {
            return true;
        }
    }
    e->guide = NULL;
    return false;
}

static const struct dp_rule *find_rule(struct exec *e, uint8_t table, be32 as, uint32_t *conj_id)
{
    const struct dp_rule *rule;
    if (e->guide && guided(e, table, &rule)) {
        return rule;
    }
    /* A resubmit's in_port is for its lookup alone: the actions see the packet's own. */
    be32 in_port = e->flow.flow.in_port;
    e->flow.flow.in_port = as;
    struct cls_rule *found = classifier_lookup(&e->dp->tables[table], &e->flow, e->version);
    if (__builtin_expect(conjunctions_any(&e->dp->conjunctions[table]), 0)) {
        found = conjunctions_lookup(&e->dp->conjunctions[table], &e->dp->tables[table], &e->flow, e->version, found, conj_id);
    }
    e->flow.flow.in_port = in_port;
    rule = found ? CONTAINER_OF(found, struct dp_rule, cls) : NULL;
    if (e->rec) {
        recorder_rule(e->rec, table, rule ? rule->counters->id : table);
    }
    return rule;
}

bool exec_tables(struct exec *e, uint8_t table, uint32_t as_port, bool resubmitted, bool tail)
{
    for (be32 as = be32_put(as_port);; as = e->flow.flow.in_port) {
        if (table >= OF_N_TABLES) {
            exec_note(e, DROP_NO_MATCH, RANK_NO_MATCH);
            return true;
        }
        uint32_t conj_id = 0;
        const struct dp_rule *rule = find_rule(e, table, as, &conj_id);
        exec_event(e, &(struct exec_event) { .type = EVENT_TABLE, .table = table, .rule = rule, .conj_id = conj_id });
        if (!rule) {
            if (!e->observe) {
                count_packets(&e->thread->cells, table, 1, e->len, e->now_ns);
            }
            /* Section 5.4: "packets unmatched by flow entries are dropped".  A resubmit that finds nothing does nothing. */
            exec_note(e, DROP_NO_MATCH, RANK_NO_MATCH);
            if (!resubmitted && atomic_load_explicit(&e->dp->misses, memory_order_relaxed)) {
                e->table = table;
                e->cookie = UINT64_MAX;
                exec_packet_in(e, OFPR_IMPLICIT_MISS, &(struct dp_controller) { .max_len = MISS_SEND_LEN });
            }
            return resubmitted;
        }
        if (!e->observe) {
            count_hit(e, rule);
        }
        const struct program *p = atomic_load_explicit(&rule->program, memory_order_acquire);
        e->table = table;
        e->cookie = rule->cookie;
        e->origin = rule->is_miss ? OFPR_NO_MATCH : OFPR_ACTION;
        if (!exec_ops(e, p->ops, p->n_apply, tail && !p->has_goto && !p->n_write)) {
            return false;
        }
        if (p->clear) {
            exec_set_clear(e);
        }
        exec_set_write(e, p->ops + p->n_apply, p->n_write);
        e->flow.flow.metadata.v = (e->flow.flow.metadata.v & ~p->metadata_mask) | p->metadata;
        if (!p->has_goto) {
            return true;
        }
        table = p->goto_table;
    }
}

bool exec_pipeline(struct exec *e, bool tail)
{
    if (!exec_tables(e, 0, be32_get(e->flow.flow.in_port), false, tail)) {
        return false;
    }
    return action_set_empty(&e->set) || exec_set_run(e, tail);
}

/* What is left of the packet, and the one drop of a packet that got nowhere. */
static void finish(struct exec *e)
{
    if (e->rec) {
        recorder_finish(e->rec, e->n_sent, e->reason);
    }
    if (e->packet) {
        e->ops->free(e->thread, e->packet, e->aux);
        e->packet = NULL;
    }
    if (!e->n_sent && !e->counted) {
        exec_count_drop(e, e->reason);
    }
}

void exec_run(struct exec *e)
{
    struct dp *dp = e->dp;
    packet_extract(e->packet, &e->flow.flow);
    if (__builtin_expect(atomic_load_explicit(&dp->standalone, memory_order_relaxed), 0)
        && !atomic_load_explicit(&dp->tables[0].vector, memory_order_relaxed) && !conjunctions_any(&dp->conjunctions[0])) {
        exec_output(e, OFPP_NORMAL, 0, true);
    } else {
        exec_pipeline(e, true);
    }
    finish(e);
}

void exec_list(struct exec *e, const struct program *p)
{
    packet_extract(e->packet, &e->flow.flow);
    e->packet_out = true;
    exec_no_entry(e, OFPR_PACKET_OUT);
    exec_ops(e, p->ops, p->n_apply, true);
    finish(e);
}
