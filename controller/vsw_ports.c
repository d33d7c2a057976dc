/*
 * Ports of a slice's virtual switch as its controllers see them.
 *
 * A port's state follows what is behind it: the device on its edge, or for a virtual link whether the other end can be
 * reached and is up. Controllers hear of it only when what they see changes; what they configure (port-mod) stays here.
 */
#include "controller/vsw.h"

#include <stdlib.h>
#include <string.h>

#include "controller/compile.h"
#include "controller/fabric_impl.h"
#include "controller/vsw_counters.h"
#include "controller/substrate.h"
#include "ofproto/agent.h"

enum { OFPPF_10GB_FD = 1 << 6, SPEED_10GB_KBPS = 10000000 };

static uint32_t number_hash(uint32_t number) { return (uint32_t) hash_mix64(number); }

struct vport *vsw_port_find(const struct vsw *vsw, uint32_t number)
{
    struct vport *vport;
    HMAP_FOR_EACH_WITH_HASH (vport, node, number_hash(number), &vsw->ports) {
        if (vport->number == number) {
            return vport;
        }
    }
    return NULL;
}

static uint32_t config_of(const struct vsw *vsw, const struct port *port)
{
    const struct vport *vport = vsw->is_slice ? vsw_port_find(vsw, port->number) : NULL;
    return (vport ? vport->config : 0) | (port->admin_down ? OFPPC_PORT_DOWN : 0);
}

bool vsw_port_down(const struct vsw *vsw, const struct port *port) { return config_of(vsw, port) & OFPPC_PORT_DOWN; }

bool vsw_port_receives(const struct vsw *vsw, const struct port *port)
{
    return !(config_of(vsw, port) & (OFPPC_PORT_DOWN | OFPPC_NO_RECV));
}

bool vsw_port_forwards(const struct vsw *vsw, const struct port *port)
{
    return !(config_of(vsw, port) & (OFPPC_PORT_DOWN | OFPPC_NO_FWD));
}

bool vsw_port_floods(const struct vsw *vsw, const struct port *port)
{
    return !(config_of(vsw, port) & OFPPC10_NO_FLOOD);
}

static bool link_up(const struct vsw *vsw, const struct port *port)
{
    const struct port *peer = vlink_peer(port);
    const struct vsw *other = peer->network == vsw->network ? vsw : fabric_find_vsw(vsw->fabric, peer->network->id);
    if (port->link->admin_down || !other || vsw_port_down(other, peer) || !port->edge || !peer->edge) {
        return false;
    }
    if (port->edge == peer->edge) {
        return true;
    }
    struct substrate *s = vsw->controller->substrate;
    const struct sw *from = substrate_find(s, port->edge->datapath_id), *to = substrate_find(s, peer->edge->datapath_id);
    return from && to && substrate_reachable(s, from, to) && substrate_reachable(s, to, from);
}

/* The switch port behind it; NULL when there is none (yet). */
static const struct sw_port *device_of(const struct vsw *vsw, const struct port *port)
{
    char name[33];
    struct sw *sw = port->edge && !port->link ? substrate_find(vsw->controller->substrate, port->edge->datapath_id) : NULL;
    return sw && sw->connected ? sw_port_by_name(sw, port_device_name(port, name)) : NULL;
}

bool vsw_port_live(const struct vsw *vsw, const struct port *port)
{
    if (vsw_port_down(vsw, port)) {
        return false;
    }
    if (port->link) {
        return link_up(vsw, port);
    }
    const struct sw_port *device = device_of(vsw, port);
    return device && !(device->of.state & OFPPS_LINK_DOWN);
}

void vport_describe(const struct vsw *vsw, const struct vport *vport, struct of_port *out)
{
    const struct port *port = vport->port;
    const struct sw_port *device = device_of(vsw, port);
    *out = (struct of_port) {
        .port_no = vport->number, .hw_addr = port->mac, .config = vport->config,
        .curr = device && device->of.curr ? device->of.curr : OFPPF_10GB_FD,
        .curr_speed = device && device->of.curr_speed ? device->of.curr_speed : SPEED_10GB_KBPS,
        .max_speed = device && device->of.max_speed ? device->of.max_speed : SPEED_10GB_KBPS,
    };
    str_copy(out->name, sizeof out->name, port->of_name);
    /* What the operator took down is no configuration of the tenant's. */
    bool live = vsw_port_live(vsw, port), down = vport->config & OFPPC_PORT_DOWN;
    out->state = live ? OFPPS_LIVE : down && !port->admin_down ? 0 : OFPPS_LINK_DOWN;
}

static bool same(const struct of_port *a, const struct of_port *b)
{
    return mac_u64(a->hw_addr) == mac_u64(b->hw_addr) && !strcmp(a->name, b->name) && a->config == b->config && a->state == b->state && a->curr == b->curr
           && a->curr_speed == b->curr_speed && a->max_speed == b->max_speed;
}

static void tell(struct vsw *vsw, uint8_t reason, const struct of_port *port)
{
    if (vsw->agent) {
        of_agent_port_status(vsw->agent, reason, port);
    }
}

static void tell_modified(struct vsw *vsw, const struct of_port *was, const struct of_port *port)
{
    struct of_port flooded = *was;
    flooded.config ^= OFPPC10_NO_FLOOD;
    if (vsw->agent && same(&flooded, port)) {
        of_agent_port_flood(vsw->agent, port);
    } else {
        tell(vsw, OFPPR_MODIFY, port);
    }
}

/* Whether the edge can tell. */
static bool is_known(const struct vsw *vsw, const struct port *port)
{
    const struct sw *sw = port->edge ? substrate_find(vsw->controller->substrate, port->edge->datapath_id) : NULL;
    return !sw || sw->connected;
}

void vsw_ports_review(struct vsw *vsw)
{
    struct vport *vport;
    bool changed = false;
    HMAP_FOR_EACH (vport, node, &vsw->ports) {
        vport->seen = false;
    }
    for (unsigned i = 0; i < vsw->network->n_ports; i++) {
        struct port *port = vsw->network->ports[i];
        struct of_port now;
        vport = vsw_port_find(vsw, port->number);
        bool is_new = !vport;
        if (is_new) {
            vport = XNEW(struct vport);
            vport->number = port->number;
            vport->since_ns = clock_now_ns(&vsw->controller->clock);
            hmap_insert(&vsw->ports, &vport->node, number_hash(port->number));
        }
        vport->port = port;
        vport->seen = true;
        if (is_known(vsw, port)) {
            vport_counters_follow(vsw, vport);
        }
        vport_describe(vsw, vport, &now);
        if (!is_new && !port->link && !is_known(vsw, port)) {   /* A lost control connection cuts no traffic; when a link has gone with it, paths tell. */
            now.state = vport->told.state;
            now.curr = vport->told.curr;
            now.curr_speed = vport->told.curr_speed;
            now.max_speed = vport->told.max_speed;
        }
        if (is_new) {
            vport->told = now;
            tell(vsw, OFPPR_ADD, &now);
        } else if (!same(&now, &vport->told)) {
            struct of_port was = vport->told;
            changed |= now.state != was.state;
            vport->told = now;
            tell_modified(vsw, &was, &now);
        }
    }
    HMAP_FOR_EACH (vport, node, &vsw->ports) {
        if (!vport->seen) {
            tell(vsw, OFPPR_DELETE, &vport->told);
            hmap_remove(&vsw->ports, &vport->node);
            vport_counters_fini(vport);
            free(vport);
        }
    }
    if (changed && vsw->n_ff_groups) {                  /* Which bucket is live is compiled for ports that the edge does not have. */
        compile_groups_again(vsw);
    }
}

/* The ends of links to it depend on a port's configuration. */
static void touch(struct vsw *vsw, const struct port *port)
{
    vsw->dirty = vsw->ports_dirty = true;
    fabric_work(vsw);
    struct vsw *other = port->link ? fabric_find_vsw(vsw->fabric, vlink_peer(port)->network->id) : NULL;
    if (other) {
        other->dirty = other->ports_dirty = true;
        fabric_work(other);
    }
}

struct of_error vsw_port_mod(struct vsw *vsw, const struct of_port_mod *mod)
{
    struct vport *vport = vsw_port_find(vsw, mod->port_no);
    if (!vport) {
        return OF_ERROR(OFPET_PORT_MOD_FAILED, OFPPMFC_BAD_PORT);
    }
    if (mac_u64(mod->hw_addr) != mac_u64(vport->port->mac)) {
        return OF_ERROR(OFPET_PORT_MOD_FAILED, OFPPMFC_BAD_HW_ADDR);
    }
    if (mod->mask & ~(OFPPC_ALL | OFPPC10_NO_FLOOD)) {
        return OF_ERROR(OFPET_PORT_MOD_FAILED, OFPPMFC_BAD_CONFIG);
    }
    if (mod->advertise) {
        return OF_ERROR(OFPET_PORT_MOD_FAILED, OFPPMFC_BAD_ADVERTISE);
    }
    uint32_t config = (vport->config & ~mod->mask) | (mod->config & mod->mask);
    if (config != vport->config) {
        vport->config = config;
        touch(vsw, vport->port);
    }
    return OF_OK;
}

void vsw_ports_fini(struct vsw *vsw)
{
    struct vport *vport;
    HMAP_FOR_EACH (vport, node, &vsw->ports) {
        hmap_remove(&vsw->ports, &vport->node);
        vport_counters_fini(vport);
        free(vport);
    }
}
