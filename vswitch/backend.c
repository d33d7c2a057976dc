#define LOG_MODULE "backend"
#include "vswitch/backend.h"

#include <event2/event.h>
#include <rte_version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/util.h"
#include "vswitch/rpc.h"
#include "vswitch/vswitch.h"

/* --- What the datapath core calls --- */

/* The poll-mode thread of a datapath thread, NULL for the control thread's. */
static struct poll_thread *poll_of(struct dp_thread *t)
{
    return dp_thread_aux(t);
}

static void dp_output(struct dp_thread *t, struct packet *p, uint32_t port_no, void *vs_)
{
    struct vswitch *vs = vs_;
    struct port *port = port_get(&vs->ports, port_no);
    struct rte_mbuf *m = mbuf_from_packet(p);
    struct poll_thread *pt = poll_of(t);
    if (!port) {
        dp_thread_drop(t, p->in_port, DROP_NO_PORT);
        rte_pktmbuf_free(m);
    } else if (pt) {
        poll_output(pt, port, m);
    } else if (!poll_send(&vs->poll, port, m)) {
        counter_add(&port->threads[0].counters.tx_dropped, 1);
        dp_thread_drop(t, p->in_port, DROP_TX_FULL);
        rte_pktmbuf_free(m);
    }
}

static void dp_output_batch(struct dp_thread *t, struct packet **packets, unsigned n, uint32_t port_no, void *vs_)
{
    struct vswitch *vs = vs_;
    struct port *port = port_get(&vs->ports, port_no);
    if (port && poll_of(t)) {
        poll_output_batch(poll_of(t), port, packets, n);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        dp_output(t, packets[i], port_no, vs);
    }
}

static struct packet *dp_copy(struct dp_thread *t, const struct packet *p, void *vs_)
{
    struct vswitch *vs = vs_;
    (void) t;
    return mbuf_copy_packet(&vs->pools, p);
}

static void dp_free_packet(struct dp_thread *t, struct packet *p, void *vs)
{
    (void) t;
    (void) vs;
    rte_pktmbuf_free(mbuf_of_packet(p));
}

/* No packet is buffered here, so the whole frame goes along whatever max_len says (section 7.4.1). */
static bool dp_packet_in(struct dp_thread *t, const struct packet *p, const struct flow *flow, uint64_t cookie, uint8_t table, uint8_t reason,
                         const struct dp_controller *controller, void *vs)
{
    return punt_put(vs, dp_thread_index(t), p, flow, cookie, table, reason, controller);
}

static void dp_defer(void (*fn)(void *), void *arg, void *vs_)
{
    struct vswitch *vs = vs_;
    rcu_defer(&vs->rcu, fn, arg);
}

static void dp_flow_removed(struct flow_entry *e, uint8_t reason, void *vs_)
{
    struct vswitch *vs = vs_;
    if (vs->agent) {
        of_agent_flow_removed(vs->agent, e, reason);
    }
}

const struct dp_ops backend_dp_ops = {
    .output = dp_output, .output_batch = dp_output_batch, .copy = dp_copy, .free = dp_free_packet, .packet_in = dp_packet_in, .defer = dp_defer,
    .flow_removed = dp_flow_removed,
};

/* --- What the OpenFlow agent calls --- */

static void of_features(void *vs_, struct of_features *out)
{
    struct vswitch *vs = vs_;
    *out = (struct of_features) {
        .datapath_id = vs->config.datapath_id, .n_tables = OF_N_TABLES,
        .capabilities = OFPC_FLOW_STATS | OFPC_TABLE_STATS | OFPC_PORT_STATS | OFPC_GROUP_STATS | OFPC_QUEUE_STATS,
    };
}

static void of_desc(void *vs_, struct of_desc *out)
{
    struct vswitch *vs = vs_;
    memset(out, 0, sizeof *out);
    str_copy(out->mfr, sizeof out->mfr, "Polder");
    snprintf(out->hw, sizeof out->hw, "vswitchd on %s", rte_version());
    str_copy(out->sw, sizeof out->sw, PACKAGE_VERSION);
    str_copy(out->serial, sizeof out->serial, "None");
    str_copy(out->dp, sizeof out->dp, vs->config.name);
}

static struct flow_tables *of_flows(void *vs)
{
    return dp_flows(((struct vswitch *) vs)->dp);
}

static struct group_table *of_groups(void *vs)
{
    return dp_groups(((struct vswitch *) vs)->dp);
}

static struct meter_table *of_meters(void *vs)
{
    return dp_meters(((struct vswitch *) vs)->dp);
}

static void of_table_stats(void *vs, uint8_t table, struct of_table_stats *out)
{
    dp_table_stats(((struct vswitch *) vs)->dp, table, out);
}

static void of_ports(void *vs_, void (*fn)(const struct of_port *, void *), void *fn_aux)
{
    struct vswitch *vs = vs_;
    struct port *p;
    PORT_FOR_EACH (p, &vs->ports) {
        struct of_port desc;
        port_describe(p, &desc);
        fn(&desc, fn_aux);
    }
}

static bool of_port_stats(void *vs_, uint32_t port_no, struct of_port_stats *out)
{
    struct vswitch *vs = vs_;
    struct port *p = port_get(&vs->ports, port_no);
    if (p) {
        port_stats(p, vswitch_n_threads(vs), clock_now_ns(&vs->clock), out);
    }
    return p;
}

static void of_queues(void *vs_, void (*fn)(const struct of_queue *, void *), void *fn_aux)
{
    struct vswitch *vs = vs_;
    struct port *p;
    PORT_FOR_EACH (p, &vs->ports) {
        struct of_queue queue;
        for (unsigned i = 0; i < p->config.qos.n; i++) {
            port_queue_stats(p, i, clock_now_ns(&vs->clock), &queue);
            fn(&queue, fn_aux);
        }
    }
}

static bool of_group_stats(void *vs, struct group *g, struct of_group_stats *out)
{
    return dp_group_stats(((struct vswitch *) vs)->dp, g, out);
}

static struct of_error of_port_mod(void *vs_, const struct of_port_mod *pm)
{
    struct vswitch *vs = vs_;
    struct port *p = port_get(&vs->ports, pm->port_no);
    if (!p) {
        return OF_ERROR(OFPET_PORT_MOD_FAILED, OFPPMFC_BAD_PORT);
    }
    if (mac_u64(pm->hw_addr) != mac_u64(p->mac)) {
        return OF_ERROR(OFPET_PORT_MOD_FAILED, OFPPMFC_BAD_HW_ADDR);
    }
    if (pm->advertise) {
        return OF_ERROR(OFPET_PORT_MOD_FAILED, OFPPMFC_BAD_ADVERTISE);
    }
    uint32_t config = (p->of_config & ~pm->mask) | (pm->config & pm->mask);
    if (config != p->of_config) {
        bool only_flood = (config ^ p->of_config) == OFPPC10_NO_FLOOD;
        p->of_config = config;
        vswitch_port_changed(vs, p, !only_flood);
        if (only_flood) {
            struct of_port desc;
            port_describe(p, &desc);
            of_agent_port_flood(vs->agent, &desc);
        }
    }
    return OF_OK;
}

static struct of_error of_packet_out(void *vs_, const struct of_packet_out *po)
{
    struct vswitch *vs = vs_;
    if (po->size < 14 || po->size > MBUF_JUMBO_ROOM) {
        return OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_PACKET);
    }
    struct rte_mbuf *m = mbuf_alloc(&vs->pools, po->size);
    if (!m) {
        dp_thread_drop(dp_thread(vs->dp, 0), po->in_port, DROP_NO_MEMORY);
        return OF_OK;
    }
    memcpy(rte_pktmbuf_mtod(m, void *), po->data, po->size);
    m->data_len = (uint16_t) po->size;
    m->pkt_len = po->size;
    dp_execute(dp_thread(vs->dp, 0), mbuf_to_packet(m, po->in_port), po->in_port, &po->actions, clock_now_ns(&vs->clock));
    return OF_OK;
}

/* A batch that began before a flow-mod may still run by the old tables; after a grace period none does. */
static void of_barrier(void *vs_, void (*done)(void *), void *token)
{
    struct vswitch *vs = vs_;
    rcu_defer(&vs->rcu, done, token);
}

static char *of_polder_request(void *vs, const char *json, size_t size)
{
    return rpc_text(vs, json, size, RPC_OPENFLOW);
}

static void count_configured(const char *peer, const char *role, const struct of_conn_counters *c, bool outgoing, void *n_)
{
    unsigned *n = n_;
    (void) peer;
    (void) role;
    *n += outgoing && !strcmp(c->state, "up");
}

/* With controllers configured, only they end standalone mode: somebody who looks in on a listening socket does not. */
static void of_controllers_changed(void *vs_, unsigned n_up)
{
    struct vswitch *vs = vs_;
    LOG(LOG_DEBUG, "%u OpenFlow connection%s up", n_up, n_up == 1 ? "" : "s");
    if (vs->agent && vs->config.n_controllers) {
        n_up = 0;
        of_agent_each_connection(vs->agent, count_configured, &n_up);
    }
    vs->n_controllers_up = n_up;
    if (!vs->config.standalone) {
        return;
    }
    if (n_up && vs->standalone) {
        LOG(LOG_INFO, "a controller is back: bridging by itself ends");
        vs->standalone = false;
        dp_set_standalone(vs->dp, false);
    }
    if (n_up) {
        event_del(vs->standalone_event);
    } else if (!vs->standalone) {
        event_add(vs->standalone_event, &(struct timeval) { .tv_sec = VSWITCH_STANDALONE_AFTER_S });
    }
}

static void of_misses_wanted(void *vs, bool wanted)
{
    dp_set_misses(((struct vswitch *) vs)->dp, wanted);
}

static void of_drop_fragments(void *vs, bool drop)
{
    dp_set_drop_fragments(((struct vswitch *) vs)->dp, drop);
}

static void of_bundle(void *vs, enum of_bundle_step step)
{
    struct dp *dp = ((struct vswitch *) vs)->dp;
    switch (step) {
    case BUNDLE_BEGIN: dp_bundle_begin(dp); break;
    case BUNDLE_COMMIT: dp_bundle_commit(dp); break;
    case BUNDLE_ABORT: dp_bundle_abort(dp); break;
    }
}

const struct of_backend_ops backend_of_ops = {
    .features = of_features, .desc = of_desc, .flows = of_flows, .groups = of_groups, .meters = of_meters, .table_stats = of_table_stats, .ports = of_ports,
    .port_stats = of_port_stats, .queues = of_queues, .group_stats = of_group_stats, .port_mod = of_port_mod, .packet_out = of_packet_out, .barrier = of_barrier,
    .polder_request = of_polder_request, .controllers_changed = of_controllers_changed, .misses_wanted = of_misses_wanted,
    .drop_fragments = of_drop_fragments, .bundle = of_bundle,
};
