#include "vswitch/port.h"

#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "vswitch/queue.h"

struct port *port_find(struct port_table *t, const char *name)
{
    struct port *p;
    PORT_FOR_EACH (p, t) {
        if (!strcmp(p->config.name, name)) {
            return p;
        }
    }
    return NULL;
}

static uint32_t lowest_free(struct port_table *t)
{
    for (uint32_t no = 1; no < DP_MAX_PORTS; no++) {
        if (!port_get(t, no)) {
            return no;
        }
    }
    return 0;
}

/* A stable, locally administered address for ports without one of their own, told apart by switch and name. */
static struct mac derive_mac(uint64_t datapath_id, const char *name)
{
    uint32_t seed = (uint32_t) hash_mix64(datapath_id);
    uint64_t h = (uint64_t) hash_bytes(name, strlen(name), seed) << 8 | (hash_bytes(name, strlen(name), ~seed) & 0xff);
    return mac_from_u64(UINT64_C(0x0a) << 40 | (h & UINT64_C(0xffffffffff)));
}

static bool mac_is_zero(struct mac m)
{
    return mac_u64(m) == 0;
}

struct port *port_open(struct port_table *t, const struct config_port *config, const struct device_env *env, unsigned n_threads,
                       uint64_t datapath_id, uint64_t now_ns, struct err *err)
{
    if (port_find(t, config->name)) {
        err_set(err, ERR_CONFLICT, "name", "a port \"%s\" exists already", config->name);
        return NULL;
    }
    uint32_t no = config->ofport ? config->ofport : lowest_free(t);
    struct port *other = port_get(t, no);
    if (!no) {
        err_set(err, ERR_CONFLICT, "ofport", "all %u port numbers are in use", DP_MAX_PORTS - 1);
        return NULL;
    }
    if (other) {
        err_set(err, ERR_CONFLICT, "ofport", "%u is the number of port \"%s\"", no, other->config.name);
        return NULL;
    }
    struct device *device = config->type == PORT_DPDK ? device_ethdev_open(config, env, err) : device_vhost_open(config, env, err);
    if (!device) {
        return NULL;
    }
    size_t size = sizeof(struct port) + n_threads * sizeof(struct port_thread);
    struct port *p = aligned_alloc(64, ROUND_UP(size, 64));
    if (!p) {
        abort();
    }
    memset(p, 0, size);
    config_port_copy(&p->config, config);
    p->port_no = no;
    p->device = device;
    p->mac = mac_is_zero(device->mac) ? derive_mac(datapath_id, config->name) : device->mac;
    p->created_ns = now_ns;
    return p;
}

void port_publish(struct port_table *t, struct port *p)
{
    atomic_store_explicit(&t->by_number[p->port_no], p, memory_order_release);
    t->n++;
}

void port_unpublish(struct port_table *t, struct port *p)
{
    atomic_store_explicit(&t->by_number[p->port_no], NULL, memory_order_release);
    t->n--;
    p->device->ops->close(p->device);
}

void port_free(void *port)
{
    struct port *p = port;
    queues_free(atomic_load_explicit(&p->queues, memory_order_relaxed));
    p->device->ops->free(p->device);
    config_port_fini(&p->config);
    free(p);
}

unsigned port_speed_mbps(const struct port *p)
{
    const struct config_qos *qos = &p->config.qos;
    unsigned speed = qos->rate_mbps ? qos->rate_mbps : p->device->speed_mbps;
    return speed || !qos->n ? speed : QUEUE_DEFAULT_MBPS;
}

void port_describe(const struct port *p, struct of_port *out)
{
    memset(out, 0, sizeof *out);
    out->port_no = p->port_no;
    out->hw_addr = p->mac;
    str_copy(out->name, sizeof out->name, p->config.name);
    out->config = p->of_config;
    out->state = (p->link_reported ? 0 : OFPPS_LINK_DOWN) | (port_is_live(p) ? OFPPS_LIVE : 0);
    out->curr_speed = out->max_speed = port_speed_mbps(p) * 1000;        /* kbit/s, section 7.2.1. */
}

void port_count(const struct port *p, unsigned n_threads, struct port_counters *out)
{
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < n_threads; i++) {
        const struct port_counters *c = &p->threads[i].counters;
        out->rx_packets += counter_get(&c->rx_packets);
        out->rx_bytes += counter_get(&c->rx_bytes);
        out->rx_dropped += counter_get(&c->rx_dropped);
        out->tx_packets += counter_get(&c->tx_packets);
        out->tx_bytes += counter_get(&c->tx_bytes);
        out->tx_dropped += counter_get(&c->tx_dropped);
    }
}

void port_stats(const struct port *p, unsigned n_threads, uint64_t now_ns, struct of_port_stats *out)
{
    struct port_counters c;
    struct device_counters d;
    port_count(p, n_threads, &c);
    p->device->ops->counters(p->device, &d);
    uint64_t age = now_ns - p->created_ns;
    *out = (struct of_port_stats) {
        .port_no = p->port_no, .rx_packets = c.rx_packets, .tx_packets = c.tx_packets, .rx_bytes = c.rx_bytes, .tx_bytes = c.tx_bytes,
        .rx_dropped = c.rx_dropped + d.rx_missed, .tx_dropped = c.tx_dropped, .rx_errors = d.rx_errors, .tx_errors = d.tx_errors,
        .duration_sec = (uint32_t) (age / 1000000000), .duration_nsec = (uint32_t) (age % 1000000000),
    };
}

void port_queue_stats(const struct port *p, unsigned i, uint64_t now_ns, struct of_queue *out)
{
    const struct queues *qs = atomic_load_explicit(&p->queues, memory_order_relaxed);
    queues_stats(qs, i + qs->implied, now_ns, out);
    out->port_no = p->port_no;
    out->min_rate = p->config.qos.v[i].min_rate;
    out->max_rate = p->config.qos.v[i].max_rate;
}
