/*
 * One answer to "would this port reach that address, and by which way": the frame that the port would send is run
 * through the source edge's vswitchd (its own trace: nothing is sent), followed over the fabric by the paths in force,
 * and run through the landing edge's, in the translated form that it would have there.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/fabric_impl.h"
#include "lib/json.h"
#include "ofproto/polder.h"

#define MAX_HOPS 64

struct trace {
    struct fabric *fabric;
    void (*fn)(cJSON *, const struct err *, void *aux);
    void *aux;
    cJSON *answer, *steps;
    char from[MODEL_NAME_SIZE], to[MODEL_NAME_SIZE];    /* to: the target port's name, "" when the address is nobody's. */
    uint64_t edge_datapath;     /* Where the trace that is under way runs. */
    bool landed;
};

/* --- The frame --- */

static uint32_t sum_words(const uint8_t *p, unsigned n, uint32_t sum)
{
    for (unsigned i = 0; i + 1 < n; i += 2) {
        sum += wire_get16(p + i);
    }
    return n & 1 ? sum + (uint32_t) (p[n - 1] << 8) : sum;
}

static uint16_t sum_finish(uint32_t sum)
{
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t) ~sum;
}

static void put_ethernet(struct buf *b, struct mac dst, struct mac src, uint16_t type)
{
    buf_put(b, dst.b, 6);
    buf_put(b, src.b, 6);
    buf_put_be16(b, type);
}

/* ICMP echo request, RFC 792 and RFC 4443, with 8 bytes of data. */
static void echo_frame(struct buf *b, const struct port *from, const struct port *to, const struct ip *src, const struct ip *dst)
{
    uint8_t icmp[16] = { ip_is_v4(dst) ? 8 : 128, 0, 0, 0, 0, 1, 0, 1, 'p', 'o', 'l', 'd', 'e', 'r' };

    if (ip_is_v4(dst)) {
        uint8_t ip[20] = { 0x45, 0, 0, 20 + sizeof icmp, 0, 1, 0x40, 0, 64, 1 };
        memcpy(ip + 12, src->b + 12, 4);
        memcpy(ip + 16, dst->b + 12, 4);
        wire_put16(ip + 10, sum_finish(sum_words(ip, sizeof ip, 0)));
        wire_put16(icmp + 2, sum_finish(sum_words(icmp, sizeof icmp, 0)));
        put_ethernet(b, to->mac, from->mac, 0x0800);
        buf_put(b, ip, sizeof ip);
    } else {
        uint8_t ip[40] = { 0x60, 0, 0, 0, 0, sizeof icmp, 58, 64 };
        memcpy(ip + 8, src->b, 16);
        memcpy(ip + 24, dst->b, 16);
        wire_put16(icmp + 2, sum_finish(sum_words(icmp, sizeof icmp, sum_words(ip + 8, 32, sizeof icmp + 58))));
        put_ethernet(b, to->mac, from->mac, 0x86dd);
        buf_put(b, ip, sizeof ip);
    }
    buf_put(b, icmp, sizeof icmp);
    buf_put_zeros(b, b->size < 60 ? 60 - b->size : 0);
}

/* What a host does first about an address that it does not know: ARP, or neighbour solicitation. */
static void resolve_frame(struct buf *b, const struct port *from, const struct ip *src, const struct ip *dst)
{
    if (ip_is_v4(dst)) {
        put_ethernet(b, mac_from_u64(UINT64_C(0xffffffffffff)), from->mac, 0x0806);
        buf_put(b, "\0\1\x08\0\6\4\0\1", 8);
        buf_put(b, from->mac.b, 6);
        buf_put(b, src->b + 12, 4);
        buf_put_zeros(b, 6);
        buf_put(b, dst->b + 12, 4);
    } else {
        uint8_t ip[40] = { 0x60, 0, 0, 0, 0, 32, 58, 255 }, ns[32] = { 135 };
        static const uint8_t solicited[13] = { 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff };
        struct mac group = { { 0x33, 0x33, 0xff, dst->b[13], dst->b[14], dst->b[15] } };
        memcpy(ip + 8, src->b, 16);
        memcpy(ip + 24, solicited, 13);
        memcpy(ip + 37, dst->b + 13, 3);
        memcpy(ns + 8, dst->b, 16);
        ns[24] = 1;
        ns[25] = 1;
        memcpy(ns + 26, from->mac.b, 6);
        wire_put16(ns + 2, sum_finish(sum_words(ns, sizeof ns, sum_words(ip + 8, 32, sizeof ns + 58))));
        put_ethernet(b, group, from->mac, 0x86dd);
        buf_put(b, ip, sizeof ip);
        buf_put(b, ns, sizeof ns);
    }
    buf_put_zeros(b, b->size < 60 ? 60 - b->size : 0);
}

/* --- Steps --- */

static void step(struct trace *t, const char *where, const char *sw, const char *format, ...) __attribute__((format(printf, 4, 5)));
static void step(struct trace *t, const char *where, const char *sw, const char *format, ...)
{
    struct buf text = BUF_INIT;
    va_list args;
    cJSON *json = json_append_object(t->steps);

    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    json_add_string(json, "where", where);
    json_add_string(json, "switch", sw);
    json_add_string(json, "text", buf_cstr(&text));
    buf_fini(&text);
}

static void finish(struct trace *t, const char *verdict, const char *reason, const char *text)
{
    json_add_string(t->answer, "verdict", verdict);
    if (reason) {
        json_add_string(t->answer, "reason", reason);
    }
    if (text) {
        json_add_string(t->answer, "text", text);
    }
    cJSON_AddItemToObject(t->answer, "steps", t->steps);
    t->fn(t->answer, NULL, t->aux);
    free(t);
}

static void fail(struct trace *t, const struct err *err)
{
    cJSON_Delete(t->answer);
    cJSON_Delete(t->steps);
    t->fn(NULL, err, t->aux);
    free(t);
}

static const char *text_of(const cJSON *object, const char *key)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(value) ? value->valuestring : "";
}

static void ask_switch(struct trace *, struct sw *, uint32_t in_port, const char *packet_hex);

/* Where such frames go when the first hop's port is dead. */
static void backup_step(struct trace *t, struct sw *from, struct sw *to, uint8_t class)
{
    struct hop hops[MAX_HOPS];
    struct buf text = BUF_INIT;
    unsigned n = substrate_path(t->fabric->controller->substrate, from, to, class == 0, hops, MAX_HOPS);
    for (unsigned i = 0; i < n; i++) {
        buf_printf(&text, "%s%s", i ? ", " : "", hops[i].sw->edge->name);
    }
    step(t, "path", from->edge->name, "path class %u, backup %.*s", class, (int) text.size, text.size ? (const char *) text.data : "");
    buf_fini(&text);
}

/* The frame left the edge by an uplink: over the fabric to the edge that its provider MAC names. */
static bool cross(struct trace *t, struct sw *from, uint32_t port_no, const char *packet)
{
    struct controller *c = t->fabric->controller;
    struct hop hops[MAX_HOPS];
    uint8_t mac[6];
    size_t size = sizeof mac;
    char head[13];

    str_copy(head, sizeof head, packet);
    if (!hex_to_bytes(head, mac, &size) || size != 6) {
        return false;
    }
    const struct edge *edge = model_edge_by_index(c->model, wire_get16(mac + 1));
    struct sw *to = mac[0] == 2 && edge ? substrate_find(c->substrate, edge->datapath_id) : NULL;
    unsigned n = to && to != from ? substrate_path(c->substrate, from, to, mac[3], hops, MAX_HOPS) : 0;
    if (!n) {
        return false;
    }
    backup_step(t, from, to, mac[3]);
    for (unsigned i = 0; i < n; i++) {
        if (hops[i].sw != from && hops[i].sw != to) {
            step(t, "fabric", hops[i].sw->edge->name, "in by port %u, out by port %u", hops[i].in_port, hops[i].out_port);
        }
    }
    (void) port_no;
    t->landed = true;
    ask_switch(t, to, hops[n - 1].in_port, packet);
    return true;
}

static void add_edge_steps(struct trace *t, const struct sw *sw, const cJSON *result)
{
    const cJSON *s;
    const char *where = t->landed ? "landing" : "edge";

    cJSON_ArrayForEach (s, cJSON_GetObjectItemCaseSensitive(result, "steps")) {
        const cJSON *table = cJSON_GetObjectItemCaseSensitive(s, "table");
        if (cJSON_IsNumber(table)) {
            /* Tables 16 to 239 are the tenant's own: the virtual path. */
            bool virtual = table->valueint >= 16 && table->valueint < 240;
            step(t, virtual ? "virtual" : where, sw->edge->name, "table %d: %s -> %s", virtual ? table->valueint - 16 : table->valueint,
                 text_of(s, "match"), text_of(s, "actions"));
        }
    }
}

/* The switch's own answer: where the frame went, or why it did not. */
static void traced(const cJSON *result, const struct err *err, void *aux)
{
    struct trace *t = aux;
    struct controller *c = t->fabric->controller;
    struct sw *sw = substrate_find(c->substrate, t->edge_datapath);
    struct port *target = t->to[0] ? model_find(c->model, KIND_PORT, t->to) : NULL;
    struct port *source = model_find(c->model, KIND_PORT, t->from);

    if (err || !sw) {
        struct err gone = ERR_INIT;
        err_set(&gone, ERR_UNREACHABLE, "", "the switch went away during the trace");
        fail(t, err ? err : &gone);
        return;
    }
    add_edge_steps(t, sw, result);
    const cJSON *verdict = cJSON_GetObjectItemCaseSensitive(result, "verdict"), *output, *drop;
    cJSON_ArrayForEach (output, cJSON_GetObjectItemCaseSensitive(verdict, "outputs")) {
        const cJSON *port_no = cJSON_GetObjectItemCaseSensitive(output, "port");
        const struct sw_port *port = cJSON_IsNumber(port_no) ? sw_port_find(sw, (uint32_t) port_no->valuedouble) : NULL;
        char name[33];
        if (port && port->has_link && !t->landed) {
            if (cross(t, sw, port->of.port_no, text_of(output, "packet"))) {
                return;
            }
            finish(t, "dropped", "no-path", "no path over the fabric to the landing's edge");
            return;
        }
        if (port && target && !strcmp(port->of.name, port_device_name(target, name))) {
            step(t, t->landed ? "landing" : "edge", sw->edge->name, "out by port %u (%s) to %s", port->of.port_no, port->of.name, t->to);
            finish(t, "delivered", NULL, NULL);
            return;
        }
        if (port && source && !t->landed && !strcmp(port->of.name, port_device_name(source, name))) {
            finish(t, "answered", NULL, "the edge itself answers");
            return;
        }
    }
    drop = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(verdict, "drops"), 0);
    if (drop) {
        finish(t, "dropped", text_of(drop, "reason"), text_of(drop, "text"));
        return;
    }
    finish(t, "elsewhere", NULL, "the frame went out, but not to that address's port");
}

static void ask_switch(struct trace *t, struct sw *sw, uint32_t in_port, const char *packet_hex)
{
    cJSON *params = cJSON_CreateObject();
    t->edge_datapath = sw->datapath_id;
    json_add_format(params, "in_port", "%u", in_port);
    json_add_string(params, "packet", packet_hex);
    sw_polder_request(sw, "trace", params, traced, t);
}

static const struct port *owner_of(const struct network *network, const struct ip *ip)
{
    for (unsigned i = 0; i < network->n_ports; i++) {
        for (unsigned j = 0; j < network->ports[i]->n_ips; j++) {
            if (ip_equal(&network->ports[i]->ips[j].ip, ip)) {
                return network->ports[i];
            }
        }
    }
    return NULL;
}

void fabric_trace(struct fabric *f, const char *port_name, const char *to_ip, void (*fn)(cJSON *, const struct err *, void *), void *aux)
{
    struct controller *c = f->controller;
    const struct port *port = model_find(c->model, KIND_PORT, port_name);
    struct err err = ERR_INIT;
    struct ip ip;
    char device_name[33];

    if (!port) {
        err_set(&err, ERR_NOT_FOUND, "port", "there is no port %s", port_name);
        err_hint(&err, "vpcctl get ports lists them");
    } else if (!ip_parse(to_ip, &ip)) {
        err_set(&err, ERR_INVALID, "to", "%s is not an IP address", to_ip);
    } else if (!port->edge) {
        err_set(&err, ERR_CONFLICT, "port", "port %s is not bound to an edge", port_name);
        err_hint(&err, "give it an edge with vpcctl apply");
    }
    struct sw *sw = err.code ? NULL : substrate_find(c->substrate, port->edge->datapath_id);
    const struct sw_port *device = sw && sw->connected ? sw_port_by_name(sw, port_device_name(port, device_name)) : NULL;
    if (!err.code && !device) {
        err_set(&err, ERR_UNREACHABLE, "port", "edge %s is not connected or has no such device yet", port->edge->name);
    } else if (!err.code && !sw->is_vswitchd) {
        err_set(&err, ERR_CONFLICT, "port", "edge %s is no vswitchd and cannot trace", port->edge->name);
    }
    const struct ip *src = NULL;
    for (unsigned i = 0; !err.code && i < port->n_ips && !src; i++) {
        src = ip_is_v4(&port->ips[i].ip) == ip_is_v4(&ip) ? &port->ips[i].ip : NULL;
    }
    if (!err.code && !src) {
        err_set(&err, ERR_INVALID, "to", "port %s has no address of that family", port_name);
    }
    if (err.code) {
        fn(NULL, &err, aux);
        return;
    }
    struct trace *t = XNEW(struct trace);
    const struct port *target = owner_of(port->network, &ip);
    struct buf frame = BUF_INIT;

    t->fabric = f;
    t->fn = fn;
    t->aux = aux;
    t->answer = cJSON_CreateObject();
    t->steps = cJSON_CreateArray();
    str_copy(t->from, sizeof t->from, port_name);
    json_add_string(t->answer, "from", port_name);
    json_add_string(t->answer, "to", target ? target->name : to_ip);
    if (target && target != port) {
        str_copy(t->to, sizeof t->to, target->name);
        echo_frame(&frame, port, target, src, &ip);
        step(t, "virtual", port->edge->name, "%s sends an echo request to %s (%s)", port_name, to_ip, target->name);
    } else {
        resolve_frame(&frame, port, src, &ip);
        step(t, "virtual", port->edge->name, "%s asks who has %s", port_name, to_ip);
    }
    char *hex = xmalloc(2 * frame.size + 1);
    bytes_to_hex(frame.data, frame.size, hex);
    ask_switch(t, sw, device->of.port_no, hex);
    free(hex);
    buf_fini(&frame);
}
