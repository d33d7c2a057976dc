/* Tables, and JSON values for people. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/util.h"
#include "tenants/vpcctl.h"
#include "tenants/yaml.h"

const cJSON *json_at(const cJSON *o, const char *dotted)
{
    char key[40];
    while (o && *dotted) {
        size_t n = strcspn(dotted, ".");
        str_copy(key, MIN(sizeof key, n + 1), dotted);
        o = cJSON_GetObjectItemCaseSensitive(o, key);
        dotted += n + (dotted[n] == '.');
    }
    return o;
}

const char *json_get(const cJSON *o, const char *dotted)
{
    const char *text = cJSON_GetStringValue(json_at(o, dotted));
    return text ? text : "";
}

void put_value(struct buf *out, const cJSON *v)
{
    const cJSON *c;
    if (!v || cJSON_IsNull(v)) {
        buf_puts(out, "none");
    } else if (cJSON_IsString(v)) {
        buf_puts(out, v->valuestring);
    } else if (cJSON_IsArray(v) || cJSON_IsObject(v)) {
        cJSON_ArrayForEach(c, v) {
            buf_printf(out, "%s%s%s", c == v->child ? "" : ",", cJSON_IsObject(v) ? c->string : "", cJSON_IsObject(v) ? "=" : "");
            put_value(out, c);
        }
        if (!v->child) {
            buf_puts(out, "none");
        }
    } else {
        char *text = json_text(v, false);
        buf_puts(out, text);
        free(text);
    }
}

void print_json(const cJSON *json, enum output output)
{
    struct buf out = BUF_INIT;
    if (output == OUTPUT_YAML) {
        yaml_write(&out, json);
    } else {
        char *text = json_text(json, true);
        buf_printf(&out, "%s\n", text);
        free(text);
    }
    fputs(buf_cstr(&out), stdout);
    buf_fini(&out);
}

/* --- Cells --- */

typedef void cell_fn(struct buf *, const cJSON *item, const char *path);

static void cell_value(struct buf *out, const cJSON *item, const char *path)
{
    const cJSON *v = json_at(item, path);
    if (v && !cJSON_IsNull(v) && (v->child || !(cJSON_IsArray(v) || cJSON_IsObject(v)))) {
        put_value(out, v);
    }
}

/* "used/quota": path is the member of both. */
static void cell_quota(struct buf *out, const cJSON *item, const char *path)
{
    const cJSON *used = json_at(json_at(item, "status"), path), *quota = json_at(json_at(item, "spec.quota"), path);
    if (used) {
        put_value(out, used);
        buf_puts(out, "/");
    }
    if (quota) {
        put_value(out, quota);
    }
}

/* One member of each element of a list: "path:member". */
static void cell_members(struct buf *out, const cJSON *item, const char *path)
{
    char list[40];
    const char *colon = strchr(path, ':');
    const cJSON *e;
    size_t start = out->size;
    str_copy(list, MIN(sizeof list, (size_t) (colon - path) + 1), path);
    cJSON_ArrayForEach(e, json_at(item, list)) {
        if (json_at(e, colon + 1)) {
            buf_puts(out, out->size > start ? "," : "");
            put_value(out, json_at(e, colon + 1));
        }
    }
}

/* A switch: what reconcile says, or only whether it is connected. */
static void cell_switch_state(struct buf *out, const cJSON *item, const char *path)
{
    const cJSON *connected = json_at(item, "status.connected");
    if (json_at(item, path)) {
        cell_value(out, item, path);
    } else if (connected) {
        buf_puts(out, cJSON_IsTrue(connected) ? "connected" : "disconnected");
    }
}

static void cell_link_end(struct buf *out, const cJSON *item, const char *path)
{
    const cJSON *end = json_at(item, path);
    if (end) {
        buf_printf(out, "%s ", json_get(end, "switch"));
        put_value(out, json_get(end, "port_name")[0] ? json_at(end, "port_name") : json_at(end, "port"));
    }
}

/* What an edge's tenants are guaranteed, of what is left for them; and whether that does not fit. */
static void cell_guaranteed(struct buf *out, const cJSON *item, const char *path UNUSED)
{
    const cJSON *guaranteed = json_at(item, "status.guaranteed_entries"), *own = json_at(item, "status.own_entries"), *size = json_at(item, "spec.flow_entries");
    const cJSON *over = json_at(item, "status.overcommitted_entries");
    if (!guaranteed) {
        return;
    }
    put_value(out, guaranteed);
    if (cJSON_IsNumber(size) && size->valuedouble > 0) {
        buf_printf(out, "/%.0f%s", MAX(size->valuedouble - (cJSON_IsNumber(own) ? own->valuedouble : 0), 0.0), over ? "!" : "");
    } else {
        buf_puts(out, "/?");
    }
}

struct column { const char *title, *path; cell_fn *cell; bool wide; };
static const struct column tenant_columns[] = {
    { "NAME", "name", cell_value, false }, { "VPCS", "vpcs", cell_quota, false }, { "NETWORKS", "networks", cell_quota, false }, { "PORTS", "ports", cell_quota, false },
    { "SLICES", "slices", cell_quota, false }, { "SWITCHES", "switches", cell_quota, false }, { "LINKS", "links", cell_quota, true },
    { "FLOW-ENTRIES", "flow_entries", cell_quota, true }, { "GUARANTEED", "edge_entries", cell_quota, true },
    { "GROUPS", "groups", cell_quota, true }, { "METERS", "meters", cell_quota, true },
    { "PACKET-INS/S", "packet_in_rate", cell_quota, true }, { "FLOW-MODS/S", "flow_mod_rate", cell_quota, true },
    { "CONNECTIONS/S", "connection_rate", cell_quota, true },
    { "REVISION", "revision", cell_value, true }, { 0 },
};
static const struct column vpc_columns[] = {
    { "NAME", "name", cell_value, false }, { "TENANT", "spec.tenant", cell_value, false }, { "REVISION", "revision", cell_value, true }, { 0 },
};
static const struct column network_columns[] = {
    { "NAME", "name", cell_value, false }, { "SUBNET", "spec.subnet", cell_value, false }, { "SUBNET6", "spec.subnet6", cell_value, false },
    { "PORTS", "status.ports", cell_value, false }, { "UP", "status.ports_up", cell_value, false }, { "EDGES", "status.landings:edge", cell_members, false },
    { "ID", "status.id", cell_value, true }, { "LANDINGS", "status.landings:provider_mac", cell_members, true }, { "REVISION", "revision", cell_value, true }, { 0 },
};
static const struct column port_columns[] = {
    { "NAME", "name", cell_value, false }, { "MAC", "spec.mac", cell_value, false }, { "IPS", "spec.ips", cell_value, false }, { "EDGE", "spec.edge", cell_value, false },
    { "STATE", "status.state", cell_value, false }, { "ID", "status.id", cell_value, true }, { "DEVICE", "status.device", cell_value, true },
    { "LANDING", "status.provider_mac", cell_value, true }, { "PROVIDER-IPS", "status.addresses:provider", cell_members, true },
    { "VHOST-SOCKET", "status.vhost_socket", cell_value, true }, { "REVISION", "revision", cell_value, true }, { 0 },
};
static const struct column slice_columns[] = {
    { "NAME", "name", cell_value, false }, { "SWITCHES", "status.switches", cell_value, false }, { "LINKS", "status.links", cell_value, false },
    { "CONTROLLERS", "spec.controllers", cell_value, false }, { "REVISION", "revision", cell_value, true }, { 0 },
};
static const struct column switch_columns[] = {
    { "NAME", "name", cell_value, false }, { "DATAPATH-ID", "spec.datapath_id", cell_value, false }, { "EDGES", "spec.edges", cell_value, false },
    { "PORTS", "status.ports", cell_value, false }, { "UP", "status.ports_up", cell_value, false },
    { "CONTROLLERS", "status.controllers:state", cell_members, false }, { "FLOWS", "status.flow_entries", cell_value, false },
    { "PEERS", "status.controllers:peer", cell_members, true }, { "ROLES", "status.controllers:role", cell_members, true },
    { "GROUPS", "status.groups", cell_value, true }, { "METERS", "status.meters", cell_value, true }, { "RULES", "status.physical_entries", cell_value, true },
    { "LISTEN", "spec.listen", cell_value, true }, { "ID", "status.id", cell_value, true }, { "ERROR", "status.error", cell_value, true },
    { "REVISION", "revision", cell_value, true }, { 0 },
};
static const struct column switch_port_columns[] = {
    { "NAME", "name", cell_value, false }, { "NUMBER", "spec.number", cell_value, false }, { "EDGE", "spec.edge", cell_value, false },
    { "STATE", "status.state", cell_value, false }, { "PEER", "status.peer", cell_value, false }, { "OF-NAME", "spec.of_name", cell_value, true },
    { "MAC", "status.mac", cell_value, true }, { "IPS", "spec.ips", cell_value, true }, { "ID", "status.id", cell_value, true },
    { "DEVICE", "status.device", cell_value, true }, { "LANDING", "status.provider_mac", cell_value, true },
    { "PROVIDER-IPS", "status.addresses:provider", cell_members, true }, { "VHOST-SOCKET", "status.vhost_socket", cell_value, true },
    { "REVISION", "revision", cell_value, true }, { 0 },
};
static const struct column virtual_link_columns[] = {
    { "NAME", "name", cell_value, false }, { "ENDS", "spec.ends", cell_value, false }, { "STATE", "status.state", cell_value, false },
    { "PATH", "status.path", cell_value, false }, { "VIA", "spec.via", cell_value, true }, { "REVISION", "revision", cell_value, true }, { 0 },
};
static const struct column edge_columns[] = {
    { "NAME", "name", cell_value, false }, { "DATAPATH-ID", "spec.datapath_id", cell_value, false }, { "STATE", "status.state", cell_switch_state, false },
    { "PORTS", "status.ports", cell_value, false }, { "LINKS", "status.links", cell_value, false }, { "RULES", "status.rules", cell_value, false },
    { "GUARANTEED", "status", cell_guaranteed, false }, { "INDEX", "status.index", cell_value, true },
    { "PROVIDER-IPV4", "status.provider_ipv4", cell_value, true }, { "PROVIDER-IPV6", "status.provider_ipv6", cell_value, true },
    { "PEER", "status.peer", cell_value, true }, { "ERROR", "status.last_error", cell_value, true }, { 0 },
};
static const struct column fabric_columns[] = {
    { "NAME", "name", cell_value, false }, { "DATAPATH-ID", "spec.datapath_id", cell_value, false }, { "STATE", "status.state", cell_switch_state, false },
    { "LINKS", "status.links", cell_value, false }, { "RULES", "status.rules", cell_value, false }, { "PEER", "status.peer", cell_value, true },
    { "ERROR", "status.last_error", cell_value, true }, { 0 },
};
static const struct column link_columns[] = {
    { "NAME", "name", cell_value, false }, { "A", "status.a", cell_link_end, false }, { "B", "status.b", cell_link_end, false }, { "STATE", "status.state", cell_value, false },
    { "SECONDS", "status.since_s", cell_value, true }, { "FAILURES", "status.failures", cell_value, true }, { "HELD-S", "status.held_s", cell_value, true }, { 0 },
};
static const struct { const char *plural; const struct column *columns; } tables[] = {
    { "slices", slice_columns }, { "switches", switch_columns }, { "switch-ports", switch_port_columns }, { "virtual-links", virtual_link_columns },
    { "tenants", tenant_columns }, { "vpcs", vpc_columns }, { "networks", network_columns }, { "ports", port_columns }, { "edges", edge_columns },
    { "fabric-switches", fabric_columns }, { "links", link_columns },
};

static const struct column *columns_of(const char *plural)
{
    size_t i = 0;
    while (i + 1 < ARRAY_SIZE(tables) && strcmp(tables[i].plural, plural)) {
        i++;
    }
    return tables[i].columns;
}

static size_t width_of(const char *cell)
{
    size_t n = 0;
    for (; *cell; cell++) {
        n += (*cell & 0xc0) != 0x80;            /* Characters, not bytes. */
    }
    return n;
}

static void print_row(char **cells, const size_t *widths, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int pad = i + 1 < n ? (int) (widths[i] - width_of(cells[i]) + 2) : 0;
        printf("%s%*s", cells[i], pad, "");
    }
    printf("\n");
}

void print_table(const char *plural, const cJSON *items, bool wide)
{
    enum { MAX_COLUMNS = 16 };
    const struct column *all = columns_of(plural), *used[MAX_COLUMNS];
    size_t widths[MAX_COLUMNS];
    unsigned n = 0, n_rows = 0;
    for (const struct column *c = all; c->title; c++) {
        if (wide || !c->wide) {
            widths[n] = strlen(c->title);
            used[n++] = c;
        }
    }
    char **cells = xcalloc(n * ((size_t) cJSON_GetArraySize(items) + 1), sizeof *cells);
    for (unsigned i = 0; i < n; i++) {
        cells[i] = xstrdup(used[i]->title);
    }
    const cJSON *item;
    cJSON_ArrayForEach(item, items) {
        n_rows++;
        for (unsigned i = 0; i < n; i++) {
            struct buf out = BUF_INIT;
            used[i]->cell(&out, item, used[i]->path);
            char *cell = out.size ? buf_steal_cstr(&out) : xstrdup("-");
            widths[i] = MAX(widths[i], width_of(cell));
            cells[n_rows * n + i] = cell;
            buf_fini(&out);
        }
    }
    for (unsigned r = 0; r <= n_rows; r++) {
        print_row(cells + r * n, widths, n);
    }
    for (size_t i = 0; i < (size_t) (n_rows + 1) * n; i++) {
        free(cells[i]);
    }
    free(cells);
}
