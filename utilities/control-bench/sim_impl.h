/* What the parts of the simulation share: sim.c (network and cables), sim_switch.c (backend of the agent), sim_pipeline.c (lookup). */
#ifndef CONTROL_BENCH_SIM_IMPL_H
#define CONTROL_BENCH_SIM_IMPL_H 1

#include "utilities/control-bench/sim.h"

#define SIM_FIRST_TENANT_TABLE 16
#define SIM_LAST_TENANT_TABLE 239
#define SIM_LLDP_ETHERTYPE 0x88cc

/* Puts a copy of the frame on the cable of the port, if there is one. */
void sim_transmit(struct sim_switch *, uint32_t port_no, const uint8_t *data, unsigned size);

/* What a pass through the tables wants done. */
struct sim_verdict {
    void (*output)(struct sim_switch *, uint32_t port_no, void *aux);
    void (*packet_in)(struct sim_switch *, const struct sim_packet_in *, void *aux);    /* Without data. */
    void *aux;
};
void sim_pipeline(struct sim_switch *, const struct flow *, const struct sim_verdict *);
/* Runs an action list (a packet-out's). */
void sim_actions(struct sim_switch *, const struct actions *, const struct flow *, const struct sim_verdict *);
/* The key of a frame: Ethernet, one VLAN tag, IPv4 addresses and protocol, ARP addresses. */
void sim_parse(const uint8_t *data, unsigned size, uint32_t in_port, struct flow *);

#endif
