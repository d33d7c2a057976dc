/* A controller's messages, one function per kind.  A handler answers with a reply of its own or returns the error to send. */
#include "ofproto/agent_private.h"

#include <stdlib.h>
#include <string.h>
#include "ofproto/polder.h"

#define BAD_REQUEST(CODE) OF_ERROR(OFPET_BAD_REQUEST, CODE)

enum { ETH_HEADER_SIZE = 14, OFPC_FRAG_NORMAL = 0, OFPC_FRAG_DROP = 1, OFPTC_DEPRECATED_MASK = 3 };

/* --- Barriers --- */

#define MAX_BARRIERS 256u       /* Not done, on one connection. */

struct barrier { struct list node; struct agent_conn *ac; /* NULL: gone meanwhile. */ uint32_t xid; };

void agent_barrier_forget(struct agent_conn *ac)
{
    struct barrier *barrier;
    LIST_FOR_EACH (barrier, node, &ac->barriers) {
        list_remove(&barrier->node);
        barrier->ac = NULL;
    }
    ac->n_barriers = 0;
    ac->barrier_blocks = false;
}

static void barrier_done(void *token)
{
    struct barrier *barrier = token;
    struct agent_conn *ac = barrier->ac;
    if (ac) {
        struct of_msg reply;
        of_msg_init(&reply, OFPT_BARRIER_REPLY, barrier->xid);
        of_conn_send(ac->conn, &reply);
        list_remove(&barrier->node);
        if (!--ac->n_barriers && ac->barrier_blocks) {
            ac->barrier_blocks = false;
            agent_update_read(ac);
        }
    }
    free(barrier);
}

/* Section 6.2: nothing behind the barrier is processed before everything in front of it is, hence no reading until it is done, unless the backend sees to that. */
static struct of_error handle_barrier(struct agent_conn *ac, const struct of_msg *msg)
{
    struct barrier *barrier = XNEW(struct barrier);
    barrier->ac = ac;
    barrier->xid = msg->xid;
    list_push_back(&ac->barriers, &barrier->node);
    ac->n_barriers++;
    ac->agent->ops->barrier(ac->agent->aux, barrier_done, barrier);
    bool passes = ac->agent->ops->barrier_passes && ac->agent->ops->barrier_passes(ac->agent->aux) && ac->n_barriers < MAX_BARRIERS;
    if (ac->n_barriers && !passes) {
        ac->barrier_blocks = true;
        agent_update_read(ac);
    }
    return OF_OK;
}

/* --- Changes --- */

/* Every group that the actions name exists. */
static bool groups_exist(struct of_agent *agent, const struct actions *actions)
{
    for (unsigned i = 0; i < actions->n; i++) {
        const struct action *a = &actions->list[i];
        if (a->type == ACTION_GROUP ? !group_table_find(agent->ops->groups(agent->aux), a->group)
            : a->type == ACTION_CLONE && !groups_exist(agent, &a->nested)) {
            return false;
        }
    }
    return true;
}

struct of_error agent_flow_mod(struct agent_conn *ac, struct of_msg *msg)
{
    struct of_agent *agent = ac->agent;
    struct of_flow_mod *fm = &msg->flow_mod;
    if (msg->version == OF10_VERSION) {
        struct of_error error = agent_of10_flow_mod(ac, fm);
        if (!of_ok(error)) {
            return error;
        }
    }
    const struct instructions *is = &fm->instructions;
    if (fm->command <= OFPFC_MODIFY_STRICT) {
        if (fm->buffer_id != OFP_NO_BUFFER) {
            return BAD_REQUEST(OFPBRC_BUFFER_UNKNOWN);
        }
        if (fm->table_id >= agent->n_tables && !(msg->version == OF10_VERSION && fm->table_id == OFPTT_ALL)) {
            return OF_ERROR(OFPET_FLOW_MOD_FAILED, OFPFMFC_BAD_TABLE_ID);
        }
        if (is->has_goto && is->goto_table >= agent->n_tables) {
            return OF_ERROR(OFPET_BAD_INSTRUCTION, OFPBIC_BAD_TABLE_ID);
        }
        if (is->has_meter && !agent->ops->meters) {
            return OF_ERROR(OFPET_BAD_INSTRUCTION, OFPBIC_UNSUP_INST);
        }
        if (is->has_meter && !meter_table_find(agent->ops->meters(agent->aux), is->meter)) {
            return OF_ERROR(OFPET_METER_MOD_FAILED, OFPMMFC_INVALID_METER);
        }
        if (!groups_exist(agent, &is->apply) || !groups_exist(agent, &is->write)) {
            return OF_ERROR(OFPET_BAD_ACTION, OFPBAC_BAD_OUT_GROUP);
        }
    }
    return flow_tables_mod(agent->ops->flows(agent->aux), fm);
}

static void delete_group_users(struct group *g, void *agent_)
{
    struct of_agent *agent = agent_;
    flow_tables_group_deleted(agent->ops->flows(agent->aux), g->id);
}

/* Entries go before the groups that they use, so that none ever refers to a group that is gone. */
struct of_error agent_group_mod(struct agent_conn *ac, struct of_group_mod *gm)
{
    struct of_agent *agent = ac->agent;
    struct group_table *groups = agent->ops->groups(agent->aux);
    if (gm->command == OFPGC_DELETE && gm->group_id == OFPG_ALL) {
        group_table_each(groups, delete_group_users, agent);
    } else if (gm->command == OFPGC_DELETE && !group_table_is_chained(groups, gm->group_id)) {
        flow_tables_group_deleted(agent->ops->flows(agent->aux), gm->group_id);
    }
    return group_table_mod(groups, gm);
}

struct of_error agent_meter_mod(struct agent_conn *ac, struct of_meter_mod *mm)
{
    struct of_agent *agent = ac->agent;
    if (!agent->ops->meters) {
        return BAD_REQUEST(OFPBRC_BAD_TYPE);
    }
    if (mm->command == OFPMC_DELETE) {
        flow_tables_meter_deleted(agent->ops->flows(agent->aux), mm->meter_id);
    }
    return meter_table_mod(agent->ops->meters(agent->aux), mm);
}

struct of_error agent_packet_out_check(struct agent_conn *ac, struct of_packet_out *po)
{
    struct of_agent *agent = ac->agent;
    if (po->buffer_id != OFP_NO_BUFFER) {
        return BAD_REQUEST(OFPBRC_BUFFER_UNKNOWN);
    }
    if (!po->actions.n) {
        return OF_OK;                   /* See agent_packet_out(). */
    }
    if (po->size < ETH_HEADER_SIZE) {
        return BAD_REQUEST(OFPBRC_BAD_PACKET);
    }
    /* "must be set to a valid standard switch port or OFPP_CONTROLLER" (section 7.3.7).  Controllers that come from 1.0 say "none" as there; Open vSwitch takes that, too. */
    if (po->in_port == OFPP_ANY) {
        po->in_port = OFPP_CONTROLLER;
    }
    if (po->in_port != OFPP_CONTROLLER && po->in_port != OFPP_LOCAL && (!po->in_port || po->in_port > OFPP_MAX)) {
        return BAD_REQUEST(OFPBRC_BAD_PORT);
    }
    struct of_error error = actions_check(&po->actions, NULL, OFPTT_ALL, false);
    if (!of_ok(error)) {
        return error;
    }
    if (!groups_exist(agent, &po->actions)) {
        return OF_ERROR(OFPET_BAD_ACTION, OFPBAC_BAD_OUT_GROUP);
    }
    return OF_OK;
}

/* An empty list of actions drops the packet (section 6.1.1), whatever it is and wherever it comes from: controllers ask so whether they may. */
struct of_error agent_packet_out(struct of_agent *agent, const struct of_packet_out *po)
{
    return po->actions.n ? agent->ops->packet_out(agent->aux, po) : OF_OK;
}

static struct of_error handle_packet_out(struct agent_conn *ac, struct of_packet_out *po)
{
    struct of_error error = agent_packet_out_check(ac, po);
    return of_ok(error) ? agent_packet_out(ac->agent, po) : error;
}

struct of_error agent_port_mod(struct of_agent *agent, const struct of_msg *msg)
{
    struct of_port_mod pm = msg->port_mod;
    uint32_t known = OFPPC_ALL;
    if (msg->version == OF10_VERSION) {
        pm.mask &= ~(uint32_t) (OFPPC10_NO_STP | OFPPC10_NO_RECV_STP);
        known |= OFPPC10_NO_FLOOD;
    }
    return pm.mask & ~known ? OF_ERROR(OFPET_PORT_MOD_FAILED, OFPPMFC_BAD_CONFIG) : agent->ops->port_mod(agent->aux, &pm);
}

/* In 1.3 a table has nothing left to configure: "OFPTC_DEPRECATED_MASK = 3, deprecated bits"; 1.4 has eviction and vacancy events (section 7.3.3 there). */
static struct of_error handle_table_mod(struct agent_conn *ac, const struct of_msg *msg)
{
    uint32_t known = OFPTC_DEPRECATED_MASK | (msg->version >= OF14_VERSION ? OFPTC_EVICTION | OFPTC_VACANCY_EVENTS : 0);
    if (msg->table_mod.table_id >= ac->agent->n_tables && msg->table_mod.table_id != OFPTT_ALL) {
        return OF_ERROR(OFPET_TABLE_MOD_FAILED, OFPTMFC_BAD_TABLE);
    }
    if (msg->table_mod.config & ~known) {
        return OF_ERROR(OFPET_TABLE_MOD_FAILED, OFPTMFC_BAD_CONFIG);
    }
    return msg->version >= OF14_VERSION ? flow_tables_configure(ac->agent->ops->flows(ac->agent->aux), &msg->table_mod) : OF_OK;
}

/* --- Questions --- */

static struct of_error handle_features(struct agent_conn *ac, const struct of_msg *msg)
{
    struct of_msg reply;
    of_msg_init(&reply, OFPT_FEATURES_REPLY, msg->xid);
    ac->agent->ops->features(ac->agent->aux, &reply.features);
    reply.features.auxiliary_id = 0;    /* There are main connections only. */
    if (msg->version == OF10_VERSION) { /* Later versions have OFPMP_PORT_DESC for that. */
        agent_ports(ac->agent, &reply.features.ports, &reply.features.n_ports);
    }
    of_conn_send(ac->conn, &reply);
    of_msg_fini(&reply);
    return OF_OK;
}

static struct of_error handle_get_config(struct agent_conn *ac, const struct of_msg *msg)
{
    struct of_msg reply;
    of_msg_init(&reply, OFPT_GET_CONFIG_REPLY, msg->xid);
    reply.config.flags = ac->agent->drops_fragments ? OFPC_FRAG_DROP : OFPC_FRAG_NORMAL;
    reply.config.miss_send_len = ac->miss_send_len;
    of_conn_send(ac->conn, &reply);
    return OF_OK;
}

/* Section 7.3.2.  What is done with fragments is the switch's, miss_send_len the connection's; nothing is reassembled here (there is no OFPC_IP_REASM). */
static struct of_error handle_set_config(struct agent_conn *ac, const struct of_msg *msg)
{
    struct of_agent *agent = ac->agent;
    bool drop = msg->config.flags == OFPC_FRAG_DROP;
    if (msg->config.flags != OFPC_FRAG_NORMAL && !(drop && agent->ops->drop_fragments)) {
        return OF_ERROR(OFPET_SWITCH_CONFIG_FAILED, OFPSCFC_BAD_FLAGS);
    }
    if (drop != agent->drops_fragments && ac->role != OFPCR_ROLE_SLAVE) {
        agent->drops_fragments = drop;
        agent->ops->drop_fragments(agent->aux, drop);
    }
    ac->miss_send_len = msg->config.miss_send_len;
    ac->configured = true;
    agent_count_controllers(ac->agent);
    return OF_OK;
}

static struct of_error handle_get_async(struct agent_conn *ac, const struct of_msg *msg)
{
    struct of_msg reply;
    of_msg_init(&reply, OFPT_GET_ASYNC_REPLY, msg->xid);
    reply.async = ac->async;
    reply.async.given = OF_ASYNC_ALL;
    for (unsigned i = 0; msg->version < OF14_VERSION && i < 2; i++) {   /* The reasons that there are; the masks may be 1.4's defaults. */
        reply.async.packet_in[i] &= (2u << OFPR_INVALID_TTL) - 1;
        reply.async.flow_removed[i] &= (2u << OFPRR_GROUP_DELETE) - 1;
    }
    of_conn_send(ac->conn, &reply);
    return OF_OK;
}

static const char too_long[] =
    "{\"error\":{\"code\":\"failed\",\"field\":\"\",\"message\":\"the reply does not fit an OpenFlow message\",\"hint\":\"ask on the control socket\"}}";

static struct of_error handle_experimenter(struct agent_conn *ac, const struct of_msg *msg)
{
    struct of_agent *agent = ac->agent;
    if (msg->experimenter.experimenter != POLDER_EXPERIMENTER || !agent->ops->polder_request) {
        return BAD_REQUEST(OFPBRC_BAD_EXPERIMENTER);
    }
    if (msg->experimenter.exp_type != POLDER_REQUEST) {
        return BAD_REQUEST(OFPBRC_BAD_EXP_TYPE);
    }
    char *json = agent->ops->polder_request(agent->aux, (const char *) msg->experimenter.data, msg->experimenter.size);
    struct of_msg reply;
    of_msg_init(&reply, OFPT_EXPERIMENTER, msg->xid);
    reply.is_reply = true;
    reply.experimenter.experimenter = POLDER_EXPERIMENTER;
    reply.experimenter.exp_type = POLDER_REPLY;
    if (strlen(json) > OF_MAX_MESSAGE - 16) {
        free(json);
        json = xstrdup(too_long);
    }
    reply.experimenter.data = (uint8_t *) json;
    reply.experimenter.size = (unsigned) strlen(json);
    of_conn_send(ac->conn, &reply);
    of_msg_fini(&reply);
    return OF_OK;
}

/* --- Which is which --- */

/* Section 6.3.5: what a slave may not do.  Table features are told apart by their body (agent_multipart.c). */
static bool is_change(enum of_type type)
{
    return type == OFPT_PACKET_OUT || type == OFPT_FLOW_MOD || type == OFPT_GROUP_MOD || type == OFPT_PORT_MOD || type == OFPT_TABLE_MOD
           || type == OFPT_METER_MOD || type == OFPT_BUNDLE_CONTROL || type == OFPT_BUNDLE_ADD_MESSAGE;
}

static struct of_error dispatch(struct agent_conn *ac, struct of_msg *msg, const uint8_t *raw, size_t size)
{
    struct of_agent *agent = ac->agent;
    if (is_change(msg->type)) {
        if (ac->role == OFPCR_ROLE_SLAVE) {
            return BAD_REQUEST(OFPBRC_IS_SLAVE);
        }
        if (agent->ops->request) {
            agent->ops->request(agent->aux, &(struct of_request) { ac->number, raw, size });
        }
    }
    switch (msg->type) {
    case OFPT_FEATURES_REQUEST:
        return handle_features(ac, msg);
    case OFPT_GET_CONFIG_REQUEST:
        return handle_get_config(ac, msg);
    case OFPT_SET_CONFIG:
        return handle_set_config(ac, msg);
    case OFPT_PACKET_OUT:
        return handle_packet_out(ac, &msg->packet_out);
    case OFPT_FLOW_MOD:
        return agent_flow_mod(ac, msg);
    case OFPT_GROUP_MOD:
        return agent_group_mod(ac, &msg->group_mod);
    case OFPT_METER_MOD:
        return agent_meter_mod(ac, &msg->meter_mod);
    case OFPT_PORT_MOD:
        return agent_port_mod(agent, msg);
    case OFPT_TABLE_MOD:
        return handle_table_mod(ac, msg);
    case OFPT_MULTIPART_REQUEST:
        return agent_multipart(ac, msg, raw, size);
    case OFPT_BARRIER_REQUEST:
        return handle_barrier(ac, msg);
    case OFPT_QUEUE_GET_CONFIG_REQUEST:
        return agent_queue_config(ac, msg);
    case OFPT_ROLE_REQUEST:
        return agent_role_request(ac, msg);
    case OFPT_GET_ASYNC_REQUEST:
        return handle_get_async(ac, msg);
    case OFPT_SET_ASYNC:
        return agent_set_async(ac, msg);
    case OFPT_BUNDLE_CONTROL:
        return agent_bundle_control(ac, msg);
    case OFPT_BUNDLE_ADD_MESSAGE:
        return agent_bundle_add(ac, msg);
    case OFPT_NX_SET_FLOW_FORMAT:
    case OFPT_NX_FLOW_MOD_TABLE_ID:
    case OFPT_NX_SET_PACKET_IN_FORMAT:
    case OFPT_NX_SET_CONTROLLER_ID:
    case OFPT_NX_MONITOR_CANCEL:
        return agent_nicira(ac, msg);
    case OFPT_EXPERIMENTER:
        return handle_experimenter(ac, msg);
    case OFPT_ERROR:                    /* The controller did not like a message of ours; it counted it. */
        return OF_OK;
    default:
        return BAD_REQUEST(OFPBRC_BAD_TYPE);    /* A reply or an asynchronous message: not for a switch. */
    }
}

void agent_message(struct of_conn *conn, struct of_msg *msg, const uint8_t *raw, size_t size, void *ac_)
{
    struct agent_conn *ac = ac_;
    struct agent_changes *changes = &ac->agent->changes;
    changes->by = ac;
    changes->xid = msg->xid;
    struct of_error error = dispatch(ac, msg, raw, size);
    changes->by = NULL;
    agent_changes_flush(ac->agent);
    if (!of_ok(error)) {
        of_conn_send_error(conn, error, raw, size);
    } else if (msg->type == OFPT_GROUP_MOD || msg->type == OFPT_METER_MOD) {
        agent_request_forward(ac->agent, ac, msg->type == OFPT_GROUP_MOD ? OFPRFR_GROUP_MOD : OFPRFR_METER_MOD, raw, size);
    }
}
