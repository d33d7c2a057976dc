/*
 * The intent: what operators and tenants asked for, and the numbers that were allocated for it.
 *
 * One `struct model` holds all objects of a site. It changes only through a `struct model_txn`: a transaction reads an
 * apply document (or a delete), validates every field against the model as it would become, allocates ids and
 * addresses, and yields a list of changes; the caller makes the changes durable (store) and then commits, or aborts and
 * the model is as it was. So an apply is all or nothing, and what a reader sees is always a whole revision. Loop thread
 * only.
 *
 * Names: tenant "red", VPC "red/main", network "red/main/web", port "red/main/web/a"; slice "red/lab", virtual switch
 * "red/lab/s1", its port "red/lab/s1/p1", virtual link "red/lab/l1"; edges and fabric switches have flat names. Names
 * are unique within a kind, and no VPC and slice are called alike. Objects of a kind are kept sorted by name.
 *
 * A slice's virtual switch is a `struct network` and its ports are `struct port`s, so that the address plan, landings
 * and everything that is compiled from them serve both; what differs is who programs them. Ids of networks and ports
 * are therefore from one space each.
 *
 * Address plan (DESIGN.md decision 4). An edge has an `index` (1..2^16-1, but below 2^hostbits of the IPv4 pool). A
 * network has an id (1..2^24-1). A port has an id (1..2^31-1, never reused while the store lives), and while bound to
 * an edge a `local` number there, 1..0xfffe, unique among ports and flood landings of that edge: it is the port's
 * landing id and its source id. Each address of a bound port (ips and its EUI-64 link-local) has a `slot` on the edge:
 * provider IPv4 = pool ‖ index ‖ slot, provider IPv6 = pool ‖ index (16 bits) ‖ slot (64 bits). A network has one flood
 * landing (from the same number space as `local`) on each edge where it has ports. The ids of networks are handed out
 * in a circle: one comes back only after all others had their turn.
 */
#ifndef TENANTS_MODEL_H
#define TENANTS_MODEL_H 1

#include <stdbool.h>
#include <stdint.h>
#include "lib/addr.h"
#include "lib/err.h"
#include "lib/json.h"

enum model_kind {
    KIND_TENANT, KIND_VPC, KIND_NETWORK, KIND_PORT,
    KIND_SLICE, KIND_SWITCH /* struct network */, KIND_SWITCH_PORT /* struct port */, KIND_LINK,
    KIND_EDGE, KIND_FABRIC_SWITCH, N_KINDS
};
enum model_action { MODEL_CREATE, MODEL_UPDATE, MODEL_DELETE };

#define MODEL_NAME_SIZE 140     /* "tenant/vpc/network/port" and '\0'. */
#define PORT_MAX_IPS 16
#define PORT_MAX_NUMBER 0xfeff  /* Of a slice's port: OpenFlow 1.0 keeps the numbers above for itself. */
#define SWITCH_MAX_TABLES 224   /* What an edge has room for. */
#define SWITCH_MAX_TARGETS 16   /* Controllers of a slice; listeners of a virtual switch. */

struct edge {                   /* A switch of the substrate; fabric switches use the same struct with index 0. */
    char name[33];
    uint64_t datapath_id;
    uint16_t index;
    uint32_t flow_entries;      /* Edges: how many rules it takes, Polder's own among them; 0: not known. */
    uint64_t revision;
};
struct quota {                  /* Most that a tenant may have. `ports` counts a VPC's and a slice's ports together. */
    uint32_t vpcs, networks, ports, slices, switches, links;
    uint32_t flow_entries;      /* Physical cost: rules of all its virtual switches, over all edges. */
    uint32_t edge_entries;      /* Guaranteed, not most: rules on each edge where it has a virtual switch. */
    uint32_t groups, meters;    /* Over all its virtual switches. */
    uint32_t packet_in_rate, flow_mod_rate, connection_rate;    /* Per second, over all its virtual switches. */
};
struct tenant { char name[33]; struct quota quota; uint64_t revision; };
struct vpc { char name[MODEL_NAME_SIZE]; struct tenant *tenant; uint64_t revision; };

struct slice {
    char name[MODEL_NAME_SIZE];
    struct tenant *tenant;
    char **controllers;         /* "tcp:IP:PORT", "tls:IP:PORT": each virtual switch connects to each. In the document's order. */
    unsigned n_controllers;
    struct network **switches;  /* Sorted by name. */
    unsigned n_switches;
    struct vlink **links;       /* Sorted by name. */
    unsigned n_links;
    uint64_t revision;
};

/* Most that a virtual switch may hold, inside of its tenant's quota. Rates are per second. */
struct switch_quota { uint32_t flows, groups, meters, tables, packet_in_rate, flow_mod_rate; };
struct network_landing { struct edge *edge; uint16_t landing; };
struct network {
    char name[MODEL_NAME_SIZE];
    struct vpc *vpc;            /* NULL: a slice's virtual switch. */
    struct slice *slice;        /* NULL: a VPC's network. */
    uint32_t id;
    bool has_subnet, has_subnet6;       /* VPC only. */
    struct prefix subnet, subnet6;
    /* Virtual switch only, until `landings`. */
    uint64_t datapath_id;       /* As its controllers see it; unique in the slice. Stays. */
    struct edge **edges;        /* Where it may have ports, sorted by index; at least one. */
    unsigned n_edges;
    char **listen;              /* "ptcp:PORT:IP", "ptls:PORT:IP": where it waits for controllers; a target is one switch's. */
    unsigned n_listen;
    struct switch_quota quota;
    struct network_landing *landings;   /* One per edge with bound ports, sorted by edge index. */
    unsigned n_landings;
    struct port **ports;        /* Sorted by name. */
    unsigned n_ports;
    uint64_t revision;
};
struct port_ip { struct ip ip; uint32_t slot; bool link_local; };
struct port {
    char name[MODEL_NAME_SIZE];
    struct network *network;
    uint32_t id;
    uint32_t number;            /* On the virtual switch.  VPC: the id.  Slice: 1..PORT_MAX_NUMBER, chosen or allocated.  Stays. */
    char of_name[16];           /* The port's name in OpenFlow. */
    struct vlink *link;         /* Not NULL: a virtual link ends here, and there is no device; no ips. */
    bool admin_down;
    struct mac mac;
    struct port_ip ips[PORT_MAX_IPS];   /* The given ones, then the EUI-64 link-local one (a slice's port: if its MAC was given). slot is 0 while unbound. */
    unsigned n_ips;
    struct edge *edge;          /* NULL: not bound. */
    uint16_t local;             /* 0 while unbound. */
    bool anti_spoofing;
    char vhost_role[8];         /* "client" or "server": the switch's role. */
    uint16_t vhost_queues;
    char ofport_of[33];         /* Name of an existing switch port to bind to; "" : vswitchd creates "p<id>". */
    uint64_t revision;
};
struct vlink {
    char name[MODEL_NAME_SIZE];
    struct slice *slice;
    struct port *ends[2];       /* In the document's order. They live and die with the link. */
    uint8_t path_class;
    char **via;                 /* Edges and fabric switches that its path must pass, in this order; usually none. */
    unsigned n_via;
    bool admin_down;
    uint64_t revision;
};
/* The other end's port of a link port. */
static inline struct port *vlink_peer(const struct port *p) { return p->link->ends[p->link->ends[0] == p]; }
/* O(1); NULL: the network has no port of this number. */
struct port *network_port_by_number(const struct network *, uint32_t number);
/* Whose network it is. */
static inline struct tenant *network_tenant(const struct network *n) { return n->slice ? n->slice->tenant : n->vpc->tenant; }
/* The switch port's name: ofport_of, or "p<id>".  out ≥ 33 bytes. */
char *port_device_name(const struct port *, char *out);

/* The operator's pools.  v4 is at most a /20, v6 at most a /48.  An edge owns one prefix of each: of the h host bits of the IPv4 pool the upper
 * (h - 2) / 2, at most 16, are the edge's index and the rest its slots (100.64.0.0/10: 1023 edges of 4094 addresses);
 * in the IPv6 pool the index is bits 48 to 63. Slots of the two families are counted apart. */
struct provider { struct prefix v4, v6; };
/* For reading a configuration: field is "ipv4_pool" or "ipv6_pool". */
bool provider_check(const struct provider *, struct err *);

struct model;
struct model *model_new(const struct provider *);
void model_free(struct model *);
uint64_t model_revision(const struct model *);
const struct provider *model_provider(const struct model *);

/* Lookup by full name; NULL when there is none. The i-th in name order; count. */
void *model_find(const struct model *, enum model_kind, const char *name);
unsigned model_count(const struct model *, enum model_kind);
void *model_at(const struct model *, enum model_kind, unsigned i);
struct edge *model_edge_by_datapath(const struct model *, uint64_t datapath_id, bool *is_fabric);
struct edge *model_edge_by_index(const struct model *, uint16_t index);
struct port *model_port_by_id(const struct model *, uint32_t id);
/* Whose provider address is it (MAC or IP text)?  A JSON description (edge, network, port, what it stands for) or NULL and err. */
cJSON *model_whois(const struct model *, const char *address, struct err *);

/* Provider addresses. */
struct ip model_provider_ip(const struct model *, const struct edge *, bool v4, uint32_t slot);
/* 02 | edge (16) | class (8) | landing (16) */
static inline uint64_t provider_landing_mac(uint16_t edge, uint8_t path_class, uint16_t landing)
{
    return UINT64_C(0x02) << 40 | (uint64_t) edge << 24 | (uint64_t) path_class << 16 | landing;
}
/* flags (6) | 10 | edge (16) | id (24): the low two bits of the first byte say locally administered, unicast. */
static inline uint64_t provider_source_mac(uint8_t flags, uint16_t edge, uint32_t id)
{
    return (uint64_t) (uint8_t) (flags << 2 | 2) << 40 | (uint64_t) edge << 24 | (id & 0xffffff);
}
enum provider_flag {
    PROVIDER_PAIR = 1,          /* The id stands for (eth_src, eth_dst), not for eth_src alone. */
    PROVIDER_SRC_IP = 2, PROVIDER_DST_IP = 4,                   /* IPv4, IPv6 or ARP source/target protocol address was replaced. */
    PROVIDER_ARP_SHA = 8, PROVIDER_ARP_THA = 16,                /* ARP hardware address equalled eth_src/eth_dst and was replaced likewise. */
};
/* The pair (port's MAC, broadcast) needs no interning: its pair id is the port's `local`. Interned pairs use ids from here up. */
#define PROVIDER_FIRST_INTERNED 0x10000u

/* --- Transactions --- */
struct model_change {
    enum model_action action;
    enum model_kind kind;
    char name[MODEL_NAME_SIZE];
    cJSON *old_spec, *new_spec; /* As model_spec_json() gives; NULL for create / delete. */
    cJSON *record;              /* What the store keeps for the object (spec + allocations); NULL for delete.  A port's and a network's id is the member "id". */
};
struct model_txn;
/* Who is next to whom on the physical network, for the topology "mirror": calls found() for each edge that `from` reaches by a link, or by fabric switches alone. */
typedef void model_neighbours_fn(const struct edge *from, void (*found)(const struct edge *, void *found_aux), void *found_aux, void *aux);
void model_set_neighbours(struct model *, model_neighbours_fn *, void *aux);
/* How many rules of Polder's own an edge has now: they are counted in when tenants' guarantees are to fit into its table. Without it: none. */
typedef uint32_t model_own_rules_fn(const struct edge *, void *aux);
void model_set_own_rules(struct model *, model_own_rules_fn *, void *aux);
/* Reads and validates an apply document.  NULL and err (with the field's path) when anything is wrong. `tenant` non-NULL: the caller may touch only this tenant's
 * VPCs and slices and what is in them (else ERR_DENIED).  At most one transaction may be open. */
struct model_txn *model_apply(struct model *, const cJSON *document, const char *tenant, struct err *);
/* Deletes one object: a slice and a virtual switch with all that is in them and all links that end there, a virtual link with its two ports. ERR_CONFLICT naming
 * what still depends on it (a network with ports), ERR_NOT_FOUND, ERR_DENIED. if_revision 0: any, else ERR_CONFLICT unless current. */
struct model_txn *model_delete(struct model *, enum model_kind, const char *name, const char *tenant, uint64_t if_revision, struct err *);
const struct model_change *model_txn_changes(const struct model_txn *, unsigned *n);
uint64_t model_txn_revision(const struct model_txn *);          /* The revision it would make; the current one when there are no changes. */
/* Networks and virtual switches whose ports, addresses, links or flood landings differ after commit (also deleted ones: their id), for the compiler. Valid until
 * the txn ends. */
const uint32_t *model_txn_networks(const struct model_txn *, unsigned *n);
/* Names of slices whose controllers, switches, ports or links differ after commit (also deleted ones). Valid until the txn ends. */
const char *const *model_txn_slices(const struct model_txn *, unsigned *n);
bool model_txn_substrate_changed(const struct model_txn *);     /* Edges or fabric switches differ. */
/* The next ids after commit, for the store; model_loaded() takes them back. Ports' never go down; networks' start again at 1 after 2^24 - 1. */
void model_txn_next_ids(const struct model_txn *, uint32_t *port, uint32_t *network);
void model_txn_commit(struct model_txn *);
void model_txn_abort(struct model_txn *);

/* --- Store and API views --- */
/* Rebuilds an object from a store record, in the order of model_load_order. False and err when it contradicts the model. */
bool model_load(struct model *, enum model_kind, const char *name, uint64_t revision, const cJSON *record, struct err *);
extern const enum model_kind model_load_order[N_KINDS];
void model_loaded(struct model *, uint64_t revision, uint32_t next_port_id, uint32_t next_network_id);
cJSON *model_spec_json(enum model_kind, const void *object);    /* As a user would write it, with defaults filled in. New tree. */
cJSON *model_alloc_json(const struct model *, enum model_kind, const void *object);  /* Allocations for status: ids, provider addresses, landing. */
const char *kind_name(enum model_kind);                         /* "port" */
const char *kind_plural(enum model_kind);                       /* "ports", "fabric-switches" */
bool kind_from_name(const char *, enum model_kind *);           /* Singular or plural. */
const char *object_name(enum model_kind, const void *object);
uint64_t object_revision(enum model_kind, const void *object);
const char *object_tenant(enum model_kind, const void *object); /* NULL for substrate. */
struct network *model_network_by_id(const struct model *, uint32_t id);

#endif
