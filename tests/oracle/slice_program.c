#include "tests/oracle/slice_program.h"

#include <stdlib.h>
#include <string.h>
#include "vswitch/dp.h"

enum { ETH_IPV4 = 0x0800, ETH_ARP = 0x0806, ETH_IPV6 = 0x86dd };

struct mac program_mac(unsigned i) { return mac_from_u64(UINT64_C(0x525400000001) + i); }

static struct mac any_mac(struct rng *r)
{
    static const uint64_t special[] = { UINT64_C(0xffffffffffff), UINT64_C(0x01005e000005), UINT64_C(0x0180c200000e), UINT64_C(0x02000100000f) };
    return rng_below(r, 5) ? program_mac(rng_below(r, PROGRAM_N_MACS)) : mac_from_u64(special[rng_below(r, ARRAY_SIZE(special))]);
}

static struct ip any_ip(struct rng *r) { return ip_from_v4(0x0a000001 + rng_below(r, PROGRAM_N_MACS)); }
static uint32_t any_port(const struct program *p) { return rng_below(p->rng, 20) ? p->ports[rng_below(p->rng, p->n_ports)] : 77; }

/* --- Entries --- */

static void any_match(const struct program *p, struct match *m)
{
    struct rng *r = p->rng;
    if (!rng_below(r, 3)) {
        match_set_u64(m, FIELD_IN_PORT, any_port(p));
    }
    if (!rng_below(r, 4)) {
        match_set_mac(m, FIELD_ETH_DST, any_mac(r));
    }
    if (!rng_below(r, 6)) {
        match_set_mac_masked(m, FIELD_ETH_SRC, mac_from_u64(mac_u64(any_mac(r)) & 3), mac_from_u64(3));
    }
    if (!rng_below(r, 6)) {
        match_set_u64_masked(m, FIELD_METADATA, rng_below(r, 4), 3);
    }
    switch (rng_below(r, 8)) {
    case 0:
        match_set_u64(m, FIELD_VLAN_VID, rng_below(r, 2) ? 0 : FLOW_VLAN_PRESENT | 5);
        break;
    case 1:
        match_set_u64_masked(m, FIELD_VLAN_VID, FLOW_VLAN_PRESENT, FLOW_VLAN_PRESENT);
        break;
    default:
        break;
    }
    struct ip ip = any_ip(r);
    switch (rng_below(r, 6)) {
    case 0:
        match_set_u64(m, FIELD_ETH_TYPE, ETH_IPV4);
        match_set_ip(m, FIELD_IPV4_DST, &ip);
        break;
    case 1:
        match_set_u64(m, FIELD_ETH_TYPE, ETH_IPV4);
        match_set_u64(m, FIELD_IP_PROTO, 6);
        match_set_u64(m, FIELD_TCP_DST, 80 + rng_below(r, 2));
        break;
    case 2:
        match_set_u64(m, FIELD_ETH_TYPE, ETH_ARP);
        match_set_ip(m, FIELD_ARP_TPA, &ip);
        break;
    default:
        break;
    }
}

static void any_set_field(const struct program *p, const struct match *m, struct actions *out)
{
    struct rng *r = p->rng;
    uint16_t type = m ? be16_get(m->value.flow.eth_type) : 0;
    struct ip ip = any_ip(r);
    switch (rng_below(r, 5)) {
    case 0: actions_set_mac(out, FIELD_ETH_SRC, any_mac(r)); break;
    case 1: actions_set_mac(out, FIELD_ETH_DST, any_mac(r)); break;
    case 2:
        if (type == ETH_IPV4) {
            actions_set_ip(out, rng_below(r, 2) ? FIELD_IPV4_DST : FIELD_IPV4_SRC, &ip);
        }
        break;
    case 3:
        if (type == ETH_IPV4) {
            actions_set_u64(out, FIELD_IP_DSCP, rng_below(r, 64));
        } else if (type == ETH_ARP) {
            actions_set_ip(out, FIELD_ARP_SPA, &ip);
        }
        break;
    default:
        if (m && m->mask.flow.tp_dst.v) {
            actions_set_u64(out, FIELD_TCP_DST, 80 + rng_below(r, 3));
        }
        break;
    }
}

static void any_output(const struct program *p, struct actions *out)
{
    static const uint32_t reserved[] = { OFPP_FLOOD, OFPP_ALL, OFPP_IN_PORT, OFPP_CONTROLLER };
    actions_output(out, rng_below(p->rng, 4) ? any_port(p) : reserved[rng_below(p->rng, ARRAY_SIZE(reserved))]);
}

/* m NULL: of unknown packets. set: for an action set. may_pop: a modify is not told what its entries match. */
static void any_actions(const struct program *p, const struct match *m, bool set, bool may_pop, struct actions *out)
{
    struct rng *r = p->rng;
    for (unsigned n = rng_below(r, 5); n; n--) {
        switch (rng_below(r, 8)) {
        case 0: case 1: case 2:
            any_output(p, out);
            break;
        case 3: case 4:
            any_set_field(p, m, out);
            break;
        case 5:
            if (m) {                                    /* No groups in buckets here. */
                actions_group(out, 1 + rng_below(r, PROGRAM_GROUPS));
            }
            break;
        case 6:
            actions_add(out, ACTION_PUSH_VLAN)->ethertype = 0x8100;
            actions_set_u64(out, FIELD_VLAN_VID, FLOW_VLAN_PRESENT | rng_below(r, 8));
            break;
        default:
            if (m && !set && may_pop) {
                actions_add(out, ACTION_POP_VLAN);
            } else if (m && be16_get(m->value.flow.eth_type) == ETH_IPV4) {
                actions_add(out, ACTION_DEC_NW_TTL);
            }
            break;
        }
    }
    if (set && !rng_below(r, 3)) {
        any_output(p, out);
    }
}

void program_flow_mod(const struct program *p, struct of_flow_mod *mod)
{
    static const enum of_flow_command commands[] = { OFPFC_MODIFY, OFPFC_MODIFY_STRICT, OFPFC_DELETE, OFPFC_DELETE_STRICT };
    struct rng *r = p->rng;
    of_flow_mod_init(mod);
    mod->command = rng_below(r, 5) ? OFPFC_ADD : commands[rng_below(r, ARRAY_SIZE(commands))];
    mod->table_id = (uint8_t) rng_below(r, PROGRAM_TABLES);
    mod->cookie = rng_u64(r) >> 1;
    any_match(p, &mod->match);
    /* Which of two entries of one priority a frame meets is open (section 5.3), so that each match has a priority of its own. */
    struct minimatch *match = minimatch_new(&mod->match);
    mod->priority = match->n ? (uint16_t) hash_mix64(match->hash) : 0;
    free(match);
    if (mod->command == OFPFC_DELETE && rng_below(r, 4)) {
        mod->out_port = any_port(p);                    /* Else everything is deleted all the time. */
    }
    if (mod->command == OFPFC_DELETE || mod->command == OFPFC_DELETE_STRICT) {
        return;
    }
    struct instructions *in = &mod->instructions;
    if ((in->has_apply = rng_below(r, 5))) {
        any_actions(p, &mod->match, false, mod->command == OFPFC_ADD, &in->apply);
    }
    in->has_goto = mod->table_id + 1 < PROGRAM_TABLES && rng_below(r, 2);
    in->goto_table = (uint8_t) (mod->table_id + 1 + (in->has_goto ? rng_below(r, (uint32_t) (PROGRAM_TABLES - mod->table_id - 1)) : 0));
    if ((in->has_metadata = !rng_below(r, in->has_goto ? 3 : 6))) {
        in->metadata = rng_u64(r);
        in->metadata_mask = rng_below(r, 2) ? UINT64_MAX : 3;
    }
    if (!(p->terminal_sets && in->has_goto)) {
        in->clear = !rng_below(r, 6);
        if ((in->has_write = !rng_below(r, 3))) {
            any_actions(p, &mod->match, true, false, &in->write);
        }
    }
}

void program_group_mod(const struct program *p, struct of_group_mod *mod)
{
    static const enum of_group_command commands[] = { OFPGC_ADD, OFPGC_ADD, OFPGC_MODIFY, OFPGC_DELETE };
    struct rng *r = p->rng;
    *mod = (struct of_group_mod) {
        .command = commands[rng_below(r, ARRAY_SIZE(commands))], .type = (uint8_t) rng_below(r, 4), .group_id = 1 + rng_below(r, PROGRAM_GROUPS),
    };
    if (mod->command == OFPGC_DELETE) {
        return;
    }
    mod->n_buckets = mod->type == OFPGT_INDIRECT ? 1 : rng_below(r, 4);
    mod->buckets = xcalloc(mod->n_buckets + 1, sizeof *mod->buckets);
    for (unsigned i = 0; i < mod->n_buckets; i++) {
        struct of_bucket *b = &mod->buckets[i];
        b->weight = mod->type == OFPGT_SELECT ? (uint16_t) (1 + rng_below(r, 3)) : 0;
        b->watch_port = mod->type == OFPGT_FF ? p->ports[rng_below(r, p->n_ports)] : OFPP_ANY;
        b->watch_group = OFPG_ANY;
        actions_init(&b->actions);
        any_actions(p, NULL, true, false, &b->actions);
    }
}

void program_packet_out(const struct program *p, struct actions *out)
{
    actions_init(out);
    do {
        any_actions(p, NULL, false, false, out);
        if (!rng_below(p->rng, 4)) {
            actions_output(out, OFPP_TABLE);
        }
    } while (!out->n);
}

/* --- Frames --- */

unsigned program_frame(struct rng *r, uint8_t *out)
{
    struct flow key;
    struct buf frame = BUF_INIT;
    flow_init(&key);
    key.eth_dst = any_mac(r);
    key.eth_src = program_mac(rng_below(r, PROGRAM_N_MACS));
    if (!rng_below(r, 4)) {
        key.vlan_vid = be16_put((uint16_t) (FLOW_VLAN_PRESENT | rng_below(r, 8)));
        key.vlan_tpid = be16_put(0x8100);
    }
    unsigned kind = rng_below(r, 5);
    if (kind <= 2) {
        key.eth_type = be16_put(ETH_IPV4);
        key.ipv4_src = be32_put(0x0a000001 + rng_below(r, PROGRAM_N_MACS));
        key.ipv4_dst = be32_put(0x0a000001 + rng_below(r, PROGRAM_N_MACS));
        key.ip_proto = kind ? 6 : 17;
        key.nw_ttl = (uint8_t) (rng_below(r, 8) ? 64 : 1 + rng_below(r, 2));
        key.tp_src = be16_put(1234);
        key.tp_dst = be16_put((uint16_t) (80 + rng_below(r, 3)));
    } else if (kind == 3) {
        key.eth_type = be16_put(ETH_ARP);
        key.arp_op = be16_put(1);
        key.arp_sha = key.eth_src;
        key.arp_tha = rng_below(r, 2) ? key.eth_dst : mac_from_u64(0);
        key.arp_spa = be32_put(0x0a000001 + rng_below(r, PROGRAM_N_MACS));
        key.arp_tpa = be32_put(0x0a000001 + rng_below(r, PROGRAM_N_MACS));
    } else {
        key.eth_type = be16_put(0x88b5);
    }
    packet_compose(&key, &frame, 8 + rng_below(r, 60));
    unsigned size = (unsigned) frame.size;
    memcpy(out, frame.data, size);
    buf_fini(&frame);
    return size;
}
