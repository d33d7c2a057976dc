/*
 * DPDK ethdev ports: any poll-mode driver by its devargs (net_af_packet, net_af_xdp, net_tap, net_pcap, net_null, PCI
 * NICs), attached and detached at run time. One receive queue; one transmit queue per poll-mode thread where the driver
 * has that many, else shared under a lock.
 *
 * Link: drivers over a kernel interface (iface=NAME in the devargs) report "up" forever, so for these the kernel's own
 * running flag is asked; the others are asked through DPDK.
 */
#define LOG_MODULE "ethdev"
#include "vswitch/device.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_errno.h>
#define ip netinet_ip           /* rte_ip.h takes in <netinet/ip.h>, whose struct ip is not lib/addr.h's. */
#include <rte_ethdev.h>
#undef ip
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/util.h"

#define N_RX_DESC 1024
#define N_TX_DESC 1024

struct ethdev {
    struct device dev;
    uint16_t id;                /* DPDK's port id. */
    unsigned n_txq;
    char iface[IFNAMSIZ];       /* Kernel interface underneath, or empty. */
    int control_fd;             /* For kernel_link_up(); -1 without iface. */
    bool started;
    struct device_lock tx_lock[CONFIG_MAX_POLL];
};

static uint16_t ethdev_rx(struct device *dev, unsigned queue, struct rte_mbuf **mbufs, uint16_t n)
{
    struct ethdev *d = CONTAINER_OF(dev, struct ethdev, dev);
    return rte_eth_rx_burst(d->id, (uint16_t) queue, mbufs, n);
}

static uint16_t ethdev_tx(struct device *dev, unsigned thread, struct rte_mbuf **mbufs, uint16_t n)
{
    struct ethdev *d = CONTAINER_OF(dev, struct ethdev, dev);
    unsigned q = thread % d->n_txq;
    rte_spinlock_lock(&d->tx_lock[q].lock);
    uint16_t sent = rte_eth_tx_burst(d->id, (uint16_t) q, mbufs, n);
    rte_spinlock_unlock(&d->tx_lock[q].lock);
    return sent;
}

static int ethdev_sleep(struct device *dev, unsigned queue)
{
    (void) dev;
    (void) queue;
    return DEVICE_SLEEP_POLL;
}

static void ethdev_wake(struct device *dev, unsigned queue)
{
    (void) dev;
    (void) queue;
}

static void ethdev_counters(struct device *dev, struct device_counters *out)
{
    struct ethdev *d = CONTAINER_OF(dev, struct ethdev, dev);
    struct rte_eth_stats s;
    *out = (struct device_counters) { .rx_missed = 0 };
    if (!rte_eth_stats_get(d->id, &s)) {
        *out = (struct device_counters) { .rx_missed = s.imissed + s.rx_nombuf, .rx_errors = s.ierrors, .tx_errors = s.oerrors };
    }
}

/* IFF_RUNNING follows the carrier up to a second late (the kernel's linkwatch); what ethtool says does not. A driver without the latter (EOPNOTSUPP) has no carrier. */
static bool kernel_link_up(const struct ethdev *d)
{
    struct ethtool_value link = { .cmd = ETHTOOL_GLINK };
    struct ifreq req = { .ifr_flags = 0 };
    str_copy(req.ifr_name, sizeof req.ifr_name, d->iface);
    if (ioctl(d->control_fd, SIOCGIFFLAGS, &req) || !(req.ifr_flags & IFF_UP) || !(req.ifr_flags & IFF_RUNNING)) {
        return false;
    }
    req.ifr_data = (char *) &link;
    return ioctl(d->control_fd, SIOCETHTOOL, &req) || link.data;
}

static void ethdev_check_link(struct device *dev)
{
    struct ethdev *d = CONTAINER_OF(dev, struct ethdev, dev);
    struct rte_eth_link link;
    bool up = !rte_eth_link_get_nowait(d->id, &link) && link.link_status == RTE_ETH_LINK_UP;
    if (up && d->control_fd >= 0) {
        up = kernel_link_up(d);
    }
    dev->speed_mbps = link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN ? link.link_speed : 0;
    if (atomic_exchange(&dev->link_up, up) != up) {
        dev->env->link_changed(dev->env->aux);
    }
}

static void ethdev_close(struct device *dev)
{
    (void) dev;                 /* Nothing of its own runs; the queues rest once no poll-mode thread has them. */
}

static void ethdev_free(struct device *dev)
{
    struct ethdev *d = CONTAINER_OF(dev, struct ethdev, dev);
    struct rte_eth_dev_info info = { .device = NULL };
    int rc = rte_eth_dev_info_get(d->id, &info);
    if (d->started && rte_eth_dev_stop(d->id)) {
        LOG(LOG_WARN, "device %u does not stop", d->id);
    }
    rte_eth_dev_close(d->id);
    if (!rc && info.device && (rc = rte_dev_remove(info.device)) != 0) {
        LOG(LOG_WARN, "device %u cannot be detached: %s", d->id, strerror(-rc));
    }
    if (d->control_fd >= 0) {
        close(d->control_fd);
    }
    free(d);
}

static const struct device_ops ethdev_ops = {
    .rx = ethdev_rx, .tx = ethdev_tx, .sleep = ethdev_sleep, .wake = ethdev_wake, .counters = ethdev_counters,
    .check_link = ethdev_check_link, .close = ethdev_close, .free = ethdev_free,
};

static bool fail(struct err *err, const struct config_port *c, const char *what, int rc)
{
    return err_set(err, ERR_FAILED, "devargs", "\"%s\": %s: %s", c->devargs, what, rte_strerror(rc < 0 ? -rc : rc));
}

/* Attaches the device and finds its DPDK port id. */
static bool attach(const struct config_port *c, uint16_t *id, struct err *err)
{
    char name[64];
    struct rte_dev_iterator it;
    size_t n = strcspn(c->devargs, ",");
    str_copy(name, RTE_MIN(sizeof name, n + 1), c->devargs);
    if (!rte_eth_dev_get_port_by_name(name, id)) {
        return err_set(err, ERR_CONFLICT, "devargs", "\"%s\": the device %s is in use already", c->devargs, name);
    }
    int rc = rte_dev_probe(c->devargs);
    if (rc < 0) {
        fail(err, c, "no such device or its driver refused it", rc);
        return err_hint(err, "a driver's kernel interface must exist and be up (ip link), and a PCI device must be bound to vfio-pci");
    }
    if (!rte_eth_dev_get_port_by_name(name, id)) {
        return true;
    }
    RTE_ETH_FOREACH_MATCHING_DEV (*id, c->devargs, &it) {       /* PCI addresses have several spellings. */
        rte_eth_iterator_cleanup(&it);
        return true;
    }
    return err_set(err, ERR_FAILED, "devargs", "\"%s\": the device has no Ethernet port", c->devargs);
}

static bool start(struct ethdev *d, const struct config_port *c, struct err *err)
{
    struct rte_eth_dev_info info;
    struct rte_eth_conf conf = { .rxmode = { .mtu = 0 } };
    int rc = rte_eth_dev_info_get(d->id, &info);
    if (rc) {
        return fail(err, c, "cannot be asked for its abilities", rc);
    }
    d->n_txq = MIN(d->dev.env->n_threads, info.max_tx_queues);
    d->n_txq = MAX(d->n_txq, 1);
    rc = rte_eth_dev_configure(d->id, 1, (uint16_t) d->n_txq, &conf);
    uint16_t n_rx = N_RX_DESC, n_tx = N_TX_DESC;
    if (rc || (rc = rte_eth_dev_adjust_nb_rx_tx_desc(d->id, &n_rx, &n_tx)) != 0) {
        return fail(err, c, "cannot be configured", rc);
    }
    rc = rte_eth_rx_queue_setup(d->id, 0, n_rx, (unsigned) rte_eth_dev_socket_id(d->id), NULL, d->dev.env->pools->small);
    for (uint16_t q = 0; !rc && q < d->n_txq; q++) {
        rc = rte_eth_tx_queue_setup(d->id, q, n_tx, (unsigned) rte_eth_dev_socket_id(d->id), NULL);
    }
    if (rc) {
        return fail(err, c, "cannot set up its queues", rc);
    }
    uint16_t mtu = 0;
    if ((rte_eth_dev_get_mtu(d->id, &mtu) || mtu != c->mtu) && (rc = rte_eth_dev_set_mtu(d->id, (uint16_t) c->mtu)) != 0 && rc != -ENOTSUP) {
        return err_set(err, ERR_FAILED, "mtu", "\"%s\": the device refuses an MTU of %u: %s", c->devargs, c->mtu, rte_strerror(-rc));
    }
    if ((rc = rte_eth_dev_start(d->id)) != 0) {
        return fail(err, c, "cannot be started", rc);
    }
    d->started = true;
    if ((rc = rte_eth_promiscuous_enable(d->id)) != 0 && rc != -ENOTSUP) {
        return fail(err, c, "cannot be made promiscuous", rc);
    }
    struct rte_ether_addr mac;
    if (!rte_eth_macaddr_get(d->id, &mac)) {
        memcpy(d->dev.mac.b, mac.addr_bytes, sizeof d->dev.mac.b);
    }
    return true;
}

struct device *device_ethdev_open(const struct config_port *config, const struct device_env *env, struct err *err)
{
    uint16_t id;
    if (!attach(config, &id, err)) {
        return NULL;
    }
    struct ethdev *d = XNEW(struct ethdev);
    d->dev = (struct device) { .ops = &ethdev_ops, .env = env, .n_rxq = 1, .mtu = config->mtu };
    d->id = id;
    d->control_fd = -1;
    for (unsigned i = 0; i < CONFIG_MAX_POLL; i++) {
        rte_spinlock_init(&d->tx_lock[i].lock);
    }
    const char *iface = strstr(config->devargs, ",iface=");
    if (iface) {
        iface += strlen(",iface=");
        str_copy(d->iface, RTE_MIN(sizeof d->iface, strcspn(iface, ",") + 1), iface);
        d->control_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    }
    if (!start(d, config, err)) {
        ethdev_free(&d->dev);
        return NULL;
    }
    ethdev_check_link(&d->dev);
    return &d->dev;
}
