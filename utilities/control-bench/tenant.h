/*
 * Simulated controllers of tenants: each listens on a port of loopback, and speaks to whatever switch connects.
 *
 * One is as small as a controller can be: it asks a switch that comes for its features, and what happens then is the
 * bench's (tenant_hooks).  A switch may be a virtual one of controllerd's or a simulated one that is connected
 * directly; nothing here knows the difference.  One thread: the loop's.
 */
#ifndef CONTROL_BENCH_TENANT_H
#define CONTROL_BENCH_TENANT_H 1

#include "lib/hmap.h"
#include "ofproto/of_conn.h"

struct event_base;
struct tenants;
struct listening;

struct tenant_conn {            /* A switch that is connected to a tenant's controller. */
    struct list node;           /* In tenant.conns. */
    struct tenants *all;
    unsigned tenant;
    struct of_conn *conn;
    uint64_t dpid;
    bool ready;                 /* Its features are known. */
};
struct tenant { struct list conns; struct stream_listener *listener; };

struct tenant_hooks {           /* aux is the bench's. */
    void (*ready)(struct tenant_conn *, void *aux);
    void (*gone)(struct tenant_conn *, void *aux);      /* It was ready, and is freed afterwards. */
    void (*barrier)(struct tenant_conn *, uint32_t xid, void *aux);
    void (*packet_in)(struct tenant_conn *, const struct of_packet_in *, void *aux);
    void (*error)(struct tenant_conn *, struct of_error, void *aux);
};

struct tenants {
    struct event_base *base;
    struct tenant *v; unsigned n;
    unsigned n_ready;           /* Connections, of all tenants. */
    const struct tenant_hooks *hooks;
    struct listening *listening;        /* What each listener is told. */
    void *aux;
};

/* Tenant i listens on 127.0.0.1, port first_port + i (first_port 0: on free ones).  NULL and err: a port is taken. */
struct tenants *tenants_new(struct event_base *, unsigned n, unsigned first_port, const struct tenant_hooks *, void *aux, struct err *);
void tenants_free(struct tenants *);
unsigned tenants_port(const struct tenants *, unsigned tenant);
/* The tenant's switch of this datapath id, or (dpid 0) its first one that is not `except`; NULL when none is ready. */
struct tenant_conn *tenant_switch(struct tenants *, unsigned tenant, uint64_t dpid, uint64_t except);

/* The destination MAC that stands for rule `key` in table 0: 02:00:00 and the key. */
#define TENANT_MAC(KEY) (UINT64_C(0x020000000000) | (KEY))
/* Adds or deletes (strictly) the rule eth_dst = TENANT_MAC(key), priority 100, output:out_port.  Returns the xid. */
uint32_t tenant_add(struct tenant_conn *, uint32_t key, uint32_t out_port);
uint32_t tenant_delete(struct tenant_conn *, uint32_t key);
uint32_t tenant_delete_all(struct tenant_conn *);
uint32_t tenant_miss(struct tenant_conn *);             /* The table-miss entry to the controller. */
uint32_t tenant_barrier(struct tenant_conn *);
/* Sends a packet back through a port of the switch. */
void tenant_packet_out(struct tenant_conn *, const struct of_packet_in *, uint32_t out_port);

#endif
