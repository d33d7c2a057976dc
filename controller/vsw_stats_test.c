/*
 * Collections and departures against two edges that answer when the test says so, on the test's clock: the questions go
 * over real connections, the answers are handed in with their xids.
 */
#include "controller/vsw_stats.h"

#include <stdlib.h>
#include <string.h>

#include "controller/departures.h"
#include "controller/edge_tables.h"
#include "controller/fabric_impl.h"
#include "controller/test_bench.h"
#include "tests/unit.h"

unit_suite_fn vsw_stats_test_suite;

#define NUMBER 100u             /* The one entry. */
#define N_LEAVING 200u          /* In test_many_depart(). */
#define NOT_LEAVING 0xc0c0u     /* The one entry's cookie. */
#define MS UINT64_C(1000000)
#define MODEL "{'edges':[{'name':'e1','datapath_id':'0000000000000001'},{'name':'e2','datapath_id':'0000000000000002'}],'tenants':[{'name':'red'}]," \
              "'slices':[{'name':'lab','tenant':'red','topology':'custom','switches':[{'name':'s1','edges':['e1','e2'],'ports':[" \
              "{'name':'a','number':1,'edge':'e1','ofport_of':'d1'},{'name':'b','number':2,'edge':'e2','ofport_of':'d1'}]}]}]}"

struct rig {
    struct bench b;
    struct fake k[2];
    struct fabric fabric;
    struct vsw vsw;
    struct usage usage;
    uint64_t cost_ns;           /* Of each entry that is read. */
    struct vsw_stats *stats;
    struct counter_sum sum;     /* NUMBER's, while `lives`. */
    bool lives;
    struct counter_sum group_sum;
    uint64_t late;
    unsigned n_gone, n_done;
    struct of_flow_removed gone;
    bool is_gone[N_LEAVING];    /* By the tenant's cookie. */
    uint64_t asked_ns[2];       /* When the edge was last asked. */
};

/* --- The virtual switch's side --- */

static struct rig *rig_of(struct vsw *vsw) { return CONTAINER_OF(vsw, struct rig, vsw); }

static uint32_t *ids_on(struct vsw *vsw UNUSED, const struct edge *edge UNUSED, enum vsw_stats_kind kind, unsigned *n)
{
    *n = kind == VSW_STATS_GROUPS;
    uint32_t *ids = *n ? xcalloc(1, sizeof *ids) : NULL;
    if (ids) {
        ids[0] = 7;
    }
    return ids;
}

static struct counter_sum *flow_counted(struct vsw *vsw, uint32_t number)
{
    struct rig *r = rig_of(vsw);
    r->b.f.now_ns += r->cost_ns;
    return number == NUMBER && r->lives ? &r->sum : NULL;
}

static void group_counted(struct vsw *vsw, uint16_t edge, const struct of_group_stats *in, uint64_t now)
{
    counter_sum_read(&rig_of(vsw)->group_sum, edge, in->packet_count, in->byte_count, now);
}

static void no_meter(struct vsw *vsw UNUSED, uint16_t edge UNUSED, const struct of_meter_stats *in UNUSED, uint64_t now UNUSED) { }
static void no_port(struct vsw *vsw UNUSED, uint16_t edge UNUSED, const struct of_port_stats *in UNUSED, uint64_t now UNUSED) { }

static void late(struct vsw *vsw, uint8_t table, uint64_t packets)
{
    CU_ASSERT_EQUAL(table, 3);
    rig_of(vsw)->late += packets;
}

static void gone(struct vsw *vsw, const struct of_flow_removed *msg)
{
    rig_of(vsw)->n_gone++;
    rig_of(vsw)->gone = *msg;
    if (msg->cookie < N_LEAVING) {
        CU_ASSERT_FALSE(rig_of(vsw)->is_gone[msg->cookie]);
        rig_of(vsw)->is_gone[msg->cookie] = true;
    }
}

static const struct vsw_stats_ops ops = {
    .ids = ids_on, .flow = flow_counted, .group = group_counted, .meter = no_meter, .port = no_port, .late = late, .gone = gone,
};

/* --- The rig --- */

static void rig_init(struct rig *r)
{
    memset(r, 0, sizeof *r);
    bench_init(&r->b, MODEL);
    for (unsigned i = 0; i < 2; i++) {
        fake_ports(&r->k[i], i + 1, 1);
        bench_connect(&r->b, &r->k[i]);
    }
    CU_ASSERT_EQUAL_FATAL(wait_ups(&r->b, 2), 2);
    struct controller *c = &r->b.f.c;
    r->fabric.controller = c;
    hmap_init(&r->fabric.vsws);
    const struct network *network = model_find(c->model, KIND_SWITCH, "red/lab/s1");
    CU_ASSERT_PTR_NOT_NULL_FATAL(network);
    r->vsw.id = network->id;
    r->vsw.network = model_network_by_id(c->model, network->id);
    r->vsw.controller = c;
    r->vsw.fabric = &r->fabric;
    r->vsw.usage = &r->usage;
    r->lives = true;
    hmap_insert(&r->fabric.vsws, &r->vsw.node, (uint32_t) hash_mix64(r->vsw.id));
    r->stats = vsw_stats_new(&r->fabric, &ops);
}

static void rig_fini(struct rig *r)
{
    vsw_stats_free(r->stats);
    hmap_remove(&r->fabric.vsws, &r->vsw.node);
    hmap_fini(&r->fabric.vsws);
    counter_sum_fini(&r->sum);
    counter_sum_fini(&r->group_sum);
    finish(&r->b, r->k, 2);
}

static void done(void *r) { ((struct rig *) r)->n_done++; }

static void want(struct rig *r, unsigned kinds) { vsw_stats_refresh(r->stats, &r->vsw, kinds, done, r); }

/* The clock moves on, with the timer's tick every 100 ms. */
static void pass(struct rig *r, unsigned ms)
{
    for (unsigned i = 0; i < ms; i += 100) {
        r->b.f.now_ns += 100 * MS;
        vsw_stats_tick(r->stats);
    }
}

/* The edge's oldest question that the test has not taken; notes when it came to be asked. */
static uint32_t asked(struct rig *r, unsigned edge)
{
    struct fake *k = &r->k[edge];
    for (unsigned i = 0; i < 500 && k->n_asked == k->n_taken; i++) {
        fixture_turn(&r->b.f, 1);
    }
    CU_ASSERT_TRUE_FATAL(k->n_asked > k->n_taken);
    r->asked_ns[edge] = r->b.f.now_ns;
    return k->asked[k->n_taken++ % ARRAY_SIZE(k->asked)];
}

/* Nobody has asked anything that was not taken. */
static bool quiet(struct rig *r)
{
    fixture_turn(&r->b.f, 20);
    return r->k[0].n_asked == r->k[0].n_taken && r->k[1].n_asked == r->k[1].n_taken;
}

static bool answer_flows(struct rig *r, unsigned edge, uint32_t xid, uint64_t packets, bool more)
{
    struct of_flow_stats flow = { .cookie = COOKIE(r->vsw.id, NUMBER), .packet_count = packets, .byte_count = 100 * packets };
    struct of_msg msg;
    of_msg_init(&msg, OFPT_MULTIPART_REPLY, xid);
    msg.multipart.type = OFPMP_FLOW;
    msg.multipart.flags = more ? OFPMPF_MORE : 0;
    msg.multipart.flows.n = 1;
    msg.multipart.flows.v = &flow;                      /* Lent. */
    return vsw_stats_reply(r->stats, sw_of(&r->b, edge + 1), &msg);
}

static void told_of(struct rig *r, unsigned edge, uint32_t number, uint64_t packets)
{
    const struct of_flow_removed msg = { .cookie = COOKIE(r->vsw.id, number), .packet_count = packets, .byte_count = 100 * packets };
    vsw_stats_flow_removed(r->stats, sw_of(&r->b, edge + 1), &msg);
}

static void told(struct rig *r, unsigned edge, uint64_t packets) { told_of(r, edge, NUMBER, packets); }

/* An entry with this cookie leaves; reason as vsw_stats_depart(). */
static void depart_as(struct rig *r, uint32_t number, uint64_t cookie, struct counter_sum *sum, int reason, unsigned n_edges)
{
    struct flow_entry entry = { .table_id = 3, .cookie = cookie, .created_ns = r->b.f.now_ns - 1500 * MS };
    union minimatch_room room;
    struct match all;
    match_init(&all);
    entry.match = (struct minimatch *) minimatch_build(&room, &all);
    vsw_stats_depart(r->stats, &r->vsw, &entry, number, sum, reason, n_edges);
}

/* The one entry. */
static void depart(struct rig *r, int reason, unsigned n_edges)
{
    r->lives = false;
    depart_as(r, NUMBER, NOT_LEAVING, &r->sum, reason, n_edges);
    CU_ASSERT_TRUE(!r->sum.packets && !r->sum.last);
}

static uint64_t metric(const struct rig *r, const char *name)
{
    struct buf text = BUF_INIT;
    char line[64];
    vsw_stats_metrics(r->stats, &text);
    snprintf(line, sizeof line, "\npolder_stats_%s_total ", name);
    const char *at = strstr(buf_cstr(&text), line);
    uint64_t value = at ? strtoull(at + strlen(line), NULL, 10) : UINT64_MAX;
    buf_fini(&text);
    return value;
}

/* --- Collections --- */

/* A question that both edges answer at once. */
static void collect(struct rig *r, uint64_t one, uint64_t two)
{
    want(r, VSW_STATS_FLOWS);
    answer_flows(r, 0, asked(r, 0), one, false);
    answer_flows(r, 1, asked(r, 1), two, false);
}

static void test_sums(void)
{
    struct rig r;
    rig_init(&r);
    for (unsigned round = 1; round <= 3; round++) {
        want(&r, VSW_STATS_FLOWS);
        uint32_t one = asked(&r, 0), two = asked(&r, 1);
        CU_ASSERT_TRUE(answer_flows(&r, 0, one, 10 * round, false));
        CU_ASSERT_EQUAL(r.n_done, round - 1);           /* Not before the other one has answered, too, */
        CU_ASSERT_TRUE(answer_flows(&r, 1, two, 1 * round, true));
        CU_ASSERT_EQUAL(r.n_done, round - 1);           /* and has said all. */
        CU_ASSERT_TRUE(answer_flows(&r, 1, two, 1 * round, false));
        CU_ASSERT_EQUAL(r.n_done, round);
        CU_ASSERT_TRUE(r.sum.packets == 11 * round && r.sum.bytes == 1100 * round);
    }
    CU_ASSERT_TRUE(metric(&r, "collections") == 3 && metric(&r, "questions") == 6 && metric(&r, "unanswered") == 0);
    /* Kinds together are one collection; an error answers, too. */
    want(&r, VSW_STATS_FLOWS | VSW_STATS_GROUPS);
    for (unsigned edge = 0; edge < 2; edge++) {
        uint32_t flows = asked(&r, edge), group = asked(&r, edge);
        struct of_msg msg;
        of_msg_init(&msg, OFPT_ERROR, group);
        CU_ASSERT_TRUE(vsw_stats_reply(r.stats, sw_of(&r.b, edge + 1), &msg));
        CU_ASSERT_EQUAL(r.n_done, 3);
        CU_ASSERT_FALSE(vsw_stats_reply(r.stats, sw_of(&r.b, edge + 1), &msg));    /* Once. */
        CU_ASSERT_TRUE(answer_flows(&r, edge, flows, 40, false));
    }
    CU_ASSERT_EQUAL(r.n_done, 4);
    CU_ASSERT_EQUAL(r.sum.packets, 80);
    CU_ASSERT_TRUE(quiet(&r));
    rig_fini(&r);
}

/* Collections take a small part of the time: who asks now and then has his at once, who asks without end waits, and not for ever. */
static void test_paced(void)
{
    struct rig r;
    rig_init(&r);
    r.cost_ns = MS;             /* Of which a collection has two: on its own it would last for 12 ms, and is owed 2.4 s, so no more than what is due at most. */
    collect(&r, 1, 1);
    CU_ASSERT_EQUAL(r.n_done, 1);
    for (unsigned i = 0; i < 5; i++) {
        want(&r, VSW_STATS_FLOWS);
    }
    CU_ASSERT(quiet(&r));
    pass(&r, COLLECT_WAIT_NS / MS - 100);
    CU_ASSERT(quiet(&r));
    pass(&r, 200);
    uint32_t one = asked(&r, 0), two = asked(&r, 1);
    CU_ASSERT(quiet(&r));       /* One for all five. */
    answer_flows(&r, 0, one, 2, false);
    answer_flows(&r, 1, two, 2, false);
    CU_ASSERT_EQUAL(r.n_done, 6);
    pass(&r, 2000);
    collect(&r, 3, 3);          /* Now and then: at once. */
    CU_ASSERT_EQUAL(r.n_done, 7);
    pass(&r, 2000);
    r.cost_ns = MS / 100;       /* A small one, twice in a row. */
    collect(&r, 4, 4);
    collect(&r, 5, 5);
    CU_ASSERT_EQUAL(r.n_done, 9);
    rig_fini(&r);
}

/* Who asks while a collection is under way hears of the next one: what he reads was asked of the edges after he asked. */
static void test_while_running(void)
{
    struct rig r;
    rig_init(&r);
    want(&r, VSW_STATS_FLOWS);
    uint32_t one = asked(&r, 0), two = asked(&r, 1);
    answer_flows(&r, 0, one, 1, false);
    want(&r, VSW_STATS_FLOWS);
    want(&r, VSW_STATS_FLOWS);
    CU_ASSERT_TRUE(quiet(&r));                          /* Nothing is asked meanwhile. */
    answer_flows(&r, 1, two, 1, false);
    CU_ASSERT_EQUAL(r.n_done, 1);
    one = asked(&r, 0);
    two = asked(&r, 1);
    answer_flows(&r, 0, one, 5, false);
    answer_flows(&r, 1, two, 6, false);
    CU_ASSERT_EQUAL(r.n_done, 3);                       /* Both by one collection. */
    CU_ASSERT_EQUAL(r.sum.packets, 11);
    CU_ASSERT_EQUAL(metric(&r, "collections"), 2);
    CU_ASSERT_TRUE(quiet(&r));
    rig_fini(&r);
}

/* An edge that is slow is read as it was last; what it says too late counts for nobody, and nothing is lost by that. */
static void test_slow_edge(void)
{
    struct rig r;
    rig_init(&r);
    collect(&r, 10, 10);
    want(&r, VSW_STATS_FLOWS);
    uint64_t begun = r.b.f.now_ns;
    answer_flows(&r, 0, asked(&r, 0), 15, false);
    uint32_t slow = asked(&r, 1);
    while (r.n_done < 2 && r.b.f.now_ns - begun < 2000 * MS) {
        CU_ASSERT_EQUAL(r.n_done, 1);
        pass(&r, 100);
    }
    CU_ASSERT_TRUE(r.n_done == 2 && r.b.f.now_ns - begun >= COLLECT_TIMEOUT_NS);
    CU_ASSERT_TRUE(r.b.f.now_ns - r.asked_ns[0] < 1000 * MS);      /* Under one second old, also after all this waiting. */
    CU_ASSERT_TRUE(r.sum.packets == 25 && metric(&r, "unanswered") == 1);
    CU_ASSERT_FALSE(answer_flows(&r, 1, slow, 12, false));
    CU_ASSERT_EQUAL(r.sum.packets, 25);
    want(&r, VSW_STATS_FLOWS);
    answer_flows(&r, 0, asked(&r, 0), 15, false);
    uint32_t now = asked(&r, 1);
    CU_ASSERT_FALSE(answer_flows(&r, 1, slow, 13, false));
    CU_ASSERT_EQUAL(r.n_done, 2);
    CU_ASSERT_TRUE(answer_flows(&r, 1, now, 20, false));
    CU_ASSERT_TRUE(r.n_done == 3 && r.sum.packets == 35);
    rig_fini(&r);
}

/* A switch goes away in the middle: nobody waits for it. What comes back counts from zero, and the sum goes on. */
static void test_switch_leaves(void)
{
    struct rig r;
    rig_init(&r);
    collect(&r, 10, 20);
    want(&r, VSW_STATS_FLOWS);
    uint32_t one = asked(&r, 0), two = asked(&r, 1);
    fake_close(&r.k[1]);
    fixture_turn(&r.b.f, 20);
    CU_ASSERT_EQUAL(r.b.heard.downs, 1);
    vsw_stats_sw_down(r.stats, sw_of(&r.b, 2));
    CU_ASSERT_EQUAL(r.n_done, 1);
    CU_ASSERT_FALSE(answer_flows(&r, 1, two, 21, false));
    answer_flows(&r, 0, one, 11, false);
    CU_ASSERT_TRUE(r.n_done == 2 && r.sum.packets == 31);
    want(&r, VSW_STATS_FLOWS);                          /* Only who is there is asked. */
    want(&r, VSW_STATS_FLOWS);
    CU_ASSERT_TRUE(answer_flows(&r, 0, asked(&r, 0), 12, false));
    CU_ASSERT_EQUAL(r.n_done, 3);
    asked(&r, 0);
    vsw_stats_sw_down(r.stats, sw_of(&r.b, 1));         /* The last one that was waited for. */
    CU_ASSERT_EQUAL(r.n_done, 4);
    fake_ports(&r.k[1], 2, 1);
    bench_connect(&r.b, &r.k[1]);
    CU_ASSERT_EQUAL_FATAL(wait_ups(&r.b, 3), 3);
    collect(&r, 12, 3);
    CU_ASSERT_TRUE(r.n_done == 5 && r.sum.packets == 35);
    rig_fini(&r);
}

static void test_nobody_to_ask(void)
{
    struct rig r;
    rig_init(&r);
    fake_close(&r.k[0]);
    fake_close(&r.k[1]);
    fixture_turn(&r.b.f, 20);
    want(&r, VSW_STATS_FLOWS);
    CU_ASSERT_EQUAL(r.n_done, 1);
    rig_fini(&r);
}

/* The virtual switch goes while it is read: who waits is called, once, and later answers find nobody. */
static void test_vsw_leaves(void)
{
    struct rig r;
    rig_init(&r);
    want(&r, VSW_STATS_FLOWS);
    uint32_t one = asked(&r, 0);
    want(&r, VSW_STATS_FLOWS);
    depart(&r, OFPRR_DELETE, 2);
    vsw_stats_vsw_gone(r.stats, &r.vsw);
    CU_ASSERT_TRUE(r.n_done == 2 && !r.n_gone);
    CU_ASSERT_FALSE(answer_flows(&r, 0, one, 1, false));
    pass(&r, 2000);
    CU_ASSERT_TRUE(r.n_done == 2 && !r.n_gone);
    rig_fini(&r);
}

/* --- Departures --- */

/* Told by both edges, and read meanwhile: exact, once. */
static void test_departs(void)
{
    struct rig r;
    rig_init(&r);
    collect(&r, 10, 20);
    want(&r, VSW_STATS_FLOWS);                          /* Asked before, answered after. */
    depart(&r, OFPRR_DELETE, 2);
    answer_flows(&r, 0, asked(&r, 0), 12, false);
    CU_ASSERT_EQUAL(r.late, 2);
    told(&r, 0, 15);
    CU_ASSERT_EQUAL(r.late, 5);
    answer_flows(&r, 1, asked(&r, 1), 20, false);
    CU_ASSERT_TRUE(r.n_done == 2 && r.late == 5 && !r.n_gone);
    told(&r, 1, 27);
    CU_ASSERT_EQUAL(r.n_gone, 1);
    CU_ASSERT_TRUE(r.gone.packet_count == 42 && r.gone.byte_count == 4200 && r.gone.cookie == NOT_LEAVING && r.gone.table_id == 3 && r.gone.reason == OFPRR_DELETE);
    CU_ASSERT_TRUE(r.gone.duration_sec == 1 && r.gone.duration_nsec == 500000000);
    CU_ASSERT_EQUAL(r.late, 12);                        /* With the 30 of before: 42. */
    told(&r, 1, 28);
    pass(&r, 2000);
    CU_ASSERT_TRUE(r.n_gone == 1 && r.late == 12 && metric(&r, "departed") == 1 && metric(&r, "untold") == 0);
    rig_fini(&r);
}

/* One edge never tells: after a second the tenant hears what is known. */
static void test_never_told(void)
{
    struct rig r;
    rig_init(&r);
    depart(&r, OFPRR_IDLE_TIMEOUT, 2);
    told(&r, 0, 5);
    pass(&r, 900);
    CU_ASSERT_EQUAL(r.n_gone, 0);
    pass(&r, 200);
    CU_ASSERT_TRUE(r.n_gone == 1 && r.gone.packet_count == 5 && r.gone.reason == OFPRR_IDLE_TIMEOUT && metric(&r, "untold") == 1);
    told(&r, 1, 9);
    pass(&r, 2000);
    CU_ASSERT_TRUE(r.n_gone == 1 && r.late == 5);
    rig_fini(&r);
}

/* At random: one leaves, an edge tells, time passes. Each is gone when its edges have told or its own second is over, whatever the others do; the twin is a plain array. */
static void test_many_depart(void)
{
    struct { uint64_t end_ns; unsigned n_left; bool tells[2]; } twin[N_LEAVING] = { { 0 } };
    struct rig r;
    struct rng rng;
    unsigned n = 0;
    rng_seed(&rng, unit_seed());
    rig_init(&r);
    while (n < N_LEAVING || r.n_gone < n) {
        unsigned what = rng_below(&rng, 8), i = n ? rng_below(&rng, n) : 0, edge = rng_below(&rng, 2);
        if (what < 3 && n < N_LEAVING) {
            struct counter_sum sum = { 0 };
            twin[n].end_ns = r.b.f.now_ns + DEPART_TIMEOUT_NS;
            twin[n].n_left = 2;
            depart_as(&r, 1000 + n, n, &sum, OFPRR_DELETE, 2);
            n++;
        } else if (what < 6 && i < n && twin[i].n_left && !twin[i].tells[edge]) {
            twin[i].tells[edge] = true;
            twin[i].n_left--;
            told_of(&r, edge, 1000 + i, 1);
        } else {
            pass(&r, 100);
            for (unsigned k = 0; k < n; k++) {
                twin[k].n_left = r.b.f.now_ns >= twin[k].end_ns ? 0 : twin[k].n_left;
            }
        }
        for (unsigned k = 0; k < n; k++) {
            CU_ASSERT_EQUAL_FATAL(r.is_gone[k], !twin[k].n_left);
        }
    }
    CU_ASSERT_EQUAL(r.n_gone, N_LEAVING);
    rig_fini(&r);
}

/* Nobody asked to hear of it: it counts for its table all the same. */
static void test_departs_quietly(void)
{
    struct rig r;
    rig_init(&r);
    depart(&r, -1, 2);
    told(&r, 0, 5);
    told(&r, 1, 9);
    CU_ASSERT_TRUE(!r.n_gone && r.late == 14 && metric(&r, "departed") == 0);
    r.lives = true;                                     /* Another with the number; and one that is on no edge. */
    depart(&r, -1, 0);
    CU_ASSERT_EQUAL(r.n_gone, 0);
    depart(&r, OFPRR_DELETE, 0);
    CU_ASSERT_EQUAL(r.n_gone, 1);
    rig_fini(&r);
}

/* The entry stays, and one edge loses its rule: the sum keeps what it counted, whether or not anybody has asked before. */
static void test_edge_loses_rule(void)
{
    struct rig r;
    rig_init(&r);
    told(&r, 1, 9);
    CU_ASSERT_EQUAL(r.sum.packets, 9);
    want(&r, VSW_STATS_FLOWS);
    answer_flows(&r, 0, asked(&r, 0), 10, false);
    answer_flows(&r, 1, asked(&r, 1), 4, false);        /* Put again: from zero. */
    CU_ASSERT_EQUAL(r.sum.packets, 23);
    rig_fini(&r);
}

void vsw_stats_test_suite(void)
{
    UNIT_SUITE("vsw_stats", { "sums", test_sums }, { "paced", test_paced }, { "while one is running", test_while_running }, { "slow edge", test_slow_edge },
               { "a switch leaves", test_switch_leaves }, { "nobody to ask", test_nobody_to_ask }, { "the virtual switch leaves", test_vsw_leaves },
               { "departs", test_departs }, { "never told", test_never_told }, { "many depart", test_many_depart }, { "departs quietly", test_departs_quietly },
               { "an edge loses its rule", test_edge_loses_rule });
}
