#include "ofproto/agent_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct of_error flow_insert(struct flow_entry *e UNUSED, void *f_)
{
    struct fake *f = f_;
    return f->refuse_inserts ? OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_UNKNOWN) : OF_OK;
}

static struct of_error flow_modify(struct flow_entry *e UNUSED, const struct instructions *old UNUSED, bool reset UNUSED, void *f UNUSED)
{
    return OF_OK;
}

static void flow_remove(struct flow_entry *e, int reason, void *f_)
{
    struct fake *f = f_;
    f->n_removed++;
    if (reason >= 0 && f->agent) {
        of_agent_flow_removed(f->agent, e, (uint8_t) reason);
    }
}

static void flow_counters(const struct flow_entry *e, uint64_t *packets, uint64_t *bytes, uint64_t *used_ns, void *f_)
{
    struct fake *f = f_;
    *packets = f->packets;
    *bytes = 100 * f->packets;
    *used_ns = e->created_ns;
}

static const struct flow_table_ops flow_ops = { flow_insert, flow_modify, flow_remove, flow_counters };

static struct of_error group_ok(struct group *g UNUSED, void *f UNUSED)
{
    return OF_OK;
}

static void group_gone(struct group *g UNUSED, void *f UNUSED)
{
}

static const struct group_ops group_callbacks = { group_ok, group_ok, group_gone };

static struct of_error meter_ok(struct meter *m UNUSED, void *f UNUSED)
{
    return OF_OK;
}

static void meter_gone(struct meter *m UNUSED, void *f UNUSED)
{
}

static void meter_counters(const struct meter *m UNUSED, struct of_meter_stats *out, void *f_)
{
    struct fake *f = f_;
    out->packet_in_count = f->packets;
    out->byte_in_count = 100 * f->packets;
}

static const struct meter_ops meter_callbacks = { meter_ok, meter_ok, meter_gone, meter_counters };

static uint64_t fake_now(void *f)
{
    return ((struct fake *) f)->now_ns;
}

void fake_init(struct fake *f, unsigned max_flows, unsigned max_groups)
{
    memset(f, 0, sizeof *f);
    f->now_ns = 1000000000;
    f->clock = (struct clock) { fake_now, f };
    f->n_ports = 3;
    f->flows = flow_tables_new(max_flows, f->clock, &flow_ops, f);
    f->groups = group_table_new(max_groups, f->clock, &group_callbacks, f);
    f->meters = meter_table_new(max_groups, f->clock, &meter_callbacks, f);
}

void fake_fini(struct fake *f)
{
    f->agent = NULL;
    flow_tables_free(f->flows);
    group_table_free(f->groups);
    meter_table_free(f->meters);
}

void fake_release(struct fake *f)
{
    if (f->barrier_done) {
        void (*done)(void *) = f->barrier_done;
        f->barrier_done = NULL;
        done(f->barrier_token);
    }
}

static void features(void *f UNUSED, struct of_features *out)
{
    *out = (struct of_features) { .datapath_id = 0xfa4e, .n_tables = OF_N_TABLES,
                                  .capabilities = OFPC_FLOW_STATS | OFPC_TABLE_STATS | OFPC_PORT_STATS | OFPC_GROUP_STATS };
}

static void desc(void *f UNUSED, struct of_desc *out)
{
    str_copy(out->mfr, sizeof out->mfr, "Polder");
    str_copy(out->hw, sizeof out->hw, "none");
    str_copy(out->sw, sizeof out->sw, "test");
    str_copy(out->serial, sizeof out->serial, "0");
    str_copy(out->dp, sizeof out->dp, "fake");
}

static struct flow_tables *flows(void *f)
{
    return ((struct fake *) f)->flows;
}

static struct group_table *groups(void *f)
{
    return ((struct fake *) f)->groups;
}

static void table_stats(void *f UNUSED, uint8_t table, struct of_table_stats *out)
{
    out->lookup_count = 10u + table;
    out->matched_count = table;
}

static void ports(void *f_, void (*fn)(const struct of_port *, void *), void *aux)
{
    struct fake *f = f_;
    for (unsigned i = 1; i <= f->n_ports; i++) {
        struct of_port port = { .port_no = i, .hw_addr = mac_from_u64(0x020000000000 + i), .state = OFPPS_LIVE };
        snprintf(port.name, sizeof port.name, "port%u", i);
        fn(&port, aux);
    }
}

static bool port_stats(void *f_, uint32_t port_no, struct of_port_stats *out)
{
    struct fake *f = f_;
    if (!port_no || port_no > f->n_ports) {
        return false;
    }
    *out = (struct of_port_stats) { .port_no = port_no, .rx_packets = 7 * port_no, .duration_sec = 5 };
    return true;
}

static bool group_stats(void *f_, struct group *g, struct of_group_stats *out)
{
    struct fake *f = f_;
    out->packet_count = f->packets;
    out->byte_count = 100 * f->packets;
    out->n_buckets = g->n_buckets;
    out->buckets = xcalloc(g->n_buckets ? g->n_buckets : 1, sizeof *out->buckets);
    return true;
}

static struct of_error port_mod(void *f_, const struct of_port_mod *pm)
{
    struct fake *f = f_;
    f->n_port_mods++;
    f->port_mod_mask = pm->mask;
    return pm->port_no && pm->port_no <= f->n_ports ? OF_OK : OF_ERROR(OFPET_PORT_MOD_FAILED, OFPPMFC_BAD_PORT);
}

static void drop_fragments(void *f, bool drop)
{
    ((struct fake *) f)->drops_fragments = drop;
}

static struct of_error packet_out(void *f_, const struct of_packet_out *po)
{
    struct fake *f = f_;
    f->n_packet_outs++;
    f->packet_out_port = po->in_port;
    return OF_OK;
}

static void barrier(void *f_, void (*done)(void *), void *token)
{
    struct fake *f = f_;
    if (f->defer_barriers) {
        f->barrier_done = done;
        f->barrier_token = token;
    } else {
        done(token);
    }
}

static char *polder_request(void *f UNUSED, const char *json, size_t size)
{
    char *in = xmemdup0(json ? json : "", size), *out = xasprintf("{\"result\":%s}", in);
    free(in);
    return out;
}

static void controllers_changed(void *f_, unsigned n_up)
{
    struct fake *f = f_;
    f->last_n_up = n_up;
    f->n_controllers_changed++;
}

static struct meter_table *meters(void *f)
{
    return ((struct fake *) f)->meters;
}

static void misses_wanted(void *f_, bool wanted)
{
    ((struct fake *) f_)->misses_wanted = wanted;
}

static void bundle(void *f_, enum of_bundle_step step)
{
    ((struct fake *) f_)->n_bundle_steps[step]++;
}

static void request(void *f_, const struct of_request *request)
{
    struct fake *f = f_;
    f->request = *request;
    f->request.size = MIN(request->size, sizeof f->request_raw);
    memcpy(f->request_raw, request->raw, f->request.size);
    f->request.raw = f->request_raw;
}

static void refresh(void *f_, const struct of_multipart_msg *mp UNUSED, void (*done)(void *), void *token)
{
    struct fake *f = f_;
    if (f->defer_refresh) {
        f->refresh_done = done;
        f->refresh_token = token;
    } else {
        done(token);
    }
}

/* Port 2 has the queues 1 and 2^32-2, port 3 queue 1. */
static void queues(void *f, void (*fn)(const struct of_queue *, void *), void *aux)
{
    uint64_t packets = ((struct fake *) f)->packets;
    fn(&(struct of_queue) { .port_no = 2, .id = 1, .min_rate = 300, .max_rate = OF_RATE_NONE, .tx_packets = packets, .tx_bytes = 100 * packets }, aux);
    fn(&(struct of_queue) { .port_no = 2, .id = 0xfffffffe, .min_rate = 1, .max_rate = 1000, .tx_errors = 3, .duration_sec = 5 }, aux);
    fn(&(struct of_queue) { .port_no = 3, .id = 1, .min_rate = OF_RATE_NONE, .max_rate = 50 }, aux);
}

#define FAKE_OPS(METERS) { features, desc, flows, groups, table_stats, ports, port_stats, queues, group_stats, port_mod, packet_out, METERS, barrier, \
                           polder_request, controllers_changed, misses_wanted, drop_fragments, bundle, NULL, request, refresh, NULL, NULL, NULL }
const struct of_backend_ops fake_ops = FAKE_OPS(NULL), fake_meter_ops = FAKE_OPS(meters);
