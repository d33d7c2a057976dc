/*
 * The traffic generator: a "virtual machine" with two vhost-user network cards that sends frames into one port of a switch and takes them from another.
 *
 * It is a DPDK process with two virtio-user devices, clients of the sockets on which the switch listens, so any switch that speaks vhost-user can be measured, and the
 * switch cannot tell it from a guest that polls.  One thread sends and receives: on a machine with two cores the other one is the switch's.
 *
 * Three ways to run.  Without a rate it sends as fast as the ring takes frames, and what comes back is the switch's throughput.  With a rate, frames are sent when they are
 * due, stamped with the time at which they were due to be handed over, so a switch that stalls is charged for all frames that it kept waiting; that gives latencies and losses.
 * With `fresh` each round through the flows uses another L4 source port, so no packet's flow was ever seen before.
 *
 * A run: frames until the first comes back (the switch needs a moment to see its new guest), warm-up, measurement, and a drain that lets late frames in, so that
 * sent - received is what was lost.
 *
 * On a machine that others use too, a mean tells how much the others did.  So the measurement is also cut into windows of a few milliseconds, and the report has the median
 * and the ninth decile of their rates: where the two and the mean agree the machine was quiet, and where they do not, the ninth decile is what the switch can do.
 * A thousandth of the frames wait longest when a thousandth of the time is taken away, so latencies are kept for each part of some windows, too, and the report has the median
 * of the parts' percentiles.
 *
 * gen.c reads the command line and starts DPDK, gen_run.c is the loop, gen_report.c prints one JSON object.
 */
#ifndef BENCH_GEN_H
#define BENCH_GEN_H 1

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "lib/err.h"
#include "utilities/bench/flows.h"
#include "utilities/bench/gen_perf.h"
#include "utilities/bench/latency.h"

#define GEN_BURST 64
#define GEN_MAX_QUEUES 8
#define GEN_WINDOW_S 0.005      /* The measurement is also counted in windows of this length. */
#define GEN_PART_WINDOWS 10u     /* A part of the measurement, for latencies. */
#define GEN_IMIX 0              /* As a frame size: 60, 590 and 1514 bytes as 7 : 4 : 1. */

struct gen_options {
    const char *tx_path, *rx_path, *flows_path, *per_flow_path, *virtio, *file_prefix;
    unsigned size;              /* Bytes without FCS, or GEN_IMIX. */
    double rate;                /* Frames per second; 0: as many as go. */
    double seconds, warmup;
    uint64_t limit;             /* Flows to take from the file; 0: all. */
    unsigned check;             /* One of so many received frames is checked; 0: none. */
    unsigned queues, ring, cpu, memory_mb;
    unsigned perf_tid;          /* The switch's polling thread; 0: not known. */
    uint64_t seed;
    bool fresh, shuffle, hugepages;
    bool realtime;              /* Go before everything else on the CPU, but not while warming up: the switch's control thread may need the time. */
};

struct gen_counts {
    uint64_t sent, received, bytes;
    uint64_t checked, damaged, reordered;
};

struct gen_flow_count { uint64_t received, latency; };

struct gen_queue {
    struct rte_mbuf *pending[GEN_BURST];        /* Made, not taken by the ring yet: [first, n). */
    unsigned first, n;
    struct rte_mbuf *fetched[GEN_BURST];        /* For the next burst, not filled yet. */
    unsigned n_fetched;
    uint32_t sequence;
    size_t at;                  /* In the schedule. */
    uint16_t pass;              /* Times through it. */
    uint32_t last_seen;         /* Sequence number of the last frame that came back. */
    bool seen;
};

struct gen {
    struct gen_options options;
    struct flows flows;
    uint16_t tx_port, rx_port;
    struct rte_mempool *tx_pool, *rx_pool;
    struct gen_queue queues[GEN_MAX_QUEUES];
    struct gen_counts counts;           /* Since the last gen_reset(). */
    struct latency latency;             /* In TSC cycles; of the measurement when it is over. */
    struct latency *parts, *part;       /* Of each part, and the one that counts now (before: `latency`). */
    size_t n_parts;
    struct gen_flow_count *per_flow;    /* NULL unless asked for. */
    uint64_t due_origin;        /* TSC when the pacing began, */
    uint64_t due_sent;          /* and the frames made since. */
    uint64_t check_at;
    double measured_s;
    uint32_t *windows;          /* Frames received in each whole window of the measurement. */
    size_t n_windows;
    struct gen_perf perf;
    int64_t lost;               /* Negative: frames came back that were not sent, or more than once. */
};

/* gen_run.c: the whole run. False and `err` when no frame ever comes back. */
bool gen_run(struct gen *, struct err *);
/* gen_report.c: the result on stdout, and the flows' counts to their file. */
bool gen_report(const struct gen *, struct err *);

#endif
