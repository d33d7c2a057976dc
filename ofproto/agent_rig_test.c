#include "ofproto/agent_rig.h"

#include <event2/event.h>
#include "tests/unit.h"

static void rig_connect(struct agent_rig *r, unsigned i, uint8_t version)
{
    struct of_conn_options options = { .versions = 1u << version };
    struct err err = ERR_INIT;
    char target[40];
    snprintf(target, sizeof target, "tcp:127.0.0.1:%u", of_agent_listen_port(r->fake.agent, 0));
    r->peer[i]->conn = of_conn_connect(r->base, target, NULL, &options, &of_peer_ops, r->peer[i], &err);
    CU_ASSERT_TRUE_FATAL(loop_until(r->base, &r->peer[i]->n_up, 1));
}

void agent_rig_init(struct agent_rig *r, unsigned max_flows, unsigned n_peers, unsigned packet_in_rate)
{
    agent_rig_init_ops(r, &fake_ops, max_flows, n_peers, packet_in_rate);
}

void agent_rig_init_ops(struct agent_rig *r, const struct of_backend_ops *ops, unsigned max_flows, unsigned n_peers, unsigned packet_in_rate)
{
    static const uint8_t versions[AGENT_RIG_PEERS] = { OF13_VERSION, OF13_VERSION, OF13_VERSION };
    struct of_agent_config config = { .packet_in_rate = packet_in_rate };
    agent_rig_init_versions(r, ops, versions, n_peers, max_flows, &config);
}

void agent_rig_init_versions(struct agent_rig *r, const struct of_backend_ops *ops, const uint8_t *versions, unsigned n_peers, unsigned max_flows,
                             const struct of_agent_config *limits)
{
    const char *listen[] = { "ptcp:0:127.0.0.1" };
    struct of_agent_config config = limits ? *limits : (struct of_agent_config) { .n_listen = 0 };
    struct err err = ERR_INIT;
    config.listen = listen;
    config.n_listen = 1;
    config.versions = 1u << OF10_VERSION | 1u << OF13_VERSION | 1u << OF14_VERSION;
    r->base = event_base_new();
    fake_init(&r->fake, max_flows, 4000);
    r->fake.agent = of_agent_new(r->base, &config, r->fake.clock, ops, &r->fake, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->fake.agent);
    for (unsigned i = 0; i < AGENT_RIG_PEERS; i++) {
        r->peer[i] = of_peer_new();
        if (i < n_peers) {
            rig_connect(r, i, versions[i]);
        }
    }
    CU_ASSERT_TRUE(loop_until(r->base, &r->fake.last_n_up, n_peers));
}

void agent_rig_fini(struct agent_rig *r)
{
    for (unsigned i = 0; i < AGENT_RIG_PEERS; i++) {
        of_peer_free(r->peer[i]);
    }
    of_agent_free(r->fake.agent);
    fake_release(&r->fake);             /* A barrier that the agent forgot. */
    fake_fini(&r->fake);
    event_base_free(r->base);
}

void agent_rig_say(struct agent_rig *r, unsigned peer, enum of_type type)
{
    struct of_msg msg;
    of_msg_init(&msg, type, 0);
    of_conn_send(r->peer[peer]->conn, &msg);
}

struct of_msg agent_rig_ask(struct agent_rig *r, unsigned peer, enum of_type type, enum of_type reply)
{
    agent_rig_say(r, peer, type);
    struct of_msg msg = of_peer_take(r->base, r->peer[peer]);
    CU_ASSERT_EQUAL_FATAL(msg.type, reply);
    return msg;
}

void agent_rig_barrier(struct agent_rig *r, unsigned peer)
{
    struct of_msg msg = agent_rig_ask(r, peer, OFPT_BARRIER_REQUEST, OFPT_BARRIER_REPLY);
    of_msg_fini(&msg);
}

void agent_rig_flow_mod(struct agent_rig *r, unsigned peer, enum of_flow_command command, const char *match, const char *actions, uint16_t flags)
{
    struct of_msg msg;
    struct err err = ERR_INIT;
    of_msg_init(&msg, OFPT_FLOW_MOD, 0);
    msg.flow_mod.command = command;
    msg.flow_mod.flags = flags;
    CU_ASSERT_TRUE_FATAL(match_parse(match, &msg.flow_mod.match, &err) && instructions_parse(actions, &msg.flow_mod.instructions, &err));
    of_conn_send(r->peer[peer]->conn, &msg);
    of_msg_fini(&msg);
}

void agent_rig_group_mod(struct agent_rig *r, unsigned peer, enum of_group_command command, uint32_t id, uint32_t to_group)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_GROUP_MOD, 0);
    msg.group_mod = (struct of_group_mod) { command, OFPGT_ALL, id, xcalloc(1, sizeof(struct of_bucket)), command == OFPGC_DELETE ? 0 : 1 };
    if (msg.group_mod.n_buckets) {
        msg.group_mod.buckets[0].watch_port = OFPP_ANY;
        msg.group_mod.buckets[0].watch_group = OFPG_ANY;
        if (to_group) {
            actions_group(&msg.group_mod.buckets[0].actions, to_group);
        } else {
            actions_output(&msg.group_mod.buckets[0].actions, 1);
        }
    }
    of_conn_send(r->peer[peer]->conn, &msg);
    of_msg_fini(&msg);
}

void agent_rig_multipart(struct agent_rig *r, unsigned peer, uint16_t type, uint32_t id)
{
    struct of_msg msg;
    of_msg_init(&msg, OFPT_MULTIPART_REQUEST, 0);
    msg.multipart.type = type;
    if (type == OFPMP_FLOW || type == OFPMP_AGGREGATE) {
        of_flow_filter_init(&msg.multipart.filter);
    } else {
        msg.multipart.id = id;
    }
    of_conn_send(r->peer[peer]->conn, &msg);
}

struct of_msg agent_rig_ask_multipart(struct agent_rig *r, uint16_t type, uint32_t id)
{
    agent_rig_multipart(r, 0, type, id);
    struct of_msg msg = of_peer_take(r->base, r->peer[0]);
    CU_ASSERT_EQUAL_FATAL(msg.type, OFPT_MULTIPART_REPLY);
    CU_ASSERT_EQUAL(msg.multipart.type, type);
    return msg;
}

void agent_rig_expect_error(struct agent_rig *r, unsigned peer, uint16_t type, uint16_t code)
{
    of_peer_expect_error(r->base, r->peer[peer], type, code);
}
