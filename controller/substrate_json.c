/* What the API and the metrics show of the substrate. */
#include "controller/substrate_impl.h"

#include <stdlib.h>
#include "lib/json.h"

cJSON *substrate_unknown_json(struct substrate *s)
{
    cJSON *list = cJSON_CreateArray();
    struct sb_conn *sb;
    LIST_FOR_EACH(sb, node, &s->conns) {
        if (!sb->sw && sb->has_features && !substrate_find(s, sb->datapath_id)) {
            cJSON *o = json_append_object(list);
            json_add_format(o, "datapath_id", "%016llx", (unsigned long long) sb->datapath_id);
            json_add_string(o, "peer", of_conn_peer(sb->conn));
            json_add_bool(o, "is_vswitchd", sb->is_vswitchd);
        }
    }
    return list;
}

static int compare_ends(const struct sw *a, uint32_t port_a, const struct sw *b, uint32_t port_b)
{
    if (a->datapath_id != b->datapath_id) {
        return a->datapath_id < b->datapath_id ? -1 : 1;
    }
    return (port_a > port_b) - (port_a < port_b);
}

static int compare_links(const void *a_, const void *b_)
{
    const struct link *a = &(*(struct link_impl *const *) a_)->pub, *b = &(*(struct link_impl *const *) b_)->pub;
    int d = compare_ends(a->a, a->port_a, b->a, b->port_a);
    return d ? d : compare_ends(a->b, a->port_b, b->b, b->port_b);
}

static void add_end(cJSON *status, const char *key, struct sw *sw, uint32_t port_no)
{
    const struct sw_port *p = sw_port_find(sw, port_no);
    cJSON *end = json_add_object(status, key);
    json_add_string(end, "switch", sw_name(sw));
    json_add_u64(end, "port", port_no);
    if (p) {
        json_add_string(end, "port_name", p->of.name);
    }
}

static void add_link(struct substrate *s, cJSON *list, const struct link_impl *l)
{
    const struct link *there = &l->pub;
    const struct link_impl *r = link_reverse(s, l);
    const struct link *back = r ? &r->pub : NULL;
    const bool up = there->up && back && back->up, half = there->up || (back && back->up);
    const bool held = up && (l->held || r->held);
    const uint64_t now = substrate_now(s), since = back ? MAX(there->since_ns, back->since_ns) : there->since_ns;
    char name[LINK_NAME_SIZE];
    cJSON *o = json_append_object(list), *status;
    json_add_string(o, "kind", "link");
    link_name(l, name);
    json_add_string(o, "name", name);
    json_add_object(o, "spec");
    status = json_add_object(o, "status");
    json_add_string(status, "state", held ? "held" : up ? "up" : half ? "one-way" : "down");
    add_end(status, "a", there->a, there->port_a);
    add_end(status, "b", there->b, there->port_b);
    json_add_u64(status, "since_s", (now - since) / 1000000000);
    json_add_u64(status, "failures", MAX(l->n_failures, r ? r->n_failures : 0));
    uint64_t release = held ? MAX(l->held ? l->release_ns : 0, r->held ? r->release_ns : 0) : 0;
    if (held && release != UINT64_MAX) {
        json_add_u64(status, "held_s", release > now ? (release - now + 999999999) / 1000000000 : 0);
    }
}

/* One object for each cable, whatever was seen of its two directions. */
cJSON *substrate_links_json(struct substrate *s)
{
    const struct link_impl **links = xcalloc(s->links.n + 1, sizeof(struct link_impl *));
    unsigned n = 0;
    struct link_impl *l;
    substrate_paths(s);         /* Which held ones are needed. */
    HMAP_FOR_EACH(l, by_sender, &s->links) {
        if (link_is_canonical(l) || !link_reverse(s, l)) {
            links[n++] = l;
        }
    }
    if (n) {
        qsort(links, n, sizeof(struct link_impl *), compare_links);
    }
    cJSON *list = cJSON_CreateArray();
    for (unsigned i = 0; i < n; i++) {
        add_link(s, list, links[i]);
    }
    free(links);
    return list;
}

static void metric(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void substrate_metrics(struct substrate *s, struct buf *out)
{
    metric(out, "polder_switch_connected", "gauge", "1 while the switch is connected.");
    for (unsigned i = 0; i < s->n_order; i++) {
        const struct sw *sw = &s->order[i]->pub;
        buf_printf(out, "polder_switch_connected{switch=\"%s\",role=\"%s\"} %d\n", sw_name(sw), sw->is_fabric ? "fabric" : "edge", sw->connected);
    }
    unsigned up = 0;
    struct link_impl *l;
    HMAP_FOR_EACH(l, by_sender, &s->links) {
        up += l->pub.up;
    }
    metric(out, "polder_links", "gauge", "Directed physical links by state.");
    buf_printf(out, "polder_links{state=\"up\"} %u\npolder_links{state=\"down\"} %u\n", up, (unsigned) s->links.n - up);
    metric(out, "polder_lldp_sent_total", "counter", "Discovery frames sent.");
    buf_printf(out, "polder_lldp_sent_total %llu\n", (unsigned long long) s->n_lldp_sent);
    metric(out, "polder_lldp_received_total", "counter", "Discovery frames accepted.");
    buf_printf(out, "polder_lldp_received_total %llu\n", (unsigned long long) s->n_lldp_received);
    static const char *const faults[N_LLDP_FAULTS] = { "malformed", "forged", "stale", "wrong-port" };
    metric(out, "polder_lldp_refused_total", "counter", "Discovery frames refused, by reason.");
    for (unsigned i = 0; i < N_LLDP_FAULTS; i++) {
        buf_printf(out, "polder_lldp_refused_total{reason=\"%s\"} %llu\n", faults[i], (unsigned long long) s->n_lldp_faults[i]);
    }
    metric(out, "polder_packet_ins_total", "counter", "Packet-in messages received from switches.");
    buf_printf(out, "polder_packet_ins_total %llu\n", (unsigned long long) s->n_packet_ins);
    metric(out, "polder_switch_connects_total", "counter", "Switches that completed the handshake.");
    buf_printf(out, "polder_switch_connects_total %llu\n", (unsigned long long) s->n_connects);
    metric(out, "polder_southbound_connections", "gauge", "OpenFlow connections, those of unknown switches too.");
    buf_printf(out, "polder_southbound_connections %u\n", s->n_conns);
    metric(out, "polder_switch_certificates_refused_total", "counter", "Switches refused because their certificate names other datapath ids, or none.");
    buf_printf(out, "polder_switch_certificates_refused_total{reason=\"other-datapath\"} %llu\n", (unsigned long long) s->n_others_names);
    buf_printf(out, "polder_switch_certificates_refused_total{reason=\"no-datapath\"} %llu\n", (unsigned long long) s->n_no_names);
    substrate_path_metrics(s, out);
}
