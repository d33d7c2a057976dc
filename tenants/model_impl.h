/*
 * What the files of the model share; private to tenants/.
 *
 * Every public struct is the first member of an object that carries the model's own bookkeeping, so a public pointer is
 * the object's address and stays valid until the object is deleted. An open transaction never writes public structs: it
 * stages a copy (`struct staged`) behind the object, and commit copies it in place. What the transaction needs at once
 * for uniqueness and allocation (claims, numbers, counters, new objects in the name index) it enters into the private
 * structures, marked as its own, and takes back on abort; readers skip what is so marked.
 *
 * A claim is the right of an owner to a key that is unique in a scope: a MAC or an IP in a network, a device name on an
 * edge, a datapath id in the site. HELD belongs to the committed model, COMING to the open transaction, LEAVING is
 * committed and will go with the transaction. So two ports may swap addresses in one document.
 */
#ifndef TENANTS_MODEL_IMPL_H
#define TENANTS_MODEL_IMPL_H 1

#include "lib/hmap.h"
#include "tenants/model.h"
#include "tenants/numbers.h"

struct object {
    struct hmap_node node;      /* In kind_index.by_name. */
    enum model_kind kind;
    bool is_new;                /* Made by the open transaction. */
    struct staged *staged;      /* By the open transaction, or NULL. */
};
struct edge_object {            /* KIND_EDGE and KIND_FABRIC_SWITCH. */
    struct edge edge;
    struct object o;
    struct numbers locals, slots4, slots6;
    unsigned n_ports;           /* Bound, committed. */
};
struct usage { uint32_t vpcs, networks, ports; };
struct tenant_object {
    struct tenant tenant;
    struct object o;
    struct usage used;          /* Committed. */
    struct usage next;          /* With what the open transaction creates. */
};
struct vpc_object {
    struct vpc vpc;
    struct object o;
    struct network_object **networks;                           /* In the order of creation, also the open transaction's. */
    unsigned n_networks, networks_allocated;
};
struct landing_ref { struct edge_object *edge; uint16_t landing; unsigned n_ports; };
struct host_hint { struct prefix prefix; uint64_t first; };     /* All host numbers of the prefix from 2 up to below `first` are claimed. */
struct network_object {
    struct network network;
    struct object o;
    struct hmap_node by_id;
    unsigned ports_allocated;
    struct landing_ref *refs;   /* As committed, sorted by edge index. */
    unsigned n_refs;
    bool touched;               /* In model_txn.touched; next_* hold what commit makes. */
    struct landing_ref *next_refs;
    unsigned n_next_refs;
    struct host_hint hints[2];  /* IPv4, IPv6. */
};
struct port_object {
    struct port port;
    struct object o;
    struct hmap_node by_id;
};

enum claim_type { CLAIM_MAC, CLAIM_IP, CLAIM_DEVICE, CLAIM_DPID };
enum claim_state { CLAIM_HELD, CLAIM_COMING, CLAIM_LEAVING };
struct claim {
    struct hmap_node node;
    enum claim_type type;
    enum claim_state state;
    const void *scope;          /* Network, edge, or NULL. */
    struct object *owner;
    uint8_t size;
    uint8_t key[];
};

struct kind_index { void **sorted; unsigned n, allocated; struct hmap by_name; };
struct model {
    struct provider provider;
    uint64_t revision;
    uint32_t next_port_id, next_network_id;
    unsigned index_bits, slot_bits;                             /* Of provider IPv4 addresses. */
    struct kind_index kinds[N_KINDS];
    struct hmap ports_by_id, networks_by_id, claims;
    struct edge_object **edges_by_index;                        /* Committed ones. */
    unsigned n_edges_by_index;
    struct numbers indexes;
    struct model_txn *open;
};

struct staged {
    struct object *o;
    char *path;                 /* Of the object in the document, "" for a delete. */
    bool doomed;
    bool changed;               /* Else only mentioned. */
    bool auto_mac, auto_ips;    /* To be allocated. */
    union { struct edge edge; struct tenant tenant; struct vpc vpc; struct network network; struct port port; } c;
};
struct number_use { struct numbers *space; uint32_t n; };
struct number_uses { struct number_use *uses; unsigned n, allocated; };
struct model_txn {
    struct model *model;
    uint64_t revision;          /* Of what it changes. */
    uint32_t old_next_port_id, old_next_network_id;
    struct staged **staged;     /* In the document's order. */
    unsigned n_staged, staged_allocated;
    struct network_object **touched;
    unsigned n_touched, touched_allocated;
    struct claim **claims;      /* COMING and LEAVING. */
    unsigned n_claims, claims_allocated;
    struct number_uses taken, released;
    struct model_change *changes;
    unsigned n_changes;
    uint32_t *networks;
    unsigned n_networks;
    bool substrate_changed;
};

/* Appends room for one element to a growing array. */
#define GROW(ARRAY, N, ALLOCATED) ((N) < (ALLOCATED) ? (void) 0 : \
    (void) ((ALLOCATED) = (ALLOCATED) ? (ALLOCATED) * 2 : 8, (ARRAY) = xrealloc((ARRAY), (ALLOCATED) * sizeof *(ARRAY))))

static inline struct edge_object *edge_object(const struct edge *e) { return (struct edge_object *) e; }
static inline struct tenant_object *tenant_object(const struct tenant *t) { return (struct tenant_object *) t; }
static inline struct vpc_object *vpc_object(const struct vpc *v) { return (struct vpc_object *) v; }
static inline struct network_object *network_object(const struct network *n) { return (struct network_object *) n; }
static inline struct port_object *port_object(const struct port *p) { return (struct port_object *) p; }
/* What the object is once the open transaction is committed. */
static inline const struct tenant *tenant_view(const struct tenant_object *t) { return t->o.staged ? &t->o.staged->c.tenant : &t->tenant; }
static inline const struct network *network_view(const struct network_object *n) { return n->o.staged ? &n->o.staged->c.network : &n->network; }
static inline const struct port *port_view(const struct port_object *p) { return p->o.staged ? &p->o.staged->c.port : &p->port; }

/* --- model.c --- */
void *object_public(struct object *);
struct object *object_head(enum model_kind, const void *public);
/* Also finds objects that the open transaction made. */
struct object *model_lookup(const struct model *, enum model_kind, const char *name);
/* A new object with its name, in the name index, marked is_new; not yet in the sorted array. */
struct object *object_new(struct model *, enum model_kind, const char *name);
void object_free(struct model *, struct object *);              /* Out of the name index, too. */
/* Puts `n` objects (public pointers, sorted by name) where they belong in a sorted array. */
void sorted_merge(void ***array, unsigned *n_array, unsigned *allocated, enum model_kind, void **added, unsigned n);
void sorted_remove(void **array, unsigned *n, enum model_kind, const void *object);
void kind_insert(struct model *, enum model_kind, void **added, unsigned n);
void edge_by_index_set(struct model *, uint16_t index, struct edge_object *);
void index_by_id(struct model *, struct object *);                /* A port or a network, under its id. */
void unindex_by_id(struct model *, struct object *);
void vpc_add_network(struct vpc_object *, struct network_object *);
void vpc_remove_network(struct vpc_object *, struct network_object *);
/* ip_bits: bits of the host part of a prefix. */
static inline unsigned prefix_host_bits(const struct prefix *p) { return (p->is_v4 ? 32u : 128u) - p->len; }

/* --- claim.c --- */
/* A claim on the key that will stand after the open transaction (not LEAVING), or NULL. */
struct claim *claim_find(const struct model *, enum claim_type, const void *scope, const void *key, uint8_t size);
struct claim *claim_find_committed(const struct model *, enum claim_type, const void *scope, const void *key, uint8_t size);
/* A free key under the strictest view: nobody holds it now or will. */
bool claim_free_for_all(const struct model *, enum claim_type, const void *scope, const void *key, uint8_t size);
/* Adds for the open transaction (NULL: HELD at once, for loading).  False when taken: *other is whose. */
bool claim_add(struct model *, struct model_txn *, enum claim_type, const void *scope, struct object *owner, const void *key, uint8_t size, struct object **other);
void claim_drop(struct model_txn *, enum claim_type, const void *scope, struct object *owner, const void *key, uint8_t size);
void claims_end(struct model_txn *, bool commit);

/* --- plan.c: allocations for the open transaction --- */
uint32_t txn_number(struct model_txn *, struct numbers *);      /* 0: none left. */
void txn_release(struct model_txn *, struct numbers *, uint32_t n);
void numbers_end(struct model_txn *, bool commit);
struct network_object *txn_touch(struct model_txn *, const struct network *);
struct landing_ref *landing_find(struct landing_ref *, unsigned n, const struct edge *);
/* The steps of a staged port, in this order, each over all ports before the next. */
void port_drop_claims(struct model_txn *, struct staged *);
bool port_add_claims(struct model_txn *, struct staged *, struct err *);
bool port_auto_addresses(struct model_txn *, struct staged *, struct err *);
bool port_bind(struct model_txn *, struct staged *, struct err *);
void port_unbind(struct model_txn *, const struct port *);      /* Releases everything (delete). */
/* Lowers the hint of a network when an address comes free. */
void network_address_freed(struct network_object *, const struct ip *);
bool port_ip_equal(const struct port *a, const struct port *b); /* The given addresses, in order. */

/* --- txn.c --- */
void network_landings(struct network_object *);                 /* Rebuilds the public array from refs. */
/* Stages the object for the document's `path`; NULL and err when the document has staged it before. */
struct staged *txn_stage(struct model_txn *, struct object *, const char *path, struct err *);
struct object *txn_create(struct model_txn *, enum model_kind, const char *name);

/* --- validate.c, validate_port.c --- */
struct json_reader;
struct reading { struct model *model; struct model_txn *txn; const char *tenant; struct err *err; };
bool read_document(struct reading *, const cJSON *);
bool read_networks(struct reading *, struct json_reader *vpc, struct vpc_object *);
/* The value of an optional member: absent, null, or a string; an error sticks when it is none of these. */
enum doc_value { DOC_ABSENT, DOC_NULL, DOC_STRING };
enum doc_value doc_string(struct json_reader *, const char *key, const char **out);
const char *doc_name(struct json_reader *, const char *key);    /* Required and valid as a name, or NULL and an error. */
/* Spec members, read over what `c` holds; used for documents and for the store's records. Errors stick in the reader. */
void read_edge_spec(struct json_reader *, struct edge *c, bool required);
void read_tenant_spec(struct json_reader *, struct tenant *c);
void read_network_spec(struct json_reader *, struct network *c);
/* `given`: what of the addresses the document gives. The network and the edge are looked up by the caller; *edge is DOC_ABSENT, DOC_NULL or DOC_STRING and its name. */
struct port_given { bool mac, ips; enum doc_value edge; const char *edge_name; };
void read_port_spec(struct json_reader *, struct port *c, struct port_given *given);
bool check_port_ips(struct json_reader *port, const struct network *, const struct port *);
/* Why a host address of the network cannot be a port's, or NULL. */
const char *host_problem(const struct network *, const struct ip *);
bool check_network(struct reading *, const struct staged *);    /* Overlaps and stranded ports, once everything is read. */

/* --- view.c --- */
cJSON *record_json(enum model_kind, const void *content, uint16_t landing);

#endif
