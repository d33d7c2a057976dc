/*
 * For tests: a slice between a tenant's controller and its edges. Real connections on both sides, edges that are real but
 * for their wires (ofproto's agent over its own tables), and that refuse what the test says.
 */
#ifndef CONTROLLER_VSW_RIG_H
#define CONTROLLER_VSW_RIG_H 1

#include "controller/edge_tables.h"
#include "controller/fabric_impl.h"
#include "controller/ruleset.h"
#include "controller/slice.h"
#include "controller/substrate.h"
#include "controller/test_fixture.h"
#include "ofproto/agent.h"
#include "ofproto/meter_table.h"
#include "ofproto/of_peer.h"

#define N_EDGES 2
/* What edge 2 refuses: entries of the virtual table 5, and this source address. */
#define REFUSED_TABLE (T_VIRT + 5)
#define REFUSED_MAC UINT64_C(0x02deadbeef00)

struct edge_sim {
    struct vsw_rig *bench;
    uint64_t datapath_id;
    struct flow_tables *flows;
    struct group_table *groups;
    struct meter_table *meters;
    struct of_agent *agent;
    bool refuse_groups, defer_barriers;
    struct { void (*done)(void *); void *token; } deferred[16];
    unsigned n_deferred;
    struct of_packet_out last_out;
    unsigned n_packet_outs;
    uint32_t port_state;
    uint64_t n_counted;         /* What each of its entries has counted, whenever it was put. */
};

struct vsw_rig {
    struct fixture f;
    char listen[140], target[140];      /* controllerd's, and the switches'. */
    struct edge_sim edges[N_EDGES];
    struct of_peer *tenant;
    struct vsw *vsw;
    uint32_t group_ids[2];      /* For tests: physical ids of the tenant's groups 1 and 2. */
};

void vsw_rig_init(struct vsw_rig *b);
void vsw_rig_fini(struct vsw_rig *b);
/* As if controllerd had been killed and started again: the edges and the tenant connect anew. */
void vsw_rig_restart(struct vsw_rig *b);
/* The same, with something to happen before the edges connect; NULL: nothing. */
void vsw_rig_restart_with(struct vsw_rig *b, void (*before_edges)(struct vsw_rig *));
void vsw_rig_settle(struct vsw_rig *b);
uint32_t vsw_rig_flow(struct vsw_rig *b, enum of_flow_command command, uint8_t table, uint64_t cookie, const char *match, const char *actions);
uint32_t vsw_rig_group(struct vsw_rig *b, enum of_group_command command, uint32_t id, uint32_t output);
uint32_t vsw_rig_meter(struct vsw_rig *b, uint32_t id);
void vsw_rig_ask_barrier(struct vsw_rig *b);
void vsw_rig_expect_barrier(struct vsw_rig *b);
void vsw_rig_barrier(struct vsw_rig *b);
void vsw_rig_expect_error(struct vsw_rig *b, uint32_t xid, enum of_type request, uint16_t type, uint16_t code);
struct flow_entry *vsw_rig_entry(struct vsw_rig *b, uint8_t table, const char *match);
bool vsw_rig_does(const struct flow_entry *e, const char *actions);
unsigned vsw_rig_count(struct vsw_rig *b, unsigned edge, uint8_t virtual_table);
void vsw_rig_release(struct edge_sim *e);
void vsw_rig_port(const struct edge_sim *e, uint32_t number, struct of_port *out);
void vsw_rig_expect_port_status(struct vsw_rig *b, uint8_t reason, uint32_t port_no, uint32_t config, uint32_t state);

#endif
