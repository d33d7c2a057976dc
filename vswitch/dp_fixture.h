/*
 * A datapath with a recorder around it: every output, packet-in and free is noted, so that a test can say what became
 * of each packet and that none leaked. Flow-mods are written as ovs-ofctl writes flows.  Single-threaded.
 */
#ifndef VSWITCH_DP_FIXTURE_H
#define VSWITCH_DP_FIXTURE_H 1

#include "vswitch/dp.h"

#define FIXTURE_MAX 256
#define FIXTURE_ROOM 128        /* Headroom and tailroom of packets. */

struct fixture_out { uint32_t port, queue; uint8_t data[2048]; uint32_t len; };
struct fixture_packet_in { struct flow flow; uint64_t cookie; uint8_t table, reason; uint16_t max_len, id, userdata_size; uint8_t userdata[DP_MAX_USERDATA]; uint32_t len; };

struct fixture {
    struct dp *dp;
    uint64_t now_ns;
    struct fixture_out out[FIXTURE_MAX];
    unsigned n_out;             /* All; those beyond FIXTURE_MAX (a loop's) are counted only. */
    struct fixture_packet_in in[FIXTURE_MAX];
    unsigned n_in;
    unsigned n_live;            /* Packets that somebody still has to free or output. */
    unsigned n_copies, n_batches;       /* Since the latest fixture_receive(): copies, and calls of output_batch. */
    unsigned fail_copies;       /* The next so many copies fail. */
    bool refuse_packet_ins;
    void (*on_packet_in)(struct fixture *);     /* In the middle of a batch; may be NULL. */
    unsigned n_removed;
    uint8_t removed_reason;
};

void fixture_init(struct fixture *);            /* Ports 1 to 4, live. */
void fixture_fini(struct fixture *);            /* Asserts that no packet is left. */
/* "table=0,priority=5,ip,nw_dst=10.0.0.1,actions=…" with `command` OFPFC_*; asserts success unless `error` is given. */
void fixture_flow(struct fixture *, enum of_flow_command, uint16_t flags, const char *text, struct of_error *error);
void fixture_add(struct fixture *, const char *text);
/* Buckets as "weight|watch_port|watch_group|actions", "-" where not given. */
void fixture_group(struct fixture *, enum of_group_command, uint32_t id, enum of_group_type, const char *const *buckets, unsigned n, struct of_error *error);
uint64_t fixture_hits(struct fixture *);        /* Packets that the cache knew so far; asserts that walks agreed with it. */
struct packet *fixture_packet(struct fixture *, const void *data, uint32_t len);
/* A frame for an exact match text ("tcp,nw_src=…"), into `buf`. */
void fixture_compose(const char *match, struct buf *);
/* Forgets what was recorded, receives one frame on a port. */
void fixture_receive(struct fixture *, uint32_t in_port, const void *data, uint32_t len);
void fixture_receive_flow(struct fixture *, uint32_t in_port, const char *match);
void fixture_execute(struct fixture *, uint32_t in_port, const char *actions, const char *match);
/* The ports that got the latest frame, in order: "2,3". */
const char *fixture_ports(struct fixture *);
/* The name of the only drop counted since the last call on any port, "" if none; "?" if several. */
const char *fixture_drop(struct fixture *);

#endif
