/*
 * vhost-user ports on the rte_vhost library: QEMU as the socket's server (we connect and reconnect) or as its client.
 *
 * The library runs two threads of its own: one speaks the vhost-user protocol and calls new_device() and
 * destroy_device(), the other reconnects. `vid` is the hinge between them and the poll-mode threads: new_device()
 * publishes it; destroy_device() takes it back and waits for a grace period, after which the library may unmap the
 * guest's memory. That wait cannot deadlock: poll-mode threads never wait for the vhost thread except on a ring's lock,
 * and the library holds no ring's lock while it calls destroy_device(). In vring_state_changed() it does hold them, so
 * nothing waits there, and while it calls before_message(): vhost_rings.h.
 *
 * No offload is negotiated: a frame from a guest is whole, with its checksums, and a guest gets it that way.
 */
#define LOG_MODULE "vhost"
#include "vswitch/device.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <pthread.h>
#include <rte_errno.h>
#include <rte_vhost.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/hmap.h"
#include "lib/log.h"
#include "lib/util.h"
#include "vswitch/vhost_rings.h"

/* Packed rings are not served (vhost_ring.h); those behind an IOMMU the library does not offer by itself. */
#define OFF(FEATURE) (UINT64_C(1) << VIRTIO_NET_F_##FEATURE)
#define FEATURES_OFF (UINT64_C(1) << VIRTIO_F_RING_PACKED | OFF(CSUM) | OFF(GUEST_CSUM) | OFF(GUEST_TSO4) | OFF(GUEST_TSO6) | OFF(GUEST_ECN) | OFF(GUEST_UFO) \
                      | OFF(HOST_TSO4) | OFF(HOST_TSO6) | OFF(HOST_ECN) | OFF(HOST_UFO))

#define SET_VRING_KICK 12u      /* A message of the vhost-user protocol. */

/*
 * A driver on the socket, connected but perhaps not running.  There may be several: a machine that takes over, or one that has no business here.  The library
 * tells what changes in a ring, not how it is: that is kept for each, from its first message on, and while it does not run because one ring is stopped.
 */
struct connection {
    struct list node;           /* In its device's `connections`, under the registry's lock. */
    int vid;
    uint64_t enabled[VHOST_ENABLED_WORDS];
};

struct vhost_device {
    struct device dev;
    struct list node;           /* In `registry`, under its lock. */
    char *path;
    bool server;
    atomic_int vid;             /* -1: no driver. Written by the vhost thread, read by poll-mode threads. */
    atomic_uint n_pairs;        /* Queue pairs of the connected device; valid while vid >= 0. */
    struct list connections;
    struct vhost_rings rings;
    atomic_int kick[CONFIG_MAX_QUEUES];         /* Our own copies of the guest's kick descriptors, -1: none. */
    struct device_lock tx_lock[CONFIG_MAX_QUEUES];      /* Per queue: poll-mode threads that share it. Held for one burst. */
};

/*
 * The library's callbacks carry nothing but a device number, from which only the socket's path can be had: this list
 * maps paths to devices. The one global of the device layer, and guarded by its own lock, since the library calls from
 * its own threads.
 */
static struct {
    pthread_mutex_t lock;
    struct list devices;
} registry = { PTHREAD_MUTEX_INITIALIZER, { &registry.devices, &registry.devices } };

static struct vhost_device *vhost_of_vid(int vid)       /* registry.lock held. */
{
    char path[PATH_MAX];
    struct vhost_device *d;
    if (rte_vhost_get_ifname(vid, path, sizeof path)) {
        return NULL;
    }
    LIST_FOR_EACH (d, node, &registry.devices) {
        if (!strcmp(d->path, path)) {
            return d;
        }
    }
    return NULL;
}

static struct connection *connection_of_vid(struct vhost_device *d, int vid)    /* registry.lock held. */
{
    struct connection *c;
    LIST_FOR_EACH (c, node, &d->connections) {
        if (c->vid == vid) {
            return c;
        }
    }
    return NULL;
}

/* Closes our copies of the kick descriptors; no poll-mode thread may be reading them. */
static void kicks_close(struct vhost_device *d)
{
    for (unsigned i = 0; i < CONFIG_MAX_QUEUES; i++) {
        int fd = atomic_exchange(&d->kick[i], -1);
        if (fd >= 0) {
            close(fd);
        }
    }
}

/* The library may close its descriptor at any time, and its number may be another file's by then: we sleep on a copy. */
static void kicks_open(struct vhost_device *d, int vid, unsigned n_pairs)
{
    for (unsigned i = 0; i < n_pairs && i < CONFIG_MAX_QUEUES; i++) {
        struct rte_vhost_vring vring;
        if (!rte_vhost_get_vhost_vring(vid, (uint16_t) (2 * i + 1), &vring) && vring.kickfd >= 0) {
            int fd = fcntl(vring.kickfd, F_DUPFD_CLOEXEC, 0);
            if (fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK)) {    /* As QEMU makes them; a poll-mode thread must never block. */
                close(fd);
                fd = -1;
            }
            atomic_store(&d->kick[i], fd);
        }
    }
}

/*
 * The driver of a running device kicks by other descriptors from now on: ours become copies of those, under the same numbers, for a poll-mode thread may be
 * about to sleep on one.  Who sleeps already is woken by the old descriptor.
 */
static void kicks_renew(struct vhost_device *d, int vid)
{
    for (unsigned i = 0; i < CONFIG_MAX_QUEUES; i++) {
        struct rte_vhost_vring vring;
        int copy = atomic_load(&d->kick[i]);
        if (copy < 0 || rte_vhost_get_vhost_vring(vid, (uint16_t) (2 * i + 1), &vring) || vring.kickfd < 0 || fcntl(vring.kickfd, F_SETFL, O_NONBLOCK)) {
            continue;
        }
        int old = fcntl(copy, F_DUPFD_CLOEXEC, 0);
        uint64_t one = 1;
        if (dup3(vring.kickfd, copy, O_CLOEXEC) < 0 || old < 0 || write(old, &one, sizeof one) < 0) {
            LOG(LOG_WARN, "%s: queue %u may notice late what its guest sends: %s", d->path, i, strerror(errno));
        }
        if (old >= 0) {
            close(old);
        }
    }
}

/* The device that a message is for, if it runs. */
static struct vhost_device *running(int vid)
{
    pthread_mutex_lock(&registry.lock);
    struct vhost_device *d = vhost_of_vid(vid);
    pthread_mutex_unlock(&registry.lock);
    return d && atomic_load(&d->vid) == vid ? d : NULL;         /* It is freed after rte_vhost_driver_unregister(), which outwaits callbacks. */
}

static enum rte_vhost_msg_result before_message(int vid, void *msg)
{
    struct vhost_device *d = running(vid);
    if (d) {
        vhost_rings_before_message(&d->rings, msg);
    }
    return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

static enum rte_vhost_msg_result after_message(int vid, void *msg)
{
    struct vhost_device *d = running(vid);
    if (d) {
        vhost_rings_after_message(&d->rings, vid, msg);
        uint32_t request;
        memcpy(&request, msg, sizeof request);
        if (request == SET_VRING_KICK) {
            kicks_renew(d, vid);
        }
    }
    return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

static const struct rte_vhost_user_extern_ops message_ops = { .pre_msg_handle = before_message, .post_msg_handle = after_message };

static int vhost_new_connection(int vid)
{
    pthread_mutex_lock(&registry.lock);
    struct vhost_device *d = vhost_of_vid(vid);
    if (d) {
        struct connection *c = XNEW(struct connection);
        c->vid = vid;
        list_push_back(&d->connections, &c->node);
    }
    pthread_mutex_unlock(&registry.lock);
    return d ? 0 : -1;          /* Being closed. */
}

static void connection_free(struct connection *c)
{
    list_remove(&c->node);
    free(c);
}

static void vhost_destroy_connection(int vid)
{
    pthread_mutex_lock(&registry.lock);
    struct vhost_device *d = vhost_of_vid(vid);
    struct connection *c = d ? connection_of_vid(d, vid) : NULL;
    if (c) {
        connection_free(c);
    }
    pthread_mutex_unlock(&registry.lock);
}

static int vhost_new_device(int vid)
{
    pthread_mutex_lock(&registry.lock);
    struct vhost_device *d = vhost_of_vid(vid);
    struct connection *c = d ? connection_of_vid(d, vid) : NULL;
    if (!c || atomic_load(&d->vid) >= 0) {
        pthread_mutex_unlock(&registry.lock);
        return -1;              /* Being closed, or a second VM on one socket. */
    }
    unsigned n_pairs = rte_vhost_get_vring_num(vid) / 2;
    for (unsigned i = 0; i < 2 * n_pairs; i++) {
        rte_vhost_enable_guest_notification(vid, (uint16_t) i, 0);
    }
    kicks_open(d, vid, n_pairs);
    if (!rte_vhost_extern_callback_register(vid, &message_ops, NULL)) {
        vhost_rings_start(&d->rings, vid, c->enabled);
    }
    atomic_store(&d->n_pairs, n_pairs);
    atomic_store_explicit(&d->vid, vid, memory_order_release);
    atomic_store(&d->dev.link_up, true);
    d->dev.env->link_changed(d->dev.env->aux);
    pthread_mutex_unlock(&registry.lock);
    return 0;
}

static void vhost_destroy_device(int vid)
{
    pthread_mutex_lock(&registry.lock);
    struct vhost_device *d = vhost_of_vid(vid);
    pthread_mutex_unlock(&registry.lock);
    /* Not under the lock: a vring_state_changed() of another device would wait for it with ring locks held, and a poll-mode thread for
     * those. `d` stays: it is freed after rte_vhost_driver_unregister(), which outwaits this callback. */
    if (d && atomic_load(&d->vid) == vid) {
        atomic_store(&d->dev.link_up, false);
        atomic_store(&d->vid, -1);
        vhost_rings_stop(&d->rings);
        rcu_synchronize(d->dev.env->rcu);
        kicks_close(d);
        d->dev.env->link_changed(d->dev.env->aux);
    }
}

static int vhost_vring_state_changed(int vid, uint16_t vring, int enable)
{
    pthread_mutex_lock(&registry.lock);
    struct vhost_device *d = vhost_of_vid(vid);
    struct connection *c = d ? connection_of_vid(d, vid) : NULL;
    if (c && vring < VHOST_RINGS) {
        uint64_t bit = UINT64_C(1) << vring % 64;
        c->enabled[vring / 64] = enable ? c->enabled[vring / 64] | bit : c->enabled[vring / 64] & ~bit;
        if (atomic_load(&d->vid) == vid) {
            vhost_rings_enable(&d->rings, vring, enable);
        }
    }
    pthread_mutex_unlock(&registry.lock);
    return 0;
}

static const struct rte_vhost_device_ops vhost_callbacks = {
    .new_connection = vhost_new_connection,
    .destroy_connection = vhost_destroy_connection,
    .new_device = vhost_new_device,
    .destroy_device = vhost_destroy_device,
    .vring_state_changed = vhost_vring_state_changed,
};

/* Queue q of the port stands for the guest's pairs q, q + n_rxq, q + 2 n_rxq …: a guest with more pairs than configured is
 * served all the same. */
static uint16_t vhost_rx(struct device *dev, unsigned queue, struct rte_mbuf **mbufs, uint16_t n)
{
    struct vhost_device *d = CONTAINER_OF(dev, struct vhost_device, dev);
    int vid = atomic_load_explicit(&d->vid, memory_order_acquire);
    if (vid < 0) {
        return 0;
    }
    unsigned n_pairs = atomic_load_explicit(&d->n_pairs, memory_order_relaxed);
    uint16_t got = 0;
    for (unsigned q = queue; q < n_pairs && got < n; q += dev->n_rxq) {
        got += vhost_rings_receive(&d->rings, vid, 2 * q + 1, dev->env->pools->small, mbufs + got, n - got);
    }
    return got;
}

static uint16_t vhost_tx(struct device *dev, unsigned thread, struct rte_mbuf **mbufs, uint16_t n)
{
    struct vhost_device *d = CONTAINER_OF(dev, struct vhost_device, dev);
    int vid = atomic_load_explicit(&d->vid, memory_order_acquire);
    unsigned n_pairs = atomic_load_explicit(&d->n_pairs, memory_order_relaxed);
    if (vid < 0 || !n_pairs) {
        return 0;
    }
    unsigned q = thread % RTE_MIN(n_pairs, (unsigned) CONFIG_MAX_QUEUES);
    if (!vhost_rings_enabled(&d->rings, 2 * q)) {
        q = 0;
    }
    rte_spinlock_lock(&d->tx_lock[q].lock);
    uint16_t sent = vhost_rings_send(&d->rings, vid, 2 * q, mbufs, n);
    rte_spinlock_unlock(&d->tx_lock[q].lock);
    if (sent) {
        mbuf_free_burst(mbufs, sent);           /* Copied to the guest. */
    }
    return sent;
}

static int vhost_sleep(struct device *dev, unsigned queue)
{
    struct vhost_device *d = CONTAINER_OF(dev, struct vhost_device, dev);
    int vid = atomic_load_explicit(&d->vid, memory_order_acquire);
    unsigned n_pairs = atomic_load_explicit(&d->n_pairs, memory_order_relaxed);
    int fd = atomic_load_explicit(&d->kick[queue], memory_order_relaxed);
    if (vid < 0 || queue >= n_pairs) {
        return DEVICE_SLEEP_NONE;
    }
    if (fd < 0 || n_pairs > dev->n_rxq || rte_vhost_enable_guest_notification(vid, (uint16_t) (2 * queue + 1), 1)) {
        return DEVICE_SLEEP_POLL;
    }
    return fd;
}

static void vhost_wake(struct device *dev, unsigned queue)
{
    struct vhost_device *d = CONTAINER_OF(dev, struct vhost_device, dev);
    int vid = atomic_load_explicit(&d->vid, memory_order_acquire);
    int fd = atomic_load_explicit(&d->kick[queue], memory_order_relaxed);
    if (vid < 0 || fd < 0) {
        return;
    }
    rte_vhost_enable_guest_notification(vid, (uint16_t) (2 * queue + 1), 0);
    uint64_t kicks;
    while (read(fd, &kicks, sizeof kicks) < 0 && errno == EINTR) {
        continue;               /* EAGAIN: another queue or the time-out woke us. */
    }
}

static void vhost_counters(struct device *dev, struct device_counters *out)
{
    (void) dev;
    *out = (struct device_counters) { .rx_missed = 0 };         /* A guest's own ring holds what was not taken yet. */
}

static void vhost_close(struct device *dev)
{
    struct vhost_device *d = CONTAINER_OF(dev, struct vhost_device, dev);
    if (rte_vhost_driver_unregister(d->path)) {
        LOG(LOG_WARN, "%s: the vhost library does not know this socket any more", d->path);
    }
    pthread_mutex_lock(&registry.lock);
    list_remove(&d->node);
    pthread_mutex_unlock(&registry.lock);
}

static void vhost_free(struct device *dev)
{
    struct vhost_device *d = CONTAINER_OF(dev, struct vhost_device, dev);
    kicks_close(d);
    struct connection *c;
    LIST_FOR_EACH (c, node, &d->connections) {
        connection_free(c);     /* The library does not tell of the end of those that it ends itself. */
    }
    free(d->path);
    free(d);
}

static const struct device_ops vhost_ops = {
    .rx = vhost_rx, .tx = vhost_tx, .sleep = vhost_sleep, .wake = vhost_wake,
    .counters = vhost_counters, .close = vhost_close, .free = vhost_free,
};

/* Somebody answers there, or may: only a refused connection says that nobody does. */
static bool is_served(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    str_copy(addr.sun_path, sizeof addr.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool refused = fd >= 0 && connect(fd, (struct sockaddr *) &addr, sizeof addr) && errno == ECONNREFUSED;
    if (fd >= 0) {
        close(fd);
    }
    return !refused;
}

/* A socket file that a killed vswitchd left behind would make bind() fail; anything that is not a socket, or is in use, is not ours to remove. */
static bool remove_stale_socket(const char *path, struct err *err)
{
    struct stat st;
    if (lstat(path, &st)) {
        return errno == ENOENT || err_set(err, ERR_FAILED, "path", "%s: %s", path, strerror(errno));
    }
    if (!S_ISSOCK(st.st_mode)) {
        return err_set(err, ERR_CONFLICT, "path", "%s exists and is not a socket", path);
    }
    if (is_served(path)) {
        return err_set(err, ERR_CONFLICT, "path", "another port or process listens on %s", path);
    }
    return !unlink(path) || err_set(err, ERR_FAILED, "path", "cannot remove the old socket %s: %s", path, strerror(errno));
}

static bool vhost_register(struct vhost_device *d, struct err *err)
{
    if (d->server && !remove_stale_socket(d->path, err)) {
        return false;
    }
    uint64_t flags = RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS | (d->server ? 0 : RTE_VHOST_USER_CLIENT);
    if (rte_vhost_driver_register(d->path, flags)) {
        return err_set(err, ERR_FAILED, "path", "%s: the vhost library refused the socket (is it another port's?)", d->path);
    }
    pthread_mutex_lock(&registry.lock);
    list_push_back(&registry.devices, &d->node);
    pthread_mutex_unlock(&registry.lock);
    if (rte_vhost_driver_disable_features(d->path, FEATURES_OFF) || rte_vhost_driver_callback_register(d->path, &vhost_callbacks)
        || rte_vhost_driver_start(d->path)) {
        vhost_close(&d->dev);
        err_set(err, ERR_FAILED, "path", "%s: cannot start the vhost-user socket", d->path);
        return err_hint(err, "the directory must exist and vswitchd must be allowed to write there");
    }
    return true;
}

struct device *device_vhost_open(const struct config_port *config, const struct device_env *env, struct err *err)
{
    struct vhost_device *d = XNEW(struct vhost_device);
    d->dev = (struct device) { .ops = &vhost_ops, .env = env, .n_rxq = config->queues, .mtu = config->mtu };
    d->path = xstrdup(config->path);
    d->server = config->server;
    atomic_store(&d->vid, -1);
    list_init(&d->node);
    list_init(&d->connections);
    vhost_rings_init(&d->rings);
    for (unsigned i = 0; i < CONFIG_MAX_QUEUES; i++) {
        atomic_store(&d->kick[i], -1);
        rte_spinlock_init(&d->tx_lock[i].lock);
    }
    if (!vhost_register(d, err)) {
        vhost_free(&d->dev);
        return NULL;
    }
    return &d->dev;
}
