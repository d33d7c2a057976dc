/*
 * The root of vswitchd: what main() builds, and what everything else is given instead of globals.
 *
 * Owned and used by the control thread, but for what says otherwise in its own header (pools, rcu, ports, poll, punt).
 * Built in the order of the members below and torn down in reverse: poll-mode threads stop before anything that they
 * might touch goes.
 */
#ifndef VSWITCH_VSWITCH_H
#define VSWITCH_VSWITCH_H 1

#include "ofproto/agent.h"
#include "vswitch/backend.h"
#include "vswitch/config.h"
#include "vswitch/eal.h"
#include "vswitch/poll.h"
#include "vswitch/port.h"
#include "vswitch/rcu.h"

struct control;
struct event;
struct event_base;

#define VSWITCH_STANDALONE_AFTER_S 3    /* Without a controller for so long, with fail_mode standalone, it bridges by itself. */

struct vswitch {
    struct config config;
    struct clock clock;
    uint64_t started_ns;
    struct event_base *base;
    struct eal eal;
    struct mbuf_pools pools;
    struct rcu rcu;
    struct device_env env;
    struct punt_queue punts;
    struct dp *dp;
    struct port_table ports;
    struct poll poll;
    struct tls_config *tls;
    struct of_agent *agent;
    struct list captures;
    struct control *control;

    int lock_fd;                        /* run_dir's lock, or -1 while it is not ours. */
    int link_fd;                        /* An eventfd: some device's link changed. Written by any thread. */
    int news_fd;                        /* device_link.h; negative: none. */
    struct event *link_event, *news_event, *tick_event, *expire_event, *standalone_event;
    struct event *signal_events[2];
    unsigned n_controllers_up;
    bool standalone;                    /* Bridging by itself, as fail_mode allows. */
};

/* Datapath threads: the control thread and the poll-mode ones. */
static inline unsigned vswitch_n_threads(const struct vswitch *vs) { return vs->poll.n + 1; }

/* Everything up to listening sockets and running threads; on failure `err` is filled and vswitch_fini() cleans up. vs->config is filled. */
bool vswitch_init(struct vswitch *, struct err *);
void vswitch_run(struct vswitch *);     /* Until vswitch_stop() or a signal. */
void vswitch_stop(struct vswitch *);
void vswitch_fini(struct vswitch *);

/* Ports at run time, for the configuration, the control socket and OpenFlow alike. */
struct port *vswitch_port_add(struct vswitch *, const struct config_port *, struct err *);
void vswitch_port_del(struct vswitch *, struct port *);
/* Replaces the port's queues; what waits in the old ones is sent through the new. */
void vswitch_port_set_qos(struct vswitch *, struct port *, const struct config_qos *);
/* Tells the datapath (and, if `announce`, the controllers) what the port is like now. */
void vswitch_port_changed(struct vswitch *, struct port *, bool announce);
/* NULL and `err` for what is neither a port's name nor its number. */
struct port *vswitch_port_lookup(struct vswitch *, const char *name_or_number, const char *field, struct err *);

#endif
