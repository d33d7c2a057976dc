/*
 * The cache against its naive twin: a datapath without one.
 *
 * Two datapaths get the same random rules, groups, ports, bundles and packets; all that leaves, all drops and all counters have to be the same after each step.  Half of the
 * rounds also run the test mode, which compares within one datapath.
 */
#include <stdlib.h>
#include <string.h>
#include "tests/unit.h"
#include "vswitch/cache.h"
#include "vswitch/dp_fixture.h"
#include "vswitch/dp_private.h"
#include "vswitch/packet_random.h"

unit_suite_fn cache_test_suite;

enum { N_FRAMES = 48, N_TABLES = 5 };

struct pair { struct fixture cached, plain; struct rng rng; struct buf frames[N_FRAMES]; };

static const char *pick(struct rng *r, const char *const *list, unsigned n)
{
    return list[rng_below(r, n)];
}
#define PICK(R, ...) pick(R, (const char *const[]) { __VA_ARGS__ }, sizeof((const char *const[]) { __VA_ARGS__ }) / sizeof(char *))

static void random_match_text(struct rng *r, struct buf *b)
{
    if (rng_below(r, 3) == 0) {
        buf_printf(b, "in_port=%u,", 1 + rng_below(r, 3));
    }
    if (rng_below(r, 4) == 0) {
        buf_printf(b, "reg0=0x%x/0x%x,", rng_below(r, 2), 1u);
    }
    if (rng_below(r, 8) == 0) {
        buf_printf(b, "metadata=%u,", rng_below(r, 2));
    }
    if (rng_below(r, 10) == 0) {
        buf_printf(b, "conj_id=%u,", 1 + rng_below(r, 2));
    }
    if (rng_below(r, 4) == 0) {
        buf_printf(b, "%s,", PICK(r, "dl_dst=02:00:00:00:00:01", "dl_dst=02:00:00:00:00:02", "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", "dl_dst=02:00:00:00:00:0a"));
    }
    if (rng_below(r, 5) == 0) {
        buf_printf(b, "%s,", PICK(r, "dl_src=02:00:00:00:00:03", "dl_src=02:00:00:00:00:04", "dl_src=02:00:00:00:00:0b"));
    }
    if (rng_below(r, 6) == 0) {
        buf_printf(b, "%s,", PICK(r, "dl_vlan=5", "vlan_tci=0", "vlan_tci=0x1000/0x1000", "dl_vlan=7"));
    }
    if (rng_below(r, 2)) {
        buf_printf(b, "%s,", PICK(r, "ip", "udp", "tcp", "ip,nw_dst=10.0.0.1", "ip,nw_dst=10.0.0.0/24", "ip,nw_src=10.0.1.0/31", "tcp,tp_dst=80", "udp,tp_src=7", "ip,nw_ttl=64",
                                  "ip,nw_dst=10.9.9.9", "ipv6", "tcp6,tp_dst=80", "arp", "arp,arp_op=1", "ip,nw_frag=later", "tcp,tcp_flags=+syn", "ipv6,ipv6_dst=2001:db8::1",
                                  "mpls", "ip,nw_ecn=1", "mpls,mpls_bos=0", "mpls,mpls_label=16", "mpls,mpls_label=17,mpls_tc=1", "mplsm", "mpls,mpls_bos=1", "mpls,mpls_ttl=2"));
    }
}

static void labels(struct rng *r, struct buf *b)
{
    buf_printf(b, "%s,", PICK(r, "push_mpls:0x8847", "push_mpls:0x8848", "push_mpls:0x8847,set_field:16->mpls_label", "push_mpls:0x8847,set_field:1->mpls_tc,set_mpls_ttl:2",
                              "pop_mpls:0x0800", "pop_mpls:0x0800", "pop_mpls:0x8847", "pop_mpls:0x8847", "pop_mpls:0x86dd", "pop_mpls:0x8848", "pop_mpls:0x88cc",
                              "pop_mpls:0x0806", "dec_mpls_ttl",
                              "pop_mpls:0x8100", "set_field:17->mpls_label", "copy_ttl_in", "copy_ttl_out", "move:OXM_OF_MPLS_LABEL[0]->NXM_NX_REG0[0]"));
}

static void random_action_text(struct rng *r, struct buf *b, unsigned table, unsigned depth)
{
    switch (rng_below(r, 26)) {
    case 0: case 1: case 2: case 3: case 4: buf_printf(b, "output:%u,", 1 + rng_below(r, 4)); break;
    case 5: buf_printf(b, "%s,", PICK(r, "IN_PORT", "FLOOD", "ALL", "CONTROLLER:100", "NORMAL", "NORMAL", "NORMAL")); break;
    case 6: buf_printf(b, "set_field:02:00:00:00:00:%02x->eth_dst,", 0x0a + rng_below(r, 2)); break;
    case 7: buf_puts(b, "set_field:02:00:00:00:00:0b->eth_src,"); break;
    case 8: buf_puts(b, "dec_ttl,"); break;
    case 9:
        buf_printf(b, "%s,", PICK(r, "set_field:10.9.9.9->ip_dst", "set_field:81->tcp_dst", "set_field:2001:db8::1->ipv6_dst", "set_field:3->ip_dscp",
                                  "set_field:0x1007->vlan_vid", "mod_nw_ttl:9"));
        break;
    case 10: buf_printf(b, "load:%u->NXM_NX_REG0[],", rng_below(r, 2)); break;
    case 11: buf_printf(b, "%s,", PICK(r, "move:NXM_OF_ETH_SRC[0..7]->NXM_NX_REG0[0..7]", "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]", "move:NXM_OF_IP_SRC[0]->NXM_NX_REG0[0]",
                                       "move:NXM_NX_REG0[0..3]->NXM_OF_ETH_DST[0..3]")); break;
    case 12: case 13: case 14:
        if (table + 1 < N_TABLES) {
            buf_printf(b, "resubmit(,%u),", table + 1 + rng_below(r, N_TABLES - table - 1));
        }
        break;
    case 15: buf_printf(b, "group:%u,", 1 + rng_below(r, 4)); break;
    case 16: buf_printf(b, "%s,", PICK(r, "push_vlan:0x8100", "pop_vlan", "push_mpls:0x8847", "pop_mpls:0x0800")); break;
    case 24: case 25: labels(r, b); break;
    case 17:
        if (depth) {
            buf_puts(b, "clone(");
            random_action_text(r, b, table, depth - 1);
            random_action_text(r, b, table, depth - 1);
            buf_puts(b, "output:2),");
        }
        break;
    case 21: case 22: case 23:
        buf_printf(b, "%s,", PICK(r, "set_field:10.8.8.8->ip_src", "set_field:82->udp_dst", "set_field:83->udp_src", "set_field:84->tcp_src",
                                  "set_field:2->ip_ecn", "set_field:0x1009->vlan_vid",
                                  "mod_vlan_pcp:6", "strip_vlan", "push_vlan:0x88a8", "set_field:2->arp_op", "set_field:10.7.7.7->arp_spa", "set_field:02:00:00:00:00:0c->arp_sha",
                                  "set_field:02:00:00:00:00:0d->arp_tha", "set_field:10.7.7.8->arp_tpa", "set_field:fe80::5->ipv6_src", "set_field:77->ipv6_label",
                                  "set_field:5->mpls_label", "set_field:3->mpls_tc", "dec_mpls_ttl", "set_mpls_ttl:7", "load:5->NXM_OF_IP_SRC[8..15]", "load:1->NXM_OF_TCP_DST[3]",
                                  "move:NXM_OF_IP_SRC[]->NXM_OF_IP_DST[]", "set_field:85->sctp_dst", "set_queue:5", "pop_queue", "load:9->OXM_OF_IPV6_DST[60..70]"));
        break;
    case 18: buf_puts(b, "load:3->NXM_NX_REG1[],output:NXM_NX_REG1[],"); break;
    case 20: buf_puts(b, "set_queue:3,"); break;
    case 19: buf_printf(b, "resubmit(%u,%u),", 1 + rng_below(r, 3), table + 1 < N_TABLES ? table + 1 : 200); break;
    default: break;
    }
}

static void random_rule_text(struct rng *r, struct buf *b)
{
    unsigned table = rng_below(r, N_TABLES);
    struct buf match = BUF_INIT;
    random_match_text(r, &match);
    unsigned conjunction = rng_below(r, 8) == 0 ? 1 + rng_below(r, 2) : 0;
    /* Which of two overlapping rules of one priority counts is nobody's to say, so different matches, and conjunctions, have different ones. */
    buf_printf(b, "table=%u,priority=%u,cookie=%u,%sactions=", table,
               conjunction ? 65000 + conjunction : match.size ? 1 + hash_bytes(match.data, match.size, 0) % 65000 : 0, rng_below(r, 100), buf_cstr(&match));
    buf_fini(&match);
    if (conjunction) {
        buf_printf(b, "conjunction(%u,%u/2)", conjunction, 1 + rng_below(r, 2));
        return;
    }
    if (rng_below(r, 6) == 0) {
        buf_printf(b, "meter:%u,", 1 + rng_below(r, 3));
    }
    for (unsigned i = rng_below(r, 4); i; i--) {
        random_action_text(r, b, table, 1);
    }
    if (rng_below(r, 4) == 0) {
        buf_printf(b, "%s,", PICK(r, "clear_actions", "write_actions(output:3)", "write_actions(set_field:02:00:00:00:00:0a->eth_dst,output:4)", "write_actions(group:2,dec_ttl)"));
    }
    if (rng_below(r, 4) == 0) {
        buf_printf(b, "write_metadata:%u/1,", rng_below(r, 2));
    }
    if (rng_below(r, 2) && table + 1 < N_TABLES) {
        buf_printf(b, "goto_table:%u,", table + 1);
    }
    if (b->data[b->size - 1] == ',') {
        b->size--;
    }
    if (b->data[b->size - 1] == '=') {
        buf_puts(b, "drop");
    }
}

/* --- One step on both --- */

static void mod(struct pair *p, enum of_flow_command command, const char *text)
{
    struct of_error a, b;
    fixture_flow(&p->cached, command, 0, text, &a);
    fixture_flow(&p->plain, command, 0, text, &b);
    CU_ASSERT_EQUAL(of_ok(a), of_ok(b));
}

static void group(struct pair *p, enum of_group_command command, uint32_t id, enum of_group_type type, const char *const *buckets, unsigned n)
{
    struct of_error a, b;
    fixture_group(&p->cached, command, id, type, buckets, n, &a);
    fixture_group(&p->plain, command, id, type, buckets, n, &b);
    CU_ASSERT_EQUAL(of_ok(a), of_ok(b));
}

static void random_group(struct pair *p)
{
    static const char *const sets[][2] = {
        { "1|-|-|output:2", "2|-|-|output:3" }, { "1|-|-|set_field:02:00:00:00:00:0a->eth_dst,output:2", "1|-|-|output:4" }, { "0|2|-|output:2", "0|3|-|output:3" },
        { "1|-|-|resubmit(,4)", "1|-|-|dec_ttl,output:1" },
    };
    uint32_t id = 1 + rng_below(&p->rng, 4);
    unsigned set = rng_below(&p->rng, 4);
    enum of_group_type type = set == 2 ? OFPGT_FF : rng_below(&p->rng, 2) ? OFPGT_SELECT : OFPGT_ALL;
    enum of_group_command command = group_table_find(dp_groups(p->plain.dp), id) ? (rng_below(&p->rng, 4) ? OFPGC_MODIFY : OFPGC_DELETE) : OFPGC_ADD;
    if (type == OFPGT_ALL) {            /* No weights. */
        static const char *const all[] = { "-|-|-|output:2", "-|-|-|set_field:02:00:00:00:00:0a->eth_dst,output:4" };
        group(p, command, id, type, all, command == OFPGC_DELETE ? 0 : 2);
        return;
    }
    group(p, command, id, type, sets[set], command == OFPGC_DELETE ? 0 : 2);
}

/* Two that drop, one of them by bytes, and one that remarks and drops. */
static void meters(struct pair *p, enum of_meter_command command)
{
    struct of_meter_band bands[3][2] = {
        { { .type = OFPMBT_DROP, .rate = 1000 + rng_below(&p->rng, 9000), .burst_size = 10 } },
        { { .type = OFPMBT_DROP, .rate = 1000 + rng_below(&p->rng, 9000), .burst_size = 8 } },
        { { .type = OFPMBT_DSCP_REMARK, .rate = 3000, .burst_size = 5, .prec_level = 1 }, { .type = OFPMBT_DROP, .rate = 8000, .burst_size = 10 } },
    };
    for (unsigned i = 0; i < 3; i++) {
        uint16_t unit = i == 1 ? OFPMF_KBPS : OFPMF_PKTPS;
        for (unsigned k = 0; k < 2; k++) {
            struct of_meter_mod mod = { .command = command, .flags = unit | OFPMF_BURST | OFPMF_STATS, .meter_id = i + 1, .n_bands = i == 2 ? 2 : 1 };
            mod.bands = xcalloc(2, sizeof bands[i][0]);      /* The table may keep them. */
            memcpy(mod.bands, bands[i], sizeof bands[i]);
            CU_ASSERT_TRUE(of_ok(meter_table_mod(dp_meters(k ? p->plain.dp : p->cached.dp), &mod)));
            free(mod.bands);
        }
    }
}

static void begin(struct fixture *fx)
{
    dp_bundle_begin(fx->dp);
    flow_tables_begin(dp_flows(fx->dp));
    group_table_begin(dp_groups(fx->dp));
}

static void end(struct fixture *fx, bool commit)
{
    if (commit) {
        dp_bundle_commit(fx->dp);
        group_table_commit(dp_groups(fx->dp));
        flow_tables_commit(dp_flows(fx->dp));
    } else {
        dp_bundle_abort(fx->dp);
        group_table_abort(dp_groups(fx->dp));
        flow_tables_abort(dp_flows(fx->dp));
    }
}

static void change(struct pair *p)
{
    struct rng *r = &p->rng;
    struct buf b = BUF_INIT;
    switch (rng_below(r, 14)) {
    case 0: random_group(p); break;
    case 1:
        buf_printf(&b, "table=%u,", rng_below(r, N_TABLES));
        random_match_text(r, &b);
        mod(p, OFPFC_DELETE, buf_cstr(&b));
        break;
    case 2: {
        uint32_t port = 1 + rng_below(r, 4), config = rng_below(r, 3) ? 0 : rng_below(r, 2) ? OFPPC_NO_FWD : OFPPC_PORT_DOWN;
        bool live = rng_below(r, 2);
        dp_port_set(p->cached.dp, port, config, live);
        dp_port_set(p->plain.dp, port, config, live);
        break;
    }
    case 3: meters(p, OFPMC_MODIFY); break;
    case 4: {
        bool on = rng_below(r, 2);
        dp_set_misses(p->cached.dp, on);
        dp_set_misses(p->plain.dp, on);
        break;
    }
    case 5: random_rule_text(r, &b); mod(p, OFPFC_MODIFY, buf_cstr(&b)); break;
    case 6: random_rule_text(r, &b); mod(p, OFPFC_DELETE_STRICT, buf_cstr(&b)); break;
    default: random_rule_text(r, &b); mod(p, OFPFC_ADD, buf_cstr(&b)); break;
    }
    buf_fini(&b);
}

static void bundle(struct pair *p)
{
    bool commit = rng_below(&p->rng, 3);
    begin(&p->cached);
    begin(&p->plain);
    for (unsigned i = 1 + rng_below(&p->rng, 5); i; i--) {
        struct buf b = BUF_INIT;
        random_rule_text(&p->rng, &b);
        if (rng_below(&p->rng, 5) == 0) {
            random_group(p);
        } else {
            mod(p, rng_below(&p->rng, 3) ? OFPFC_ADD : OFPFC_DELETE_STRICT, buf_cstr(&b));
        }
        buf_fini(&b);
    }
    end(&p->cached, commit);
    end(&p->plain, commit);
}

/* --- Traffic --- */

static void receive(struct pair *p, struct fixture *fx, const unsigned *which, unsigned n, uint32_t in_port)
{
    struct packet *packets[DP_BATCH];
    fx->n_out = fx->n_in = fx->n_copies = 0;
    for (unsigned i = 0; i < n; i++) {
        packets[i] = fixture_packet(fx, p->frames[which[i]].data, (uint32_t) p->frames[which[i]].size);
    }
    dp_receive(dp_thread(fx->dp, 1), packets, n, in_port, fx->now_ns);
}

static void traffic(struct pair *p)
{
    struct fixture *a = &p->cached, *b = &p->plain;
    unsigned which[DP_BATCH], n = 1 + rng_below(&p->rng, DP_BATCH), same = rng_below(&p->rng, 2) ? N_FRAMES : 4;
    uint32_t in_port = 1 + rng_below(&p->rng, 3);
    for (unsigned i = 0; i < n; i++) {
        which[i] = rng_below(&p->rng, same);
    }
    a->now_ns = b->now_ns += 1000000;
    receive(p, a, which, n, in_port);
    receive(p, b, which, n, in_port);
    CU_ASSERT_EQUAL(a->n_out, b->n_out);
    CU_ASSERT_EQUAL(a->n_in, b->n_in);
    for (unsigned i = 0; i < MIN(MIN(a->n_out, b->n_out), FIXTURE_MAX); i++) {
        bool same_out = a->out[i].port == b->out[i].port && a->out[i].len == b->out[i].len && !memcmp(a->out[i].data, b->out[i].data, a->out[i].len);
        CU_ASSERT_TRUE(same_out);
    }
    for (unsigned i = 0; i < MIN(MIN(a->n_in, b->n_in), FIXTURE_MAX); i++) {
        const struct fixture_packet_in *x = &a->in[i], *y = &b->in[i];
        CU_ASSERT_TRUE(x->cookie == y->cookie && x->table == y->table && x->reason == y->reason && x->len == y->len && !memcmp(&x->flow, &y->flow, sizeof x->flow));
    }
    for (unsigned reason = 0; reason < DROP_N_REASONS; reason++) {
        CU_ASSERT_EQUAL(dp_drops(a->dp, in_port, reason), dp_drops(b->dp, in_port, reason));
    }
}

/* --- Counters --- */

struct sums { uint64_t packets, bytes, used, n, mixed; struct fixture *fx; };

static void add_entry(struct flow_entry *e, void *sums_)
{
    struct sums *s = sums_;
    uint64_t packets, bytes, used;
    dp_flow_ops.counters(e, &packets, &bytes, &used, s->fx->dp);
    s->packets += packets;
    s->bytes += bytes;
    s->used += used;
    s->n++;
    s->mixed = hash_mix64(s->mixed ^ packets ^ bytes << 20 ^ used << 32) + e->cookie;       /* In the same order on both sides. */
}

static void sum(struct fixture *fx, struct sums *s)
{
    struct of_flow_filter all;
    memset(s, 0, sizeof *s);
    s->fx = fx;
    of_flow_filter_init(&all);
    flow_tables_each(dp_flows(fx->dp), &all, true, add_entry, s);
}

static void compare_meters(struct pair *p)
{
    for (uint32_t id = 1; id <= 3; id++) {
        struct of_meter_stats x, y;
        meter_table_stats(dp_meters(p->cached.dp), meter_table_find(dp_meters(p->cached.dp), id), &x);
        meter_table_stats(dp_meters(p->plain.dp), meter_table_find(dp_meters(p->plain.dp), id), &y);
        CU_ASSERT_TRUE(x.packet_in_count == y.packet_in_count && x.byte_in_count == y.byte_in_count);
        for (unsigned i = 0; i < x.n_bands; i++) {
            CU_ASSERT_TRUE(x.bands[i].packet_count == y.bands[i].packet_count && x.bands[i].byte_count == y.bands[i].byte_count);
        }
        free(x.bands);
        free(y.bands);
    }
}

static void compare_counters(struct pair *p)
{
    compare_meters(p);
    struct sums a, b;
    sum(&p->cached, &a);
    sum(&p->plain, &b);
    CU_ASSERT_EQUAL(a.n, b.n);
    CU_ASSERT_EQUAL(a.packets, b.packets);
    CU_ASSERT_EQUAL(a.bytes, b.bytes);
    CU_ASSERT_EQUAL(a.used, b.used);
    for (uint8_t t = 0; t < N_TABLES; t++) {
        struct of_table_stats x, y;
        dp_table_stats(p->cached.dp, t, &x);
        dp_table_stats(p->plain.dp, t, &y);
        CU_ASSERT_EQUAL(x.lookup_count, y.lookup_count);
        CU_ASSERT_EQUAL(x.matched_count, y.matched_count);
    }
    for (uint32_t id = 1; id <= 4; id++) {
        struct group *g = group_table_find(dp_groups(p->cached.dp), id), *h = group_table_find(dp_groups(p->plain.dp), id);
        struct of_group_stats x, y;
        CU_ASSERT_EQUAL(!g, !h);
        if (g && h) {
            dp_group_stats(p->cached.dp, g, &x);
            dp_group_stats(p->plain.dp, h, &y);
            CU_ASSERT_EQUAL(x.packet_count, y.packet_count);
            CU_ASSERT_EQUAL(x.byte_count, y.byte_count);
            for (unsigned i = 0; i < x.n_buckets; i++) {
                CU_ASSERT_EQUAL(x.buckets[i].packet_count, y.buckets[i].packet_count);
            }
            free(x.buckets);
            free(y.buckets);
        }
    }
}

/* Frames that the rules tell apart, and some of any kind. */
static void make_frames(struct pair *p)
{
    for (unsigned i = 0; i < N_FRAMES; i++) {
        struct rng *r = &p->rng;
        struct buf text = BUF_INIT;
        buf_init(&p->frames[i]);
        if (i % 3 == 0) {
            struct flow key;
            random_key(r, &key);
            packet_compose(&key, &p->frames[i], rng_below(r, 40));
            if (rng_below(r, 4) == 0 && p->frames[i].size > 20) {
                p->frames[i].size -= rng_below(r, (unsigned) p->frames[i].size - 14);       /* Cut off. */
            }
            continue;
        }
        const char *proto = PICK(r, "tcp,nw_src=10.0.1.%u,nw_dst=10.0.0.%u,tp_dst=%u,nw_ttl=%u", "udp,nw_src=10.0.1.%u,nw_dst=10.0.0.%u,tp_src=7,tp_dst=%u,nw_ttl=%u");
        buf_printf(&text, "dl_dst=02:00:00:00:00:0%u,dl_src=02:00:00:00:00:0%u,", rng_below(r, 3), 3 + rng_below(r, 2));
        if (rng_below(r, 4) == 0) {
            buf_printf(&text, "dl_vlan=%u,", 5 + rng_below(r, 3));
        }
        unsigned numbers[4] = { rng_below(r, 3), rng_below(r, 3), rng_below(r, 2) ? 80 : 81, (unsigned []) { 1, 2, 64, 65 }[rng_below(r, 4)] };
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        buf_printf(&text, proto, numbers[0], numbers[1], numbers[2], numbers[3]);
#pragma GCC diagnostic pop
        fixture_compose(buf_cstr(&text), &p->frames[i]);
        if (rng_below(r, 3) == 0) {
            random_labels(r, &p->frames[i], strstr(buf_cstr(&text), "vlan") ? ETH_HEADER_SIZE + 4 : ETH_HEADER_SIZE);
        }
        for (unsigned tags = rng_below(r, 4) ? 0 : 1 + rng_below(r, 2); tags; tags--) {
            static const uint8_t tag[4] = { 0x81, 0, 0x30, 7 };
            buf_put(&p->frames[i], tag, sizeof tag);
            memmove(p->frames[i].data + 16, p->frames[i].data + 12, p->frames[i].size - 16);
            memcpy(p->frames[i].data + 12, tag, sizeof tag);
            p->frames[i].data[15] = (uint8_t) (5 + rng_below(r, 3));
        }
        buf_fini(&text);
    }
}

static void test_twin(void)
{
    struct pair *p = XNEW(struct pair);
    uint64_t hits = 0;
    rng_seed(&p->rng, unit_seed());
    for (unsigned round = 0; round < 60; round++) {
        fixture_init(&p->cached);
        fixture_init(&p->plain);
        dp_set_cache(p->cached.dp, 100, round % 2);
        dp_set_cache(p->plain.dp, 0, false);
        meters(p, OFPMC_ADD);
        make_frames(p);
        for (unsigned step = 0; step < 200; step++) {
            if (rng_below(&p->rng, 2)) {
                change(p);
            } else if (rng_below(&p->rng, 10) == 0) {
                bundle(p);
            }
            if (rng_below(&p->rng, 40) == 0) {
                p->cached.now_ns = p->plain.now_ns += UINT64_C(6000000000);
                dp_tick(p->cached.dp);
            }
            traffic(p);
            traffic(p);
            if (step % 8 == 0) {
                compare_counters(p);
            }
        }
        compare_counters(p);
        hits += fixture_hits(&p->cached);
        for (unsigned i = 0; i < N_FRAMES; i++) {
            buf_fini(&p->frames[i]);
        }
        fixture_fini(&p->cached);
        fixture_fini(&p->plain);
    }
    printf("cache hits: %llu\n", (unsigned long long) hits);
    CU_ASSERT_TRUE(hits > 10000);
    free(p);
}

/* Unrelated rules come and go: entries stay, and are found to be right still. */
static void test_unrelated(void)
{
    struct fixture *fx = XNEW(struct fixture);
    struct dp_cache_stats before, after;
    fixture_init(fx);
    fixture_add(fx, "priority=5,dl_dst=02:00:00:00:00:01,actions=goto_table:1");
    fixture_add(fx, "table=1,priority=5,ip,nw_dst=10.0.0.1,actions=set_field:02:00:00:00:00:07->eth_dst,output:2");
    fixture_add(fx, "priority=5,dl_dst=02:00:00:00:00:99,actions=drop");
    fixture_add(fx, "table=1,priority=5,ip,nw_dst=10.9.9.9,actions=drop");
    fixture_receive_flow(fx, 1, "dl_dst=02:00:00:00:00:01,ip,nw_dst=10.0.0.1");
    dp_cache_stats(fx->dp, 1, &before);
    for (unsigned i = 0; i < 1000; i++) {
        char text[100];
        snprintf(text, sizeof text, "%s%u,actions=drop", i & 1 ? "table=1,priority=9,ip,nw_dst=10.9.9." : "priority=9,dl_dst=02:00:00:00:00:", 10 + i % 90);
        fixture_add(fx, text);
        fixture_receive_flow(fx, 1, "dl_dst=02:00:00:00:00:01,ip,nw_dst=10.0.0.1");
        CU_ASSERT_STRING_EQUAL(fixture_ports(fx), "2");
    }
    dp_cache_stats(fx->dp, 1, &after);
    CU_ASSERT_TRUE(after.stale - before.stale < 100);   /* The odd collision: eleven times for each rule. */
    CU_ASSERT_TRUE(after.hits - before.hits > 900);
    /* Related ones are obeyed at once. */
    fixture_add(fx, "table=1,priority=10,ip,nw_dst=10.0.0.0/24,actions=output:3");
    fixture_receive_flow(fx, 1, "dl_dst=02:00:00:00:00:01,ip,nw_dst=10.0.0.1");
    CU_ASSERT_STRING_EQUAL(fixture_ports(fx), "3");
    fixture_flow(fx, OFPFC_DELETE_STRICT, 0, "table=1,priority=10,ip,nw_dst=10.0.0.0/24", NULL);
    fixture_receive_flow(fx, 1, "dl_dst=02:00:00:00:00:01,ip,nw_dst=10.0.0.1");
    CU_ASSERT_STRING_EQUAL(fixture_ports(fx), "2");
    fixture_fini(fx);
    free(fx);
}

void cache_test_suite(void)
{
    UNIT_SUITE("cache", { "unrelated changes", test_unrelated }, { "against a datapath without one", test_twin });
}
