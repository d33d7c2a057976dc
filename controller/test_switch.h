/*
 * A simulated switch for tests of the substrate: a real OpenFlow connection that answers the handshake and, as a
 * vswitchd, Polder requests. What it is told to send out of a plugged port arrives as a packet-in of the switch at the
 * other end. It has no tables.
 */
#ifndef CONTROLLER_TEST_SWITCH_H
#define CONTROLLER_TEST_SWITCH_H 1

#include "ofproto/of_conn.h"

#define FAKE_MAX_PORTS 4
struct fake;
struct plug { struct fake *to; uint32_t port; };
struct fake {
    struct of_conn *conn;
    uint64_t datapath_id;
    bool is_vswitchd, mute_polder;              /* mute: never answers Polder requests. */
    unsigned n_ports;
    struct of_port ports[FAKE_MAX_PORTS];
    const char *types[FAKE_MAX_PORTS];               /* vswitchd's. */
    struct plug plugs[FAKE_MAX_PORTS];
    uint8_t last_frame[256]; unsigned last_size;
    unsigned n_lldp, n_flows;
    uint32_t asked[16];         /* Xids of the latest requests for counters: left to the test to answer. */
    unsigned n_asked, n_taken;  /* n_taken is the test's. */
    uint16_t config_flags;      /* As the latest SET_CONFIG says; */
    struct of_async async;      /* SET_ASYNC. */
    uint32_t group_types;       /* Bits of enum of_group_type; 0: does not answer. */
    bool up;
};

struct event_base;
void fake_ports(struct fake *, uint64_t datapath_id, unsigned n);       /* Zeroes it; ports 1..n, up, named "port<n>". */
void fake_connect(struct fake *, struct event_base *, const char *target);
void fake_close(struct fake *);
void fake_plug(struct fake *a, uint32_t port_a, struct fake *b, uint32_t port_b);
void fake_packet_in(struct fake *, uint32_t port, const uint8_t *data, unsigned size);
void fake_port_status(struct fake *, uint8_t reason, const struct of_port *);
void fake_set_down(struct fake *, uint32_t port_no, bool down);

#endif
