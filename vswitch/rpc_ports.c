/* Methods about ports: ports, port-add, port-del, drops. */
#include "vswitch/rpc.h"

#include <string.h>

#include "vswitch/vswitch.h"

static void add_stats(struct vswitch *vs, const struct port *p, cJSON *o)
{
    struct of_port_stats s;
    port_stats(p, vswitch_n_threads(vs), clock_now_ns(&vs->clock), &s);
    json_add_u64(o, "rx_packets", s.rx_packets);
    json_add_u64(o, "rx_bytes", s.rx_bytes);
    json_add_u64(o, "rx_dropped", s.rx_dropped);
    json_add_u64(o, "rx_errors", s.rx_errors);
    json_add_u64(o, "tx_packets", s.tx_packets);
    json_add_u64(o, "tx_bytes", s.tx_bytes);
    json_add_u64(o, "tx_dropped", s.tx_dropped);
    json_add_u64(o, "tx_errors", s.tx_errors);
}

static void add_rate(cJSON *o, const char *key, uint16_t rate)
{
    if (rate != OF_RATE_NONE) {
        json_add_u64(o, key, rate);
    }
}

static void add_queues(struct vswitch *vs, const struct port *p, cJSON *o)
{
    if (p->config.qos.rate_mbps) {
        json_add_u64(o, "rate_mbps", p->config.qos.rate_mbps);
    }
    cJSON *array = json_add_array(o, "queues");
    for (unsigned i = 0; i < p->config.qos.n; i++) {
        struct of_queue q;
        cJSON *e = json_append_object(array);
        port_queue_stats(p, i, clock_now_ns(&vs->clock), &q);
        json_add_u64(e, "id", q.id);
        add_rate(e, "min_rate", q.min_rate);
        add_rate(e, "max_rate", q.max_rate);
        json_add_u64(e, "tx_packets", q.tx_packets);
        json_add_u64(e, "tx_bytes", q.tx_bytes);
        json_add_u64(e, "dropped", q.tx_errors);
    }
}

static cJSON *describe(struct vswitch *vs, const struct port *p)
{
    static const struct { uint32_t bit; const char *name; } flags[] = {
        { OFPPC_PORT_DOWN, "port-down" }, { OFPPC_NO_RECV, "no-recv" }, { OFPPC_NO_FWD, "no-fwd" }, { OFPPC_NO_PACKET_IN, "no-packet-in" },
        { OFPPC10_NO_FLOOD, "no-flood" },
    };
    char mac[MAC_STRLEN];
    cJSON *o = cJSON_CreateObject();
    json_add_u64(o, "ofport", p->port_no);
    json_add_string(o, "name", p->config.name);
    json_add_string(o, "type", p->config.type == PORT_DPDK ? "dpdk" : "vhost-user");
    json_add_string(o, "link", p->link_reported ? "up" : "down");
    json_add_u64(o, "link_changes", p->link_changes);
    json_add_string(o, "mac", mac_format(p->mac, mac));
    json_add_u64(o, "mtu", p->config.mtu);
    cJSON *config = json_add_array(o, "config");
    for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
        if (p->of_config & flags[i].bit) {
            cJSON_AddItemToArray(config, cJSON_CreateString(flags[i].name));
        }
    }
    if (p->config.type == PORT_DPDK) {
        json_add_string(o, "devargs", p->config.devargs);
    } else {
        json_add_string(o, "path", p->config.path);
        json_add_string(o, "role", p->config.server ? "server" : "client");
        json_add_u64(o, "queues", p->config.queues);
    }
    if (p->config.qos.n || p->config.qos.rate_mbps) {
        add_queues(vs, p, json_add_object(o, "qos"));
    }
    cJSON *threads = json_add_array(o, "poll_threads");
    for (unsigned q = 0; q < p->device->n_rxq; q++) {
        cJSON_AddItemToArray(threads, cJSON_CreateNumber(p->rx_thread[q] + 1));
    }
    add_stats(vs, p, json_add_object(o, "stats"));
    return o;
}

/* Optional parameter "name": NULL when absent; false (and the error) when there is no such port. */
static bool one_port(struct vswitch *vs, struct json_reader *r, const char *key, struct port **p)
{
    const char *name = json_string_opt(r, key);
    *p = NULL;
    return r->err->code == ERR_NONE && (!name || (*p = vswitch_port_lookup(vs, name, key, r->err)) != NULL);
}

cJSON *rpc_ports(struct vswitch *vs, struct json_reader *r)
{
    struct port *only, *p;
    if (!one_port(vs, r, "name", &only) || !json_end(r)) {
        return NULL;
    }
    cJSON *o = cJSON_CreateObject(), *array = json_add_array(o, "ports");
    PORT_FOR_EACH (p, &vs->ports) {
        if (!only || p == only) {
            cJSON_AddItemToArray(array, describe(vs, p));
        }
    }
    return o;
}

/* Adding what is there already, with equal parameters, succeeds: the caller may have lost our first answer. */
static cJSON *add(struct vswitch *vs, const struct config_port *config, struct err *err)
{
    struct port *p = port_find(&vs->ports, config->name);
    if (p) {
        const char *field = config_port_difference(&p->config, config);
        if (!field && config->ofport && config->ofport != p->port_no) {
            field = "ofport";
        }
        if (field) {
            err_set(err, ERR_CONFLICT, field, "port \"%s\" exists with another %s", config->name, field);
            err_hint(err, "`vswctl ports %s` shows it; delete it first to change it", config->name);
            return NULL;
        }
    } else if (!(p = vswitch_port_add(vs, config, err))) {
        return NULL;
    }
    cJSON *o = cJSON_CreateObject();
    json_add_u64(o, "ofport", p->port_no);
    json_add_string(o, "name", p->config.name);
    if (p->config.path) {
        json_add_string(o, "path", p->config.path);
    }
    return o;
}

cJSON *rpc_port_add(struct vswitch *vs, struct json_reader *r)
{
    struct config_port config;
    if (!config_port_read(r, vs->config.vhost_dir, &config)) {
        return NULL;
    }
    cJSON *result = add(vs, &config, r->err);
    config_port_fini(&config);
    return result;
}

/* A controller may make vhost-user sockets where the operator said, and nothing else of this host. */
cJSON *rpc_port_add_remote(struct vswitch *vs, struct json_reader *r)
{
    const char *type = json_string(r, "type", NULL);
    if (json_string_opt(r, "path")) {
        json_fail(r, "path", "is the switch's to choose when a port is added over OpenFlow");
    }
    if (r->err->code == ERR_NONE && strcmp(type, "vhost-user")) {
        json_fail(r, "type", "only \"vhost-user\" ports can be added over OpenFlow, not \"%s\"", type);
    }
    return r->err->code ? NULL : rpc_port_add(vs, r);
}

/* Without "rate_mbps" and "queues" the port has no queues any more. */
cJSON *rpc_port_queues(struct vswitch *vs, struct json_reader *r)
{
    struct config_qos qos;
    const char *name = json_string(r, "name", NULL);
    config_qos_read(r, &qos);
    struct port *p = json_end(r) ? port_find(&vs->ports, name) : NULL;
    if (r->err->code == ERR_NONE && !p) {
        err_set(r->err, ERR_NOT_FOUND, "name", "there is no port \"%s\"", name);
    }
    if (!p) {
        return NULL;
    }
    if (!config_qos_equal(&p->config.qos, &qos)) {
        vswitch_port_set_qos(vs, p, &qos);
    }
    return cJSON_CreateObject();
}

static cJSON *del(struct vswitch *vs, struct json_reader *r, bool remote)
{
    const char *name = json_string(r, "name", NULL);
    if (!json_end(r)) {
        return NULL;
    }
    struct port *p = port_find(&vs->ports, name);
    if (!p) {
        err_set(r->err, ERR_NOT_FOUND, "name", "there is no port \"%s\"", name);
        return NULL;
    }
    if (remote && p->config.type != PORT_VHOST_USER) {
        err_set(r->err, ERR_DENIED, "name", "only vhost-user ports can be removed over OpenFlow, and \"%s\" is none", name);
        return NULL;
    }
    vswitch_port_del(vs, p);
    return cJSON_CreateObject();
}

cJSON *rpc_port_del(struct vswitch *vs, struct json_reader *r)
{
    return del(vs, r, false);
}

cJSON *rpc_port_del_remote(struct vswitch *vs, struct json_reader *r)
{
    return del(vs, r, true);
}

static void add_drops(struct vswitch *vs, cJSON *array, uint32_t port_no, const char *name, bool all)
{
    cJSON *o = NULL, *reasons = NULL;
    for (unsigned reason = 0; reason < DROP_N_REASONS; reason++) {
        const char *word = drop_reason_name(reason);
        uint64_t n = word ? dp_drops(vs->dp, port_no, reason) : 0;
        if (!word || (!n && !all)) {
            continue;
        }
        if (!o) {
            o = json_append_object(array);
            json_add_u64(o, "ofport", port_no);
            json_add_string(o, "port", name);
            reasons = json_add_array(o, "reasons");
        }
        cJSON *e = json_append_object(reasons);
        json_add_string(e, "reason", word);
        json_add_u64(e, "packets", n);
        json_add_string(e, "text", drop_reason_text(reason));
    }
}

cJSON *rpc_drops(struct vswitch *vs, struct json_reader *r)
{
    struct port *only, *p;
    bool all = json_bool(r, "all", false);
    if (!one_port(vs, r, "port", &only) || !json_end(r)) {
        return NULL;
    }
    cJSON *o = cJSON_CreateObject(), *array = json_add_array(o, "drops");
    PORT_FOR_EACH (p, &vs->ports) {
        if (!only || p == only) {
            add_drops(vs, array, p->port_no, p->config.name, all);
        }
    }
    return o;
}
