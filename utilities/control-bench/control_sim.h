/*
 * control-sim: N simulated switches and M simulated tenants' controllers in one process, and what is measured between
 * them.
 *
 * Tenant 0 has two switches: its virtual one, behind controllerd, and a simulated one that is connected to it directly
 * (the two lanes).  Every measurement is made on both in turns, so that what this process, the kernel and a busy
 * machine cost is in both figures; the difference is controllerd's. With `spin` the loop never sleeps while latency is
 * measured, or the time of waking this process up would be in both.
 *
 * Phases run in the order of the command line, each prints one JSON object on a line.  Loop thread only.
 */
#ifndef CONTROL_BENCH_CONTROL_SIM_H
#define CONTROL_BENCH_CONTROL_SIM_H 1

#include <cjson/cJSON.h>
#include "utilities/bench/latency.h"
#include "utilities/control-bench/sim.h"
#include "utilities/control-bench/tenant.h"

#define DIRECT_DPID UINT64_C(0xd12ec7)
#define MAX_FLOODERS 2
#define WAIT_NS UINT64_C(60000000000)           /* No phase waits longer for anything. */

enum lane { LANE_DIRECT, LANE_SLICE, N_LANES };
enum answer { ANSWER_NOTHING, ANSWER_FLOW_MOD, ANSWER_PACKET_OUT, ANSWER_BOTH };

struct sim_options {
    struct sim_plan plan;
    const char *openflow;       /* Where controllerd takes switches; NULL: it has no part (only the direct lane is measured). */
    const char *flood_at[MAX_FLOODERS + 1];     /* Where tenants' switches listen, from tenant 1; NULL: nowhere. */
    unsigned n_tenants, first_port, n_switches_each;
    uint64_t seconds_wait;
};

/* What a switch sends again and again: a packet-in that its tables make, each time of another source address. */
struct packet_source {
    struct sim_switch *sw;
    struct sim_packet_in packet;
    uint8_t frame[60];
    uint32_t next;
};

struct bench {
    const struct sim_options *o;
    struct event_base *base;
    struct sim_net *net;
    struct sim_switch *direct;
    struct tenants *tenants;
    uint64_t started_ns;
    struct tenant_conn *conn[N_LANES];          /* Tenant 0's; NULL while it is not connected. */
    /* Since the beginning, by lane. */
    uint32_t network;           /* Tenant 0's, as cookies have it (controller/edge_tables.h): others' entries are not counted. 0: not known, all are. */
    uint64_t n_changed[N_LANES], n_packet_outs[N_LANES], n_packet_ins[N_LANES], n_errors;
    uint64_t changed_ns[N_LANES], packet_out_ns[N_LANES];       /* Of the last one. */
    unsigned n_barriers[N_LANES];               /* Of the connections in `conn`: sent and not answered. */
    uint64_t barrier_ns;                        /* When the last barrier reply came. */
    struct of_error last_error;
    bool lost;                  /* A switch of tenant 0 went away: nothing more is measured. */
    enum answer answer;         /* What tenant 0 does with a packet-in. */
    /* While each new switch of a tenant is programmed at once (phase program). */
    unsigned program;           /* Entries; 0: not. */
    unsigned n_programmed;      /* Switches that answered the barrier. */
};

static inline uint64_t bench_now(void) { struct clock c = clock_monotonic(); return clock_now_ns(&c); }
static inline const char *lane_name(enum lane lane) { return lane == LANE_SLICE ? "slice" : "direct"; }

/* Runs the loop until done(b, aux); false when `limit_ns` is over or a connection is lost.  spin: without sleeping. */
bool bench_wait(struct bench *, bool (*done)(struct bench *, void *aux), void *aux, uint64_t limit_ns, bool spin);
/* Everything tenant 0 sent on the lane is answered, and no more than `left` barriers are open. */
bool bench_drain(struct bench *, enum lane, unsigned left);
void bench_barrier(struct bench *, enum lane);
/* The lanes that this run has. */
bool bench_has_lane(const struct bench *, enum lane);
/* Their switches are connected; else err. */
bool bench_check_lanes(struct bench *, struct err *);
/* Fills err with what was waited for in vain on the lane; false. */
bool bench_late(const struct bench *, enum lane, const char *what, struct err *);

/* A port of the lane's switches whose packets come as packet-ins to a tenant now, another network's than `except` (0: any); false when there is none.
 * `s` must stay where it is. */
bool packet_source_find(struct bench *, enum lane, uint32_t except, struct packet_source *);
uint32_t packet_source_network(const struct packet_source *);
void packet_source_send(struct packet_source *);
/* What stands for the sender of the `ago`th last frame (0: the last), as tenant_add() takes it. */
uint32_t packet_source_key(const struct packet_source *, unsigned ago);
/* Both lanes' unknown frames come to tenant 0, whose network is known from now on. */
bool packet_sources_prepare(struct bench *, struct packet_source sources[N_LANES], struct err *);
/* A flow is set up: a frame comes as a packet-in, and is answered by a flow-mod and a packet-out.  *ns: until both are at the switch.  The entry stays. */
bool sample_set_up(struct bench *, enum lane, struct packet_source *, uint64_t *ns, struct err *);
/* An entry is added, timed until it is in the switch and until the barrier behind it is answered, and deleted again, untimed: the number of entries stays. */
bool sample_flow_mod(struct bench *, enum lane, uint32_t key, struct latency *to_switch, struct latency *to_barrier, struct err *);

/* Each: true and a result to print, or false and why not.  `n` is the phase's argument. */
typedef bool phase_fn(struct bench *, uint64_t n, cJSON *result, struct err *);
phase_fn phase_latency, phase_fill, phase_rate, phase_clear;            /* phase_flow.c */
phase_fn phase_packet_in, phase_packet_out, phase_packet_in_latency;    /* phase_packet.c */
phase_fn phase_flood_flow_mods, phase_flood_unlimited, phase_flood_packet_ins, phase_flood_unmetered, phase_flood_stall, phase_flood_garbage,
    phase_flood_reconnect;      /* phase_flood.c */
phase_fn phase_go, phase_connect, phase_program, phase_idle;            /* phase_start.c */

#endif
