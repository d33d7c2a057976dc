/* Which pairs of addresses get an id, and whose frames are carried. */
#include <string.h>

#include "controller/vsw_rig.h"
#include "lib/wire.h"
#include "tests/unit.h"

unit_suite_fn relay_test_suite;

#define GROUP UINT64_C(0x333300000000)
#define NOBODY UINT64_C(0x525400990000)         /* Never a source. */
#define MACHINE UINT64_C(0x525400110000)        /* No port's address. */

/* A frame that met no id: as edge 1 asks, bound for the landing of the port of this number on edge `to`. */
static void ask(struct vsw_rig *b, uint64_t src, uint64_t dst, unsigned number)
{
    const struct port *port = network_port_by_number(b->vsw->network, number);
    uint8_t frame[60] = { 0 };
    struct of_packet_in pin = { .cookie = COOKIE(b->vsw->id, COOKIE_INTERN), .table_id = T_X_SRC, .data = frame, .size = sizeof frame };
    wire_put48(frame, dst);
    wire_put48(frame + 6, src);
    match_init(&pin.match);
    match_set_u64(&pin.match, R_PDST, provider_landing_mac(port->edge->index, 0, port->local));
    match_set_u64(&pin.match, R_FLAGS, PROVIDER_PAIR);
    intern_packet_in(b->f.c.fabric->intern, substrate_find(b->f.c.substrate, 1), &pin);
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
    CU_ASSERT_EQUAL(b.vsw->n_pairs, 0);
    CU_ASSERT_EQUAL(carried(&b, 200), 200);             /* In one burst, which is allowed. */
    const struct of_packet_out *out = &b.edges[0].last_out;
    CU_ASSERT_TRUE(out->actions.n == 4 && out->actions.list[0].load.value == b.vsw->id && out->actions.list[1].load.value == 1
                   && !out->actions.list[2].load.value && out->actions.list[3].resubmit.table == T_LAND);
    for (unsigned i = 0; i < 1000; i++) {               /* Beyond the rate they are lost. */
        ask(&b, MACHINE, NOBODY + 1000 + i, 1);
    }
    CU_ASSERT_TRUE(carried(&b, 0) < 800);
    CU_ASSERT_EQUAL(b.vsw->n_pairs, 0);
    vsw_rig_fini(&b);
}

static void test_answers(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    ask(&b, MACHINE, MACHINE + 1, 1);
    CU_ASSERT_EQUAL(b.vsw->n_pairs, 0);
    ask(&b, MACHINE + 1, MACHINE, 1);                   /* MACHINE has been a source, */
    CU_ASSERT_EQUAL(b.vsw->n_pairs, 1);
    ask(&b, MACHINE, MACHINE + 1, 1);                   /* and so has the other now. */
    CU_ASSERT_EQUAL(b.vsw->n_pairs, 2);
    ask(&b, MACHINE, mac_u64(network_port_by_number(b.vsw->network, 2)->mac), 1);
    CU_ASSERT_EQUAL(b.vsw->n_pairs, 3);
    CU_ASSERT_EQUAL(b.vsw->n_unanswered, 0);
    vsw_rig_settle(&b);
    vsw_rig_fini(&b);
}

/* The fifth frame makes a pair of what nobody answers; no more than half of the quota (100), and the rest is for the others. */
static void test_repeats(void)
{
    struct vsw_rig b;
    vsw_rig_init(&b);
    for (unsigned n = 0; n < 4; n++) {
        ask(&b, MACHINE, GROUP, 1);
        ask(&b, MACHINE, GROUP, 2);                     /* A flood goes to each landing, and is one frame. */
    }
    CU_ASSERT_EQUAL(b.vsw->n_pairs, 0);
    ask(&b, MACHINE, GROUP, 1);
    CU_ASSERT_TRUE(b.vsw->n_pairs == 1 && b.vsw->n_unanswered == 1);
    for (unsigned i = 1; i < 200; i++) {
        for (unsigned n = 0; n < 6; n++) {
            ask(&b, MACHINE, NOBODY + i, 1);
        }
        vsw_rig_settle(&b);                             /* No more frames are held than there is room for. */
    }
    CU_ASSERT_TRUE(b.vsw->n_pairs == 50 && b.vsw->n_unanswered == 50);
    ask(&b, MACHINE + 1, MACHINE, 1);
    CU_ASSERT_TRUE(b.vsw->n_pairs == 51 && b.vsw->n_unanswered == 50);
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
    UNIT_SUITE("relay", { "scan", test_scan }, { "answers", test_answers }, { "repeats", test_repeats }, { "no path", test_no_path });
}
