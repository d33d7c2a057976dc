/* A switch's ports: its own account (port descriptions, port-status), and vswitchd's of the devices behind them. */
#define LOG_MODULE "southbound"
#include "controller/substrate_impl.h"

#include <stdlib.h>
#include <string.h>
#include "lib/log.h"

#define MAX_PORTS 8192          /* Of one switch; further ones are not taken note of. */

/* sw.ports is a view of the connection's. */
void sb_conn_show_ports(struct sb_conn *sb)
{
    if (sb->sw) {
        sb->sw->pub.ports = sb->ports;
        sb->sw->pub.n_ports = sb->n_ports;
    }
}

static struct sw_port *find_port(struct sb_conn *sb, uint32_t port_no)
{
    unsigned i = sw_port_place(sb->ports, sb->n_ports, port_no);
    return i < sb->n_ports && sb->ports[i].of.port_no == port_no ? &sb->ports[i] : NULL;
}

/* NULL when the switch has too many. */
static struct sw_port *put_port(struct sb_conn *sb, const struct of_port *of)
{
    struct sw_port *p = find_port(sb, of->port_no);
    if (p) {
        p->of = *of;
        return p;
    }
    if (sb->n_ports == MAX_PORTS) {
        LOG_RATE(LOG_WARN, 10, "%s: port %u is ignored, there are %u already", of_conn_peer(sb->conn), of->port_no, sb->n_ports);
        return NULL;
    }
    if (!(sb->n_ports & (sb->n_ports - 1))) {   /* Room doubles at each power of two. */
        sb->ports = xrealloc(sb->ports, MAX(2 * sb->n_ports, 1u) * sizeof *sb->ports);
    }
    unsigned i = sw_port_place(sb->ports, sb->n_ports, of->port_no);
    p = &sb->ports[i];
    memmove(p + 1, p, (sb->n_ports - i) * sizeof *p);
    *p = (struct sw_port) { .of = *of };
    sb->n_ports++;
    sb_conn_show_ports(sb);
    return p;
}

static void delete_port(struct sb_conn *sb, uint32_t port_no)
{
    struct sw_port *p = find_port(sb, port_no);
    if (p) {
        memmove(p, p + 1, (size_t) (sb->ports + sb->n_ports - (p + 1)) * sizeof *p);
        sb->n_ports--;
        sb_conn_show_ports(sb);
    }
}

void sb_conn_review_ports(struct sb_conn *sb)
{
    bool changed = false;
    for (unsigned i = 0; i < sb->n_ports; i++) {
        struct sw_port *p = &sb->ports[i];
        bool candidate = discovery_is_candidate(sb, &p->of);
        changed |= candidate != p->is_uplink_candidate;
        p->is_uplink_candidate = candidate;
        if (!candidate && p->has_link && sb->sw) {
            links_kill_port(sb->substrate, &sb->sw->pub, p->of.port_no);
        }
    }
    if (sb->sw) {
        discovery_review(sb->sw);
        if (changed && !sb->sw->held) {
            sb->substrate->ops.ports_changed(&sb->sw->pub, sb->substrate->ops_aux);
        }
    }
}

static void forget_devices(struct sb_conn *sb)
{
    for (unsigned i = 0; i < sb->n_devices; i++) {
        free(sb->devices[i].path);
    }
    free(sb->devices);
    sb->devices = NULL;
    sb->n_devices = 0;
}

const char *sw_port_socket(const struct sw *sw, uint32_t port_no)
{
    const struct sb_conn *sb = sw_impl_of(sw)->sb;
    for (unsigned i = 0; sb && i < sb->n_devices; i++) {
        if (sb->devices[i].port_no == port_no) {
            return sb->devices[i].path;
        }
    }
    return NULL;
}

/* What kind of device is behind each port of a vswitchd. */
static void on_devices(const cJSON *result, const struct err *err, void *sb_)
{
    struct sb_conn *sb = sb_;
    sb->devices_asked = false;
    if (err) {
        if (err->code != ERR_UNREACHABLE) {     /* That is the connection's end, which says so itself. */
            LOG(LOG_WARN, "%s: ports: %s", of_conn_peer(sb->conn), err->message);
        }
        return;
    }
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(result, "ports"), *port;
    forget_devices(sb);
    sb->devices = xcalloc((size_t) cJSON_GetArraySize(list) + 1, sizeof *sb->devices);
    cJSON_ArrayForEach(port, list) {
        const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(port, "type"));
        const char *path = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(port, "path"));
        const cJSON *number = cJSON_GetObjectItemCaseSensitive(port, "ofport");
        if (type && cJSON_IsNumber(number) && number->valuedouble >= 1 && number->valuedouble < (double) OFPP_MAX) {
            sb->devices[sb->n_devices++] = (struct sw_device) { (uint32_t) number->valuedouble, !strcmp(type, "dpdk"), path ? xstrdup(path) : NULL };
        }
    }
    sb->devices_known = true;
    sb_conn_review_ports(sb);
    if (sb->devices_stale) {
        sb_conn_ask_devices(sb);
    }
}

void sb_conn_ask_devices(struct sb_conn *sb)
{
    sb->devices_stale = sb->devices_asked;      /* One request at a time. */
    if (!sb->devices_asked) {
        sb->devices_asked = true;
        polder_request_send(sb, "ports", NULL, on_devices, sb);
    }
}

void sb_conn_port_status(struct sb_conn *sb, uint8_t reason, const struct of_port *port)
{
    struct substrate *s = sb->substrate;
    bool is_new = !find_port(sb, port->port_no);
    if (reason == OFPPR_DELETE) {
        if (sb->sw) {
            links_kill_port(s, &sb->sw->pub, port->port_no);
        }
        delete_port(sb, port->port_no);
    } else {
        struct sw_port *p = put_port(sb, port);
        if (!p) {
            return;
        }
        p->is_uplink_candidate = discovery_is_candidate(sb, &p->of);
        if (sb->sw && !sw_port_is_up(p)) {
            links_kill_port(s, &sb->sw->pub, port->port_no);
        }
    }
    if (!sb->sw) {
        return;
    }
    discovery_review(sb->sw);
    if (!sb->sw->held) {
        s->ops.ports_changed(&sb->sw->pub, s->ops_aux);
    }
    if (sb->is_vswitchd && is_new && reason != OFPPR_DELETE) {
        sb_conn_ask_devices(sb);
    }
}

void sb_conn_port_desc(struct sb_conn *sb, const struct of_msg *reply)
{
    for (unsigned i = 0; i < reply->multipart.ports.n; i++) {
        if (!find_port(sb, reply->multipart.ports.v[i].port_no)) {    /* A port-status in between is newer. */
            put_port(sb, &reply->multipart.ports.v[i]);
        }
    }
    sb->has_ports = !(reply->multipart.flags & OFPMPF_MORE);
}

void sb_conn_free_ports(struct sb_conn *sb)
{
    free(sb->ports);
    forget_devices(sb);
}
