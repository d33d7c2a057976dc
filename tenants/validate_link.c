/* Reading the virtual links of a slice, and the ports that are their ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenants/model_impl.h"

#define MAX_VIA 32

static bool conflict(struct reading *d, const char *path, const char *member, const char *message, const char *name, const char *hint)
{
    char field[160];
    snprintf(field, sizeof field, "%.120s%s%s", path, member ? "." : "", member ? member : "");
    err_set(d->err, ERR_CONFLICT, field, message, name);
    return err_hint(d->err, "%s", hint);
}

/* --- Ends --- */

/* How an end was written: "s1/p1", or an object with a number and an edge for the port. */
struct end { const char *switch_name, *port_name, *edge_name; char text[2 * 33]; uint32_t number; enum doc_value edge; };

static bool read_end(struct json_reader *e, struct end *out)
{
    *out = (struct end) { .number = 0 };
    if (cJSON_IsObject(e->value)) {
        out->switch_name = doc_name(e, "switch");
        out->port_name = out->switch_name ? doc_name(e, "port") : NULL;
        out->number = (uint32_t) json_u64(e, "number", 1, PORT_MAX_NUMBER, 0);
        out->edge = doc_string(e, "edge", &out->edge_name);
        return json_end(e);
    }
    const char *text = json_value_string(e);
    const char *slash = e->err->code ? NULL : strchr(text, '/');
    if (slash && strlen(text) < sizeof out->text) {
        str_copy(out->text, sizeof out->text, text);
        out->text[slash - text] = '\0';
        out->switch_name = out->text;
        out->port_name = out->text + (slash - text) + 1;
        if (name_valid(out->switch_name) && name_valid(out->port_name)) {
            return true;
        }
    }
    if (!e->err->code) {
        json_fail(e, NULL, "%.70s is not SWITCH/PORT", text);
        err_hint(e->err, "name a switch of the slice and a port there, which is made if it is not there");
    }
    return false;
}

/* Stages the port with what the end says of it. */
static bool stage_end(struct reading *d, struct json_reader *e, const struct end *end, struct object *o)
{
    struct staged *st = txn_stage(d->txn, o, e->path, d->err);
    struct port_given given = { .edge = end->edge, .edge_name = end->edge_name };
    if (!st || !switch_port_number(d, st, end->number) || !port_place(d, e, st, &given)) {
        return false;
    }
    st->auto_edge = o->is_new && end->edge == DOC_ABSENT;
    st->auto_mac = st->auto_of_name = o->is_new;
    st->auto_number = o->is_new && !end->number;
    st->changed = o->is_new || st->c.port.edge != ((struct port *) object_public(o))->edge;
    return true;
}

/* The port that an end of the link names; made when it is not there.  NULL and an error when it cannot be one. */
static struct port *link_end(struct reading *d, struct json_reader *e, struct slice_object *slice, const struct vlink *link)
{
    struct end end;
    char full[MODEL_NAME_SIZE];
    if (!read_end(e, &end)) {
        return NULL;
    }
    snprintf(full, sizeof full, "%.100s/%s", slice->slice.name, end.switch_name);
    struct object *s = model_lookup(d->model, KIND_SWITCH, full), *o;
    if (!s) {
        json_fail(e, NULL, "there is no switch %s", full);
        return NULL;
    }
    snprintf(full, sizeof full, "%.100s/%s/%s", slice->slice.name, end.switch_name, end.port_name);
    o = model_lookup(d->model, KIND_SWITCH_PORT, full);
    if (o) {
        const struct port *now = port_view(object_public(o));
        if (now->link && now->link != link) {
            conflict(d, e->path, NULL, "it is an end of virtual link %s", now->link->name, "name another port, or delete that link first");
            return NULL;
        }
        if (!o->is_new && !now->link) {
            conflict(d, e->path, NULL, "%s is a port with a device", full, "name another port, or delete this one first");
            return NULL;
        }
        if (o->staged && o->staged->doomed) {
            conflict(d, e->path, NULL, "%s goes with the change of its link", full, "name another port");
            return NULL;
        }
        if (o->staged && (end.number || end.edge != DOC_ABSENT)) {
            conflict(d, e->path, NULL, "%s is among its switch's ports, too", full, "say its number and its edge there");
            return NULL;
        }
    } else if (!(o = switch_port_new(d, e->path, object_public(s), full))) {
        return NULL;
    }
    if (!o->staged && (o->is_new || end.number || end.edge != DOC_ABSENT) && !stage_end(d, e, &end, o)) {
        return NULL;
    }
    if (o->is_new) {
        o->staged->c.port.link = (struct vlink *) link;
    }
    return object_public(o);
}

static bool is_end(const struct vlink *l, const struct port *p) { return l->ends[0] == p || l->ends[1] == p; }

/* Ports that are ends no more go. */
static bool replace_ends(struct reading *d, const struct staged *st)
{
    const struct vlink *old = object_public(st->o);
    for (unsigned i = 0; i < 2 && !st->o->is_new; i++) {
        if (is_end(&st->c.link, old->ends[i])) {
            continue;
        }
        struct object *o = &port_object(old->ends[i])->o;
        if (o->staged) {
            return conflict(d, o->staged->path, NULL, "%s goes with the change of its link", old->ends[i]->name, "leave it out");
        }
        stage_delete(d->txn, o, st->path);
    }
    return true;
}

static bool read_ends(struct reading *d, struct json_reader *r, struct slice_object *slice, struct staged *st)
{
    struct json_reader array, e;
    struct vlink *c = &st->c.link;
    if (!json_array(r, "ends", st->o->is_new, &array)) {
        return !d->err->code;
    }
    if (json_array_size(&array) != 2) {
        return json_fail(r, "ends", "has %zu ports; a link joins two", json_array_size(&array));
    }
    for (unsigned i = 0; i < 2; i++) {
        json_element(&array, i, &e);
        c->ends[i] = link_end(d, &e, slice, object_public(st->o));
        if (!c->ends[i]) {
            return false;
        }
    }
    if (c->ends[0] == c->ends[1]) {
        return json_fail(r, "ends", "are one port; a link joins two");
    }
    return replace_ends(d, st);
}

/* --- Links --- */

void read_link_spec(struct json_reader *r, const struct model *m, struct vlink *c)
{
    struct json_reader array, e;
    c->admin_down = json_bool(r, "admin_down", c->admin_down);
    if (!json_array(r, "via", false, &array)) {
        return;
    }
    size_t n = json_array_size(&array);
    if (n > MAX_VIA) {
        json_fail(r, "via", "has %zu switches; there may be %d", n, MAX_VIA);
        return;
    }
    strings_free(c->via, c->n_via);
    c->via = xcalloc(n + 1, sizeof *c->via);
    c->n_via = 0;
    for (size_t i = 0; i < n && !r->err->code; i++) {
        json_element(&array, i, &e);
        const char *name = json_value_string(&e);
        if (!r->err->code && !model_lookup(m, KIND_EDGE, name) && !model_lookup(m, KIND_FABRIC_SWITCH, name)) {
            json_fail(&e, NULL, "there is no edge and no fabric switch %.40s", name);
        } else if (!r->err->code && i && !strcmp(name, c->via[i - 1])) {
            json_fail(&e, NULL, "%.40s is there twice", name);
        } else if (!r->err->code) {
            c->via[c->n_via++] = xstrdup(name);
        }
    }
}

static struct object *link_get(struct reading *d, struct json_reader *r, struct slice_object *slice, const char *full)
{
    struct object *o = model_lookup(d->model, KIND_LINK, full);
    struct tenant_object *tenant = tenant_object(slice->slice.tenant);
    if (o) {
        return o;
    }
    if (tenant->next.links >= tenant_view(tenant)->quota.links) {
        err_set(d->err, ERR_CONFLICT, r->path, "tenant %s may have %u virtual links and has them", tenant->tenant.name, tenant_view(tenant)->quota.links);
        return NULL;
    }
    o = txn_create(d->txn, KIND_LINK, full);
    ((struct vlink *) object_public(o))->slice = &slice->slice;
    tenant->next.links++;
    return o;
}

static void touch_ends(struct model_txn *t, const struct vlink *l)
{
    for (unsigned i = 0; i < 2 && l->ends[i]; i++) {
        txn_touch(t, l->ends[i]->network);
    }
}

static bool read_link(struct reading *d, struct json_reader *r, struct slice_object *slice)
{
    char full[MODEL_NAME_SIZE];
    const char *name = json_is_object(r) ? doc_name(r, "name") : NULL;
    if (!name) {
        return false;
    }
    snprintf(full, sizeof full, "%.100s/%s", slice->slice.name, name);
    struct object *o = link_get(d, r, slice, full);
    struct staged *st = o ? txn_stage(d->txn, o, r->path, d->err) : NULL;
    if (!st) {
        return false;
    }
    struct vlink *c = &st->c.link, *old = object_public(o);
    read_link_spec(r, d->model, c);
    if (d->err->code || !read_ends(d, r, slice, st) || !json_end(r)) {
        return false;
    }
    bool same_via = strings_equal(c->via, c->n_via, old->via, old->n_via);
    if (d->tenant && !same_via) {
        json_fail(r, "via", "only an operator may fix a link's path");
        d->err->code = ERR_DENIED;
        return false;
    }
    st->changed = o->is_new || !same_via || c->admin_down != old->admin_down || c->ends[0] != old->ends[0] || c->ends[1] != old->ends[1];
    if (st->changed) {
        touch_ends(d->txn, c);
        touch_ends(d->txn, old);
    }
    return true;
}

bool read_links(struct reading *d, struct json_reader *slice_reader, struct slice_object *slice)
{
    struct json_reader array, r;
    if (!json_array(slice_reader, "links", false, &array)) {
        return !d->err->code;
    }
    for (size_t i = 0; i < json_array_size(&array); i++) {
        json_element(&array, i, &r);
        if (!read_link(d, &r, slice)) {
            return false;
        }
    }
    return true;
}
