/* What the open transaction's virtual switches and their ports get: places, numbers, names, datapath ids. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/model_impl.h"

static bool has_edge(const struct network *n, const struct edge *e)
{
    for (unsigned i = 0; i < n->n_edges; i++) {
        if (n->edges[i] == e) {
            return true;
        }
    }
    return false;
}

/* --- Ports --- */

static bool link_port_bare(struct staged *st, struct err *err)
{
    const struct port *c = &st->c.port;
    const char *member = c->n_ips ? "ips" : c->ofport_of[0] ? "ofport_of" : st->link_local ? "mac"
                         : strcmp(c->vhost_role, "client") || c->vhost_queues != 1 ? "vhost" : NULL;
    char field[160];
    return !member || err_set(err, ERR_INVALID, staged_field(st, member, field), "an end of a virtual link has no device and no address of its own");
}

bool switch_port_place(struct model_txn *t, struct staged *st, struct err *err)
{
    struct port *c = &st->c.port;
    const struct network *n = network_view(network_object(c->network));
    char field[160];
    if (st->auto_edge && (c->link || n->n_edges == 1)) {
        c->edge = n->edges[0];
    } else if (st->auto_edge) {
        err_set(err, ERR_INVALID, staged_field(st, "edge", field), "is required: the switch is on %u edges", n->n_edges);
        return err_hint(err, "name one of them, or null for none yet");
    }
    if (c->link && !c->edge) {
        return err_set(err, ERR_INVALID, staged_field(st, "edge", field), "an end of a virtual link is on an edge");
    }
    if (c->ofport_of[0] && !c->edge) {
        return err_set(err, ERR_INVALID, staged_field(st, "ofport_of", field), "needs an edge, whose port it names");
    }
    if (c->edge && !has_edge(n, c->edge)) {
        err_set(err, ERR_CONFLICT, staged_field(st, "edge", field), "%s is not among the edges of switch %s", c->edge->name, network_object(c->network)->network.name);
        return err_hint(err, "add it to the switch's edges");
    }
    if (c->link) {
        const struct vlink *l = link_view(link_object(c->link));
        txn_touch(t, l->ends[0]->network);      /* The other end sends to where this one is. */
        txn_touch(t, l->ends[1]->network);
    }
    return !c->link || link_port_bare(st, err);
}

/* The port's own name as far as it fits, or "p<number>" when another port is called so. */
static bool auto_of_name(struct model_txn *t, struct staged *st, struct err *err)
{
    struct port *c = &st->c.port;
    struct object *other;
    char field[160];
    port_of_name(c);
    if (!claim_free_for_all(t->model, CLAIM_OF_NAME, c->network, c->of_name, (uint8_t) strlen(c->of_name))) {
        snprintf(c->of_name, sizeof c->of_name, "p%u", c->number);
    }
    return claim_add(t->model, t, CLAIM_OF_NAME, c->network, st->o, c->of_name, (uint8_t) strlen(c->of_name), &other)
        || err_set(err, ERR_CONFLICT, staged_field(st, "of_name", field), "%s is port %s's already", c->of_name, object_name(other->kind, object_public(other)));
}

bool switch_port_auto(struct model_txn *t, struct staged *st, struct err *err)
{
    struct port *c = &st->c.port;
    if (st->auto_number) {
        uint32_t number = txn_number(t, &network_object(c->network)->numbers);
        if (!number) {
            return err_set(err, ERR_CONFLICT, st->path, "switch %s has no port number left", c->network->name);
        }
        switch_port_numbered(st, number);
    }
    return !st->auto_of_name || auto_of_name(t, st, err);
}

/* --- Switches --- */

/* Ports that the document leaves alone must still be on one of the switch's edges. */
bool switch_check_ports(const struct staged *st, struct err *err)
{
    const struct network *old = object_public(st->o), *c = &st->c.network;
    char field[160];
    for (unsigned i = 0; i < old->n_ports; i++) {
        const struct port_object *p = port_object(old->ports[i]);
        const struct edge *e = port_view(p)->edge;
        if (!(p->o.staged && p->o.staged->doomed) && e && !has_edge(c, e)) {
            err_set(err, ERR_CONFLICT, staged_field(st, "edges", field), "port %s is on %s", p->port.name, e->name);
            return err_hint(err, "bind the port to another edge in the same document, or delete it first");
        }
    }
    return true;
}

static bool listens(const struct network *n, const char *target)
{
    for (unsigned i = 0; i < n->n_listen; i++) {
        if (!strcmp(n->listen[i], target)) {
            return true;
        }
    }
    return false;
}

void switch_drop_claims(struct model_txn *t, const struct staged *st)
{
    const struct network *old = object_public(st->o);
    if (st->kind != KIND_SWITCH || st->o->is_new) {
        return;
    }
    if (st->doomed) {
        claim_drop(t, CLAIM_SWITCH_DPID, old->slice, st->o, &old->datapath_id, sizeof old->datapath_id);
    }
    for (unsigned i = 0; i < old->n_listen; i++) {
        if (st->doomed || !listens(&st->c.network, old->listen[i])) {
            claim_drop(t, CLAIM_LISTEN, NULL, st->o, old->listen[i], (uint8_t) strlen(old->listen[i]));
        }
    }
}

bool switch_add_claims(struct model_txn *t, struct staged *st, struct err *err)
{
    static const struct network none;
    const struct network *old = st->o->is_new ? &none : object_public(st->o);
    struct network *c = &st->c.network;
    struct object *other;
    char field[160], member[24];
    if (st->o->is_new && !st->auto_datapath_id
        && !claim_add(t->model, t, CLAIM_SWITCH_DPID, c->slice, st->o, &c->datapath_id, sizeof c->datapath_id, &other)) {
        return err_set(err, ERR_CONFLICT, staged_field(st, "datapath_id", field), "%016" PRIx64 " is switch %s's already", c->datapath_id,
                       object_name(other->kind, object_public(other)));
    }
    for (unsigned i = 0; i < c->n_listen; i++) {
        if (!listens(old, c->listen[i]) && !claim_add(t->model, t, CLAIM_LISTEN, NULL, st->o, c->listen[i], (uint8_t) strlen(c->listen[i]), &other)) {
            /* Whose it is, is another tenant's business. */
            bool own = object_owner(other->kind, object_public(other)) == c->slice->tenant;
            snprintf(member, sizeof member, "listen[%u]", i);
            return err_set(err, ERR_CONFLICT, staged_field(st, member, field), "%s is taken by %s", c->listen[i],
                           own ? object_name(other->kind, object_public(other)) : "another switch");
        }
    }
    return true;
}

/* The switch's id, which no other switch of the site has, unless someone chose it in this slice. */
bool switch_auto(struct model_txn *t, struct staged *st)
{
    struct network *c = &st->c.network;
    struct object *other;
    if (st->auto_datapath_id) {
        c->datapath_id = c->id;
        while (!claim_free_for_all(t->model, CLAIM_SWITCH_DPID, c->slice, &c->datapath_id, sizeof c->datapath_id)) {
            c->datapath_id++;
        }
        claim_add(t->model, t, CLAIM_SWITCH_DPID, c->slice, st->o, &c->datapath_id, sizeof c->datapath_id, &other);
    }
    return true;
}
