#define LOG_MODULE "vswitch"
#include "vswitch/vswitch.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/stream.h"
#include "lib/util.h"
#include "vswitch/capture.h"
#include "vswitch/control.h"
#include "vswitch/device_link.h"
#include "vswitch/queue.h"

#define TICK_MS 100               /* Nothing may count ticks: what dp_tick() decides goes by time. */
#define LINK_CHECK_MS 20          /* The kernel may tell of a cut cable a second late, or never. */

/* --- Ports --- */

void vswitch_port_changed(struct vswitch *vs, struct port *p, bool announce)
{
    dp_port_set(vs->dp, p->port_no, p->of_config, port_is_live(p));
    if (announce && vs->agent) {
        struct of_port desc;
        port_describe(p, &desc);
        of_agent_port_status(vs->agent, OFPPR_MODIFY, &desc);
    }
}

static void replace_queues(struct vswitch *vs, struct port *p, const struct config_qos *qos)
{
    p->config.qos = *qos;
    struct queues *q = queues_new(qos, port_speed_mbps(p), clock_now_ns(&vs->clock));
    struct queues *old = atomic_exchange_explicit(&p->queues, q, memory_order_acq_rel);
    atomic_fetch_add(&vs->poll.n_queued, (q ? 1u : 0u) - (old ? 1u : 0u));
    if (!old) {
        return;
    }
    rcu_synchronize(&vs->rcu);
    for (struct rte_mbuf *m; (m = queues_drain(old)); ) {
        if (!poll_send(&vs->poll, p, m)) {
            dp_thread_drop(dp_thread(vs->dp, 0), mbuf_priv(m)->packet.in_port, DROP_QUEUE_FULL);
            rte_pktmbuf_free(m);
        }
    }
    queues_free(old);
}

void vswitch_port_set_qos(struct vswitch *vs, struct port *p, const struct config_qos *qos)
{
    replace_queues(vs, p, qos);
    vswitch_port_changed(vs, p, true);          /* Its speed may be another one. */
}

struct port *vswitch_port_add(struct vswitch *vs, const struct config_port *config, struct err *err)
{
    struct port *p = port_open(&vs->ports, config, &vs->env, vswitch_n_threads(vs), vs->config.datapath_id, clock_now_ns(&vs->clock), err);
    if (!p) {
        return NULL;
    }
    p->link_reported = device_link_up(p->device);
    port_publish(&vs->ports, p);
    vswitch_port_changed(vs, p, false);
    poll_add_port(&vs->poll, p);
    replace_queues(vs, p, &config->qos);
    if (vs->agent) {
        struct of_port desc;
        port_describe(p, &desc);
        of_agent_port_status(vs->agent, OFPPR_ADD, &desc);
    }
    LOG(LOG_INFO, "port %s added as %u (%s)", p->config.name, p->port_no, config->type == PORT_DPDK ? config->devargs : config->path);
    return p;
}

/* Make it dead (no thread finds it), let a grace period pass, free it. */
void vswitch_port_del(struct vswitch *vs, struct port *p)
{
    struct of_port desc;
    port_describe(p, &desc);
    capture_port_removed(vs, p->port_no);
    poll_remove_port(&vs->poll, p);
    dp_port_remove(vs->dp, p->port_no);
    atomic_fetch_sub(&vs->poll.n_queued, atomic_load(&p->queues) ? 1 : 0);
    port_unpublish(&vs->ports, p);
    rcu_synchronize(&vs->rcu);
    dp_drops_clear(vs->dp, p->port_no);
    if (vs->agent) {
        of_agent_port_status(vs->agent, OFPPR_DELETE, &desc);
    }
    LOG(LOG_INFO, "port %s (%u) removed", p->config.name, p->port_no);
    port_free(p);
}

struct port *vswitch_port_lookup(struct vswitch *vs, const char *text, const char *field, struct err *err)
{
    uint64_t no;
    struct port *p = port_find(&vs->ports, text);
    if (!p && str_to_u64(text, DP_MAX_PORTS - 1, &no)) {
        p = port_get(&vs->ports, (uint32_t) no);
    }
    if (!p) {
        err_set(err, ERR_NOT_FOUND, field, "there is no port \"%s\"", text);
        err_hint(err, "`vswctl ports` lists them");
    }
    return p;
}

static void link_changed(void *vs_)             /* Any thread. */
{
    struct vswitch *vs = vs_;
    uint64_t one = 1;
    if (write(vs->link_fd, &one, sizeof one) < 0 && errno != EAGAIN) {
        LOG_RATE(LOG_WARN, 10, "cannot signal a link change: %s", strerror(errno));
    }
}

static void on_link(evutil_socket_t fd, short what, void *vs_)
{
    struct vswitch *vs = vs_;
    struct port *p;
    uint64_t count;
    (void) what;
    if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN) {
        LOG_RATE(LOG_WARN, 10, "cannot read the link eventfd: %s", strerror(errno));
    }
    PORT_FOR_EACH (p, &vs->ports) {
        bool up = device_link_up(p->device);
        if (up != p->link_reported) {
            p->link_reported = up;
            p->link_changes++;
            LOG(LOG_INFO, "port %s (%u) link %s", p->config.name, p->port_no, up ? "up" : "down");
            vswitch_port_changed(vs, p, true);
        }
    }
}

/* --- Timers and signals --- */

static void on_tick(evutil_socket_t fd, short what, void *vs_)
{
    struct vswitch *vs = vs_;
    struct port *p;
    unsigned ms = TICK_MS;
    (void) fd;
    (void) what;
    dp_tick(vs->dp);
    PORT_FOR_EACH (p, &vs->ports) {
        if (p->device->ops->check_link) {
            p->device->ops->check_link(p->device);
            ms = LINK_CHECK_MS;
        }
    }
    event_add(vs->tick_event, &(struct timeval) { .tv_usec = ms * 1000 });
}

static void on_link_news(evutil_socket_t fd, short what, void *vs)
{
    if (link_watch_take(fd)) {
        on_tick(fd, what, vs);
    }
}

/* Timeouts are whole seconds, at least one: looking when the next is due, or in a second, misses none. */
static void on_expire(evutil_socket_t fd, short what, void *vs_)
{
    struct vswitch *vs = vs_;
    (void) fd;
    (void) what;
    uint64_t ns = flow_tables_expire(dp_flows(vs->dp));
    uint64_t us = MIN(MAX(ns / 1000, 1000), 1000000);
    event_add(vs->expire_event, &(struct timeval) { .tv_sec = (time_t) (us / 1000000), .tv_usec = (suseconds_t) (us % 1000000) });
}

static void on_standalone(evutil_socket_t fd, short what, void *vs_)
{
    struct vswitch *vs = vs_;
    (void) fd;
    (void) what;
    if (!vs->n_controllers_up && !vs->standalone) {
        LOG(LOG_WARN, "no controller for %d s: bridging by itself (fail_mode standalone)", VSWITCH_STANDALONE_AFTER_S);
        vs->standalone = true;
        dp_set_standalone(vs->dp, true);
    }
}

static void on_signal(evutil_socket_t sig, short what, void *vs_)
{
    (void) what;
    LOG(LOG_INFO, "%s: stopping", strsignal((int) sig));
    vswitch_stop(vs_);
}

/* --- Life --- */

/* The directory and its parents. The descriptor that it gives holds the directory's lock, so that no two vswitchds share one. */
static bool make_run_dir(const char *dir, int *lock_fd, struct err *err)
{
    char *path = xstrdup(dir);
    for (char *p = path + 1; *p; p++) {
        if (*p == '/') {
            *p = '\0';
            if (mkdir(path, 0755) && errno != EEXIST) {
                err_set(err, ERR_FAILED, "run_dir", "cannot make %s: %s", path, strerror(errno));
                free(path);
                return false;
            }
            *p = '/';
        }
    }
    free(path);
    if (mkdir(dir, 0750) && errno != EEXIST) {
        return err_set(err, ERR_FAILED, "run_dir", "cannot make %s: %s", dir, strerror(errno));
    }
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return err_set(err, ERR_FAILED, "run_dir", "cannot open %s: %s", dir, strerror(errno));
    }
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        close(fd);
        return err_set(err, ERR_CONFLICT, "run_dir", "%s is in use by another vswitchd", dir);
    }
    *lock_fd = fd;
    return true;
}

static bool init_loop(struct vswitch *vs, struct err *err)
{
    struct event_config *ec = event_config_new();
    event_config_set_flag(ec, EVENT_BASE_FLAG_PRECISE_TIMER);
    vs->base = event_base_new_with_config(ec);
    event_config_free(ec);
    vs->link_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!vs->base || vs->link_fd < 0) {
        return err_set(err, ERR_FAILED, NULL, "cannot make the event loop: %s", strerror(errno));
    }
    static const int signals[] = { SIGTERM, SIGINT };
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++) {
        vs->signal_events[i] = evsignal_new(vs->base, signals[i], on_signal, vs);
        event_add(vs->signal_events[i], NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    vs->link_event = event_new(vs->base, vs->link_fd, EV_READ | EV_PERSIST, on_link, vs);
    event_add(vs->link_event, NULL);
    vs->tick_event = event_new(vs->base, -1, 0, on_tick, vs);
    event_add(vs->tick_event, &(struct timeval) { .tv_usec = TICK_MS * 1000 });
    vs->news_fd = link_watch_open();
    if (vs->news_fd >= 0) {
        vs->news_event = event_new(vs->base, vs->news_fd, EV_READ | EV_PERSIST, on_link_news, vs);
        event_add(vs->news_event, NULL);
    } else {
        LOG(LOG_WARN, "the kernel does not tell about links (%s): looking every %d ms", strerror(-vs->news_fd), LINK_CHECK_MS);
    }
    vs->expire_event = event_new(vs->base, -1, 0, on_expire, vs);
    vs->standalone_event = event_new(vs->base, -1, 0, on_standalone, vs);
    return true;
}

static bool init_agent(struct vswitch *vs, struct err *err)
{
    const struct config *c = &vs->config;
    if (c->tls_private_key) {
        vs->tls = tls_config_new(c->tls_private_key, c->tls_certificate, c->tls_ca, err);
        if (!vs->tls) {
            return err_prefix(err, "openflow.tls");
        }
    }
    struct of_agent_config ac = {
        .n_controllers = c->n_controllers, .listen = xcalloc(c->n_listen + 1, sizeof *ac.listen), .n_listen = c->n_listen, .tls = vs->tls,
        .max_connections = c->max_connections, .max_monitors = c->max_monitors, .max_bundles = c->max_bundles,
        .max_bundle_bytes = (size_t) c->max_bundle_mb << 20, .max_unread = (size_t) c->max_unread_mb << 20, .packet_in_rate = c->packet_in_rate,
        .versions = 1u << OF10_VERSION | 1u << OF13_VERSION | 1u << OF14_VERSION,
    };
    ac.controllers = xcalloc(c->n_controllers + 1, sizeof *ac.controllers);
    for (unsigned i = 0; i < c->n_controllers; i++) {
        ac.controllers[i].target = c->controllers[i].target;
        ac.controllers[i].max_backoff_ms = c->controllers[i].max_backoff_ms;
    }
    for (unsigned i = 0; i < c->n_listen; i++) {
        ac.listen[i] = c->listen[i];
    }
    vs->agent = of_agent_new(vs->base, &ac, vs->clock, &backend_of_ops, vs, err);
    free(ac.controllers);
    free(ac.listen);
    return vs->agent || err_prefix(err, "openflow");
}

static bool init_ports(struct vswitch *vs, struct err *err)
{
    char field[32];
    /* Fixed numbers first, so that "lowest free" never takes one of them. */
    for (int fixed = 1; fixed >= 0; fixed--) {
        for (unsigned i = 0; i < vs->config.n_ports; i++) {
            const struct config_port *c = &vs->config.ports[i];
            if ((c->ofport != 0) == fixed && !vswitch_port_add(vs, c, err)) {
                snprintf(field, sizeof field, "ports[%u]", i);
                return err_prefix(err, field);
            }
        }
    }
    return true;
}

bool vswitch_init(struct vswitch *vs, struct err *err)
{
    const struct config *c = &vs->config;
    vs->clock = clock_monotonic();
    vs->started_ns = clock_now_ns(&vs->clock);
    vs->lock_fd = vs->link_fd = vs->news_fd = vs->punts.fd = -1;
    list_init(&vs->captures);
    if (!make_run_dir(c->run_dir, &vs->lock_fd, err) || !init_loop(vs, err) || !eal_start(&vs->eal, c, err) || !mbuf_pools_init(&vs->pools, c->mbufs, err)
        || !punt_init(vs, err)) {
        return false;
    }
    rcu_init(&vs->rcu, vs->base, (unsigned) c->poll.n + 1);
    vs->dp = dp_new((unsigned) c->poll.n + 1, c->max_flows, c->max_groups, vs->clock, &backend_dp_ops, vs);
    meter_table_limit(dp_meters(vs->dp), c->max_meters);
    dp_set_cache(vs->dp, c->cache_flows, c->cache_check);
    flow_tables_limit(dp_flows(vs->dp), OFPTT_ALL, c->max_table_flows);
    vs->poll.ports = &vs->ports;
    vs->poll.pools = &vs->pools;
    vs->poll.rcu = &vs->rcu;
    vs->poll.dp = vs->dp;
    vs->poll.clock = vs->clock;
    vs->poll.idle_sleep = c->idle_sleep;
    vs->env = (struct device_env) { .pools = &vs->pools, .rcu = &vs->rcu, .n_threads = (unsigned) c->poll.n, .link_changed = link_changed, .aux = vs };
    if (!poll_init(&vs->poll, &c->poll, vs->eal.lcores, err) || !poll_start(&vs->poll, err) || !init_ports(vs, err)) {
        return false;
    }
    if (!init_agent(vs, err)) {
        return false;
    }
    vs->control = control_new(vs, err);
    if (!vs->control) {
        return false;
    }
    if (c->standalone) {
        event_add(vs->standalone_event, &(struct timeval) { .tv_sec = VSWITCH_STANDALONE_AFTER_S });
    }
    event_active(vs->expire_event, EV_TIMEOUT, 1);
    return true;
}

void vswitch_run(struct vswitch *vs)
{
    event_base_dispatch(vs->base);
}

void vswitch_stop(struct vswitch *vs)
{
    event_base_loopexit(vs->base, &(struct timeval) { .tv_usec = 10000 });      /* The answer to "stop" is on its way out. */
}

static void free_event(struct event **e)
{
    if (*e) {
        event_free(*e);
        *e = NULL;
    }
}

void vswitch_fini(struct vswitch *vs)
{
    struct port *p;
    if (vs->control) {
        control_free(vs->control);      /* Ends captures, too. */
    }
    if (vs->dp) {
        PORT_FOR_EACH (p, &vs->ports) {
            poll_remove_port(&vs->poll, p);
            port_unpublish(&vs->ports, p);
            rcu_defer(&vs->rcu, port_free, p);
        }
        poll_stop(&vs->poll);
        rcu_run(&vs->rcu);              /* Also completes barriers, whose tokens are the agent's. */
        if (vs->agent) {
            of_agent_free(vs->agent);
            vs->agent = NULL;
        }
        rcu_run(&vs->rcu);
        dp_free(vs->dp);
        rcu_fini(&vs->rcu);
        poll_fini(&vs->poll);
    }
    tls_config_unref(vs->tls);
    punt_fini(vs);
    mbuf_pools_fini(&vs->pools);
    eal_stop(&vs->eal);
    free_event(&vs->link_event);
    free_event(&vs->tick_event);
    free_event(&vs->news_event);
    free_event(&vs->expire_event);
    free_event(&vs->standalone_event);
    free_event(&vs->signal_events[0]);
    free_event(&vs->signal_events[1]);
    if (vs->link_fd >= 0) {
        close(vs->link_fd);
    }
    if (vs->news_fd >= 0) {
        close(vs->news_fd);
    }
    if (vs->base) {
        event_base_free(vs->base);
    }
    if (vs->lock_fd >= 0) {
        if (rmdir(vs->config.run_dir) && errno != ENOENT) {
            LOG(LOG_DEBUG, "%s stays: %s", vs->config.run_dir, strerror(errno));
        }
        close(vs->lock_fd);
    }
    config_fini(&vs->config);
}
