/* Which pairs of addresses get an id, and whose frames are carried. */
#include <string.h>

#include "controller/vsw_rig.h"
#include "lib/wire.h"
#include "tests/unit.h"

unit_suite_fn relay_test_suite;

#define GROUP UINT64_C(0x333300000000)
#define NOBODY UINT64_C(0x525400990000)         /* Never a source. */
#define MACHINE UINT64_C(0x525400110000)        /* No port's address. */

/* A frame that met no id: as edge 1 asks, from its port `from`, bound for the landing of the port of this number. */
static void ask_from(struct vsw_rig *b, uint32_t from, uint64_t src, uint64_t dst, unsigned number)
{
    const struct port *port = network_port_by_number(b->vsw->network, number);
    uint8_t frame[60] = { 0 };
    struct of_packet_in pin = { .cookie = COOKIE(b->vsw->id, COOKIE_INTERN), .table_id = T_X_SRC, .data = frame, .size = sizeof frame };
    wire_put48(frame, dst);
    wire_put48(frame + 6, src);
    match_init(&pin.match);
    match_set_u64(&pin.match, R_IN, from);
    match_set_u64(&pin.match, R_PDST, provider_landing_mac(port->edge->index, 0, port->local));
    match_set_u64(&pin.match, R_FLAGS, PROVIDER_PAIR);
    intern_packet_in(b->f.c.fabric->intern, substrate_find(b->f.c.substrate, 1), &pin);
}

static void ask(struct vsw_rig *b, uint64_t src, uint64_t dst, unsigned number) { ask_from(b, 1, src, dst, number); }

static uint64_t port_mac(const struct vsw_rig *b, unsigned number) { return mac_u64(network_port_by_number(b->vsw->network, number)->mac); }

static bool all_active(const struct vsw_rig *b)
{
    const struct pair *pair;
    LIST_FOR_EACH (pair, node, &b->vsw->pairs) {
        if (pair->state == PAIR_SPREADING) {
            return false;
        }
    }
    return true;
}

/* Until no frame is held any more: there is room for only so many. */
static void spread(struct vsw_rig *b)
{
    for (unsigned i = 0; i < 2000 && !all_active(b); i++) {
        fixture_turn(&b->f, 1);
    }
    CU_ASSERT_TRUE(all_active(b));
    vsw_rig_settle(b);
    fixture_turn(&b->f, 3);
}

/* Two frames make two pairs that answer each other. */
static void converse(struct vsw_rig *b, uint32_t from, uint64_t one, uint64_t other)
{
    ask_from(b, from, one, other, 1);
    ask_from(b, from, other, one, 1);
    ask_from(b, from, one, other, 1);
    spread(b);
}

/* The rig's clock is the real one; now_ns is how much it is ahead. */
static uint64_t ahead(void *now_ns)
{
    struct clock real = clock_monotonic();
    return clock_now_ns(&real) + *(uint64_t *) now_ns;
}

static void may_move_clock(struct vsw_rig *b)
{
    b->f.now_ns = 0;
    b->f.c.clock = (struct clock) { ahead, &b->f.now_ns };
}

static void tick(struct vsw_rig *b)
{
    b->f.now_ns += 2000000000;
    intern_tick(b->f.c.fabric->intern);
    fixture_turn(&b->f, 20);                            /* The edges tell what they have counted: nothing. */
}

static unsigned carried(struct vsw_rig *b, unsigned more)
{
    static const unsigned enough = 2000;
    unsigned wanted = b->edges[0].n_packet_outs + more;
    for (unsigned i = 0; i < enough && b->edges[0].n_packet_outs < wanted; i++) {
        fixture_turn(&b->f, 1);
    }
    fixture_turn(&b->f, 5);
    return b->edges[0].n_packet_outs;
}

static void test_scan(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    for (unsigned i = 0; i < 100; i++) {                /* As many again as the quota, in all. */
        ask(&b, MACHINE, NOBODY + i, 1);
        ask(&b, MACHINE, GROUP + i, 1);
    }
    CU_ASSERT_EQUAL(b.vsw->n_pairs[PAIRS_ALL], 0);
    CU_ASSERT_EQUAL(carried(&b, 200), 200);             /* In one burst, which is allowed. */
    const struct of_packet_out *out = &b.edges[0].last_out;
    CU_ASSERT_TRUE(out->actions.n == 4 && out->actions.list[0].load.value == b.vsw->id && out->actions.list[1].load.value == 1
                   && !out->actions.list[2].load.value && out->actions.list[3].resubmit.table == T_LAND);
    for (unsigned i = 0; i < 1000; i++) {               /* Beyond the rate they are lost, */
        ask(&b, MACHINE, NOBODY + 1000 + i, 1);
    }
    unsigned n = carried(&b, 0);
    CU_ASSERT_TRUE(n < 900);
    for (unsigned i = 0; i < 50; i++) {                 /* and another port's are not. */
        ask_from(&b, 2, MACHINE + 1, NOBODY + i, 1);
    }
    CU_ASSERT_EQUAL(carried(&b, 50), n + 50);
    CU_ASSERT_EQUAL(b.vsw->n_pairs[PAIRS_ALL], 0);
    vsw_rig_fini(&b);
}

/* From random sources, to a port and to a machine that has been heard: nobody answers. */
static void test_random_sources(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    converse(&b, 1, MACHINE, MACHINE + 1);
    CU_ASSERT_EQUAL(b.vsw->n_pairs[PAIRS_ALL], 2);
    for (unsigned i = 0; i < 300; i++) {
        ask(&b, NOBODY + i, i % 3 ? port_mac(&b, 2) : MACHINE, 1);
        ask(&b, NOBODY + i, UINT64_C(0xffffffffffff), 1);
    }
    CU_ASSERT_EQUAL(b.vsw->n_pairs[PAIRS_ALL], 2);
    ask_from(&b, 2, port_mac(&b, 2), MACHINE + 7, 1);   /* What the scan displaced was its own. */
    for (unsigned i = 300; i < 600; i++) {
        ask(&b, NOBODY + i, port_mac(&b, 2), 1);
    }
    ask(&b, MACHINE + 7, port_mac(&b, 2), 1);
    CU_ASSERT_EQUAL(b.vsw->n_pairs[PAIRS_ALL], 3);
    vsw_rig_settle(&b);
    vsw_rig_fini(&b);
}

static void test_answers(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    ask(&b, MACHINE, MACHINE + 1, 1);
    CU_ASSERT_EQUAL(b.vsw->n_pairs[PAIRS_ALL], 0);
    ask(&b, MACHINE + 1, MACHINE, 1);                   /* It answers, */
    CU_ASSERT_EQUAL(b.vsw->n_pairs[PAIRS_ALL], 1);
    ask(&b, MACHINE, MACHINE + 1, 1);                   /* and is answered. */
    CU_ASSERT_EQUAL(b.vsw->n_pairs[PAIRS_ALL], 2);
    ask(&b, MACHINE, port_mac(&b, 2), 1);
    CU_ASSERT_EQUAL(b.vsw->n_pairs[PAIRS_ALL], 2);
    ask(&b, port_mac(&b, 1), port_mac(&b, 2), 1);       /* Ports are known: one floods to the other, say. */
    CU_ASSERT_EQUAL(b.vsw->n_pairs[PAIRS_ALL], 3);
    CU_ASSERT_EQUAL(b.vsw->n_pairs[PAIRS_UNANSWERED], 0);
    vsw_rig_settle(&b);
    vsw_rig_fini(&b);
}

/* The fifth frame makes a pair of what nobody answers; no more than half of the quota (100) but for an eighth of that, and the rest is for the others. */
static void test_repeats(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    for (unsigned n = 0; n < 4; n++) {
        ask(&b, MACHINE, GROUP, 1);
        ask(&b, MACHINE, GROUP, 2);                     /* A flood goes to each landing, and is one frame. */
    }
    CU_ASSERT_EQUAL(b.vsw->n_pairs[PAIRS_ALL], 0);
    ask(&b, MACHINE, GROUP, 1);
    CU_ASSERT_TRUE(b.vsw->n_pairs[PAIRS_ALL] == 1 && b.vsw->n_pairs[PAIRS_UNANSWERED] == 1);
    for (unsigned from = 1; from <= 2; from++) {
        for (unsigned i = 1; i < 100; i++) {
            for (unsigned n = 0; n < 6; n++) {
                ask_from(&b, from, MACHINE, NOBODY + 100 * from + i, 1);
            }
            spread(&b);
        }
        unsigned wanted = from == 1 ? 44 : 50;          /* Port 2 has the rest, as port 1 has more. */
        CU_ASSERT_TRUE(b.vsw->n_pairs[PAIRS_ALL] == wanted && b.vsw->n_pairs[PAIRS_UNANSWERED] == wanted);
    }
    ask(&b, MACHINE + 1, MACHINE, 1);
    ask(&b, MACHINE, MACHINE + 1, 1);
    CU_ASSERT_TRUE(b.vsw->n_pairs[PAIRS_ALL] == 51 && b.vsw->n_pairs[PAIRS_UNANSWERED] == 50);
    vsw_rig_settle(&b);
    vsw_rig_fini(&b);
}

static unsigned n_idle(const struct vsw_rig *b)
{
    const struct pair *pair;
    unsigned n = 0;
    LIST_FOR_EACH (pair, node, &b->vsw->pairs) {
        n += pair->idle;
    }
    return n;
}

/* Two machines behind port 1 use up what a port may have; port 2 has its pairs at once, and room is made as long as somebody is idle. */
static void test_quota(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    may_move_clock(&b);
    for (unsigned i = 0; i < 60; i++) {
        converse(&b, 1, NOBODY + 2 * i, NOBODY + 2 * i + 1);
    }
    CU_ASSERT_EQUAL(b.vsw->n_pairs[PAIRS_ALL], 88);
    CU_ASSERT_EQUAL(b.vsw->n_draining[PAIRS_ALL], 0);   /* They have not been read: all may be in use. */
    fixture_turn(&b.f, 100);                            /* What was held has gone on. */
    unsigned before = b.edges[0].n_packet_outs;
    ask(&b, NOBODY + 118, NOBODY + 119, 1);             /* Those without are carried. */
    CU_ASSERT_EQUAL(carried(&b, 1), before + 1);
    for (unsigned i = 0; i < 6; i++) {
        converse(&b, 2, MACHINE + 2 * i, MACHINE + 2 * i + 1);
    }
    CU_ASSERT_EQUAL(b.vsw->n_pairs[PAIRS_ALL], 100);
    converse(&b, 2, MACHINE + 12, MACHINE + 13);        /* Full, */
    CU_ASSERT_EQUAL(b.vsw->n_pairs[PAIRS_ALL], 100);
    for (unsigned i = 0; i < 2; i++) {
        tick(&b);
    }
    CU_ASSERT_EQUAL(n_idle(&b), 100);                   /* but nobody uses any, */
    converse(&b, 2, MACHINE + 12, MACHINE + 13);
    CU_ASSERT_TRUE(b.vsw->n_draining[PAIRS_ALL] >= 1);
    const struct pair *pair;
    LIST_FOR_EACH (pair, node, &b.vsw->pairs) {         /* so the oldest of port 1 go. */
        CU_ASSERT_TRUE(pair->state == PAIR_ACTIVE || (pair->holder->in_port == 1 && mac_u64(pair->src) < NOBODY + 8));
    }
    for (unsigned i = 0; i < 4; i++) {
        tick(&b);
    }
    converse(&b, 2, MACHINE + 12, MACHINE + 13);
    CU_ASSERT_TRUE(intern_has_pair(b.vsw, mac_from_u64(MACHINE + 12), mac_from_u64(MACHINE + 13)));
    CU_ASSERT_TRUE(b.vsw->n_pairs[PAIRS_ALL] <= 100);
    vsw_rig_fini(&b);
}

/* A pair that is drained and used before it is forgotten has its id back. */
static void test_revived(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    may_move_clock(&b);
    converse(&b, 1, MACHINE, MACHINE + 1);
    struct pair *pair = CONTAINER_OF(b.vsw->pairs.next, struct pair, node);
    uint32_t id = pair->id;
    b.f.now_ns += UINT64_C(301000000000);
    tick(&b);
    CU_ASSERT_TRUE_FATAL(b.vsw->n_pairs[PAIRS_ALL] == 2 && b.vsw->n_draining[PAIRS_ALL] == 2 && pair->state == PAIR_DRAINING);
    ask(&b, mac_u64(pair->src), mac_u64(pair->dst), 1);
    CU_ASSERT_TRUE(pair->state == PAIR_ACTIVE && pair->id == id && b.vsw->n_draining[PAIRS_ALL] == 1);
    for (unsigned i = 0; i < 4; i++) {
        tick(&b);
    }
    CU_ASSERT_TRUE(b.vsw->n_pairs[PAIRS_ALL] == 1 && !b.vsw->n_draining[PAIRS_ALL]);
    b.f.now_ns += UINT64_C(301000000000);
    for (unsigned i = 0; i < 5; i++) {
        tick(&b);
    }
    CU_ASSERT_TRUE(!b.vsw->n_pairs[PAIRS_ALL] && !b.vsw->n_draining[PAIRS_ALL] && list_empty(&b.vsw->pair_holders));
    vsw_rig_fini(&b);
}

/* Each port's unknown pairs have a meter of their own on its edge; what came from elsewhere has the network's. An edge without meters goes without. */
static void test_meters(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    const struct port *port = network_port_by_number(b.vsw->network, 1);
    uint16_t landing = b.vsw->network->landings[0].landing;
    for (unsigned of_port = 0; of_port < 2; of_port++) {
        struct match match;
        match_init(&match);
        match_set_u64(&match, R_VSW, b.vsw->id);
        if (of_port) {
            match_set_u64(&match, R_IN, 1);
        }
        uint32_t id = LANDING_METER(of_port ? port->local : landing);
        const struct flow_entry *rule = flow_tables_find(b.edges[0].flows, T_X_SRC, of_port ? 20 : 10, &match);
        const struct meter *meter = meter_table_find(b.edges[0].meters, id);
        CU_ASSERT_TRUE_FATAL(rule && meter && rule->instructions.apply.n == 1);
        CU_ASSERT_TRUE(rule->instructions.apply.list[0].type == ACTION_CONTROLLER && rule->instructions.apply.list[0].controller.meter == id);
        CU_ASSERT_TRUE(meter->bands[0].rate == RELAY_PORT_RATE && (uint32_t) rule->cookie == COOKIE_INTERN);
    }
    CU_ASSERT_TRUE(port->local != landing && LANDING_METER(1) > TENANT_METER_MAX && LANDING_METER(0xfffe) == 0);
    fabric_refused(b.f.c.fabric, b.vsw->id, REFUSED_METER, LANDING_METER(port->local), OF_ERROR(OFPET_METER_MOD_FAILED, OFPMMFC_OUT_OF_METERS));
    fixture_turn(&b.f, 20);
    vsw_rig_settle(&b);
    CU_ASSERT_TRUE(b.vsw->unmetered && !meter_table_find(b.edges[0].meters, LANDING_METER(port->local)));
    vsw_rig_fini(&b);
}

/* controllerd is no way for frames where no cable leads: the rig's edges are not joined. */
static void test_no_path(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    ask(&b, MACHINE, NOBODY, 2);
    CU_ASSERT_EQUAL(carried(&b, 0), 0);
    CU_ASSERT_EQUAL(b.edges[1].n_packet_outs, 0);
    vsw_rig_fini(&b);
}

void relay_test_suite(void)
{
    UNIT_SUITE("relay", { "scan", test_scan }, { "random sources", test_random_sources }, { "answers", test_answers }, { "repeats", test_repeats },
               { "quota", test_quota }, { "revived", test_revived }, { "meters", test_meters }, { "no path", test_no_path });
}
