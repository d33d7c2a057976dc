/* What compiling knows, for the API and the metrics.  See fabric.h. */
#include <inttypes.h>
#include <string.h>

#include "controller/fabric_impl.h"
#include "controller/limits.h"
#include "controller/link_routes.h"
#include "controller/room.h"
#include "controller/slice.h"
#include "controller/vsw_counters.h"
#include "lib/json.h"

static bool edge_connected(struct fabric *f, const struct port *port)
{
    const struct sw *sw = port->edge ? substrate_find(f->controller->substrate, port->edge->datapath_id) : NULL;
    return sw && sw->connected;
}

/* As its virtual switch tells its controllers; what edges are not connected are not live. */
static bool port_live(struct fabric *f, const struct port *port)
{
    const struct vsw *vsw = fabric_find_vsw(f, port->network->id);
    return vsw && edge_connected(f, port) && vsw_port_live(vsw, port);
}

static cJSON *link_status(struct fabric *f, const struct vlink *l)
{
    cJSON *json = cJSON_CreateObject();
    bool down = l->admin_down || l->ends[0]->admin_down || l->ends[1]->admin_down;
    json_add_string(json, "state", down ? "admin-down" : port_live(f, l->ends[0]) && port_live(f, l->ends[1]) ? "up" : "down");
    cJSON_AddItemToObject(json, "path", link_path_json(f->controller, l));
    return json;
}

static cJSON *port_status(struct fabric *f, const struct port *port)
{
    cJSON *json = cJSON_CreateObject();
    struct sw *sw = port->edge ? substrate_find(f->controller->substrate, port->edge->datapath_id) : NULL;
    char name[33];
    const struct sw_port *device = sw && !port->link ? sw_port_by_name(sw, port_device_name(port, name)) : NULL;
    bool up = port->network->slice ? port_live(f, port) : device && !(device->of.state & OFPPS_LINK_DOWN);

    json_add_string(json, "state", !port->edge ? "unbound" : !edge_connected(f, port) ? "edge-down" : port->admin_down ? "admin-down"
                    : !device && !port->link ? "pending" : up ? "up" : "down");
    if (port->edge && !port->link) {
        json_add_string(json, "device", port_device_name(port, name));
    }
    if (device) {
        json_add_u64(json, "edge_port", device->of.port_no);
    }
    return json;
}

cJSON *fabric_status_json(struct fabric *f, enum model_kind kind, const void *object)
{
    if (kind == KIND_PORT || kind == KIND_SWITCH_PORT) {
        return port_status(f, object);
    }
    if (kind == KIND_LINK) {
        return link_status(f, object);
    }
    if (kind == KIND_EDGE) {
        cJSON *json = cJSON_CreateObject();
        room_status_json(f, object, json);
        return json;
    }
    if (kind == KIND_NETWORK || kind == KIND_SWITCH) {
        const struct network *network = object;
        const struct vsw *vsw = fabric_find_vsw(f, network->id);
        unsigned up = 0;
        for (unsigned i = 0; i < network->n_ports; i++) {
            cJSON *status = port_status(f, network->ports[i]);
            const cJSON *state = cJSON_GetObjectItemCaseSensitive(status, "state");
            up += !strcmp(state->valuestring, "up");
            cJSON_Delete(status);
        }
        cJSON *json = cJSON_CreateObject();
        json_add_u64(json, "ports", network->n_ports);
        json_add_u64(json, "ports_up", up);
        json_add_u64(json, "flow_entries", vsw ? flow_tables_count(vsw->flows, OFPTT_ALL) : 0);
        json_add_u64(json, "interned_pairs", vsw ? vsw->n_pairs[PAIRS_ALL] : 0);
        if (vsw && vsw->is_slice) {
            slice_status_json(vsw, json);
        }
        return json;
    }
    return NULL;
}

void fabric_whois(const struct fabric *f, cJSON *answer)
{
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(answer, "id"), *name = cJSON_GetObjectItemCaseSensitive(answer, "edge");
    const struct edge *edge = id && name ? model_find(f->controller->model, KIND_EDGE, name->valuestring) : NULL;
    if (!edge || id->valuedouble < PROVIDER_FIRST_INTERNED) {
        return;
    }
    cJSON *pairs = json_add_array(answer, "pairs");
    const struct vsw *vsw;
    HMAP_FOR_EACH (vsw, node, &f->vsws) {
        const struct pair *pair;
        LIST_FOR_EACH (pair, node, &vsw->pairs) {
            char text[MAC_STRLEN];
            if (pair->edge == edge->index && pair->id == (uint32_t) id->valuedouble) {
                cJSON *o = json_append_object(pairs);
                json_add_string(o, "tenant", network_tenant(vsw->network)->name);
                json_add_string(o, vsw->is_slice ? "switch" : "network", vsw->network->name);
                json_add_string(o, "source", mac_format(pair->src, text));
                json_add_string(o, "destination", mac_format(pair->dst, text));
            }
        }
    }
}

void fabric_metrics(struct fabric *f, struct buf *out)
{
    buf_printf(out, "# HELP polder_compiles_total Networks compiled\n# TYPE polder_compiles_total counter\npolder_compiles_total %" PRIu64 "\n",
               f->n_compiles);
    buf_printf(out, "# HELP polder_compile_seconds_total Time spent compiling\n# TYPE polder_compile_seconds_total counter\n"
               "polder_compile_seconds_total %.6f\n", (double) f->compile_ns / 1e9);
    const struct { const char *name, *help; uint64_t value; } rows[] = {
        { "packet_ins_total", "Packet-ins handed to tenants' controllers", f->n_packet_ins },
        { "packet_ins_lost_total", "Packet-ins of no slice, of a port that wants none, or that no controller took", f->n_packet_ins_lost },
        { "packet_outs_total", "Packet-outs of tenants' controllers sent to an edge", f->n_packet_outs },
        { "packet_outs_lost_total", "Packet-outs for which no edge was connected", f->n_packet_outs_lost },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        buf_printf(out, "# HELP polder_slice_%s %s\n# TYPE polder_slice_%s counter\npolder_slice_%s %" PRIu64 "\n", rows[i].name, rows[i].help, rows[i].name,
                   rows[i].name, rows[i].value);
    }
    limits_metrics(f, out);
    intern_metrics(f->intern, out);
    vsw_stats_metrics(f->stats, out);
}
