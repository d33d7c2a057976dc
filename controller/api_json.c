/* Bodies of the API: objects and changes. */
#include "controller/rest_impl.h"

#include <string.h>
#include "controller/fabric.h"
#include "controller/ruleset.h"
#include "controller/substrate.h"

/* Moves the members of `from` (freed; may be NULL) to `to`; what `to` has already stays. */
static void merge(cJSON *to, cJSON *from)
{
    while (from && from->child) {
        cJSON *item = cJSON_DetachItemViaPointer(from, from->child);
        if (cJSON_GetObjectItemCaseSensitive(to, item->string)) {
            cJSON_Delete(item);
        } else {
            cJSON_AddItemToObject(to, item->string, item);
        }
    }
    cJSON_Delete(from);
}

static void add_switch_status(struct controller *c, cJSON *status, const struct edge *edge)
{
    struct sw *sw = substrate_find(c->substrate, edge->datapath_id);
    unsigned n_links = 0;
    if (!sw) {
        return;
    }
    json_add_bool(status, "connected", sw->connected);
    if (sw->connected) {
        json_add_string(status, "peer", sw->peer);
        json_add_bool(status, "is_vswitchd", sw->is_vswitchd);
        json_add_u64(status, "connected_s", (clock_now_ns(&c->clock) - sw->connected_ns) / 1000000000);
        for (unsigned i = 0; i < sw->n_ports; i++) {
            n_links += sw->ports[i].has_link;
        }
        json_add_u64(status, "links", n_links);
    }
    merge(status, reconcile_json(c->reconcile, sw));
}

/* Where QEMU connects, once vswitchd has made it. */
static void add_port_status(struct controller *c, cJSON *status, const struct port *port)
{
    struct sw *sw = port->edge && !port->link ? substrate_find(c->substrate, port->edge->datapath_id) : NULL;
    char name[33];
    const struct sw_port *device = sw && sw->connected ? sw_port_by_name(sw, port_device_name(port, name)) : NULL;
    const char *path = device ? sw_port_socket(sw, device->of.port_no) : NULL;
    if (path) {
        json_add_string(status, "vhost_socket", path);
    }
}

/* What a tenant may read of its objects' status: nothing of the substrate. */
static void keep_tenant_status(cJSON *status)
{
    static const char *const keys[] = {
        "state", "ports", "ports_up", "vpcs", "networks", "slices", "switches", "links",                /* Counts, also those that quotas limit. */
        "mac", "link", "peer", "controllers", "error", "flow_entries", "groups", "meters", "physical_entries",
    };
    for (cJSON *item = status->child, *next; item; item = next) {
        bool keep = false;
        next = item->next;
        for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
            keep |= !strcmp(item->string, keys[i]);
        }
        if (!keep) {
            cJSON_Delete(cJSON_DetachItemViaPointer(status, item));
        }
    }
}

cJSON *api_object(struct controller *c, enum model_kind kind, const void *object, bool for_operator)
{
    cJSON *o = cJSON_CreateObject();
    json_add_string(o, "kind", kind_name(kind));
    json_add_string(o, "name", object_name(kind, object));
    json_add_format(o, "revision", "%llu", (unsigned long long) object_revision(kind, object));
    cJSON *spec = model_spec_json(kind, object);
    cJSON_AddItemToObject(o, "spec", spec);
    cJSON *status = json_add_object(o, "status");
    merge(status, fabric_status_json(c->fabric, kind, object));
    merge(status, model_alloc_json(c->model, kind, object));
    if (kind == KIND_EDGE || kind == KIND_FABRIC_SWITCH) {
        add_switch_status(c, status, object);
    } else if (kind == KIND_PORT || kind == KIND_SWITCH_PORT) {
        add_port_status(c, status, object);
    }
    if (!for_operator) {
        keep_tenant_status(status);
        cJSON_DeleteItemFromObjectCaseSensitive(spec, "via");   /* Fabric switches. */
    }
    return o;
}

static void add_field(cJSON *list, const char *name, const cJSON *old, const cJSON *new)
{
    cJSON *f = json_append_object(list);
    json_add_string(f, "field", name);
    cJSON_AddItemToObject(f, "old", old ? cJSON_Duplicate(old, true) : cJSON_CreateNull());
    cJSON_AddItemToObject(f, "new", new ? cJSON_Duplicate(new, true) : cJSON_CreateNull());
}

/* The members in which two specs differ. */
static void add_fields(cJSON *list, const cJSON *old, const cJSON *new)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, new) {
        const cJSON *before = cJSON_GetObjectItemCaseSensitive(old, item->string);
        if (!before || !cJSON_Compare(before, item, true)) {
            add_field(list, item->string, before, item);
        }
    }
    cJSON_ArrayForEach(item, old) {
        if (new && !cJSON_GetObjectItemCaseSensitive(new, item->string)) {
            add_field(list, item->string, item, NULL);
        }
    }
}

cJSON *api_changes(const struct model_change *changes, unsigned n)
{
    static const char *const actions[] = { [MODEL_CREATE] = "create", [MODEL_UPDATE] = "update", [MODEL_DELETE] = "delete" };
    cJSON *list = cJSON_CreateArray();
    for (unsigned i = 0; i < n; i++) {
        const struct model_change *c = &changes[i];
        cJSON *o = json_append_object(list);
        json_add_string(o, "action", actions[c->action]);
        json_add_string(o, "kind", kind_name(c->kind));
        json_add_string(o, "name", c->name);
        add_fields(json_add_array(o, "fields"), c->old_spec, c->action == MODEL_DELETE ? NULL : c->new_spec);
    }
    return list;
}
