/* Actions as ovs-ofctl writes them; text_action.c reads them. */
#include "ofproto/action_row.h"
#include "ofproto/of_msg.h"
#include "ofproto/polder.h"
#include "ofproto/text.h"

const char *const text_reason_names[TEXT_N_REASONS] = { "no_match", "action", "invalid_ttl", "action_set", "group", "packet_out" };

static void format_set_field(const struct action *a, struct buf *b)
{
    char text[100];
    field_format_value(a->set_field.field, &a->set_field.value, a->set_field.masked ? &a->set_field.mask : NULL, text, sizeof text);
    buf_printf(b, "set_field:%s->%s", text, a->set_field.field->name);
}

static void format_output(const struct action *a, struct buf *b)
{
    char port[16];
    text_port_format(a->output.port, port, sizeof port);
    if (a->output.port == OFPP_CONTROLLER) {
        buf_printf(b, "CONTROLLER:%u", a->output.max_len);
    } else {
        buf_printf(b, port[0] >= '0' && port[0] <= '9' ? "output:%s" : "%s", port);
    }
}

static void format_resubmit(const struct action *a, struct buf *b)
{
    char port[16] = "";
    if (a->resubmit.in_port != OFPP_IN_PORT) {
        text_port_format(a->resubmit.in_port, port, sizeof port);
    }
    if (a->resubmit.table != RESUBMIT_CURRENT_TABLE) {
        buf_printf(b, "resubmit(%s,%u)", port, a->resubmit.table);
    } else if (port[0]) {
        buf_printf(b, "resubmit:%s", port);
    } else {
        buf_puts(b, "resubmit(,)");
    }
}

static void format_controller(const struct action *a, struct buf *b)
{
    buf_puts(b, "controller(");
    if (a->controller.reason < TEXT_N_REASONS) {
        if (a->controller.reason != OFPR_ACTION) {
            buf_printf(b, "reason=%s,", text_reason_names[a->controller.reason]);
        }
    } else {
        buf_printf(b, "reason=%u,", a->controller.reason);
    }
    buf_printf(b, "max_len=%u", a->controller.max_len);
    if (a->controller.controller_id) {
        buf_printf(b, ",id=%u", a->controller.controller_id);
    }
    if (a->controller.meter) {
        buf_printf(b, ",meter_id=%u", a->controller.meter);
    }
    for (unsigned i = 0; i < a->controller.userdata_size; i++) {
        buf_printf(b, i ? ".%02x" : ",userdata=%02x", a->controller.userdata[i]);
    }
    buf_puts(b, ")");
}

static void format_note(const struct action *a, struct buf *b)
{
    buf_puts(b, "note:");
    for (unsigned i = 0; i < a->note.size; i++) {
        buf_printf(b, i ? ".%02x" : "%02x", a->note.data[i]);
    }
}

static void format_drop(const struct action *a, struct buf *b)
{
    const char *name = drop_reason_name(a->drop_reason);
    if (name) {
        buf_printf(b, "drop(%s)", name);
    } else {
        buf_printf(b, "drop(%u)", a->drop_reason);
    }
}

static void format_one(const struct action *a, struct buf *b)
{
    const char *name = action_rows[a->type].name;
    switch (a->type) {
    case ACTION_OUTPUT: format_output(a, b); break;
    case ACTION_GROUP: buf_printf(b, "%s:%u", name, a->group); break;
    case ACTION_SET_QUEUE: buf_printf(b, "%s:%u", name, a->queue); break;
    case ACTION_SET_FIELD: format_set_field(a, b); break;
    case ACTION_PUSH_VLAN: case ACTION_PUSH_MPLS: case ACTION_POP_MPLS: case ACTION_PUSH_PBB:
        buf_printf(b, "%s:0x%04x", name, a->ethertype);
        break;
    case ACTION_SET_NW_TTL: buf_printf(b, "%s:%u", name, a->ttl); break;
    case ACTION_SET_MPLS_TTL: buf_printf(b, "%s(%u)", name, a->ttl); break;
    case ACTION_RESUBMIT: format_resubmit(a, b); break;
    case ACTION_MOVE:
        buf_puts(b, "move:");
        text_subfield_format(&a->move.src, b);
        buf_puts(b, "->");
        text_subfield_format(&a->move.dst, b);
        break;
    case ACTION_LOAD:
        buf_printf(b, "load:%#llx->", (unsigned long long) a->load.value);
        text_subfield_format(&a->load.dst, b);
        break;
    case ACTION_OUTPUT_REG:
        buf_puts(b, "output:");
        text_subfield_format(&a->output_reg.src, b);
        break;
    case ACTION_CONTROLLER: format_controller(a, b); break;
    case ACTION_CLONE:
        buf_puts(b, "clone(");
        actions_format(&a->nested, b);
        buf_puts(b, ")");
        break;
    case ACTION_NOTE: format_note(a, b); break;
    case ACTION_DROP: format_drop(a, b); break;
    case ACTION_CONJUNCTION: buf_printf(b, "conjunction(%u,%u/%u)", a->conjunction.id, a->conjunction.clause + 1u, a->conjunction.n_clauses); break;
    case ACTION_POP_VLAN: case ACTION_POP_PBB: case ACTION_DEC_NW_TTL: case ACTION_DEC_MPLS_TTL: case ACTION_COPY_TTL_OUT: case ACTION_COPY_TTL_IN:
    case ACTION_POP_QUEUE:
    case N_ACTION_TYPES:
        buf_puts(b, name);
        break;
    }
}

void actions_format(const struct actions *as, struct buf *b)
{
    for (unsigned i = 0; i < as->n; i++) {
        if (i) {
            buf_puts(b, ",");
        }
        format_one(&as->list[i], b);
    }
    if (!as->n) {
        buf_puts(b, "drop");
    }
}
