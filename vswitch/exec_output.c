/* Outputs: ports, reserved ports, the controller. */
#include "vswitch/exec.h"

#include "vswitch/packet.h"

/* To one port that is known not to be suppressed. */
static void send(struct exec *e, uint32_t port, bool tail)
{
    uint32_t state = dp_port_state(e->dp, port);
    if (!(state & PORT_PRESENT)) {
        exec_note(e, DROP_NO_PORT, RANK_WENT_WRONG);
        return;
    }
    if (state & (OFPPC_PORT_DOWN | OFPPC_NO_FWD)) {
        exec_note(e, state & OFPPC_PORT_DOWN ? DROP_PORT_DOWN : DROP_PORT_CONFIG, RANK_WENT_WRONG);
        return;
    }
    struct packet *p = exec_take_or_copy(e, tail);
    if (!p) {
        return;
    }
    e->n_sent++;
    if (e->rec) {
        recorder_output(e->rec, port);
    }
    exec_event(e, &(struct exec_event) { .type = EVENT_OUTPUT, .port = port, .queue = p->queue });
    e->ops->output(e->thread, p, port, e->aux);
}

static void flood(struct exec *e, uint32_t excluded, bool tail)
{
    const struct port_list *list = atomic_load_explicit(&e->dp->port_list, memory_order_acquire);
    unsigned at = 0;
    uint32_t ingress = be32_get(e->flow.flow.in_port), port = dp_flood_next(e->dp, list, &at, ingress, excluded);
    if (!port) {
        exec_note(e, DROP_IN_PORT, RANK_WENT_WRONG);
    }
    while (port) {
        uint32_t next = dp_flood_next(e->dp, list, &at, ingress, excluded);
        send(e, port, tail && !next);
        port = next;
    }
}

void exec_packet_in(struct exec *e, uint8_t reason, const struct dp_controller *controller)
{
    exec_not_plain(e);
    /* Section 7.2.1: OFPPC_NO_PACKET_IN: "packets on that port that generate a table miss should never trigger a packet-in". */
    if ((reason == OFPR_NO_MATCH || reason == OFPR_IMPLICIT_MISS) && dp_port_state(e->dp, e->in_port) & OFPPC_NO_PACKET_IN) {
        exec_note(e, DROP_PORT_CONFIG, RANK_WENT_WRONG);
        return;
    }
    exec_event(e, &(struct exec_event) { .type = EVENT_CONTROLLER, .reason = reason == OFPR_IMPLICIT_MISS ? (uint8_t) OFPR_NO_MATCH : reason });
    bool taken = e->ops->packet_in(e->thread, e->packet, &e->flow.flow, e->cookie, e->table, reason, controller, e->aux);
    if (reason == OFPR_INVALID_TTL) {
        return;         /* The frame itself is dropped, and counted as that, whether or not the controller hears of it. */
    }
    if (taken) {
        e->n_sent++;
    } else {
        exec_count_drop(e, DROP_PACKET_IN_LIMIT);
    }
}

/* OFPP_TABLE, in packet-outs only: a trip through the pipeline, with an action set of its own. */
static void submit(struct exec *e, bool tail)
{
    struct exec_scope scope;
    if (!e->packet_out) {
        exec_note(e, DROP_BAD_ACTION, RANK_WENT_WRONG);
    } else if (exec_scope_enter(e, &scope, tail)) {
        uint64_t cookie = e->cookie;
        e->packet_out = false;
        exec_pipeline(e, true);
        e->packet_out = true;
        e->cookie = cookie;
        e->origin = OFPR_PACKET_OUT;
        e->table = 0;
        exec_scope_leave(e, &scope);
    }
}

/* What leaves, and where, is the learning table's to say for each packet: a step asks it anew when that is all there is to what becomes of the packet. */
static void normal(struct exec *e, bool tail)
{
    const struct flow *f = &e->flow.flow;
    struct recorder *rec = e->rec;
    if (rec) {
        recorder_normal(rec, tail && action_set_empty(&e->set) && !e->n_sent && e->rank == RANK_NOTHING && be32_get(f->in_port) == e->in_port);
    }
    e->rec = NULL;                      /* Where this one goes is none of the record's business. */
    if (!e->observe) {                  /* Whoever only watches teaches nothing. */
        dp_learn(e->dp, f->eth_src, e->in_port, e->now_ns);
    }
    uint32_t to = dp_station(e->dp, f->eth_dst, e->now_ns);
    exec_event(e, &(struct exec_event) { .type = EVENT_LEARNED, .port = to });
    exec_output(e, to, 0, tail);
    e->rec = rec;
}

void exec_output(struct exec *e, uint32_t port, uint16_t max_len, bool tail)
{
    uint32_t ingress = be32_get(e->flow.flow.in_port);
    switch (port) {
    case OFPP_IN_PORT: send(e, ingress, tail); return;
    case OFPP_CONTROLLER: exec_packet_in(e, e->origin, &(struct dp_controller) { .max_len = max_len }); return;
    case OFPP_ALL: flood(e, 0, tail); return;
    case OFPP_FLOOD: flood(e, OFPPC10_NO_FLOOD, tail); return;
    case OFPP_TABLE: submit(e, tail); return;
    case OFPP_NORMAL: normal(e, tail); return;
    default: break;
    }
    /* Section 7.2.5: "to send the packet out of its ingress port", OFPP_IN_PORT must be named. */
    if (port == ingress) {
        exec_note(e, DROP_IN_PORT, RANK_WENT_WRONG);
        return;
    }
    send(e, port, tail);
}
