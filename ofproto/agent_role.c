/* Roles, generation ids and asynchronous configuration (OpenFlow 1.3.5 sections 6.3.5, 6.3.6, 7.3.9 and 7.3.10). */
#include "ofproto/agent_private.h"

#include <string.h>

/* An equal or master controller "receives all switch asynchronous messages", a slave "does not receive … apart from port-status". */
void agent_role_init(struct agent_conn *ac)
{
    ac->role = OFPCR_ROLE_EQUAL;
    ac->async = (struct of_async) {
        .packet_in = { 1 << OFPR_NO_MATCH | 1 << OFPR_ACTION | 1 << OFPR_INVALID_TTL
                       | 1 << OFPR_ACTION_SET | 1 << OFPR_GROUP | 1 << OFPR_PACKET_OUT, 0 },
        .port_status = { 1 << OFPPR_ADD | 1 << OFPPR_DELETE | 1 << OFPPR_MODIFY, 1 << OFPPR_ADD | 1 << OFPPR_DELETE | 1 << OFPPR_MODIFY },
        .flow_removed = { 1 << OFPRR_IDLE_TIMEOUT | 1 << OFPRR_HARD_TIMEOUT | 1 << OFPRR_DELETE | 1 << OFPRR_GROUP_DELETE
                          | 1 << OFPRR_METER_DELETE | 1 << OFPRR_EVICTION, 0 },
        .role_status = { 1 << OFPCRR_MASTER_REQUEST, 1 << OFPCRR_MASTER_REQUEST },
        .table_status = { 1 << OFPTR_VACANCY_DOWN | 1 << OFPTR_VACANCY_UP, 0 },
    };
}

/* The reasons that there are, as bits, for each pair of property types (OpenFlow 1.4 section 7.3.10). */
static const uint32_t known_reasons[6] = {
    (2u << OFPR_PACKET_OUT) - 1, (2u << OFPPR_MODIFY) - 1, (2u << OFPRR_EVICTION) - 1, 7 /* Master request, configuration, experimenter. */,
    1u << OFPTR_VACANCY_DOWN | 1u << OFPTR_VACANCY_UP, (2u << OFPRFR_METER_MOD) - 1,
};

/* 1.4 sets what the message has; "masks that are not in it are left as they are". */
struct of_error agent_set_async(struct agent_conn *ac, const struct of_msg *msg)
{
    const struct of_async *in = &msg->async;
    if (msg->version < OF14_VERSION) {
        memcpy(ac->async.packet_in, in->packet_in, sizeof in->packet_in);
        memcpy(ac->async.port_status, in->port_status, sizeof in->port_status);
        memcpy(ac->async.flow_removed, in->flow_removed, sizeof in->flow_removed);
        return OF_OK;
    }
    const uint32_t *from[6] = { in->packet_in, in->port_status, in->flow_removed, in->role_status, in->table_status, in->requestforward };
    uint32_t *to[6] = { ac->async.packet_in, ac->async.port_status, ac->async.flow_removed, ac->async.role_status, ac->async.table_status,
                        ac->async.requestforward };
    for (unsigned type = 0; type < 12; type++) {
        if (in->given & (1u << type) && from[type / 2][!(type % 2)] & ~known_reasons[type / 2]) {
            return OF_ERROR(OFPET_ASYNC_CONFIG_FAILED, OFPACFC_INVALID);
        }
    }
    for (unsigned type = 0; type < 12; type++) {
        if (in->given & (1u << type)) {
            to[type / 2][!(type % 2)] = from[type / 2][!(type % 2)];
        }
    }
    return OF_OK;
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

/* From 1.4 on a controller is told that another one has become the master (OpenFlow 1.4 section 7.4.4). */
static void demote_masters(struct of_agent *agent, const struct agent_conn *new_master)
{
    struct agent_conn *ac;
    LIST_FOR_EACH (ac, node, &agent->conns) {
        if (ac->role != OFPCR_ROLE_MASTER || ac == new_master) {
            continue;
        }
        bool told = of_conn_is_up(ac->conn) && of_conn_version(ac->conn) >= OF14_VERSION && agent_wants(ac, ac->async.role_status, OFPCRR_MASTER_REQUEST);
        ac->role = OFPCR_ROLE_SLAVE;
        if (told) {
            struct of_msg msg;
            of_msg_init(&msg, OFPT_ROLE_STATUS, 0);
            msg.role_status.role = OFPCR_ROLE_SLAVE;
            msg.role_status.reason = OFPCRR_MASTER_REQUEST;
            msg.role_status.generation_id = agent->has_generation_id ? agent->generation_id : UINT64_MAX;
            of_conn_send(ac->conn, &msg);
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
    /* Nicira's roles, 1.0's, have no generations. */
    if (msg->version != OF10_VERSION && (role == OFPCR_ROLE_MASTER || role == OFPCR_ROLE_SLAVE)) {
        if (is_stale(agent, msg->role.generation_id)) {
            return OF_ERROR(OFPET_ROLE_REQUEST_FAILED, OFPRRFC_STALE);
        }
        agent->has_generation_id = true;
        agent->generation_id = msg->role.generation_id;
    }
    if (role == OFPCR_ROLE_MASTER) {
        demote_masters(agent, ac);
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
