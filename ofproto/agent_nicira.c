/* What Nicira's messages set for a connection, and what is different on a connection of OpenFlow 1.0. */
#include "ofproto/agent_private.h"

enum { NXFF_OPENFLOW10 = 0, NXFF_NXM = 2 };

struct of_error agent_nicira(struct agent_conn *ac, const struct of_msg *msg)
{
    uint32_t value = msg->nx_value;
    switch ((unsigned) msg->type) {
    case OFPT_NX_SET_FLOW_FORMAT:
        if (value != NXFF_OPENFLOW10 && value != NXFF_NXM) {
            return OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_EPERM);
        }
        ac->nxm = value == NXFF_NXM;
        return OF_OK;
    case OFPT_NX_FLOW_MOD_TABLE_ID:
        ac->flow_mod_table_id = value;
        return OF_OK;
    case OFPT_NX_SET_PACKET_IN_FORMAT:
        if (value > NX_PACKET_IN_NXT2 || (value == NX_PACKET_IN_NXM && of_conn_version(ac->conn) != OF10_VERSION)) {
            return OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_EPERM);
        }
        ac->packet_in_format = (uint8_t) value;
        return OF_OK;
    case OFPT_NX_SET_CONTROLLER_ID:
        ac->controller_id = (uint16_t) value;
        return OF_OK;
    case OFPT_NX_MONITOR_CANCEL:
        return agent_monitor_cancel(ac, value);
    default:                    /* Ours to send. */
        return OF_ERROR(OFPET_BAD_REQUEST, OFPBRC_BAD_EXP_TYPE);
    }
}

/* Whether an entry is there that a modify would change. */
static bool any_to_modify(struct of_agent *agent, const struct of_flow_mod *fm)
{
    struct flow_tables *flows = agent->ops->flows(agent->aux);
    if (fm->command == OFPFC_MODIFY_STRICT) {
        uint8_t first = fm->table_id == OFPTT_ALL ? 0 : fm->table_id, last = fm->table_id == OFPTT_ALL ? OF_N_TABLES - 1 : fm->table_id;
        for (unsigned table = first; table <= last; table++) {
            const struct flow_entry *e = flow_tables_find(flows, (uint8_t) table, fm->priority, &fm->match);
            if (e && !((e->cookie ^ fm->cookie) & fm->cookie_mask)) {
                return true;
            }
        }
        return false;
    }
    struct of_flow_filter f = { fm->table_id, OFPP_ANY, OFPG_ANY, fm->cookie, fm->cookie_mask, fm->match };
    return flow_tables_any(flows, &f);
}

struct of_error agent_of10_flow_mod(struct agent_conn *ac, struct of_flow_mod *fm)
{
    if (!ac->flow_mod_table_id) {
        if (fm->table_id) {     /* There the whole of 16 bits is the command. */
            return OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_BAD_COMMAND);
        }
        fm->table_id = OFPTT_ALL;
    }
    /* Section 4.6 of 1.0: "If a MODIFY does not match any existing flow entries, the MODIFY acts like an ADD".  A filter by cookie is a later idea, and stays a filter. */
    if ((fm->command == OFPFC_MODIFY || fm->command == OFPFC_MODIFY_STRICT) && !fm->cookie_mask && !any_to_modify(ac->agent, fm)) {
        fm->command = OFPFC_ADD;
    }
    if (fm->command == OFPFC_ADD && fm->table_id == OFPTT_ALL) {
        fm->table_id = 0;
    }
    return OF_OK;
}
