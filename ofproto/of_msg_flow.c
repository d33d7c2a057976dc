/* Flow-mod, flow-removed, packet-in and packet-out bodies (OpenFlow 1.3.5 sections 7.3.4.1, 7.4.2, 7.4.1, 7.3.7). */
#include "ofproto/of_msg_codec.h"

#include "lib/util.h"

struct of_error of_flow_mod_decode(struct cursor *c, struct of_msg *msg)
{
    struct of_flow_mod *fm = &msg->flow_mod;
    fm->cookie = cursor_be64(c);
    fm->cookie_mask = cursor_be64(c);
    fm->table_id = cursor_u8(c);
    uint8_t command = cursor_u8(c);
    fm->idle_timeout = cursor_be16(c);
    fm->hard_timeout = cursor_be16(c);
    fm->priority = cursor_be16(c);
    fm->buffer_id = cursor_be32(c);
    fm->out_port = cursor_be32(c);
    fm->out_group = cursor_be32(c);
    fm->flags = cursor_be16(c);
    uint16_t importance = cursor_be16(c);       /* Padding before 1.4. */
    fm->importance = msg->version >= OF14_VERSION ? importance : 0;
    if (c->failed) {
        return OF_BAD_LEN;
    }
    if (command > OFPFC_DELETE_STRICT) {
        return OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_BAD_COMMAND);
    }
    fm->command = (enum of_flow_command) command;
    if (fm->flags & ~(OFPFF_SEND_FLOW_REM | OFPFF_CHECK_OVERLAP | OFPFF_RESET_COUNTS | OFPFF_NO_PKT_COUNTS | OFPFF_NO_BYT_COUNTS)) {
        return OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_BAD_FLAGS);
    }
    struct of_error error = match_decode(c, &fm->match);
    if (!of_ok(error)) {
        return error;
    }
    if (cursor_left(c) > OF_MAX_ACTION_BYTES) {
        return OF_ERROR(OFPET_BAD_ACTION, OFPBAC_TOO_MANY);
    }
    return instructions_decode(cursor_sub(c, cursor_left(c)), &fm->instructions);
}

void of_flow_mod_encode(const struct of_msg *msg, struct buf *b)
{
    const struct of_flow_mod *fm = &msg->flow_mod;
    buf_put_be64(b, fm->cookie);
    buf_put_be64(b, fm->cookie_mask);
    buf_put_u8(b, fm->table_id);
    buf_put_u8(b, (uint8_t) fm->command);
    buf_put_be16(b, fm->idle_timeout);
    buf_put_be16(b, fm->hard_timeout);
    buf_put_be16(b, fm->priority);
    buf_put_be32(b, fm->buffer_id);
    buf_put_be32(b, fm->out_port);
    buf_put_be32(b, fm->out_group);
    buf_put_be16(b, fm->flags);
    buf_put_be16(b, msg->version >= OF14_VERSION ? fm->importance : 0);
    match_encode(&fm->match, b);
    instructions_encode(&fm->instructions, b);
}

struct of_error of_flow_removed_decode(struct cursor *c, struct of_msg *msg)
{
    struct of_flow_removed *fr = &msg->flow_removed;
    fr->cookie = cursor_be64(c);
    fr->priority = cursor_be16(c);
    fr->reason = cursor_u8(c);
    fr->table_id = cursor_u8(c);
    fr->duration_sec = cursor_be32(c);
    fr->duration_nsec = cursor_be32(c);
    fr->idle_timeout = cursor_be16(c);
    fr->hard_timeout = cursor_be16(c);
    fr->packet_count = cursor_be64(c);
    fr->byte_count = cursor_be64(c);
    struct of_error error = match_decode(c, &fr->match);
    return of_ok(error) && cursor_left(c) ? OF_BAD_LEN : error;
}

void of_flow_removed_encode(const struct of_msg *msg, struct buf *b)
{
    const struct of_flow_removed *fr = &msg->flow_removed;
    buf_put_be64(b, fr->cookie);
    buf_put_be16(b, fr->priority);
    buf_put_u8(b, fr->reason);
    buf_put_u8(b, fr->table_id);
    buf_put_be32(b, fr->duration_sec);
    buf_put_be32(b, fr->duration_nsec);
    buf_put_be16(b, fr->idle_timeout);
    buf_put_be16(b, fr->hard_timeout);
    buf_put_be64(b, fr->packet_count);
    buf_put_be64(b, fr->byte_count);
    match_encode(&fr->match, b);
}

struct of_error of_packet_in_decode(struct cursor *c, struct of_msg *msg)
{
    struct of_packet_in *pi = &msg->packet_in;
    pi->buffer_id = cursor_be32(c);
    pi->total_len = cursor_be16(c);
    pi->reason = cursor_u8(c);
    pi->table_id = cursor_u8(c);
    pi->cookie = cursor_be64(c);
    struct of_error error = match_decode(c, &pi->match);
    if (!of_ok(error)) {
        return error;
    }
    cursor_skip(c, 2);          /* So that the IP header behind an Ethernet header is aligned. */
    if (c->failed) {
        return OF_BAD_LEN;
    }
    pi->data = of_rest_get(c, &pi->size);
    return OF_OK;
}

void of_packet_in_encode(const struct of_msg *msg, struct buf *b)
{
    const struct of_packet_in *pi = &msg->packet_in;
    size_t start = b->size - OF_HEADER_SIZE;
    buf_put_be32(b, pi->buffer_id);
    buf_put_be16(b, pi->total_len);
    buf_put_u8(b, pi->reason);
    buf_put_u8(b, pi->table_id);
    buf_put_be64(b, pi->cookie);
    match_encode(&pi->match, b);
    buf_put_zeros(b, 2);
    /* The data of a packet-in may be cut anywhere; total_len tells. */
    buf_put(b, pi->data, MIN(pi->size, OF_MAX_MESSAGE - (b->size - start)));
}

struct of_error of_packet_out_decode(struct cursor *c, struct of_msg *msg)
{
    struct of_packet_out *po = &msg->packet_out;
    po->buffer_id = cursor_be32(c);
    po->in_port = cursor_be32(c);
    uint16_t actions_len = cursor_be16(c);
    cursor_skip(c, 6);
    struct cursor actions = cursor_sub(c, actions_len);
    if (c->failed) {
        return OF_BAD_LEN;
    }
    struct of_error error = actions_decode(actions, &po->actions);
    if (of_ok(error)) {
        po->data = of_rest_get(c, &po->size);
    }
    return error;
}

void of_packet_out_encode(const struct of_msg *msg, struct buf *b)
{
    const struct of_packet_out *po = &msg->packet_out;
    buf_put_be32(b, po->buffer_id);
    buf_put_be32(b, po->in_port);
    size_t actions_len = b->size;
    buf_put_zeros(b, 8);
    actions_encode(&po->actions, b);
    buf_set_be16(b, actions_len, (uint16_t) (b->size - actions_len - 8));
    buf_put(b, po->data, po->size);
}
