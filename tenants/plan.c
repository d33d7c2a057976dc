/* The address plan: what numbers and addresses the open transaction's ports get. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wire.h"
#include "tenants/model_impl.h"

#define FIRST_HOST 2            /* Host 1 is the router's. */

static void note(struct number_uses *u, struct numbers *space, uint32_t n)
{
    GROW(u->uses, u->n, u->allocated);
    u->uses[u->n++] = (struct number_use) { space, n };
}

uint32_t txn_number(struct model_txn *t, struct numbers *space)
{
    uint32_t n = numbers_alloc(space);
    if (n) {
        note(&t->taken, space, n);
    }
    return n;
}

bool txn_take(struct model_txn *t, struct numbers *space, uint32_t n)
{
    if (!numbers_take(space, n)) {
        return false;
    }
    note(&t->taken, space, n);
    return true;
}

/* Comes free at commit, so that within one transaction no number changes hands. */
void txn_release(struct model_txn *t, struct numbers *space, uint32_t n)
{
    note(&t->released, space, n);
}

void numbers_end(struct model_txn *t, bool commit)
{
    const struct number_uses *gone = commit ? &t->released : &t->taken;
    for (unsigned i = 0; i < gone->n; i++) {
        numbers_release(gone->uses[i].space, gone->uses[i].n);
    }
    free(t->taken.uses);
    free(t->released.uses);
}

/* --- Landings --- */

struct network_object *txn_touch(struct model_txn *t, const struct network *network)
{
    struct network_object *n = network_object(network);
    if (!n->touched) {
        GROW(t->touched, t->n_touched, t->touched_allocated);
        t->touched[t->n_touched++] = n;
        n->touched = true;
        n->next_refs = xmalloc(n->n_refs * sizeof *n->refs);
        if (n->n_refs) {
            memcpy(n->next_refs, n->refs, n->n_refs * sizeof *n->refs);
        }
        n->n_next_refs = n->n_refs;
        if (network->slice) {
            txn_touch_slice(t, network->slice);
        }
    }
    return n;
}

static unsigned landing_position(const struct landing_ref *refs, unsigned n, uint16_t index)
{
    unsigned low = 0;
    while (low < n) {
        unsigned middle = low + (n - low) / 2;
        if (refs[middle].edge->edge.index < index) {
            low = middle + 1;
        } else {
            n = middle;
        }
    }
    return low;
}

struct landing_ref *landing_find(struct landing_ref *refs, unsigned n, const struct edge *edge)
{
    unsigned i = landing_position(refs, n, edge->index);
    return i < n && refs[i].edge == edge_object(edge) ? &refs[i] : NULL;
}

static bool landing_get(struct model_txn *t, struct network_object *n, struct edge_object *edge)
{
    struct landing_ref *ref = landing_find(n->next_refs, n->n_next_refs, &edge->edge);
    if (!ref) {
        uint32_t landing = txn_number(t, &edge->locals);
        if (!landing) {
            return false;
        }
        unsigned i = landing_position(n->next_refs, n->n_next_refs, edge->edge.index);
        n->next_refs = xrealloc(n->next_refs, (n->n_next_refs + 1) * sizeof *n->next_refs);
        ref = n->next_refs + i;
        memmove(ref + 1, ref, (n->n_next_refs++ - i) * sizeof *ref);
        *ref = (struct landing_ref) { edge, (uint16_t) landing, 0 };
    }
    ref->n_ports++;
    return true;
}

static void landing_put(struct network_object *n, const struct edge *edge)
{
    struct landing_ref *ref = landing_find(n->next_refs, n->n_next_refs, edge);
    assert(ref && ref->n_ports);
    ref->n_ports--;             /* At zero it goes when the transaction is complete. */
}

/* --- Addresses --- */

static bool same_prefix(const struct prefix *a, const struct prefix *b)
{
    return a->is_v4 == b->is_v4 && a->len == b->len && ip_equal(&a->ip, &b->ip);
}

static uint64_t last_host(const struct prefix *p)
{
    unsigned bits = prefix_host_bits(p);
    uint64_t all_ones = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    return p->is_v4 ? all_ones - 1 : all_ones;                  /* All ones is IPv4's broadcast address. */
}

void network_address_freed(struct network_object *n, const struct ip *ip)
{
    struct host_hint *hint = &n->hints[!ip_is_v4(ip)];
    if (hint->first && prefix_contains(&hint->prefix, ip)) {
        uint64_t host = wire_get64(ip->b + 8) & (prefix_host_bits(&hint->prefix) >= 64 ? UINT64_MAX : (UINT64_C(1) << prefix_host_bits(&hint->prefix)) - 1);
        hint->first = MIN(hint->first, MAX(host, FIRST_HOST));
    }
}

static bool auto_ip(struct model_txn *t, struct staged *st, const struct prefix *prefix, struct err *err)
{
    struct port *p = &st->c.port;
    struct host_hint *hint = &network_object(p->network)->hints[!prefix->is_v4];
    struct object *other;
    char text[PREFIX_STRLEN];
    if (!hint->first || !same_prefix(&hint->prefix, prefix)) {
        *hint = (struct host_hint) { *prefix, FIRST_HOST };
    }
    for (uint64_t last = last_host(prefix); hint->first <= last; hint->first++) {
        struct ip ip = ip_add(&prefix->ip, hint->first);
        if (claim_free_for_all(t->model, CLAIM_IP, p->network, ip.b, sizeof ip.b)) {
            claim_add(t->model, t, CLAIM_IP, p->network, st->o, ip.b, sizeof ip.b, &other);
            p->ips[p->n_ips++] = (struct port_ip) { .ip = ip };
            hint->first++;
            return true;
        }
    }
    return err_set(err, ERR_CONFLICT, st->path, "subnet %s has no free address left", prefix_format(prefix, text));
}

/* 52:54:00 and the port's id; the next free one when an explicit address of the network sits there. A slice's port, whose device brings an address
 * of its own, has 0e:50 and the id: nobody will want to choose that, least of all for another port. */
static bool auto_mac(struct model_txn *t, struct staged *st, struct err *err)
{
    struct port *p = &st->c.port;
    struct object *other;
    bool of_slice = p->network->slice;
    uint64_t prefix = of_slice ? UINT64_C(0x0e5000000000) : UINT64_C(0x525400000000), mask = of_slice ? UINT32_MAX : 0xffffff;
    for (uint32_t i = 0; i < 1u << 24; i++) {
        struct mac mac = mac_from_u64(prefix | ((p->id + (uint64_t) i) & mask));
        if (claim_free_for_all(t->model, CLAIM_MAC, p->network, mac.b, sizeof mac.b)) {
            claim_add(t->model, t, CLAIM_MAC, p->network, st->o, mac.b, sizeof mac.b, &other);
            p->mac = mac;
            return true;
        }
    }
    return err_set(err, ERR_CONFLICT, st->path, "no MAC address under %s is free", of_slice ? "0e:50" : "52:54:00");
}

bool port_auto_addresses(struct model_txn *t, struct staged *st, struct err *err)
{
    const struct network *n = network_view(network_object(st->c.port.network));
    return (!st->auto_mac || auto_mac(t, st, err))
        && (!st->auto_ips || !n->has_subnet || auto_ip(t, st, &n->subnet, err))
        && (!st->auto_ips || !n->has_subnet6 || auto_ip(t, st, &n->subnet6, err));
}

/* --- Claims of a port --- */

static bool has_ip(const struct port *p, const struct ip *ip)
{
    for (unsigned i = 0; i < p->n_ips; i++) {
        if (!p->ips[i].link_local && ip_equal(&p->ips[i].ip, ip)) {
            return true;
        }
    }
    return false;
}

static bool claims_device(const struct port *p)
{
    return p->edge && p->ofport_of[0];
}

static bool same_device(const struct port *a, const struct port *b)
{
    return claims_device(a) && claims_device(b) && a->edge == b->edge && !strcmp(a->ofport_of, b->ofport_of);
}

void port_drop_claims(struct model_txn *t, struct staged *st)
{
    const struct port *old = object_public(st->o), *new = st->doomed ? NULL : &st->c.port;
    if (st->o->is_new) {
        return;
    }
    if (!new || mac_u64(old->mac) != mac_u64(new->mac)) {
        claim_drop(t, CLAIM_MAC, old->network, st->o, old->mac.b, sizeof old->mac.b);
    }
    for (unsigned i = 0; i < old->n_ips; i++) {
        if (!old->ips[i].link_local && (!new || !has_ip(new, &old->ips[i].ip))) {
            claim_drop(t, CLAIM_IP, old->network, st->o, old->ips[i].ip.b, sizeof old->ips[i].ip.b);
        }
    }
    if (old->network->slice && (!new || strcmp(old->of_name, new->of_name))) {
        claim_drop(t, CLAIM_OF_NAME, old->network, st->o, old->of_name, (uint8_t) strlen(old->of_name));
    }
    if (claims_device(old) && (!new || !same_device(old, new))) {
        claim_drop(t, CLAIM_DEVICE, old->edge, st->o, old->ofport_of, (uint8_t) strlen(old->ofport_of));
    }
}

static bool taken(struct err *err, const struct staged *st, const char *member, const char *what, struct object *other)
{
    char field[160];
    return err_set(err, ERR_CONFLICT, staged_field(st, member, field), "%s is port %s's already", what, object_name(other->kind, object_public(other)));
}

bool port_add_claims(struct model_txn *t, struct staged *st, struct err *err)
{
    static const struct port none;
    const struct port *old = st->o->is_new ? &none : object_public(st->o), *new = &st->c.port;
    struct object *other;
    char text[PREFIX_STRLEN], member[24];
    if (!st->auto_mac && (st->o->is_new || mac_u64(old->mac) != mac_u64(new->mac))
        && !claim_add(t->model, t, CLAIM_MAC, new->network, st->o, new->mac.b, sizeof new->mac.b, &other)) {
        return taken(err, st, "mac", mac_format(new->mac, text), other);
    }
    for (unsigned i = 0; i < new->n_ips; i++) {
        const struct ip *ip = &new->ips[i].ip;
        if (!has_ip(old, ip) && !claim_add(t->model, t, CLAIM_IP, new->network, st->o, ip->b, sizeof ip->b, &other)) {
            snprintf(member, sizeof member, "ips[%u]", i);
            return taken(err, st, member, ip_format(ip, text), other);
        }
    }
    if (claims_device(new) && !same_device(old, new)
        && !claim_add(t->model, t, CLAIM_DEVICE, new->edge, st->o, new->ofport_of, (uint8_t) strlen(new->ofport_of), &other)) {
        return taken(err, st, "ofport_of", new->ofport_of, other);
    }
    if (new->network->slice && !st->auto_of_name && (st->o->is_new || strcmp(old->of_name, new->of_name))
        && !claim_add(t->model, t, CLAIM_OF_NAME, new->network, st->o, new->of_name, (uint8_t) strlen(new->of_name), &other)) {
        return taken(err, st, "of_name", new->of_name, other);
    }
    return true;
}

bool port_ip_equal(const struct port *a, const struct port *b)
{
    unsigned i = 0, j = 0;
    for (;; i++, j++) {
        bool a_has = i < a->n_ips && !a->ips[i].link_local, b_has = j < b->n_ips && !b->ips[j].link_local;
        if (!a_has || !b_has) {
            return a_has == b_has;      /* The link-local address is the last. */
        }
        if (!ip_equal(&a->ips[i].ip, &b->ips[j].ip)) {
            return false;
        }
    }
}

void port_of_name(struct port *p)
{
    str_copy(p->of_name, sizeof p->of_name, strrchr(p->name, '/') + 1);
}

/* --- Binding --- */

static struct numbers *slots(const struct edge *e, const struct ip *ip)
{
    return ip_is_v4(ip) ? &edge_object(e)->slots4 : &edge_object(e)->slots6;
}

void port_unbind(struct model_txn *t, const struct port *p)
{
    struct network_object *n = txn_touch(t, p->network);
    if (!p->edge) {
        return;
    }
    txn_release(t, &edge_object(p->edge)->locals, p->local);
    for (unsigned i = 0; i < p->n_ips; i++) {
        txn_release(t, slots(p->edge, &p->ips[i].ip), p->ips[i].slot);
    }
    landing_put(n, p->edge);
}

static const struct port_ip *find_ip(const struct port *p, const struct port_ip *ip)
{
    for (unsigned i = 0; i < p->n_ips; i++) {
        if (ip_equal(&p->ips[i].ip, &ip->ip)) {
            return &p->ips[i];
        }
    }
    return NULL;
}

static bool bind_slots(struct model_txn *t, struct port *p, const struct port *old, struct staged *st, struct err *err)
{
    for (unsigned i = 0; i < p->n_ips; i++) {
        struct port_ip *ip = &p->ips[i];
        const struct port_ip *had = old ? find_ip(old, ip) : NULL;
        ip->slot = had ? had->slot : txn_number(t, slots(p->edge, &ip->ip));
        if (!ip->slot) {
            err_set(err, ERR_CONFLICT, st->path, "edge %s has no provider address left", p->edge->name);
            return err_hint(err, "bind the port to another edge, or give controllerd a larger provider.ipv4_pool");
        }
    }
    for (unsigned i = 0; old && i < old->n_ips; i++) {
        if (!find_ip(p, &old->ips[i])) {
            txn_release(t, slots(old->edge, &old->ips[i].ip), old->ips[i].slot);
        }
    }
    return true;
}

bool port_bind(struct model_txn *t, struct staged *st, struct err *err)
{
    const struct port *old = st->o->is_new ? NULL : object_public(st->o);
    struct port *p = &st->c.port;
    struct network_object *n = txn_touch(t, p->network);
    bool stays = old && old->edge && old->edge == p->edge;
    if (st->link_local) {
        p->ips[p->n_ips++] = (struct port_ip) { .ip = ip_link_local_eui64(p->mac), .link_local = true };
    }
    if (old && !stays) {
        port_unbind(t, old);
        p->local = 0;
    }
    if (p->edge && !stays) {
        struct edge_object *edge = edge_object(p->edge);
        p->local = (uint16_t) txn_number(t, &edge->locals);
        if (!p->local || !landing_get(t, n, edge)) {
            err_set(err, ERR_CONFLICT, st->path, "edge %s has no port number left", p->edge->name);
            return err_hint(err, "bind the port to another edge");
        }
    }
    for (unsigned i = 0; i < p->n_ips; i++) {
        p->ips[i].slot = 0;
    }
    return !p->edge || bind_slots(t, p, stays ? old : NULL, st, err);
}
