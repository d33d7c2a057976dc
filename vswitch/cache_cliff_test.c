/*
 * Rule sets that other switches take at full speed and that this cache once could not: each has to be known after its first packets.  That what is
 * replayed is right is the test mode's to say, which is on in all of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/buf.h"
#include "tests/unit.h"
#include "vswitch/cache.h"
#include "vswitch/dp_fixture.h"
#include "vswitch/dp_private.h"

unit_suite_fn cache_cliff_test_suite;

static struct fixture *begin(void)
{
    struct fixture *fx = XNEW(struct fixture);
    fixture_init(fx);
    dp_set_cache(fx->dp, 1 << 20, true);
    return fx;
}

static void end(struct fixture *fx)
{
    struct dp_cache_stats stats;
    dp_cache_stats(fx->dp, 1, &stats);
    CU_ASSERT_EQUAL(stats.mismatches, 0);
    fixture_fini(fx);
    free(fx);
}

/* Hits among n packets of one flow, those that ran live not counted. */
static unsigned replayed(struct fixture *fx, unsigned n, const char *flow)
{
    struct dp_cache_stats before, after;
    dp_cache_stats(fx->dp, 1, &before);
    for (unsigned i = 0; i < n; i++) {
        fixture_receive_flow(fx, 1, flow);
    }
    dp_cache_stats(fx->dp, 1, &after);
    return (unsigned) (after.hits - before.hits - (after.guided - before.guided));
}

/* Through so many tables, each of which is also looked up a second time; the key is as wide as it gets. */
static void test_long_walks(void)
{
    static const struct { unsigned n_tables; bool twice, cached; } cases[] = { { 5, false, true }, { 38, false, true }, { 38, true, true }, { 60, true, true },
                                                                                   { 70, true, false } };
    for (unsigned k = 0; k < ARRAY_SIZE(cases); k++) {
        struct fixture *fx = begin();
        char text[200];
        for (unsigned t = 0; t < cases[k].n_tables; t++) {
            snprintf(text, sizeof text, "table=%u,priority=1,%sactions=%s%sgoto_table:%u", t, t ? "" : "ip,", cases[k].twice ? "resubmit(,200)," : "", t ? "" : "dec_ttl,", t + 1);
            fixture_add(fx, text);
        }
        snprintf(text, sizeof text, "table=%u,priority=1,actions=output:2", cases[k].n_tables);
        fixture_add(fx, text);
        fixture_add(fx, "table=200,priority=1,actions=load:1->NXM_NX_REG0[]");
        fixture_add(fx, "table=1,priority=5,arp,arp_spa=10.0.0.1,arp_tpa=10.0.0.2,arp_sha=02:00:00:00:00:01,arp_tha=02:00:00:00:00:02,actions=drop");
        fixture_add(fx, "table=1,priority=5,icmp6,icmpv6_type=135,nd_target=fe80::1,nd_sll=02:00:00:00:00:01,actions=drop");
        fixture_add(fx, "table=1,priority=5,icmp6,icmpv6_type=136,nd_target=fe80::1,nd_tll=02:00:00:00:00:01,actions=drop");
        fixture_add(fx, "table=1,priority=5,tcp6,ipv6_src=fe80::1,ipv6_dst=fe80::2,tp_src=1,tp_dst=2,tcp_flags=+syn,ipv6_label=5,actions=drop");
        fixture_add(fx, "table=1,priority=5,tcp,nw_src=10.9.9.9,nw_dst=10.9.9.8,nw_tos=32,vlan_tci=0x3005,dl_src=02:00:00:00:00:07,dl_dst=02:00:00:00:00:08,actions=drop");
        fixture_receive_flow(fx, 1, "udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tp_src=1,tp_dst=2");
        CU_ASSERT_STRING_EQUAL(fixture_ports(fx), "2");
        dp_tick(fx->dp);
        fixture_receive_flow(fx, 1, "udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tp_src=1,tp_dst=2");
        CU_ASSERT_EQUAL(replayed(fx, 10, "udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tp_src=1,tp_dst=2"), cases[k].cached ? 10 : 0);
        /* Once such walks are gone, and rules with them, entries are small again. */
        struct dp_cache_stats stats;
        fixture_flow(fx, OFPFC_DELETE, 0, "table=200", NULL);
        fx->now_ns += UINT64_C(6000000000);
        dp_tick(fx->dp);
        dp_cache_stats(fx->dp, 1, &stats);
        CU_ASSERT_TRUE(stats.stride <= 16 + 8 * 24 + 4 * (CACHE_USUAL_IDS + 4));
        end(fx);
    }
}

enum { N_PROGRAMS = CACHE_MAX_PROGRAMS + 5000 };

static void add_programs(struct fixture *fx)
{
    char text[200];
    for (unsigned i = 0; i < N_PROGRAMS; i++) {
        snprintf(text, sizeof text, "priority=1,ip,nw_dst=10.0.%u.%u,actions=set_field:02:00:00:00:%02x:%02x->eth_dst,output:2", i >> 8, i & 255, i >> 8, i & 255);
        fixture_add(fx, text);
    }
}

/* More different things to do than programs: those that find no room are known as well, if more slowly. */
static void test_many_programs(void)
{
    struct fixture *fx = begin();
    struct dp_cache_stats stats, before;
    char text[200];
    add_programs(fx);
    for (unsigned round = 0; round < 9; round++) {
        dp_cache_stats(fx->dp, 1, &before);
        for (unsigned i = 0; i < N_PROGRAMS; i++) {
            snprintf(text, sizeof text, "ip,nw_dst=10.0.%u.%u", i >> 8, i & 255);
            fixture_receive_flow(fx, 1, text);
            CU_ASSERT_STRING_EQUAL(fixture_ports(fx), "2");
            CU_ASSERT_EQUAL(fx->out[0].data[4], i >> 8);
            CU_ASSERT_EQUAL(fx->out[0].data[5], i & 255);
        }
        dp_tick(fx->dp);
    }
    dp_cache_stats(fx->dp, 1, &stats);
    CU_ASSERT_TRUE(stats.hits - before.hits > N_PROGRAMS - 300);        /* A set may be full. */
    CU_ASSERT_TRUE(stats.guided - before.guided > 0 && stats.guided - before.guided < 6000);
    end(fx);
}

/* There is room again when more have been turned away than there are flows, since most must be gone. */
static void test_programs_that_are_gone(void)
{
    struct fixture *fx = XNEW(struct fixture);
    struct dp_cache_stats stats;
    char text[200];
    fixture_init(fx);
    dp_set_cache(fx->dp, 100, false);
    add_programs(fx);
    for (unsigned i = 0; i < 3 * N_PROGRAMS; i++) {
        snprintf(text, sizeof text, "ip,nw_dst=10.0.%u.%u", i / 3 >> 8, i / 3 & 255);
        fixture_receive_flow(fx, 1, text);
        CU_ASSERT_EQUAL(fx->out[0].data[5], i / 3 & 255);
    }
    CU_ASSERT_EQUAL(replayed(fx, 10, text), 10);
    dp_cache_stats(fx->dp, 1, &stats);
    CU_ASSERT_EQUAL(stats.resets, 2);           /* One of them is the beginning. */
    fixture_fini(fx);
    free(fx);
}

/* Room after so many flows that are met for a short time, a few between one tick and the next. */
static size_t room_after(unsigned n_ticks, unsigned flows_per_tick, uint64_t tick_ns)
{
    struct fixture *fx = XNEW(struct fixture);
    struct dp_cache_stats stats;
    char text[100];
    fixture_init(fx);
    dp_set_cache(fx->dp, 1 << 20, false);
    fixture_add(fx, "priority=1,ip,nw_dst=10.0.0.0/8,actions=output:2");
    fixture_add(fx, "priority=2,ip,nw_dst=10.255.255.255,actions=drop");
    for (unsigned i = 0; i < n_ticks * flows_per_tick; i++) {
        snprintf(text, sizeof text, "ip,nw_dst=10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        for (unsigned k = 0; k < 4; k++) {              /* Who comes once drives nobody out. */
            fixture_receive_flow(fx, 1, text);
        }
        if (i % flows_per_tick == flows_per_tick - 1) {
            fx->now_ns += tick_ns;
            dp_tick(fx->dp);
        }
    }
    dp_cache_stats(fx->dp, 1, &stats);
    CU_ASSERT_TRUE(stats.evictions > 1000);
    fixture_fini(fx);
    free(fx);
    return stats.n_flows;
}

/* New flows make a cache grow when they come faster than they are forgotten, however often the control thread looks. */
static void test_growth(void)
{
    size_t first = room_after(200, 300, UINT64_C(10000000000));
    CU_ASSERT_EQUAL(room_after(6000, 10, 100000000), first);
    CU_ASSERT_TRUE(room_after(200, 300, 100000000) > first);
    CU_ASSERT_TRUE(room_after(1000, 60, 20000000) > first);
}

/* --- Rewriting --- */

struct rewriting { const char *entry, *flow; uint8_t tags, labels; bool live; };

/* A VLAN tag in front of those that are there. */
static void tag(struct buf *frame, uint16_t tci)
{
    buf_put_zeros(frame, 4);
    memmove(frame->data + 16, frame->data + 12, frame->size - 16);
    wire_put16(frame->data + 12, 0x8100);
    wire_put16(frame->data + 14, tci);
}

/* So many labels in front of what the frame's type says, the outermost one `number`; the type is lost. */
static void label(struct buf *frame, unsigned n, uint32_t number, uint8_t ttl)
{
    for (unsigned i = 0; i < n; i++) {
        buf_put_zeros(frame, 4);
        memmove(frame->data + 18, frame->data + 14, frame->size - 18);
        wire_put32(frame->data + 14, (number + n - 1 - i) << 12 | 3 << 9 | (i ? 0 : 0x100) | ttl);
    }
    wire_put16(frame->data + 12, n ? 0x8847 : wire_get16(frame->data + 12));
}

static void same_output(struct fixture *a, struct fixture *b)
{
    CU_ASSERT_EQUAL_FATAL(a->n_out, b->n_out);
    for (unsigned i = 0; i < a->n_out; i++) {
        CU_ASSERT_EQUAL(a->out[i].port, b->out[i].port);
        CU_ASSERT_EQUAL(a->out[i].queue, b->out[i].queue);
        CU_ASSERT_EQUAL_FATAL(a->out[i].len, b->out[i].len);
        CU_ASSERT_FALSE(memcmp(a->out[i].data, b->out[i].data, a->out[i].len));
    }
}

static void rewrite(const struct rewriting *c, bool check)
{
    struct fixture *cached = XNEW(struct fixture), *plain = XNEW(struct fixture);
    struct dp_cache_stats stats;
    struct buf frame = BUF_INIT;
    struct rng rng;
    rng_seed(&rng, unit_seed());
    fixture_init(cached);
    fixture_init(plain);
    dp_set_cache(cached->dp, 1000, check);
    dp_set_cache(plain->dp, 0, false);
    fixture_compose(c->flow, &frame);
    label(&frame, c->labels, 100, 64);
    for (unsigned i = 0; i < c->tags; i++) {
        tag(&frame, (uint16_t) (0x3005 + i));
    }
    char *rest = xstrdup(c->entry), *at = rest;
    for (char *entry; (entry = strsep(&at, "|")); ) {
        fixture_add(cached, entry);
        fixture_add(plain, entry);
    }
    for (unsigned i = 0; i < 50; i++) {
        fixture_receive(cached, 1, frame.data, (uint32_t) frame.size);
        fixture_receive(plain, 1, frame.data, (uint32_t) frame.size);
        CU_ASSERT_TRUE(cached->n_out > 0);
        same_output(cached, plain);
        /* What no rule reads, checksums among it, is another one in each packet. */
        frame.data[frame.size - 1 - rng_below(&rng, 12)] ^= (uint8_t) (1 + rng_below(&rng, 255));
    }
    dp_cache_stats(cached->dp, 1, &stats);
    CU_ASSERT_EQUAL(stats.hits, 49);
    CU_ASSERT_EQUAL(stats.guided, c->live ? 49 : 0);
    CU_ASSERT_EQUAL(stats.mismatches, 0);
    if (stats.hits != 49 || !stats.guided == c->live) {
        fprintf(stderr, "%s: %llu hits, %llu of them live\n", c->entry, (unsigned long long) stats.hits, (unsigned long long) stats.guided);
    }
    free(rest);
    buf_fini(&frame);
    fixture_fini(cached);
    fixture_fini(plain);
    free(cached);
    free(plain);
}

#define TCP "tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,nw_tos=8,tp_src=7,tp_dst=80"
#define UDP "udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tp_src=7,tp_dst=80"
#define TCP6 "tcp6,ipv6_src=fe80::1,ipv6_dst=fe80::2,nw_ttl=64,tp_src=7,tp_dst=80"
#define ARP "arp,arp_op=1,arp_spa=10.0.0.1,arp_tpa=10.0.0.2,arp_sha=02:00:00:00:00:01"
#define MPLS "mpls,mpls_label=16,mpls_tc=2,mpls_bos=1,mpls_ttl=64"

static void test_rewriting(void)
{
    static const struct rewriting cases[] = {
        { "actions=push_vlan:0x8100,set_field:0x1007->vlan_vid,output:2", UDP, 0, 0, false },
        { "actions=push_vlan:0x88a8,set_field:5->vlan_pcp,output:2,output:3", TCP, 1, 0, false },
        { "actions=output:3,push_vlan:0x88a8,output:2,push_vlan:0x8100,set_field:0x1001->vlan_vid,output:4", TCP6, 2, 0, false },
        { "dl_vlan=5,actions=pop_vlan,output:2", UDP, 1, 0, false },
        { "dl_vlan=6,actions=pop_vlan,pop_vlan,output:2", UDP, 2, 0, false },
        { "dl_vlan=6,actions=pop_vlan,set_field:0x1009->vlan_vid,output:2,pop_vlan,output:3", UDP, 2, 0, false },
        { "vlan_tci=0x1000/0x1000,actions=set_field:0x1123->vlan_vid,set_field:1->vlan_pcp,output:2", UDP, 1, 0, false },
        { "dl_vlan=6,actions=pop_vlan,resubmit(,1)|table=1,dl_vlan=5,actions=pop_vlan,output:2|table=1,priority=1,actions=output:3", UDP, 2, 0, false },
        { "dl_vlan=5,actions=pop_vlan,resubmit(,1)|"
          "table=1,ip,nw_dst=10.0.0.2,actions=set_field:02:00:00:00:00:09->eth_dst,dec_ttl,push_vlan:0x8100,set_field:0x1008->vlan_vid,output:2", UDP, 1, 0, false },
        { "ip,actions=dec_ttl,push_vlan:0x8100,dec_ttl,output:2,dec_ttl,output:3", TCP, 0, 0, false },
        { "ip,actions=push_vlan:0x8100,dec_ttl,pop_vlan,dec_ttl,output:2", TCP, 1, 0, false },
        { "ip,actions=set_field:10.1.2.3->ip_src,output:2", TCP, 0, 0, false },
        { "tcp,actions=set_field:10.1.2.3->ip_dst,set_field:8080->tcp_dst,set_field:1->tcp_src,output:2", TCP, 0, 0, false },
        { "udp,actions=set_field:10.1.2.3->ip_dst,set_field:8080->udp_dst,set_field:1->udp_src,output:2", UDP, 1, 0, false },
        { "tcp6,actions=set_field:2001:db8::1->ipv6_src,set_field:2001:db8::2->ipv6_dst,output:2", TCP6, 0, 0, true },        /* More than a program holds. */
        { "tcp6,actions=set_field:2001:db8::1->ipv6_src,set_field:9->tcp_dst,output:2", TCP6, 0, 0, false },
        { "icmp6,actions=set_field:2001:db8::1->ipv6_dst,output:2", "icmp6,ipv6_src=fe80::1,ipv6_dst=fe80::2,icmpv6_type=128", 0, 0, false },
        { "icmp,actions=set_field:10.1.2.3->ip_dst,output:2", "icmp,nw_src=10.0.0.1,nw_dst=10.0.0.2,icmp_type=8", 0, 0, false },
        { "ip,actions=set_field:10->ip_dscp,set_field:1->ip_ecn,mod_nw_ttl:9,dec_ttl,output:2", TCP, 0, 0, false },
        { "ipv6,actions=set_field:10->ip_dscp,set_field:1->ip_ecn,set_field:0x12345->ipv6_label,mod_nw_ttl:9,dec_ttl,output:2", TCP6, 0, 0, false },
        { "arp,actions=set_field:2->arp_op,set_field:10.3.3.3->arp_spa,set_field:02:00:00:00:00:08->arp_tha,output:2", ARP, 0, 0, false },
        { "arp,actions=set_field:10.3.3.3->arp_tpa,set_field:02:00:00:00:00:08->arp_sha,output:2", ARP, 1, 0, false },
        { "mpls,actions=set_field:100000->mpls_label,set_field:5->mpls_tc,dec_mpls_ttl,output:2", MPLS, 0, 0, false },
        { "mpls,actions=dec_mpls_ttl,push_vlan:0x8100,dec_mpls_ttl,set_field:0x1007->vlan_vid,output:2", MPLS, 0, 0, false },
        { "mpls,actions=set_mpls_ttl:3,output:2", MPLS, 1, 0, false },
        /* Labels pushed. */
        { "actions=push_mpls:0x8847,set_field:17->mpls_label,output:2", UDP, 0, 0, false },
        { "actions=push_mpls:0x8848,output:2,push_mpls:0x8847,set_field:2->mpls_tc,output:3", TCP6, 1, 0, false },
        { "ip,actions=dec_ttl,push_mpls:0x8847,set_field:17->mpls_label,dec_mpls_ttl,set_field:02:00:00:00:00:09->eth_dst,output:2", TCP, 0, 0, false },
        { "actions=push_mpls:0x8847,set_field:17->mpls_label,set_mpls_ttl:9,dec_mpls_ttl,push_vlan:0x8100,set_field:0x1005->vlan_vid,output:2", ARP, 0, 0, false },
        { "actions=push_mpls:0x8847,goto_table:1|table=1,mpls,mpls_ttl=64,mpls_bos=1,actions=dec_mpls_ttl,push_mpls:0x8847,output:2", UDP, 0, 0, false },
        { "mpls,actions=push_mpls:0x8847,dec_mpls_ttl,output:2,pop_mpls:0x8847,output:3", MPLS, 0, 0, false },
        { "actions=write_actions(push_mpls:0x8847,set_field:17->mpls_label,push_vlan:0x8100,output:2)", UDP, 0, 0, false },
        /* Popped. */
        { "mpls,actions=pop_mpls:0x0800,output:2", UDP, 0, 1, false },
        { "mpls,actions=pop_mpls:0x0800,dec_ttl,set_field:9->ip_dscp,output:2", UDP, 1, 1, false },
        { "mpls,mpls_bos=0,actions=pop_mpls:0x8847,dec_mpls_ttl,output:2", UDP, 1, 2, true },               /* Nothing follows that would ask what is below. */
        { "mpls,mpls_bos=0,actions=pop_mpls:0x8847,goto_table:1|table=1,mpls,mpls_label=101,actions=dec_mpls_ttl,output:2", UDP, 1, 2, false },
        { "mpls,mpls_bos=0,actions=pop_mpls:0x8847,goto_table:1|table=1,mpls,mpls_label=101,mpls_bos=0,mpls_tc=3,actions=pop_mpls:0x8847,goto_table:2|"
          "table=2,mpls,mpls_label=102,mpls_bos=1,actions=pop_mpls:0x0800,resubmit(,3)|table=3,udp,udp_dst=80,nw_dst=10.0.0.2,actions=dec_ttl,output:2", UDP, 0, 3, false },
        { "mpls,actions=pop_mpls:0x0800,goto_table:1|table=1,tcp,nw_dst=10.0.0.2,actions=dec_ttl,set_field:10.1.2.3->ip_dst,set_field:8080->tcp_dst,output:2", TCP, 2, 1, false },
        { "mpls,actions=pop_mpls:0x86dd,goto_table:1|table=1,tcp6,ipv6_dst=fe80::2,actions=dec_ttl,set_field:8080->tcp_dst,set_field:9->ip_dscp,output:2", TCP6, 0, 1, false },
        { "mpls,actions=pop_mpls:0x86dd,goto_table:1|table=1,tcp6,actions=set_field:8080->tcp_dst,push_mpls:0x8847,output:2",
          TCP6 ",ipv6_exthdr=8", 0, 1, false },
        { "mpls,actions=pop_mpls:0x86dd,goto_table:1|table=1,priority=2,ip,actions=drop|table=1,priority=1,actions=output:2", UDP, 0, 1, false },      /* Not what it says. */
        { "dl_vlan=5,mpls,actions=pop_vlan,pop_mpls:0x0800,goto_table:1|"
          "table=1,ip,nw_dst=10.0.0.2,actions=push_vlan:0x8100,set_field:0x1009->vlan_vid,output:2", UDP, 1, 1, false },
        { "mpls,actions=pop_mpls:0x88cc,goto_table:1|table=1,dl_type=0x88cc,actions=push_mpls:0x8847,output:2", UDP, 0, 2, false },
        { "mpls,actions=dec_mpls_ttl,pop_mpls:0x0800,dec_ttl,output:2", UDP, 0, 1, true },              /* Two TTLs. */
        { "mpls,actions=clone(pop_mpls:0x0800,output:2),output:3", UDP, 0, 1, true },
        { "actions=set_queue:3,output:2,pop_queue,output:3", UDP, 0, 0, false },
        { "actions=set_queue:70000,output:2", UDP, 0, 0, true },
        { "tcp,actions=load:5->NXM_OF_IP_SRC[8..15],load:1->NXM_OF_TCP_DST[3],move:NXM_OF_IP_SRC[0..7]->NXM_OF_IP_DST[16..23],output:2", TCP, 0, 0, false },
        { "actions=clone(push_vlan:0x8100,output:2),output:3", UDP, 0, 0, true },
        { "sctp,actions=set_field:7->sctp_dst,output:2", "sctp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tp_src=1,tp_dst=2", 0, 0, true },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        rewrite(&cases[i], false);
        rewrite(&cases[i], true);
    }
}

/* Where there is no headroom, or where the TTL would expire, a packet of a known flow walks. */
static void test_unfit(void)
{
    struct fixture *fx = begin();
    struct buf frame = BUF_INIT;
    fixture_add(fx, "ip,actions=push_vlan:0x8100,dec_ttl,output:2");
    fixture_compose(UDP, &frame);
    for (unsigned i = 0; i < 4; i++) {
        struct packet *p = fixture_packet(fx, frame.data, (uint32_t) frame.size);
        p->headroom = i == 2 ? 3 : p->headroom;
        p->data[22] = i == 3 ? 1 : 64;
        fx->n_out = 0;
        dp_receive(dp_thread(fx->dp, 1), &p, 1, 1, fx->now_ns);
        CU_ASSERT_EQUAL(fx->n_out, i == 3 ? 0 : 1);
        CU_ASSERT_TRUE(i == 3 || (fx->out[0].len == frame.size + 4 && fx->out[0].data[26] == 63));
    }
    CU_ASSERT_EQUAL(fixture_hits(fx), 3);
    buf_fini(&frame);
    end(fx);
}

/* Frames that agree in all fields that are read, but not in what is behind a popped tag, or in whether there is a label at all. */
static void test_told_apart(void)
{
    struct fixture *fx = begin();
    struct buf two = BUF_INIT, label = BUF_INIT;
    fixture_add(fx, "dl_vlan=6,actions=pop_vlan,resubmit(,1)");
    fixture_add(fx, "table=1,dl_vlan=5,actions=output:2");
    fixture_add(fx, "table=1,dl_vlan=9,actions=output:3");
    fixture_add(fx, "table=1,priority=1,vlan_tci=0,actions=output:4");
    fixture_add(fx, "mpls,actions=dec_mpls_ttl,output:2");
    fixture_compose(UDP, &two);
    tag(&two, 0x3005);
    tag(&two, 0x3006);
    for (unsigned i = 0; i < 9; i++) {
        two.data[19] = (uint8_t []) { 5, 9, 5 }[i % 3];
        wire_put16(two.data + 16, i % 3 == 2 ? 0x9100 : 0x8100);       /* That is no tag. */
        fixture_receive(fx, 1, two.data, (uint32_t) two.size);
        CU_ASSERT_STRING_EQUAL(fixture_ports(fx), ((const char *[]) { "2", "3", "4" }[i % 3]));
    }
    CU_ASSERT_EQUAL(fixture_hits(fx), 6);
    fixture_compose("mpls,mpls_label=0,mpls_tc=0,mpls_bos=0,mpls_ttl=64", &label);
    for (unsigned i = 0; i < 4; i++) {
        uint32_t len = i & 1 ? 17 : (uint32_t) label.size;             /* Without room for a label. */
        label.data[17] = 64;
        fixture_receive(fx, 1, label.data, len);
        CU_ASSERT_STRING_EQUAL(fixture_ports(fx), "2");
        CU_ASSERT_TRUE(i & 1 || fx->out[0].data[17] == 63);
    }
    buf_fini(&two);
    buf_fini(&label);
    end(fx);
}

/* The padding that a popped tag or label brings about completes a TCP header that the frame's end had cut off: what is not in the key decides. */
static void test_cut_off(void)
{
    struct fixture *fx = begin();
    uint8_t d[60] = { 2, [11] = 1 };
    fixture_add(fx, "dl_vlan=5,actions=pop_vlan,goto_table:1");
    fixture_add(fx, "mpls,actions=pop_mpls:0x0800,goto_table:1");
    fixture_add(fx, "table=1,priority=2,tcp,tp_dst=80,actions=output:2");
    fixture_add(fx, "table=1,priority=1,actions=output:3");
    wire_put16(d + 18, 0x4600);         /* An option of four bytes. */
    wire_put16(d + 20, 44);
    wire_put16(d + 26, 64 << 8 | 6);
    for (unsigned i = 0; i < 12; i++) {
        wire_put32(d + 12, i < 6 ? 0x81000005 : 0x88470001);
        wire_put16(d + 16, i < 6 ? 0x0800 : 0x0140);
        wire_put16(d + 44, i & 1 ? 81 : 80);
        fixture_receive(fx, 1, d, sizeof d);
        CU_ASSERT_STRING_EQUAL(fixture_ports(fx), i & 1 ? "3" : "2");
    }
    end(fx);
}

/* A label that looks like the beginning of an IPv4 header is taken for one; what its addresses are no key has. */
static void test_label_as_header(void)
{
    for (unsigned pushed = 0; pushed < 2; pushed++) {
        struct fixture *fx = begin();
        uint8_t d[80] = { 2, [11] = 1, [12] = 0x88, [13] = 0x47 };
        unsigned ofs = pushed ? 14 : 18;
        fixture_add(fx, pushed ? "mpls,actions=push_mpls:0x8847,pop_mpls:0x0800,goto_table:1" : "mpls,actions=pop_mpls:0x0800,goto_table:1");
        fixture_add(fx, "table=1,priority=2,ip,nw_dst=10.0.0.1,actions=output:2");
        fixture_add(fx, "table=1,priority=1,actions=output:3");
        wire_put32(d + 14, 16 << 12 | 64);
        wire_put32(d + ofs, 0x45000140);
        for (unsigned i = 0; i < 6; i++) {
            wire_put32(d + ofs + 16, i & 1 ? 0x0a000002 : 0x0a000001);
            fixture_receive(fx, 1, d, sizeof d);
            CU_ASSERT_STRING_EQUAL(fixture_ports(fx), i & 1 ? "3" : "2");
        }
        end(fx);
    }
}

/* A copy's labels are not the packet's: of the second label, taken for an IP header, nothing is known. */
static void test_labels_of_a_copy(void)
{
    struct fixture *fx = begin();
    uint8_t d[80] = { 2, [11] = 1, [12] = 0x88, [13] = 0x47 };
    fixture_add(fx, "mpls,actions=clone(pop_mpls:0x8847,output:3),pop_mpls:0x0800,goto_table:1");
    fixture_add(fx, "table=1,priority=2,ip,nw_dst=10.0.0.1,actions=output:2");
    fixture_add(fx, "table=1,priority=1,actions=output:4");
    wire_put32(d + 14, 16 << 12 | 64);
    wire_put32(d + 18, 0x45000140);
    for (unsigned i = 0; i < 6; i++) {
        wire_put32(d + 34, i & 1 ? 0x0a000002 : 0x0a000001);
        fixture_receive(fx, 1, d, sizeof d);
        CU_ASSERT_STRING_EQUAL(fixture_ports(fx), i & 1 ? "3,4" : "3,2");
    }
    end(fx);
}

/* Two more tags, or an 802.2 header: as long, and the same to whoever asks for the type; but labels behind a length are not popped. */
static void test_label_behind_a_length(void)
{
    static const uint8_t between[2][8] = { { 0x81, 0, 0, 5, 0x81, 0, 0, 6 }, { 0, 62, 0xaa, 0xaa, 3, 0, 0, 0 } };
    struct fixture *fx = begin();
    fixture_add(fx, "mpls,actions=pop_mpls:0x8847,output:2");
    for (unsigned i = 0; i < 6; i++) {
        uint8_t d[80] = { 2, [11] = 1, [12] = 0x81, [15] = 9, [24] = 0x88, [25] = 0x47 };
        memcpy(d + 16, between[i & 1], 8);
        wire_put32(d + 26, 16 << 12 | 64);
        wire_put32(d + 30, 17 << 12 | 0x140);
        fixture_receive(fx, 1, d, sizeof d);
        CU_ASSERT_STRING_EQUAL(fixture_ports(fx), "2");
        CU_ASSERT_EQUAL(fx->out[0].len, sizeof d - (i & 1 ? 0 : 4));
    }
    end(fx);
}

/* Behind options: the ports are where the header says. */
static void test_options_below_a_label(void)
{
    struct fixture *fx = begin();
    uint8_t d[80] = { 2, [11] = 1, [12] = 0x88, [13] = 0x47, [18] = 0x46, [21] = 62, [26] = 64, [27] = 17 };
    fixture_add(fx, "mpls,actions=pop_mpls:0x0800,goto_table:1");
    fixture_add(fx, "table=1,udp,actions=set_field:99->udp_dst,output:2");
    wire_put32(d + 14, 16 << 12 | 0x140);
    for (unsigned i = 0; i < 3; i++) {
        fixture_receive(fx, 1, d, sizeof d);
        CU_ASSERT_STRING_EQUAL(fixture_ports(fx), "2");
        CU_ASSERT_EQUAL(wire_get16(fx->out[0].data + 40), 99);
    }
    CU_ASSERT_EQUAL(fixture_hits(fx), 2);
    end(fx);
}

/* A new label has the TTL of the IP header: whoever matches it asks for the other. */
static void test_pushed_ttl(void)
{
    struct fixture *fx = begin();
    fixture_add(fx, "actions=push_mpls:0x8847,goto_table:1");
    fixture_add(fx, "table=1,priority=2,mpls,mpls_ttl=9,actions=output:2");
    fixture_add(fx, "table=1,priority=1,actions=output:3");
    for (unsigned i = 0; i < 8; i++) {
        fixture_receive_flow(fx, 1, i & 1 ? "udp,nw_src=10.0.0.1,nw_ttl=9" : "udp,nw_src=10.0.0.1,nw_ttl=8");
        CU_ASSERT_STRING_EQUAL(fixture_ports(fx), i & 1 ? "2" : "3");
    }
    CU_ASSERT_EQUAL(fixture_hits(fx), 6);
    end(fx);
}

/* What passed through a group was counted there, whatever a meter then says. */
static void test_group_before_meter(void)
{
    static const char *const buckets[] = { "-|-|-|output:3" };
    struct of_meter_mod mod = { .command = OFPMC_ADD, .flags = OFPMF_PKTPS | OFPMF_BURST, .meter_id = 1, .n_bands = 1, .bands = XNEW(struct of_meter_band) };
    struct of_group_stats stats;
    struct fixture *fx = begin();
    unsigned passed = 0;
    dp_set_cache(fx->dp, 1000, false);          /* The test mode would count as it walks. */
    mod.bands[0] = (struct of_meter_band) { .type = OFPMBT_DROP, .rate = 1, .burst_size = 3 };
    CU_ASSERT_TRUE(of_ok(meter_table_mod(dp_meters(fx->dp), &mod)));
    free(mod.bands);                    /* NULL if the table keeps them. */
    fixture_group(fx, OFPGC_ADD, 1, OFPGT_INDIRECT, buckets, 1, NULL);
    fixture_add(fx, "actions=group:1,goto_table:1");
    fixture_add(fx, "table=1,actions=meter:1,output:2");
    for (unsigned i = 0; i < 20; i++) {
        fixture_receive_flow(fx, 1, "udp,nw_src=10.0.0.1");
        passed += !strcmp(fixture_ports(fx), "3,2");
    }
    CU_ASSERT_EQUAL(passed, 3);
    CU_ASSERT_TRUE(dp_group_stats(fx->dp, group_table_find(dp_groups(fx->dp), 1), &stats));
    CU_ASSERT_EQUAL(stats.packet_count, 20);
    free(stats.buckets);
    end(fx);
}

void cache_cliff_test_suite(void)
{
    UNIT_SUITE("cache, cliffs", { "long walks", test_long_walks }, { "many programs", test_many_programs }, { "programs that are gone", test_programs_that_are_gone },
               { "growth", test_growth }, { "rewriting", test_rewriting }, { "packets that are unfit", test_unfit }, { "frames told apart", test_told_apart },
               { "headers cut off", test_cut_off }, { "TTL of a pushed label", test_pushed_ttl },
               { "a label as a header", test_label_as_header }, { "options below a label", test_options_below_a_label },
               { "labels of a copy", test_labels_of_a_copy }, { "a label behind a length", test_label_behind_a_length }, { "a group before a meter", test_group_before_meter });
}
