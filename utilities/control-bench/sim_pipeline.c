/* Lookup by going over all entries, and the actions that say where a frame goes (section 5 of OpenFlow 1.3.5, without action sets and edits of bytes). */
#include "utilities/control-bench/sim_impl.h"

#include <string.h>

enum { MAX_DEPTH = 64, ETH_SIZE = 14, VLAN_SIZE = 4, ARP_SIZE = 28, IPV4_SIZE = 20 };

void sim_parse(const uint8_t *data, unsigned size, uint32_t in_port, struct flow *f)
{
    flow_init(f);
    f->in_port = be32_put(in_port);
    if (size < ETH_SIZE) {
        return;
    }
    unsigned ofs = ETH_SIZE;
    uint16_t type = wire_get16(data + 12);
    memcpy(f->eth_dst.b, data, 6);
    memcpy(f->eth_src.b, data + 6, 6);
    if (type == 0x8100 && size >= ofs + VLAN_SIZE) {
        uint16_t tci = wire_get16(data + ofs);
        f->vlan_tpid = be16_put(type);
        f->vlan_vid = be16_put(FLOW_VLAN_PRESENT | (tci & 0xfff));
        f->vlan_pcp = (uint8_t) (tci >> 13);
        type = wire_get16(data + ofs + 2);
        ofs += VLAN_SIZE;
    }
    f->eth_type = be16_put(type);
    if (type == 0x0800 && size >= ofs + IPV4_SIZE) {
        f->ip_proto = data[ofs + 9];
        f->ipv4_src = be32_put(wire_get32(data + ofs + 12));
        f->ipv4_dst = be32_put(wire_get32(data + ofs + 16));
    } else if (type == 0x0806 && size >= ofs + ARP_SIZE) {
        f->arp_op = be16_put(wire_get16(data + ofs + 6));
        memcpy(f->arp_sha.b, data + ofs + 8, 6);
        f->arp_spa = be32_put(wire_get32(data + ofs + 14));
        memcpy(f->arp_tha.b, data + ofs + 18, 6);
        f->arp_tpa = be32_put(wire_get32(data + ofs + 24));
    }
}

struct pass {
    struct sim_switch *sw;
    struct flow key;
    const struct sim_verdict *verdict;
    const struct flow_entry *entry;     /* Whose actions run; NULL: a packet-out's. */
    unsigned depth;
};

struct search { const struct flow *key; const struct flow_entry *best; };

static void consider(struct flow_entry *e, void *search_)
{
    struct search *s = search_;
    struct match match;
    if (s->best && e->priority <= s->best->priority) {
        return;
    }
    minimatch_expand(e->match, &match);
    if (match_covers_flow(&match, s->key)) {
        s->best = e;
    }
}

static const struct flow_entry *lookup(struct sim_switch *sw, uint8_t table, const struct flow *key)
{
    struct of_flow_filter filter;
    struct search search = { key, NULL };
    of_flow_filter_init(&filter);
    filter.table_id = table;
    flow_tables_each(sw->flows, &filter, false, consider, &search);
    return search.best;
}

static void run(struct pass *, const struct actions *);

static void run_table(struct pass *p, uint8_t table)
{
    const struct flow_entry *outer = p->entry;
    for (unsigned next = table; next <= UINT8_MAX && p->depth < MAX_DEPTH; p->depth++) {
        p->entry = lookup(p->sw, (uint8_t) next, &p->key);
        if (!p->entry) {
            break;
        }
        const struct instructions *in = &p->entry->instructions;
        run(p, &in->apply);
        if (in->has_metadata) {
            uint64_t old = be64_get(p->key.metadata);
            p->key.metadata = be64_put((old & ~in->metadata_mask) | in->metadata);
        }
        next = in->has_goto ? in->goto_table : UINT8_MAX + 1u;
    }
    p->entry = outer;
}

static void packet_in(struct pass *p, uint8_t reason, uint32_t meter_id)
{
    struct sim_packet_in out = { .meter_id = meter_id, .in = {
        .buffer_id = OFP_NO_BUFFER, .reason = reason,
        .table_id = p->entry ? p->entry->table_id : 0, .cookie = p->entry ? p->entry->cookie : UINT64_MAX,
    } };
    struct match *match = &out.in.match;
    match_init(match);
    for (unsigned i = 0; i < FLOW_N_REGS; i++) {        /* As Open vSwitch: registers that are not zero, and the port. */
        uint32_t value = be32_get(p->key.regs[i]);
        if (value) {
            match_set_u64(match, (enum field_id) (FIELD_REG0 + i), value);
        }
    }
    if (be64_get(p->key.metadata)) {
        match_set_u64(match, FIELD_METADATA, be64_get(p->key.metadata));
    }
    match_set_u64(match, FIELD_IN_PORT, be32_get(p->key.in_port));
    p->verdict->packet_in(p->sw, &out, p->verdict->aux);
}

static void set_bits(struct pass *p, const struct subfield *dst, const union field_value *value, unsigned src_ofs)
{
    union field_value v;
    field_get(dst->field, &p->key, &v);
    field_copy_bits(value, src_ofs, &v, dst->ofs, dst->n_bits);
    field_set(dst->field, &p->key, &v);
}

static void output(struct pass *p, uint32_t port_no)
{
    if (port_no == OFPP_CONTROLLER) {
        bool miss = p->entry && !p->entry->priority && !p->entry->match->n;
        packet_in(p, miss ? OFPR_NO_MATCH : OFPR_ACTION, 0);
    } else {
        p->verdict->output(p->sw, port_no == OFPP_IN_PORT ? be32_get(p->key.in_port) : port_no, p->verdict->aux);
    }
}

static void run_group(struct pass *p, uint32_t id)
{
    const struct group *g = group_table_find(p->sw->groups, id);
    unsigned n = !g ? 0 : g->type == OFPGT_ALL ? g->n_buckets : MIN(1u, g->n_buckets);  /* Every port is live, every choice the first. */
    for (unsigned i = 0; i < n; i++) {
        struct flow before = p->key;
        run(p, &g->buckets[i].actions);
        p->key = before;
    }
}

static void run_one(struct pass *p, const struct action *a)
{
    union field_value v;
    struct flow before = p->key;
    switch (a->type) {
    case ACTION_OUTPUT:
        output(p, a->output.port);
        break;
    case ACTION_CONTROLLER:
        packet_in(p, a->controller.reason, a->controller.meter);
        break;
    case ACTION_GROUP:
        run_group(p, a->group);
        break;
    case ACTION_SET_FIELD:
        v = a->set_field.value;
        if (a->set_field.masked) {
            field_get(a->set_field.field, &p->key, &v);
            for (unsigned i = 0; i < 2; i++) {
                v.w[i] = (v.w[i] & ~a->set_field.mask.w[i]) | a->set_field.value.w[i];
            }
        }
        field_set(a->set_field.field, &p->key, &v);
        break;
    case ACTION_LOAD:
        v = field_value_from_u64(a->load.value);
        set_bits(p, &a->load.dst, &v, 0);
        break;
    case ACTION_MOVE:
        field_get(a->move.src.field, &p->key, &v);
        set_bits(p, &a->move.dst, &v, a->move.src.ofs);
        break;
    case ACTION_RESUBMIT:
        run_table(p, a->resubmit.table == OFPTT_ALL && p->entry ? p->entry->table_id : a->resubmit.table);
        break;
    case ACTION_CLONE:
        run(p, &a->nested);
        p->key = before;
        break;
    default:                    /* Edits, queues, notes: nothing that decides where the frame goes. */
        break;
    }
}

static void run(struct pass *p, const struct actions *actions)
{
    p->depth++;
    for (unsigned i = 0; i < actions->n && p->depth < MAX_DEPTH; i++) {
        run_one(p, &actions->list[i]);
    }
    p->depth--;
}

void sim_pipeline(struct sim_switch *sw, const struct flow *key, const struct sim_verdict *verdict)
{
    struct pass p = { .sw = sw, .key = *key, .verdict = verdict };
    run_table(&p, 0);
}

void sim_actions(struct sim_switch *sw, const struct actions *actions, const struct flow *key, const struct sim_verdict *verdict)
{
    struct pass p = { .sw = sw, .key = *key, .verdict = verdict };
    run(&p, actions);
}
