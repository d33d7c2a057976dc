#include "controller/test_switch.h"

#include <stdio.h>
#include <string.h>
#include "lib/json.h"
#include "ofproto/polder.h"
#include "tests/unit.h"

static void fake_send(struct fake *k, struct of_msg *msg)
{
    of_conn_send(k->conn, msg);
    of_msg_fini(msg);
}

void fake_packet_in(struct fake *k, uint32_t port, const uint8_t *data, unsigned size)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_PACKET_IN, 0);
    msg.packet_in.buffer_id = OFP_NO_BUFFER;
    msg.packet_in.total_len = (uint16_t) size;
    msg.packet_in.reason = OFPR_ACTION;
    match_set_u64(&msg.packet_in.match, FIELD_IN_PORT, port);
    msg.packet_in.data = (uint8_t *) xmemdup0((const char *) data, size);
    msg.packet_in.size = size;
    fake_send(k, &msg);
}

void fake_port_status(struct fake *k, uint8_t reason, const struct of_port *port)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_PORT_STATUS, 0);
    msg.port_status.reason = reason;
    msg.port_status.port = *port;
    fake_send(k, &msg);
}

void fake_set_down(struct fake *k, uint32_t port_no, bool down)
{
    struct of_port *p = &k->ports[port_no - 1];
    p->state = down ? OFPPS_LINK_DOWN : OFPPS_LIVE;
    fake_port_status(k, OFPPR_MODIFY, p);
}

static char *fake_polder(struct fake *k, const cJSON *request)
{
    cJSON *answer = cJSON_CreateObject();
    const char *method = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(request, "method"));
    if (method && !strcmp(method, "features")) {
        json_add_string(json_add_object(answer, "result"), "name", "fake");
    } else if (method && !strcmp(method, "ports")) {
        cJSON *list = json_add_array(json_add_object(answer, "result"), "ports");
        for (unsigned i = 0; i < k->n_ports; i++) {
            cJSON *o = json_append_object(list);
            json_add_string(o, "name", k->ports[i].name);
            json_add_string(o, "type", k->types[i] ? k->types[i] : "vhost-user");
            json_add_u64(o, "ofport", k->ports[i].port_no);
            if (!k->types[i]) {
                json_add_format(o, "path", "/vhost/%u", k->ports[i].port_no);
            }
        }
    } else {
        struct err err = ERR_INIT;
        err_set(&err, ERR_NOT_FOUND, "method", "there is no %s", method ? method : "?");
        cJSON_Delete(answer);
        answer = json_from_err(&err);
    }
    char *text = json_text(answer, false);
    cJSON_Delete(answer);
    return text;
}

static void fake_experimenter(struct fake *k, const struct of_msg *in, const uint8_t *raw, size_t size)
{
    if (!k->is_vswitchd) {
        of_conn_send_error(k->conn, OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_EXPERIMENTER), raw, size);
        return;
    }
    struct err err = ERR_INIT;
    cJSON *request = json_parse((const char *) in->experimenter.data, in->experimenter.size, 1 << 16, &err);
    CU_ASSERT_PTR_NOT_NULL(request);
    struct of_msg msg;
    of_msg_init(&msg, OFPT_EXPERIMENTER, in->xid);
    msg.experimenter.experimenter = POLDER_EXPERIMENTER;
    msg.experimenter.exp_type = POLDER_REPLY;
    msg.experimenter.data = (uint8_t *) fake_polder(k, request);
    msg.experimenter.size = (unsigned) strlen((char *) msg.experimenter.data);
    cJSON_Delete(request);
    fake_send(k, &msg);
}

static void fake_packet_out(struct fake *k, const struct of_packet_out *out)
{
    for (unsigned i = 0; i < out->actions.n; i++) {
        uint32_t port = out->actions.list[i].output.port;
        if (out->actions.list[i].type == ACTION_OUTPUT && port >= 1 && port <= k->n_ports) {
            k->n_lldp++;
            k->last_size = MIN(out->size, (unsigned) sizeof k->last_frame);
            memcpy(k->last_frame, out->data, k->last_size);
            if (k->plugs[port - 1].to && k->plugs[port - 1].to->up) {
                fake_packet_in(k->plugs[port - 1].to, k->plugs[port - 1].port, out->data, out->size);
            }
        }
    }
}

static bool asks_counters(const struct of_msg *in)
{
    return in->type == OFPT_MULTIPART_REQUEST && (in->multipart.type == OFPMP_FLOW || in->multipart.type == OFPMP_GROUP || in->multipart.type == OFPMP_METER
                                                  || in->multipart.type == OFPMP_PORT_STATS);
}

static void fake_message(struct of_conn *conn UNUSED, struct of_msg *in, const uint8_t *raw, size_t size, void *k_)
{
    struct fake *k = k_;
    struct of_msg msg;
    if (in->type == OFPT_FEATURES_REQUEST) {
        of_msg_init(&msg, OFPT_FEATURES_REPLY, in->xid);
        msg.features = (struct of_features) { .datapath_id = k->datapath_id, .n_tables = 254 };
        fake_send(k, &msg);
    } else if (in->type == OFPT_MULTIPART_REQUEST && in->multipart.type == OFPMP_PORT_DESC) {
        of_msg_init(&msg, OFPT_MULTIPART_REPLY, in->xid);
        msg.multipart.type = OFPMP_PORT_DESC;
        msg.multipart.ports.n = k->n_ports;
        msg.multipart.ports.v = xcalloc(k->n_ports + 1, sizeof *msg.multipart.ports.v);
        for (unsigned i = 0; i < k->n_ports; i++) {
            msg.multipart.ports.v[k->n_ports - 1 - i] = k->ports[i];    /* In no order. */
        }
        fake_send(k, &msg);
    } else if (in->type == OFPT_MULTIPART_REQUEST && in->multipart.type == OFPMP_AGGREGATE) {
        of_msg_init(&msg, OFPT_MULTIPART_REPLY, in->xid);
        msg.multipart.type = OFPMP_AGGREGATE;
        msg.multipart.aggregate.flow_count = k->n_flows;
        fake_send(k, &msg);
    } else if (in->type == OFPT_MULTIPART_REQUEST && in->multipart.type == OFPMP_GROUP_FEATURES && k->group_types) {
        of_msg_init(&msg, OFPT_MULTIPART_REPLY, in->xid);
        msg.multipart.type = OFPMP_GROUP_FEATURES;
        msg.multipart.group_features.types = k->group_types;
        fake_send(k, &msg);
    } else if (asks_counters(in)) {
        k->asked[k->n_asked++ % ARRAY_SIZE(k->asked)] = in->xid;
    } else if (in->type == OFPT_EXPERIMENTER && !k->mute_polder) {
        fake_experimenter(k, in, raw, size);
    } else if (in->type == OFPT_SET_CONFIG) {
        k->config_flags = in->config.flags;
    } else if (in->type == OFPT_SET_ASYNC) {
        k->async = in->async;
    } else if (in->type == OFPT_PACKET_OUT) {
        fake_packet_out(k, &in->packet_out);
    }
}

static void fake_up(struct of_conn *conn UNUSED, void *k) { ((struct fake *) k)->up = true; }
static void fake_down(struct of_conn *conn UNUSED, const char *why UNUSED, void *k) { ((struct fake *) k)->up = false; }

void fake_ports(struct fake *k, uint64_t datapath_id, unsigned n)
{
    memset(k, 0, sizeof *k);
    k->datapath_id = datapath_id;
    k->n_ports = n;
    for (unsigned i = 0; i < n; i++) {
        k->ports[i] = (struct of_port) { .port_no = i + 1, .hw_addr = mac_from_u64(UINT64_C(0x020000000000) | datapath_id << 8 | i), .state = OFPPS_LIVE };
        snprintf(k->ports[i].name, sizeof k->ports[i].name, "port%u", i + 1);
    }
}

void fake_connect(struct fake *k, struct event_base *base, const char *target)
{
    static const struct of_conn_ops ops = { .up = fake_up, .message = fake_message, .down = fake_down };
    struct of_conn_options options = { .versions = 1u << OF13_VERSION };
    struct err err = ERR_INIT;
    k->conn = of_conn_connect(base, target, NULL, &options, &ops, k, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(k->conn);
}

void fake_close(struct fake *k)
{
    if (k->conn) {
        of_conn_close(k->conn);
        k->conn = NULL;
        k->up = false;
    }
}

void fake_plug(struct fake *a, uint32_t port_a, struct fake *b, uint32_t port_b)
{
    a->plugs[port_a - 1] = (struct plug) { b, port_b };
    b->plugs[port_b - 1] = (struct plug) { a, port_a };
}
