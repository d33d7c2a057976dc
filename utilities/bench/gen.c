/* The generator's command line, and DPDK's environment and devices. */
#include "utilities/bench/gen.h"

#include <getopt.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf_core.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/util.h"
#include "utilities/bench/probe.h"

#define POOL_CACHE 256
#define DEFAULT_SIZE 60
#define USAGE "usage: gen --tx SOCKET --rx SOCKET --flows FILE [OPTION…]\n" \
    "Sends the flows of FILE into a switch's vhost-user port and takes what comes from another; prints one JSON object.\n" \
    "  --tx, --rx SOCKET   the sockets on which the switch listens for its two ports\n" \
    "  --flows FILE        see utilities/bench/flows.h; --limit N takes the first N.  Or a capture (pcap, pcapng), whose frames are sent\n" \
    "                      as they are, and only counted: without --size, --fresh, --check and --per-flow\n" \
    "  --shuffle           send in a shuffled order (--seed N) instead of the file's\n" \
    "  --fresh             another L4 source port on each round through the flows: every packet a new flow\n" \
    "  --size N|imix       frame size without FCS, 60 (default) to 1514\n" \
    "  --rate PPS          offer so much (default: as much as the switch takes)\n" \
    "  --seconds S         measure so long (default 2), after --warmup S (default 1)\n" \
    "  --check N           check one of N received frames (default: 16, with --rate 1; 0: none)\n" \
    "  --per-flow FILE     counts and latencies of each flow as CSV (checks every frame)\n" \
    "  --queues N          queue pairs (default 1)      --ring N     descriptors (default 1024)\n" \
    "  --cpu N             where to run (default 0)     --memory MB  for buffers (default 96)\n" \
    "  --hugepages         use them (default: memory without)\n" \
    "  --realtime          go before everything else on the CPU once warm (the switch's control thread may need the time before)\n" \
    "  --virtio PARAMS     more parameters of net_virtio_user (default mrg_rxbuf=0,in_order=1)\n" \
    "  --perf TID          count what this thread (the switch's) spends while measuring\n" \
    "  --file-prefix NAME  DPDK's name for this process (default: bench-gen and the process id)\n"

enum { OPT_TX = 256, OPT_RX, OPT_FLOWS, OPT_LIMIT, OPT_SHUFFLE, OPT_SEED, OPT_FRESH, OPT_SIZE, OPT_RATE, OPT_SECONDS, OPT_WARMUP, OPT_CHECK, OPT_PER_FLOW,
       OPT_QUEUES, OPT_RING, OPT_CPU, OPT_MEMORY, OPT_HUGEPAGES, OPT_VIRTIO, OPT_FILE_PREFIX, OPT_PERF, OPT_REALTIME, OPT_HELP };

static const struct option long_options[] = {
    { "tx", 1, NULL, OPT_TX }, { "rx", 1, NULL, OPT_RX }, { "flows", 1, NULL, OPT_FLOWS }, { "limit", 1, NULL, OPT_LIMIT }, { "shuffle", 0, NULL, OPT_SHUFFLE },
    { "seed", 1, NULL, OPT_SEED }, { "fresh", 0, NULL, OPT_FRESH }, { "size", 1, NULL, OPT_SIZE }, { "rate", 1, NULL, OPT_RATE },
    { "seconds", 1, NULL, OPT_SECONDS }, { "warmup", 1, NULL, OPT_WARMUP }, { "check", 1, NULL, OPT_CHECK }, { "per-flow", 1, NULL, OPT_PER_FLOW },
    { "queues", 1, NULL, OPT_QUEUES }, { "ring", 1, NULL, OPT_RING }, { "cpu", 1, NULL, OPT_CPU }, { "memory", 1, NULL, OPT_MEMORY },
    { "hugepages", 0, NULL, OPT_HUGEPAGES }, { "virtio", 1, NULL, OPT_VIRTIO }, { "file-prefix", 1, NULL, OPT_FILE_PREFIX }, { "perf", 1, NULL, OPT_PERF },
    { "realtime", 0, NULL, OPT_REALTIME },
    { "help", 0, NULL, OPT_HELP },
    { NULL, 0, NULL, 0 },
};

static bool number(const char *field, double min, double max, double *out, struct err *err)
{
    char *end;
    *out = strtod(optarg, &end);
    if (end == optarg || *end || !(*out >= min && *out <= max)) {
        return err_set(err, ERR_USAGE, field, "\"%s\" is not a number from %g to %g", optarg, min, max);
    }
    return true;
}

static bool whole(const char *field, double min, double max, unsigned *out, struct err *err)
{
    double x;
    if (!number(field, min, max, &x, err)) {
        return false;
    }
    *out = (unsigned) x;
    return *out == x || err_set(err, ERR_USAGE, field, "\"%s\" is not a whole number", optarg);
}

static bool read_option(int c, struct gen_options *o, struct err *err)
{
    unsigned n;
    double x;
    switch (c) {
    case OPT_TX: o->tx_path = optarg; return true;
    case OPT_RX: o->rx_path = optarg; return true;
    case OPT_FLOWS: o->flows_path = optarg; return true;
    case OPT_PER_FLOW: o->per_flow_path = optarg; return true;
    case OPT_VIRTIO: o->virtio = optarg; return true;
    case OPT_FILE_PREFIX: o->file_prefix = optarg; return true;
    case OPT_SHUFFLE: return o->shuffle = true;
    case OPT_FRESH: return o->fresh = true;
    case OPT_HUGEPAGES: return o->hugepages = true;
    case OPT_REALTIME: return o->realtime = true;
    case OPT_LIMIT: return whole("--limit", 1, FLOWS_MAX_SCHEDULE, &n, err) && (o->limit = n);
    case OPT_SEED: return whole("--seed", 0, UINT32_MAX, &n, err) && (o->seed = n, true);
    case OPT_SIZE:
        if (!strcmp(optarg, "imix")) {
            o->size = GEN_IMIX;
            return true;
        }
        return whole("--size", 60, FLOWS_MAX_FRAME, &o->size, err);
    case OPT_RATE: return number("--rate", 1, 1e9, &o->rate, err);
    case OPT_SECONDS: return number("--seconds", 0.01, 3600, &o->seconds, err);
    case OPT_WARMUP: return number("--warmup", 0, 3600, &x, err) && (o->warmup = x, true);
    case OPT_CHECK: return whole("--check", 0, 1 << 20, &o->check, err);
    case OPT_QUEUES: return whole("--queues", 1, GEN_MAX_QUEUES, &o->queues, err);
    case OPT_RING: return whole("--ring", 64, 32768, &o->ring, err);
    case OPT_CPU: return whole("--cpu", 0, CPU_SETSIZE - 1, &o->cpu, err);
    case OPT_MEMORY: return whole("--memory", 32, 65536, &o->memory_mb, err);
    case OPT_PERF: return whole("--perf", 1, 1 << 22, &o->perf_tid, err);
    default: return err_set(err, ERR_USAGE, NULL, "see gen --help");
    }
}

static bool read_options(int argc, char **argv, struct gen_options *o, struct err *err)
{
    *o = (struct gen_options) { .size = DEFAULT_SIZE, .seconds = 2, .warmup = 1, .check = UINT32_MAX, .queues = 1, .ring = 1024, .memory_mb = 96, .seed = 1,
                                .virtio = "mrg_rxbuf=0,in_order=1" };
    int c;
    while ((c = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
        if (c == OPT_HELP) {
            fputs(USAGE, stdout);
            exit(0);
        }
        if (!read_option(c, o, err)) {
            return false;
        }
    }
    if (optind != argc || !o->tx_path || !o->rx_path || !o->flows_path) {
        return err_set(err, ERR_USAGE, NULL, "--tx, --rx and --flows are needed, and nothing else but options; see gen --help");
    }
    if (o->ring & (o->ring - 1)) {
        return err_set(err, ERR_USAGE, "--ring", "%u is not a power of two", o->ring);
    }
    if (o->per_flow_path) {
        o->check = 1;
    } else if (o->check == UINT32_MAX) {
        o->check = o->rate > 0 ? 1 : 16;
    }
    return true;
}

/* --- DPDK --- */

static bool start_eal(const struct gen_options *o, struct err *err)
{
    /* The process stays on its CPU with all its threads: DPDK would put those that only wait onto the switch's. */
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(o->cpu, &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus)) {
        return err_set(err, ERR_FAILED, "--cpu", "CPU %u cannot be used", o->cpu);
    }
    char *prefix = o->file_prefix ? xstrdup(o->file_prefix) : xasprintf("bench-gen-%d", (int) getpid());
    char *args[16];
    int n = 0;
    args[n++] = xstrdup("gen");
    args[n++] = xasprintf("--lcores=0@%u", o->cpu);
    args[n++] = xasprintf("--file-prefix=%s", prefix);
    args[n++] = xasprintf("-m%u", o->memory_mb);
    args[n++] = xstrdup("--no-pci");
    args[n++] = xstrdup("--no-telemetry");
    args[n++] = xstrdup("--iova-mode=va");
    args[n++] = xstrdup("--log-level=warning");
    args[n++] = xstrdup("--single-file-segments");      /* vhost-user hands over few descriptors only. */
    args[n++] = xstrdup(o->hugepages ? "--in-memory" : "--no-huge");
    if (!o->hugepages) {
        args[n++] = xstrdup("--no-shconf");
    }
    args[n++] = xasprintf("--vdev=net_virtio_user0,path=%s,queues=%u,queue_size=%u%s%s", o->tx_path, o->queues, o->ring, *o->virtio ? "," : "", o->virtio);
    args[n++] = xasprintf("--vdev=net_virtio_user1,path=%s,queues=%u,queue_size=%u%s%s", o->rx_path, o->queues, o->ring, *o->virtio ? "," : "", o->virtio);
    char *argv[16];             /* DPDK reorders it. */
    memcpy(argv, args, sizeof argv);
    int rc = rte_eal_init(n, argv), why = rte_errno;
    while (n) {
        free(args[--n]);
    }
    free(prefix);
    if (rc < 0) {
        err_set(err, ERR_FAILED, NULL, "DPDK does not start: %s", rte_strerror(why));
        return err_hint(err, "does the switch listen on both sockets? See the lines above");
    }
    return true;
}

static void fill_buffer(struct rte_mempool *pool, void *size, void *mbuf, unsigned index)
{
    struct rte_mbuf *m = mbuf;
    (void) pool;
    (void) index;
    flows_fill((uint8_t *) m->buf_addr + RTE_PKTMBUF_HEADROOM, *(const unsigned *) size);
}

static bool start_port(uint16_t port, const struct gen *g, struct rte_mempool *rx_pool, struct err *err)
{
    const struct gen_options *o = &g->options;
    struct rte_eth_conf conf = { .rxmode = { .mq_mode = RTE_ETH_MQ_RX_NONE } };
    int rc = rte_eth_dev_configure(port, (uint16_t) o->queues, (uint16_t) o->queues, &conf);
    for (uint16_t q = 0; !rc && q < o->queues; q++) {
        rc = rte_eth_rx_queue_setup(port, q, (uint16_t) o->ring, SOCKET_ID_ANY, NULL, rx_pool);
        rc = rc ? rc : rte_eth_tx_queue_setup(port, q, (uint16_t) o->ring, SOCKET_ID_ANY, NULL);
    }
    rc = rc ? rc : rte_eth_dev_start(port);
    return !rc || err_set(err, ERR_FAILED, port == g->tx_port ? "--tx" : "--rx", "the virtio device does not start: %s", rte_strerror(-rc));
}

static bool start_ports(struct gen *g, struct err *err)
{
    const struct gen_options *o = &g->options;
    unsigned n = (2 * o->ring + 2 * GEN_BURST) * o->queues + 2 * POOL_CACHE, size = FLOWS_MAX_FRAME;
    if (rte_eth_dev_get_port_by_name("net_virtio_user0", &g->tx_port) || rte_eth_dev_get_port_by_name("net_virtio_user1", &g->rx_port)) {
        return err_set(err, ERR_FAILED, "--virtio", "DPDK made no virtio-user device; is its driver (librte_net_virtio) installed?");
    }
    g->tx_pool = rte_pktmbuf_pool_create("tx", n, POOL_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    g->rx_pool = rte_pktmbuf_pool_create("rx", 2 * n, POOL_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    if (!g->tx_pool || !g->rx_pool) {
        return err_set(err, ERR_FAILED, "--memory", "no room for %u buffers: %s", 3 * n, rte_strerror(rte_errno));
    }
    rte_mempool_obj_iter(g->tx_pool, fill_buffer, &size);
    return start_port(g->tx_port, g, g->rx_pool, err) && start_port(g->rx_port, g, g->rx_pool, err);
}

static bool prepare_capture(struct gen *g, struct err *err)
{
    struct gen_options *o = &g->options;
    if (o->fresh || o->per_flow_path || o->size != DEFAULT_SIZE) {
        return err_set(err, ERR_USAGE, o->fresh ? "--fresh" : o->per_flow_path ? "--per-flow" : "--size", "the frames of a capture (%s) are sent as they are", o->flows_path);
    }
    o->check = 0;
    return flows_load_capture(&g->flows, o->flows_path, o->limit, err) && flows_make_schedule(&g->flows, o->shuffle, o->seed, err);
}

static bool prepare_flows(struct gen *g, struct err *err)
{
    const struct gen_options *o = &g->options;
    if (flows_is_capture(o->flows_path)) {
        return prepare_capture(g, err);
    }
    if (!flows_load(&g->flows, o->flows_path, o->limit, err) || !flows_make_schedule(&g->flows, o->shuffle, o->seed, err)) {
        return false;
    }
    for (size_t i = 0; i < g->flows.n; i++) {
        unsigned least = probe_l3(g->flows.head[i], FLOWS_HEAD) + PROBE_IPV4 + PROBE_END;
        flows_set_size(g->flows.head[i], MAX(o->size, least));
    }
    if (o->per_flow_path) {
        g->per_flow = xcalloc(g->flows.n, sizeof g->per_flow[0]);
    }
    return true;
}

int main(int argc, char **argv)
{
    struct gen *g = XNEW(struct gen);
    struct err err = ERR_INIT;
    char text[1024];
    bool ok = read_options(argc, argv, &g->options, &err) && prepare_flows(g, &err) && start_eal(&g->options, &err);
    bool started = ok;
    ok = ok && start_ports(g, &err) && gen_run(g, &err) && gen_report(g, &err);
    if (!ok) {
        fprintf(stderr, "gen: %s\n", err_format(&err, text, sizeof text));
    }
    if (started) {
        rte_eth_dev_stop(g->tx_port);
        rte_eth_dev_stop(g->rx_port);
        rte_eal_cleanup();
    }
    flows_fini(&g->flows);
    free(g->per_flow);
    free(g->windows);
    free(g->parts);
    free(g);
    return ok ? 0 : err_exit_code(err.code);
}
