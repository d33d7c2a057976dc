/* See site.h.  Takes the place of controller/substrate.c at link time. */
#include "tests/oracle/site.h"

#include <assert.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/edge_tables.h"
#include "lib/json.h"

/* --- The substrate's functions, as the compiler calls them --- */

struct substrate { struct site *site; };

struct sw *substrate_find(struct substrate *s, uint64_t datapath_id)
{
    for (unsigned i = 0; i < s->site->n_edges; i++) {
        if (s->site->edges[i].sw.datapath_id == datapath_id) {
            return &s->site->edges[i].sw;
        }
    }
    return NULL;
}

struct sw_port *sw_port_find(struct sw *sw, uint32_t port_no)
{
    for (unsigned i = 0; i < sw->n_ports; i++) {
        if (sw->ports[i].of.port_no == port_no) {
            return &sw->ports[i];
        }
    }
    return NULL;
}

/* Devices appear as soon as they are asked for: p<id> is port 1 + its rank. */
struct sw_port *sw_port_by_name(struct sw *sw, const char *name)
{
    for (unsigned i = 0; i < sw->n_ports; i++) {
        if (!strcmp(sw->ports[i].of.name, name)) {
            return &sw->ports[i];
        }
    }
    sw->ports = xrealloc(sw->ports, (sw->n_ports + 1) * sizeof *sw->ports);
    struct sw_port *port = &sw->ports[sw->n_ports++];
    memset(port, 0, sizeof *port);
    port->of.port_no = sw->n_ports;
    str_copy(port->of.name, sizeof port->of.name, name);
    struct site_edge *edge = CONTAINER_OF(sw, struct site_edge, sw);
    dp_port_set(edge->dp, port->of.port_no, 0, true);
    return port;
}

void substrate_each_path(struct substrate *s, const struct sw *at, void (*fn)(const struct path_rule *, void *), void *aux)
{
    static const struct path_choices uplink = { .n = 1, .step = { { .out_port = SITE_UPLINK } } };
    for (unsigned i = 0; i < s->site->n_edges; i++) {
        const struct sw *to = &s->site->edges[i].sw;
        const struct path_rule rule = { .to = to->edge, .local = true, .choices = &uplink };
        if (to != at) {
            fn(&rule, aux);
        }
    }
}

bool substrate_reachable(struct substrate *s UNUSED, const struct sw *from UNUSED, const struct sw *to UNUSED)
{
    return true;
}

unsigned substrate_set_routes(struct substrate *s UNUSED, const struct route_wish *wishes UNUSED, unsigned n UNUSED)
{
    return 0;
}

uint8_t substrate_route_class(struct substrate *s UNUSED, const struct sw *from UNUSED, const struct sw *to UNUSED, char *const *via UNUSED, unsigned n_via UNUSED)
{
    return 0;
}

uint8_t substrate_default_class(struct substrate *s UNUSED, const struct sw *from UNUSED, const struct sw *to UNUSED)
{
    return 0;
}

bool substrate_busy(const struct substrate *substrate UNUSED)
{
    return false;
}

unsigned substrate_path(struct substrate *s UNUSED, const struct sw *from UNUSED, const struct sw *to UNUSED, uint8_t class UNUSED, struct hop *out UNUSED,
                        unsigned max UNUSED)
{
    return 0;
}

void substrate_each(struct substrate *s, void (*fn)(struct sw *, void *), void *aux)
{
    for (unsigned i = 0; i < s->site->n_edges; i++) {
        fn(&s->site->edges[i].sw, aux);
    }
}

void sw_polder_request(struct sw *sw UNUSED, const char *method UNUSED, cJSON *params, void (*fn)(const cJSON *, const struct err *, void *) UNUSED,
                       void *aux UNUSED)
{
    cJSON_Delete(params);
    abort();                                            /* Nothing is connected here, so nobody asks. */
}

/* --- The datapath's outside --- */

struct held { struct packet packet; uint8_t *buffer; };
#define ROOM 256

static struct packet *packet_make(const void *data, unsigned size)
{
    struct held *held = XNEW(struct held);
    held->buffer = xcalloc(1, size + 2 * ROOM);
    held->packet.data = held->buffer + ROOM;
    held->packet.len = size;
    held->packet.headroom = held->packet.tailroom = ROOM;
    memcpy(held->packet.data, data, size);
    return &held->packet;
}

static void op_free(struct dp_thread *thread UNUSED, struct packet *packet, void *aux UNUSED)
{
    struct held *held = CONTAINER_OF(packet, struct held, packet);
    free(held->buffer);
    free(held);
}

static struct packet *op_copy(struct dp_thread *thread UNUSED, const struct packet *packet, void *aux UNUSED)
{
    struct packet *copy = packet_make(packet->data, packet->len);
    copy->in_port = packet->in_port;
    copy->l2_len = packet->l2_len;
    copy->l3_ofs = packet->l3_ofs;
    copy->l4_ofs = packet->l4_ofs;
    return copy;
}

static void keep(struct site_frame *frame, const struct packet *packet)
{
    assert(packet->len <= sizeof frame->data);
    memcpy(frame->data, packet->data, packet->len);
    frame->size = packet->len;
}

static void op_output(struct dp_thread *thread, struct packet *packet, uint32_t port_no, void *aux)
{
    struct site_edge *edge = aux;
    struct site *site = edge->site;

    if (port_no != SITE_UPLINK) {
        if (site->n_delivered == SITE_MAX_FRAMES) {
            site->overflow = true;
            op_free(thread, packet, aux);
            return;
        }
        struct site_delivery *d = &site->delivered[site->n_delivered++];
        d->edge = edge->index;
        d->port_no = port_no;
        keep(&d->frame, packet);
    } else {
        if (site->n_wire == SITE_MAX_FRAMES) {
            site->overflow = true;
            op_free(thread, packet, aux);
            return;
        }
        keep(&site->wire[site->n_wire++], packet);
    }
    op_free(thread, packet, aux);
}

static void op_output_batch(struct dp_thread *thread, struct packet **packets, unsigned n, uint32_t port_no, void *aux)
{
    for (unsigned i = 0; i < n; i++) {
        op_output(thread, packets[i], port_no, aux);
    }
}

static bool op_packet_in(struct dp_thread *thread UNUSED, const struct packet *packet, const struct flow *flow, uint64_t cookie, uint8_t table,
                         uint8_t reason, const struct dp_controller *controller UNUSED, void *aux)
{
    struct site_edge *edge = aux;
    struct of_packet_in pin = { .cookie = cookie, .table_id = table, .reason = reason, .data = packet->data, .size = packet->len };

    match_init(&pin.match);
    pin.match.value.flow = *flow;
    pin.total_len = (uint16_t) packet->len;
    if ((uint32_t) cookie != COOKIE_INTERN) {
        if (edge->site->slice_packet_in) {
            edge->site->slice_packet_in(edge, &pin, edge->site->slice_aux);
        }
        return true;
    }
    edge->site->n_packet_in++;
    fabric_packet_in(edge->site->controller.fabric, &edge->sw, &pin);
    return true;
}

static void op_defer(void (*fn)(void *), void *arg, void *aux UNUSED)
{
    fn(arg);
}

static void op_flow_removed(struct flow_entry *entry UNUSED, uint8_t reason UNUSED, void *aux UNUSED)
{
}

static uint64_t site_now(void *aux)
{
    return ((struct site *) aux)->now_ns;
}

/* --- Life --- */

struct site *site_new(unsigned n_edges)
{
    static const struct dp_ops ops = { .output = op_output, .output_batch = op_output_batch, .copy = op_copy, .free = op_free, .packet_in = op_packet_in,
                                       .defer = op_defer, .flow_removed = op_flow_removed };
    struct site *site = XNEW(struct site);
    struct controller *c = &site->controller;
    struct buf doc = BUF_INIT;

    site->n_edges = n_edges;
    site->now_ns = 1000000000;
    c->base = event_base_new();
    c->clock = (struct clock) { site_now, site };
    c->config.intern_pairs_per_network = 256;
    c->config.intern_idle_s = 300;
    bool ok = prefix_parse("100.64.0.0/10", &c->config.provider.v4) && prefix_parse("fd64:706f:6c64::/48", &c->config.provider.v6);
    assert(ok);
    c->model = model_new(&c->config.provider);
    c->substrate = XNEW(struct substrate);
    c->substrate->site = site;
    c->rulesets = rulesets_new(c);
    c->reconcile = reconcile_new(c);
    c->fabric = fabric_new(c);
    for (unsigned i = 0; i < n_edges; i++) {
        struct site_edge *e = &site->edges[i];
        e->site = site;
        e->index = i;
        e->ops = ops;
        e->dp = dp_new(2, 100000, 1000, c->clock, &e->ops, e);
        e->sw.datapath_id = i + 1;
        e->sw.connected = e->sw.is_vswitchd = true;
        sw_port_by_name(&e->sw, "uplink")->has_link = true;
        buf_printf(&doc, "%s{\"name\":\"e%u\",\"datapath_id\":\"%016x\"}", i ? "," : "{\"edges\":[", i + 1, i + 1);
    }
    buf_puts(&doc, "]}");
    site_apply(site, buf_cstr(&doc));
    buf_fini(&doc);
    for (unsigned i = 0; i < n_edges; i++) {
        bool is_fabric;
        site->edges[i].sw.edge = model_edge_by_datapath(c->model, i + 1, &is_fabric);
    }
    return site;
}

void site_free(struct site *site)
{
    struct controller *c = &site->controller;
    reconcile_free(c->reconcile);
    c->reconcile = NULL;
    fabric_free(c->fabric);
    rulesets_free(c->rulesets);
    model_free(c->model);
    free(c->substrate);
    for (unsigned i = 0; i < site->n_edges; i++) {
        dp_free(site->edges[i].dp);
        free(site->edges[i].sw.ports);
    }
    event_base_free(c->base);
    free(site);
}

void site_apply(struct site *site, const char *json)
{
    struct controller *c = &site->controller;
    struct err err = ERR_INIT;
    unsigned n;
    cJSON *doc = json_parse(json, strlen(json), 1 << 20, &err);
    struct model_txn *txn = doc ? model_apply(c->model, doc, NULL, &err) : NULL;

    if (!txn) {
        fprintf(stderr, "site_apply: %s: %s\n%s\n", err.field, err.message, json);
        abort();
    }
    const uint32_t *ids = model_txn_networks(txn, &n);
    uint32_t *networks = xcalloc(n + 1, sizeof *networks);
    memcpy(networks, ids, n * sizeof *networks);
    bool substrate = model_txn_substrate_changed(txn);
    model_txn_commit(txn);
    if (substrate) {
        fabric_substrate_changed(c->fabric);
    }
    fabric_networks_changed(c->fabric, networks, n);
    free(networks);
    cJSON_Delete(doc);
}

static void load(uint8_t table, uint16_t priority, const struct match *match, uint64_t cookie, const struct instructions *in, uint32_t owner UNUSED,
                 void *aux)
{
    struct site_edge *edge = aux;
    struct of_flow_mod mod;

    of_flow_mod_init(&mod);
    mod.table_id = table;
    mod.priority = priority;
    mod.match = *match;
    mod.cookie = cookie;
    mod.instructions = *in;
    struct of_error error = flow_tables_mod(dp_flows(edge->dp), &mod);
    if (!of_ok(error)) {
        char scratch[32];
        struct buf text = BUF_INIT;
        match_format(match, &text);
        buf_puts(&text, " actions=");
        instructions_format(in, &text);
        fprintf(stderr, "edge %u refuses table=%u,priority=%u,%s: %s\n", edge->index, table, priority, buf_cstr(&text), of_error_name(error, scratch));
        abort();
    }
}

static void load_group(uint32_t id, enum of_group_type type, const struct of_bucket *buckets, unsigned n, uint32_t owner UNUSED, void *aux)
{
    struct site_edge *edge = aux;
    struct of_group_mod mod = { .command = group_table_find(dp_groups(edge->dp), id) ? OFPGC_MODIFY : OFPGC_ADD, .type = (uint8_t) type, .group_id = id };

    mod.buckets = xcalloc(n + 1, sizeof *mod.buckets);
    mod.n_buckets = n;
    for (unsigned i = 0; i < n; i++) {
        of_bucket_copy(&mod.buckets[i], &buckets[i]);
    }
    struct of_error error = group_table_mod(dp_groups(edge->dp), &mod);
    assert(of_ok(error));
    of_buckets_free(mod.buckets, mod.n_buckets);
}

/* FF and indirect groups may not be empty, so it is of another type until it is what it should be. */
static void load_empty_group(uint32_t id, enum of_group_type type UNUSED, const struct of_bucket *buckets UNUSED, unsigned n UNUSED, uint32_t owner UNUSED,
                             void *aux)
{
    struct site_edge *edge = aux;
    struct of_group_mod mod = { .command = OFPGC_ADD, .type = OFPGT_ALL, .group_id = id };
    if (!group_table_find(dp_groups(edge->dp), id)) {
        struct of_error error = group_table_mod(dp_groups(edge->dp), &mod);
        assert(of_ok(error));
    }
}

static void load_meter(uint32_t id, uint16_t flags, const struct of_meter_band *bands, unsigned n, uint32_t owner UNUSED, void *aux)
{
    struct site_edge *edge = aux;
    struct of_meter_mod mod = { .command = meter_table_find(dp_meters(edge->dp), id) ? OFPMC_MODIFY : OFPMC_ADD, .flags = flags, .meter_id = id, .n_bands = n };
    mod.bands = xcalloc(n + 1, sizeof *bands);
    memcpy(mod.bands, bands, n * sizeof *bands);
    struct of_error error = meter_table_mod(dp_meters(edge->dp), &mod);
    assert(of_ok(error));
    free(mod.bands);
}

void site_sync(struct site *site)
{
    for (unsigned turn = 0; turn < 4; turn++) {
        event_base_loop(site->controller.base, EVLOOP_NONBLOCK);
    }
    for (unsigned i = 0; i < site->n_edges; i++) {
        struct site_edge *e = &site->edges[i];
        struct of_flow_mod all;
        of_flow_mod_init(&all);
        all.command = OFPFC_DELETE;
        all.table_id = OFPTT_ALL;
        struct of_error error = flow_tables_mod(dp_flows(e->dp), &all);
        assert(of_ok(error));
        ruleset_each_meter(site->controller.rulesets, e->sw.datapath_id, load_meter, e);
        /* Groups name each other in any order: empty ones first. */
        ruleset_each_group(site->controller.rulesets, e->sw.datapath_id, load_empty_group, e);
        ruleset_each_group(site->controller.rulesets, e->sw.datapath_id, load_group, e);
        ruleset_each(site->controller.rulesets, e->sw.datapath_id, load, e);
    }
}

static void receive(struct site_edge *edge, uint32_t port_no, const void *data, unsigned size)
{
    struct packet *packet = packet_make(data, size);
    packet->in_port = port_no;
    dp_receive(dp_thread(edge->dp, 1), &packet, 1, port_no, edge->site->now_ns);
}

/* What was sent out of uplinks, until nothing is on the wire. */
static void carry(struct site *site)
{
    for (unsigned i = 0; i < site->n_wire; i++) {      /* The list grows while it is walked, were a frame sent on. */
        struct site_frame frame = site->wire[i];
        unsigned index = wire_get16(frame.data + 1);
        for (unsigned j = 0; j < site->n_edges; j++) {
            if (site->edges[j].sw.edge->index == index) {
                receive(&site->edges[j], SITE_UPLINK, frame.data, frame.size);
            }
        }
    }
}

void site_send(struct site *site, unsigned edge, uint32_t port_no, const void *data, unsigned size)
{
    site->n_delivered = site->n_wire = site->n_packet_in = 0;
    site->overflow = false;
    receive(&site->edges[edge], port_no, data, size);
    carry(site);
}

void site_execute(struct site *site, unsigned edge, const void *data, unsigned size, const struct actions *actions)
{
    site->n_delivered = site->n_wire = site->n_packet_in = 0;
    site->overflow = false;
    struct packet *packet = packet_make(data, size);
    packet->in_port = OFPP_CONTROLLER;
    dp_execute(dp_thread(site->edges[edge].dp, 0), packet, OFPP_CONTROLLER, actions, site->now_ns);
    carry(site);
}

uint32_t site_device(const struct site *site, const struct port *port)
{
    char name[33];
    for (unsigned i = 0; i < site->n_edges; i++) {
        if (site->edges[i].sw.edge == port->edge) {
            return sw_port_by_name((struct sw *) &site->edges[i].sw, port_device_name(port, name))->of.port_no;
        }
    }
    return 0;
}
