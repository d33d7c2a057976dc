/*
 * Phases about a bad neighbour: what tenant 1 does while tenant 0's latency is measured.
 *
 * The flood is made between samples, in this thread, as much as controllerd takes: its sockets are full when a sample
 * begins, so controllerd has the flood to read all the time, and making it costs no sample anything.  A sample still
 * counts what the flood's rules cost the simulated switch.
 */
#include "utilities/control-bench/control_sim.h"

#include "lib/json.h"

enum {
    FLOW_MODS_A_TURN = 512,     /* While the last turn's have left this process. */
    PACKET_INS_A_TURN = 256,
    QUESTIONS_A_TURN = 8,
    MAX_BACKLOG = 64 << 10,
    FLOOD_KEYS = 4096,
};

static void ask_for_flows(struct tenant_conn *tc)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_MULTIPART_REQUEST, 0);
    msg.multipart.type = OFPMP_FLOW;
    of_flow_filter_init(&msg.multipart.filter);
    of_conn_send(tc->conn, &msg);
}

void flood_turn(struct bench *b)
{
    struct tenant_conn *tc = b->flood ? tenant_switch(b->tenants, 1, 0, DIRECT_DPID) : NULL;
    if (!tc) {                  /* None, or controllerd has thrown it out; it will come again. */
        return;
    }
    bool room = of_conn_backlog(tc->conn) < MAX_BACKLOG;
    if (b->flood == FLOOD_FLOW_MODS) {
        for (unsigned i = 0; room && i < FLOW_MODS_A_TURN; i++, b->n_flooded++) {
            tenant_add(tc, (uint32_t) (b->n_flooded % FLOOD_KEYS), 1 + b->n_flooded / FLOOD_KEYS % 2);
        }
    } else if (b->flood == FLOOD_PACKET_INS) {
        for (unsigned i = 0; i < PACKET_INS_A_TURN; i++, b->n_flooded++) {
            packet_source_send(&b->flood_source);
        }
    } else {
        of_conn_read_enable(tc->conn, false);
        for (unsigned i = 0; room && i < QUESTIONS_A_TURN; i++, b->n_flooded++) {
            ask_for_flows(tc);
        }
    }
}

static bool has_neighbour(struct bench *b, void *aux UNUSED)
{
    return b->tenants->n > 1 && tenant_switch(b->tenants, 1, 0, DIRECT_DPID);
}

static bool start(struct bench *b, enum flood flood, struct err *err)
{
    if (!b->o->openflow || b->tenants->n < 2) {
        return err_set(err, ERR_USAGE, NULL, "a flood needs controllerd and --tenants 2");
    }
    if (!bench_wait(b, has_neighbour, NULL, WAIT_NS, false)) {
        return err_set(err, ERR_TIMEOUT, NULL, "tenant 1 has no switch");
    }
    b->flood = flood;
    return true;
}

bool phase_flood_flow_mods(struct bench *b, uint64_t n UNUSED, cJSON *result UNUSED, struct err *err)
{
    return start(b, FLOOD_FLOW_MODS, err);
}

static bool has_source(struct bench *b, void *aux UNUSED)
{
    return packet_source_find(b, LANE_SLICE, &b->flood_source);
}

bool phase_flood_packet_ins(struct bench *b, uint64_t n UNUSED, cJSON *result UNUSED, struct err *err)
{
    if (!start(b, FLOOD_NONE, err)) {
        return false;
    }
    tenant_miss(tenant_switch(b->tenants, 1, 0, DIRECT_DPID));
    if (!bench_wait(b, has_source, NULL, WAIT_NS, false)) {
        return err_set(err, ERR_TIMEOUT, NULL, "no frame of tenant 1's machine becomes a packet-in");
    }
    b->flood = FLOOD_PACKET_INS;
    return true;
}

bool phase_flood_stall(struct bench *b, uint64_t n UNUSED, cJSON *result UNUSED, struct err *err)
{
    if (!start(b, FLOOD_STALL, err)) {
        return false;
    }
    struct tenant_conn *tc = tenant_switch(b->tenants, 1, 0, DIRECT_DPID);
    for (uint32_t i = 0; i < FLOOD_KEYS; i++) {         /* So that there is much to tell. */
        tenant_add(tc, i, 1);
    }
    return true;
}

static bool is_calm(struct bench *b, void *aux UNUSED)
{
    struct tenant_conn *tc = tenant_switch(b->tenants, 1, 0, DIRECT_DPID);
    return tc && !of_conn_backlog(tc->conn);
}

bool phase_flood_end(struct bench *b, uint64_t n UNUSED, cJSON *result, struct err *err)
{
    struct tenant_conn *tc = b->tenants->n > 1 ? tenant_switch(b->tenants, 1, 0, DIRECT_DPID) : NULL;
    json_add_u64(result, "flooded", b->n_flooded);
    b->flood = FLOOD_NONE;
    if (tc) {
        of_conn_read_enable(tc->conn, true);
    }
    return bench_wait(b, is_calm, NULL, WAIT_NS, false) || err_set(err, ERR_TIMEOUT, NULL, "the flood does not end");
}
