/* The network: which switches there are, which ports are cabled to which, and frames that are on their way. */
#include "utilities/control-bench/sim_impl.h"

#include <stdlib.h>
#include <string.h>
#include <event2/event.h>

struct frame {
    struct list node;           /* In sim_net.in_flight. */
    struct sim_switch *to;
    uint32_t in_port;
    unsigned size;
    uint8_t data[];
};

static void on_arrive(evutil_socket_t fd UNUSED, short what UNUSED, void *net_)
{
    struct sim_net *net = net_;
    struct list now;
    struct frame *f;
    list_init(&now);
    while (!list_empty(&net->in_flight)) {      /* What these cause travels in the next turn. */
        struct list *first = net->in_flight.next;
        list_remove(first);
        list_push_back(&now, first);
    }
    LIST_FOR_EACH (f, node, &now) {
        sim_switch_receive(f->to, f->in_port, f->data, f->size);
        free(f);
    }
}

void sim_transmit(struct sim_switch *sw, uint32_t port_no, const uint8_t *data, unsigned size)
{
    if (!port_no || port_no > sw->n_ports || !sw->ports[port_no - 1].peer) {
        return;
    }
    struct frame *f = xmalloc(sizeof *f + size);
    *f = (struct frame) { .to = sw->ports[port_no - 1].peer, .in_port = sw->ports[port_no - 1].peer_port, .size = size };
    memcpy(f->data, data, size);
    list_push_back(&sw->net->in_flight, &f->node);
    event_active(sw->net->arrive, EV_TIMEOUT, 0);
}

/* --- Wiring --- */

static uint32_t add_uplink(struct sim_switch *sw)
{
    sw->ports = xrealloc(sw->ports, (sw->n_ports + 1) * sizeof *sw->ports);
    struct sim_port *p = &sw->ports[sw->n_ports++];
    memset(p, 0, sizeof *p);
    p->of.port_no = sw->n_ports;
    p->of.hw_addr = mac_from_u64(UINT64_C(0x026500000000) | (sw->dpid & 0xffff) << 16 | sw->n_ports);
    p->of.state = OFPPS_LIVE;
    char *name = xasprintf("u%u", sw->n_ports - sw->n_devices);
    str_copy(p->of.name, sizeof p->of.name, name);
    free(name);
    return sw->n_ports;
}

static void cable(struct sim_switch *a, struct sim_switch *b)
{
    uint32_t port_a = add_uplink(a), port_b = add_uplink(b);
    a->ports[port_a - 1].peer = b;
    a->ports[port_a - 1].peer_port = port_b;
    b->ports[port_b - 1].peer = a;
    b->ports[port_b - 1].peer_port = port_a;
}

static void wire_up(struct sim_net *net, enum sim_wiring wiring)
{
    const unsigned n = net->n_edges;
    for (unsigned i = 0; i < n && wiring != SIM_ALONE; i++) {
        if (wiring == SIM_STAR) {
            cable(net->switches[i], net->switches[n]);
        } else if (i + 1 < n) {
            cable(net->switches[i], net->switches[i + 1]);
        } else if (wiring == SIM_RING && n > 2) {
            cable(net->switches[i], net->switches[0]);
        }
    }
}

struct sim_net *sim_net_new(struct event_base *base, const struct sim_plan *plan, const struct sim_hooks *hooks, void *aux)
{
    struct sim_net *net = XNEW(struct sim_net);
    net->base = base;
    net->clock = clock_monotonic();
    net->hooks = *hooks;
    net->hooks_aux = aux;
    net->vswitchd = plan->vswitchd;
    net->n_edges = plan->n_edges;
    list_init(&net->in_flight);
    net->arrive = event_new(base, -1, 0, on_arrive, net);
    net->n_switches = plan->n_edges + (plan->wiring == SIM_STAR);
    net->switches = xcalloc(net->n_switches + 1, sizeof *net->switches);
    for (unsigned i = 0; i < net->n_switches; i++) {
        net->switches[i] = sim_switch_new(net, i < net->n_edges ? i + 1 : SIM_FABRIC_DPID, i < net->n_edges ? plan->n_devices : 0);
        net->switches[i]->first_counted = SIM_FIRST_TENANT_TABLE;
        net->switches[i]->last_counted = SIM_LAST_TENANT_TABLE;
    }
    wire_up(net, plan->wiring);
    return net;
}

void sim_net_free(struct sim_net *net)
{
    struct frame *f;
    LIST_FOR_EACH (f, node, &net->in_flight) {
        free(f);
    }
    for (unsigned i = 0; i < net->n_switches; i++) {
        sim_switch_free(net->switches[i]);
    }
    event_free(net->arrive);
    free(net->switches);
    free(net);
}

bool sim_net_connect(struct sim_net *net, const char *target, struct err *err)
{
    for (unsigned i = 0; i < net->n_switches; i++) {
        if (!sim_switch_connect(net->switches[i], target, err)) {
            return false;
        }
    }
    return true;
}

/* --- Sums --- */

unsigned sim_net_n_connected(const struct sim_net *net)
{
    unsigned n = 0;
    for (unsigned i = 0; i < net->n_switches; i++) {
        n += net->switches[i]->n_controllers > 0;
    }
    return n;
}

uint64_t sim_net_n_changed(const struct sim_net *net)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < net->n_switches; i++) {
        n += net->switches[i]->n_changed;
    }
    return n;
}

uint64_t sim_net_n_flows(const struct sim_net *net)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < net->n_switches; i++) {
        n += flow_tables_count(net->switches[i]->flows, OFPTT_ALL);
    }
    return n;
}
