/* Phases about packet-ins: the switch tells of a frame, the tenant's controller answers, the answer arrives at the switch. */
#include "utilities/control-bench/control_sim.h"

#include <stdlib.h>
#include <string.h>
#include <event2/event.h>

#include "lib/json.h"
#include "utilities/control-bench/phase.h"

enum {
    WINDOW = 256,               /* Packet-ins that may be on their way. */
    SOURCES = 4096,             /* Different senders, and so entries; more than the window. */
    SOURCE_KEY = 0xe00000,
};
#define SLICE_NS UINT64_C(250000000)
#define STALL_NS UINT64_C(2000000000)

static void number_frame(struct packet_source *s)
{
    uint64_t mac = TENANT_MAC(SOURCE_KEY + s->next++ % SOURCES);
    wire_put48(s->frame + 6, mac);
}

void packet_source_send(struct packet_source *s)
{
    number_frame(s);
    sim_switch_packet_in(s->sw, &s->packet);
}

/* A port of the lane's switches whose tables send an unknown frame to a tenant: a cookie with a network's id in the upper half (controller/edge_tables.h). */
bool packet_source_find(struct bench *b, enum lane lane, uint32_t except, struct packet_source *s)
{
    memset(s->frame, 0, sizeof s->frame);
    wire_put48(s->frame, UINT64_C(0x02ffffffffff));
    wire_put16(s->frame + 12, 0x88b5);          /* Local experimental EtherType (IEEE 802). */
    number_frame(s);
    for (unsigned i = 0; i < (lane == LANE_DIRECT ? 1 : b->net->n_edges); i++) {
        s->sw = lane == LANE_DIRECT ? b->direct : b->net->switches[i];
        for (uint32_t port = 1; port <= s->sw->n_devices; port++) {
            if (sim_packet_in_example(s->sw, port, s->frame, sizeof s->frame, &s->packet)
                && (lane == LANE_DIRECT || (packet_source_network(s) && packet_source_network(s) != except))) {
                s->packet.in.data = s->frame;
                return true;
            }
        }
    }
    return false;
}

uint32_t packet_source_network(const struct packet_source *s)
{
    return (uint32_t) (s->packet.in.cookie >> 32);
}

uint32_t packet_source_key(const struct packet_source *s, unsigned ago)
{
    return SOURCE_KEY + (s->next - 1 - ago) % SOURCES;
}

bool packet_sources_prepare(struct bench *b, struct packet_source sources[N_LANES], struct err *err)
{
    if (!bench_check_lanes(b, err)) {
        return false;
    }
    for (enum lane lane = 0; lane < N_LANES; lane++) {
        if (!bench_has_lane(b, lane)) {
            continue;
        }
        tenant_miss(b->conn[lane]);
        bench_barrier(b, lane);
        if (!bench_drain(b, lane, 0)) {
            return bench_late(b, lane, "a barrier", err);
        }
        if (!packet_source_find(b, lane, 0, &sources[lane])) {      /* Tenant 0's ports are the first ones. */
            return err_set(err, ERR_FAILED, NULL, "no rule of the %s lane's switches sends an unknown frame to the tenant", lane_name(lane));
        }
        if (lane == LANE_SLICE) {
            b->network = packet_source_network(&sources[lane]);
        }
    }
    return true;
}

static uint64_t n_answers(const struct bench *b, enum lane lane)
{
    return b->answer == ANSWER_FLOW_MOD ? b->n_changed[lane] : b->n_packet_outs[lane];
}

struct progress { enum lane lane; uint64_t answers; };

static bool has_progress(struct bench *b, void *p_)
{
    const struct progress *p = p_;
    return n_answers(b, p->lane) >= p->answers;
}

/* One turn: as many as the window lets through.  *lost: packet-ins that were never answered. */
static bool turn(struct bench *b, enum lane lane, struct packet_source *s, struct phase_rate *rate, uint64_t *lost)
{
    const uint64_t begun = bench_now(), before = n_answers(b, lane);
    uint64_t sent = 0;
    struct progress p = { lane, before };
    while (bench_now() - begun < SLICE_NS && !b->lost) {
        while (sent - (n_answers(b, lane) - before) < WINDOW) {
            packet_source_send(s);
            sent++;
        }
        p.answers = n_answers(b, lane) + 1;
        if (!bench_wait(b, has_progress, &p, STALL_NS, false)) {
            break;
        }
    }
    p.answers = before + sent;
    bench_wait(b, has_progress, &p, STALL_NS, false);
    *lost += sent - (n_answers(b, lane) - before);
    phase_rate_add(rate, n_answers(b, lane) - before, bench_now() - begun);
    return !b->lost;
}

static bool answered(struct bench *b, enum answer answer, uint64_t seconds, cJSON *result, struct err *err)
{
    struct packet_source *sources = xcalloc(N_LANES, sizeof *sources);
    struct phase_rate rate[N_LANES] = { 0 };
    uint64_t lost[N_LANES] = { 0 };
    bool ok = packet_sources_prepare(b, sources, err);
    b->answer = answer;
    for (uint64_t i = 0; ok && i < MAX(1u, seconds * 1000000000 / SLICE_NS); i++) {
        for (enum lane lane = 0; ok && lane < N_LANES; lane++) {
            ok = !bench_has_lane(b, lane) || turn(b, lane, &sources[lane], &rate[lane], &lost[lane]) || bench_late(b, lane, "", err);
        }
    }
    b->answer = ANSWER_NOTHING;
    for (enum lane lane = 0; ok && lane < N_LANES; lane++) {
        if (bench_has_lane(b, lane)) {
            cJSON *o = json_add_object(result, lane_name(lane));
            phase_rate_print(&rate[lane], o);
            json_add_u64(o, "unanswered", lost[lane]);
        }
    }
    free(sources);
    return ok;
}

bool phase_packet_in(struct bench *b, uint64_t seconds, cJSON *result, struct err *err)
{
    return answered(b, ANSWER_FLOW_MOD, seconds, result, err);
}

bool phase_packet_out(struct bench *b, uint64_t seconds, cJSON *result, struct err *err)
{
    return answered(b, ANSWER_PACKET_OUT, seconds, result, err);
}

bool phase_packet_in_latency(struct bench *b, uint64_t n, cJSON *result, struct err *err)
{
    struct packet_source *sources = xcalloc(N_LANES, sizeof *sources);
    struct latency *l = xcalloc(N_LANES, sizeof *l);
    bool ok = packet_sources_prepare(b, sources, err);
    b->answer = ANSWER_FLOW_MOD;
    for (uint64_t i = 0; ok && i < n; i++) {
        for (enum lane lane = 0; ok && lane < N_LANES; lane++) {
            struct progress p = { lane, b->n_changed[lane] + 1 };
            if (bench_has_lane(b, lane)) {
                const uint64_t begun = bench_now();
                packet_source_send(&sources[lane]);
                ok = bench_wait(b, has_progress, &p, WAIT_NS, true) || bench_late(b, lane, "the answer to a packet-in", err);
                latency_add(&l[lane], b->changed_ns[lane] - begun);
            }
        }
    }
    b->answer = ANSWER_NOTHING;
    for (enum lane lane = 0; ok && lane < N_LANES; lane++) {
        if (bench_has_lane(b, lane)) {
            phase_add_latency(json_add_object(result, lane_name(lane)), "round_trip_us", &l[lane]);
        }
    }
    free(l);
    free(sources);
    return ok;
}

struct set_up { enum lane lane; uint64_t changed, packet_outs; };

static bool is_set_up(struct bench *b, void *s_)
{
    const struct set_up *s = s_;
    return b->n_changed[s->lane] != s->changed && b->n_packet_outs[s->lane] != s->packet_outs;
}

bool sample_set_up(struct bench *b, enum lane lane, struct packet_source *source, uint64_t *ns, struct err *err)
{
    struct set_up s = { lane, b->n_changed[lane], b->n_packet_outs[lane] };
    b->answer = ANSWER_BOTH;
    const uint64_t begun = bench_now();
    packet_source_send(source);
    bool ok = bench_wait(b, is_set_up, &s, WAIT_NS, true) || bench_late(b, lane, "the answer to a packet-in", err);
    *ns = MAX(b->changed_ns[lane], b->packet_out_ns[lane]) - begun;
    b->answer = ANSWER_NOTHING;
    return ok;
}
