/*
 * Interned pairs, compiled one by one, against their naive twin: the whole network compiled anew.
 *
 * Whatever happens, pairs that come, are confirmed, fall idle, are used again, lose their place or their network, and ports that come and go, a whole compile
 * behind it must find every rule as it is.
 */
#include <stdio.h>
#include <string.h>

#include "controller/compile.h"
#include "controller/vsw_rig.h"
#include "lib/wire.h"
#include "tests/unit.h"

unit_suite_fn intern_test_suite;

#define BROADCAST UINT64_C(0xffffffffffff)
#define N_MACHINES 12
#define N_STEPS 1000
/* s1 is on both edges; its link leads to s2, which is on edge 2 only, as s3, whose link's other end is on edge 1: a guest there. */
#define SLICE "{'slices':[{'name':'two','tenant':'red','topology':'custom','switches':[" \
    "{'name':'s1','edges':['e1','e2'],'ports':[{'name':'a','number':1,'edge':'e1','ofport_of':'d2'},{'name':'b','number':2,'edge':'e2','ofport_of':'d2'}]}," \
    "{'name':'s2','edges':['e2'],'ports':[{'name':'a','number':1,'edge':'e2','ofport_of':'d3'}]}," \
    "{'name':'s3','edges':['e1'],'ports':[{'name':'a','number':1,'edge':'e1','ofport_of':'d4'}]}]," \
    "'links':[{'name':'l','ends':['s2/l','s3/l']}]}]}"

struct world { struct vsw_rig rig; struct rng rng; struct vsw *vsws[3]; };

static uint64_t machine(unsigned i) { return UINT64_C(0x525400110000) + i; }

static void apply(struct world *w, const char *document)
{
    struct vsw_rig *b = &w->rig;
    uint32_t ids[3];
    fixture_apply(&b->f, document);
    for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
        char name[32];
        snprintf(name, sizeof name, "red/two/s%u", i + 1);
        ids[i] = ((const struct network *) model_find(b->f.c.model, KIND_SWITCH, name))->id;
    }
    fabric_networks_changed(b->f.c.fabric, ids, ARRAY_SIZE(ids));
    for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
        w->vsws[i] = fabric_find_vsw(b->f.c.fabric, ids[i]);
    }
}

/* The rig's clock is the real one; now_ns is how much it is ahead. */
static uint64_t ahead(void *now_ns)
{
    struct clock real = clock_monotonic();
    return clock_now_ns(&real) + *(uint64_t *) now_ns;
}

static void world_init(struct world *w)
{
    vsw_rig_init(&w->rig);
    rng_seed(&w->rng, unit_seed());
    w->rig.f.now_ns = 0;
    w->rig.f.c.clock = (struct clock) { ahead, &w->rig.f.now_ns };
    w->rig.f.c.config.intern_pairs_per_network = 20;
    apply(w, SLICE);
    vsw_rig_settle(&w->rig);
}

static void packet_in(struct world *w, struct vsw *vsw, const struct network_landing *from, uint64_t src, uint64_t dst)
{
    const struct network *network = vsw->network;
    const struct network_landing *to = &network->landings[rng_below(&w->rng, network->n_landings)];
    uint8_t frame[60] = { 0 };
    struct of_packet_in pin = { .cookie = COOKIE(vsw->id, COOKIE_INTERN), .table_id = T_X_SRC, .data = frame, .size = sizeof frame };
    wire_put48(frame, dst);
    wire_put48(frame + 6, src);
    match_init(&pin.match);
    match_set_u64(&pin.match, R_IN, 1 + rng_below(&w->rng, 2));
    match_set_u64(&pin.match, R_PDST, provider_landing_mac(to->edge->index, 0, to->landing));
    match_set_u64(&pin.match, R_FLAGS, PROVIDER_PAIR);
    intern_packet_in(w->rig.f.c.fabric->intern, substrate_find(w->rig.f.c.substrate, from->edge->datapath_id), &pin);
}

/* Two machines talk, or one to all, by any edge of a virtual switch. */
static void talk(struct world *w)
{
    struct vsw *vsw = w->vsws[rng_below(&w->rng, ARRAY_SIZE(w->vsws))];
    const struct network_landing *from = &vsw->network->landings[rng_below(&w->rng, vsw->network->n_landings)];
    uint64_t src = machine(rng_below(&w->rng, N_MACHINES)), dst = rng_below(&w->rng, 2) ? machine(rng_below(&w->rng, N_MACHINES)) : BROADCAST;
    for (unsigned n = 1 + rng_below(&w->rng, 6); n; n--) {
        packet_in(w, vsw, from, src, dst);
        if (dst != BROADCAST && rng_below(&w->rng, 2)) {
            packet_in(w, vsw, from, dst, src);
        }
    }
}

/* A port of s1 has the address of this machine now: its own entries stand for what a pair of it and all stood for. */
static void change_ports(struct world *w, unsigned i)
{
    char document[300], mac[MAC_STRLEN];
    snprintf(document, sizeof document, "{'slices':[{'name':'two','tenant':'red','switches':[{'name':'s1','ports':[{'name':'p','number':9,'edge':'e%u',"
             "'ofport_of':'d5','mac':'%s'}]}]}]}", 1 + i % 2, mac_format(mac_from_u64(machine(i)), mac));
    apply(w, document);
}

/* On an edge where nothing of it is left to do: compiled anew. */
static void compile_whole(struct world *w, struct vsw *vsw, unsigned edge)
{
    const struct edge *e = model_find(w->rig.f.c.model, KIND_EDGE, edge ? "e2" : "e1");
    if (vsw_has_edge(vsw, e)) {
        compile_network(&w->rig.f.c, vsw, e);
    } else {
        compile_network_guest(&w->rig.f.c, vsw, e);
    }
}

static void check_twin(struct world *w)
{
    const struct rulesets *rulesets = w->rig.f.c.rulesets;
    uint64_t sequence = ruleset_sequence(rulesets);
    for (unsigned i = 0; i < ARRAY_SIZE(w->vsws); i++) {
        CU_ASSERT_EQUAL(w->vsws[i]->n_edges, N_EDGES);
        for (unsigned edge = 0; !w->vsws[i]->dirty && edge < N_EDGES; edge++) {
            compile_whole(w, w->vsws[i], edge);
        }
    }
    CU_ASSERT_EQUAL_FATAL(ruleset_sequence(rulesets), sequence);       /* No pass changed anything. */
}

static void test_twin(void)
{
    struct world w;
    unsigned n_states[3] = { 0 }, n_whole = 0;
    world_init(&w);
    for (unsigned step = 0; step < N_STEPS; step++) {
        unsigned what = rng_below(&w.rng, 100);
        if (what < 70) {
            talk(&w);
        } else if (what < 90) {
            w.rig.f.now_ns += rng_below(&w.rng, 8) ? UINT64_C(2000000000) : UINT64_C(301000000000);
            intern_tick(w.rig.f.c.fabric->intern);
        } else if (what < 92) {
            change_ports(&w, rng_below(&w.rng, N_MACHINES));
        }
        if (rng_below(&w.rng, 3)) {
            fixture_turn(&w.rig.f, 1);
        }
        for (unsigned i = 0; i < ARRAY_SIZE(w.vsws); i++) {
            const struct pair *pair;
            n_whole += w.vsws[i]->dirty;
            LIST_FOR_EACH (pair, node, &w.vsws[i]->pairs) {
                n_states[pair->state]++;
            }
        }
        check_twin(&w);
    }
    /* All kinds were there, and nothing but the ports' changes compiled whole networks. */
    CU_ASSERT_TRUE(n_states[PAIR_SPREADING] > 100 && n_states[PAIR_ACTIVE] > 100 && n_states[PAIR_DRAINING] > 100);
    CU_ASSERT_TRUE(n_whole < N_STEPS / 5);
    vsw_rig_fini(&w.rig);
}

static void find_translation(uint8_t table, uint16_t priority, const struct match *match, uint64_t cookie, const struct instructions *in UNUSED,
                             uint32_t owner UNUSED, void *cookie_)
{
    if (table == T_X_SRC && priority == 100 && mac_u64(match->value.flow.eth_src) == machine(0) && mac_u64(match->value.flow.eth_dst) == BROADCAST) {
        *(uint32_t *) cookie_ = (uint32_t) cookie;
    }
}

/* Who translates what machine 0 sends to all: the cookie's lower half. */
static uint32_t translation(struct world *w)
{
    uint32_t cookie = 0;
    ruleset_each(w->rig.f.c.rulesets, 1, find_translation, &cookie);
    return cookie;
}

static void turn_until(struct world *w, enum pair_state state)
{
    for (unsigned i = 0; i < 2000 && CONTAINER_OF(w->vsws[0]->pairs.next, struct pair, node)->state != state; i++) {
        fixture_turn(&w->rig.f, 1);
    }
}

/* A machine that had a pair becomes a port: the pair drains, comes never back, and leaves the port's entries alone. */
static void test_becomes_port(void)
{
    struct world w;
    world_init(&w);
    struct vsw *vsw = w.vsws[0];
    change_ports(&w, 2);
    fixture_turn(&w.rig.f, 3);
    packet_in(&w, vsw, &vsw->network->landings[0], machine(2), BROADCAST);     /* Late, and the first that comes at all. */
    CU_ASSERT_EQUAL_FATAL(vsw->n_pairs[PAIRS_ALL], 0);
    for (unsigned n = 0; n < 50 && !vsw->n_pairs[PAIRS_ALL]; n++) {
        packet_in(&w, vsw, &vsw->network->landings[0], machine(0), BROADCAST);
    }
    CU_ASSERT_EQUAL_FATAL(vsw->n_pairs[PAIRS_ALL], 1);
    turn_until(&w, PAIR_ACTIVE);
    CU_ASSERT_EQUAL(translation(&w), COOKIE_PAIR);
    change_ports(&w, 0);
    fixture_turn(&w.rig.f, 3);
    CU_ASSERT_TRUE(vsw->n_pairs[PAIRS_ALL] == 1 && vsw->n_draining[PAIRS_ALL] == 1);
    CU_ASSERT_EQUAL(translation(&w), COOKIE_TRANSPORT);
    packet_in(&w, vsw, &vsw->network->landings[0], machine(0), BROADCAST);
    CU_ASSERT_EQUAL(vsw->n_draining[PAIRS_ALL], 1);
    for (unsigned i = 0; i < 4; i++) {
        w.rig.f.now_ns += UINT64_C(2000000000);
        intern_tick(w.rig.f.c.fabric->intern);
    }
    CU_ASSERT_EQUAL(vsw->n_pairs[PAIRS_ALL], 0);
    CU_ASSERT_EQUAL(translation(&w), COOKIE_TRANSPORT);
    check_twin(&w);
    vsw_rig_fini(&w.rig);
}

void intern_test_suite(void)
{
    UNIT_SUITE("intern", { "a machine becomes a port", test_becomes_port }, { "one by one like all at once", test_twin });
}
