/* For tests: an agent over the backend in memory, and peers that talk to it through sockets on loopback. */
#ifndef OFPROTO_AGENT_RIG_H
#define OFPROTO_AGENT_RIG_H 1

#include "ofproto/agent_fake.h"
#include "ofproto/of_peer.h"

enum { AGENT_RIG_PEERS = 3 };

struct agent_rig {
    struct event_base *base;
    struct fake fake;
    struct of_peer *peer[AGENT_RIG_PEERS];
};

void agent_rig_init(struct agent_rig *r, unsigned max_flows, unsigned n_peers, unsigned packet_in_rate);
void agent_rig_init_ops(struct agent_rig *r, const struct of_backend_ops *, unsigned max_flows, unsigned n_peers, unsigned packet_in_rate);
/* One peer for each version; the agent speaks all of them.  `config` may be NULL: its limits. */
void agent_rig_init_versions(struct agent_rig *r, const struct of_backend_ops *, const uint8_t *versions, unsigned n_peers, unsigned max_flows,
                             const struct of_agent_config *);
void agent_rig_fini(struct agent_rig *r);
void agent_rig_say(struct agent_rig *r, unsigned peer, enum of_type type);
/* A request without arguments, and its reply. */
struct of_msg agent_rig_ask(struct agent_rig *r, unsigned peer, enum of_type type, enum of_type reply);
/* Everything sent so far is processed, and nothing but the reply has come. */
void agent_rig_barrier(struct agent_rig *r, unsigned peer);
void agent_rig_flow_mod(struct agent_rig *r, unsigned peer, enum of_flow_command command, const char *match, const char *actions, uint16_t flags);
void agent_rig_group_mod(struct agent_rig *r, unsigned peer, enum of_group_command command, uint32_t id, uint32_t to_group);
void agent_rig_multipart(struct agent_rig *r, unsigned peer, uint16_t type, uint32_t id);
struct of_msg agent_rig_ask_multipart(struct agent_rig *r, uint16_t type, uint32_t id);
void agent_rig_expect_error(struct agent_rig *r, unsigned peer, uint16_t type, uint16_t code);

#endif
