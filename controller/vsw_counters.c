/* See vsw_counters.h. */
#include "controller/vsw_counters.h"

#include <stdlib.h>

#include "controller/compile.h"
#include "controller/fabric_impl.h"
#include "controller/substrate.h"
#include "ofproto/agent.h"

/* --- Lists of sums --- */

static void sums_free(struct counter_sum **sums, unsigned *n)
{
    for (unsigned i = 0; i < *n; i++) {
        counter_sum_fini(&(*sums)[i]);
    }
    free(*sums);
    *sums = NULL;
    *n = 0;
}

static void sums_need(struct counter_sum **sums, unsigned *n, unsigned wanted)
{
    if (!*sums) {
        *n = wanted;
        *sums = xcalloc(wanted + 1, sizeof **sums);
    }
}

void vgroup_counters_reset(struct vgroup *vgroup) { sums_free(&vgroup->buckets, &vgroup->n_buckets); }
void vmeter_counters_reset(struct vmeter *vmeter) { sums_free(&vmeter->bands, &vmeter->n_bands); }

void vgroup_counters_fini(struct vgroup *vgroup)
{
    vgroup_counters_reset(vgroup);
    counter_sum_fini(&vgroup->sum);
}

void vmeter_counters_fini(struct vmeter *vmeter)
{
    vmeter_counters_reset(vmeter);
    counter_sum_fini(&vmeter->sum);
}

void vport_counters_fini(struct vport *vport)
{
    for (unsigned i = 0; i < LINK_RULES; i++) {
        counter_sum_fini(&vport->link[i]);
    }
}

/* --- What comes home --- */

static struct counter_sum *flow_counted(struct vsw *vsw, uint32_t number)
{
    if (number >= COOKIE_UNMATCHED(0) && number < COOKIE_UNMATCHED(VIRT_N_TABLES)) {
        unsigned n = VIRT_N_TABLES;
        sums_need(&vsw->unmatched, &n, VIRT_N_TABLES);
        return &vsw->unmatched[number - COOKIE_UNMATCHED(0)];
    }
    if (number >= COOKIE_LINK(0, 0)) {
        struct vport *vport = vsw_port_find(vsw, number & 0xffff);
        unsigned kind = (number - COOKIE_LINK(0, 0)) >> 16;
        return vport && kind < LINK_RULES ? &vport->link[kind] : NULL;
    }
    if (number == COOKIE_MISS) {
        return flow_counted(vsw, COOKIE_UNMATCHED(0));
    }
    struct vflow *vflow = number >= COOKIE_FIRST_VFLOW ? vsw_find_number(vsw, number) : NULL;
    return vflow ? &vflow->sum : NULL;
}

static void group_counted(struct vsw *vsw, uint16_t edge, const struct of_group_stats *in, uint64_t now)
{
    struct vgroup *vgroup = vsw_find_group(vsw, in->group_id);
    const struct edge *e = model_edge_by_index(vsw->controller->model, edge);
    if (!vgroup || !e) {
        return;
    }
    counter_sum_read(&vgroup->sum, edge, in->packet_count, in->byte_count, now);
    unsigned *bucket_of = xcalloc(vgroup->group->n_buckets + 1, sizeof *bucket_of);
    unsigned n = compile_group_buckets(vsw, e, vgroup->group, bucket_of);
    sums_need(&vgroup->buckets, &vgroup->n_buckets, vgroup->group->n_buckets);
    for (unsigned i = 0; n == in->n_buckets && i < n; i++) {    /* Else it has just been changed, and this is of what it was. */
        counter_sum_read(&vgroup->buckets[bucket_of[i]], edge, in->buckets[i].packet_count, in->buckets[i].byte_count, now);
    }
    free(bucket_of);
}

static void meter_counted(struct vsw *vsw, uint16_t edge, const struct of_meter_stats *in, uint64_t now)
{
    struct vmeter *vmeter = vsw_find_meter(vsw, in->meter_id);
    if (!vmeter) {
        return;
    }
    counter_sum_read(&vmeter->sum, edge, in->packet_in_count, in->byte_in_count, now);
    sums_need(&vmeter->bands, &vmeter->n_bands, vmeter->meter->n_bands);
    for (unsigned i = 0; i < vmeter->n_bands && in->n_bands == vmeter->n_bands; i++) {
        counter_sum_read(&vmeter->bands[i], edge, in->bands[i].packet_count, in->bands[i].byte_count, now);
    }
}

/* The switch port behind a port of the edge; 0: none. */
static uint32_t device_on(const struct vsw *vsw, const struct edge *edge, const struct port *port)
{
    struct edge_context x = {
        .controller = vsw->controller, .vsw = vsw, .edge = edge, .sw = substrate_find(vsw->controller->substrate, edge->datapath_id),
    };
    return port->edge == edge && !port->link ? edge_device_port(&x, port) : 0;
}

static void port_counted(struct vsw *vsw, uint16_t edge, const struct of_port_stats *in, uint64_t now UNUSED)
{
    struct vport *vport;
    HMAP_FOR_EACH (vport, node, &vsw->ports) {
        port_sum_read(&vport->sum, edge, in);
    }
}

static void ask_device(struct vsw *vsw, const struct port_device *device)
{
    const struct edge *edge = device->number ? model_edge_by_index(vsw->controller->model, device->edge) : NULL;
    struct sw *sw = edge ? substrate_find(vsw->controller->substrate, edge->datapath_id) : NULL;
    const struct sw_port *p = sw && sw->connected && sw->conn ? sw_port_by_name(sw, device->name) : NULL;
    if (p && p->of.port_no == device->number) {
        vsw_stats_ask_port(vsw->fabric->stats, vsw, edge, sw, device->number);
    }
}

void vport_counters_follow(struct vsw *vsw, struct vport *vport)
{
    char name[33];
    const struct port *port = vport->port;
    uint32_t device = port->edge ? device_on(vsw, port->edge, port) : 0;
    if (port_sum_bind(&vport->sum, device ? port->edge->index : 0, device, device ? port_device_name(port, name) : "")) {
        ask_device(vsw, &vport->sum.former);
        ask_device(vsw, &vport->sum.now);
    }
}

static uint32_t *ids_on(struct vsw *vsw, const struct edge *edge, enum vsw_stats_kind kind, unsigned *n)
{
    const struct network *network = vsw->network;
    uint32_t *ids = xcalloc(vsw->group_ids.n + vsw->meter_ids.n + network->n_ports + 1, sizeof *ids);
    struct vgroup *vgroup;
    struct vmeter *vmeter;
    *n = 0;
    if (kind == VSW_STATS_GROUPS) {
        HMAP_FOR_EACH (vgroup, node, &vsw->group_ids) {
            ids[(*n)++] = vgroup->physical;
        }
    } else if (kind == VSW_STATS_METERS) {
        HMAP_FOR_EACH (vmeter, node, &vsw->meter_ids) {
            ids[(*n)++] = vmeter->physical;
        }
    } else {
        for (unsigned i = 0; i < network->n_ports; i++) {
            uint32_t device = device_on(vsw, edge, network->ports[i]);
            if (device) {
                ids[(*n)++] = device;
            }
        }
    }
    return ids;
}

static void gone(struct vsw *vsw, const struct of_flow_removed *msg)
{
    if (vsw->agent) {
        of_agent_flow_removed_msg(vsw->agent, msg);
    }
}

static void late(struct vsw *vsw, uint8_t table, uint64_t packets) { vsw->gone_matched[table] += packets; }

const struct vsw_stats_ops vsw_counters_ops = {
    .ids = ids_on, .flow = flow_counted, .late = late, .group = group_counted, .meter = meter_counted, .port = port_counted, .gone = gone,
};

/* --- What the tenant asks --- */

/* Several virtual switches are read for one question about ports: those at the other ends of links. */
struct reading_of_ports { unsigned n_left; void (*done)(void *token); void *token; };

static void one_is_read(void *reading_)
{
    struct reading_of_ports *reading = reading_;
    if (!--reading->n_left) {
        reading->done(reading->token);
        free(reading);
    }
}

static void refresh_ports(struct vsw *vsw, void (*done)(void *token), void *token)
{
    struct reading_of_ports *reading = XNEW(struct reading_of_ports);
    const struct network *network = vsw->network;
    struct vsw **peers = xcalloc(network->n_ports + 1, sizeof(struct vsw *));
    unsigned n = 0;
    for (unsigned i = 0; i < network->n_ports; i++) {
        const struct port *port = network->ports[i];
        struct vsw *peer = port->link ? fabric_find_vsw(vsw->fabric, vlink_peer(port)->network->id) : NULL;
        bool known = !peer || peer == vsw;
        for (unsigned j = 0; j < n && !known; j++) {
            known = peers[j] == peer;
        }
        if (!known) {
            peers[n++] = peer;
        }
    }
    *reading = (struct reading_of_ports) { .n_left = n + 1, .done = done, .token = token };
    for (unsigned i = 0; i < n; i++) {
        vsw_stats_refresh(vsw->fabric->stats, peers[i], VSW_STATS_FLOWS, one_is_read, reading);
    }
    free(peers);
    vsw_stats_refresh(vsw->fabric->stats, vsw, VSW_STATS_PORTS | VSW_STATS_FLOWS, one_is_read, reading);
}

void vsw_counters_refresh(void *vsw_, const struct of_multipart_msg *request, void (*done)(void *token), void *token)
{
    struct vsw *vsw = vsw_;
    switch (request->type) {
    case OFPMP_FLOW: case OFPMP_AGGREGATE: case OFPMP_TABLE:
        vsw_stats_refresh(vsw->fabric->stats, vsw, VSW_STATS_FLOWS, done, token);
        break;
    case OFPMP_GROUP:
        vsw_stats_refresh(vsw->fabric->stats, vsw, VSW_STATS_GROUPS, done, token);
        break;
    case OFPMP_METER:
        vsw_stats_refresh(vsw->fabric->stats, vsw, VSW_STATS_METERS, done, token);
        break;
    case OFPMP_PORT_STATS:
        refresh_ports(vsw, done, token);
        break;
    default:
        done(token);
    }
}

static void add_matched(struct flow_entry *entry, void *total)
{
    *(uint64_t *) total += ((const struct vflow *) entry->aux)->sum.packets;
}

void vsw_counters_table(void *vsw_, uint8_t table, struct of_table_stats *out)
{
    struct vsw *vsw = vsw_;
    struct of_flow_filter filter;
    uint64_t unmatched = vsw->unmatched ? vsw->unmatched[table].packets : 0;

    *out = (struct of_table_stats) {
        .table_id = table, .active_count = flow_tables_count(vsw->flows, table),
        .matched_count = vsw->gone_matched[table],
    };
    if (out->active_count) {
        of_flow_filter_init(&filter);
        filter.table_id = table;
        flow_tables_each(vsw->flows, &filter, false, add_matched, &out->matched_count);
    }
    out->lookup_count = out->matched_count + unmatched;
}

/* Of the rules from `first` on, one of which is LINK_CROSSES. */
static void link_stats(const struct vport *vport, unsigned first, unsigned last, uint64_t *packets, uint64_t *bytes)
{
    for (unsigned i = first; vport && i <= last; i++) {
        *packets += vport->link[i].packets;
        *bytes += vport->link[i].bytes;
    }
}

bool vsw_counters_port(void *vsw_, uint32_t port_no, struct of_port_stats *out)
{
    const struct vsw *vsw = vsw_;
    const struct vport *vport = vsw_port_find(vsw, port_no);
    if (!vport) {
        return false;
    }
    uint64_t age_ns = clock_now_ns(&vsw->controller->clock) - vport->since_ns;
    *out = vport->sum.total;
    out->port_no = port_no;
    out->duration_sec = (uint32_t) (age_ns / 1000000000);
    out->duration_nsec = (uint32_t) (age_ns % 1000000000);
    if (vport->port->link) {
        const struct port *peer = vlink_peer(vport->port);
        const struct vsw *other = fabric_find_vsw(vsw->fabric, peer->network->id);
        link_stats(vport, LINK_LEAVES, LINK_CROSSES, &out->tx_packets, &out->tx_bytes);
        link_stats(other ? vsw_port_find(other, vsw_port_no(peer)) : NULL, LINK_CROSSES, LINK_LANDS, &out->rx_packets, &out->rx_bytes);
    }
    return true;
}

bool vsw_counters_group(void *vsw UNUSED, struct group *g, struct of_group_stats *out)
{
    const struct vgroup *vgroup = g->aux;
    out->packet_count = vgroup->sum.packets;
    out->byte_count = vgroup->sum.bytes;
    out->n_buckets = g->n_buckets;
    out->buckets = xcalloc(g->n_buckets + 1, sizeof *out->buckets);
    for (unsigned i = 0; i < g->n_buckets && i < vgroup->n_buckets; i++) {
        out->buckets[i].packet_count = vgroup->buckets[i].packets;
        out->buckets[i].byte_count = vgroup->buckets[i].bytes;
    }
    return true;
}

void vsw_counters_meter(const struct meter *m, struct of_meter_stats *out, void *vsw UNUSED)
{
    const struct vmeter *vmeter = m->aux;
    out->packet_in_count = vmeter->sum.packets;
    out->byte_in_count = vmeter->sum.bytes;
    for (unsigned i = 0; i < out->n_bands && i < vmeter->n_bands; i++) {
        out->bands[i].packet_count = vmeter->bands[i].packets;
        out->bands[i].byte_count = vmeter->bands[i].bytes;
    }
}
