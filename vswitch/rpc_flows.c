/* Methods about tables: groups and trace (flows is a job, control_flows.c). */
#include "vswitch/rpc.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vswitch/vswitch.h"

#define TRACE_PAYLOAD 46                /* Makes the composed frame at least Ethernet's minimum. */

struct groups_walk { struct vswitch *vs; cJSON *array; };

static void add_group(struct group *g, void *walk_)
{
    static const char *const types[] = { "all", "select", "indirect", "ff" };
    struct groups_walk *walk = walk_;
    struct of_group_stats stats = { .group_id = g->id };
    struct buf b = BUF_INIT;
    cJSON *o = json_append_object(walk->array);
    bool counted = dp_group_stats(walk->vs->dp, g, &stats);
    json_add_u64(o, "group", g->id);
    json_add_string(o, "type", g->type < ARRAY_SIZE(types) ? types[g->type] : "?");
    json_add_u64(o, "packets", stats.packet_count);
    json_add_u64(o, "bytes", stats.byte_count);
    cJSON *buckets = json_add_array(o, "buckets");
    for (unsigned i = 0; i < g->n_buckets; i++) {
        const struct of_bucket *k = &g->buckets[i];
        cJSON *e = json_append_object(buckets);
        buf_clear(&b);
        actions_format(&k->actions, &b);
        json_add_string(e, "actions", buf_cstr(&b));
        if (g->type == OFPGT_SELECT) {
            json_add_u64(e, "weight", k->weight);
        }
        if (k->watch_port != OFPP_ANY) {
            json_add_u64(e, "watch_port", k->watch_port);
        }
        if (k->watch_group != OFPG_ANY) {
            json_add_u64(e, "watch_group", k->watch_group);
        }
        if (counted && i < stats.n_buckets) {
            json_add_u64(e, "packets", stats.buckets[i].packet_count);
            json_add_u64(e, "bytes", stats.buckets[i].byte_count);
        }
    }
    free(stats.buckets);
    buf_fini(&b);
}

cJSON *rpc_groups(struct vswitch *vs, struct json_reader *r)
{
    if (!json_end(r)) {
        return NULL;
    }
    cJSON *o = cJSON_CreateObject();
    struct groups_walk walk = { vs, json_add_array(o, "groups") };
    group_table_each(dp_groups(vs->dp), add_group, &walk);
    return o;
}

/* Takes "in_port=P" (a name or a number) out of a flow's text; the rest is match_parse()'s. */
static char *take_in_port(char *text)
{
    for (char *item = text; item; item = strchr(item, ',') ? strchr(item, ',') + 1 : NULL) {
        if (!strncmp(item, "in_port=", 8)) {
            size_t n = strcspn(item, ",");
            char *value = xmemdup0(item + 8, n - 8);
            memmove(item, item + n + (item[n] == ','), strlen(item + n + (item[n] == ',')) + 1);
            n = strlen(text);
            if (n && text[n - 1] == ',') {
                text[n - 1] = '\0';
            }
            return value;
        }
    }
    return NULL;
}

static bool frame_of_flow(const char *text, struct buf *frame, struct err *err)
{
    struct match m;
    match_init(&m);
    if (*text && !match_parse(text, &m, err)) {
        return *err->field ? err_prefix(err, "flow") : (str_copy(err->field, sizeof err->field, "flow"), false);
    }
    packet_compose(&m.value.flow, frame, TRACE_PAYLOAD);
    return true;
}

static bool frame_of_hex(const char *hex, struct buf *frame, struct json_reader *r)
{
    size_t size = strlen(hex) / 2;
    buf_put_uninit(frame, size + 1);
    frame->size = size;
    if (strlen(hex) % 2 || !hex_to_bytes(hex, frame->data, &size)) {
        return json_fail(r, "packet", "is not an even number of hex digits");
    }
    return (size >= 14 && size <= MBUF_JUMBO_ROOM) || json_fail(r, "packet", "has %zu bytes; a frame has 14 to %d", size, MBUF_JUMBO_ROOM);
}

/* Parameters: "flow" (text, may hold in_port=) or "packet" (hex), and "in_port" (name or number). */
cJSON *rpc_trace(struct vswitch *vs, struct json_reader *r)
{
    struct buf frame = BUF_INIT;
    struct port *port = NULL;
    cJSON *result = NULL;
    const char *flow = json_string_opt(r, "flow"), *hex = json_string_opt(r, "packet"), *given = json_string_opt(r, "in_port");
    if (!json_end(r)) {
        return NULL;
    }
    char *text = xstrdup(flow ? flow : ""), *in_port = take_in_port(text);
    if (!in_port && given) {
        in_port = xstrdup(given);
    }
    if (!flow == !hex) {
        json_fail(r, flow ? "packet" : "flow", "give either a flow or a packet");
    } else if (!in_port) {
        json_fail(r, "in_port", "is required: the port where the packet comes in");
    } else if ((port = vswitch_port_lookup(vs, in_port, "in_port", r->err)) != NULL
               && (flow ? frame_of_flow(text, &frame, r->err) : frame_of_hex(hex, &frame, r))) {
        struct packet p = { .data = frame.data, .len = (uint32_t) frame.size, .in_port = port->port_no };
        result = dp_trace(vs->dp, &p, port->port_no);
    }
    free(text);
    free(in_port);
    buf_fini(&frame);
    return result;
}
