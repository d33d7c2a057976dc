/*
 * The datapath core by itself: nanoseconds per packet through dp_receive(), no ports, no DPDK, one thread.
 *
 *     vswitch/dp_bench RULES FLOWS [--packets=N] [--warmup=N] [--cache=FLOWS] [--fresh] [--mods=EVERY] [--verbose]
 *
 * RULES: entries as ovs-ofctl takes them, one a line.  FLOWS: as utilities/bench/flows.h has them
 * (`utilities/bench/rules.py RULES FLOWS` makes both).  Flows are sent in turn, in batches of 32, from port 1.
 * --fresh: a new source port in each round.  --mods: a flow-mod that no packet meets every so many packets. What the
 * loop costs without dp_receive() is measured first and taken off.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "lib/util.h"
#include "vswitch/dp_private.h"
#include "vswitch/packet.h"

enum { HEAD = 64, ROOM = 128, SLOTS = 64 };

struct frame { struct packet packet; uint8_t room[ROOM]; uint8_t data[2048]; } __attribute__((aligned(64)));

struct bench {
    struct dp *dp;
    struct frame *frames;
    uint8_t (*flows)[HEAD];
    uint32_t *lens;
    size_t n_flows;
    uint64_t sent;
};

static void output(struct dp_thread *t UNUSED, struct packet *p UNUSED, uint32_t port UNUSED, void *b)
{
    ((struct bench *) b)->sent++;
}

static void output_batch(struct dp_thread *t UNUSED, struct packet **p UNUSED, unsigned n, uint32_t port UNUSED, void *b)
{
    ((struct bench *) b)->sent += n;
}

static struct packet *copy(struct dp_thread *t UNUSED, const struct packet *p UNUSED, void *b UNUSED)
{
    return NULL;
}

static void free_packet(struct dp_thread *t UNUSED, struct packet *p UNUSED, void *b UNUSED) { }

static bool packet_in(struct dp_thread *t UNUSED, const struct packet *p UNUSED, const struct flow *f UNUSED, uint64_t cookie UNUSED, uint8_t table UNUSED, uint8_t reason UNUSED,
                      const struct dp_controller *c UNUSED, void *b UNUSED)
{
    return false;
}

static void defer(void (*fn)(void *), void *arg, void *b UNUSED)
{
    fn(arg);
}

static double now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}

static const char *take(const char *text, const char *key, uint64_t *value)
{
    size_t n = strlen(key);
    if (strncmp(text, key, n)) {
        return text;
    }
    char *end;
    *value = strtoull(text + n, &end, 0);
    return end + (*end == ',');
}

static void flow_mod(struct bench *b, enum of_flow_command command, const char *text)
{
    struct of_flow_mod fm;
    struct err err = ERR_INIT;
    uint64_t table = 0, priority = 0x8000;
    of_flow_mod_init(&fm);
    text = take(take(text, "table=", &table), "priority=", &priority);
    const char *actions = strstr(text, "actions=");
    char *match = xmemdup0(text, (size_t) (actions - text));
    if (*match && match[strlen(match) - 1] == ',') {
        match[strlen(match) - 1] = '\0';
    }
    fm.command = command;
    fm.table_id = (uint8_t) table;
    fm.priority = (uint16_t) priority;
    if (!match_parse(match, &fm.match, &err) || !instructions_parse(actions + 8, &fm.instructions, &err) || !of_ok(flow_tables_mod(dp_flows(b->dp), &fm))) {
        fprintf(stderr, "dp_bench: %s: %s\n", text, err.message);
        exit(1);
    }
    instructions_fini(&fm.instructions);
    free(match);
}

static void load_rules(struct bench *b, const char *path)
{
    FILE *f = fopen(path, "r");
    char line[4096];
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        flow_mod(b, OFPFC_ADD, line);
    }
    if (!f) {
        perror(path);
        exit(1);
    }
    fclose(f);
}

static void load_flows(struct bench *b, const char *path)
{
    FILE *f = fopen(path, "r");
    char line[256], smac[32], dmac[32], sip[32], dip[32], text[256];
    size_t room = 0;
    while (f && fgets(line, sizeof line, f)) {
        unsigned proto, sport, dport;
        struct match m;
        struct err err = ERR_INIT;
        struct buf buf = BUF_INIT;
        if (sscanf(line, "%31s %31s %31s %31s %u %u %u", smac, dmac, sip, dip, &proto, &sport, &dport) != 7) {
            continue;
        }
        snprintf(text, sizeof text, "%s,dl_src=%s,dl_dst=%s,nw_src=%s,nw_dst=%s,nw_ttl=64,tp_src=%u,tp_dst=%u", proto == 6 ? "tcp" : "udp", smac, dmac, sip, dip, sport, dport);
        if (!match_parse(text, &m, &err)) {
            fprintf(stderr, "dp_bench: %s: %s\n", text, err.message);
            exit(1);
        }
        packet_compose(&m.value.flow, &buf, 18);
        if (b->n_flows == room) {
            room = MAX(1024, 2 * room);
            b->flows = xrealloc(b->flows, room * sizeof b->flows[0]);
            b->lens = xrealloc(b->lens, room * sizeof b->lens[0]);
        }
        memcpy(b->flows[b->n_flows], buf.data, MIN(buf.size, (size_t) HEAD));
        b->lens[b->n_flows++] = (uint32_t) MIN(buf.size, (size_t) HEAD);
        buf_fini(&buf);
    }
    if (!f || !b->n_flows) {
        perror(path);
        exit(1);
    }
    fclose(f);
}

struct plan { uint64_t packets, mods; bool fresh, work; };

static double run(struct bench *b, const struct plan *plan)
{
    struct dp_thread *t = dp_thread(b->dp, 1);
    size_t at = 0;
    uint32_t round = 0;
    uint64_t next_mod = plan->mods, n_mods = 0;
    double begun = now_s(), busy = 0;
    for (uint64_t done = 0; done < plan->packets; done += DP_BATCH) {
        struct packet *batch[DP_BATCH];
        for (unsigned i = 0; i < DP_BATCH; i++) {
            struct frame *f = &b->frames[(done + i) % SLOTS];
            memcpy(f->data, b->flows[at], HEAD);
            f->packet = (struct packet) { .data = f->data, .len = b->lens[at], .headroom = ROOM, .tailroom = 1024 };
            if (plan->fresh) {
                uint16_t port;
                memcpy(&port, f->data + 34, 2);
                port = (uint16_t) (port ^ round * 40503u);
                memcpy(f->data + 34, &port, 2);
            }
            batch[i] = &f->packet;
            if (++at == b->n_flows) {
                at = 0;
                round++;
            }
        }
        if (plan->work) {
            dp_receive(t, batch, DP_BATCH, 1, done);
        } else {
            __asm__ volatile("" : : "r"(batch) : "memory");
        }
        if (plan->work && plan->mods && done >= next_mod) {
            char text[120];
            double before = now_s();
            snprintf(text, sizeof text, "table=0,priority=5,dl_dst=06:ff:00:00:%02x:%02x,actions=output:1", (unsigned) (n_mods >> 1 & 1), (unsigned) (n_mods >> 1) / 2 % 200);
            flow_mod(b, n_mods & 1 ? OFPFC_DELETE_STRICT : OFPFC_ADD, text);
            n_mods++;
            next_mod += plan->mods;
            busy += now_s() - before;
        }
        if (plan->work && done % (1 << 16) == 0) {
            dp_tick(b->dp);
        }
    }
    return now_s() - begun - busy;
}

int main(int argc, char **argv)
{
    static const struct dp_ops ops = { .output = output, .output_batch = output_batch, .copy = copy, .free = free_packet, .packet_in = packet_in, .defer = defer };
    struct bench b = { .n_flows = 0 };
    struct plan plan = { .packets = 20000000 };
    uint64_t warmup = 8000000;
    size_t cache = 1 << 20;
    bool verbose = false;
    if (argc < 3) {
        fprintf(stderr, "usage: dp_bench RULES FLOWS [--packets=N] [--warmup=N] [--cache=FLOWS] [--fresh] [--mods=EVERY] [--verbose]\n");
        return 2;
    }
    for (int i = 3; i < argc; i++) {
        uint64_t value;
        verbose = verbose || !strcmp(argv[i], "--verbose");
        plan.fresh = plan.fresh || !strcmp(argv[i], "--fresh");
        take(argv[i], "--packets=", &plan.packets);
        take(argv[i], "--warmup=", &warmup);
        take(argv[i], "--mods=", &plan.mods);
        if (*take(argv[i], "--cache=", &value) == '\0') {
            cache = value;
        }
    }
    b.dp = dp_new(2, 10000000, 1000, clock_monotonic(), &ops, &b);
    dp_set_cache(b.dp, cache, false);
    dp_port_set(b.dp, 1, 0, true);
    dp_port_set(b.dp, 2, 0, true);
    b.frames = aligned_alloc(64, SLOTS * sizeof *b.frames);
    memset(b.frames, 0, SLOTS * sizeof *b.frames);
    load_rules(&b, argv[1]);
    load_flows(&b, argv[2]);
    double empty = run(&b, &plan);
    plan.work = true;
    struct plan warm = plan;
    warm.packets = 6 * b.n_flows + warmup;
    run(&b, &warm);
    b.sent = 0;
    double spent = run(&b, &plan);
    struct dp_cache_stats s;
    dp_cache_stats(b.dp, 1, &s);
    double flow_bytes = s.n_flows ? (double) s.bytes / (double) s.n_flows : 0;
    printf("%6.1f ns/packet  (%zu flows, sent %llu of %llu; key %u words, %u lanes, entry %u, cache %llu flows of %.1f bytes; misses %llu, evictions %llu, stale %llu)\n",
           (spent - empty) * 1e9 / (double) plan.packets, b.n_flows, (unsigned long long) b.sent, (unsigned long long) plan.packets, s.key_words, s.lanes, s.stride,
           (unsigned long long) s.n_flows, flow_bytes, (unsigned long long) s.misses, (unsigned long long) s.evictions, (unsigned long long) s.stale);
    for (unsigned t = 0; verbose && t < OF_N_TABLES; t++) {
        const struct cls_vector *v = atomic_load(&b.dp->tables[t].vector);
        for (unsigned i = 0; v && i < v->n; i++) {
            printf("table %u: subtable of %zu slots, priority %u, words", t, v->entries[i].subtable->n_heads, v->entries[i].max_priority);
            for (unsigned k = 0; k < v->entries[i].subtable->n; k++) {
                printf(" %u:%016llx", v->entries[i].subtable->index[k], (unsigned long long) v->entries[i].subtable->masks[k]);
            }
            printf("\n");
        }
    }
    dp_free(b.dp);
    free(b.frames);
    free(b.flows);
    free(b.lens);
    return 0;
}
