/* Messages as one line of text, for logs and vswctl. */
#include "ofproto/of_msg_codec.h"

#include <inttypes.h>
#include "lib/util.h"

static void format_port_no(struct buf *b, const char *key, uint32_t port)
{
    static const struct { uint32_t port; const char *name; } names[] = {
        { OFPP_IN_PORT, "IN_PORT" }, { OFPP_TABLE, "TABLE" }, { OFPP_NORMAL, "NORMAL" }, { OFPP_FLOOD, "FLOOD" }, { OFPP_ALL, "ALL" },
        { OFPP_CONTROLLER, "CONTROLLER" }, { OFPP_LOCAL, "LOCAL" }, { OFPP_ANY, "ANY" },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (names[i].port == port) {
            buf_printf(b, " %s=%s", key, names[i].name);
            return;
        }
    }
    buf_printf(b, " %s=%" PRIu32, key, port);
}

static void format_match(struct buf *b, const struct match *match)
{
    struct buf text = BUF_INIT;
    match_format(match, &text);
    if (text.size) {
        buf_printf(b, ",%s", buf_cstr(&text));
    }
    buf_fini(&text);
}

static void format_flow_mod(const struct of_flow_mod *fm, struct buf *b)
{
    static const char *const commands[] = { "add", "modify", "modify-strict", "delete", "delete-strict" };
    buf_printf(b, " %s table=%u cookie=0x%" PRIx64, commands[fm->command], fm->table_id, fm->cookie);
    if (fm->cookie_mask) {
        buf_printf(b, "/0x%" PRIx64, fm->cookie_mask);
    }
    if (fm->idle_timeout) {
        buf_printf(b, " idle_timeout=%u", fm->idle_timeout);
    }
    if (fm->hard_timeout) {
        buf_printf(b, " hard_timeout=%u", fm->hard_timeout);
    }
    if (fm->flags) {
        buf_printf(b, " flags=0x%x", fm->flags);
    }
    if (fm->out_port != OFPP_ANY) {
        format_port_no(b, "out_port", fm->out_port);
    }
    if (fm->out_group != OFPG_ANY) {
        buf_printf(b, " out_group=%" PRIu32, fm->out_group);
    }
    buf_printf(b, " priority=%u", fm->priority);
    format_match(b, &fm->match);
    buf_puts(b, " actions=");
    instructions_format(&fm->instructions, b);
}

static void format_buckets(const struct of_bucket *buckets, unsigned n, struct buf *b)
{
    for (unsigned i = 0; i < n; i++) {
        buf_printf(b, " bucket=weight:%u", buckets[i].weight);
        format_port_no(b, "watch_port", buckets[i].watch_port);
        buf_puts(b, " actions=");
        actions_format(&buckets[i].actions, b);
    }
}

static const char *role_name(uint32_t role)
{
    static const char *const names[] = { "nochange", "equal", "master", "slave" };
    return role < ARRAY_SIZE(names) ? names[role] : "unknown";
}

static void format_port(const struct of_port *p, struct buf *b)
{
    char mac[MAC_STRLEN];
    buf_printf(b, " port=%" PRIu32 " name=%.16s mac=%s config=0x%" PRIx32 " state=0x%" PRIx32, p->port_no, p->name,
               mac_format(p->hw_addr, mac), p->config, p->state);
}

static void format_multipart(const struct of_msg *msg, struct buf *b)
{
    const struct of_multipart_msg *mp = &msg->multipart;
    const char *name = of_multipart_name(mp->type);
    buf_printf(b, " %s%s", name ? name : "unknown", mp->flags & OFPMPF_MORE ? " more" : "");
    if (msg->type == OFPT_MULTIPART_REPLY) {
        switch (mp->type) {
        case OFPMP_AGGREGATE:
            buf_printf(b, " packets=%" PRIu64 " bytes=%" PRIu64 " flows=%" PRIu32, mp->aggregate.packet_count, mp->aggregate.byte_count,
                       mp->aggregate.flow_count);
            break;
        case OFPMP_DESC:
        case OFPMP_GROUP_FEATURES:
        case OFPMP_METER_FEATURES:
            break;
        default:
            buf_printf(b, " n=%u", mp->raw.n);
        }
        return;
    }
    if (mp->type == OFPMP_FLOW || mp->type == OFPMP_AGGREGATE) {
        buf_printf(b, " table=%u cookie=0x%" PRIx64 "/0x%" PRIx64, mp->filter.table_id, mp->filter.cookie, mp->filter.cookie_mask);
        format_port_no(b, "out_port", mp->filter.out_port);
        format_match(b, &mp->filter.match);
    } else if (mp->type == OFPMP_PORT_STATS || mp->type == OFPMP_GROUP || mp->type == OFPMP_METER || mp->type == OFPMP_METER_CONFIG) {
        buf_printf(b, " id=0x%" PRIx32, mp->id);
    }
}

static void format_packet_out(const struct of_packet_out *po, struct buf *b)
{
    format_port_no(b, "in_port", po->in_port);
    buf_puts(b, " actions=");
    actions_format(&po->actions, b);
    buf_printf(b, " bytes=%u", po->size);
}

static void format_mods(const struct of_msg *msg, struct buf *b)
{
    static const char *const commands[] = { "add", "modify", "delete" };
    if (msg->type == OFPT_GROUP_MOD) {
        buf_printf(b, " %s group=%" PRIu32 " type=%u", commands[msg->group_mod.command], msg->group_mod.group_id, msg->group_mod.type);
        format_buckets(msg->group_mod.buckets, msg->group_mod.n_buckets, b);
    } else {
        buf_printf(b, " %s meter=%" PRIu32 " flags=0x%x", commands[msg->meter_mod.command], msg->meter_mod.meter_id, msg->meter_mod.flags);
        for (unsigned i = 0; i < msg->meter_mod.n_bands; i++) {
            const struct of_meter_band *band = &msg->meter_mod.bands[i];
            buf_printf(b, " band=type:%u,rate:%" PRIu32 ",burst:%" PRIu32, band->type, band->rate, band->burst_size);
        }
    }
}

static void format_flow_removed(const struct of_flow_removed *fr, struct buf *b)
{
    static const char *const reasons[] = { "idle", "hard", "delete", "group-delete" };
    buf_printf(b, " reason=%s table=%u cookie=0x%" PRIx64 " packets=%" PRIu64 " priority=%u",
               fr->reason < ARRAY_SIZE(reasons) ? reasons[fr->reason] : "unknown", fr->table_id, fr->cookie, fr->packet_count, fr->priority);
    format_match(b, &fr->match);
}

void of_msg_format(const struct of_msg *msg, struct buf *b)
{
    char scratch[32];
    buf_printf(b, "%s xid=0x%" PRIx32, of_type_name(msg->type), msg->xid);
    switch ((unsigned) msg->type) {
    case OFPT_HELLO:
        buf_printf(b, " version=%u", msg->version);
        if (msg->hello.has_bitmap) {
            buf_printf(b, " bitmap=0x%" PRIx32, msg->hello.version_bitmap);
        }
        break;
    case OFPT_ERROR:
        buf_printf(b, " %s", of_error_name(msg->error.error, scratch));
        break;
    case OFPT_EXPERIMENTER:
        buf_printf(b, " experimenter=0x%" PRIx32 " type=%" PRIu32 " bytes=%u", msg->experimenter.experimenter, msg->experimenter.exp_type,
                   msg->experimenter.size);
        break;
    case OFPT_FEATURES_REPLY:
        buf_printf(b, " dpid=%016" PRIx64 " tables=%u capabilities=0x%" PRIx32, msg->features.datapath_id, msg->features.n_tables,
                   msg->features.capabilities);
        break;
    case OFPT_GET_CONFIG_REPLY:
    case OFPT_SET_CONFIG:
        buf_printf(b, " flags=0x%x miss_send_len=%u", msg->config.flags, msg->config.miss_send_len);
        break;
    case OFPT_PACKET_IN:
        buf_printf(b, " reason=%u table=%u cookie=0x%" PRIx64 " bytes=%u/%u", msg->packet_in.reason, msg->packet_in.table_id,
                   msg->packet_in.cookie, msg->packet_in.size, msg->packet_in.total_len);
        format_match(b, &msg->packet_in.match);
        break;
    case OFPT_FLOW_REMOVED:
        format_flow_removed(&msg->flow_removed, b);
        break;
    case OFPT_PORT_STATUS:
        buf_printf(b, " reason=%u", msg->port_status.reason);
        format_port(&msg->port_status.port, b);
        break;
    case OFPT_PACKET_OUT:
        format_packet_out(&msg->packet_out, b);
        break;
    case OFPT_FLOW_MOD:
        format_flow_mod(&msg->flow_mod, b);
        break;
    case OFPT_GROUP_MOD:
    case OFPT_METER_MOD:
        format_mods(msg, b);
        break;
    case OFPT_PORT_MOD:
        buf_printf(b, " port=%" PRIu32 " config=0x%" PRIx32 "/0x%" PRIx32, msg->port_mod.port_no, msg->port_mod.config, msg->port_mod.mask);
        break;
    case OFPT_TABLE_MOD:
        buf_printf(b, " table=%u config=0x%" PRIx32, msg->table_mod.table_id, msg->table_mod.config);
        break;
    case OFPT_MULTIPART_REQUEST:
    case OFPT_MULTIPART_REPLY:
        format_multipart(msg, b);
        break;
    case OFPT_ROLE_REQUEST:
    case OFPT_ROLE_REPLY:
        buf_printf(b, " role=%s generation_id=0x%" PRIx64, role_name(msg->role.role), msg->role.generation_id);
        break;
    case OFPT_GET_ASYNC_REPLY:
    case OFPT_SET_ASYNC:
        buf_printf(b, " packet_in=0x%" PRIx32 "/0x%" PRIx32 " port_status=0x%" PRIx32 "/0x%" PRIx32 " flow_removed=0x%" PRIx32 "/0x%" PRIx32,
                   msg->async.packet_in[0], msg->async.packet_in[1], msg->async.port_status[0], msg->async.port_status[1],
                   msg->async.flow_removed[0], msg->async.flow_removed[1]);
        break;
    }
}
