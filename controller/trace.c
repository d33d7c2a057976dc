/*
 * One answer to "would this port reach that address, and by which way": the frame that the port would send is run
 * through the source edge's vswitchd (its own trace: nothing is sent), followed over the fabric by the paths in force,
 * and run through the landing edge's, in the translated form that it would have there.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/edge_tables.h"
#include "controller/fabric_impl.h"
#include "lib/json.h"
#include "ofproto/polder.h"

#define MAX_HOPS 64
#define MAX_CROSSINGS 16        /* Of the fabric: a VPC's frame crosses once, a slice's once for each virtual link. */

struct trace {
    struct fabric *fabric;
    void (*fn)(cJSON *, const struct err *, void *aux);
    void *aux;
    cJSON *answer, *steps;
    uint32_t from, to;          /* Ids of ports, which may go meanwhile; to: 0 when the address is nobody's. */
    uint64_t edge_datapath;     /* Where the trace that is under way runs. */
    unsigned n_crossings;       /* So far. */
    bool of_slice;
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

/* A frame of a local experimental protocol (IEEE Std 802), for ports that have no IP addresses. */
static void plain_frame(struct buf *b, const struct port *from, struct mac to)
{
    put_ethernet(b, to, from->mac, 0x88b5);
    buf_put_zeros(b, 60 - b->size);
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
    step(t, "fabric", from->edge->name, "path class %u, backup %.*s", class, (int) text.size, text.size ? (const char *) text.data : "");
    buf_fini(&text);
}

/* The edge that a translated frame's destination names, NULL when it is no landing's. */
static const struct edge *landing_edge(const struct model *m, const char *packet, uint8_t *class)
{
    uint8_t mac[6];
    size_t size = sizeof mac;
    char head[13];
    str_copy(head, sizeof head, packet);
    if (!hex_to_bytes(head, mac, &size) || size != 6 || mac[0] != 2) {
        return NULL;
    }
    *class = mac[3];
    return model_edge_by_index(m, wire_get16(mac + 1));
}

/* The frame left the edge by an uplink: over the fabric to the edge that its provider MAC names. */
static bool cross(struct trace *t, struct sw *from, const char *packet)
{
    struct controller *c = t->fabric->controller;
    struct hop hops[MAX_HOPS];
    uint8_t class = 0;
    const struct edge *edge = landing_edge(c->model, packet, &class);
    struct sw *to = edge ? substrate_find(c->substrate, edge->datapath_id) : NULL;
    unsigned n = to && to != from ? substrate_path(c->substrate, from, to, class, hops, MAX_HOPS) : 0;
    if (!n) {
        return false;
    }
    backup_step(t, from, to, class);
    for (unsigned i = 0; i < n; i++) {
        if (hops[i].sw != from && hops[i].sw != to) {
            step(t, "fabric", hops[i].sw->edge->name, "in by port %u, out by port %u", hops[i].in_port, hops[i].out_port);
        }
    }
    t->n_crossings++;
    ask_switch(t, to, hops[n - 1].in_port, packet);
    return true;
}

static void add_edge_steps(struct trace *t, const struct sw *sw, const cJSON *result)
{
    const cJSON *s;
    const char *where = t->n_crossings ? "landing" : "edge";

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

static const struct sw_port *output_port(struct sw *sw, const cJSON *output)
{
    const cJSON *port_no = cJSON_GetObjectItemCaseSensitive(output, "port");
    return cJSON_IsNumber(port_no) ? sw_port_find(sw, (uint32_t) port_no->valuedouble) : NULL;
}

/* Out of a port with a device: to whom it was sent, or back to who sent it. True when that ends the trace. */
static bool came_out(struct trace *t, struct sw *sw, const cJSON *outputs)
{
    const struct model *m = t->fabric->controller->model;
    struct port *target = model_port_by_id(m, t->to), *source = model_port_by_id(m, t->from);
    const cJSON *output;
    char name[33];
    cJSON_ArrayForEach (output, outputs) {
        const struct sw_port *port = output_port(sw, output);
        if (port && target && target->edge == sw->edge && !strcmp(port->of.name, port_device_name(target, name))) {
            step(t, t->n_crossings ? "landing" : "edge", sw->edge->name, "out by port %u (%s) to %s", port->of.port_no, port->of.name, target->name);
            finish(t, "delivered", NULL, NULL);
            return true;
        }
        if (port && source && !t->n_crossings && !strcmp(port->of.name, port_device_name(source, name))) {
            finish(t, "answered", NULL, "the edge itself answers");
            return true;
        }
    }
    return false;
}

/* Out of an uplink: of several copies the one to the target's edge is followed, or else the first. True when that goes on, or ends the trace. */
static bool went_on(struct trace *t, struct sw *sw, const cJSON *outputs)
{
    const struct model *m = t->fabric->controller->model;
    const struct port *target = model_port_by_id(m, t->to);
    const cJSON *output, *best = NULL;
    bool is_target = false;
    uint8_t class;
    cJSON_ArrayForEach (output, outputs) {
        const struct sw_port *port = output_port(sw, output);
        bool uplink = port && port->has_link, to_target = uplink && target && landing_edge(m, text_of(output, "packet"), &class) == target->edge;
        if (uplink && (!best || (to_target && !is_target))) {
            best = output;
            is_target = to_target;
        }
    }
    if (!best || t->n_crossings >= (t->of_slice ? MAX_CROSSINGS : 1)) {
        return false;
    }
    if (!cross(t, sw, text_of(best, "packet"))) {
        finish(t, "dropped", "no-path", "no path over the fabric to the landing's edge");
    }
    return true;
}

/* The table that the frame was last in, -1 when in none. */
static int last_table(const cJSON *result)
{
    const cJSON *s;
    int table = -1;
    cJSON_ArrayForEach (s, cJSON_GetObjectItemCaseSensitive(result, "steps")) {
        const cJSON *here = cJSON_GetObjectItemCaseSensitive(s, "table");
        table = cJSON_IsNumber(here) ? here->valueint : table;
    }
    return table;
}

/* The switch's own answer: where the frame went, or why it did not. */
static void traced(const cJSON *result, const struct err *err, void *aux)
{
    struct trace *t = aux;
    struct sw *sw = substrate_find(t->fabric->controller->substrate, t->edge_datapath);

    if (err || !sw) {
        struct err gone = ERR_INIT;
        err_set(&gone, ERR_UNREACHABLE, "", "the switch went away during the trace");
        fail(t, err ? err : &gone);
        return;
    }
    add_edge_steps(t, sw, result);
    const cJSON *verdict = cJSON_GetObjectItemCaseSensitive(result, "verdict"), *outputs = cJSON_GetObjectItemCaseSensitive(verdict, "outputs");
    const cJSON *drop = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(verdict, "drops"), 0), *asked = cJSON_GetObjectItemCaseSensitive(verdict, "controller");
    if (came_out(t, sw, outputs) || went_on(t, sw, outputs)) {
        return;
    }
    if (cJSON_IsNumber(asked) && asked->valuedouble > 0 && last_table(result) == T_X_SRC) {
        finish(t, "interns", NULL, "the pair of addresses has no id on the fabric yet: controllerd carries its frames until it gets one, and then this trace goes on");
    } else if (t->of_slice && cJSON_IsNumber(asked) && asked->valuedouble > 0) {
        finish(t, "controller", NULL, "the tenant's controller is asked");
    } else if (drop) {
        finish(t, "dropped", text_of(drop, "reason"), text_of(drop, "text"));
    } else {
        finish(t, "elsewhere", NULL, "the frame went out, but not to that address's port");
    }
}

static void ask_switch(struct trace *t, struct sw *sw, uint32_t in_port, const char *packet_hex)
{
    cJSON *params = cJSON_CreateObject();
    t->edge_datapath = sw->datapath_id;
    json_add_format(params, "in_port", "%u", in_port);
    json_add_string(params, "packet", packet_hex);
    sw_polder_request(sw, "trace", params, traced, t);
}

/* --- Who and whom --- */

/* What a trace goes to: an IP address, or in a slice also a MAC address. */
struct address { bool is_mac; struct mac mac; struct ip ip; };

static bool has_address(const struct port *p, const struct address *to)
{
    bool found = to->is_mac && mac_u64(p->mac) == mac_u64(to->mac);
    for (unsigned i = 0; !to->is_mac && i < p->n_ips; i++) {
        found |= ip_equal(&p->ips[i].ip, &to->ip);
    }
    return found && !p->link;
}

static const struct port *owner_in(const struct network *n, const struct address *to)
{
    for (unsigned i = 0; i < n->n_ports; i++) {
        if (has_address(n->ports[i], to)) {
            return n->ports[i];
        }
    }
    return NULL;
}

/* On the port's own network, else on another virtual switch of its slice. */
static const struct port *owner_of(const struct port *from, const struct address *to)
{
    const struct slice *s = from->network->slice;
    const struct port *found = owner_in(from->network, to);
    for (unsigned i = 0; !found && s && i < s->n_switches; i++) {
        found = owner_in(s->switches[i], to);
    }
    return found;
}

static const struct ip *source_address(const struct port *p, const struct ip *to)
{
    for (unsigned i = 0; i < p->n_ips; i++) {
        if (ip_is_v4(&p->ips[i].ip) == ip_is_v4(to)) {
            return &p->ips[i].ip;
        }
    }
    return NULL;
}

static const struct port *find_port(const struct model *m, const char *name)
{
    const struct port *p = model_find(m, KIND_PORT, name);
    return p ? p : model_find(m, KIND_SWITCH_PORT, name);
}

/* Everything that keeps the trace from starting; *device is where the frame enters. */
static bool check(struct controller *c, const struct port *port, const char *to_text, const struct address *to, const struct sw_port **device, struct err *err)
{
    char name[33];
    const struct slice *slice = port->network->slice;
    if (to->is_mac && !slice) {
        err_set(err, ERR_INVALID, "to", "%s is not an IP address", to_text);
        return err_hint(err, "MAC addresses are for ports of slices");
    }
    if (port->link) {
        err_set(err, ERR_CONFLICT, "port", "%s is an end of a virtual link, where no frame enters", port->name);
        return err_hint(err, "trace from a port with a device");
    }
    if (!port->edge) {
        err_set(err, ERR_CONFLICT, "port", "port %s is not bound to an edge", port->name);
        return err_hint(err, "give it an edge with vpcctl apply");
    }
    struct sw *sw = substrate_find(c->substrate, port->edge->datapath_id);
    *device = sw && sw->connected ? sw_port_by_name(sw, port_device_name(port, name)) : NULL;
    if (!*device) {
        return err_set(err, ERR_UNREACHABLE, "port", "edge %s is not connected or has no such device yet", port->edge->name);
    }
    if (!sw->is_vswitchd) {
        return err_set(err, ERR_CONFLICT, "port", "edge %s is no vswitchd and cannot trace", port->edge->name);
    }
    if (!to->is_mac && !slice && !source_address(port, &to->ip)) {
        return err_set(err, ERR_INVALID, "to", "port %s has no address of that family", port->name);
    }
    return true;
}

/* The frame that the port sends for it, and the step that says so. */
static void first_frame(struct trace *t, struct buf *frame, const struct port *from, const struct port *target, const char *to_text, const struct address *to)
{
    struct ip none = { { 0 } };
    const struct ip *src = to->is_mac ? NULL : source_address(from, &to->ip);
    none = !to->is_mac && ip_is_v4(&to->ip) ? ip_from_v4(0) : none;
    if (target && src) {
        echo_frame(frame, from, target, src, &to->ip);
        step(t, "virtual", from->edge->name, "%s sends an echo request to %s (%s)", from->name, to_text, target->name);
    } else if (target || to->is_mac) {
        plain_frame(frame, from, target ? target->mac : to->mac);
        step(t, "virtual", from->edge->name, "%s sends a frame to %s%s%s%s", from->name, to_text, target ? " (" : "", target ? target->name : "", target ? ")" : "");
    } else {
        resolve_frame(frame, from, src ? src : &none, &to->ip);
        step(t, "virtual", from->edge->name, "%s asks who has %s", from->name, to_text);
    }
}

void fabric_trace(struct fabric *f, const char *port_name, const char *to_text, void (*fn)(cJSON *, const struct err *, void *), void *aux)
{
    struct controller *c = f->controller;
    const struct port *port = find_port(c->model, port_name);
    const struct sw_port *device = NULL;
    struct err err = ERR_INIT;
    struct address to = { .is_mac = mac_parse(to_text, &to.mac) };

    if (!port) {
        err_set(&err, ERR_NOT_FOUND, "port", "there is no port %s", port_name);
        err_hint(&err, "vpcctl get ports and get switch-ports list them");
    } else if (!to.is_mac && !ip_parse(to_text, &to.ip)) {
        err_set(&err, ERR_INVALID, "to", "%s is not an IP address%s", to_text, port->network->slice ? " and no MAC address" : "");
    }
    if (err.code || !check(c, port, to_text, &to, &device, &err)) {
        fn(NULL, &err, aux);
        return;
    }
    struct trace *t = XNEW(struct trace);
    const struct port *owner = owner_of(port, &to), *target = owner == port ? NULL : owner;
    struct buf frame = BUF_INIT;

    *t = (struct trace) { .fabric = f, .fn = fn, .aux = aux, .answer = cJSON_CreateObject(), .steps = cJSON_CreateArray(), .from = port->id,
                          .to = target ? target->id : 0, .of_slice = port->network->slice };
    json_add_string(t->answer, "from", port_name);
    json_add_string(t->answer, "to", owner ? owner->name : to_text);
    first_frame(t, &frame, port, target, to_text, &to);
    char *hex = xmalloc(2 * frame.size + 1);
    bytes_to_hex(frame.data, frame.size, hex);
    ask_switch(t, substrate_find(c->substrate, port->edge->datapath_id), device->of.port_no, hex);
    free(hex);
    buf_fini(&frame);
}
