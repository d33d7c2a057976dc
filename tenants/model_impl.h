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

#define NETWORK_MAX_ID ((1u << 24) - 1)

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
struct usage { uint32_t vpcs, networks, ports, slices, switches, links; };
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
struct slice_object {
    struct slice slice;
    struct object o;
    unsigned switches_allocated, links_allocated;
    bool touched;               /* In model_txn.touched_slices. */
};
struct landing_ref { struct edge_object *edge; uint16_t landing; unsigned n_ports; };
struct host_hint { struct prefix prefix; uint64_t first; };     /* All host numbers of the prefix from 2 up to below `first` are claimed. */
struct network_object {         /* KIND_NETWORK and KIND_SWITCH. */
    struct network network;
    struct object o;
    struct hmap_node by_id;
    unsigned ports_allocated;
    struct hmap by_number;      /* Committed ports. */
    struct numbers numbers;     /* Port numbers of a virtual switch. */
    struct landing_ref *refs;   /* As committed, sorted by edge index. */
    unsigned n_refs;
    bool touched;               /* In model_txn.touched; next_* hold what commit makes. */
    struct landing_ref *next_refs;
    unsigned n_next_refs;
    struct host_hint hints[2];  /* IPv4, IPv6. */
};
struct port_object {            /* KIND_PORT and KIND_SWITCH_PORT. */
    struct port port;
    struct object o;
    struct hmap_node by_id, by_number;
};
struct link_object {
    struct vlink link;
    struct object o;
};

enum claim_type {
    CLAIM_MAC, CLAIM_IP, CLAIM_OF_NAME,                         /* In a network. */
    CLAIM_DEVICE,                                               /* On an edge. */
    CLAIM_DPID, CLAIM_LISTEN,                                   /* In the site. */
    CLAIM_SWITCH_DPID,                                          /* In a slice. */
};
enum claim_state { CLAIM_HELD, CLAIM_COMING, CLAIM_LEAVING };
struct claim {
    struct hmap_node node;
    enum claim_type type;
    enum claim_state state;
    const void *scope;          /* Network, edge, slice, or NULL. */
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
    model_neighbours_fn *neighbours;
    void *neighbours_aux;
    model_own_rules_fn *own_rules;
    void *own_rules_aux;
};

struct staged {
    struct object *o;
    enum model_kind kind;       /* Of the object, which may be gone before this. */
    char *path;                 /* Of the object in the document, "" for a delete. */
    bool doomed;
    bool changed;               /* Else only mentioned. */
    bool auto_mac, auto_ips;    /* To be allocated; a slice's port: auto_number and auto_of_name, too. */
    bool auto_number, auto_of_name, auto_datapath_id;
    bool auto_edge;             /* A slice's port whose document names no edge. */
    bool link_local;            /* The port has an EUI-64 address. */
    union {                     /* Owns what its arrays hold, as the object does. */
        struct edge edge; struct tenant tenant; struct vpc vpc; struct network network; struct port port; struct slice slice; struct vlink link;
    } c;
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
    struct slice_object **touched_slices;
    unsigned n_touched_slices, touched_slices_allocated;
    const char **slices;
    unsigned n_slices;
    bool substrate_changed;
};

/* Appends room for one element to a growing array. */
#define GROW(ARRAY, N, ALLOCATED) ((N) < (ALLOCATED) ? (void) 0 : \
    (void) ((ALLOCATED) = (ALLOCATED) ? (ALLOCATED) * 2 : 8, (ARRAY) = xrealloc((ARRAY), (ALLOCATED) * sizeof *(ARRAY))))

static inline struct edge_object *edge_object(const struct edge *e) { return (struct edge_object *) e; }
static inline struct tenant_object *tenant_object(const struct tenant *t) { return (struct tenant_object *) t; }
static inline struct vpc_object *vpc_object(const struct vpc *v) { return (struct vpc_object *) v; }
static inline struct network_object *network_object(const struct network *n) { return (struct network_object *) n; }
static inline struct slice_object *slice_object(const struct slice *s) { return (struct slice_object *) s; }
static inline struct link_object *link_object(const struct vlink *l) { return (struct link_object *) l; }
static inline struct port_object *port_object(const struct port *p) { return (struct port_object *) p; }
static inline bool kind_is_network(enum model_kind k) { return k == KIND_NETWORK || k == KIND_SWITCH; }
static inline bool kind_is_port(enum model_kind k) { return k == KIND_PORT || k == KIND_SWITCH_PORT; }
static inline bool kind_is_edge(enum model_kind k) { return k == KIND_EDGE || k == KIND_FABRIC_SWITCH; }
/* The kinds that are `struct network`, and those that are `struct port`. */
extern const enum model_kind network_kinds[2], port_kinds[2];
/* What the object is once the open transaction is committed. */
static inline const struct tenant *tenant_view(const struct tenant_object *t) { return t->o.staged ? &t->o.staged->c.tenant : &t->tenant; }
static inline const struct network *network_view(const struct network_object *n) { return n->o.staged ? &n->o.staged->c.network : &n->network; }
static inline const struct vlink *link_view(const struct link_object *l) { return l->o.staged ? &l->o.staged->c.link : &l->link; }
static inline const struct port *port_view(const struct port_object *p) { return p->o.staged ? &p->o.staged->c.port : &p->port; }

/* --- model.c --- */
extern const size_t kind_content_size[N_KINDS];                 /* Of the public struct. */
uint64_t *content_revision(enum model_kind, void *content);
/* What of a public struct's memory is its own (not an object's array of others). */
void content_copy(enum model_kind, void *content);              /* Of a shallow copy: now has memory of its own. */
void content_free(enum model_kind, void *content);
char **strings_copy(char *const *, unsigned n);
void strings_free(char **, unsigned n);
bool strings_equal(char *const *a, unsigned n_a, char *const *b, unsigned n_b);
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
void network_add_port(struct network_object *, void **ports, unsigned n);       /* Sorted by name; numbered. */
void network_remove_port(struct network_object *, struct port_object *);
/* The next network id that nobody has, in a circle; 0: none is free. */
uint32_t network_id_next(struct model *);
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
bool txn_take(struct model_txn *, struct numbers *, uint32_t n);        /* False: taken. */
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

void port_of_name(struct port *);                               /* From its name, as far as that fits. */

/* --- plan_slice.c: the steps of staged switches and their ports, each over all before the next --- */
bool switch_check_ports(const struct staged *, struct err *);
bool switch_port_place(struct model_txn *, struct staged *, struct err *);
void switch_drop_claims(struct model_txn *, const struct staged *);
bool switch_add_claims(struct model_txn *, struct staged *, struct err *);
bool switch_auto(struct model_txn *, struct staged *);
bool switch_port_auto(struct model_txn *, struct staged *, struct err *);

/* --- txn.c --- */
/* The path of a member of the staged object.  Returns out. */
char *staged_field(const struct staged *, const char *member, char out[160]);
struct model_txn *txn_new(struct model *);
/* Everything is staged: settles landings, and lists the changes.  Returns the transaction. */
struct model_txn *txn_complete(struct model_txn *);
void txn_touch_slice(struct model_txn *, const struct slice *);
uint32_t *usage_of(struct usage *, enum model_kind);            /* Of a kind that is counted. */
void object_count(struct object *);                             /* For its tenant's quota. */
/* New objects, sorted by name, into the arrays of their networks and slices: those of one are neighbours, as they share its name and a '/'. */
void insert_into_holders(enum model_kind, void **objects, unsigned n);
void network_landings(struct network_object *);                 /* Rebuilds the public array from refs. */
/* Stages the object for the document's `path`; NULL and err when the document has staged it before. */
struct staged *txn_stage(struct model_txn *, struct object *, const char *path, struct err *);
struct object *txn_create(struct model_txn *, enum model_kind, const char *name);

/* --- delete.c --- */
/* The object goes with the transaction; not what it holds. */
void stage_delete(struct model_txn *, struct object *, const char *path);

/* --- validate.c, validate_port.c, validate_slice.c, validate_link.c --- */
struct json_reader;
struct reading { struct model *model; struct model_txn *txn; const char *tenant; struct err *err; };
bool read_document(struct reading *, const cJSON *);
bool guarantees_fit(struct reading *);                          /* validate_room.c; when all is staged. */
bool read_networks(struct reading *, struct json_reader *vpc, struct vpc_object *);
/* The value of an optional member: absent, null, or a string; an error sticks when it is none of these. */
enum doc_value { DOC_ABSENT, DOC_NULL, DOC_STRING };
enum doc_value doc_string(struct json_reader *, const char *key, const char **out);
const char *doc_name(struct json_reader *, const char *key);    /* Required and valid as a name, or NULL and an error. */
struct tenant_object *read_owner(struct reading *, struct json_reader *);       /* The member "tenant", who must exist and be the caller's own. */
bool name_is_free(struct reading *, struct json_reader *, enum model_kind other, const char *full);
bool read_slice(struct reading *, struct json_reader *, enum model_kind);
bool read_links(struct reading *, struct json_reader *slice, struct slice_object *);
/* A port with its id and defaults, or NULL and an error. */
struct object *port_new(struct reading *, const char *path, enum model_kind, struct network *, const char *full);
struct object *switch_port_new(struct reading *, const char *path, struct network_object *, const char *full);   /* If the quota allows. */
/* A slice's port takes the number (0: none given), if that is free and it has none. */
bool switch_port_number(struct reading *, struct staged *, uint32_t number);
void switch_port_numbered(struct staged *, uint32_t number);
struct quota_row { const char *name; size_t offset; uint32_t max; enum model_kind kind; };
#define N_QUOTA_ROWS 13
extern const struct quota_row quota_rows[N_QUOTA_ROWS];
extern const struct quota default_quota;
uint32_t *quota_at(const struct quota *, unsigned row);
/* Spec members, read over what `c` holds; used for documents and for the store's records. Errors stick in the reader. */
#define DEFAULT_EDGE_ENTRIES 900000u    /* Of the million that a vswitchd takes by default. */
void read_edge_spec(struct json_reader *, struct edge *c, bool required, enum model_kind);
void read_tenant_spec(struct json_reader *, struct tenant *c);
void read_network_spec(struct json_reader *, struct network *c);
/* `given`: what of the addresses the document gives. The network and the edge are looked up by the caller; *edge is DOC_ABSENT, DOC_NULL or DOC_STRING and its name. */
struct port_given { bool mac, ips, of_name; uint32_t number; enum doc_value edge; const char *edge_name; };
void read_port_spec(struct json_reader *, struct port *c, struct port_given *given);
void read_slice_spec(struct json_reader *, struct slice *c);
void read_switch_spec(struct json_reader *, const struct model *, struct network *c);
void read_switch_port_spec(struct json_reader *, struct port *c, struct port_given *given);
void read_link_spec(struct json_reader *, const struct model *, struct vlink *c);
/* The edge that the document gives, and what goes with it. */
bool port_place(struct reading *, struct json_reader *, struct staged *, const struct port_given *given);
bool port_differs(const struct port *, const struct port *);
const char *address_problem(const struct ip *);                 /* Why no port can have it, or NULL. */
bool check_port_ips(struct json_reader *port, const struct network *, const struct port *);
/* Why a host address of the network cannot be a port's, or NULL. */
const char *host_problem(const struct network *, const struct ip *);
bool check_network(struct reading *, const struct staged *);    /* Overlaps and stranded ports, once everything is read. */

/* --- topology.c --- */
/* When the slice's document names a preset: *expanded (the caller's) is what it stands for, and the reader reads that. */
bool topology_expand(struct reading *, struct json_reader *slice, cJSON **expanded);

/* --- view.c --- */
struct tenant *object_owner(enum model_kind, const void *object);      /* NULL for the substrate. */
cJSON *record_json(enum model_kind, const void *content, uint16_t landing);

#endif
