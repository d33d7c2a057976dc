/* Roles, generation ids and asynchronous configuration (OpenFlow 1.3.5 sections 6.3.5, 6.3.6, 7.3.9 and 7.3.10). */
#include "ofproto/agent_private.h"

/* An equal or master controller "receives all switch asynchronous messages", a slave "does not receive … apart from port-status". */
void agent_role_init(struct agent_conn *ac)
{
    ac->role = OFPCR_ROLE_EQUAL;
    ac->async = (struct of_async) {
        .packet_in = { 1 << OFPR_NO_MATCH | 1 << OFPR_ACTION | 1 << OFPR_INVALID_TTL, 0 },
        .port_status = { 1 << OFPPR_ADD | 1 << OFPPR_DELETE | 1 << OFPPR_MODIFY, 1 << OFPPR_ADD | 1 << OFPPR_DELETE | 1 << OFPPR_MODIFY },
        .flow_removed = { 1 << OFPRR_IDLE_TIMEOUT | 1 << OFPRR_HARD_TIMEOUT | 1 << OFPRR_DELETE | 1 << OFPRR_GROUP_DELETE, 0 },
    };
}

bool agent_wants(const struct agent_conn *ac, const uint32_t mask[2], uint8_t reason)
{
    return reason < 32 && mask[ac->role == OFPCR_ROLE_SLAVE] & (1u << reason);
}

/* "(int64_t)(generation_id - cached_generation_id) < 0": ids wrap around. */
static bool is_stale(const struct of_agent *agent, uint64_t generation_id)
{
    return agent->has_generation_id && (int64_t) (generation_id - agent->generation_id) < 0;
}

static void demote_masters(struct of_agent *agent)
{
    struct agent_conn *ac;
    LIST_FOR_EACH (ac, node, &agent->conns) {
        if (ac->role == OFPCR_ROLE_MASTER) {
            ac->role = OFPCR_ROLE_SLAVE;
        }
    }
}

struct of_error agent_role_request(struct agent_conn *ac, const struct of_msg *msg)
{
    struct of_agent *agent = ac->agent;
    uint32_t role = msg->role.role;
    if (role > OFPCR_ROLE_SLAVE) {
        return OF_ERROR(OFPET_ROLE_REQUEST_FAILED, OFPRRFC_BAD_ROLE);
    }
    if (role == OFPCR_ROLE_MASTER || role == OFPCR_ROLE_SLAVE) {
        if (is_stale(agent, msg->role.generation_id)) {
            return OF_ERROR(OFPET_ROLE_REQUEST_FAILED, OFPRRFC_STALE);
        }
        agent->has_generation_id = true;
        agent->generation_id = msg->role.generation_id;
    }
    if (role == OFPCR_ROLE_MASTER) {
        demote_masters(agent);
    }
    if (role != OFPCR_ROLE_NOCHANGE) {
        ac->role = role;
    }
    struct of_msg reply;
    of_msg_init(&reply, OFPT_ROLE_REPLY, msg->xid);
    reply.role.role = ac->role;
    reply.role.generation_id = agent->has_generation_id ? agent->generation_id : UINT64_MAX;
    of_conn_send(ac->conn, &reply);
    agent_count_controllers(agent);
    return OF_OK;
}
