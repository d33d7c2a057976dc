#include "vswitch/metrics.h"

#include <inttypes.h>
#include <rte_cycles.h>
#include <rte_mempool.h>
#include <stdlib.h>

#include "lib/buf.h"
#include "vswitch/vswitch.h"

static void family(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_printf(b, "# HELP polder_vswitch_%s %s\n# TYPE polder_vswitch_%s %s\n", name, help, name, type);
}

static void single(struct buf *b, const char *name, const char *type, const char *help, uint64_t value)
{
    family(b, name, type, help);
    buf_printf(b, "polder_vswitch_%s %" PRIu64 "\n", name, value);
}

/* Names were checked to need no escaping: letters, digits, '.', '_', '-'. */
static void port_family(struct vswitch *vs, struct buf *b, const char *name, const char *help, size_t offset)
{
    struct port *p;
    family(b, name, "counter", help);
    PORT_FOR_EACH (p, &vs->ports) {
        struct of_port_stats s;
        port_stats(p, vswitch_n_threads(vs), clock_now_ns(&vs->clock), &s);
        buf_printf(b, "polder_vswitch_%s{port=\"%s\",ofport=\"%u\"} %" PRIu64 "\n", name, p->config.name, p->port_no,
                   *(const uint64_t *) (const void *) ((const char *) &s + offset));
    }
}

static void ports(struct vswitch *vs, struct buf *b)
{
    static const struct { const char *name, *help; size_t offset; } rows[] = {
        { "port_rx_packets_total", "Frames received.", offsetof(struct of_port_stats, rx_packets) },
        { "port_rx_bytes_total", "Bytes received.", offsetof(struct of_port_stats, rx_bytes) },
        { "port_rx_dropped_total", "Frames that the port could not receive.", offsetof(struct of_port_stats, rx_dropped) },
        { "port_rx_errors_total", "Receive errors of the device.", offsetof(struct of_port_stats, rx_errors) },
        { "port_tx_packets_total", "Frames sent.", offsetof(struct of_port_stats, tx_packets) },
        { "port_tx_bytes_total", "Bytes sent.", offsetof(struct of_port_stats, tx_bytes) },
        { "port_tx_dropped_total", "Frames that the port could not send.", offsetof(struct of_port_stats, tx_dropped) },
        { "port_tx_errors_total", "Transmit errors of the device.", offsetof(struct of_port_stats, tx_errors) },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        port_family(vs, b, rows[i].name, rows[i].help, rows[i].offset);
    }
    struct port *p;
    family(b, "port_up", "gauge", "1 when the port's link is up (vhost-user: the VM's driver is ready).");
    PORT_FOR_EACH (p, &vs->ports) {
        buf_printf(b, "polder_vswitch_port_up{port=\"%s\",ofport=\"%u\"} %d\n", p->config.name, p->port_no, p->link_reported);
    }
}

static void queues(struct vswitch *vs, struct buf *b)
{
    static const struct { const char *name, *help; size_t offset; } rows[] = {
        { "queue_tx_packets_total", "Frames sent from a port's queue.", offsetof(struct of_queue, tx_packets) },
        { "queue_tx_bytes_total", "Bytes sent from a port's queue.", offsetof(struct of_queue, tx_bytes) },
        { "queue_dropped_total", "Frames that a full queue refused.", offsetof(struct of_queue, tx_errors) },
    };
    for (unsigned k = 0; k < ARRAY_SIZE(rows); k++) {
        struct port *p;
        family(b, rows[k].name, "counter", rows[k].help);
        PORT_FOR_EACH (p, &vs->ports) {
            for (unsigned i = 0; i < p->config.qos.n; i++) {
                struct of_queue q;
                port_queue_stats(p, i, clock_now_ns(&vs->clock), &q);
                buf_printf(b, "polder_vswitch_%s{port=\"%s\",ofport=\"%u\",queue=\"%u\"} %" PRIu64 "\n", rows[k].name, p->config.name, p->port_no, q.id,
                           *(const uint64_t *) (const void *) ((const char *) &q + rows[k].offset));
            }
        }
    }
}

static void drops(struct vswitch *vs, struct buf *b)
{
    struct port *p;
    family(b, "drops_total", "counter", "Frames dropped, by the port they came from and why.");
    PORT_FOR_EACH (p, &vs->ports) {
        for (unsigned reason = 0; reason < DROP_N_REASONS; reason++) {
            uint64_t n = drop_reason_name(reason) ? dp_drops(vs->dp, p->port_no, reason) : 0;
            if (n) {
                buf_printf(b, "polder_vswitch_drops_total{port=\"%s\",ofport=\"%u\",reason=\"%s\"} %" PRIu64 "\n",
                           p->config.name, p->port_no, drop_reason_name(reason), n);
            }
        }
    }
}

static void threads(struct vswitch *vs, struct buf *b)
{
    static const struct { const char *state; size_t offset; } rows[] = {
        { "busy", offsetof(struct poll_counters, busy_tsc) }, { "idle", offsetof(struct poll_counters, idle_tsc) },
        { "asleep", offsetof(struct poll_counters, sleep_tsc) },
    };
    double hz = (double) rte_get_tsc_hz();
    family(b, "poll_seconds_total", "counter", "Time of poll-mode threads: with frames, looking for frames, asleep.");
    for (unsigned i = 0; i < vs->poll.n; i++) {
        struct poll_thread *t = vs->poll.threads[i];
        for (unsigned k = 0; k < ARRAY_SIZE(rows); k++) {
            uint64_t tsc = counter_get((const uint64_t *) (const void *) ((const char *) &t->counters + rows[k].offset));
            buf_printf(b, "polder_vswitch_poll_seconds_total{thread=\"%u\",cpu=\"%u\",state=\"%s\"} %.6f\n", i + 1, t->cpu, rows[k].state,
                       (double) tsc / hz);
        }
    }
    family(b, "poll_packets_total", "counter", "Frames received by poll-mode threads.");
    for (unsigned i = 0; i < vs->poll.n; i++) {
        struct poll_thread *t = vs->poll.threads[i];
        buf_printf(b, "polder_vswitch_poll_packets_total{thread=\"%u\",cpu=\"%u\"} %" PRIu64 "\n", i + 1, t->cpu, counter_get(&t->perf->counts.packets));
    }
}

static void batches(struct buf *b, unsigned thread, const struct perf_counts *counts)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < PERF_N_SIZES; i++) {
        n += counts->sizes[i];
        buf_printf(b, "polder_vswitch_poll_batch_packets_bucket{thread=\"%u\",le=\"%u\"} %" PRIu64 "\n", thread,
                   i + 1 < PERF_N_SIZES ? perf_size_least[i + 1] - 1u : DP_BATCH, n);
    }
    buf_printf(b, "polder_vswitch_poll_batch_packets_bucket{thread=\"%u\",le=\"+Inf\"} %" PRIu64 "\n", thread, n);
    buf_printf(b, "polder_vswitch_poll_batch_packets_sum{thread=\"%u\"} %" PRIu64 "\n", thread, counts->packets);
    buf_printf(b, "polder_vswitch_poll_batch_packets_count{thread=\"%u\"} %" PRIu64 "\n", thread, n);
}

/* What perf.h counts, per thread, since the start. */
static void perf(struct vswitch *vs, struct buf *b)
{
    struct perf_counts counts[CONFIG_MAX_POLL];
    for (unsigned i = 0; i < vs->poll.n; i++) {
        perf_read(vs->poll.threads[i]->perf, NULL, &counts[i]);
    }
    family(b, "poll_batch_packets", "histogram", "Frames that were received at once.");
    for (unsigned i = 0; i < vs->poll.n; i++) {
        batches(b, i + 1, &counts[i]);
    }
    family(b, "stage_cycles_total", "counter", "Cycles spent in a stage, in those rounds of the polling loop that were timed.");
    for (unsigned i = 0; i < vs->poll.n * PERF_N_STAGES; i++) {
        buf_printf(b, "polder_vswitch_stage_cycles_total{thread=\"%u\",stage=\"%s\"} %" PRIu64 "\n", i / PERF_N_STAGES + 1,
                   perf_stage_names[i % PERF_N_STAGES], counts[i / PERF_N_STAGES].stages[i % PERF_N_STAGES].cycles);
    }
    family(b, "stage_packets_total", "counter", "Frames on which a stage worked in those rounds.");
    for (unsigned i = 0; i < vs->poll.n * PERF_N_STAGES; i++) {
        buf_printf(b, "polder_vswitch_stage_packets_total{thread=\"%u\",stage=\"%s\"} %" PRIu64 "\n", i / PERF_N_STAGES + 1,
                   perf_stage_names[i % PERF_N_STAGES], counts[i / PERF_N_STAGES].stages[i % PERF_N_STAGES].packets);
    }
    family(b, "cache_events_total", "counter", "What the flow cache did: frames that it knew (hits) or not (misses), and changes of its content.");
    for (unsigned i = 0; i < vs->poll.n * PERF_N_EVENTS; i++) {
        buf_printf(b, "polder_vswitch_cache_events_total{thread=\"%u\",event=\"%s\"} %" PRIu64 "\n", i / PERF_N_EVENTS + 1,
                   perf_event_names[i % PERF_N_EVENTS], counts[i / PERF_N_EVENTS].events[i % PERF_N_EVENTS]);
    }
}

static void cache(struct vswitch *vs, struct buf *b)
{
    struct dp_cache_stats stats[CONFIG_MAX_POLL];
    for (unsigned i = 0; i < vs->poll.n; i++) {
        dp_cache_stats(vs->dp, i + 1, &stats[i]);
    }
    family(b, "cache_flows", "gauge", "Flows that the cache has room for now.");
    for (unsigned i = 0; i < vs->poll.n; i++) {
        buf_printf(b, "polder_vswitch_cache_flows{thread=\"%u\"} %" PRIu64 "\n", i + 1, stats[i].n_flows);
    }
    family(b, "cache_bytes", "gauge", "Memory of the flow cache.");
    for (unsigned i = 0; i < vs->poll.n; i++) {
        buf_printf(b, "polder_vswitch_cache_bytes{thread=\"%u\"} %" PRIu64 "\n", i + 1, stats[i].bytes);
    }
    single(b, "cache_lanes", "gauge", "Parts of the flow cache's key, of 16 bits, in which values that no rule tells apart are one; 0 while few packets miss.",
           vs->poll.n ? stats[0].lanes : 0);
    family(b, "cache_mismatches_total", "counter", "Frames for which cache and tables did not agree; only looked for with cache.check.");
    for (unsigned i = 0; i < vs->poll.n; i++) {
        buf_printf(b, "polder_vswitch_cache_mismatches_total{thread=\"%u\"} %" PRIu64 "\n", i + 1, stats[i].mismatches);
    }
}

struct connections { uint64_t unread_bytes, monitors; };

static void add_connection(const char *peer UNUSED, const char *role UNUSED, const struct of_conn_counters *c, bool outgoing UNUSED, void *sum_)
{
    struct connections *sum = sum_;
    sum->unread_bytes += c->unread_bytes;
    sum->monitors += c->monitors;
}

char *metrics_text(struct vswitch *vs)
{
    struct connections sum = { 0, 0 };
    of_agent_each_connection(vs->agent, add_connection, &sum);
    struct buf b = BUF_INIT;
    ports(vs, &b);
    queues(vs, &b);
    drops(vs, &b);
    threads(vs, &b);
    perf(vs, &b);
    cache(vs, &b);
    single(&b, "flows", "gauge", "Flow entries in all tables.", flow_tables_count(dp_flows(vs->dp), OFPTT_ALL));
    single(&b, "flow_evictions_total", "counter", "Flow entries that made room for others in a full table.", flow_tables_evicted(dp_flows(vs->dp)));
    single(&b, "flow_monitors", "gauge", "OpenFlow flow monitors of all connections.", sum.monitors);
    single(&b, "openflow_unread_bytes", "gauge", "Bytes that wait for OpenFlow peers to read them.", sum.unread_bytes);
    single(&b, "groups", "gauge", "Groups.", group_table_count(dp_groups(vs->dp)));
    single(&b, "packet_ins_total", "counter", "Packet-ins that controllers were sent.", vs->punts.delivered);
    single(&b, "packet_ins_refused_total", "counter", "Packet-ins that no controller took (none connected, or over its limit).", vs->punts.refused);
    single(&b, "controllers_up", "gauge", "Connected controllers.", vs->n_controllers_up);
    single(&b, "buffers_free", "gauge", "Free packet buffers.", rte_mempool_avail_count(vs->pools.small));
    single(&b, "uptime_seconds", "gauge", "Seconds since vswitchd started.", (clock_now_ns(&vs->clock) - vs->started_ns) / 1000000000);
    return buf_steal_cstr(&b);
}
