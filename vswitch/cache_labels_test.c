/*
 * Labels in the cache against its naive twin, a datapath without one: programs that push and pop at random and look at what comes up, and frames with stacks of
 * none to four labels, tagged or not, of few values, so that many share a key and few share all else.
 */
#include <stdlib.h>
#include <string.h>
#include "tests/unit.h"
#include "vswitch/cache.h"
#include "vswitch/dp_fixture.h"
#include "vswitch/dp_private.h"
#include "vswitch/packet_random.h"

unit_suite_fn cache_labels_test_suite;

enum { N_FRAMES = 96, N_TABLES = 4, N_ROUNDS = 150 };

struct pair { struct fixture cached, plain; struct rng rng; struct buf frames[N_FRAMES]; };

static const char *pick(struct rng *r, const char *const *list, unsigned n)
{
    return list[rng_below(r, n)];
}
#define PICK(R, ...) pick(R, (const char *const[]) { __VA_ARGS__ }, sizeof((const char *const[]) { __VA_ARGS__ }) / sizeof(char *))

/* --- Programs --- */

static const char *some_match(struct rng *r, unsigned table)
{
    if (rng_below(r, 3) == 0) {
        return "";
    }
    if (!table || rng_below(r, 2)) {
        return PICK(r, "mpls,", "mplsm,", "mpls,mpls_label=16,", "mpls,mpls_label=17,", "mpls,mpls_tc=1,", "mpls,mpls_bos=0,", "mpls,mpls_bos=1,", "mpls,mpls_ttl=2,",
                    "mpls,dl_vlan=5,", "dl_vlan=5,", "vlan_tci=0,");
    }
    return PICK(r, "ip,", "ip,nw_dst=10.0.0.1,", "udp,", "udp,tp_dst=80,", "tcp,tp_dst=80,", "ip,nw_ttl=2,", "ip,nw_frag=yes,", "ipv6,", "ipv6,ipv6_dst=2001:db8::1,",
                "udp6,tp_dst=80,", "arp,", "arp,arp_op=1,", "dl_type=0x88cc,", "ip,nw_tos=8,");
}

static void some_action(struct rng *r, struct buf *b, unsigned depth)
{
    switch (rng_below(r, 12)) {
    case 0: case 1: case 2: case 3:
        buf_printf(b, "%s,", PICK(r, "pop_mpls:0x0800", "pop_mpls:0x0800", "pop_mpls:0x8847", "pop_mpls:0x8847", "pop_mpls:0x8847", "pop_mpls:0x86dd", "pop_mpls:0x8848",
                                  "pop_mpls:0x88cc", "pop_mpls:0x0806", "pop_mpls:0x8100", "pop_mpls:0x8847,pop_mpls:0x0800"));
        break;
    case 4: case 5: buf_printf(b, "%s,", PICK(r, "push_mpls:0x8847", "push_mpls:0x8848", "push_mpls:0x8847,set_field:16->mpls_label")); break;
    case 6: case 7:
        buf_printf(b, "%s,", PICK(r, "dec_mpls_ttl", "set_mpls_ttl:2", "set_field:17->mpls_label", "set_field:1->mpls_tc", "copy_ttl_in", "copy_ttl_out",
                                  "move:OXM_OF_MPLS_LABEL[0]->NXM_NX_REG0[0]", "dec_ttl"));
        break;
    case 8:
        buf_printf(b, "%s,", PICK(r, "set_field:10.9.9.9->ip_dst", "set_field:81->udp_dst", "set_field:82->tcp_src", "set_field:2001:db8::1->ipv6_dst", "set_field:9->ip_dscp",
                                  "dec_ttl", "mod_nw_ttl:7", "set_field:2->arp_op", "set_field:77->ipv6_label"));
        break;
    case 9: buf_printf(b, "%s,", PICK(r, "push_vlan:0x8100", "pop_vlan", "set_field:0x1005->vlan_vid", "set_field:02:00:00:00:00:0a->eth_dst", "set_queue:3")); break;
    case 10: buf_printf(b, "output:%u,", 2 + rng_below(r, 3)); break;
    default:
        if (depth) {
            buf_puts(b, "clone(");
            some_action(r, b, 0);
            buf_puts(b, "output:2),");
        } else {
            buf_puts(b, "group:1,");
        }
        break;
    }
}

static void some_rule(struct rng *r, struct buf *b)
{
    unsigned table = rng_below(r, N_TABLES);
    const char *match = some_match(r, table);
    /* Different matches have different priorities: which of two overlapping rules of one priority counts is nobody's to say. */
    buf_printf(b, "table=%u,priority=%u,%sactions=", table, *match ? 1 + hash_bytes(match, strlen(match), 0) % 65000 : 0, match);
    for (unsigned i = rng_below(r, 4); i; i--) {
        some_action(r, b, 1);
    }
    if (table + 1 < N_TABLES && rng_below(r, 4)) {
        buf_printf(b, rng_below(r, 2) ? "goto_table:%u" : "resubmit(,%u),output:4", table + 1);
    } else {
        buf_puts(b, PICK(r, "output:2", "write_actions(pop_mpls:0x0800,dec_ttl,output:3)", "write_actions(push_mpls:0x8847,dec_mpls_ttl,output:3)"));
    }
}

/* --- Frames --- */

static void some_key(struct rng *r, struct flow *f)
{
    random_key(r, f);
    f->vlan_vid = be16_put(f->vlan_vid.v ? FLOW_VLAN_PRESENT | 5 : 0);
    if (rng_below(r, 4) == 0) {
        return;
    }
    bool v6 = rng_below(r, 3) == 0;
    if (be16_get(f->eth_type) != (v6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4)) {        /* Else what headers it has. */
        struct flow ip;
        flow_init(&ip);
        ip.eth_dst = f->eth_dst;
        ip.eth_src = f->eth_src;
        ip.vlan_vid = f->vlan_vid;
        ip.vlan_tpid = f->vlan_tpid;
        *f = ip;
    }
    f->eth_type = be16_put(v6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4);
    f->nw_ttl = (uint8_t []) { 1, 2, 3, 64 }[rng_below(r, 4)];
    f->ipv4_dst = be32_put(v6 ? 0 : 0x0a000000 | rng_below(r, 3));
    if (v6) {
        f->ipv6_dst = (struct ip) { { 0x20, 1, 0xd, 0xb8, [15] = (uint8_t) rng_below(r, 2) } };
    }
    if (!f->ip_proto) {
        f->ip_proto = rng_below(r, 2) ? IPPROTO_UDP_ : IPPROTO_TCP_;
    }
    if (!f->ip_frag && (f->ip_proto == IPPROTO_UDP_ || f->ip_proto == IPPROTO_TCP_)) {
        f->tp_dst = be16_put((uint16_t) (80 + rng_below(r, 2)));
    }
}

/* An IPv4 header gets an option; its checksum is nobody's concern here. */
static void add_option(struct buf *b, uint32_t ofs)
{
    buf_put_zeros(b, 4);
    memmove(b->data + ofs + 24, b->data + ofs + 20, b->size - ofs - 24);
    memset(b->data + ofs + 20, 1, 4);
    b->data[ofs]++;
    wire_put16(b->data + ofs + 2, (uint16_t) (wire_get16(b->data + ofs + 2) + 4));
}

static void make_frames(struct pair *p)
{
    struct rng *r = &p->rng;
    for (unsigned i = 0; i < N_FRAMES; i++) {
        struct flow key;
        struct buf *b = &p->frames[i];
        some_key(r, &key);
        buf_init(b);
        packet_compose(&key, b, rng_below(r, 40));
        uint32_t ofs = key.vlan_vid.v ? ETH_HEADER_SIZE + 4 : ETH_HEADER_SIZE;
        if (be16_get(key.eth_type) == ETH_TYPE_IPV4 && rng_below(r, 4) == 0) {
            add_option(b, ofs);
        }
        random_labels(r, b, ofs);
        if (rng_below(r, 6) == 0 && b->size > 76) {
            b->size = ETH_FRAME_MIN + rng_below(r, 16);         /* Popping pads it. */
        } else if (rng_below(r, 8) == 0) {
            b->size -= rng_below(r, (unsigned) b->size - ETH_HEADER_SIZE);
        }
    }
}

/* --- Both --- */

/* Until one is not refused: actions on headers that the match does not speak of are. */
static void add(struct pair *p)
{
    struct of_error cached, plain;
    do {
        struct buf b = BUF_INIT;
        some_rule(&p->rng, &b);
        fixture_flow(&p->cached, OFPFC_ADD, 0, buf_cstr(&b), &cached);
        fixture_flow(&p->plain, OFPFC_ADD, 0, buf_cstr(&b), &plain);
        CU_ASSERT_EQUAL(of_ok(cached), of_ok(plain));
        buf_fini(&b);
    } while (!of_ok(cached));
}

static void receive(struct pair *p, unsigned which)
{
    struct fixture *a = &p->cached, *b = &p->plain;
    const struct buf *frame = &p->frames[which];
    fixture_receive(a, 1, frame->data, (uint32_t) frame->size);
    fixture_receive(b, 1, frame->data, (uint32_t) frame->size);
    bool same = a->n_out == b->n_out && a->n_in == b->n_in;
    for (unsigned i = 0; same && i < MIN(a->n_out, FIXTURE_MAX); i++) {
        same = a->out[i].port == b->out[i].port && a->out[i].len == b->out[i].len && a->out[i].queue == b->out[i].queue && !memcmp(a->out[i].data, b->out[i].data, a->out[i].len);
    }
    CU_ASSERT_TRUE(same);
    for (unsigned reason = 0; reason < DROP_N_REASONS; reason++) {
        CU_ASSERT_EQUAL(dp_drops(a->dp, 1, reason), dp_drops(b->dp, 1, reason));
    }
}

static void compare_tables(struct pair *p)
{
    for (uint8_t t = 0; t < N_TABLES; t++) {
        struct of_table_stats x, y;
        dp_table_stats(p->cached.dp, t, &x);
        dp_table_stats(p->plain.dp, t, &y);
        CU_ASSERT_TRUE(x.lookup_count == y.lookup_count && x.matched_count == y.matched_count);
    }
}

static uint64_t one_round(struct pair *p, bool check)
{
    static const char *const buckets[] = { "1|-|-|output:2", "1|-|-|output:3" };
    struct dp_cache_stats stats;
    fixture_init(&p->cached);
    fixture_init(&p->plain);
    dp_set_cache(p->cached.dp, 1000, check);
    dp_set_cache(p->plain.dp, 0, false);
    fixture_group(&p->cached, OFPGC_ADD, 1, OFPGT_SELECT, buckets, 2, NULL);
    fixture_group(&p->plain, OFPGC_ADD, 1, OFPGT_SELECT, buckets, 2, NULL);
    make_frames(p);
    for (unsigned i = 0; i < 20; i++) {
        add(p);
    }
    for (unsigned i = 0; i < 6; i++) {
        for (unsigned k = 0; k < 2 * N_FRAMES; k++) {
            receive(p, rng_below(&p->rng, N_FRAMES));
        }
        add(p);
    }
    compare_tables(p);
    dp_cache_stats(p->cached.dp, 1, &stats);
    CU_ASSERT_EQUAL(stats.mismatches, 0);
    for (unsigned i = 0; i < N_FRAMES; i++) {
        buf_fini(&p->frames[i]);
    }
    fixture_fini(&p->cached);
    fixture_fini(&p->plain);
    return stats.hits - stats.guided;
}

static void test_twin(void)
{
    struct pair *p = XNEW(struct pair);
    uint64_t replayed = 0;
    rng_seed(&p->rng, unit_seed());
    for (unsigned i = 0; i < N_ROUNDS; i++) {
        replayed += one_round(p, i & 1);
    }
    printf("replayed: %llu\n", (unsigned long long) replayed);
    CU_ASSERT_TRUE(replayed > N_ROUNDS * 100);
    free(p);
}

void cache_labels_test_suite(void)
{
    UNIT_SUITE("cache, labels", { "against a datapath without one", test_twin });
}
