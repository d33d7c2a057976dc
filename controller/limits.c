/* See limits.h.  Held virtual switches are in one list by the time at which they go on, with one timer. */
#define LOG_MODULE "limits"
#include "controller/limits.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>

#include "controller/fabric_impl.h"
#include "lib/json.h"
#include "lib/log.h"
#include "ofproto/agent.h"

#define NS_PER_MS UINT64_C(1000000)
#define QUANTUM_NS (20 * UINT64_C(1000))        /* Some flow-mods; what others wait at most is about this and a send. */
#define HOLD_NS (10 * NS_PER_MS)                /* At least: letting go and holding again costs others time, too. What was saved up meanwhile is taken in turns. */
#define RECHECK_NS (1000 * NS_PER_MS)           /* Held for long: the quota may be another by then. */

struct limits {
    struct fabric *fabric;
    struct event *timer;
    struct list held;           /* Struct vsw, by hold.until_ns. */
    struct of_share_company company;    /* Of tenants. */
};

static uint64_t now_of(const struct fabric *f) { return clock_now_ns(&f->controller->clock); }

/* --- Holding --- */

static void arm(struct limits *l, uint64_t now)
{
    if (list_empty(&l->held)) {
        event_del(l->timer);
        return;
    }
    const struct vsw *first = CONTAINER_OF(l->held.next, struct vsw, hold.node);
    uint64_t left = first->hold.until_ns > now ? first->hold.until_ns - now : 0;
    struct timeval tv = { (time_t) (left / 1000000000), (suseconds_t) (left % 1000000000 / 1000 + 1) };
    event_add(l->timer, &tv);
}

static void insert(struct limits *l, struct vsw *vsw, uint64_t until)
{
    struct list *after = l->held.prev;
    while (after != &l->held && CONTAINER_OF(after, struct vsw, hold.node)->hold.until_ns > until) {
        after = after->prev;    /* Few are held, and most for about as long as the last one. */
    }
    vsw->hold.until_ns = until;
    list_push_back(after->next, &vsw->hold.node);
}

static void hold(struct vsw *vsw, uint64_t until, uint64_t now)
{
    struct limits *l = vsw->fabric->limits;
    if (!vsw->share.held) {
        vsw->share.held = true;
        vsw->hold.since_ns = now;
        insert(l, vsw, MIN(MAX(until, now + HOLD_NS), now + RECHECK_NS));
        arm(l, now);
    }
}

static void end_hold(struct vsw *vsw, uint64_t now)
{
    list_remove(&vsw->hold.node);
    vsw->share.held = false;
    vsw->usage->held_ns += now - vsw->hold.since_ns;
}

/* When all that was taken is paid for. */
static uint64_t paid_at(const struct vsw *vsw)
{
    bool never = !vsw->network->quota.flow_mod_rate || !network_tenant(vsw->network)->quota.flow_mod_rate;
    return never ? BUDGET_NEVER : MAX(budget_paid_at(&vsw->changes_budget), budget_paid_at(&vsw->usage->changes));
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *l_)
{
    struct limits *l = l_;
    uint64_t now = now_of(l->fabric);
    while (!list_empty(&l->held)) {
        struct vsw *vsw = CONTAINER_OF(l->held.next, struct vsw, hold.node);
        if (vsw->hold.until_ns > now) {
            break;
        }
        uint64_t until = paid_at(vsw);
        end_hold(vsw, now);
        if (until > now) {      /* Another switch of the tenant has used up what there was, or the quota is another. */
            hold(vsw, until, now);
        } else if (vsw->agent) {
            of_share_exhaust(&vsw->usage->group, now);
            of_agent_resume(vsw->agent);
        }
    }
    arm(l, now);
}

void limits_change(struct vsw *vsw)
{
    uint64_t now = now_of(vsw->fabric);
    uint64_t own = budget_take(&vsw->changes_budget, vsw->network->quota.flow_mod_rate, now);
    uint64_t tenant = budget_take(&vsw->usage->changes, network_tenant(vsw->network)->quota.flow_mod_rate, now);
    vsw->usage->n_changes++;
    if (MAX(own, tenant) > now) {
        hold(vsw, MAX(own, tenant), now);
    }
}

static void on_garbage(struct of_share *share)
{
    limits_change(CONTAINER_OF(share, struct vsw, share));
}

static void on_turn(struct of_share *share, bool begins)
{
    CONTAINER_OF(share, struct vsw, share)->controller->idle_turn = begins;
}

/* --- Packet-ins and connections --- */

bool limits_packet_in(struct vsw *vsw)
{
    struct usage *usage = vsw->usage;
    bool ok = budget_may(&usage->packet_ins, network_tenant(vsw->network)->quota.packet_in_rate, now_of(vsw->fabric));
    usage->n_packet_ins += ok;
    usage->n_packet_ins_dropped += !ok;
    return ok;
}

bool limits_accept(struct vsw *vsw, unsigned *pause_ms)
{
    uint32_t rate = network_tenant(vsw->network)->quota.connection_rate;
    uint64_t now = now_of(vsw->fabric);
    if (budget_may(&vsw->usage->connections, rate, now)) {
        return true;
    }
    uint64_t free_at = MIN(budget_free_at(&vsw->usage->connections, rate), now + RECHECK_NS);
    *pause_ms = (unsigned) ((free_at - now) / NS_PER_MS) + 1;
    vsw->usage->n_connections_refused++;
    LOG_RATE(LOG_WARN, 10, "%s: a connection was refused, tenant %s has more than %u new ones a second", vsw->network->name, vsw->usage->tenant, rate);
    return false;
}

void limits_peer_refused(struct vsw *vsw, const char *peer, const char *why)
{
    vsw->usage->n_certificates_refused++;
    LOG_RATE(LOG_WARN, 10, "%s: controller %s: %s", vsw->network->name, peer, why);
}

uint32_t limits_packet_in_rate(const struct vsw *vsw)
{
    return MIN(vsw->network->quota.packet_in_rate, network_tenant(vsw->network)->quota.packet_in_rate);
}

/* --- Looking in --- */

void limits_status_json(const struct vsw *vsw, cJSON *json)
{
    json_add_bool(json, "held", vsw->share.held);
}

static double held_s(const struct fabric *f, const struct usage *usage)
{
    uint64_t ns = usage->held_ns, now = now_of(f);
    const struct vsw *vsw;
    LIST_FOR_EACH (vsw, hold.node, &f->limits->held) {
        ns += vsw->usage == usage ? now - vsw->hold.since_ns : 0;
    }
    return (double) ns / 1e9;
}

void limits_metrics(struct fabric *f, struct buf *out)
{
    enum { CHANGES, BUSY, HELD, PACKET_INS, PACKET_INS_DROPPED, CONNECTIONS_REFUSED, CERTIFICATES_REFUSED, N };
    static const struct { const char *name, *help; } rows[N] = {
        [CHANGES] = { "changes_total", "Messages of the tenant's controllers that change something, packet-outs, and ones that cannot be decoded" },
        [BUSY] = { "busy_seconds_total", "Time that the loop spent on the tenant's messages and on compiling its virtual switches" },
        [HELD] = { "held_seconds_total", "Time that the tenant's virtual switches were not read from because of the flow-mod rate, over all of them" },
        [PACKET_INS] = { "packet_ins_total", "Packet-ins within the tenant's rate" },
        [PACKET_INS_DROPPED] = { "packet_ins_dropped_total", "Packet-ins dropped by controllerd, above the tenant's rate; edges drop first" },
        [CONNECTIONS_REFUSED] = { "connections_refused_total", "Controllers' connections refused, above the tenant's rate" },
        [CERTIFICATES_REFUSED] = { "certificates_refused_total", "Controllers' TLS connections refused because of their certificate" },
    };
    for (unsigned i = 0; i < N; i++) {
        struct usage *usage;
        buf_printf(out, "# HELP polder_tenant_%s %s\n# TYPE polder_tenant_%s counter\n", rows[i].name, rows[i].help, rows[i].name);
        HMAP_FOR_EACH (usage, node, &f->usages) {
            const uint64_t counts[N] = { [CHANGES] = usage->n_changes, [PACKET_INS] = usage->n_packet_ins, [PACKET_INS_DROPPED] = usage->n_packet_ins_dropped,
                                         [CONNECTIONS_REFUSED] = usage->n_connections_refused, [CERTIFICATES_REFUSED] = usage->n_certificates_refused };
            buf_printf(out, "polder_tenant_%s{tenant=\"%s\"} ", rows[i].name, usage->tenant);
            if (i == BUSY || i == HELD) {
                buf_printf(out, "%.6f\n", i == BUSY ? (double) (usage->group.busy_ns + usage->compile_ns) / 1e9 : held_s(f, usage));
            } else {
                buf_printf(out, "%" PRIu64 "\n", counts[i]);
            }
        }
    }
}

/* --- Life --- */

void limits_tenant_init(struct fabric *f, struct usage *usage)
{
    usage->group.company = &f->limits->company;
    usage->group.quantum_ns = QUANTUM_NS;
}

void limits_vsw_init(struct vsw *vsw)
{
    vsw->share = (struct of_share) { .group = &vsw->usage->group, .garbage = on_garbage, .turn = on_turn };
    list_init(&vsw->hold.node);
    if (paid_at(vsw) == BUDGET_NEVER) {
        uint64_t now = now_of(vsw->fabric);
        hold(vsw, BUDGET_NEVER, now);
    }
}

void limits_vsw_fini(struct vsw *vsw)
{
    if (vsw->share.held) {
        end_hold(vsw, now_of(vsw->fabric));
        arm(vsw->fabric->limits, now_of(vsw->fabric));
    }
}

struct limits *limits_new(struct fabric *f)
{
    struct limits *l = XNEW(struct limits);
    l->fabric = f;
    l->timer = evtimer_new(f->controller->base, on_timer, l);
    list_init(&l->held);
    return l;
}

void limits_free(struct limits *l)
{
    if (l) {
        event_free(l->timer);
        free(l);
    }
}
