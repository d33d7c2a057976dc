/*
 * vhost_twin FILE_PREFIX SOCKET…: what rte_vhost itself makes of guests' rings.  Sockets are taken in pairs; what one guest of a pair sends the other one receives,
 * by the library's own bursts.  vswitchd's twin in tests/system/test_vhost.py.
 *
 * As far as rings of honest guests show, it does as vswitchd does: bursts as long, no offloads, no packed rings, no frame that is shorter than an Ethernet header.
 * Nothing here protects it from other guests, which is why vswitchd is different.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <rte_eal.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_vhost.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vswitch/device_mbuf.h"

#define MAX_PORTS 8
#define BURST 32
#define OFF(FEATURE) (UINT64_C(1) << VIRTIO_NET_F_##FEATURE)
#define FEATURES_OFF (UINT64_C(1) << VIRTIO_F_RING_PACKED | OFF(CSUM) | OFF(GUEST_CSUM) | OFF(GUEST_TSO4) | OFF(GUEST_TSO6) | OFF(GUEST_ECN) | OFF(GUEST_UFO) \
                      | OFF(HOST_TSO4) | OFF(HOST_TSO6) | OFF(HOST_ECN) | OFF(HOST_UFO))

/* The library's callbacks carry nothing but a device number, from which only the socket's path can be had. */
static struct { const char *path[MAX_PORTS]; atomic_int vid[MAX_PORTS]; unsigned n; atomic_uint passes; } twin;

static unsigned port_of(int vid)
{
    char path[PATH_MAX];
    unsigned i;
    for (i = 0; i < twin.n && (rte_vhost_get_ifname(vid, path, sizeof path) || strcmp(path, twin.path[i])); i++) {
    }
    return i;
}

static int new_device(int vid)
{
    unsigned port = port_of(vid);
    for (unsigned i = 0; i < 2; i++) {
        rte_vhost_enable_guest_notification(vid, (uint16_t) i, 0);
    }
    atomic_store(&twin.vid[port], vid);
    return 0;
}

static void destroy_device(int vid)
{
    atomic_store(&twin.vid[port_of(vid)], -1);
    for (unsigned begun = atomic_load(&twin.passes); atomic_load(&twin.passes) - begun < 2; ) {
        sched_yield();
    }
}

static const struct rte_vhost_device_ops callbacks = { .new_device = new_device, .destroy_device = destroy_device };

/* One burst from port i to its peer; returns how many frames came. */
static unsigned forward(unsigned i, struct rte_mempool *pool)
{
    struct rte_mbuf *mbufs[BURST];
    int from = atomic_load(&twin.vid[i]), to = atomic_load(&twin.vid[i ^ 1]);
    uint16_t n = from < 0 ? 0 : rte_vhost_dequeue_burst(from, 1, pool, mbufs, BURST), k = 0;
    for (unsigned m = 0; m < n; m++) {
        if (mbufs[m]->pkt_len < RTE_ETHER_HDR_LEN) {
            rte_pktmbuf_free(mbufs[m]);
        } else {
            mbufs[k++] = mbufs[m];
        }
    }
    if (k && to >= 0) {
        rte_vhost_enqueue_burst(to, 0, mbufs, k);
    }
    rte_pktmbuf_free_bulk(mbufs, k);
    return n;
}

static void check(int status, const char *what)
{
    if (status < 0) {
        fprintf(stderr, "vhost_twin: %s failed\n", what);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc % 2 || argc - 2 > MAX_PORTS) {
        fputs("usage: vhost_twin FILE_PREFIX SOCKET...\n", stderr);
        return 2;
    }
    char prefix[256], lcores[64];
    cpu_set_t allowed;
    int cpu = 0;
    check(sched_getaffinity(0, sizeof allowed, &allowed), "sched_getaffinity()");
    while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &allowed)) {
        cpu++;
    }
    snprintf(prefix, sizeof prefix, "--file-prefix=%s", argv[1]);
    snprintf(lcores, sizeof lcores, "--lcores=0@%d", cpu);
    char *eal[] = { argv[0], "--no-huge", "--no-shconf", "--no-telemetry", "--no-pci", "--iova-mode=va", "-m", "128", lcores, prefix, NULL };
    check(rte_eal_init((int) (sizeof eal / sizeof *eal) - 1, eal), "rte_eal_init()");
    struct rte_mempool *pool = rte_pktmbuf_pool_create("mbufs", 8192, 0, 0, RTE_PKTMBUF_HEADROOM + MBUF_ROOM, SOCKET_ID_ANY);
    check(pool ? 0 : -1, "rte_pktmbuf_pool_create()");
    twin.n = (unsigned) argc - 2;
    for (unsigned i = 0; i < twin.n; i++) {
        twin.path[i] = argv[i + 2];
        atomic_store(&twin.vid[i], -1);
        check(rte_vhost_driver_register(twin.path[i], RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS), "rte_vhost_driver_register()");
        check(rte_vhost_driver_disable_features(twin.path[i], FEATURES_OFF), "rte_vhost_driver_disable_features()");
        check(rte_vhost_driver_callback_register(twin.path[i], &callbacks), "rte_vhost_driver_callback_register()");
        check(rte_vhost_driver_start(twin.path[i]), "rte_vhost_driver_start()");
    }
    for (;;) {                  /* Until a signal. */
        unsigned n = 0;
        for (unsigned i = 0; i < twin.n; i++) {
            n += forward(i, pool);
        }
        atomic_fetch_add(&twin.passes, 1);
        if (!n) {
            usleep(10);
        }
    }
}
